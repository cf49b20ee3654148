//! What is a value of a Fail2ban file before anybody knows what it means?
//!
//! A text and where it was written. Values have their keys and an order, that of the first time each key was said; later ones
//! replace a value and leave its place in the order, as Fail2ban's own tables do.

use std::collections::HashMap;

use crate::config::problem::Place;

/// A value as it was written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Written {
    /// What it says; its lines are separated by line feeds.
    pub text: String,
    /// Where the key stands that it belongs to.
    pub place: Place,
    /// Where the values stand that were put in, each with the byte of the text from which on it is that one's.
    pieces: Vec<(usize, Place)>,
}

impl Written {
    /// A value that stands there.
    pub fn new(text: impl Into<String>, place: &Place) -> Self {
        Written {
            text: text.into(),
            place: place.clone(),
            pieces: Vec::new(),
        }
    }

    /// The same place with a text that was put together from these pieces, in their order.
    #[must_use]
    pub fn put_together(&self, text: String, pieces: Vec<(usize, Place)>) -> Self {
        Written {
            text,
            place: self.place.clone(),
            pieces,
        }
    }

    /// Where that was written which `part` says, a part of this text: it may stem from a value that was put in.
    pub fn place_of(&self, part: &str) -> &Place {
        let begin = self.text.as_ptr().addr();
        let at = part.as_ptr().addr().wrapping_sub(begin);
        let before = self.pieces.partition_point(|(from, _)| *from <= at);
        let piece = before.checked_sub(1).and_then(|last| self.pieces.get(last));
        match piece {
            Some((_, place)) if at <= self.text.len() => place,
            _ => &self.place,
        }
    }

    /// The same place with another text.
    #[must_use]
    pub fn with(&self, text: impl Into<String>) -> Self {
        Written::new(text, &self.place)
    }

    /// Whether it is one of the words that Fail2ban takes for true; anything else is false to it.
    pub fn is_true(&self) -> bool {
        let word = self.text.to_lowercase();
        matches!(word.as_str(), "1" | "on" | "true" | "yes")
    }

    /// Whether it is a word for false that people write; what is neither is false all the same.
    pub fn is_false(&self) -> bool {
        let word = self.text.to_lowercase();
        matches!(word.as_str(), "" | "0" | "off" | "false" | "no")
    }
}

/// Keys with their values, in the order in which they were first said.
#[derive(Clone, Debug, Default)]
pub struct Options {
    said: Vec<(String, Written)>,
    at: HashMap<String, usize>,
}

impl Options {
    /// The value of a key.
    pub fn get(&self, key: &str) -> Option<&Written> {
        self.at.get(key).map(|at| &self.said[*at].1)
    }

    /// The text of a key.
    pub fn text(&self, key: &str) -> Option<&str> {
        self.get(key).map(|value| value.text.as_str())
    }

    /// Whether the key was said.
    pub fn has(&self, key: &str) -> bool {
        self.at.contains_key(key)
    }

    /// Gives `key` a value, whatever it had.
    pub fn set(&mut self, key: impl Into<String>, value: Written) {
        let key = key.into();
        match self.at.get(&key) {
            Some(at) => self.said[*at].1 = value,
            None => {
                self.at.insert(key.clone(), self.said.len());
                self.said.push((key, value));
            }
        }
    }

    /// Leaves a key out.
    pub fn remove(&mut self, key: &str) {
        self.said.retain(|(said, _)| said != key);
        let keys = self.said.iter().enumerate();
        self.at = keys.map(|(at, (key, _))| (key.clone(), at)).collect();
    }

    /// The value of a key, to be changed.
    pub fn get_mut(&mut self, key: &str) -> Option<&mut Written> {
        self.at.get(key).map(|at| &mut self.said[*at].1)
    }

    /// All values, to be changed.
    pub fn values_mut(&mut self) -> impl Iterator<Item = &mut Written> {
        self.said.iter_mut().map(|(_, value)| value)
    }

    /// Says all that `upper` says.
    pub fn lay(&mut self, upper: &Options) {
        for (key, value) in upper.iter() {
            self.set(key, value.clone());
        }
    }

    /// All keys with their values.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &Written)> {
        self.said.iter().map(|(key, value)| (key.as_str(), value))
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.said.is_empty()
    }
}

/// Whether Python takes a character for white space, which is more than Unicode does.
pub fn is_space(c: char) -> bool {
    c.is_whitespace() || ('\u{1c}'..='\u{1f}').contains(&c)
}

/// Without the white space around it.
pub fn strip(text: &str) -> &str {
    text.trim_matches(is_space)
}

/// The words of a list, which are separated by commas and white space.
pub fn words(text: &str) -> impl Iterator<Item = &str> {
    text.split(|c| c == ',' || is_space(c))
        .filter(|word| !word.is_empty())
}

/// A whole number as Python reads it: with a sign, and with single underscores between the digits.
pub fn whole_number(text: &str) -> Option<i64> {
    let text = strip(text);
    let digits = text.strip_prefix(['+', '-']).unwrap_or(text);
    let is_plain = digits
        .split('_')
        .all(|part| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit()));
    if !is_plain {
        return None;
    }
    text.replace('_', "").parse().ok()
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::config::problem::Text;

    #[test]
    fn a_later_value_takes_the_place_of_the_first() {
        let text = Arc::new(Text {
            path: "x".into(),
            content: String::new(),
        });
        let place = Place::whole(&text);
        let mut options = Options::default();
        for (key, value) in [("a", "1"), ("b", "2"), ("a", "3")] {
            options.set(key, Written::new(value, &place));
        }
        let all: Vec<_> = options
            .iter()
            .map(|(key, value)| (key, value.text.as_str()))
            .collect();
        assert_eq!(all, [("a", "3"), ("b", "2")]);
    }

    #[test]
    fn few_words_are_true() {
        let text = Arc::new(Text {
            path: "x".into(),
            content: String::new(),
        });
        let is_true = |word: &str| Written::new(word, &Place::whole(&text)).is_true();
        for word in ["1", "on", "True", "YES"] {
            assert!(is_true(word), "{word}");
        }
        for word in ["", "0", "2", "y", "true # really", "enabled"] {
            assert!(!is_true(word), "{word}");
        }
    }
}
