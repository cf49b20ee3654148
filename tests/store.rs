//! Facts about `store` and `daemon::memory`, shown from outside: with the real `sqlite3` shell, real locks,
//! real damage and a disk that is really full.

use std::cell::RefCell;
use std::fs;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Once;
use std::time::{Duration, Instant};

use proptest::prelude::*;
use rusqlite::Connection;
use tempfile::TempDir;

use f2bd::control::protocol::FollowLine;
use f2bd::daemon::memory::Memory;
use f2bd::engine::Decision;
use f2bd::engine::cursor::{Cursor, Stream};
use f2bd::engine::decision::{
    Allowance, Awaited, AwaitedId, Ban, BanId, Failure, FailureId, Notice, Origin, Release,
    Resumed, Unban,
};
use f2bd::engine::filter::Outcome;
use f2bd::engine::input::{Fate, Remembered};
use f2bd::engine::ledger::Standing;
use f2bd::engine::prefix::Prefix;
use f2bd::engine::record::kept::LONGEST_TEXT;
use f2bd::engine::subject::{Name, Subject};
use f2bd::engine::time::{BanTime, Timestamp};
use f2bd::store::{HistoryQuery, Retention, Salvage, Store, StoreError};

mod names;
mod notices;

const MINUTE: Duration = Duration::from_secs(60);
const HOUR: Duration = Duration::from_secs(3600);
const DAY: Duration = Duration::from_secs(86_400);

/// 2026-02-12T14:10:21Z and so many seconds.
fn at(seconds: u64) -> Timestamp {
    Timestamp::from_micros(1_770_905_421_000_000).after(Duration::from_secs(seconds))
}

fn subject(text: &str) -> Subject {
    text.parse().unwrap()
}

fn failure(id: u64, seconds: u64, who: &str) -> Failure {
    let subject = subject(who);
    Failure {
        id: FailureId(id),
        time: at(seconds),
        jail: "sshd".parse().unwrap(),
        address: subject.network().map(Prefix::address),
        subject,
        target: None,
        user: Some("root".into()),
        pattern: 3,
        session: Some("4711".into()),
        counted: true,
        line: format!("Failed password for root from {who} port {id} ssh2").into(),
    }
}

fn ban(id: u64, seconds: u64, who: &str, bantime: BanTime, evidence: &[u64]) -> Ban {
    Ban {
        id: BanId(id),
        jail: "sshd".parse().unwrap(),
        subject: subject(who),
        start: at(seconds),
        bantime,
        offence: 1,
        origin: if evidence.is_empty() {
            Origin::Manual
        } else {
            Origin::Failures
        },
        evidence: evidence.iter().copied().map(FailureId).collect(),
    }
}

fn unban(ban: &Ban, seconds: u64, release: Release) -> Unban {
    Unban {
        was: Standing::of(ban),
        ban: ban.id,
        jail: ban.jail.clone(),
        subject: ban.subject.clone(),
        time: at(seconds),
        release,
    }
}

fn stream() -> Stream {
    Stream::whole("journal".parse().unwrap())
}

fn cursor(token: &str) -> Cursor {
    Cursor {
        token: token.to_owned(),
        time: at(0),
    }
}

/// Two failures and the ban that they make.
fn attack() -> Vec<Decision> {
    vec![
        Decision::Count(failure(1, 0, "192.0.2.7")),
        Decision::Count(failure(2, 1, "192.0.2.7")),
        Decision::Ban(ban(1, 1, "192.0.2.7", BanTime::Forever, &[1, 2])),
        Decision::Count(failure(3, 2, "192.0.2.8")),
    ]
}

fn home() -> (TempDir, PathBuf) {
    let home = tempfile::tempdir().unwrap();
    let path = home.path().join("f2bd.db");
    (home, path)
}

/// What the `sqlite3` shell answers; `None`, loudly, where there is none.
fn shell(path: &Path, sql: &str) -> Option<String> {
    let output = match Command::new("sqlite3").arg(path).arg(sql).output() {
        Ok(output) => output,
        Err(error) if std::env::var_os("CI").is_none() => {
            eprintln!("SKIPPED: no sqlite3 shell: {error}");
            return None;
        }
        Err(error) => panic!("no sqlite3 shell: {error}"),
    };
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{sql}: {errors}");
    Some(String::from_utf8(output.stdout).unwrap())
}

fn rows(path: &Path, table: &str) -> i64 {
    Connection::open(path)
        .unwrap()
        .query_row(&format!("SELECT count(*) FROM {table}"), [], |row| {
            row.get(0)
        })
        .unwrap()
}

/// Everything in the tables, to compare.
fn content(path: &Path) -> Vec<String> {
    let connection = Connection::open(path).unwrap();
    let mut all = Vec::new();
    for table in ["bans", "failures", "notices", "cursors"] {
        let mut statement = connection
            .prepare(&format!("SELECT * FROM {table} ORDER BY 1"))
            .unwrap();
        let columns = statement.column_count();
        let mut rows = statement.query([]).unwrap();
        while let Some(row) = rows.next().unwrap() {
            let values: Vec<_> = (0..columns)
                .map(|column| row.get_ref(column).unwrap())
                .collect();
            all.push(format!("{table} {values:?}"));
        }
    }
    all
}

// The store alone

/// The failures that may still help to ban their subject.
fn pending(remembered: &Remembered) -> Vec<Failure> {
    let failures = remembered.failures.iter();
    let pending = failures.filter(|(_, fate)| *fate == Fate::Open);
    pending.map(|(failure, _)| failure.clone()).collect()
}

#[test]
fn what_was_committed_is_remembered() {
    let (_home, path) = home();
    let mut other = failure(4, 3, "2001:db8::/64");
    other.counted = false;
    let mut forever = ban(1, 1, "192.0.2.7", BanTime::Forever, &[1, 2]);
    let mut hour = ban(2, 3, "2001:db8::/64", BanTime::For(HOUR), &[]);
    hour.offence = 7;
    let over = ban(3, 3, "192.0.2.9", BanTime::For(MINUTE), &[]);
    let mut decisions = attack();
    decisions.extend([
        Decision::Count(other),
        Decision::Ban(hour.clone()),
        Decision::Ban(over),
    ]);
    let mut store = Store::open(&path).unwrap();
    store
        .commit(at(3), &decisions, Some((&stream(), &cursor("s=1"))))
        .unwrap();
    store
        .commit(at(3), &[], Some((&stream(), &cursor("s=2"))))
        .unwrap();
    drop(store);

    let mut store = Store::open(&path).unwrap();
    assert_eq!(store.cursors().unwrap(), [(stream(), cursor("s=2"))]);
    let remembered = store.remembered(at(100), 10 * MINUTE).unwrap();
    // Evidence is not needed any more.
    forever.evidence.clear();
    assert_eq!(remembered.bans, [forever, hour]);
    assert_eq!(pending(&remembered), [failure(3, 2, "192.0.2.8")]);
    assert_eq!(remembered.next_failure, Some(FailureId(5)));
    assert_eq!(remembered.next_ban, Some(BanId(4)));
    let offences: Vec<_> = remembered
        .offences
        .iter()
        .map(|(jail, subject, offence)| format!("{jail} {} {}", subject.plain(), offence.number))
        .collect();
    assert_eq!(
        offences,
        [
            "sshd 192.0.2.7 1",
            "sshd 2001:db8::/64 7",
            "sshd 192.0.2.9 1"
        ]
    );
    // What matters is where the source stands, however long nobody was there to read it.
    let later = store.remembered(at(603), 10 * MINUTE).unwrap();
    assert_eq!(pending(&later).len(), 1);
    let ahead = Cursor {
        time: at(603),
        ..cursor("s=3")
    };
    store
        .commit(at(603), &[], Some((&stream(), &ahead)))
        .unwrap();
    let later = store.remembered(at(603), 10 * MINUTE).unwrap();
    assert_eq!(later.failures, [], "too old to help to make a ban");
}

#[test]
fn a_new_database_remembers_nothing() {
    let (home, _) = home();
    let store = Store::open(&home.path().join("missing/directory/f2bd.db")).unwrap();
    let remembered = store.remembered(at(0), DAY).unwrap();
    assert!(remembered.bans.is_empty() && remembered.offences.is_empty());
    assert_eq!(remembered.next_ban, None);
    assert_eq!(store.cursors().unwrap(), []);
}

#[test]
fn a_batch_written_twice_is_there_once() {
    let (_home, path) = home();
    let mut store = Store::open(&path).unwrap();
    let first = ban(1, 1, "192.0.2.7", BanTime::Forever, &[1, 2]);
    let mut batch = attack();
    batch.push(Decision::Unban(unban(&first, 5, Release::Manual)));
    batch.push(Decision::Count(failure(4, 4, "192.0.2.7")));
    batch.push(Decision::Notice(Notice::Evicted {
        jail: "sshd".parse().unwrap(),
        subjects: 3,
    }));
    store.commit(at(6), &batch, None).unwrap();
    let once = content(&path);
    store.commit(at(6), &batch, None).unwrap();
    assert_eq!(content(&path), once);
    assert_eq!(once.len(), 6);
    // Heard after the window was emptied, so it still counts, the second time too.
    assert_eq!(
        pending(&store.remembered(at(6), HOUR).unwrap()),
        [failure(3, 2, "192.0.2.8"), failure(4, 4, "192.0.2.7")]
    );
}

#[test]
fn a_ban_and_an_unban_empty_the_window() {
    let (_home, path) = home();
    let mut store = Store::open(&path).unwrap();
    let manual = ban(1, 1, "192.0.2.7", BanTime::Forever, &[]);
    let batch = [
        Decision::Count(failure(1, 0, "192.0.2.7")),
        Decision::Ban(manual.clone()),
        Decision::Count(failure(2, 2, "192.0.2.7")),
        Decision::Count(failure(3, 9, "192.0.2.7")),
        Decision::Unban(unban(&manual, 5, Release::Manual)),
    ];
    store.commit(at(9), &batch, None).unwrap();
    let remembered = store.remembered(at(9), HOUR).unwrap();
    assert_eq!(pending(&remembered), [failure(3, 9, "192.0.2.7")]);
    assert_eq!(remembered.bans, []);
    assert_eq!(remembered.offences.len(), 1);
}

#[test]
fn the_lines_behind_a_ban_are_kept() {
    let (_home, path) = home();
    let mut store = Store::open(&path).unwrap();
    store.commit(at(3), &attack(), None).unwrap();
    let lines = store.lines_of_ban(BanId(1)).unwrap();
    let ids: Vec<_> = lines.iter().map(|row| row.id.0).collect();
    assert_eq!(ids, [1, 2]);
    assert_eq!(
        lines[0].line,
        "Failed password for root from 192.0.2.7 port 1 ssh2"
    );
    assert_eq!(lines[0].ban, Some(BanId(1)));
    assert_eq!((lines[1].time, lines[1].pattern), (at(1), 3));
    let newest = store.failures_of(&subject("192.0.2.7"), 1).unwrap();
    assert_eq!(newest, lines[1..]);
    let network = store.failures_of(&subject("192.0.2.0/24"), 9).unwrap();
    assert_eq!(network.len(), 3);
}

#[test]
fn history_finds_what_overlaps() {
    let (_home, path) = home();
    let mut store = Store::open(&path).unwrap();
    let subjects = [
        "192.0.2.7",
        "192.0.2.0/24",
        "192.0.3.1",
        "2001:db8::/64",
        "2001:db8::5",
        "0.0.0.0/0",
        "c000:200::/32", // begins with the bytes of 192.0.2.0
    ];
    let bans: Vec<_> = (1..)
        .zip(subjects)
        .map(|(id, who)| Decision::Ban(ban(id, id, who, BanTime::Forever, &[])))
        .collect();
    store.commit(at(9), &bans, None).unwrap();
    for asked in [
        "192.0.2.7",
        "192.0.2.8",
        "192.0.2.0/23",
        "2001:db8::5",
        "::/0",
        "0.0.0.0/0",
    ] {
        let asked = subject(asked);
        let query = HistoryQuery {
            subject: Some(asked.clone()),
            jail: Some("sshd".parse().unwrap()),
            limit: 100,
        };
        let found: Vec<_> = store
            .history(&query)
            .unwrap()
            .iter()
            .map(|row| row.subject.clone())
            .collect();
        let due: Vec<_> = subjects
            .iter()
            .rev()
            .map(|who| subject(who))
            .filter(|who| who.overlaps(&asked))
            .collect();
        assert_eq!(found, due, "{asked}");
    }
    let newest = store
        .history(&HistoryQuery {
            subject: None,
            jail: None,
            limit: 2,
        })
        .unwrap();
    assert_eq!(
        newest.iter().map(|row| row.ban.0).collect::<Vec<_>>(),
        [7, 6]
    );
    let none = HistoryQuery {
        subject: None,
        jail: Some("other".parse().unwrap()),
        limit: 2,
    };
    assert_eq!(store.history(&none).unwrap(), []);
}

// f2bd-store(5): text of others is kept without control characters and at most 1024 bytes of it.
#[test]
fn hostile_text_is_kept_harmless() {
    let (_home, path) = home();
    let mut store = Store::open(&path).unwrap();
    let mut evil = failure(1, 0, "192.0.2.7");
    evil.user = Some("a\0'; DROP TABLE bans; --\x1b[2J\n".into());
    evil.line = "ü".repeat(LONGEST_TEXT).into();
    store.commit(at(0), &[Decision::Count(evil)], None).unwrap();
    let row = store
        .failures_of(&subject("192.0.2.7"), 1)
        .unwrap()
        .remove(0);
    assert_eq!(
        row.user.as_deref(),
        Some("a\\x00'; DROP TABLE bans; --\\x1b[2J\\x0a")
    );
    assert_eq!(row.line.len(), LONGEST_TEXT);
}

// f2bd-store(5), EXAMPLES
#[test]
fn the_views_read_well_while_the_daemon_writes() {
    let (_home, path) = home();
    let mut store = Store::open(&path).unwrap();
    let century = BanTime::For(36_525 * DAY);
    let first = ban(2, 3, "192.0.2.9", century, &[]);
    let mut batch = attack();
    batch.extend([
        Decision::Ban(first.clone()),
        Decision::Unban(unban(&first, 4, Release::Manual)),
        Decision::Ban(ban(3, 5, "2001:db8::/64", BanTime::For(MINUTE), &[])),
        Decision::Ban(ban(4, 6, "192.0.2.9", century, &[])),
        Decision::Notice(Notice::Spared {
            jail: "sshd".parse().unwrap(),
            subject: "10.0.0.1".parse().unwrap(),
            because: "ignoreip 10.0.0.0/8".into(),
        }),
    ]);
    store.commit(at(6), &batch, None).unwrap();
    for (sql, due) in [
        (
            "SELECT * FROM active_bans",
            "sshd|192.0.2.9|2026-02-12T14:10:27Z|2126-02-13T14:10:27Z|0|1|manual|4|\n\
             sshd|192.0.2.7|2026-02-12T14:10:22Z|forever|2|1|failures|1|\n",
        ),
        (
            "SELECT * FROM ban_history WHERE ip = '192.0.2.9'",
            "sshd|192.0.2.9|2026-02-12T14:10:27Z|2126-02-13T14:10:27Z|||0|1|manual|4||\n\
             sshd|192.0.2.9|2026-02-12T14:10:24Z|2126-02-13T14:10:24Z|2026-02-12T14:10:25Z|manual|0|1|manual|2||\n",
        ),
        (
            // Nobody has written its end, and yet it is over.
            "SELECT * FROM ban_history WHERE ip = '2001:db8::/64'",
            "sshd|2001:db8::/64|2026-02-12T14:10:26Z|2026-02-12T14:11:26Z|2026-02-12T14:11:26Z|expired|0|1|manual|3||\n",
        ),
        (
            "SELECT * FROM top_offenders LIMIT 2",
            "192.0.2.9|2|0|sshd|2026-02-12T14:10:24Z|2026-02-12T14:10:27Z\n\
             192.0.2.7|1|2|sshd|2026-02-12T14:10:22Z|2026-02-12T14:10:22Z\n",
        ),
        (
            "SELECT * FROM ban_lines",
            "1|sshd|192.0.2.7|192.0.2.7|2026-02-12T14:10:21Z|root|3|Failed password for root from 192.0.2.7 port 1 ssh2|\n\
             1|sshd|192.0.2.7|192.0.2.7|2026-02-12T14:10:22Z|root|3|Failed password for root from 192.0.2.7 port 2 ssh2|\n",
        ),
        (
            "SELECT * FROM failure_history WHERE ban IS NULL",
            "2026-02-12T14:10:23Z|sshd|192.0.2.8|192.0.2.8|root|3|1||Failed password for root from 192.0.2.8 port 3 ssh2|3|\n",
        ),
        (
            "SELECT * FROM notice_history",
            "2026-02-12T14:10:27Z|sshd|spared|10.0.0.1|ignoreip 10.0.0.0/8\n",
        ),
    ] {
        let Some(answer) = shell(&path, sql) else {
            return;
        };
        assert_eq!(answer, due, "{sql}");
    }
    // And the shell has not disturbed the writer.
    store
        .commit(at(9), &[Decision::Count(failure(9, 9, "192.0.2.7"))], None)
        .unwrap();
    assert_eq!(
        shell(&path, "SELECT count(*) FROM failures").as_deref(),
        Some("4\n")
    );
}

#[test]
fn history_is_kept_as_long_as_asked_and_no_longer() {
    let (_home, path) = home();
    let mut store = Store::open(&path).unwrap();
    let mut batch = attack();
    let mut ids = 10..;
    for seconds in 0..2500 {
        let id = ids.next().unwrap();
        batch.push(Decision::Count(failure(id, seconds, "198.51.100.1")));
        // Ended, though nobody has written it.
        batch.push(Decision::Ban(ban(
            id,
            seconds,
            "198.51.100.1",
            BanTime::For(MINUTE),
            &[id],
        )));
    }
    store.commit(at(2500), &batch, None).unwrap();
    let sweep = |store: &mut Store, seconds, retention| {
        let mut most = 0;
        let mut rows = 1;
        while rows > 0 {
            rows = store.sweep(at(seconds), retention).unwrap();
            most = most.max(rows);
        }
        assert!(most <= 1000, "{most} rows at once");
    };
    let keep = Retention {
        history: HOUR,
        failures: HOUR,
        max_failures: 5000,
    };
    sweep(&mut store, 3600, keep);
    assert_eq!((rows(&path, "bans"), rows(&path, "failures")), (2501, 2503));
    assert_eq!(rows(&path, "bans WHERE ended IS NULL"), 1);
    sweep(
        &mut store,
        3600,
        Retention {
            max_failures: 700,
            ..keep
        },
    );
    assert_eq!(rows(&path, "failures"), 700);
    assert_eq!(rows(&path, "failures WHERE id < 1810"), 0);
    let later = 3600 + 60 + 2000;
    sweep(&mut store, later, keep);
    // Those that ended within the last hour, and the one in force.
    assert_eq!(rows(&path, "bans"), 501);
    sweep(&mut store, 1_000_000, keep);
    assert_eq!((rows(&path, "bans"), rows(&path, "failures")), (1, 0));
    // Numbers of forgotten rows are not used again.
    let remembered = store.remembered(at(1_000_000), HOUR).unwrap();
    assert_eq!(remembered.bans[0].id, BanId(1));
    assert_eq!(remembered.next_ban, Some(BanId(2510)));
    assert_eq!(remembered.next_failure, Some(FailureId(2510)));
}

/// Merged at some time, it would be in force if the ban of the network were lifted.
fn merged(store: &mut Store) -> (Ban, Ban) {
    let host = ban(1, 1, "192.0.2.7", BanTime::For(DAY), &[]);
    let network = Ban {
        origin: Origin::Network,
        ..ban(2, 9, "192.0.2.0/24", BanTime::Forever, &[])
    };
    let batch = [
        Decision::Ban(host.clone()),
        Decision::Ban(network.clone()),
        Decision::Unban(unban(&host, 9, Release::Merged)),
    ];
    store.commit(at(9), &batch, None).unwrap();
    (host, network)
}

#[test]
fn what_was_merged_is_remembered_until_it_would_have_ended() {
    let (_home, path) = home();
    let mut store = Store::open(&path).unwrap();
    let (host, network) = merged(&mut store);
    let keep = Retention {
        history: HOUR,
        failures: HOUR,
        max_failures: 10,
    };
    while store.sweep(at(86_000), keep).unwrap() > 0 {}
    let remembered = store.remembered(at(86_000), HOUR).unwrap();
    assert_eq!(remembered.bans, [network]);
    assert_eq!(remembered.merged, [(host.clone(), at(9))]);
    assert_eq!(
        store.remembered(at(86_401), HOUR).unwrap().merged,
        [],
        "its time is over"
    );
    // It is not what was banned last any more.
    let again = ban(3, 100, "192.0.2.7", BanTime::For(MINUTE), &[]);
    store
        .commit(at(100), &[Decision::Ban(again)], None)
        .unwrap();
    assert_eq!(store.remembered(at(100), HOUR).unwrap().merged, []);
    while store.sweep(at(200_000), keep).unwrap() > 0 {}
    assert_eq!(rows(&path, "bans"), 1);
}

#[test]
fn a_new_database_is_told_what_was_merged() {
    let (_home, old) = home();
    let (host, network) = merged(&mut Store::open(&old).unwrap());
    let (_home, path) = home();
    let mut store = Store::open(&path).unwrap();
    let (bans, merged) = ([network], [(host, at(9))]);
    for _ in 0..2 {
        store.restate(at(20), &bans, &merged, None, None).unwrap();
        let remembered = store.remembered(at(21), HOUR).unwrap();
        assert_eq!(remembered.bans, bans);
        assert_eq!(remembered.merged, merged);
    }
}

#[test]
fn a_ban_in_force_that_had_been_merged_is_restated() {
    let (_home, path) = home();
    let mut store = Store::open(&path).unwrap();
    let (host, _) = merged(&mut store);
    // The ban of the network was lifted, and nothing of that was written.
    let bans = [host];
    store.restate(at(20), &bans, &[], None, None).unwrap();
    let remembered = store.remembered(at(21), HOUR).unwrap();
    assert_eq!(remembered.bans, bans);
    assert_eq!(remembered.merged, []);
    assert_eq!(rows(&path, "bans WHERE id = 1 AND release IS NULL"), 1);
}

#[test]
fn what_was_merged_once_more_is_restated_as_of_then() {
    let (_home, path) = home();
    let mut store = Store::open(&path).unwrap();
    let (host, _) = merged(&mut store);
    // Lifted, and banned again: the host is known to the second ban of the network by its start.
    let bans = [ban(3, 30, "192.0.2.0/24", BanTime::Forever, &[])];
    let merged = [(host, at(30))];
    store.restate(at(40), &bans, &merged, None, None).unwrap();
    let remembered = store.remembered(at(41), HOUR).unwrap();
    assert_eq!(remembered.bans, bans);
    assert_eq!(remembered.merged, merged);
}

#[test]
fn what_was_read_again_is_settled_as_a_whole() {
    let (_home, path) = home();
    let mut store = Store::open(&path).unwrap();
    let batch = [
        Decision::Count(failure(1, 1, "192.0.2.7")),
        Decision::Await(awaited(1, 1)),
    ];
    store.commit(at(2), &batch, None).unwrap();
    Connection::open(&path)
        .unwrap()
        .execute_batch(
            "CREATE TRIGGER stop BEFORE DELETE ON unresolved BEGIN SELECT raise(ABORT, 'no'); END",
        )
        .unwrap();
    store
        .settle(at(0), FailureId(10), AwaitedId(10))
        .unwrap_err();
    let remembered = store.remembered(at(3), HOUR).unwrap();
    assert_eq!(pending(&remembered).len(), 1);
    assert_eq!(remembered.awaited.len(), 1);
}

#[test]
fn too_many_bans_are_forgotten_by_the_clock_that_is_told() {
    let (_home, path) = home();
    let mut store = Store::open(&path).unwrap();
    let (host, _) = merged(&mut store);
    // Long ago by any other clock; what was merged goes on until `at(86_401)`.
    let hand = Connection::open(&path).unwrap();
    hand.execute_batch(
        "PRAGMA synchronous = off;
         WITH RECURSIVE ids (id) AS (SELECT 3 UNION ALL SELECT id + 1 FROM ids WHERE id < 1000010)
         INSERT INTO all_bans (id, jail, subject, first, start, until, offence, failures, origin, ended, release)
         SELECT id, 'sshd', '198.51.100.1', x'c6336401', 1770905421000000, 1770905441000000, 1, 0, 'manual',
                1770905441000000 + id, 'expired' FROM ids",
    )
    .unwrap();
    let keep = Retention {
        history: HOUR,
        failures: HOUR,
        max_failures: 10,
    };
    while store.sweep(at(100), keep).unwrap() > 0 {}
    assert_eq!(rows(&path, "bans"), 1_000_000);
    let remembered = store.remembered(at(100), HOUR).unwrap();
    assert_eq!(remembered.merged, [(host, at(9))]);
}

#[test]
fn cursors_of_files_that_nobody_writes_any_more_are_forgotten() {
    let (_home, path) = home();
    let mut store = Store::open(&path).unwrap();
    let file = |name: &str| Stream {
        part: name.into(),
        ..stream()
    };
    let streams = [stream(), file("/gone.log"), file("/quiet.log")];
    for (stream, seconds) in streams.iter().zip([0, 0, 1800]) {
        let cursor = Cursor {
            time: at(seconds),
            ..cursor("s=1")
        };
        store
            .commit(at(2000), &[], Some((stream, &cursor)))
            .unwrap();
    }
    let keep = Retention {
        history: HOUR,
        failures: HOUR,
        max_failures: 5000,
    };
    while store.sweep(at(4000), keep).unwrap() > 0 {}
    let left: Vec<_> = store.cursors().unwrap();
    let left: Vec<_> = left.into_iter().map(|(stream, _)| stream).collect();
    // That of a journal says from when on something may be missing.
    assert_eq!(left, [stream(), file("/quiet.log")]);
}

#[test]
fn a_reader_does_not_hold_up_the_writer() {
    let (_home, path) = home();
    let mut store = Store::open(&path).unwrap();
    store.commit(at(0), &attack(), None).unwrap();
    let reader = Connection::open(&path).unwrap();
    reader
        .execute_batch("BEGIN; SELECT count(*) FROM bans;")
        .unwrap();
    store
        .commit(at(9), &[Decision::Count(failure(9, 9, "192.0.2.7"))], None)
        .unwrap();
    let seen: i64 = reader
        .query_row("SELECT count(*) FROM failures", [], |row| row.get(0))
        .unwrap();
    assert_eq!(seen, 3, "the reader's view stays as it began");
    assert_eq!(rows(&path, "failures"), 4);
}

#[test]
fn a_database_of_a_newer_version_is_left_alone() {
    let (_home, path) = home();
    drop(Store::open(&path).unwrap());
    Connection::open(&path)
        .unwrap()
        .pragma_update(None, "user_version", 99)
        .unwrap();
    let before = fs::read(&path).unwrap();
    let error = Store::open(&path).unwrap_err();
    assert!(
        matches!(error, StoreError::Newer { found: 99, .. }),
        "{error}"
    );
    assert!(matches!(
        Memory::open(path.clone(), at(0)),
        Err(StoreError::Newer { .. })
    ));
    assert_eq!(fs::read(&path).unwrap(), before);
}

#[test]
fn the_first_schema_still_opens() {
    let (_home, path) = home();
    let schema = include_str!("../src/store/schema/0001_initial.sql");
    let old = format!(
        "BEGIN;
         {schema}
         INSERT INTO bans VALUES (4, 'sshd', '192.0.2.7', x'c0000207', 1770905421000000, NULL, 2, 5, 'failures', NULL, NULL);
         INSERT INTO cursors VALUES ('journal', 's=1', 1770905421000000);
         PRAGMA user_version = 1;
         COMMIT;"
    );
    let Some(_) = shell(&path, &old) else { return };
    let store = Store::open(&path).unwrap();
    let remembered = store.remembered(at(1), HOUR).unwrap();
    assert_eq!(remembered.bans[0].subject, subject("192.0.2.7"));
    assert_eq!(remembered.bans[0].offence, 2);
    assert_eq!(remembered.next_ban, Some(BanId(5)));
    assert_eq!(store.cursors().unwrap(), [(stream(), cursor("s=1"))]);
}

#[test]
fn a_row_that_makes_no_sense_spoils_nothing() {
    let (_home, path) = home();
    let mut store = Store::open(&path).unwrap();
    store.commit(at(0), &attack(), None).unwrap();
    let hand = Connection::open(&path).unwrap();
    hand.execute_batch(
        "INSERT INTO all_bans VALUES (7, 'sshd', 'nobody', x'00', 1, NULL, 1, 0, 'manual', NULL, NULL, 0, NULL, NULL);
         INSERT INTO all_bans VALUES (8, 'sshd', x'ff', x'00', 'then', NULL, 1, 0, 'manual', NULL, NULL, 0, NULL, NULL);",
    )
    .unwrap();
    let remembered = store.remembered(at(3), HOUR).unwrap();
    assert_eq!(remembered.bans.len(), 1);
}

/// Rows are compared as text; evidence is not remembered.
fn told(remembered: &Remembered) -> String {
    format!("{remembered:#?}")
}

/// Decisions as an engine could make them, over few subjects so that they meet.
fn decisions() -> impl Strategy<Value = Vec<Decision>> {
    let step = (0..7_u8, 0..3_usize, 0..100_u64, any::<bool>());
    prop::collection::vec(step, 0..60).prop_map(|steps| {
        let subjects = ["192.0.2.7", "198.51.100.0/24", "2001:db8::/64"];
        let mut decisions = Vec::new();
        let (mut bans, mut merged): (Vec<Ban>, Vec<Ban>) = Default::default();
        let mut fresh: Vec<u64> = Vec::new();
        for (id, (kind, who, seconds, flag)) in (1..).zip(steps) {
            match kind {
                0..=2 => {
                    let mut counted = failure(id, seconds, subjects[who]);
                    counted.counted = flag;
                    fresh.push(id);
                    decisions.push(Decision::Count(counted));
                }
                3 => {
                    let bantime = if flag {
                        BanTime::Forever
                    } else {
                        BanTime::For(MINUTE)
                    };
                    let evidence = std::mem::take(&mut fresh);
                    bans.push(ban(id, seconds, subjects[who], bantime, &evidence));
                    decisions.extend(bans.last().cloned().map(Decision::Ban));
                }
                4 => decisions.extend(
                    bans.pop()
                        .map(|ban| Decision::Unban(unban(&ban, seconds, Release::Expired))),
                ),
                5 => {
                    merged.extend(bans.pop());
                    let ban = merged.last();
                    decisions.extend(
                        ban.map(|ban| Decision::Unban(unban(ban, seconds, Release::Merged))),
                    );
                }
                _ => {
                    let time = at(seconds);
                    bans.extend(merged.pop());
                    let ban = bans.last().cloned();
                    decisions.extend(ban.map(|ban| Decision::Resume(Resumed { ban, time })));
                }
            }
        }
        decisions
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]
    #[test]
    fn it_does_not_matter_how_decisions_are_split_into_batches(
        decisions in decisions(),
        cuts in prop::collection::vec(1..20_usize, 1..8),
    ) {
        let (_home, whole) = home();
        let mut store = Store::open(&whole).unwrap();
        store.commit(at(100), &decisions, None).unwrap();
        let due = told(&store.remembered(at(100), 2 * MINUTE).unwrap());

        let (_home, split) = home();
        let mut left = &decisions[..];
        for cut in cuts.iter().cycle() {
            let (batch, rest) = left.split_at((*cut).min(left.len()));
            // Opened anew each time, as after a kill -9, and written twice.
            let mut store = Store::open(&split).unwrap();
            store.commit(at(100), batch, None).unwrap();
            store.commit(at(100), batch, None).unwrap();
            left = rest;
            if left.is_empty() {
                break;
            }
        }
        let store = Store::open(&split).unwrap();
        prop_assert_eq!(told(&store.remembered(at(100), 2 * MINUTE).unwrap()), due);
        prop_assert_eq!(content(&split), content(&whole));
    }

    // Of a single byte SQLite says that there is nothing yet.
    #[test]
    fn any_bytes_are_a_database_or_a_typed_error(bytes in prop::collection::vec(any::<u8>(), 2..3000)) {
        let (_home, path) = home();
        fs::write(&path, &bytes).unwrap();
        prop_assert!(matches!(Store::open(&path), Err(StoreError::Damaged(_))));
        prop_assert!(Salvage::read(&path, at(0)).bans.is_empty());
    }
}

// Memory on bad days

thread_local! {
    static SAID: RefCell<Vec<String>> = const { RefCell::new(Vec::new()) };
}

/// Notes what each test's own thread logs.
struct Ear;

impl log::Log for Ear {
    fn enabled(&self, _: &log::Metadata<'_>) -> bool {
        true
    }

    fn log(&self, record: &log::Record<'_>) {
        let line = format!("{}: {}", record.level(), record.args());
        // A thread that is ending has no ear any more.
        let _ = SAID.try_with(|said| said.borrow_mut().push(line));
    }

    fn flush(&self) {}
}

/// What was logged since the last question.
fn said() -> Vec<String> {
    static LISTEN: Once = Once::new();
    LISTEN.call_once(|| {
        log::set_logger(&Ear).unwrap();
        log::set_max_level(log::LevelFilter::Info);
    });
    SAID.take()
}

fn opened(path: &Path) -> Memory {
    said();
    let mut memory = Memory::open(path.to_owned(), at(0)).unwrap();
    let _ = memory.remembered(at(0), HOUR);
    memory
}

/// Trouble comes, decisions go on, trouble ends; the outcome is as if there had been none.
fn trouble_passes(memory: &mut Memory, path: &Path, cause: impl FnOnce(), cure: impl FnOnce()) {
    assert!(memory.remember(at(1), &attack(), Some((&stream(), &cursor("s=1")))));
    assert_eq!(said(), [""; 0]);
    cause();
    let second = ban(2, 2, "192.0.2.20", BanTime::Forever, &[]);
    for second_of_trouble in 0..5 {
        let start = Instant::now();
        let now = at(2 + second_of_trouble);
        let id = 10 + second_of_trouble;
        let mut batch = vec![Decision::Count(failure(id, 2, "192.0.2.20"))];
        if second_of_trouble == 0 {
            batch.push(Decision::Ban(second.clone()));
        }
        assert!(!memory.remember(now, &batch, Some((&stream(), &cursor("s=2")))));
        assert!(
            start.elapsed() < Duration::from_secs(5),
            "held up for {:?}",
            start.elapsed()
        );
        memory.retry(now);
    }
    let told = said();
    assert_eq!(told.len(), 1, "told once: {told:?}");
    assert!(told[0].starts_with("ERROR"), "{told:?}");
    assert!(memory.wants_retry());
    cure();
    memory.retry(at(20));
    memory.retry(at(22));
    assert!(!memory.wants_retry());
    let told = said();
    assert_eq!(told.len(), 1, "told once: {told:?}");
    assert!(told[0].contains("is written again"), "{told:?}");
    assert!(memory.remember(
        at(23),
        &[Decision::Ban(second)],
        Some((&stream(), &cursor("s=3")))
    ));

    assert_eq!((rows(path, "bans"), rows(path, "failures")), (2, 8));
    let store = memory.store().unwrap();
    assert_eq!(store.cursors().unwrap(), [(stream(), cursor("s=3"))]);
    assert_eq!(store.remembered(at(30), HOUR).unwrap().bans.len(), 2);
    assert!(!memory.wants_restate());
}

#[test]
fn a_lock_of_somebody_else_passes() {
    let (_home, path) = home();
    let mut memory = opened(&path);
    let other = Connection::open(&path).unwrap();
    trouble_passes(
        &mut memory,
        &path,
        || other.execute_batch("BEGIN EXCLUSIVE").unwrap(),
        || other.execute_batch("ROLLBACK").unwrap(),
    );
}

/// A disk of its own size, gone with the test.
struct TinyDisk(PathBuf);

impl TinyDisk {
    fn mount(at: &Path) -> Option<TinyDisk> {
        let done = Command::new("mount")
            .args(["-t", "tmpfs", "-o", "size=1m", "f2bd-test"])
            .arg(at)
            .output();
        match done {
            Ok(output) if output.status.success() => Some(TinyDisk(at.to_owned())),
            other if std::env::var_os("CI").is_none() => {
                eprintln!("SKIPPED: cannot mount a small disk: {other:?}");
                None
            }
            other => panic!("cannot mount a small disk: {other:?}"),
        }
    }
}

impl Drop for TinyDisk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("--lazy").arg(&self.0).status();
    }
}

#[test]
fn a_full_disk_passes() {
    let (home, _) = home();
    let Some(_disk) = TinyDisk::mount(home.path()) else {
        return;
    };
    let path = home.path().join("f2bd.db");
    let ballast = home.path().join("ballast");
    let mut memory = opened(&path);
    trouble_passes(
        &mut memory,
        &path,
        || {
            fs::write(&ballast, vec![1; 2 << 20]).unwrap_err();
        },
        || fs::remove_file(&ballast).unwrap(),
    );
}

#[test]
fn a_disk_that_is_full_from_the_start_passes() {
    let (home, _) = home();
    let Some(_disk) = TinyDisk::mount(home.path()) else {
        return;
    };
    let path = home.path().join("f2bd.db");
    let ballast = home.path().join("ballast");
    fs::write(&ballast, vec![1; 2 << 20]).unwrap_err();
    let mut memory = opened(&path);
    assert!(!memory.remember(at(1), &attack(), None));
    assert_eq!(said().len(), 1);
    fs::remove_file(&ballast).unwrap();
    memory.retry(at(3));
    assert!(!memory.wants_retry());
    assert_eq!((rows(&path, "bans"), rows(&path, "failures")), (1, 3));
}

#[test]
fn a_directory_that_comes_late_is_used_then() {
    let (home, _) = home();
    let directory = home.path().join("state");
    let path = directory.join("f2bd.db");
    let mut earlier = opened(&path);
    assert!(earlier.remember(at(1), &attack(), Some((&stream(), &cursor("s=1")))));
    drop(earlier);
    // A file where the directory should be stops root, too.
    let away = home.path().join("away");
    fs::rename(&directory, &away).unwrap();
    fs::write(&directory, "").unwrap();

    let mut memory = Memory::open(path.clone(), at(10)).unwrap();
    let (nothing, cursors) = memory.remembered(at(10), HOUR);
    assert!(nothing.bans.is_empty() && cursors.is_empty());
    let id = nothing.next_ban.unwrap().0;
    let new = ban(id, 10, "192.0.2.30", BanTime::Forever, &[]);
    assert!(!memory.remember(at(10), &[Decision::Ban(new)], None));
    assert!(memory.store().is_none());
    assert_eq!(said().len(), 1);

    fs::remove_file(&directory).unwrap();
    fs::rename(&away, &directory).unwrap();
    memory.retry(at(20));
    assert!(!memory.wants_retry());
    assert_eq!(rows(&path, "bans"), 2);
    let late = memory.take_late().unwrap();
    let subjects: Vec<_> = late.bans.iter().map(|ban| ban.subject.clone()).collect();
    assert_eq!(
        subjects,
        [subject("192.0.2.7")],
        "only what the engine does not know"
    );
    assert!(memory.take_late().is_none());
}

fn damaged_files(home: &Path) -> usize {
    fs::read_dir(home)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned())
        .filter(|name| name.starts_with("f2bd.db.damaged-2026-02-12T14:1") && name.ends_with('Z'))
        .count()
}

#[test]
fn a_damaged_file_is_moved_aside_at_start() {
    let (home, path) = home();
    fs::write(&path, vec![0x5a; 9000]).unwrap();
    let mut memory = opened(&path);
    assert_eq!(damaged_files(home.path()), 1);
    let told = said();
    assert_eq!(told.len(), 2, "{told:?}");
    assert!(told[1].contains("kept as"), "{told:?}");
    assert!(memory.remember(at(1), &attack(), None));
    assert_eq!(rows(&path, "bans"), 1);
}

/// A database of many pages with its middle overwritten; the second of its bans was merged.
fn spoil_the_middle(path: &Path) {
    let mut store = Store::open(path).unwrap();
    let mut bans: Vec<_> = (1..2000)
        .map(|id| {
            Decision::Ban(ban(
                id,
                id,
                &format!("10.0.{}.{}", id / 256, id % 256),
                BanTime::Forever,
                &[],
            ))
        })
        .collect();
    let second = ban(2, 2, "10.0.0.2", BanTime::Forever, &[]);
    bans.push(Decision::Unban(unban(&second, 3, Release::Merged)));
    store
        .commit(at(0), &bans, Some((&stream(), &cursor("s=0"))))
        .unwrap();
    drop(store);
    let file = fs::OpenOptions::new().write(true).open(path).unwrap();
    let pages = file.metadata().unwrap().len() / 4096;
    // The first pages are the roots of tables and indexes.
    for page in 40..pages {
        file.write_all_at(&[0x5a; 4096], page * 4096).unwrap();
    }
}

#[test]
fn damage_in_the_middle_is_found_when_reading() {
    let (home, path) = home();
    spoil_the_middle(&path);
    said();
    let mut memory = Memory::open(path.clone(), at(0)).unwrap();
    let (remembered, cursors) = memory.remembered(at(0), HOUR);
    assert_eq!(damaged_files(home.path()), 1);
    // What lies before the damage is saved.
    let saved = remembered.bans.len();
    assert!((20..1999).contains(&saved), "{saved}");
    assert_eq!(remembered.bans[0].subject, subject("10.0.0.1"));
    let merged = ban(2, 2, "10.0.0.2", BanTime::Forever, &[]);
    assert_eq!(remembered.merged, [(merged, at(3))]);
    assert_eq!(cursors, [(stream(), cursor("s=0"))]);
    let next = ban(
        remembered.next_ban.unwrap().0,
        1,
        "192.0.2.7",
        BanTime::Forever,
        &[],
    );
    assert!(memory.remember(at(1), &[Decision::Ban(next)], None));
    assert!(!memory.wants_restate());
    assert!(!memory.knows_all(), "some are lost");
    assert_eq!(rows(&path, "losses"), 1);
    assert_eq!(rows(&path, "bans"), saved as i64 + 2);
    assert_eq!(said().len(), 2);
}

#[test]
fn damage_while_running_loses_no_ban_in_force() {
    let (home, path) = home();
    let mut memory = opened(&path);
    let first = ban(1, 1, "192.0.2.7", BanTime::Forever, &[1, 2]);
    assert!(memory.remember(at(1), &attack(), Some((&stream(), &cursor("s=1")))));
    // Out of the log and into the file, which is then spoilt behind SQLite's back.
    let other = Connection::open(&path).unwrap();
    other
        .query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(()))
        .unwrap();
    let file = fs::OpenOptions::new().write(true).open(&path).unwrap();
    let length = file.metadata().unwrap().len() as usize;
    file.write_all_at(&vec![0x5a; length - 4096], 4096).unwrap();
    // A write by somebody else makes the daemon read the pages again.
    let _ = other.execute_batch("PRAGMA user_version = 1");
    drop(other);

    let second = ban(2, 2, "192.0.2.20", BanTime::Forever, &[]);
    assert!(memory.remember(at(2), &[Decision::Ban(second.clone())], None));
    assert_eq!(damaged_files(home.path()), 1);
    assert!(memory.wants_restate());
    assert!(memory.knows_all(), "all were known");
    memory.restate(at(2), &[first, second], &[], None, None);
    assert!(!memory.wants_restate());
    let store = memory.store().unwrap();
    let bans = store.remembered(at(3), HOUR).unwrap().bans;
    assert_eq!(bans.iter().map(|ban| ban.id.0).collect::<Vec<_>>(), [1, 2]);
    assert_eq!(store.cursors().unwrap(), [(stream(), cursor("s=1"))]);
}

#[test]
fn a_removed_file_is_noticed_and_made_anew() {
    let (home, path) = home();
    let mut memory = opened(&path);
    assert!(memory.remember(at(1), &attack(), Some((&stream(), &cursor("s=1")))));
    for name in ["f2bd.db", "f2bd.db-wal", "f2bd.db-shm"] {
        fs::remove_file(home.path().join(name)).unwrap();
    }
    let keep = Retention {
        history: DAY,
        failures: DAY,
        max_failures: 10,
    };
    assert!(!memory.sweep(at(2), keep));
    assert!(memory.wants_retry());
    memory.retry(at(4));
    assert!(memory.wants_restate());
    let first = ban(1, 1, "192.0.2.7", BanTime::Forever, &[1, 2]);
    memory.restate(at(4), &[first], &[], None, None);
    assert_eq!(rows(&path, "bans"), 1);
    let cursors = memory.store().unwrap().cursors().unwrap();
    assert_eq!(cursors, [(stream(), cursor("s=1"))]);
    assert!(!memory.sweep(at(5), keep));
    let told = said();
    assert_eq!(told.len(), 2, "told once, and that it is over: {told:?}");
}

#[test]
fn a_disk_that_spoils_every_database_is_not_filled_with_them() {
    let (home, path) = home();
    fs::write(&path, vec![0x5a; 9000]).unwrap();
    let mut memory = opened(&path);
    // The new one is spoilt as well, and its log with it.
    let spoil = |memory: &mut Memory, seconds| {
        let other = Connection::open(&path).unwrap();
        let _ = other.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(()));
        fs::write(&path, vec![0x5a; 9000]).unwrap();
        drop(other);
        memory.remember(at(seconds), &attack(), None)
    };
    assert!(!spoil(&mut memory, 5));
    assert!(!spoil(&mut memory, 7));
    assert_eq!(damaged_files(home.path()), 1);
    // In the end it is tried again.
    memory.retry(at(4000));
    memory.retry(at(4000));
    assert!(!memory.wants_retry());
    assert_eq!(rows(&path, "bans"), 1);
}

#[test]
fn restating_makes_the_bans_in_force_equal() {
    let (_home, path) = home();
    let mut store = Store::open(&path).unwrap();
    let bans = [1, 2, 3].map(|id| ban(id, id, &format!("192.0.2.{id}"), BanTime::Forever, &[]));
    let allowed = ["192.0.2.8", "198.51.100.0/24"].map(|who| Allowance {
        subject: who.parse().unwrap(),
        since: at(1),
        until: at(90),
    });
    let first = bans[..2].iter().cloned().map(Decision::Ban);
    let first: Vec<_> = first.chain([Decision::Allow(allowed[0].clone())]).collect();
    store.commit(at(3), &first, None).unwrap();
    store
        .restate(at(5), &bans[1..], &[], &allowed[1..], None)
        .unwrap();
    let remembered = store.remembered(at(6), HOUR).unwrap();
    assert_eq!(remembered.bans, bans[1..]);
    assert_eq!(remembered.allowances, allowed[1..]);
    let history = HistoryQuery {
        subject: Some(subject("192.0.2.1")),
        jail: None,
        limit: 1,
    };
    assert_eq!(
        store.history(&history).unwrap()[0].ended,
        Some((at(5), Release::Manual))
    );
}

#[test]
fn what_waits_is_bounded_and_bans_outlast_failures() {
    let (_home, path) = home();
    let mut memory = opened(&path);
    let other = Connection::open(&path).unwrap();
    other.execute_batch("BEGIN EXCLUSIVE").unwrap();
    let mut failures = 1..;
    for id in 1..=30 {
        let mut batch: Vec<_> = failures
            .by_ref()
            .take(500)
            .map(|id| Decision::Count(failure(id, 1, "192.0.2.7")))
            .collect();
        batch.push(Decision::Ban(ban(
            id,
            1,
            &format!("192.0.2.{id}"),
            BanTime::Forever,
            &[],
        )));
        assert!(!memory.remember(at(1), &batch, None));
    }
    other.execute_batch("ROLLBACK").unwrap();
    let mut seconds = 10..;
    while memory.wants_retry() {
        memory.retry(at(seconds.next().unwrap()));
    }
    assert_eq!(rows(&path, "bans"), 30);
    let kept = rows(&path, "failures");
    assert!((9_000..=10_000).contains(&kept), "{kept} failures");
    assert_eq!(
        rows(&path, "failures WHERE id = 15000"),
        1,
        "the newest are kept"
    );
    let told = said();
    assert!(
        told[1].contains(&format!("{} failures were lost", 15_000 - kept)),
        "{told:?}"
    );
}

#[test]
fn what_is_allowed_is_kept_until_it_is_taken_back() {
    let (_home, path) = home();
    let mut store = Store::open(&path).unwrap();
    let allowance = |until| Allowance {
        subject: "198.51.100.0/24".parse().unwrap(),
        since: at(1),
        until: at(until),
    };
    let both = [90, 50].map(|until| Decision::Allow(allowance(until)));
    // A batch whose fate is unclear is written again.
    for _ in 0..2 {
        store.commit(at(1), &both, None).unwrap();
        let allowances = store.remembered(at(2), HOUR).unwrap().allowances;
        assert_eq!(allowances, [allowance(50)]);
    }
    for _ in 0..2 {
        let back = [Decision::Disallow("198.51.100.0/24".parse().unwrap())];
        store.commit(at(3), &back, None).unwrap();
        assert_eq!(store.remembered(at(4), HOUR).unwrap().allowances, []);
    }
}

/// A failure of a host that is known by name alone.
fn awaited(id: u64, seconds: u64) -> Awaited {
    Awaited {
        id: AwaitedId(id),
        time: at(seconds),
        jail: "sshd".parse().unwrap(),
        source: Some("journal".parse().unwrap()),
        unknown: format!("h{id}.example.org").parse().unwrap(),
        outcome: Outcome::Failure,
        user: Some("root".into()),
        target: None,
        forwarded: Some("192.0.2.1, 192.0.2.2".into()),
        pattern: 3,
        session: Some("4711".into()),
        line: "Failed password for root".into(),
    }
}

// f2bd-store(5): "until the addresses of host are known … the row is gone."
#[test]
fn what_waits_for_a_name_is_kept_until_the_answer() {
    let (_home, path) = home();
    let mut store = Store::open(&path).unwrap();
    let login = Awaited {
        source: None,
        outcome: Outcome::Success,
        user: None,
        target: Some("/".into()),
        ..awaited(2, 2)
    };
    let word = |id, text: &str| Awaited {
        unknown: text.parse().unwrap(),
        ..awaited(id, 3)
    };
    let waiting = [
        awaited(1, 1),
        login,
        awaited(3, 3),
        word(5, "192.0.2.7"),
        word(6, "192.0.2.7/24"),
        word(7, "2001:db8::1/64"),
    ];
    let decisions: Vec<_> = waiting.iter().cloned().map(Decision::Await).collect();
    store.commit(at(3), &decisions, None).unwrap();
    store.commit(at(3), &decisions, None).unwrap();
    drop(store);
    let mut store = Store::open(&path).unwrap();
    let remembered = store.remembered(at(4), MINUTE).unwrap();
    assert_eq!(remembered.awaited, waiting);
    // In one batch, which may be written twice.
    let answered = [
        Decision::Await(awaited(4, 4)),
        Decision::Count(failure(1, 1, "192.0.2.7")),
        Decision::Answered(AwaitedId(1)),
        Decision::Answered(AwaitedId(4)),
    ];
    store.commit(at(5), &answered, None).unwrap();
    store.commit(at(5), &answered, None).unwrap();
    let remembered = store.remembered(at(5), MINUTE).unwrap();
    assert_eq!(remembered.awaited, waiting[1..]);
    assert_eq!(
        remembered.next_awaited,
        Some(AwaitedId(8)),
        "never used twice"
    );
    // A failure that counts together with one that waits, however long that takes.
    let much_later = store.remembered(at(3600), MINUTE).unwrap();
    assert_eq!(much_later.failures.len(), 1);
    store
        .restate(at(6), &[], &[], None, &[awaited(3, 3), awaited(9, 9)])
        .unwrap();
    let remembered = store.remembered(at(6), MINUTE).unwrap();
    assert_eq!(remembered.awaited, [awaited(3, 3), awaited(9, 9)]);
    store.settle(at(9), FailureId(10), AwaitedId(10)).unwrap();
    let remembered = store.remembered(at(6), MINUTE).unwrap();
    assert_eq!(remembered.awaited, [awaited(3, 3)], "it was heard again");
    assert_eq!(Salvage::read(&path, at(6)).awaited, [awaited(3, 3)]);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(60))]

    /// Whatever a user is called, an address too: it comes out of the database, and over the socket, as that name.
    #[test]
    fn a_name_stays_a_name(
        text in prop_oneof![
            "(?s).{1,40}",
            "[a-b'\"\n\0 ]{1,4}",
            Just("192.0.2.7".to_owned()),
            Just("192.0.2.7/32".to_owned()),
            Just("2001:db8::/64".to_owned()),
        ],
    ) {
        let Some(name) = Name::of(&text) else {
            return Ok(());
        };
        let subject = Subject::Name(name);
        let (_home, path) = home();
        let mut store = Store::open(&path).unwrap();
        let host = ban(1, 1, "192.0.2.7", BanTime::Forever, &[]);
        let named = Ban { id: BanId(2), subject: subject.clone(), origin: Origin::Manual, ..host.clone() };
        let failed = Failure { subject: subject.clone(), address: None, ..failure(1, 1, "192.0.2.7") };
        let decisions = [Decision::Ban(host), Decision::Count(failed), Decision::Ban(named)];
        store.commit(at(2), &decisions, None).unwrap();
        let remembered = store.remembered(at(3), Duration::from_secs(60)).unwrap();
        prop_assert_eq!(&remembered.bans[1].subject, &subject);
        prop_assert_eq!(&remembered.failures[0].0.subject, &subject);
        prop_assert_eq!(remembered.failures[0].0.address, None);
        prop_assert!(remembered.networks.iter().all(|(_, network, _)| subject.network() != Some(*network)));
        let query = |subject: &Subject| HistoryQuery { subject: Some(subject.clone()), jail: None, limit: 9 };
        let rows = store.history(&query(&subject)).unwrap();
        prop_assert_eq!(rows.len(), 1);
        prop_assert_eq!(&rows[0].subject, &subject);
        prop_assert_eq!(store.failures_of(&subject, 9).unwrap().len(), 1);
        let host: Subject = "192.0.2.7".parse().unwrap();
        prop_assert_eq!(store.history(&query(&host)).unwrap().len(), 1);
        prop_assert_eq!(store.failures_of(&host, 9).unwrap().len(), 0);
        let line = FollowLine::Unban {
            time: at(1),
            jail: "sshd".parse().unwrap(),
            subject: subject.clone(),
            release: Release::Manual,
        };
        let line = serde_json::to_string(&line).unwrap();
        let back: FollowLine = serde_json::from_str(&line).unwrap();
        let is_it = matches!(&back, FollowLine::Unban { subject: read, .. } if *read == subject);
        prop_assert!(is_it, "{}", line);
    }
}
