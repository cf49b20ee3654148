//! Which records are in the logs that are named on the command line?
//!
//! In: `LOG` words, and how the logs are written. Out: records one by one, in order. Lines are read as the daemon reads
//! them.

use std::fmt;
use std::fs::{File, Metadata};
use std::io::{self, Cursor, Write};
use std::os::fd::AsFd;
use std::path::PathBuf;

use super::blocks::Blocks;
use super::failure::{Exit, Failure};
use super::output::harmless;
use super::progress::Progress;
use super::writing::Writing;
use crate::engine::filter::passing::News;
use crate::engine::filter::sieve::Sieve;
use crate::engine::record::Record;
use crate::engine::record::journal::JournalMatch;
use crate::engine::record::line::LineReader;
use crate::engine::time::Timestamp;
use crate::source::file::encoding::Coding;
use crate::source::file::lines::Splitter;
use crate::source::file::{self, Content};
use crate::source::journal::{self, JournalError, JournalSpec};

/// A log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Log {
    /// `-`
    StandardInput,
    /// A text file.
    File(PathBuf),
    /// `journal`, or `journal:DIR`.
    Journal(Option<PathBuf>),
    /// Lines that are told themselves.
    Text(String),
}

/// How logs are read.
#[derive(Clone, Copy, Debug)]
pub struct Reading<'r> {
    /// How this one is written.
    pub writing: &'r Writing,
    /// The present.
    pub now: Timestamp,
    /// What is older need not be told of a journal, which knows where to begin.
    pub since: Option<Timestamp>,
    /// Of a journal, only the records that one of these wants.
    pub routes: &'r [JournalMatch],
    /// Lines that it says are quiet are passed over.
    pub sieve: Option<&'r Sieve>,
}

/// So many lines at the beginning of a log are not passed over, so that it is seen whether they are understood.
const FIRST_LINES: u64 = 1000;

/// What is read of a log, one after the other.
#[derive(Clone, Copy, Debug)]
pub enum Piece<'p> {
    /// A record, with the number of its line, from 1.
    Record(u64, &'p Record<'p>),
    /// So many lines that no pattern can take.
    Quiet(u32),
    /// Nothing until somebody writes more.
    Pause,
}

/// Whether logs were of a form that is known: without a program on any line, nothing can be found in them.
#[derive(Debug, Default)]
pub struct Understood {
    /// That were looked at. Of the lines that were passed over nothing is known, but they are between these.
    records: u64,
    /// That name their program, or have fields that can be looked at.
    with_parts: u64,
    /// That are older than asked for.
    old: u64,
}

impl Understood {
    /// Takes a record into account.
    pub fn look_at(&mut self, record: &Record<'_>) {
        self.records += 1;
        let has_parts = !record.program.is_empty() || !record.object().is_empty();
        self.with_parts += u64::from(has_parts);
    }

    /// Takes into account that the last record is older than asked for.
    pub fn leave_out(&mut self) {
        self.old += 1;
    }

    /// The end of a command that has found nothing, and why if that is known: whether all its filters look at what
    /// programs they name is `by_program`.
    pub fn failure(&self, by_program: bool) -> Failure {
        if by_program && self.records > 0 && self.with_parts == 0 {
            let message = "no line begins with a date and a program as in a system log; of a journal, take `journal` or the output of journalctl -o short-iso";
            return Failure::new(Exit::NotSo, message);
        }
        if self.records > 0 && self.records == self.old {
            return Failure::new(Exit::NotSo, "no record is as new as --since asks for");
        }
        Failure::silent(Exit::NotSo)
    }
}

impl Log {
    /// What a word of the command line means.
    pub fn of(word: &str) -> Self {
        match word.split_once(':') {
            _ if word == "-" => Log::StandardInput,
            _ if word == "journal" => Log::Journal(None),
            Some(("journal", directory)) => Log::Journal(Some(directory.into())),
            _ => Log::File(word.into()),
        }
    }

    /// Hands on what is in it, until `each` fails.
    ///
    /// # Errors
    /// The log cannot be read, or `each` says so.
    pub fn read(
        &self,
        reading: Reading<'_>,
        progress: &mut Progress,
        mut each: impl FnMut(Piece<'_>) -> Result<(), Failure>,
    ) -> Result<(), Failure> {
        let failed = |error: io::Error| {
            let exit = Exit::of_reading(&error);
            Failure::new(exit, format!("cannot read {self}: {error}"))
        };
        let file = match self {
            Log::StandardInput => standard_input().map_err(failed)?,
            Log::File(path) => File::open(path).map_err(failed)?,
            Log::Text(text) => {
                progress.begin(self, None);
                let bytes = Cursor::new(text.clone().into_bytes());
                let blocks = Blocks::ahead(bytes).map_err(failed)?;
                return read_lines(blocks, reading, progress, failed, each);
            }
            Log::Journal(directory) => {
                progress.begin(self, None);
                let mut number = 0;
                let mut result = Ok(());
                let spec = spec(directory.clone(), reading.routes)?;
                let read = journal::read_all(&spec, reading.since, |batch| {
                    for record in batch.iter() {
                        if result.is_ok() {
                            number += 1;
                            result = each(Piece::Record(number, &record));
                        }
                    }
                    progress.advance(batch.bytes());
                });
                read.map_err(|error| Failure::new(exit_of(&error), error.to_string()))?;
                return result;
            }
        };
        if file.metadata().map_err(failed)?.is_dir() {
            let message = format!("{self} is a directory; for a journal's write journal:{self}");
            return Err(Failure::new(Exit::NoInput, message));
        }
        progress.begin(self, file.try_clone().ok());
        let blocks = match file::open(file).map_err(failed)? {
            Content::Plain(file) => Blocks::of(file),
            Content::Packed(bytes) => Blocks::ahead(bytes).map_err(failed)?,
        };
        read_lines(blocks, reading, progress, failed, each)
    }

    /// When it begins, by its first line that tells; a log without lines is later than all. `None` if no line of the first
    /// ones tells it, or if the log is no file: what is read of a pipe is gone.
    fn beginning(&self, writing: &Writing, now: Timestamp) -> Option<Timestamp> {
        // The present is the time of lines that tell none.
        let time = |record: &Record<'_>| (record.time != now).then_some(record.time);
        match self.first(writing, now, time)? {
            (None, 0) => Some(Timestamp::from_micros(i64::MAX)),
            (beginning, _) => beginning,
        }
    }

    /// Whether one of its first lines names a program, as in a system log. `None` if the log is no file.
    pub fn names_programs(&self, writing: &Writing, now: Timestamp) -> Option<bool> {
        let named = |record: &Record<'_>| (!record.program.is_empty()).then_some(());
        let (named, _) = self.first(writing, now, named)?;
        Some(named.is_some())
    }

    /// The first thing that one of its first lines `tells`, and how many lines were read for it. `None` if the log is no
    /// file.
    fn first<T>(
        &self,
        writing: &Writing,
        now: Timestamp,
        tells: impl Fn(&Record<'_>) -> Option<T>,
    ) -> Option<(Option<T>, u64)> {
        let Log::File(_) = self else { return None };
        self.size()?;
        let (mut lines, mut first) = (0, None);
        let enough = || Err(Failure::silent(Exit::NotSo));
        let look = |piece: Piece<'_>| {
            let Piece::Record(number, record) = piece else {
                return Ok(());
            };
            lines = number;
            first = tells(record);
            match first.is_some() || number >= FIRST_LINES {
                true => enough(),
                false => Ok(()),
            }
        };
        let reading = Reading {
            writing,
            now,
            since: None,
            routes: &[],
            sieve: None,
        };
        // If it cannot be read, that is told when it is its turn.
        let _ = self.read(reading, &mut Progress::none(), look);
        Some((first, lines))
    }

    /// What can be said of its size: that of its file, packed or not.
    pub fn size(&self) -> Option<u64> {
        let metadata = match self {
            Log::StandardInput => standard_input().and_then(|file| file.metadata()),
            Log::File(path) => path.metadata(),
            Log::Journal(_) | Log::Text(_) => return None,
        };
        let metadata = metadata.ok().filter(Metadata::is_file)?;
        Some(metadata.len())
    }
}

/// The words for logs in the order in which these begin, if all tell that: a shell puts the newest one first, and the
/// oldest one last. Says so if that changes anything.
pub fn in_order(
    words: &[String],
    now: Timestamp,
    writing: impl Fn(&Log) -> Writing,
) -> Vec<&String> {
    let given: Vec<_> = words.iter().collect();
    let beginning = |word: &&String| {
        let log = Log::of(word);
        log.beginning(&writing(&log), now)
    };
    if given.len() < 2 {
        return given;
    }
    let Some(beginnings) = given.iter().map(beginning).collect::<Option<Vec<_>>>() else {
        return given;
    };
    if beginnings.is_sorted() {
        return given;
    }
    let mut ordered: Vec<_> = beginnings.into_iter().zip(given).collect();
    ordered.sort_by_key(|(beginning, _)| *beginning);
    let ordered: Vec<_> = ordered.into_iter().map(|(_, word)| word).collect();
    if let [first, .., last] = &*ordered {
        // If even this cannot be printed, nobody reads it.
        let _ = writeln!(
            io::stderr(),
            "f2bd: the logs are read in the order of time, from {} to {}",
            harmless(first),
            harmless(last)
        );
    }
    ordered
}

/// As it is called in what people read.
impl fmt::Display for Log {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Log::StandardInput => f.write_str("standard input"),
            Log::File(path) => path.display().fmt(f),
            Log::Text(_) => f.write_str("text"),
            Log::Journal(None) => f.write_str("journal"),
            Log::Journal(Some(directory)) => write!(f, "journal:{}", directory.display()),
        }
    }
}

/// Standard input as the file that it may be.
fn standard_input() -> io::Result<File> {
    io::stdin().as_fd().try_clone_to_owned().map(File::from)
}

fn exit_of(error: &JournalError) -> Exit {
    match error {
        JournalError::Denied { .. } => Exit::NotPermitted,
        JournalError::Missing { .. } => Exit::NoInput,
        JournalError::Library(_) | JournalError::Wait(_) | JournalError::Lost => Exit::Io,
    }
}

fn spec(directory: Option<PathBuf>, routes: &[JournalMatch]) -> Result<JournalSpec, Failure> {
    let name = "journal".parse();
    let name = name.map_err(|error| Failure::new(Exit::Software, format!("{error}")))?;
    Ok(JournalSpec {
        name,
        directory,
        namespace: None,
        routes: routes.to_vec(),
    })
}

/// Hands on what is in a text.
fn read_lines(
    mut blocks: Blocks,
    reading: Reading<'_>,
    progress: &mut Progress,
    failed: impl Fn(io::Error) -> Failure,
    mut each: impl FnMut(Piece<'_>) -> Result<(), Failure>,
) -> Result<(), Failure> {
    let Reading {
        writing,
        now,
        sieve,
        ..
    } = reading;
    let mut block = blocks.next().map_err(&failed)?;
    let coding = Coding::of(writing.encoding, block).unwrap_or_default();
    let mut splitter = Splitter::new(coding.line_end());
    let mut reader = LineReader::new(&writing.form, now);
    let sieve = sieve.filter(|_| coding.is_plain());
    let (mut number, mut decoded) = (0, String::new());
    while !block.is_empty() {
        let mut news = News::of(block);
        loop {
            if let Some(sieve) = sieve
                && number >= FIRST_LINES
                && splitter.is_between_lines()
                && reader.is_settled()
            {
                let quiet = news.pass(sieve);
                if quiet.lines > 0 {
                    reader.pass(quiet.bytes, news.line());
                    number += u64::from(quiet.lines);
                    each(Piece::Quiet(quiet.lines))?;
                }
            }
            let Some(line) = splitter.next(&mut news.bytes) else {
                break;
            };
            number += 1;
            let text = coding.text(line.text, number == 1, &mut decoded);
            let record = match line.cut {
                true => reader.read_cut(text),
                false => reader.read(text),
            };
            // What is no record of the log's form has a number all the same.
            if let Ok(Some(record)) = record {
                each(Piece::Record(number, &record))?;
            }
        }
        progress.advance(block.len());
        if blocks.is_pausing() {
            each(Piece::Pause)?;
        }
        block = blocks.next().map_err(&failed)?;
    }
    let Some(line) = splitter.rest() else {
        return Ok(());
    };
    let text = coding.text(line.text, number == 0, &mut decoded);
    let record = match line.cut {
        true => reader.read_cut(text),
        false => reader.read_last(text),
    };
    match record {
        Ok(Some(record)) => each(Piece::Record(number + 1, &record)),
        _ => Ok(()),
    }
}
