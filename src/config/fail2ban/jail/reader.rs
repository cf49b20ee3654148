//! How is a jail put together?
//!
//! In: its section among the merged files, and the filter and the actions that it names. Out: what it is started with, or the
//! reason why it is not.

use std::collections::HashMap;
use std::sync::Arc;

use super::keys::{ACTION_OPTIONS, FILTER_OPTIONS, JAIL_OPTIONS, OptionKind};
use super::{JailError, Started, State, TreeAction, TreeFilter, is_python};
use crate::config::fail2ban::brackets::{self, Named};
use crate::config::fail2ban::definition::Definition;
use crate::config::fail2ban::files::{Files, FilesError};
use crate::config::fail2ban::interpolation::InterpolationError;
use crate::config::fail2ban::merged::Merged;
use crate::config::fail2ban::options::{Options, Written, whole_number};
use crate::config::fail2ban::traps;
use crate::config::problem::{Place, Problems};

/// Tags of actions whose values are known only when somebody is banned.
const OF_BANS: [&str; 5] = [
    "matches",
    "ipmatches",
    "ipjailmatches",
    "timeout",
    "bantime",
];

/// How the stock filters name the patterns of a mode.
const OF_A_MODE: &str = "mdre-";

/// What is said if nobody says otherwise.
const USUAL: [(&str, &str); 4] = [
    ("enabled", "false"),
    ("backend", "auto"),
    ("filter", ""),
    ("action", ""),
];

/// Reads the jails of one directory.
#[derive(Debug)]
pub struct JailsReader<'f> {
    files: &'f mut Files,
    /// Filters and actions that were read, by their names with the directory.
    definitions: HashMap<String, Result<Arc<Merged>, FilesError>>,
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
    ) -> Result<State, JailError> {
        let first = options(jails, name, place, &JAIL_OPTIONS[..2])?;
        let filter = options(jails, name, place, &[("filter", OptionKind::Text)])?;
        let enabled = first.get("enabled");
        if !enabled.is_some_and(Written::is_true) {
            traps::strange_flags(name, &first, problems);
            return Ok(match enabled.is_none_or(Written::is_false) {
                true => State::Off,
                false => State::Doubtful,
            });
        }
        let named = filter
            .get("filter")
            .filter(|filter| !filter.text.is_empty());
        let read = match named {
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
        traps::strange_flags(name, &options, problems);
        options.lay(&self::options(jails, name, place, FILTER_OPTIONS)?);
        let given = given(&options);
        let filter = match read {
            None => None,
            Some((mut filter, mut definition)) => {
                definition.read(&names(FILTER_OPTIONS), &given, false)?;
                filter.options = definition.combined(&[])?;
                Some(filter)
            }
        };
        let mut actions = Vec::new();
        if let Some(list) = options.get("action") {
            for entry in brackets::list(&list.text) {
                actions.push(self.action(entry, list, name, &given, problems)?);
            }
        }
        Ok(State::On(Box::new(Started {
            others: others(jails, name, &options),
            options,
            filter,
            actions,
        })))
    }

    fn filter(
        &mut self,
        written: &Written,
        jail: &str,
        first: Options,
        jails: &mut Merged,
        problems: &mut Problems,
    ) -> Result<(TreeFilter, Definition), JailError> {
        let place = &written.place;
        let named = brackets::part(&written.text).map_err(|error| JailError::Brackets {
            place: place.clone(),
            key: "filter",
            error,
        })?;
        let names_it = written.place_of(named.name);
        let files = self.definition("filter", named.name, names_it, problems)?;
        let parameters = bracketed(&named, written);
        let says = files.section("Definition").into_iter();
        let keys = says.flat_map(Options::iter).map(|(key, _)| key);
        let modes = keys.filter_map(|key| Some(key.strip_prefix(OF_A_MODE)?.to_owned()));
        let modes = modes.collect();
        let mut definition = Definition::new(files, parameters.clone());
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
        let filter = TreeFilter {
            name: named.name.to_owned(),
            parameters,
            modes,
            options: Options::default(),
        };
        Ok((filter, definition))
    }

    fn action(
        &mut self,
        entry: &str,
        list: &Written,
        jail: &str,
        given: &Options,
        problems: &mut Problems,
    ) -> Result<TreeAction, JailError> {
        let place = list.place_of(entry);
        let named = brackets::part(entry).map_err(|error| JailError::Brackets {
            place: place.clone(),
            key: "action",
            error,
        })?;
        let mut parameters = bracketed(&named, list);
        if is_python(named.name) {
            let stem = named.name.trim_end_matches(".py");
            let name = parameters.text("actname").unwrap_or(stem).to_owned();
            return Ok(TreeAction {
                file: named.name.to_owned(),
                name,
                place: place.clone(),
                parameters,
                options: Options::default(),
                combined: Options::default(),
                files: Arc::default(),
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
        let files = self.definition("action", named.name, place, problems)?;
        let mut definition = Definition::new(Arc::clone(&files), parameters);
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
            file: named.name.to_owned(),
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
    ) -> Result<Arc<Merged>, JailError> {
        let file = format!("{what}.d/{name}");
        let read = match self.definitions.get(&file) {
            Some(read) => read.clone(),
            None => {
                let read = self.files.read(&file, problems).map(Arc::new);
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

fn names(options: &[(&'static str, OptionKind)]) -> Vec<&'static str> {
    options.iter().map(|(name, _)| *name).collect()
}

/// The parameters of brackets in this value, each at the place where it was written.
fn bracketed(named: &Named<'_>, written: &Written) -> Options {
    let mut parameters = Options::default();
    for (key, value) in &named.parameters {
        parameters.set(*key, Written::new(*value, written.place_of(value)));
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
        let value = match kind.map_or(OptionKind::Text, |(_, kind)| *kind) {
            OptionKind::Text => value.clone(),
            OptionKind::Flag => value.with(if value.is_true() { "True" } else { "False" }),
            OptionKind::Number => match whole_number(&value.text) {
                Some(number) => value.with(number.to_string()),
                None => continue,
            },
        };
        given.set(key, value);
    }
    given
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
