//! Which filter does a jail of Fail2ban's have?
//!
//! Two jails of one filter may say different things of it in their brackets. Each gets a filter by its own; those that come to
//! the same share one, as long as there is a name for it.

use std::collections::BTreeMap;

use jiff::tz::{Offset, TimeZone};

use super::super::expression::Hosts;
use super::super::filter::{self, Reading};
use super::super::options::{Options, Written, strip};
use super::jail::Jail;
use super::values::text;
use crate::config::document::Table;
use crate::config::filter::{FilterFile, NORMAL};
use crate::config::problem::{Problems, nearest};
use crate::engine::filter::FilterSpec;
use crate::engine::name::FilterName;

/// The filters so far.
#[derive(Default)]
pub struct Filters {
    /// By their names; `None` for one that cannot be used, which has been reported.
    pub files: BTreeMap<FilterName, Option<FilterFile>>,
    /// What each was made of.
    made_of: BTreeMap<FilterName, Vec<String>>,
}

impl Filters {
    /// Adds the filter of a jail and writes its name into the section; what it finds, or `None` if it cannot be used, which
    /// is reported.
    pub fn add(
        &mut self,
        jail: &Jail<'_>,
        section: &mut Table,
        problems: &mut Problems,
    ) -> Option<FilterSpec> {
        let options = jail.started.filter_options();
        let filter = jail.started.filter.as_ref();
        let named = filter.map_or(jail.name.as_str(), |filter| filter.name.as_str());
        let zone = jail
            .option("logtimezone")
            .filter(|zone| !strip(&zone.text).is_empty());
        let reading = Reading {
            hosts: match options.text("usedns") {
                Some(word) if !matches!(word.to_lowercase().as_str(), "yes" | "warn" | "raw") => {
                    Hosts::Addresses
                }
                _ => Hosts::Named,
            },
            zone: zone.map_or_else(TimeZone::system, |written| self::zone(written, problems)),
        };
        let mut made_of: Vec<String> = options
            .iter()
            .map(|(key, value)| format!("{key}={}", value.text))
            .collect();
        made_of.push(format!("{:?}", reading.hosts));
        made_of.push(zone.map(|zone| zone.text.clone()).unwrap_or_default());
        let name = self.name(named, jail, &made_of, problems)?;
        let place = jail
            .option("filter")
            .map_or(jail.place, |filter| &filter.place);
        section.set("filter", text(name.as_str(), place));
        if !self.files.contains_key(&name) {
            let file = self.read(&name, jail, &options, &reading, problems);
            self.files.insert(name.clone(), file);
            self.made_of.insert(name.clone(), made_of);
        }
        let file = self.files.get(&name)?.as_ref();
        if file.is_none() {
            let message = format!(
                "jail `{}` does not start: its filter `{named}` cannot be used",
                jail.name
            );
            problems.error(place, message, "mend the filter where that is reported");
        }
        file.map(|file| file.spec(NORMAL))
    }

    fn read(
        &self,
        name: &FilterName,
        jail: &Jail<'_>,
        options: &Options,
        reading: &Reading,
        problems: &mut Problems,
    ) -> Option<FilterFile> {
        let has_patterns = options
            .text("failregex")
            .is_some_and(|text| !strip(text).is_empty());
        if !has_patterns {
            let message = format!("jail `{}` has no failregex: it finds nothing", jail.name);
            problems.error(
                jail.place,
                message,
                "write failregex, or name another filter",
            );
            return None;
        }
        let unknown = options.get("failregex").and_then(|text| {
            let (_, mode) = text.text.split_once(OF_A_MODE)?;
            Some(mode.split_once('>')?.0)
        });
        if let Some(mode) = unknown {
            unknown_mode(mode, jail, problems);
        }
        let file = FilterFile::from(filter::file(name.clone(), options, reading, problems)?);
        let spec = file.spec(NORMAL);
        file.check(&spec, problems).then_some(file)
    }

    /// A name for it: that of the filter, or another one if that is of something else.
    fn name(
        &self,
        filter: &str,
        jail: &Jail<'_>,
        made_of: &[String],
        problems: &mut Problems,
    ) -> Option<FilterName> {
        let own = format!("{filter}-{}", jail.name);
        let candidates = [filter, jail.name.as_str(), &own];
        let candidates = candidates
            .iter()
            .filter_map(|name| name.parse::<FilterName>().ok());
        let mut free = candidates.filter(|name| {
            let known = self.made_of.get(name);
            known.is_none_or(|known| known == made_of)
        });
        let found = free.next();
        if found.is_none() {
            let message = format!(
                "there is no name left for the filter `{filter}` of jail `{}`",
                jail.name
            );
            problems.error(jail.place, message, "give the jail another name");
        }
        found
    }
}

/// Says which mode a jail has that its filter does not: `left` is what is left of its name in a pattern.
fn unknown_mode(left: &str, jail: &Jail<'_>, problems: &mut Problems) {
    let filter = jail.started.filter.as_ref();
    let said = filter.and_then(|filter| filter.parameters.get("mode"));
    let said = said.filter(|said| left.starts_with(&said.text));
    let (mode, place) = said.map_or((left, jail.place), |said| (&said.text, &said.place));
    let modes = filter.into_iter().flat_map(|filter| &filter.modes);
    let remedy = match nearest(mode, modes.map(String::as_str)) {
        Some(near) => format!("did you mean `{near}`?"),
        None => "write one that the filter names mdre-MODE".to_owned(),
    };
    let message = format!(
        "`mode`: the filter of jail `{}` has no mode `{mode}`",
        jail.name
    );
    problems.warning(place, message, remedy);
}

/// How the stock filters name the patterns of a mode; what is left of it in a pattern is of none.
const OF_A_MODE: &str = "<mdre-";

/// A zone: `UTC+0200`, `GMT-3`, `Z`, or any that the system knows by name.
pub(in crate::config::fail2ban) fn zone(written: &Written, problems: &mut Problems) -> TimeZone {
    let word = strip(&written.text);
    let zone = offset(word)
        .map(TimeZone::fixed)
        .or_else(|| TimeZone::get(word).ok());
    zone.unwrap_or_else(|| {
        let message =
            format!("`logtimezone`: there is no zone `{word}`: that of the system is taken");
        problems.warning(
            &written.place,
            message,
            "write one such as UTC+0200 or Europe/Berlin",
        );
        TimeZone::system()
    })
}

fn offset(word: &str) -> Option<Offset> {
    let upper = word.to_ascii_uppercase();
    let signed = upper
        .strip_prefix("UTC")
        .or(upper.strip_prefix("GMT"))
        .unwrap_or(&upper);
    if matches!(signed, "" | "Z") {
        return Some(Offset::UTC);
    }
    let (sign, digits) = match signed.split_at_checked(1)? {
        ("+", digits) => (1, digits),
        ("-", digits) => (-1, digits),
        _ => return None,
    };
    let digits = digits.replace(':', "");
    if !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let (hours, minutes) = match digits.len() {
        1 | 2 => (digits.as_str(), "0"),
        4 => digits.split_at(2),
        _ => return None,
    };
    let seconds = hours.parse::<i32>().ok()? * 3_600 + minutes.parse::<i32>().ok()? * 60;
    Offset::from_seconds(sign * seconds).ok()
}
