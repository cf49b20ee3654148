//! What changes while it listens.

use std::io::{Read, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use f2bd::source::syslog::TlsSpec;

use super::tls::Authority;
use super::*;

/// Hears numbers, in order and without a gap, until as many have come as were sent.
fn must_hear_all(mut listening: Listening, sender: JoinHandle<u32>) {
    let mut next = 0;
    loop {
        for record in listening
            .some_within(Duration::from_millis(10))
            .unwrap_or_default()
        {
            assert_eq!(record.message(), next.to_string());
            next += 1;
        }
        if sender.is_finished() {
            break;
        }
    }
    let sent = sender.join().unwrap();
    assert!(sent > 1_000, "{sent}");
    while next < sent {
        for record in listening.some() {
            assert_eq!(record.message(), next.to_string());
            next += 1;
        }
    }
    assert_eq!(listening.losses, Losses::default());
    listening.end();
}

#[test]
fn nothing_is_lost_where_it_goes_on_listening() {
    let home = tempfile::tempdir().unwrap();
    let (udp, tcp, other) = (free("127.0.0.1"), free("127.0.0.1"), free("127.0.0.1"));
    let path = home.path().join("socket");
    let addresses = [
        format!("udp://{udp}"),
        format!("tcp://{tcp}"),
        format!("unix://{}", path.display()),
    ];
    for address in &addresses {
        let mut spec = spec(&[address]);
        let listening = Listening::start(spec.clone());
        let wanted = listening.wanted.clone();
        let done = Arc::new(AtomicBool::new(false));
        let changes = std::thread::spawn({
            let done = Arc::clone(&done);
            move || {
                for round in 0..20 {
                    spec.allow = vec![["127.0.0.0/8", "127.0.0.1/32"][round % 2].parse().unwrap()];
                    spec.form.zone = jiff::tz::TimeZone::fixed(jiff::tz::offset((round % 2) as i8));
                    spec.listen.truncate(1);
                    if round % 3 == 0 {
                        spec.listen.push(format!("udp://{other}").parse().unwrap());
                    }
                    wanted.send_replace(spec.clone());
                    std::thread::sleep(Duration::from_millis(20));
                }
                done.store(true, Ordering::Relaxed);
            }
        });
        let sender = std::thread::spawn({
            let path = path.clone();
            let is_tcp = address.starts_with("tcp");
            let is_udp = address.starts_with("udp");
            move || {
                let mut stream = is_tcp.then(|| connect(tcp));
                let udp_socket = UdpSocket::bind("127.0.0.1:0").unwrap();
                let local = std::os::unix::net::UnixDatagram::unbound().unwrap();
                let mut sent = 0;
                while !done.load(Ordering::Relaxed) {
                    let text = format!("<13>{sent}");
                    if let Some(stream) = &mut stream {
                        writeln!(stream, "{text}").unwrap();
                    } else if !is_udp {
                        until("it listens", || local.send_to(text.as_bytes(), &path).ok());
                    } else if sent == 0 {
                        send_to_listener(&udp_socket, udp, text.as_bytes());
                    } else {
                        udp_socket.send(text.as_bytes()).unwrap();
                    }
                    sent += 1;
                    // At full pace a queue without a reader overflows; that is another test.
                    if sent % 64 == 0 {
                        std::thread::sleep(Duration::from_millis(1));
                    }
                }
                sent
            }
        });
        must_hear_all(listening, sender);
        changes.join().unwrap();
    }
}

#[test]
fn who_is_not_allowed_any_more_is_sent_away() {
    let address = free("127.0.0.1");
    let mut listening = Listening::on(&[&format!("tcp://{address}")]);
    let mut stream = connect(address);
    stream.write_all(b"<13>one\n").unwrap();
    assert_eq!(listening.one().message(), "one");
    let mut spec = spec(&[&format!("tcp://{address}")]);
    spec.allow = vec!["192.0.2.0/24".parse().unwrap()];
    listening.wanted.send_replace(spec);
    stream.set_read_timeout(Some(DEADLINE)).unwrap();
    assert_eq!(stream.read(&mut [0]).unwrap(), 0);
    listening.must_lose(refused(1));
    listening.end();
}

#[test]
fn an_address_that_is_given_up_is_free_and_no_trouble() {
    let (taken, stays) = (free("127.0.0.1"), free("127.0.0.1"));
    let holder = UdpSocket::bind(taken).unwrap();
    let both = [format!("udp://{stays}"), format!("udp://{taken}")];
    let mut listening = Listening::on(&[&both[0], &both[1]]);
    assert!(matches!(listening.trouble(), Trouble::Unreadable { .. }));
    listening.wanted.send_replace(spec(&[&both[0]]));
    assert!(matches!(listening.trouble(), Trouble::Recovered { .. }));
    drop(holder);
    listening.wanted.send_replace(spec(&[&both[1]]));
    let sender = UdpSocket::bind("127.0.0.1:0").unwrap();
    send_to_listener(&sender, taken, b"<13>there");
    assert_eq!(listening.one().message(), "there");
    UdpSocket::bind(stays).unwrap();
    listening.end();
}

/// A certificate that was renewed is shown to whoever comes next; who is there already goes on.
#[test]
fn a_renewed_certificate_is_shown_to_the_next() {
    let (old, new) = (Authority::new(), Authority::new());
    let address = free("127.0.0.1");
    let mut spec = spec(&[&format!("tls://{address}")]);
    spec.tls = Some(old.spec());
    let mut listening = Listening::start(spec.clone());
    let mut first = old.connect(address, Some(&old));
    first.write_all(b"7 <13>one").unwrap();
    assert_eq!(listening.one().message(), "one");
    for name in ["server.crt", "server.key"] {
        std::fs::copy(new.path(name), old.path(name)).unwrap();
    }
    // Its own certificate is of the old authority, which is believed as before.
    let client = Authority::new();
    for name in ["client.crt", "client.key"] {
        std::fs::copy(old.path(name), client.path(name)).unwrap();
    }
    listening.wanted.send_replace(spec.clone());
    let mut second = until("the new one is shown", || {
        let mut stream = new.connect(address, Some(&client));
        let said = stream.write_all(b"7 <13>two");
        if said.is_err() {
            // It is blocked until somebody hears of the handshake that failed.
            assert_eq!(listening.some(), []);
        }
        said.ok().map(|()| stream)
    });
    first.write_all(b"9 <13>three").unwrap();
    let mut heard = Vec::new();
    while heard.len() < 2 {
        heard.extend(listening.some().iter().map(Heard::message));
    }
    heard.sort();
    assert_eq!(heard, ["three", "two"]);
    // Half of a renewal is none.
    std::fs::write(old.path("server.key"), "").unwrap();
    listening.wanted.send_replace(spec);
    second.write_all(b"8 <13>four").unwrap();
    assert_eq!(listening.one().message(), "four");
    let mut third = new.connect(address, Some(&client));
    third.write_all(b"8 <13>five").unwrap();
    assert_eq!(listening.one().message(), "five");
    listening.end();
}

/// Whoever could not come in by the new words does not stay by the old ones.
#[test]
fn other_authorities_send_away_who_is_there() {
    let (authority, other) = (Authority::new(), Authority::new());
    let address = free("127.0.0.1");
    let tcp = free("127.0.0.1");
    let mut spec = spec(&[&format!("tls://{address}"), &format!("tcp://{tcp}")]);
    spec.tls = Some(TlsSpec {
        client_ca: None,
        ..authority.spec()
    });
    let mut listening = Listening::start(spec.clone());
    let mut plain = connect(tcp);
    plain.write_all(b"<13>plain\n").unwrap();
    assert_eq!(listening.one().message(), "plain");
    let mut stream = authority.connect(address, None);
    stream.write_all(b"7 <13>one").unwrap();
    assert_eq!(listening.one().message(), "one");
    spec.tls = Some(authority.spec());
    listening.wanted.send_replace(spec.clone());
    listening.must_lose(refused(1));
    assert!(!matches!(stream.read(&mut [0]), Ok(1..)));
    // The same file, in which stands another authority.
    let mut stream = authority.connect(address, Some(&authority));
    stream.write_all(b"7 <13>two").unwrap();
    assert_eq!(listening.one().message(), "two");
    std::fs::copy(other.path("ca.crt"), authority.path("ca.crt")).unwrap();
    listening.wanted.send_replace(spec);
    listening.must_lose(refused(2));
    assert!(!matches!(stream.read(&mut [0]), Ok(1..)));
    plain.write_all(b"<13>still\n").unwrap();
    assert_eq!(listening.one().message(), "still");
    listening.end();
}
