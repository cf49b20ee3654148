//! What must a line match before any pattern is asked, and what of it do the patterns look at?
//!
//! In: a text. Out: the part of it that the patterns look at, and what the groups of the prefix took. What the patterns
//! make of it is not known here.

use std::ops::Range;

use super::CONTENT;
use super::trial::Trial;
use super::words::Words;
use crate::engine::expression::{LimitReached, LineExpression};

/// How a prefix ends that hands on all that follows it.
const ALL_THE_REST: &str = "(?P<content>.+)$";
/// What is asked in its place: where something follows within a line, the rest of the line does.
const ITS_FIRST: &str = "(?P<content>.)";

/// What a line must match first.
#[derive(Clone, Debug)]
pub(super) struct LinePrefix {
    whole: LineExpression,
    /// The same, but that it need not be led to the end of the line; right for texts of one line.
    head: Option<LineExpression>,
}

impl LinePrefix {
    /// Compiles it.
    ///
    /// # Errors
    /// What is wrong with it, in one line.
    pub(super) fn new(source: &str, is_multi: bool) -> Result<Self, String> {
        let whole = LineExpression::new(source, is_multi)?;
        let head = source.strip_suffix(ALL_THE_REST);
        let head = head.map(|head| LineExpression::new(&format!("{head}{ITS_FIRST}"), is_multi));
        Ok(LinePrefix {
            whole,
            head: head.transpose()?,
        })
    }

    /// As it is written.
    pub(super) fn expression(&self) -> &LineExpression {
        &self.whole
    }

    /// What the patterns look at, and what was taken before; `None` if the text does not match.
    ///
    /// # Errors
    /// It cannot tell in so few steps.
    pub(super) fn content(
        &self,
        text: &[u8],
        trial: Option<&mut Trial>,
    ) -> Result<Option<(Range<usize>, Words)>, LimitReached> {
        // Whoever tries it wants to see all that it takes.
        let is_whole = trial.is_some() || memchr::memchr(b'\n', text).is_some();
        let head = self.head.as_ref().filter(|_| !is_whole);
        let prefix = head.unwrap_or(&self.whole);
        let Some(taken) = prefix.captures(text)? else {
            return Ok(None);
        };
        let mut words = Words::default();
        words.take(prefix, &taken, text);
        if let Some(trial) = trial {
            trial.prefix = Some(words.clone());
        }
        words.remove(CONTENT);
        let content = taken.get(CONTENT).filter(|range| !range.is_empty());
        let content = match (content, head) {
            (Some(first), Some(_)) => first.start..text.len(),
            (Some(all), None) => all,
            (None, _) => 0..text.len(),
        };
        Ok(Some((content, words)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        /// Whether or not it is led to the end, the same is handed on.
        #[test]
        fn the_rest_of_a_line_is_what_follows(text in "[a-c: \\[\\]0-9\n]{0,20}", which in 0..4_usize) {
            let source = [
                r"^(?P<mlfid>\s*(?:\S+\s+)?(?:[ab]+(?:\[\d+\])?:\s+)?)(?:c: )?(?P<content>.+)$",
                r"^a*(?P<user>b)?(?P<content>.+)$",
                r"(?:a|(?P<user>b+?))(?P<content>.+)$",
                r"^c|(?P<user>\d+)(?!a) ?(?P<content>.+)$",
            ][which];
            let quick = LinePrefix::new(source, false).expect("an expression");
            prop_assert!(quick.head.is_some());
            let slow = LinePrefix { head: None, ..quick.clone() };
            prop_assert_eq!(quick.content(text.as_bytes(), None), slow.content(text.as_bytes(), None));
        }
    }
}
