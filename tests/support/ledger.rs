//! A ledger of bans to which things happen by chance, and the action that is told of them, as a daemon would.
//!
//! How the ledger is compared with what is in effect is the affair of the test.

use std::collections::BTreeMap;

use f2bd::action::{ActionJail, ActionSpec, InForce};
use f2bd::engine::decision::BanId;
use f2bd::engine::name::JailName;
use f2bd::engine::subject::Subject;
use f2bd::engine::time::Timestamp;

use super::dice::Dice;
use super::guard::{Guard, later};
use super::netns::Netns;

/// How many things happen in one run.
const STEPS: usize = 1_000;

/// Where what is in effect and the ledger are compared.
const EVERY: usize = 100;

/// How far the time that is left may be from the ledger, in seconds: whole ones are shown, and a busy machine is late.
pub const SLACK: i64 = 30;

/// So many hosts of either family are all there are, so that bans meet each other.
const HOSTS: u64 = 48;

/// The ledger, and who is told of it.
pub struct Ledger {
    pub server: Netns,
    pub spec: ActionSpec,
    pub guard: Guard,
    pub jails: Vec<ActionJail>,
    /// Until when; without end if that is not said.
    pub bans: BTreeMap<(JailName, Subject), Option<Timestamp>>,
}

/// What is told of the ledger, and how that is seen.
pub trait Target {
    /// A jail as it may be after a reload.
    fn jail(dice: &mut Dice) -> ActionJail;

    /// Somebody else breaks something; that it may be gone already is no matter.
    fn vandalize(ledger: &Ledger, dice: &mut Dice);

    /// The daemon's part after each step.
    fn hear(_: &Ledger) {}

    /// Waits until what is in effect equals the ledger.
    fn must_be_equal(ledger: &Ledger, step: usize);
}

impl Ledger {
    /// One without a ban, of one jail.
    pub fn new(server: Netns, spec: ActionSpec, jail: ActionJail) -> Ledger {
        Ledger {
            guard: Guard::start(&server, spec.clone()),
            server,
            spec,
            jails: vec![jail],
            bans: BTreeMap::new(),
        }
    }

    /// Whatever happens to it, what is in effect comes to equal it.
    pub fn whatever_happens<T: Target>(&mut self, seed: u64) {
        let mut dice = Dice::new(seed);
        self.tell_all();
        for step in 1..=STEPS {
            match pick(&mut dice, 100) {
                0..=59 => self.ban(&mut dice),
                60..=85 => self.unban(&mut dice),
                86..=89 => self.reload(T::jail(&mut dice), &mut dice),
                90..=92 => self.kill(&mut dice),
                _ => T::vandalize(self, &mut dice),
            }
            T::hear(self);
            if step % EVERY == 0 {
                T::must_be_equal(self, step);
            }
        }
    }

    /// Tells the worker everything, as the daemon does when it starts, reloads, or hears of a foreign change.
    pub fn tell_all(&self) {
        let in_force = |((jail, subject), until): (&(JailName, Subject), &Option<Timestamp>)| {
            in_force(jail, subject, *until)
        };
        let bans: Vec<_> = self.bans.iter().map(in_force).collect();
        self.guard.order_reconcile(&self.jails, &bans);
    }

    /// New bans, and other ends for old ones.
    fn ban(&mut self, dice: &mut Dice) {
        let jail = self.jails[pick(dice, self.jails.len())].jail.clone();
        let mut bans = Vec::new();
        for _ in 0..=pick(dice, 4) {
            let subject = subject(dice);
            let seconds = [None, Some(600), Some(3_600), Some(90_000)][pick(dice, 4)];
            let until = seconds.map(later);
            bans.push(in_force(&jail, &subject, until));
            self.bans.insert((jail.clone(), subject), until);
        }
        self.guard.order_change(&bans, &[]);
    }

    fn unban(&mut self, dice: &mut Dice) {
        if self.bans.is_empty() {
            return;
        }
        let at = pick(dice, self.bans.len());
        let key = self.bans.keys().nth(at).unwrap().clone();
        self.bans.remove(&key);
        self.guard.order_change(&[], &[key]);
    }

    /// A jail comes, goes, or has become another one.
    fn reload(&mut self, jail: ActionJail, dice: &mut Dice) {
        let is_it = |own: &ActionJail| own.jail == jail.jail;
        match self.jails.iter().position(is_it) {
            Some(at) if self.jails.len() > 1 && pick(dice, 2) == 0 => {
                let gone = self.jails.remove(at).jail;
                self.bans.retain(|(jail, _), _| *jail != gone);
            }
            Some(at) => self.jails[at] = jail,
            None => self.jails.push(jail),
        }
        self.tell_all();
    }

    /// The worker dies with its last orders, and a new one is told everything.
    fn kill(&mut self, dice: &mut Dice) {
        let lost = (self.jails[0].jail.clone(), subject(dice));
        self.bans.insert(lost, None);
        let next = Guard::start(&self.server, self.spec.clone());
        std::mem::replace(&mut self.guard, next).die();
        self.tell_all();
    }
}

fn in_force(jail: &JailName, subject: &Subject, until: Option<Timestamp>) -> InForce {
    InForce {
        ban: BanId(1),
        jail: jail.clone(),
        subject: subject.clone(),
        until,
        event: None,
    }
}

fn subject(dice: &mut Dice) -> Subject {
    let host = dice.below(HOSTS);
    let text = match pick(dice, 6) {
        0 | 1 => format!("198.51.100.{host}/32"),
        2 => format!("198.51.100.0/{}", 24 + host % 9),
        3 => format!("2001:db8:0:{host:x}::/64"),
        4 => format!("2001:db8:0:1::{host:x}/128"),
        _ => format!("2001:db8::/{}", 48 + host % 20),
    };
    text.parse().unwrap()
}

/// One of so many.
pub fn pick(dice: &mut Dice, from: usize) -> usize {
    usize::try_from(dice.below(from as u64)).unwrap()
}
