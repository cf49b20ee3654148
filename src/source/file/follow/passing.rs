//! Which lines need not be read?
//!
//! In: the bytes of a file behind a line's end, and the sieve of those who listen. Out: the place of the next line that
//! has to be read, and whether what was read is handed on by now.

use std::ops::ControlFlow;
use std::time::Duration;

use super::super::hands::{Hands, Stopped};
use super::Log;
use crate::engine::filter::passing::News;
use crate::engine::filter::sieve::Sieve;
use crate::engine::time::Timestamp;
use crate::source::Delivery;

/// So many bytes of lines that no pattern can take are read all the same in each [`SAMPLE_EVERY`], so that somebody sees
/// what a service logs anew: of a usual log all lines, of one that grows by gigabytes in an hour still some thousand in
/// that time. They cost less than a millisecond.
const SAMPLE: usize = 64 * 1024;

/// See [`SAMPLE`].
const SAMPLE_EVERY: Duration = Duration::from_secs(60);

/// How long others can do without hearing of lines that mean nothing to them: how far the log was read, and how late.
const QUIET_PACE: Duration = Duration::from_millis(500);

/// Lines that are read though no pattern can take them.
#[derive(Debug, Default)]
pub(super) struct Sample {
    begun: Timestamp,
    bytes: usize,
}

impl Sample {
    /// Begins anew if it is time.
    pub(super) fn renew(&mut self, now: Timestamp) {
        // A clock that was set back must not put it off.
        if now < self.begun || now >= self.begun.after(SAMPLE_EVERY) {
            *self = Sample {
                begun: now,
                bytes: 0,
            };
        }
    }

    /// Whether it can have more.
    fn is_open(&self) -> bool {
        self.bytes < SAMPLE
    }
}

impl Log {
    /// Passes over lines of the part `index` that no pattern can take, but for a sample of them; answers whether the next
    /// one is such a line too.
    pub(super) fn pass_over(&mut self, index: usize, news: &mut News<'_>, sieve: &Sieve) -> bool {
        let part = &mut self.parts[index];
        let is_plain = part.coding.is_some_and(|coding| coding.is_plain());
        let is_usual = part.again.is_none() && part.since.is_none() && !part.beheaded;
        let may_pass =
            is_plain && is_usual && part.splitter.is_between_lines() && self.reader.is_settled();
        if !may_pass {
            return false;
        }
        if self.sample.is_open() && news.may_pass(sieve) {
            self.sample.bytes += news.line().len();
            return true;
        }
        let passed = news.pass(sieve);
        self.reader.pass(passed.bytes, news.line());
        part.offset += passed.bytes.len() as u64;
        self.passed += passed.lines;
        self.batch.note_passed(passed.bytes.len());
        news.is_quiet(sieve)
    }

    /// Hands on what was read, if others have to hear of it by now.
    pub(super) fn tell<D: FnMut(Delivery) -> ControlFlow<()>>(
        &mut self,
        hands: &mut Hands<'_, D>,
    ) -> Result<(), Stopped> {
        if self.is_loud || self.stale || self.told.elapsed() >= QUIET_PACE {
            self.flush(hands)?;
        }
        Ok(())
    }
}
