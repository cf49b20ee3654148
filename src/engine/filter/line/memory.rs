//! What do filters over whole lines remember of earlier ones?
//!
//! In: lines that belong together. Out: what they say together. What is remembered has a bound, and whoever is silent is
//! forgotten; after a restart it begins anew.

use std::collections::HashMap;

use super::connection::{Connection, IDLE, Lines, Told};
use super::trial::Became;
use super::window::{TakenLines, Window};
use super::{CONNECTION, Said};
use crate::engine::filter::FilterSpec;
use crate::engine::name::SourceName;
use crate::engine::policy::FilterId;
use crate::engine::record::lossy;
use crate::engine::time::Timestamp;

/// The most connections that are remembered; with what an attacker writes into them they take some 20 MB at worst. Whoever
/// opens more at once makes the oldest be forgotten.
const MOST_CONNECTIONS: usize = 4096;

/// The most logs of which the last lines are remembered.
const MOST_WINDOWS: usize = 64;

/// What filters remember, of all sources.
#[derive(Debug, Default)]
pub struct LineMemory {
    source: Option<SourceName>,
    /// At half the bound they become the earlier ones, and those are forgotten.
    recent: HashMap<Box<str>, Connection>,
    earlier: HashMap<Box<str>, Connection>,
    windows: HashMap<Box<str>, Window>,
    exceeded: Vec<(FilterId, u16)>,
    keeps_texts: bool,
}

/// Whose lines they are.
pub(super) struct Whose<'w> {
    /// Who reads them. It is known by name and mode, since numbers are others after a reload.
    pub(super) filter: &'w FilterSpec,
    /// The machine that wrote them.
    pub(super) host: &'w str,
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

    /// The patterns, by their numbers, that took too many steps on some line, since this was asked before. Those lines do
    /// not count for them; 0 is what a line must match first.
    pub fn take_exceeded(&mut self) -> Vec<(FilterId, u16)> {
        std::mem::take(&mut self.exceeded)
    }

    #[cfg(test)]
    pub(super) fn connections(&self) -> usize {
        self.recent.len() + self.earlier.len()
    }

    pub(super) fn exceeded(&mut self, filter: FilterId, number: u16) {
        if !self.exceeded.contains(&(filter, number)) {
            self.exceeded.push((filter, number));
        }
    }

    /// What a line says together with those of its connection, if it has one, and what that makes of it.
    pub(super) fn join(
        &mut self,
        whose: &Whose<'_>,
        told: Told,
        time: Timestamp,
    ) -> (Said, Became) {
        let Some(id) = told.words.get(CONNECTION) else {
            // By itself it is a connection of one line.
            let (said, _) = Connection::default().add(told, time, true);
            return said;
        };
        let key = self.key(whose, id);
        let known = self.recent.remove(&key);
        let known = known.or_else(|| self.earlier.remove(&key));
        let known = known.filter(|known| time.since(known.last) <= IDLE);
        let is_new = known.is_none();
        let mut connection = known.unwrap_or_default();
        let (said, is_over) = connection.add(told, time, is_new);
        if !is_over {
            if self.recent.len() >= MOST_CONNECTIONS / 2 {
                self.earlier = std::mem::take(&mut self.recent);
            }
            self.recent.insert(key, connection);
        }
        said
    }

    /// The last lines of a log, this one with its date among them: it is told without its date, and as it was written.
    pub(super) fn window(
        &mut self,
        whose: &Whose<'_>,
        most: u16,
        (line, whole): (&[u8], &[u8]),
        time: Option<Timestamp>,
    ) -> Window {
        let written = self.text(whole);
        let key = self.key(whose, "");
        if self.windows.len() >= MOST_WINDOWS && !self.windows.contains_key(&key) {
            self.windows.clear();
        }
        let window = self.windows.entry(key).or_default();
        window.add(line, time, most, written);
        window.clone()
    }

    /// Forgets the lines that a pattern took, and answers them.
    pub(super) fn consume(&mut self, whose: &Whose<'_>, taken: TakenLines) -> Lines {
        let key = self.key(whose, "");
        match self.windows.get_mut(&key) {
            Some(window) => window.forget(taken),
            None => Lines::one(None),
        }
    }

    fn key(&self, whose: &Whose<'_>, id: &str) -> Box<str> {
        let source = self.source.as_ref().map_or("", SourceName::as_str);
        let Whose { filter, host } = whose;
        let parts = [source, host, filter.name.as_str(), &filter.mode, id];
        parts.join("\0").into()
    }
}
