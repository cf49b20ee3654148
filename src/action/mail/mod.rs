//! How is one letter sent?
//!
//! To a mail server, or through the machine's own sendmail. It is sent once; when to try again is the caller's to
//! decide. Nothing here knows what the letter is for. [`letter`] says what is written, whatever text it is made of,
//! [`smtp`] hands it to a server over a [`wire`].

mod letter;
mod smtp;
mod wire;

use std::fmt;
use std::path::{Path, PathBuf};
use std::time::Duration;

pub use lettre::Address;
use lettre::Message;

use super::authorities::AuthorityError;
use super::exec::{self, Environment, Errand, ExecError};
use super::secret::Opened;

pub use letter::{LONGEST_SUBJECT, LONGEST_TEXT, Letter, LetterError, Part};

/// The exit codes of sendmail that the same letter would end with again: wrong use, wrong data, nobody of that name,
/// no such host, not allowed.
const LASTING: [i32; 5] = [64, 65, 67, 68, 77];

/// Who takes letters.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Transport {
    /// A program of this machine, with sendmail's arguments; every mail system brings one.
    Sendmail {
        /// Its path, or its name in PATH.
        program: PathBuf,
    },
    /// A mail server.
    Smtp(Server),
}

/// A mail server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Server {
    /// Its name or address; the name is what its certificate must say.
    pub host: String,
    /// Its port.
    pub port: u16,
    /// Whether and when there is TLS.
    pub security: Security,
    /// Who we are to it, if it asks.
    pub login: Option<Login>,
    /// A file of the only authorities that are believed, instead of the machine's own.
    pub authority: Option<PathBuf>,
}

/// Whether a connection is encrypted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Security {
    /// It is not. Only for servers on this machine or on a network that is ours.
    None,
    /// It begins in clear, and nothing is said before there is TLS; usually port 587.
    StartTls,
    /// From the beginning; usually port 465.
    Tls,
}

/// A name and a password.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Login {
    /// The name.
    pub user: String,
    /// The password.
    pub password: Opened,
}

/// Why a letter was not taken.
#[derive(Debug, thiserror::Error)]
pub enum MailError {
    /// It cannot be written.
    #[error(transparent)]
    Letter(#[from] LetterError),
    /// Everybody on the way could read the password.
    #[error("the password for {place} would go unencrypted: use StartTLS or TLS, or no login")]
    InClear {
        /// The host and the port.
        place: String,
    },
    /// Nobody can be believed.
    #[error(transparent)]
    Authority(#[from] AuthorityError),
    /// No connection, no TLS, or nobody there who speaks SMTP.
    #[error("cannot reach the mail server {place}: {why}")]
    Unreachable {
        /// The host and the port.
        place: String,
        /// Why not.
        why: String,
    },
    /// The server says no.
    #[error("the mail server {place} refuses: {code} {said}")]
    Refused {
        /// The host and the port.
        place: String,
        /// SMTP's code.
        code: u16,
        /// What it says, on one line.
        said: String,
    },
    /// It was not done in time.
    #[error("the mail server {place} was not done within {seconds} seconds")]
    Late {
        /// The host and the port.
        place: String,
        /// How long it had.
        seconds: u64,
    },
    /// The machine's own mail system did not take it.
    #[error(transparent)]
    Program(#[from] ExecError),
}

impl MailError {
    /// Whether the same letter will hardly be taken when it is sent again.
    pub fn is_lasting(&self) -> bool {
        match self {
            MailError::Letter(_) | MailError::InClear { .. } | MailError::Authority(_) => true,
            MailError::Refused { code, .. } => *code >= 500,
            MailError::Program(ExecError::Refused { status, .. }) => {
                status.code().is_some_and(|code| LASTING.contains(&code))
            }
            MailError::Unreachable { .. } | MailError::Late { .. } | MailError::Program(_) => false,
        }
    }
}

/// Sends a letter: once this returns, somebody else answers for it.
///
/// # Errors
/// Nobody has taken it; or, if it is late or the connection broke, perhaps somebody has.
pub fn post(transport: &Transport, letter: &Letter, deadline: Duration) -> Result<(), MailError> {
    let message = letter::write(letter)?;
    match transport {
        Transport::Sendmail { program } => sendmail(program, &message, deadline),
        Transport::Smtp(server) => smtp::send(server, &message, deadline),
    }
}

fn sendmail(program: &Path, message: &Message, deadline: Duration) -> Result<(), MailError> {
    // A line with a single dot does not end the letter.
    let mut argv = vec![program.display().to_string(), "-i".to_owned()];
    if let Some(from) = message.envelope().from() {
        argv.extend(["-f".to_owned(), from.to_string()]);
    }
    argv.push("--".to_owned());
    argv.extend(message.envelope().to().iter().map(Address::to_string));
    exec::run(&Errand {
        argv: &argv,
        // Programs of this machine end lines as it does. There is no other carriage return in an encoded letter.
        input: String::from_utf8_lossy(&message.formatted())
            .replace("\r\n", "\n")
            .as_bytes(),
        deadline,
        accepts: &[0],
        environment: Environment::Bare,
    })?;
    Ok(())
}

/// The host and the port of a server.
impl fmt::Display for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.host, self.port)
    }
}
