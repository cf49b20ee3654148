//! `f2bd explain`: why is an address banned, or why not? Facts made into sentences.

use std::io::Write;
use std::path::Path;
use std::time::Duration;

use super::failure::{Exit, Failure};
use super::output::{self, BAD, Clock, GOOD, HEADING, Out, counted, harmless, shown, whole};
use super::query::{ask, history_table, strange, whereabouts};
use crate::control::protocol::{
    BanRow, Explanation, FailureRow, NextBanRow, PlaceRow, Reply, Request, VerdictRow,
};
use crate::engine::decision::Origin;
use crate::engine::subject::Subject;

/// Prints what every jail has to say about a subject.
///
/// # Errors
/// The daemon cannot be asked, or knows nothing of the subject.
pub fn run(socket: &Path, subject: String, json: bool, clock: &Clock) -> Result<(), Failure> {
    let Reply::Explanation(explanation) = ask(socket, Request::Explain { subject })? else {
        return Err(strange());
    };
    let mut out = output::stdout();
    if json {
        writeln!(
            out,
            "{}",
            serde_json::to_string(&explanation).map_err(std::io::Error::from)?
        )?;
    } else {
        print(&mut out, &explanation, clock)?;
    }
    out.flush()?;
    let is_known = explanation
        .verdicts
        .iter()
        .any(|verdict| verdict.place != PlaceRow::Clear)
        || !explanation.history.is_empty()
        || !explanation.failures.is_empty();
    if is_known {
        Ok(())
    } else {
        Err(Failure::silent(Exit::NotSo))
    }
}

/// Prints what would ban a subject again in the jails that have banned it.
///
/// # Errors
/// The daemon cannot be asked.
pub fn outlook(socket: &Path, subject: String) -> Result<(), Failure> {
    let Reply::Explanation(explanation) = ask(socket, Request::Explain { subject })? else {
        return Err(strange());
    };
    let mut out = output::stdout();
    for verdict in &explanation.verdicts {
        let failing = match &verdict.place {
            PlaceRow::Watched { failing, .. } => *failing,
            PlaceRow::Clear => 0,
            PlaceRow::Attacking {
                hosts,
                wanted_hosts,
                ..
            } if *hosts >= *wanted_hosts as usize => {
                writeln!(
                    out,
                    "jail {} bans it with its next failure for the {} that others attack{}",
                    verdict.jail,
                    aim(verdict),
                    match aim(verdict) {
                        "account" => ", unless it is let in",
                        _ => "",
                    }
                )?;
                continue;
            }
            PlaceRow::Banned { .. }
            | PlaceRow::Gathering { .. }
            | PlaceRow::Attacking { .. }
            | PlaceRow::Ignored { .. } => continue,
        };
        let mut banned = explanation.history.iter();
        if !banned.any(|ban| ban.jail == verdict.jail) {
            continue;
        }
        let missing = missing(verdict, failing);
        let findtime = whole(Duration::try_from_secs_f64(verdict.findtime).unwrap_or_default());
        write!(
            out,
            "jail {} bans again at {} within {findtime}",
            verdict.jail,
            counted(missing, verdict.unit())
        )?;
        if let Some(next) = &verdict.next {
            let lasting = next.bantime.lasting();
            write!(out, ", {lasting}, as ban number {}", next.offence)?;
        }
        writeln!(out)?;
    }
    out.flush()?;
    Ok(())
}

fn print(out: &mut Out, explanation: &Explanation, clock: &Clock) -> Result<(), Failure> {
    if explanation.verdicts.is_empty() {
        writeln!(out, "No jail is enabled that could ban it.")?;
    }
    let from = whereabouts(
        explanation.country.as_deref(),
        explanation.operator.as_ref(),
    );
    if !from.is_empty() {
        writeln!(out, "{} is of {from}.\n", shown(&explanation.subject))?;
    }
    for (at, verdict) in explanation.verdicts.iter().enumerate() {
        if at > 0 {
            writeln!(out)?;
        }
        print_verdict(out, explanation, verdict, clock)?;
        if let Some(cause) = &verdict.unhindered {
            let cause = harmless(cause);
            writeln!(
                out,
                "  {BAD}It fails on though it is banned{BAD:#}: {cause}."
            )?;
        }
        if let Some(class) = &verdict.class {
            writeln!(out, "  It is of the class of {class}.")?;
        }
        for pattern in &verdict.patterns {
            writeln!(
                out,
                "  Pattern {} of filter {}: {}",
                pattern.number, verdict.filter, pattern.text
            )?;
        }
        if let Some(siege) = &verdict.siege {
            writeln!(
                out,
                "  The jail is under siege since {}; otherwise it takes {}.",
                clock.show(siege.since),
                counted(verdict.maxretry as usize, "failure")
            )?;
        }
        if let Some(next) = &verdict.next {
            let lasting = next.bantime.lasting();
            writeln!(
                out,
                "  The next ban would be number {} and last {lasting}.{}",
                next.offence,
                answered(next)
            )?;
        }
        print_lines(out, &verdict.failures, false, clock)?;
    }
    if let Some(trouble) = &explanation.trouble {
        writeln!(
            out,
            "{BAD}Some log lines or earlier bans are missing: {trouble}.{BAD:#}"
        )?;
    }
    let shown = |row: &FailureRow| {
        explanation
            .verdicts
            .iter()
            .any(|verdict| verdict.failures.contains(row))
    };
    let others: Vec<_> = explanation
        .failures
        .iter()
        .filter(|row| !shown(row))
        .cloned()
        .collect();
    if !others.is_empty() {
        writeln!(
            out,
            "\n{HEADING}Other failures, the newest first{HEADING:#}"
        )?;
        print_lines(out, &others, true, clock)?;
    }
    if !explanation.history.is_empty() {
        writeln!(out, "\n{HEADING}Bans so far, the newest first{HEADING:#}")?;
        history_table(&explanation.history, clock).print(out)?;
    }
    Ok(())
}

fn print_verdict(
    out: &mut Out,
    explanation: &Explanation,
    verdict: &VerdictRow,
    clock: &Clock,
) -> Result<(), Failure> {
    let asked = &explanation.subject;
    let jail = &verdict.jail;
    let whom = shown(asked);
    let findtime = whole(Duration::try_from_secs_f64(verdict.findtime).unwrap_or_default());
    let rule = match verdict.enough() {
        1 => "one failure makes a ban".to_owned(),
        most => {
            let most = counted(most as usize, verdict.unit());
            format!("{most} within {findtime} make a ban")
        }
    };
    match &verdict.place {
        PlaceRow::Banned { ban } => {
            let whom = who_of(asked, &ban.subject);
            let mut history = explanation.history.iter();
            let failures = history
                .find(|row| row.ban == ban.ban)
                .map(|row| row.failures as usize);
            writeln!(
                out,
                "{BAD}{whom} is banned{BAD:#} by jail {jail} {}",
                since_and_why(ban, verdict, failures, clock, &rule)
            )?;
        }
        PlaceRow::Watched {
            subject,
            failing,
            oldest_leaves,
        } => {
            let whom = who_of(asked, subject);
            let missing = missing(verdict, *failing);
            let leaves = clock.show(*oldest_leaves);
            writeln!(
                out,
                "{HEADING}{whom} is watched{HEADING:#} by jail {jail}: {} so far; {rule}, \
                 so {missing} more would. The oldest is forgotten at {leaves}.",
                counted(*failing, verdict.unit()),
            )?;
        }
        PlaceRow::Gathering {
            subject,
            hosts,
            wanted_hosts,
            failing,
            wanted_failing,
            within,
        } => {
            let within = whole(Duration::try_from_secs_f64(*within).unwrap_or_default());
            writeln!(
                out,
                "{HEADING}{} is watched{HEADING:#} as a network by jail {jail}: {} of {} so far; {wanted_failing} \
                 failures of {wanted_hosts} hosts within {within} make a ban.",
                subject.plain(),
                counted(*failing, "failure"),
                counted(*hosts, "host"),
            )?;
        }
        PlaceRow::Attacking {
            subject,
            hosts,
            wanted_hosts,
            within,
            due,
        } => {
            let whom = who_of(asked, &(*subject).into());
            let within = whole(Duration::try_from_secs_f64(*within).unwrap_or_default());
            let aim = named_aim(verdict);
            let then = match due {
                Some(due) => format!(
                    " It is banned at {} unless it is let in before.",
                    clock.show(*due)
                ),
                None => String::new(),
            };
            writeln!(
                out,
                "{HEADING}{whom} is watched{HEADING:#} by jail {jail} as one of {} that failed for the same {aim}; \
                 {wanted_hosts} within {within} are banned.{then}",
                counted(*hosts, "host"),
            )?;
        }
        PlaceRow::Ignored { because } => {
            writeln!(
                out,
                "{GOOD}{whom} is never banned{GOOD:#} by jail {jail}: {}.",
                harmless(because)
            )?;
        }
        PlaceRow::Clear => {
            writeln!(
                out,
                "{whom} is {GOOD}not banned{GOOD:#} by jail {jail}: nothing counts against it; {rule}."
            )?;
        }
    }
    Ok(())
}

/// What many hosts fail for that a jail looks for together.
fn aim(verdict: &VerdictRow) -> &'static str {
    match verdict.by.as_deref() {
        Some("target") => "target",
        Some("session") => "session",
        _ => "account",
    }
}

/// The same, with its name if the failures behind a verdict all have one: it is of an attacker's choice.
fn named_aim(verdict: &VerdictRow) -> String {
    let aim = aim(verdict);
    let of = |row: &FailureRow| match aim {
        "target" => row.target.clone(),
        "account" => row.user.clone(),
        _ => None,
    };
    let mut names = verdict.failures.iter().map(of);
    match names.next().flatten() {
        Some(name) if names.all(|other| other.as_ref() == Some(&name)) => {
            format!("{aim} `{}`", harmless(&name))
        }
        _ => aim.to_owned(),
    }
}

/// How many failures are missing to a ban. When a siege begins, some have more than it takes: the next one bans them.
fn missing(verdict: &VerdictRow, failing: usize) -> usize {
    (verdict.enough() as usize).saturating_sub(failing).max(1)
}

/// Whom a verdict is about: what was asked for, as part of what contains it, or a part of it.
fn who_of(asked: &Subject, subject: &Subject) -> String {
    if subject == asked {
        shown(asked)
    } else if subject.holds(asked) {
        format!("{} as part of {}", shown(asked), shown(subject))
    } else {
        format!("{} in {}", shown(subject), shown(asked))
    }
}

/// `since … until …: 3 failures within 10m make a ban, and there were these 3. …`
///
/// Of the `failures` that made the ban of a network, those that banned a host before stay with that ban.
fn since_and_why(
    ban: &BanRow,
    verdict: &VerdictRow,
    failures: Option<usize>,
    clock: &Clock,
    rule: &str,
) -> String {
    let start = clock.show(ban.start);
    let end = match ban.until {
        Some(until) => format!("until {} ({} left)", clock.show(until), clock.left(until)),
        None => "forever".to_owned(),
    };
    let cause = match (ban.origin, verdict.failures.len()) {
        (Origin::Manual, _) => "somebody asked for it".to_owned(),
        (Origin::Network, 0) => "its hosts failed, and the log lines are no longer kept".to_owned(),
        (Origin::Network, count) => match failures.filter(|all| *all > count) {
            Some(all) => format!(
                "its hosts failed, {all} times together; {} of these had banned hosts before",
                all - count
            ),
            None => format!("its hosts failed, {count} times together"),
        },
        (Origin::Distributed, count) => {
            let aim = named_aim(verdict);
            match count {
                0 => format!(
                    "many hosts failed for the same {aim}, and the log lines are no longer kept"
                ),
                1 => format!("many hosts failed for the same {aim}, of these failures this one"),
                count => format!(
                    "many hosts failed for the same {}s, of these failures these {count}",
                    self::aim(verdict)
                ),
            }
        }
        (Origin::Failures, 0) => format!("{rule}, and its log lines are no longer kept"),
        // The rule may have been another one then.
        (Origin::Failures, count) if count < verdict.enough() as usize => {
            let were = if count == 1 {
                "this one was"
            } else {
                "these were"
            };
            format!("{rule} today, and {were} enough when it began")
        }
        (Origin::Failures, 1) => format!("{rule}, and there was this one"),
        (Origin::Failures, count) => format!("{rule}, and there were these {count}"),
    };
    let offence = match ban.offence {
        1 => "It is the first ban".to_owned(),
        number => format!("It is ban number {number}"),
    };
    let mut effect = if ban.in_effect {
        "The firewall has confirmed it.".to_owned()
    } else {
        "Not every action that is to keep it out has confirmed it.".to_owned()
    };
    for action in &verdict.broken {
        let reason = action.reason.as_deref().unwrap_or("see the daemon's log");
        effect.push_str(&format!(
            " The action {} does not work: {}.",
            action.action,
            harmless(reason)
        ));
    }
    let subject = shown(&ban.subject);
    let through = match &ban.response {
        Some(response) if response.lets_through => {
            " It still gets through, and what it fails counts on."
        }
        _ => "",
    };
    format!("since {start} {end}: {cause}. {offence} of {subject}. {effect}{through}")
}

/// What would be done about a ban, if that is not the same for all.
fn answered(next: &NextBanRow) -> String {
    let Some(response) = &next.response else {
        return String::new();
    };
    let whom = match &next.network {
        Some(network) => format!("concern {} and ", network.plain()),
        None => String::new(),
    };
    let how = match response.actions.as_slice() {
        [] => "only be recorded".to_owned(),
        actions => format!("be put into effect by {}", actions.join(" and ")),
    };
    format!(" It would {whom}{how}.")
}

fn print_lines(
    out: &mut Out,
    rows: &[FailureRow],
    with_jail: bool,
    clock: &Clock,
) -> Result<(), Failure> {
    for row in rows {
        let jail = if with_jail {
            format!("{}  ", row.jail)
        } else {
            String::new()
        };
        let free = if row.counted {
            ""
        } else {
            " (does not count: banned already, or let in later)"
        };
        writeln!(
            out,
            "  {}  {jail}{}{free}",
            clock.show(row.time),
            harmless(&row.line)
        )?;
    }
    Ok(())
}
