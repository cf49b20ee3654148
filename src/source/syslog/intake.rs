//! What has come in and is not yet handed on?
//!
//! The sockets put messages in, [`run`](super::run) takes deliveries out, all on one thread. While the batch is
//! full the sockets leave the rest where it is.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::Instant;

use super::local::Process;
use crate::engine::cursor::Stream;
use crate::engine::name::SourceName;
use crate::engine::record::line::LineForm;
use crate::engine::record::wire::WireReader;
use crate::engine::record::{Batch, LONGEST_MESSAGE};
use crate::source::{Delivery, Losses, Told, Trouble, excerpt};

/// Records of one batch: enough that what a batch costs does not count, few enough that a flood shows its
/// first bans at once.
const BATCH_RECORDS: usize = 1024;

/// Text of one batch; with the longest messages it holds few dozens of them.
const BATCH_BYTES: usize = 256 * 1024;

/// Losses without a record are told no faster: a flood that is refused should cost nobody a letter each.
const LOSSES_TOLD: Duration = Duration::from_millis(250);

/// Who sent a message.
pub enum Sender<'a> {
    /// A host of a network, by its address.
    Host(&'a str),
    /// A process of this machine.
    Process(Process),
}

/// What kind of socket asks for room.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Room {
    /// The sender waits with us.
    Stream,
    /// What does not fit is lost; streams leave half of the batch to these.
    Datagrams,
}

/// Between the sockets and the driver.
pub struct Intake {
    source: SourceName,
    state: RefCell<State>,
    filled: Notify,
    emptied: Notify,
}

struct State {
    reader: WireReader,
    batch: Batch,
    losses: Losses,
    /// When the losses are told even without a record.
    due: Option<Instant>,
    troubles: VecDeque<Trouble>,
    /// How many addresses are told to be out of order.
    down: usize,
    /// Users that are not believed, as was told.
    told_unbelieved: Told<u32>,
}

impl Intake {
    /// An empty one.
    pub fn new(source: &SourceName, form: &LineForm) -> Self {
        Intake {
            source: source.clone(),
            state: RefCell::new(State {
                reader: WireReader::new(&form.zone),
                batch: Batch::default(),
                losses: Losses::default(),
                due: None,
                troubles: VecDeque::new(),
                down: 0,
                told_unbelieved: Told::default(),
            }),
            filled: Notify::new(),
            emptied: Notify::new(),
        }
    }

    /// From now on stamps that do not say their zone are of this one.
    pub fn read_as(&self, form: &LineForm) {
        self.state.borrow_mut().reader = WireReader::new(&form.zone);
    }

    /// What was said of users is said anew.
    pub fn forget_told(&self) {
        self.state.borrow_mut().told_unbelieved.forget();
    }

    /// Takes one message, of which `cut` says whether its end is missing.
    pub fn hear(&self, message: &[u8], cut: bool, sender: &Sender<'_>) {
        let state = &mut *self.state.borrow_mut();
        let now = jiff::Timestamp::now().into();
        let mut record = state.reader.read(message, now);
        if cut || record.message.len() > LONGEST_MESSAGE {
            state.lose(Losses {
                cut: 1,
                ..Losses::default()
            });
            self.filled.notify_one();
            // The engine knows a text that may have been cut by its length; a shorter one would be taken for whole.
            if record.message.len() < LONGEST_MESSAGE {
                return;
            }
        }
        let marked;
        match sender {
            Sender::Host(address) if record.host.is_empty() => record.host = address,
            Sender::Host(_) => {}
            Sender::Process(process) => {
                if let Some(mark) = process.mark(&record) {
                    if state.told_unbelieved.is_news(process.uid()) {
                        log::warn!(
                            "source {}: uid {} says it is `{}`; it is not believed, its records are of `{}`; see \
                             `listen` in f2bd.conf(5)",
                            self.source,
                            process.uid(),
                            excerpt(record.program.as_bytes()),
                            excerpt(mark.as_bytes())
                        );
                    }
                    marked = mark;
                    record.program = &marked;
                }
                record.pid = process.number_of(&record);
            }
        }
        state.batch.push(record);
        self.filled.notify_one();
    }

    /// Counts what cannot be handed on.
    pub fn lose(&self, losses: Losses) {
        self.state.borrow_mut().lose(losses);
        self.filled.notify_one();
    }

    /// An address cannot be listened on.
    pub fn unreadable(&self, reason: String) {
        let state = &mut *self.state.borrow_mut();
        state.down += 1;
        let source = self.source.clone();
        state
            .troubles
            .push_back(Trouble::Unreadable { source, reason });
        self.filled.notify_one();
    }

    /// An address of which trouble was told is listened on, or not wanted any more; the source has recovered when all are.
    pub fn recovered(&self) {
        let state = &mut *self.state.borrow_mut();
        state.down -= 1;
        if state.down == 0 {
            let source = self.source.clone();
            state.troubles.push_back(Trouble::Recovered { source });
            self.filled.notify_one();
        }
    }

    /// Waits until there is room for more.
    pub async fn room(&self, room: Room) {
        while !self.has_room(room) {
            self.emptied.notified().await;
        }
    }

    /// Whether there is.
    pub fn has_room(&self, room: Room) -> bool {
        let share = if room == Room::Datagrams { 1 } else { 2 };
        let batch = &self.state.borrow().batch;
        batch.len() < BATCH_RECORDS / share && batch.bytes() < BATCH_BYTES / share
    }

    /// Waits for something to hand on.
    pub async fn next(&self) -> Delivery {
        loop {
            let due = match self.take() {
                Ok(delivery) => return delivery,
                Err(due) => due,
            };
            match due {
                None => self.filled.notified().await,
                Some(due) => {
                    let _ = tokio::time::timeout_at(due, self.filled.notified()).await;
                }
            }
        }
    }

    /// What is to be handed on now, or when to look again at the latest.
    fn take(&self) -> Result<Delivery, Option<Instant>> {
        let state = &mut *self.state.borrow_mut();
        if let Some(trouble) = state.troubles.pop_front() {
            return Ok(Delivery::Trouble(trouble));
        }
        let is_due = state.due.is_some_and(|due| due <= Instant::now());
        if state.batch.is_empty() && !is_due {
            return Err(state.due);
        }
        state.due = None;
        self.emptied.notify_waiters();
        Ok(Delivery::Records {
            stream: Stream::whole(self.source.clone()),
            batch: state.batch.take(),
            cursor: None,
            losses: std::mem::take(&mut state.losses),
            more: false,
        })
    }
}

impl State {
    fn lose(&mut self, losses: Losses) {
        self.losses += losses;
        self.due.get_or_insert_with(|| Instant::now() + LOSSES_TOLD);
    }
}
