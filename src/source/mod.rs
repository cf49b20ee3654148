//! How do the bytes of the world become records?
//!
//! A source fills batches and hands each of them on together with the cursor behind its last record. It
//! decides nothing and parses nothing by itself: fields and text are read in `engine::record`.

pub mod file;
pub mod journal;
pub mod report;
mod socket;
pub mod syslog;

use std::ops::ControlFlow;
use std::time::Duration;

use tokio::sync::watch;

use crate::engine::cursor::{Cursor, Stream};
use crate::engine::name::SourceName;
use crate::engine::record::Batch;
use crate::engine::time::Timestamp;
use file::FilesSpec;
use journal::{JournalError, JournalSpec};
use report::ReportSpec;
use syslog::SyslogSpec;

/// What is to be read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SourceSpec {
    /// A systemd journal.
    Journal(JournalSpec),
    /// Log files.
    Files(FilesSpec),
    /// Sockets to which others send syslog messages.
    Syslog(SyslogSpec),
    /// A socket for what applications report by themselves.
    Report(ReportSpec),
}

/// Where to begin.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Start {
    /// Streams of the source that were read before, and how far.
    pub cursors: Vec<(Stream, Cursor)>,
    /// Older records of a source that was never read before are of no use.
    pub since: Timestamp,
}

/// Why a source cannot be read at all.
#[derive(Debug, thiserror::Error)]
pub enum SourceError {
    /// The journal.
    #[error(transparent)]
    Journal(#[from] JournalError),
    /// The system gives no thread, no socket or no means to wait.
    #[error("cannot be read at all: {0}")]
    System(#[from] std::io::Error),
}

impl SourceSpec {
    /// The source's name.
    pub fn name(&self) -> &SourceName {
        match self {
            SourceSpec::Journal(spec) => &spec.name,
            SourceSpec::Files(spec) => &spec.name,
            SourceSpec::Syslog(spec) => &spec.name,
            SourceSpec::Report(spec) => &spec.name,
        }
    }

    /// Whether a reader of this one goes over to `other` by itself. What comes to a socket cannot be had again, so
    /// the sockets that both have must stay open meanwhile.
    pub fn can_become(&self, other: &SourceSpec) -> bool {
        match (self, other) {
            (SourceSpec::Syslog(_), SourceSpec::Syslog(_))
            | (SourceSpec::Report(_), SourceSpec::Report(_)) => self.name() == other.name(),
            _ => false,
        }
    }
}

/// Reads a source until `stop` holds `true`, its sender is gone, or `deliver` breaks. It may block in `deliver`:
/// that is how a busy driver slows down a reader that can wait. A source that listens goes by what `wanted` says
/// later, too; see [`SourceSpec::can_become`].
///
/// # Errors
/// The system refuses what is needed to read at all. What can get better by itself is told as [`Trouble`].
pub fn run(
    mut wanted: watch::Receiver<SourceSpec>,
    start: Start,
    deliver: impl FnMut(Delivery) -> ControlFlow<()>,
    stop: watch::Receiver<bool>,
) -> Result<(), SourceError> {
    let spec = wanted.borrow_and_update().clone();
    match spec {
        SourceSpec::Journal(spec) => {
            let known = start.cursors.into_iter().next();
            let place = known.map_or(journal::Start::Since(start.since), |(_, cursor)| {
                journal::Start::Cursor(cursor)
            });
            Ok(journal::run(&spec, place, deliver, stop)?)
        }
        SourceSpec::Files(spec) => Ok(file::run(&spec, start, deliver, stop)?),
        SourceSpec::Syslog(spec) => {
            let changed = async || loop {
                if let SourceSpec::Syslog(spec) = changed(&mut wanted).await {
                    return spec;
                }
            };
            Ok(syslog::run(spec, changed, deliver, stop)?)
        }
        SourceSpec::Report(spec) => {
            let changed = async || loop {
                if let SourceSpec::Report(spec) = changed(&mut wanted).await {
                    return spec;
                }
            };
            Ok(report::run(spec, changed, deliver, stop)?)
        }
    }
}

/// Waits until something is wanted anew; for ever, if nobody is there to want it.
async fn changed(wanted: &mut watch::Receiver<SourceSpec>) -> SourceSpec {
    match wanted.changed().await {
        Ok(()) => wanted.borrow_and_update().clone(),
        Err(_) => std::future::pending().await,
    }
}

/// The first wait before what failed is tried again; each wait is twice the last one.
const FIRST_RETRY: Duration = Duration::from_millis(250);

/// The longest such wait.
const LONGEST_RETRY: Duration = Duration::from_secs(5);

/// How long to wait after so many failures in a row.
fn retry_after(failures: u32) -> Duration {
    let doubled = 2_u32.saturating_pow(failures.saturating_sub(1));
    FIRST_RETRY.saturating_mul(doubled).min(LONGEST_RETRY)
}

/// The word that a source has nothing more at the moment. One that listens says so first of all: what was sent while
/// nobody listened is gone, and nothing of it is to be waited for.
fn nothing_more(source: &SourceName) -> Delivery {
    Delivery::Records {
        stream: Stream::whole(source.clone()),
        batch: Batch::default(),
        cursor: None,
        losses: Losses::default(),
        more: false,
    }
}

/// How many lines are said of one thing that strangers do: enough for every sender that is set up wrongly. Whoever
/// forges his address has as many as he likes.
const TOLD: usize = 16;

/// Of whom something was said: of each once, and of no more than [`TOLD`].
#[derive(Debug)]
struct Told<K>(Vec<K>);

impl<K: PartialEq> Told<K> {
    /// Whether it is to be said of this one now.
    fn is_news(&mut self, of: K) -> bool {
        let is_news = self.0.len() < TOLD && !self.0.contains(&of);
        if is_news {
            self.0.push(of);
        }
        is_news
    }

    /// All is news again.
    fn forget(&mut self) {
        self.0.clear();
    }
}

impl<K> Default for Told<K> {
    fn default() -> Self {
        Told(Vec::new())
    }
}

/// So much of what a stranger wrote stands in a line of ours.
const EXCERPT: usize = 48;

/// The beginning of what a stranger wrote, harmless.
fn excerpt(bytes: &[u8]) -> String {
    let start = &bytes[..bytes.len().min(EXCERPT)];
    let more = if start.len() < bytes.len() { "..." } else { "" };
    format!("{}{more}", start.escape_ascii())
}

/// What a source could not hand on as it came, since its last delivery.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Losses {
    /// Records that were too long and lost their end.
    pub cut: u64,
    /// Records that the kernel dropped since they came faster than they were read.
    pub dropped: u64,
    /// Messages and connections that were not let in.
    pub refused: u64,
    /// Lines that are not of the form that the source has.
    pub malformed: u64,
}

impl std::ops::AddAssign for Losses {
    fn add_assign(&mut self, more: Losses) {
        self.cut += more.cut;
        self.dropped += more.dropped;
        self.refused += more.refused;
        self.malformed += more.malformed;
    }
}

/// What a source hands on.
#[derive(Debug)]
pub enum Delivery {
    /// Records, and where to resume behind them. The batch may be empty when only the cursor moved, or when there
    /// are only losses to tell.
    Records {
        /// Which stream of which source.
        stream: Stream,
        /// In order.
        batch: Batch,
        /// Behind the last record of the batch; `None` if what is missed cannot be read later.
        cursor: Option<Cursor>,
        /// What is missing in the batch.
        losses: Losses,
        /// Whether the source has more already. As soon as it has none, a delivery says so, with an empty batch if
        /// need be.
        more: bool,
    },
    /// Something the administrator should know, said once.
    Trouble(Trouble),
}

/// What can go wrong with a source, and that it is over.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Trouble {
    /// The source cannot be read; it is tried again by itself.
    Unreadable {
        /// Which source.
        source: SourceName,
        /// What the system said, and what to do about it.
        reason: String,
    },
    /// The source can be read again.
    Recovered {
        /// Which source.
        source: SourceName,
    },
    /// Records between these moments were gone before they could be read.
    Gap {
        /// Which source.
        source: SourceName,
        /// The last record that was read.
        from: Timestamp,
        /// The first one after it that is still there; `None` if none is.
        to: Option<Timestamp>,
    },
}
