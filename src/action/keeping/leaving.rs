//! What becomes of what is there for jails that are served no longer, or no longer so?
//!
//! They are remembered until it is taken away.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::Steps;
use super::known::{Key, Members};
use crate::action::ActionJail;
use crate::action::hands::JobError;
use crate::action::projection::Projection;
use crate::action::routine::Part;
use crate::action::vocabulary::{About, Axis};
use crate::engine::name::JailName;
use crate::engine::prefix::Prefix;
use crate::engine::subject::Subject;
use crate::engine::time::Timestamp;

/// How often the steps that take away what a jail has had may be refused before that counts as gone: somebody else may have
/// taken it away.
const MOST_REFUSALS: u8 = 3;

/// Addresses that nobody has.
const ANYBODY: [IpAddr; 2] = [
    IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1)),
    IpAddr::V6(Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 1)),
];

/// Jails by their names.
type Jails = BTreeMap<JailName, ActionJail>;

impl Steps<'_> {
    /// Serves these jails from now on.
    pub(super) fn serve(&mut self, projection: &Projection) {
        let jails = projection.jails();
        let jails = jails
            .map(|(jail, _)| (jail.jail.clone(), jail.clone()))
            .collect();
        let old = std::mem::replace(&mut self.jails, jails);
        if self.routine.about == About::Jails {
            for (name, jail) in old {
                self.leaving.entry(name).or_insert(jail);
            }
        }
        // Who takes everything at once has nothing of the old ports afterwards, only what nobody is called by any more.
        let all_at_once = self.takes_all_at_once();
        self.leaving.retain(|name, old| match all_at_once {
            true => self.jails.values().all(|jail| jail.label != old.label),
            false => self.jails.get(name) != Some(old),
        });
    }

    /// Takes away what is there for jails that are the same no longer, before they come anew: nobody finds it afterwards.
    pub(super) fn leave_changed(&mut self, now: Timestamp) -> Result<(), JobError> {
        if self.takes_all_at_once() {
            return Ok(());
        }
        let leaving = self.leaving.iter();
        let changed = leaving.filter(|(name, _)| self.jails.contains_key(*name));
        let changed: Jails = changed
            .map(|(name, jail)| (name.clone(), jail.clone()))
            .collect();
        for (name, old) in changed {
            if self.differs(&name, &old, now) {
                self.leave(Jails::from([(name, old)]), now)?;
            } else {
                self.leaving.remove(&name);
            }
        }
        Ok(())
    }

    /// Whether something else is there for a jail than would be for what it is now.
    fn differs(&mut self, name: &JailName, old: &ActionJail, now: Timestamp) -> bool {
        let mut theirs = self.known.members(|(jail, _)| jail.as_ref() == Some(name));
        if theirs.is_empty() && self.routine.list.is_some() {
            // What an earlier run has left is not known yet: as anybody's ban would differ, so may that.
            theirs.extend(ANYBODY.map(|address| {
                let subject = Subject::from(Prefix::host(address));
                ((Some(name.clone()), subject), None)
            }));
        }
        let new = self.jails.get(name).cloned();
        let has_stop = self.routine.stop.iter().any(|step| step.names(&Axis::Jail));
        let mut jobs = |jail: &ActionJail| {
            let jails = Jails::from([(name.clone(), jail.clone())]);
            let served = std::mem::replace(&mut self.jails, jails);
            let mut tasks = self.tasks(Part::Ban, &theirs, true, now);
            if has_stop {
                tasks.extend(self.tasks(Part::Start, &theirs, false, now));
            }
            self.jails = served;
            tasks.into_iter().map(|task| task.job).collect::<Vec<_>>()
        };
        new.is_none_or(|new| jobs(old) != jobs(&new))
    }

    /// Takes away what is there for jails that are served no longer, or by another name, after nothing else makes use of it.
    pub(super) fn leave_gone(&mut self, now: Timestamp) -> Result<(), JobError> {
        let all_at_once = self.takes_all_at_once();
        let leaving = self.leaving.iter();
        let gone = leaving.filter(|(name, _)| all_at_once || !self.jails.contains_key(*name));
        let gone: Jails = gone
            .map(|(name, jail)| (name.clone(), jail.clone()))
            .collect();
        match gone.is_empty() {
            true => Ok(()),
            false => self.leave(gone, now),
        }
    }

    /// Takes away what is there for these jails. They are remembered until that is done.
    fn leave(&mut self, jails: Jails, now: Timestamp) -> Result<(), JobError> {
        let names: BTreeSet<JailName> = jails.keys().cloned().collect();
        let is_theirs = |(jail, _): &Key| jail.as_ref().is_some_and(|jail| names.contains(jail));
        let served = std::mem::replace(&mut self.jails, jails);
        let members = Members::new();
        let tasks: Vec<_> = {
            let scene = self.scene(&members, now);
            let steps = self.routine.stop.iter();
            let steps = steps.filter(|step| step.names(&Axis::Jail));
            steps.flat_map(|step| step.tasks(&scene)).collect()
        };
        let left = match (self.takes_all_at_once(), tasks.is_empty()) {
            (false, true) => self.lift_all(is_theirs, now),
            _ => {
                let left = self.apply_what_goes(&tasks);
                self.give_up_in_the_end(left)
            }
        };
        self.jails = served;
        left?;
        self.leaving.retain(|name, _| !names.contains(name));
        // Who is called otherwise now has his bans by that name already.
        let all_at_once = self.takes_all_at_once();
        let stays = |(jail, _): &Key| {
            jail.as_ref()
                .is_some_and(|jail| self.jails.contains_key(jail))
        };
        self.known
            .retain(|key| !is_theirs(key) || (all_at_once && stays(key)));
        Ok(())
    }

    /// Lifts all bans of jails that are served for the moment, also those that only the target shows.
    fn lift_all(
        &mut self,
        is_theirs: impl Fn(&Key) -> bool,
        now: Timestamp,
    ) -> Result<(), JobError> {
        let mut theirs = self.known.members(&is_theirs);
        let listed = self.listed(now)?.into_iter().filter(is_theirs);
        theirs.extend(listed.map(|key| (key, None)));
        self.lift(&theirs, now)
    }

    /// What is refused again and again is not there any more.
    fn give_up_in_the_end(&mut self, left: Result<(), JobError>) -> Result<(), JobError> {
        let Err(error) = left else {
            self.refusals = 0;
            return Ok(());
        };
        self.refusals += u8::from(error.is_of_program());
        if self.refusals < MOST_REFUSALS {
            return Err(error);
        }
        self.refusals = 0;
        log::warn!("what a jail has had is taken for gone, as taking it away is refused: {error}");
        Ok(())
    }
}
