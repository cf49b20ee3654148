//! No line of JSON breaks the reader.
#![no_main]

use f2bd::engine::record::json::JsonFields;
use f2bd::engine::record::line::{Format, LineForm, LineReader};
use f2bd::engine::time::Timestamp;

libfuzzer_sys::fuzz_target!(|input: &[u8]| {
    let mut form = LineForm::in_zone(jiff::tz::TimeZone::UTC);
    form.format = Format::Json(JsonFields::default());
    let mut reader = LineReader::new(&form, Timestamp::from_micros(1_770_905_421_000_000));
    for line in input.split(|byte| *byte == b'\n') {
        let _ = reader.read(line);
    }
});
