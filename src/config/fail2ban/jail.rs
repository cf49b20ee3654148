//! What does one jail of a Fail2ban tree say?
//!
//! A [`TreeJail`], with all references put in, as Fail2ban would start it, or the reason why it would not. `reader` puts it
//! together; `keys` are the options there are.

pub mod keys;
mod reader;

use std::sync::Arc;

use super::brackets::BracketError;
use super::files::FilesError;
use super::interpolation::InterpolationError;
use super::merged::Merged;
use super::options::Options;
use super::tags::TagError;
use crate::config::problem::Place;
use keys::FILTER_OPTIONS;

pub use reader::JailsReader;

/// A jail.
#[derive(Clone, Debug)]
pub struct TreeJail {
    /// Its name.
    pub name: String,
    /// Where its section begins first.
    pub place: Place,
    /// What became of it.
    pub state: State,
}

/// What becomes of a jail.
#[derive(Clone, Debug)]
pub enum State {
    /// It is not enabled.
    Off,
    /// What it says of that is neither true nor false: Fail2ban takes it for false, and nobody has asked for that.
    Doubtful,
    /// It would be started.
    On(Box<Started>),
    /// It cannot be read; Fail2ban starts the others without it, if at all.
    LeftOut(JailError),
}

/// A jail that would be started.
#[derive(Clone, Debug)]
pub struct Started {
    /// The options it has of [`JAIL_OPTIONS`] and [`FILTER_OPTIONS`], its own or those of `[DEFAULT]`.
    pub options: Options,
    /// Everything else that is said in its section or in `[DEFAULT]`, such as `port`, as far as it can be put together.
    pub others: Options,
    /// Its filter; `None` if it has only patterns of its own.
    pub filter: Option<TreeFilter>,
    /// What it does to whoever is banned.
    pub actions: Vec<TreeAction>,
}

impl Started {
    /// What is said of the filter, by itself and by the jail: of patterns and matches both count, of most else what the jail
    /// says.
    pub fn filter_options(&self) -> Options {
        let mut options = Options::default();
        for (key, _) in FILTER_OPTIONS {
            let of_filter = self
                .filter
                .as_ref()
                .and_then(|filter| filter.options.get(key));
            let own = self.options.get(key);
            let value = match (of_filter, own) {
                (Some(of_filter), Some(own)) => match *key {
                    "failregex" | "ignoreregex" | "journalmatch" => {
                        own.with(format!("{}\n{}", of_filter.text, own.text))
                    }
                    "datepattern" => own.clone(),
                    // The server hears it last.
                    _ => of_filter.clone(),
                },
                (Some(one), None) | (None, Some(one)) => one.clone(),
                (None, None) => continue,
            };
            options.set(*key, value);
        }
        options
    }
}

/// The filter of a jail.
#[derive(Clone, Debug)]
pub struct TreeFilter {
    /// The name of its file.
    pub name: String,
    /// What the brackets say.
    pub parameters: Options,
    /// The modes that it has patterns for, as the stock filters name them.
    pub modes: Vec<String>,
    /// The options it has of [`FILTER_OPTIONS`], and everything else that it says, with all tags put in that are no tags of
    /// the filter language. Options of the jail are not among them.
    pub options: Options,
}

/// An action of a jail.
#[derive(Clone, Debug)]
pub struct TreeAction {
    /// The name of its file.
    pub file: String,
    /// The name by which the jail knows it.
    pub name: String,
    /// Where the jail names it.
    pub place: Place,
    /// The parameters, those of the brackets and the usual ones; nothing is put into them yet.
    pub parameters: Options,
    /// The options it has of [`ACTION_OPTIONS`]. Tags stay in them whose values depend on the family or on the ban.
    pub options: Options,
    /// All of these, and with them parameters into which everything is put that is known.
    pub combined: Options,
    /// What its files say, put together and otherwise as it is written.
    pub files: Arc<Merged>,
}

/// Why a jail cannot be started.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum JailError {
    /// A value cannot be put together.
    #[error(transparent)]
    Value(#[from] InterpolationError),
    /// The tags of its filter or of an action cannot be put in.
    #[error(transparent)]
    Tags(#[from] TagError),
    /// The name of its filter or of an action cannot be understood.
    #[error("`{key}`: {error}")]
    Brackets {
        /// Where it is written.
        place: Place,
        /// `filter` or `action`
        key: &'static str,
        /// What is wrong with it.
        error: BracketError,
    },
    /// The files of its filter or of an action cannot be read.
    #[error("{what} `{name}` cannot be read: {error}")]
    Files {
        /// Where it is named.
        place: Place,
        /// `filter` or `action`
        what: &'static str,
        /// Its name.
        name: String,
        /// Why.
        error: FilesError,
    },
}

impl JailError {
    /// Where it is.
    pub fn place(&self) -> &Place {
        match self {
            JailError::Value(error) => &error.place,
            JailError::Tags(error) => error.place(),
            JailError::Brackets { place, .. } | JailError::Files { place, .. } => place,
        }
    }

    /// What to do about it.
    pub fn remedy(&self) -> &'static str {
        match self {
            JailError::Value(error) => error.mistake.remedy(),
            JailError::Tags(error) => error.remedy(),
            JailError::Brackets { .. } => {
                "write name[key=value, key=\"value with blanks, commas or brackets\"]"
            }
            JailError::Files { error, .. } => match error {
                FilesError::Missing => "correct the name, or write the file",
                FilesError::Broken => "mend it where it is reported",
            },
        }
    }
}

/// Whether an action is a program in Python and no file of shell commands.
pub fn is_python(file: &str) -> bool {
    file.ends_with(".py")
}
