//! Why is an address banned, or why not?
//!
//! Facts only, per jail; sentences are made of them at the command line.

use super::decision::FailureId;
use super::jail::accounts::AccountRule;
use super::jail::network::NetworkRule;
use super::ledger::Standing;
use super::name::JailName;
use super::policy::MaxRetry;
use super::prefix::Prefix;
use super::subject::Subject;
use super::time::{BanTime, Timestamp};

/// What one jail has to say about an address or network.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verdict {
    /// The jail.
    pub jail: JailName,
    /// Where the subject stands in it.
    pub place: Place,
    /// What the next ban would be, if bans grow longer and there could be one.
    pub next: Option<NextBan>,
    /// The network that it would concern in place of the subject.
    pub instead: Option<Prefix>,
}

/// A ban that is not made yet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NextBan {
    /// Which offence it would be.
    pub offence: u32,
    /// How long it would last.
    pub bantime: BanTime,
}

/// A siege that holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UnderSiege {
    /// When it began.
    pub since: Timestamp,
    /// Failures that make a ban while it holds.
    pub maxretry: MaxRetry,
}

/// Where a subject stands in a jail.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Place {
    /// It is kept out.
    Banned {
        /// Who exactly is banned: the subject itself or a network around it.
        subject: Subject,
        /// The ban.
        ban: Standing,
        /// Whether an action has confirmed it.
        in_effect: bool,
    },
    /// It has failed, not often enough.
    Watched {
        /// Who exactly is watched.
        subject: Subject,
        /// The failures that count at this moment, oldest first.
        failures: Vec<(Timestamp, FailureId)>,
        /// When the oldest of them leaves the window.
        oldest_leaves: Timestamp,
    },
    /// A network around it has failed, not often enough.
    Gathering {
        /// The network.
        network: Prefix,
        /// When it is banned.
        rule: NetworkRule,
        /// How many of its hosts have failed at this moment.
        hosts: usize,
        /// How often, together.
        failures: usize,
    },
    /// It has failed for an account for which others have failed as well.
    Attacking {
        /// Who exactly.
        subject: Prefix,
        /// When all are banned who have.
        rule: AccountRule,
        /// How many hosts have failed for the account that most of them have tried, itself among them: as many as are
        /// remembered.
        hosts: usize,
        /// When it is banned, if it is and is not let in before.
        due: Option<Timestamp>,
        /// Its failures that tell so.
        failures: Vec<FailureId>,
    },
    /// It is never banned, because of this rule.
    Ignored {
        /// The rule.
        because: Box<str>,
    },
    /// Nothing is held against it.
    Clear,
}

/// How a jail is doing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JailStatus {
    /// The jail.
    pub jail: JailName,
    /// Subjects with failures in the window.
    pub watched: usize,
    /// Their failures.
    pub failing: usize,
    /// Failures that wait for the addresses of names.
    pub unresolved: usize,
    /// Bans in force.
    pub banned: usize,
    /// Those of them whose subjects have failed on and on, the last time within findtime.
    pub unhindered: usize,
    /// Failures that counted since the engine began.
    pub failures: u64,
    /// Bans made since the engine began.
    pub bans: u64,
    /// Bans of earlier that were in force when the jail began.
    pub inherited: u64,
    /// Records that its filter was asked about since the engine began.
    pub records: u64,
}
