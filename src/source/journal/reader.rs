//! How is one open journal read?
//!
//! Comes in: a handle of the journal's library, which belongs to the thread that opened it. Goes out:
//! batches and cursors. When to read, and what to tell whom, is decided one file up.

use std::ffi::CString;
use std::io;
use std::os::fd::{AsRawFd, RawFd};
use std::time::Duration;

use systemd::id128::Id128;
use systemd::journal::{Journal, JournalWaitResult, OpenDirectoryOptions, OpenOptions};

use super::entry::{Entry, LONGEST_FIELD};
use super::{JournalError, JournalSpec, access};
use crate::engine::cursor::Cursor;
use crate::engine::record::Batch;
use crate::engine::record::journal::JournalMatch;
use crate::engine::time::Timestamp;

/// Records of one batch. Each batch costs one transaction: large enough to make that cheap, small enough
/// that catching up shows its first bans at once.
const BATCH_RECORDS: usize = 512;

/// Text of one batch; of the longest messages it holds four.
const BATCH_BYTES: usize = 256 * 1024;

/// After how many entries it is considered how to go on reading: few enough that the wrong way costs little,
/// enough that they say something about those that come.
const LOOKED_AT: usize = 64;

/// How many entries that were asked for come before others are looked at again.
const ASKED_FOR: usize = 1024;

/// By how many terms the journal searches in the time in which we look at an entry. For each entry that it
/// shows it searches by all terms of the routes: with systemd 252 that takes some 0.6 µs and 0.05 to 0.1 µs
/// for each term, and an entry with its fields 1.8 µs.
const TERMS_PER_ENTRY: usize = 20;

/// An open journal and the place in it.
///
/// It is read in stretches, each up to the entry that was the newest when the stretch began. journald raises
/// the number of a file's entries before it enters the new one among those that a match finds, and
/// it may write to a file that was just searched while the next one is; who reads to where it happens to
/// end can pass over an entry for good. Everything before an entry that we have seen was
/// entirely written before, so a search that begins afterwards and stops there misses nothing.
pub struct Reader {
    journal: Journal,
    fd: RawFd,
    routes: Vec<JournalMatch>,
    entry: Entry,
    /// What has been read.
    place: Place,
    /// The newest entry when the stretch began; `None` if all that was there is read.
    end: Option<End>,
    /// Whether the journal shows only what the routes ask for. To search for a few entries among many is much
    /// cheaper than to look at all; but in a flood of attacks most entries are wanted.
    asked: bool,
    /// How many entries the journal has shown, and how many of them were wanted, since it shows what it shows now.
    shown: usize,
    wanted: usize,
}

/// Up to where the journal has been read.
enum Place {
    /// To this record.
    Behind(String),
    /// Everything older does not matter.
    Since(Timestamp),
    /// Nothing yet.
    Head,
}

/// The last entry of a stretch.
struct End {
    token: String,
    time: Timestamp,
    /// The time since which boot it was written. Unlike the time of day it never goes back.
    since_boot: (u64, Id128),
}

/// What happened in the journal's directories.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Seen {
    /// Nothing.
    Nothing,
    /// A file was written, or one went that the library had already dropped as unreadable; it does not tell
    /// which.
    Something,
    /// Files came or went.
    Files,
}

/// What a look has brought.
#[derive(Debug, PartialEq, Eq)]
pub enum Filled {
    /// Perhaps there is more.
    Some(Cursor),
    /// That was the newest entry a moment ago.
    All(Cursor),
    /// There was nothing new.
    Nothing,
}

/// What became of an attempt to stand behind a record that was read before.
#[derive(Debug, PartialEq, Eq)]
pub enum Standing {
    /// Right behind it.
    Exact,
    /// Behind the record of its time, which goes by another name, as in a journal that was copied.
    Renamed,
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
            place: Place::Head,
            end: None,
            asked: false,
            shown: 0,
            wanted: 0,
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

    /// Takes notice of files that came and went.
    pub fn refresh(&mut self) -> Result<Seen, JournalError> {
        Ok(match self.journal.process()? {
            JournalWaitResult::Nop => Seen::Nothing,
            JournalWaitResult::Append => Seen::Something,
            JournalWaitResult::Invalidate => Seen::Files,
        })
    }

    /// Stands before the first entry that is not older than `time`.
    pub fn stand_at(&mut self, time: Timestamp) -> Result<(), JournalError> {
        self.place = match self.newest()? {
            // Nothing there: everything that comes will be new.
            None => Place::Head,
            Some((_, newest)) if newest.time >= time => Place::Since(time),
            // Seeking a time that has not come yet would hide what is logged until then, which is long if
            // the clock was set back.
            Some((_, newest)) => Place::Behind(newest.token),
        };
        self.begin()
    }

    /// Stands before the oldest entry.
    pub fn stand_at_head(&mut self) -> Result<(), JournalError> {
        self.place = Place::Head;
        self.begin()
    }

    /// Stands behind the record of `cursor`, or where it would be, without asking whether something is missing.
    pub fn stand_again(&mut self, cursor: &Cursor) -> Result<(), JournalError> {
        self.end = None;
        self.place = Place::Behind(cursor.token.clone());
        self.resume()
    }

    /// Stands behind the record of `cursor`, or where it would be.
    pub fn stand_behind(
        &mut self,
        cursor: &Cursor,
        batch: &mut Batch,
    ) -> Result<Standing, JournalError> {
        let token = cursor.token.as_str();
        // All entries: after a reload the record itself may be one that nobody wants any more.
        self.show_all()?;
        // An unintelligible token is no error: it is a cursor whose record is not there.
        let sought = self.journal.seek_cursor(token).is_ok();
        if sought && self.journal.next()? > 0 && self.journal.test_cursor(token)? {
            self.place = Place::Behind(token.to_owned());
            self.begin()?;
            return Ok(Standing::Exact);
        }
        self.journal.seek_realtime_usec(micros(cursor.time))?;
        let behind = cursor.time.after(Duration::from_micros(1));
        if self.journal.next()? == 0 {
            self.stand_at(behind)?;
            return Ok(Standing::Gone { next: None });
        }
        let next = self.here()?;
        if next.time == cursor.time {
            self.stand_at(behind)?;
            return Ok(Standing::Renamed);
        }
        self.read(next.time, batch);
        self.place = Place::Behind(next.token.clone());
        self.begin()?;
        Ok(Standing::Gone { next: Some(next) })
    }

    /// Appends entries to `batch` until it is full or the stretch ends. The cursor is the one behind the last
    /// entry, whether anybody wanted that or not.
    ///
    /// What was read counts only if [`Reader::refresh`] has seen nothing afterwards: a file that is removed
    /// loses its content under our eyes.
    pub fn fill(&mut self, batch: &mut Batch) -> Result<Filled, JournalError> {
        if self.end.is_none() {
            if self.journal.next()? == 0 {
                return Ok(Filled::Nothing);
            }
            // There is news. How much is asked before it is read.
            self.end = self.newest()?.map(|(end, _)| end);
            self.resume()?;
        }
        let end = self.end.take().ok_or(JournalError::Lost)?;
        let mut last = None;
        let at_end = loop {
            if batch.len() >= BATCH_RECORDS || batch.bytes() >= BATCH_BYTES {
                break false;
            }
            let more = self.journal.next()? > 0;
            if self.asked && (!more || self.is_near(&end)?) {
                self.stand_near(&end)?;
                continue;
            }
            if !more {
                break true;
            }
            let time = self.time()?;
            self.read(time, batch);
            last = Some(time);
            // Cursors are compared as texts, which is slow.
            if !self.asked && time == end.time && self.journal.test_cursor(end.token.as_str())? {
                break true;
            }
            self.consider(&end)?;
        };
        if !at_end {
            self.end = Some(end);
        }
        let Some(time) = last else {
            return Ok(Filled::Nothing);
        };
        let token = self.journal.cursor()?;
        self.place = Place::Behind(token.clone());
        let cursor = Cursor { token, time };
        Ok(if at_end {
            Filled::All(cursor)
        } else {
            Filled::Some(cursor)
        })
    }

    /// Begins the first stretch at the place, up to what is the newest now.
    fn begin(&mut self) -> Result<(), JournalError> {
        self.end = self.newest()?.map(|(end, _)| end);
        self.resume()?;
        if let (Some(end), Place::Behind(token)) = (&self.end, &self.place)
            && *token == end.token
        {
            self.end = None;
        }
        Ok(())
    }

    /// Changes between asking and looking at all where that is cheaper; the place stays.
    fn consider(&mut self, end: &End) -> Result<(), JournalError> {
        if self.asked {
            if self.shown >= ASKED_FOR {
                self.show_all()?;
            }
            return Ok(());
        }
        if self.shown < LOOKED_AT {
            return Ok(());
        }
        let searches = self.entry.terms() + TERMS_PER_ENTRY;
        let is_cheaper = self.wanted * searches < self.shown * TERMS_PER_ENTRY;
        // Who asks near the end would come back to entries that he has read.
        if is_cheaper && !self.is_near(end)? {
            return self.ask();
        }
        (self.shown, self.wanted) = (0, 0);
        Ok(())
    }

    /// Lets the journal show only what the routes ask for from here on; the place stays.
    fn ask(&mut self) -> Result<(), JournalError> {
        for alternative in self.routes.iter().flat_map(|route| &route.alternatives) {
            for term in alternative {
                self.journal.match_add(&term.field, term.value.as_bytes())?;
            }
            self.journal.match_or()?;
        }
        self.asked = true;
        (self.shown, self.wanted) = (0, 0);
        Ok(())
    }

    /// Lets the journal show all entries from here on; the place stays.
    fn show_all(&mut self) -> Result<(), JournalError> {
        self.journal.match_flush()?;
        self.asked = false;
        (self.shown, self.wanted) = (0, 0);
        Ok(())
    }

    /// Goes to the place, so that the next entry is the first that has not been read.
    fn resume(&mut self) -> Result<(), JournalError> {
        self.show_all()?;
        match &self.place {
            Place::Head => self.journal.seek_head()?,
            Place::Since(time) => self.journal.seek_realtime_usec(micros(*time))?,
            Place::Behind(token) => {
                self.journal.seek_cursor(token.as_str())?;
                let there = self.journal.next()? > 0;
                // If the record is gone, this is one behind it.
                if there
                    && !self.journal.test_cursor(token.as_str())?
                    && self.journal.previous()? == 0
                {
                    self.journal.seek_head()?;
                }
            }
        }
        Ok(())
    }

    /// The newest entry, whether anybody wants that or not.
    fn newest(&mut self) -> Result<Option<(End, Cursor)>, JournalError> {
        self.show_all()?;
        self.journal.seek_tail()?;
        if self.journal.previous()? == 0 {
            return Ok(None);
        }
        let cursor = self.here()?;
        let end = End {
            token: cursor.token.clone(),
            time: cursor.time,
            since_boot: self.journal.monotonic_timestamp()?,
        };
        Ok(Some((end, cursor)))
    }

    /// Whether the entry here is the end, behind it, or of the same moment: of one read from a program
    /// journald makes several entries with the same time.
    fn is_near(&self, end: &End) -> Result<bool, JournalError> {
        let (micros, boot) = self.journal.monotonic_timestamp()?;
        Ok(boot == end.since_boot.1 && micros >= end.since_boot.0)
    }

    /// Goes on with all entries, from the first unread one that [`Reader::is_near`] the end.
    fn stand_near(&mut self, end: &End) -> Result<(), JournalError> {
        self.show_all()?;
        self.journal.seek_cursor(end.token.as_str())?;
        if self.journal.next()? == 0 || !self.journal.test_cursor(end.token.as_str())? {
            return Err(JournalError::Lost);
        }
        while self.is_near(end)? && !self.is_read()? {
            if self.journal.previous()? == 0 {
                self.journal.seek_head()?;
                break;
            }
        }
        Ok(())
    }

    /// Whether the entry here is known to be behind us.
    fn is_read(&self) -> Result<bool, JournalError> {
        Ok(match &self.place {
            Place::Behind(token) => self.journal.test_cursor(token.as_str())?,
            Place::Since(time) => self.time()? < *time,
            Place::Head => false,
        })
    }

    fn here(&self) -> Result<Cursor, JournalError> {
        let (token, time) = (self.journal.cursor()?, self.time()?);
        Ok(Cursor { token, time })
    }

    /// Appends the entry on which the journal stands, if anybody wants it.
    fn read(&mut self, time: Timestamp, batch: &mut Batch) {
        self.entry.clear();
        self.journal.restart_data();
        // A field that cannot be unpacked ends its entry, not the reading: what came before it counts.
        while let Ok(Some(field)) = self.journal.enumerate_data() {
            self.entry.field(field.data());
        }
        let wanted = self.entry.wanted(time, |record| batch.push(record));
        self.shown += 1;
        self.wanted += usize::from(wanted);
    }

    fn time(&self) -> Result<Timestamp, JournalError> {
        let micros = i64::try_from(self.journal.timestamp_usec()?).unwrap_or(i64::MAX);
        Ok(Timestamp::from_micros(micros))
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
