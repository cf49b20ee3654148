//! How is one file of a log read?
//!
//! A part is a file in one of its lives: a file that is cut to nothing and written anew is another part. Comes in: an
//! open file and a place in it. Goes out: bytes that are known to be of this life, and what the file has become.

mod again;

use std::fs::{File, Metadata};
use std::io::{self, Read};
use std::os::unix::fs::{FileExt, MetadataExt};
use std::time::Instant;

use super::encoding::{Coding, Encoding};
use super::front::Front;
use super::lines::Splitter;
use super::rotated::modified;
use super::token::{Fingerprint, Identity, LONGEST_HEAD, Place};
use crate::engine::record::outputs::Unfinished;
use crate::engine::time::Timestamp;
use again::Again;

/// One file of a log.
pub struct Part {
    /// Which file it is.
    pub identity: Identity,
    /// The place behind the last line that was taken.
    pub offset: u64,
    /// Set while lines are taken that were taken before.
    pub again: Option<Again>,
    /// Where its bytes come from.
    pub body: Body,
    /// Cuts it into lines.
    pub splitter: Splitter,
    /// Whether what comes next is the rest of a line that was taken without its end.
    pub beheaded: bool,
    /// How its text is to be read; `None` until enough of it has been seen.
    pub coding: Option<Coding>,
    /// When it was first found to be packed badly.
    pub bad_since: Option<Instant>,
    /// Older records of it do not matter, until there is one that does.
    pub since: Option<Timestamp>,
    /// When it last had something new.
    pub active: Instant,
    /// The beginning of the file as far as it is known.
    front: Front,
    /// What a cursor says about the beginning, as long as it has not been seen.
    told: Fingerprint,
    /// When the file had last been written to when it was done, in nanoseconds.
    modified: i64,
    /// The same when it was last seen to be still in this life.
    seen: i64,
    /// Where the last line of each output of a container begins, if it is not over, is in this file, and no line of another
    /// file came since.
    begun: [Option<u64>; 2],
}

/// Where the bytes of a part come from.
pub enum Body {
    /// A file that may still grow.
    Plain(File),
    /// A packed file, which does not.
    Packed {
        /// What it holds.
        bytes: Box<dyn Read>,
        /// How much of that was read before.
        skip: u64,
    },
    /// It has to be looked for among the rotated files.
    Lost,
    /// Nothing more is expected of it.
    Done,
}

/// What a look at a part has shown.
pub enum Seen {
    /// So many new bytes at the beginning of the buffer; none if those that came were known.
    Bytes(usize),
    /// Nothing new.
    End,
    /// All of it has been read, and it cannot grow.
    Whole,
    /// The file has been cut to nothing since; what was not read of this life may be in a copy.
    Truncated,
}

impl Part {
    /// A file that is read from `offset`.
    pub fn new(identity: Identity, body: Body, front: Vec<u8>, offset: u64) -> Self {
        Part {
            identity,
            offset,
            again: None,
            body,
            splitter: Splitter::default(),
            beheaded: false,
            coding: None,
            bad_since: None,
            since: None,
            active: Instant::now(),
            front: front.into(),
            told: Fingerprint::default(),
            begun: [None, None],
            modified: i64::MIN,
            seen: i64::MIN,
        }
    }

    /// What a cursor says of a file.
    pub fn of(place: &Place) -> Self {
        let body = if place.done { Body::Done } else { Body::Lost };
        let mut part = Part {
            told: place.head,
            ..Part::new(place.identity, body, Vec::new(), place.offset)
        };
        if place.back > 0 {
            part.go_back(place.offset.saturating_sub(place.back), true);
        }
        part
    }

    /// What a cursor would say of it, when these lines are not over.
    pub fn place(&self, unfinished: Unfinished) -> Place {
        let done = matches!(self.body, Body::Done);
        Place {
            identity: self.identity,
            head: self.head(),
            offset: self.reached(),
            back: if done { 0 } else { self.back(unfinished) },
            done,
        }
    }

    /// The fingerprint of what was read of its beginning.
    pub fn head(&self) -> Fingerprint {
        // Only of what stands before the offset: nothing else is sure to be there when it is read back.
        self.front.head(self.reached()).unwrap_or(self.told)
    }

    /// The place behind the last line that was handed on.
    pub fn reached(&self) -> u64 {
        self.again
            .map_or(self.offset, |again| again.to.max(self.offset))
    }

    /// Takes the place of `part`, whose bytes it holds too.
    pub fn take_over(&mut self, part: &Part) {
        self.offset = part.offset;
        self.again = part.again;
        self.begun = part.begun;
    }

    /// Goes on in this body, behind the last line that was handed on.
    pub fn continue_in(&mut self, identity: Identity, body: Body, front: Vec<u8>) {
        // One that is done may have been let go in the middle of a line.
        self.beheaded = matches!(self.body, Body::Done)
            && matches!(&body, Body::Plain(file) if !is_line_end(file, self.offset));
        self.identity = identity;
        self.body = body;
        self.front = front.into();
        self.coding = None;
        self.active = Instant::now();
    }

    /// It has to be looked for.
    pub fn lose(&mut self) {
        self.body = Body::Lost;
        self.splitter = Splitter::default();
    }

    /// It has to be looked for, as after a restart.
    pub fn lose_sight(&mut self) {
        self.told = self.head();
        self.front = Front::default();
        self.lose();
    }

    /// Nothing more is expected of it.
    pub fn finish(&mut self) {
        if let Body::Plain(file) = &self.body
            && let Ok(data) = file.metadata()
        {
            self.modified = modified(&data);
        }
        self.offset = self.reached();
        self.again = None;
        self.body = Body::Done;
        self.splitter = Splitter::default();
    }

    /// Whether what was read of it is at the beginning of a file of `size` bytes that begins with `front`.
    pub fn continues(&self, front: &[u8], size: u64) -> bool {
        size >= self.reached() && self.head().fits(front)
    }

    /// Whether a file that begins with `front` holds the same as this one. `size` is not known of a packed one.
    pub fn is_copied_in(&self, front: &[u8], size: Option<u64>) -> bool {
        if self.front().is_empty() {
            return self.told.fits(front);
        }
        let own = match &self.body {
            Body::Plain(file) => file.metadata().map_or(u64::MAX, |data| data.len()),
            _ => self.reached(),
        };
        let alike = self.front().starts_with(front) || front.starts_with(self.front());
        !front.is_empty() && alike && size.is_none_or(|size| size <= own)
    }

    /// Whether it holds a descriptor.
    pub fn is_open(&self) -> bool {
        matches!(self.body, Body::Plain(_) | Body::Packed { .. })
    }

    /// Whether a cursor speaks of what was read of it.
    pub fn is_told(&self) -> bool {
        self.told.length > 0
    }

    /// Notes when a file that is done was last written to.
    pub fn note_modified(&mut self, modified: i64) {
        if matches!(self.body, Body::Done) {
            self.modified = self.modified.max(modified);
        }
    }

    /// When its file had last been written to when it was done; long ago if that is not known.
    pub fn modified(&self) -> i64 {
        self.modified
    }

    /// The beginning of the file, once it is worth comparing.
    pub fn front(&self) -> &[u8] {
        self.front.bytes()
    }

    /// Whether the file at hand is still in this life: not shorter than what was read, with the same beginning.
    pub fn lives_on_in(&self, data: &Metadata) -> bool {
        matches!(self.body, Body::Plain(_))
            && Identity::of(data) == self.identity
            && data.len() >= self.position()
    }

    /// Looks at the beginning again if it was not yet known to its end.
    pub fn refresh(&mut self) {
        let Body::Plain(file) = &self.body else {
            return;
        };
        if !self.front.is_whole()
            && let Ok(front) = front_of(file)
            && front.starts_with(self.front.bytes())
        {
            self.front = front.into();
        }
    }

    /// Up to where the file has been read, half lines included.
    fn position(&self) -> u64 {
        self.offset + self.splitter.pending()
    }

    /// Reads what comes next into `buffer`.
    ///
    /// # Errors
    /// The file cannot be read.
    pub fn read(&mut self, encoding: Encoding, buffer: &mut [u8]) -> io::Result<Seen> {
        let position = self.position();
        let read = match &mut self.body {
            Body::Lost | Body::Done => return Ok(Seen::End),
            Body::Packed { bytes, skip } => {
                let read = bytes.read(buffer)?;
                if read == 0 {
                    return Ok(Seen::Whole);
                }
                let known = usize::try_from(*skip).unwrap_or(read).min(read);
                *skip -= known as u64;
                buffer.copy_within(known..read, 0);
                read - known
            }
            Body::Plain(file) => {
                let read = file.read_at(buffer, position)?;
                if read == 0 {
                    let data = file.metadata()?;
                    let seen = modified(&data);
                    let written = std::mem::replace(&mut self.seen, seen) != seen;
                    // Somebody may have written over it in its place.
                    let other = written && !front_of(file)?.starts_with(self.front.bytes());
                    return Ok(match data.len() < position || other {
                        true => Seen::Truncated,
                        false => Seen::End,
                    });
                }
                // Between the look at its size and the reading it may have been cut to nothing and written anew. Its
                // beginning tells, if it is looked at afterwards.
                let mut front = [0; LONGEST_HEAD];
                let length = file.read_at(&mut front, 0)?;
                let front = &front[..length];
                let whole = self.front.is_whole();
                if !front.starts_with(self.front.bytes())
                    || !agree(front, &buffer[..read], position)
                    || (!whole && file.metadata()?.len() < position + read as u64)
                {
                    return Ok(Seen::Truncated);
                }
                if !whole {
                    self.front.set(front);
                }
                read
            }
        };
        if self.coding.is_none() {
            self.coding = Coding::of(encoding, self.front.bytes());
            let Some(coding) = &self.coding else {
                return Ok(Seen::End);
            };
            self.splitter = Splitter::new(coding.line_end());
        }
        self.active = Instant::now();
        Ok(Seen::Bytes(read))
    }
}

impl Identity {
    /// Of a file.
    pub fn of(data: &Metadata) -> Self {
        Identity {
            device: data.dev(),
            inode: data.ino(),
        }
    }
}

/// The beginning of a file.
///
/// # Errors
/// It cannot be read.
pub fn front_of(file: &File) -> io::Result<Vec<u8>> {
    let mut front = vec![0; LONGEST_HEAD];
    let read = file.read_at(&mut front, 0)?;
    front.truncate(read);
    Ok(front)
}

/// Whether a line ends before `offset`, in any encoding.
fn is_line_end(file: &File, offset: u64) -> bool {
    let mut before = [0; 2];
    let begin = offset.saturating_sub(2);
    let wanted = usize::try_from(offset - begin).unwrap_or_default();
    match file.read_exact_at(&mut before[2 - wanted..], begin) {
        Ok(()) => offset == 0 || matches!(before, [_, b'\n'] | [b'\n', 0]),
        Err(_) => false,
    }
}

/// Whether the bytes at `position` are those that stand there in the beginning.
fn agree(front: &[u8], bytes: &[u8], position: u64) -> bool {
    let Some(there) = usize::try_from(position)
        .ok()
        .and_then(|at| front.get(at..))
    else {
        return true;
    };
    let both = there.len().min(bytes.len());
    there[..both] == bytes[..both]
}
