//! Which bans are in effect by commands that answer no questions?
//!
//! Only remembered: whom one was run for, whether it did its work, and what was known of the ban then, for the command that
//! lifts it says the same. Nothing is done here.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crate::action::event::Event;
use crate::engine::name::JailName;
use crate::engine::subject::Subject;
use crate::engine::time::Timestamp;

/// Whom which jail has banned.
pub type Key = (JailName, Subject);

/// What is known of a ban.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Known {
    /// Until when it lasts.
    pub until: Option<Timestamp>,
    /// What there is to tell of it.
    pub event: Option<Arc<Event>>,
    /// The command for it was run with success, or is not to be run.
    pub is_done: bool,
    /// It was in effect before a repair.
    pub is_lost: bool,
    /// How often in a row its command has failed.
    pub tries: u8,
}

/// All bans that should be in effect, or may still be.
#[derive(Debug, Default)]
pub struct Ledger(BTreeMap<Key, Known>);

impl Ledger {
    /// What is known of one.
    pub fn get(&self, key: &Key) -> Option<&Known> {
        self.0.get(key)
    }

    /// Takes one in.
    pub fn put(&mut self, key: Key, known: Known) {
        self.0.insert(key, known);
    }

    /// It lasts until then, whatever was known before.
    pub fn renew(&mut self, key: &Key, until: Option<Timestamp>, event: Option<Arc<Event>>) {
        if let Some(known) = self.0.get_mut(key) {
            known.until = until;
            known.event = event;
        }
    }

    /// It is in effect.
    pub fn note_success(&mut self, key: &Key) {
        if let Some(known) = self.0.get_mut(key) {
            known.is_done = true;
            known.is_lost = false;
            known.tries = 0;
        }
    }

    /// It is not.
    pub fn note_failure(&mut self, key: &Key) {
        if let Some(known) = self.0.get_mut(key) {
            known.tries = known.tries.saturating_add(1);
        }
    }

    /// These were in effect and are no more.
    pub fn lose(&mut self, is_meant: impl Fn(&Key) -> bool) {
        let all = self.0.iter_mut().filter(|(key, _)| is_meant(key));
        for (_, known) in all {
            known.is_lost |= known.is_done;
            known.is_done = false;
        }
    }

    /// It is over.
    pub fn remove(&mut self, key: &Key) {
        self.0.remove(key);
    }

    /// All are.
    pub fn clear(&mut self) {
        self.0.clear();
    }

    /// All of them.
    pub fn keys(&self) -> impl Iterator<Item = &Key> {
        self.0.keys()
    }

    /// Those that are not in effect.
    pub fn missing(&self) -> Vec<Key> {
        let missing = self.0.iter().filter(|(_, known)| !known.is_done);
        missing.map(|(key, _)| key.clone()).collect()
    }

    /// Whether there are no others.
    pub fn is_all(&self, keys: &BTreeSet<Key>) -> bool {
        self.0.keys().all(|key| keys.contains(key))
    }
}
