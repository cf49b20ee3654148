//! What has to be asked elsewhere of those who have failed?
//!
//! In: what the engine has just noted. Out: questions, of names, of programs, of why a ban has no effect, and what came of
//! them. Nothing here waits for an answer.

use std::net::IpAddr;

use super::Driver;
use crate::daemon::effect::Reach;
use crate::engine::decision::{Notice, Unknown};
use crate::engine::host::HostName;
use crate::engine::ledger::Standing;
use crate::engine::name::JailName;
use crate::engine::policy::UseDns;
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
        for decision in self.unwritten.decisions.iter().skip(first) {
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
            if let Some(address) = address {
                self.ask_program(jail, address, is_banned);
            }
        }
    }

    /// The same of all who wait, since whoever was asked before may know nothing of it: after a restart or a reload.
    pub(super) fn ask_programs_anew(&self) {
        for (jail, address) in self.engine.awaited_words() {
            self.ask_program(jail, *address, false);
        }
    }

    fn ask_program(&self, jail: &JailName, address: IpAddr, is_banned: bool) {
        if let Some(set) = self.commands.get(jail) {
            let question = (set.clone(), address);
            // It has no room while too many are asked about, whom the engine does not wait for very long.
            let _ = self.audience.failing.try_send(Asking {
                question,
                is_banned,
            });
        }
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
