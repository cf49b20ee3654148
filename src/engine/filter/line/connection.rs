//! What do the lines of a connection say together?
//!
//! Many services tell in one line who tried what, and in another from where or that it failed; an id ties them. In: what a
//! line says, and what those before it said. Out: what they say together, once it is a failure.

use std::time::Duration;

use super::{ADDRESSES, ID, NAME, Said, USER, Words};
use crate::engine::time::Timestamp;

/// A connection that was silent for so long is over.
pub(super) const IDLE: Duration = Duration::from_secs(300);

/// More names of one connection tell nothing new: that there were several decides.
const MOST_USERS: usize = 16;

/// The line tells of no failure, but of what belongs to one.
const INFORMS: &str = "nofail";
/// The line tells that somebody was let in.
const ADMITS: &str = "mlfgained";
/// The line is the last one of its connection.
const ENDS: &str = "mlfforget";

/// What a line says.
#[derive(Debug)]
pub(super) struct Told {
    /// What the groups took.
    pub(super) words: Words,
    /// How many lines it is.
    pub(super) lines: u32,
}

/// What is known of a connection.
#[derive(Clone, Debug, Default)]
pub(super) struct Connection {
    words: Words,
    users: Vec<Box<str>>,
    /// Somebody has failed, and it is not known yet from where.
    is_pending: bool,
    /// The last line told of no failure.
    informed: bool,
    /// Lines that tell of the failure,
    lines: u32,
    /// and those before it that told of none.
    early: u32,
    pub(super) last: Timestamp,
}

impl Connection {
    /// Adds a line; answers what is said by now if that is a failure of somebody who is known, and whether the connection
    /// is over.
    pub(super) fn add(
        &mut self,
        told: Told,
        time: Timestamp,
        is_new: bool,
    ) -> (Option<Said>, bool) {
        let Told { mut words, lines } = told;
        let mut is_there = |name| words.remove(name).is_some_and(|text| !text.is_empty());
        let ends = is_there(ENDS);
        let mut admits = is_there(ADMITS);
        let mut informs = is_there(INFORMS) || admits;
        self.last = time;
        if !(is_new && ends) {
            self.note_user(words.get(USER));
        }
        if admits {
            self.is_pending = false;
        }
        if !self.informed && !self.is_pending {
            self.lines = 0;
        }
        self.words.update(words);
        // Who was let in under one name may have failed under others.
        if std::mem::take(&mut self.is_pending) || self.users.len() > 1 {
            informs = false;
            admits = false;
        }
        self.informed = informs;
        if informs {
            if !ends {
                self.early += lines;
            }
            return (None, ends);
        }
        self.lines += std::mem::take(&mut self.early);
        if !admits {
            self.lines += lines;
        }
        let mut names = ADDRESSES.iter().chain([&NAME, &ID]);
        if !names.any(|name| self.words.get(name).is_some()) {
            self.is_pending = true;
            return (None, ends);
        }
        (Some(self.said()), ends)
    }

    /// How many bytes it has of what somebody else has written.
    pub(super) fn bytes(&self) -> usize {
        let users = self.users.iter().map(|user| user.len());
        self.words.bytes() + users.sum::<usize>()
    }

    fn note_user(&mut self, user: Option<&str>) {
        let Some(user) = user.filter(|user| !user.is_empty()) else {
            return;
        };
        if self.users.len() < MOST_USERS && !self.users.iter().any(|known| **known == *user) {
            self.users.push(user.into());
        }
    }

    fn said(&self) -> Said {
        Said {
            words: self.words.clone(),
            users: self.users.clone(),
            lines: self.lines,
            ..Said::default()
        }
    }
}
