//! The one door in and the one door out.
//!
//! Order within one input: bans that are over are lifted first, then the input is heard. A record is
//! judged at its own time, so it makes no difference how records were cut into batches or how late they
//! were read: `replay` comes to the same bans as the daemon.

use std::collections::HashMap;
use std::time::Duration;

use super::decision::{Ban, BanId, Decision, Failure, FailureId, Notice, Origin, Release, Unban};
use super::explain::{JailStatus, Place, Verdict};
use super::filter::Found;
use super::filter::session::Sessions;
use super::input::{Input, Remembered};
use super::jail::Windows;
use super::ledger::{Ledger, Standing};
use super::name::{JailName, SourceName};
use super::policy::{JailPolicy, Policy};
use super::prefix::Prefix;
use super::record::{Batch, Record};
use super::time::{BanTime, Timestamp};

/// How often windows that nobody fills any more are looked for.
const SWEEP_EVERY: Duration = Duration::from_secs(60);

/// Clocks of machines differ a little; a record may run ahead by this much without a word.
const FUTURE_TOLERANCE: Duration = Duration::from_secs(60);

/// For how many subjects a jail remembers that they were banned before; some 5 MB at the most.
const MOST_OFFENDERS: usize = 131_072;

/// Hears inputs and answers with decisions.
#[derive(Debug)]
pub struct Engine {
    policy: Policy,
    jails: Vec<JailState>,
    ledger: Ledger,
    sessions: Sessions,
    next_failure: FailureId,
    next_ban: BanId,
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
            policy,
            jails,
            ledger: Ledger::default(),
            sessions: Sessions::default(),
            next_failure: FailureId(1),
            next_ban: BanId(1),
            swept: Timestamp::default(),
        }
    }

    /// Hears one input and appends what should be remembered and done.
    pub fn handle(&mut self, now: Timestamp, input: Input<'_>, out: &mut Vec<Decision>) {
        match input {
            Input::Records { source, batch } => self.hear_records(now, source, batch, out),
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
            for at in 0..self.policy.jails.len() {
                if wants(&self.policy.jails[at], source, &record) {
                    self.jails[at].records += 1;
                    self.judge(now, at, &record, out);
                }
            }
        }
    }

    /// One record before one jail.
    fn judge(&mut self, now: Timestamp, at: usize, record: &Record<'_>, out: &mut Vec<Decision>) {
        let jail = &self.policy.jails[at];
        let Some(found) = self.policy.filters.find(jail.filter, record) else {
            return;
        };
        let time = record.time.min(now);
        let Some(address) = found.ip.map(|address| address.to_canonical()) else {
            return;
        };
        if jail.ignore.covers(address).is_some() {
            return;
        }
        if !self.sessions.counts(jail.filter, record.host, &found, time) {
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
        self.count(at, time, subject, address, &found, record, out);
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
        record: &Record<'_>,
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
            session: found
                .session
                .as_deref()
                .map(|session| session_key(record.host, session)),
            counted,
            line: String::from_utf8_lossy(record.message).into(),
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
            out.push(Decision::Notice(Notice::LedgerFull { jail, subject }));
            return;
        }
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
                self.sessions
                    .restore(jail.filter, "", session, failure.time);
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
        self.policy = policy;
        // Sessions are known by the numbers of the old filters.
        self.sessions = Sessions::default();
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

    fn sweep(&mut self, now: Timestamp) {
        if now < self.swept.after(SWEEP_EVERY) {
            return;
        }
        self.swept = now;
        for (policy, state) in self.policy.jails.iter().zip(&mut self.jails) {
            state.windows.forget_stale(now, policy.findtime);
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

/// Processes of different machines may have the same number.
fn session_key(host: &str, session: &str) -> Box<str> {
    if host.is_empty() {
        session.into()
    } else {
        format!("{session}@{host}").into()
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
mod tests {
    use std::num::NonZeroU32;

    use proptest::prelude::*;

    use super::super::filter::{FilterSet, FilterSpec, PatternSpec, RecordsSpec};
    use super::super::policy::{FilterId, IgnoreList, IgnoreRule, MaxRetry};
    use super::super::prefix::SubjectWidth;
    use super::super::time::FindTime;
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_micros(seconds * 1_000_000)
    }

    fn policy(maxretry: u32, findtime: u64, bantime: BanTime, ignore: &[&str]) -> Policy {
        let pattern = PatternSpec {
            number: 1,
            text: "^no <user> from <ip>$".to_owned(),
            unless_counted: false,
        };
        let spec = FilterSpec {
            name: "test".parse().expect("a name"),
            title: "Test".to_owned(),
            records: RecordsSpec::default(),
            session_by_pid: false,
            failures: vec![pattern],
            ignores: Vec::new(),
        };
        let rule = |text: &&str| IgnoreRule {
            prefix: text.parse().expect("a prefix"),
            because: "a rule".into(),
        };
        let jail = JailPolicy {
            name: "test".parse().expect("a name"),
            filter: FilterId(0),
            sources: vec!["journal".parse().expect("a name")],
            route: None,
            maxretry: MaxRetry(NonZeroU32::new(maxretry).expect("not zero")),
            findtime: FindTime(findtime as u32 * SECOND),
            bantime,
            ignore: IgnoreList::new(ignore.iter().map(rule).collect()),
            width: SubjectWidth::DEFAULT,
            actions: Vec::new(),
        };
        Policy {
            filters: FilterSet::compile(vec![spec]).expect("a filter set"),
            jails: vec![jail],
        }
    }

    fn ten_minutes() -> BanTime {
        BanTime::For(600 * SECOND)
    }

    fn batch(lines: &[(i64, &str)]) -> Batch {
        let mut batch = Batch::default();
        for (time, ip) in lines {
            batch.push(Record::bare(
                at(*time),
                format!("no root from {ip}").as_bytes(),
            ));
        }
        batch
    }

    fn hear(engine: &mut Engine, now: i64, lines: &[(i64, &str)]) -> Vec<Decision> {
        let mut out = Vec::new();
        engine.handle(
            at(now),
            Input::Records {
                source: None,
                batch: &batch(lines),
            },
            &mut out,
        );
        out
    }

    /// Bans and unbans, shortly: `+192.0.2.7 @4 #1` and `-192.0.2.7 @604 Expired`.
    fn short(decisions: &[Decision]) -> Vec<String> {
        let seconds = |time: Timestamp| time.as_micros() / 1_000_000;
        let one = |decision: &Decision| match decision {
            Decision::Ban(ban) => Some(format!(
                "+{} @{} #{}",
                ban.subject.plain(),
                seconds(ban.start),
                ban.offence
            )),
            Decision::Unban(unban) => Some(format!(
                "-{} @{} {:?}",
                unban.subject.plain(),
                seconds(unban.time),
                unban.release
            )),
            Decision::Notice(notice) => Some(format!("{notice:?}")),
            Decision::Count(_) => None,
        };
        decisions.iter().filter_map(one).collect()
    }

    const A: &str = "192.0.2.7";

    #[test]
    fn a_ban_begins_with_the_deciding_record_and_ends_by_time() {
        let mut engine = Engine::new(policy(3, 600, ten_minutes(), &[]));
        let out = hear(&mut engine, 5, &[(1, A), (2, A), (3, A), (4, A)]);
        assert_eq!(short(&out), ["+192.0.2.7 @3 #1"]);
        let counted: Vec<bool> = out
            .iter()
            .filter_map(|d| {
                if let Decision::Count(f) = d {
                    Some(f.counted)
                } else {
                    None
                }
            })
            .collect();
        assert_eq!(
            counted,
            [true, true, true, false],
            "a failure of a banned subject does not count"
        );
        assert_eq!(engine.next_deadline(), Some(at(603)));
        let mut out = Vec::new();
        engine.handle(at(603), Input::Tick, &mut out);
        assert_eq!(short(&out), ["-192.0.2.7 @603 Expired"]);
        assert_eq!(
            engine.next_deadline(),
            None,
            "nothing is left that time alone would change"
        );
        assert_eq!(
            short(&hear(&mut engine, 700, &[(700, A), (701, A), (702, A)])),
            ["+192.0.2.7 @700 #2"]
        );
    }

    #[test]
    fn catching_up_comes_to_the_same_bans_as_being_there() {
        let lines = [(0, A), (1, A), (2, A), (700, A), (701, A), (702, A)];
        let mut late = Engine::new(policy(3, 600, ten_minutes(), &[]));
        let out = hear(&mut late, 800, &lines);
        assert_eq!(
            short(&out),
            [
                "+192.0.2.7 @2 #1",
                "-192.0.2.7 @602 Expired",
                "+192.0.2.7 @702 #2"
            ]
        );
        assert_eq!(late.ledger().iter().count(), 1);
    }

    #[test]
    fn a_ban_that_is_over_when_it_is_decided_is_history_only() {
        let mut engine = Engine::new(policy(1, 600, ten_minutes(), &[]));
        let out = hear(&mut engine, 601, &[(0, A)]);
        assert_eq!(short(&out), ["+192.0.2.7 @0 #1", "-192.0.2.7 @600 Expired"]);
        assert_eq!(engine.ledger().iter().count(), 0);
    }

    #[test]
    fn the_future_counts_as_now_and_is_told_once() {
        let mut engine = Engine::new(policy(2, 600, ten_minutes(), &[]));
        let out = hear(&mut engine, 100, &[(5_000, A), (6_000, A)]);
        assert_eq!(
            out.iter()
                .filter(|d| matches!(d, Decision::Notice(_)))
                .count(),
            1
        );
        assert!(short(&out).contains(&"+192.0.2.7 @100 #1".to_owned()));
    }

    #[test]
    fn ignored_addresses_and_networks_around_them_are_spared() {
        let mut engine = Engine::new(policy(
            1,
            600,
            ten_minutes(),
            &["192.0.2.0/24", "2001:db8::1"],
        ));
        assert_eq!(hear(&mut engine, 1, &[(1, A), (1, "2001:db8::1")]), []);
        let out = hear(
            &mut engine,
            2,
            &[(2, "2001:db8::2"), (2, "2001:db8:0:1::2")],
        );
        assert_eq!(
            short(&out),
            ["+2001:db8::2 @2 #1", "+2001:db8:0:1::/64 @2 #1"]
        );
    }

    #[test]
    fn bans_by_hand_replace_and_are_lifted() {
        let mut engine = Engine::new(policy(3, 600, ten_minutes(), &["198.51.100.0/24"]));
        let jail: JailName = "test".parse().expect("a name");
        let mut act = |now, input| {
            let mut out = Vec::new();
            engine.handle(at(now), input, &mut out);
            short(&out)
        };
        let ban = |subject: &str, bantime| Input::Ban {
            jail: jail.clone(),
            subject: subject.parse().expect("a prefix"),
            bantime,
        };
        assert_eq!(act(1, ban("192.0.2.0/24", None)), ["+192.0.2.0/24 @1 #1"]);
        assert_eq!(
            act(2, ban("192.0.2.0/24", Some(BanTime::Forever))),
            ["-192.0.2.0/24 @2 Replaced", "+192.0.2.0/24 @2 #2"]
        );
        assert!(act(3, ban("198.51.0.0/16", None))[0].contains("Spared"));
        let unban = Input::Unban {
            jail: None,
            subject: Some(A.parse().expect("a prefix")),
        };
        assert_eq!(
            act(4, unban),
            ["-192.0.2.0/24 @4 Manual"],
            "who lies in a banned network is freed with it"
        );
    }

    #[test]
    fn a_banned_network_covers_its_hosts() {
        let mut engine = Engine::new(policy(1, 600, ten_minutes(), &[]));
        let jail: JailName = "test".parse().expect("a name");
        let mut out = Vec::new();
        let subject = "192.0.2.0/24".parse().expect("a prefix");
        engine.handle(
            at(1),
            Input::Ban {
                jail,
                subject,
                bantime: None,
            },
            &mut out,
        );
        assert_eq!(short(&hear(&mut engine, 2, &[(2, A)])), [""; 0]);
    }

    #[test]
    fn a_reload_keeps_windows_and_bans_and_respects_the_new_settings() {
        let mut engine = Engine::new(policy(3, 600, ten_minutes(), &[]));
        hear(
            &mut engine,
            1,
            &[
                (1, A),
                (1, A),
                (1, "192.0.2.8"),
                (1, "192.0.2.8"),
                (1, "192.0.2.8"),
            ],
        );
        let mut out = Vec::new();
        engine.handle(
            at(2),
            Input::Policy(Box::new(policy(3, 600, ten_minutes(), &[]))),
            &mut out,
        );
        assert_eq!(out, []);
        assert_eq!(
            short(&hear(&mut engine, 3, &[(3, A)])),
            ["+192.0.2.7 @3 #1"]
        );
        engine.handle(
            at(4),
            Input::Policy(Box::new(policy(3, 600, ten_minutes(), &[A]))),
            &mut out,
        );
        assert_eq!(short(&out), ["-192.0.2.7 @4 Ignored"]);
        out.clear();
        let mut nobody = policy(3, 600, ten_minutes(), &[]);
        nobody.jails.clear();
        engine.handle(at(5), Input::Policy(Box::new(nobody)), &mut out);
        assert_eq!(short(&out), ["-192.0.2.8 @5 JailGone"]);
    }

    #[test]
    fn what_was_remembered_goes_on() {
        let mut before = Engine::new(policy(3, 600, ten_minutes(), &[]));
        let out = hear(
            &mut before,
            3,
            &[
                (1, A),
                (1, A),
                (2, "192.0.2.8"),
                (2, "192.0.2.8"),
                (2, "192.0.2.8"),
            ],
        );
        let mut remembered = Remembered {
            next_failure: Some(FailureId(6)),
            next_ban: Some(BanId(2)),
            offences: vec![(
                "test".parse().expect("a name"),
                "192.0.2.8".parse().expect("a prefix"),
                1,
            )],
            ..Remembered::default()
        };
        for decision in out {
            match decision {
                Decision::Ban(ban) => remembered.bans.push(ban),
                Decision::Count(failure) if failure.address.to_string() == A => {
                    remembered.failures.push(failure)
                }
                _ => {}
            }
        }
        let mut after = Engine::new(policy(3, 600, ten_minutes(), &[]));
        let mut out = Vec::new();
        after.handle(at(4), Input::Restore(remembered), &mut out);
        assert_eq!(out, []);
        assert_eq!(
            short(&hear(&mut after, 5, &[(5, A), (5, "192.0.2.8")])),
            ["+192.0.2.7 @5 #1"]
        );
        let out = hear(
            &mut after,
            700,
            &[(700, "192.0.2.8"), (700, "192.0.2.8"), (700, "192.0.2.8")],
        );
        assert!(
            short(&out).contains(&"+192.0.2.8 @700 #2".to_owned()),
            "{out:?}"
        );
    }

    proptest! {
        /// However records are cut into batches and however late those are heard: the same bans and unbans.
        #[test]
        fn batches_and_delay_do_not_matter(
            steps in prop::collection::vec((0_i64..120, 0_u8..4, any::<bool>()), 1..150),
            maxretry in 1_u32..5,
        ) {
            let mut time = 0;
            let mut lines = Vec::new();
            for (step, host, cut) in steps {
                time += step;
                lines.push((time, format!("192.0.2.{host}"), cut));
            }
            let mut whole = Engine::new(policy(maxretry, 300, ten_minutes(), &[]));
            let mut live = Vec::new();
            for (time, ip, _) in &lines {
                live.extend(hear(&mut whole, *time, &[(*time, ip)]));
            }
            // Heard late, but within the span in which records still have consequences.
            let mut batched = Engine::new(policy(maxretry, 300, ten_minutes(), &[]));
            let mut late = Vec::new();
            let mut waiting: Vec<(i64, &str)> = Vec::new();
            for (time, ip, cut) in &lines {
                if waiting.first().is_some_and(|(first, _)| time - first > 500) {
                    let now = waiting.last().expect("not empty").0;
                    late.extend(hear(&mut batched, now, &std::mem::take(&mut waiting)));
                }
                waiting.push((*time, ip));
                if *cut {
                    late.extend(hear(&mut batched, *time, &std::mem::take(&mut waiting)));
                }
            }
            late.extend(hear(&mut batched, time, &waiting));
            whole.handle(at(time + 10_000), Input::Tick, &mut live);
            batched.handle(at(time + 10_000), Input::Tick, &mut late);
            let sorted = |decisions: &[Decision]| { let mut s = short(decisions); s.sort(); s };
            prop_assert_eq!(sorted(&live), sorted(&late));
        }
    }
}
