//! Which addresses does a program or a service show?
//!
//! In: what it has said. Out: networks. What that means for bans is known elsewhere.

use serde_json::Value as Json;

use crate::engine::prefix::Prefix;

/// How many characters of a list's line are looked at: an address stands at its beginning or behind some words.
const LONGEST_LINE: usize = 1_024;

/// The addresses and networks of a list: each text of JSON that is one, or the first in each line that has these words.
pub fn addresses(said: &str, having: Option<&str>) -> Vec<Prefix> {
    match serde_json::from_str(said) {
        Ok(json @ (Json::Array(_) | Json::Object(_))) => {
            let mut found = Vec::new();
            gather(&json, &mut found);
            found
        }
        _ => {
            let lines = said.lines();
            let ours = lines.filter(|line| having.is_none_or(|having| line.contains(having)));
            ours.filter_map(address).collect()
        }
    }
}

/// serde_json reads no more than 128 levels, so this comes to an end.
fn gather(json: &Json, found: &mut Vec<Prefix>) {
    match json {
        Json::String(text) => found.extend(text.parse::<Prefix>()),
        Json::Array(items) => items.iter().for_each(|item| gather(item, found)),
        Json::Object(entries) => entries.values().for_each(|value| gather(value, found)),
        Json::Null | Json::Bool(_) | Json::Number(_) => {}
    }
}

/// The first address or network in a line.
fn address(line: &str) -> Option<Prefix> {
    let line = line.get(..LONGEST_LINE).unwrap_or(line);
    let mut words = line.split(|c: char| !(c.is_ascii_hexdigit() || matches!(c, '.' | ':' | '/')));
    words.find_map(|word| {
        let is_one = word.contains(':') || word.matches('.').count() == 3;
        is_one.then(|| word.parse().ok()).flatten()
    })
}
