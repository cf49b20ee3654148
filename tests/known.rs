//! Facts about `filters`, shown by logs that others have annotated: Debian's package fail2ban brings, with its tests, logs
//! of very many services in which each line says whether it tells of a failure, and whose.
//!
//! They are read from there, and none of them is in this tree. Where a filter counts otherwise on purpose,
//! `known/differences.toml` says why. One attempt counts once here, so that in what a service ties together, such as the
//! lines of one process of sshd, any line may be the one that counts.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::path::PathBuf;

use f2bd::engine::filter::session::Sessions;
use f2bd::engine::filter::{FilterSet, View};
use f2bd::engine::policy::FilterId;
use f2bd::engine::record::line::{LineForm, LineReader};
use f2bd::engine::time::Timestamp;
use jiff::tz::TimeZone;
use serde::Deserialize;

use crate::filters;
use crate::support::samples;

/// The least share of annotated failures, in percent, that is counted with the right host or differs on purpose.
const LEAST: usize = 98;

/// Where the package has them.
const LOGS: &str = "usr/lib/python3/dist-packages/fail2ban/tests/files/logs";

fn logs() -> Option<PathBuf> {
    let root = samples::root(LOGS)?;
    Some(root.join(LOGS))
}

/// What is said of the line that follows.
#[derive(Clone, Debug, Deserialize)]
struct Said {
    #[serde(rename = "match", default = "yes")]
    is_failure: bool,
    #[serde(default)]
    host: String,
    /// Of which settings that is said, in a language that is not read here.
    constraint: Option<String>,
}

fn yes() -> bool {
    true
}

/// With which settings the lines that follow are read.
#[derive(Clone, Debug, Default, Deserialize)]
struct Settings {
    #[serde(default)]
    mode: String,
    /// What stands before each line.
    #[serde(rename = "test.prefix-line", default)]
    prefix: String,
}

/// A line, and what is said of it; of some nothing is said, and these are no failures.
#[derive(Clone, Debug)]
struct Line {
    number: usize,
    text: String,
    said: Option<Said>,
}

/// The lines of one log, by the mode in which they are read.
fn read(text: &str) -> BTreeMap<String, Vec<Line>> {
    let mut by_mode: BTreeMap<_, Vec<_>> = BTreeMap::new();
    let (mut settings, mut said) = (vec![Settings::default()], None);
    for (line, number) in text.lines().zip(1..) {
        let directive = |name: &str| {
            let rest = line.trim_start_matches('#').trim_start();
            let rest = rest.strip_prefix(name)?.strip_prefix(':')?;
            line.starts_with('#').then_some(rest)
        };
        if let Some(json) = directive("failJSON") {
            said = Some(serde_json::from_str::<Said>(json).unwrap());
        } else if let Some(json) = directive("filterOptions") {
            settings = serde_json::from_str(json)
                .or_else(|_| serde_json::from_str(json).map(|one| vec![one]))
                .unwrap();
        } else if !line.starts_with('#') && !line.trim().is_empty() {
            let said = said.take();
            for settings in &settings {
                by_mode
                    .entry(settings.mode.clone())
                    .or_default()
                    .push(Line {
                        number,
                        text: format!("{}{line}", settings.prefix),
                        said: said.clone(),
                    });
            }
        }
    }
    by_mode
}

/// What a filter counts of a line.
#[derive(Clone, Debug)]
struct Counted {
    hosts: [String; 2],
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
        let record = reader.read(line.text.as_bytes()).ok().flatten()?;
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

/// What ties a line to others: its process, where the filter goes by that.
fn session(line: &str) -> Option<&str> {
    let (_, rest) = line.split_once('[')?;
    let (pid, rest) = rest.split_once(']')?;
    let is_number = !pid.is_empty() && pid.bytes().all(|byte| byte.is_ascii_digit());
    (is_number && rest.starts_with(':')).then_some(pid)
}

/// A difference that is meant.
#[derive(Debug, Deserialize)]
struct Difference {
    service: String,
    /// What stands in the lines.
    holds: String,
    /// For the reader of the list.
    why: String,
}

/// All of them.
#[derive(Debug, Deserialize)]
pub struct Differences {
    difference: Vec<Difference>,
}

impl Differences {
    /// The list.
    pub fn read() -> Differences {
        toml::from_str(include_str!("known/differences.toml")).unwrap()
    }

    /// The same, and those of another list.
    pub fn and(mut self, list: &str) -> Differences {
        let others: Differences = toml::from_str(list).unwrap();
        self.difference.extend(others.difference);
        self
    }

    /// Why some filter counts this line otherwise.
    pub fn whys<'d>(&'d self, line: &'d str) -> impl Iterator<Item = &'d str> {
        let all = self.difference.iter();
        let all = all.filter(move |one| line.contains(&one.holds));
        all.map(|one| one.why.as_str())
    }

    /// Why a filter counts this line otherwise, if that is meant.
    pub fn why(&self, service: &str, line: &str) -> Option<&str> {
        let mut of_service = self.difference.iter().filter(|one| one.service == service);
        let found = of_service.find(|one| line.contains(&one.holds));
        found.map(|one| one.why.as_str())
    }
}

#[derive(Clone, Copy, Debug, Default)]
struct Tally {
    failures: usize,
    right: usize,
    meant: usize,
    others: usize,
}

#[test]
fn what_others_annotated_is_counted() {
    let Some(folder) = logs() else { return };
    let differences = Differences::read();
    let mut unmeant = String::new();
    let mut tallies = BTreeMap::new();
    for name in filters::names() {
        let reads_no_log = filters::filter(&name, "normal").0.records.bans;
        let Some(bytes) = fs::read(folder.join(&name)).ok().filter(|_| !reads_no_log) else {
            continue;
        };
        let tally: &mut Tally = tallies.entry(name.clone()).or_default();
        let own = filters::modes(&name);
        for (mode, lines) in read(&String::from_utf8_lossy(&bytes)) {
            let mode = own
                .iter()
                .find(|own| **own == mode)
                .map_or("normal", String::as_str);
            let counted = count(&name, mode, &lines);
            compare(&name, &lines, &counted, &differences, tally, &mut unmeant);
        }
    }
    eprintln!(
        "service: failures counted as annotated / differing on purpose / of all; others counted by mistake"
    );
    for (name, tally) in &tallies {
        let Tally {
            failures,
            right,
            meant,
            others,
        } = tally;
        eprintln!("{name}: {right} / {meant} / {failures}; {others}");
    }
    let bad = tallies.iter().filter(|(_, tally)| {
        (tally.right + tally.meant) * 100 < tally.failures * LEAST || tally.others > 0
    });
    let bad: Vec<_> = bad.map(|(name, _)| name).collect();
    assert!(bad.is_empty(), "{bad:?} differ:\n{unmeant}");
    assert!(
        tallies.len() > 80,
        "there are logs of {} services",
        tallies.len()
    );
}

fn compare(
    name: &str,
    lines: &[Line],
    counted: &[Option<Counted>],
    differences: &Differences,
    tally: &mut Tally,
    unmeant: &mut String,
) {
    let ties = filters::filter(name, "normal").0.session_by_pid;
    let session = |line: &Line| session(&line.text).filter(|_| ties).map(str::to_owned);
    let mut of_sessions: BTreeMap<String, Vec<String>> = BTreeMap::new();
    let mut wanted: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for (line, counted) in lines.iter().zip(counted) {
        let Some(session) = session(line) else {
            continue;
        };
        if let Some(counted) = counted {
            of_sessions
                .entry(session.clone())
                .or_default()
                .extend(counted.hosts.clone());
        }
        if let Some(said) = line.said.as_ref().filter(|said| said.is_failure) {
            wanted.entry(session).or_default().push(said.host.clone());
        }
    }
    let is_meant = |line: &Line| differences.why(name, &line.text).is_some();
    for (line, counted) in lines.iter().zip(counted) {
        let by_session = |hosts: &BTreeMap<String, Vec<String>>, host: &str| {
            let hosts = session(line).and_then(|session| hosts.get(&session));
            hosts.is_some_and(|hosts| hosts.iter().any(|one| one == host))
        };
        match &line.said {
            Some(Said {
                constraint: Some(_),
                ..
            }) => {}
            Some(said) if said.is_failure => {
                tally.failures += 1;
                let is_right = counted
                    .as_ref()
                    .is_some_and(|one| one.hosts.contains(&said.host));
                if is_right || by_session(&of_sessions, &said.host) {
                    tally.right += 1;
                } else if is_meant(line) {
                    tally.meant += 1;
                } else {
                    let got = counted.as_ref().map(|counted| &counted.hosts[0]);
                    let _ = writeln!(
                        unmeant,
                        "{name}:{}: {:?} should be {:?}",
                        line.number, got, said.host
                    );
                }
            }
            _ => {
                if let Some(counted) = counted
                    && !by_session(&wanted, &counted.hosts[0])
                    && !is_meant(line)
                {
                    tally.others += 1;
                    let _ = writeln!(
                        unmeant,
                        "{name}:{}: {:?} is no failure",
                        line.number, counted.hosts[0]
                    );
                }
            }
        }
    }
}
