//! Whom would other thresholds have banned, and which are to be proposed?
//!
//! In: what the engine decides for the usual jail of each filter and for some that are stricter or milder, and who was
//! let in. Out: the thresholds, with the reason for them. The engine counts; here it is only compared.

use std::collections::{BTreeSet, HashMap};
use std::net::IpAddr;
use std::num::NonZeroU32;
use std::time::Duration;

use foldhash::{HashSet, HashSetExt};

use crate::engine::decision::Ban;
use crate::engine::name::JailName;
use crate::engine::policy::{JailPolicy, MaxRetry, Policy};
use crate::engine::prefix::Prefix;
use crate::engine::subject::Subject;
use crate::engine::time::FindTime;

/// What is tried beside the usual thresholds, the strictest first: each bans whom the next one bans. Slow attackers are
/// seen by a long findtime alone; the mildest is for services that people fail at.
const LADDER: [(u32, u64); 4] = [(3, 86_400), (5, 86_400), (5, 3_600), (10, 600)];

/// So many banned subjects of each trial are told apart, in some 4 MB; of further ones only the bans are counted.
const MOST_BANNED: usize = 57_344;

/// So many addresses that were let in are remembered: those who log in are few, and nobody else can add to them.
const MOST_LOGINS: usize = 16_384;

/// When a jail bans.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Thresholds {
    /// So many failures
    pub maxretry: MaxRetry,
    /// within this time.
    pub findtime: FindTime,
}

impl Thresholds {
    fn of(jail: &JailPolicy) -> Self {
        Thresholds {
            maxretry: jail.maxretry,
            findtime: jail.findtime,
        }
    }

    /// Whether whoever is banned by `other` is banned by these, and they are not the same.
    fn are_stricter(self, other: Self) -> bool {
        self != other && self.maxretry <= other.maxretry && self.findtime >= other.findtime
    }
}

/// What one jail would have done.
#[derive(Clone, Debug)]
pub struct Trial {
    /// Its filter's place.
    pub filter: usize,
    /// When it bans.
    pub thresholds: Thresholds,
    /// Its bans.
    pub bans: u64,
    /// Whom it banned.
    banned: HashSet<Subject>,
    /// Whether there were more than are told apart.
    pub is_cut: bool,
}

impl Trial {
    /// How many it banned.
    pub fn banned(&self) -> usize {
        self.banned.len()
    }

    /// Those of some addresses that were banned, by themselves or with a network.
    pub fn banned_of(
        &self,
        addresses: impl Iterator<Item = IpAddr>,
    ) -> impl Iterator<Item = IpAddr> {
        let networks = self.banned.iter().filter_map(Subject::network);
        // There are only a few.
        let widths: BTreeSet<u8> = networks.map(Prefix::width).collect();
        addresses.filter(move |address| {
            let mut around = widths.iter().map(|width| Prefix::network(*address, *width));
            around.any(|network| self.banned.contains(&Subject::from(network)))
        })
    }

    /// Those who were let in among them.
    fn harmed(&self, logins: &Logins) -> Vec<IpAddr> {
        let mut harmed: Vec<_> = self.banned_of(logins.addresses.iter().copied()).collect();
        harmed.sort_unstable();
        harmed
    }
}

/// Who was let in.
#[derive(Debug)]
pub struct Logins {
    addresses: HashSet<IpAddr>,
    /// How many addresses there are of each filter, by its place, as far as they are remembered.
    of_filter: Vec<HashSet<IpAddr>>,
    count: usize,
}

impl Logins {
    /// Nobody, by so many filters.
    pub fn of(filters: usize) -> Self {
        Logins {
            addresses: HashSet::new(),
            of_filter: vec![HashSet::new(); filters],
            count: 0,
        }
    }

    /// A filter knows that an address was let in.
    pub fn add(&mut self, filter: usize, address: IpAddr) {
        if self.count >= MOST_LOGINS {
            return;
        }
        let address = address.to_canonical();
        self.addresses.insert(address);
        self.count += usize::from(self.of_filter[filter].insert(address));
    }

    /// From how many addresses somebody was let in by the service of a filter.
    pub fn of_filter(&self, filter: usize) -> usize {
        self.of_filter[filter].len()
    }
}

/// Why thresholds are proposed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reason {
    /// There is none for others than the usual ones.
    Usual,
    /// They ban more hosts than these, and nobody who was let in.
    Stricter {
        /// How many they ban,
        banned: usize,
        /// and how many the usual ones do.
        usual: usize,
    },
    /// The usual ones would have banned these who were let in.
    Milder(Vec<IpAddr>),
    /// All would have banned these who were let in.
    Harmful(Vec<IpAddr>),
}

/// The trials of all filters.
#[derive(Debug)]
pub struct Trials {
    /// By the place of their jail in the policy; the usual ones first, each at the place of its filter.
    trials: Vec<Trial>,
    places: HashMap<JailName, usize>,
}

impl Trials {
    /// Gives jails with other thresholds to a policy that has the usual one of each filter, where logins can tell
    /// whether these would have been better.
    pub fn of(policy: &mut Policy) -> Self {
        let usual = policy.jails.clone();
        for (filter, jail) in usual.iter().enumerate() {
            if jail.logins.is_none() {
                continue;
            }
            let others = ladder(Thresholds::of(jail)).into_iter().enumerate();
            policy.jails.extend(others.filter_map(|(at, thresholds)| {
                Some(JailPolicy {
                    // No filter ends so.
                    name: format!("{filter}.{at}_").parse().ok()?,
                    maxretry: thresholds.maxretry,
                    findtime: thresholds.findtime,
                    ..jail.clone()
                })
            }));
        }
        let trials = policy.jails.iter().map(|jail| Trial {
            filter: usize::from(jail.filter.0),
            thresholds: Thresholds::of(jail),
            bans: 0,
            banned: HashSet::new(),
            is_cut: false,
        });
        let places = policy.jails.iter().enumerate();
        Trials {
            trials: trials.collect(),
            places: places.map(|(at, jail)| (jail.name.clone(), at)).collect(),
        }
    }

    /// The filter whose usual jail this is.
    pub fn usual_of(&self, jail: &JailName) -> Option<usize> {
        let at = *self.places.get(jail)?;
        (self.trials[at].filter == at).then_some(at)
    }

    /// What the usual jail of a filter would have done.
    pub fn usual(&self, filter: usize) -> &Trial {
        &self.trials[filter]
    }

    /// Takes a ban into account.
    pub fn ban(&mut self, ban: Ban) {
        let Some(at) = self.places.get(&ban.jail) else {
            return;
        };
        let trial = &mut self.trials[*at];
        trial.bans += 1;
        if trial.banned.len() < MOST_BANNED {
            trial.banned.insert(ban.subject);
        } else {
            trial.is_cut |= !trial.banned.contains(&ban.subject);
        }
    }

    /// The thresholds to propose: the strictest of those that ban nobody who was let in, as long as each step bans more
    /// hosts; milder ones than usual if the usual ones ban somebody who was. Without a login at the service nothing
    /// speaks for others than the usual ones.
    pub fn choose(&self, filter: usize, logins: &Logins) -> (&Trial, Reason) {
        let usual = self.usual(filter);
        if logins.of_filter(filter) == 0 {
            return (usual, Reason::Usual);
        }
        let others = || self.trials.iter().filter(|trial| trial.filter == filter);
        let harmed = usual.harmed(logins);
        if !harmed.is_empty() {
            let mut milder =
                others().filter(|trial| usual.thresholds.are_stricter(trial.thresholds));
            return match milder.find(|trial| trial.harmed(logins).is_empty()) {
                Some(trial) => (trial, Reason::Milder(harmed)),
                None => (usual, Reason::Harmful(harmed)),
            };
        }
        let stricter: Vec<_> = others()
            .filter(|trial| trial.thresholds.are_stricter(usual.thresholds))
            .collect();
        let mut best = usual;
        for trial in stricter.into_iter().rev() {
            if !trial.harmed(logins).is_empty() {
                break;
            }
            if trial.banned() > best.banned() {
                best = trial;
            }
        }
        let reason = match best.thresholds == usual.thresholds {
            true => Reason::Usual,
            false => Reason::Stricter {
                banned: best.banned(),
                usual: usual.banned(),
            },
        };
        (best, reason)
    }
}

/// What can be compared with the usual thresholds: whatever is stricter or milder in both, the strictest first.
fn ladder(usual: Thresholds) -> Vec<Thresholds> {
    let rungs = LADDER.into_iter().filter_map(|(maxretry, findtime)| {
        Some(Thresholds {
            maxretry: MaxRetry(NonZeroU32::new(maxretry)?),
            findtime: FindTime(Duration::from_secs(findtime)),
        })
    });
    rungs
        .filter(|rung| rung.are_stricter(usual) || usual.are_stricter(*rung))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn thresholds(maxretry: u32, minutes: u64) -> Thresholds {
        Thresholds {
            maxretry: MaxRetry(NonZeroU32::new(maxretry).expect("a number")),
            findtime: FindTime(Duration::from_secs(60 * minutes)),
        }
    }

    /// Trials of one filter: of each its thresholds, and the last numbers of the addresses that it bans.
    fn trials(of: &[(Thresholds, &[u8])]) -> Trials {
        let trials = of.iter().map(|(thresholds, banned)| Trial {
            filter: 0,
            thresholds: *thresholds,
            bans: 0,
            banned: banned
                .iter()
                .map(|last| Subject::from(Prefix::host(address(*last))))
                .collect(),
            is_cut: false,
        });
        Trials {
            trials: trials.collect(),
            places: HashMap::new(),
        }
    }

    fn address(last: u8) -> IpAddr {
        [192, 0, 2, last].into()
    }

    fn chosen(trials: &Trials, logins: &[u8]) -> (u32, Reason) {
        let mut known = Logins::of(1);
        logins.iter().for_each(|last| known.add(0, address(*last)));
        let (trial, reason) = trials.choose(0, &known);
        (trial.thresholds.maxretry.0.get(), reason)
    }

    #[test]
    fn every_rung_is_milder_than_the_one_before() {
        let rungs = LADDER.map(|(maxretry, seconds)| thresholds(maxretry, seconds / 60));
        assert!(rungs.windows(2).all(|pair| pair[0].are_stricter(pair[1])));
        assert_eq!(ladder(thresholds(5, 10)).len(), 4);
        assert_eq!(
            ladder(thresholds(3, 10)),
            [thresholds(3, 1440), thresholds(10, 10)]
        );
        assert_eq!(ladder(thresholds(5, 60)).len(), 3);
    }

    #[test]
    fn the_strictest_is_chosen_that_bans_nobody_who_was_let_in() {
        let all = trials(&[
            (thresholds(5, 10), &[1]),
            (thresholds(3, 1440), &[1, 2, 3, 9]),
            (thresholds(4, 1440), &[1, 2, 3]),
            (thresholds(5, 1440), &[1, 2, 3]),
            (thresholds(10, 10), &[]),
        ]);
        let stricter = |banned| Reason::Stricter { banned, usual: 1 };
        assert_eq!(chosen(&all, &[100]), (3, stricter(4)));
        // 4 bans no more than 5.
        assert_eq!(chosen(&all, &[9]), (5, stricter(3)));
        assert_eq!(chosen(&all, &[2]), (5, Reason::Usual));
        assert_eq!(chosen(&all, &[1]), (10, Reason::Milder(vec![address(1)])));
        assert_eq!(chosen(&all, &[]), (5, Reason::Usual), "nobody was let in");
    }

    #[test]
    fn what_bans_people_whatever_is_done_is_told() {
        let all = trials(&[(thresholds(5, 10), &[1]), (thresholds(10, 10), &[1])]);
        assert_eq!(chosen(&all, &[1]), (5, Reason::Harmful(vec![address(1)])));
    }

    #[test]
    fn whoever_is_banned_with_a_network_is_banned() {
        let mut all = trials(&[(thresholds(5, 10), &[])]);
        let network = Subject::from(Prefix::network(address(0), 24));
        all.trials[0].banned.insert(network);
        let others = [address(7), [192, 0, 3, 7].into()].into_iter();
        assert_eq!(Vec::from_iter(all.usual(0).banned_of(others)), [address(7)]);
        assert_eq!(chosen(&all, &[7]).1, Reason::Harmful(vec![address(7)]));
    }
}
