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

    /// What covers the filter of a jail; `None` if nothing surely does.
    pub fn row(&self, jail: &Started) -> Option<&Row> {
        let has_zone = jail.options.get("logtimezone");
        if has_zone.is_some_and(|zone| !strip(&zone.text).is_empty()) {
            return None;
        }
        let digest = digest(&jail.filter_options());
        self.filter.iter().find(|row| row.known.contains(&digest))
    }
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
