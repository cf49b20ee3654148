//! What do filters over whole lines remember of earlier ones?
//!
//! In: lines that belong together. Out: what they say together. What is remembered has a bound, and whoever is silent is
//! forgotten; after a restart it begins anew.

use super::connection::{Connection, IDLE, Told};
use super::recent::Recent;
use super::trial::Became;
use super::window::Window;
use super::{CONNECTION, LinePattern, Said};
use crate::engine::filter::FilterSpec;
use crate::engine::filter::hashed::{NameHash, Names};
use crate::engine::name::SourceName;
use crate::engine::policy::FilterId;
use crate::engine::record::date::template::LastDate;
use crate::engine::record::lossy;
use crate::engine::time::Timestamp;

/// The most that is remembered of connections, in bytes. Attackers write into them what they like; whoever opens more at once
/// makes the oldest be forgotten.
const MOST_OF_CONNECTIONS: usize = 16 << 20;

/// What a connection takes at the least: there are 4096 of them at the most.
const LEAST_OF_CONNECTION: usize = 4 << 10;

/// The most bytes of last lines that are remembered: of 64 logs with the longest ones, of 4096 with usual ones.
const MOST_OF_LINES: usize = 4 << 20;

/// What the last lines of a log take at the least.
const LEAST_OF_LINES: usize = 1 << 10;

/// What filters remember, of all sources.
#[derive(Debug)]
pub struct LineMemory {
    source: Option<SourceName>,
    names: Names,
    connections: Recent<Connection>,
    windows: Recent<Window>,
    /// The date that was read last, whosever it is.
    pub(super) date: LastDate,
    exceeded: Vec<(FilterId, LinePattern)>,
    keeps_texts: bool,
}

/// Whose lines they are.
#[derive(Clone, Copy)]
pub(super) struct Whose<'w> {
    /// Who reads them,
    pub(super) filter: &'w FilterSpec,
    /// by its number.
    pub(super) id: FilterId,
    /// The machine that wrote them.
    pub(super) host: &'w str,
}

impl Default for LineMemory {
    fn default() -> Self {
        LineMemory {
            source: None,
            names: Names::default(),
            connections: Recent::new(MOST_OF_CONNECTIONS, LEAST_OF_CONNECTION),
            windows: Recent::new(MOST_OF_LINES, LEAST_OF_LINES),
            date: LastDate::default(),
            exceeded: Vec::new(),
            keeps_texts: false,
        }
    }
}

impl LineMemory {
    /// One that remembers the lines themselves as well, for somebody who tries a filter on a log and wants to see them.
    pub fn with_texts() -> Self {
        LineMemory {
            keeps_texts: true,
            ..Self::default()
        }
    }

    /// A line as it is to be remembered, if it is.
    pub(super) fn text(&self, line: &[u8]) -> Option<Box<str>> {
        self.keeps_texts.then(|| lossy(line).into())
    }

    /// From here on lines come from this source. What another one says is of other connections: nobody can write into
    /// one log what belongs to the lines of another.
    pub fn hear_from(&mut self, source: Option<&SourceName>) {
        if self.source.as_ref() != source {
            self.source = source.cloned();
        }
    }

    /// The patterns that took too many steps on some line, since this was asked before. Those lines do not count for them.
    pub fn take_exceeded(&mut self) -> Vec<(FilterId, LinePattern)> {
        std::mem::take(&mut self.exceeded)
    }

    #[cfg(test)]
    pub(super) fn connections(&self) -> usize {
        self.connections.len()
    }

    pub(super) fn exceeded(&mut self, whose: &Whose<'_>, pattern: LinePattern) {
        let filter = whose.id;
        if !self.exceeded.contains(&(filter, pattern)) {
            self.exceeded.push((filter, pattern));
        }
    }

    /// Whether something is known of a connection.
    pub(super) fn knows(&mut self, whose: &Whose<'_>, id: &str) -> bool {
        let name = self.name(whose, id);
        self.connections.knows(name)
    }

    /// What becomes of a line together with those of its connection, if it has one, and what they say if that is wanted.
    pub(super) fn join(
        &mut self,
        whose: &Whose<'_>,
        told: Told,
        time: Timestamp,
        is_wanted: impl Fn(Became) -> bool,
    ) -> (Option<Said>, Became) {
        let Some(id) = told.words.get(CONNECTION) else {
            // By itself it is a connection of one line.
            let mut connection = Connection::default();
            let (became, _) = connection.add(told, time, true);
            return (is_wanted(became).then(|| connection.said()), became);
        };
        let name = self.name(whose, id);
        self.connections.change(name, |kept| {
            let is_known = |known: &Connection| time.since(known.last) <= IDLE;
            let is_new = !kept.as_ref().is_some_and(is_known);
            if is_new {
                *kept = None;
            }
            let connection = kept.get_or_insert_default();
            let (became, is_over) = connection.add(told, time, is_new);
            let said = is_wanted(became).then(|| connection.said());
            if is_over {
                *kept = None;
            }
            (said, became)
        })
    }

    /// The last lines of a log, which are to be kept again.
    pub(super) fn take_window(&mut self, whose: &Whose<'_>) -> Window {
        let name = self.name(whose, "");
        self.windows.change(name, Option::take).unwrap_or_default()
    }

    /// Remembers the last lines of a log.
    pub(super) fn keep_window(&mut self, whose: &Whose<'_>, window: Window) {
        let name = self.name(whose, "");
        self.windows.change(name, |kept| *kept = Some(window));
    }

    /// By which hash something of a log is known: nobody can write into one log, or for one machine, what belongs to another.
    fn name(&mut self, whose: &Whose<'_>, connection: &str) -> NameHash {
        let Whose { filter, host, .. } = whose;
        let there = self.names.whereabouts(self.source.as_ref(), filter, host);
        self.names.hash(there, connection)
    }
}
