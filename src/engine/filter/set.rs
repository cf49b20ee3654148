//! Which filters take which record?
//!
//! In: the specs of all filters, then records. Out: what was found. One look at the message for the texts that
//! patterns need rejects nearly every record, however many filters there are; only a pattern whose text stands in it is
//! tried, once for all filters that have it. What is not taken costs no memory.

mod candidates;
mod compile;
mod crowd;
mod knowing;
mod lines;
mod loose;

use std::borrow::Cow;
use std::sync::OnceLock;

use regex::bytes::RegexSet;
use smallvec::SmallVec;

use self::candidates::Candidates;
use self::crowd::{Asked, Crowds};
use self::lines::Lines;
use self::loose::Loose;
use super::line::trial::Trial;
use super::line::{LineFilter, LineMemory, LinePattern};
use super::literal::Texts;
use super::pattern::{Ignore, Pattern, Reading};
use super::sieve::Sieve;
use super::{FilterSpec, Found, Outcome, RecordsSpec, Session, View};
use crate::engine::policy::FilterId;
use crate::engine::record::Record;
use crate::engine::record::report::Reported;

/// All filters of a policy, compiled.
#[derive(Clone, Debug)]
pub struct FilterSet {
    filters: Vec<Filter>,
    /// Those of all filters, each different one once.
    patterns: Vec<Shared>,
    /// Those of them that ask for the same.
    crowds: Crowds,
    /// The texts that they need, by their place.
    sieve: Sieve,
    /// Filters with patterns that need no text.
    with_loose: Vec<FilterId>,
    /// The patterns over whole lines; in the sieve their places follow those of the others.
    lines: Lines,
}

/// A pattern, and which filters have it.
#[derive(Clone, Debug)]
struct Shared {
    pattern: Pattern,
    /// Texts of which every message holds one that it takes; none if it is tried on all.
    needs: Texts,
    uses: Vec<Use>,
}

/// A pattern as one filter has it.
#[derive(Clone, Copy, Debug)]
struct Use {
    filter: FilterId,
    /// The first one that takes a record decides.
    place: usize,
    number: u16,
    unless_counted: bool,
}

#[derive(Clone, Debug)]
struct Filter {
    spec: FilterSpec,
    loose: Option<Loose>,
    /// What it is, if it looks at whole lines.
    lines: Option<LineFilter>,
    ignored_messages: RegexSet,
    ignores: Vec<Ignore>,
    /// What else it knows; compiled when somebody asks.
    others: OnceLock<Vec<Ignore>>,
}

/// What patterns make of a record.
struct Verdicts<'f, 'v> {
    found: &'f mut Findings<'v>,
    /// Those that found a doubtful address: they find nothing, and nor do later patterns of the filter.
    doubtful: SmallVec<[Use; 1]>,
}

/// A filter to which a record is a failure, and what it finds in it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding<'v> {
    /// The filter.
    pub filter: FilterId,
    /// The place of the pattern, [`Use::place`].
    place: usize,
    /// The failure.
    pub found: Found<'v>,
}

/// There mostly is one at the most, which needs no memory of its own. It is built where it stays: to move it from hand to
/// hand cost more than to look whether there are others.
pub type Findings<'v> = SmallVec<[Finding<'v>; 1]>;

impl Default for FilterSet {
    fn default() -> Self {
        FilterSet {
            filters: Vec::new(),
            patterns: Vec::new(),
            crowds: Crowds::default(),
            sieve: Sieve::new(Vec::new(), |_| false),
            with_loose: Vec::new(),
            lines: Lines::default(),
        }
    }
}

impl FilterSet {
    /// What the patterns of some filters need. A log may be full of failures, but not of logins.
    fn sieve_of(&self, of: impl Fn(FilterId) -> bool) -> Sieve {
        let finds_logins = |one: &Use| self.spec(one.filter).outcome == Outcome::Success;
        Sieve::new(self.texts(of), |pattern| {
            let shared = self.patterns.get(pattern);
            shared.is_some_and(|shared| shared.uses.iter().all(finds_logins))
        })
    }

    /// The texts that the patterns of some filters need.
    fn texts(&self, of: impl Fn(FilterId) -> bool) -> Vec<(Vec<u8>, usize)> {
        let used = |shared: &Shared| shared.uses.iter().any(|one| of(one.filter));
        let patterns = self.patterns.iter().enumerate();
        let patterns = patterns.filter(|(_, shared)| used(shared));
        let texts = patterns
            .flat_map(|(at, shared)| shared.needs.iter().map(move |text| (text.clone(), at)));
        let count = self.patterns.len();
        let of_lines = self.lines.texts(&of).into_iter();
        texts
            .chain(of_lines.map(|(text, at)| (text, count + at)))
            .collect()
    }

    /// The filter's own words.
    pub fn spec(&self, filter: FilterId) -> &FilterSpec {
        &self.filters[usize::from(filter.0)].spec
    }

    /// How many filters there are.
    pub fn len(&self) -> usize {
        self.filters.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.filters.is_empty()
    }

    /// The sieve for lines of which only these filters hear; `None` if one of them has a pattern over messages that
    /// needs no text.
    pub fn sieve(&self, filters: &[FilterId]) -> Option<Sieve> {
        let loose = || {
            let loose = filters
                .iter()
                .map(|filter| &self.filters[usize::from(filter.0)].loose);
            loose.flatten()
        };
        let objects = loose().any(|loose| loose.by_fields);
        let mut all = (0..).map(FilterId).take(self.filters.len());
        let are_all = all.all(|filter| filters.contains(&filter));
        let sieve = || match are_all {
            true => self.sieve.clone(),
            false => self.sieve_of(|filter| filters.contains(&filter)),
        };
        let mut always = filters.iter().flat_map(|filter| self.lines.always(*filter));
        let sees_all = loose().any(|loose| loose.by_message) || always.next().is_some();
        (!sees_all).then(|| sieve().keeping(objects))
    }

    /// The patterns of a filter, by their numbers, that are tried on every record, since they need no text that could be
    /// looked for.
    pub fn tried_always(&self, filter: FilterId) -> Vec<u16> {
        let loose = self.filters[usize::from(filter.0)].loose.iter();
        let patterns = loose.flat_map(|loose| &loose.patterns);
        let over_message = |at: &&usize| self.patterns[**at].pattern.over_message().is_some();
        let uses = patterns
            .filter(over_message)
            .flat_map(|at| &self.patterns[*at].uses);
        let of_messages = uses
            .filter(|one| one.filter == filter)
            .map(|one| one.number);
        let failures = &self.spec(filter).failures;
        let of_lines = self.lines.always(filter);
        of_messages
            .chain(of_lines.map(|place| failures[place].number))
            .collect()
    }

    /// The patterns of a filter over whole lines that might take an address which a client wrote into the line.
    pub fn forgeable(&self, filter: FilterId) -> Vec<LinePattern> {
        let lines = self.filters[usize::from(filter.0)].lines.iter();
        lines.flat_map(LineFilter::forgeable).collect()
    }

    /// The patterns of a filter, by their numbers, that ask for something behind text in which a client may have written it.
    pub fn floating(&self, filter: FilterId) -> Vec<u16> {
        let floating = self.patterns.iter();
        let floating = floating.filter(|shared| shared.pattern.is_floating());
        let uses = floating.flat_map(|shared| &shared.uses);
        uses.filter(|one| one.filter == filter)
            .map(|one| one.number)
            .collect()
    }

    /// The failure that a record is to `filter` by itself, if the filter asked for such records.
    pub fn find<'v>(&self, filter: FilterId, view: &'v View<'_>) -> Option<Found<'v>> {
        let mut findings = self.findings(view, &mut LineMemory::default()).into_iter();
        findings
            .find(|finding| finding.filter == filter)
            .map(|finding| finding.found)
    }

    /// The filters to which a record is a failure, of those that asked for such records, in their order. Filters over whole
    /// lines remember in `memory` what earlier ones said.
    pub fn findings<'v>(&self, view: &'v View<'_>, memory: &mut LineMemory) -> Findings<'v> {
        let record = view.record();
        let mut found = Findings::new();
        if let Some(reported) = record.reported {
            self.report(record, reported, &mut found);
        } else {
            self.read(view, memory, &mut found);
        }
        found
    }

    /// What becomes of a line on its way through a filter over whole lines.
    pub fn trial(
        &self,
        id: FilterId,
        view: &View<'_>,
        memory: &mut LineMemory,
        asks_all: bool,
    ) -> Trial {
        let mut trial = Trial::new(asks_all);
        let filter = &self.filters[usize::from(id.0)];
        if let Some(lines) = &filter.lines {
            let places: Vec<_> = (0..lines.failures()).collect();
            lines.find((id, &filter.spec), view, &places, memory, Some(&mut trial));
        }
        trial
    }

    /// What filters find in the text of a record.
    fn read<'v>(&self, view: &'v View<'_>, memory: &mut LineMemory, found: &mut Findings<'v>) {
        let record = view.record();
        let mut verdicts = Verdicts {
            found,
            doubtful: SmallVec::new(),
        };
        let mut candidates = Candidates::none();
        for text in view.texts(!self.lines.is_empty()) {
            for (patterns, _) in self.sieve.places(text) {
                patterns.iter().for_each(|pattern| candidates.add(*pattern));
            }
        }
        let count = self.patterns.len();
        match candidates.all() {
            Some(candidates) => {
                let (message, mut asked) = (view.message(), Asked::default());
                for pattern in candidates.iter().filter(|pattern| **pattern < count) {
                    let (crowds, patterns) = (&self.crowds, &self.patterns);
                    if crowds.may_take(*pattern, message, patterns, &mut asked) {
                        patterns[*pattern].judge(&self.filters, view, &mut verdicts);
                    }
                }
            }
            None => {
                for shared in self
                    .patterns
                    .iter()
                    .filter(|shared| !shared.needs.is_empty())
                {
                    shared.judge(&self.filters, view, &mut verdicts);
                }
            }
        }
        for id in &self.with_loose {
            let filter = &self.filters[usize::from(id.0)];
            if let Some(loose) = filter.loose.as_ref().filter(|_| filter.asks(record)) {
                loose.judge(*id, &self.patterns, view, &mut verdicts);
            }
        }
        if !self.lines.is_empty() {
            let of_lines = |all: &[usize]| {
                let places = all.iter().filter_map(|place| place.checked_sub(count));
                places.collect::<SmallVec<[usize; 8]>>().into_iter()
            };
            let tries = self.lines.tries(candidates.all().map(of_lines));
            Lines::judge(&self.filters, &tries, view, memory, verdicts.found);
        }
        if !verdicts.found.is_empty() {
            self.decide(verdicts, view);
        }
    }

    /// Leaves what each filter finds, by the verdicts of its patterns: the first one decides.
    fn decide(&self, verdicts: Verdicts<'_, '_>, view: &View<'_>) {
        let Verdicts { found, doubtful } = verdicts;
        if found.len() > 1 {
            found.sort_by_key(|finding| (finding.filter, finding.place));
            found.dedup_by_key(|finding| finding.filter);
        }
        found.retain(|finding| {
            let is_earlier =
                |other: &Use| other.filter == finding.filter && other.place < finding.place;
            let filter = &self.filters[usize::from(finding.filter.0)];
            !doubtful.iter().any(is_earlier) && !filter.is_ignored(view)
        });
        for Finding { filter, found, .. } in found {
            let spec = &self.filters[usize::from(filter.0)].spec;
            if spec.session_by_pid && found.session.is_none() {
                found.session = view.record().pid.map(Session::Process);
            }
        }
    }

    /// What the filters find that asked for such reports of this service.
    fn report<'v>(
        &self,
        record: &Record<'v>,
        reported: &'v Reported<'v>,
        found: &mut Findings<'v>,
    ) {
        let filters = self.filters.iter().zip((0..).map(FilterId));
        let asked = filters.filter(|(filter, _)| {
            let mut services = filter.spec.records.services.iter();
            filter.spec.outcome == reported.outcome
                && services.any(|name| **name == *record.program)
        });
        found.extend(asked.map(|(_, filter)| Finding {
            filter,
            place: 0,
            found: told(reported, record.message),
        }));
    }
}

impl<'v> Verdicts<'_, 'v> {
    /// Whether an earlier pattern of the same filter has spoken, so that this one does not matter.
    fn are_before(&self, one: &Use) -> bool {
        let found = self.found.iter();
        let mut found = found.map(|finding| (finding.filter, finding.place));
        let mut doubtful = self.doubtful.iter().map(|of| (of.filter, of.place));
        let is_earlier = |(filter, place)| filter == one.filter && place < one.place;
        found.any(is_earlier) || doubtful.any(is_earlier)
    }

    /// Takes what a pattern makes of the record, for all filters that have it.
    fn take<'u>(
        &mut self,
        reading: Reading<'v>,
        first: &'u Use,
        others: impl Iterator<Item = &'u Use>,
    ) {
        match reading {
            Reading::Failure(found) => {
                self.found
                    .extend(others.map(|of| of.finding(found.clone())));
                self.found.push(first.finding(found));
            }
            Reading::Doubtful => {
                self.doubtful.push(*first);
                self.doubtful.extend(others.copied());
            }
            Reading::Other => {}
        }
    }
}

impl Use {
    /// What the filter finds if its pattern takes that.
    fn finding<'v>(&self, found: Found<'v>) -> Finding<'v> {
        Finding {
            filter: self.filter,
            place: self.place,
            found: Found {
                pattern: self.number,
                unless_counted: self.unless_counted,
                ..found
            },
        }
    }
}

impl Shared {
    /// What the record is to the filters that have the pattern and asked for such records.
    fn judge<'v>(&self, filters: &[Filter], view: &'v View<'_>, verdicts: &mut Verdicts<'_, 'v>) {
        let asks = |one: &&Use| filters[usize::from(one.filter.0)].asks(view.record());
        let mut uses = self.uses.iter().filter(asks);
        let Some(first) = uses.next() else {
            return;
        };
        let is_needed = |one| !verdicts.are_before(one);
        if is_needed(first) || uses.clone().any(is_needed) {
            verdicts.take(self.pattern.find(view), first, uses);
        }
    }
}

impl Filter {
    /// Whether the filter looks at the text of such records. Jails choose from where they hear what names no program.
    fn asks(&self, record: &Record<'_>) -> bool {
        let RecordsSpec {
            programs, reports, ..
        } = &self.spec.records;
        let is_named = || programs.iter().any(|name| **name == *record.program);
        !reports && (programs.is_empty() || record.program.is_empty() || is_named())
    }

    fn is_ignored(&self, view: &View<'_>) -> bool {
        if self.ignores.is_empty() {
            return false;
        }
        let taking = self.ignored_messages.matches(view.message());
        (0..).zip(&self.ignores).any(|(at, ignore)| {
            (taking.matched(at) || ignore.over_message().is_none()) && ignore.takes(view)
        })
    }
}

/// What an application reports.
fn told<'r>(reported: &'r Reported<'r>, line: &'r [u8]) -> Found<'r> {
    Found {
        pattern: 0,
        host: Cow::Owned(reported.address.to_string()),
        ip: Some(reported.address.to_canonical()),
        user: reported.user.as_deref().map(Cow::Borrowed),
        target: None,
        forwarded: None,
        session: None,
        unless_counted: false,
        said: None,
        line,
    }
}

#[cfg(test)]
mod tests;
