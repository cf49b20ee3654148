//! What does `class = { … }` say?
//!
//! In: a table or a list of tables, of a jail or of `[defaults]`. Out: the classes, in their order. What cannot be used
//! is reported.

use std::num::NonZeroU32;

use super::document::{Kind, Value};
use super::keys::{self, MOST_RETRIES};
use super::problem::Problems;
use super::section::Section;
use crate::engine::atlas::Asn;
use crate::engine::jail::class::ClassRule;
use crate::engine::policy::MaxRetry;

/// Which databases are named in `[daemon]`.
#[derive(Clone, Copy, Debug, Default)]
pub struct Named {
    /// `country`
    pub country: bool,
    /// `operator`
    pub operator: bool,
}

/// The classes of a jail; none if nothing is said.
pub fn read(section: &Section<'_>, named: Named, problems: &mut Problems) -> Vec<ClassRule> {
    let Some(value) = section.value("class") else {
        return Vec::new();
    };
    let items = match &value.kind {
        Kind::List(items) => items.as_slice(),
        _ => std::slice::from_ref(value),
    };
    let mut classes = Vec::with_capacity(items.len());
    for item in items {
        let Kind::Table(table) = &item.kind else {
            section.refuse("class", item, problems);
            continue;
        };
        let table = Section::new(Some(table), keys::CLASS);
        table.check_keys("`class`", problems);
        classes.extend(class(&table, item, named, problems));
    }
    classes
}

fn class(
    table: &Section<'_>,
    item: &Value,
    named: Named,
    problems: &mut Problems,
) -> Option<ClassRule> {
    let before = problems.count();
    let countries = table.parsed_list("country", problems).unwrap_or_default();
    let countries: Vec<_> = countries.into_iter().map(|(country, _)| country).collect();
    let asns = table.numbers("asn", 0, i64::from(u32::MAX), problems);
    let asns = asns.into_iter().filter_map(|asn| u32::try_from(asn).ok());
    let asns: Vec<_> = asns.map(Asn).collect();
    let maxretry = table.number("maxretry", 1, i64::from(MOST_RETRIES), problems);
    for (key, database, is_named) in [
        ("country", "country", named.country),
        ("asn", "operator", named.operator),
    ] {
        if let (Some(value), false) = (table.value(key), is_named) {
            let message = format!("`{key}` of `class` needs a database");
            let remedy = format!("name one with `{database}` in [daemon]");
            problems.error(&value.place, message, remedy);
        }
    }
    if problems.count() > before {
        return None;
    }
    if countries.is_empty() && asns.is_empty() {
        let remedy = "write country = [\"DE\"], or asn = [64500], or both";
        problems.error(&item.place, "a `class` of nobody in particular", remedy);
        return None;
    }
    let Some(maxretry) = maxretry else {
        let remedy = "write maxretry = 1, or another number from 1 to 1000";
        problems.error(&item.place, "a `class` without `maxretry`", remedy);
        return None;
    };
    Some(ClassRule {
        countries,
        asns,
        maxretry: MaxRetry(u32::try_from(maxretry).ok().and_then(NonZeroU32::new)?),
    })
}
