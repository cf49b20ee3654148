//! How are the engine's decisions told to the operator? Sentences for the log, nothing else.

use std::time::Duration;

use log::Level;

use crate::engine::Decision;
use crate::engine::decision::{
    About, Allowance, Ban, Cleared, Forgiven, Ignored, Notice, Origin, Remark, Resumed, Unknown,
};
use crate::engine::ledger::MOST_BANS;
use crate::engine::name::ActionName;
use crate::engine::policy::MaxRetry;
use crate::engine::prefix::Prefix;
use crate::engine::record::kept::kept;
use crate::engine::subject::Subject;
use crate::engine::time::Span;
use crate::source::Trouble;

/// Trouble with a source as a sentence, and how much it matters.
pub fn trouble_text(trouble: &Trouble) -> (Level, String) {
    match trouble {
        Trouble::Unreadable { source, reason } => (
            Level::Error,
            format!("source {source} cannot be read: {reason}"),
        ),
        Trouble::Recovered { source } => {
            (Level::Info, format!("source {source} can be read again"))
        }
        Trouble::Gap { source, from, to } => {
            let which = match to {
                Some(to) => format!("records between {from} and {to}"),
                None => format!("records after {from}"),
            };
            let text = format!("source {source}: {which} were gone before they could be read");
            (Level::Warn, text)
        }
    }
}

/// A subject in a sentence. A name is text of the attacker's choice, so it is seen where it ends.
fn who(subject: &Subject) -> String {
    match subject {
        Subject::Network(network) => network.plain(),
        Subject::Name(name) => format!("`{name}`"),
    }
}

/// Tells of a decision.
pub fn report_decision(decision: &Decision) {
    // Of thousands of failures nobody wants to read, so no sentence is made.
    if let Some(level) = level(decision).filter(|level| log::log_enabled!(*level))
        && let Some(sentence) = sentence(decision)
    {
        log::log!(level, "{sentence}");
    }
}

/// How much a decision matters; nothing if nobody cares.
fn level(decision: &Decision) -> Option<Level> {
    match decision {
        Decision::Answered(_) | Decision::Sighted(_) => None,
        Decision::Count(_) | Decision::Ignore(_) | Decision::Await(_) | Decision::Clear(_) => {
            Some(Level::Debug)
        }
        Decision::Ban(_)
        | Decision::Unban(_)
        | Decision::Resume(_)
        | Decision::Remark(_)
        | Decision::Forgive(_)
        | Decision::Allow(_)
        | Decision::Disallow(_) => Some(Level::Info),
        Decision::Notice(_) => Some(Level::Warn),
    }
}

/// A decision as a sentence; nothing if nobody cares.
pub fn sentence(decision: &Decision) -> Option<String> {
    Some(match decision {
        Decision::Count(failure) => {
            let (jail, pattern) = (&failure.jail, failure.pattern);
            let who = who(&failure.subject);
            format!("[{jail}] failure of {who} (pattern {pattern})")
        }
        Decision::Ignore(ignored) => {
            let Ignored { jail, address, .. } = ignored;
            format!("[{jail}] failure of {address}, who is never banned")
        }
        Decision::Await(awaited) => match &awaited.unknown {
            Unknown::Addresses(host) => format!("[{}] looking up {host}", awaited.jail),
            Unknown::Word(address, _) => {
                format!("[{}] asking whether to spare {address}", awaited.jail)
            }
        },
        Decision::Answered(_) | Decision::Sighted(_) => return None,
        Decision::Ban(ban) => ban_text(ban),
        Decision::Unban(unban) => {
            let (jail, release) = (&unban.jail, unban.release);
            format!("[{jail}] unban {} ({release})", who(&unban.subject))
        }
        Decision::Resume(resumed) => resumed_text(resumed),
        Decision::Remark(remark) => remark_text(remark),
        Decision::Forgive(forgiven) => forgiven_text(forgiven),
        Decision::Allow(allowance) => allowed_text(allowance),
        Decision::Disallow(subject) => disallowed_text(*subject),
        Decision::Clear(cleared) => cleared_text(cleared),
        Decision::Notice(notice) => notice_text(notice),
    })
}

/// That somebody is banned, as a sentence.
fn ban_text(ban: &Ban) -> String {
    let why = match ban.origin {
        Origin::Failures if ban.evidence.len() == 1 => "1 failure".to_owned(),
        Origin::Failures => format!("{} failures", ban.evidence.len()),
        Origin::Network => format!("{} failures of its hosts", ban.evidence.len()),
        Origin::Distributed => "it failed for what many hosts attack".to_owned(),
        Origin::Manual => "by hand".to_owned(),
    };
    let (jail, who, lasting) = (&ban.jail, who(&ban.subject), ban.bantime.lasting());
    format!(
        "[{jail}] ban {who} {lasting} ({why}, offence {})",
        ban.offence
    )
}

/// That a ban goes on, as a sentence.
pub fn resumed_text(resumed: &Resumed) -> String {
    let Ban { jail, subject, .. } = &resumed.ban;
    let until = match resumed.ban.until() {
        Some(until) => format!("until {until}"),
        None => "forever".to_owned(),
    };
    let subject = who(subject);
    format!("[{jail}] {subject} stays banned {until}, now by itself")
}

/// Why somebody was banned or let go by hand, as a sentence.
pub fn remark_text(remark: &Remark) -> String {
    let Remark { jail, subject, .. } = remark;
    let what = match remark.about {
        About::Ban => "banned",
        About::Unban => "unbanned",
    };
    let (subject, reason) = (subject.plain(), kept(&remark.reason));
    format!("[{jail}] {subject} was {what} by hand: {reason}")
}

/// That somebody is a newcomer again, as a sentence.
pub fn forgiven_text(forgiven: &Forgiven) -> String {
    let subject = who(&forgiven.subject);
    format!(
        "[{}] earlier bans of {subject} are forgotten",
        forgiven.jail
    )
}

/// That somebody may do as they like, as a sentence.
pub fn allowed_text(allowance: &Allowance) -> String {
    let subject = allowance.subject.plain();
    format!("{subject} is allowed until {}", allowance.until)
}

/// That somebody may not any more, as a sentence.
pub fn disallowed_text(subject: Prefix) -> String {
    format!("{} is no longer allowed", subject.plain())
}

/// That failures count no more, as a sentence.
pub fn cleared_text(cleared: &Cleared) -> String {
    let subject = who(&cleared.subject);
    let (count, verb) = match cleared.failures {
        1 => ("1 failure".to_owned(), "counts"),
        count => (format!("{count} failures"), "count"),
    };
    format!(
        "[{}] {count} of {subject} {verb} no more: it was let in",
        cleared.jail
    )
}

/// How many failures make a ban.
fn bans(maxretry: MaxRetry) -> String {
    match maxretry.0.get() {
        1 => "one failure makes a ban".to_owned(),
        most => format!("{most} failures make a ban"),
    }
}

fn whole_seconds(span: Duration) -> Duration {
    Duration::from_secs(span.as_secs())
}

/// A notice as a sentence.
pub fn notice_text(notice: &Notice) -> String {
    match notice {
        Notice::Evicted { jail, subjects } => format!(
            "[{jail}] more addresses, networks or accounts are under watch than there is room for: forgot the {subjects} with the fewest and oldest failures"
        ),
        Notice::LedgerFull { jail, subject } => format!(
            "[{jail}] {} is not banned: {MOST_BANS} bans are in force, which is the most there can be",
            subject.plain()
        ),
        Notice::NamesFull { jail } => format!(
            "[{jail}] more failures wait for the addresses of names than there is room for: those that come now do not count"
        ),
        Notice::Exceeded { jail, pattern } => format!(
            "[{jail}] {pattern} took too many steps on a line, which does not count for it: write it so that it need not go back"
        ),
        Notice::Future { jail, ahead_micros } => format!(
            "[{jail}] records come from the future ({} ahead) and count as of now; set `timezone` of their source if their dates are of another zone, or else the clock",
            Span(Duration::from_micros(ahead_micros.unsigned_abs()))
        ),
        Notice::Login {
            jail,
            address,
            user,
            failures,
            others,
        } => {
            let user = user.as_deref().map(|user| format!(" as `{}`", kept(user)));
            let user = user.unwrap_or_default();
            let who = address.map_or_else(|| "somebody".to_owned(), |address| address.to_string());
            let own = match failures {
                0 => String::new(),
                1 => " after 1 failure".to_owned(),
                failures => format!(" after {failures} failures"),
            };
            let others = match others {
                0 => String::new(),
                others => {
                    format!(", and at least {others} other hosts had failed for the same account")
                }
            };
            format!("[{jail}] {who} was let in{user}{own}{others}")
        }
        Notice::Unhindered {
            ban: Ban { jail, subject, .. },
            wider,
            cause,
            ..
        } => {
            let cause = cause.as_deref().unwrap_or("the cause is not known");
            let wider: Vec<&str> = wider.iter().map(ActionName::as_str).collect();
            let wider = match wider.as_slice() {
                [] => String::new(),
                actions => format!("; it is now banned by {} as well", actions.join(" and ")),
            };
            let subject = who(subject);
            format!("[{jail}] {subject} fails on though it is banned: {cause}{wider}")
        }
        Notice::Spared {
            jail,
            subject,
            because,
        } => {
            format!("[{jail}] {} is spared: {because}", subject.plain())
        }
        Notice::Siege {
            jail,
            rate,
            maxretry,
            ..
        } => format!(
            "[{jail}] under siege, by more than {rate} failures: {} until it calms",
            bans(*maxretry)
        ),
        Notice::SiegeOver {
            jail,
            since,
            time,
            maxretry,
        } => format!(
            "[{jail}] the siege is over after {}: {} again",
            Span(whole_seconds(time.since(*since))),
            bans(*maxretry)
        ),
        Notice::Deaf {
            jail,
            filter,
            since,
            line,
        } => format!(
            "[{jail}] the filter {filter} may have gone deaf: it has taken nothing since {since}, but its programs log what looks like failures, such as `{line}`; see `f2bd status --deaf`"
        ),
    }
}
