//! Who was banned, when, and by which log lines?
//!
//! History for people; nothing is decided by it.

use std::collections::HashMap;
use std::net::IpAddr;

use rusqlite::{Row, params};

use super::near::{IS_NAMED, Near, OVERLAPS};
use super::rows::{Names, address, number, parsed, rows, subject, time};
use super::write::first;
use super::{Store, StoreError};
use crate::engine::decision::{BanId, FailureId, Origin, Release};
use crate::engine::name::JailName;
use crate::engine::subject::Subject;
use crate::engine::time::Timestamp;

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
    /// The record's message, or its whole line where the filter looks at that, as [`crate::engine::record::kept::kept`] keeps it.
    pub line: String,
    /// Whether it counted towards a ban.
    pub counted: bool,
    /// The ban that it helped to make.
    pub ban: Option<BanId>,
}

const HISTORY_COLUMNS: &str = "id, jail, subject, start, until, ended, release, offence, failures, origin, first, reason, release_reason";

const FAILURE_COLUMNS: &str = "id, time, jail, address, user, pattern, line, counted, ban, target";

impl Store {
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

fn limit(limit: usize) -> i64 {
    i64::try_from(limit).unwrap_or(i64::MAX)
}
