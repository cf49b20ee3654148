//! Sessions: which records belong together.

use super::Found;
use crate::engine::policy::FilterId;
use crate::engine::time::Timestamp;

/// Open sessions.
#[derive(Debug, Default)]
pub struct Sessions {}

impl Sessions {
    /// Whether this failure counts.
    pub fn counts(
        &mut self,
        filter: FilterId,
        host: &str,
        found: &Found<'_>,
        time: Timestamp,
    ) -> bool {
        let _ = (filter, host, found, time);
        true
    }

    /// Notes a session in which something has counted.
    pub fn restore(&mut self, filter: FilterId, host: &str, session: &str, time: Timestamp) {
        let _ = (filter, host, session, time);
    }
}
