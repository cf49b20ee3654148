//! Datagrams: one message each, from a network or from this machine.

use std::io;
use std::net::{IpAddr, SocketAddr, UdpSocket as StdUdpSocket};
use std::os::fd::OwnedFd;
use std::rc::Rc;
use std::time::Duration;

use nix::sys::socket::{SockaddrStorage, cmsg_space, setsockopt, sockopt};
use tokio::io::Interest;
use tokio::net::UdpSocket;

use super::address::OpenError;
use super::dropped;
use super::intake::{Room, Sender};
use super::local::Process;
use super::{LONGEST_FRAME, Listener};
use crate::source::Losses;
use crate::source::socket::{LocalSocket, receive, unless_empty};

/// The queue of a UDP socket, in bytes of messages as the kernel counts them, a good thousand for a short one: at
/// 100,000 a second it holds what comes in half a second, in which the driver may wait for a disk. It takes
/// memory only while it is full. Without CAP_NET_ADMIN the system's own limit holds.
const QUEUE: usize = 32 * 1024 * 1024;

/// Messages read in a row before the others have their turn: a flood of messages that are refused fills no batch,
/// and would keep us here for good.
const TURN: usize = 256;

/// When so long no message has come, nobody waits for the next one to hear what the kernel dropped.
const QUIET: Duration = Duration::from_secs(1);

/// Opens a socket, or goes on with the one that systemd has opened.
pub fn open_udp(at: SocketAddr, inherited: Option<OwnedFd>) -> Result<Udp, OpenError> {
    let drops = match inherited {
        // What it dropped before is not known to be told or not.
        Some(_) => None,
        None => Some(0),
    };
    let socket = match inherited {
        Some(socket) => StdUdpSocket::from(socket),
        None => StdUdpSocket::bind(at)?,
    };
    socket.set_nonblocking(true)?;
    rustix::net::sockopt::set_socket_recv_buffer_size_force(&socket, QUEUE)
        .or_else(|_| rustix::net::sockopt::set_socket_recv_buffer_size(&socket, QUEUE))?;
    setsockopt(&socket, sockopt::RxqOvfl, &1).map_err(io::Error::from)?;
    Ok(Udp {
        socket: UdpSocket::from_std(socket)?,
        drops,
    })
}

/// A socket for datagrams of a network.
pub struct Udp {
    socket: UdpSocket,
    /// The kernel's count of what it dropped, as far as it was told; `None` before the first message.
    drops: Option<u32>,
}

impl Udp {
    /// Counts what the kernel has dropped since it was told last, by its count of then or now: a message has that of the
    /// moment in which it came, and may be read behind a later one.
    fn note_drops(&mut self, count: u32, listener: &Listener) {
        let more = count.wrapping_sub(*self.drops.get_or_insert(count));
        if more == 0 || more > u32::MAX / 2 {
            return;
        }
        self.drops = Some(count);
        listener.intake.lose(Losses {
            dropped: more.into(),
            ..Losses::default()
        });
    }
}

/// Takes messages until the socket fails.
pub async fn read_udp(listener: &Rc<Listener>, mut udp: Udp) -> io::Result<()> {
    let mut buffer = vec![0; LONGEST_FRAME];
    let mut control = [0; cmsg_space::<u32>()];
    // The address of the last sender, spelt once: most messages come from the same one.
    let mut last: (Option<IpAddr>, String) = Default::default();
    loop {
        listener.intake.room(Room::Datagrams).await;
        let next = tokio::time::timeout(QUIET, udp.socket.readable());
        if next.await.is_err() {
            // Where the tables cannot be read, the next message tells: every message has the whole count.
            if let Ok(Some(drops)) = dropped::on(&udp.socket) {
                udp.note_drops(drops, listener);
            }
        }
        udp.socket.readable().await?;
        for _ in 0..TURN {
            if !listener.intake.has_room(Room::Datagrams) {
                break;
            }
            let read = || receive::<SockaddrStorage>(&udp.socket, &mut buffer, &mut control);
            let Some(message) = unless_empty(udp.socket.try_io(Interest::READABLE, read))? else {
                break;
            };
            // Without a control message nothing was ever dropped.
            udp.note_drops(message.drops.unwrap_or_default(), listener);
            let sender = message.from.as_ref().and_then(address_of);
            let Some(sender) = sender.filter(|sender| listener.admits(*sender)) else {
                listener.intake.lose(Losses {
                    refused: 1,
                    ..Losses::default()
                });
                continue;
            };
            if last.0 != Some(sender) {
                last = (Some(sender), sender.to_string());
            }
            let (length, cut) = (message.length, message.cut);
            let sender = Sender::Host(&last.1);
            listener.intake.hear(&buffer[..length], cut, &sender);
        }
        tokio::task::yield_now().await;
    }
}

/// Takes messages until the socket fails.
pub async fn read_local(listener: &Rc<Listener>, socket: &LocalSocket) -> io::Result<()> {
    let mut buffer = vec![0; LONGEST_FRAME];
    loop {
        listener.intake.room(Room::Datagrams).await;
        socket.readable().await?;
        for _ in 0..TURN {
            if !listener.intake.has_room(Room::Datagrams) {
                break;
            }
            let Some(message) = socket.receive(&mut buffer)? else {
                break;
            };
            // Somebody who sends descriptors along does not send a log.
            let Some(sender) = message.sender else {
                listener.intake.lose(Losses {
                    refused: 1,
                    ..Losses::default()
                });
                continue;
            };
            let sender = Sender::Process(Process::new(sender.pid(), sender.uid(), socket.owner));
            let (length, cut) = (message.length, message.cut);
            listener.intake.hear(&buffer[..length], cut, &sender);
        }
        tokio::task::yield_now().await;
    }
}

/// IPv4 behind an IPv6 socket is IPv4.
fn address_of(sender: &SockaddrStorage) -> Option<IpAddr> {
    let address = match (sender.as_sockaddr_in(), sender.as_sockaddr_in6()) {
        (Some(sender), _) => IpAddr::V4(sender.ip()),
        (_, Some(sender)) => IpAddr::V6(sender.ip()),
        _ => return None,
    };
    Some(address.to_canonical())
}
