//! How is one open journal read?
//!
//! Comes in: a handle of the journal's library, which belongs to the thread that opened it. Goes out:
//! batches and cursors. When to read, and what to tell whom, is decided one file up.

use std::ffi::CString;
use std::io;
use std::os::fd::{AsRawFd, RawFd};
use std::time::Duration;

use systemd::journal::{Journal, JournalWaitResult, OpenDirectoryOptions, OpenOptions};

use super::entry::{Entry, LONGEST_FIELD};
use super::{JournalError, JournalSpec, access};
use crate::engine::record::Batch;
use crate::engine::record::journal::JournalMatch;
use crate::engine::time::Timestamp;
use crate::source::Cursor;

/// Records of one batch. Each batch costs one transaction: large enough to make that cheap, small enough
/// that catching up shows its first bans at once.
const BATCH_RECORDS: usize = 512;

/// Text of one batch; with the longest messages it holds few dozens of them.
const BATCH_BYTES: usize = 256 * 1024;

/// An open journal and the place in it.
pub struct Reader {
    journal: Journal,
    fd: RawFd,
    routes: Vec<JournalMatch>,
    entry: Entry,
}

/// What became of an attempt to stand behind a record that was read before.
#[derive(Debug, PartialEq, Eq)]
pub enum Standing {
    /// Right behind it.
    Exact,
    /// The record is gone, and with it perhaps others.
    Gone {
        /// The first entry of a later time that is still there. The reader stands on it, and its record is in
        /// the batch if anybody wants it.
        next: Option<Cursor>,
    },
}

impl Reader {
    /// Opens the journal, which must have something to read; the reader stands nowhere yet.
    pub fn open(spec: &JournalSpec) -> Result<Self, JournalError> {
        let opened = match (&spec.directory, &spec.namespace) {
            (Some(directory), _) => CString::new(directory.as_os_str().as_encoded_bytes())
                .map_err(systemd::Error::from)
                .and_then(|directory| OpenDirectoryOptions::default().open_directory(directory)),
            (None, Some(namespace)) => OpenOptions::default().open_namespace(namespace.as_str()),
            (None, None) => OpenOptions::default().local_only(true).open(),
        };
        let mut journal = match opened {
            Ok(journal) => journal,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Err(missing(spec)),
            Err(error) => return Err(access::denied(spec).unwrap_or(error.into())),
        };
        journal.set_data_threshold(LONGEST_FIELD)?;
        // Asking for the descriptor sets up the watches, and the first look always reports that; from
        // here on only real changes are.
        let fd = journal.fd()?;
        journal.process()?;
        let reader = Reader {
            journal,
            fd,
            routes: spec.routes.clone(),
            entry: Entry::new(&spec.routes),
        };
        reader.check(spec)?;
        Ok(reader)
    }

    /// Refuses a journal of which nothing, or not the present, can be read.
    pub fn check(&self, spec: &JournalSpec) -> Result<(), JournalError> {
        if let Some(denied) = access::denied(spec) {
            return Err(denied);
        }
        if self.journal.usage()? == 0 {
            return Err(missing(spec));
        }
        Ok(())
    }

    /// Takes notice of files that came and went; says whether any did.
    pub fn refresh(&mut self) -> Result<bool, JournalError> {
        let seen = self.journal.process()?;
        Ok(matches!(seen, JournalWaitResult::Invalidate))
    }

    /// Searches anew from the place where it stands.
    ///
    /// The library does not search a file again in which it found nothing until the number of its entries
    /// changes. journald raises that number first and then enters the entry among those that a match
    /// finds. Who looks in between would not see that entry before the next one is written.
    pub fn search_anew(&mut self) -> Result<(), JournalError> {
        self.journal.match_flush()?;
        self.ask()
    }

    /// Stands before the first entry that is not older than `time`.
    pub fn stand_at(&mut self, time: Timestamp) -> Result<(), JournalError> {
        self.journal.match_flush()?;
        self.journal.seek_tail()?;
        if self.journal.previous()? == 0 {
            // Nothing there: everything that comes will be new.
            self.journal.seek_head()?;
        } else if self.time()? >= time {
            self.journal.seek_realtime_usec(micros(time))?;
        }
        // Otherwise it stands on the newest entry. Seeking a time that has not come yet would hide
        // what is logged until then, which is long if the clock was set back.
        self.ask()
    }

    /// Stands before the oldest entry.
    pub fn stand_at_head(&mut self) -> Result<(), JournalError> {
        self.journal.match_flush()?;
        self.journal.seek_head()?;
        self.ask()
    }

    /// The place behind the newest entry, whether anybody wants that or not.
    pub fn newest(mut self) -> Result<Option<Cursor>, JournalError> {
        self.journal.match_flush()?;
        self.journal.seek_tail()?;
        if self.journal.previous()? == 0 {
            return Ok(None);
        }
        let (token, time) = (self.journal.cursor()?, self.time()?);
        Ok(Some(Cursor { token, time }))
    }

    /// Stands behind the record of `cursor`, or where it would be.
    pub fn stand_behind(
        &mut self,
        cursor: &Cursor,
        batch: &mut Batch,
    ) -> Result<Standing, JournalError> {
        let token = cursor.token.as_str();
        // Without matches: after a reload the record itself may be one that nobody wants any more.
        self.journal.match_flush()?;
        // An unintelligible token is no error: it is a cursor whose record is not there.
        let sought = self.journal.seek_cursor(token).is_ok();
        if sought && self.journal.next()? > 0 && self.journal.test_cursor(token)? {
            self.ask()?;
            return Ok(Standing::Exact);
        }
        self.journal.seek_realtime_usec(micros(cursor.time))?;
        let behind = cursor.time.after(Duration::from_micros(1));
        if self.journal.next()? == 0 {
            self.stand_at(behind)?;
            return Ok(Standing::Gone { next: None });
        }
        let time = self.time()?;
        if time == cursor.time {
            // The record itself, under another name, as in a journal that was copied.
            self.stand_at(behind)?;
            return Ok(Standing::Exact);
        }
        self.read(time, batch);
        let token = self.journal.cursor()?;
        self.ask()?;
        let next = Some(Cursor { token, time });
        Ok(Standing::Gone { next })
    }

    /// Appends entries to `batch` until it is full or, then `true`, there are no more. The cursor is the one
    /// behind the last entry, `None` if there was none.
    pub fn fill(&mut self, batch: &mut Batch) -> Result<(bool, Option<Cursor>), JournalError> {
        let mut last = None;
        let at_end = loop {
            if batch.len() >= BATCH_RECORDS || batch.bytes() >= BATCH_BYTES {
                break false;
            }
            if self.journal.next()? == 0 {
                break true;
            }
            let time = self.time()?;
            self.read(time, batch);
            last = Some(time);
        };
        let Some(time) = last else {
            return Ok((at_end, None));
        };
        // At the end the journal still stands on the last entry.
        let token = self.journal.cursor()?;
        Ok((at_end, Some(Cursor { token, time })))
    }

    /// Appends the entry on which the journal stands, if anybody wants it.
    fn read(&mut self, time: Timestamp, batch: &mut Batch) {
        self.entry.clear();
        self.journal.restart_data();
        // A field that cannot be unpacked ends its entry, not the reading: what came before it counts.
        while let Ok(Some(field)) = self.journal.enumerate_data() {
            self.entry.field(field.data());
        }
        self.entry.wanted(time, |record| batch.push(record));
    }

    fn time(&self) -> Result<Timestamp, JournalError> {
        let micros = i64::try_from(self.journal.timestamp_usec()?).unwrap_or(i64::MAX);
        Ok(Timestamp::from_micros(micros))
    }

    /// Asks the journal for the union of all routes from here on; the place stays.
    fn ask(&mut self) -> Result<(), JournalError> {
        for alternative in self.routes.iter().flat_map(|route| &route.alternatives) {
            for term in alternative {
                self.journal.match_add(&term.field, term.value.as_bytes())?;
            }
            self.journal.match_or()?;
        }
        Ok(())
    }
}

impl AsRawFd for Reader {
    fn as_raw_fd(&self) -> RawFd {
        self.fd
    }
}

fn missing(spec: &JournalSpec) -> JournalError {
    let places = access::described(spec);
    JournalError::Missing { places }
}

fn micros(time: Timestamp) -> u64 {
    u64::try_from(time.as_micros()).unwrap_or(0)
}
