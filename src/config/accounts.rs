//! What do `distributed = { … }` and `distinct` say?
//!
//! In: a jail over `[defaults]`, and whether its filter can name accounts. Out: when an account is under attack, and
//! what the jail counts. What cannot be used is reported.

use std::num::NonZeroU32;
use std::time::Duration;

use super::keys::{self, MOST_RETRIES};
use super::problem::Problems;
use super::section::Section;
use crate::engine::jail::accounts::AccountRule;
use crate::engine::policy::Counting;
use crate::engine::time::{FindTime, parse_span};

/// The time of grace if none is written: whoever mistypes is asked again at once.
const GRACE: Duration = Duration::from_secs(30);

/// What attacks can be looked for by.
const USER: &str = "user";

/// When an account is under attack; `None` if nothing is said.
pub fn read(
    section: &Section<'_>,
    findtime: FindTime,
    problems: &mut Problems,
) -> Option<AccountRule> {
    section.value("distributed")?;
    let table = section.inner("distributed", keys::DISTRIBUTED, problems);
    by(&table, "by", problems);
    let hosts = table.number("hosts", 2, i64::from(MOST_RETRIES), problems);
    let hosts = hosts.and_then(|hosts| u32::try_from(hosts).ok());
    Some(AccountRule {
        hosts: NonZeroU32::new(hosts.unwrap_or(8))?,
        findtime: table.span("findtime", problems).map_or(findtime, FindTime),
        grace: grace(&table, problems).unwrap_or(GRACE),
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
    match by(section, "distinct", problems) {
        true => Counting::Users,
        false => Counting::Failures,
    }
}

/// Reports what a jail itself asks for that its filter cannot give; of `[defaults]` it is for other jails.
pub fn check(section: &Section<'_>, names_users: bool, problems: &mut Problems) {
    for key in ["distinct", "distributed"] {
        if let (Some(value), true, false) = (section.value(key), section.says(key), names_users) {
            let message = format!("`{key}`: the filter names no users");
            let remedy = "remove it, or choose a filter whose patterns have <user>";
            problems.error(&value.place, message, remedy);
        }
    }
}

/// Whether a key names what there is.
fn by(section: &Section<'_>, key: &str, problems: &mut Problems) -> bool {
    let Some(word) = section.text(key, problems) else {
        return false;
    };
    if let (Some(value), false) = (section.value(key), word == USER) {
        section.complain(
            key,
            &value.place,
            format!("`{key}` cannot be `{word}`"),
            problems,
        );
    }
    word == USER
}
