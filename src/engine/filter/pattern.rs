//! The pattern language.

/// A pattern that cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("pattern {number} of filter {filter}: {reason}")]
pub struct PatternError {
    /// The filter's name.
    pub filter: String,
    /// The pattern's number in its file, from 1; ignore patterns are counted on their own.
    pub number: u16,
    /// Whether it stands under `[[ignore]]`.
    pub ignore: bool,
    /// What is wrong and how to mend it.
    pub reason: String,
}
