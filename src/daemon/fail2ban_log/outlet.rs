//! How does a line get out of here?
//!
//! In: what Fail2ban would have said. Out: bytes in a file, in the system's log, in the journal, or on the streams that the
//! daemon was given. A file is looked at before each line: when it was rotated it is opened anew. So is a socket that takes
//! nothing any more.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::os::unix::net::{UnixDatagram, UnixStream};
use std::path::{Path, PathBuf};

use jiff::tz::TimeZone;

use super::writer::Entry;
use crate::config::fail2ban::logging::{LogPlace, LogTarget, Logging};
use crate::control::fail2ban::line::{Form, Line, OneLine};

/// The owner writes, the owner's group reads.
const MODE: u32 = 0o640;

/// Where the journal takes entries of several fields.
const JOURNAL: &str = "/run/systemd/journal/socket";

/// Who speaks, to the journal.
const IDENTIFIER: &str = "fail2ban";

/// Where lines get out.
pub struct Outlet {
    form: Form,
    zone: TimeZone,
    exit: Exit,
}

enum Exit {
    File {
        path: PathBuf,
        file: Option<File>,
    },
    Syslog {
        path: PathBuf,
        facility: u8,
        socket: Option<Socket>,
    },
    Journal {
        socket: Option<UnixDatagram>,
    },
    Output,
    Errors,
}

/// The system's log takes messages, or a stream of them.
enum Socket {
    Messages(UnixDatagram),
    Stream(UnixStream),
}

impl Outlet {
    /// The one to that target; nothing is opened before the first line.
    pub fn new(target: &LogTarget, logging: &Logging) -> Self {
        let exit = match &target.place {
            LogPlace::File(path) => Exit::File {
                path: path.clone(),
                file: None,
            },
            LogPlace::Syslog(facility) => Exit::Syslog {
                path: logging.syslog().to_owned(),
                facility: *facility,
                socket: None,
            },
            LogPlace::Journal => Exit::Journal { socket: None },
            LogPlace::Output => Exit::Output,
            LogPlace::Errors => Exit::Errors,
        };
        Outlet {
            form: target.form,
            zone: TimeZone::system(),
            exit,
        }
    }

    /// Lets a line out.
    ///
    /// # Errors
    /// It cannot be written.
    pub fn write(&mut self, entry: &Entry) -> io::Result<()> {
        let line = Line {
            time: entry.time,
            zone: &self.zone,
            logger: entry.logger,
            process: std::process::id(),
            level: entry.level,
            form: self.form,
            text: &entry.text,
        };
        match &mut self.exit {
            Exit::File { path, file } => append(path, file, format!("{line}\n").as_bytes()),
            Exit::Syslog {
                path,
                facility,
                socket,
            } => {
                let priority = *facility * 8 + entry.level.severity();
                // Python ends a message so, and a stream needs an end.
                let message = format!("<{priority}>{line}\0");
                again(
                    socket,
                    || Socket::open(path),
                    |socket| socket.send(message.as_bytes()),
                )
            }
            Exit::Journal { socket } => {
                let fields = format!(
                    "MESSAGE={}\nPRIORITY={}\nLOGGER={}\nSYSLOG_IDENTIFIER={IDENTIFIER}\n",
                    OneLine(&entry.text),
                    entry.level.severity(),
                    entry.logger,
                );
                again(
                    socket,
                    || open(Path::new(JOURNAL)),
                    |socket| socket.send(fields.as_bytes()).map(drop),
                )
            }
            Exit::Output => {
                let mut out = io::stdout().lock();
                writeln!(out, "{line}").and_then(|()| out.flush())
            }
            Exit::Errors => writeln!(io::stderr(), "{line}"),
        }
    }
}

impl Socket {
    fn open(path: &Path) -> io::Result<Self> {
        match open(path) {
            Ok(socket) => Ok(Socket::Messages(socket)),
            Err(error) => match UnixStream::connect(path) {
                Ok(stream) => Ok(Socket::Stream(stream)),
                Err(_) => Err(error),
            },
        }
    }

    fn send(&mut self, message: &[u8]) -> io::Result<()> {
        match self {
            Socket::Messages(socket) => socket.send(message).map(drop),
            Socket::Stream(stream) => stream.write_all(message),
        }
    }
}

fn open(path: &Path) -> io::Result<UnixDatagram> {
    let socket = UnixDatagram::unbound()?;
    socket.connect(path)?;
    Ok(socket)
}

/// Sends over what is open, or over what is opened anew where that takes nothing any more.
fn again<S>(
    socket: &mut Option<S>,
    open: impl Fn() -> io::Result<S>,
    send: impl Fn(&mut S) -> io::Result<()>,
) -> io::Result<()> {
    if let Some(mut old) = socket.take()
        && send(&mut old).is_ok()
    {
        *socket = Some(old);
        return Ok(());
    }
    let mut new = open()?;
    send(&mut new)?;
    *socket = Some(new);
    Ok(())
}

fn append(path: &Path, file: &mut Option<File>, line: &[u8]) -> io::Result<()> {
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
    use crate::control::fail2ban::line::Level;

    #[test]
    fn a_rotated_file_is_opened_anew() {
        let home = tempfile::tempdir().expect("a directory");
        let (path, old) = (home.path().join("log"), home.path().join("log.1"));
        for (text, rotated) in [("one", true), ("two", false)] {
            let mut file = None;
            append(&path, &mut file, b"before\n").expect("a line");
            if rotated {
                std::fs::rename(&path, &old).expect("rotation");
            }
            append(&path, &mut file, format!("{text}\n").as_bytes()).expect("a line");
        }
        let read = |path| std::fs::read_to_string(path).expect("a log");
        assert_eq!(read(&old), "before\n");
        assert_eq!(read(&path), "one\nbefore\ntwo\n");
    }

    #[test]
    fn a_log_of_the_system_that_was_restarted_is_spoken_to_again() {
        let home = tempfile::tempdir().expect("a directory");
        let path = home.path().join("log");
        let mut outlet = Outlet {
            form: Form::default(),
            zone: TimeZone::UTC,
            exit: Exit::Syslog {
                path: path.clone(),
                facility: 3,
                socket: None,
            },
        };
        let entry = Entry {
            time: "2026-11-21T01:33:04Z".parse().expect("a time"),
            logger: "fail2ban.actions",
            level: Level::Notice,
            text: "[sshd] Ban 192.0.2.7".to_owned(),
        };
        assert!(outlet.write(&entry).is_err());
        for _ in 0..2 {
            let log = UnixDatagram::bind(&path).expect("a socket");
            outlet.write(&entry).expect("a message");
            let mut bytes = [0; 200];
            let length = log.recv(&mut bytes).expect("a message");
            let text = String::from_utf8_lossy(&bytes[..length]);
            assert!(
                text.starts_with("<29>2026-11-21 01:33:04,000 fail2ban.actions"),
                "{text}"
            );
            assert!(text.ends_with("NOTICE  [sshd] Ban 192.0.2.7\0"), "{text}");
            std::fs::remove_file(&path).expect("the socket goes");
        }
    }
}
