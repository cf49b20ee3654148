//! A record that is no failure costs no memory: not when its line is read, not before the filters, not in the engine. And
//! whatever attackers do, a jail costs no more than is told.
//!
//! A binary of its own, since its allocator counts.

#![expect(clippy::unwrap_used, reason = "a test may panic")]

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use allocation_counter::measure;
use f2bd::config::{self, Problems};
use f2bd::engine::filter::{FilterSet, FilterSpec, LineMemory, View};
use f2bd::engine::input::Input;
use f2bd::engine::jail::response::Responses;
use f2bd::engine::policy::{Counting, FilterId, IgnoreList, JailPolicy, MaxRetry, Policy, UseDns};
use f2bd::engine::prefix::{Prefix, SubjectWidth};
use f2bd::engine::record::line::{LineForm, LineReader};
use f2bd::engine::record::{Batch, Record};
use f2bd::engine::sighting::Sighting;
use f2bd::engine::time::{BanTime, FindTime, Timestamp};
use f2bd::engine::{Decision, Engine};
use jiff::tz::TimeZone;

/// What sshd and others write that is no failure; some of it begins as one.
const MESSAGES: [&str; 12] = [
    "Accepted publickey for root from 192.0.2.7 port 22 ssh2: ED25519 SHA256:abc",
    "Failed publickey for invalid user x from 192.0.2.7 port 22 ssh2",
    "Failed password for root",
    "Failed password for root from UNKNOWN port 65535 ssh2",
    "message repeated 2 times: [ Failed password for x from 192.0.2 port 7 ssh2]",
    "error: PAM: Authentication failure for root from",
    "pam_unix(sshd:session): session opened for user root(uid=0) by (uid=0)",
    "Connection closed by remote host from 192.0.2.7",
    "Server listening on :: port 22.",
    "\u{e9}\u{0} \u{1b}[2J",
    "",
    "(root) CMD (run-parts /etc/cron.hourly)",
];

const PROGRAMS: [&str; 5] = ["sshd[42]", "sshd-session[7]", "CRON[9]", "kernel", "app"];

fn now() -> Timestamp {
    "2026-02-13T00:00:00Z".parse().unwrap()
}

/// All lines of all programs, in each of the usual forms of system logs, and some with no head at all.
fn lines() -> Vec<String> {
    let mut lines = Vec::new();
    for message in MESSAGES {
        for program in PROGRAMS {
            lines.push(format!("Feb 12 14:10:21 box {program}: {message}"));
            lines.push(format!(
                "2026-02-12T14:10:21.123456+01:00 box {program}: {message}"
            ));
        }
        lines.push(message.to_owned());
        lines.push(format!("{message}{}", " from 192.0.2.7".repeat(5_000)));
    }
    lines
}

/// What the shipped filters say in their strictest mode.
fn specs() -> Vec<FilterSpec> {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/filters");
    let paths = std::fs::read_dir(folder).unwrap();
    let read = |entry: std::io::Result<std::fs::DirEntry>| {
        let mut problems = Problems::default();
        let path = entry.unwrap().path();
        let file = config::read_filter(path.to_str().unwrap(), None, &mut problems);
        file.unwrap().spec("aggressive")
    };
    paths.map(read).collect()
}

/// The allocations of `act` when it is done for the second time: the first one may fill what is used again.
fn again(mut act: impl FnMut()) -> u64 {
    act();
    measure(act).count_total
}

#[test]
fn the_count_is_true() {
    let mut vectors = Vec::with_capacity(9);
    assert_eq!(again(|| vectors.push(vec![1_u8])), 1);
}

#[test]
fn a_line_that_no_filter_takes_costs_no_memory() {
    let lines = lines();
    for form in [LineForm::in_zone(TimeZone::UTC), told()] {
        let mut reader = LineReader::new(&form, now());
        let count = again(|| {
            for line in &lines {
                let record = reader.read(line.as_bytes());
                assert!(record.is_ok_and(|record| record.is_some()));
            }
        });
        assert_eq!(count, 0, "reading with {:?}", form.times);
    }
    let filters = FilterSet::compile(specs()).unwrap();
    let mut reader = LineReader::new(&LineForm::in_zone(TimeZone::UTC), now());
    // What it remembers of the lines before is as large as it gets.
    for line in lines.iter().flat_map(|line| [line, line]) {
        assert!(reader.read(line.as_bytes()).is_ok());
    }
    for line in &lines {
        let count = again(|| {
            let record = reader.read(line.as_bytes()).unwrap().unwrap();
            let view = View::from(record);
            for filter in (0..).map(FilterId).take(filters.len()) {
                assert_eq!(filters.find(filter, &view), None, "{line}");
            }
            assert!(
                filters
                    .findings(&view, &mut LineMemory::default())
                    .is_empty()
            );
        });
        assert_eq!(count, 0, "{line}");
    }
}

/// A log of which it is known how it writes its dates.
fn told() -> LineForm {
    LineForm {
        times: vec!["%b %d %H:%M:%S".parse().unwrap()],
        ..LineForm::in_zone(TimeZone::UTC)
    }
}

/// The engine with a jail for each filter.
fn engine() -> Engine {
    let (mut all, mut logins) = (specs(), Vec::new());
    for at in 0..all.len() {
        let successes = all[at].of_successes();
        let place = FilterId(all.len().try_into().unwrap());
        logins.push(successes.is_some().then_some(place));
        all.extend(successes);
    }
    let filters = FilterSet::compile(all).unwrap();
    let jails = (0..)
        .map(FilterId)
        .zip(logins)
        .map(|(filter, logins)| JailPolicy {
            name: format!("jail{}", filter.0).parse().unwrap(),
            filter,
            logins,
            is_idle: false,
            sources: vec!["log".parse().unwrap()],
            named_only: Vec::new(),
            route: None,
            counting: Counting::Failures,
            maxretry: MaxRetry(5.try_into().unwrap()),
            findtime: FindTime(std::time::Duration::from_secs(600)),
            escalation: None,
            networks: Vec::new(),
            accounts: None,
            siege: None,
            usedns: UseDns::No,
            classes: Vec::new(),
            bantime: BanTime::Forever,
            trusted: IgnoreList::default(),
            ignore: IgnoreList::default(),
            named_by: None,
            width: SubjectWidth::DEFAULT,
            responses: Responses::new(Vec::new(), Vec::new()),
        });
    let jails = jails.collect();
    Engine::new(Policy {
        filters,
        jails,
        left_out: Default::default(),
        atlas: Default::default(),
    })
}

#[test]
fn a_record_that_is_no_failure_costs_the_engine_no_memory() {
    let lines = lines();
    let mut reader = LineReader::new(&LineForm::in_zone(TimeZone::UTC), now());
    let mut engine = engine();
    let source = "log".parse().unwrap();
    let mut decisions: Vec<Decision> = Vec::new();
    let mut counts = [1, 10].map(|times| {
        let mut batch = Batch::default();
        for _ in 0..times {
            for line in &lines {
                batch.push(reader.read(line.as_bytes()).unwrap().unwrap());
            }
        }
        again(|| {
            let records = Input::Records {
                source: Some(&source),
                batch: &batch,
                more: true,
            };
            engine.handle(now(), records, &mut decisions);
        })
    });
    assert!(decisions.is_empty(), "{decisions:?}");
    counts.sort_unstable();
    assert_eq!(counts, [0, 0], "for a batch, and for one ten times as long");
}

#[test]
fn to_look_for_what_filters_do_not_know_costs_no_memory() {
    let mut lines = lines();
    let mut reader = LineReader::new(&LineForm::in_zone(TimeZone::UTC), now());
    let filters = FilterSet::compile(specs()).unwrap();
    lines.retain(|line| {
        let record = reader.read(line.as_bytes()).unwrap().unwrap();
        filters
            .findings(&View::from(record), &mut LineMemory::default())
            .is_empty()
    });
    let (mut engine, mut other) = (engine(), engine());
    engine.watch(now()).unwrap();
    let source = "log".parse().unwrap();
    let (mut decisions, mut second) = (Vec::new(), 0);
    let counts = [1, 1, 10].map(|times| {
        let mut batch = Batch::default();
        for _ in 0..times {
            for line in &lines {
                batch.push(reader.read(line.as_bytes()).unwrap().unwrap());
            }
        }
        let [count, usual] = [&mut engine, &mut other].map(|engine| {
            again(|| {
                second += 1;
                let records = Input::Records {
                    source: Some(&source),
                    batch: &batch,
                    more: true,
                };
                let now = now().after(std::time::Duration::from_secs(second));
                engine.handle(now, records, &mut decisions);
            })
        });
        decisions.clear();
        engine.tell_sightings(&mut decisions);
        let is_unknown =
            |decision: &Decision| matches!(decision, Decision::Sighted(Sighting::Unknown(_)));
        assert!(decisions.iter().any(is_unknown), "{decisions:?}");
        decisions.clear();
        (count, usual)
    });
    for (count, usual) in &counts[1..] {
        assert_eq!(count, usual, "once a wording is known");
    }
}

#[test]
fn a_batch_that_is_filled_again_costs_no_memory() {
    let lines = lines();
    let mut reader = LineReader::new(&LineForm::in_zone(TimeZone::UTC), now());
    let mut batch = Batch::default();
    let count = again(|| {
        batch.clear();
        for line in &lines {
            batch.push(reader.read(line.as_bytes()).unwrap().unwrap());
        }
    });
    assert_eq!(count, 0);
}

/// What f2bd(8) says that the memory of a jail stays under, in megabytes.
const MOST_MEGABYTES: u64 = 48;

#[test]
fn a_million_attackers_do_not_hide_the_worst_and_cost_what_is_told() {
    let home = tempfile::tempdir().unwrap();
    let path = home.path().join("f2bd.conf");
    let text = "[defaults]\nactions = []\nsources = [\"syslog\"]\nignoreself = false\nfindtime = \"1d\"\n\n\
        [source.syslog]\ntype = \"syslog\"\nlisten = [\"udp://127.0.0.1:5514\"]\n\n[jail.sshd]\n\
        network = { hosts = 10, maxretry = 100 }\n\
        distributed = { hosts = 8, grace = \"2m\" }\nescalation = {}\n";
    std::fs::write(&path, text).unwrap();
    let loaded = config::load(Some(&path), config::Surroundings::Ignore);
    let policy = loaded.settings.unwrap().policy;
    let mut engine = Engine::without_text(policy);
    let mut second = 0;
    let mut attack = |engine: &mut Engine, address: IpAddr, user: &str, out: &mut Vec<Decision>| {
        second += 1;
        let mut batch = Batch::default();
        let message = format!("Failed password for {user} from {address} port 22 ssh2");
        batch.push(Record {
            program: "sshd",
            ..Record::bare(Timestamp::from_micros(second * 10_000), message.as_bytes())
        });
        let records = Input::Records {
            source: None,
            batch: &batch,
            more: true,
        };
        engine.handle(Timestamp::from_micros(second * 10_000), records, out);
    };
    let mut out = Vec::new();
    let worst = |number: u8| IpAddr::from([10, number, 2, 1]);
    for number in 0..200 {
        for time in 0..4 {
            let user = format!("own{number}-{time}");
            attack(&mut engine, worst(number), &user, &mut out);
        }
    }
    for number in 0..7 {
        attack(
            &mut engine,
            IpAddr::from([10, number, 3, 1]),
            "root",
            &mut out,
        );
    }
    assert!(
        !out.iter()
            .any(|decision| matches!(decision, Decision::Ban(_)))
    );
    let cost = measure(|| {
        for number in 0_u32..1_000_000 {
            out.clear();
            let address = match number % 2 {
                0 => IpAddr::from(Ipv4Addr::from_bits(0x4000_0000 + number * 300)),
                _ => IpAddr::from(Ipv6Addr::from_bits(
                    0x2001 << 112 | u128::from(number) << 64,
                )),
            };
            attack(&mut engine, address, &format!("u{number}"), &mut out);
        }
    });
    out.clear();
    for number in 0..200 {
        attack(&mut engine, worst(number), "last", &mut out);
    }
    attack(&mut engine, IpAddr::from([10, 7, 3, 1]), "root", &mut out);
    let bans = out.iter().filter_map(|decision| match decision {
        Decision::Ban(ban) => ban.subject.network().map(Prefix::address),
        _ => None,
    });
    let bans: std::collections::BTreeSet<_> = bans.collect();
    let missed: Vec<_> = (0..200)
        .filter(|number| !bans.contains(&worst(*number)))
        .collect();
    assert_eq!(missed, [0_u8; 0]);
    let megabytes = cost.bytes_max / 1_000_000;
    assert!(megabytes < MOST_MEGABYTES, "{megabytes} MB");
}
