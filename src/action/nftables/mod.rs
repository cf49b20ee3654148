//! How is the kernel's packet filter made equal to a projection, and kept so?
//!
//! The ruleset goes through nft, the elements of sets straight to the kernel: 3.4 ms a ban against 5 µs, and
//! the running daemon starts no process. [`ruleset`] and [`elements`] say what should be there, [`message`] puts
//! it in bytes; all three are pure. [`kernel`], [`program`] and [`watch`] touch the world.

pub mod elements;
pub mod kernel;
pub mod message;
pub mod parameters;
pub mod program;
pub mod ruleset;
pub mod watch;

use std::collections::BTreeSet;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::thread::Scope;

use crate::engine::prefix::Prefix;
use crate::engine::subject::Subject;
use crate::engine::time::Timestamp;

use super::exec::ExecError;
use super::projection::{Bans, Projection, Touched};
use super::worker::{Clock, Keeper};
use super::{ActionJail, Ending};
use elements::{Element, of_networks, of_subject};
use kernel::{Kernel, KernelError};
use message::Batch;
use ruleset::{NftablesSpec, OnStop, Set, sets};
use watch::Watch;

/// How often everything is replaced again because somebody else has changed something meanwhile. On a machine
/// whose packet filter is changed all the time, once is about as good as often.
const ATTEMPTS: usize = 3;

/// Changes of more subjects than this are made with the watch closed: the kernel notes each of the three steps
/// of each, and four thousand fill a third of what the watch can hold.
const MOST_WATCHED: usize = 4_000;

/// Held by whoever changes the packet filter: by the count of transactions one sees whether others have changed it
/// meanwhile, and other actions of ours are no others.
static CHANGING: Mutex<()> = Mutex::new(());

fn alone() -> MutexGuard<'static, ()> {
    CHANGING.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Why the packet filter is not what it should be.
#[derive(Debug, thiserror::Error)]
pub enum NftablesError {
    /// The kernel did not take the elements.
    #[error(transparent)]
    Kernel(#[from] KernelError),
    /// nft did not load the ruleset.
    #[error(transparent)]
    Program(#[from] ExecError),
}

impl NftablesError {
    /// Whether it is our demand that failed, and not the means to make it.
    fn is_refusal(&self) -> bool {
        matches!(
            self,
            NftablesError::Kernel(KernelError::Refused(_))
                | NftablesError::Program(ExecError::Refused { .. })
        )
    }

    /// Whether somebody has removed what was there.
    pub fn is_missing(&self) -> bool {
        matches!(self, NftablesError::Kernel(error) if error.is_missing())
    }
}

/// The table that is ours.
pub struct Firewall<'scope, 'env> {
    spec: &'env NftablesSpec,
    scope: &'scope Scope<'scope, 'env>,
    tell: &'env (dyn Fn() + Sync),
    kernel: Option<Kernel>,
    watch: Option<Watch<'scope>>,
}

impl<'scope, 'env> Firewall<'scope, 'env> {
    /// Touches nothing yet. `tell` is called, from another thread, when somebody else has changed the table.
    pub fn new(
        spec: &'env NftablesSpec,
        scope: &'scope Scope<'scope, 'env>,
        tell: &'env (dyn Fn() + Sync),
    ) -> Firewall<'scope, 'env> {
        Firewall {
            spec,
            scope,
            tell,
            kernel: None,
            watch: None,
        }
    }

    fn make_equal(
        &mut self,
        projection: &Projection,
        clock: Clock<'_>,
    ) -> Result<(), NftablesError> {
        for attempt in 1..=ATTEMPTS {
            match self.replace(projection, clock) {
                Ok(true) => return Ok(()),
                // Somebody may have removed what had just been made.
                Err(error) if attempt == ATTEMPTS || !error.is_refusal() => return Err(error),
                Ok(false) | Err(_) => {}
            }
        }
        // What others did last may have been to our table: it is tried again, and nothing is promised meanwhile.
        Err(KernelError::Restless.into())
    }

    /// Replaces everything; answers whether nobody else changed anything meanwhile. Since nobody listens then,
    /// transactions are counted instead: ours are one for the elements, if there are any, and one for the rules.
    fn replace(
        &mut self,
        projection: &Projection,
        clock: Clock<'_>,
    ) -> Result<bool, NftablesError> {
        self.watch = None;
        self.prepare(projection)?;
        let kernel = open(&mut self.kernel)?;
        let before = kernel.generation()?;
        kernel.commit(fill(kernel.batch(&self.spec.table), projection, clock()))?;
        let between = kernel.generation()?;

        let wanted = projection.jails().flat_map(|(jail, _)| sets(jail));
        let wanted: Vec<Set> = wanted.collect();
        let chains = kernel.chains(&self.spec.table)?;
        let mut gone = kernel.sets(&self.spec.table)?;
        gone.retain(|name| !wanted.iter().any(|set| set.owns(name)));
        let jails = projection.jails().map(|(jail, _)| jail);
        program::load(
            &self.spec.nft,
            &ruleset::install(self.spec, jails, &chains, &gone),
        )?;
        self.listen()?;
        let after = open(&mut self.kernel)?.generation()?;
        Ok(between.wrapping_sub(before) <= 1 && after.wrapping_sub(between) == 1)
    }

    /// Makes the table and the sets that are missing.
    fn prepare(&self, projection: &Projection) -> Result<(), NftablesError> {
        let jails = projection.jails().map(|(jail, _)| jail);
        let text = ruleset::prepare(self.spec, jails);
        let load = || program::load(&self.spec.nft, &text);
        // A refusal may be the moment's; a table is taken away only for one that lasts.
        let loaded = match load() {
            Err(ExecError::Refused { .. }) => load(),
            other => other,
        };
        match loaded {
            Err(ExecError::Refused { complaint, .. }) => {
                // Somebody may have made a set of one of our names that is different. If it is not that, the
                // kernel refuses the new table too, and the old one stays.
                program::load(&self.spec.nft, &(ruleset::clear(self.spec) + &text))?;
                log::warn!(
                    "the table {} had to be made anew: {complaint}",
                    self.spec.table
                );
                Ok(())
            }
            other => Ok(other?),
        }
    }

    fn listen(&mut self) -> Result<(), NftablesError> {
        let own = open(&mut self.kernel)?.port();
        match Watch::start(self.scope, &self.spec.table, own, self.tell) {
            Ok(watch) => self.watch = Some(watch),
            Err(error) => log::warn!("foreign changes of the packet filter go unnoticed: {error}"),
        }
        Ok(())
    }
}

impl Keeper for Firewall<'_, '_> {
    type Error = NftablesError;

    /// Whoever is banned before and after cannot get through in between: new sets come first, then all elements at once,
    /// and then all rules at once. After an error, what was there before protects as well as it did.
    fn reconcile(
        &mut self,
        projection: &Projection,
        clock: Clock<'_>,
    ) -> Result<(), NftablesError> {
        let _alone = alone();
        self.make_equal(projection, clock)
    }

    /// In one transaction: after an error nothing was changed.
    fn change(
        &mut self,
        projection: &Projection,
        touched: &Touched,
        clock: Clock<'_>,
    ) -> Result<(), NftablesError> {
        let _alone = alone();
        let many = touched.values().map(BTreeSet::len).sum::<usize>() > MOST_WATCHED;
        let kernel = open(&mut self.kernel)?;
        let mut batch = kernel.batch(&self.spec.table);
        for (name, subjects) in touched {
            let Some((jail, bans)) = projection.jail(name) else {
                continue;
            };
            for set in sets(jail) {
                let subjects = subjects.iter().filter_map(Subject::network);
                let subjects = subjects.filter(|subject| set.takes(*subject, jail.width));
                touch(&mut batch, &set, jail, subjects, bans, clock());
            }
        }
        if !many {
            return Ok(kernel.commit(batch)?);
        }
        self.watch = None;
        let before = kernel.generation()?;
        kernel.commit(batch)?;
        self.listen()?;
        match open(&mut self.kernel)?.generation()?.wrapping_sub(before) {
            0 | 1 => Ok(()),
            _ => self.make_equal(projection, clock),
        }
    }

    /// Leaves the table, or takes it away.
    fn stop(&mut self, ending: Ending) -> Result<(), NftablesError> {
        self.watch = None;
        let removes = match ending {
            Ending::AsConfigured => self.spec.on_stop == OnStop::Remove,
            Ending::Leave => false,
            Ending::Remove => true,
        };
        if !removes {
            return Ok(());
        }
        let _alone = alone();
        let kernel = open(&mut self.kernel)?;
        let mut batch = kernel.batch(&self.spec.table);
        batch.delete_table();
        match kernel.commit(batch) {
            Err(error) if !error.is_missing() => Err(error.into()),
            _ => Ok(()),
        }
    }
}

fn open(kernel: &mut Option<Kernel>) -> Result<&mut Kernel, KernelError> {
    match kernel {
        Some(kernel) => Ok(kernel),
        None => Ok(kernel.insert(Kernel::open()?)),
    }
}

/// All elements of all sets, in place of those that are there, unless more may be wanted than is known.
fn fill(mut batch: Batch, projection: &Projection, now: Timestamp) -> Batch {
    for (jail, bans) in projection.jails() {
        for set in sets(jail) {
            if projection.is_complete() {
                batch.flush(&set.name);
            }
            batch.add(&set.name, &elements_of(&set, jail, bans, now));
        }
    }
    batch
}

fn elements_of(set: &Set, jail: &ActionJail, bans: &Bans, now: Timestamp) -> Vec<Element> {
    let own = bans
        .iter()
        .filter_map(|(subject, until)| Some((subject.network()?, *until)))
        .filter(|(subject, _)| set.takes(*subject, jail.width));
    if set.width.is_some() {
        own.filter_map(|(subject, until)| of_subject(subject, until, now))
            .collect()
    } else {
        of_networks(own, now)
    }
}

/// Makes these subjects of a set as they should be. A hash set changes only there; one of networks, which is
/// small, is written anew, since one network can change what others need.
fn touch(
    batch: &mut Batch,
    set: &Set,
    jail: &ActionJail,
    subjects: impl Iterator<Item = Prefix>,
    bans: &Bans,
    now: Timestamp,
) {
    let mut subjects = subjects.peekable();
    if subjects.peek().is_none() {
        return;
    }
    if set.width.is_none() {
        batch.flush(&set.name);
        batch.add(&set.name, &elements_of(set, jail, bans, now));
        return;
    }
    // What is not there cannot be deleted, and what is there keeps its old time on kernels before 6.12 when it
    // is added: so each is added, deleted, and added again if it is banned.
    let mut all = Vec::new();
    let mut banned = Vec::new();
    for subject in subjects {
        all.push(Element {
            key: subject.address(),
            closes: false,
            timeout: None,
        });
        banned.extend(
            bans.get(&Subject::from(subject))
                .and_then(|until| of_subject(subject, *until, now)),
        );
    }
    batch.add(&set.name, &all);
    batch.delete(&set.name, &all);
    batch.add(&set.name, &banned);
}
