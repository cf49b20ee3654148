//! How is it told what was found?
//!
//! In: the outcome. Out: tables and sentences for people with the configuration below, or one object for programs.

use std::collections::BTreeMap;
use std::io::Write;
use std::net::IpAddr;

use serde::Serialize;

use super::outcome::{Outcome, Proposal, Row, Standing};
use super::places::Place;
use super::proposal;
use super::survey::Survey;
use crate::cli::failure::Failure;
use crate::cli::output::{self, Clock, HEADING, Out, Table, counted, harmless};
use crate::control::text;
use crate::engine::name::FilterName;
use crate::engine::policy::JailPolicy;
use crate::engine::time::{Span, Timestamp};

/// So many filters are named in one line.
const NAMED: usize = 6;

/// What is told.
pub struct Telling<'t> {
    /// What came of it.
    pub outcome: &'t Outcome,
    /// What was counted.
    pub survey: &'t Survey<'t>,
    /// Where.
    pub places: &'t [Place],
    /// What is older was left out.
    pub start: Option<Timestamp>,
    /// What a jail does that says nothing itself.
    pub usual: Option<&'t JailPolicy>,
    /// How times are shown.
    pub clock: &'t Clock,
}

/// `--json`, a contract.
#[derive(Serialize)]
struct Object<'t> {
    #[serde(with = "text::option")]
    since: Option<Timestamp>,
    records: u64,
    logs: Vec<String>,
    filters: Vec<Line<'t>>,
    proposal: Option<String>,
}

#[derive(Serialize)]
struct Line<'t> {
    filter: &'t str,
    title: &'t str,
    needs: &'t str,
    seen: u64,
    lines: u64,
    failures: u64,
    hosts: usize,
    #[serde(with = "text::option")]
    first: Option<Timestamp>,
    #[serde(with = "text::option")]
    last: Option<Timestamp>,
    bans: u64,
    banned: usize,
    examples: Vec<IpAddr>,
    logins: usize,
    jails: Vec<&'t str>,
    counted_by: Vec<&'t str>,
    proposed: Option<Proposed<'t>>,
}

#[derive(Serialize)]
struct Proposed<'t> {
    jail: &'t str,
    maxretry: u32,
    findtime: u64,
    logpath: &'t [String],
    banned: usize,
    reason: Option<String>,
}

impl Telling<'_> {
    /// Prints it.
    ///
    /// # Errors
    /// The output is gone.
    pub fn print(&self, json: bool) -> Result<(), Failure> {
        let proposed = proposal::text(self.outcome, self.survey, self.clock);
        let mut out = match json {
            true => output::bare(),
            false => output::stdout(),
        };
        match json {
            true => self.print_object(&mut out, proposed)?,
            false => self.print_text(&mut out, proposed)?,
        }
        out.flush()?;
        Ok(())
    }

    fn print_object(&self, out: &mut Out, proposal: Option<String>) -> Result<(), Failure> {
        let object = Object {
            since: self.start,
            records: self.survey.looked_at,
            logs: self
                .survey
                .logs()
                .map(|place| place.log.to_string())
                .collect(),
            filters: self.outcome.rows.iter().map(|row| self.line(row)).collect(),
            proposal,
        };
        serde_json::to_writer(&mut *out, &object).map_err(std::io::Error::from)?;
        writeln!(out)?;
        Ok(())
    }

    fn line<'r>(&'r self, row: &'r Row) -> Line<'r> {
        let tally = &self.survey.tallies[row.at];
        let trial = self.survey.trials.usual(row.at);
        Line {
            filter: row.filter.as_str(),
            title: &row.title,
            needs: &row.needs,
            seen: tally.records,
            lines: tally.lines,
            failures: tally.failures,
            hosts: tally.hosts.count().0,
            first: tally.span.map(|(first, _)| first),
            last: tally.span.map(|(_, last)| last),
            bans: trial.bans,
            banned: trial.banned(),
            examples: proposal::examples(row, self.survey),
            logins: self.survey.logins.of_filter(row.at),
            jails: match &row.standing {
                Standing::Covered(jails) => jails.iter().map(|jail| jail.as_str()).collect(),
                _ => Vec::new(),
            },
            counted_by: match &row.standing {
                Standing::Shared(others) => others.iter().map(FilterName::as_str).collect(),
                _ => Vec::new(),
            },
            proposed: match &row.standing {
                Standing::Proposed(proposed) => Some(told(proposed)),
                _ => None,
            },
        }
    }

    fn print_text(&self, out: &mut Out, proposal: Option<String>) -> Result<(), Failure> {
        self.print_logs(out)?;
        self.print_counts(out)?;
        self.print_notes(out)?;
        self.print_idle(out)?;
        match proposal {
            Some(text) => {
                writeln!(out, "\n{HEADING}Proposed configuration{HEADING:#}\n")?;
                write!(out, "{text}")?;
            }
            None if !self.outcome.is_empty() => {
                writeln!(out, "\n{HEADING}There is no jail to propose.{HEADING:#}")?;
            }
            None => {}
        }
        Ok(())
    }

    fn print_logs(&self, out: &mut Out) -> Result<(), Failure> {
        let number = usize::try_from(self.survey.looked_at).unwrap_or(usize::MAX);
        let logs = counted(self.survey.logs().count(), "log");
        let records = counted(number, "record");
        let since = match self.start {
            Some(start) => format!(" since {}", self.clock.show(start)),
            None => String::new(),
        };
        writeln!(out, "{records} of {logs}{since}")?;
        Ok(())
    }

    fn print_counts(&self, out: &mut Out) -> Result<(), Failure> {
        let counting = |row: &&Row| self.survey.tallies[row.at].lines > 0;
        let mut table = Table::new(&[
            "FILTER", "FAILURES", "HOSTS", "BANNED", "LAST", "JAIL", "FOR",
        ]);
        let mut rows = 0;
        for row in self.outcome.rows.iter().filter(counting) {
            let tally = &self.survey.tallies[row.at];
            let (hosts, is_all) = tally.hosts.count();
            let trial = self.survey.trials.usual(row.at);
            let or_more = |number: usize, is_all: bool| match is_all {
                true => number.to_string(),
                false => format!("{number} or more"),
            };
            let [_, last] = proposal::shown_span(tally.span, self.clock);
            table.row([
                row.filter.to_string(),
                tally.failures.to_string(),
                or_more(hosts, is_all),
                or_more(trial.banned(), !trial.is_cut),
                last,
                jail(&row.standing),
                harmless(&row.title),
            ]);
            rows += 1;
        }
        if rows == 0 {
            return Ok(());
        }
        writeln!(out)?;
        table.print(out)?;
        if let Some(usual) = self.usual {
            let (maxretry, findtime) = (usual.maxretry.0, Span(usual.findtime.0));
            let failures = counted(
                usize::try_from(maxretry.get()).unwrap_or(usize::MAX),
                "failure",
            );
            writeln!(
                out,
                "BANNED: hosts that a jail would have banned {}, by {failures} within {findtime}",
                usual.bantime.lasting()
            )?;
        }
        Ok(())
    }

    /// What has to be known of filters that were counted.
    fn print_notes(&self, out: &mut Out) -> Result<(), Failure> {
        let mut notes = Vec::new();
        for row in &self.outcome.rows {
            match &row.standing {
                Standing::Shared(others) => notes.push(format!(
                    "{} is not proposed: nearly all that it takes is counted by {} too, which is more specific.",
                    row.filter,
                    named(others.iter()),
                )),
                Standing::SwitchedOff(jail) => notes.push(format!(
                    "{} has a jail that is switched off: remove enabled = false from [jail.{jail}].",
                    row.filter
                )),
                Standing::Proposed(proposal) if !row.needs.is_empty() => {
                    notes.push(format!("{} needs: {}", proposal.jail, row.needs));
                }
                Standing::Incomplete if self.survey.tallies[row.at].lines == 0 => {}
                Standing::Incomplete => notes.push(format!(
                    "{} is not proposed, since its jail needs more: {}",
                    row.filter, row.needs
                )),
                Standing::Proposed(_) | Standing::Covered(_) | Standing::Idle => {}
            }
        }
        if !notes.is_empty() {
            writeln!(out)?;
        }
        for note in notes {
            writeln!(out, "{}", harmless(&note))?;
        }
        Ok(())
    }

    /// Services that run without a jail, by where that was seen.
    fn print_idle(&self, out: &mut Out) -> Result<(), Failure> {
        let mut idle: BTreeMap<String, Vec<&FilterName>> = BTreeMap::new();
        for row in &self.outcome.rows {
            let is_quiet = self.survey.tallies[row.at].lines == 0;
            let is_proposed = matches!(row.standing, Standing::Proposed(_));
            if !is_quiet || !(is_proposed || matches!(row.standing, Standing::Idle)) {
                continue;
            }
            let seen = self.survey.tallies[row.at].seen_at.iter();
            let place = seen.map(|at| &self.places[*at]).next_back();
            let place = place.map(|place| match &place.path {
                Some(path) => path.display().to_string(),
                None => place.log.to_string(),
            });
            idle.entry(place.unwrap_or_default())
                .or_default()
                .push(&row.filter);
        }
        if idle.is_empty() {
            return Ok(());
        }
        writeln!(
            out,
            "\n{HEADING}Seen, without a jail, and no failure yet{HEADING:#}"
        )?;
        for (place, filters) in idle {
            writeln!(
                out,
                "  {}: {}",
                harmless(&place),
                named(filters.into_iter())
            )?;
        }
        Ok(())
    }
}

/// `a, b and 3 more`
fn named<'n>(names: impl ExactSizeIterator<Item = &'n FilterName>) -> String {
    let more = names.len().saturating_sub(NAMED);
    let shown: Vec<_> = names.take(NAMED).map(FilterName::as_str).collect();
    match more {
        0 => shown.join(", "),
        more => format!("{} and {more} more", shown.join(", ")),
    }
}

/// What is written below JAIL.
fn jail(standing: &Standing) -> String {
    match standing {
        Standing::Covered(jails) => {
            let names: Vec<_> = jails.iter().map(|jail| jail.as_str()).collect();
            names.join(", ")
        }
        Standing::SwitchedOff(_) => "off".to_owned(),
        Standing::Shared(_) | Standing::Incomplete | Standing::Proposed(_) | Standing::Idle => {
            "none".to_owned()
        }
    }
}

fn told(proposal: &Proposal) -> Proposed<'_> {
    Proposed {
        jail: proposal.jail.as_str(),
        maxretry: proposal.thresholds.maxretry.0.get(),
        findtime: proposal.thresholds.findtime.0.as_secs(),
        logpath: &proposal.logpath,
        banned: proposal.banned,
        reason: proposal::reason(proposal),
    }
}
