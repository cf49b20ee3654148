//! No text breaks the pattern compiler, of either language.
#![no_main]

use std::num::NonZeroU16;

use f2bd::engine::filter::{FilterSet, FilterSpec, LineRules, Outcome, PatternSpec, RecordsSpec};

libfuzzer_sys::fuzz_target!(|text: String| {
    let over_lines = LineRules {
        prefix: None,
        dates: None,
        window: NonZeroU16::MIN,
    };
    for lines in [None, Some(over_lines)] {
        let Ok(name) = "fuzz".parse() else { return };
        let _ = FilterSet::compile(vec![FilterSpec {
            name,
            mode: "".into(),
            title: String::new(),
            records: RecordsSpec::default(),
            session_by_pid: false,
            failures: vec![PatternSpec {
                number: 1,
                text: text.clone(),
                fields: Vec::new(),
                unless_counted: false,
            }],
            outcome: Outcome::Failure,
            successes: Vec::new(),
            ignores: Vec::new(),
            others: Vec::new(),
            lines,
        }]);
    }
});
