//! Messages over UDP.

use std::sync::atomic::{AtomicBool, Ordering};

use super::*;
use crate::support::netns::Cable;
use crate::support::now;

#[test]
fn a_datagram_is_a_record_at_once() {
    let address = free("127.0.0.1");
    let mut listening = Listening::on(&[&format!("udp://{address}")]);
    let sender = UdpSocket::bind("127.0.0.1:0").unwrap();
    let before = now();
    send_to_listener(&sender, address, b"<13>no header");
    let record = listening.one();
    assert_eq!(
        (record.host.as_str(), record.program.as_str(), record.pid),
        ("127.0.0.1", "", None)
    );
    assert!(before <= record.time && record.time <= now());
    sender
        .send(b"<38>2026-02-12T14:10:21Z box sshd[42]: Failed x\n")
        .unwrap();
    let record = listening.one();
    assert_eq!(record.time, "2026-02-12T14:10:21Z".parse().unwrap());
    assert_eq!(
        (record.host.as_str(), record.program.as_str(), record.pid),
        ("box", "sshd", Some(42))
    );
    assert_eq!(record.message(), "Failed x");
    // One datagram is one record, whatever is in it.
    sender.send(b"<13>one\n<13>two\xff\0three").unwrap();
    assert_eq!(listening.one().message, b"one\n<13>two\xff\0three");
    listening.end();
}

#[test]
fn the_longest_datagram_is_whole() {
    let address = free("127.0.0.1");
    let mut listening = Listening::on(&[&format!("udp://{address}")]);
    let sender = UdpSocket::bind("127.0.0.1:0").unwrap();
    // As many bytes as IPv4 has room for.
    let long = "x".repeat(65_507 - "<13>".len());
    send_to_listener(&sender, address, format!("<13>{long}").as_bytes());
    assert_eq!(listening.one().message(), long);
    assert_eq!(listening.losses, Losses::default());
    listening.end();
}

#[test]
fn only_allowed_senders_are_heard() {
    let address = free("0.0.0.0");
    let mut spec = spec(&[&format!("udp://{address}")]);
    spec.allow = vec!["127.0.0.2/31".parse().unwrap()];
    let mut listening = Listening::start(spec);
    let to = SocketAddr::new("127.0.0.1".parse().unwrap(), address.port());
    let stranger = UdpSocket::bind("127.0.0.1:0").unwrap();
    let friend = UdpSocket::bind("127.0.0.3:0").unwrap();
    for _ in 0..3 {
        send_to_listener(
            &stranger,
            to,
            b"<38>Feb 12 14:10:21 127.0.0.2 sshd[1]: forged",
        );
    }
    listening.must_lose(refused(3));
    send_to_listener(&friend, to, b"<13>friend");
    let record = listening.one();
    assert_eq!(
        (record.host.as_str(), record.message().as_str()),
        ("127.0.0.3", "friend")
    );
    assert_eq!(listening.losses, refused(3));
    listening.end();
}

#[test]
fn nobody_but_this_machine_is_heard_unless_somebody_is_allowed() {
    let Some(cable) = Cable::new() else {
        return;
    };
    for (allow, heard) in [
        (&[][..], false),
        (&["192.0.2.7/32", "2001:db8:0:7::/64"], true),
    ] {
        let mut spec = spec(&["udp://[::]:5514"]);
        spec.allow = allow
            .iter()
            .map(|network| network.parse().unwrap())
            .collect();
        let mut listening = Listening::start_as(spec, cable.server.entrance());
        let inside = cable.server.datagrams("[::1]:0".parse().unwrap());
        cable.server.inside(|| {
            send_to_listener(&inside, "[::1]:5514".parse().unwrap(), b"<13>inside");
        });
        if heard {
            listening.must_lose(refused(1));
        } else {
            assert_eq!(listening.one().host, "::1");
        }
        let own_refused = listening.losses.refused;
        for (from, to) in [
            ("192.0.2.7:0", "192.0.2.1:5514"),
            ("[2001:db8:0:7::7]:0", "[2001:db8::1]:5514"),
        ] {
            let from = cable.attackers.datagrams(from.parse().unwrap());
            let to: SocketAddr = to.parse().unwrap();
            from.send_to(b"<13>outside", to).unwrap();
            if heard {
                assert_eq!(
                    listening.one().host,
                    from.local_addr().unwrap().ip().to_string()
                );
            }
        }
        listening.must_lose(refused(own_refused + if heard { 0 } else { 2 }));
        listening.end();
    }
}

/// How many the queue surely cannot hold.
const FLOOD: u64 = 300_000;

#[test]
fn what_the_kernel_drops_is_counted_to_the_last_one() {
    let address = free("127.0.0.1");
    let mut listening = Listening::on(&[&format!("udp://{address}")]);
    let sender = UdpSocket::bind("127.0.0.1:0").unwrap();
    send_to_listener(&sender, address, b"<13>first");
    assert_eq!(listening.one().message(), "first");
    // Nobody takes deliveries now, as when the driver waits for a disk.
    for _ in 0..FLOOD {
        sender.send(b"<13>a flood").unwrap();
    }
    let (mut sent, mut heard) = (1 + FLOOD, 1);
    // The kernel tells its count with the next message that finds room.
    until("a message after the flood is heard", || {
        let last = format!("last {sent}");
        sender.send(format!("<13>{last}").as_bytes()).unwrap();
        sent += 1;
        while let Some(records) = listening.some_within(Duration::from_millis(200)) {
            heard += records.len() as u64;
            let is_last = |record: &Heard| record.message == last.as_bytes();
            if records.last().is_some_and(is_last) {
                return Some(());
            }
        }
        None
    });
    let dropped = listening.losses.dropped;
    assert!(dropped > 0, "the queue held {FLOOD} messages");
    assert_eq!(heard + dropped, sent);
    // From here on nothing is lost.
    for number in 0..1_000 {
        sender.send(format!("<13>{number}").as_bytes()).unwrap();
    }
    let expected: Vec<String> = (0..1_000).map(|number| number.to_string()).collect();
    assert_eq!(listening.messages(1_000), expected);
    assert_eq!(listening.losses.dropped, dropped);
    listening.end();
}

#[test]
fn a_flood_that_is_refused_hinders_nobody() {
    let (flooded, quiet) = (free("0.0.0.0"), free("127.0.0.1"));
    let mut spec = spec(&[&format!("udp://{flooded}"), &format!("udp://{quiet}")]);
    spec.allow = vec!["127.0.0.2/32".parse().unwrap()];
    let mut listening = Listening::start(spec);
    let to = SocketAddr::new("127.0.0.1".parse().unwrap(), flooded.port());
    let enough = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let stranger = UdpSocket::bind("127.0.0.1:0").unwrap();
            send_to_listener(&stranger, to, b"<13>first");
            let start = Instant::now();
            while !enough.load(Ordering::Relaxed) && start.elapsed() < DEADLINE {
                // It is refused by the kernel once the listener has ended.
                let _ = stranger.send(b"<13>a flood");
            }
        });
        listening.some();
        let friend = UdpSocket::bind("127.0.0.2:0").unwrap();
        send_to_listener(&friend, quiet, b"<13>friend");
        while listening.some().is_empty() {}
        let took = listening.end();
        enough.store(true, Ordering::Relaxed);
        assert!(took < Duration::from_millis(500), "stopped after {took:?}");
    });
}
