//! Which elements does a set need?
//!
//! Pure: in go the bans of a jail and the time, out come elements with what is left of their time. Networks of
//! any width overlap as they please, elements of an interval set may not: they are laid flat here, each address
//! with the longest of the bans that cover it.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::num::NonZeroU64;

use crate::engine::prefix::Prefix;
use crate::engine::time::Timestamp;

/// The longest time an element can have, a hundred years; what ends later is without end. The kernel counts
/// in nanoseconds and refuses what would be more than 584 years.
const LONGEST_TIMEOUT_MS: u64 = 100 * 366 * 86_400_000;

/// An element of a set, as the kernel knows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Element {
    /// The address.
    pub key: IpAddr,
    /// Of an interval set: the first address that no longer belongs to the interval before.
    pub closes: bool,
    /// Milliseconds until the kernel removes it by itself; `None` if it does not.
    pub timeout: Option<NonZeroU64>,
}

/// What is left of a ban.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Left {
    Nothing,
    Milliseconds(NonZeroU64),
    Forever,
}

impl Left {
    /// Rounded up, so that nobody is let go early.
    fn of(until: Option<Timestamp>, now: Timestamp) -> Left {
        let Some(until) = until else {
            return Left::Forever;
        };
        let milliseconds = until.since(now).as_micros().div_ceil(1_000);
        match u64::try_from(milliseconds).map(NonZeroU64::new) {
            Ok(None) => Left::Nothing,
            Ok(Some(left)) if left.get() <= LONGEST_TIMEOUT_MS => Left::Milliseconds(left),
            _ => Left::Forever,
        }
    }

    fn timeout(self) -> Option<NonZeroU64> {
        match self {
            Left::Milliseconds(left) => Some(left),
            Left::Nothing | Left::Forever => None,
        }
    }
}

/// The element of a hash set; none if the ban is over.
pub fn of_subject(subject: Prefix, until: Option<Timestamp>, now: Timestamp) -> Option<Element> {
    match Left::of(until, now) {
        Left::Nothing => None,
        left => Some(Element {
            key: subject.address(),
            closes: false,
            timeout: left.timeout(),
        }),
    }
}

/// The elements of an interval set that holds all these networks, which are of one family.
pub fn of_networks(
    networks: impl IntoIterator<Item = (Prefix, Option<Timestamp>)>,
    now: Timestamp,
) -> Vec<Element> {
    let spans = networks
        .into_iter()
        .filter_map(|(network, until)| Span::new(network, Left::of(until, now)))
        .collect();
    let mut elements = Vec::new();
    for span in flatten(spans) {
        let begin = Element {
            key: span.address(span.first),
            closes: false,
            timeout: span.left.timeout(),
        };
        elements.push(begin);
        // An interval up to the last address has no end.
        if span.last < span.highest() {
            elements.push(Element {
                key: span.address(span.last + 1),
                closes: true,
                timeout: None,
            });
        }
    }
    elements
}

/// Addresses of one family as numbers, from `first` to `last`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Span {
    ipv6: bool,
    first: u128,
    last: u128,
    left: Left,
}

impl Span {
    fn new(network: Prefix, left: Left) -> Option<Span> {
        if left == Left::Nothing {
            return None;
        }
        let width = u32::from(network.width());
        let (ipv6, first, rest) = match network.address() {
            IpAddr::V4(address) => (false, u128::from(u32::from(address)), 32 - width),
            IpAddr::V6(address) => (true, u128::from(address), 128 - width),
        };
        let last = first | 1_u128.checked_shl(rest).map_or(u128::MAX, |size| size - 1);
        Some(Span {
            ipv6,
            first,
            last,
            left,
        })
    }

    fn highest(&self) -> u128 {
        if self.ipv6 {
            u128::MAX
        } else {
            u128::from(u32::MAX)
        }
    }

    fn address(&self, number: u128) -> IpAddr {
        match u32::try_from(number) {
            Ok(number) if !self.ipv6 => IpAddr::V4(Ipv4Addr::from(number)),
            _ => IpAddr::V6(Ipv6Addr::from(number)),
        }
    }
}

/// Makes of networks, two of which are either apart or one within the other, spans that are apart.
fn flatten(mut spans: Vec<Span>) -> Vec<Span> {
    // A network comes before those within it.
    spans.sort_unstable_by_key(|span| (span.first, std::cmp::Reverse(span.last)));
    let mut flat = Vec::with_capacity(spans.len());
    // The networks that the current one lies in, the outermost first; `first` of each moves on behind what has
    // been laid.
    let mut around: Vec<Span> = Vec::new();
    for mut span in spans {
        while around.last().is_some_and(|outer| outer.last < span.first) {
            lay_innermost(&mut around, &mut flat);
        }
        if let Some(outer) = around.last() {
            if outer.first < span.first {
                lay(
                    &mut flat,
                    Span {
                        last: span.first - 1,
                        ..*outer
                    },
                );
            }
            span.left = span.left.max(outer.left);
        }
        around.push(span);
    }
    while !around.is_empty() {
        lay_innermost(&mut around, &mut flat);
    }
    flat
}

fn lay_innermost(around: &mut Vec<Span>, flat: &mut Vec<Span>) {
    let Some(done) = around.pop() else { return };
    lay(flat, done);
    while around.pop_if(|outer| outer.last == done.last).is_some() {}
    if let Some(outer) = around.last_mut() {
        outer.first = done.last + 1;
    }
}

fn lay(flat: &mut Vec<Span>, span: Span) {
    match flat.last_mut() {
        Some(before) if before.left == span.left && before.last + 1 == span.first => {
            before.last = span.last
        }
        _ => flat.push(span),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const NOW: Timestamp = Timestamp::from_micros(1_000_000);

    fn until(seconds: i64) -> Option<Timestamp> {
        Some(Timestamp::from_micros((1 + seconds) * 1_000_000))
    }

    fn shown(networks: &[(&str, Option<Timestamp>)]) -> Vec<String> {
        let networks = networks
            .iter()
            .map(|(network, until)| (network.parse().expect("a network"), *until));
        of_networks(networks, NOW)
            .iter()
            .map(|element| match (element.closes, element.timeout) {
                (true, _) => format!("-{}", element.key),
                (false, None) => element.key.to_string(),
                (false, Some(left)) => format!("{}:{left}", element.key),
            })
            .collect()
    }

    #[test]
    fn time_left_is_rounded_up() {
        let host = "192.0.2.7".parse().expect("a host");
        let timeout = |micros: i64| {
            let until = Some(Timestamp::from_micros(1_000_000 + micros));
            of_subject(host, until, NOW).map(|element| element.timeout.map(NonZeroU64::get))
        };
        assert_eq!(timeout(0), None);
        assert_eq!(timeout(-5), None);
        assert_eq!(timeout(1), Some(Some(1)));
        assert_eq!(timeout(1_001), Some(Some(2)));
        assert_eq!(
            timeout(200 * 365 * 86_400_000_000),
            Some(None),
            "centuries are for ever"
        );
        assert_eq!(
            of_subject(host, None, NOW).map(|element| element.timeout),
            Some(None)
        );
    }

    #[test]
    fn networks_are_laid_flat() {
        assert_eq!(
            shown(&[("192.0.2.0/24", until(5))]),
            ["192.0.2.0:5000", "-192.0.3.0"]
        );
        // The longer ban within the shorter one outlives it.
        assert_eq!(
            shown(&[("10.0.0.0/8", until(5)), ("10.1.0.0/16", until(9))]),
            [
                "10.0.0.0:5000",
                "-10.1.0.0",
                "10.1.0.0:9000",
                "-10.2.0.0",
                "10.2.0.0:5000",
                "-11.0.0.0"
            ]
        );
        // The shorter ban within the longer one adds nothing.
        assert_eq!(
            shown(&[("10.0.0.0/8", None), ("10.255.0.0/16", until(9))]),
            ["10.0.0.0", "-11.0.0.0"]
        );
        assert_eq!(
            shown(&[("10.0.0.0/9", None), ("10.128.0.0/9", None)]),
            ["10.0.0.0", "-11.0.0.0"]
        );
        assert_eq!(shown(&[("0.0.0.0/0", None)]), ["0.0.0.0"]);
        assert_eq!(
            shown(&[("128.0.0.0/1", until(1)), ("255.255.255.255", None)]),
            ["128.0.0.0:1000", "-255.255.255.255", "255.255.255.255"]
        );
        assert_eq!(shown(&[("ffff::/16", None)]), ["ffff::"]);
        assert_eq!(
            shown(&[("::/0", until(1)), ("8000::/1", until(2))]),
            [":::1000", "-8000::", "8000:::2000"]
        );
        assert!(shown(&[("10.0.0.0/8", until(0))]).is_empty());
    }

    proptest! {
        /// Every address is banned for as long as the longest ban that covers it, and no interval overlaps.
        #[test]
        fn every_address_has_its_longest_ban(
            networks in proptest::collection::vec((0..=255_u8, 24..=32_u8, 0..5_i64), 0..20),
            high in proptest::bool::ANY,
        ) {
            let base = if high { 0xffff_ff00_u32 } else { 0 };
            let networks: Vec<_> = networks
                .into_iter()
                .map(|(host, width, seconds)| {
                    let address = Ipv4Addr::from(base | u32::from(host));
                    (Prefix::network(address.into(), width), until(seconds))
                })
                .collect();
            let elements = of_networks(networks.clone(), NOW);
            let order = |element: &Element| (element.key, !element.closes);
            prop_assert!(elements.windows(2).all(|pair| order(&pair[0]) < order(&pair[1])));
            prop_assert!(elements.windows(2).all(|pair| pair[0].closes != pair[1].closes));
            for host in 0..=255 {
                let address = IpAddr::from(Ipv4Addr::from(base | host));
                let expected = networks
                    .iter()
                    .filter(|(network, _)| network.contains(address))
                    .map(|(_, until)| Left::of(*until, NOW))
                    .max()
                    .unwrap_or(Left::Nothing);
                let found = elements.iter().rev().find(|element| element.key <= address);
                let found = match found {
                    Some(Element { closes: false, timeout: Some(left), .. }) => Left::Milliseconds(*left),
                    Some(Element { closes: false, timeout: None, .. }) => Left::Forever,
                    _ => Left::Nothing,
                };
                prop_assert_eq!(found, expected, "{}", address);
            }
        }
    }
}
