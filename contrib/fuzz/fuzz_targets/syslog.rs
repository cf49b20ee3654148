//! No line breaks the reader.
#![no_main]

use f2bd::engine::{record::syslog::LineReader, time::Timestamp};

libfuzzer_sys::fuzz_target!(|line: &[u8]| {
    let record = LineReader::new(jiff::tz::TimeZone::UTC, Timestamp::default()).read(line);
    assert!(record.message.len() <= line.len());
});
