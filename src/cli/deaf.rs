//! `f2bd status --deaf`, and what `f2bd check` adds: do the filters still hear what their programs say?
//!
//! Printing alone; what is true is asked of the daemon, or read in its database.

use std::io::Write;
use std::path::Path;

use super::failure::Failure;
use super::output::{self, BAD, Clock, GOOD, HEADING, Out, Table, counted, harmless, whole};
use super::query::{ask, print_json, strange};
use crate::config::{Problem, Settings, Severity};
use crate::control::health::HealthRow;
use crate::control::protocol::{Reply, Request};
use crate::engine::sighting::{FilterHealth, LATELY, health, lately};
use crate::engine::time::{Span, Timestamp};
use crate::store::Archive;

/// Prints how well the filters hear.
///
/// # Errors
/// The daemon cannot be asked, or cannot read its database.
pub fn status(socket: &Path, json: bool, clock: &Clock) -> Result<(), Failure> {
    let Reply::Deaf { rows } = ask(socket, Request::Deaf)? else {
        return Err(strange());
    };
    let mut out = output::stdout();
    if json {
        print_json(&mut out, &rows)?;
    } else {
        for row in &rows {
            print(&mut out, row, clock)?;
        }
        if rows.iter().any(|row| !row.lines.is_empty()) {
            writeln!(
                out,
                "`f2bd match --missed FILTER LOG` shows more such lines; `f2bd match --learn LOG LINE` proposes a pattern for one."
            )?;
        }
    }
    out.flush()?;
    Ok(())
}

fn print(out: &mut Out, row: &HealthRow, clock: &Clock) -> Result<(), Failure> {
    let jails = row.jails.join(", ");
    let sum: u64 = row.patterns.iter().map(|pattern| pattern.records).sum();
    let last = row.patterns.iter().filter_map(|pattern| pattern.last).max();
    let last = last.map_or_else(
        || "none ever".to_owned(),
        |last| format!("the last of {}", clock.show(last)),
    );
    let (style, word) = match row.deaf {
        true => (BAD, "may have gone deaf"),
        false => (GOOD, "hears"),
    };
    let records = counted(usize::try_from(sum).unwrap_or(usize::MAX), "record");
    writeln!(
        out,
        "{HEADING}Filter {}{HEADING:#} ({jails}): {style}{word}{style:#}; {records} taken in {}, {last}",
        row.filter,
        Span(LATELY)
    )?;
    let mut table = Table::new(&["PATTERN", "RECORDS", "LAST"]);
    for pattern in row.patterns.iter().filter(|pattern| pattern.records > 0) {
        table.row([
            pattern.number.to_string(),
            pattern.records.to_string(),
            pattern
                .last
                .map_or_else(String::new, |last| clock.show(last)),
        ]);
    }
    table.print(out)?;
    let silent = row.patterns.iter().filter(|pattern| pattern.records == 0);
    let silent = silent.map(|pattern| match (pattern.last, pattern.since) {
        (Some(last), _) => format!("{} (since {})", pattern.number, clock.show(last)),
        (None, Some(since)) => {
            let day = clock.show(since);
            let day = day.split(' ').next().unwrap_or_default();
            format!("{} (never, since {day})", pattern.number)
        }
        (None, None) => format!("{} (not known yet)", pattern.number),
    });
    let silent: Vec<_> = silent.collect();
    if !silent.is_empty() {
        writeln!(out, "Took nothing: {}", silent.join(", "))?;
    }
    if !row.lines.is_empty() {
        writeln!(
            out,
            "Lines that it does not know and that look like failures:"
        )?;
    }
    for line in &row.lines {
        let times = counted(usize::try_from(line.count).unwrap_or(usize::MAX), "line");
        writeln!(
            out,
            "    {times}, the last of {}: {}",
            clock.show(line.last),
            harmless(&line.line)
        )?;
    }
    writeln!(out)?;
    Ok(())
}

/// Warnings of filters that may have gone deaf, by what the daemon's database says; none if it cannot be read, as there
/// may be no daemon yet.
pub fn warnings(settings: &Settings, now: Timestamp) -> Vec<Problem> {
    let database = &settings.daemon.database;
    let kept = Archive::open(database).and_then(|archive| archive.sightings(lately(now)));
    let Ok(kept) = kept else {
        return Vec::new();
    };
    let all = health(&settings.policy, &kept.sums, &kept.lines);
    let deaf = all.iter().filter_map(|one| warning(database, one, now));
    deaf.collect()
}

fn warning(database: &Path, health: &FilterHealth, now: Timestamp) -> Option<Problem> {
    let lines = health.unheard(now);
    let line = lines.iter().max_by_key(|line| line.count)?;
    let since = match health.last() {
        Some(last) => format!("for {}", whole(now.since(last))),
        None => "so far".to_owned(),
    };
    let count: u64 = lines.iter().map(|line| line.count).sum();
    let (lines, look) = match count {
        1 => ("1 line".to_owned(), "looks like a failure"),
        count => (format!("{count} lines"), "look like failures"),
    };
    Some(Problem {
        file: database.to_owned(),
        line: None,
        column: None,
        severity: Severity::Warning,
        message: format!(
            "the filter `{}` has taken nothing {since}, but {lines} of its programs {look}, such as: {}",
            health.filter,
            harmless(&line.text)
        ),
        remedy: format!(
            "see `f2bd status --deaf`; `f2bd match --missed {} LOG` shows more, and `f2bd match --learn LOG LINE` proposes a pattern",
            health.filter
        ),
    })
}
