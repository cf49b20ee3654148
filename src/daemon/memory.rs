//! What is remembered on a bad day?
//!
//! The store, and what could not be stored yet. A full disk, a lock or a damaged file must not stop a
//! ban, so nothing here fails: what the database does not take waits in memory, within bounds, and
//! is written when the cause is gone. Trouble is told once, its end too.

mod backlog;

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::events::Counts;
use crate::engine::Decision;
use crate::engine::cursor::{Cursor, Stream};
use crate::engine::decision::{
    Allowance, Awaited, AwaitedId, Ban, BanId, FailureId, Release, Unban,
};
use crate::engine::input::Remembered;
use crate::engine::ledger::Standing;
use crate::engine::time::Timestamp;
use crate::store::{Retention, Salvage, Store, StoreError};
use backlog::Backlog;

/// How long to leave a database alone that has just failed; each try may cost the patience with a lock.
const PAUSE: Duration = Duration::from_secs(1);

/// How long after replacing a damaged database the next one may be replaced: a disk that spoils one after
/// the other must not be filled with them.
const REPLACE_PAUSE: Duration = Duration::from_secs(3600);

/// The store, and what could not be stored yet.
#[derive(Debug)]
pub struct Memory {
    path: PathBuf,
    store: Option<Store>,
    backlog: Backlog,
    /// Where each source stands, for a database that has to be begun anew.
    cursors: BTreeMap<Stream, Cursor>,
    /// When the last try failed; `None` while all is well.
    failed: Option<Timestamp>,
    /// When a damaged database was last replaced.
    replaced: Option<Timestamp>,
    /// Whether anything that was decided is missing in the database for good.
    restate: bool,
    read: Read,
    /// Whether bans in force were lost with a database that was damaged.
    has_losses: bool,
    /// What the database knows that actions may have put into effect, if that is sure.
    effects: Option<Vec<(String, String)>>,
    /// When bans were lost, if the database does not know yet.
    unwritten_loss: Option<Timestamp>,
}

/// How far the engine knows what the database remembers of earlier runs.
#[derive(Debug)]
enum Read {
    /// It has not been asked for.
    NotYet,
    /// It was asked for, but the database could not be read.
    Missed {
        /// As far back as this.
        longest_findtime: Duration,
        /// When.
        at: Timestamp,
    },
    /// It was read too late for the start and waits to be taken.
    Late(Box<Remembered>),
    /// The engine has it.
    Done,
}

/// The first number for a run that does not know what numbers were given: those in the database count up from 1,
/// and microseconds since 1970 are far beyond them.
fn beyond(now: Timestamp) -> u64 {
    now.as_micros().max(0).cast_unsigned()
}

impl Memory {
    /// Opens the database at `path`. If that is impossible it is tried again later; a damaged one is moved
    /// aside and a new one begun.
    ///
    /// # Errors
    /// Only [`StoreError::Newer`]: the database belongs to a newer f2bd and is left alone.
    pub fn open(path: PathBuf, now: Timestamp) -> Result<Memory, StoreError> {
        let mut memory = Memory {
            path,
            store: None,
            backlog: Backlog::default(),
            cursors: BTreeMap::new(),
            failed: None,
            replaced: None,
            restate: false,
            read: Read::NotYet,
            has_losses: false,
            effects: None,
            unwritten_loss: None,
        };
        match Store::open_at_start(&memory.path) {
            Ok(store) => memory.store = Some(store),
            Err(error @ StoreError::Newer { .. }) => return Err(error),
            Err(error) => memory.failed(now, &error),
        }
        Ok(memory)
    }

    /// What outlived the last run, and where the sources stood. If the database cannot be read, nothing did:
    /// new decisions then get numbers that no stored one has, and [`Memory::take_late`] answers later.
    pub fn remembered(
        &mut self,
        now: Timestamp,
        longest_findtime: Duration,
    ) -> (Remembered, Vec<(Stream, Cursor)>) {
        while let Some(store) = &self.store {
            let read = store
                .remembered(now, longest_findtime)
                .and_then(|remembered| Ok((remembered, store.cursors()?, store.has_losses()?)));
            // Also if it could not be read: what is tried later holds up bans.
            match store.end_start().and(read) {
                Ok((remembered, cursors, has_losses)) => {
                    self.read = Read::Done;
                    self.has_losses |= has_losses;
                    self.cursors.extend(cursors.iter().cloned());
                    return (remembered, cursors);
                }
                Err(error) => self.failed(now, &error),
            }
            // A damaged database was replaced by an empty one, which can be read; other trouble stays.
            if self.failed.is_some() {
                break;
            }
        }
        self.read = Read::Missed {
            longest_findtime,
            at: now,
        };
        let beyond = beyond(now);
        let nothing = Remembered {
            next_failure: Some(FailureId(beyond)),
            next_ban: Some(BanId(beyond)),
            next_awaited: Some(AwaitedId(beyond)),
            more: true,
            ..Remembered::default()
        };
        (nothing, Vec::new())
    }

    /// Whether all bans that are in force are known: there are none that outlived the last run and wait to be read, or were
    /// lost with a damaged database.
    pub fn knows_all(&self) -> bool {
        !self.has_losses && !matches!(self.read, Read::Missed { .. } | Read::Late(_))
    }

    /// Whether bans in force were lost with a database that was damaged.
    pub fn has_losses(&self) -> bool {
        self.has_losses
    }

    /// From now on nobody is banned but those who are known to be.
    pub fn forget_losses(&mut self, now: Timestamp) {
        if !std::mem::take(&mut self.has_losses) {
            return;
        }
        self.unwritten_loss = None;
        if let Some(store) = &self.store
            && let Err(error) = store.forget_losses()
        {
            self.failed(now, &error);
        }
    }

    /// Whether [`Memory::take_late`] has an answer.
    pub fn has_late(&self) -> bool {
        matches!(self.read, Read::Late(_))
    }

    /// Once, when the database could be read only after the start: what it remembers of earlier runs.
    pub fn take_late(&mut self) -> Option<Remembered> {
        match std::mem::replace(&mut self.read, Read::Done) {
            Read::Late(remembered) => Some(*remembered),
            other => {
                self.read = other;
                None
            }
        }
    }

    /// What actions of earlier runs may have put into effect; `None` as long as the database cannot be read.
    pub fn effects(&mut self, now: Timestamp) -> Option<Vec<String>> {
        if matches!(self.read, Read::NotYet | Read::Missed { .. }) {
            return None;
        }
        let read = self.store.as_ref()?.effects();
        read.inspect_err(|error| self.failed(now, error)).ok()
    }

    /// Remembers what actions may have put into effect, and nothing else. If that fails, it has to be told again.
    pub fn remember_effects(&mut self, now: Timestamp, effects: Vec<(String, String)>) {
        let Some(store) = self.store.as_mut().filter(|_| self.failed.is_none()) else {
            return;
        };
        if self.effects.as_ref() == Some(&effects) {
            return;
        }
        match store.replace_effects(&effects) {
            Ok(()) => self.effects = Some(effects),
            Err(error) => self.failed(now, &error),
        }
    }

    /// Remembers `decisions` and where their sources stand now. Returns whether all that was ever decided is
    /// on disk; if not, it waits here and is tried again.
    pub fn remember<'c>(
        &mut self,
        now: Timestamp,
        decisions: &[Decision],
        cursors: impl IntoIterator<Item = (&'c Stream, &'c Cursor), IntoIter: Clone>,
    ) -> bool {
        let cursors = cursors.into_iter();
        for (stream, cursor) in cursors.clone() {
            self.cursors.insert(stream.clone(), cursor.clone());
        }
        if self.failed.is_none()
            && self.backlog.is_empty()
            && let Some(store) = &mut self.store
        {
            match store.commit(now, decisions, cursors.clone()) {
                Ok(()) => return true,
                Err(error) => {
                    self.backlog.push(now, decisions, cursors);
                    self.failed(now, &error);
                }
            }
        } else {
            self.backlog.push(now, decisions, cursors);
        }
        self.restate |= self.backlog.bound();
        self.retry(now);
        !self.wants_retry()
    }

    /// Whether anything waits to be written, so that [`Memory::retry`] should be called now and then.
    pub fn wants_retry(&self) -> bool {
        self.failed.is_some() || !self.backlog.is_empty()
    }

    /// Tries to write what waits, a step at a time and not right after a failure.
    pub fn retry(&mut self, now: Timestamp) {
        if !self.wants_retry() {
            return;
        }
        // A clock that was set back must not make the pause longer.
        if let Some(failed) = self.failed
            && now >= failed
            && now.since(failed) < PAUSE
        {
            return;
        }
        if let Err(error) = self.write_step(now) {
            self.failed(now, &error);
            return;
        }
        self.failed = None;
        if self.backlog.is_empty() {
            log::info!(
                "the database {} is written again; {} failures were lost while it was not",
                self.path.display(),
                self.backlog.take_lost()
            );
        }
    }

    /// The last chance: writes what waits, all of it unless that fails.
    pub fn finish(&mut self, now: Timestamp) {
        while self.wants_retry() {
            if let Err(error) = self.write_step(now) {
                log::error!(
                    "{}: {error}; not all could be written before the end",
                    self.path.display()
                );
                return;
            }
            self.failed = None;
        }
    }

    fn write_step(&mut self, now: Timestamp) -> Result<(), StoreError> {
        let store = match &mut self.store {
            Some(store) => store,
            closed => closed.insert(Store::open(&self.path)?),
        };
        // Before anything new is written, so that the engine is not told what it has decided itself.
        if let Read::Missed {
            longest_findtime,
            at,
        } = self.read
        {
            let mut remembered = store.remembered(now, longest_findtime)?;
            self.has_losses |= store.has_losses()?;
            // What was logged from here on has been read again meanwhile, under other numbers.
            let again = at.before(longest_findtime);
            let beyond = beyond(at);
            store.settle(again, FailureId(beyond), AwaitedId(beyond))?;
            remembered
                .failures
                .retain(|(failure, _)| failure.time < again);
            remembered.awaited.retain(|awaited| awaited.time < again);
            self.read = Read::Late(Box::new(remembered));
        }
        if let Some(time) = self.unwritten_loss {
            store.note_loss(time)?;
            self.unwritten_loss = None;
        }
        match self.backlog.first() {
            Some(step) => {
                store.commit(step.now, &step.decisions, &step.cursors)?;
                self.backlog.pop();
            }
            // Nothing waits, but the last try failed: see whether a write would succeed.
            None => store.commit(now, &[], &self.cursors)?,
        }
        Ok(())
    }

    /// Whether the bans in force have to be stated anew, since the database does not know all decisions.
    pub fn wants_restate(&self) -> bool {
        self.restate && !self.wants_retry() && matches!(self.read, Read::NotYet | Read::Done)
    }

    /// Makes the bans in force in the database, and those that were `merged`, equal to those of the ledger, and likewise
    /// who is allowed, and what waits for addresses.
    pub fn restate<'a>(
        &mut self,
        now: Timestamp,
        bans: &[Ban],
        merged: &[(Ban, Timestamp)],
        allowed: impl IntoIterator<Item = &'a Allowance>,
        awaited: impl IntoIterator<Item = &'a Awaited>,
    ) {
        let Some(store) = &mut self.store else {
            return;
        };
        match store.restate(now, bans, merged, allowed, awaited) {
            Ok(()) => self.restate = false,
            Err(error) => self.failed(now, &error),
        }
    }

    /// Forgets a piece of what need not be kept any longer; whether there may be more of it. To be called every
    /// minute or so even if nothing was decided: it also notices that the file was removed.
    pub fn sweep(&mut self, now: Timestamp, retention: Retention) -> bool {
        if self.wants_retry() {
            return false;
        }
        let Some(store) = &mut self.store else {
            return false;
        };
        if !store.is_at(&self.path) {
            self.begin_anew(now);
            return false;
        }
        match store.sweep(now, retention) {
            Ok(rows) => {
                let before = now.before(retention.failures);
                self.cursors
                    .retain(|stream, cursor| stream.part.is_empty() || cursor.time >= before);
                rows > 0
            }
            Err(error) => {
                self.failed(now, &error);
                false
            }
        }
    }

    /// The database, for questions; `None` while it cannot be opened.
    pub fn store(&self) -> Option<&Store> {
        self.store.as_ref()
    }

    /// The bans that would be in force at `now` but were lifted early, the newest `most` of them; nothing where that cannot
    /// be read, since no ban depends on it.
    pub fn lifted(&self, now: Timestamp, most: usize) -> Vec<Ban> {
        let lifted = self.store.as_ref().map(|store| store.lifted(now, most));
        lifted.transpose().map_or_else(
            |error| {
                log::warn!("who was lifted before is not known, and not told: {error}");
                Vec::new()
            },
            Option::unwrap_or_default,
        )
    }

    /// How many failures made each ban that has not ended; nothing where that cannot be read, since no ban depends on it.
    pub fn failures_of_standing(&self) -> Counts {
        let counts = self.store.as_ref().map(Store::failures_of_standing);
        counts.transpose().map_or_else(
            |error| {
                log::debug!("how many failures made which ban is not known: {error}");
                Counts::new()
            },
            Option::unwrap_or_default,
        )
    }

    /// Takes note of a failure: tells it if it is the first one, and replaces a damaged database.
    fn failed(&mut self, now: Timestamp, error: &StoreError) {
        let first = self.failed.replace(now).is_none();
        if first {
            log::error!(
                "{}: {error}; bans go on from memory and are written when this is over",
                self.path.display()
            );
        }
        let just_replaced = self
            .replaced
            .is_some_and(|replaced| now >= replaced && now.since(replaced) < REPLACE_PAUSE);
        if matches!(error, StoreError::Damaged(_)) && !just_replaced {
            self.replace(now, first);
        }
    }

    /// Leaves a file that was removed or replaced under us; the next retry opens what is there now.
    fn begin_anew(&mut self, now: Timestamp) {
        log::error!(
            "{} was removed or replaced while in use; the bans in force are written into the new file",
            self.path.display()
        );
        self.store = None;
        self.failed = Some(now);
        self.restate = true;
        self.effects = None;
        self.unwritten_loss = self.has_losses.then_some(now);
        self.backlog.push(now, &[], &self.cursors);
    }

    fn replace(&mut self, now: Timestamp, first: bool) {
        // Closed first: the last connection writes into the file that it closes.
        self.store = None;
        // The engine knows better, once it has read it.
        let unread = matches!(self.read, Read::NotYet | Read::Missed { .. });
        let salvage = if unread {
            Salvage::read(&self.path, now)
        } else {
            Salvage::default()
        };
        let aside = match move_aside(&self.path, now) {
            Ok(aside) => aside,
            Err(error) => {
                if first {
                    log::error!("it cannot be replaced: {error}");
                }
                return;
            }
        };
        self.has_losses |= unread && !salvage.is_complete;
        self.unwritten_loss = self.has_losses.then_some(now);
        let lost = match unread && !salvage.is_complete {
            true => {
                "; others may be lost, so whoever is shut out stays so, also if nobody knows of it, until `f2bd flush`"
            }
            false => "",
        };
        log::warn!(
            "the damaged database is kept as {}; a new one is begun, with {} bans saved from it{lost}",
            aside.display(),
            salvage.bans.len()
        );
        let mut saved: Vec<_> = salvage.bans.into_iter().map(Decision::Ban).collect();
        for (ban, time) in salvage.merged {
            let unban = Unban {
                ban: ban.id,
                was: Standing::of(&ban),
                jail: ban.jail.clone(),
                subject: ban.subject.clone(),
                time,
                release: Release::Merged,
            };
            saved.extend([Decision::Ban(ban), Decision::Unban(unban)]);
        }
        saved.extend(salvage.allowances.into_iter().map(Decision::Allow));
        saved.extend(salvage.awaited.into_iter().map(Decision::Await));
        self.replaced = Some(now);
        self.effects = None;
        self.restate |= !unread;
        if !self.cursors.is_empty() {
            self.backlog.push(now, &[], &self.cursors);
        }
        let cursors = salvage
            .cursors
            .iter()
            .map(|(stream, cursor)| (stream, cursor));
        let begun = Store::open(&self.path).and_then(|mut store| {
            store.commit(now, &saved, cursors)?;
            self.unwritten_loss
                .map_or(Ok(()), |time| store.note_loss(time))?;
            Ok(store)
        });
        match begun {
            Ok(store) => {
                self.store = Some(store);
                self.unwritten_loss = None;
                // Not in trouble any more: what waits can be written at once.
                self.failed = None;
            }
            Err(_) => self.backlog.push(now, &saved, None),
        }
    }
}

/// Renames the database and its companions; returns the new name.
fn move_aside(path: &Path, now: Timestamp) -> Result<PathBuf, StoreError> {
    let ending = format!(".damaged-{now}");
    let named = |base: &Path, ending: &str| {
        let mut name = OsString::from(base);
        name.push(ending);
        PathBuf::from(name)
    };
    let aside = named(path, &ending);
    let told = |source| StoreError::Path {
        path: aside.clone(),
        source,
    };
    // The file itself last: a new one must never meet the log of the old one.
    for companion in ["-wal", "-shm"] {
        match std::fs::rename(named(path, companion), named(&aside, companion)) {
            Err(source) if source.kind() != std::io::ErrorKind::NotFound => {
                return Err(told(source));
            }
            _ => {}
        }
    }
    std::fs::rename(path, &aside).map_err(told)?;
    Ok(aside)
}
