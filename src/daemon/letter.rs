//! What can reach the driver? One inbox, one kind of letter.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::oneshot;

use super::outbox::WorkerId;
use crate::action;
use crate::config::fail2ban::Tree;
use crate::config::{Problem, Settings};
use crate::control::Question;
use crate::control::protocol::{Reply, TreeChange};
use crate::engine::host::HostName;
use crate::engine::name::{ActionName, JailName};
use crate::engine::policy::{AddressSet, SetName};
use crate::engine::time::Timestamp;
use crate::source::Delivery;

/// How many letters may wait. A source's letter is a batch of records, so this bounds memory to a few
/// megabytes; whoever finds the inbox full waits, and the journal keeps what was not read yet.
pub const MOST_LETTERS: usize = 64;

/// Jails that run would do their work no longer because of a mistake.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("by a mistake, jails that run would do nothing any more: {}", names(.0))]
pub struct JailsLost(pub Vec<JailName>);

fn names(jails: &[JailName]) -> String {
    let names: Vec<_> = jails.iter().map(JailName::as_str).collect();
    names.join(", ")
}

/// What comes of a directory of Fail2ban's when somebody has changed what it says of a jail.
#[derive(Debug)]
pub struct Rewriting {
    /// The jail.
    pub jail: JailName,
    /// What was changed.
    pub change: TreeChange,
    /// The directory without that; it must still be in force.
    pub before: Arc<Tree>,
    /// What it comes to, complete and checked.
    pub settings: Settings,
    /// What is wrong with it, none of which is the change's.
    pub problems: Vec<Problem>,
}

/// One thing for the driver to deal with.
#[derive(Debug)]
pub enum Letter {
    /// A source has something. Of a reader that a reload has replaced only records count that nobody can read again.
    Delivery {
        /// Which generation of readers it comes from.
        generation: u64,
        /// What.
        delivery: Delivery,
    },
    /// An action has something to tell.
    Report {
        /// Which worker.
        worker: WorkerId,
        /// Of which action.
        action: ActionName,
        /// What.
        report: action::Report,
    },
    /// A set of addresses that are never banned holds something else now.
    Ignore {
        /// Which set.
        set: SetName,
        /// All that it holds.
        addresses: AddressSet,
    },
    /// A jail's program was asked whether it spares an address.
    Word {
        /// Which program.
        program: SetName,
        /// About whom.
        address: IpAddr,
        /// What it says.
        is_spared: bool,
    },
    /// The addresses of a host that confirm it have been found, or that it has none.
    Named {
        /// Which host.
        host: HostName,
        /// Its addresses.
        addresses: Vec<IpAddr>,
    },
    /// Somebody asks or orders over the control socket.
    Question {
        /// What.
        question: Question,
        /// Who would be locked out by a ban, as far as the question needs it.
        guarded: AddressSet,
    },
    /// New settings, complete and checked.
    Settings {
        /// What they are.
        settings: Box<Settings>,
        /// For how long they are on trial; if it is not said, no longer than those in force.
        trial: Option<Duration>,
        /// The answer, when they are in force: until when they are on trial; or why they will not be.
        done: oneshot::Sender<Result<Option<Timestamp>, JailsLost>>,
    },
    /// Something is wrong with the configuration that was read, as it is told.
    Mistakes(Vec<String>),
    /// Which directory of Fail2ban's is in force, as it was read and changed since? None if the configuration is no such
    /// directory.
    Tree(oneshot::Sender<Option<Arc<Tree>>>),
    /// Settings with a change of that directory.
    Rewritten {
        /// The change.
        rewriting: Box<Rewriting>,
        /// The answer.
        done: oneshot::Sender<Reply>,
    },
    /// The deadline that the driver set has come.
    Tick,
    /// Are you alive? Any answer will do.
    Heartbeat(oneshot::Sender<()>),
    /// End in order.
    Shutdown,
}
