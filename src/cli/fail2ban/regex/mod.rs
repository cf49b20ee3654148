//! Called as `fail2ban-regex`: what does a filter of Fail2ban's find in a log?
//!
//! [`args`] is what can be written, [`words`] what that means, `config::fail2ban::trial` finds the filter, the engine tells what becomes of each line;
//! [`hit`] is who has failed, [`out`] prints that for programs, [`report`] all of it for people.

pub mod args;
mod hit;
mod out;
mod report;
mod words;

use std::ffi::OsString;
use std::io::Write;
use std::process::ExitCode;
use std::time::Instant;

use clap::{CommandFactory, Parser};

use self::args::RegexArgs;
use self::hit::{CONNECTION, Hit, Moment, MomentTold, Names};
use self::out::Form;
use self::report::{Fate, Listing, Report, Wanted};
use self::words::{Source, tried};
use super::{FAILED, NotDone, print};
use crate::cli::failure::Failure;
use crate::cli::logs::{Log, Piece, Reading};
use crate::cli::output::{self, Out};
use crate::cli::progress::Progress;
use crate::cli::writing::Writing;
use crate::config::Problems;
use crate::config::fail2ban::expression::Hosts;
use crate::config::fail2ban::trial::Tried;
use crate::control::fail2ban::SPOKEN_VERSION;
use crate::engine::filter::line::trial::{Became, Taken};
use crate::engine::filter::{FilterSet, FilterSpec, LineMemory, View};
use crate::engine::policy::FilterId;
use crate::engine::record::Record;
use crate::engine::record::journal::JournalMatch;
use crate::engine::record::line::{Format, LineForm};

/// The exit code of options that nobody knows.
const USAGE: u8 = 2;

/// Runs the tool with the words after its name.
pub fn main(words: impl Iterator<Item = OsString>) -> ExitCode {
    let program = std::iter::once(OsString::from("fail2ban-regex"));
    let args = match RegexArgs::try_parse_from(program.chain(words)) {
        Ok(args) => args,
        Err(error) => {
            // If even this cannot be printed, nobody reads it.
            let _ = error.print();
            return match error.use_stderr() {
                true => ExitCode::from(USAGE),
                false => ExitCode::SUCCESS,
            };
        }
    };
    match run(&args) {
        Ok(()) => ExitCode::SUCCESS,
        Err(NotDone) => ExitCode::from(FAILED),
    }
}

fn run(args: &RegexArgs) -> Result<(), NotDone> {
    if args.short_version {
        return print(SPOKEN_VERSION);
    }
    if args.version {
        return print(&format!("fail2ban-regex {SPOKEN_VERSION}"));
    }
    let wrong = args.contradictions();
    if !wrong.is_empty() {
        print(&RegexArgs::command().render_help().to_string())?;
        // If even this cannot be printed, nobody reads it.
        let _ = writeln!(std::io::stderr(), "\n{}", wrong.join("\n"));
        return Err(NotDone);
    }
    for text in args.of_python() {
        note(text);
    }
    let (log, expression) = (&args.operands[0], &args.operands[1]);
    let ignored = args.operands.get(2);
    if args.out().is_none() {
        print("\nRunning tests\n=============\n")?;
    }
    let source = Source::of(log)?;
    let tried = tried(args, &source, expression, ignored)?;
    let mut problems = Problems::default();
    let hosts = match args.usedns.as_deref() {
        Some("no") => Hosts::Addresses,
        _ => Hosts::Named,
    };
    let spec = tried.spec(hosts, args.timezone.as_deref(), &mut problems);
    let matches = tried.journal(&mut problems);
    let spec = told(spec, problems)?;
    let log = source.begin(args, &tried)?;
    let trying = Trying::new(args, &tried, spec, &log)?;
    trying.run(&log, &matches)
}

/// Tells something on standard error.
fn note(text: &str) {
    // If even this cannot be printed, nobody reads it.
    let _ = writeln!(std::io::stderr(), "fail2ban-regex: {text}");
}

/// What was read, if it was; what is wrong is printed.
fn told<T>(read: Option<T>, problems: Problems) -> Result<T, NotDone> {
    for problem in problems.into_sorted() {
        match read {
            Some(_) => note(&problem.to_string()),
            None => print(&format!("ERROR: {problem}"))?,
        }
    }
    read.ok_or(NotDone)
}

/// What tries a filter on one line after the other.
struct Trying<'t> {
    args: &'t RegexArgs,
    form: Option<Form>,
    filters: FilterSet,
    memory: LineMemory,
    names: Names,
    /// The templates of dates that are told as numbers.
    numbers: Vec<bool>,
    is_journal: bool,
    is_window: bool,
    report: Report,
    out: Out,
}

impl<'t> Trying<'t> {
    fn new(
        args: &'t RegexArgs,
        tried: &Tried,
        spec: FilterSpec,
        log: &Log,
    ) -> Result<Self, NotDone> {
        let rules = spec.lines.as_ref();
        let templates = rules
            .and_then(|rules| rules.dates.as_ref())
            .map(|dates| &dates.templates);
        let names = templates
            .map(|templates| templates.names())
            .unwrap_or_default();
        let numbers = names
            .iter()
            .map(|name| name.to_ascii_uppercase().contains("EPOCH"));
        let listing = |none: bool, all: bool| match (none, all) {
            (true, _) => Listing::None,
            (_, true) => Listing::All,
            _ => Listing::Few,
        };
        let wanted = Wanted {
            tells_all: args.tells_all(),
            most: args.listed(),
            ignored: listing(args.print_no_ignored, args.print_all_ignored),
            matched: listing(!args.print_all_matched, true),
            missed: listing(args.print_no_missed, args.print_all_missed),
        };
        let is_journal = matches!(log, Log::Journal(_));
        let report = Report::new(
            wanted,
            tried
                .option("prefregex")
                .map(str::trim)
                .filter(|prefix| !prefix.is_empty()),
            tried.expressions("failregex"),
            tried.expressions("ignoreregex"),
            (!is_journal).then_some(names),
        );
        let trying = Trying {
            args,
            form: args.out().map(Form::of),
            memory: LineMemory::with_texts(),
            names: Names::new(args.raw || args.usedns.as_deref() == Some("raw")),
            numbers: numbers.collect(),
            is_journal,
            is_window: rules.is_some_and(|rules| rules.window.get() > 1),
            report,
            out: output::bare(),
            filters: match FilterSet::compile(vec![spec]) {
                Ok(filters) => filters,
                Err(errors) => {
                    let errors: Vec<_> = errors
                        .iter()
                        .map(|error| format!("ERROR: {error}"))
                        .collect();
                    return print(&errors.join("\n")).and(Err(NotDone));
                }
            },
        };
        Ok(trying)
    }

    fn run(mut self, log: &Log, routes: &[JournalMatch]) -> Result<(), NotDone> {
        let began = Instant::now();
        let writing = Writing {
            form: LineForm {
                format: Format::Text,
                ..LineForm::in_zone(jiff::tz::TimeZone::system())
            },
            encoding: self.args.encoding.unwrap_or_default(),
        };
        let reading = Reading {
            writing: &writing,
            now: jiff::Timestamp::now().into(),
            since: None,
            routes,
            sieve: None,
        };
        let read = log.read(reading, &mut Progress::none(), |piece| match piece {
            Piece::Record(_, record) => self.look(record),
            Piece::Quiet(_) => Ok(()),
            Piece::Pause => Ok(self.out.flush()?),
        });
        let done = read.and_then(|()| {
            if self.form.is_none() {
                self.report.print(&mut self.out, began.elapsed())?;
            }
            Ok(self.out.flush()?)
        });
        for (_, pattern) in self.memory.take_exceeded() {
            note(&format!(
                "{pattern} took too many steps on some line, which does not count for it"
            ));
        }
        match done {
            // Whoever reads no further has seen enough.
            Err(failure) if !failure.is_broken_pipe() => print(&failure.message).and(Err(NotDone)),
            _ => Ok(()),
        }
    }

    /// What becomes of a line.
    fn look(&mut self, record: &Record<'_>) -> Result<(), Failure> {
        let view = View::from(*record);
        let line = String::from_utf8_lossy(view.whole());
        let line = line.trim_end_matches(['\r', '\n']);
        if !self.is_journal && (line.is_empty() || line.starts_with('#')) {
            return Ok(());
        }
        let asks_all = !self.args.no_check_all && self.form.is_none();
        let trial = self
            .filters
            .trial(FilterId(0), &view, &mut self.memory, asks_all);
        let number_of = |number: usize| self.numbers.get(number).copied().unwrap_or_default();
        let told = match trial.date {
            Some(date) if number_of(date.number) => MomentTold::Number,
            Some(date) if date.tells_zone || self.args.timezone.is_some() => MomentTold::WithZone,
            Some(_) => MomentTold::Local,
            None => MomentTold::Number,
        };
        let (mut failures, mut is_ignored) = (0, !trial.ignored.is_empty());
        let is_shown = |taken: &&Taken| {
            // Where the first pattern decides, what only belongs to a connection is nothing.
            let is_of_connection = taken.said.words.get(CONNECTION).is_some();
            asks_all || taken.became != Became::Remark || !is_of_connection
        };
        for taken in trial.taken.iter().filter(is_shown) {
            let time = taken.said.time.or(self.is_journal.then_some(record.time));
            let ids = match taken.became {
                Became::Pending => None,
                Became::Failure | Became::Remark => self.names.ids(&taken.said.words),
            };

            match (&self.form, ids) {
                (Some(form), ids) => {
                    let is_shown = taken.became == Became::Failure;
                    for (id, ip) in ids.into_iter().flatten().filter(|_| is_shown) {
                        failures += 1;
                        let time = time.map(|time| Moment { time, told });
                        let hit = Hit {
                            id,
                            ip,
                            time,
                            said: &taken.said,
                        };
                        if !self.args.invert {
                            for line in form.print(&hit) {
                                writeln!(self.out, "{line}")?;
                            }
                        }
                    }
                }
                (None, ids) => {
                    let nobody = || vec![None];
                    let some =
                        |ids: Vec<(String, _)>| ids.into_iter().map(|(id, _)| Some(id)).collect();
                    for id in ids.map_or_else(nobody, some) {
                        // What tells no time is told as if it were written now.
                        let time = time.unwrap_or_else(|| jiff::Timestamp::now().into());
                        self.report
                            .failed(taken.pattern, id.as_deref(), time, failures > 1);
                        match taken.became {
                            Became::Remark => is_ignored = true,
                            Became::Failure | Became::Pending => failures += 1,
                        }
                    }
                }
            }
            if self.is_window
                && let Some((_, earlier)) = taken.lines.split_last()
            {
                for earlier in earlier {
                    self.report.found_later(earlier);
                }
            }
        }
        if self.form.is_some() {
            if self.args.invert && failures == 0 {
                writeln!(self.out, "{line}")?;
            }
            return Ok(());
        }
        if let Some(words) = &trial.prefix {
            self.report.prefixed(words);
        }
        if let Some(date) = trial.date {
            self.report.dated(date.number);
        }
        for place in &trial.ignored {
            self.report.ignored(*place);
        }
        let fate = match (is_ignored, failures) {
            (true, _) => Fate::Ignored,
            (false, 0) => Fate::Missed,
            (false, _) => Fate::Matched,
        };
        self.report.line(line, fate);
        Ok(())
    }
}
