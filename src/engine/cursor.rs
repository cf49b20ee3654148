//! Where does a source resume?

use super::time::Timestamp;

/// A place in a source: a token that the source understands and the time of the last record before it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cursor {
    /// The journal's own cursor text.
    pub token: String,
    /// The time of the last record read, for when the token is no longer known.
    pub time: Timestamp,
}
