//! Which lines travel over the control socket?
//!
//! A request is one line of JSON, and so is its reply. The rows of lists are also what `--json` prints, so their
//! fields are a contract: fields may be added, none changes its meaning. Text of attackers in them has lost
//! its control characters before it comes here.

use std::net::IpAddr;
use std::time::Duration;

use serde::{Deserialize, Serialize};

pub use super::settings::{
    DaemonChange, GrowthOption, JailChange, JailSettingsRow, LinesRow, SaidAction, SettingsRow,
    TreeChange, TreeOption,
};

use super::health::HealthRow;
use super::text;
use crate::engine::decision::{Origin, Release};
use crate::engine::name::JailName;
use crate::engine::prefix::Prefix;
use crate::engine::subject::Subject;
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

/// How the daemon is.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Status {
    /// The daemon's version.
    pub version: String,
    /// When it began.
    #[serde(with = "text")]
    pub since: Timestamp,
    /// Whether it only decides and records.
    pub dry_run: bool,
    /// How it came by its configuration.
    pub configuration: ConfigurationRow,
    /// The enabled jails, in the order of the configuration.
    pub jails: Vec<JailRow>,
    /// What is read.
    pub sources: Vec<SourceRow>,
    /// What puts bans into effect.
    pub actions: Vec<ActionRow>,
    /// What remembers.
    pub database: DatabaseRow,
}

/// How the daemon came by the configuration in force.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct ConfigurationRow {
    /// The file that is read, or the directory of Fail2ban's.
    #[serde(default)]
    pub path: String,
    /// Until when it has to be confirmed; null if it is not on trial.
    #[serde(with = "text::option")]
    pub confirm_by: Option<Timestamp>,
    /// When it came back since the one that was read last was not confirmed; null if it is the one that was read last.
    #[serde(with = "text::option")]
    pub restored: Option<Timestamp>,
    /// What is otherwise than its files say since somebody has said so: `maxretry of sshd`.
    #[serde(default)]
    pub set: Vec<String>,
}

/// How a jail is doing.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct JailRow {
    /// Its name.
    #[serde(with = "text")]
    pub jail: JailName,
    /// Its filter.
    pub filter: String,
    /// Failures that make a ban.
    pub maxretry: u32,
    /// Whether failures for different users, so many, do.
    pub distinct: bool,
    /// The window they must lie in, in seconds.
    #[serde(serialize_with = "text::seconds::whole")]
    pub findtime: f64,
    /// How long a ban lasts, in seconds; -1 for ever.
    #[serde(with = "text::seconds")]
    pub bantime: BanTime,
    /// The siege that holds.
    pub siege: Option<SiegeRow>,
    /// Its actions.
    pub actions: Vec<String>,
    /// Subjects with failures in the window.
    pub watched: usize,
    /// How many subjects can be watched at most.
    pub most_watched: usize,
    /// Failures in the window.
    pub failing: usize,
    /// Failures that wait for the addresses of names.
    #[serde(default)]
    pub unresolved: usize,
    /// Bans in force.
    pub banned: usize,
    /// Those of them that do not work: their subjects fail on and on, the last time within the window.
    #[serde(default)]
    pub unhindered: usize,
    /// Failures since the daemon began.
    pub failures: u64,
    /// Bans since the daemon began.
    pub bans: u64,
    /// Bans from before that were in force when the jail began.
    #[serde(default)]
    pub inherited: u64,
    /// Records that its filter was asked about since the daemon began.
    pub records: u64,
}

/// A siege that holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SiegeRow {
    /// When it began.
    #[serde(with = "text")]
    pub since: Timestamp,
    /// Failures that make a ban until it calms.
    pub maxretry: u32,
}

/// How a source is doing.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SourceRow {
    /// Its name.
    pub source: String,
    /// Records read since the daemon began.
    pub records: u64,
    /// Bytes of their text.
    pub bytes: u64,
    /// The time of the newest record.
    #[serde(with = "text::option")]
    pub last_record: Option<Timestamp>,
    /// How many seconds after the newest record's own time it was dealt with.
    pub lag: f64,
    /// Records that were too long and lost their end.
    pub cut: u64,
    /// Records that the kernel dropped since they came faster than they were read.
    pub dropped: u64,
    /// Messages and connections that were not let in.
    pub refused: u64,
    /// Lines that are not of the form that the source has.
    pub malformed: u64,
    /// How often records, nobody knows how many, were gone before they could be read.
    #[serde(default)]
    pub gaps: u64,
    /// Why it cannot be read at the moment.
    pub trouble: Option<String>,
    /// The files that it reads, those with the newest records first.
    pub files: Vec<FileRow>,
    /// How many files there are beside these.
    pub more_files: usize,
}

/// How a file of a source is doing.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileRow {
    /// Its path.
    pub file: String,
    /// Records read since the daemon began.
    pub records: u64,
    /// Bytes of their text.
    pub bytes: u64,
    /// The time of the last record that was read.
    #[serde(with = "text")]
    pub last_record: Timestamp,
}

/// How an action is doing.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ActionRow {
    /// Its name.
    pub action: String,
    /// Whether bans are put into effect, or told.
    pub works: bool,
    /// Why not; null if it works.
    pub reason: Option<String>,
    /// What has gone wrong of late though it works, such as a command that failed; null once another one has succeeded.
    #[serde(default)]
    pub failed: Option<String>,
    /// Whether nobody wants it any more, and it only protects until all others do.
    #[serde(default)]
    pub is_replaced: bool,
}

/// How the database is doing.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DatabaseRow {
    /// Its file.
    pub path: String,
    /// Whether everything decided so far is on disk.
    pub up_to_date: bool,
    /// Whether bans were lost when it was damaged, so that whatever is in effect stays so.
    #[serde(default)]
    pub has_losses: bool,
}

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

/// Something that happened.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "decision", rename_all = "snake_case")]
pub enum FollowLine {
    /// A record was counted against somebody.
    Failure {
        /// Whom it is counted against.
        #[serde(flatten, with = "text::subject")]
        subject: Subject,
        /// What was counted.
        #[serde(flatten)]
        failure: FailureRow,
    },
    /// Somebody is banned.
    Ban {
        /// When.
        #[serde(with = "text")]
        time: Timestamp,
        /// The jail.
        #[serde(with = "text")]
        jail: JailName,
        /// Who.
        #[serde(flatten, with = "text::subject")]
        subject: Subject,
        /// How many failures made the ban.
        failures: usize,
        /// How long it lasts, in seconds; -1 for ever.
        #[serde(with = "text::seconds")]
        bantime: BanTime,
        /// The how manieth ban of the subject it is.
        offence: u32,
        /// Until when; null for ever.
        #[serde(with = "text::option")]
        until: Option<Timestamp>,
    },
    /// A ban is over.
    Unban {
        /// When.
        #[serde(with = "text")]
        time: Timestamp,
        /// The jail.
        #[serde(with = "text")]
        jail: JailName,
        /// Who.
        #[serde(flatten, with = "text::subject")]
        subject: Subject,
        /// Why: `expired`, `manual`, `ignored`, `jail-gone`, `replaced` or `merged`.
        #[serde(with = "text")]
        release: Release,
    },
    /// The administrator should know.
    Notice {
        /// What, in a sentence.
        message: String,
    },
    /// The follower was too slow.
    Missed {
        /// How many lines it did not get.
        lines: u64,
    },
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
