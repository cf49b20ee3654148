//! Whatever happens, the kernel comes to equal the ledger: bans of all kinds, reloads, deaths of the worker and foreign
//! changes, in any order.
//!
//! The model is the ledger: which jails there are and who is banned until when. What the sets should be of it is worked
//! out address by address, and not as the action does it.

use super::*;
use crate::support::dice::Dice;
use crate::support::ledger::{Ledger, SLACK, Target, pick};

/// The first and the last address, and the seconds that are left, unless it is for ever.
type Span = (u128, u128, Option<i64>);

/// What sets hold, by their names.
type Sets = BTreeMap<String, Vec<Span>>;

/// The kernel.
struct Kernel;

impl Target for Kernel {
    /// It takes something else for a subject now and then.
    fn jail(dice: &mut Dice) -> ActionJail {
        let ipv4 = [32, 32, 24][pick(dice, 3)];
        let ipv6 = [64, 64, 128][pick(dice, 3)];
        let width = SubjectWidth { ipv4, ipv6 };
        let name = ["sshd", "web", "mail"][pick(dice, 3)];
        jail(name, &["22", "80:90"], &[Protocol::Tcp], width)
    }

    /// Foreign changes are answered with the whole ledger.
    fn hear(ledger: &Ledger) {
        let reports = ledger.guard.reports.try_iter();
        let changed = reports.filter(|report| *report == Report::ForeignChange);
        if changed.count() > 0 {
            ledger.tell_all();
        }
    }

    fn vandalize(ledger: &Ledger, dice: &mut Dice) {
        let table = "inet f2bd";
        let set = expected(ledger)
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
                let victim = ledger
                    .bans
                    .keys()
                    .find_map(|(_, subject)| subject.network());
                let address = victim.map(|network| network.address().to_string());
                format!(
                    "delete element {table} {set} {{ {} }}",
                    address.unwrap_or_default()
                )
            }
        };
        let _ = ledger.server.nft(&[&command]);
    }

    fn must_be_equal(ledger: &Ledger, step: usize) {
        until(
            &format!("the kernel equals the ledger at step {step}"),
            || {
                Kernel::hear(ledger);
                let (found, expected) = (found(ledger)?, expected(ledger));
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

/// All sets that there should be.
fn expected(ledger: &Ledger) -> Sets {
    let shared = ledger.spec != spec(&[]);
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
        for jail in &ledger.jails {
            let name = |kind: &str| match shared {
                true => format!("all-{family}{kind}"),
                false => format!("{family}{kind}/{}", jail.jail),
            };
            sets.entry(name(&usual(width(jail)))).or_default();
            sets.entry(name("-networks")).or_default();
        }
        for ((of, subject), until) in &ledger.bans {
            let network = subject.network().unwrap();
            if network.address().is_ipv6() != (family == "ipv6") {
                continue;
            }
            let mut own = ledger
                .jails
                .iter()
                .filter(|jail| shared || jail.jail == *of);
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
fn found(ledger: &Ledger) -> Option<Sets> {
    let listed = ledger
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

fn whatever_happens(seed: u64, parameters: &[(&str, &str)]) {
    let Some(server) = Netns::new() else { return };
    let mut ledger = Ledger::new(server, spec(parameters), sshd());
    ledger.whatever_happens::<Kernel>(seed);
    ledger.guard.stop(Ending::AsConfigured);
}

#[test]
fn the_kernel_comes_to_equal_the_ledger() {
    whatever_happens(7, &[]);
}

#[test]
fn so_it_does_with_shared_sets() {
    whatever_happens(8, &[("ports", "all"), ("sets", "shared")]);
}
