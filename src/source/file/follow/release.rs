//! Which old files of a log are still needed?
//!
//! In: the parts, and for how long they have been silent. Out: fewer of them; what is left of each is handed on before.

use std::ops::ControlFlow;
use std::time::{Duration, Instant};

use super::super::hands::{Hands, Stopped};
use super::super::part::{Body, Part};
use super::super::token::MOST_PLACES;
use super::{Gap, Log};
use crate::source::Delivery;

/// How long an old file must have been silent, while the new one grows, until nobody is expected to write to it any
/// more. Workers of a server may serve their last client for minutes before they open the new file.
const QUIET: Duration = Duration::from_secs(300);

/// The most old files of one log that are kept open for those who still write to them.
const MOST_OLD: usize = 8;

/// The most old files of one log that are remembered once they are done, lest a copy of one be taken for a new file.
const MOST_DONE: usize = 8;

impl Log {
    /// Whether it holds files that no name of its own leads to.
    pub fn has_old_parts(&self) -> bool {
        self.parts.len() > usize::from(self.at_path)
    }

    /// Whether there is nothing left of it.
    pub fn is_over(&self) -> bool {
        !self.at_path && !self.parts.iter().any(Part::is_open) && self.active.elapsed() > QUIET
    }

    /// Keeps the number of parts within bounds.
    pub(super) fn bound(&mut self) {
        let mut done = self
            .parts
            .iter()
            .filter(|part| matches!(part.body, Body::Done))
            .count();
        let mut excess = self.parts.len().saturating_sub(MOST_PLACES);
        let (gap, last, settled) = (&mut self.gap, self.last, &mut self.settled);
        self.parts.retain(|part| {
            let is_done = matches!(part.body, Body::Done);
            let stays = excess == 0 && !(is_done && done > MOST_DONE);
            if !stays {
                excess = excess.saturating_sub(1);
                done -= usize::from(is_done);
                // Once it is forgotten it must not be taken for a new file.
                *settled = (*settled).max(part.modified().saturating_add(1));
                if !is_done {
                    *gap = Some(Gap::Behind(last));
                }
            }
            stays
        });
    }

    /// How many parts are before the one that the path names.
    fn old_parts(&self) -> usize {
        self.parts.len().saturating_sub(usize::from(self.at_path))
    }

    /// When each old file that is kept open last had something new.
    pub fn old_files(&self) -> impl Iterator<Item = Instant> {
        self.parts[..self.old_parts()]
            .iter()
            .filter(|part| matches!(part.body, Body::Plain(_)))
            .map(|part| part.active)
    }

    /// Lets go of the old files that had nothing new since `moment`. All of them must have been read to their end.
    pub fn let_go_until<D: FnMut(Delivery) -> ControlFlow<()>>(
        &mut self,
        moment: Instant,
        hands: &mut Hands<'_, D>,
    ) -> Result<(), Stopped> {
        for index in 0..self.old_parts() {
            let part = &self.parts[index];
            if matches!(part.body, Body::Plain(_)) && part.active <= moment {
                self.finish(index, hands)?;
            }
        }
        self.tell(hands)
    }

    /// Lets go of old files to which nobody writes any more. All of them have been read to their end.
    pub(super) fn release<D: FnMut(Delivery) -> ControlFlow<()>>(
        &mut self,
        hands: &mut Hands<'_, D>,
    ) -> Result<(), Stopped> {
        let grows = !self.at_path || self.parts.last().is_some_and(|part| part.offset > 0);
        let mut surplus = self.old_files().count().saturating_sub(MOST_OLD);
        for index in 0..self.old_parts() {
            let part = &self.parts[index];
            let silent = grows && part.active.elapsed() > QUIET;
            if matches!(part.body, Body::Plain(_)) && (silent || surplus > 0) {
                surplus = surplus.saturating_sub(1);
                self.finish(index, hands)?;
            }
        }
        if self.stale {
            self.bound();
        }
        self.tell(hands)
    }
}
