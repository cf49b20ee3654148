//! `f2bd match`: which lines of a log does a filter count?

use std::io::Write;
use std::net::IpAddr;
use std::path::Path;

use serde::Serialize;
use serde_json::json;

use super::args::{LogFormat, MatchArgs};
use super::failure::{Exit, Failure};
use super::logs::{Log, Understood, Writing};
use super::output::{self, Clock, HEADING, Out, counted, harmless};
use super::progress::Progress;
use crate::config;
use crate::control::text;
use crate::engine::filter::session::Sessions;
use crate::engine::filter::{FilterSet, FilterSpec, Found, View};
use crate::engine::policy::FilterId;
use crate::engine::record::Record;
use crate::engine::record::journal::JournalMatch;
use crate::engine::record::json::JsonFields;
use crate::engine::record::line::{Format, LineForm};
use crate::engine::time::Timestamp;

/// A line of `--json`, a contract.
#[derive(Serialize)]
struct Line<'a> {
    line: u64,
    filter: &'a str,
    pattern: u16,
    #[serde(with = "text")]
    time: Timestamp,
    ip: Option<IpAddr>,
    host: &'a str,
    user: Option<&'a str>,
    /// The pattern itself, with `--explain`.
    #[serde(skip_serializing_if = "Option::is_none")]
    text: Option<String>,
}

/// What came of all lines.
#[derive(Debug, Default)]
struct Sums {
    lines: u64,
    counted: u64,
    missed: u64,
    understood: Understood,
}

/// Reads the logs and prints what the filter counts.
///
/// # Errors
/// Nothing was counted, or a filter or log cannot be read.
pub fn run(args: &MatchArgs, clock: &Clock, config: Option<&Path>) -> Result<(), Failure> {
    let (specs, logs) = operands(args, config)?;
    let writing = writing(args, logs, clock)?;
    let routes: Vec<_> = specs.iter().map(wanted).collect();
    let by_program = specs
        .iter()
        .all(|spec| !spec.records.programs.is_empty() || spec.records.reports);
    let count = u16::try_from(specs.len()).unwrap_or(u16::MAX);
    let filters = FilterSet::compile(specs).map_err(|errors| {
        let lines: Vec<_> = errors.iter().map(ToString::to_string).collect();
        Failure::new(Exit::BadConfiguration, lines.join("\n"))
    })?;
    let all: Vec<_> = (0..count).map(FilterId).collect();
    // To show what is missed, all of it must be read.
    let sieve = filters.sieve(&all).filter(|_| !args.missed);
    let mut sessions = Sessions::default();
    let mut sums = Sums::default();
    let mut out = output::stdout();
    let mut progress = Progress::of(logs, true);
    for log in logs {
        let log = Log::of(log);
        log.read(
            &writing,
            clock.now,
            &routes,
            sieve.as_ref(),
            &mut progress,
            |number, record| {
                sums.lines += 1 + u64::from(record.passed);
                sums.missed += u64::from(record.passed);
                sums.understood.look_at(&record);
                let view = View::from(record);
                let mut is_taken = false;
                for (filter, found) in filters.hits(&view) {
                    is_taken = true;
                    let spec = filters.spec(filter);
                    if sessions.counts(spec, record.host, &found, record.time) {
                        sums.counted += 1;
                        if !args.missed {
                            print(
                                &mut out,
                                args,
                                clock,
                                filters.spec(filter),
                                number,
                                &record,
                                &found,
                            )?;
                        }
                    }
                }
                if !is_taken {
                    sums.missed += 1;
                    if args.missed {
                        print_missed(&mut out, args, number, &record)?;
                    }
                }
                Ok(())
            },
        )?;
    }
    progress.end();
    if !args.json {
        let lines = usize::try_from(sums.lines).unwrap_or(usize::MAX);
        let lines = counted(lines, "line");
        writeln!(
            out,
            "{HEADING}{lines}: {} counted, {} missed{HEADING:#}",
            sums.counted, sums.missed
        )?;
    }
    out.flush()?;
    if sums.counted == 0 {
        return Err(sums.understood.failure(by_program));
    }
    Ok(())
}

/// The filters and logs that the words name.
fn operands<'a>(
    args: &'a MatchArgs,
    config: Option<&Path>,
) -> Result<(Vec<FilterSpec>, &'a [String]), Failure> {
    let failed = |problems: Vec<config::Problem>| Failure::of_problems(&problems);
    if args.all {
        let specs = config::filter_names(config)
            .into_iter()
            .map(|name| config::filter(&name, None, config));
        return Ok((
            specs.collect::<Result<_, _>>().map_err(failed)?,
            &args.operands,
        ));
    }
    match args.operands.as_slice() {
        [filter, logs @ ..] if !logs.is_empty() => {
            let spec = config::filter(filter, args.mode.as_deref(), config).map_err(failed)?;
            Ok((vec![spec], logs))
        }
        _ => {
            let message =
                "name a filter and then a log, `-` for standard input; or --all and a log";
            Err(Failure::new(Exit::Usage, message))
        }
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

/// The entries of a journal that the filter looks at.
fn wanted(spec: &FilterSpec) -> JournalMatch {
    let programs = spec
        .records
        .programs
        .iter()
        .map(|program| JournalMatch::program(program));
    let journal = spec.records.journal.clone();
    journal
        .or_else(|| programs.reduce(JournalMatch::or))
        .unwrap_or_default()
}

fn print(
    out: &mut Out,
    args: &MatchArgs,
    clock: &Clock,
    spec: &FilterSpec,
    number: u64,
    record: &Record<'_>,
    found: &Found<'_>,
) -> Result<(), Failure> {
    let pattern = spec
        .failures
        .iter()
        .find(|pattern| pattern.number == found.pattern);
    if args.json {
        let line = Line {
            line: number,
            filter: spec.name.as_str(),
            pattern: found.pattern,
            time: record.time,
            ip: found.ip.map(|ip| ip.to_canonical()),
            host: &found.host,
            user: found.user.as_deref(),
            text: pattern.filter(|_| args.explain).map(ToString::to_string),
        };
        serde_json::to_writer(&mut *out, &line).map_err(std::io::Error::from)?;
        writeln!(out)?;
        return Ok(());
    }
    let user = found
        .user
        .as_deref()
        .map(|user| format!(" user `{}`", harmless(user)));
    let filter = if args.all {
        format!("{} ", spec.name)
    } else {
        String::new()
    };
    writeln!(
        out,
        "{number}: {filter}pattern {} {} {}{}",
        found.pattern,
        clock.show(record.time),
        harmless(&found.host),
        user.unwrap_or_default(),
    )?;
    if args.explain {
        writeln!(
            out,
            "    {}",
            harmless(&String::from_utf8_lossy(found.line))
        )?;
        let pattern = pattern.map(ToString::to_string).unwrap_or_default();
        writeln!(out, "    {pattern}")?;
    }
    Ok(())
}

fn print_missed(
    out: &mut Out,
    args: &MatchArgs,
    number: u64,
    record: &Record<'_>,
) -> Result<(), Failure> {
    let message = String::from_utf8_lossy(record.message);
    if args.json {
        let line = json!({ "line": number, "program": record.program, "message": &*message });
        writeln!(out, "{line}")?;
    } else {
        let program = match record.program {
            "" => String::new(),
            program => format!("{} ", harmless(program)),
        };
        writeln!(out, "{number}: {program}{}", harmless(&message))?;
    }
    Ok(())
}
