//! What becomes of a ban that another program has made?
//!
//! In: one ban, as that program tells of it. Out: the same ban, with its start, its end and its number, if it says more than is
//! known; one that is over counts as an earlier offence. Heard a second time it changes nothing.

use super::Engine;
use crate::engine::decision::{
    About, Ban, BanId, Decision, Failure, FailureId, Notice, Origin, Release, Remark,
};
use crate::engine::input::Adoption;
use crate::engine::ledger::Standing;
use crate::engine::time::{BanTime, Timestamp};

impl Engine {
    pub(super) fn adopt(&mut self, now: Timestamp, adoption: Adoption, out: &mut Vec<Decision>) {
        let Some(at) = self.place(&adoption.jail) else {
            return;
        };
        let policy = &self.policy.jails[at];
        if !policy.bans(&adoption.subject) {
            return;
        }
        let bantime = adoption.bantime.unwrap_or(policy.bantime);
        let subject = self.known(at, adoption.subject.clone());
        // Nobody is banned from tomorrow on: there a clock was wrong. The end stays what it was.
        let start = adoption.start.min(now);
        let bantime = match bantime {
            BanTime::For(span) => BanTime::For(adoption.start.after(span).since(start)),
            BanTime::Forever => BanTime::Forever,
        };
        let offences = self.offences.get(&adoption.jail);
        let last = offences.and_then(|offences| offences.last(&subject).copied());
        let is_newer = last.is_none_or(|last| last.start < start);
        let earlier = last.map_or(0, |last| last.number);
        let offence = adoption.offence.max(earlier + u32::from(is_newer)).max(1);
        let ban = Ban {
            id: self.next_ban,
            jail: adoption.jail.clone(),
            subject,
            start,
            bantime,
            offence,
            origin: Origin::Failures,
            evidence: Vec::new(),
        };
        match ban.until().filter(|end| *end <= now) {
            Some(end) if is_newer && self.ledger.find(&ban.jail, &ban.subject).is_none() => {
                self.adopt_past(adoption, ban, end, out);
            }
            Some(_) => {}
            None => self.adopt_present(now, at, adoption, ban, out),
        }
    }

    /// A ban that is over by now.
    fn adopt_past(
        &mut self,
        adoption: Adoption,
        ban: Ban,
        end: Timestamp,
        out: &mut Vec<Decision>,
    ) {
        self.next_ban = BanId(ban.id.0 + 1);
        self.note_offence(&ban);
        let (standing, jail) = (Standing::of(&ban), ban.jail.clone());
        let subject = ban.subject.clone();
        let remark = remark(&ban, adoption.reason);
        out.extend([Decision::Ban(ban), remark]);
        out.push(super::banning::unban(
            &jail,
            subject,
            standing,
            end,
            Release::Expired,
        ));
    }

    /// A ban that is in force.
    fn adopt_present(
        &mut self,
        now: Timestamp,
        at: usize,
        adoption: Adoption,
        mut ban: Ban,
        out: &mut Vec<Decision>,
    ) {
        let jail = ban.jail.clone();
        if let Some(network) = ban.subject.network() {
            if let Some(rule) = self.policy.jails[at].protects(network) {
                let because = rule.because.clone();
                out.push(Decision::Notice(Notice::Spared {
                    jail,
                    subject: network,
                    because,
                }));
                return;
            }
            if self.is_guarded(&jail, network, out) {
                return;
            }
        }
        let end = |until: Option<Timestamp>| until.map_or(i64::MAX, Timestamp::as_micros);
        if let Some(standing) = self.ledger.find(&jail, &ban.subject) {
            if end(standing.until()) >= end(ban.until()) {
                return;
            }
            if let Some(replaced) = self.replace(&jail, &ban.subject, now, out) {
                self.resume(&jail, vec![replaced.id], now, out, |_| false);
            }
        } else if self.ledger.is_full() {
            let subject = ban.subject;
            out.push(Decision::Notice(Notice::LedgerFull { jail, subject }));
            return;
        }
        self.next_ban = BanId(ban.id.0 + 1);
        let address = ban.subject.network().map(|network| network.address());
        for line in adoption.lines {
            let id = self.next_failure;
            self.next_failure = FailureId(id.0 + 1);
            ban.evidence.push(id);
            out.push(Decision::Count(Failure {
                id,
                time: ban.start,
                jail: jail.clone(),
                subject: ban.subject.clone(),
                address,
                user: adoption.user.clone(),
                target: None,
                pattern: 0,
                session: None,
                counted: true,
                line,
            }));
        }
        self.enter(at, &ban);
        let remark = remark(&ban, adoption.reason);
        out.extend([Decision::Ban(ban), remark]);
    }
}

fn remark(ban: &Ban, reason: Box<str>) -> Decision {
    Decision::Remark(Remark {
        ban: ban.id,
        jail: ban.jail.clone(),
        subject: ban.subject.clone(),
        about: About::Ban,
        reason,
    })
}
