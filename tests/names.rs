//! Hosts that a log gives by name alone: the whole daemon, and names that it alone sees, by the hosts file or by a
//! server of names of our own.

use std::fs;
use std::net::UdpSocket;
use std::time::{Duration, Instant};

use crate::support::nameserver::NameServer;
use crate::support::wait::until;
use crate::support::world::{Daemon, World};

const JAIL: &str = "filter = \"gate\"\nmaxretry = 2\nbantime = \"1h\"\nignoreself = false\n";

/// A filter of a service that logs names.
const GATE: &str = r#"title = "A gate"
[records]
program = ["sshd"]
[[failure]]
pattern = '^no entry for <user> from <host>$'
"#;

const FILES: &str = "hosts: files\n";
const SERVER: &str = "hosts: files dns\n";

/// A world whose gate wants names in this way.
fn world(usedns: &str) -> Option<World> {
    let world = World::new(&jail(usedns))?;
    fs::create_dir(world.path().join("filters")).unwrap();
    fs::write(world.path().join("filters/gate.toml"), GATE).unwrap();
    Some(world)
}

fn jail(usedns: &str) -> String {
    format!("{JAIL}usedns = \"{usedns}\"")
}

/// The daemon where the system knows these hosts, and asks whom `switch` says for others.
fn start(world: &World, hosts: &str, switch: &str) -> Daemon {
    world.start_with_files(&[
        ("/etc/hosts", &format!("127.0.0.1 localhost\n{hosts}")),
        ("/etc/nsswitch.conf", switch),
        (
            "/etc/resolv.conf",
            "nameserver 127.0.0.1\noptions timeout:20 attempts:1\n",
        ),
    ])
}

fn fail(world: &World, host: &str, count: usize) {
    for _ in 0..count {
        let message = format!("no entry for root from {host}");
        world.journald.log("sshd", &message);
    }
}

fn until_banned(world: &World, daemon: &Daemon, address: &str) {
    until(&format!("{address} is banned: {}", daemon.log()), || {
        world.kernel_bans(address).then_some(())
    });
}

/// Waits until the database says so.
fn until_it_says(world: &World, query: &str, wanted: &str) {
    let mut last = String::new();
    let end = Instant::now() + Duration::from_secs(20);
    while last != wanted {
        assert!(Instant::now() < end, "{query}: {last}, not {wanted}");
        last = world.sql(query);
    }
}

const WAITING: &str = "SELECT count(*) FROM unresolved";

#[test]
fn only_a_host_that_confirms_its_name_is_banned_by_it() {
    let Some(world) = world("warn") else {
        return;
    };
    let hosts = "198.51.100.7 Evil.example.org\n\
                 198.51.100.8 innocent.example.org accused.example.org\n\
                 198.51.100.9 both.example.org\n\
                 2001:db8::9 both.example.org\n";
    let daemon = start(&world, hosts, FILES);
    fail(&world, "accused.example.org", 2);
    fail(&world, "unknown.example.org", 2);
    fail(&world, "evil.example.org.", 1);
    fail(&world, "EVIL.example.org", 1);
    until_banned(&world, &daemon, "198.51.100.7");
    fail(&world, "both.example.org", 2);
    until_banned(&world, &daemon, "198.51.100.9");
    until_it_says(&world, WAITING, "0");
    assert_eq!(
        world.sql("SELECT ip FROM active_bans ORDER BY ip"),
        "198.51.100.7\n198.51.100.9\n2001:db8::/64",
        "{}",
        daemon.log()
    );
    assert_eq!(
        world.sql("SELECT address, count(*) FROM failures GROUP BY address ORDER BY address"),
        "198.51.100.7|2\n198.51.100.9|2\n2001:db8::9|2"
    );
    for told in [
        "[sshd] the log has the name evil.example.org instead of an address: 198.51.100.7",
        "[sshd] the log has the name accused.example.org instead of an address: no address that confirms it",
        "[sshd] the log has the name both.example.org instead of an address: 198.51.100.9 and 2001:db8::9",
    ] {
        assert_eq!(daemon.said(told), 1, "{told}: {}", daemon.log());
    }
    // What waits no longer has left nothing behind that a restart would ask for.
    daemon.kill();
    let daemon = start(&world, hosts, FILES);
    assert_eq!(world.sql(WAITING), "0");
    assert_eq!(world.json(&["status"])[0]["jails"][0]["banned"], 3);
    daemon.stop();
}

#[test]
fn a_name_that_waits_survives_kill_and_counts_once() {
    let Some(world) = world("yes") else {
        return;
    };
    let server = NameServer::start(&world.netns);
    server.is_silent();
    server.knows("evil.example.org", &["198.51.100.7", "198.51.100.8"]);
    server.knows_name_of("198.51.100.7", "evil.example.org");
    server.knows_name_of("198.51.100.8", "www.example.org");
    let daemon = start(&world, "", SERVER);
    fail(&world, "evil.example.org", 1);
    until("the server is asked", || {
        (server.was_asked_for("evil.example.org") > 0).then_some(())
    });
    until_it_says(&world, WAITING, "1");
    assert_eq!(world.json(&["status"])[0]["jails"][0]["unresolved"], 1);
    daemon.kill();
    fail(&world, "evil.example.org", 1);
    // The answer comes to the one that was killed, and the next one asks again.
    let asked = server.was_asked_for("evil.example.org");
    let daemon = start(&world, "", SERVER);
    until_it_says(&world, WAITING, "2");
    assert_eq!(world.sql("SELECT count(*) FROM failures"), "0");
    server.speaks();
    until_banned(&world, &daemon, "198.51.100.7");
    assert!(server.was_asked_for("evil.example.org") > asked);
    until_it_says(&world, WAITING, "0");
    assert_eq!(
        world.sql("SELECT address, counted, count(*) FROM failures GROUP BY address, counted"),
        "198.51.100.7|1|2"
    );
    assert!(!world.kernel_bans("198.51.100.8"));
    // As long before it is told as the records are old.
    let late =
        "SELECT bans.start = max(failures.time) FROM bans JOIN failures ON failures.ban = bans.id";
    assert_eq!(world.sql(late), "1");
    daemon.stop();
}

#[test]
fn a_reload_that_wants_no_names_lets_none_wait() {
    let Some(world) = world("yes") else {
        return;
    };
    let _silent: UdpSocket = world.netns.datagrams("127.0.0.1:53".parse().unwrap());
    let daemon = start(&world, "198.51.100.7 evil.example.org\n", SERVER);
    fail(&world, "slow.example.org", 3);
    until_it_says(&world, WAITING, "3");
    // Others are not held up by it, nor is the daemon.
    fail(&world, "evil.example.org", 2);
    until_banned(&world, &daemon, "198.51.100.7");
    world.configure(&jail("no"), "");
    assert!(world.f2bd(&["reload"]).status.success());
    until_it_says(&world, WAITING, "0");
    fail(&world, "evil.example.org", 1);
    fail(&world, "198.51.100.9", 2);
    until_banned(&world, &daemon, "198.51.100.9");
    assert_eq!(
        world.sql("SELECT count(*) FROM failures WHERE address = '198.51.100.7'"),
        "2"
    );
    daemon.stop();
}

#[test]
fn a_host_that_nobody_knows_is_not_waited_for_very_long() {
    let Some(world) = world("yes") else {
        return;
    };
    let _silent: UdpSocket = world.netns.datagrams("127.0.0.1:53".parse().unwrap());
    let daemon = start(&world, "", SERVER);
    fail(&world, "slow.example.org", 1);
    until_it_says(&world, WAITING, "1");
    // The resolver waits twice as long.
    until_it_says(&world, WAITING, "0");
    assert_eq!(world.sql("SELECT count(*) FROM failures"), "0");
    daemon.stop();
}
