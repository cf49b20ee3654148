//! Facts about `syslog`, shown from outside, on real sockets.

mod activation;
mod changes;
mod connections;
mod daemons;
mod datagrams;
pub mod local;
mod places;
pub mod tls;
mod told;

use std::net::{IpAddr, SocketAddr, TcpListener, UdpSocket};
use std::ops::ControlFlow;
use std::sync::mpsc::{self, Receiver};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use f2bd::engine::record::line::LineForm;
use f2bd::engine::time::Timestamp;
use f2bd::source::syslog::{SyslogSpec, run};
use f2bd::source::{Delivery, Losses, Trouble};
use tokio::sync::watch;

use crate::support::wait::{DEADLINE, until};

/// A listener on a thread of its own, as the daemon runs it. Like the daemon it takes one delivery at a
/// time: the listener is blocked while nobody asks.
struct Listening {
    wanted: watch::Sender<SyslogSpec>,
    stop: watch::Sender<bool>,
    deliveries: Receiver<Delivery>,
    thread: JoinHandle<()>,
    /// What was lost so far.
    losses: Losses,
}

/// An owned record.
#[derive(Clone, Debug, PartialEq)]
struct Heard {
    time: Timestamp,
    host: String,
    program: String,
    pid: Option<u32>,
    message: Vec<u8>,
}

impl Heard {
    fn message(&self) -> String {
        String::from_utf8(self.message.clone()).unwrap()
    }
}

impl Listening {
    /// Listens on these addresses, for senders of this machine.
    fn on(addresses: &[&str]) -> Self {
        Self::start(spec(addresses))
    }

    fn start(spec: SyslogSpec) -> Self {
        Self::start_as(spec, || ())
    }

    fn start_as(spec: SyslogSpec, prepare: impl FnOnce() + Send + 'static) -> Self {
        let (wanted, mut changes) = watch::channel(spec.clone());
        let (stop, stopped) = watch::channel(false);
        let (sender, deliveries) = mpsc::sync_channel(0);
        let thread = std::thread::spawn(move || {
            prepare();
            let deliver = |delivery| match sender.send(delivery) {
                Ok(()) => ControlFlow::Continue(()),
                Err(_) => ControlFlow::Break(()),
            };
            let changed = async || match changes.changed().await {
                Ok(()) => changes.borrow_and_update().clone(),
                Err(_) => std::future::pending().await,
            };
            run(spec, changed, deliver, stopped).unwrap();
        });
        let mut listening = Listening {
            wanted,
            stop,
            deliveries,
            thread,
            losses: Losses::default(),
        };
        // First of all it says that nothing of the past is to be waited for.
        assert_eq!(listening.some(), []);
        listening
    }

    fn next(&self) -> Delivery {
        self.deliveries.recv_timeout(DEADLINE).expect("a delivery")
    }

    /// The records of the next delivery; there may be none if it tells of losses.
    fn some(&mut self) -> Vec<Heard> {
        self.some_within(DEADLINE).expect("a delivery")
    }

    /// The same, if it comes in time.
    fn some_within(&mut self, span: Duration) -> Option<Vec<Heard>> {
        let records = match self.deliveries.recv_timeout(span).ok()? {
            Delivery::Records {
                stream,
                batch,
                cursor,
                losses,
                more,
            } => {
                assert!(!more, "nobody knows what is still on its way");
                assert_eq!((stream.source.as_str(), &*stream.part), ("syslog", ""));
                assert_eq!(cursor, None, "what a socket gave cannot be had again");
                self.losses += losses;
                let own = |record: f2bd::engine::record::Record<'_>| Heard {
                    time: record.time,
                    host: record.host.to_owned(),
                    program: record.program.to_owned(),
                    pid: record.pid,
                    message: record.message.to_vec(),
                };
                batch.iter().map(own).collect()
            }
            Delivery::Trouble(trouble) => panic!("expected records, not {trouble:?}"),
        };
        Some(records)
    }

    fn records(&mut self, count: usize) -> Vec<Heard> {
        let mut records = Vec::new();
        while records.len() < count {
            records.extend(self.some());
        }
        assert_eq!(records.len(), count, "too many: {records:?}");
        records
    }

    fn messages(&mut self, count: usize) -> Vec<String> {
        self.records(count).iter().map(Heard::message).collect()
    }

    fn one(&mut self) -> Heard {
        self.records(1).remove(0)
    }

    /// Waits until so much was lost in all; no record may come meanwhile.
    fn must_lose(&mut self, losses: Losses) {
        while self.losses != losses {
            assert_eq!(self.some(), [], "only losses are expected");
            let Losses {
                cut,
                dropped,
                refused,
                malformed,
            } = self.losses;
            let enough = cut <= losses.cut
                && dropped <= losses.dropped
                && refused <= losses.refused
                && malformed <= losses.malformed;
            assert!(enough, "{:?}, not {losses:?}", self.losses);
        }
    }

    fn trouble(&self) -> Trouble {
        match self.next() {
            Delivery::Trouble(trouble) => trouble,
            other => panic!("expected trouble, not {other:?}"),
        }
    }

    /// Ends the listener; answers how long that took.
    fn end(self) -> Duration {
        let start = Instant::now();
        self.stop.send(true).ok();
        drop(self.deliveries);
        self.thread.join().unwrap();
        start.elapsed()
    }
}

fn spec(addresses: &[&str]) -> SyslogSpec {
    SyslogSpec {
        name: "syslog".parse().unwrap(),
        listen: addresses
            .iter()
            .map(|address| address.parse().unwrap())
            .collect(),
        allow: Vec::new(),
        tls: None,
        form: LineForm::in_zone(jiff::tz::TimeZone::UTC),
    }
}

/// Losses of which only those that are refused are known.
fn refused(refused: u64) -> Losses {
    Losses {
        refused,
        ..Losses::default()
    }
}

/// An address of this machine at which nobody listens.
fn free(ip: &str) -> SocketAddr {
    let ip: IpAddr = ip.parse().unwrap();
    // Free for both kinds; the listener comes a moment later, and the kernel hands out each in turn.
    until("a free port", || {
        let address = TcpListener::bind((ip, 0)).ok()?.local_addr().ok()?;
        UdpSocket::bind(address).ok().map(|_| address)
    })
}

/// Waits until something listens at a TCP address.
fn connect(address: SocketAddr) -> std::net::TcpStream {
    until("the listener takes connections", || {
        std::net::TcpStream::connect(address).ok()
    })
}

/// Sends one message as soon as somebody listens.
pub fn send_to_listener(from: &UdpSocket, address: SocketAddr, message: &[u8]) {
    from.connect(address).unwrap();
    let port = format!(":{:04X}", address.port());
    until("the listener takes datagrams", || {
        let tables = ["udp", "udp6"].map(|table| {
            std::fs::read_to_string(format!("/proc/thread-self/net/{table}")).unwrap()
        });
        let mut lines = tables.iter().flat_map(|table| table.lines());
        let listens = |line: &str| {
            // Nobody is at the other end of a listener; somebody's sender may have the same port elsewhere.
            let mut words = line.split_whitespace().skip(1);
            let (own, other) = (words.next(), words.next());
            own.is_some_and(|own| own.ends_with(&port))
                && other.is_some_and(|other| other.ends_with(":0000"))
        };
        lines.any(listens).then_some(())
    });
    from.send(message).unwrap();
}

#[test]
fn it_stops_at_once_whatever_it_does() {
    let home = tempfile::tempdir().unwrap();
    let (udp, tcp) = (free("127.0.0.1"), free("127.0.0.1"));
    let path = home.path().join("socket");
    let addresses = [
        format!("udp://{udp}"),
        format!("tcp://{tcp}"),
        format!("unix://{}", path.display()),
    ];
    let addresses: Vec<&str> = addresses.iter().map(String::as_str).collect();
    for drop_the_sender in [false, true] {
        let listening = Listening::on(&addresses);
        let mut half = connect(tcp);
        std::io::Write::write_all(&mut half, b"<13>half a mess").unwrap();
        until("the socket is there", || path.exists().then_some(()));
        let start = Instant::now();
        if drop_the_sender {
            drop(listening.stop);
        } else {
            listening.stop.send(true).unwrap();
        }
        listening.thread.join().unwrap();
        let took = start.elapsed();
        assert!(took < Duration::from_millis(500), "stopped after {took:?}");
        assert!(!path.exists(), "the socket goes with its listener");
        // What it was bound to is free again.
        UdpSocket::bind(udp).unwrap();
    }
}

#[test]
fn an_address_that_is_taken_is_told_once_and_listened_on_when_it_is_free() {
    let (taken, free_one) = (free("127.0.0.1"), free("127.0.0.1"));
    let holder = UdpSocket::bind(taken).unwrap();
    let mut listening = Listening::on(&[&format!("udp://{taken}"), &format!("udp://{free_one}")]);
    let Trouble::Unreadable { source, reason } = listening.trouble() else {
        panic!("an address that is taken is trouble");
    };
    assert_eq!(source.as_str(), "syslog");
    assert!(reason.starts_with(&format!("udp://{taken}: ")), "{reason}");
    assert!(reason.contains("stop what listens there"), "{reason}");
    // The other one goes on.
    let sender = UdpSocket::bind("127.0.0.1:0").unwrap();
    send_to_listener(&sender, free_one, b"<13>first");
    assert_eq!(listening.one().message(), "first");
    drop(holder);
    assert!(matches!(listening.trouble(), Trouble::Recovered { .. }));
    send_to_listener(&sender, taken, b"<13>second");
    assert_eq!(listening.one().message(), "second");
    assert_eq!(listening.losses, Losses::default());
    listening.end();
}
