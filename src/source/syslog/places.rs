//! Who has connections, and who gives way when there are too many?
//!
//! What one sender does must not keep the others out. A sender is a host for IPv4 and a network of 64 bits for
//! IPv6, of which a single host has as many addresses as it likes. A connection in its handshake has shown nothing
//! yet, so those are counted by themselves and take no place from the ones that talk. When all places are taken,
//! the newcomer gets that of a sender who has more of them, and there the one that was silent longest.

use std::cell::{Cell, RefCell};
use std::cmp::Reverse;
use std::collections::HashMap;
use std::net::IpAddr;
use std::rc::Rc;

use tokio::sync::Notify;
use tokio::time::Instant;

use super::address::Listen;
use super::subject;
use crate::engine::prefix::Prefix;

/// Connections of one source. With all buffers a connection takes less than 100 KiB, so that all together
/// stay below 50 MiB.
const TALKING: usize = 512;

/// Connections of one source that are in their handshake: it takes milliseconds, and a rack whose machines all connect
/// at once fits in.
const SHAKING: usize = 256;

/// Connections of one sender, of either kind: a relay has one or a few, one for each of its workers.
const OF_ONE_SENDER: usize = 32;

/// All connections of a source.
#[derive(Default)]
pub struct Places(RefCell<Vec<Rc<Connection>>>);

/// The place of one connection among them; it is given back when this is dropped.
pub struct Place {
    places: Rc<Places>,
    connection: Rc<Connection>,
}

struct Connection {
    from: IpAddr,
    sender: Prefix,
    /// The address on which we listen.
    to: Listen,
    /// Whether its handshake is done, or it needs none.
    talks: Cell<bool>,
    heard: Cell<Instant>,
    /// Its place was given to somebody else.
    lost: Notify,
}

impl Places {
    /// A place for a connection that begins with a handshake, or without; `None` if there is none for it.
    pub fn take(self: &Rc<Self>, from: IpAddr, to: &Listen, handshake: bool) -> Option<Place> {
        let connection = Rc::new(Connection {
            from,
            sender: subject(from),
            to: to.clone(),
            talks: Cell::new(!handshake),
            heard: Cell::new(Instant::now()),
            lost: Notify::new(),
        });
        self.make_room(connection.sender, !handshake).then(|| {
            self.0.borrow_mut().push(Rc::clone(&connection));
            Place {
                places: Rc::clone(self),
                connection,
            }
        })
    }

    /// Ends the connections that shall not stay, each told by where it comes from and to which address.
    pub fn keep(&self, stays: impl Fn(IpAddr, &Listen) -> bool) {
        self.0.borrow_mut().retain(|connection| {
            let stays = stays(connection.from, &connection.to);
            if !stays {
                connection.lost.notify_one();
            }
            stays
        });
    }

    /// Whether there is a place for one more of `sender`, perhaps one that is taken from somebody else.
    fn make_room(&self, sender: Prefix, talks: bool) -> bool {
        let mut all = self.0.borrow_mut();
        let alike = || all.iter().filter(|other| other.talks.get() == talks);
        let mut counts: HashMap<Prefix, usize> = HashMap::new();
        for other in alike() {
            *counts.entry(other.sender).or_default() += 1;
        }
        let own = counts.get(&sender).copied().unwrap_or_default();
        if own >= OF_ONE_SENDER {
            return false;
        }
        if alike().count() < if talks { TALKING } else { SHAKING } {
            return true;
        }
        let count = |other: &Rc<Connection>| counts.get(&other.sender).copied().unwrap_or_default();
        let silent = alike().max_by_key(|other| (count(other), Reverse(other.heard.get())));
        // Whoever has no more than the newcomer would have need not give way.
        let Some(gives_way) = silent.filter(|other| count(other) > own + 1).cloned() else {
            return false;
        };
        gives_way.lost.notify_one();
        all.retain(|other| !Rc::ptr_eq(other, &gives_way));
        true
    }
}

impl Place {
    /// The handshake is done; whether there is a place among those that talk.
    pub fn may_talk(&self) -> bool {
        let connection = &self.connection;
        let may = connection.talks.get() || self.places.make_room(connection.sender, true);
        connection.talks.set(may);
        self.heard();
        may
    }

    /// Something came.
    pub fn heard(&self) {
        self.connection.heard.set(Instant::now());
    }

    /// Waits until the place is lost to somebody else.
    pub async fn lost(&self) {
        self.connection.lost.notified().await;
    }

    /// The address from which the connection comes.
    pub fn from(&self) -> IpAddr {
        self.connection.from
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut all = self.places.0.borrow_mut();
        all.retain(|other| !Rc::ptr_eq(other, &self.connection));
    }
}
