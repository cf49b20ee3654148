//! What is new in the files of a log?
//!
//! In: the parts in their order. Out: their lines as records in batches, each with the cursor behind it.

use std::ops::ControlFlow;
use std::time::Instant;

use super::super::encoding;
use super::super::hands::{Hands, Stopped};
use super::super::part::{Body, Part, Seen};
use super::super::token::Token;
use super::search::{PATIENCE, Search};
use super::{Gap, Log};
use crate::engine::cursor::Cursor;
use crate::engine::filter::passing::News;
use crate::engine::record::line::Malformed;
use crate::engine::record::outputs::Unfinished;
use crate::engine::record::{LONGEST_MESSAGE, Record};
use crate::source::Delivery;

/// Records of one batch. Each batch costs one transaction, so it is large where many come at once.
const BATCH_RECORDS: usize = 4096;

/// Text of one batch.
const BATCH_BYTES: usize = 512 * 1024;

/// What is shown of a line that is not understood.
const QUOTED: usize = 80;

/// What is read of one log before it is the next one's turn.
const TURN: usize = 4 << 20;

/// What is kept of the room for a line in another encoding.
const KEPT_ROOM: usize = 16 * 1024;

impl Log {
    /// Reads the parts in their order; answers whether there is more than is read in one turn.
    pub(super) fn read<D: FnMut(Delivery) -> ControlFlow<()>>(
        &mut self,
        hands: &mut Hands<'_, D>,
    ) -> Result<bool, Stopped> {
        let mut chunk = std::mem::take(&mut hands.chunk);
        let result = self.read_parts(&mut chunk, hands);
        hands.chunk = chunk;
        result
    }

    fn read_parts<D: FnMut(Delivery) -> ControlFlow<()>>(
        &mut self,
        chunk: &mut [u8],
        hands: &mut Hands<'_, D>,
    ) -> Result<bool, Stopped> {
        let mut taken = 0;
        let mut index = 0;
        while index < self.parts.len() {
            match self.parts[index].read(hands.spec.encoding, chunk) {
                Ok(Seen::Bytes(read)) => {
                    self.take(index, &chunk[..read], false, hands)?;
                    // What was skipped has been read too.
                    taken += if read == 0 { chunk.len() } else { read };
                    if taken >= TURN {
                        return Ok(true);
                    }
                    // What fills less than the buffer was the end a moment ago; the next look sees what came since.
                    let plain = matches!(self.parts[index].body, Body::Plain(_));
                    index += usize::from(plain && read < chunk.len());
                }
                Ok(Seen::End) => index += 1,
                Ok(Seen::Whole) => {
                    self.finish(index, hands)?;
                    index += 1;
                }
                Ok(Seen::Truncated) if index + 1 == self.parts.len() && self.at_path => {
                    // The next look searches for a copy.
                    self.parts[index].lose();
                    return Ok(true);
                }
                Ok(Seen::Truncated) => {
                    self.parts[index].finish();
                    self.stale = true;
                    index += 1;
                }
                Err(error) => {
                    let part = &mut self.parts[index];
                    if matches!(part.body, Body::Packed { .. }) {
                        // Perhaps it is still being packed.
                        part.lose_sight();
                        if part.bad_since.get_or_insert_with(Instant::now).elapsed() > PATIENCE {
                            part.finish();
                            self.gap = Some(Gap::Behind(self.last));
                        }
                        self.search.get_or_insert_with(Search::new);
                    } else {
                        part.lose();
                        self.broken = Some(error);
                        self.at_path = self.at_path && index + 1 < self.parts.len();
                        self.search.get_or_insert_with(Search::new);
                    }
                    index += 1;
                }
            }
        }
        Ok(false)
    }

    /// Hands on what is left of a part to which nobody writes any more.
    pub(super) fn finish<D: FnMut(Delivery) -> ControlFlow<()>>(
        &mut self,
        index: usize,
        hands: &mut Hands<'_, D>,
    ) -> Result<(), Stopped> {
        self.take(index, &[], true, hands)?;
        self.parts[index].finish();
        self.stale = true;
        Ok(())
    }

    /// Takes the lines out of what came of a part; `last` if nothing more will, so that the last line needs no end.
    fn take<D: FnMut(Delivery) -> ControlFlow<()>>(
        &mut self,
        index: usize,
        bytes: &[u8],
        last: bool,
        hands: &mut Hands<'_, D>,
    ) -> Result<(), Stopped> {
        let mut news = News::of(bytes);
        loop {
            let sieve = hands.spec.sieve.as_deref();
            let is_quiet = sieve.is_some_and(|sieve| self.pass_over(index, &mut news, sieve));
            let part = &mut self.parts[index];
            let coding = part.coding.unwrap_or_default();
            let begun = part.offset;
            let anew = part.begins_anew();
            let mut half = false;
            let line = match part.splitter.next(&mut news.bytes) {
                None if last => {
                    half = true;
                    part.splitter.rest()
                }
                line => line,
            };
            let Some(line) = line else {
                // A rare long line must not hold its room for ever.
                self.decoded.shrink_to(KEPT_ROOM);
                return Ok(());
            };
            if let Some(unfinished) = anew {
                self.reader.resume(unfinished);
            }
            let before = self.reader.unfinished();
            part.offset += line.length;
            // Lines that were handed on before are read only for what they leave unfinished.
            let known = part.again.is_some_and(|again| part.offset <= again.to);
            part.again = part.again.filter(|again| part.offset < again.to);
            let end = begun + line.length;
            if !self.told_wide && coding.is_plain() && !half && line.text.get(1) == Some(&0) {
                // Behind it stands the end of the line, one byte.
                let at = end.saturating_sub(line.text.len() as u64 + 1);
                if let Some(encoding) = encoding::seems(line.text, at) {
                    self.told_wide = true;
                    let (source, path) = (&hands.spec.name, self.path.display());
                    log::warn!(
                        "source {source}: {path}: its letters are those of {encoding}, and nothing of it is understood; \
                         name it for this log: see `encoding` in f2bd.conf(5)"
                    );
                }
            }
            let text = coding.text(line.text, begun == 0, &mut self.decoded);
            let beheaded = std::mem::take(&mut part.beheaded);
            let read = match line.cut {
                _ if beheaded => Ok(None),
                true => self.reader.read_cut(text),
                false if half => self.reader.read_last(text),
                false => self.reader.read(text),
            };
            match read {
                _ if known => {}
                Ok(None) => {}
                // A line without a date is of the present, and says nothing.
                Ok(Some(record))
                    if part
                        .since
                        .is_some_and(|since| record.time < since || record.time == self.now) => {}
                Ok(Some(record)) => {
                    part.since = None;
                    self.last = record.time;
                    self.losses.cut += u64::from(record.message.len() > LONGEST_MESSAGE);
                    self.resumed.1.get_or_insert(record.time);
                    self.is_loud |= !is_quiet;
                    self.batch.push(Record {
                        routes: &self.routes,
                        passed: std::mem::take(&mut self.passed),
                        ..record
                    });
                }
                Err(Malformed) => {
                    self.losses.malformed += 1;
                    if !std::mem::replace(&mut self.told_malformed, true) {
                        let (source, path) = (&hands.spec.name, self.path.display());
                        let line = text[..text.len().min(QUOTED)].escape_ascii();
                        log::warn!(
                            "source {source}: {path}: `{line}` is not of the form that the log has; see `format` in \
                             f2bd.conf(5); such lines are counted, and this is said once"
                        );
                    }
                }
            }
            let lost = self.reader.take_lost() + u64::from(beheaded);
            if lost > 0 && !known {
                self.losses.cut += lost;
                self.stale = true;
            }
            self.note_unfinished(before, index, begun);
            if !self.told_dateless && self.reader.finds_no_date() {
                self.told_dateless = true;
                let (source, path) = (&hands.spec.name, self.path.display());
                log::warn!(
                    "source {source}: {path}: its first lines have no date as `time` says; they count as of now"
                );
            }
            if self.batch.len() >= BATCH_RECORDS || self.batch.bytes() >= BATCH_BYTES {
                self.flush(hands)?;
            }
        }
    }

    /// Notes where the lines of a container begin that are not over behind a line of the part `index`.
    fn note_unfinished(&mut self, before: Unfinished, index: usize, begun: u64) {
        let now = self.reader.unfinished();
        if (before, now) == (Unfinished::NONE, Unfinished::NONE) {
            return;
        }
        for (at, part) in self.parts.iter_mut().enumerate() {
            part.note(before, now, (at == index).then_some(begun));
        }
    }

    /// Hands on the batch and the cursor behind it.
    pub(super) fn flush<D: FnMut(Delivery) -> ControlFlow<()>>(
        &mut self,
        hands: &mut Hands<'_, D>,
    ) -> Result<(), Stopped> {
        let stale = std::mem::take(&mut self.stale);
        self.is_loud = false;
        self.told = Instant::now();
        if self.batch.is_empty() && !stale {
            return Ok(());
        }
        self.active = Instant::now();
        let unfinished = match self.parts.iter().any(Part::is_unsure) {
            true => Unfinished::BOTH,
            false => self.reader.unfinished(),
        };
        let place = |part: &Part| part.place(unfinished);
        let token = Token {
            settled: self.settled,
            unfinished,
            places: self.parts.iter().map(place).collect(),
        };
        hands.more = true;
        hands.hand_on(Delivery::Records {
            stream: self.stream.clone(),
            batch: self.batch.take(),
            cursor: Some(Cursor {
                token: token.to_string(),
                time: self.last,
            }),
            losses: std::mem::take(&mut self.losses),
            more: true,
        })
    }
}
