//! Which records are in the logs that are named on the command line?
//!
//! In: `LOG` words, and how the logs are written. Out: records one by one, in order. Lines are read as the daemon reads
//! them.

use std::io::{self, BufRead, Read as _};
use std::path::PathBuf;

use super::failure::{Exit, Failure};
use super::output::Clock;
use crate::engine::record::Record;
use crate::engine::record::journal::JournalMatch;
use crate::engine::record::line::{LineForm, LineReader};
use crate::engine::time::Timestamp;
use crate::source::file::encoding::Coding;
use crate::source::file::lines::Splitter;
use crate::source::file::{self, Encoding};
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
}

/// How a log is written.
#[derive(Clone, Debug)]
pub struct Writing {
    /// Its lines.
    pub form: LineForm,
    /// Its letters.
    pub encoding: Encoding,
}

/// So many bytes tell by a byte order mark in which letters a log is written.
const LONGEST_MARK: u64 = 3;

impl Writing {
    /// Nothing is known of it but the zone.
    pub fn unknown(clock: &Clock) -> Self {
        Writing {
            form: LineForm::in_zone(clock.zone.clone()),
            encoding: Encoding::default(),
        }
    }
}

/// Whether logs were of a form that is known: without a program on any line, nothing can be found in them.
#[derive(Debug, Default)]
pub struct Understood {
    records: u64,
    /// That name their program, or have fields that can be looked at.
    with_parts: u64,
}

impl Understood {
    /// Takes a record into account.
    pub fn look_at(&mut self, record: &Record<'_>) {
        self.records += 1;
        let has_parts = !record.program.is_empty() || !record.object.is_empty();
        self.with_parts += u64::from(has_parts);
    }

    /// The end of a command that has found nothing, and why if that is known: whether all its filters look at what
    /// programs they name is `by_program`.
    pub fn failure(&self, by_program: bool) -> Failure {
        if by_program && self.records > 0 && self.with_parts == 0 {
            let message = "no line begins with a date and a program as in a system log; of a journal, take `journal` or the output of journalctl -o short-iso";
            return Failure::new(Exit::NotSo, message);
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

    /// Hands on its records with their number, from 1, until `each` fails. Of a journal, only those that one of
    /// `routes` wants.
    ///
    /// # Errors
    /// The log cannot be read, or `each` says so.
    pub fn read(
        &self,
        writing: &Writing,
        now: Timestamp,
        routes: &[JournalMatch],
        mut each: impl FnMut(u64, Record<'_>) -> Result<(), Failure>,
    ) -> Result<(), Failure> {
        match self {
            Log::StandardInput => read_lines(io::stdin().lock(), writing, now, each),
            Log::File(path) => {
                let failed = |error: io::Error| {
                    let exit = match error.kind() {
                        io::ErrorKind::NotFound => Exit::NoInput,
                        io::ErrorKind::PermissionDenied => Exit::NotPermitted,
                        _ => Exit::Io,
                    };
                    Failure::new(exit, format!("cannot read {}: {error}", path.display()))
                };
                if std::fs::metadata(path).map_err(failed)?.is_dir() {
                    let message = format!(
                        "{0} is a directory; for a journal's write journal:{0}",
                        path.display()
                    );
                    return Err(Failure::new(Exit::NoInput, message));
                }
                read_lines(file::open(path).map_err(failed)?, writing, now, each)
            }
            Log::Journal(directory) => {
                let mut number = 0;
                let mut result = Ok(());
                let spec = spec(directory.clone(), routes)?;
                let read = journal::read_all(&spec, None, |batch| {
                    for record in batch.iter() {
                        if result.is_ok() {
                            number += 1;
                            result = each(number, record);
                        }
                    }
                });
                read.map_err(|error| Failure::new(exit_of(&error), error.to_string()))?;
                result
            }
        }
    }
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

fn read_lines(
    mut bytes: impl BufRead,
    writing: &Writing,
    now: Timestamp,
    mut each: impl FnMut(u64, Record<'_>) -> Result<(), Failure>,
) -> Result<(), Failure> {
    let failed = |error: io::Error| Failure::new(Exit::Io, format!("cannot read the log: {error}"));
    let mut front = Vec::new();
    let head = io::Read::take(&mut bytes, LONGEST_MARK).read_to_end(&mut front);
    head.map_err(failed)?;
    let coding = Coding::of(writing.encoding, &front).unwrap_or_default();
    let mut bytes = io::Cursor::new(front).chain(bytes);
    let mut reader = LineReader::new(&writing.form, now);
    let mut splitter = Splitter::new(coding.line_end());
    let (mut number, mut decoded) = (0, String::new());
    loop {
        let piece = bytes.fill_buf().map_err(failed)?;
        let (length, mut rest) = (piece.len(), piece);
        loop {
            let mut half = false;
            let line = match splitter.next(&mut rest) {
                None if length == 0 => {
                    half = true;
                    splitter.rest()
                }
                line => line,
            };
            let Some(line) = line else { break };
            number += 1;
            let text = coding.text(line.text, number == 1, &mut decoded);
            let record = match line.cut {
                true => reader.read_cut(text),
                false if half => reader.read_last(text),
                false => reader.read(text),
            };
            // What is no record of the log's form has a number all the same.
            if let Ok(Some(record)) = record {
                each(number, record)?;
            }
        }
        if length == 0 {
            return Ok(());
        }
        bytes.consume(length);
    }
}
