//! How do decisions get into the database?
//!
//! In their order, all of a batch or nothing. Each statement changes nothing if it is carried out a second
//! time, so that a batch whose fate is unclear can be written again.

use std::collections::BTreeSet;
use std::net::IpAddr;

use rusqlite::{Connection, TransactionBehavior, params};

use super::failures::Run;
use super::{Store, StoreError, sightings};
use crate::engine::Decision;
use crate::engine::cursor::{Cursor, Stream};
use crate::engine::decision::{
    About, Allowance, Awaited, AwaitedId, Ban, Cleared, FailureId, Forgiven, Notice, Release,
    Remark, Resumed, Unban,
};
use crate::engine::filter::Outcome;
use crate::engine::name::SourceName;
use crate::engine::prefix::Prefix;
use crate::engine::record::kept::kept;
use crate::engine::subject::Subject;
use crate::engine::time::{Span, Timestamp};

impl Store {
    /// Lets no failure since `time` with a number below `failures` help to make a ban any more, and none below `awaited`
    /// wait for an address: it has been heard again under another number.
    ///
    /// # Errors
    /// Nothing was changed; the same call may be repeated.
    pub fn settle(
        &mut self,
        time: Timestamp,
        failures: FailureId,
        awaited: AwaitedId,
    ) -> Result<(), StoreError> {
        let transaction = self
            .connection
            .transaction_with_behavior(TransactionBehavior::Immediate)?;
        // By the index on time: all failures that are kept have a lower number.
        transaction.execute(
            "UPDATE failures SET pending = 0, counted = 0
             WHERE counted AND ban IS NULL AND time >= ?1 AND +id < ?2",
            params![time.as_micros(), failures.0.cast_signed()],
        )?;
        transaction.execute(
            "DELETE FROM unresolved WHERE time >= ?1 AND id < ?2",
            params![time.as_micros(), awaited.0.cast_signed()],
        )?;
        Ok(transaction.commit()?)
    }

    /// Remembers `decisions` and where their sources stand now, in one transaction.
    ///
    /// # Errors
    /// Nothing of it is remembered; the same call may be repeated.
    pub fn commit<'c>(
        &mut self,
        now: Timestamp,
        decisions: &[Decision],
        cursors: impl IntoIterator<Item = (&'c Stream, &'c Cursor)>,
    ) -> Result<(), StoreError> {
        let transaction = self
            .connection
            .transaction_with_behavior(TransactionBehavior::Immediate)?;
        let mut run = Run::default();
        for decision in decisions {
            if !matches!(decision, Decision::Count(_)) {
                run.end(&transaction)?;
            }
            match decision {
                Decision::Count(failure) => run.add(&transaction, failure)?,
                // It is told, and leaves nothing behind.
                Decision::Ignore(_) => {}
                Decision::Await(awaited) => wait(&transaction, awaited)?,
                Decision::Answered(id) => answered(&transaction, *id)?,
                Decision::Ban(banned) => ban(&transaction, banned)?,
                Decision::Unban(freed) => unban(&transaction, freed)?,
                Decision::Resume(resumed) => resume(&transaction, resumed)?,
                Decision::Forgive(forgiven) => forgive(&transaction, forgiven)?,
                Decision::Remark(remarked) => remark(&transaction, remarked)?,
                Decision::Allow(allowance) => allow(&transaction, allowance)?,
                Decision::Disallow(subject) => disallow(&transaction, *subject)?,
                Decision::Clear(cleared) => clear(&transaction, cleared)?,
                Decision::Notice(told) => notice(&transaction, now, told)?,
                Decision::Sighted(sighting) => sightings::write(&transaction, sighting)?,
            }
        }
        run.end(&transaction)?;
        for (stream, cursor) in cursors {
            transaction
                .prepare_cached(
                    "INSERT INTO cursors (source, stream, token, time) VALUES (?1, ?2, ?3, ?4)
                     ON CONFLICT (source, stream)
                     DO UPDATE SET token = excluded.token, time = excluded.time",
                )?
                .execute(params![
                    stream.source.as_str(),
                    stream.part,
                    cursor.token,
                    cursor.time.as_micros()
                ])?;
        }
        Ok(transaction.commit()?)
    }

    /// Remembers that actions may have put this into effect and nothing else: their names, and how a later run is told.
    ///
    /// # Errors
    /// What was remembered before is so still.
    pub fn replace_effects(&mut self, effects: &[(String, String)]) -> Result<(), StoreError> {
        let transaction = self
            .connection
            .transaction_with_behavior(TransactionBehavior::Immediate)?;
        transaction.execute("DELETE FROM effects", [])?;
        for (action, trace) in effects {
            transaction.execute(
                "INSERT INTO effects (action, trace) VALUES (?1, ?2)",
                params![action, trace],
            )?;
        }
        Ok(transaction.commit()?)
    }

    /// Remembers that bans in force were lost.
    ///
    /// # Errors
    /// It is not remembered; the same call may be repeated.
    pub fn note_loss(&self, time: Timestamp) -> Result<(), StoreError> {
        self.connection.execute(
            "INSERT INTO losses (time) VALUES (?1) ON CONFLICT (time) DO NOTHING",
            params![time.as_micros()],
        )?;
        Ok(())
    }

    /// Forgets that bans in force were ever lost.
    ///
    /// # Errors
    /// It is remembered still.
    pub fn forget_losses(&self) -> Result<(), StoreError> {
        self.connection.execute("DELETE FROM losses", [])?;
        Ok(())
    }

    /// Makes the bans in force here equal to `bans`, for when decisions were lost on the way: missing ones are
    /// written, ended ones reopened, others are ended as of `now`, or, if they are among those that were `merged`, as of
    /// the time beside them. Likewise who is allowed, and what waits for addresses.
    ///
    /// # Errors
    /// Nothing was changed; the same call may be repeated.
    pub fn restate<'a>(
        &mut self,
        now: Timestamp,
        bans: &[Ban],
        merged: &[(Ban, Timestamp)],
        allowed: impl IntoIterator<Item = &'a Allowance>,
        awaited: impl IntoIterator<Item = &'a Awaited>,
    ) -> Result<(), StoreError> {
        let transaction = self
            .connection
            .transaction_with_behavior(TransactionBehavior::Immediate)?;
        let mut open: BTreeSet<i64> = transaction
            .prepare("SELECT id FROM all_bans WHERE ended IS NULL")?
            .query_map([], |row| row.get(0))?
            .collect::<rusqlite::Result<_>>()?;
        for banned in bans {
            let id = banned.id.0.cast_signed();
            if !open.remove(&id) {
                ban(&transaction, banned)?;
                // It may be here as ended: as merged, if what became of that was lost.
                transaction
                    .prepare_cached(
                        "UPDATE all_bans SET ended = NULL, release = NULL WHERE id = ?1",
                    )?
                    .execute([id])?;
            }
        }
        for (banned, time) in merged {
            let id = banned.id.0.cast_signed();
            open.remove(&id);
            ban(&transaction, banned)?;
            // Also if it is here as merged at another time: by this one it is known to the network's ban.
            transaction
                .prepare_cached("UPDATE all_bans SET ended = ?2, release = ?3 WHERE id = ?1")?
                .execute(params![id, time.as_micros(), Release::Merged.to_string()])?;
        }
        let mut end = transaction.prepare(
            "UPDATE all_bans SET ended = min(coalesce(until, ?2), ?2),
                             release = CASE WHEN until <= ?2 THEN 'expired' ELSE 'manual' END
             WHERE id = ?1",
        )?;
        for id in open {
            end.execute(params![id, now.as_micros()])?;
        }
        drop(end);
        transaction.execute("DELETE FROM allowances", [])?;
        for allowance in allowed {
            allow(&transaction, allowance)?;
        }
        transaction.execute("DELETE FROM unresolved", [])?;
        for awaited in awaited {
            wait(&transaction, awaited)?;
        }
        Ok(transaction.commit()?)
    }
}

fn wait(connection: &Connection, awaited: &Awaited) -> rusqlite::Result<()> {
    connection
        .prepare_cached(
            "INSERT INTO unresolved (id, time, jail, source, host, login, user, target,
                                     forwarded, pattern, session, line)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12)
             ON CONFLICT (id) DO NOTHING",
        )?
        .execute(params![
            awaited.id.0.cast_signed(),
            awaited.time.as_micros(),
            awaited.jail.as_str(),
            awaited.source.as_ref().map(SourceName::as_str),
            awaited.unknown.to_string(),
            awaited.outcome == Outcome::Success,
            awaited.user,
            awaited.target,
            awaited.forwarded,
            awaited.pattern,
            awaited.session,
            awaited.line,
        ])?;
    Ok(())
}

fn answered(connection: &Connection, id: AwaitedId) -> rusqlite::Result<()> {
    connection
        .prepare_cached("DELETE FROM unresolved WHERE id = ?1")?
        .execute([id.0.cast_signed()])?;
    Ok(())
}

fn ban(connection: &Connection, ban: &Ban) -> rusqlite::Result<()> {
    let id = ban.id.0.cast_signed();
    let (subject, first) = (ban.subject.plain(), first(&ban.subject));
    let new = connection
        .prepare_cached(
            "INSERT INTO all_bans (id, jail, subject, first, start, until, offence, failures, origin)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)
             ON CONFLICT (id) DO NOTHING",
        )?
        .execute(params![
            id,
            ban.jail.as_str(),
            subject,
            first,
            ban.start.as_micros(),
            ban.until().map(Timestamp::as_micros),
            ban.offence,
            u32::try_from(ban.evidence.len()).unwrap_or(u32::MAX),
            ban.origin.to_string(),
        ])?;
    if new == 0 {
        return Ok(());
    }
    let mut link = connection.prepare_cached(
        "UPDATE failures SET ban = ?1, pending = 0 WHERE id = ?2 AND ban IS NULL",
    )?;
    for failure in &ban.evidence {
        link.execute(params![id, failure.0.cast_signed()])?;
    }
    // A ban empties the subject's window: what it did not use cannot help to make the next one.
    connection
        .prepare_cached(
            "UPDATE failures SET pending = 0
             WHERE pending AND jail = ?1 AND subject = ?2 AND +first = ?3",
        )?
        .execute(params![ban.jail.as_str(), subject, first])?;
    Ok(())
}

fn unban(connection: &Connection, unban: &Unban) -> rusqlite::Result<()> {
    let new = connection
        .prepare_cached(
            "UPDATE all_bans SET ended = ?2, release = ?3 WHERE id = ?1 AND ended IS NULL",
        )?
        .execute(params![
            unban.ban.0.cast_signed(),
            unban.time.as_micros(),
            unban.release.to_string(),
        ])?;
    // Whoever is merged stays banned, and while he is nothing counts against him.
    if new == 0 || unban.release == Release::Merged {
        return Ok(());
    }
    connection
        .prepare_cached(
            "UPDATE failures SET pending = 0
             WHERE pending AND jail = ?1 AND subject = ?2 AND +first = ?4 AND time <= ?3",
        )?
        .execute(params![
            unban.jail.as_str(),
            unban.subject.plain(),
            unban.time.as_micros(),
            first(&unban.subject)
        ])?;
    Ok(())
}

/// The ban that was ended in favour of a network's has not ended after all.
fn resume(connection: &Connection, resumed: &Resumed) -> rusqlite::Result<()> {
    connection
        .prepare_cached(
            "UPDATE all_bans SET ended = NULL, release = NULL WHERE id = ?1 AND release = 'merged'",
        )?
        .execute(params![resumed.ban.id.0.cast_signed()])?;
    Ok(())
}

fn remark(connection: &Connection, remark: &Remark) -> rusqlite::Result<()> {
    let update = match remark.about {
        About::Ban => "UPDATE all_bans SET reason = ?2 WHERE id = ?1",
        About::Unban => "UPDATE all_bans SET release_reason = ?2 WHERE id = ?1",
    };
    connection
        .prepare_cached(update)?
        .execute(params![remark.ban.0.cast_signed(), kept(&remark.reason)])?;
    Ok(())
}

fn forgive(connection: &Connection, forgiven: &Forgiven) -> rusqlite::Result<()> {
    let (subject, first) = (forgiven.subject.plain(), first(&forgiven.subject));
    connection
        .prepare_cached(
            "UPDATE all_bans SET forgiven = 1
             WHERE subject = ?1 AND jail = ?2 AND +first = ?3 AND NOT forgiven",
        )?
        .execute(params![subject, forgiven.jail.as_str(), first])?;
    connection
        .prepare_cached(
            "UPDATE failures SET pending = 0, counted = 0
             WHERE pending AND subject = ?1 AND jail = ?2 AND +first = ?3",
        )?
        .execute(params![subject, forgiven.jail.as_str(), first])?;
    Ok(())
}

fn allow(connection: &Connection, allowance: &Allowance) -> rusqlite::Result<()> {
    connection
        .prepare_cached(
            "INSERT INTO allowances (subject, since, until) VALUES (?1, ?2, ?3)
             ON CONFLICT (subject) DO UPDATE SET since = excluded.since, until = excluded.until",
        )?
        .execute(params![
            allowance.subject.plain(),
            allowance.since.as_micros(),
            allowance.until.as_micros()
        ])?;
    Ok(())
}

fn clear(connection: &Connection, cleared: &Cleared) -> rusqlite::Result<()> {
    connection
        .prepare_cached(
            "UPDATE failures SET cleared = ?6, counted = 0, pending = 0
             WHERE pending AND jail = ?1 AND subject = ?2 AND +first = ?7 AND time <= ?3
               AND (lower(trim(user)) = lower(trim(?4)) OR ?5 AND user IS NULL)",
        )?
        .execute(params![
            cleared.jail.as_str(),
            cleared.subject.plain(),
            cleared.time.as_micros(),
            cleared.user.as_deref().map(kept),
            cleared.nameless,
            cleared.before.0.cast_signed(),
            first(&cleared.subject)
        ])?;
    Ok(())
}

fn disallow(connection: &Connection, subject: Prefix) -> rusqlite::Result<()> {
    connection
        .prepare_cached("DELETE FROM allowances WHERE subject = ?1")?
        .execute([subject.plain()])?;
    Ok(())
}

fn notice(connection: &Connection, now: Timestamp, notice: &Notice) -> rusqlite::Result<()> {
    // Sieges, and bans that do not work, go by the time of records, by which they are found again.
    let time = match notice {
        Notice::Siege { time, .. }
        | Notice::SiegeOver { time, .. }
        | Notice::Unhindered { time, .. } => *time,
        _ => now,
    };
    let about = match notice {
        Notice::Unhindered { ban, .. } => Some(ban.id.0.cast_signed()),
        _ => None,
    };
    let (kind, jail, subject, detail) = match notice {
        Notice::Evicted { jail, subjects } => (
            "evicted",
            jail,
            String::new(),
            format!("{subjects} subjects under watch were forgotten"),
        ),
        Notice::LedgerFull { jail, subject } => (
            "ledger-full",
            jail,
            subject.plain(),
            "a ban was refused: too many are in force".to_owned(),
        ),
        Notice::NamesFull { jail } => (
            "names-full",
            jail,
            String::new(),
            "a failure did not count: too many wait for the addresses of names".to_owned(),
        ),
        Notice::Exceeded { jail, pattern } => (
            "exceeded",
            jail,
            String::new(),
            format!("{pattern} took too many steps on a line, which did not count for it"),
        ),
        Notice::Future { jail, ahead_micros } => {
            let ahead = Timestamp::from_micros(*ahead_micros).since(Timestamp::from_micros(0));
            let detail = format!("records ran {} ahead of the clock", Span(ahead));
            ("future", jail, String::new(), detail)
        }
        Notice::Unhindered { ban, cause, .. } => {
            let cause = cause.as_deref().unwrap_or("fails on though it is banned");
            let subject = ban.subject.plain();
            ("unhindered", &ban.jail, subject, cause.to_owned())
        }
        Notice::Login {
            jail,
            address,
            failures,
            others,
            user,
        } => {
            let user = user.as_deref().map(kept).unwrap_or_default();
            let detail = match others {
                0 => format!("after {failures} failures: {user}"),
                others => {
                    format!("after {failures} failures, and those of {others} other hosts: {user}")
                }
            };
            ("login", jail, text(*address), detail)
        }
        Notice::Spared {
            jail,
            subject,
            because,
        } => ("spared", jail, subject.plain(), kept(because).into_owned()),
        Notice::Siege {
            jail,
            rate,
            maxretry,
            ..
        } => {
            let detail = format!("more than {rate} failures, maxretry is {}", maxretry.0);
            ("siege", jail, String::new(), detail)
        }
        Notice::SiegeOver {
            jail,
            since,
            time,
            maxretry,
        } => {
            let lasted = Span(time.since(*since));
            let detail = format!("it lasted {lasted}, maxretry is {} again", maxretry.0);
            ("siege-over", jail, String::new(), detail)
        }
        Notice::Deaf {
            jail,
            filter,
            since,
            line,
        } => {
            let detail = format!("{filter} has taken nothing since {since}: {line}");
            ("deaf", jail, String::new(), detail)
        }
    };
    connection
        .prepare_cached(
            "INSERT INTO notices (time, jail, kind, subject, detail, ban) VALUES (?1, ?2, ?3, ?4, ?5, ?6)
             ON CONFLICT (time, jail, kind, subject, detail) DO NOTHING",
        )?
        .execute(params![
            time.as_micros(),
            jail.as_str(),
            kind,
            subject,
            detail,
            about
        ])?;
    Ok(())
}

/// An address as people write it; empty if there is none.
fn text(address: Option<IpAddr>) -> String {
    address
        .map(|address| address.to_string())
        .unwrap_or_default()
}

/// The column `first`: the first address of a subject. It is empty for a name, which by that is never taken for the
/// address that it may look like.
pub(super) fn first(subject: &Subject) -> Vec<u8> {
    let address = subject.network().map(Prefix::address);
    address.map(bytes).unwrap_or_default()
}

/// An address in network byte order.
pub(super) fn bytes(address: IpAddr) -> Vec<u8> {
    match address {
        IpAddr::V4(address) => address.octets().to_vec(),
        IpAddr::V6(address) => address.octets().to_vec(),
    }
}
