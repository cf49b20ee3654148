//! How do bytes go to a mail server and come from it, with and without TLS, and never after the deadline?

use std::io::{self, Read, Write};
use std::net::{TcpStream, ToSocketAddrs};
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::ServerName;
use tokio_rustls::rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};

use crate::action::authorities::{AuthorityError, authorities};

/// A connection that ends at a certain time, whatever the other side does meanwhile.
pub(super) struct Timed {
    stream: TcpStream,
    end: Instant,
}

impl Timed {
    /// Connects to the first address of a host that answers.
    pub(super) fn connect(host: &str, port: u16, end: Instant) -> io::Result<Timed> {
        let mut last = io::Error::new(io::ErrorKind::NotFound, "its name has no address");
        for address in (host, port).to_socket_addrs()? {
            match TcpStream::connect_timeout(&address, left(end)?) {
                Ok(stream) => return Ok(Timed { stream, end }),
                Err(error) => last = error,
            }
        }
        Err(last)
    }
}

/// How long it is until then; a socket takes no limit of nothing.
fn left(end: Instant) -> io::Result<Duration> {
    match end.saturating_duration_since(Instant::now()) {
        Duration::ZERO => Err(io::ErrorKind::TimedOut.into()),
        left => Ok(left),
    }
}

/// A socket with a limit says that it would block.
fn late(error: io::Error) -> io::Error {
    match error.kind() {
        io::ErrorKind::WouldBlock => io::ErrorKind::TimedOut.into(),
        _ => error,
    }
}

impl Read for Timed {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        self.stream.set_read_timeout(Some(left(self.end)?))?;
        self.stream.read(into).map_err(late)
    }
}

impl Write for Timed {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.stream.set_write_timeout(Some(left(self.end)?))?;
        self.stream.write(bytes).map_err(late)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.stream.flush()
    }
}

/// A connection in clear or not.
pub(super) enum Wire {
    /// Everybody on the way reads it.
    Plain(Timed),
    /// Only the server reads it.
    Secure(Box<StreamOwned<ClientConnection, Timed>>),
}

impl Wire {
    /// Makes sure of who is there, and that nobody else listens.
    pub(super) fn secure(
        mut timed: Timed,
        host: &str,
        config: Arc<ClientConfig>,
    ) -> io::Result<Wire> {
        let name = ServerName::try_from(host.to_owned()).map_err(io::Error::other)?;
        let mut connection = ClientConnection::new(config, name).map_err(io::Error::other)?;
        while connection.is_handshaking() {
            connection.complete_io(&mut timed)?;
        }
        Ok(Wire::Secure(Box::new(StreamOwned::new(connection, timed))))
    }
}

impl Read for Wire {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        match self {
            Wire::Plain(stream) => stream.read(into),
            Wire::Secure(stream) => stream.read(into),
        }
    }
}

impl Write for Wire {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Wire::Plain(stream) => stream.write(bytes),
            Wire::Secure(stream) => stream.write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match self {
            Wire::Plain(stream) => stream.flush(),
            Wire::Secure(stream) => stream.flush(),
        }
    }
}

/// What TLS with a server needs whose authorities are these, or the machine's.
pub(super) fn config(own: Option<&Path>) -> Result<Arc<ClientConfig>, AuthorityError> {
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(authorities(own)?);
    let provider = Arc::new(ring::default_provider());
    let versions =
        ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
    let builder = versions.map_err(|_| AuthorityError::NoneKnown)?;
    let config = builder.with_root_certificates(roots).with_no_client_auth();
    Ok(Arc::new(config))
}
