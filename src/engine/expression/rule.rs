//! What must hold where an expression looks around?
//!
//! In: a text, and what a mark took of it. Whether the text matches at all is not asked here.

use std::ops::Range;

use super::linear::Expression;

/// What has to hold of what was taken.
#[derive(Clone, Debug)]
pub(super) struct Rule {
    /// The number of the group that marks the place; if it took no part, nothing has to hold.
    pub(super) mark: usize,
    pub(super) what: What,
    pub(super) is_negative: bool,
}

#[derive(Clone, Debug)]
pub(super) enum What {
    /// This begins at the mark.
    Ahead(Expression),
    /// This begins at one of the characters that the mark took.
    Within(Expression),
    /// This ends at the mark.
    Behind(Expression),
    /// A word begins or ends at the mark.
    Border,
}

impl Rule {
    /// Whether it holds for a mark at `place`.
    pub(super) fn holds(&self, text: &[u8], place: Range<usize>) -> bool {
        let begins = |expression: &Expression, within: Range<usize>| {
            let first = expression.regex()?.find_at(text, within.start);
            Some(first.is_some_and(|first| first.start() < within.end))
        };
        let is_so = match &self.what {
            What::Ahead(expression) => begins(expression, place.start..place.start + 1),
            What::Within(expression) => begins(expression, place),
            What::Behind(expression) => {
                let regex = expression.regex();
                regex.map(|regex| regex.is_match(&text[..place.start]))
            }
            What::Border => {
                let (before, behind) = (text[..place.start].last(), text.get(place.start));
                Some(is_letter(before) != is_letter(behind))
            }
        };
        is_so == Some(!self.is_negative)
    }
}

fn is_letter(byte: Option<&u8>) -> bool {
    byte.is_some_and(|byte| byte.is_ascii_alphanumeric() || *byte == b'_' || !byte.is_ascii())
}
