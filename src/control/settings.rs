//! What is configured, for those who ask a running daemon?
//!
//! The rows of a reply; nothing is looked up here. The settings that decide are the engine's, in types; these are the
//! words that people wrote.

use log::LevelFilter;
use serde::{Deserialize, Serialize};

use super::text;
use crate::engine::name::JailName;
use crate::engine::policy::UseDns;

/// What is configured.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SettingsRow {
    /// What the daemon tells of.
    #[serde(with = "text")]
    pub log_level: LevelFilter,
    /// The file that it writes in Fail2ban's form; null if it writes none.
    pub fail2ban_log: Option<String>,
    /// How long bans that are over are kept, in seconds.
    pub keep_bans: u64,
    /// The enabled jails that were asked for, in the order of the configuration.
    pub jails: Vec<JailSettingsRow>,
}

/// What is configured of a jail, as far as its status does not say.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct JailSettingsRow {
    /// Its name.
    #[serde(with = "text")]
    pub jail: JailName,
    /// The log files that it wants, perhaps with wildcards.
    pub logpath: Vec<String>,
    /// Which entries of journals it wants, alternatives with `+` between them; empty if it listens to no journal.
    pub journalmatch: String,
    /// The encoding of its log files.
    pub logencoding: String,
    /// The patterns of failures, as they are written.
    pub failregex: Vec<String>,
    /// And of what is no failure though one of these takes it.
    pub ignoreregex: Vec<String>,
    /// Who is never banned.
    pub ignoreip: Vec<String>,
    /// Whether this machine is never banned.
    pub ignoreself: bool,
    /// The program that is asked whom it spares; empty if there is none.
    pub ignorecommand: String,
    /// Whether names are looked up.
    #[serde(with = "text")]
    pub usedns: UseDns,
    /// What its filter says of whole lines; null if it looks at messages.
    #[serde(default)]
    pub lines: Option<LinesRow>,
}

/// What a filter says of whole lines.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LinesRow {
    /// What a line must match first; empty if that is nothing.
    pub prefregex: String,
    /// How dates are written; null in many ways, or in none.
    pub datepattern: Option<String>,
    /// How people call that.
    pub dates: String,
    /// The zone of dates that do not tell theirs; null if it is that of the system.
    pub logtimezone: Option<String>,
    /// How many lines are looked at together.
    pub maxlines: u16,
}
