//! No text breaks the pattern compiler.
#![no_main]

use f2bd::engine::filter::{FilterSet, FilterSpec, Outcome, PatternSpec, RecordsSpec};

libfuzzer_sys::fuzz_target!(|text: String| {
    let Ok(name) = "fuzz".parse() else { return };
    let _ = FilterSet::compile(vec![FilterSpec {
        name,
        mode: "".into(),
        title: String::new(),
        records: RecordsSpec::default(),
        session_by_pid: false,
        failures: vec![PatternSpec {
            number: 1,
            text,
            fields: Vec::new(),
            unless_counted: false,
        }],
        outcome: Outcome::Failure,
        successes: Vec::new(),
        ignores: Vec::new(),
    }]);
});
