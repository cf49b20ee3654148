//! `f2bd match`: which lines of a log does a filter count?

use std::collections::BTreeSet;
use std::fs::File;
use std::io::{self, Write};
use std::path::Path;

use super::args::{LogFormat, MatchArgs, Missed};
use super::failure::{Exit, Failure};
use super::found::{Printer, Shown};
use super::learn;
use super::logs::{Log, Piece, Reading, Understood, in_order};
use super::output::{self, Clock, Out};
use super::progress::Progress;
use super::summary::Summary;
use super::writing::Writing;
use crate::config;
use crate::engine::filter::likely::Likely;
use crate::engine::filter::session::Sessions;
use crate::engine::filter::{FilterSet, FilterSpec, Finding, LineMemory, PatternError, View};
use crate::engine::policy::FilterId;
use crate::engine::record::Record;
use crate::engine::record::json::JsonFields;
use crate::engine::record::line::{Format, LineForm};

/// Reads the logs and prints what the filter counts.
///
/// # Errors
/// Nothing was counted, or a filter or log cannot be read.
pub fn run(args: &MatchArgs, clock: &Clock, config: Option<&Path>) -> Result<(), Failure> {
    if args.learn {
        let log = args.operands.get(..1).unwrap_or_default();
        return learn::run(args, &writing(args, log, clock)?, clock);
    }
    let (specs, logs) = operands(args, config)?;
    let writing = writing(args, logs, clock)?;
    let entries = |spec: &FilterSpec| spec.records.entries().unwrap_or_default();
    let routes: Vec<_> = specs.iter().map(entries).collect();
    let by_program = specs
        .iter()
        .all(|spec| !spec.records.programs.is_empty() || spec.records.reports || spec.records.bans);
    let filters = FilterSet::compile(specs).map_err(|errors| wrong(&errors, config))?;
    let prints = Prints::of(args)?;
    // To show what is missed, all of it must be read.
    let all: Vec<_> = (0..).map(FilterId).take(filters.len()).collect();
    let sieve = filters.sieve(&all).filter(|_| args.missed.is_none());
    let named = logs.iter().map(|word| Log::of(word));
    let mut progress = Progress::of(named, !matches!(prints, Prints::Summary));
    let mut matching = Matching {
        summary: Summary::of(filters.len()),
        filters,
        sessions: Sessions::default(),
        memory: LineMemory::default(),
        understood: Understood::default(),
        prints,
        printer: Printer {
            json: args.json,
            explain: args.explain,
            names_filter: args.all,
            log: None,
            clock,
            shown: Shown::default(),
        },
        out: output::bare(),
    };
    let mut unread = Vec::new();
    for word in in_order(logs, clock.now, |_| writing.clone()) {
        matching.summary.begin(word);
        matching.printer.log = (logs.len() > 1).then_some(word);
        let take = |piece: Piece<'_>| matching.take(piece);
        let reading = Reading {
            writing: &writing,
            now: clock.now,
            since: None,
            routes: &routes,
            sieve: sieve.as_ref(),
        };
        match Log::of(word).read(reading, &mut progress, take) {
            Err(failure) if failure.is_of_writing() => return Err(failure),
            // The others are read all the same.
            Err(failure) => unread.push(failure),
            Ok(()) => {}
        }
    }
    progress.end();
    if unread.is_empty() || matching.summary.lines() > 0 {
        matching.end()?;
    }
    if let Some(failure) = Failure::all(unread) {
        return Err(failure);
    }
    if matching.summary.counted() == 0 {
        return Err(matching.understood.failure(by_program));
    }
    Ok(())
}

/// What is printed.
#[derive(Debug)]
enum Prints {
    Summary,
    /// Each line that counts.
    Counted,
    /// Each line that no pattern takes.
    Missed,
    /// Those of them that look like failures.
    Likely(Likely),
}

impl Prints {
    fn of(args: &MatchArgs) -> Result<Self, Failure> {
        Ok(match args.missed {
            Some(Missed::All) => Prints::Missed,
            Some(Missed::Failures) => {
                let software = |error| Failure::new(Exit::Software, format!("{error}"));
                Prints::Likely(Likely::new().map_err(software)?)
            }
            None if args.counted || args.json && !args.summary => Prints::Counted,
            None => Prints::Summary,
        })
    }
}

struct Matching<'m> {
    filters: FilterSet,
    sessions: Sessions,
    memory: LineMemory,
    summary: Summary,
    understood: Understood,
    prints: Prints,
    printer: Printer<'m>,
    /// For lines, which have no colours.
    out: Out,
}

impl Matching<'_> {
    /// What is next in a log.
    fn take(&mut self, piece: Piece<'_>) -> Result<(), Failure> {
        match piece {
            Piece::Record(number, record) => self.look(number, record),
            Piece::Quiet(lines) => {
                self.summary.read(u64::from(lines));
                self.summary.miss(u64::from(lines));
                Ok(())
            }
            Piece::Pause => Ok(self.out.flush()?),
        }
    }

    /// What is in a line.
    fn look(&mut self, number: u64, record: &Record<'_>) -> Result<(), Failure> {
        self.summary.read(1);
        self.understood.look_at(record);
        let view = View::from(*record);
        let findings = self.filters.findings(&view, &mut self.memory);
        for Finding { filter, found, .. } in &findings {
            let spec = self.filters.spec(*filter);
            let record = &found.dated(record);
            let counts = self.sessions.counts(spec, record.host, found, record.time);
            self.summary.take(*filter, found, record.time, counts);
            if counts && matches!(self.prints, Prints::Counted) {
                self.printer
                    .found(&mut self.out, spec, number, record, found)?;
            }
        }
        if !findings.is_empty() {
            return Ok(());
        }
        self.summary.miss(1);
        let is_shown = match &self.prints {
            Prints::Summary | Prints::Counted => false,
            Prints::Missed => true,
            Prints::Likely(likely) => likely.is(record.message) || likely.is(record.object()),
        };
        if is_shown {
            self.printer.missed(&mut self.out, number, record)?;
        }
        Ok(())
    }

    /// What came of all lines.
    fn end(&mut self) -> Result<(), Failure> {
        self.out.flush()?;
        let Printer {
            json,
            explain,
            clock,
            ..
        } = &self.printer;
        let mut out = match json {
            true => output::bare(),
            false => output::stdout(),
        };
        match (&self.prints, json) {
            (Prints::Summary, true) => self.summary.print_object(&mut out, &self.filters)?,
            (Prints::Summary, false) => {
                self.summary
                    .print(&mut out, &self.filters, clock, *explain)?;
            }
            (_, true) => {}
            (_, false) => self.summary.print_sums(&mut out)?,
        }
        out.flush()?;
        Ok(())
    }
}

/// The filters and logs that the words name.
fn operands<'a>(
    args: &'a MatchArgs,
    config: Option<&Path>,
) -> Result<(Vec<FilterSpec>, &'a [String]), Failure> {
    let failed = |problems: Vec<config::Problem>| Failure::of_problems(&problems);
    if args.all {
        return Ok((config::filters(config).map_err(failed)?, &args.operands));
    }
    match args.operands.as_slice() {
        [filter, logs @ ..] if !logs.is_empty() => {
            let is_file = filter.contains('/') || filter.ends_with(".toml");
            if is_file && let Err(error) = readable(filter) {
                let message = format!("cannot read the filter {filter}: {error}");
                return Err(Failure::new(Exit::of_reading(&error), message));
            }
            let spec = config::filter(filter, args.mode.as_deref(), config);
            let spec = spec.map_err(|problems| match is_file && !filter.ends_with(".toml") {
                false => failed(problems),
                true => {
                    let Failure { exit, message, .. } = failed(problems);
                    let remedy = "if this is a log, name a filter before it, such as sshd";
                    Failure::new(exit, format!("{message}\nf2bd: {filter}: {remedy}"))
                }
            })?;
            Ok((vec![spec], logs))
        }
        _ => {
            let message =
                "name a filter and then a log, `-` for standard input; or --all and a log";
            Err(Failure::new(Exit::Usage, message))
        }
    }
}

/// What is wrong with filters, each mistake at its place.
fn wrong(errors: &[PatternError], config: Option<&Path>) -> Failure {
    let names: BTreeSet<&str> = errors.iter().map(|error| error.filter.as_str()).collect();
    let problems = names
        .into_iter()
        .filter_map(|name| config::filter(name, None, config).err());
    Failure::of_problems(&problems.flatten().collect::<Vec<_>>())
}

/// Whether there is something to read in a file.
fn readable(path: &str) -> io::Result<()> {
    match File::open(path)?.metadata()?.is_dir() {
        true => Err(io::ErrorKind::IsADirectory.into()),
        false => Ok(()),
    }
}

/// How the logs are written, by what is said of them.
fn writing(args: &MatchArgs, logs: &[String], clock: &Clock) -> Result<Writing, Failure> {
    let is_told = args.format.is_some() || !args.time_format.is_empty() || args.encoding.is_some();
    let journal = logs
        .iter()
        .find(|log| matches!(Log::of(log), Log::Journal(_)));
    if let (true, Some(journal)) = (is_told, journal) {
        let message = format!(
            "`{journal}` is a journal: --format, --time-format and --encoding are for log files"
        );
        return Err(Failure::new(Exit::Usage, message));
    }
    let format = match args.format {
        None => Format::Any,
        Some(LogFormat::Text) => Format::Text,
        Some(LogFormat::Json) => Format::Json(JsonFields::default()),
        Some(LogFormat::Cri) => Format::Cri(JsonFields::default()),
    };
    Ok(Writing {
        form: LineForm {
            times: args.time_format.clone(),
            format,
            ..LineForm::in_zone(clock.zone.clone())
        },
        encoding: args.encoding.unwrap_or_default(),
    })
}
