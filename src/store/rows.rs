//! How is a row of the database understood?
//!
//! In: rows. Out: what they say, in the engine's types. A row that makes no sense is left out and told of. Which rows are
//! asked for is for others to say.

use std::collections::HashMap;
use std::net::IpAddr;
use std::str::FromStr;

use rusqlite::types::Type;
use rusqlite::{Connection, Params, Row};

use super::StoreError;
use crate::engine::decision::{Ban, BanId, Failure, FailureId};
use crate::engine::input::Fate;
use crate::engine::name::JailName;
use crate::engine::subject::{Name, Subject};
use crate::engine::time::{BanTime, Timestamp};

/// What [`ban`] understands.
pub(super) const BAN_COLUMNS: &str = "id, jail, subject, start, until, offence, origin, first";

/// What [`count`] understands.
pub(super) const COUNT_COLUMNS: &str =
    "id, time, jail, subject, address, user, pattern, session, counted, line, target, first";

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
pub(super) fn each_row<T>(
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

pub(super) fn ban(row: &Row<'_>, names: &mut Names) -> rusqlite::Result<Ban> {
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
pub(super) fn fate(row: &Row<'_>) -> rusqlite::Result<Fate> {
    let taken_back: Option<i64> = row.get(13)?;
    Ok(match taken_back {
        Some(before) => Fate::TakenBack(FailureId(before.cast_unsigned())),
        None if row.get(12)? => Fate::Open,
        None => Fate::Used,
    })
}

/// A failure as it was decided.
pub(super) fn count(row: &Row<'_>, names: &mut Names) -> rusqlite::Result<Failure> {
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

pub(super) fn number(row: &Row<'_>, column: usize) -> rusqlite::Result<u64> {
    row.get::<_, i64>(column).map(i64::cast_unsigned)
}

pub(super) fn time(row: &Row<'_>, column: usize) -> rusqlite::Result<Timestamp> {
    row.get(column).map(Timestamp::from_micros)
}

/// An address; empty if there was none.
pub(super) fn address(row: &Row<'_>, column: usize) -> rusqlite::Result<Option<IpAddr>> {
    match row.get_ref(column)?.as_str()? {
        "" => Ok(None),
        _ => parsed(row, column).map(Some),
    }
}

/// A subject by its text and its first address, without which it is a name.
pub(super) fn subject(row: &Row<'_>, text: usize, first: usize) -> rusqlite::Result<Subject> {
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
