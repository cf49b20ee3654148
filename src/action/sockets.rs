//! Where does this machine listen, and from where are its ports reached?
//!
//! In: the tables of sockets in /proc/self/net, which everybody may read. Out: [`Sockets`]. A line that is not of the
//! known form is passed over.

use std::collections::BTreeSet;
use std::fs::File;
use std::io::{self, Read};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::ports::{Ports, Protocol};
use crate::engine::prefix::Prefix;

/// The tables, and what they are of.
const TABLES: &[(&str, Protocol)] = &[
    ("/proc/self/net/tcp", Protocol::Tcp),
    ("/proc/self/net/tcp6", Protocol::Tcp),
    ("/proc/self/net/udp", Protocol::Udp),
    ("/proc/self/net/udp6", Protocol::Udp),
];

/// So much of a table is read: sockets that listen come first, and then some 7,000 connections, of which attackers can
/// open any number.
const MOST_BYTES: u64 = 1 << 20;

/// The state of a socket of TCP that listens, and of one of UDP that is for everybody.
const LISTENS: &str = "0A";
const UNCONNECTED: &str = "07";

/// Sockets of this machine, as far as other machines reach them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Sockets {
    /// The ports where somebody listens.
    listening: BTreeSet<(Protocol, u16)>,
    /// Who is connected to which port, or was until a moment ago.
    connected: BTreeSet<(IpAddr, Protocol, u16)>,
}

impl Sockets {
    /// These ones.
    pub fn of(
        listening: impl IntoIterator<Item = (Protocol, u16)>,
        connected: impl IntoIterator<Item = (IpAddr, Protocol, u16)>,
    ) -> Sockets {
        Sockets {
            listening: listening.into_iter().collect(),
            connected: connected.into_iter().collect(),
        }
    }

    /// Those of this moment.
    ///
    /// # Errors
    /// A table cannot be read that is there.
    pub fn look() -> io::Result<Sockets> {
        let mut sockets = Sockets::default();
        for (path, protocol) in TABLES {
            let mut text = String::new();
            match File::open(path) {
                Ok(file) => file.take(MOST_BYTES).read_to_string(&mut text)?,
                // Without IPv6 there is no table of it.
                Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
                Err(error) => return Err(error),
            };
            sockets.read(&text, *protocol);
        }
        Ok(sockets)
    }

    /// Takes in a table.
    fn read(&mut self, text: &str, protocol: Protocol) {
        for line in text.lines() {
            let mut words = line.split_ascii_whitespace().skip(1);
            let ends = [words.next(), words.next()].map(|word| word.and_then(end));
            let ([Some((own, port)), Some((peer, _))], Some(state)) = (ends, words.next()) else {
                continue;
            };
            let for_everybody = match protocol {
                Protocol::Udp => state == UNCONNECTED,
                Protocol::Tcp | Protocol::Sctp => state == LISTENS,
            };
            if own.is_loopback() {
                continue;
            } else if for_everybody {
                self.listening.insert((protocol, port));
            } else {
                self.connected.insert((peer, protocol, port));
            }
        }
    }

    /// Whether somebody listens on one of these ports.
    pub fn any_listens(&self, ports: &Ports, protocols: &[Protocol]) -> bool {
        let mut listening = self.listening.iter();
        listening.any(|(protocol, port)| protocols.contains(protocol) && ports.contain(*port))
    }

    /// The ports where somebody listens that are none of these.
    pub fn others(&self, ports: &Ports, protocols: &[Protocol]) -> Vec<u16> {
        let listening = self.listening.iter();
        let others = listening
            .filter(|(protocol, port)| protocols.contains(protocol) && !ports.contain(*port));
        others.map(|(_, port)| *port).collect()
    }

    /// Those of them to which somebody of `subject` is connected.
    pub fn others_of(&self, subject: Prefix, ports: &Ports, protocols: &[Protocol]) -> Vec<u16> {
        let mut others = self.others(ports, protocols);
        others.retain(|port| {
            let mut connected = self.connected.iter();
            connected.any(|(peer, protocol, own)| {
                own == port && protocols.contains(protocol) && subject.contains(*peer)
            })
        });
        others
    }
}

/// One end of a connection: `0100007F:0016`. The words of an address are numbers of this machine's byte order.
fn end(word: &str) -> Option<(IpAddr, u16)> {
    let (address, port) = word.split_once(':')?;
    let port = u16::from_str_radix(port, 16).ok()?;
    let mut bytes = Vec::with_capacity(16);
    for start in (0..address.len()).step_by(8) {
        let part = u32::from_str_radix(address.get(start..start + 8)?, 16).ok()?;
        bytes.extend(part.to_ne_bytes());
    }
    let address = match <[u8; 4]>::try_from(bytes.as_slice()) {
        Ok(bytes) => Ipv4Addr::from(bytes).into(),
        Err(_) => IpAddr::from(Ipv6Addr::from(<[u8; 16]>::try_from(bytes).ok()?)),
    };
    Some((address.to_canonical(), port))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::action::ports::Services;

    const TCP: &[Protocol] = &[Protocol::Tcp];

    fn ports(word: &str) -> Ports {
        Ports::parse(&[word], &Services::well_known()).expect("ports")
    }

    fn prefix(text: &str) -> Prefix {
        text.parse().expect("a network")
    }

    /// A word of four bytes, as the kernel of this machine writes it.
    fn word(bytes: [u8; 4]) -> String {
        format!("{:08X}", u32::from_ne_bytes(bytes))
    }

    fn table() -> Sockets {
        let (any, own) = (word([0, 0, 0, 0]), word([192, 0, 2, 1]));
        let (loopback, peer) = (word([127, 0, 0, 1]), word([192, 0, 2, 7]));
        let mapped = [any.clone(), any.clone(), word([0, 0, 255, 255])].concat();
        let text = format!(
            "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt\n\
             0: {any}:0016 {any}:0000 0A 00000000:00000000 00:00000000 00000000 0 0 1\n\
             1: {any}:08AE {any}:0000 0A 00000000:00000000\n\
             2: {loopback}:1F90 {any}:0000 0A 00000000:00000000\n\
             3: {own}:0016 {peer}:9C40 01 00000000:00000000\n\
             4: {mapped}{own}:08AE {mapped}{peer}:9C41 06 00000000:00000000\n"
        );
        let mut sockets = Sockets::default();
        sockets.read(&text, Protocol::Tcp);
        sockets
    }

    #[test]
    fn ports_that_are_not_shut_are_found() {
        let sockets = table();
        let ssh = ports("ssh");
        assert!(sockets.any_listens(&ssh, TCP));
        assert!(!sockets.any_listens(&ports("http"), TCP));
        assert!(!sockets.any_listens(&ssh, &[Protocol::Udp]));
        assert_eq!(sockets.others(&ssh, TCP), [2222], "not the one of loopback");
        assert!(sockets.others(&Ports::All, TCP).is_empty());
        let of = |subject| sockets.others_of(prefix(subject), &ssh, TCP);
        assert_eq!(of("192.0.2.7"), [2222]);
        assert_eq!(of("192.0.2.0/24"), [2222]);
        assert!(of("192.0.2.8").is_empty());
    }

    #[test]
    fn the_kernels_own_tables_are_understood() {
        let listener = std::net::TcpListener::bind("0.0.0.0:0").expect("a port");
        let port = listener.local_addr().expect("an address").port();
        let sockets = Sockets::look().expect("tables");
        assert!(sockets.any_listens(&ports(&port.to_string()), TCP));
    }

    proptest! {
        #[test]
        fn any_text_can_stand_in_a_table(text in ".{0,200}", word in "[0-9A-F:]{0,40}") {
            let mut sockets = Sockets::default();
            sockets.read(&text, Protocol::Tcp);
            sockets.read(&format!("0: {word} {word} 0A"), Protocol::Udp);
        }
    }
}
