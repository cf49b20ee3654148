//! Which fields does an object of JSON have?
//!
//! In: text. Out: an [`Object`], its fields of all levels by their paths, or that it is none. What the fields mean is
//! not known here.
//!
//! Loggers write what is no JSON, often because an attacker made them do it, and he must not hide by that: control
//! characters, bytes of other encodings, escapes that are none (`\x22` of nginx) and halves of characters are taken
//! as they stand or replaced. Such signs never end a string, so they cannot make a field of text.
//!
//! A path that is told twice has no value: nobody knows which of the two the logger meant. Where a logger escapes
//! nothing, or takes over names from its clients, these can write fields of their own before the true ones and behind
//! them. If one of the two counted, they would choose who is banned; and if the path counted as missing, they would
//! where another one is taken instead. So [`Told::Twice`] is not [`Told::Never`]. `a.b` and `b` within `a` are one path.

use std::ops::Range;

/// The most fields of all levels that an object is understood with: all are gone through for each name that is looked
/// for, and each takes more room than the few letters that it can be written with. Web servers that log every header
/// have some hundreds at most.
///
/// With more it is an object all the same, but counts as one that tells every path twice: if it were none, its line
/// might be taken for text, and who can add fields would choose that.
pub const MOST_FIELDS: usize = 4096;

/// An object. It is filled again and again, so that a line costs no memory of its own.
#[derive(Clone, Debug, Default)]
pub struct Object {
    /// What was read and, behind it, texts that are written otherwise than they read.
    text: Vec<u8>,
    fields: Vec<Field>,
    open: Vec<Open>,
    /// Whether it has more than [`MOST_FIELDS`].
    overfull: bool,
}

#[derive(Clone, Debug)]
struct Field {
    /// The field whose object it stands in; `None` at the top.
    parent: Option<usize>,
    name: Range<usize>,
    value: Range<usize>,
}

/// What is told under a path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Told<'o> {
    /// Nothing, or that it is null.
    Never,
    /// This. A text is decoded, anything else is as it was written, but for a list of bytes, as which the journal exports
    /// text of unknown encoding.
    Once(&'o [u8]),
    /// More than one value, even if they are the same, or nobody has counted.
    Twice,
}

/// A list or an object whose end has not come.
#[derive(Clone, Copy, Debug)]
struct Open {
    is_list: bool,
    /// Its own place among the fields; `None` for the top, and for what stands in a list, whose parts have no path.
    field: Option<usize>,
}

impl Object {
    /// Reads `text`; whether it is an object. If not, there are no fields.
    pub fn read(&mut self, text: &[u8]) -> bool {
        self.text.clear();
        self.text.extend_from_slice(text);
        self.fields.clear();
        self.open.clear();
        self.overfull = false;
        let is_object = self.fill(text).is_some();
        if !is_object {
            self.fields.clear();
            self.overfull = false;
        }
        is_object
    }

    /// What is told under a path of names with dots between them.
    pub fn told(&self, path: &str) -> Told<'_> {
        let is_it = |field: &&Field| self.is_at(field, path.as_bytes());
        let mut found = self.fields.iter().filter(is_it);
        match (found.next(), found.next()) {
            _ if self.overfull => Told::Twice,
            (None, _) => Told::Never,
            (Some(field), None) => Told::Once(&self.text[field.value.clone()]),
            (Some(_), Some(_)) => Told::Twice,
        }
    }

    /// The value under a path, if it is told once. Who goes on to another path without one must ask what was
    /// [`told`](Self::told).
    pub fn get(&self, path: &str) -> Option<&[u8]> {
        match self.told(path) {
            Told::Once(value) => Some(value),
            Told::Never | Told::Twice => None,
        }
    }

    /// Whether it has no fields but these, though perhaps not all of them.
    pub fn has_only(&self, names: &[&[u8]]) -> bool {
        let mut own = self.fields.iter().filter(|field| field.parent.is_none());
        !self.overfull && own.all(|field| names.contains(&&self.text[field.name.clone()]))
    }

    /// Whether the path of `field` is `path`.
    fn is_at(&self, field: &Field, path: &[u8]) -> bool {
        let Some(before) = path.strip_suffix(&self.text[field.name.clone()]) else {
            return false;
        };
        match field.parent {
            None => before.is_empty(),
            Some(parent) => before
                .strip_suffix(b".")
                .is_some_and(|before| self.is_at(&self.fields[parent], before)),
        }
    }

    fn fill(&mut self, text: &[u8]) -> Option<()> {
        let mut rest = Scanner { text, at: 0 };
        rest.skip_blanks();
        if rest.peek()? != b'{' {
            return None;
        }
        let mut name = 0..0;
        loop {
            // A value is due.
            let start = rest.at;
            match rest.peek()? {
                sign @ (b'{' | b'[') => {
                    let is_list = sign == b'[';
                    rest.at += 1;
                    let field = self.note(name.clone(), start..start);
                    self.open.push(Open { is_list, field });
                    rest.skip_blanks();
                    if rest.peek()? != if is_list { b']' } else { b'}' } {
                        if !is_list {
                            name = self.name(&mut rest)?;
                        }
                        continue;
                    }
                }
                b'"' => {
                    let value = self.string(&mut rest)?;
                    self.note(name.clone(), value);
                }
                _ => {
                    let word = rest.word()?;
                    if word != b"null" {
                        self.note(name.clone(), start..rest.at);
                    }
                }
            }
            // Behind a value.
            loop {
                rest.skip_blanks();
                let Some(Open { is_list, .. }) = self.open.last().copied() else {
                    return (rest.at == text.len()).then_some(());
                };
                match (rest.next()?, is_list) {
                    (b',', _) => {
                        rest.skip_blanks();
                        if !is_list {
                            name = self.name(&mut rest)?;
                        }
                        break;
                    }
                    (b'}', false) | (b']', true) => self.close(rest.at),
                    _ => return None,
                }
            }
        }
    }

    /// Notes a field of the innermost object; its place, if it has a path.
    fn note(&mut self, name: Range<usize>, value: Range<usize>) -> Option<usize> {
        let top = self.open.first()?;
        let within = self.open.last()?;
        let has_path = std::ptr::eq(top, within) || within.field.is_some();
        let parent = within.field;
        if !has_path || within.is_list {
            return None;
        }
        if self.fields.len() == MOST_FIELDS {
            self.overfull = true;
            return None;
        }
        self.fields.push(Field {
            parent,
            name,
            value,
        });
        Some(self.fields.len() - 1)
    }

    fn close(&mut self, end: usize) {
        let Some(Open { is_list, field }) = self.open.pop() else {
            return;
        };
        let Some(field) = field else { return };
        let start = self.fields[field].value.start;
        let bytes = is_list.then(|| bytes(&self.text[start + 1..end - 1]));
        self.fields[field].value = match bytes.flatten() {
            Some(bytes) => self.keep(&bytes),
            None => start..end,
        };
    }

    /// A name and the colon behind it.
    fn name(&mut self, rest: &mut Scanner<'_>) -> Option<Range<usize>> {
        if rest.peek()? != b'"' {
            return None;
        }
        let name = self.string(rest)?;
        rest.skip_blanks();
        if rest.next()? != b':' {
            return None;
        }
        rest.skip_blanks();
        Some(name)
    }

    /// What the string at hand says.
    fn string(&mut self, rest: &mut Scanner<'_>) -> Option<Range<usize>> {
        let start = rest.at + 1;
        let mut from = start;
        let begin = self.text.len();
        loop {
            let mark = from + memchr::memchr2(b'"', b'\\', &rest.text[from..])?;
            let whole = from == start;
            if rest.text[mark] == b'"' {
                rest.at = mark + 1;
                if whole {
                    return Some(start..mark);
                }
                self.text.extend_from_slice(&rest.text[from..mark]);
                return Some(begin..self.text.len());
            }
            self.text.extend_from_slice(&rest.text[from..mark]);
            let (letter, used) = escaped(&rest.text[mark + 1..]);
            let mut room = [0; 4];
            self.text
                .extend_from_slice(letter.encode_utf8(&mut room).as_bytes());
            from = mark + 1 + used;
        }
    }

    fn keep(&mut self, bytes: &[u8]) -> Range<usize> {
        let begin = self.text.len();
        self.text.extend_from_slice(bytes);
        begin..self.text.len()
    }
}

/// A place in a text.
struct Scanner<'t> {
    text: &'t [u8],
    at: usize,
}

impl<'t> Scanner<'t> {
    fn peek(&self) -> Option<u8> {
        self.text.get(self.at).copied()
    }

    fn next(&mut self) -> Option<u8> {
        let byte = self.peek()?;
        self.at += 1;
        Some(byte)
    }

    fn skip_blanks(&mut self) {
        while matches!(self.peek(), Some(b' ' | b'\t' | b'\n' | b'\r')) {
            self.at += 1;
        }
    }

    /// A number, or one of the words that stand without quotes. nginx writes a lone `-` where it has no number.
    fn word(&mut self) -> Option<&'t [u8]> {
        let rest = &self.text[self.at..];
        let is_part = |byte: &u8| byte.is_ascii_alphanumeric() || b"+-.".contains(byte);
        let word = &rest[..rest.iter().take_while(|byte| is_part(byte)).count()];
        let is_number = |word: &[u8]| {
            let digit = |byte: &u8| byte.is_ascii_digit() || b"+-.eE".contains(byte);
            matches!(word.first(), Some(b'-' | b'0'..=b'9')) && word.iter().all(digit)
        };
        let words = [
            &b"null"[..],
            b"true",
            b"false",
            b"NaN",
            b"Infinity",
            b"-Infinity",
        ];
        if !words.contains(&word) && !is_number(word) {
            return None;
        }
        self.at += word.len();
        Some(word)
    }
}

/// What stands for itself and the backslash before it, and how many bytes of `text` it takes. A backslash that begins
/// no escape is only that.
fn escaped(text: &[u8]) -> (char, usize) {
    let unit = |text: &[u8]| {
        let digits = text.strip_prefix(b"u")?.get(..4)?;
        if !digits.iter().all(u8::is_ascii_hexdigit) {
            return None;
        }
        u16::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok()
    };
    match text.first() {
        Some(sign @ (b'"' | b'\\' | b'/')) => (char::from(*sign), 1),
        Some(b'b') => ('\u{8}', 1),
        Some(b'f') => ('\u{c}', 1),
        Some(b'n') => ('\n', 1),
        Some(b'r') => ('\r', 1),
        Some(b't') => ('\t', 1),
        _ => {
            let Some(first) = unit(text) else {
                return ('\\', 0);
            };
            let second = text
                .get(5..)
                .and_then(|text| unit(text.strip_prefix(b"\\")?));
            let pair = [first, second.unwrap_or_default()];
            match char::decode_utf16(pair).next() {
                Some(Ok(letter)) => (letter, 5 * letter.len_utf16() + letter.len_utf16() - 1),
                _ => (char::REPLACEMENT_CHARACTER, 5),
            }
        }
    }
}

/// The bytes that a list holds, if it holds some and nothing else.
fn bytes(list: &[u8]) -> Option<Vec<u8>> {
    let byte = |item: &[u8]| std::str::from_utf8(item.trim_ascii()).ok()?.parse().ok();
    list.split(|byte| *byte == b',').map(byte).collect()
}

#[cfg(test)]
mod tests;
