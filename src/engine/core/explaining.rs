//! Where does somebody stand in each jail?
//!
//! In: an address or network. Out: what is held against it, by whom, and what would come of it. Nothing is changed.

use super::Engine;
use super::guarding::spares;
use crate::engine::explain::{Place, Verdict};
use crate::engine::prefix::Prefix;
use crate::engine::time::Timestamp;

impl Engine {
    /// What each jail has to say about `subject`: at least one verdict a jail.
    pub fn explain(&self, now: Timestamp, subject: Prefix) -> Vec<Verdict> {
        let mut verdicts = Vec::new();
        let jails = self.policy.jails.iter().zip(&self.jails);
        for (at, (policy, state)) in jails.enumerate() {
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
                    .filter(|(time, ..)| *time >= start)
                    .map(|(time, id, _)| (time, id))
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
            let mut gathering = state.networks.around(&policy.networks, subject, now);
            gathering.retain(|(network, ..)| !spares(policy, &self.guarded, *network));
            if places.is_empty() {
                match policy.ignore.protects(subject) {
                    Some(rule) => places.push(Place::Ignored {
                        because: rule.because.clone(),
                    }),
                    None if self.guards(subject).is_some() => {}
                    None if gathering.iter().any(|(network, ..)| *network == subject) => {}
                    None => places.push(Place::Clear),
                }
            }
            let is_banned = |place: &Place| matches!(place, Place::Banned { .. });
            if let Some(rule) = self
                .guards(subject)
                .filter(|_| !places.iter().any(is_banned))
            {
                places.push(Place::Ignored {
                    because: rule.because.clone(),
                });
            }
            places.extend(
                gathering
                    .into_iter()
                    .map(|(network, rule, hosts, failures)| Place::Gathering {
                        network,
                        rule,
                        hosts,
                        failures,
                    }),
            );
            if let Some(rule) = policy.accounts {
                let attacking = state.accounts.attacking(rule, subject, now).into_iter();
                let attacking = attacking.filter(|attacking| {
                    let subject = attacking.subject;
                    !self.ledger.covers(&policy.name, subject, subject.address())
                });
                places.extend(attacking.map(|attacking| Place::Attacking {
                    subject: attacking.subject,
                    rule,
                    hosts: attacking.hosts,
                    due: attacking.due,
                    failures: attacking.failures,
                }));
            }
            verdicts.extend(places.into_iter().map(|place| {
                let whom = match &place {
                    Place::Banned { subject, .. }
                    | Place::Watched { subject, .. }
                    | Place::Attacking { subject, .. } => Some(*subject),
                    Place::Clear if subject.is_host() => {
                        Some(policy.width.subject(subject.address()))
                    }
                    Place::Gathering { .. } | Place::Ignored { .. } | Place::Clear => None,
                };
                let whom = whom.filter(|_| policy.escalation.is_some());
                let next = whom.map(|subject| self.next_ban(at, subject, now));
                Verdict {
                    jail: policy.name.clone(),
                    place,
                    next,
                }
            }));
        }
        verdicts
    }
}
