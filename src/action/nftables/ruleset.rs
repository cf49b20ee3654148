//! Which table, sets and rules does a list of jails need?
//!
//! Pure: in go the templates of the data file and the jails, out comes text for `nft -f`. Which sets there are
//! is another question, which [`super::sets`] answers, and who is in them one for [`super::elements`].

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::path::PathBuf;

use serde::Deserialize;

use super::super::ActionJail;
use super::super::ports::{PortRange, Ports, Protocol};
use super::super::template::Template;
use super::sets::{Group, Set, Sharing, groups};
use super::table::{Family, Table};

/// An nftables action with all its parameters.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NftablesSpec {
    /// The table that is the action's own.
    pub table: Table,
    /// What becomes of a banned host's packets.
    pub verdict: Verdict,
    /// Whether jails have sets of their own.
    pub sharing: Sharing,
    /// The devices that are guarded; all of them if none is named.
    pub devices: Vec<DeviceName>,
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
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// They vanish.
    Drop,
    /// They are answered.
    Reject {
        /// Those of IPv4.
        ipv4: Answer,
        /// Those of IPv6.
        ipv6: Answer,
    },
}

/// How a packet is refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// TCP with a reset, all else with an ICMP error that says that nobody listens there.
    Reset,
    /// All with this, in the words of nft: `icmp type host-unreachable`.
    With(String),
}

/// The name of a network device, of characters that nft takes in names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeviceName(String);

impl DeviceName {
    /// The longest name that the kernel gives a device.
    const LONGEST: usize = 15;

    /// Reads one; `None` if it can be none.
    pub fn of(text: &str) -> Option<DeviceName> {
        let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.');
        let fits = (1..=DeviceName::LONGEST).contains(&text.len())
            && text.chars().all(plain)
            && text.contains(|c: char| c != '.');
        fits.then(|| DeviceName(text.to_owned()))
    }

    /// As the kernel shows it.
    pub fn as_str(&self) -> &str {
        &self.0
    }
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
    /// The family of the table.
    #[serde(default)]
    pub family: Family,
    /// Makes the table.
    pub table: String,
    /// Makes one set: `<set>`, `<type>`, `<flags>`.
    pub set: String,
    /// Makes the chains; a line that names `<devices>` is there once for each of them.
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
            family: self.family,
            table: fill(&self.table),
            set: fill(&self.set),
            chain: fill(&self.chain),
            rule: fill(&self.rule),
        }
    }
}

/// Makes the table and the sets, and leaves those that are there as they are.
pub fn prepare<'j>(spec: &NftablesSpec, jails: impl IntoIterator<Item = &'j ActionJail>) -> String {
    let mut text = lines(&spec.ruleset.table);
    let set_of = Template::new(&spec.ruleset.set);
    let groups = groups(&spec.sharing, jails);
    for set in groups.iter().flat_map(|group| &group.sets) {
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
    let table = lines(&spec.ruleset.table);
    format!("{table}delete table {}\n", spec.table)
}

/// Makes all chains and rules anew, for these of the devices; removes the chains that were there, and the sets that no
/// jail needs.
pub fn install<'j>(
    spec: &NftablesSpec,
    jails: impl IntoIterator<Item = &'j ActionJail>,
    devices: &[DeviceName],
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
            let _ = writeln!(text, "{command} {table} {name}");
        }
    }
    for line in spec.ruleset.chain.lines() {
        let line_of = Template::new(line);
        if line_of.names().any(|name| name == "devices") {
            for device in devices {
                let device = |name: &str| (name == "devices").then(|| device.0.clone());
                text += &lines(&line_of.fill(device));
            }
        } else {
            text += &lines(line);
        }
    }
    let rule = Template::new(&spec.ruleset.rule);
    for group in groups(&spec.sharing, jails) {
        for set in &group.sets {
            for (to, verdict) in destinations(&group, set, spec) {
                text += &lines(&rule.fill(|name| {
                    Some(match name {
                        "to" => to.clone(),
                        "from" => set.from(),
                        "set" => set.name.clone(),
                        "source" => set.subject(),
                        "verdict" => verdict.clone(),
                        _ => return None,
                    })
                }));
            }
        }
    }
    text
}

/// What of the traffic from a set's members gets which verdict.
fn destinations(group: &Group<'_>, set: &Set, spec: &NftablesSpec) -> Vec<(String, String)> {
    let (tcp, other) = match &spec.verdict {
        Verdict::Drop => ("drop".to_owned(), "drop".to_owned()),
        Verdict::Reject { ipv4, ipv6 } => match if set.ipv6 { ipv6 } else { ipv4 } {
            Answer::Reset => ("reject with tcp reset".to_owned(), "reject".to_owned()),
            Answer::With(error) => {
                let reject = format!("reject with {error}");
                (reject.clone(), reject)
            }
        },
    };
    match group.jails.as_slice() {
        [jail] if spec.closes == Closes::Ports && matches!(spec.sharing, Sharing::Jail(_)) => {
            to_ports(jail, &tcp, &other)
        }
        _ => to_all(tcp, other),
    }
}

fn to_all(tcp: String, other: String) -> Vec<(String, String)> {
    let mut all = Vec::new();
    if tcp != other {
        all.push(("meta l4proto tcp".to_owned(), tcp));
    }
    all.push((String::new(), other));
    all
}

fn to_ports(jail: &ActionJail, tcp: &str, other: &str) -> Vec<(String, String)> {
    let Ports::Some(ranges) = &jail.ports else {
        return to_all(tcp.to_owned(), other.to_owned());
    };
    let ports: Vec<_> = ranges.iter().map(PortRange::to_string).collect();
    let ports = ports.join(", ");
    let protocols: BTreeSet<Protocol> = jail.protocols.iter().copied().collect();
    let verdict = |protocol| match protocol {
        Protocol::Tcp => tcp.to_owned(),
        Protocol::Udp | Protocol::Sctp => other.to_owned(),
    };
    protocols
        .into_iter()
        .map(|protocol| (format!("{protocol} dport {{ {ports} }}"), verdict(protocol)))
        .collect()
}

/// Whether nft reads the text as a name: the kernel takes any, and somebody may have made odd ones.
pub fn is_plain(name: &str) -> bool {
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
    use super::*;

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
}
