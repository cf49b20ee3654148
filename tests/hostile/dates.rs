//! Dates that are none, or not of now; and what is read by its fields, as far as a clock of its own is enough.

use super::case::{Case, Who};
use super::clock::moment;
use super::{Kind, LOG, Way, kind};

/// A line of the daemon's log with this date.
fn dated(case: &Case<'_>, date: &str) {
    case.write(&(case.line_at(date, Who::Itself) + "\n"));
}

/// A line with this date when it is so late.
fn at(case: &mut Case<'_>, now: &str, date: &str) {
    case.clock().set(now);
    let line = case.line_at(date, Who::Itself);
    case.clock().read(&line);
}

/// The attack in the midst as an object, with these fields before its own.
fn object(case: &mut Case<'_>, fields: &str) -> bool {
    let (now, failure) = (case.clock().now(), case.failure(Who::Itself));
    let line = format!(r#"{{{fields}"time":"{now}","program":"sshd","message":"{failure}"}}"#);
    case.clock().read_object(&line)
}

/// The present with so many hours more or less.
fn in_hours(hours: i64) -> String {
    let there = jiff::Timestamp::now() + jiff::SignedDuration::from_hours(hours);
    there.to_string()
}

pub fn kinds() -> Vec<Kind> {
    vec![
        kind("29 February of a year that has none", LOG, |case| {
            dated(case, "2026-02-29T14:10:21Z");
        }),
        kind("29 February without a year", LOG, |case| {
            dated(case, "Feb 29 14:10:21")
        })
        .past(),
        kind("30 February", LOG, |case| dated(case, "Feb 30 14:10:21")),
        kind("the hour 24", LOG, |case| {
            dated(case, "2026-02-12T24:00:00Z")
        }),
        kind("the minute 60", LOG, |case| {
            dated(case, "2026-02-12 14:60:00")
        }),
        kind("the year 9999", LOG, |case| {
            dated(case, "9999-12-31T23:59:59Z")
        }),
        kind("the year 0000", LOG, |case| {
            dated(case, "0000-01-01T00:00:00Z")
        }),
        kind("more seconds than there are numbers for", LOG, |case| {
            dated(case, "99999999999999999999");
        }),
        kind("seconds before 1970", LOG, |case| {
            dated(case, "-1770905421")
        }),
        kind("a TAI64N label with a letter beyond f", LOG, |case| {
            dated(case, "@4000000041f4104g00000000");
        }),
        kind("a TAI64N label beyond all times", LOG, |case| {
            dated(case, "@ffffffffffffffff00000000");
        }),
        kind("a zone that nobody has", LOG, |case| {
            dated(case, "2026-02-12T14:10:21+99:99")
        }),
        kind("a date in two days", LOG, |case| dated(case, &in_hours(48)))
            .bans()
            .says("come from the future"),
        kind("a date of yesterday", LOG, |case| {
            dated(case, &in_hours(-24))
        })
        .past(),
        kind("an old date in the name of a user", LOG, |case| {
            let line = case.line(Who::Itself);
            let lie = "[2020-01-01T00:00:00Z] Jan  1 00:00:00";
            case.write(&(line.replace("root", &format!("invalid user {lie}")) + "\n"));
        })
        .bans(),
        kind("an old date on a line of its own", LOG, |case| {
            case.write("[2020-01-01T00:00:00Z] \"GET /\"\n[2020-01-01T00:00:00Z] \"GET /\"\n");
        }),
        kind(
            "a year that ends between two lines without it",
            Way::Clock,
            |case| {
                at(case, "2027-01-01T00:00:05Z", "Jan  1 00:59:58");
            },
        )
        .bans(),
        kind("a leap second", Way::Clock, |case| {
            at(case, "2017-01-01T00:00:01Z", "2016-12-31T23:59:60Z");
        })
        .bans(),
        kind(
            "midnight, noon and nonsense by a clock of twelve hours",
            Way::Clock,
            |case| {
                case.clock().set("2026-02-12T12:00:30Z");
                for (clock, time) in [
                    ("12:00:00 AM", "2026-02-11T23:00:00Z"),
                    ("12:00:00 PM", "2026-02-12T11:00:00Z"),
                    ("13:00:00 PM", "2026-02-12T12:00:00Z"),
                ] {
                    let line = format!("Feb 12, 2026 {clock} x");
                    assert_eq!(case.clock().time(&line), moment(time), "{line}");
                }
            },
        ),
        kind("an hour that the zone leaves out", Way::Clock, |case| {
            at(case, "2026-03-29T01:30:30Z", "Mar 29 02:30:00");
        })
        .bans(),
        kind(
            "an hour that the zone has twice, the first time",
            Way::Clock,
            |case| {
                at(case, "2026-10-25T00:30:30Z", "Oct 25 02:30:00");
            },
        )
        .bans(),
        kind(
            "an hour that the zone has twice, the second time",
            Way::Clock,
            |case| {
                at(case, "2026-10-25T01:30:30Z", "Oct 25 02:30:00");
            },
        )
        .bans(),
        kind("JSON: a line that is none", Way::Clock, |case| {
            let line = case.line(Who::Itself);
            assert!(!case.clock().read_object(&line));
            assert!(!object(case, r#""a":}"#));
        }),
        kind("JSON: nested 10,000 deep", Way::Clock, |case| {
            let deep = "[".repeat(10_000);
            assert!(!object(case, &format!(r#""a":{deep},"#)));
        }),
        kind("JSON: 1 MB before what counts", Way::Clock, |case| {
            assert!(object(case, &format!(r#""a":"{}","#, "x".repeat(1 << 20))));
        })
        .bans(),
        kind("the clock is set back", Way::Clock, |case| {
            at(case, "2026-02-12T10:00:00Z", "2026-02-12T10:00:00Z");
        })
        .bans(),
    ]
}
