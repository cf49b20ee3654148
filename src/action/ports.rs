//! What of a machine can a banned host no longer reach?
//!
//! In: the words of a jail's `port` and `protocol`. Out: [`Ports`], sorted and without overlap, so that they
//! can stand in one set of a rule.

use std::collections::HashMap;
use std::fmt;
use std::str::FromStr;

/// Where the system keeps the numbers of services.
const SERVICES: &str = "/etc/services";

/// Services that jails protect, for systems without [`SERVICES`]: containers often have none.
const WELL_KNOWN: &[(&str, u16)] = &[
    ("ftp", 21),
    ("ssh", 22),
    ("telnet", 23),
    ("smtp", 25),
    ("domain", 53),
    ("http", 80),
    ("pop3", 110),
    ("imap2", 143),
    ("imap", 143),
    ("https", 443),
    ("submissions", 465),
    ("submission", 587),
    ("ldap", 389),
    ("ldaps", 636),
    ("ftps", 990),
    ("imaps", 993),
    ("pop3s", 995),
    ("mysql", 3306),
    ("sieve", 4190),
    ("sip", 5060),
    ("xmpp-client", 5222),
    ("postgresql", 5432),
];

/// The ports that a jail protects.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ports {
    /// Everything, also what has no ports, such as ICMP.
    All,
    /// These: sorted, apart from each other, at least one.
    Some(Vec<PortRange>),
}

/// Ports from `first` to `last`, both included.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct PortRange {
    /// The lowest.
    pub first: u16,
    /// The highest.
    pub last: u16,
}

/// A transport protocol with ports.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Protocol {
    /// TCP.
    Tcp,
    /// UDP.
    Udp,
    /// SCTP.
    Sctp,
}

/// The numbers of services by name.
#[derive(Clone, Debug, Default)]
pub struct Services(HashMap<String, u16>);

/// The words name no ports.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PortError {
    /// It is no number, no range and no known service.
    #[error(
        "`{0}` is no port: write a number, a range such as 8000:8100, a service of /etc/services, or `all`"
    )]
    Unknown(String),
    /// The range ends before it begins.
    #[error("the port range `{0}` ends before it begins")]
    Backwards(String),
    /// There is no word at all.
    #[error("no port is named: write `all` for all of them")]
    None,
}

/// The word names no protocol.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is no protocol with ports: write tcp, udp or sctp")]
pub struct ProtocolError(String);

impl Ports {
    /// Reads `["ssh", "80:90"]`: numbers, ranges with `:` or `-`, services, several of them in one word with
    /// commas; `all` is everything.
    ///
    /// # Errors
    /// A word names no port, or there is none.
    pub fn parse<W: AsRef<str>>(words: &[W], services: &Services) -> Result<Ports, PortError> {
        let mut ranges = Vec::new();
        for word in words.iter().flat_map(|words| words.as_ref().split(',')) {
            match word.trim() {
                "" => {}
                "all" => return Ok(Ports::All),
                word => ranges.push(PortRange::parse(word, services)?),
            }
        }
        ranges.sort_unstable();
        let mut apart: Vec<PortRange> = Vec::with_capacity(ranges.len());
        for range in ranges {
            match apart.last_mut() {
                Some(before) if range.first <= before.last.saturating_add(1) => {
                    before.last = before.last.max(range.last);
                }
                _ => apart.push(range),
            }
        }
        if apart.is_empty() {
            Err(PortError::None)
        } else {
            Ok(Ports::Some(apart))
        }
    }

    /// Whether a port is one of them.
    pub fn contain(&self, port: u16) -> bool {
        match self {
            Ports::All => true,
            Ports::Some(ranges) => ranges
                .iter()
                .any(|range| (range.first..=range.last).contains(&port)),
        }
    }
}

impl PortRange {
    fn parse(word: &str, services: &Services) -> Result<PortRange, PortError> {
        if let Some(port) = services.port(word) {
            return Ok(PortRange {
                first: port,
                last: port,
            });
        }
        let unknown = || PortError::Unknown(word.to_owned());
        let (first, last) = word.split_once([':', '-']).ok_or_else(unknown)?;
        let first = services.port(first.trim()).ok_or_else(unknown)?;
        let last = services.port(last.trim()).ok_or_else(unknown)?;
        if first > last {
            return Err(PortError::Backwards(word.to_owned()));
        }
        Ok(PortRange { first, last })
    }
}

/// As nft writes it: `22`, `80-90`.
impl fmt::Display for PortRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.first == self.last {
            write!(f, "{}", self.first)
        } else {
            write!(f, "{}-{}", self.first, self.last)
        }
    }
}

impl Protocol {
    /// Its name in a rule.
    pub fn as_str(self) -> &'static str {
        match self {
            Protocol::Tcp => "tcp",
            Protocol::Udp => "udp",
            Protocol::Sctp => "sctp",
        }
    }
}

impl fmt::Display for Protocol {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for Protocol {
    type Err = ProtocolError;

    fn from_str(word: &str) -> Result<Self, Self::Err> {
        match word.trim() {
            "tcp" => Ok(Protocol::Tcp),
            "udp" => Ok(Protocol::Udp),
            "sctp" => Ok(Protocol::Sctp),
            _ => Err(ProtocolError(word.to_owned())),
        }
    }
}

impl Services {
    /// Those that every system has.
    pub fn well_known() -> Services {
        Services(
            WELL_KNOWN
                .iter()
                .map(|(name, port)| ((*name).to_owned(), *port))
                .collect(),
        )
    }

    /// Those of this system; its file may be missing.
    pub fn of_this_system() -> Services {
        let mut services = Services::well_known();
        if let Ok(text) = std::fs::read(SERVICES) {
            services.learn(&String::from_utf8_lossy(&text));
        }
        services
    }

    /// Takes in text of services(5): `name port/protocol alias... # comment`.
    pub fn learn(&mut self, text: &str) {
        for line in text.lines() {
            let line = line.split('#').next().unwrap_or_default();
            let mut words = line.split_whitespace();
            let (Some(name), Some(number)) = (words.next(), words.next()) else {
                continue;
            };
            let Some((number, _protocol)) = number.split_once('/') else {
                continue;
            };
            let Ok(port) = number.parse::<u16>() else {
                continue;
            };
            for name in std::iter::once(name).chain(words) {
                self.0.entry(name.to_owned()).or_insert(port);
            }
        }
    }

    /// The port that a word means: a number, or a service.
    fn port(&self, word: &str) -> Option<u16> {
        word.parse().ok().or_else(|| self.0.get(word).copied())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn shown(words: &[&str]) -> Result<String, PortError> {
        let mut services = Services::well_known();
        services.learn("amqps 5671/tcp # AMQP protocol\nwebcache\t8080/tcp http-alt other\n# x 1/tcp\nbroken\n");
        Ok(match Ports::parse(words, &services)? {
            Ports::All => "all".to_owned(),
            Ports::Some(ranges) => ranges
                .iter()
                .map(PortRange::to_string)
                .collect::<Vec<_>>()
                .join(", "),
        })
    }

    #[test]
    fn ports_are_numbers_ranges_and_services() {
        for (words, expected) in [
            (&["ssh"][..], "22"),
            (&["http,https", "ssh"], "22, 80, 443"),
            (&["80:90", "85-100", "101", "7"], "7, 80-101"),
            (&["xmpp-client", "http-alt"], "5222, 8080"),
            (&["0:65535"], "0-65535"),
            (&["22", "all"], "all"),
        ] {
            assert_eq!(shown(words).as_deref(), Ok(expected), "{words:?}");
        }
        assert_eq!(
            shown(&["nosuch"]),
            Err(PortError::Unknown("nosuch".to_owned()))
        );
        assert_eq!(
            shown(&["65536"]),
            Err(PortError::Unknown("65536".to_owned()))
        );
        assert_eq!(
            shown(&["90:80"]),
            Err(PortError::Backwards("90:80".to_owned()))
        );
        assert_eq!(shown(&[]), Err(PortError::None));
        assert_eq!(shown(&[" , "]), Err(PortError::None));
    }

    proptest! {
        #[test]
        fn any_ports_end_up_apart(words in proptest::collection::vec("[0-9]{1,5}([:-][0-9]{1,5})?", 1..20)) {
            if let Ok(Ports::Some(ranges)) = Ports::parse(&words, &Services::well_known()) {
                prop_assert!(ranges.iter().all(|range| range.first <= range.last));
                prop_assert!(ranges.windows(2).all(|pair| u32::from(pair[0].last) + 1 < u32::from(pair[1].first)));
            }
        }

        #[test]
        fn any_text_can_stand_in_the_services_file(text in ".{0,200}", word in ".{0,20}") {
            let mut services = Services::well_known();
            services.learn(&text);
            let _ = Ports::parse(&[word], &services);
        }
    }
}
