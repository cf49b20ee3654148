//! What becomes of those who are shut out when the database cannot be read at a start, or has lost bans? They stay shut out:
//! only what is known to be over is taken out of a target, with the whole daemon.

use std::fs;
use std::path::PathBuf;

use rusqlite::Connection;
use rustix::process::Signal;

use crate::support::wait::until;
use crate::support::world::{Daemon, World};

/// Keeps a list of which it can only say all at once.
const WHOLE: &str = r#"
kind = "exec"
title = "a list that is replaced as a whole"
place = "<path>"
shared = true
[parameters.path]
type = "path"
about = "The list."
[[reconcile]]
run = ["tee", "<path>"]
input = "<address>"
"#;

/// A world with a set of the kernel, a file and a list that is replaced as a whole.
struct Targets {
    world: World,
    file: PathBuf,
    whole: PathBuf,
}

impl Targets {
    fn new() -> Option<Targets> {
        let world = World::new("")?;
        let (file, whole) = (world.path().join("file"), world.path().join("whole"));
        fs::create_dir(world.path().join("actions")).unwrap();
        fs::write(world.path().join("actions/whole.toml"), WHOLE).unwrap();
        let jail = "bantime = \"forever\"\nactions = [\"nftables\", \"list-file\", \"whole\"]";
        let rest =
            format!("[action.list-file]\npath = {file:?}\n[action.whole]\npath = {whole:?}\n");
        world.configure(jail, &rest);
        Some(Targets { world, file, whole })
    }

    fn command(&self, words: &[&str]) {
        let done = self.world.f2bd(words);
        assert!(done.status.success(), "{words:?}: {done:?}");
    }

    /// Two bans in effect, and no daemon any more, as after a power cut.
    fn after_a_crash(&self) {
        let daemon = self.world.start();
        for host in ["198.51.100.6", "198.51.100.7"] {
            self.command(&["ban", "sshd", host]);
        }
        self.hold(&["198.51.100.6", "198.51.100.7"], &[]);
        self.lists_as_a_whole(&["198.51.100.6", "198.51.100.7"]);
        daemon.signal(Signal::KILL);
        daemon.kill();
    }

    /// Waits until kernel and file hold these, and not those.
    fn hold(&self, these: &[&str], those: &[&str]) {
        until(
            &format!("{these:?} are in effect and {those:?} are not"),
            || {
                let file = fs::read_to_string(&self.file).unwrap_or_default();
                let holds = |host: &&str| {
                    let in_file = file.lines().any(|line| line == *host);
                    let in_kernel = self.world.kernel_bans(host);
                    (in_file == in_kernel).then_some(in_file)
                };
                let all =
                    |hosts: &[&str], wanted| hosts.iter().all(|host| holds(host) == Some(wanted));
                (all(these, true) && all(those, false)).then_some(())
            },
        );
    }

    fn lists_as_a_whole(&self, hosts: &[&str]) {
        until(&format!("{hosts:?} are the whole list"), || {
            let list = fs::read_to_string(&self.whole).unwrap_or_default();
            list.lines().eq(hosts.iter().copied()).then_some(())
        });
    }

    /// Whoever was shut out is so still, whatever is done to others.
    fn only_known_bans_come_and_go(&self, daemon: &Daemon) {
        let before = ["198.51.100.6", "198.51.100.7"];
        self.hold(&before, &[]);
        self.command(&["ban", "sshd", "198.51.100.8"]);
        self.hold(&["198.51.100.6", "198.51.100.7", "198.51.100.8"], &[]);
        self.command(&["unban", "198.51.100.8"]);
        self.hold(&before, &["198.51.100.8"]);
        self.lists_as_a_whole(&before);
        daemon.says("whole: not all bans are known, so what is there stays as it is");
    }
}

#[test]
fn a_database_that_is_locked_at_the_start_lets_nobody_go() {
    let Some(targets) = Targets::new() else {
        return;
    };
    targets.after_a_crash();
    let lock = Connection::open(targets.world.database()).unwrap();
    lock.execute_batch("PRAGMA locking_mode = EXCLUSIVE; BEGIN EXCLUSIVE")
        .unwrap();
    let daemon = targets.world.start();
    daemon.says("bans go on from memory");
    targets.only_known_bans_come_and_go(&daemon);
    drop(lock);
    daemon.says("is written again");
    targets.command(&["unban", "198.51.100.6"]);
    targets.hold(&["198.51.100.7"], &["198.51.100.6"]);
    targets.lists_as_a_whole(&["198.51.100.7"]);
    daemon.stop();
}

#[test]
fn a_database_that_was_damaged_lets_nobody_go_until_it_is_said() {
    let Some(targets) = Targets::new() else {
        return;
    };
    targets.after_a_crash();
    let log = targets.world.database().with_extension("db-wal");
    for file in [targets.world.database(), log] {
        fs::write(file, vec![7; 100_000]).unwrap();
    }
    let daemon = targets.world.start();
    targets.only_known_bans_come_and_go(&daemon);
    daemon.stop();

    // Nor does the next start.
    let daemon = targets.world.start();
    targets.only_known_bans_come_and_go(&daemon);
    let status = String::from_utf8(targets.world.f2bd(&["status"]).stdout).unwrap();
    assert!(status.contains("bans were lost"), "{status}");

    targets.command(&["ban", "sshd", "198.51.100.9"]);
    targets.command(&["flush"]);
    targets.hold(&["198.51.100.9"], &["198.51.100.6", "198.51.100.7"]);
    targets.lists_as_a_whole(&["198.51.100.9"]);
    assert_eq!(targets.world.sql("SELECT count(*) FROM losses"), "0");
    daemon.stop();
}
