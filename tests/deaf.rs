//! Filters that have gone deaf, shown from outside: a service words its failures anew, and somebody gets to know.

use std::fs;
use std::io::Write;
use std::path::PathBuf;

use f2bd::control::health::HealthRow;
use f2bd::engine::Decision;
use f2bd::engine::sighting::{DAY, PatternCount, Sighting, UnknownLine};
use f2bd::engine::time::Timestamp;
use f2bd::store::{Retention, Store};

use crate::support::wait::until;
use crate::support::world::World;

/// What the filter knows.
const GATE: &str = "[records]\nprogram = [\"gate\"]\n\n[[failure]]\npattern = '^no <user> from <ip>$'\n\n\
    [[failure]]\npattern = '^never <user> from <ip>$'\n\n\
    [[sample]]\nline = 'Feb 12 14:10:21 box gate[7]: no jo from 192.0.2.7'\nip = \"192.0.2.7\"\nuser = \"jo\"\n\n\
    [[sample]]\nline = 'Feb 12 14:10:21 box gate[7]: never jo from 192.0.2.7'\nip = \"192.0.2.7\"\nuser = \"jo\"\n";

/// A world with a jail on a log of its own; `None` where none can be made.
fn world() -> Option<World> {
    let world = World::new("maxretry = 3\nignoreself = false")?;
    fs::create_dir(world.path().join("filters")).unwrap();
    fs::write(world.path().join("filters/gate.toml"), GATE).unwrap();
    let jail = format!(
        "[jail.gate]\nlogpath = [{:?}]\nsources = [\"files\"]\nmaxretry = 1000\nignoreself = false\n\n\
         [source.files]\ntype = \"file\"",
        log(&world)
    );
    world.configure("maxretry = 3\nignoreself = false", &jail);
    write(&world, "gate", "hello");
    Some(world)
}

fn log(world: &World) -> PathBuf {
    world.path().join("gate.log")
}

/// What a program logs now.
fn write(world: &World, program: &str, message: &str) {
    let now = jiff::Zoned::now().strftime("%Y-%m-%dT%H:%M:%S%.6f%:z");
    let mut file = fs::File::options()
        .create(true)
        .append(true)
        .open(log(world))
        .unwrap();
    writeln!(file, "{now} box {program}[7]: {message}").unwrap();
}

fn health(world: &World) -> HealthRow {
    let rows = world.json(&["status", "--deaf"]).into_iter();
    let mut rows = rows.map(|row| serde_json::from_value::<HealthRow>(row).unwrap());
    rows.find(|row| row.filter == "gate").unwrap()
}

#[test]
fn a_new_wording_is_shown() {
    let Some(world) = world() else {
        return;
    };
    let daemon = world.start();
    for number in 0..5 {
        write(&world, "gate", &format!("no u{number} from 192.0.2.7"));
        write(
            &world,
            "gate-session",
            &format!("login \x1b[2J failed for u{number} from 192.0.2.7"),
        );
        write(
            &world,
            "door",
            &format!("login failed at the door, u{number} from 192.0.2.7"),
        );
    }
    let row = until("all is heard", || {
        let row = health(&world);
        let count = row.lines.first().map_or(0, |line| line.count);
        (row.patterns[0].records == 5 && count == 5).then_some(row)
    });
    assert_eq!((row.jails, row.deaf), (vec!["gate".to_owned()], false));
    assert_eq!(row.lines.len(), 1);
    assert_eq!(
        row.lines[0].line,
        "login \\x1b[2J failed for u0 from 192.0.2.7"
    );
    assert!(row.patterns[0].last.is_some());
    assert_eq!((row.patterns[1].records, row.patterns[1].last), (0, None));
    assert!(row.patterns[1].since.is_some());
    let shown = world.f2bd(&["status", "--deaf"]).stdout;
    let shown = String::from_utf8(shown).unwrap();
    for text in [
        "Filter gate (gate): hears; 5 records taken in 1w, the last of ",
        "Took nothing: 2 (never, since ",
        "    5 lines, the last of ",
        ": login \\x1b[2J failed for u0 from 192.0.2.7\n",
        "`f2bd match --missed FILTER LOG` shows more",
    ] {
        assert!(shown.contains(text), "{text}: {shown}");
    }
    assert_eq!(
        world.sql("SELECT number, records, pattern FROM pattern_counts WHERE filter = 'gate' ORDER BY number"),
        "1|5|^no <user> from <ip>$\n2|0|^never <user> from <ip>$"
    );
    assert_eq!(
        world.sql("SELECT filter, count, line FROM unknown_lines"),
        "gate|5|login \\x1b[2J failed for u0 from 192.0.2.7"
    );
    daemon.stop();
}

#[test]
fn kills_lose_and_double_nothing_that_patterns_took() {
    let Some(world) = world() else {
        return;
    };
    let mut written = 0;
    for round in 0..20 {
        let daemon = world.start();
        for _ in 0..7 {
            write(&world, "gate", &format!("no jo from 192.0.2.{round}"));
            written += 1;
        }
        if round % 2 == 0 {
            // What it has told is in the database; what comes now may be or not.
            until("something is heard", || {
                (health(&world).patterns[0].records > 0).then_some(())
            });
            write(&world, "gate", "no jo from 198.51.100.7");
            written += 1;
        }
        daemon.kill();
    }
    let daemon = world.start();
    until("all is heard", || {
        (health(&world).patterns[0].records >= written).then_some(())
    });
    assert_eq!(health(&world).patterns[0].records, written);
    assert_eq!(
        world.sql("SELECT sum(records) FROM pattern_counts WHERE filter = 'gate'"),
        written.to_string()
    );
    assert_eq!(
        world.sql("SELECT count(*) FROM failures WHERE jail = 'gate'"),
        written.to_string(),
        "as many as are stored"
    );
    daemon.stop();
}

#[test]
fn who_has_gone_deaf_is_told_of_by_check_and_by_the_daemon() {
    let Some(world) = world() else {
        return;
    };
    let config = world.config().display().to_string();
    let check = || {
        let output = world.f2bd(&["check", "--config", &config]);
        assert_eq!(output.status.code(), Some(0));
        String::from_utf8(output.stdout).unwrap()
    };
    assert!(
        !check().contains("gate"),
        "there is no database: {}",
        check()
    );
    let daemon = world.start();
    write(&world, "gate", "no jo from 192.0.2.7");
    write(&world, "gate", "login failed for jo from 192.0.2.7");
    write(&world, "gate", "login failed for ann from 192.0.2.8");
    until("all is heard", || {
        let row = health(&world);
        let count = row.lines.first().map_or(0, |line| line.count);
        (row.patterns[0].records == 1 && count == 2).then_some(())
    });
    assert!(!check().contains("gate"), "it hears: {}", check());
    daemon.stop();
    // Three days pass in which no pattern takes anything.
    world.sql("UPDATE taken SET day = day - 259200000000, last = last - 259200000000");
    let told = check();
    assert!(
        told.contains("the filter `gate` has taken nothing for 3d")
            && told.contains("but 2 lines of its programs look like failures, such as: login failed for jo from 192.0.2.7")
            && told.contains("f2bd match --missed gate LOG"),
        "{told}"
    );
    let problems = world.json(&["check", "--config", &config]);
    assert_eq!(problems[0]["problems"][0]["severity"], "warning");
    let daemon = world.start();
    daemon.says("the filter gate may have gone deaf");
    assert!(health(&world).deaf);
    daemon.stop();
    let daemon = world.start();
    assert!(health(&world).deaf);
    assert_eq!(daemon.said("may have gone deaf"), 1, "once a day");
    assert_eq!(
        world.sql("SELECT count(*) FROM notice_history WHERE kind = 'deaf' AND jail = 'gate'"),
        "1"
    );
    daemon.stop();
}

fn taken(day: Timestamp, records: u64, last: Option<Timestamp>) -> Sighting {
    Sighting::Taken(PatternCount {
        filter: "gate".parse().unwrap(),
        pattern: "^no <user> from <ip>$".into(),
        number: 1,
        day,
        records,
        last,
    })
}

fn unknown(place: u8, count: u64, last: Timestamp) -> Sighting {
    Sighting::Unknown(UnknownLine {
        filter: "gate".parse().unwrap(),
        place,
        text: format!("login {place} failed").into(),
        count,
        first: last.before(DAY),
        last,
    })
}

#[test]
fn totals_are_kept_however_often_they_are_written_and_not_for_ever() {
    let home = tempfile::tempdir().unwrap();
    let mut store = Store::open(&home.path().join("f2bd.db")).unwrap();
    let day = |number: i64| Timestamp::from_micros(number * 86_400_000_000);
    let (first, second) = (day(20_000), day(20_001));
    let write = |store: &mut Store, all: &[Sighting]| {
        let all: Vec<_> = all.iter().cloned().map(Decision::Sighted).collect();
        store.commit(second, &all, None).unwrap();
    };
    let newest = taken(second, 2, None);
    let line = unknown(0, 3, second);
    write(
        &mut store,
        &[taken(first, 7, Some(first)), taken(first, 0, None)],
    );
    write(
        &mut store,
        &[newest.clone(), unknown(0, 2, first), line.clone()],
    );
    write(
        &mut store,
        &[
            taken(first, 7, Some(first)),
            taken(second, 1, None),
            line.clone(),
        ],
    );
    let seen = |store: &Store| {
        let remembered = store.remembered(second, DAY).unwrap();
        remembered.seen.sightings
    };
    assert_eq!(seen(&store), [taken(second, 2, Some(first)), line]);
    let sums = store.sightings(second).unwrap().sums;
    assert_eq!((sums.len(), sums[0].records), (1, 2));
    assert_eq!((sums[0].last, sums[0].since), (Some(first), first));
    assert_eq!(store.sightings(first).unwrap().sums[0].records, 9);
    let retention = Retention {
        history: 1_000 * DAY,
        failures: 30 * DAY,
        max_failures: 1_000,
    };
    store.sweep(day(20_040), retention).unwrap();
    assert_eq!(
        seen(&store),
        [taken(second, 2, Some(first))],
        "lines are kept as failures are"
    );
    store.sweep(first.after(367 * DAY), retention).unwrap();
    assert_eq!(seen(&store), [newest], "and counts for a year");
}
