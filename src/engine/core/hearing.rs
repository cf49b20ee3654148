//! Which failures do records bring, and when is one too many?
//!
//! In: batches of records. Out: failures, and the bans they lead to. A record is judged at its own time.

use std::net::IpAddr;
use std::time::Duration;

use super::Engine;
use super::heard::wants;
use crate::engine::decision::{Ban, Decision, Failure, FailureId, Notice, Origin};
use crate::engine::filter::{Finding, Found, View, session};
use crate::engine::name::SourceName;
use crate::engine::policy::FilterId;
use crate::engine::prefix::Prefix;
use crate::engine::record::{Batch, Record, lossy};
use crate::engine::time::Timestamp;

/// Clocks of machines differ a little; a record may run ahead by this much without a word.
const FUTURE_TOLERANCE: Duration = Duration::from_secs(60);

/// The text of a failure.
#[derive(Default)]
struct Text {
    user: Option<Box<str>>,
    session: Option<Box<str>>,
    line: Box<str>,
}

impl Engine {
    pub(super) fn hear_records(
        &mut self,
        now: Timestamp,
        source: Option<&SourceName>,
        batch: &Batch,
        out: &mut Vec<Decision>,
    ) {
        for record in batch.iter() {
            if self.heard.count(source, &record) {
                self.sum_up();
                self.heard.count(source, &record);
            }
            let view = View::from(record);
            for Finding { filter, found, .. } in &self.policy.filters.findings(&view) {
                self.hear_failure(now, *filter, source, view.record(), found, out);
            }
        }
    }

    pub(super) fn note_progress(
        &mut self,
        now: Timestamp,
        source: Option<&SourceName>,
        batch: &Batch,
        more: bool,
    ) {
        let newest = batch.newest().map(|newest| newest.min(now));
        if !more {
            self.progress.insert(source.cloned(), None);
        } else if newest.is_some() {
            self.progress.insert(source.cloned(), newest);
        }
    }

    /// What a filter found in a record, before each jail that listens.
    fn hear_failure(
        &mut self,
        now: Timestamp,
        filter: FilterId,
        source: Option<&SourceName>,
        record: &Record<'_>,
        found: &Found<'_>,
        out: &mut Vec<Decision>,
    ) {
        // Only what a jail listens to uses a session.
        let mut counted = None;
        for turn in 0..self.listeners[usize::from(filter.0)].len() {
            let at = self.listeners[usize::from(filter.0)][turn];
            let is_nameless = record.program.is_empty();
            if !wants(&self.policy.jails[at], source, record.routes, is_nameless) {
                continue;
            }
            let (policy, sessions) = (&self.policy, &mut self.sessions);
            let counts = counted.get_or_insert_with(|| {
                let spec = policy.filters.spec(filter);
                sessions.counts(spec, record.host, found, record.time.min(now))
            });
            if *counts {
                self.judge(now, at, record, found, out);
            }
        }
    }

    /// One failure before one jail.
    pub(super) fn judge(
        &mut self,
        now: Timestamp,
        at: usize,
        record: &Record<'_>,
        found: &Found<'_>,
        out: &mut Vec<Decision>,
    ) {
        let jail = &self.policy.jails[at];
        let time = record.time.min(now);
        let Some(address) = found.ip.map(|address| address.to_canonical()) else {
            return;
        };
        if jail.ignore.covers(address).is_some() {
            return;
        }
        // A network that holds an ignored address is never banned; the single host still is.
        let wide = jail.width.subject(address);
        let subject = if !wide.is_host() && jail.ignore.protects(wide).is_some() {
            Prefix::host(address)
        } else {
            wide
        };
        let ahead = record.time.since(now);
        if ahead > FUTURE_TOLERANCE && !self.jails[at].future_told {
            self.jails[at].future_told = true;
            let ahead_micros = i64::try_from(ahead.as_micros()).unwrap_or(i64::MAX);
            out.push(Decision::Notice(Notice::Future {
                jail: jail.name.clone(),
                ahead_micros,
            }));
        }
        // What ended before this record was logged must not stand in its way.
        self.expire(time, out);
        let text = || Text {
            user: found.user.as_deref().map(Box::from),
            session: session::key(record.host, found),
            line: lossy(found.line).into(),
        };
        self.count(at, time, subject, address, found.pattern, text, out);
    }

    /// A ban before the jails that count bans of others.
    pub(super) fn hear_ban(&mut self, ban: &Ban, out: &mut Vec<Decision>) {
        for at in 0..self.policy.jails.len() {
            let jail = &self.policy.jails[at];
            if jail.name == ban.jail || !self.policy.counts_bans(jail) {
                continue;
            }
            let address = ban.subject.address();
            let own = jail.width.subject(address);
            // A network as it was banned, if it is the wider one.
            let subject = match ban.subject.holds(own) {
                true => ban.subject,
                false => own,
            };
            if jail.ignore.protects(subject).is_some() {
                continue;
            }
            let text = || Text {
                line: format!(
                    "{} bans {} {}, offence {}",
                    ban.jail,
                    ban.subject.plain(),
                    ban.bantime.lasting(),
                    ban.offence
                )
                .into(),
                ..Text::default()
            };
            self.count(at, ban.start, subject, address, 0, text, out);
        }
    }

    #[expect(
        clippy::too_many_arguments,
        reason = "the parts of one failure, each of its own type"
    )]
    fn count(
        &mut self,
        at: usize,
        time: Timestamp,
        subject: Prefix,
        address: IpAddr,
        pattern: u16,
        text: impl FnOnce() -> Text,
        out: &mut Vec<Decision>,
    ) {
        let jail = &self.policy.jails[at];
        let state = &mut self.jails[at];
        let id = self.next_failure;
        self.next_failure = FailureId(id.0 + 1);
        let counted = !self.ledger.covers(&jail.name, subject, address);
        state.failures += 1;
        let Text {
            user,
            session,
            line,
        } = match self.keeps_text {
            true => text(),
            false => Text::default(),
        };
        out.push(Decision::Count(Failure {
            id,
            time,
            jail: jail.name.clone(),
            subject,
            address,
            user,
            pattern,
            session,
            counted,
            line,
        }));
        if !counted {
            return;
        }
        let evicted = state.windows.make_room(time, jail.findtime, jail.maxretry);
        let own = state.windows.count(
            subject,
            (time, id, ()),
            jail.maxretry,
            jail.findtime,
            |_| true,
        );
        let is_allowed = |network| jail.ignore.protects(network).is_none();
        let judged = state
            .networks
            .count(&jail.networks, address, subject, (time, id), is_allowed);
        for subjects in [evicted, judged.evicted] {
            if subjects > 0 {
                out.push(Decision::Notice(Notice::Evicted {
                    jail: jail.name.clone(),
                    subjects,
                }));
            }
        }
        let name = jail.name.clone();
        // A hostile network holds the host; only who has offended more often than it is kept out for longer.
        let own = own.filter(|_| match &judged.hostile {
            Some((network, _)) => {
                let offence = |subject| self.next_ban(at, subject, time).offence;
                jail.escalation.is_some() && offence(subject) > offence(*network)
            }
            None => true,
        });
        if let Some(evidence) = own {
            let next = self.next_ban(at, subject, time);
            let (name, origin) = (name.clone(), Origin::Failures);
            self.ban(at, name, subject, time, next, origin, evidence, out);
        }
        if let Some((network, evidence)) = judged.hostile {
            self.ban_network(at, name, network, time, evidence, out);
        }
    }
}
