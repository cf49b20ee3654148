//! What is forgotten, and when?
//!
//! History must not grow for ever, and forgetting must not hold up bans: it is done in small pieces.

use std::time::Duration;

use rusqlite::{Connection, TransactionBehavior, params};

use super::{Store, StoreError};
use crate::engine::time::Timestamp;

/// Rows per call of [`Store::sweep`]: some ten milliseconds of work. 100,000 rows in one go took 2.6 s.
const PIECE: usize = 1000;

/// Bans that are kept at most, however long history is to be: some 200 MB. Attackers decide how many there are. Those in
/// force, and those that were merged and may go on, are among them but are never forgotten for this.
const MOST_BANS: u64 = 1_000_000;

/// Notices that are kept at most; they are read by people.
const MOST_NOTICES: u64 = 10_000;

/// How long it is kept how many records a pattern has taken: a year shows what comes with the seasons. Patterns times days
/// are a bound that nobody outside can reach beyond.
const COUNTS_KEPT: Duration = Duration::from_secs(366 * 86_400);

/// How long history is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Retention {
    /// Bans, from their end on.
    pub history: Duration,
    /// Failures with their log lines.
    pub failures: Duration,
    /// Failures that are kept at most, the newest ones.
    pub max_failures: u64,
}

impl Store {
    /// Forgets a piece of what need not be kept any longer, and writes the end of bans that ended while
    /// nobody was there to do so. Returns how many rows were touched; call again until it is none. Bans in force
    /// are never forgotten.
    ///
    /// # Errors
    /// Nothing was forgotten; the same call may be repeated.
    pub fn sweep(&mut self, now: Timestamp, retention: Retention) -> Result<usize, StoreError> {
        let transaction = self
            .connection
            .transaction_with_behavior(TransactionBehavior::Immediate)?;
        let history = now.before(retention.history).as_micros();
        let failures = now.before(retention.failures).as_micros();
        let mut left = PIECE;
        for (sql, bound) in [
            (
                "UPDATE all_bans SET ended = until, release = 'expired' WHERE id IN
                    (SELECT id FROM all_bans WHERE ended IS NULL AND until <= ?1 LIMIT ?2)",
                now.as_micros(),
            ),
            (
                // What was merged goes on should the network's ban be lifted.
                "DELETE FROM all_bans WHERE id IN
                    (SELECT id FROM all_bans WHERE ended < ?1
                     AND NOT (release = 'merged' AND coalesce(until >= ?1, 1))
                     ORDER BY ended LIMIT ?2)",
                history,
            ),
            (
                "DELETE FROM failures WHERE id IN
                    (SELECT id FROM failures WHERE time < ?1 ORDER BY time LIMIT ?2)",
                failures,
            ),
            // A file that was read as far as this has gone, or a start without a cursor comes to the same.
            (
                "DELETE FROM cursors WHERE rowid IN
                    (SELECT rowid FROM cursors WHERE time < ?1 AND stream <> '' LIMIT ?2)",
                failures,
            ),
            (
                "DELETE FROM taken WHERE (filter, pattern, day) IN
                    (SELECT filter, pattern, day FROM taken WHERE day < ?1 LIMIT ?2)",
                now.before(COUNTS_KEPT).as_micros(),
            ),
            (
                "DELETE FROM unknown WHERE (filter, place) IN
                    (SELECT filter, place FROM unknown WHERE last < ?1 LIMIT ?2)",
                failures,
            ),
        ] {
            left -= transaction
                .prepare_cached(sql)?
                .execute(params![bound, left as i64])?;
        }
        // Of these, ?1 is now.
        for (surplus, sql) in [
            (
                surplus(&transaction, "all_bans", MOST_BANS)?,
                "DELETE FROM all_bans WHERE id IN
                    (SELECT id FROM all_bans WHERE ended IS NOT NULL
                         AND NOT (release = 'merged' AND coalesce(until > ?1, 1))
                     ORDER BY ended LIMIT ?2)",
            ),
            (
                surplus(&transaction, "failures", retention.max_failures)?,
                "DELETE FROM failures WHERE id IN (SELECT id FROM failures ORDER BY id LIMIT ?2)",
            ),
            (
                surplus(&transaction, "notices", MOST_NOTICES)?,
                "DELETE FROM notices WHERE id IN (SELECT id FROM notices ORDER BY id LIMIT ?2)",
            ),
        ] {
            let piece = usize::try_from(surplus).unwrap_or(left).min(left);
            left -= transaction
                .prepare_cached(sql)?
                .execute(params![now.as_micros(), piece as i64])?;
        }
        transaction.commit()?;
        Ok(PIECE - left)
    }
}

/// By how many rows `table` exceeds `most`. Rows are counted only if their numbers say that it may.
fn surplus(connection: &Connection, table: &str, most: u64) -> rusqlite::Result<u64> {
    let span: i64 = connection
        .prepare_cached(&format!(
            "SELECT coalesce((SELECT max(id) FROM {table}) - (SELECT min(id) FROM {table}) + 1, 0)"
        ))?
        .query_row([], |row| row.get(0))?;
    if span.cast_unsigned() <= most {
        return Ok(0);
    }
    let rows: i64 = connection
        .prepare_cached(&format!("SELECT count(*) FROM {table}"))?
        .query_row([], |row| row.get(0))?;
    Ok(rows.cast_unsigned().saturating_sub(most))
}
