//! Which patterns might take a message?
//!
//! In: patterns whose texts stand in it. Out: each of them once, without memory of its own; if they are many, it is as
//! well to try all.

/// So many patterns are noted down whose texts stand in a message; if there are more, all are tried.
const MOST_CANDIDATES: usize = 16;

/// Some different patterns, until they are too many.
pub(super) struct Candidates {
    patterns: [usize; MOST_CANDIDATES],
    count: usize,
}

impl Candidates {
    /// None yet.
    pub(super) fn none() -> Self {
        Candidates {
            patterns: [0; MOST_CANDIDATES],
            count: 0,
        }
    }

    /// Adds one, unless it is there.
    pub(super) fn add(&mut self, pattern: usize) {
        let known = &self.patterns[..self.count.min(MOST_CANDIDATES)];
        if known.contains(&pattern) {
            return;
        }
        if let Some(next) = self.patterns.get_mut(self.count) {
            *next = pattern;
        }
        self.count = (self.count + 1).min(MOST_CANDIDATES + 1);
    }

    /// Them; `None` if they are too many.
    pub(super) fn all(&self) -> Option<&[usize]> {
        self.patterns.get(..self.count)
    }
}
