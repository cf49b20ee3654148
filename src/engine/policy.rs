//! What has the administrator asked for?
//!
//! Typed settings of the engine, complete and checked: `config` makes them, the engine obeys. Nothing
//! here is text to be parsed later.

use std::net::IpAddr;
use std::num::NonZeroU32;

use super::filter::FilterSet;
use super::filter::sieve::Sieve;
use super::jail::escalation::Escalation;
use super::jail::network::NetworkRule;
use super::name::{ActionName, JailName, SourceName};
use super::prefix::{Prefix, SubjectWidth};
use super::record::journal::RouteId;
use super::time::{BanTime, FindTime};

/// How many failures within findtime make a ban.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct MaxRetry(pub NonZeroU32);

/// Everything the engine needs to judge records.
#[derive(Clone, Debug)]
pub struct Policy {
    /// All compiled filters; [`JailPolicy::filter`] points into it.
    pub filters: FilterSet,
    /// The enabled jails, in the order of the configuration.
    pub jails: Vec<JailPolicy>,
}

impl Policy {
    /// Whether a jail counts the bans of others.
    pub fn counts_bans(&self, jail: &JailPolicy) -> bool {
        self.filters.spec(jail.filter).records.bans
    }

    /// The sieve for lines of a source; `None` if a jail that listens there has to see all of them.
    pub fn sieve(&self, source: &SourceName) -> Option<Sieve> {
        let listening = self
            .jails
            .iter()
            .filter(|jail| jail.sources.contains(source));
        let filters: Vec<_> = listening.map(|jail| jail.filter).collect();
        self.filters.sieve(&filters)
    }
}

/// One enabled jail.
#[derive(Clone, Debug)]
pub struct JailPolicy {
    /// Its name.
    pub name: JailName,
    /// Which filter of the set recognises its failures.
    pub filter: FilterId,
    /// The sources it listens to.
    pub sources: Vec<SourceName>,
    /// Of these, the sources of which only records count that name their program, since its filter names programs and
    /// the jail has not chosen them for that: whoever logs there without a name could be any program.
    pub named_only: Vec<SourceName>,
    /// Which journal entries it wants, as the number the journal source knows the match by;
    /// `None` if it listens to no journal.
    pub route: Option<RouteId>,
    /// Failures that make a ban.
    pub maxretry: MaxRetry,
    /// The window they must lie in.
    pub findtime: FindTime,
    /// How long the first ban of a subject lasts.
    pub bantime: BanTime,
    /// How further ones grow longer; `None` if they do not.
    pub escalation: Option<Escalation>,
    /// Which networks are banned as a whole, of each family the narrowest first.
    pub networks: Vec<NetworkRule>,
    /// Who is never banned.
    pub ignore: IgnoreList,
    /// What counts as one subject.
    pub width: SubjectWidth,
    /// What puts a ban into effect.
    pub actions: Vec<ActionName>,
}

/// The number of a compiled filter in its [`FilterSet`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FilterId(pub u16);

/// Addresses and networks that are never banned, each with the words it was written with.
#[derive(Clone, Debug, Default)]
pub struct IgnoreList {
    rules: Vec<IgnoreRule>,
}

/// One entry of an [`IgnoreList`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IgnoreRule {
    /// The addresses it covers.
    pub prefix: Prefix,
    /// Where it comes from, for `explain`: `ignoreip 10.0.0.0/8`, `own address`.
    pub because: Box<str>,
}

impl IgnoreList {
    /// A list of these rules.
    pub fn new(rules: Vec<IgnoreRule>) -> Self {
        IgnoreList { rules }
    }

    /// The rule that keeps `address` from being counted.
    pub fn covers(&self, address: IpAddr) -> Option<&IgnoreRule> {
        let address = address.to_canonical();
        let mut rules = self.rules.iter();
        rules.find(|rule| rule.prefix.contains_canonical(address))
    }

    /// The rule that keeps `subject` from being banned: one that shares any address with it.
    pub fn protects(&self, subject: Prefix) -> Option<&IgnoreRule> {
        self.rules.iter().find(|rule| rule.prefix.overlaps(subject))
    }

    /// All rules, in the order of the configuration.
    pub fn rules(&self) -> &[IgnoreRule] {
        &self.rules
    }
}
