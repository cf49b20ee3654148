//! Where is listened, in words, and why that may fail.

use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use super::tls::TlsError;
use crate::source::socket::SocketError;

/// A socket to listen on.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Listen {
    /// `udp://127.0.0.1:5514`
    Udp(SocketAddr),
    /// `unix:///run/f2bd/syslog.sock`, for datagrams as to /dev/log.
    Unix(PathBuf),
    /// `tcp://127.0.0.1:5514`
    Tcp(SocketAddr),
    /// `tls://192.0.2.1:6514`
    Tls(SocketAddr),
}

/// The longest path of a socket that the system takes, with the zero that ends it.
const LONGEST_PATH: usize = 108;

/// The text is no address to listen on.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ListenError {
    /// Not of the known kinds.
    #[error(
        "`{0}` is no address to listen on: write udp://ADDRESS:PORT, tcp://ADDRESS:PORT, tls://ADDRESS:PORT or unix:///PATH"
    )]
    Kind(String),
    /// The address or the port is missing or wrong.
    #[error(
        "`{0}` is no address with a port: write it in numbers, such as 127.0.0.1:5514, [::1]:5514 or 0.0.0.0:5514 for all"
    )]
    Address(String),
    /// A relative path, or one that is too long for a socket.
    #[error("`{0}` is no path of a socket: it must be absolute and shorter than 108 bytes")]
    Path(String),
}

/// Why an address cannot be listened on now.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The socket cannot be had.
    #[error(transparent)]
    Socket(#[from] SocketError),
    /// A `tls://` address needs a certificate.
    #[error("no certificate and key are configured for TLS")]
    NoTls,
    /// A file of TLS cannot be used.
    #[error("{0}; {remedy}", remedy = .0.remedy())]
    Tls(TlsError),
}

impl<E: Into<io::Error>> From<E> for OpenError {
    fn from(error: E) -> Self {
        OpenError::Socket(SocketError::System(error.into()))
    }
}

impl FromStr for Listen {
    type Err = ListenError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let kind = || ListenError::Kind(text.to_owned());
        let (scheme, rest) = text.split_once("://").ok_or_else(kind)?;
        let address = || {
            let address = rest.parse::<SocketAddr>().ok();
            let address = address.filter(|address| address.port() != 0);
            address.ok_or_else(|| ListenError::Address(rest.to_owned()))
        };
        match scheme {
            "udp" => Ok(Listen::Udp(address()?)),
            "tcp" => Ok(Listen::Tcp(address()?)),
            "tls" => Ok(Listen::Tls(address()?)),
            "unix" => {
                let fits = Path::new(rest).is_absolute()
                    && rest.len() < LONGEST_PATH
                    && !rest.ends_with('/')
                    && !rest.contains('\0');
                let path = fits.then(|| PathBuf::from(rest));
                Ok(Listen::Unix(
                    path.ok_or_else(|| ListenError::Path(rest.to_owned()))?,
                ))
            }
            _ => Err(kind()),
        }
    }
}

impl fmt::Display for Listen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Listen::Udp(address) => write!(f, "udp://{address}"),
            Listen::Tcp(address) => write!(f, "tcp://{address}"),
            Listen::Tls(address) => write!(f, "tls://{address}"),
            Listen::Unix(path) => write!(f, "unix://{}", path.display()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_read_as_they_are_shown() {
        for text in [
            "udp://127.0.0.1:5514",
            "tcp://[::1]:514",
            "tls://0.0.0.0:6514",
            "unix:///run/f2bd/syslog.sock",
        ] {
            let address: Listen = text.parse().expect("an address");
            assert_eq!(address.to_string(), text);
        }
    }

    #[test]
    fn what_is_no_address_is_told_with_the_remedy() {
        for (text, told) in [
            ("127.0.0.1:514", "write udp://"),
            ("http://127.0.0.1:514", "write udp://"),
            ("udp://127.0.0.1", "no address with a port"),
            ("udp://127.0.0.1:0", "no address with a port"),
            ("udp://localhost:514", "in numbers"),
            ("unix://run/x", "absolute"),
            ("unix:///run/", "absolute"),
        ] {
            let error = text.parse::<Listen>().expect_err(text).to_string();
            assert!(error.contains(told), "{text}: {error}");
        }
        let long = format!("unix:///{}", "x".repeat(LONGEST_PATH));
        assert!(long.parse::<Listen>().is_err());
    }
}
