//! How is the world made equal to the ledger?
//!
//! In: orders, each of them a whole state or a change of it, in the engine's own words. Out: reports of what
//! came of them, which go back to the engine as inputs. Nothing here decides who is banned or for how long.
//! The only text from a log that comes this far is who is banned, where that is nobody's address; what the packet
//! filter is told is made of networks and times.
//!
//! [`file`] reads what actions are from data files, [`ports`] what of a machine a jail protects, [`worker`]
//! carries out orders on a thread of its own and remembers them in a [`projection`] while that fails, and
//! [`nftables`] and [`serve`] are the kinds of actions there are. [`sockets`] tells where a machine is reached all the
//! same.
//!
//! The means know nothing of actions: [`exec`] runs a program, [`http`] sends a request, [`mail`] sends a letter, each
//! with what is kept in a [`secret`] if the other side asks for one.

pub mod authorities;
pub mod exec;
pub mod file;
pub mod http;
pub mod mail;
pub mod nftables;
pub mod parameter;
pub mod ports;
pub mod projection;
pub mod said;
pub mod secret;
pub mod serve;
pub mod sockets;
pub mod template;
pub mod worker;

use rustix::thread::CapabilitySet;

use crate::engine::decision::BanId;
use crate::engine::input::Outcome;
use crate::engine::name::{ActionName, JailName};
use crate::engine::prefix::SubjectWidth;
use crate::engine::subject::Subject;
use crate::engine::time::Timestamp;

use nftables::ruleset::NftablesSpec;
use ports::{Ports, Protocol};
use serve::ServeSpec;

/// An action, ready to run: its data file with the parameters of the configuration filled in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ActionSpec {
    /// Its name.
    pub name: ActionName,
    /// What it does.
    pub kind: ActionKind,
    /// Whether whoever it concerns still gets through, if slowly.
    pub lets_through: bool,
}

impl ActionSpec {
    /// Whether both would write to the same place, so that only one of them can run at a time.
    pub fn shares_place_with(&self, other: &ActionSpec) -> bool {
        match (&self.kind, &other.kind) {
            (ActionKind::Nftables(own), ActionKind::Nftables(others)) => own.table == others.table,
            (ActionKind::Serve(own), ActionKind::Serve(others)) => own.shares_socket_with(others),
            _ => false,
        }
    }
}

/// What an action does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ActionKind {
    /// Keeps a table of the kernel's packet filter equal to the ledger.
    Nftables(NftablesSpec),
    /// Serves the list of bans.
    Serve(ServeSpec),
}

/// What an action needs to know of a jail.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ActionJail {
    /// Its name.
    pub jail: JailName,
    /// What a banned host can no longer reach.
    pub ports: Ports,
    /// The protocols that `ports` are ports of; nothing to a jail of all ports.
    pub protocols: Vec<Protocol>,
    /// What the jail takes for one subject.
    pub width: SubjectWidth,
}

/// What an action is told.
#[derive(Clone, Debug)]
pub enum Order {
    /// Make the world equal to this, without a moment in which somebody gets through who is banned before and
    /// after.
    Reconcile {
        /// All jails of the action.
        jails: Vec<ActionJail>,
        /// Their bans.
        bans: Vec<InForce>,
        /// Whether these are all bans there are. If nobody knows, others that are in effect stay so until they
        /// end by themselves.
        complete: bool,
    },
    /// Put bans into effect and lift others, all of them at once.
    Change {
        /// New bans, or other ends for old ones.
        bans: Vec<InForce>,
        /// Who is free again.
        unbans: Vec<(JailName, Subject)>,
    },
    /// End.
    Stop(Ending),
}

/// What an action leaves behind when it ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    /// What its parameters say: the daemon ends.
    AsConfigured,
    /// Everything: another action goes on in the same place.
    Leave,
    /// Nothing: nobody wants it any more.
    Remove,
}

/// A ban as actions see it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InForce {
    /// Its number.
    pub ban: BanId,
    /// Its jail.
    pub jail: JailName,
    /// Who is banned.
    pub subject: Subject,
    /// When it ends; `None` if it does not.
    pub until: Option<Timestamp>,
}

/// What an action tells.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Report {
    /// What came of its orders.
    Outcome(Outcome),
    /// Somebody else has changed what is the action's own; it wants to be told everything anew.
    ForeignChange,
}

/// Why an action cannot work on this machine as things are.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ActionError {
    /// The kernel would refuse every change.
    #[error("the action `{action}` may not change the firewall: run as root or with CAP_NET_ADMIN")]
    NotPermitted {
        /// The action.
        action: ActionName,
    },
    /// The program that loads rulesets is missing.
    #[error(
        "the action `{action}` needs the program `{program}`, which is not in PATH: install nftables"
    )]
    NoProgram {
        /// The action.
        action: ActionName,
        /// What was looked for.
        program: String,
    },
}

/// Whether the action can work here: asked once at start, to say early and clearly what is missing.
///
/// # Errors
/// A privilege or a program is missing.
pub fn check(spec: &ActionSpec) -> Result<(), ActionError> {
    let ActionKind::Nftables(nftables) = &spec.kind else {
        return Ok(());
    };
    let effective = rustix::thread::capabilities(None).map(|sets| sets.effective);
    if !effective.is_ok_and(|sets| sets.contains(CapabilitySet::NET_ADMIN)) {
        return Err(ActionError::NotPermitted {
            action: spec.name.clone(),
        });
    }
    if !exec::is_there(&nftables.nft) {
        let program = nftables.nft.display().to_string();
        return Err(ActionError::NoProgram {
            action: spec.name.clone(),
            program,
        });
    }
    Ok(())
}
