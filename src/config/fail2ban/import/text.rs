//! How are settings written as TOML?
//!
//! In: tables as the reader of f2bd.conf would have read them, and where each value was written in Fail2ban's files. Out: the text of
//! an f2bd.conf, with the comments that stood there.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::path::Path;

use super::clients;
use crate::config::base::part;
use crate::config::document::{Entry, Kind, Table};
use crate::config::problem::Place;
use crate::config::toml_text::literal;

/// Where administrators write, and packages little.
const LOCAL: &str = "local";
const DROP_INS: &str = "jail.d";

/// Keys whose numbers are seconds.
const SPANS: [&str; 6] = [
    "findtime",
    "bantime",
    "max",
    "memory",
    "jitter",
    "later_jitter",
];

/// Units of time, the largest first, with their seconds.
const UNITS: [(&str, i64); 5] = [
    ("w", 604_800),
    ("d", 86_400),
    ("h", 3_600),
    ("m", 60),
    ("s", 1),
];

/// The whole configuration.
pub fn configuration(table: &Table, folder: &Path) -> String {
    let mut writer = Writer {
        text: format!("# What Fail2ban did by {}.\n", folder.display()),
        told: BTreeSet::new(),
    };
    for name in ["daemon", "defaults"] {
        if let Some(section) = part(table, name) {
            writer.section(name, section);
        }
    }
    for name in ["source", "action", "jail"] {
        let sections = part(table, name).into_iter().flat_map(Table::entries);
        for entry in sections {
            if let Kind::Table(section) = &entry.value.kind {
                writer.section(&format!("{name}.{}", key(&entry.key)), section);
            }
        }
    }
    writer.text
}

/// A key, in quotes if it needs them.
fn key(key: &str) -> String {
    let is_bare = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_');
    match !key.is_empty() && key.chars().all(is_bare) {
        true => key.to_owned(),
        false => literal(key),
    }
}

struct Writer {
    text: String,
    /// Comments that have been written, by where they end.
    told: BTreeSet<(std::path::PathBuf, usize)>,
}

impl Writer {
    fn section(&mut self, name: &str, section: &Table) {
        if section.entries().is_empty() {
            return;
        }
        // Writing to a String cannot fail.
        let _ = writeln!(self.text, "\n[{name}]");
        // Naming a jail enables it.
        let is_said = |entry: &&Entry| entry.key != "enabled";
        for entry in section.entries().iter().filter(is_said) {
            self.comments(&entry.value.place);
            if let ("daemon", Some(need)) = (name, clients::need(&entry.key, &entry.value.kind)) {
                // Writing to a String cannot fail.
                let _ = writeln!(self.text, "# {need}.");
            }
            self.entry(entry);
        }
    }

    fn entry(&mut self, entry: &Entry) {
        let value = said(entry);
        // Writing to a String cannot fail.
        let _ = writeln!(self.text, "{} = {value}", key(&entry.key));
    }

    /// The comments above a setting that the administrator has written.
    fn comments(&mut self, place: &Place) {
        let path = place.path();
        let is_own = path.extension().is_some_and(|ending| ending == LOCAL)
            || path
                .parent()
                .is_some_and(|parent| parent.ends_with(DROP_INS));
        let told = (path.to_owned(), place.offset());
        let before = place.text().content.get(..place.offset());
        let Some(before) = before.filter(|_| is_own && self.told.insert(told)) else {
            return;
        };
        let whole = before.rfind('\n').map_or("", |end| &before[..end]);
        let comments = whole.lines().rev().map(str::trim_end);
        let comments = comments.take_while(|line| line.starts_with(['#', ';']));
        let comments: Vec<_> = comments.collect();
        for comment in comments.iter().rev() {
            let plain = comment.trim_start_matches(['#', ';']).trim();
            let plain: String = plain.chars().filter(|sign| !sign.is_control()).collect();
            self.text.push_str(format!("# {plain}").trim_end());
            self.text.push('\n');
        }
    }
}

/// What an entry says.
fn said(entry: &Entry) -> String {
    match &entry.value.kind {
        Kind::Integer(seconds) if SPANS.contains(&entry.key.as_str()) => span(*seconds),
        kind => value(kind),
    }
}

/// So many seconds in the largest unit that they are a multiple of.
fn span(seconds: i64) -> String {
    let mut units = UNITS
        .iter()
        .filter(|(_, unit)| seconds % unit == 0 && seconds != 0);
    match units.next() {
        Some((name, unit)) => format!("\"{}{name}\"", seconds / unit),
        None => format!("\"{seconds}s\""),
    }
}

fn value(kind: &Kind) -> String {
    match kind {
        Kind::Text(text) => literal(text),
        Kind::Integer(number) => number.to_string(),
        Kind::Decimal(number) => format!("{number:?}"),
        Kind::Flag(flag) => flag.to_string(),
        Kind::List(items) => {
            let items: Vec<_> = items.iter().map(|item| value(&item.kind)).collect();
            format!("[{}]", items.join(", "))
        }
        Kind::Table(table) => {
            let entries = table.entries().iter();
            let entries: Vec<_> = entries
                .map(|entry| format!("{} = {}", key(&entry.key), said(entry)))
                .collect();
            format!("{{ {} }}", entries.join(", "))
        }
        // Nothing that a setting could be, and what stands in a file of its own.
        Kind::Other(_) | Kind::Secret(_) => "\"\"".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_are_readable() {
        for (seconds, text) in [
            (600, "10m"),
            (3_600, "1h"),
            (5_400, "90m"),
            (172_800, "2d"),
            (604_800, "1w"),
            (61, "61s"),
        ] {
            assert_eq!(span(seconds), format!("\"{text}\""));
        }
    }
}
