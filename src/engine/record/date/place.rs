//! Where may a date stand, and is it one that the log has in all its lines?
//!
//! In: what stands beside a date, and which lines have one. Out: how its place is known again, and whether the dates
//! within the lines can be believed.

use super::format::is_word;

/// So many bytes before a date and behind it are enough to know its place by.
const EDGE: usize = 8;

/// So many lines in a row with a date within make up for one that had none.
const REGULAR: u32 = 16;

/// Some bytes beside a date.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Edge {
    bytes: [u8; EDGE],
    length: usize,
}

impl Edge {
    /// What stands before a date and may well stand before the next line's: a blank, or the signs and letters right
    /// before it.
    pub fn before(text: &[u8]) -> Self {
        let run = text
            .iter()
            .rev()
            .take_while(|byte| !byte.is_ascii_whitespace() && !byte.is_ascii_digit())
            .count();
        Edge::of(&text[text.len() - run.clamp(1, EDGE).min(text.len())..])
    }

    /// What stands behind a date: a sign, and behind a bracket or quote the signs that set apart what follows.
    pub fn behind(rest: &[u8]) -> Self {
        let most = match rest {
            [b']' | b')' | b'"', ..] => 3,
            _ => 1,
        };
        let signs = rest.iter().take(most).take_while(|byte| !is_word(**byte));
        Edge::of(&rest[..signs.count()])
    }

    fn of(text: &[u8]) -> Self {
        let mut bytes = [0; EDGE];
        let length = text.len().min(EDGE);
        bytes[..length].copy_from_slice(&text[..length]);
        Edge { bytes, length }
    }

    /// Themselves.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes[..self.length]
    }
}

/// Whether the lines of a log have dates within.
#[derive(Clone, Copy, Debug, Default)]
pub struct Habit {
    /// How many in a row had one, up to [`REGULAR`].
    run: u32,
    /// Whether dates within lines are not believed.
    pub doubtful: bool,
}

impl Habit {
    /// A line has a date within.
    pub fn goes_on(&mut self) {
        self.run = REGULAR.min(self.run + 1);
        self.doubtful &= self.run < REGULAR;
    }

    /// Whether so many lines in a row had one that they are believed.
    pub fn is_regular(&self) -> bool {
        self.run == REGULAR && !self.doubtful
    }

    /// A line has no date.
    pub fn breaks(&mut self) {
        self.doubtful |= self.run < REGULAR;
        self.run = 0;
    }
}

/// Whether `before` is what some writers begin every line with, right before the date: auditd, and those of `logfmt`,
/// some of whom put the level first.
pub fn is_named(before: &[u8]) -> bool {
    let signs = [&b"["[..], b"\""];
    let bare = signs.iter().find_map(|sign| before.strip_prefix(*sign));
    let before = bare.unwrap_or(before);
    let audit = before
        .strip_prefix(b"type=")
        .and_then(|text| text.strip_suffix(b" msg="));
    if audit.is_some_and(|kind| kind.iter().all(|byte| is_word(*byte))) {
        return true;
    }
    let name = before.strip_suffix(b"\"").unwrap_or(before);
    let levels = [&b"level="[..], b"lvl="];
    let level = levels.iter().find_map(|level| name.strip_prefix(*level));
    let name = match level {
        Some(level) => {
            let word = level.iter().take_while(|byte| byte.is_ascii_alphabetic());
            level[word.count()..].strip_prefix(b" ")
        }
        None => Some(name),
    };
    matches!(name, Some(b"time=" | b"ts=" | b"t="))
}
