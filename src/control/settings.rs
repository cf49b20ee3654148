//! What is configured, for those who ask a running daemon, and what can be made otherwise while it runs?
//!
//! The rows of a reply, and the changes of a request; nothing is looked up here. The settings that decide are the engine's, in
//! types; these are the words that people wrote.

mod option;

use std::collections::BTreeMap;
use std::fmt;

use log::LevelFilter;
use serde::{Deserialize, Serialize};

use super::fail2ban::line::OneLine;
use super::fail2ban::threshold::Threshold;
use super::text;
use crate::engine::name::JailName;
use crate::engine::policy::UseDns;

pub use option::{GrowthOption, TreeOption};

/// What is configured.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SettingsRow {
    /// What the daemon tells of.
    #[serde(with = "text")]
    pub log_level: LevelFilter,
    /// Where it tells of it in Fail2ban's form, in Fail2ban's words; null if nowhere.
    pub fail2ban_log: Option<String>,
    /// From which of Fail2ban's levels on.
    pub fail2ban_log_level: String,
    /// The socket of the system's log, or `auto`.
    pub fail2ban_syslog_socket: String,
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
    /// Whether it passes over all that it hears, since somebody has said so.
    #[serde(default)]
    pub idle: bool,
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
    /// The options that a directory of Fail2ban's says of it and that can be asked for in its own words; null if it is not
    /// from such a directory.
    #[serde(default)]
    pub said: Option<BTreeMap<String, String>>,
    /// What such a directory says of its actions, in its order.
    #[serde(default)]
    pub said_actions: Vec<SaidAction>,
}

/// What a directory of Fail2ban's says of an action.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SaidAction {
    /// The name by which its jail knows it.
    pub action: String,
    /// What does the same here, if its commands are not run.
    pub instead: Option<String>,
    /// The commands and parameters that it has. Their values may be secrets, and are not for all who may ask.
    pub properties: Vec<String>,
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

/// What a jail can be told to do otherwise. Times are words as the configuration has them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "key", content = "value", rename_all = "snake_case")]
pub enum JailChange {
    /// So many failures make a ban.
    Maxretry(i64),
    /// They lie within this time.
    Findtime(String),
    /// The first ban of a subject lasts so long; a negative time is for ever.
    Bantime(String),
    /// Whether this machine is never banned.
    Ignoreself(bool),
    /// These are never banned either.
    Addignoreip(Vec<String>),
    /// This one is no longer spared by that.
    Delignoreip(String),
    /// Whether it passes over all that it hears.
    Idle(bool),
}

/// What a jail of a directory of Fail2ban's can be told to do otherwise as if the directory said so. Values are words as its
/// files have them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "key", content = "value", rename_all = "snake_case")]
pub enum TreeChange {
    /// It reads this log too.
    Addlogpath(String),
    /// It does not read this one any more.
    Dellogpath(String),
    /// This is a failure too.
    Addfailregex(String),
    /// The pattern of this number is none any more. As in Python, numbers below 0 count from the end.
    Delfailregex(i64),
    /// This is no failure.
    Addignoreregex(String),
    /// The same for this one.
    Delignoreregex(i64),
    /// It wants these entries of the journal too.
    Addjournalmatch(Vec<String>),
    /// And these no more.
    Deljournalmatch(Vec<String>),
    /// An option has this value.
    Option {
        /// Which one.
        #[serde(with = "text")]
        option: TreeOption,
        /// What it says.
        value: String,
    },
}

impl TreeChange {
    /// The key that the files have for it.
    pub fn key(&self) -> &'static str {
        match self {
            TreeChange::Addlogpath(_) | TreeChange::Dellogpath(_) => "logpath",
            TreeChange::Addfailregex(_) | TreeChange::Delfailregex(_) => "failregex",
            TreeChange::Addignoreregex(_) | TreeChange::Delignoreregex(_) => "ignoreregex",
            TreeChange::Addjournalmatch(_) | TreeChange::Deljournalmatch(_) => "journalmatch",
            TreeChange::Option { option, .. } => option.name(),
        }
    }
}

/// As it is told: `addlogpath /var/log/auth.log`. Control characters are shown as escapes, so that it stays one line.
impl fmt::Display for TreeChange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (word, value) = match self {
            TreeChange::Addlogpath(path) => ("addlogpath", path.clone()),
            TreeChange::Dellogpath(path) => ("dellogpath", path.clone()),
            TreeChange::Addfailregex(pattern) => ("addfailregex", pattern.clone()),
            TreeChange::Delfailregex(at) => ("delfailregex", at.to_string()),
            TreeChange::Addignoreregex(pattern) => ("addignoreregex", pattern.clone()),
            TreeChange::Delignoreregex(at) => ("delignoreregex", at.to_string()),
            TreeChange::Addjournalmatch(terms) => ("addjournalmatch", terms.join(" ")),
            TreeChange::Deljournalmatch(terms) => ("deljournalmatch", terms.join(" ")),
            TreeChange::Option { option, value } => (option.name(), value.clone()),
        };
        write!(f, "{word} {}", OneLine(&value))
    }
}

/// And the daemon.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "key", content = "value", rename_all = "snake_case")]
pub enum DaemonChange {
    /// Bans that are over are kept for this time.
    KeepBans(String),
    /// What happens is told there in Fail2ban's form: as `logtarget` has it.
    Fail2banLog(String),
    /// So much of it, and of what our own log tells.
    LogLevel(Threshold),
    /// There the system's log listens; `auto` where it usually does.
    SyslogSocket(String),
}

impl JailChange {
    /// The key that the configuration has for it.
    pub fn key(&self) -> &'static str {
        match self {
            JailChange::Maxretry(_) => "maxretry",
            JailChange::Findtime(_) => "findtime",
            JailChange::Bantime(_) => "bantime",
            JailChange::Ignoreself(_) => "ignoreself",
            JailChange::Addignoreip(_) | JailChange::Delignoreip(_) => "ignoreip",
            JailChange::Idle(_) => "idle",
        }
    }
}

impl DaemonChange {
    /// The key that the configuration has for it.
    pub fn key(&self) -> &'static str {
        match self {
            DaemonChange::KeepBans(_) => "keep_bans",
            DaemonChange::Fail2banLog(_) => "fail2ban_log",
            DaemonChange::LogLevel(_) => "log_level",
            DaemonChange::SyslogSocket(_) => "fail2ban_syslog_socket",
        }
    }
}

/// As it is told: `maxretry 3`. Control characters are shown as escapes, so that it stays one line.
impl fmt::Display for JailChange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            JailChange::Maxretry(retries) => write!(f, "maxretry {retries}"),
            JailChange::Findtime(text) => write!(f, "findtime {}", OneLine(text)),
            JailChange::Bantime(text) => write!(f, "bantime {}", OneLine(text)),
            JailChange::Ignoreself(is_so) => write!(f, "ignoreself {is_so}"),
            JailChange::Addignoreip(words) => {
                write!(f, "addignoreip {}", OneLine(&words.join(" ")))
            }
            JailChange::Delignoreip(word) => write!(f, "delignoreip {}", OneLine(word)),
            JailChange::Idle(true) => f.write_str("idle on"),
            JailChange::Idle(false) => f.write_str("idle off"),
        }
    }
}

/// The same.
impl fmt::Display for DaemonChange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            DaemonChange::KeepBans(text) => write!(f, "keep_bans {}", OneLine(text)),
            DaemonChange::Fail2banLog(text) => write!(f, "fail2ban_log {}", OneLine(text)),
            DaemonChange::LogLevel(threshold) => write!(f, "log_level {threshold}"),
            DaemonChange::SyslogSocket(text) => {
                write!(f, "fail2ban_syslog_socket {}", OneLine(text))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_change_is_told_as_it_was_written_in_one_line() {
        let change = TreeChange::Addfailregex("^\\d \"x\" <HOST>\n$".to_owned());
        assert_eq!(change.to_string(), r#"addfailregex ^\d "x" <HOST>\n$"#);
    }

    #[test]
    fn options_are_known_by_their_names() {
        for option in TreeOption::all() {
            assert_eq!(option.name().parse(), Ok(option));
        }
        assert!("action".parse::<TreeOption>().is_err());
    }
}
