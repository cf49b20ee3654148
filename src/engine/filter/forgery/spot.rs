//! Where in the lines of a sample does text of a client stand?
//!
//! In: lines, and what is known of such text in their records. Out: a [`Spot`], into which other text can be put, written as
//! the log has it. What becomes of the lines is not known here.

use std::ops::Range;

use memchr::memmem;

use super::super::language::Free;
use super::super::quoting::Quoting;
use super::super::view::{Place, View};
use super::How;

/// A text of a client, wherever it stands.
#[derive(Debug)]
pub(super) struct Spot {
    /// The number of the line, and what of it.
    ranges: Vec<(usize, Range<usize>)>,
    /// What a placeholder takes; `None` if only the sample knows that a client chose it.
    pub free: Option<Free>,
    /// The pattern that has the placeholder.
    pub pattern: u16,
    /// In how many objects of JSON it stands, one in the other.
    depth: usize,
    /// Whether the innermost of them is the service's own, and no container's.
    in_object: bool,
    /// Where in its message a placeholder's text begins.
    start: usize,
    /// What stands there in the line.
    text: String,
}

/// In how many objects of JSON the texts of a line stand, and whether the service has written one.
pub(super) fn depth(line: &str, view: &View<'_>) -> (usize, bool) {
    let by_container = line.starts_with("{\"log\":\"");
    let in_object = view.has_fields();
    (
        usize::from(by_container) + usize::from(in_object),
        in_object,
    )
}

impl Spot {
    /// What a group took of a text of the record that `line` is; `None` if the line has it in another form.
    pub fn of_group(
        number: usize,
        line: &str,
        (depth, in_object): (usize, bool),
        (place, text, range): (&Place, &[u8], Range<usize>),
        free: Free,
        pattern: u16,
    ) -> Option<Self> {
        let part = |range: Range<usize>| std::str::from_utf8(&text[range]).ok();
        let before = part(0..range.start)?;
        let taken = part(range.clone())?;
        let whole = part(0..text.len())?;
        let forms: [fn(&str) -> String; 3] = [
            str::to_owned,
            |text| Quoting::Json.write(text),
            |text| Quoting::Json.write(text).replace('/', "\\/"),
        ];
        // An object has the text escaped, whatever else looks like it.
        let forms = match depth {
            0 => &forms[..1],
            _ => &forms[..],
        };
        let at = forms.iter().rev().find_map(|form| {
            let at = match place {
                Place::Message => rfind(line, &form(whole), depth > 0),
                Place::Field(path) => of_field(line, path.as_str(), &form(whole)),
            }?;
            let start = at + form(before).len();
            Some(start..start + form(taken).len())
        })?;
        Some(Spot {
            text: line.get(at.clone())?.to_owned(),
            ranges: vec![(number, at)],
            free: Some(free),
            pattern,
            depth,
            in_object,
            start: range.start,
        })
    }

    /// A text that a client chose, in all lines, where it stands by itself: the `/` of a URL is no part of a date.
    pub fn of_chosen(lines: &[String], text: &str, depths: &[(usize, bool)]) -> Self {
        let mut ranges = Vec::new();
        for (number, line) in lines.iter().enumerate() {
            let bytes = line.as_bytes();
            let found = memmem::find_iter(bytes, text);
            let found: Vec<_> = found.map(|at| at..at + text.len()).collect();
            let alone = |range: &&Range<usize>| {
                let before = range.start.checked_sub(1).map(|at| bytes[at]);
                let behind = bytes.get(range.end).copied();
                let mut beside = before.into_iter().chain(behind);
                !beside.any(|byte| byte.is_ascii_alphanumeric())
            };
            let by_itself: Vec<_> = found.iter().filter(alone).cloned().collect();
            let found = if by_itself.is_empty() {
                found
            } else {
                by_itself
            };
            ranges.extend(found.into_iter().map(|range| (number, range)));
        }
        let (depth, in_object) = ranges.first().map_or((0, false), |(line, _)| depths[*line]);
        Spot {
            ranges,
            free: None,
            pattern: 0,
            depth,
            in_object,
            start: 0,
            text: text.to_owned(),
        }
    }

    /// Whether it is known how the service writes it.
    pub fn is_written(&self) -> bool {
        matches!(self.free, None | Some(Free::Name | Free::Quoted))
    }

    /// What stands there.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// The number of the first line that has it.
    pub fn line(&self) -> usize {
        self.ranges.first().map_or(0, |(line, _)| *line)
    }

    /// Where in its message it begins.
    pub fn start(&self) -> usize {
        self.start
    }

    /// What stands there of `text`.
    pub fn written(&self, text: &[u8], how: How, quoting: Quoting) -> Vec<u8> {
        let as_text = || String::from_utf8_lossy(text);
        let mut written = match (how, self.free) {
            (How::AsTaken, Some(Free::Word)) => {
                let mut word = text.to_vec();
                // What Rust's `\s` is among bytes.
                let is_blank = |byte: &u8| byte.is_ascii_whitespace() || *byte == 0x0b;
                word.iter_mut()
                    .filter(|byte| is_blank(byte))
                    .for_each(|byte| *byte = b'_');
                word
            }
            (How::AsTaken, Some(Free::Quoted)) => Quoting::Quotes.write(&as_text()).into_bytes(),
            (How::AsTaken, _) => text.to_vec(),
            // That is what the object does.
            (How::AsWritten, _) if quoting == Quoting::Json && self.in_object => text.to_vec(),
            (How::AsWritten, _) => quoting.write(&as_text()).into_bytes(),
        };
        for _ in 0..self.depth {
            written = Quoting::Json
                .write(&String::from_utf8_lossy(&written))
                .into_bytes();
        }
        written
    }

    /// The line of this number with `text` instead; `None` if it has none of it.
    pub fn put(&self, number: usize, line: &[u8], text: &[u8]) -> Option<Vec<u8>> {
        let (mut forged, mut behind) = (Vec::with_capacity(line.len() + text.len()), 0);
        for (_, range) in self.ranges.iter().filter(|(of, _)| *of == number) {
            forged.extend_from_slice(&line[behind..range.start]);
            forged.extend_from_slice(text);
            behind = range.end;
        }
        if behind == 0 && forged.is_empty() {
            return None;
        }
        forged.extend_from_slice(&line[behind..]);
        Some(forged)
    }
}

/// Where a text is in a line, from behind; in quotes if it can be.
fn rfind(line: &str, text: &str, in_object: bool) -> Option<usize> {
    let quoted = || Some(line.rfind(&format!("\"{text}\""))? + 1);
    let quoted = in_object.then(quoted).flatten();
    quoted.or_else(|| line.rfind(text))
}

/// Where the text of a field is.
fn of_field(line: &str, path: &str, text: &str) -> Option<usize> {
    let name = path.rsplit('.').next().unwrap_or(path);
    let name = format!("\"{name}\"");
    line.match_indices(&name).find_map(|(at, _)| {
        let behind = line[at + name.len()..]
            .trim_start()
            .strip_prefix(':')?
            .trim_start();
        let value = behind.strip_prefix('"').filter(|value| {
            let rest = value.strip_prefix(text);
            rest.is_some_and(|rest| rest.starts_with('"'))
        });
        let value = value.or_else(|| behind.starts_with(text).then_some(behind))?;
        Some(line.len() - value.len())
    })
}
