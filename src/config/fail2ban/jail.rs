//! What does one jail of a Fail2ban tree say?
//!
//! In: its section among the merged files, and the filter and the actions that it names. Out: a [`TreeJail`], with all
//! references put in, as Fail2ban would start it, or the reason why it would not.

use std::collections::HashMap;
use std::rc::Rc;

use super::brackets::{self, BracketError, Named};
use super::definition::Definition;
use super::files::{Files, FilesError};
use super::interpolation::InterpolationError;
use super::merged::Merged;
use super::options::{Options, Written};
use super::tags::TagError;
use crate::config::problem::{Place, Problems};

/// What kind of value an option has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OptionKind {
    /// Any text.
    Text,
    /// True or false.
    Flag,
    /// A whole number.
    Number,
}

use OptionKind::{Flag, Number, Text};

/// The options of a filter, in the order in which Fail2ban looks at them.
pub const FILTER_OPTIONS: &[(&str, OptionKind)] = &[
    ("usedns", Text),
    ("prefregex", Text),
    ("ignoreregex", Text),
    ("failregex", Text),
    ("maxlines", Number),
    ("datepattern", Text),
    ("journalmatch", Text),
];

/// The options of a jail alone.
pub const JAIL_OPTIONS: &[(&str, OptionKind)] = &[
    ("enabled", Flag),
    ("backend", Text),
    ("maxretry", Number),
    ("maxmatches", Number),
    ("findtime", Text),
    ("bantime", Text),
    ("bantime.increment", Flag),
    ("bantime.factor", Text),
    ("bantime.formula", Text),
    ("bantime.multipliers", Text),
    ("bantime.maxtime", Text),
    ("bantime.rndtime", Text),
    ("bantime.overalljails", Flag),
    ("ignorecommand", Text),
    ("ignoreself", Flag),
    ("ignoreip", Text),
    ("ignorecache", Text),
    ("filter", Text),
    ("logtimezone", Text),
    ("logencoding", Text),
    ("logpath", Text),
    ("skip_if_nologs", Flag),
    ("systemd_if_nologs", Flag),
    ("action", Text),
];

/// The options of an action.
pub const ACTION_OPTIONS: &[(&str, OptionKind)] = &[
    ("actionstart", Text),
    ("actionstart_on_demand", Flag),
    ("actionstop", Text),
    ("actionflush", Text),
    ("actionreload", Text),
    ("actioncheck", Text),
    ("actionrepair", Text),
    ("actionrepair_on_unban", Flag),
    ("actionban", Text),
    ("actionprolong", Text),
    ("actionreban", Text),
    ("actionunban", Text),
    ("norestored", Flag),
];

/// Tags of actions whose values are known only when somebody is banned.
const OF_BANS: [&str; 5] = [
    "matches",
    "ipmatches",
    "ipjailmatches",
    "timeout",
    "bantime",
];

/// What is said if nobody says otherwise.
const USUAL: [(&str, &str); 4] = [
    ("enabled", "false"),
    ("backend", "auto"),
    ("filter", ""),
    ("action", ""),
];

/// A jail.
#[derive(Debug)]
pub struct TreeJail {
    /// Its name.
    pub name: String,
    /// Where its section begins first.
    pub place: Place,
    /// What became of it.
    pub state: State,
}

/// What becomes of a jail.
#[derive(Debug)]
pub enum State {
    /// It is not enabled.
    Off,
    /// It would be started.
    On(Box<Started>),
    /// It cannot be read; Fail2ban starts the others without it, if at all.
    LeftOut(JailError),
}

/// A jail that would be started.
#[derive(Debug)]
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
#[derive(Debug)]
pub struct TreeFilter {
    /// The name of its file.
    pub name: String,
    /// What the brackets say.
    pub parameters: Options,
    /// The options it has of [`FILTER_OPTIONS`], and everything else that it says, with all tags put in that are no tags of
    /// the filter language. Options of the jail are not among them.
    pub options: Options,
}

/// An action of a jail.
#[derive(Debug)]
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
    pub files: Rc<Merged>,
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

/// Reads the jails of one directory.
#[derive(Debug)]
pub struct JailsReader<'f> {
    files: &'f mut Files,
    /// Filters and actions that were read, by their names with the directory.
    definitions: HashMap<String, Result<Rc<Merged>, FilesError>>,
}

impl<'f> JailsReader<'f> {
    /// A reader of jails whose filters and actions are among `files`.
    pub fn new(files: &'f mut Files) -> Self {
        JailsReader {
            files,
            definitions: HashMap::new(),
        }
    }

    /// Reads a jail. What its filter says becomes known in its section.
    ///
    /// # Errors
    /// It cannot be started.
    pub fn read(
        &mut self,
        name: &str,
        place: &Place,
        jails: &mut Merged,
        problems: &mut Problems,
    ) -> Result<Option<Started>, JailError> {
        let first = options(jails, name, place, &JAIL_OPTIONS[..2])?;
        let filter = options(jails, name, place, &[("filter", Text)])?;
        if !first.get("enabled").is_some_and(Written::is_true) {
            return Ok(None);
        }
        let named = filter
            .get("filter")
            .filter(|filter| !filter.text.is_empty());
        let mut read = match named {
            Some(named) => {
                let mut given = first;
                given.lay(&filter);
                Some(self.filter(named, name, given, jails, problems)?)
            }
            None => {
                let message =
                    format!("jail `{name}` names no filter: it has only its own patterns");
                problems.warning(place, message, "write filter = NAME");
                None
            }
        };
        let mut options = options(jails, name, place, JAIL_OPTIONS)?;
        options.lay(&self::options(jails, name, place, FILTER_OPTIONS)?);
        let given = given(&options);
        let filter = match &mut read {
            None => None,
            Some((filter, definition)) => {
                definition.read(&names(FILTER_OPTIONS), &given, false)?;
                Some(TreeFilter {
                    name: filter.name.clone(),
                    parameters: bracketed(filter, place),
                    options: definition.combined(&[])?,
                })
            }
        };
        let mut actions = Vec::new();
        if let Some(list) = options.get("action") {
            for entry in brackets::list(&list.text) {
                actions.push(self.action(entry, &list.place, name, &given, problems)?);
            }
        }
        Ok(Some(Started {
            others: others(jails, name, &options),
            options,
            filter,
            actions,
        }))
    }

    fn filter(
        &mut self,
        written: &Written,
        jail: &str,
        first: Options,
        jails: &mut Merged,
        problems: &mut Problems,
    ) -> Result<(Named, Definition), JailError> {
        let place = &written.place;
        let named = brackets::part(&written.text).map_err(|error| JailError::Brackets {
            place: place.clone(),
            key: "filter",
            error,
        })?;
        let files = self.definition("filter", &named.name, place, problems)?;
        let mut definition = Definition::new(files, bracketed(&named, place));
        let says = definition.parameters().text("logtype");
        if says.is_none_or(str::is_empty) && !definition.defines("logtype") {
            let backend = first.text("backend").unwrap_or_default();
            let logtype = if backend.starts_with("systemd") {
                "journal"
            } else {
                "file"
            };
            definition
                .parameters_mut()
                .set("logtype", Written::new(logtype, place));
        }
        definition.read(&names(FILTER_OPTIONS), &given(&first), true)?;
        let combined = definition.combined(&[])?;
        let section = jails.section_mut(jail, place);
        for (key, value) in combined
            .iter()
            .filter(|(key, _)| !key.starts_with("known/"))
        {
            section.set(format!("known/{key}"), value.clone());
        }
        Ok((named, definition))
    }

    fn action(
        &mut self,
        entry: &str,
        place: &Place,
        jail: &str,
        given: &Options,
        problems: &mut Problems,
    ) -> Result<TreeAction, JailError> {
        let named = brackets::part(entry).map_err(|error| JailError::Brackets {
            place: place.clone(),
            key: "action",
            error,
        })?;
        let mut parameters = bracketed(&named, place);
        if is_python(&named.name) {
            let stem = named.name.trim_end_matches(".py");
            let name = parameters.text("actname").unwrap_or(stem).to_owned();
            return Ok(TreeAction {
                file: named.name,
                name,
                place: place.clone(),
                parameters,
                options: Options::default(),
                combined: Options::default(),
                files: Rc::default(),
            });
        }
        if !parameters.has("name") {
            parameters.set("name", Written::new(jail, place));
        }
        if !parameters.has("actname") {
            // So that two actions of one file have two names.
            let own = parameters.text("name").unwrap_or_default();
            let name = match own.strip_prefix(jail) {
                Some(rest) => format!("{}{rest}", named.name),
                None => format!("{}-{own}", named.name),
            };
            parameters.set("actname", Written::new(name, place));
        }
        let name = parameters.text("actname").unwrap_or_default().to_owned();
        let files = self.definition("action", &named.name, place, problems)?;
        let mut definition = Definition::new(Rc::clone(&files), parameters);
        definition.read(&names(ACTION_OPTIONS), given, false)?;
        let combined = definition.combined(&OF_BANS)?;
        let (mut options, mut parameters) = (Options::default(), Options::default());
        let is_option = |key: &str| names(ACTION_OPTIONS).contains(&key);
        for (key, value) in combined.iter().filter(|(key, _)| is_option(key)) {
            options.set(key, value.clone());
        }
        let is_known = |key: &str| key.starts_with("known/");
        let own = definition.parameters().iter();
        for (key, value) in own.filter(|(key, _)| !is_option(key) && !is_known(key)) {
            parameters.set(key, value.clone());
        }
        Ok(TreeAction {
            file: named.name,
            name,
            place: place.clone(),
            parameters,
            options,
            combined,
            files,
        })
    }

    fn definition(
        &mut self,
        what: &'static str,
        name: &str,
        place: &Place,
        problems: &mut Problems,
    ) -> Result<Rc<Merged>, JailError> {
        let file = format!("{what}.d/{name}");
        let read = match self.definitions.get(&file) {
            Some(read) => read.clone(),
            None => {
                let read = self.files.read(&file, problems).map(Rc::new);
                self.definitions.insert(file, read.clone());
                read
            }
        };
        read.map_err(|error| JailError::Files {
            place: place.clone(),
            what,
            name: name.to_owned(),
            error,
        })
    }
}

/// Whether an action is a program in Python and no file of shell commands.
pub fn is_python(file: &str) -> bool {
    file.ends_with(".py")
}

fn names(options: &[(&'static str, OptionKind)]) -> Vec<&'static str> {
    options.iter().map(|(name, _)| *name).collect()
}

/// The parameters of brackets.
fn bracketed(named: &Named, place: &Place) -> Options {
    let mut parameters = Options::default();
    for (key, value) in &named.parameters {
        parameters.set(key, Written::new(value, place));
    }
    parameters
}

/// The options of these names that hold in a jail.
fn options(
    jails: &Merged,
    jail: &str,
    place: &Place,
    wanted: &[(&'static str, OptionKind)],
) -> Result<Options, InterpolationError> {
    let mut options = Options::default();
    for (key, _) in wanted {
        let usual = USUAL.iter().find(|(known, _)| known == key);
        let usual = usual.map(|(_, value)| Written::new(*value, place));
        if let Some(value) = jails.get(jail, key, &Options::default())?.or(usual) {
            options.set(*key, value);
        }
    }
    Ok(options)
}

/// The options of a jail as its filter and its actions see them: in Python's words.
fn given(options: &Options) -> Options {
    let mut given = Options::default();
    for (key, value) in options.iter() {
        let kinds = JAIL_OPTIONS.iter().chain(FILTER_OPTIONS);
        let kind = kinds.clone().find(|(known, _)| *known == key);
        let value = match kind.map_or(Text, |(_, kind)| *kind) {
            Text => value.clone(),
            Flag => value.with(if value.is_true() { "True" } else { "False" }),
            Number => match whole_number(&value.text) {
                Some(number) => value.with(number.to_string()),
                None => continue,
            },
        };
        given.set(key, value);
    }
    given
}

/// A whole number as Python reads it: with a sign, and with single underscores between the digits.
pub fn whole_number(text: &str) -> Option<i64> {
    let text = super::options::strip(text);
    let digits = text.strip_prefix(['+', '-']).unwrap_or(text);
    let is_plain = digits
        .split('_')
        .all(|part| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit()));
    if !is_plain {
        return None;
    }
    text.replace('_', "").parse().ok()
}

/// What else is said for a jail. What cannot be put together is no option of Fail2ban's and therefore no mistake of the jail.
fn others(jails: &Merged, jail: &str, options: &Options) -> Options {
    let own = jails.section(jail).into_iter().flat_map(Options::iter);
    let all = jails.defaults().iter().chain(own);
    let mut others = Options::default();
    for (key, _) in all {
        if !options.has(key)
            && !key.starts_with("known/")
            && let Ok(Some(value)) = jails.get(jail, key, &Options::default())
        {
            others.set(key, value);
        }
    }
    others
}
