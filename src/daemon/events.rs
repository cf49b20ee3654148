//! Which decisions does an action tell of, and with what?
//!
//! In: decisions, and what is remembered of them. Out: events, in the words of the log. Who hears of them is the outbox's
//! business.

use std::collections::HashMap;

use super::memory::Memory;
use super::notice::sentence;
use crate::action::event::{Event, Occasion};
use crate::engine::Decision;
use crate::engine::decision::{Ban, BanId, Notice, Release};
use crate::engine::ledger::Standing;
use crate::engine::name::JailName;
use crate::engine::policy::Policy;
use crate::engine::prefix::Prefix;
use crate::engine::subject::Subject;
use crate::engine::time::Timestamp;

/// How many lines are told of a ban: enough to see what it was about.
const MOST_LINES: usize = 20;

/// What an event may be made of.
pub struct Known<'k> {
    /// The settings.
    pub policy: &'k Policy,
    /// Where lines are; `None` if nobody wants to be told lines.
    pub memory: Option<&'k Memory>,
    /// Whether somebody wants to be told lines of earlier bans, too.
    pub history: bool,
}

/// Those of the decisions that are events, which came at `now`.
pub fn of<'d>(
    decisions: &'d [Decision],
    now: Timestamp,
    known: &Known<'_>,
) -> Vec<(&'d Decision, Event)> {
    let told = |decision| Some((decision, event(decision, now, known)?));
    decisions.iter().filter_map(told).collect()
}

/// That the daemon has begun or will end, or that something does not work.
pub fn plain(occasion: Occasion, now: Timestamp, sentence: String) -> Event {
    Event {
        occasion,
        time: now,
        jail: None,
        subject: None,
        bantime: None,
        until: None,
        offence: 0,
        failures: 0,
        sentence,
        lines: Vec::new(),
        users: Default::default(),
        captures: Default::default(),
        history: Vec::new(),
        restored: false,
        whereabouts: None,
    }
}

fn event(decision: &Decision, now: Timestamp, known: &Known<'_>) -> Option<Event> {
    let text = || sentence(decision);
    Some(match decision {
        Decision::Ban(ban) => telling_of_ban(ban, text()?, known),
        Decision::Unban(unban) if unban.release != Release::Replaced => Event {
            jail: Some(unban.jail.clone()),
            subject: Some(unban.subject.clone()),
            whereabouts: whereabouts(&unban.subject, known),
            ..plain(Occasion::Unban, unban.time, text()?)
        },
        Decision::Notice(
            notice @ (Notice::Siege { jail, .. } | Notice::SiegeOver { jail, .. }),
        ) => {
            let time = match notice {
                Notice::Siege { time, .. } | Notice::SiegeOver { time, .. } => *time,
                _ => now,
            };
            Event {
                jail: Some(jail.clone()),
                ..plain(Occasion::Siege, time, text()?)
            }
        }
        Decision::Notice(notice) => Event {
            jail: Some(notice.jail().clone()),
            ..plain(Occasion::Notice, now, text()?)
        },
        _ => return None,
    })
}

/// How many failures made which ban, as far as somebody wants to be told and it is known.
pub type Counts = HashMap<BanId, u32>;

/// That a ban of an earlier run is in force.
pub fn of_standing(
    jail: &JailName,
    subject: &Subject,
    ban: &Standing,
    policy: &Policy,
    counts: &Counts,
) -> Event {
    let lasts = match ban.until() {
        Some(until) => format!("until {until}"),
        None => "forever".to_owned(),
    };
    let sentence = format!("[{jail}] {} stays banned {lasts}", subject.plain());
    let known = Known {
        policy,
        memory: None,
        history: false,
    };
    Event {
        jail: Some(jail.clone()),
        subject: Some(subject.clone()),
        bantime: Some(ban.bantime),
        until: ban.until(),
        offence: ban.offence,
        failures: counts.get(&ban.id).map_or(0, |count| *count as usize),
        restored: true,
        whereabouts: whereabouts(subject, &known),
        ..plain(Occasion::Ban, ban.start, sentence)
    }
}

/// That somebody is banned.
pub fn of_ban(ban: &Ban, known: &Known<'_>) -> Event {
    // A decision of its own, to be told in the words of all others.
    let sentence = sentence(&Decision::Ban(ban.clone()));
    telling_of_ban(ban, sentence.unwrap_or_default(), known)
}

fn telling_of_ban(ban: &Ban, sentence: String, known: &Known<'_>) -> Event {
    let store = known.memory.and_then(Memory::store);
    // A database that cannot be read has said so already; the rest is told all the same.
    let rows = store.map(|store| store.lines_of_ban(ban.id).unwrap_or_default());
    let rows = rows.unwrap_or_default();
    let last = rows.iter().skip(rows.len().saturating_sub(MOST_LINES));
    let user = rows.iter().rev().find_map(|row| row.user.clone());
    let history = store.filter(|_| known.history);
    let history = history.map(|store| {
        let newest = store.failures_of(&ban.subject, MOST_LINES);
        newest.unwrap_or_default()
    });
    let history = history.into_iter().flatten().rev();
    Event {
        jail: Some(ban.jail.clone()),
        subject: Some(ban.subject.clone()),
        bantime: Some(ban.bantime),
        until: ban.until(),
        offence: ban.offence,
        failures: ban.evidence.len(),
        lines: last.map(|row| row.line.clone()).collect(),
        users: rows
            .iter()
            .filter_map(|row| row.user.clone())
            .take(MOST_LINES)
            .collect(),
        captures: user
            .map(|user| ("user".to_owned(), user))
            .into_iter()
            .collect(),
        history: history.map(|row| (row.jail, row.line)).collect(),
        whereabouts: whereabouts(&ban.subject, known),
        ..plain(Occasion::Ban, ban.start, sentence)
    }
}

fn whereabouts(subject: &Subject, known: &Known<'_>) -> Option<String> {
    let address = subject.network().map(Prefix::address)?;
    let found = known.policy.atlas.find(address);
    let country = found.country.map(|country| country.to_string());
    let operator = found.operator.map(|operator| match operator.name {
        Some(name) => name.into_string(),
        None => operator.asn.to_string(),
    });
    let parts: Vec<_> = country.into_iter().chain(operator).collect();
    (!parts.is_empty()).then(|| parts.join(", "))
}
