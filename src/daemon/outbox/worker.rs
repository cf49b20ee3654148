//! What has one action been told, and what does it still have to hear?
//!
//! In: decisions, and what is to be in effect. Out: orders for its thread, in a bounded queue. Which actions there are, and
//! when one takes the place of another, is not known here.

use std::collections::HashSet;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use tokio::sync::mpsc::UnboundedSender;

use crate::action::event::Event;
use crate::action::trace::Trace;
use crate::action::{self, ActionJail, ActionSpec, Ending, InForce, Order, Report};
use crate::daemon::clock;
use crate::daemon::events::{self, Counts};
use crate::engine::decision::{Ban, Notice, Release, Resumed, Unban};
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

/// How often is looked whether threads have ended.
pub(super) const LOOK_EVERY: Duration = Duration::from_millis(5);

/// Which worker it is: those of one name, before and after a reload, are not the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WorkerId(pub(super) u64);

/// Where workers report to. Unbounded, so that a worker can always finish while the driver waits for it; it
/// holds no more than some reports an order.
pub type Reports = UnboundedSender<(WorkerId, ActionName, Report)>;

/// A worker that has been told to end.
pub(super) struct Leaving {
    pub(super) action: ActionName,
    pub(super) thread: Arc<JoinHandle<()>>,
    /// What it takes away before it does.
    pub(super) traces: Vec<Trace>,
}

/// An action that has been told what to keep in effect, or what to tell.
pub(super) struct Worker {
    pub(super) id: WorkerId,
    pub(super) spec: ActionSpec,
    pub(super) jails: Vec<ActionJail>,
    pub(super) orders: SyncSender<Order>,
    pub(super) thread: Arc<JoinHandle<()>>,
    /// The worker has to be told everything anew.
    pub(super) stale: bool,
    pub(super) trouble: bool,
    /// Why it does not work.
    pub(super) reason: Option<String>,
    /// What has gone wrong of late though it works.
    pub(super) complaint: Option<String>,
    /// Events for which its queue had no room.
    pub(super) untold: Vec<Event>,
    /// It has put its rules and bans into effect.
    pub(super) settled: bool,
    /// What others have left in its place that it has not been told of.
    pub(super) untaken: Vec<Trace>,
    /// What may be there besides its own until it has settled.
    pub(super) inherited: Vec<Trace>,
}

impl Worker {
    /// Has it tell of events, behind those that wait.
    pub(super) fn tell(&mut self, mut events: Vec<Event>) {
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

    pub(super) fn send(&mut self, order: Order) {
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

    pub(super) fn tells_of(&self, event: &Event) -> bool {
        let teller = self.spec.teller();
        teller.is_some_and(|teller| teller.tells_of(event))
    }

    pub(super) fn answers(&self, ban: &Ban, policy: &Policy) -> bool {
        policy.puts_into_effect(&self.spec.name, &ban.jail, &Standing::of(ban))
    }

    /// Whether it has put a ban into effect that is over, or has told of it.
    pub(super) fn answered(&self, unban: &Unban, policy: &Policy) -> bool {
        policy.puts_into_effect(&self.spec.name, &unban.jail, &unban.was)
    }

    pub(super) fn serves(&self, jail: &JailName) -> bool {
        self.jails.iter().any(|own| own.jail == *jail)
    }

    pub(super) fn in_force(&self, engine: &Engine, counts: &Counts) -> Vec<InForce> {
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
    pub(super) fn order(
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
    pub(super) fn in_force_of_its_jails(&self, engine: &Engine) -> Vec<InForce> {
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

    pub(super) fn standing(
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
    pub(super) fn recall(&mut self, engine: &Engine, lifted: &[Ban]) {
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

    pub(super) fn trace(&self) -> Trace {
        Trace {
            spec: self.spec.clone(),
            jails: self.jails.clone(),
        }
    }

    /// What may be there, by it and by those before it.
    pub(super) fn traces(&self) -> Vec<Trace> {
        let others = self.untaken.iter().chain(&self.inherited);
        std::iter::once(self.trace())
            .chain(others.cloned())
            .collect()
    }

    /// Who of its jails is free again by these decisions.
    pub(super) fn unbans(&self, decisions: &[Decision]) -> Vec<(JailName, Subject)> {
        let unbans = decisions.iter().filter_map(|decision| match decision {
            Decision::Unban(unban) if self.serves(&unban.jail) => Some(unban),
            _ => None,
        });
        let unbans = unbans.map(|unban| (unban.jail.clone(), unban.subject.clone()));
        unbans.collect()
    }

    /// Tells it to end. Nobody waits for that; its thread shows when it has.
    pub(super) fn begin_to_end(self, ending: Ending) -> Leaving {
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
pub(super) fn hire(
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
