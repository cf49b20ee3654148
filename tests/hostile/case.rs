//! One kind while it happens: who attacks, in which words, and over which way.

use std::fs::{self, File, OpenOptions};
use std::io::{Read, Write};
use std::net::{IpAddr, SocketAddr, TcpStream, UdpSocket};
use std::os::unix::net::UnixDatagram;
use std::path::{Path, PathBuf};

use super::clock::Clock;
use super::ground::{Ground, PLAIN, SECURE};
use super::{Letters, Way};
use crate::support::wait::{DEADLINE, uninterrupted, until};

/// Who attacks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Who {
    /// Before what is bad.
    Before,
    /// As a part of it.
    Itself,
    /// Behind it.
    After,
}

impl Who {
    /// His address; each kind has its own attackers.
    pub fn address(self, number: usize) -> IpAddr {
        let network = match self {
            Who::Before => [192, 0, 2],
            Who::Itself => [198, 51, 100],
            Who::After => [203, 0, 113],
        };
        let [a, b, c] = network;
        IpAddr::from([a, b, c, u8::try_from(number + 1).unwrap()])
    }
}

/// One kind while it happens.
pub struct Case<'g> {
    pub ground: &'g mut Ground,
    number: usize,
    way: Way,
    /// The kind's own log.
    pub path: PathBuf,
}

impl<'g> Case<'g> {
    pub fn new(ground: &'g mut Ground, number: usize, way: Way, path: PathBuf) -> Self {
        Case {
            ground,
            number,
            way,
            path,
        }
    }
}

impl Case<'_> {
    pub fn address(&self, who: Who) -> IpAddr {
        who.address(self.number)
    }

    pub fn clock(&mut self) -> &mut Clock {
        &mut self.ground.clock
    }

    pub fn home(&self) -> &Path {
        self.ground.world.path()
    }

    /// What sshd says of an attack.
    pub fn failure(&self, who: Who) -> String {
        format!(
            "Failed password for root from {} port 22 ssh2",
            self.address(who)
        )
    }

    /// A program of its own for each attack, since what one process says of one client counts once.
    fn tag(&self, who: Who) -> String {
        format!("sshd[{}]", 1000 + 3 * self.number + who as usize)
    }

    /// A line of an attack that has just been, with its date and all.
    pub fn line(&self, who: Who) -> String {
        self.line_at(&jiff::Timestamp::now().to_string(), who)
    }

    /// The same with another date.
    pub fn line_at(&self, date: &str, who: Who) -> String {
        format!("{date} box {}: {}", self.tag(who), self.failure(who))
    }

    /// A message of syslog about it.
    pub fn message(&self, who: Who) -> String {
        format!("<38>{}", self.line(who))
    }

    /// The attack, over the kind's way.
    pub fn attacks(&mut self, who: Who) {
        match self.way {
            Way::Log(_) => self.write(&(self.line(who) + "\n")),
            Way::Udp => self.datagram("127.0.0.1", self.message(who).as_bytes()),
            Way::Tcp => {
                let message = self.message(who) + "\n";
                self.connection().write_all(message.as_bytes()).unwrap();
            }
            Way::Tls => {
                let message = self.message(who);
                let (authority, to) = (&self.ground.authority, SECURE.parse().unwrap());
                let mut stream = authority.connect(to, Some(authority));
                let text = format!("{} {message}", message.len());
                stream.write_all(text.as_bytes()).unwrap();
                stream.conn.send_close_notify();
                stream.flush().unwrap();
            }
            Way::Unix => self.local("syslog.sock", self.message(who).as_bytes()),
            Way::Report => {
                let ip = self.address(who);
                let report = format!(r#"{{"service":"shop","ip":"{ip}"}}"#);
                self.local("report.sock", report.as_bytes());
            }
            Way::Clock => {
                let date = self.clock().now().to_string();
                let line = self.line_at(&date, who);
                self.clock().read(&line);
            }
        }
    }

    /// Appends to the kind's own log, in its letters.
    pub fn write(&self, text: &str) {
        let begins = fs::metadata(&self.path).map_or(true, |data| data.len() == 0);
        let bytes = match self.way {
            Way::Log(letters) => letters.encode(text, begins),
            _ => text.into(),
        };
        self.write_bytes(&bytes);
    }

    /// Appends to the kind's own log.
    pub fn write_bytes(&self, bytes: &[u8]) {
        append(&self.path, bytes);
    }

    /// Sends a datagram of syslog.
    pub fn datagram(&self, from: &str, message: &[u8]) {
        let socket = UdpSocket::bind((from, 0)).unwrap();
        socket.send_to(message, PLAIN).unwrap();
    }

    /// Sends a datagram to a socket of this machine.
    pub fn local(&self, name: &str, message: &[u8]) {
        let socket = UnixDatagram::unbound().unwrap();
        socket.send_to(message, self.home().join(name)).unwrap();
    }

    /// Connects to the port for messages over TCP.
    pub fn connection(&self) -> TcpStream {
        TcpStream::connect(PLAIN.parse::<SocketAddr>().unwrap()).unwrap()
    }

    pub fn count(&self, who: Who) -> usize {
        let address = self.address(who);
        match self.way {
            Way::Clock => self.ground.clock.count(address),
            _ => self.ground.count(address),
        }
    }

    /// Waits until an attack is counted.
    pub fn must_count(&self, who: Who) {
        until(&format!("{who:?} is counted"), || {
            (self.count(who) > 0).then_some(())
        });
        assert_eq!(self.count(who), 1, "{who:?}");
    }

    /// Waits until the daemon complains of something.
    pub fn must_say(&self, words: &str) {
        self.ground.must_say(words);
    }
}

impl Letters {
    /// Text at the head of a log, or further on.
    fn encode(self, text: &str, begins: bool) -> Vec<u8> {
        let marked = match self {
            Letters::Utf8 => false,
            Letters::Utf8Marked => true,
            Letters::Little { marked } | Letters::Big { marked } => marked,
        };
        let mark = if marked && begins { "\u{feff}" } else { "" };
        let text = [mark, text].concat();
        match self {
            Letters::Utf8 | Letters::Utf8Marked => text.into_bytes(),
            Letters::Little { .. } => text.encode_utf16().flat_map(u16::to_le_bytes).collect(),
            Letters::Big { .. } => text.encode_utf16().flat_map(u16::to_be_bytes).collect(),
        }
    }
}

pub fn append(path: &Path, bytes: &[u8]) {
    let mut file = open(path);
    file.write_all(bytes).unwrap();
}

/// A log, to be written to at its end.
pub fn open(path: &Path) -> File {
    let options = OpenOptions::new().create(true).append(true).open(path);
    options.unwrap()
}

/// Reads a connection to its end, however that comes.
pub fn must_end(stream: &mut TcpStream) {
    stream.set_read_timeout(Some(DEADLINE)).unwrap();
    let end = loop {
        match uninterrupted(|| stream.read(&mut [0; 64])) {
            // What is wrong with TLS is told before.
            Ok(1..) => {}
            end => break end,
        }
    };
    let reset = |error: &std::io::Error| error.kind() == std::io::ErrorKind::ConnectionReset;
    assert!(
        matches!(&end, Ok(0)) || end.as_ref().is_err_and(reset),
        "expected the end, not {end:?}"
    );
}
