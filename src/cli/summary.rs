//! What came of all lines?
//!
//! In: what each line was found to be. Out: a summary for people, or one object for programs: how often each pattern took
//! a line, who failed most, how much was missed.

use std::io::Write;
use std::net::IpAddr;

use serde::Serialize;
use serde::ser::{SerializeSeq, Serializer};

use super::failure::Failure;
use super::hosts::{Host, Hosts, Tally};
use super::output::{Clock, HEADING, Out, Table, counted, harmless};
use crate::control::text;
use crate::engine::filter::{FilterSet, FilterSpec, Found};
use crate::engine::policy::FilterId;
use crate::engine::time::Timestamp;

/// How many hosts are shown to people.
const SHOWN_HOSTS: usize = 20;

/// How much of a pattern is shown in a table, in letters; all of it where patterns are explained.
const SHOWN_PATTERN: usize = 80;

/// How often a pattern took something.
#[derive(Clone, Copy, Debug, Default)]
struct Taken {
    lines: u64,
    failures: u64,
}

/// What came of all lines.
#[derive(Debug)]
pub struct Summary {
    /// The logs with the number of their lines, in the order in which they were read.
    logs: Vec<(String, u64)>,
    lines: u64,
    counted: u64,
    missed: u64,
    /// By filter and number of the pattern.
    patterns: Vec<Vec<Taken>>,
    hosts: Hosts,
}

impl Summary {
    /// Of lines that are matched with so many filters.
    pub fn of(filters: usize) -> Self {
        Summary {
            logs: Vec::new(),
            lines: 0,
            counted: 0,
            missed: 0,
            patterns: vec![Vec::new(); filters],
            hosts: Hosts::default(),
        }
    }

    /// From here on lines are of this log.
    pub fn begin(&mut self, log: &str) {
        self.logs.push((log.to_owned(), 0));
    }

    /// So many lines were read.
    pub fn read(&mut self, number: u64) {
        self.lines += number;
        if let Some((_, lines)) = self.logs.last_mut() {
            *lines += number;
        }
    }

    /// A pattern of this filter took it; `counts` if it makes a failure.
    pub fn take(&mut self, filter: FilterId, found: &Found<'_>, time: Timestamp, counts: bool) {
        if let Some(patterns) = self.patterns.get_mut(usize::from(filter.0)) {
            let number = usize::from(found.pattern);
            if patterns.len() <= number {
                patterns.resize(number + 1, Taken::default());
            }
            patterns[number].lines += 1;
            patterns[number].failures += u64::from(counts);
        }
        if counts {
            self.counted += 1;
            self.hosts.add(found, time);
        }
    }

    /// So many of them no pattern took.
    pub fn miss(&mut self, number: u64) {
        self.missed += number;
    }

    /// How many lines were read.
    pub fn lines(&self) -> u64 {
        self.lines
    }

    /// How many failures they were.
    pub fn counted(&self) -> u64 {
        self.counted
    }

    /// The patterns of all filters, in order; `None` stands for reports, which need none.
    fn taken<'f>(
        &self,
        filters: &'f FilterSet,
    ) -> impl Iterator<Item = (&'f FilterSpec, u16, Option<String>, Taken)> {
        let ids = (0..).map(FilterId).zip(&self.patterns);
        ids.flat_map(move |(id, taken)| {
            let spec = filters.spec(id);
            let taken = move |number: u16| {
                let taken = taken.get(usize::from(number));
                taken.copied().unwrap_or_default()
            };
            let reports = spec.records.reports.then(|| (spec, 0, None, taken(0)));
            let patterns = spec.failures.iter().map(move |pattern| {
                let (number, text) = (pattern.number, pattern.to_string());
                (spec, number, Some(text), taken(number))
            });
            reports.into_iter().chain(patterns)
        })
    }

    /// Prints it for people; all of all patterns if it is to `explain`.
    ///
    /// # Errors
    /// The output is gone.
    pub fn print(
        &self,
        out: &mut Out,
        filters: &FilterSet,
        clock: &Clock,
        explain: bool,
    ) -> Result<(), Failure> {
        if self.logs.len() > 1 {
            let mut table = Table::new(&["Lines", "Log"]);
            for (log, lines) in &self.logs {
                table.row([lines.to_string(), harmless(log)]);
            }
            table.print(out)?;
            writeln!(out)?;
        }
        let mut table = Table::new(&["Failures", "Lines", "Filter", "Pattern", ""]);
        let (mut shown, mut idle) = (0, 0);
        for (spec, number, text, taken) in self.taken(filters) {
            if taken.lines == 0 && !explain {
                idle += 1;
                continue;
            }
            shown += 1;
            let text = text.unwrap_or_else(|| "reports".to_owned());
            table.row([
                taken.failures.to_string(),
                taken.lines.to_string(),
                spec.name.to_string(),
                number.to_string(),
                if explain { text } else { short(&text) },
            ]);
        }
        if shown > 0 {
            table.print(out)?;
            if idle > 0 {
                let patterns = counted(idle, "pattern");
                writeln!(out, "{patterns} more took no line (--explain shows all)")?;
            }
            writeln!(out)?;
        }
        self.print_hosts(out, clock)?;
        self.print_sums(out)
    }

    fn print_hosts(&self, out: &mut Out, clock: &Clock) -> Result<(), Failure> {
        let hosts = self.hosts.sorted();
        let (shown, others) = hosts.split_at(hosts.len().min(SHOWN_HOSTS));
        if shown.is_empty() {
            return Ok(());
        }
        let mut table = Table::new(&["Failures", "Host", "First", "Last"]);
        for (host, tally) in shown {
            table.row([
                tally.failures().to_string(),
                match host {
                    Host::Address(ip) => ip.to_string(),
                    Host::Name(name) => harmless(name),
                },
                clock.show(tally.first()),
                clock.show(tally.last()),
            ]);
        }
        table.print(out)?;
        let failures = |number| counted(usize::try_from(number).unwrap_or(usize::MAX), "failure");
        if !others.is_empty() {
            let sum = others.iter().map(|(_, tally)| tally.failures()).sum();
            let hosts = counted(others.len(), "host");
            writeln!(out, "{hosts} more with {}", failures(sum))?;
        }
        if self.hosts.forgotten() > 0 {
            let forgotten = failures(self.hosts.forgotten());
            writeln!(
                out,
                "there were too many hosts: {forgotten} of those with the fewest are not in this table"
            )?;
        }
        writeln!(out)?;
        Ok(())
    }

    /// Prints only how many lines were what.
    ///
    /// # Errors
    /// The output is gone.
    pub fn print_sums(&self, out: &mut Out) -> Result<(), Failure> {
        let lines = counted(usize::try_from(self.lines).unwrap_or(usize::MAX), "line");
        writeln!(
            out,
            "{HEADING}{lines}: {} counted, {} missed{HEADING:#}",
            self.counted, self.missed
        )?;
        Ok(())
    }

    /// Prints it for programs.
    ///
    /// # Errors
    /// The output is gone.
    pub fn print_object(&self, out: &mut Out, filters: &FilterSet) -> Result<(), Failure> {
        let logs = self.logs.iter();
        let object = Object {
            lines: self.lines,
            counted: self.counted,
            missed: self.missed,
            logs: logs
                .map(|(log, lines)| LogRow { log, lines: *lines })
                .collect(),
            patterns: self
                .taken(filters)
                .map(|(spec, pattern, text, taken)| PatternRow {
                    filter: spec.name.as_str(),
                    pattern,
                    text,
                    lines: taken.lines,
                    failures: taken.failures,
                })
                .collect(),
            hosts: &self.hosts,
            forgotten: self.hosts.forgotten(),
        };
        serde_json::to_writer(&mut *out, &object).map_err(std::io::Error::from)?;
        writeln!(out)?;
        Ok(())
    }
}

/// The beginning of a pattern.
fn short(text: &str) -> String {
    match text.char_indices().nth(SHOWN_PATTERN) {
        Some((end, _)) => format!("{}...", &text[..end]),
        None => text.to_owned(),
    }
}

/// `--summary --json`, a contract.
#[derive(Serialize)]
struct Object<'s> {
    lines: u64,
    counted: u64,
    missed: u64,
    logs: Vec<LogRow<'s>>,
    patterns: Vec<PatternRow<'s>>,
    #[serde(serialize_with = "rows")]
    hosts: &'s Hosts,
    forgotten: u64,
}

#[derive(Serialize)]
struct LogRow<'s> {
    log: &'s str,
    lines: u64,
}

#[derive(Serialize)]
struct PatternRow<'s> {
    filter: &'s str,
    pattern: u16,
    text: Option<String>,
    lines: u64,
    failures: u64,
}

#[derive(Serialize)]
struct HostRow<'s> {
    ip: Option<IpAddr>,
    host: &'s str,
    failures: u64,
    #[serde(with = "text")]
    first: Timestamp,
    #[serde(with = "text")]
    last: Timestamp,
}

/// Writes one host after the other: there may be many.
fn rows<S: Serializer>(hosts: &&Hosts, serializer: S) -> Result<S::Ok, S::Error> {
    let hosts = hosts.sorted();
    let mut rows = serializer.serialize_seq(Some(hosts.len()))?;
    for (host, tally) in &hosts {
        rows.serialize_element(&row(host, tally, &mut String::new()))?;
    }
    rows.end()
}

fn row<'r>(host: &Host<'r>, tally: &Tally, address: &'r mut String) -> HostRow<'r> {
    let (ip, host) = match host {
        Host::Name(name) => (None, *name),
        Host::Address(ip) => {
            *address = ip.to_string();
            (Some(*ip), &**address)
        }
    };
    HostRow {
        ip,
        host,
        failures: tally.failures(),
        first: tally.first(),
        last: tally.last(),
    }
}
