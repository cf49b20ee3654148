//! What sets of filters find, each aspect on a small set of its own.

use super::*;
use std::num::NonZeroU16;

use crate::engine::filter::{LineRules, Outcome, PatternSpec};
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
        outcome: Outcome::Failure,
        successes: Vec::new(),
        ignores,
        others: Vec::new(),
        lines: None,
    }])
    .expect("sound")
}

/// A filter over whole lines with such patterns.
fn over_lines(patterns: &[&str]) -> FilterSpec {
    let mut spec = filter(&["^<ip> unused$"]).spec(FilterId(0)).clone();
    let numbered = patterns.iter().zip(1..);
    spec.failures = numbered
        .map(|(text, number)| pattern(text, number))
        .collect();
    spec.lines = Some(LineRules {
        prefix: None,
        dates: None,
        window: NonZeroU16::MIN,
    });
    spec
}

#[test]
fn a_message_that_its_line_writes_otherwise_is_found_beside_filters_over_lines() {
    let messages = filter(&["^\"denied\" to <ip>$"]);
    let both = vec![
        messages.spec(FilterId(0)).clone(),
        over_lines(&[r"^refused (?P<ip4>\S+)$"]),
    ];
    let both = FilterSet::compile(both).expect("sound");
    let object = br#"{"msg":"\"denied\" to 192.0.2.7"}"#;
    let record = Record {
        line: object,
        is_object: true,
        ..Record::bare(Timestamp::default(), b"\"denied\" to 192.0.2.7")
    };
    for set in [messages, both] {
        assert!(set.find(FilterId(0), &View::from(record)).is_some());
    }
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
    let reported = |outcome| Reported {
        address,
        user: Some("root".into()),
        outcome,
    };
    let (failed, succeeded) = (reported(Outcome::Failure), reported(Outcome::Success));
    let record = |program: &'static str, outcome: Option<Outcome>| Record {
        program,
        reported: outcome.map(|outcome| match outcome {
            Outcome::Failure => &failed,
            Outcome::Success => &succeeded,
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
            line: object.as_bytes(),
            is_object: !object.is_empty(),
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

#[test]
fn of_many_patterns_with_the_same_text_those_find_something_that_take_the_message() {
    let patterns = [
        "^<ip> has posted something [^x]*1",
        "^<ip> has posted something [^x]*2$",
        "^<ip> has posted something [^x]*3",
        "^<ip> has posted something [^x]*4$",
        "^box <ip> has posted something [^x]*$",
    ];
    let set = filter(&patterns);
    let text = b" has posted something ".map(|byte| byte | 0x20).to_vec();
    assert!(
        set.patterns
            .iter()
            .all(|shared| shared.needs == [text.clone()])
    );
    let found = |set: &FilterSet, message: &str| {
        let record = Record::bare(Timestamp::default(), message.as_bytes());
        let view = View::from(record);
        let findings = set.findings(&view, &mut LineMemory::default());
        findings.first().map(|finding| finding.found.pattern)
    };
    for (message, expected) in [
        ("192.0.2.7 has posted something 1", Some(1)),
        ("192.0.2.7 has posted something 12", Some(1)),
        ("192.0.2.7 has posted something 32", Some(2)),
        ("192.0.2.7 has posted something 34", Some(3)),
        ("box 192.0.2.7 has posted something 5", Some(5)),
        ("192.0.2.7 has posted something 5", None),
        ("192.0.2 has posted something 1", None),
        ("box 192.0.2.7 has posted something x", None),
    ] {
        assert_eq!(found(&set, message), expected, "{message}");
    }
}
