//! Who is banned at this moment, and until when?
//!
//! The one list that the firewall is made equal to. In: bans and releases that the engine decided. Out:
//! what is in force, and what has expired.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet, BinaryHeap};
use std::net::IpAddr;
use std::time::Duration;

use foldhash::HashMap;

use super::decision::{Ban, BanId, Origin};
use super::input::Outcome;
use super::name::{ActionName, JailName};
use super::prefix::Prefix;
use super::subject::Subject;
use super::time::{BanTime, Timestamp};

/// How many bans can be in force at once, over all jails: the kernel takes about 100 bytes for each, so this
/// is some 100 MB there and as much here. Whoever needs more wants networks, not hosts.
pub const MOST_BANS: usize = 1_000_000;

/// A ban in force, without the text that only the store keeps.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Standing {
    /// Its number.
    pub id: BanId,
    /// When it began.
    pub start: Timestamp,
    /// How long it lasts.
    pub bantime: BanTime,
    /// Which ban of the subject it is, counted from 1.
    pub offence: u32,
    /// Why it was made.
    pub origin: Origin,
    /// Whether its subject has failed on and on all the same.
    pub unhindered: bool,
}

impl Standing {
    /// What of a ban is in force, as it begins.
    pub fn of(ban: &Ban) -> Standing {
        Standing {
            id: ban.id,
            start: ban.start,
            bantime: ban.bantime,
            offence: ban.offence,
            origin: ban.origin,
            unhindered: false,
        }
    }

    /// The ban of `subject` by `jail` that this is, but for its evidence, which only the store keeps.
    pub fn ban(self, jail: JailName, subject: Subject) -> Ban {
        Ban {
            id: self.id,
            jail,
            subject,
            start: self.start,
            bantime: self.bantime,
            offence: self.offence,
            origin: self.origin,
            evidence: Vec::new(),
        }
    }

    /// When it ends; `None` if it does not.
    pub fn until(&self) -> Option<Timestamp> {
        self.bantime.end(self.start)
    }
}

/// What the subject of a ban has done that the ban should have kept from it.
#[derive(Clone, Copy, Debug)]
struct Unhindered {
    /// When the first of its failures was heard, by when the ban was decided at last, however late its records came.
    since: Timestamp,
    /// How many are no leftovers.
    failures: u32,
    /// The time of the newest of these.
    last: Option<Timestamp>,
}

/// A ban that a network's ban stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Merged {
    standing: Standing,
    /// The network's ban.
    into: BanId,
    /// When that took its place.
    time: Timestamp,
}

/// A ban to be lifted, in the order in which bans expire.
type Due = Reverse<(Timestamp, BanId, JailName, Subject)>;

/// How wide a network is: whether it is one of IPv4, and its bits.
type Width = (bool, u8);

fn width_of(network: Prefix) -> Width {
    (network.address().is_ipv4(), network.width())
}

/// The bans in force of one jail.
#[derive(Debug, Default)]
struct Bans {
    standing: HashMap<Subject, Standing>,
    /// The same subjects in their order: what lies in a network stands together. Each failure looks for a few of them by
    /// name, which takes several times as long here.
    order: BTreeSet<Subject>,
    /// How many bans of networks there are of each width, which are few: so an address is looked up once for each, however
    /// many networks are banned.
    widths: BTreeMap<Width, usize>,
    /// Of those that fail on. Each is one of `standing`, and goes with its ban.
    unhindered: HashMap<Subject, Unhindered>,
}

impl Bans {
    fn insert(&mut self, subject: &Subject, standing: Standing) -> Option<Standing> {
        let old = self.standing.insert(subject.clone(), standing);
        self.unhindered.remove(subject);
        if old.is_none() {
            self.order.insert(subject.clone());
            if let Some(network) = subject.network().filter(|network| !network.is_host()) {
                *self.widths.entry(width_of(network)).or_default() += 1;
            }
        }
        old
    }

    fn remove(&mut self, subject: &Subject) -> Option<Standing> {
        let standing = self.standing.remove(subject)?;
        self.order.remove(subject);
        self.unhindered.remove(subject);
        if let Some(network) = subject.network().filter(|network| !network.is_host()) {
            let width = width_of(network);
            let left = self.widths.get(&width).map_or(0, |count| count - 1);
            match left {
                0 => self.widths.remove(&width),
                left => self.widths.insert(width, left),
            };
        }
        Some(standing)
    }

    /// The networks around `subject` that may be banned, the widest first.
    fn around(&self, subject: Prefix) -> impl Iterator<Item = Prefix> {
        let (is_ipv4, bits) = width_of(subject);
        let wider = self.widths.keys();
        let wider = wider.filter(move |(of_ipv4, width)| *of_ipv4 == is_ipv4 && *width < bits);
        wider.map(move |(_, width)| Prefix::network(subject.address(), *width))
    }
}

/// All bans in force.
#[derive(Debug, Default)]
pub struct Ledger {
    jails: BTreeMap<JailName, Bans>,
    due: BinaryHeap<Due>,
    count: usize,
    /// Bans that are not in force only because one of a network stands for them, until they would have ended.
    merged: HashMap<(JailName, Prefix), Merged>,
    /// For whom a network's ban stands; some of them may be over.
    parts: HashMap<BanId, Vec<Prefix>>,
    /// Bans that are not in effect yet, with the actions that have to see to it.
    owed: HashMap<BanId, Vec<ActionName>>,
    /// Actions that do not work at the moment.
    broken: BTreeSet<ActionName>,
}

impl Ledger {
    /// Enters a ban; it is not in effect before all of these actions say so.
    pub fn enter(&mut self, ban: &Ban, by: Vec<ActionName>) {
        let standing = Standing::of(ban);
        self.note_due(ban);
        let bans = self.jails.entry(ban.jail.clone()).or_default();
        let old = bans.insert(&ban.subject, standing);
        self.count += usize::from(old.is_none());
        if !by.is_empty() {
            self.owed.insert(ban.id, by);
        }
    }

    fn note_due(&mut self, ban: &Ban) {
        if let Some(until) = ban.until() {
            let due = (until, ban.id, ban.jail.clone(), ban.subject.clone());
            self.due.push(Reverse(due));
        }
    }

    /// Strikes out a ban.
    pub fn strike(&mut self, jail: &JailName, subject: &Subject) -> Option<Standing> {
        let bans = self.jails.get_mut(jail)?;
        let standing = bans.remove(subject)?;
        if bans.standing.is_empty() {
            self.jails.remove(jail);
        }
        self.count -= 1;
        self.owed.remove(&standing.id);
        Some(standing)
    }

    /// Strikes out a ban that the one of a network stands for from `time` on.
    pub fn merge(
        &mut self,
        jail: &JailName,
        subject: Prefix,
        into: BanId,
        time: Timestamp,
    ) -> Option<Standing> {
        let standing = self.strike(jail, &subject.into())?;
        self.note_merged(jail.clone(), subject, standing, into, time);
        Some(standing)
    }

    /// Puts back a ban that a network's stands for.
    pub fn restore_merged(&mut self, ban: &Ban, into: BanId, time: Timestamp) {
        if let Some(network) = ban.subject.network() {
            self.note_due(ban);
            self.note_merged(ban.jail.clone(), network, Standing::of(ban), into, time);
        }
    }

    fn note_merged(
        &mut self,
        jail: JailName,
        subject: Prefix,
        standing: Standing,
        into: BanId,
        time: Timestamp,
    ) {
        let merged = Merged {
            standing,
            into,
            time,
        };
        self.merged.insert((jail, subject), merged);
        self.parts.entry(into).or_default().push(subject);
    }

    /// The bans that one of a network stood for, which it does no longer.
    pub fn unmerge(&mut self, jail: &JailName, into: BanId) -> Vec<(Prefix, Standing)> {
        let mut parts = self.parts.remove(&into).unwrap_or_default();
        parts.sort_unstable();
        let mut found = Vec::with_capacity(parts.len());
        for part in parts {
            let key = (jail.clone(), part);
            if self.merged.get(&key).is_some_and(|part| part.into == into) {
                let merged = self.merged.remove(&key);
                found.extend(merged.map(|merged| (part, merged.standing)));
            }
        }
        found
    }

    /// Strikes out a ban that one of a network stands for.
    pub fn strike_merged(&mut self, jail: &JailName, subject: Prefix) -> Option<Standing> {
        let merged = self.merged.remove(&(jail.clone(), subject))?;
        Some(merged.standing)
    }

    /// The next ban that is over at `now`, struck out.
    pub fn expired(&mut self, now: Timestamp) -> Option<(JailName, Subject, Standing)> {
        while let Some(Reverse((until, _, _, _))) = self.due.peek() {
            if *until > now {
                return None;
            }
            let Reverse((_, id, jail, subject)) = self.due.pop()?;
            // A ban that was lifted or replaced before its time is still noted as due.
            if self
                .find(&jail, &subject)
                .is_some_and(|standing| standing.id == id)
            {
                // What it stood for was over no later.
                self.parts.remove(&id);
                return self
                    .strike(&jail, &subject)
                    .map(|standing| (jail, subject, standing));
            }
            let Some(network) = subject.network() else {
                continue;
            };
            let key = (jail, network);
            let merged = self.merged.get(&key);
            if merged.is_some_and(|merged| merged.standing.id == id) {
                self.parts.remove(&id);
                self.merged.remove(&key);
            }
        }
        None
    }

    /// When the next ban ends.
    pub fn next_end(&self) -> Option<Timestamp> {
        self.due.peek().map(|Reverse((until, _, _, _))| *until)
    }

    /// The ban of exactly this subject.
    pub fn find(&self, jail: &JailName, subject: &Subject) -> Option<Standing> {
        self.jails.get(jail)?.standing.get(subject).copied()
    }

    /// This subject, as it was written when it was banned.
    pub fn key(&self, jail: &JailName, subject: &Subject) -> Option<&Subject> {
        self.jails.get(jail)?.order.get(subject)
    }

    /// Counts a failure at `time` of somebody whom the ban of `subject` should have kept out, unless it came within
    /// `grace` of the moment when the first such failure was heard, which may be `now`. Answers with the ban when there have
    /// been `enough` of them, which is once.
    pub fn count_unhindered(
        &mut self,
        jail: &JailName,
        subject: &Subject,
        (time, now): (Timestamp, Timestamp),
        (grace, enough): (Duration, u32),
    ) -> Option<Standing> {
        let bans = self.jails.get_mut(jail)?;
        let standing = bans.standing.get_mut(subject)?;
        let first = Unhindered {
            since: now,
            failures: 0,
            last: None,
        };
        let seen = bans.unhindered.entry(subject.clone()).or_insert(first);
        if time.since(seen.since) <= grace {
            return None;
        }
        seen.failures = seen.failures.saturating_add(1);
        seen.last = seen.last.max(Some(time));
        let is_new = seen.failures >= enough && !standing.unhindered;
        standing.unhindered |= is_new;
        is_new.then_some(*standing)
    }

    /// Puts back that a ban did not work at `time`, if that is the one that is in force.
    pub fn restore_unhindered(&mut self, jail: &JailName, subject: &Subject, time: Timestamp) {
        let Some(bans) = self.jails.get_mut(jail) else {
            return;
        };
        let standing = bans.standing.get_mut(subject);
        if let Some(standing) = standing.filter(|standing| standing.start <= time) {
            standing.unhindered = true;
            let seen = Unhindered {
                since: time,
                failures: 0,
                last: Some(time),
            };
            bans.unhindered.insert(subject.clone(), seen);
        }
    }

    /// How many bans of `jail` did not work at `since` or later.
    pub fn unhindered_in(&self, jail: &JailName, since: Timestamp) -> usize {
        let Some(bans) = self.jails.get(jail) else {
            return 0;
        };
        let is_marked =
            |subject: &Subject| bans.standing.get(subject).is_some_and(|ban| ban.unhindered);
        let recent = bans
            .unhindered
            .iter()
            .filter(|(_, seen)| seen.last >= Some(since));
        recent.filter(|(subject, _)| is_marked(subject)).count()
    }

    /// Whether `jail` has banned a network, or, if that is wanted, a name.
    pub fn has_banned(&self, jail: &JailName, named: bool) -> bool {
        let order = self.jails.get(jail).map(|bans| &bans.order);
        let extreme = order.and_then(|order| if named { order.last() } else { order.first() });
        extreme.is_some_and(|subject| subject.name().is_some() == named)
    }

    /// Whose ban by `jail`, of those that `counts`, keeps `address` out: that of its own subject or of a network around
    /// it. Of a name only that of the name does.
    pub fn covers(
        &self,
        jail: &JailName,
        subject: &Subject,
        address: Option<IpAddr>,
        counts: impl Fn(&Standing) -> bool,
    ) -> Option<Subject> {
        let bans = self.jails.get(jail)?;
        let stands = |subject: &Subject| bans.standing.get(subject).is_some_and(&counts);
        if stands(subject) {
            return Some(subject.clone());
        }
        let (own, address) = subject.network().zip(address)?;
        let host = Prefix::host(address);
        let itself = (host != own).then_some(host).into_iter();
        let mut around = itself.chain(bans.around(host)).map(Subject::from);
        around.find(|subject| stands(subject))
    }

    /// The bans of one jail that share an address with `subject` or are of that name, in their order. It takes no
    /// longer for bans elsewhere.
    pub fn overlapping(&self, jail: &JailName, subject: &Subject) -> Vec<(Subject, Standing)> {
        let Some(bans) = self.jails.get(jail) else {
            return Vec::new();
        };
        let (around, last) = match subject {
            Subject::Network(network) => {
                let around = bans.around(*network).map(Subject::from).collect();
                (around, Prefix::host(network.last()).into())
            }
            Subject::Name(_) => (Vec::new(), subject.clone()),
        };
        let inside = bans.order.range(subject..=&last);
        let both = around.iter().chain(inside);
        both.filter_map(|other| Some((other.clone(), *bans.standing.get(other)?)))
            .collect()
    }

    /// All bans in force.
    pub fn iter(&self) -> impl Iterator<Item = (&JailName, &Subject, Standing)> {
        self.jails.iter().flat_map(|(jail, bans)| {
            let bans = bans.standing.iter();
            bans.map(move |(subject, standing)| (jail, subject, *standing))
        })
    }

    /// All bans in force, as they were decided but for their evidence, which only the store keeps.
    pub fn bans(&self) -> Vec<Ban> {
        self.iter()
            .map(|(jail, subject, standing)| standing.ban(jail.clone(), subject.clone()))
            .collect()
    }

    /// The bans that those of networks stand for, each with the time since when.
    pub fn merged(&self) -> Vec<(Ban, Timestamp)> {
        let ban = |((jail, subject), merged): (&(JailName, Prefix), &Merged)| {
            let ban = merged.standing.ban(jail.clone(), (*subject).into());
            (ban, merged.time)
        };
        self.merged.iter().map(ban).collect()
    }

    /// The jails that have bans in force.
    pub fn jails(&self) -> Vec<JailName> {
        self.jails.keys().cloned().collect()
    }

    /// How many bans are in force.
    pub fn len(&self) -> usize {
        self.count
    }

    /// Whether nobody is banned.
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// How many bans of `jail` are in force.
    pub fn count_in(&self, jail: &JailName) -> usize {
        self.jails.get(jail).map_or(0, |bans| bans.standing.len())
    }

    /// Whether a further ban would pass the bound.
    pub fn is_full(&self) -> bool {
        // What was merged may have to find room again.
        self.count + self.merged.len() >= MOST_BANS
    }

    /// Notes what an action made of its orders.
    pub fn hear(&mut self, outcome: &Outcome) {
        match outcome {
            Outcome::Applied { action, bans } => {
                for ban in bans {
                    let Some(owed) = self.owed.get_mut(ban) else {
                        continue;
                    };
                    owed.retain(|owing| owing != action);
                    if owed.is_empty() {
                        self.owed.remove(ban);
                    }
                }
            }
            Outcome::Reconciled { action } => {
                self.owed.retain(|_, owed| {
                    owed.retain(|owing| owing != action);
                    !owed.is_empty()
                });
                self.owed.shrink_to_fit();
                self.broken.remove(action);
            }
            Outcome::Broken { action } => {
                self.broken.insert(action.clone());
            }
        }
    }

    /// Forgets what is known of actions that nobody wants any more.
    pub fn keep_actions(&mut self, is_wanted: impl Fn(&ActionName) -> bool) {
        self.broken.retain(is_wanted);
    }

    /// Whether a ban is in effect that these actions have to see to.
    pub fn in_effect<'a>(&self, ban: BanId, by: impl IntoIterator<Item = &'a ActionName>) -> bool {
        let mut by = by.into_iter().peekable();
        by.peek().is_some()
            && !self.owed.contains_key(&ban)
            && !by.any(|action| self.broken.contains(action))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn subject() -> impl Strategy<Value = Prefix> {
        let ipv4 = (0_u32..4096, 18_u8..=32).prop_map(|(low, width)| {
            Prefix::network(
                std::net::Ipv4Addr::from(0xc000_0000 + low * 5).into(),
                width,
            )
        });
        let ipv6 = (0_u128..64, 40_u8..=128).prop_map(|(low, width)| {
            let address = std::net::Ipv6Addr::from((0x2001_0db8 << 96) + (low << 76) + low);
            Prefix::network(address.into(), width)
        });
        prop_oneof![ipv4, ipv6]
    }

    proptest! {
        #[test]
        fn what_overlaps_is_found(
            subjects in proptest::collection::vec(subject(), 0..60),
            struck in proptest::collection::vec(any::<prop::sample::Index>(), 0..20),
            wanted in subject(),
        ) {
            let jail: JailName = "test".parse().expect("a name");
            let mut ledger = Ledger::default();
            for (id, subject) in (1..).zip(&subjects) {
                ledger.enter(&Ban {
                    id: BanId(id),
                    jail: jail.clone(),
                    subject: (*subject).into(),
                    start: Timestamp::default(),
                    bantime: BanTime::Forever,
                    offence: 1,
                    origin: Origin::Manual,
                    evidence: Vec::new(),
                }, Vec::new());
            }
            for index in struck.iter().filter(|_| !subjects.is_empty()) {
                ledger.strike(&jail, &subjects[index.index(subjects.len())].into());
            }
            let mut expected: Vec<_> = ledger.iter().map(|(_, subject, _)| subject.clone()).collect();
            let wanted = Subject::from(wanted);
            expected.retain(|subject| subject.overlaps(&wanted));
            expected.sort_unstable();
            let found = ledger.overlapping(&jail, &wanted).into_iter();
            let found: Vec<_> = found.map(|(subject, _)| subject).collect();
            prop_assert_eq!(found, expected);
        }
    }
}
