//! What becomes of a line on its way through a filter, for somebody who tries the filter?
//!
//! In: whether all patterns are to be asked. Out: which of them took the line, and what that came to. It is filled by the
//! very code that finds failures; the daemon has no use for it.

use super::{Said, Words};
use crate::engine::record::date::template::TemplateUse;

/// What becomes of one line.
#[derive(Clone, Debug, Default)]
pub struct Trial {
    /// Whether all failure patterns are asked, and all that ignore; otherwise the first one decides.
    pub asks_all: bool,
    /// Which date was found in it.
    pub date: Option<TemplateUse>,
    /// What the groups of the prefix pattern took, if it took the line.
    pub prefix: Option<Words>,
    /// The patterns, by their places, by which it was ignored; one of them several times if several failures were.
    pub ignored: Vec<usize>,
    /// What the failure patterns took.
    pub taken: Vec<Taken>,
}

impl Trial {
    /// Nothing has become of a line yet.
    pub fn new(asks_all: bool) -> Self {
        Trial {
            asks_all,
            ..Self::default()
        }
    }
}

/// What a failure pattern made of a line.
#[derive(Clone, Debug)]
pub struct Taken {
    /// Its number.
    pub pattern: u16,
    /// What that is.
    pub became: Became,
    /// What is known by now.
    pub said: Said,
    /// The lines that it took, as far as they are kept: this one, and of a window perhaps earlier ones.
    pub lines: Vec<Box<str>>,
}

/// What a line is that a failure pattern took.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Became {
    /// Somebody has failed.
    Failure,
    /// Somebody has failed; the lines of his connection have not told yet who.
    Pending,
    /// It tells of no failure, but of what belongs to one.
    Remark,
}
