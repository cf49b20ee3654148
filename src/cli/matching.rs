//! `f2bd match`: which lines of a log does a filter count?

use std::io::Write;
use std::path::Path;

use super::args::{LogFormat, MatchArgs, Missed};
use super::failure::{Exit, Failure};
use super::found::{Printer, Shown};
use super::likely::Likely;
use super::logs::{Log, Understood, Writing};
use super::output::{self, Clock};
use super::progress::Progress;
use super::summary::Summary;
use crate::config;
use crate::engine::filter::session::{self, Sessions};
use crate::engine::filter::{FilterSet, FilterSpec, View};
use crate::engine::record::Record;
use crate::engine::record::journal::JournalMatch;
use crate::engine::record::json::JsonFields;
use crate::engine::record::line::{Format, LineForm};

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
    let filters = FilterSet::compile(specs).map_err(|errors| {
        let lines: Vec<_> = errors.iter().map(ToString::to_string).collect();
        Failure::new(Exit::BadConfiguration, lines.join("\n"))
    })?;
    let likely = match args.missed {
        Some(Missed::Failures) => {
            let software = |error| Failure::new(Exit::Software, format!("{error}"));
            Some(Likely::new().map_err(software)?)
        }
        _ => None,
    };
    let prints_hits = args.missed.is_none() && !args.summary && (args.hits || args.json);
    let mut out = match args.json {
        true => output::bare(),
        false => output::stdout(),
    };
    let mut printer = Printer {
        json: args.json,
        explain: args.explain,
        names_filter: args.all,
        log: None,
        clock,
        shown: Shown::default(),
    };
    let mut progress = Progress::of(logs, prints_hits || args.missed.is_some());
    let mut sessions = Sessions::default();
    let mut summary = Summary::of(filters.len());
    let mut understood = Understood::default();
    for word in logs {
        let log = Log::of(word);
        summary.begin(word);
        printer.log = (logs.len() > 1).then_some(word);
        let look = |number, record: Record<'_>| {
            summary.read(u64::from(record.passed));
            understood.look_at(&record);
            let view = View::from(record);
            let hits = filters.hits(&view);
            for (filter, found) in &hits {
                let session = session::key(record.host, found);
                let spec = filters.spec(*filter);
                let counts = sessions.counts(spec, session.as_deref(), found, record.time);
                summary.take(*filter, found, record.time, counts);
                if counts && prints_hits {
                    printer.found(&mut out, spec, number, &record, found)?;
                }
            }
            if hits.is_empty() {
                summary.miss();
                if is_shown(args.missed, likely.as_ref(), &record) {
                    printer.missed(&mut out, number, &record)?;
                }
            }
            Ok(())
        };
        log.read(&writing, clock.now, &routes, &mut progress, look)?;
    }
    progress.end();
    match (args.json, prints_hits || args.missed.is_some()) {
        (true, true) => {}
        (true, false) => summary.print_object(&mut out, &filters)?,
        (false, true) => summary.print_sums(&mut out)?,
        (false, false) => summary.print(&mut out, &filters, clock, args.explain)?,
    }
    out.flush()?;
    if summary.is_empty() {
        return Err(understood.failure(by_program));
    }
    Ok(())
}

/// Whether a line that no pattern takes is printed.
fn is_shown(missed: Option<Missed>, likely: Option<&Likely>, record: &Record<'_>) -> bool {
    let is_likely = |likely: &Likely| likely.is(record.message) || likely.is(record.object);
    match missed {
        None => false,
        Some(Missed::All) => true,
        Some(Missed::Failures) => likely.is_some_and(is_likely),
    }
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
