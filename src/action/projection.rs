//! What should the world look like, as far as one action is concerned?
//!
//! The sum of all orders so far, kept so that nothing is lost while the action fails, and so that networks
//! which overlap can be put together. It is bounded by the ledger, whose bans it mirrors.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use super::event::Event;
use super::{ActionJail, InForce};
use crate::engine::name::JailName;
use crate::engine::subject::Subject;
use crate::engine::time::Timestamp;

/// How many bans may be kept beyond twice those in force before the expired ones are cleared out. Nobody is
/// told of bans that expire, so they stay until then.
const SLACK: usize = 1_000;

/// Who is banned.
pub type Bans = HashMap<Subject, Held>;

/// How somebody is banned.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Held {
    /// Until when; without end if there is no time.
    pub until: Option<Timestamp>,
    /// What there is to tell of it, to an action that asks for that.
    pub event: Option<Arc<Event>>,
}

/// Which subjects of which jails an order concerns.
pub type Touched = BTreeMap<JailName, BTreeSet<Subject>>;

/// The jails of an action and their bans.
#[derive(Debug, Default)]
pub struct Projection {
    jails: BTreeMap<JailName, (ActionJail, Bans)>,
    complete: bool,
    count: usize,
    clear_at: usize,
}

impl Projection {
    /// Forgets everything and takes these instead. Bans of other jails are none of ours.
    pub fn replace(
        &mut self,
        jails: Vec<ActionJail>,
        bans: Vec<InForce>,
        complete: bool,
        now: Timestamp,
    ) {
        self.complete = complete;
        let jails = jails.into_iter();
        let jails = jails.map(|jail| (jail.jail.clone(), (jail, Bans::new())));
        let old = std::mem::replace(&mut self.jails, jails.collect());
        self.count = 0;
        self.clear_at = usize::MAX;
        for mut ban in bans {
            // What was told when the ban began says more than what is told of all of them.
            let before = old
                .get(&ban.jail)
                .and_then(|(_, own)| own.get(&ban.subject));
            let before = before.filter(|held| held.until == ban.until);
            if let Some(event) = before.and_then(|held| held.event.clone()) {
                ban.event = Some(event);
            }
            self.ban(&ban);
        }
        self.clear(now);
    }

    /// Takes in a change.
    pub fn change(&mut self, bans: &[InForce], unbans: &[(JailName, Subject)], now: Timestamp) {
        for (jail, subject) in unbans {
            if let Some((_, own)) = self.jails.get_mut(jail) {
                self.count -= usize::from(own.remove(subject).is_some());
            }
        }
        for ban in bans {
            self.ban(ban);
        }
        if self.count > self.clear_at {
            self.clear(now);
        }
    }

    /// Whether nobody is banned but these.
    pub fn is_complete(&self) -> bool {
        self.complete
    }

    /// The jails, each with its bans, some of which may be over.
    pub fn jails(&self) -> impl Iterator<Item = (&ActionJail, &Bans)> {
        self.jails.values().map(|(jail, bans)| (jail, bans))
    }

    /// One jail with its bans.
    pub fn jail(&self, name: &JailName) -> Option<(&ActionJail, &Bans)> {
        self.jails.get(name).map(|(jail, bans)| (jail, bans))
    }

    fn ban(&mut self, ban: &InForce) {
        if let Some((_, own)) = self.jails.get_mut(&ban.jail) {
            let held = Held {
                until: ban.until,
                event: ban.event.clone(),
            };
            self.count += usize::from(own.insert(ban.subject.clone(), held).is_none());
        }
    }

    fn clear(&mut self, now: Timestamp) {
        for (_, bans) in self.jails.values_mut() {
            bans.retain(|_, held| held.until.is_none_or(|until| until > now));
            if bans.capacity() > 4 * bans.len() + SLACK {
                bans.shrink_to_fit();
            }
        }
        self.count = self.jails.values().map(|(_, bans)| bans.len()).sum();
        self.clear_at = 2 * self.count + SLACK;
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use super::super::ports::Ports;
    use super::*;
    use crate::engine::decision::BanId;
    use crate::engine::prefix::{Prefix, SubjectWidth};

    fn jail(name: &str) -> ActionJail {
        ActionJail {
            jail: name.parse().expect("a name"),
            label: name.parse().expect("a name"),
            ports: Ports::All,
            protocols: Vec::new(),
            width: SubjectWidth::DEFAULT,
        }
    }

    fn ban(jail: &str, number: u32, until: i64) -> InForce {
        InForce {
            ban: BanId(u64::from(number)),
            jail: jail.parse().expect("a name"),
            subject: Prefix::host(Ipv4Addr::from(number).into()).into(),
            until: Some(Timestamp::from_micros(until)),
            event: None,
        }
    }

    fn size(projection: &Projection) -> usize {
        projection.jails().map(|(_, bans)| bans.len()).sum()
    }

    #[test]
    fn it_is_the_sum_of_its_orders() {
        let mut projection = Projection::default();
        let now = Timestamp::from_micros(10);
        projection.replace(
            vec![jail("a"), jail("b")],
            vec![ban("a", 1, 20), ban("b", 1, 20), ban("a", 2, 5)],
            true,
            now,
        );
        assert_eq!(size(&projection), 2, "what is over is not kept");
        let gone = ban("b", 1, 0);
        projection.change(
            &[ban("a", 3, 30), ban("c", 4, 30)],
            &[(gone.jail, gone.subject)],
            now,
        );
        let (_, bans) = projection
            .jail(&"a".parse().expect("a name"))
            .expect("the jail");
        let third = ban("a", 3, 30);
        let until = bans.get(&third.subject).map(|held| held.until);
        assert_eq!(until, Some(third.until));
        assert_eq!(
            size(&projection),
            2,
            "a jail of another action is none of ours"
        );
        projection.replace(vec![jail("b")], Vec::new(), true, now);
        assert_eq!(size(&projection), 0);
    }

    #[test]
    fn expired_bans_do_not_pile_up() {
        let mut projection = Projection::default();
        projection.replace(vec![jail("a")], Vec::new(), true, Timestamp::from_micros(0));
        for number in 0..100_000_u32 {
            let now = Timestamp::from_micros(i64::from(number));
            projection.change(&[ban("a", number, i64::from(number) + 100)], &[], now);
            assert!(size(&projection) <= 2 * 101 + SLACK + 1);
        }
    }
}
