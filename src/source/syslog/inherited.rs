//! Did systemd open the socket for us?
//!
//! A socket unit can listen where we may not, and before we run. Its descriptors are the process's for all its
//! life; each reader works on a copy, so that the queue outlives a reader that ends.

use std::net::SocketAddr;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;

use rustix::net::{SocketAddrUnix, SocketType, getsockname, sockopt};
use rustix::process::{PidfdFlags, PidfdGetfdFlags, getpid, pidfd_getfd, pidfd_open};

use super::address::{Listen, OpenError};

/// A copy of the socket that was handed to the process for `wanted`, if there is one.
pub fn socket(wanted: &Listen) -> Result<Option<OwnedFd>, OpenError> {
    let numbers = sd_notify::listen_fds()?;
    if numbers.len() == 0 {
        return Ok(None);
    }
    let ourselves = pidfd_open(getpid(), PidfdFlags::empty())?;
    for number in numbers {
        let socket = pidfd_getfd(&ourselves, number, PidfdGetfdFlags::empty())?;
        if serves(&socket, wanted) {
            return Ok(Some(socket));
        }
    }
    Ok(None)
}

/// Whether a socket is of the kind and at the address that are wanted.
fn serves(socket: &impl AsFd, wanted: &Listen) -> bool {
    let (Ok(kind), Ok(address)) = (sockopt::socket_type(socket), getsockname(socket)) else {
        return false;
    };
    let listens_at = |wanted: &SocketAddr| {
        let address = SocketAddr::try_from(address.clone());
        address.is_ok_and(|address| {
            // `ListenDatagram=5514` is for all addresses of both families.
            let everywhere = address.ip().is_unspecified() && wanted.ip().is_unspecified();
            address == *wanted || everywhere && address.port() == wanted.port()
        })
    };
    match wanted {
        Listen::Udp(wanted) => kind == SocketType::DGRAM && listens_at(wanted),
        Listen::Tcp(wanted) | Listen::Tls(wanted) => {
            kind == SocketType::STREAM
                && sockopt::socket_acceptconn(socket).unwrap_or(false)
                && listens_at(wanted)
        }
        Listen::Unix(path) => {
            let address = SocketAddrUnix::try_from(address);
            kind == SocketType::DGRAM
                && address
                    .is_ok_and(|address| address.path_bytes() == Some(path.as_os_str().as_bytes()))
        }
    }
}
