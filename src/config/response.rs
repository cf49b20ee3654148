//! What do `actions`, `[[jail.NAME.response]]` and `unhindered = { … }` say?
//!
//! In: names of actions, and tables, of a jail or of `[defaults]`. Out: what is done about each offence, and about bans
//! that do not work, and which actions that takes. What cannot be used is reported.

use std::num::NonZeroU32;

use super::document::{Kind, Table, Value};
use super::keys;
use super::problem::{Place, Problems};
use super::section::Section;
use crate::engine::jail::response::{Response, Responses, Unhindered};
use crate::engine::name::ActionName;
use crate::engine::prefix::SubjectWidth;

/// The largest `from`: nobody offends so often.
const MOST_OFFENCES: i64 = 1_000;

/// An action, and where it is named, if it is.
pub type Named = (ActionName, Option<Place>);

/// The responses of a jail whose subjects have this `width`, and the actions that they need.
pub fn read(
    section: &Section<'_>,
    width: SubjectWidth,
    problems: &mut Problems,
) -> Option<(Responses, Vec<Named>)> {
    let usual = match actions(section, problems) {
        Some(named) => named,
        None => vec![("nftables".parse().ok()?, None)],
    };
    let mut graded: Vec<Response> = Vec::new();
    let mut named = usual.clone();
    for (table, value) in tables(section, problems) {
        let table = Section::new(Some(table), keys::RESPONSE);
        table.check_keys("`response`", problems);
        let from = table.number("from", 1, MOST_OFFENCES, problems);
        let from = from.and_then(|from| NonZeroU32::new(u32::try_from(from).ok()?));
        let Some(from) = from else {
            if table.value("from").is_none() {
                let remedy = "write from = 2, or another number from 1 to 1000";
                problems.error(&value.place, "a `response` without `from`", remedy);
            }
            continue;
        };
        if graded.iter().any(|other| other.from == from) {
            let message = format!("there are two responses from offence {from} on");
            problems.error(&value.place, message, "write another number, or join them");
            continue;
        }
        let own = actions(&table, problems).unwrap_or_else(|| usual.clone());
        graded.push(Response {
            from,
            actions: names(&own),
            network: network(&table, width, problems),
            lets_through: false,
        });
        named.extend(own);
    }
    let (unhindered, wider) = unhindered(section, problems);
    named.extend(wider);
    let responses = Responses::new(names(&usual), graded).with_unhindered(unhindered);
    let used = responses.actions();
    named.retain(|(name, _)| used.contains(&name));
    Some((responses, named))
}

/// What is done about bans that do not work, and the actions that it takes.
fn unhindered(section: &Section<'_>, problems: &mut Problems) -> (Unhindered, Vec<Named>) {
    let usual = Unhindered::default();
    if section.value("unhindered").is_none() {
        return (usual, Vec::new());
    }
    let table = section.inner("unhindered", keys::UNHINDERED, problems);
    let wider = actions(&table, problems).unwrap_or_default();
    let unhindered = Unhindered {
        grace: table.span("grace", problems).unwrap_or(usual.grace),
        actions: names(&wider),
    };
    (unhindered, wider)
}

/// The tables that are written, with the place of each.
fn tables<'t>(section: &Section<'t>, problems: &mut Problems) -> Vec<(&'t Table, &'t Value)> {
    let Some(value) = section.value("response") else {
        return Vec::new();
    };
    let items = match &value.kind {
        Kind::List(items) => items.as_slice(),
        _ => std::slice::from_ref(value),
    };
    let mut tables = Vec::with_capacity(items.len());
    for item in items {
        match &item.kind {
            Kind::Table(table) => tables.push((table, item)),
            _ => section.refuse("response", item, problems),
        }
    }
    tables
}

fn actions(section: &Section<'_>, problems: &mut Problems) -> Option<Vec<Named>> {
    let list = section.parsed_list("actions", problems)?.into_iter();
    let named = list.map(|(name, place)| (name, Some(place.clone())));
    Some(named.collect())
}

fn names(named: &[Named]) -> Vec<ActionName> {
    named.iter().map(|(name, _)| name.clone()).collect()
}

/// How wide the network is that is banned in place of a subject.
fn network(
    section: &Section<'_>,
    subject: SubjectWidth,
    problems: &mut Problems,
) -> Option<SubjectWidth> {
    section.value("network")?;
    let table = section.inner("network", keys::RESPONSE_NETWORK, problems);
    let mut bits = |key: &str, least: i64, of_subject: u8, usual: u8| {
        let bits = table.number(key, least, i64::from(of_subject), problems);
        let bits = bits.and_then(|bits| u8::try_from(bits).ok());
        bits.unwrap_or(usual.min(of_subject))
    };
    Some(SubjectWidth {
        ipv4: bits("ipv4", 8, subject.ipv4, 24),
        ipv6: bits("ipv6", 16, subject.ipv6, 48),
    })
}
