//! How fast is a whole f2bd, from the log to the kernel? Figures, no verdicts.
//!
//! Each section starts the real daemon in a world of its own: a private journald, a network namespace, a
//! database. Run it with `contrib/bench.sh`; name sections to run only those.

#![expect(
    clippy::print_stdout,
    clippy::print_stderr,
    clippy::unwrap_used,
    reason = "a benchmark prints its table and may panic"
)]
#![allow(
    dead_code,
    reason = "the tests use more of the support than the benchmarks"
)]

mod firewalls;
mod jails;
mod journal;
mod logs;
mod matching;
mod meter;
mod rivals;
mod streams;
#[path = "../support/mod.rs"]
mod support;
mod tree;

use std::fs;
use std::io::{BufRead, BufReader};
use std::net::{IpAddr, Ipv4Addr};
use std::process::{Child, Stdio};
use std::sync::mpsc::{Receiver, channel, sync_channel};
use std::time::{Duration, Instant};

use f2bd::action::{Ending, InForce, Order, worker};
use f2bd::config;
use f2bd::control::client::Client;
use f2bd::control::protocol::{PlaceRow, Reply, Request, VerdictRow};
use f2bd::daemon::memory::Memory;
use f2bd::engine::cursor::{Cursor, Stream};
use f2bd::engine::decision::{Ban, BanId, Origin};
use f2bd::engine::prefix::Prefix;
use f2bd::engine::record::{Batch, Record};
use f2bd::engine::time::{BanTime, Timestamp};
use f2bd::engine::{Decision, Engine, Input};
use f2bd::store::Store;
use support::dice;
use support::world::World;

const JAIL: &str = "maxretry = 3\nfindtime = \"1h\"\nbantime = \"1h\"\nignoreself = false";

/// A group of figures, by its name.
type Section = (&'static str, fn(&World));

fn main() {
    let words: Vec<String> = std::env::args().skip(1).collect();
    match words.split_first() {
        Some((word, rest)) if word == streams::SENDER => return streams::be_sender(rest),
        Some((word, rest)) if word == meter::METER => return meter::be_meter(rest),
        Some((word, rest)) if word == journal::SENDER => return journal::be_sender(rest),
        Some((word, rest)) if word == journal::READER => return journal::be_reader(rest),
        _ => {}
    }
    let chosen: Vec<_> = words.iter().filter(|word| !word.starts_with('-')).collect();
    let sections: [Section; 10] = [
        ("in_hand", in_hand),
        ("latency", latency),
        ("burst", burst),
        ("restore", restore),
        ("files", streams::files),
        ("syslog", streams::syslog),
        ("firewalls", firewalls::firewalls),
        ("idle", idle),
        ("matching", matching::matching),
        ("tree", tree::tree),
    ];
    println!("{:<64} {:>12}", "figure", "value");
    for (name, section) in sections {
        if chosen.is_empty() || chosen.iter().any(|word| *word == name) {
            match World::new(JAIL) {
                Some(world) => section(&world),
                None => eprintln!("{name}: no world can be made here"),
            }
        }
    }
}

/// From the deciding record in the reader's hands to the kernel's answer: the engine, a transaction on disk, the
/// worker's queue and one on netlink. The same rooms as in the daemon, without its inbox.
fn in_hand(world: &World) {
    let settings = config::load(Some(&world.config()), config::Surroundings::Ignore)
        .settings
        .expect("settings");
    let mut engine = Engine::new(settings.policy);
    let mut memory = Memory::open(world.database(), support::now()).expect("a database");
    memory.remembered(support::now(), Duration::ZERO);
    let (spec, jails) = settings.actions.into_iter().next().expect("an action");
    let (orders, received) = sync_channel(64);
    let (report, reports) = channel();
    let enter = world.netns.entrance();
    let worker = std::thread::spawn(move || {
        enter();
        worker::run(&spec, received, support::now, |told| {
            report.send(told).unwrap()
        });
    });
    orders
        .send(Order::Reconcile {
            jails,
            bans: Vec::new(),
            complete: true,
        })
        .unwrap();
    reports.recv().unwrap();
    let stream = Stream::whole("journal".parse().unwrap());
    let mut spans = Vec::new();
    let mut batch = Batch::default();
    for attempt in 0..3 * 200_u32 {
        let message = format!(
            "Failed password for root from 198.51.{}.1 port 22 ssh2",
            attempt / 3
        );
        let cursor = Cursor {
            token: format!("s={attempt}"),
            time: support::now(),
        };
        batch.clear();
        batch.push(Record {
            program: "sshd",
            ..Record::bare(support::now(), message.as_bytes())
        });
        let start = Instant::now();
        let mut decisions = Vec::new();
        let now = support::now();
        engine.handle(
            now,
            Input::Records {
                source: Some(&stream.source),
                batch: &batch,
                more: false,
            },
            &mut decisions,
        );
        memory.remember(now, &decisions, Some((&stream, &cursor)));
        let bans: Vec<InForce> = decisions.iter().filter_map(in_force).collect();
        if !bans.is_empty() {
            orders
                .send(Order::Change {
                    bans,
                    unbans: Vec::new(),
                })
                .unwrap();
            reports.recv().unwrap();
            spans.push(start.elapsed());
        }
    }
    orders.send(Order::Stop(Ending::AsConfigured)).unwrap();
    worker.join().unwrap();
    spans.sort();
    assert_eq!(spans.len(), 200);
    print(
        "record in hand to element, 200 bans: median",
        milliseconds(spans[100]),
    );
    print(
        "record in hand to element, 200 bans: 99th percentile",
        milliseconds(spans[198]),
    );
}

fn in_force(decision: &Decision) -> Option<InForce> {
    let Decision::Ban(ban) = decision else {
        return None;
    };
    Some(InForce {
        ban: ban.id,
        jail: ban.jail.clone(),
        subject: ban.subject.clone(),
        until: ban.until(),
        event: None,
    })
}

fn print(figure: &str, value: impl std::fmt::Display) {
    println!("{figure:<64} {value:>12}");
}

fn milliseconds(span: Duration) -> String {
    format!("{:.2} ms", span.as_secs_f64() * 1e3)
}

/// The kernel's own word on every new element, with the moment at which it came.
struct Monitor {
    child: Child,
    lines: Receiver<(Instant, String)>,
}

impl Monitor {
    fn start(world: &World) -> Self {
        let mut command = world.netns.command("nft");
        command
            .args(["monitor", "new", "elements"])
            .stdin(Stdio::null())
            .stdout(Stdio::piped());
        let mut child = command.spawn().expect("nft");
        let output = BufReader::new(child.stdout.take().expect("a pipe"));
        let (sender, lines) = channel();
        std::thread::spawn(move || {
            for line in output.lines().map_while(Result::ok) {
                if sender.send((Instant::now(), line)).is_err() {
                    break;
                }
            }
        });
        let monitor = Monitor { child, lines };
        // It shows nothing before it listens: bans come until one of them is seen.
        let heard = (1..200).any(|host| {
            world.attack(&format!("203.0.113.{host}"), 3);
            monitor
                .lines
                .recv_timeout(Duration::from_millis(300))
                .is_ok()
        });
        assert!(heard, "the monitor listens");
        monitor
    }

    fn sees(&self, address: &str) -> Instant {
        loop {
            let (moment, line) = self
                .lines
                .recv_timeout(support::wait::DEADLINE)
                .expect("an element");
            if line
                .split(|c: char| c.is_whitespace())
                .any(|word| word == address)
            {
                return moment;
            }
        }
    }
}

impl Drop for Monitor {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// From the deciding entry to the element, while an attack is going on.
fn latency(world: &World) {
    let daemon = world.start();
    let monitor = Monitor::start(world);
    let mut spans = Vec::new();
    for attempt in 0..200_u32 {
        let address = format!("198.51.{}.{}", 100 + attempt / 250, attempt % 250 + 1);
        world.attack(&address, 2);
        // The pace of an attack; different from the daemon's looks, so that no phase is preferred.
        std::thread::sleep(Duration::from_millis(u64::from(20 + attempt * 7 % 380)));
        let start = Instant::now();
        world.attack(&address, 1);
        spans.push(monitor.sees(&address).saturating_duration_since(start));
    }
    spans.sort();
    print(
        "journal entry to nftables element, 200 tries: median",
        milliseconds(spans[100]),
    );
    print(
        "journal entry to nftables element, 200 tries: 99th percentile",
        milliseconds(spans[198]),
    );
    print(
        "journal entry to nftables element, 200 tries: worst",
        milliseconds(spans[199]),
    );
    daemon.stop();
}

/// Two thousand attackers at once.
fn burst(world: &World) {
    let daemon = world.start();
    let monitor = Monitor::start(world);
    let address = |host: u32| Ipv4Addr::from(0xC612_0000 + host).to_string();
    for _ in 0..2 {
        for host in 0..2_000 {
            world.attack(&address(host), 1);
        }
    }
    for host in 0..2_000 {
        world.attack(&address(host), 1);
    }
    let sent = Instant::now();
    let mut missing: std::collections::HashSet<String> = (0..2_000).map(address).collect();
    let mut last = sent;
    while !missing.is_empty() {
        let (moment, line) = monitor
            .lines
            .recv_timeout(support::wait::DEADLINE)
            .expect("all elements");
        for word in line.split(|c: char| c.is_whitespace()) {
            if missing.remove(word) {
                last = last.max(moment);
            }
        }
    }
    print(
        "2,000 attackers at once: last line to last element",
        milliseconds(last - sent),
    );
    daemon.stop();
}

/// A hundred thousand bans from the database into an empty kernel.
fn restore(world: &World) {
    fs::create_dir_all(world.database().parent().expect("a parent")).expect("a directory");
    let now: Timestamp = support::now();
    let mut store = Store::open(&world.database()).expect("a database");
    let bans: Vec<Decision> = (0..100_000_u32)
        .map(|host| {
            Decision::Ban(Ban {
                id: BanId(u64::from(host) + 1),
                jail: "sshd".parse().expect("a name"),
                subject: Prefix::host(IpAddr::V4(Ipv4Addr::from(0x0B00_0000 + host))).into(),
                start: now,
                bantime: BanTime::For(Duration::from_secs(86_400)),
                offence: 1,
                origin: Origin::Failures,
                evidence: Vec::new(),
            })
        })
        .collect();
    store.commit(now, &bans, None).expect("a commit");
    drop(store);
    let start = Instant::now();
    let daemon = world.start();
    print(
        "100,000 bans into an empty kernel: start to ready",
        milliseconds(start.elapsed()),
    );
    let elements = String::from_utf8_lossy(&world.nft(&["list", "ruleset"]).stdout)
        .matches("expires")
        .count();
    print("    elements in the kernel then", elements);
    // The reader looks often while records flow, as in any attack; a first record wakes it.
    world.attack("203.0.113.254", 2);
    support::wait::until("two failures are known", || {
        (world.json(&["status"])[0]["jails"][0]["failing"] == 2).then_some(())
    });
    let start = Instant::now();
    world.attack("203.0.113.254", 1);
    let seen = confirmed(world, "203.0.113.254");
    print(
        "    a new attacker then: entry to confirmed element",
        milliseconds(seen - start),
    );
    daemon.kill();
    let start = Instant::now();
    let daemon = world.start_unready();
    world.attack("203.0.113.253", 3);
    let seen = confirmed(world, "203.0.113.253");
    print(
        "    a new attacker during a restart: start to confirmed element",
        milliseconds(seen - start),
    );
    memory("    with 100,000 bans", &daemon);
    daemon.stop();
}

/// When the daemon says that the kernel has confirmed the ban. Programs of nftables would first list all elements,
/// which takes seconds.
fn confirmed(world: &World, address: &str) -> Instant {
    let subject: Prefix = address.parse().expect("an address");
    support::wait::until("the ban is in effect", || {
        let reply = Client::ask(
            &world.socket(),
            Request::Explain {
                subject: subject.plain(),
            },
        )
        .ok()?;
        let Reply::Explanation(explanation) = reply else {
            return None;
        };
        let is_confirmed = |verdict: &VerdictRow| matches!(&verdict.place, PlaceRow::Banned { ban } if ban.in_effect);
        explanation
            .verdicts
            .iter()
            .any(is_confirmed)
            .then(Instant::now)
    })
}

/// One jail and nothing to do.
fn idle(world: &World) {
    let mut ready = Vec::new();
    for _ in 0..10 {
        let daemon = world.start();
        ready.push(daemon.ready_after);
        daemon.stop();
    }
    ready.sort();
    print(
        "start to ready with one jail, 10 tries: median",
        milliseconds(ready[5]),
    );
    let daemon = world.start();
    world.attack("203.0.113.254", 3);
    support::wait::until("the ban", || {
        world.kernel_bans("203.0.113.254").then_some(())
    });
    // The reader looks often for a while after records; idle begins later.
    std::thread::sleep(Duration::from_secs(40));
    let before = cpu(&daemon);
    std::thread::sleep(Duration::from_secs(20));
    print(
        "idle: CPU time in 20 s",
        milliseconds(cpu(&daemon) - before),
    );
    memory("idle", &daemon);
    daemon.stop();
}

fn memory(what: &str, daemon: &support::world::Daemon) {
    let status = fs::read_to_string(format!("/proc/{}/status", daemon.pid())).expect("a process");
    let field = |name: &str| {
        let line = status
            .lines()
            .find(|line| line.starts_with(name))
            .unwrap_or_default();
        let kilobytes: f64 = line
            .split_whitespace()
            .nth(1)
            .and_then(|n| n.parse().ok())
            .unwrap_or(0.0);
        kilobytes / 1024.0
    };
    print(
        &format!("{what}: anonymous memory"),
        format!("{:.1} MB", field("RssAnon")),
    );
    let journal = mapped_journal(daemon.pid());
    print(
        &format!("{what}: resident memory without mapped journal pages"),
        format!("{:.1} MB", field("VmRSS") - journal),
    );
}

/// Resident megabytes of mapped journal files.
fn mapped_journal(pid: u32) -> f64 {
    let maps = fs::read_to_string(format!("/proc/{pid}/smaps")).expect("a process");
    let mut journal = false;
    let mut kilobytes = 0.0;
    for line in maps.lines() {
        if line
            .split_whitespace()
            .next()
            .is_some_and(|word| word.contains('-') && !word.ends_with(':'))
        {
            journal = line.ends_with(".journal");
        } else if let Some(rest) = line.strip_prefix("Rss:").filter(|_| journal) {
            kilobytes += rest
                .trim()
                .trim_end_matches(" kB")
                .parse::<f64>()
                .unwrap_or(0.0);
        }
    }
    kilobytes / 1024.0
}

/// How long all threads together have run so far. Clock ticks would be too coarse for what wakes up and sleeps again.
fn cpu(daemon: &support::world::Daemon) -> Duration {
    let tasks = fs::read_dir(format!("/proc/{}/task", daemon.pid())).expect("a process");
    let run = |task: fs::DirEntry| -> Option<u64> {
        let told = fs::read_to_string(task.path().join("schedstat")).ok()?;
        told.split_whitespace().next()?.parse().ok()
    };
    Duration::from_nanos(tasks.flatten().filter_map(run).sum())
}
