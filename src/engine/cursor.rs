//! Where does a source resume?

use super::name::SourceName;
use super::time::Timestamp;

/// One sequence of records that is resumed by itself: a whole journal, or one log file of a source.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Stream {
    /// The source that it is of.
    pub source: SourceName,
    /// Which one of the source's: the path of a file; empty if the source is one stream.
    pub part: Box<str>,
}

impl Stream {
    /// All that a source has.
    pub fn whole(source: SourceName) -> Self {
        Stream {
            source,
            part: "".into(),
        }
    }
}

/// A place in a stream: a token that the source understands and the time of the last record before it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cursor {
    /// What only the source itself can read: the journal's own cursor text, or the place in a file.
    pub token: String,
    /// The time of the last record read, for when the token is no longer known.
    pub time: Timestamp,
}
