//! How a jail decides beyond maxretry and findtime: the whole daemon with its database, and `replay`.

use std::fs;
use std::process::Command;

use serde_json::Value;

use crate::support::wait::until;
use crate::support::world::{F2BD, World};

const GROWING: &str = "maxretry = 1\nbantime = \"1h\"\nignoreself = false\n\
    escalation = { factor = 3, memory = \"30d\", jitter = \"0%\" }";

/// Waits until the database tells so of bans.
fn until_it_tells(world: &World, query: &str, expected: &str) {
    until(&format!("the bans are {expected:?}"), || {
        (world.database().exists() && world.sql(query) == expected).then_some(())
    });
}

/// For how many minutes each ban was made, and which offence it was.
const BANS: &str = "SELECT (until - start) / 60000000, offence FROM bans ORDER BY id";

#[test]
fn the_next_ban_is_longer_also_after_a_kill() {
    let Some(world) = World::new(GROWING) else {
        return;
    };
    let address = "198.51.100.7";
    let daemon = world.start();
    world.attack(address, 1);
    until_it_tells(&world, BANS, "60|1");
    world.f2bd(&["unban", address]);
    world.attack(address, 1);
    until_it_tells(&world, BANS, "60|1\n180|2");
    daemon.kill();
    let daemon = world.start();
    world.f2bd(&["unban", address]);
    let told = String::from_utf8(world.f2bd(&["explain", address]).stdout).unwrap();
    assert!(
        told.contains("The next ban would be number 3 and last for 9h."),
        "{told}"
    );
    world.attack(address, 1);
    until_it_tells(&world, BANS, "60|1\n180|2\n540|3");
    let explained = world.json(&["explain", address]);
    assert_eq!(explained[0]["verdicts"][0]["next"]["offence"], 4);
    daemon.stop();
}

#[test]
fn who_is_forgiven_is_a_newcomer_also_after_a_kill() {
    let Some(world) = World::new(GROWING) else {
        return;
    };
    let address = "198.51.100.7";
    let done = |arguments: &[&str]| {
        let output = world.f2bd(arguments);
        assert!(output.status.success(), "{output:?}");
        String::from_utf8(output.stdout).unwrap()
    };
    let daemon = world.start();
    world.attack(address, 1);
    until_it_tells(&world, BANS, "60|1");
    done(&["unban", address]);
    world.attack(address, 1);
    until_it_tells(&world, BANS, "60|1\n180|2");
    let told = done(&["unban", address]);
    assert!(
        told.ends_with(
            "1 ban lifted\njail sshd bans again at 1 failure within 10m, for 9h, as ban number 3\n"
        ),
        "{told}"
    );
    let told = done(&["unban", "--forget", address]);
    assert!(
        told.contains("0 bans lifted, and earlier ones forgotten")
            && told.contains("for 1h, as ban number 1"),
        "{told}"
    );
    until("it is written", || {
        (world.sql("SELECT sum(forgiven) FROM bans") == "2").then_some(())
    });
    daemon.kill();
    let daemon = world.start();
    world.attack(address, 1);
    until_it_tells(&world, BANS, "60|1\n180|2\n60|1");
    // Also when nothing is in force.
    done(&["unban", address]);
    done(&["unban", "--forget", address]);
    let again = world.f2bd(&["unban", "--forget", address]);
    assert_eq!(again.status.code(), Some(1), "{again:?}");
    daemon.stop();
}

#[test]
fn replay_lets_bans_grow_and_tries_out_how_much() {
    let home = tempfile::tempdir().unwrap();
    let config = home.path().join("f2bd.conf");
    let log = home.path().join("auth.log");
    let text = "[jail.sshd]\nmaxretry = 1\nbantime = \"1m\"\nescalation = { factor = 2, memory = \"1h\" }\n";
    fs::write(&config, text).unwrap();
    // Each failure comes when the ban before it is over; the last one after a day.
    let line = |clock: &str| {
        format!("Feb {clock} box sshd[1]: Failed password for jo from 192.0.2.7 port 22 ssh2\n")
    };
    let lines: String = ["11 10:00:00", "11 10:01:00", "11 10:03:00", "12 10:03:00"]
        .map(line)
        .concat();
    fs::write(&log, lines).unwrap();
    let replay = |arguments: &[&str]| {
        let clock = ["--timezone", "UTC", "--now", "2026-03-01T00:00:00Z"];
        let mut command = Command::new(F2BD);
        command.arg("replay").args(clock).args(arguments);
        let output = command.arg("--config").arg(&config).arg(&log).output();
        let output = output.unwrap();
        assert_eq!(String::from_utf8_lossy(&output.stderr), "");
        String::from_utf8(output.stdout).unwrap()
    };
    let decisions = replay(&["--json"]);
    let bans = decisions.lines().filter_map(|line| {
        let decision: Value = serde_json::from_str(line).unwrap();
        (decision["decision"] == "ban").then(|| {
            let (bantime, offence) = (&decision["bantime"], &decision["offence"]);
            (bantime.as_u64().unwrap(), offence.as_u64().unwrap())
        })
    });
    let bans: Vec<_> = bans.collect();
    assert_eq!(bans, [(60, 1), (120, 2), (240, 3), (60, 1)]);
    let compared = replay(&["--set", "escalation={multipliers=[1,30]}"]);
    assert!(compared.contains("Banned less often: 1"), "{compared}");
}

#[test]
fn a_hostile_network_is_one_ban_also_after_a_kill() {
    let Some(world) = World::new(
        "maxretry = 2\nfindtime = \"1h\"\nbantime = \"1h\"\nignoreself = false\n\
         network = { hosts = 3, maxretry = 6 }",
    ) else {
        return;
    };
    let kernel_has = |subject: &str| {
        until(&format!("{subject} is in the kernel's set"), || {
            world.kernel_bans(subject).then_some(())
        });
    };
    let daemon = world.start();
    world.attack("198.51.100.1", 2);
    kernel_has("198.51.100.1");
    world.attack("198.51.100.2", 2);
    kernel_has("198.51.100.2");
    daemon.kill();
    let daemon = world.start();
    let told = String::from_utf8(world.f2bd(&["explain", "198.51.100.3"]).stdout).unwrap();
    assert!(
        told.contains(
            "198.51.100.0/24 is watched as a network by jail sshd: 4 failures of 2 hosts so far"
        ),
        "{told}"
    );
    world.attack("198.51.100.3", 2);
    kernel_has("198.51.100.0/24");
    until("the bans of its hosts are merged", || {
        let singles = ["198.51.100.1", "198.51.100.2"];
        (!singles.iter().any(|host| world.kernel_bans(host))).then_some(())
    });
    assert_eq!(
        world.sql("SELECT ip, origin, failures, release FROM ban_history ORDER BY ban"),
        "198.51.100.1|failures|2|merged\n198.51.100.2|failures|2|merged\n198.51.100.0/24|network|6|"
    );
    let told = String::from_utf8(world.f2bd(&["explain", "198.51.100.77"]).stdout).unwrap();
    assert!(
        told.contains("198.51.100.77 as part of 198.51.100.0/24 is banned")
            && told.contains(
                "many of its hosts failed, 6 times together; 4 of these had banned hosts before."
            ),
        "{told}"
    );
    // Whoever is freed frees nobody who was banned by himself.
    daemon.kill();
    let daemon = world.start();
    let told = String::from_utf8(world.f2bd(&["unban", "198.51.100.2"]).stdout).unwrap();
    assert!(
        told.starts_with("1 ban lifted; 1 of another host in the network goes on\n"),
        "{told}"
    );
    kernel_has("198.51.100.1");
    until("the network is free", || {
        let freed = ["198.51.100.0/24", "198.51.100.2"];
        (!freed.iter().any(|subject| world.kernel_bans(subject))).then_some(())
    });
    daemon.kill();
    let daemon = world.start();
    assert_eq!(
        world.sql("SELECT ip, failures, release FROM ban_history ORDER BY ban"),
        "198.51.100.1|2|\n198.51.100.2|2|merged\n198.51.100.0/24|6|manual"
    );
    let told = String::from_utf8(world.f2bd(&["explain", "198.51.100.1"]).stdout).unwrap();
    assert!(
        told.contains("198.51.100.1 is banned by jail sshd") && told.contains("Failed password"),
        "{told}"
    );
    daemon.stop();
}

#[test]
fn who_is_banned_again_and_again_is_kept_out_for_long() {
    let jail = "maxretry = 1\nbantime = \"1h\"\nignoreself = false\nport = [\"ssh\"]";
    let long =
        "[jail.recidive]\nmaxretry = 2\nfindtime = \"1d\"\nbantime = \"1w\"\nignoreself = false";
    let Some(world) = World::with(jail, long) else {
        return;
    };
    let address = "198.51.100.7";
    let bans = "SELECT jail, (until - start) / 3600000000, failures FROM bans ORDER BY id";
    let daemon = world.start();
    world.attack(address, 1);
    until_it_tells(&world, bans, "sshd|1|1");
    daemon.kill();
    let daemon = world.start();
    world.f2bd(&["unban", address]);
    world.attack(address, 1);
    until_it_tells(&world, bans, "sshd|1|1\nsshd|1|1\nrecidive|168|2");
    let told = String::from_utf8(world.f2bd(&["explain", address]).stdout).unwrap();
    assert!(
        told.contains("sshd bans 198.51.100.7 for 1h, offence 2"),
        "{told}"
    );
    // Judged anew, where nobody lifts a ban by hand, there is one ban to count, whatever is stored of it.
    let config = world.config();
    let arguments = ["replay", "--config", config.to_str().unwrap(), "history"];
    let decisions = world.json(&arguments);
    let bans = decisions.iter().filter(|one| one["decision"] == "ban");
    let jails: Vec<_> = bans.map(|ban| &ban["jail"]).collect();
    assert_eq!(jails, ["sshd"]);
    daemon.stop();
}
