//! What is wrong with a configuration, and where?
//!
//! A [`Place`] is a spot in a text that was read; a [`Problem`] is one mistake with the remedy beside it. Nothing
//! here knows what a setting means.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::engine::name::slips;

/// A file as it was read.
#[derive(Debug, PartialEq, Eq)]
pub struct Text {
    /// Where it comes from; in parentheses if it is part of the program.
    pub path: PathBuf,
    /// What it says.
    pub content: String,
}

/// A spot in a text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    text: Arc<Text>,
    /// Bytes from its beginning; `None` is the text as a whole.
    offset: Option<usize>,
}

/// How bad a problem is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// Something is not as it was meant, but all else can work.
    Warning,
    /// A value, an action, a jail or a file cannot be used, but all else can work.
    LeftOut,
    /// These settings cannot be used.
    Error,
}

/// One mistake.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// The file it is in.
    pub file: PathBuf,
    /// Its line, from 1; `None` if the file itself is the problem.
    pub line: Option<u32>,
    /// Its column in that line, in characters from 1.
    pub column: Option<u32>,
    /// How bad it is.
    pub severity: Severity,
    /// What is wrong.
    pub message: String,
    /// What to do about it.
    pub remedy: String,
}

/// All mistakes found so far.
#[derive(Debug, Default)]
pub struct Problems {
    found: Vec<Problem>,
    /// The files in the order of reading.
    read: Vec<PathBuf>,
}

impl Place {
    /// The text as a whole.
    pub fn whole(text: &Arc<Text>) -> Self {
        Place {
            text: Arc::clone(text),
            offset: None,
        }
    }

    /// `offset` bytes into the text.
    pub fn at(text: &Arc<Text>, offset: usize) -> Self {
        Place {
            text: Arc::clone(text),
            offset: Some(offset),
        }
    }

    /// The text.
    pub fn text(&self) -> &Arc<Text> {
        &self.text
    }

    /// The file.
    pub fn path(&self) -> &Path {
        &self.text.path
    }

    /// All of the text that it is in.
    pub fn content(&self) -> &str {
        &self.text.content
    }

    /// Where it stands in its text, for putting places in order.
    pub fn offset(&self) -> usize {
        self.offset.unwrap_or(0)
    }

    /// Line and column, both from 1.
    fn position(&self) -> Option<(u32, u32)> {
        let content = &self.text.content;
        let before = content.get(..self.offset?.min(content.len()))?;
        let line = before.matches('\n').count() + 1;
        let column = before.chars().rev().take_while(|c| *c != '\n').count() + 1;
        Some((u32::try_from(line).ok()?, u32::try_from(column).ok()?))
    }
}

impl Problems {
    /// Notes that a file is being read, for the order of the problems.
    pub fn reading(&mut self, path: &Path) {
        if !self.read.iter().any(|read| read == path) {
            self.read.push(path.to_owned());
        }
    }

    /// Notes something that makes the settings unusable.
    pub fn error(&mut self, place: &Place, message: impl Into<String>, remedy: impl Into<String>) {
        self.push(place, Severity::Error, message.into(), remedy.into());
    }

    /// Notes something that makes a part of the settings unusable, without which the others can be used.
    pub fn left_out(
        &mut self,
        place: &Place,
        message: impl Into<String>,
        remedy: impl Into<String>,
    ) {
        self.push(place, Severity::LeftOut, message.into(), remedy.into());
    }

    /// Says of all mistakes behind the first `before` that what they are in is left out.
    pub fn leave_out(&mut self, before: usize) {
        for problem in self.found.iter_mut().skip(before) {
            problem.severity = problem.severity.min(Severity::LeftOut);
        }
        // What concerns several parts is told once.
        let mut told: Vec<Problem> = Vec::with_capacity(self.found.len());
        for problem in self.found.drain(..) {
            if !told.contains(&problem) {
                told.push(problem);
            }
        }
        self.found = told;
    }

    /// Notes something that the administrator should look at.
    pub fn warning(
        &mut self,
        place: &Place,
        message: impl Into<String>,
        remedy: impl Into<String>,
    ) {
        self.push(place, Severity::Warning, message.into(), remedy.into());
    }

    /// Notes that a file cannot be read.
    pub fn unreadable(&mut self, path: &Path, message: String, remedy: &str) {
        self.found.push(Problem {
            file: path.to_owned(),
            line: None,
            column: None,
            severity: Severity::Error,
            message,
            remedy: remedy.to_owned(),
        });
    }

    fn push(&mut self, place: &Place, severity: Severity, message: String, remedy: String) {
        let position = place.position();
        let problem = Problem {
            file: place.path().to_owned(),
            line: position.map(|(line, _)| line),
            column: position.map(|(_, column)| column),
            severity,
            message,
            remedy,
        };
        // Several jails may use the same broken file.
        if !self.found.contains(&problem) {
            self.found.push(problem);
        }
    }

    /// Whether a mistake makes the settings unusable.
    pub fn is_fatal(&self) -> bool {
        let mut severities = self.found.iter().map(|problem| problem.severity);
        severities.any(|severity| severity == Severity::Error)
    }

    /// Whether something is left out for a mistake.
    pub fn leaves_out(&self) -> bool {
        let mut severities = self.found.iter().map(|problem| problem.severity);
        severities.any(|severity| severity == Severity::LeftOut)
    }

    /// Says of those that were found behind the first `before`, at one of `places`, whom they concern: `whom` goes before
    /// what is wrong.
    pub fn blame(&mut self, before: usize, whom: &str, places: &[&Place]) {
        for problem in self.found.iter_mut().skip(before) {
            let at = problem.line.zip(problem.column);
            let mut same = places.iter().filter(|place| place.path() == problem.file);
            if at.is_some() && same.any(|place| place.position() == at) {
                problem.message.insert_str(0, whom);
            }
        }
    }

    /// How many there are.
    pub fn count(&self) -> usize {
        self.found.len()
    }

    /// All of them: file by file in the order of reading, line by line.
    pub fn into_sorted(mut self) -> Vec<Problem> {
        // Parts of the program are read from no file; they come last.
        let read = |file: &Path| self.read.iter().position(|read| read == file);
        self.found.sort_by_cached_key(|problem| {
            let at = read(&problem.file).unwrap_or(self.read.len());
            (at, problem.file.clone(), problem.line, problem.column)
        });
        self.found
    }
}

impl fmt::Display for Severity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Severity::Warning => "warning",
            Severity::LeftOut => "not used",
            Severity::Error => "error",
        })
    }
}

impl Problem {
    /// The problem for those who say themselves how bad it is: `/etc/f2bd/f2bd.conf:3:1: what is wrong; what to do`.
    pub fn told(&self) -> String {
        format!("{}: {}; {}", self.place(), self.message, self.remedy)
    }

    fn place(&self) -> String {
        let file = self.file.display();
        match (self.line, self.column) {
            (Some(line), Some(column)) => format!("{file}:{line}:{column}"),
            _ => file.to_string(),
        }
    }
}

/// `/etc/f2bd/f2bd.conf:3:1: error: what is wrong; what to do`.
impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let place = self.place();
        write!(
            f,
            "{place}: {}: {}; {}",
            self.severity, self.message, self.remedy
        )
    }
}

/// The candidate that `word` was probably meant to be.
pub fn nearest<'c>(word: &str, candidates: impl IntoIterator<Item = &'c str>) -> Option<&'c str> {
    let candidates = candidates.into_iter();
    let near = candidates.filter_map(|candidate| Some((slips(word, candidate)?, candidate)));
    let nearest = near.min_by_key(|(slips, _)| *slips);
    nearest.map(|(_, candidate)| candidate)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_lines_and_columns() {
        let text = Arc::new(Text {
            path: "x".into(),
            content: "é = 1\nab = 2\n".to_owned(),
        });
        assert_eq!(Place::at(&text, 0).position(), Some((1, 1)));
        assert_eq!(Place::at(&text, 3).position(), Some((1, 3)));
        assert_eq!(Place::at(&text, 7).position(), Some((2, 1)));
        assert_eq!(Place::at(&text, 99).position(), Some((3, 1)));
        assert_eq!(Place::at(&text, 1).position(), None, "inside a character");
        assert_eq!(Place::whole(&text).position(), None);
    }

    #[test]
    fn the_nearest_word_is_near() {
        assert_eq!(
            nearest("maxrety", ["maxretry", "findtime"]),
            Some("maxretry")
        );
        assert_eq!(nearest("jails", ["jail", "daemon"]), Some("jail"));
        assert_eq!(nearest("zebra", ["maxretry", "findtime"]), None);
    }
}
