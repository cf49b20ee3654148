//! No message from a socket breaks the reader, and its text is a part of what was sent.
#![no_main]

use f2bd::engine::record::wire::WireReader;
use f2bd::engine::time::Timestamp;

libfuzzer_sys::fuzz_target!(|message: &[u8]| {
    let now = Timestamp::from_micros(1_770_000_000_000_000);
    let mut reader = WireReader::new(&jiff::tz::TimeZone::UTC);
    // Twice: what the first one left behind must not matter.
    let first = reader.read(message, now);
    assert_eq!(reader.read(message, now), first);
    let sent = message.as_ptr_range();
    let text = first.message.as_ptr_range();
    assert!(sent.start <= text.start && text.end <= sent.end);
});
