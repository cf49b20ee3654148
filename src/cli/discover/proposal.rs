//! How are proposed jails written?
//!
//! In: proposals. Out: text of f2bd.conf(5), with the reasons as comments. Nothing of it comes from a log but
//! addresses, numbers and paths.

use std::fmt::Write as _;
use std::net::IpAddr;

use super::outcome::{Outcome, Proposal, Row, described};
use super::survey::Survey;
use super::trial::Reason;
use crate::cli::output::{Clock, counted, harmless};
use crate::config::toml_text::quoted;
use crate::engine::time::{Span, Timestamp};

/// Of how many hosts it is said who they are, where that is of use.
pub const EXAMPLES: usize = 2;

/// How many of the hosts that failed most are looked at for one that was banned.
const LOOKED_AT: usize = 1000;

/// The configuration; `None` if no jail is proposed.
pub fn text(outcome: &Outcome, survey: &Survey<'_>, clock: &Clock) -> Option<String> {
    let mut sections = outcome
        .proposals()
        .map(|(row, proposal)| section(row, proposal, survey));
    let first = sections.next()?;
    let date = clock.show(clock.now);
    let mut text = format!(
        "# Found by f2bd discover, {date}: for the end of f2bd.conf, or a file of its own in f2bd.conf.d.\n\n{first}"
    );
    for section in sections {
        text.push('\n');
        text.push_str(&section);
    }
    Some(text)
}

/// Who was banned among those that failed most.
pub fn examples(row: &Row, survey: &Survey<'_>) -> Vec<IpAddr> {
    let worst = survey.tallies[row.at].hosts.worst(LOOKED_AT);
    let usual = survey.trials.usual(row.at);
    usual.banned_of(worst.into_iter()).take(EXAMPLES).collect()
}

fn section(row: &Row, proposal: &Proposal, survey: &Survey<'_>) -> String {
    let mut text = String::new();
    let mut comment = |words: String| {
        // Writing to a String cannot fail.
        let _ = writeln!(text, "# {}", harmless(&words));
    };
    comment(format!("{}: {}", described(row), counts(row, survey)));
    // What is counted shows that the service has what it needs.
    if !row.needs.is_empty() && survey.tallies[row.at].failures == 0 {
        comment(format!("It needs: {}", row.needs));
    }
    for (other, lines) in &proposal.shares {
        let lines = counted(usize::try_from(*lines).unwrap_or(usize::MAX), "line");
        comment(format!(
            "Shares {lines} with {other}: a host banned by one may be banned by both."
        ));
    }
    if let Some(reason) = reason(proposal) {
        comment(reason);
    }
    let jail = match proposal.jail.as_str() {
        plain if !plain.contains('.') => plain.to_owned(),
        dotted => quoted(dotted),
    };
    let _ = writeln!(text, "[jail.{jail}]");
    if proposal.jail.as_str() != row.filter.as_str() {
        let _ = writeln!(text, "filter = {}", quoted(row.filter.as_str()));
    }
    if !proposal.logpath.is_empty() {
        let paths: Vec<_> = proposal.logpath.iter().map(|path| quoted(path)).collect();
        let _ = writeln!(text, "logpath = [{}]", paths.join(", "));
    }
    if !proposal.is_usual {
        let findtime = Span(proposal.thresholds.findtime.0).to_string();
        let _ = writeln!(text, "maxretry = {}", proposal.thresholds.maxretry.0);
        let _ = writeln!(text, "findtime = {}", quoted(&findtime));
    }
    text
}

/// What was counted.
fn counts(row: &Row, survey: &Survey<'_>) -> String {
    let tally = &survey.tallies[row.at];
    if tally.failures == 0 {
        return "it runs here; no failure was counted.".to_owned();
    }
    let number = |count: u64| usize::try_from(count).unwrap_or(usize::MAX);
    let failures = counted(number(tally.failures), "failure");
    let (count, is_all) = tally.hosts.count();
    let more = if is_all { "" } else { " or more" };
    let hosts = format!("{}{more}", counted(count, "host"));
    let usual = survey.trials.usual(row.at);
    let banned = match usual.banned() {
        0 => "none would have been banned".to_owned(),
        banned => {
            let examples: Vec<_> = examples(row, survey)
                .iter()
                .map(IpAddr::to_string)
                .collect();
            let such_as = match examples.is_empty() {
                true => String::new(),
                false => format!(", such as {}", examples.join(" and ")),
            };
            let thresholds = usual.thresholds;
            let (maxretry, findtime) = (thresholds.maxretry.0, Span(thresholds.findtime.0));
            format!("{banned} would have been banned by {maxretry} within {findtime}{such_as}")
        }
    };
    format!("{failures} of {hosts}; {banned}.")
}

/// Why other thresholds than the usual ones are proposed, or why these may not do.
pub fn reason(proposal: &Proposal) -> Option<String> {
    let listed = |addresses: &[IpAddr]| {
        let shown: Vec<_> = addresses
            .iter()
            .take(EXAMPLES)
            .map(IpAddr::to_string)
            .collect();
        let more = addresses.len().saturating_sub(shown.len());
        match more {
            0 => shown.join(" and "),
            more => format!("{} and {more} more", shown.join(", ")),
        }
    };
    match &proposal.reason {
        Reason::Usual => None,
        Reason::Stricter { banned, usual } => Some(format!(
            "Stricter than usual: this would have banned {} instead of {usual}, and nobody who logged in.",
            counted(*banned, "host"),
        )),
        Reason::Milder(harmed) => Some(format!(
            "Milder than usual, which would have banned who logged in: {}. Is that nobody of yours?",
            listed(harmed)
        )),
        Reason::Harmful(harmed) => Some(format!(
            "Mind that it would have banned who logged in: {}. If they are yours, put them into ignoreip.",
            listed(harmed)
        )),
    }
}

/// When it was counted.
pub fn shown_span(span: Option<(Timestamp, Timestamp)>, clock: &Clock) -> [String; 2] {
    match span {
        Some((first, last)) => [first, last].map(|time| clock.show(time)),
        None => Default::default(),
    }
}
