//! Whatever happens, what is in effect comes to equal the ledger: bans of all kinds, reloads, deaths of the worker and
//! foreign changes, in any order.

use std::collections::BTreeMap;

use f2bd::action::ActionJail;
use f2bd::engine::name::JailName;
use f2bd::engine::prefix::Prefix;
use f2bd::engine::subject::Subject;
use f2bd::engine::time::Timestamp;

use super::*;
use crate::support::dice::Dice;
use crate::support::ledger::{Ledger, SLACK, Target, pick};
use crate::support::now;

/// How long it has left; nothing is without end, or not known to the kernel.
type Left = Option<i64>;

/// Who is in effect in which chain or set.
type Bans = BTreeMap<(String, Prefix), Left>;

/// Programs that are run.
struct Tables;

impl Target for Tables {
    fn jail(dice: &mut Dice) -> ActionJail {
        let name = ["sshd", "web", "a-mail-server-for-all-of-us"][pick(dice, 3)];
        let ports: &[&str] = [&["22", "80:90"][..], &["25"], &[]][pick(dice, 3)];
        jail(name, ports)
    }

    fn vandalize(ledger: &Ledger, dice: &mut Dice) {
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
        shell(&ledger.server, breakages[pick(dice, breakages.len())]);
    }

    fn must_be_equal(ledger: &Ledger, step: usize) {
        let what = format!("what is in effect equals the ledger at step {step}");
        until(&what, || {
            let forgets_time = ledger.spec.name.as_str() == "iptables";
            let (found, expected) = (found(ledger)?, expected(ledger, forgets_time));
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

fn expected(ledger: &Ledger, forgets_time: bool) -> Bans {
    let one = |((jail, subject), until): (&(JailName, Subject), &Option<Timestamp>)| {
        let left = until.map(|until| until.since(now()).as_secs().cast_signed());
        let key = (short(jail.as_str()), subject.network().unwrap());
        (key, left.filter(|_| !forgets_time))
    };
    ledger.bans.iter().map(one).collect()
}

/// Who is in effect, if all that is around them is as it should be. Of a jail that went while the worker was killed,
/// something may be there that no rule asks any more.
fn found(ledger: &Ledger) -> Option<Bans> {
    let shown = said(&ledger.server, "ipset save; iptables -S; ip6tables -S");
    let mut bans = Bans::new();
    let served: Vec<_> = ledger
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
    let wanted: usize = ledger.jails.iter().map(ranges).sum();
    let is_whole = places == 2 * ledger.jails.len() && rules == 200 + 2 * wanted;
    bans.retain(|(jail, _), _| served.contains(jail));
    is_whole.then_some(bans)
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

fn whatever_happens(name: &str, seed: u64) {
    if !has(&["ipset", "iptables", "ip6tables"]) {
        return;
    }
    let Some(server) = Netns::new() else { return };
    let mut ledger = Ledger::new(server, action(name, &[]), jail("sshd", &["ssh"]));
    ledger.whatever_happens::<Tables>(seed);
    ledger.guard.stop(Ending::Remove);
    let left = shell(
        &ledger.server,
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
