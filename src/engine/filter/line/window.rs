//! Which lines are looked at together?
//!
//! In: the lines of a log, one after the other. Out: the last ones as one text. What a pattern takes of them is
//! forgotten, but for lines that it only skips.

use std::ops::Range;

use super::connection::Lines;
use super::expression::Captures;
use crate::engine::record::LONGEST_MESSAGE;
use crate::engine::time::Timestamp;

/// The groups that take lines between those that belong together: `skiplines_0`, `skiplines_1`, …
const SKIPPED: &str = "skiplines_";

/// The last lines of a log, each with its end.
#[derive(Clone, Debug, Default)]
pub(super) struct Window {
    text: Vec<u8>,
    /// The last date that a line had.
    pub(super) time: Option<Timestamp>,
    /// The same lines as they were written, if somebody wants to see them.
    written: Vec<Box<str>>,
}

/// Which lines of a window a pattern took, and which of them it only skipped; by their bytes.
pub(super) struct TakenLines {
    whole: Range<usize>,
    skipped: Vec<Range<usize>>,
}

impl Window {
    /// Adds a line, with its date if it has one, and forgets the oldest ones.
    pub(super) fn add(
        &mut self,
        line: &[u8],
        time: Option<Timestamp>,
        most: u16,
        written: Option<Box<str>>,
    ) {
        self.time = time.or(self.time);
        self.text.extend_from_slice(line);
        self.text.push(b'\n');
        let ends = memchr::memchr_iter(b'\n', &self.text);
        let surplus = ends.clone().count().saturating_sub(usize::from(most));
        // Several lines are not to be longer together than one may be.
        let start = ends
            .clone()
            .map(|end| end + 1)
            .find(|start| self.text.len() - start <= LONGEST_MESSAGE);
        let of_count = surplus
            .checked_sub(1)
            .and_then(|last| ends.clone().nth(last));
        let too_long = start
            .filter(|_| self.text.len() > LONGEST_MESSAGE)
            .unwrap_or(0);
        let too_many = of_count.map_or(0, |end| end + 1);
        self.text.drain(..too_long.max(too_many));
        self.written.extend(written);
        let kept = usize::try_from(count(&self.text)).unwrap_or(usize::MAX);
        let forgotten = self.written.len().saturating_sub(kept);
        self.written.drain(..forgotten);
    }

    /// All of them, without the end of the last one.
    pub(super) fn text(&self) -> &[u8] {
        self.text.strip_suffix(b"\n").unwrap_or(&self.text)
    }

    /// What a pattern took of that.
    pub(super) fn taken_by(&self, taken: &Captures<'_>) -> TakenLines {
        let text = self.text();
        let skipped = taken.iter().filter(|(name, _)| name.starts_with(SKIPPED));
        TakenLines {
            whole: whole_lines(text, taken.whole()),
            skipped: skipped.map(|(_, range)| range).collect(),
        }
    }

    /// Forgets what was taken but what was only skipped; answers the lines that were forgotten.
    pub(super) fn forget(&mut self, taken: TakenLines) -> Lines {
        let TakenLines { whole, skipped } = taken;
        let number = |at: usize| usize::try_from(count(&self.text[..at])).unwrap_or(usize::MAX);
        let mut is_skipped = vec![false; number(whole.end)];
        let mut kept = self.text[..whole.start].to_vec();
        for skipped in skipped {
            let mut at = skipped.start;
            for line in self.text[skipped].split(|byte| *byte == b'\n') {
                if !line.is_empty() {
                    kept.extend_from_slice(line);
                    kept.push(b'\n');
                    if let Some(is_skipped) = is_skipped.get_mut(number(at)) {
                        *is_skipped = true;
                    }
                }
                at += line.len() + 1;
            }
        }
        let first = number(whole.start);
        let is_forgotten =
            |number: usize| number >= first && is_skipped.get(number) == Some(&false);
        let forgotten = (0..is_skipped.len()).filter(|number| is_forgotten(*number));
        let lines = u32::try_from(forgotten.count()).unwrap_or(u32::MAX);
        let (mut texts, mut written) = (Vec::new(), Vec::new());
        for (number, text) in std::mem::take(&mut self.written).into_iter().enumerate() {
            match is_forgotten(number) {
                true => texts.push(text),
                false => written.push(text),
            }
        }
        kept.extend_from_slice(&self.text[whole.end..]);
        self.text = kept;
        self.written = written;
        Lines {
            count: lines,
            texts,
        }
    }
}

fn count(text: &[u8]) -> u32 {
    u32::try_from(memchr::memchr_iter(b'\n', text).count()).unwrap_or(u32::MAX)
}

/// The lines in which a part of the text stands, with their ends; the last one has none in `text`.
fn whole_lines(text: &[u8], part: Range<usize>) -> Range<usize> {
    let start = memchr::memrchr(b'\n', &text[..part.start]).map_or(0, |end| end + 1);
    let last = part.end.saturating_sub(1).max(part.start).min(text.len());
    let end = memchr::memchr(b'\n', &text[last..]).map_or(text.len(), |end| last + end);
    start..end + 1
}
