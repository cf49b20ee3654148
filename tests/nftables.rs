//! Facts about `nftables`, shown from outside, with the real kernel, the real nft and real packets.

mod random;
mod variants;

use std::collections::BTreeMap;
use std::fs::Permissions;
use std::io::{ErrorKind, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpStream, UdpSocket};
use std::ops::Deref;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};

use std::thread;
use std::time::{Duration, Instant};

use f2bd::action::file::{ActionFile, NFTABLES, NFTABLES_SLOW};
use f2bd::action::parameter::Given;
use f2bd::action::ports::{Ports, Protocol, Services};
use f2bd::action::{ActionError, ActionJail, ActionSpec, Ending, InForce, Report, check};
use f2bd::engine::decision::BanId;
use f2bd::engine::input::Outcome;
use f2bd::engine::name::JailName;
use f2bd::engine::prefix::{Prefix, SubjectWidth};
use f2bd::engine::subject::Subject;
use f2bd::engine::time::Timestamp;
use rustix::process::{Gid, Uid};
use rustix::thread::{
    CapabilitySet, CapabilitySets, capabilities, configure_capability_in_ambient_set,
    set_capabilities, set_keep_capabilities, set_thread_groups, set_thread_res_gid,
    set_thread_res_uid,
};

use crate::support::guard;
use crate::support::netns::{Cable, Netns};
use crate::support::now;
use crate::support::wait::{DEADLINE, uninterrupted, until};

const SSH: &str = "192.0.2.1:22";
const SSH6: &str = "[2001:db8::1]:22";
const WEB: &str = "192.0.2.1:80";

/// The action at work, where nothing may be taken for a change by somebody else.
struct Guard(guard::Guard);

impl Deref for Guard {
    type Target = guard::Guard;

    fn deref(&self) -> &guard::Guard {
        &self.0
    }
}

impl Guard {
    fn start(inside: &Netns, spec: ActionSpec) -> Guard {
        Guard(guard::Guard::start(inside, spec))
    }

    /// The shipped action, guarding the jail sshd with no ban yet.
    fn of_sshd(inside: &Netns) -> Guard {
        let guard = Guard::start(inside, spec(&[]));
        guard.reconcile(&[sshd()], &[]);
        guard
    }

    fn outcome(&self) -> Outcome {
        loop {
            match self.report() {
                Report::Outcome(outcome) => return outcome,
                Report::ForeignChange => panic!("nobody else has changed anything"),
                // Words for people, beside what the outcome says.
                Report::Trouble(_) | Report::Works | Report::Complaint(_) => {}
            }
        }
    }

    /// The next outcome; foreign changes are none.
    fn outcome_at_last(&self) -> Outcome {
        loop {
            if let Report::Outcome(outcome) = self.report() {
                return outcome;
            }
        }
    }

    fn reconcile(&self, jails: &[ActionJail], bans: &[InForce]) {
        self.order_reconcile(jails, bans);
        assert_eq!(self.outcome(), reconciled());
    }

    fn change(&self, bans: &[InForce], unbans: &[(JailName, Subject)]) {
        self.order_change(bans, unbans);
        assert_eq!(
            self.outcome(),
            applied(bans.iter().map(|ban| ban.ban).collect())
        );
    }

    fn ban(&self, subject: &str) {
        self.change(&[ban(subject, 600.0)], &[]);
    }

    fn unban(&self, subject: &str) {
        self.change(&[], &[("sshd".parse().unwrap(), subject.parse().unwrap())]);
    }

    fn stop(self) {
        self.0.stop(Ending::AsConfigured);
    }
}

/// That everything was put into effect.
fn reconciled() -> Outcome {
    let action = "nftables".parse().unwrap();
    Outcome::Reconciled { action }
}

fn applied(bans: Vec<BanId>) -> Outcome {
    let action = "nftables".parse().unwrap();
    Outcome::Applied { action, bans }
}

fn spec(parameters: &[(&str, &str)]) -> ActionSpec {
    spec_of(NFTABLES, parameters)
}

fn spec_of(file: &str, parameters: &[(&str, &str)]) -> ActionSpec {
    let parameters = parameters
        .iter()
        .map(|(name, value)| ((*name).to_owned(), Given::One((*value).to_owned())))
        .collect();
    ActionFile::parse(file)
        .unwrap()
        .spec("nftables".parse().unwrap(), &parameters)
        .unwrap()
}

fn jail(name: &str, ports: &[&str], protocols: &[Protocol], width: SubjectWidth) -> ActionJail {
    ActionJail {
        jail: name.parse().unwrap(),
        label: name.parse().unwrap(),
        ports: Ports::parse(ports, &Services::well_known()).unwrap(),
        protocols: protocols.to_vec(),
        width,
    }
}

fn sshd() -> ActionJail {
    jail("sshd", &["ssh"], &[Protocol::Tcp], SubjectWidth::DEFAULT)
}

/// A ban of the jail sshd that has so many seconds left.
fn ban(subject: &str, seconds: f64) -> InForce {
    let until = Timestamp::from_micros(now().as_micros() + (seconds * 1e6) as i64);
    InForce {
        ban: BanId(7),
        jail: "sshd".parse().unwrap(),
        subject: subject.parse().unwrap(),
        until: Some(until),
        event: None,
    }
}

fn hosts(number: u32) -> Vec<InForce> {
    let first = u32::from(Ipv4Addr::new(10, 0, 0, 0));
    let template = ban("10.0.0.0", 3_600.0);
    (0..number)
        .map(|host| InForce {
            ban: BanId(u64::from(host)),
            subject: Prefix::host(Ipv4Addr::from(first + host).into()).into(),
            ..template.clone()
        })
        .collect()
}

/// What nft lists as the elements of a set, each with the seconds it has left.
fn elements(inside: &Netns, set: &str) -> BTreeMap<String, Option<u64>> {
    let listed = inside
        .nft(&["-j", "list", "set", "inet", "f2bd", set])
        .unwrap();
    let listed: serde_json::Value = serde_json::from_str(&listed).unwrap();
    let listed = listed["nftables"].as_array().unwrap();
    let elements = listed
        .iter()
        .find_map(|object| object.get("set"))
        .and_then(|set| set["elem"].as_array().cloned());
    let mut answer = BTreeMap::new();
    for element in elements.unwrap_or_default() {
        let value = element.pointer("/elem/val").unwrap_or(&element);
        let shown = if let Some(text) = value.as_str() {
            text.to_owned()
        } else if let Some(prefix) = value.get("prefix") {
            format!("{}/{}", prefix["addr"].as_str().unwrap(), prefix["len"])
        } else {
            format!(
                "{}-{}",
                value["range"][0].as_str().unwrap(),
                value["range"][1].as_str().unwrap()
            )
        };
        answer.insert(
            shown,
            element
                .pointer("/elem/expires")
                .and_then(serde_json::Value::as_u64),
        );
    }
    answer
}

fn members(inside: &Netns, set: &str) -> Vec<String> {
    elements(inside, set).into_keys().collect()
}

fn address(text: &str) -> SocketAddr {
    text.parse().unwrap()
}

/// How many packets the rules have taken so far.
fn taken(inside: &Netns) -> u64 {
    let listed = inside
        .nft(&["-j", "list", "chain", "inet", "f2bd", "input"])
        .unwrap();
    let listed: serde_json::Value = serde_json::from_str(&listed).unwrap();
    let rules = listed["nftables"].as_array().unwrap();
    let expressions = rules
        .iter()
        .filter_map(|object| object.pointer("/rule/expr")?.as_array())
        .flatten();
    expressions
        .filter_map(|expression| expression.pointer("/counter/packets")?.as_u64())
        .sum()
}

#[test]
fn a_banned_host_is_cut_off_and_comes_back() {
    let Some(Cable { server, attackers }) = Cable::new() else {
        return;
    };
    let (_ssh, _web) = (server.listen(22), server.listen(80));
    let guard = Guard::of_sshd(&server);
    attackers.must_reach("192.0.2.7", address(SSH));
    guard.ban("192.0.2.7");
    assert!(!attackers.reaches("192.0.2.7", address(SSH)));
    assert!(taken(&server) > 0, "it is the rule that drops");
    // Another port is none of the jail's.
    attackers.must_reach("192.0.2.7", address(WEB));
    // Another host is not banned.
    attackers.must_reach("192.0.2.8", address(SSH));
    guard.unban("192.0.2.7");
    attackers.must_reach("192.0.2.7", address(SSH));
    guard.unban("192.0.2.7");
    guard.stop();
}

#[test]
fn all_ports_can_be_shut() {
    let Some(Cable { server, attackers }) = Cable::new() else {
        return;
    };
    let (_ssh, _web) = (server.listen(22), server.listen(80));
    let guard = Guard::start(&server, spec(&[("ports", "all")]));
    guard.reconcile(&[sshd()], &[ban("192.0.2.7", 600.0)]);
    assert!(!attackers.reaches("192.0.2.7", address(SSH)));
    assert!(!attackers.reaches("192.0.2.7", address(WEB)));
    attackers.must_reach("192.0.2.8", address(WEB));
    guard.stop();
}

#[test]
fn actions_do_not_take_each_other_for_somebody_else() {
    let Some(inside) = Netns::new() else {
        return;
    };
    let tables =
        ["one", "two", "three"].map(|table| Guard::start(&inside, spec(&[("table", table)])));
    for turn in 1..=20_u8 {
        let banned = [ban(&format!("192.0.2.{turn}"), 600.0)];
        for guard in &tables {
            guard.order_reconcile(&[sshd()], &banned);
        }
        for guard in &tables {
            assert_eq!(guard.outcome(), reconciled(), "turn {turn}");
        }
    }
    tables.into_iter().for_each(Guard::stop);
}

/// One address after the other has three connections free, of IPv6 one network does.
#[test]
fn a_slowed_host_gets_through_now_and_then() {
    let Some(Cable { server, attackers }) = Cable::new() else {
        return;
    };
    let _ssh = server.listen(22);
    attackers.add_address("2001:db8:0:7:ffff::1/32");
    let guard = Guard::start(&server, spec_of(NFTABLES_SLOW, &[("rate", "1/hour")]));
    let banned = [ban("192.0.2.7", 600.0), ban("2001:db8:0:7::/64", 600.0)];
    guard.reconcile(&[sshd()], &banned);
    let through = |from: &str, to: &str| {
        let tries = 0..5;
        tries
            .take_while(|_| attackers.reaches(from, address(to)))
            .count()
    };
    assert_eq!(through("192.0.2.7", SSH), 3);
    assert_eq!(through("192.0.2.8", SSH), 5, "nobody has slowed it down");
    assert_eq!(through("2001:db8:0:7::7", SSH6), 3);
    assert_eq!(through("2001:db8:0:7:ffff::1", SSH6), 0, "the same network");
    // Each of the networks in a wide one is a host, and none of them has more than its own.
    let wide = [ban("2001:db8::/32", 600.0)];
    guard.reconcile(&[sshd()], &wide);
    assert_eq!(through("2001:db8:0:7::7", SSH6), 3);
    assert_eq!(through("2001:db8:0:7:ffff::1", SSH6), 0);
    guard.reconcile(&[sshd()], &banned);
    // Nobody begins anew because the rules do, and what is gone leaves nothing behind.
    guard.reconcile(&[sshd()], &banned);
    assert_eq!(through("192.0.2.7", SSH), 0);
    guard.unban("192.0.2.7");
    attackers.must_reach("192.0.2.7", address(SSH));
    let web = jail("web", &["80"], &[Protocol::Tcp], SubjectWidth::DEFAULT);
    guard.reconcile(&[web], &[]);
    let left = server.nft(&["list", "table", "inet", "f2bd_slow"]).unwrap();
    assert!(
        left.contains("ipv4/web/rate") && !left.contains("sshd"),
        "{left}"
    );
    guard.stop();
}

/// A subject of IPv6 is a /64, and stands in a hash set.
#[test]
fn a_banned_ipv6_network_is_cut_off() {
    let Some(Cable { server, attackers }) = Cable::new() else {
        return;
    };
    let _ssh = server.listen(22);
    attackers.add_address("2001:db8:0:7:ffff::1/32");
    let guard = Guard::of_sshd(&server);
    attackers.must_reach("2001:db8:0:7::7", address(SSH6));
    guard.ban("2001:db8:0:7::/64");
    assert!(!attackers.reaches("2001:db8:0:7::7", address(SSH6)));
    assert!(
        !attackers.reaches("2001:db8:0:7:ffff::1", address(SSH6)),
        "all of the /64 is banned"
    );
    attackers.must_reach("2001:db8:0:8::8", address(SSH6));
    assert_eq!(members(&server, "ipv6/sshd"), ["2001:db8:0:7::"]);
    guard.unban("2001:db8:0:7::/64");
    guard.ban("2001:db8:0:7::7");
    assert!(!attackers.reaches("2001:db8:0:7::7", address(SSH6)));
    // One address of a /64 can be banned alone.
    attackers.must_reach("2001:db8:0:7:ffff::1", address(SSH6));
    guard.stop();
}

#[test]
fn a_jail_of_wide_subjects_bans_them_whole() {
    let Some(Cable { server, attackers }) = Cable::new() else {
        return;
    };
    let _ssh = server.listen(22);
    let guard = Guard::start(&server, spec(&[]));
    let wide = jail(
        "sshd",
        &["22"],
        &[Protocol::Tcp],
        SubjectWidth { ipv4: 29, ipv6: 56 },
    );
    guard.reconcile(
        &[wide],
        &[ban("192.0.2.0/29", 600.0), ban("2001:db8::/56", 600.0)],
    );
    assert_eq!(members(&server, "ipv4-29/sshd"), ["192.0.2.0"]);
    assert_eq!(members(&server, "ipv6-56/sshd"), ["2001:db8::"]);
    assert!(!attackers.reaches("192.0.2.7", address(SSH)));
    attackers.must_reach("192.0.2.8", address(SSH));
    assert!(!attackers.reaches("2001:db8:0:8::8", address(SSH6)));
    // Other subjects mean other sets; those of before are gone.
    guard.reconcile(&[sshd()], &[ban("192.0.2.8", 600.0)]);
    attackers.must_reach("192.0.2.7", address(SSH));
    assert!(!attackers.reaches("192.0.2.8", address(SSH)));
    assert!(
        server
            .nft(&["list", "set", "inet", "f2bd", "ipv4-29/sshd"])
            .is_err()
    );
    guard.stop();
}

#[test]
fn networks_may_overlap_and_be_banned_twice() {
    let Some(Cable { server, attackers }) = Cable::new() else {
        return;
    };
    let _ssh = server.listen(22);
    let guard = Guard::of_sshd(&server);
    let set = "ipv4-networks/sshd";
    guard.change(
        &[ban("192.0.2.0/24", 100.0), ban("192.0.2.0/29", 5_000.0)],
        &[],
    );
    guard.ban("192.0.2.0/24");
    let listed = elements(&server, set);
    assert_eq!(
        listed.keys().collect::<Vec<_>>(),
        ["192.0.2.0/29", "192.0.2.8-192.0.2.255"]
    );
    assert!(listed["192.0.2.0/29"] > Some(4_900), "{listed:?}");
    assert!(
        matches!(listed["192.0.2.8-192.0.2.255"], Some(500..=600)),
        "{listed:?}"
    );
    assert!(!attackers.reaches("192.0.2.8", address(SSH)));
    guard.unban("192.0.2.0/24");
    attackers.must_reach("192.0.2.8", address(SSH));
    assert!(
        !attackers.reaches("192.0.2.7", address(SSH)),
        "the network within is still banned"
    );
    guard.unban("192.0.2.0/29");
    attackers.must_reach("192.0.2.7", address(SSH));
    // Up to the last address, and everything.
    guard.change(
        &[
            ban("255.255.255.0/24", 9.0),
            ban("0.0.0.0/0", 9.0),
            ban("::/0", 9.0),
        ],
        &[],
    );
    assert!(!attackers.reaches("192.0.2.7", address(SSH)));
    assert!(!attackers.reaches("2001:db8:0:7::7", address(SSH6)));
    guard.stop();
}

#[test]
fn an_open_connection_of_a_banned_host_stops() {
    let Some(Cable { server, attackers }) = Cable::new() else {
        return;
    };
    let ssh = server.listen(22);
    // What hosts commonly have: connections that stand are let through first.
    let usual = "table inet filter {
        chain input {
            type filter hook input priority filter; policy drop;
            ct state established,related accept
            tcp dport 22 accept
            meta l4proto ipv6-icmp accept
        }
    }";
    let usual_file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(&usual_file, usual).unwrap();
    server
        .nft(&["-f", usual_file.path().to_str().unwrap()])
        .unwrap();
    let guard = Guard::of_sshd(&server);
    let mut client = attackers.connect("192.0.2.7", address(SSH)).unwrap();
    let (mut served, _) = ssh.accept().unwrap();
    assert!(passes(&mut client, &mut served), "the connection works");
    guard.ban("192.0.2.7");
    assert!(!passes(&mut client, &mut served), "nothing gets through");
    guard.stop();
    assert!(
        server.nft(&["list", "table", "inet", "filter"]).is_ok(),
        "a foreign table is left alone"
    );
}

/// Whether a byte from the client arrives.
fn passes(client: &mut TcpStream, server: &mut TcpStream) -> bool {
    server
        .set_read_timeout(Some(Duration::from_millis(400)))
        .unwrap();
    client.write_all(b"x").unwrap();
    match failure(|| server.read(&mut [0])) {
        None => true,
        Some(kind) => {
            assert_eq!(kind, ErrorKind::WouldBlock);
            false
        }
    }
}

/// How reading failed, if it did.
fn failure(read: impl FnMut() -> std::io::Result<usize>) -> Option<ErrorKind> {
    uninterrupted(read).err().map(|error| error.kind())
}

#[test]
fn a_rejected_host_is_told_so() {
    let Some(Cable { server, attackers }) = Cable::new() else {
        return;
    };
    let _ssh = server.listen(22);
    let _dns = server.datagrams(address("192.0.2.1:53"));
    let guard = Guard::start(&server, spec(&[("verdict", "reject")]));
    let both = jail(
        "sshd",
        &["22", "53"],
        &[Protocol::Tcp, Protocol::Udp],
        SubjectWidth::DEFAULT,
    );
    let all = jail("all", &["all"], &[], SubjectWidth::DEFAULT);
    let mut of_all = ban("2001:db8:0:8::/64", 600.0);
    of_all.jail = all.jail.clone();
    let hosts = [
        ("192.0.2.7", SSH),
        ("2001:db8:0:7::7", SSH6),
        ("2001:db8:0:8::8", SSH6),
    ];
    for (from, to) in hosts {
        // Neighbours have to know each other: a ban of all ports ends that too.
        attackers.must_reach(from, address(to));
    }
    guard.reconcile(
        &[both, all],
        &[
            ban("192.0.2.7", 600.0),
            ban("2001:db8:0:7::/64", 600.0),
            of_all,
        ],
    );
    for (from, to) in hosts {
        let refused = attackers.connect(from, address(to)).unwrap_err();
        assert_eq!(refused.kind(), ErrorKind::ConnectionRefused, "{from}");
    }
    for (from, kind) in [
        ("192.0.2.7:0", ErrorKind::ConnectionRefused),
        ("192.0.2.8:0", ErrorKind::WouldBlock),
    ] {
        let client = attackers.datagrams(address(from));
        client.connect(address("192.0.2.1:53")).unwrap();
        client
            .set_read_timeout(Some(Duration::from_millis(400)))
            .unwrap();
        client.send(b"?").unwrap();
        assert_eq!(failure(|| client.recv(&mut [0])), Some(kind), "{from}");
    }
    guard.stop();
}

/// Bans end by themselves even if the daemon is dead.
#[test]
fn a_ban_ends_without_the_daemon() {
    let Some(Cable { server, attackers }) = Cable::new() else {
        return;
    };
    let _ssh = server.listen(22);
    let guard = Guard::of_sshd(&server);
    let begun = Instant::now();
    let mut forever = ban("192.0.2.9", 0.0);
    forever.until = None;
    guard.change(
        &[
            ban("192.0.2.7", 1.5),
            ban("198.51.100.0/24", 1.5),
            forever,
            ban("192.0.2.8", -1.0),
        ],
        &[],
    );
    guard.0.die();
    assert!(
        !attackers.reaches("192.0.2.7", address(SSH)),
        "the dead daemon's table protects"
    );
    // What is over is not put into effect.
    attackers.must_reach("192.0.2.8", address(SSH));
    assert_eq!(elements(&server, "ipv4/sshd").get("192.0.2.9"), Some(&None));
    until("the kernel lets the host go", || {
        attackers.reaches("192.0.2.7", address(SSH)).then_some(())
    });
    // The kernel counts in ticks of its own.
    assert!(
        begun.elapsed() >= Duration::from_millis(1_400),
        "not before its time"
    );
    until("the kernel lets the network go", || {
        members(&server, "ipv4-networks/sshd")
            .is_empty()
            .then_some(())
    });
    assert_eq!(members(&server, "ipv4/sshd"), ["192.0.2.9"]);
}

/// A ban of somebody who is banned already has its own time, also where the kernel would keep the old one.
#[test]
fn a_ban_can_be_prolonged_and_shortened() {
    let Some(server) = Netns::new() else { return };
    let guard = Guard::of_sshd(&server);
    for seconds in [100.0, 9_000.0, 100.0] {
        guard.change(&[ban("192.0.2.7", seconds)], &[]);
        let left = elements(&server, "ipv4/sshd")["192.0.2.7"].unwrap() as f64;
        assert!(
            (seconds - 30.0..=seconds).contains(&left),
            "{left} of {seconds}"
        );
    }
    guard.stop();
}

/// Says no when it is dropped, also by a test that fails: whoever works until then must end.
struct Until<'a>(&'a AtomicBool);

impl Drop for Until<'_> {
    fn drop(&mut self) {
        self.0.store(false, Ordering::Relaxed);
    }
}

#[test]
fn nothing_gets_through_while_everything_is_replaced() {
    let Some(Cable { server, attackers }) = Cable::new() else {
        return;
    };
    let (received, sent, watching) = (
        AtomicBool::new(false),
        AtomicBool::new(false),
        AtomicBool::new(true),
    );
    let inbox = server.datagrams(address("192.0.2.1:514"));
    inbox
        .set_read_timeout(Some(Duration::from_millis(100)))
        .unwrap();
    let prober = attackers.datagrams(address("192.0.2.7:0"));
    prober.connect(address("192.0.2.1:514")).unwrap();
    let arrives = |inbox: &UdpSocket| failure(|| inbox.recv(&mut [0])).is_none();

    let syslog = jail("sshd", &["514"], &[Protocol::Udp], SubjectWidth::DEFAULT);
    let mut crowd = hosts(5_000);
    crowd.push(ban("192.0.2.7", 600.0));
    let guard = Guard::start(&server, spec(&[]));
    prober.send(b"x").unwrap();
    assert!(arrives(&inbox), "who is not banned gets through");
    guard.reconcile(std::slice::from_ref(&syslog), &crowd);
    while arrives(&inbox) {}
    thread::scope(|scope| {
        let _watching = Until(&watching);
        scope.spawn(|| {
            while watching.load(Ordering::Relaxed) {
                // The kernel may be out of buffers for a moment.
                let _ = prober.send(b"x");
                sent.store(true, Ordering::Relaxed);
            }
        });
        scope.spawn(|| {
            while watching.load(Ordering::Relaxed) {
                received.fetch_or(arrives(&inbox), Ordering::Relaxed);
            }
        });
        until("the prober sends", || {
            sent.load(Ordering::Relaxed).then_some(())
        });
        for round in 0..20 {
            let other = jail(
                &format!("other{round}"),
                &["80"],
                &[Protocol::Tcp],
                SubjectWidth::DEFAULT,
            );
            guard.reconcile(&[syslog.clone(), other], &crowd);
        }
        // A new daemon after a kill takes over what the old one left.
        guard.0.die();
        let successor = Guard::start(&server, spec(&[]));
        successor.reconcile(std::slice::from_ref(&syslog), &crowd);
        assert!(
            !received.load(Ordering::Relaxed),
            "a packet of a banned host got through"
        );
        assert!(
            taken(&server) > 0,
            "the rule has taken the prober's packets"
        );
        successor.unban("192.0.2.7");
        until("who is free gets through", || {
            received.load(Ordering::Relaxed).then_some(())
        });
        successor.stop();
    });
}

#[test]
fn many_bans_come_and_go_at_once() {
    let Some(server) = Netns::new() else { return };
    let guard = Guard::of_sshd(&server);
    let crowd = hosts(2_000);
    let begun = Instant::now();
    guard.change(&crowd, &[]);
    eprintln!("2,000 bans in one change: {:?}", begun.elapsed());
    assert_eq!(members(&server, "ipv4/sshd").len(), 2_000);
    let free: Vec<_> = crowd
        .iter()
        .skip(1)
        .map(|ban| (ban.jail.clone(), ban.subject.clone()))
        .collect();
    guard.change(&[], &free);
    assert_eq!(members(&server, "ipv4/sshd"), ["10.0.0.0"]);
    // More than the watch can hear of.
    let crowd = hosts(10_000);
    guard.change(&crowd, &[]);
    assert_eq!(members(&server, "ipv4/sshd").len(), 10_000);
    // Who watches still watches.
    server
        .nft(&["flush", "set", "inet", "f2bd", "ipv4/sshd"])
        .unwrap();
    assert_eq!(guard.report(), Report::ForeignChange);
    guard.stop();
}

/// A foreign `nft flush ruleset` is noticed and repaired.
#[test]
fn foreign_changes_are_noticed_and_repaired() {
    let Some(server) = Netns::new() else { return };
    let guard = Guard::of_sshd(&server);
    let bans = [ban("192.0.2.7", 600.0)];
    guard.change(&bans, &[]);
    for change in [
        &["flush", "ruleset"][..],
        &["delete", "table", "inet", "f2bd"],
        &["flush", "chain", "inet", "f2bd", "input"],
        &["flush", "set", "inet", "f2bd", "ipv4/sshd"],
        &[
            "add",
            "element",
            "inet",
            "f2bd",
            "ipv4/sshd",
            "{ 192.0.2.66 }",
        ],
        &["add", "chain", "inet", "f2bd", "extra"],
        &["add", "set", "inet", "f2bd", "extra", "{ type ipv4_addr; }"],
    ] {
        server.nft(change).unwrap();
        assert_eq!(guard.report(), Report::ForeignChange, "{change:?}");
        guard.reconcile(&[sshd()], &bans);
        assert_eq!(members(&server, "ipv4/sshd"), ["192.0.2.7"], "{change:?}");
        let table = server.nft(&["list", "table", "inet", "f2bd"]).unwrap();
        assert_eq!(table.matches("counter").count(), 4, "{table}");
        assert!(!table.contains("extra"), "{table}");
    }
    guard.stop();
}

#[test]
fn changes_that_are_not_foreign_or_not_ours_are_not_told() {
    let Some(server) = Netns::new() else { return };
    let guard = Guard::of_sshd(&server);
    server.nft(&["add", "table", "inet", "other"]).unwrap();
    server.nft(&["add", "table", "ip", "f2bd"]).unwrap();
    server.nft(&["delete", "table", "ip", "f2bd"]).unwrap();
    guard.change(&[ban("192.0.2.7", 0.01), ban("192.0.2.8", 600.0)], &[]);
    guard.reconcile(&[sshd()], &[ban("192.0.2.8", 600.0)]);
    guard.change(&hosts(3_000), &[]);
    until("the first ban is over", || {
        (!members(&server, "ipv4/sshd").contains(&"192.0.2.7".to_owned())).then_some(())
    });
    // Stopping joins the watch, which has heard everything by then.
    assert_eq!(guard.0.stop(Ending::AsConfigured), []);
}

/// If the daemon bans before it has heard that everything is gone, it finds out then.
#[test]
fn a_change_of_what_is_gone_restores_everything() {
    let Some(server) = Netns::new() else { return };
    let guard = Guard::of_sshd(&server);
    guard.ban("192.0.2.7");
    server.nft(&["flush", "ruleset"]).unwrap();
    guard.order_change(&[ban("192.0.2.8", 600.0)], &[]);
    assert_eq!(guard.outcome_at_last(), reconciled());
    assert_eq!(members(&server, "ipv4/sshd"), ["192.0.2.7", "192.0.2.8"]);
    guard.stop();
}

#[test]
fn a_foreign_set_of_our_name_is_replaced() {
    let Some(server) = Netns::new() else { return };
    server.nft(&["add", "table", "inet", "f2bd"]).unwrap();
    server
        .nft(&[
            "add",
            "set",
            "inet",
            "f2bd",
            "ipv4/sshd",
            "{ type inet_service; }",
        ])
        .unwrap();
    server
        .nft(&[
            "add",
            "chain",
            "inet",
            "f2bd",
            "input",
            "{ type filter hook output priority 0; }",
        ])
        .unwrap();
    let guard = Guard::of_sshd(&server);
    guard.ban("192.0.2.7");
    assert_eq!(members(&server, "ipv4/sshd"), ["192.0.2.7"]);
    assert!(
        server
            .nft(&["list", "chain", "inet", "f2bd", "input"])
            .unwrap()
            .contains("hook input")
    );
    guard.stop();
}

#[test]
fn without_nft_the_old_table_protects_until_it_is_back() {
    let Some(server) = Netns::new() else { return };
    let guard = Guard::of_sshd(&server);
    guard.ban("192.0.2.7");
    guard.0.die();

    let place = tempfile::tempdir().unwrap();
    let program = place.path().join("nft");
    let spec = spec(&[("nft", program.to_str().unwrap())]);
    let missing = check(&spec).unwrap_err();
    assert!(
        matches!(missing, ActionError::NoProgram { .. }),
        "{missing}"
    );
    let guard = Guard::start(&server, spec);
    guard.order_reconcile(&[sshd()], &[ban("192.0.2.8", 600.0)]);
    assert_eq!(
        guard.outcome(),
        Outcome::Broken {
            action: "nftables".parse().unwrap()
        }
    );
    assert_eq!(
        members(&server, "ipv4/sshd"),
        ["192.0.2.7"],
        "the old table stays"
    );
    // What is decided meanwhile goes into the sets that are there, and is not lost.
    let late = ban("192.0.2.9", 600.0);
    let id = late.ban;
    guard.order_change(
        &[late],
        &[("sshd".parse().unwrap(), "192.0.2.8".parse().unwrap())],
    );
    assert_eq!(guard.outcome(), applied(vec![id]));
    assert_eq!(members(&server, "ipv4/sshd"), ["192.0.2.7", "192.0.2.9"]);
    std::os::unix::fs::symlink(installed_nft(), &program).unwrap();
    assert_eq!(
        guard.outcome(),
        reconciled(),
        "broken is said once, recovery once"
    );
    assert_eq!(members(&server, "ipv4/sshd"), ["192.0.2.9"]);
    guard.ban("192.0.2.10");
    guard.stop();
}

fn installed_nft() -> std::path::PathBuf {
    let path = std::env::var_os("PATH").unwrap();
    std::env::split_paths(&path)
        .map(|place| place.join("nft"))
        .find(|nft| Path::exists(nft))
        .unwrap()
}

#[test]
fn the_table_goes_or_stays_as_it_is_told() {
    let Some(server) = Netns::new() else { return };
    server.nft(&["add", "table", "inet", "other"]).unwrap();
    let table_is_there = || server.nft(&["list", "table", "inet", "f2bd"]).is_ok();
    for (on_stop, stays) in [("keep", true), ("remove", false)] {
        let guard = Guard::start(&server, spec(&[("on_stop", on_stop)]));
        guard.reconcile(&[sshd()], &[ban("192.0.2.7", 600.0)]);
        assert!(table_is_there());
        guard.stop();
        assert_eq!(table_is_there(), stays, "{on_stop}");
    }
    // Stopping without a table is no trouble either.
    Guard::start(&server, spec(&[("on_stop", "remove")])).stop();
    assert!(server.nft(&["list", "table", "inet", "other"]).is_ok());
}

#[test]
fn what_is_missing_is_said_before_the_start() {
    let Some(server) = Netns::new() else { return };
    assert_eq!(server.inside(|| check(&spec(&[]))), Ok(()));
    let refused = server.inside(|| {
        let have = capabilities(None).unwrap();
        let without = have.effective - CapabilitySet::NET_ADMIN;
        set_capabilities(
            None,
            CapabilitySets {
                effective: without,
                ..have
            },
        )
        .unwrap();
        check(&spec(&[]))
    });
    assert_eq!(
        refused,
        Err(ActionError::NotPermitted {
            action: "nftables".parse().unwrap()
        })
    );
    let refused = check(&spec(&[("nft", "no-such-nft")])).unwrap_err();
    assert!(refused.to_string().contains("no-such-nft"), "{refused}");
}

/// The shipped unit runs the daemon as a user of its own with CAP_NET_ADMIN only.
#[test]
fn one_capability_is_enough() {
    let Some(server) = Netns::new() else { return };
    let guard = Guard(guard::Guard::start_as(
        &server,
        spec(&[("on_stop", "remove")]),
        || {
            let (nobody, nogroup) = (Uid::from_raw(65_534), Gid::from_raw(65_534));
            let own = CapabilitySet::NET_ADMIN;
            set_thread_groups(&[]).unwrap();
            set_thread_res_gid(nogroup, nogroup, nogroup).unwrap();
            set_keep_capabilities(true).unwrap();
            set_thread_res_uid(nobody, nobody, nobody).unwrap();
            set_capabilities(
                None,
                CapabilitySets {
                    effective: own,
                    permitted: own,
                    inheritable: own,
                },
            )
            .unwrap();
            configure_capability_in_ambient_set(own, true).unwrap();
            assert_eq!(check(&spec(&[])), Ok(()));
        },
    ));
    guard.reconcile(&[sshd()], &hosts(20_000));
    guard.ban("192.0.2.7");
    assert_eq!(members(&server, "ipv4/sshd").len(), 20_001);
    server.nft(&["flush", "ruleset"]).unwrap();
    assert_eq!(guard.report(), Report::ForeignChange);
    guard.reconcile(&[sshd()], &[ban("192.0.2.7", 600.0)]);
    guard.stop();
    assert_eq!(server.nft(&["list", "ruleset"]).unwrap(), "");
}

/// There is no moment in which a foreign flush goes unnoticed, not even while everything is being replaced.
#[test]
fn a_flush_at_any_moment_is_repaired() {
    let Some(server) = Netns::new() else { return };
    let guard = Guard::of_sshd(&server);
    let crowd = hosts(500);
    guard.reconcile(&[sshd()], &crowd);
    let flushing = AtomicBool::new(true);
    thread::scope(|scope| {
        scope.spawn(|| {
            for _ in 0..60 {
                server.nft(&["flush", "ruleset"]).unwrap();
            }
            flushing.store(false, Ordering::Relaxed);
        });
        // What the daemon does: whenever it hears of a foreign change, it has everything replaced.
        until("everything is there in the end", || {
            for report in guard.reports.try_iter() {
                if report == Report::ForeignChange {
                    guard.order_reconcile(&[sshd()], &crowd);
                }
            }
            let quiet = !flushing.load(Ordering::Relaxed);
            let listed = server
                .nft(&["list", "table", "inet", "f2bd"])
                .unwrap_or_default();
            (quiet
                && listed.matches("timeout ").count() == 500
                && listed.matches("counter").count() == 4)
                .then_some(())
        });
    });
    guard.stop();
}

/// The moment between the last of our changes and the beginning of the watch.
#[test]
fn a_flush_right_after_the_rules_is_repaired() {
    let Some(server) = Netns::new() else { return };
    let place = tempfile::tempdir().unwrap();
    let program = place.path().join("nft");
    std::fs::write(place.path().join("nft.once"), "").unwrap();
    let script = "#!/bin/sh
text=$(cat)
printf '%s\\n' \"$text\" | nft -f - || exit
case $text in *'add rule'*) [ ! -e \"$0.once\" ] || { rm \"$0.once\"; nft flush ruleset; } ;; esac
";
    std::fs::write(&program, script).unwrap();
    std::fs::set_permissions(&program, Permissions::from_mode(0o755)).unwrap();
    let guard = Guard::start(&server, spec(&[("nft", program.to_str().unwrap())]));
    guard.reconcile(&[sshd()], &[ban("192.0.2.7", 600.0)]);
    assert!(
        !place.path().join("nft.once").exists(),
        "it was flushed once"
    );
    assert_eq!(members(&server, "ipv4/sshd"), ["192.0.2.7"]);
    guard.stop();
}

#[test]
fn a_hundred_thousand_bans_are_restored_while_new_ones_stay_fast() {
    let Some(server) = Netns::new() else { return };
    let guard = Guard::of_sshd(&server);
    let crowd = hosts(100_000);
    let timed = |work: &dyn Fn()| {
        let begun = Instant::now();
        work();
        begun.elapsed()
    };
    let filled = timed(&|| guard.reconcile(&[sshd()], &crowd));
    let replaced = timed(&|| guard.reconcile(&[sshd()], &crowd));
    let mut single: Vec<Duration> = (0..200)
        .map(|host| timed(&|| guard.ban(&format!("192.0.2.{host}"))))
        .collect();
    single.sort_unstable();
    eprintln!(
        "100,000 bans into an empty table {filled:?}, over 100,000 {replaced:?}; one more ban, order to report, \
         median {:?}, 99th {:?}",
        single[100], single[198]
    );
    let listed = server
        .nft(&["list", "set", "inet", "f2bd", "ipv4/sshd"])
        .unwrap();
    assert_eq!(listed.matches("timeout ").count(), 100_200);
    guard.stop();
}
