//! Which failures do records bring, and when is one too many?
//!
//! In: batches of records. Out: failures, and the bans they lead to. A record is judged at its own time.

use std::net::IpAddr;
use std::time::Duration;

use super::Engine;
use super::besieged;
use super::guarding::spares;
use super::heard::wants;
use super::is_open;
use crate::engine::decision::{Ban, Decision, Failure, FailureId, Notice, Origin};
use crate::engine::filter::{Finding, Found, Outcome, View, session};
use crate::engine::jail::accounts::Account;
use crate::engine::jail::ids;
use crate::engine::name::SourceName;
use crate::engine::policy::{Counting, FilterId};
use crate::engine::prefix::Prefix;
use crate::engine::record::{Batch, Record, lossy};
use crate::engine::time::Timestamp;

/// Clocks of machines differ a little; a record may run ahead by this much without a word.
const FUTURE_TOLERANCE: Duration = Duration::from_secs(60);

/// Whom a record is about, for one jail.
#[derive(Clone, Copy)]
pub(super) struct Subject {
    /// When it was logged, or now if it claims to be from the future.
    pub(super) time: Timestamp,
    pub(super) address: IpAddr,
    /// Who would be banned.
    pub(super) subject: Prefix,
}

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
                self.hear_found(now, *filter, source, view.record(), found, out);
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
    fn hear_found(
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
            let (at, outcome) = self.listeners[usize::from(filter.0)][turn];
            let is_nameless = record.program.is_empty();
            if !wants(&self.policy.jails[at], source, record.routes, is_nameless) {
                continue;
            }
            if outcome == Outcome::Success {
                if let Some(subject) = self.subject(now, at, record, found) {
                    self.welcome(at, source, subject, found, out);
                }
                continue;
            }
            let (policy, sessions) = (&self.policy, &mut self.sessions);
            let counts = counted.get_or_insert_with(|| {
                let spec = policy.filters.spec(filter);
                sessions.counts(spec, record.host, found, record.time.min(now))
            });
            if *counts {
                self.judge(now, at, source, record, found, out);
            }
        }
    }

    /// One failure before one jail.
    pub(super) fn judge(
        &mut self,
        now: Timestamp,
        at: usize,
        source: Option<&SourceName>,
        record: &Record<'_>,
        found: &Found<'_>,
        out: &mut Vec<Decision>,
    ) {
        let Some(subject) = self.subject(now, at, record, found) else {
            return;
        };
        let account = self.directory.account_of(found.user.as_deref());
        let jail = &self.policy.jails[at];
        if jail.counting == Counting::Users && account.is_none() {
            return;
        }
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
        let time = subject.time;
        self.convict_before(at, source, time, out);
        self.expire(time, out);
        let text = || Text {
            user: found.user.as_deref().map(Box::from),
            session: session::key(record.host, found),
            line: lossy(found.line).into(),
        };
        self.count(at, subject, account, found.pattern, text, out);
        self.convict_before(at, source, time, out);
    }

    /// Whom a jail would ban for a record, unless it never does.
    fn subject(
        &self,
        now: Timestamp,
        at: usize,
        record: &Record<'_>,
        found: &Found<'_>,
    ) -> Option<Subject> {
        let jail = &self.policy.jails[at];
        let address = found.ip?.to_canonical();
        if jail.ignore.covers(address).is_some() {
            return None;
        }
        // A network that holds an ignored address is never banned; the single host still is.
        let wide = jail.width.subject(address);
        let is_spared = !wide.is_host() && spares(jail, &self.guarded, wide);
        Some(Subject {
            time: record.time.min(now),
            address,
            subject: match is_spared {
                true => Prefix::host(address),
                false => wide,
            },
        })
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
            let subject = Subject {
                time: ban.start,
                address,
                subject,
            };
            self.count(at, subject, None, 0, text, out);
        }
    }

    fn count(
        &mut self,
        at: usize,
        subject: Subject,
        account: Option<Account>,
        pattern: u16,
        text: impl FnOnce() -> Text,
        out: &mut Vec<Decision>,
    ) {
        let Subject {
            time,
            address,
            subject,
        } = subject;
        let jail = &self.policy.jails[at];
        let state = &mut self.jails[at];
        besieged::end_before(jail, &mut state.siege, time, out);
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
        let usual = self.policy.maxretry(jail, address);
        let maxretry = besieged::maxretry(jail, usual, &mut state.siege, time, out);
        let most = jail.threshold(jail.most_retries());
        let evicted = state.windows.make_room(time, most);
        let threshold = jail.threshold(maxretry);
        let own = state
            .windows
            .count(subject, (time, id, account), threshold, |_| true);
        let guarded = &self.guarded;
        let is_allowed = |network| !spares(jail, guarded, network);
        let of_network = (time, id, (subject, account));
        let judged = state.networks.count(
            &jail.networks,
            address,
            of_network,
            is_allowed,
            |_, enough| enough,
        );
        let offences = self.offences.get(&jail.name);
        let forgotten = jail.accounts.zip(account).map(|(rule, account)| {
            let failure = (time, id, subject);
            state.accounts.count(rule, account, failure, |failure| {
                is_open(jail, offences, failure)
            })
        });
        for subjects in [evicted, judged.evicted, forgotten.unwrap_or(0)] {
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
            self.ban(at, name, subject, time, next, origin, ids(&evidence), out);
        }
        if let Some((network, evidence)) = judged.hostile {
            self.ban_network(at, name, network, time, evidence, out);
        }
    }
}
