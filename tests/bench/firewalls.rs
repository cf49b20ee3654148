//! How fast do actions put bans into effect? Each beside the program that administrators would use by hand, in the same
//! run: 100,000 bans at once, and bans one by one.

use std::fmt::Write as _;
use std::io::Write as _;
use std::net::Ipv4Addr;
use std::path::Path;
use std::process::Stdio;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use f2bd::action::file::ActionFile;
use f2bd::action::ports::{PortRange, Ports, Protocol};
use f2bd::action::{ActionJail, Ending, InForce, Order, Report, worker};
use f2bd::engine::decision::BanId;
use f2bd::engine::input::Outcome;
use f2bd::engine::prefix::{Prefix, SubjectWidth};

use super::support::netns::Netns;
use super::support::{self, world::World};
use super::{milliseconds, print};

/// How many bans come at once.
const MANY: u32 = 100_000;

/// How many come one by one, each after the one before is in effect.
const SINGLE: u32 = 1_000;

/// How many as fast as they can be told.
const STREAM: u32 = 10_000;

/// And how many at a steady rate, none waiting for the one before.
const STEADY: u32 = 5_000;

/// That rate, in bans a second.
const RATE: u32 = 1_000;

/// All figures, each action in a network of its own.
pub fn firewalls(_: &World) {
    let nft = "add table inet t\nadd set inet t s { type ipv4_addr; flags timeout; }\n";
    for (name, program, begin, each) in [
        (
            "nftables",
            vec!["nft", "-f", "-"],
            nft,
            "add element inet t s { <> timeout 1d }",
        ),
        (
            "ipset",
            vec!["ipset", "restore"],
            "create s hash:ip timeout 0 maxelem 1048576\n",
            "add s <> timeout 86400",
        ),
    ] {
        let Some(inside) = Netns::new() else {
            return eprintln!("{name}: no network can be made here");
        };
        let mut by_hand = begin.to_owned();
        for host in 0..MANY {
            // Writing into a text does not fail.
            let _ = writeln!(
                by_hand,
                "{}",
                each.replace("<>", &address(host).to_string())
            );
        }
        let hand = time(|| feed(&inside, &program, &by_hand));
        let Some(inside) = Netns::new() else {
            return eprintln!("{name}: no network can be made here");
        };
        let action = Action::start(&inside, name);
        action.reconcile(0);
        let own = time(|| action.reconcile(MANY));
        print(&format!("{name}: 100,000 bans at once"), milliseconds(own));
        print("    by hand, in one go", milliseconds(hand));
        print("    times as fast", ratio(hand, own));
        let again = time(|| action.reconcile(MANY));
        print(
            "    once more, over those that are there",
            milliseconds(again),
        );
        let mut spans: Vec<Duration> = (0..SINGLE)
            .map(|host| time(|| action.ban(MANY + host)))
            .collect();
        spans.sort();
        let per_second = f64::from(SINGLE) / spans.iter().sum::<Duration>().as_secs_f64();
        print(
            "    one ban more, order to report: median",
            milliseconds(spans[spans.len() / 2]),
        );
        print(
            "        99 of 100 within",
            milliseconds(spans[spans.len() * 99 / 100]),
        );
        print(
            "        one after the other, a second",
            format!("{per_second:.0}"),
        );
        let stream = time(|| action.stream(MANY + SINGLE));
        let per_second = f64::from(STREAM) / stream.as_secs_f64();
        print(
            "    as fast as they are told, a second",
            format!("{per_second:.0}"),
        );
        let mut spans = action.steady(MANY + SINGLE + STREAM);
        spans.sort();
        print(
            "    1,000 told a second, one by one: order to report, median",
            milliseconds(spans[spans.len() / 2]),
        );
        print(
            "        99 of 100 within",
            milliseconds(spans[spans.len() * 99 / 100]),
        );
        let begin = &by_hand[..begin.len()];
        let one = format!("{}\n", each.replace("<>", "203.0.113.1"));
        feed(&inside, &program, begin);
        let hand = time(|| feed(&inside, &program, &one));
        print("    one by hand", milliseconds(hand));
        print(
            "    times as fast, by the median",
            ratio(hand, spans[spans.len() / 2]),
        );
        action.stop();
    }
}

fn ratio(one: Duration, other: Duration) -> String {
    format!("{:.2}", one.as_secs_f64() / other.as_secs_f64())
}

fn time(run: impl FnOnce()) -> Duration {
    let start = Instant::now();
    run();
    start.elapsed()
}

fn address(host: u32) -> Ipv4Addr {
    Ipv4Addr::from(0x0B00_0000 + host)
}

/// Has a program read a text.
fn feed(inside: &Netns, words: &[&str], text: &str) {
    let mut child = inside
        .command(words[0])
        .args(&words[1..])
        .stdin(Stdio::piped())
        .spawn()
        .unwrap();
    child
        .stdin
        .take()
        .unwrap()
        .write_all(text.as_bytes())
        .unwrap();
    assert!(child.wait().unwrap().success(), "{words:?}");
}

/// An action on a thread inside a network, as the daemon runs it.
struct Action {
    orders: Sender<Order>,
    reports: Receiver<Report>,
    thread: JoinHandle<()>,
}

impl Action {
    fn start(inside: &Netns, name: &str) -> Action {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("actions/{name}.toml"));
        let file = ActionFile::parse(&std::fs::read_to_string(path).unwrap()).unwrap();
        let spec = file
            .spec(name.parse().unwrap(), &Default::default())
            .unwrap();
        let (orders, received) = channel();
        let (report, reports) = channel();
        let enter = inside.entrance();
        let thread = thread::spawn(move || {
            enter();
            worker::run(&spec, received, support::now, move |told| {
                // The bench may have seen enough.
                let _ = report.send(told);
            });
        });
        Action {
            orders,
            reports,
            thread,
        }
    }

    fn outcome(&self) -> Outcome {
        loop {
            match self.reports.recv_timeout(Duration::from_secs(60)).unwrap() {
                Report::Outcome(outcome) => return outcome,
                Report::Trouble(reason) => panic!("{reason}"),
                Report::ForeignChange | Report::Works | Report::Complaint(_) => {}
            }
        }
    }

    /// Has it begin anew, with so many bans.
    fn reconcile(&self, count: u32) {
        let ssh = PortRange {
            first: 22,
            last: 22,
        };
        let jail = ActionJail {
            jail: "sshd".parse().unwrap(),
            label: "sshd".parse().unwrap(),
            ports: Ports::Some(vec![ssh]),
            protocols: vec![Protocol::Tcp],
            width: SubjectWidth::DEFAULT,
        };
        let order = Order::Reconcile {
            jails: vec![jail],
            bans: (0..count).map(ban).collect(),
            complete: true,
        };
        self.orders.send(order).unwrap();
        assert!(matches!(self.outcome(), Outcome::Reconciled { .. }));
    }

    fn order(&self, host: u32) {
        let (bans, unbans) = (vec![ban(host)], Vec::new());
        self.orders.send(Order::Change { bans, unbans }).unwrap();
    }

    fn ban(&self, host: u32) {
        self.order(host);
        assert!(matches!(self.outcome(), Outcome::Applied { .. }));
    }

    /// Tells of bans one by one, and waits for none of them before the last.
    fn stream(&self, first: u32) {
        for host in first..first + STREAM {
            self.order(host);
        }
        let mut applied = 0;
        while applied < STREAM as usize {
            match self.outcome() {
                Outcome::Applied { bans, .. } => applied += bans.len(),
                other => panic!("{other:?}"),
            }
        }
    }

    /// Tells of bans one by one at a steady rate: how long it took from each order to its report.
    fn steady(&self, first: u32) -> Vec<Duration> {
        let due = |turn: u32| Duration::from_secs(1) * turn / RATE;
        let start = Instant::now();
        let mut spans = Vec::new();
        let mut told = 0;
        while spans.len() < STEADY as usize {
            while told < STEADY && due(told) <= start.elapsed() {
                self.order(first + told);
                told += 1;
            }
            let wait = match told {
                STEADY => Duration::from_secs(60),
                _ => due(told).saturating_sub(start.elapsed()),
            };
            let Ok(report) = self.reports.recv_timeout(wait) else {
                assert!(told < STEADY, "all bans are reported");
                continue;
            };
            if let Report::Outcome(Outcome::Applied { bans, .. }) = report {
                let ordered = |ban: &BanId| due(u32::try_from(ban.0 - 1).unwrap() - first);
                spans.extend(bans.iter().map(|ban| start.elapsed() - ordered(ban)));
            }
        }
        spans
    }

    fn stop(self) {
        self.orders.send(Order::Stop(Ending::Remove)).unwrap();
        self.thread.join().unwrap();
    }
}

fn ban(host: u32) -> InForce {
    InForce {
        ban: BanId(u64::from(host) + 1),
        jail: "sshd".parse().unwrap(),
        subject: Prefix::host(address(host).into()).into(),
        until: Some(support::now().after(Duration::from_secs(86_400))),
        event: None,
    }
}
