//! What does another process read of the database?
//!
//! The database of a daemon that may be running, for reading alone.

use std::path::Path;

use rusqlite::{Connection, OpenFlags, params};

use super::rows::{COUNT_COLUMNS, Names, count, each_row, fate};
use super::{StoreError, refuse_newer};
use crate::engine::decision::Failure;
use crate::engine::input::Fate;
use crate::engine::time::Timestamp;

/// The database of a daemon that may be running, open for reading alone: nothing in it is changed or held up.
#[derive(Debug)]
pub struct Archive {
    pub(super) connection: Connection,
}

impl Archive {
    /// Opens the database at `path`.
    ///
    /// # Errors
    /// It cannot be read, or is of a newer f2bd.
    pub fn open(path: &Path) -> Result<Archive, StoreError> {
        let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let connection = Connection::open_with_flags(path, flags)?;
        refuse_newer(&connection)?;
        Ok(Archive { connection })
    }

    /// Hands on the failures that are kept, those since `start` if it is said, in the order in which they were counted.
    ///
    /// # Errors
    /// The database cannot be read to its end.
    pub fn failures(
        &self,
        start: Option<Timestamp>,
        each: impl FnMut((Failure, Fate)),
    ) -> Result<(), StoreError> {
        let mut names = Names::default();
        // By number, so that no memory is needed to put them in order; an index would tempt SQLite to do that.
        each_row(
            &self.connection,
            &format!(
                "SELECT {COUNT_COLUMNS}, pending, cleared FROM failures NOT INDEXED
                 WHERE time >= ?1 ORDER BY id"
            ),
            params![start.map_or(i64::MIN, Timestamp::as_micros)],
            |row| Ok((count(row, &mut names)?, fate(row)?)),
            each,
        )?;
        Ok(())
    }
}
