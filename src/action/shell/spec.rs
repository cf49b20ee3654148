//! Which commands does an action have a shell run, and when?
//!
//! Pure: commands by their occasions, and what else decides whether they are run.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::net::IpAddr;
use std::path::Path;
use std::time::Duration;

use serde::Deserialize;

use super::script::Script;
use super::ticket;
use crate::action::secret::Secret;
use crate::action::{ActionKind, ActionSpec, Effect};
use crate::engine::name::ActionName;
use crate::engine::prefix::Prefix;
use crate::engine::subject::Subject;

/// What is there where the kernel speaks IPv6.
const SPEAKS_IPV6: &str = "/proc/net/if_inet6";

/// An action made of commands for a shell, with its parameters filled in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ShellSpec {
    /// The commands.
    pub commands: Commands,
    /// Whether `start` waits for the first ban, of either family.
    pub start_on_demand: bool,
    /// Whether what is broken is repaired also when a ban is to be lifted.
    pub repair_on_unban: bool,
    /// Whether it is not told again of bans of an earlier run.
    pub norestored: bool,
    /// How long each command may take.
    pub timeout: Duration,
    /// Parts of the commands that nobody else may read, by their names: they are left out where a failure is told.
    pub secrets: BTreeMap<String, Confidential>,
}

/// A text that is not shown.
#[derive(Clone, PartialEq, Eq)]
pub enum Confidential {
    /// It stands in the commands.
    Said(String),
    /// It is kept elsewhere, and put in for the tag of its name when a command is run.
    Kept(Secret),
}

impl fmt::Debug for Confidential {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Confidential::Said(_) => f.write_str("Said(…)"),
            Confidential::Kept(secret) => write!(f, "Kept({secret})"),
        }
    }
}

/// The commands, which may differ by the family of the address that is banned.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Commands {
    /// The same for all.
    Same(CommandSet),
    /// Some for IPv4, and for whoever has no address, and others for IPv6.
    ByFamily {
        /// Those for IPv4.
        ipv4: CommandSet,
        /// Those for IPv6.
        ipv6: CommandSet,
    },
}

/// Commands by their occasion; one that says nothing is not run.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(transparent)]
pub struct CommandSet(BTreeMap<Occasion, Script>);

impl CommandSet {
    /// These commands.
    pub fn new(commands: impl IntoIterator<Item = (Occasion, Script)>) -> CommandSet {
        CommandSet(commands.into_iter().collect())
    }

    /// All of them.
    pub fn iter(&self) -> impl Iterator<Item = (Occasion, &Script)> {
        self.0.iter().map(|(occasion, script)| (*occasion, script))
    }

    /// What is run on an occasion; nothing if nothing is.
    pub(super) fn on(&self, occasion: Occasion) -> Option<&Script> {
        self.0
            .get(&occasion)
            .filter(|script| !script.says_nothing())
    }
}

/// When a command is run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Occasion {
    /// Before the first ban.
    Start,
    /// At the end.
    Stop,
    /// After a failure: whether all is as it was.
    Check,
    /// If it is not; without it everything is stopped and started again.
    Repair,
    /// Somebody is banned.
    Ban,
    /// He is free again.
    Unban,
    /// He is banned anew, after a repair; without it as before.
    Reban,
    /// His ban lasts longer.
    Prolong,
    /// All bans are lifted at once; without it one by one.
    Flush,
    /// The configuration was read again.
    Reload,
}

impl Occasion {
    /// All of them.
    pub const ALL: [Occasion; 10] = [
        Occasion::Start,
        Occasion::Stop,
        Occasion::Check,
        Occasion::Repair,
        Occasion::Ban,
        Occasion::Unban,
        Occasion::Reban,
        Occasion::Prolong,
        Occasion::Flush,
        Occasion::Reload,
    ];
}

impl fmt::Display for Occasion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Occasion::Start => "start",
            Occasion::Stop => "stop",
            Occasion::Check => "check",
            Occasion::Repair => "repair",
            Occasion::Ban => "ban",
            Occasion::Unban => "unban",
            Occasion::Reban => "reban",
            Occasion::Prolong => "prolong",
            Occasion::Flush => "flush",
            Occasion::Reload => "reload",
        })
    }
}

impl ShellSpec {
    /// The action of this name that runs these commands: a place of its own, so that of two in a row the second begins when
    /// the first has ended.
    pub fn named(self, name: ActionName) -> ActionSpec {
        ActionSpec {
            place: Some(place_of(&name)),
            name,
            kind: ActionKind::Shell(Box::new(self)),
            effect: Effect::KeepsOut,
            source: None,
        }
    }

    /// Whether a command is run when a ban is lifted.
    pub fn lifts_bans(&self) -> bool {
        let mut sets = self.sets().into_iter();
        sets.any(|set| set.on(Occasion::Unban).is_some())
    }

    /// Whether a command says something of the lines behind a ban.
    pub fn says_lines(&self) -> bool {
        self.says_history() || self.says(|tag| tag == "matches" || tag.starts_with("F-"))
    }

    /// Whether a command says how many failures made a ban.
    pub fn says_failures(&self) -> bool {
        self.says(|tag| tag == "failures")
    }

    /// Whether a command says something of lines of earlier bans.
    pub fn says_history(&self) -> bool {
        self.says(|tag| ticket::OF_HISTORY.contains(&tag))
    }

    /// The secrets that are kept elsewhere, by their names.
    pub fn kept(&self) -> impl Iterator<Item = (&str, &Secret)> {
        self.secrets
            .iter()
            .filter_map(|(name, secret)| match secret {
                Confidential::Said(_) => None,
                Confidential::Kept(secret) => Some((name.as_str(), secret)),
            })
    }

    /// The tags in its commands that never say what Fail2ban would have them say.
    pub fn never_known(&self) -> BTreeSet<&str> {
        self.tags()
            .filter(|tag| ticket::is_never_known(tag))
            .collect()
    }

    fn says(&self, is_meant: impl Fn(&str) -> bool) -> bool {
        self.tags().any(is_meant)
    }

    fn tags(&self) -> impl Iterator<Item = &str> {
        self.scripts().flat_map(Script::tags)
    }

    fn scripts(&self) -> impl Iterator<Item = &Script> {
        self.sets().into_iter().flat_map(|set| set.0.values())
    }

    fn sets(&self) -> Vec<&CommandSet> {
        match &self.commands {
            Commands::Same(set) => vec![set],
            Commands::ByFamily { ipv4, ipv6 } => vec![ipv4, ipv6],
        }
    }

    /// Whether a command says the last word of a place, which is what tells it from others, such as the name of a table.
    pub fn speaks_of(&self, place: &str) -> bool {
        let last = place.split_whitespace().next_back();
        last.is_some_and(|word| self.scripts().any(|script| holds_word(script.text(), word)))
    }

    pub(super) fn commands_of(&self, side: Side) -> &CommandSet {
        match (&self.commands, side) {
            (Commands::Same(set), _) => set,
            (Commands::ByFamily { ipv6, .. }, Side::Ipv6) => ipv6,
            (Commands::ByFamily { ipv4, .. }, _) => ipv4,
        }
    }

    /// The sides that are started without being asked for.
    pub(super) fn sides(&self) -> Vec<Side> {
        match &self.commands {
            Commands::Same(_) => vec![Side::Any],
            Commands::ByFamily { .. } if Path::new(SPEAKS_IPV6).exists() => {
                vec![Side::Ipv4, Side::Ipv6]
            }
            Commands::ByFamily { .. } => vec![Side::Ipv4],
        }
    }

    /// The side that somebody's bans are on.
    pub(super) fn side_of(&self, subject: &Subject) -> Side {
        match self.commands {
            Commands::Same(_) if !self.start_on_demand => Side::Any,
            _ => Side::of(subject),
        }
    }
}

/// What commands of an action alone may change: whatever they do.
pub fn place_of(name: &ActionName) -> String {
    format!("commands of {name}")
}

/// What is started and stopped together.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Side {
    /// Whatever the family, or without one.
    Any,
    Ipv4,
    Ipv6,
}

impl Side {
    /// The one of the addresses of whoever is banned.
    pub(super) fn of(subject: &Subject) -> Side {
        match subject.network().map(Prefix::address) {
            Some(IpAddr::V4(_)) => Side::Ipv4,
            Some(IpAddr::V6(_)) => Side::Ipv6,
            None => Side::Any,
        }
    }

    /// What commands are told.
    pub(super) fn family(self) -> &'static str {
        match self {
            Side::Any => "",
            Side::Ipv4 => "inet4",
            Side::Ipv6 => "inet6",
        }
    }
}

/// Whether a text holds a word that is no part of a longer one, nor of a path.
fn holds_word(text: &str, word: &str) -> bool {
    let is_part = |letter: char| letter.is_alphanumeric() || "-_./".contains(letter);
    text.match_indices(word).any(|(at, _)| {
        let before = text[..at].chars().next_back();
        let behind = text[at + word.len()..].chars().next();
        !before.is_some_and(is_part) && !behind.is_some_and(is_part)
    })
}

#[cfg(test)]
mod tests {
    use super::holds_word;

    #[test]
    fn a_word_is_found_as_a_whole() {
        for text in ["nft add table inet f2b-table;", "(f2b-table)", "f2b-table"] {
            assert!(holds_word(text, "f2b-table"), "{text}");
        }
        for text in [
            "f2b-table2",
            "/etc/f2b-table",
            "af2b-table",
            "f2b-table.conf",
            "",
        ] {
            assert!(!holds_word(text, "f2b-table"), "{text}");
        }
    }
}
