//! What is an address or a network, in one canonical form?
//!
//! IPv4-mapped IPv6 is folded and host bits are masked here, in [`Prefix`]'s constructors, and nowhere
//! else.

use std::cmp::Ordering;
use std::fmt;
use std::hash::{Hash, Hasher};
use std::net::IpAddr;
use std::str::FromStr;

use ipnet::{IpNet, Ipv4Net};

/// An address (all bits count) or a network, always canonical. In order, a network stands before all that it
/// holds, and behind that comes what begins after its last address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Prefix(IpNet);

/// An IPv4 subject as one number, in their order: every failure looks for its subject in several tables.
fn number(net: Ipv4Net) -> u64 {
    u64::from(net.addr().to_bits()) << 8 | u64::from(net.prefix_len())
}

impl Hash for Prefix {
    fn hash<H: Hasher>(&self, state: &mut H) {
        match self.0 {
            IpNet::V4(net) => state.write_u64(number(net)),
            IpNet::V6(net) => {
                state.write_u128(net.addr().to_bits());
                state.write_u8(net.prefix_len());
            }
        }
    }
}

impl Ord for Prefix {
    #[inline]
    fn cmp(&self, other: &Self) -> Ordering {
        match (&self.0, &other.0) {
            (IpNet::V4(net), IpNet::V4(other)) => number(*net).cmp(&number(*other)),
            (net, other) => net.cmp(other),
        }
    }
}

impl PartialOrd for Prefix {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

/// How many leading bits of an address make one subject, per address family.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct SubjectWidth {
    /// 1 to 32.
    pub ipv4: u8,
    /// 1 to 128.
    pub ipv6: u8,
}

impl SubjectWidth {
    /// One IPv4 address; one IPv6 customer network, since a host there has 2^64 addresses to choose from.
    pub const DEFAULT: SubjectWidth = SubjectWidth { ipv4: 32, ipv6: 64 };

    /// The subject that `address` belongs to.
    pub fn subject(self, address: IpAddr) -> Prefix {
        let host = Prefix::host(address);
        let width = match host.0 {
            IpNet::V4(_) => self.ipv4,
            IpNet::V6(_) => self.ipv6,
        };
        // Most are hosts, of which nothing has to be masked.
        match width >= host.width() {
            true => host,
            false => Prefix::network(host.address(), width),
        }
    }
}

impl Prefix {
    /// Exactly one address.
    #[inline]
    pub fn host(address: IpAddr) -> Self {
        // Without a canonical address in between: to copy what has just been written takes longer than all the rest.
        Prefix(match address {
            IpAddr::V4(address) => IpNet::V4(address.into()),
            IpAddr::V6(address) => match address.to_ipv4_mapped() {
                Some(address) => IpNet::V4(address.into()),
                None => IpNet::V6(address.into()),
            },
        })
    }

    /// The network of the first `width` bits of `address`; a width beyond the family's is the whole address.
    pub fn network(address: IpAddr, width: u8) -> Self {
        let folded = address.to_canonical();
        // An IPv4-mapped network is written with IPv6 widths: ::ffff:192.0.2.0/120 is 192.0.2.0/24.
        let width = match (address, folded) {
            (IpAddr::V6(_), IpAddr::V4(_)) => width.saturating_sub(96),
            _ => width,
        };
        let all = match folded {
            IpAddr::V4(_) => 32,
            IpAddr::V6(_) => 128,
        };
        if width >= all {
            return Prefix::host(folded);
        }
        match IpNet::new(folded, width) {
            Ok(net) => Prefix(net.trunc()),
            Err(_) => Prefix::host(folded),
        }
    }

    /// The first address of the subject.
    pub fn address(self) -> IpAddr {
        // As all of them are made, no bits of it are a host's.
        self.0.addr()
    }

    /// The last address of the subject.
    pub fn last(self) -> IpAddr {
        self.0.broadcast()
    }

    /// How many leading bits count.
    pub fn width(self) -> u8 {
        self.0.prefix_len()
    }

    /// Whether the subject is one address.
    pub fn is_host(self) -> bool {
        self.0.prefix_len() == self.0.max_prefix_len()
    }

    /// Whether `address` belongs to the subject.
    pub fn contains(self, address: IpAddr) -> bool {
        self.holds(Prefix::host(address))
    }

    /// Whether the two subjects share an address.
    #[inline]
    pub fn overlaps(&self, other: &Prefix) -> bool {
        self.is_like(other, self.width().min(other.width()))
    }

    /// Whether every address of `other` belongs to the subject.
    #[inline]
    pub fn holds(self, other: Prefix) -> bool {
        self.width() <= other.width() && self.is_like(&other, self.width())
    }

    /// Whether the first `width` bits are the same; no more of either count.
    #[inline]
    fn is_like(&self, other: &Prefix, width: u8) -> bool {
        // By hand, since every failure is held against many of them.
        match (&self.0, &other.0) {
            (IpNet::V4(net), IpNet::V4(other)) => {
                let differing = u64::from(net.addr().to_bits() ^ other.addr().to_bits());
                differing >> (32 - width) == 0
            }
            (IpNet::V6(net), IpNet::V6(other)) => {
                let differing = net.addr().to_bits() ^ other.addr().to_bits();
                let rest = differing.checked_shr(128 - u32::from(width));
                rest.unwrap_or(0) == 0
            }
            _ => false,
        }
    }

    /// The subject as people write it: a bare address, or a network in CIDR notation.
    pub fn plain(self) -> String {
        if self.is_host() {
            self.address().to_string()
        } else {
            self.0.to_string()
        }
    }
}

/// The address as it stands in a zone of the DNS, with a dot behind it.
pub fn reversed(address: IpAddr) -> String {
    match address {
        IpAddr::V4(address) => {
            let parts = address.octets().into_iter().rev();
            parts.map(|part| format!("{part}.")).collect()
        }
        IpAddr::V6(address) => {
            let parts = address.octets().into_iter().rev();
            parts
                .map(|part| format!("{:x}.{:x}.", part & 0xf, part >> 4))
                .collect()
        }
    }
}

/// Always CIDR: `192.0.2.7/32`, `2001:db8::/64`.
impl fmt::Display for Prefix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// The text is neither an address nor a network.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is neither an address nor a network in CIDR notation")]
pub struct PrefixError(String);

impl FromStr for Prefix {
    type Err = PrefixError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let wrong = || PrefixError(text.to_owned());
        match text.split_once('/') {
            None => text.parse().map(Prefix::host).map_err(|_| wrong()),
            Some((address, width)) => {
                let address: IpAddr = address.parse().map_err(|_| wrong())?;
                let width: u8 = width.parse().map_err(|_| wrong())?;
                let most = if address.is_ipv4() { 32 } else { 128 };
                let mapped_too_wide =
                    address.to_canonical().is_ipv4() && address.is_ipv6() && width < 96;
                if width > most || mapped_too_wide {
                    return Err(wrong());
                }
                Ok(Prefix::network(address, width))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_turned_round() {
        let of = |text: &str| reversed(text.parse().expect("an address"));
        assert_eq!(of("192.0.2.7"), "7.2.0.192.");
        assert_eq!(
            of("2001:db8::7"),
            "7.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.8.b.d.0.1.0.0.2."
        );
    }

    #[test]
    fn subjects_are_canonical() {
        for (text, canonical) in [
            ("192.0.2.7", "192.0.2.7/32"),
            ("192.0.2.7/24", "192.0.2.0/24"),
            ("::ffff:192.0.2.7", "192.0.2.7/32"),
            ("::ffff:192.0.2.7/120", "192.0.2.0/24"),
            ("2001:DB8::1/64", "2001:db8::/64"),
        ] {
            assert_eq!(
                text.parse::<Prefix>().map(|p| p.to_string()),
                Ok(canonical.to_owned())
            );
        }
        for text in [
            "",
            "192.0.2",
            "192.0.2.7/33",
            "::/129",
            "a/b",
            "192.0.2.7/",
            "::ffff:1.2.3.4/64",
        ] {
            assert!(text.parse::<Prefix>().is_err(), "{text}");
        }
    }

    #[test]
    fn an_ipv6_host_stands_for_its_network() {
        let subject =
            SubjectWidth::DEFAULT.subject("2001:db8:1:2:3::4".parse().expect("an address"));
        assert_eq!(subject.to_string(), "2001:db8:1:2::/64");
    }
}
