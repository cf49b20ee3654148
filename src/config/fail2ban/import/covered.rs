//! Which filter of ours takes every line that one of Fail2ban's takes?
//!
//! The answers are data, in `covered.toml`: a filter of Fail2ban's is known by a digest of all its patterns, with everything
//! put in that the jail says of it, so that whatever was changed makes it another filter. A test shows by all logs there are,
//! also with every other word that its patterns have, that ours takes the same lines, and blames the same addresses.

use std::sync::Arc;

use serde::Deserialize;

use crate::config::fail2ban::digest::sha256;
use crate::config::fail2ban::jail::Started;
use crate::config::fail2ban::options::{Options, strip};
use crate::config::filter::{FilterFile, NORMAL};
use crate::config::problem::{Problems, Text};
use crate::config::shipped;

/// What covers what.
const COVERED: &str = include_str!("covered.toml");

/// What a filter is known by.
const PATTERNS: [&str; 5] = [
    "prefregex",
    "failregex",
    "ignoreregex",
    "maxlines",
    "datepattern",
];

/// All that is known.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Covered {
    filter: Vec<Row>,
}

/// One filter of Fail2ban's.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Row {
    /// As a jail names it.
    pub stock: String,
    /// Its digests: for log files, and for a journal if that makes a difference.
    pub known: Vec<String>,
    /// Ours.
    #[serde(rename = "use")]
    pub uses: String,
    /// The mode of ours, if it is not the normal one.
    pub mode: Option<String>,
    /// Why ours leaves some lines on purpose, in phrases for the administrator, sorted.
    #[serde(default)]
    pub differs: Vec<String>,
}

impl Covered {
    /// What this program knows.
    pub fn known() -> Covered {
        toml::from_str(COVERED).unwrap_or_else(|error| {
            // It is a part of the program, and a test reads it.
            log::error!("what filters cover is not known: {error}");
            Covered::default()
        })
    }

    /// All of it.
    pub fn rows(&self) -> &[Row] {
        &self.filter
    }

    /// What covers the filter of a jail.
    ///
    /// # Errors
    /// Nothing surely does; why.
    pub fn row(&self, jail: &Started) -> Result<&Row, Uncovered> {
        let says = |key: &str| {
            let said = jail.options.text(key);
            said.is_some_and(|text| !strip(text).is_empty())
        };
        if says("logtimezone") {
            return Err(Uncovered::Said(vec!["logtimezone"]));
        }
        let known = |options: &Options| {
            let digest = digest(options);
            self.filter.iter().find(|row| row.known.contains(&digest))
        };
        if let Some(row) = known(&jail.filter_options()) {
            return Ok(row);
        }
        let Some(filter) = &jail.filter else {
            return Err(Uncovered::Unknown);
        };
        let said: Vec<_> = PATTERNS.into_iter().filter(|key| says(key)).collect();
        if !said.is_empty() && known(&filter.options).is_some() {
            return Err(Uncovered::Said(said));
        }
        let is_of_it = |row: &Row| {
            let (name, _) = row.stock.split_once('[').unwrap_or((&row.stock, ""));
            name == filter.name
        };
        let name = filter.name.clone();
        let has_namesake = shipped::FILTERS.iter().any(|(ours, _)| *ours == name);
        Err(if self.filter.iter().any(is_of_it) {
            Uncovered::Otherwise(name)
        } else if has_namesake {
            Uncovered::Less(name)
        } else {
            Uncovered::Unknown
        })
    }
}

/// Why no filter of ours surely covers that of a jail.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Uncovered {
    /// The jail says something that is no part of one of ours.
    #[error("the jail itself sets {}", listed(.0))]
    Said(Vec<&'static str>),
    /// One of ours covers it as Fail2ban ships it in some mode, but it is otherwise.
    #[error(
        "its mode, parameters or files make of `{0}` none that one of f2bd's is known to cover"
    )]
    Otherwise(String),
    /// One of ours has its name, and leaves some of what it counts.
    #[error("f2bd's own `{0}` is not known to count all that it counts")]
    Less(String),
    /// There is none.
    #[error("none of f2bd's is known to count all that it counts")]
    Unknown,
}

fn listed(keys: &[&str]) -> String {
    let keys: Vec<_> = keys.iter().map(|key| format!("`{key}`")).collect();
    keys.join(" and ")
}

impl Row {
    /// What is different, in a sentence.
    pub fn difference(&self) -> String {
        let mode = self.mode.as_ref();
        let mode = mode.map_or(String::new(), |mode| format!(", mode `{mode}`"));
        let mut told = format!(
            "f2bd's own filter `{}`{mode} takes the place of Fail2ban's: it counts the same lines and maybe more, but none that a client can forge",
            self.uses
        );
        if !self.differs.is_empty() {
            told.push_str(" or that tells too little: ");
            told.push_str(&self.differs.join("; "));
        }
        told
    }

    /// Whether ours can find the name of a host instead of an address.
    pub fn names_hosts(&self) -> bool {
        let known = shipped::FILTERS.iter();
        let mut named = known.filter(|(name, _)| *name == self.uses);
        let spec = named.next().and_then(|(name, content)| {
            let text = Arc::new(Text {
                path: name.into(),
                content: (*content).to_owned(),
            });
            let file = FilterFile::parse(name.parse().ok()?, &text, &mut Problems::default())?;
            Some(file.spec(self.mode.as_deref().unwrap_or(NORMAL)))
        });
        spec.is_some_and(|spec| spec.names_hosts())
    }
}

/// What a filter is known by: the SHA-256 of its patterns.
pub fn digest(options: &Options) -> String {
    let mut text = String::new();
    for key in PATTERNS {
        let lines = options.text(key).unwrap_or_default().lines().map(strip);
        for line in lines.filter(|line| !line.is_empty()) {
            text.push_str(key);
            text.push(' ');
            text.push_str(line);
            text.push('\n');
        }
    }
    sha256(&text)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::fail2ban::jail::TreeFilter;
    use crate::config::fail2ban::options::Written;
    use crate::config::problem::Place;

    /// A jail whose filter is one that ours covers, if it has this pattern.
    fn jail(name: &str, pattern: &str, said: &[(&str, &str)]) -> Started {
        let place = Place::whole(&Arc::new(Text {
            path: "jail.local".into(),
            content: String::new(),
        }));
        let options = |all: &[(&str, &str)]| {
            let mut options = Options::default();
            for (key, value) in all {
                options.set(*key, Written::new(*value, &place));
            }
            options
        };
        Started {
            options: options(said),
            others: Options::default(),
            filter: Some(TreeFilter {
                name: name.to_owned(),
                parameters: Options::default(),
                modes: Vec::new(),
                options: options(&[("failregex", pattern)]),
            }),
            actions: Vec::new(),
        }
    }

    #[test]
    fn it_is_told_why_nothing_covers_a_filter() {
        let mut own = jail("nginx-http-auth", "^refused <HOST>$", &[]);
        let covered = Covered {
            filter: vec![Row {
                stock: "nginx-http-auth[mode=normal]".to_owned(),
                known: vec![digest(&own.filter_options())],
                uses: "nginx-http-auth".to_owned(),
                mode: None,
                differs: Vec::new(),
            }],
        };
        assert!(covered.row(&own).is_ok());
        for (changed, why) in [
            (
                jail(
                    "nginx-http-auth",
                    "^refused <HOST>$",
                    &[("logtimezone", "UTC")],
                ),
                Uncovered::Said(vec!["logtimezone"]),
            ),
            (
                jail(
                    "nginx-http-auth",
                    "^refused <HOST>$",
                    &[("failregex", "^<HOST>"), ("datepattern", "EPOCH")],
                ),
                Uncovered::Said(vec!["failregex", "datepattern"]),
            ),
            (
                jail("nginx-http-auth", "^denied <HOST>$", &[]),
                Uncovered::Otherwise("nginx-http-auth".to_owned()),
            ),
            (
                jail("sshd", "^denied <HOST>$", &[]),
                Uncovered::Less("sshd".to_owned()),
            ),
            (jail("mine", "^denied <HOST>$", &[]), Uncovered::Unknown),
        ] {
            assert_eq!(covered.row(&changed).err(), Some(why));
        }
        own.filter = None;
        assert_eq!(covered.row(&own).err(), Some(Uncovered::Unknown));
    }
}
