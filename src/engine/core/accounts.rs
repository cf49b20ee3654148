//! What follows from a login, and from an attack of many hosts on one account?
//!
//! In: logins, and the time as far as the sources of a jail were heard. Out: failures that count no more, and bans.

use super::hearing::{Told, Whom};
use super::{Engine, SWEEP_EVERY, is_open};
use crate::engine::decision::{Cleared, Decision, Notice, Origin};
use crate::engine::filter::Capture;
use crate::engine::jail::Counted;
use crate::engine::jail::accounts::{Account, Convicted};
use crate::engine::name::SourceName;
use crate::engine::subject::Subject;
use crate::engine::time::Timestamp;

/// Who mistypes does not do so more often before he is let in.
const MANY_FAILURES: usize = 4;

impl Engine {
    /// A login before one jail: what the host had failed counts no more, unless it was for somebody else.
    pub(super) fn welcome(
        &mut self,
        at: usize,
        Told { source, found, .. }: Told<'_>,
        whom: Whom,
        out: &mut Vec<Decision>,
    ) {
        let Whom {
            time,
            address,
            subject,
        } = whom;
        self.convict_before(at, source, time, out);
        self.expire(time, out);
        let state = &self.jails[at];
        let has_failed = state.windows.get(&subject).is_some();
        if !has_failed && state.networks.is_empty() && state.accounts.is_empty() {
            // As nearly all who log in.
            return;
        }
        let account = self.directory.account_of(found.user.as_deref());
        let jail = &self.policy.jails[at];
        let state = &mut self.jails[at];
        let failed = state.windows.get(&subject).map(|window| window.failures());
        let failed: Vec<_> = failed.into_iter().flatten().collect();
        let start = time.before(jail.findtime.0);
        let recent = failed
            .iter()
            .filter(|(failed, ..)| (start..=time).contains(failed));
        let failures = recent.count();
        // What names nobody may be his as well, unless he has tried to be others.
        let is_his = |tried: &Option<Account>| tried.is_none() || *tried == account;
        let nameless = failed.iter().all(|(.., tried)| is_his(tried));
        let offences = self.offences.get(&jail.name);
        let is_taken_back = |(failed, _, tried): Counted<Option<Account>>| {
            let is_meant = match tried {
                Some(tried) => account == Some(tried),
                None => nameless,
            };
            is_meant && failed <= time && is_open(jail, offences, &subject, failed)
        };
        let network = subject.network();
        let of_networks =
            network.map(|own| state.networks.forgive(&jail.networks, own, is_taken_back));
        let mut taken_back = of_networks.unwrap_or_default();
        let own = failed.into_iter().filter(|failure| is_taken_back(*failure));
        taken_back.extend(own.map(|(_, id, _)| id));
        state
            .windows
            .retain_of(&subject, |failure| !is_taken_back(failure));
        let mut others = 0;
        let by_user = jail.accounts.filter(|rule| rule.by == Capture::User);
        if let Some(((rule, account), subject)) = by_user.zip(account).zip(network) {
            let is_his = |(failed, id, _)| is_taken_back((failed, id, Some(account)));
            others = state.accounts.others(rule, account, subject, time);
            taken_back.extend(state.accounts.welcome(account, subject, is_his));
        }
        let user = || {
            let user = found.user.as_deref().filter(|_| self.keeps_text);
            user.map(Box::from)
        };
        if failures >= MANY_FAILURES || others > 0 {
            out.push(Decision::Notice(Notice::Login {
                jail: jail.name.clone(),
                address,
                user: user(),
                failures,
                others,
            }));
        }
        if !taken_back.is_empty() {
            out.push(Decision::Clear(Cleared {
                jail: jail.name.clone(),
                subject,
                user: user(),
                nameless,
                time,
                before: self.next_failure,
                failures: taken_back.len(),
            }));
        }
    }

    /// Bans whoever has attacked an account with others and was not let in by `until`.
    pub(super) fn convict(&mut self, at: usize, until: Timestamp, out: &mut Vec<Decision>) {
        while let Some(convicted) = self.jails[at].accounts.convict(until) {
            let Convicted {
                subject,
                time,
                evidence,
            } = convicted;
            // What ended before must not stand in its way.
            self.expire(time, out);
            let jail = &self.policy.jails[at];
            let is_spared = jail.protects(subject).is_some();
            let whom = Subject::from(subject);
            if is_spared || self.is_kept_out(at, &whom, Some(subject.address()), time) {
                continue;
            }
            self.ban_offender(at, whom, time, Origin::Distributed, evidence, out);
        }
    }

    /// The same before a record of `time` that `source` has told: it has told all before, others may not have yet.
    /// Without a time of grace nobody's login is waited for.
    pub(super) fn convict_before(
        &mut self,
        at: usize,
        source: Option<&SourceName>,
        time: Timestamp,
        out: &mut Vec<Decision>,
    ) {
        let due = self.jails[at].accounts.next_due();
        if due.is_none_or(|due| due > time) {
            return;
        }
        let jail = &self.policy.jails[at];
        let waits = jail.accounts.is_some_and(|rule| !rule.grace.is_zero());
        let until = match source {
            Some(own) if waits => {
                let others = jail.sources.iter().filter(|other| *other != own);
                let heard = others.map(|other| self.source_heard_until(other, time));
                heard.min().unwrap_or(time).min(time)
            }
            _ => time,
        };
        self.convict(at, until, out);
    }

    /// The same in all jails, as far as each has heard.
    pub(super) fn convict_all(&mut self, now: Timestamp, out: &mut Vec<Decision>) {
        self.next_conviction = None;
        for at in 0..self.jails.len() {
            if self.jails[at].accounts.next_due().is_none() {
                continue;
            }
            let until = self.heard_until(&self.policy.jails[at], now);
            self.convict(at, until, out);
            // What waits for a source is looked at when that is heard, and once in a while, should it never be.
            let next = self.jails[at].accounts.next_due();
            let next = next.map(|due| {
                if due > now {
                    due
                } else {
                    now.after(SWEEP_EVERY)
                }
            });
            self.next_conviction = [self.next_conviction, next].into_iter().flatten().min();
        }
    }
}
