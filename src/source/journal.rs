//! The systemd journal.

use std::path::PathBuf;

use crate::engine::name::SourceName;
use crate::engine::record::journal::JournalMatch;

/// Which journal to read, and what of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JournalSpec {
    /// The source's name.
    pub name: SourceName,
    /// A directory of journal files instead of this machine's own.
    pub directory: Option<PathBuf>,
    /// A journal namespace instead of the default one.
    pub namespace: Option<String>,
    /// What the jails want; the place in this list is the `RouteId`. The journal is asked for the union.
    pub routes: Vec<JournalMatch>,
}
