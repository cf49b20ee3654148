//! Which table, sets and rules does a list of jails need?
//!
//! Pure: in go the templates of the data file and the jails, out comes text for `nft -f`. Who is in the sets
//! is another question, which [`super::elements`] answers.
//!
//! A jail has four sets: of either family one for its usual subjects and one for all other networks. The usual
//! ones are in a hash set even if they are networks, because the rule masks the address before it looks: single
//! additions to an interval set of 100,000 take 20 ms each, to a hash set 5 µs.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::path::PathBuf;

use serde::Deserialize;

use super::super::ActionJail;
use super::super::ports::{PortRange, Ports, Protocol};
use super::super::template::Template;
use crate::engine::prefix::{Prefix, SubjectWidth};

/// An nftables action with all its parameters.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NftablesSpec {
    /// The table of family inet that is the action's own.
    pub table: String,
    /// What becomes of a banned host's packets.
    pub verdict: Verdict,
    /// What a banned host cannot reach.
    pub closes: Closes,
    /// What becomes of the table when the daemon ends.
    pub on_stop: OnStop,
    /// The program nft: a path, or a name to be looked for in PATH.
    pub nft: PathBuf,
    /// The text of the ruleset, parameters filled in.
    pub ruleset: Ruleset,
}

/// What becomes of a banned host's packets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// They vanish.
    Drop,
    /// They are answered: TCP with a reset, all else with an ICMP error.
    Reject,
}

/// What a banned host cannot reach.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Closes {
    /// The ports of the jail.
    Ports,
    /// Any port.
    All,
}

/// What becomes of the table when the daemon ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OnStop {
    /// It is removed, and nobody is banned any more.
    Remove,
    /// It stays, and bans end by themselves.
    Keep,
}

/// Templates of the parts of a ruleset: commands of nft(8) with `<placeholders>`.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Ruleset {
    /// Makes the table.
    pub table: String,
    /// Makes one set: `<set>`, `<type>`, `<flags>`.
    pub set: String,
    /// Makes the chains.
    pub chain: String,
    /// Adds one rule: `<to>` the ports of the jail, `<from>` the members of a set, `<verdict>`; perhaps with the name
    /// of that `<set>`, and the `<source>` of a packet, as much of it as makes one subject.
    pub rule: String,
}

/// A template that cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TemplateError {
    /// A placeholder that nothing stands for.
    #[error("nothing stands for `<{placeholder}>` in `{part}`; known here: {}", known.join(", "))]
    Unknown {
        /// The part of the ruleset.
        part: &'static str,
        /// The placeholder.
        placeholder: String,
        /// Those that could be meant.
        known: Vec<String>,
    },
    /// A placeholder without which the rules would not do their work.
    #[error("`{part}` does nothing with `<{placeholder}>`")]
    Missing {
        /// The part of the ruleset.
        part: &'static str,
        /// The placeholder.
        placeholder: &'static str,
    },
}

impl Ruleset {
    /// Checks that every placeholder can be filled in, and that none is missing that matters.
    ///
    /// # Errors
    /// The first one that is wrong.
    pub fn check(&self, parameters: &BTreeSet<&str>) -> Result<(), TemplateError> {
        for (part, text, needed, more) in [
            ("table", &self.table, &["table"][..], &[][..]),
            ("set", &self.set, &["table", "set", "type", "flags"], &[]),
            ("chain", &self.chain, &["table"], &[]),
            (
                "rule",
                &self.rule,
                &["table", "to", "from", "verdict"],
                &["set", "source"],
            ),
        ] {
            let template = Template::new(text);
            let used: BTreeSet<&str> = template.names().collect();
            let known = |name: &str| {
                parameters.contains(name) || needed.contains(&name) || more.contains(&name)
            };
            if let Some(placeholder) = used.iter().find(|name| !known(name)) {
                let known = needed.iter().chain(more).chain(parameters);
                let known = known.collect::<BTreeSet<_>>();
                return Err(TemplateError::Unknown {
                    part,
                    placeholder: (*placeholder).to_owned(),
                    known: known.into_iter().map(|name| format!("<{name}>")).collect(),
                });
            }
            if let Some(placeholder) = needed.iter().find(|name| !used.contains(*name)) {
                return Err(TemplateError::Missing { part, placeholder });
            }
        }
        Ok(())
    }

    /// The same with parameters filled in.
    pub fn with(&self, parameters: &BTreeMap<&str, &str>) -> Ruleset {
        let fill = |text: &str| {
            Template::new(text).fill(|name| parameters.get(name).map(|value| (*value).to_owned()))
        };
        Ruleset {
            table: fill(&self.table),
            set: fill(&self.set),
            chain: fill(&self.chain),
            rule: fill(&self.rule),
        }
    }
}

/// A set of one jail.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Set {
    /// Its name in the kernel. Names of jails have no `/`, so two sets never share one; another width makes
    /// another set, since its members would mean something else.
    pub name: String,
    /// Whether it is for IPv6.
    pub ipv6: bool,
    /// The width of its members, whose rest the rule masks away; `None` for a set of networks of any width.
    pub width: Option<u8>,
    /// The width of the jail's usual subjects.
    pub usual: u8,
}

impl Set {
    /// Whether the subject belongs in this one of its jail's sets.
    pub fn takes(&self, subject: Prefix, usual: SubjectWidth) -> bool {
        let ipv6 = subject.address().is_ipv6();
        let width = if ipv6 { usual.ipv6 } else { usual.ipv4 };
        ipv6 == self.ipv6 && (subject.width() == width) == self.width.is_some()
    }

    fn data_type(&self) -> &'static str {
        if self.ipv6 { "ipv6_addr" } else { "ipv4_addr" }
    }

    fn flags(&self) -> &'static str {
        if self.width.is_some() {
            "timeout"
        } else {
            "interval,timeout"
        }
    }

    /// The words of a rule for as much of a packet's source as makes one subject, or has so many bits.
    fn source(&self, width: u8) -> String {
        let source = if self.ipv6 { "ip6 saddr" } else { "ip saddr" };
        let whole = if self.ipv6 { 128 } else { 32 };
        match width < whole {
            true => format!("{source} & {}", mask(self.ipv6, width)),
            false => source.to_owned(),
        }
    }

    /// The words of a rule that look for the members of this set.
    fn from(&self) -> String {
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
}

/// The sets of one jail.
pub fn sets(jail: &ActionJail) -> [Set; 4] {
    let usual = |family: &str, width: u8, default: u8| {
        if width == default {
            format!("{family}/{}", jail.jail)
        } else {
            format!("{family}-{width}/{}", jail.jail)
        }
    };
    let SubjectWidth { ipv4, ipv6 } = jail.width;
    [
        Set {
            name: usual("ipv4", ipv4, SubjectWidth::DEFAULT.ipv4),
            ipv6: false,
            usual: ipv4,
            width: Some(ipv4),
        },
        Set {
            name: format!("ipv4-networks/{}", jail.jail),
            ipv6: false,
            usual: ipv4,
            width: None,
        },
        Set {
            name: usual("ipv6", ipv6, SubjectWidth::DEFAULT.ipv6),
            ipv6: true,
            usual: ipv6,
            width: Some(ipv6),
        },
        Set {
            name: format!("ipv6-networks/{}", jail.jail),
            ipv6: true,
            usual: ipv6,
            width: None,
        },
    ]
}

/// Makes the table and the sets, and leaves those that are there as they are.
pub fn prepare<'j>(spec: &NftablesSpec, jails: impl IntoIterator<Item = &'j ActionJail>) -> String {
    let mut text = lines(&spec.ruleset.table);
    let set_of = Template::new(&spec.ruleset.set);
    for set in jails.into_iter().flat_map(sets) {
        text += &lines(&set_of.fill(|name| {
            Some(match name {
                "set" => set.name.clone(),
                "type" => set.data_type().to_owned(),
                "flags" => set.flags().to_owned(),
                _ => return None,
            })
        }));
    }
    text
}

/// Begins with an empty table.
pub fn clear(spec: &NftablesSpec) -> String {
    format!(
        "{}delete table inet {}\n",
        lines(&spec.ruleset.table),
        spec.table
    )
}

/// Makes all chains and rules anew; removes the chains that were there, and the sets that no jail needs.
pub fn install<'j>(
    spec: &NftablesSpec,
    jails: impl IntoIterator<Item = &'j ActionJail>,
    old_chains: &[String],
    old_sets: &[String],
) -> String {
    let mut text = String::new();
    let table = &spec.table;
    // Rules first: a chain that another one jumps to cannot be deleted.
    for (command, names) in [
        ("flush chain", old_chains),
        ("delete chain", old_chains),
        ("delete set", old_sets),
    ] {
        for name in names.iter().filter(|name| is_plain(name)) {
            let _ = writeln!(text, "{command} inet {table} {name}");
        }
    }
    text += &lines(&spec.ruleset.chain);
    let rule = Template::new(&spec.ruleset.rule);
    for jail in jails {
        for set in sets(jail) {
            for (to, verdict) in destinations(jail, spec) {
                text += &lines(&rule.fill(|name| {
                    Some(match name {
                        "to" => to.clone(),
                        "from" => set.from(),
                        "set" => set.name.clone(),
                        "source" => set.source(set.usual),
                        "verdict" => verdict.to_owned(),
                        _ => return None,
                    })
                }));
            }
        }
    }
    text
}

/// What of a jail's traffic gets which verdict.
fn destinations(jail: &ActionJail, spec: &NftablesSpec) -> Vec<(String, &'static str)> {
    let ports = match spec.closes {
        Closes::Ports => &jail.ports,
        Closes::All => &Ports::All,
    };
    match (ports, spec.verdict) {
        (Ports::All, Verdict::Drop) => vec![(String::new(), "drop")],
        (Ports::All, Verdict::Reject) => vec![
            ("meta l4proto tcp".to_owned(), "reject with tcp reset"),
            (String::new(), "reject"),
        ],
        (Ports::Some(ranges), verdict) => {
            let ports = ranges
                .iter()
                .map(PortRange::to_string)
                .collect::<Vec<_>>()
                .join(", ");
            let protocols: BTreeSet<Protocol> = jail.protocols.iter().copied().collect();
            let verdict = |protocol| match (verdict, protocol) {
                (Verdict::Drop, _) => "drop",
                (Verdict::Reject, Protocol::Tcp) => "reject with tcp reset",
                (Verdict::Reject, _) => "reject",
            };
            protocols
                .into_iter()
                .map(|protocol| (format!("{protocol} dport {{ {ports} }}"), verdict(protocol)))
                .collect()
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

/// Whether nft reads the text as a name: the kernel takes any, and somebody may have made odd ones.
fn is_plain(name: &str) -> bool {
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.' | '/');
    name.starts_with(|c: char| c.is_ascii_alphabetic()) && name.chars().all(plain)
}

/// The text in lines without superfluous blanks, which empty placeholders leave behind.
fn lines(text: &str) -> String {
    let words = |line: &str| line.split_whitespace().collect::<Vec<_>>().join(" ");
    text.lines()
        .map(words)
        .filter(|line| !line.is_empty())
        .fold(String::new(), |text, line| text + &line + "\n")
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use proptest::prelude::*;

    use super::*;

    fn jail(name: &str, ipv4: u8, ipv6: u8) -> ActionJail {
        ActionJail {
            jail: name.parse().expect("a name"),
            ports: Ports::All,
            protocols: vec![Protocol::Tcp],
            width: SubjectWidth { ipv4, ipv6 },
        }
    }

    #[test]
    fn every_subject_has_one_set() {
        let jail = jail("sshd", 32, 64);
        let in_sets = |subject: &str| {
            let subject: Prefix = subject.parse().expect("a subject");
            let of = sets(&jail);
            of.iter()
                .filter(|set| set.takes(subject, jail.width))
                .map(|set| set.name.clone())
                .collect::<Vec<_>>()
        };
        assert_eq!(in_sets("192.0.2.7"), ["ipv4/sshd"]);
        assert_eq!(in_sets("192.0.2.0/24"), ["ipv4-networks/sshd"]);
        assert_eq!(in_sets("2001:db8::/64"), ["ipv6/sshd"]);
        assert_eq!(in_sets("2001:db8::7"), ["ipv6-networks/sshd"]);
    }

    #[test]
    fn addresses_are_masked_to_the_width_of_subjects() {
        let words = |jail: &ActionJail| sets(jail).map(|set| set.from());
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

    #[test]
    fn names_that_nft_cannot_read_are_left_alone() {
        for (name, plain) in [
            ("input", true),
            ("ipv6-56/a.b", true),
            ("", false),
            ("4", false),
            ("a\nb", false),
        ] {
            assert_eq!(is_plain(name), plain, "{name:?}");
        }
    }

    proptest! {
        #[test]
        fn no_two_jails_share_a_set(names in proptest::collection::vec(
            ("[a-z0-9][a-z0-9._-]{0,6}|networks|24|ipv4", 1..=32_u8, 1..=128_u8), 1..20,
        )) {
            let mut owner = HashMap::new();
            for (name, ipv4, ipv6) in names {
                for set in sets(&jail(&name, ipv4, ipv6)) {
                    prop_assert!(is_plain(&set.name));
                    prop_assert!(set.name.len() < 128);
                    let meaning = (name.clone(), set.ipv6, set.width);
                    prop_assert_eq!(owner.entry(set.name).or_insert(meaning.clone()), &meaning);
                }
            }
        }
    }
}
