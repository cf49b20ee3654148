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

use super::{Cursor, Delivery, Losses, Stream, Trouble, retry_after};
use crate::engine::name::SourceName;
use crate::engine::record::Batch;
use crate::engine::record::journal::JournalMatch;
use crate::engine::time::Timestamp;
use reader::{Filled, Reader, Seen, Standing};

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
    /// Where it is being read, an entry is gone.
    #[error("entries of the journal vanished while they were read")]
    Lost,
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

/// How often to look when the flow has just ended: a slow attacker tries every few seconds.
const CALM_LOOK: Duration = Duration::from_millis(20);

/// How long after a record that is worth it. Later the journal's own wake-up must do, at no cost.
const CALM: Duration = Duration::from_secs(30);

/// The longest wait without looking: network file systems never wake anybody.
const IDLE_LOOK: Duration = Duration::from_secs(10);

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
        moved: false,
        deliver,
        stop,
        runtime,
        more: true,
        failures: 0,
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
        let filled = reader.fill(&mut batch)?;
        if !batch.is_empty() {
            each(&batch);
        }
        if !matches!(filled, Filled::Some(_)) {
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
    /// Where to begin if the journal has to be opened again: behind what was read.
    place: Start,
    /// Whether the place has moved since it was delivered, over entries that nobody wanted.
    moved: bool,
    deliver: D,
    stop: watch::Receiver<bool>,
    runtime: Runtime,
    /// Whether there was more, by what was delivered last.
    more: bool,
    /// How often in a row it could not be read.
    failures: u32,
    /// Whether that has been told, and not yet that it is over.
    unreadable: bool,
}

impl<D: FnMut(Delivery) -> ControlFlow<()>> Follower<'_, D> {
    fn run(mut self) {
        if wants_nothing(self.spec) {
            while self.pause(None, IDLE_LOOK).is_ok() {}
            return;
        }
        loop {
            let Err(Halt::Failed(error)) = self.follow() else {
                return;
            };
            self.failures += 1;
            // One failure is no trouble yet: a file that journald is just making or removing looks broken.
            if self.failures > 1 && !self.unreadable {
                self.unreadable = true;
                let trouble = Trouble::Unreadable {
                    source: self.spec.name.clone(),
                    reason: error.to_string(),
                };
                if self.hand_on(Delivery::Trouble(trouble)).is_err() {
                    return;
                }
            }
            if self.pause(None, retry_after(self.failures)).is_err() {
                return;
            }
        }
    }

    /// Opens the journal and follows it as long as it can be read.
    fn follow(&mut self) -> Result<(), Halt> {
        let reader = Reader::open(self.spec)?;
        let mut reader = self.watched(reader)?;
        self.stand(reader.get_mut())?;
        let mut last_record: Option<Instant> = None;
        // Whether the reader has come to the end of what was there.
        let mut at_end = false;
        // Whether the next cursor is delivered even if nobody wanted what is before it.
        let mut tell = false;
        loop {
            let mut batch = Batch::default();
            let mut filled = Ok(Filled::Nothing);
            // First of all: on some file systems a file that is removed is cut to nothing, and who touches it
            // then is killed.
            let mut seen = reader.get_mut().refresh()?;
            if seen != Seen::Files {
                filled = reader.get_mut().fill(&mut batch);
                seen = reader.get_mut().refresh()?;
            }
            if seen == Seen::Something && !matches!(filled, Ok(Filled::Nothing)) {
                // Perhaps a file went that was being read. That is rare, but reading again costs little.
                self.stand(reader.get_mut())?;
                at_end = false;
                if self.stopped() {
                    return Err(Halt::Stopped);
                }
                continue;
            }
            if seen == Seen::Files {
                // Files came or went, and what was read just now may come from one that did.
                reader.get_ref().check(self.spec)?;
                match &self.place {
                    // Whoever has read everything misses nothing when old files go, but the record at our
                    // cursor may go with them. So the cursor moves on, lest the next start report a gap.
                    Start::Cursor(cursor) if at_end => {
                        reader.get_mut().stand_again(cursor)?;
                        self.tell()?;
                        tell = true;
                        at_end = matches!(filled, Ok(Filled::Nothing));
                    }
                    // The next entry may be gone, and the library would pass over that in silence.
                    _ => self.stand(reader.get_mut())?,
                }
                if self.stopped() {
                    return Err(Halt::Stopped);
                }
                continue;
            }
            let filled = filled?;
            self.recovered()?;
            if !batch.is_empty() {
                last_record = Some(Instant::now());
            }
            at_end = !matches!(filled, Filled::Some(_));
            match filled {
                Filled::Nothing => {
                    if self.more {
                        self.records(batch, None, false)?;
                    }
                    self.pause(Some(&reader), look(last_record))?;
                }
                Filled::Some(cursor) | Filled::All(cursor) => {
                    if tell || !batch.is_empty() {
                        self.records(batch, Some(cursor), !at_end)?;
                        tell = false;
                    } else {
                        self.place = Start::Cursor(cursor);
                        self.moved = true;
                    }
                    if self.stopped() {
                        return Err(Halt::Stopped);
                    }
                }
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
        let behind = cursor.time.after(Duration::from_micros(1));
        let next = match reader.stand_behind(cursor, &mut batch)? {
            Standing::Exact => return Ok(()),
            Standing::Renamed => {
                self.place = Start::Since(behind);
                return Ok(());
            }
            Standing::Gone { next } => next,
        };
        let gap = Trouble::Gap {
            source: self.spec.name.clone(),
            from: cursor.time,
            to: next.as_ref().map(|next| next.time),
        };
        self.recovered()?;
        self.hand_on(Delivery::Trouble(gap))?;
        if let Some(next) = next {
            return self.records(batch, Some(next), true);
        }
        // Told once: the record will not come back.
        self.place = Start::Since(behind);
        Ok(())
    }

    /// Hands on records; from then on they are behind us. Without a cursor the place is the same as before.
    fn records(&mut self, batch: Batch, cursor: Option<Cursor>, more: bool) -> Result<(), Halt> {
        if let Some(cursor) = &cursor {
            self.place = Start::Cursor(cursor.clone());
            self.moved = false;
        }
        self.more = more;
        self.hand_on(Delivery::Records {
            stream: Stream::whole(self.spec.name.clone()),
            batch,
            cursor,
            losses: Losses::default(),
            more,
        })
    }

    /// Delivers the place if it has moved.
    fn tell(&mut self) -> Result<(), Halt> {
        match self.place.clone() {
            Start::Cursor(cursor) if self.moved => {
                self.records(Batch::default(), Some(cursor), self.more)
            }
            _ => Ok(()),
        }
    }

    fn recovered(&mut self) -> Result<(), Halt> {
        self.failures = 0;
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

    /// Waits for `span`, at most until journald says that the journal has changed.
    fn pause(&mut self, reader: Option<&AsyncFd<Reader>>, span: Duration) -> Result<(), Halt> {
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
                changed = changed => Ok(changed?),
                () = tokio::time::sleep(span) => Ok(()),
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
