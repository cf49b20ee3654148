//! Which readers run, and where would they resume?
//!
//! Each source has a thread of its own. A reload that changes what is asked of a source stops its reader and
//! starts another one behind the last record that was dealt with, so that nothing is lost or read twice. What comes to
//! a socket of ours cannot be read again: its reader is told what is asked now, and goes on.

use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

use tokio::sync::mpsc::Sender;
use tokio::sync::watch;

use super::letter::Letter;
use super::reader;
use super::zone::{self, Suspicion};
use crate::engine::cursor::{Cursor, Stream};
use crate::engine::name::SourceName;
use crate::engine::record::Batch;
use crate::engine::time::Timestamp;
use crate::source::{Losses, SourceSpec, Start, Trouble};

/// All readers.
pub struct Sources {
    inbox: Sender<Letter>,
    generation: u64,
    readers: HashMap<SourceName, Reader>,
    cursors: BTreeMap<Stream, Cursor>,
    /// What came of each stream since the daemon began.
    parts: BTreeMap<Stream, Part>,
}

#[derive(Default)]
struct Part {
    records: u64,
    bytes: u64,
    suspicion: Suspicion,
}

struct Reader {
    spec: watch::Sender<SourceSpec>,
    generation: u64,
    /// Whether there was a thread for it.
    runs: bool,
    /// The reader ends when it hears `true`, and also when this is gone.
    stop: watch::Sender<bool>,
    read: Read,
    trouble: Option<String>,
    /// Whether it had nothing more when it was last heard of: what comes then was written just now.
    is_live: bool,
    /// Whether a wrong time zone has been told.
    zone_told: bool,
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
    /// How often records were gone before they could be read.
    pub gaps: u64,
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
    /// Its files, those with the newest records first; a source that is one stream has none.
    pub files: Vec<FileState>,
}

/// How a file of a source is doing.
#[derive(Clone, Debug)]
pub struct FileState {
    /// Its path.
    pub path: String,
    /// Records that were read of it since the daemon began.
    pub records: u64,
    /// Bytes of their text.
    pub bytes: u64,
    /// The time of its last record, also of an earlier run.
    pub last_record: Timestamp,
}

impl Reader {
    /// Whether one of `specs` is what is being read, or what the reader can go over to; then it is told so, also if
    /// it is the same: the certificates that it names may be others by now.
    fn goes_on_with(&self, specs: &[SourceSpec]) -> bool {
        let own = self.spec.borrow().clone();
        if let Some(next) = specs.iter().find(|spec| own.can_become(spec)) {
            self.spec.send_replace(next.clone());
            return true;
        }
        specs.contains(&own)
    }

    /// Tells once that dates are taken for those of another zone. Those of a journal and of reports have none.
    fn mind_the_zone(
        &mut self,
        suspicion: &mut Suspicion,
        now: Timestamp,
        newest: Timestamp,
        stream: &Stream,
    ) {
        let kind = self.spec.borrow();
        let has_zone = matches!(*kind, SourceSpec::Files(_) | SourceSpec::Syslog(_));
        if self.zone_told || !has_zone {
            return;
        }
        if let Some(steps) = suspicion.hear(now, newest) {
            self.zone_told = true;
            let Stream { source, part } = stream;
            let of = if part.is_empty() { "" } else { " of " };
            log::warn!(
                "source {source}: records{of}{part} are {}; set `timezone` if their dates are of another zone, or else the clock",
                zone::told(steps)
            );
        }
    }
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
            parts: BTreeMap::new(),
        }
    }

    /// Makes the running readers those of `specs`. A source that was never read before begins at `since`. What is
    /// to be told is returned: for which there is no thread, and for which there is one again.
    pub fn follow(&mut self, specs: &[SourceSpec], since: Timestamp) -> Vec<Trouble> {
        let (stay, leave): (HashMap<_, _>, HashMap<_, _>) = std::mem::take(&mut self.readers)
            .into_iter()
            .partition(|(_, reader)| reader.runs && reader.goes_on_with(specs));
        self.readers = stay;
        let mut troubles = Vec::new();
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
            let (wanted, wish) = watch::channel(spec.clone());
            let (stop, stopped) = watch::channel(false);
            let inbox = self.inbox.clone();
            let begun = reader::spawn(wish, start, self.generation, inbox, stopped);
            let ran = leave.get(name).is_none_or(|old| old.runs);
            let source = name.clone();
            let trouble = match &begun {
                Ok(()) => None,
                Err(error) => Some(format!("there is no thread for it: {error}")),
            };
            match trouble.clone() {
                Some(reason) if ran => troubles.push(Trouble::Unreadable { source, reason }),
                None if !ran => troubles.push(Trouble::Recovered { source }),
                _ => {}
            }
            let reader = Reader {
                spec: wanted,
                generation: self.generation,
                runs: begun.is_ok(),
                stop,
                // The same source, though it is asked for something else.
                read: leave.get(name).map_or_else(
                    || Read {
                        last_record,
                        ..Read::default()
                    },
                    |old| old.read,
                ),
                trouble,
                is_live: false,
                zone_told: false,
            };
            self.readers.insert(name.clone(), reader);
        }
        troubles
    }

    /// Whether there was no thread for a source.
    pub fn lack_threads(&self) -> bool {
        self.readers.values().any(|reader| !reader.runs)
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

    /// Notes that a batch was taken at `now`; the reader of its stream would resume at `cursor`, and has `more`.
    pub fn advance(
        &mut self,
        now: Timestamp,
        stream: &Stream,
        cursor: Option<&Cursor>,
        batch: &Batch,
        losses: Losses,
        more: bool,
    ) {
        if let Some(reader) = self.readers.get_mut(&stream.source) {
            if !self.parts.contains_key(stream) {
                self.parts.insert(stream.clone(), Part::default());
            }
            let was_live = std::mem::replace(&mut reader.is_live, !more);
            let read = &mut reader.read;
            read.records += batch.heard();
            read.bytes += batch.heard_bytes();
            read.losses += losses;
            if let Some(newest) = batch.newest() {
                read.lag = now.since(newest);
                read.last_record = read.last_record.max(Some(newest));
                if let Some(part) = self.parts.get_mut(stream) {
                    part.records += batch.heard();
                    part.bytes += batch.heard_bytes();
                    if was_live {
                        reader.mind_the_zone(&mut part.suspicion, now, newest, stream);
                    }
                }
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

    /// Forgets the files whose last record is older, as the store does. One that goes on is new then.
    pub fn forget(&mut self, before: Timestamp) {
        self.cursors
            .retain(|stream, cursor| stream.part.is_empty() || cursor.time >= before);
        let cursors = &self.cursors;
        self.parts
            .retain(|stream, _| stream.part.is_empty() || cursors.contains_key(stream));
    }

    /// Notes trouble, and that it is over; of a reader that was replaced it is of no interest any more.
    pub fn note(&mut self, trouble: &Trouble, generation: u64) {
        let (Trouble::Unreadable { source, .. }
        | Trouble::Recovered { source }
        | Trouble::Gap { source, .. }) = trouble;
        let reader = self.readers.get_mut(source);
        let Some(reader) = reader.filter(|reader| reader.generation == generation) else {
            return;
        };
        match trouble {
            Trouble::Unreadable { reason, .. } => reader.trouble = Some(reason.clone()),
            Trouble::Recovered { .. } => reader.trouble = None,
            Trouble::Gap { .. } => reader.read.gaps += 1,
        }
    }

    /// How the sources are doing.
    pub fn states(&self) -> Vec<SourceState> {
        let mut states: Vec<_> = self
            .readers
            .values()
            .map(|reader| SourceState {
                name: reader.spec.borrow().name().clone(),
                read: reader.read,
                trouble: reader.trouble.clone(),
                files: self.files(reader.spec.borrow().name()),
            })
            .collect();
        states.sort_by(|a, b| a.name.cmp(&b.name));
        states
    }

    fn files(&self, source: &SourceName) -> Vec<FileState> {
        let of_source = self.cursors.iter();
        let of_source = of_source.filter(|(stream, _)| stream.source == *source);
        let files = of_source.filter(|(stream, _)| !stream.part.is_empty());
        let mut files: Vec<_> = files
            .map(|(stream, cursor)| {
                let part = self.parts.get(stream);
                FileState {
                    path: stream.part.to_string(),
                    records: part.map_or(0, |part| part.records),
                    bytes: part.map_or(0, |part| part.bytes),
                    last_record: cursor.time,
                }
            })
            .collect();
        files.sort_by(|a, b| b.last_record.cmp(&a.last_record).then(a.path.cmp(&b.path)));
        files
    }

    /// Tells all readers to end; they do at their next look.
    pub fn stop(&mut self) {
        for (_, reader) in self.readers.drain() {
            // A reader that has ended already needs no word.
            let _ = reader.stop.send(true);
        }
    }
}
