//! What can be wrong with a regular expression of Fail2ban?

use std::fmt;

use thiserror::Error;

/// What is wrong, and where.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub struct ExpressionError {
    /// Where in the text, in bytes; a tag counts as one place.
    pub at: usize,
    /// What stands there, as far as it helps to find it.
    pub excerpt: String,
    /// What is wrong with it.
    pub fault: Fault,
}

/// As many characters are shown of the place at which something is wrong.
const EXCERPT: usize = 24;

impl ExpressionError {
    pub(super) fn new(text: &str, at: usize, fault: Fault) -> Self {
        let rest = text.get(at..).unwrap_or_default();
        let mut excerpt: String = rest.chars().take(EXCERPT).collect();
        if excerpt.len() < rest.len() {
            excerpt.push('…');
        }
        ExpressionError { at, excerpt, fault }
    }
}

impl fmt::Display for ExpressionError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.excerpt.is_empty() {
            true => write!(f, "at the end: {}", self.fault),
            false => write!(f, "at `{}`: {}", self.excerpt, self.fault),
        }
    }
}

/// What is wrong, and what helps.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
#[allow(missing_docs, reason = "the messages say it")]
pub enum Fault {
    #[error("there is no expression")]
    Nothing,
    #[error("an expression has at most {0} bytes, with all that its tags stand for; write several")]
    TooLong(usize),
    #[error("groups stand in each other more than {0} deep; take out those that are not needed")]
    TooDeep(usize),
    #[error("nothing can be repeated more than {0} times; use `*` or `+`")]
    TooOften(u32),
    #[error("this `[` has no `]`; a literal one is written `\\[`")]
    OpenClass,
    #[error("this `(` has no `)`; a literal one is written `\\(`")]
    OpenGroup,
    #[error("this `)` has no `(`; a literal one is written `\\)`")]
    StrayClose,
    #[error("here is nothing that could be repeated; a literal sign is written with a backslash")]
    NothingToRepeat,
    #[error(
        "what is repeated is repeated again; put it into `(?:…)`, or a backslash before a literal sign"
    )]
    RepeatedTwice,
    #[error("the least number of times is greater than the greatest; exchange them")]
    Backwards,
    #[error("this escape means nothing; a literal backslash is written `\\\\`")]
    BadEscape,
    #[error("this escape is cut off or stands for no character; write all of its digits")]
    CutEscape,
    #[error("characters cannot be named here; write the character itself")]
    NamedCharacter,
    #[error(
        "the range has no order or an end that is no character; a literal `-` stands last or behind a backslash"
    )]
    BadRange,
    #[error("a group cannot begin like this; a literal `?` is written `\\?`")]
    BadGroup,
    #[error("this is no name of a group; use lower-case letters, digits and `_`")]
    BadName,
    #[error(
        "the group `{0}` is there already, maybe by a tag such as <HOST>, which can stand only once; use `(?:…|…)` around what differs"
    )]
    Redefined(String),
    #[error("there is no such group before this place; name one that is")]
    NoSuchGroup,
    #[error("the group is still open here; refer to it behind its end")]
    StillOpen,
    #[error("what looks back cannot refer to its own groups; put the group before it")]
    OwnGroup,
    #[error("a condition has two branches at most; put further ones into `(?:…|…)`")]
    ManyBranches,
    #[error("there is no such flag, or it cannot be set here; `i`, `m` and `s` can: `(?i:…)`")]
    BadFlag,
    #[error("flags for all of the expression stand at its beginning; for a part write `(?i:…)`")]
    LateFlags,
    #[error("what looks back must have one length; use an alternation of look-behinds")]
    NoOneLength,
}
