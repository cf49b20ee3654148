//! What have the actions been told, and what do they still have to hear?
//!
//! Each action has a worker thread and a bounded queue. If a worker falls so far behind that its queue is
//! full, nothing is kept for it: it is told later to make the world equal to the ledger, which says
//! everything in one order.

use std::collections::HashSet;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use tokio::sync::mpsc::UnboundedSender;

use super::clock;
use super::events::{self, Counts, Known};
use super::memory::Memory;
use crate::action::event::{Event, Occasion};
use crate::action::serve::listing::MOST_LIFTED;
use crate::action::shell::spec::ShellSpec;
use crate::action::telling::Teller;
use crate::action::trace::Trace;
use crate::action::{self, ActionJail, ActionSpec, Ending, InForce, Order, Report};
use crate::engine::decision::{Ban, Notice, Release, Resumed, Unban};
use crate::engine::input::Outcome;
use crate::engine::ledger::Standing;
use crate::engine::name::{ActionName, JailName};
use crate::engine::policy::Policy;
use crate::engine::subject::Subject;
use crate::engine::{Decision, Engine};

/// How many orders may wait for one worker; each is one batch of decisions.
const MOST_ORDERS: usize = 64;

/// How many events may wait for room in a queue: what a minute of a hard attack brings.
const MOST_UNTOLD: usize = 10_000;

/// How long an action waits for another one to end before that is told: programs of firewalls end within a second or two.
const LONG_WAIT: Duration = Duration::from_secs(5);

/// How long all actions may take to end when the daemon does, together: less than service managers wait.
const LONGEST_END: Duration = Duration::from_secs(45);

/// How often is looked whether they have.
const LOOK_EVERY: Duration = Duration::from_millis(5);

/// Which worker it is: those of one name, before and after a reload, are not the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WorkerId(u64);

/// Where workers report to. Unbounded, so that a worker can always finish while the driver waits for it; it
/// holds no more than some reports an order.
pub type Reports = UnboundedSender<(WorkerId, ActionName, Report)>;

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

/// A worker that has been told to end.
struct Leaving {
    action: ActionName,
    thread: Arc<JoinHandle<()>>,
    /// What it takes away before it does.
    traces: Vec<Trace>,
}

struct Worker {
    id: WorkerId,
    spec: ActionSpec,
    jails: Vec<ActionJail>,
    orders: SyncSender<Order>,
    thread: Arc<JoinHandle<()>>,
    /// The worker has to be told everything anew.
    stale: bool,
    trouble: bool,
    /// Why it does not work.
    reason: Option<String>,
    /// What has gone wrong of late though it works.
    complaint: Option<String>,
    /// Events for which its queue had no room.
    untold: Vec<Event>,
    /// It has put its rules and bans into effect.
    settled: bool,
    /// What others have left in its place that it has not been told of.
    untaken: Vec<Trace>,
    /// What may be there besides its own until it has settled.
    inherited: Vec<Trace>,
}

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

impl Worker {
    /// Has it tell of events, behind those that wait.
    fn tell(&mut self, mut events: Vec<Event>) {
        for event in &mut events {
            let mut jails = self.jails.iter();
            if let Some(own) = jails.find(|own| event.jail.as_ref() == Some(&own.jail)) {
                event.jail = Some(own.label.clone());
            }
        }
        let mut all = std::mem::take(&mut self.untold);
        all.extend(events);
        self.send(Order::Tell(all));
    }

    fn send(&mut self, order: Order) {
        match self.orders.try_send(order) {
            Ok(()) => {}
            Err(TrySendError::Full(Order::Tell(events))) => {
                self.untold.extend(events);
                let more = self.untold.len().saturating_sub(MOST_UNTOLD);
                if more > 0 {
                    log::warn!(
                        "{}: {more} events go untold, it is too slow",
                        self.spec.name
                    );
                    self.untold.drain(..more);
                }
                self.stale = true;
            }
            // A worker that has died is reported by its thread's panic; the daemon aborts then.
            Err(TrySendError::Full(_) | TrySendError::Disconnected(_)) => self.stale = true,
        }
    }

    fn tells_of(&self, event: &Event) -> bool {
        let teller = self.spec.teller();
        teller.is_some_and(|teller| teller.tells_of(event))
    }

    fn answers(&self, ban: &Ban, policy: &Policy) -> bool {
        policy.puts_into_effect(&self.spec.name, &ban.jail, &Standing::of(ban))
    }

    /// Whether it has put a ban into effect that is over, or has told of it.
    fn answered(&self, unban: &Unban, policy: &Policy) -> bool {
        policy.puts_into_effect(&self.spec.name, &unban.jail, &unban.was)
    }

    fn serves(&self, jail: &JailName) -> bool {
        self.jails.iter().any(|own| own.jail == *jail)
    }

    fn in_force(&self, engine: &Engine, counts: &Counts) -> Vec<InForce> {
        let (ledger, policy) = (engine.ledger(), engine.policy());
        ledger
            .iter()
            .filter(|(jail, _, ban)| policy.puts_into_effect(&self.spec.name, jail, ban))
            .map(|(jail, subject, standing)| {
                self.standing(jail, subject, &standing, policy, counts)
            })
            .collect()
    }

    /// The order that carries out the decisions of one batch. A ban that was lifted in the same batch is left
    /// out, and so is what expired where the target has a clock of its own.
    fn order(
        &self,
        decisions: &[Decision],
        policy: &Policy,
        event: &impl Fn(&Ban) -> Event,
    ) -> Option<Order> {
        if self.spec.teller().is_some() {
            return None;
        }
        let is_own = |ban: &Ban| self.answers(ban, policy);
        let in_force = |ban: &Ban| InForce {
            ban: ban.id,
            jail: ban.jail.clone(),
            subject: ban.subject.clone(),
            until: ban.until(),
            event: self.spec.shell().map(|_| Arc::new(event(ban))),
        };
        let mut bans: Vec<InForce> = Vec::new();
        let mut unbans = Vec::new();
        for decision in decisions {
            match decision {
                Decision::Ban(ban) | Decision::Resume(Resumed { ban, .. }) if is_own(ban) => {
                    bans.push(in_force(ban));
                }
                Decision::Notice(Notice::Unhindered { ban, wider, .. })
                    if wider.contains(&self.spec.name) && !is_own(ban) =>
                {
                    bans.push(in_force(ban));
                }
                Decision::Unban(unban) if self.answered(unban, policy) => {
                    bans.retain(|ban| ban.ban != unban.ban);
                    if unban.release != Release::Expired || !self.spec.ends_by_itself() {
                        unbans.push((unban.jail.clone(), unban.subject.clone()));
                    }
                }
                _ => {}
            }
        }
        // What was lifted and is banned anew is banned.
        let banned: HashSet<_> = bans.iter().map(|ban| (&ban.jail, &ban.subject)).collect();
        unbans.retain(|(jail, subject)| !banned.contains(&(jail, subject)));
        (!bans.is_empty() || !unbans.is_empty()).then_some(Order::Change { bans, unbans })
    }

    /// Everybody who is banned in its jails, whatever their actions are by now.
    fn in_force_of_its_jails(&self, engine: &Engine) -> Vec<InForce> {
        let own = engine
            .ledger()
            .iter()
            .filter(|(jail, ..)| self.serves(jail));
        own.map(|(jail, subject, standing)| {
            // It only lifts them.
            self.standing(jail, subject, &standing, engine.policy(), &Counts::new())
        })
        .collect()
    }

    fn standing(
        &self,
        jail: &JailName,
        subject: &Subject,
        standing: &Standing,
        policy: &Policy,
        counts: &Counts,
    ) -> InForce {
        InForce {
            ban: standing.id,
            jail: jail.clone(),
            subject: subject.clone(),
            until: standing.until(),
            event: self.spec.shell().map(|_| {
                let event = events::of_standing(jail, subject, standing, policy, counts);
                Arc::new(event)
            }),
        }
    }

    /// Tells it who was banned and is so no more, as far as others may not have heard of that: whose bans were `lifted` early,
    /// and who is banned by a jail that has another action since the last run.
    fn recall(&mut self, engine: &Engine, lifted: &[Ban]) {
        let (ledger, policy) = (engine.ledger(), engine.policy());
        let was_own = |jail: &JailName| {
            let mut jails = self.untaken.iter().flat_map(|trace| &trace.jails);
            jails.any(|own| own.jail == *jail)
        };
        let of_others = ledger.iter().filter(|(jail, _, ban)| {
            was_own(jail) && !policy.puts_into_effect(&self.spec.name, jail, ban)
        });
        let of_others = of_others.map(|(jail, subject, standing)| {
            self.standing(jail, subject, &standing, policy, &Counts::new())
        });
        let lifted = lifted.iter().map(|ban| InForce {
            ban: ban.id,
            until: ban.until(),
            jail: ban.jail.clone(),
            subject: ban.subject.clone(),
            event: None,
        });
        let all: Vec<_> = of_others.chain(lifted).collect();
        if !all.is_empty() {
            self.send(Order::Recall(all));
        }
    }

    fn trace(&self) -> Trace {
        Trace {
            spec: self.spec.clone(),
            jails: self.jails.clone(),
        }
    }

    /// What may be there, by it and by those before it.
    fn traces(&self) -> Vec<Trace> {
        let others = self.untaken.iter().chain(&self.inherited);
        std::iter::once(self.trace())
            .chain(others.cloned())
            .collect()
    }

    /// Who of its jails is free again by these decisions.
    fn unbans(&self, decisions: &[Decision]) -> Vec<(JailName, Subject)> {
        let unbans = decisions.iter().filter_map(|decision| match decision {
            Decision::Unban(unban) if self.serves(&unban.jail) => Some(unban),
            _ => None,
        });
        let unbans = unbans.map(|unban| (unban.jail.clone(), unban.subject.clone()));
        unbans.collect()
    }

    /// Tells it to end. Nobody waits for that; its thread shows when it has.
    fn begin_to_end(self, ending: Ending) -> Leaving {
        let action = self.spec.name.clone();
        let traces = match ending {
            Ending::Remove => self.traces(),
            Ending::Leave | Ending::AsConfigured => Vec::new(),
        };
        if let Err(TrySendError::Full(stop)) = self.orders.try_send(Order::Stop(ending)) {
            // It has to arrive, also where the queue has no room for a while.
            let orders = self.orders;
            std::thread::spawn(move || {
                // A worker that has died needs no word.
                let _ = orders.send(stop);
            });
        }
        Leaving {
            action,
            thread: self.thread,
            traces,
        }
    }
}

/// Begins a worker, which begins its work when those `before` it have ended, since they had the same place.
fn hire(
    id: WorkerId,
    spec: ActionSpec,
    jails: Vec<ActionJail>,
    before: Vec<Arc<JoinHandle<()>>>,
    reports: Reports,
) -> std::io::Result<Worker> {
    let (orders, receiver) = sync_channel(MOST_ORDERS);
    let own = spec.clone();
    let is_teller = spec.teller().is_some();
    let thread = std::thread::Builder::new()
        .name(format!("action-{}", spec.name))
        .spawn(move || {
            wait_for(&own.name, &before);
            work(id, &own, receiver, &reports);
        })?;
    Ok(Worker {
        id,
        spec,
        jails,
        orders,
        thread: Arc::new(thread),
        stale: true,
        trouble: false,
        reason: None,
        complaint: None,
        untold: Vec::new(),
        settled: is_teller,
        untaken: Vec::new(),
        inherited: Vec::new(),
    })
}

/// Returns when these have ended; tells if that takes long, since until then nobody is kept out by the one that waits.
fn wait_for(name: &ActionName, before: &[Arc<JoinHandle<()>>]) {
    let (begin, mut is_told) = (Instant::now(), false);
    // One that has died has been reported by its panic. Several may wait for the same one.
    while before.iter().any(|thread| !thread.is_finished()) {
        if !is_told && begin.elapsed() > LONG_WAIT {
            log::warn!(
                "{name}: waits for an action before it to end, which has the same place; look whether a command of that hangs, such as its actionstop"
            );
            is_told = true;
        }
        std::thread::sleep(LOOK_EVERY);
    }
}

fn work(id: WorkerId, spec: &ActionSpec, orders: Receiver<Order>, reports: &Reports) {
    let report = |report| {
        // The driver is gone only when the daemon ends.
        let _ = reports.send((id, spec.name.clone(), report));
    };
    action::worker::run(spec, orders, clock::now, report);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{self, Surroundings};
    use crate::engine::decision::{BanId, Origin};
    use crate::engine::time::{BanTime, Timestamp};

    const GRADED: &str = "[jail.sshd]\nresponse = [\n\
        { from = 1, actions = [\"nftables-slow\"] },\n{ from = 3, actions = [\"nftables\"] },\n]\n";

    fn ban(id: u64, second: i64, offence: u32) -> Ban {
        Ban {
            id: BanId(id),
            jail: "sshd".parse().expect("a name"),
            subject: "192.0.2.7".parse().expect("an address"),
            start: Timestamp::from_micros(second * 1_000_000),
            bantime: BanTime::Forever,
            offence,
            origin: Origin::Failures,
            evidence: Vec::new(),
        }
    }

    fn replaced(ban: &Ban, by: &Ban) -> Decision {
        Decision::Unban(Unban {
            ban: ban.id,
            was: Standing::of(ban),
            jail: ban.jail.clone(),
            subject: ban.subject.clone(),
            time: by.start,
            release: Release::Replaced,
        })
    }

    #[test]
    fn what_was_replaced_twice_in_a_batch_is_lifted() {
        let home = tempfile::tempdir().expect("a directory");
        let path = home.path().join("f2bd.conf");
        std::fs::write(&path, GRADED).expect("a file");
        let settings = config::load(Some(&path), Surroundings::Ignore)
            .settings
            .expect("it is sound");
        let worker = |name: &str| {
            let mut actions = settings.actions.iter();
            let known = actions.find(|(spec, _)| spec.name.as_str() == name);
            let (spec, jails) = known.expect("the jail has it").clone();
            let (orders, _) = sync_channel(MOST_ORDERS);
            Worker {
                id: WorkerId(0),
                spec,
                jails,
                orders,
                thread: Arc::new(std::thread::spawn(|| ())),
                stale: false,
                trouble: false,
                reason: None,
                complaint: None,
                untold: Vec::new(),
                settled: true,
                untaken: Vec::new(),
                inherited: Vec::new(),
            }
        };
        let (one, two, three) = (ban(1, 0, 1), ban(2, 3, 2), ban(3, 5, 3));
        // The first was put into effect by an earlier batch.
        let batch = [
            replaced(&one, &two),
            Decision::Ban(two.clone()),
            replaced(&two, &three),
            Decision::Ban(three.clone()),
        ];
        let order = |name: &str| match worker(name)
            .order(&batch, &settings.policy, &|_| unreachable!("nobody asks"))
        {
            Some(Order::Change { bans, unbans }) => {
                let bans: Vec<_> = bans.into_iter().map(|ban| ban.ban).collect();
                (bans, !unbans.is_empty())
            }
            other => panic!("{other:?}"),
        };
        assert_eq!(order("nftables-slow"), (Vec::new(), true));
        assert_eq!(order("nftables"), (vec![three.id], false));
    }
}
