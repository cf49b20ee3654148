//! Which addresses has this machine?
//!
//! The kernel lists them, and says on a netlink socket whenever one comes or goes. What it says is not read: that it
//! says something is enough to have them listed anew, also when more was said than the socket holds.

use std::io;
use std::os::fd::OwnedFd;

use rustix::io::Errno;
use rustix::net::netlink::SocketAddrNetlink;
use rustix::net::{AddressFamily, RecvFlags, SocketFlags, SocketType, bind, recv, socket_with};
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

use crate::engine::policy::{AddressSet, IgnoreRule};
use crate::engine::prefix::Prefix;

/// `RTMGRP_IPV4_IFADDR` and `RTMGRP_IPV6_IFADDR`: addresses that come and go.
const GROUPS: u32 = 0x10 | 0x100;

/// Those of the moment, and all that never leaves the machine.
pub fn addresses() -> AddressSet {
    let loopback = ["127.0.0.0/8", "::1"];
    let loopback = loopback.into_iter().filter_map(|text| text.parse().ok());
    let own = if_addrs::get_if_addrs().unwrap_or_else(|error| {
        log::warn!("this machine's own addresses are unknown: {error}");
        Vec::new()
    });
    let own = own
        .into_iter()
        .map(|interface| Prefix::host(interface.ip()));
    let rule = |prefix| IgnoreRule {
        prefix,
        because: "an address of this machine".into(),
    };
    AddressSet::new(loopback.chain(own).map(rule).collect())
}

/// Hears when they may be others.
#[derive(Debug)]
pub struct Listener {
    socket: AsyncFd<OwnedFd>,
}

impl Listener {
    /// Listens from now on.
    ///
    /// # Errors
    /// The system has no socket for us.
    #[expect(
        deprecated,
        reason = "its successor is an unsafe function; what that asks for holds: a descriptor that we own stays open"
    )]
    pub fn new() -> io::Result<Listener> {
        let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
        let raw = SocketType::RAW;
        let socket = socket_with(AddressFamily::NETLINK, raw, flags, None)?;
        bind(&socket, &SocketAddrNetlink::new(0, GROUPS))?;
        Ok(Listener {
            socket: AsyncFd::with_interest(socket, Interest::READABLE)?,
        })
    }

    /// Waits until something was said, and forgets what it was.
    ///
    /// # Errors
    /// Nothing will be heard any more.
    pub async fn hear(&self) -> io::Result<()> {
        let mut ready = self.socket.readable().await?;
        // A message that is longer loses its end, which nobody reads.
        let mut buffer = [0; 4096];
        loop {
            match recv(self.socket.get_ref(), &mut buffer, RecvFlags::DONTWAIT) {
                Ok(_) | Err(Errno::INTR | Errno::NOBUFS) => {}
                Err(Errno::AGAIN) => {
                    ready.clear_ready();
                    return Ok(());
                }
                Err(error) => return Err(error.into()),
            }
        }
    }
}
