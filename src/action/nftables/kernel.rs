//! How do messages get to the kernel, and its answers back?
//!
//! One netlink socket, used by one thread. The kernel deals with a message while it is being sent, so an answer
//! is there when sending is done; waiting is bounded all the same.

use std::os::fd::OwnedFd;
use std::time::Duration;

use rustix::io::{Errno, retry_on_intr};
use rustix::net::netlink::{NETFILTER, SocketAddrNetlink};
use rustix::net::socket_with;
use rustix::net::sockopt::{self, Timeout};
use rustix::net::{
    AddressFamily, Protocol, RecvFlags, SendFlags, SocketFlags, SocketType, bind, getsockname,
    recvfrom, send,
};

use super::message::{self, Batch, Content, Message, TableName, Transaction};
use super::table::Table;

/// How long the kernel may take to answer; a transaction of a million elements takes two seconds.
const PATIENCE: Duration = Duration::from_secs(20);

/// Takes the largest answer: a refusal repeats the refused message, which has at most 64 KB.
pub const RECEIVE_BUFFER: usize = 1 << 16;

/// The kernel wants some room beyond the message itself.
const SEND_SLACK: usize = 4_096;

/// How often a listing may be overtaken by changes before we give up.
const LISTING_ATTEMPTS: usize = 10;

/// Why the kernel did not do what it was told.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum KernelError {
    /// The socket failed.
    #[error("cannot talk to the kernel's packet filter: {0}")]
    Socket(#[from] Errno),
    /// The kernel refused.
    #[error("the kernel refuses a change of the packet filter: {0}")]
    Refused(Errno),
    /// Others change so much that a listing is never complete, or our table that it is never ours alone.
    #[error("somebody else changes the packet filter all the time")]
    Restless,
}

impl KernelError {
    /// Whether a table, a set or an element is missing.
    pub fn is_missing(self) -> bool {
        self == KernelError::Refused(Errno::NOENT)
    }
}

/// A conversation with the kernel's packet filter.
#[derive(Debug)]
pub struct Kernel {
    socket: OwnedFd,
    port: u32,
    sequence: u32,
    send_buffer: usize,
    received: Vec<u8>,
}

impl Kernel {
    /// Begins one.
    ///
    /// # Errors
    /// The system has no socket for us.
    pub fn open() -> Result<Kernel, KernelError> {
        let (socket, port) = open_socket(Some(NETFILTER), 0)?;
        sockopt::set_socket_timeout(&socket, Timeout::Recv, Some(PATIENCE))?;
        Ok(Kernel {
            socket,
            port,
            sequence: 1,
            send_buffer: 0,
            received: vec![0; RECEIVE_BUFFER],
        })
    }

    /// The number by which the kernel tells this socket from others.
    pub fn port(&self) -> u32 {
        self.port
    }

    /// A batch to be filled and committed before anything else is asked.
    pub fn batch(&self, table: &Table) -> Batch {
        Batch::new(table, self.sequence)
    }

    /// Makes all changes of a batch, or none.
    ///
    /// # Errors
    /// None was made.
    pub fn commit(&mut self, batch: Batch) -> Result<(), KernelError> {
        let Some(Transaction {
            bytes,
            begins,
            answers,
        }) = batch.finish()
        else {
            return Ok(());
        };
        // The end of the batch has a number too.
        self.sequence = answers.wrapping_add(2);
        self.make_room(bytes.len());
        self.send(&bytes)?;
        drop(bytes);
        let mut verdict = None;
        while verdict.is_none() {
            self.receive(|message| {
                if message.sequence.wrapping_sub(begins) <= answers.wrapping_sub(begins)
                    && let Content::Answer { errno } = message.content
                    && verdict.is_none()
                {
                    // A refusal may be about any message and comes first; only the last one says that all is done.
                    match errno {
                        0 if message.sequence == answers => verdict = Some(Ok(())),
                        0 => {}
                        errno => verdict = Some(Err(refusal(errno))),
                    }
                }
            })?;
        }
        verdict.unwrap_or(Ok(()))
    }

    /// The names of the sets in a table; none if there is no such table.
    ///
    /// # Errors
    /// The kernel does not say.
    pub fn sets(&mut self, table: &Table) -> Result<Vec<String>, KernelError> {
        self.list(table, message::list_sets, |content| match content {
            Content::Set(table, name) => Some((table, name)),
            _ => None,
        })
    }

    /// The names of the chains in a table; none if there is no such table.
    ///
    /// # Errors
    /// The kernel does not say.
    pub fn chains(&mut self, table: &Table) -> Result<Vec<String>, KernelError> {
        self.list(table, message::list_chains, |content| match content {
            Content::Chain(table, name) => Some((table, name)),
            _ => None,
        })
    }

    /// How often the packet filter was changed, by whomever: one more with each transaction.
    ///
    /// # Errors
    /// The kernel does not say.
    pub fn generation(&mut self) -> Result<u32, KernelError> {
        let sequence = self.ask(message::ask_generation)?;
        let mut said = None;
        while said.is_none() {
            self.receive(|message| match message.content {
                _ if message.sequence != sequence => {}
                Content::Generation(number) => said = Some(Ok(number)),
                Content::Answer { errno } if errno != 0 => said = Some(Err(refusal(errno))),
                _ => {}
            })?;
        }
        said.unwrap_or(Err(KernelError::Restless))
    }

    fn list(
        &mut self,
        table: &Table,
        question: fn(&Table, u32) -> Vec<u8>,
        pick: impl for<'b> Fn(Content<'b>) -> Option<(TableName<'b>, &'b [u8])>,
    ) -> Result<Vec<String>, KernelError> {
        for _ in 0..LISTING_ATTEMPTS {
            let sequence = self.ask(|sequence| question(table, sequence))?;
            let mut names = Vec::new();
            let mut interrupted = false;
            let mut end = None;
            while end.is_none() {
                self.receive(|message| match message.content {
                    _ if message.sequence != sequence => {}
                    Content::Done { errno: 0 } => end = Some(Ok(())),
                    Content::Done { errno } | Content::Answer { errno } => {
                        end = Some(Err(refusal(errno)))
                    }
                    Content::Interrupted => interrupted = true,
                    content => {
                        if let Some((of, name)) = pick(content)
                            && of.is(table)
                        {
                            names.push(String::from_utf8_lossy(name).into_owned());
                        }
                    }
                })?;
            }
            match end {
                Some(Err(error)) if error.is_missing() => return Ok(Vec::new()),
                Some(Err(error)) => return Err(error),
                _ if !interrupted => return Ok(names),
                _ => {}
            }
        }
        Err(KernelError::Restless)
    }

    fn ask(&mut self, question: impl FnOnce(u32) -> Vec<u8>) -> Result<u32, KernelError> {
        let sequence = self.sequence;
        self.sequence = self.sequence.wrapping_add(1);
        self.send(&question(sequence))?;
        Ok(sequence)
    }

    fn send(&self, bytes: &[u8]) -> Result<(), KernelError> {
        retry_on_intr(|| send(&self.socket, bytes, SendFlags::empty()))?;
        Ok(())
    }

    /// Looks at one datagram. Only the kernel is listened to.
    fn receive(&mut self, mut look: impl FnMut(Message<'_>)) -> Result<(), KernelError> {
        // The end of a child process can interrupt any thread that waits with a time limit.
        let (length, _, sender) = retry_on_intr(|| {
            recvfrom(
                &self.socket,
                self.received.as_mut_slice(),
                RecvFlags::empty(),
            )
        })?;
        let from_kernel = sender
            .and_then(|sender| SocketAddrNetlink::try_from(sender).ok())
            .is_some_and(|sender| sender.pid() == 0);
        if from_kernel {
            message::messages(self.received.get(..length).unwrap_or_default()).for_each(&mut look);
        }
        Ok(())
    }

    /// A datagram has to fit into the socket's buffer as a whole. If that cannot be had, sending will say so.
    fn make_room(&mut self, length: usize) {
        let wanted = length + SEND_SLACK;
        if wanted > self.send_buffer {
            let enlarged = sockopt::set_socket_send_buffer_size_force(&self.socket, wanted)
                .or_else(|_| sockopt::set_socket_send_buffer_size(&self.socket, wanted));
            if enlarged.is_ok() {
                self.send_buffer = wanted;
            }
        }
    }
}

/// A socket that hears the multicast groups of this mask, and the number by which the kernel knows it. Without a
/// protocol it is that of devices and routes, which has the number 0.
pub fn open_socket(protocol: Option<Protocol>, groups: u32) -> Result<(OwnedFd, u32), Errno> {
    let socket = socket_with(
        AddressFamily::NETLINK,
        SocketType::RAW,
        SocketFlags::CLOEXEC,
        protocol,
    )?;
    bind(&socket, &SocketAddrNetlink::new(0, groups))?;
    let port = SocketAddrNetlink::try_from(getsockname(&socket)?)?.pid();
    Ok((socket, port))
}

fn refusal(errno: i32) -> KernelError {
    KernelError::Refused(Errno::from_raw_os_error(errno))
}
