//! What do the lines of a connection say together?
//!
//! Many services tell in one line who tried what, and in another from where or that it failed; an id ties them. In: what a
//! line says, and what those before it said. Out: what they say together, once it is a failure.

use std::sync::{Arc, LazyLock};
use std::time::Duration;

use regex_syntax::hir::{Hir, HirKind};

use super::recent::Measured;
use super::trial::Became;
use super::{ADDRESSES, CONNECTION, ID, NAME, Said, USER, Words};
use crate::engine::expression::LineExpression;
use crate::engine::time::Timestamp;

/// A connection that was silent for so long is over.
pub(super) const IDLE: Duration = Duration::from_secs(300);

/// More names of one connection tell nothing new: that there were several decides.
const MOST_USERS: usize = 16;

/// Where all users stand for those who show all words in their order.
static USERS: LazyLock<Arc<str>> = LazyLock::new(|| "users".into());

/// The line tells of no failure, but of what belongs to one.
const INFORMS: &str = "nofail";
/// The line tells that somebody was let in.
const ADMITS: &str = "mlfgained";
/// The line is the last one of its connection.
const ENDS: &str = "mlfforget";

/// Whether every line that a pattern takes ends its connection and tells of no failure: it says nothing unless something is
/// known of the connection, which is told elsewhere.
pub(super) fn is_farewell(pattern: &LineExpression) -> bool {
    let structure = pattern.relaxed();
    let takes = |name| always_takes(&structure, name);
    let tells_connection = pattern.names().any(|name| name.contains(CONNECTION));
    takes(ENDS) && (takes(INFORMS) || takes(ADMITS)) && !tells_connection
}

/// Whether a group takes part of everything that an expression takes, and more than nothing.
fn always_takes(hir: &Hir, name: &str) -> bool {
    let takes = |part: &Hir| always_takes(part, name);
    match hir.kind() {
        HirKind::Capture(group) if group.name.as_deref() == Some(name) => {
            group.sub.properties().minimum_len() > Some(0)
        }
        HirKind::Capture(group) => takes(&group.sub),
        HirKind::Repetition(repeated) => repeated.min > 0 && takes(&repeated.sub),
        HirKind::Concat(parts) => parts.iter().any(takes),
        HirKind::Alternation(parts) => parts.iter().all(takes),
        HirKind::Empty | HirKind::Literal(_) | HirKind::Class(_) | HirKind::Look(_) => false,
    }
}

/// What a line says.
#[derive(Debug)]
pub(super) struct Told {
    /// What the groups took.
    pub(super) words: Words,
    /// The line, or several of them.
    pub(super) lines: Lines,
}

/// Lines that tell of something.
#[derive(Clone, Debug, Default)]
pub(super) struct Lines {
    /// How many they are.
    pub(super) count: u32,
    /// What they are, if that is kept.
    pub(super) texts: Vec<Box<str>>,
}

impl Lines {
    /// A single line.
    pub(super) fn one(text: Option<Box<str>>) -> Self {
        Lines {
            count: 1,
            texts: text.into_iter().collect(),
        }
    }

    fn append(&mut self, more: Lines) {
        self.count += more.count;
        self.texts.extend(more.texts);
    }
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
    lines: Lines,
    /// and those before it that told of none.
    early: Lines,
    pub(super) last: Timestamp,
}

impl Connection {
    /// Adds a line; answers what becomes of it by all that is said by now, and whether the connection is over.
    pub(super) fn add(&mut self, told: Told, time: Timestamp, is_new: bool) -> (Became, bool) {
        let Told { mut words, lines } = told;
        let ends = words.remove(ENDS).is_some_and(|text| !text.is_empty());
        let mut is_there = |name| {
            let text = words.get(name).map(|text| !text.is_empty());
            // A group that took nothing keeps its place, as any other one.
            text.is_some_and(|is_there| words.remove(name).is_some() && is_there)
        };
        let mut admits = is_there(ADMITS);
        let mut informs = is_there(INFORMS) || admits;
        self.last = time;
        if !is_new {
            self.words.remove(INFORMS);
            self.words.remove(ADMITS);
        }
        let user = words.get(USER).map(Box::from);
        if is_new {
            self.words.update(std::mem::take(&mut words));
        }
        if !(is_new && ends) {
            self.note_user(user);
        }
        if admits {
            self.is_pending = false;
        }
        if !self.informed && !self.is_pending {
            self.lines = Lines::default();
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
                self.early.append(lines);
            }
            return (Became::Remark, ends);
        }
        self.lines.append(std::mem::take(&mut self.early));
        if !admits {
            self.lines.append(lines);
        }
        let mut names = ADDRESSES.iter().chain([&NAME, &ID]);
        if !names.any(|name| self.words.get(name).is_some()) {
            self.is_pending = true;
            return (Became::Pending, ends);
        }
        (Became::Failure, ends)
    }

    fn note_user(&mut self, user: Option<Box<str>>) {
        let Some(user) = user.filter(|user| !user.is_empty()) else {
            return;
        };
        if self.users.is_empty() {
            self.words.reserve(&USERS);
        }
        if self.users.len() < MOST_USERS && !self.users.contains(&user) {
            self.users.push(user);
        }
    }

    /// What is said by now.
    pub(super) fn said(&self) -> Said {
        Said {
            words: self.words.clone(),
            users: self.users.clone(),
            lines: self.lines.count,
            texts: self.lines.texts.clone(),
            ..Said::default()
        }
    }
}

impl Measured for Connection {
    fn bytes(&self) -> usize {
        let users = self.users.iter().map(|user| user.len());
        let lines = self.lines.texts.iter().chain(&self.early.texts);
        let lines = lines.map(|text| text.len());
        self.words.bytes() + users.sum::<usize>() + lines.sum::<usize>()
    }
}
