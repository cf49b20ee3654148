//! What does a filter file say of whole lines?
//!
//! In: `[lines]`, or what another program's filter comes to. Out: [`LineRules`], which make the patterns of the file
//! patterns over lines.

use std::num::NonZeroU16;
use std::sync::Arc;

use super::{FilterFile, Pattern};
use crate::config::keys;
use crate::config::problem::{Place, Problems, Text};
use crate::config::section::Section;
use crate::engine::filter::line::Dating;
use crate::engine::filter::{LineRules, PatternSpec, RecordsSpec};
use crate::engine::name::FilterName;
use crate::engine::record::date::template::DateTemplates;

/// The most lines that can be looked at together.
pub const MOST_LINES: i64 = 1_000;

/// What another program's filter comes to.
#[derive(Debug)]
pub struct LineFile {
    /// How it is known.
    pub name: FilterName,
    /// The file that it is mainly written in.
    pub text: Arc<Text>,
    /// One line for people.
    pub title: String,
    /// What it looks at.
    pub records: RecordsSpec,
    /// What it says beside its patterns.
    pub rules: LineRules,
    /// The failures, in our dialect, and where they are written.
    pub failures: Vec<(String, Place)>,
    /// What is no failure all the same.
    pub ignores: Vec<(String, Place)>,
    /// Whether all of it is as that program ships it.
    pub is_stock: bool,
}

impl From<LineFile> for FilterFile {
    fn from(file: LineFile) -> Self {
        let patterns = |patterns: Vec<(String, Place)>| {
            let numbered = patterns.into_iter().zip(1..);
            let pattern = |((text, place), number)| Pattern {
                modes: Vec::new(),
                spec: PatternSpec {
                    number,
                    text,
                    fields: Vec::new(),
                    unless_counted: false,
                },
                place,
            };
            numbered.map(pattern).collect()
        };
        FilterFile {
            name: file.name,
            text: file.text,
            title: file.title,
            versions: String::new(),
            needs: String::new(),
            ports: Vec::new(),
            protocols: Vec::new(),
            records: file.records,
            session_by_pid: false,
            failures: patterns(file.failures),
            successes: Vec::new(),
            ignores: patterns(file.ignores),
            samples: Vec::new(),
            lines: Some(file.rules),
            is_foreign_stock: file.is_stock,
        }
    }
}

/// What `[lines]` says; `None` if there is no such section.
pub(super) fn read(top: &Section<'_>, problems: &mut Problems) -> Option<LineRules> {
    let section = top
        .says("lines")
        .then(|| top.inner("lines", keys::LINES, problems))?;
    section.check_keys("[lines]", problems);
    let date = section.text("date", problems);
    let templates = match date.map(DateTemplates::parse) {
        None => Some(DateTemplates::usual()),
        Some(Ok(templates)) => Some(templates),
        Some(Err(error)) => {
            let place = section.value("date").map(|value| value.place.clone());
            section.complain("date", &place?, error.to_string(), problems);
            None
        }
    };
    let zone = section.zone(problems);
    let window = section.number("together", 1, MOST_LINES, problems);
    let window = window.and_then(|lines| NonZeroU16::new(u16::try_from(lines).ok()?));
    Some(LineRules {
        prefix: section.text("prefix", problems).map(str::to_owned),
        dates: templates
            .filter(|templates| !templates.is_none())
            .map(|templates| Dating { templates, zone }),
        window: window.unwrap_or(NonZeroU16::MIN),
    })
}
