//! What does a filter of Fail2ban come to?
//!
//! In: its options, with all references put in, and what its jail says of names and zones. Out: a [`LineFile`], whose
//! patterns are in our language; or every mistake, at the place where the option is written.

use std::num::NonZeroU16;
use std::sync::Arc;

use jiff::tz::TimeZone;

use super::date;
use super::expression::{Hosts, Translated, expression};
use super::options::{Options, Written};
use super::stock;
use crate::config::filter::{LineFile, MOST_LINES};
use crate::config::problem::Problems;
use crate::engine::filter::line::Dating;
use crate::engine::filter::{LineRules, RecordsSpec};
use crate::engine::name::FilterName;
use crate::engine::record::date::template::DateTemplates;

/// What a jail says of how its filter reads.
#[derive(Clone, Debug)]
pub struct Reading {
    /// What <HOST> can be.
    pub hosts: Hosts,
    /// The zone of dates that do not tell theirs.
    pub zone: TimeZone,
}

/// The filter that `options` describe; `None` if a part of it cannot be used, which is reported.
pub fn file(
    name: FilterName,
    options: &Options,
    reading: &Reading,
    problems: &mut Problems,
) -> Option<LineFile> {
    let before = problems.count();
    let mut translate = |key: &str, written: &Written, text: &str| {
        let translated = expression(text, reading.hosts).inspect_err(|error| {
            problems.error(
                &written.place,
                format!("`{key}`: {error}"),
                "see f2bd-filter(5)",
            );
        });
        translated.ok()
    };
    let prefix = options
        .get("prefregex")
        .filter(|prefix| !prefix.text.trim().is_empty());
    let prefix = prefix.and_then(|written| translate("prefregex", written, written.text.trim()));
    let mut all = |key: &str| -> Vec<(Translated, &Written)> {
        let written = options.get(key).into_iter();
        let lines =
            written.flat_map(|written| written.text.lines().map(move |line| (line, written)));
        let lines = lines.map(|(line, written)| (line.trim(), written));
        let lines = lines.filter(|(line, _)| !line.is_empty());
        let translated =
            lines.filter_map(|(line, written)| Some((translate(key, written, line)?, written)));
        translated.collect()
    };
    let (failures, ignores) = (all("failregex"), all("ignoreregex"));
    let told_by_prefix = prefix.as_ref().is_some_and(Translated::tells_who);
    for (number, (failure, written)) in (1..).zip(&failures) {
        if !told_by_prefix && !failure.tells_who() {
            problems.error(
                &written.place,
                format!("`failregex`: expression {number} does not say who has failed"),
                "write <HOST>, <ADDR> or <F-ID>…</F-ID> into it, or into `prefregex`",
            );
        }
    }
    let dates = dates(options, reading, problems);
    let window = window(options, problems);
    let own = |patterns: Vec<(Translated, &Written)>| {
        let patterns = patterns.into_iter();
        patterns
            .map(|(pattern, written)| (pattern.source, written.place.clone()))
            .collect()
    };
    let text = Arc::clone(options.get("failregex")?.place.text());
    (problems.count() == before).then(|| LineFile {
        title: format!("{name} of Fail2ban"),
        name,
        text,
        records: RecordsSpec::default(),
        rules: LineRules {
            prefix: prefix.map(|prefix| prefix.source),
            dates,
            window,
        },
        failures: own(failures),
        ignores: own(ignores),
        is_stock: stock::is_shipped(options),
    })
}

fn dates(options: &Options, reading: &Reading, problems: &mut Problems) -> Option<Dating> {
    let templates = match options.get("datepattern") {
        None => DateTemplates::usual(),
        Some(written) => {
            let translated = date::patterns(&written.text).map_err(|error| error.to_string());
            let parsed =
                |text: String| DateTemplates::parse(&text).map_err(|error| error.to_string());
            match translated.and_then(parsed) {
                Ok(templates) => templates,
                Err(error) => {
                    let remedy = "see jail.conf(5) of Fail2ban about `datepattern`";
                    problems.error(&written.place, error, remedy);
                    return None;
                }
            }
        }
    };
    (!templates.is_none()).then(|| Dating {
        templates,
        zone: reading.zone.clone(),
    })
}

fn window(options: &Options, problems: &mut Problems) -> NonZeroU16 {
    let Some(written) = options.get("maxlines") else {
        return NonZeroU16::MIN;
    };
    let lines = written
        .text
        .trim()
        .parse()
        .ok()
        .filter(|lines| (1..=MOST_LINES).contains(lines));
    let lines = lines.and_then(|lines| NonZeroU16::new(u16::try_from(lines).ok()?));
    lines.unwrap_or_else(|| {
        let message = format!("`maxlines` cannot be `{}`: 1 is taken", written.text);
        let remedy = format!("write a number from 1 to {MOST_LINES}");
        problems.warning(&written.place, message, remedy);
        NonZeroU16::MIN
    })
}
