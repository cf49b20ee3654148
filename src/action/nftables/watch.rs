//! Who else changes our table, and which devices come and go?
//!
//! Listens to what the kernel says about every change of the packet filter. The daemon's own changes of elements
//! are not even told: the kernel would write a note on each of 100,000, more than a socket holds. That nft works for us
//! it does not know, so whoever has it load something asks afterwards how often the table was changed.

use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::thread::{Builder, Scope, ScopedJoinHandle};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use rustix::net::netdevice::name_to_index;
use rustix::net::netlink::NETFILTER;
use rustix::net::sockopt::set_socket_recv_buffer_size_force;
use rustix::net::{RecvFlags, recv};
use socket2::{SockFilter, SockRef};

use super::kernel::{RECEIVE_BUFFER, open_socket};
use super::message::{Content, messages};
use super::ruleset::DeviceName;
use super::table::Table;

/// The mask of `NFNLGRP_NFTABLES`, group 7.
const CHANGES: u32 = 1 << 6;

/// The mask of `RTNLGRP_LINK`, group 1.
const LINKS: u32 = 1;

/// How much may wait to be heard: notes on some 30,000 elements. The kernel takes the memory only when it is
/// needed.
const WAITING_BYTES: usize = 8 << 20;

/// Foreign changes are told at most this often, so that somebody who changes things all the time costs little.
const TELL_EVERY: Duration = Duration::from_secs(1);

/// Hears all changes by others from the moment when it is opened.
#[derive(Debug)]
pub struct Listener<'env> {
    changes: OwnedFd,
    links: OwnedFd,
    table: &'env Table,
    devices: &'env [DeviceName],
}

/// What a listener has heard.
#[derive(Debug, Default)]
struct Heard {
    /// The table was changed in these transactions.
    transactions: Vec<u16>,
    /// More was said than there was room for.
    missed: bool,
}

impl<'env> Listener<'env> {
    /// Listens for changes of `table` that do not come from the socket `own`, and for `devices` that come and go.
    ///
    /// # Errors
    /// The system has no socket for us.
    pub fn open(
        table: &'env Table,
        devices: &'env [DeviceName],
        own: u32,
    ) -> std::io::Result<Listener<'env>> {
        let (changes, _) = open_socket(Some(NETFILTER), CHANGES)?;
        SockRef::from(&changes).attach_filter(&all_but(own))?;
        // With less room something may be missed, which is told as a change.
        let _ = set_socket_recv_buffer_size_force(&changes, WAITING_BYTES);
        let (links, _) = open_socket(None, if devices.is_empty() { 0 } else { LINKS })?;
        Ok(Listener {
            changes,
            links,
            table,
            devices,
        })
    }

    /// The devices that are there.
    pub fn present(&self) -> Vec<DeviceName> {
        let is_there = |device: &&DeviceName| name_to_index(&self.links, device.as_str()).is_ok();
        self.devices.iter().filter(is_there).cloned().collect()
    }

    /// Whether the table was changed at most once until now, since the last time it was asked.
    pub fn heard_at_most_one(&self) -> bool {
        let mut heard = Heard::default();
        self.hear(&mut vec![0; RECEIVE_BUFFER], &mut heard);
        !heard.missed && heard.transactions.len() <= 1
    }

    /// Takes all that is waiting.
    fn hear(&self, buffer: &mut [u8], heard: &mut Heard) {
        loop {
            match recv(&self.changes, &mut *buffer, RecvFlags::DONTWAIT) {
                Ok((length, _)) => {
                    for message in messages(buffer.get(..length).unwrap_or_default()) {
                        let number = message.transaction;
                        if self.concerns(message.content)
                            && heard.transactions.last() != Some(&number)
                        {
                            heard.transactions.push(number);
                        }
                    }
                }
                Err(Errno::INTR) => {}
                Err(Errno::AGAIN) => return,
                // More was said than the socket holds: anything may have changed.
                Err(Errno::NOBUFS) => heard.missed = true,
                Err(error) => {
                    log::warn!("cannot hear of changes of the packet filter: {error}");
                    heard.missed = true;
                    return;
                }
            }
        }
    }

    fn concerns(&self, content: Content<'_>) -> bool {
        match content {
            Content::Chain(of, _) | Content::Set(of, _) | Content::Other(of) => of.is(self.table),
            _ => false,
        }
    }

    /// Listens until the other end of `stopped` is closed. `guarded` are the devices that rules are there for.
    fn run(&self, stopped: &UnixStream, guarded: &[DeviceName], tell: &dyn Fn()) {
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
                PollFd::from_borrowed_fd(self.changes.as_fd(), PollFlags::IN),
                PollFd::from_borrowed_fd(self.links.as_fd(), PollFlags::IN),
                PollFd::from_borrowed_fd(stopped.as_fd(), PollFlags::IN),
            ];
            match poll(&mut ready, wait.as_ref()) {
                Ok(_) | Err(Errno::INTR) => {}
                Err(error) => {
                    return log::error!(
                        "foreign changes of the packet filter go unnoticed: {error}"
                    );
                }
            }
            if !ready[2].revents().is_empty() {
                return;
            }
            if !ready[0].revents().is_empty() {
                let mut heard = Heard::default();
                self.hear(&mut buffer, &mut heard);
                untold |= heard.missed || !heard.transactions.is_empty();
            }
            if !ready[1].revents().is_empty() {
                // Only that something has happened matters; what, is looked up.
                while matches!(
                    recv(&self.links, &mut buffer, RecvFlags::DONTWAIT),
                    Ok(_) | Err(Errno::INTR | Errno::NOBUFS)
                ) {}
                untold |= self.present() != guarded;
            }
            if untold && told.is_none_or(|told| told.elapsed() >= TELL_EVERY) {
                tell();
                told = Some(Instant::now());
                untold = false;
            }
        }
    }
}

/// Lets through what is not caused by this socket: the number is in the fourth word of the first of the messages,
/// which are all of one transaction.
fn all_but(own: u32) -> [SockFilter; 4] {
    // Words are loaded as those of a network, but netlink has them as the machine does.
    let own = u32::from_be_bytes(own.to_ne_bytes());
    const LOAD: u16 = 0x20;
    const JUMP_IF_EQUAL: u16 = 0x15;
    const RETURN: u16 = 0x06;
    [
        SockFilter::new(LOAD, 0, 0, 12),
        SockFilter::new(JUMP_IF_EQUAL, 0, 1, own),
        SockFilter::new(RETURN, 0, 0, 0),
        SockFilter::new(RETURN, 0, 0, u32::MAX),
    ]
}

/// A thread that listens until this is dropped.
#[derive(Debug)]
pub struct Watch<'scope> {
    stop: Option<UnixStream>,
    thread: Option<ScopedJoinHandle<'scope, ()>>,
}

impl<'scope> Watch<'scope> {
    /// Tells from now on what the listener hears, and when other devices are there than those that are guarded.
    ///
    /// # Errors
    /// The system has no thread for us.
    pub fn start<'env>(
        scope: &'scope Scope<'scope, 'env>,
        listener: Listener<'env>,
        guarded: Vec<DeviceName>,
        tell: &'env (dyn Fn() + Sync),
    ) -> std::io::Result<Watch<'scope>> {
        let (stop, stopped) = UnixStream::pair()?;
        let thread = Builder::new()
            .name("nftables-watch".to_owned())
            .spawn_scoped(scope, move || listener.run(&stopped, &guarded, tell))?;
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
