//! Of what can actions tell?
//!
//! Pure data: who it is told, and in which words, is the business of the data files.

use std::collections::{BTreeMap, BTreeSet};

use crate::engine::decision::words;
use crate::engine::name::JailName;
use crate::engine::subject::Subject;
use crate::engine::time::{BanTime, Timestamp};

/// Something that somebody may want to hear of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    /// What it is.
    pub occasion: Occasion,
    /// When it happened.
    pub time: Timestamp,
    /// The jail that it concerns, if it concerns one.
    pub jail: Option<JailName>,
    /// Who is banned or free; text of the attacker's choice if it is a name.
    pub subject: Option<Subject>,
    /// How long a ban lasts.
    pub bantime: Option<BanTime>,
    /// When it ends; `None` if it does not.
    pub until: Option<Timestamp>,
    /// Which ban of its subject it is.
    pub offence: u32,
    /// How many failures made it.
    pub failures: usize,
    /// What has happened, in a sentence; may hold text of the attacker's choice.
    pub sentence: String,
    /// The lines behind it, oldest first; text of the attacker's choice.
    pub lines: Vec<String>,
    /// The accounts that were tried; text of the attacker's choice.
    pub users: BTreeSet<String>,
    /// What else was read from the last line, by its name; text of the attacker's choice.
    pub captures: BTreeMap<String, String>,
    /// The newest lines of its subject in all jails, oldest first, each with its jail; only where somebody asks for
    /// them. Text of the attacker's choice.
    pub history: Vec<(JailName, String)>,
    /// Whether the ban was made by an earlier run, of which less is known.
    pub restored: bool,
    /// The country and the network of the address, if that is known.
    pub whereabouts: Option<String>,
}

impl Event {
    /// Whether it is about an address or a network.
    pub fn has_address(&self) -> bool {
        self.subject.as_ref().and_then(Subject::network).is_some()
    }
}

/// On which occasions something is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Occasion {
    /// Somebody is banned.
    Ban,
    /// Somebody is free again.
    Unban,
    /// The daemon is ready.
    Start,
    /// The daemon ends.
    Stop,
    /// A jail is under siege, or no longer.
    Siege,
    /// Something else that the administrator should know.
    Notice,
    /// Something does not work, or works again.
    Error,
}

words! { Occasion:
    Ban = "ban",
    Unban = "unban",
    Start = "start",
    Stop = "stop",
    Siege = "siege",
    Notice = "notice",
    Error = "error",
}

impl Occasion {
    /// All of them.
    pub const ALL: [Occasion; 7] = [
        Occasion::Ban,
        Occasion::Unban,
        Occasion::Start,
        Occasion::Stop,
        Occasion::Siege,
        Occasion::Notice,
        Occasion::Error,
    ];
}
