//! The one door in and the one door out.

use super::decision::Decision;
use super::input::Input;
use super::time::Timestamp;

/// Hears inputs and answers with decisions.
#[derive(Debug)]
pub struct Engine {}

impl Engine {
    /// Hears one input and appends what should be done.
    pub fn handle(&mut self, now: Timestamp, input: Input<'_>, out: &mut Vec<Decision>) {
        let _ = (now, input, out);
    }
}
