//! What has to be asked elsewhere of those who have failed?
//!
//! In: what the engine has just noted. Out: questions, of names, of programs, of why a ban has no effect, and what came of
//! them. Nothing here waits for an answer.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use super::Driver;
use crate::daemon::effect::Reach;
use crate::engine::decision::{Notice, Unknown};
use crate::engine::host::HostName;
use crate::engine::ledger::Standing;
use crate::engine::name::JailName;
use crate::engine::policy::{SetName, UseDns};
use crate::engine::prefix::Prefix;
use crate::engine::time::Timestamp;
use crate::engine::{Decision, Input};
use crate::ignore::command::Asking;

impl Driver {
    /// Answers what was decided to wait for the addresses of hosts that are known, and has others looked up.
    pub(super) fn look_up(&mut self, now: Timestamp, first: usize) {
        for at in first..self.unwritten.decisions.len() {
            let Decision::Await(awaited) = &self.unwritten.decisions[at] else {
                continue;
            };
            let Unknown::Addresses(host) = awaited.unknown.clone() else {
                continue;
            };
            if let Some(addresses) = self.lookups.known(&host, now) {
                let addresses = addresses.to_vec();
                let decisions = &mut self.unwritten.decisions;
                self.engine
                    .handle(now, Input::Named { host, addresses }, decisions);
            }
        }
        if self.lookups.has_room() {
            self.lookups.ask(self.engine.awaited_hosts(), now);
        }
    }

    /// What somebody who looked up a name has found.
    pub(super) fn take_addresses(
        &mut self,
        now: Timestamp,
        host: HostName,
        addresses: Vec<IpAddr>,
    ) {
        self.lookups.hear(&host, &addresses, now);
        self.tell_of(&host, &addresses);
        self.decide(now, Input::Named { host, addresses }, None);
    }

    /// Says that a name was looked up, if a jail that waits for it wants that.
    fn tell_of(&mut self, host: &HostName, addresses: &[IpAddr]) {
        let awaiting = self.engine.awaiting(host);
        let Some(jail) = awaiting.iter().map(|awaited| &awaited.jail).find(|name| {
            let mut jails = self.engine.policy().jails.iter();
            jails.any(|jail| jail.name == **name && jail.usedns == UseDns::Warn)
        }) else {
            return;
        };
        let Some(is_last) = self.lookups.tells() else {
            return;
        };
        let found = match addresses {
            [] => "no address that confirms it: what it did does not count".to_owned(),
            found => {
                let found: Vec<_> = found.iter().map(ToString::to_string).collect();
                found.join(" and ")
            }
        };
        log::warn!("[{jail}] the log has the name {host} instead of an address: {found}");
        if is_last {
            log::warn!("further names are looked up without a word");
        }
    }

    /// Lets nobody wait any longer for a host that nobody knows.
    pub(super) fn give_up_hosts(&mut self, now: Timestamp) {
        while let Some(host) = self.lookups.give_up(now) {
            log::debug!("{host} could not be looked up in time");
            self.tell_of(&host, &[]);
            let addresses = Vec::new();
            self.decide(now, Input::Named { host, addresses }, None);
        }
    }

    /// Has programs asked about those who wait for their word since just now, or were judged without it. If too many wait,
    /// they are judged without it, and asked about when they fail again.
    pub(super) fn ask_programs(&self, first: usize) {
        if self.commands.is_empty() {
            return;
        }
        for asking in questions(&self.commands, &self.unwritten.decisions[first..]) {
            self.ask_program(asking);
        }
    }

    /// The same of all who wait, since whoever was asked before may know nothing of it: after a restart or a reload.
    pub(super) fn ask_programs_anew(&self) {
        let waiting = self.engine.awaited_words();
        let questions = waiting
            .filter_map(|(jail, address)| Some((self.commands.get(jail)?.clone(), *address)));
        let mut asked = BTreeSet::new();
        for question in questions {
            if asked.insert(question.clone()) {
                self.ask_program(Asking {
                    question,
                    is_banned: false,
                });
            }
        }
    }

    fn ask_program(&self, asking: Asking) {
        // It has no room while too many are asked about, whom the engine does not wait for very long.
        let _ = self.audience.failing.try_send(asking);
    }

    /// Finds out why bans do not work of which that was decided just now.
    pub(super) fn find_causes(&mut self, first: usize) {
        for decision in self.unwritten.decisions.iter_mut().skip(first) {
            let Decision::Notice(Notice::Unhindered { ban, cause, .. }) = decision else {
                continue;
            };
            let policy = self.engine.policy();
            let standing = Standing::of(ban);
            let is_own = |action| policy.puts_into_effect(action, &ban.jail, &standing);
            let actions = self.circumstances.actions().iter();
            let mut own = actions.filter(|(spec, _)| is_own(&spec.name)).peekable();
            let jail = own.peek().and_then(|(_, jails)| {
                let mut jails = jails.iter();
                jails.find(|jail| jail.jail == ban.jail)
            });
            let Some(jail) = jail else {
                continue;
            };
            let outbox = &self.outbox;
            let works = |action| {
                let mut states = outbox.states();
                states.any(|(name, works, _)| name == action && works)
            };
            let reach = Reach::of(jail, own.map(|(spec, _)| (spec, works(&spec.name))));
            let found = self.effect.cause(ban.subject.network(), &reach);
            *cause = Some(found.to_string().into());
        }
    }
}

/// What programs are to be asked for these decisions: one that brings many failures takes no more room than others.
fn questions(commands: &BTreeMap<JailName, SetName>, decisions: &[Decision]) -> Vec<Asking> {
    let mut known = BTreeMap::new();
    let mut questions: Vec<Asking> = Vec::new();
    for decision in decisions {
        let (jail, address, is_banned) = match decision {
            Decision::Await(awaited) => match &awaited.unknown {
                Unknown::Word(address, _) => (&awaited.jail, Some(*address), false),
                Unknown::Addresses(_) => continue,
            },
            Decision::Count(failure) => (&failure.jail, failure.address, false),
            Decision::Ban(ban) => {
                let hosts = ban.subject.network().filter(|own| own.is_host());
                (&ban.jail, hosts.map(Prefix::address), true)
            }
            _ => continue,
        };
        let Some((set, address)) = commands.get(jail).zip(address) else {
            continue;
        };
        let place = *known.entry((set, address)).or_insert(questions.len());
        match questions.get_mut(place) {
            Some(asking) => asking.is_banned |= is_banned,
            None => questions.push(Asking {
                question: (set.clone(), address),
                is_banned,
            }),
        }
    }
    questions
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::decision::{Awaited, AwaitedId};
    use crate::engine::filter::Outcome;

    fn waits(id: u64, jail: &str, address: &str) -> Decision {
        Decision::Await(Awaited {
            id: AwaitedId(id),
            time: Timestamp::default(),
            jail: jail.parse().expect("a name"),
            source: None,
            unknown: address.parse().expect("something to wait for"),
            outcome: Outcome::Failure,
            user: None,
            target: None,
            forwarded: None,
            pattern: 1,
            session: None,
            line: "text".into(),
        })
    }

    #[test]
    fn who_fails_often_is_asked_about_once() {
        let program = |name: &str| SetName::Command([name.into()].into());
        let commands = [("a", "p"), ("b", "p"), ("c", "q")].map(|(jail, name)| {
            let jail: JailName = jail.parse().expect("a name");
            (jail, program(name))
        });
        let mut decisions: Vec<_> = (1..100).map(|id| waits(id, "a", "192.0.2.7")).collect();
        let others = ["192.0.2.7", "192.0.2.8", "mail.example.org"];
        decisions.extend(others.map(|other| waits(100, "b", other)));
        decisions.push(waits(101, "c", "192.0.2.7"));
        decisions.push(waits(102, "d", "192.0.2.7"));
        let asked = questions(&commands.into(), &decisions);
        let asked: Vec<_> = asked.into_iter().map(|asking| asking.question).collect();
        let question = |name: &str, last| (program(name), IpAddr::from([192, 0, 2, last]));
        assert_eq!(
            asked,
            [question("p", 7), question("p", 8), question("q", 7)]
        );
    }
}
