//! What can still be read of a damaged database?
//!
//! Bans in force first, from both ends towards the damage. Nothing is mended here, and nothing written.

use std::collections::BTreeMap;
use std::path::Path;

use rusqlite::{Connection, OpenFlags, params};

use super::read::{IN_FORCE, allowances, awaited, cursors};
use super::rows::{BAN_COLUMNS, Names, ban, each_row, time};
use crate::engine::cursor::{Cursor, Stream};
use crate::engine::decision::{Allowance, Awaited, Ban};
use crate::engine::time::Timestamp;

/// What could be saved from a damaged database.
#[derive(Debug, Default)]
pub struct Salvage {
    /// Bans in force whose rows could still be read.
    pub bans: Vec<Ban>,
    /// Whether these are all bans in force; of what follows some may be missing all the same.
    pub is_complete: bool,
    /// Who was allowed for a time.
    pub allowances: Vec<Allowance>,
    /// Those that had been merged, and when.
    pub merged: Vec<(Ban, Timestamp)>,
    /// What waited for addresses.
    pub awaited: Vec<Awaited>,
    /// Where the streams stood.
    pub cursors: Vec<(Stream, Cursor)>,
}

impl Salvage {
    /// Reads whatever can still be read of the damaged database at `path`.
    pub fn read(path: &Path, now: Timestamp) -> Salvage {
        let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let Ok(connection) = Connection::open_with_flags(path, flags) else {
            return Salvage::default();
        };
        let mut names = Names::default();
        let (mut bans, mut merged) = (BTreeMap::new(), BTreeMap::new());
        // One that was damaged before it could be brought up to date has an older name for it.
        let table = match connection.prepare("SELECT 1 FROM all_bans") {
            Ok(_) => "all_bans",
            Err(_) => "bans",
        };
        // Without indexes, which are the first to go wrong, and from both ends towards the damage.
        let mut is_complete = false;
        for order in ["ASC", "DESC"] {
            let read = each_row(
                &connection,
                &format!(
                    "SELECT {BAN_COLUMNS} FROM {table} NOT INDEXED WHERE {IN_FORCE} ORDER BY id {order}"
                ),
                params![now.as_micros()],
                |row| ban(row, &mut names),
                |ban| drop(bans.insert(ban.id, ban)),
            );
            is_complete |= read.is_ok_and(|skipped| skipped == 0);
            // Rows before an error are kept; `is_complete` is of bans in force alone.
            let _ = each_row(
                &connection,
                &format!(
                    "SELECT {BAN_COLUMNS}, ended FROM {table} NOT INDEXED
                     WHERE release = 'merged' AND (until IS NULL OR until > ?1) ORDER BY id {order}"
                ),
                params![now.as_micros()],
                |row| Ok((ban(row, &mut names)?, time(row, 8)?)),
                |(ban, time)| drop(merged.insert(ban.id, (ban, time))),
            );
        }
        Salvage {
            bans: bans.into_values().collect(),
            is_complete,
            allowances: allowances(&connection).unwrap_or_default(),
            awaited: awaited(&connection).unwrap_or_default(),
            merged: merged.into_values().collect(),
            cursors: cursors(&connection).unwrap_or_default(),
        }
    }
}
