//! The one door in and the one door out.
//!
//! Order within one input: bans that are over are lifted first, then the input is heard. A record is
//! judged at its own time, so it makes no difference how records were cut into batches or how late they
//! were read: `replay` comes to the same bans as the daemon.

mod banning;
mod continuity;
mod heard;
mod hearing;
mod recount;

use std::collections::HashMap;
use std::time::Duration;

use super::decision::{BanId, Decision, FailureId};
use super::explain::{JailStatus, Place, Verdict};
use super::filter::session::Sessions;
use super::input::Input;
use super::jail::Windows;
use super::jail::escalation::Offences;
use super::jail::network::Networks;
use super::ledger::Ledger;
use super::name::{JailName, SourceName};
use super::policy::Policy;
use super::prefix::Prefix;
use super::time::Timestamp;
use heard::Heard;

/// How often windows that nobody fills any more are looked for.
const SWEEP_EVERY: Duration = Duration::from_secs(60);

/// So many orders to forget are kept for what the database will tell when it can be read, the newest ones; each takes
/// some 50 bytes, and only the administrator gives any.
const MOST_FORGOTTEN: usize = 10_000;

/// A record may come this much later than others that were logged when it was, and still finds all that it counts
/// with: the tail of a rotated file, or what a network held up.
const LATEST: Duration = Duration::from_secs(600);

/// Hears inputs and answers with decisions.
#[derive(Debug)]
pub struct Engine {
    policy: Policy,
    /// Whether failures carry the text of their records.
    keeps_text: bool,
    /// The jails that use each filter, by their place.
    listeners: Vec<Vec<usize>>,
    jails: Vec<JailState>,
    ledger: Ledger,
    /// Also of jails that are gone, which may come back.
    offences: HashMap<JailName, Offences>,
    /// In which jails and of whom the administrator has had earlier bans forgotten, while some of them could not be read
    /// yet.
    forgotten: Option<Vec<(JailName, Option<Prefix>)>>,
    sessions: Sessions,
    next_failure: FailureId,
    next_ban: BanId,
    /// Whether it has been told that no further ban has room; until one has.
    full_told: bool,
    heard: Heard,
    /// How far each source was heard: up to its newest record, or, where there was no more, up to the present.
    progress: HashMap<Option<SourceName>, Option<Timestamp>>,
    swept: Timestamp,
}

/// What a jail has seen.
#[derive(Debug, Default)]
struct JailState {
    windows: Windows,
    networks: Networks,
    future_told: bool,
    failures: u64,
    bans: u64,
    /// Without those that `heard` holds.
    records: u64,
}

impl Engine {
    /// An engine that has heard nothing yet.
    pub fn new(policy: Policy) -> Self {
        Engine {
            keeps_text: true,
            ..Engine::without_text(policy)
        }
    }

    /// The same for whoever only wants to know whom it bans: its failures come without line, user and session, which to
    /// copy costs more than to judge them.
    pub fn without_text(policy: Policy) -> Self {
        let jails = policy.jails.iter().map(|_| JailState::default()).collect();
        Engine {
            listeners: listeners(&policy),
            policy,
            keeps_text: false,
            jails,
            ledger: Ledger::default(),
            offences: HashMap::new(),
            forgotten: None,
            sessions: Sessions::default(),
            next_failure: FailureId(1),
            next_ban: BanId(1),
            full_told: false,
            heard: Heard::default(),
            progress: HashMap::new(),
            swept: Timestamp::default(),
        }
    }

    /// Hears one input and appends what should be remembered and done.
    pub fn handle(&mut self, now: Timestamp, input: Input<'_>, out: &mut Vec<Decision>) {
        match input {
            Input::Records {
                source,
                batch,
                more,
            } => {
                self.hear_records(now, source, batch, out);
                self.note_progress(now, source, batch, more);
            }
            Input::Recount(failure) => self.recount(now, failure, out),
            Input::Tick => {}
            Input::Ban {
                jail,
                subject,
                bantime,
            } => self.ban_by_hand(now, jail, subject, bantime, out),
            Input::Unban {
                jail,
                subject,
                forget,
            } => {
                self.unban_by_hand(now, jail.as_ref(), subject, out);
                if forget {
                    self.forgive(jail.as_ref(), subject, out);
                }
            }
            Input::Restore(remembered) => self.restore(now, remembered, out),
            Input::Outcome(outcome) => self.ledger.hear(&outcome),
            Input::Policy(policy) => self.obey(now, *policy, out),
        }
        self.expire(now, out);
        self.sweep(now);
    }

    /// When [`Input::Tick`] is due; `None` if time alone changes nothing.
    pub fn next_deadline(&self) -> Option<Timestamp> {
        let watching = self
            .jails
            .iter()
            .any(|jail| !jail.windows.is_empty() || !jail.networks.is_empty());
        let sweep = watching.then(|| self.swept.after(SWEEP_EVERY));
        [self.ledger.next_end(), sweep].into_iter().flatten().min()
    }

    /// The settings in force.
    pub fn policy(&self) -> &Policy {
        &self.policy
    }

    /// Who is banned.
    pub fn ledger(&self) -> &Ledger {
        &self.ledger
    }

    /// How the jails are doing, in the order of the configuration.
    pub fn jails(&self, now: Timestamp) -> Vec<JailStatus> {
        let pairs = self.policy.jails.iter().zip(&self.jails);
        pairs
            .map(|(policy, state)| {
                let (watched, failing) = state.windows.sums(now, policy.findtime.0);
                JailStatus {
                    jail: policy.name.clone(),
                    watched,
                    failing,
                    banned: self.ledger.count_in(&policy.name),
                    failures: state.failures,
                    bans: state.bans,
                    records: state.records + self.heard.by(policy),
                }
            })
            .collect()
    }

    /// Gives each jail what it has heard until now.
    fn sum_up(&mut self) {
        let heard = std::mem::take(&mut self.heard);
        for (policy, state) in self.policy.jails.iter().zip(&mut self.jails) {
            state.records += heard.by(policy);
        }
    }

    /// What each jail has to say about `subject`: at least one verdict a jail.
    pub fn explain(&self, now: Timestamp, subject: Prefix) -> Vec<Verdict> {
        let mut verdicts = Vec::new();
        let jails = self.policy.jails.iter().zip(&self.jails);
        for (at, (policy, state)) in jails.enumerate() {
            let mut places = Vec::new();
            for (subject, ban) in self.ledger.overlapping(&policy.name, subject) {
                places.push(Place::Banned {
                    subject,
                    ban,
                    in_effect: self.ledger.in_effect(ban.id),
                });
            }
            let start = now.before(policy.findtime.0);
            for (subject, window) in state.windows.overlapping(subject) {
                let failures: Vec<_> = window
                    .failures()
                    .filter(|(time, ..)| *time >= start)
                    .map(|(time, id, ())| (time, id))
                    .collect();
                if let Some((oldest, _)) = failures.first() {
                    let oldest_leaves = oldest.after(policy.findtime.0);
                    places.push(Place::Watched {
                        subject,
                        failures,
                        oldest_leaves,
                    });
                }
            }
            let gathering = state.networks.around(&policy.networks, subject, now);
            if places.is_empty() {
                match policy.ignore.protects(subject) {
                    Some(rule) => places.push(Place::Ignored {
                        because: rule.because.clone(),
                    }),
                    None if gathering.iter().any(|(network, ..)| *network == subject) => {}
                    None => places.push(Place::Clear),
                }
            }
            places.extend(
                gathering
                    .into_iter()
                    .map(|(network, rule, hosts, failures)| Place::Gathering {
                        network,
                        rule,
                        hosts,
                        failures,
                    }),
            );
            verdicts.extend(places.into_iter().map(|place| {
                let whom = match &place {
                    Place::Banned { subject, .. } | Place::Watched { subject, .. } => {
                        Some(*subject)
                    }
                    Place::Clear if subject.is_host() => {
                        Some(policy.width.subject(subject.address()))
                    }
                    Place::Gathering { .. } | Place::Ignored { .. } | Place::Clear => None,
                };
                let whom = whom.filter(|_| policy.escalation.is_some());
                let next = whom.map(|subject| self.next_ban(at, subject, now));
                Verdict {
                    jail: policy.name.clone(),
                    place,
                    next,
                }
            }));
        }
        verdicts
    }

    /// Forgets windows that no record to come can fill. Sources may lag behind, so what counts is not the
    /// present but how far each of them has been read.
    fn sweep(&mut self, now: Timestamp) {
        // A clock that was set back must not put it off.
        if now >= self.swept && now < self.swept.after(SWEEP_EVERY) {
            return;
        }
        self.swept = now;
        // Bans come from wherever other jails listen.
        let all = self.policy.jails.iter().flat_map(|jail| &jail.sources);
        let all: Vec<SourceName> = all.cloned().collect();
        for (policy, state) in self.policy.jails.iter().zip(&mut self.jails) {
            // A source that has not been heard yet may have records of any age.
            let heard = |source: &SourceName| {
                let progress = self.progress.get(&Some(source.clone()))?;
                Some(progress.unwrap_or(now).before(LATEST))
            };
            let replayed = self.progress.get(&None).copied().flatten();
            let far = match replayed {
                Some(newest) => Some(newest),
                None if self.policy.counts_bans(policy) => all.iter().map(heard).min().flatten(),
                None => policy.sources.iter().map(heard).min().flatten(),
            };
            if let Some(far) = far {
                state.windows.forget_stale(far, policy.findtime);
                state.networks.forget_stale(far, &policy.networks);
            }
        }
    }
}

/// Which jails listen to which filter.
fn listeners(policy: &Policy) -> Vec<Vec<usize>> {
    let mut listeners = vec![Vec::new(); policy.filters.len()];
    for (at, jail) in policy.jails.iter().enumerate() {
        listeners[usize::from(jail.filter.0)].push(at);
    }
    listeners
}

#[cfg(test)]
mod tests;
