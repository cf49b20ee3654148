//! Whom does Fail2ban keep out, and whom has it kept out before?
//!
//! In: its database, fail2ban.sqlite3, of any schema up to 4. Out: its bans as they stand there. Nothing is written, no lock is
//! left behind, and nothing in that file is trusted: it is bounded, and a row that makes no sense is counted and left out.

mod row;
mod waiting;

use std::collections::HashMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rusqlite::{Connection, OpenFlags};

use crate::engine::ledger::MOST_BANS;
use crate::engine::time::{BanTime, Timestamp};

pub use waiting::waiting_for;

/// The newest schema that is understood.
const SCHEMA: i64 = 4;

/// How long a lock of Fail2ban's is waited for: it holds one for some milliseconds.
const PATIENCE: Duration = Duration::from_secs(5);

/// Rows that are read of each table, the newest ones: as many bans as can be in force here.
const MOST_ROWS: usize = MOST_BANS;

/// What a database of Fail2ban holds.
#[derive(Debug)]
pub struct State {
    /// Its schema.
    pub schema: i64,
    /// Its bans, the oldest first.
    pub bans: Vec<StateBan>,
    /// How many rows make no sense.
    pub strange: usize,
    /// Whether there were more rows than can be read.
    pub is_cut: bool,
}

/// A ban by Fail2ban.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StateBan {
    /// The jail, by its name there.
    pub jail: String,
    /// Whom: an address, a network, or whatever that jail bans.
    pub subject: String,
    /// Since when.
    pub start: Timestamp,
    /// For how long; `None` if that is not known.
    pub bantime: Option<BanTime>,
    /// How often the jail had banned the subject, this time included.
    pub count: u32,
    /// How many failures made it.
    pub failures: u32,
    /// The account that was tried, if it was told.
    pub user: Option<String>,
    /// The log lines that made it, the oldest first.
    pub lines: Vec<String>,
}

impl StateBan {
    /// Whether it is in force, as far as that is known.
    pub fn is_in_force(&self, now: Timestamp) -> bool {
        let end = self.bantime.map(|bantime| bantime.end(self.start));
        end.is_none_or(|end| end.is_none_or(|end| end > now))
    }
}

/// Why a database cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum StateError {
    /// There is no such file, or it may not be read.
    #[error("cannot read {}: {error}", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// What the system says.
        error: io::Error,
    },
    /// It is of another program, or none.
    #[error("{} is no database of Fail2ban: {why}", path.display())]
    Foreign {
        /// The file.
        path: PathBuf,
        /// What is missing.
        why: String,
    },
    /// It is of a Fail2ban that came later.
    #[error("{} has schema {found}, and only those up to {SCHEMA} are known", path.display())]
    Newer {
        /// The file.
        path: PathBuf,
        /// Its schema.
        found: i64,
    },
    /// Its pages contradict each other.
    #[error(
        "{} is damaged: {error}; `sqlite3 {} .recover` may save what is left, into another file",
        path.display(), path.display()
    )]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What SQLite says.
        error: rusqlite::Error,
    },
    /// Anything else that SQLite says.
    #[error("cannot read {}: {error}", path.display())]
    Failed {
        /// The file.
        path: PathBuf,
        /// What SQLite says.
        error: rusqlite::Error,
    },
}

/// Reads the database at `path`: what is in force, and what was banned since `since`.
///
/// # Errors
/// It cannot be read to its end.
pub fn read(path: &Path, now: Timestamp, since: Timestamp) -> Result<State, StateError> {
    let unreadable = |error| StateError::Unreadable {
        path: path.to_owned(),
        error,
    };
    // A pipe would be waited for, and SQLite has no words for a file that is missing.
    let file = fs::File::options().read(true).open(path);
    let file = match fs::metadata(path).map(|there| there.is_file()) {
        Ok(true) => file.map_err(unreadable)?,
        Ok(false) => return Err(unreadable(io::ErrorKind::InvalidInput.into())),
        Err(error) => return Err(unreadable(error)),
    };
    drop(file);
    let failed = |error| failed(path, error);
    let connection = open(path).map_err(failed)?;
    let schema = schema(path, &connection)?;
    let reader = Reader {
        path,
        connection: &connection,
        now,
        since,
    };
    reader.read(schema)
}

fn failed(path: &Path, error: rusqlite::Error) -> StateError {
    use rusqlite::ErrorCode::{DatabaseCorrupt, NotADatabase};

    let path = path.to_owned();
    match error.sqlite_error_code() {
        Some(NotADatabase) => StateError::Foreign {
            path,
            why: "it is no database at all".to_owned(),
        },
        Some(DatabaseCorrupt) => StateError::Damaged { path, error },
        _ => StateError::Failed { path, error },
    }
}

fn open(path: &Path) -> rusqlite::Result<Connection> {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(path, flags)?;
    connection.busy_timeout(PATIENCE)?;
    // Nothing that the file says of itself is carried out.
    connection.pragma_update(None, "trusted_schema", false)?;
    connection.pragma_update(None, "cell_size_check", true)?;
    Ok(connection)
}

/// The schema of the database, if it is one of Fail2ban.
fn schema(path: &Path, connection: &Connection) -> Result<i64, StateError> {
    let foreign = |why: &str| StateError::Foreign {
        path: path.to_owned(),
        why: why.to_owned(),
    };
    for table in ["fail2banDb", "bans"] {
        if columns(path, connection, table)?.is_empty() {
            return Err(foreign(&format!("it has no table `{table}`")));
        }
    }
    let version = connection.query_row("SELECT version FROM fail2banDb LIMIT 1", [], |row| {
        row.get(0)
    });
    match version {
        Ok(found) if found > SCHEMA => Err(StateError::Newer {
            path: path.to_owned(),
            found,
        }),
        Ok(found) => Ok(found),
        Err(error) if error.sqlite_error_code().is_none() => {
            Err(foreign("it does not say of which schema it is"))
        }
        Err(error) => Err(failed(path, error)),
    }
}

/// The columns of a table. A view is none: it could take any time.
fn columns(path: &Path, connection: &Connection, table: &str) -> Result<Vec<String>, StateError> {
    let names = || {
        connection
            .prepare(
                "SELECT name FROM pragma_table_info(?1) WHERE EXISTS
                    (SELECT 1 FROM sqlite_master WHERE type = 'table' AND name = ?1 AND sql LIKE 'CREATE TABLE%')",
            )?
            .query_map([table], |row| row.get(0))?
            .collect::<rusqlite::Result<Vec<String>>>()
    };
    names().map_err(|error| failed(path, error))
}

struct Reader<'a> {
    path: &'a Path,
    connection: &'a Connection,
    now: Timestamp,
    since: Timestamp,
}

/// Jail and subject of a ban.
type Key = (String, String);

impl Reader<'_> {
    fn read(&self, schema: i64) -> Result<State, StateError> {
        let mut state = State {
            schema,
            bans: Vec::new(),
            strange: 0,
            is_cut: false,
        };
        // Both tables as they are at one moment.
        let began = self.connection.execute_batch("BEGIN");
        began.map_err(|error| failed(self.path, error))?;
        let mut present = Vec::new();
        if !columns(self.path, self.connection, "bips")?.is_empty() {
            self.table("bips", &mut state, |ban| present.push(ban))?;
        }
        let mut past = Vec::new();
        self.table("bans", &mut state, |ban| past.push(ban))?;
        // Older ones have no table of those in force: the last ban of each subject may be.
        if present.is_empty() && schema < SCHEMA {
            let mut last: HashMap<Key, StateBan> = HashMap::new();
            for ban in &past {
                let newest = last.entry(key(ban)).or_insert_with(|| ban.clone());
                if newest.start < ban.start {
                    newest.clone_from(ban);
                }
            }
            present.extend(last.into_values());
        }
        let starts: HashMap<Key, Timestamp> =
            present.iter().map(|ban| (key(ban), ban.start)).collect();
        let is_past =
            |ban: &StateBan| ban.start <= self.now && starts.get(&key(ban)) != Some(&ban.start);
        past.retain(is_past);
        for ban in &mut past {
            // What Fail2ban no longer has among those in force is over, whatever was planned.
            let next = starts.get(&key(ban)).copied().unwrap_or(self.now);
            let longest = next.min(self.now).since(ban.start);
            let lasted = match ban.bantime {
                Some(BanTime::For(span)) => span.min(longest),
                Some(BanTime::Forever) => longest,
                None => Duration::ZERO,
            };
            ban.bantime = Some(BanTime::For(lasted));
            ban.lines.clear();
        }
        state.bans = present;
        state.bans.append(&mut past);
        state
            .bans
            .retain(|ban| ban.is_in_force(self.now) || ban.start >= self.since);
        state.bans.sort_by_key(|ban| ban.start);
        Ok(state)
    }

    /// Hands on the bans of a table, the newest first.
    fn table(
        &self,
        table: &str,
        state: &mut State,
        mut each: impl FnMut(StateBan),
    ) -> Result<(), StateError> {
        let known = columns(self.path, self.connection, table)?;
        let or = |column: &'static str, otherwise: &'static str| match known
            .iter()
            .any(|known| known == column)
        {
            true => column,
            false => otherwise,
        };
        let (bantime, bancount) = (or("bantime", "-2"), or("bancount", "1"));
        // One more than is taken, to see that there are more.
        let sql = format!(
            "SELECT jail, ip, timeofban, {bantime}, {bancount}, data FROM {table}
             ORDER BY timeofban DESC LIMIT {}",
            MOST_ROWS + 1
        );
        let mut read = || {
            let mut statement = self.connection.prepare(&sql)?;
            let mut rows = statement.query([])?;
            let mut taken = 0;
            while let Some(row) = rows.next()? {
                taken += 1;
                if taken > MOST_ROWS {
                    state.is_cut = true;
                    break;
                }
                match row::ban(row)? {
                    Some(ban) => each(ban),
                    None => state.strange += 1,
                }
            }
            Ok(())
        };
        read().map_err(|error| failed(self.path, error))
    }
}

fn key(ban: &StateBan) -> Key {
    (ban.jail.clone(), ban.subject.clone())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_file_of_any_bytes_is_refused(bytes in prop::collection::vec(any::<u8>(), 0..4096)) {
            let file = tempfile::NamedTempFile::new().expect("a file");
            fs::write(file.path(), &bytes).expect("it is written");
            let now = Timestamp::from_micros(1_800_000_000_000_000);
            prop_assert!(read(file.path(), now, Timestamp::default()).is_err());
        }
    }
}
