//! What f2bd.conf(5) says of its examples of policy is what they do: each over a small log, by `replay`.
//!
//! The settings that it recommends are tried on a whole day, see `simulation`.

use std::fs;
use std::path::Path;
use std::process::Command;

use serde_json::Value;

use crate::man;
use crate::support::mmdb::{country, database, operator};
use crate::support::world::F2BD;

const MINUTE: i64 = 60;
const HOUR: i64 = 60 * MINUTE;
const DAY: i64 = 24 * HOUR;

/// So many wrong passwords of `user` from `address`, one a second from a moment on.
fn fail(log: &mut Vec<(i64, String)>, second: i64, count: i64, address: &str, user: &str) {
    for number in 0..count {
        let text = format!("Failed password for {user} from {address} port 22 ssh2");
        log.push((second + number, text));
    }
}

/// Who is banned by which jail, in which second and for how many.
fn bans(settings: &str, log: &mut [(i64, String)]) -> Vec<Banned> {
    let home = tempfile::tempdir().unwrap();
    bans_at(home.path(), settings, log, sshd)
}

/// In which second, by which jail, who and for how many.
type Banned = (i64, String, String, i64);

/// A line of auth.log.
fn sshd(time: jiff::Timestamp, second: i64, text: &str) -> String {
    format!("{time} box sshd[{second}]: {text}\n")
}

/// A line of access.log.
fn web(time: jiff::Timestamp, _: i64, text: &str) -> String {
    let date = time.strftime("%d/%b/%Y:%H:%M:%S +0000");
    text.replacen(" - - ", &format!(" - - [{date}] "), 1) + "\n"
}

/// The same with a configuration in a directory, over a log of such lines.
fn bans_at(
    home: &Path,
    settings: &str,
    log: &mut [(i64, String)],
    line: fn(jiff::Timestamp, i64, &str) -> String,
) -> Vec<Banned> {
    let [config, path] = ["f2bd.conf", "test.log"].map(|name| home.join(name));
    let start: jiff::Timestamp = "2026-01-01T00:00:00Z".parse().unwrap();
    log.sort_by_key(|(second, _)| *second);
    let line = |(second, text): &(i64, String)| {
        let time = start + jiff::SignedDuration::from_secs(*second);
        line(time, *second, text)
    };
    fs::write(&path, log.iter().map(line).collect::<String>()).unwrap();
    fs::write(&config, settings).unwrap();
    let mut command = Command::new(F2BD);
    command.args(["replay", "--json", "--config"]).arg(&config);
    let output = command.arg(&path).output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    let rows = text
        .lines()
        .map(|line| serde_json::from_str::<Value>(line).unwrap());
    rows.filter(|row| row["decision"] == "ban")
        .map(|row| {
            let time: jiff::Timestamp = row["time"].as_str().unwrap().parse().unwrap();
            let told = |key: &str| row[key].as_str().unwrap().to_owned();
            let second = time.duration_since(start).as_secs();
            (
                second,
                told("jail"),
                told("subject"),
                row["bantime"].as_i64().unwrap(),
            )
        })
        .collect()
}

/// The subjects that are banned.
fn subjects(settings: &str, log: &mut [(i64, String)]) -> Vec<String> {
    let bans = bans(settings, log).into_iter();
    bans.map(|(_, _, subject, _)| subject).collect()
}

#[test]
fn five_failures_within_ten_minutes() {
    let settings = man::configuration("A whole configuration");
    let settings = settings.replace(", \"home.example.org\"", "");
    let mut log = Vec::new();
    fail(&mut log, 0, 5, "203.0.113.1", "root");
    fail(&mut log, 0, 4, "203.0.113.2", "root");
    fail(&mut log, 11 * MINUTE, 4, "203.0.113.2", "root");
    fail(&mut log, 0, 9, "10.1.2.3", "root");
    let expected = (4, "sshd".to_owned(), "203.0.113.1/32".to_owned(), HOUR);
    assert_eq!(bans(&settings, &mut log), [expected]);
}

#[test]
fn clients_of_proxies_and_what_many_of_them_attack() {
    let settings = man::configuration("A web server behind proxies");
    let home = tempfile::tempdir().unwrap();
    fs::create_dir(home.path().join("filters")).unwrap();
    let filter = home.path().join("filters/proxied.toml");
    fs::write(filter, man::filter_behind_proxies()).unwrap();
    let mut log = Vec::new();
    let mut refuse = |second: i64, target: &str, forwarded: &str| {
        let text =
            format!("10.0.0.1 - - \"GET {target} HTTP/1.1\" 403 9 \"-\" \"x\" \"{forwarded}\"");
        log.push((second, text));
    };
    for number in 0..20 {
        refuse(number, &format!("/{number}"), "192.0.2.1, 203.0.113.1");
        refuse(number, &format!("/{number}"), "unknown");
    }
    for host in 1..=30 {
        refuse(30 + host, "/admin", &format!("198.51.100.{host}"));
    }
    for host in 31..60 {
        refuse(60 + host, "/other", &format!("198.51.100.{host}"));
    }
    let bans = bans_at(home.path(), &settings, &mut log, web);
    let mut expected = vec![(19, "proxied".to_owned(), "203.0.113.1/32".to_owned(), 600)];
    let together = (1..=30).map(|host| {
        (
            60,
            "proxied".to_owned(),
            format!("198.51.100.{host}/32"),
            600,
        )
    });
    expected.extend(together);
    assert_eq!(bans, expected);
}

#[test]
fn more_patience_over_a_longer_time() {
    let settings = man::configuration("A second jail for the same service");
    let mut log = Vec::new();
    for hour in 0..20 {
        fail(&mut log, hour * HOUR, 1, "203.0.113.1", "root");
    }
    let expected = (
        19 * HOUR,
        "sshd-slow".to_owned(),
        "203.0.113.1/32".to_owned(),
        7 * DAY,
    );
    assert_eq!(bans(&settings, &mut log), [expected]);
}

#[test]
fn bans_that_grow_longer_until_a_month_is_quiet() {
    let settings = man::configuration("Bans that grow longer");
    let mut log = Vec::new();
    for day in [0, 1, 2, 4, 12, 12 + 7 + 31] {
        fail(&mut log, day * DAY, 5, "203.0.113.1", "root");
    }
    let lasting = bans(&settings, &mut log)
        .into_iter()
        .map(|(.., bantime)| bantime);
    let expected = [10 * MINUTE, HOUR, DAY, 7 * DAY, 7 * DAY, 10 * MINUTE];
    assert_eq!(lasting.collect::<Vec<_>>(), expected);
}

#[test]
fn three_bans_within_a_day_by_whatever_jails() {
    let others = "[jail.sshd]\n\n[jail.other]\nfilter = \"sshd\"\nmaxretry = 7\n\n";
    let settings = others.to_owned() + &man::configuration("Whoever is banned three times");
    let mut log = Vec::new();
    fail(&mut log, 0, 5, "203.0.113.1", "root");
    fail(&mut log, HOUR, 5, "203.0.113.1", "root");
    fail(&mut log, 2 * HOUR, 7, "203.0.113.1", "root");
    let by = bans(&settings, &mut log);
    let by: Vec<_> = by
        .iter()
        .map(|(_, jail, _, bantime)| (jail.as_str(), *bantime))
        .collect();
    let week = ("recidive", 7 * DAY);
    let short = ("sshd", 10 * MINUTE);
    assert_eq!(by, [short, short, short, week, ("other", 10 * MINUTE)]);
}

#[test]
fn patience_at_first() {
    let settings = man::configuration("Patience at first");
    let mut log = Vec::new();
    let host = "203.0.113.1";
    // Once more while it is slowed down, and twice after a ban that is over.
    fail(&mut log, 0, 10, host, "root");
    fail(&mut log, 2 * DAY, 5, host, "root");
    fail(&mut log, 10 * DAY, 5, host, "root");
    let bans = bans(&settings, &mut log).into_iter();
    let bans: Vec<_> = bans
        .map(|(.., subject, bantime)| (subject, bantime))
        .collect();
    let own = || "203.0.113.1/32".to_owned();
    let expected = [
        (own(), HOUR),
        (own(), DAY),
        (own(), 7 * DAY),
        (own(), 7 * DAY),
        ("203.0.113.0/24".to_owned(), 7 * DAY),
    ];
    assert_eq!(bans, expected);
}

#[test]
fn attackers_who_change_their_address() {
    let settings = man::configuration("Attackers who change their address");
    let mut log = Vec::new();
    for host in 0..5 {
        fail(
            &mut log,
            host * MINUTE,
            3,
            &format!("203.0.113.{host}"),
            "root",
        );
        let v6 = format!("2001:db8:1:{host}::1");
        fail(&mut log, host * MINUTE, 3, &v6, "root");
    }
    let mut narrow = subjects(&settings, &mut log);
    narrow.sort();
    assert_eq!(narrow, ["2001:db8:1::/48", "203.0.113.0/24"]);
    let mut log = Vec::new();
    for network in 0..40 {
        for host in 0..3 {
            let address = format!("198.18.{network}.{host}");
            fail(&mut log, network * MINUTE, 1, &address, "root");
        }
    }
    assert_eq!(subjects(&settings, &mut log), ["198.18.0.0/16"]);
}

#[test]
fn one_password_on_many_accounts() {
    let settings = man::configuration("Whoever tries his luck with many users");
    let mut log = Vec::new();
    for (hour, user) in (0..).zip(["al", "bo", "cy", "di", "ed"]) {
        fail(&mut log, hour * 4 * HOUR, 1, "203.0.113.1", user);
        fail(&mut log, hour * 4 * HOUR, 20, "203.0.113.2", "al");
    }
    let expected = (
        16 * HOUR,
        "sshd-users".to_owned(),
        "203.0.113.1/32".to_owned(),
        7 * DAY,
    );
    let mut found = bans(&settings, &mut log);
    found.retain(|(_, jail, ..)| jail == "sshd-users");
    assert_eq!(found, [expected]);
}

#[test]
fn no_patience_under_siege() {
    let settings = man::configuration("No patience at all");
    let mut log = Vec::new();
    for host in 0..20 {
        fail(&mut log, 100, 1, &format!("198.18.{host}.1"), "root");
    }
    fail(&mut log, 100 + 11 * MINUTE, 4, "198.18.99.1", "root");
    let banned = subjects(&settings, &mut log);
    let expected: Vec<_> = (10..20).map(|host| format!("198.18.{host}.1/32")).collect();
    assert_eq!(
        banned, expected,
        "from the eleventh on, and until it has calmed"
    );
}

#[test]
fn data_centers_and_customers() {
    let home = tempfile::tempdir().unwrap();
    let countries = database(&[("203.0.113.0/24", country("DE"))]);
    let operators = database(&[("198.51.100.0/24", operator(64_500, "Example"))]);
    fs::write(home.path().join("country.mmdb"), countries).unwrap();
    fs::write(home.path().join("asn.mmdb"), operators).unwrap();
    let there = |name: &str| home.path().join(name).display().to_string();
    let settings = man::configuration("No patience with the hosts of a data center")
        .replace(
            "/var/lib/GeoIP/GeoLite2-Country.mmdb",
            &there("country.mmdb"),
        )
        .replace("/var/lib/GeoIP/GeoLite2-ASN.mmdb", &there("asn.mmdb"));
    let mut log = Vec::new();
    fail(&mut log, 0, 1, "198.51.100.7", "root");
    fail(&mut log, 100, 5, "198.18.0.7", "root");
    fail(&mut log, 200, 10, "203.0.113.7", "root");
    let banned = bans(&settings, &mut log);
    let banned: Vec<_> = banned
        .iter()
        .map(|(at, _, who, _)| (*at, who.as_str()))
        .collect();
    let expected = [
        (0, "198.51.100.7/32"),
        (104, "198.18.0.7/32"),
        (209, "203.0.113.7/32"),
    ];
    assert_eq!(banned, expected);
}
