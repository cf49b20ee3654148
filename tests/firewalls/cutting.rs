//! What cuts open connections of whoever is banned.

use std::collections::BTreeSet;
use std::io::{ErrorKind, Read};
use std::net::TcpStream;
use std::time::Duration;

use f2bd::action::Order;
use f2bd::action::event::{Event, Occasion};
use f2bd::engine::subject::{Name, Subject};
use f2bd::engine::time::BanTime;

use super::*;
use crate::support::now;
use crate::support::wait::uninterrupted;

/// That somebody is banned.
fn banned(subject: Subject) -> Order {
    Order::Tell(vec![Event {
        occasion: Occasion::Ban,
        time: now(),
        jail: None,
        subject: Some(subject),
        bantime: Some(BanTime::Forever),
        until: None,
        offence: 1,
        failures: 5,
        sentence: "ban".to_owned(),
        lines: Vec::new(),
        users: BTreeSet::new(),
        whereabouts: None,
        captures: Default::default(),
        history: Vec::new(),
        restored: false,
    }])
}

/// A name is nothing that could be cut off, and keeps nobody else waiting.
fn a_name() -> Order {
    banned(Subject::from(Name::of("root").unwrap()))
}

fn is_open(mut stream: &TcpStream) -> bool {
    stream
        .set_read_timeout(Some(Duration::from_millis(1)))
        .unwrap();
    let read = uninterrupted(|| stream.read(&mut [0]));
    matches!(read, Err(error) if error.kind() == ErrorKind::WouldBlock)
}

#[test]
fn sockets_are_closed() {
    let Some(place) = Place::new() else {
        return;
    };
    let (attackers, server) = (&place.attackers, &place.server);
    place.must_reach("2001:db8:0:7::7", SSH6);
    let connect = |from: &str, address: &str| attackers.connect(from, to(address)).unwrap();
    let victims = [
        connect("192.0.2.7", SSH),
        connect("192.0.2.7", WEB),
        connect("2001:db8:0:7::7", SSH6),
    ];
    let others = [connect("192.0.2.8", SSH), connect("2001:db8:0:8::8", SSH6)];
    let guard = Guard::start(server, action("ss-kill", &[("every", "0s")]));
    guard.orders.send(a_name()).unwrap();
    for subject in ["192.0.2.7", "2001:db8:0:7::/64"] {
        guard.orders.send(banned(subject.parse().unwrap())).unwrap();
    }
    until("the connections are closed", || {
        (!victims.iter().any(is_open)).then_some(())
    });
    assert!(others.iter().all(is_open));
    guard.stop(Ending::AsConfigured);
}

#[test]
fn connections_are_forgotten() {
    if !has(&["conntrack"]) {
        return;
    }
    let Some(place) = Place::new() else {
        return;
    };
    let (attackers, server) = (&place.attackers, &place.server);
    // A firewall that lets whoever is known go on, and takes nobody for known who is in the middle.
    said(
        server,
        "for tables in iptables ip6tables; do
            $tables -A INPUT -m conntrack --ctstate ESTABLISHED -j ACCEPT
            $tables -A INPUT -m conntrack --ctstate INVALID -j DROP
         done
         echo 0 >/proc/sys/net/netfilter/nf_conntrack_tcp_loose",
    );
    // A first packet can be lost while a neighbour is still unknown.
    let connect = |from: &str, address: &str| {
        until("somebody connects", || {
            attackers.connect(from, to(address)).ok()
        })
    };
    let _open = [
        connect("192.0.2.7", SSH),
        connect("192.0.2.8", SSH),
        connect("2001:db8:0:7::7", SSH6),
        connect("2001:db8:0:8::8", SSH6),
    ];
    let known = |from: &str| {
        let list = format!(
            "{{ conntrack -L; conntrack -f ipv6 -L; }} 2>/dev/null | grep -c 'ESTAB.*src={from} '"
        );
        shell(server, &list).status.success()
    };
    let everybody = [
        "192.0.2.7",
        "192.0.2.8",
        "2001:db8:0:7::7",
        "2001:db8:0:8::8",
    ];
    assert!(everybody.iter().all(|from| known(from)));
    let guard = Guard::start(server, action("conntrack", &[("every", "0s")]));
    guard.orders.send(a_name()).unwrap();
    // Of one there is nothing to forget.
    for subject in ["198.51.100.1", "192.0.2.7", "2001:db8:0:7::/64"] {
        guard.orders.send(banned(subject.parse().unwrap())).unwrap();
    }
    until("the connections are forgotten", || {
        (!known("192.0.2.7") && !known("2001:db8:0:7::7")).then_some(())
    });
    assert!(known("192.0.2.8") && known("2001:db8:0:8::8"));
    guard.stop(Ending::AsConfigured);
}
