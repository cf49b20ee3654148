//! The one door in and the one door out.
//!
//! Order within one input: bans that are over are lifted first, then the input is heard. A record is
//! judged at its own time, so it makes no difference how records were cut into batches or how late they
//! were read: `replay` comes to the same bans as the daemon.

use std::collections::HashMap;
use std::time::Duration;

use super::decision::{Ban, BanId, Decision, Failure, FailureId, Notice, Origin, Release, Unban};
use super::explain::{JailStatus, Place, Verdict};
use super::filter::session::{self, Sessions};
use super::filter::{Found, View};
use super::input::{Input, Remembered};
use super::jail::Windows;
use super::ledger::{Ledger, Standing};
use super::name::{JailName, SourceName};
use super::policy::{FilterId, JailPolicy, Policy};
use super::prefix::Prefix;
use super::record::{Batch, Record};
use super::time::{BanTime, Timestamp};

/// How often windows that nobody fills any more are looked for.
const SWEEP_EVERY: Duration = Duration::from_secs(60);

/// A record may come this much later than others that were logged when it was, and still finds all that it counts
/// with: the tail of a rotated file, or what a network held up.
const LATEST: Duration = Duration::from_secs(600);

/// Clocks of machines differ a little; a record may run ahead by this much without a word.
const FUTURE_TOLERANCE: Duration = Duration::from_secs(60);

/// For how many subjects a jail remembers that they were banned before; some 5 MB at the most.
const MOST_OFFENDERS: usize = 131_072;

/// Hears inputs and answers with decisions.
#[derive(Debug)]
pub struct Engine {
    policy: Policy,
    /// Each filter with the jails that use it, by their place.
    listeners: Vec<(FilterId, Vec<usize>)>,
    jails: Vec<JailState>,
    ledger: Ledger,
    sessions: Sessions,
    next_failure: FailureId,
    next_ban: BanId,
    /// Whether it has been told that no further ban has room; until one has.
    full_told: bool,
    /// How far each source was heard: up to its newest record, or, where there was no more, up to the present.
    heard: HashMap<Option<SourceName>, Option<Timestamp>>,
    swept: Timestamp,
}

/// What a jail has seen.
#[derive(Debug, Default)]
struct JailState {
    windows: Windows,
    offences: HashMap<Prefix, u32>,
    future_told: bool,
    failures: u64,
    bans: u64,
    records: u64,
}

impl Engine {
    /// An engine that has heard nothing yet.
    pub fn new(policy: Policy) -> Self {
        let jails = policy.jails.iter().map(|_| JailState::default()).collect();
        Engine {
            listeners: listeners(&policy),
            policy,
            jails,
            ledger: Ledger::default(),
            sessions: Sessions::default(),
            next_failure: FailureId(1),
            next_ban: BanId(1),
            full_told: false,
            heard: HashMap::new(),
            swept: Timestamp::default(),
        }
    }

    /// Hears one input and appends what should be remembered and done.
    pub fn handle(&mut self, now: Timestamp, input: Input<'_>, out: &mut Vec<Decision>) {
        match input {
            Input::Records {
                source,
                batch,
                more,
            } => {
                self.hear_records(now, source, batch, out);
                self.note_progress(now, source, batch, more);
            }
            Input::Tick => {}
            Input::Ban {
                jail,
                subject,
                bantime,
            } => self.ban_by_hand(now, jail, subject, bantime, out),
            Input::Unban { jail, subject } => self.unban_by_hand(now, jail.as_ref(), subject, out),
            Input::Restore(remembered) => self.restore(now, remembered, out),
            Input::Outcome(outcome) => self.ledger.hear(&outcome),
            Input::Policy(policy) => self.obey(now, *policy, out),
        }
        self.expire(now, out);
        self.sweep(now);
    }

    /// When [`Input::Tick`] is due; `None` if time alone changes nothing.
    pub fn next_deadline(&self) -> Option<Timestamp> {
        let watching = self.jails.iter().any(|jail| !jail.windows.is_empty());
        let sweep = watching.then(|| self.swept.after(SWEEP_EVERY));
        [self.ledger.next_end(), sweep].into_iter().flatten().min()
    }

    /// The settings in force.
    pub fn policy(&self) -> &Policy {
        &self.policy
    }

    /// Who is banned.
    pub fn ledger(&self) -> &Ledger {
        &self.ledger
    }

    /// How the jails are doing, in the order of the configuration.
    pub fn jails(&self, now: Timestamp) -> Vec<JailStatus> {
        let pairs = self.policy.jails.iter().zip(&self.jails);
        pairs
            .map(|(policy, state)| {
                let (watched, failing) = state.windows.sums(now, policy.findtime.0);
                JailStatus {
                    jail: policy.name.clone(),
                    watched,
                    failing,
                    banned: self.ledger.count_in(&policy.name),
                    failures: state.failures,
                    bans: state.bans,
                    records: state.records,
                }
            })
            .collect()
    }

    /// What each jail has to say about `subject`: at least one verdict a jail.
    pub fn explain(&self, now: Timestamp, subject: Prefix) -> Vec<Verdict> {
        let mut verdicts = Vec::new();
        for (policy, state) in self.policy.jails.iter().zip(&self.jails) {
            let mut places = Vec::new();
            for (subject, ban) in self.ledger.overlapping(&policy.name, subject) {
                places.push(Place::Banned {
                    subject,
                    ban,
                    in_effect: self.ledger.in_effect(ban.id),
                });
            }
            let start = now.before(policy.findtime.0);
            for (subject, window) in state.windows.overlapping(subject) {
                let failures: Vec<_> = window
                    .failures()
                    .filter(|(time, _)| *time >= start)
                    .collect();
                if let Some((oldest, _)) = failures.first() {
                    let oldest_leaves = oldest.after(policy.findtime.0);
                    places.push(Place::Watched {
                        subject,
                        failures,
                        oldest_leaves,
                    });
                }
            }
            if let Some(rule) = policy
                .ignore
                .protects(subject)
                .filter(|_| places.is_empty())
            {
                places.push(Place::Ignored {
                    because: rule.because.clone(),
                });
            }
            if places.is_empty() {
                places.push(Place::Clear);
            }
            verdicts.extend(places.into_iter().map(|place| Verdict {
                jail: policy.name.clone(),
                place,
            }));
        }
        verdicts
    }

    fn hear_records(
        &mut self,
        now: Timestamp,
        source: Option<&SourceName>,
        batch: &Batch,
        out: &mut Vec<Decision>,
    ) {
        for record in batch.iter() {
            let view = View::from(record);
            for filter in 0..self.listeners.len() {
                self.match_once(now, filter, source, &view, out);
            }
        }
    }

    fn note_progress(
        &mut self,
        now: Timestamp,
        source: Option<&SourceName>,
        batch: &Batch,
        more: bool,
    ) {
        let newest = batch.iter().map(|record| record.time.min(now)).max();
        if !more {
            self.heard.insert(source.cloned(), None);
        } else if newest.is_some() {
            self.heard.insert(source.cloned(), newest);
        }
    }

    /// One record before one filter, and what it finds before each jail that listens.
    fn match_once(
        &mut self,
        now: Timestamp,
        filter: usize,
        source: Option<&SourceName>,
        view: &View<'_>,
        out: &mut Vec<Decision>,
    ) {
        let record = view.record();
        let mut heard = None;
        for turn in 0..self.listeners[filter].1.len() {
            let (filter, ref jails) = self.listeners[filter];
            let at = jails[turn];
            if !wants(&self.policy.jails[at], source, record) {
                continue;
            }
            self.jails[at].records += 1;
            let (policy, sessions) = (&self.policy, &mut self.sessions);
            let found = heard.get_or_insert_with(|| {
                let found = policy.filters.find(filter, view)?;
                let session = session::key(record.host, &found);
                let spec = policy.filters.spec(filter);
                let time = record.time.min(now);
                let counts = sessions.counts(spec, session.as_deref(), &found, time);
                counts.then_some((found, session))
            });
            if let Some((found, session)) = found {
                self.judge(now, at, record, found, session.as_deref(), out);
            }
        }
    }

    /// One failure before one jail.
    fn judge(
        &mut self,
        now: Timestamp,
        at: usize,
        record: &Record<'_>,
        found: &Found<'_>,
        session: Option<&str>,
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
        let subject = if jail.ignore.protects(wide).is_some() {
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
        self.count(at, time, subject, address, found, session, out);
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
        address: std::net::IpAddr,
        found: &Found<'_>,
        session: Option<&str>,
        out: &mut Vec<Decision>,
    ) {
        let jail = &self.policy.jails[at];
        let state = &mut self.jails[at];
        let id = self.next_failure;
        self.next_failure = FailureId(id.0 + 1);
        let counted = !self.ledger.covers(&jail.name, subject, address);
        state.failures += 1;
        out.push(Decision::Count(Failure {
            id,
            time,
            jail: jail.name.clone(),
            subject,
            address,
            user: found.user.as_deref().map(Box::from),
            pattern: found.pattern,
            session: session.map(Box::from),
            counted,
            line: String::from_utf8_lossy(found.line).into(),
        }));
        if !counted {
            return;
        }
        if state.windows.is_full() {
            state.windows.forget_stale(time, jail.findtime);
        }
        if state.windows.is_full() {
            let subjects = state.windows.evict();
            out.push(Decision::Notice(Notice::Evicted {
                jail: jail.name.clone(),
                subjects,
            }));
        }
        if let Some(evidence) = state
            .windows
            .count(subject, time, id, jail.maxretry, jail.findtime)
        {
            let (name, bantime) = (jail.name.clone(), jail.bantime);
            self.ban(
                at,
                name,
                subject,
                time,
                bantime,
                Origin::Failures,
                evidence,
                out,
            );
        }
    }

    #[expect(
        clippy::too_many_arguments,
        reason = "the parts of one ban, each of its own type"
    )]
    fn ban(
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

    fn ban_by_hand(
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

    fn unban_by_hand(
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
    fn release(
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

    fn restore(&mut self, now: Timestamp, remembered: Remembered, out: &mut Vec<Decision>) {
        // A database that could be read only late must not take back numbers that were given meanwhile.
        self.next_failure = self
            .next_failure
            .max(remembered.next_failure.unwrap_or(self.next_failure));
        self.next_ban = self
            .next_ban
            .max(remembered.next_ban.unwrap_or(self.next_ban));
        for ban in &remembered.bans {
            // Banned anew before the database could be read: one of them stays, the longer one.
            if let Some(newer) = self.ledger.find(&ban.jail, ban.subject) {
                let end = |until: Option<Timestamp>| until.map_or(i64::MAX, Timestamp::as_micros);
                if end(ban.until()) <= end(newer.until()) {
                    out.push(replaced(ban, now));
                    continue;
                }
                self.ledger.strike(&ban.jail, ban.subject);
                out.push(unban(&ban.jail, ban.subject, newer, now, Release::Replaced));
            }
            let width = self.place(&ban.jail).map(|at| self.policy.jails[at].width);
            self.ledger
                .enter(ban, width.unwrap_or(super::prefix::SubjectWidth::DEFAULT));
        }
        for failure in remembered.failures {
            let Some(at) = self.place(&failure.jail) else {
                continue;
            };
            let jail = &self.policy.jails[at];
            let windows = &mut self.jails[at].windows;
            if windows.is_full() {
                windows.evict();
            }
            windows.restore(failure.subject, failure.time, failure.id, jail.maxretry);
            if let Some(session) = &failure.session {
                let filter = self.policy.filters.spec(jail.filter);
                self.sessions.restore(filter, session, failure.time);
            }
        }
        for (jail, subject, count) in remembered.offences {
            if let Some(at) = self.place(&jail) {
                let offences = &mut self.jails[at].offences;
                make_room(offences);
                offences.insert(subject, count);
            }
        }
        self.expire(now, out);
        self.respect_policy(now, out);
    }

    fn obey(&mut self, now: Timestamp, policy: Policy, out: &mut Vec<Decision>) {
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
            .map(|jail| old.remove(&jail.name).unwrap_or_default())
            .collect();
        self.listeners = listeners(&policy);
        self.policy = policy;
        let jails = &self.policy.jails;
        self.heard.retain(|source, _| {
            let listens = |source| jails.iter().any(|jail| jail.sources.contains(source));
            source.as_ref().is_none_or(listens)
        });
        for jail in &self.policy.jails {
            self.ledger.rewiden(&jail.name, jail.width);
        }
        self.respect_policy(now, out);
    }

    /// Lifts the bans that the settings no longer want.
    fn respect_policy(&mut self, now: Timestamp, out: &mut Vec<Decision>) {
        for name in self.ledger.jails() {
            match self.place(&name) {
                None => self.release(&name, now, Release::JailGone, out, |_| true),
                Some(at) => {
                    let ignore = self.policy.jails[at].ignore.clone();
                    self.release(&name, now, Release::Ignored, out, |subject| {
                        ignore.protects(subject).is_some()
                    });
                }
            }
        }
    }

    fn place(&self, jail: &JailName) -> Option<usize> {
        self.policy
            .jails
            .iter()
            .position(|policy| policy.name == *jail)
    }

    fn expire(&mut self, now: Timestamp, out: &mut Vec<Decision>) {
        while let Some((jail, subject, standing)) = self.ledger.expired(now) {
            let time = standing.until().unwrap_or(now);
            out.push(unban(&jail, subject, standing, time, Release::Expired));
        }
    }

    /// Forgets windows that no record to come can fill. Sources may lag behind, so what counts is not the
    /// present but how far each of them has been read.
    fn sweep(&mut self, now: Timestamp) {
        // A clock that was set back must not put it off.
        if now >= self.swept && now < self.swept.after(SWEEP_EVERY) {
            return;
        }
        self.swept = now;
        for (policy, state) in self.policy.jails.iter().zip(&mut self.jails) {
            // A source that has not been heard yet may have records of any age.
            let heard = |source: &SourceName| {
                let progress = self.heard.get(&Some(source.clone()))?;
                Some(progress.unwrap_or(now).before(LATEST))
            };
            let replayed = self.heard.get(&None).copied().flatten();
            let far = match replayed {
                Some(newest) => Some(newest),
                None => policy.sources.iter().map(heard).min().flatten(),
            };
            if let Some(far) = far {
                state.windows.forget_stale(far, policy.findtime);
            }
        }
    }
}

/// Whether a jail listens to where the record came from. A record of a journal says itself which
/// matches it satisfies; text of other sources is sorted by program, inside the filter set.
fn wants(jail: &JailPolicy, source: Option<&SourceName>, record: &Record<'_>) -> bool {
    source.is_none_or(|source| jail.sources.contains(source))
        && (record.routes.is_empty()
            || jail
                .route
                .is_some_and(|route| record.routes.contains(&route)))
}

/// Which jails listen to which filter.
fn listeners(policy: &Policy) -> Vec<(FilterId, Vec<usize>)> {
    let mut listeners: Vec<(FilterId, Vec<usize>)> = Vec::new();
    for (at, jail) in policy.jails.iter().enumerate() {
        match listeners
            .iter_mut()
            .find(|(filter, _)| *filter == jail.filter)
        {
            Some((_, jails)) => jails.push(at),
            None => listeners.push((jail.filter, vec![at])),
        }
    }
    listeners
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
fn make_room(offences: &mut HashMap<Prefix, u32>) {
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
fn replaced(ban: &Ban, time: Timestamp) -> Decision {
    Decision::Unban(Unban {
        ban: ban.id,
        jail: ban.jail.clone(),
        subject: ban.subject,
        time,
        release: Release::Replaced,
    })
}

fn unban(
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

#[cfg(test)]
mod tests;
