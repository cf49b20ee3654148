//! What of patterns of which no text is known that messages must hold?
//!
//! In: records. Out: verdicts. All such patterns of a filter are tried together, on every record that it asked for.

use regex::bytes::RegexSet;

use super::compile::regex_set;
use super::{Shared, Verdicts};
use crate::engine::filter::View;
use crate::engine::policy::FilterId;

/// The patterns of one filter of which no text is known that messages must hold.
#[derive(Clone, Debug)]
pub(super) struct Loose {
    /// By their place in the set.
    pub(super) patterns: Vec<usize>,
    /// What each of them says of the message, if it looks at nothing else.
    messages: RegexSet,
    /// Whether there is one that looks at fields: it is tried on objects only.
    pub(super) by_fields: bool,
    /// Whether there is another one: that is tried on every record.
    pub(super) by_message: bool,
}

impl Loose {
    /// These patterns; `None` if there are none.
    pub(super) fn of(patterns: Vec<usize>, all: &[Shared]) -> Result<Option<Self>, String> {
        if patterns.is_empty() {
            return Ok(None);
        }
        let over = |at: &usize| all[*at].pattern.over_message();
        Ok(Some(Loose {
            messages: regex_set(patterns.iter().map(over))?,
            by_fields: patterns.iter().any(|at| over(at).is_none()),
            by_message: patterns.iter().any(|at| over(at).is_some()),
            patterns,
        }))
    }

    /// What the record is to the filter by these patterns.
    pub(super) fn judge<'v>(
        &self,
        filter: FilterId,
        all: &[Shared],
        view: &'v View<'_>,
        verdicts: &mut Verdicts<'_, 'v>,
    ) {
        let message = view.message();
        // `is_match` keeps no list of what matched and so allocates nothing.
        let is_taken = self.by_message && self.messages.is_match(message);
        if !(is_taken || self.by_fields && view.has_fields()) {
            return;
        }
        let taking = self.messages.matches(message);
        for (at, pattern) in self.patterns.iter().enumerate() {
            let Shared { pattern, uses, .. } = &all[*pattern];
            if !taking.matched(at) && pattern.over_message().is_some() {
                continue;
            }
            let mut own = uses.iter().filter(|one| one.filter == filter);
            if let Some(first) = own.next() {
                verdicts.take(pattern.find(view), first, own);
            }
        }
    }
}
