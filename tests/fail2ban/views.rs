//! Facts about the views that have the names of Fail2ban's tables: a script that asks either database gets the same rows.

use std::path::Path;
use std::process::Command;

use crate::fail2ban::pair::Pair;
use crate::support::wait::until;

/// What scripts ask for; the rows are in an order of their own.
const QUERIES: &[&str] = &[
    "SELECT jail, ip, timeofban, bantime, bancount FROM bans ORDER BY jail, ip",
    "SELECT ip, jail, timeofban, bantime, bancount FROM bips ORDER BY jail, ip",
    "SELECT ip, json_extract(data, '$.failures'), json_array_length(data, '$.matches') FROM bans WHERE jail = 'sshd' ORDER BY ip",
    "SELECT count(*), max(timeofban + bantime) FROM bans WHERE bantime > 0",
    "SELECT jail, count(DISTINCT ip) FROM bips GROUP BY jail",
];

/// What the shell prints; nothing if somebody holds the database.
fn sql(database: &Path, query: &str) -> String {
    let output = Command::new("sqlite3").arg(database).arg(query).output();
    String::from_utf8(output.unwrap().stdout).unwrap()
}

#[test]
fn rows_are_those_of_fail2ban() {
    let Some(mut pair) = Pair::start("") else {
        return;
    };
    pair.refuse(&["192.0.2.7"; 3]);
    pair.refuse(&["2001:db8::7"; 3]);
    pair.agree(&["get", "sshd", "banip"], "192.0.2.7 2001:db8::7");
    pair.agree(&["get", "lasting", "banip"], "192.0.2.7 2001:db8::7");
    let (own, theirs) = (pair.path("f2bd.db"), pair.path("theirs.sqlite3"));
    for query in QUERIES {
        until(query, || {
            let (ours, theirs) = (sql(&own, query), sql(&theirs, query));
            (ours == theirs && !ours.is_empty()).then_some(())
        });
    }
    // The lines themselves are the message here, and the line without its date there.
    let lines = sql(
        &own,
        "SELECT json_extract(data, '$.matches[2]') FROM bans WHERE ip = '192.0.2.7'",
    );
    assert_eq!(lines, "refused 192.0.2.7\n".repeat(2));
    // Whoever is let go is nobody who would be banned for longer.
    assert_eq!(
        pair.ours(&["unban", "192.0.2.7"]),
        pair.theirs(&["unban", "192.0.2.7"])
    );
    let bips = QUERIES[1];
    until(bips, || {
        let (ours, theirs) = (sql(&own, bips), sql(&theirs, bips));
        (ours == theirs && ours.lines().count() == 2).then_some(())
    });
    // Who asked the table goes on.
    let before = sql(
        &own,
        "SELECT subject, offence, ended IS NULL FROM bans WHERE jail = 'sshd' ORDER BY id",
    );
    assert_eq!(before, "192.0.2.7|1|0\n2001:db8::7|1|1\n");
}
