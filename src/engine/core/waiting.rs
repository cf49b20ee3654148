//! Which records wait to be judged, for whom?
//!
//! In: records that cannot be judged yet, and what is known at last. Out: those that waited for that. What they wait for, and
//! who finds it out, is not known here.

use std::collections::BTreeMap;

use crate::engine::decision::{Awaited, AwaitedId};
use crate::engine::filter::Outcome;
use crate::engine::name::JailName;
use crate::engine::time::Timestamp;

/// So many records wait at most for one kind of thing, with text of full length some 12 MB. Attackers decide how many there
/// are, and sometimes how long they wait.
pub(super) const MOST_AWAITED: usize = 4_096;

/// The records that wait, by what each waits for.
#[derive(Debug)]
pub(super) struct Waiting<K> {
    queues: BTreeMap<K, Queue>,
    /// What is waited for, by the first record of each.
    order: BTreeMap<AwaitedId, K>,
    count: usize,
    /// Whether it has been told that no further one has room; until half of it is free.
    full_told: bool,
}

/// The records that wait for the same.
#[derive(Debug)]
struct Queue {
    /// When the first one came.
    since: Timestamp,
    /// In the order in which they were heard.
    records: Vec<Awaited>,
}

impl<K> Default for Waiting<K> {
    fn default() -> Self {
        Waiting {
            queues: BTreeMap::new(),
            order: BTreeMap::new(),
            count: 0,
            full_told: false,
        }
    }
}

impl<K: Ord + Clone> Waiting<K> {
    /// Whether no further one has room.
    pub(super) fn is_full(&self) -> bool {
        self.count >= MOST_AWAITED
    }

    /// Whether it is to be told that there is no room: once.
    pub(super) fn tells_full(&mut self) -> bool {
        !std::mem::replace(&mut self.full_told, true)
    }

    pub(super) fn add(&mut self, now: Timestamp, what: &K, awaited: Awaited) {
        let order = &mut self.order;
        let queue = self.queues.entry(what.clone()).or_insert_with(|| {
            order.insert(awaited.id, what.clone());
            Queue {
                since: now,
                records: Vec::new(),
            }
        });
        queue.records.push(awaited);
        self.count += 1;
    }

    /// What has waited for that, which is known now.
    pub(super) fn take(&mut self, what: &K) -> Vec<Awaited> {
        let queue = self.queues.remove(what);
        let taken = queue.map(|queue| queue.records).unwrap_or_default();
        if let Some(first) = taken.first() {
            self.order.remove(&first.id);
        }
        self.recount(taken.len());
        taken
    }

    /// Takes away those that `stays` does not hold of.
    pub(super) fn retain(&mut self, stays: impl Fn(&Awaited) -> bool) -> Vec<Awaited> {
        let mut gone = Vec::new();
        self.queues.retain(|_, queue| {
            gone.extend(queue.records.extract_if(.., |awaited| !stays(awaited)));
            !queue.records.is_empty()
        });
        let firsts = self.queues.iter().filter_map(|(what, queue)| {
            let first = queue.records.first()?;
            Some((first.id, what.clone()))
        });
        self.order = firsts.collect();
        self.recount(gone.len());
        gone
    }

    /// What is waited for, that first which is waited for longest.
    pub(super) fn wanted(&self) -> impl Iterator<Item = &K> {
        self.order.values()
    }

    /// That which is waited for longest, and since when.
    pub(super) fn first(&self) -> Option<(&K, Timestamp)> {
        let what = self.wanted().next()?;
        Some((what, self.queues.get(what)?.since))
    }

    /// What waits for that.
    pub(super) fn of(&self, what: &K) -> &[Awaited] {
        let queue = self.queues.get(what);
        queue.map_or(&[], |queue| &queue.records)
    }

    /// All that waits.
    pub(super) fn all(&self) -> impl Iterator<Item = &Awaited> {
        self.queues.values().flat_map(|queue| &queue.records)
    }

    /// The time of the oldest record of a jail that waits.
    pub(super) fn oldest_of(&self, jail: &JailName) -> Option<Timestamp> {
        let own = self.all().filter(|awaited| awaited.jail == *jail);
        own.map(|awaited| awaited.time).min()
    }

    /// How many failures of a jail wait.
    pub(super) fn count_of(&self, jail: &JailName) -> usize {
        let is_own = |one: &&Awaited| one.jail == *jail && one.outcome == Outcome::Failure;
        self.all().filter(is_own).count()
    }

    fn recount(&mut self, gone: usize) {
        self.count -= gone;
        self.full_told &= self.count > MOST_AWAITED / 2;
    }
}
