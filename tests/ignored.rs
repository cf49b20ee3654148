//! Who is never banned, as it changes while the daemon runs: the whole daemon in a network of its own.

use std::fs;
use std::net::UdpSocket;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

use crate::support::nameserver::NameServer;
use crate::support::netns::Cable;
use crate::support::skipped;
use crate::support::wait::until;
use crate::support::world::{F2BD, World};

const STRICT: &str = "maxretry = 1\nbantime = \"1h\"";

const HOME: &str = "home.example.org";

/// Waits until an address is banned, or is not.
fn until_banned(world: &World, address: &str, wanted: bool) {
    until(&format!("{address} is banned: {wanted}"), || {
        let bans = world.json(&["bans"]);
        let is_banned = bans
            .iter()
            .any(|ban| ban["subject"] == format!("{address}/32"));
        (is_banned == wanted && world.kernel_bans(address) == wanted).then_some(())
    });
}

/// What `explain` says of an address.
fn explained(world: &World, address: &str) -> String {
    String::from_utf8(world.f2bd(&["explain", address]).stdout).unwrap()
}

/// Waits until an attack has been dealt with: the one by `other`, which came later, has led to a ban.
fn attack_in_vain(world: &World, address: &str, other: &str) {
    world.attack(address, 1);
    world.attack(other, 1);
    until_banned(world, other, true);
    until_banned(world, address, false);
}

#[test]
fn an_own_address_counts_from_the_moment_it_is_there() {
    let Some(world) = World::new(STRICT) else {
        return;
    };
    let daemon = world.start();
    world.attack("198.51.100.7", 1);
    until_banned(&world, "198.51.100.7", true);
    world.netns.add_address_to("lo", "198.51.100.7/32");
    until_banned(&world, "198.51.100.7", false);
    assert_eq!(
        world.sql("SELECT release FROM bans"),
        "ignored",
        "{}",
        daemon.log()
    );
    let told = explained(&world, "198.51.100.7");
    assert!(
        told.contains("never banned by jail sshd: an address of this machine"),
        "{told}"
    );
    attack_in_vain(&world, "198.51.100.7", "203.0.113.1");
    world.netns.remove_address_from("lo", "198.51.100.7/32");
    until("it is nobody's address any more", || {
        explained(&world, "198.51.100.7")
            .contains("nothing counts against it")
            .then_some(())
    });
    world.attack("198.51.100.7", 1);
    until_banned(&world, "198.51.100.7", true);
    daemon.stop();
}

#[test]
fn own_is_a_word_of_ignoreip_too() {
    let Some(world) = World::new(&format!("{STRICT}\nignoreself = false")) else {
        return;
    };
    world.netns.add_address_to("lo", "198.51.100.7/32");
    let daemon = world.start();
    world.attack("198.51.100.7", 1);
    until_banned(&world, "198.51.100.7", true);
    let own = format!("{STRICT}\nignoreself = false\nignoreip = [\"own\"]");
    world.configure(&own, "");
    assert!(world.f2bd(&["reload"]).status.success());
    until_banned(&world, "198.51.100.7", false);
    daemon.stop();
}

#[test]
fn a_file_of_addresses_is_watched() {
    let Some(world) = World::new("") else {
        return;
    };
    let list = world.path().join("office.txt");
    let jail = format!(
        "{STRICT}\nignoreself = false\nignoreip = [{:?}]",
        list.display().to_string()
    );
    world.configure(&jail, "");
    let daemon = world.start();
    daemon.says("office.txt cannot be read");
    world.attack("198.51.100.7", 1);
    until_banned(&world, "198.51.100.7", true);
    fs::write(
        &list,
        "# the office\n198.51.100.0/28 # all of it\n198.51.100.300\nlocalhost\n",
    )
    .unwrap();
    until_banned(&world, "198.51.100.7", false);
    daemon.says("office.txt, line 3: `198.51.100.300` is neither");
    let told = explained(&world, "198.51.100.7");
    let because = format!("ignoreip {}, line 2: 198.51.100.0/28", list.display());
    assert!(told.contains(&because), "{told}");
    until("the name in it is known", || {
        explained(&world, "127.0.0.1")
            .contains("line 4: localhost")
            .then_some(())
    });
    // As editors and configuration management do: another file of the same name, here behind a link.
    let other = world.path().join("other.txt");
    fs::write(&other, "198.51.100.9\n").unwrap();
    let link = world.path().join("link");
    symlink(&other, &link).unwrap();
    fs::rename(&link, &list).unwrap();
    until("the other file holds", || {
        explained(&world, "198.51.100.9")
            .contains("line 1: 198.51.100.9")
            .then_some(())
    });
    attack_in_vain(&world, "198.51.100.9", "198.51.100.7");
    fs::remove_file(&other).unwrap();
    daemon.says("what it listed before stays");
    attack_in_vain(&world, "198.51.100.9", "198.51.100.8");
    daemon.stop();
}

#[test]
fn a_host_name_is_followed() {
    let Some(world) = World::new(&format!(
        "{STRICT}\nignoreself = false\nignoreip = [\"home.example.org\"]"
    )) else {
        return;
    };
    let server = NameServer::start(&world.netns);
    let daemon = world.start_with_files(&[
        (
            "/etc/resolv.conf",
            "nameserver 127.0.0.1\noptions timeout:1 attempts:1\n",
        ),
        ("/etc/nsswitch.conf", "hosts: files dns\n"),
        ("/etc/hosts", "127.0.0.1 localhost\n"),
    ]);
    daemon.says("the host name `home.example.org` in `ignoreip` or `trusted` has no address");
    world.attack("198.51.100.7", 1);
    until_banned(&world, "198.51.100.7", true);
    server.knows(HOME, &["198.51.100.7"]);
    assert!(world.f2bd(&["reload"]).status.success());
    until_banned(&world, "198.51.100.7", false);
    let told = explained(&world, "198.51.100.7");
    assert!(
        told.contains("never banned by jail sshd: ignoreip home.example.org"),
        "{told}"
    );
    server.knows(HOME, &[]);
    assert!(world.f2bd(&["reload"]).status.success());
    daemon.says("; those that it had stay");
    attack_in_vain(&world, "198.51.100.7", "198.51.100.8");
    // By itself it is asked for every half minute.
    server.knows(HOME, &["198.51.100.8"]);
    let asked = Instant::now();
    while world.kernel_bans("198.51.100.8") {
        assert!(
            asked.elapsed() < Duration::from_secs(60),
            "{}",
            daemon.log()
        );
        thread::sleep(Duration::from_millis(100));
    }
    until_banned(&world, "198.51.100.8", false);
    world.attack("198.51.100.7", 1);
    until_banned(&world, "198.51.100.7", true);
    daemon.stop();
}

#[test]
fn a_slow_server_of_names_holds_up_no_reload() {
    let ignoring = |names: &str| format!("{STRICT}\nignoreself = false\nignoreip = [{names}]");
    let Some(world) = World::new(&ignoring("")) else {
        return;
    };
    // Nobody answers.
    let silent: UdpSocket = world.netns.datagrams("127.0.0.1:53".parse().unwrap());
    let daemon = world.start_with_files(&[
        (
            "/etc/resolv.conf",
            "nameserver 127.0.0.1\noptions timeout:20 attempts:1\n",
        ),
        ("/etc/nsswitch.conf", "hosts: files dns\n"),
    ]);
    world.configure(&ignoring("\"home.example.org\""), "");
    let began = Instant::now();
    assert!(world.f2bd(&["reload"]).status.success());
    assert!(began.elapsed() < Duration::from_secs(4));
    until("it is asked", || {
        silent.set_nonblocking(true).unwrap();
        silent.recv(&mut [0; 512]).ok()
    });
    daemon.stop();
}

#[test]
fn whoever_is_allowed_for_a_time_is_spared_also_after_a_kill() {
    let Some(world) = World::new(&format!("{STRICT}\nignoreself = false")) else {
        return;
    };
    let told = |arguments: &[&str]| {
        let output = world.f2bd(arguments);
        assert!(output.status.success(), "{output:?}");
        String::from_utf8(output.stdout).unwrap()
    };
    let daemon = world.start();
    world.attack("198.51.100.7", 1);
    until_banned(&world, "198.51.100.7", true);
    assert_eq!(told(&["allow"]), "Nobody is allowed for a time.\n");
    assert_eq!(
        told(&["allow", "198.51.100.0/28", "--for", "1h"]),
        "198.51.100.0/28 is allowed for 1h; 1 ban lifted\n"
    );
    until_banned(&world, "198.51.100.7", false);
    assert!(explained(&world, "198.51.100.7").contains("by jail sshd: allowed until 20"));
    daemon.kill();
    let daemon = world.start();
    attack_in_vain(&world, "198.51.100.7", "203.0.113.1");
    let banned = world.f2bd(&["ban", "sshd", "198.51.100.7"]);
    assert_eq!(banned.status.code(), Some(1));
    let rows = world.json(&["allow"]);
    assert_eq!(rows.len(), 1);
    assert_eq!(rows[0]["subject"], "198.51.100.0/28");
    let columns = world.sql("SELECT ip, since < until FROM active_allowances");
    assert_eq!(columns, "198.51.100.0/28|1");
    let spans = world.sql("SELECT (until - since) / 1000000 FROM allowances");
    assert_eq!(spans, "3600");
    assert_eq!(
        told(&["allow", "198.51.100.0/28", "--end"]),
        "198.51.100.0/28 is no longer allowed\n"
    );
    let again = world.f2bd(&["allow", "198.51.100.0/28", "--end"]);
    assert_eq!(again.status.code(), Some(1), "{again:?}");
    world.attack("198.51.100.7", 1);
    until_banned(&world, "198.51.100.7", true);
    // By itself it ends, too.
    told(&["allow", "198.51.100.7", "--for", "1s"]);
    until_banned(&world, "198.51.100.7", false);
    daemon.says("198.51.100.7 is no longer allowed");
    assert_eq!(world.sql("SELECT count(*) FROM allowances"), "0");
    world.attack("198.51.100.7", 1);
    until_banned(&world, "198.51.100.7", true);
    for odd in ["forever", "0", "2y"] {
        let odd = world.f2bd(&["allow", "198.51.100.7", "--for", odd]);
        assert_eq!(odd.status.code(), Some(64), "{odd:?}");
    }
    daemon.stop();
}

/// Where systemd-logind tells of sessions.
const SESSIONS: &str = "/run/systemd/sessions";

#[test]
fn nobody_is_locked_out() {
    if !Path::new(SESSIONS).is_dir() {
        return skipped("there is no place for sessions").unwrap_or_default();
    }
    let Some(cable) = Cable::new() else { return };
    let Some(world) = World::on(cable.server, &format!("{STRICT}\nignoreself = false"), "") else {
        return;
    };
    world.netns.route_by("192.0.2.7");
    let sessions = world.path().join("sessions");
    fs::create_dir(&sessions).unwrap();
    let resolvers = world.path().join("resolv.conf");
    fs::write(&resolvers, "nameserver 203.0.113.53\n").unwrap();
    let over = [
        (SESSIONS, sessions.clone()),
        ("/etc/resolv.conf", resolvers),
    ];
    let daemon = world.start_over(&over);
    let refused = |address: &str, why: &str| {
        let output = world.f2bd(&["ban", "sshd", address]);
        let told = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(1), "{told}");
        assert!(told.contains(why), "{told}");
    };
    refused("192.0.2.7", "it is a default gateway");
    refused(
        "192.0.2.0/24",
        "it holds 192.0.2.7, and it is a default gateway",
    );
    refused("203.0.113.53", "this machine asks it for names");
    world.attack("198.51.100.7", 1);
    until_banned(&world, "198.51.100.7", true);
    assert!(world.f2bd(&["unban", "198.51.100.7"]).status.success());

    let session = sessions.join("7");
    let text = "UID=0\nUSER=jo\nSTATE=active\nREMOTE=1\nREMOTE_HOST=198.51.100.7\n";
    fs::write(&session, text).unwrap();
    // Looked up at this very moment; jails know it soon.
    refused("198.51.100.7", "jo is logged in from it");
    until("jails know it", || {
        explained(&world, "198.51.100.7")
            .contains("jo is logged in from it")
            .then_some(())
    });
    attack_in_vain(&world, "198.51.100.7", "203.0.113.1");
    attack_in_vain(&world, "198.51.100.7", "203.0.113.2");
    let spared = "[sshd] 198.51.100.7 is spared: jo is logged in from it";
    assert_eq!(daemon.said(spared), 1);
    assert_eq!(
        world.sql("SELECT count(*) FROM failures WHERE address = '198.51.100.7'"),
        "3",
        "its failures are there to be seen"
    );
    // A new run knows it before it reads anything.
    daemon.kill();
    world.attack("198.51.100.7", 1);
    let daemon = world.start_over(&over);
    attack_in_vain(&world, "198.51.100.7", "203.0.113.3");
    let forced = world.f2bd(&["ban", "sshd", "198.51.100.7", "--force"]);
    assert!(forced.status.success(), "{forced:?}");
    until_banned(&world, "198.51.100.7", true);
    assert!(world.f2bd(&["reload"]).status.success());
    until_banned(&world, "198.51.100.7", true);
    assert!(world.f2bd(&["unban", "198.51.100.7"]).status.success());

    fs::write(&session, text.replace("active", "closing")).unwrap();
    until("it is over", || {
        let told = explained(&world, "198.51.100.7");
        (!told.contains("logged in")).then_some(())
    });
    world.attack("198.51.100.7", 1);
    until_banned(&world, "198.51.100.7", true);
    daemon.stop();
}

#[test]
fn somebody_who_bans_himself_is_asked_whether_he_means_it() {
    let jail = format!("{STRICT}\nignoreself = false");
    let Some(world) = World::new(&jail) else {
        return;
    };
    let daemon = world.start();
    let ban = |arguments: &[&str]| {
        let mut command = Command::new(F2BD);
        command.arg("--socket").arg(world.socket());
        command.args(["ban", "sshd"]).args(arguments);
        command.env("SSH_CONNECTION", "198.51.100.7 50000 192.0.2.1 22");
        command.output().unwrap()
    };
    for (arguments, why) in [
        (
            &["198.51.100.7"][..],
            "you are connected from 198.51.100.7; --force",
        ),
        (
            &["198.51.100.0/24"],
            "you are connected from 198.51.100.7; ban a narrower network",
        ),
        (
            &["--force", "198.51.100.0/24"],
            "you are connected from 198.51.100.7",
        ),
    ] {
        let refused = ban(arguments);
        assert_eq!(refused.status.code(), Some(1), "{refused:?}");
        let told = String::from_utf8(refused.stderr).unwrap();
        assert!(told.contains(why), "{told}");
    }
    assert!(ban(&["--force", "198.51.100.7"]).status.success());
    daemon.stop();
}

#[test]
fn the_guard_can_be_switched_off() {
    if !Path::new(SESSIONS).is_dir() {
        return skipped("there is no place for sessions").unwrap_or_default();
    }
    let Some(world) = World::new(&format!("{STRICT}\nignoreself = false")) else {
        return;
    };
    let sessions = world.path().join("sessions");
    fs::create_dir(&sessions).unwrap();
    fs::write(sessions.join("1"), "USER=jo\nREMOTE_HOST=198.51.100.7\n").unwrap();
    let daemon = world.start_over(&[(SESSIONS, sessions)]);
    attack_in_vain(&world, "198.51.100.7", "203.0.113.1");
    let text = fs::read_to_string(world.config()).unwrap();
    let text = text.replace("[daemon]\n", "[daemon]\nguard = false\n");
    fs::write(world.config(), text).unwrap();
    assert!(world.f2bd(&["reload"]).status.success());
    world.attack("198.51.100.7", 1);
    until_banned(&world, "198.51.100.7", true);
    daemon.stop();
}

/// A program that somebody has written, in this world's directory.
fn program(world: &World, name: &str, text: &str) -> String {
    let path = world.path().join(name);
    fs::write(&path, format!("#!/bin/sh\n{text}\n")).unwrap();
    fs::set_permissions(&path, PermissionsExt::from_mode(0o755)).unwrap();
    path.display().to_string()
}

#[test]
fn a_program_spares_whom_it_knows_and_is_asked_once() {
    let Some(world) = World::new("") else {
        return;
    };
    let asked = world.path().join("asked");
    let text = format!(
        "echo \"$1 $2\" >> {}\ntest \"$2\" = 198.51.100.7",
        asked.display()
    );
    let program = program(&world, "is-customer", &text);
    let jail = format!(
        "maxretry = 2\nbantime = \"1h\"\nignoreself = false\nignorecommand = [{program:?}, \"--strict\"]"
    );
    world.configure(&jail, "");
    let daemon = world.start();
    world.attack("198.51.100.7", 3);
    until("it is spared", || {
        let because =
            format!("never banned by jail sshd: ignorecommand {program} --strict says so");
        explained(&world, "198.51.100.7")
            .contains(&because)
            .then_some(())
    });
    world.attack("198.51.100.7", 5);
    world.attack("198.51.100.8", 5);
    until_banned(&world, "198.51.100.8", true);
    until_banned(&world, "198.51.100.7", false);
    assert_eq!(
        world.sql("SELECT group_concat(subject) FROM bans"),
        "198.51.100.8"
    );
    let asked = fs::read_to_string(&asked).unwrap();
    assert_eq!(asked, "--strict 198.51.100.7\n--strict 198.51.100.8\n");
    daemon.stop();
}

#[test]
fn failures_wait_for_a_program_also_across_a_kill() {
    let Some(world) = World::new("") else {
        return;
    };
    let go = world.path().join("go");
    let text = format!(
        "until test -e {}; do sleep 0.02; done\ntest \"$1\" = 198.51.100.7",
        go.display()
    );
    let program = program(&world, "slow", &text);
    world.configure(
        &format!("{STRICT}\nignoreself = false\nignorecommand = [{program:?}]"),
        "",
    );
    let daemon = world.start();
    for last in [7, 8] {
        world.attack(&format!("198.51.100.{last}"), 1);
    }
    let waiting =
        || world.sql("SELECT group_concat(host) FROM (SELECT host FROM unresolved ORDER BY host)");
    until("both wait", || {
        let there = world.database().exists();
        (there && waiting() == "198.51.100.7,198.51.100.8").then_some(())
    });
    assert_eq!(world.sql("SELECT count(*) FROM bans"), "0");
    daemon.kill();
    let daemon = world.start();
    fs::write(&go, "").unwrap();
    until_banned(&world, "198.51.100.8", true);
    until("nobody waits", || waiting().is_empty().then_some(()));
    for table in ["bans", "failures"] {
        let whom = world.sql(&format!("SELECT group_concat(subject) FROM {table}"));
        assert_eq!(whom, "198.51.100.8", "{table}");
    }
    daemon.stop();
}

#[test]
fn a_program_that_hangs_or_is_missing_spares_nobody() {
    let Some(world) = World::new("") else {
        return;
    };
    let hangs = program(&world, "hangs", "sleep 3600");
    let missing = world.path().join("missing").display().to_string();
    let command =
        |program: &str| format!("{STRICT}\nignoreself = false\nignorecommand = [{program:?}]");
    world.configure(&command(&hangs), "");
    let daemon = world.start();
    for last in 1..20 {
        world.attack(&format!("198.51.100.{last}"), 1);
    }
    until_banned(&world, "198.51.100.19", true);
    daemon.says(&format!(
        "ignorecommand {hangs} spares nobody: it has not ended within 10 seconds"
    ));
    world.configure(&command(&missing), "");
    assert!(world.f2bd(&["reload"]).status.success());
    daemon.says(&format!("there is no program `{missing}`"));
    world.attack("203.0.113.1", 1);
    until_banned(&world, "203.0.113.1", true);
    // Before it comes to its turn, those that hang must have been given up.
    daemon.stop();
}
