//! How does a ban begin, and how does it end?
//!
//! Every ban is entered into the ledger here and struck from it here, whoever asked for it.

use std::collections::BTreeSet;
use std::net::IpAddr;

use super::guarding::spares;
use super::{Engine, MOST_FORGOTTEN, is_open};
use crate::engine::decision::{
    About, Ban, BanId, Decision, FailureId, Forgiven, Notice, Origin, Release, Remark, Resumed,
    Unban,
};
use crate::engine::explain::NextBan;
use crate::engine::jail::escalation::{Offence, Scope};
use crate::engine::ledger::Standing;
use crate::engine::name::JailName;
use crate::engine::policy::JailPolicy;
use crate::engine::prefix::Prefix;
use crate::engine::subject::Subject;
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
        subject: Subject,
        start: Timestamp,
        NextBan { offence, bantime }: NextBan,
        origin: Origin,
        evidence: Vec<FailureId>,
        out: &mut Vec<Decision>,
    ) {
        // Somebody who bans by hand was warned at the door.
        let network = subject.network();
        let by_itself = network.filter(|_| origin != Origin::Manual);
        if by_itself.is_some_and(|network| self.is_guarded(&jail, network, out)) {
            return;
        }
        if self.ledger.is_full() {
            if !std::mem::replace(&mut self.full_told, true) {
                out.push(Decision::Notice(Notice::LedgerFull { jail, subject }));
            }
            return;
        }
        self.full_told = false;
        // There is one already if that lets through.
        if let Some(replaced) = self.replace(&jail, &subject, start, out) {
            self.resume(&jail, vec![replaced.id], start, out, |_| false);
        }
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
        self.enter(at, &ban);
        // By hand nobody has offended, and a jail that counts bans of others is not counted itself.
        let jail = &self.policy.jails[at];
        let counts = origin != Origin::Manual && !self.policy.counts_bans(jail);
        let told = counts.then(|| Standing::of(&ban).ban(ban.jail.clone(), ban.subject.clone()));
        out.push(Decision::Ban(ban));
        if let Some(told) = told {
            self.hear_ban(&told, out);
        }
    }

    /// Enters a ban into the ledger, and forgets what it was made for.
    pub(super) fn enter(&mut self, at: usize, ban: &Ban) {
        self.note_offence(ban);
        let by = self.keepers_of(ban);
        self.ledger.enter(ban, by);
        self.jails[at].windows.forget(&ban.subject);
        if let Some(network) = ban.subject.network() {
            let wide = self.policy.jails[at].width.subject(network.address());
            match wide.holds(network) {
                true => self.jails[at].accounts.acquit(network),
                false => self.jails[at].accounts.acquit_inside(network),
            }
        }
    }

    /// Remembers a ban as the last one of its subject.
    pub(super) fn note_offence(&mut self, ban: &Ban) {
        let noted = Offence {
            number: ban.offence,
            start: ban.start,
            end: ban.until(),
        };
        let offences = self.offences.entry(ban.jail.clone()).or_default();
        offences.note(ban.subject.clone(), noted);
    }

    /// Whether somebody was banned at a time and did not get through. What is as old as a ban is of what it was made
    /// for, and what the administrator has banned stays so.
    pub(super) fn is_kept_out(
        &self,
        at: usize,
        subject: &Subject,
        address: Option<IpAddr>,
        time: Timestamp,
    ) -> bool {
        let jail = &self.policy.jails[at];
        let stands = self
            .ledger
            .covers(&jail.name, subject, address, |standing| {
                let is_earlier = standing.start < time && standing.origin != Origin::Manual;
                !is_earlier || !jail.response_to(standing).lets_through
            });
        stands.is_some() || self.was_kept_out(at, subject, address, time)
    }

    /// The same by a ban that is over by now: records may come late, and however they do, they bring the same bans.
    fn was_kept_out(
        &self,
        at: usize,
        subject: &Subject,
        address: Option<IpAddr>,
        time: Timestamp,
    ) -> bool {
        let jail = &self.policy.jails[at];
        let Some(offences) = self.offences.get(&jail.name) else {
            return false;
        };
        let latest = self.latest(time);
        let held = |banned: &Subject| {
            offences.last(banned).is_some_and(|last| {
                let is_within = last.start <= time && last.end.is_none_or(|end| latest < end);
                is_within
                    && !jail
                        .responses
                        .to(last.number, Origin::Failures)
                        .lets_through
            })
        };
        let mut around = address
            .into_iter()
            .flat_map(|address| jail.networks_around(address));
        held(subject) || around.any(|network| held(&network.into()))
    }

    /// Bans a subject for its failures, and, if that is the response to so many offences, the network around it, which
    /// then stands for it: so it is known how often he has offended, however wide he was banned.
    pub(super) fn ban_offender(
        &mut self,
        at: usize,
        subject: Subject,
        start: Timestamp,
        origin: Origin,
        evidence: Vec<FailureId>,
        out: &mut Vec<Decision>,
    ) {
        let next = self.next_ban(at, &subject, start);
        let name = self.policy.jails[at].name.clone();
        let instead = self.network_instead(at, &subject, next.offence, origin);
        let instead = instead.map(|network| (network, name.clone(), evidence.clone()));
        self.ban(at, name, subject, start, next, origin, evidence, out);
        if let Some((network, jail, failures)) = instead {
            self.ban_network(at, jail, network, start, Some(next.offence), failures, out);
        }
    }

    /// The network that is banned in place of a subject, by the number of its offence.
    pub(super) fn network_instead(
        &self,
        at: usize,
        subject: &Subject,
        offence: u32,
        origin: Origin,
    ) -> Option<Prefix> {
        let jail = &self.policy.jails[at];
        let width = jail.responses.to(offence, origin).network?;
        let network = width.subject(subject.network()?.address());
        let whole = Subject::from(network);
        let standing = self.ledger.find(&jail.name, &whole);
        // Somebody else in it has gone further.
        let rank = jail.responses.rank(offence, origin);
        let is_worse = |ban: &Standing| jail.responses.rank(ban.offence, ban.origin) > rank;
        let is_spared = spares(jail, &self.guarded, network);
        let is_itself = whole == *subject;
        (!is_spared && !is_itself && !standing.as_ref().is_some_and(is_worse)).then_some(network)
    }

    /// Whether a ban from this moment on holds a network already: in place of the offender whose failure was one too
    /// many for both.
    pub(super) fn has_just_banned(&self, at: usize, network: Prefix, time: Timestamp) -> bool {
        let jail = &self.policy.jails[at].name;
        let overlapping = self.ledger.overlapping(jail, &network.into()).into_iter();
        let mut wholes = overlapping.filter_map(|(other, ban)| Some((other.network()?, ban)));
        wholes.any(|(other, ban)| other.holds(network) && ban.start >= time)
    }

    /// Ends a ban whose place another one of the same subject takes.
    pub(super) fn replace(
        &mut self,
        jail: &JailName,
        subject: &Subject,
        now: Timestamp,
        out: &mut Vec<Decision>,
    ) -> Option<Standing> {
        let standing = self.ledger.strike(jail, subject)?;
        let release = Release::Replaced;
        out.push(unban(jail, subject.clone(), standing, now, release));
        Some(standing)
    }

    /// Which ban of `subject` it is that begins at `start`, and how long it lasts.
    pub(super) fn next_ban(&self, at: usize, subject: &Subject, start: Timestamp) -> NextBan {
        let offence = self.next_offence(at, subject, start);
        self.nth_ban(at, subject, offence)
    }

    /// The ban of `subject` that is its offence of this number.
    fn nth_ban(&self, at: usize, subject: &Subject, offence: u32) -> NextBan {
        let policy = &self.policy.jails[at];
        let escalation = policy.escalation.as_ref();
        let bantime = escalation.map_or(policy.bantime, |escalation| {
            escalation.lasting(policy.bantime, offence, subject)
        });
        NextBan { offence, bantime }
    }

    /// Bans a network, for its own failures, or for the `offence` of somebody in it, whose number it has then. Bans of
    /// its parts that are over earlier and no more severe are merged into this one, which lasts as long as those of no
    /// worse offenders: by the luck of jitter half of them would stay beside it.
    #[expect(
        clippy::too_many_arguments,
        reason = "the parts of one ban, each of its own type"
    )]
    pub(super) fn ban_network(
        &mut self,
        at: usize,
        jail: JailName,
        network: Prefix,
        start: Timestamp,
        offence: Option<u32>,
        evidence: Vec<FailureId>,
        out: &mut Vec<Decision>,
    ) {
        let whole = Subject::from(network);
        let replaced = self.replace(&jail, &whole, start, out);
        let ended = replaced.iter().map(|replaced| replaced.id).collect();
        self.resume(&jail, ended, start, out, |_| false);
        let offence = offence.unwrap_or_else(|| self.next_offence(at, &whole, start));
        let NextBan { offence, bantime } = self.nth_ban(at, &whole, offence);
        let overlapping = self.ledger.overlapping(&jail, &whole).into_iter();
        let parts = overlapping.filter_map(|(part, standing)| Some((part.network()?, standing)));
        // What the administrator has said is not touched.
        let is_part = |(part, standing): &(Prefix, Standing)| {
            *part != network && network.holds(*part) && standing.origin != Origin::Manual
        };
        let parts: Vec<_> = parts.filter(is_part).collect();
        let standing = parts.iter().map(|(_, part)| part).chain(&replaced);
        let alike = standing.filter(|ban| ban.offence <= offence);
        let longest = alike.map(|ban| match ban.until() {
            Some(until) => BanTime::For(until.since(start)),
            None => BanTime::Forever,
        });
        let bantime = longest.fold(bantime, BanTime::max);
        self.ban(
            at,
            jail.clone(),
            whole.clone(),
            start,
            NextBan { offence, bantime },
            Origin::Network,
            evidence,
            out,
        );
        let Some(whole) = self.ledger.find(&jail, &whole) else {
            // There was no room for it.
            return;
        };
        let state = &mut self.jails[at];
        state.windows.forget_inside(network);
        state
            .networks
            .settle(&self.policy.jails[at].networks, network, start);
        let end = |standing: &Standing| standing.until().map_or(i64::MAX, Timestamp::as_micros);
        for (part, standing) in parts {
            let responses = &self.policy.jails[at].responses;
            let rank = |standing: &Standing| responses.rank(standing.offence, standing.origin);
            if end(&standing) <= end(&whole) && rank(&standing) <= rank(&whole) {
                self.ledger.merge(&jail, part, whole.id, start);
                out.push(unban(&jail, part.into(), standing, start, Release::Merged));
            }
        }
    }

    pub(super) fn ban_by_hand(
        &mut self,
        now: Timestamp,
        jail: JailName,
        subject: Subject,
        bantime: Option<BanTime>,
        reason: Option<Box<str>>,
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
        if !self.policy.jails[at].bans(&subject) {
            return;
        }
        let subject = self.known(at, subject);
        let network = subject.network();
        let policy = &self.policy.jails[at];
        if let Some((subject, rule)) = network.and_then(|own| Some((own, policy.protects(own)?))) {
            let because = rule.because.clone();
            out.push(Decision::Notice(Notice::Spared {
                jail,
                subject,
                because,
            }));
            return;
        }
        let mut replaced = network.and_then(|own| self.ledger.strike_merged(&jail, own));
        replaced = self.replace(&jail, &subject, now, out).or(replaced);
        // What takes the place of a ban is no further offence.
        let next = match &replaced {
            Some(standing) => self.nth_ban(at, &subject, standing.offence),
            None => self.next_ban(at, &subject, now),
        };
        let next = NextBan {
            bantime: bantime.unwrap_or(next.bantime),
            ..next
        };
        let state = &mut self.jails[at];
        let policy = &self.policy.jails[at];
        if let Some(network) = network.filter(|network| policy.may_ban_network(*network)) {
            state.windows.forget_inside(network);
            state.networks.settle(&policy.networks, network, now);
        }
        let (name, origin) = (jail.clone(), Origin::Manual);
        self.ban(
            at,
            name,
            subject.clone(),
            now,
            next,
            origin,
            Vec::new(),
            out,
        );
        if let Some((reason, standing)) = reason.zip(self.ledger.find(&jail, &subject)) {
            out.push(Decision::Remark(Remark {
                ban: standing.id,
                jail: jail.clone(),
                subject,
                about: About::Ban,
                reason,
            }));
        }
        let ended = replaced.into_iter().map(|standing| standing.id).collect();
        self.resume(&jail, ended, now, out, |_| false);
    }

    pub(super) fn unban_by_hand(
        &mut self,
        now: Timestamp,
        jail: Option<&JailName>,
        subject: Option<&Subject>,
        reason: Option<Box<str>>,
        out: &mut Vec<Decision>,
    ) {
        let first = out.len();
        for name in self.ledger.jails() {
            if jail.is_some_and(|jail| *jail != name) {
                continue;
            }
            self.release(&name, now, Release::Manual, out, |banned| {
                subject.is_none_or(|subject| banned.overlaps(subject))
            });
        }
        remark_on_unbans(reason, first, out);
    }

    /// Forgets failures and earlier bans of all that share an address with `subject` or are of that name, also those
    /// that count together with them.
    pub(super) fn forgive(
        &mut self,
        jail: Option<&JailName>,
        subject: Option<&Subject>,
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
                    forgotten.push((name.clone(), subject.cloned()));
                }
                let offences = self.offences.get_mut(&name);
                let forgiven = offences.map(|offences| offences.forgive(subject));
                let mut forgiven: BTreeSet<Subject> = forgiven.into_iter().flatten().collect();
                if name == self.policy.jails[at].name {
                    forgiven.extend(self.forget_failures(at, subject));
                    self.forget_words(at, subject, out);
                }
                out.extend(forgiven.into_iter().map(|subject| {
                    let jail = name.clone();
                    Decision::Forgive(Forgiven { jail, subject })
                }));
            }
        }
    }

    /// Whether the administrator wanted earlier bans of `subject` forgotten before they could be read.
    pub(super) fn has_forgiven(&self, jail: &JailName, subject: &Subject) -> bool {
        let mut forgotten = self.forgotten.iter().flatten();
        forgotten.any(|(name, whom)| {
            name == jail && whom.as_ref().is_none_or(|whom| whom.overlaps(subject))
        })
    }

    /// Forgets what a jail holds against all that share an address with `subject` or are of that name; answers with
    /// them.
    fn forget_failures(&mut self, at: usize, subject: Option<&Subject>) -> Vec<Subject> {
        let jail = &self.policy.jails[at];
        let state = &mut self.jails[at];
        let offences = self.offences.get(&jail.name);
        let is_meant = |other: &Subject| subject.is_none_or(|subject| other.overlaps(subject));
        let watched = state.windows.iter().map(|(watched, _)| watched.clone());
        let suspects = state.accounts.suspects().map(Subject::from);
        let mut meant: Vec<_> = watched.chain(suspects).filter(is_meant).collect();
        meant.sort_unstable();
        meant.dedup();
        for subject in &meant {
            let Some(network) = subject.network() else {
                continue;
            };
            state
                .networks
                .forgive(&jail.networks, network, |(time, ..)| {
                    is_open(jail, offences, subject, time)
                });
        }
        state.windows.forget_all(is_meant);
        state
            .accounts
            .forget_all(|suspect| is_meant(&suspect.into()));
        meant
    }

    /// Whether something is held against somebody who shares an address with `subject`, or is of that name, in a jail:
    /// failures, or an earlier ban.
    pub fn is_offender(&self, jail: &JailName, subject: &Subject) -> bool {
        let Some(at) = self.place(jail) else {
            return false;
        };
        if self.awaits_word(at, subject) {
            return true;
        }
        let state = &self.jails[at];
        let mut suspects = state.accounts.suspects().map(Subject::from);
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
        wanted: impl Fn(&Subject) -> bool,
    ) {
        let mut subjects: Vec<_> = self
            .ledger
            .iter()
            .filter(|(name, subject, _)| *name == jail && wanted(subject))
            .map(|(_, subject, _)| subject.clone())
            .collect();
        subjects.sort_unstable();
        let mut ended = Vec::with_capacity(subjects.len());
        for subject in subjects {
            if let Some(standing) = self.ledger.strike(jail, &subject) {
                if let Some(offences) = self.offences.get_mut(jail) {
                    offences.ended(&subject, now);
                }
                self.leave_behind(jail, &subject, now);
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
        freed: impl Fn(&Subject) -> bool,
    ) {
        while let Some(whole) = ended.pop() {
            for (part, standing) in self.ledger.unmerge(jail, whole) {
                let part = Subject::from(part);
                // One that does not go on may have stood for others, which do.
                if freed(&part) || standing.until().is_some_and(|until| until <= now) {
                    ended.push(standing.id);
                    continue;
                }
                let ban = standing.ban(jail.clone(), part);
                let by = self.keepers_of(&ban);
                self.ledger.enter(&ban, by);
                out.push(Decision::Resume(Resumed { ban, time: now }));
            }
        }
    }

    /// Which offence a ban of `subject` by a jail would be.
    fn next_offence(&self, at: usize, subject: &Subject, start: Timestamp) -> u32 {
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

    /// What a subject failed up to the end of its ban counts no more: there is some if the ban let it through.
    fn leave_behind(&mut self, jail: &JailName, subject: &Subject, end: Timestamp) {
        if let Some(at) = self.place(jail) {
            let windows = &mut self.jails[at].windows;
            windows.retain_of(subject, |(time, ..)| time > end);
        }
    }

    pub(super) fn expire(&mut self, now: Timestamp, out: &mut Vec<Decision>) {
        while let Some((jail, subject, standing)) = self.ledger.expired(now) {
            let time = standing.until().unwrap_or(now);
            self.leave_behind(&jail, &subject, time);
            out.push(unban(&jail, subject, standing, time, Release::Expired));
        }
    }
}

/// Puts a reason behind each ban that the administrator has lifted since the decision number `first`.
fn remark_on_unbans(reason: Option<Box<str>>, first: usize, out: &mut Vec<Decision>) {
    let Some(reason) = reason else {
        return;
    };
    let remark = |decision: &Decision| match decision {
        Decision::Unban(unban) if unban.release == Release::Manual => {
            Some(Decision::Remark(Remark {
                ban: unban.ban,
                jail: unban.jail.clone(),
                subject: unban.subject.clone(),
                about: About::Unban,
                reason: reason.clone(),
            }))
        }
        _ => None,
    };
    let remarks: Vec<_> = out.iter().skip(first).filter_map(remark).collect();
    out.extend(remarks);
}

/// The end of a ban that was never entered.
pub(super) fn replaced(ban: &Ban, time: Timestamp) -> Decision {
    Decision::Unban(Unban {
        ban: ban.id,
        was: Standing::of(ban),
        jail: ban.jail.clone(),
        subject: ban.subject.clone(),
        time,
        release: Release::Replaced,
    })
}

pub(super) fn unban(
    jail: &JailName,
    subject: Subject,
    standing: Standing,
    time: Timestamp,
    release: Release,
) -> Decision {
    Decision::Unban(Unban {
        ban: standing.id,
        was: standing,
        jail: jail.clone(),
        subject,
        time,
        release,
    })
}
