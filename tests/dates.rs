//! Facts about the dates of lines: every way of writing them is found without being told, means one moment,
//! and is not moved by what else a line says.

use std::time::Duration;

use f2bd::engine::record::LONGEST_MESSAGE;
use f2bd::engine::record::date::{Part, TimeFormat, TimeFormatError};
use f2bd::engine::record::json::{FieldPath, JsonFields};
use f2bd::engine::record::line::{Format, LineForm, LineReader, Malformed};
use f2bd::engine::record::text::TextReader;
use f2bd::engine::time::Timestamp;
use jiff::Zoned;
use jiff::tz::{Offset, TimeZone};
use proptest::prelude::*;
use proptest::sample::select;

const NOW: &str = "2026-02-12T20:00:00Z";

/// Central European time by its rules, so that no test needs the zones of the machine.
fn berlin() -> TimeZone {
    TimeZone::posix("CET-1CEST,M3.5.0,M10.5.0/3").unwrap()
}

fn moment(text: &str) -> Timestamp {
    text.parse().unwrap()
}

fn reader(zone: TimeZone, now: &str) -> TextReader {
    TextReader::new(zone, &[], moment(now))
}

/// When a line was written that is the first one of its log.
fn read(line: &str, zone: TimeZone, now: &str) -> String {
    // A line without a date is of the present, which is no moment that any of these lines tells.
    let unread = moment(now).after(Duration::from_micros(7));
    let time = TextReader::new(zone, &[], unread)
        .read(line.as_bytes())
        .time;
    match time == unread {
        true => "unread".to_owned(),
        false => time.to_string(),
    }
}

/// Sunday, 23 January 2005, 21:59:59 in Berlin, in all the ways that Fail2ban knows and more.
#[test]
fn every_form_is_found_without_being_told() {
    let second = "2005-01-23T20:59:59Z";
    let millis = "2005-01-23T20:59:59.011Z";
    let micros = "2005-01-23T20:59:59.981746Z";
    for (date, time) in [
        // ISO 8601, with signs of all kinds, and without any further down
        ("2005-01-23T21:59:59.981746+01:00", micros),
        ("2005-01-23T21:59:59.981746+0100", micros),
        ("2005-01-23T21:59:59.981746+01", micros),
        ("2005-01-23T20:59:59.981746Z", micros),
        ("2005-01-23T20:59:59.981746123Z", micros),
        ("2005-01-23T21:59:59", second),
        ("2005-01-23 21:59:59", second),
        ("2005-01-23  21:59:59", second),
        ("2005-01-23 21:59:59,011", millis),
        ("2005-01-23T21:59:59,981746+01:00", micros),
        ("2005/01/23T20:59:59.011Z", millis),
        ("2005.01.23 16:29:59.011 -0430", millis),
        ("2005-01-23 16:29:59 -0430", second),
        ("2005-01-23 20:59:59.011 UTC", millis),
        ("2005-01-23 21:59:59 CET", second),
        ("2005-01-23 12:59:59 PST", second),
        ("2005/01/23 21:59:59", second),
        ("2005.01.23 21:59:59", second),
        ("2005.01.23T20:59:59Z", second),
        // Syslog and asctime
        ("Sun Jan 23 21:59:59.011 2005", millis),
        ("Sun Jan 23 21:59:59 2005", second),
        ("Sunday January 23 21:59:59 2005", second),
        ("Sun Jan 23 21:59:59 CET 2005", second),
        ("Sun Jan 23 21:59:59", second),
        ("Sun Jan 23 21:59:59.011", millis),
        ("Jan 23 21:59:59", second),
        ("JAN 23 21:59:59.011", millis),
        ("Jan 23 21:59:59 2005", second),
        ("Jan 23 20:59:59.011 UTC", millis),
        ("Sunday Jan 23 21:59:59.011 CET 2005", millis),
        // The year behind the day
        ("Sun Jan 23 2005 21:59:59", second),
        ("Sun Jan 23 2005 21:59:59.011", millis),
        ("Jan 23 2005 21:59:59", second),
        ("Jan 23 2005 20:59:59 UTC", second),
        // Day, month, year
        ("23/01/2005 21:59:59", second),
        ("23/01/2005 21:59:59.011", millis),
        ("23/01/05 21:59:59", second),
        ("23-01-2005 21:59:59", second),
        ("23-01-05 21:59:59", second),
        ("23.01.2005 21:59:59", second),
        ("23/01/2005 20:59:59 UTC", second),
        ("23-01-2005 21:59:59 +0100", second),
        // Web servers and BIND
        ("23/Jan/2005:21:59:59 +0100", second),
        ("23/Jan/2005:20:59:59 -0000", second),
        ("23/Jan/2005:21:59:59.011 +0100", millis),
        ("23/Jan/2005:21:59:59", second),
        ("23/Jan/2005 21:59:59", second),
        ("23/Jan/2005 20:59:59.011 -0000", millis),
        ("23-Jan-2005:20:59:59 UTC", second),
        ("23/Jan/200521:59:59", second),
        ("23-Jan-2005 21:59:59.011", millis),
        ("23-Jan-2005 21:59:59 +0100", second),
        ("23-Jan-2005 21:59:59 Europe/Berlin", second),
        ("23-Jan-2005 20:59:59 UTC", second),
        ("Sun, 23 Jan 2005 21:59:59 +0100", second),
        ("23 Jan 2005 21:59:59.011", millis),
        // cPanel
        ("01/23/2005:21:59:59", second),
        ("01/23/2005:20:59:59 -0000", second),
        // Month, day, year
        ("01-23-2005 21:59:59.011", millis),
        ("01/23/2005 21:59:59", second),
        ("01-23-05 21:59:59", second),
        ("01/23/2005 9:59:59 PM", second),
        // Since the epoch
        ("1106513999", second),
        ("1106513999.011", millis),
        ("1106513999.981746", micros),
        ("1106513999011", millis),
        ("1106513999981746", micros),
        ("[1106513999.011]", millis),
        ("audit(1106513999.011:4512)", millis),
        ("type=USER_LOGIN msg=audit(1106513999.011:4512):", millis),
        // The rest
        ("<01/23/05@21:59:59>", second),
        ("050123 21:59:59", second),
        ("050123  9:59:59", "2005-01-23T08:59:59Z"),
        ("Jan 23, 2005 9:59:59 PM", second),
        ("Jan 23, 2005 12:59:59 AM", "2005-01-22T23:59:59Z"),
        ("Jan 23, 2005 12:59:59 PM", "2005-01-23T11:59:59Z"),
        ("Jan-23-05 21:59:59", second),
        ("20050123T215959", second),
        ("20050123T205959Z", second),
        ("20050123T215959.011+0100", millis),
        ("20050123 21:59:59", second),
        ("PST Jan 23 12:59:59", second),
        ("CET Jan 23 21:59:59", second),
        ("UTC Sun Jan 23 20:59:59.011 2005", millis),
        ("+01:00 Jan 23 21:59:59", second),
        ("-0430 Jan 23 16:29:59", second),
        ("@4000000041f4104f00000000", second),
        ("@4000000041f4104f00a7d8c0", millis),
        ("Sun 2005-01-23 21:59:59 CET", second),
        ("Sun 2005-01-23 20:59:59 UTC", second),
    ] {
        let now = "2005-02-12T20:00:00Z";
        for (before, behind) in [
            ("", " x"),
            ("", ""),
            ("[", "] x"),
            ("<38>", " x"),
            ("\"", "\",x"),
        ] {
            let line = format!("{before}{date}{behind}");
            assert_eq!(read(&line, berlin(), now), time, "{line}");
        }
        let alone =
            date.starts_with(|c: char| c.is_ascii_digit() || c == '@') && !date.contains(':');
        // auditd writes its stamp at the head only.
        if (!alone || date.contains('T')) && !date.contains("audit(") {
            let line = format!("192.0.2.7 - root [{date}] \"GET /\" {date}");
            assert_eq!(read(&line, berlin(), now), time, "{line}");
        }
    }
    for line in ["21:59:59 x", "[21:59:59] x", "21:59:59.000 x"] {
        let now = "2005-01-23T21:30:00Z";
        assert_eq!(read(line, berlin(), now), second, "{line}");
    }
}

#[test]
fn what_is_no_date_is_none() {
    for line in [
        "",
        "hello",
        "Feb 30 14:10:21 x",
        "2026-02-30T14:10:21Z x",
        "2026-13-01 14:10:21 x",
        "2026-02-12 24:10:21 x",
        "2026-02-12 14:60:21 x",
        "2026-02-12 14:10:61 x",
        "2026-02/12 14:10:21 x",
        "12026-02-12 14:10:21 x",
        "1926-02-12 14:10:21 x",
        "9999-02-12 14:10:21 x",
        "Febr 12 14:10:21 x",
        "Feb 12 14:10 x",
        "x14:10:21",
        "at 14:10:21 x",
        "00:11:22:33:44:55 x",
        "123456789 x",
        "110651399901 x",
        "call 1106513999 now",
        "1.2.3.4 x",
        "@4000000041f4104f0000000 x",
        "@4000000041f4104fffffffff x",
        "@ffffffffffffffff00000000 x",
        "13/13/2026 14:10:21 x",
        "XYZ Feb 12 x",
    ] {
        assert_eq!(read(line, TimeZone::UTC, NOW), "unread", "{line}");
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
            "Feb 13 13:59:59",
            "2026-02-13T13:59:59Z",
        ),
        (
            "2026-02-12T14:00:00Z",
            "Feb 13 14:00:01",
            "2025-02-13T14:00:01Z",
        ),
        // New Year, with clocks that differ
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
        // Logs that are months old
        (
            "2026-02-12T14:00:00Z",
            "Mar  1 12:00:00",
            "2025-03-01T12:00:00Z",
        ),
        (
            "2026-11-20T14:00:00Z",
            "Jan  1 00:00:00",
            "2026-01-01T00:00:00Z",
        ),
        // Leap years
        (
            "2026-02-12T14:00:00Z",
            "Feb 29 01:00:00",
            "2024-02-29T01:00:00Z",
        ),
        (
            "2024-02-28T14:00:00Z",
            "Feb 29 01:00:00",
            "2024-02-29T01:00:00Z",
        ),
        (
            "2024-02-27T14:00:00Z",
            "Feb 29 15:00:00",
            "2020-02-29T15:00:00Z",
        ),
        (
            "2103-02-12T14:00:00Z",
            "Feb 29 01:00:00",
            "2096-02-29T01:00:00Z",
        ),
    ] {
        let line = format!("{stamp} box app: x");
        assert_eq!(read(&line, TimeZone::UTC, now), time, "{line}");
    }
}

/// One reader, whose clock goes on while the log does.
#[test]
fn the_year_changes_in_mid_log() {
    let mut reader = reader(TimeZone::UTC, "2025-12-31T23:59:00Z");
    for (now, stamp, time) in [
        (
            "2025-12-31T23:59:00Z",
            "Dec 31 23:59:00",
            "2025-12-31T23:59:00Z",
        ),
        (
            "2025-12-31T23:59:59Z",
            "Dec 31 23:59:59",
            "2025-12-31T23:59:59Z",
        ),
        (
            "2025-12-31T23:59:59Z",
            "Jan  1 00:00:00",
            "2026-01-01T00:00:00Z",
        ),
        (
            "2026-01-01T00:00:01Z",
            "Jan  1 00:00:01",
            "2026-01-01T00:00:01Z",
        ),
        (
            "2026-12-31T00:00:02Z",
            "Jan  1 00:00:02",
            "2027-01-01T00:00:02Z",
        ),
        (
            "2026-12-31T00:00:01Z",
            "Jan  1 00:00:01",
            "2027-01-01T00:00:01Z",
        ),
        (
            "2026-12-30T00:00:02Z",
            "Jan  1 00:00:02",
            "2026-01-01T00:00:02Z",
        ),
    ] {
        reader.set_now(moment(now));
        let line = format!("{stamp} box app: x");
        assert_eq!(reader.read(line.as_bytes()).time, moment(time), "{line}");
    }
}

#[test]
fn a_clock_alone_is_of_today_or_yesterday() {
    for (now, clock, time) in [
        ("2026-02-12T20:00:00Z", "20:59:59", "2026-02-12T19:59:59Z"),
        ("2026-02-12T20:00:00Z", "21:00:59", "2026-02-12T20:00:59Z"),
        ("2026-02-12T20:00:00Z", "21:01:01", "2026-02-11T20:01:01Z"),
        ("2026-02-12T23:00:10Z", "23:59:59", "2026-02-12T22:59:59Z"),
        ("2026-02-12T22:59:59Z", "00:00:01", "2026-02-12T23:00:01Z"),
        // The days when the clocks change have 23 and 25 hours.
        ("2026-03-29T00:30:00Z", "01:45:00", "2026-03-28T00:45:00Z"),
        ("2026-10-25T22:30:00Z", "23:45:00", "2026-10-24T21:45:00Z"),
    ] {
        let line = format!("{clock} x");
        assert_eq!(read(&line, berlin(), now), time, "{now} {line}");
    }
    let mut reader = reader(TimeZone::UTC, "2026-02-12T23:59:30Z");
    for (now, clock, time) in [
        ("2026-02-12T23:59:30Z", "23:59:30", "2026-02-12T23:59:30Z"),
        ("2026-02-13T00:00:30Z", "23:59:59", "2026-02-12T23:59:59Z"),
        ("2026-02-13T00:00:30Z", "00:00:00", "2026-02-13T00:00:00Z"),
        ("2026-02-13T23:59:30Z", "23:59:31", "2026-02-13T23:59:31Z"),
    ] {
        reader.set_now(moment(now));
        let line = format!("{clock} x");
        assert_eq!(
            reader.read(line.as_bytes()).time,
            moment(time),
            "{now} {line}"
        );
    }
}

#[test]
fn an_hour_that_the_zone_has_twice_or_not_at_all_is_defined() {
    for (date, time) in [
        // Clocks go from 3:00 back to 2:00: the first turn, unless the zone tells.
        ("2026-10-25 02:30:00", "2026-10-25T00:30:00Z"),
        ("Oct 25 02:30:00", "2026-10-25T00:30:00Z"),
        ("2026-10-25 02:30:00 CEST", "2026-10-25T00:30:00Z"),
        ("2026-10-25 02:30:00 CET", "2026-10-25T01:30:00Z"),
        ("Sun 2026-10-25 02:30:00 CET", "2026-10-25T01:30:00Z"),
        ("2026-10-25 02:30:00 +0100", "2026-10-25T01:30:00Z"),
        // From 2:00 on to 3:00: as if they had not.
        ("2026-03-29 02:30:00", "2026-03-29T01:30:00Z"),
        ("2026-03-29 01:59:59", "2026-03-29T00:59:59Z"),
        ("2026-03-29 03:00:00", "2026-03-29T01:00:00Z"),
        // Summer time in winter is summer time.
        ("2026-01-12 02:30:00 CEST", "2026-01-12T00:30:00Z"),
    ] {
        let now = "2026-12-01T00:00:00Z";
        assert_eq!(read(&format!("{date} x"), berlin(), now), time, "{date}");
    }
}

/// What is logged in the second turn is not an hour old, and what was logged in the first one stays there.
#[test]
fn the_second_turn_of_an_hour_is_known_by_the_clock() {
    let mut reader = reader(berlin(), NOW);
    for (now, date, time) in [
        ("2026-10-25T00:30:01Z", "02:30:00", "2026-10-25T00:30:00Z"),
        ("2026-10-25T00:59:59Z", "02:30:00", "2026-10-25T00:30:00Z"),
        ("2026-10-25T01:30:01Z", "02:30:00", "2026-10-25T01:30:00Z"),
        ("2026-10-25T01:29:30Z", "02:30:00", "2026-10-25T01:30:00Z"),
        ("2026-10-25T01:59:59Z", "02:30:00", "2026-10-25T01:30:00Z"),
        ("2026-10-25T01:59:59Z", "02:00:00", "2026-10-25T00:00:00Z"),
        ("2026-10-25T02:00:01Z", "02:59:59", "2026-10-25T01:59:59Z"),
        ("2026-10-25T02:00:01Z", "03:00:00", "2026-10-25T02:00:00Z"),
        ("2026-10-26T00:00:00Z", "02:59:59", "2026-10-25T00:59:59Z"),
    ] {
        reader.set_now(moment(now));
        for form in ["Oct 25", "2026-10-25"] {
            let line = format!("{form} {date} x");
            let read = reader.read(line.as_bytes()).time;
            assert_eq!(read, moment(time), "{line} at {now}");
        }
    }
}

#[test]
fn abbreviations_mean_what_the_zone_calls_so() {
    let zone = |rules: &str| TimeZone::posix(rules).unwrap();
    let sydney = zone("AEST-10AEDT,M10.1.0,M4.1.0/3");
    for (date, zone, time) in [
        ("2026-02-12 14:10:21 UTC", berlin(), "2026-02-12T14:10:21Z"),
        ("2026-02-12 14:10:21 GMT", berlin(), "2026-02-12T14:10:21Z"),
        (
            "2026-02-12 14:10:21 EST",
            TimeZone::UTC,
            "2026-02-12T19:10:21Z",
        ),
        (
            "2026-02-12 14:10:21 EST",
            zone("EST-10"),
            "2026-02-12T04:10:21Z",
        ),
        (
            "2026-02-12 14:10:21 IST",
            zone("IST-5:30"),
            "2026-02-12T08:40:21Z",
        ),
        (
            "2026-02-12 14:10:21 AEDT",
            sydney.clone(),
            "2026-02-12T03:10:21Z",
        ),
        ("2026-07-12 14:10:21 AEDT", sydney, "2026-07-12T03:10:21Z"),
        // Nobody knows it: it is no zone, or where one must stand the log's own.
        ("2026-02-12 14:10:21 XYZ", berlin(), "2026-02-12T13:10:21Z"),
        (
            "Thu 2026-02-12 14:10:21 XYZ",
            berlin(),
            "2026-02-12T13:10:21Z",
        ),
        (
            "Thu 2026-02-12 14:10:21 +03",
            berlin(),
            "2026-02-12T11:10:21Z",
        ),
    ] {
        let now = "2026-12-01T00:00:00Z";
        assert_eq!(read(&format!("{date} x"), zone, now), time, "{date}");
    }
    let fixed = TimeZone::fixed(Offset::from_seconds(-12_600).unwrap());
    assert_eq!(
        read("2026-02-12 14:10:21 x", fixed, NOW),
        "2026-02-12T17:40:21Z"
    );
}

#[test]
fn a_leap_second_is_the_last_of_its_minute() {
    for date in [
        "2016-12-31T23:59:60Z",
        "Sat Dec 31 23:59:60 2016",
        "31/Dec/2016:23:59:60 +0000",
    ] {
        assert_eq!(read(date, TimeZone::UTC, NOW), "2016-12-31T23:59:59Z");
    }
}

/// `03/04/2026` is two days: the one that is today, else the third of April, until the log tells.
#[test]
fn the_order_of_day_and_month_is_found_out() {
    let times = |now: &str, dates: &[&str]| {
        let mut reader = reader(TimeZone::UTC, now);
        let time = |date: &&str| {
            let line = format!("{date} 10:00:00 x");
            reader.read(line.as_bytes()).time.to_string()[..10].to_owned()
        };
        dates.iter().map(time).collect::<Vec<_>>()
    };
    // Old logs: the day comes first.
    let later = "2028-01-01T12:00:00Z";
    assert_eq!(times(later, &["03/04/2026"]), ["2026-04-03"]);
    // A day above 12 tells, and the log keeps its order.
    assert_eq!(
        times(later, &["03/04/2026", "03/13/2026", "03/04/2026"]),
        ["2026-04-03", "2026-03-13", "2026-03-04"]
    );
    assert_eq!(
        times(later, &["13-03-2026", "03-04-2026"]),
        ["2026-03-13", "2026-04-03"]
    );
    // So does the clock, if the line is new.
    let march = "2026-03-04T10:00:30Z";
    assert_eq!(
        times(march, &["03/04/2026", "03/05/2026"]),
        ["2026-03-04", "2026-03-05"]
    );
    let april = "2026-04-03T10:00:30Z";
    assert_eq!(
        times(april, &["03/04/2026", "04/03/2026"]),
        ["2026-04-03", "2026-03-04"]
    );
    // cPanel and clocks of twelve hours: the month.
    assert_eq!(
        read("03/04/2026:10:00:00 x", TimeZone::UTC, later),
        "2026-03-04T10:00:00Z"
    );
    assert_eq!(
        read("3/4/2026 1:00:00 PM x", TimeZone::UTC, later),
        "2026-03-04T13:00:00Z"
    );
    assert_eq!(
        read("<03/04/26@10:00:00> x", TimeZone::UTC, later),
        "2026-03-04T10:00:00Z"
    );
}

/// What an attacker may write into a line, in the hope to be taken for its date.
const LIES: [&str; 12] = [
    "2020-01-01T00:00:00Z",
    "2020-01-01 00:00:00",
    "Jan  1 00:00:00 2020",
    "Jan  1 00:00:00",
    "[01/Jan/2020:00:00:00 +0000] \"GET /\"",
    "[01/Jan/2020:00:00:00 +0000]",
    "01/Jan/2020:00:00:00 +0000",
    "UTC",
    "EST 2020",
    "2020",
    "+0900",
    "audit(1577836800.000:1):",
];

#[test]
fn text_further_right_is_not_the_date() {
    let truth = moment("2026-02-12T14:10:21Z");
    for honest in [
        "Feb 12 14:10:21 box app: user {} failed",
        "Feb 12 14:10:21 {} failed",
        "<38>Feb 12 14:10:21 box app: {} failed",
        "2026-02-12T14:10:21.000Z {} failed",
        "2026-02-12 14:10:21 {} failed",
        "2026-02-12 14:10:21,000 {} failed",
        "2026/02/12 14:10:21 [error] 1#1: *1 {}",
        "[Thu Feb 12 14:10:21.000000 2026] [auth:error] user {}",
        "[2026-02-12 14:10:21] {}",
        "1770905421.000 {}",
        "[1770905421] {}",
        "192.0.2.7 - - [12/Feb/2026:14:10:21 +0000] \"GET /{} HTTP/1.1\" 404 1",
        "type=USER_LOGIN msg=audit(1770905421.000:7): acct={}",
        "time=\"2026-02-12T14:10:21Z\" level=info user={}",
        "time=2026-02-12T14:10:21.000Z level=INFO msg={}",
        "ts=2026-02-12T14:10:21.000Z caller=main.go:7 user={}",
        "t=2026-02-12T14:10:21+0000 lvl=info msg={}",
        "level=info time=\"2026-02-12T14:10:21Z\" msg={}",
        "level=error ts=1770905421.000 user={}",
        "lvl=eror t=2026-02-12T14:10:21+0000 user={}",
        "12-Feb-2026 14:10:21.000 {}",
        "12/02/2026 14:10:21 {}",
        "14:10:21 {}",
    ] {
        let mut reader = reader(TimeZone::UTC, NOW);
        reader.read(honest.replace("{}", "x").as_bytes());
        for lie in LIES {
            let line = honest.replace("{}", lie);
            assert_eq!(reader.read(line.as_bytes()).time, truth, "{line}");
        }
    }
}

/// What stands in a line without a date makes neither it nor those behind it older.
#[test]
fn a_date_in_the_text_is_not_the_lines() {
    let lies = [
        "LOGIN FAILED user=2020-01-01T00:00:00Z ip=192.0.2.66",
        "LOGIN FAILED user=\"[2020-01-01T00:00:00Z]\" ip=192.0.2.66",
    ];
    for lie in lies {
        let mut undated = reader(TimeZone::UTC, NOW);
        for line in [lie, lie, "LOGIN FAILED user=x ip=192.0.2.66"] {
            assert_eq!(undated.read(line.as_bytes()).time, moment(NOW), "{line}");
        }
    }
    let mut dated = reader(TimeZone::UTC, NOW);
    dated.read(b"2026-02-12 14:10:21 x");
    for line in [
        lies[0],
        lies[1],
        "x [2020-01-01T00:00:00Z] x",
        "x [2027-01-01T00:00:00Z] x",
        "x",
    ] {
        let time = dated.read(line.as_bytes()).time;
        assert_eq!(time, moment("2026-02-12T14:10:21Z"), "{line}");
    }
    for user in ["2020-01-01T00:00:00Z", "[01/Jan/2020:00:00:00 +0000]"] {
        let line =
            format!("192.0.2.7 - {user} [12/Feb/2026:14:10:21 +0000] \"GET / HTTP/1.1\" 401 1");
        let time = reader(TimeZone::UTC, NOW).read(line.as_bytes()).time;
        assert_eq!(time, moment("2026-02-12T14:10:21Z"), "{line}");
    }
}

/// In a log without dates somebody writes one where a web server would, again and again.
#[test]
fn a_habit_of_some_lines_is_not_the_logs() {
    let undated = "LOGIN FAILED user=x ip=192.0.2.66";
    let lie = "LOGIN FAILED user=[01/Jan/2020:00:00:00 +0000] ip=192.0.2.66";
    let level = "x level=info time=\"2020-01-01T00:00:00Z\"";
    let mut reader = reader(TimeZone::UTC, NOW);
    let mut time = |line: &str| reader.read(line.as_bytes()).time;
    time(lie);
    time(lie);
    for _ in 0..5 {
        assert_eq!(time(undated), moment(NOW), "no other line is of that time");
        for _ in 0..10 {
            assert_eq!(time(lie), moment(NOW), "nor are they themselves");
            assert_eq!(time(level), moment(NOW), "a name is one at the head only");
        }
    }
    // In the log of a web server it is a single line that has none.
    let web = |second| {
        format!("192.0.2.7 - x [12/Feb/2026:14:10:{second} +0000] \"GET / HTTP/1.1\" 401 1")
    };
    for second in 10..40 {
        time(&web(second));
    }
    assert_eq!(time(undated), moment(NOW));
    assert_eq!(time(&web(40)), moment("2026-02-12T14:10:40Z"));
    assert_eq!(time(""), moment(NOW));
    assert_eq!(time(&web(41)), moment("2026-02-12T14:10:41Z"));
}

/// A line that begins with a name that a log's other lines have before their dates.
#[test]
fn a_name_counts_at_the_head_only() {
    let mut reader = reader(TimeZone::UTC, NOW);
    reader.read(b"level=info time=\"2026-02-12T14:10:21Z\" msg=x");
    for line in [
        "panic: time=\"2020-01-01T00:00:00Z\" x",
        "user=x level=info time=\"2020-01-01T00:00:00Z\" x",
        "level=in fo time=\"2020-01-01T00:00:00Z\" x",
    ] {
        let time = reader.read(line.as_bytes()).time;
        assert_eq!(time, moment("2026-02-12T14:10:21Z"), "{line}");
    }
}

#[test]
fn a_byte_of_another_encoding_hides_no_text() {
    let line = b"<38>1 2026-02-12T14:10:21Z box app 7 ID [a b=\"\xff\"] LOGIN FAILED 203.0.113.5";
    let mut reader = reader(TimeZone::UTC, NOW);
    assert_eq!(reader.read(line).message, b"LOGIN FAILED 203.0.113.5");
}

/// A user name stands before the date in the log of a web server; the server escapes its quotes.
#[test]
fn text_further_left_does_not_pass_for_the_date() {
    let truth = moment("2026-02-12T14:10:21Z");
    let mut reader = reader(TimeZone::UTC, NOW);
    for user in ["-", "x"]
        .into_iter()
        .chain(LIES)
        .filter(|user| !user.contains('"'))
    {
        let line =
            format!("192.0.2.7 - {user} [12/Feb/2026:14:10:21 +0000] \"GET / HTTP/1.1\" 401 1");
        assert_eq!(reader.read(line.as_bytes()).time, truth, "{line}");
    }
}

/// Text that went over several lines holds a date: the next head counts all the same.
#[test]
fn a_line_without_a_date_does_not_change_the_place() {
    let lie = "x [01/Jan/2020:00:00:00 +0000] \"GET /\"";
    let head = |second| format!("2026-02-12 14:10:2{second} login of {lie} failed");
    let mut reader = reader(TimeZone::UTC, NOW);
    reader.read(head(0).as_bytes());
    reader.read(lie.as_bytes());
    let record = head(1);
    let record = reader.read(record.as_bytes());
    assert_eq!(record.time, moment("2026-02-12T14:10:21Z"));
    assert!(record.message.starts_with(b"login of x"));
    let goes_on = format!("    {lie}");
    assert_eq!(
        reader.read(goes_on.as_bytes()).time,
        moment("2026-02-12T14:10:21Z")
    );
}

#[test]
fn a_line_without_a_date_has_that_of_the_line_before() {
    let mut reader = reader(TimeZone::UTC, NOW);
    assert_eq!(reader.read(b"begins").time, moment(NOW));
    reader.read(b"2026-02-12 14:10:21 x");
    for line in ["", "x", "\tat x", "Feb 30 14:10:21 x"] {
        let record = reader.read(line.as_bytes());
        assert_eq!(record.time, moment("2026-02-12T14:10:21Z"), "{line}");
        assert_eq!(record.message, line.as_bytes());
    }
}

#[test]
fn a_form_that_changes_is_found_anew() {
    let mut reader = reader(TimeZone::UTC, NOW);
    for line in [
        "Feb 12 14:10:21 box app: x",
        "2026-02-12T14:10:21Z box app: x",
        "192.0.2.7 - - [12/Feb/2026:14:10:21 +0000] \"GET / HTTP/1.1\" 200 1",
        "type=A msg=audit(1770905421.000:7): x",
        "[12/Feb/2026:14:10:21 +0000] x",
        "<13>Feb 12 14:10:21 box app: x",
        "Feb 12 14:10:21 2026 x",
        "1770905421 x",
        "  2026-02-12 14:10:21 x",
        "Thu Feb 12 14:10:21 UTC 2026 x",
    ] {
        reader.read(b"01/01/1999 00:00:00 other");
        for _ in 0..2 {
            let record = reader.read(line.as_bytes());
            assert_eq!(record.time.to_string(), "2026-02-12T14:10:21Z", "{line}");
        }
    }
}

#[test]
fn the_message_is_what_follows_the_date() {
    let silent = ("", "", None);
    let sshd = ("box", "sshd", Some(42));
    for (line, from, message) in [
        ("Feb 12 14:10:21 box sshd[42]: x", sshd, "x"),
        (
            "Feb 12 14:10:21 box kernel: x: y",
            ("box", "kernel", None),
            "x: y",
        ),
        ("Feb 12 14:10:21 box sshd[42]:", sshd, ""),
        ("Feb 12 2026 14:10:21 box sshd[42]: x", sshd, "x"),
        ("Feb 12 14:10:21.123 CET box sshd[42]: x", sshd, "x"),
        ("CET Feb 12 14:10:21 box sshd[42]: x", sshd, "x"),
        ("Feb 12 14:10:21 sshd[42]: x", ("", "sshd", Some(42)), "x"),
        (
            "Feb 12 14:10:21 2026-web sshd[42]: x",
            ("2026-web", "sshd", Some(42)),
            "x",
        ),
        (
            "Feb 12 14:10:21 2001:db8::1 sshd[42]: x",
            ("2001:db8::1", "sshd", Some(42)),
            "x",
        ),
        ("2026-02-12T14:10:21.5+01:00 box sshd[42]: x", sshd, "x"),
        ("Thu 2026-02-12 14:10:21 CET box sshd[42]: x", sshd, "x"),
        // No header
        ("Feb 12 14:10:21 user x failed", silent, "user x failed"),
        ("Feb 12 14:10:21: %ASA-6: x", silent, "%ASA-6: x"),
        ("Feb 12 14:10:21 error: x y: z", silent, "error: x y: z"),
        ("Feb 12 14:10:21 [x] y: z", silent, "[x] y: z"),
        ("Feb 12 14:10:21 2026 [pid 1] x: y", silent, "[pid 1] x: y"),
        (
            "2026-02-12 14:10:21 box sshd[42]: x",
            silent,
            "box sshd[42]: x",
        ),
        (
            "2026-02-12T14:10:21Z H=box F=<>: x",
            silent,
            "H=box F=<>: x",
        ),
        (
            "[Feb 12 14:10:21] NOTICE[7] chan.c: x",
            silent,
            "NOTICE[7] chan.c: x",
        ),
        (
            "[Thu Feb 12 14:10:21.123456 2026] [core:error] x",
            silent,
            "[core:error] x",
        ),
        ("[12-Feb-2026 14:10:21 +0000]: <x> y", silent, "<x> y"),
        ("2026/02/12 14:10:21 [error] x", silent, "[error] x"),
        (
            "1770905421.123    180 192.0.2.7 x",
            silent,
            "   180 192.0.2.7 x",
        ),
        ("14:10:21 x", silent, "x"),
        ("2026-02-12 14:10:21", silent, ""),
        // The date is within
        (
            "192.0.2.7 - - [12/Feb/2026:14:10:21 +0000] \"GET / HTTP/1.1\" 200 1",
            silent,
            "192.0.2.7 - - [12/Feb/2026:14:10:21 +0000] \"GET / HTTP/1.1\" 200 1",
        ),
        (
            "type=A msg=audit(1770905421.1:7): x",
            silent,
            "type=A msg=audit(1770905421.1:7): x",
        ),
    ] {
        for (before, behind) in [("", ""), ("", "\r\n"), ("\u{feff}", "\n")] {
            let whole = format!("{before}{line}{behind}");
            let mut reader = reader(berlin(), NOW);
            let record = reader.read(whole.as_bytes());
            assert_eq!((record.host, record.program, record.pid), from, "{line}");
            assert_eq!(String::from_utf8_lossy(record.message), message, "{line}");
        }
    }
}

fn told(formats: &[&str], now: &str) -> TextReader {
    let times: Vec<_> = formats.iter().map(|text| text.parse().unwrap()).collect();
    TextReader::new(TimeZone::UTC, &times, moment(now))
}

#[test]
fn formats_can_be_told() {
    for (format, line, time) in [
        (
            "%d/%b/%Y:%H:%M:%S %z",
            "[12/Feb/2026:14:10:21 +0100] x",
            "2026-02-12T13:10:21Z",
        ),
        ("%Y%m%d%H%M%S", "20260212141021 x", "2026-02-12T14:10:21Z"),
        ("%d.%m.%y %R", "12.02.26 14:10 x", "2026-02-12T14:10:00Z"),
        (
            "%F %T.%f",
            "2026-02-12 14:10:21.5 x",
            "2026-02-12T14:10:21.5Z",
        ),
        ("%Y-%j %T", "2026-043 14:10:21 x", "2026-02-12T14:10:21Z"),
        ("%j %T", "043 14:10:21 x", "2026-02-12T14:10:21Z"),
        (
            "%A, %d. %B %Y %I.%M%p",
            "Thursday, 12. February 2026 2.10pm x",
            "2026-02-12T14:10:00Z",
        ),
        (
            "%d/%m/%Y %T",
            "03/04/2025 14:10:21 x",
            "2025-04-03T14:10:21Z",
        ),
        (
            "%m/%d/%Y %T",
            "03/04/2025 14:10:21 x",
            "2025-03-04T14:10:21Z",
        ),
        (
            "\"ts\":%s%.f",
            "{\"a\":1,\"ts\":1770905421.5,\"b\":2}",
            "2026-02-12T14:10:21.5Z",
        ),
        (
            "\"ts\":%s",
            "{\"ts\":1770905421500}",
            "2026-02-12T14:10:21.5Z",
        ),
        ("EPOCH", "at 1770905421 x", "2026-02-12T14:10:21Z"),
        (
            "TAI64N",
            "@4000000041f4104f00000000 x",
            "2005-01-23T20:59:59Z",
        ),
        (
            "a text that is written out before the date of every line: %F %T",
            "a text that is written out before the date of every line: 2026-02-12 14:10:21",
            "2026-02-12T14:10:21Z",
        ),
        ("^%T", "14:10:21 x", "2026-02-12T14:10:21Z"),
        ("%T", "x 14:10:21 x", "2026-02-12T14:10:21Z"),
        (
            "%ExY-%Exm-%Exd %ExH:%ExM:%ExS",
            "2026-02-12 14:10:21 x",
            "2026-02-12T14:10:21Z",
        ),
        (
            "%T %Z on %F",
            "14:10:21 CET on 2026-02-12 x",
            "2026-02-12T13:10:21Z",
        ),
        (
            "%F %T 100%%",
            "2026-02-12 14:10:21 100% x",
            "2026-02-12T14:10:21Z",
        ),
        (
            "%F\u{b7}%T",
            "2026-02-12\u{b7}14:10:21 x",
            "2026-02-12T14:10:21Z",
        ),
    ] {
        let record = told(&[format], NOW).read(line.as_bytes()).time;
        assert_eq!(record, moment(time), "{format}");
        assert_eq!(format.parse::<TimeFormat>().unwrap().to_string(), format);
    }
    let unread = |format: &str, line: &str| {
        let time = told(&[format], NOW).read(line.as_bytes()).time;
        assert_eq!(time, moment(NOW), "{format} reads {line}");
    };
    // Nothing else is looked for, and numbers are as long as they should be.
    unread("%F %T", "2026-02-12T14:10:21Z x");
    unread("^%F %T", "x 2026-02-12 14:10:21 x");
    unread("%ExY-%Exm-%Exd %T", "2026-2-12 14:10:21 x");
    unread("%I:%M %p", "13:10 PM x");
    unread("%j %T", "367 14:10:21 x");
    unread("%j %T", "000 14:10:21 x");
    // Of several, the one that fits.
    let mut reader = told(&["%F %T", "%d/%m/%Y %T"], NOW);
    assert_eq!(
        reader.read(b"2026-02-11 14:10:21 x").time,
        moment("2026-02-11T14:10:21Z")
    );
    assert_eq!(
        reader.read(b"10/02/2026 14:10:21 x").time,
        moment("2026-02-10T14:10:21Z")
    );
}

#[test]
fn formats_that_tell_no_moment_are_refused() {
    let error = |format: &str| format.parse::<TimeFormat>().unwrap_err();
    for (format, what) in [
        ("%d/%b/%Y:%H:%S", Part::Minute),
        ("%d/%b/%Y", Part::Hour),
        ("%b %H:%M", Part::Day),
        ("%d %H:%M", Part::Month),
        ("%Y %H:%M", Part::Day),
        ("%I:%M", Part::Half),
        ("%H:%M.%f", Part::Second),
        ("x", Part::Hour),
    ] {
        let format = format.to_owned();
        assert_eq!(error(&format), TimeFormatError::Missing { format, what });
    }
    for (format, what) in [
        ("%T %M", Part::Minute),
        ("%F %T %y", Part::Year),
        ("%s %s", Part::Epoch),
    ] {
        let format = format.to_owned();
        assert_eq!(error(&format), TimeFormatError::Twice { format, what });
    }
    for (format, what, beside) in [
        ("%s %Y", Part::Year, Part::Epoch),
        ("%F %j %T", Part::DayOfYear, Part::Day),
        ("%T %p", Part::Half, Part::Hour),
        ("%I %T", Part::HourOfTwelve, Part::Hour),
    ] {
        let format = format.to_owned();
        assert_eq!(
            error(&format),
            TimeFormatError::Both {
                format,
                what,
                beside
            }
        );
    }
    for (format, code) in [
        ("%F %q", "%q"),
        ("%.S", "%.S"),
        ("%0b", "%0b"),
        ("%\u{e4}", "%\u{e4}"),
    ] {
        let (format, code) = (format.to_owned(), code.to_owned());
        assert_eq!(
            error(&format),
            TimeFormatError::UnknownCode { format, code }
        );
    }
    assert_eq!(error(""), TimeFormatError::Empty);
    assert_eq!(error("^"), TimeFormatError::Empty);
    for format in ["%F %", "%0", "%Ex"] {
        assert_eq!(
            error(format),
            TimeFormatError::Unfinished(format.to_owned())
        );
    }
    assert_eq!(
        error("%d/%b/%Y:%H:%S").to_string(),
        "`%d/%b/%Y:%H:%S` has the minute (%M) missing"
    );
}

/// Half an hour off, days of 23 and 25 hours, and ahead of everybody.
fn zones() -> impl Strategy<Value = TimeZone> {
    const ZONES: [&str; 4] = [
        "UTC0",
        "IST-5:30",
        "EST5EDT,M3.2.0,M11.1.0",
        "NZST-12NZDT,M9.5.0,M4.1.0/3",
    ];
    select(&ZONES[..]).prop_map(|zone| TimeZone::posix(zone).unwrap())
}

/// Formats that f2bd and jiff write alike; whether they tell the zone, and how many microseconds they leave out.
const WRITTEN: [(&str, bool, i64); 26] = [
    ("%Y-%m-%dT%H:%M:%S.%6f%:z", true, 1),
    ("%Y-%m-%dT%H:%M:%S.%3f%z", true, 1_000),
    ("%Y-%m-%d %H:%M:%S,%3f", false, 1_000),
    ("%Y-%m-%d %H:%M:%S %z", true, 1_000_000),
    ("%Y-%m-%d %H:%M:%S %Z", true, 1_000_000),
    ("%Y/%m/%d %H:%M:%S", false, 1_000_000),
    ("%Y.%m.%d %H:%M:%S", false, 1_000_000),
    ("%a %b %d %H:%M:%S.%6f %Y", false, 1),
    ("%a %b %e %H:%M:%S %Y", false, 1_000_000),
    ("%a %b %e %H:%M:%S %Z %Y", true, 1_000_000),
    ("%b %e %H:%M:%S", false, 1_000_000),
    ("%b %d %Y %H:%M:%S", false, 1_000_000),
    ("%d/%b/%Y:%H:%M:%S %z", true, 1_000_000),
    ("%d-%b-%Y %H:%M:%S.%3f", false, 1_000),
    ("%a, %d %b %Y %H:%M:%S %z", true, 1_000_000),
    ("%b %-d, %Y %-I:%M:%S %p", false, 1_000_000),
    ("%m/%d/%Y:%H:%M:%S %z", true, 1_000_000),
    ("%d/%m/%Y %H:%M:%S", false, 1_000_000),
    ("<%m/%d/%y@%H:%M:%S>", false, 1_000_000),
    ("%y%m%d %k:%M:%S", false, 1_000_000),
    ("%b-%d-%y %H:%M:%S", false, 1_000_000),
    ("%Y%m%dT%H%M%S", false, 1_000_000),
    ("%Z %b %e %H:%M:%S", true, 1_000_000),
    ("%a %Y-%m-%d %H:%M:%S %Z", true, 1_000_000),
    ("%s.%6f", true, 1),
    ("[%s]", true, 1_000_000),
];

proptest! {
    #![proptest_config(ProptestConfig {
        failure_persistence: None,
        ..ProptestConfig::with_cases(2000)
    })]

    /// Between September 2001, when the seconds got their tenth digit, and 2100 in any zone, seen a moment later.
    #[test]
    fn what_is_written_is_read(
        micros in 1_000_000_000_000_000..4_102_358_400_000_000_i64,
        zone in zones(),
        (format, tells_zone, unit) in select(&WRITTEN[..]),
    ) {
        let time = micros - micros.rem_euclid(unit);
        let there: Zoned = jiff::Timestamp::from_microsecond(time).unwrap().to_zoned(zone.clone());
        let line = format!("{} x", there.strftime(format));
        let unread = Timestamp::from_micros(micros + 5_000_000);
        let mut reader = TextReader::new(zone, &[], unread);
        let record = reader.read(line.as_bytes());
        let late = time - record.time.as_micros();
        // An hour that the zone has twice is read as the first one.
        prop_assert!(late == 0 || !tells_zone && late == 3_600_000_000, "{} is read as {}", line, record.time);
        prop_assert_eq!(record.message, b"x");
        // A format that is told reads the same.
        if !format.contains(['-', '6', '3']) {
            let times = [format.parse().unwrap()];
            let mut reader = TextReader::new(there.time_zone().clone(), &times, unread);
            prop_assert_eq!(reader.read(line.as_bytes()).time, record.time);
        }
    }

    #[test]
    fn no_line_breaks_the_reader(
        lines in proptest::collection::vec(
            (
                "(<[0-9]{0,4}>)?(1 )?[\\[(\"<]{0,3}((Mon |Feb  ?[0-9]{1,2} |[0-9]{2,4}[-/.][0-9]{2}[-/.][0-9]{2,4}[T :])?([0-9:]{8})?([.,][0-9]{0,12})?( ?[+-][0-9:]{0,6})?( [A-Z]{1,8})?|@[0-9a-f]{24}|[0-9]{9,20})[\\])\"]?",
                proptest::collection::vec(any::<u8>(), 0..60),
            ),
            1..6,
        ),
        now in any::<i64>(),
        zone in zones(),
    ) {
        let mut reader = TextReader::new(zone, &[], Timestamp::from_micros(now));
        for (head, tail) in lines {
            let line = [head.as_bytes(), &tail].concat();
            let record = reader.read(&line);
            prop_assert!(record.message.len() <= line.len());
        }
    }

    #[test]
    fn no_text_breaks_a_format(text in "(%[0E]?x?[a-zA-Z.?%]|[ -~]|\\PC){0,12}", line in "[0-9A-Za-z:/. -]{0,40}") {
        if let Ok(format) = text.parse::<TimeFormat>() {
            prop_assert_eq!(format.to_string(), text);
            TextReader::new(TimeZone::UTC, &[format], moment(NOW)).read(line.as_bytes());
        }
    }
}

fn of(format: Format) -> LineReader {
    let mut form = LineForm::in_zone(TimeZone::UTC);
    form.format = format;
    LineReader::new(&form, moment(NOW))
}

/// What a reader makes of lines, one after the other, as text.
fn shown(mut reader: LineReader, lines: &[&str]) -> Vec<String> {
    let show = |line: &&str| match reader.read(line.as_bytes()) {
        Ok(Some(record)) => format!(
            "{} {}/{}/{:?} {}",
            record.time,
            record.host,
            record.program,
            record.pid,
            String::from_utf8_lossy(record.message)
        ),
        Ok(None) => "-".to_owned(),
        Err(Malformed) => "malformed".to_owned(),
    };
    lines.iter().map(show).collect()
}

#[test]
fn objects_are_read_by_their_fields() {
    for (line, record) in [
        (
            r#"{"level":"info","ts":1770905421.5,"logger":"http.log","msg":"x \u00e4 \"y\""}"#,
            "2026-02-12T14:10:21.5Z //None x \u{e4} \"y\"",
        ),
        (
            r#"{"time":"2026-02-12T15:10:21+01:00","host":"evil","hostname":"box","program":"app","message":"x","pid":7}"#,
            "2026-02-12T14:10:21Z box/app/Some(7) x",
        ),
        (
            r#"{"__REALTIME_TIMESTAMP":"1770905421000001","_HOSTNAME":"box","SYSLOG_IDENTIFIER":"sshd","_PID":"42","MESSAGE":[120,255,121]}"#,
            "2026-02-12T14:10:21.000001Z box/sshd/Some(42) x\u{fffd}y",
        ),
        (
            r#"{"ts":1770905421123,"msg":{"a":1}}"#,
            r#"2026-02-12T14:10:21.123Z //None {"a":1}"#,
        ),
        (
            r#"{"@timestamp":"2026-02-12 14:10:21","msg":null,"log":"x"}"#,
            "2026-02-12T14:10:21Z //None x",
        ),
        // No message: the line itself. No time, or one in the midst of other text: that of the line before.
        (
            r#"{"msg":"","ts":"at 2026-02-12T14:10:21Z"}"#,
            r#"2026-02-12T20:00:00Z //None {"msg":"","ts":"at 2026-02-12T14:10:21Z"}"#,
        ),
        (r#" {"a":1} "#, r#"2026-02-12T20:00:00Z //None  {"a":1} "#),
        // What an attacker makes loggers write that is no JSON
        (
            r#"{"ts":1770905421,"msg":"x \x22\ud800\u00e4\ud83d\ude00\udfff y","z":1}"#,
            "2026-02-12T14:10:21Z //None x \\x22\u{fffd}\u{e4}\u{1f600}\u{fffd} y",
        ),
        (
            "{\"ts\":1770905421,\"msg\":\"x \u{1}\t\u{7f} y\"}",
            "2026-02-12T14:10:21Z //None x \u{1}\t\u{7f} y",
        ),
        // What was cut
        (r#"{"ts":1770905421,"msg":"x \"}"#, "malformed"),
        (r#"{"ts":1770905421,"msg":"x y"#, "malformed"),
        ("", "-"),
        ("x", "malformed"),
        ("[1]", "malformed"),
        (r#""x""#, "malformed"),
        (r#"{"msg":"x"} y"#, "malformed"),
        (r#"{"msg":x}"#, "malformed"),
    ] {
        let json = of(Format::Json(Default::default()));
        assert_eq!(shown(json, &[line]), [record], "{line}");
    }
    let bytes = b"{\"msg\":\"x \xff y\",\"ts\":1770905421}";
    let mut json = of(Format::Json(Default::default()));
    let record = json.read(bytes).unwrap().unwrap();
    assert_eq!(record.message, b"x \xff y");
}

#[test]
fn fields_can_be_told() {
    let path = |text: &str| text.parse::<FieldPath>().unwrap();
    let mut form = LineForm::in_zone(berlin());
    form.times = vec!["%d.%m.%Y %T".parse().unwrap()];
    form.format = Format::Json(JsonFields {
        message: vec![path("request.uri"), path("log.message")],
        time: vec![path("at")],
        ..JsonFields::default()
    });
    let mut reader = LineReader::new(&form, moment(NOW));
    for line in [
        r#"{"at":"12.02.2026 15:10:21","request":{"uri":"/x"},"msg":"y"}"#,
        r#"{"at":"12.02.2026 15:10:21","log.message":"/x","request":7}"#,
    ] {
        let record = reader.read(line.as_bytes()).unwrap().unwrap();
        assert_eq!(record.message, b"/x");
        assert_eq!(record.time, moment("2026-02-12T14:10:21Z"));
    }
    for wrong in ["", ".", "a.", "a..b"] {
        assert!(wrong.parse::<FieldPath>().is_err(), "{wrong}");
    }
}

/// A container's line is text or an object, and its time is the engine's.
#[test]
fn lines_of_containers_are_unpacked() {
    let docker = |log: &str| {
        let log = serde_json::to_string(log).unwrap();
        format!(r#"{{"log":{log},"stream":"stdout","time":"2026-02-12T14:10:21.5Z"}}"#)
    };
    let cri = |log: &str| {
        let tag = if log.ends_with('\n') { "F" } else { "P" };
        format!(
            "2026-02-12T14:10:21.5Z stdout {tag} {}",
            log.trim_end_matches('\n')
        )
    };
    let time = "2026-02-12T14:10:21.5Z";
    for (format, packed) in [
        (
            Format::Json(Default::default()),
            &docker as &dyn Fn(&str) -> String,
        ),
        (Format::Cri(Default::default()), &cri),
    ] {
        for (line, record) in [
            ("x\n", "//None x"),
            ("\n", "//None "),
            ("Feb 12 14:10:21 box sshd[42]: x\n", "box/sshd/Some(42) x"),
            ("[2020-01-01 00:00:00] x\n", "//None x"),
            (r#"{"msg":"x","ts":1,"program":"app"}"#, ""),
            ("\n", r#"/app/None x"#),
            ("{x\n", "//None {x"),
            // Parts of one line
            ("x ", ""),
            ("Feb 12 14:10:21 box sshd[42]: ", ""),
            ("y\n", "//None x Feb 12 14:10:21 box sshd[42]: y"),
        ]
        .chunk_by(|(line, _), _| !line.ends_with('\n'))
        .map(|lines| {
            (
                lines
                    .iter()
                    .map(|(line, _)| packed(line))
                    .collect::<Vec<_>>(),
                lines.last().unwrap().1,
            )
        }) {
            let lines: Vec<&str> = line.iter().map(String::as_str).collect();
            let shown = shown(of(format.clone()), &lines);
            assert_eq!(
                shown.last().unwrap(),
                &format!("{time} {record}"),
                "{lines:?}"
            );
            assert!(shown[..shown.len() - 1].iter().all(|shown| shown == "-"));
        }
    }
    let cri = || of(Format::Cri(Default::default()));
    for line in [
        "x",
        "2026-02-12T14:10:21Z",
        "2026-02-12T14:10:21Z stdin F x",
        "2026-02-12T14:10:21Z stdout x y",
        "stdout F 2026-02-12T14:10:21Z x",
        " 2026-02-12T14:10:21Z stdout F x",
    ] {
        assert_eq!(shown(cri(), &[line]), ["malformed"], "{line}");
    }
    // The outputs are apart, and tags may follow.
    assert_eq!(
        shown(
            cri(),
            &[
                "2026-02-12T14:10:21Z stdout P x",
                "2026-02-12T14:10:22Z stderr F:tag z",
                "2026-02-12T14:10:23Z stdout F y",
                "2026-02-12T14:10:24Z stdout F",
            ]
        ),
        [
            "-",
            "2026-02-12T14:10:22Z //None z",
            "2026-02-12T14:10:23Z //None xy",
            "2026-02-12T14:10:24Z //None ",
        ]
    );
}

/// An attacker can choose where his text is split: no part of it is a line of its own.
#[test]
fn no_part_of_a_line_is_a_line() {
    let part = |text: &str| {
        format!(r#"{{"log":"{text}","stream":"stdout","time":"2026-02-12T14:10:21Z"}}"#)
    };
    let mut reader = of(Format::Json(Default::default()));
    for _ in 0..3 {
        let long = part(&"x".repeat(2 * LONGEST_MESSAGE));
        assert_eq!(reader.read(long.as_bytes()), Ok(None));
    }
    let lie = part("Feb 12 14:10:21 box sshd[42]: Failed\\n");
    let record = reader.read(lie.as_bytes()).unwrap().unwrap();
    assert_eq!(record.program, "");
    assert!(record.message.len() > LONGEST_MESSAGE);
    assert!(record.message.iter().all(|byte| *byte == b'x'));
    let next = part("Feb 12 14:10:21 box sshd[42]: x\\n");
    assert_eq!(
        reader.read(next.as_bytes()).unwrap().unwrap().program,
        "sshd"
    );
}

proptest! {
    #![proptest_config(ProptestConfig {
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    #[test]
    fn no_line_breaks_the_readers_of_containers(
        lines in proptest::collection::vec(
            (
                "(2026-02-12T14:10:21Z( ((stdout|stderr)( ([FP](:[a-z]{0,3})? ?)?)?)?)?)?|\\{\"(log|msg)\":\"",
                proptest::collection::vec(any::<u8>(), 0..20),
                "(\",\"stream\":\"std(out|err)\",\"time\":\"(2026-02-12T14:10:21Z)?\"\\})?",
            ),
            1..6,
        ),
        json in any::<bool>(),
    ) {
        let mut reader = of(match json {
            true => Format::Json(Default::default()),
            false => Format::Cri(Default::default()),
        });
        for (head, middle, tail) in lines {
            let line = [head.as_bytes(), &middle, tail.as_bytes()].concat();
            if let Ok(Some(record)) = reader.read(&line) {
                prop_assert!(record.message.len() <= LONGEST_MESSAGE + line.len() * 3);
            }
        }
    }
}
