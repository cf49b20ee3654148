//! Which readers run, and where would they resume?
//!
//! Each source has a thread of its own. A reload that changes what is asked of a source stops its reader and
//! starts another one behind the last record that was dealt with, so that nothing is lost or read twice of what can
//! be read again; a socket of ours hears nothing until the new reader has opened it.

use std::collections::{BTreeMap, HashMap};
use std::ops::ControlFlow;
use std::time::Duration;

use tokio::sync::mpsc::Sender;
use tokio::sync::watch;

use super::letter::Letter;
use crate::engine::cursor::{Cursor, Stream};
use crate::engine::name::SourceName;
use crate::engine::record::Batch;
use crate::engine::time::Timestamp;
use crate::source::{self, Delivery, Losses, SourceSpec, Start, Trouble};

/// All readers.
pub struct Sources {
    inbox: Sender<Letter>,
    generation: u64,
    readers: HashMap<SourceName, Reader>,
    cursors: BTreeMap<Stream, Cursor>,
}

struct Reader {
    spec: SourceSpec,
    generation: u64,
    /// The reader ends when it hears `true`, and also when this is gone.
    stop: watch::Sender<bool>,
    read: Read,
    trouble: Option<String>,
}

/// What was read of a source since the daemon began.
#[derive(Clone, Copy, Debug, Default)]
pub struct Read {
    /// Records.
    pub records: u64,
    /// Bytes of their text.
    pub bytes: u64,
    /// The time of the newest record.
    pub last_record: Option<Timestamp>,
    /// How long after that it was dealt with: how far the source is behind.
    pub lag: Duration,
    /// What did not come as it was sent.
    pub losses: Losses,
}

/// How a source is doing.
#[derive(Clone, Debug)]
pub struct SourceState {
    /// Its name.
    pub name: SourceName,
    /// What was read of it.
    pub read: Read,
    /// Why it cannot be read at the moment.
    pub trouble: Option<String>,
}

impl Sources {
    /// No reader yet; `cursors` is where the last run stood.
    pub fn new(inbox: Sender<Letter>, cursors: Vec<(Stream, Cursor)>) -> Self {
        let cursors = cursors.into_iter().collect();
        Sources {
            inbox,
            generation: 0,
            readers: HashMap::new(),
            cursors,
        }
    }

    /// Makes the running readers those of `specs`. A source that was never read before begins at `since`.
    ///
    /// # Errors
    /// A thread could not be started.
    pub fn follow(&mut self, specs: &[SourceSpec], since: Timestamp) -> std::io::Result<()> {
        let (stay, leave): (HashMap<_, _>, HashMap<_, _>) = std::mem::take(&mut self.readers)
            .into_iter()
            .partition(|(_, reader)| specs.contains(&reader.spec));
        self.readers = stay;
        for spec in specs {
            let name = spec.name();
            if self.readers.contains_key(name) {
                continue;
            }
            self.generation += 1;
            let of_source = self
                .cursors
                .iter()
                .filter(|(stream, _)| stream.source == *name);
            let cursors: Vec<_> = of_source
                .map(|(stream, cursor)| (stream.clone(), cursor.clone()))
                .collect();
            let last_record = cursors.iter().map(|(_, cursor)| cursor.time).max();
            let start = Start { cursors, since };
            let (stop, stopped) = watch::channel(false);
            spawn(
                spec.clone(),
                start,
                self.generation,
                self.inbox.clone(),
                stopped,
            )?;
            let reader = Reader {
                spec: spec.clone(),
                generation: self.generation,
                stop,
                // The same source, though it is asked for something else.
                read: leave.get(name).map_or_else(
                    || Read {
                        last_record,
                        ..Read::default()
                    },
                    |old| old.read,
                ),
                trouble: None,
            };
            self.readers.insert(name.clone(), reader);
        }
        Ok(())
    }

    /// Whether a delivery comes from a reader that is still wanted.
    pub fn knows(&self, source: &SourceName, generation: u64) -> bool {
        self.readers
            .get(source)
            .is_some_and(|reader| reader.generation == generation)
    }

    /// Whether a source is read, by whatever reader.
    pub fn reads(&self, source: &SourceName) -> bool {
        self.readers.contains_key(source)
    }

    /// Notes that a batch was taken at `now`; the reader of its stream would resume at `cursor`.
    pub fn advance(
        &mut self,
        now: Timestamp,
        stream: &Stream,
        cursor: Option<&Cursor>,
        batch: &Batch,
        losses: Losses,
    ) {
        if let Some(reader) = self.readers.get_mut(&stream.source) {
            let read = &mut reader.read;
            read.records += batch.len() as u64;
            read.bytes += batch.bytes() as u64;
            read.losses += losses;
            if let Some(newest) = batch.iter().map(|record| record.time).max() {
                read.lag = now.since(newest);
                read.last_record = read.last_record.max(Some(newest));
            }
        }
        if let Some(cursor) = cursor {
            self.cursors.insert(stream.clone(), cursor.clone());
        }
    }

    /// Where `stream` would be resumed.
    pub fn cursor(&self, stream: &Stream) -> Option<&Cursor> {
        self.cursors.get(stream)
    }

    /// Notes trouble, and that it is over.
    pub fn note(&mut self, trouble: &Trouble) {
        let (source, reason) = match trouble {
            Trouble::Unreadable { source, reason } => (source, Some(reason.clone())),
            Trouble::Recovered { source } => (source, None),
            Trouble::Gap { .. } => return,
        };
        if let Some(reader) = self.readers.get_mut(source) {
            reader.trouble = reason;
        }
    }

    /// How the sources are doing.
    pub fn states(&self) -> Vec<SourceState> {
        let mut states: Vec<_> = self
            .readers
            .values()
            .map(|reader| SourceState {
                name: reader.spec.name().clone(),
                read: reader.read,
                trouble: reader.trouble.clone(),
            })
            .collect();
        states.sort_by(|a, b| a.name.cmp(&b.name));
        states
    }

    /// Tells all readers to end; they do at their next look.
    pub fn stop(&mut self) {
        for (_, reader) in self.readers.drain() {
            // A reader that has ended already needs no word.
            let _ = reader.stop.send(true);
        }
    }
}

fn spawn(
    spec: SourceSpec,
    start: Start,
    generation: u64,
    inbox: Sender<Letter>,
    stopped: watch::Receiver<bool>,
) -> std::io::Result<()> {
    let name = format!("source-{}", spec.name());
    std::thread::Builder::new().name(name).spawn(move || {
        let deliver = |delivery| match inbox.blocking_send(Letter::Delivery {
            generation,
            delivery,
        }) {
            Ok(()) => ControlFlow::Continue(()),
            // The driver has ended.
            Err(_) => ControlFlow::Break(()),
        };
        if let Err(error) = source::run(&spec, start, &deliver, stopped) {
            // It stays so until a reload or a restart, and says so.
            let _ = deliver(Delivery::Trouble(Trouble::Unreadable {
                source: spec.name().clone(),
                reason: error.to_string(),
            }));
        }
    })?;
    Ok(())
}
