//! Who else changes our table?
//!
//! Listens to what the kernel says about every change of the packet filter. The daemon's own changes are told
//! apart by the socket they come from. While the daemon replaces everything it does not listen: the kernel would
//! write a note on each of 100,000 elements, and more than the socket holds.

use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::thread::{Builder, Scope, ScopedJoinHandle};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use rustix::net::sockopt::set_socket_recv_buffer_size_force;
use rustix::net::{RecvFlags, recv};

use super::kernel::{RECEIVE_BUFFER, open_socket};
use super::message::{Content, messages};

/// The mask of `NFNLGRP_NFTABLES`, group 7.
const GROUP: u32 = 1 << 6;

/// How much may wait to be heard: notes on some 30,000 elements. The kernel takes the memory only when it is
/// needed.
const WAITING_BYTES: usize = 8 << 20;

/// Foreign changes are told at most this often, so that somebody who changes things all the time costs little.
const TELL_EVERY: Duration = Duration::from_secs(1);

/// A thread that listens until this is dropped.
#[derive(Debug)]
pub struct Watch<'scope> {
    stop: Option<UnixStream>,
    thread: Option<ScopedJoinHandle<'scope, ()>>,
}

impl<'scope> Watch<'scope> {
    /// Listens from now on, and tells of changes of `table` that do not come from the socket `own`.
    ///
    /// # Errors
    /// The system has no socket or no thread for us.
    pub fn start<'env>(
        scope: &'scope Scope<'scope, 'env>,
        table: &'env str,
        own: u32,
        tell: &'env (dyn Fn() + Sync),
    ) -> std::io::Result<Watch<'scope>> {
        let (socket, _) = open_socket(GROUP)?;
        // With less room something may be missed, which is told as a change.
        let _ = set_socket_recv_buffer_size_force(&socket, WAITING_BYTES);
        let (stop, stopped) = UnixStream::pair()?;
        let thread = Builder::new()
            .name("nftables-watch".to_owned())
            .spawn_scoped(scope, move || run(&socket, &stopped, table, own, tell))?;
        Ok(Watch {
            stop: Some(stop),
            thread: Some(thread),
        })
    }
}

impl Drop for Watch<'_> {
    fn drop(&mut self) {
        // The thread sees its end of the pair closed.
        drop(self.stop.take());
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
        {
            log::error!("the watch over the packet filter has died");
        }
    }
}

/// Listens until the other end of `stopped` is closed.
pub fn run(socket: &OwnedFd, stopped: &UnixStream, table: &str, own: u32, tell: &dyn Fn()) {
    let mut buffer = vec![0; RECEIVE_BUFFER];
    let mut untold = false;
    let mut told: Option<Instant> = None;
    loop {
        let wait = untold.then(|| {
            told.map_or(Duration::ZERO, |told| {
                TELL_EVERY.saturating_sub(told.elapsed())
            })
        });
        let wait = wait.and_then(|wait| Timespec::try_from(wait).ok());
        let mut ready = [
            PollFd::from_borrowed_fd(socket.as_fd(), PollFlags::IN),
            PollFd::from_borrowed_fd(stopped.as_fd(), PollFlags::IN),
        ];
        match poll(&mut ready, wait.as_ref()) {
            Ok(_) | Err(Errno::INTR) => {}
            Err(error) => {
                return log::error!("foreign changes of the packet filter go unnoticed: {error}");
            }
        }
        if !ready[1].revents().is_empty() {
            return;
        }
        if !ready[0].revents().is_empty() {
            untold |= hear(socket, &mut buffer, table, own);
        }
        if untold && told.is_none_or(|told| told.elapsed() >= TELL_EVERY) {
            tell();
            told = Some(Instant::now());
            untold = false;
        }
    }
}

/// Takes all that is waiting; answers whether somebody else has changed the table, or may have.
fn hear(socket: &OwnedFd, buffer: &mut [u8], table: &str, own: u32) -> bool {
    let mut changed = false;
    loop {
        match recv(socket, &mut *buffer, RecvFlags::DONTWAIT) {
            Ok((length, _)) => {
                changed |= messages(buffer.get(..length).unwrap_or_default())
                    .any(|message| message.port != own && concerns(message.content, table));
            }
            Err(Errno::INTR) => {}
            Err(Errno::AGAIN) => return changed,
            // More was said than the socket holds: anything may have changed.
            Err(Errno::NOBUFS) => changed = true,
            Err(error) => {
                log::warn!("cannot hear of changes of the packet filter: {error}");
                return true;
            }
        }
    }
}

fn concerns(content: Content<'_>, table: &str) -> bool {
    match content {
        Content::Chain { table: of, .. }
        | Content::Set { table: of, .. }
        | Content::Other { table: of } => of == table.as_bytes(),
        _ => false,
    }
}
