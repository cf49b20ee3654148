//! Facts about hostile networks.

use std::collections::BTreeMap;

use super::*;
use crate::engine::decision::Origin;
use crate::engine::jail::escalation::{Escalation, Growth, Jitter, Scope};

fn number(number: u32) -> NonZeroU32 {
    NonZeroU32::new(number).expect("not zero")
}

fn rule(ipv4: u8, hosts: u32, maxretry: u32) -> NetworkRule {
    NetworkRule {
        width: NetworkWidth::Ipv4(ipv4),
        hosts: number(hosts),
        maxretry: MaxRetry(number(maxretry)),
        findtime: FindTime(600 * SECOND),
    }
}

fn guarded(maxretry: u32, ignore: &[&str], networks: Vec<NetworkRule>) -> Engine {
    let mut policy = policy(maxretry, 600, ten_minutes(), ignore);
    policy.jails[0].networks = networks;
    Engine::new(policy)
}

/// One failure a second, by each of these in turn.
fn by(hosts: &[&'static str]) -> Vec<(i64, &'static str)> {
    (1..).zip(hosts.iter().copied()).collect()
}

#[test]
fn a_network_is_banned_when_enough_of_its_hosts_fail_often_enough() {
    let mut engine = guarded(5, &[], vec![rule(24, 3, 6)]);
    let hosts = ["192.0.2.1", "192.0.2.2", "192.0.2.3"];
    let lines = by(&[hosts, hosts, hosts].concat());
    let out = hear(&mut engine, 100, &lines);
    assert_eq!(short(&out), ["+192.0.2.0/24 @6 #1"]);
    let ban = out.iter().find_map(|decision| match decision {
        Decision::Ban(ban) => Some((ban.origin, ban.evidence.len())),
        _ => None,
    });
    assert_eq!(ban, Some((Origin::Network, 6)));
    let counted =
        |decision: &Decision| matches!(decision, Decision::Count(failure) if failure.counted);
    assert_eq!(out.iter().filter(|decision| counted(decision)).count(), 6);
    assert_eq!(
        short(&hear(&mut engine, 607, &[(607, "198.51.100.1")])),
        ["-192.0.2.0/24 @606 Expired"]
    );
}

#[test]
fn each_family_has_rules_of_its_own() {
    let wide = NetworkRule {
        width: NetworkWidth::Ipv6(48),
        ..rule(24, 2, 3)
    };
    let mut engine = guarded(9, &[], vec![rule(24, 2, 2), wide]);
    let hosts = ["192.0.2.1", "2001:db8::1", "2001:db8:0:1::1", "2001:db8::1"];
    let out = hear(&mut engine, 4, &by(&hosts));
    assert_eq!(short(&out), ["+2001:db8::/48 @4 #1"]);
}

#[test]
fn few_hosts_are_no_network_however_often_they_fail() {
    let mut engine = guarded(100, &[], vec![rule(24, 3, 6)]);
    let out = hear(
        &mut engine,
        100,
        &by(&["192.0.2.1", "192.0.2.2"].repeat(10)),
    );
    assert_eq!(short(&out), [""; 0]);
    // Six failures of three hosts, but not the last six.
    let out = hear(&mut engine, 100, &[(30, "192.0.2.3")]);
    assert_eq!(short(&out), ["+192.0.2.0/24 @30 #1"]);
}

#[test]
fn bans_of_hosts_are_merged_unless_they_last_longer() {
    let mut engine = guarded(2, &[], vec![rule(24, 3, 5)]);
    let jail: JailName = "test".parse().expect("a name");
    for (host, bantime) in [("192.0.2.8", None), ("192.0.2.9", Some(BanTime::Forever))] {
        let ban = Input::Ban {
            jail: jail.clone(),
            subject: host.parse().expect("a prefix"),
            bantime,
            reason: None,
        };
        engine.handle(at(0), ban, &mut Vec::new());
    }
    let hosts = [
        "192.0.2.1",
        "192.0.2.1",
        "192.0.2.2",
        "192.0.2.2",
        "192.0.2.3",
    ];
    let out = hear(&mut engine, 100, &by(&hosts));
    assert_eq!(
        short(&out),
        [
            "+192.0.2.1 @2 #1",
            "+192.0.2.2 @4 #1",
            "+192.0.2.0/24 @5 #1",
            "-192.0.2.1 @5 Merged",
            "-192.0.2.2 @5 Merged",
        ]
    );
    // Those by hand are nobody else's to lift.
    assert_eq!(engine.ledger().len(), 3);
}

fn unban(subject: &str) -> Input<'static> {
    Input::Unban {
        jail: None,
        subject: Some(subject.parse().expect("a prefix")),
        forget: false,
        reason: None,
    }
}

/// Three hosts, each banned, in a network that is banned then.
fn merged() -> (Engine, Vec<Decision>) {
    let mut engine = guarded(2, &[], vec![rule(24, 3, 7)]);
    let out = hear(&mut engine, 7, &by(&[&TWICE[..], &["192.0.2.4"]].concat()));
    (engine, out)
}

const TWICE: [&str; 6] = [
    "192.0.2.1",
    "192.0.2.1",
    "192.0.2.2",
    "192.0.2.2",
    "192.0.2.3",
    "192.0.2.3",
];

#[test]
fn whoever_is_freed_of_a_network_frees_no_other_host_that_was_banned_by_itself() {
    let (mut engine, out) = merged();
    assert!(short(&out).contains(&"-192.0.2.3 @7 Merged".to_owned()));
    let mut restarted = guarded(2, &[], vec![rule(24, 3, 7)]);
    restarted.handle(at(8), Input::Restore(remembered(&out)), &mut Vec::new());
    for engine in [&mut engine, &mut restarted] {
        let mut out = Vec::new();
        engine.handle(at(603), unban("192.0.2.3"), &mut out);
        assert_eq!(
            short(&out),
            ["-192.0.2.0/24 @603 Manual", "*192.0.2.2 @603"],
            "the ban of the first one is over, that of the third one is lifted"
        );
        out.clear();
        engine.handle(at(604), Input::Tick, &mut out);
        assert_eq!(short(&out), ["-192.0.2.2 @604 Expired"]);
    }
}

#[test]
fn an_address_that_is_ignored_from_now_on_frees_nobody_else() {
    let (mut engine, _) = merged();
    let mut out = Vec::new();
    let new = policy(2, 600, ten_minutes(), &["192.0.2.1", "192.0.2.77"]);
    engine.handle(at(10), Input::Policy(Box::new(new)), &mut out);
    assert_eq!(
        short(&out),
        [
            "-192.0.2.0/24 @10 Ignored",
            "*192.0.2.2 @10",
            "*192.0.2.3 @10"
        ]
    );
}

#[test]
fn a_shorter_ban_by_hand_of_a_network_frees_nobody_early() {
    let (mut engine, _) = merged();
    let by_hand = |subject: &str| Input::Ban {
        jail: "test".parse().expect("a name"),
        subject: subject.parse().expect("a prefix"),
        bantime: Some(BanTime::For(SECOND)),
        reason: None,
    };
    let mut out = Vec::new();
    // What the administrator says of a host that was merged takes the place of its ban, as it would have otherwise.
    engine.handle(at(9), by_hand("192.0.2.2"), &mut out);
    assert_eq!(short(&out), ["+192.0.2.2 @9 #1"]);
    out.clear();
    engine.handle(at(10), by_hand("192.0.2.0/24"), &mut out);
    engine.handle(at(11), Input::Tick, &mut out);
    assert_eq!(
        short(&out),
        [
            "-192.0.2.2 @10 Expired",
            "-192.0.2.0/24 @10 Replaced",
            "+192.0.2.0/24 @10 #1",
            "*192.0.2.1 @10",
            "*192.0.2.3 @10",
            "-192.0.2.0/24 @11 Expired",
        ]
    );
}

#[test]
fn a_network_that_was_merged_goes_on_with_all_that_was_merged_into_it() {
    let new = || guarded(2, &[], vec![rule(24, 2, 4), rule(16, 3, 6)]);
    let mut engine = new();
    let others = ["192.0.3.1", "192.0.4.1", "192.0.5.1"];
    let mut out = hear(
        &mut engine,
        20,
        &by(&[&TWICE[..4], &others, &others].concat()),
    );
    assert_eq!(
        short(&out),
        [
            "+192.0.2.1 @2 #1",
            "+192.0.2.0/24 @4 #1",
            "-192.0.2.1 @4 Merged",
            "+192.0.3.1 @8 #1",
            "+192.0.4.1 @9 #1",
            "+192.0.0.0/16 @10 #1",
            "-192.0.2.0/24 @10 Merged",
            "-192.0.3.1 @10 Merged",
            "-192.0.4.1 @10 Merged",
        ],
    );
    let mut restarted = new();
    restarted.handle(at(21), Input::Restore(remembered(&out)), &mut Vec::new());
    for engine in [&mut engine, &mut restarted] {
        out.clear();
        engine.handle(at(30), unban("192.0.4.1"), &mut out);
        engine.handle(at(31), unban("192.0.2.77"), &mut out);
        assert_eq!(
            short(&out),
            [
                "-192.0.0.0/16 @30 Manual",
                "*192.0.2.0/24 @30",
                "*192.0.3.1 @30",
                "-192.0.2.0/24 @31 Manual",
                "*192.0.2.1 @31",
            ],
        );
    }
}

#[test]
fn a_ban_that_was_lifted_with_its_network_does_not_come_back_with_the_next_one() {
    let new = || guarded(2, &[], vec![rule(24, 3, 7)]);
    let (mut engine, mut out) = merged();
    engine.handle(at(10), unban("192.0.2.1"), &mut out);
    let again = TWICE.map(|host| host.replace("0.2.", "0.2.1"));
    let again = again.iter().map(String::as_str).chain(["192.0.2.4"]);
    let again: Vec<_> = (20..).zip(again).collect();
    out.extend(hear(&mut engine, 30, &again));
    let mut restarted = new();
    restarted.handle(at(31), Input::Restore(remembered(&out)), &mut Vec::new());
    for engine in [&mut engine, &mut restarted] {
        let mut out = Vec::new();
        engine.handle(at(40), unban("192.0.2.13"), &mut out);
        let told = short(&out);
        assert_eq!(told[0], "-192.0.2.0/24 @40 Manual");
        assert!(!told.contains(&"*192.0.2.1 @40".to_owned()), "{told:?}");
        assert!(told.contains(&"*192.0.2.2 @40".to_owned()), "{told:?}");
    }
}

/// A second ban is a hundred times as long as the first.
fn hard_on_offenders(maxretry: u32) -> Engine {
    let mut policy = policy(maxretry, 600, ten_minutes(), &[]);
    policy.jails[0].networks = vec![rule(24, 3, 4)];
    policy.jails[0].escalation = Some(Escalation {
        growth: Growth::Multipliers([1.0, 100.0].into()),
        max: None,
        jitter: Jitter::Share(0.0),
        memory: None,
        scope: Scope::Jail,
    });
    Engine::new(policy)
}

#[test]
fn a_longer_ban_of_a_host_stays_beside_that_of_its_network() {
    let mut engine = hard_on_offenders(1);
    let lines = [
        (0, "192.0.2.1"),
        (600, "192.0.2.1"),
        (600, "192.0.2.2"),
        (600, "192.0.2.3"),
    ];
    let out = hear(&mut engine, 600, &lines);
    assert_eq!(
        short(&out),
        [
            "+192.0.2.1 @0 #1",
            "-192.0.2.1 @600 Expired",
            "+192.0.2.1 @600 #2",
            "+192.0.2.2 @600 #1",
            "+192.0.2.0/24 @600 #1",
            "-192.0.2.2 @600 Merged",
        ]
    );
}

#[test]
fn the_luck_of_jitter_keeps_no_ban_beside_that_of_the_network() {
    for network in 0..20 {
        let mut policy = policy(1, 600, ten_minutes(), &[]);
        policy.jails[0].networks = vec![rule(24, 3, 3)];
        policy.jails[0].escalation = Some(Escalation {
            growth: Growth::Factor(2.0),
            max: None,
            jitter: Jitter::Share(1.0),
            memory: None,
            scope: Scope::Jail,
        });
        let mut engine = Engine::new(policy);
        let hosts = [1, 2, 3].map(|host| format!("192.0.{network}.{host}"));
        let lines: Vec<_> = hosts.iter().map(|host| (1, host.as_str())).collect();
        hear(&mut engine, 1, &lines);
        let standing: Vec<_> = engine.ledger().iter().collect();
        assert_eq!(standing.len(), 1, "{standing:?}");
    }
}

#[test]
fn a_network_that_was_banned_by_hand_begins_afresh_with_and_without_a_restart() {
    let new = || guarded(9, &[], vec![rule(24, 2, 4)]);
    let mut engine = new();
    let mut out = hear(
        &mut engine,
        10,
        &by(&["192.0.2.1", "192.0.2.2", "192.0.2.1"]),
    );
    let ban = Input::Ban {
        jail: "test".parse().expect("a name"),
        subject: "192.0.2.0/24".parse().expect("a prefix"),
        bantime: Some(BanTime::For(5 * SECOND)),
        reason: None,
    };
    engine.handle(at(10), ban, &mut out);
    let mut restarted = new();
    restarted.handle(at(11), Input::Restore(remembered(&out)), &mut Vec::new());
    for engine in [&mut engine, &mut restarted] {
        let out = hear(engine, 20, &[(20, "192.0.2.2")]);
        assert_eq!(short(&out), ["-192.0.2.0/24 @15 Expired"]);
    }
}

#[test]
fn an_old_offender_is_not_let_off_with_the_first_ban_of_his_network() {
    let mut engine = hard_on_offenders(2);
    let lines = [
        (0, "192.0.2.1"),
        (0, "192.0.2.1"),
        (2_000, "192.0.2.1"),
        (2_000, "192.0.2.2"),
        (2_000, "192.0.2.3"),
        (2_000, "192.0.2.1"),
    ];
    let out = hear(&mut engine, 2_000, &lines);
    assert_eq!(
        short(&out),
        [
            "+192.0.2.1 @0 #1",
            "-192.0.2.1 @600 Expired",
            "+192.0.2.1 @2000 #2",
            "+192.0.2.0/24 @2000 #1",
        ]
    );
}

#[test]
fn what_a_network_has_paid_for_counts_no_more_after_a_restart() {
    let new = || {
        let mut policy = policy(3, 600, BanTime::For(60 * SECOND), &[]);
        policy.jails[0].networks = vec![rule(24, 4, 4)];
        Engine::new(policy)
    };
    // The first two failures are not among the last four.
    let hosts = [
        "192.0.2.1",
        "192.0.2.2",
        "192.0.2.2",
        "192.0.2.3",
        "192.0.2.4",
        "192.0.2.5",
    ];
    let out = hear(&mut new(), 50, &by(&hosts));
    assert_eq!(short(&out), ["+192.0.2.0/24 @6 #1"]);
    let mut engine = new();
    engine.handle(at(50), Input::Restore(remembered(&out)), &mut Vec::new());
    let again = [(100, "192.0.2.1"), (101, "192.0.2.1")];
    assert_eq!(
        short(&hear(&mut engine, 200, &again)),
        ["-192.0.2.0/24 @66 Expired"]
    );
}

#[test]
fn the_narrowest_network_that_explains_it_is_banned() {
    let rules = || vec![rule(24, 2, 4), rule(16, 4, 8)];
    let mut engine = guarded(9, &[], rules());
    let scattered: Vec<_> = (1..=8).map(|net| (net, format!("192.0.{net}.1"))).collect();
    let scattered: Vec<_> = scattered
        .iter()
        .map(|(at, ip)| (*at, ip.as_str()))
        .collect();
    assert_eq!(
        short(&hear(&mut engine, 100, &scattered)),
        ["+192.0.0.0/16 @8 #1"]
    );
    let mut engine = guarded(9, &[], rules());
    let hosts = ["192.0.1.1", "192.0.1.2", "192.0.1.3", "192.0.1.4"];
    let again = ["192.0.2.1", "192.0.2.2", "192.0.2.3", "192.0.2.4"];
    let out = hear(&mut engine, 100, &by(&[hosts, again].concat()));
    assert_eq!(short(&out), ["+192.0.1.0/24 @4 #1", "+192.0.2.0/24 @8 #1"]);
}

#[test]
fn a_network_with_an_ignored_address_is_never_banned() {
    let mut engine = guarded(3, &["192.0.2.200"], vec![rule(24, 2, 4), rule(16, 2, 4)]);
    let hosts = ["192.0.2.1", "192.0.2.2", "192.0.2.3"];
    let out = hear(&mut engine, 100, &by(&[hosts, hosts, hosts].concat()));
    assert_eq!(
        short(&out),
        ["+192.0.2.1 @7 #1", "+192.0.2.2 @8 #1", "+192.0.2.3 @9 #1"]
    );
}

/// With each failure held against each banned network, and each that is over sought among all, it took minutes.
#[test]
fn many_banned_networks_hold_nobody_up() {
    let mut engine = guarded(9, &[], Vec::new());
    for place in 0..50_000 {
        let ban = Input::Ban {
            jail: "test".parse().expect("a name"),
            subject: Prefix::network(std::net::Ipv4Addr::from_bits(place << 8).into(), 24).into(),
            bantime: None,
            reason: None,
        };
        engine.handle(at(0), ban, &mut Vec::new());
    }
    let start = std::time::Instant::now();
    let lines = [(1, "192.0.2.1"), (1, "0.7.7.7")].repeat(1_000);
    let out = hear(&mut engine, 1, &lines);
    let counted =
        |decision: &&Decision| matches!(decision, Decision::Count(failure) if failure.counted);
    assert_eq!(out.iter().filter(counted).count(), 9);
    let mut out = Vec::new();
    engine.handle(at(600), Input::Tick, &mut out);
    assert_eq!(out.len(), 50_000);
    assert!(start.elapsed() < Duration::from_secs(20));
}

#[test]
fn explain_tells_of_the_network() {
    let mut engine = guarded(5, &[], vec![rule(24, 3, 6)]);
    hear(
        &mut engine,
        3,
        &by(&["192.0.2.1", "192.0.2.1", "192.0.2.2"]),
    );
    let verdicts = engine.explain(at(3), &"192.0.2.2".parse().expect("a prefix"));
    let gathering = verdicts.iter().find_map(|verdict| match &verdict.place {
        Place::Gathering {
            network,
            hosts,
            failures,
            ..
        } => Some((network.plain(), *hosts, *failures)),
        _ => None,
    });
    assert_eq!(gathering, Some(("192.0.2.0/24".to_owned(), 2, 3)));
    // Somebody else in it is told that he is free, and of the network behind that.
    let verdicts = engine.explain(at(3), &"192.0.2.9".parse().expect("a prefix"));
    let places: Vec<_> = verdicts.iter().map(|verdict| &verdict.place).collect();
    assert!(
        matches!(places[..], [Place::Clear, Place::Gathering { .. }]),
        "{places:?}"
    );
    let verdicts = engine.explain(at(3), &"192.0.2.0/24".parse().expect("a prefix"));
    let is_clear = |verdict: &Verdict| verdict.place == Place::Clear;
    assert!(!verdicts.iter().any(is_clear), "{verdicts:?}");
}

/// What attackers of a few networks do, one after the other: how many seconds later, which network, which host.
type Attack = Vec<(i64, u8, u8)>;

fn attack() -> impl Strategy<Value = Attack> {
    proptest::collection::vec((0_i64..90, 0_u8..4, 0_u8..4), 1..120)
}

fn lines(attack: &Attack) -> Vec<(i64, String)> {
    let mut time = 0;
    let line = |(step, network, host): &(i64, u8, u8)| {
        time += step;
        (time, format!("192.0.{network}.{host}"))
    };
    attack.iter().map(line).collect()
}

const IGNORED: &str = "192.0.1.3";

/// Hosts, two widths of networks, and bans that grow longer. The first ones are over while the failures before them still
/// lie within findtime.
fn everything() -> Policy {
    let mut policy = policy(3, 600, BanTime::For(60 * SECOND), &[IGNORED]);
    policy.jails[0].networks = vec![rule(24, 2, 4), rule(22, 5, 8)];
    policy.jails[0].escalation = Some(Escalation {
        growth: Growth::Factor(2.0),
        max: None,
        jitter: Jitter::Share(0.1),
        memory: Some(9_000 * SECOND),
        scope: Scope::Jail,
    });
    policy
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1_000))]

    /// Whatever the order of events: an ignored address is in no ban, and nobody is free before the end of his ban.
    #[test]
    fn the_ignored_are_never_banned_and_the_banned_not_freed_early(attack in attack()) {
        let lines = lines(&attack);
        let lines: Vec<_> = lines.iter().map(|(time, ip)| (*time, ip.as_str())).collect();
        let ignored: Subject = IGNORED.parse().expect("an address");
        let mut standing: BTreeMap<Subject, Option<Timestamp>> = BTreeMap::new();
        let end = |until: Option<Timestamp>| until.map_or(i64::MAX, Timestamp::as_micros);
        let out = hear(&mut Engine::new(everything()), 1_000_000, &lines);
        for decision in &out {
            match decision {
                Decision::Ban(ban) => {
                    prop_assert!(!ban.subject.overlaps(&ignored), "{ban:?}");
                    standing.insert(ban.subject.clone(), ban.until());
                }
                Decision::Unban(unban) => {
                    let until = standing.remove(&unban.subject).expect("it stood");
                    let is_over = end(until) <= unban.time.as_micros();
                    let is_held = standing.iter().any(|(other, its)| {
                        other.holds(&unban.subject) && end(*its) >= end(until)
                    });
                    prop_assert!(is_over || is_held, "{unban:?}");
                }
                _ => {}
            }
        }
    }

    /// Whatever the administrator lifts, replaces or ignores: nobody else is free before the end of his ban.
    #[test]
    fn merging_frees_nobody_early(
        steps in proptest::collection::vec((0_i64..8, 0_u8..4, 0_u8..4, 0_u8..40), 1..120),
        cut in any::<prop::sample::Index>(),
    ) {
        let (mut engine, mut time) = (Engine::new(everything()), 0);
        let mut ignored = vec![IGNORED.to_owned()];
        let mut all = Vec::new();
        // Until when each subject has to be kept out.
        let mut owed: BTreeMap<Subject, Option<Timestamp>> = BTreeMap::new();
        let end = |until: Option<Timestamp>| until.map_or(i64::MAX, Timestamp::as_micros);
        let cut = cut.index(steps.len());
        for (number, (step, network, host, what)) in steps.into_iter().enumerate() {
            time += step;
            let host = format!("192.0.{network}.{host}");
            let subject: Subject = match what {
                3 => format!("192.0.{network}.0/24"),
                _ => host.clone(),
            }.parse().expect("a prefix");
            let first = all.len();
            match what {
                0 | 3 => {
                    owed.retain(|other, _| !other.overlaps(&subject));
                    engine.handle(at(time), unban(&subject.plain()), &mut all);
                }
                1 => {
                    owed.retain(|other, _| !other.overlaps(&subject));
                    ignored.push(host);
                    let ignored: Vec<_> = ignored.iter().map(String::as_str).collect();
                    let new = Policy {
                        jails: vec![JailPolicy {
                            ignore: policy(1, 1, ten_minutes(), &ignored).jails[0].ignore.clone(),
                            ..everything().jails[0].clone()
                        }],
                        ..everything()
                    };
                    engine.handle(at(time), Input::Policy(Box::new(new)), &mut all);
                }
                2 => {
                    let ban = Input::Ban {
                        jail: "test".parse().expect("a name"),
                        subject,
                        bantime: Some(BanTime::For(5 * SECOND)), reason: None, };
                    engine.handle(at(time), ban, &mut all);
                }
                _ => all.extend(hear(&mut engine, time, &[(time, &host)])),
            }
            for decision in &all[first..] {
                if let Decision::Ban(ban) = decision {
                    owed.insert(ban.subject.clone(), ban.until());
                }
            }
            if number == cut {
                let mut remembered = remembered(&all);
                remembered.next_failure = Some(engine.next_failure);
                remembered.next_ban = Some(engine.next_ban);
                let ignored: Vec<_> = ignored.iter().map(String::as_str).collect();
                let mut jail = everything().jails[0].clone();
                jail.ignore = policy(1, 1, ten_minutes(), &ignored).jails[0].ignore.clone();
                engine = Engine::new(Policy { jails: vec![jail], ..everything() });
                engine.handle(at(time), Input::Restore(remembered), &mut all);
            }
            for (subject, until) in &owed {
                let is_over = end(*until) <= at(time).at_latest().as_micros();
                let is_held = engine.ledger().iter().any(|(_, other, its)| {
                    other.holds(subject) && end(its.until()) >= end(*until)
                });
                prop_assert!(is_over || is_held, "{subject} until {until:?} at {time}: {:?}", short(&all));
            }
        }
    }

    /// Cut into two runs by a restart at any point, what was decided is the same.
    #[test]
    fn networks_survive_a_restart(attack in attack(), cut in any::<prop::sample::Index>()) {
        let lines = lines(&attack);
        let lines: Vec<_> = lines.iter().map(|(time, ip)| (*time, ip.as_str())).collect();
        let now = lines.last().map_or(0, |(time, _)| *time);
        let whole = hear(&mut Engine::new(everything()), now, &lines);
        let (before, after) = lines.split_at(cut.index(lines.len()));
        let middle = before.last().map_or(0, |(time, _)| *time);
        let mut engine = Engine::new(everything());
        let mut out = hear(&mut engine, middle, before);
        let mut remembered = remembered(&out);
        remembered.next_failure = Some(engine.next_failure);
        remembered.next_ban = Some(engine.next_ban);
        let mut engine = Engine::new(everything());
        engine.handle(at(middle).at_latest(), Input::Restore(remembered), &mut out);
        out.extend(hear(&mut engine, now, after));
        prop_assert_eq!(short(&out), short(&whole));
    }
}
