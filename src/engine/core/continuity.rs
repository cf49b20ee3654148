//! What survives a restart, and what a change of the settings or of those who are never banned?
//!
//! In: what was remembered, another policy, or what a set holds now. Out: the ends of bans that are wanted no longer.

use std::cmp::Reverse;
use std::collections::{HashMap, HashSet};

use super::banning::{replaced, unban};
use super::guarding::spares;
use super::{Engine, JailState, is_open, listeners};
use crate::engine::decision::{Ban, Decision, Failure, Forgiven, Origin, Release};
use crate::engine::filter::Capture;
use crate::engine::input::{Fate, Remembered, TakenBack};
use crate::engine::jail::Counted;
use crate::engine::jail::accounts::{Account, Accounts};
use crate::engine::name::JailName;
use crate::engine::policy::{AddressSet, JailPolicy, Policy, SetName};
use crate::engine::prefix::Prefix;
use crate::engine::subject::Subject;
use crate::engine::time::Timestamp;

impl Engine {
    pub(super) fn restore(
        &mut self,
        now: Timestamp,
        remembered: Remembered,
        out: &mut Vec<Decision>,
    ) {
        self.restore_sightings(*remembered.seen, !remembered.more);
        // A database that could be read only late must not take back numbers that were given meanwhile.
        self.next_failure = self
            .next_failure
            .max(remembered.next_failure.unwrap_or(self.next_failure));
        self.next_ban = self
            .next_ban
            .max(remembered.next_ban.unwrap_or(self.next_ban));
        self.next_awaited = self
            .next_awaited
            .max(remembered.next_awaited.unwrap_or(self.next_awaited));
        let mut banned_anew = HashSet::new();
        for ban in &remembered.bans {
            // Banned anew before the database could be read: one of them stays, the longer one.
            if let Some(newer) = self.ledger.find(&ban.jail, &ban.subject) {
                let end = |until: Option<Timestamp>| until.map_or(i64::MAX, Timestamp::as_micros);
                if end(ban.until()) <= end(newer.until()) {
                    out.push(replaced(ban, now));
                    continue;
                }
                banned_anew.insert(ban.id);
                self.ledger.strike(&ban.jail, &ban.subject);
                let (subject, release) = (ban.subject.clone(), Release::Replaced);
                out.push(unban(&ban.jail, subject, newer, now, release));
                self.resume(&ban.jail, vec![newer.id], now, out, |_| false);
            }
            let by = self.keepers_of(ban);
            self.ledger.enter(ban, by);
        }
        for (jail, subject, time) in &remembered.unhindered {
            self.ledger.restore_unhindered(jail, subject, *time);
        }
        self.restore_merged(remembered.merged);
        for (jail, subject, mut offence) in remembered.offences {
            let is_forgiven = self.has_forgiven(&jail, &subject);
            let offences = self.offences.entry(jail.clone()).or_default();
            // Banned or forgiven before the database could be read: that is the newer word.
            if offences
                .last(&subject)
                .is_some_and(|last| last.start > offence.start)
            {
                continue;
            }
            if is_forgiven && offence.number > 0 {
                offence.number = 0;
                let subject = subject.clone();
                out.push(Decision::Forgive(Forgiven { jail, subject }));
            }
            offences.note(subject, offence);
        }
        self.forgotten = remembered.more.then(Vec::new);
        for (jail, since) in remembered.sieges {
            let at = self.place(&jail);
            if let Some(at) = at.filter(|at| self.policy.jails[*at].siege.is_some()) {
                self.jails[at].siege.resume(since);
            }
        }
        for allowance in remembered.allowances {
            // What was said since is newer.
            let place = self.allowed.entry(allowance.subject);
            place.or_insert(allowance);
        }
        self.recall(now, remembered.failures, &remembered.networks);
        self.restore_awaited(now, remembered.awaited, out);
        self.expire(now, out);
        self.end_allowances(now, out);
        self.spare_the_allowed(now, out);
        self.respect_policy(now, out);
        for ban in &remembered.bans {
            let standing = self.ledger.find(&ban.jail, &ban.subject);
            // Whoever was banned anew counts already.
            if standing.is_some_and(|one| one.id == ban.id)
                && !banned_anew.contains(&ban.id)
                && let Some(at) = self.place(&ban.jail)
            {
                self.jails[at].inherited += 1;
            }
        }
        self.judge_unasked(now, out);
        self.tell_deaf(now, out);
    }

    /// Puts failures back under watch, and lets happen in between what has happened: bans of networks and logins.
    fn recall(
        &mut self,
        now: Timestamp,
        failures: Vec<(Failure, Fate)>,
        networks: &[(JailName, Prefix, Timestamp)],
    ) {
        let starts: HashSet<_> = networks.iter().collect();
        let mut networks = networks.iter().peekable();
        let mut taken_back = TakenBack::default();
        for (failure, fate) in failures {
            while let Some((jail, network, start)) =
                networks.next_if(|(.., start)| *start < failure.time)
            {
                self.settle(jail, *network, *start);
            }
            while let Some(failure) = taken_back.next(Some(failure.id)) {
                self.take_back(&failure);
            }
            self.recall_one(now, &failure, fate, |network| {
                starts.contains(&(failure.jail.clone(), network, failure.time))
            });
            taken_back.note(&failure, fate);
        }
        for (jail, network, start) in networks {
            self.settle(jail, *network, *start);
        }
        while let Some(failure) = taken_back.next(None) {
            self.take_back(&failure);
        }
    }

    fn settle(&mut self, jail: &JailName, network: Prefix, start: Timestamp) {
        if let Some(at) = self.place(jail) {
            let jail = &self.policy.jails[at];
            if jail.may_ban_network(network) {
                self.jails[at]
                    .networks
                    .settle(&jail.networks, network, start);
            }
        }
    }

    fn recall_one(
        &mut self,
        now: Timestamp,
        failure: &Failure,
        fate: Fate,
        was_banned: impl Fn(Prefix) -> bool,
    ) {
        let Some(at) = self.place(&failure.jail) else {
            return;
        };
        let jail = &self.policy.jails[at];
        let account = self.directory.account_of(failure.user.as_deref());
        let attacked = self.attacked(jail, account, failure.target.as_deref(), || {
            failure.session.clone()
        });
        let latest = self.latest(failure.time);
        let state = &mut self.jails[at];
        let offences = self.offences.get(&jail.name);
        if let Some(rule) = &jail.siege {
            state.siege.restore(rule, failure.time);
        }
        let Failure {
            id,
            time,
            address,
            ref subject,
            ..
        } = *failure;
        let network = subject.network();
        if let Some((own, address)) = network.zip(address) {
            let guarded = &self.guarded;
            let is_allowed = |network| !spares(jail, guarded, network);
            let of_network = (time, id, (own, account));
            state.networks.count(
                &jail.networks,
                address,
                of_network,
                is_allowed,
                |network, _| was_banned(network),
            );
        }
        let last = offences.and_then(|offences| offences.last(subject));
        let last_end = last.and_then(|last| last.end);
        // What it failed while it was let through went with its ban. Who was kept out failed afterwards, if it may be.
        let lets_through = last.is_some_and(|last| {
            let response = jail.responses.to(last.number, Origin::Failures);
            response.lets_through
        });
        let failed = if lets_through { time } else { latest };
        let is_behind = last_end.is_some_and(|end| failed <= end && end <= now);
        let counts = fate != Fate::Used && jail.bans(subject);
        if counts && !is_behind && is_open(jail, offences, subject, time) {
            let threshold = jail.threshold(self.policy.maxretry(jail, address));
            state
                .windows
                .make_room(time, jail.threshold(jail.most_retries()));
            state
                .windows
                .restore(subject.clone(), (time, id, account), threshold);
        }
        if let Some(((rule, attacked), own)) = jail.accounts.zip(attacked).zip(network) {
            let is_open =
                |(failed, _, own): Counted<Prefix>| is_open(jail, offences, &own.into(), failed);
            let counted = (time, id, own);
            state.accounts.count(rule, attacked, counted, is_open);
        }
        if let Some(session) = &failure.session {
            let filter = self.policy.filters.spec(jail.filter);
            self.sessions.restore(filter, session, time);
        }
    }

    /// Forgets a failure of an earlier run, by whatever number it is known to this one.
    pub(super) fn take_back(&mut self, failure: &Failure) {
        let Some(at) = self.place(&failure.jail) else {
            return;
        };
        let jail = &self.policy.jails[at];
        let state = &mut self.jails[at];
        let account = self.directory.account_of(failure.user.as_deref());
        let is_it =
            |(time, _, tried): Counted<Option<Account>>| time == failure.time && tried == account;
        let windows = &mut state.windows;
        windows.retain_of(&failure.subject, |failure| !is_it(failure));
        let Some(subject) = failure.subject.network() else {
            return;
        };
        state.networks.forgive(&jail.networks, subject, is_it);
        let by_user = jail.accounts.is_some_and(|rule| rule.by == Capture::User);
        if let Some(account) = account.filter(|_| by_user) {
            let is_it = |(time, id, _)| is_it((time, id, Some(account)));
            state.accounts.welcome(account, subject, is_it);
        }
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
                let ban = standing.ban(jail.clone(), subject.clone());
                wholes.entry(key(&ban)).or_default().push(ban);
            }
        }
        // The newest first: it may have been merged in its turn, but has taken the place of older ones before.
        merged.sort_unstable_by_key(|(ban, _)| Reverse(ban.id));
        for (ban, time) in merged {
            let around = wholes.get(&(ban.jail.clone(), time));
            let into = around.into_iter().flatten().filter(|whole| {
                whole.id > ban.id
                    && whole.subject.holds(&ban.subject)
                    && end(whole.until()) >= end(ban.until())
            });
            let Some(into) = into.map(|whole| whole.id).min() else {
                continue;
            };
            // Banned anew before the database could be read.
            if self.ledger.find(&ban.jail, &ban.subject).is_some() {
                continue;
            }
            self.ledger.restore_merged(&ban, into, time);
            if ban.origin == Origin::Network {
                wholes.entry(key(&ban)).or_default().push(ban);
            }
        }
    }

    pub(super) fn obey(&mut self, now: Timestamp, mut policy: Policy, out: &mut Vec<Decision>) {
        self.sum_up();
        self.give_up_sieges(now, &policy, out);
        self.ledger.keep_actions(|action| {
            let mut jails = policy.jails.iter();
            jails.any(|jail| jail.responses.actions().contains(&action))
        });
        // What was heard of a set is newer than the settings.
        let known = self.policy.jails.iter().flat_map(JailPolicy::sets);
        for (set, addresses) in known {
            for jail in &mut policy.jails {
                jail.fill(set, addresses);
            }
        }
        let by = |jail: &JailPolicy| jail.accounts.map(|rule| rule.by);
        let old_jails = self.policy.jails.iter();
        let looked_for: HashMap<JailName, Option<Capture>> = old_jails
            .map(|jail| (jail.name.clone(), by(jail)))
            .collect();
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
            .map(|jail| {
                let mut state = old.remove(&jail.name).unwrap_or_default();
                if looked_for.get(&jail.name) != Some(&by(jail)) {
                    state.accounts = Accounts::default();
                }
                state
            })
            .collect();
        self.listeners = listeners(&policy);
        self.policy = policy;
        // Patterns of these numbers may be others by now.
        self.exceeded.clear();
        self.watch_others(now);
        self.give_up_names(out);
        self.spare_the_allowed(now, out);
        let jails = &self.policy.jails;
        self.progress.retain(|source, _| {
            let listens = |source| jails.iter().any(|jail| jail.sources.contains(source));
            source.as_ref().is_none_or(listens)
        });
        self.respect_policy(now, out);
        self.judge_unasked(now, out);
        // Bans have waited for these.
        for (jail, state) in self.policy.jails.iter().zip(&mut self.jails) {
            if !looked_for.contains_key(&jail.name) {
                state.inherited =
                    u64::try_from(self.ledger.count_in(&jail.name)).unwrap_or(u64::MAX);
            }
        }
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
            if self.policy.jails[at].fill(set, addresses) {
                self.spare(now, at, out);
            }
        }
    }

    /// Lifts the bans that the settings no longer want.
    fn respect_policy(&mut self, now: Timestamp, out: &mut Vec<Decision>) {
        for name in self.ledger.jails() {
            if self.place(&name).is_none() && !self.policy.misses(&name) {
                self.release(&name, now, Release::JailGone, out, |_| true);
            }
        }
        for at in 0..self.policy.jails.len() {
            self.spare(now, at, out);
            self.change_kind(now, at, out);
        }
    }

    /// Lifts the bans of a jail that were made when it banned networks and now it bans names, or the other way round.
    fn change_kind(&mut self, now: Timestamp, at: usize, out: &mut Vec<Decision>) {
        let name = self.policy.jails[at].name.clone();
        let named = self.policy.jails[at].named_by.is_some();
        let is_other = |subject: &Subject| subject.name().is_some() != named;
        if self.ledger.has_banned(&name, !named) {
            self.release(&name, now, Release::JailGone, out, is_other);
        }
        self.jails[at].windows.forget_all(is_other);
    }

    /// Lifts a jail's bans of whoever is never to be banned, and forgets what was held against them.
    pub(super) fn spare(&mut self, now: Timestamp, at: usize, out: &mut Vec<Decision>) {
        let (name, ignore, trusted) = {
            let jail = &self.policy.jails[at];
            (jail.name.clone(), jail.ignore.clone(), jail.trusted.clone())
        };
        let is_ignored =
            |network| ignore.protects(network).is_some() || trusted.protects(network).is_some();
        let is_spared = |subject: &Subject| subject.network().is_some_and(is_ignored);
        self.release(&name, now, Release::Ignored, out, is_spared);
        let state = &mut self.jails[at];
        state.windows.forget_all(is_spared);
        state.networks.forget_all(is_ignored);
        state.accounts.forget_all(is_ignored);
    }

    pub(super) fn place(&self, jail: &JailName) -> Option<usize> {
        self.policy
            .jails
            .iter()
            .position(|policy| policy.name == *jail)
    }
}
