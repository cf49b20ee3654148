//! What have the groups of patterns taken?
//!
//! In: what a pattern took of a line. Out: texts by the names of groups. What they mean is known elsewhere.

use crate::engine::expression::{Captures, LineExpression};
use crate::engine::record::kept::kept;
use crate::engine::record::lossy;

/// A group whose text is that of another one where the other took nothing: `alt_user`, `alt_user_1`.
const ALTERNATIVE: &str = "alt_";
/// A group whose text is a part of another one: `tuple_user`, `tuple_user_1`.
const PART: &str = "tuple_";

/// Texts by the names of groups, as they are kept, in the order in which they were taken. A group that took nothing is not
/// there.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Words(Vec<(Box<str>, Box<str>)>);

impl Words {
    /// What a group took.
    pub fn get(&self, name: &str) -> Option<&str> {
        let mut words = self.0.iter();
        let (_, text) = words.find(|(known, _)| **known == *name)?;
        Some(text)
    }

    /// All of them, with their names.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|(name, text)| (&**name, &**text))
    }

    /// How many bytes of text they have.
    pub(super) fn bytes(&self) -> usize {
        self.0.iter().map(|(_, text)| text.len()).sum()
    }

    /// Takes a text out.
    pub(super) fn remove(&mut self, name: &str) -> Option<Box<str>> {
        let at = self.0.iter().position(|(known, _)| **known == *name)?;
        Some(self.0.remove(at).1)
    }

    /// Notes what an expression took of `text`: a group of a name that is known replaces it, also by nothing.
    pub(super) fn take(&mut self, of: &LineExpression, taken: &Captures<'_>, text: &[u8]) {
        let mut own = Words::default();
        for (place, name) in of.names().enumerate() {
            match taken.at(place) {
                Some(range) => own.set(name, kept(&lossy(&text[range])).into()),
                None => drop(self.remove(name)),
            }
        }
        for (name, text) in own.0.clone() {
            if let Some(of) = whole(&name, ALTERNATIVE) {
                if !text.is_empty() && own.get(of).is_none_or(str::is_empty) {
                    own.set(of, text);
                }
            } else if let Some(of) = whole(&name, PART) {
                let together = own.get(of).map(|first| format!("{first} {text}"));
                own.set(of, together.map_or(text, |both| kept(&both).into()));
            }
        }
        self.update(own);
    }

    /// Lays others over these.
    pub(super) fn update(&mut self, others: Words) {
        for (name, text) in others.0 {
            self.set(&name, text);
        }
    }

    fn set(&mut self, name: &str, text: Box<str>) {
        match self.0.iter_mut().find(|(known, _)| **known == *name) {
            Some((_, known)) => *known = text,
            None => self.0.push((name.into(), text)),
        }
    }
}

/// The group that one of this kind belongs to: `user` of `alt_user` and of `alt_user_1`.
fn whole<'n>(name: &'n str, kind: &str) -> Option<&'n str> {
    let name = name.strip_prefix(kind)?;
    let is_number = |end: &str| end.bytes().all(|byte| byte.is_ascii_digit());
    match name.rsplit_once('_') {
        Some((before, end)) if is_number(end) => Some(before),
        _ => Some(name),
    }
}
