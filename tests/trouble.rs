//! What goes wrong around a running daemon: it keeps protecting, says so once, and recovers by itself.

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::fs;
use std::io::Write;
use std::os::unix::fs::symlink;
use std::os::unix::net::UnixDatagram;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use rusqlite::Connection;
use rustix::process::{Pid, Resource, Rlimit, Signal, prlimit};

use crate::support::skipped;
use crate::support::wait::until;
use crate::support::world::{Daemon, World};

const JAIL: &str = "maxretry = 3\nfindtime = \"1h\"\nbantime = \"1h\"\nignoreself = false";

fn banned(world: &World, address: &str) {
    until(&format!("{address} is in the kernel's set"), || {
        world.kernel_bans(address).then_some(())
    });
}

fn bans_in_database(world: &World) -> i64 {
    let connection = Connection::open(world.database()).unwrap();
    let count = connection.query_row("SELECT count(*) FROM active_bans", (), |row| row.get(0));
    // A database that is being replaced has no views yet.
    count.unwrap_or(0)
}

/// Bans while there is trouble with the database, and finds them in it when the trouble is over.
fn bans_all_the_while(
    world: &World,
    daemon: &Daemon,
    complaint: &str,
    end_of_trouble: impl FnOnce(),
) {
    for host in 7..12 {
        let address = format!("198.51.100.{host}");
        world.attack(&address, 3);
        banned(world, &address);
    }
    daemon.says(complaint);
    assert_eq!(
        daemon.said("error:"),
        1,
        "it is said once:\n{}",
        daemon.log()
    );
    end_of_trouble();
    until("the database knows all bans", || {
        (bans_in_database(world) == 5).then_some(())
    });
    assert_eq!(
        daemon.said("error:"),
        1,
        "it is said once:\n{}",
        daemon.log()
    );
}

#[test]
fn a_database_locked_by_somebody_else() {
    let Some(world) = World::new(JAIL) else {
        return;
    };
    let daemon = world.start();
    let reader = Connection::open(world.database()).unwrap();
    reader.execute_batch("BEGIN EXCLUSIVE").unwrap();
    bans_all_the_while(&world, &daemon, "locked", || {
        reader.execute_batch("ROLLBACK").unwrap()
    });
    daemon.says("is written again");
    daemon.stop();
}

/// As by a shell that tidies up behind a daemon that was killed.
#[test]
fn a_database_that_is_locked_for_a_moment_at_the_start() {
    let Some(world) = World::new(JAIL) else {
        return;
    };
    let daemon = world.start();
    world.attack("198.51.100.7", 2);
    let failures = || world.sql("SELECT count(*) FROM failures");
    until("two failures are stored", || {
        (failures() == "2").then_some(())
    });
    daemon.kill();
    let lock = Connection::open(world.database()).unwrap();
    lock.execute_batch("PRAGMA locking_mode = EXCLUSIVE; BEGIN EXCLUSIVE")
        .unwrap();
    let daemon = world.start_unready();
    // SQLite sleeps between its looks, and nothing else does at the start.
    let waits_in = format!("/proc/{}/wchan", daemon.pid());
    until("it waits for the database", || {
        let place = fs::read_to_string(&waits_in).ok()?;
        place.contains("nanosleep").then_some(())
    });
    // Longer than anybody may hold it up later; this is no wait for a fact.
    std::thread::sleep(Duration::from_millis(300));
    drop(lock);
    world.attack("198.51.100.7", 1);
    banned(&world, "198.51.100.7");
    assert_eq!(failures(), "3", "each is recorded once");
    assert_eq!(daemon.said("error:"), 0, "{}", daemon.log());
    daemon.stop();
}

/// A disk of its own size, gone with the test.
pub struct TinyDisk(PathBuf);

impl TinyDisk {
    pub fn mount(at: &Path, size: &str) -> Option<TinyDisk> {
        fs::create_dir_all(at).unwrap();
        let mut mount = Command::new("mount");
        let output = mount
            .args(["-t", "tmpfs", "-o", &format!("size={size}"), "f2bd-test"])
            .arg(at)
            .output()
            .unwrap();
        if output.status.success() {
            Some(TinyDisk(at.to_owned()))
        } else {
            skipped(&format!(
                "cannot mount a small disk: {}",
                String::from_utf8_lossy(&output.stderr)
            ))
        }
    }
}

impl Drop for TinyDisk {
    fn drop(&mut self) {
        let mut umount = Command::new("umount");
        umount.arg("--lazy").arg(&self.0).status().unwrap();
    }
}

#[test]
fn a_full_disk() {
    let Some(world) = World::new(JAIL) else {
        return;
    };
    let state = world.database().parent().unwrap().to_owned();
    let Some(_disk) = TinyDisk::mount(&state, "1m") else {
        return;
    };
    let daemon = world.start();
    let ballast = state.join("ballast");
    fs::write(&ballast, vec![1; 2 << 20]).unwrap_err();
    bans_all_the_while(&world, &daemon, "full", || {
        fs::remove_file(&ballast).unwrap()
    });
    daemon.stop();
}

#[test]
fn a_database_damaged_under_way() {
    let Some(world) = World::new(JAIL) else {
        return;
    };
    let daemon = world.start();
    world.attack("198.51.100.6", 3);
    banned(&world, "198.51.100.6");
    daemon.stop();
    fs::write(world.database(), vec![7; 100_000]).unwrap();
    let daemon = world.start();
    world.attack("198.51.100.7", 3);
    banned(&world, "198.51.100.7");
    until("a new database knows the ban", || {
        (bans_in_database(&world) > 0).then_some(())
    });
    assert_eq!(world.sql("PRAGMA integrity_check"), "ok");
    assert_eq!(
        daemon.said("error:"),
        1,
        "it is said once:\n{}",
        daemon.log()
    );
    let state = world.database().parent().unwrap().to_owned();
    let names = fs::read_dir(state)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap());
    assert_eq!(
        names.filter(|name| name.contains("damaged")).count(),
        1,
        "the old one is kept aside"
    );
    daemon.stop();
}

#[test]
fn a_journal_that_cannot_be_read() {
    let Some(world) = World::new(JAIL) else {
        return;
    };
    let directory = world.path().join("journal");
    let (notes, jail) = (
        world.path().join("notes"),
        format!("{JAIL}\nactions = [\"nftables\", \"note\"]"),
    );
    fs::create_dir(world.path().join("actions")).unwrap();
    let note = "kind = \"exec\"\ntitle = \"notes\"\n[parameters.path]\ntype = \"path\"\nabout = \"Where.\"\n\
                [[tell]]\nrun = [\"tee\", \"-a\", \"<path>\"]\ninput = \"<sentence>\"\n";
    fs::write(world.path().join("actions/note.toml"), note).unwrap();
    let rest = format!("[action.note]\npath = {notes:?}\non = [\"error\"]");
    world.configure_journal(&directory, &jail, &rest);
    let daemon = world.start();
    daemon.says("source journal cannot be read");
    assert!(
        world
            .f2bd(&["ban", "sshd", "198.51.100.6"])
            .status
            .success()
    );
    banned(&world, "198.51.100.6");
    let shown = String::from_utf8(world.f2bd(&["status"]).stdout).unwrap();
    assert!(shown.contains("no journal files"), "{shown}");
    world.attack("198.51.100.7", 3);
    symlink(world.journald.directory(), &directory).unwrap();
    banned(&world, "198.51.100.7");
    daemon.says("source journal can be read again");
    until("both are told", || {
        let notes = fs::read_to_string(&notes).unwrap_or_default();
        let told = |words| notes.lines().any(|line| line.contains(words));
        (told("source journal cannot be read") && told("source journal can be read again"))
            .then_some(())
    });
    assert_eq!(
        daemon.said("error:"),
        1,
        "it is said once:\n{}",
        daemon.log()
    );
    daemon.stop();
}

/// A directory for PATH in which nft is what `place` made it.
fn path_with_nft(world: &World) -> (PathBuf, String) {
    let bin = world.path().join("bin");
    fs::create_dir(&bin).unwrap();
    (bin.join("nft"), bin.display().to_string())
}

#[test]
fn an_nft_that_is_missing_from_the_start() {
    let Some(world) = World::new(JAIL) else {
        return;
    };
    let nft = world.path().join("nft");
    // Where it would be found otherwise is no matter.
    let rest = format!("[action.nftables]\nnft = {nft:?}");
    world.configure(JAIL, &rest);
    let daemon = world.start();
    daemon.says("which is not there: install it");
    world.attack("198.51.100.7", 3);
    until("the ban is known, and known not to be in effect", || {
        let bans = world.json(&["bans"]);
        (bans.len() == 1 && bans[0]["in_effect"] == false).then_some(())
    });
    symlink("/usr/sbin/nft", &nft).unwrap();
    banned(&world, "198.51.100.7");
    daemon.says("works again");
    assert_eq!(
        daemon.said("error:"),
        1,
        "it is said once:\n{}",
        daemon.log()
    );
    daemon.stop();
}

#[test]
fn an_nft_that_fails() {
    let Some(world) = World::new(JAIL) else {
        return;
    };
    let (nft, path) = path_with_nft(&world);
    symlink("/usr/sbin/nft", &nft).unwrap();
    let daemon = world.start_with(&[], &[("PATH", &path)]);
    fs::remove_file(&nft).unwrap();
    symlink("/bin/false", &nft).unwrap();
    world.nft(&["flush", "ruleset"]);
    daemon.says("error:");
    world.attack("198.51.100.7", 3);
    until("the ban is known, and known not to be in effect", || {
        let bans = world.json(&["bans"]);
        (bans.len() == 1 && bans[0]["in_effect"] == false).then_some(())
    });
    daemon.tells("STATUS=jails: 1, bans: 1, an action does not work");
    fs::remove_file(&nft).unwrap();
    symlink("/usr/sbin/nft", &nft).unwrap();
    banned(&world, "198.51.100.7");
    daemon.says("works again");
    assert_eq!(
        daemon.said("error:"),
        1,
        "it is said once:\n{}",
        daemon.log()
    );
    daemon.stop();
}

#[test]
fn a_service_manager_that_does_not_listen() {
    let Some(world) = World::new(JAIL) else {
        return;
    };
    let daemon = world.start();
    // Nobody reads the socket now, and each ban is another status; the kernel keeps ten datagrams.
    for host in 1..=40 {
        let address = format!("198.51.100.{host}");
        world.attack(&address, 3);
        banned(&world, &address);
    }
    daemon.stop();
}

/// A start with a database that cannot be read: what was there before must hold, and be there once afterwards.
#[test]
fn a_database_that_cannot_be_read_at_the_start() {
    let Some(world) = World::new(&JAIL.replace("maxretry = 3", "maxretry = 5")) else {
        return;
    };
    let daemon = world.start();
    assert!(world.f2bd(&["ban", "sshd", "203.0.113.9"]).status.success());
    banned(&world, "203.0.113.9");
    world.attack("198.51.100.8", 5);
    banned(&world, "198.51.100.8");
    world.attack("198.51.100.7", 2);
    let failing = || world.json(&["status"])[0]["jails"][0]["failing"].clone();
    until("two failures are known", || (failing() == 2).then_some(()));
    daemon.stop();
    // A file where the directory should be stops root, too.
    let state = world.database().parent().unwrap().to_owned();
    let away = world.path().join("away");
    fs::rename(&state, &away).unwrap();
    fs::write(&state, "").unwrap();
    let daemon = world.start();
    assert!(
        world.kernel_bans("203.0.113.9"),
        "the kernel still has the ban"
    );
    until("the records are read again", || {
        (failing() == 2).then_some(())
    });
    world.attack("198.51.100.6", 5);
    banned(&world, "198.51.100.6");
    assert!(
        world.kernel_bans("203.0.113.9"),
        "and a new ban takes nothing away"
    );
    fs::remove_file(&state).unwrap();
    fs::rename(&away, &state).unwrap();
    until("the old ban is known again", || {
        let bans = world.json(&["bans"]);
        bans.iter()
            .any(|ban| ban["subject"] == "203.0.113.9/32")
            .then_some(())
    });
    assert_eq!(failing(), 2, "no failure counts twice");
    until("the database has each ban once", || {
        let ips =
            world.sql("SELECT group_concat(ip, ' ') FROM (SELECT ip FROM active_bans ORDER BY ip)");
        (ips == "198.51.100.6 198.51.100.8 203.0.113.9").then_some(())
    });
    daemon.stop();
    let daemon = world.start();
    assert_eq!(failing(), 2, "nor after one more start");
    assert!(world.kernel_bans("203.0.113.9"));
    daemon.stop();
}

#[test]
fn changes_by_others_while_everything_is_put_back() {
    let Some(world) = World::new(JAIL) else {
        return;
    };
    let daemon = world.start();
    world.attack("198.51.100.7", 3);
    banned(&world, "198.51.100.7");
    for _ in 0..10 {
        world.nft(&["flush", "chain", "inet", "f2bd", "input"]);
        world.nft(&["flush", "set", "inet", "f2bd", "ipv4/sshd"]);
    }
    until("the rules are back", || {
        let rules = world
            .nft(&["list", "chain", "inet", "f2bd", "input"])
            .stdout;
        String::from_utf8_lossy(&rules)
            .contains("drop")
            .then_some(())
    });
    banned(&world, "198.51.100.7");
    daemon.stop();
}

/// The limit under which the daemon can open one file more than it has open all the time.
fn room_for_one(daemon: &Daemon) -> u64 {
    let sample = || -> BTreeSet<u64> {
        std::thread::sleep(Duration::from_millis(2));
        let open = fs::read_dir(format!("/proc/{}/fd", daemon.pid())).unwrap();
        let number = |name: OsString| name.into_string().unwrap().parse().unwrap();
        open.map(|entry| number(entry.unwrap().file_name()))
            .collect()
    };
    let first = sample();
    let always = (0..50).fold(first, |always, _| &always & &sample());
    // The limit is for the numbers of the files, and there are gaps.
    let free = (0..).find(|number| !always.contains(number)).unwrap();
    free + 1
}

/// Lets the daemon open files with numbers below this one.
fn may_open(daemon: &Daemon, files: u64) {
    let pid = Pid::from_raw(daemon.pid().try_into().unwrap());
    let limit = Rlimit {
        current: Some(files),
        maximum: Some(4096),
    };
    prlimit(pid, Resource::Nofile, limit).unwrap();
}

/// No descriptors are left when a source begins: the others go on, and it begins as soon as there are some.
#[test]
fn a_source_for_which_the_system_has_no_means() {
    let Some(world) = World::new(JAIL) else {
        return;
    };
    let daemon = world.start_with(&["--dry-run"], &[]);
    let bans = || bans_in_database(&world);
    // Then everything else is open.
    world.attack("198.51.100.6", 3);
    until("the journal is read", || (bans() == 1).then_some(()));
    let socket = world.path().join("syslog.sock");
    world.configure(
        &format!("{JAIL}\nsources = [\"journal\", \"late\"]"),
        &format!(
            "[source.late]\ntype = \"syslog\"\nlisten = [\"unix://{}\"]",
            socket.display()
        ),
    );
    // One for the file that is being read, too few for whoever waits for sockets.
    may_open(&daemon, room_for_one(&daemon));
    daemon.signal(Signal::HUP);
    daemon.says("source late cannot be read: cannot be read at all");
    world.attack("198.51.100.7", 3);
    until("the journal is read on", || (bans() == 2).then_some(()));
    // Long enough for more than one try.
    std::thread::sleep(Duration::from_millis(1_500));
    may_open(&daemon, 1024);
    daemon.says("source late can be read again");
    let sender = UnixDatagram::unbound().unwrap();
    for _ in 0..3 {
        let text = b"<38>sshd[1]: Failed password for root from 198.51.100.8 port 1 ssh2";
        until("it listens", || sender.send_to(text, &socket).ok());
    }
    until("it is read", || (bans() == 3).then_some(()));
    assert_eq!(daemon.said("source late cannot"), 1, "{}", daemon.log());
    let status = world.json(&["status"]).remove(0);
    let sources = status["sources"].as_array().unwrap();
    assert!(
        sources.iter().all(|source| source["trouble"].is_null()),
        "{status}"
    );
    daemon.stop();
}

/// The place of a socket goes and comes back.
#[test]
fn a_socket_without_a_directory() {
    let Some(world) = World::new(JAIL) else {
        return;
    };
    let home = world.path().join("sockets");
    let socket = home.join("syslog.sock");
    world.configure(
        &format!("{JAIL}\nsources = [\"journal\", \"late\"]"),
        &format!(
            "[source.late]\ntype = \"syslog\"\nlisten = [\"unix://{}\"]",
            socket.display()
        ),
    );
    let daemon = world.start();
    daemon.says("make the directory first");
    let trouble = || world.json(&["status"])[0]["sources"][1]["trouble"].clone();
    assert!(trouble().is_string());
    fs::create_dir(&home).unwrap();
    daemon.says("source late can be read again");
    until("status knows", || trouble().is_null().then_some(()));
    assert_eq!(daemon.said("source late cannot"), 1, "{}", daemon.log());
    daemon.stop();
}

/// What gives one program another clock than the machine's.
fn other_clock() -> Option<PathBuf> {
    let places = fs::read_dir("/usr/lib").unwrap();
    let places = places.map(|place| place.unwrap().path().join("faketime/libfaketimeMT.so.1"));
    let library = places.into_iter().find(|library| library.exists());
    library.or_else(|| skipped("there is no libfaketime"))
}

#[test]
fn a_clock_that_is_set_back_and_forth() {
    let Some(library) = other_clock() else {
        return;
    };
    let Some(world) = World::new("enabled = false") else {
        return;
    };
    let (log, clock) = (world.path().join("app.log"), world.path().join("clock"));
    world.configure(
        &format!("{JAIL}\nsources = [\"journal\", \"app\"]"),
        &format!("[source.app]\ntype = \"file\"\npath = [{log:?}]\n"),
    );
    let set = |offset: &str| {
        let new = world.path().join("new-clock");
        fs::write(&new, format!("{offset}\n")).unwrap();
        fs::rename(new, &clock).unwrap();
    };
    set("+0");
    let daemon = world.start_with(
        &[],
        &[
            ("LD_PRELOAD", library.to_str().unwrap()),
            ("FAKETIME_TIMESTAMP_FILE", clock.to_str().unwrap()),
            ("FAKETIME_NO_CACHE", "1"),
            // As when a clock is set: that by which waiting is measured goes on.
            ("FAKETIME_DONT_FAKE_MONOTONIC", "1"),
        ],
    );
    let mut process = 0;
    // The machine writes its log by the same clock.
    let mut fail = |address: &str, times: usize, hours_back: i64| {
        let time = jiff::Timestamp::now() - jiff::SignedDuration::from_hours(hours_back);
        for _ in 0..times {
            process += 1;
            let line = format!(
                "{time} box sshd[{process}]: Failed password for root from {address} port 22 ssh2\n"
            );
            let mut file = fs::File::options()
                .create(true)
                .append(true)
                .open(&log)
                .unwrap();
            file.write_all(line.as_bytes()).unwrap();
        }
    };
    let failures = |address: &str| {
        world.sql(&format!(
            "SELECT count(*) FROM failures WHERE address = '{address}'"
        ))
    };
    const SET: &str = "the clock was set";
    fail("198.51.100.1", 3, 0);
    fail("198.51.100.2", 2, 0);
    banned(&world, "198.51.100.1");
    until("two are counted", || {
        (failures("198.51.100.2") == "2").then_some(())
    });
    set("-2h");
    daemon.says(SET);
    fail("198.51.100.3", 3, 2);
    banned(&world, "198.51.100.3");
    assert!(world.kernel_bans("198.51.100.1"), "he is kept out still");
    set("+0");
    until("it is said again", || (daemon.said(SET) == 2).then_some(()));
    // The third one, of before the clock was set.
    fail("198.51.100.2", 1, 0);
    banned(&world, "198.51.100.2");
    banned(&world, "198.51.100.1");
    until("his hour is over by this clock", || {
        (!world.kernel_bans("198.51.100.3")).then_some(())
    });
    for number in 1..=3 {
        assert_eq!(failures(&format!("198.51.100.{number}")), "3");
    }
    assert_eq!(daemon.said(SET), 2, "{}", daemon.log());
    assert_eq!(daemon.said("error:"), 0, "{}", daemon.log());
    daemon.stop();
}
