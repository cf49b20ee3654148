//! What have the actions been told, and what do they still have to hear?
//!
//! Each action has a worker thread and a bounded queue. If a worker falls so far behind that its queue is
//! full, nothing is kept for it: it is told later to make the world equal to the ledger, which says
//! everything in one order.

mod worker;

use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use worker::{LOOK_EVERY, Leaving, Worker, hire};
pub use worker::{Reports, WorkerId};

use super::clock;
use super::events::{Counts, Known};
use super::memory::Memory;
use crate::action::event::{Event, Occasion};
use crate::action::serve::listing::MOST_LIFTED;
use crate::action::shell::spec::ShellSpec;
use crate::action::telling::Teller;
use crate::action::trace::Trace;
use crate::action::{ActionJail, ActionSpec, Ending, Order, Report};
use crate::engine::decision::Ban;
use crate::engine::input::Outcome;
use crate::engine::ledger::Standing;
use crate::engine::name::{ActionName, JailName};
use crate::engine::policy::Policy;
use crate::engine::subject::Subject;
use crate::engine::{Decision, Engine};

/// How long all actions may take to end when the daemon does, together: less than service managers wait.
const LONGEST_END: Duration = Duration::from_secs(45);

/// All workers.
pub struct Outbox {
    reports: Reports,
    workers: Vec<Worker>,
    /// Workers of places that nobody wants any more. They protect until all others do.
    retired: Vec<Worker>,
    /// Workers that have been told to end, and do so in their own time: nothing waits for them.
    leaving: Vec<Leaving>,
    /// What actions of an earlier run may have left, whose place nobody has taken over yet.
    inherited: Vec<Trace>,
    next_id: u64,
    /// Whether the ledger knows all bans there are.
    complete: bool,
}

/// What an action comes after: what was there in its place, and the thread that has to end before it begins.
type Predecessor<'a> = (&'a ActionSpec, Vec<Trace>, Option<Arc<JoinHandle<()>>>);

impl Outbox {
    /// No worker yet.
    pub fn new(reports: Reports, complete: bool) -> Self {
        Outbox {
            reports,
            workers: Vec::new(),
            retired: Vec::new(),
            leaving: Vec::new(),
            inherited: Vec::new(),
            next_id: 0,
            complete,
        }
    }

    /// Whether the ledger knows all bans there are from now on.
    pub fn set_complete(&mut self, complete: bool) {
        self.complete = complete;
    }

    /// Actions of an earlier run may have left this. Whoever is employed next in their places takes away what is not wanted
    /// any more; what nobody takes over is taken away once all others protect.
    pub fn inherit(&mut self, traces: Vec<Trace>) {
        self.inherited.extend(traces);
    }

    /// What may be in effect, by all actions that there are and were.
    pub fn in_effect(&self) -> Vec<Trace> {
        let mut traces = self.inherited.clone();
        for worker in self.workers.iter().chain(&self.retired) {
            if worker.spec.teller().is_none() {
                traces.push(worker.trace());
            }
            traces.extend(worker.untaken.iter().chain(&worker.inherited).cloned());
        }
        traces.extend(self.still_there().map(|(_, trace)| trace.clone()));
        traces
    }

    /// What those who were told to end have not taken away yet.
    fn still_there(&self) -> impl Iterator<Item = (&ActionName, &Trace)> {
        let leaving = self.leaving.iter();
        let leaving = leaving.filter(|leaving| !leaving.thread.is_finished());
        leaving.flat_map(|leaving| {
            let traces = leaving.traces.iter();
            traces.map(|trace| (&leaving.action, trace))
        })
    }

    /// Has a worker that nobody wants any more protect until all others do, or end at once if there are actions that cannot
    /// begin before it has: those, and its thread, for which they wait.
    fn clear_for_meddlers<'a>(
        &mut self,
        worker: Worker,
        actions: &'a [(ActionSpec, Vec<ActionJail>)],
    ) -> Vec<Predecessor<'a>> {
        // Those that run already do in spite of it.
        let new = actions.iter().filter(|(spec, _)| {
            let mut running = self.workers.iter();
            !running.any(|running| running.spec == *spec)
        });
        let meddlers = new.filter(|(spec, jails)| meddles(spec, jails, &worker));
        let meddlers: Vec<_> = meddlers.map(|(spec, _)| spec).collect();
        if meddlers.is_empty() {
            self.retired.push(worker);
            return Vec::new();
        }
        let leaving = worker.begin_to_end(Ending::Remove);
        let behind = |spec| (spec, Vec::new(), Some(Arc::clone(&leaving.thread)));
        let predecessors = meddlers.into_iter().map(behind).collect();
        self.leaving.push(leaving);
        predecessors
    }

    /// Makes the running workers those of `actions`, each for its own jails, and has each of them make
    /// the world equal to the ledger of `engine`.
    ///
    /// # Errors
    /// A thread could not be started.
    pub fn employ(
        &mut self,
        actions: &[(ActionSpec, Vec<ActionJail>)],
        engine: &Engine,
        memory: &Memory,
    ) -> std::io::Result<()> {
        let all = std::mem::take(&mut self.workers)
            .into_iter()
            .chain(self.retired.drain(..));
        let (stay, leave): (Vec<_>, Vec<_>) =
            all.partition(|worker| actions.iter().any(|(spec, _)| *spec == worker.spec));
        self.workers = stay;
        let mut predecessors = Vec::new();
        for worker in leave {
            let successor = actions
                .iter()
                .find(|(spec, _)| spec.shares_place_with(&worker.spec));
            match successor {
                Some((spec, _)) => {
                    let traces = worker.traces();
                    let thread = worker.begin_to_end(Ending::Leave).thread;
                    predecessors.push((spec, traces, Some(thread)));
                }
                None if worker.spec.teller().is_some() => {
                    self.leaving.push(worker.begin_to_end(Ending::AsConfigured));
                }
                None => predecessors.extend(self.clear_for_meddlers(worker, actions)),
            }
        }
        // One whose thread the system refuses is not forgotten: nobody else knows what it has left.
        while let Some(trace) = self.inherited.first().cloned() {
            let successor = actions
                .iter()
                .find(|(spec, _)| *spec == trace.spec || spec.shares_place_with(&trace.spec));
            match successor {
                Some((spec, _)) => predecessors.push((spec, vec![trace], None)),
                None => {
                    let worker = self.resurrect(trace, engine)?;
                    predecessors.extend(self.clear_for_meddlers(worker, actions));
                }
            }
            self.inherited.remove(0);
        }
        for (spec, jails) in actions {
            let own = predecessors.extract_if(.., |(successor, ..)| *successor == spec);
            let (traces, before): (Vec<_>, Vec<_>) =
                own.map(|(_, traces, thread)| (traces, thread)).unzip();
            let traces = traces.into_iter().flatten();
            match self.workers.iter_mut().find(|worker| worker.spec == *spec) {
                Some(worker) => {
                    if worker.jails != *jails {
                        worker.inherited.push(worker.trace());
                        worker.jails.clone_from(jails);
                    }
                    worker.untaken.extend(traces);
                }
                None => {
                    let before = before.into_iter().flatten().collect();
                    let mut worker = self.hire(spec.clone(), jails.clone(), before)?;
                    worker.untaken.extend(traces);
                    self.workers.push(worker);
                }
            }
        }
        let is_served = self.workers.iter().any(|worker| worker.spec.is_served());
        let lifted = match is_served {
            true => memory.lifted(clock::now(), MOST_LIFTED),
            false => Vec::new(),
        };
        // Nobody else is retired before each of these has put into effect what it is told now.
        for worker in &mut self.workers {
            worker.stale = true;
            worker.settled = worker.spec.teller().is_some();
            if worker.spec.is_served() {
                worker.recall(engine, &lifted);
            }
        }
        self.catch_up(engine, memory);
        self.dismiss();
        Ok(())
    }

    /// Has an action of an earlier run go on with what it has left, until it is told to end.
    fn resurrect(&mut self, trace: Trace, engine: &Engine) -> std::io::Result<Worker> {
        log::info!(
            "{}: is not wanted any more; what it has left is taken away",
            trace.spec.name
        );
        let mut worker = self.hire(trace.spec, trace.jails, Vec::new())?;
        let bans = worker.in_force_of_its_jails(engine);
        worker.send(Order::Reconcile {
            jails: worker.jails.clone(),
            bans,
            complete: self.complete,
        });
        Ok(worker)
    }

    fn hire(
        &mut self,
        spec: ActionSpec,
        jails: Vec<ActionJail>,
        before: Vec<Arc<JoinHandle<()>>>,
    ) -> std::io::Result<Worker> {
        self.next_id += 1;
        hire(
            WorkerId(self.next_id),
            spec,
            jails,
            before,
            self.reports.clone(),
        )
    }

    /// Ends the retired once all others protect.
    fn dismiss(&mut self) {
        self.leaving.retain(|leaving| !leaving.thread.is_finished());
        if self.workers.iter().all(|worker| worker.settled) {
            let retired = self.retired.drain(..);
            let leaving = retired.map(|worker| worker.begin_to_end(Ending::Remove));
            self.leaving.extend(leaving);
        }
    }

    /// Passes on what was decided; `event` says what there is to tell of a ban.
    pub fn carry_out(
        &mut self,
        decisions: &[Decision],
        policy: &Policy,
        event: impl Fn(&Ban) -> Event,
    ) {
        for worker in &mut self.workers {
            if let Some(order) = worker.order(decisions, policy, &event) {
                worker.send(order);
            }
        }
        // Those who still protect for others let go whoever is let go.
        for worker in &mut self.retired {
            let unbans = worker.unbans(decisions);
            if !unbans.is_empty() {
                let bans = Vec::new();
                worker.send(Order::Change { bans, unbans });
            }
        }
    }

    /// Has one action, or all, make the world equal to the ledger.
    pub fn reconcile(&mut self, action: Option<&ActionName>, engine: &Engine, memory: &Memory) {
        for worker in &mut self.workers {
            if action.is_none_or(|action| *action == worker.spec.name) {
                worker.stale = true;
            }
        }
        self.catch_up(engine, memory);
    }

    /// Whether it is known that a worker does not do its work.
    pub fn is_in_trouble(&self, worker: WorkerId) -> bool {
        let worker = self.workers.iter().find(|own| own.id == worker);
        worker.is_some_and(|worker| worker.reason.is_some())
    }

    /// Takes note of what a worker has to tell; answers whether it is one of those that work at present.
    pub fn note(&mut self, worker: WorkerId, report: &Report) -> bool {
        let Some(worker) = self.workers.iter_mut().find(|own| own.id == worker) else {
            return false;
        };
        match report {
            Report::Outcome(Outcome::Reconciled { .. }) => {
                worker.trouble = false;
                worker.settled = true;
                worker.inherited.clear();
            }
            Report::Outcome(Outcome::Broken { .. }) => worker.trouble = true,
            Report::Trouble(reason) => {
                worker.reason = Some(reason.clone());
                worker.trouble |= worker.spec.teller().is_some();
            }
            Report::Works => {
                worker.reason = None;
                worker.trouble &= worker.spec.teller().is_none();
            }
            Report::Complaint(complaint) => worker.complaint.clone_from(complaint),
            Report::Outcome(Outcome::Applied { .. }) | Report::ForeignChange => {}
        }
        self.dismiss();
        true
    }

    /// The actions, whether they work, and if not, why.
    pub fn states(&self) -> impl Iterator<Item = (&ActionName, bool, Option<&str>)> {
        self.workers.iter().map(|worker| {
            let reason = worker.reason.as_deref().filter(|_| worker.trouble);
            (&worker.spec.name, !worker.trouble, reason)
        })
    }

    /// What has gone wrong of late with those that work.
    pub fn complaint(&self, action: &ActionName) -> Option<&str> {
        let worker = self.workers.iter().find(|own| own.spec.name == *action)?;
        worker.complaint.as_deref().filter(|_| !worker.trouble)
    }

    /// The actions that nobody wants any more and whose bans are still in effect.
    pub fn replaced(&self) -> impl Iterator<Item = &ActionName> {
        let retired = self.retired.iter().map(|worker| &worker.spec.name);
        retired.chain(self.still_there().map(|(action, _)| action))
    }

    /// The actions that put bans into effect.
    pub fn keepers(&self) -> impl Iterator<Item = &ActionName> {
        let keepers = self
            .workers
            .iter()
            .filter(|worker| worker.spec.teller().is_none());
        keepers.map(|worker| &worker.spec.name)
    }

    /// Whether an action wants to be told anything.
    pub fn has_tellers(&self) -> bool {
        self.tellers().next().is_some()
    }

    /// Whether an action tells of the lines behind a ban.
    fn wants_lines(&self) -> bool {
        let mut tellers = self.tellers();
        let of_lines = ["lines", "line", "users", "user"];
        tellers.any(|teller| of_lines.iter().any(|name| teller.says(name)))
            || self.wants_history()
            || self.shells().any(ShellSpec::says_lines)
    }

    /// What actions are told of bans.
    pub fn known<'k>(&self, policy: &'k Policy, memory: &'k Memory) -> Known<'k> {
        Known {
            policy,
            memory: self.wants_lines().then_some(memory),
            history: self.wants_history(),
        }
    }

    /// Whether an action tells of lines of earlier bans.
    fn wants_history(&self) -> bool {
        let mut tellers = self.tellers();
        tellers.any(|teller| teller.says("history") || teller.says("history_of_jail"))
            || self.shells().any(ShellSpec::says_history)
    }

    fn shells(&self) -> impl Iterator<Item = &ShellSpec> {
        self.workers.iter().filter_map(|worker| worker.spec.shell())
    }

    fn tellers(&self) -> impl Iterator<Item = &Teller> {
        self.workers
            .iter()
            .filter_map(|worker| worker.spec.teller())
    }

    /// Has those tell of decisions whom they concern.
    pub fn tell(&mut self, told: &[(&Decision, Event)], policy: &Policy) {
        for worker in &mut self.workers {
            let own = told.iter().filter(|(decision, event)| {
                worker.tells_of(event)
                    && match decision {
                        Decision::Ban(ban) => worker.answers(ban, policy),
                        Decision::Unban(unban) => worker.answered(unban, policy),
                        _ => event.jail.as_ref().is_none_or(|jail| worker.serves(jail)),
                    }
            });
            let own: Vec<Event> = own.map(|(_, event)| event.clone()).collect();
            if !own.is_empty() {
                worker.tell(own);
            }
        }
    }

    /// Has all tell of something that concerns no jail.
    pub fn announce(&mut self, event: &Event) {
        for worker in &mut self.workers {
            if worker.tells_of(event) {
                worker.tell(vec![event.clone()]);
            }
        }
    }

    /// Whether somebody wants to tell of bans of an earlier run.
    pub fn tells_restored(&self) -> bool {
        self.tellers().any(wants_restored)
    }

    /// Has those tell of bans of an earlier run that want to.
    pub fn tell_restored(
        &mut self,
        event: impl Fn(&JailName, &Subject, &Standing) -> Event,
        engine: &Engine,
    ) {
        for worker in &mut self.workers {
            if worker.spec.teller().is_some_and(wants_restored) {
                let (ledger, policy) = (engine.ledger(), engine.policy());
                let own = ledger
                    .iter()
                    .filter(|(jail, _, ban)| policy.puts_into_effect(&worker.spec.name, jail, ban));
                let mut own: Vec<_> = own.collect();
                own.sort_by_key(|(_, _, ban)| ban.id);
                let events = own
                    .iter()
                    .map(|(jail, subject, ban)| event(jail, subject, ban));
                let events = events.collect();
                worker.tell(events);
            }
        }
    }

    /// Whether somebody could not be told everything; [`Outbox::catch_up`] tries again.
    pub fn is_stale(&self) -> bool {
        self.workers.iter().any(|worker| worker.stale)
    }

    /// Tells the workers that missed something what is in force.
    pub fn catch_up(&mut self, engine: &Engine, memory: &Memory) {
        let mut counts = None;
        for worker in self.workers.iter_mut().filter(|worker| worker.stale) {
            if worker.spec.teller().is_some() {
                worker.stale = false;
                let untold = std::mem::take(&mut worker.untold);
                if !untold.is_empty() {
                    worker.send(Order::Tell(untold));
                }
                continue;
            }
            let says = worker.spec.shell().is_some_and(ShellSpec::says_failures);
            let counts =
                says.then(|| &*counts.get_or_insert_with(|| memory.failures_of_standing()));
            let bans = worker.in_force(engine, counts.unwrap_or(&Counts::new()));
            worker.stale = false;
            if !worker.untaken.is_empty() {
                worker.send(Order::Inherit(worker.untaken.clone()));
                if worker.stale {
                    continue;
                }
                worker.inherited.append(&mut worker.untaken);
            }
            worker.send(Order::Reconcile {
                jails: worker.jails.clone(),
                bans,
                complete: self.complete,
            });
        }
    }

    /// Ends all workers, and waits for them as long as a service manager would.
    pub fn end(self) {
        let all = self.workers.into_iter().chain(self.retired);
        let mut ending = self.leaving;
        ending.extend(all.map(|worker| worker.begin_to_end(Ending::AsConfigured)));
        let deadline = Instant::now() + LONGEST_END;
        while Instant::now() < deadline {
            ending.retain(|leaving| !leaving.thread.is_finished());
            if ending.is_empty() {
                return;
            }
            std::thread::sleep(LOOK_EVERY);
        }
        for Leaving { action, .. } in ending {
            log::warn!("{action}: has not come to its end in time; what it is at is not completed");
        }
    }
}

/// Whether an action cannot begin before a worker has taken away what is there of it: rules of the same names would be taken
/// away with the old ones, or never.
fn meddles(spec: &ActionSpec, jails: &[ActionJail], worker: &Worker) -> bool {
    spec.meddles_with(&worker.spec) && jails.iter().any(|jail| worker.serves(&jail.jail))
}

fn wants_restored(teller: &Teller) -> bool {
    teller.restored && teller.on.contains(&Occasion::Ban)
}
