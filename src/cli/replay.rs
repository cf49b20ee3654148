//! `f2bd replay`: what would the jails have done with old logs?

use std::collections::HashMap;
use std::io::Write;
use std::path::Path;

use serde::Serialize;

use super::failure::{Exit, Failure};
use super::logs::{Log, Understood, Writing};
use super::output::{self, Clock, HEADING, Out, counted};
use super::progress::Progress;
use crate::config::{self, Settings, Surroundings};
use crate::control::text::{self, seconds};
use crate::engine::Decision;
use crate::engine::decision::{Ban, BanId};
use crate::engine::name::JailName;
use crate::engine::prefix::Prefix;
use crate::engine::record::journal::JournalMatch;
use crate::engine::record::line::LineForm;
use crate::engine::replay::Replay;
use crate::engine::time::{BanTime, Timestamp};
use crate::source::SourceSpec;

/// Reads the logs and prints bans and unbans.
///
/// # Errors
/// Nobody would have been banned, or the configuration or a log cannot be read.
pub fn run(
    config: Option<&Path>,
    jail: Option<&JailName>,
    json: bool,
    logs: &[String],
    clock: &Clock,
) -> Result<(), Failure> {
    let loaded = config::load(config, Surroundings::Ignore);
    let Some(Settings {
        mut policy,
        sources,
        ..
    }) = loaded.settings
    else {
        return Err(Failure::of_problems(&loaded.problems));
    };
    if let Some(jail) = jail {
        policy.jails.retain(|policy| policy.name == *jail);
        if policy.jails.is_empty() {
            return Err(Failure::new(
                Exit::NotSo,
                format!("no jail {jail} is enabled"),
            ));
        }
    }
    let mut printer = Printer {
        out: output::stdout(),
        json,
        clock,
        bans: HashMap::new(),
        printed: 0,
    };
    let specs = policy
        .jails
        .iter()
        .map(|jail| policy.filters.spec(jail.filter));
    let by_program = specs
        .into_iter()
        .all(|spec| !spec.records.programs.is_empty() || spec.records.reports);
    let filters: Vec<_> = policy.jails.iter().map(|jail| jail.filter).collect();
    let sieve = policy.filters.sieve(&filters);
    let mut replay = Replay::new(policy);
    let routes = routes(&sources);
    let mut decisions = Vec::new();
    let mut understood = Understood::default();
    let mut progress = Progress::of(logs, true);
    for log in logs {
        let log = Log::of(log);
        let writing = writing(&log, &sources, clock);
        log.read(
            &writing,
            clock.now,
            &routes,
            sieve.as_ref(),
            &mut progress,
            |_, record| {
                understood.look_at(&record);
                replay.hear(record, &mut decisions);
                for decision in decisions.drain(..) {
                    printer.print(&decision)?;
                }
                Ok(())
            },
        )?;
    }
    progress.end();
    if !json {
        let banned = counted(replay.engine().ledger().len(), "ban");
        writeln!(
            printer.out,
            "{HEADING}{banned} in force at the end{HEADING:#}"
        )?;
    }
    printer.out.flush()?;
    if printer.printed == 0 {
        return Err(understood.failure(by_program));
    }
    Ok(())
}

/// How a log is written: as the source says that reads it, or the log that it was before it was rotated.
fn writing(log: &Log, sources: &[SourceSpec], clock: &Clock) -> Writing {
    let unknown = Writing::unknown(clock);
    let Log::File(path) = log else {
        return unknown;
    };
    let path = std::path::absolute(path).unwrap_or_else(|_| path.clone());
    let files = || {
        sources.iter().filter_map(|source| match source {
            SourceSpec::Files(spec) => Some(spec),
            _ => None,
        })
    };
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    // What rotation appends begins with one of these signs: `.1.gz`, `-20260212`.
    let shorter = name.rmatch_indices(['.', '-']).map(|(end, _)| &name[..end]);
    let mut paths = std::iter::once(&*name)
        .chain(shorter)
        .map(|name| path.with_file_name(name));
    let spec = paths.find_map(|path| {
        files().find(|spec| spec.wanted.iter().flatten().any(|glob| glob.matches(&path)))
    });
    match spec {
        None => unknown,
        Some(spec) => Writing {
            form: LineForm {
                zone: match clock.is_told {
                    true => clock.zone.clone(),
                    false => spec.form.zone.clone(),
                },
                ..spec.form.clone()
            },
            encoding: spec.encoding,
        },
    }
}

/// What the jails want of a journal, by the number of the route, whatever source they take it from.
fn routes(sources: &[SourceSpec]) -> Vec<JournalMatch> {
    let journals: Vec<_> = sources
        .iter()
        .filter_map(|source| match source {
            SourceSpec::Journal(spec) => Some(spec),
            _ => None,
        })
        .collect();
    let count = journals
        .iter()
        .map(|journal| journal.routes.len())
        .max()
        .unwrap_or(0);
    let of = |route: usize| {
        let wanted = journals
            .iter()
            .filter_map(|journal| journal.routes.get(route))
            .cloned();
        wanted.reduce(JournalMatch::or).unwrap_or_default()
    };
    (0..count).map(of).collect()
}

/// A line of `--json`, a contract.
#[derive(Serialize)]
struct Line<'a> {
    #[serde(with = "text")]
    time: Timestamp,
    #[serde(with = "text")]
    jail: &'a JailName,
    decision: &'static str,
    #[serde(with = "text")]
    subject: Prefix,
    failures: usize,
    #[serde(with = "seconds")]
    bantime: BanTime,
    offence: u32,
    #[serde(with = "text::option")]
    until: Option<Timestamp>,
}

struct Printer<'c> {
    out: Out,
    json: bool,
    clock: &'c Clock,
    /// Bans in force, to tell of them again when they end; the ledger bounds how many there are.
    bans: HashMap<BanId, Ban>,
    printed: u64,
}

impl Printer<'_> {
    fn print(&mut self, decision: &Decision) -> Result<(), Failure> {
        match decision {
            Decision::Ban(ban) => {
                self.line(ban.start, "ban", ban)?;
                self.bans.insert(ban.id, ban.clone());
            }
            Decision::Unban(unban) => {
                if let Some(ban) = self.bans.remove(&unban.ban) {
                    self.line(unban.time, "unban", &ban)?;
                }
            }
            Decision::Count(_) | Decision::Notice(_) => {}
        }
        Ok(())
    }

    fn line(&mut self, time: Timestamp, word: &'static str, ban: &Ban) -> Result<(), Failure> {
        self.printed += 1;
        if self.json {
            let line = Line {
                time,
                jail: &ban.jail,
                decision: word,
                subject: ban.subject,
                failures: ban.evidence.len(),
                bantime: ban.bantime,
                offence: ban.offence,
                until: ban.until(),
            };
            serde_json::to_writer(&mut self.out, &line).map_err(std::io::Error::from)?;
            writeln!(self.out)?;
            return Ok(());
        }
        let (time, subject) = (self.clock.show(time), ban.subject.plain());
        let why = match word {
            "ban" => format!(
                "{} {}, offence {}",
                counted(ban.evidence.len(), "failure"),
                ban.bantime.lasting(),
                ban.offence
            ),
            _ => String::new(),
        };
        let line = format!("{time}  {word:<5}  {}  {subject}  {why}", ban.jail);
        writeln!(self.out, "{}", line.trim_end())?;
        Ok(())
    }
}
