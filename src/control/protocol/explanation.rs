//! What is known of one subject? The rows of `explain`.
//!
//! Nothing is asked or decided here.

use serde::{Deserialize, Serialize};

use super::bans::{BanRow, FailureRow, HistoryRow, OperatorRow, ResponseRow};
use super::status::{ActionRow, SiegeRow};
use crate::control::text;
use crate::engine::name::JailName;
use crate::engine::prefix::Prefix;
use crate::engine::subject::Subject;
use crate::engine::time::{BanTime, Timestamp};

/// What is known of an address or network.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Explanation {
    /// What was asked about.
    #[serde(flatten, with = "text::subject")]
    pub subject: Subject,
    /// When.
    #[serde(with = "text")]
    pub now: Timestamp,
    /// Where it is, if a database tells.
    pub country: Option<String>,
    /// Who runs its network, if a database tells.
    pub operator: Option<OperatorRow>,
    /// What each jail has to say that bans such subjects, at least one verdict a jail.
    pub verdicts: Vec<VerdictRow>,
    /// Its latest bans, the newest first.
    pub history: Vec<HistoryRow>,
    /// Its latest failures, the newest first.
    pub failures: Vec<FailureRow>,
    /// Why history and log lines are missing.
    pub trouble: Option<String>,
}

/// What one jail has to say.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct VerdictRow {
    /// The jail.
    #[serde(with = "text")]
    pub jail: JailName,
    /// Its filter.
    pub filter: String,
    /// Failures that make a ban.
    pub maxretry: u32,
    /// Whether failures for different users, so many, do.
    pub distinct: bool,
    /// What attacks of many hosts are looked for by: `user`, `target` or `session`, if they are.
    pub by: Option<String>,
    /// The window they must lie in, in seconds.
    #[serde(serialize_with = "text::seconds::whole")]
    pub findtime: f64,
    /// The class that the subject belongs to, whose maxretry this is.
    pub class: Option<String>,
    /// The siege that holds.
    pub siege: Option<SiegeRow>,
    /// Why its ban does not work, if it fails on and on though it is banned.
    #[serde(default)]
    pub unhindered: Option<String>,
    /// The actions that are to put its ban into effect and do not work.
    #[serde(default)]
    pub broken: Vec<ActionRow>,
    /// Where the subject stands.
    #[serde(flatten)]
    pub place: PlaceRow,
    /// The failures behind it, the oldest first.
    pub failures: Vec<FailureRow>,
    /// The patterns that took them, by number.
    pub patterns: Vec<PatternRow>,
    /// What the next ban would be, if bans grow longer and there could be one.
    pub next: Option<NextBanRow>,
}

/// What a jail counts, in the singular.
pub fn unit(distinct: bool) -> &'static str {
    match distinct {
        true => "different user",
        false => "failure",
    }
}

impl VerdictRow {
    /// Failures that make a ban at this moment.
    pub fn enough(&self) -> u32 {
        self.siege.map_or(self.maxretry, |siege| siege.maxretry)
    }

    /// What is counted, in the singular.
    pub fn unit(&self) -> &'static str {
        unit(self.distinct)
    }
}

/// A ban that is not made yet.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct NextBanRow {
    /// Whom it would ban, if that is the network around the subject.
    #[serde(with = "text::option")]
    pub network: Option<Prefix>,
    /// What would be done about it; null if that is the same for all bans of the jail.
    pub response: Option<ResponseRow>,
    /// The how manieth ban of the subject it would be.
    pub offence: u32,
    /// How long it would last, in seconds; -1 for ever.
    #[serde(with = "text::seconds")]
    pub bantime: BanTime,
}

/// Where a subject stands in a jail.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "place", rename_all = "snake_case")]
pub enum PlaceRow {
    /// It is kept out.
    Banned {
        /// By this ban, of itself or of a network around it.
        ban: BanRow,
    },
    /// It has failed, not often enough.
    Watched {
        /// Who exactly is watched.
        #[serde(flatten, with = "text::subject")]
        subject: Subject,
        /// How many of its failures lie in the window.
        failing: usize,
        /// When the oldest of them leaves the window.
        #[serde(with = "text")]
        oldest_leaves: Timestamp,
    },
    /// A network around it has failed, not often enough.
    Gathering {
        /// The network.
        #[serde(with = "text")]
        subject: Prefix,
        /// How many of its hosts have failed.
        hosts: usize,
        /// With how many it is banned,
        wanted_hosts: u32,
        /// How often they have, together.
        failing: usize,
        /// if it is as often as this,
        wanted_failing: u32,
        /// within so many seconds.
        #[serde(serialize_with = "text::seconds::whole")]
        within: f64,
    },
    /// It has failed for an account for which others have failed as well.
    Attacking {
        /// Who exactly.
        #[serde(with = "text")]
        subject: Prefix,
        /// How many hosts have failed for that account.
        hosts: usize,
        /// With how many they are banned,
        wanted_hosts: u32,
        /// if they fail within so many seconds.
        #[serde(serialize_with = "text::seconds::whole")]
        within: f64,
        /// When it is banned, if it is and is not let in before.
        #[serde(with = "text::option")]
        due: Option<Timestamp>,
    },
    /// It is never banned.
    Ignored {
        /// Because of this rule.
        because: String,
    },
    /// Nothing is held against it.
    Clear,
}

/// A pattern of a filter.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PatternRow {
    /// Its number in the filter file.
    pub number: u16,
    /// As it is written there.
    pub text: String,
}
