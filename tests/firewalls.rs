//! Facts about the actions for firewalls with sets and rules, shown from outside: the real programs, the real kernel, real
//! packets, in networks of their own.

mod cutting;
mod docker;
mod random;
mod routes;

use std::net::{SocketAddr, TcpListener};

use f2bd::action::{Ending, Report};
use f2bd::engine::input::Outcome;

use crate::support::guard::{Guard, action, ban, has, jail, said, shell};
use crate::support::netns::{Cable, Netns};
use crate::support::wait::until;

const SSH: &str = "192.0.2.1:22";
const SSH6: &str = "[2001:db8::1]:22";
const WEB: &str = "192.0.2.1:80";

/// What is there of f2bd, in sets and in rules of any kind.
const LEFT: &str = "{ ipset save; iptables-save; ip6tables-save; iptables-legacy-save; ip6tables-legacy-save; } 2>/dev/null | grep f2bd";

const LEGACY: [(&str, &str); 2] = [
    ("iptables", "iptables-legacy"),
    ("ip6tables", "ip6tables-legacy"),
];

fn to(address: &str) -> SocketAddr {
    address.parse().unwrap()
}

/// A server and its attackers.
struct Place {
    server: Netns,
    attackers: Netns,
    listeners: Vec<TcpListener>,
}

impl Place {
    /// One that listens on two ports.
    fn new() -> Option<Place> {
        if !has(&["ipset", "iptables", "ip6tables", "iptables-legacy"]) {
            return None;
        }
        let Cable { server, attackers } = Cable::new()?;
        let listeners = [22, 80].map(|port| server.listen(port)).into();
        let place = Place {
            server,
            attackers,
            listeners,
        };
        place.must_reach("192.0.2.7", SSH);
        place.must_reach("2001:db8:0:7::7", SSH6);
        Some(place)
    }

    fn listens(&mut self, listener: TcpListener) {
        self.listeners.push(listener);
    }

    /// Whether a connection comes about; it ends at once.
    fn reaches(&self, from: &str, address: &str) -> bool {
        let reached = self.attackers.reaches(from, to(address));
        // A queue that nobody takes from gets full.
        for listener in &self.listeners {
            listener.set_nonblocking(true).unwrap();
            while listener.accept().is_ok() {}
        }
        reached
    }

    fn must_reach(&self, from: &str, address: &str) {
        until(&format!("{from} reaches {address}"), || {
            self.reaches(from, address).then_some(())
        });
    }

    fn must_be_cut_off(&self, from: &str, address: &str) {
        until(&format!("{from} does not reach {address}"), || {
            (!self.reaches(from, address)).then_some(())
        });
    }
}

/// The life of bans: hosts and networks of both families, prolonged and lifted, and nothing is left in the end.
fn keeps_out(name: &str, parameters: &[(&str, &str)]) {
    let Some(place) = Place::new() else {
        return;
    };
    let reaches = |from: &str, address: &str| place.reaches(from, address);
    let guard = Guard::start(&place.server, action(name, parameters));
    guard.reconcile(&[jail("sshd", &["ssh"])], &[]);
    let closes_all = parameters.contains(&("ports", "all"));
    assert!(reaches("192.0.2.7", SSH));

    guard.ban(&["192.0.2.7", "2001:db8:0:7::/64"]);
    assert!(!reaches("192.0.2.7", SSH));
    assert!(!reaches("2001:db8:0:7::7", SSH6));
    assert_eq!(reaches("192.0.2.7", WEB), !closes_all);
    assert!(reaches("192.0.2.8", SSH), "nobody else is banned");
    assert!(reaches("2001:db8:0:8::8", SSH6), "nobody else is banned");
    // Once more is prolonged, and one is enough to lift it.
    guard.order_change(&[ban("sshd", "192.0.2.7", 900)], &[]);
    guard.must_apply(1);
    guard.unban(&["192.0.2.7", "2001:db8:0:7::/64"]);
    assert!(reaches("192.0.2.7", SSH));
    assert!(reaches("2001:db8:0:7::7", SSH6));

    guard.ban(&["192.0.2.0/29", "2001:db8:0:7::7"]);
    assert!(!reaches("192.0.2.7", SSH));
    assert!(!reaches("2001:db8:0:7::7", SSH6));
    assert!(reaches("192.0.2.8", SSH), "nobody else is banned");
    // Who is banned and freed in one batch has never been there.
    guard.order_change(
        &[],
        &[("sshd".parse().unwrap(), "192.0.2.8".parse().unwrap())],
    );
    guard.must_apply(0);

    // The next daemon finds what the killed one has left, and a ban less.
    guard.die();
    assert!(!reaches("192.0.2.7", SSH));
    let guard = Guard::start(&place.server, action(name, parameters));
    guard.reconcile(
        &[jail("sshd", &["ssh"])],
        &[ban("sshd", "192.0.2.0/29", 600)],
    );
    assert!(!reaches("192.0.2.7", SSH));
    assert!(reaches("2001:db8:0:7::7", SSH6));
    guard.stop(Ending::Remove);
    assert!(reaches("192.0.2.7", SSH));
    let left = shell(&place.server, LEFT);
    assert_eq!(String::from_utf8_lossy(&left.stdout), "");
}

#[test]
fn ipset_keeps_out() {
    keeps_out("ipset", &[]);
}

#[test]
fn ipset_keeps_out_with_the_old_iptables() {
    keeps_out("ipset", &LEGACY);
}

#[test]
fn ipset_keeps_out_before_ports_are_translated() {
    keeps_out("ipset", &[("table", "raw"), ("hooks", "[PREROUTING]")]);
}

#[test]
fn ipset_closes_all_ports_and_rejects() {
    keeps_out("ipset", &[("ports", "all"), ("verdict", "reject")]);
}

#[test]
fn iptables_keeps_out() {
    keeps_out("iptables", &[]);
}

#[test]
fn iptables_keeps_out_with_the_old_iptables() {
    keeps_out("iptables", &LEGACY);
}

#[test]
fn iptables_closes_all_ports_of_connections() {
    let parameters = [
        ("ports", "all"),
        ("port_of", "connection"),
        ("verdict", "reject"),
    ];
    keeps_out("iptables", &parameters);
}

/// What somebody else breaks is mended.
fn is_mended(name: &str, parameters: &[(&str, &str)], breakages: &[&str]) {
    let Some(place) = Place::new() else {
        return;
    };
    let guard = Guard::start(&place.server, action(name, parameters));
    let bans = [
        ban("sshd", "192.0.2.7", 600),
        ban("sshd", "2001:db8:0:7::/64", 600),
    ];
    guard.reconcile(&[jail("sshd", &["ssh"])], &bans);
    for breakage in breakages {
        said(&place.server, breakage);
        place.must_be_cut_off("192.0.2.7", SSH);
        place.must_be_cut_off("2001:db8:0:7::7", SSH6);
    }
    guard.stop(Ending::Remove);
}

#[test]
fn foreign_changes_of_ipset_are_mended() {
    let breakages = [
        "iptables -F; ip6tables -F",
        "iptables -F f2bd",
        "ip6tables -D INPUT -j f2bd",
        "iptables -D f2bd 1",
        "ipset flush",
        "iptables -F; ip6tables -F; iptables -X; ipset destroy f2bd-sshd-4",
    ];
    is_mended("ipset", &[], &breakages);
}

#[test]
fn foreign_changes_of_the_old_iptables_are_mended() {
    let breakages = [
        "iptables-legacy -F; ip6tables-legacy -F; iptables-legacy -X; ipset destroy",
        "iptables-legacy -F f2bd",
    ];
    is_mended("ipset", &LEGACY, &breakages);
}

#[test]
fn foreign_changes_of_iptables_are_mended() {
    let breakages = [
        "iptables -F; iptables -X; ip6tables -F",
        "ip6tables -F f2bd",
        "iptables -F f2bd-sshd",
        "iptables -D INPUT -j f2bd",
    ];
    is_mended("iptables", &[], &breakages);
}

/// A jail that comes by a reload is guarded, and one that goes leaves nothing.
fn jails_come_and_go(name: &str) {
    let Some(place) = Place::new() else {
        return;
    };
    let guard = Guard::start(&place.server, action(name, &[]));
    let (sshd, web) = (jail("sshd", &["ssh"]), jail("web", &["80"]));
    let bans = [ban("sshd", "192.0.2.7", 600), ban("web", "192.0.2.8", 600)];
    let reaches = |from: &str, address: &str| place.reaches(from, address);
    guard.reconcile(std::slice::from_ref(&sshd), &bans[..1]);
    assert!(reaches("192.0.2.8", WEB));
    guard.reconcile(&[sshd, web.clone()], &bans);
    assert!(!reaches("192.0.2.8", WEB));
    assert!(!reaches("192.0.2.7", SSH));
    guard.reconcile(&[web], &bans[1..]);
    assert!(!reaches("192.0.2.8", WEB));
    assert!(reaches("192.0.2.7", SSH));
    let left = said(&place.server, LEFT);
    assert!(
        left.contains("f2bd-web") && !left.contains("sshd"),
        "{left}"
    );
    guard.stop(Ending::Leave);
    assert!(!reaches("192.0.2.8", WEB));
}

#[test]
fn jails_of_ipset_come_and_go() {
    jails_come_and_go("ipset");
}

#[test]
fn jails_of_iptables_come_and_go() {
    jails_come_and_go("iptables");
}

#[test]
fn where_ipv6_is_refused_ipv4_is_guarded() {
    let Some(place) = Place::new() else {
        return;
    };
    let folder = tempfile::tempdir().unwrap();
    let refuses = folder.path().join("refuses");
    for name in ["refuses", "refuses-restore"] {
        let path = folder.path().join(name);
        std::fs::write(&path, "#!/bin/sh\nexit 3\n").unwrap();
        let mode = std::os::unix::fs::PermissionsExt::from_mode(0o755);
        std::fs::set_permissions(&path, mode).unwrap();
    }
    let spec = action("ipset", &[("ip6tables", refuses.to_str().unwrap())]);
    let guard = Guard::start(&place.server, spec);
    guard.order_reconcile(&[jail("sshd", &["ssh"])], &[ban("sshd", "192.0.2.7", 600)]);
    assert!(matches!(guard.outcome(), Outcome::Broken { .. }));
    assert!(!place.reaches("192.0.2.7", SSH));
    guard.die();
}

#[test]
fn another_set_of_our_name_is_told_until_it_is_gone() {
    let Some(place) = Place::new() else {
        return;
    };
    said(&place.server, "ipset create f2bd-sshd-4 hash:ip");
    let guard = Guard::start(&place.server, action("ipset", &[]));
    guard.order_reconcile(&[jail("sshd", &["ssh"])], &[ban("sshd", "192.0.2.7", 600)]);
    let why = until("the trouble is told", || match guard.reports.recv() {
        Ok(Report::Trouble(why)) => Some(why),
        _ => None,
    });
    assert!(
        why.contains("set with the same name already exists"),
        "{why}"
    );
    // Rules may look into it, so that it cannot be destroyed at once.
    said(
        &place.server,
        "iptables -F; iptables -X; ipset destroy f2bd-sshd-4",
    );
    place.must_be_cut_off("192.0.2.7", SSH);
    guard.stop(Ending::Remove);
}

#[test]
fn asking_changes_nothing() {
    let Some(server) = Netns::new() else { return };
    if !has(&["iptables"]) {
        return;
    }
    said(&server, "iptables -N f2bd; iptables -I INPUT -j f2bd");
    // Handles and counters are new whenever rules are written.
    let shown = || said(&server, "nft -a list ruleset");
    let before = shown();
    said(
        &server,
        r"printf '*filter\n-C INPUT -j f2bd\nCOMMIT\n' | iptables-restore --noflush --wait",
    );
    assert_eq!(shown(), before);
}

#[test]
fn a_jail_that_is_called_otherwise_leaves_nothing_behind() {
    if !has(&["iptables", "ip6tables"]) {
        return;
    }
    let Some(inside) = Netns::new() else {
        return;
    };
    let guard = Guard::start(&inside, action("iptables", &[]));
    let bans = [ban("sshd", "192.0.2.7", 600)];
    let (old, other) = (jail("sshd", &["ssh"]), jail("ftp", &["ftp"]));
    guard.reconcile(&[old.clone(), other.clone()], &bans);
    let chains = || said(&inside, "iptables -S");
    assert!(chains().contains("-A f2bd-sshd -s 192.0.2.7/32"));
    let mut new = old;
    new.label = "SSH".parse().unwrap();
    guard.reconcile(&[new, other], &bans);
    assert!(
        chains().contains("-A f2bd-SSH -s 192.0.2.7/32"),
        "{}",
        chains()
    );
    assert!(!chains().contains("f2bd-sshd"), "{}", chains());
    assert!(chains().contains("-j f2bd-ftp"), "{}", chains());
    guard.stop(Ending::Remove);
    assert!(!chains().contains("f2bd"), "{}", chains());
}
