//! Which bans are in effect in a target, as far as we know?
//!
//! A ban is known from before the first try to put it into effect until it is lifted, so that nothing is forgotten that
//! may be there. Nothing is done here, only remembered.

use std::collections::{BTreeMap, HashMap};

use crate::engine::name::JailName;
use crate::engine::subject::Subject;
use crate::engine::time::Timestamp;

/// A ban as the target sees it: in a jail, or whatever the jail.
pub type Key = (Option<JailName>, Subject);

/// Bans and until when they last.
pub type Members = BTreeMap<Key, Option<Timestamp>>;

/// How often a target that shows nothing may refuse to lift a ban before it counts as gone: somebody else may have taken
/// it away, and one that is only busy for a moment is asked long enough.
const MOST_REFUSALS: u8 = 3;

/// How many bans may be kept beyond twice those in force before the expired ones are cleared out. Nobody is told of those
/// that the target ends by itself.
const SLACK: usize = 1_000;

/// What is known of all bans.
#[derive(Debug, Default)]
pub struct Known {
    bans: HashMap<Key, Belief>,
    clear_at: usize,
}

#[derive(Clone, Copy, Debug)]
struct Belief {
    until: Option<Timestamp>,
    /// It was put into effect; otherwise it may be there.
    is_sure: bool,
    /// How often the target has refused to lift it.
    refusals: u8,
    /// What was tried last for it has failed.
    has_failed: bool,
}

impl Known {
    /// It is tried to put these into effect: from now on they may be there.
    pub fn begin(&mut self, members: &Members) {
        for (key, until) in members {
            let tried = Belief {
                until: *until,
                is_sure: false,
                refusals: 0,
                has_failed: false,
            };
            let belief = self.bans.entry(key.clone()).or_insert(tried);
            *belief = Belief {
                until: later(belief.until, *until),
                has_failed: belief.has_failed,
                ..tried
            };
        }
    }

    /// This one is in effect.
    pub fn put(&mut self, key: Key, until: Option<Timestamp>) {
        let belief = Belief {
            until,
            is_sure: true,
            refusals: 0,
            has_failed: false,
        };
        self.bans.insert(key, belief);
    }

    /// These are in effect and no others.
    pub fn replace(&mut self, members: Members) {
        self.bans.clear();
        for (key, until) in members {
            self.put(key, until);
        }
    }

    /// This one is not there.
    pub fn remove(&mut self, key: &Key) {
        self.bans.remove(key);
    }

    /// Somebody has refused to lift it. Whether it counts as gone.
    pub fn refuse(&mut self, key: &Key) -> bool {
        let unknown = Belief {
            until: None,
            is_sure: false,
            refusals: 0,
            has_failed: false,
        };
        let belief = self.bans.entry(key.clone()).or_insert(unknown);
        belief.refusals = belief.refusals.saturating_add(1);
        belief.refusals >= MOST_REFUSALS
    }

    /// Something that was tried for it has failed.
    pub fn fail(&mut self, key: &Key) {
        if let Some(belief) = self.bans.get_mut(key) {
            belief.has_failed = true;
        }
    }

    /// Whether that is so.
    pub fn has_failed(&self, key: &Key) -> bool {
        self.bans.get(key).is_some_and(|belief| belief.has_failed)
    }

    /// Of none it is sure any more whether it is there, or until when.
    pub fn doubt(&mut self) {
        for belief in self.bans.values_mut() {
            belief.is_sure = false;
        }
    }

    /// Whether it may be there.
    pub fn has(&self, key: &Key) -> bool {
        self.bans.contains_key(key)
    }

    /// Until when it is in effect; nothing if that is not sure.
    pub fn until(&self, key: &Key) -> Option<Option<Timestamp>> {
        let belief = self.bans.get(key).filter(|belief| belief.is_sure);
        belief.map(|belief| belief.until)
    }

    /// Whether it is over by now.
    pub fn is_over(&self, key: &Key, now: Timestamp) -> bool {
        let until = self.bans.get(key).and_then(|belief| belief.until);
        until.is_some_and(|until| until <= now)
    }

    /// All that may be there.
    pub fn keys(&self) -> impl Iterator<Item = &Key> {
        self.bans.keys()
    }

    /// What may be there of those that are wanted.
    pub fn members(&self, is_wanted: impl Fn(&Key) -> bool) -> Members {
        let wanted = self.bans.iter().filter(|(key, _)| is_wanted(key));
        wanted
            .map(|(key, belief)| (key.clone(), belief.until))
            .collect()
    }

    /// Only what is wanted stays known.
    pub fn retain(&mut self, is_wanted: impl Fn(&Key) -> bool) {
        self.bans.retain(|key, _| is_wanted(key));
    }

    /// Forgets what is over: the target has ended it.
    pub fn clear(&mut self, now: Timestamp) {
        self.bans
            .retain(|_, belief| belief.until.is_none_or(|until| until > now));
        self.clear_at = 2 * self.bans.len() + SLACK;
    }

    /// Does so once there are many.
    pub fn clear_if_many(&mut self, now: Timestamp) {
        if self.bans.len() > self.clear_at.max(SLACK) {
            self.clear(now);
        }
    }
}

/// The later of two ends.
pub fn later(one: Option<Timestamp>, other: Option<Timestamp>) -> Option<Timestamp> {
    Some(one?.max(other?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_ends_by_itself_does_not_pile_up() {
        let mut known = Known::default();
        for number in 0..10_000_u32 {
            let now = Timestamp::from_micros(i64::from(number));
            let subject = std::net::Ipv4Addr::from(number).into();
            let subject = Subject::from(crate::engine::prefix::Prefix::host(subject));
            known.put(
                (None, subject),
                Some(Timestamp::from_micros(i64::from(number) + 100)),
            );
            known.clear_if_many(now);
            assert!(known.keys().count() <= 2 * 101 + SLACK + 1);
        }
    }
}
