//! What do `actions`, `[[jail.NAME.response]]` and `unhindered = { … }` say?
//!
//! In: names of actions, and tables, of a jail or of `[defaults]`. Out: what is done about each offence, and about bans
//! that do not work, and which actions that takes. What cannot be used is reported.

use std::collections::BTreeMap;
use std::num::NonZeroU32;

use super::closing;
use super::document::{Kind, Table, Value};
use super::keys;
use super::problem::{Place, Problems};
use super::section::Section;
use crate::action::ports::{Ports, Protocol, Services};
use crate::engine::jail::response::{Response, Responses, Unhindered};
use crate::engine::name::{ActionName, JailName};
use crate::engine::prefix::SubjectWidth;

/// The largest `from`: nobody offends so often.
const MOST_OFFENCES: i64 = 1_000;

/// An action as a jail names it.
#[derive(Clone, Debug)]
pub struct Named {
    /// Which.
    pub action: ActionName,
    /// Where it is named, if it is.
    pub place: Option<Place>,
    /// What is otherwise for it.
    pub own: Own,
}

/// What holds for one action of a jail instead of what the jail says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Own {
    /// What the action calls the jail.
    pub label: Option<JailName>,
    /// What a banned host cannot reach.
    pub ports: Option<Ports>,
    /// The protocols of these ports.
    pub protocols: Option<Vec<Protocol>>,
}

/// The responses of a jail whose subjects have this `width`, and the actions that they need.
pub fn read(
    section: &Section<'_>,
    width: SubjectWidth,
    services: &Services,
    problems: &mut Problems,
) -> Option<(Responses, Vec<Named>)> {
    let usual = match actions(section, services, problems) {
        Some(named) => named,
        None => vec![Named {
            action: "nftables".parse().ok()?,
            place: None,
            own: Own::default(),
        }],
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
        let own = actions(&table, services, problems).unwrap_or_else(|| usual.clone());
        graded.push(Response {
            from,
            actions: names(&own),
            network: network(&table, width, problems),
            lets_through: false,
        });
        named.extend(own);
    }
    let (unhindered, wider) = unhindered(section, services, problems);
    named.extend(wider);
    let responses = Responses::new(names(&usual), graded).with_unhindered(unhindered);
    let used = responses.actions();
    named.retain(|named| used.contains(&&named.action));
    Some((responses, named))
}

/// What is done about bans that do not work, and the actions that it takes.
fn unhindered(
    section: &Section<'_>,
    services: &Services,
    problems: &mut Problems,
) -> (Unhindered, Vec<Named>) {
    let usual = Unhindered::default();
    if section.value("unhindered").is_none() {
        return (usual, Vec::new());
    }
    let table = section.inner("unhindered", keys::UNHINDERED, problems);
    let wider = actions(&table, services, problems).unwrap_or_default();
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

/// The actions of a list, of which each is a name or a table.
fn actions(
    section: &Section<'_>,
    services: &Services,
    problems: &mut Problems,
) -> Option<Vec<Named>> {
    let value = section.value("actions")?;
    let items = match &value.kind {
        Kind::List(items) => items.as_slice(),
        Kind::Text(_) => std::slice::from_ref(value),
        _ => {
            section.refuse("actions", value, problems);
            return None;
        }
    };
    let mut named = Vec::new();
    for item in items {
        let (word, place, own) = match &item.kind {
            Kind::Text(word) => (word.as_str(), &item.place, Own::default()),
            Kind::Table(table) => {
                let table = Section::new(Some(table), keys::ACTION_USE);
                table.check_keys("an action of `actions`", problems);
                let own = own(&table, services, problems);
                let Some(word) = table.text("action", problems) else {
                    if table.value("action").is_none() {
                        let remedy = "write { action = \"iptables\", label = \"SSH\" }";
                        problems.error(&item.place, "an action without a name", remedy);
                    }
                    continue;
                };
                let place = table
                    .value("action")
                    .map_or(&item.place, |name| &name.place);
                (word, place, own)
            }
            _ => {
                section.refuse("actions", item, problems);
                continue;
            }
        };
        match word.parse() {
            Ok(action) => named.push(Named {
                action,
                place: Some(place.clone()),
                own,
            }),
            Err(error) => {
                let message = format!("`actions`: {error}");
                section.complain("actions", place, message, problems);
            }
        }
    }
    Some(named)
}

/// What a table says of an action of a jail.
fn own(table: &Section<'_>, services: &Services, problems: &mut Problems) -> Own {
    let protocols = closing::protocols(table, problems);
    Own {
        label: table.parsed("label", problems),
        ports: closing::ports(table, services, problems),
        protocols: (!protocols.is_empty()).then_some(protocols),
    }
}

/// What is otherwise for which action. One that is named twice is the same both times.
pub fn owns(all: &[Named], problems: &mut Problems) -> BTreeMap<ActionName, Own> {
    let mut owns: BTreeMap<ActionName, Own> = BTreeMap::new();
    for Named { action, place, own } in all.iter().filter(|named| named.own != Own::default()) {
        let first = owns.entry(action.clone()).or_insert_with(|| own.clone());
        if let (true, Some(place)) = (first != own, place) {
            let message = format!("`{action}` is named twice, with another label or other ports");
            let remedy = "write a section [action.NAME] with `use` for one of them";
            problems.error(place, message, remedy);
        }
    }
    owns
}

fn names(named: &[Named]) -> Vec<ActionName> {
    named.iter().map(|named| named.action.clone()).collect()
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
