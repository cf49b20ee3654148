//! How do the parts of an expression belong together?
//!
//! In: an expression in the language of [`dialect`](super::dialect). Out: a tree, of which all text is that of the
//! expression. Nothing is changed or compiled here.

use super::dialect::{Token, text, tokens};

/// Groups within groups, at the most: what `regex` takes too.
const DEEPEST: usize = 250;

/// What stands in a row.
pub(super) type Row<'s> = Vec<Item<'s>>;

/// One part, and how often it is there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Item<'s> {
    pub(super) part: Part<'s>,
    /// `*`, `+?`, `{2,3}`; nothing if it is there once.
    pub(super) times: &'s str,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Part<'s> {
    /// What takes a character, or stands at a place; also `(?i)`, which changes what follows.
    Leaf(&'s str),
    /// A group with its branches, of which one is there at least.
    Group(&'s str, Vec<Row<'s>>),
}

impl<'s> Item<'s> {
    pub(super) fn once(part: Part<'s>) -> Self {
        Item { part, times: "" }
    }

    /// The name of the group that it is.
    pub(super) fn name(&self) -> Option<&'s str> {
        let Part::Group(open, _) = &self.part else {
            return None;
        };
        let name = open
            .strip_prefix("(?P<")
            .or_else(|| open.strip_prefix("(?<"));
        name?.strip_suffix('>')
    }

    /// The name of the group for which it asks as a condition.
    pub(super) fn condition(&self) -> Option<&'s str> {
        let Part::Group(open, _) = &self.part else {
            return None;
        };
        open.strip_prefix("(?(<")?.strip_suffix(">)")
    }

    /// Whether something holds for it or for anything in it.
    pub(super) fn any(&self, is: &mut impl FnMut(&Item<'s>) -> bool) -> bool {
        is(self)
            || match &self.part {
                Part::Leaf(_) => false,
                Part::Group(_, branches) => branches.iter().flatten().any(|item| item.any(is)),
            }
    }
}

/// The branches of an expression.
///
/// # Errors
/// A bracket has no other, or there are too many in each other.
pub(super) fn parse(source: &str) -> Result<Vec<Row<'_>>, &'static str> {
    let mut outer = Vec::new();
    let mut branches = vec![Row::new()];
    let mut rest = Rest(source);
    while let Some(token) = rest.next() {
        let part = match token {
            Token::Open(open) if !open.ends_with(')') || open.starts_with("(?(") => {
                if outer.len() == DEEPEST {
                    return Err("there are too many groups within groups");
                }
                outer.push((open, std::mem::replace(&mut branches, vec![Row::new()])));
                continue;
            }
            Token::Bar => {
                branches.push(Row::new());
                continue;
            }
            Token::Close => {
                let (open, around) = outer.pop().ok_or("a `)` has no `(`")?;
                Part::Group(open, std::mem::replace(&mut branches, around))
            }
            other => Part::Leaf(text(other)),
        };
        let times = rest.times();
        if let Some(row) = branches.last_mut() {
            row.push(Item { part, times });
        }
    }
    match outer.is_empty() {
        true => Ok(branches),
        false => Err("a `(` has no `)`"),
    }
}

/// What is still to be read.
struct Rest<'s>(&'s str);

impl<'s> Rest<'s> {
    fn next(&mut self) -> Option<Token<'s>> {
        let token = tokens(self.0).next()?;
        self.0 = &self.0[text(token).len()..];
        Some(token)
    }

    /// How often what was read is there.
    fn times(&mut self) -> &'s str {
        let length = match self.0.as_bytes().first() {
            Some(b'*' | b'+' | b'?') => 1,
            Some(b'{') => self.0.find('}').map_or(0, |end| end + 1),
            _ => 0,
        };
        let is_lazy = length > 0 && self.0[length..].starts_with('?');
        let (times, rest) = self.0.split_at(length + usize::from(is_lazy));
        self.0 = rest;
        times
    }
}
