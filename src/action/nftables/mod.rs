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
pub mod sets;
pub mod table;
pub mod watch;

use std::collections::BTreeSet;
use std::thread::Scope;

use crate::engine::prefix::Prefix;
use crate::engine::subject::Subject;
use crate::engine::time::Timestamp;

use super::Ending;
use super::exec::ExecError;
use super::projection::{Projection, Touched};
use super::worker::{Clock, Keeper};
use elements::{Element, of_networks, of_subject};
use kernel::{Kernel, KernelError};
use message::Batch;
use ruleset::{DeviceName, NftablesSpec, OnStop};
use sets::{Group, Set, Sharing, groups};
use watch::{Listener, Watch};

/// How often everything is replaced again because somebody else has changed our table meanwhile. Where that
/// happens all the time, once is about as good as often.
const ATTEMPTS: usize = 3;

/// A subject and when its ban ends; without end if there is no time.
type Banned = (Prefix, Option<Timestamp>);

/// Why the packet filter is not what it should be.
#[derive(Debug, thiserror::Error)]
pub enum NftablesError {
    /// The kernel did not take the elements.
    #[error(transparent)]
    Kernel(#[from] KernelError),
    /// nft did not load the ruleset.
    #[error(transparent)]
    Program(#[from] ExecError),
    /// Not one device is there to be guarded.
    #[error("there is no device {0}; it is guarded as soon as it is there")]
    NoDevice(String),
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
}

/// The table that is ours.
pub struct Firewall<'scope, 'env> {
    spec: &'env NftablesSpec,
    scope: &'scope Scope<'scope, 'env>,
    tell: &'env (dyn Fn() + Sync),
    kernel: Option<Kernel>,
    watch: Option<Watch<'scope>>,
    /// The devices that were missing when it was last looked.
    missing: Vec<DeviceName>,
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
            missing: Vec::new(),
        }
    }

    /// Replaces everything; answers whether nobody else changed the table meanwhile. Before the elements are in, it
    /// would not matter: they would not fit, or fit as well.
    fn replace(
        &mut self,
        projection: &Projection,
        clock: Clock<'_>,
    ) -> Result<bool, NftablesError> {
        self.watch = None;
        self.prepare(projection)?;
        let kernel = open(&mut self.kernel)?;
        let table = &self.spec.table;
        let jails = || projection.jails().map(|(jail, _)| jail);
        let groups = groups(&self.spec.sharing, jails());
        let before = kernel.generation()?;
        kernel.commit(fill(kernel.batch(table), &groups, projection, clock()))?;
        let listener = Listener::open(table, &self.spec.devices, kernel.port());
        // What others have changed before we listened is not known. To listen all the while would cost more than all the
        // rest: the kernel writes a note on each element as soon as anybody does.
        if kernel.generation()?.wrapping_sub(before) > 1 {
            kernel.commit(fill(kernel.batch(table), &groups, projection, clock()))?;
        }
        let devices = match &listener {
            Ok(listener) => listener.present(),
            Err(_) => self.spec.devices.clone(),
        };

        let chains = kernel.chains(table)?;
        let mut gone = kernel.sets(table)?;
        gone.retain(|name| {
            let mut wanted = groups.iter().flat_map(|group| &group.sets);
            !wanted.any(|set| set.owns(name))
        });
        let ruleset = ruleset::install(self.spec, jails(), &devices, &chains, &gone);
        program::load(&self.spec.nft, &ruleset)?;
        // The rules were one transaction.
        let undisturbed = listener.as_ref().is_ok_and(Listener::heard_at_most_one);
        self.tell_of_missing(&devices);
        let watch = listener
            .and_then(|listener| Watch::start(self.scope, listener, devices.clone(), self.tell));
        match watch {
            Ok(watch) => self.watch = Some(watch),
            Err(error) => {
                log::warn!("foreign changes of the packet filter go unnoticed: {error}");
                return Ok(true);
            }
        }
        if devices.is_empty() && !self.spec.devices.is_empty() {
            return Err(NftablesError::NoDevice(names(&self.spec.devices)));
        }
        Ok(undisturbed)
    }

    /// Says once which devices are not guarded.
    fn tell_of_missing(&mut self, present: &[DeviceName]) {
        let mut missing = self.spec.devices.clone();
        missing.retain(|device| !present.contains(device));
        if missing != self.missing && !missing.is_empty() && !present.is_empty() {
            log::warn!(
                "there is no device {}; it is guarded as soon as it is there",
                names(&missing)
            );
        }
        self.missing = missing;
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
        for attempt in 1..=ATTEMPTS {
            match self.replace(projection, clock) {
                Ok(true) => return Ok(()),
                // Somebody may have removed what had just been made.
                Err(error) if attempt == ATTEMPTS || !error.is_refusal() => return Err(error),
                Ok(false) | Err(_) => {}
            }
        }
        // What others did last may have undone ours: it is tried again, and nothing is promised meanwhile.
        Err(KernelError::Restless.into())
    }

    /// In one transaction: after an error nothing was changed.
    fn change(
        &mut self,
        projection: &Projection,
        touched: &Touched,
        clock: Clock<'_>,
    ) -> Result<(), NftablesError> {
        let kernel = open(&mut self.kernel)?;
        let mut batch = kernel.batch(&self.spec.table);
        // If they share their sets, each matters to the others.
        let all = self.spec.sharing == Sharing::All;
        let jails = projection.jails().map(|(jail, _)| jail);
        let jails = jails.filter(|jail| all || touched.contains_key(&jail.jail));
        for group in groups(&self.spec.sharing, jails) {
            touch(&mut batch, &group, projection, touched, clock());
        }
        Ok(kernel.commit(batch)?)
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

fn names(devices: &[DeviceName]) -> String {
    let names: Vec<_> = devices.iter().map(DeviceName::as_str).collect();
    names.join(", ")
}

/// All elements of all sets, in place of those that are there, unless more may be wanted than is known.
fn fill(mut batch: Batch, groups: &[Group<'_>], projection: &Projection, now: Timestamp) -> Batch {
    for group in groups {
        let mut members = vec![Vec::new(); group.sets.len()];
        for (subject, until) in bans(group, projection) {
            if let Some(at) = group.place_of(subject) {
                members[at].push((subject, until));
            }
        }
        for (set, members) in group.sets.iter().zip(members) {
            if projection.is_complete() {
                batch.flush(&set.name);
            }
            batch.add(&set.name, &elements_of(set, members, now));
        }
    }
    batch
}

/// Whom the group's jails have banned, each with the longest of his bans.
fn bans(group: &Group<'_>, projection: &Projection) -> Vec<Banned> {
    let jails = group.jails.iter();
    let of_jails = jails.filter_map(|jail| projection.jail(&jail.jail));
    let mut all: Vec<Banned> = of_jails
        .flat_map(|(_, bans)| bans)
        .filter_map(|(subject, held)| Some((subject.network()?, held.until)))
        .collect();
    if group.jails.len() > 1 {
        all.sort_unstable_by_key(|(subject, until)| (*subject, std::cmp::Reverse(length(*until))));
        all.dedup_by_key(|(subject, _)| *subject);
    }
    all
}

/// Whether one of the group's jails has banned the subject, and until when the longest does.
fn longest(
    group: &Group<'_>,
    projection: &Projection,
    subject: Prefix,
) -> Option<Option<Timestamp>> {
    let subject = Subject::from(subject);
    let jails = group.jails.iter();
    let of_jails = jails.filter_map(|jail| projection.jail(&jail.jail));
    let untils = of_jails.filter_map(|(_, bans)| Some(bans.get(&subject)?.until));
    untils.max_by_key(|until| length(*until))
}

/// By which bans are compared: one without end is the longest.
fn length(until: Option<Timestamp>) -> (bool, Option<Timestamp>) {
    (until.is_none(), until)
}

fn elements_of(set: &Set, members: Vec<Banned>, now: Timestamp) -> Vec<Element> {
    let members = members.into_iter();
    if set.width.is_some() {
        members
            .filter_map(|(subject, until)| of_subject(subject, until, now))
            .collect()
    } else {
        of_networks(members, now)
    }
}

/// Makes the touched subjects as they should be. A hash set changes only there; one of networks, which is small, is
/// written anew, since one network can change what others need.
fn touch(
    batch: &mut Batch,
    group: &Group<'_>,
    projection: &Projection,
    touched: &Touched,
    now: Timestamp,
) {
    let jails = group.jails.iter();
    let subjects = jails.filter_map(|jail| touched.get(&jail.jail)).flatten();
    let mut of_sets = vec![BTreeSet::new(); group.sets.len()];
    for subject in subjects.filter_map(Subject::network) {
        if let Some(at) = group.place_of(subject) {
            of_sets[at].insert(subject);
        }
    }
    for (at, (set, subjects)) in group.sets.iter().zip(of_sets).enumerate() {
        if subjects.is_empty() {
            continue;
        }
        if set.width.is_none() {
            let mut members = bans(group, projection);
            members.retain(|(subject, _)| group.place_of(*subject) == Some(at));
            // More may be banned than anybody knows of: that stays.
            if projection.is_complete() {
                batch.flush(&set.name);
            }
            batch.add(&set.name, &elements_of(set, members, now));
            continue;
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
            let until = longest(group, projection, subject);
            banned.extend(until.and_then(|until| of_subject(subject, until, now)));
        }
        batch.add(&set.name, &all);
        batch.delete(&set.name, &all);
        batch.add(&set.name, &banned);
    }
}
