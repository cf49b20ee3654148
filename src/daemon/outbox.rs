//! What have the actions been told, and what do they still have to hear?
//!
//! Each action has a worker thread and a bounded queue. If a worker falls so far behind that its queue is
//! full, nothing is kept for it: it is told later to make the world equal to the ledger, which says
//! everything in one order.

use std::collections::HashSet;
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::thread::JoinHandle;

use tokio::sync::mpsc::UnboundedSender;

use super::clock;
use crate::action::event::{Event, Occasion};
use crate::action::telling::Teller;
use crate::action::{self, ActionJail, ActionSpec, Ending, InForce, Order, Report};
use crate::engine::decision::{Ban, Notice, Release, Resumed};
use crate::engine::ledger::Standing;
use crate::engine::name::{ActionName, JailName};
use crate::engine::policy::Policy;
use crate::engine::subject::Subject;
use crate::engine::{Decision, Engine};

/// How many orders may wait for one worker; each is one batch of decisions.
const MOST_ORDERS: usize = 64;

/// How many events may wait for room in a queue: what a minute of a hard attack brings.
const MOST_UNTOLD: usize = 10_000;

/// Where workers report to. Unbounded, so that a worker can always finish while the driver waits for it; it
/// holds no more than one report an order.
pub type Reports = UnboundedSender<(ActionName, Report)>;

/// All workers.
pub struct Outbox {
    reports: Reports,
    workers: Vec<Worker>,
    /// Workers of places that nobody wants any more. They protect until all others do.
    retired: Vec<Worker>,
    /// Whether the ledger knows all bans there are.
    complete: bool,
}

struct Worker {
    spec: ActionSpec,
    jails: Vec<ActionJail>,
    orders: SyncSender<Order>,
    thread: JoinHandle<()>,
    /// The worker has to be told everything anew.
    stale: bool,
    trouble: bool,
    /// Why it does not work.
    reason: Option<String>,
    /// Events for which its queue had no room.
    untold: Vec<Event>,
    /// It has put its rules and bans into effect.
    settled: bool,
}

impl Outbox {
    /// No worker yet.
    pub fn new(reports: Reports, complete: bool) -> Self {
        Outbox {
            reports,
            workers: Vec::new(),
            retired: Vec::new(),
            complete,
        }
    }

    /// From now on the ledger knows all bans there are.
    pub fn complete(&mut self) {
        self.complete = true;
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
    ) -> std::io::Result<()> {
        let all = std::mem::take(&mut self.workers)
            .into_iter()
            .chain(self.retired.drain(..));
        let (stay, leave): (Vec<_>, Vec<_>) =
            all.partition(|worker| actions.iter().any(|(spec, _)| *spec == worker.spec));
        self.workers = stay;
        for worker in leave {
            let goes_on = actions
                .iter()
                .any(|(spec, _)| spec.shares_place_with(&worker.spec));
            if goes_on {
                worker.end(Ending::Leave);
            } else {
                self.retired.push(worker);
            }
        }
        for (spec, jails) in actions {
            match self.workers.iter_mut().find(|worker| worker.spec == *spec) {
                Some(worker) => {
                    worker.jails.clone_from(jails);
                    worker.stale = true;
                }
                None => {
                    let worker = hire(spec.clone(), jails.clone(), self.reports.clone())?;
                    self.workers.push(worker);
                }
            }
        }
        self.dismiss();
        self.catch_up(engine);
        Ok(())
    }

    /// Ends the retired once all others protect.
    fn dismiss(&mut self) {
        if self.workers.iter().all(|worker| worker.settled) {
            for worker in self.retired.drain(..) {
                worker.end(Ending::Remove);
            }
        }
    }

    /// Passes on what was decided.
    pub fn carry_out(&mut self, decisions: &[Decision], policy: &Policy) {
        for worker in &mut self.workers {
            if let Some(order) = worker.order(decisions, policy) {
                worker.send(order);
            }
        }
    }

    /// Has one action, or all, make the world equal to the ledger.
    pub fn reconcile(&mut self, action: Option<&ActionName>, engine: &Engine) {
        for worker in &mut self.workers {
            if action.is_none_or(|action| *action == worker.spec.name) {
                worker.stale = true;
            }
        }
        self.catch_up(engine);
    }

    /// Notes whether an action works.
    pub fn note(&mut self, action: &ActionName, trouble: bool) {
        if let Some(worker) = self
            .workers
            .iter_mut()
            .find(|worker| worker.spec.name == *action)
        {
            worker.trouble = trouble;
            worker.settled = !trouble;
        }
        self.dismiss();
    }

    /// Notes why an action does not work, or that it does.
    pub fn explain(&mut self, action: &ActionName, reason: Option<String>) {
        let mut workers = self.workers.iter_mut();
        if let Some(worker) = workers.find(|worker| worker.spec.name == *action) {
            if worker.spec.teller().is_some() {
                worker.trouble = reason.is_some();
            }
            worker.reason = reason;
        }
    }

    /// The actions, whether they work, and if not, why.
    pub fn states(&self) -> impl Iterator<Item = (&ActionName, bool, Option<&str>)> {
        self.workers.iter().map(|worker| {
            let reason = worker.reason.as_deref().filter(|_| worker.trouble);
            (&worker.spec.name, !worker.trouble, reason)
        })
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
    pub fn wants_lines(&self) -> bool {
        let mut tellers = self.tellers();
        let of_lines = ["lines", "line", "users", "user"];
        tellers.any(|teller| of_lines.iter().any(|name| teller.says(name)))
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

    /// Has those tell of bans of an earlier run that want to.
    pub fn tell_restored(
        &mut self,
        event: impl Fn(&JailName, &Subject, &Standing) -> Event,
        engine: &Engine,
    ) {
        for worker in &mut self.workers {
            let wants = |teller: &Teller| teller.restored && teller.on.contains(&Occasion::Ban);
            if worker.spec.teller().is_some_and(wants) {
                let (ledger, policy) = (engine.ledger(), engine.policy());
                let own = ledger
                    .iter()
                    .filter(|(jail, _, ban)| policy.puts_into_effect(&worker.spec.name, jail, ban));
                let events: Vec<_> = own
                    .map(|(jail, subject, ban)| event(jail, subject, &ban))
                    .collect();
                worker.tell(events);
            }
        }
    }

    /// Whether somebody could not be told everything; [`Outbox::catch_up`] tries again.
    pub fn is_stale(&self) -> bool {
        self.workers.iter().any(|worker| worker.stale)
    }

    /// Tells the workers that missed something what is in force.
    pub fn catch_up(&mut self, engine: &Engine) {
        for worker in self.workers.iter_mut().filter(|worker| worker.stale) {
            if worker.spec.teller().is_some() {
                worker.stale = false;
                let untold = std::mem::take(&mut worker.untold);
                if !untold.is_empty() {
                    worker.send(Order::Tell(untold));
                }
                continue;
            }
            let bans = worker.in_force(engine);
            worker.stale = false;
            worker.send(Order::Reconcile {
                jails: worker.jails.clone(),
                bans,
                complete: self.complete,
            });
        }
    }

    /// Ends all workers and waits for them.
    pub fn end(self) {
        let all = self.workers.into_iter().chain(self.retired);
        let ending: Vec<_> = all
            .map(|worker| worker.begin_to_end(Ending::AsConfigured))
            .collect();
        for thread in ending {
            // One that has died has been reported by its panic.
            let _ = thread.join();
        }
    }
}

impl Worker {
    /// Has it tell of events, behind those that wait.
    fn tell(&mut self, events: Vec<Event>) {
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

    fn serves(&self, jail: &JailName) -> bool {
        self.jails.iter().any(|own| own.jail == *jail)
    }

    fn in_force(&self, engine: &Engine) -> Vec<InForce> {
        let (ledger, policy) = (engine.ledger(), engine.policy());
        ledger
            .iter()
            .filter(|(jail, _, ban)| policy.puts_into_effect(&self.spec.name, jail, ban))
            .map(|(jail, subject, standing)| InForce {
                ban: standing.id,
                jail: jail.clone(),
                subject: subject.clone(),
                until: standing.until(),
            })
            .collect()
    }

    /// The order that carries out the decisions of one batch. A ban that was lifted in the same batch is left
    /// out, and so is what expired where the target has a clock of its own.
    fn order(&self, decisions: &[Decision], policy: &Policy) -> Option<Order> {
        if self.spec.teller().is_some() {
            return None;
        }
        let is_own = |ban: &Ban| self.answers(ban, policy);
        let in_force = |ban: &Ban| InForce {
            ban: ban.id,
            jail: ban.jail.clone(),
            subject: ban.subject.clone(),
            until: ban.until(),
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
                Decision::Unban(unban) if self.serves(&unban.jail) => {
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

    fn end(self, ending: Ending) {
        // One that has died has been reported by its panic.
        let _ = self.begin_to_end(ending).join();
    }

    fn begin_to_end(self, ending: Ending) -> JoinHandle<()> {
        // The order has to arrive even if the queue is full, and the worker may be gone already.
        let _ = self.orders.send(Order::Stop(ending));
        self.thread
    }
}

fn hire(spec: ActionSpec, jails: Vec<ActionJail>, reports: Reports) -> std::io::Result<Worker> {
    let (orders, receiver) = sync_channel(MOST_ORDERS);
    let own = spec.clone();
    let is_teller = spec.teller().is_some();
    let thread = std::thread::Builder::new()
        .name(format!("action-{}", spec.name))
        .spawn(move || work(&own, receiver, &reports))?;
    Ok(Worker {
        spec,
        jails,
        orders,
        thread,
        stale: true,
        trouble: false,
        reason: None,
        untold: Vec::new(),
        settled: is_teller,
    })
}

fn work(spec: &ActionSpec, orders: Receiver<Order>, reports: &Reports) {
    let report = |report| {
        // The driver is gone only when the daemon ends.
        let _ = reports.send((spec.name.clone(), report));
    };
    action::worker::run(spec, orders, clock::now, report);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{self, Surroundings};
    use crate::engine::decision::{BanId, Origin, Unban};
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
                spec,
                jails,
                orders,
                thread: std::thread::spawn(|| ()),
                stale: false,
                trouble: false,
                reason: None,
                untold: Vec::new(),
                settled: true,
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
        let order = |name: &str| match worker(name).order(&batch, &settings.policy) {
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
