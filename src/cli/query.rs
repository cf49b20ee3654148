//! `f2bd status`, `bans`, `history`, `follow`: what is going on?

use std::io::Write;
use std::path::Path;
use std::time::Duration;

use super::failure::{Exit, Failure};
use super::output::{
    self, BAD, Clock, GOOD, HEADING, Out, Table, brief, counted, harmless, shown, size, whole,
};
use crate::control::client::Client;
use crate::control::protocol::{
    BanRow, FollowLine, HistoryRow, JailRow, OperatorRow, Reply, Request, Status, unit,
};
use crate::engine::name::JailName;

/// A source that is further behind is not keeping up, or its clock is wrong.
const WORTH_TELLING: Duration = Duration::from_secs(10);

/// The heading of countries and operators, which most tables have not.
const FROM: &str = "FROM";

/// How many files of a source are shown to people; all are in `--json`.
const SHOWN_FILES: usize = 5;

/// Asks the daemon; a refusal is a failure.
///
/// # Errors
/// There is no answer, or it is a refusal.
pub fn ask(socket: &Path, request: Request) -> Result<Reply, Failure> {
    match Client::ask(socket, request)? {
        Reply::Refused(refusal) => Err(refusal.into()),
        reply => Ok(reply),
    }
}

/// An answer to another question.
pub fn strange() -> Failure {
    Failure::new(
        Exit::Software,
        "the daemon answers another question than was asked; is it of another version?",
    )
}

/// Prints how everything is.
///
/// # Errors
/// The daemon cannot be asked, or knows no such jail.
pub fn status(
    socket: &Path,
    jail: Option<JailName>,
    json: bool,
    clock: &Clock,
) -> Result<(), Failure> {
    let Reply::Status(status) = ask(socket, Request::Status { jail: jail.clone() })? else {
        return Err(strange());
    };
    let mut out = output::stdout();
    if json {
        writeln!(
            out,
            "{}",
            serde_json::to_string(&status).map_err(std::io::Error::from)?
        )?;
    } else {
        print_status(&mut out, &status, clock)?;
        if let Some(jail) = jail {
            let rows = all_bans(socket, Some(jail))?;
            writeln!(out)?;
            print_bans(&mut out, &rows, clock)?;
        }
    }
    out.flush()?;
    Ok(())
}

fn print_status(out: &mut Out, status: &Status, clock: &Clock) -> Result<(), Failure> {
    let age = whole(clock.now.since(status.since));
    writeln!(
        out,
        "{HEADING}f2bd {}{HEADING:#}, running for {age}",
        status.version
    )?;
    if status.dry_run {
        writeln!(out, "{BAD}Dry run: nobody is kept out.{BAD:#}")?;
    }
    match (
        status.configuration.confirm_by,
        status.configuration.restored,
    ) {
        (Some(time), _) => writeln!(
            out,
            "Configuration: {BAD}on trial{BAD:#} until {}; confirm it with `f2bd confirm`, or the one before it comes back",
            clock.show(time)
        )?,
        (None, Some(time)) => writeln!(
            out,
            "Configuration: {BAD}not what its files say{BAD:#}; it came back at {}, since nobody confirmed the new one",
            clock.show(time)
        )?,
        (None, None) => {}
    }
    let by_hand = &status.configuration.set;
    if !by_hand.is_empty() {
        writeln!(
            out,
            "Configuration: {BAD}not what its files say{BAD:#}: somebody has set {}; a reload takes what the files say",
            by_hand.join(", ")
        )?;
    }
    for source in &status.sources {
        let newest = source
            .last_record
            .map(|time| format!(", the newest of {}", clock.show(time)));
        let records = counted(
            usize::try_from(source.records).unwrap_or(usize::MAX),
            "record",
        );
        let lag = Duration::try_from_secs_f64(source.lag).unwrap_or_default();
        let behind = (lag > WORTH_TELLING).then(|| format!(", read {} later", whole(lag)));
        match &source.trouble {
            None => write!(out, "Source {}: {GOOD}read{GOOD:#}; ", source.source)?,
            Some(trouble) => {
                let trouble = harmless(trouble);
                write!(out, "Source {}: {BAD}{trouble}{BAD:#}\n    ", source.source)?;
            }
        }
        writeln!(
            out,
            "{records}, {}{}{}",
            size(source.bytes),
            newest.unwrap_or_default(),
            behind.unwrap_or_default(),
        )?;
        for (count, of, what) in [
            (
                source.dropped,
                "record",
                "lost, since more came than could be read",
            ),
            (source.refused, "refusal", "of messages or connections"),
            (source.cut, "record", "too long and cut"),
            (
                source.malformed,
                "record",
                "not of the form that the source has",
            ),
            (
                source.gaps,
                "time",
                "some records were gone before they could be read",
            ),
        ] {
            if count > 0 {
                let count = counted(usize::try_from(count).unwrap_or(usize::MAX), of);
                writeln!(out, "    {BAD}{count}{BAD:#} {what}")?;
            }
        }
        for file in source.files.iter().take(SHOWN_FILES) {
            let records = counted(
                usize::try_from(file.records).unwrap_or(usize::MAX),
                "record",
            );
            let newest = clock.show(file.last_record);
            writeln!(
                out,
                "    {}: {records}, the last of {newest}",
                harmless(&file.file)
            )?;
        }
        let more = source.files.len().saturating_sub(SHOWN_FILES) + source.more_files;
        if more > 0 {
            writeln!(out, "    and {} more", counted(more, "file"))?;
        }
    }
    for action in &status.actions {
        let (style, word) = match (action.works, &action.reason) {
            _ if action.is_replaced => (
                BAD,
                "is not wanted any more; what it has put into effect is taken away once all others work".to_owned(),
            ),
            (true, _) => match &action.failed {
                None => (GOOD, "works".to_owned()),
                Some(failed) => (
                    BAD,
                    format!("works, but its last command failed: {}", harmless(failed)),
                ),
            },
            (false, None) => (BAD, "does not work; see the daemon's log".to_owned()),
            (false, Some(reason)) => (BAD, format!("does not work: {}", harmless(reason))),
        };
        writeln!(out, "Action {}: {style}{word}{style:#}", action.action)?;
    }
    let (style, word) = match (status.database.up_to_date, status.database.has_losses) {
        (false, _) => (BAD, "behind; see the daemon's log"),
        (true, true) => (
            BAD,
            "bans were lost when it was damaged; nobody is let go of whom it does not know until `f2bd flush`",
        ),
        (true, false) => (GOOD, "up to date"),
    };
    writeln!(
        out,
        "Database {}: {style}{word}{style:#}",
        status.database.path
    )?;
    writeln!(out)?;
    let mut table = Table::new(&[
        "JAIL", "FILTER", "BANNED", "WATCHED", "FAILING", "BANS", "FAILURES", "RULE",
    ]);
    for jail in &status.jails {
        table.row([
            jail.jail.to_string(),
            jail.filter.clone(),
            jail.banned.to_string(),
            jail.watched.to_string(),
            jail.failing.to_string(),
            jail.bans.to_string(),
            jail.failures.to_string(),
            rule(jail),
        ]);
    }
    table.print(out)?;
    let jails = status.jails.iter();
    for jail in jails.filter(|jail| jail.actions.is_empty()) {
        writeln!(
            out,
            "Jail {}: {BAD}has no action{BAD:#}; its bans have no effect",
            jail.jail
        )?;
    }
    for jail in status.jails.iter().filter(|jail| jail.unresolved > 0) {
        let failures = counted(jail.unresolved, "failure");
        let verb = if jail.unresolved == 1 {
            "waits"
        } else {
            "wait"
        };
        writeln!(
            out,
            "Jail {}: {failures} {verb} for the addresses of names.",
            jail.jail
        )?;
    }
    for jail in status.jails.iter().filter(|jail| jail.unhindered > 0) {
        let bans = counted(jail.unhindered, "ban");
        let verb = if jail.unhindered == 1 { "does" } else { "do" };
        writeln!(
            out,
            "Jail {}: {BAD}{bans} {verb} not work{BAD:#}; f2bd explain tells why.",
            jail.jail
        )?;
    }
    for jail in &status.jails {
        if let Some(siege) = &jail.siege {
            let enough = match siege.maxretry {
                1 => "one failure makes a ban".to_owned(),
                most => format!("{most} failures make a ban"),
            };
            let since = clock.show(siege.since);
            writeln!(
                out,
                "Jail {} is {BAD}under siege{BAD:#} since {since}: {enough} until it calms.",
                jail.jail
            )?;
        }
    }
    Ok(())
}

/// `5 failures within 10m: ban for 1h`.
fn rule(jail: &JailRow) -> String {
    let findtime = Duration::try_from_secs_f64(jail.findtime).unwrap_or_default();
    let failures = counted(jail.maxretry as usize, unit(jail.distinct));
    format!(
        "{failures} within {}: ban {}",
        whole(findtime),
        jail.bantime.lasting()
    )
}

/// Lists who is banned.
///
/// # Errors
/// The daemon cannot be asked, or knows no such jail.
pub fn bans(
    socket: &Path,
    jail: Option<JailName>,
    json: bool,
    clock: &Clock,
) -> Result<(), Failure> {
    let mut out = output::stdout();
    if json {
        each_page(socket, jail, |rows| print_json(&mut out, &rows))?;
    } else {
        print_bans(&mut out, &all_bans(socket, jail)?, clock)?;
    }
    out.flush()?;
    Ok(())
}

fn each_page(
    socket: &Path,
    jail: Option<JailName>,
    mut each: impl FnMut(Vec<BanRow>) -> Result<(), Failure>,
) -> Result<(), Failure> {
    let mut after = 0;
    loop {
        let Reply::Bans { rows, more } = ask(
            socket,
            Request::Bans {
                jail: jail.clone(),
                after,
            },
        )?
        else {
            return Err(strange());
        };
        after = rows.last().map_or(after, |row| row.ban);
        each(rows)?;
        if !more {
            return Ok(());
        }
    }
}

/// Everybody who is banned.
///
/// # Errors
/// The daemon cannot be asked, or knows no such jail.
pub fn all_bans(socket: &Path, jail: Option<JailName>) -> Result<Vec<BanRow>, Failure> {
    let mut all = Vec::new();
    each_page(socket, jail, |rows| {
        all.extend(rows);
        Ok(())
    })?;
    Ok(all)
}

fn print_bans(out: &mut Out, rows: &[BanRow], clock: &Clock) -> Result<(), Failure> {
    if rows.is_empty() {
        writeln!(out, "Nobody is banned.")?;
        return Ok(());
    }
    let from = |row: &BanRow| whereabouts(row.country.as_deref(), row.operator.as_ref());
    let is_known = rows.iter().any(|row| !from(row).is_empty());
    let mut headings = vec![
        "IP",
        "JAIL",
        "SINCE",
        "UNTIL",
        "LEFT",
        "OFFENCE",
        "BY",
        "IN EFFECT",
    ];
    headings.extend(is_known.then_some(FROM));
    let mut table = Table::new(&headings);
    for row in rows {
        table.row([
            brief(&row.subject),
            row.jail.to_string(),
            clock.show(row.start),
            clock.show_end(row.until),
            row.until
                .map_or_else(String::new, |until| clock.left(until)),
            row.offence.to_string(),
            row.origin.to_string(),
            if row.in_effect { "yes" } else { "no" }.to_owned(),
            from(row),
        ]);
    }
    table.print(out)?;
    Ok(())
}

/// Lists who is allowed for a time.
///
/// # Errors
/// The daemon cannot be asked.
pub fn allowed(socket: &Path, json: bool, clock: &Clock) -> Result<(), Failure> {
    let Reply::Allowed { rows } = ask(socket, Request::Allowed)? else {
        return Err(strange());
    };
    let mut out = output::stdout();
    if json {
        print_json(&mut out, &rows)?;
    } else if rows.is_empty() {
        writeln!(out, "Nobody is allowed for a time.")?;
    } else {
        let mut table = Table::new(&["IP", "SINCE", "UNTIL", "LEFT"]);
        for row in &rows {
            table.row([
                row.subject.plain(),
                clock.show(row.since),
                clock.show(row.until),
                clock.left(row.until),
            ]);
        }
        table.print(&mut out)?;
    }
    out.flush()?;
    Ok(())
}

/// Lists bans of the past.
///
/// # Errors
/// The daemon cannot be asked, or there is none.
pub fn history(
    socket: &Path,
    subject: Option<String>,
    jail: Option<JailName>,
    limit: usize,
    json: bool,
    clock: &Clock,
) -> Result<(), Failure> {
    let Reply::History { rows } = ask(
        socket,
        Request::History {
            subject: subject.clone(),
            jail,
            limit,
        },
    )?
    else {
        return Err(strange());
    };
    let mut out = output::stdout();
    if json {
        print_json(&mut out, &rows)?;
    } else {
        history_table(&rows, clock).print(&mut out)?;
    }
    out.flush()?;
    if rows.is_empty() {
        let whom = subject
            .map(|subject| format!(" of {}", output::typed(&subject)))
            .unwrap_or_default();
        return Err(Failure::new(Exit::NotSo, format!("no ban{whom} is known")));
    }
    Ok(())
}

/// Bans of the past as a table.
pub fn history_table(rows: &[HistoryRow], clock: &Clock) -> Table {
    let from = |row: &HistoryRow| whereabouts(row.country.as_deref(), row.operator.as_ref());
    let is_known = rows.iter().any(|row| !from(row).is_empty());
    let with = |word: String, reason: Option<&String>| match reason {
        Some(reason) => format!("{word}: {}", harmless(reason)),
        None => word,
    };
    let mut headings = vec![
        "IP", "JAIL", "SINCE", "UNTIL", "ENDED", "OFFENCE", "FAILURES", "BY",
    ];
    headings.extend(is_known.then_some(FROM));
    let mut table = Table::new(&headings);
    for row in rows {
        let ended = match (row.ended, row.release) {
            (Some(time), Some(release)) => {
                let why = with(release.to_string(), row.release_reason.as_ref());
                format!("{} ({why})", clock.show(time))
            }
            _ => String::new(),
        };
        table.row([
            brief(&row.subject),
            row.jail.to_string(),
            clock.show(row.start),
            clock.show_end(row.until),
            ended,
            row.offence.to_string(),
            row.failures.to_string(),
            with(row.origin.to_string(), row.reason.as_ref()),
            from(row),
        ]);
    }
    table
}

/// `DE, AS64500 Example Ltd`, as far as it is known.
pub fn whereabouts(country: Option<&str>, operator: Option<&OperatorRow>) -> String {
    let operator = operator.map(|operator| {
        let name = operator.name.as_deref().map(harmless);
        let number = format!("AS{}", operator.asn);
        [Some(number), name]
            .into_iter()
            .flatten()
            .collect::<Vec<_>>()
            .join(" ")
    });
    let parts = [country.map(harmless), operator];
    parts.into_iter().flatten().collect::<Vec<_>>().join(", ")
}

/// Prints what happens until the daemon or the reader has enough.
///
/// # Errors
/// The daemon cannot be asked.
pub fn follow(socket: &Path, json: bool, clock: &Clock) -> Result<(), Failure> {
    let mut out = output::stdout();
    let mut written = Ok(());
    let reply = Client::follow(socket, |line| {
        written = print_line(&mut out, &line, json, clock);
        written.is_ok()
    })?;
    written?;
    match reply {
        Reply::Following => Err(Failure::new(Exit::Unreachable, "the daemon has ended")),
        Reply::Refused(refusal) => Err(refusal.into()),
        _ => Err(strange()),
    }
}

fn print_line(out: &mut Out, line: &FollowLine, json: bool, clock: &Clock) -> Result<(), Failure> {
    if json {
        print_json(out, std::slice::from_ref(line))?;
    } else {
        let now = clock.show(jiff::Timestamp::now().into());
        match line {
            FollowLine::Failure { subject, failure } => {
                let free = if failure.counted {
                    ""
                } else {
                    " (banned already)"
                };
                let (time, subject) = (clock.show(failure.time), shown(subject));
                writeln!(
                    out,
                    "{time}  failure  {}  {subject}{free}  {}",
                    failure.jail,
                    harmless(&failure.line)
                )?;
            }
            FollowLine::Ban {
                time,
                jail,
                subject,
                bantime,
                offence,
                failures,
                ..
            } => {
                let (time, subject, failures) = (
                    clock.show(*time),
                    shown(subject),
                    counted(*failures, "failure"),
                );
                writeln!(
                    out,
                    "{time}  {BAD}ban{BAD:#}      {jail}  {subject}  {failures}, {}, offence {offence}",
                    bantime.lasting()
                )?;
            }
            FollowLine::Unban {
                time,
                jail,
                subject,
                release,
            } => {
                let (time, subject) = (clock.show(*time), shown(subject));
                writeln!(
                    out,
                    "{time}  {GOOD}unban{GOOD:#}    {jail}  {subject}  {release}"
                )?;
            }
            FollowLine::Notice { message } => {
                writeln!(out, "{now}  notice   {}", harmless(message))?
            }
            FollowLine::Missed { lines } => {
                writeln!(out, "{now}  missed   {lines} lines: too slow")?
            }
        }
    }
    // A follower wants each line at once.
    out.flush()?;
    Ok(())
}

/// Prints one JSON object a line.
///
/// # Errors
/// The output is gone.
pub fn print_json<T: serde::Serialize>(out: &mut Out, rows: &[T]) -> Result<(), Failure> {
    for row in rows {
        serde_json::to_writer(&mut *out, row).map_err(std::io::Error::from)?;
        writeln!(out)?;
    }
    Ok(())
}
