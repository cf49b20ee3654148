//! How do datagrams come in, and from whom, by the word of the kernel?
//!
//! What the sources that listen share: one message with what the kernel says of it, and sockets of this machine, which
//! have files. What a message says, and whether its sender may say it, is the sources' own.

use std::fs;
use std::io::{self, IoSliceMut};
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt};
use std::os::unix::net::UnixDatagram as StdUnixDatagram;
use std::path::{Path, PathBuf};

use nix::sys::socket::{
    ControlMessageOwned, MsgFlags, SockaddrLike, UnixCredentials, cmsg_space, recvmsg,
};
use rustix::fs::{Mode, fchmod};
use rustix::io::Errno;
use rustix::net::{
    AddressFamily, SocketAddrUnix, SocketFlags, SocketType, bind, socket_with, sockopt,
};
use tokio::io::Interest;
use tokio::net::UnixDatagram;

/// Why a socket cannot be had now.
#[derive(Debug, thiserror::Error)]
pub enum SocketError {
    /// Something that is no socket has the name of one.
    #[error(
        "there is something else of that name, which is left alone: remove it or choose another path"
    )]
    Occupied,
    /// The system refuses.
    #[error("{}", with_remedy(.0))]
    System(#[from] io::Error),
    /// Somebody else listens at the path.
    #[error(
        "another process listens there: stop it, or choose another path (`ss -lxp` names the process)"
    )]
    Served,
}

impl From<Errno> for SocketError {
    fn from(error: Errno) -> Self {
        SocketError::System(error.into())
    }
}

/// What the system said, and what to do about it.
fn with_remedy(error: &io::Error) -> String {
    let remedy = match error.kind() {
        io::ErrorKind::AddrInUse => {
            "; stop what listens there (`ss -lntup` names the process) or choose another port ([::] listens for IPv4 too)"
        }
        io::ErrorKind::AddrNotAvailable => "; this machine has no such address now",
        io::ErrorKind::PermissionDenied => {
            "; ports below 1024 and foreign directories are not for the user that runs f2bd: choose \
             another one, or let a systemd socket unit open it"
        }
        io::ErrorKind::NotFound => "; make the directory first",
        _ => "",
    };
    format!("{error}{remedy}")
}

/// What the kernel says of one message.
pub struct Received<S> {
    /// How many bytes of the buffer it fills.
    pub length: usize,
    /// Whether it was longer than the buffer.
    pub cut: bool,
    /// From which address.
    pub from: Option<S>,
    /// How many were dropped on this socket before this one came.
    pub drops: Option<u32>,
    /// Which process of this machine sent it.
    pub sender: Option<UnixCredentials>,
}

/// Takes one message; `None` if there is none.
///
/// # Errors
/// The socket fails.
pub fn receive<S: SockaddrLike>(
    socket: &impl AsFd,
    buffer: &mut [u8],
    control: &mut [u8],
) -> io::Result<Received<S>> {
    let mut buffer = [IoSliceMut::new(buffer)];
    let fd = socket.as_fd().as_raw_fd();
    let message = recvmsg::<S>(fd, &mut buffer, Some(control), MsgFlags::MSG_DONTWAIT)?;
    let mut received = Received {
        length: message.bytes,
        cut: message.flags.contains(MsgFlags::MSG_TRUNC),
        from: None,
        drops: None,
        sender: None,
    };
    // An error is a control message that did not fit: nothing of it is believed.
    for control in message.cmsgs().into_iter().flatten() {
        match control {
            ControlMessageOwned::RxqOvfl(drops) => received.drops = Some(drops),
            ControlMessageOwned::ScmCredentials(sender) => received.sender = Some(sender),
            _ => {}
        }
    }
    received.from = message.address;
    Ok(received)
}

/// Nothing, if there was nothing to read.
///
/// # Errors
/// Reading failed.
pub fn unless_empty<T>(read: io::Result<T>) -> io::Result<Option<T>> {
    match read {
        Ok(message) => Ok(Some(message)),
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(None),
        // Whoever waits for messages comes again.
        Err(error) if error.kind() == io::ErrorKind::Interrupted => Ok(None),
        Err(error) => Err(error),
    }
}

/// A datagram socket of this machine, whose file is removed with it if we made that.
pub struct LocalSocket {
    socket: UnixDatagram,
    /// The user to whom the file belongs.
    pub owner: u32,
    _file: Option<SocketFile>,
}

impl LocalSocket {
    /// Opens the socket at `path` for those whom `mode` lets in, or goes on with the one that systemd has opened there.
    ///
    /// # Errors
    /// It cannot be had now.
    pub fn open(
        path: &Path,
        mode: u32,
        inherited: Option<OwnedFd>,
    ) -> Result<LocalSocket, SocketError> {
        let (socket, file) = match inherited {
            Some(socket) => (socket, None),
            None => {
                let (socket, file) = make(path, mode)?;
                (socket, Some(file))
            }
        };
        sockopt::set_socket_passcred(&socket, true)?;
        let socket = StdUnixDatagram::from(socket);
        socket.set_nonblocking(true)?;
        Ok(LocalSocket {
            socket: UnixDatagram::from_std(socket)?,
            owner: fs::symlink_metadata(path)?.uid(),
            _file: file,
        })
    }

    /// Waits for a message.
    ///
    /// # Errors
    /// The socket fails.
    pub async fn readable(&self) -> io::Result<()> {
        self.socket.readable().await
    }

    /// Takes one message, if there is one.
    ///
    /// # Errors
    /// The socket fails.
    pub fn receive(&self, buffer: &mut [u8]) -> io::Result<Option<Received<()>>> {
        // No room for descriptors: what somebody sends along stays outside.
        let mut control = [0; cmsg_space::<UnixCredentials>()];
        let read = || receive::<()>(&self.socket, buffer, &mut control);
        unless_empty(self.socket.try_io(Interest::READABLE, read))
    }
}

fn make(path: &Path, mode: u32) -> Result<(OwnedFd, SocketFile), SocketError> {
    match fs::symlink_metadata(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => return Err(error.into()),
        Ok(old) if !old.file_type().is_socket() => return Err(SocketError::Occupied),
        Ok(_) => {
            let probe = StdUnixDatagram::unbound()?;
            match probe.connect(path) {
                // Whoever made it is gone.
                Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => {
                    fs::remove_file(path)?;
                }
                _ => return Err(SocketError::Served),
            }
        }
    }
    let flags = SocketFlags::CLOEXEC;
    let socket = socket_with(AddressFamily::UNIX, SocketType::DGRAM, flags, None)?;
    // The file gets the mode that the socket has, so that at no moment more is allowed; the mask of the process
    // may take away from it, and what is missing is given afterwards.
    fchmod(&socket, Mode::from_raw_mode(mode))?;
    bind(&socket, &SocketAddrUnix::new(path)?)?;
    let made = fs::symlink_metadata(path)?;
    let file = SocketFile {
        path: path.to_owned(),
        identity: (made.dev(), made.ino()),
    };
    fs::set_permissions(path, fs::Permissions::from_mode(mode))?;
    Ok((socket, file))
}

/// The file of a socket that we made.
struct SocketFile {
    path: PathBuf,
    identity: (u64, u64),
}

impl Drop for SocketFile {
    fn drop(&mut self) {
        let still = fs::symlink_metadata(&self.path);
        if still.is_ok_and(|file| (file.dev(), file.ino()) == self.identity) {
            // It may have gone this very moment; there is nothing else to do.
            let _ = fs::remove_file(&self.path);
        }
    }
}
