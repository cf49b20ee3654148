//! No line breaks the reader.
#![no_main]

use f2bd::engine::record::syslog::{LineForm, LineReader};
use f2bd::engine::time::Timestamp;

libfuzzer_sys::fuzz_target!(|line: &[u8]| {
    let form = LineForm::in_zone(jiff::tz::TimeZone::UTC);
    let record = LineReader::new(&form, Timestamp::default()).read(line);
    assert!(record.message.len() <= line.len());
});
