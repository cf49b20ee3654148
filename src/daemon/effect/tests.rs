//! Facts about causes: what is seen of a machine, and which one is told.

use super::*;
use crate::action::ports::Services;

const A: &str = "192.0.2.7";

fn ports(word: &str) -> Ports {
    Ports::parse(&[word], &Services::well_known()).expect("ports")
}

fn reach(word: &str) -> Reach {
    Reach {
        ports: ports(word),
        protocols: vec![Protocol::Tcp],
        forwarded: false,
        broken: None,
        outranked: None,
    }
}

fn machine(listening: &[u16], connected: &[(&str, u16)]) -> Machine {
    Machine {
        sockets: Sockets::of(
            listening.iter().map(|port| (Protocol::Tcp, *port)),
            connected.iter().map(|(peer, port)| {
                let peer = peer.parse().expect("an address");
                (peer, Protocol::Tcp, *port)
            }),
        ),
        ..Machine::default()
    }
}

fn cause(subject: &str, reach: &Reach, machine: &Machine) -> Cause {
    find(subject.parse().expect("an address"), reach, machine)
}

#[test]
fn what_is_seen_goes_before_what_is_usual() {
    let mut reach = reach("ssh");
    let mut seen = machine(&[22, 443, 2222], &[(A, 2222), ("192.0.2.8", 443)]);
    assert_eq!(cause(A, &reach, &seen), Cause::Connected(vec![2222]));
    assert_eq!(
        cause("192.0.2.9", &reach, &seen),
        Cause::OtherPorts(vec![443, 2222])
    );
    assert_eq!(cause("10.1.2.3", &reach, &seen), Cause::Private);
    assert_eq!(cause("fd00::7", &reach, &seen), Cause::Private);
    seen.forwards = true;
    assert_eq!(
        cause("192.0.2.9", &reach, &seen),
        Cause::OtherPorts(vec![443, 2222]),
        "what is shut is served here"
    );
    reach.broken = Some("nftables".parse().expect("a name"));
    assert!(matches!(cause(A, &reach, &seen), Cause::Broken(_)));
}

#[test]
fn what_is_served_elsewhere_is_passed_on() {
    let mut reach = reach("https");
    let mut seen = machine(&[22], &[]);
    assert_eq!(cause(A, &reach, &seen), Cause::OtherPorts(vec![22]));
    seen.forwards = true;
    assert_eq!(cause(A, &reach, &seen), Cause::Forwarded(None));
    seen.bridge = Some("docker0".to_owned());
    let through = Cause::Forwarded(Some("docker0".to_owned()));
    assert_eq!(cause(A, &reach, &seen), through);
    reach.ports = Ports::All;
    assert_eq!(cause(A, &reach, &seen), through);
    reach.forwarded = true;
    assert_eq!(cause(A, &reach, &seen), Cause::Proxy, "these are shut too");
}

#[test]
fn where_all_is_shut_somebody_speaks_for_others() {
    let seen = machine(&[80], &[("192.0.2.7", 80)]);
    assert_eq!(cause(A, &reach("http"), &seen), Cause::Proxy);
    assert_eq!(cause(A, &reach("all"), &seen), Cause::Proxy);
}

#[test]
fn rules_among_those_of_others_may_be_too_low() {
    let ipset: ActionName = "ipset".parse().expect("a name");
    let mut reach = reach("http");
    reach.outranked = Some(ipset.clone());
    assert_eq!(
        cause(A, &reach, &machine(&[80], &[])),
        Cause::Outranked(ipset)
    );
    // Nobody here is asked.
    assert_eq!(cause(A, &reach, &machine(&[], &[])), Cause::Proxy);
    assert_eq!(
        cause(A, &reach, &machine(&[80, 81], &[])),
        Cause::OtherPorts(vec![81])
    );
}

#[test]
fn an_action_may_shut_more_than_its_jail() {
    let home = tempfile::tempdir().expect("a directory");
    let path = home.path().join("f2bd.conf");
    let text = "[jail.sshd]\nactions = [\"nftables\", \"all\", \"ipset\"]\n\
        [action.all]\nuse = \"nftables\"\ntable = \"f2bd_all\"\nports = \"all\"\n";
    std::fs::write(&path, text).expect("a file");
    let loaded = crate::config::load(Some(&path), crate::config::Surroundings::Ignore);
    let actions = loaded.settings.expect("it is sound").actions;
    let jail = &actions[0].1[0];
    let reached = |names: &[&str], works: bool| {
        let own = actions
            .iter()
            .filter(|(spec, _)| names.contains(&spec.name.as_str()));
        Reach::of(jail, own.map(|(spec, _)| (spec, works)))
    };
    assert_eq!(reached(&["nftables"], true), reach("ssh"));
    assert_eq!(
        reached(&["ipset", "nftables"], true),
        reach("ssh"),
        "what a chain of nftables drops stays out"
    );
    assert_eq!(reached(&["nftables", "all"], true), reach("all"));
    let ipset = reached(&["ipset"], true).outranked;
    assert_eq!(ipset, Some("ipset".parse().expect("a name")));
    let broken = reached(&["all"], false).broken;
    assert_eq!(broken, Some("all".parse().expect("a name")));
}

#[test]
fn a_sentence_names_few_ports() {
    let many: Vec<u16> = (1..=20).collect();
    assert_eq!(listed(&many), "1, 2, 3, 4, 5, 6, 7, 8 and others");
    assert_eq!(
        Cause::Connected(vec![2222]).to_string(),
        "it is connected to port 2222, which the jail does not shut; write it into `port` if the service listens there"
    );
}
