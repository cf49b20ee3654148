//! What does `network = { … }` say?
//!
//! In: a table or a list of tables, of a jail or of `[defaults]`. Out: the rules, the narrowest first. What cannot be
//! used is reported.

use std::cmp::Reverse;
use std::num::NonZeroU32;

use super::document::{Kind, Value};
use super::keys::{self, MOST_RETRIES};
use super::problem::Problems;
use super::section::Section;
use crate::engine::jail::network::NetworkRule;
use crate::engine::policy::MaxRetry;
use crate::engine::prefix::SubjectWidth;
use crate::engine::time::FindTime;

/// The rules for networks of a jail whose subjects have this `width`; none if nothing is said.
pub fn read(
    section: &Section<'_>,
    width: SubjectWidth,
    findtime: FindTime,
    problems: &mut Problems,
) -> Vec<NetworkRule> {
    let Some(value) = section.value("network") else {
        return Vec::new();
    };
    let items = match &value.kind {
        Kind::List(items) => items.as_slice(),
        _ => std::slice::from_ref(value),
    };
    let mut rules: Vec<NetworkRule> = Vec::with_capacity(items.len());
    for item in items {
        let Kind::Table(table) = &item.kind else {
            section.refuse("network", item, problems);
            continue;
        };
        let inner = Section::new(Some(table), keys::NETWORK);
        inner.check_keys("`network`", problems);
        rules.extend(rule(&inner, item, width, findtime, problems));
    }
    rules.sort_by_key(|rule| Reverse((rule.width.ipv4, rule.width.ipv6)));
    let crossed = rules.windows(2).any(|pair| {
        let (narrow, wide) = (pair[0].width, pair[1].width);
        wide.ipv4 >= narrow.ipv4 || wide.ipv6 >= narrow.ipv6
    });
    if crossed {
        let message = "the networks of `network` are not each wider than the one before".to_owned();
        let remedy = "write other numbers, such as 24 and 48, then 16 and 32";
        problems.error(&value.place, message, remedy);
        return Vec::new();
    }
    rules
}

fn rule(
    table: &Section<'_>,
    item: &Value,
    subject: SubjectWidth,
    findtime: FindTime,
    problems: &mut Problems,
) -> Option<NetworkRule> {
    let mut count = |key: &str, least: i64, most: u32, usual: u32| {
        let number = table.number(key, least, i64::from(most), problems);
        let number = number.and_then(|number| u32::try_from(number).ok());
        number.unwrap_or(usual)
    };
    let ipv4 = count("ipv4", 8, 31, 24) as u8;
    let ipv6 = count("ipv6", 16, 127, 48) as u8;
    let hosts = NonZeroU32::new(count("hosts", 2, MOST_RETRIES, 4))?;
    // As many failures as hosts at least.
    let maxretry = NonZeroU32::new(count("maxretry", 2, MOST_RETRIES, 20.max(hosts.get())))?;
    let findtime = table.span("findtime", problems).map_or(findtime, FindTime);
    let at = |key: &str| table.value(key).map_or(&item.place, |value| &value.place);
    for (key, bits, of_subject) in [("ipv4", ipv4, subject.ipv4), ("ipv6", ipv6, subject.ipv6)] {
        if bits >= of_subject {
            let message = format!("`{key}` of `network` is {bits}, no less than that of `prefix`");
            problems.error(at(key), message, format!("write less than {of_subject}"));
            return None;
        }
    }
    if maxretry < hosts {
        let message = format!("`maxretry` of `network` is less than its `hosts`, {hosts}");
        problems.error(at("maxretry"), message, "write that many or more");
        return None;
    }
    Some(NetworkRule {
        width: SubjectWidth { ipv4, ipv6 },
        hosts,
        maxretry: MaxRetry(maxretry),
        findtime,
    })
}
