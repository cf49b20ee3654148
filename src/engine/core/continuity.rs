//! What survives a restart, and what a change of the settings or of those who are never banned?
//!
//! In: what was remembered, another policy, or what a set holds now. Out: the ends of bans that are wanted no longer.

use std::collections::HashMap;

use super::banning::{replaced, unban};
use super::{Engine, JailState, listeners};
use crate::engine::decision::{Decision, Release};
use crate::engine::input::Remembered;
use crate::engine::jail::network::NetworkRule;
use crate::engine::name::JailName;
use crate::engine::policy::{AddressSet, Policy, SetName};
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
            }
            self.ledger.enter(ban);
        }
        // When each network was banned: what it had paid for by then counts no more.
        let mut paid: HashMap<(usize, Prefix), Timestamp> = HashMap::new();
        for (jail, subject, offence) in remembered.offences {
            if let Some(at) = self.place(&jail).filter(|_| !subject.is_host()) {
                paid.insert((at, subject), offence.start);
            }
            let offences = self.offences.entry(jail).or_default();
            offences.note(subject, offence);
        }
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
                let start = since(rule.width.subject(address));
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
        for allowance in remembered.allowances {
            // What was said since is newer.
            let place = self.allowed.entry(allowance.subject);
            place.or_insert(allowance);
        }
        self.expire(now, out);
        self.end_allowances(now, out);
        self.spare_the_allowed(now, out);
        self.respect_policy(now, out);
    }

    pub(super) fn obey(&mut self, now: Timestamp, mut policy: Policy, out: &mut Vec<Decision>) {
        self.sum_up();
        // What was heard of a set is newer than the settings.
        let known = self.policy.jails.iter().flat_map(|jail| jail.ignore.sets());
        for (set, addresses) in known {
            for jail in &mut policy.jails {
                jail.ignore.fill(set, addresses);
            }
        }
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
        self.spare_the_allowed(now, out);
        let jails = &self.policy.jails;
        self.progress.retain(|source, _| {
            let listens = |source| jails.iter().any(|jail| jail.sources.contains(source));
            source.as_ref().is_none_or(listens)
        });
        self.respect_policy(now, out);
    }

    /// Takes note of what a set of addresses holds now.
    pub(super) fn ignore(
        &mut self,
        now: Timestamp,
        set: &SetName,
        addresses: &AddressSet,
        out: &mut Vec<Decision>,
    ) {
        if *set == SetName::Guarded {
            self.guard(addresses);
        }
        for at in 0..self.policy.jails.len() {
            if self.policy.jails[at].ignore.fill(set, addresses) {
                self.spare(now, at, out);
            }
        }
    }

    /// Lifts the bans that the settings no longer want.
    fn respect_policy(&mut self, now: Timestamp, out: &mut Vec<Decision>) {
        for name in self.ledger.jails() {
            if self.place(&name).is_none() {
                self.release(&name, now, Release::JailGone, out, |_| true);
            }
        }
        for at in 0..self.policy.jails.len() {
            self.spare(now, at, out);
        }
    }

    /// Lifts a jail's bans of whoever is never to be banned, and forgets what was held against them.
    pub(super) fn spare(&mut self, now: Timestamp, at: usize, out: &mut Vec<Decision>) {
        let (name, ignore) = {
            let jail = &self.policy.jails[at];
            (jail.name.clone(), jail.ignore.clone())
        };
        let is_spared = |subject| ignore.protects(subject).is_some();
        self.release(&name, now, Release::Ignored, out, is_spared);
        let state = &mut self.jails[at];
        state.windows.forget_all(is_spared);
        state.networks.forget_all(is_spared);
    }

    pub(super) fn place(&self, jail: &JailName) -> Option<usize> {
        self.policy
            .jails
            .iter()
            .position(|policy| policy.name == *jail)
    }
}
