//! How does an action tell of what happens?
//!
//! Events wait in a queue of a bounded length until their message is due; what is not taken is tried again, in its order,
//! with growing pauses. What is refused for good is dropped and said so. Nothing waits for this.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::hash::{Hash as _, Hasher as _};
use std::net::IpAddr;
use std::process;
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::{Duration, Instant};

use siphasher::sip::SipHasher13;

use super::event::{Event, Occasion};
use super::hands::{Hands, JobError, open_secrets};
use super::machine;
use super::parameter::{ParameterError, Value, Values};
use super::scene::Scene;
use super::step::{Step, Task};
use super::vocabulary::{Axis, Vocabulary};
use super::worker::{Clock, FIRST_PAUSE, LONGEST_PAUSE};
use super::{ActionSpec, Order, Report};
use crate::engine::subject::Subject;
use crate::engine::time::Timestamp;

/// How many events wait for a target that does not answer; of more, the oldest are only counted.
const MOST_WAITING: usize = 10_000;

/// How many events go into one message: a letter of some hundred kilobytes.
const MOST_AT_ONCE: usize = 500;

/// The bits of an IPv6 network that belongs to one customer, as one address of IPv4 does; one with fewer is of several.
const OF_ONE_CUSTOMER: u8 = 64;

/// How often one message may be refused before those behind it have their turn: it may hold what this target never takes.
const MOST_REFUSALS: u32 = 5;

/// How many lines of what a whois server knows are told: more than of any address.
const MOST_OF_WHOIS: usize = 300;

/// Of how many addresses it is asked for one message: whoever needs it has a letter for each ban.
const MOST_QUESTIONS: usize = 10;

/// How long it is asked: letters wait for it.
const LONGEST_QUESTION: Duration = Duration::from_secs(15);

/// The kind, for parameters that are missing.
const KIND: &str = "exec, http or mail";

/// An action that tells, with its parameters filled in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Teller {
    /// Its placeholders.
    pub vocabulary: Vocabulary,
    /// Its parameters.
    pub values: Values,
    /// What it does to tell.
    pub steps: Vec<Step>,
    /// Whether it reports hosts to others, who hear of nothing else.
    pub reports: bool,
    /// Of what it tells.
    pub on: BTreeSet<Occasion>,
    /// How long events are gathered for one message.
    pub every: Duration,
    /// How many are gathered for one message at least, but at the end.
    pub gather: usize,
    /// Whether it tells of bans again that an earlier run has made.
    pub restored: bool,
    /// How long each step may take.
    pub timeout: Duration,
}

impl Teller {
    /// Takes the values of the parameters that every such action has.
    ///
    /// # Errors
    /// One is missing, is no occasion, or is more than there is room for.
    pub fn take_values(&mut self, values: Values) -> Result<(), ParameterError> {
        let Some(Value::List(words)) = values.get("on") else {
            return Err(ParameterError::Missing {
                kind: KIND,
                name: "on",
            });
        };
        let occasion = |word: &String| {
            word.parse().map_err(|_| ParameterError::Value {
                name: "on".to_owned(),
                value: word.clone(),
                wanted: "ban, unban, start, stop, siege, notice and error".to_owned(),
            })
        };
        self.on = words.iter().map(occasion).collect::<Result<_, _>>()?;
        self.every = values.time(KIND, "every")?;
        let gather = values.text(KIND, "gather")?;
        // More would never be there.
        let number = gather.parse().ok().filter(|number| *number <= MOST_WAITING);
        self.gather = number.ok_or_else(|| ParameterError::Value {
            name: "gather".to_owned(),
            value: gather.to_owned(),
            wanted: format!("a number of at most {MOST_WAITING}"),
        })?;
        self.restored = values.text(KIND, "restored")? == "true";
        self.timeout = values.time(KIND, "timeout")?;
        self.values = values;
        Ok(())
    }

    /// Whether it tells of this.
    pub fn tells_of(&self, event: &Event) -> bool {
        self.on.contains(&event.occasion) && (!self.reports || is_report(event))
    }

    /// Whether it says something by this placeholder.
    pub fn says(&self, name: &str) -> bool {
        self.steps.iter().any(|step| step.says(name))
    }

    /// Every program that it may run, with its parameters filled in.
    pub fn programs(&self) -> Vec<String> {
        let programs = self.steps.iter().flat_map(Step::programs);
        let programs = programs.map(|program| self.values.fill(program));
        let named = |name| self.values.text(KIND, name).ok();
        let named = |name| named(name).filter(|text| !text.is_empty());
        // A mail server takes letters instead.
        let sends = named("sendmail").filter(|_| named("server").is_none());
        let asks = named("whois_program");
        let others = sends.into_iter().chain(asks).map(str::to_owned);
        let programs = programs.filter(|program| !program.contains('<'));
        programs.chain(others).collect()
    }

    /// The scene of some events, told by the message of this name.
    pub fn scene<'s>(
        &'s self,
        message: &'s str,
        events: Vec<&'s Event>,
        untold: usize,
        host: &'s str,
        clock: Clock<'_>,
    ) -> Scene<'s> {
        Scene {
            vocabulary: &self.vocabulary,
            values: &self.values,
            secrets: BTreeMap::new(),
            host,
            now: clock(),
            jails: Vec::new(),
            only_banned: false,
            events,
            untold,
            whois: BTreeMap::new(),
            message,
        }
    }

    /// What the program of this action says of the addresses of events: why not, if it says nothing.
    fn ask_of<'e>(&self, events: impl Iterator<Item = &'e Event>) -> BTreeMap<IpAddr, String> {
        let address = |event: &Event| Some(event.subject.as_ref()?.network()?.address());
        let addresses: BTreeSet<IpAddr> = events.filter_map(address).collect();
        let numbered = addresses.into_iter().enumerate();
        let asked = numbered.map(|(number, address)| match number {
            ..MOST_QUESTIONS => (address, self.ask(address)),
            _ => (address, "not asked: there are too many".to_owned()),
        });
        asked.collect()
    }

    fn ask(&self, address: IpAddr) -> String {
        let deadline = self.timeout.min(LONGEST_QUESTION);
        let said = self.values.text(KIND, "whois_program").map(|program| {
            let said = machine::ask(&[program, &address.to_string()], deadline);
            said.unwrap_or_else(|error| error.to_string())
        });
        let said = said.unwrap_or_else(|error| error.to_string());
        let lines: Vec<&str> = said.lines().take(MOST_OF_WHOIS).collect();
        lines.join("\n")
    }
}

/// Whether it is the ban of a single host that has failed here: of a network, the first address may be somebody else's,
/// and who was banned by hand may have done nothing.
fn is_report(event: &Event) -> bool {
    let network = event.subject.as_ref().and_then(Subject::network);
    let is_host = network.is_some_and(|network| match network.address() {
        IpAddr::V4(_) => network.width() == 32,
        IpAddr::V6(_) => network.width() >= OF_ONE_CUSTOMER,
    });
    is_host && event.occasion == Occasion::Ban && event.failures > 0
}

/// Tells what the orders say until one says to stop, or until nobody is left to give any.
pub fn run(
    spec: &ActionSpec,
    teller: &Teller,
    orders: &Receiver<Order>,
    clock: Clock<'_>,
    report: &dyn Fn(Report),
) {
    let host = machine::name();
    let mut worker = Worker {
        spec,
        teller,
        hands: Hands::new(&teller.values, teller.timeout),
        host,
        waiting: VecDeque::new(),
        untold: 0,
        begun: None,
        asked: BTreeMap::new(),
        begin: clock(),
        messages: 0,
        refused: 0,
        due: None,
        end: None,
        pause: None,
        is_in_trouble: false,
        clock,
        report,
    };
    loop {
        let received = match worker.due {
            None => orders.recv().map_err(|_| RecvTimeoutError::Disconnected),
            Some(due) => orders.recv_timeout(due.saturating_duration_since(Instant::now())),
        };
        match received {
            Ok(order) => worker.take(order),
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => return worker.give_up(),
        }
        // At the end once more, whether it is time or not; who does not answer then has had his chances.
        if worker.end.is_some() || worker.due.is_some_and(|due| due <= Instant::now()) {
            worker.tell(orders);
        }
        if worker.end.is_some() {
            return worker.give_up();
        }
    }
}

struct Worker<'w> {
    spec: &'w ActionSpec,
    teller: &'w Teller,
    hands: Hands<'w>,
    host: String,
    waiting: VecDeque<Event>,
    /// How many were dropped since the last message.
    untold: usize,
    /// The message that is on its way.
    begun: Option<Begun>,
    /// What was asked for the next message.
    asked: BTreeMap<IpAddr, String>,
    /// When this run has begun.
    begin: Timestamp,
    /// How many messages it has finished.
    messages: u64,
    /// How often the next message was refused.
    refused: u32,
    due: Option<Instant>,
    /// Until when something may be begun, once an order says to stop.
    end: Option<Instant>,
    /// The last pause, while nobody answers.
    pause: Option<Duration>,
    /// The last message was not taken.
    is_in_trouble: bool,
    clock: Clock<'w>,
    report: &'w dyn Fn(Report),
}

/// A message that was tried. It grows no more: who has heard of it would miss the rest.
#[derive(Clone, Copy)]
struct Begun {
    /// How many events are in it.
    count: usize,
    /// How many it says were dropped.
    untold: usize,
    /// When it was tried first.
    time: Timestamp,
    /// How many of its tasks are done.
    done: usize,
}

impl Worker<'_> {
    fn take(&mut self, order: Order) {
        match order {
            Order::Tell(events) => self.note(events),
            Order::Stop(_) => self.end = Some(Instant::now() + self.teller.timeout),
            Order::Reconcile { .. }
            | Order::Change { .. }
            | Order::Inherit(_)
            | Order::Recall(_) => {}
        }
    }

    fn note(&mut self, events: Vec<Event>) {
        self.waiting.extend(events);
        let more = self.waiting.len().saturating_sub(MOST_WAITING);
        if more > 0 {
            if self.untold == 0 {
                log::warn!(
                    "{}: more waits to be told than there is room for; the oldest is only counted",
                    self.spec.name
                );
            }
            // What is half told already stays: it would be told twice otherwise.
            let begun = self.begun.map_or(0, |begun| begun.count);
            self.waiting.drain(begun..begun + more);
            self.untold += more;
        }
        if self.due.is_none() && self.is_gathered() {
            self.due = Some(Instant::now() + self.teller.every);
        }
    }

    /// Tells all that waits, or as much as is taken, or as much as can be begun before the end.
    fn tell(&mut self, orders: &Receiver<Order>) {
        self.due = None;
        // What comes meanwhile is gathered for the next time.
        let mut left = self.waiting.len();
        while !self.waiting.is_empty() && (left > 0 || self.end.is_some()) {
            // The order to stop, too, may come between two messages.
            while let Ok(order) = orders.try_recv() {
                self.take(order);
            }
            if self.end.is_some_and(|end| end <= Instant::now()) {
                return;
            }
            let begun = self.begun.unwrap_or_else(|| Begun {
                count: self.next_count(),
                untold: self.untold,
                time: (self.clock)(),
                done: 0,
            });
            let count = begun.count;
            match self.tell_next(begun) {
                Ok(()) => self.note_success(),
                Err(error) => {
                    self.note_trouble(&error);
                    self.refused += u32::from(error.is_refusal());
                    if !error.is_lasting() && self.refused < MOST_REFUSALS {
                        return self.wait(&error);
                    }
                    let what = self.describe(count);
                    log::warn!("{}: not told, as it is refused: {what}", self.spec.name);
                }
            }
            self.waiting.drain(..count);
            left = left.saturating_sub(count);
            self.untold -= begun.untold;
            self.finish();
        }
        // What came meanwhile may have been counted with what is told now.
        if !self.is_gathered() {
            self.due = None;
        }
    }

    /// Whether as much waits as one message needs.
    fn is_gathered(&self) -> bool {
        !self.waiting.is_empty() && self.waiting.len() >= self.teller.gather
    }

    /// The next message is another one.
    fn finish(&mut self) {
        self.begun = None;
        self.asked.clear();
        self.refused = 0;
        self.messages += 1;
    }

    /// What the next message is called: a UUID of version 8, whose form is our own business. It is the same when the
    /// message is sent again, and no other has it: it is of this action, this run and its own number.
    fn message(&self) -> String {
        let of = |part: u8| {
            let mut hasher = SipHasher13::new();
            (part, &self.host, self.spec.name.as_str()).hash(&mut hasher);
            (process::id(), self.begin.as_micros(), self.messages).hash(&mut hasher);
            hasher.finish()
        };
        let (high, low) = (of(0), of(1));
        format!(
            "{:08x}-{:04x}-8{:03x}-{:04x}-{:012x}",
            high >> 32,
            high >> 16 & 0xffff,
            high & 0xfff,
            0x8000 | low >> 48 & 0x3fff,
            low & 0xffff_ffff_ffff
        )
    }

    /// Says what is never told.
    fn give_up(&self) {
        let count = self.waiting.len() + self.untold;
        if count > 0 {
            log::error!(
                "{}: not told at the end: {}",
                self.spec.name,
                self.describe(count)
            );
        }
    }

    /// How many events the next message tells of.
    fn next_count(&self) -> usize {
        let one_by_one = self
            .teller
            .steps
            .iter()
            .any(|step| step.is_split_by(&Axis::Event));
        match one_by_one {
            true => 1,
            false => self.waiting.len().min(MOST_AT_ONCE),
        }
    }

    fn tell_next(&mut self, begun: Begun) -> Result<(), JobError> {
        self.begun = Some(begun);
        let secrets = open_secrets(&self.teller.values)?;
        let message = self.message();
        if self.teller.says("whois") && self.asked.is_empty() {
            let events = self.waiting.iter().take(begun.count);
            self.asked = self.teller.ask_of(events);
        }
        let tasks: Vec<Task> = {
            let events = self.waiting.iter().take(begun.count).collect();
            let clock = || begun.time;
            let mut scene = self
                .teller
                .scene(&message, events, begun.untold, &self.host, &clock);
            scene.whois.clone_from(&self.asked);
            scene.secrets = secrets
                .iter()
                .map(|(name, secret)| (name.clone(), secret.reveal().to_owned()))
                .collect();
            let steps = self.teller.steps.iter();
            steps.flat_map(|step| step.tasks(&scene)).collect()
        };
        for (number, task) in tasks.iter().enumerate().skip(begun.done) {
            self.hands.apply(&task.job, &secrets)?;
            // Nobody is told twice what the target has taken.
            self.begun = Some(Begun {
                done: number + 1,
                ..begun
            });
        }
        Ok(())
    }

    fn wait(&mut self, error: &JobError) {
        let pause = self
            .pause
            .map_or(FIRST_PAUSE, |pause| (pause * 2).min(LONGEST_PAUSE));
        self.pause = Some(pause);
        let wanted = error.wait().unwrap_or_default();
        self.due = Some(Instant::now() + pause.max(wanted));
    }

    fn note_trouble(&mut self, error: &JobError) {
        if !self.is_in_trouble {
            log::error!("{}: {error}", self.spec.name);
        }
        // The cause may be another one by now.
        (self.report)(Report::Trouble(error.to_string()));
        self.is_in_trouble = true;
    }

    fn note_success(&mut self) {
        self.pause = None;
        if self.is_in_trouble {
            log::info!("{}: works again", self.spec.name);
            (self.report)(Report::Works);
        }
        self.is_in_trouble = false;
    }

    fn describe(&self, count: usize) -> String {
        match self.waiting.front() {
            Some(event) if count == 1 => event.sentence.clone(),
            _ => format!("{count} events"),
        }
    }
}
