//! What do filters look at in a record?
//!
//! In: a record. Out: its message, and the fields of the object that it was made of or that its message is. The
//! object is read when the first filter asks for a field, and once for all filters.

use std::cell::OnceCell;

use crate::engine::record::json::FieldPath;
use crate::engine::record::object::Object;
use crate::engine::record::{LONGEST_MESSAGE, Record};

/// A record before filters.
#[derive(Debug)]
pub struct View<'r> {
    record: Record<'r>,
    object: OnceCell<Option<Object>>,
    /// What stands for a line where none was read.
    built: OnceCell<Vec<u8>>,
}

/// A text of a record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Place {
    Message,
    Field(FieldPath),
}

impl<'r> From<Record<'r>> for View<'r> {
    fn from(record: Record<'r>) -> Self {
        View {
            record,
            object: OnceCell::new(),
            built: OnceCell::new(),
        }
    }
}

impl<'r> View<'r> {
    /// The record.
    pub fn record(&self) -> &Record<'r> {
        &self.record
    }

    /// The message as far as it is looked at; whether it was cut is known by its length.
    pub(super) fn message(&self) -> &'r [u8] {
        bounded(self.record.message)
    }

    /// The whole line as far as it is looked at. Where none was read, as from a journal, it is what a system log would show
    /// of it: `host program[pid]: message`.
    pub fn whole(&self) -> &[u8] {
        let record = &self.record;
        if !record.line.is_empty() {
            return bounded(record.line);
        }
        if record.program.is_empty() {
            return self.message();
        }
        self.built.get_or_init(|| {
            let mut line = Vec::with_capacity(64 + record.message.len());
            if !record.host.is_empty() {
                line.extend_from_slice(record.host.as_bytes());
                line.push(b' ');
            }
            line.extend_from_slice(record.program.as_bytes());
            if let Some(pid) = record.pid {
                line.extend_from_slice(format!("[{pid}]").as_bytes());
            }
            line.extend_from_slice(b": ");
            line.extend_from_slice(self.message());
            line.truncate(LONGEST_MESSAGE);
            line
        })
    }

    /// The texts that patterns look at: the message, and the whole line if there are patterns over `lines`. Mostly the line
    /// ends with the message; an object writes it otherwise.
    pub(super) fn texts(&self, lines: bool) -> impl Iterator<Item = &[u8]> {
        let message = self.message();
        let whole = lines.then(|| self.whole());
        let is_held = whole.is_some_and(|whole| whole.ends_with(message));
        let message = (!is_held).then_some(message);
        message.into_iter().chain(whole)
    }

    /// The text at a place as far as it is looked at; `None` if there is none.
    pub(super) fn text(&self, place: &Place) -> Option<&[u8]> {
        match place {
            Place::Message => Some(self.message()),
            Place::Field(path) => self.object()?.get(path.as_str()).map(bounded),
        }
    }

    /// Whether it has fields.
    pub(super) fn has_fields(&self) -> bool {
        self.object().is_some()
    }

    /// What the fields stand in, as far as people need to see it.
    pub(super) fn line(&self) -> &'r [u8] {
        match self.record.object() {
            b"" => self.message(),
            object => bounded(object),
        }
    }

    fn object(&self) -> Option<&Object> {
        let read = || {
            let text = match self.record.object() {
                // One that may have been cut would be another than was written.
                b"" if self.record.message.len() < LONGEST_MESSAGE => self.record.message,
                object => object,
            };
            let mut object = Object::default();
            (text.starts_with(b"{") && object.read(text)).then_some(object)
        };
        self.object.get_or_init(read).as_ref()
    }
}

fn bounded(text: &[u8]) -> &[u8] {
    &text[..text.len().min(LONGEST_MESSAGE)]
}
