//! What has been decided, and where did the sources stand?
//!
//! One SQLite database, written by one connection. In: decisions and cursors, each batch of them in one
//! transaction. Out: what outlived the last run, and history. Nothing here decides anything; what to do
//! while the database cannot be written is the daemon's to say.

mod archive;
pub mod error;
mod failures;
mod history;
mod near;
mod read;
mod rows;
mod salvage;
mod sightings;
mod sweep;
mod write;

use std::fs::{self, DirBuilder, Metadata, OpenOptions};
use std::io;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::Path;
use std::time::Duration;

use rusqlite::{Connection, OpenFlags, TransactionBehavior};

pub use archive::Archive;
pub use error::StoreError;
pub use history::{FailureRow, HistoryQuery, HistoryRow};
pub use salvage::Salvage;
pub use sightings::Sightings;
pub use sweep::Retention;

/// The schema, one file for each version; a database knows in `user_version` how many it has had.
const SCHEMA: &[&str] = &[
    include_str!("schema/0001_initial.sql"),
    include_str!("schema/0002_streams.sql"),
    include_str!("schema/0003_forgiven.sql"),
    include_str!("schema/0004_cleared.sql"),
    include_str!("schema/0005_allowed.sql"),
    include_str!("schema/0006_unresolved.sql"),
    include_str!("schema/0007_target.sql"),
    include_str!("schema/0008_reasons.sql"),
    include_str!("schema/0009_subjects.sql"),
    include_str!("schema/0010_sightings.sql"),
    include_str!("schema/0011_losses.sql"),
    include_str!("schema/0012_effects.sql"),
    include_str!("schema/0013_fail2ban.sql"),
    include_str!("schema/0014_notices.sql"),
];

/// How long a lock of somebody else may hold up the daemon: an administrator with an open transaction
/// must not delay bans by more than a blink.
const PATIENCE: Duration = Duration::from_millis(50);

/// The same at the start. A shell that closes a database whose f2bd has just died brings its log together and syncs it, which
/// takes long where the disk is busy; whoever begins without the database reads the logs anew, and their failures are
/// recorded twice. The kernel keeps the bans of before meanwhile.
const PATIENCE_AT_START: Duration = Duration::from_secs(3);

/// So many pages of the write-ahead log, 8 MiB, are brought into the database at once. Those that are written to all the
/// time, the last ones of each index, are brought there once.
const LOG_PAGES: i64 = 2048;

/// The write-ahead log is cut back to this size after a long-running reader has let it grow.
const LOG_BYTES: i64 = 16 << 20;

/// More than the number of different statements in this room, some 80, so that none is prepared twice.
const STATEMENTS: usize = 100;

/// The database, open for writing.
#[derive(Debug)]
pub struct Store {
    connection: Connection,
    /// Device and inode, to tell the file from another one of its name.
    file: (u64, u64),
}

impl Store {
    /// Opens the database at `path`; makes it and its directory if they are missing, and brings an older
    /// schema up to date.
    ///
    /// The content is not read through for damage, since that takes seconds for a large history: damage is
    /// found, as [`StoreError::Damaged`], by whatever meets it first.
    ///
    /// # Errors
    /// Whatever keeps the database from being opened and written; one of a newer f2bd is left alone.
    pub fn open(path: &Path) -> Result<Store, StoreError> {
        Self::open_within(path, PATIENCE)
    }

    /// The same at the start, when all depends on what it remembers: until [`Store::end_start`] it waits longer for whoever
    /// has locked it.
    ///
    /// # Errors
    /// As those of [`Store::open`].
    pub fn open_at_start(path: &Path) -> Result<Store, StoreError> {
        Self::open_within(path, PATIENCE_AT_START)
    }

    /// From now on nobody who locks it may hold up bans.
    ///
    /// # Errors
    /// SQLite refuses to wait otherwise.
    pub fn end_start(&self) -> Result<(), StoreError> {
        Ok(self.connection.busy_timeout(PATIENCE)?)
    }

    fn open_within(path: &Path, patience: Duration) -> Result<Store, StoreError> {
        let file = make_file(path)?;
        let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let mut connection = Connection::open_with_flags(path, flags)?;
        connection.busy_timeout(patience)?;
        connection.set_prepared_statement_cache_capacity(STATEMENTS);
        // Asked first: a database of a newer f2bd must not be changed in any way.
        refuse_newer(&connection)?;
        connection.pragma_update_and_check(None, "journal_mode", "wal", |_| Ok(()))?;
        // A power cut may take the last transactions, cursor included, so that they are decided again.
        connection.pragma_update(None, "synchronous", "normal")?;
        connection.pragma_update_and_check(None, "journal_size_limit", LOG_BYTES, |_| Ok(()))?;
        connection.pragma_update_and_check(None, "wal_autocheckpoint", LOG_PAGES, |_| Ok(()))?;
        migrate(&mut connection)?;
        Ok(Store { connection, file })
    }

    /// Whether the file that is open is still the one at `path`. SQLite goes on writing into a file that was
    /// removed, and all of it would be gone with the process.
    pub fn is_at(&self, path: &Path) -> bool {
        match fs::metadata(path) {
            Ok(there) => identity(&there) == self.file,
            Err(error) => error.kind() != io::ErrorKind::NotFound,
        }
    }
}

fn identity(file: &Metadata) -> (u64, u64) {
    (file.dev(), file.ino())
}

/// Makes the file before SQLite does: history tells who logs in here, so it is not for everybody's eyes.
fn make_file(path: &Path) -> Result<(u64, u64), StoreError> {
    let told = |source| StoreError::path(path, source);
    if let Some(directory) = path.parent()
        && !directory.as_os_str().is_empty()
    {
        DirBuilder::new()
            .recursive(true)
            .mode(0o750)
            .create(directory)
            .map_err(told)?;
    }
    OpenOptions::new()
        .append(true)
        .create(true)
        .mode(0o640)
        .open(path)
        .and_then(|file| file.metadata())
        .map(|file| identity(&file))
        .map_err(told)
}

fn version(connection: &Connection) -> rusqlite::Result<i64> {
    connection.query_row("PRAGMA user_version", [], |row| row.get(0))
}

fn refuse_newer(connection: &Connection) -> Result<(), StoreError> {
    let (found, known) = (version(connection)?, SCHEMA.len());
    if usize::try_from(found).is_ok_and(|found| found > known) {
        return Err(StoreError::Newer {
            found: found.cast_unsigned(),
            known: known as u64,
        });
    }
    Ok(())
}

fn migrate(connection: &mut Connection) -> Result<(), StoreError> {
    if version(connection)? == SCHEMA.len() as i64 {
        return Ok(());
    }
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    let had = usize::try_from(version(&transaction)?).unwrap_or(0);
    for file in SCHEMA.iter().skip(had) {
        transaction.execute_batch(file)?;
    }
    transaction.pragma_update(None, "user_version", SCHEMA.len() as i64)?;
    Ok(transaction.commit()?)
}
