//! How are sightings kept?
//!
//! In: sightings, which are totals. Out: those that an earlier run ends with, and what they come to. It makes no difference
//! how often one is written. Their order makes none for what a pattern has taken, since that total never gets smaller; of
//! the lines that nobody knew, each place keeps what was written last.

use rusqlite::{Connection, Row, params};

use super::read::{Names, number, parsed, rows, time};
use super::{Archive, Store, StoreError};
use crate::engine::name::FilterName;
use crate::engine::sighting::{PatternCount, PatternSum, Seen, Sighting, UnknownLine};
use crate::engine::time::Timestamp;

/// What is kept of the filters.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Sightings {
    /// What the records come to that patterns have taken.
    pub sums: Vec<PatternSum>,
    /// The lines that nobody knew.
    pub lines: Vec<UnknownLine>,
}

impl Store {
    /// What is kept of the filters, with the records that patterns took since `start`.
    ///
    /// # Errors
    /// The database cannot be read.
    pub fn sightings(&self, start: Timestamp) -> Result<Sightings, StoreError> {
        sightings(&self.connection, start)
    }
}

impl Archive {
    /// What is kept of the filters, with the records that patterns took since `start`.
    ///
    /// # Errors
    /// The database cannot be read, or is of an older f2bd that kept nothing of the kind.
    pub fn sightings(&self, start: Timestamp) -> Result<Sightings, StoreError> {
        sightings(&self.connection, start)
    }
}

/// Writes one down.
pub(super) fn write(connection: &Connection, sighting: &Sighting) -> rusqlite::Result<()> {
    match sighting {
        Sighting::Taken(count) => connection
            .prepare_cached(
                "INSERT INTO taken (filter, pattern, number, day, records, last)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6)
                 ON CONFLICT (filter, pattern, day) DO UPDATE SET
                     number = excluded.number,
                     records = max(records, excluded.records),
                     last = coalesce(max(last, excluded.last), last, excluded.last)",
            )?
            .execute(params![
                count.filter.as_str(),
                count.pattern,
                count.number,
                count.day.as_micros(),
                count.records.cast_signed(),
                count.last.map(Timestamp::as_micros),
            ])?,
        Sighting::Unknown(line) => connection
            .prepare_cached(
                "INSERT INTO unknown (filter, place, text, count, since, last)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6)
                 ON CONFLICT (filter, place) DO UPDATE SET
                     text = excluded.text, count = excluded.count,
                     since = excluded.since, last = excluded.last",
            )?
            .execute(params![
                line.filter.as_str(),
                line.place,
                line.text,
                line.count.cast_signed(),
                line.first.as_micros(),
                line.last.as_micros(),
            ])?,
    };
    Ok(())
}

/// What earlier runs have seen: the last day of each pattern, all lines, and when it was told of which jail last that its
/// filter has gone deaf.
pub(super) fn seen(connection: &Connection) -> Result<Seen, StoreError> {
    let mut sightings = rows(
        connection,
        "SELECT filter, pattern, number, max(day), records,
                (SELECT max(last) FROM taken AS all_days
                 WHERE all_days.filter = taken.filter AND all_days.pattern = taken.pattern)
         FROM taken GROUP BY filter, pattern",
        [],
        |row| {
            Ok(Sighting::Taken(PatternCount {
                filter: filter(row)?,
                pattern: row.get(1)?,
                number: row.get(2)?,
                day: time(row, 3)?,
                records: number(row, 4)?,
                last: row.get::<_, Option<i64>>(5)?.map(Timestamp::from_micros),
            }))
        },
    )?;
    sightings.extend(unknown(connection)?.into_iter().map(Sighting::Unknown));
    let mut names = Names::default();
    let told = rows(
        connection,
        "SELECT jail, max(time) FROM notices WHERE kind = 'deaf' GROUP BY jail",
        [],
        |row| Ok((names.jail(row, 0)?, time(row, 1)?)),
    )?;
    Ok(Seen { sightings, told })
}

fn sightings(connection: &Connection, start: Timestamp) -> Result<Sightings, StoreError> {
    let sums = rows(
        connection,
        "SELECT filter, pattern, coalesce(sum(CASE WHEN day >= ?1 THEN records END), 0),
                max(last), min(day)
         FROM taken GROUP BY filter, pattern",
        params![start.as_micros()],
        |row| {
            Ok(PatternSum {
                filter: filter(row)?,
                pattern: row.get(1)?,
                records: number(row, 2)?,
                last: row.get::<_, Option<i64>>(3)?.map(Timestamp::from_micros),
                since: time(row, 4)?,
            })
        },
    )?;
    let lines = unknown(connection)?;
    Ok(Sightings { sums, lines })
}

fn unknown(connection: &Connection) -> Result<Vec<UnknownLine>, StoreError> {
    rows(
        connection,
        "SELECT filter, place, text, count, since, last FROM unknown ORDER BY filter, place",
        [],
        |row| {
            Ok(UnknownLine {
                filter: filter(row)?,
                place: row.get(1)?,
                text: row.get(2)?,
                count: number(row, 3)?,
                first: time(row, 4)?,
                last: time(row, 5)?,
            })
        },
    )
}

fn filter(row: &Row<'_>) -> rusqlite::Result<FilterName> {
    parsed(row, 0)
}
