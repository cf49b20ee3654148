//! Whom do bans not keep out?
//!
//! In: failures of those who are banned. Out: that a ban does not work, once for each. Why it does not is beyond the
//! engine: whoever carries out its decisions looks for that.

use std::net::IpAddr;

use super::Engine;
use crate::engine::decision::{Decision, Notice};
use crate::engine::ledger::Standing;
use crate::engine::subject::Subject;
use crate::engine::time::Timestamp;

/// So many failures of a banned subject are no leftovers any more: one connection to sshd brings six at most.
const ENOUGH: u32 = 10;

impl Engine {
    /// From here on bans are put into effect, so that whom they leave unhindered is told.
    pub fn expect_effect(&mut self) {
        self.acts = true;
    }

    /// Counts a failure of somebody who is banned, and tells once if his ban does not work. What he had begun before the
    /// ban, or what was logged late, comes within the time of grace. That begins when the first such failure is heard: the
    /// records themselves may be older than the decision to ban.
    pub(super) fn note_unhindered(
        &mut self,
        at: usize,
        subject: &Subject,
        address: Option<IpAddr>,
        time: Timestamp,
        out: &mut Vec<Decision>,
    ) {
        let jail = &self.policy.jails[at];
        if !(self.acts && jail.responses.always_keep_out()) {
            return;
        }
        let rule = jail.responses.unhindered();
        let is_older = |standing: &Standing| standing.start < time;
        let Some(banned) = self.ledger.covers(&jail.name, subject, address, is_older) else {
            return;
        };
        let (times, bounds) = ((time, self.present), (rule.grace, ENOUGH));
        let standing = self
            .ledger
            .count_unhindered(&jail.name, &banned, times, bounds);
        out.extend(standing.map(|standing| {
            Decision::Notice(Notice::Unhindered {
                ban: standing.ban(jail.name.clone(), banned),
                time,
                wider: rule.actions.clone(),
                cause: None,
            })
        }));
    }
}
