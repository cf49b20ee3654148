//! Which filter takes which record?
//!
//! In: the specs of all filters, then records. Out: what was found. One pass of an automaton over all
//! patterns of a filter rejects nearly every message; only a record that passes it costs memory, or one that has
//! fields before a filter that looks at fields alone.

use std::borrow::Cow;

use regex::bytes::{RegexSet, RegexSetBuilder};

use super::language::LARGEST_PROGRAM;
use super::pattern::{Ignore, Pattern, Reading};
use super::{FilterSpec, Found, PatternError, View};
use crate::engine::policy::FilterId;
use crate::engine::record::report::{Outcome, Reported};

/// The most memory that all patterns of one filter may take together.
const LARGEST_SET: usize = 4 * LARGEST_PROGRAM;

/// All filters of a policy, compiled.
#[derive(Debug, Default)]
pub struct FilterSet {
    filters: Vec<Filter>,
}

#[derive(Debug)]
struct Filter {
    spec: FilterSpec,
    /// What each pattern says of the message.
    messages: RegexSet,
    patterns: Vec<Pattern>,
    /// Whether there is one that says nothing of it.
    by_fields: bool,
    ignored_messages: RegexSet,
    ignores: Vec<Ignore>,
}

/// In a set of those over messages it stands for a pattern that looks at fields alone: it takes nothing.
const NOTHING: &str = "[a&&b]";

impl FilterSet {
    /// Compiles the filters; [`FilterId`] is the place in `specs`.
    ///
    /// # Errors
    /// Every pattern that cannot be compiled or would let free text move an address, and every filter
    /// that has none.
    pub fn compile(specs: Vec<FilterSpec>) -> Result<Self, Vec<PatternError>> {
        let mut problems = Vec::new();
        let mut filters = Vec::new();
        for spec in specs {
            match Filter::compile(spec) {
                Ok(filter) => filters.push(filter),
                Err(errors) => problems.extend(errors),
            }
        }
        if problems.is_empty() {
            Ok(FilterSet { filters })
        } else {
            Err(problems)
        }
    }

    /// The filter's own words.
    pub fn spec(&self, filter: FilterId) -> &FilterSpec {
        &self.filters[usize::from(filter.0)].spec
    }

    /// The failure that a record is to `filter`, if the filter asked for such records.
    pub fn find<'v>(&self, filter: FilterId, view: &'v View<'_>) -> Option<Found<'v>> {
        self.filters.get(usize::from(filter.0))?.find(view)
    }
}

impl Filter {
    fn compile(spec: FilterSpec) -> Result<Self, Vec<PatternError>> {
        let error = |number, ignore, reason| PatternError {
            filter: spec.name.to_string(),
            number,
            ignore,
            reason,
        };
        let mut problems = Vec::new();
        if spec.failures.is_empty() && !spec.records.reports {
            problems.push(error(
                0,
                false,
                "there is no [[failure]] pattern for this mode".to_owned(),
            ));
        }
        let (mut patterns, mut ignores) = (Vec::new(), Vec::new());
        for failure in &spec.failures {
            match Pattern::failure(failure) {
                Ok(pattern) => patterns.push(pattern),
                Err(reason) => problems.push(error(failure.number, false, reason)),
            }
        }
        for ignore in &spec.ignores {
            match Ignore::new(ignore) {
                Ok(ignore) => ignores.push(ignore),
                Err(reason) => problems.push(error(ignore.number, true, reason)),
            }
        }
        let messages = set(patterns.iter().map(Pattern::over_message));
        let messages = messages.map_err(|reason| problems.push(error(0, false, reason)));
        let ignored = set(ignores.iter().map(Ignore::over_message));
        let ignored = ignored.map_err(|reason| problems.push(error(0, true, reason)));
        match (messages, ignored) {
            (Ok(messages), Ok(ignored_messages)) if problems.is_empty() => Ok(Filter {
                by_fields: patterns
                    .iter()
                    .any(|pattern| pattern.over_message().is_none()),
                spec,
                messages,
                patterns,
                ignored_messages,
                ignores,
            }),
            _ => Err(problems),
        }
    }

    fn find<'v>(&self, view: &'v View<'_>) -> Option<Found<'v>> {
        let records = &self.spec.records;
        let record = view.record();
        if records.reports || record.reported.is_some() {
            let mut services = records.services.iter();
            let is_asked = services.any(|name| **name == *record.program);
            let reported = record.reported.filter(|_| is_asked);
            return reported.and_then(|reported| failure(reported, record.message));
        }
        // Jails choose from where they hear what names no program.
        let programs = &records.programs;
        let asked = programs.is_empty()
            || record.program.is_empty()
            || programs.iter().any(|name| **name == *record.program);
        let message = view.message();
        // `is_match` keeps no list of what matched and so allocates nothing.
        if !asked || !(self.messages.is_match(message) || self.by_fields && view.has_fields()) {
            return None;
        }
        let hits = self.messages.matches(message);
        // A pattern that takes the record for what it is not leaves it to the next; a doubtful address
        // ends the search, or a laxer pattern might read another one at the same place.
        let mut candidates = (0..)
            .zip(&self.patterns)
            .filter(|(at, pattern)| hits.matched(*at) || pattern.over_message().is_none());
        let mut found = loop {
            match candidates.next()?.1.find(view) {
                Reading::Failure(found) => break found,
                Reading::Other => {}
                Reading::Doubtful => return None,
            }
        };
        if self.is_ignored(view) {
            return None;
        }
        if self.spec.session_by_pid && found.session.is_none() {
            found.session = record.pid.map(|pid| Cow::Owned(pid.to_string()));
        }
        Some(found)
    }

    fn is_ignored(&self, view: &View<'_>) -> bool {
        let hits = self.ignored_messages.matches(view.message());
        (0..).zip(&self.ignores).any(|(at, ignore)| {
            (hits.matched(at) || ignore.over_message().is_none()) && ignore.takes(view)
        })
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
    use crate::engine::filter::{PatternSpec, RecordsSpec};
    use crate::engine::record::{LONGEST_MESSAGE, Record};
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
