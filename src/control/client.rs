//! How is a running daemon asked?
//!
//! Plain blocking calls for the command line. The daemon is trusted, the file system is not: whoever serves the
//! socket is the daemon.

use std::io::{self, BufRead, BufReader, Write};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::protocol::{Envelope, FollowLine, Reply, Request, VERSION};

/// How long an answer may take: longer than a reload that waits for host names, and than a database that is put in
/// order; whoever asks should hear of a daemon that hangs.
const PATIENCE: Duration = Duration::from_secs(60);

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// Nobody serves the socket.
    #[error("no daemon serves {path}: {error}")]
    Unreachable {
        /// The socket.
        path: PathBuf,
        /// What the system says.
        error: io::Error,
    },
    /// The socket is not for this user.
    #[error("no permission to ask the daemon at {0}: become root or a member of its group")]
    Denied(PathBuf),
    /// The daemon went away in the middle.
    #[error("the daemon has gone away: {0}")]
    Lost(#[from] io::Error),
    /// It says nothing.
    #[error("the daemon has not answered within {} seconds; its log may tell why", .0.as_secs())]
    Silent(Duration),
    /// What it said makes no sense to us.
    #[error("the daemon's answer cannot be understood; is it of another version? ({0})")]
    Strange(#[from] serde_json::Error),
}

/// A connection to the daemon.
#[derive(Debug)]
pub struct Client {
    stream: BufReader<UnixStream>,
}

impl Client {
    /// Asks one thing and waits for the answer.
    ///
    /// # Errors
    /// There is no daemon, it may not be asked, or it went away.
    pub fn ask(path: &Path, request: Request) -> Result<Reply, ClientError> {
        Client::connect(path)?.exchange(request, PATIENCE)
    }

    /// Follows what happens: `each` gets line after line and says whether it wants more.
    ///
    /// # Errors
    /// There is no daemon, it refuses, or it went away; that it has ended in order is none.
    pub fn follow(
        path: &Path,
        mut each: impl FnMut(FollowLine) -> bool,
    ) -> Result<Reply, ClientError> {
        let mut client = Client::connect(path)?;
        let reply = client.exchange(Request::Follow, PATIENCE)?;
        if reply != Reply::Following {
            return Ok(reply);
        }
        client.stream.get_ref().set_read_timeout(None)?;
        let mut line = String::new();
        while client.stream.read_line(&mut line)? > 0 {
            if !each(serde_json::from_str(&line)?) {
                break;
            }
            line.clear();
        }
        Ok(reply)
    }

    fn connect(path: &Path) -> Result<Self, ClientError> {
        match UnixStream::connect(path) {
            Ok(stream) => Ok(Client {
                stream: BufReader::new(stream),
            }),
            Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {
                Err(ClientError::Denied(path.to_owned()))
            }
            Err(error) => Err(ClientError::Unreachable {
                path: path.to_owned(),
                error,
            }),
        }
    }

    fn exchange(&mut self, request: Request, patience: Duration) -> Result<Reply, ClientError> {
        self.stream.get_ref().set_read_timeout(Some(patience))?;
        let sent = self.send(request);
        let reply = self.reply().map_err(|error| match error {
            ClientError::Lost(error) if error.kind() == io::ErrorKind::WouldBlock => {
                ClientError::Silent(patience)
            }
            error => error,
        });
        // A daemon that has no place for us answers without having listened.
        if reply.is_err() {
            sent?;
        }
        reply
    }

    fn send(&mut self, request: Request) -> Result<(), ClientError> {
        let mut line = serde_json::to_vec(&Envelope {
            version: VERSION,
            request,
        })?;
        line.push(b'\n');
        self.stream.get_mut().write_all(&line)?;
        Ok(())
    }

    fn reply(&mut self) -> Result<Reply, ClientError> {
        let mut line = String::new();
        if self.stream.read_line(&mut line)? == 0 {
            return Err(io::Error::from(io::ErrorKind::UnexpectedEof).into());
        }
        Ok(serde_json::from_str(&line)?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_daemon_that_hangs_is_not_waited_for() {
        let (ours, _theirs) = UnixStream::pair().expect("a socket");
        let mut client = Client {
            stream: BufReader::new(ours),
        };
        let answer = client.exchange(Request::Flush, Duration::from_millis(1));
        assert!(matches!(answer, Err(ClientError::Silent(_))), "{answer:?}");
    }
}
