//! What does somebody try on a log who names a filter of Fail2ban's, or writes an expression?
//!
//! In: such a word, and what else he says of it. Out: the options of a filter as Fail2ban has them, and what they come to.
//! Nothing is matched here.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use jiff::tz::TimeZone;

use super::brackets::{self, BracketError};
use super::expression::Hosts;
use super::filter::{self, Reading};
use super::options::{Options, Written};
use super::single::Whereabouts;
use super::transcription::{alternatives, zone};
use crate::config::filter::{FilterFile, NORMAL};
use crate::config::problem::{Place, Problems, Text};
use crate::engine::filter::FilterSpec;
use crate::engine::name::NameError;
use crate::engine::record::journal::JournalMatch;

/// How the filter is called; nobody sees it.
const NAME: &str = "tried";

/// The directory of filters.
const FILTERS: &str = "filter.d";

/// A filter that is tried.
#[derive(Clone, Debug)]
pub struct Tried {
    options: Options,
    /// Where what is only said on the command line stands.
    place: Place,
}

/// A filter that a word names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Chosen {
    /// The directory of Fail2ban's that it belongs to.
    pub folder: PathBuf,
    /// Its name.
    pub name: String,
    /// What is in brackets behind it.
    pub parameters: Vec<(String, String)>,
    brackets: String,
}

/// Why what looks like a filter is none that can be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ChoiceError {
    /// What is in the brackets.
    #[error("{0}")]
    Brackets(#[from] BracketError),
    /// A file elsewhere could not be read with what it includes.
    #[error("{} is in no directory `filter.d`: put it into one", .0.display())]
    Elsewhere(PathBuf),
}

impl Chosen {
    /// The filter of `folder`, or elsewhere, that `word` names; `None` if it names none, and is an expression.
    ///
    /// # Errors
    /// It names one that cannot be read.
    pub fn find(word: &str, folder: &Path) -> Result<Option<Self>, ChoiceError> {
        let name = word.split('[').next().unwrap_or_default();
        let behind = &word[name.len()..];
        let is_plain = |c: char| c.is_alphanumeric() || matches!(c, '_' | '-' | '.' | '/');
        if name.is_empty()
            || !name.chars().all(is_plain)
            || !(behind.is_empty() || behind.ends_with(']'))
        {
            return Ok(None);
        }
        let filters = match folder.ends_with(FILTERS) {
            true => folder.to_owned(),
            false => folder.join(FILTERS),
        };
        let path = |name: String| match name.contains('/') {
            true => PathBuf::from(name),
            false => filters.join(name),
        };
        let ends = ["", ".conf", ".local"].into_iter();
        let mut paths = ends.map(|end| path(format!("{name}{end}")));
        let Some(path) = paths.find(|path| path.is_file()) else {
            return Ok(None);
        };
        let named = brackets::part(word)?;
        let file = path.file_name().and_then(|file| file.to_str());
        let file = file.unwrap_or_default();
        let ends = [".conf", ".local"].into_iter();
        let stem = ends.filter_map(|end| file.strip_suffix(end)).next();
        let parent = path.parent().filter(|parent| parent.ends_with(FILTERS));
        let (Some(folder), Some(stem)) = (parent.and_then(Path::parent), stem) else {
            return Err(ChoiceError::Elsewhere(path));
        };
        let here = || PathBuf::from(".");
        Ok(Some(Chosen {
            folder: match folder.as_os_str().is_empty() {
                true => here(),
                false => folder.to_owned(),
            },
            name: stem.to_owned(),
            parameters: named
                .parameters
                .into_iter()
                .map(|(key, value)| (key.to_owned(), value.to_owned()))
                .collect(),
            brackets: behind.to_owned(),
        }))
    }
}

impl Tried {
    /// An expression alone.
    pub fn expression(text: &str) -> Self {
        let place = said(text);
        let mut options = Options::default();
        options.set("failregex", Written::new(whole(text), &place));
        Tried { options, place }
    }

    /// A filter, as it is for a jail that reads a journal or files. What is wrong with it is noted in `problems`.
    pub fn filter(chosen: &Chosen, is_journal: bool, problems: &mut Problems) -> Option<Self> {
        let named = format!("{}{}", chosen.name, chosen.brackets);
        let backend = is_journal.then_some("systemd");
        let found = Whereabouts::of(chosen.folder.clone(), named);
        let options = found.options(backend, problems)?;
        let place = said("");
        Some(Tried { options, place })
    }

    /// Says what is to be ignored as well.
    pub fn ignore(&mut self, text: &str) {
        let before = self.options.text("ignoreregex").unwrap_or_default();
        let both = format!("{before}\n{}", whole(text));
        self.say("ignoreregex", &both);
    }

    /// Says an option, whatever the filter says.
    pub fn say(&mut self, key: &str, text: &str) {
        self.options.set(key, Written::new(text, &self.place));
    }

    /// What an option says.
    pub fn option(&self, key: &str) -> Option<&str> {
        self.options.text(key)
    }

    /// The expressions of an option, one a line.
    pub fn expressions(&self, key: &str) -> impl Iterator<Item = &str> {
        let lines = self.option(key).unwrap_or_default().lines();
        lines.map(str::trim).filter(|line| !line.is_empty())
    }

    /// What it wants of a journal; nothing if it wants all of it.
    pub fn journal(&self, problems: &mut Problems) -> Vec<JournalMatch> {
        let Some(written) = self.options.get("journalmatch") else {
            return Vec::new();
        };
        let mut matches = Vec::new();
        for terms in alternatives(written, problems) {
            match terms.parse() {
                Ok(wanted) => matches.push(wanted),
                Err(error) => problems.error(
                    &written.place,
                    format!("`journalmatch`: {error}"),
                    "write FIELD=value",
                ),
            }
        }
        matches
    }

    /// What it comes to, where hosts may be so and dates are of that zone unless they tell theirs; `None` if it is of no
    /// use, which is noted in `problems`.
    pub fn spec(
        &self,
        hosts: Hosts,
        zone_name: Option<&str>,
        problems: &mut Problems,
    ) -> Option<FilterSpec> {
        let zone = match zone_name {
            None => TimeZone::system(),
            Some(name) => zone(&Written::new(name, &self.place), problems),
        };
        let name = NAME.parse().map_err(|error: NameError| {
            problems.error(&self.place, error.to_string(), "");
        });
        let reading = Reading { hosts, zone };
        let file = filter::file(name.ok()?, &self.options, &reading, problems)?;
        let file = FilterFile::from(file);
        let spec = file.spec(NORMAL);
        file.check(&spec, problems).then_some(spec)
    }
}

/// The place of what somebody says on the command line.
fn said(text: &str) -> Place {
    Place::whole(&Arc::new(Text {
        path: PathBuf::from("(command line)"),
        content: text.to_owned(),
    }))
}

/// An expression whose blanks at its ends are its own: in a file they would be none of it.
fn whole(text: &str) -> String {
    match text.trim() == text {
        true => text.to_owned(),
        false => format!("(?:{text})"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_filters_if_there_is_such_a_file() {
        let home = tempfile::tempdir().expect("a directory");
        let filters = home.path().join(FILTERS);
        std::fs::create_dir(&filters).expect("a directory");
        std::fs::write(filters.join("own.conf"), "").expect("a file");
        std::fs::write(home.path().join("stray.conf"), "").expect("a file");
        let path = filters.join("own.conf").display().to_string();
        for word in ["own", "own.conf", "own[mode=a, x=\"b c\"]", &*path] {
            for folder in [home.path(), &*filters] {
                let chosen = Chosen::find(word, folder).expect(word).expect(word);
                assert_eq!((&*chosen.name, &*chosen.folder), ("own", home.path()));
            }
        }
        let parameters = Chosen::find("own[mode=a, x=\"b c\"]", home.path());
        let parameters = parameters.expect("a choice").expect("a filter").parameters;
        assert_eq!(parameters[1], ("x".to_owned(), "b c".to_owned()));
        for word in ["other", "^own <HOST>$", "own <HOST>"] {
            assert_eq!(Chosen::find(word, home.path()), Ok(None), "{word}");
        }
        assert!(Chosen::find("own[mode]", home.path()).is_err());
        let stray = home.path().join("stray.conf").display().to_string();
        assert!(Chosen::find(&stray, home.path()).is_err());
    }
}
