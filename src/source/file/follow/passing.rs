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
use crate::source::Delivery;

/// How long others can do without hearing of lines that mean nothing to them: how far the log was read, and how late.
const QUIET_PACE: Duration = Duration::from_millis(500);

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
