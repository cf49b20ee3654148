//! In which order does an action take its steps, and what does it believe is in effect?
//!
//! Whoever takes everything at once (`reconcile`, or a file) is told everything. With others only the difference is
//! made: against what `list` shows, or against what was done since the start.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::os::unix::fs::MetadataExt;
use std::time::Duration;

use serde_json::Value as Json;

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

/// A ban as the target sees it: in a jail, or whatever the jail.
type Key = (Option<JailName>, Subject);

/// Bans and until when they last.
type Members = BTreeMap<Key, Option<Timestamp>>;

/// How many characters of a list's line are looked at: an address stands at its beginning or behind some words.
const LONGEST_LINE: usize = 1_024;

/// How many bans a check by programs looks for: so few cost little every second, and a set that somebody empties is noticed
/// within two, if no more than twice as many are in use. One that asks over the network looks for one.
const MOST_WITNESSES: usize = 4;

/// Who takes the steps.
pub struct Steps<'r> {
    routine: &'r Routine,
    hands: Hands<'r>,
    host: String,
    secrets: BTreeMap<String, Opened>,
    /// What is in effect, as far as we know; not asked for if the target takes everything at once.
    known: HashMap<Key, Option<Timestamp>>,
    /// The jails that were served last.
    jails: BTreeMap<JailName, ActionJail>,
    /// Jails that are served no longer, and of which something may be left.
    leaving: BTreeMap<JailName, ActionJail>,
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
}

/// By what a file is known that nobody has touched: its number, its size and when it was written.
type Looks = (u64, u64, i64, i64);

impl<'r> Steps<'r> {
    /// Takes none yet.
    pub fn new(routine: &'r Routine) -> Steps<'r> {
        let host = rustix::system::uname()
            .nodename()
            .to_string_lossy()
            .into_owned();
        Steps {
            routine,
            hands: Hands::new(&routine.values, routine.timeout),
            host,
            secrets: BTreeMap::new(),
            known: HashMap::new(),
            jails: BTreeMap::new(),
            leaving: BTreeMap::new(),
            made_at: None,
            witness: 0,
            // Whoever wrote the file before us may have been ended before he came to that.
            owes_after: true,
            written: None,
            now: Timestamp::from_micros(0),
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

    /// Does what is done for single bans: one that is refused keeps no other from its turn. Returns those for whom all
    /// was done.
    fn apply_each(
        &mut self,
        part: Part,
        members: &Members,
        now: Timestamp,
    ) -> (BTreeSet<Key>, Result<(), JobError>) {
        let mut done: BTreeSet<Key> = members.keys().cloned().collect();
        let mut result = Ok(());
        for task in self.tasks(part, members, true, now) {
            let Err(error) = self.apply(&task.job) else {
                continue;
            };
            let jail = task.jail.filter(|_| self.routine.about == About::Jails);
            match task.subject {
                Some(subject) if error.is_refusal() => {
                    done.remove(&(jail, subject));
                    result = result.and(Err(error));
                }
                _ => {
                    // Whose turn would have come is not known.
                    return (BTreeSet::new(), Err(error));
                }
            }
        }
        (done, result)
    }

    fn lift(&mut self, members: &Members, now: Timestamp) -> Result<(), JobError> {
        if members.is_empty() {
            return Ok(());
        }
        let (done, result) = self.apply_each(Part::Unban, members, now);
        for key in done {
            self.known.remove(&key);
        }
        result
    }

    fn put(&mut self, members: &Members, now: Timestamp) -> Result<(), JobError> {
        if members.is_empty() {
            return Ok(());
        }
        let (done, result) = self.apply_each(Part::Ban, members, now);
        if self.remembers() {
            for key in done {
                let until = members.get(&key).copied().flatten();
                self.known.insert(key, until);
            }
        }
        result
    }

    fn takes_all_at_once(&self) -> bool {
        !self.routine.reconcile.is_empty() || self.routine.file.is_some()
    }

    /// Whether it matters what is in effect: to whom the target does not tell all at once, and where a ban must be put
    /// into effect once and not twice.
    fn remembers(&self) -> bool {
        !self.takes_all_at_once() || (!self.routine.expires && !self.routine.ban.is_empty())
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
            let said = self.apply(&task.job)?.said;
            let said = String::from_utf8_lossy(&said);
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
        let listed = self.listed(now)?;
        let leaving = &self.leaving;
        // What a jail has had that is served no longer is taken away with it.
        let is_leaving =
            |(jail, _): &Key| jail.as_ref().is_some_and(|jail| leaving.contains_key(jail));
        self.known
            .retain(|key, _| listed.contains(key) || is_leaving(key));
        // More may be banned than anybody knows of: that stays.
        let gone = listed
            .iter()
            .filter(|key| complete && !wanted.contains_key(*key) && !is_leaving(key));
        let gone: Members = gone.map(|key| (key.clone(), None)).collect();
        let missing = wanted
            .iter()
            .filter(|(key, until)| match self.known.get(*key) {
                Some(known) => self.routine.expires && known != *until,
                // What somebody has put there may end at another time.
                None => {
                    self.routine.expires || !listed.contains(*key) || self.routine.list.is_none()
                }
            });
        let missing: Members = missing.map(|(key, until)| (key.clone(), *until)).collect();
        let known = wanted.iter().filter(|(key, _)| listed.contains(*key));
        self.known
            .extend(known.map(|(key, until)| (key.clone(), *until)));
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
            self.leaving.extend(old);
        }
        self.leaving
            .retain(|name, _| !self.jails.contains_key(name));
    }

    /// Takes away what is there for jails that are served no longer, after nothing else makes use of it.
    fn leave_jails(&mut self, now: Timestamp) -> Result<(), JobError> {
        if self.leaving.is_empty() {
            return Ok(());
        }
        let leaving = self.leaving.clone();
        let served = std::mem::replace(&mut self.jails, leaving);
        let members = Members::new();
        let tasks: Vec<_> = {
            let scene = self.scene(&members, now);
            let steps = self.routine.stop.iter();
            let steps = steps.filter(|step| step.names(&Axis::Jail));
            steps.flat_map(|step| step.tasks(&scene)).collect()
        };
        let left = match (self.takes_all_at_once(), tasks.is_empty()) {
            (false, true) => {
                let is_of_them = |jail: &Option<JailName>| {
                    jail.as_ref()
                        .is_some_and(|jail| self.jails.contains_key(jail))
                };
                let theirs = self.known.iter().filter(|((jail, _), _)| is_of_them(jail));
                let theirs: Members = theirs.map(|(key, until)| (key.clone(), *until)).collect();
                self.lift(&theirs, now)
            }
            _ => self.apply_what_goes(&tasks),
        };
        self.jails = served;
        left?;
        let left = std::mem::take(&mut self.leaving);
        self.known
            .retain(|(jail, _), _| jail.as_ref().is_none_or(|jail| !left.contains_key(jail)));
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
            wanted.retain(|key, until| self.known.get(key) != Some(until));
            return self.put(&wanted, now);
        }
        let tasks = self.tasks(Part::Reconcile, &wanted, false, now);
        self.apply_all(&tasks)?;
        self.write(&wanted, now)?;
        if self.remembers() {
            self.known = wanted.into_iter().collect();
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

    /// Begins an order.
    fn begin(&mut self, clock: Clock<'_>) -> Result<Timestamp, JobError> {
        self.now = clock();
        self.open_secrets()?;
        Ok(self.now)
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
            let is_over = |until: &Option<Timestamp>| until.is_some_and(|until| until <= now);
            listed.retain(|key| !self.known.get(key).is_some_and(is_over));
            return Ok(listed.iter().eq(wanted.keys()));
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
                self.leave_jails(now)
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
        let is_sure = self.remembers() && !self.routine.expires && projection.is_complete();
        let (mut lifted, mut put, mut renewed) = (Members::new(), Members::new(), Members::new());
        for (jail, subjects) in touched {
            for subject in subjects.iter().filter(|subject| self.takes(subject)) {
                let key = self.key(jail, subject);
                match self.wants(projection, &key, now) {
                    // Who was banned and freed since the last time has never been there.
                    None if is_sure && !self.known.contains_key(&key) => {}
                    None => {
                        lifted.insert(key, None);
                    }
                    Some(until) if self.known.get(&key) == Some(&until) => {}
                    Some(until) if self.known.contains_key(&key) && !self.routine.expires => {
                        renewed.insert(key, until);
                    }
                    Some(until) => {
                        put.insert(key, until);
                    }
                }
            }
        }
        self.known.extend(renewed);
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
        if self.routine.stop.is_empty() {
            let known = self.known.iter().map(|(key, until)| (key.clone(), *until));
            let known: Members = known.collect();
            return self.lift(&known, now);
        }
        // Of those that left before, something may be there still.
        self.jails.append(&mut self.leaving);
        let tasks = self.tasks(Part::Stop, &Members::new(), false, now);
        self.apply_what_goes(&tasks)
    }

    fn check(&mut self, projection: &Projection, clock: Clock<'_>) -> Result<bool, JobError> {
        let now = clock();
        if self.is_to_be_renewed(now) {
            self.known.clear();
            self.reconcile(projection, clock)?;
        }
        let is_there = self.looks_unchanged(projection, clock)?;
        if !is_there {
            // What is left of it is not known; the target may be asked, or everything is put into effect anew.
            self.known.clear();
        }
        Ok(is_there)
    }

    fn check_every(&self) -> Option<Duration> {
        let routine = self.routine;
        let asks = routine.start.iter().any(|step| step.asks()) || routine.file.is_some();
        let looks = asks || !routine.check.is_empty() || routine.list.is_some();
        routine.check_every.filter(|_| looks)
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

fn later(one: Option<Timestamp>, other: Option<Timestamp>) -> Option<Timestamp> {
    Some(one?.max(other?))
}

/// The addresses and networks of a list: each text of JSON that is one, or the first in each line that has these words.
fn addresses(said: &str, having: Option<&str>) -> Vec<Prefix> {
    match serde_json::from_str(said) {
        Ok(json @ (Json::Array(_) | Json::Object(_))) => {
            let mut found = Vec::new();
            gather(&json, &mut found);
            found
        }
        _ => {
            let lines = said.lines();
            let ours = lines.filter(|line| having.is_none_or(|having| line.contains(having)));
            ours.filter_map(address).collect()
        }
    }
}

/// serde_json reads no more than 128 levels, so this comes to an end.
fn gather(json: &Json, found: &mut Vec<Prefix>) {
    match json {
        Json::String(text) => found.extend(text.parse::<Prefix>()),
        Json::Array(items) => items.iter().for_each(|item| gather(item, found)),
        Json::Object(entries) => entries.values().for_each(|value| gather(value, found)),
        Json::Null | Json::Bool(_) | Json::Number(_) => {}
    }
}

/// The first address or network in a line.
fn address(line: &str) -> Option<Prefix> {
    let line = line.get(..LONGEST_LINE).unwrap_or(line);
    let mut words = line.split(|c: char| !(c.is_ascii_hexdigit() || matches!(c, '.' | ':' | '/')));
    words.find_map(|word| {
        let is_one = word.contains(':') || word.matches('.').count() == 3;
        is_one.then(|| word.parse().ok()).flatten()
    })
}
