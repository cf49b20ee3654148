//! What does the engine answer with?
//!
//! Decisions are facts to be remembered and orders to be carried out, in that sequence. They own their
//! text, since they outlive the batch they came from.

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

use super::filter::{LinePattern, Outcome};
use super::host::HostName;
use super::jail::siege::Rate;
use super::ledger::Standing;
use super::name::{ActionName, FilterName, JailName, SourceName};
use super::policy::{MaxRetry, SetName};
use super::prefix::Prefix;
use super::sighting::Sighting;
use super::subject::Subject;
use super::time::{BanTime, Timestamp};

/// The number of a failure, unique and rising over the life of a database.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FailureId(pub u64);

/// The number of a ban, unique and rising over the life of a database.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct BanId(pub u64);

/// The number of a record that waits to be judged, unique and rising over the life of a database.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct AwaitedId(pub u64);

/// One thing that should be remembered, and perhaps done.
#[must_use]
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Decision {
    /// A record was counted against somebody.
    Count(Failure),
    /// A record would count against somebody, had he not to be spared; nothing comes of it but that it is told.
    Ignore(Ignored),
    /// A record is judged only when something is known that has to be asked elsewhere.
    Await(Awaited),
    /// It waits no longer: what has come of it goes before, if anything has.
    Answered(AwaitedId),
    /// A subject is banned from now on.
    Ban(Ban),
    /// A ban is over.
    Unban(Unban),
    /// A ban goes on that was merged into one of a network, which has ended before its time.
    Resume(Resumed),
    /// Failures and earlier bans of a subject count no more.
    Forgive(Forgiven),
    /// A subject is allowed for a time; it takes the place of what was allowed to it before.
    Allow(Allowance),
    /// A subject is no longer allowed.
    Disallow(Prefix),
    /// Failures count no more.
    Clear(Cleared),
    /// What the administrator says about a ban, right behind its beginning or its end.
    Remark(Remark),
    /// The administrator should know; the engine says each thing once until it changes.
    Notice(Notice),
    /// What was seen of a filter; nothing comes of it but that it is remembered.
    Sighted(Sighting),
}

/// A record that a filter counts against somebody. User, target, session and line are missing if the engine keeps no
/// text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// Its number.
    pub id: FailureId,
    /// The record's time, never later than the moment it was heard.
    pub time: Timestamp,
    /// The jail that counts it.
    pub jail: JailName,
    /// Whom it is counted against.
    pub subject: Subject,
    /// The very address in the record; `None` if there is none, which only a jail counts that bans no addresses.
    pub address: Option<IpAddr>,
    /// The account that was tried; text of the attacker's choice.
    pub user: Option<Box<str>>,
    /// What was attacked; text of the attacker's choice.
    pub target: Option<Box<str>>,
    /// Which pattern of the filter took the record, counted from 1; 0 if another program found it.
    pub pattern: u16,
    /// What ties the records of one session together (a pid, a queue id).
    pub session: Option<Box<str>>,
    /// Whether it counts towards a ban; one of an already banned subject does not.
    pub counted: bool,
    /// The record's message, or its whole line where the filter looks at that; text of the attacker's choice.
    pub line: Box<str>,
}

/// A record that waits to be judged, until what it waits for is known. Texts are as [`super::record::kept::kept`] keeps
/// them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Awaited {
    /// Its number.
    pub id: AwaitedId,
    /// The record's time, never later than the moment it was heard.
    pub time: Timestamp,
    /// The jail that wants to know.
    pub jail: JailName,
    /// The source that told; `None` for old logs that concern every jail.
    pub source: Option<SourceName>,
    /// What it waits for.
    pub unknown: Unknown,
    /// What it will be counted as.
    pub outcome: Outcome,
    /// The account that was tried; text of the attacker's choice.
    pub user: Option<Box<str>>,
    /// What was attacked; text of the attacker's choice.
    pub target: Option<Box<str>>,
    /// For whom the host says that it speaks; text of the attacker's choice but for its end.
    pub forwarded: Option<Box<str>>,
    /// Which pattern of the filter took the record, counted from 1.
    pub pattern: u16,
    /// What ties the records of one session together.
    pub session: Option<Box<str>>,
    /// The record's message, or its whole line where the filter looks at that; text of the attacker's choice.
    pub line: Box<str>,
}

/// A failure of an address that is never banned, so that it does not count.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ignored {
    /// The jail that would have counted it.
    pub jail: JailName,
    /// The address.
    pub address: IpAddr,
    /// The set that holds it; `None` if the configuration states it by itself.
    pub by: Option<SetName>,
}

/// What has to be asked elsewhere of whoever a record is about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Unknown {
    /// Which addresses this host has, which is known by name alone.
    Addresses(HostName),
    /// Whether the jail's program spares this address; the network is the one that the record names, if it names one.
    Word(IpAddr, Option<Prefix>),
}

/// As the database knows it: `mail.example.org`, `192.0.2.7`, `192.0.2.7/24`.
impl fmt::Display for Unknown {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Unknown::Addresses(host) => write!(f, "{host}"),
            Unknown::Word(address, None) => write!(f, "{address}"),
            Unknown::Word(address, Some(network)) => write!(f, "{address}/{}", network.width()),
        }
    }
}

/// The text is neither the name of a host nor an address.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is neither the full name of a host nor an address")]
pub struct UnknownError(Box<str>);

impl FromStr for Unknown {
    type Err = UnknownError;

    fn from_str(text: &str) -> Result<Self, UnknownError> {
        if let Ok(host) = text.parse() {
            return Ok(Unknown::Addresses(host));
        }
        let wrong = || UnknownError(text.into());
        let (address, width) = match text.split_once('/') {
            Some((address, width)) => (address, Some(width)),
            None => (text, None),
        };
        let address = address.parse().map_err(|_| wrong())?;
        let network = width.map(|_| text.parse()).transpose();
        Ok(Unknown::Word(address, network.map_err(|_| wrong())?))
    }
}

/// Why a ban was made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Origin {
    /// By maxretry failures within findtime.
    Failures,
    /// By failures of many hosts of a network.
    Network,
    /// By failures of many hosts for one account, or of one target or session.
    Distributed,
    /// By the administrator.
    Manual,
}

/// The word is not one that the program writes.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is no word for it")]
pub struct UnknownWord(pub(crate) String);

/// The words by which an enum is known in the database, over the control socket and on the terminal.
macro_rules! words {
    ($name:ident: $($variant:ident = $word:literal,)*) => {
        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.pad(match self {
                    $($name::$variant => $word,)*
                })
            }
        }

        impl std::str::FromStr for $name {
            type Err = $crate::engine::decision::UnknownWord;

            fn from_str(word: &str) -> Result<Self, Self::Err> {
                match word {
                    $($word => Ok($name::$variant),)*
                    _ => Err($crate::engine::decision::UnknownWord(word.to_owned())),
                }
            }
        }
    };
}

pub(crate) use words;

words! { Origin:
    Failures = "failures",
    Network = "network",
    Distributed = "distributed",
    Manual = "manual",
}

words! { Release:
    Expired = "expired",
    Manual = "manual",
    Ignored = "ignored",
    JailGone = "jail-gone",
    Replaced = "replaced",
    Merged = "merged",
}

/// A subject is banned.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ban {
    /// Its number.
    pub id: BanId,
    /// The jail that bans.
    pub jail: JailName,
    /// Who is banned.
    pub subject: Subject,
    /// When the ban began: the time of the deciding record.
    pub start: Timestamp,
    /// How long it lasts from `start`.
    pub bantime: BanTime,
    /// Which ban of the subject it is, of those that count together.
    pub offence: u32,
    /// Why.
    pub origin: Origin,
    /// The failures that made it, oldest first; empty for a manual one.
    pub evidence: Vec<FailureId>,
}

impl Ban {
    /// When the ban ends; `None` for one without end.
    pub fn until(&self) -> Option<Timestamp> {
        self.bantime.end(self.start)
    }
}

/// Why a ban ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Release {
    /// Its time was over.
    Expired,
    /// By the administrator.
    Manual,
    /// The subject is on the ignore list now.
    Ignored,
    /// The jail is no longer enabled, or bans names now and did not then, or the other way round.
    JailGone,
    /// A longer or newer manual ban of the same subject took its place.
    Replaced,
    /// A ban of a network around it took its place, which lasts at least as long; should that be lifted earlier, it goes
    /// on.
    Merged,
}

/// A ban is over.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unban {
    /// The ban that ends.
    pub ban: BanId,
    /// What it was.
    pub was: Standing,
    /// Its jail.
    pub jail: JailName,
    /// Who is free.
    pub subject: Subject,
    /// When it ended.
    pub time: Timestamp,
    /// Why.
    pub release: Release,
}

/// A ban that goes on as if it had never been merged.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Resumed {
    /// The ban, with the number, the start and the length that it had; without its evidence.
    pub ban: Ban,
    /// Since when it keeps its subject out by itself again.
    pub time: Timestamp,
}

/// What the administrator says about a ban.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Remark {
    /// The ban's number.
    pub ban: BanId,
    /// Its jail.
    pub jail: JailName,
    /// Who is banned, or free.
    pub subject: Subject,
    /// Which of both.
    pub about: About,
    /// His reason.
    pub reason: Box<str>,
}

/// What somebody has a reason for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum About {
    /// That a ban begins.
    Ban,
    /// That it ends.
    Unban,
}

/// A subject of which all is forgotten that was held against it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Forgiven {
    /// Those by this jail.
    pub jail: JailName,
    /// Who is a newcomer again.
    pub subject: Subject,
}

/// For how long a subject may do what it likes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Allowance {
    /// Who.
    pub subject: Prefix,
    /// Since when.
    pub since: Timestamp,
    /// Until when.
    pub until: Timestamp,
}

/// Whoever failed was let in after all.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cleared {
    /// The jail that had counted.
    pub jail: JailName,
    /// Whose failures they are.
    pub subject: Subject,
    /// As whom it was let in, if that was logged: what it had failed for that counts no more.
    pub user: Option<Box<str>>,
    /// Whether what it had failed for nobody known counts no more either.
    pub nameless: bool,
    /// When: what comes later counts,
    pub time: Timestamp,
    /// and what has this number or a higher one.
    pub before: FailureId,
    /// How many failures were under watch that count no more.
    pub failures: usize,
}

/// Something the administrator should know of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Notice {
    /// More subjects were under watch than the bound allows; the least suspicious were forgotten.
    Evicted {
        /// The jail that lost them.
        jail: JailName,
        /// How many were forgotten at once.
        subjects: usize,
    },
    /// More bans were in force than the bound allows; a new one was refused.
    LedgerFull {
        /// The jail whose ban was refused.
        jail: JailName,
        /// Who goes unbanned.
        subject: Subject,
    },
    /// More records wait for the addresses of names than the bound allows; further ones do not count.
    NamesFull {
        /// The jail that loses one.
        jail: JailName,
    },
    /// A pattern took too many steps on a line, which does not count for it. It is told once.
    Exceeded {
        /// The jail whose filter has it.
        jail: JailName,
        /// Which one.
        pattern: LinePattern,
    },
    /// Records claim to come from the future; they count as of now.
    Future {
        /// The jail they concern.
        jail: JailName,
        /// By how many microseconds the first one ran ahead.
        ahead_micros: i64,
    },
    /// Somebody was let in who had failed often, or for an account that others attack as well.
    Login {
        /// The jail that had counted.
        jail: JailName,
        /// From where, if that was logged.
        address: Option<IpAddr>,
        /// As whom, if that was logged; text of the attacker's choice.
        user: Option<Box<str>>,
        /// How often he had failed.
        failures: usize,
        /// How many other hosts had failed for the same account at least, if it is under attack.
        others: u32,
    },
    /// Somebody fails on and on though he is banned, so his ban shuts nothing. From now on wider actions put it into effect
    /// as well, if the jail has any.
    Unhindered {
        /// The ban, without its evidence.
        ban: Ban,
        /// The time of the failure that was one too many.
        time: Timestamp,
        /// The wider actions.
        wider: Vec<ActionName>,
        /// What is the likely cause, with a remedy. The engine cannot know it: whoever carries this out fills it in.
        cause: Option<Box<str>>,
    },
    /// An address that is never banned would have been.
    Spared {
        /// The jail that would have.
        jail: JailName,
        /// The address.
        subject: Prefix,
        /// The rule that protects it.
        because: Box<str>,
    },
    /// So many failures come that fewer of them make a ban.
    Siege {
        /// The jail they concern.
        jail: JailName,
        /// The time of the record that was one too many.
        time: Timestamp,
        /// They come faster than this.
        rate: Rate,
        /// So many make a ban until it calms.
        maxretry: MaxRetry,
    },
    /// A siege is over.
    SiegeOver {
        /// The jail that was under it.
        jail: JailName,
        /// When it began.
        since: Timestamp,
        /// When it had calmed.
        time: Timestamp,
        /// So many failures make a ban again.
        maxretry: MaxRetry,
    },
    /// A filter has taken nothing for a day, while its programs say what looks like failures.
    Deaf {
        /// The first jail that uses it.
        jail: JailName,
        /// The filter.
        filter: FilterName,
        /// The time of the last record that it has taken.
        since: Timestamp,
        /// Such a line, as it is kept; text of the attacker's choice.
        line: Box<str>,
    },
}

impl Notice {
    /// The jail that it concerns.
    pub fn jail(&self) -> &JailName {
        match self {
            Notice::Evicted { jail, .. }
            | Notice::LedgerFull { jail, .. }
            | Notice::NamesFull { jail }
            | Notice::Exceeded { jail, .. }
            | Notice::Future { jail, .. }
            | Notice::Login { jail, .. }
            | Notice::Spared { jail, .. }
            | Notice::Siege { jail, .. }
            | Notice::SiegeOver { jail, .. }
            | Notice::Deaf { jail, .. } => jail,
            Notice::Unhindered { ban, .. } => &ban.jail,
        }
    }
}
