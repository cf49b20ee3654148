//! What are the patterns and the logs of a jail to those who ask in Fail2ban's words?
//!
//! In: a jail of a [`Tree`]. Out: each pattern in Python's language as it was written, with its tags replaced, in the order
//! by which they are deleted. What addresses look like is our own expression, as it is wherever a filter is read.

mod actions;

use std::sync::LazyLock;

use regex::Regex;

use super::Tree;
use super::expression::{Hosts, python};
use super::jail::State;
use super::options::{Options, strip};
use super::transcription::logs;
use crate::engine::name::JailName;

/// The patterns of a jail, and its logs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Shown {
    /// What is a failure.
    pub failregex: Vec<String>,
    /// What is none though it looks like one.
    pub ignoreregex: Vec<String>,
    /// What a line must match first; empty if that is nothing.
    pub prefregex: String,
    /// The logs that it names, perhaps with wildcards; none if it names a journal.
    pub logpath: Vec<String>,
    /// The entries of a journal that it names, alternatives with `+` between them.
    pub journalmatch: String,
}

impl Tree {
    /// What is shown of a jail.
    pub fn shown(&self, jail: &JailName) -> Option<Shown> {
        let mut jails = self.jails.iter();
        let State::On(started) = &jails.find(|one| one.name == jail.as_str())?.state else {
            return None;
        };
        let options = started.filter_options();
        let lines = |key: &str| {
            let lines = options.text(key).unwrap_or_default().split('\n');
            lines.map(strip).filter(|line| !line.is_empty())
        };
        let all = |key: &str| lines(key).map(|line| shown(line, &options)).collect();
        let backend = started.options.text("backend").unwrap_or_default();
        let is_journal = backend.starts_with("systemd");
        let prefix = options.text("prefregex").map(strip).unwrap_or_default();
        Some(Shown {
            failregex: all("failregex"),
            ignoreregex: all("ignoreregex"),
            prefregex: shown(prefix, &options),
            logpath: match is_journal {
                true => Vec::new(),
                false => started
                    .options
                    .get("logpath")
                    .into_iter()
                    .flat_map(logs)
                    .map(str::to_owned)
                    .collect(),
            },
            journalmatch: match is_journal {
                true => lines("journalmatch").collect::<Vec<_>>().join(" + "),
                false => String::new(),
            },
        })
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
