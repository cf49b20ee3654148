//! How are the keys of a section read?
//!
//! A [`Section`] is a table together with the one whose values hold where it says nothing. Each reading method
//! reports a value that cannot be used and then answers as if nothing were written, so that one pass finds
//! every mistake.

use std::fmt::Display;
use std::str::FromStr;
use std::time::Duration;

use super::document::{Kind, Table, Value};
use super::keys::{FILE_SOURCE, Key};
use jiff::tz::TimeZone;

use super::problem::{Place, Problems, nearest};
use crate::engine::time::{parse_span, parse_zone};

/// A section that is being read.
#[derive(Clone, Copy, Debug)]
pub struct Section<'t> {
    layers: [Option<&'t Table>; 2],
    keys: [&'t [Key]; 2],
}

impl<'t> Section<'t> {
    /// A section of its own.
    pub fn new(table: Option<&'t Table>, keys: &'t [Key]) -> Self {
        Section {
            layers: [table, None],
            keys: [keys, &[]],
        }
    }

    /// The same section where it says nothing about one of `keys`, `lower` is asked.
    #[must_use]
    pub fn over(self, lower: Option<&'t Table>, keys: &'t [Key]) -> Self {
        Section {
            layers: [self.layers[0], lower],
            keys: [self.keys[0], keys],
        }
    }

    /// The same section with further keys.
    #[must_use]
    pub fn with(self, more: &'t [Key]) -> Self {
        self.over(None, more)
    }

    /// The value of a key.
    pub fn value(&self, key: &str) -> Option<&'t Value> {
        let known = |keys: &[Key]| keys.iter().any(|known| known.name == key);
        debug_assert!(
            self.keys.iter().any(|keys| known(keys)),
            "{key} is not in the list"
        );
        let own = self.layers[0].and_then(|table| table.get(key));
        let lower = self.layers[1].filter(|_| known(self.keys[1]));
        own.or_else(|| lower.and_then(|table| table.get(key)))
    }

    /// Whether the section itself has a key, not only the lower one.
    pub fn says(&self, key: &str) -> bool {
        self.layers[0].is_some_and(|table| table.get(key).is_some())
    }

    /// A table under a key, over the one under the same key of the lower section.
    pub fn inner(&self, key: &str, keys: &'t [Key], problems: &mut Problems) -> Section<'t> {
        let [own, lower] = self.layers.map(|layer| {
            let value = layer.and_then(|table| table.get(key))?;
            match &value.kind {
                Kind::Table(table) => Some(table),
                _ => {
                    self.refuse(key, value, problems);
                    None
                }
            }
        });
        for table in [own, lower] {
            Section::new(table, keys).check_keys(&format!("`{key}`"), problems);
        }
        Section::new(own, keys).over(lower, keys)
    }

    /// Reports every key that is not in the list; `place` is the section as it is written, such as `[daemon]`.
    pub fn check_keys(&self, place: &str, problems: &mut Problems) {
        let Some(table) = self.layers[0] else { return };
        let known = || self.keys.iter().copied().flatten().map(|key| key.name);
        for entry in table.entries() {
            let key = entry.key.as_str();
            if known().any(|known| known == key) {
                continue;
            }
            // What is `timezone` to a jail? Whoever writes it there means the log that the jail reads.
            let of_source = FILE_SOURCE.iter().any(|of_source| of_source.name == key);
            if of_source && known().any(|known| known == "sources") {
                problems.error(
                    &entry.place,
                    format!("`{key}` belongs to a source, not into {place}"),
                    "write it into [source.files], or into a source with a `path` of its own",
                );
                continue;
            }
            unknown(
                "key",
                key,
                &format!("in {place}"),
                known(),
                &entry.place,
                problems,
            );
        }
    }

    fn wants(&self, key: &str) -> &'static str {
        let mut keys = self.keys.iter().copied().flatten();
        keys.find(|known| known.name == key)
            .map_or("", |key| key.wants)
    }

    /// Reports a value of the wrong kind.
    pub fn refuse(&self, key: &str, value: &Value, problems: &mut Problems) {
        let message = format!("`{key}` cannot be {}", value.kind_name());
        problems.error(&value.place, message, format!("write {}", self.wants(key)));
    }

    /// Reports a value that cannot be used, with what to write instead.
    pub fn complain(&self, key: &str, place: &Place, message: String, problems: &mut Problems) {
        problems.error(place, message, format!("write {}", self.wants(key)));
    }

    /// A text.
    pub fn text(&self, key: &str, problems: &mut Problems) -> Option<&'t str> {
        let value = self.value(key)?;
        if let Kind::Text(text) = &value.kind {
            return Some(text);
        }
        self.refuse(key, value, problems);
        None
    }

    /// A text that is something.
    pub fn parsed<T>(&self, key: &str, problems: &mut Problems) -> Option<T>
    where
        T: FromStr<Err: Display>,
    {
        let text = self.text(key, problems)?;
        let place = &self.value(key)?.place;
        match text.parse() {
            Ok(parsed) => Some(parsed),
            Err(error) => {
                self.complain(key, place, format!("`{key}`: {error}"), problems);
                None
            }
        }
    }

    /// A text, or a list of texts, with the place of each.
    pub fn texts(&self, key: &str, problems: &mut Problems) -> Option<Vec<(&'t str, &'t Place)>> {
        let value = self.value(key)?;
        let list = match &value.kind {
            Kind::Text(text) => return Some(vec![(text, &value.place)]),
            Kind::List(list) => list,
            _ => {
                self.refuse(key, value, problems);
                return None;
            }
        };
        let mut texts = Vec::new();
        for item in list {
            match &item.kind {
                Kind::Text(text) => texts.push((text.as_str(), &item.place)),
                _ => self.refuse(key, item, problems),
            }
        }
        Some(texts)
    }

    /// A list of texts, or one, in which numbers may stand without quotes.
    pub fn words(&self, key: &str, problems: &mut Problems) -> Option<Vec<(String, &'t Place)>> {
        let value = self.value(key)?;
        let items = match &value.kind {
            Kind::List(items) => items.as_slice(),
            _ => std::slice::from_ref(value),
        };
        let mut words = Vec::new();
        for item in items {
            match &item.kind {
                Kind::Text(word) => words.push((word.clone(), &item.place)),
                // What people write first.
                Kind::Integer(number) => words.push((number.to_string(), &item.place)),
                _ => self.refuse(key, item, problems),
            }
        }
        Some(words)
    }

    /// A list of texts that are something each.
    pub fn parsed_list<T>(&self, key: &str, problems: &mut Problems) -> Option<Vec<(T, &'t Place)>>
    where
        T: FromStr<Err: Display>,
    {
        let mut list = Vec::new();
        for (text, place) in self.texts(key, problems)? {
            match text.parse() {
                Ok(parsed) => list.push((parsed, place)),
                Err(error) => self.complain(key, place, format!("`{key}`: {error}"), problems),
            }
        }
        Some(list)
    }

    /// The zone under `timezone`; that of the system if nothing is said.
    pub fn zone(&self, problems: &mut Problems) -> TimeZone {
        let key = "timezone";
        let zone = self.text(key, problems).and_then(|name| {
            let place = &self.value(key)?.place;
            parse_zone(name)
                .map_err(|error| self.complain(key, place, format!("`{key}`: {error}"), problems))
                .ok()
        });
        zone.unwrap_or_else(TimeZone::system)
    }

    /// True or false.
    pub fn flag(&self, key: &str, problems: &mut Problems) -> Option<bool> {
        let value = self.value(key)?;
        if let Kind::Flag(flag) = value.kind {
            return Some(flag);
        }
        self.refuse(key, value, problems);
        None
    }

    /// A whole number from `least` to `most`.
    pub fn number(&self, key: &str, least: i64, most: i64, problems: &mut Problems) -> Option<i64> {
        let value = self.value(key)?;
        let Kind::Integer(number) = value.kind else {
            self.refuse(key, value, problems);
            return None;
        };
        if (least..=most).contains(&number) {
            return Some(number);
        }
        self.complain(
            key,
            &value.place,
            format!("`{key}` cannot be {number}"),
            problems,
        );
        None
    }

    /// A whole number from `least` to `most`, or a list of such.
    pub fn numbers(&self, key: &str, least: i64, most: i64, problems: &mut Problems) -> Vec<i64> {
        let items = match self.value(key) {
            None => return Vec::new(),
            Some(Value {
                kind: Kind::List(items),
                ..
            }) => items.as_slice(),
            Some(one) => std::slice::from_ref(one),
        };
        let mut numbers = Vec::new();
        for item in items {
            match item.kind {
                Kind::Integer(number) if (least..=most).contains(&number) => numbers.push(number),
                Kind::Integer(number) => {
                    let message = format!("`{key}` cannot be {number}");
                    self.complain(key, &item.place, message, problems);
                }
                _ => self.refuse(key, item, problems),
            }
        }
        numbers
    }

    /// A span of time: a text with units, or a number of seconds.
    pub fn span(&self, key: &str, problems: &mut Problems) -> Option<Duration> {
        let text = self.span_text(key, problems)?;
        let place = &self.value(key)?.place;
        match parse_span(&text) {
            Ok(span) if !span.is_zero() => Some(span),
            Ok(_) => {
                self.complain(key, place, format!("`{key}` cannot be nothing"), problems);
                None
            }
            Err(_) => {
                let message = format!("`{key}` cannot be `{text}`");
                let wants = self.wants(key);
                problems.error(place, message, format!("write {wants}, in s, m, h, d or w"));
                None
            }
        }
    }

    /// The words of a span of time, not read yet.
    pub fn span_text(&self, key: &str, problems: &mut Problems) -> Option<String> {
        let value = self.value(key)?;
        match &value.kind {
            Kind::Text(text) => Some(text.clone()),
            Kind::Integer(seconds) => Some(seconds.to_string()),
            _ => {
                self.refuse(key, value, problems);
                None
            }
        }
    }
}

/// Reports a word that is none of the known ones.
pub fn unknown<'k>(
    what: &str,
    word: &str,
    context: &str,
    known: impl Iterator<Item = &'k str> + Clone,
    place: &Place,
    problems: &mut Problems,
) {
    let remedy = match nearest(word, known.clone()) {
        Some(near) => format!("did you mean `{near}`?"),
        // There are so many that a command lists them.
        None if matches!(what, "filter" | "action") => {
            format!("`f2bd {what}s` lists those there are")
        }
        None => {
            let known: Vec<_> = known.collect();
            match known.is_empty() {
                true => "there is none".to_owned(),
                false => format!("known are {}", known.join(", ")),
            }
        }
    };
    problems.error(
        place,
        format!("unknown {what} `{word}` {context}").trim_end(),
        remedy,
    );
}
