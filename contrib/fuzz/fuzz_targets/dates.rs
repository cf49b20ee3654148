//! No format and no line breaks the date readers. The first line of the input is a format, the others are read by
//! it, and by any form that is known.
#![no_main]

use f2bd::engine::record::date::{Dates, TimeFormat};
use f2bd::engine::time::Timestamp;
use jiff::tz::TimeZone;

libfuzzer_sys::fuzz_target!(|input: &[u8]| {
    let zone = TimeZone::posix("CET-1CEST,M3.5.0,M10.5.0/3").expect("a zone");
    let mut lines = input.split(|byte| *byte == b'\n');
    let format = lines.next().and_then(|line| std::str::from_utf8(line).ok());
    let told: Option<TimeFormat> = format.and_then(|format| format.parse().ok());
    let mut readers = vec![Dates::new(zone.clone(), &[])];
    readers.extend(told.map(|format| Dates::new(zone, &[format])));
    let now = Timestamp::from_micros(1_770_905_421_000_000);
    for line in lines {
        for dates in &mut readers {
            if let Some(found) = dates.find(line, 0, now) {
                assert!(found.start < found.end && found.end <= line.len());
            }
        }
    }
});
