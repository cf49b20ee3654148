//! What survives a restart, and what a change of the settings?
//!
//! In: what was remembered, or another policy. Out: the ends of bans that are wanted no longer.

use std::cmp::Reverse;
use std::collections::HashMap;

use super::banning::{replaced, unban};
use super::{Engine, JailState, listeners};
use crate::engine::decision::{Ban, Decision, Forgiven, Origin, Release};
use crate::engine::input::Remembered;
use crate::engine::jail::network::NetworkRule;
use crate::engine::name::JailName;
use crate::engine::policy::Policy;
use crate::engine::prefix::Prefix;
use crate::engine::time::Timestamp;

impl Engine {
    pub(super) fn restore(
        &mut self,
        now: Timestamp,
        remembered: Remembered,
        out: &mut Vec<Decision>,
    ) {
        // A database that could be read only late must not take back numbers that were given meanwhile.
        self.next_failure = self
            .next_failure
            .max(remembered.next_failure.unwrap_or(self.next_failure));
        self.next_ban = self
            .next_ban
            .max(remembered.next_ban.unwrap_or(self.next_ban));
        for ban in &remembered.bans {
            // Banned anew before the database could be read: one of them stays, the longer one.
            if let Some(newer) = self.ledger.find(&ban.jail, ban.subject) {
                let end = |until: Option<Timestamp>| until.map_or(i64::MAX, Timestamp::as_micros);
                if end(ban.until()) <= end(newer.until()) {
                    out.push(replaced(ban, now));
                    continue;
                }
                self.ledger.strike(&ban.jail, ban.subject);
                out.push(unban(&ban.jail, ban.subject, newer, now, Release::Replaced));
                self.resume(&ban.jail, vec![newer.id], now, out, |_| false);
            }
            self.ledger.enter(ban);
        }
        self.restore_merged(remembered.merged);
        // When each network was banned: what it had paid for by then counts no more.
        let mut paid: HashMap<(usize, Prefix), Timestamp> = HashMap::new();
        for (jail, subject, mut offence) in remembered.offences {
            if let Some(at) = self.place(&jail).filter(|_| !subject.is_host()) {
                paid.insert((at, subject), offence.start);
            }
            let is_forgiven = self.has_forgiven(&jail, subject);
            let offences = self.offences.entry(jail.clone()).or_default();
            // Banned or forgiven before the database could be read: that is the newer word.
            if offences.last_start(subject) > Some(offence.start) {
                continue;
            }
            if is_forgiven && offence.number > 0 {
                offence.number = 0;
                out.push(Decision::Forgive(Forgiven { jail, subject }));
            }
            offences.note(subject, offence);
        }
        self.forgotten = remembered.more.then(Vec::new);
        for (failure, pending) in remembered.failures {
            let Some(at) = self.place(&failure.jail) else {
                continue;
            };
            let counted = (failure.time, failure.id);
            let (address, subject) = (failure.address, failure.subject);
            let mut networks = std::mem::take(&mut self.jails[at].networks);
            let jail = &self.policy.jails[at];
            let since = |network| paid.get(&(at, network)).copied();
            let is_used = |rule: &NetworkRule| {
                let start = rule.width.network(address).and_then(since);
                start.is_some_and(|start| failure.time <= start)
            };
            let pending = pending && !jail.networks.iter().any(is_used);
            networks.restore(&jail.networks, address, subject, counted, since);
            let state = &mut self.jails[at];
            state.networks = networks;
            if pending {
                state
                    .windows
                    .make_room(failure.time, jail.findtime, jail.maxretry);
                let counted = (failure.time, failure.id, ());
                state.windows.restore(subject, counted, jail.maxretry);
            }
            if let Some(session) = &failure.session {
                let filter = self.policy.filters.spec(jail.filter);
                self.sessions.restore(filter, session, failure.time);
            }
        }
        self.expire(now, out);
        self.respect_policy(now, out);
    }

    /// Puts back the bans that were merged into one that stands. Those that were merged into one that has been lifted
    /// were lifted with it.
    fn restore_merged(&mut self, mut merged: Vec<(Ban, Timestamp)>) {
        let end = |until: Option<Timestamp>| until.map_or(i64::MAX, Timestamp::as_micros);
        // The bans of networks that could stand for others, by when they took the place of those.
        let mut wholes: HashMap<(JailName, Timestamp), Vec<Ban>> = HashMap::new();
        let key = |ban: &Ban| (ban.jail.clone(), ban.start);
        for (jail, subject, standing) in self.ledger.iter() {
            if standing.origin == Origin::Network {
                let ban = standing.ban(jail.clone(), subject);
                wholes.entry(key(&ban)).or_default().push(ban);
            }
        }
        // The newest first: it may have been merged in its turn, but has taken the place of older ones before.
        merged.sort_unstable_by_key(|(ban, _)| Reverse(ban.id));
        for (ban, time) in merged {
            let around = wholes.get(&(ban.jail.clone(), time));
            let into = around.into_iter().flatten().filter(|whole| {
                whole.id > ban.id
                    && whole.subject.holds(ban.subject)
                    && end(whole.until()) >= end(ban.until())
            });
            let Some(into) = into.map(|whole| whole.id).min() else {
                continue;
            };
            // Banned anew before the database could be read.
            if self.ledger.find(&ban.jail, ban.subject).is_some() {
                continue;
            }
            self.ledger.restore_merged(&ban, into, time);
            if ban.origin == Origin::Network {
                wholes.entry(key(&ban)).or_default().push(ban);
            }
        }
    }

    pub(super) fn obey(&mut self, now: Timestamp, policy: Policy, out: &mut Vec<Decision>) {
        self.sum_up();
        let mut old: HashMap<JailName, JailState> = self
            .policy
            .jails
            .iter()
            .map(|jail| jail.name.clone())
            .zip(std::mem::take(&mut self.jails))
            .collect();
        self.jails = policy
            .jails
            .iter()
            .map(|jail| old.remove(&jail.name).unwrap_or_default())
            .collect();
        self.listeners = listeners(&policy);
        self.policy = policy;
        let jails = &self.policy.jails;
        self.progress.retain(|source, _| {
            let listens = |source| jails.iter().any(|jail| jail.sources.contains(source));
            source.as_ref().is_none_or(listens)
        });
        self.respect_policy(now, out);
    }

    /// Lifts the bans that the settings no longer want.
    fn respect_policy(&mut self, now: Timestamp, out: &mut Vec<Decision>) {
        for name in self.ledger.jails() {
            match self.place(&name) {
                None => self.release(&name, now, Release::JailGone, out, |_| true),
                Some(at) => {
                    let ignore = self.policy.jails[at].ignore.clone();
                    self.release(&name, now, Release::Ignored, out, |subject| {
                        ignore.protects(subject).is_some()
                    });
                }
            }
        }
    }

    pub(super) fn place(&self, jail: &JailName) -> Option<usize> {
        self.policy
            .jails
            .iter()
            .position(|policy| policy.name == *jail)
    }
}
