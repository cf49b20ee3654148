//! In which order does an action take its steps, and what does it believe is in effect?
//!
//! Whoever takes everything at once (`reconcile`, or a file) is told everything. With others only the difference is
//! made: against what `list` shows, or against what was done since the start.

mod known;
mod listed;

use std::collections::{BTreeMap, BTreeSet};
use std::os::unix::fs::MetadataExt;
use std::time::{Duration, Instant};

use known::{Key, Known, Members, later};
use listed::addresses;

use super::hands::{Done, Hands, JobError, open_secrets};
use super::job::Job;
use super::projection::{Projection, Touched};
use super::routine::{Bans, Part, Routine};
use super::scene::Scene;
use super::secret::Opened;
use super::step::{Step, Task, write};
use super::vocabulary::{About, Axis};
use super::worker::{Clock, Keeper};
use super::{ActionJail, Ending};
use crate::engine::name::JailName;
use crate::engine::prefix::Prefix;
use crate::engine::subject::Subject;
use crate::engine::time::Timestamp;

/// How many bans a check by programs looks for: so few cost little every second, and a set that somebody empties is noticed
/// within two, if no more than twice as many are in use. One that asks over the network looks for one.
const MOST_WITNESSES: usize = 4;

/// How often it is asked, within the longest time that a target can be told, whether bans have to be put into effect anew.
const RENEWALS: u32 = 8;

/// How far the clock may be from where it should be before what a target was told of the end of bans is no longer
/// believed. Less than what the daemon has everything put into effect anew for.
const CLOCK_STEP: Duration = Duration::from_secs(1);

/// How often the steps that take away what a jail has had may be refused before that counts as gone: somebody else may have
/// taken it away.
const MOST_REFUSALS: u8 = 3;

/// Tells whether work is to end before it is done.
pub type CalledOff<'c> = &'c dyn Fn() -> bool;

/// Who takes the steps.
pub struct Steps<'r> {
    routine: &'r Routine,
    hands: Hands<'r>,
    host: String,
    secrets: BTreeMap<String, Opened>,
    is_called_off: CalledOff<'r>,
    /// What is in effect, as far as we know; not asked for if the target takes everything at once.
    known: Known,
    /// The jails that were served last.
    jails: BTreeMap<JailName, ActionJail>,
    /// Jails that are served no longer, or no longer so, and of which something may be left.
    leaving: BTreeMap<JailName, ActionJail>,
    /// How often in a row a program has refused to take away what they have had.
    refusals: u8,
    /// When all bans were put into effect last.
    made_at: Option<Timestamp>,
    /// Whose turn it is to be looked for.
    witness: usize,
    /// The file has changed, and what follows that has not been done.
    owes_after: bool,
    /// The file as it was when it was written.
    written: Option<Looks>,
    /// The time of the last order.
    now: Timestamp,
    /// When the clock was read last.
    read_at: Option<(Timestamp, Instant)>,
}

/// Jails by their names.
type Jails = BTreeMap<JailName, ActionJail>;

/// What came of the tasks for single bans.
struct Each {
    /// For whom all was done.
    done: BTreeSet<Key>,
    /// Who was refused, and why.
    refused: BTreeMap<Key, JobError>,
    /// Why others had not their turn.
    end: Result<(), JobError>,
}

/// By what a file is known that nobody has touched: its number, its size and when it was written.
type Looks = (u64, u64, i64, i64);

impl<'r> Steps<'r> {
    /// Takes none yet.
    pub fn new(routine: &'r Routine, is_called_off: CalledOff<'r>) -> Steps<'r> {
        let host = rustix::system::uname()
            .nodename()
            .to_string_lossy()
            .into_owned();
        Steps {
            routine,
            hands: Hands::new(&routine.values, routine.timeout),
            host,
            secrets: BTreeMap::new(),
            is_called_off,
            known: Known::default(),
            jails: BTreeMap::new(),
            leaving: BTreeMap::new(),
            refusals: 0,
            made_at: None,
            witness: 0,
            // Whoever wrote the file before us may have been ended before he came to that.
            owes_after: true,
            written: None,
            now: Timestamp::from_micros(0),
            read_at: None,
        }
    }

    fn key(&self, jail: &JailName, subject: &Subject) -> Key {
        let jail = (self.routine.about == About::Jails).then(|| jail.clone());
        (jail, subject.clone())
    }

    fn takes(&self, subject: &Subject) -> bool {
        subject.network().is_some() || self.routine.names
    }

    /// Everybody who is to be banned, until the last of his bans ends.
    fn wanted(&self, projection: &Projection, now: Timestamp) -> Members {
        let mut wanted = Members::new();
        for (jail, bans) in projection.jails() {
            for (subject, until) in bans {
                if self.takes(subject) && until.is_none_or(|until| until > now) {
                    let until = *until;
                    wanted
                        .entry(self.key(&jail.jail, subject))
                        .and_modify(|last| *last = later(*last, until))
                        .or_insert(until);
                }
            }
        }
        if self.routine.disjoint {
            leave_out_held(&mut wanted);
        }
        wanted
    }

    /// Until when one is to be banned; nothing if he is not.
    fn wants(
        &self,
        projection: &Projection,
        key: &Key,
        now: Timestamp,
    ) -> Option<Option<Timestamp>> {
        let (jail, subject) = key;
        let jails = projection.jails().filter(|(own, _)| match jail {
            Some(jail) => own.jail == *jail,
            None => true,
        });
        jails
            .filter_map(|(_, bans)| bans.get(subject).copied())
            .filter(|until| until.is_none_or(|until| until > now))
            .reduce(later)
    }

    /// The scene of some bans, with what is secret.
    fn scene<'s>(&'s self, members: &'s Members, now: Timestamp) -> Scene<'s> {
        let mut bans = Bans::new();
        for ((jail, subject), until) in members {
            bans.entry(jail.as_ref())
                .or_default()
                .push((subject, *until));
        }
        let mut scene = self
            .routine
            .scene(self.jails.values(), bans, &self.host, now);
        scene.secrets = self
            .secrets
            .iter()
            .map(|(name, secret)| (name.clone(), secret.reveal().to_owned()))
            .collect();
        scene
    }

    fn tasks(&self, part: Part, members: &Members, only_banned: bool, now: Timestamp) -> Vec<Task> {
        let mut scene = self.scene(members, now);
        scene.only_banned = only_banned;
        let steps = self.routine.steps(part).iter();
        steps.flat_map(|step| step.tasks(&scene)).collect()
    }

    fn apply(&mut self, job: &Job) -> Result<Done, JobError> {
        if (self.is_called_off)() {
            return Err(JobError::CalledOff);
        }
        self.hands.apply(job, &self.secrets)
    }

    /// Does all of it, the first error ends it.
    fn apply_all(&mut self, tasks: &[Task]) -> Result<(), JobError> {
        for task in tasks {
            self.apply(&task.job)?;
        }
        Ok(())
    }

    /// Does all of it, whatever a program refuses: where IPv6 is off, IPv4 is still to be guarded. Answers the first
    /// refusal.
    fn apply_what_goes(&mut self, tasks: &[Task]) -> Result<(), JobError> {
        let mut result = Ok(());
        for task in tasks {
            match self.apply(&task.job) {
                Ok(_) => {}
                Err(error) if error.is_of_program() => result = result.and(Err(error)),
                Err(error) => return result.and(Err(error)),
            }
        }
        result
    }

    /// Does what is done for single bans: one that is refused keeps no other from its turn.
    fn apply_each(&mut self, part: Part, members: &Members, now: Timestamp) -> Each {
        let mut each = Each {
            done: members.keys().cloned().collect(),
            refused: BTreeMap::new(),
            end: Ok(()),
        };
        let tasks = self.tasks(part, members, true, now);
        for (number, task) in tasks.iter().enumerate() {
            let Err(error) = self.apply(&task.job) else {
                continue;
            };
            match self.key_of(task) {
                Some(key) if error.is_refusal() => {
                    each.done.remove(&key);
                    each.refused.entry(key).or_insert(error);
                }
                _ => {
                    for task in tasks.iter().skip(number) {
                        match self.key_of(task) {
                            Some(key) => {
                                each.done.remove(&key);
                            }
                            None => each.done.clear(),
                        }
                    }
                    each.end = Err(error);
                    break;
                }
            }
        }
        each
    }

    /// Whose task it is; nobody's alone if it is that of several.
    fn key_of(&self, task: &Task) -> Option<Key> {
        let jail = task.jail.clone();
        let jail = jail.filter(|_| self.routine.about == About::Jails);
        Some((jail, task.subject.clone()?))
    }

    fn lift(&mut self, members: &Members, now: Timestamp) -> Result<(), JobError> {
        if members.is_empty() {
            return Ok(());
        }
        let Each {
            done,
            mut refused,
            end,
        } = self.apply_each(Part::Unban, members, now);
        for key in &done {
            self.known.remove(key);
        }
        let of_all = end.as_ref().err();
        let mut is_left = of_all.is_some_and(|error| !error.is_refusal());
        for key in members.keys().filter(|key| !done.contains(*key)) {
            let Some(error) = refused.get(key).or(of_all) else {
                continue;
            };
            if self.counts_as_gone(key, error) {
                self.known.remove(key);
                refused.remove(key);
            } else {
                is_left = true;
            }
        }
        match is_left {
            true => end.and(refused.into_values().next().map_or(Ok(()), Err)),
            false => Ok(()),
        }
    }

    /// Whether a ban that nobody lifts is not there any more. Whoever shows what is there is believed instead.
    fn counts_as_gone(&mut self, key: &Key, error: &JobError) -> bool {
        if error.is_of_what_is_gone() {
            return true;
        }
        let shows = self.routine.list.is_some() || self.takes_all_at_once();
        let is_gone = !shows && error.is_of_program() && self.known.refuse(key);
        if is_gone {
            log::warn!(
                "{} is taken for lifted, as lifting it is refused: {error}",
                key.1
            );
        }
        is_gone
    }

    fn put(&mut self, members: &Members, now: Timestamp) -> Result<(), JobError> {
        if members.is_empty() {
            return Ok(());
        }
        if self.remembers() {
            self.known.begin(members);
        }
        let each = self.apply_each(Part::Ban, members, now);
        if self.remembers() {
            for key in each.done {
                let until = members.get(&key).copied().flatten();
                self.known.put(key, until);
            }
            if self.routine.expires {
                self.known.clear_if_many(now);
            }
        }
        let refused = each.refused.into_values().next();
        each.end.and(refused.map_or(Ok(()), Err))
    }

    fn takes_all_at_once(&self) -> bool {
        !self.routine.reconcile.is_empty() || self.routine.file.is_some()
    }

    /// Whether it matters what is in effect: only the difference is made, now or at the next change.
    fn remembers(&self) -> bool {
        !self.takes_all_at_once() || !self.routine.ban.is_empty()
    }

    /// Makes the file what it should be.
    fn write(&mut self, wanted: &Members, now: Timestamp) -> Result<(), JobError> {
        let (Some(file), Some(path)) = (&self.routine.file, self.routine.path()) else {
            return Ok(());
        };
        let job = write(&path, &file.content, &self.scene(wanted, now));
        self.owes_after |= self.apply(&job)?.changed;
        self.written = looks(&path);
        if self.owes_after {
            let tasks = self.tasks(Part::After, wanted, false, now);
            self.apply_all(&tasks)?;
            self.owes_after = false;
        }
        Ok(())
    }

    /// Who is in effect according to the target itself.
    fn listed(&mut self, now: Timestamp) -> Result<BTreeSet<Key>, JobError> {
        let Some(list) = &self.routine.list else {
            return Ok(self.known.keys().cloned().collect());
        };
        let nobody = Members::new();
        let scene = self.scene(&nobody, now);
        let tasks: Vec<_> = list.step.tasks(&scene);
        let having = tasks
            .iter()
            .map(|task| Some(scene.fill_for(list.having.as_ref()?, task.jail.as_ref())))
            .collect::<Vec<_>>();
        let mut listed = BTreeSet::new();
        for (task, having) in tasks.into_iter().zip(having) {
            let done = self.apply(&task.job)?;
            if done.cut {
                return Err(JobError::TooLong);
            }
            let said = String::from_utf8_lossy(&done.said);
            listed.extend(
                addresses(&said, having.as_deref())
                    .into_iter()
                    .map(|network| {
                        let jail = task
                            .jail
                            .clone()
                            .filter(|_| self.routine.about == About::Jails);
                        (jail, Subject::from(network))
                    }),
            );
        }
        Ok(listed)
    }

    /// Makes the difference between what is in effect and what should be.
    fn make_difference(
        &mut self,
        wanted: &Members,
        complete: bool,
        now: Timestamp,
    ) -> Result<(), JobError> {
        if self.routine.expires {
            // What is over has ended there.
            self.known.clear(now);
        }
        let listed = self.listed(now)?;
        let leaving = &self.leaving;
        // What a jail has had that is served no longer is taken away with it.
        let is_leaving =
            |(jail, _): &Key| jail.as_ref().is_some_and(|jail| leaving.contains_key(jail));
        self.known
            .retain(|key| listed.contains(key) || is_leaving(key));
        // More may be banned than anybody knows of: that stays.
        let gone = listed
            .iter()
            .filter(|key| complete && !wanted.contains_key(*key) && !is_leaving(key));
        let gone: Members = gone.map(|key| (key.clone(), None)).collect();
        let is_missing = |key: &Key, until: &Option<Timestamp>| match self.known.until(key) {
            Some(known) => self.routine.expires && known != *until,
            // What somebody has put there may end at another time.
            None => self.routine.expires || !listed.contains(key) || self.routine.list.is_none(),
        };
        let (missing, there): (Members, Members) = wanted
            .iter()
            .map(|(key, until)| (key.clone(), *until))
            .partition(|(key, until)| is_missing(key, until));
        for (key, until) in there {
            self.known.put(key, until);
        }
        let lifted = self.lift(&gone, now);
        self.put(&missing, now)?;
        lifted
    }

    /// Serves these jails from now on.
    fn serve(&mut self, projection: &Projection) {
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
        // Who takes everything at once has nothing of the old ports afterwards.
        let all_at_once = self.takes_all_at_once();
        self.leaving.retain(|name, old| match self.jails.get(name) {
            Some(jail) => !all_at_once && jail != old,
            None => true,
        });
    }

    /// Takes away what is there for jails that are the same no longer, before they come anew: nobody finds it afterwards.
    fn leave_changed(&mut self, now: Timestamp) -> Result<(), JobError> {
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
        let theirs = self.known.members(|(jail, _)| jail.as_ref() == Some(name));
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

    /// Takes away what is there for jails that are served no longer, after nothing else makes use of it.
    fn leave_gone(&mut self, now: Timestamp) -> Result<(), JobError> {
        let leaving = self.leaving.iter();
        let gone = leaving.filter(|(name, _)| !self.jails.contains_key(*name));
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
            (false, true) => {
                let theirs = self.known.members(is_theirs);
                self.lift(&theirs, now)
            }
            _ => {
                let left = self.apply_what_goes(&tasks);
                self.give_up_in_the_end(left)
            }
        };
        self.jails = served;
        left?;
        self.leaving.retain(|name, _| !names.contains(name));
        self.known.retain(|key| !is_theirs(key));
        Ok(())
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

    /// Makes all bans as they should be.
    fn make_all(
        &mut self,
        mut wanted: Members,
        complete: bool,
        now: Timestamp,
    ) -> Result<(), JobError> {
        if !self.takes_all_at_once() {
            return self.make_difference(&wanted, complete, now);
        }
        // More may be banned than anybody knows of: that is only added to.
        if !complete && !self.routine.ban.is_empty() {
            wanted.retain(|key, until| self.known.until(key) != Some(*until));
            return self.put(&wanted, now);
        }
        if self.remembers() {
            self.known.begin(&wanted);
        }
        let tasks = self.tasks(Part::Reconcile, &wanted, false, now);
        self.apply_all(&tasks)?;
        self.write(&wanted, now)?;
        if self.remembers() {
            self.known.replace(wanted);
        }
        Ok(())
    }

    /// Whether bans that last longer than the target can be told have to be put into effect anew. Long before they end
    /// there.
    fn is_to_be_renewed(&self, now: Timestamp) -> bool {
        let longest = self.routine.vocabulary.longest();
        let made = longest.zip(self.made_at);
        made.is_some_and(|(longest, made)| self.routine.expires && now > made.after(longest / 2))
    }

    /// Some bans that should be in effect, each of another jail or family and each time others; none that may end while
    /// it is looked for.
    fn witnesses(&mut self, projection: &Projection, now: Timestamp) -> Members {
        let soon = now.after(self.routine.timeout);
        self.witness = self.witness.wrapping_add(1);
        let turn = self.witness;
        let mut groups: Vec<(Key, Option<Timestamp>)> = Vec::new();
        for (jail, bans) in projection.jails() {
            for is_ipv6 in [false, true] {
                let fits = |subject: &Subject| match subject.network() {
                    Some(network) => network.address().is_ipv6() == is_ipv6,
                    None => self.routine.names && !is_ipv6,
                };
                let lasting = || {
                    bans.iter().filter(|(subject, until)| {
                        fits(subject) && until.is_none_or(|until| until > soon)
                    })
                };
                let at = turn.checked_rem(lasting().count()).unwrap_or_default();
                let witness = lasting().nth(at);
                groups.extend(
                    witness.map(|(subject, until)| (self.key(&jail.jail, subject), *until)),
                );
            }
        }
        let runs = self.routine.check.iter().all(Step::runs);
        let most = if runs { MOST_WITNESSES } else { 1 };
        let first = (turn * most).checked_rem(groups.len()).unwrap_or_default();
        groups.rotate_left(first);
        groups.into_iter().take(most).collect()
    }

    /// Whether the target is looked at.
    fn looks(&self) -> bool {
        let routine = self.routine;
        let asks = routine.start.iter().any(|step| step.asks()) || routine.file.is_some();
        let can_look = asks || !routine.check.is_empty() || routine.list.is_some();
        can_look && routine.check_every.is_some()
    }

    /// Begins an order.
    fn begin(&mut self, clock: Clock<'_>) -> Result<Timestamp, JobError> {
        self.now = self.read(clock);
        self.open_secrets()?;
        Ok(self.now)
    }

    /// Reads the clock. If it was set, or the machine slept, the target ends bans at other times than it was told to.
    fn read(&mut self, clock: Clock<'_>) -> Timestamp {
        let (now, at) = (clock(), Instant::now());
        if let Some((then, was)) = self.read_at.replace((now, at)) {
            let due = then.after(at.duration_since(was));
            if self.routine.expires && now.since(due).max(due.since(now)) > CLOCK_STEP {
                self.known.doubt();
            }
        }
        now
    }

    fn open_secrets(&mut self) -> Result<(), JobError> {
        self.secrets = open_secrets(&self.routine.values)?;
        Ok(())
    }

    /// Looks whether what the start has made is there, and whether some bans are in effect, each time others.
    fn looks_unchanged(
        &mut self,
        projection: &Projection,
        clock: Clock<'_>,
    ) -> Result<bool, JobError> {
        let now = clock();
        // Several steps may ask the same.
        let mut asked = BTreeSet::new();
        for task in self.tasks(Part::Start, &Members::new(), false, now) {
            if let Job::Run(run) = &task.job
                && !run.unless.is_empty()
                && asked.insert(run.unless.clone())
                && !self.hands.is_done(run)?
            {
                return Ok(false);
            }
        }
        if let Some(path) = self.routine.path() {
            return Ok(self.written.is_some() && looks(&path) == self.written);
        }
        if self.routine.check.is_empty() {
            let wanted = self.wanted(projection, now);
            if self.routine.list.is_none() {
                return Ok(true);
            }
            let mut listed = self.listed(now)?;
            // What is over is lifted in a moment.
            listed.retain(|key| !self.known.is_over(key, now));
            // Names are in no list.
            let wanted = wanted.keys();
            let wanted = wanted.filter(|(_, subject)| subject.network().is_some());
            return Ok(listed.iter().eq(wanted));
        }
        let witnesses = self.witnesses(projection, now);
        for task in self.tasks(Part::Check, &witnesses, false, now) {
            match self.apply(&task.job) {
                Ok(_) => {}
                Err(error) if error.is_refusal() => return Ok(false),
                Err(error) => return Err(error),
            }
        }
        Ok(true)
    }
}

impl Keeper for Steps<'_> {
    type Error = JobError;

    fn reconcile(&mut self, projection: &Projection, clock: Clock<'_>) -> Result<(), JobError> {
        let now = self.begin(clock)?;
        self.serve(projection);
        self.leave_changed(now)?;
        let wanted = self.wanted(projection, now);
        let start = self.tasks(Part::Start, &wanted, false, now);
        let started = self.apply_what_goes(&start);
        if let Err(error) = &started
            && !error.is_of_program()
        {
            return started;
        }
        let made = self.make_all(wanted, projection.is_complete(), now);
        let left = match &made {
            Ok(()) => {
                self.made_at = Some(now);
                self.leave_gone(now)
            }
            Err(_) => Ok(()),
        };
        // What was refused first is the cause of the rest.
        started.and(made).and(left)
    }

    fn change(
        &mut self,
        projection: &Projection,
        touched: &Touched,
        clock: Clock<'_>,
    ) -> Result<(), JobError> {
        // Who comes may hold others, and who goes may have held some.
        if self.routine.ban.is_empty() || self.routine.disjoint {
            return self.reconcile(projection, clock);
        }
        let now = self.begin(clock)?;
        let is_sure = self.remembers() && projection.is_complete() && self.made_at.is_some();
        let (mut lifted, mut put, mut renewed) = (Members::new(), Members::new(), Members::new());
        for (jail, subjects) in touched {
            for subject in subjects.iter().filter(|subject| self.takes(subject)) {
                let key = self.key(jail, subject);
                match self.wants(projection, &key, now) {
                    // Who was banned and freed since the last time has never been there.
                    None if is_sure && !self.known.has(&key) => {}
                    None => {
                        lifted.insert(key, None);
                    }
                    Some(until) if self.known.until(&key) == Some(until) => {}
                    Some(until) if self.known.until(&key).is_some() && !self.routine.expires => {
                        renewed.insert(key, until);
                    }
                    Some(until) => {
                        put.insert(key, until);
                    }
                }
            }
        }
        for (key, until) in renewed {
            self.known.put(key, until);
        }
        let lifted = self.lift(&lifted, now);
        self.put(&put, now)?;
        lifted
    }

    fn stop(&mut self, ending: Ending) -> Result<(), JobError> {
        let removes = match ending {
            Ending::AsConfigured => self.routine.removes_at_end,
            Ending::Leave => false,
            Ending::Remove => true,
        };
        if !removes {
            return Ok(());
        }
        self.open_secrets()?;
        let now = self.now;
        if let (Some(_), Some(path)) = (&self.routine.file, self.routine.path()) {
            let empty = Members::new();
            log::debug!("{path} is left without bans");
            return self.write(&empty, now);
        }
        // Of those that left before, something may be there still.
        for (name, jail) in std::mem::take(&mut self.leaving) {
            self.jails.entry(name).or_insert(jail);
        }
        if self.routine.stop.is_empty() {
            let ends = self.routine.expires;
            let known = self
                .known
                .members(|key| !(ends && self.known.is_over(key, now)));
            return self.lift(&known, now);
        }
        let tasks = self.tasks(Part::Stop, &Members::new(), false, now);
        self.apply_what_goes(&tasks)
    }

    fn check(&mut self, projection: &Projection, clock: Clock<'_>) -> Result<bool, JobError> {
        let now = self.read(clock);
        if self.is_to_be_renewed(now) {
            self.known.doubt();
            self.reconcile(projection, clock)?;
        }
        if !self.looks() {
            return Ok(true);
        }
        let is_there = self.looks_unchanged(projection, clock)?;
        if !is_there {
            // What is left of it is not known; the target may be asked, or everything is put into effect anew.
            self.known.doubt();
        }
        Ok(is_there)
    }

    fn check_every(&self) -> Option<Duration> {
        let looks = self.routine.check_every.filter(|_| self.looks());
        // Also who is not looked at has to be told in time again.
        let longest = self.routine.vocabulary.longest();
        let renews = longest
            .filter(|_| self.routine.expires)
            .map(|longest| longest / RENEWALS);
        match (looks, renews) {
            (Some(looks), Some(renews)) => Some(looks.min(renews)),
            (looks, renews) => looks.or(renews),
        }
    }

    fn pause(&self) -> Duration {
        self.routine.pause
    }

    fn patience(error: &JobError) -> Option<Duration> {
        error.wait()
    }
}

/// Leaves out who is in a network that is there as well: networks come before what they hold.
fn leave_out_held(members: &mut Members) {
    let mut last: Option<(Option<JailName>, Prefix)> = None;
    members.retain(|(jail, subject), _| {
        let Some(network) = subject.network() else {
            return true;
        };
        let is_held = last
            .as_ref()
            .is_some_and(|(of, outer)| of == jail && outer.holds(network));
        if !is_held {
            last = Some((jail.clone(), network));
        }
        !is_held
    });
}

fn looks(path: &str) -> Option<Looks> {
    let file = std::fs::metadata(path).ok()?;
    Some((file.ino(), file.size(), file.mtime(), file.mtime_nsec()))
}
