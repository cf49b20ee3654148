//! Log files.
//!
//! Comes in: globs, and where to begin. Goes out: batches of each log in the order of its files, each with the cursor
//! behind it, and what the administrator should know. [`run`] follows all files that match, now and later, through
//! every way of rotating them; [`open`] is for logs that are read once. One thread serves all files.

pub mod encoding;
pub mod globs;
pub mod lines;
pub mod token;

mod begin;
mod expansion;
mod follow;
mod front;
mod hands;
mod packed;
mod part;
mod rotated;
mod watch;

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::ffi::OsString;
use std::io;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::runtime::Runtime;
use tokio::sync::watch as channel;

use super::{Delivery, Start};
use crate::engine::filter::sieve::Sieve;
use crate::engine::name::SourceName;
use crate::engine::record::line::LineForm;
use crate::engine::time::Timestamp;
pub use encoding::{Encoding, EncodingError};
use expansion::Unread;
use follow::{Begin, Log, Looked};
pub use globs::{FileGlob, FileGlobError};
use hands::{Hands, Stopped};
pub use packed::{Content, Plain, open};
pub use rotated::{is_rotated, written_since};
use watch::{Hint, Watcher};

/// Which files to read, and how.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FilesSpec {
    /// The source's name.
    pub name: SourceName,
    /// What the jails want; the place in this list is the `RouteId`. All of it is followed.
    pub wanted: Vec<Vec<FileGlob>>,
    /// How the lines are written.
    pub form: LineForm,
    /// In which letters.
    pub encoding: Encoding,
    /// Which lines need not be handed on; if there is none, all are.
    pub sieve: Option<Arc<Sieve>>,
}

/// The most logs that are followed; each costs a descriptor for the file that its path names, and a look a second. A
/// service has 1024 descriptors unless it is given more, and others need some: without one, no ban can be set.
const MOST_FILES: usize = 256;

/// The most old files of all logs together that are kept open for those who still write to them; each costs a
/// descriptor too.
const MOST_OLD_FILES: usize = 128;

/// The shortest time between two looks. A line that comes alone is read at once; of a burst, each look gets all that came
/// meanwhile.
const PACE: Duration = Duration::from_micros(250);

/// The same for a log that has been busy for a while. Waking up costs far more than the ten or hundred lines that are
/// there then; on the other hand a ban is to follow within 10 ms, whatever else it waits for.
const FLOW_PACE: Duration = Duration::from_millis(8);

/// How many looks may come at the faster pace, told as the time in which they would at the slower one: the beginning of an
/// attack, and what comes irregularly, are read at once.
const BURST: Duration = Duration::from_secs(2);

/// The shortest time between two expansions of the globs.
const EXPANSION_PACE: Duration = Duration::from_millis(20);

/// How soon to look again for a file that may be just being moved or packed.
const SEARCH_PACE: Duration = Duration::from_millis(25);

/// The longest time between two looks: a hint can be lost, and moved files give none. One look costs some microseconds
/// a file.
const LONGEST_LOOK: Duration = Duration::from_secs(1);

/// The same where there are no hints.
const DEAF_LOOK: Duration = Duration::from_millis(100);

/// How much is read at once. Larger ones are no faster, and leave the processor's own memory.
const CHUNK: usize = 64 * 1024;

/// Follows the files until `stop` holds `true`, its sender is gone, or `deliver` breaks. It may block in `deliver`,
/// which is how a busy driver slows the reader down. A file that cannot be read is told once, tried again,
/// and told once more when it can; the others go on.
///
/// # Errors
/// Only if the system refuses the means to wait.
pub fn run(
    spec: &FilesSpec,
    start: Start,
    deliver: impl FnMut(Delivery) -> ControlFlow<()>,
    stop: channel::Receiver<bool>,
) -> io::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let watcher = {
        let _inside = runtime.enter();
        Watcher::new()
    };
    let mut follower = Follower {
        hands: Hands {
            spec,
            deliver,
            stop,
            chunk: vec![0; CHUNK],
            followed: BTreeSet::new(),
            unread: 0,
            told_unread: false,
            troubles: BTreeMap::new(),
            more: true,
        },
        since: start.since,
        logs: Vec::new(),
        places: HashMap::new(),
        aliases: BTreeMap::new(),
        unread: BTreeMap::new(),
        unseen: BTreeMap::new(),
        closed: Vec::new(),
        watcher,
        deaf: None,
        runtime,
    };
    follower.resume(&start);
    match follower.run() {
        Err(Halt::Stopped) => Ok(()),
        Err(Halt::Failed(error)) => Err(error),
        Ok(never) => match never {},
    }
}

/// Why following came to a halt.
enum Halt {
    Stopped,
    Failed(io::Error),
}

impl From<Stopped> for Halt {
    fn from(Stopped: Stopped) -> Self {
        Halt::Stopped
    }
}

/// Whether there is a file, as far as one is allowed to know.
fn may_exist(path: &Path) -> bool {
    path.try_exists().unwrap_or(true)
}

struct Follower<'a, D> {
    hands: Hands<'a, D>,
    since: Timestamp,
    logs: Vec<Log>,
    /// Which log a file is of, by directory and name.
    places: HashMap<PathBuf, HashMap<OsString, usize>>,
    /// Paths that match, but are another log's files under other names.
    aliases: BTreeMap<PathBuf, token::Identity>,
    /// Paths that match, but are named like rotated files.
    unread: BTreeMap<PathBuf, Unread>,
    /// Paths that match, but could not be opened to see whose files they are; and whether they were there at the start.
    unseen: BTreeMap<PathBuf, bool>,
    /// Directories that could not be looked into when it was last tried.
    closed: Vec<PathBuf>,
    watcher: Watcher,
    /// What has been said about missing hints.
    deaf: Option<String>,
    runtime: Runtime,
}

impl<D: FnMut(Delivery) -> ControlFlow<()>> Follower<'_, D> {
    /// Goes on behind the cursors, those of files that are there first. Of a log that is gone with all its files nothing
    /// is expected, unless it is named.
    fn resume(&mut self, start: &Start) {
        let wanted = self.hands.spec.wanted.iter().flatten();
        let globs: Vec<&FileGlob> = wanted.collect();
        let (there, gone): (Vec<_>, Vec<_>) = start
            .cursors
            .iter()
            .map(|(stream, cursor)| (Path::new(&*stream.part), cursor))
            .filter(|(path, _)| globs.iter().any(|glob| glob.matches(path)))
            .partition(|(path, _)| may_exist(path));
        for (path, cursor) in there.into_iter().take(MOST_FILES) {
            self.add(path.to_owned(), Begin::Head).resume(cursor);
        }
        for (path, cursor) in gone {
            let named = globs.iter().any(|glob| glob.literal() == Some(path));
            let token = cursor.token.parse::<token::Token>();
            let places = token.map(|token| token.places).unwrap_or_default();
            let inodes: Vec<u64> = places.iter().map(|place| place.identity.inode).collect();
            if named || rotated::has_files(path, &inodes) {
                self.add(path.to_owned(), Begin::Head).resume(cursor);
            }
        }
    }

    fn run(&mut self) -> Result<std::convert::Infallible, Halt> {
        let mut hints = Vec::new();
        self.expand(true)?;
        let mut expanded = Instant::now();
        let mut expand = false;
        let mut due = Instant::now() + self.longest_look();
        let mut search: Option<Instant> = None;
        // Whether all logs are looked at in this turn.
        let mut all = true;
        // When there would have been no look too many, had all been at the slower pace.
        let now = Instant::now();
        let mut calm_at = now.checked_sub(BURST).unwrap_or(now);
        loop {
            if self.hands.stopped() {
                return Err(Halt::Stopped);
            }
            self.watcher.hints(&mut hints);
            for hint in hints.drain(..) {
                expand |= self.heed(&hint);
            }
            let begun = Instant::now();
            if begun >= due {
                due = begun + self.longest_look();
                self.heed(&Hint::Anything);
                all = true;
                expand |= expanded.elapsed() >= LONGEST_LOOK;
            }
            if search.is_some_and(|search| begun >= search) {
                search = None;
                for log in self.logs.iter_mut().filter(|log| log.is_searching()) {
                    log.dirty = true;
                    log.moved = true;
                }
            }
            let mut again = due;
            if expand && expanded.elapsed() >= EXPANSION_PACE {
                expand = false;
                self.expand(false)?;
                expanded = Instant::now();
            } else if expand {
                again = again.min(expanded + EXPANSION_PACE);
            }
            let mut looked = false;
            let mut more = false;
            let mut waiting = false;
            for log in self.logs.iter_mut().filter(|log| log.dirty) {
                looked = true;
                match log.look(&mut self.hands)? {
                    Looked::AtEnd => {}
                    Looked::More => more = true,
                    looked @ (Looked::Searching | Looked::Waiting) => {
                        waiting |= looked == Looked::Waiting;
                        search.get_or_insert(begun + SEARCH_PACE);
                    }
                }
            }
            if looked {
                self.bound_old_files()?;
            }
            if more {
                continue;
            }
            if !waiting && std::mem::take(&mut all) {
                self.hands.tell_end()?;
            }
            if looked {
                let pace = if calm_at > begun { FLOW_PACE } else { PACE };
                let forgotten = begun.checked_sub(BURST).unwrap_or(begun);
                calm_at = calm_at.max(forgotten) + FLOW_PACE;
                // Short enough for whoever wants this thread to end.
                std::thread::sleep(pace.saturating_sub(begun.elapsed()));
            }
            self.pause(search.map_or(again, |search| search.min(again)))?;
        }
    }

    /// Lets go of the old files that have been silent longest, when all logs together hold too many.
    fn bound_old_files(&mut self) -> Result<(), Stopped> {
        let mut old: Vec<Instant> = self.logs.iter().flat_map(Log::old_files).collect();
        let Some(surplus) = old.len().checked_sub(MOST_OLD_FILES).filter(|n| *n > 0) else {
            return Ok(());
        };
        let (_, last, _) = old.select_nth_unstable(surplus - 1);
        let last = *last;
        // What has not been read to its end stays.
        for log in self.logs.iter_mut().filter(|log| !log.dirty) {
            log.let_go_until(last, &mut self.hands)?;
        }
        Ok(())
    }

    fn longest_look(&self) -> Duration {
        match self.watcher.deaf() {
            None => LONGEST_LOOK,
            Some(_) => DEAF_LOOK,
        }
    }

    /// Marks what a hint may mean; answers whether other files may match now.
    fn heed(&mut self, hint: &Hint) -> bool {
        match hint {
            Hint::Anything => {
                for log in &mut self.logs {
                    log.dirty = true;
                    log.moved = true;
                }
                true
            }
            Hint::File {
                directory,
                name,
                moved,
            } => {
                let there = self.places.get(directory);
                if let Some(index) = there.and_then(|there| there.get(name))
                    && let Some(log) = self.logs.get_mut(*index)
                {
                    log.dirty = true;
                    log.moved |= moved;
                    return *moved;
                }
                // Perhaps an old file, which has another name now.
                for index in there.into_iter().flat_map(HashMap::values) {
                    if let Some(log) = self.logs.get_mut(*index) {
                        log.dirty |= *moved || log.has_old_parts();
                        log.moved |= moved;
                    }
                }
                *moved
            }
        }
    }

    /// Waits for a hint, at most until a moment.
    fn pause(&mut self, until: Instant) -> Result<(), Halt> {
        if self.watcher.has_hints() {
            return Ok(());
        }
        let (stop, watcher) = (&mut self.hands.stop, &self.watcher);
        self.runtime.block_on(async {
            tokio::select! {
                _ = stop.wait_for(|stop| *stop) => Err(Halt::Stopped),
                hint = watcher.wait() => hint.map_err(Halt::Failed),
                () = tokio::time::sleep_until(until.into()) => Ok(()),
            }
        })
    }
}
