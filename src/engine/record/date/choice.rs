//! Which of two readings of the same text is meant?
//!
//! In: what two forms make of `03/04/2026`, and the clock. Out: the one that is taken, and whether that was told.

use super::calendar::DAY;
use crate::engine::time::Timestamp;

/// A form by its number, and the one that would read the same text as another moment, until a line tells which.
#[derive(Clone, Copy, Debug)]
pub struct Choice {
    pub form: usize,
    pub rival: Option<usize>,
}

impl Choice {
    /// The only form that reads it.
    pub fn of(form: usize) -> Self {
        Choice { form, rival: None }
    }
}

/// What a form makes of a place.
#[derive(Clone, Copy)]
pub struct Reading {
    pub form: usize,
    pub time: Timestamp,
    pub end: usize,
}

/// The one of two readings of the same text that is near the clock; the first if that does not tell.
pub fn chosen(first: Reading, second: Reading, now: Timestamp) -> (Reading, Choice) {
    let near = |reading: &Reading| {
        let distance = reading.time.as_micros().saturating_sub(now.as_micros());
        (-DAY..=DAY).contains(&distance)
    };
    match (near(&first), near(&second)) {
        (true, false) => (first, Choice::of(first.form)),
        (false, true) => (second, Choice::of(second.form)),
        _ => {
            let (form, rival) = (first.form, Some(second.form));
            (first, Choice { form, rival })
        }
    }
}
