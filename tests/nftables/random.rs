//! Whatever happens, the kernel comes to equal the ledger: bans of all kinds, reloads, deaths of the worker and foreign
//! changes, in any order.
//!
//! The model is the ledger: which jails there are and who is banned until when. What the sets should be of it is worked
//! out address by address, and not as the action does it.

use std::collections::HashMap;

use super::*;
use crate::support::dice::Dice;

/// How many things happen in one run.
const STEPS: usize = 1_000;

/// Where kernel and ledger are compared.
const EVERY: usize = 100;

/// How far what nft shows may be from the ledger, in seconds: it shows whole ones, and a busy machine is late.
const SLACK: i64 = 30;

/// So many hosts of either family are all there are, so that bans meet each other.
const HOSTS: u64 = 48;

/// The first and the last address, and the seconds that are left, unless it is for ever.
type Span = (u128, u128, Option<i64>);

/// What sets hold, by their names.
type Sets = BTreeMap<String, Vec<Span>>;

struct World {
    server: Netns,
    spec: ActionSpec,
    guard: Guard,
    jails: Vec<ActionJail>,
    ledger: HashMap<(JailName, Subject), Option<Timestamp>>,
}

impl World {
    fn bans(&self) -> Vec<InForce> {
        let in_force =
            |((jail, subject), until): (&(JailName, Subject), &Option<Timestamp>)| InForce {
                ban: BanId(1),
                jail: jail.clone(),
                subject: subject.clone(),
                until: *until,
                event: None,
            };
        self.ledger.iter().map(in_force).collect()
    }

    /// Tells the worker everything, as the daemon does when it starts, reloads, or hears of a foreign change.
    fn tell_all(&self) {
        self.guard.order_reconcile(&self.jails, &self.bans());
    }

    /// The daemon's part: foreign changes are answered with the whole ledger.
    fn hear(&self) {
        let changed = self
            .guard
            .reports
            .try_iter()
            .filter(|report| *report == Report::ForeignChange);
        if changed.count() > 0 {
            self.tell_all();
        }
    }

    fn ban(&mut self, dice: &mut Dice) {
        let jail = self.jails[pick(dice, self.jails.len())].jail.clone();
        let mut bans = Vec::new();
        for _ in 0..=pick(dice, 4) {
            let subject = subject(dice);
            let seconds = [None, Some(600.0), Some(3_600.0), Some(90_000.0)][pick(dice, 4)];
            let until = seconds.and_then(|seconds| ban("192.0.2.1", seconds).until);
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
        // In an order of their own, that a seed makes the same run.
        let mut all: Vec<_> = self.ledger.keys().cloned().collect();
        all.sort();
        if !all.is_empty() {
            let (jail, subject) = all.swap_remove(pick(dice, all.len()));
            self.ledger.remove(&(jail.clone(), subject.clone()));
            self.guard.order_change(&[], &[(jail, subject)]);
        }
    }

    /// A jail comes, goes, or takes something else for a subject.
    fn reload(&mut self, dice: &mut Dice) {
        let ipv4 = [32, 32, 24][pick(dice, 3)];
        let ipv6 = [64, 64, 128][pick(dice, 3)];
        let width = SubjectWidth { ipv4, ipv6 };
        let name = ["sshd", "web", "mail"][pick(dice, 3)];
        let at = self
            .jails
            .iter()
            .position(|jail| jail.jail.as_str() == name);
        match at {
            Some(at) if self.jails.len() > 1 && pick(dice, 2) == 0 => {
                let gone = self.jails.remove(at).jail;
                self.ledger.retain(|(jail, _), _| *jail != gone);
            }
            Some(at) => self.jails[at].width = width,
            None => self
                .jails
                .push(jail(name, &["22", "80:90"], &[Protocol::Tcp], width)),
        }
        self.tell_all();
    }

    /// The worker dies with its last orders, and a new one is told everything.
    fn kill(&mut self, dice: &mut Dice) {
        let lost = (self.jails[0].jail.clone(), subject(dice));
        self.ledger.insert(lost, None);
        let next = Guard::start(&self.server, self.spec.clone());
        let old = std::mem::replace(&mut self.guard, next);
        drop(old.orders);
        old.thread.join().unwrap();
        self.tell_all();
    }

    /// Somebody else breaks something; that it may be gone already is no matter.
    fn vandalize(&self, dice: &mut Dice) {
        let table = "inet f2bd";
        let set = self
            .expected()
            .into_keys()
            .nth(pick(dice, 4))
            .unwrap_or_default();
        let command = match pick(dice, 7) {
            0 => "flush ruleset".to_owned(),
            1 => format!("delete table {table}"),
            2 => format!("flush chain {table} input"),
            3 => format!("flush set {table} {set}"),
            4 => format!("add rule {table} input accept"),
            5 => format!("add set {table} strange {{ type mark; }}"),
            _ => {
                let victim = self
                    .ledger
                    .keys()
                    .find_map(|(_, subject)| subject.network());
                let address = victim.map(|network| network.address().to_string());
                format!(
                    "delete element {table} {set} {{ {} }}",
                    address.unwrap_or_default()
                )
            }
        };
        let _ = self.server.nft(&[&command]);
    }

    /// All sets that there should be.
    fn expected(&self) -> Sets {
        let shared = self.spec != spec(&[]);
        let mut sets: Sets = BTreeMap::new();
        for family in ["ipv4", "ipv6"] {
            let width = |jail: &ActionJail| match family {
                "ipv4" => (jail.width.ipv4, jail.width.ipv4 == 32),
                _ => (jail.width.ipv6, jail.width.ipv6 == 64),
            };
            let usual = |width: (u8, bool)| match width {
                (_, true) => String::new(),
                (width, false) => format!("-{width}"),
            };
            for jail in &self.jails {
                let name = |kind: &str| match shared {
                    true => format!("all-{family}{kind}"),
                    false => format!("{family}{kind}/{}", jail.jail),
                };
                sets.entry(name(&usual(width(jail)))).or_default();
                sets.entry(name("-networks")).or_default();
            }
            for ((of, subject), until) in &self.ledger {
                let network = subject.network().unwrap();
                if network.address().is_ipv6() != (family == "ipv6") {
                    continue;
                }
                let mut own = self.jails.iter().filter(|jail| shared || jail.jail == *of);
                let usual_to = own.find(|jail| width(jail).0 == network.width());
                let kind = match usual_to {
                    Some(jail) => usual(width(jail)),
                    None => "-networks".to_owned(),
                };
                let name = match shared {
                    true => format!("all-{family}{kind}"),
                    false => format!("{family}{kind}/{of}"),
                };
                let (first, last) = ends(network);
                // A usual network stands for itself by its first address.
                let last = if usual_to.is_some() { first } else { last };
                let left = until.map(|until| until.since(now()).as_secs().cast_signed());
                sets.get_mut(&name).unwrap().push((first, last, left));
            }
        }
        for members in sets.values_mut() {
            *members = flat(members);
        }
        sets
    }

    /// What the kernel has, in the same form.
    fn found(&self) -> Option<Sets> {
        let listed = self
            .server
            .nft(&["-j", "list", "table", "inet", "f2bd"])
            .ok()?;
        let listed: serde_json::Value = serde_json::from_str(&listed).unwrap();
        let mut sets = BTreeMap::new();
        for set in listed["nftables"]
            .as_array()?
            .iter()
            .filter_map(|it| it.get("set"))
        {
            let name = set["name"].as_str()?.to_owned();
            let elements = set["elem"].as_array().cloned().unwrap_or_default();
            let members = elements.iter().map(|element| {
                let value = element.pointer("/elem/val").unwrap_or(element);
                let number = |value: &serde_json::Value| {
                    ends(Prefix::host(value.as_str().unwrap().parse().unwrap())).0
                };
                let (first, last) = if let Some(prefix) = value.get("prefix") {
                    let text = format!("{}/{}", prefix["addr"].as_str().unwrap(), prefix["len"]);
                    ends(text.parse().unwrap())
                } else if let Some(range) = value.get("range") {
                    (number(&range[0]), number(&range[1]))
                } else {
                    (number(value), number(value))
                };
                let left = element
                    .pointer("/elem/expires")
                    .and_then(serde_json::Value::as_i64);
                (first, last, left)
            });
            sets.insert(name, flat(&members.collect::<Vec<_>>()));
        }
        let rules = listed["nftables"]
            .as_array()?
            .iter()
            .filter(|it| it.get("rule").is_some());
        // One for each set, and none of somebody else's.
        (rules.count() == sets.len()).then_some(sets)
    }

    /// Waits until kernel and ledger say the same.
    fn must_be_equal(&self, step: usize) {
        until(
            &format!("the kernel equals the ledger at step {step}"),
            || {
                self.hear();
                let (found, expected) = (self.found()?, self.expected());
                let same = found.keys().eq(expected.keys())
                    && found
                        .values()
                        .zip(expected.values())
                        .all(|(found, expected)| {
                            let alike = |(one, other): (&Span, &Span)| {
                                let time = match (one.2, other.2) {
                                    (Some(one), Some(other)) => (one - other).abs() <= SLACK,
                                    (one, other) => one == other,
                                };
                                (one.0, one.1) == (other.0, other.1) && time
                            };
                            found.len() == expected.len() && found.iter().zip(expected).all(alike)
                        });
                same.then_some(())
            },
        );
    }
}

/// Spans that may overlap, as spans that do not, neighbours of about the same time joined; each address has the
/// longest time of those that hold it.
fn flat(spans: &[Span]) -> Vec<Span> {
    let mut cuts: Vec<u128> = spans
        .iter()
        .flat_map(|(first, last, _)| [*first, last.saturating_add(1)])
        .collect();
    cuts.sort_unstable();
    cuts.dedup();
    let mut flat: Vec<Span> = Vec::new();
    for pair in cuts.windows(2) {
        let holding = spans
            .iter()
            .filter(|span| span.0 <= pair[0] && pair[0] <= span.1);
        let longest = holding
            .map(|span| span.2)
            .max_by_key(|left| (left.is_none(), *left));
        let Some(left) = longest else { continue };
        let alike = |before: Option<i64>| match (before, left) {
            (Some(before), Some(left)) => (before - left).abs() <= SLACK,
            (before, left) => before == left,
        };
        match flat.last_mut() {
            Some(before) if before.1 + 1 == pair[0] && alike(before.2) => before.1 = pair[1] - 1,
            _ => flat.push((pair[0], pair[1] - 1, left)),
        }
    }
    flat
}

fn ends(network: Prefix) -> (u128, u128) {
    let (first, bits) = match network.address() {
        std::net::IpAddr::V4(address) => (u128::from(u32::from(address)), 32),
        std::net::IpAddr::V6(address) => (u128::from(address), 128),
    };
    let rest = bits - u32::from(network.width());
    (first, first + ((1 << rest) - 1))
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

fn whatever_happens(seed: u64, parameters: &[(&str, &str)]) {
    let Some(server) = Netns::new() else { return };
    let spec = spec(parameters);
    let mut world = World {
        guard: Guard::start(&server, spec.clone()),
        server,
        spec,
        jails: vec![sshd()],
        ledger: HashMap::new(),
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
        world.hear();
        if step % EVERY == 0 {
            world.must_be_equal(step);
        }
    }
    world.guard.stop();
}

#[test]
fn the_kernel_comes_to_equal_the_ledger() {
    whatever_happens(7, &[]);
}

#[test]
fn so_it_does_with_shared_sets() {
    whatever_happens(8, &[("ports", "all"), ("sets", "shared")]);
}
