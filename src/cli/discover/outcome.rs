//! Which jails are proposed?
//!
//! In: what was found, and which jails there are. Out: of each filter of which anything was seen, what stands with
//! it: it has a jail, others count the same lines, or a jail of its own is proposed. Nothing is printed here.

use std::collections::BTreeSet;

use super::places::Place;
use super::survey::Survey;
use super::trial::{Reason, Thresholds, Trial};
use crate::config::Ground;
use crate::engine::filter::FilterSpec;
use crate::engine::name::{FilterName, JailName};
use crate::source::file::FileGlob;

/// How much of what a filter takes has to be counted by others, in percent, so that a jail of its own adds nothing.
const NEARLY_ALL: u64 = 90;

/// Settings of a jail that say whom it spares.
const SPARING: [&str; 2] = ["ignorecommand", "ignoreip"];

/// What stands with a filter.
#[derive(Clone, Debug)]
pub enum Standing {
    /// These jails have it.
    Covered(Vec<JailName>),
    /// A jail has it that is switched off.
    SwitchedOff(JailName),
    /// Nearly all that it takes is counted by others, which are more specific.
    Shared(Vec<FilterName>),
    /// A jail without what only the administrator can add to it would ban whom it should not.
    Incomplete,
    /// A jail is proposed.
    Proposed(Proposal),
    /// Its service runs, and nothing was counted.
    Idle,
}

/// A jail that is proposed.
#[derive(Clone, Debug)]
pub struct Proposal {
    /// Its name.
    pub jail: JailName,
    /// When it bans.
    pub thresholds: Thresholds,
    /// Whether these are those that it has if nothing is said of them.
    pub is_usual: bool,
    /// Why not.
    pub reason: Reason,
    /// Where its records are, if not where the filter expects them.
    pub logpath: Vec<String>,
    /// Filters that share some of its lines, and how many.
    pub shares: Vec<(FilterName, u64)>,
    /// How many hosts it would have banned.
    pub banned: usize,
}

/// A filter of which anything was seen.
#[derive(Clone, Debug)]
pub struct Row {
    /// Its place.
    pub at: usize,
    /// Its name.
    pub filter: FilterName,
    /// What it is for.
    pub title: String,
    /// What has to be switched on in the service; empty if nothing has.
    pub needs: String,
    /// What stands with it.
    pub standing: Standing,
}

/// Everything that is to be told.
#[derive(Debug)]
pub struct Outcome {
    /// Filters that count anything, those with the most failures first, and then others whose service was seen.
    pub rows: Vec<Row>,
}

impl Outcome {
    /// What came of it all.
    pub fn of(survey: &Survey<'_>, ground: &Ground, places: &[Place]) -> Self {
        let choice = Choice {
            survey,
            ground,
            places,
        };
        let tallies = survey.tallies.iter().enumerate();
        let mut seen: Vec<_> = tallies
            .filter(|(_, tally)| tally.lines > 0 || tally.records > 0)
            .map(|(at, _)| at)
            .collect();
        seen.sort_by_key(|at| {
            let tally = &survey.tallies[*at];
            let [failures, lines] = [tally.failures, tally.lines].map(std::cmp::Reverse);
            (failures, lines, *at)
        });
        let mut taken: BTreeSet<JailName> =
            ground.jails.iter().map(|jail| jail.name.clone()).collect();
        let rows = seen.into_iter().map(|at| {
            let file = &ground.filters[at];
            Row {
                at,
                filter: choice.name(at).clone(),
                title: file.title().to_owned(),
                needs: file.needs().to_owned(),
                standing: choice.standing(at, &mut taken),
            }
        });
        Outcome {
            rows: rows.collect(),
        }
    }

    /// Whether there is nothing to tell.
    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// The jails that are proposed.
    pub fn proposals(&self) -> impl Iterator<Item = (&Row, &Proposal)> {
        self.rows.iter().filter_map(|row| match &row.standing {
            Standing::Proposed(proposal) => Some((row, proposal)),
            _ => None,
        })
    }
}

/// What a choice goes by.
struct Choice<'c> {
    survey: &'c Survey<'c>,
    ground: &'c Ground,
    places: &'c [Place],
}

impl Choice<'_> {
    fn name(&self, at: usize) -> &FilterName {
        &self.spec(at).name
    }

    fn spec(&self, at: usize) -> &FilterSpec {
        &self.ground.specs[at]
    }

    fn standing(&self, at: usize, taken: &mut BTreeSet<JailName>) -> Standing {
        let jails = self
            .ground
            .jails
            .iter()
            .filter(|jail| jail.filter == *self.name(at));
        let (on, off): (Vec<_>, Vec<_>) = jails.partition(|jail| jail.enabled);
        if !on.is_empty() {
            return Standing::Covered(on.into_iter().map(|jail| jail.name.clone()).collect());
        }
        let tally = &self.survey.tallies[at];
        let sharers = self.sharers(at);
        if !sharers.is_empty() {
            return Standing::Shared(sharers);
        }
        if let Some(jail) = off.first() {
            return Standing::SwitchedOff(jail.name.clone());
        }
        if asks_for_more(self.ground.filters[at].needs()) {
            return Standing::Incomplete;
        }
        let is_of_use = match tally.failures > 0 {
            true => true,
            false => tally.lines == 0 && tally.is_named && self.is_alone(at),
        };
        match is_of_use.then(|| self.proposal(at, taken)).flatten() {
            Some(proposal) => Standing::Proposed(proposal),
            None => Standing::Idle,
        }
    }

    /// By how much a filter is for one thing alone, the more the lower: one that names few programs, or few files, or
    /// takes fewer of the same lines.
    fn breadth(&self, at: usize) -> (usize, usize, u64, usize) {
        let records = &self.spec(at).records;
        let programs = match records.programs.len() {
            0 => usize::MAX,
            some => some,
        };
        (
            programs,
            records.files.len(),
            self.survey.tallies[at].lines,
            at,
        )
    }

    fn shared(&self, at: usize) -> impl Iterator<Item = (usize, u64)> {
        let pairs = self.survey.shared.iter();
        pairs.filter_map(
            move |((one, other), lines)| match (*one == at, *other == at) {
                (true, _) => Some((*other, *lines)),
                (_, true) => Some((*one, *lines)),
                _ => None,
            },
        )
    }

    /// More specific filters that take nearly all of the lines of one, each alone or all together.
    fn sharers(&self, at: usize) -> Vec<FilterName> {
        let lines = self.survey.tallies[at].lines;
        let is_specific = |other: &usize| self.breadth(*other) < self.breadth(at);
        let shared: Vec<_> = self
            .shared(at)
            .filter(|(other, _)| is_specific(other))
            .collect();
        let is_enough = |shared: u64| lines > 0 && shared * 100 >= lines * NEARLY_ALL;
        let name = |other: &usize| self.name(*other).clone();
        let alone: Vec<_> = shared
            .iter()
            .filter(|(_, lines)| is_enough(*lines))
            .collect();
        if !alone.is_empty() {
            return alone.iter().map(|(other, _)| name(other)).collect();
        }
        match is_enough(self.survey.tallies[at].covered) {
            true => shared.iter().map(|(other, _)| name(other)).collect(),
            false => Vec::new(),
        }
    }

    /// Whether no other filter is for the same service: which of them is of use, failures alone tell.
    fn is_alone(&self, at: usize) -> bool {
        let own = &self.spec(at).records;
        let mut others = self
            .ground
            .specs
            .iter()
            .enumerate()
            .filter(|(other, _)| *other != at);
        others.all(|(other, spec)| {
            let same = spec.records.entries() == own.entries();
            let is_narrower = self.survey.tallies[other].is_named
                && spec.records.programs.len() < own.programs.len()
                && spec
                    .records
                    .programs
                    .iter()
                    .all(|name| own.programs.contains(name))
                && !spec.records.programs.is_empty();
            !same && !is_narrower
        })
    }

    /// The jail that would protect; `None` if nobody knows where its records will be.
    fn proposal(&self, at: usize, taken: &mut BTreeSet<JailName>) -> Option<Proposal> {
        let (trial, reason): (&Trial, Reason) = self.survey.trials.choose(at, &self.survey.logins);
        let logpath = self.logpath(at)?;
        let shares = self
            .shared(at)
            .map(|(other, lines)| (self.name(other).clone(), lines));
        Some(Proposal {
            jail: free(self.name(at), taken)?,
            thresholds: trial.thresholds,
            is_usual: trial.thresholds == self.survey.trials.usual(at).thresholds,
            reason,
            logpath,
            shares: shares.collect(),
            banned: trial.banned(),
        })
    }

    /// What has to be said of where the records are; nothing if the filter knows it.
    fn logpath(&self, at: usize) -> Option<Vec<String>> {
        let tally = &self.survey.tallies[at];
        let found = match tally.found_at.is_empty() {
            true => &tally.seen_at,
            false => &tally.found_at,
        };
        let records = &self.spec(at).records;
        let by_journal = records.entries().is_some();
        let places = || found.iter().map(|at| &self.places[*at]);
        // What a jail listens to that says nothing of it.
        let is_heard = |place: &Place| match place.is_journal() {
            true => by_journal,
            false => place.expecting.contains(&at) && !(by_journal && place.is_copy),
        };
        let is_enough = match by_journal {
            true => places().any(is_heard),
            false => places().all(is_heard),
        };
        if is_enough {
            return Some(Vec::new());
        }
        let mut paths = BTreeSet::new();
        for path in places().filter_map(|place| place.path.as_ref()) {
            let globs = records.files.iter();
            let own = globs.filter(|glob| {
                let glob = glob.parse::<FileGlob>();
                glob.is_ok_and(|glob| glob.matches(path))
            });
            let own: Vec<_> = own.map(|glob| glob.to_string()).collect();
            match own.is_empty() {
                true => paths.extend(path.to_str().map(escaped)),
                false => paths.extend(own),
            }
        }
        let knows_place = by_journal || !records.files.is_empty() || !paths.is_empty();
        knows_place.then(|| paths.into_iter().collect())
    }
}

/// Whether what a filter needs is a setting of the jail, by the name of that, and not one of the service.
fn asks_for_more(needs: &str) -> bool {
    let mut words = needs.split(|sign: char| !sign.is_ascii_lowercase());
    words.any(|word| SPARING.contains(&word))
}

/// A name that no jail has yet.
fn free(filter: &FilterName, taken: &mut BTreeSet<JailName>) -> Option<JailName> {
    let own = filter.to_string();
    let numbered = (2..10).map(|number| format!("{own}-{number}"));
    let mut names = std::iter::once(own.clone()).chain(numbered);
    names.find_map(|name| {
        let name: JailName = name.parse().ok()?;
        taken.insert(name.clone()).then_some(name)
    })
}

/// A path as `logpath` takes it, in which some signs are wildcards.
fn escaped(path: &str) -> String {
    path.chars()
        .map(|sign| match sign {
            '*' | '?' | '[' | ']' => format!("[{sign}]"),
            other => other.to_string(),
        })
        .collect()
}

/// What people should know a filter by.
pub fn described(row: &Row) -> &str {
    match row.title.is_empty() {
        true => row.filter.as_str(),
        false => &row.title,
    }
}
