//! Who is never banned?
//!
//! The rules that the configuration states, and sets of addresses that are kept outside and change while f2bd runs:
//! whoever keeps one says what it holds now by an input. This is only the answer; what to do about it is `core`'s.

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::sync::Arc;

use super::atlas::Region;
use super::prefix::Prefix;

/// By which key a set is named, as long as nothing else is said.
pub const IGNOREIP: &str = "ignoreip";

/// Addresses and networks that are never banned, each with the words it was written with.
#[derive(Clone, Debug, Default)]
pub struct IgnoreList {
    /// The key that names these, in the place of [`IGNOREIP`].
    key: Option<&'static str>,
    rules: Vec<IgnoreRule>,
    allowed: AddressSet,
    regions: Vec<(Region, AddressSet)>,
    sets: Vec<(SetName, AddressSet)>,
}

/// One entry of an [`IgnoreList`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IgnoreRule {
    /// The addresses it covers.
    pub prefix: Prefix,
    /// Where it comes from, for `explain`: `ignoreip 10.0.0.0/8`, `an address of this machine`.
    pub because: Box<str>,
}

/// Which addresses a set holds.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum SetName {
    /// Those of a host.
    Host(Box<str>),
    /// Those that a file lists.
    File(Box<str>),
    /// Those that a program wants to be spared, given by its words.
    Command(Box<[Box<str>]>),
    /// This machine's own.
    Own,
    /// Those of whoever would be locked out, in no jail's list: no jail bans them while they are here, yet their failures
    /// count, and bans that there are stay.
    Guarded,
}

/// What a set holds, by address, so that a long list costs hardly more than a short one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AddressSet {
    /// In order; none shares an address with another.
    rules: Arc<[IgnoreRule]>,
}

impl IgnoreList {
    /// A list of these rules.
    pub fn new(rules: Vec<IgnoreRule>) -> Self {
        IgnoreList {
            key: None,
            rules,
            allowed: AddressSet::default(),
            regions: Vec::new(),
            sets: Vec::new(),
        }
    }

    /// The same with what these sets will hold; at first it is nothing.
    pub fn with(mut self, sets: BTreeSet<SetName>) -> Self {
        let sets = sets.into_iter().map(|set| (set, AddressSet::default()));
        self.sets.extend(sets);
        self
    }

    /// The same with the networks of these regions.
    pub fn with_regions(mut self, regions: Vec<(Region, AddressSet)>) -> Self {
        self.regions = regions;
        self
    }

    /// The same, named by another key than [`IGNOREIP`]; its rules say so already.
    pub fn named_by(mut self, key: &'static str) -> Self {
        self.key = Some(key);
        for (_, networks) in &mut self.regions {
            *networks = networks.named_by(key);
        }
        self
    }

    /// The regions.
    pub fn regions(&self) -> impl Iterator<Item = Region> {
        self.regions.iter().map(|(region, _)| *region)
    }

    /// The rule that keeps `address` from being counted.
    pub fn covers(&self, address: IpAddr) -> Option<&IgnoreRule> {
        self.protects(Prefix::host(address))
    }

    /// The set that keeps `address` from being counted, if no rule does that the configuration states by itself.
    pub fn set_of(&self, address: IpAddr) -> Option<&SetName> {
        let subject = Prefix::host(address);
        let is_stated = self.rules.iter().any(|rule| rule.prefix.holds(subject));
        let mut sets = self.sets.iter().filter(|_| !is_stated);
        let holds = sets.find(|(_, held)| held.find(&subject).is_some());
        holds.map(|(set, _)| set)
    }

    /// The rule that keeps `subject` from being banned: one that shares any address with it.
    #[inline]
    pub fn protects(&self, subject: Prefix) -> Option<&IgnoreRule> {
        let stated = self
            .rules
            .iter()
            .find(|rule| rule.prefix.overlaps(&subject));
        stated.or_else(|| self.holds(&subject))
    }

    fn holds(&self, subject: &Prefix) -> Option<&IgnoreRule> {
        let held = self.sets.iter().map(|(_, held)| held);
        let regions = self.regions.iter().map(|(_, networks)| networks);
        let mut held = held.chain([&self.allowed]).chain(regions);
        held.find_map(|held| held.find(subject))
    }

    /// Takes up further rules and sets; those that it has stay as they are.
    pub fn extend(&mut self, rules: Vec<IgnoreRule>, sets: impl IntoIterator<Item = SetName>) {
        for rule in rules {
            if !self.rules.iter().any(|known| known.prefix == rule.prefix) {
                self.rules.push(rule);
            }
        }
        for set in sets {
            if !self.sets.iter().any(|(known, _)| *known == set) {
                self.sets.push((set, AddressSet::default()));
            }
        }
    }

    /// Gives up rules and sets; whether there were any of them.
    pub fn give_up(
        &mut self,
        rule: impl Fn(&IgnoreRule) -> bool,
        set: impl Fn(&SetName) -> bool,
    ) -> bool {
        let before = (self.rules.len(), self.sets.len());
        self.rules.retain(|one| !rule(one));
        self.sets.retain(|(name, _)| !set(name));
        before != (self.rules.len(), self.sets.len())
    }

    /// Takes note of what a set holds now; whether that is something else than before.
    pub fn fill(&mut self, set: &SetName, addresses: &AddressSet) -> bool {
        let place = self.sets.iter_mut().find(|(name, _)| name == set);
        place.is_some_and(|(_, held)| match self.key {
            Some(key) => held.become_like(&addresses.named_by(key)),
            None => held.become_like(addresses),
        })
    }

    /// Takes note of whom the administrator allows for a time; whether that is something else than before.
    pub fn allow(&mut self, addresses: &AddressSet) -> bool {
        self.allowed.become_like(addresses)
    }

    /// The sets, each with what it holds.
    pub fn sets(&self) -> impl Iterator<Item = (&SetName, &AddressSet)> {
        self.sets.iter().map(|(name, held)| (name, held))
    }

    /// The program that is asked whom it spares.
    pub fn command(&self) -> Option<&SetName> {
        let mut sets = self.sets.iter().map(|(name, _)| name);
        sets.find(|set| matches!(set, SetName::Command(_)))
    }

    /// The rules that the configuration states by themselves, in its order.
    pub fn stated(&self) -> impl Iterator<Item = &IgnoreRule> {
        self.rules.iter()
    }

    /// All rules but the many of regions, those of the configuration first and in its order.
    pub fn rules(&self) -> impl Iterator<Item = &IgnoreRule> {
        let held = self.sets.iter().flat_map(|(_, held)| held.rules.iter());
        self.rules.iter().chain(held)
    }
}

impl AddressSet {
    /// A set of these; of rules that hold one another the widest stays.
    pub fn new(mut rules: Vec<IgnoreRule>) -> Self {
        // A network comes right before what is inside it.
        rules.sort_by_key(|rule| rule.prefix);
        rules.dedup_by(|inner, outer| outer.prefix.holds(inner.prefix));
        AddressSet {
            rules: rules.into(),
        }
    }

    /// The same with rules that name another key than [`IGNOREIP`].
    fn named_by(&self, key: &str) -> Self {
        let named = |rule: &IgnoreRule| IgnoreRule {
            prefix: rule.prefix,
            because: match rule.because.strip_prefix(IGNOREIP) {
                Some(words) => format!("{key}{words}").into(),
                None => rule.because.clone(),
            },
        };
        AddressSet {
            rules: self.rules.iter().map(named).collect(),
        }
    }

    /// Whether it was another one.
    fn become_like(&mut self, other: &AddressSet) -> bool {
        let is_new = self != other;
        self.clone_from(other);
        is_new
    }

    /// The rule that shares an address with `subject`.
    pub fn find(&self, subject: &Prefix) -> Option<&IgnoreRule> {
        // As most are in which every failure is looked for.
        if self.rules.is_empty() {
            return None;
        }
        // A network around the subject begins before it, or where it begins; what is inside it comes next.
        let next = self.rules.partition_point(|rule| rule.prefix <= *subject);
        let near = self.rules.get(next.saturating_sub(1)..).into_iter();
        let mut near = near.flatten().take(2);
        near.find(|rule| rule.prefix.overlaps(subject))
    }
}

impl Default for AddressSet {
    fn default() -> Self {
        AddressSet::new(Vec::new())
    }
}

#[cfg(test)]
mod tests {
    use std::net::{Ipv4Addr, Ipv6Addr};

    use proptest::prelude::*;

    use super::*;

    /// Few addresses near each other, so that many networks hold one another.
    fn prefix() -> impl Strategy<Value = Prefix> {
        (0_u8..64, 26_u8..=32, any::<bool>()).prop_map(|(last, width, wide)| match wide {
            true => Prefix::network(Ipv6Addr::from_bits(u128::from(last)).into(), width + 96),
            false => Prefix::network(Ipv4Addr::new(192, 0, 2, last).into(), width),
        })
    }

    proptest! {
        #[test]
        fn a_set_finds_what_a_list_finds(
            prefixes in prop::collection::vec(prefix(), 0..20), subject in prefix(),
        ) {
            let rule = |prefix: &Prefix| IgnoreRule { prefix: *prefix, because: "".into() };
            let set = AddressSet::new(prefixes.iter().map(rule).collect());
            let shared = prefixes.iter().any(|prefix| prefix.overlaps(&subject));
            prop_assert_eq!(set.find(&subject).is_some(), shared);
        }
    }
}
