//! How is a record kept that cannot be judged yet, and judged in the end?
//!
//! In: what was found in it, and later the address that is to be judged. Out: what is to be remembered, and then what the
//! record would have brought. What it waits for is asked by `naming` and `vouching`.

use std::borrow::Cow;
use std::net::IpAddr;

use super::Engine;
use super::hearing::Told;
use crate::engine::decision::{Awaited, AwaitedId, Decision, Unknown};
use crate::engine::filter::{Capture, Found, Outcome, Said, Session, session};
use crate::engine::host::HostName;
use crate::engine::policy::UseDns;
use crate::engine::record::kept::{LONGEST_TEXT, kept};
use crate::engine::record::{Record, lossy};
use crate::engine::subject::Subject;
use crate::engine::time::Timestamp;

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

impl Engine {
    /// All that waits to be judged.
    pub fn awaited(&self) -> impl Iterator<Item = &Awaited> {
        self.unresolved.all().chain(self.unvouched.all())
    }

    /// What is remembered of a record until it can be judged.
    pub(super) fn defer(
        &mut self,
        now: Timestamp,
        at: usize,
        outcome: Outcome,
        Told {
            source,
            record,
            found,
        }: Told<'_>,
        unknown: Unknown,
    ) -> Awaited {
        let id = self.next_awaited;
        self.next_awaited = AwaitedId(id.0 + 1);
        let text = |text: &str| Box::from(kept(text));
        let jail = &self.policy.jails[at];
        // Whoever is banned by the session is not known by its machine.
        let session = match found.captured(Capture::Session) {
            Some(own) if jail.named_by == Some(Capture::Session) => Some(own.into()),
            _ => session::key(record.host, found),
        };
        Awaited {
            id,
            time: record.time.min(now),
            jail: jail.name.clone(),
            source: source.cloned(),
            outcome,
            user: found.user.as_deref().map(text),
            target: found.target.as_deref().map(text),
            forwarded: match unknown {
                Unknown::Addresses(_) => found.forwarded.as_deref().map(|list| text(end_of(list))),
                // It is already the address of the one for whom the proxy spoke.
                Unknown::Word(..) => None,
            },
            unknown,
            pattern: found.pattern,
            session: session.as_deref().map(text),
            line: text(&lossy(found.line)),
        }
    }

    /// What has waited is judged now, by its own time, unless it is about one of these `subjects`; it joins them.
    pub(super) fn hear_awaited(
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
        let said = |network| {
            Box::new(Said {
                network: Some(network),
                ..Said::default()
            })
        };
        let (is_asked, network) = match awaited.unknown {
            Unknown::Addresses(_) => (false, None),
            Unknown::Word(_, network) => (true, network),
        };
        let found = Found {
            pattern: awaited.pattern,
            host: Cow::Owned(awaited.unknown.to_string()),
            ip: Some(address),
            user: awaited.user.as_deref().map(Cow::Borrowed),
            target: awaited.target.as_deref().map(Cow::Borrowed),
            forwarded: awaited.forwarded.as_deref().map(Cow::Borrowed),
            session: session.map(|text| Session::Captured(text.into())),
            // What its session had counted was asked when it was heard.
            unless_counted: false,
            said: network.map(said),
            line,
        };
        let record = Record::bare(awaited.time, line);
        let told = Told {
            source: awaited.source.as_ref(),
            record: &record,
            found: &found,
        };
        let Some(whose) = self.whom(now, at, told) else {
            if awaited.outcome == Outcome::Failure {
                self.note_ignored(at, told, out);
            }
            return;
        };
        if subjects.contains(&whose.subject) {
            return;
        }
        subjects.push(whose.subject.clone());
        match (awaited.outcome, is_asked) {
            (Outcome::Failure, false) => self.accuse(now, at, told, out),
            (Outcome::Failure, true) => self.judge(now, at, told, out),
            (Outcome::Success, false) => self.greet(now, at, told, out),
            (Outcome::Success, true) => self.welcome(at, told, whose, out),
        }
    }

    /// Puts back what waited when the last run ended, as far as somebody wants it still.
    pub(super) fn restore_awaited(
        &mut self,
        now: Timestamp,
        all: Vec<Awaited>,
        out: &mut Vec<Decision>,
    ) {
        for awaited in all {
            let at = self.place(&awaited.jail);
            // It stays in the database, as what the jail has counted does, until a start knows the jail again.
            if at.is_none() && self.policy.misses(&awaited.jail) {
                continue;
            }
            let is_kept = at.is_some_and(|at| match &awaited.unknown {
                Unknown::Addresses(_) => {
                    self.policy.jails[at].usedns != UseDns::No && !self.unresolved.is_full()
                }
                Unknown::Word(..) => true,
            });
            let Some(at) = at.filter(|_| is_kept) else {
                out.push(Decision::Answered(awaited.id));
                continue;
            };
            if let (Some(session), Outcome::Failure) = (&awaited.session, awaited.outcome) {
                let filter = self.policy.filters.spec(self.policy.jails[at].filter);
                self.sessions.restore(filter, session, awaited.time);
            }
            match &awaited.unknown {
                Unknown::Addresses(host) => {
                    let host = HostName::clone(host);
                    self.unresolved.add(now, &host, awaited);
                }
                Unknown::Word(address, _) => {
                    let whose = (awaited.jail.clone(), *address);
                    self.unvouched.add(now, &whose, awaited);
                }
            }
        }
    }
}
