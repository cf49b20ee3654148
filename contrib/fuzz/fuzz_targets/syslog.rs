//! No message of a syslog sender breaks the reader.
#![no_main]

use f2bd::engine::record::wire::WireReader;
use f2bd::engine::time::Timestamp;

libfuzzer_sys::fuzz_target!(|input: &[u8]| {
    let mut reader = WireReader::new(&jiff::tz::TimeZone::UTC);
    for message in input.split(|byte| *byte == 0) {
        let record = reader.read(message, Timestamp::from_micros(1_770_905_421_000_000));
        assert!(record.message.len() <= message.len());
    }
});
