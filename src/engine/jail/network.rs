//! Which networks attack?
//!
//! In: the failures of hosts. Out: the narrowest network that explains enough of them. One that holds an address that is
//! never banned is not watched at all.

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::num::NonZeroU32;

use super::super::decision::FailureId;
use super::super::policy::MaxRetry;
use super::super::prefix::Prefix;
use super::super::time::{FindTime, Timestamp};
use super::accounts::Account;
use super::{Counted, Threshold, Windows, ids};

/// How many networks one jail watches at once, if that is not too many failures.
pub const MOST_NETWORKS: usize = 16_384;

/// How many leading bits of an address make a network, and of which family's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NetworkWidth {
    /// 8 to 31 bits of an IPv4 address.
    Ipv4(u8),
    /// 16 to 127 bits of an IPv6 address.
    Ipv6(u8),
}

impl NetworkWidth {
    /// The network that `address` belongs to; `None` if it is of the other family.
    pub fn network(self, address: IpAddr) -> Option<Prefix> {
        let address = address.to_canonical();
        match self {
            NetworkWidth::Ipv4(bits) if address.is_ipv4() => Some(Prefix::network(address, bits)),
            NetworkWidth::Ipv6(bits) if address.is_ipv6() => Some(Prefix::network(address, bits)),
            _ => None,
        }
    }
}

/// When a network of some width is hostile.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NetworkRule {
    /// How wide it is.
    pub width: NetworkWidth,
    /// From so many of its subjects failures come,
    pub hosts: NonZeroU32,
    /// so many together, the newest ones,
    pub maxretry: MaxRetry,
    /// within this time.
    pub findtime: FindTime,
}

impl NetworkRule {
    fn threshold(&self) -> Threshold {
        Threshold {
            maxretry: self.maxretry,
            findtime: self.findtime,
            is_distinct: false,
        }
    }
}

/// The networks of one jail from which failures came.
#[derive(Debug)]
pub struct Networks {
    windows: Windows<Prefix, Member>,
}

impl Default for Networks {
    fn default() -> Self {
        Networks {
            windows: Windows::bounded(MOST_NETWORKS),
        }
    }
}

/// Whose failure it is, and for which account.
type Member = (Prefix, Option<Account>);

/// What a failure has brought about.
#[derive(Debug, Default)]
pub struct Judged {
    /// The network to be banned, and the failures that tell so.
    pub hostile: Option<(Prefix, Vec<FailureId>)>,
    /// So many networks were forgotten to make room.
    pub evicted: usize,
}

impl Networks {
    /// Counts a failure of a subject to which `address` belongs, in each network that is `allowed` to be banned. `rules`
    /// are in order, of each family the narrowest first: what a narrow network explains is no sign of a wide one. Whether a network
    /// is banned `decides` whoever knows; he hears whether it has failed enough.
    pub fn count(
        &mut self,
        rules: &[NetworkRule],
        address: IpAddr,
        failure: Counted<Member>,
        allowed: impl Fn(Prefix) -> bool,
        decides: impl Fn(Prefix, bool) -> bool,
    ) -> Judged {
        let mut judged = Judged::default();
        for rule in rules {
            let Some(network) = rule.width.network(address) else {
                continue;
            };
            if !allowed(network) {
                // A wider one holds what this one holds.
                break;
            }
            if let Some((hostile, _)) = judged.hostile {
                self.windows
                    .retain_of(&network, |(.., (subject, _))| !hostile.holds(subject));
                continue;
            }
            judged.evicted += self.windows.make_room(failure.0, most(rules));
            let enough =
                |failures: &[Counted<Member>]| hosts(failures) >= rule.hosts.get() as usize;
            let evidence = self
                .windows
                .count(network, failure, rule.threshold(), enough);
            if decides(network, evidence.is_some()) {
                self.windows.forget(&network);
                let evidence = evidence.unwrap_or_default();
                judged.hostile = Some((network, ids(&evidence)));
            }
        }
        judged
    }

    /// Forgets failures of `subject`, those that are `taken_back`; answers with them.
    pub fn forgive(
        &mut self,
        rules: &[NetworkRule],
        subject: Prefix,
        taken_back: impl Fn(Counted<Option<Account>>) -> bool,
    ) -> BTreeSet<FailureId> {
        let is_his = |(time, id, (other, account)): Counted<Member>| {
            other == subject && taken_back((time, id, account))
        };
        let mut forgiven = BTreeSet::new();
        for rule in rules {
            let Some(network) = rule.width.network(subject.address()) else {
                continue;
            };
            if let Some(window) = self.windows.get(&network) {
                let his = window.failures().filter(|failure| is_his(*failure));
                forgiven.extend(his.map(|(_, id, _)| id));
                self.windows.retain_of(&network, |failure| !is_his(failure));
            }
        }
        forgiven
    }

    /// Forgets what came from a network up to its ban: it is no sign of a wider one either.
    pub fn settle(&mut self, rules: &[NetworkRule], network: Prefix, start: Timestamp) {
        for rule in rules {
            let around = rule.width.network(network.address());
            if let Some(around) = around.filter(|around| around.holds(network)) {
                self.windows.retain_of(&around, |(time, _, (subject, _))| {
                    time > start || !network.holds(subject)
                });
            }
        }
    }

    /// Forgets all networks of which this is so.
    pub fn forget_all(&mut self, gone: impl Fn(Prefix) -> bool) {
        self.windows.forget_all(|network| gone(*network));
    }

    /// Forgets networks whose last failure is further back than any rule looks.
    pub fn forget_stale(&mut self, now: Timestamp, rules: &[NetworkRule]) {
        self.windows.forget_stale(now, most(rules).findtime);
    }

    /// The networks around `subject` from which failures came: how many hosts, how many failures within the rule's
    /// findtime before `now`.
    pub fn around(
        &self,
        rules: &[NetworkRule],
        subject: Prefix,
        now: Timestamp,
    ) -> Vec<(Prefix, NetworkRule, usize, usize)> {
        let mut around = Vec::new();
        for rule in rules {
            let network = rule.width.network(subject.address());
            let window = network.and_then(|network| Some((network, self.windows.get(&network)?)));
            let Some((network, window)) = window else {
                continue;
            };
            let start = now.before(rule.findtime.0);
            let failures = window.failures().filter(|(time, ..)| *time >= start);
            let failures: Vec<_> = failures.collect();
            if network.holds(subject) && !failures.is_empty() {
                around.push((network, *rule, hosts(&failures), failures.len()));
            }
        }
        around
    }

    /// Whether no network is under watch.
    pub fn is_empty(&self) -> bool {
        self.windows.is_empty()
    }
}

/// How far back the rules look, and at how many failures, at the most.
fn most(rules: &[NetworkRule]) -> Threshold {
    let spans = rules.iter().map(|rule| rule.findtime.0);
    let counts = rules.iter().map(|rule| rule.maxretry);
    Threshold {
        maxretry: counts.max().unwrap_or(MaxRetry(NonZeroU32::MIN)),
        findtime: FindTime(spans.max().unwrap_or_default()),
        is_distinct: false,
    }
}

/// How many different subjects failed.
fn hosts(failures: &[Counted<Member>]) -> usize {
    let mut subjects: Vec<_> = failures.iter().map(|(.., (subject, _))| *subject).collect();
    subjects.sort_unstable();
    subjects.dedup();
    subjects.len()
}
