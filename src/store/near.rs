//! Which rows have to do with a subject?
//!
//! In: who is asked for. Out: the condition on `subject` and `first` that a row of theirs meets, with its parameters.

use super::write::bytes;
use crate::engine::prefix::Prefix;

/// What makes a row of `bans` or `failures` overlap a subject: it lies inside (a range of the index on
/// `first`), or it is one of the few networks around it.
pub(super) const OVERLAPS: &str = "((first BETWEEN ?1 AND ?2 AND length(first) = length(?1))
    OR (first IN (SELECT unhex(value) FROM json_each(?3)) AND subject IN (SELECT value FROM json_each(?4))))";

/// The same for a name.
pub(super) const IS_NAMED: &str = "(first = X'' AND subject = ?1 COLLATE NOCASE)";

/// The range of a subject, and the networks around it as JSON lists.
pub(super) struct Near {
    pub(super) first: Vec<u8>,
    pub(super) last: Vec<u8>,
    pub(super) firsts: String,
    pub(super) subjects: String,
}

impl Near {
    pub(super) fn of(subject: Prefix) -> Near {
        let first = bytes(subject.address());
        let width = usize::from(subject.width());
        let last = first
            .iter()
            .enumerate()
            .map(|(at, byte)| {
                byte | 0xff_u8
                    .checked_shr(width.saturating_sub(8 * at) as u32)
                    .unwrap_or(0)
            })
            .collect();
        let around: Vec<Prefix> = (0..subject.width())
            .map(|width| Prefix::network(subject.address(), width))
            .collect();
        let list = |texts: Vec<String>| format!("[\"{}\"]", texts.join("\",\""));
        let hex = |network: &Prefix| {
            bytes(network.address())
                .iter()
                .map(|byte| format!("{byte:02x}"))
                .collect()
        };
        Near {
            first,
            last,
            firsts: list(around.iter().map(hex).collect()),
            subjects: list(around.iter().map(|network| network.plain()).collect()),
        }
    }
}
