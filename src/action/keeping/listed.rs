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
    let ends = |c: char| c.is_whitespace() || "\"'`,;=()[]{}<>|".contains(c);
    line.split(ends).find_map(|word| {
        let is_one = |word: &str| word.contains(':') || word.matches('.').count() == 3;
        let mut words = [word, word.trim_end_matches(['.', ':'])].into_iter();
        words.find_map(|word| is_one(word).then(|| word.parse().ok()).flatten())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_a_word_of_its_own() {
        for (line, found) in [
            ("192.0.2.7 DENY IN", Some("192.0.2.7")),
            (
                "rule family=\"ipv6\" source address=\"2001:db8::/64\" drop",
                Some("2001:db8::/64"),
            ),
            ("-A f2bd -s 192.0.2.0/24 -j DROP", Some("192.0.2.0/24")),
            ("2001:db8:: via lo", Some("2001:db8::")),
            ("192.0.2.7: banned", Some("192.0.2.7")),
            ("[2001:db8::7]:80", Some("2001:db8::7")),
            // A comment in which words stand close together.
            ("std::fs", None),
            ("abad::cafe.c", None),
            ("v1.2.3.4-beta", None),
        ] {
            let found: Option<Prefix> = found.map(|text| text.parse().expect("a network"));
            assert_eq!(addresses(line, None).first(), found.as_ref(), "{line}");
        }
    }
}
