//! `f2bd import --state`: whom does Fail2ban keep out, so that the change frees nobody?
//!
//! In: its database. Out: its bans in those of f2bd: by the daemon if one runs, or into its database for when it starts. What was not
//! taken over is told, each with the reason.

use std::collections::BTreeMap;
use std::io::{IsTerminal, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::Serialize;

use crate::cli::args::Common;
use crate::cli::failure::{Exit, Failure};
use crate::cli::output::{self, BAD, Clock, GOOD, HEADING, Table, counted, harmless};
use crate::cli::{fail2ban, query};
use crate::config::fail2ban::state::{self, State, StateBan, StateError};
use crate::config::{self, Surroundings};
use crate::control::client::{Client, ClientError};
use crate::control::protocol::{
    ForeignBan, LONGEST_REQUEST, MOST_TAKEN_OVER, Reply, Request, TakenOver,
};
use crate::daemon::takeover::{Resting, TakeOverError};
use crate::engine::name::JailName;
use crate::store::StoreError;

/// Who had made the bans.
const PROGRAM: &str = "Fail2ban";

/// What a request has beside its bans, at the most.
const AROUND: usize = 256;

/// How many of those that are not taken over are told one by one to people; in `--json` all are.
const SHOWN: usize = 20;

/// What has been done.
#[derive(Debug, Serialize)]
struct Report<'a> {
    /// Fail2ban's database.
    state: &'a Path,
    /// Its schema.
    schema: i64,
    /// Whether a daemon has them, and they are in force, or the database in which one will find them.
    taken_by: TakenBy,
    jails: BTreeMap<&'a str, JailCount>,
    /// Who is not kept out though Fail2ban does, by jail and subject.
    left_out: Vec<LeftOut<'a>>,
    /// Rows that make no sense.
    strange: usize,
    /// Whether there were more rows than can be read.
    cut: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
enum TakenBy {
    Daemon,
    Database,
}

/// What has become of the bans of a jail.
#[derive(Debug, Default, Serialize)]
struct JailCount {
    in_force: usize,
    past: usize,
    known: usize,
    left_out: usize,
}

#[derive(Debug, Serialize)]
struct LeftOut<'a> {
    jail: &'a str,
    subject: &'a str,
    why: TakenOver,
}

/// Takes over the bans in the database at `path`.
///
/// # Errors
/// It cannot be read, the bans can be put nowhere, or some that are in force were not taken, which has been printed.
pub fn run(path: &Path, json: bool, common: &Common, clock: &Clock) -> Result<(), Failure> {
    let (mut taker, since) = Taker::find(common, clock)?;
    let state = state::read(path, clock.now, since).map_err(|error| of_reading(&error))?;
    let fates = take_all(&mut taker, &state.bans)?;
    let report = report(path, &state, &fates, taker.is_what(), clock);
    let mut out = output::stdout();
    if json {
        let text = serde_json::to_string(&report).map_err(std::io::Error::from)?;
        writeln!(out, "{text}")?;
    } else {
        print(&mut out, &report)?;
    }
    out.flush()?;
    // Whoever is never to be banned is not missed.
    let is_meant = |left: &LeftOut<'_>| matches!(left.why, TakenOver::Ignored | TakenOver::Guarded);
    match report.left_out.iter().all(is_meant) && state.strange == 0 && !state.is_cut {
        true => Ok(()),
        false => Err(Failure::silent(Exit::NotSo)),
    }
}

fn of_reading(error: &StateError) -> Failure {
    let exit = match error {
        StateError::Unreadable { error, .. } => Exit::of_reading(error),
        StateError::Foreign { .. } | StateError::Newer { .. } => Exit::NoInput,
        StateError::Damaged { .. } | StateError::Failed { .. } => Exit::Io,
    };
    Failure::new(exit, error.to_string())
}

/// Who takes the bans.
enum Taker {
    Daemon(PathBuf),
    Database(Box<Resting>),
}

impl Taker {
    /// The daemon if there is one, or else its database; and since when the past matters to it.
    fn find(
        common: &Common,
        clock: &Clock,
    ) -> Result<(Taker, crate::engine::time::Timestamp), Failure> {
        let config = fail2ban::config_of(common.config.as_deref());
        let socket = match &common.socket {
            Some(named) => named.clone(),
            None => config::socket(config.as_deref())
                .map_err(|problems| Failure::of_problems(&problems))?,
        };
        // A daemon knows its settings, wherever it has them from.
        match Client::ask(&socket, Request::Settings { jail: None }) {
            Ok(Reply::Settings(settings)) => {
                let since = clock.now.before(Duration::from_secs(settings.keep_bans));
                Ok((Taker::Daemon(socket), since))
            }
            Ok(Reply::Refused(refusal)) => Err(refusal.into()),
            Ok(_) => Err(query::strange()),
            Err(ClientError::Unreachable { .. }) => {
                let loaded = config::load(config.as_deref(), Surroundings::Ignore);
                let Some(settings) = loaded.settings else {
                    return Err(Failure::of_problems(&loaded.problems));
                };
                let since = clock.now.before(settings.daemon.retention.history);
                let resting = Resting::open(settings).map_err(|error| match error {
                    TakeOverError::Served(_) => Failure::new(Exit::NotSo, error.to_string()),
                    TakeOverError::Store(error) => of_store(&error),
                })?;
                Ok((Taker::Database(Box::new(resting)), since))
            }
            Err(error) => Err(error.into()),
        }
    }

    fn is_what(&self) -> TakenBy {
        match self {
            Taker::Daemon(_) => TakenBy::Daemon,
            Taker::Database(_) => TakenBy::Database,
        }
    }

    fn take(&mut self, bans: Vec<ForeignBan>) -> Result<Vec<TakenOver>, Failure> {
        match self {
            Taker::Daemon(socket) => match query::ask(socket, take_over(bans))? {
                Reply::TakenOver { rows } => Ok(rows),
                _ => Err(query::strange()),
            },
            Taker::Database(resting) => resting
                .take_over(PROGRAM, &bans)
                .map_err(|error| of_store(&error)),
        }
    }
}

fn take_over(bans: Vec<ForeignBan>) -> Request {
    Request::TakeOver {
        program: PROGRAM.to_owned(),
        bans,
    }
}

fn of_store(error: &StoreError) -> Failure {
    let exit = match error {
        StoreError::Newer { .. } => Exit::BadConfiguration,
        StoreError::Denied(_) => Exit::NotPermitted,
        StoreError::Path { source, .. } => Exit::of_reading(source),
        _ => Exit::Io,
    };
    Failure::new(exit, error.to_string())
}

/// Has all of them taken, page by page; tells what has become of each.
fn take_all(taker: &mut Taker, bans: &[StateBan]) -> Result<Vec<TakenOver>, Failure> {
    let mut fates = Vec::with_capacity(bans.len());
    let mut progress = Progress::of(bans.len());
    let (mut page, mut places, mut bytes) = (Vec::new(), Vec::new(), AROUND);
    for (place, ban) in bans.iter().enumerate() {
        fates.push(TakenOver::NoJail);
        // A name that no jail of ours can have is that of none.
        let Ok(jail) = ban.jail.parse::<JailName>() else {
            continue;
        };
        let foreign = foreign(jail, ban);
        let length = serde_json::to_vec(&foreign)
            .map_err(std::io::Error::from)?
            .len()
            + 1;
        if page.len() == MOST_TAKEN_OVER || bytes + length > LONGEST_REQUEST {
            fill(
                taker.take(std::mem::take(&mut page))?,
                &mut places,
                &mut fates,
            )?;
            bytes = AROUND;
            progress.show(place);
        }
        bytes += length;
        places.push(place);
        page.push(foreign);
    }
    if !page.is_empty() {
        fill(taker.take(page)?, &mut places, &mut fates)?;
    }
    progress.end();
    Ok(fates)
}

fn fill(
    rows: Vec<TakenOver>,
    places: &mut Vec<usize>,
    fates: &mut [TakenOver],
) -> Result<(), Failure> {
    if rows.len() != places.len() {
        return Err(query::strange());
    }
    for (place, row) in places.drain(..).zip(rows) {
        if let Some(fate) = fates.get_mut(place) {
            *fate = row;
        }
    }
    Ok(())
}

fn foreign(jail: JailName, ban: &StateBan) -> ForeignBan {
    ForeignBan {
        jail,
        subject: ban.subject.clone(),
        start: ban.start,
        bantime: ban.bantime,
        offence: ban.count,
        failures: ban.failures,
        user: ban.user.clone(),
        lines: ban.lines.clone(),
    }
}

fn report<'a>(
    path: &'a Path,
    state: &'a State,
    fates: &[TakenOver],
    taken_by: TakenBy,
    clock: &Clock,
) -> Report<'a> {
    let mut jails: BTreeMap<&str, JailCount> = BTreeMap::new();
    let mut left_out = Vec::new();
    for (ban, fate) in state.bans.iter().zip(fates) {
        let count = jails.entry(&ban.jail).or_default();
        match fate {
            TakenOver::InForce => count.in_force += 1,
            TakenOver::Past => count.past += 1,
            TakenOver::Known => count.known += 1,
            why => {
                count.left_out += 1;
                if ban.is_in_force(clock.now) {
                    left_out.push(LeftOut {
                        jail: &ban.jail,
                        subject: &ban.subject,
                        why: *why,
                    });
                }
            }
        }
    }
    // Of bans of one second it is not known which came first.
    left_out.sort_unstable_by_key(|left| (left.jail, left.subject));
    Report {
        state: path,
        schema: state.schema,
        taken_by,
        jails,
        left_out,
        strange: state.strange,
        cut: state.is_cut,
    }
}

fn print(out: &mut impl Write, report: &Report<'_>) -> std::io::Result<()> {
    let mut table = Table::new(&["JAIL", "IN FORCE", "PAST", "KNOWN", "LEFT OUT"]);
    for (jail, count) in &report.jails {
        let numbers = [count.in_force, count.past, count.known, count.left_out];
        let numbers = numbers.iter().map(ToString::to_string);
        table.row(std::iter::once(harmless(jail)).chain(numbers));
    }
    table.print(out)?;
    let mut by_jail: BTreeMap<(&str, TakenOver), Vec<&str>> = BTreeMap::new();
    for left in &report.left_out {
        let subjects = by_jail.entry((left.jail, left.why)).or_default();
        subjects.push(left.subject);
    }
    for ((jail, why), subjects) in &by_jail {
        let because = match why {
            TakenOver::NoJail => "no such jail is enabled; enable it and import again",
            TakenOver::NoSubject => "not whom that jail can ban",
            TakenOver::Ignored => "never banned, by `ignoreip` or as this machine itself",
            TakenOver::Guarded => {
                "not banned, lest somebody be locked out; `f2bd ban --force` bans all the same"
            }
            _ => "as many bans are in force as there can be",
        };
        let shown: Vec<_> = subjects
            .iter()
            .take(SHOWN)
            .map(|one| harmless(one))
            .collect();
        let more = match subjects.len().saturating_sub(SHOWN) {
            0 => String::new(),
            more => format!(" and {more} more"),
        };
        writeln!(
            out,
            "{BAD}Left out{BAD:#} of {}: {because}: {}{more}",
            harmless(jail),
            shown.join(" ")
        )?;
    }
    if report.strange > 0 {
        let rows = counted(report.strange, "row");
        writeln!(out, "{BAD}Left out{BAD:#}: {rows} that make no sense")?;
    }
    if report.cut {
        writeln!(
            out,
            "{BAD}Left out{BAD:#}: the oldest rows, there are more than can be read"
        )?;
    }
    let sum = |count: fn(&JailCount) -> usize| report.jails.values().map(count).sum();
    let (in_force, past, known) = (
        sum(|count| count.in_force),
        sum(|count| count.past),
        sum(|count| count.known),
    );
    let since = match report.taken_by {
        TakenBy::Daemon => "are in force",
        TakenBy::Database => "will be in force when the daemon starts",
    };
    writeln!(
        out,
        "{GOOD}Taken over{GOOD:#}: {} that {since}, {HEADING}{past}{HEADING:#} of the past; {known} were known.",
        counted(in_force, "ban")
    )
}

/// How far it has come, for whoever looks on.
struct Progress {
    total: usize,
    is_seen: bool,
    is_drawn: bool,
}

impl Progress {
    fn of(total: usize) -> Progress {
        Progress {
            total,
            is_seen: std::io::stderr().is_terminal(),
            is_drawn: false,
        }
    }

    fn show(&mut self, done: usize) {
        if self.is_seen {
            self.is_drawn = true;
            write(&format!("\r{done} of {} bans\x1b[K", self.total));
        }
    }

    fn end(&mut self) {
        if std::mem::take(&mut self.is_drawn) {
            write("\r\x1b[K");
        }
    }
}

/// Also if taking over has failed, so that the reason stands on a line of its own.
impl Drop for Progress {
    fn drop(&mut self) {
        self.end();
    }
}

/// Nobody can be told that this cannot be told.
fn write(text: &str) {
    let _ = std::io::stderr().write_all(text.as_bytes());
}
