//! How are failures written down?
//!
//! In: failures in their order. Out: a row of each. There are thousands of them to any other decision, and most of what a
//! statement costs is the same for one row and for many: several go into one.

use std::sync::LazyLock;

use rusqlite::{Connection, Statement};

use super::write::first;
use crate::engine::decision::Failure;
use crate::engine::prefix::Prefix;
use crate::engine::record::kept::kept;

/// So many rows are written by one statement, as long as there are as many. More gain next to nothing: they share what is
/// left of an eighth of it.
const ROWS: usize = 8;

/// What is told of a failure, each by a parameter.
const PARAMETERS: usize = 12;

/// Writes one failure.
static ONE: LazyLock<String> = LazyLock::new(|| insertion(1));

/// Writes [`ROWS`] of them.
static MANY: LazyLock<String> = LazyLock::new(|| insertion(ROWS));

/// Failures that came one after the other and are still to be written.
#[derive(Debug, Default)]
pub(super) struct Run<'f> {
    failures: Vec<&'f Failure>,
}

impl<'f> Run<'f> {
    /// Adds one, and writes those that fill a statement.
    pub(super) fn add(
        &mut self,
        connection: &Connection,
        failure: &'f Failure,
    ) -> rusqlite::Result<()> {
        self.failures.push(failure);
        if self.failures.len() < ROWS {
            return Ok(());
        }
        let mut statement = connection.prepare_cached(&MANY)?;
        for (row, failure) in self.failures.drain(..).enumerate() {
            bind(&mut statement, row, failure)?;
        }
        statement.raw_execute().map(drop)
    }

    /// Writes the rest: before whatever speaks of them.
    pub(super) fn end(&mut self, connection: &Connection) -> rusqlite::Result<()> {
        if self.failures.is_empty() {
            return Ok(());
        }
        let mut statement = connection.prepare_cached(&ONE)?;
        for failure in self.failures.drain(..) {
            bind(&mut statement, 0, failure)?;
            statement.raw_execute()?;
        }
        Ok(())
    }
}

/// The statement that writes so many rows; a row that is there stays as it is.
fn insertion(rows: usize) -> String {
    let row = |row: usize| {
        let number = |parameter: usize| format!("?{}", row * PARAMETERS + parameter);
        // What counts may still help to make a ban, too.
        let columns = [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 10, 11, 12].map(number);
        format!("({})", columns.join(", "))
    };
    let rows: Vec<_> = (0..rows).map(row).collect();
    format!(
        "INSERT INTO failures (id, time, jail, subject, first, address, user, pattern, session,
                               counted, pending, line, target)
         VALUES {}
         ON CONFLICT (id) DO NOTHING",
        rows.join(", ")
    )
}

/// Tells a statement what stands in one of its rows.
fn bind(statement: &mut Statement<'_>, row: usize, failure: &Failure) -> rusqlite::Result<()> {
    let at = |parameter| row * PARAMETERS + parameter;
    let subject = failure.subject.plain();
    let host = failure.address.map(Prefix::host);
    let address = match failure.address {
        Some(_) if failure.subject.network() == host => None,
        Some(address) => Some(address.to_string()),
        None => Some(String::new()),
    };
    statement.raw_bind_parameter(at(1), failure.id.0.cast_signed())?;
    statement.raw_bind_parameter(at(2), failure.time.as_micros())?;
    statement.raw_bind_parameter(at(3), failure.jail.as_str())?;
    statement.raw_bind_parameter(at(4), &subject)?;
    statement.raw_bind_parameter(at(5), first(&failure.subject))?;
    statement.raw_bind_parameter(at(6), address.as_ref().unwrap_or(&subject))?;
    statement.raw_bind_parameter(at(7), failure.user.as_deref().map(kept))?;
    statement.raw_bind_parameter(at(8), failure.pattern)?;
    statement.raw_bind_parameter(at(9), failure.session.as_deref().map(kept))?;
    statement.raw_bind_parameter(at(10), failure.counted)?;
    statement.raw_bind_parameter(at(11), kept(&failure.line))?;
    statement.raw_bind_parameter(at(12), failure.target.as_deref().map(kept))
}
