//! What if a new configuration locks out the very administrator who has put it in force?
//!
//! It can be put on trial: unless somebody confirms it in time, the one before it comes back. That one is kept as it was
//! understood when it was read, since what its files say now may be just what is wrong.

use std::time::{Duration, Instant};

use super::circumstances::Circumstances;
use crate::engine::policy::Policy;
use crate::engine::time::Timestamp;

/// A configuration as the daemon keeps it while another one is on trial.
#[derive(Debug)]
pub struct Before {
    /// All but the policy.
    pub circumstances: Circumstances,
    /// The policy.
    pub policy: Policy,
}

/// The trial of the configuration in force.
#[derive(Debug)]
pub struct Trial {
    /// By the time that passes: a clock that is set makes it neither longer nor shorter.
    ends: Instant,
    /// The same by the clock.
    until: Timestamp,
    before: Box<Before>,
}

impl Trial {
    /// One that lasts so long.
    pub fn begin(now: Timestamp, lasting: Duration, before: Before) -> Self {
        Trial {
            ends: Instant::now() + lasting,
            until: now.after(lasting),
            before: Box::new(before),
        }
    }

    /// When it ends.
    pub fn until(&self) -> Timestamp {
        self.until
    }

    /// When it is to be looked whether it is over, which it then is.
    pub fn due(&self, now: Timestamp) -> Timestamp {
        let left = self.ends.saturating_duration_since(Instant::now());
        now.after(left + Duration::from_millis(1))
    }

    /// Whether nobody can confirm it any more.
    pub fn is_over(&self) -> bool {
        self.ends <= Instant::now()
    }

    /// Takes note that the clock was set.
    pub fn mind_the_clock(&mut self, now: Timestamp) {
        self.until = now.after(self.ends.saturating_duration_since(Instant::now()));
    }

    /// The configuration that comes back if it fails.
    pub fn into_before(self) -> Before {
        *self.before
    }
}
