//! Who is behind a name that a record gives instead of an address?
//!
//! In: records that name a host, and later the addresses that it has. Out: what is to be remembered until they are
//! known, and then what records that name these addresses would have brought.

use std::net::IpAddr;

use super::Engine;
use super::hearing::Told;
use crate::engine::decision::{Awaited, Decision, Notice, Unknown};
use crate::engine::filter::Outcome;
use crate::engine::host::HostName;
use crate::engine::name::JailName;
use crate::engine::policy::{Counting, Policy, UseDns};
use crate::engine::time::Timestamp;

/// Whether a jail wants the addresses of names.
fn wants_names(policy: &Policy, jail: &JailName) -> bool {
    let mut jails = policy.jails.iter();
    jails.any(|policy| policy.name == *jail && policy.usedns != UseDns::No)
}

impl Engine {
    /// The hosts whose addresses are awaited, the one first that is awaited longest.
    pub fn awaited_hosts(&self) -> impl Iterator<Item = &HostName> {
        self.unresolved.wanted()
    }

    /// What waits for the addresses of a host.
    pub fn awaiting(&self, host: &HostName) -> &[Awaited] {
        self.unresolved.of(host)
    }

    /// A record that gives a name instead of an address, before one jail: what it is worth depends on the addresses.
    pub(super) fn hear_name(
        &mut self,
        now: Timestamp,
        at: usize,
        outcome: Outcome,
        told: Told<'_>,
        out: &mut Vec<Decision>,
    ) {
        let jail = &self.policy.jails[at];
        if jail.usedns == UseDns::No {
            return;
        }
        let is_nobody = self
            .directory
            .account_of(told.found.user.as_deref())
            .is_none();
        if outcome == Outcome::Failure && jail.counting == Counting::Users && is_nobody {
            return;
        }
        let Ok(host) = told.found.host.parse::<HostName>() else {
            return;
        };
        if self.unresolved.is_full() {
            if self.unresolved.tells_full() {
                let jail = jail.name.clone();
                out.push(Decision::Notice(Notice::NamesFull { jail }));
            }
            return;
        }
        if outcome == Outcome::Failure {
            self.note_future(now, at, told.record.time, out);
        }
        let unknown = Unknown::Addresses(host.clone());
        let awaited = self.defer(now, at, outcome, told, unknown);
        out.push(Decision::Await(awaited.clone()));
        self.unresolved.add(now, &host, awaited);
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

    /// Lets no name wait any longer that the settings do not want.
    pub(super) fn give_up_names(&mut self, out: &mut Vec<Decision>) {
        let policy = &self.policy;
        let gone = self
            .unresolved
            .retain(|awaited| wants_names(policy, &awaited.jail));
        out.extend(gone.iter().map(|awaited| Decision::Answered(awaited.id)));
    }
}
