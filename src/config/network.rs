//! What does `network = { … }` say?
//!
//! In: a table or a list of tables, of a jail or of `[defaults]`. Out: the rules, of each family the narrowest first.
//! What cannot be used is reported.

use std::cmp::Reverse;
use std::num::NonZeroU32;

use super::document::{Kind, Value};
use super::keys::{self, MOST_RETRIES};
use super::problem::Problems;
use super::section::Section;
use crate::engine::jail::network::{NetworkRule, NetworkWidth};
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
    let mut rules: Vec<NetworkRule> = Vec::with_capacity(2 * items.len());
    for item in items {
        let Kind::Table(table) = &item.kind else {
            section.refuse("network", item, problems);
            continue;
        };
        let inner = Section::new(Some(table), keys::NETWORK);
        inner.check_keys("`network`", problems);
        for rule in item_rules(&inner, item, items.len() > 1, width, findtime, problems) {
            if rules.iter().any(|other| other.width == rule.width) {
                let (key, bits) = key_and_bits(rule.width);
                let message = format!("`network` has two networks with `{key}` = {bits}");
                let remedy = "write another number, such as 16 for IPv4 or 32 for IPv6";
                problems.error(&item.place, message, remedy);
            }
            rules.push(rule);
        }
    }
    rules.sort_by_key(|rule| {
        let (key, bits) = key_and_bits(rule.width);
        (key, Reverse(bits))
    });
    rules
}

/// What one table says, for each family that it concerns: where there are `others`, only for those that it names, if it
/// names any.
fn item_rules(
    table: &Section<'_>,
    item: &Value,
    others: bool,
    subject: SubjectWidth,
    findtime: FindTime,
    problems: &mut Problems,
) -> Vec<NetworkRule> {
    let mut count = |key: &str, least: i64, most: u32, usual: u32| {
        let number = table.number(key, least, i64::from(most), problems);
        let number = number.and_then(|number| u32::try_from(number).ok());
        number.unwrap_or(usual)
    };
    let widths = [
        NetworkWidth::Ipv4(count("ipv4", 8, 31, 24) as u8),
        NetworkWidth::Ipv6(count("ipv6", 16, 127, 48) as u8),
    ];
    let hosts = NonZeroU32::new(count("hosts", 2, MOST_RETRIES, 4)).unwrap_or(NonZeroU32::MIN);
    // As many failures as hosts at least.
    let maxretry = count("maxretry", 2, MOST_RETRIES, 20.max(hosts.get()));
    let maxretry = NonZeroU32::new(maxretry).unwrap_or(hosts);
    let findtime = table.span("findtime", problems).map_or(findtime, FindTime);
    let at = |key: &str| table.value(key).map_or(&item.place, |value| &value.place);
    let names_one = table.says("ipv4") || table.says("ipv6");
    let mut rules = Vec::new();
    for width in widths {
        let (key, bits) = key_and_bits(width);
        if others && names_one && !table.says(key) {
            continue;
        }
        let of_subject = match width {
            NetworkWidth::Ipv4(_) => subject.ipv4,
            NetworkWidth::Ipv6(_) => subject.ipv6,
        };
        if bits >= of_subject {
            let message = format!("`{key}` of `network` is {bits}, no less than that of `prefix`");
            problems.error(at(key), message, format!("write less than {of_subject}"));
            return Vec::new();
        }
        let fitting = 1_u64.checked_shl(u32::from(of_subject - bits));
        if let Some(fitting) = fitting.filter(|fitting| u64::from(hosts.get()) > *fitting) {
            let message = format!(
                "`hosts` of `network` is {hosts}, and in a network of {bits} bits are no more than {fitting}"
            );
            problems.error(
                at("hosts"),
                message,
                "write fewer hosts, or a wider network",
            );
            return Vec::new();
        }
        rules.push(NetworkRule {
            width,
            hosts,
            maxretry: MaxRetry(maxretry),
            findtime,
        });
    }
    if maxretry < hosts {
        let message = format!("`maxretry` of `network` is less than its `hosts`, {hosts}");
        problems.error(at("maxretry"), message, "write that many or more");
        return Vec::new();
    }
    rules
}

/// By which key a width is written, and as which number.
pub fn key_and_bits(width: NetworkWidth) -> (&'static str, u8) {
    match width {
        NetworkWidth::Ipv4(bits) => ("ipv4", bits),
        NetworkWidth::Ipv6(bits) => ("ipv6", bits),
    }
}
