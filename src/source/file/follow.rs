//! How is one log followed through its files?
//!
//! A log is a path. The file that it names changes: it is renamed and made anew, copied and cut to nothing, packed. Comes
//! in: what the path and the files beside it are now. Goes out: each line once, in the order of the files, and a cursor
//! behind it that finds the place again.

mod adding;
mod passing;
mod reading;
mod release;
mod search;

use std::fs::{self, Metadata};
use std::io::{self, ErrorKind};
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::time::Instant;

use super::FilesSpec;
use super::hands::{Hands, Stopped};
use super::part::{Body, Part};
use super::rotated::Candidate;
use super::token::Token;
use crate::engine::cursor::{Cursor, Stream};
use crate::engine::record::Batch;
use crate::engine::record::journal::RouteId;
use crate::engine::record::line::LineReader;
use crate::engine::time::Timestamp;
use crate::source::{Delivery, Losses};
use passing::Sample;
use search::Search;

/// The most old files of all logs together that are open and not read to their end, but for those of the log that opens
/// the last of them: after a long downtime each log may have [`super::token::MOST_PLACES`] of them. The other logs wait.
const MOST_UNREAD: usize = 192;

/// Where to begin in a file that was never read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Begin {
    /// At its first line.
    Head,
    /// At the first line that is not older.
    Since(Timestamp),
}

/// One log.
pub struct Log {
    /// The path that is followed.
    pub path: PathBuf,
    /// Where that really is.
    pub real: PathBuf,
    /// Whether something may have been written.
    pub dirty: bool,
    /// Whether files may have moved.
    pub moved: bool,
    stream: Stream,
    routes: Vec<RouteId>,
    reader: LineReader,
    /// When it was looked at last.
    now: Timestamp,
    begin: Begin,
    /// Older files have nothing that matters.
    since: Timestamp,
    /// Oldest first; the last one is what the path names, unless that is missing.
    parts: Vec<Part>,
    /// Whether it is.
    at_path: bool,
    /// See [`Token::settled`].
    settled: i64,
    /// Set while not all files that came since then are known.
    search: Option<Search>,
    /// What the system said when a file was read last.
    broken: Option<io::Error>,
    /// The last record before the daemon began, and the first one after.
    resumed: (Timestamp, Option<Timestamp>),
    /// Where records may be lost, which is still to be told.
    gap: Option<Gap>,
    batch: Batch,
    losses: Losses,
    /// How many lines were passed over since the last record.
    passed: u32,
    /// What is read though it could be passed over.
    sample: Sample,
    /// Whether there is something in the batch that a pattern may take.
    is_loud: bool,
    /// When something was handed on last.
    told: Instant,
    /// The time of the last record.
    last: Timestamp,
    /// Whether the cursor says something new although there was no record.
    stale: bool,
    /// When it last had a record.
    active: Instant,
    /// How many files are open, while they have not been read to their end.
    unread: usize,
    /// Room for a line that is in another encoding.
    decoded: String,
    /// Whether it has been said that there are lines of another form.
    told_malformed: bool,
    /// Whether it was told that dates are not found.
    told_dateless: bool,
    /// Whether it was told that its letters are of two bytes.
    told_wide: bool,
}

/// Where records may be lost.
enum Gap {
    /// Between the last one before the daemon began and the first one after.
    AtStart,
    /// From this moment on.
    Behind(Timestamp),
}

/// What the path names.
enum AtPath {
    /// The file that is being read: nothing was heard but that somebody has written. Whether it was cut to nothing
    /// shows when it is read, and what is not heard of shows at the next look for no reason.
    Unmoved,
    File(Metadata),
    Missing,
    Unfit(String),
}

/// What became of a look at a log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Looked {
    /// All that is there has been handed on.
    AtEnd,
    /// There is more.
    More,
    /// A file is being looked for; look again soon.
    Searching,
    /// Likewise, and nothing was read, since that file may come first.
    Waiting,
}

impl Log {
    /// A log that was never read.
    pub fn new(
        spec: &FilesSpec,
        path: &Path,
        begin: Begin,
        since: Timestamp,
        now: Timestamp,
    ) -> Self {
        let means = |globs: &Vec<_>| {
            globs
                .iter()
                .any(|glob: &super::FileGlob| glob.matches(path))
        };
        let routes = spec
            .wanted
            .iter()
            .enumerate()
            .filter(|(_, globs)| means(globs));
        Log {
            path: path.to_owned(),
            real: path.to_owned(),
            dirty: true,
            moved: true,
            stream: Stream {
                source: spec.name.clone(),
                part: path.to_string_lossy().into(),
            },
            routes: routes
                .filter_map(|(route, _)| u16::try_from(route).ok().map(RouteId))
                .collect(),
            reader: LineReader::new(&spec.form, now),
            now,
            begin,
            since,
            parts: Vec::new(),
            at_path: false,
            settled: i64::MIN,
            search: None,
            broken: None,
            resumed: (since, None),
            gap: None,
            batch: Batch::default(),
            losses: Losses::default(),
            passed: 0,
            sample: Sample::default(),
            is_loud: false,
            told: Instant::now(),
            last: since,
            stale: false,
            active: Instant::now(),
            unread: 0,
            decoded: String::new(),
            told_malformed: false,
            told_dateless: false,
            told_wide: false,
        }
    }

    /// Goes on behind `cursor`. One that is not understood at least says when.
    pub fn resume(&mut self, cursor: &Cursor) {
        self.last = cursor.time;
        self.resumed = (cursor.time, None);
        match cursor.token.parse::<Token>() {
            Ok(token) => {
                self.begin = Begin::Head;
                self.settled = token.settled;
                self.reader.resume(token.unfinished);
                self.parts = token.places.iter().map(Part::of).collect();
                self.search = Some(Search::new());
            }
            Err(error) => {
                log::warn!(
                    "{}: {error}; it is read by the times of its lines",
                    self.path.display()
                );
                self.begin = Begin::Since(self.since.max(cursor.time));
            }
        }
    }

    /// Whether it reads this file, whatever that is called now.
    pub fn owns(&self, file: &Candidate) -> bool {
        self.parts.iter().any(|part| {
            part.identity == file.identity()
                && (part.reached() == 0 || part.head().fits(&file.front))
        })
    }

    /// Looks whether somebody writes on to a file of it that was let go.
    pub fn seek_more(&mut self) {
        self.search.get_or_insert_with(Search::new);
        self.dirty = true;
        self.moved = true;
    }

    /// Whether it looks for files that may be just being moved.
    pub fn is_searching(&self) -> bool {
        self.search.is_some() && (self.at_path || self.is_waiting())
    }

    fn is_waiting(&self) -> bool {
        self.search.as_ref().is_some_and(Search::holds_up)
    }

    /// Looks what the path and its files are now and hands on what is new.
    pub fn look<D: FnMut(Delivery) -> ControlFlow<()>>(
        &mut self,
        hands: &mut Hands<'_, D>,
    ) -> Result<Looked, Stopped> {
        self.dirty = false;
        self.now = hands.now();
        self.reader.set_now(self.now);
        self.sample.renew(self.now);
        let at_path = self.at_path();
        let last = self.parts.last();
        let same = match &at_path {
            AtPath::Unmoved => true,
            AtPath::File(data) => self.at_path && last.is_some_and(|part| part.lives_on_in(data)),
            AtPath::Missing | AtPath::Unfit(_) => !self.at_path,
        };
        let settles = !same || (self.moved && self.search.is_some());
        if settles && self.unread == 0 && hands.unread >= MOST_UNREAD {
            if !std::mem::replace(&mut hands.told_unread, true) {
                log::info!(
                    "source {}: there are more than {MOST_UNREAD} rotated files to read; some logs wait until others are read",
                    hands.spec.name
                );
            }
            self.dirty = true;
            return Ok(Looked::More);
        }
        self.moved = false;
        let trouble = if settles {
            self.settle(&at_path, hands)
        } else {
            Ok(())
        };
        if hands.stopped() {
            // What was found until then may not be all.
            return Err(Stopped);
        }
        if trouble.is_ok() && self.is_waiting() {
            return Ok(Looked::Waiting);
        }
        let more = self.read(hands)?;
        self.tell(hands)?;
        hands.unread -= self.unread;
        self.unread = match more {
            true => self.parts.iter().filter(|part| part.is_open()).count(),
            false => 0,
        };
        hands.unread += self.unread;
        let trouble = match (at_path, trouble) {
            (AtPath::Unfit(reason), _) => Some(reason),
            (_, Err(error)) => Some(reason(&self.path, &error)),
            _ => self.broken.take().map(|error| reason(&self.path, &error)),
        };
        hands.trouble(&self.path, trouble)?;
        if more {
            self.dirty = true;
            return Ok(Looked::More);
        }
        self.release(hands)?;
        if let Some(gap) = self.gap.take() {
            let (from, to) = match gap {
                Gap::AtStart => self.resumed,
                Gap::Behind(last) => (last, None),
            };
            hands.gap(from, to)?;
        }
        if self.search.is_none() {
            return Ok(Looked::AtEnd);
        }
        Ok(if self.at_path {
            Looked::Searching
        } else {
            Looked::AtEnd
        })
    }

    fn at_path(&self) -> AtPath {
        let reads_on = self.at_path && self.search.is_none();
        let is_open = |part: &Part| matches!(part.body, Body::Plain(_));
        if reads_on && !self.moved && self.parts.last().is_some_and(is_open) {
            return AtPath::Unmoved;
        }
        match fs::metadata(&self.path) {
            Ok(data) if data.is_file() => AtPath::File(data),
            Ok(data) => AtPath::Unfit(unfit(&self.path, &data)),
            Err(error) => match error.kind() {
                ErrorKind::NotFound | ErrorKind::NotADirectory => AtPath::Missing,
                _ => AtPath::Unfit(reason(&self.path, &error)),
            },
        }
    }
}

/// Why a path cannot be read, and what to do.
pub fn reason(path: &Path, error: &io::Error) -> String {
    let path = path.display();
    match error.kind() {
        ErrorKind::PermissionDenied => format!(
            "no permission to read {path}: let the user that runs f2bd read it and enter its directories, as the group \
             adm may on Debian"
        ),
        ErrorKind::InvalidInput => format!("{path} is not a file: name the log itself"),
        _ => format!("cannot read {path}: {error}"),
    }
}

fn unfit(path: &Path, data: &Metadata) -> String {
    use std::os::unix::fs::FileTypeExt;
    let kind = data.file_type();
    let (what, remedy) = if kind.is_dir() {
        ("a directory", "name the files in it, as in DIRECTORY/*.log")
    } else if kind.is_fifo() || kind.is_socket() {
        (
            "a pipe or socket",
            "let the program write to a file, or send syslog",
        )
    } else {
        ("a device", "name a file")
    };
    format!("{} is {what}, not a log file: {remedy}", path.display())
}
