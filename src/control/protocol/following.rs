//! What has just happened? The lines of `follow`.
//!
//! Nothing is asked or decided here.

use serde::{Deserialize, Serialize};

use super::bans::FailureRow;
use crate::control::text;
use crate::engine::decision::Release;
use crate::engine::name::JailName;
use crate::engine::subject::Subject;
use crate::engine::time::{BanTime, Timestamp};

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
