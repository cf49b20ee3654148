//! Who is banned, by all jails of the action together, and what has changed since?
//!
//! Who is banned by several jails stands here once, with the longest of his bans; he leaves when the last of them ends.
//! Each change has a number, so that a client which knows everything up to one is told only what is newer, and nothing
//! is looked through for that. Bans that run out are no changes to tell: clients know when they end. Pure, but for the
//! time that is passed in.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use super::super::projection::{Projection, Touched};
use crate::engine::name::JailName;
use crate::engine::prefix::Prefix;
use crate::engine::subject::Subject;
use crate::engine::time::Timestamp;

/// How many bans are remembered that were lifted early, until clients would have ended them by themselves: the bans of a
/// large `unban --all`, in some 20 MB. A client that has slept through more is told everything anew, and goes on with the
/// oldest of these until they end.
pub const MOST_LIFTED: usize = 131_072;

/// The number of a change: who knows it knows all before it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Position(pub u64);

/// A ban, as it is listed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listed {
    /// Who is banned.
    pub subject: Prefix,
    /// The jail whose ban lasts longest.
    pub jail: JailName,
    /// When that ends; `None` if it does not.
    pub until: Option<Timestamp>,
    /// The number of the change that made it so; 0 where nobody counts.
    pub number: Position,
}

/// What a client does not know yet.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct News {
    /// Who is banned now, or with another end.
    pub banned: Vec<Listed>,
    /// Who is free, though his ban would have gone on.
    pub lifted: Vec<Listed>,
    /// Up to where it knows everything with this.
    pub position: Position,
}

/// One jail's ban of a subject.
#[derive(Clone, Debug, PartialEq, Eq)]
struct By {
    jail: JailName,
    until: Option<Timestamp>,
}

#[derive(Debug)]
struct Banned {
    /// Never empty; the longest first.
    by: Vec<By>,
    number: Position,
    /// The latest end that a client may have been told.
    told: Option<Timestamp>,
}

#[derive(Debug)]
struct Lifted {
    jail: JailName,
    number: Position,
    /// The latest end that a client may have been told.
    told: Option<Timestamp>,
}

/// The list.
#[derive(Debug, Default)]
pub struct Listing {
    banned: BTreeMap<Prefix, Banned>,
    lifted: HashMap<Prefix, Lifted>,
    /// Whose last change it was.
    bans_by_number: BTreeMap<Position, Prefix>,
    lifts_by_number: BTreeMap<Position, Prefix>,
    /// What has an end, in the order of the ends.
    ends: BTreeSet<(Timestamp, Prefix)>,
    /// The number of the last change of anything that is shown.
    last: Position,
    /// The newest change of those that are forgotten.
    forgotten: Position,
}

impl Listing {
    /// Makes the list that of the whole projection.
    pub fn replace(&mut self, projection: &Projection, now: Timestamp) {
        self.expire(now);
        let mut bans: HashMap<Prefix, Vec<By>> = HashMap::new();
        for (jail, subjects) in projection.jails() {
            for (subject, held) in subjects {
                if let Some(network) = subject.network() {
                    bans.entry(network).or_default().push(By {
                        jail: jail.jail.clone(),
                        until: held.until,
                    });
                }
            }
        }
        if projection.is_complete() {
            let gone = self.banned.keys().filter(|key| !bans.contains_key(key));
            for subject in gone.copied().collect::<Vec<_>>() {
                self.set(subject, Vec::new(), now);
            }
        }
        for (subject, by) in bans {
            self.set(subject, by, now);
        }
    }

    /// Takes in what has changed of the projection.
    pub fn change(&mut self, projection: &Projection, touched: &Touched, now: Timestamp) {
        self.expire(now);
        let subjects: BTreeSet<Prefix> = touched
            .values()
            .flatten()
            .filter_map(Subject::network)
            .collect();
        for network in subjects {
            let subject = Subject::from(network);
            let by = projection.jails().filter_map(|(jail, bans)| {
                bans.get(&subject).map(|held| By {
                    jail: jail.jail.clone(),
                    until: held.until,
                })
            });
            self.set(network, by.collect(), now);
        }
    }

    /// Takes note of a ban that was lifted before this list was begun: clients of an earlier run hold on to it until they
    /// are told.
    pub fn recall(
        &mut self,
        subject: Prefix,
        jail: &JailName,
        until: Option<Timestamp>,
        now: Timestamp,
    ) {
        if is_over(until, now) {
            return;
        }
        if let Some(banned) = self.banned.get_mut(&subject) {
            banned.told = later(banned.told, until);
            return;
        }
        let known = self.lifted.get(&subject).map(|lifted| lifted.told);
        let told = known.map_or(until, |known| later(known, until));
        if known == Some(told) {
            return;
        }
        self.unlift(subject);
        self.last.0 += 1;
        self.lift(
            subject,
            Lifted {
                jail: jail.clone(),
                number: self.last,
                told,
            },
        );
    }

    /// Forgets what is over.
    pub fn expire(&mut self, now: Timestamp) {
        while let Some((end, subject)) = self.ends.first().copied().filter(|(end, _)| *end <= now) {
            self.ends.remove(&(end, subject));
            if let Some(lifted) = self.lifted.get(&subject)
                && is_over(lifted.told, now)
            {
                self.unlift(subject);
            }
            if let Some(banned) = self.banned.get(&subject) {
                let by = banned.by.clone();
                self.set(subject, by, now);
            }
        }
    }

    /// The number of the last change of anything that is shown.
    pub fn last(&self) -> Position {
        self.last
    }

    /// Everybody, in the order of the addresses; of one jail only if one is named.
    pub fn all(&self, jail: Option<&JailName>) -> Vec<Listed> {
        let listed = self.banned.iter().filter_map(|(subject, banned)| {
            let by = match jail {
                None => banned.by.first(),
                Some(jail) => banned.by.iter().find(|by| by.jail == *jail),
            };
            by.map(|by| listed(*subject, by, banned.number))
        });
        listed.collect()
    }

    /// The bans of networks and hosts that hold this one.
    pub fn holding(&self, subject: Prefix) -> Vec<Listed> {
        let widths = 0..=subject.width();
        let holding = widths.filter_map(|width| {
            let network = Prefix::network(subject.address(), width);
            self.banned.get(&network).map(|ban| (network, ban))
        });
        holding.filter_map(first_listed).collect()
    }

    /// The bans of networks and hosts that this one holds.
    pub fn within(&self, network: Prefix) -> Vec<Listed> {
        let last = Prefix::host(network.last());
        let within = self.banned.range(network..=last);
        within
            .map(|(held, ban)| (*held, ban))
            .filter_map(first_listed)
            .collect()
    }

    /// What is new to a client that knows everything up to `known`; `None` if that can no longer be told.
    pub fn since(&self, known: Position) -> Option<News> {
        if known < self.forgotten || known > self.last {
            return None;
        }
        let next = Position(known.0 + 1);
        let banned = self
            .bans_by_number
            .range(next..)
            .filter_map(|(_, subject)| {
                let banned = self.banned.get(subject)?;
                first_listed((*subject, banned))
            });
        Some(News {
            banned: banned.collect(),
            lifted: self.lifted_since(next),
            position: self.last,
        })
    }

    /// Everything there is to tell to a client of which nobody knows what it has been told, perhaps by an earlier run.
    pub fn anew(&self) -> News {
        News {
            banned: self.all(None),
            lifted: self.lifted_since(Position::default()),
            position: self.last,
        }
    }

    fn lifted_since(&self, first: Position) -> Vec<Listed> {
        let numbers = self.lifts_by_number.range(first..);
        let lifted = numbers.filter_map(|(_, subject)| {
            self.lifted.get(subject).map(|lifted| Listed {
                subject: *subject,
                jail: lifted.jail.clone(),
                until: None,
                number: lifted.number,
            })
        });
        lifted.collect()
    }

    /// Who bans the subject now: nobody if `by` is empty, or all of it is over.
    fn set(&mut self, subject: Prefix, mut by: Vec<By>, now: Timestamp) {
        by.retain(|by| !is_over(by.until, now));
        by.sort_by(|one, other| {
            let ends = later_first(one.until, other.until);
            ends.then_with(|| one.jail.cmp(&other.jail))
        });
        let before = self.banned.remove(&subject);
        if before.as_ref().map_or(&[][..], |before| &before.by) == by {
            if let Some(before) = before {
                self.banned.insert(subject, before);
            }
            return;
        }
        self.last.0 += 1;
        let mut told = None;
        let mut number = self.last;
        if let Some(before) = &before {
            told = Some(before.told);
            for end in before
                .by
                .iter()
                .filter_map(|by| by.until)
                .chain(before.told)
            {
                self.ends.remove(&(end, subject));
            }
            // Clients know it already.
            if before.by.first() == by.first() {
                number = before.number;
            }
            self.bans_by_number.remove(&before.number);
        }
        if let Some(lifted) = self.unlift(subject) {
            told = Some(lifted.told);
        }
        match (by.first(), before) {
            (Some(longest), _) => {
                let told = told.map_or(longest.until, |told| later(told, longest.until));
                let ends = by.iter().filter_map(|by| by.until);
                self.ends.extend(ends.map(|end| (end, subject)));
                self.bans_by_number.insert(number, subject);
                self.banned.insert(subject, Banned { by, number, told });
            }
            (
                None,
                Some(Banned {
                    by: ended, told, ..
                }),
            ) if !is_over(told, now) => {
                if let Some(jail) = ended.into_iter().next().map(|by| by.jail) {
                    self.lift(subject, Lifted { jail, number, told });
                }
            }
            (None, _) => {}
        }
    }

    fn lift(&mut self, subject: Prefix, lifted: Lifted) {
        self.ends.extend(lifted.told.map(|end| (end, subject)));
        self.lifts_by_number.insert(lifted.number, subject);
        self.lifted.insert(subject, lifted);
        while self.lifted.len() > MOST_LIFTED {
            let Some((number, oldest)) = self.lifts_by_number.pop_first() else {
                return;
            };
            self.forgotten = number;
            self.unlift(oldest);
        }
    }

    /// Forgets that somebody was lifted.
    fn unlift(&mut self, subject: Prefix) -> Option<Lifted> {
        let lifted = self.lifted.remove(&subject)?;
        self.lifts_by_number.remove(&lifted.number);
        if let Some(end) = lifted.told {
            self.ends.remove(&(end, subject));
        }
        Some(lifted)
    }
}

/// The list that these bans come to, which may be of several jails, in the order of the addresses.
pub fn listed_once(bans: impl IntoIterator<Item = Listed>) -> Vec<Listed> {
    let mut longest: BTreeMap<Prefix, Listed> = BTreeMap::new();
    for ban in bans {
        let known = longest.get(&ban.subject);
        if known.is_none_or(|known| later_first(ban.until, known.until).is_lt()) {
            longest.insert(ban.subject, ban);
        }
    }
    longest.into_values().collect()
}

fn first_listed((subject, banned): (Prefix, &Banned)) -> Option<Listed> {
    let by = banned.by.first()?;
    Some(listed(subject, by, banned.number))
}

fn listed(subject: Prefix, by: &By, number: Position) -> Listed {
    Listed {
        subject,
        jail: by.jail.clone(),
        until: by.until,
        number,
    }
}

fn is_over(until: Option<Timestamp>, now: Timestamp) -> bool {
    until.is_some_and(|until| until <= now)
}

/// The later of two ends; none is later than any.
fn later(one: Option<Timestamp>, other: Option<Timestamp>) -> Option<Timestamp> {
    one.zip(other).map(|(one, other)| one.max(other))
}

fn later_first(one: Option<Timestamp>, other: Option<Timestamp>) -> std::cmp::Ordering {
    match (one, other) {
        (None, None) => std::cmp::Ordering::Equal,
        (None, Some(_)) => std::cmp::Ordering::Less,
        (Some(_), None) => std::cmp::Ordering::Greater,
        (Some(one), Some(other)) => other.cmp(&one),
    }
}

#[cfg(test)]
mod tests;
