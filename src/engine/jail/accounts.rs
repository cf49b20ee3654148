//! Which accounts do many hosts attack together, each of them too seldom to be banned for that?
//!
//! In: failures that name an account, and logins. Out: the hosts to be banned, each when its time of grace is over: until
//! it is let in, a person who mistypes is like an attacker. What an account is called is known here by a hash only, so
//! that a target or a session can be in its place.

use std::collections::{BTreeMap, BTreeSet};
use std::hash::{BuildHasher, RandomState};
use std::num::{NonZeroU32, NonZeroU64};
use std::time::Duration;

use foldhash::{HashMap, HashMapExt};

use super::super::decision::FailureId;
use super::super::filter::Capture;
use super::super::policy::MaxRetry;
use super::super::prefix::Prefix;
use super::super::record::kept::kept;
use super::super::time::{FindTime, Timestamp};
use super::{Counted, Threshold, Window, Windows};

/// How many accounts one jail watches at once, if that is not too many failures. Whoever invents names pushes out those
/// that few hosts have tried.
pub const MOST_ACCOUNTS: usize = 16_384;

/// How many hosts of one jail may wait for the end of their time of grace. When there are more, those that have waited
/// longest are banned before it.
pub const MOST_SUSPECTS: usize = 65_536;

/// For how many accounts a suspect is remembered to have failed: what a login must take back. Whoever fails for more of
/// them is no person who mistypes.
const MOST_TRIED: usize = 8;

/// When an account is under attack.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AccountRule {
    /// What is looked at: an account, or what is treated as one,
    pub by: Capture,
    /// when so many subjects fail for it,
    pub hosts: NonZeroU32,
    /// within this time, all of them are banned,
    pub findtime: FindTime,
    /// but for those that are let in by the end of this time after they failed. Of anything but an account a login
    /// takes nothing back, and nobody is waited for.
    pub grace: Duration,
}

impl AccountRule {
    fn threshold(&self) -> Threshold {
        Threshold {
            maxretry: MaxRetry(self.hosts),
            findtime: self.findtime,
            is_distinct: true,
        }
    }
}

/// An account, or a target or session that is watched like one, by a hash of its name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Account(NonZeroU64);

/// Knows accounts by their names. Nobody outside knows its key, so nobody can make two alike at will.
#[derive(Debug, Default)]
pub struct Directory(RandomState);

impl Directory {
    /// The account that is named, if one is.
    pub fn account_of(&self, name: Option<&str>) -> Option<Account> {
        name.map(|name| self.account(name))
    }

    /// The account of this name, also as it is kept. Case does not matter, nor do spaces around it: to a service that
    /// makes a difference, a name that differs in nothing else is a mistake, or an attempt to stay unseen.
    pub fn account(&self, name: &str) -> Account {
        let name = kept(name);
        let name = name.trim_matches(' ');
        let is_lower = name.bytes().all(|byte| !byte.is_ascii_uppercase());
        let number = match is_lower {
            true => self.0.hash_one(name),
            false => self.0.hash_one(name.to_ascii_lowercase()),
        };
        Account(NonZeroU64::new(number).unwrap_or(NonZeroU64::MIN))
    }
}

/// A subject that will be banned.
#[derive(Debug)]
struct Suspect {
    due: Timestamp,
    failures: Vec<(Account, Timestamp, FailureId)>,
}

/// The accounts of one jail for which hosts have failed.
#[derive(Debug)]
pub struct Accounts {
    windows: Windows<Account, Prefix>,
    suspects: HashMap<Prefix, Suspect>,
    /// The suspects in the order in which their time is over.
    due: BTreeSet<(Timestamp, Prefix)>,
}

/// A subject that has failed for an account for which others have failed as well.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Attacking {
    /// Who.
    pub subject: Prefix,
    /// How many have failed for the account that most of them have tried.
    pub hosts: usize,
    /// When it is banned, if it is and is not let in before.
    pub due: Option<Timestamp>,
    /// Its failures that tell so.
    pub failures: Vec<FailureId>,
}

/// A subject whose time of grace is over.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Convicted {
    /// Who.
    pub subject: Prefix,
    /// Since when.
    pub time: Timestamp,
    /// Its failures that tell so.
    pub evidence: Vec<FailureId>,
}

impl Default for Accounts {
    fn default() -> Self {
        Accounts {
            windows: Windows::bounded(MOST_ACCOUNTS),
            suspects: HashMap::new(),
            due: BTreeSet::new(),
        }
    }
}

impl Accounts {
    /// Counts a failure of `subject` for an account. `is_open` tells whether a failure may still help to ban its subject.
    /// Answers how many accounts were forgotten to make room.
    pub fn count(
        &mut self,
        rule: AccountRule,
        account: Account,
        failure: Counted<Prefix>,
        is_open: impl Fn(Counted<Prefix>) -> bool,
    ) -> usize {
        let threshold = rule.threshold();
        let now = failure.0;
        let evicted = self.windows.make_room(now, threshold);
        let attack = self
            .windows
            .count(account, failure, threshold, |_| true)
            .unwrap_or_default();
        for (time, id, subject) in attack {
            if is_open((time, id, subject)) {
                let due = time.after(rule.grace).max(now);
                self.suspect(subject, (account, time, id), due);
            }
        }
        evicted
    }

    /// Whoever has waited for the longest, if his time was over by `now`.
    pub fn convict(&mut self, now: Timestamp) -> Option<Convicted> {
        let (time, subject) = *self.due.first()?;
        if time > now && self.due.len() <= MOST_SUSPECTS {
            return None;
        }
        self.due.pop_first();
        let suspect = self.suspects.remove(&subject)?;
        // If there are too many to wait for, by its failures alone.
        let last = suspect.failures.iter().map(|(_, time, _)| *time).max();
        let time = last.filter(|_| time > now).unwrap_or(time);
        let mut evidence: Vec<_> = suspect.failures.into_iter().map(|(.., id)| id).collect();
        evidence.sort_unstable();
        Some(Convicted {
            subject,
            time,
            evidence,
        })
    }

    /// The subject was let in as `account`: what it had failed for that counts no more if it is `taken_back`. Answers
    /// with that. A suspect has failures of its own, since others may have pushed them out of the account's window.
    pub fn welcome(
        &mut self,
        account: Account,
        subject: Prefix,
        taken_back: impl Fn(Counted<Prefix>) -> bool,
    ) -> BTreeSet<FailureId> {
        let mut gone = BTreeSet::new();
        if let Some(suspect) = self.suspects.get_mut(&subject) {
            suspect.failures.retain(|(tried, time, id)| {
                let is_gone = *tried == account && taken_back((*time, *id, subject));
                if is_gone {
                    gone.insert(*id);
                }
                !is_gone
            });
            let is_cleared = suspect.failures.is_empty();
            if is_cleared {
                self.acquit(subject);
            }
        }
        let is_his = |failure: &Counted<Prefix>| failure.2 == subject && taken_back(*failure);
        let window = self.windows.get(&account).map(Window::failures);
        gone.extend(
            window
                .into_iter()
                .flatten()
                .filter(is_his)
                .map(|(_, id, _)| id),
        );
        self.windows
            .retain_of(&account, |(_, id, _)| !gone.contains(&id));
        gone
    }

    /// How many others had failed for an account that was under attack at `time`, as far as they are remembered; 0 if
    /// it was not.
    pub fn others(
        &self,
        rule: AccountRule,
        account: Account,
        subject: Prefix,
        time: Timestamp,
    ) -> u32 {
        let start = time.before(rule.findtime.0);
        let failures = self.windows.get(&account).map(Window::failures);
        let others = failures
            .into_iter()
            .flatten()
            .filter(|(failed, _, other)| *other != subject && (start..=time).contains(failed));
        let others = u32::try_from(others.count()).unwrap_or(u32::MAX);
        // He may have been the last one who was missing.
        if others.saturating_add(1) >= rule.hosts.get() {
            others
        } else {
            0
        }
    }

    /// A subject that is banned waits for nothing more.
    pub fn acquit(&mut self, subject: Prefix) {
        if let Some(suspect) = self.suspects.remove(&subject) {
            self.due.remove(&(suspect.due, subject));
        }
    }

    /// Nor does any in a network that is banned.
    pub fn acquit_inside(&mut self, network: Prefix) {
        let suspects = self.suspects.keys().copied();
        let inside: Vec<_> = suspects.filter(|suspect| network.holds(*suspect)).collect();
        for suspect in inside {
            self.acquit(suspect);
        }
    }

    /// Forgets all subjects of which this is so.
    pub fn forget_all(&mut self, gone: impl Fn(Prefix) -> bool) {
        self.windows.retain_all(|(.., subject)| !gone(subject));
        let suspects = self.suspects.keys().copied();
        let gone: Vec<_> = suspects.filter(|subject| gone(*subject)).collect();
        for subject in gone {
            self.acquit(subject);
        }
    }

    /// Forgets accounts whose last failure is further back than the rule looks.
    pub fn forget_stale(&mut self, now: Timestamp, rule: Option<AccountRule>) {
        let findtime = rule.map_or(FindTime(Duration::ZERO), |rule| rule.findtime);
        self.windows.forget_stale(now, findtime);
    }

    /// Whoever is banned unless he is let in.
    pub fn suspects(&self) -> impl Iterator<Item = Prefix> {
        self.suspects.keys().copied()
    }

    /// Who of those that share an address with `subject` has failed within the rule's findtime before `now` for an account
    /// for which others have as well.
    pub fn attacking(&self, rule: AccountRule, subject: Prefix, now: Timestamp) -> Vec<Attacking> {
        let start = now.before(rule.findtime.0);
        let mut known: BTreeMap<Prefix, Attacking> = BTreeMap::new();
        for (_, window) in self.windows.iter() {
            let recent = || window.failures().filter(|(time, ..)| *time >= start);
            let hosts = recent().count();
            for (_, id, subject) in recent().filter(|(.., other)| other.overlaps(&subject)) {
                let attacking = known.entry(subject).or_insert_with(|| Attacking {
                    subject,
                    hosts: 0,
                    due: self.suspects.get(&subject).map(|suspect| suspect.due),
                    failures: Vec::new(),
                });
                attacking.hosts = attacking.hosts.max(hosts);
                attacking.failures.push(id);
            }
        }
        let mut all: Vec<_> = known.into_values().collect();
        all.retain(|attacking| attacking.hosts > 1);
        for attacking in &mut all {
            attacking.failures.sort_unstable();
        }
        all
    }

    /// When the next time of grace is over.
    pub fn next_due(&self) -> Option<Timestamp> {
        self.due.first().map(|(due, _)| *due)
    }

    /// Whether no account is under watch.
    pub fn is_empty(&self) -> bool {
        self.windows.is_empty() && self.suspects.is_empty()
    }

    /// Who fails again does not get more time.
    fn suspect(
        &mut self,
        subject: Prefix,
        failure: (Account, Timestamp, FailureId),
        due: Timestamp,
    ) {
        let suspect = self.suspects.entry(subject).or_insert_with(|| {
            self.due.insert((due, subject));
            Suspect {
                due,
                failures: Vec::new(),
            }
        });
        if due < suspect.due {
            self.due.remove(&(suspect.due, subject));
            self.due.insert((due, subject));
            suspect.due = due;
        }
        suspect
            .failures
            .retain(|(account, ..)| *account != failure.0);
        if suspect.failures.len() < MOST_TRIED {
            suspect.failures.push(failure);
        }
    }
}
