//! Which filters take which record?
//!
//! In: the specs of all filters, then records. Out: what was found. One look at the message for the texts that
//! patterns need rejects nearly every record, however many filters there are; only a pattern whose text stands in it is
//! tried, once for all filters that have it. What is not taken costs no memory.

use std::borrow::Cow;
use std::collections::HashMap;

use regex::bytes::{RegexSet, RegexSetBuilder};
use smallvec::SmallVec;

use super::language::LARGEST_PROGRAM;
use super::literal::{self, Texts};
use super::pattern::{Ignore, Pattern, Reading};
use super::sieve::Sieve;
use super::{FilterSpec, Found, PatternError, PatternSpec, RecordsSpec, View};
use crate::engine::policy::FilterId;
use crate::engine::record::Record;
use crate::engine::record::report::{Outcome, Reported};

/// The most memory that the patterns of one filter that are tried together may take.
const LARGEST_SET: usize = 4 * LARGEST_PROGRAM;

/// So many patterns are noted down whose texts stand in a message; if there are more, all are tried.
const MOST_CANDIDATES: usize = 16;

/// All filters of a policy, compiled.
#[derive(Debug)]
pub struct FilterSet {
    filters: Vec<Filter>,
    /// Those of all filters, each different one once.
    patterns: Vec<Shared>,
    /// The texts that they need, by their place.
    sieve: Sieve,
    /// Filters with patterns that need no text.
    with_loose: Vec<FilterId>,
}

/// A pattern, and which filters have it.
#[derive(Debug)]
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

#[derive(Debug)]
struct Filter {
    spec: FilterSpec,
    loose: Option<Loose>,
    ignored_messages: RegexSet,
    ignores: Vec<Ignore>,
}

/// The patterns of one filter of which no text is known that messages must hold.
#[derive(Debug)]
struct Loose {
    /// By their place in the set.
    patterns: Vec<usize>,
    /// What each of them says of the message.
    messages: RegexSet,
    /// Whether there is one that says nothing of it.
    by_fields: bool,
}

/// What a filter makes of a record; nothing, if an address was doubtful.
struct Verdict<'v> {
    of: Use,
    found: Option<Found<'v>>,
}

/// There mostly is one at the most, which needs no memory of its own.
type Verdicts<'v> = SmallVec<[Verdict<'v>; 1]>;

/// The filters to which a record is a failure, and what they find in it.
pub type Findings<'v> = SmallVec<[(FilterId, Found<'v>); 1]>;

/// In a set of those over messages it stands for a pattern that looks at fields alone: it takes nothing.
const NOTHING: &str = "[a&&b]";

impl Default for FilterSet {
    fn default() -> Self {
        FilterSet {
            filters: Vec::new(),
            patterns: Vec::new(),
            sieve: Sieve::new(Vec::new()),
            with_loose: Vec::new(),
        }
    }
}

impl FilterSet {
    /// Compiles the filters; [`FilterId`] is the place in `specs`.
    ///
    /// # Errors
    /// Every pattern that cannot be compiled or would let free text move an address, and every filter
    /// that has none.
    pub fn compile(specs: Vec<FilterSpec>) -> Result<Self, Vec<PatternError>> {
        let mut set = FilterSet::default();
        let mut problems = Vec::new();
        let mut known = HashMap::new();
        for (spec, id) in specs.into_iter().zip(0..) {
            match set.compile_filter(spec, FilterId(id), &mut known) {
                Ok(filter) => set.filters.push(filter),
                Err(errors) => problems.extend(errors),
            }
        }
        if !problems.is_empty() {
            return Err(problems);
        }
        set.choose_texts();
        set.sieve = Sieve::new(set.texts(|_| true));
        let all = set.filters.iter().zip((0..).map(FilterId));
        let loose = all.filter(|(filter, _)| filter.loose.is_some());
        set.with_loose = loose.map(|(_, id)| id).collect();
        Ok(set)
    }

    fn compile_filter(
        &mut self,
        spec: FilterSpec,
        filter: FilterId,
        known: &mut HashMap<(String, String), usize>,
    ) -> Result<Filter, Vec<PatternError>> {
        let error = |number, ignore, reason| PatternError {
            filter: spec.name.to_string(),
            number,
            ignore,
            reason,
        };
        let mut problems = Vec::new();
        if spec.failures.is_empty() && !spec.records.reports {
            let reason = "there is no [[failure]] pattern for this mode".to_owned();
            problems.push(error(0, false, reason));
        }
        let mut own = Vec::new();
        for (place, failure) in spec.failures.iter().enumerate() {
            let at = match self.share(failure, known) {
                Ok(at) => at,
                Err(reason) => {
                    problems.push(error(failure.number, false, reason));
                    continue;
                }
            };
            own.push(at);
            self.patterns[at].uses.push(Use {
                filter,
                place,
                number: failure.number,
                unless_counted: failure.unless_counted,
            });
        }
        let mut ignores = Vec::new();
        for ignore in &spec.ignores {
            match Ignore::new(ignore) {
                Ok(ignore) => ignores.push(ignore),
                Err(reason) => problems.push(error(ignore.number, true, reason)),
            }
        }
        own.retain(|at| self.patterns[*at].pattern.options().is_empty());
        let loose = Loose::of(own, &self.patterns);
        let loose = loose.map_err(|reason| problems.push(error(0, false, reason)));
        let ignored = set(ignores.iter().map(Ignore::over_message));
        let ignored = ignored.map_err(|reason| problems.push(error(0, true, reason)));
        match (loose, ignored) {
            (Ok(loose), Ok(ignored_messages)) if problems.is_empty() => Ok(Filter {
                spec,
                loose,
                ignored_messages,
                ignores,
            }),
            _ => Err(problems),
        }
    }

    /// The place of a pattern among all; it is compiled if no filter has had it.
    fn share(
        &mut self,
        spec: &PatternSpec,
        known: &mut HashMap<(String, String), usize>,
    ) -> Result<usize, String> {
        let key = (spec.text.clone(), format!("{:?}", spec.fields));
        if let Some(at) = known.get(&key) {
            return Ok(*at);
        }
        self.patterns.push(Shared {
            pattern: Pattern::failure(spec)?,
            needs: Texts::new(),
            uses: Vec::new(),
        });
        let at = self.patterns.len() - 1;
        known.insert(key, at);
        Ok(at)
    }

    /// Chooses what is looked for instead of trying patterns: what few of them have.
    fn choose_texts(&mut self) {
        let mut shared: HashMap<Vec<u8>, usize> = HashMap::new();
        let options = self
            .patterns
            .iter()
            .flat_map(|shared| shared.pattern.options());
        for text in options.flatten() {
            *shared.entry(text.clone()).or_default() += 1;
        }
        let shared_by = |text: &[u8]| shared.get(text).copied().unwrap_or(0);
        for Shared { pattern, needs, .. } in &mut self.patterns {
            *needs = literal::best(pattern.options().to_vec(), shared_by).unwrap_or_default();
        }
    }

    /// The texts that the patterns of some filters need.
    fn texts(&self, of: impl Fn(FilterId) -> bool) -> Vec<(Vec<u8>, usize)> {
        let used = |shared: &Shared| shared.uses.iter().any(|one| of(one.filter));
        let patterns = self.patterns.iter().enumerate();
        let patterns = patterns.filter(|(_, shared)| used(shared));
        let texts = patterns
            .flat_map(|(at, shared)| shared.needs.iter().map(move |text| (text.clone(), at)));
        texts.collect()
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

    /// The sieve for lines of which only these filters hear; `None` if one of them has a pattern that needs no text.
    pub fn sieve(&self, filters: &[FilterId]) -> Option<Sieve> {
        let is_loose = |filter: &FilterId| self.filters[usize::from(filter.0)].loose.is_some();
        let sieve = || Sieve::new(self.texts(|filter| filters.contains(&filter)));
        (!filters.iter().any(is_loose)).then(sieve)
    }

    /// The patterns of a filter, by their numbers, that are tried on every record, since they need no text that could be
    /// looked for.
    pub fn tried_always(&self, filter: FilterId) -> Vec<u16> {
        let loose = self.filters[usize::from(filter.0)].loose.iter();
        let patterns = loose.flat_map(|loose| &loose.patterns);
        let uses = patterns.flat_map(|at| &self.patterns[*at].uses);
        uses.filter(|one| one.filter == filter)
            .map(|one| one.number)
            .collect()
    }

    /// The failure that a record is to `filter`, if the filter asked for such records.
    pub fn find<'v>(&self, filter: FilterId, view: &'v View<'_>) -> Option<Found<'v>> {
        let mut findings = self.findings(view).into_iter();
        findings
            .find(|(of, _)| *of == filter)
            .map(|(_, found)| found)
    }

    /// The filters to which a record is a failure, of those that asked for such records, in their order.
    pub fn findings<'v>(&self, view: &'v View<'_>) -> Findings<'v> {
        let record = view.record();
        if let Some(reported) = record.reported {
            return self.reports(record, reported);
        }
        let mut verdicts = Verdicts::new();
        let mut candidates = Candidates::default();
        for (patterns, _) in self.sieve.hits(view.message()) {
            patterns.iter().for_each(|pattern| candidates.add(*pattern));
        }
        match candidates.all() {
            Some(candidates) => {
                for pattern in candidates {
                    self.patterns[*pattern].judge(&self.filters, view, &mut verdicts);
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
        self.decided(verdicts, view)
    }

    /// What each filter finds, by the verdicts of its patterns: the first one decides.
    fn decided<'v>(&self, mut verdicts: Verdicts<'v>, view: &View<'_>) -> Findings<'v> {
        if verdicts.len() > 1 {
            verdicts.sort_by_key(|verdict| (verdict.of.filter, verdict.of.place));
            verdicts.dedup_by_key(|verdict| verdict.of.filter);
        }
        let mut findings = Findings::new();
        for Verdict { of, found } in verdicts {
            let filter = &self.filters[usize::from(of.filter.0)];
            let Some(mut found) = found.filter(|_| !filter.is_ignored(view)) else {
                continue;
            };
            found.pattern = of.number;
            found.unless_counted = of.unless_counted;
            if filter.spec.session_by_pid && found.session.is_none() {
                let pid = view.record().pid;
                found.session = pid.map(|pid| Cow::Owned(pid.to_string()));
            }
            findings.push((of.filter, found));
        }
        findings
    }

    /// The filters that asked for reports of this service.
    fn reports<'v>(&self, record: &Record<'v>, reported: Reported<'v>) -> Findings<'v> {
        let filters = self.filters.iter().zip((0..).map(FilterId));
        let asked = filters.filter(|(filter, _)| {
            let mut services = filter.spec.records.services.iter();
            services.any(|name| **name == *record.program)
        });
        asked
            .filter_map(|(_, id)| Some((id, failure(reported, record.message)?)))
            .collect()
    }
}

impl Shared {
    /// What the record is to the filters that have the pattern and asked for such records.
    fn judge<'v>(&self, filters: &[Filter], view: &'v View<'_>, verdicts: &mut Verdicts<'v>) {
        let asks = |one: &&Use| filters[usize::from(one.filter.0)].asks(view.record());
        let mut uses = self.uses.iter().filter(asks);
        let Some(first) = uses.next() else {
            return;
        };
        let found = match self.pattern.find(view) {
            Reading::Failure(found) => Some(found),
            Reading::Doubtful => None,
            Reading::Other => return,
        };
        for of in uses {
            let found = found.clone();
            verdicts.push(Verdict { of: *of, found });
        }
        verdicts.push(Verdict { of: *first, found });
    }
}

impl Loose {
    /// These patterns; `None` if there are none.
    fn of(patterns: Vec<usize>, all: &[Shared]) -> Result<Option<Self>, String> {
        if patterns.is_empty() {
            return Ok(None);
        }
        let over = |at: &usize| all[*at].pattern.over_message();
        Ok(Some(Loose {
            messages: set(patterns.iter().map(over))?,
            by_fields: patterns.iter().any(|at| over(at).is_none()),
            patterns,
        }))
    }

    fn judge<'v>(
        &self,
        filter: FilterId,
        all: &[Shared],
        view: &'v View<'_>,
        verdicts: &mut Verdicts<'v>,
    ) {
        let message = view.message();
        // `is_match` keeps no list of what matched and so allocates nothing.
        if !(self.messages.is_match(message) || self.by_fields && view.has_fields()) {
            return;
        }
        let hits = self.messages.matches(message);
        for (at, pattern) in self.patterns.iter().enumerate() {
            let Shared { pattern, uses, .. } = &all[*pattern];
            if !hits.matched(at) && pattern.over_message().is_some() {
                continue;
            }
            let found = match pattern.find(view) {
                Reading::Failure(found) => Some(found),
                Reading::Doubtful => None,
                Reading::Other => continue,
            };
            let own = uses.iter().filter(|one| one.filter == filter);
            verdicts.extend(own.map(|of| Verdict {
                of: *of,
                found: found.clone(),
            }));
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

/// Some different patterns, until they are too many.
#[derive(Default)]
struct Candidates {
    patterns: [usize; MOST_CANDIDATES],
    count: usize,
}

impl Candidates {
    fn add(&mut self, pattern: usize) {
        let known = &self.patterns[..self.count.min(MOST_CANDIDATES)];
        if known.contains(&pattern) {
            return;
        }
        if let Some(next) = self.patterns.get_mut(self.count) {
            *next = pattern;
        }
        self.count = (self.count + 1).min(MOST_CANDIDATES + 1);
    }

    /// Them; `None` if they are too many.
    fn all(&self) -> Option<&[usize]> {
        self.patterns.get(..self.count)
    }
}

/// The failure that an application reports.
fn failure<'r>(reported: Reported<'r>, line: &'r [u8]) -> Option<Found<'r>> {
    (reported.outcome == Outcome::Failure).then(|| Found {
        pattern: 0,
        host: Cow::Owned(reported.address.to_string()),
        ip: Some(reported.address),
        user: reported.user.map(Cow::Borrowed),
        session: None,
        unless_counted: false,
        line,
    })
}

fn set<'s>(sources: impl Iterator<Item = Option<&'s str>>) -> Result<RegexSet, String> {
    RegexSetBuilder::new(sources.map(|source| source.unwrap_or(NOTHING)))
        .unicode(false)
        .dot_matches_new_line(true)
        .size_limit(LARGEST_SET)
        .build()
        .map_err(|error| error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::record::LONGEST_MESSAGE;
    use crate::engine::time::Timestamp;

    fn filter(patterns: &[&str]) -> FilterSet {
        filter_with(patterns, Vec::new())
    }

    fn pattern(text: &str, number: u16) -> PatternSpec {
        PatternSpec {
            number,
            text: text.to_owned(),
            fields: Vec::new(),
            unless_counted: false,
        }
    }

    fn filter_with(patterns: &[&str], ignores: Vec<PatternSpec>) -> FilterSet {
        let failures = patterns.iter().zip(1..);
        let failures = failures.map(|(text, number)| pattern(text, number));
        FilterSet::compile(vec![FilterSpec {
            name: "test".parse().expect("a name"),
            mode: "normal".into(),
            title: String::new(),
            records: RecordsSpec::default(),
            session_by_pid: false,
            failures: failures.collect(),
            successes: Vec::new(),
            ignores,
        }])
        .expect("sound")
    }

    #[test]
    fn reports_are_for_those_who_ask_for_their_service() {
        let text = filter(&["^<ip> denied$"]);
        let mut spec = text.spec(FilterId(0)).clone();
        spec.failures.clear();
        spec.records.reports = true;
        spec.records.services = vec!["shop".into()];
        let reports = FilterSet::compile(vec![spec]).expect("sound");
        let address = "192.0.2.7".parse().expect("an address");
        let record = |program: &'static str, outcome: Option<Outcome>| Record {
            program,
            reported: outcome.map(|outcome| Reported {
                address,
                user: Some("root"),
                outcome,
            }),
            ..Record::bare(Timestamp::default(), b"192.0.2.9 denied")
        };
        let ip = |filter: &FilterSet, record| filter.find(FilterId(0), &View::from(record))?.ip;
        let failure = Some(Outcome::Failure);
        assert_eq!(ip(&reports, record("shop", failure)), Some(address));
        assert_eq!(ip(&reports, record("shop", Some(Outcome::Success))), None);
        assert_eq!(ip(&reports, record("other", failure)), None);
        assert_eq!(
            ip(&reports, record("shop", None)),
            None,
            "text is no report"
        );
        assert_eq!(
            ip(&text, record("shop", failure)),
            None,
            "a report is no text"
        );
    }

    #[test]
    fn a_text_that_may_have_been_cut_is_not_ignored_for_its_end() {
        let by_field = PatternSpec {
            fields: vec![("agent".parse().expect("a path"), "^x*$".to_owned())],
            ..pattern("", 1)
        };
        let padding = |used: &str, more: usize| "x".repeat(LONGEST_MESSAGE - used.len() + more);
        for (ignore, head, is_ignored) in [
            (pattern("^from <ip> x*$", 1), "from 192.0.2.7 ", false),
            (pattern(r"^from <ip> x*\b", 1), "from 192.0.2.7 ", false),
            (pattern("^from <ip> x", 1), "from 192.0.2.7 ", true),
        ] {
            let filter = filter_with(&["^from <ip> "], vec![ignore.clone()]);
            for more in [0, 9] {
                let message = format!("{head}{}", padding(head, more));
                let record = Record::bare(Timestamp::default(), message.as_bytes());
                let view = View::from(record);
                let found = filter.find(FilterId(0), &view).is_some();
                assert_eq!(found, !is_ignored, "{ignore} {more}");
            }
        }
        let filter = filter_with(&["^from <ip>$"], vec![by_field]);
        for (length, is_ignored) in [(LONGEST_MESSAGE - 1, true), (LONGEST_MESSAGE, false)] {
            let object = format!(r#"{{"agent":"{}"}}"#, "x".repeat(length));
            let view = View::from(Record {
                object: object.as_bytes(),
                ..Record::bare(Timestamp::default(), b"from 192.0.2.7")
            });
            let found = filter.find(FilterId(0), &view).is_some();
            assert_eq!(found, !is_ignored, "{length}");
        }
    }

    #[test]
    fn a_broken_address_is_left_to_the_next_pattern() {
        let filter = filter(&["^<ip> by <user>$", "^<user> by <ip>$", "^<host> by <text>$"]);
        for (message, pattern) in [
            ("192.0.2.7 by x", Some(1)),
            ("999.0.2.7 by 192.0.2.7", Some(2)),
            ("a.example by 999.0.2.7", Some(3)),
            ("192.0.2.7.5 by x", None),
        ] {
            let record = Record::bare(Timestamp::default(), message.as_bytes());
            let view = View::from(record);
            let found = filter.find(FilterId(0), &view);
            assert_eq!(found.map(|found| found.pattern), pattern, "{message}");
        }
    }
}
