//! What was seen of filters beside what they count?
//!
//! How many records each pattern has taken, and lines of a filter's own that none of its patterns knows though they look
//! like failures: a service that words its failures anew makes a filter deaf without a sound. Sightings are totals, so that
//! to write one twice changes nothing. Nothing is ever counted or banned by them.

use std::time::Duration;

use super::name::{FilterName, JailName};
use super::policy::Policy;
use super::time::Timestamp;

/// A day, by which records are counted.
pub const DAY: Duration = Duration::from_secs(86_400);

/// How long back a filter's state of health is told: a filter that works takes something in a week.
pub const LATELY: Duration = Duration::from_secs(7 * 86_400);

/// Unknown wordings that are kept of one filter. More would not tell more: the remedy shows the rest.
pub const MOST_LINES: usize = 5;

/// So many bytes are kept of an unknown line: any failure is told in fewer, and attackers write them.
pub const LONGEST_LINE: usize = 500;

/// Something that was seen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Sighting {
    /// How many records a pattern has taken.
    Taken(PatternCount),
    /// A line that nobody knows.
    Unknown(UnknownLine),
}

/// How many records a pattern has taken on one day. The text says which pattern: its number is another one when the file
/// was edited.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PatternCount {
    /// The filter.
    pub filter: FilterName,
    /// The pattern, as it is written.
    pub pattern: Box<str>,
    /// Its number in the file.
    pub number: u16,
    /// The moment the day began, in UTC: the day when the records were heard.
    pub day: Timestamp,
    /// How many; 0 on the day from which on it is known that it takes nothing.
    pub records: u64,
    /// The time of the newest of these records.
    pub last: Option<Timestamp>,
}

/// A wording that no pattern of a filter knows and that looks like a failure.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UnknownLine {
    /// The filter.
    pub filter: FilterName,
    /// Which of the filter's places it has, below [`MOST_LINES`]; what had it before is forgotten.
    pub place: u8,
    /// The first line of this wording, of at most [`LONGEST_LINE`] bytes, as [`super::record::kept::kept`] keeps it; text
    /// of the attacker's choice.
    pub text: Box<str>,
    /// How many such lines were seen, of those that were looked at.
    pub count: u64,
    /// When the first one was logged.
    pub first: Timestamp,
    /// When the last one was.
    pub last: Timestamp,
}

/// What earlier runs have seen.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Seen {
    /// Of each pattern its last day, and the lines that nobody knew.
    pub sightings: Vec<Sighting>,
    /// When the administrator was told last that the filter of a jail has gone deaf.
    pub told: Vec<(JailName, Timestamp)>,
}

/// What the records that a pattern has taken come to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PatternSum {
    /// The filter.
    pub filter: FilterName,
    /// The pattern, as it is written.
    pub pattern: Box<str>,
    /// How many records it took since some day.
    pub records: u64,
    /// The time of the newest one of all.
    pub last: Option<Timestamp>,
    /// The first day that is known of it.
    pub since: Timestamp,
}

/// How well a filter hears.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FilterHealth {
    /// The filter.
    pub filter: FilterName,
    /// The jails that use it.
    pub jails: Vec<JailName>,
    /// Its patterns in the order of the file, with their numbers. Of one that is new nothing is known yet.
    pub patterns: Vec<(u16, String, Option<PatternSum>)>,
    /// What it does not know, the latest first.
    pub lines: Vec<UnknownLine>,
}

impl FilterHealth {
    /// When it took a record last.
    pub fn last(&self) -> Option<Timestamp> {
        let sums = self.patterns.iter().filter_map(|(.., sum)| sum.as_ref());
        sums.filter_map(|sum| sum.last).max()
    }

    /// The lines of the last day, if the filter took nothing in that time: it may have gone deaf.
    pub fn unheard(&self, now: Timestamp) -> &[UnknownLine] {
        let since = now.before(DAY);
        if self.last().is_some_and(|last| last >= since) {
            return &[];
        }
        let fresh = self.lines.iter().take_while(|line| line.last >= since);
        &self.lines[..fresh.count()]
    }
}

/// The moment a day began, in UTC.
pub fn day_of(time: Timestamp) -> Timestamp {
    let day = i64::try_from(DAY.as_micros()).unwrap_or(i64::MAX);
    Timestamp::from_micros(time.as_micros().div_euclid(day).saturating_mul(day))
}

/// When the days began that [`LATELY`] means, of which the present one is the last.
pub fn lately(now: Timestamp) -> Timestamp {
    day_of(now).before(LATELY).after(DAY)
}

/// How well the filters of a policy hear, by what is kept of them.
pub fn health(policy: &Policy, sums: &[PatternSum], lines: &[UnknownLine]) -> Vec<FilterHealth> {
    let mut all: Vec<FilterHealth> = Vec::new();
    for jail in &policy.jails {
        let spec = policy.filters.spec(jail.filter);
        if spec.records.reports || spec.records.bans {
            continue;
        }
        let at = all.iter().position(|known| known.filter == spec.name);
        let at = at.unwrap_or_else(|| {
            let own = lines.iter().filter(|line| line.filter == spec.name);
            let mut lines: Vec<_> = own.cloned().collect();
            lines.sort_by_key(|line| std::cmp::Reverse(line.last));
            all.push(FilterHealth {
                filter: spec.name.clone(),
                jails: Vec::new(),
                patterns: Vec::new(),
                lines,
            });
            all.len() - 1
        });
        let one = &mut all[at];
        one.jails.push(jail.name.clone());
        for pattern in &spec.failures {
            // Another jail may use the filter in another mode.
            if one
                .patterns
                .iter()
                .any(|(number, ..)| *number == pattern.number)
            {
                continue;
            }
            let text = pattern.to_string();
            let is_it = |sum: &&PatternSum| sum.filter == spec.name && *sum.pattern == *text;
            let sum = sums.iter().find(is_it).cloned();
            one.patterns.push((pattern.number, text, sum));
        }
        one.patterns.sort_by_key(|(number, ..)| *number);
    }
    all
}
