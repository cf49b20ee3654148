//! Who carries out orders, and what happens while that fails?
//!
//! A plain function on a thread of its own, which blocks. It remembers what should be, tries again and again
//! with growing pauses, and tells once that it fails and once that it works again. Orders that pile up meanwhile are
//! carried out together.

mod inbox;

use std::fmt::Display;
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::thread;
use std::time::{Duration, Instant};

use inbox::Inbox;

use super::keeping::Steps;
use super::nftables::Firewall;
use super::projection::{Projection, Touched};
use super::serve::Publisher;
use super::shell::Shell;
use super::telling;
use super::trace::Trace;
use super::{ActionKind, ActionSpec, Ending, InForce, Order, Report};
use crate::engine::decision::BanId;
use crate::engine::input::Outcome;
use crate::engine::time::Timestamp;

/// The pause after a first failure: most pass quickly, such as a full memory.
pub(super) const FIRST_PAUSE: Duration = Duration::from_secs(1);

/// The longest pause: a cause that has gone is noticed within a minute, and one that stays costs nothing.
pub(super) const LONGEST_PAUSE: Duration = Duration::from_secs(60);

/// Tells the time.
pub type Clock<'c> = &'c dyn Fn() -> Timestamp;

/// Who keeps a part of the world equal to a projection.
pub trait Keeper {
    /// Why it is not.
    type Error: Display;

    /// Makes everything as it should be, whatever is there.
    ///
    /// # Errors
    /// Not everything is in effect; it is tried again.
    fn reconcile(&mut self, projection: &Projection, clock: Clock<'_>) -> Result<(), Self::Error>;

    /// Makes what was touched as the projection says.
    ///
    /// # Errors
    /// Not everything is in effect; all is reconciled then.
    fn change(
        &mut self,
        projection: &Projection,
        touched: &Touched,
        clock: Clock<'_>,
    ) -> Result<(), Self::Error>;

    /// Takes note of what others have left in its place, to take away what nobody wants any more.
    fn inherit(&mut self, _traces: Vec<Trace>) {}

    /// Takes note of who had been banned before this began and is no more; of those who were lifted early, the oldest first.
    fn recall(&mut self, _lifted: Vec<InForce>, _clock: Clock<'_>) {}

    /// Leaves what is there, or takes it away.
    ///
    /// # Errors
    /// It could not be taken away.
    fn stop(&mut self, ending: Ending) -> Result<(), Self::Error>;

    /// What has gone wrong of late though all that was asked for counts as done: a ban that could not be lifted, for instance.
    fn complaint(&self) -> Option<String> {
        None
    }

    /// Whether nobody else has changed what is there, as far as that can be seen at a glance.
    ///
    /// # Errors
    /// It cannot be seen.
    fn check(&mut self, _projection: &Projection, _clock: Clock<'_>) -> Result<bool, Self::Error> {
        Ok(true)
    }

    /// How often that is to be looked at; `None` if there is no need, or no way.
    fn check_every(&self) -> Option<Duration> {
        None
    }

    /// Changes that come sooner than this after one another are made together.
    fn pause(&self) -> Duration {
        Duration::ZERO
    }

    /// How long the other side wants to be left alone, if it has said so.
    fn patience(_error: &Self::Error) -> Option<Duration> {
        None
    }
}

/// Carries out orders until one says to stop, or until nobody is left to give any; then everything stays as
/// it is. `report` may also be called from other threads, which watch for foreign changes.
pub fn run(
    spec: &ActionSpec,
    orders: Receiver<Order>,
    clock: impl Fn() -> Timestamp,
    report: impl Fn(Report) + Sync,
) {
    let inbox = Inbox::new(&orders);
    match &spec.kind {
        ActionKind::Nftables(nftables) => {
            let tell = || report(Report::ForeignChange);
            thread::scope(|scope| {
                let firewall = Firewall::new(nftables, scope, &tell);
                keep(spec, firewall, &inbox, &clock, &report);
            });
        }
        ActionKind::Serve(serve) => {
            let publisher = Publisher::new(&spec.name, serve);
            keep(spec, publisher, &inbox, &clock, &report);
        }
        ActionKind::Routine(routine) => {
            let is_called_off = || inbox.is_called_off();
            let steps = Steps::new(routine, &is_called_off);
            keep(spec, steps, &inbox, &clock, &report);
        }
        ActionKind::Shell(shell) => {
            let is_called_off = || inbox.is_called_off();
            let shell = Shell::new(&spec.name, shell, &is_called_off);
            keep(spec, shell, &inbox, &clock, &report);
        }
        ActionKind::Teller(teller) => telling::run(spec, teller, &orders, &clock, &report),
    }
}

/// Has a keeper do what the orders say.
fn keep<K: Keeper>(
    spec: &ActionSpec,
    keeper: K,
    inbox: &Inbox<'_>,
    clock: Clock<'_>,
    report: &dyn Fn(Report),
) {
    let worker = Worker {
        spec,
        keeper,
        inbox,
        projection: Projection::default(),
        trouble: None,
        complaint: None,
        waiting: None,
        changed_at: None,
        checked_at: Instant::now(),
        clock,
        report,
    };
    worker.work();
}

struct Worker<'w, K> {
    spec: &'w ActionSpec,
    keeper: K,
    inbox: &'w Inbox<'w>,
    projection: Projection,
    trouble: Option<Trouble>,
    /// What was told of what has gone wrong of late.
    complaint: Option<String>,
    /// Changes that are not made yet.
    waiting: Option<Waiting>,
    /// When something was changed last.
    changed_at: Option<Instant>,
    checked_at: Instant,
    clock: Clock<'w>,
    report: &'w dyn Fn(Report),
}

struct Trouble {
    pause: Duration,
    retry: Instant,
    /// The other side wants to be left alone until then.
    is_asked_for: bool,
}

/// Orders that are carried out together.
#[derive(Default)]
struct Waiting {
    /// Everything is to be made equal, not only what was touched.
    all: bool,
    touched: Touched,
    bans: Vec<BanId>,
}

/// What comes next.
enum Next {
    Order(Order),
    /// Something is due.
    Due,
    Gone,
}

impl<K: Keeper> Worker<'_, K> {
    fn work(mut self) {
        loop {
            let mut next = self.wait();
            // All that has come meanwhile is carried out together.
            loop {
                match next {
                    Next::Order(Order::Stop(ending)) => {
                        if !self.leaves_alone() {
                            self.carry_out();
                        }
                        return self.stop(ending);
                    }
                    Next::Order(order) => self.note(order),
                    Next::Due => break,
                    Next::Gone => return,
                }
                next = match self.inbox.take() {
                    Ok(order) => Next::Order(order),
                    // Whether nobody is left is seen when the next is waited for.
                    Err(_) => Next::Due,
                };
            }
            self.do_what_is_due();
        }
    }

    /// Waits for an order, or until something is due.
    fn wait(&self) -> Next {
        let retry = self.trouble.as_ref().map(|trouble| trouble.retry);
        let check = self.next_check().filter(|_| self.may_check());
        let waiting = self.waiting.as_ref().filter(|_| !self.leaves_alone());
        let waiting = waiting.map(|_| self.may_change_at());
        match self
            .inbox
            .wait([retry, check, waiting].into_iter().flatten().min())
        {
            Ok(order) => Next::Order(order),
            Err(RecvTimeoutError::Timeout) => Next::Due,
            Err(RecvTimeoutError::Disconnected) => Next::Gone,
        }
    }

    /// Whether the other side wants to be left alone: what waits is made with all the rest then.
    fn leaves_alone(&self) -> bool {
        let trouble = self.trouble.as_ref();
        trouble.is_some_and(|trouble| trouble.is_asked_for)
    }

    /// When what waits may be carried out.
    fn may_change_at(&self) -> Instant {
        self.changed_at
            .map_or(self.checked_at, |at| at + self.keeper.pause())
    }

    /// Whether all should be as the projection says.
    fn may_check(&self) -> bool {
        self.trouble.is_none() && self.waiting.is_none()
    }

    fn next_check(&self) -> Option<Instant> {
        let every = self.keeper.check_every()?;
        Some(self.checked_at + every)
    }

    /// Takes an order in.
    fn note(&mut self, order: Order) {
        let now = (self.clock)();
        let order = match order {
            Order::Inherit(traces) => return self.keeper.inherit(traces),
            Order::Recall(lifted) => return self.keeper.recall(lifted, self.clock),
            order => order,
        };
        let waiting = self.waiting.get_or_insert_default();
        match order {
            Order::Reconcile {
                jails,
                bans,
                complete,
            } => {
                self.projection.replace(jails, bans, complete, now);
                waiting.all = true;
            }
            Order::Change { bans, unbans } => {
                self.projection.change(&bans, &unbans, now);
                let banned = bans.iter().map(|ban| (&ban.jail, &ban.subject));
                let unbanned = unbans.iter().map(|(jail, subject)| (jail, subject));
                for (jail, subject) in banned.chain(unbanned) {
                    let touched = waiting.touched.entry(jail.clone()).or_default();
                    touched.insert(subject.clone());
                }
                waiting.bans.extend(bans.iter().map(|ban| ban.ban));
            }
            Order::Inherit(_) | Order::Recall(_) | Order::Tell(_) | Order::Stop(_) => {}
        }
    }

    /// Orders that keep coming put nothing off: what failed is tried again, and what is in effect looked at, when the
    /// time has come.
    fn do_what_is_due(&mut self) {
        let now = Instant::now();
        let retry = self.trouble.as_ref().map(|trouble| trouble.retry);
        if retry.is_some_and(|retry| retry <= now) {
            // It puts into effect what waits, too.
            self.waiting = None;
            self.reconcile();
        } else if self.waiting.is_some() && !self.leaves_alone() && self.may_change_at() <= now {
            self.carry_out();
        }
        self.tell_complaint();
        if self.may_check() && self.next_check().is_some_and(|due| due <= now) {
            self.check();
        }
    }

    /// Tells what has gone wrong of late, or that it has not.
    fn tell_complaint(&mut self) {
        let complaint = self.keeper.complaint();
        if self.complaint != complaint {
            self.complaint.clone_from(&complaint);
            (self.report)(Report::Complaint(complaint));
        }
    }

    fn carry_out(&mut self) {
        let Some(waiting) = self.waiting.take() else {
            return;
        };
        if waiting.all {
            return self.reconcile();
        }
        let changed = self
            .keeper
            .change(&self.projection, &waiting.touched, self.clock);
        self.changed_at = Some(Instant::now());
        match changed {
            Ok(()) => (self.report)(Report::Outcome(Outcome::Applied {
                action: self.spec.name.clone(),
                bans: waiting.bans,
            })),
            // What is not done is done by whoever begins next.
            Err(_) if self.inbox.is_called_off() => {}
            Err(error) if K::patience(&error).is_some() => self.fail(&error),
            // It has been told, and all is tried again soon. What is left of the world has taken what it could.
            Err(_) if self.trouble.is_some() => {}
            Err(error) => {
                log::warn!(
                    "{}: {error}; whatever is not in effect is tried again",
                    self.spec.name
                );
                self.reconcile();
            }
        }
    }

    fn check(&mut self) {
        let found = self.keeper.check(&self.projection, self.clock);
        self.checked_at = Instant::now();
        match found {
            Ok(true) => {}
            Ok(false) => {
                log::warn!(
                    "{}: somebody else has changed what is in effect, putting it back",
                    self.spec.name
                );
                self.reconcile();
            }
            Err(error) => self.fail(&error),
        }
    }

    fn reconcile(&mut self) {
        let made = self.keeper.reconcile(&self.projection, self.clock);
        self.changed_at = Some(Instant::now());
        self.checked_at = Instant::now();
        match made {
            Ok(()) => {
                if self.trouble.take().is_some() {
                    log::info!("{}: works again, all bans are in effect", self.spec.name);
                    (self.report)(Report::Works);
                }
                (self.report)(Report::Outcome(Outcome::Reconciled {
                    action: self.spec.name.clone(),
                }));
            }
            Err(error) => self.fail(&error),
        }
    }

    fn fail(&mut self, error: &K::Error) {
        if self.inbox.is_called_off() {
            return;
        }
        // The cause may be another one by now.
        (self.report)(Report::Trouble(error.to_string()));
        let pause = match &self.trouble {
            Some(trouble) => (trouble.pause * 2).min(LONGEST_PAUSE),
            None => {
                log::error!(
                    "{}: {error}; bans may not be in effect, trying on",
                    self.spec.name
                );
                (self.report)(Report::Outcome(Outcome::Broken {
                    action: self.spec.name.clone(),
                }));
                FIRST_PAUSE
            }
        };
        let wanted = K::patience(error);
        self.trouble = Some(Trouble {
            pause,
            retry: Instant::now() + pause.max(wanted.unwrap_or_default()),
            is_asked_for: wanted.is_some(),
        });
    }

    fn stop(&mut self, ending: Ending) {
        self.inbox.begin_the_end();
        if let Err(error) = self.keeper.stop(ending) {
            log::error!(
                "{}: cannot take away what is in effect: {error}",
                self.spec.name
            );
        }
    }
}
