//! What would Fail2ban stay silent about?
//!
//! A key that nobody knows is to Fail2ban a value that others may refer to. If nobody does, it was meant to be another one. And
//! whatever is no word for true is false.

use std::collections::HashSet;
use std::os::unix::fs::MetadataExt as _;

use super::action::commands::is_secret;
use super::files::INCLUDES;
use super::ini::{DEFAULT, IniFile};
use super::jail::keys::{FILTER_OPTIONS, JAIL_OPTIONS, OptionKind};
use super::jail::{State, TreeJail};
use super::merged::{Merged, condition};
use super::options::Options;
use crate::config::problem::{Problems, nearest};

/// The bit of a file's mode by which all may read it.
const READABLE_BY_OTHERS: u32 = 0o004;

/// Keys that actions are usually given, whether or not the ones that are used look at them.
const OF_ACTIONS: &[&str] = &["port", "protocol", "chain", "banaction", "mode"];

/// Sections that mean something by their names alone, which are of these letters.
const NAMES: [&str; 4] = [DEFAULT, INCLUDES, "Definition", "Init"];

/// Tells of sections whose names are such ones but for small and capital letters: to Fail2ban they are any others.
pub fn misspelt_sections(file: &IniFile, problems: &mut Problems) {
    for section in &file.sections {
        let named = &section.name;
        let meant = |name: &&&str| name.eq_ignore_ascii_case(named) && **name != named.as_str();
        let Some(meant) = NAMES.iter().find(meant) else {
            continue;
        };
        let message = match *meant {
            DEFAULT => format!("[{named}] holds for no other section, as [{DEFAULT}] would"),
            meant => format!("[{named}] is not [{meant}]: nothing that it says has an effect"),
        };
        let remedy = format!("write [{meant}], in these letters");
        problems.warning(&section.place, message, remedy);
    }
}

/// Tells of keys of the enabled jails, and of all jails together, that have no effect.
pub fn unknown_keys(jails: &Merged, enabled: &[&str], problems: &mut Problems) {
    let used = referred_in(jails);
    let options = JAIL_OPTIONS.iter().chain(FILTER_OPTIONS);
    let known: Vec<_> = options
        .map(|(key, _)| *key)
        .chain(OF_ACTIONS.iter().copied())
        .collect();
    let mut look = |section: &str, options: &Options| {
        for (key, value) in options.iter() {
            let is_used =
                used.contains(key) || key.starts_with("known/") || condition(key).is_some();
            if known.contains(&key) || is_used {
                continue;
            }
            let near = nearest(key, known.iter().copied());
            // Of values for all jails there are many, some of which are for jails that are not enabled; a longer name, such
            // as `action_mw`, is meant to be another one.
            let is_longer = |near: &str| key.starts_with(&format!("{near}_"));
            let is_name = key.chars().all(is_of_a_name);
            if section == DEFAULT && is_name && near.is_none_or(is_longer) {
                continue;
            }
            let remedy = match near {
                Some(near) => format!("did you mean `{near}`?"),
                None if !is_name => {
                    "write blanks before it if it is a further line of the value above it"
                        .to_owned()
                }
                None => "remove it, or refer to it".to_owned(),
            };
            let message = format!("`{key}` in [{section}] is no option, and nothing refers to it");
            problems.warning(&value.place, message, remedy);
        }
    };
    look(DEFAULT, jails.defaults());
    for name in enabled {
        if let Some(options) = jails.section(name) {
            look(name, options);
        }
    }
}

/// Whether the key of an option or of a value that others refer to may have this character.
fn is_of_a_name(c: char) -> bool {
    c.is_alphanumeric() || "_-./?".contains(c)
}

/// Tells, once for each file, of secrets of actions that every user of the machine can read.
pub fn open_secrets(jails: &[TreeJail], problems: &mut Problems) {
    let mut told = HashSet::new();
    let started = jails.iter().filter_map(|jail| match &jail.state {
        State::On(started) => Some(started),
        State::Off | State::Doubtful | State::LeftOut(_) => None,
    });
    let actions = started.flat_map(|jail| &jail.actions);
    for (key, value) in actions.flat_map(|action| action.parameters.iter()) {
        let path = value.place.path();
        if value.text.is_empty() || !is_secret(key) || !told.insert(path.to_owned()) {
            continue;
        }
        // What cannot be looked at is open to nobody, as far as we know.
        let mode = path.metadata().map_or(0, |metadata| metadata.mode());
        if mode & READABLE_BY_OTHERS == 0 {
            continue;
        }
        let message =
            format!("`{key}` is a secret, and every user of this machine can read it in this file");
        let remedy = format!("chmod o-r {}", path.display());
        problems.warning(&value.place, message, remedy);
    }
}

/// Tells of options that should be true or false, and are false since nobody can say which they are.
pub fn strange_flags(jail: &str, options: &Options, problems: &mut Problems) {
    for (key, kind) in JAIL_OPTIONS {
        let Some(value) = options.get(key).filter(|_| *kind == OptionKind::Flag) else {
            continue;
        };
        if value.is_true() || value.is_false() {
            continue;
        }
        let so = match *key {
            "enabled" => format!("jail `{jail}` is off"),
            _ => "it is false".to_owned(),
        };
        let message = format!(
            "`{key}` is `{}`, which is no word for true: {so}",
            value.text
        );
        let remedy =
            "write true or false, and comments into lines of their own or behind a semicolon";
        problems.warning(&value.place, message, remedy);
    }
}

/// The keys that any value refers to.
pub fn referred_in(jails: &Merged) -> HashSet<String> {
    let mut said = vec![jails.defaults()];
    said.extend(jails.sections().filter_map(|(name, _)| jails.section(name)));
    let texts = said.iter().flat_map(|options| options.iter());
    texts.flat_map(|(_, value)| referred(&value.text)).collect()
}

/// The keys that a text refers to.
fn referred(text: &str) -> impl Iterator<Item = String> {
    let parts = text.split("%(").skip(1);
    let names = parts.filter_map(|part| part.split_once(')').map(|(name, _)| name));
    names.map(|name| name.rsplit('/').next().unwrap_or(name).to_lowercase())
}
