//! Where does the part of an old log begin that still matters?
//!
//! Comes in: a file that was never read before, and a moment. Goes out: the place of the first line that is not older.
//! The lines' own dates are compared, as far apart as a bisection needs.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;

use super::encoding::Coding;
use super::lines::{LineEnd, Splitter};
use crate::engine::record::line::{LineForm, LineReader, Malformed};
use crate::engine::time::Timestamp;

/// How far to look for a line with a date. It is read in one go; some hundred lines.
const STRETCH: u64 = 64 * 1024;

/// How many stretches without a date are read one after the other; a file that has none in them has none. A stack trace is
/// shorter.
const MOST_DATELESS: usize = 16;

/// Where to begin.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    /// Where the first line begins that matters.
    pub begin: u64,
    /// Where a line begins up to [`STRETCH`] before, or the file; the same place if none is known.
    pub before: u64,
}

/// The place of the first line that is not older than `since`, or behind the last whole line if there is none or no
/// line shows a date. Whatever comes out once it is `stopped` means nothing.
///
/// # Errors
/// The file cannot be read.
pub fn place(
    file: &File,
    coding: &Coding,
    form: &LineForm,
    since: Timestamp,
    now: Timestamp,
    stopped: impl Fn() -> bool,
) -> io::Result<Place> {
    let size = file.metadata()?.len();
    // A line without a date gets this moment, which no line shows: dates have no such fraction.
    let now = Timestamp::from_micros(now.as_micros() / 1_000_000 * 1_000_000 + 999_983);
    let mut dates = Dates {
        file,
        end: coding.line_end(),
        coding,
        reader: LineReader::new(form, now),
        now,
        size,
        buffer: Vec::new(),
        stopped,
    };
    // Before `low` all is older; at `high` and behind nothing is, or it is the end.
    let (mut low, mut high) = (0, size);
    while high - low > STRETCH && !(dates.stopped)() {
        // Units of two bytes begin at even places.
        let middle = low.midpoint(high) & !1;
        match dates.first_from(middle, high)? {
            Some(found) if found.time < since => low = found.behind,
            // Without a date nothing is said; the half before it is looked at too.
            Some(_) | None => high = middle,
        }
    }
    let begin = dates.first_not_older(low, since)?;
    let before = dates.line_before(begin)?;
    Ok(Place { begin, before })
}

struct Dates<'a, S> {
    file: &'a File,
    end: LineEnd,
    coding: &'a Coding,
    /// Has read nothing yet.
    reader: LineReader,
    now: Timestamp,
    size: u64,
    buffer: Vec<u8>,
    stopped: S,
}

/// A line with a date.
struct Found {
    time: Timestamp,
    behind: u64,
}

impl<S: Fn() -> bool> Dates<'_, S> {
    /// The first line with a date that begins behind `from` and before `to`, as far as one looks.
    fn first_from(&mut self, from: u64, to: u64) -> io::Result<Option<Found>> {
        self.fill(from)?;
        let mut splitter = Splitter::new(self.end);
        let mut rest = &self.buffer[..];
        let mut place = from;
        let mut decoded = String::new();
        let mut whole = from == 0;
        let mut reader = self.reader.clone();
        while let Some(line) = splitter.next(&mut rest) {
            let begin = place;
            place += line.length;
            // The first one is only the end of a line.
            if !std::mem::replace(&mut whole, true) {
                continue;
            }
            if begin >= to {
                break;
            }
            let text = self.coding.text(line.text, begin == 0, &mut decoded);
            let time = self.time_of(&mut reader, text);
            if time != self.now {
                return Ok(Some(Found {
                    time,
                    behind: place,
                }));
            }
        }
        Ok(None)
    }

    /// The first such line from `from` on, line by line.
    fn first_not_older(&mut self, from: u64, since: Timestamp) -> io::Result<u64> {
        let mut place = from;
        let mut splitter = Splitter::new(self.end);
        let mut read = from;
        let mut decoded = String::new();
        let mut dateless = 0;
        while read < self.size && !(self.stopped)() {
            if dateless == MOST_DATELESS {
                return self.last_line_end(read);
            }
            dateless += 1;
            self.fill(read)?;
            if self.buffer.is_empty() {
                break;
            }
            // A new one, since the others would have the time of the line before.
            let mut reader = self.reader.clone();
            read += self.buffer.len() as u64;
            let mut rest = &self.buffer[..];
            while let Some(line) = splitter.next(&mut rest) {
                let text = self.coding.text(line.text, place == 0, &mut decoded);
                let time = self.time_of(&mut reader, text);
                if time != self.now {
                    if time >= since {
                        return Ok(place);
                    }
                    dateless = 0;
                }
                place += line.length;
            }
        }
        Ok(place)
    }

    /// Where the first line begins that is no further before `place` than one looks.
    fn line_before(&mut self, place: u64) -> io::Result<u64> {
        // Units of two bytes begin at even places.
        let from = place.saturating_sub(STRETCH) & !1;
        if from == 0 {
            return Ok(0);
        }
        self.fill(from)?;
        let mut splitter = Splitter::new(self.end);
        let half = splitter.next(&mut &self.buffer[..]);
        Ok(half.map_or(place, |line| place.min(from + line.length)))
    }

    /// The place behind the last whole line, as far back as `from` and as one looks; otherwise the end.
    fn last_line_end(&mut self, from: u64) -> io::Result<u64> {
        let mut end = self.size;
        for _ in 0..MOST_DATELESS {
            if (self.stopped)() {
                break;
            }
            let begin = end.saturating_sub(STRETCH).max(from);
            // Units of two bytes begin at even places.
            let begin = begin & !1;
            self.fill(begin)?;
            let mut splitter = Splitter::new(self.end);
            let mut rest = &self.buffer[..];
            let mut place = None;
            let mut read = begin;
            while let Some(line) = splitter.next(&mut rest) {
                read += line.length;
                place = Some(read);
            }
            if let Some(place) = place {
                return Ok(place);
            }
            end = begin;
        }
        Ok(self.size)
    }

    /// When a line was written; now if neither it nor one before it says so.
    fn time_of(&self, reader: &mut LineReader, line: &[u8]) -> Timestamp {
        match reader.read(line) {
            Ok(Some(record)) => record.time,
            Ok(None) | Err(Malformed) => self.now,
        }
    }

    fn fill(&mut self, from: u64) -> io::Result<()> {
        let length = STRETCH.min(self.size.saturating_sub(from));
        self.buffer
            .resize(usize::try_from(length).unwrap_or_default(), 0);
        let read = self.file.read_at(&mut self.buffer, from)?;
        self.buffer.truncate(read);
        Ok(())
    }
}
