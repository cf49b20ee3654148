//! Who carries out orders, and what happens while that fails?
//!
//! A plain function on a thread of its own, which blocks. It remembers what should be, tries again and again
//! with growing pauses, and tells once that it fails and once that it works again.

use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::thread;
use std::time::{Duration, Instant};

use super::nftables::{Firewall, touched};
use super::projection::Projection;
use super::{ActionKind, ActionSpec, Ending, InForce, Order, Report};
use crate::engine::input::Outcome;
use crate::engine::name::JailName;
use crate::engine::subject::Subject;
use crate::engine::time::Timestamp;

/// The pause after a first failure: most pass quickly, such as a full memory.
const FIRST_PAUSE: Duration = Duration::from_secs(1);

/// The longest pause: a cause that has gone is noticed within a minute, and one that stays costs nothing.
const LONGEST_PAUSE: Duration = Duration::from_secs(60);

/// Carries out orders until one says to stop, or until nobody is left to give any; then everything stays as
/// it is. `report` is also called from the thread that watches for foreign changes.
pub fn run(
    spec: &ActionSpec,
    orders: Receiver<Order>,
    clock: impl Fn() -> Timestamp,
    report: impl Fn(Report) + Sync,
) {
    let ActionKind::Nftables(nftables) = &spec.kind;
    let tell = || report(Report::ForeignChange);
    thread::scope(|scope| {
        let firewall = Firewall::new(nftables, scope, &tell);
        let projection = Projection::default();
        Worker {
            spec,
            firewall,
            projection,
            trouble: None,
            clock: &clock,
            report: &report,
        }
        .work(&orders);
    });
}

struct Worker<'scope, 'env, C, R> {
    spec: &'env ActionSpec,
    firewall: Firewall<'scope, 'env>,
    projection: Projection,
    trouble: Option<Trouble>,
    clock: &'env C,
    report: &'env R,
}

struct Trouble {
    pause: Duration,
    retry: Instant,
}

impl<C: Fn() -> Timestamp, R: Fn(Report)> Worker<'_, '_, C, R> {
    fn work(mut self, orders: &Receiver<Order>) {
        loop {
            let order = match &self.trouble {
                None => orders.recv().map_err(|_| RecvTimeoutError::Disconnected),
                Some(trouble) => {
                    orders.recv_timeout(trouble.retry.saturating_duration_since(Instant::now()))
                }
            };
            match order {
                Ok(Order::Reconcile {
                    jails,
                    bans,
                    complete,
                }) => {
                    self.projection
                        .replace(jails, bans, complete, (self.clock)());
                    self.reconcile();
                }
                Ok(Order::Change { bans, unbans }) => self.change(&bans, &unbans),
                Ok(Order::Stop(ending)) => return self.stop(ending),
                Err(RecvTimeoutError::Timeout) => self.reconcile(),
                Err(RecvTimeoutError::Disconnected) => return,
            }
        }
    }

    fn change(&mut self, bans: &[InForce], unbans: &[(JailName, Subject)]) {
        self.projection.change(bans, unbans, (self.clock)());
        match self
            .firewall
            .change(&self.projection, &touched(bans, unbans), self.clock)
        {
            Ok(()) => {
                let applied = bans.iter().map(|ban| ban.ban).collect();
                (self.report)(Report::Outcome(Outcome::Applied(applied)));
            }
            // It has been told, and all is tried again soon. What is left of the sets has taken what it could.
            Err(_) if self.trouble.is_some() => {}
            Err(error) => {
                if error.is_missing() {
                    log::warn!(
                        "{}: somebody has removed the table or a set, restoring all bans",
                        self.spec.name
                    );
                } else {
                    log::warn!(
                        "{}: {error}; trying to put all bans into effect anew",
                        self.spec.name
                    );
                }
                self.reconcile();
            }
        }
    }

    fn reconcile(&mut self) {
        match self.firewall.reconcile(&self.projection, self.clock) {
            Ok(()) => {
                if self.trouble.take().is_some() {
                    log::info!("{}: works again, all bans are in effect", self.spec.name);
                }
                (self.report)(Report::Outcome(Outcome::Reconciled {
                    action: self.spec.name.clone(),
                }));
            }
            Err(error) => {
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
                self.trouble = Some(Trouble {
                    pause,
                    retry: Instant::now() + pause,
                });
            }
        }
    }

    fn stop(&mut self, ending: Ending) {
        if let Err(error) = self.firewall.stop(ending) {
            log::error!("{}: cannot remove the table: {error}", self.spec.name);
        }
    }
}
