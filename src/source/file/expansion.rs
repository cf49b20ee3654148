//! Which logs are there now?
//!
//! Comes in: the globs and the directories. Goes out: logs to follow, directories to watch, and what is left out and
//! why. How a log is followed is not known here.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::{self, ErrorKind};
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use super::follow::{self, Begin, Log};
use super::globs::FileGlob;
use super::hands::Stopped;
use super::rotated::{self, Candidate};
use super::{DEAF_LOOK, Follower, Halt, MOST_FILES, may_exist, token};
use crate::source::Delivery;

/// A file that is still written to so long after it was found is no copy that is just being made.
const COPYING: Duration = Duration::from_secs(60);

/// The most names of other logs' files that are remembered; without that, one would be a log of its own as soon as the
/// other log has forgotten it, and read again. So while there are more, what else a wildcard catches is not read. A log
/// remembers some itself.
const MOST_ALIASES: usize = 4 * MOST_FILES;

/// A file that is not read because it is named like a rotated one.
pub struct Unread {
    identity: token::Identity,
    modified: i64,
    found: Instant,
    told: bool,
}

impl<D: FnMut(Delivery) -> ControlFlow<()>> Follower<'_, D> {
    /// Finds the files that match now and where others may appear.
    pub(super) fn expand(&mut self, first: bool) -> Result<(), Halt> {
        let spec = self.hands.spec;
        let (mut files, mut directories, mut failed) =
            (BTreeSet::new(), BTreeSet::new(), Vec::new());
        for glob in spec.wanted.iter().flatten() {
            glob.expand(&mut files, &mut failed);
            glob.directories(&mut directories);
        }
        self.tell_directories(&failed)?;
        let literal = |path: &Path| {
            spec.wanted
                .iter()
                .flatten()
                .any(|glob| glob.literal() == Some(path))
        };
        self.logs.retain(|log| literal(&log.path) || !log.is_over());
        self.hands.followed = self.logs.iter().map(|log| log.path.clone()).collect();
        for log in &mut self.logs {
            if let Ok(real) = log.path.canonicalize() {
                log.real = real;
            }
        }
        let said = self.hands.troubles.get(Path::new("")).cloned();
        let mut surplus: Option<String> = None;
        let mut leave_out = |why: String, path: &Path| {
            surplus.get_or_insert_with(|| {
                // The first one stays the example: the same must not be said of each that comes before it.
                let said = said.clone().filter(|said| said.starts_with(&why));
                said.unwrap_or_else(|| format!("{why}; {} is not read", path.display()))
            });
        };
        // A log without a file costs nothing.
        let followed = self.logs.iter().filter(|log| may_exist(&log.path));
        let mut count = followed.count();
        // What is named goes before what a wildcard has caught.
        let (named, caught): (Vec<_>, Vec<_>) = files.into_iter().partition(|path| literal(path));
        let there = |path: &PathBuf, files: &[PathBuf]| files.binary_search(path).is_ok();
        self.unread.retain(|path, _| there(path, &caught));
        self.aliases
            .retain(|path, _| there(path, &caught) || there(path, &named));
        let mut unseen = std::mem::take(&mut self.unseen);
        for path in named.into_iter().chain(caught) {
            if self.hands.follows(&path) {
                continue;
            }
            let named = literal(&path);
            if !named && self.is_old(&path) {
                self.note_unread(path);
                continue;
            }
            let waited = unseen.remove(&path);
            let from_start = first || waited == Some(true);
            let is_alias = match self.is_alias(&path, named, first) {
                Ok(is_alias) => is_alias,
                Err(error) => {
                    let reason = follow::reason(&path, &error);
                    self.hands.trouble(&path, Some(reason))?;
                    self.unseen.insert(path, from_start);
                    continue;
                }
            };
            if waited.is_some() {
                self.hands.trouble(&path, None)?;
            }
            if is_alias {
                continue;
            }
            if !named && self.aliases.len() >= MOST_ALIASES {
                let why = format!("{MOST_ALIASES} files or more are those of other logs");
                leave_out(why, &path);
                continue;
            }
            let there = match path.metadata() {
                Ok(data) => data.is_file(),
                Err(error) => error.kind() == ErrorKind::PermissionDenied,
            };
            let begin = match from_start && there {
                true => Begin::Since(self.since),
                false => Begin::Head,
            };
            if count >= MOST_FILES && there {
                leave_out(format!("more than {MOST_FILES} files match"), &path);
                break;
            }
            count += usize::from(there);
            if first && !there {
                log::info!("source {}: there is no {} yet", spec.name, path.display());
            }
            self.add(path, begin);
        }
        for gone in unseen.into_keys() {
            self.hands.trouble(&gone, None)?;
        }
        self.hands.trouble(Path::new(""), surplus)?;
        self.places.clear();
        for (index, log) in self.logs.iter().enumerate() {
            for path in [&log.path, &log.real] {
                if let (Some(directory), Some(name)) = (path.parent(), path.file_name()) {
                    let there = self.places.entry(directory.to_owned()).or_default();
                    there.insert(name.to_owned(), index);
                    if directory.is_dir() {
                        directories.insert(directory.to_owned());
                    }
                }
            }
        }
        self.watcher.watch(&directories);
        let deaf = self.watcher.deaf();
        if let Some(reason) = deaf.filter(|reason| self.deaf.as_deref() != Some(*reason)) {
            let often = DEAF_LOOK.as_millis();
            log::info!(
                "source {}: {reason}; files are looked at every {often} ms",
                spec.name
            );
        }
        self.deaf = deaf.map(str::to_owned);
        Ok(())
    }

    pub(super) fn add(&mut self, path: PathBuf, begin: Begin) -> &mut Log {
        let mut log = Log::new(self.hands.spec, &path, begin, self.since, self.hands.now());
        log.real = path.canonicalize().unwrap_or_else(|_| path.clone());
        self.hands.followed.insert(path);
        self.logs.push(log);
        let last = self.logs.len() - 1;
        &mut self.logs[last]
    }

    /// Says which directories cannot be looked into, and that they can be again.
    fn tell_directories(&mut self, failed: &[glob::GlobError]) -> Result<(), Stopped> {
        let globs = self.hands.spec.wanted.iter().flatten();
        let mut reasons: BTreeMap<PathBuf, Option<String>> = std::mem::take(&mut self.closed)
            .into_iter()
            .map(|path| (path, None))
            .collect();
        for base in globs.map(FileGlob::base) {
            let missing = match fs::metadata(base) {
                Ok(data) if data.is_dir() => None,
                Ok(_) => Some(format!("{} is not a directory", base.display())),
                Err(error) if error.kind() == ErrorKind::NotFound => Some(format!(
                    "there is no directory {}; its files are read when it comes",
                    base.display()
                )),
                Err(error) => Some(follow::reason(base, &error)),
            };
            reasons.insert(base.to_owned(), missing);
        }
        for error in failed {
            let path = error.path();
            reasons.insert(path.to_owned(), Some(follow::reason(path, error.error())));
            self.closed.push(path.to_owned());
        }
        for (path, reason) in reasons {
            self.hands.trouble(&path, reason)?;
        }
        Ok(())
    }

    /// Whether a wildcard has caught a rotated file of a log that is followed, or a packed one.
    fn is_old(&self, path: &Path) -> bool {
        let Some(name) = path.file_name() else {
            return true;
        };
        let beside = |log: &&Log| log.path.parent() == path.parent();
        let rotated = |log: &Log| {
            log.path
                .file_name()
                .is_some_and(|own| rotated::is_rotated(own, name))
        };
        rotated::is_packed(name) || self.logs.iter().filter(beside).any(rotated)
    }

    /// Says once of a file that is named like a rotated one that it is not read, if it is a log of its own.
    fn note_unread(&mut self, path: PathBuf) {
        if path.file_name().is_none_or(rotated::is_packed) {
            return;
        }
        let Ok(data) = path.metadata() else {
            return;
        };
        let now = Unread {
            identity: token::Identity::of(&data),
            modified: rotated::modified(&data),
            found: Instant::now(),
            told: false,
        };
        let before = match self.unread.get_mut(&path) {
            Some(before) if before.told => return,
            Some(before) if before.identity == now.identity => before,
            _ => {
                self.unread.insert(path, now);
                return;
            }
        };
        let written = now.modified > std::mem::replace(&mut before.modified, now.modified);
        if !written {
            return;
        }
        let Ok(file) = Candidate::open(&path) else {
            return;
        };
        if let Some(log) = self.logs.iter_mut().find(|log| log.owns(&file)) {
            log.seek_more();
        } else if before.found.elapsed() >= COPYING {
            before.told = true;
            log::warn!(
                "source {}: {path} is written to, but named like a rotated file and not read; if it is a log of its own, \
                 write {path} into the list of paths",
                self.hands.spec.name,
                path = path.display()
            );
        }
    }

    /// Whether it is known to be the file of another log, by another name. What is `named` is a log of its own at the
    /// start, even if it was once taken for a rotated file of another one.
    ///
    /// # Errors
    /// Nobody knows now, as for lack of descriptors: a log of its own would be read again that is the file of another.
    fn is_alias(&mut self, path: &Path, named: bool, first: bool) -> io::Result<bool> {
        let real = path.canonicalize().or_else(|_| leads_to(path));
        if real.is_ok_and(|real| self.logs.iter().any(|log| log.real == real)) {
            return Ok(true);
        }
        if named && first {
            return Ok(false);
        }
        let file = match Candidate::open(path) {
            Ok(file) => file,
            // What is not there, is no file or is closed to us is waited for as a log is.
            Err(error)
                if matches!(
                    error.kind(),
                    ErrorKind::NotFound | ErrorKind::InvalidInput | ErrorKind::PermissionDenied
                ) =>
            {
                return Ok(false);
            }
            // It stays what it was until it can be looked at again.
            Err(_) if self.aliases.contains_key(path) => return Ok(true),
            Err(error) => return Err(error),
        };
        let identity = file.identity();
        // As many are named as somebody has written.
        let has_room =
            named || self.aliases.len() < MOST_ALIASES || self.aliases.contains_key(path);
        if has_room && self.logs.iter().any(|log| log.owns(&file)) {
            self.aliases.insert(path.to_owned(), identity);
        }
        Ok(self.aliases.get(path) == Some(&identity))
    }
}

/// Where a link leads at which there is no file now: while a log is turned over, a second name of it leads nowhere.
fn leads_to(link: &Path) -> io::Result<PathBuf> {
    let beside = link.parent().unwrap_or(Path::new(""));
    let target = beside.join(fs::read_link(link)?);
    let name = target.file_name().ok_or(ErrorKind::NotFound)?;
    let directory = target.parent().unwrap_or(Path::new(""));
    Ok(directory.canonicalize()?.join(name))
}
