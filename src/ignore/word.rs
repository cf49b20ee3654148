//! What can be written where addresses are listed that are never banned?

use std::net::IpAddr;

use ipnet::{IpNet, IpSubnets, Ipv4Subnets, Ipv6Subnets};

use crate::engine::policy::SetName;
use crate::engine::prefix::{Prefix, PrefixError};

/// The longest name that the domain name system knows.
const LONGEST_HOST_NAME: usize = 253;

/// A word of `ignoreip`, or a line of a list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Word {
    /// These networks: one, or what a range comes to.
    Networks(Vec<Prefix>),
    /// What a set holds.
    Set(SetName),
}

impl Word {
    /// Understands a word.
    ///
    /// # Errors
    /// It is nothing of the kind.
    pub fn parse(word: &str) -> Result<Word, PrefixError> {
        match word.parse::<Prefix>() {
            Ok(prefix) => Ok(Word::Networks(vec![prefix])),
            Err(error) => match range(word) {
                Some(networks) => Ok(Word::Networks(networks)),
                None if word == "own" => Ok(Word::Set(SetName::Own)),
                None if word.starts_with('/') => Ok(Word::Set(SetName::File(word.into()))),
                None if is_host_name(word) => Ok(Word::Set(SetName::Host(word.into()))),
                None => Err(error),
            },
        }
    }
}

/// The networks that a range of addresses comes to, such as `192.0.2.1-192.0.2.9`: with all 128 bits 254 at the most.
fn range(word: &str) -> Option<Vec<Prefix>> {
    let (first, last) = word.split_once('-')?;
    let address = |text: &str| text.trim().parse::<IpAddr>().ok();
    let networks = match (
        address(first)?.to_canonical(),
        address(last)?.to_canonical(),
    ) {
        (IpAddr::V4(first), IpAddr::V4(last)) if first <= last => {
            IpSubnets::from(Ipv4Subnets::new(first, last, 0))
        }
        (IpAddr::V6(first), IpAddr::V6(last)) if first <= last => {
            IpSubnets::from(Ipv6Subnets::new(first, last, 0))
        }
        _ => return None,
    };
    let prefix = |network: IpNet| Prefix::network(network.addr(), network.prefix_len());
    Some(networks.map(prefix).collect())
}

/// A name with a letter in it, so that a mistyped address is none.
fn is_host_name(word: &str) -> bool {
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '.' | '_');
    let last = word
        .trim_end_matches('.')
        .rsplit('.')
        .next()
        .unwrap_or_default();
    word.len() <= LONGEST_HOST_NAME
        && word.chars().all(plain)
        && last.starts_with(|c: char| c.is_ascii_alphabetic())
}

#[cfg(test)]
mod tests {
    use std::net::{Ipv4Addr, Ipv6Addr};

    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_range_is_all_from_the_first_to_the_last(
            first in any::<u32>(), length in 0_u32..5_000, other in any::<u32>(), wide in any::<bool>(),
        ) {
            let last = first.saturating_add(length);
            let address = |number: u32| match wide {
                true => IpAddr::from(Ipv6Addr::from_bits(u128::from(number) << 40 | 1 << 125)),
                false => IpAddr::from(Ipv4Addr::from_bits(number)),
            };
            let word = format!("{}-{}", address(first), address(last));
            let networks = range(&word).expect("a range");
            prop_assert!(networks.len() <= 254);
            let near = [first.wrapping_sub(1), first, last, last.wrapping_add(1), other];
            for number in near {
                let is_in = networks.iter().any(|network| network.contains(address(number)));
                prop_assert_eq!(is_in, (first..=last).contains(&number), "{}", number);
            }
        }
    }

    #[test]
    fn what_is_no_range_is_none() {
        for word in [
            "192.0.2.9-192.0.2.1",
            "192.0.2.1-::1",
            "192.0.2.1-",
            "a-b",
            "192.0.2.1-9",
            "::1-::2-::3",
        ] {
            assert_eq!(range(word), None, "{word}");
        }
    }

    #[test]
    fn a_mistyped_address_is_no_host_name() {
        assert!(is_host_name("home.example.org") && is_host_name("localhost"));
        for word in [
            "192.0.2.300",
            "10.0.0.0/33",
            "2001:db8::/129",
            "",
            "a b",
            "-",
        ] {
            assert!(!is_host_name(word), "{word}");
        }
    }
}
