//! Messages over TCP.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpStream};

use rustix::net::{AddressFamily, SocketType, bind, socket, sockopt};

use super::*;
use crate::support::wait::uninterrupted;

fn malformed(malformed: u64) -> Losses {
    Losses {
        malformed,
        ..Losses::default()
    }
}

/// Connects from another address of this machine.
pub fn connect_from(ip: &str, to: SocketAddr) -> TcpStream {
    until("the listener takes connections", || {
        let socket = socket(AddressFamily::INET, SocketType::STREAM, None).unwrap();
        let ip: IpAddr = ip.parse().unwrap();
        bind(&socket, &SocketAddr::new(ip, 0)).unwrap();
        rustix::net::connect(&socket, &to).ok()?;
        Some(TcpStream::from(socket))
    })
}

/// Waits until the listener closes.
fn must_close(stream: &mut TcpStream) {
    stream.set_read_timeout(Some(DEADLINE)).unwrap();
    let closed = uninterrupted(|| stream.read(&mut [0]));
    let reset = |error: &std::io::Error| error.kind() == std::io::ErrorKind::ConnectionReset;
    match closed {
        Ok(0) => {}
        Err(error) if reset(&error) => {}
        other => panic!("expected the end, not {other:?}"),
    }
}

#[test]
fn every_framing_gives_the_messages_that_were_sent() {
    let address = free("127.0.0.1");
    let mut listening = Listening::on(&[&format!("tcp://{address}")]);
    for (sent, expected) in [
        (
            &b"<13>one\n<13>two\r\n<13>three\n"[..],
            &["one", "two", "three"][..],
        ),
        (b"<13>one\0<13>two\0", &["one", "two"]),
        (b"7 <13>one8 <13>t\nwo", &["one", "t\nwo"]),
        (b"7 <13>one\n7 <13>two\n", &["one", "two"]),
    ] {
        let mut stream = connect(address);
        stream.write_all(sent).unwrap();
        stream.shutdown(Shutdown::Write).unwrap();
        assert_eq!(listening.messages(expected.len()), expected);
        must_close(&mut stream);
    }
    // In pieces, and two connections at a time.
    let mut streams = [connect(address), connect_from("127.0.0.9", address)];
    for byte in b"<38>2026-02-12T14:10:21Z sshd[42]: Failed x\n" {
        for stream in &mut streams {
            stream.write_all(&[*byte]).unwrap();
        }
    }
    let mut hosts = Vec::new();
    for record in listening.records(2) {
        assert_eq!((record.program.as_str(), record.pid), ("sshd", Some(42)));
        assert_eq!(record.message(), "Failed x");
        hosts.push(record.host);
    }
    hosts.sort();
    assert_eq!(hosts, ["127.0.0.1", "127.0.0.9"]);
    assert_eq!(listening.losses, Losses::default());
    listening.end();
}

#[test]
fn many_messages_come_in_order_and_complete() {
    let address = free("127.0.0.1");
    let mut listening = Listening::on(&[&format!("tcp://{address}")]);
    let count = 50_000;
    let mut stream = connect(address);
    let sender = std::thread::spawn(move || {
        for number in 0..count {
            let text = format!("<13>{number}");
            stream
                .write_all(format!("{} {text}", text.len()).as_bytes())
                .unwrap();
        }
    });
    let expected: Vec<String> = (0..count).map(|number| number.to_string()).collect();
    assert_eq!(listening.messages(count), expected);
    sender.join().unwrap();
    assert_eq!(listening.losses, Losses::default());
    listening.end();
}

#[test]
fn a_broken_connection_costs_only_itself() {
    let address = free("127.0.0.1");
    let mut listening = Listening::on(&[&format!("tcp://{address}")]);
    let mut lost = 0;
    for hostile in [
        &b"7 <13>one99999999999 "[..],
        b"7 <13>onexx",
        b"7 <13>one0 <13>x",
        b"7 <13>one-1 <13>x",
    ] {
        let mut stream = connect(address);
        stream.write_all(hostile).unwrap();
        assert_eq!(listening.one().message(), "one");
        must_close(&mut stream);
        lost += 1;
        listening.must_lose(malformed(lost));
    }
    // The end of a counted message is missing; of a line, when the connection breaks off.
    let mut stream = connect(address);
    stream.write_all(b"99 <13>from 192.0.2.7").unwrap();
    stream.shutdown(Shutdown::Write).unwrap();
    must_close(&mut stream);
    listening.must_lose(malformed(lost + 1));
    let mut stream = connect(address);
    stream.write_all(b"<13>whole\n<13>from 192.0.2.7").unwrap();
    assert_eq!(listening.one().message(), "whole");
    sockopt::set_socket_linger(&stream, Some(Duration::ZERO)).unwrap();
    drop(stream);
    listening.must_lose(malformed(lost + 2));
    listening.end();
}

#[test]
fn a_huge_message_is_cut_and_the_next_one_is_whole() {
    let address = free("127.0.0.1");
    let mut listening = Listening::on(&[&format!("tcp://{address}")]);
    let long = "x".repeat(3_000_000);
    for (sent, cut) in [
        (format!("<13>{long}\n<13>next\n"), 1),
        (format!("{} <13>{long}8 <13>next", long.len() + 4), 2),
    ] {
        let mut stream = connect(address);
        let sender = std::thread::spawn(move || stream.write_all(sent.as_bytes()).map(|()| stream));
        let records = listening.records(2);
        let longest = f2bd::engine::record::LONGEST_MESSAGE;
        assert_eq!(records[0].message.len(), longest);
        assert_eq!(records[1].message(), "next");
        sender.join().unwrap().unwrap();
        let expected = Losses {
            cut,
            ..Losses::default()
        };
        assert_eq!(listening.losses, expected);
    }
    // Its text would look whole, though its end is missing.
    let longest = f2bd::engine::record::LONGEST_MESSAGE;
    let padded = |pad: usize| {
        let value = "y".repeat(pad);
        format!("<13>1 - h p - - [a@1 b=\"{value}\"] from 192.0.2.77\n")
    };
    let hidden = padded(longest + 8 * 1024 + "\n".len() + 1 - padded(0).len());
    let mut stream = connect(address);
    stream.write_all(hidden.as_bytes()).unwrap();
    stream.write_all(b"<13>next\n").unwrap();
    assert_eq!(listening.one().message(), "next");
    let expected = Losses {
        cut: 3,
        ..Losses::default()
    };
    assert_eq!(listening.losses, expected);
    listening.end();
}

#[test]
fn nobody_can_take_all_places() {
    let address = free("0.0.0.0");
    let mut spec = spec(&[&format!("tcp://{address}")]);
    spec.allow = vec!["127.0.0.0/29".parse().unwrap()];
    let mut listening = Listening::start(spec);
    let address = SocketAddr::new("127.0.0.1".parse().unwrap(), address.port());
    // Each of them holds its place with half a message.
    let mut held: Vec<TcpStream> = (0..32).map(|_| connect(address)).collect();
    for stream in &mut held {
        stream.write_all(b"<13>half").unwrap();
    }
    must_close(&mut connect(address));
    listening.must_lose(refused(1));
    // Who is not allowed is not even read.
    let mut stranger = connect_from("127.0.0.9", address);
    must_close(&mut stranger);
    listening.must_lose(refused(2));
    let mut other = connect_from("127.0.0.2", address);
    other.write_all(b"<13>other\n").unwrap();
    assert_eq!(listening.one().host, "127.0.0.2");
    // A place that is given back can be taken.
    held.pop().unwrap().write_all(b" and half\n").unwrap();
    assert_eq!(listening.one().message(), "half and half");
    until("there is a place again", || {
        let mut again = connect(address);
        again.write_all(b"<13>again\n").unwrap();
        let records = listening.some();
        records
            .first()
            .map(|record| assert_eq!(record.message(), "again"))
    });
    listening.end();
}
