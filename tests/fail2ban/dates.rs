//! Facts about date templates: they find what Fail2ban's own detector finds.

mod generated;

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::io::{BufRead, BufReader, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use f2bd::config::fail2ban::date;
use f2bd::engine::record::date::template::{DateTemplates, LastDate};
use f2bd::engine::time::Timestamp;
use jiff::tz::TimeZone;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::support::dice::Dice;
use crate::support::samples;
use generated::Written;

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

/// What it found: where that begins and ends, what it made of it, and whether it is by the last of several templates.
type Found = Option<(usize, usize, Told, bool)>;

#[derive(Clone, Debug, Deserialize, PartialEq)]
#[serde(untagged)]
enum Told {
    /// Seconds since the epoch.
    Moment(f64),
    /// Why it is no moment.
    Fault(String),
    /// It is not meant to tell one.
    Nothing(()),
}

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

/// A value of `datepattern`, taken over.
fn parsed(pattern: &str) -> Result<DateTemplates, String> {
    let translated = date::patterns(pattern).map_err(|error| error.to_string())?;
    DateTemplates::parse(&translated).map_err(|error| error.to_string())
}

fn zone() -> TimeZone {
    TimeZone::posix(ZONE).unwrap()
}

fn now() -> Timestamp {
    Timestamp::from_micros(NOW * 1_000_000)
}

fn ours(templates: &DateTemplates, line: &str, last: &mut LastDate) -> Found {
    let found = templates.find(line.as_bytes(), &zone(), now(), last);
    let found = found.unwrap()?;
    let told = match found.time {
        Some(time) => Told::Moment(time.as_micros() as f64 / 1e6),
        None if found.cut.is_empty() => Told::Nothing(()),
        None => Told::Fault(String::new()),
    };
    Some((found.cut.start, found.cut.end, told, false))
}

/// What is found otherwise on purpose, and why.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Reason {
    /// Fail2ban keeps fractions only of numbers since the epoch.
    Fraction,
    /// An abbreviation that is none, such as the `host` of `host Jan 23 21:59:59`, stands for the zone of the log; to
    /// Fail2ban the date is then none.
    UnknownZone,
    /// A leap second is the last one of its minute; to Fail2ban the date is none.
    LeapSecond,
    /// 29 February without a year is of the last leap year; to Fail2ban the date is none.
    LeapDay,
    /// Fail2ban compares a clock of another zone with that of its own, and may take one for past that is to come.
    ClockOfAnotherZone,
    /// Fail2ban takes a date of the year before for one of a day later or earlier, if its zone makes it another day.
    DayOfAnotherZone,
    /// A clock alone that is ahead by up to a minute is of today.
    ClockAhead,
    /// An hour that a clock change skips or repeats.
    ClockChange,
    /// A text of which no part tells anything is no moment; to Fail2ban it is midnight.
    NoParts,
    /// A year that has no day 366 has none; to Fail2ban it is the first of the next year.
    NoSuchDay,
    /// The first date of the line is taken; Fail2ban takes that of its last template, wherever it stands.
    LastTemplate,
    /// A year until 2099 is one; to Fail2ban those until the end of a decade that has just begun.
    LateYear,
    /// `{DATE}` stands for numbers since the epoch too; in Fail2ban for the words `Epoch` and `TAI64N`.
    Number,
    /// `%k` and `%l` can begin a template; Fail2ban fails at the first line.
    Refused,
}

const DAY: f64 = 86_400.0;

/// The first moment of 2030; those who come by here later know how to change it.
const LATE: f64 = 1_893_452_400.0;

/// The first moment of the day.
const MIDNIGHT: f64 = NOW as f64 - 12.0 * 3600.0;

/// Why they differ, `Ok(None)` if they do not, `Err` if there is no reason.
fn compared(pattern: &str, line: &str, ours: &Found, theirs: &Found) -> Result<Option<Reason>, ()> {
    if let Some((start, end, ..)) = ours
        && ours != theirs
        && pattern.contains("{DATE}")
        && line[*start..*end]
            .trim_start_matches("<W>")
            .bytes()
            .all(|byte| byte.is_ascii_hexdigit() || b"@.".contains(&byte))
    {
        return Ok(Some(Reason::Number));
    }
    if let Some((_, _, Told::Moment(ours), _)) = ours
        && *ours >= LATE
    {
        return Ok(Some(Reason::LateYear));
    }
    let (Some((start, end, ours, _)), Some((from, to, theirs, is_last))) = (ours, theirs) else {
        return if ours == theirs { Ok(None) } else { Err(()) };
    };
    let now = NOW as f64;
    if (start, end) != (from, to) {
        let is_last = *is_last && start < from;
        return is_last.then_some(Some(Reason::LastTemplate)).ok_or(());
    }
    let reason = match (ours, theirs) {
        (Told::Nothing(()), Told::Nothing(())) | (Told::Fault(_), Told::Fault(_)) => {
            return Ok(None);
        }
        (Told::Moment(_), Told::Fault(why)) if why.contains("zone") || why.contains("KeyError") => {
            Reason::UnknownZone
        }
        (Told::Moment(_), Told::Fault(why)) if why.contains("second must") => Reason::LeapSecond,
        (Told::Moment(ours), Told::Fault(why)) if why.contains("day is out of range") => {
            let day = jiff::Timestamp::from_second(*ours as i64).unwrap();
            let day = day.to_zoned(zone()).date();
            // Its zone may make it the day before or after.
            match (day.month(), day.day()) {
                (2, 28 | 29) | (3, 1) => Reason::LeapDay,
                _ => return Err(()),
            }
        }
        (Told::Moment(ours), Told::Moment(theirs)) => {
            let whole = theirs.fract() == 0.0;
            let later = if whole { ours.floor() } else { *ours } - theirs;
            match later {
                _ if later == 0.0 && whole && ours.fract() > 0.0 => Reason::Fraction,
                _ if later.abs() < 1e-5 => return Ok(None),
                _ if *theirs > now && later == -DAY => Reason::ClockOfAnotherZone,
                _ if *theirs > now + DAY && later == -365.0 * DAY => Reason::ClockOfAnotherZone,
                _ if *ours > now && *ours <= now + 60.0 && later == DAY => Reason::ClockAhead,
                _ if later.abs() == DAY => Reason::DayOfAnotherZone,
                _ if later.abs() == 3600.0 => Reason::ClockChange,
                _ => return Err(()),
            }
        }
        (Told::Fault(_), Told::Moment(theirs)) if *theirs == MIDNIGHT => Reason::NoParts,
        (Told::Fault(_), Told::Moment(theirs)) => {
            let theirs = jiff::Timestamp::from_second(*theirs as i64).unwrap();
            // Its zone may make it the day after.
            match theirs.to_zoned(zone()).day_of_year() {
                1 | 2 => Reason::NoSuchDay,
                _ => return Err(()),
            }
        }
        _ => return Err(()),
    };
    Ok(Some(reason))
}

/// What was compared, and how often it differed for which reason.
#[derive(Default)]
struct Tally {
    lines: usize,
    /// Those in which Fail2ban finds a moment.
    told: usize,
    reasons: BTreeMap<Reason, usize>,
    unexplained: String,
}

impl Tally {
    /// Adds what `templates` find in `lines`.
    fn add(
        &mut self,
        pattern: &str,
        templates: &DateTemplates,
        lines: &[String],
        theirs: &[Found],
    ) {
        // What is remembered of a line must not change what is found in the next, nor in the same once more.
        let mut last = LastDate::default();
        for (line, theirs) in lines.iter().zip(theirs) {
            let first = ours(templates, line, &mut last);
            let ours = ours(templates, line, &mut last);
            assert_eq!(first, ours, "{pattern:?} {line:?}");
            self.lines += 1;
            self.told += usize::from(matches!(theirs, Some((_, _, Told::Moment(_), _))));
            match compared(pattern, line, &ours, theirs) {
                Ok(Some(reason)) => *self.reasons.entry(reason).or_default() += 1,
                Ok(None) => {}
                Err(()) => {
                    let text = &mut self.unexplained;
                    writeln!(text, "{pattern:?} {line:?}\n  {ours:?}, not {theirs:?}").unwrap();
                }
            }
        }
    }

    fn finish(self, least: usize) {
        let Tally {
            lines,
            told,
            reasons,
            unexplained,
        } = self;
        eprintln!("{lines} lines, {told} with a moment, {reasons:?}");
        assert!(unexplained.is_empty(), "{unexplained}");
        assert!(told >= least, "only {told} of {lines} lines have a moment");
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
    let mut tally = Tally::default();
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
            let templates = parsed(pattern);
            let templates = templates.unwrap_or_else(|error| panic!("{name}: {error}"));
            for sticky in [false, true] {
                let theirs = detector.find(pattern, lines, sticky).unwrap();
                tally.add(pattern, &templates, lines, &theirs);
            }
        }
    }
    tally.finish(3000);
}

/// Patterns beside those that are generated.
const PATTERNS: [&str; 12] = [
    "",
    "{^LN-BEG}",
    "{DEFAULT}",
    "{NONE}",
    "EPOCH",
    "{^LN-BEG}LEPOCH",
    "TAI64N",
    "^{DATE}",
    "{DATE}",
    r"^[^\[]*\[({DATE})",
    "^<W>{DATE}",
    r#""ts":{EPOCH}"#,
];

#[test]
fn dates_of_generated_lines() {
    let Some(root) = samples::root(LOGS) else {
        return;
    };
    let mut detector = Detector::start(&root);
    let mut dice = Dice::new(8);
    let mut tally = Tally::default();
    for pattern in PATTERNS {
        let lines: Vec<String> = (0..2000).map(|_| generated::line(&mut dice)).collect();
        let theirs = detector.find(pattern, &lines, false).unwrap();
        let templates = parsed(pattern).unwrap();
        tally.add(pattern, &templates, &lines, &theirs);
    }
    tally.finish(5000);
}

#[test]
fn dates_by_generated_patterns() {
    let Some(root) = samples::root(LOGS) else {
        return;
    };
    let mut detector = Detector::start(&root);
    let mut dice = Dice::new(9);
    let mut tally = Tally::default();
    for _ in 0..1500 {
        let written = Written::any(&mut dice);
        let pattern = &written.pattern;
        let lines: Vec<String> = (0..20).map(|_| written.line(&mut dice)).collect();
        let theirs = detector.find(pattern, &lines, false);
        match (theirs, parsed(pattern)) {
            (Ok(theirs), Ok(templates)) => tally.add(pattern, &templates, &lines, &theirs),
            (Err(_), Err(_)) => {}
            (Err(why), Ok(_)) if why.contains("bad character in group name") => {
                *tally.reasons.entry(Reason::Refused).or_default() += 1;
            }
            (theirs, ours) => {
                let (ours, theirs) = (ours.err(), theirs.err());
                let text = &mut tally.unexplained;
                writeln!(text, "{pattern:?}: {ours:?}, not {theirs:?}").unwrap();
            }
        }
    }
    tally.finish(5000);
}
