//! What does a directory of Fail2ban's say when somebody changes one of its jails while the daemon runs?
//!
//! In: a [`Tree`] that was read, and a change. Out: the tree as if its last file said so, or why that cannot be. All that comes
//! of it goes the way of a reload; nothing is put in force here, and no file is written.

mod fault;
mod matches;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::Path;
use std::sync::Arc;

use fault::MOST_ENTRIES;
pub use fault::OverlayError;

use super::Tree;
use super::interpolation::LONGEST_VALUE;
use super::jail::keys::{FILTER_OPTIONS, JAIL_OPTIONS, OptionKind};
use super::jail::{Started, State};
use super::options::{Written, strip};
use super::stream::there;
use super::time;
use super::transcription::{logs, reads_journal};
use crate::config::problem::{Place, Problem, Text};
use crate::control::fail2ban::value::Value;
use crate::control::protocol::{TreeChange, TreeOption};
use crate::engine::name::JailName;

/// The options that are told to those who ask.
const TOLD: &[&str] = &[
    "usedns",
    "logencoding",
    "logtimezone",
    "ignorecommand",
    "bantime.increment",
    "bantime.factor",
    "bantime.formula",
    "bantime.multipliers",
    "bantime.maxtime",
    "bantime.rndtime",
    "bantime.overalljails",
];

/// A tree with a change, and how what is wrong with the change can be told from the rest.
#[derive(Debug)]
pub struct Overlaid {
    /// What it says then.
    pub tree: Arc<Tree>,
    text: Arc<Text>,
}

impl Overlaid {
    /// Whether it is the change that is wrong.
    pub fn is_blamed_by(&self, problem: &Problem) -> bool {
        problem.file == self.text.path
    }
}

impl Tree {
    /// The tree as if it said otherwise of a jail; `None` if it says so already.
    ///
    /// # Errors
    /// It cannot say that.
    pub fn with(
        &self,
        jail: &JailName,
        change: &TreeChange,
    ) -> Result<Option<Overlaid>, OverlayError> {
        let mut tree = self.clone();
        let text = Arc::new(Text {
            path: format!("set {jail} {change}").into(),
            content: String::new(),
        });
        let unknown = || OverlayError::Jail(jail.clone());
        let started = tree.started_mut(jail).ok_or_else(unknown)?;
        let mut laid = Laid {
            jail,
            started,
            place: Place::whole(&text),
        };
        let is_new = laid.lay(change)?;
        let tree = Arc::new(tree);
        Ok(is_new.then_some(Overlaid { tree, text }))
    }

    fn started_mut(&mut self, jail: &JailName) -> Option<&mut Started> {
        let mut jails = self.jails.iter_mut();
        match &mut jails.find(|one| one.name == jail.as_str())?.state {
            State::On(started) => Some(started),
            State::Off | State::Doubtful | State::LeftOut(_) => None,
        }
    }

    /// What is told of a jail's options in Fail2ban's own words.
    pub fn said(&self, jail: &JailName) -> Option<BTreeMap<String, String>> {
        let mut jails = self.jails.iter();
        let State::On(started) = &jails.find(|one| one.name == jail.as_str())?.state else {
            return None;
        };
        let mut options = started.options.clone();
        options.lay(&started.filter_options());
        let told = TOLD.iter().filter_map(|key| {
            let written = options.get(key)?;
            Some(((*key).to_owned(), told(key, written)))
        });
        Some(told.collect())
    }
}

/// A value as Fail2ban's server keeps it.
fn told(key: &str, written: &Written) -> String {
    let mut kinds = FILTER_OPTIONS.iter().chain(JAIL_OPTIONS);
    let kind = kinds.find(|(known, _)| *known == key);
    match (key, kind) {
        ("usedns", _) => written.text.to_lowercase(),
        (_, Some((_, OptionKind::Flag))) if written.is_true() => "True".to_owned(),
        (_, Some((_, OptionKind::Flag))) => "False".to_owned(),
        ("bantime.maxtime" | "bantime.rndtime", _) => match time::seconds(&written.text) {
            Ok(seconds) => seconds.to_string(),
            Err(_) => written.text.clone(),
        },
        _ => written.text.clone(),
    }
}

/// A jail over which a change is laid.
struct Laid<'l> {
    jail: &'l JailName,
    started: &'l mut Started,
    /// Where it is said.
    place: Place,
}

impl Laid<'_> {
    /// Whether anything is otherwise then.
    fn lay(&mut self, change: &TreeChange) -> Result<bool, OverlayError> {
        let key = change.key();
        match change {
            TreeChange::Addlogpath(path) => self.add_log(path),
            TreeChange::Dellogpath(path) => self.remove_log(path),
            TreeChange::Addfailregex(pattern) | TreeChange::Addignoreregex(pattern) => {
                if strip(pattern).is_empty() {
                    return Err(OverlayError::NoPattern(key));
                }
                let mut patterns = self.lines(key);
                patterns.push(pattern.clone());
                self.say(key, &patterns)?;
                Ok(true)
            }
            TreeChange::Delfailregex(at) | TreeChange::Delignoreregex(at) => {
                let mut patterns = self.lines(key);
                let Some(at) = place_in(*at, patterns.len()) else {
                    return Ok(false);
                };
                patterns.remove(at);
                if patterns.is_empty() && matches!(change, TreeChange::Delfailregex(_)) {
                    return Err(self.last(key));
                }
                self.say(key, &patterns)?;
                Ok(true)
            }
            TreeChange::Addjournalmatch(terms) => self.add_match(terms),
            TreeChange::Deljournalmatch(terms) => self.remove_match(terms),
            TreeChange::Option { option, value } => self.option(*option, value),
        }
    }

    /// The values of a list, of the filter and of the jail.
    fn lines(&self, key: &str) -> Vec<String> {
        let options = self.started.filter_options();
        let lines = options.text(key).unwrap_or_default().split('\n').map(strip);
        let lines = lines.filter(|line| !line.is_empty());
        lines.map(str::to_owned).collect()
    }

    /// Has the jail alone say these values of a list.
    fn say(&mut self, key: &'static str, values: &[String]) -> Result<(), OverlayError> {
        if values.iter().any(|value| value.contains(['\n', '\r'])) {
            return Err(OverlayError::Lines(key));
        }
        let text = values.join("\n");
        if values.len() > MOST_ENTRIES || text.len() > LONGEST_VALUE {
            return Err(OverlayError::TooMuch(key));
        }
        self.set(key, Written::new(text, &self.place));
        Ok(())
    }

    fn set(&mut self, key: &str, value: Written) {
        self.forget_of_filter(key);
        self.started.options.set(key, value);
    }

    /// Of some options what the filter says goes before what the jail says.
    fn forget_of_filter(&mut self, key: &str) {
        if let Some(filter) = &mut self.started.filter {
            filter.options.remove(key);
        }
    }

    fn last(&self, key: &'static str) -> OverlayError {
        OverlayError::Last {
            key,
            jail: self.jail.clone(),
        }
    }

    fn option(&mut self, option: TreeOption, value: &str) -> Result<bool, OverlayError> {
        let key = option.name();
        if value.len() > LONGEST_VALUE {
            return Err(OverlayError::TooMuch(key));
        }
        // As if it had never been said.
        if value.is_empty() && key.starts_with("bantime.") {
            self.started.options.remove(key);
            return Ok(true);
        }
        self.set(key, Written::new(value, &self.place));
        Ok(true)
    }

    fn backend(&self) -> &str {
        self.started.options.text("backend").unwrap_or("auto")
    }

    fn needs_files(&self) -> Result<(), OverlayError> {
        let backend = strip(self.backend()).to_lowercase();
        let is_journal = backend.starts_with("systemd") || reads_journal(self.started, &backend);
        let reads = "the journal and no file";
        (!is_journal)
            .then_some(())
            .ok_or(OverlayError::Backend { reads })
    }

    fn needs_journal(&self) -> Result<(), OverlayError> {
        let reads = "files and not the journal";
        match self.needs_files() {
            Ok(()) => Err(OverlayError::Backend { reads }),
            Err(_) => Ok(()),
        }
    }

    /// The logs, perhaps with wildcards.
    fn logs(&self) -> Vec<String> {
        let paths = self.started.options.get("logpath");
        let paths = paths.into_iter().flat_map(logs);
        paths.map(str::to_owned).collect()
    }

    fn add_log(&mut self, path: &str) -> Result<bool, OverlayError> {
        self.needs_files()?;
        if !path.starts_with('/') || path.contains(['*', '?', '[', ']', '\n']) {
            return Err(OverlayError::NoPath);
        }
        readable(path)?;
        let mut logs = self.logs();
        let is_there = |log: &String| log == path || there(log).iter().any(|file| file == path);
        if logs.iter().any(is_there) {
            return Ok(false);
        }
        logs.push(path.to_owned());
        self.say("logpath", &logs)?;
        Ok(true)
    }

    /// Of a path with wildcards the other files stay, and none is added that comes to be there.
    fn remove_log(&mut self, path: &str) -> Result<bool, OverlayError> {
        self.needs_files()?;
        let (mut left, mut is_found) = (Vec::new(), false);
        for log in self.logs() {
            let files = there(&log);
            if log == path {
                is_found = true;
            } else if files.iter().any(|file| file == path) {
                is_found = true;
                left.extend(files.into_iter().filter(|file| file != path));
            } else {
                left.push(log);
            }
        }
        if !is_found {
            return Ok(false);
        }
        if left.is_empty() {
            return Err(self.last("logpath"));
        }
        self.say("logpath", &left)?;
        Ok(true)
    }
}

/// Which one is meant of so many; as in Python, numbers below 0 count from the end.
fn place_in(at: i64, count: usize) -> Option<usize> {
    let at = match at {
        ..0 => count.checked_sub(usize::try_from(at.unsigned_abs()).ok()?)?,
        _ => usize::try_from(at).ok()?,
    };
    (at < count).then_some(at)
}

/// Whether a log can be read.
fn readable(path: &str) -> Result<(), OverlayError> {
    let python = |number: i32, text: &str| {
        OverlayError::Log(format!("[Errno {number}] {text}: {}", Value::from(path)))
    };
    // Nothing is opened: of a pipe that would wait.
    match fs::metadata(Path::new(path)) {
        Ok(data) if data.is_dir() => Err(python(21, "Is a directory")),
        Ok(data) if !data.is_file() => Err(OverlayError::NoPath),
        Ok(_) => Ok(()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            Err(python(2, "No such file or directory"))
        }
        Err(error) => Err(OverlayError::Log(format!("{path}: {error}"))),
    }
}
