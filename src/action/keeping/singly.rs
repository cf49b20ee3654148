//! How are bans put into effect and lifted one by one?
//!
//! One that is refused keeps no other from its turn, and is the last next time.

use std::collections::{BTreeMap, BTreeSet};

use super::Steps;
use super::known::{Key, Members};
use crate::action::hands::JobError;
use crate::action::routine::Part;
use crate::action::step::Task;
use crate::action::vocabulary::About;
use crate::engine::time::Timestamp;

/// How many may be refused in a row before nobody else is tried: it is the target that does not work, and each costs a program
/// or a request.
const MOST_IN_A_ROW: usize = 20;

/// What came of the tasks for single bans.
struct Each {
    /// For whom all was done.
    done: BTreeSet<Key>,
    /// Who was refused, and why.
    refused: BTreeMap<Key, JobError>,
    /// Why others had not their turn.
    end: Result<(), JobError>,
}

impl Steps<'_> {
    /// Does what is done for single bans: one that is refused keeps no other from its turn.
    fn apply_each(&mut self, part: Part, members: &Members, now: Timestamp) -> Each {
        let mut each = Each {
            done: members.keys().cloned().collect(),
            refused: BTreeMap::new(),
            end: Ok(()),
        };
        let mut tasks = self.tasks(part, members, true, now);
        tasks.sort_by_cached_key(|task| {
            let key = self.key_of(task);
            key.is_some_and(|key| self.known.has_failed(&key))
        });
        // Who is lifted and was not there is refused too, and counts as gone only then.
        let most = match part {
            Part::Ban => MOST_IN_A_ROW,
            _ => usize::MAX,
        };
        let mut in_a_row = 0;
        for (number, task) in tasks.iter().enumerate() {
            let Err(error) = self.apply(&task.job) else {
                in_a_row = 0;
                continue;
            };
            in_a_row += 1;
            let key = self.key_of(task);
            if let Some(key) = &key {
                self.known.fail(key);
            }
            match key {
                Some(key) if error.is_refusal() && in_a_row < most => {
                    each.done.remove(&key);
                    each.refused.entry(key).or_insert(error);
                }
                _ => {
                    for task in tasks.iter().skip(number) {
                        match self.key_of(task) {
                            Some(key) => {
                                each.done.remove(&key);
                            }
                            None => each.done.clear(),
                        }
                    }
                    each.end = Err(error);
                    break;
                }
            }
        }
        each
    }

    /// Whose task it is; nobody's alone if it is that of several.
    fn key_of(&self, task: &Task) -> Option<Key> {
        let jail = task.jail.clone();
        let jail = jail.filter(|_| self.routine.about == About::Jails);
        Some((jail, task.subject.clone()?))
    }

    pub(super) fn lift(&mut self, members: &Members, now: Timestamp) -> Result<(), JobError> {
        if members.is_empty() {
            return Ok(());
        }
        let Each {
            done,
            mut refused,
            end,
        } = self.apply_each(Part::Unban, members, now);
        for key in &done {
            self.known.remove(key);
        }
        let of_all = end.as_ref().err();
        let mut is_left = of_all.is_some_and(|error| !error.is_refusal());
        for key in members.keys().filter(|key| !done.contains(*key)) {
            let Some(error) = refused.get(key).or(of_all) else {
                continue;
            };
            if self.counts_as_gone(key, error) {
                self.known.remove(key);
                refused.remove(key);
            } else {
                is_left = true;
            }
        }
        match is_left {
            true => end.and(refused.into_values().next().map_or(Ok(()), Err)),
            false => Ok(()),
        }
    }

    /// Whether a ban that nobody lifts is not there any more. Whoever shows what is there is believed instead.
    fn counts_as_gone(&mut self, key: &Key, error: &JobError) -> bool {
        if error.is_of_what_is_gone() {
            return true;
        }
        let shows = self.routine.list.is_some() || self.takes_all_at_once();
        let is_gone = !shows && error.is_of_program() && self.known.refuse(key);
        if is_gone {
            log::warn!(
                "{} is taken for lifted, as lifting it is refused: {error}",
                key.1
            );
        }
        is_gone
    }

    pub(super) fn put(&mut self, members: &Members, now: Timestamp) -> Result<(), JobError> {
        if members.is_empty() {
            return Ok(());
        }
        if self.remembers() {
            self.known.begin(members);
        }
        let each = self.apply_each(Part::Ban, members, now);
        if self.remembers() {
            for key in each.done {
                let until = members.get(&key).copied().flatten();
                self.known.put(key, until);
            }
            if self.routine.expires {
                self.known.clear_if_many(now);
            }
        }
        let refused = each.refused.into_values().next();
        each.end.and(refused.map_or(Ok(()), Err))
    }
}
