//! Who has failed how often?
//!
//! In: the hosts of failures, which attackers choose. Out: how often and when each has failed, in bounded memory: if there
//! are too many hosts, those that have failed least are forgotten. Who fails more often than the others stays. Of more hosts
//! than there is room for that come in turn, each is forgotten before it comes again, and its number is too low: to know
//! better takes room for all of them.

use std::cmp::Ordering;
use std::hash::Hash;
use std::net::{IpAddr, Ipv6Addr};

use foldhash::HashMap;

use crate::engine::filter::Found;
use crate::engine::time::Timestamp;

/// The most addresses that are told apart: as many as a table with places for 65,536 takes, two megabytes.
pub const MOST_ADDRESSES: usize = 57_344;

/// The most names: they are rare, but longer.
pub const MOST_NAMES: usize = 3_584;

/// No host has a longer name.
const LONGEST_NAME: usize = 253;

/// How often and when somebody has failed. It is small because there are so many: with 64 bits a number, the table was
/// twice as large.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tally {
    failures: u32,
    /// In seconds since 1970.
    first: u32,
    last: u32,
}

impl Tally {
    /// How often.
    pub fn failures(&self) -> u64 {
        u64::from(self.failures)
    }

    /// When for the first time, by the records' own account, and in whole seconds.
    pub fn first(&self) -> Timestamp {
        Timestamp::from_micros(i64::from(self.first) * 1_000_000)
    }

    /// When for the last time.
    pub fn last(&self) -> Timestamp {
        Timestamp::from_micros(i64::from(self.last) * 1_000_000)
    }

    fn begun(time: Timestamp) -> Self {
        let second = time.as_micros().div_euclid(1_000_000);
        let second = u32::try_from(second.max(0)).unwrap_or(u32::MAX);
        Tally {
            failures: 1,
            first: second,
            last: second,
        }
    }

    fn add(&mut self, second: u32) {
        self.failures = self.failures.saturating_add(1);
        self.first = self.first.min(second);
        self.last = self.last.max(second);
    }
}

/// A host.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Host<'h> {
    /// Its address.
    Address(IpAddr),
    /// Its name, which nobody has looked up.
    Name(&'h str),
}

/// How often each host has failed.
#[derive(Debug, Default)]
pub struct Hosts {
    /// IPv4 addresses are written as IPv6, and those as numbers.
    addresses: HashMap<u128, Tally>,
    names: HashMap<Box<str>, Tally>,
    forgotten: u64,
}

impl Hosts {
    /// Counts a failure.
    pub fn add(&mut self, found: &Found<'_>, time: Timestamp) {
        match found.ip {
            Some(address) => self.add_address(address, time),
            None if found.host.is_empty() => {}
            None => self.add_name(&found.host, time),
        }
    }

    /// The same of an address.
    pub fn add_address(&mut self, address: IpAddr, time: Timestamp) {
        let address = match address {
            IpAddr::V4(address) => address.to_ipv6_mapped().to_bits(),
            IpAddr::V6(address) => address.to_bits(),
        };
        let begun = Tally::begun(time);
        if let Some(tally) = self.addresses.get_mut(&address) {
            return tally.add(begun.first);
        }
        self.forgotten += make_room(&mut self.addresses, MOST_ADDRESSES);
        self.addresses.insert(address, begun);
    }

    fn add_name(&mut self, name: &str, time: Timestamp) {
        let begun = Tally::begun(time);
        if let Some(tally) = self.names.get_mut(name) {
            return tally.add(begun.first);
        }
        if name.len() > LONGEST_NAME {
            self.forgotten += 1;
            return;
        }
        self.forgotten += make_room(&mut self.names, MOST_NAMES);
        self.names.insert(name.into(), begun);
    }

    /// All that are remembered, those with the most failures first.
    pub fn sorted(&self) -> Vec<(Host<'_>, Tally)> {
        let addresses = self.addresses.iter().map(|(address, tally)| {
            let address = IpAddr::V6(Ipv6Addr::from_bits(*address)).to_canonical();
            (Host::Address(address), *tally)
        });
        let names = self.names.iter();
        let names = names.map(|(name, tally)| (Host::Name(name), *tally));
        let mut hosts: Vec<_> = addresses.chain(names).collect();
        hosts.sort_unstable_by(|(host, tally), (other, others)| {
            let failures = others.failures.cmp(&tally.failures);
            failures.then_with(|| host.cmp(other))
        });
        hosts
    }

    /// How many there are, and whether these are all: none has been forgotten.
    pub fn count(&self) -> (usize, bool) {
        (self.addresses.len() + self.names.len(), self.forgotten == 0)
    }

    /// The addresses that have failed most, so many at the most, the one with the most failures first.
    pub fn worst(&self, most: usize) -> Vec<IpAddr> {
        let hosts = self.sorted().into_iter();
        let addresses = hosts.filter_map(|(host, _)| match host {
            Host::Address(address) => Some(address),
            Host::Name(_) => None,
        });
        addresses.take(most).collect()
    }

    /// The failures of hosts that were forgotten.
    pub fn forgotten(&self) -> u64 {
        self.forgotten
    }
}

/// If there are `most`, an eighth is forgotten, those with the fewest and oldest failures. Tells how many failures they
/// had.
fn make_room<K: Hash + Eq>(tallies: &mut HashMap<K, Tally>, most: usize) -> u64 {
    if tallies.len() < most {
        return 0;
    }
    let weight = |tally: &Tally| (tally.failures, tally.last);
    let mut weights: Vec<_> = tallies.values().map(weight).collect();
    let surplus = most / 8;
    let (lighter, limit, _) = weights.select_nth_unstable(surplus - 1);
    // Of those that weigh the same, as many as are too many.
    let mut alike = 1 + lighter.iter().filter(|weight| *weight == limit).count();
    let mut forgotten = 0;
    tallies.retain(|_, tally| {
        let stays = match weight(tally).cmp(limit) {
            Ordering::Less => false,
            Ordering::Equal if alike > 0 => {
                alike -= 1;
                false
            }
            Ordering::Equal | Ordering::Greater => true,
        };
        if !stays {
            forgotten += tally.failures();
        }
        stays
    });
    forgotten
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use super::*;

    fn fail(hosts: &mut Hosts, host: &str, second: i64) {
        let found = Found {
            pattern: 1,
            host: host.into(),
            ip: host.parse().ok(),
            user: None,
            target: None,
            forwarded: None,
            session: None,
            unless_counted: false,
            said: None,
            line: b"",
        };
        hosts.add(&found, Timestamp::from_micros(second * 1_000_000 + 1));
    }

    #[test]
    fn failures_are_counted_by_host() {
        let mut hosts = Hosts::default();
        for (host, second) in [
            ("192.0.2.7", 20),
            ("::ffff:192.0.2.7", 10),
            ("evil.example.org", 30),
            ("192.0.2.7", 15),
            ("2001:db8::7", -5),
        ] {
            fail(&mut hosts, host, second);
        }
        fail(&mut hosts, &"x".repeat(LONGEST_NAME + 1), 1);
        let told = |(host, tally): &(Host<'_>, Tally)| {
            let host = match host {
                Host::Address(ip) => ip.to_string(),
                Host::Name(name) => (*name).to_owned(),
            };
            (host, tally.failures, tally.first, tally.last)
        };
        assert_eq!(
            hosts.sorted().iter().map(told).collect::<Vec<_>>(),
            [
                ("192.0.2.7".to_owned(), 3, 10, 20),
                ("2001:db8::7".to_owned(), 1, 0, 0),
                ("evil.example.org".to_owned(), 1, 30, 30),
            ]
        );
        assert_eq!(hosts.forgotten(), 1);
    }

    #[test]
    fn who_fails_much_is_never_forgotten() {
        let mut hosts = Hosts::default();
        let rare = |number: u32| Ipv4Addr::from(0x0a00_0000 + number).to_string();
        let most = u32::try_from(MOST_ADDRESSES).expect("a small number");
        for number in 0..2 * most {
            fail(&mut hosts, &rare(number), 1);
            if number % 10 == 0 {
                fail(&mut hosts, "192.0.2.7", i64::from(number));
            }
        }
        let sorted = hosts.sorted();
        assert!(sorted.len() <= MOST_ADDRESSES && sorted.len() > MOST_ADDRESSES / 2);
        let (first, tally) = &sorted[0];
        assert_eq!(*first, Host::Address([192, 0, 2, 7].into()));
        assert_eq!(tally.failures(), u64::from((2 * most).div_ceil(10)));
        let told: u64 = sorted.iter().map(|(_, tally)| tally.failures()).sum();
        let all = u64::from(2 * most + (2 * most).div_ceil(10));
        assert_eq!(told + hosts.forgotten(), all);
    }

    #[test]
    fn those_with_the_fewest_failures_are_forgotten() {
        let most = 800;
        let tally = |failures| Tally {
            failures,
            first: 0,
            last: 0,
        };
        let all = (1..=most as u32).map(|failures| (failures, tally(failures)));
        let mut tallies: HashMap<_, _> = all.collect();
        assert_eq!(make_room(&mut tallies, most), (1..=100).sum::<u64>());
        assert_eq!(tallies.keys().min(), Some(&101));
        assert_eq!(make_room(&mut tallies, most), 0);
    }

    #[test]
    fn names_are_bounded_too() {
        let mut hosts = Hosts::default();
        for number in 0..2 * MOST_NAMES {
            fail(&mut hosts, &format!("host{number}.example.org"), 1);
        }
        assert!(hosts.names.len() <= MOST_NAMES);
        assert_eq!(
            hosts.forgotten() + hosts.names.len() as u64,
            2 * MOST_NAMES as u64
        );
    }
}
