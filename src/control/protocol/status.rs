//! How is the daemon? The rows of `status`.
//!
//! Nothing is asked or decided here.

use serde::{Deserialize, Serialize};

use crate::control::text;
use crate::engine::name::JailName;
use crate::engine::time::{BanTime, Timestamp};

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
