//! Which readers run, and where would they resume?
//!
//! Each source has a thread of its own. A reload that changes what is asked of a source stops its reader and
//! starts another one behind the last record that was dealt with, so that nothing is lost or read twice.

use std::collections::HashMap;
use std::ops::ControlFlow;

use tokio::sync::mpsc::Sender;
use tokio::sync::watch;

use super::letter::Letter;
use crate::engine::cursor::Cursor;
use crate::engine::name::SourceName;
use crate::engine::time::Timestamp;
use crate::source::Trouble;
use crate::source::journal::{self, JournalSpec, Start};

/// All readers.
pub struct Sources {
    inbox: Sender<Letter>,
    generation: u64,
    readers: HashMap<SourceName, Reader>,
    cursors: HashMap<SourceName, Cursor>,
}

struct Reader {
    spec: JournalSpec,
    generation: u64,
    /// The reader ends when it hears `true`, and also when this is gone.
    stop: watch::Sender<bool>,
    records: u64,
    last_record: Option<Timestamp>,
    trouble: Option<String>,
}

/// How a source is doing.
#[derive(Clone, Debug)]
pub struct SourceState {
    /// Its name.
    pub name: SourceName,
    /// Records read since the daemon began.
    pub records: u64,
    /// The time of the newest record.
    pub last_record: Option<Timestamp>,
    /// Why it cannot be read at the moment.
    pub trouble: Option<String>,
}

impl Sources {
    /// No reader yet; `cursors` is where the last run stood.
    pub fn new(inbox: Sender<Letter>, cursors: Vec<(SourceName, Cursor)>) -> Self {
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
    pub fn follow(&mut self, specs: &[JournalSpec], since: Timestamp) -> std::io::Result<()> {
        let (stay, leave): (HashMap<_, _>, HashMap<_, _>) = std::mem::take(&mut self.readers)
            .into_iter()
            .partition(|(_, reader)| specs.contains(&reader.spec));
        self.readers = stay;
        for spec in specs {
            if self.readers.contains_key(&spec.name) || spec.routes.is_empty() {
                continue;
            }
            self.generation += 1;
            let start = match self.cursors.get(&spec.name) {
                Some(cursor) => Start::Cursor(cursor.clone()),
                None => Start::Since(since),
            };
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
                records: leave.get(&spec.name).map_or(0, |old| old.records),
                last_record: self.cursors.get(&spec.name).map(|cursor| cursor.time),
                trouble: None,
            };
            self.readers.insert(spec.name.clone(), reader);
        }
        Ok(())
    }

    /// Whether a delivery comes from a reader that is still wanted.
    pub fn knows(&self, source: &SourceName, generation: u64) -> bool {
        self.readers
            .get(source)
            .is_some_and(|reader| reader.generation == generation)
    }

    /// Notes that a batch was dealt with; the reader would resume at `cursor`.
    pub fn advance(&mut self, source: &SourceName, cursor: Cursor, records: usize) {
        if let Some(reader) = self.readers.get_mut(source) {
            reader.records += records as u64;
            reader.last_record = Some(cursor.time);
            reader.trouble = None;
        }
        self.cursors.insert(source.clone(), cursor);
    }

    /// Where `source` would resume.
    pub fn cursor(&self, source: &SourceName) -> Option<&Cursor> {
        self.cursors.get(source)
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
                name: reader.spec.name.clone(),
                records: reader.records,
                last_record: reader.last_record,
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
    spec: JournalSpec,
    start: Start,
    generation: u64,
    inbox: Sender<Letter>,
    stopped: watch::Receiver<bool>,
) -> std::io::Result<()> {
    let name = format!("source-{}", spec.name);
    std::thread::Builder::new().name(name).spawn(move || {
        let deliver = |delivery| match inbox.blocking_send(Letter::Delivery {
            generation,
            delivery,
        }) {
            Ok(()) => ControlFlow::Continue(()),
            // The driver has ended.
            Err(_) => ControlFlow::Break(()),
        };
        if let Err(error) = journal::run(&spec, start, deliver, stopped) {
            log::error!("source {}: {error}", spec.name);
        }
    })?;
    Ok(())
}
