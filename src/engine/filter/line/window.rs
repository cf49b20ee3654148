//! Which lines are looked at together?
//!
//! In: the lines of a log, one after the other. Out: the last ones as one text. What a pattern takes of them is
//! forgotten, but for lines that it only skips.

use std::ops::Range;

use super::connection::Lines;
use super::recent::Measured;
use crate::engine::expression::Captures;
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

/// What a pattern took of some lines, and which of them it only skipped; by their bytes.
#[derive(Debug)]
pub(super) struct TakenLines {
    whole: Range<usize>,
    skipped: Vec<Range<usize>>,
}

impl TakenLines {
    /// What was taken of the part of them that begins at `start`.
    pub(super) fn of(taken: &Captures<'_>, start: usize) -> Self {
        let there = |range: Range<usize>| range.start + start..range.end + start;
        let skipped = taken.iter().filter(|(name, _)| name.starts_with(SKIPPED));
        TakenLines {
            whole: there(taken.whole()),
            skipped: skipped.map(|(_, range)| there(range)).collect(),
        }
    }
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
        // Several lines are not to be longer together than one may be.
        let longest = LONGEST_MESSAGE + 1;
        let lines = memchr::memchr_iter(b'\n', &self.text).count();
        let ends = memchr::memchr_iter(b'\n', &self.text).map(|end| end + 1);
        let is_room = |(forgotten, start): &(usize, usize)| {
            lines - forgotten <= usize::from(most) && self.text.len() - start <= longest
        };
        let start = (0..).zip(std::iter::once(0).chain(ends)).find(is_room);
        let (_, start) = start.unwrap_or_default();
        self.text.drain(..start);
        self.written.extend(written);
        let kept = usize::try_from(count(&self.text)).unwrap_or(usize::MAX);
        let forgotten = self.written.len().saturating_sub(kept);
        self.written.drain(..forgotten);
    }

    /// All of them, without the end of the last one.
    pub(super) fn text(&self) -> &[u8] {
        self.text.strip_suffix(b"\n").unwrap_or(&self.text)
    }

    /// Forgets what was taken but what was only skipped; answers the lines that were forgotten.
    pub(super) fn forget(&mut self, taken: &TakenLines) -> Lines {
        let whole = whole_lines(self.text(), taken.whole.clone());
        let number = |at: usize| usize::try_from(count(&self.text[..at])).unwrap_or(usize::MAX);
        let mut is_skipped = vec![false; number(whole.end)];
        let mut kept = self.text[..whole.start].to_vec();
        for skipped in &taken.skipped {
            let mut at = skipped.start;
            for line in self.text[skipped.clone()].split(|byte| *byte == b'\n') {
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

impl Measured for Window {
    fn bytes(&self) -> usize {
        let written = self.written.iter().map(|text| text.len());
        self.text.len() + written.sum::<usize>()
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
