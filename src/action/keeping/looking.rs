//! Is what is there what should be, as far as can be seen at a glance?
//!
//! Nothing is changed here.

use std::collections::BTreeSet;
use std::os::unix::fs::MetadataExt;

use super::Steps;
use super::known::{Key, Members};
use crate::action::hands::JobError;
use crate::action::job::Job;
use crate::action::projection::Projection;
use crate::action::routine::Part;
use crate::action::step::Step;
use crate::action::worker::Clock;
use crate::engine::subject::Subject;
use crate::engine::time::Timestamp;

/// How many bans a check by programs looks for: so few cost little every second, and a set that somebody empties is noticed
/// within two, if no more than twice as many are in use. One that asks over the network looks for one.
const MOST_WITNESSES: usize = 4;

/// By what a file is known that nobody has touched: its number, its size and when it was written.
pub type Looks = (u64, u64, i64, i64);

impl Steps<'_> {
    /// Some bans that should be in effect, each of another jail or family and each time others; none that may end while
    /// it is looked for.
    fn witnesses(&mut self, projection: &Projection, now: Timestamp) -> Members {
        let soon = now.after(self.routine.timeout);
        self.witness = self.witness.wrapping_add(1);
        let turn = self.witness;
        let mut groups: Vec<(Key, Option<Timestamp>)> = Vec::new();
        for (jail, bans) in projection.jails() {
            for is_ipv6 in [false, true] {
                let fits = |subject: &Subject| match subject.network() {
                    Some(network) => network.address().is_ipv6() == is_ipv6,
                    None => self.routine.names && !is_ipv6,
                };
                let lasting = || {
                    let untils = bans.iter().map(|(subject, held)| (subject, held.until));
                    untils.filter(|(subject, until)| {
                        fits(subject) && until.is_none_or(|until| until > soon)
                    })
                };
                let at = turn.checked_rem(lasting().count()).unwrap_or_default();
                let witness = lasting().nth(at);
                groups
                    .extend(witness.map(|(subject, until)| (self.key(&jail.jail, subject), until)));
            }
        }
        let runs = self.routine.check.iter().all(Step::runs);
        let most = if runs { MOST_WITNESSES } else { 1 };
        let first = (turn * most).checked_rem(groups.len()).unwrap_or_default();
        groups.rotate_left(first);
        groups.into_iter().take(most).collect()
    }

    /// Whether the target is looked at.
    pub(super) fn looks(&self) -> bool {
        let routine = self.routine;
        let asks = routine.start.iter().any(|step| step.asks()) || routine.file.is_some();
        let can_look = asks || !routine.check.is_empty() || routine.list.is_some();
        can_look && routine.check_every.is_some()
    }

    /// Looks whether what the start has made is there, and whether some bans are in effect, each time others.
    pub(super) fn looks_unchanged(
        &mut self,
        projection: &Projection,
        clock: Clock<'_>,
    ) -> Result<bool, JobError> {
        let now = clock();
        // Several steps may ask the same.
        let mut asked = BTreeSet::new();
        for task in self.tasks(Part::Start, &Members::new(), false, now) {
            if let Job::Run(run) = &task.job
                && !run.unless.is_empty()
                && asked.insert(run.unless.clone())
                && !self.hands.is_done(run)?
            {
                return Ok(false);
            }
        }
        if let Some(path) = self.routine.path() {
            return Ok(self.written.is_some() && looks(&path) == self.written);
        }
        if self.routine.check.is_empty() {
            let wanted = self.wanted(projection, now);
            if self.routine.list.is_none() {
                return Ok(true);
            }
            let mut listed = self.listed(now)?;
            // What is over is lifted in a moment.
            listed.retain(|key| key.1.network().is_some() && !self.known.is_over(key, now));
            let wanted = wanted.keys();
            let wanted = wanted.filter(|(_, subject)| subject.network().is_some());
            return Ok(listed.iter().eq(wanted));
        }
        let witnesses = self.witnesses(projection, now);
        for task in self.tasks(Part::Check, &witnesses, false, now) {
            match self.apply(&task.job) {
                Ok(_) => {}
                Err(error) if error.is_refusal() => return Ok(false),
                Err(error) => return Err(error),
            }
        }
        Ok(true)
    }
}

/// How a file looks; nothing if it is not there.
pub fn looks(path: &str) -> Option<Looks> {
    let file = std::fs::metadata(path).ok()?;
    Some((file.ino(), file.size(), file.mtime(), file.mtime_nsec()))
}
