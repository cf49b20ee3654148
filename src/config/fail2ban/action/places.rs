//! Which actions of ours can work beside one another, and which jails share one?
//!
//! In: what the jails ask for. Out: the same without what has to be left to commands, and one action for all that want the
//! same. Pure.

use std::collections::{BTreeMap, BTreeSet};

use super::stock::{Fit, Native, Said};
use crate::config::fail2ban::jail::TreeAction;
use crate::config::problem::Place;
use crate::engine::name::{ActionName, JailName};

/// One action of one jail.
pub struct Asked<'t> {
    /// The jail.
    pub jail: &'t str,
    /// The action.
    pub action: &'t TreeAction,
    /// What of ours does the same; `None` if its commands do it.
    pub fit: Option<Fit>,
}

impl Asked<'_> {
    fn native(&self) -> Option<&Native> {
        self.fit.as_ref().map(|fit| &fit.native)
    }

    fn place(&self) -> Option<&String> {
        self.native()?.place.as_ref()
    }

    /// What it calls things in its place.
    fn names(&self) -> Option<(&String, &JailName)> {
        Some((self.place()?, &self.fit.as_ref()?.label))
    }
}

/// Leaves to commands what cannot be beside others.
pub fn settle(asked: &mut [Asked]) {
    loop {
        let left = left_to_commands(asked);
        if left.is_empty() {
            return;
        }
        for at in left {
            asked[at].fit = None;
        }
    }
}

/// Which of them have to be left to commands, by where they stand.
fn left_to_commands(asked: &[Asked]) -> BTreeSet<usize> {
    let those = |is_one: &dyn Fn(&Asked) -> bool| -> BTreeSet<usize> {
        let all = asked.iter().enumerate();
        all.filter(|(_, one)| one.fit.is_some() && is_one(one))
            .map(|(at, _)| at)
            .collect()
    };
    // Two that call their things the same are one to Fail2ban's commands.
    let same_names = those(&|one| {
        let mut others = asked.iter();
        let is_named = |other: &Asked| other.names() == one.names();
        let is_other = |other: &Asked| !std::ptr::eq(other.action, one.action);
        one.names().is_some() && others.any(|other| is_other(other) && is_named(other))
    });
    if !same_names.is_empty() {
        return same_names;
    }
    // An action of ours removes whatever others have put in its place.
    let spoken_of = those(&|one| {
        let mut others = asked.iter().filter(|other| other.fit.is_none());
        one.place().is_some_and(|place| {
            others.any(|other| {
                let said = other.action.options.iter();
                let mut said = said.chain(other.action.parameters.iter());
                said.any(|(_, value)| value.text.contains(place))
            })
        })
    });
    if !spoken_of.is_empty() {
        return spoken_of;
    }
    match minority(asked) {
        Some(native) => those(&|one| one.native() == Some(native)),
        None => BTreeSet::new(),
    }
}

/// Of those that cannot share one place the one that the fewest jails use.
fn minority<'a>(asked: &'a [Asked]) -> Option<&'a Native> {
    let fixed = || asked.iter().filter(|one| one.place().is_some());
    let fixed = || fixed().filter(|one| one.native().is_some_and(|own| own.apart.is_none()));
    let uses = |native: &Native| fixed().filter(|one| one.native() == Some(native)).count();
    let in_the_way = fixed().filter(|one| {
        fixed().any(|other| {
            let is_twice = other.jail == one.jail && !std::ptr::eq(other.action, one.action);
            other.place() == one.place() && (other.native() != one.native() || is_twice)
        })
    });
    in_the_way
        .filter_map(Asked::native)
        .min_by_key(|native| uses(native))
}

/// An action, and who uses it.
struct Seat {
    name: ActionName,
    /// What was asked for.
    wanted: Native,
    /// What it is, where others are in the same place.
    native: Native,
    place: Place,
    jails: BTreeSet<String>,
}

/// Actions, each for all jails that want the same.
#[derive(Default)]
pub struct Seats {
    all: Vec<Seat>,
    /// How many there are in each place.
    taken: BTreeMap<String, usize>,
}

impl Seats {
    /// The name of the action that does this for a jail; a jail has each action once.
    pub fn seat(
        &mut self,
        jail: &str,
        wanted: &Native,
        place: &Place,
        new_name: impl FnOnce() -> ActionName,
    ) -> ActionName {
        let mut seats = self.all.iter_mut();
        let known = seats.find(|seat| seat.wanted == *wanted && !seat.jails.contains(jail));
        if let Some(seat) = known {
            seat.jails.insert(jail.to_owned());
            return seat.name.clone();
        }
        let mut native = wanted.clone();
        if let (Some(place), Some(apart)) = (&wanted.place, &wanted.apart) {
            let count = self.taken.entry(place.clone()).or_default();
            *count += 1;
            if *count > 1 {
                let own = Said::One(format!("_{count}"));
                native.parameters.insert(apart.clone(), own);
            }
        }
        let name = new_name();
        self.all.push(Seat {
            name: name.clone(),
            wanted: wanted.clone(),
            native,
            place: place.clone(),
            jails: BTreeSet::from([jail.to_owned()]),
        });
        name
    }

    /// All of them, each with where a jail names it first.
    pub fn natives(self) -> Vec<(ActionName, Native, Place)> {
        let all = self.all.into_iter();
        all.map(|seat| (seat.name, seat.native, seat.place))
            .collect()
    }
}
