//! Who is behind a name that a record gives instead of an address?
//!
//! In: records that name a host, and later the addresses that it has. Out: what is to be remembered until they are
//! known, and then what records that name these addresses would have brought.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::net::IpAddr;

use super::Engine;
use crate::engine::decision::{Awaited, AwaitedId, Decision, Notice};
use crate::engine::filter::{Found, Outcome, Session, session};
use crate::engine::host::HostName;
use crate::engine::name::{JailName, SourceName};
use crate::engine::policy::{Counting, Policy, UseDns};
use crate::engine::record::kept::{LONGEST_TEXT, kept};
use crate::engine::record::{Record, lossy};
use crate::engine::subject::Subject;
use crate::engine::time::Timestamp;

/// So many records wait at most for the addresses of their hosts, with text of full length some 12 MB. Attackers decide
/// how many there are, and, by the servers of their names, how long they wait.
pub(super) const MOST_AWAITED: usize = 4_096;

/// The records that wait for the addresses of their hosts.
#[derive(Debug, Default)]
pub(super) struct Unresolved {
    /// Of each host in the order in which they were heard.
    hosts: BTreeMap<HostName, Vec<Awaited>>,
    /// The hosts, by the first record of each.
    order: BTreeMap<AwaitedId, HostName>,
    count: usize,
    /// Whether it has been told that no further one has room; until half of it is free.
    full_told: bool,
}

impl Unresolved {
    /// Whether no further one has room.
    fn is_full(&self) -> bool {
        self.count >= MOST_AWAITED
    }

    fn add(&mut self, awaited: Awaited) {
        let waiting = self.hosts.entry(awaited.host.clone()).or_default();
        if waiting.is_empty() {
            self.order.insert(awaited.id, awaited.host.clone());
        }
        waiting.push(awaited);
        self.count += 1;
    }

    fn take(&mut self, host: &HostName) -> Vec<Awaited> {
        let taken = self.hosts.remove(host).unwrap_or_default();
        if let Some(first) = taken.first() {
            self.order.remove(&first.id);
        }
        self.recount(taken.len());
        taken
    }

    /// Takes away those that `stays` does not hold of.
    fn retain(&mut self, stays: impl Fn(&Awaited) -> bool) -> Vec<Awaited> {
        let mut gone = Vec::new();
        self.hosts.retain(|_, waiting| {
            gone.extend(waiting.extract_if(.., |awaited| !stays(awaited)));
            !waiting.is_empty()
        });
        let firsts = self.hosts.iter().filter_map(|(host, waiting)| {
            let first = waiting.first()?;
            Some((first.id, host.clone()))
        });
        self.order = firsts.collect();
        self.recount(gone.len());
        gone
    }

    /// The time of the oldest record of a jail that waits.
    pub(super) fn oldest_of(&self, jail: &JailName) -> Option<Timestamp> {
        let all = self.hosts.values().flatten();
        let times = all.filter(|awaited| awaited.jail == *jail);
        times.map(|awaited| awaited.time).min()
    }

    /// How many failures of a jail wait.
    pub(super) fn count_of(&self, jail: &JailName) -> usize {
        let all = self.hosts.values().flatten();
        let own = all.filter(|one| one.jail == *jail && one.outcome == Outcome::Failure);
        own.count()
    }

    fn recount(&mut self, gone: usize) {
        self.count -= gone;
        self.full_told &= self.count > MOST_AWAITED / 2;
    }
}

/// As much of the end of a list as is kept, from the beginning of an entry: what a proxy adds comes last, and is all
/// that can be believed. Control characters take more room as they are kept, so that text behind them might be cut off;
/// an entry with one is no address, and what stands before it is not read.
pub(super) fn end_of(list: &str) -> &str {
    let control = list.rfind(char::is_control).map_or(0, |at| at + 1);
    let first = control.max(list.len().saturating_sub(LONGEST_TEXT));
    if first == 0 {
        return list;
    }
    let commas = list.match_indices(',').map(|(at, _)| at + 1);
    let mut starts = commas.skip_while(|start| *start < first);
    starts.next().map_or("", |start| &list[start..])
}

/// Whether a jail wants the addresses of names.
fn wants_names(policy: &Policy, jail: &JailName) -> bool {
    let mut jails = policy.jails.iter();
    jails.any(|policy| policy.name == *jail && policy.usedns != UseDns::No)
}

impl Engine {
    /// The hosts whose addresses are awaited, the one first that is awaited longest.
    pub fn awaited_hosts(&self) -> impl Iterator<Item = &HostName> {
        self.unresolved.order.values()
    }

    /// What waits for the addresses of a host.
    pub fn awaiting(&self, host: &HostName) -> &[Awaited] {
        let waiting = self.unresolved.hosts.get(host);
        waiting.map(Vec::as_slice).unwrap_or_default()
    }

    /// All that waits for addresses.
    pub fn awaited(&self) -> impl Iterator<Item = &Awaited> {
        self.unresolved.hosts.values().flatten()
    }

    /// A record that gives a name instead of an address, before one jail: what it is worth depends on the addresses.
    #[expect(
        clippy::too_many_arguments,
        reason = "the parts of what was found, each of its own type"
    )]
    pub(super) fn hear_name(
        &mut self,
        now: Timestamp,
        at: usize,
        outcome: Outcome,
        source: Option<&SourceName>,
        record: &Record<'_>,
        found: &Found<'_>,
        out: &mut Vec<Decision>,
    ) {
        let jail = &self.policy.jails[at];
        if jail.usedns == UseDns::No {
            return;
        }
        let is_nobody = self.directory.account_of(found.user.as_deref()).is_none();
        if outcome == Outcome::Failure && jail.counting == Counting::Users && is_nobody {
            return;
        }
        let Ok(host) = found.host.parse() else {
            return;
        };
        if self.unresolved.is_full() {
            if !std::mem::replace(&mut self.unresolved.full_told, true) {
                let jail = jail.name.clone();
                out.push(Decision::Notice(Notice::NamesFull { jail }));
            }
            return;
        }
        let jail = jail.name.clone();
        if outcome == Outcome::Failure {
            self.note_future(now, at, record.time, out);
        }
        let id = self.next_awaited;
        self.next_awaited = AwaitedId(id.0 + 1);
        let text = |text: &str| Box::from(kept(text));
        let awaited = Awaited {
            id,
            time: record.time.min(now),
            jail,
            source: source.cloned(),
            host,
            outcome,
            user: found.user.as_deref().map(text),
            target: found.target.as_deref().map(text),
            forwarded: found.forwarded.as_deref().map(|list| text(end_of(list))),
            pattern: found.pattern,
            session: session::key(record.host, found).as_deref().map(text),
            line: text(&lossy(found.line)),
        };
        out.push(Decision::Await(awaited.clone()));
        self.unresolved.add(awaited);
    }

    /// The addresses of a host are known, or that it has none: what waited for them is judged now, by its own time.
    pub(super) fn hear_addresses(
        &mut self,
        now: Timestamp,
        host: &HostName,
        addresses: &[IpAddr],
        out: &mut Vec<Decision>,
    ) {
        for awaited in self.unresolved.take(host) {
            if let Some(at) = self.place(&awaited.jail) {
                // Several addresses may be of one subject, against whom the record counts once.
                let mut subjects = Vec::new();
                for address in addresses {
                    self.hear_awaited(now, at, &awaited, *address, &mut subjects, out);
                }
            }
            out.push(Decision::Answered(awaited.id));
        }
    }

    fn hear_awaited(
        &mut self,
        now: Timestamp,
        at: usize,
        awaited: &Awaited,
        address: IpAddr,
        subjects: &mut Vec<Subject>,
        out: &mut Vec<Decision>,
    ) {
        let line = awaited.line.as_bytes();
        let session = awaited.session.as_deref();
        let found = Found {
            pattern: awaited.pattern,
            host: Cow::Borrowed(awaited.host.as_str()),
            ip: Some(address),
            user: awaited.user.as_deref().map(Cow::Borrowed),
            target: awaited.target.as_deref().map(Cow::Borrowed),
            forwarded: awaited.forwarded.as_deref().map(Cow::Borrowed),
            session: session.map(|text| Session::Captured(text.into())),
            // What its session had counted was asked when it was heard.
            unless_counted: false,
            said: None,
            line,
        };
        let record = Record::bare(awaited.time, line);
        let Some(whose) = self.whom(now, at, &record, &found) else {
            return;
        };
        if subjects.contains(&whose.subject) {
            return;
        }
        subjects.push(whose.subject.clone());
        let source = awaited.source.as_ref();
        match awaited.outcome {
            Outcome::Failure => self.judge(now, at, source, &record, &found, out),
            Outcome::Success => self.welcome(at, source, whose, &found, out),
        }
    }

    /// Puts back what waited when the last run ended, as far as somebody wants it still.
    pub(super) fn restore_awaited(&mut self, all: Vec<Awaited>, out: &mut Vec<Decision>) {
        for awaited in all {
            let at = self.place(&awaited.jail);
            let wanted = at.filter(|at| self.policy.jails[*at].usedns != UseDns::No);
            let Some(at) = wanted.filter(|_| !self.unresolved.is_full()) else {
                out.push(Decision::Answered(awaited.id));
                continue;
            };
            if let (Some(session), Outcome::Failure) = (&awaited.session, awaited.outcome) {
                let filter = self.policy.filters.spec(self.policy.jails[at].filter);
                self.sessions.restore(filter, session, awaited.time);
            }
            self.unresolved.add(awaited);
        }
    }

    /// Lets nothing wait any longer that the settings do not want.
    pub(super) fn give_up_names(&mut self, out: &mut Vec<Decision>) {
        let policy = &self.policy;
        let gone = self
            .unresolved
            .retain(|awaited| wants_names(policy, &awaited.jail));
        out.extend(gone.iter().map(|awaited| Decision::Answered(awaited.id)));
    }
}
