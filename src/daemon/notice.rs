//! How are the engine's decisions told to the operator? Sentences for the log, nothing else.

use std::time::Duration;

use crate::engine::Decision;
use crate::engine::decision::{Ban, Forgiven, Notice, Origin, Resumed};
use crate::engine::ledger::MOST_BANS;
use crate::engine::time::Span;
use crate::source::Trouble;

/// Tells of trouble with a source.
pub fn report_trouble(trouble: &Trouble) {
    match trouble {
        Trouble::Unreadable { source, reason } => {
            log::error!("source {source} cannot be read: {reason}")
        }
        Trouble::Recovered { source } => log::info!("source {source} can be read again"),
        Trouble::Gap {
            source,
            from,
            to: Some(to),
        } => {
            log::warn!(
                "source {source}: records between {from} and {to} were gone before they could be read"
            );
        }
        Trouble::Gap {
            source,
            from,
            to: None,
        } => {
            log::warn!("source {source}: records after {from} were gone before they could be read");
        }
    }
}

/// Tells of a decision.
pub fn report_decision(decision: &Decision) {
    match decision {
        Decision::Count(failure) => {
            log::debug!(
                "[{}] failure of {} (pattern {})",
                failure.jail,
                failure.address,
                failure.pattern
            );
        }
        Decision::Ban(ban) => {
            let why = match ban.origin {
                Origin::Failures => format!("{} failures", ban.evidence.len()),
                Origin::Network => format!("{} failures of its hosts", ban.evidence.len()),
                Origin::Manual => "by hand".to_owned(),
            };
            log::info!(
                "[{}] ban {} {} ({why}, offence {})",
                ban.jail,
                ban.subject.plain(),
                ban.bantime.lasting(),
                ban.offence
            );
        }
        Decision::Unban(unban) => log::info!(
            "[{}] unban {} ({})",
            unban.jail,
            unban.subject.plain(),
            unban.release
        ),
        Decision::Resume(resumed) => log::info!("{}", resumed_text(resumed)),
        Decision::Forgive(forgiven) => log::info!("{}", forgiven_text(forgiven)),
        Decision::Notice(notice) => log::warn!("{}", notice_text(notice)),
    }
}

/// That a ban goes on, as a sentence.
pub fn resumed_text(resumed: &Resumed) -> String {
    let Ban { jail, subject, .. } = &resumed.ban;
    let until = match resumed.ban.until() {
        Some(until) => format!("until {until}"),
        None => "forever".to_owned(),
    };
    let subject = subject.plain();
    format!("[{jail}] {subject} stays banned {until}, now by itself")
}

/// That somebody is a newcomer again, as a sentence.
pub fn forgiven_text(forgiven: &Forgiven) -> String {
    let subject = forgiven.subject.plain();
    format!(
        "[{}] earlier bans of {subject} are forgotten",
        forgiven.jail
    )
}

/// A notice as a sentence.
pub fn notice_text(notice: &Notice) -> String {
    match notice {
        Notice::Evicted { jail, subjects } => format!(
            "[{jail}] more addresses are under watch than there is room for: forgot the {subjects} with the fewest and oldest failures"
        ),
        Notice::LedgerFull { jail, subject } => format!(
            "[{jail}] {} is not banned: {MOST_BANS} bans are in force, which is the most there can be",
            subject.plain()
        ),
        Notice::Future { jail, ahead_micros } => format!(
            "[{jail}] records come from the future ({} ahead) and count as of now; set `timezone` of their source if their dates are of another zone, or else the clock",
            Span(Duration::from_micros(ahead_micros.unsigned_abs()))
        ),
        Notice::Spared {
            jail,
            subject,
            because,
        } => {
            format!("[{jail}] {} is never banned: {because}", subject.plain())
        }
    }
}
