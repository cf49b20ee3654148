//! What waits to be written?
//!
//! Comes in: decisions that the database did not take, and where their sources stood. Goes out: the same in their order,
//! in steps of bearable size. How much waits is bounded; of what is too much the oldest goes.

use std::collections::{BTreeMap, VecDeque};

use crate::engine::Decision;
use crate::engine::cursor::{Cursor, Stream};
use crate::engine::record::kept::kept;
use crate::engine::time::Timestamp;

/// Failures that wait at most: with lines of full length some 12 MB. Attackers decide how many there are.
const MOST_WAITING_FAILURES: usize = 10_000;

/// Bans, unbans and notices that wait at most: a full ledger. Beyond it the oldest are dropped, and the
/// bans in force are stated anew afterwards, so that only history is lost.
const MOST_WAITING_OTHERS: usize = 100_000;

/// Decisions that are written at once after trouble: some 50 ms of work, in which no new ban is made.
const STEP: usize = 1000;

/// What waits to be written, in its order.
#[derive(Debug, Default)]
pub struct Backlog {
    steps: VecDeque<Step>,
    failures: usize,
    others: usize,
    /// Failures that had to be dropped.
    lost: usize,
}

/// Decisions that are written together with where their sources stood after them: never one without the
/// other, lest a restart decides again what is stored already.
#[derive(Debug)]
pub struct Step {
    /// When they were made; of several, the first ones.
    pub now: Timestamp,
    /// In their order.
    pub decisions: Vec<Decision>,
    /// Where the sources stood after them.
    pub cursors: BTreeMap<Stream, Cursor>,
}

impl Backlog {
    /// Whether nothing waits.
    pub fn is_empty(&self) -> bool {
        self.steps.is_empty()
    }

    /// The step that is to be written next.
    pub fn first(&self) -> Option<&Step> {
        self.steps.front()
    }

    /// How many failures had to be dropped since this was asked.
    pub fn take_lost(&mut self) -> usize {
        std::mem::take(&mut self.lost)
    }

    /// Adds decisions, and where their sources stood after them.
    pub fn push<'c>(
        &mut self,
        now: Timestamp,
        decisions: &[Decision],
        cursors: impl IntoIterator<Item = (&'c Stream, &'c Cursor)>,
    ) {
        let is_kept = |decision: &&Decision| !matches!(decision, Decision::Ignore(_));
        let kept = decisions.iter().filter(is_kept);
        for decision in kept.clone() {
            *self.room(decision) += 1;
        }
        self.append(Step {
            now,
            decisions: kept.cloned().map(shortened).collect(),
            cursors: cursors
                .into_iter()
                .map(|(stream, cursor)| (stream.clone(), cursor.clone()))
                .collect(),
        });
    }

    /// Puts `step` last, as part of the one before it if that stays small, so that steps stay few.
    fn append(&mut self, step: Step) {
        match self.steps.back_mut() {
            Some(last) if last.decisions.len() + step.decisions.len() <= STEP => {
                last.decisions.extend(step.decisions);
                last.cursors.extend(step.cursors);
            }
            _ => self.steps.push_back(step),
        }
    }

    /// Takes the first step away.
    pub fn pop(&mut self) -> Option<Step> {
        let step = self.steps.pop_front()?;
        for decision in &step.decisions {
            *self.room(decision) -= 1;
        }
        Some(step)
    }

    fn room(&mut self, decision: &Decision) -> &mut usize {
        match decision {
            Decision::Count(_) | Decision::Await(_) => &mut self.failures,
            Decision::Ignore(_)
            | Decision::Answered(_)
            | Decision::Ban(_)
            | Decision::Unban(_)
            | Decision::Forgive(_)
            | Decision::Remark(_)
            | Decision::Allow(_)
            | Decision::Disallow(_)
            | Decision::Clear(_)
            | Decision::Resume(_)
            | Decision::Notice(_)
            | Decision::Sighted(_) => &mut self.others,
        }
    }

    /// Drops the oldest of what is too much: failures first, which are only history by now. Returns whether
    /// anything else was dropped.
    pub fn bound(&mut self) -> bool {
        if self.failures > MOST_WAITING_FAILURES {
            for mut step in std::mem::take(&mut self.steps) {
                if self.failures > MOST_WAITING_FAILURES {
                    let before = step.decisions.len();
                    step.decisions.retain(|decision| !is_failure(decision));
                    self.failures -= before - step.decisions.len();
                    self.lost += before - step.decisions.len();
                }
                self.append(step);
            }
        }
        let mut dropped = false;
        while self.others > MOST_WAITING_OTHERS && self.pop().is_some() {
            dropped = true;
        }
        dropped
    }
}

fn is_failure(decision: &Decision) -> bool {
    matches!(decision, Decision::Count(_) | Decision::Await(_))
}

/// A failure keeps only as much text as the store would.
fn shortened(decision: Decision) -> Decision {
    match decision {
        Decision::Count(mut failure) => {
            failure.line = kept(&failure.line).into();
            failure.user = failure.user.map(|user| kept(&user).into());
            failure.target = failure.target.map(|target| kept(&target).into());
            failure.session = failure.session.map(|session| kept(&session).into());
            Decision::Count(failure)
        }
        other => other,
    }
}
