//! Does a regular expression take a text, and where do its groups stand?
//!
//! In: an expression, then bytes that an attacker may have written. Out: places in them. `linear` is all that `regex` can
//! do; `line` is the same with what looks around and goes back, under a limit, and `dialect` is the language of that. What
//! a group means, and what is done about a text, is not known here.

mod dialect;
mod line;
mod linear;
mod loose;
mod rule;
mod tree;
mod ways;
mod write;

pub(in crate::engine) use self::dialect::{Borders, foreign, needs_backtracking, spelt_out};
pub use self::line::{Captures, LimitReached, LineExpression, MOST_STEPS};
pub(in crate::engine) use self::linear::{Expression, LARGEST_PROGRAM, builder, parse};
pub(in crate::engine) use self::write::relaxed;
