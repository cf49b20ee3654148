//! What is told of jails to those who ask a running daemon?
//!
//! In: jails as they were read. Out: their words, for the control protocol.

use jiff::tz::TimeZone;

use super::fail2ban::shown::Shown;
use super::fail2ban::{Tree, date};
use super::jail::JailSettings;
use super::resolved::Patterns;
use crate::control::protocol::{JailSettingsRow, LinesRow};
use crate::engine::filter::LineRules;
use crate::engine::policy::{IGNOREIP, IgnoreList, JailPolicy, SetName};
use crate::source::SourceSpec;
use crate::source::file::FilesSpec;

/// What is told where no date is looked for.
const NO_DATES: &str = "{NONE}";

/// The enabled jails, in their order; by that the sources know which files each of them wants. Those of a directory of
/// Fail2ban's are told in its words.
pub fn rows(
    jails: &[(JailSettings, Patterns)],
    sources: &[SourceSpec],
    tree: Option<&Tree>,
) -> Vec<JailSettingsRow> {
    let files = sources.iter().filter_map(|source| match source {
        SourceSpec::Files(files) => Some(files),
        _ => None,
    });
    let files: Vec<_> = files.collect();
    let mut said_actions = tree.map(Tree::said_actions).unwrap_or_default();
    let enabled = jails.iter().filter(|(jail, _)| jail.enabled).enumerate();
    enabled
        .map(|(at, (jail, patterns))| {
            let mut row = row(at, jail, patterns, &files);
            if let Some(started) = tree.and_then(|tree| tree.started(&jail.name)) {
                retell(&mut row, Shown::of(started));
                row.said_actions = said_actions.remove(&jail.name).unwrap_or_default();
            }
            row
        })
        .collect()
}

/// Tells in Fail2ban's words what its directory says.
fn retell(row: &mut JailSettingsRow, shown: Shown) {
    row.said = Some(shown.said);
    row.failregex = shown.failregex;
    row.ignoreregex = shown.ignoreregex;
    // A jail that counts bans reads none of it: f2bd knows of its bans.
    if row.logpath.is_empty() && row.journalmatch.is_empty() {
        row.logpath = shown.logpath;
        row.journalmatch = shown.journalmatch;
    }
    if let Some(lines) = &mut row.lines {
        lines.prefregex = shown.prefregex;
    }
}

fn row(
    at: usize,
    jail: &JailSettings,
    patterns: &Patterns,
    files: &[&FilesSpec],
) -> JailSettingsRow {
    let wanted = files.iter().filter_map(|files| {
        let globs = files.wanted.get(at)?;
        (!globs.is_empty()).then_some((files.encoding, globs))
    });
    let wanted: Vec<_> = wanted.collect();
    let encoding = wanted.first().map(|(encoding, _)| *encoding);
    let globs = wanted.iter().flat_map(|(_, globs)| globs.iter());
    let mut sets = jail.ignore.sets().map(|(set, _)| set);
    let command = sets.find_map(|set| match set {
        SetName::Command(words) => Some(words.join(" ")),
        _ => None,
    });
    JailSettingsRow {
        said_actions: Vec::new(),
        jail: jail.name.clone(),
        logpath: globs.map(ToString::to_string).collect(),
        journalmatch: jail.journalmatch.to_string(),
        idle: false,
        logencoding: encoding.unwrap_or_default().to_string(),
        failregex: patterns.failures.clone(),
        ignoreregex: patterns.ignores.clone(),
        ignoreip: ignored(&jail.ignore),
        ignoreself: spares_itself(&jail.ignore),
        ignorecommand: command.unwrap_or_default(),
        usedns: jail.usedns,
        lines: patterns.lines.as_ref().map(lines),
        said: None,
    }
}

/// What a filter says of whole lines.
fn lines(rules: &LineRules) -> LinesRow {
    let (datepattern, dates) = match &rules.dates {
        None => (None, NO_DATES.to_owned()),
        Some(dates) => date::title(dates.templates.text()),
    };
    let zone = rules.dates.as_ref().map(|dates| &dates.zone);
    let zone = zone.filter(|zone| **zone != TimeZone::system());
    LinesRow {
        prefregex: rules.prefix.clone().unwrap_or_default(),
        datepattern,
        dates,
        logtimezone: zone.map(zone_name),
        maxlines: rules.window.get(),
    }
}

/// A zone by its name, or by its offset now if it has none.
fn zone_name(zone: &TimeZone) -> String {
    match zone.iana_name() {
        Some(name) => name.to_owned(),
        None => {
            let offset = zone.to_offset(jiff::Timestamp::now());
            format!("UTC{offset}")
        }
    }
}

/// What is told of a jail that does otherwise than is configured.
pub fn follow(row: &mut JailSettingsRow, jail: &JailPolicy) {
    row.ignoreip = ignored(&jail.ignore);
    row.ignoreself = spares_itself(&jail.ignore);
    row.idle = jail.is_idle;
}

fn spares_itself(list: &IgnoreList) -> bool {
    list.sets().any(|(set, _)| *set == SetName::Own)
}

/// Whom a list names, in the words that were written.
pub fn ignored(list: &IgnoreList) -> Vec<String> {
    let mut words = Vec::new();
    let stated = list.stated().filter_map(|rule| {
        let word = rule.because.strip_prefix(IGNOREIP)?;
        Some(word.trim_start().to_owned())
    });
    let sets = list.sets().filter_map(|(set, _)| match set {
        SetName::Host(name) | SetName::File(name) => Some(name.to_string()),
        SetName::Command(_) | SetName::Own | SetName::Guarded => None,
    });
    let regions = list.regions().map(|region| region.to_string());
    for word in stated.chain(sets).chain(regions) {
        // A range is several networks.
        if !words.contains(&word) {
            words.push(word);
        }
    }
    words
}
