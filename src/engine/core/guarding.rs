//! Who is not banned at this moment, lest somebody be locked out?
//!
//! In: addresses that are guarded, and bans that a jail is about to make. Out: a word about each that is not made.

use super::Engine;
use crate::engine::decision::{Decision, Notice};
use crate::engine::ignore::{AddressSet, IgnoreRule};
use crate::engine::name::JailName;
use crate::engine::policy::JailPolicy;
use crate::engine::prefix::Prefix;

/// Whether a jail never bans a network: by its settings, or lest somebody be locked out.
pub(super) fn spares(jail: &JailPolicy, guarded: &AddressSet, network: Prefix) -> bool {
    jail.protects(network).is_some() || guarded.find(&network).is_some()
}

impl Engine {
    /// The rule that keeps jails from banning a subject at this moment.
    pub fn guards(&self, subject: Prefix) -> Option<&IgnoreRule> {
        self.guarded.find(&subject)
    }

    /// Takes note of who is guarded from now on.
    pub(super) fn guard(&mut self, addresses: &AddressSet) {
        self.guarded.clone_from(addresses);
        self.guarded_told
            .retain(|(_, subject)| addresses.find(subject).is_some());
    }

    /// Whether a jail must not make a ban, which is told once.
    pub(super) fn is_guarded(
        &mut self,
        jail: &JailName,
        subject: Prefix,
        out: &mut Vec<Decision>,
    ) -> bool {
        let Some(rule) = self.guarded.find(&subject) else {
            return false;
        };
        if self.guarded_told.insert((jail.clone(), subject)) {
            out.push(Decision::Notice(Notice::Spared {
                jail: jail.clone(),
                subject,
                because: rule.because.clone(),
            }));
        }
        true
    }
}
