//! Has something happened to the logs?
//!
//! Comes in: directories. Goes out: hints, which may come late, twice or never; what is true only a look at the files
//! says. Where no hints are to be had, somebody must look more often.

use std::collections::{BTreeSet, HashMap};
use std::ffi::OsString;
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};

use inotify::{EventMask, Inotify, WatchDescriptor, WatchMask};
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

/// Room for events; one has at most 16 bytes and a name of 256.
const EVENTS: usize = 16 * 1024;

/// The most directories that are watched. The kernel allows a user some thousands, and others want some too.
const MOST_DIRECTORIES: usize = 1024;

/// File systems that others write to, of which the kernel does not hear: NFS, SMB (two), Ceph, 9p, FUSE, AFS, OCFS2.
const SHARED: [u32; 8] = [
    0x6969,
    0xff53_4d42,
    0xfe53_4d42,
    0x00c3_6400,
    0x0102_1997,
    0x6573_5546,
    0x5346_414f,
    0x7461_636f,
];

/// What may have happened.
#[derive(Debug)]
pub enum Hint {
    /// Something to the file of this name in this directory.
    File {
        /// The directory.
        directory: PathBuf,
        /// The name.
        name: OsString,
        /// Whether it came, went or changed its permissions; otherwise it was written to.
        moved: bool,
    },
    /// Anything.
    Anything,
}

/// Watches directories.
pub struct Watcher {
    inotify: Option<AsyncFd<Inotify>>,
    watches: HashMap<PathBuf, WatchDescriptor>,
    paths: HashMap<WatchDescriptor, PathBuf>,
    buffer: Box<[u8]>,
    /// Whether no hint was left when they were read last.
    drained: bool,
    /// Why not all that happens is heard.
    deaf: Option<String>,
}

impl Watcher {
    /// Watches nothing yet. Must be made inside the runtime that waits for it.
    #[expect(
        deprecated,
        reason = "its successor is an unsafe function; what that asks for holds: inotify keeps one descriptor, open as \
                  long as it lives"
    )]
    pub fn new() -> Self {
        let opened =
            Inotify::init().and_then(|inotify| AsyncFd::with_interest(inotify, Interest::READABLE));
        let (inotify, deaf) = match opened {
            Ok(inotify) => (Some(inotify), None),
            Err(error) => (None, Some(format!("inotify is refused: {error}"))),
        };
        Watcher {
            inotify,
            watches: HashMap::new(),
            paths: HashMap::new(),
            buffer: vec![0; EVENTS].into(),
            drained: false,
            deaf,
        }
    }

    /// Watches these directories and no others. One that was removed and made again is watched again.
    pub fn watch(&mut self, directories: &BTreeSet<PathBuf>) {
        let Some(inotify) = &self.inotify else {
            return;
        };
        self.deaf = None;
        let mut watches = inotify.get_ref().watches();
        self.watches.retain(|path, watch| {
            let wanted = directories.contains(path);
            if !wanted {
                // It may be gone with its directory.
                let _ = watches.remove(watch.clone());
                self.paths.remove(watch);
            }
            wanted
        });
        let mask = WatchMask::MODIFY
            | WatchMask::CREATE
            | WatchMask::MOVE
            | WatchMask::DELETE
            | WatchMask::ATTRIB
            | WatchMask::DELETE_SELF
            | WatchMask::MOVE_SELF
            | WatchMask::ONLYDIR;
        if directories.len() > MOST_DIRECTORIES {
            self.deaf = Some(format!(
                "there are more than {MOST_DIRECTORIES} directories"
            ));
        }
        for path in directories.iter().take(MOST_DIRECTORIES) {
            let added = watches.add(path, mask);
            if rustix::fs::statfs(path).is_ok_and(|data| is_shared(data.f_type)) {
                self.deaf = Some(format!("other machines may write to {}", path.display()));
            }
            match added {
                Ok(watch) => {
                    self.paths.insert(watch.clone(), path.clone());
                    if let Some(old) = self.watches.insert(path.clone(), watch.clone())
                        && old != watch
                    {
                        let _ = watches.remove(old.clone());
                        self.paths.remove(&old);
                    }
                }
                // It went this moment.
                Err(error) if error.kind() == ErrorKind::NotFound => {}
                Err(error) => self.deaf = Some(refused(path, &error)),
            }
        }
    }

    /// Why not all that happens is heard, so that one must look.
    pub fn deaf(&self) -> Option<&str> {
        self.deaf.as_deref()
    }

    /// Hints that have come. Only as many as fit the buffer, lest somebody who writes all the time keeps us here.
    pub fn hints(&mut self, hints: &mut Vec<Hint>) {
        let Some(inotify) = &mut self.inotify else {
            return;
        };
        let events = inotify.get_mut().read_events(&mut self.buffer);
        self.drained = matches!(&events, Err(error) if error.kind() == ErrorKind::WouldBlock);
        let Ok(events) = events else {
            if !self.drained {
                self.drained = true;
                hints.push(Hint::Anything);
            }
            return;
        };
        for event in events {
            let directory = self.paths.get(&event.wd);
            match (directory, event.name) {
                (Some(directory), Some(name)) => hints.push(Hint::File {
                    directory: directory.clone(),
                    name: name.to_owned(),
                    moved: event.mask != EventMask::MODIFY,
                }),
                // Of a watch that was given up.
                (None, _) if !event.mask.contains(EventMask::Q_OVERFLOW) => {}
                _ => hints.push(Hint::Anything),
            }
        }
    }

    /// Whether there may be hints without waiting for them.
    pub fn has_hints(&self) -> bool {
        self.inotify.is_some() && !self.drained
    }

    /// Waits for a hint; for ever, where there are none.
    ///
    /// # Errors
    /// The system cannot wait.
    pub async fn wait(&self) -> io::Result<()> {
        match &self.inotify {
            Some(inotify) => inotify
                .readable()
                .await
                .map(|mut ready| ready.clear_ready()),
            None => std::future::pending().await,
        }
    }
}

fn is_shared(kind: impl TryInto<u32>) -> bool {
    kind.try_into().is_ok_and(|kind| SHARED.contains(&kind))
}

fn refused(path: &Path, error: &io::Error) -> String {
    match rustix::io::Errno::from_io_error(error) {
        Some(rustix::io::Errno::NOSPC) => {
            "all watches are in use; raise the sysctl fs.inotify.max_user_watches".to_owned()
        }
        _ => format!("inotify refuses to watch {}: {error}", path.display()),
    }
}
