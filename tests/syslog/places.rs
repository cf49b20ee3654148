//! Too many connections.

use std::io::{Read, Write};
use std::net::TcpStream;

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use super::tls::Authority;
use super::*;
use crate::support::netns::Cable;

/// What all together may have, and one sender.
const ALL: usize = 512;
const OF_ONE: usize = 32;

/// Both ends of all connections are in this process.
fn want_descriptors() {
    let limit = getrlimit(Resource::Nofile);
    let all = Rlimit {
        current: limit.maximum,
        ..limit
    };
    setrlimit(Resource::Nofile, all).unwrap();
}

/// The senders of as many connections as there may be: as few as can have them.
fn crowd() -> impl Iterator<Item = String> {
    let senders = (0..ALL / OF_ONE).map(|number| format!("127.0.1.{number}"));
    senders.flat_map(|ip| std::iter::repeat_n(ip, OF_ONE))
}

fn is_open(stream: &TcpStream) -> bool {
    stream.set_nonblocking(true).unwrap();
    let mut stream = stream;
    let read = stream.read(&mut [0]);
    read.is_err_and(|error| error.kind() == std::io::ErrorKind::WouldBlock)
}

#[test]
fn the_longest_silent_of_the_largest_crowd_gives_way() {
    want_descriptors();
    let address = free("127.0.0.1");
    let mut listening = Listening::on(&[&format!("tcp://{address}")]);
    let mut talk = |stream: &mut TcpStream| {
        stream.write_all(b"<13>crowd\n").unwrap();
        assert_eq!(listening.one().message(), "crowd");
    };
    // The first sender has one connection less than the others.
    let each = crowd().skip(1).map(|ip| {
        let mut stream = connections::connect_from(&ip, address);
        talk(&mut stream);
        stream
    });
    let mut crowd: Vec<_> = each.collect();
    // The second one's first has just talked.
    talk(&mut crowd[OF_ONE - 1]);
    for name in ["one", "two"] {
        let mut stream = connections::connect_from("127.0.0.2", address);
        stream
            .write_all(format!("<13>{name}\n").as_bytes())
            .unwrap();
        crowd.push(stream);
    }
    let mut heard = Vec::new();
    while heard.len() < 2 {
        heard.extend(listening.some().iter().map(Heard::message));
    }
    assert_eq!(heard, ["one", "two"]);
    listening.must_lose(refused(1));
    until("one is closed", || {
        (crowd.iter().filter(|stream| !is_open(stream)).count() == 1).then_some(())
    });
    assert!(!is_open(&crowd[OF_ONE]), "the longest silent one");
    listening.end();
}

#[test]
fn half_handshakes_keep_nobody_out() {
    want_descriptors();
    let authority = Authority::new();
    let address = free("127.0.0.1");
    let mut spec = spec(&[&format!("tls://{address}")]);
    spec.tls = Some(authority.spec());
    let mut listening = Listening::start(spec);
    let sender = std::thread::spawn(move || {
        let each = crowd().map(|ip| connections::connect_from(&ip, address));
        let crowd: Vec<_> = each.collect();
        let mut stream = authority.connect(address, Some(&authority));
        stream.write_all(b"8 <13>here").map(|()| (stream, crowd))
    });
    let heard = until("it is heard", || {
        listening.some().first().map(Heard::message)
    });
    assert_eq!(heard, "here");
    sender.join().unwrap().unwrap();
    listening.end();
}

/// A host has all addresses of its network.
#[test]
fn a_network_of_ipv6_is_one_sender() {
    let Some(cable) = Cable::new() else { return };
    for number in 0x10..0x10 + OF_ONE {
        let address = format!("2001:db8:0:7::{number:x}/32");
        cable.attackers.add_address(&address);
    }
    let mut spec = spec(&["tcp://[::]:5514"]);
    spec.allow = vec!["2001:db8::/32".parse().unwrap()];
    let mut listening = Listening::start_as(spec, cable.server.entrance());
    let to = "[2001:db8::1]:5514".parse().unwrap();
    let connect = |from: &str| until("it listens", || cable.attackers.connect(from, to).ok());
    let _crowd: Vec<_> = (0x10..0x10 + OF_ONE)
        .map(|number| connect(&format!("2001:db8:0:7::{number:x}")))
        .collect();
    let _one_more = connect("2001:db8:0:7::7");
    listening.must_lose(refused(1));
    let mut other = connect("2001:db8:0:8::8");
    other.write_all(b"<13>other\n").unwrap();
    assert_eq!(listening.one().host, "2001:db8:0:8::8");
    listening.end();
}
