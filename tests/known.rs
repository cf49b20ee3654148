//! Facts about `filters`, shown by logs that others have annotated: Debian's package fail2ban brings, with its tests, logs
//! of very many services in which each line says whether it tells of a failure, and whose.
//!
//! They are read from there, and none of them is in this tree. Where a filter counts otherwise on purpose,
//! `known/differences.toml` says why, and what it says is shown to be so. One attempt counts once here, so that in what a
//! service ties together, such as the lines of one process of sshd, any line may be the one that counts.

mod annotated;
mod differences;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use f2bd::engine::filter::session::Sessions;
use f2bd::engine::filter::{FilterSet, View};
use f2bd::engine::policy::FilterId;
use f2bd::engine::record::Record;
use f2bd::engine::record::line::{LineForm, LineReader};
use f2bd::engine::time::Timestamp;
use jiff::tz::TimeZone;

use crate::filters;
use crate::support::samples;
use annotated::{Line, Log};
use differences::Difference;
pub use differences::Differences;

/// The least share of annotated failures, in percent, that is counted with the right host; `below` names the services with
/// less.
const LEAST: usize = 98;

/// Where the package has them.
const LOGS: &str = "usr/lib/python3/dist-packages/fail2ban/tests/files/logs";

fn logs() -> Option<PathBuf> {
    let root = samples::root(LOGS)?;
    Some(root.join(LOGS))
}

/// What a filter counts of a line: the host as it was written, and its address.
#[derive(Clone, Debug)]
struct Counted {
    hosts: [String; 2],
}

impl Counted {
    fn is(&self, host: &str) -> bool {
        // Of some nothing is said.
        host.is_empty() || self.hosts.iter().any(|one| one == host)
    }
}

/// What a filter makes of the lines, in their order.
fn count(filter: &str, mode: &str, lines: &[Line]) -> Vec<Option<Counted>> {
    let (spec, _) = filters::filter(filter, mode);
    let filters = FilterSet::compile(vec![spec]).unwrap();
    let zone = TimeZone::get("Europe/Berlin").unwrap();
    let now: Timestamp = "2005-08-14T10:00:00Z".parse().unwrap();
    let mut reader = LineReader::new(&LineForm::in_zone(zone), now);
    let mut sessions = Sessions::default();
    let counted = lines.iter().map(|line| {
        // An entry of a journal is made of the same, but of no line.
        let text = match line.is_journal {
            true => format!("Aug 14 10:00:00 {}", line.text),
            false => line.text.clone(),
        };
        let record = reader.read(text.as_bytes()).ok().flatten()?;
        let record = match line.is_journal {
            true => Record {
                line: b"",
                ..record
            },
            false => record,
        };
        let view = View::from(record);
        let found = filters.find(FilterId(0), &view)?;
        let spec = filters.spec(FilterId(0));
        let counts = sessions.counts(spec, record.host, &found, record.time);
        counts.then(|| Counted {
            hosts: [
                found.host.to_string(),
                found.ip.map(|ip| ip.to_string()).unwrap_or_default(),
            ],
        })
    });
    counted.collect()
}

/// How many annotated failures of a service became what.
#[derive(Clone, Copy, Debug, Default)]
struct Tally {
    failures: usize,
    /// Counted for the right host.
    right: usize,
    /// Another line of the same process, or about the same attempt, counts for the right host.
    tied: usize,
    /// Counted otherwise on purpose.
    meant: usize,
}

impl Tally {
    fn counted(&self) -> usize {
        self.right + self.tied
    }

    fn is_enough(&self) -> bool {
        self.counted() * 100 >= self.failures * LEAST
    }
}

/// Why a line need not count.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Excuse {
    /// Another line about the same attempt counts.
    Tied,
    /// It is no failure to us.
    Meant,
}

/// What is found out about all services.
#[derive(Debug)]
struct Findings {
    differences: Differences,
    tallies: BTreeMap<String, Tally>,
    /// The lines that differ, by what stands in them, see [`Difference::holds`].
    excused: BTreeMap<(String, String), BTreeSet<String>>,
    wrong: String,
}

#[test]
fn what_others_annotated_is_counted() {
    let Some(folder) = logs() else { return };
    let mut findings = Findings {
        differences: Differences::read(),
        tallies: BTreeMap::new(),
        excused: BTreeMap::new(),
        wrong: String::new(),
    };
    for name in filters::names() {
        findings.add(&folder, &name);
    }
    eprintln!(
        "service: failures counted for the right host + those of which another line counts / of all; differing on purpose"
    );
    for (name, tally) in &findings.tallies {
        let Tally {
            failures,
            right,
            tied,
            meant,
        } = tally;
        eprintln!("{name}: {right} + {tied} / {failures}; {meant}");
    }
    let tallies = findings.tallies.len();
    assert!(tallies > 80, "there are logs of {tallies} services");
    findings.hold_against_list();
    assert!(findings.wrong.is_empty(), "{}", findings.wrong);
}

impl Findings {
    fn tell(&mut self, what: &str) {
        writeln!(self.wrong, "{what}").unwrap();
    }

    /// Reads the logs of a service, if there are any.
    fn add(&mut self, folder: &Path, name: &str) {
        if filters::filter(name, "normal").0.records.bans {
            return;
        }
        let Some(logs) = annotated::read(folder, name, &filters::modes(name)) else {
            return;
        };
        self.tallies.insert(name.to_owned(), Tally::default());
        for log in logs {
            self.compare(name, &log);
        }
    }

    /// Holds what is counted of a log against what is said of its lines.
    fn compare(&mut self, name: &str, log: &Log) {
        let counted = count(name, &log.mode, &log.lines);
        let ties = filters::filter(name, "normal").0.session_by_pid;
        let process = |line: &Line| line.process().filter(|_| ties).map(str::to_owned);
        let lines = || log.lines.iter().zip(&counted);
        let mut by_process: BTreeSet<(String, String)> = BTreeSet::new();
        let mut wanted: BTreeSet<(String, String)> = BTreeSet::new();
        for (line, counted) in lines() {
            let Some(process) = process(line) else {
                continue;
            };
            let hosts = counted.iter().flat_map(|one| &one.hosts);
            by_process.extend(hosts.map(|host| (process.clone(), host.clone())));
            wanted.extend(
                line.failure()
                    .map(|host| (process.clone(), host.to_owned())),
            );
        }
        for (line, counted) in lines().filter(|(line, _)| !line.depends()) {
            let is_tied = |to: &BTreeSet<(String, String)>, host: &str| {
                let process = process(line);
                process.is_some_and(|process| to.contains(&(process, host.to_owned())))
            };
            let Some(host) = line.failure() else {
                if let Some(Counted { hosts: [host, _] }) = counted
                    && !is_tied(&wanted, host)
                {
                    self.tell(&format!("{}: {host:?} is no failure", line.place));
                }
                continue;
            };
            let is_right = counted.as_ref().is_some_and(|one| one.is(host));
            let is_tied = is_tied(&by_process, host);
            let excuse = match is_right || is_tied {
                true => None,
                false => self.excuse(name, log, line, host, counted),
            };
            let tally = self.tallies.entry(name.to_owned()).or_default();
            tally.failures += 1;
            tally.right += usize::from(is_right);
            tally.tied += usize::from(!is_right && is_tied || excuse == Some(Excuse::Tied));
            tally.meant += usize::from(excuse == Some(Excuse::Meant));
        }
    }

    /// Why this line is counted otherwise, if the list says it and is right.
    fn excuse(
        &mut self,
        name: &str,
        log: &Log,
        line: &Line,
        host: &str,
        counted: &Option<Counted>,
    ) -> Option<Excuse> {
        let got = counted.as_ref().map(|counted| &counted.hosts[0]);
        let Some(difference) = self.differences.find(name, &line.text) else {
            self.tell(&format!("{}: {got:?} should be {host:?}", line.place));
            return None;
        };
        eprintln!(
            "{}: {got:?} instead of {host}: {}",
            line.place, difference.why
        );
        let untrue = untrue(difference, log, line, host, got);
        let excuse = match difference.by {
            Some(_) => Excuse::Tied,
            None => Excuse::Meant,
        };
        let key = (name.to_owned(), difference.holds.clone());
        self.excused
            .entry(key)
            .or_default()
            .insert(line.place.clone());
        match untrue {
            None => Some(excuse),
            Some(untrue) => {
                self.tell(&format!("{}: {untrue}", line.place));
                None
            }
        }
    }

    /// The list is of these lines and services, and of no others.
    fn hold_against_list(&mut self) {
        let list = std::mem::replace(&mut self.differences, Differences::parse("difference = []"));
        for one in &list.difference {
            let key = (one.service.clone(), one.holds.clone());
            let lines = self.excused.get(&key).map_or(0, BTreeSet::len);
            if lines == 0 || lines != one.lines {
                self.tell(&format!(
                    "{}: {lines} lines with {:?} differ, not {}",
                    one.service, one.holds, one.lines
                ));
            }
        }
        for (name, tally) in self.tallies.clone() {
            let counted = format!("{}/{}", tally.counted(), tally.failures);
            let listed = list.below.get(&name);
            if listed != Some(&counted).filter(|_| !tally.is_enough()) {
                self.tell(&format!(
                    "{name}: {counted} are counted, the list says {listed:?}"
                ));
            }
        }
        for name in list.below.keys() {
            if !self.tallies.contains_key(name) {
                self.tell(&format!("{name}: there are no logs"));
            }
        }
    }
}

/// What a difference says of a line that is not so.
fn untrue(
    difference: &Difference,
    log: &Log,
    line: &Line,
    host: &str,
    got: Option<&String>,
) -> Option<String> {
    let Difference {
        service,
        why,
        mode,
        filter,
        by,
        next,
        blames,
        ..
    } = difference;
    if got != blames.as_ref() {
        return Some(format!("{got:?} counts, not {blames:?}"));
    }
    let at = log.lines.iter().position(|one| one.place == line.place);
    let counts = |filter: &str, mode: &str| {
        let counted = count(filter, mode, &log.lines);
        at.and_then(|at| counted[at].clone())
            .is_some_and(|counted| counted.is(host))
    };
    let told = mode.as_ref().map(|mode| format!("counted in mode {mode}"));
    if why.contains("counted in mode") && !told.is_some_and(|told| why.contains(&told)) {
        return Some("the mode in which it counts is not named".to_owned());
    }
    if let Some(mode) = mode
        && !counts(service, mode)
    {
        return Some(format!("it does not count in mode {mode}"));
    }
    if let Some(filter) = filter
        && !counts(filter, "normal")
    {
        return Some(format!("the filter {filter} does not count it"));
    }
    if let Some(by) = by {
        let counted = count(service, &log.mode, &log.lines);
        let mut next = log
            .lines
            .iter()
            .zip(counted)
            .skip(at.unwrap_or_default() + 1);
        let counts = next.next().is_some_and(|(other, counted)| {
            other.text.contains(by) && counted.is_some_and(|counted| counted.is(host))
        });
        if !counts {
            return Some(format!("no next line with {by:?} counts for {host}"));
        }
    }
    if let Some(next) = next {
        // A name is told in place of an address.
        let address = if host.bytes().any(|byte| byte.is_ascii_lowercase()) && !host.contains(':') {
            "192.0.2.7"
        } else {
            host
        };
        let next = line.with_message(&next.replace("{host}", address));
        let counted = count(service, &log.mode, &[line.clone(), next]);
        if !matches!(&counted[..], [None, Some(counted)] if counted.is(address)) {
            return Some(format!("with its next line it counts as {counted:?}"));
        }
    }
    None
}
