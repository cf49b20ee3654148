//! Which order comes next, and does one that waits say to stop?
//!
//! Orders are taken in their turn. Only whoever is at a long work looks ahead, so that it does not keep the end waiting.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::sync::mpsc::{Receiver, RecvTimeoutError, TryRecvError};
use std::time::{Duration, Instant};

use super::super::Order;

/// How long work may go on that was begun, or is waiting, when the order to stop comes: what is short gets done, and nobody
/// waits for what is long.
const LAST_WORK: Duration = Duration::from_secs(2);

/// How many orders are taken out of their queue before their turn: more than a queue holds, and an end to what may come while
/// one work lasts.
const MOST_AHEAD: usize = 256;

/// Orders, some of which may have been seen before their turn.
pub struct Inbox<'o> {
    orders: &'o Receiver<Order>,
    ahead: RefCell<VecDeque<Order>>,
    /// When work is to end, once an order says to stop.
    end: Cell<Option<Instant>>,
}

impl<'o> Inbox<'o> {
    /// What is received here.
    pub fn new(orders: &'o Receiver<Order>) -> Inbox<'o> {
        Inbox {
            orders,
            ahead: RefCell::default(),
            end: Cell::new(None),
        }
    }

    /// The next order, which comes by then if that is given.
    ///
    /// # Errors
    /// None has come, or nobody is left to give any.
    pub fn wait(&self, due: Option<Instant>) -> Result<Order, RecvTimeoutError> {
        let seen = self.ahead.borrow_mut().pop_front();
        let received = match (seen, due) {
            (Some(order), _) => Ok(order),
            (None, Some(due)) => self
                .orders
                .recv_timeout(due.saturating_duration_since(Instant::now())),
            (None, None) => self
                .orders
                .recv()
                .map_err(|_| RecvTimeoutError::Disconnected),
        };
        received.inspect(|order| self.note(order))
    }

    /// The next order that is there.
    ///
    /// # Errors
    /// None is there.
    pub fn take(&self) -> Result<Order, TryRecvError> {
        let seen = self.ahead.borrow_mut().pop_front();
        let received = seen.map_or_else(|| self.orders.try_recv(), Ok);
        received.inspect(|order| self.note(order))
    }

    /// Whether an order says to stop, and has done so for a while.
    pub fn is_called_off(&self) -> bool {
        let mut ahead = self.ahead.borrow_mut();
        while ahead.len() < MOST_AHEAD
            && let Ok(order) = self.orders.try_recv()
        {
            self.note(&order);
            ahead.push_back(order);
        }
        self.end.get().is_some_and(|end| end <= Instant::now())
    }

    /// What is done from now on is the end itself.
    pub fn begin_the_end(&self) {
        self.end.set(None);
    }

    fn note(&self, order: &Order) {
        if matches!(order, Order::Stop(_)) && self.end.get().is_none() {
            self.end.set(Some(Instant::now() + LAST_WORK));
        }
    }
}
