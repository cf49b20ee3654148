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
    let usual = DateTemplates::usual();
    let mut sets = [Some(&usual), told.as_ref()].map(|templates| (templates, LastDate::default()));
    for line in lines {
        // Of the two hours of 27 October 2024 that were called so, one after the other.
        let minutes = line.first().map_or(0, |byte| i64::from(byte % 3));
        let now = Timestamp::from_micros(1_729_987_200_000_000 + minutes * 2_700_000_000);
        for (templates, last) in &mut sets {
            let Some(templates) = templates else { continue };
            let found = templates.find(line, &zone, now, last);
            assert_eq!(found, templates.find(line, &zone, now, &mut LastDate::default()));
            if let Ok(Some(found)) = found {
                assert!(line.get(found.cut).is_some());
            }
        }
    }
});
