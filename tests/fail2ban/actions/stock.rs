//! Is what f2bd does instead of a stock action the same, as the kernel and an attacker see it?

use std::collections::BTreeSet;
use std::fs;
use std::net::SocketAddr;
use std::path::Path;

use f2bd::action::ports::{Ports, Services};
use f2bd::action::{ActionJail, ActionSpec, Ending, InForce};
use f2bd::config::fail2ban::Tree;
use f2bd::config::fail2ban::action::{Actions, carry, commands};
use f2bd::config::fail2ban::jail::{State, TreeAction};
use f2bd::config::{Problem, Problems};
use f2bd::engine::prefix::SubjectWidth;

use super::super::package::Package;
use crate::support::guard::{Guard, action, ban, has, said, shell};
use crate::support::netns::{Cable, Netns};
use crate::support::wait::until;

/// The actions of jails that say this, as Fail2ban has them, and what they come to.
fn read(package: &Package, home: &Path, jails: &str) -> (Vec<TreeAction>, Actions, Vec<Problem>) {
    let folder = home.join("fail2ban");
    if !folder.exists() {
        package.copy_to(&folder, home);
    }
    fs::write(home.join("log"), "").unwrap();
    fs::write(folder.join("jail.local"), jails).unwrap();
    // Debian's own switches a jail on.
    fs::write(folder.join("jail.d/defaults-debian.conf"), "").unwrap();
    let mut problems = Problems::default();
    let tree = Tree::read(&folder, &package.version(), &mut problems).unwrap();
    let jails: Vec<_> = tree
        .jails
        .into_iter()
        .filter_map(|jail| match jail.state {
            State::On(started) => Some((jail.name, started.actions)),
            _ => None,
        })
        .collect();
    let each = jails
        .iter()
        .map(|(name, actions)| (name.as_str(), actions.as_slice()));
    let carried = carry(each, &mut problems);
    let actions = jails.into_iter().flat_map(|(_, actions)| actions);
    (actions.collect(), carried, problems.into_sorted())
}

fn one_jail(home: &Path, name: &str, action: &str) -> String {
    let log = home.join("log");
    format!(
        "[{name}]\nenabled = true\nfilter =\nfailregex = ^<HOST> x$\nlogpath = {}\naction = {action}\n",
        log.display()
    )
}

fn to(address: &str) -> SocketAddr {
    address.parse().unwrap()
}

/// What is there by names that begin as Fail2ban's do; f2bd's own, which are there beside, have another sign in them.
fn names(inside: &Netns) -> BTreeSet<String> {
    let command = "{ nft list ruleset; iptables-save; ip6tables-save; } 2>/dev/null | \
        grep -oE '(f2b|addr6?-set)-[A-Za-z0-9-]+' | sort -u; true";
    let said = said(inside, command);
    said.lines().map(str::to_owned).collect()
}

/// The life of a ban by an action, and the names of what is there for it meanwhile.
fn live(spec: ActionSpec, jail: &ActionJail, closes_all: bool) -> Option<BTreeSet<String>> {
    let Cable { server, attackers } = Cable::new()?;
    let listeners = [22, 80].map(|port| server.listen(port));
    let reaches = |from: &str, address: &str| {
        let reached = attackers.reaches(from, to(address));
        for listener in &listeners {
            listener.set_nonblocking(true).unwrap();
            while listener.accept().is_ok() {}
        }
        reached
    };
    let (ssh, ssh6, web) = ("192.0.2.1:22", "[2001:db8::1]:22", "192.0.2.1:80");
    until("the network is there", || {
        (reaches("192.0.2.7", ssh) && reaches("2001:db8:0:7::7", ssh6)).then_some(())
    });
    let guard = Guard::start(&server, spec);
    let bans: Vec<InForce> = ["192.0.2.7", "2001:db8:0:7::7"]
        .map(|subject| ban("sshd", subject, 600))
        .into();
    guard.reconcile(std::slice::from_ref(jail), &[]);
    guard.order_change(&bans, &[]);
    guard.must_apply(2);
    assert!(!reaches("192.0.2.7", ssh));
    assert!(!reaches("2001:db8:0:7::7", ssh6));
    assert_eq!(reaches("192.0.2.7", web), !closes_all);
    assert!(reaches("192.0.2.8", ssh));
    let names = names(&server);
    guard.unban(&["192.0.2.7"]);
    assert!(reaches("192.0.2.7", ssh));
    assert!(!reaches("2001:db8:0:7::7", ssh6));
    guard.stop(Ending::AsConfigured);
    assert!(reaches("2001:db8:0:7::7", ssh6));
    let left = shell(
        &server,
        "{ nft list ruleset; iptables-save; ip6tables-save; } 2>/dev/null | grep -E 'f2b|addr6?-set'",
    );
    let left = String::from_utf8(left.stdout).unwrap();
    assert!(left.is_empty(), "{left}");
    Some(names)
}

fn lives_the_same(name: &str, needed: &str) {
    let Some(package) = Package::find().filter(|_| has(&["nft", "iptables", "ip6tables"])) else {
        return;
    };
    let home = tempfile::tempdir().unwrap();
    let jail = one_jail(home.path(), "sshd", &format!("{name}[port=ssh]"));
    let (asked, carried, problems) = read(&package, home.path(), &jail);
    assert!(problems.iter().all(|one| !one.message.contains("action")));
    let (_, native, _) = carried.natives.first().unwrap();
    let parameters: Vec<(&str, &str)> = native
        .parameters
        .iter()
        .map(|(name, value)| (name.as_str(), value.as_str()))
        .collect();
    let ours = action(&native.action, &parameters);
    let spec = commands::read(&asked[0], &mut Problems::default()).unwrap();
    let theirs = spec.named("theirs".parse().unwrap());
    let ports = carried.uses[0].ports.clone().unwrap();
    let words: Vec<&str> = ports.ports.iter().map(String::as_str).collect();
    let protocols = ports.protocols.iter().map(|word| word.parse().unwrap());
    let jail = ActionJail {
        jail: "sshd".parse().unwrap(),
        ports: Ports::parse(&words, &Services::well_known()).unwrap(),
        protocols: protocols.collect(),
        width: SubjectWidth {
            ipv4: 32,
            ipv6: 128,
        },
    };
    let closes_all = name.contains("allports");
    let Some(theirs) = live(theirs, &jail, closes_all) else {
        return;
    };
    let ours = live(ours, &jail, closes_all).unwrap();
    assert!(theirs.iter().any(|one| one == needed), "{theirs:?}");
    assert_eq!(ours, theirs);
}

#[test]
fn nftables_lives_the_same() {
    lives_the_same("nftables-multiport", "addr6-set-sshd");
}

#[test]
fn nftables_for_all_ports_lives_the_same() {
    lives_the_same("nftables-allports", "f2b-chain");
}

#[test]
fn iptables_lives_the_same() {
    lives_the_same("iptables-multiport", "f2b-sshd");
}

#[test]
fn iptables_for_all_ports_lives_the_same() {
    lives_the_same("iptables-allports", "f2b-sshd");
}

/// What is done for one action of a jail: ours, or its commands.
fn comes_to(package: &Package, home: &Path, action: &str) -> Option<String> {
    let (_, carried, problems) = read(package, home, &one_jail(home, "sshd", action));
    assert_eq!(carried.uses.len(), 1, "{problems:?}");
    let (_, native, _) = carried.natives.first()?;
    Some(format!("{} {:?}", native.action, native.parameters))
}

#[test]
fn only_what_is_surely_the_same_is_replaced() {
    let Some(package) = Package::find() else {
        return;
    };
    let home = tempfile::tempdir().unwrap();
    let is = |action: &str| comes_to(&package, home.path(), action);
    let ours = is("nftables[port=ssh, blocktype=drop, table=mine]").unwrap();
    assert!(ours.starts_with("nftables"), "{ours}");
    assert!(ours.contains("\"table\": \"mine\"") && ours.contains("\"verdict\": \"drop\""));
    assert!(is("%(action_)s").unwrap().starts_with("iptables"));
    assert!(is("%(banaction)s[port=ssh, chain=\"<known/chain>\"]").is_some());
    assert!(is("iptables[type=multiport, port=\"ssh,http\"]").is_some());
    for others in [
        "nftables[blocktype=\"counter drop\"]",
        "nftables[chain_hook=forward]",
        "nftables[protocol=icmp]",
        "nftables[type=custom, rule_match-custom=\"meta mark 7\"]",
        "nftables[table=\"a b\"]",
        "iptables[name=other]",
        "iptables[pre-rule=\"-i eth0 \"]",
        "iptables[chain=DOCKER-USER]",
        "iptables-ipset",
        "hostsdeny",
    ] {
        assert_eq!(is(others), None, "{others}");
    }
    let local = home.path().join("fail2ban/action.d/iptables.local");
    fs::write(
        &local,
        "[Init]\nblocktype = DROP\n[Init?family=inet6]\nblocktype = DROP\n",
    )
    .unwrap();
    assert!(is("iptables").unwrap().contains("\"verdict\": \"drop\""));
    fs::write(&local, "[Init]\nlockingopt = -w 5\n").unwrap();
    assert_eq!(is("iptables"), None);
    fs::write(&local, "[Definition]\nactionban = logger <ip>\n").unwrap();
    assert_eq!(is("iptables"), None);
    assert_eq!(is("iptables-multiport"), None, "which includes it");
    assert!(is("nftables").is_some());
}

#[test]
fn what_commands_speak_of_is_left_to_commands() {
    let Some(package) = Package::find() else {
        return;
    };
    let home = tempfile::tempdir().unwrap();
    let jail = |name: &str, action: &str| one_jail(home.path(), name, action);
    let all = |jails: &[String]| {
        let (_, carried, _) = read(&package, home.path(), &jails.concat());
        (carried.natives.len(), carried.commands.len())
    };
    let (one, other) = (jail("a", "nftables"), jail("b", "nftables[port=http]"));
    assert_eq!(all(&[one.clone(), other.clone()]), (1, 0));
    let drops = jail("c", "nftables[blocktype=drop]");
    assert_eq!(
        all(&[one.clone(), other.clone(), drops]),
        (0, 3),
        "all use one table"
    );
    let elsewhere = jail("c", "nftables[blocktype=drop, table=mine]");
    assert_eq!(all(&[one, other, elsewhere]), (2, 0));
    let drops = jail("c", "iptables[blocktype=DROP]");
    let rest = [jail("a", "iptables"), jail("b", "iptables"), drops];
    assert_eq!(all(&rest), (1, 1));
}

#[test]
fn python_is_refused_with_what_is_nearest() {
    let Some(package) = Package::find() else {
        return;
    };
    let home = tempfile::tempdir().unwrap();
    fs::create_dir_all(home.path().join("fail2ban/action.d")).unwrap();
    let (_, carried, problems) = read(&package, home.path(), &{
        package.copy_to(&home.path().join("fail2ban"), home.path());
        one_jail(home.path(), "sshd", "smtp.py[host=localhost]")
    });
    assert!(carried.uses.is_empty());
    let told = |one: &Problem| one.message.contains("Python") && one.remedy.contains("`mail`");
    assert!(problems.iter().any(told), "{problems:?}");
}
