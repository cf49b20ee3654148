//! What have others left in the same place that nobody wants any more?
//!
//! They may have been of an earlier run. What both would take away in the end is in use, the rest is taken away now.

use super::Steps;
use crate::action::hands::{Hands, JobError, open_secrets};
use crate::action::job::Job;
use crate::action::routine::{Bans, Part, Routine};
use crate::action::trace::Trace;
use crate::action::{ActionJail, ActionKind};
use crate::engine::time::Timestamp;

/// Another one's steps, and the jails that he served.
pub type Inherited = (Box<Routine>, Vec<ActionJail>);

impl Steps<'_> {
    /// Takes note of what others have left.
    pub(super) fn note_inherited(&mut self, traces: Vec<Trace>) {
        for trace in traces {
            let ActionKind::Routine(routine) = trace.spec.kind else {
                continue;
            };
            if *routine == *self.routine {
                // As if we had served them ourselves.
                for jail in trace.jails {
                    self.jails.entry(jail.jail.clone()).or_insert(jail);
                }
            } else {
                self.inherited.push((routine, trace.jails));
            }
        }
    }

    /// Takes away what is there of others and not in use; answers whether anything was to be done. What cannot be taken away
    /// is told: our own bans are in effect all the same.
    pub(super) fn leave_inherited(&mut self, now: Timestamp) -> bool {
        let jails: Vec<_> = self.jails.values().cloned().collect();
        let in_use = self.last_jobs(self.routine, &jails, now);
        let mut has_done = false;
        for (routine, jails) in std::mem::take(&mut self.inherited) {
            let mut jobs = self.last_jobs(&routine, &jails, now);
            jobs.retain(|job| !in_use.contains(job));
            let mut hands = Hands::new(&routine.values, routine.timeout);
            for job in jobs {
                has_done = true;
                let secrets = open_secrets(&routine.values).map_err(JobError::from);
                let done = secrets.and_then(|secrets| hands.apply(&job, &secrets));
                if let Err(error) = done {
                    log::warn!("what was in effect before is not taken away, or is gone: {error}");
                }
            }
        }
        has_done
    }

    /// All that takes things away in the end, for each jail by itself, so that it can be compared.
    fn last_jobs(&self, routine: &Routine, jails: &[ActionJail], now: Timestamp) -> Vec<Job> {
        let mut jobs = Vec::new();
        for jail in jails {
            let scene = routine.scene(std::iter::once(jail), Bans::new(), &self.host, now);
            let tasks = routine.steps(Part::Stop).iter();
            for task in tasks.flat_map(|step| step.tasks(&scene)) {
                if !jobs.contains(&task.job) {
                    jobs.push(task.job);
                }
            }
        }
        jobs
    }
}
