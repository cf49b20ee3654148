//! Which sets do jails need, and in which of them does a subject stand?
//!
//! Pure. A jail has four sets: of either family one for its usual subjects and one for all other networks. The usual
//! ones are in a hash set even if they are networks, because the rule masks the address before it looks: single
//! additions to an interval set of 100,000 take 20 ms each, to a hash set 5 µs. Jails that share their sets have one
//! hash set for each width that one of them takes for usual.

use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::super::ActionJail;
use crate::engine::name::JailName;
use crate::engine::prefix::{Prefix, SubjectWidth};

/// Whether jails have sets of their own.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Sharing {
    /// Each has its own.
    Jail(Prefixes),
    /// All have the same: a packet is looked for once, whatever the number of jails.
    All,
}

/// How the names begin of the sets that hold single hosts, before the names of their jails; as f2bd names them if nothing
/// is said. Names of jails have no `/`, nor have these, so no other set of ours is called so.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Prefixes {
    /// Of IPv4.
    pub ipv4: Option<String>,
    /// Of IPv6.
    pub ipv6: Option<String>,
}

/// A set.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Set {
    /// Its name in the kernel. Names of jails have no `/`, so two sets never share one; another width makes
    /// another set, since its members would mean something else.
    pub name: String,
    /// Whether it is for IPv6.
    pub ipv6: bool,
    /// The width of its members, whose rest the rule masks away; `None` for a set of networks of any width.
    pub width: Option<u8>,
    /// The width of the usual subjects.
    pub usual: u8,
}

/// Jails that have their sets in common, which may be one alone.
#[derive(Debug)]
pub struct Group<'j> {
    /// The jails.
    pub jails: Vec<&'j ActionJail>,
    /// Their sets: of either family those of usual subjects, and then that of networks.
    pub sets: Vec<Set>,
}

/// The jails with their sets; no group without a jail.
pub fn groups<'j>(
    sharing: &Sharing,
    jails: impl IntoIterator<Item = &'j ActionJail>,
) -> Vec<Group<'j>> {
    let jails = jails.into_iter();
    match sharing {
        Sharing::Jail(prefixes) => jails
            .map(|jail| Group::new(Some((&jail.label, prefixes)), vec![jail]))
            .collect(),
        Sharing::All => {
            let all: Vec<_> = jails.collect();
            let group = (!all.is_empty()).then(|| Group::new(None, all));
            group.into_iter().collect()
        }
    }
}

impl<'j> Group<'j> {
    fn new(name: Option<(&JailName, &Prefixes)>, jails: Vec<&'j ActionJail>) -> Group<'j> {
        let mut sets = Vec::new();
        for (family, ipv6) in [("ipv4", false), ("ipv6", true)] {
            let of = |width: SubjectWidth| if ipv6 { width.ipv6 } else { width.ipv4 };
            let prefix = name.and_then(|(_, prefixes)| match ipv6 {
                true => prefixes.ipv6.as_ref(),
                false => prefixes.ipv4.as_ref(),
            });
            let whole = if ipv6 { 128 } else { 32 };
            let prefix_of = |width: u8| prefix.filter(|_| width == whole);
            let name = |kind: &str| match name {
                Some((jail, _)) => format!("{family}{kind}/{jail}"),
                None => format!("all-{family}{kind}"),
            };
            let widths: BTreeSet<u8> = jails.iter().map(|jail| of(jail.width)).collect();
            sets.extend(widths.iter().map(|width| {
                let is_default = *width == of(SubjectWidth::DEFAULT);
                let kind = (!is_default).then(|| format!("-{width}"));
                let own = name(&kind.unwrap_or_default());
                let prefixed = prefix_of(*width)
                    .zip(jails.first())
                    .map(|(prefix, jail)| format!("{prefix}{}", jail.label));
                Set {
                    name: prefixed.unwrap_or(own),
                    ipv6,
                    width: Some(*width),
                    usual: *width,
                }
            }));
            sets.push(Set {
                name: name("-networks"),
                ipv6,
                width: None,
                usual: widths.last().copied().unwrap_or_default(),
            });
        }
        Group { jails, sets }
    }

    /// Where among the sets the one is that the subject belongs in.
    pub fn place_of(&self, subject: Prefix) -> Option<usize> {
        let ipv6 = subject.address().is_ipv6();
        self.sets.iter().position(|set| {
            let is_its_width = set.width.is_none_or(|width| width == subject.width());
            set.ipv6 == ipv6 && is_its_width
        })
    }
}

impl Set {
    /// What nft calls its members.
    pub fn data_type(&self) -> &'static str {
        if self.ipv6 { "ipv6_addr" } else { "ipv4_addr" }
    }

    /// What nft has to know of it.
    pub fn flags(&self) -> &'static str {
        if self.width.is_some() {
            "timeout"
        } else {
            "interval,timeout"
        }
    }

    /// The words of a rule for as much of a packet's source as makes one subject.
    pub fn subject(&self) -> String {
        self.source(self.usual)
    }

    /// The words of a rule that look for the members of this set.
    pub fn from(&self) -> String {
        // Networks are looked for with all bits.
        let source = self.source(self.width.unwrap_or(128));
        format!("{source} @{}", self.name)
    }

    /// Whether a set of this name is this one, or was made beside it by the same template.
    pub fn owns(&self, name: &str) -> bool {
        // Names of jails have no `/`.
        let rest = name.strip_prefix(&self.name);
        rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    }

    fn source(&self, width: u8) -> String {
        let source = if self.ipv6 { "ip6 saddr" } else { "ip saddr" };
        let whole = if self.ipv6 { 128 } else { 32 };
        match width < whole {
            true => format!("{source} & {}", mask(self.ipv6, width)),
            false => source.to_owned(),
        }
    }
}

fn mask(ipv6: bool, width: u8) -> IpAddr {
    let ones = if ipv6 {
        IpAddr::V6(Ipv6Addr::from(u128::MAX))
    } else {
        IpAddr::V4(Ipv4Addr::BROADCAST)
    };
    Prefix::network(ones, width).address()
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use proptest::prelude::*;

    use super::super::super::ports::{Ports, Protocol};
    use super::super::ruleset::is_plain;
    use super::*;

    fn jail(name: &str, ipv4: u8, ipv6: u8) -> ActionJail {
        ActionJail {
            jail: name.parse().expect("a name"),
            label: name.parse().expect("a name"),
            ports: Ports::All,
            protocols: vec![Protocol::Tcp],
            width: SubjectWidth { ipv4, ipv6 },
        }
    }

    fn place(groups: &[Group], subject: &str) -> String {
        let subject: Prefix = subject.parse().expect("a subject");
        let group = groups.first().expect("a group");
        let at = group.place_of(subject).expect("every subject has a set");
        group.sets[at].name.clone()
    }

    #[test]
    fn every_subject_has_one_set() {
        let jail = jail("sshd", 32, 64);
        let of = groups(&Sharing::Jail(Prefixes::default()), [&jail]);
        assert_eq!(place(&of, "192.0.2.7"), "ipv4/sshd");
        assert_eq!(place(&of, "192.0.2.0/24"), "ipv4-networks/sshd");
        assert_eq!(place(&of, "2001:db8::/64"), "ipv6/sshd");
        assert_eq!(place(&of, "2001:db8::7"), "ipv6-networks/sshd");
    }

    #[test]
    fn jails_that_share_have_a_set_for_each_usual_width() {
        let (one, two) = (jail("one", 32, 64), jail("two", 24, 64));
        let of = groups(&Sharing::All, [&one, &two]);
        assert_eq!(of.len(), 1);
        assert_eq!(place(&of, "192.0.2.7"), "all-ipv4");
        assert_eq!(place(&of, "192.0.2.0/24"), "all-ipv4-24");
        assert_eq!(place(&of, "192.0.0.0/16"), "all-ipv4-networks");
        assert_eq!(place(&of, "2001:db8::/64"), "all-ipv6");
        assert_eq!(place(&of, "2001:db8::7"), "all-ipv6-networks");
        assert!(groups(&Sharing::All, []).is_empty());
    }

    #[test]
    fn addresses_are_masked_to_the_width_of_subjects() {
        let words = |jail: &ActionJail| {
            let groups = groups(&Sharing::Jail(Prefixes::default()), [jail]);
            let sets = groups.iter().flat_map(|group| &group.sets);
            sets.map(Set::from).collect::<Vec<_>>()
        };
        assert_eq!(
            words(&jail("sshd", 32, 64)),
            [
                "ip saddr @ipv4/sshd",
                "ip saddr @ipv4-networks/sshd",
                "ip6 saddr & ffff:ffff:ffff:ffff:: @ipv6/sshd",
                "ip6 saddr @ipv6-networks/sshd",
            ]
        );
        assert_eq!(
            words(&jail("sshd", 24, 128)),
            [
                "ip saddr & 255.255.255.0 @ipv4-24/sshd",
                "ip saddr @ipv4-networks/sshd",
                "ip6 saddr @ipv6-128/sshd",
                "ip6 saddr @ipv6-networks/sshd",
            ]
        );
    }

    proptest! {
        #[test]
        fn no_two_jails_share_a_set_unless_they_are_to(names in proptest::collection::vec(
            ("[a-z0-9][a-z0-9._-]{0,6}|networks|24|ipv4|all|all-ipv4", 1..=32_u8, 1..=128_u8), 1..20,
        )) {
            let mut owner = HashMap::new();
            let jails: Vec<_> = names.iter().map(|(name, ipv4, ipv6)| jail(name, *ipv4, *ipv6)).collect();
            let both = [
                Sharing::Jail(Prefixes::default()),
                Sharing::Jail(Prefixes {
                    ipv4: Some("addr-set-".to_owned()),
                    ipv6: Some("addr6-set-".to_owned()),
                }),
                Sharing::All,
            ].map(|sharing| groups(&sharing, &jails));
            for group in both.iter().flatten() {
                let names: Vec<_> = group.jails.iter().map(|jail| &jail.jail).collect();
                let is_shared = group.sets.iter().all(|set| set.name.starts_with("all-"));
                for set in &group.sets {
                    prop_assert!(is_plain(&set.name));
                    prop_assert!(set.name.len() < 128);
                    let own = if is_shared { None } else { names.first().copied() };
                    let meaning = (own, set.ipv6, set.width);
                    prop_assert_eq!(owner.entry(set.name.clone()).or_insert(meaning), &meaning);
                }
            }
        }
    }
}
