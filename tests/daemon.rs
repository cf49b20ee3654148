//! The whole daemon, from outside: a real journal, a real kernel, a real database, kills and mishaps.

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::net::UnixListener;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use f2bd::engine::prefix::Prefix;
use f2bd::engine::time::Timestamp;
use rustix::process::Signal;

use crate::support::dice::Dice;
use crate::support::netns::Cable;
use crate::support::wait::{uninterrupted, until};
use crate::support::world::{F2BD, World};

const SLOW: &str = "maxretry = 3\nfindtime = \"1h\"\nbantime = \"1h\"\nignoreself = false";

fn banned(world: &World, address: &str) {
    until(&format!("{address} is in the kernel's set"), || {
        world.kernel_bans(address).then_some(())
    });
}

#[test]
fn an_attack_in_the_journal_becomes_a_ban_in_the_kernel() {
    let Some(world) = World::new(SLOW) else {
        return;
    };
    let daemon = world.start();
    world.attack("198.51.100.7", 2);
    world.attack("2001:db8:7::1", 3);
    banned(&world, "2001:db8:7::");
    assert!(
        !world.kernel_bans("198.51.100.7"),
        "two failures are not three"
    );
    world.attack("198.51.100.7", 1);
    banned(&world, "198.51.100.7");
    assert_eq!(
        world.sql("SELECT ip, jail, failures FROM active_bans ORDER BY ip"),
        "198.51.100.7|sshd|3\n2001:db8:7::/64|sshd|3"
    );
    daemon.stop();
}

#[test]
fn failures_below_maxretry_survive_a_kill() {
    let Some(world) = World::new(SLOW) else {
        return;
    };
    let daemon = world.start();
    world.attack("198.51.100.7", 2);
    until("two failures are stored", || {
        (world.database().exists() && world.sql("SELECT count(*) FROM failures") == "2")
            .then_some(())
    });
    daemon.kill();
    world.attack("198.51.100.7", 1);
    let daemon = world.start();
    banned(&world, "198.51.100.7");
    assert_eq!(
        world.sql("SELECT count(*) FROM failures"),
        "3",
        "none is read twice"
    );
    daemon.stop();
}

/// The bans of a world as `replay` computes them from its journal: subject and start.
fn due(world: &World) -> BTreeSet<(String, String)> {
    let journal = format!("journal:{}", world.journald.directory().display());
    let config = world.config().display().to_string();
    let bans = world.json(&["replay", "--config", &config, &journal]);
    bans.iter()
        .filter(|decision| decision["decision"] == "ban")
        .map(|ban| (text(&ban["subject"]), text(&ban["time"])))
        .collect()
}

fn text(value: &serde_json::Value) -> String {
    value.as_str().expect("a text").to_owned()
}

#[test]
fn a_hundred_kills_lose_and_double_nothing() {
    let Some(world) = World::new(SLOW) else {
        return;
    };
    let mut dice = Dice::new(1);
    let mut daemon = world.start();
    for _ in 0..100 {
        let end = Instant::now() + Duration::from_millis(dice.below(120));
        while Instant::now() < end {
            let host = dice.below(400);
            let address = format!("198.51.{}.{}", 100 + host / 200, host % 200);
            world.attack(&address, 1);
            // An attack goes on while it is watched; this is its pace, not a wait for a fact.
            std::thread::sleep(Duration::from_micros(500));
        }
        daemon.kill();
        daemon = world.start_unready();
    }
    world.attack("203.0.113.1", 3);
    banned(&world, "203.0.113.1");
    let due = due(&world);
    assert!(due.len() > 200, "the attack was one: {}", due.len());
    let made: Vec<(String, String)> = world
        .sql("SELECT subject, start FROM bans")
        .lines()
        .map(|line| {
            let (subject, start) = line.split_once('|').unwrap();
            let start = Timestamp::from_micros(start.parse().unwrap());
            (
                subject.parse::<Prefix>().unwrap().to_string(),
                start.to_string(),
            )
        })
        .collect();
    let set: BTreeSet<_> = made.iter().cloned().collect();
    assert_eq!(made.len(), set.len(), "no ban is doubled");
    assert_eq!(set, due, "no ban is lost or late");
    for (subject, _) in &due {
        let address = subject.trim_end_matches("/32");
        assert!(world.kernel_bans(address), "{address} is kept out");
    }
    daemon.stop();
}

#[test]
fn a_foreign_flush_is_noticed_and_repaired() {
    let Some(world) = World::new(SLOW) else {
        return;
    };
    let daemon = world.start();
    world.attack("198.51.100.7", 3);
    banned(&world, "198.51.100.7");
    assert!(world.nft(&["flush", "ruleset"]).status.success());
    banned(&world, "198.51.100.7");
    daemon.says("somebody else has changed the rules");
    daemon.stop();
}

#[test]
fn a_reload_takes_good_settings_and_keeps_the_old_ones_for_bad() {
    let Some(world) = World::new(SLOW) else {
        return;
    };
    let daemon = world.start();
    world.attack("198.51.100.7", 2);
    until("two failures are seen", || {
        (world.json(&["status", "sshd"])[0]["jails"][0]["failures"] == 2).then_some(())
    });
    world.configure("maxretri = 3", "");
    let refused = world.f2bd(&["reload"]);
    assert_eq!(refused.status.code(), Some(78));
    assert!(
        String::from_utf8_lossy(&refused.stderr).contains("maxretry"),
        "{refused:?}"
    );
    world.configure(&format!("{SLOW}\nport = [\"2222\"]"), "");
    assert_eq!(world.f2bd(&["reload"]).status.code(), Some(0));
    world.attack("198.51.100.7", 1);
    banned(&world, "198.51.100.7");
    until("the rule is for the new port", || {
        let rules = world.nft(&["list", "ruleset"]).stdout;
        String::from_utf8_lossy(&rules)
            .contains("2222")
            .then_some(())
    });
    world.configure("enabled = false", "");
    daemon.signal(Signal::HUP);
    until("the jail is gone", || {
        (!world.kernel_bans("198.51.100.7")).then_some(())
    });
    daemon.stop();
}

/// What a configuration says that allows so many failures.
fn patience(failures: u32) -> String {
    format!("maxretry = {failures}\nfindtime = \"1h\"\nbantime = \"1h\"\nignoreself = false")
}

/// How many failures are allowed at this moment.
fn allowed(world: &World) -> u64 {
    let status = &world.json(&["status"])[0];
    status["jails"][0]["maxretry"].as_u64().unwrap()
}

/// Puts a configuration in force that allows so many failures, and tells what was said.
fn reload(world: &World, failures: u32, arguments: &[&str]) -> String {
    world.configure(&patience(failures), "");
    let output = world.f2bd(&[&["reload"], arguments].concat());
    assert!(output.status.success(), "{output:?}");
    assert_eq!(allowed(world), u64::from(failures));
    String::from_utf8(output.stdout).unwrap()
}

const CAME_BACK: &str = "the one before it is in force again";

#[test]
fn a_configuration_that_nobody_confirms_is_taken_back() {
    let Some(world) = World::new(&patience(3)) else {
        return;
    };
    let daemon = world.start();
    world.attack("198.51.100.7", 3);
    banned(&world, "198.51.100.7");
    let told = reload(&world, 9, &["--confirm", "5s"]);
    assert!(
        told.contains("on trial") && told.contains("`f2bd confirm` by "),
        "{told}"
    );
    let told = String::from_utf8(world.f2bd(&["status"]).stdout).unwrap();
    assert!(told.contains("Configuration: on trial until "), "{told}");
    assert!(world.json(&["status"])[0]["configuration"]["confirm_by"].is_string());
    // The files cannot say what comes back.
    std::fs::write(world.config(), "[jail").unwrap();
    daemon.says(CAME_BACK);
    let status = &world.json(&["status"])[0];
    assert_eq!(status["jails"][0]["maxretry"], 3);
    assert!(status["configuration"]["confirm_by"].is_null());
    assert!(status["configuration"]["restored"].is_string());
    banned(&world, "198.51.100.7");
    let late = world.f2bd(&["confirm"]);
    assert_eq!(late.status.code(), Some(1));
    let late = String::from_utf8(late.stderr).unwrap();
    assert!(late.contains("could be confirmed until "), "{late}");
    // It works as it did before.
    world.attack("198.51.100.8", 3);
    banned(&world, "198.51.100.8");
    reload(&world, 5, &[]);
    assert!(world.json(&["status"])[0]["configuration"]["restored"].is_null());
    daemon.stop();
}

#[test]
fn a_configuration_that_is_confirmed_stays() {
    let Some(world) = World::new(&patience(3)) else {
        return;
    };
    let daemon = world.start();
    let nothing = world.f2bd(&["confirm"]);
    assert_eq!(nothing.status.code(), Some(1));
    assert_eq!(
        String::from_utf8(nothing.stderr).unwrap(),
        "f2bd: no configuration is on trial\n"
    );
    reload(&world, 9, &["--confirm", "5s"]);
    let confirmed = world.f2bd(&["confirm"]);
    assert_eq!(
        String::from_utf8(confirmed.stdout).unwrap(),
        "the configuration is confirmed\n"
    );
    // By the time that another one comes to its end, so has the first.
    reload(&world, 5, &["--confirm", "5s"]);
    daemon.says(CAME_BACK);
    assert_eq!(allowed(&world), 9);
    assert_eq!(daemon.said(CAME_BACK), 1);
    daemon.stop();
}

#[test]
fn whatever_is_read_while_a_configuration_is_on_trial_is_on_trial_too() {
    let Some(world) = World::new(&patience(3)) else {
        return;
    };
    let daemon = world.start();
    let until = || world.json(&["status"])[0]["configuration"]["confirm_by"].clone();
    reload(&world, 9, &["--confirm", "1h"]);
    let first = until();
    // Not confirmed by a reload, a signal or a mistake, nor put off by them.
    let told = reload(&world, 8, &[]);
    assert!(told.contains("on trial"), "{told}");
    world.configure(&patience(7), "");
    daemon.signal(Signal::HUP);
    crate::support::wait::until("the signal is obeyed", || {
        (allowed(&world) == 7).then_some(())
    });
    world.configure("maxretri = 3", "");
    let refused = world.f2bd(&["reload", "--confirm", "1s"]);
    assert_eq!(refused.status.code(), Some(78));
    assert_eq!(until(), first);
    // The time begins anew, and what was confirmed last comes back.
    reload(&world, 6, &["--confirm", "5s"]);
    daemon.says(CAME_BACK);
    assert_eq!(allowed(&world), 3);
    // A restart takes what is written.
    reload(&world, 4, &["--confirm", "1h"]);
    daemon.stop();
    let daemon = world.start();
    daemon.says("the next start takes what its files say then");
    assert_eq!(allowed(&world), 4);
    assert!(until().is_null());
    daemon.stop();
}

/// What comes to a socket cannot be had again.
#[test]
fn reloads_lose_nothing_that_is_sent_meanwhile() {
    let Some(world) = World::new(SLOW) else {
        return;
    };
    let home = world.path().to_owned();
    let (syslog, report) = (home.join("syslog.sock"), home.join("report.sock"));
    let configure = |round: u32| {
        let (zone, network) = [("UTC", "127.0.0.0/8"), ("+02:00", "127.0.0.1")][round as usize % 2];
        world.configure(
            &format!("{SLOW}\nsources = [\"journal\", \"net\"]"),
            &format!(
                "[source.net]\ntype = \"syslog\"\nlisten = [\"udp://127.0.0.1:5514\", \"unix://{}\"]\n\
                 timezone = \"{zone}\"\nallow = [\"{network}\"]\n\n\
                 [source.report]\ntype = \"report\"\nsocket = {report:?}\nallow = {{ uid = {round} }}\n\n\
                 [jail.shop]\nfilter = \"report\"\nmaxretry = 1000\n",
                syslog.display()
            ),
        );
    };
    configure(0);
    let daemon = world.start();
    let listens = |path: &std::path::Path| until("it listens", || path.exists().then_some(()));
    listens(&syslog);
    listens(&report);
    let udp = world.netns.datagrams("127.0.0.1:0".parse().unwrap());
    udp.connect("127.0.0.1:5514").unwrap();
    let done = Arc::new(AtomicBool::new(false));
    let sender = std::thread::spawn({
        let (done, syslog, report) = (Arc::clone(&done), syslog.clone(), report.clone());
        move || {
            let local = std::os::unix::net::UnixDatagram::unbound().unwrap();
            let mut sent = 0;
            while !done.load(Ordering::Relaxed) {
                until("it is sent", || udp.send(b"<38>sshd[1]: hello").ok());
                local.send_to(b"<38>sshd[1]: hello", &syslog).unwrap();
                let text = br#"{"service":"other","ip":"192.0.2.7"}"#;
                local.send_to(text, &report).unwrap();
                sent += 1;
            }
            sent
        }
    });
    for round in 1..=20 {
        configure(round);
        assert!(world.f2bd(&["reload"]).status.success());
    }
    done.store(true, Ordering::Relaxed);
    let sent: u64 = sender.join().unwrap();
    assert!(sent > 5_000, "{sent}");
    let records = |name: &str| {
        let status = world.json(&["status"]).remove(0);
        let sources = status["sources"].as_array().unwrap().clone();
        let source = sources.into_iter().find(|source| source["source"] == name);
        source.unwrap()["records"].as_u64().unwrap()
    };
    until("all is heard", || {
        (records("net") >= 2 * sent).then_some(())
    });
    until("all is reported", || {
        (records("report") >= sent).then_some(())
    });
    assert_eq!((records("net"), records("report")), (2 * sent, sent));
    daemon.stop();
}

#[test]
fn status_knows_the_files_of_a_source() {
    let Some(world) = World::new(SLOW) else {
        return;
    };
    let logs = world.path().join("logs");
    fs::create_dir(&logs).unwrap();
    // Older ones are of no use to anybody.
    let now = jiff::Timestamp::now().as_second();
    let time = |number: i64| Timestamp::from_micros((now - 60 + number) * 1_000_000).to_string();
    for number in 1..=7 {
        let line = format!("{} box sshd[42]: hello\n", time(number as i64));
        fs::write(logs.join(format!("{number}.log")), line.repeat(number)).unwrap();
    }
    world.configure(
        &format!("{SLOW}\nsources = [\"journal\", \"logs\"]"),
        &format!(
            "[source.logs]\ntype = \"file\"\npath = \"{}/*.log\"\ntimezone = \"UTC\"",
            logs.display()
        ),
    );
    let daemon = world.start();
    let source = until("all are read", || {
        let source = world.json(&["status"])[0]["sources"][1].clone();
        (source["records"] == 28 && source["files"].as_array()?.len() == 7).then_some(source)
    });
    assert_eq!(source["more_files"], 0);
    let newest = &source["files"][0];
    assert_eq!(newest["file"], logs.join("7.log").display().to_string());
    assert_eq!(newest["records"], 7);
    assert_eq!(newest["last_record"], time(7));
    assert!(newest["bytes"].as_u64().unwrap() > 0);
    let text = String::from_utf8(world.f2bd(&["--timezone", "UTC", "status"]).stdout).unwrap();
    assert!(text.contains("7.log: 7 records, the last of 20"), "{text}");
    assert!(text.contains("3.log") && !text.contains("2.log"), "{text}");
    assert!(text.contains("and 2 files more"), "{text}");
    daemon.stop();
}

#[test]
fn a_reload_that_moves_the_action_leaves_nothing_behind() {
    let Some(world) = World::new(SLOW) else {
        return;
    };
    let daemon = world.start();
    world.attack("198.51.100.7", 3);
    banned(&world, "198.51.100.7");
    let rules = || String::from_utf8(world.nft(&["list", "ruleset"]).stdout).unwrap();
    world.configure(SLOW, "[action.nftables]\ntable = \"other\"");
    assert!(world.f2bd(&["reload"]).status.success());
    until("the old table is gone and the new one bans", || {
        let rules = rules();
        let moved = rules.contains("table inet other") && !rules.contains("table inet f2bd");
        (moved && rules.contains("198.51.100.7")).then_some(())
    });
    world.configure(
        SLOW,
        "[action.nftables]\ntable = \"other\"\nverdict = \"reject\"\non_stop = \"remove\"",
    );
    assert!(world.f2bd(&["reload"]).status.success());
    until("the rules of the same table are others", || {
        let rules = rules();
        (rules.contains("reject") && rules.contains("198.51.100.7")).then_some(())
    });
    world.configure(&format!("{SLOW}\nactions = []"), "");
    assert!(world.f2bd(&["reload"]).status.success());
    until("nothing is left", || rules().is_empty().then_some(()));
    daemon.stop();
}

#[test]
fn a_downtime_longer_than_findtime_loses_no_failure() {
    let short = SLOW.replace("findtime = \"1h\"", "findtime = \"2s\"");
    let Some(world) = World::new(&short) else {
        return;
    };
    let daemon = world.start();
    world.attack("198.51.100.7", 2);
    until("two failures are stored", || {
        (world.database().exists() && world.sql("SELECT count(*) FROM failures") == "2")
            .then_some(())
    });
    daemon.kill();
    world.attack("198.51.100.7", 1);
    let over = Instant::now() + Duration::from_secs(3);
    until("findtime is over", || (Instant::now() > over).then_some(()));
    let daemon = world.start();
    banned(&world, "198.51.100.7");
    daemon.stop();
}

#[test]
fn a_second_daemon_is_refused() {
    let Some(world) = World::new(SLOW) else {
        return;
    };
    let first = world.start();
    let mut second = world.start_unready();
    assert_eq!(second.exit_code(), Some(1));
    second.says("another f2bd");
    let other = world.path().join("other.sock").display().to_string();
    let mut third = world.start_unready_with(&["--socket", &other]);
    assert_eq!(third.exit_code(), Some(1), "nor beside the same database");
    assert!(
        world.f2bd(&["status"]).status.success(),
        "the first one still answers"
    );
    first.stop();
}

#[test]
fn without_privileges_it_says_so_and_ends() {
    let Some(world) = World::new(SLOW) else {
        return;
    };
    world.open_to_everybody();
    let output = std::process::Command::new("setpriv")
        .args([
            "--reuid=65534",
            "--regid=65534",
            "--clear-groups",
            "--bounding-set=-all",
            "--",
        ])
        .arg(world.public_binary())
        .args(["run", "--config"])
        .arg(world.config())
        .output()
        .expect("setpriv");
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(77), "{said}");
    assert!(said.contains("CAP_NET_ADMIN"), "{said}");
}

#[test]
fn one_capability_and_the_journals_group_are_enough() {
    let Some(world) = World::new(SLOW) else {
        return;
    };
    world.open_to_everybody();
    let daemon = world.start_as(65_534);
    let status = fs::read_to_string(format!("/proc/{}/status", daemon.pid())).unwrap();
    let field = |name: &str| {
        status
            .lines()
            .find_map(|line| line.strip_prefix(name))
            .unwrap()
            .trim()
            .to_owned()
    };
    assert_eq!(
        field("CapEff:"),
        "0000000000001000",
        "CAP_NET_ADMIN and no other"
    );
    assert!(field("Uid:").starts_with("65534\t65534"));
    world.attack("198.51.100.7", 3);
    banned(&world, "198.51.100.7");
    world.nft(&["flush", "ruleset"]);
    until("the rules are back", || {
        world.kernel_bans("198.51.100.7").then_some(())
    });
    daemon.stop();
}

#[test]
fn the_service_manager_hears_how_it_is() {
    let Some(world) = World::new(SLOW) else {
        return;
    };
    let daemon = world.start_with(&[], &[("WATCHDOG_USEC", "100000")]);
    daemon.tells("WATCHDOG=1");
    world.attack("198.51.100.7", 3);
    daemon.tells("STATUS=jails: 1, bans: 1");
    daemon.tells("WATCHDOG=1");
    daemon.signal(Signal::TERM);
    daemon.tells("STOPPING=1");
}

#[test]
fn nobody_slips_through_while_it_is_killed_and_restarted() {
    let Some(Cable { server, attackers }) = Cable::new() else {
        return;
    };
    let inbox = server.datagrams("192.0.2.1:514".parse().unwrap());
    inbox
        .set_read_timeout(Some(Duration::from_millis(200)))
        .unwrap();
    let banned_host = attackers.datagrams("192.0.2.7:0".parse().unwrap());
    let free_host = attackers.datagrams("192.0.2.8:0".parse().unwrap());
    for socket in [&banned_host, &free_host] {
        socket.connect("192.0.2.1:514").unwrap();
    }
    let everywhere = format!("{SLOW}\nport = [\"all\"]");
    let Some(world) = World::on(server, &everywhere, "") else {
        return;
    };
    let mut daemon = world.start();
    world.attack("192.0.2.7", 3);
    banned(&world, "192.0.2.7");
    // What was on its way before the ban.
    while uninterrupted(|| inbox.recv(&mut [0])).is_ok() {}
    let over = Arc::new(AtomicBool::new(false));
    let prober = std::thread::spawn({
        let over = Arc::clone(&over);
        move || {
            while !over.load(Ordering::Relaxed) {
                // The kernel may be out of buffers for a moment.
                let _ = banned_host.send(b"x");
                std::thread::yield_now();
            }
        }
    });
    for round in 0..10 {
        if round % 2 == 0 {
            daemon.kill();
        } else {
            daemon.stop();
        }
        daemon = world.start();
    }
    over.store(true, Ordering::Relaxed);
    prober.join().unwrap();
    free_host.send(b"y").unwrap();
    let mut first = [0];
    uninterrupted(|| inbox.recv(&mut first)).unwrap();
    assert_eq!(&first, b"y", "nothing of the banned host came before");
    daemon.stop();
}

#[test]
fn a_dry_run_decides_and_touches_nothing() {
    let Some(world) = World::new(SLOW) else {
        return;
    };
    let daemon = world.start_with(&["--dry-run"], &[]);
    world.attack("198.51.100.7", 3);
    until("the ban is recorded", || {
        (!world.json(&["bans"]).is_empty()).then_some(())
    });
    assert_eq!(world.nft(&["list", "ruleset"]).stdout, b"");
    daemon.stop();
}

#[test]
fn bans_by_hand_from_the_command_line() {
    let Some(world) = World::new(SLOW) else {
        return;
    };
    let daemon = world.start();
    assert!(
        world
            .f2bd(&["ban", "sshd", "203.0.113.0/24", "--for", "1h"])
            .status
            .success()
    );
    banned(&world, "203.0.113.0/24");
    assert!(world.f2bd(&["ban", "sshd", "203.0.113.9"]).status.success());
    assert_eq!(
        world.f2bd(&["unban", "192.0.2.1"]).status.code(),
        Some(1),
        "not banned"
    );
    assert!(world.f2bd(&["unban", "--all"]).status.success());
    until("the sets are empty", || {
        (!world.kernel_bans("203.0.113.0/24")).then_some(())
    });
    assert_eq!(world.sql("SELECT count(*) FROM active_bans"), "0");
    daemon.stop();
    assert_eq!(world.f2bd(&["status"]).status.code(), Some(69));
}

#[test]
fn a_start_that_is_refused_leaves_nothing() {
    let home = tempfile::tempdir().unwrap();
    let at = |name: &str| home.path().join(name);
    let text = format!(
        "[daemon]\ndatabase = {:?}\nsocket = {:?}\nfail2ban_socket = {:?}\n[source.journal]\nenabled = false\n",
        at("f2bd.db"),
        at("control.sock"),
        at("fail2ban.sock"),
    );
    fs::write(at("f2bd.conf"), text).unwrap();
    let names = || {
        let there = fs::read_dir(home.path()).unwrap();
        let names = there.map(|file| file.unwrap().file_name().into_string().unwrap());
        names.collect::<BTreeSet<_>>()
    };
    let refused = |why: &str| {
        let before = names();
        let mut command = Command::new(F2BD);
        command
            .args(["run", "--dry-run", "--config"])
            .arg(at("f2bd.conf"));
        let output = command.output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(!output.status.success() && said.contains(why), "{said}");
        assert_eq!(names(), before);
    };
    // Somebody else has the second socket.
    let theirs = UnixListener::bind(at("fail2ban.sock")).unwrap();
    refused("another program serves");
    drop(theirs);
    fs::remove_file(at("fail2ban.sock")).unwrap();
    // The database is of a version that comes later.
    let newer = Command::new("sqlite3")
        .arg(at("f2bd.db"))
        .arg("PRAGMA user_version = 9999; CREATE TABLE later (id INTEGER)")
        .status();
    assert!(newer.unwrap().success());
    refused("newer");
}

#[test]
fn a_socket_for_clients_of_fail2ban_that_cannot_be_made_costs_nothing_else() {
    let Some(world) = World::new(SLOW) else {
        return;
    };
    // Below a file nobody can make a directory, not even root.
    fs::write(world.path().join("blocked"), "").unwrap();
    let socket = world.path().join("blocked/fail2ban.sock");
    let text = fs::read_to_string(world.config()).unwrap();
    let line = format!("[daemon]\nfail2ban_socket = {socket:?}\n");
    fs::write(world.config(), text.replacen("[daemon]\n", &line, 1)).unwrap();
    let daemon = world.start();
    daemon.says("Fail2ban's clients are not answered");
    world.attack("198.51.100.7", 3);
    banned(&world, "198.51.100.7");
    daemon.stop();
}

/// What systemd itself says of the unit, of the drop-in for directories of Fail2ban's, and of the socket for rsyslog.
#[test]
fn systemd_understands_the_units() {
    let home = tempfile::tempdir().unwrap();
    let shipped = Path::new(env!("CARGO_MANIFEST_DIR")).join("contrib");
    let unit = home.path().join("f2bd.service");
    let drop_in = home.path().join("f2bd.service.d/fail2ban-tree.conf");
    let socket = home.path().join("f2bd-syslog.socket");
    fs::create_dir(drop_in.parent().unwrap()).unwrap();
    for (name, to, looked_at) in [
        ("systemd/f2bd.service", &unit, &unit),
        ("systemd/fail2ban-tree.conf", &drop_in, &unit),
        ("rsyslog/f2bd-syslog.socket", &socket, &socket),
    ] {
        let text = fs::read_to_string(shipped.join(name)).unwrap();
        fs::write(to, text.replace("/usr/bin/f2bd", F2BD)).unwrap();
        let mut verify = Command::new("systemd-analyze");
        verify.args(["verify", "--man=no"]).arg(looked_at);
        let output = verify
            .env("SYSTEMD_UNIT_PATH", format!("{}:", home.path().display()))
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        let ours: Vec<_> = said
            .lines()
            .filter(|line| line.contains("f2bd") || line.contains("fail2ban"))
            .collect();
        assert!(output.status.success() && ours.is_empty(), "{name}: {said}");
    }
}
