//! Facts about the shipped variants: where they look at packets, whom they stop there, and how they answer.

use std::fs;
use std::sync::atomic::AtomicUsize;

use f2bd::action::ActionKind;
use f2bd::action::nftables::ruleset::DeviceName;
use rustix::io::Errno;

use super::*;

const FORWARD: &str = include_str!("../../actions/nftables-forward.toml");
const INGRESS: &str = include_str!("../../actions/nftables-ingress.toml");
const PREROUTING: &str = include_str!("../../actions/nftables-prerouting.toml");

/// Subjects that hold 192.0.2.7 or 2001:db8:0:7::7 and none of their neighbours: hosts and networks, usual ones and others.
const SUBJECTS: [&str; 5] = [
    "192.0.2.7",
    "192.0.2.0/29",
    "2001:db8:0:7::/64",
    "2001:db8:0:7::7",
    "2001:db8:0:6::/63",
];

/// A server that passes on its port 8080 to port 80 of a container.
struct Containers {
    cable: Cable,
    container: Netns,
}

impl Containers {
    fn new() -> Option<Containers> {
        let (cable, container) = (Cable::new()?, Netns::new()?);
        let server = &cable.server;
        let name = container.name();
        server.ip(&format!(
            "link add inner type veth peer name cable netns {name}"
        ));
        server.ip("link set inner up");
        container.ip("link set cable up");
        for (server_has, container_has, gateway) in [
            ("10.9.0.1/24", "10.9.0.2/24", "10.9.0.1"),
            ("fd00::1/64", "fd00::2/64", "fd00::1"),
        ] {
            server.add_address_to("inner", server_has);
            container.add_address(container_has);
            container.route_by(gateway);
        }
        server.inside(|| {
            for switch in ["ipv4/ip_forward", "ipv6/conf/all/forwarding"] {
                fs::write(format!("/proc/sys/net/{switch}"), "1").unwrap();
            }
        });
        for command in [
            "add table inet nat",
            "add chain inet nat pre { type nat hook prerouting priority dstnat; }",
            "add rule inet nat pre iifname cable tcp dport 8080 dnat ip to 10.9.0.2:80",
            "add rule inet nat pre iifname cable tcp dport 8080 dnat ip6 to [fd00::2]:80",
        ] {
            server.nft(&[command]).unwrap();
        }
        Some(Containers { cable, container })
    }
}

fn web(ports: &[&str]) -> ActionJail {
    jail("sshd", ports, &[Protocol::Tcp], SubjectWidth::DEFAULT)
}

/// Each subject is shut out of a port, and nobody else, for as long as it is banned.
fn shuts_out(cable: &Cable, guard: &Guard, port: u16) {
    let Cable { attackers, .. } = cable;
    for subject in SUBJECTS {
        let (server, banned, free) = match subject.contains(':') {
            false => ("192.0.2.1", "192.0.2.7", "192.0.2.8"),
            true => ("2001:db8::1", "2001:db8:0:7::7", "2001:db8:0:8::8"),
        };
        let to = SocketAddr::new(server.parse().unwrap(), port);
        attackers.must_reach(banned, to);
        guard.ban(subject);
        assert!(!attackers.reaches(banned, to), "{subject} to {to}");
        attackers.must_reach(free, to);
        guard.unban(subject);
        attackers.must_reach(banned, to);
    }
}

#[test]
fn jails_may_share_their_sets() {
    let Some(cable) = Cable::new() else { return };
    let _ssh = cable.server.listen(22);
    let guard = Guard::start(&cable.server, spec(&[("ports", "all"), ("sets", "shared")]));
    let mut other = jail("other", &["9"], &[], SubjectWidth { ipv4: 24, ipv6: 56 });
    guard.reconcile(&[sshd(), other.clone()], &[]);
    shuts_out(&cable, &guard, 22);
    // Who is banned by two jails is free when both have let him go; until then the longer ban counts.
    for (subject, set, element) in [
        ("192.0.2.7", "all-ipv4", "192.0.2.7"),
        ("192.0.2.0/24", "all-ipv4-24", "192.0.2.0"),
        ("192.0.2.0/29", "all-ipv4-networks", "192.0.2.0/29"),
        ("2001:db8:0:7::/64", "all-ipv6", "2001:db8:0:7::"),
        ("2001:db8::/56", "all-ipv6-56", "2001:db8::"),
        ("2001:db8::7", "all-ipv6-networks", "2001:db8::7"),
    ] {
        let by = |jail: &str, seconds| InForce {
            jail: jail.parse().unwrap(),
            ..ban(subject, seconds)
        };
        let free = |jail: &str| [(jail.parse().unwrap(), subject.parse().unwrap())];
        let left = || elements(&cable.server, set).get(element).copied().flatten();
        guard.change(&[by("other", 5_000.0)], &[]);
        guard.change(&[by("sshd", 600.0)], &[]);
        assert!(left() > Some(4_900), "{subject}");
        guard.reconcile(
            &[sshd(), other.clone()],
            &[by("sshd", 600.0), by("other", 5_000.0)],
        );
        assert!(left() > Some(4_900), "{subject}");
        guard.change(&[], &free("other"));
        assert!(matches!(left(), Some(500..=600)), "{subject}");
        guard.change(&[], &free("sshd"));
        assert_eq!(members(&cable.server, set), [""; 0], "{subject}");
    }
    // Another jail with other subjects moves nobody out.
    other.width.ipv4 = 16;
    guard.reconcile(&[sshd(), other], &[ban("192.0.2.0/24", 600.0)]);
    assert!(!cable.attackers.reaches("192.0.2.7", address(SSH)));
    guard.stop();
}

#[test]
fn before_the_translation_ports_are_those_that_clients_ask_for() {
    let Some(Containers { cable, container }) = Containers::new() else {
        return;
    };
    let (_inner, _local) = (container.listen(80), cable.server.listen(80));
    let guard = Guard::start(&cable.server, spec_of(PREROUTING, &[]));
    guard.reconcile(&[web(&["8080"])], &[]);
    shuts_out(&cable, &guard, 8080);
    guard.ban("192.0.2.7");
    cable.attackers.must_reach("192.0.2.7", address(WEB));
    // The machine's own services are shut as well.
    guard.reconcile(&[web(&["80"])], &[]);
    shuts_out(&cable, &guard, 80);
    guard.ban("192.0.2.7");
    cable
        .attackers
        .must_reach("192.0.2.7", address("192.0.2.1:8080"));
    guard.stop();
}

#[test]
fn on_the_way_through_ports_are_those_of_the_container() {
    let Some(Containers { cable, container }) = Containers::new() else {
        return;
    };
    let (_inner, _local) = (container.listen(80), cable.server.listen(80));
    let guard = Guard::start(&cable.server, spec_of(FORWARD, &[]));
    guard.reconcile(&[web(&["80"])], &[]);
    shuts_out(&cable, &guard, 8080);
    shuts_out(&cable, &guard, 80);
    guard.reconcile(&[web(&["8080"])], &[ban("192.0.2.7", 600.0)]);
    cable
        .attackers
        .must_reach("192.0.2.7", address("192.0.2.1:8080"));
    guard.stop();
}

/// An open connection to a container ends too, as do those to the machine itself.
#[test]
fn open_connections_to_containers_end() {
    let Some(Containers { cable, container }) = Containers::new() else {
        return;
    };
    let inner = container.listen(80);
    for (file, port) in [(FORWARD, "80"), (PREROUTING, "8080")] {
        let guard = Guard::start(&cable.server, spec_of(file, &[("on_stop", "remove")]));
        guard.reconcile(&[web(&[port])], &[]);
        let mut outside = cable
            .attackers
            .connect("192.0.2.7", address("192.0.2.1:8080"))
            .unwrap();
        let (mut inside, _) = inner.accept().unwrap();
        inside
            .set_read_timeout(Some(Duration::from_millis(400)))
            .unwrap();
        outside.write_all(b"a").unwrap();
        inside.read_exact(&mut [0]).unwrap();
        guard.ban("192.0.2.7");
        outside.write_all(b"b").unwrap();
        let late = uninterrupted(|| inside.read(&mut [0]));
        assert_eq!(late.unwrap_err().kind(), ErrorKind::WouldBlock);
        guard.stop();
    }
}

#[test]
fn at_a_device_packets_are_dropped_before_all_else() {
    let Some(cable) = Cable::new() else { return };
    let server = &cable.server;
    let (_ssh, _web) = (server.listen(22), server.listen(80));
    let guard = Guard::start(server, spec_of(INGRESS, &[("devices", "cable")]));
    guard.reconcile(&[sshd()], &[]);
    shuts_out(&cable, &guard, 22);
    guard.stop();
    let own = [("devices", "cable"), ("ports", "jail"), ("sets", "jail")];
    let guard = Guard::start(server, spec_of(INGRESS, &own));
    guard.reconcile(&[sshd()], &[]);
    shuts_out(&cable, &guard, 22);
    guard.ban("192.0.2.7");
    cable.attackers.must_reach("192.0.2.7", address(WEB));
    // A foreign change is heard in this family too.
    server
        .nft(&["flush", "chain", "netdev", "f2bd_ingress", "banned"])
        .unwrap();
    assert_eq!(guard.report(), Report::ForeignChange);
    guard.reconcile(&[sshd()], &[ban("192.0.2.7", 600.0)]);
    assert!(!cable.attackers.reaches("192.0.2.7", address(SSH)));
    // A table of the same name in another family is none of ours.
    server
        .nft(&["add", "table", "inet", "f2bd_ingress"])
        .unwrap();
    guard.stop();
}

#[test]
fn devices_are_guarded_as_soon_as_they_are_there() {
    let Some(server) = Netns::new() else { return };
    let guarded = || {
        let table = server.nft(&["list", "table", "netdev", "f2bd_ingress"]);
        let table = table.unwrap_or_default();
        ["one", "two"].map(|device| table.contains(&format!("hook ingress device \"{device}\"")))
    };
    let mut file = spec_of(INGRESS, &[("devices", "one")]);
    let ActionKind::Nftables(nftables) = &mut file.kind else {
        panic!("it is of this kind");
    };
    nftables.devices.push(DeviceName::of("two").unwrap());
    let guard = Guard::start(&server, file);
    guard.order_reconcile(&[sshd()], &[]);
    let action = "nftables".parse().unwrap();
    assert_eq!(guard.outcome(), Outcome::Broken { action });
    assert_eq!(guarded(), [false, false]);
    // It hears of it, or tries again.
    let repaired = |expected: [bool; 2]| {
        until("the devices that are there are guarded", || {
            for report in guard.reports.try_iter() {
                if report == Report::ForeignChange {
                    guard.order_reconcile(&[sshd()], &[]);
                }
            }
            (guarded() == expected).then_some(())
        });
    };
    server.ip("link add one type veth peer name far-one");
    repaired([true, false]);
    server.ip("link add two type veth peer name far-two");
    repaired([true, true]);
    server.ip("link del one");
    repaired([false, true]);
    server.ip("link add one type veth peer name far-one");
    repaired([true, true]);
    guard.stop();
}

#[test]
fn rejected_packets_are_answered_as_it_is_written() {
    let Some(Cable { server, attackers }) = Cable::new() else {
        return;
    };
    let _ssh = server.listen(22);
    for (file, words4, words6, error4, error6) in [
        (
            NFTABLES,
            "reset",
            "reset",
            Errno::CONNREFUSED,
            Errno::CONNREFUSED,
        ),
        (
            PREROUTING,
            "reset",
            "reset",
            Errno::CONNREFUSED,
            Errno::CONNREFUSED,
        ),
        (
            NFTABLES,
            "port-unreachable",
            "port-unreachable",
            Errno::CONNREFUSED,
            Errno::CONNREFUSED,
        ),
        (
            NFTABLES,
            "host-unreachable",
            "addr-unreachable",
            Errno::HOSTUNREACH,
            Errno::HOSTUNREACH,
        ),
        (
            FORWARD,
            "net-unreachable",
            "no-route",
            Errno::NETUNREACH,
            Errno::NETUNREACH,
        ),
        (
            NFTABLES,
            "admin-prohibited",
            "admin-prohibited",
            Errno::HOSTUNREACH,
            Errno::ACCESS,
        ),
    ] {
        let guard = Guard::start(
            &server,
            spec_of(
                file,
                &[
                    ("verdict", "reject"),
                    ("reject_ipv4", words4),
                    ("reject_ipv6", words6),
                    ("on_stop", "remove"),
                ],
            ),
        );
        let banned = [ban("192.0.2.7", 600.0), ban("2001:db8:0:7::/64", 600.0)];
        guard.reconcile(&[sshd()], &banned);
        for (from, to, error) in [
            ("192.0.2.7", SSH, error4),
            ("2001:db8:0:7::7", SSH6, error6),
        ] {
            let answer = attackers.refusal(from, address(to));
            assert_eq!(answer, Some(error), "{words4} {words6}");
        }
        guard.stop();
    }
}

/// Others that change tables of their own all the time do not keep us from ours, and are not taken for somebody who
/// changes it.
#[test]
fn a_storm_of_foreign_transactions_disturbs_nothing() {
    let Some(server) = Netns::new() else { return };
    let guard = Guard::of_sshd(&server);
    let crowd = hosts(20_000);
    let storming = AtomicBool::new(true);
    let storms = AtomicUsize::new(0);
    thread::scope(|scope| {
        for table in ["one", "two"] {
            let (server, storming, storms) = (&server, &storming, &storms);
            scope.spawn(move || {
                while storming.load(Ordering::Relaxed) {
                    server.nft(&["add", "table", "inet", table]).unwrap();
                    server.nft(&["delete", "table", "inet", table]).unwrap();
                    storms.fetch_add(2, Ordering::Relaxed);
                }
            });
        }
        while storms.load(Ordering::Relaxed) < 10 {
            thread::yield_now();
        }
        let before = storms.load(Ordering::Relaxed);
        let reports: Vec<_> = (0..10)
            .map(|_| {
                guard.order_reconcile(&[sshd()], &crowd);
                guard.reports.recv_timeout(DEADLINE)
            })
            .collect();
        let during = storms.load(Ordering::Relaxed) - before;
        // Nothing may panic before: the storm would be waited for.
        storming.store(false, Ordering::Relaxed);
        assert_eq!(reports, vec![Ok(Report::Outcome(reconciled())); 10]);
        assert!(during > 10, "it went on");
    });
    assert_eq!(members(&server, "ipv4/sshd").len(), 20_000);
    guard.stop();
}
