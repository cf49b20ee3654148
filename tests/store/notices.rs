//! Facts about notices in the database: which are kept, and which ban each is about.

use rusqlite::Connection;

use super::{DAY, HOUR, at, ban, home, rows, subject, unban};
use f2bd::engine::Decision;
use f2bd::engine::decision::{Ban, Notice, Release};
use f2bd::engine::time::BanTime;
use f2bd::store::Store;

fn login(user: &str) -> Decision {
    Decision::Notice(Notice::Login {
        jail: "sshd".parse().unwrap(),
        address: Some("192.0.2.7".parse().unwrap()),
        user: Some(user.into()),
        failures: 9,
        others: 0,
    })
}

fn unhindered(ban: &Ban, seconds: u64, cause: &str) -> Decision {
    Decision::Notice(Notice::Unhindered {
        ban: ban.clone(),
        time: at(seconds),
        wider: Vec::new(),
        cause: Some(cause.into()),
    })
}

#[test]
fn notices_of_one_moment_are_all_kept_and_each_once() {
    let (_home, path) = home();
    let mut store = Store::open(&path).unwrap();
    for _ in 0..2 {
        let batch = [login("root"), login("admin")];
        store.commit(at(1), &batch, None).unwrap();
    }
    assert_eq!(rows(&path, "notices"), 2);
    assert_eq!(rows(&path, "notices WHERE detail LIKE '%: root'"), 1);
    assert_eq!(rows(&path, "notices WHERE detail LIKE '%: admin'"), 1);
}

#[test]
fn why_a_ban_does_not_work_is_not_told_of_an_earlier_one() {
    let (_home, path) = home();
    let mut store = Store::open(&path).unwrap();
    let first = ban(1, 0, "192.0.2.7", BanTime::For(DAY), &[]);
    let second = ban(2, 20, "192.0.2.7", BanTime::For(DAY), &[]);
    let batch = [
        Decision::Ban(first.clone()),
        Decision::Unban(unban(&first, 10, Release::Manual)),
        Decision::Ban(second.clone()),
        unhindered(&second, 30, "port 2222 is open"),
    ];
    store.commit(at(30), &batch, None).unwrap();
    let told = store.why_unhindered(second.id).unwrap();
    assert_eq!(told.as_deref(), Some("port 2222 is open"));
    assert_eq!(store.why_unhindered(first.id).unwrap(), None);
}

#[test]
fn notices_of_an_older_schema_are_kept() {
    const FIRST: [&str; 13] = [
        include_str!("../../src/store/schema/0001_initial.sql"),
        include_str!("../../src/store/schema/0002_streams.sql"),
        include_str!("../../src/store/schema/0003_forgiven.sql"),
        include_str!("../../src/store/schema/0004_cleared.sql"),
        include_str!("../../src/store/schema/0005_allowed.sql"),
        include_str!("../../src/store/schema/0006_unresolved.sql"),
        include_str!("../../src/store/schema/0007_target.sql"),
        include_str!("../../src/store/schema/0008_reasons.sql"),
        include_str!("../../src/store/schema/0009_subjects.sql"),
        include_str!("../../src/store/schema/0010_sightings.sql"),
        include_str!("../../src/store/schema/0011_losses.sql"),
        include_str!("../../src/store/schema/0012_effects.sql"),
        include_str!("../../src/store/schema/0013_fail2ban.sql"),
    ];
    let (_home, path) = home();
    let old = Connection::open(&path).unwrap();
    for version in FIRST {
        old.execute_batch(version).unwrap();
    }
    let (start, between, ended, again) = (at(0), at(10), at(20), at(30));
    let ban =
        "INSERT INTO all_bans (id, jail, subject, first, start, ended, offence, failures, origin)
               VALUES (?1, 'sshd', '192.0.2.7', x'c0000207', ?2, ?3, 1, 0, 'manual')";
    for (id, start, ended) in [(1, start, Some(ended)), (2, again, None)] {
        let ended = ended.map(|ended| ended.as_micros());
        old.execute(ban, rusqlite::params![id, start.as_micros(), ended])
            .unwrap();
    }
    let notice = "INSERT INTO notices (id, time, jail, kind, subject, detail)
                  VALUES (?1, ?2, 'sshd', ?3, '192.0.2.7', ?4)";
    for (id, time, kind, detail) in [
        (7, between, "unhindered", "the first"),
        (8, at(40), "unhindered", "the second"),
        (9, at(40), "login", "after 9 failures: root"),
        (20, at(50), "login", "swept away"),
    ] {
        old.execute(
            notice,
            rusqlite::params![id, time.as_micros(), kind, detail],
        )
        .unwrap();
    }
    old.execute_batch("DELETE FROM notices WHERE id = 20; PRAGMA user_version = 13")
        .unwrap();
    drop(old);

    let mut store = Store::open(&path).unwrap();
    assert_eq!(rows(&path, "notice_history"), 3);
    let told = |ban: u64| {
        let id = f2bd::engine::decision::BanId(ban);
        store.why_unhindered(id).unwrap()
    };
    assert_eq!(told(1).as_deref(), Some("the first"));
    assert_eq!(told(2).as_deref(), Some("the second"));
    assert_eq!(
        *store.remembered(at(60), HOUR).unwrap().unhindered,
        [("sshd".parse().unwrap(), subject("192.0.2.7"), at(40))]
    );
    // Numbers of forgotten rows are not used again.
    store.commit(at(60), &[login("root")], None).unwrap();
    assert_eq!(rows(&path, "notices WHERE id > 20"), 1);
}
