//! Who is banned at this moment, and until when?
//!
//! The one list that the firewall is made equal to. In: bans and releases that the engine decided. Out:
//! what is in force, and what has expired.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap};
use std::net::IpAddr;

use foldhash::{HashMap, HashSet};

use super::decision::{Ban, BanId, Origin};
use super::input::Outcome;
use super::name::JailName;
use super::prefix::Prefix;
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
}

impl Standing {
    fn of(ban: &Ban) -> Standing {
        Standing {
            id: ban.id,
            start: ban.start,
            bantime: ban.bantime,
            offence: ban.offence,
            origin: ban.origin,
        }
    }

    /// The ban of `subject` by `jail` that this is, but for its evidence, which only the store keeps.
    pub fn ban(self, jail: JailName, subject: Prefix) -> Ban {
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
type Due = Reverse<(Timestamp, BanId, JailName, Prefix)>;

/// How wide a network is: whether it is one of IPv4, and its bits.
type Width = (bool, u8);

fn width_of(network: Prefix) -> Width {
    (network.address().is_ipv4(), network.width())
}

/// All bans in force.
#[derive(Debug, Default)]
pub struct Ledger {
    jails: BTreeMap<JailName, HashMap<Prefix, Standing>>,
    /// How many bans of networks there are of each width, which are few: so an address is looked up once for each, however
    /// many networks are banned.
    widths: BTreeMap<JailName, BTreeMap<Width, usize>>,
    due: BinaryHeap<Due>,
    count: usize,
    /// Bans that are not in force only because one of a network stands for them, until they would have ended.
    merged: HashMap<(JailName, Prefix), Merged>,
    /// For whom a network's ban stands; some of them may be over.
    parts: HashMap<BanId, Vec<Prefix>>,
    unconfirmed: HashSet<BanId>,
    broken: bool,
}

impl Ledger {
    /// Enters a ban; it is not in effect before an action says so.
    pub fn enter(&mut self, ban: &Ban) {
        let standing = Standing::of(ban);
        self.note_due(ban);
        let old = self
            .jails
            .entry(ban.jail.clone())
            .or_default()
            .insert(ban.subject, standing);
        if old.is_none() {
            self.count += 1;
            if !ban.subject.is_host() {
                let widths = self.widths.entry(ban.jail.clone()).or_default();
                *widths.entry(width_of(ban.subject)).or_default() += 1;
            }
        }
        self.unconfirmed.insert(ban.id);
    }

    fn note_due(&mut self, ban: &Ban) {
        if let Some(until) = ban.until() {
            let due = (until, ban.id, ban.jail.clone(), ban.subject);
            self.due.push(Reverse(due));
        }
    }

    /// Strikes out a ban.
    pub fn strike(&mut self, jail: &JailName, subject: Prefix) -> Option<Standing> {
        let bans = self.jails.get_mut(jail)?;
        let standing = bans.remove(&subject)?;
        if bans.is_empty() {
            self.jails.remove(jail);
        }
        self.count -= 1;
        self.unconfirmed.remove(&standing.id);
        if let Some(widths) = self.widths.get_mut(jail).filter(|_| !subject.is_host()) {
            let width = width_of(subject);
            let left = widths.get(&width).map_or(0, |count| count - 1);
            match left {
                0 => widths.remove(&width),
                left => widths.insert(width, left),
            };
        }
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
        let standing = self.strike(jail, subject)?;
        self.note_merged(jail.clone(), subject, standing, into, time);
        Some(standing)
    }

    /// Puts back a ban that a network's stands for.
    pub fn restore_merged(&mut self, ban: &Ban, into: BanId, time: Timestamp) {
        let standing = Standing::of(ban);
        self.note_due(ban);
        self.note_merged(ban.jail.clone(), ban.subject, standing, into, time);
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
    pub fn part(&mut self, jail: &JailName, into: BanId) -> Vec<(Prefix, Standing)> {
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

    /// Forgets a ban that one of a network stands for.
    pub fn strike_merged(&mut self, jail: &JailName, subject: Prefix) -> Option<Standing> {
        let merged = self.merged.remove(&(jail.clone(), subject))?;
        Some(merged.standing)
    }

    /// The next ban that is over at `now`, struck out.
    pub fn expired(&mut self, now: Timestamp) -> Option<(JailName, Prefix, Standing)> {
        while let Some(Reverse((until, _, _, _))) = self.due.peek() {
            if *until > now {
                return None;
            }
            let Reverse((_, id, jail, subject)) = self.due.pop()?;
            // A ban that was lifted or replaced before its time is still noted as due.
            if self
                .find(&jail, subject)
                .is_some_and(|standing| standing.id == id)
            {
                // What it stood for was over no later.
                self.parts.remove(&id);
                return self
                    .strike(&jail, subject)
                    .map(|standing| (jail, subject, standing));
            }
            let key = (jail, subject);
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
    pub fn find(&self, jail: &JailName, subject: Prefix) -> Option<Standing> {
        self.jails.get(jail)?.get(&subject).copied()
    }

    /// Whether a ban of `jail` keeps `address` out: that of its own subject or of a network around it.
    pub fn covers(&self, jail: &JailName, subject: Prefix, address: IpAddr) -> bool {
        let Some(bans) = self.jails.get(jail) else {
            return false;
        };
        let host = Prefix::host(address);
        let mut widths = self.widths.get(jail).into_iter().flatten();
        let (is_ipv4, address) = (host.address().is_ipv4(), host.address());
        bans.contains_key(&subject)
            || (host != subject && bans.contains_key(&host))
            || widths.any(|((of_ipv4, width), _)| {
                *of_ipv4 == is_ipv4 && bans.contains_key(&Prefix::network(address, *width))
            })
    }

    /// The bans of one jail that share an address with `subject`.
    pub fn overlapping(&self, jail: &JailName, subject: Prefix) -> Vec<(Prefix, Standing)> {
        let Some(bans) = self.jails.get(jail) else {
            return Vec::new();
        };
        let mut found: Vec<_> = bans
            .iter()
            .filter(|(other, _)| other.overlaps(subject))
            .map(|(other, standing)| (*other, *standing))
            .collect();
        found.sort_by_key(|(other, _)| *other);
        found
    }

    /// All bans in force.
    pub fn iter(&self) -> impl Iterator<Item = (&JailName, Prefix, Standing)> {
        self.jails.iter().flat_map(|(jail, bans)| {
            bans.iter()
                .map(move |(subject, standing)| (jail, *subject, *standing))
        })
    }

    /// All bans in force, as they were decided but for their evidence, which only the store keeps.
    pub fn bans(&self) -> Vec<Ban> {
        self.iter()
            .map(|(jail, subject, standing)| standing.ban(jail.clone(), subject))
            .collect()
    }

    /// The bans that those of networks stand for, each with the time since when.
    pub fn merged(&self) -> Vec<(Ban, Timestamp)> {
        let ban = |((jail, subject), merged): (&(JailName, Prefix), &Merged)| {
            (merged.standing.ban(jail.clone(), *subject), merged.time)
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
        self.jails.get(jail).map_or(0, HashMap::len)
    }

    /// Whether a further ban would pass the bound.
    pub fn is_full(&self) -> bool {
        // What was merged may have to find room again.
        self.count + self.merged.len() >= MOST_BANS
    }

    /// Notes what an action made of its orders.
    pub fn hear(&mut self, outcome: &Outcome) {
        match outcome {
            Outcome::Applied(bans) => {
                for ban in bans {
                    self.unconfirmed.remove(ban);
                }
            }
            Outcome::Reconciled => {
                self.unconfirmed = HashSet::default();
                self.broken = false;
            }
            Outcome::Broken { .. } => self.broken = true,
        }
    }

    /// Whether an action has confirmed that the ban is in effect.
    pub fn in_effect(&self, ban: BanId) -> bool {
        !self.broken && !self.unconfirmed.contains(&ban)
    }
}
