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
use crate::engine::decision::{Ban, Decision, Failure, FailureId, Ignored, Notice, Origin};
use crate::engine::filter::{Capture, Finding, Found, Outcome, View, session};
use crate::engine::jail::accounts::Account;
use crate::engine::jail::network::Judged;
use crate::engine::jail::{Counted, ids};
use crate::engine::name::SourceName;
use crate::engine::policy::{Counting, FilterId, JailPolicy};
use crate::engine::prefix::Prefix;
use crate::engine::record::{Batch, Record, lossy};
use crate::engine::subject::{Name, Subject};
use crate::engine::time::Timestamp;

/// Clocks of machines differ a little; a record may run ahead by this much without a word.
const FUTURE_TOLERANCE: Duration = Duration::from_secs(60);

/// Whom a record is about, for one jail.
#[derive(Clone)]
pub(super) struct Whom {
    /// When it was logged, or now if it claims to be from the future.
    pub(super) time: Timestamp,
    /// From where, if the record says so.
    pub(super) address: Option<IpAddr>,
    /// Who would be banned.
    pub(super) subject: Subject,
}

/// What was found in a record, and where that comes from.
#[derive(Clone, Copy)]
pub(super) struct Told<'a> {
    /// The source that told; `None` for old logs that concern every jail.
    pub(super) source: Option<&'a SourceName>,
    pub(super) record: &'a Record<'a>,
    pub(super) found: &'a Found<'a>,
}

impl Told<'_> {
    /// The address that a jail counts.
    fn counted_by(self, jail: &JailPolicy) -> Option<IpAddr> {
        let address = self.found.ip?;
        match self.found.forwarded.as_deref() {
            Some(forwarded) => jail.counted(address, forwarded),
            None => Some(address),
        }
    }
}

/// What a failure was for.
#[derive(Clone, Copy, Default)]
pub(super) struct Tried {
    account: Option<Account>,
    /// What attacks of many hosts are looked for by.
    attacked: Option<Account>,
}

/// The text of a failure.
#[derive(Default)]
struct Text {
    user: Option<Box<str>>,
    target: Option<Box<str>>,
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
        self.memory.hear_from(source);
        for record in batch.iter() {
            if self.heard.count(source, &record) {
                self.sum_up();
                self.heard.count(source, &record);
            }
            let view = View::from(record);
            let findings = self.policy.filters.findings(&view, &mut self.memory);
            if findings.is_empty() {
                self.look_for_unknown(now, source, &view);
                continue;
            }
            if let Some(watch) = &mut self.watch {
                watch.next_record();
            }
            for finding in &findings {
                let Finding { filter, found, .. } = finding;
                let record = found.dated(view.record());
                let told = Told {
                    source,
                    record: &record,
                    found,
                };
                let is_heard = self.hear_found(now, *filter, told, out);
                if let Some(watch) = self.watch.as_mut().filter(|_| is_heard) {
                    watch.note_found(now, record.time, finding);
                }
            }
        }
        self.tell_exceeded(out);
    }

    /// Tells once of every pattern that could not tell in so many steps whether it takes a line.
    fn tell_exceeded(&mut self, out: &mut Vec<Decision>) {
        for (filter, pattern) in self.memory.take_exceeded() {
            for (at, _) in &self.listeners[usize::from(filter.0)] {
                let jail = &self.policy.jails[*at].name;
                if self.exceeded.insert((jail.clone(), pattern)) {
                    let jail = jail.clone();
                    out.push(Decision::Notice(Notice::Exceeded { jail, pattern }));
                }
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

    /// What a filter found in a record, before each jail that listens; answers whether one does.
    fn hear_found(
        &mut self,
        now: Timestamp,
        filter: FilterId,
        told: Told<'_>,
        out: &mut Vec<Decision>,
    ) -> bool {
        let Told {
            source,
            record,
            found,
        } = told;
        // Only what a jail listens to uses a session.
        let mut counted = None;
        let mut is_heard = false;
        for turn in 0..self.listeners[usize::from(filter.0)].len() {
            let (at, outcome) = self.listeners[usize::from(filter.0)][turn];
            let is_nameless = record.program.is_empty();
            let jail = &self.policy.jails[at];
            if jail.is_idle || !wants(jail, source, record.routes, is_nameless) {
                continue;
            }
            is_heard = true;
            // Whom a jail of names bans is known without an address.
            let waits = found.ip.is_none() && self.policy.jails[at].named_by.is_none();
            if outcome == Outcome::Success {
                if waits {
                    self.hear_name(now, at, outcome, told, out);
                } else {
                    self.greet(now, at, told, out);
                }
                continue;
            }
            let (policy, sessions) = (&self.policy, &mut self.sessions);
            let counts = counted.get_or_insert_with(|| {
                let spec = policy.filters.spec(filter);
                sessions.counts(spec, record.host, found, record.time.min(now))
            });
            match (*counts, waits) {
                (true, false) => self.accuse(now, at, told, out),
                (true, true) => self.hear_name(now, at, outcome, told, out),
                (false, _) => {}
            }
        }
        is_heard
    }

    /// One failure before one jail.
    pub(super) fn judge(
        &mut self,
        now: Timestamp,
        at: usize,
        told: Told<'_>,
        out: &mut Vec<Decision>,
    ) {
        // Where it is, for it is not small.
        let whom = self.whom(now, at, told);
        let Some(whom) = &whom else {
            self.note_ignored(at, told, out);
            return;
        };
        let Told {
            source,
            record,
            found,
        } = told;
        let jail = &self.policy.jails[at];
        if jail.counting == Counting::Users && found.user.is_none() {
            return;
        }
        self.note_future(now, at, record.time, out);
        // What ended before this record was logged must not stand in its way.
        let time = whom.time;
        self.convict_before(at, source, time, out);
        self.expire(self.latest(time), out);
        let text = || Text {
            user: found.user.as_deref().map(Box::from),
            target: found.target.as_deref().map(Box::from),
            session: session::key(record.host, found),
            line: lossy(found.line).into(),
        };
        self.count(at, whom, Some(told), text, out);
        self.convict_before(at, source, time, out);
    }

    /// When a record with this date was logged at the latest.
    pub(super) fn latest(&self, date: Timestamp) -> Timestamp {
        date.at_latest().min(self.present).max(date)
    }

    /// Tells once if the records of a jail come from the future.
    pub(super) fn note_future(
        &mut self,
        now: Timestamp,
        at: usize,
        time: Timestamp,
        out: &mut Vec<Decision>,
    ) {
        let ahead = time.since(now);
        if ahead > FUTURE_TOLERANCE && !self.jails[at].future_told {
            self.jails[at].future_told = true;
            let ahead_micros = i64::try_from(ahead.as_micros()).unwrap_or(i64::MAX);
            out.push(Decision::Notice(Notice::Future {
                jail: self.policy.jails[at].name.clone(),
                ahead_micros,
            }));
        }
    }

    /// What a failure was aimed at, if the jail looks for others of the same aim.
    pub(super) fn attacked(
        &self,
        jail: &JailPolicy,
        account: Option<Account>,
        target: Option<&str>,
        session: impl FnOnce() -> Option<Box<str>>,
    ) -> Option<Account> {
        match jail.accounts?.by {
            Capture::User => account,
            Capture::Target => self.directory.account_of(target),
            Capture::Session => self.directory.account_of(session().as_deref()),
        }
    }

    /// Whom a jail would ban for a record, unless it never does.
    pub(super) fn whom(&self, now: Timestamp, at: usize, told: Told<'_>) -> Option<Whom> {
        let Told { record, found, .. } = told;
        let jail = &self.policy.jails[at];
        let address = told.counted_by(jail);
        if address.is_some_and(|address| jail.covers(address).is_some()) {
            return None;
        }
        let time = record.time.min(now);
        if let Some(capture) = jail.named_by {
            let name = Name::of(found.captured(capture)?)?;
            return Some(Whom {
                time,
                address,
                subject: self.known(at, name.into()),
            });
        }
        let address = address?;
        // A network that holds an ignored address is never banned; the single host still is.
        let own = jail.width.subject(address);
        let said = found.said.as_ref().and_then(|said| said.network);
        let wide = said.filter(|said| said.holds(own)).unwrap_or(own);
        let is_spared = !wide.is_host() && spares(jail, &self.guarded, wide);
        Some(Whom {
            time,
            address: Some(address),
            subject: match is_spared {
                true => Prefix::host(address).into(),
                false => wide.into(),
            },
        })
    }

    /// Tells of a failure that does not count because of whom it is about, if that is why.
    pub(super) fn note_ignored(&self, at: usize, told: Told<'_>, out: &mut Vec<Decision>) {
        let jail = &self.policy.jails[at];
        let Some(address) = told.counted_by(jail) else {
            return;
        };
        if jail.covers(address).is_some() {
            out.push(Decision::Ignore(Ignored {
                jail: jail.name.clone(),
                address,
                by: jail.ignore.set_of(address).cloned(),
            }));
        }
    }

    /// A subject as a jail knows it: a name that it knows keeps the case of its letters.
    pub(super) fn known(&self, at: usize, subject: Subject) -> Subject {
        if subject.name().is_none() {
            return subject;
        }
        let jail = &self.policy.jails[at].name;
        let offences = self.offences.get(jail);
        let watched = self.jails[at].windows.key(&subject);
        let banned = watched.or_else(|| self.ledger.key(jail, &subject));
        let known = banned.or_else(|| offences?.key(&subject));
        known.cloned().unwrap_or(subject)
    }

    /// A ban before the jails that count bans of others: those of networks, or of what they ban themselves.
    pub(super) fn hear_ban(&mut self, ban: &Ban, out: &mut Vec<Decision>) {
        let by = self
            .place(&ban.jail)
            .map(|at| self.policy.jails[at].named_by);
        for at in 0..self.policy.jails.len() {
            let jail = &self.policy.jails[at];
            let is_alike = by.is_some_and(|by| by == jail.named_by);
            let is_deaf = jail.is_idle || jail.name == ban.jail;
            if is_deaf || !self.policy.counts_bans(jail) || !is_alike {
                continue;
            }
            let address = ban.subject.network().map(Prefix::address);
            let subject = match &ban.subject {
                Subject::Network(banned) => {
                    let own = jail.width.subject(banned.address());
                    // A network as it was banned, if it is the wider one.
                    let subject = if banned.holds(own) { *banned } else { own };
                    if jail.protects(subject).is_some() {
                        continue;
                    }
                    subject.into()
                }
                Subject::Name(_) => self.known(at, ban.subject.clone()),
            };
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
            let whom = Whom {
                time: ban.start,
                address,
                subject,
            };
            self.count(at, &whom, None, text, out);
        }
    }

    /// What a failure was for.
    fn tried(&self, at: usize, Told { record, found, .. }: Told<'_>) -> Tried {
        let account = self.directory.account_of(found.user.as_deref());
        let target = found.target.as_deref();
        let session = || session::key(record.host, found);
        let attacked = self.attacked(&self.policy.jails[at], account, target, session);
        Tried { account, attacked }
    }

    /// Counts a failure that a record has told, or a ban.
    fn count(
        &mut self,
        at: usize,
        whom: &Whom,
        told: Option<Told<'_>>,
        text: impl FnOnce() -> Text,
        out: &mut Vec<Decision>,
    ) {
        let Whom {
            time,
            address,
            ref subject,
        } = *whom;
        let jail = &self.policy.jails[at];
        let counted = !self.is_kept_out(at, subject, address, time);
        let state = &mut self.jails[at];
        besieged::end_before(jail, &mut state.siege, time, out);
        let id = self.next_failure;
        self.next_failure = FailureId(id.0 + 1);
        state.failures += 1;
        let Text {
            user,
            target,
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
            subject: subject.clone(),
            address,
            user,
            target,
            pattern: told.map_or(0, |told| told.found.pattern),
            session,
            counted,
            line,
        }));
        if !counted {
            self.note_unhindered(at, subject, address, time, out);
            return;
        }
        // Not before: most of what attackers do comes when they are kept out already.
        let tried = told.map(|told| self.tried(at, told));
        let Tried { account, attacked } = tried.unwrap_or_default();
        let jail = &self.policy.jails[at];
        let state = &mut self.jails[at];
        let usual = self.policy.maxretry(jail, address);
        let maxretry = besieged::maxretry(jail, usual, &mut state.siege, time, out);
        let most = jail.threshold(jail.most_retries());
        let evicted = state.windows.make_room(time, most);
        let threshold = jail.threshold(maxretry);
        let own = state
            .windows
            .count(subject.clone(), (time, id, account), threshold, |_| true);
        // Names have no networks, and do not gather to attack an account.
        let (mut judged, mut forgotten) = (Judged::default(), 0);
        if let Some((subject, address)) = subject.network().zip(address) {
            let guarded = &self.guarded;
            let is_allowed = |network| !spares(jail, guarded, network);
            let of_network = (time, id, (subject, account));
            judged = state.networks.count(
                &jail.networks,
                address,
                of_network,
                is_allowed,
                |_, enough| enough,
            );
            let offences = self.offences.get(&jail.name);
            if let Some((rule, attacked)) = jail.accounts.zip(attacked) {
                let failure = (time, id, subject);
                let is_open = |(failed, _, subject): Counted<Prefix>| {
                    is_open(jail, offences, &subject.into(), failed)
                };
                forgotten = state.accounts.count(rule, attacked, failure, is_open);
            }
        }
        for subjects in [evicted, judged.evicted, forgotten] {
            if subjects > 0 {
                out.push(Decision::Notice(Notice::Evicted {
                    jail: jail.name.clone(),
                    subjects,
                }));
            }
        }
        // A hostile network holds the host; only who has offended more often than it is kept out for longer.
        let own = own.filter(|_| match &judged.hostile {
            Some((network, _)) => {
                let offence = |subject: &Subject| self.next_ban(at, subject, time).offence;
                jail.minds_offences() && offence(subject) > offence(&(*network).into())
            }
            None => true,
        });
        if let Some(evidence) = own {
            let origin = Origin::Failures;
            self.ban_offender(at, subject.clone(), time, origin, ids(&evidence), out);
        }
        if let Some((network, evidence)) = judged.hostile
            && !self.has_just_banned(at, network, time)
        {
            let name = self.policy.jails[at].name.clone();
            self.ban_network(at, name, network, time, None, evidence, out);
        }
    }
}
