//! Facts about `filters`, shown by logs that others have annotated: Debian's package fail2ban brings, with its tests, logs
//! of very many services in which each line says whether it tells of a failure, and whose.
//!
//! They are read from there, and none of them is in this tree. Where a filter counts otherwise on purpose,
//! `known/differences.toml` says why, and what it says is shown to be so. One attempt counts once here, so that in what a
//! service ties together, such as the lines of one process of sshd, any line may be the one that counts.

mod annotated;
mod counting;
mod differences;
mod truth;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::path::PathBuf;

use crate::filters;
use crate::support::samples;
use annotated::{Line, Log};
use counting::{Counted, count};
pub use differences::Differences;
use truth::untrue;

/// The least share of annotated failures, in percent, that is counted with the right host; `below` names the services with
/// less.
const LEAST: usize = 98;

/// Where the package has them.
const LOGS: &str = "usr/lib/python3/dist-packages/fail2ban/tests/files/logs";

/// The mode of our filter in which a line is read that is annotated for this one. A mode that ours lacks is the normal one,
/// and of those with the same patterns it is the first, so that nothing counts twice.
fn ours(name: &str, said: &str) -> String {
    let modes = filters::modes(name);
    let mode = modes.iter().find(|mode| *mode == said);
    let mode = mode.map_or("normal", String::as_str);
    let patterns = |mode: &str| -> Vec<u16> {
        let (spec, _) = filters::filter(name, mode);
        let patterns = spec.failures.iter().chain(&spec.ignores);
        patterns.map(|pattern| pattern.number).collect()
    };
    let all = std::iter::once("normal").chain(modes.iter().map(String::as_str));
    let mut same = all.filter(|other| patterns(other) == patterns(mode));
    same.next().unwrap_or(mode).to_owned()
}

/// Where it has the filters of which the annotations are.
const FILTERS: &str = "etc/fail2ban/filter.d";

fn logs() -> Option<[PathBuf; 2]> {
    let root = samples::root(LOGS)?;
    Some([LOGS, FILTERS].map(|folder| root.join(folder)))
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
    /// Of these: what the service writes next, behind the end of the sample, counts for the right host.
    next: usize,
}

impl Tally {
    fn counted(&self) -> usize {
        self.right + self.tied
    }

    fn is_enough(&self) -> bool {
        self.counted() * 100 >= self.failures * LEAST
    }

    /// As it is listed where it is not enough.
    fn listed(&self) -> String {
        let counted = format!("{}/{}", self.counted(), self.failures);
        match self.next {
            0 => counted,
            next => format!("{counted}, {next} by the next line"),
        }
    }
}

/// Why a line need not count.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Excuse {
    /// Another line about the same attempt counts.
    Tied,
    /// It is no failure to us, but the line that comes next is.
    Next,
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
    let Some(folders) = logs() else { return };
    let mut findings = Findings {
        differences: Differences::read(),
        tallies: BTreeMap::new(),
        excused: BTreeMap::new(),
        wrong: String::new(),
    };
    for name in filters::names() {
        findings.add(&folders, &name);
    }
    eprintln!(
        "service: failures counted for the right host + those of which another line counts / of all; differing on \
         purpose, of these counted by what comes next"
    );
    for (name, tally) in &findings.tallies {
        let Tally {
            failures,
            right,
            tied,
            meant,
            next,
        } = tally;
        eprintln!("{name}: {right} + {tied} / {failures}; {meant}, {next}");
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
    fn add(&mut self, [logs, filters]: &[PathBuf; 2], name: &str) {
        if filters::filter(name, "normal").0.records.bans {
            return;
        }
        let usual = annotated::usual_mode(filters, name);
        let mode = |said: &str| ours(name, if said.is_empty() { &usual } else { said });
        let Some(logs) = annotated::read(logs, name, mode) else {
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
                if let Some(Counted {
                    hosts: [host, _], ..
                }) = counted
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
            tally.meant += usize::from(matches!(excuse, Some(Excuse::Meant | Excuse::Next)));
            tally.next += usize::from(excuse == Some(Excuse::Next));
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
        let excuse = match (&difference.by, &difference.next) {
            (Some(_), _) => Excuse::Tied,
            (None, Some(_)) => Excuse::Next,
            (None, None) => Excuse::Meant,
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
            let counted = tally.listed();
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
