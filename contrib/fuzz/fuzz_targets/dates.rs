//! No stamp breaks the date parsers.
#![no_main]

use f2bd::engine::{record::date, time::Timestamp};
use jiff::tz::TimeZone;

libfuzzer_sys::fuzz_target!(|line: &[u8]| {
    let zone = TimeZone::UTC;
    let read = [
        date::bsd(line, Timestamp::default(), &zone),
        date::iso(line, &zone),
        date::short_full(line, &zone),
    ];
    assert!(
        read.into_iter()
            .flatten()
            .all(|(_, used)| used <= line.len())
    );
});
