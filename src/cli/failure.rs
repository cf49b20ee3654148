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
    is_broken_pipe: bool,
}

impl Failure {
    /// A failure with something to say.
    pub fn new(exit: Exit, message: impl Into<String>) -> Self {
        Failure {
            exit,
            message: message.into(),
            is_broken_pipe: false,
        }
    }

    /// Whether the reader of the output has gone, which is no failure of ours.
    pub fn is_broken_pipe(&self) -> bool {
        self.is_broken_pipe
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
            is_broken_pipe: error.kind() == io::ErrorKind::BrokenPipe,
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
