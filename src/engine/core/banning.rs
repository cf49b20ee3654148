//! How does a ban begin, and how does it end?
//!
//! Every ban is entered into the ledger here and struck from it here, whoever asked for it.

use foldhash::HashMap;

use super::Engine;
use crate::engine::decision::{Ban, BanId, Decision, FailureId, Notice, Origin, Release, Unban};
use crate::engine::ledger::Standing;
use crate::engine::name::JailName;
use crate::engine::prefix::Prefix;
use crate::engine::time::{BanTime, Timestamp};

/// For how many subjects a jail remembers that they were banned before; some 5 MB at the most.
const MOST_OFFENDERS: usize = 131_072;

impl Engine {
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
        bantime: BanTime,
        origin: Origin,
        evidence: Vec<FailureId>,
        out: &mut Vec<Decision>,
    ) {
        if self.ledger.is_full() {
            if !std::mem::replace(&mut self.full_told, true) {
                out.push(Decision::Notice(Notice::LedgerFull { jail, subject }));
            }
            return;
        }
        self.full_told = false;
        let id = self.next_ban;
        self.next_ban = BanId(id.0 + 1);
        let state = &mut self.jails[at];
        state.bans += 1;
        let offence = next_offence(&mut state.offences, subject);
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
        self.ledger.enter(&ban, self.policy.jails[at].width);
        out.push(Decision::Ban(ban));
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
        if let Some(standing) = self.ledger.strike(&jail, subject) {
            out.push(unban(&jail, subject, standing, now, Release::Replaced));
        }
        self.jails[at].windows.forget(subject);
        let bantime = bantime.unwrap_or(self.policy.jails[at].bantime);
        self.ban(
            at,
            jail,
            subject,
            now,
            bantime,
            Origin::Manual,
            Vec::new(),
            out,
        );
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

    /// Lifts the bans of a jail that `wanted` picks.
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
        for subject in subjects {
            if let Some(standing) = self.ledger.strike(jail, subject) {
                out.push(unban(jail, subject, standing, now, release));
            }
        }
    }

    pub(super) fn expire(&mut self, now: Timestamp, out: &mut Vec<Decision>) {
        while let Some((jail, subject, standing)) = self.ledger.expired(now) {
            let time = standing.until().unwrap_or(now);
            out.push(unban(&jail, subject, standing, time, Release::Expired));
        }
    }
}

fn next_offence(offences: &mut HashMap<Prefix, u32>, subject: Prefix) -> u32 {
    if !offences.contains_key(&subject) {
        make_room(offences);
    }
    let count = offences.entry(subject).or_default();
    *count = count.saturating_add(1);
    *count
}

/// Keeps the memory of offenders bounded: who was banned least often is forgotten first.
pub(super) fn make_room(offences: &mut HashMap<Prefix, u32>) {
    if offences.len() < MOST_OFFENDERS {
        return;
    }
    let mut ranks: Vec<_> = offences
        .iter()
        .map(|(subject, count)| (*count, *subject))
        .collect();
    let part = MOST_OFFENDERS / 8;
    ranks.select_nth_unstable(part - 1);
    for (_, subject) in &ranks[..part] {
        offences.remove(subject);
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
