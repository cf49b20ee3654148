//! What does the engine hear?
//!
//! Everything that can change its mind comes in as one of these; there is no side door.

use std::time::Duration;

use std::collections::BTreeMap;
use std::net::IpAddr;

use super::decision::{Allowance, Awaited, AwaitedId, Ban, BanId, Failure, FailureId};
use super::host::HostName;
use super::jail::escalation::Offence;
use super::name::{ActionName, JailName, SourceName};
use super::policy::{AddressSet, Policy, SetName};
use super::prefix::Prefix;
use super::record::Batch;
use super::sighting::Seen;
use super::subject::Subject;
use super::time::{BanTime, Timestamp};

/// One thing to hear.
#[derive(Debug)]
pub enum Input<'a> {
    /// A source delivered records.
    Records {
        /// Which source; `None` for old logs that concern every jail.
        source: Option<&'a SourceName>,
        /// In the source's order.
        batch: &'a Batch,
        /// Whether the source has more already; if not, what comes later was logged later, or not much earlier.
        more: bool,
    },
    /// A failure that an earlier run found, to be judged anew by the settings of this one; for a replay.
    Recount(&'a Failure),
    /// The login of an earlier run that has taken back this failure comes now; for a replay.
    TakeBack(&'a Failure),
    /// A host has these addresses, each of which says that it is that host; none if nobody knows any.
    Named {
        /// Which host.
        host: HostName,
        /// Its addresses.
        addresses: Vec<IpAddr>,
    },
    /// A jail's program was asked whether it spares an address.
    Word {
        /// Which program; nothing comes of one that no jail has asked.
        program: SetName,
        /// About whom.
        address: IpAddr,
        /// What it says.
        is_spared: bool,
    },
    /// Time has passed: bans may be over.
    Tick,
    /// The administrator bans somebody.
    Ban {
        /// In this jail.
        jail: JailName,
        /// Whom.
        subject: Subject,
        /// For how long; the jail's bantime if not said.
        bantime: Option<BanTime>,
        /// Why, in his words.
        reason: Option<Box<str>>,
    },
    /// Another program has banned somebody, and this one takes its place.
    Adopt(Adoption),
    /// The administrator lifts bans: those that share an address with `subject` or are of that name, all if it is
    /// `None`.
    Unban {
        /// In this jail only.
        jail: Option<JailName>,
        /// Whom.
        subject: Option<Subject>,
        /// Whether earlier bans are forgotten too, so that the next one is a first one.
        forget: bool,
        /// Why, in his words.
        reason: Option<Box<str>>,
    },
    /// The administrator allows a subject for a time, whatever it does.
    Allow {
        /// Whom.
        subject: Prefix,
        /// For how long from now.
        span: Duration,
    },
    /// The administrator allows a subject no longer.
    Disallow {
        /// Whom.
        subject: Prefix,
    },
    /// A set of addresses that are never banned holds something else now.
    Ignore {
        /// Which set; nothing comes of one that no jail knows.
        set: SetName,
        /// All that it holds.
        addresses: AddressSet,
    },
    /// What the store remembers of earlier runs: before any record, or as soon as it can be read.
    Restore(Remembered),
    /// What an action made of its orders.
    Outcome(Outcome),
    /// New settings; windows and bans of jails that stay are kept.
    Policy(Box<Policy>),
}

/// A ban that another program has made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Adoption {
    /// The jail that bans.
    pub jail: JailName,
    /// Whom; somebody whom that jail can ban.
    pub subject: Subject,
    /// Since when.
    pub start: Timestamp,
    /// For how long from then on; as long as the jail's first ban if nobody knows.
    pub bantime: Option<BanTime>,
    /// How often the other program had banned it, this time included.
    pub offence: u32,
    /// The account that was tried; text of the attacker's choice.
    pub user: Option<Box<str>>,
    /// The log lines that made it, oldest first, as [`super::record::kept::kept`] keeps them.
    pub lines: Vec<Box<str>>,
    /// Which program that is, in words that are kept with the ban.
    pub reason: Box<str>,
}

/// What an action made of its orders.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// These bans are in effect now, as far as the action is concerned.
    Applied {
        /// The action.
        action: ActionName,
        /// The bans.
        bans: Vec<BanId>,
    },
    /// Every ban that is the action's is in effect: the world was made equal to the ledger.
    Reconciled {
        /// The action.
        action: ActionName,
    },
    /// The action does not work at the moment; no ban of its jails is certain to be in effect.
    Broken {
        /// The action.
        action: ActionName,
    },
}

/// What has become of a failure that counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// It may still help to ban its subject.
    Open,
    /// It may not, for a ban has used it or come after it, but still to ban others.
    Used,
    /// A login has taken it back, before the failure with this number.
    TakenBack(FailureId),
}

/// Failures that logins take back later on, in the order in which that happens.
#[derive(Debug, Default)]
pub struct TakenBack {
    waiting: BTreeMap<(FailureId, FailureId), Failure>,
}

impl TakenBack {
    /// Waits for the moment when a login takes this one back, if one does.
    pub fn note(&mut self, failure: &Failure, fate: Fate) {
        if let Fate::TakenBack(before) = fate {
            self.waiting.insert((before, failure.id), failure.clone());
        }
    }

    /// The next one that was taken back by the time of the failure with number `id`; all in the end if that is `None`.
    pub fn next(&mut self, id: Option<FailureId>) -> Option<Failure> {
        let first = self.waiting.first_entry()?;
        let is_due = id.is_none_or(|id| first.key().0 <= id);
        is_due.then(|| first.remove())
    }
}

/// What outlived the last run.
#[derive(Clone, Debug, Default)]
pub struct Remembered {
    /// Bans that had not ended, oldest first. Their evidence is not needed and left empty.
    pub bans: Vec<Ban>,
    /// Counted failures, oldest first, as far back as the longest findtime.
    pub failures: Vec<(Failure, Fate)>,
    /// Bans that would be in force if they had not been merged into those of networks, and when they were.
    pub merged: Vec<(Ban, Timestamp)>,
    /// The last ban of each subject in each jail, as far back as history goes, the oldest first.
    pub offences: Vec<(JailName, Subject, Offence)>,
    /// Who is allowed for a time.
    pub allowances: Vec<Allowance>,
    /// When networks were banned, and whatever address was by hand, as far back as the failures, the oldest first.
    pub networks: Vec<(JailName, Prefix, Timestamp)>,
    /// When the siege of each jail began that is under one.
    pub sieges: Vec<(JailName, Timestamp)>,
    /// Whose bans have not worked, and when that was told.
    pub unhindered: Box<[(JailName, Subject, Timestamp)]>,
    /// What waits to be judged, in its order.
    pub awaited: Vec<Awaited>,
    /// What was seen of filters.
    pub seen: Box<Seen>,
    /// The next free failure number.
    pub next_failure: Option<FailureId>,
    /// The next free ban number.
    pub next_ban: Option<BanId>,
    /// The next free number of what waits.
    pub next_awaited: Option<AwaitedId>,
    /// Whether more of it will come, as soon as it can be read.
    pub more: bool,
}
