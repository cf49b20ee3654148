//! What does a log hold, block by block?
//!
//! In: a log that is opened. Out: its bytes, unpacked, in blocks that are cut anywhere, in the same memory for any log.

use std::io::{self, ErrorKind, Read};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread::JoinHandle;

use rustix::event::{PollFd, PollFlags, Timespec, poll};

use crate::source::file::Plain;

/// The size of a block, which stays in the processor's own memory until it has been looked at: with four times as much,
/// reading took more than twice the time.
const BLOCK: usize = 64 * 1024;

/// How many blocks go round between two threads: one is being looked at, one is being filled, and one waits so that
/// neither has to.
const BLOCKS: usize = 3;

/// So many bytes tell by a byte order mark in which letters a log is written.
const LONGEST_MARK: usize = 3;

/// The blocks of a log, in order.
pub enum Blocks {
    /// Each is read when it is asked for.
    AsAsked(Plain, Block),
    /// The next ones are read meanwhile.
    Ahead(Ahead),
}

impl Blocks {
    /// The blocks of a log that costs nothing but a copy. It is not done by another thread: that one would have to take it
    /// out of the other processor's memory, which takes longer.
    pub fn of(log: Plain) -> Self {
        Blocks::AsAsked(log, Block::default())
    }

    /// The blocks of a log for which there is work to do: a thread of its own does it while somebody looks at what there
    /// is already.
    ///
    /// # Errors
    /// There is no thread for it.
    pub fn ahead(log: impl Read + Send + 'static) -> io::Result<Self> {
        Ahead::of(log).map(Blocks::Ahead)
    }

    /// Whether somebody who asks for the next block would have to wait until more is written.
    pub fn is_pausing(&self) -> bool {
        match self {
            // Nobody waits for single lines of what was packed.
            Blocks::Ahead(_) => false,
            Blocks::AsAsked(log, _) => {
                let at_once = Timespec::default();
                let ready = poll(&mut [PollFd::new(log, PollFlags::IN)], Some(&at_once));
                ready == Ok(0)
            }
        }
    }

    /// The next block; an empty one at the end. The first one is long enough for a byte order mark, if the log is.
    ///
    /// # Errors
    /// The log cannot be read, or not be unpacked.
    pub fn next(&mut self) -> io::Result<&[u8]> {
        match self {
            Blocks::Ahead(ahead) => ahead.next(),
            Blocks::AsAsked(log, block) => {
                block.fill(log)?;
                Ok(block.bytes())
            }
        }
    }
}

/// A place for bytes.
pub struct Block {
    room: Box<[u8]>,
    /// How much of it is filled.
    length: usize,
}

impl Default for Block {
    fn default() -> Self {
        let room = vec![0; BLOCK].into_boxed_slice();
        Block { room, length: 0 }
    }
}

impl Block {
    fn bytes(&self) -> &[u8] {
        &self.room[..self.length]
    }

    /// Takes what is there, and waits only for the first bytes. There are none at the end.
    fn fill(&mut self, log: &mut impl Read) -> io::Result<()> {
        self.length = 0;
        while self.length < LONGEST_MARK {
            match log.read(&mut self.room[self.length..]) {
                Ok(0) => break,
                Ok(more) => self.length += more,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }
}

/// A thread that reads.
pub struct Ahead {
    full: Receiver<Block>,
    empty: SyncSender<Block>,
    /// The block that was given out last.
    current: Option<Block>,
    /// Ends with the log, or when nobody wants its blocks any more.
    thread: Option<JoinHandle<io::Result<()>>>,
}

impl Ahead {
    fn of(mut log: impl Read + Send + 'static) -> io::Result<Self> {
        let (filled, full) = sync_channel(BLOCKS);
        let (empty, emptied) = sync_channel(BLOCKS);
        for _ in 0..BLOCKS {
            // There is place for all of them.
            let _ = empty.try_send(Block::default());
        }
        let read = move || {
            while let Ok(mut block) = emptied.recv() {
                block.fill(&mut log)?;
                if block.bytes().is_empty() || filled.send(block).is_err() {
                    break;
                }
            }
            Ok(())
        };
        let thread = std::thread::Builder::new().name("reader".into());
        Ok(Ahead {
            full,
            empty,
            current: None,
            thread: Some(thread.spawn(read)?),
        })
    }

    fn next(&mut self) -> io::Result<&[u8]> {
        if let Some(block) = self.current.take() {
            // If the thread has ended, it needs none.
            let _ = self.empty.try_send(block);
        }
        self.current = self.full.recv().ok();
        if self.current.is_none()
            && let Some(thread) = self.thread.take()
        {
            match thread.join() {
                Ok(read) => read?,
                Err(panic) => std::panic::resume_unwind(panic),
            }
        }
        Ok(self.current.as_ref().map_or(&[], Block::bytes))
    }
}
