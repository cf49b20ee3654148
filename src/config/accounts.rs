//! What do `distributed = { … }` and `distinct` say?
//!
//! In: a jail over `[defaults]`, and what its filter can capture. Out: when an account, a target or a session is under
//! attack, and what the jail counts. What cannot be used is reported.

use std::num::NonZeroU32;
use std::time::Duration;

use super::keys::{self, MOST_RETRIES};
use super::problem::Problems;
use super::section::Section;
use crate::engine::filter::Capture;
use crate::engine::jail::accounts::AccountRule;
use crate::engine::policy::Counting;
use crate::engine::time::{FindTime, parse_span};

/// The time of grace if none is written: whoever mistypes is asked again at once.
const GRACE: Duration = Duration::from_secs(30);

/// When an account is under attack; `None` if nothing is said.
pub fn read(
    section: &Section<'_>,
    findtime: FindTime,
    problems: &mut Problems,
) -> Option<AccountRule> {
    section.value("distributed")?;
    let table = section.inner("distributed", keys::DISTRIBUTED, problems);
    let by = capture(&table, "by", &Capture::ALL, problems).unwrap_or(Capture::User);
    let hosts = table.number("hosts", 2, i64::from(MOST_RETRIES), problems);
    let hosts = hosts.and_then(|hosts| u32::try_from(hosts).ok());
    if let (true, Some(value)) = (by != Capture::User, table.value("grace")) {
        problems.error(
            &value.place,
            format!("`grace` has no sense with by = \"{}\"", by.word()),
            "remove it: only a login as a user takes failures back, so nobody is waited for",
        );
    }
    let grace = match by {
        Capture::User => grace(&table, problems).unwrap_or(GRACE),
        Capture::Target | Capture::Session => Duration::ZERO,
    };
    Some(AccountRule {
        by,
        hosts: NonZeroU32::new(hosts.unwrap_or(8))?,
        findtime: table.span("findtime", problems).map_or(findtime, FindTime),
        grace,
    })
}

/// How long logins are waited for; not at all is a good answer.
fn grace(table: &Section<'_>, problems: &mut Problems) -> Option<Duration> {
    let text = table.span_text("grace", problems)?;
    match parse_span(&text) {
        Ok(span) if span.is_zero() => Some(span),
        _ => table.span("grace", problems),
    }
}

/// What the jail counts.
pub fn counting(section: &Section<'_>, problems: &mut Problems) -> Counting {
    match capture(section, "distinct", &[Capture::User], problems) {
        Some(_) => Counting::Users,
        None => Counting::Failures,
    }
}

/// Reports what a jail itself asks for that its filter cannot capture; of `[defaults]` it is for other jails.
pub fn check(
    section: &Section<'_>,
    rule: Option<AccountRule>,
    captures: impl Fn(Capture) -> bool,
    problems: &mut Problems,
) {
    let by = rule.map_or(Capture::User, |rule| rule.by);
    for (key, by) in [("distinct", Capture::User), ("distributed", by)] {
        if let (Some(value), true, false) = (section.value(key), section.says(key), captures(by)) {
            let by = by.word();
            let message = format!("`{key}`: the filter names no {by}s");
            let remedy = format!("remove it, or choose a filter whose patterns have <{by}>");
            problems.error(&value.place, message, remedy);
        }
    }
}

/// Which of these a key names.
fn capture(
    section: &Section<'_>,
    key: &str,
    known: &[Capture],
    problems: &mut Problems,
) -> Option<Capture> {
    let word = section.text(key, problems)?;
    let named = known.iter().find(|capture| capture.word() == word).copied();
    if let (Some(value), None) = (section.value(key), named) {
        let message = format!("`{key}` cannot be `{word}`");
        section.complain(key, &value.place, message, problems);
    }
    named
}
