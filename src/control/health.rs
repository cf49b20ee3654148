//! How well filters hear, as it travels over the control socket and as `f2bd status --deaf --json` prints it.
//!
//! Rows alone; fields may be added, none changes its meaning. Text of attackers has lost its control characters.

use serde::{Deserialize, Serialize};

use super::text;
use crate::engine::sighting::{FilterHealth, PatternSum, UnknownLine};
use crate::engine::time::Timestamp;

/// How well a filter hears.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct HealthRow {
    /// The filter.
    pub filter: String,
    /// The jails that use it.
    pub jails: Vec<String>,
    /// Whether it has taken nothing for a day, though lines of that day look like failures.
    pub deaf: bool,
    /// Its patterns, in the order of the file.
    pub patterns: Vec<PatternHealthRow>,
    /// Lines of its own that it does not know and that look like failures, one of each wording, the latest first.
    pub lines: Vec<UnknownRow>,
}

/// What a pattern has taken.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PatternHealthRow {
    /// Its number in the filter file.
    pub number: u16,
    /// As it is written there.
    pub text: String,
    /// How many records it took in the last seven days, today included.
    pub records: u64,
    /// The time of the newest record that it took; null if it never did.
    #[serde(with = "text::option")]
    pub last: Option<Timestamp>,
    /// Since when that is known; null if it has not been written down yet.
    #[serde(with = "text::option")]
    pub since: Option<Timestamp>,
}

/// A wording that a filter does not know.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct UnknownRow {
    /// The first line of it.
    pub line: String,
    /// How many such lines were seen, of those that were looked at.
    pub count: u64,
    /// When the first one was logged.
    #[serde(with = "text")]
    pub first: Timestamp,
    /// When the last one was.
    #[serde(with = "text")]
    pub last: Timestamp,
}

impl HealthRow {
    /// What there is to tell of a filter at `now`.
    pub fn of(health: FilterHealth, now: Timestamp) -> Self {
        HealthRow {
            deaf: !health.unheard(now).is_empty(),
            filter: health.filter.to_string(),
            jails: health.jails.iter().map(ToString::to_string).collect(),
            patterns: health
                .patterns
                .into_iter()
                .map(|(number, text, sum)| pattern(number, text, sum))
                .collect(),
            lines: health.lines.into_iter().map(unknown).collect(),
        }
    }
}

fn pattern(number: u16, text: String, sum: Option<PatternSum>) -> PatternHealthRow {
    PatternHealthRow {
        number,
        text,
        records: sum.as_ref().map_or(0, |sum| sum.records),
        last: sum.as_ref().and_then(|sum| sum.last),
        since: sum.map(|sum| sum.since),
    }
}

fn unknown(line: UnknownLine) -> UnknownRow {
    UnknownRow {
        line: line.text.into(),
        count: line.count,
        first: line.first,
        last: line.last,
    }
}
