//! Whom does the jail's program spare, of those who fail?
//!
//! In: records of jails that have a program asked, and later its word. Out: what is to be remembered until it has spoken, and
//! then what the records would have brought. Nobody is waited for very long: what comes later lifts bans.

use std::net::IpAddr;
use std::time::Duration;

use super::Engine;
use super::hearing::Told;
use super::waiting::MOST_AWAITED;
use crate::engine::decision::{Awaited, Decision, Ignored, Unknown};
use crate::engine::filter::{Capture, Outcome};
use crate::engine::name::JailName;
use crate::engine::policy::{Counting, JailPolicy, SetName};
use crate::engine::subject::{Name, Subject};
use crate::engine::time::Timestamp;

/// How long a record waits for the word of a program: attackers may have a say in how long that takes. Then it has said no.
pub(super) const PATIENCE: Duration = Duration::from_secs(10);

/// So many records of one address wait at most, lest one takes the room of all others: monitors that a program spares
/// hardly bring more while it is asked.
pub(super) const MOST_OF_ONE: usize = MOST_AWAITED / 4;

/// Whether whom a jail would ban for a record shares an address with `subject`, or is of that name.
fn is_about(jail: &JailPolicy, awaited: &Awaited, subject: Option<&Subject>) -> bool {
    let Some(subject) = subject else {
        return true;
    };
    let name = match jail.named_by {
        Some(Capture::User) => awaited.user.as_deref(),
        Some(Capture::Target) => awaited.target.as_deref(),
        Some(Capture::Session) => awaited.session.as_deref(),
        None => {
            let Unknown::Word(address, network) = awaited.unknown else {
                return false;
            };
            let own = network.unwrap_or(jail.width.subject(address));
            return Subject::from(own).overlaps(subject);
        }
    };
    let name = name.and_then(Name::of);
    name.is_some_and(|name| Subject::from(name).overlaps(subject))
}

impl Engine {
    /// From here on programs are asked, and records wait for their word.
    pub fn expect_words(&mut self) {
        self.asks = true;
    }

    /// In which jails and about whom programs are awaited, that first which is awaited longest.
    pub fn awaited_words(&self) -> impl Iterator<Item = &(JailName, IpAddr)> {
        self.unvouched.wanted()
    }

    /// The program that is asked before a jail judges.
    fn asked_by(&self, at: usize) -> Option<&SetName> {
        let command = self.policy.jails[at].ignore.command();
        command.filter(|_| self.asks)
    }

    /// One failure before one jail, which may want a program asked first.
    pub(super) fn accuse(
        &mut self,
        now: Timestamp,
        at: usize,
        told: Told<'_>,
        out: &mut Vec<Decision>,
    ) {
        if self.asked_by(at).is_none() || self.unvouched.is_full() {
            self.judge(now, at, told, out);
            return;
        }
        let Some(whom) = self.whom(now, at, told) else {
            self.note_ignored(at, told, out);
            return;
        };
        let is_nobody = || {
            self.directory
                .account_of(told.found.user.as_deref())
                .is_none()
        };
        if self.policy.jails[at].counting == Counting::Users && is_nobody() {
            return;
        }
        let Some(address) = whom.address else {
            self.judge(now, at, told, out);
            return;
        };
        self.note_future(now, at, told.record.time, out);
        let whose = (self.policy.jails[at].name.clone(), address);
        if self.unvouched.of(&whose).len() >= MOST_OF_ONE {
            self.judge_awaited(now, &whose, false, out);
        }
        self.await_word(now, at, Outcome::Failure, told, address, out);
    }

    /// One login before one jail: it comes after the failures of the same address that wait.
    pub(super) fn greet(
        &mut self,
        now: Timestamp,
        at: usize,
        told: Told<'_>,
        out: &mut Vec<Decision>,
    ) {
        let Some(whom) = self.whom(now, at, told) else {
            return;
        };
        let waits = |address: &IpAddr| {
            let whose = (self.policy.jails[at].name.clone(), *address);
            !self.unvouched.of(&whose).is_empty()
        };
        let is_asked = self.asked_by(at).is_some() && !self.unvouched.is_full();
        match whom.address.filter(|address| is_asked && waits(address)) {
            Some(address) => {
                self.await_word(now, at, Outcome::Success, told, address, out);
            }
            None => self.welcome(at, told, whom, out),
        }
    }

    fn await_word(
        &mut self,
        now: Timestamp,
        at: usize,
        outcome: Outcome,
        told: Told<'_>,
        address: IpAddr,
        out: &mut Vec<Decision>,
    ) {
        let network = told.found.said.as_ref().and_then(|said| said.network);
        let unknown = Unknown::Word(address, network);
        let awaited = self.defer(now, at, outcome, told, unknown);
        out.push(Decision::Await(awaited.clone()));
        let whose = (awaited.jail.clone(), address);
        self.unvouched.add(now, &whose, awaited);
    }

    /// A program has said whether it spares an address: what waited for that is judged now, by its own time.
    pub(super) fn hear_word(
        &mut self,
        now: Timestamp,
        program: &SetName,
        address: IpAddr,
        is_spared: bool,
        out: &mut Vec<Decision>,
    ) {
        for at in 0..self.policy.jails.len() {
            if self.asked_by(at) == Some(program) {
                let whose = (self.policy.jails[at].name.clone(), address);
                self.judge_awaited(now, &whose, is_spared, out);
            }
        }
    }

    fn judge_awaited(
        &mut self,
        now: Timestamp,
        whose: &(JailName, IpAddr),
        is_spared: bool,
        out: &mut Vec<Decision>,
    ) {
        for awaited in self.unvouched.take(whose) {
            match self.place(&awaited.jail) {
                Some(at) if is_spared => out.extend(self.ignored(at, &awaited, whose.1)),
                Some(at) => self.hear_awaited(now, at, &awaited, whose.1, &mut Vec::new(), out),
                None => {}
            }
            out.push(Decision::Answered(awaited.id));
        }
    }

    fn ignored(&self, at: usize, awaited: &Awaited, address: IpAddr) -> Option<Decision> {
        let is_failure = awaited.outcome == Outcome::Failure;
        is_failure.then(|| {
            Decision::Ignore(Ignored {
                jail: awaited.jail.clone(),
                address,
                by: self.asked_by(at).cloned(),
            })
        })
    }

    /// Judges what has waited too long. A clock that was set back must not make it wait for longer.
    pub(super) fn give_up_words(&mut self, now: Timestamp, out: &mut Vec<Decision>) {
        while let Some((whose, since)) = self.unvouched.first()
            && !(since..since.after(PATIENCE)).contains(&now)
        {
            let whose = whose.clone();
            self.judge_awaited(now, &whose, false, out);
        }
    }

    /// Lets nothing wait any longer in a jail that is about `subject`.
    pub(super) fn forget_words(
        &mut self,
        at: usize,
        subject: Option<&Subject>,
        out: &mut Vec<Decision>,
    ) {
        let jail = &self.policy.jails[at];
        let stays =
            |awaited: &Awaited| awaited.jail != jail.name || !is_about(jail, awaited, subject);
        let gone = self.unvouched.retain(stays);
        out.extend(gone.iter().map(|awaited| Decision::Answered(awaited.id)));
    }

    /// Whether something waits in a jail that is about `subject`.
    pub(super) fn awaits_word(&self, at: usize, subject: &Subject) -> bool {
        let jail = &self.policy.jails[at];
        let mut own = self
            .unvouched
            .all()
            .filter(|awaited| awaited.jail == jail.name);
        own.any(|awaited| is_about(jail, awaited, Some(subject)))
    }

    /// When that has something to judge.
    pub(super) fn next_word_lost(&self) -> Option<Timestamp> {
        let (_, since) = self.unvouched.first()?;
        Some(since.after(PATIENCE))
    }

    /// Judges what waits in jails that have nobody asked.
    pub(super) fn judge_unasked(&mut self, now: Timestamp, out: &mut Vec<Decision>) {
        let is_unasked = |(jail, _): &&(JailName, IpAddr)| {
            let at = self.place(jail);
            at.and_then(|at| self.asked_by(at)).is_none()
        };
        let unasked: Vec<_> = self
            .unvouched
            .wanted()
            .filter(is_unasked)
            .cloned()
            .collect();
        for whose in unasked {
            self.judge_awaited(now, &whose, false, out);
        }
    }
}
