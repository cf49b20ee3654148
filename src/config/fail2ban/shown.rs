//! What is a jail to those who ask in Fail2ban's words: its patterns, its logs and its options?
//!
//! In: a jail of a [`Tree`]. Out: each pattern in Python's language as it was written, with its tags replaced, in the order
//! by which they are deleted; options as Fail2ban's server keeps them. What addresses look like is our own expression, as it
//! is wherever a filter is read.

mod actions;

use std::collections::BTreeMap;
use std::sync::LazyLock;

use regex::Regex;

use super::expression::{Hosts, python};
use super::jail::Started;
use super::jail::keys::{FILTER_OPTIONS, JAIL_OPTIONS, OptionKind};
use super::options::{Options, Written, strip};
use super::time;
use super::transcription::{logs, reads_journal};
use crate::control::protocol::{GrowthOption, TreeOption};

/// What is shown of a jail.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Shown {
    /// What is a failure.
    pub failregex: Vec<String>,
    /// What is none though it looks like one.
    pub ignoreregex: Vec<String>,
    /// What a line must match first; empty if that is nothing.
    pub prefregex: String,
    /// The logs that it names, perhaps with wildcards; none if it reads the journal.
    pub logpath: Vec<String>,
    /// The entries of a journal that it names, alternatives with `+` between them; empty if it reads files.
    pub journalmatch: String,
    /// What it says of options, by their names.
    pub said: BTreeMap<String, String>,
}

impl Shown {
    /// What is shown of this one.
    pub fn of(started: &Started) -> Shown {
        let options = started.filter_options();
        let lines = |key: &str| {
            let lines = options.text(key).unwrap_or_default().split('\n');
            lines.map(strip).filter(|line| !line.is_empty())
        };
        let all = |key: &str| lines(key).map(|line| shown(line, &options)).collect();
        let prefix = options.text("prefregex").map(strip).unwrap_or_default();
        let (logpath, journalmatch) = match reads_journal(started) {
            true => (None, lines("journalmatch").collect()),
            false => (started.options.get("logpath"), Vec::new()),
        };
        let logpath = logpath.into_iter().flat_map(logs);
        Shown {
            failregex: all("failregex"),
            ignoreregex: all("ignoreregex"),
            prefregex: shown(prefix, &options),
            logpath: logpath.map(str::to_owned).collect(),
            journalmatch: journalmatch.join(" + "),
            said: said(started, &options),
        }
    }
}

fn said(started: &Started, of_filter: &Options) -> BTreeMap<String, String> {
    let mut options = started.options.clone();
    options.lay(of_filter);
    let said = TreeOption::all().filter_map(|option| {
        let written = options.get(option.name())?;
        Some((option.name().to_owned(), kept(option, written)))
    });
    said.collect()
}

/// A value as Fail2ban's server keeps it.
fn kept(option: TreeOption, written: &Written) -> String {
    let mut kinds = FILTER_OPTIONS.iter().chain(JAIL_OPTIONS);
    let kind = kinds.find(|(known, _)| *known == option.name());
    match (option, kind) {
        (TreeOption::UseDns, _) => written.text.to_lowercase(),
        (_, Some((_, OptionKind::Flag))) if written.is_true() => "True".to_owned(),
        (_, Some((_, OptionKind::Flag))) => "False".to_owned(),
        (TreeOption::Growth(GrowthOption::MaxTime | GrowthOption::RandomTime), _) => {
            match time::seconds(&written.text) {
                Ok(seconds) => seconds.to_string(),
                Err(_) => written.text.clone(),
            }
        }
        _ => written.text.clone(),
    }
}

fn shown(pattern: &str, options: &Options) -> String {
    let usedns = options.text("usedns").unwrap_or_default();
    let hosts = match usedns.eq_ignore_ascii_case("no") {
        true => Hosts::Addresses,
        false => Hosts::Named,
    };
    with_local_flags(&python(pattern, hosts))
}

/// Fail2ban has flags at the beginning of a group hold for the group, since Python takes no other place for those of all.
fn with_local_flags(pattern: &str) -> String {
    static GLOBAL: LazyLock<Option<Regex>> =
        LazyLock::new(|| Regex::new(r"(\\?)\((?:\?:)?(\(\?[a-z]+)\)").ok());
    let Some(global) = &*GLOBAL else {
        return pattern.to_owned();
    };
    let local = |found: &regex::Captures<'_>| match &found[1] {
        "" => format!("{}:", &found[2]),
        _ => found[0].to_owned(),
    };
    global.replace_all(pattern, local).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn flags_hold_for_their_group() {
        for (pattern, expected) in [
            ("^((?i)refused) x", "^(?i:refused) x"),
            ("^(?:(?is)refused) x", "^(?is:refused) x"),
            (r"^\((?i)refused\) x", r"^\((?i)refused\) x"),
            ("(?i)refused", "(?i)refused"),
        ] {
            assert_eq!(with_local_flags(pattern), expected);
        }
    }
}
