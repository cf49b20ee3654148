//! What does a value say when what it refers to is put in?
//!
//! `%(key)s` is the key's value in the same section or in `[DEFAULT]`, `%(section/key)s` another section's,
//! `%(known/key)s` what the key said before, `%%` a percent sign. As in Python, whose messages these mistakes are known by.

use std::cell::Cell;

use super::ini::DEFAULT;
use super::merged::Merged;
use super::options::{Options, Written};
use crate::config::problem::Place;

/// How deep values may refer to values that refer to values; so deep goes Python.
const DEEPEST: usize = 10;

/// The longest value, in bytes: each level may multiply what is below it. The longest of the stock ones has 9 KiB.
pub const LONGEST_VALUE: usize = 256 << 10;

/// So many references are followed for one value: of empty values, very many are not long. The stock ones need thirty.
const MOST_REFERENCES: usize = 10_000;

/// A value that cannot be put together.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{mistake}")]
pub struct InterpolationError {
    /// Where the value stands that is wrong.
    pub place: Place,
    /// What is wrong with it.
    pub mistake: Mistake,
}

/// What can be wrong with a value.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Mistake {
    /// It refers to a key that nobody has said.
    #[error("`{key}` refers to `{missing}`, which is not there")]
    Missing {
        /// The key whose value was to be put together.
        key: String,
        /// What it refers to.
        missing: String,
    },
    /// It refers to itself, or nearly so.
    #[error("`{0}` refers to itself, or to values that refer to others more than {DEEPEST} times")]
    TooDeep(String),
    /// A percent sign stands for nothing.
    #[error("`{0}` has a % that is followed by neither % nor (name)s")]
    Percent(String),
    /// It grows without an end.
    #[error(
        "`{0}` refers to too much: to more than {MOST_REFERENCES} values, or to {LONGEST_VALUE} bytes"
    )]
    TooLong(String),
}

impl Mistake {
    /// What to do about it.
    pub fn remedy(&self) -> &'static str {
        match self {
            Mistake::Missing { .. } => "correct the name, or write its value into [DEFAULT]",
            Mistake::TooDeep(_) | Mistake::TooLong(_) => {
                "write one of these values without a reference"
            }
            Mistake::Percent(_) => "write %% for a percent sign",
        }
    }
}

impl Merged {
    /// The value of `key` in a section, with all put in that it refers to; `None` if there is no such section or key. What
    /// `given` says, whose keys are small, holds before what the section says.
    ///
    /// # Errors
    /// What it refers to cannot be put in.
    pub fn get(
        &self,
        section: &str,
        key: &str,
        given: &Options,
    ) -> Result<Option<Written>, InterpolationError> {
        if section != DEFAULT && self.section(section).is_none() {
            return Ok(None);
        }
        let key = key.to_lowercase();
        let asked = Asked {
            merged: self,
            section,
            given,
            key: &key,
            followed: Cell::new(0),
        };
        let Some(raw) = asked.find(&key) else {
            return Ok(None);
        };
        let mut made = Made::default();
        asked.put_in(raw, &Vec::new(), 1, &mut made)?;
        Ok(Some(raw.put_together(made.text, made.pieces)))
    }
}

/// A value that somebody asks for.
struct Asked<'a> {
    merged: &'a Merged,
    section: &'a str,
    given: &'a Options,
    key: &'a str,
    /// How many references were followed.
    followed: Cell<usize>,
}

/// A value that is being put together.
#[derive(Default)]
struct Made {
    text: String,
    /// Where it comes from, each from a byte of the text on.
    pieces: Vec<(usize, Place)>,
}

impl Made {
    /// Adds what stands there.
    fn push(&mut self, text: &str, place: &Place) {
        if text.is_empty() {
            return;
        }
        if self.pieces.last().is_none_or(|(_, last)| last != place) {
            self.pieces.push((self.text.len(), place.clone()));
        }
        self.text.push_str(text);
    }
}

/// Values of other sections, by the names that a value gives them.
type Elsewhere<'a> = Vec<(&'a str, &'a Written)>;

impl<'a> Asked<'a> {
    fn find(&self, key: &str) -> Option<&'a Written> {
        let given = self.given.get(key);
        given.or_else(|| self.merged.raw(self.section, key))
    }

    fn put_in(
        &self,
        value: &'a Written,
        elsewhere: &Elsewhere<'a>,
        depth: usize,
        made: &mut Made,
    ) -> Result<(), InterpolationError> {
        let wrong = |mistake| InterpolationError {
            place: value.place.clone(),
            mistake,
        };
        let key = || self.key.to_owned();
        if depth > DEEPEST {
            return Err(wrong(Mistake::TooDeep(key())));
        }
        let mut elsewhere = elsewhere.clone();
        let mut rest = value.text.as_str();
        self.look_elsewhere(rest, &mut elsewhere);
        while let Some(at) = rest.find('%') {
            made.push(&rest[..at], &value.place);
            rest = &rest[at + 1..];
            if let Some(after) = rest.strip_prefix('%') {
                made.push("%", &value.place);
                rest = after;
                continue;
            }
            let reference = rest.strip_prefix('(').and_then(|rest| rest.split_once(')'));
            let reference = reference.filter(|(name, _)| !name.is_empty());
            let Some((name, after)) =
                reference.and_then(|(name, after)| Some((name, after.strip_prefix('s')?)))
            else {
                return Err(wrong(Mistake::Percent(key())));
            };
            rest = after;
            let name = name.to_lowercase();
            if name == "__name__" {
                let place = self.merged.place(self.section);
                made.push(self.section, place.unwrap_or(&value.place));
                continue;
            }
            let other = elsewhere.iter().find(|(known, _)| *known == name);
            let Some(other) = self.find(&name).or(other.map(|(_, value)| *value)) else {
                return Err(wrong(Mistake::Missing {
                    key: key(),
                    missing: name,
                }));
            };
            if other.text.contains('%') {
                self.put_in(other, &elsewhere, depth + 1, made)?;
            } else {
                made.push(&other.text, &other.place);
            }
            self.followed.set(self.followed.get() + 1);
            if made.text.len() > LONGEST_VALUE || self.followed.get() > MOST_REFERENCES {
                return Err(wrong(Mistake::TooLong(key())));
            }
        }
        made.push(rest, &value.place);
        Ok(())
    }

    /// Notes the values of other sections that a text refers to.
    fn look_elsewhere(&self, text: &'a str, elsewhere: &mut Elsewhere<'a>) {
        let mut rest = text;
        while let Some(at) = rest.find("%(")
            && elsewhere.len() < MOST_REFERENCES
        {
            let name = rest[at + 2..].split_once(")s").map(|(name, _)| name);
            let parts = name.and_then(section_and_key);
            let Some((name, (section, key))) = name.zip(parts) else {
                rest = &rest[at + 2..];
                continue;
            };
            rest = &rest[at + 2 + name.len()..];
            if self.find(name).is_some() || elsewhere.iter().any(|(known, _)| *known == name) {
                continue;
            }
            let defaults = self.merged.defaults().get(key);
            let value = match section.to_lowercase().as_str() {
                "default" => defaults,
                "known" => {
                    let known = self.merged.known(self.section);
                    known.and_then(|known| known.get(key)).or(defaults)
                }
                _ => {
                    let section = self.merged.section(section);
                    section.and_then(|section| section.get(key).or(defaults))
                }
            };
            elsewhere.extend(value.map(|value| (name, value)));
        }
    }
}

/// Parts `section/key`.
fn section_and_key(name: &str) -> Option<(&str, &str)> {
    let (section, key) = name.split_once('/')?;
    let is_plain = |c: char| c.is_alphanumeric() || matches!(c, '_' | '-');
    let is_section = !section.is_empty() && section.chars().all(is_plain);
    (is_section && !key.is_empty() && !key.contains(')')).then_some((section, key))
}

#[cfg(test)]
mod tests;
