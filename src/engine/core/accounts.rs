//! What follows from a login, and from an attack of many hosts on one account?
//!
//! In: logins, and the time as far as the sources of a jail were heard. Out: failures that count no more, and bans.

use super::hearing::Subject;
use super::{Engine, LATEST, is_open};
use crate::engine::decision::{Cleared, Decision, Notice, Origin};
use crate::engine::filter::Found;
use crate::engine::jail::Counted;
use crate::engine::jail::accounts::{Account, Convicted};
use crate::engine::time::Timestamp;

/// Who mistypes does not do so more often before he is let in.
const MANY_FAILURES: usize = 4;

impl Engine {
    /// A login before one jail: what the host had failed counts no more, unless it was for somebody else.
    pub(super) fn welcome(
        &mut self,
        at: usize,
        subject: Subject,
        found: &Found<'_>,
        out: &mut Vec<Decision>,
    ) {
        let Subject {
            time,
            address,
            subject,
        } = subject;
        self.convict(at, time, out);
        self.expire(time, out);
        let account = found
            .user
            .as_deref()
            .map(|user| self.directory.account(user));
        let jail = &self.policy.jails[at];
        let state = &mut self.jails[at];
        let failed = state.windows.get(subject).map(|window| window.failures());
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
        let is_taken_back = |(failed, id, tried): Counted<Option<Account>>| {
            let is_meant = match tried {
                Some(tried) => account == Some(tried),
                None => nameless,
            };
            is_meant && failed <= time && is_open(jail, offences, (failed, id, subject))
        };
        let mut taken_back = state
            .networks
            .forgive(&jail.networks, subject, is_taken_back);
        let own = failed.into_iter().filter(|failure| is_taken_back(*failure));
        taken_back.extend(own.map(|(_, id, _)| id));
        state
            .windows
            .retain_of(subject, |failure| !is_taken_back(failure));
        let mut others = 0;
        if let Some((rule, account)) = jail.accounts.zip(account) {
            let is_his = |(failed, id, _)| is_taken_back((failed, id, Some(account)));
            let was_suspect = state.accounts.is_suspect(subject);
            if let Some(id) = state.accounts.welcome(account, subject, is_his) {
                taken_back.insert(id);
                if was_suspect {
                    others = rule.hosts.get() - 1;
                }
            }
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
            let is_spared = jail.ignore.protects(subject).is_some();
            if is_spared || self.ledger.covers(&jail.name, subject, subject.address()) {
                continue;
            }
            let name = jail.name.clone();
            let next = self.next_ban(at, subject, time);
            self.ban(
                at,
                name,
                subject,
                time,
                next,
                Origin::Distributed,
                evidence,
                out,
            );
        }
    }

    /// The same in all jails, as far as each has heard.
    pub(super) fn convict_all(&mut self, now: Timestamp, out: &mut Vec<Decision>) {
        self.next_conviction = None;
        for at in 0..self.jails.len() {
            if self.jails[at].accounts.next_due().is_none() {
                continue;
            }
            // A source that was not heard for long is not waited for.
            let longest_ago = now.before(LATEST);
            let heard = self.heard_until(&self.policy.jails[at], now);
            let until = heard.unwrap_or(longest_ago).clamp(longest_ago, now);
            self.convict(at, until, out);
            // What waits for a source is looked at when that is heard, and no later than when it is not waited for.
            let next = self.jails[at].accounts.next_due();
            let next = next.map(|due| if due > now { due } else { due.after(LATEST) });
            self.next_conviction = [self.next_conviction, next].into_iter().flatten().min();
        }
    }
}
