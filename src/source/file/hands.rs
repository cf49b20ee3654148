//! What do all logs share while they are followed?
//!
//! Comes in: what a log has read, what is wrong with a path. Goes out: deliveries, each trouble once. No file is read
//! here.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};

use tokio::sync::watch as channel;

use super::FilesSpec;
use crate::engine::time::Timestamp;
use crate::source::{Delivery, Trouble, nothing_more};

/// Following was told to end.
#[derive(Clone, Copy, Debug)]
pub struct Stopped;

/// What all logs share: who hears of them, and room for what is read.
pub struct Hands<'a, D> {
    /// What is read, and how.
    pub spec: &'a FilesSpec,
    /// Who hears of it.
    pub deliver: D,
    /// Whether to end.
    pub stop: channel::Receiver<bool>,
    /// Room for what is read at once.
    pub chunk: Vec<u8>,
    /// The paths that are logs of their own.
    pub followed: BTreeSet<PathBuf>,
    /// How many files are open of logs that have not been read to their end.
    pub unread: usize,
    /// Whether it has been said that there are too many of them.
    pub told_unread: bool,
    /// What cannot be read, and why.
    pub troubles: BTreeMap<PathBuf, String>,
    /// Whether others have to believe that there is more.
    pub more: bool,
}

impl<D> Hands<'_, D> {
    /// The present.
    pub fn now(&self) -> Timestamp {
        jiff::Timestamp::now().into()
    }

    /// Whether `path` is a log of its own.
    pub fn follows(&self, path: &Path) -> bool {
        self.followed.contains(path)
    }

    /// Whether to end.
    pub fn stopped(&self) -> bool {
        *self.stop.borrow() || self.stop.has_changed().is_err()
    }
}

impl<D: FnMut(Delivery) -> ControlFlow<()>> Hands<'_, D> {
    /// Hands on a delivery.
    pub fn hand_on(&mut self, delivery: Delivery) -> Result<(), Stopped> {
        match (self.deliver)(delivery) {
            ControlFlow::Continue(()) if !self.stopped() => Ok(()),
            _ => Err(Stopped),
        }
    }

    /// Says that nothing more is there at the moment.
    pub fn tell_end(&mut self) -> Result<(), Stopped> {
        if !std::mem::take(&mut self.more) {
            return Ok(());
        }
        let word = nothing_more(&self.spec.name);
        self.hand_on(word)
    }

    /// Says that records between these moments may be lost.
    pub fn gap(&mut self, from: Timestamp, to: Option<Timestamp>) -> Result<(), Stopped> {
        let source = self.spec.name.clone();
        self.hand_on(Delivery::Trouble(Trouble::Gap { source, from, to }))
    }

    /// Notes why `path` cannot be read, or that it can. Others hear of it once, and of the end when nothing is left.
    pub fn trouble(&mut self, path: &Path, reason: Option<String>) -> Result<(), Stopped> {
        let source = || self.spec.name.clone();
        let trouble = match reason {
            None if self.troubles.remove(path).is_some() && self.troubles.is_empty() => {
                Trouble::Recovered { source: source() }
            }
            Some(reason) if self.troubles.get(path) != Some(&reason) => {
                self.troubles.insert(path.to_owned(), reason.clone());
                Trouble::Unreadable {
                    source: source(),
                    reason,
                }
            }
            _ => return Ok(()),
        };
        self.hand_on(Delivery::Trouble(trouble))
    }
}
