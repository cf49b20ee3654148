//! How a jail decides beyond maxretry and findtime: the whole daemon with its database, and `replay`.

use std::fs;
use std::io::Write;
use std::process::Command;

use serde_json::Value;

use crate::man;
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
fn the_administrator_says_why_also_after_a_kill() {
    let Some(world) = World::new("ignoreself = false") else {
        return;
    };
    let (one, other) = ("203.0.113.9", "203.0.113.10");
    let daemon = world.start();
    let done = |arguments: &[&str]| {
        let output = world.f2bd(arguments);
        assert!(output.status.success(), "{output:?}");
    };
    let odd = "it's \u{1b}[31m 'red'; DROP TABLE bans";
    done(&["ban", "sshd", one, "--for", "2d", "--reason", "ticket 17"]);
    done(&["ban", "sshd", other, "--reason", odd]);
    for wrong in [" ", "x".repeat(1_025).as_str()] {
        let output = world.f2bd(&["ban", "sshd", one, "--reason", wrong]);
        assert_eq!(output.status.code(), Some(64), "{output:?}");
    }
    daemon.kill();
    let daemon = world.start();
    done(&["unban", other, "--reason", "he called"]);
    let query = "SELECT ip, reason, release_reason FROM ban_history ORDER BY ban";
    let expected =
        "203.0.113.9|ticket 17|\n203.0.113.10|it's \\x1b[31m 'red'; DROP TABLE bans|he called";
    until_it_tells(&world, query, expected);
    let standing = "SELECT ip, reason, (julianday(until) - julianday(start)) FROM active_bans";
    assert_eq!(world.sql(standing), "203.0.113.9|ticket 17|2.0");
    let rows = world.json(&["history"]);
    assert_eq!(rows[0]["release_reason"], "he called");
    assert_eq!(rows[1]["reason"], "ticket 17");
    let told = String::from_utf8(world.f2bd(&["history"]).stdout).unwrap();
    assert!(
        told.contains("manual: ticket 17") && told.contains("(manual: he called)"),
        "{told}"
    );
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

/// Which of the tables of the kernel hold an address.
fn tables(world: &World, address: &str) -> String {
    let holds = |table: &&str| {
        let listed = world.nft(&["list", "table", "inet", table]).stdout;
        String::from_utf8_lossy(&listed).contains(&format!("{address} timeout"))
    };
    let tables = ["slow", "f2bd", "shut"].into_iter().filter(holds);
    tables.collect::<Vec<_>>().join(" ")
}

#[test]
fn each_offence_has_its_answer_also_after_a_kill() {
    let Some(world) = World::with(
        "maxretry = 2\nbantime = \"1h\"\nignoreself = false\n\
         response = [\n\
         { from = 1, actions = [\"nftables-slow\"] },\n\
         { from = 2, actions = [\"nftables\"] },\n\
         { from = 3, actions = [\"all\"], network = { ipv4 = 24 } },\n]",
        "[action.nftables-slow]\ntable = \"slow\"\n\
         [action.all]\nuse = \"nftables\"\ntable = \"shut\"\nports = \"all\"",
    ) else {
        return;
    };
    let address = "198.51.100.7";
    let until_held = |by: &str, whom: &str| {
        until(&format!("{whom} is in {by}"), || {
            (tables(&world, whom) == by).then_some(())
        });
    };
    let bans = "SELECT subject, offence, coalesce(release, 'stands') FROM bans ORDER BY id";
    let daemon = world.start();
    world.attack(address, 2);
    until_held("slow", address);
    daemon.kill();
    let daemon = world.start();
    until_held("slow", address);
    let told = String::from_utf8(world.f2bd(&["explain", address]).stdout).unwrap();
    assert!(
        told.contains("It still gets through, and what it fails counts on.")
            && told.contains("It would be put into effect by nftables."),
        "{told}"
    );
    // It gets through and fails on.
    world.attack(address, 2);
    until_it_tells(
        &world,
        bans,
        "198.51.100.7|1|replaced\n198.51.100.7|2|stands",
    );
    until_held("f2bd", address);
    daemon.kill();
    let daemon = world.start();
    until_held("f2bd", address);
    world.f2bd(&["unban", address]);
    let told = String::from_utf8(world.f2bd(&["explain", address]).stdout).unwrap();
    let network = "It would concern 198.51.100.0/24 and be put into effect by all.";
    assert!(told.contains(network), "{told}");
    world.attack(address, 2);
    until_it_tells(
        &world,
        bans,
        "198.51.100.7|1|replaced\n198.51.100.7|2|manual\n\
         198.51.100.7|3|merged\n198.51.100.0/24|3|stands",
    );
    until("the network is shut out", || {
        let listed = world.nft(&["list", "table", "inet", "shut"]).stdout;
        let listed = String::from_utf8_lossy(&listed).into_owned();
        listed.contains("198.51.100.0/24").then_some(())
    });
    // What the administrator bans is meant in earnest.
    world.f2bd(&["ban", "sshd", "203.0.113.9"]);
    until_held("shut", "203.0.113.9");
    daemon.stop();
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
                "its hosts failed, 6 times together; 4 of these had banned hosts before."
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

#[test]
fn hosts_that_attack_one_account_are_banned_together_also_after_a_kill() {
    let Some(world) = World::new(
        "maxretry = 5\nbantime = \"1h\"\nignoreself = false\n\
         distributed = { by = \"user\", hosts = 3, findtime = \"2h\", grace = \"0s\" }",
    ) else {
        return;
    };
    let counted = |count: &str| {
        until(&format!("{count} failures are counted"), || {
            let sum = "SELECT count(*) FROM failures WHERE counted";
            (world.database().exists() && world.sql(sum) == count).then_some(())
        });
    };
    let daemon = world.start();
    world.mistype("198.51.100.1", "jo");
    world.mistype("203.0.113.2", "jo");
    world.mistype("203.0.113.3", "root");
    counted("3");
    let told = String::from_utf8(world.f2bd(&["explain", "203.0.113.2"]).stdout).unwrap();
    assert!(
        told.contains(
            "203.0.113.2 is watched by jail sshd as one of 2 hosts that failed for the same account `jo`; \
             3 within 2h are banned."
        ),
        "{told}"
    );
    daemon.kill();
    let daemon = world.start();
    world.mistype("2001:db8:7::1", "jo");
    until_it_tells(
        &world,
        "SELECT ip, origin, failures FROM ban_history ORDER BY ip",
        "198.51.100.1|distributed|1\n2001:db8:7::/64|distributed|1\n203.0.113.2|distributed|1",
    );
    for subject in ["198.51.100.1", "203.0.113.2"] {
        until(&format!("{subject} is in the kernel's set"), || {
            world.kernel_bans(subject).then_some(())
        });
    }
    let told = String::from_utf8(world.f2bd(&["explain", "198.51.100.1"]).stdout).unwrap();
    assert!(
        told.contains("many hosts failed for the same account `jo`, of these failures this one."),
        "{told}"
    );
    daemon.stop();
}

#[test]
fn clients_behind_a_trusted_proxy_are_counted_whatever_they_forge() {
    let rest = |world: &World| {
        let log = world.path().join("access.log");
        format!(
            "[jail.proxied]\nlogpath = [{log:?}]\nmaxretry = 3\nbantime = \"1h\"\ntrusted = [\"10.0.0.0/24\"]\n\
             distributed = {{ by = \"target\", hosts = 3, findtime = \"2h\" }}"
        )
    };
    let Some(world) = World::new("") else {
        return;
    };
    let path = world.path().join("access.log");
    fs::create_dir(world.path().join("filters")).unwrap();
    let filter = world.path().join("filters/proxied.toml");
    fs::write(filter, man::filter_behind_proxies()).unwrap();
    fs::write(&path, "").unwrap();
    world.configure("", &rest(&world));
    let refuse = |address: &str, target: &str, forwarded: &str| {
        let now = jiff::Timestamp::now().strftime("%d/%b/%Y:%H:%M:%S +0000");
        let line = format!(
            "{address} - - [{now}] \"POST {target} HTTP/1.1\" 401 12 \"-\" \"x\" \"{forwarded}\"\n"
        );
        let mut log = fs::File::options().append(true).open(&path).unwrap();
        log.write_all(line.as_bytes()).unwrap();
    };
    let daemon = world.start();
    // Somebody else's addresses and the proxy's own are forged, and a header that pretends to be longer.
    for forged in [
        "198.51.100.1, ",
        "10.0.0.2, 198.51.100.1,10.0.0.3,",
        "x\\x22 \\x22, ",
    ] {
        refuse(
            "10.0.0.1",
            "/login",
            &format!("{forged}203.0.113.7, 10.0.0.9"),
        );
    }
    until_it_tells(
        &world,
        "SELECT ip, failures FROM active_bans",
        "203.0.113.7|3",
    );
    // Of somebody who is no proxy nothing is believed.
    refuse("203.0.113.8", "/wp-login.php", "198.51.100.1");
    refuse("10.0.0.1", "/wp-login.php", "203.0.113.8, 203.0.113.9");
    refuse("10.0.0.1", "/wp-login.php", "-");
    until_it_tells(
        &world,
        "SELECT address, target FROM failure_history ORDER BY failure",
        "203.0.113.7|/login\n203.0.113.7|/login\n203.0.113.7|/login\n\
         203.0.113.8|/wp-login.php\n203.0.113.9|/wp-login.php",
    );
    until("the kernel's set holds it", || {
        world.kernel_bans("203.0.113.7").then_some(())
    });
    let told = |arguments: &[&str]| {
        let output = world.f2bd(arguments);
        String::from_utf8([output.stdout, output.stderr].concat()).unwrap()
    };
    let told_of = |address: &str| told(&["explain", address]);
    let watched = told_of("203.0.113.9");
    assert!(
        watched.contains(
            "203.0.113.9 is watched by jail proxied as one of 2 hosts that failed for the same target \
             `/wp-login.php`; 3 within 2h are banned."
        ),
        "{watched}"
    );
    let because = "10.0.0.1 is never banned by jail proxied: trusted 10.0.0.0/24.";
    let proxy = told_of("10.0.0.1");
    assert!(proxy.contains(because), "{proxy}");
    for subject in ["10.0.0.1", "10.0.0.0/16"] {
        let refused = told(&["ban", "--force", "proxied", subject]);
        assert!(refused.contains("trusted 10.0.0.0/24"), "{refused}");
    }
    daemon.kill();
    let daemon = world.start();
    refuse("10.0.0.1", "/WP-login.php", "203.0.113.10:4711");
    until_it_tells(
        &world,
        "SELECT ip, origin FROM active_bans ORDER BY ban",
        "203.0.113.7|failures\n203.0.113.8|distributed\n203.0.113.9|distributed\n203.0.113.10|distributed",
    );
    let banned = told_of("203.0.113.8");
    assert!(
        banned.contains("many hosts failed for the same target `/wp-login.php`"),
        "{banned}"
    );
    daemon.stop();
}

#[test]
fn who_is_let_in_has_not_failed_also_after_a_kill() {
    let Some(world) = World::new(
        "maxretry = 5\nbantime = \"1h\"\nignoreself = false\n\
         distributed = { hosts = 2, findtime = \"2h\", grace = \"3s\" }",
    ) else {
        return;
    };
    let is = |query: &str, expected: &str| {
        until(&format!("{query}: {expected}"), || {
            (world.database().exists() && world.sql(query) == expected).then_some(())
        });
    };
    let daemon = world.start();
    // A stranger knows the account, and then its owner mistypes.
    world.mistype("203.0.113.2", "jo");
    world.mistype("198.51.100.1", "jo");
    world.log_in("198.51.100.1", "jo");
    is("SELECT address FROM failures WHERE cleared", "198.51.100.1");
    is("SELECT ip FROM ban_history", "203.0.113.2");
    is(
        "SELECT kind, ip, detail FROM notice_history",
        "login|198.51.100.1|after 1 failures, and those of 1 other hosts: jo",
    );
    // Four more would be too many, were the first one not taken back.
    daemon.kill();
    let daemon = world.start();
    for _ in 0..4 {
        world.mistype("198.51.100.1", "root");
    }
    is("SELECT count(*) FROM failures WHERE counted", "5");
    is("SELECT count(*) FROM bans", "1");
    daemon.stop();
}

#[test]
fn replay_counts_users_and_waits_for_logins() {
    let home = tempfile::tempdir().unwrap();
    let config = home.path().join("f2bd.conf");
    let log = home.path().join("auth.log");
    let text = "[defaults]\nmaxretry = 3\nignoreself = false\n\n[jail.sshd]\nmaxretry = 100\n\
        distributed = { hosts = 2, findtime = \"1h\", grace = \"1m\" }\n\n\
        [jail.users]\nfilter = \"sshd\"\ndistinct = \"user\"\nfindtime = \"1d\"\n";
    fs::write(&config, text).unwrap();
    let line = |(clock, word, user, host): (&str, &str, &str, u8)| {
        format!(
            "Feb 11 {clock} box sshd[1]: {word} password for {user} from 192.0.2.{host} port 22 ssh2\n"
        )
    };
    let lines: String = [
        ("10:00:00", "Failed", "jo", 1),
        ("10:00:01", "Failed", "jo", 2),
        ("10:00:11", "Accepted", "jo", 2),
        ("11:30:00", "Failed", "al", 3),
        ("12:30:00", "Failed", "bo", 3),
        ("13:30:00", "Failed", "bo", 3),
        ("14:30:00", "Failed", "cy", 3),
    ]
    .map(line)
    .concat();
    fs::write(&log, lines).unwrap();
    let clock = ["--timezone", "UTC", "--now", "2026-03-01T00:00:00Z"];
    let mut command = Command::new(F2BD);
    command.args(["replay", "--json"]).args(clock);
    let output = command.arg("--config").arg(&config).arg(&log).output();
    let text = String::from_utf8(output.unwrap().stdout).unwrap();
    let bans = text
        .lines()
        .map(|line| serde_json::from_str::<Value>(line).unwrap());
    let bans = bans.filter(|line| line["decision"] == "ban");
    let bans: Vec<_> = bans
        .map(|ban| {
            let told = |key: &str| ban[key].as_str().unwrap_or_default().to_owned();
            [told("time"), told("jail"), told("subject")].join(" ")
        })
        .collect();
    assert_eq!(
        bans,
        [
            "2026-02-11T10:01:00Z sshd 192.0.2.1/32",
            "2026-02-11T14:30:00Z users 192.0.2.3/32"
        ]
    );
}

#[test]
fn under_siege_one_failure_is_enough_also_after_a_kill() {
    let jail = |calm: &str| {
        format!(
            "maxretry = 5\nbantime = \"1h\"\nignoreself = false\n\
             siege = {{ rate = \"3/m\", calm = \"{calm}\" }}"
        )
    };
    let Some(world) = World::new(&jail("1h")) else {
        return;
    };
    let hosts = |network: &str| {
        for host in 1..=4 {
            world.attack(&format!("{network}.{host}"), 1);
        }
    };
    let latest = "SELECT subject FROM bans ORDER BY id DESC LIMIT 1";
    let daemon = world.start();
    hosts("198.51.100");
    until_it_tells(&world, latest, "198.51.100.4");
    let word =
        "[sshd] under siege, by more than 3/m failures: one failure makes a ban until it calms";
    until("it is logged", || daemon.log().contains(word).then_some(()));
    let since = world.json(&["status"])[0]["jails"][0]["siege"]["since"].clone();
    assert!(since.is_string());
    daemon.kill();

    let daemon = world.start();
    let status = world.json(&["status"]).swap_remove(0);
    assert_eq!(status["jails"][0]["siege"]["since"], since);
    assert_eq!(status["jails"][0]["siege"]["maxretry"], 1);
    let told = String::from_utf8(world.f2bd(&["status", "sshd"]).stdout).unwrap();
    assert!(told.contains("Jail sshd is under siege since "), "{told}");
    assert!(
        told.contains(": one failure makes a ban until it calms.\n"),
        "{told}"
    );
    let told = String::from_utf8(world.f2bd(&["explain", "198.51.100.1"]).stdout).unwrap();
    assert!(
        told.contains("1 failure so far; one failure makes a ban, so 1 more would.")
            && told.contains("The jail is under siege since ")
            && told.contains("; otherwise it takes 5 failures.\n"),
        "{told}"
    );
    world.attack("198.51.100.1", 1);
    until_it_tells(&world, latest, "198.51.100.1");
    let kinds = "SELECT group_concat(kind) FROM (SELECT kind FROM notices ORDER BY id)";
    assert_eq!(world.sql(kinds), "siege");

    // Another rule ends it; by that one it ends by itself.
    world.configure(&jail("1s"), "");
    assert!(world.f2bd(&["reload"]).status.success());
    until_it_tells(&world, kinds, "siege,siege-over");
    hosts("192.0.2");
    until_it_tells(&world, kinds, "siege,siege-over,siege,siege-over");
    assert!(world.json(&["status"])[0]["jails"][0]["siege"].is_null());
    daemon.stop();
}

#[test]
fn replay_tries_out_a_siege() {
    let home = tempfile::tempdir().unwrap();
    let (config, log) = (home.path().join("f2bd.conf"), home.path().join("auth.log"));
    fs::write(&config, "[jail.sshd]\nignoreself = false\n").unwrap();
    let line = |host| {
        format!(
            "Feb 11 10:00:0{host} box sshd[1]: Failed password for jo from 192.0.2.{host} port 22 ssh2\n"
        )
    };
    fs::write(&log, (1..=9).map(line).collect::<String>()).unwrap();
    let clock = ["--timezone", "UTC", "--now", "2026-03-01T00:00:00Z"];
    let mut command = Command::new(F2BD);
    command
        .arg("replay")
        .args(clock)
        .arg("--config")
        .arg(&config);
    command.args(["--set", "siege={rate=\"6/m\"}"]).arg(&log);
    let output = command.output().unwrap();
    let told = String::from_utf8(output.stdout).unwrap();
    assert!(told.contains("Banned in addition: 3\n"), "{told}");
}
