//! What has the administrator asked for?
//!
//! Typed settings of the engine, complete and checked: `config` makes them, the engine obeys. Nothing
//! here is text to be parsed later.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::num::NonZeroU32;
use std::sync::Arc;

use super::atlas::Atlas;
use super::decision::words;
use super::filter::sieve::Sieve;
use super::filter::{Capture, FilterSet, forwarded};
pub use super::ignore::{AddressSet, IGNOREIP, IgnoreList, IgnoreRule, SetName};
use super::jail::Threshold;
use super::jail::accounts::AccountRule;
use super::jail::class::ClassRule;
use super::jail::escalation::Escalation;
use super::jail::network::NetworkRule;
use super::jail::response::{Response, Responses};
use super::jail::siege::SiegeRule;
use super::ledger::Standing;
use super::name::{ActionName, JailName, SourceName, slips};
use super::prefix::{Prefix, SubjectWidth};
use super::record::journal::RouteId;
use super::subject::Subject;
use super::time::{BanTime, FindTime};

/// How many failures within findtime make a ban.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct MaxRetry(pub NonZeroU32);

/// What a jail counts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Counting {
    /// Each failure.
    #[default]
    Failures,
    /// For how many different accounts a subject has failed; a failure that names none does not count.
    Users,
}

/// Whether a jail has names looked up that a log gives instead of addresses.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum UseDns {
    /// It does not: such a record does not count.
    #[default]
    No,
    /// It does, and says of each name that it was looked up.
    Warn,
    /// It does.
    Yes,
}

words! { UseDns:
    No = "no",
    Warn = "warn",
    Yes = "yes",
}

/// Everything the engine needs to judge records.
#[derive(Clone, Debug)]
pub struct Policy {
    /// All compiled filters; [`JailPolicy::filter`] points into it.
    pub filters: FilterSet,
    /// The enabled jails, in the order of the configuration.
    pub jails: Vec<JailPolicy>,
    /// Jails that are left out by a mistake.
    pub left_out: LeftOut,
    /// What is known of addresses.
    pub atlas: Arc<Atlas>,
}

/// Jails that are meant to run and do not, or do nothing to whoever is banned, because of a mistake in the configuration: nobody
/// has asked for an end of their bans.
#[derive(Clone, Debug, Default)]
pub struct LeftOut {
    /// Those that are known.
    known: BTreeSet<JailName>,
    /// Those that the configuration wants off, in so many words.
    off: BTreeSet<JailName>,
    /// Whether any other jail may be one of them, since a part of the configuration could not be read.
    has_others: bool,
    /// Those that somebody ended since.
    ended: BTreeSet<JailName>,
}

impl LeftOut {
    /// These are known, those are meant to be off, and there may be others.
    pub fn of(known: BTreeSet<JailName>, off: BTreeSet<JailName>, has_others: bool) -> LeftOut {
        LeftOut {
            known,
            off,
            has_others,
            ended: BTreeSet::new(),
        }
    }

    /// Whether a jail of which nothing is said may be one of these, under a name with a slip of the pen.
    fn has_misspelt(&self, jail: &JailName) -> bool {
        let mut known = self.known.iter();
        !self.off.contains(jail) && known.any(|one| slips(one.as_str(), jail.as_str()).is_some())
    }

    /// Notes that somebody wants the end of a jail.
    pub fn end(&mut self, jail: &JailName) {
        self.known.remove(jail);
        self.ended.insert(jail.clone());
    }

    /// The jails that somebody ended since the configuration was read.
    pub fn ended(&self) -> impl Iterator<Item = &JailName> {
        self.ended.iter()
    }
}

impl Policy {
    /// Whether a jail counts the bans of others.
    pub fn counts_bans(&self, jail: &JailPolicy) -> bool {
        self.filters.spec(jail.filter).records.bans
    }

    /// The jails that do their work and would do it no longer under `next`, because of a mistake.
    pub fn lost_in(&self, next: &Policy) -> Vec<JailName> {
        let names = self.jails.iter().map(|jail| &jail.name);
        let is_lost = |jail: &&JailName| next.misses(jail) && !self.misses(jail);
        names.filter(is_lost).cloned().collect()
    }

    /// Whether a jail does not do its work because of a mistake.
    pub fn misses(&self, jail: &JailName) -> bool {
        let left_out = &self.left_out;
        if left_out.known.contains(jail) {
            return true;
        }
        let is_there = || self.jails.iter().any(|one| one.name == *jail);
        let may_be_another = left_out.has_others || left_out.has_misspelt(jail);
        may_be_another && !left_out.ended.contains(jail) && !is_there()
    }

    /// The first class of a jail that an address belongs to.
    pub fn class<'j>(&self, jail: &'j JailPolicy, address: IpAddr) -> Option<&'j ClassRule> {
        if jail.classes.is_empty() {
            return None;
        }
        let whereabouts = self.atlas.find(address);
        let mut classes = jail.classes.iter();
        classes.find(|class| class.holds(&whereabouts))
    }

    /// How many failures of an address, or of whoever has none, make a ban, but for a siege.
    pub fn maxretry(&self, jail: &JailPolicy, address: Option<IpAddr>) -> MaxRetry {
        let class = address.and_then(|address| self.class(jail, address));
        class.map_or(jail.maxretry, |class| class.maxretry)
    }

    /// The actions that keep out whom a ban of a jail concerns, or let him through more slowly.
    pub fn keepers_of<'p>(
        &'p self,
        jail: &JailName,
        ban: &Standing,
    ) -> impl Iterator<Item = &'p ActionName> + use<'p> {
        let mut jails = self.jails.iter();
        let jail = jails.find(|policy| policy.name == *jail);
        let keepers = jail.map(|jail| jail.responses.keepers_of(ban).collect::<Vec<_>>());
        keepers.into_iter().flatten()
    }

    /// Whether an action puts a ban of a jail into effect.
    pub fn puts_into_effect(
        &self,
        action: &ActionName,
        jail: &JailName,
        standing: &Standing,
    ) -> bool {
        let mut jails = self.jails.iter();
        jails
            .find(|policy| policy.name == *jail)
            .is_some_and(|policy| {
                let mut actions = policy.responses.actions_of(standing);
                actions.any(|own| own == action)
            })
    }

    /// The sets of addresses that somebody has to keep an eye on: those that ignore lists name, and whoever would be
    /// locked out if that is to be guarded against.
    pub fn sets(&self, guard: bool) -> BTreeSet<SetName> {
        let sets = self.jails.iter().flat_map(JailPolicy::sets);
        let named = sets.map(|(set, _)| set.clone());
        named.chain(guard.then_some(SetName::Guarded)).collect()
    }

    /// The programs that jails want to be asked whom they spare.
    pub fn commands(&self) -> BTreeMap<JailName, SetName> {
        let commands = self.jails.iter().filter_map(|jail| {
            let command = jail.ignore.command()?;
            Some((jail.name.clone(), command.clone()))
        });
        commands.collect()
    }

    /// The sieve for lines of a source; `None` if a jail that listens there has to see all of them.
    pub fn sieve(&self, source: &SourceName) -> Option<Sieve> {
        self.sieve_of(|jail| jail.sources.contains(source))
    }

    /// The sieve for lines of which all jails hear.
    pub fn sieve_of_all(&self) -> Option<Sieve> {
        self.sieve_of(|_| true)
    }

    fn sieve_of(&self, listens: impl Fn(&JailPolicy) -> bool) -> Option<Sieve> {
        let listening = self.jails.iter().filter(|jail| listens(jail));
        let filters = listening.flat_map(|jail| [Some(jail.filter), jail.logins]);
        let filters: Vec<_> = filters.flatten().collect();
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
    /// Which one recognises who was let in; `None` if its filter knows nothing of that.
    pub logins: Option<FilterId>,
    /// Whether it passes over all that it hears, since somebody has said so while it ran. Its bans go on.
    pub is_idle: bool,
    /// The sources it listens to.
    pub sources: Vec<SourceName>,
    /// Of these, the sources of which only records count that name their program, since its filter names programs and
    /// the jail has not chosen them for that: whoever logs there without a name could be any program.
    pub named_only: Vec<SourceName>,
    /// Which journal entries it wants, as the number the journal source knows the match by;
    /// `None` if it listens to no journal.
    pub route: Option<RouteId>,
    /// What makes a ban,
    pub counting: Counting,
    /// so many of it.
    pub maxretry: MaxRetry,
    /// Of whom other numbers of them do; the first that holds counts.
    pub classes: Vec<ClassRule>,
    /// The window they must lie in.
    pub findtime: FindTime,
    /// How long the first ban of a subject lasts.
    pub bantime: BanTime,
    /// How further ones grow longer; `None` if they do not.
    pub escalation: Option<Escalation>,
    /// Which networks are banned as a whole, of each family the narrowest first.
    pub networks: Vec<NetworkRule>,
    /// When all are banned who have failed for one account; `None` if that is never looked at.
    pub accounts: Option<AccountRule>,
    /// When stricter settings hold; `None` if they never do.
    pub siege: Option<SiegeRule>,
    /// Whether names are looked up.
    pub usedns: UseDns,
    /// By which capture whoever is banned is known; `None` if it is by his address.
    pub named_by: Option<Capture>,
    /// Who is never banned.
    pub ignore: IgnoreList,
    /// Which proxies are believed for whom they speak; none of them is ever banned either.
    pub trusted: IgnoreList,
    /// What counts as one subject.
    pub width: SubjectWidth,
    /// What is done about a ban.
    pub responses: Responses,
}

impl JailPolicy {
    /// How many failures of one subject are too many, if so many of what the jail counts are.
    pub fn threshold(&self, maxretry: MaxRetry) -> Threshold {
        Threshold {
            maxretry,
            findtime: self.findtime,
            is_distinct: self.counting == Counting::Users,
        }
    }

    /// The rule that keeps `address` from being counted.
    pub fn covers(&self, address: IpAddr) -> Option<&IgnoreRule> {
        self.protects(Prefix::host(address))
    }

    /// The rule that keeps `subject` from being banned.
    #[inline]
    pub fn protects(&self, subject: Prefix) -> Option<&IgnoreRule> {
        let ignored = self.ignore.protects(subject);
        ignored.or_else(|| self.trusted.protects(subject))
    }

    /// The sets of addresses that it names, each with what it holds.
    pub fn sets(&self) -> impl Iterator<Item = (&SetName, &AddressSet)> {
        self.ignore.sets().chain(self.trusted.sets())
    }

    /// Takes note of what a set holds now; whether that is something else than before.
    pub fn fill(&mut self, set: &SetName, addresses: &AddressSet) -> bool {
        let lists = [&mut self.ignore, &mut self.trusted];
        let filled = lists.map(|list| list.fill(set, addresses));
        filled.contains(&true)
    }

    /// Whose failure a record tells of that a host has caused which says that it speaks for others: of a trusted proxy it
    /// is whoever the proxy speaks for.
    pub fn counted(&self, address: IpAddr, forwarded: &str) -> Option<IpAddr> {
        let is_trusted = |address| self.trusted.covers(address).is_some();
        match is_trusted(address) {
            true => forwarded::client(forwarded, is_trusted),
            false => Some(address),
        }
    }

    /// The networks around an address that it may ban.
    pub fn networks_around(&self, address: IpAddr) -> impl Iterator<Item = Prefix> {
        let rules = self.networks.iter();
        let hostile = rules.filter_map(move |rule| rule.width.network(address));
        let widths = self.responses.widths();
        hostile.chain(widths.map(move |width| width.subject(address)))
    }

    /// Whether it is one of them.
    pub fn may_ban_network(&self, network: Prefix) -> bool {
        let mut around = self.networks_around(network.address());
        around.any(|known| known == network)
    }

    /// Whether it makes a difference how often a subject was banned before.
    pub fn minds_offences(&self) -> bool {
        self.escalation.is_some() || self.responses.are_graded()
    }

    /// What is done about a ban.
    pub fn response_to(&self, ban: &Standing) -> &Response {
        self.responses.to(ban.offence, ban.origin)
    }

    /// Whether it is for such subjects: a jail bans either networks or names.
    pub fn bans(&self, subject: &Subject) -> bool {
        self.named_by.is_some() == subject.name().is_some()
    }

    /// The most failures of a subject that may have to be remembered.
    pub fn most_retries(&self) -> MaxRetry {
        let classes = self.classes.iter().map(|class| class.maxretry);
        classes.fold(self.maxretry, MaxRetry::max)
    }
}

/// The number of a compiled filter in its [`FilterSet`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FilterId(pub u16);
