//! Where does somebody stand in each jail?
//!
//! In: an address, a network or a name. Out: what is held against it, by whom, and what would come of it. Nothing is
//! changed.

use super::Engine;
use super::guarding::spares;
use crate::engine::decision::Origin;
use crate::engine::explain::{Place, Verdict};
use crate::engine::subject::Subject;
use crate::engine::time::Timestamp;

impl Engine {
    /// What each jail has to say about `subject`: at least one verdict of each that bans such subjects.
    pub fn explain(&self, now: Timestamp, subject: &Subject) -> Vec<Verdict> {
        let mut verdicts = Vec::new();
        let network = subject.network();
        let guard = network.and_then(|own| self.guards(own));
        let jails = self.policy.jails.iter().zip(&self.jails);
        for (at, (policy, state)) in jails.enumerate() {
            if !policy.bans(subject) {
                continue;
            }
            let mut places = Vec::new();
            for (subject, ban) in self.ledger.overlapping(&policy.name, subject) {
                places.push(Place::Banned {
                    subject,
                    ban,
                    in_effect: self.is_in_effect(&policy.name, &ban),
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
                        subject: subject.clone(),
                        failures,
                        oldest_leaves,
                    });
                }
            }
            let around = |own| state.networks.around(&policy.networks, own, now);
            let mut gathering = network.map(around).unwrap_or_default();
            gathering.retain(|(network, ..)| !spares(policy, &self.guarded, *network));
            if places.is_empty() {
                match network.and_then(|own| policy.protects(own)) {
                    Some(rule) => places.push(Place::Ignored {
                        because: rule.because.clone(),
                    }),
                    None if guard.is_some() => {}
                    None if gathering.iter().any(|(other, ..)| Some(*other) == network) => {}
                    None => places.push(Place::Clear),
                }
            }
            let is_banned = |place: &Place| matches!(place, Place::Banned { .. });
            if let Some(rule) = guard.filter(|_| !places.iter().any(is_banned)) {
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
            if let Some((rule, own)) = policy.accounts.zip(network) {
                let attacking = state.accounts.attacking(rule, own, now).into_iter();
                let attacking = attacking.filter(|attacking| {
                    let subject = attacking.subject;
                    !self.is_kept_out(at, &subject.into(), Some(subject.address()), now)
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
                    Place::Banned { subject, .. } | Place::Watched { subject, .. } => {
                        Some(subject.clone())
                    }
                    Place::Attacking { subject, .. } => Some((*subject).into()),
                    Place::Clear => match network {
                        None => Some(subject.clone()),
                        Some(host) if host.is_host() => {
                            Some(policy.width.subject(host.address()).into())
                        }
                        Some(_) => None,
                    },
                    Place::Gathering { .. } | Place::Ignored { .. } => None,
                };
                let whom = whom.filter(|_| policy.minds_offences());
                let next = whom.as_ref().map(|subject| self.next_ban(at, subject, now));
                let instead = whom.zip(next).and_then(|(subject, next)| {
                    self.network_instead(at, &subject, next.offence, Origin::Failures)
                });
                Verdict {
                    jail: policy.name.clone(),
                    place,
                    next,
                    instead,
                }
            }));
        }
        verdicts
    }
}
