//! In which order does an action take its steps, and what does it believe is in effect?
//!
//! Whoever takes everything at once (`reconcile`, or a file) is told everything. With others only the difference is
//! made: against what `list` shows, or against what was done since the start.

mod inherited;
mod known;
mod leaving;
mod listed;
mod looking;
mod singly;
mod unknown;

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::time::{Duration, Instant};

use inherited::Inherited;
use known::{Key, Known, Members, later};
use listed::addresses;
use looking::{Looks, looks};
use unknown::Unknown;

use super::hands::{Done, Hands, JobError, open_secrets};
use super::job::{Job, Write};
use super::machine;
use super::projection::{Projection, Touched};
use super::routine::{Bans, Part, Routine};
use super::scene::Scene;
use super::secret::Opened;
use super::step::Task;
use super::trace::Trace;
use super::vocabulary::About;
use super::worker::{Clock, Keeper};
use super::{ActionJail, Ending};
use crate::engine::name::JailName;
use crate::engine::prefix::Prefix;
use crate::engine::subject::Subject;
use crate::engine::time::Timestamp;

/// How often it is asked, within the longest time that a target can be told, whether bans have to be put into effect anew.
const RENEWALS: u32 = 8;

/// How far the clock may be from where it should be before what a target was told of the end of bans is no longer
/// believed. Less than what the daemon has everything put into effect anew for.
const CLOCK_STEP: Duration = Duration::from_secs(1);

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
    /// The family and the width of networks of which it was said that the target takes none: at most 160.
    left_out: BTreeSet<(bool, u8)>,
    /// What others have left in the same place.
    inherited: Vec<Inherited>,
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
    /// What it held before that nobody knows of, for as long as not all bans are known.
    unknown: Option<Unknown>,
    /// The time of the last order.
    now: Timestamp,
    /// When the clock was read last.
    read_at: Option<(Timestamp, Instant)>,
}

impl<'r> Steps<'r> {
    /// Takes none yet.
    pub fn new(routine: &'r Routine, is_called_off: CalledOff<'r>) -> Steps<'r> {
        let host = machine::name();
        Steps {
            routine,
            hands: Hands::new(&routine.values, routine.timeout),
            host,
            secrets: BTreeMap::new(),
            is_called_off,
            known: Known::default(),
            jails: BTreeMap::new(),
            leaving: BTreeMap::new(),
            left_out: BTreeSet::new(),
            inherited: Vec::new(),
            refusals: 0,
            made_at: None,
            witness: 0,
            // Whoever wrote the file before us may have been ended before he came to that.
            owes_after: true,
            written: None,
            unknown: None,
            now: Timestamp::from_micros(0),
            read_at: None,
        }
    }

    fn key(&self, jail: &JailName, subject: &Subject) -> Key {
        let jail = (self.routine.about == About::Jails).then(|| jail.clone());
        (jail, subject.clone())
    }

    fn takes(&self, subject: &Subject) -> bool {
        let widths = self.routine.widths.as_ref();
        match subject.network() {
            Some(network) => widths.is_none_or(|widths| widths.have(network)),
            None => self.routine.names,
        }
    }

    /// Says once of each width that networks of it are left out.
    fn tell_left_out<'s>(&mut self, subjects: impl Iterator<Item = &'s Subject>) {
        for network in subjects.filter_map(Subject::network) {
            let kind = (network.address().is_ipv6(), network.width());
            if !self.takes(&Subject::from(network)) && self.left_out.insert(kind) {
                log::warn!(
                    "{network} is not put into effect here: the target takes no networks of this width"
                );
            }
        }
    }

    /// Everybody who is to be banned, until the last of his bans ends.
    fn wanted(&self, projection: &Projection, now: Timestamp) -> Members {
        let mut wanted = Members::new();
        for (jail, bans) in projection.jails() {
            for (subject, held) in bans {
                let until = held.until;
                if self.takes(subject) && until.is_none_or(|until| until > now) {
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
            .filter_map(|(_, bans)| Some(bans.get(subject)?.until))
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

    fn takes_all_at_once(&self) -> bool {
        !self.routine.reconcile.is_empty() || self.routine.file.is_some()
    }

    /// Whether it matters what is in effect: only the difference is made, now or at the next change.
    fn remembers(&self) -> bool {
        !self.takes_all_at_once() || !self.routine.ban.is_empty()
    }

    /// Makes the file what it should be. If more may be banned than anybody knows of, what it holds stays.
    fn write(&mut self, wanted: &Members, complete: bool, now: Timestamp) -> Result<(), JobError> {
        let (Some(file), Some(path)) = (&self.routine.file, self.routine.path()) else {
            return Ok(());
        };
        let mut content = file.text(&self.scene(wanted, now));
        if complete {
            self.unknown = None;
        } else {
            let nobody = Members::new();
            let always = file.text(&self.scene(&nobody, now));
            if self.unknown.is_none() {
                self.unknown = Some(unknown_lines(&path, &always)?);
            }
            if let Some(unknown) = &mut self.unknown {
                content = unknown.add_to(content, &always);
            }
        }
        let job = Job::Write(Write {
            path: path.clone(),
            content,
        });
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
        // No list has names.
        let names = self.known.keys();
        let names = names.filter(|(_, subject)| subject.network().is_none());
        let mut listed: BTreeSet<Key> = names.cloned().collect();
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
        if !complete && !self.routine.reconcile.is_empty() {
            return Err(JobError::NotAllKnown);
        }
        if self.remembers() {
            self.known.begin(&wanted);
        }
        let tasks = self.tasks(Part::Reconcile, &wanted, false, now);
        self.apply_all(&tasks)?;
        self.write(&wanted, complete, now)?;
        if self.remembers() {
            self.known.replace(wanted);
        }
        Ok(())
    }

    /// Makes everything as it should be, and takes away what jails have had that are served no longer.
    fn make(&mut self, projection: &Projection, now: Timestamp) -> Result<(), JobError> {
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

    /// Whether bans that last longer than the target can be told have to be put into effect anew. Long before they end
    /// there.
    fn is_to_be_renewed(&self, now: Timestamp) -> bool {
        let longest = self.routine.vocabulary.longest();
        let made = longest.zip(self.made_at);
        made.is_some_and(|(longest, made)| self.routine.expires && now > made.after(longest / 2))
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
}

impl Keeper for Steps<'_> {
    type Error = JobError;

    fn reconcile(&mut self, projection: &Projection, clock: Clock<'_>) -> Result<(), JobError> {
        let now = self.begin(clock)?;
        self.serve(projection);
        self.tell_left_out(projection.jails().flat_map(|(_, bans)| bans.keys()));
        self.leave_changed(now)?;
        self.make(projection, now)?;
        if self.leave_inherited(now) {
            // Others may have called what is in use by another name.
            self.make(projection, now)?;
        }
        Ok(())
    }

    fn inherit(&mut self, traces: Vec<Trace>) {
        self.note_inherited(traces);
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
        self.tell_left_out(touched.values().flatten());
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
            return self.write(&empty, true, now);
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

/// What an earlier run has left in a file that nobody knows of.
fn unknown_lines(path: &str, always: &str) -> Result<Unknown, JobError> {
    let old = match std::fs::read_to_string(path) {
        Ok(old) => old,
        Err(error) if error.kind() == io::ErrorKind::NotFound => String::new(),
        Err(error) => {
            let path = path.to_owned();
            return Err(JobError::Read { path, error });
        }
    };
    Ok(Unknown::find(&old, always).unwrap_or_else(|| {
        if !old.is_empty() {
            log::warn!("{path} was written in another form: what it held is not kept");
        }
        Unknown::default()
    }))
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
