//! Decide, remember, act: in that order, one letter at a time.
//!
//! The driver owns the engine, the store, the list of readers and the queues of the actions. It is a plain
//! thread; nothing here is async, and nobody else decides anything.

mod inquiries;
mod settings;

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use tokio::sync::{broadcast, mpsc, watch};

use super::answer::{self, View};
use super::circumstances::Circumstances;
use super::clock;
use super::effect::Effect;
use super::events::{self, Counts};
use super::fail2ban_log::Fail2banLog;
use super::letter::Letter;
use super::lookups::Lookups;
use super::memory::Memory;
use super::notice::{report_decision, trouble_text};
use super::notify::{Announcement, Status};
use super::outbox::{Outbox, WorkerId};
use super::sources::Sources;
use super::takeover;
use super::trial::Trial;
use super::unwritten::Unwritten;
use crate::action::Report;
use crate::action::event::{Event, Occasion};
use crate::control::protocol::{
    ConfigurationRow, FollowLine, ForeignBan, MOST_TAKEN_OVER, Reply, Request,
};
use crate::engine::cursor::Stream;
use crate::engine::input::Remembered;
use crate::engine::name::{ActionName, JailName};
use crate::engine::policy::{AddressSet, SetName};
use crate::engine::record::kept::kept;
use crate::engine::time::{Span, Timestamp};
use crate::engine::{Decision, Engine, Input};
use crate::ignore::{command::Asking, guard};
use crate::source::{Delivery, Losses, Trouble};

/// How soon what could not be written is tried again.
const RETRY_EVERY: Duration = Duration::from_secs(1);

/// How long the daemon waits for actions before it says that it is ready: those that can, take milliseconds, and sshd
/// waits for us.
const READY_WITHIN: Duration = Duration::from_secs(10);

/// How soon a worker whose queue was full is told again.
const CATCH_UP_EVERY: Duration = Duration::from_millis(100);

/// How often the database is looked after, and how soon the rest of its old history follows if there is more.
const SWEEP_EVERY: Duration = Duration::from_secs(60);
const SWEEP_MORE_AFTER: Duration = Duration::from_millis(50);

/// Who hears what the driver has done; it waits for nobody of them.
pub struct Audience {
    /// Those who follow.
    pub followers: broadcast::Sender<FollowLine>,
    /// The main thread: when a tick is due.
    pub deadline: watch::Sender<Option<Timestamp>>,
    /// The service manager.
    pub announcements: watch::Sender<Announcement>,
    /// Whoever keeps an eye on sets of addresses: which ones are wanted.
    pub wanted: watch::Sender<BTreeSet<SetName>>,
    /// And whom a program should be asked about.
    pub failing: mpsc::Sender<Asking>,
}

/// By how much the clock may run away from the time that passes before it counts as set. Corrections of a
/// synchronised clock are far smaller.
const CLOCK_STEP: Duration = Duration::from_secs(2);

/// What the driver is made of.
pub struct Driver {
    /// Settings in force, the policy moved into the engine.
    pub circumstances: Circumstances,
    /// Decides.
    pub engine: Engine,
    /// Remembers.
    pub memory: Memory,
    /// Acts.
    pub outbox: Outbox,
    /// Reads.
    pub sources: Sources,
    /// Looks up names.
    pub lookups: Lookups,
    /// Hears of it.
    pub audience: Audience,
    /// Tells in Fail2ban's words.
    told: Fail2banLog,
    unwritten: Unwritten,
    /// Looks why bans do not work.
    effect: Effect,
    /// The programs that jails want to be asked.
    commands: BTreeMap<JailName, SetName>,
    /// Of the configuration in force, until it is confirmed.
    trial: Option<Trial>,
    /// When that one came back since a newer one was not confirmed.
    restored: Option<Timestamp>,
    /// Actions that have not reported since the start; the daemon is ready when all have.
    expected_reports: BTreeSet<ActionName>,
    /// Until when it waits for them.
    ready_by: Timestamp,
    /// When something that could not be done is tried again.
    again_at: Option<Timestamp>,
    next_sweep: Timestamp,
    /// Whether it is known what actions of earlier runs may have left.
    has_inherited: bool,
    announcement: Announcement,
    /// When the last letter came, by the clock and by the time that passes.
    last_letter: (Timestamp, Instant),
}

impl Driver {
    /// Puts the parts together and lets the engine hear what the last run left behind.
    #[expect(
        clippy::too_many_arguments,
        reason = "the parts of the driver, each of its own type"
    )]
    pub fn begin(
        circumstances: Circumstances,
        engine: Engine,
        memory: Memory,
        outbox: Outbox,
        sources: Sources,
        lookups: Lookups,
        audience: Audience,
        remembered: Remembered,
    ) -> Self {
        let now = clock::now();
        let commands = engine.policy().commands();
        let mut driver = Driver {
            circumstances,
            engine,
            memory,
            outbox,
            sources,
            lookups,
            audience,
            told: Fail2banLog::default(),
            unwritten: Unwritten::default(),
            effect: Effect::default(),
            commands,
            trial: None,
            restored: None,
            expected_reports: BTreeSet::new(),
            ready_by: now.after(READY_WITHIN),
            again_at: None,
            next_sweep: now.after(SWEEP_MORE_AFTER),
            has_inherited: false,
            announcement: Announcement::default(),
            last_letter: (now, Instant::now()),
        };
        driver
            .told
            .go_on(now, &driver.circumstances.logging, driver.engine.policy());
        // Before anybody can be banned for what is read first.
        driver.guard(now, guard::addresses());
        if let Err(error) = driver.engine.watch(now) {
            log::error!("what filters no longer hear cannot be told: {error}");
        }
        driver.decide(now, Input::Restore(remembered), None);
        driver.ask_programs_anew();
        driver.told.tell_restored(now, &driver.engine);
        driver
    }

    /// Deals with letters until one says to end.
    pub fn run(mut self, mut inbox: mpsc::Receiver<Letter>) {
        let since = clock::now().before(super::longest_findtime(self.engine.policy()));
        self.start_work(since);
        self.expected_reports = self.outbox.keepers().cloned().collect();
        if self.expected_reports.is_empty() {
            self.become_ready();
        }
        self.announce_deadline();
        self.announce_status();
        while let Some(letter) = inbox.blocking_recv() {
            let now = clock::now();
            self.mind_the_clock(now);
            if self.trial.as_ref().is_some_and(Trial::is_over) {
                self.go_back(now);
            }
            match letter {
                Letter::Delivery {
                    generation,
                    delivery,
                } => self.take_delivery(now, generation, delivery),
                Letter::Report {
                    worker,
                    action,
                    report,
                } => self.take_report(now, worker, &action, report),
                Letter::Ignore {
                    set: SetName::Guarded,
                    addresses,
                } => self.guard(now, addresses),
                Letter::Ignore { set, addresses } => {
                    self.decide(now, Input::Ignore { set, addresses }, None);
                }
                Letter::Word {
                    program,
                    address,
                    is_spared,
                } => {
                    let word = Input::Word {
                        program,
                        address,
                        is_spared,
                    };
                    self.decide(now, word, None);
                }
                Letter::Named { host, addresses } => self.take_addresses(now, host, addresses),
                Letter::Question { question, guarded } => {
                    let reply = self.answer(now, question.request, &guarded);
                    // Whoever asked may have gone.
                    let _ = question.reply.send(reply);
                }
                Letter::Settings {
                    settings,
                    trial,
                    done,
                } => {
                    let obeyed = self.obey(now, *settings, trial);
                    // Whoever asked may have gone.
                    let _ = done.send(obeyed.map(|()| self.trial.as_ref().map(Trial::until)));
                }
                Letter::Mistakes(mistakes) => {
                    for mistake in mistakes {
                        self.told.tell_mistake(now, &mistake);
                    }
                }
                Letter::Tree(answer) => {
                    let _ = answer.send(self.circumstances.tree.clone());
                }
                Letter::Rewritten { rewriting, done } => {
                    // Whoever asked may have gone.
                    let _ = done.send(self.rewrite(now, *rewriting));
                }
                Letter::Tick => {
                    self.decide(now, Input::Tick, None);
                    self.housekeeping(now);
                }
                Letter::Heartbeat(answer) => {
                    let _ = answer.send(());
                }
                Letter::Shutdown => break,
            }
            self.announce_deadline();
            self.announce_status();
        }
        inbox.close();
        self.take_leftovers(inbox);
        self.end();
    }

    /// What has come and cannot be read again is dealt with before the end.
    fn take_leftovers(&mut self, mut inbox: mpsc::Receiver<Letter>) {
        while let Some(letter) = inbox.blocking_recv() {
            if let Letter::Delivery {
                generation,
                delivery: delivery @ Delivery::Records { cursor: None, .. },
            } = letter
            {
                self.take_delivery(clock::now(), generation, delivery);
            }
        }
    }

    fn take_delivery(&mut self, now: Timestamp, generation: u64, delivery: Delivery) {
        match delivery {
            Delivery::Records {
                stream,
                batch,
                cursor,
                losses,
                more,
            } if self.sources.knows(&stream.source, generation)
                // What cannot be read again is taken from a reader that was replaced, too; not its word that there is
                // no more.
                || cursor.is_none()
                    && (!batch.is_empty() || losses != Losses::default())
                    && self.sources.reads(&stream.source) =>
            {
                let is_new = cursor.is_some() && self.sources.cursor(&stream).is_none();
                let input = Input::Records {
                    source: Some(&stream.source),
                    batch: &batch,
                    more,
                };
                self.sources
                    .advance(now, &stream, cursor.as_ref(), &batch, losses, more);
                self.decide(now, input, cursor.is_some().then_some(&stream));
                // Without its first cursor a stream would be begun anew, wherever it is by then.
                if is_new {
                    self.write(now);
                }
            }
            Delivery::Records { .. } => {}
            Delivery::Trouble(trouble) => {
                let (level, sentence) = trouble_text(&trouble);
                log::log!(level, "{sentence}");
                if level < log::Level::Info || matches!(trouble, Trouble::Recovered { .. }) {
                    self.announce(Occasion::Error, sentence);
                }
                self.sources.note(&trouble, generation);
            }
        }
    }

    fn take_report(
        &mut self,
        now: Timestamp,
        worker: WorkerId,
        action: &ActionName,
        report: Report,
    ) {
        let is_known = self.outbox.is_in_trouble(worker);
        // What one tells that has been replaced is true no more.
        if !self.outbox.note(worker, &report) {
            return;
        }
        match report {
            Report::Outcome(outcome) => {
                self.decide(now, Input::Outcome(outcome), None);
                if self.expected_reports.remove(action) && self.expected_reports.is_empty() {
                    self.become_ready();
                }
            }
            Report::Trouble(_) if is_known => {}
            Report::Trouble(reason) => {
                let sentence = format!("the action {action} does not work: {reason}");
                self.announce(Occasion::Error, sentence);
            }
            Report::Works => {
                let sentence = format!("the action {action} works again");
                self.announce(Occasion::Error, sentence);
            }
            // It has been told by whoever saw it.
            Report::Complaint(_) => {}
            Report::ForeignChange => {
                log::warn!("{action}: somebody else has changed the rules, putting them back");
                self.outbox
                    .reconcile(Some(action), &self.engine, &self.memory);
            }
        }
    }

    /// Waits no longer for actions that take their time: others protect meanwhile.
    fn wait_no_longer(&mut self, now: Timestamp) {
        if self.expected_reports.is_empty() || now < self.ready_by {
            return;
        }
        let late = std::mem::take(&mut self.expected_reports);
        let late: Vec<_> = late.iter().map(ToString::to_string).collect();
        log::warn!(
            "ready, though bans are not in effect yet by {}",
            late.join(", ")
        );
        self.become_ready();
    }

    fn become_ready(&mut self) {
        self.announcement.ready = true;
        log::info!("ready");
        self.announce(Occasion::Start, "f2bd is ready".to_owned());
        let policy = self.engine.policy();
        let counts = match self.outbox.tells_restored() {
            true => self.memory.failures_of_standing(),
            false => Counts::new(),
        };
        let restored = |jail: &_, subject: &_, ban: &_| {
            events::of_standing(jail, subject, ban, policy, &counts)
        };
        self.outbox.tell_restored(restored, &self.engine);
    }

    /// The kernel ends bans by a clock of its own, which knows nothing of a clock that was set or a machine that
    /// slept. Then everything is put into effect anew, with the time that is left by ours.
    fn mind_the_clock(&mut self, now: Timestamp) {
        let (then, at) = std::mem::replace(&mut self.last_letter, (now, Instant::now()));
        let due = then.after(self.last_letter.1.duration_since(at));
        let step = now.since(due).max(due.since(now));
        if step > CLOCK_STEP {
            log::info!(
                "the clock was set, or the machine slept ({}); putting all bans into effect anew",
                Span(step)
            );
            self.next_sweep = now;
            self.again_at = None;
            if let Some(trial) = &mut self.trial {
                trial.mind_the_clock(now);
            }
            self.unwritten.hurry(now);
            self.lookups.begin_anew(now);
            self.outbox.reconcile(None, &self.engine, &self.memory);
        }
    }

    /// The heart: decide, remember, act. `stream` is where the records came from, if they can be read again.
    fn decide(&mut self, now: Timestamp, input: Input<'_>, stream: Option<&Stream>) {
        let first = self.unwritten.decisions.len();
        self.engine
            .handle(now, input, &mut self.unwritten.decisions);
        self.look_up(now, first);
        self.ask_programs(first);
        self.find_causes(first);
        if self.engine.has_sightings() {
            self.unwritten.hold(now);
        }
        if !self.unwritten.note(now, first, stream) {
            self.write(now);
        }
    }

    /// Remembers what was decided and where the sources stand after it, then acts and tells.
    fn write(&mut self, now: Timestamp) {
        let mut unwritten = std::mem::take(&mut self.unwritten);
        let cursor = |stream| Some((stream, self.sources.cursor(stream)?));
        let cursors = unwritten.moved.iter().filter_map(cursor);
        // They are totals: while the database is behind, the newest ones are all that is missing.
        if !self.memory.wants_retry() {
            self.engine.tell_sightings(&mut unwritten.decisions);
        }
        if !unwritten.decisions.is_empty() || !unwritten.moved.is_empty() {
            self.memory.remember(now, &unwritten.decisions, cursors);
        }
        let known = self.outbox.known(self.engine.policy(), &self.memory);
        self.outbox
            .carry_out(&unwritten.decisions, known.policy, |ban| {
                events::of_ban(ban, &known)
            });
        self.tell(now, &unwritten.decisions);
        self.told
            .tell(now, &unwritten.decisions, self.engine.policy());
        for decision in &unwritten.decisions {
            report_decision(decision);
            if self.audience.followers.receiver_count() > 0 {
                // Nobody listening any more is no failure.
                if let Some(line) = answer::follow_line(decision) {
                    let _ = self.audience.followers.send(line);
                }
            }
        }
        unwritten.clear();
        self.unwritten = unwritten;
    }

    /// Has actions tell of decisions.
    fn tell(&mut self, now: Timestamp, decisions: &[Decision]) {
        if decisions.is_empty() || !self.outbox.has_tellers() {
            return;
        }
        let known = self.outbox.known(self.engine.policy(), &self.memory);
        let told = events::of(decisions, now, &known);
        if !told.is_empty() {
            self.outbox.tell(&told, self.engine.policy());
        }
    }

    /// Has actions tell of something that concerns no jail.
    fn announce(&mut self, occasion: Occasion, sentence: String) {
        if occasion == Occasion::Error {
            self.told.tell_error(clock::now(), &sentence);
        }
        if self.outbox.has_tellers() {
            let event = events::plain(occasion, clock::now(), sentence);
            self.outbox.announce(&event);
        }
    }

    fn answer(&mut self, now: Timestamp, request: Request, guarded: &AddressSet) -> Reply {
        // Whoever asks is told of everything up to now.
        self.write(now);
        if request == Request::Confirm {
            return self.confirm();
        }
        match request {
            Request::TakeOver { program, bans } => return self.take_over(now, &program, &bans),
            Request::Set { jail, change } => return self.set(now, &jail, &change),
            Request::EndJail { jail } => return self.end_jail(now, &jail),
            Request::SetDaemon { change } => return self.set_daemon(now, &change),
            _ => {}
        }
        match answer::order(&self.engine, &request, guarded) {
            Ok(Some(input)) => {
                let decisions = &mut self.unwritten.decisions;
                self.engine.handle(now, input, decisions);
                let reply = answer::done(decisions);
                self.write(now);
                reply
            }
            Ok(None) => {
                if request == Request::Flush {
                    self.mend_memory(now);
                    self.memory.forget_losses(now);
                    self.outbox.set_complete(self.memory.knows_all());
                    self.outbox.reconcile(None, &self.engine, &self.memory);
                }
                let view = View {
                    now,
                    engine: &self.engine,
                    memory: &self.memory,
                    outbox: &self.outbox,
                    sources: &self.sources,
                    circumstances: &self.circumstances,
                    configuration: ConfigurationRow {
                        path: self.circumstances.config.display().to_string(),
                        confirm_by: self.trial.as_ref().map(Trial::until),
                        restored: self.restored,
                        set: self.circumstances.set.iter().cloned().collect(),
                    },
                };
                answer::view(&view, &request)
            }
            Err(refusal) => refusal,
        }
    }

    /// Takes over bans of another program. They are news to the firewall alone.
    fn take_over(&mut self, now: Timestamp, program: &str, bans: &[ForeignBan]) -> Reply {
        if bans.len() > MOST_TAKEN_OVER {
            return answer::too_many();
        }
        // What this moment brings beside them is told as ever.
        self.decide(now, Input::Tick, None);
        self.write(now);
        let Some(store) = self.memory.store() else {
            return answer::no_memory(None);
        };
        let taken = match takeover::take_over(&mut self.engine, store, now, program, bans) {
            Ok(taken) => taken,
            Err(error) => return answer::no_memory(Some(&error)),
        };
        self.memory.remember(now, &taken.decisions, None);
        let orders = taken.orders();
        let known = self.outbox.known(self.engine.policy(), &self.memory);
        // They are no news to whoever is told of bans.
        self.outbox.carry_out(&orders, known.policy, |ban| Event {
            restored: true,
            ..events::of_ban(ban, &known)
        });
        if !bans.is_empty() {
            let is_ban = |order: &&Decision| matches!(order, Decision::Ban(_));
            log::info!(
                "{} of {} bans of {} are in force from now on",
                orders.iter().filter(is_ban).count(),
                bans.len(),
                kept(program)
            );
        }
        Reply::TakenOver { rows: taken.rows }
    }

    fn housekeeping(&mut self, now: Timestamp) {
        self.again_at = None;
        self.wait_no_longer(now);
        self.give_up_hosts(now);
        if self.unwritten.due().is_some_and(|due| due <= now) {
            self.write(now);
        }
        self.mend_memory(now);
        if self.outbox.is_stale() {
            self.outbox.catch_up(&self.engine, &self.memory);
        }
        if self.next_sweep <= now {
            if self.sources.lack_threads() {
                let since = now.before(super::longest_findtime(self.engine.policy()));
                self.start_reading(since);
            }
            self.remember_effects(now, Vec::new());
            let retention = self.circumstances.retention;
            let more = self.memory.sweep(now, retention);
            self.sources.forget(now.before(retention.failures));
            self.next_sweep = now.after(if more { SWEEP_MORE_AFTER } else { SWEEP_EVERY });
        }
    }

    /// Writes what could not be written before, hears what could not be read at the start, and states the bans
    /// in force anew in a database that has lost some.
    fn mend_memory(&mut self, now: Timestamp) {
        self.memory.retry(now);
        if let Some(remembered) = self.memory.take_late() {
            self.decide(now, Input::Restore(remembered), None);
            self.ask_programs_anew();
            self.outbox.set_complete(self.memory.knows_all());
            self.employ();
        }
        if self.memory.wants_restate() {
            let ledger = self.engine.ledger();
            let (bans, merged) = (ledger.bans(), ledger.merged());
            self.memory.restate(
                now,
                &bans,
                &merged,
                self.engine.allowed(),
                self.engine.awaited(),
            );
        }
    }

    fn announce_deadline(&mut self) {
        let now = clock::now();
        let again = if self.outbox.is_stale() {
            Some(CATCH_UP_EVERY)
        } else {
            self.memory.wants_retry().then_some(RETRY_EVERY)
        };
        // Set once until it comes: letters that follow each other closely must not put it off for ever.
        self.again_at = again.map(|pause| {
            let due = now.after(pause);
            self.again_at.map_or(due, |earlier| earlier.min(due))
        });
        let all = [
            self.engine.next_deadline(),
            self.unwritten.due(),
            self.again_at,
            self.memory.has_late().then_some(now),
            Some(self.next_sweep),
            (!self.expected_reports.is_empty()).then_some(self.ready_by),
            self.lookups.next(),
            self.trial.as_ref().map(|trial| trial.due(now)),
        ];
        let next = all.into_iter().flatten().min();
        self.audience
            .deadline
            .send_if_modified(|deadline| std::mem::replace(deadline, next) != next);
    }

    /// How it is doing, whenever that is something else.
    fn announce_status(&mut self) {
        self.announcement.status = Some(Status {
            jails: self.engine.policy().jails.len(),
            bans: self.engine.ledger().len(),
            is_action_broken: self.outbox.states().any(|(_, works, _)| !works),
            is_behind: self.memory.wants_retry(),
            is_on_trial: self.trial.is_some(),
        });
        let announcement = self.announcement;
        self.audience
            .announcements
            .send_if_modified(|told| std::mem::replace(told, announcement) != announcement);
    }

    fn end(mut self) {
        if self.trial.is_some() {
            log::warn!(
                "the configuration has not been confirmed; the next start takes what its files say then"
            );
        }
        self.sources.stop();
        let now = clock::now();
        self.write(now);
        self.memory.finish(now);
        self.announce(Occasion::Stop, "f2bd ends".to_owned());
        self.outbox.end();
        // At last, since it waits for a disk.
        self.told.end(now);
        log::info!("ended");
    }
}
