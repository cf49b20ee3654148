//! How are commands run that were written for a shell?
//!
//! In: commands for the occasions of a ban's life, and a projection. Out: they are run by `/bin/sh`, in the order and with
//! the second chances that Fail2ban gives its own. What they say of a ban is filled in by [`script`], from what a [`ticket`]
//! knows; what is in effect by them is remembered in [`ledger`]. Nobody asks the target: such commands have no question for
//! it but whether all is as it was, and that one only after one of them has failed.

pub mod form;
mod ledger;
mod running;
pub mod script;
pub mod spec;
mod ticket;

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};

use ledger::{Key, Known, Ledger};
use spec::{Occasion, ShellSpec, Side};

use super::Ending;
use super::exec::ExecError;
use super::keeping::CalledOff;
use super::projection::{Held, Projection, Touched};
use super::secret::SecretError;
use super::worker::{Clock, Keeper};
use crate::engine::name::{ActionName, JailName};
use crate::engine::time::Timestamp;

/// How often in a row a command that bans may fail before it is left at that: with the pauses between the tries it takes half
/// a minute, in which a firewall that was restarted is back. One that does its work and complains all the same does it so
/// often and no more.
const MOST_TRIES: u8 = 6;

/// Why a command has not done what it should.
#[derive(Debug, thiserror::Error)]
pub enum ShellError {
    /// It failed.
    #[error("{occasion}{}: {error}", if whom.is_empty() { String::new() } else { format!(" of {whom}") })]
    Failed {
        /// What for it was run.
        occasion: Occasion,
        /// Whom it was about.
        whom: String,
        /// What happened.
        error: ExecError,
    },
    /// What it needs to know in confidence cannot be had.
    #[error(transparent)]
    Secret(#[from] SecretError),
    /// Something is not as it was, and nobody may repair it now.
    #[error("check: {0}")]
    Broken(Box<ShellError>),
    /// It has failed so often that it is not tried again.
    #[error("ban of {0}: not tried any more, as it fails again and again")]
    GivenUp(String),
    /// The action is to end first.
    #[error("called off")]
    CalledOff,
}

/// Who has the commands run.
pub struct Shell<'s> {
    action: &'s ActionName,
    spec: &'s ShellSpec,
    is_called_off: CalledOff<'s>,
    ledger: Ledger,
    /// The sides that are started, in that order.
    started: Vec<Side>,
    /// Those of them in which somebody was banned.
    used: BTreeSet<Side>,
    /// Those that were repaired in this order, once is enough.
    repaired: BTreeSet<Side>,
    /// It has been told what it is to keep.
    has_begun: bool,
    /// How many are banned in each jail.
    banned: BTreeMap<JailName, usize>,
    /// How many have been, since the start.
    banned_total: BTreeMap<JailName, u64>,
    now: Timestamp,
    /// What the last command said that has failed; nothing once another one has succeeded.
    failed: RefCell<Option<String>>,
}

impl<'s> Shell<'s> {
    /// Has run none yet.
    pub fn new(
        action: &'s ActionName,
        spec: &'s ShellSpec,
        is_called_off: CalledOff<'s>,
    ) -> Shell<'s> {
        Shell {
            action,
            spec,
            is_called_off,
            ledger: Ledger::default(),
            started: Vec::new(),
            used: BTreeSet::new(),
            repaired: BTreeSet::new(),
            has_begun: false,
            banned: BTreeMap::new(),
            banned_total: BTreeMap::new(),
            now: Timestamp::from_micros(0),
            failed: RefCell::new(None),
        }
    }

    fn begin(&mut self, projection: &Projection, now: Timestamp) {
        self.now = now;
        self.repaired.clear();
        let jails = projection.jails();
        self.banned = jails
            .map(|(jail, bans)| (jail.jail.clone(), bans.len()))
            .collect();
    }

    fn put(&mut self, key: &Key) -> Result<(), ShellError> {
        let side = self.spec.side_of(&key.1);
        let has_reban = self.spec.commands_of(side).on(Occasion::Reban).is_some();
        let occasion = match self.ledger.get(key) {
            Some(known) if known.is_lost && has_reban => Occasion::Reban,
            _ => Occasion::Ban,
        };
        if self.spec.start_on_demand {
            self.start(side)?;
        }
        self.attempt(occasion, key, true)?;
        self.used.insert(side);
        Ok(())
    }

    /// Puts into effect what is not; answers the first failure.
    fn put_missing(&mut self) -> Result<(), ShellError> {
        let mut result = Ok(());
        for key in self.ledger.missing() {
            let put = match self.ledger.get(&key) {
                Some(known) if known.tries >= MOST_TRIES => Err(ShellError::GivenUp(key.1.plain())),
                Some(_) => self.put(&key),
                None => continue,
            };
            match put {
                Ok(()) => self.ledger.note_success(&key),
                Err(ShellError::CalledOff) => return Err(ShellError::CalledOff),
                // Who only tells has been heard, or not: he does not tell it twice.
                Err(error) if self.spec.norestored => {
                    log::error!("{}: {error}", self.action);
                    self.ledger.note_success(&key);
                }
                Err(error) => {
                    self.ledger.note_failure(&key);
                    result = result.and(Err(error));
                }
            }
        }
        result
    }

    /// Puts into effect what is not, and what was lost meanwhile by a repair.
    fn put_all(&mut self) -> Result<(), ShellError> {
        let put = self.put_missing();
        match self.repaired.is_empty() {
            true => put,
            false => put.and(self.put_missing()),
        }
    }

    /// Takes in how somebody is to be banned. A ban that lasts longer than it did is told if somebody wants to know.
    fn take(&mut self, key: Key, held: &Held) {
        let is_passed_over = held.event.as_ref().is_some_and(|event| event.restored);
        let known = Known {
            until: held.until,
            event: held.event.clone(),
            is_done: is_passed_over && self.spec.norestored,
            is_lost: false,
            tries: 0,
        };
        let Some(old) = self.ledger.get(&key) else {
            *self.banned_total.entry(key.0.clone()).or_default() += 1;
            self.ledger.put(key, known);
            return;
        };
        let (is_longer, is_done) = (is_longer(held.until, old.until), old.is_done);
        let event = held.event.clone().or_else(|| old.event.clone());
        self.ledger.renew(&key, held.until, event);
        if is_longer && is_done {
            let side = self.spec.side_of(&key.1);
            if let Err(error) = self.run(Occasion::Prolong, side, Some(&key)) {
                log::error!("{}: {error}", self.action);
            }
        }
    }

    /// Lifts bans. One that cannot be lifted is told and forgotten: whoever has been let go is not asked for again.
    fn lift(&mut self, keys: &BTreeSet<Key>) -> Result<(), ShellError> {
        let is_over = |key: &Key| {
            let until = self.ledger.get(key).and_then(|known| known.until);
            until.is_some_and(|until| until <= self.now)
        };
        let is_all = keys.len() > 1 && self.ledger.is_all(keys);
        if is_all && !keys.iter().any(is_over) && self.flush()? {
            self.ledger.clear();
            return Ok(());
        }
        for key in keys {
            let side = self.spec.side_of(&key.1);
            if self.ledger.get(key).is_some() && self.used.contains(&side) {
                match self.attempt(Occasion::Unban, key, self.spec.repair_on_unban) {
                    Ok(()) => {}
                    Err(ShellError::CalledOff) => return Err(ShellError::CalledOff),
                    Err(error) => log::error!("{}: {error}", self.action),
                }
            }
            self.ledger.remove(key);
        }
        Ok(())
    }

    /// Lifts all bans at once; answers whether there is a way to.
    fn flush(&mut self) -> Result<bool, ShellError> {
        let started = self.started.iter().copied();
        let used: Vec<Side> = started.filter(|side| self.used.contains(side)).collect();
        let can = |side: &Side| self.spec.commands_of(*side).on(Occasion::Flush).is_some();
        if !used.iter().all(can) {
            return Ok(false);
        }
        match self.run_once_each(Occasion::Flush, &used) {
            Err(ShellError::CalledOff) => return Err(ShellError::CalledOff),
            Err(error) => log::error!("{}: {error}", self.action),
            Ok(()) => {}
        }
        self.used.clear();
        Ok(true)
    }
}

impl Keeper for Shell<'_> {
    type Error = ShellError;

    fn reconcile(&mut self, projection: &Projection, clock: Clock<'_>) -> Result<(), ShellError> {
        self.begin(projection, clock());
        let mut result = Ok(());
        if self.has_begun {
            let started = self.started.clone();
            if let Err(error) = self.run_once_each(Occasion::Reload, &started) {
                log::error!("{}: {error}", self.action);
            }
        }
        if !self.spec.start_on_demand {
            for side in self.spec.sides() {
                result = result.and(self.start(side));
            }
        }
        self.has_begun = true;
        let mut gone: BTreeSet<Key> = match projection.is_complete() {
            true => self.ledger.keys().cloned().collect(),
            false => BTreeSet::new(),
        };
        for (jail, bans) in projection.jails() {
            for (subject, held) in bans {
                if held.until.is_none_or(|until| until > self.now) {
                    let key = (jail.jail.clone(), subject.clone());
                    gone.remove(&key);
                    self.take(key, held);
                }
            }
        }
        self.lift(&gone)?;
        result.and(self.put_all())
    }

    fn change(
        &mut self,
        projection: &Projection,
        touched: &Touched,
        clock: Clock<'_>,
    ) -> Result<(), ShellError> {
        self.begin(projection, clock());
        let mut gone = BTreeSet::new();
        for (jail, subjects) in touched {
            let bans = projection.jail(jail).map(|(_, bans)| bans);
            for subject in subjects {
                let key = (jail.clone(), subject.clone());
                let held = bans.and_then(|bans| bans.get(subject));
                match held.filter(|held| held.until.is_none_or(|until| until > self.now)) {
                    Some(held) => self.take(key, held),
                    None => {
                        gone.insert(key);
                    }
                }
            }
        }
        self.lift(&gone)?;
        self.put_all()
    }

    fn complaint(&self) -> Option<String> {
        self.failed.borrow().clone()
    }

    /// Whoever follows in the same place begins anew, so that nothing may be left.
    fn stop(&mut self, _ending: Ending) -> Result<(), ShellError> {
        self.repaired.clear();
        if !self.flush()? {
            let all = self.ledger.keys().cloned().collect();
            self.lift(&all)?;
        }
        let started = std::mem::take(&mut self.started);
        self.run_once_each(Occasion::Stop, &started)
    }
}

/// Whether a ban that ends then lasts longer than one that ends there.
fn is_longer(until: Option<Timestamp>, than: Option<Timestamp>) -> bool {
    match (until, than) {
        (_, None) => false,
        (None, Some(_)) => true,
        (Some(until), Some(than)) => until > than,
    }
}
