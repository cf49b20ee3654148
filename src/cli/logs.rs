//! Which records are in the logs that are named on the command line?
//!
//! In: `LOG` words. Out: records one by one, in order. Files are read line by line, with a bound on their length.

use std::io::{self, BufRead};
use std::path::PathBuf;

use super::failure::{Exit, Failure};
use super::output::Clock;
use crate::engine::record::Record;
use crate::engine::record::journal::JournalMatch;
use crate::engine::record::line::{LONGEST_LINE, LineForm, LineReader};
use crate::source::file;
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

/// Whether logs were of a form that is known: without a program on any line, nothing can be found in them.
#[derive(Debug, Default)]
pub struct Understood {
    records: u64,
    with_program: u64,
}

impl Understood {
    /// Takes a record into account.
    pub fn look_at(&mut self, record: &Record<'_>) {
        self.records += 1;
        self.with_program += u64::from(!record.program.is_empty());
    }

    /// The end of a command that has found nothing, and why if that is known: whether all its filters look at what
    /// programs they name is `by_program`.
    pub fn failure(&self, by_program: bool) -> Failure {
        if by_program && self.records > 0 && self.with_program == 0 {
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
        clock: &Clock,
        routes: &[JournalMatch],
        mut each: impl FnMut(u64, Record<'_>) -> Result<(), Failure>,
    ) -> Result<(), Failure> {
        match self {
            Log::StandardInput => read_lines(io::stdin().lock(), clock, each),
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
                read_lines(file::open(path).map_err(failed)?, clock, each)
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
    mut lines: impl BufRead,
    clock: &Clock,
    mut each: impl FnMut(u64, Record<'_>) -> Result<(), Failure>,
) -> Result<(), Failure> {
    let failed = |error: io::Error| Failure::new(Exit::Io, format!("cannot read the log: {error}"));
    let form = LineForm::in_zone(clock.zone.clone());
    let mut reader = LineReader::new(&form, clock.now);
    let mut line = Vec::new();
    for number in 1.. {
        line.clear();
        let read = io::Read::take(&mut lines, LONGEST_LINE as u64).read_until(b'\n', &mut line);
        if read.map_err(failed)? == 0 {
            break;
        }
        let record = if line.len() == LONGEST_LINE && !line.ends_with(b"\n") {
            lines.skip_until(b'\n').map_err(failed)?;
            reader.read_cut(&line)
        } else {
            reader.read(&line)
        };
        // What is no record of the log's form has a number all the same.
        if let Ok(Some(record)) = record {
            each(number, record)?;
        }
    }
    Ok(())
}
