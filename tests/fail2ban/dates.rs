//! Facts about date templates: they find what Fail2ban's own detector finds.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::io::{BufRead, BufReader, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use f2bd::engine::record::date::template::DateTemplates;
use f2bd::engine::time::Timestamp;
use jiff::tz::TimeZone;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::support::samples;

const PYTHON: &str = "usr/lib/python3/dist-packages";
const LOGS: &str = "usr/lib/python3/dist-packages/fail2ban/tests/files/logs";

/// The clock and the zone that its own tests assume, and `dates.py` too.
const NOW: i64 = 1_124_013_600;
const ZONE: &str = "CET-1CEST,M3.5.0,M10.5.0";

/// Fail2ban's detector in a process of its own.
struct Detector {
    child: Child,
    asks: ChildStdin,
    tells: BufReader<ChildStdout>,
}

/// What it found: begin, end, and seconds since the epoch if it made any of it.
type Found = Option<(usize, usize, Option<f64>)>;

impl Detector {
    fn start(root: &Path) -> Self {
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fail2ban/dates.py");
        let mut child = Command::new("python3")
            .arg(script)
            .env("PYTHONPATH", root.join(PYTHON))
            .env("PYTHONDONTWRITEBYTECODE", "1")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        Detector {
            asks: child.stdin.take().unwrap(),
            tells: BufReader::new(child.stdout.take().unwrap()),
            child,
        }
    }

    fn ask(&mut self, question: &Value) -> Value {
        writeln!(self.asks, "{question}").unwrap();
        let mut answer = String::new();
        self.tells.read_line(&mut answer).unwrap();
        serde_json::from_str(&answer).unwrap()
    }

    /// What it finds in each of `lines`; `Err` if `pattern` is none.
    fn find(
        &mut self,
        pattern: &str,
        lines: &[String],
        sticky: bool,
    ) -> Result<Vec<Found>, String> {
        let question = json!({ "pattern": pattern, "lines": lines, "sticky": sticky });
        let answer = self.ask(&question);
        match answer.get("error") {
            Some(error) => Err(error.to_string()),
            None => Ok(serde_json::from_value(answer).unwrap()),
        }
    }
}

impl Drop for Detector {
    fn drop(&mut self) {
        // It ends by itself with its input; a test that fails does not wait for that.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn zone() -> TimeZone {
    TimeZone::posix(ZONE).unwrap()
}

fn now() -> Timestamp {
    Timestamp::from_micros(NOW * 1_000_000)
}

fn ours(templates: &DateTemplates, line: &str) -> Found {
    let found = templates.find(line.as_bytes(), &zone(), now())?;
    let seconds = |time: Timestamp| time.as_micros() as f64 / 1e6;
    Some((found.cut.start, found.cut.end, found.time.map(seconds)))
}

/// Whether both found the same; Fail2ban keeps fractions only of numbers since the epoch.
fn agree(ours: &Found, theirs: &Found) -> bool {
    match (ours, theirs) {
        (None, None) => true,
        (Some((start, end, ours)), Some((from, to, theirs))) => {
            let same_time = match (ours, theirs) {
                (Some(ours), Some(theirs)) => {
                    (0.0..1.0).contains(&(ours - theirs)) || (ours - theirs).abs() < 1e-5
                }
                (None, None) => true,
                _ => false,
            };
            start == from && end == to && same_time
        }
        _ => false,
    }
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Options {
    One(BTreeMap<String, Value>),
    Many(Vec<BTreeMap<String, Value>>),
}

/// The lines of each annotated log, and the settings that are named in it.
fn logs(root: &Path) -> BTreeMap<String, (Vec<Value>, Vec<String>)> {
    let mut logs = BTreeMap::new();
    for entry in fs::read_dir(root.join(LOGS)).unwrap() {
        let path = entry.unwrap().path();
        if !path.is_file() {
            continue;
        }
        let text = String::from_utf8_lossy(&fs::read(&path).unwrap()).into_owned();
        let mut settings = vec![json!({})];
        let mut lines = Vec::new();
        for line in text.lines() {
            let Some(comment) = line.strip_prefix('#') else {
                lines.push(line.to_owned());
                continue;
            };
            let told = comment.trim_start_matches('#').trim_start();
            if let Some(options) = told.strip_prefix("filterOptions:") {
                let options = match serde_json::from_str(options).unwrap() {
                    Options::One(options) => vec![options],
                    Options::Many(options) => options,
                };
                settings.extend(options.into_iter().map(|options| {
                    let options = options
                        .into_iter()
                        .filter(|(key, _)| !key.starts_with("test."));
                    options.collect::<serde_json::Map<_, _>>().into()
                }));
            }
        }
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        logs.insert(name, (settings, lines));
    }
    logs
}

#[test]
fn dates_of_the_sample_logs() {
    let Some(root) = samples::root(LOGS) else {
        return;
    };
    let mut detector = Detector::start(&root);
    let logs = logs(&root);
    let base: PathBuf = root.join("etc/fail2ban");
    let (mut lines_read, mut told, mut differ) = (0, 0, String::new());
    for (name, (settings, lines)) in &logs {
        if !base.join("filter.d").join(format!("{name}.conf")).is_file() {
            continue;
        }
        let asked = json!({ "filters": { name: settings }, "base": base });
        let mut patterns: Vec<String> =
            serde_json::from_value(detector.ask(&asked)[name].clone()).unwrap();
        patterns.push(String::new());
        patterns.dedup();
        for pattern in &patterns {
            let templates =
                DateTemplates::parse(pattern).unwrap_or_else(|error| panic!("{name}: {error}"));
            for sticky in [false, true] {
                let theirs = detector.find(pattern, lines, sticky).unwrap();
                for (line, theirs) in lines.iter().zip(theirs) {
                    lines_read += 1;
                    told += usize::from(matches!(theirs, Some((_, _, Some(_)))));
                    let ours = ours(&templates, line);
                    if !agree(&ours, &theirs) {
                        writeln!(
                            differ,
                            "{name} {pattern:?} {sticky}: {line}\n  ours {ours:?} theirs {theirs:?}"
                        )
                        .unwrap();
                    }
                }
            }
        }
    }
    eprintln!("{lines_read} lines, {told} with a moment");
    assert!(differ.is_empty(), "of {lines_read}:\n{differ}");
}
