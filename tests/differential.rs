//! The engine says of every record what the slow way says: one pattern after the other, each by itself.
//!
//! Patterns and records are made of bytes: `PROPTEST_CASES` says how many of them are tried, and
//! `contrib/fuzz/fuzz_targets/matching.rs` looks for others.

mod choices;
mod generated;
mod naive;
mod patterns;
mod streams;
mod texts;

use std::cell::Cell;
use std::collections::BTreeSet;
use std::sync::LazyLock;

use choices::Choices;
use f2bd::engine::record::line::{LineForm, LineReader};
use f2bd::engine::record::{LONGEST_MESSAGE, Record};
use f2bd::engine::time::Timestamp;
use generated::{Both, Tally};
use jiff::tz::TimeZone;
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::test_runner::TestRunner;

use crate::filters::{self, ALL};

/// So many cases as somebody asked for, or as many as take a second or two.
fn cases(usual: u32) -> ProptestConfig {
    let told = std::env::var("PROPTEST_CASES").ok();
    let told = told.map(|cases| cases.parse().expect("a number of cases"));
    ProptestConfig {
        failure_persistence: None,
        ..ProptestConfig::with_cases(told.unwrap_or(usual))
    }
}

#[test]
fn generated_patterns_take_of_generated_texts_what_each_takes_by_itself() {
    let sum = Cell::new(Tally::default());
    let mut runner = TestRunner::new(cases(300));
    let run = runner.run(&vec(any::<u8>(), 200..800), |bytes| {
        let mut tally = sum.get();
        tally.add(generated::check(&bytes));
        sum.set(tally);
        Ok(())
    });
    run.unwrap_or_else(|error| panic!("{error}"));
    let tally = sum.get();
    assert!(
        tally.sound * 4 > tally.written,
        "too few patterns are sound: {tally:?}"
    );
    assert!(
        tally.found * 10 > tally.shown,
        "too few records are found: {tally:?}"
    );
}

/// Filters whose patterns are in each other's way.
const RIVALS: [&[&str]; 14] = [
    &["^from <ip>", "^<user> <ip>$"],
    &["^from <ip>", "^<host> <text>$"],
    &["^from /?<ip>", "^from <host>", "^from <text> <ip>$"],
    &["<text> <ip>$", "^<ip> <text>$"],
    &[
        "^from <ip>(?:: | port <port>)?",
        "^from <text>[^.:0-9A-Za-z_%-]<ip>$",
    ],
    &["^from <host> <text>$", "^<text> <ip>$"],
    &["^for /* from <ip>"],
    &["^for /* from <ip>$"],
    &["^for /* from <host>", "^for <user> <ip>$"],
    &["^for /* from <ip>:?", "^for <user> from <ip>$"],
    &["^for <user> from <ip>$"],
    &["^for <user> from <host>$", "^for /* from <ip>"],
    &["(?i)^FOR /* FROM <ip>", "^for <text> <ip>:<port>$"],
    &["^<ip>", "<ip>$"],
];

/// The address and what stands around it: whole, a part of something longer, or none.
const NEIGHBOURS: [(&str, &str); 22] = [
    ("", ""),
    ("", ".5"),
    ("", ". x"),
    ("", "7"),
    ("", "x"),
    ("", ":22"),
    ("", "::1"),
    ("", ": x"),
    ("", ":x"),
    ("", "%eth0"),
    ("", "-x"),
    ("", " 203.0.113.9"),
    ("", ".5 203.0.113.9"),
    ("", "x port 22 ::9"),
    ("x", ""),
    ("x:", " ::9"),
    ("a:", " ::9"),
    ("::", " ::9"),
    (".", " ::9"),
    ("-", " ::9"),
    ("[", "] 203.0.113.9:1"),
    ("\u{e9}", "\u{e9}"),
];

/// Also where the text is cut somewhere about the address.
#[test]
fn patterns_that_are_in_each_others_way_take_what_each_takes_by_itself() {
    let spec = |(number, patterns): (usize, &&[&str])| {
        let failures = patterns.iter().zip(1..);
        generated::filter(
            number,
            failures
                .map(|(text, number)| generated::pattern(number, (*text).to_owned()))
                .collect(),
        )
    };
    let both = Both::new(RIVALS.iter().enumerate().map(spec).collect()).unwrap();
    let compare = |text: &str| both.compare(Record::bare(Timestamp::default(), text.as_bytes()));
    let mut found = 0;
    for address in [
        "192.0.2.7",
        "2001:db8::7",
        "fe80::",
        "::",
        "box.example",
        "999.0.2.7",
    ] {
        for (before, behind) in NEIGHBOURS {
            for head in [
                "",
                "from ",
                "From ",
                "for from ",
                "for / from ",
                "for 203.0.113.9 from ",
            ] {
                found += compare(&format!("{head}{before}{address}{behind}"));
            }
            let head = "for  from ".len() + before.len() + address.len();
            for length in LONGEST_MESSAGE - 4..LONGEST_MESSAGE + 4 {
                let padding = "/".repeat(length - head);
                found += compare(&format!("for {padding} from {before}{address}{behind}"));
            }
        }
    }
    assert!(found > 1000, "{found}");
}

#[test]
fn lines_that_are_passed_over_change_nothing_of_the_others() {
    let readers = streams::Readers::new();
    let counted = Cell::new(0);
    let mut runner = TestRunner::new(cases(400));
    let run = runner.run(&vec(any::<u8>(), 20..300), |bytes| {
        counted.set(counted.get() + readers.check(&bytes));
        Ok(())
    });
    run.unwrap_or_else(|error| panic!("{error}"));
    assert!(counted.get() > 400, "{}", counted.get());
}

/// What a line of a sample says.
struct Said {
    program: String,
    pid: Option<u32>,
    message: Vec<u8>,
    object: Vec<u8>,
}

/// Every shipped filter in every mode, all in one set, and all lines of their samples.
static SHIPPED: LazyLock<(Both, Vec<Said>)> = LazyLock::new(|| {
    let (mut specs, mut said) = (Vec::new(), Vec::new());
    for name in filters::names() {
        let (all, samples) = filters::filter(&name, ALL);
        specs.extend(all.of_successes());
        specs.push(all);
        let modes = samples.iter().filter_map(|sample| sample.mode.as_deref());
        for mode in modes.chain(["normal"]).collect::<BTreeSet<_>>() {
            specs.push(filters::filter(&name, mode).0);
        }
        let now = "2026-02-13T00:00:00Z".parse().unwrap();
        let mut reader = LineReader::new(&LineForm::in_zone(TimeZone::UTC), now);
        for line in samples.iter().flat_map(|sample| &sample.lines) {
            if let Ok(Some(record)) = reader.read(line.as_bytes()) {
                said.push(Said {
                    program: record.program.to_owned(),
                    pid: record.pid,
                    message: record.message.to_vec(),
                    object: record.object().to_vec(),
                });
            }
        }
    }
    (Both::new(specs).unwrap(), said)
});

impl Said {
    fn record(&self) -> Record<'_> {
        Record {
            program: &self.program,
            pid: self.pid,
            line: &self.object,
            is_object: !self.object.is_empty(),
            ..Record::bare(Timestamp::default(), &self.message)
        }
    }
}

#[test]
fn shipped_filters_take_of_their_samples_what_each_pattern_takes_by_itself() {
    let (both, said) = &*SHIPPED;
    let found = said.iter().map(|said| both.compare(said.record()));
    assert!(found.sum::<usize>() >= said.len());
}

proptest! {
    #![proptest_config(cases(500))]

    #[test]
    fn shipped_filters_take_of_hostile_text_what_each_pattern_takes_by_itself(
        at in any::<prop::sample::Index>(),
        bytes in vec(any::<u8>(), 0..40),
    ) {
        let (both, said) = &*SHIPPED;
        let mut choices = Choices::new(&bytes);
        let said = at.get(said);
        let (mut message, mut object) = (said.message.clone(), said.object.clone());
        for _ in 0..choices.below(5) {
            texts::change(&mut message, &mut choices);
            if !object.is_empty() {
                texts::change(&mut object, &mut choices);
            }
        }
        both.compare(Record {
            program: choices.of(&[said.program.as_str(), said.program.as_str(), "", "app"]),
            message: &message,
            line: &object,
            is_object: !object.is_empty(),
            ..said.record()
        });
    }
}
