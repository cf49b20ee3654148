//! What happened, as far as logs or the daemon's own database tell?
//!
//! In: the `LOG` words of `f2bd replay`. Out: records and failures, one by one, none older than asked for.

use std::fs::File;
use std::path::{Path, PathBuf};

use crate::cli::failure::{Exit, Failure};
use crate::cli::logs::{Log, Piece, Reading, Understood, in_order};
use crate::cli::output::Clock;
use crate::cli::progress::Progress;
use crate::cli::writing::Writing;
use crate::engine::decision;
use crate::engine::filter::sieve::Sieve;
use crate::engine::input::TakenBack;
use crate::engine::record::Record;
use crate::engine::record::journal::JournalMatch;
use crate::engine::time::Timestamp;
use crate::source::SourceSpec;
use crate::store::{Archive, StoreError};

/// The word for what the daemon has stored.
const HISTORY: &str = "history";

/// One thing that happened.
pub enum Entry<'e> {
    /// Something was logged.
    Record(&'e Record<'e>),
    /// The daemon counted a failure.
    Failure(&'e decision::Failure),
    /// A login took it back.
    TakenBack(&'e decision::Failure),
    /// Nothing for now.
    Pause,
}

/// Logs, and how they are read.
pub struct Past<'p> {
    /// The words for them.
    pub words: &'p [String],
    /// What is older is left out.
    pub start: Option<Timestamp>,
    /// What the configuration says of logs.
    pub sources: &'p [SourceSpec],
    /// The daemon's database.
    pub database: PathBuf,
    /// Whether decisions are printed while logs are read.
    pub prints_meanwhile: bool,
    /// The present.
    pub clock: &'p Clock,
}

impl Past<'_> {
    /// Whether it is the daemon's database that tells, which knows failures and nothing else.
    pub fn is_history(&self) -> bool {
        self.words.iter().any(|word| word == HISTORY)
    }

    /// Tells all of it but the lines that `sieve` says are quiet, until `each` fails.
    ///
    /// # Errors
    /// A log cannot be read, or `each` says so.
    pub fn tell(
        &self,
        sieve: Option<&Sieve>,
        mut each: impl FnMut(Entry<'_>) -> Result<(), Failure>,
    ) -> Result<Understood, Failure> {
        let mut understood = Understood::default();
        if self.is_history() {
            if self.words.len() > 1 {
                let message = "`history` stands alone: what the daemon has stored it found in logs, and would count twice; a file of that name is ./history";
                return Err(Failure::new(Exit::Usage, message));
            }
            self.tell_history(each)?;
            return Ok(understood);
        }
        let routes = routes(self.sources);
        let named = self.words.iter().map(|word| Log::of(word));
        let mut progress = Progress::of(named, self.prints_meanwhile);
        let followed = self.sources.iter().filter_map(|source| match source {
            SourceSpec::Files(spec) => Some(spec),
            _ => None,
        });
        let followed: Vec<_> = followed.collect();
        let written = |log: &Log| Writing::followed(log, &followed, self.clock);
        for word in in_order(self.words, self.clock.now, written) {
            let log = Log::of(word);
            let writing = written(&log);
            let reading = Reading {
                writing: &writing,
                now: self.clock.now,
                // Whether there was anything older is asked for when nothing is found.
                since: None,
                routes: &routes,
                sieve,
            };
            log.read(reading, &mut progress, |piece| {
                let record = match piece {
                    Piece::Record(_, record) => record,
                    Piece::Quiet(_) => return Ok(()),
                    Piece::Pause => return each(Entry::Pause),
                };
                understood.look_at(record);
                match self.start {
                    Some(start) if record.time < start => {
                        understood.leave_out();
                        Ok(())
                    }
                    _ => each(Entry::Record(record)),
                }
            })?;
        }
        progress.end();
        Ok(understood)
    }

    fn tell_history(
        &self,
        mut each: impl FnMut(Entry<'_>) -> Result<(), Failure>,
    ) -> Result<(), Failure> {
        let mut result = Ok(());
        let mut taken_back = TakenBack::default();
        let archive = open(&self.database)?;
        archive
            .failures(self.start, |(failure, fate)| {
                while let (Ok(()), Some(earlier)) = (&result, taken_back.next(Some(failure.id))) {
                    result = each(Entry::TakenBack(&earlier));
                }
                if result.is_ok() {
                    result = each(Entry::Failure(&failure));
                    taken_back.note(&failure, fate);
                }
            })
            .map_err(|error| unreadable(&self.database, &error))?;
        result
    }
}

fn open(path: &Path) -> Result<Archive, Failure> {
    // Asked first: SQLite has one word for all that the system can say.
    File::open(path).map_err(|error| {
        let message = format!("cannot read the history in {}: {error}", path.display());
        Failure::new(Exit::of_reading(&error), message)
    })?;
    Archive::open(path).map_err(|error| unreadable(path, &error))
}

fn unreadable(path: &Path, error: &StoreError) -> Failure {
    let (exit, why) = match error {
        StoreError::Denied(error) => {
            let why = format!("{error}; try it as the user that f2bd runs as");
            (Exit::NotPermitted, why)
        }
        StoreError::Newer { .. } => (Exit::BadConfiguration, error.to_string()),
        _ => (Exit::Io, error.to_string()),
    };
    let message = format!("cannot read the history in {}: {why}", path.display());
    Failure::new(exit, message)
}

/// What the jails want of a journal, by the number of the route, whatever source they take it from.
fn routes(sources: &[SourceSpec]) -> Vec<JournalMatch> {
    let journals: Vec<_> = sources
        .iter()
        .filter_map(|source| match source {
            SourceSpec::Journal(spec) => Some(spec),
            _ => None,
        })
        .collect();
    let count = journals
        .iter()
        .map(|journal| journal.routes.len())
        .max()
        .unwrap_or(0);
    let of = |route: usize| {
        let wanted = journals
            .iter()
            .filter_map(|journal| journal.routes.get(route))
            .cloned();
        wanted.reduce(JournalMatch::or).unwrap_or_default()
    };
    (0..count).map(of).collect()
}
