//! What does a directory of Fail2ban's say when somebody changes one of its jails while the daemon runs?
//!
//! In: a [`Tree`] that was read, and a change. Out: the tree as if its last file said so, or why that cannot be. All that comes
//! of it goes the way of a reload; nothing is put in force here, and no file is written.

mod fault;
mod logs;
mod matches;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use fault::MOST_ENTRIES;
pub use fault::OverlayError;

use super::Tree;
use super::interpolation::LONGEST_VALUE;
use super::jail::{Started, State};
use super::options::{Written, strip};
use super::transcription::reads_journal;
use crate::config::problem::{Place, Problem, Text};
use crate::control::protocol::{TreeChange, TreeOption};
use crate::engine::name::JailName;

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
        if value.is_empty() && matches!(option, TreeOption::Growth(_)) {
            self.started.options.remove(key);
            return Ok(true);
        }
        self.set(key, Written::new(value, &self.place));
        Ok(true)
    }

    fn needs_files(&self) -> Result<(), OverlayError> {
        let reads = "the journal and no file";
        match reads_journal(self.started) {
            true => Err(OverlayError::Backend { reads }),
            false => Ok(()),
        }
    }

    fn needs_journal(&self) -> Result<(), OverlayError> {
        let reads = "files and not the journal";
        match reads_journal(self.started) {
            true => Ok(()),
            false => Err(OverlayError::Backend { reads }),
        }
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
