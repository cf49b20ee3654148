//! What comes as syslog from the network, and from machines that pretend to send it.

use std::io::Write;
use std::net::{Shutdown, TcpStream, UdpSocket};
use std::time::Duration;

use rustix::net::sockopt;

use super::case::{Case, Who, must_end};
use super::ground::{PLAIN, SECURE};
use super::{Kind, Way, kind};
use crate::support::dice::Dice;
use crate::syslog::tls::Authority;

/// What a connection may be sent before the daemon closes it.
fn sends(mut stream: TcpStream, bytes: &[u8]) {
    // It may have been closed before all is out.
    let _ = stream.write_all(bytes);
    must_end(&mut stream);
}

/// Sends all of it and says that there is no more.
fn sends_all(mut stream: TcpStream, bytes: &[u8]) {
    stream.write_all(bytes).unwrap();
    stream.shutdown(Shutdown::Write).unwrap();
    must_end(&mut stream);
}

/// A datagram with the attack behind a priority that is none.
fn with_priority(case: &Case<'_>, priority: &str) {
    case.datagram(
        "127.0.0.1",
        (priority.to_owned() + &case.line(Who::Itself)).as_bytes(),
    );
}

/// A message by RFC 5424 with the attack as its text, or as a part of what stands before.
fn standard(case: &Case<'_>, data: &str) {
    let now = jiff::Timestamp::now();
    let failure = case.failure(Who::Itself);
    let data = data.replace("FAILURE", &failure);
    let message = format!("<38>1 {now} box sshd 7 - {data}");
    case.datagram("127.0.0.1", message.as_bytes());
}

fn over_udp() -> Vec<Kind> {
    vec![
        kind("UDP: an empty datagram", Way::Udp, |case| {
            case.datagram("127.0.0.1", b"")
        }),
        kind("UDP: a datagram of 64 KiB", Way::Udp, |case| {
            case.datagram("127.0.0.1", &[b'x'; 65_507]);
        }),
        kind("UDP: noise of all bytes", Way::Udp, |_| {
            let mut dice = Dice::new(5);
            let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
            for _ in 0..200 {
                let noise: Vec<u8> = (0..dice.below(600))
                    .map(|_| dice.below(256) as u8)
                    .collect();
                socket.send_to(&noise, PLAIN).unwrap();
            }
        }),
        kind("UDP: a sender who is not allowed", Way::Udp, |case| {
            case.datagram("127.0.0.9", case.message(Who::Itself).as_bytes());
        })
        .refuses(1)
        .says("may not send"),
        kind("syslog: priority <999>", Way::Udp, |case| {
            with_priority(case, "<999>")
        }),
        kind("syslog: priority <-1>", Way::Udp, |case| {
            with_priority(case, "<-1>")
        }),
        kind("syslog: priority <>", Way::Udp, |case| {
            with_priority(case, "<>")
        }),
        kind("syslog: a priority that does not end", Way::Udp, |case| {
            with_priority(case, "<38")
        }),
        kind("syslog: two headers", Way::Udp, |case| {
            let lie = case.message(Who::Itself);
            case.datagram(
                "127.0.0.1",
                format!("<13>Feb 12 14:10:21 box app: {lie}").as_bytes(),
            );
        }),
        kind("syslog: two lines in one datagram", Way::Udp, |case| {
            let lie = case.message(Who::Itself);
            case.datagram(
                "127.0.0.1",
                format!("<13>Feb 12 14:10:21 box app: x\n{lie}").as_bytes(),
            );
        }),
        kind(
            "RFC 5424: structured data without an end",
            Way::Udp,
            |case| {
                standard(case, "[a b=\"c] FAILURE");
            },
        ),
        kind(
            "RFC 5424: an attack within structured data",
            Way::Udp,
            |case| {
                standard(case, "[a b=\"\\\"] FAILURE\"] x");
            },
        ),
        kind(
            "RFC 5424: structured data in no encoding",
            Way::Udp,
            |case| {
                let now = jiff::Timestamp::now();
                let head = format!("<38>1 {now} box sshd 7 - [a b=\"");
                let tail = format!("\"] {}", case.failure(Who::Itself));
                case.datagram(
                    "127.0.0.1",
                    &[head.as_bytes(), b"\xff\xfe", tail.as_bytes()].concat(),
                );
            },
        )
        .bans(),
        kind("RFC 5424: no structured data at all", Way::Udp, |case| {
            standard(case, "FAILURE")
        })
        .bans(),
        kind("RFC 5424: a version that is not yet", Way::Udp, |case| {
            let message = case.message(Who::Itself).replace("<38>", "<38>2 ");
            case.datagram("127.0.0.1", message.as_bytes());
        }),
    ]
}

fn over_tcp() -> Vec<Kind> {
    vec![
        kind("TCP: a length of eleven digits", Way::Tcp, |case| {
            sends(case.connection(), b"6 <13>x99999999999 <38>x");
        })
        .malformed(1),
        kind("TCP: a negative length", Way::Tcp, |case| {
            sends(case.connection(), b"5 <13>x-1 <38>x");
        })
        .malformed(1),
        kind("TCP: a length that is no number", Way::Tcp, |case| {
            sends(case.connection(), b"5 <13>xfive <38>x");
        })
        .malformed(1),
        kind("TCP: a length of which not all comes", Way::Tcp, |case| {
            let message = case.message(Who::Itself);
            let text = format!("{} {message}", message.len() + 1);
            sends_all(case.connection(), text.as_bytes());
        })
        .malformed(1),
        kind("TCP: a lone line without an end", Way::Tcp, |case| {
            sends_all(case.connection(), case.message(Who::Itself).as_bytes());
        })
        .bans(),
        kind(
            "TCP: the last of two lines without an end",
            Way::Tcp,
            |case| {
                let message = case.message(Who::Itself);
                sends_all(case.connection(), format!("<13>x\n{message}").as_bytes());
            },
        )
        .malformed(1),
        kind("TCP: a length in the midst of lines", Way::Tcp, |case| {
            let message = case.message(Who::Itself);
            let text = format!("<13>x\n{} {message}\n", message.len());
            sends_all(case.connection(), text.as_bytes());
        }),
        kind("TCP: a line of 3 MB", Way::Tcp, |case| {
            let text = format!(
                "<13>{}\n{}\n",
                "x".repeat(3 << 20),
                case.message(Who::Itself)
            );
            sends_all(case.connection(), text.as_bytes());
        })
        .bans()
        .cuts(1),
        kind("TCP: noise of all bytes", Way::Tcp, |case| {
            let mut dice = Dice::new(7);
            let noise: Vec<u8> = (0..64 * 1024).map(|_| dice.below(256) as u8).collect();
            // It begins as text, so that all of it is lines.
            sends_all(case.connection(), &[b"x", &noise[..], b"\n"].concat());
        }),
        kind(
            "TCP: a connection that breaks off in mid-line",
            Way::Tcp,
            |case| {
                let mut stream = case.connection();
                stream
                    .write_all(case.message(Who::Itself).as_bytes())
                    .unwrap();
                sockopt::set_socket_linger(&stream, Some(Duration::ZERO)).unwrap();
            },
        )
        .malformed(1),
        kind("TCP: the hello of TLS", Way::Tcp, |case| {
            sends_all(
                case.connection(),
                b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
            );
        })
        .malformed(1),
        kind(
            "TCP: thirty who send a byte now and then",
            Way::Tcp,
            |case| {
                let mut slow: Vec<TcpStream> = (0..30).map(|_| case.connection()).collect();
                for byte in b"<38>half a mess" {
                    for stream in &mut slow {
                        stream.write_all(&[*byte]).unwrap();
                    }
                }
                // The attack comes while they are at it.
                case.attacks(Who::Itself);
                case.must_count(Who::Itself);
                for stream in slow {
                    sockopt::set_socket_linger(&stream, Some(Duration::ZERO)).unwrap();
                }
            },
        )
        .bans()
        .malformed(30),
        kind(
            "TCP: a thousand connections of one sender",
            Way::Tcp,
            |case| {
                let from = std::net::SocketAddr::from(([127, 0, 0, 2], 0));
                let connect = || {
                    use rustix::net::{AddressFamily, SocketType, bind, connect, socket};
                    let socket = socket(AddressFamily::INET, SocketType::STREAM, None).unwrap();
                    bind(&socket, &from).unwrap();
                    connect(&socket, &PLAIN.parse::<std::net::SocketAddr>().unwrap()).unwrap();
                    TcpStream::from(socket)
                };
                // As many as one sender may have, and all others find the door closed.
                let held: Vec<TcpStream> = (0..32).map(|_| connect()).collect();
                for _ in 32..1000 {
                    must_end(&mut connect());
                }
                case.attacks(Who::Itself);
                case.must_count(Who::Itself);
                drop(held);
            },
        )
        .bans()
        .refuses(968),
    ]
}

fn over_tls() -> Vec<Kind> {
    vec![
        kind("TLS: half a handshake", Way::Tls, |case| {
            let mut half = TcpStream::connect(SECURE).unwrap();
            half.write_all(&[22, 3, 1, 2, 0, 1, 0, 1, 252]).unwrap();
            case.attacks(Who::Itself);
            case.must_count(Who::Itself);
        })
        .bans()
        .refuses(1),
        kind("TLS: somebody who speaks no TLS", Way::Tls, |case| {
            let message = case.message(Who::Itself) + "\n";
            sends(TcpStream::connect(SECURE).unwrap(), message.as_bytes());
        })
        .refuses(1),
        kind("TLS: a client without a certificate", Way::Tls, |case| {
            without_trust(case, None)
        })
        .refuses(1),
        kind(
            "TLS: a client with a certificate of another",
            Way::Tls,
            |case| {
                without_trust(case, Some(&Authority::new()));
            },
        )
        .refuses(1),
    ]
}

fn without_trust(case: &Case<'_>, client: Option<&Authority>) {
    let message = case.message(Who::Itself);
    let mut stream = case
        .ground
        .authority
        .connect(SECURE.parse().unwrap(), client);
    // With TLS 1.3 the client learns of the refusal only when it reads.
    let _ = stream.write_all(format!("{} {message}", message.len()).as_bytes());
    let _ = stream.flush();
    must_end(&mut stream.sock);
}

pub fn kinds() -> Vec<Kind> {
    let mut kinds = over_udp();
    kinds.extend(over_tcp());
    kinds.extend(over_tls());
    kinds
}
