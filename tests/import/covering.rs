//! Where import has a filter of ours take the place of one of Fail2ban's, ours takes every line that Fail2ban's takes, and blames
//! the same address: shown by all of Fail2ban's annotated logs and by all samples of ours, also with each word that its patterns
//! have for another one of the line. It may take more. Lines that it leaves
//! on purpose are those of `known/differences.toml` and `differences.toml`, and those of our samples, which prove it.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

use f2bd::config::Problems;
use f2bd::config::fail2ban::expression::Hosts;
use f2bd::config::fail2ban::filter::{self, Reading};
use f2bd::config::fail2ban::import::covered::{Covered, Row, digest};
use f2bd::config::fail2ban::jail::{Started, State};
use f2bd::config::fail2ban::{Tree, VERSION};
use f2bd::config::filter::FilterFile;
use f2bd::config::toml_text::literal;
use f2bd::engine::filter::sample::Expect;
use f2bd::engine::filter::{FilterSet, FilterSpec, LineMemory, View};
use f2bd::engine::policy::FilterId;
use f2bd::engine::record::Record;
use f2bd::engine::record::line::{LineForm, LineReader};
use f2bd::engine::time::Timestamp;
use jiff::tz::TimeZone;

use super::alternatives;
use super::directory::LOGS;
use crate::filters;
use crate::known::Differences;
use crate::support::samples;

/// The modes that filters of Fail2ban's have.
const MODES: [&str; 8] = [
    "normal",
    "aggressive",
    "ddos",
    "extra",
    "auth",
    "more",
    "errors",
    "rbl",
];

/// What ours covers, but counts what Fail2ban has other jails for: an attacker would be banned in both.
const WIDER: [&str; 1] = ["postfix"];

/// Of lines with other words, and of other programs, those that none writes whom the filter reads, by the filter and what they
/// hold: PAM names each field once, and a request in traefik's log has no blank in its path.
const UNREAL: [(&str, &str); 2] = [
    ("pam-generic", "uid= uid=0"),
    ("traefik-auth", r"\x22 200 1 HTTP"),
];

/// Of so many lines that one of Fail2ban's takes ours may leave one on purpose, and for so many reasons: what differs more is not
/// the same filter.
const LARGEST_PART: usize = 3;
const MOST_REASONS: usize = 2;

/// One of Fail2ban's, and the one of ours that may cover it.
struct Candidate {
    stock: String,
    ours: String,
    mode: Option<String>,
    /// By what it is known, and what it is, for log files and for a journal.
    known: Vec<String>,
    specs: Vec<FilterSpec>,
    /// What else may stand in its lines, see `alternatives`.
    alternations: Vec<Vec<String>>,
    /// Lines that it takes.
    taken: usize,
    /// Those of them that ours does not take.
    missed: BTreeSet<String>,
    /// The lines that it takes, with other words.
    variants: BTreeSet<String>,
    /// How many others it does not take on purpose, and why.
    left: usize,
    differs: BTreeSet<String>,
    /// Which differences those are: the service, and what its lines hold.
    used: BTreeSet<(String, String)>,
}

impl Candidate {
    fn row(&self) -> String {
        let mode = self.mode.as_ref();
        let mode = mode.map_or(String::new(), |mode| format!("mode = \"{mode}\"\n"));
        let differs: String = self
            .differs
            .iter()
            .map(|why| format!("    {},\n", literal(why)))
            .collect();
        let differs = match differs.is_empty() {
            true => String::new(),
            false => format!("differs = [\n{differs}]\n"),
        };
        format!(
            "[[filter]]\nstock = \"{}\"\nuse = \"{}\"\n{mode}known = {:?}\n{differs}\n",
            self.stock, self.ours, self.known
        )
    }
}

/// All filters of Fail2ban's in all modes that have a name of ours, each mode that differs once.
fn candidates(root: &Path) -> Vec<Candidate> {
    let folder = tempfile::tempdir().unwrap();
    let stock = root.join("etc/fail2ban/filter.d");
    std::os::unix::fs::symlink(&stock, folder.path().join("filter.d")).unwrap();
    let own = filters::names();
    let mut named = Vec::new();
    for entry in fs::read_dir(&stock).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_stem().unwrap().to_str().unwrap().to_owned();
        let reads_no_log = || filters::filter(&name, "normal").0.records.bans;
        if path.extension().is_some_and(|ending| ending == "conf")
            && own.contains(&name)
            && !reads_no_log()
        {
            named.push((name.clone(), None));
            let text = fs::read_to_string(&path).unwrap();
            let keys = || text.lines().filter_map(|line| line.split_once('='));
            let has = |mode: &&&str| {
                let end = format!("-{mode}");
                keys().any(|(key, _)| key.trim_end().ends_with(&end))
            };
            let modes = MODES.iter().filter(has);
            let modes = modes.map(|mode| (name.clone(), Some(*mode)));
            named.extend(modes);
        }
    }
    named.sort();
    let mut text = String::new();
    for (number, (name, mode)) in named.iter().enumerate() {
        let brackets = mode.map_or(String::new(), |mode| format!("[mode={mode}]"));
        for backend in ["polling", "systemd"] {
            write!(
                text,
                "[x{number}-{backend}]\nenabled = true\nbackend = {backend}\nfilter = {name}{brackets}\n"
            )
            .unwrap();
        }
    }
    fs::write(folder.path().join("jail.conf"), text).unwrap();
    let tree = Tree::read(folder.path(), VERSION, &mut Problems::default()).unwrap();
    let jails: BTreeMap<_, _> = tree
        .jails
        .iter()
        .map(|jail| (jail.name.as_str(), &jail.state))
        .collect();
    let mut seen = BTreeSet::new();
    let mut candidates = Vec::new();
    for (number, (name, mode)) in named.iter().enumerate() {
        let of = |backend| spec(jails[format!("x{number}-{backend}").as_str()], name);
        let (Some((file_digest, file, alternations)), Some((journal_digest, journal, _))) =
            (of("polling"), of("systemd"))
        else {
            continue;
        };
        if !seen.insert(file_digest.clone()) {
            continue;
        }
        let mut known = vec![file_digest];
        let mut specs = vec![file];
        if !known.contains(&journal_digest) {
            known.push(journal_digest);
            specs.push(journal);
        }
        let modes = filters::modes(name);
        let mode = mode
            .map(str::to_owned)
            .filter(|mode| mode != "normal" && modes.contains(mode));
        candidates.push(Candidate {
            stock: tree_name(name, named[number].1),
            ours: name.clone(),
            mode,
            known,
            specs,
            alternations,
            taken: 0,
            missed: BTreeSet::new(),
            variants: BTreeSet::new(),
            left: 0,
            differs: BTreeSet::new(),
            used: BTreeSet::new(),
        });
    }
    candidates
}

fn tree_name(name: &str, mode: Option<&str>) -> String {
    mode.map_or(name.to_owned(), |mode| format!("{name}[mode={mode}]"))
}

/// What a jail has to say of its filter; nothing if that cannot be used, as in a mode that it does not have.
fn spec(state: &State, name: &str) -> Option<(String, FilterSpec, Vec<Vec<String>>)> {
    let State::On(started) = state else {
        return None;
    };
    let started: &Started = started;
    let reading = Reading {
        hosts: Hosts::Named,
        zone: TimeZone::UTC,
    };
    let options = started.filter_options();
    let file = filter::file(
        name.parse().unwrap(),
        &options,
        &reading,
        &mut Problems::default(),
    )?;
    let spec = FilterFile::from(file).spec("normal");
    FilterSet::compile(vec![spec.clone()]).ok()?;
    let patterns = options.text("failregex").unwrap_or_default().lines();
    let alternations = patterns.flat_map(alternatives::alternations).collect();
    Some((digest(&options), spec, alternations))
}

/// A log, and what is known of it.
struct Log {
    lines: Vec<String>,
    /// Whom a sample of ours blames; `Some(None)` is nobody.
    blamed: Option<Option<String>>,
}

/// All logs.
fn logs(root: &Path) -> Vec<Log> {
    let mut paths: Vec<PathBuf> = vec![root.join(LOGS)];
    let mut logs = Vec::new();
    while let Some(path) = paths.pop() {
        if path.is_dir() {
            let entries = fs::read_dir(&path).unwrap();
            paths.extend(entries.map(|entry| entry.unwrap().path()));
            continue;
        }
        let bytes = fs::read(&path).unwrap();
        logs.push(Log {
            lines: annotated(&String::from_utf8_lossy(&bytes)),
            blamed: None,
        });
    }
    for name in filters::names() {
        let (_, samples) = filters::filter(&name, filters::ALL);
        logs.extend(samples.into_iter().map(|sample| Log {
            lines: sample.lines,
            blamed: Some(match sample.expect {
                Expect::Silent => None,
                Expect::Failure { ip, host, .. } => ip.or(host),
            }),
        }));
    }
    logs
}

/// The lines of an annotated log. Those of a journal have no date there, and have one here.
pub fn annotated(text: &str) -> Vec<String> {
    let mut lines = Vec::new();
    let mut before = String::new();
    for line in text.lines() {
        let told = line.trim_start_matches(['#', ' ']);
        if line.starts_with('#') {
            let is_option = ["fileOptions:", "filterOptions:"]
                .iter()
                .any(|word| told.starts_with(word));
            if is_option && told.contains("\"logtype\":") {
                let is_journal =
                    told.contains("\"logtype\": \"journal\"") && !told.contains("\"file\"");
                let own = told.split_once("\"test.prefix-line\": \"");
                let own = own.and_then(|(_, rest)| rest.split_once('"'));
                let own = own.map_or("", |(own, _)| own);
                before = if is_journal {
                    format!("Feb 12 14:10:21 {own}")
                } else {
                    String::new()
                };
            }
        } else if !line.trim().is_empty() {
            lines.push(format!("{before}{line}"));
        }
    }
    lines
}

/// What one log shows of candidates: ours come behind them in the set.
fn compare(
    log: &Log,
    differences: &Differences,
    sets: &[FilterSet; 2],
    at: &[Vec<Option<usize>>; 2],
    candidates: &mut [Candidate],
) {
    let lines = &log.lines;
    let now: Timestamp = "2027-01-01T00:00:00Z".parse().unwrap();
    for (kind, (set, at)) in sets.iter().zip(at).enumerate() {
        let mut reader = LineReader::new(&LineForm::in_zone(TimeZone::UTC), now);
        let mut memory = LineMemory::default();
        let count = at.len();
        let mut theirs: Vec<Vec<(usize, String, Option<u32>)>> = vec![Vec::new(); count];
        let mut ours: Vec<Vec<(usize, String, Option<u32>)>> = vec![Vec::new(); count];
        for (number, line) in lines.iter().enumerate() {
            let Ok(Some(record)) = reader.read(line.as_bytes()) else {
                continue;
            };
            // What a journal has is the same, but for the line.
            let record = match kind {
                0 => record,
                _ if record.program.is_empty() => continue,
                _ => Record {
                    line: b"",
                    ..record
                },
            };
            let pid = record.pid;
            let view = View::from(record);
            for finding in set.findings(&view, &mut memory) {
                let FilterId(filter) = finding.filter;
                let found = &finding.found;
                let host = found.ip.map_or_else(
                    || found.host.to_string(),
                    |ip| ip.to_canonical().to_string(),
                );
                let filter = usize::from(filter);
                let (list, filter) = match filter < count {
                    true => (&mut theirs, filter),
                    false => (&mut ours, filter - count),
                };
                list[filter].push((number, host, pid));
            }
        }
        for (filter, candidate) in at.iter().enumerate() {
            let Some(candidate) = candidate.map(|at| &mut candidates[at]) else {
                continue;
            };
            for (number, host, pid) in &theirs[filter] {
                candidate.taken += 1;
                // Of the lines of one process any may be the one that counts.
                let is_taken = ours[filter].iter().any(|(other, blamed, of)| {
                    blamed == host && (other == number || pid.is_some() && of == pid)
                });
                // Whom our own sample does not blame is innocent.
                let is_innocent = log
                    .blamed
                    .as_ref()
                    .is_some_and(|blamed| blamed.as_ref() != Some(host));
                if is_innocent {
                    continue;
                }
                let line = &lines[*number];
                for texts in &candidate.alternations {
                    for other in alternatives::others(line, texts) {
                        candidate.variants.insert(other);
                    }
                }
                let is_unreal = UNREAL
                    .iter()
                    .any(|(ours, held)| *ours == candidate.ours && line.contains(held));
                if is_taken || is_unreal {
                    continue;
                }
                match differences.find(&candidate.ours, &lines[*number]) {
                    Some(one) => {
                        candidate.left += 1;
                        candidate.differs.insert(one.why.clone());
                        let key = (one.service.clone(), one.holds.clone());
                        candidate.used.insert(key);
                    }
                    None => {
                        let line = format!("{host}: {}", lines[*number]);
                        candidate.missed.insert(line);
                    }
                }
            }
        }
    }
}

#[test]
fn what_covers_what_is_shown_by_all_logs() {
    let Some(root) = samples::root(LOGS) else {
        return;
    };
    let mut candidates = candidates(&root);
    assert!(candidates.len() > 80, "{}", candidates.len());
    let mut at = [Vec::new(), Vec::new()];
    let mut specs = [Vec::new(), Vec::new()];
    for kind in 0..2 {
        for (number, candidate) in candidates.iter().enumerate() {
            if let Some(spec) = candidate.specs.get(kind) {
                at[kind].push(Some(number));
                specs[kind].push(spec.clone());
            }
        }
        let ours = at[kind].iter().flatten().map(|number| {
            let Candidate { ours, mode, .. } = &candidates[*number];
            filters::filter(ours, mode.as_deref().unwrap_or("normal")).0
        });
        let ours: Vec<_> = ours.collect();
        specs[kind].extend(ours);
    }
    let sets = specs.map(|specs| FilterSet::compile(specs).unwrap());
    let own = || Differences::parse(include_str!("differences.toml"));
    let differences = Differences::read().and(own());
    for log in logs(&root) {
        compare(&log, &differences, &sets, &at, &mut candidates);
    }
    let variants: BTreeSet<_> = candidates
        .iter_mut()
        .flat_map(|candidate| std::mem::take(&mut candidate.variants))
        .collect();
    assert!(variants.len() > 1_000, "{}", variants.len());
    // How much ours leaves is counted by what was really written.
    let found: Vec<_> = candidates
        .iter()
        .map(|one| (one.taken, one.left, one.differs.clone()))
        .collect();
    for line in variants {
        let log = Log {
            lines: vec![line],
            blamed: None,
        };
        compare(&log, &differences, &sets, &at, &mut candidates);
    }
    for (candidate, found) in candidates.iter_mut().zip(found) {
        (candidate.taken, candidate.left, candidate.differs) = found;
    }
    let known = Covered::known();
    let mut wrong = String::new();
    for candidate in &candidates {
        let row = known.rows().iter().find(|row| row.stock == candidate.stock);
        judge(candidate, row, &mut wrong);
    }
    for one in own().difference {
        let key = (one.service, one.holds);
        let is_used = candidates.iter().any(|one| one.used.contains(&key));
        if !is_used {
            writeln!(wrong, "no line differs as the list says: {key:?}").unwrap();
        }
    }
    for row in known.rows() {
        let is_known = candidates.iter().any(|one| one.stock == row.stock);
        if !is_known {
            writeln!(wrong, "{}: there is no such filter", row.stock).unwrap();
        }
    }
    assert!(wrong.is_empty(), "{wrong}");
}

/// Holds what the logs show against what is known.
fn judge(candidate: &Candidate, row: Option<&Row>, wrong: &mut String) {
    let takes_most =
        candidate.left * LARGEST_PART < candidate.taken && candidate.differs.len() <= MOST_REASONS;
    let covers = takes_most && candidate.missed.is_empty();
    let Some(row) = row else {
        if covers && !WIDER.contains(&candidate.stock.as_str()) {
            writeln!(
                wrong,
                "is covered and not in the table:\n{}",
                candidate.row()
            )
            .unwrap();
        }
        return;
    };
    if WIDER.contains(&row.stock.as_str()) {
        writeln!(wrong, "{} counts what other jails are for", row.stock).unwrap();
    }
    let is_same = row.known == candidate.known
        && row.uses == candidate.ours
        && row.mode == candidate.mode
        && row.differs.iter().eq(&candidate.differs);
    if !is_same || !takes_most {
        writeln!(wrong, "is otherwise:\n{}", candidate.row()).unwrap();
    }
    for line in &candidate.missed {
        writeln!(wrong, "{}: ours does not take {line}", candidate.stock).unwrap();
    }
}
