//! What stands in `[…]`?

use super::super::fault::Fault;
use super::super::syntax::{Class, Item};
use super::{Mistake, Parser};

impl Parser<'_> {
    /// Reads a class. A `]` that stands first is one of its characters.
    pub(super) fn class(&mut self) -> Result<Class, Mistake> {
        let open = (self.at, Fault::OpenClass);
        self.next();
        let mut class = Class {
            is_negated: self.skip("^"),
            items: Vec::new(),
        };
        loop {
            if !class.items.is_empty() && self.skip("]") {
                return Ok(class);
            }
            let from = self.at;
            let item = self
                .class_item()
                .map_err(|mistake| mistake.unwrap_or(open.clone()))?;
            if !self.skip("-") {
                class.items.push(item);
                continue;
            }
            if self.skip("]") {
                class.items.extend([item, Item::Range('-', '-')]);
                return Ok(class);
            }
            let last = self
                .class_item()
                .map_err(|mistake| mistake.unwrap_or(open.clone()))?;
            match (item, last) {
                (Item::Range(first, _), Item::Range(last, _)) if first <= last => {
                    class.items.push(Item::Range(first, last));
                }
                _ => return Err((from, Fault::BadRange)),
            }
        }
    }

    /// Reads one character of a class, or a kind of characters; `Err(None)` at the end of the text.
    fn class_item(&mut self) -> Result<Item, Option<Mistake>> {
        match self.peek() {
            None => Err(None),
            Some('\\') => self.class_escape().map_err(Some),
            Some(other) => {
                self.next();
                Ok(Item::Range(other, other))
            }
        }
    }
}
