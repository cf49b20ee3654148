//! Whatever happens, what is in effect comes to equal the ledger: bans of all kinds, reloads, deaths of the worker and
//! foreign changes, in any order.

use std::collections::BTreeMap;

use f2bd::action::{ActionJail, ActionSpec, InForce};
use f2bd::engine::decision::BanId;
use f2bd::engine::name::JailName;
use f2bd::engine::prefix::Prefix;
use f2bd::engine::subject::Subject;
use f2bd::engine::time::Timestamp;

use super::*;
use crate::support::dice::Dice;
use crate::support::guard::later;
use crate::support::now;

/// How many things happen in one run.
const STEPS: usize = 1_000;

/// Where the kernel and the ledger are compared.
const EVERY: usize = 100;

/// How far the time that is left may be from the ledger, in seconds: whole ones are shown, and a busy machine is late.
const SLACK: i64 = 30;

/// So many hosts of either family are all there are, so that bans meet each other.
const HOSTS: u64 = 48;

/// How long it has left; nothing is without end, or not known to the kernel.
type Left = Option<i64>;

/// Who is in effect in which chain or set.
type Bans = BTreeMap<(String, Prefix), Left>;

struct World {
    server: Netns,
    spec: ActionSpec,
    guard: Guard,
    jails: Vec<ActionJail>,
    ledger: BTreeMap<(JailName, Subject), Option<Timestamp>>,
}

impl World {
    fn new(name: &str) -> Option<World> {
        if !has(&["ipset", "iptables", "ip6tables"]) {
            return None;
        }
        let server = Netns::new()?;
        let spec = action(name, &[]);
        Some(World {
            guard: Guard::start(&server, spec.clone()),
            server,
            spec,
            jails: vec![jail("sshd", &["ssh"])],
            ledger: BTreeMap::new(),
        })
    }

    /// Tells the worker everything, as the daemon does when it starts or reloads.
    fn tell_all(&self) {
        let in_force =
            |((jail, subject), until): (&(JailName, Subject), &Option<Timestamp>)| InForce {
                ban: BanId(1),
                jail: jail.clone(),
                subject: subject.clone(),
                until: *until,
                event: None,
            };
        let bans: Vec<_> = self.ledger.iter().map(in_force).collect();
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
            self.ledger.insert((jail.clone(), subject.clone()), until);
            bans.push(InForce {
                ban: BanId(1),
                jail: jail.clone(),
                subject,
                until,
                event: None,
            });
        }
        self.guard.order_change(&bans, &[]);
    }

    fn unban(&mut self, dice: &mut Dice) {
        if self.ledger.is_empty() {
            return;
        }
        let at = pick(dice, self.ledger.len());
        let key = self.ledger.keys().nth(at).unwrap().clone();
        self.ledger.remove(&key);
        self.guard.order_change(&[], &[key]);
    }

    /// A jail comes or goes, or has other ports.
    fn reload(&mut self, dice: &mut Dice) {
        let name = ["sshd", "web", "a-mail-server-for-all-of-us"][pick(dice, 3)];
        let ports: &[&str] = [&["22", "80:90"][..], &["25"], &[]][pick(dice, 3)];
        let is_it = |own: &ActionJail| own.jail.as_str() == name;
        match self.jails.iter().position(is_it) {
            Some(at) if self.jails.len() > 1 && pick(dice, 2) == 0 => {
                let gone = self.jails.remove(at).jail;
                self.ledger.retain(|(jail, _), _| *jail != gone);
            }
            Some(at) => self.jails[at] = jail(name, ports),
            None => self.jails.push(jail(name, ports)),
        }
        self.tell_all();
    }

    /// The worker dies with its last orders, and a new one is told everything.
    fn kill(&mut self, dice: &mut Dice) {
        let lost = (self.jails[0].jail.clone(), subject(dice));
        self.ledger.insert(lost, None);
        let next = Guard::start(&self.server, self.spec.clone());
        std::mem::replace(&mut self.guard, next).die();
        self.tell_all();
    }

    /// Somebody else breaks something; that it may be gone already is no matter.
    fn vandalize(&self, dice: &mut Dice) {
        let breakages = [
            "iptables -F",
            "ip6tables -F; ip6tables -X",
            "iptables -F f2bd",
            "ip6tables -D f2bd 1",
            "iptables -D INPUT -j f2bd",
            "iptables -F f2bd-sshd; iptables -F f2bd-web",
            "ipset flush",
            "iptables -F; ip6tables -F; ipset destroy",
            "iptables -F; ip6tables -F; iptables -X; ip6tables -X; ipset destroy",
        ];
        shell(&self.server, breakages[pick(dice, breakages.len())]);
    }

    fn expected(&self, forgets_time: bool) -> Bans {
        let one = |((jail, subject), until): (&(JailName, Subject), &Option<Timestamp>)| {
            let left = until.map(|until| until.since(now()).as_secs().cast_signed());
            let key = (short(jail.as_str()), subject.network().unwrap());
            (key, left.filter(|_| !forgets_time))
        };
        self.ledger.iter().map(one).collect()
    }

    /// Who is in effect, if all that is around them is as it should be. Of a jail that went while the worker was killed,
    /// something may be there that no rule asks any more.
    fn found(&self) -> Option<Bans> {
        let shown = said(&self.server, "ipset save; iptables -S; ip6tables -S");
        let mut bans = Bans::new();
        let served: Vec<_> = self
            .jails
            .iter()
            .map(|jail| short(jail.jail.as_str()))
            .collect();
        let (mut places, mut rules) = (0, 0);
        for line in shown.lines() {
            let words: Vec<_> = line.split(' ').collect();
            match words.as_slice() {
                ["create", name, ..] | ["-N", name] => {
                    places += usize::from(served.iter().any(|jail| is_of(name, jail)));
                }
                ["add", set, network, "timeout", left] => {
                    let left = left.parse().ok().filter(|left| *left != 0);
                    let name = &set.strip_prefix("f2bd-")?[..set.len() - 7];
                    bans.insert((name.to_owned(), network.parse().unwrap()), left);
                }
                ["-A", chain, "-s", network, .., "-j", "DROP"] => {
                    let name = chain.strip_prefix("f2bd-")?.to_owned();
                    let old = bans.insert((name, network.parse().unwrap()), None);
                    assert_eq!(old, None, "one rule is enough: {line}");
                }
                ["-A", "f2bd", ..] => rules += 1,
                ["-A", "INPUT", "-j", "f2bd"] => rules += 100,
                _ => {}
            }
        }
        let ranges = |jail: &ActionJail| match &jail.ports {
            f2bd::action::ports::Ports::All => 1,
            f2bd::action::ports::Ports::Some(ranges) => ranges.len(),
        };
        let wanted: usize = self.jails.iter().map(ranges).sum();
        let is_whole = places == 2 * self.jails.len() && rules == 200 + 2 * wanted;
        bans.retain(|(jail, _), _| served.contains(jail));
        is_whole.then_some(bans)
    }

    fn must_be_equal(&self, step: usize) {
        let what = format!("what is in effect equals the ledger at step {step}");
        until(&what, || {
            let forgets_time = self.spec.name.as_str() == "iptables";
            let (found, expected) = (self.found()?, self.expected(forgets_time));
            let alike = |(found, expected): (&Left, &Left)| match (found, expected) {
                (Some(found), Some(expected)) => (found - expected).abs() <= SLACK,
                (found, expected) => found == expected,
            };
            let same = found.keys().eq(expected.keys())
                && found.values().zip(expected.values()).all(alike);
            same.then_some(())
        });
    }
}

/// Whether a set or a chain is one of the jail's.
fn is_of(name: &str, jail: &str) -> bool {
    let rest = name
        .strip_prefix("f2bd-")
        .and_then(|name| name.strip_prefix(jail));
    rest.is_some_and(|rest| rest.is_empty() || rest == "-4" || rest == "-6")
}

/// What a jail is called in the kernel.
fn short(jail: &str) -> String {
    match jail {
        "a-mail-server-for-all-of-us" => "a-mail-serv-9d5ba57f".to_owned(),
        short => short.to_owned(),
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

fn pick(dice: &mut Dice, from: usize) -> usize {
    usize::try_from(dice.below(from as u64)).unwrap()
}

fn whatever_happens(name: &str, seed: u64) {
    let Some(mut world) = World::new(name) else {
        return;
    };
    let mut dice = Dice::new(seed);
    world.tell_all();
    for step in 1..=STEPS {
        match pick(&mut dice, 100) {
            0..=59 => world.ban(&mut dice),
            60..=85 => world.unban(&mut dice),
            86..=89 => world.reload(&mut dice),
            90..=92 => world.kill(&mut dice),
            _ => world.vandalize(&mut dice),
        }
        if step % EVERY == 0 {
            world.must_be_equal(step);
        }
    }
    world.guard.stop(Ending::Remove);
    let left = shell(
        &world.server,
        "{ iptables -S; ip6tables -S; } | grep -- '-j f2bd'",
    );
    assert_eq!(
        String::from_utf8_lossy(&left.stdout),
        "",
        "nothing is asked any more"
    );
}

#[test]
fn ipset_comes_to_equal_the_ledger() {
    whatever_happens("ipset", 7);
}

#[test]
fn iptables_comes_to_equal_the_ledger() {
    whatever_happens("iptables", 8);
}
