//! Which of many patterns that ask for the same texts may take a message?
//!
//! In: patterns, then messages that hold one of these texts. Out: whether a pattern may take such a message. Several web
//! filters ask for no more than that something was posted, and nearly always none of them has anything to say: that is
//! found out for all of them at once. What they find they tell themselves.

use std::collections::BTreeMap;
use std::sync::OnceLock;

use regex::bytes::{RegexSet, SetMatches};

use super::Shared;
use super::compile::regex_set;
use crate::engine::filter::literal::Texts;

/// To ask fewer one after the other takes no longer.
const MANY: usize = 4;

/// Patterns that ask for the same texts.
#[derive(Clone, Debug)]
struct Crowd {
    patterns: Vec<usize>,
    /// Their expressions over messages, compiled with the first message that holds such a text: most logs hold none.
    messages: OnceLock<Option<RegexSet>>,
}

/// All of them.
#[derive(Clone, Debug, Default)]
pub(super) struct Crowds {
    all: Vec<Crowd>,
    /// In which each pattern is, and the how manyth of it.
    places: Vec<Option<(usize, usize)>>,
}

/// What was asked about one message. Patterns of one crowd come one after the other, as the text was found by which they do.
#[derive(Default)]
pub(super) struct Asked {
    last: Option<(usize, Takers)>,
}

/// Who takes a message.
enum Takers {
    Nobody,
    These(SetMatches),
    /// Everybody has to be asked.
    Unknown,
}

impl Crowds {
    /// The crowds among these patterns.
    pub(super) fn of(patterns: &[Shared]) -> Self {
        let mut alike: BTreeMap<&Texts, Vec<usize>> = BTreeMap::new();
        for (at, shared) in patterns.iter().enumerate() {
            if !shared.needs.is_empty() && shared.pattern.over_message().is_some() {
                alike.entry(&shared.needs).or_default().push(at);
            }
        }
        let mut crowds = Crowds {
            all: Vec::new(),
            places: vec![None; patterns.len()],
        };
        for patterns in alike.into_values().filter(|alike| alike.len() >= MANY) {
            for (number, at) in patterns.iter().enumerate() {
                crowds.places[*at] = Some((crowds.all.len(), number));
            }
            crowds.all.push(Crowd {
                patterns,
                messages: OnceLock::new(),
            });
        }
        crowds
    }

    /// Whether a pattern may take a message.
    pub(super) fn may_take(
        &self,
        pattern: usize,
        message: &[u8],
        all: &[Shared],
        asked: &mut Asked,
    ) -> bool {
        let Some((place, number)) = self.places.get(pattern).copied().flatten() else {
            return true;
        };
        if asked.last.as_ref().is_none_or(|(last, _)| *last != place) {
            asked.last = Some((place, self.all[place].takers(message, all)));
        }
        match &asked.last {
            Some((_, Takers::Nobody)) => false,
            Some((_, Takers::These(takers))) => takers.matched(number),
            Some((_, Takers::Unknown)) | None => true,
        }
    }
}

impl Crowd {
    fn takers(&self, message: &[u8], all: &[Shared]) -> Takers {
        let messages = self.messages.get_or_init(|| {
            let over = |at: &usize| all[*at].pattern.over_message();
            // If they are too large together, each is asked by itself.
            regex_set(self.patterns.iter().map(over)).ok()
        });
        match messages {
            // `is_match` keeps no list of what matched and so allocates nothing.
            Some(messages) if !messages.is_match(message) => Takers::Nobody,
            Some(messages) => Takers::These(messages.matches(message)),
            None => Takers::Unknown,
        }
    }
}
