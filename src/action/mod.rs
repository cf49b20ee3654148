//! How is the world made equal to the ledger?
//!
//! In: orders, each of them a whole state or a change of it, in the engine's own words. Out: reports of what
//! came of them, which go back to the engine as inputs. Nothing here decides who is banned or for how long.
//! Text from a log comes this far only to be told, or as the name of who is banned; [`vocabulary`] says where it may stand.
//!
//! [`file`] reads what actions are from data files: [`parameter`]s, and steps whose [`template`]s are filled in by the
//! rule of [`scene`]. [`worker`] carries out orders on a thread of its own and remembers them in a [`projection`] while
//! that fails; [`nftables`] and [`keeping`] put bans into effect, [`serve`] has them fetched, [`shell`] has commands run that others have written for that, [`telling`] tells of them, all by the means of
//! [`hands`]: [`exec`] runs a program, [`http`] sends a request, [`mail`] a letter, each with what is kept in a [`secret`]
//! if the other side asks for one, [`replace`](mod@replace) writes a file. They know nothing of actions. [`sockets`] tells where
//! a machine is reached all the same.

pub mod authorities;
pub mod event;
pub mod exec;
pub mod file;
pub mod found;
pub mod hands;
pub mod http;
pub mod job;
pub mod keeping;
mod machine;
pub mod mail;
pub mod manner;
pub mod nftables;
pub mod parameter;
pub mod ports;
pub mod projection;
pub mod replace;
pub mod routine;
pub mod said;
pub mod sample;
pub mod scene;
pub mod secret;
pub mod serve;
pub mod shell;
pub mod sockets;
pub mod step;
pub mod telling;
pub mod template;
pub mod trace;
mod usual;
pub mod vocabulary;
pub mod worker;

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use rustix::thread::CapabilitySet;

use crate::engine::decision::BanId;
use crate::engine::input::Outcome;
pub use crate::engine::jail::response::Effect;
use crate::engine::name::{ActionName, JailName};
use crate::engine::prefix::SubjectWidth;
use crate::engine::subject::Subject;
use crate::engine::time::Timestamp;

use event::Event;
use nftables::ruleset::{Closes, NftablesSpec};
use parameter::{Given, Value, Values};
use ports::{Ports, Protocol};
use routine::Routine;
use secret::Secret;
use serve::ServeSpec;
use shell::spec::ShellSpec;
use telling::Teller;
use trace::Trace;

/// An action, ready to run: its data file with the parameters of the configuration filled in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ActionSpec {
    /// Its name.
    pub name: ActionName,
    /// What it does.
    pub kind: ActionKind,
    /// What becomes of those whom it concerns.
    pub effect: Effect,
    /// What it alone may change, in words; nothing if it only tells.
    pub place: Option<String>,
    /// What it was made of, if that was a data file.
    pub source: Option<Source>,
}

/// What an action is made of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Source {
    /// The text of its data file.
    pub file: Arc<str>,
    /// The parameters that were set to something else than their default.
    pub given: BTreeMap<String, Given>,
}

impl ActionSpec {
    /// Whether both would write to the same place, so that only one of them can run at a time.
    pub fn shares_place_with(&self, other: &ActionSpec) -> bool {
        match (&self.kind, &other.kind) {
            (ActionKind::Serve(own), ActionKind::Serve(others)) => own.shares_socket_with(others),
            _ => self.place.is_some() && self.place == other.place,
        }
    }

    /// Whether one of both is of commands for a shell, and these speak of what the other one has for its own: rules of the same
    /// names are there once, so that they cannot come before the old ones have gone. That is not sure, but nearly so.
    pub fn meddles_with(&self, other: &ActionSpec) -> bool {
        match (self.shell(), other.shell()) {
            (Some(shell), None) => other.place.as_ref().is_some_and(|own| shell.speaks_of(own)),
            (None, Some(shell)) => self.place.as_ref().is_some_and(|own| shell.speaks_of(own)),
            _ => false,
        }
    }

    /// Whether what it has put into effect ends by itself, so that nobody has to lift what is over.
    pub fn ends_by_itself(&self) -> bool {
        match &self.kind {
            ActionKind::Nftables(_) | ActionKind::Serve(_) => true,
            ActionKind::Routine(routine) => routine.expires,
            ActionKind::Teller(_) | ActionKind::Shell(_) => false,
        }
    }

    /// Whether it can be about somebody who has a name instead of an address.
    pub fn takes_names(&self) -> bool {
        match &self.kind {
            ActionKind::Nftables(_) | ActionKind::Serve(_) => false,
            ActionKind::Routine(routine) => routine.names,
            ActionKind::Teller(_) | ActionKind::Shell(_) => true,
        }
    }

    /// Whether whoever it concerns reaches no port at all, whatever the jail says.
    pub fn closes_all(&self) -> bool {
        match &self.kind {
            ActionKind::Nftables(nftables) => nftables.closes == Closes::All,
            ActionKind::Routine(routine) => routine.closes_all(),
            ActionKind::Serve(_) | ActionKind::Teller(_) | ActionKind::Shell(_) => false,
        }
    }

    /// Whether it also stops packets that the machine only passes on.
    pub fn sees_forwarded(&self) -> bool {
        match &self.kind {
            ActionKind::Nftables(nftables) => {
                let hooks = ["hook forward", "hook prerouting", "hook ingress"];
                hooks
                    .iter()
                    .any(|hook| nftables.ruleset.chain.contains(hook))
            }
            ActionKind::Routine(routine) => routine.sees_forwarded(),
            ActionKind::Serve(_) | ActionKind::Teller(_) | ActionKind::Shell(_) => false,
        }
    }

    /// Whether a rule of somebody else that stands above its own may let in whoever is banned.
    pub fn may_be_outranked(&self) -> bool {
        matches!(&self.kind, ActionKind::Routine(routine) if routine.outranked)
    }

    /// What it has to know in confidence.
    pub fn secrets(&self) -> impl Iterator<Item = &Secret> {
        let values = match &self.kind {
            ActionKind::Nftables(_) | ActionKind::Serve(_) | ActionKind::Shell(_) => None,
            ActionKind::Routine(routine) => Some(&routine.values),
            ActionKind::Teller(teller) => Some(&teller.values),
        };
        let values = values.into_iter().flat_map(Values::iter);
        let values = values.filter_map(|(_, value)| match value {
            Value::Secret(secret) => Some(secret),
            Value::Text(_) | Value::List(_) => None,
        });
        let shell = self.shell().into_iter().flat_map(ShellSpec::kept);
        values.chain(shell.map(|(_, secret)| secret))
    }

    /// Whether others are told by it who is banned, and hold on to that until they are told otherwise.
    pub fn is_served(&self) -> bool {
        matches!(self.kind, ActionKind::Serve(_))
    }

    /// The commands that it has a shell run.
    pub fn shell(&self) -> Option<&ShellSpec> {
        match &self.kind {
            ActionKind::Shell(shell) => Some(shell),
            _ => None,
        }
    }

    /// Whether it does more about bans than tell of them, as far as one can see: whoever keeps somebody out also lets him in
    /// again, and commands that send letters or reports do not.
    pub fn lifts_bans(&self) -> bool {
        match &self.kind {
            ActionKind::Teller(_) => false,
            ActionKind::Shell(shell) => shell.lifts_bans(),
            ActionKind::Nftables(_) | ActionKind::Serve(_) | ActionKind::Routine(_) => true,
        }
    }

    /// Of what it tells; nothing if it puts bans into effect.
    pub fn teller(&self) -> Option<&Teller> {
        match &self.kind {
            ActionKind::Teller(teller) => Some(teller),
            ActionKind::Nftables(_)
            | ActionKind::Serve(_)
            | ActionKind::Routine(_)
            | ActionKind::Shell(_) => None,
        }
    }
}

/// What an action does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ActionKind {
    /// Keeps a table of the kernel's packet filter equal to the ledger.
    Nftables(Box<NftablesSpec>),
    /// Keeps something equal to it by steps.
    Routine(Box<Routine>),
    /// Tells of what happens.
    Teller(Box<Teller>),
    /// Serves the list of bans.
    Serve(ServeSpec),
    /// Has a shell run commands.
    Shell(Box<ShellSpec>),
}

/// What an action needs to know of a jail.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ActionJail {
    /// Its name.
    pub jail: JailName,
    /// What the action calls it: sets, chains and rules are named after this.
    pub label: JailName,
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
    /// Others had the same place before, or this action for other jails: with the next reconciliation, what they have left
    /// and nobody wants any more is taken away.
    Inherit(Vec<Trace>),
    /// These are banned no more: lifted early, the oldest first, or of a jail that has another action now. Whom an earlier run
    /// has told of them does not know yet.
    Recall(Vec<InForce>),
    /// Tell of this.
    Tell(Vec<Event>),
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
    /// What there is to tell of it, to an action that asks for that.
    pub event: Option<Arc<Event>>,
}

/// What an action tells.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Report {
    /// What came of its orders.
    Outcome(Outcome),
    /// Somebody else has changed what is the action's own; it wants to be told everything anew.
    ForeignChange,
    /// It does not work, and why; it tries on.
    Trouble(String),
    /// It works again.
    Works,
    /// What has gone wrong of late though it works; nothing if that is over.
    Complaint(Option<String>),
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
    /// A program is missing.
    #[error("the action `{action}` needs the program `{program}`, which is not there: install it")]
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
    let programs = match &spec.kind {
        ActionKind::Nftables(nftables) => {
            let effective = rustix::thread::capabilities(None).map(|sets| sets.effective);
            if !effective.is_ok_and(|sets| sets.contains(CapabilitySet::NET_ADMIN)) {
                return Err(ActionError::NotPermitted {
                    action: spec.name.clone(),
                });
            }
            vec![nftables.nft.display().to_string()]
        }
        // What its commands need only the shell that reads them knows.
        ActionKind::Serve(_) | ActionKind::Shell(_) => Vec::new(),
        ActionKind::Routine(routine) => routine.programs(),
        ActionKind::Teller(teller) => teller.programs(),
    };
    match programs
        .into_iter()
        .find(|program| !exec::is_there(Path::new(program)))
    {
        None => Ok(()),
        Some(program) => Err(ActionError::NoProgram {
            action: spec.name.clone(),
            program,
        }),
    }
}
