//! Which lines are read again, so that those of a container come whole?
//!
//! Comes in: where the lines begin that are not over. Goes out: how far to go back to them after a restart, and which
//! lines were known. What they say is not known here.

use super::super::token::MOST_AGAIN;
use super::Part;
use crate::engine::record::outputs::Unfinished;

/// Which lines are taken again, only to know which ones are not over.
#[derive(Clone, Copy, Debug)]
pub struct Again {
    /// Where that begins.
    from: u64,
    /// Where it ends.
    pub to: u64,
    /// Whether all that is not over at `to` begins behind `from`.
    whole: bool,
}

impl Part {
    /// Takes the lines again that stand between `from` and the place that was reached. If not all that goes on there begins
    /// behind `from`, it is not `whole`.
    pub fn go_back(&mut self, from: u64, whole: bool) {
        let to = self.reached();
        self.again = Some(Again { from, to, whole });
        self.offset = from;
    }

    /// Which lines of a container are to be forgotten before the next line, since that is the first one that is taken again.
    pub fn begins_anew(&self) -> Option<Unfinished> {
        let again = self.again.filter(|again| again.from == self.offset)?;
        Some(match again.whole {
            true => Unfinished::NONE,
            false => Unfinished::BOTH,
        })
    }

    /// Whether it is not known which lines go on, as long as not all have been taken again.
    pub fn is_unsure(&self) -> bool {
        self.again
            .is_some_and(|again| !again.whole || again.from < self.offset)
    }

    /// Notes which lines are not over behind a line that begins at `begun`, or that it was in another file.
    pub fn note(&mut self, before: Unfinished, now: Unfinished, begun: Option<u64>) {
        let outputs = [(before.stdout, now.stdout), (before.stderr, now.stderr)];
        for (known, (before, now)) in self.begun.iter_mut().zip(outputs) {
            *known = match (before, now) {
                _ if begun.is_none() => None,
                (_, false) => None,
                (false, true) => begun,
                (true, true) => *known,
            };
        }
    }

    /// How far before the place that was reached all lines begin that are not over; 0 if that is not known, or too far.
    pub(super) fn back(&self, unfinished: Unfinished) -> u64 {
        if let Some(again) = self.again {
            return if again.whole {
                again.to - again.from
            } else {
                0
            };
        }
        let outputs = [unfinished.stdout, unfinished.stderr];
        let mut begins = self
            .begun
            .iter()
            .zip(outputs)
            .filter(|(_, goes_on)| *goes_on);
        let first = begins.try_fold(self.offset, |first, (begun, _)| {
            begun.map(|at| first.min(at))
        });
        let back = first.map_or(0, |first| self.offset - first);
        if back > MOST_AGAIN { 0 } else { back }
    }
}
