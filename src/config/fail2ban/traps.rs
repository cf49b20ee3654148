//! What would Fail2ban stay silent about?
//!
//! A key that nobody knows is to Fail2ban a value that others may refer to. If nobody does, it was meant to be another one. And
//! whatever is no word for true is false.

use std::collections::HashSet;

use super::ini::DEFAULT;
use super::jail::keys::{FILTER_OPTIONS, JAIL_OPTIONS, OptionKind};
use super::merged::{Merged, condition};
use super::options::Options;
use crate::config::problem::{Problems, nearest};

/// Keys that actions are usually given, whether or not the ones that are used look at them.
const OF_ACTIONS: &[&str] = &["port", "protocol", "chain", "banaction", "mode"];

/// Tells of keys of the enabled jails, and of all jails together, that have no effect.
pub fn unknown_keys(jails: &Merged, enabled: &[&str], problems: &mut Problems) {
    let mut said = vec![jails.defaults()];
    said.extend(jails.sections().filter_map(|(name, _)| jails.section(name)));
    let texts = said.iter().flat_map(|options| options.iter());
    let used: HashSet<String> = texts.flat_map(|(_, value)| referred(&value.text)).collect();
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
            if section == DEFAULT && near.is_none_or(is_longer) {
                continue;
            }
            let remedy = match near {
                Some(near) => format!("did you mean `{near}`?"),
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

/// The keys that a text refers to.
fn referred(text: &str) -> impl Iterator<Item = String> {
    let parts = text.split("%(").skip(1);
    let names = parts.filter_map(|part| part.split_once(')').map(|(name, _)| name));
    names.map(|name| name.rsplit('/').next().unwrap_or(name).to_lowercase())
}
