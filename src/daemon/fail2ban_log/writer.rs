//! How do lines get out, whatever the disk does?
//!
//! A thread writes them, so that a disk that hangs, or a log of the system that is busy, holds up nobody. What cannot be
//! written is told once.

use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::thread::JoinHandle;
use std::time::Duration;

use super::outlet::Outlet;
use crate::config::fail2ban::logging::{LogTarget, Logging};
use crate::control::fail2ban::line::Level;
use crate::engine::time::Timestamp;

/// How many lines may wait for the disk: a second of the heaviest attack. More of them are not written.
const MOST_WAITING: usize = 16_384;

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
    name: String,
    entries: SyncSender<Entry>,
    thread: JoinHandle<()>,
    /// Breaks off when the thread ends.
    ended: Receiver<()>,
    /// Whether lines are being lost, which has been told.
    loses: bool,
}

impl Writer {
    /// Begins to write; nothing if the system gives no thread, which is told.
    pub fn start(target: &LogTarget, logging: &Logging) -> Option<Writer> {
        let (entries, waiting) = sync_channel(MOST_WAITING);
        let (running, ended) = sync_channel(0);
        let (name, own) = (target.name().to_owned(), target.name().to_owned());
        let outlet = Outlet::new(target, logging);
        let thread = std::thread::Builder::new()
            .name("fail2ban-log".to_owned())
            .spawn(move || {
                let _running: SyncSender<()> = running;
                write_all(&own, outlet, &waiting);
            });
        match thread {
            Ok(thread) => Some(Writer {
                name,
                entries,
                thread,
                ended,
                loses: false,
            }),
            Err(error) => {
                log::error!("cannot write {name}: {error}");
                None
            }
        }
    }

    /// Has a line written; if too many wait, it is lost.
    pub fn write(&mut self, entry: Entry) {
        let is_lost = self.entries.try_send(entry).is_err();
        if is_lost && !self.loses {
            log::warn!(
                "{} cannot be written as fast as things happen: lines of it are missing",
                self.name
            );
        }
        self.loses = is_lost;
    }

    /// Waits until all that was told is written, but no longer than this.
    pub fn end(self, longest: Duration) {
        drop(self.entries);
        if self.ended.recv_timeout(longest) == Err(RecvTimeoutError::Timeout) {
            log::warn!("{} takes nothing: its last lines are missing", self.name);
            return;
        }
        if self.thread.join().is_err() {
            log::error!("the writer of {} has died", self.name);
        }
    }
}

/// Writes lines until there will be no more.
fn write_all(name: &str, mut outlet: Outlet, waiting: &Receiver<Entry>) {
    let mut fails = false;
    for entry in waiting {
        let written = outlet.write(&entry);
        match (&written, fails) {
            (Err(error), false) => log::error!(
                "cannot write {name}: {error}; what happens is not told there until it can"
            ),
            (Ok(()), true) => log::info!("{name} can be written again"),
            _ => {}
        }
        fails = written.is_err();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::fail2ban::logging::SyslogSocket;

    const MINUTE: Duration = Duration::from_secs(60);

    fn writer(path: &str) -> Writer {
        let target = LogTarget::parse(path).expect("a target");
        let logging = Logging {
            target: Some(target.clone()),
            socket: SyslogSocket::Auto,
            threshold: log::LevelFilter::Info.into(),
        };
        Writer::start(&target, &logging).expect("a thread")
    }

    fn entry(text: &str) -> Entry {
        Entry {
            time: "2026-11-21T01:33:04Z".parse().expect("a time"),
            logger: "fail2ban.actions",
            level: Level::Notice,
            text: text.to_owned(),
        }
    }

    #[test]
    fn all_that_was_told_is_written_at_the_end() {
        let home = tempfile::tempdir().expect("a directory");
        let path = home.path().join("log");
        let mut writer = writer(path.to_str().expect("a path"));
        for number in 0..1_000 {
            writer.write(entry(&number.to_string()));
        }
        writer.end(MINUTE);
        let text = std::fs::read_to_string(&path).expect("a log");
        assert_eq!(text.lines().count(), 1_000);
        assert!(text.ends_with("NOTICE  999\n"), "{text}");
    }

    #[test]
    fn what_takes_nothing_holds_up_no_end() {
        let home = tempfile::tempdir().expect("a directory");
        let path = home.path().join("pipe");
        let mode = rustix::fs::Mode::RUSR | rustix::fs::Mode::WUSR;
        rustix::fs::mkfifoat(rustix::fs::CWD, &path, mode).expect("a pipe");
        let mut writer = writer(path.to_str().expect("a path"));
        writer.write(entry("lost"));
        // Nobody reads.
        writer.end(Duration::ZERO);
    }

    #[test]
    fn a_file_that_cannot_be_written_holds_up_nobody() {
        let mut writer = writer("/nonexistent/log");
        writer.write(entry("lost"));
        writer.end(MINUTE);
    }
}
