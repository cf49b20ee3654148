//! Where may records of the services of this machine be?
//!
//! In: the files that filters name, or the `LOG` words of the command line. Out: logs in the order in which they are to
//! be read, each with the filters whose records are expected there. No record is read here.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, Metadata};
use std::io::ErrorKind;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use crate::cli::failure::{Exit, Failure};
use crate::cli::logs::{Log, in_order};
use crate::cli::output::Clock;
use crate::cli::writing::{self, Writing};
use crate::config::{COPIES_OF_THE_JOURNAL, Ground};
use crate::engine::time::Timestamp;
use crate::source::file::{self, FileGlob, FilesSpec};

/// Where a directory that cannot be looked into may well hold a log; elsewhere that need not be told.
const LOGS: &str = "/var/log";

/// A log that is to be read.
#[derive(Clone, Debug)]
pub struct Place {
    /// It.
    pub log: Log,
    /// The log that it is, or was before it was rotated; `None` if it is no file.
    pub path: Option<PathBuf>,
    /// The filters that expect their records there, by their places.
    pub expecting: BTreeSet<usize>,
    /// Whether the journal, or another of its copies, usually has the same records.
    pub is_copy: bool,
    /// Whether somebody has named it, so that every filter looks at it.
    pub is_named: bool,
}

impl Place {
    /// Whether it is a journal.
    pub fn is_journal(&self) -> bool {
        matches!(self.log, Log::Journal(_))
    }

    /// How it is written.
    pub fn writing(&self, files: &[FilesSpec], clock: &Clock) -> Writing {
        written(&self.log, files, clock)
    }
}

/// As the source says that follows it, or else as the one does that reads what jails name.
fn written(log: &Log, files: &[FilesSpec], clock: &Clock) -> Writing {
    let (own, named): (Vec<_>, Vec<_>) = files.iter().partition(|spec| !spec.wanted.is_empty());
    let is_followed = |path: &PathBuf| {
        let mut globs = own.iter().flat_map(|spec| spec.wanted.iter().flatten());
        globs.any(|glob| glob.matches(path))
    };
    match (log, named.first()) {
        (Log::File(path), Some(usual)) if !writing::names(path).iter().any(is_followed) => {
            Writing::said(usual, clock)
        }
        _ => Writing::followed(log, &own, clock),
    }
}

/// The files that each filter names, by its place.
fn globs(ground: &Ground) -> Vec<(usize, FileGlob)> {
    let specs = ground.specs.iter().enumerate();
    let named = specs.flat_map(|(at, spec)| {
        // They were read as globs before.
        let globs = spec
            .records
            .files
            .iter()
            .filter_map(|text| text.parse().ok());
        globs.map(move |glob| (at, glob))
    });
    named.collect()
}

/// This machine's journal, and whatever of the files that filters name has been written to since `start`, with their
/// rotated parts. What cannot be looked at is told in `unread`.
pub fn of_machine(ground: &Ground, start: Timestamp, unread: &mut Vec<Failure>) -> Vec<Place> {
    let journal = ground.journal.iter().map(|directory| Place {
        log: Log::Journal(directory.clone()),
        path: None,
        expecting: BTreeSet::new(),
        is_copy: false,
        is_named: false,
    });
    let mut places: Vec<_> = journal.collect();
    // By where they are in the end: links are other names of the same log.
    let mut logs: BTreeMap<PathBuf, (PathBuf, BTreeSet<usize>)> = BTreeMap::new();
    let mut add = |path: PathBuf, filter: Option<usize>| {
        let real = fs::canonicalize(&path).unwrap_or_else(|_| path.clone());
        let (_, expecting) = logs.entry(real).or_insert_with(|| (path, BTreeSet::new()));
        expecting.extend(filter);
    };
    let mut closed = Vec::new();
    for (filter, glob) in globs(ground) {
        let mut files = BTreeSet::new();
        glob.expand(&mut files, &mut closed);
        files.into_iter().for_each(|path| add(path, Some(filter)));
    }
    let copies = COPIES_OF_THE_JOURNAL.iter().map(PathBuf::from);
    copies.for_each(|path| add(path, None));
    let mut told = BTreeSet::new();
    for error in closed {
        if error.path().starts_with(LOGS) && told.insert(error.path().to_owned()) {
            unread.push(unreadable(error.path(), error.error()));
        }
    }
    let since = start.as_micros().saturating_mul(1_000);
    let mut known = BTreeSet::new();
    for (real, (path, expecting)) in logs {
        match fs::metadata(&real) {
            Err(error) if error.kind() == ErrorKind::NotFound || !path.starts_with(LOGS) => {
                continue;
            }
            Err(error) => {
                unread.push(unreadable(&path, &error));
                continue;
            }
            Ok(data) if !data.is_file() => continue,
            Ok(data) => {
                let parts = file::written_since(&real, since).into_iter();
                let whole = is_of_use(&data, since).then(|| real.clone());
                let is_copy = COPIES_OF_THE_JOURNAL
                    .iter()
                    .any(|copy| Path::new(copy) == path);
                for part in parts.chain(whole) {
                    if known.insert(part.clone()) {
                        places.push(Place {
                            log: Log::File(part),
                            path: Some(path.clone()),
                            expecting: expecting.clone(),
                            is_copy,
                            is_named: false,
                        });
                    }
                }
            }
        }
    }
    // What is worse than usual has a log of its own, and stands in the other one as well.
    let is_part = |place: &Place| {
        let endings = place.path.as_ref().and_then(|path| path.extension());
        place.is_copy && endings.is_some_and(|ending| ending == "err" || ending == "warn")
    };
    places.sort_by_key(is_part);
    places
}

/// Whether log daemons usually write there what the journal has as well.
fn is_copy_of_journal(path: &Path) -> bool {
    COPIES_OF_THE_JOURNAL
        .iter()
        .any(|copy| Path::new(copy) == path)
}

fn is_of_use(data: &Metadata, since: i64) -> bool {
    let written = data.mtime().saturating_mul(1_000_000_000);
    // The whole second counts, so that nothing of it is left out.
    data.len() > 0 && written.saturating_add(1_000_000_000) > since
}

fn unreadable(path: &Path, error: &std::io::Error) -> Failure {
    let message = format!("cannot read {}: {error}", path.display());
    Failure::new(Exit::of_reading(error), message)
}

/// The logs that somebody has named.
pub fn of_words(words: &[String], ground: &Ground, clock: &Clock) -> Vec<Place> {
    let globs = globs(ground);
    let ordered = in_order(words, clock.now, |log| written(log, &ground.files, clock));
    let places = ordered.into_iter().map(|word| {
        let log = Log::of(word);
        let names = match &log {
            Log::File(path) => writing::names(path),
            Log::StandardInput | Log::Text(_) | Log::Journal(_) => Vec::new(),
        };
        let is_one = |glob: &FileGlob| names.iter().any(|name| glob.matches(name));
        let expecting = globs.iter().filter(|(_, glob)| is_one(glob));
        let path = before_rotation(&names);
        Place {
            expecting: expecting.map(|(filter, _)| *filter).collect(),
            is_copy: path.as_deref().is_some_and(is_copy_of_journal),
            path,
            is_named: true,
            log,
        }
    });
    places.collect()
}

/// Of the names that a log may have had, the one under which it is written: there is a file of that name, and the log's
/// own name is that of a rotated part of it.
fn before_rotation(names: &[PathBuf]) -> Option<PathBuf> {
    let own = names.first()?;
    let is_live = |name: &&PathBuf| {
        let parts = name.file_name().zip(own.file_name());
        name.is_file() && parts.is_some_and(|(live, own)| file::is_rotated(live, own))
    };
    let live = names.iter().skip(1).find(is_live);
    Some(live.unwrap_or(own).clone())
}
