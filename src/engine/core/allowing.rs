//! Who is allowed for a time, whatever they do?
//!
//! In: what the administrator says, and time that passes. Out: what is to be remembered of it.

use super::Engine;
use crate::engine::decision::{Allowance, Decision};
use crate::engine::ignore::{AddressSet, IgnoreRule};
use crate::engine::prefix::Prefix;
use crate::engine::time::Timestamp;

/// How many subjects can be allowed at once. Each is said by hand.
pub const MOST_ALLOWED: usize = 1_000;

impl Engine {
    /// Whether a further subject would pass the bound.
    pub fn allows_no_more(&self) -> bool {
        self.allowed.len() >= MOST_ALLOWED
    }

    /// Who is allowed for a time.
    pub fn allowed(&self) -> impl Iterator<Item = &Allowance> {
        self.allowed.values()
    }

    /// What is allowed to exactly this subject.
    pub fn allowance(&self, subject: Prefix) -> Option<&Allowance> {
        self.allowed.get(&subject)
    }

    /// Allows a subject until then; one that was allowed already, until then instead.
    pub(super) fn allow(
        &mut self,
        now: Timestamp,
        subject: Prefix,
        until: Timestamp,
        out: &mut Vec<Decision>,
    ) {
        if self.allows_no_more() && !self.allowed.contains_key(&subject) {
            return;
        }
        let allowance = Allowance {
            subject,
            since: now,
            until,
        };
        self.allowed.insert(subject, allowance.clone());
        out.push(Decision::Allow(allowance));
        self.spare_the_allowed(now, out);
    }

    /// Allows a subject no longer.
    pub(super) fn disallow(&mut self, now: Timestamp, subject: Prefix, out: &mut Vec<Decision>) {
        if self.allowed.remove(&subject).is_some() {
            out.push(Decision::Disallow(subject));
            self.spare_the_allowed(now, out);
        }
    }

    /// Ends what was allowed until now.
    pub(super) fn end_allowances(&mut self, now: Timestamp, out: &mut Vec<Decision>) {
        let over = self.allowed.values().filter(|one| one.until <= now);
        let over: Vec<Prefix> = over.map(|one| one.subject).collect();
        for subject in over {
            self.disallow(now, subject, out);
        }
    }

    /// Has every jail know who is allowed.
    pub(super) fn spare_the_allowed(&mut self, now: Timestamp, out: &mut Vec<Decision>) {
        let rule = |one: &Allowance| IgnoreRule {
            prefix: one.subject,
            because: format!("allowed until {}", one.until).into(),
        };
        let allowed = AddressSet::new(self.allowed.values().map(rule).collect());
        for at in 0..self.policy.jails.len() {
            if self.policy.jails[at].ignore.allow(&allowed) {
                self.spare(now, at, out);
            }
        }
    }
}
