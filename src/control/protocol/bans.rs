//! Who is or was banned, who is allowed, and for what? The rows of `banned`, `history` and `allowed`.
//!
//! Nothing is asked or decided here.

use std::net::IpAddr;

use serde::{Deserialize, Serialize};

use crate::control::text;
use crate::engine::decision::{Origin, Release};
use crate::engine::name::JailName;
use crate::engine::prefix::Prefix;
use crate::engine::subject::Subject;
use crate::engine::time::{BanTime, Timestamp};

/// A ban in force.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct BanRow {
    /// Its number in the database.
    pub ban: u64,
    /// The jail.
    #[serde(with = "text")]
    pub jail: JailName,
    /// Who is banned.
    #[serde(flatten, with = "text::subject")]
    pub subject: Subject,
    /// Since when.
    #[serde(with = "text")]
    pub start: Timestamp,
    /// Until when; null for ever.
    #[serde(with = "text::option")]
    pub until: Option<Timestamp>,
    /// How long it lasts from its start, in seconds; -1 for ever.
    #[serde(with = "text::seconds")]
    pub bantime: BanTime,
    /// The how manieth ban of the subject it is.
    pub offence: u32,
    /// `failures`, `network` or `manual`.
    #[serde(with = "text")]
    pub origin: Origin,
    /// Whether an action has confirmed it.
    pub in_effect: bool,
    /// Whether its subject has failed on and on all the same.
    #[serde(default)]
    pub unhindered: bool,
    /// What is done about it; null if that is the same for all bans of the jail.
    pub response: Option<ResponseRow>,
    /// Where it is, if a database tells.
    pub country: Option<String>,
    /// Who runs its network, if a database tells.
    pub operator: Option<OperatorRow>,
}

/// What is done about a ban.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ResponseRow {
    /// The actions.
    pub actions: Vec<String>,
    /// Whether whoever is banned still gets through, only slower.
    pub lets_through: bool,
}

/// Who runs a network.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct OperatorRow {
    /// The number of the network.
    pub asn: u32,
    /// The name, as the database has it.
    pub name: Option<String>,
}

/// Somebody who is allowed for a time.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AllowedRow {
    /// Who.
    #[serde(with = "text")]
    pub subject: Prefix,
    /// Since when.
    #[serde(with = "text")]
    pub since: Timestamp,
    /// Until when.
    #[serde(with = "text")]
    pub until: Timestamp,
}

/// A ban of the past or in force.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct HistoryRow {
    /// Its number in the database.
    pub ban: u64,
    /// The jail.
    #[serde(with = "text")]
    pub jail: JailName,
    /// Who was banned.
    #[serde(flatten, with = "text::subject")]
    pub subject: Subject,
    /// Since when.
    #[serde(with = "text")]
    pub start: Timestamp,
    /// Until when it was to last; null for ever.
    #[serde(with = "text::option")]
    pub until: Option<Timestamp>,
    /// When it ended; null if it has not.
    #[serde(with = "text::option")]
    pub ended: Option<Timestamp>,
    /// Why it ended: `expired`, `manual`, `ignored`, `jail-gone`, `replaced` or `merged`.
    #[serde(with = "text::option")]
    pub release: Option<Release>,
    /// The how manieth ban of the subject it was.
    pub offence: u32,
    /// How many failures made it.
    pub failures: u32,
    /// `failures`, `network`, `distributed` or `manual`.
    #[serde(with = "text")]
    pub origin: Origin,
    /// Why it was made by hand, as somebody said.
    pub reason: Option<String>,
    /// Why it was lifted by hand.
    pub release_reason: Option<String>,
    /// Where it is, if a database tells.
    pub country: Option<String>,
    /// Who runs its network, if a database tells.
    pub operator: Option<OperatorRow>,
}

/// A failure with its log line.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FailureRow {
    /// The jail that counted it.
    #[serde(with = "text")]
    pub jail: JailName,
    /// The record's time.
    #[serde(with = "text")]
    pub time: Timestamp,
    /// The very address; null if the record has none.
    pub address: Option<IpAddr>,
    /// The account that was tried.
    pub user: Option<String>,
    /// What was attacked.
    pub target: Option<String>,
    /// The number of the pattern in its filter file.
    pub pattern: u16,
    /// The record's message, or its whole line where the filter looks at that.
    pub line: String,
    /// Whether it counted towards a ban.
    pub counted: bool,
}
