//! What have the groups of patterns taken?
//!
//! In: what a pattern took of a line. Out: texts by the names of groups. What they mean is known elsewhere.

use std::sync::Arc;

use crate::engine::expression::{Captures, LineExpression};
use crate::engine::record::kept::kept;
use crate::engine::record::lossy;

/// A group whose text is that of another one where the other took nothing: `alt_user`, `alt_user_1`.
const ALTERNATIVE: &str = "alt_";
/// A group whose text is a part of another one: `tuple_user`, `tuple_user_1`.
const PART: &str = "tuple_";

/// Texts by the names of groups, as they are kept, in the order in which the groups were first met. A group that took
/// nothing has its place and no text.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Words(Vec<(Arc<str>, Option<Arc<str>>)>);

impl Words {
    /// What a group took.
    pub fn get(&self, name: &str) -> Option<&str> {
        let mut words = self.0.iter();
        let (_, text) = words.find(|(known, _)| **known == *name)?;
        text.as_deref()
    }

    /// All of them, with their names.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.groups().filter_map(|(name, text)| Some((name, text?)))
    }

    /// All groups, also those that took nothing.
    pub fn groups(&self) -> impl Iterator<Item = (&str, Option<&str>)> {
        self.0.iter().map(|(name, text)| (&**name, text.as_deref()))
    }

    /// How many bytes of text they have.
    pub(super) fn bytes(&self) -> usize {
        self.iter().map(|(_, text)| text.len()).sum()
    }

    /// Takes a group out.
    pub(super) fn remove(&mut self, name: &str) -> Option<Arc<str>> {
        let at = self.0.iter().position(|(known, _)| **known == *name)?;
        self.0.remove(at).1
    }

    /// Notes what an expression took of `text`: a group of a name that is known replaces it, also by nothing.
    pub(super) fn take(&mut self, of: &LineExpression, taken: &Captures<'_>, text: &[u8]) {
        let mut own = Words(Vec::with_capacity(of.names().len()));
        for (place, name) in of.names().enumerate() {
            let range = taken.at(place);
            let text = range.map(|range| kept(&lossy(&text[range])).into());
            own.0.push((Arc::clone(name), text));
        }
        let kinds = [ALTERNATIVE, PART];
        let taken = own.0.iter();
        let taken = taken.filter(|(name, _)| kinds.iter().any(|kind| name.starts_with(kind)));
        let taken: Vec<_> = taken
            .filter_map(|(name, text)| Some((name.clone(), text.clone()?)))
            .collect();
        for (name, text) in taken {
            if let Some(of) = whole(&name, ALTERNATIVE) {
                if !text.is_empty() && own.get(of).is_none_or(str::is_empty) {
                    own.set(&of.into(), Some(text));
                }
            } else if let Some(of) = whole(&name, PART) {
                let together = own.get(of).map(|first| format!("{first} {text}"));
                let of = of.into();
                own.set(&of, Some(together.map_or(text, |both| kept(&both).into())));
            }
        }
        if self.0.is_empty() {
            *self = own;
            return;
        }
        self.0.reserve(own.0.len());
        for (name, text) in own.0 {
            self.set(&name, text);
        }
    }

    /// Lays the texts of others over these.
    pub(super) fn update(&mut self, others: Words) {
        if self.0.is_empty() {
            *self = others;
            return;
        }
        for (name, text) in others.0 {
            if text.is_some() {
                self.set(&name, text);
            }
        }
    }

    /// Keeps a place for a group that takes nothing.
    pub(super) fn reserve(&mut self, name: &Arc<str>) {
        if !self.0.iter().any(|(known, _)| known == name) {
            self.0.push((Arc::clone(name), None));
        }
    }

    fn set(&mut self, name: &Arc<str>, text: Option<Arc<str>>) {
        match self.0.iter_mut().find(|(known, _)| known == name) {
            Some((_, known)) => *known = text,
            None => self.0.push((Arc::clone(name), text)),
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
