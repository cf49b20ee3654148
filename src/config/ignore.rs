//! Who is never banned?
//!
//! In: the words of `ignoreip` and `ignoreself`. Out: an [`IgnoreList`]. This is the only place where the
//! configuration asks the network anything: host names are resolved here, all at once and not for long.

use std::collections::HashMap;
use std::net::{IpAddr, ToSocketAddrs};
use std::sync::mpsc;
use std::time::{Duration, Instant};

use ipnet::{IpNet, IpSubnets, Ipv4Subnets, Ipv6Subnets};

use super::problem::{Place, Problems};
use crate::engine::policy::{IgnoreList, IgnoreRule};
use crate::engine::prefix::Prefix;

/// How long all host names together may take; whoever is not known by then is reported.
const RESOLVE_WITHIN: Duration = Duration::from_secs(5);

/// Host names are resolved on a thread each; more would be a list of addresses.
const MOST_HOST_NAMES: usize = 64;

/// The longest name that the domain name system knows.
const LONGEST_HOST_NAME: usize = 253;

/// Makes ignore lists, asking for each host name and for the own addresses once.
#[derive(Debug, Default)]
pub struct Resolver {
    hosts: HashMap<String, Vec<IpAddr>>,
    own: Option<Vec<Prefix>>,
}

impl Resolver {
    /// Looks up all host names among the words; what is not found is reported where it is written.
    pub fn resolve(&mut self, words: &[(&str, &Place)], problems: &mut Problems) {
        let mut names: Vec<(&str, &Place)> = Vec::new();
        for (word, place) in words {
            // Also not one that is known already: two answers of one run could differ.
            let is_new =
                !names.iter().any(|(name, _)| name == word) && !self.hosts.contains_key(*word);
            if is_host_name(word) && word.parse::<Prefix>().is_err() && is_new {
                names.push((word, place));
            }
        }
        if names.len() > MOST_HOST_NAMES {
            let (_, place) = names[MOST_HOST_NAMES];
            let message = format!("more than {MOST_HOST_NAMES} host names in `ignoreip`");
            problems.error(place, message, "write their addresses or networks");
            names.truncate(MOST_HOST_NAMES);
        }
        let (answer, answers) = mpsc::channel();
        for (name, _) in &names {
            let (name, answer) = (String::from(*name), answer.clone());
            let asked = std::thread::Builder::new()
                .name("resolve".to_owned())
                .spawn(move || {
                    let addresses = (name.as_str(), 0_u16).to_socket_addrs();
                    let addresses =
                        addresses.map(|list| list.map(|address| address.ip()).collect());
                    // Nobody waits any more for an answer that comes too late.
                    let _ = answer.send((name, addresses));
                });
            if let Err(error) = asked {
                log::debug!("cannot ask for a host name: {error}");
            }
        }
        drop(answer);
        let deadline = Instant::now() + RESOLVE_WITHIN;
        while let Ok((name, addresses)) =
            answers.recv_timeout(deadline.saturating_duration_since(Instant::now()))
        {
            if let Ok(addresses) = addresses {
                self.hosts.insert(name, addresses);
            }
        }
        for (name, place) in names {
            if !self.hosts.contains_key(name) {
                let message =
                    format!("the host name `{name}` in `ignoreip` has no address at the moment");
                problems.warning(
                    place,
                    message,
                    "check the name, or write its address; `f2bd reload` asks anew",
                );
            }
        }
    }

    /// The list of a jail.
    pub fn list(
        &mut self,
        words: &[(&str, &Place)],
        own: bool,
        problems: &mut Problems,
    ) -> IgnoreList {
        let mut rules: Vec<IgnoreRule> = Vec::new();
        let mut add = |prefix: Prefix, because: String| {
            if !rules.iter().any(|rule| rule.prefix == prefix) {
                rules.push(IgnoreRule {
                    prefix,
                    because: because.into(),
                });
            }
        };
        for (word, place) in words {
            match word.parse::<Prefix>() {
                Ok(prefix) => add(prefix, format!("ignoreip {word}")),
                Err(_) if range(word).is_some() => {
                    for prefix in range(word).into_iter().flatten() {
                        add(prefix, format!("ignoreip {word}"));
                    }
                }
                Err(_) if is_host_name(word) => {
                    for address in self.hosts.get(*word).into_iter().flatten() {
                        add(Prefix::host(*address), format!("ignoreip {word}"));
                    }
                }
                Err(error) => problems.error(
                    place,
                    format!("`ignoreip`: {error}, nor a range or a host name"),
                    "write a list such as [\"192.0.2.7\", \"10.0.0.0/8\", \"10.0.0.1-10.0.0.9\", \"home.example.org\"]",
                ),
            }
        }
        if own {
            for prefix in self.own_addresses() {
                add(
                    *prefix,
                    "an address of this machine (ignoreself)".to_owned(),
                );
            }
        }
        IgnoreList::new(rules)
    }

    fn own_addresses(&mut self) -> &[Prefix] {
        self.own.get_or_insert_with(|| {
            let loopback = ["127.0.0.0/8", "::1"]
                .into_iter()
                .filter_map(|text| text.parse().ok());
            let own = if_addrs::get_if_addrs().unwrap_or_else(|error| {
                log::warn!("this machine's own addresses are unknown: {error}");
                Vec::new()
            });
            loopback
                .chain(
                    own.into_iter()
                        .map(|interface| Prefix::host(interface.ip())),
                )
                .collect()
        })
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
