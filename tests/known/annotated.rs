//! Which lines has an annotated log, how are they to be read, and what is said of each? What a filter makes of them is not
//! known here.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use serde::Deserialize;

/// What is said of the line that follows.
#[derive(Clone, Debug, Deserialize)]
pub struct Said {
    #[serde(rename = "match", default = "yes")]
    pub is_failure: bool,
    /// Empty if it is not said.
    #[serde(default, alias = "ip4", alias = "ip6")]
    pub host: String,
    /// Of which settings that is said, in a language that is not read here.
    pub constraint: Option<String>,
}

fn yes() -> bool {
    true
}

/// With which settings the lines that follow are read.
#[derive(Clone, Debug, Default, Deserialize)]
struct Settings {
    #[serde(default)]
    mode: String,
    #[serde(default)]
    logtype: String,
    /// What stands before each line.
    #[serde(rename = "test.prefix-line", default)]
    prefix: String,
}

/// A line, and what is said of it; of some nothing is said, and these are no failures.
#[derive(Clone, Debug)]
pub struct Line {
    /// The file and the number of the line there.
    pub place: String,
    pub text: String,
    /// Whether it is an entry of a journal, `host program[pid]: message`, which has no date in its text.
    pub is_journal: bool,
    pub said: Option<Said>,
}

impl Line {
    /// The number of the process that wrote it.
    pub fn process(&self) -> Option<&str> {
        let (_, rest) = self.text.split_once('[')?;
        let (pid, rest) = rest.split_once(']')?;
        let is_number = !pid.is_empty() && pid.bytes().all(|byte| byte.is_ascii_digit());
        (is_number && rest.starts_with(':')).then_some(pid)
    }

    /// The same line with another message; a message with a date is all of it.
    pub fn with_message(&self, message: &str) -> Line {
        let before = match message.starts_with(|first: char| first.is_ascii_digit()) {
            true => "",
            false => self.text.split_inclusive("]: ").next().unwrap_or_default(),
        };
        Line {
            text: format!("{before}{message}"),
            said: None,
            ..self.clone()
        }
    }

    /// Whose failure it tells of, if it is said of all settings.
    pub fn failure(&self) -> Option<&str> {
        let said = self.said.as_ref().filter(|said| said.is_failure)?;
        said.constraint.is_none().then_some(&said.host)
    }

    /// Whether something is said of it for some settings only.
    pub fn depends(&self) -> bool {
        let said = self.said.as_ref();
        said.is_some_and(|said| said.constraint.is_some())
    }
}

/// The lines of one file that are read in one mode.
#[derive(Clone, Debug)]
pub struct Log {
    pub mode: String,
    pub lines: Vec<Line>,
}

/// The logs of a service, read in the modes of ours that `mode` tells for those that they say, or for none. `None` if there
/// is no file.
pub fn read(folder: &Path, service: &str, mode: impl Fn(&str) -> String) -> Option<Vec<Log>> {
    let mut logs = Vec::new();
    let mut files = vec![service.to_owned()];
    while let Some(file) = files.pop() {
        let text = fs::read(folder.join(&file)).ok()?;
        let text = String::from_utf8_lossy(&text);
        let first = logs.len();
        let (mut all, mut settings, mut said) = (Settings::default(), Vec::new(), None);
        for (line, number) in text.lines().zip(1..) {
            if let Some(json) = directive(line, "failJSON") {
                said = Some(serde_json::from_str::<Said>(json).unwrap());
            } else if let Some(json) = directive(line, "fileOptions") {
                all = serde_json::from_str(json).unwrap();
            } else if let Some(json) = directive(line, "filterOptions") {
                settings = serde_json::from_str(json)
                    .or_else(|_| serde_json::from_str(json).map(|one: Settings| vec![one]))
                    .unwrap();
            } else if let Some(json) = directive(line, "addFILE") {
                files.push(serde_json::from_str(json).unwrap());
            } else if !line.starts_with('#') && !line.trim().is_empty() {
                let said = said.take();
                let ways: BTreeSet<_> = match settings.is_empty() {
                    true => [way(&all, &all, line, &mode)].into(),
                    false => settings
                        .iter()
                        .map(|one| way(&all, one, line, &mode))
                        .collect(),
                };
                for (mode, is_journal, text) in ways {
                    let line = Line {
                        place: format!("{file}:{number}"),
                        text,
                        is_journal,
                        said: said.clone(),
                    };
                    match logs[first..]
                        .iter_mut()
                        .find(|log: &&mut Log| log.mode == mode)
                    {
                        Some(log) => log.lines.push(line),
                        None => logs.push(Log {
                            mode,
                            lines: vec![line],
                        }),
                    }
                }
            }
        }
    }
    Some(logs)
}

/// In which mode a filter of the package is that is told none: its file says so.
pub fn usual_mode(filters: &Path, service: &str) -> String {
    let text = fs::read_to_string(filters.join(format!("{service}.conf"))).unwrap_or_default();
    let mut settings = text.lines().filter_map(|line| line.split_once('='));
    let mode = settings.find(|(name, _)| name.trim_end() == "mode");
    mode.map_or("normal", |(_, mode)| mode.trim()).to_owned()
}

/// What a comment that begins with `name:` says.
fn directive<'l>(line: &'l str, name: &str) -> Option<&'l str> {
    let rest = line.strip_prefix('#')?.trim_start_matches('#').trim_start();
    Some(rest.strip_prefix(name)?.strip_prefix(':')?.trim())
}

/// The mode of ours in which a line is read, whether it is of a journal, and its text.
fn way(
    all: &Settings,
    own: &Settings,
    line: &str,
    mode: impl Fn(&str) -> String,
) -> (String, bool, String) {
    let mode = mode(&own.mode);
    let text = format!("{}{line}", own.prefix);
    let of_journal = all.logtype == "journal" || own.logtype == "journal";
    // Lines that are said to be of any kind are of files all the same.
    let mut words = text.split(' ');
    let program = words.nth(1).unwrap_or_default();
    let is_entry = program.ends_with("]:") && !text.starts_with('[');
    (mode, of_journal && is_entry, text)
}
