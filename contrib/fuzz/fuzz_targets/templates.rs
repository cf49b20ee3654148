//! No date template and no line breaks the search for dates, and what was read before changes nothing. The first line of
//! the input is a template, the others are searched by it, and by the usual ones.
#![no_main]

use f2bd::engine::record::date::template::{DateTemplates, LastDate};
use f2bd::engine::time::Timestamp;
use jiff::tz::TimeZone;

libfuzzer_sys::fuzz_target!(|input: &[u8]| {
    let zone = TimeZone::posix("CET-1CEST,M3.5.0,M10.5.0/3").expect("a zone");
    let mut lines = input.split(|byte| *byte == b'\n');
    let text = lines.next().and_then(|line| std::str::from_utf8(line).ok());
    let told = text.and_then(|text| DateTemplates::parse(text).ok());
    let now = Timestamp::from_micros(1_770_905_421_000_000);
    let mut last = LastDate::default();
    for line in lines {
        for templates in [Some(DateTemplates::usual()), told.clone()].into_iter().flatten() {
            let found = templates.find(line, &zone, now, &mut last);
            assert_eq!(found, templates.find(line, &zone, now, &mut LastDate::default()));
            if let Ok(Some(found)) = found {
                assert!(line.get(found.cut).is_some());
            }
        }
    }
});
