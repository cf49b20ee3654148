//! No line of a text log breaks the reader.
#![no_main]

use f2bd::engine::record::text::TextReader;
use f2bd::engine::time::Timestamp;

libfuzzer_sys::fuzz_target!(|input: &[u8]| {
    let now = Timestamp::from_micros(1_770_905_421_000_000);
    let mut reader = TextReader::new(jiff::tz::TimeZone::UTC, &[], now);
    for line in input.split(|byte| *byte == b'\n') {
        let record = reader.read(line);
        assert!(record.message.len() <= line.len());
    }
});
