//! Why can the store not do what it was asked?
//!
//! The kinds are those that call for different answers; the system's own words travel as the source.

use std::io;
use std::path::{Path, PathBuf};

use rusqlite::ErrorCode;

/// Why the store failed.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The file is no database, or its pages contradict each other.
    #[error("the database is damaged: {0}")]
    Damaged(#[source] rusqlite::Error),
    /// The database was written by a newer f2bd.
    #[error(
        "the database has schema {found}, but this f2bd knows only {known}: install the newer f2bd again, or name another file in `database`"
    )]
    Newer {
        /// The schema of the file.
        found: u64,
        /// The newest schema this program knows.
        known: u64,
    },
    /// There is no room left on the disk.
    #[error("no room is left for the database: {0}")]
    Full(#[source] rusqlite::Error),
    /// Another program holds a lock on the database.
    #[error("another program has locked the database: {0}")]
    Busy(#[source] rusqlite::Error),
    /// The system does not let us open or write the database.
    #[error("the database may not be written: {0}")]
    Denied(#[source] rusqlite::Error),
    /// The file or its directory cannot be made.
    #[error("cannot make {}: {source}", path.display())]
    Path {
        /// The database's file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The disk failed.
    #[error("the disk failed under the database: {0}")]
    Io(#[source] rusqlite::Error),
    /// Anything else that SQLite said.
    #[error("the database failed: {0}")]
    Other(#[source] rusqlite::Error),
}

impl StoreError {
    pub(super) fn path(path: &Path, source: io::Error) -> Self {
        StoreError::Path {
            path: path.to_owned(),
            source,
        }
    }
}

impl From<rusqlite::Error> for StoreError {
    fn from(error: rusqlite::Error) -> Self {
        match error.sqlite_error_code() {
            Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase) => {
                StoreError::Damaged(error)
            }
            Some(ErrorCode::DiskFull) => StoreError::Full(error),
            Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => StoreError::Busy(error),
            Some(ErrorCode::PermissionDenied | ErrorCode::ReadOnly | ErrorCode::CannotOpen) => {
                StoreError::Denied(error)
            }
            Some(ErrorCode::SystemIoFailure) => StoreError::Io(error),
            _ => StoreError::Other(error),
        }
    }
}
