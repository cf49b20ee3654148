//! When was a line written, by the stamp at its head?
//!
//! In: the bytes of a line. Out: a moment and how many bytes the stamp took. No clock is read: what a
//! stamp leaves out is filled in from a given moment and zone.

use jiff::civil::DateTime;
use jiff::tz::{Offset, TimeZone};

use crate::engine::time::Timestamp;

/// 29 February may be eight years back, across a century that has no leap year.
const YEARS_BACK: i16 = 8;

/// A clock that runs ahead, or a zone that was guessed wrongly, may put a line this far into the future.
const DAY_MICROS: i64 = 86_400_000_000;

const MONTHS: [&[u8; 3]; 12] = [
    b"Jan", b"Feb", b"Mar", b"Apr", b"May", b"Jun", b"Jul", b"Aug", b"Sep", b"Oct", b"Nov", b"Dec",
];

/// `Feb  2 14:10:21`: the newest such moment that is at most a day after `now`.
pub fn bsd(line: &[u8], now: Timestamp, zone: &TimeZone) -> Option<(Timestamp, usize)> {
    let month = MONTHS.iter().position(|name| line.starts_with(*name))?;
    let month = i8::try_from(month + 1).ok()?;
    let day = match line.get(3..6)? {
        [b' ', b' ', unit] => number(&[*unit])?,
        [b' ', day @ ..] => number(day)?,
        _ => return None,
    };
    if line.get(6) != Some(&b' ') {
        return None;
    }
    let (hour, minute, second) = clock(line.get(7..15)?)?;
    let (nanos, used) = fraction(line.get(15..)?);
    let year = local(now, zone)?.year();
    let newest = now.as_micros().saturating_add(DAY_MICROS);
    (year - YEARS_BACK..=year + 1).rev().find_map(|year| {
        let date = DateTime::new(year, month, narrow(day)?, hour, minute, second, nanos).ok()?;
        let time = moment(date, zone)?;
        (time.as_micros() <= newest).then_some((time, 15 + used))
    })
}

/// `2026-02-12T14:10:21.123456+01:00`, with a blank for the `T`, and without fraction or offset too.
pub fn iso(line: &[u8], zone: &TimeZone) -> Option<(Timestamp, usize)> {
    let [y1, y2, y3, y4, b'-', m1, m2, b'-', d1, d2, b'T' | b' ', ..] = line else {
        return None;
    };
    let year = i16::try_from(number(&[*y1, *y2, *y3, *y4])?).ok()?;
    let (month, day) = (narrow(number(&[*m1, *m2])?)?, narrow(number(&[*d1, *d2])?)?);
    let (hour, minute, second) = clock(line.get(11..19)?)?;
    let (nanos, used) = fraction(line.get(19..)?);
    let date = DateTime::new(year, month, day, hour, minute, second, nanos).ok()?;
    let end = 19 + used;
    let sign = match line.get(end) {
        Some(b'Z') => return Some((moment(date, &TimeZone::UTC)?, end + 1)),
        Some(b'+') => 1,
        Some(b'-') => -1,
        _ => return Some((moment(date, zone)?, end)),
    };
    let colon = usize::from(line.get(end + 3) == Some(&b':'));
    let hours = number(line.get(end + 1..end + 3)?)?;
    let minutes = number(line.get(end + 3 + colon..end + 5 + colon)?)?;
    let seconds = i32::try_from(hours * 3600 + minutes * 60).ok()?;
    let offset = Offset::from_seconds(sign * seconds).ok()?;
    let time = offset.to_timestamp(date).ok()?;
    Some((time.into(), end + 5 + colon))
}

/// `Thu 2026-02-12 14:10:21 CET`, as `journalctl -o short-full` writes it. `UTC` is told apart; any other
/// abbreviation is taken for the given zone, since the same letters name several.
pub fn short_full(line: &[u8], zone: &TimeZone) -> Option<(Timestamp, usize)> {
    const DAYS: [&[u8; 4]; 7] = [
        b"Mon ", b"Tue ", b"Wed ", b"Thu ", b"Fri ", b"Sat ", b"Sun ",
    ];
    if !DAYS.iter().any(|day| line.starts_with(*day)) {
        return None;
    }
    let rest = &line[4..];
    let (_, used) = iso(rest, zone)?;
    let name = rest.get(used..)?.strip_prefix(b" ")?;
    let length = name.iter().position(|byte| *byte == b' ')?;
    let zone = if &name[..length] == b"UTC" {
        &TimeZone::UTC
    } else {
        zone
    };
    let (time, used) = iso(rest, zone)?;
    Some((time, 4 + used + 1 + length))
}

/// An hour that a clock change repeats is taken for its first turn, one that it skips as if the change
/// had not come yet: always the same answer for the same text.
fn moment(date: DateTime, zone: &TimeZone) -> Option<Timestamp> {
    zone.to_ambiguous_timestamp(date)
        .compatible()
        .ok()
        .map(Timestamp::from)
}

fn local(now: Timestamp, zone: &TimeZone) -> Option<DateTime> {
    let now = jiff::Timestamp::from_microsecond(now.as_micros()).ok()?;
    Some(zone.to_datetime(now))
}

fn clock(text: &[u8]) -> Option<(i8, i8, i8)> {
    let [h1, h2, b':', m1, m2, b':', s1, s2] = text else {
        return None;
    };
    let part = |a: &u8, b: &u8| narrow(number(&[*a, *b])?);
    // A leap second is the last one of its minute.
    Some((part(h1, h2)?, part(m1, m2)?, part(s1, s2)?.min(59)))
}

/// Nanoseconds of `.123456` or `,123`, and the bytes it takes.
fn fraction(text: &[u8]) -> (i32, usize) {
    let Some(b'.' | b',') = text.first() else {
        return (0, 0);
    };
    let digits = text[1..]
        .iter()
        .take(9)
        .take_while(|byte| byte.is_ascii_digit())
        .count();
    if digits == 0 {
        return (0, 0);
    }
    let nanos = (0..9).fold(0, |nanos, at| {
        let digit = if at < digits {
            i32::from(text[1 + at] - b'0')
        } else {
            0
        };
        nanos * 10 + digit
    });
    (nanos, 1 + digits)
}

fn number(text: &[u8]) -> Option<u32> {
    text.iter().try_fold(0, |sum: u32, byte| {
        let digit = byte.is_ascii_digit().then(|| u32::from(byte - b'0'))?;
        sum.checked_mul(10)?.checked_add(digit)
    })
}

fn narrow(number: u32) -> Option<i8> {
    i8::try_from(number).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Half an hour off, days of 23 and 25 hours, and ahead of everybody.
    fn zones() -> impl Strategy<Value = TimeZone> {
        const ZONES: [&str; 4] = [
            "UTC0",
            "IST-5:30",
            "EST5EDT,M3.2.0,M11.1.0",
            "NZST-12NZDT,M9.5.0,M4.1.0/3",
        ];
        proptest::sample::select(&ZONES[..]).prop_map(|zone| TimeZone::posix(zone).expect("a zone"))
    }

    proptest! {
        #[test]
        fn no_bytes_break_the_parsers(
            head in "(Mon |Feb  ?[0-9]{1,2} |[0-9]{4}-[0-9]{2}-[0-9]{2}[T ])?([0-9:]{8})?([.,][0-9]{0,12})?([+-][0-9:]{0,6})?",
            tail in proptest::collection::vec(any::<u8>(), 0..30),
            now in any::<i64>(),
            zone in zones(),
        ) {
            let line = [head.as_bytes(), &tail].concat();
            let now = Timestamp::from_micros(now);
            for (_, used) in [bsd(&line, now, &zone), iso(&line, &zone), short_full(&line, &zone)]
                .into_iter()
                .flatten()
            {
                prop_assert!(used <= line.len());
            }
        }

        /// From 2000 on, to the microsecond.
        #[test]
        fn what_is_written_is_read(micros in 946_684_800_000_000..4_102_444_800_000_000_i64, zone in zones()) {
            let time = Timestamp::from_micros(micros);
            let whole = Timestamp::from_micros(micros - micros.rem_euclid(1_000_000));
            let written = jiff::Timestamp::from_microsecond(micros).expect("a moment");
            let there = written.to_zoned(zone.clone());
            let show = |format: &str| there.strftime(format).to_string();
            let offset = show("%FT%H:%M:%S.%6f%:z");
            prop_assert_eq!(iso(offset.as_bytes(), &TimeZone::UTC), Some((time, 32)));
            let utc = written.strftime("%a %F %H:%M:%S UTC ").to_string();
            prop_assert_eq!(short_full(utc.as_bytes(), &zone), Some((whole, 27)));
            let utc = written.strftime("%b %e %H:%M:%S").to_string();
            prop_assert_eq!(bsd(utc.as_bytes(), time, &TimeZone::UTC), Some((whole, 15)));
            // An hour that the zone has twice is read as the first one.
            let local = show("%F %H:%M:%S");
            let (read, used) = iso(local.as_bytes(), &zone).expect("a stamp");
            let late = whole.as_micros() - read.as_micros();
            prop_assert_eq!(used, 19);
            prop_assert!(late == 0 || late == 3_600_000_000, "{} is read as {}", local, read);
        }
    }

    #[test]
    fn the_year_is_the_newest_that_fits() {
        for (now, stamp, time) in [
            (
                "2026-02-12T14:00:00Z",
                "Feb 12 14:10:21",
                "2026-02-12T14:10:21Z",
            ),
            (
                "2026-02-12T14:00:00Z",
                "Feb 14 14:10:21",
                "2025-02-14T14:10:21Z",
            ),
            (
                "2026-12-31T23:59:59Z",
                "Jan  1 00:00:03",
                "2027-01-01T00:00:03Z",
            ),
            (
                "2026-01-01T00:00:00Z",
                "Dec 31 23:59:59",
                "2025-12-31T23:59:59Z",
            ),
            (
                "2026-02-12T14:00:00Z",
                "Feb 29 01:00:00",
                "2024-02-29T01:00:00Z",
            ),
        ] {
            let now = now.parse().expect("a moment");
            let (read, used) = bsd(stamp.as_bytes(), now, &TimeZone::UTC).expect("a stamp");
            assert_eq!((read.to_string().as_str(), used), (time, 15), "{stamp}");
        }
    }

    #[test]
    fn iso_stamps_are_read_in_all_spellings() {
        for (stamp, time) in [
            ("2026-02-12T14:10:21Z", "2026-02-12T14:10:21Z"),
            ("2026-02-12T14:10:21.5+01:00", "2026-02-12T13:10:21.5Z"),
            ("2026-02-12T14:10:21-0130", "2026-02-12T15:40:21Z"),
            ("2026-02-12 14:10:21,123", "2026-02-12T14:10:21.123Z"),
        ] {
            let (read, used) = iso(stamp.as_bytes(), &TimeZone::UTC).expect("a stamp");
            assert_eq!((read.to_string().as_str(), used), (time, stamp.len()));
        }
        let full = b"Thu 2026-02-12 14:10:21 UTC host x";
        assert_eq!(
            short_full(full, &TimeZone::UTC).map(|(_, used)| used),
            Some(27)
        );
    }
}
