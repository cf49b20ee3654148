//! Which lines need not be read?
//!
//! In: the bytes of a file behind a line's end, and the sieve of those who listen. Out: the place of the next line that
//! has to be read. Nothing is handed on here.

use std::time::Duration;

use super::Log;
use crate::engine::filter::sieve::{Sieve, but_last_line};

/// How long others can do without hearing of lines that mean nothing to them: how far the log was read, and how late.
const QUIET_PACE: Duration = Duration::from_millis(500);

/// What is new in a file.
pub(super) struct News<'b> {
    /// What has not been taken.
    pub bytes: &'b [u8],
    /// How many of the bytes are the last line with an end and what follows it. That line is always read.
    last: usize,
}

impl<'b> News<'b> {
    pub(super) fn of(bytes: &'b [u8]) -> Self {
        News {
            bytes,
            last: bytes.len() - but_last_line(bytes),
        }
    }

    /// The lines before the last one.
    fn before_last(&self) -> &'b [u8] {
        &self.bytes[..self.bytes.len().saturating_sub(self.last)]
    }

    /// The next line, with its end if it has one.
    fn line(&self) -> &'b [u8] {
        let end = memchr::memchr(b'\n', self.bytes);
        end.map_or(self.bytes, |end| &self.bytes[..=end])
    }
}

impl Log {
    /// Passes over lines of the part `index` that no pattern can take; answers whether the next one is such a line too.
    pub(super) fn pass_over(&mut self, index: usize, news: &mut News<'_>, sieve: &Sieve) -> bool {
        let part = &mut self.parts[index];
        let is_plain = part.coding.is_some_and(|coding| coding.is_plain());
        let is_usual = part.again.is_none() && part.since.is_none() && !part.beheaded;
        let may_pass =
            is_plain && is_usual && part.splitter.is_between_lines() && self.reader.is_settled();
        if !may_pass {
            return false;
        }
        let lines = news.before_last();
        let quiet = sieve.quiet(lines);
        let (passed, next) = news.bytes.split_at(quiet.bytes);
        self.reader.pass(passed, next);
        part.offset += passed.len() as u64;
        self.passed += quiet.lines;
        news.bytes = next;
        let line = news.line();
        quiet.bytes == lines.len() && sieve.quiet(line).bytes == line.len()
    }

    /// Whether others have to hear of what was read.
    pub(super) fn has_news(&self) -> bool {
        self.is_loud || self.stale || self.told.elapsed() >= QUIET_PACE
    }
}
