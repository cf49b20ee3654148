//! How are characters and classes of them written as bytes?

use regex_syntax::utf8::Utf8Sequences;

use super::super::syntax::{Class, Item, Kind};
use super::Printer;

/// Of ranges of characters beyond ASCII that are no longer, the other case of each is taken along where case means
/// nothing.
const LONGEST_FOLDED: u32 = 512;

impl Printer<'_> {
    pub(super) fn class(&mut self, class: &Class) {
        let mut ascii = String::new();
        let mut beyond = Vec::new();
        for item in &class.items {
            match *item {
                Item::Kind(kind) => ascii.push_str(self.kind(kind)),
                Item::Range(first, last) => {
                    push_range(first, last.min('\x7F'), &mut ascii);
                    self.push_beyond(first.max('\u{80}'), last, &mut beyond);
                }
            }
        }
        let one_kind = match class.items[..] {
            [Item::Kind(_)] => !class.is_negated && !self.flags.ascii,
            _ => false,
        };
        match (class.is_negated, beyond.is_empty()) {
            (false, true) if one_kind => self.text.push_str(&ascii),
            (false, true) => self.push(&["[", &ascii, "]"]),
            (true, true) => self.push(&["[^", &ascii, "]"]),
            (false, false) => {
                if !ascii.is_empty() {
                    beyond.insert(0, format!("[{ascii}]"));
                }
                self.push(&["(?:", &beyond.join("|"), ")"]);
            }
            (true, false) => {
                // Of all other characters one byte is taken, as everywhere.
                let rest = match ascii.is_empty() {
                    true => "(?s:.)".to_owned(),
                    false => format!("[^{ascii}]"),
                };
                self.push(&["(?:(?!", &beyond.join("|"), ")", &rest, ")"]);
            }
        }
    }

    fn kind(&self, kind: Kind) -> &'static str {
        let ascii = self.flags.ascii;
        match kind {
            Kind::Digit(true) => r"\d",
            Kind::Digit(false) => r"\D",
            Kind::Word(true) if ascii => "0-9A-Za-z_",
            Kind::Word(false) if ascii => "[^0-9A-Za-z_]",
            Kind::Space(true) if ascii => r"\t-\r ",
            Kind::Space(false) if ascii => r"[^\t-\r ]",
            Kind::Word(true) => r"\w",
            Kind::Word(false) => r"\W",
            Kind::Space(true) => r"\s",
            Kind::Space(false) => r"\S",
        }
    }

    /// Characters beyond ASCII as bytes.
    fn push_beyond(&self, first: char, last: char, all: &mut Vec<String>) {
        if first > last {
            return;
        }
        all.extend(sequences(first, last));
        if self.flags.ignore_case && u32::from(last) - u32::from(first) < LONGEST_FOLDED {
            all.extend((first..=last).flat_map(other_cases).map(bytes));
        }
    }
}

/// A range in a class, if there is anything in it.
fn push_range(first: char, last: char, class: &mut String) {
    if first > last {
        return;
    }
    push_member(first, class);
    if first == last {
        return;
    }
    if u32::from(last) - u32::from(first) > 1 {
        class.push('-');
    }
    push_member(last, class);
}

fn push_member(member: char, class: &mut String) {
    match member {
        '\\' | ']' | '[' | '^' | '-' => class.extend(['\\', member]),
        // Twice, they would do something to the class.
        '&' | '~' => class.push_str(&hexadecimal(member as u8)),
        _ if member.is_ascii_control() => class.push_str(&control(member)),
        _ => class.push(member),
    }
}

pub(super) fn control(sign: char) -> String {
    match sign {
        '\n' => r"\n".to_owned(),
        '\r' => r"\r".to_owned(),
        '\t' => r"\t".to_owned(),
        other => hexadecimal(other as u8),
    }
}

fn hexadecimal(byte: u8) -> String {
    format!("\\x{byte:02X}")
}

/// The bytes of a character.
pub(super) fn bytes(of: char) -> String {
    let mut buffer = [0; 4];
    of.encode_utf8(&mut buffer)
        .bytes()
        .map(hexadecimal)
        .collect()
}

/// The bytes of all characters of a range.
fn sequences(first: char, last: char) -> impl Iterator<Item = String> {
    Utf8Sequences::new(first, last).map(|sequence| {
        let ranges = sequence.as_slice().iter();
        let each = ranges.map(|range| match range.start == range.end {
            true => hexadecimal(range.start),
            false => format!("[{}-{}]", hexadecimal(range.start), hexadecimal(range.end)),
        });
        each.collect()
    })
}

/// The character in its other cases, if these are one character too.
pub(super) fn other_cases(of: char) -> Vec<char> {
    let mut upper = of.to_uppercase();
    let mut lower = of.to_lowercase();
    let both = [(upper.next(), upper.next()), (lower.next(), lower.next())];
    let single = both.into_iter().filter(|(_, second)| second.is_none());
    single
        .filter_map(|(first, _)| first.filter(|other| *other != of))
        .collect()
}
