//! The systemd journal.
//!
//! Comes in: which journal, what the jails want of it, and where to begin. Goes out: batches in the journal's
//! own order, each with the cursor behind it, and what the administrator should know. [`run`] follows
//! the journal until it is stopped, through rotation, vacuum, restarts of journald and times in which it
//! cannot be read; [`read_all`] reads to the end once. One thread owns the journal's handle: the
//! library allows no other.

mod access;
mod entry;
mod reader;

use std::ops::ControlFlow;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use tokio::io::Interest;
use tokio::io::unix::AsyncFd;
use tokio::runtime::Runtime;
use tokio::sync::watch;

use super::{Cursor, Delivery, Trouble};
use crate::engine::name::SourceName;
use crate::engine::record::Batch;
use crate::engine::record::journal::JournalMatch;
use crate::engine::time::Timestamp;
use reader::{Reader, Standing};

/// Which journal to read, and what of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JournalSpec {
    /// The source's name.
    pub name: SourceName,
    /// A directory of journal files instead of this machine's own.
    pub directory: Option<PathBuf>,
    /// A journal namespace instead of the default one.
    pub namespace: Option<String>,
    /// What the jails want; the place in this list is the `RouteId`. The journal is asked for the union.
    pub routes: Vec<JournalMatch>,
}

/// Where to begin.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Start {
    /// Behind the record of this cursor.
    Cursor(Cursor),
    /// At the first record that is not older.
    Since(Timestamp),
}

/// Why a journal cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum JournalError {
    /// Its files are there, but not for us.
    #[error(
        "no permission to read {path}: the user that runs f2bd must be in the group systemd-journal"
    )]
    Denied {
        /// The first file or directory that could not be opened.
        path: PathBuf,
    },
    /// There is no journal file yet, or none any more.
    #[error("no journal files in {places}: is systemd-journald running?")]
    Missing {
        /// Where they were looked for.
        places: String,
    },
    /// The journal's library says so.
    #[error("reading the journal failed: {0}")]
    Library(#[from] systemd::Error),
    /// The system gives no means to wait.
    #[error("cannot wait for the journal: {0}")]
    Wait(#[from] std::io::Error),
}

/// How often to look while records flow. journald wakes its readers at most every 250 ms, although an
/// entry can be read at once; only looking is faster. An attack is a flow of records, and the
/// deciding one rarely comes alone.
const BUSY_LOOK: Duration = Duration::from_millis(4);

/// How long after a record they are held to flow.
const BUSY: Duration = Duration::from_secs(2);

/// How often to search anew while records flow, for an entry that a look missed because it was just being
/// written (see [`Reader::search_anew`]; measured: one of 200). Later journald's wake-up does that.
const BUSY_SEARCH: Duration = Duration::from_millis(32);

/// How often to look when the flow has just ended: a slow attacker tries every few seconds.
const CALM_LOOK: Duration = Duration::from_millis(20);

/// How long after a record that is worth it. Later the journal's own wake-up must do, at no cost.
const CALM: Duration = Duration::from_secs(30);

/// The longest wait without looking: network file systems never wake anybody.
const IDLE_LOOK: Duration = Duration::from_secs(10);

/// The first wait before a journal that cannot be read is tried again; each wait is twice the last one.
const FIRST_RETRY: Duration = Duration::from_millis(250);

/// The longest such wait.
const LONGEST_RETRY: Duration = Duration::from_secs(5);

/// Follows the journal until `stop` holds `true`, its sender is gone, or `deliver` breaks. It may block in
/// `deliver`, which is how a busy driver slows the reader down. What cannot be read is told
/// once, tried again, and told once more when it can.
///
/// # Errors
/// Only if the system refuses the means to wait.
pub fn run(
    spec: &JournalSpec,
    start: Start,
    deliver: impl FnMut(Delivery) -> ControlFlow<()>,
    stop: watch::Receiver<bool>,
) -> Result<(), JournalError> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let follower = Follower {
        spec,
        place: start,
        deliver,
        stop,
        runtime,
        unreadable: false,
    };
    follower.run();
    Ok(())
}

/// Reads what the journal holds now, from `since` or its oldest entry on, and hands it on in batches.
///
/// # Errors
/// The journal cannot be read, or not to its end.
pub fn read_all(
    spec: &JournalSpec,
    since: Option<Timestamp>,
    mut each: impl FnMut(&Batch),
) -> Result<(), JournalError> {
    let mut reader = Reader::open(spec)?;
    if wants_nothing(spec) {
        return Ok(());
    }
    match since {
        Some(time) => reader.stand_at(time)?,
        None => reader.stand_at_head()?,
    }
    let mut batch = Batch::default();
    loop {
        batch.clear();
        let (at_end, _) = reader.fill(&mut batch)?;
        if !batch.is_empty() {
            each(&batch);
        }
        if at_end {
            return Ok(());
        }
    }
}

/// A journal that is asked for nothing would show everything.
fn wants_nothing(spec: &JournalSpec) -> bool {
    spec.routes
        .iter()
        .all(|route| route.alternatives.is_empty())
}

/// Why following came to a halt.
enum Halt {
    /// It was told to end.
    Stopped,
    /// The journal cannot be read.
    Failed(JournalError),
}

impl<E: Into<JournalError>> From<E> for Halt {
    fn from(error: E) -> Self {
        Halt::Failed(error.into())
    }
}

struct Follower<'a, D> {
    spec: &'a JournalSpec,
    /// Where to begin if the journal has to be opened again: behind what was delivered.
    place: Start,
    deliver: D,
    stop: watch::Receiver<bool>,
    runtime: Runtime,
    /// Whether that has been told, and not yet that it is over.
    unreadable: bool,
}

impl<D: FnMut(Delivery) -> ControlFlow<()>> Follower<'_, D> {
    fn run(mut self) {
        if wants_nothing(self.spec) {
            while self.pause(None, IDLE_LOOK).is_ok() {}
            return;
        }
        let mut retry = FIRST_RETRY;
        loop {
            let Err(Halt::Failed(error)) = self.follow() else {
                return;
            };
            if !self.unreadable {
                self.unreadable = true;
                retry = FIRST_RETRY;
                let trouble = Trouble::Unreadable {
                    source: self.spec.name.clone(),
                    reason: error.to_string(),
                };
                if self.hand_on(Delivery::Trouble(trouble)).is_err() {
                    return;
                }
            }
            if self.pause(None, retry).is_err() {
                return;
            }
            retry = (retry * 2).min(LONGEST_RETRY);
        }
    }

    /// Opens the journal and follows it as long as it can be read.
    fn follow(&mut self) -> Result<(), Halt> {
        let reader = Reader::open(self.spec)?;
        let mut reader = self.watched(reader)?;
        self.stand(reader.get_mut())?;
        let mut last_record: Option<Instant> = None;
        let mut last_search = Instant::now();
        let mut newest = None;
        loop {
            let mut batch = Batch::default();
            let (at_end, cursor) = reader.get_mut().fill(&mut batch)?;
            self.recovered()?;
            if !batch.is_empty() {
                last_record = Some(Instant::now());
            }
            // What was the newest entry before this look is behind us now, even if nobody wanted it.
            let moved = newest.take().filter(|_| at_end);
            if let Some(cursor) = cursor.or(moved) {
                self.records(batch, cursor)?;
            }
            let mut woken = false;
            if at_end {
                woken = self.pause(Some(&reader), look(last_record))?;
            } else if self.stopped() {
                return Err(Halt::Stopped);
            }
            let reader = reader.get_mut();
            if reader.refresh()? {
                reader.check(self.spec)?;
                if at_end {
                    // Whoever has read everything misses nothing when old files go, but the record at our
                    // cursor may go with them. So the cursor moves on, lest the next start report a gap.
                    newest = Reader::open(self.spec)?.newest()?;
                } else {
                    // The next entry may be gone, and the library would pass over that in silence.
                    self.stand(reader)?;
                }
            }
            let flows = last_record.is_some_and(|last| last.elapsed() < BUSY);
            if woken || newest.is_some() || flows && last_search.elapsed() >= BUSY_SEARCH {
                reader.search_anew()?;
                last_search = Instant::now();
            }
        }
    }

    /// Puts the journal's descriptor under the watch of the runtime.
    #[expect(
        deprecated,
        reason = "its successor is an unsafe function; what that asks for holds: a reader keeps one \
                  descriptor, open as long as it lives"
    )]
    fn watched(&self, reader: Reader) -> Result<AsyncFd<Reader>, JournalError> {
        let _inside = self.runtime.enter();
        Ok(AsyncFd::with_interest(reader, Interest::READABLE)?)
    }

    /// Stands where the reading has to begin, and tells of a gap there.
    fn stand(&mut self, reader: &mut Reader) -> Result<(), Halt> {
        let cursor = match &self.place {
            Start::Since(time) => return Ok(reader.stand_at(*time)?),
            Start::Cursor(cursor) => cursor,
        };
        let mut batch = Batch::default();
        let Standing::Gone { next } = reader.stand_behind(cursor, &mut batch)? else {
            return Ok(());
        };
        let gap = Trouble::Gap {
            source: self.spec.name.clone(),
            from: cursor.time,
            to: next.as_ref().map(|next| next.time),
        };
        self.recovered()?;
        self.hand_on(Delivery::Trouble(gap))?;
        match next {
            Some(next) => self.records(batch, next),
            None => Ok(()),
        }
    }

    /// Hands on records; from then on they are behind us.
    fn records(&mut self, batch: Batch, cursor: Cursor) -> Result<(), Halt> {
        self.place = Start::Cursor(cursor.clone());
        self.hand_on(Delivery::Records {
            source: self.spec.name.clone(),
            batch,
            cursor,
        })
    }

    fn recovered(&mut self) -> Result<(), Halt> {
        if !std::mem::take(&mut self.unreadable) {
            return Ok(());
        }
        let source = self.spec.name.clone();
        self.hand_on(Delivery::Trouble(Trouble::Recovered { source }))
    }

    fn hand_on(&mut self, delivery: Delivery) -> Result<(), Halt> {
        match (self.deliver)(delivery) {
            ControlFlow::Continue(()) => Ok(()),
            ControlFlow::Break(()) => Err(Halt::Stopped),
        }
    }

    fn stopped(&self) -> bool {
        *self.stop.borrow() || self.stop.has_changed().is_err()
    }

    /// Waits for `span`, at most until journald says that the journal has changed: then `true`.
    fn pause(&mut self, reader: Option<&AsyncFd<Reader>>, span: Duration) -> Result<bool, Halt> {
        let stop = &mut self.stop;
        self.runtime.block_on(async {
            let changed = async {
                match reader {
                    Some(reader) => reader.readable().await.map(|mut ready| ready.clear_ready()),
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                _ = stop.wait_for(|stop| *stop) => Err(Halt::Stopped),
                changed = changed => Ok(changed.map(|()| true)?),
                () = tokio::time::sleep(span) => Ok(false),
            }
        })
    }
}

/// How long to wait for the next record.
fn look(last_record: Option<Instant>) -> Duration {
    match last_record.map(|last| last.elapsed()) {
        Some(since) if since < BUSY => BUSY_LOOK,
        Some(since) if since < CALM => CALM_LOOK,
        _ => IDLE_LOOK,
    }
}
