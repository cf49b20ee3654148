//! Which lines travel over the control socket?
//!
//! A request is one line of JSON, and so is its reply. The rows of lists are also what `--json` prints, so their
//! fields are a contract: fields may be added, none changes its meaning. Text of attackers in them has lost
//! its control characters before it comes here.

mod bans;
mod explanation;
mod following;
mod status;

use std::net::IpAddr;
use std::time::Duration;

use serde::{Deserialize, Serialize};

pub use bans::{AllowedRow, BanRow, FailureRow, HistoryRow, OperatorRow, ResponseRow};
pub use explanation::{Explanation, NextBanRow, PatternRow, PlaceRow, VerdictRow, unit};
pub use following::FollowLine;
pub use status::{
    ActionRow, ConfigurationRow, DatabaseRow, FileRow, JailRow, SiegeRow, SourceRow, Status,
};

pub use super::settings::{
    DaemonChange, GrowthOption, JailChange, JailSettingsRow, LinesRow, SaidAction, SettingsRow,
    TreeChange, TreeOption,
};

use super::health::HealthRow;
use super::text;
use crate::engine::name::JailName;
use crate::engine::prefix::Prefix;
use crate::engine::time::{BanTime, Timestamp};

/// The version of the protocol. It changes when an old client would misunderstand a new daemon.
pub const VERSION: u32 = 1;

/// The longest request: a page of bans that are taken over. Others have some 300 bytes.
pub const LONGEST_REQUEST: usize = 64 * 1024;

/// The bans of one such page: some milliseconds of the driver's time.
pub const MOST_TAKEN_OVER: usize = 500;

/// The longest trial of a configuration: whoever has not confirmed it in a day has forgotten it.
pub const LONGEST_TRIAL: Duration = Duration::from_secs(86_400);

/// For how many seconds somebody can be allowed: a year. Whoever is to be spared for longer belongs into `ignoreip`.
pub const LONGEST_ALLOWANCE: u64 = 366 * 86_400;

/// Rows of one reply. A list of 100,000 bans takes several requests, so that neither side keeps them all and the
/// driver is never busy with one for more than some milliseconds.
pub const PAGE: usize = 5_000;

/// A request as it travels.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Envelope {
    /// [`VERSION`] of the client.
    pub version: u32,
    /// What is asked.
    #[serde(flatten)]
    pub request: Request,
}

/// What can be asked or told.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "request", rename_all = "snake_case")]
pub enum Request {
    /// How is everything, or one jail?
    Status {
        /// Only this jail.
        #[serde(with = "text::option", default)]
        jail: Option<JailName>,
    },
    /// How well do the filters hear?
    Deaf,
    /// Who is banned?
    Bans {
        /// Only by this jail.
        #[serde(with = "text::option", default)]
        jail: Option<JailName>,
        /// Only bans with a higher number, for the next page.
        #[serde(default)]
        after: u64,
    },
    /// Which bans were there, the newest first?
    History {
        /// Only those that share an address with this subject, or are of this name; see [`Request::Ban`].
        #[serde(default)]
        subject: Option<String>,
        /// Only by this jail.
        #[serde(with = "text::option", default)]
        jail: Option<JailName>,
        /// At most so many, and never more than [`PAGE`].
        limit: usize,
    },
    /// Why is it banned, or why not?
    Explain {
        /// An address or network; or a name, if it is neither and a jail bans names.
        subject: String,
    },
    /// Ban it.
    Ban {
        /// In this jail.
        #[serde(with = "text")]
        jail: JailName,
        /// Whom: a name if the jail bans names, whatever it looks like, or else an address or network.
        subject: String,
        /// For how long, if not as the jail does.
        #[serde(with = "text::option", default)]
        bantime: Option<BanTime>,
        /// Even if that locks somebody out.
        #[serde(default)]
        force: bool,
        /// Where the connection comes from by which somebody asks; nothing if that is not known.
        #[serde(default)]
        from: Option<IpAddr>,
        /// Why; it is kept with the ban.
        #[serde(default)]
        reason: Option<String>,
    },
    /// Lift bans.
    Unban {
        /// Of this subject; all if it is null, which has to be said. Without a jail it is a name if it is neither an
        /// address nor a network and a jail bans names.
        #[serde(deserialize_with = "Option::deserialize")]
        subject: Option<String>,
        /// In this jail only.
        #[serde(with = "text::option", default)]
        jail: Option<JailName>,
        /// And forget earlier bans.
        #[serde(default)]
        forget: bool,
        /// Why; it is kept with the bans that are lifted.
        #[serde(default)]
        reason: Option<String>,
    },
    /// Take over bans of another program.
    TakeOver {
        /// Which program that is, in words that are kept with the bans.
        program: String,
        /// The bans, the oldest first, at most [`MOST_TAKEN_OVER`].
        bans: Vec<ForeignBan>,
    },
    /// Allow it for a time, whatever it does.
    Allow {
        /// Whom.
        #[serde(with = "text")]
        subject: Prefix,
        /// For how long from now, at most [`LONGEST_ALLOWANCE`].
        seconds: u64,
    },
    /// Allow it no longer.
    Disallow {
        /// Whom, as it was allowed.
        #[serde(with = "text")]
        subject: Prefix,
    },
    /// Who is allowed?
    Allowed,
    /// Read the configuration anew.
    Reload {
        /// For so many seconds it is on trial: if nobody confirms it by then, the one before it comes back.
        #[serde(default)]
        confirm: Option<u64>,
    },
    /// Keep the configuration that is on trial.
    Confirm,
    /// Write what waits to be written, and make the firewall equal to the ledger.
    Flush,
    /// Tell everything that happens from now on.
    Follow,
    /// What is configured, of one jail or of all?
    Settings {
        /// Only of this jail.
        #[serde(with = "text::option", default)]
        jail: Option<JailName>,
    },
    /// Have a jail do otherwise than is configured, until the configuration is read again.
    Set {
        /// Which one.
        #[serde(with = "text")]
        jail: JailName,
        /// What it does otherwise.
        #[serde(flatten)]
        change: JailChange,
    },
    /// Have a jail of a directory of Fail2ban's do otherwise than that says, until it is read again.
    Rewrite {
        /// Which one.
        #[serde(with = "text")]
        jail: JailName,
        /// What is as if it were written otherwise.
        #[serde(flatten)]
        change: TreeChange,
    },
    /// Have a jail end, which lets go whom it has banned, until the configuration is read again.
    EndJail {
        /// Which one.
        #[serde(with = "text")]
        jail: JailName,
    },
    /// Have the daemon do otherwise than is configured, until the configuration is read again.
    SetDaemon {
        /// What it does otherwise.
        #[serde(flatten)]
        change: DaemonChange,
    },
    /// End.
    Stop,
}

impl Request {
    /// Whether it changes something. Such a request is for root and the daemon's own user only.
    pub fn acts(&self) -> bool {
        match self {
            Request::Ban { .. }
            | Request::Unban { .. }
            | Request::TakeOver { .. }
            | Request::Allow { .. }
            | Request::Disallow { .. }
            | Request::Reload { .. }
            | Request::Confirm
            | Request::Flush
            | Request::Set { .. }
            | Request::Rewrite { .. }
            | Request::EndJail { .. }
            | Request::SetDaemon { .. }
            | Request::Stop => true,
            Request::Allowed
            | Request::Status { .. }
            | Request::Deaf
            | Request::Bans { .. }
            | Request::History { .. }
            | Request::Explain { .. }
            | Request::Settings { .. }
            | Request::Follow => false,
        }
    }
}

/// A ban of another program.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ForeignBan {
    /// The jail that shall have it.
    #[serde(with = "text")]
    pub jail: JailName,
    /// Whom: a name if the jail bans names, whatever it looks like, or else an address or network.
    pub subject: String,
    /// Since when.
    #[serde(with = "text")]
    pub start: Timestamp,
    /// For how long from then on; as long as the first ban of the jail if that is not known.
    #[serde(with = "text::option", default)]
    pub bantime: Option<BanTime>,
    /// How often it had been banned, this time included.
    pub offence: u32,
    /// How many failures made it.
    #[serde(default)]
    pub failures: u32,
    /// The account that was tried.
    #[serde(default)]
    pub user: Option<String>,
    /// The log lines that made it, the oldest first.
    #[serde(default)]
    pub lines: Vec<String>,
}

/// What has become of a ban of another program.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TakenOver {
    /// It is in force.
    InForce,
    /// It is over, and counts as an earlier offence.
    Past,
    /// It says nothing that was not known: the same ban was taken over before, or one as long is in force, or one that is
    /// newer is known and this one is over.
    Known,
    /// Its subject is never banned.
    Ignored,
    /// Its subject would be locked out: somebody who is logged in, a gateway, a resolver.
    Guarded,
    /// No such jail is enabled.
    NoJail,
    /// Its subject is nobody whom that jail can ban.
    NoSubject,
    /// As many bans are in force as there can be.
    Full,
}

/// What is answered.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "reply", rename_all = "snake_case")]
pub enum Reply {
    /// It is done.
    Done {
        /// How many bans began or ended by it.
        changed: usize,
        /// How many bans go on that had been merged into one that ended by it.
        #[serde(default)]
        resumed: usize,
    },
    /// To [`Request::TakeOver`].
    TakenOver {
        /// What has become of each ban, in their order.
        rows: Vec<TakenOver>,
    },
    /// To [`Request::Reload`].
    InForce {
        /// Until when it has to be confirmed; null if it stays in any case.
        #[serde(with = "text::option")]
        confirm_by: Option<Timestamp>,
    },
    /// It is not done, and nothing has changed.
    Refused(Refusal),
    /// To [`Request::Status`].
    Status(Box<Status>),
    /// To [`Request::Deaf`].
    Deaf {
        /// The filters in use, in the order of their jails.
        rows: Vec<HealthRow>,
    },
    /// To [`Request::Bans`].
    Bans {
        /// In the order of their numbers.
        rows: Vec<BanRow>,
        /// Whether there are more.
        more: bool,
    },
    /// To [`Request::History`].
    History {
        /// The newest first.
        rows: Vec<HistoryRow>,
    },
    /// To [`Request::Allowed`].
    Allowed {
        /// Those that end first come first.
        rows: Vec<AllowedRow>,
    },
    /// To [`Request::Explain`].
    Explanation(Box<Explanation>),
    /// To [`Request::Settings`].
    Settings(Box<SettingsRow>),
    /// To [`Request::Follow`]: [`FollowLine`]s come next, until one side has enough.
    Following,
}

/// Why something is not done.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Refusal {
    /// What kind of refusal it is.
    pub why: Why,
    /// A sentence for people.
    pub message: String,
    /// More lines for people, such as the mistakes of a configuration.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub details: Vec<String>,
}

/// Kinds of refusals, each with its exit code.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Why {
    /// The request cannot be understood.
    Malformed,
    /// What is asked for cannot be, such as a ban of something that is no address.
    Usage,
    /// The client is not allowed to.
    NotPermitted,
    /// There is no such jail, or nothing to lift.
    NotSo,
    /// The configuration has mistakes.
    BadConfiguration,
    /// The daemon is not able to.
    Unable,
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn requests_travel_as_readable_lines() {
        let request = Request::Ban {
            jail: "sshd".parse().expect("a name"),
            subject: "192.0.2.0/24".to_owned(),
            bantime: Some(BanTime::Forever),
            force: false,
            from: None,
            reason: None,
        };
        let line = serde_json::to_string(&Envelope {
            version: VERSION,
            request,
        })
        .expect("JSON");
        assert_eq!(
            line,
            r#"{"version":1,"request":"ban","jail":"sshd","subject":"192.0.2.0/24","bantime":"forever","force":false,"from":null,"reason":null}"#
        );
        assert!(serde_json::from_str::<Envelope>(&line).is_ok());
        let short = r#"{"version":1,"request":"bans"}"#;
        let envelope: Envelope = serde_json::from_str(short).expect("a request");
        assert_eq!(
            envelope.request,
            Request::Bans {
                jail: None,
                after: 0
            }
        );
    }

    #[test]
    fn a_change_travels_beside_its_jail() {
        let line = r#"{"version":1,"request":"set","jail":"sshd","key":"maxretry","value":3}"#;
        let envelope: Envelope = serde_json::from_str(line).expect("a request");
        let jail = "sshd".parse().expect("a name");
        let change = JailChange::Maxretry(3);
        assert_eq!(envelope.request, Request::Set { jail, change });
        assert_eq!(serde_json::to_string(&envelope).expect("JSON"), line);
        let line = r#"{"version":1,"request":"rewrite","jail":"sshd","key":"option","value":{"option":"usedns","value":"no"}}"#;
        let envelope: Envelope = serde_json::from_str(line).expect("a request");
        assert_eq!(serde_json::to_string(&envelope).expect("JSON"), line);
        let strange = line.replace("usedns", "action");
        assert!(serde_json::from_str::<Envelope>(&strange).is_err());
    }

    #[test]
    fn an_unban_without_subject_must_be_meant() {
        let misspelt = r#"{"version":1,"request":"unban","subjekt":"192.0.2.1"}"#;
        let envelope: Result<Envelope, _> = serde_json::from_str(misspelt);
        // A client that misspells its subject must not lift everything; the command line says `--all`.
        assert!(envelope.is_err(), "{envelope:?}");
    }

    proptest! {
        #[test]
        fn no_request_is_too_odd(line in "(?s).{0,200}") {
            let _ = serde_json::from_str::<Envelope>(&line);
        }
    }
}
