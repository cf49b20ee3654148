//! How does a command end if not well?

use std::io;
use std::process::ExitCode;

use crate::config::Problem;
use crate::control::client::ClientError;
use crate::control::protocol::{Refusal, Why};

/// The exit codes, a contract.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exit {
    /// The thing asked for is not so.
    NotSo = 1,
    /// The command line makes no sense.
    Usage = 64,
    /// There is no such input.
    NoInput = 66,
    /// No daemon answers.
    Unreachable = 69,
    /// Our fault.
    Software = 70,
    /// Input or output failed.
    Io = 74,
    /// This user may not.
    NotPermitted = 77,
    /// The configuration has mistakes.
    BadConfiguration = 78,
}

impl Exit {
    /// Something cannot be read.
    pub fn of_reading(error: &io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::NotFound | io::ErrorKind::IsADirectory => Exit::NoInput,
            io::ErrorKind::PermissionDenied => Exit::NotPermitted,
            _ => Exit::Io,
        }
    }
}

impl Exit {
    /// Something cannot be written.
    pub fn of_writing(error: &io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::PermissionDenied => Exit::NotPermitted,
            _ => Exit::Io,
        }
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        ExitCode::from(exit as u8)
    }
}

/// Why a command did not do what it should.
#[derive(Debug, thiserror::Error)]
#[error("{message}")]
pub struct Failure {
    /// How the process ends.
    pub exit: Exit,
    /// What to say; nothing if all has been said.
    pub message: String,
    /// If it is the answer that cannot be written.
    unwritten: Option<io::ErrorKind>,
}

impl Failure {
    /// A failure with something to say.
    pub fn new(exit: Exit, message: impl Into<String>) -> Self {
        Failure {
            exit,
            message: message.into(),
            unwritten: None,
        }
    }

    /// Whether the reader of the output has gone, which is no failure of ours.
    pub fn is_broken_pipe(&self) -> bool {
        self.unwritten == Some(io::ErrorKind::BrokenPipe)
    }

    /// Whether nothing more can be answered.
    pub fn is_of_writing(&self) -> bool {
        self.unwritten.is_some()
    }

    /// All of these together, if there is one: the process ends as the first one says.
    pub fn all(failures: Vec<Failure>) -> Option<Failure> {
        let exit = failures.first()?.exit;
        let messages: Vec<_> = failures.iter().map(|one| &*one.message).collect();
        Some(Failure::new(exit, messages.join("\nf2bd: ")))
    }

    /// A failure of which everything has been said.
    pub fn silent(exit: Exit) -> Self {
        Failure::new(exit, "")
    }

    /// Problems of a configuration, one a line.
    pub fn of_problems(problems: &[Problem]) -> Self {
        let lines: Vec<_> = problems.iter().map(ToString::to_string).collect();
        Failure::new(Exit::BadConfiguration, lines.join("\n"))
    }
}

/// Writing the answer failed.
impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        Failure {
            unwritten: Some(error.kind()),
            ..Failure::new(Exit::Io, format!("cannot write: {error}"))
        }
    }
}

impl From<ClientError> for Failure {
    fn from(error: ClientError) -> Self {
        let exit = match error {
            ClientError::Unreachable { .. } | ClientError::Lost(_) | ClientError::Silent(_) => {
                Exit::Unreachable
            }
            ClientError::Denied(_) => Exit::NotPermitted,
            ClientError::Strange(_) => Exit::Software,
        };
        let remedy = match error {
            ClientError::Unreachable { .. } => {
                "; start it with `systemctl start f2bd`, or name its socket with --socket"
            }
            _ => "",
        };
        Failure::new(exit, format!("{error}{remedy}"))
    }
}

impl From<Refusal> for Failure {
    fn from(refusal: Refusal) -> Self {
        let exit = match refusal.why {
            Why::Malformed => Exit::Software,
            Why::Usage => Exit::Usage,
            Why::NotPermitted => Exit::NotPermitted,
            Why::NotSo => Exit::NotSo,
            Why::BadConfiguration => Exit::BadConfiguration,
            Why::Unable => Exit::Io,
        };
        let lines: Vec<_> = std::iter::once(refusal.message)
            .chain(refusal.details)
            .collect();
        Failure::new(exit, lines.join("\n"))
    }
}
