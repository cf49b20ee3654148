//! How do lines get into the file, whatever the disk does?
//!
//! A thread writes them, so that a disk that hangs holds up nobody, and looks before each line whether the file is still
//! the one of that name: when it was rotated it is opened anew. What cannot be written is told once.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread::JoinHandle;

use jiff::tz::TimeZone;

use crate::control::fail2ban::line::{Level, Line};
use crate::engine::time::Timestamp;

/// How many lines may wait for the disk: a second of the heaviest attack. More of them are not written.
const MOST_WAITING: usize = 16_384;

/// The owner writes, the owner's group reads.
const MODE: u32 = 0o640;

/// A line to be written.
#[derive(Debug)]
pub struct Entry {
    /// When it happened.
    pub time: Timestamp,
    /// Which part of Fail2ban would have said it.
    pub logger: &'static str,
    /// How much it matters.
    pub level: Level,
    /// What it says.
    pub text: String,
}

/// Whoever writes. What was told until it is dropped is written still.
pub struct Writer {
    path: PathBuf,
    entries: SyncSender<Entry>,
    thread: JoinHandle<()>,
    /// Whether lines are being lost, which has been told.
    loses: bool,
}

impl Writer {
    /// Begins to write into a file; nothing if the system gives no thread, which is told.
    pub fn start(path: &Path) -> Option<Writer> {
        let (entries, waiting) = sync_channel(MOST_WAITING);
        let own = path.to_owned();
        let thread = std::thread::Builder::new()
            .name("fail2ban-log".to_owned())
            .spawn(move || write_all(&own, &waiting));
        match thread {
            Ok(thread) => Some(Writer {
                path: path.to_owned(),
                entries,
                thread,
                loses: false,
            }),
            Err(error) => {
                log::error!("cannot write {}: {error}", path.display());
                None
            }
        }
    }

    /// The file.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Has a line written; if too many wait, it is lost.
    pub fn write(&mut self, entry: Entry) {
        let is_lost = self.entries.try_send(entry).is_err();
        if is_lost && !self.loses {
            log::warn!(
                "{} cannot be written as fast as things happen: lines of it are missing",
                self.path.display()
            );
        }
        self.loses = is_lost;
    }

    /// Waits until all that was told is written.
    pub fn end(self) {
        drop(self.entries);
        if self.thread.join().is_err() {
            log::error!("the writer of {} has died", self.path.display());
        }
    }
}

/// Writes lines until there will be no more.
fn write_all(path: &Path, waiting: &Receiver<Entry>) {
    let (mut file, mut fails) = (None, false);
    let zone = TimeZone::system();
    for entry in waiting {
        let line = Line {
            time: entry.time,
            zone: &zone,
            logger: entry.logger,
            process: std::process::id(),
            level: entry.level,
            text: &entry.text,
        };
        let written = write(path, &mut file, format!("{line}\n").as_bytes());
        match (&written, fails) {
            (Err(error), false) => log::error!(
                "cannot write {}: {error}; what happens is not told there until it can",
                path.display()
            ),
            (Ok(()), true) => log::info!("{} can be written again", path.display()),
            _ => {}
        }
        fails = written.is_err();
    }
}

fn write(path: &Path, file: &mut Option<File>, line: &[u8]) -> io::Result<()> {
    let is_same = |file: &File| -> io::Result<bool> {
        let (there, ours) = (std::fs::metadata(path)?, file.metadata()?);
        Ok((there.dev(), there.ino()) == (ours.dev(), ours.ino()))
    };
    // One that is gone, or cannot be looked at, is opened anew, and that tells why it cannot.
    let kept = file.take().filter(|file| is_same(file).unwrap_or(false));
    let opened = match kept {
        Some(kept) => kept,
        None => {
            let mut options = OpenOptions::new();
            options.create(true).append(true).mode(MODE);
            options.open(path)?
        }
    };
    file.insert(opened).write_all(line)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(text: &str) -> Entry {
        Entry {
            time: "2026-11-21T01:33:04Z".parse().expect("a time"),
            logger: "fail2ban.actions",
            level: Level::Notice,
            text: text.to_owned(),
        }
    }

    fn texts(path: &Path) -> Vec<String> {
        let text = std::fs::read_to_string(path).expect("a log");
        let lines = text.lines();
        let said = lines.filter_map(|line| Some(line.split_once("NOTICE  ")?.1.to_owned()));
        said.collect()
    }

    #[test]
    fn a_rotated_file_is_opened_anew() {
        let home = tempfile::tempdir().expect("a directory");
        let (path, old) = (home.path().join("log"), home.path().join("log.1"));
        for (text, rotated) in [("one", true), ("two", false)] {
            let mut file = None;
            write(&path, &mut file, b"NOTICE  before\n").expect("a line");
            if rotated {
                std::fs::rename(&path, &old).expect("rotation");
            }
            write(&path, &mut file, format!("NOTICE  {text}\n").as_bytes()).expect("a line");
        }
        assert_eq!(texts(&old), ["before"]);
        assert_eq!(texts(&path), ["one", "before", "two"]);
    }

    #[test]
    fn all_that_was_told_is_written_at_the_end() {
        let home = tempfile::tempdir().expect("a directory");
        let path = home.path().join("log");
        let mut writer = Writer::start(&path).expect("a thread");
        for number in 0..1_000 {
            writer.write(entry(&number.to_string()));
        }
        writer.end();
        assert_eq!(texts(&path).len(), 1_000);
    }

    #[test]
    fn a_file_that_cannot_be_written_holds_up_nobody() {
        let mut writer = Writer::start(Path::new("/nonexistent/log")).expect("a thread");
        writer.write(entry("lost"));
        writer.end();
    }
}
