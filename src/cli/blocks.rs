//! What does a log hold, block by block?
//!
//! In: a log that is opened. Out: its bytes, unpacked, in blocks that are cut anywhere. A thread of its own reads and
//! unpacks the next blocks while somebody looks at this one; the blocks go round, so that it takes the same memory for
//! any log.

use std::io::{self, ErrorKind, Read};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread::JoinHandle;

/// The size of a block. With larger ones the threads meet less often, but a block leaves the processor's own memory
/// between the two.
const BLOCK: usize = 256 * 1024;

/// One is being looked at, one is being filled, and one waits so that neither has to.
const BLOCKS: usize = 3;

/// So many bytes tell by a byte order mark in which letters a log is written.
const LONGEST_MARK: usize = 3;

/// A place for bytes.
struct Block {
    room: Box<[u8]>,
    /// How much of it is filled.
    length: usize,
}

/// The blocks of a log, in order.
pub struct Blocks {
    full: Receiver<Block>,
    empty: SyncSender<Block>,
    /// The block that was given out last.
    current: Option<Block>,
    /// Ends with the log, or when nobody wants its blocks any more.
    thread: Option<JoinHandle<io::Result<()>>>,
}

impl Blocks {
    /// The blocks of what `open` opens.
    ///
    /// # Errors
    /// There is no thread for it.
    pub fn of<R: Read>(open: impl FnOnce() -> io::Result<R> + Send + 'static) -> io::Result<Self> {
        let (filled, full) = sync_channel(BLOCKS);
        let (empty, emptied) = sync_channel(BLOCKS);
        for _ in 0..BLOCKS {
            let room = vec![0; BLOCK].into_boxed_slice();
            // There is place for all of them.
            let _ = empty.try_send(Block { room, length: 0 });
        }
        let read = move || {
            let mut log = open()?;
            while let Ok(mut block) = emptied.recv() {
                block.length = fill(&mut log, &mut block.room)?;
                if block.length == 0 || filled.send(block).is_err() {
                    break;
                }
            }
            Ok(())
        };
        let thread = std::thread::Builder::new().name("reader".into());
        Ok(Blocks {
            full,
            empty,
            current: None,
            thread: Some(thread.spawn(read)?),
        })
    }

    /// The next block; an empty one at the end. The first one is long enough for a byte order mark, if the log is.
    ///
    /// # Errors
    /// The log cannot be read, or not be unpacked.
    pub fn next(&mut self) -> io::Result<&[u8]> {
        if let Some(block) = self.current.take() {
            // If the thread has ended, it needs none.
            let _ = self.empty.try_send(block);
        }
        self.current = self.full.recv().ok();
        match (&self.current, self.thread.take()) {
            (Some(block), thread) => {
                self.thread = thread;
                Ok(&block.room[..block.length])
            }
            (None, None) => Ok(&[]),
            (None, Some(thread)) => match thread.join() {
                Ok(read) => read.map(|()| &[][..]),
                Err(panic) => std::panic::resume_unwind(panic),
            },
        }
    }
}

/// Fills a block with what is there, and waits only for its first bytes. Tells how many it has; none at the end.
fn fill(log: &mut impl Read, room: &mut [u8]) -> io::Result<usize> {
    let mut length = 0;
    while length < LONGEST_MARK {
        match log.read(&mut room[length..]) {
            Ok(0) => break,
            Ok(more) => length += more,
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(length)
}
