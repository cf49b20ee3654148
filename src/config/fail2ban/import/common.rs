//! What do all jails say alike?
//!
//! In: the sections of a configuration. Out: the same, in which what is said by all jails, or by most where each says it, stands
//! in `[defaults]` alone.

use crate::config::base::part;
use crate::config::document::{Kind, Table, Value};

/// What may be said for all, and means the same there as in each jail that does not say it.
const SHARED: [&str; 9] = [
    "maxretry",
    "findtime",
    "bantime",
    "escalation",
    "ignoreip",
    "ignoreself",
    "ignorecommand",
    "actions",
    "protocol",
];

/// Moves it there.
pub fn put_into_defaults(configuration: &mut Table) {
    let Some(jails) = part(configuration, "jail") else {
        return;
    };
    let sections: Vec<&Table> = jails.entries().iter().filter_map(section).collect();
    if sections.len() < 2 {
        return;
    }
    let mut shared = Vec::new();
    for key in SHARED {
        let values: Option<Vec<&Value>> = sections.iter().map(|jail| jail.get(key)).collect();
        if let Some(values) = values {
            let count = |value: &Value| values.iter().filter(|other| other.is_same(value)).count();
            // The first of those that are said most often.
            let most = values.iter().rev().max_by_key(|value| count(value));
            let most = most.filter(|value| count(value) > 1);
            shared.extend(most.map(|value| (key, (*value).clone())));
        }
    }
    for (name, table) in configuration.tables_mut() {
        match name {
            "defaults" => {
                for (key, value) in &shared {
                    table.set(key, value.clone());
                }
            }
            "jail" => {
                for (_, jail) in table.tables_mut() {
                    for (key, value) in &shared {
                        if jail.get(key).is_some_and(|own| own.is_same(value)) {
                            jail.remove(key);
                        }
                    }
                }
            }
            _ => {}
        }
    }
}

fn section(entry: &crate::config::document::Entry) -> Option<&Table> {
    match &entry.value.kind {
        Kind::Table(table) => Some(table),
        _ => None,
    }
}
