//! Which maxretry holds?
//!
//! In: the failures of a jail, and how far its sources were heard. Out: the jail's own number, or the stricter one of a
//! siege, and what has to be announced of that.

use super::Engine;
use crate::engine::decision::{Decision, Notice};
use crate::engine::explain::UnderSiege;
use crate::engine::jail::siege::{Over, Siege};
use crate::engine::name::JailName;
use crate::engine::policy::{JailPolicy, MaxRetry, Policy};
use crate::engine::time::Timestamp;

/// Counts a failure; answers how many make a ban at its time, of those of whom `usual` do otherwise. The one that begins
/// a siege is the first to feel it; what somebody did before counts with his next failure and not by itself.
pub(super) fn maxretry(
    jail: &JailPolicy,
    usual: MaxRetry,
    siege: &mut Siege,
    time: Timestamp,
    out: &mut Vec<Decision>,
) -> MaxRetry {
    let Some(rule) = &jail.siege else {
        return usual;
    };
    if siege.count(rule, time) {
        out.push(Decision::Notice(Notice::Siege {
            jail: jail.name.clone(),
            time,
            rate: rule.rate,
            maxretry: rule.maxretry.min(jail.maxretry),
        }));
    }
    match siege.since(rule, time) {
        Some(_) => rule.maxretry.min(usual),
        None => usual,
    }
}

/// Ends a siege that had calmed before a failure at `time`, whether that counts or not.
pub(super) fn end_before(
    jail: &JailPolicy,
    siege: &mut Siege,
    time: Timestamp,
    out: &mut Vec<Decision>,
) {
    let rule = jail.siege.as_ref();
    let over = rule.and_then(|rule| siege.end_before(rule, time));
    out.extend(over.map(|over| announcement(jail, over)));
}

/// That a siege is over.
fn announcement(jail: &JailPolicy, over: Over) -> Decision {
    Decision::Notice(Notice::SiegeOver {
        jail: jail.name.clone(),
        since: over.since,
        time: over.end,
        maxretry: jail.maxretry,
    })
}

impl Engine {
    /// Whether a jail is under siege at `now`.
    pub fn siege(&self, jail: &JailName, now: Timestamp) -> Option<UnderSiege> {
        let at = self.place(jail)?;
        let policy = &self.policy.jails[at];
        let rule = policy.siege.as_ref()?;
        Some(UnderSiege {
            since: self.jails[at].siege.since(rule, now)?,
            maxretry: rule.maxretry.min(policy.maxretry),
        })
    }

    /// Announces the sieges that are over, as far as the sources of their jails were heard, and takes note of when the
    /// next one can be.
    pub(super) fn calm(&mut self, now: Timestamp, out: &mut Vec<Decision>) {
        self.next_calm = None;
        for at in 0..self.jails.len() {
            let policy = &self.policy.jails[at];
            let Some((rule, end)) = policy
                .siege
                .as_ref()
                .and_then(|rule| Some((rule, self.jails[at].siege.calms(rule)?)))
            else {
                continue;
            };
            if end >= now {
                let due = end.after(std::time::Duration::from_micros(1));
                self.next_calm = Some(self.next_calm.map_or(due, |next| next.min(due)));
            } else {
                let heard = self.heard_until(policy, now);
                let over = self.jails[at].siege.announce_end(rule, heard);
                out.extend(over.map(|over| announcement(policy, over)));
            }
        }
    }

    /// Forgets the sieges of jails for which `policy` has another rule, or none.
    pub(super) fn give_up_sieges(
        &mut self,
        now: Timestamp,
        policy: &Policy,
        out: &mut Vec<Decision>,
    ) {
        for (old, state) in self.policy.jails.iter().zip(&mut self.jails) {
            let mut jails = policy.jails.iter();
            let new = jails.find(|jail| jail.name == old.name);
            if new.is_some_and(|new| new.siege == old.siege) {
                continue;
            }
            let over = std::mem::take(&mut state.siege).give_up(now);
            out.extend(over.map(|over| announcement(new.unwrap_or(old), over)));
        }
    }
}
