//! What would each filter have counted?
//!
//! In: records, one by one, with the place where each stands. Out: of each filter how many records are its service's,
//! how many it counts and against whom, and with which other filters it shares them. One look by all filters together
//! finds the records that concern any; only these go before the engine, which decides as the daemon would.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use smallvec::SmallVec;

use super::places::Place;
use super::trial::{Logins, Trials};
use crate::cli::hosts::Hosts;
use crate::engine::Decision;
use crate::engine::filter::{FilterSet, Finding, LineMemory, View};
use crate::engine::policy::{FilterId, Policy};
use crate::engine::record::Record;
use crate::engine::record::journal::RouteId;
use crate::engine::replay::Replay;
use crate::engine::time::Timestamp;

/// What became of the records of one filter.
#[derive(Debug, Default)]
pub struct Tally {
    /// Records of its service: by program or unit, or all lines of the files that it names.
    pub records: u64,
    /// Whether the service told its name in them.
    pub is_named: bool,
    /// Records that one of its patterns takes.
    pub lines: u64,
    /// Those of them that filters take as well that name fewer programs.
    pub covered: u64,
    /// Failures that a jail would have counted: without who is ignored, and without what repeats a session.
    pub failures: u64,
    /// When the first and the last of them was.
    pub span: Option<(Timestamp, Timestamp)>,
    /// Whose they are.
    pub hosts: Hosts,
    /// The places where a pattern takes something.
    pub found_at: BTreeSet<usize>,
    /// The places of its service's records, as far as these tell their service or the place is expected.
    pub seen_at: BTreeSet<usize>,
}

/// A program that filters name.
#[derive(Debug, Default)]
struct Program {
    /// The filters that look at its records.
    filters: Vec<usize>,
    /// How many it has written into files,
    records: u64,
    /// and at which places.
    places: Vec<usize>,
}

/// All logs.
pub struct Survey<'p> {
    places: &'p [Place],
    replay: Replay<1>,
    decisions: [Vec<Decision>; 1],
    /// By name.
    programs: HashMap<Box<str>, Program>,
    /// How many lines each place has.
    lines: Vec<u64>,
    /// Whether each filter names programs.
    by_program: Vec<bool>,
    /// How many programs each names; those that name none look at all.
    breadths: Vec<usize>,
    /// The filter that each one is for, failures or logins, and whether it is for failures.
    owners: Vec<(usize, bool)>,
    /// When the journal began to tell anything.
    journal_began: Option<Timestamp>,
    /// Those whose records the journal has.
    in_journal: BTreeSet<usize>,
    /// For each filter, a copy of the journal that has its records.
    copies: Vec<Option<usize>>,
    /// Whether there is a file that each filter names.
    has_own: Vec<bool>,
    /// By filter.
    pub tallies: Vec<Tally>,
    /// How many lines two filters share, the one with the lower place first.
    pub shared: BTreeMap<(usize, usize), u64>,
    /// Whom other thresholds would have banned.
    pub trials: Trials,
    /// Who was let in.
    pub logins: Logins,
    /// How many records were read, also those that were too old.
    pub read: u64,
    /// How many of them were as new as asked for.
    pub looked_at: u64,
}

impl<'p> Survey<'p> {
    /// Of these places, by a policy with the usual jail of each filter.
    pub fn of(mut policy: Policy, places: &'p [Place]) -> Self {
        let count = policy.jails.len();
        let mut programs: HashMap<Box<str>, Program> = HashMap::new();
        let mut owners = vec![(0, false); policy.filters.len()];
        let (mut by_program, mut breadths) = (Vec::new(), Vec::new());
        for (at, jail) in policy.jails.iter().enumerate() {
            owners[usize::from(jail.filter.0)] = (at, true);
            if let Some(logins) = jail.logins {
                owners[usize::from(logins.0)] = (at, false);
            }
            let named = &policy.filters.spec(jail.filter).records.programs;
            by_program.push(!named.is_empty());
            breadths.push(if named.is_empty() {
                usize::MAX
            } else {
                named.len()
            });
            for program in named {
                let known = programs.entry(program.clone()).or_default();
                known.filters.push(at);
            }
        }
        let trials = Trials::of(&mut policy);
        Survey {
            places,
            replay: Replay::new([policy]),
            decisions: [Vec::new()],
            programs,
            lines: vec![0; places.len()],
            by_program,
            breadths,
            owners,
            journal_began: None,
            in_journal: BTreeSet::new(),
            copies: vec![None; count],
            has_own: (0..count)
                .map(|filter| places.iter().any(|place| place.expecting.contains(&filter)))
                .collect(),
            tallies: std::iter::repeat_with(Tally::default).take(count).collect(),
            shared: BTreeMap::new(),
            trials,
            logins: Logins::of(count),
            read: 0,
            looked_at: 0,
        }
    }

    /// The filters, those of logins behind those of failures.
    pub fn filters(&self) -> &FilterSet {
        let [engine] = self.replay.engines();
        &engine.policy().filters
    }

    /// The logs that had something as new as asked for.
    pub fn logs(&self) -> impl Iterator<Item = &'p Place> {
        let read = self.places.iter().zip(&self.lines);
        read.filter(|(_, lines)| **lines > 0)
            .map(|(place, _)| place)
    }

    /// Which filters may take records of a place that names no program on its lines.
    pub fn takers(&self, place: &Place) -> Vec<FilterId> {
        let ids = self.owners.iter().zip((0..).map(FilterId));
        let taking = ids.filter(|((at, _), _)| place.is_named || place.expecting.contains(at));
        taking.map(|(_, id)| id).collect()
    }

    /// Takes so many lines that no pattern takes.
    pub fn pass(&mut self, at: usize, lines: u32) {
        self.read += u64::from(lines);
        self.looked_at += u64::from(lines);
        self.lines[at] += u64::from(lines);
    }

    /// Takes a record that is older than asked for.
    pub fn leave_out(&mut self) {
        self.read += 1;
    }

    /// Takes a record of a place.
    pub fn take(&mut self, at: usize, record: &Record<'_>) {
        self.read += 1;
        self.looked_at += 1;
        let place = &self.places[at];
        if place.is_journal() {
            self.journal_began.get_or_insert(record.time);
        }
        self.note_seen(at, record);
        let mut takers: SmallVec<[RouteId; 4]> = SmallVec::new();
        let mut failing: SmallVec<[usize; 4]> = SmallVec::new();
        let view = View::from(*record);
        let [engine] = self.replay.engines();
        let filters = &engine.policy().filters;
        for Finding { filter, found, .. } in &filters.findings(&view, &mut LineMemory::default()) {
            let (owner, is_failure) = self.owners[usize::from(filter.0)];
            if !self.may_take(owner, place, record) {
                continue;
            }
            if let Ok(route) = u16::try_from(owner)
                && !takers.contains(&RouteId(route))
            {
                takers.push(RouteId(route));
            }
            match (is_failure, found.ip) {
                (true, _) => failing.push(owner),
                (false, Some(address)) => self.logins.add(owner, address),
                (false, None) => {}
            }
            if place.is_journal() {
                self.in_journal.insert(owner);
            } else if place.is_copy {
                self.copies[owner].get_or_insert(at);
            }
        }
        if takers.is_empty() {
            return;
        }
        self.note_lines(at, &failing);
        let record = Record {
            routes: &takers,
            ..*record
        };
        self.replay.hear(record, &mut self.decisions);
        self.note_decisions();
    }

    /// Nothing more comes.
    pub fn finish(&mut self) {
        self.replay.finish(&mut self.decisions);
        self.note_decisions();
        self.sum_up();
    }

    /// Whether a filter would look at a record that stands there.
    fn may_take(&self, filter: usize, place: &Place, record: &Record<'_>) -> bool {
        if place.is_journal() {
            let routes = record.routes.iter();
            return routes.clone().any(|route| usize::from(route.0) == filter);
        }
        if place.is_named {
            return true;
        }
        if place.is_copy {
            // What the journal has told, or another copy of it, is not told twice.
            let began = self
                .journal_began
                .filter(|_| self.in_journal.contains(&filter));
            let other =
                self.copies[filter].is_some_and(|copy| self.places[copy].path != place.path);
            if other || began.is_some_and(|began| record.time >= began) {
                return false;
            }
        }
        let is_named = self.by_program[filter] && !record.program.is_empty();
        place.expecting.contains(&filter) || is_named && !self.has_own[filter]
    }

    /// Whose service a record is of, as far as that is known at once.
    fn note_seen(&mut self, at: usize, record: &Record<'_>) {
        self.lines[at] += 1;
        for route in record.routes {
            self.see(usize::from(route.0), at, true, 1);
        }
        if self.places[at].is_journal() {
            return;
        }
        if let Some(program) = self.programs.get_mut(record.program) {
            program.records += 1;
            if program.places.last() != Some(&at) {
                program.places.push(at);
            }
        }
    }

    /// Gives the filters what was counted for many of them: by program, and lines of a place for those that name it and
    /// no program.
    fn sum_up(&mut self) {
        for program in std::mem::take(&mut self.programs).into_values() {
            for filter in program.filters {
                for (number, at) in program.places.iter().enumerate() {
                    let records = if number == 0 { program.records } else { 0 };
                    self.see(filter, *at, true, records);
                }
            }
        }
        let places = self.places;
        for (at, place) in places.iter().enumerate() {
            for filter in &place.expecting {
                if !self.by_program[*filter] && self.lines[at] > 0 {
                    self.see(*filter, at, false, self.lines[at]);
                }
            }
        }
    }

    fn see(&mut self, filter: usize, at: usize, is_named: bool, records: u64) {
        if let Some(tally) = self.tallies.get_mut(filter) {
            tally.records += records;
            tally.is_named |= is_named;
            if tally.seen_at.last() != Some(&at) {
                tally.seen_at.insert(at);
            }
        }
    }

    fn note_lines(&mut self, at: usize, failing: &[usize]) {
        for (number, filter) in failing.iter().enumerate() {
            let tally = &mut self.tallies[*filter];
            tally.lines += 1;
            let is_narrower = |other: &&usize| self.breadths[**other] < self.breadths[*filter];
            tally.covered += u64::from(failing.iter().any(|other| is_narrower(&other)));
            tally.found_at.insert(at);
            for other in &failing[number + 1..] {
                let pair = (*filter.min(other), *filter.max(other));
                *self.shared.entry(pair).or_default() += 1;
            }
        }
    }

    fn note_decisions(&mut self) {
        let [decisions] = &mut self.decisions;
        for decision in decisions.drain(..) {
            match decision {
                Decision::Ban(ban) => self.trials.ban(ban),
                Decision::Count(failure) => {
                    let Some(filter) = self.trials.usual_of(&failure.jail) else {
                        continue;
                    };
                    let tally = &mut self.tallies[filter];
                    tally.failures += 1;
                    let (first, last) = tally.span.unwrap_or((failure.time, failure.time));
                    tally.span = Some((first.min(failure.time), last.max(failure.time)));
                    if let Some(address) = failure.address {
                        tally.hosts.add_address(address, failure.time);
                    }
                }
                _ => {}
            }
        }
    }
}
