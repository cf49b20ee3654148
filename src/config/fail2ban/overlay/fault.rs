//! Why can a directory of Fail2ban's not say something else while the daemon runs?
//!
//! The reasons and what to do about them; they are found elsewhere.

use crate::config::fail2ban::interpolation::LONGEST_VALUE;
use crate::engine::name::JailName;

/// The most logs, patterns or matches that one jail has by such changes, its own included: a script that adds one each hour and
/// never takes one away would make every line dearer, for ever. The longest list of the stock ones has fewer than a hundred.
pub(super) const MOST_ENTRIES: usize = 500;

/// Why a tree cannot say that.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum OverlayError {
    /// There is no such jail.
    #[error("no jail {0} is enabled")]
    Jail(JailName),
    /// The log cannot be read. In the words in which Python says that.
    #[error("{0}")]
    Log(String),
    /// The path has wildcards or is none.
    #[error(
        "write the absolute path of one file; wildcards belong into `logpath` of the configuration"
    )]
    NoPath,
    /// It is another kind of source that the jail has.
    #[error("the jail reads {reads}: change `backend` in the configuration, then reload")]
    Backend {
        /// What it reads.
        reads: &'static str,
    },
    /// Nothing would be left.
    #[error(
        "nothing would be left of `{key}`, and the jail would find nothing: add another one first, or end the jail with `stop {jail}`"
    )]
    Last {
        /// The list.
        key: &'static str,
        /// The jail.
        jail: JailName,
    },
    /// There is no such thing in a list.
    #[error("Match {0} not found")]
    NoMatch(String),
    /// A pattern has nothing in it.
    #[error("an empty pattern is none: write one for `{0}`")]
    NoPattern(&'static str),
    /// A value goes over several lines.
    #[error("a line feed parts two values of `{0}`: write \\n for one")]
    Lines(&'static str),
    /// There is as much as there can be.
    #[error(
        "`{0}` is full: at most {MOST_ENTRIES} values of at most {LONGEST_VALUE} bytes together hold until the next reload; write more into the configuration"
    )]
    TooMuch(&'static str),
}
