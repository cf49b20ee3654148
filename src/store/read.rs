//! What outlived the last run?
//!
//! All that the engine is begun with, and where the sources stood. A row that cannot be understood, since somebody else
//! wrote it, is left out and told of, and spoils nothing else.

use std::time::Duration;

use rusqlite::types::ValueRef;
use rusqlite::{Connection, params};

use super::rows::{
    BAN_COLUMNS, COUNT_COLUMNS, Names, ban, count, each_row, fate, number, parsed, rows, subject,
    time,
};
use super::{Store, StoreError, sightings};
use crate::engine::cursor::{Cursor, Stream};
use crate::engine::decision::{Allowance, Awaited, AwaitedId, Ban, BanId, FailureId};
use crate::engine::filter::Outcome;
use crate::engine::input::Remembered;
use crate::engine::jail::escalation::Offence;
use crate::engine::sighting::Seen;
use crate::engine::time::Timestamp;

/// What makes a ban of `all_bans` one in force at ?1.
pub(super) const IN_FORCE: &str = "ended IS NULL AND (until IS NULL OR until > ?1)";

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

    /// The bans that would be in force at `now` but were lifted early: the newest of these lifts, at most so many, in
    /// their order.
    ///
    /// # Errors
    /// The database cannot be read.
    pub fn lifted(&self, now: Timestamp, most: usize) -> Result<Vec<Ban>, StoreError> {
        let mut names = Names::default();
        let sql = format!(
            "SELECT {BAN_COLUMNS} FROM all_bans WHERE ended IS NOT NULL AND (until IS NULL OR until > ?1)
             ORDER BY ended DESC, id DESC LIMIT ?2"
        );
        let most = i64::try_from(most).unwrap_or(i64::MAX);
        let mut bans = rows(
            &self.connection,
            &sql,
            params![now.as_micros(), most],
            |row| ban(row, &mut names),
        )?;
        bans.reverse();
        Ok(bans)
    }

    /// Where the streams stood.
    ///
    /// # Errors
    /// The database cannot be read.
    pub fn cursors(&self) -> Result<Vec<(Stream, Cursor)>, StoreError> {
        cursors(&self.connection)
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

pub(super) fn allowances(connection: &Connection) -> Result<Vec<Allowance>, StoreError> {
    let sql = "SELECT subject, since, until FROM allowances";
    rows(connection, sql, [], |row| {
        Ok(Allowance {
            subject: parsed(row, 0)?,
            since: time(row, 1)?,
            until: time(row, 2)?,
        })
    })
}

pub(super) fn awaited(connection: &Connection) -> Result<Vec<Awaited>, StoreError> {
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
                unknown: parsed(row, 4)?,
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

pub(super) fn cursors(connection: &Connection) -> Result<Vec<(Stream, Cursor)>, StoreError> {
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
