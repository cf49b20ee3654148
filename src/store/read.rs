//! What does the database know?
//!
//! For the engine: what outlived the last run. For people: history. A row that cannot be understood, since
//! somebody else wrote it, is left out and told of, and spoils nothing else.

use std::collections::{BTreeMap, HashMap};
use std::net::IpAddr;
use std::path::Path;
use std::str::FromStr;
use std::time::Duration;

use rusqlite::types::{Type, ValueRef};
use rusqlite::{Connection, OpenFlags, Params, Row, params};

use super::write::{bytes, first};
use super::{Store, StoreError, refuse_newer, sightings};
use crate::engine::cursor::{Cursor, Stream};
use crate::engine::decision::{
    Allowance, Awaited, AwaitedId, Ban, BanId, Failure, FailureId, Origin, Release,
};
use crate::engine::filter::Outcome;
use crate::engine::input::{Fate, Remembered};
use crate::engine::jail::escalation::Offence;
use crate::engine::name::JailName;
use crate::engine::prefix::Prefix;
use crate::engine::sighting::Seen;
use crate::engine::subject::{Name, Subject};
use crate::engine::time::{BanTime, Timestamp};

/// Which bans are asked for.
#[derive(Clone, Debug)]
pub struct HistoryQuery {
    /// Bans that share an address with this subject or are of that name.
    pub subject: Option<Subject>,
    /// Bans of this jail.
    pub jail: Option<JailName>,
    /// At most so many, the newest ones.
    pub limit: usize,
}

/// A ban of the past or in force.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HistoryRow {
    /// Its number.
    pub ban: BanId,
    /// The jail that banned.
    pub jail: JailName,
    /// Who was banned.
    pub subject: Subject,
    /// When it began.
    pub start: Timestamp,
    /// When it was to end; `None` for one without end.
    pub until: Option<Timestamp>,
    /// When and why it ended. A ban is over after `until` even if nobody has written its end yet.
    pub ended: Option<(Timestamp, Release)>,
    /// How often the jail had banned the subject, this time included.
    pub offence: u32,
    /// How many failures made it.
    pub failures: u32,
    /// Why it was made.
    pub origin: Origin,
    /// Why by hand, in the words of who did.
    pub reason: Option<String>,
    /// Why it was lifted by hand.
    pub release_reason: Option<String>,
}

/// A failure with its log line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FailureRow {
    /// Its number.
    pub id: FailureId,
    /// The record's time.
    pub time: Timestamp,
    /// The jail that counted it.
    pub jail: JailName,
    /// The very address in the record, if there is one.
    pub address: Option<IpAddr>,
    /// The account that was tried, as [`crate::engine::record::kept::kept`] keeps it.
    pub user: Option<String>,
    /// What was attacked, in the same form.
    pub target: Option<String>,
    /// Which pattern of the filter took the record, counted from 1.
    pub pattern: u16,
    /// The record's message, as [`crate::engine::record::kept::kept`] keeps it.
    pub line: String,
    /// Whether it counted towards a ban.
    pub counted: bool,
    /// The ban that it helped to make.
    pub ban: Option<BanId>,
}

/// What makes a row of `bans` or `failures` overlap a subject: it lies inside (a range of the index on
/// `first`), or it is one of the few networks around it.
const OVERLAPS: &str = "((first BETWEEN ?1 AND ?2 AND length(first) = length(?1))
    OR (first IN (SELECT unhex(value) FROM json_each(?3)) AND subject IN (SELECT value FROM json_each(?4))))";

/// The same for a name.
const IS_NAMED: &str = "(first = X'' AND subject = ?1 COLLATE NOCASE)";

const IN_FORCE: &str = "ended IS NULL AND (until IS NULL OR until > ?1)";

const BAN_COLUMNS: &str = "id, jail, subject, start, until, offence, origin, first";

const HISTORY_COLUMNS: &str = "id, jail, subject, start, until, ended, release, offence, failures, origin, first, reason, release_reason";

const COUNT_COLUMNS: &str =
    "id, time, jail, subject, address, user, pattern, session, counted, line, target, first";

const FAILURE_COLUMNS: &str = "id, time, jail, address, user, pattern, line, counted, ban, target";

impl Store {
    /// What actions may have put into effect, as it was written.
    ///
    /// # Errors
    /// The database cannot be read.
    pub fn effects(&self) -> Result<Vec<String>, StoreError> {
        let sql = "SELECT trace FROM effects ORDER BY rowid";
        rows(&self.connection, sql, [], |row| row.get(0))
    }

    /// Whether bans in force were lost, and that has not been forgotten.
    ///
    /// # Errors
    /// The database cannot be read.
    pub fn has_losses(&self) -> Result<bool, StoreError> {
        let sql = "SELECT EXISTS (SELECT 1 FROM losses)";
        Ok(self.connection.query_row(sql, [], |row| row.get(0))?)
    }

    /// What outlived the last run: bans that are in force at `now`, failures of the last `longest_findtime` before
    /// the place where the sources stand, which may still help to make a ban, of a subject or of a network, when what
    /// they logged meanwhile is read, and the last ban of each subject in each jail.
    ///
    /// # Errors
    /// The database cannot be read.
    pub fn remembered(
        &self,
        now: Timestamp,
        longest_findtime: Duration,
    ) -> Result<Remembered, StoreError> {
        let mut names = Names::default();
        let bans = rows(
            &self.connection,
            &format!("SELECT {BAN_COLUMNS} FROM all_bans WHERE {IN_FORCE} ORDER BY id"),
            params![now.as_micros()],
            |row| ban(row, &mut names),
        )?;
        let horizon = self.resume_time(now)?.before(longest_findtime);
        let failures = rows(
            &self.connection,
            &format!(
                // A network counts also what a ban of its host has used or made idle.
                "SELECT {COUNT_COLUMNS}, pending, cleared FROM failures
                 WHERE (counted OR cleared IS NOT NULL) AND time >= ?1 ORDER BY id"
            ),
            params![horizon.as_micros()],
            |row| Ok((count(row, &mut names)?, fate(row)?)),
        )?;
        let (mut offences, mut merged) = (Vec::new(), Vec::new());
        each_row(
            &self.connection,
            &format!(
                // The newest of each is found in the index alone.
                "SELECT {BAN_COLUMNS}, forgiven, ended, iif(release = 'merged', ended, NULL) FROM all_bans
                 JOIN (SELECT max(id) AS id FROM all_bans GROUP BY subject, jail, first) USING (id) ORDER BY id"
            ),
            [],
            |row| {
                let is_forgiven: bool = row.get(8)?;
                let ended = row.get::<_, Option<i64>>(9)?.map(Timestamp::from_micros);
                let merged_at = row.get::<_, Option<i64>>(10)?.map(Timestamp::from_micros);
                Ok((ban(row, &mut names)?, is_forgiven, ended, merged_at))
            },
            |(ban, is_forgiven, ended, merged_at)| {
                // Whoever was merged away stayed out all the same.
                let ended = ended.filter(|_| merged_at.is_none());
                let offence = Offence {
                    number: if is_forgiven { 0 } else { ban.offence },
                    start: ban.start,
                    end: ended.or(ban.until()),
                };
                offences.push((ban.jail.clone(), ban.subject.clone(), offence));
                if let Some(time) = merged_at
                    && ban.until().is_none_or(|until| until > now)
                {
                    merged.push((ban, time));
                }
            },
        )?;
        let networks = rows(
            &self.connection,
            "SELECT jail, subject, start FROM all_bans
             WHERE start >= ?1 AND origin IN ('network', 'manual') AND first != X'' ORDER BY start, id",
            params![horizon.as_micros()],
            |row| Ok((names.jail(row, 0)?, parsed(row, 1)?, time(row, 2)?)),
        )?;
        let sieges = rows(
            &self.connection,
            "SELECT jail, time FROM notices
             WHERE kind = 'siege' AND id IN
                 (SELECT max(id) FROM notices WHERE kind IN ('siege', 'siege-over') GROUP BY jail)",
            [],
            |row| Ok((names.jail(row, 0)?, time(row, 1)?)),
        )?;
        let unhindered = rows(
            &self.connection,
            "SELECT all_bans.jail, all_bans.subject, max(notices.time), all_bans.first FROM notices
             JOIN all_bans ON all_bans.id = notices.ban
             WHERE kind = 'unhindered' AND ended IS NULL GROUP BY all_bans.id",
            [],
            |row| Ok((names.jail(row, 0)?, subject(row, 1, 3)?, time(row, 2)?)),
        )?;
        Ok(Remembered {
            unhindered: unhindered.into(),
            bans,
            merged,
            failures,
            offences,
            allowances: allowances(&self.connection)?,
            networks,
            sieges,
            awaited: awaited(&self.connection)?,
            seen: Box::new(self.seen()),
            next_failure: self.next("failures")?.map(FailureId),
            next_ban: self.next("all_bans")?.map(BanId),
            next_awaited: self.next("unresolved")?.map(AwaitedId),
            more: false,
        })
    }

    /// What filters have taken; nothing if that cannot be read, since no ban depends on it.
    fn seen(&self) -> Seen {
        sightings::seen(&self.connection).unwrap_or_else(|error| {
            log::warn!("what filters have taken before is forgotten: {error}");
            Seen::default()
        })
    }

    /// When the next record will have been logged at the earliest, of those that wait for an address as well.
    fn resume_time(&self, now: Timestamp) -> Result<Timestamp, StoreError> {
        let cursors = self.cursors()?;
        let times = cursors.into_iter().map(|(_, cursor)| cursor.time);
        let waiting = awaited(&self.connection)?;
        let times = times.chain(waiting.into_iter().map(|awaited| awaited.time));
        Ok(times.fold(now, Timestamp::min))
    }

    /// Where the streams stood.
    ///
    /// # Errors
    /// The database cannot be read.
    pub fn cursors(&self) -> Result<Vec<(Stream, Cursor)>, StoreError> {
        cursors(&self.connection)
    }

    /// The bans that `query` asks for, newest first.
    ///
    /// # Errors
    /// The database cannot be read.
    pub fn history(&self, query: &HistoryQuery) -> Result<Vec<HistoryRow>, StoreError> {
        let jail = query.jail.as_ref().map(JailName::as_str);
        let limit = limit(query.limit);
        let mut names = Names::default();
        let read = |row: &Row<'_>| {
            Ok(HistoryRow {
                ban: BanId(number(row, 0)?),
                jail: names.jail(row, 1)?,
                subject: subject(row, 2, 10)?,
                start: time(row, 3)?,
                until: row.get::<_, Option<i64>>(4)?.map(Timestamp::from_micros),
                ended: match row.get(5)? {
                    Some(ended) => Some((Timestamp::from_micros(ended), parsed(row, 6)?)),
                    None => None,
                },
                offence: row.get(7)?,
                failures: row.get(8)?,
                origin: parsed(row, 9)?,
                reason: row.get(11)?,
                release_reason: row.get(12)?,
            })
        };
        match &query.subject {
            None => rows(
                &self.connection,
                &format!(
                    "SELECT {HISTORY_COLUMNS} FROM all_bans WHERE ?1 IS NULL OR jail = ?1
                     ORDER BY id DESC LIMIT ?2"
                ),
                params![jail, limit],
                read,
            ),
            Some(Subject::Name(name)) => rows(
                &self.connection,
                &format!(
                    "SELECT {HISTORY_COLUMNS} FROM all_bans
                     WHERE {IS_NAMED} AND (?2 IS NULL OR jail = ?2) ORDER BY id DESC LIMIT ?3"
                ),
                params![name.as_str(), jail, limit],
                read,
            ),
            Some(Subject::Network(network)) => {
                let near = Near::of(*network);
                rows(
                    &self.connection,
                    &format!(
                        "SELECT {HISTORY_COLUMNS} FROM all_bans
                         WHERE {OVERLAPS} AND (?5 IS NULL OR jail = ?5) ORDER BY id DESC LIMIT ?6"
                    ),
                    params![
                        near.first,
                        near.last,
                        near.firsts,
                        near.subjects,
                        jail,
                        limit
                    ],
                    read,
                )
            }
        }
    }

    /// Whether `jail` has made a ban of `subject` that began at `start`.
    ///
    /// # Errors
    /// The database cannot be read.
    pub fn has_ban(
        &self,
        jail: &JailName,
        subject: &Subject,
        start: Timestamp,
    ) -> Result<bool, StoreError> {
        let mut found = self.connection.prepare_cached(
            "SELECT 1 FROM all_bans WHERE subject = ?1 AND jail = ?2 AND first = ?3 AND start = ?4",
        )?;
        Ok(found.exists(params![
            subject.plain(),
            jail.as_str(),
            first(subject),
            start.as_micros()
        ])?)
    }

    /// The failures that made `ban`, oldest first.
    ///
    /// # Errors
    /// The database cannot be read.
    pub fn lines_of_ban(&self, ban: BanId) -> Result<Vec<FailureRow>, StoreError> {
        let mut names = Names::default();
        rows(
            &self.connection,
            &format!("SELECT {FAILURE_COLUMNS} FROM failures WHERE ban = ?1 ORDER BY id"),
            params![ban.0.cast_signed()],
            |row| failure(row, &mut names),
        )
    }

    /// How many failures made each ban that has not ended.
    ///
    /// # Errors
    /// The database cannot be read.
    pub fn failures_of_standing(&self) -> Result<HashMap<BanId, u32>, StoreError> {
        let counts = rows(
            &self.connection,
            "SELECT id, failures FROM all_bans WHERE ended IS NULL",
            [],
            |row| {
                let id: i64 = row.get(0)?;
                Ok((BanId(id.cast_unsigned()), row.get(1)?))
            },
        )?;
        Ok(counts.into_iter().collect())
    }

    /// Why a ban does not work, as it was told; nothing if it was not.
    ///
    /// # Errors
    /// The database cannot be read.
    pub fn why_unhindered(&self, ban: BanId) -> Result<Option<String>, StoreError> {
        let told = rows(
            &self.connection,
            "SELECT detail FROM notices WHERE kind = 'unhindered' AND ban = ?1
             ORDER BY time DESC LIMIT 1",
            params![ban.0.cast_signed()],
            |row| row.get(0),
        )?;
        Ok(told.into_iter().next())
    }

    /// The newest failures, at most `limit`, of whoever shares an address with `subject` or is of that name; newest
    /// first.
    ///
    /// # Errors
    /// The database cannot be read.
    pub fn failures_of(
        &self,
        subject: &Subject,
        limit: usize,
    ) -> Result<Vec<FailureRow>, StoreError> {
        let mut names = Names::default();
        let network = match subject {
            Subject::Network(network) => *network,
            Subject::Name(name) => {
                return rows(
                    &self.connection,
                    &format!(
                        "SELECT {FAILURE_COLUMNS} FROM failures WHERE {IS_NAMED}
                         ORDER BY id DESC LIMIT ?2"
                    ),
                    params![name.as_str(), self::limit(limit)],
                    |row| failure(row, &mut names),
                );
            }
        };
        let near = Near::of(network);
        rows(
            &self.connection,
            &format!(
                "SELECT {FAILURE_COLUMNS} FROM failures WHERE {OVERLAPS} ORDER BY id DESC LIMIT ?5"
            ),
            params![
                near.first,
                near.last,
                near.firsts,
                near.subjects,
                self::limit(limit)
            ],
            |row| failure(row, &mut names),
        )
    }

    /// The number after the last one that `table` has ever given; `None` if it has given none.
    fn next(&self, table: &str) -> Result<Option<u64>, StoreError> {
        let last = rows(
            &self.connection,
            "SELECT seq FROM sqlite_sequence WHERE name = ?1",
            params![table],
            |row| number(row, 0),
        )?;
        Ok(last.first().map(|last| last.saturating_add(1)))
    }
}

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

fn allowances(connection: &Connection) -> Result<Vec<Allowance>, StoreError> {
    let sql = "SELECT subject, since, until FROM allowances";
    rows(connection, sql, [], |row| {
        Ok(Allowance {
            subject: parsed(row, 0)?,
            since: time(row, 1)?,
            until: time(row, 2)?,
        })
    })
}

fn awaited(connection: &Connection) -> Result<Vec<Awaited>, StoreError> {
    rows(
        connection,
        "SELECT id, time, jail, source, host, login, user, target, forwarded, pattern, session, line
         FROM unresolved ORDER BY id",
        [],
        |row| {
            Ok(Awaited {
                id: AwaitedId(number(row, 0)?),
                time: time(row, 1)?,
                jail: parsed(row, 2)?,
                source: match row.get_ref(3)? {
                    ValueRef::Null => None,
                    _ => Some(parsed(row, 3)?),
                },
                host: parsed(row, 4)?,
                outcome: match row.get(5)? {
                    true => Outcome::Success,
                    false => Outcome::Failure,
                },
                user: row.get(6)?,
                target: row.get(7)?,
                forwarded: row.get(8)?,
                pattern: row.get(9)?,
                session: row.get(10)?,
                line: row.get(11)?,
            })
        },
    )
}

fn cursors(connection: &Connection) -> Result<Vec<(Stream, Cursor)>, StoreError> {
    rows(
        connection,
        "SELECT source, stream, token, time FROM cursors ORDER BY source, stream",
        [],
        |row| {
            let stream = Stream {
                source: parsed(row, 0)?,
                part: row.get(1)?,
            };
            let cursor = Cursor {
                token: row.get(2)?,
                time: time(row, 3)?,
            };
            Ok((stream, cursor))
        },
    )
}

/// The answer to `sql`, without the rows that make no sense.
pub(super) fn rows<T>(
    connection: &Connection,
    sql: &str,
    params: impl Params,
    read: impl FnMut(&Row<'_>) -> rusqlite::Result<T>,
) -> Result<Vec<T>, StoreError> {
    let mut found = Vec::new();
    each_row(connection, sql, params, read, |value| found.push(value))?;
    Ok(found)
}

/// Hands on the answer to `sql` row by row, up to an error, without the rows that make no sense; answers how many these
/// were.
fn each_row<T>(
    connection: &Connection,
    sql: &str,
    params: impl Params,
    mut read: impl FnMut(&Row<'_>) -> rusqlite::Result<T>,
    mut take: impl FnMut(T),
) -> Result<usize, StoreError> {
    let mut statement = connection.prepare_cached(sql)?;
    let mut answer = statement.query(params)?;
    let mut strange = None;
    let mut skipped = 0_usize;
    while let Some(row) = answer.next()? {
        match read(row) {
            Ok(value) => take(value),
            Err(error) if error.sqlite_error_code().is_none() => {
                skipped += 1;
                strange.get_or_insert(error);
            }
            Err(error) => return Err(error.into()),
        }
    }
    if let Some(error) = strange {
        log::warn!("{skipped} rows of the database make no sense and are left out: {error}");
    }
    Ok(skipped)
}

fn ban(row: &Row<'_>, names: &mut Names) -> rusqlite::Result<Ban> {
    let start = time(row, 3)?;
    Ok(Ban {
        id: BanId(number(row, 0)?),
        jail: names.jail(row, 1)?,
        subject: subject(row, 2, 7)?,
        start,
        bantime: match row.get(4)? {
            Some(until) => BanTime::For(Timestamp::from_micros(until).since(start)),
            None => BanTime::Forever,
        },
        offence: row.get(5)?,
        origin: parsed(row, 6)?,
        evidence: Vec::new(),
    })
}

/// What has become of a failure, by the columns `pending` and `cleared` behind [`COUNT_COLUMNS`].
fn fate(row: &Row<'_>) -> rusqlite::Result<Fate> {
    let taken_back: Option<i64> = row.get(13)?;
    Ok(match taken_back {
        Some(before) => Fate::TakenBack(FailureId(before.cast_unsigned())),
        None if row.get(12)? => Fate::Open,
        None => Fate::Used,
    })
}

/// A failure as it was decided.
fn count(row: &Row<'_>, names: &mut Names) -> rusqlite::Result<Failure> {
    Ok(Failure {
        id: FailureId(number(row, 0)?),
        time: time(row, 1)?,
        jail: names.jail(row, 2)?,
        subject: subject(row, 3, 11)?,
        address: address(row, 4)?,
        user: row.get(5)?,
        pattern: row.get(6)?,
        session: row.get(7)?,
        counted: row.get(8)?,
        line: row.get(9)?,
        target: row.get(10)?,
    })
}

fn failure(row: &Row<'_>, names: &mut Names) -> rusqlite::Result<FailureRow> {
    Ok(FailureRow {
        id: FailureId(number(row, 0)?),
        time: time(row, 1)?,
        jail: names.jail(row, 2)?,
        address: address(row, 3)?,
        user: row.get(4)?,
        pattern: row.get(5)?,
        line: row.get(6)?,
        counted: row.get(7)?,
        ban: row
            .get::<_, Option<i64>>(8)?
            .map(|ban| BanId(ban.cast_unsigned())),
        target: row.get(9)?,
    })
}

/// The range of a subject, and the networks around it as JSON lists.
struct Near {
    first: Vec<u8>,
    last: Vec<u8>,
    firsts: String,
    subjects: String,
}

impl Near {
    fn of(subject: Prefix) -> Near {
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

/// The few names of jails that many rows repeat.
#[derive(Default)]
pub(super) struct Names(HashMap<Box<str>, JailName>);

impl Names {
    pub(super) fn jail(&mut self, row: &Row<'_>, column: usize) -> rusqlite::Result<JailName> {
        if let Some(name) = self.0.get(row.get_ref(column)?.as_str()?) {
            return Ok(name.clone());
        }
        let name: JailName = parsed(row, column)?;
        self.0.insert(name.as_str().into(), name.clone());
        Ok(name)
    }
}

fn limit(limit: usize) -> i64 {
    i64::try_from(limit).unwrap_or(i64::MAX)
}

pub(super) fn number(row: &Row<'_>, column: usize) -> rusqlite::Result<u64> {
    row.get::<_, i64>(column).map(i64::cast_unsigned)
}

pub(super) fn time(row: &Row<'_>, column: usize) -> rusqlite::Result<Timestamp> {
    row.get(column).map(Timestamp::from_micros)
}

/// An address; empty if there was none.
fn address(row: &Row<'_>, column: usize) -> rusqlite::Result<Option<IpAddr>> {
    match row.get_ref(column)?.as_str()? {
        "" => Ok(None),
        _ => parsed(row, column).map(Some),
    }
}

/// A subject by its text and its first address, without which it is a name.
fn subject(row: &Row<'_>, text: usize, first: usize) -> rusqlite::Result<Subject> {
    if !row.get_ref(first)?.as_blob()?.is_empty() {
        return parsed(row, text).map(Subject::Network);
    }
    let name = Name::of(row.get_ref(text)?.as_str()?);
    name.map(Subject::Name).ok_or_else(|| {
        let empty = "a name without text".into();
        rusqlite::Error::FromSqlConversionFailure(text, Type::Text, empty)
    })
}

pub(super) fn parsed<T>(row: &Row<'_>, column: usize) -> rusqlite::Result<T>
where
    T: FromStr,
    T::Err: std::error::Error + Send + Sync + 'static,
{
    row.get_ref(column)?.as_str()?.parse().map_err(|error| {
        rusqlite::Error::FromSqlConversionFailure(column, Type::Text, Box::new(error))
    })
}
