//! How does a ban begin, and how does it end?
//!
//! Every ban is entered into the ledger here and struck from it here, whoever asked for it.

use std::collections::BTreeSet;

use super::{Engine, MOST_FORGOTTEN, is_open};
use crate::engine::decision::{
    Ban, BanId, Decision, FailureId, Forgiven, Notice, Origin, Release, Resumed, Unban,
};
use crate::engine::explain::NextBan;
use crate::engine::jail::escalation::{Offence, Scope};
use crate::engine::ledger::Standing;
use crate::engine::name::JailName;
use crate::engine::policy::JailPolicy;
use crate::engine::prefix::Prefix;
use crate::engine::time::{BanTime, Timestamp};

impl Engine {
    /// Bans: it is the subject's offence of this number, and lasts so long.
    #[expect(
        clippy::too_many_arguments,
        reason = "the parts of one ban, each of its own type"
    )]
    pub(super) fn ban(
        &mut self,
        at: usize,
        jail: JailName,
        subject: Prefix,
        start: Timestamp,
        NextBan { offence, bantime }: NextBan,
        origin: Origin,
        evidence: Vec<FailureId>,
        out: &mut Vec<Decision>,
    ) {
        // Somebody who bans by hand was warned at the door.
        if origin != Origin::Manual && self.is_guarded(&jail, subject, out) {
            return;
        }
        if self.ledger.is_full() {
            if !std::mem::replace(&mut self.full_told, true) {
                out.push(Decision::Notice(Notice::LedgerFull { jail, subject }));
            }
            return;
        }
        self.full_told = false;
        let id = self.next_ban;
        self.next_ban = BanId(id.0 + 1);
        self.jails[at].bans += 1;
        let ban = Ban {
            id,
            jail,
            subject,
            start,
            bantime,
            offence,
            origin,
            evidence,
        };
        let noted = Offence {
            number: offence,
            start,
            end: ban.until(),
        };
        let offences = self.offences.entry(ban.jail.clone()).or_default();
        offences.note(subject, noted);
        self.ledger.enter(&ban);
        self.jails[at].windows.forget(subject);
        let wide = self.policy.jails[at].width.subject(subject.address());
        match wide.holds(subject) {
            true => self.jails[at].accounts.acquit(subject),
            false => self.jails[at].accounts.acquit_inside(subject),
        }
        // By hand nobody has offended, and a jail that counts bans of others is not counted itself.
        let jail = &self.policy.jails[at];
        let counts = origin != Origin::Manual && !self.policy.counts_bans(jail);
        let told = counts.then(|| Ban {
            evidence: Vec::new(),
            ..ban.clone()
        });
        out.push(Decision::Ban(ban));
        if let Some(told) = told {
            self.hear_ban(&told, out);
        }
    }

    /// Which ban of `subject` it is that begins at `start`, and how long it lasts.
    pub(super) fn next_ban(&self, at: usize, subject: Prefix, start: Timestamp) -> NextBan {
        let offence = self.next_offence(at, subject, start);
        self.nth_ban(at, subject, offence)
    }

    /// The ban of `subject` that is its offence of this number.
    fn nth_ban(&self, at: usize, subject: Prefix, offence: u32) -> NextBan {
        let policy = &self.policy.jails[at];
        let escalation = policy.escalation.as_ref();
        let bantime = escalation.map_or(policy.bantime, |escalation| {
            escalation.lasting(policy.bantime, offence, subject)
        });
        NextBan { offence, bantime }
    }

    /// Bans a network. Bans of its parts that are over earlier are merged into this one, which lasts as long as those of
    /// no worse offenders: by the luck of jitter half of them would stay beside it.
    pub(super) fn ban_network(
        &mut self,
        at: usize,
        jail: JailName,
        network: Prefix,
        start: Timestamp,
        evidence: Vec<FailureId>,
        out: &mut Vec<Decision>,
    ) {
        let NextBan { offence, bantime } = self.next_ban(at, network, start);
        let mut parts = self.ledger.overlapping(&jail, network);
        parts.retain(|(part, standing)| {
            // What the administrator has said is not touched.
            *part != network && network.holds(*part) && standing.origin != Origin::Manual
        });
        let alike = parts.iter().filter(|(_, part)| part.offence <= offence);
        let longest = alike.filter_map(|(_, part)| Some(BanTime::For(part.until()?.since(start))));
        let bantime = longest.fold(bantime, BanTime::max);
        self.ban(
            at,
            jail.clone(),
            network,
            start,
            NextBan { offence, bantime },
            Origin::Network,
            evidence,
            out,
        );
        let Some(whole) = self.ledger.find(&jail, network) else {
            // There was no room for it.
            return;
        };
        self.jails[at].windows.forget_inside(network);
        let end = |standing: &Standing| standing.until().map_or(i64::MAX, Timestamp::as_micros);
        for (part, standing) in parts {
            if end(&standing) <= end(&whole) {
                self.ledger.merge(&jail, part, whole.id, start);
                out.push(unban(&jail, part, standing, start, Release::Merged));
            }
        }
    }

    pub(super) fn ban_by_hand(
        &mut self,
        now: Timestamp,
        jail: JailName,
        subject: Prefix,
        bantime: Option<BanTime>,
        out: &mut Vec<Decision>,
    ) {
        let Some(at) = self
            .policy
            .jails
            .iter()
            .position(|policy| policy.name == jail)
        else {
            return;
        };
        if let Some(rule) = self.policy.jails[at].ignore.protects(subject) {
            let because = rule.because.clone();
            out.push(Decision::Notice(Notice::Spared {
                jail,
                subject,
                because,
            }));
            return;
        }
        let mut replaced = self.ledger.strike_merged(&jail, subject);
        if let Some(standing) = self.ledger.strike(&jail, subject) {
            out.push(unban(&jail, subject, standing, now, Release::Replaced));
            replaced = Some(standing);
        }
        // What takes the place of a ban is no further offence.
        let next = match &replaced {
            Some(standing) => self.nth_ban(at, subject, standing.offence),
            None => self.next_ban(at, subject, now),
        };
        let next = NextBan {
            bantime: bantime.unwrap_or(next.bantime),
            ..next
        };
        let state = &mut self.jails[at];
        let rules = &self.policy.jails[at].networks;
        if rules.iter().any(|rule| rule.is_of(subject)) {
            state.windows.forget_inside(subject);
            state.networks.settle(rules, subject, now);
        }
        let (name, origin) = (jail.clone(), Origin::Manual);
        self.ban(at, name, subject, now, next, origin, Vec::new(), out);
        let ended = replaced.into_iter().map(|standing| standing.id).collect();
        self.resume(&jail, ended, now, out, |_| false);
    }

    pub(super) fn unban_by_hand(
        &mut self,
        now: Timestamp,
        jail: Option<&JailName>,
        subject: Option<Prefix>,
        out: &mut Vec<Decision>,
    ) {
        for name in self.ledger.jails() {
            if jail.is_some_and(|jail| *jail != name) {
                continue;
            }
            self.release(&name, now, Release::Manual, out, |banned| {
                subject.is_none_or(|subject| banned.overlaps(subject))
            });
        }
    }

    /// Forgets failures and earlier bans of all that share an address with `subject`, also those that count together with them.
    pub(super) fn forgive(
        &mut self,
        jail: Option<&JailName>,
        subject: Option<Prefix>,
        out: &mut Vec<Decision>,
    ) {
        let jails = self.policy.jails.iter().enumerate();
        let wanted = jails.filter(|(_, policy)| jail.is_none_or(|jail| *jail == policy.name));
        let wanted: Vec<usize> = wanted.map(|(at, _)| at).collect();
        for at in wanted {
            for name in self.counting_together(at) {
                if let Some(forgotten) = &mut self.forgotten {
                    if forgotten.len() == MOST_FORGOTTEN {
                        forgotten.remove(0);
                    }
                    forgotten.push((name.clone(), subject));
                }
                let offences = self.offences.get_mut(&name);
                let forgiven = offences.map(|offences| offences.forgive(subject));
                let mut forgiven: BTreeSet<Prefix> = forgiven.into_iter().flatten().collect();
                if name == self.policy.jails[at].name {
                    forgiven.extend(self.forget_failures(at, subject));
                }
                out.extend(forgiven.into_iter().map(|subject| {
                    let jail = name.clone();
                    Decision::Forgive(Forgiven { jail, subject })
                }));
            }
        }
    }

    /// Whether the administrator wanted earlier bans of `subject` forgotten before they could be read.
    pub(super) fn has_forgiven(&self, jail: &JailName, subject: Prefix) -> bool {
        let mut forgotten = self.forgotten.iter().flatten();
        forgotten.any(|(name, whom)| name == jail && whom.is_none_or(|whom| whom.overlaps(subject)))
    }

    /// Forgets what a jail holds against all that share an address with `subject`; answers with them.
    fn forget_failures(&mut self, at: usize, subject: Option<Prefix>) -> Vec<Prefix> {
        let jail = &self.policy.jails[at];
        let state = &mut self.jails[at];
        let offences = self.offences.get(&jail.name);
        let is_meant = |other: Prefix| subject.is_none_or(|subject| other.overlaps(subject));
        let watched = state.windows.iter().map(|(watched, _)| watched);
        let suspects = state.accounts.suspects();
        let mut meant: Vec<_> = watched
            .chain(suspects)
            .filter(|other| is_meant(*other))
            .collect();
        meant.sort_unstable();
        meant.dedup();
        for subject in &meant {
            state
                .networks
                .forgive(&jail.networks, *subject, |(time, id, _)| {
                    is_open(jail, offences, (time, id, *subject))
                });
        }
        state.windows.forget_all(is_meant);
        state.accounts.forget_all(is_meant);
        meant
    }

    /// Whether something is held against somebody who shares an address with `subject` in a jail: failures, or an earlier
    /// ban.
    pub fn is_offender(&self, jail: &JailName, subject: Prefix) -> bool {
        let Some(at) = self.place(jail) else {
            return false;
        };
        let state = &self.jails[at];
        let mut suspects = state.accounts.suspects();
        let is_watched = state.windows.overlapping(subject).next().is_some();
        if is_watched || suspects.any(|suspect| suspect.overlaps(subject)) {
            return true;
        }
        self.counting_together(at).into_iter().any(|name| {
            let offences = self.offences.get(&name);
            offences.is_some_and(|offences| offences.has(subject))
        })
    }

    /// Lifts the bans of a jail that `wanted` picks, and no others: what had been merged into them goes on.
    pub(super) fn release(
        &mut self,
        jail: &JailName,
        now: Timestamp,
        release: Release,
        out: &mut Vec<Decision>,
        wanted: impl Fn(Prefix) -> bool,
    ) {
        let mut subjects: Vec<_> = self
            .ledger
            .iter()
            .filter(|(name, subject, _)| *name == jail && wanted(*subject))
            .map(|(_, subject, _)| subject)
            .collect();
        subjects.sort_unstable();
        let mut ended = Vec::with_capacity(subjects.len());
        for subject in subjects {
            if let Some(standing) = self.ledger.strike(jail, subject) {
                if let Some(offences) = self.offences.get_mut(jail) {
                    offences.ended(subject, now);
                }
                out.push(unban(jail, subject, standing, now, release));
                ended.push(standing.id);
            }
        }
        self.resume(jail, ended, now, out, wanted);
    }

    /// Lets the bans go on that were merged into those that `ended` before their time, unless they are over themselves or
    /// `freed` as well.
    pub(super) fn resume(
        &mut self,
        jail: &JailName,
        mut ended: Vec<BanId>,
        now: Timestamp,
        out: &mut Vec<Decision>,
        freed: impl Fn(Prefix) -> bool,
    ) {
        while let Some(whole) = ended.pop() {
            for (part, standing) in self.ledger.unmerge(jail, whole) {
                // One that does not go on may have stood for others, which do.
                if freed(part) || standing.until().is_some_and(|until| until <= now) {
                    ended.push(standing.id);
                    continue;
                }
                let ban = standing.ban(jail.clone(), part);
                self.ledger.enter(&ban);
                out.push(Decision::Resume(Resumed { ban, time: now }));
            }
        }
    }

    /// Which offence a ban of `subject` by a jail would be.
    fn next_offence(&self, at: usize, subject: Prefix, start: Timestamp) -> u32 {
        let escalation = self.policy.jails[at].escalation.as_ref();
        let memory = escalation.and_then(|escalation| escalation.memory);
        let jails = self.counting_together(at).into_iter();
        let numbers = jails
            .filter_map(|jail| self.offences.get(&jail))
            .map(|offences| offences.next(subject, start, memory));
        numbers.max().unwrap_or(1)
    }

    /// The jails whose bans count as earlier offences in one of them, itself among them.
    fn counting_together(&self, at: usize) -> Vec<JailName> {
        let is_of_all = |jail: &JailPolicy| {
            let escalation = jail.escalation.as_ref();
            escalation.is_some_and(|escalation| escalation.scope == Scope::All)
        };
        let jails = &self.policy.jails;
        let together = is_of_all(&jails[at]);
        let counting = jails
            .iter()
            .enumerate()
            .filter(|(other, jail)| *other == at || together && is_of_all(jail));
        counting.map(|(_, jail)| jail.name.clone()).collect()
    }

    pub(super) fn expire(&mut self, now: Timestamp, out: &mut Vec<Decision>) {
        while let Some((jail, subject, standing)) = self.ledger.expired(now) {
            let time = standing.until().unwrap_or(now);
            out.push(unban(&jail, subject, standing, time, Release::Expired));
        }
    }
}

/// The end of a ban that was never entered.
pub(super) fn replaced(ban: &Ban, time: Timestamp) -> Decision {
    Decision::Unban(Unban {
        ban: ban.id,
        jail: ban.jail.clone(),
        subject: ban.subject,
        time,
        release: Release::Replaced,
    })
}

pub(super) fn unban(
    jail: &JailName,
    subject: Prefix,
    standing: Standing,
    time: Timestamp,
    release: Release,
) -> Decision {
    Decision::Unban(Unban {
        ban: standing.id,
        jail: jail.clone(),
        subject,
        time,
        release,
    })
}
