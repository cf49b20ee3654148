//! Facts about those who are never banned, whenever that is found out.

use std::collections::BTreeSet;

use super::*;
use crate::engine::decision::{Notice, Origin};
use crate::engine::filter::Capture;
use crate::engine::jail::accounts::AccountRule;
use crate::engine::jail::network::{NetworkRule, NetworkWidth};
use crate::engine::policy::{AddressSet, SetName};
use crate::engine::prefix::Prefix;

fn prefix(text: &str) -> Prefix {
    text.parse().expect("a prefix")
}

fn set(members: &[&str]) -> AddressSet {
    let rule = |text: &&str| IgnoreRule {
        prefix: prefix(text),
        because: format!("member {text}").into(),
    };
    AddressSet::new(members.iter().map(rule).collect())
}

fn host() -> SetName {
    SetName::Host("home.example.org".into())
}

/// One jail that ignores what two sets hold, and bans networks of three hosts.
fn policy_with_sets(maxretry: u32, ignore: &[&str]) -> Policy {
    let mut policy = policy(maxretry, 600, ten_minutes(), ignore);
    let jail = &mut policy.jails[0];
    let rule = |width| NetworkRule {
        width,
        hosts: NonZeroU32::new(3).expect("not zero"),
        maxretry: MaxRetry(NonZeroU32::new(4).expect("not zero")),
        findtime: FindTime(600 * SECOND),
    };
    jail.networks = vec![rule(NetworkWidth::Ipv4(29)), rule(NetworkWidth::Ipv6(48))];
    let sets = BTreeSet::from([SetName::Own, host()]);
    jail.ignore = std::mem::take(&mut jail.ignore).with(sets);
    policy
}

/// The same, which bans three hosts that fail for one account, a minute later.
fn policy_with_accounts(maxretry: u32, ignore: &[&str]) -> Policy {
    let mut policy = policy_with_sets(maxretry, ignore);
    policy.jails[0].accounts = Some(AccountRule {
        by: Capture::User,
        hosts: NonZeroU32::new(3).expect("not zero"),
        findtime: FindTime(600 * SECOND),
        grace: 60 * SECOND,
    });
    policy
}

fn fill(engine: &mut Engine, now: i64, set: SetName, addresses: AddressSet) -> Vec<String> {
    let mut out = Vec::new();
    engine.handle(at(now), Input::Ignore { set, addresses }, &mut out);
    short(&out)
}

#[test]
fn an_address_that_enters_a_set_is_released_at_once_and_starts_afresh() {
    let mut engine = Engine::new(policy_with_sets(2, &[]));
    let lines = [(1, A), (2, A), (3, "192.0.2.8")];
    assert_eq!(short(&hear(&mut engine, 3, &lines)), ["+192.0.2.7 @2 #1"]);
    let entered = fill(&mut engine, 4, host(), set(&["192.0.2.0/28"]));
    assert_eq!(entered, ["-192.0.2.7 @4 Ignored"]);
    assert_eq!(short(&hear(&mut engine, 5, &[(5, A), (5, A)])), [""; 0]);
    let explained = engine.explain(at(5), &prefix(A).into());
    assert!(
        matches!(&explained[0].place, Place::Ignored { because } if **because == *"member 192.0.2.0/28"),
        "{explained:?}"
    );
    assert_eq!(fill(&mut engine, 6, host(), set(&[])), [""; 0]);
    let out = hear(&mut engine, 7, &[(7, "192.0.2.8"), (7, A), (8, A)]);
    assert_eq!(
        short(&out),
        ["+192.0.2.7 @7 #2"],
        "its failure before that is forgotten"
    );
}

#[test]
fn a_network_is_released_when_an_address_in_it_enters_a_set() {
    let mut engine = Engine::new(policy_with_sets(9, &[]));
    let hosts = ["192.0.2.1", "192.0.2.2", "192.0.2.3", "192.0.2.3"];
    let lines: Vec<_> = (1..).zip(hosts).collect();
    assert_eq!(
        short(&hear(&mut engine, 4, &lines)),
        ["+192.0.2.0/29 @4 #1"]
    );
    let entered = fill(&mut engine, 5, SetName::Own, set(&["192.0.2.6"]));
    assert_eq!(entered, ["-192.0.2.0/29 @5 Ignored"]);
    assert_eq!(short(&hear(&mut engine, 10, &lines)), [""; 0]);
}

#[test]
fn a_host_that_enters_a_set_attacks_no_account() {
    let mut policy = policy_with_accounts(9, &[]);
    policy.jails[0].networks.clear();
    let mut engine = Engine::new(policy);
    let hosts = ["192.0.2.1", "192.0.2.2", "192.0.2.3", "192.0.2.4"];
    let lines: Vec<_> = (1..).zip(hosts).collect();
    assert_eq!(short(&hear(&mut engine, 4, &lines)), [""; 0]);
    let entered = fill(&mut engine, 5, host(), set(&["192.0.2.1"]));
    assert_eq!(entered, [""; 0]);
    fill(&mut engine, 5, SetName::Guarded, set(&["192.0.2.2"]));
    let mut out = hear(&mut engine, 100, &[(100, "198.51.100.1")]);
    out.retain(|decision| matches!(decision, Decision::Ban(_)));
    assert_eq!(short(&out), ["+192.0.2.3 @63 #1", "+192.0.2.4 @64 #1"]);
}

#[test]
fn a_set_that_no_jail_knows_changes_nothing() {
    let mut engine = Engine::new(policy(1, 600, ten_minutes(), &[]));
    hear(&mut engine, 1, &[(1, A)]);
    assert_eq!(fill(&mut engine, 2, host(), set(&[A])), [""; 0]);
    assert_eq!(engine.ledger().len(), 1);
}

#[test]
fn new_settings_keep_what_sets_hold() {
    let mut engine = Engine::new(policy_with_sets(1, &[]));
    fill(&mut engine, 1, host(), set(&[A]));
    let policy = Box::new(policy_with_sets(1, &["198.51.100.1"]));
    engine.handle(at(2), Input::Policy(policy), &mut Vec::new());
    assert_eq!(short(&hear(&mut engine, 3, &[(3, A)])), [""; 0]);
}

fn allow(engine: &mut Engine, now: i64, subject: &str, seconds: u32) -> Vec<Decision> {
    let mut out = Vec::new();
    let (subject, span) = (prefix(subject), seconds * SECOND);
    engine.handle(at(now), Input::Allow { subject, span }, &mut out);
    out
}

#[test]
fn whoever_is_allowed_is_released_and_spared_until_it_is_over() {
    let mut engine = Engine::new(policy_with_sets(2, &[]));
    let lines = [(1, A), (2, A), (3, "192.0.2.8")];
    assert_eq!(short(&hear(&mut engine, 3, &lines)), ["+192.0.2.7 @2 #1"]);
    let out = allow(&mut engine, 4, "192.0.2.0/28", 100);
    assert_eq!(short(&out), ["-192.0.2.7 @4 Ignored"]);
    assert_eq!(engine.next_deadline(), Some(at(104)));
    let spared = hear(&mut engine, 50, &[(50, A), (50, A)]);
    assert_eq!(ignored(&spared), [A, A]);
    let explained = engine.explain(at(50), &prefix(A).into());
    assert!(
        matches!(&explained[0].place, Place::Ignored { because } if because.starts_with("allowed until ")),
        "{explained:?}"
    );
    // Also from a new configuration and a new run.
    engine.handle(
        at(60),
        Input::Policy(Box::new(policy_with_sets(2, &[]))),
        &mut Vec::new(),
    );
    assert_eq!(ignored(&hear(&mut engine, 61, &[(61, A)])), [A]);
    let mut again = Engine::new(policy_with_sets(2, &[]));
    let remembered = remembered(&out);
    let mut none = Vec::new();
    again.handle(at(62), Input::Restore(remembered), &mut none);
    assert_eq!(none, []);
    for engine in [&mut engine, &mut again] {
        assert_eq!(ignored(&hear(engine, 103, &[(103, A)])), [A]);
        let mut out = Vec::new();
        engine.handle(at(104), Input::Tick, &mut out);
        assert_eq!(out, [Decision::Disallow(prefix("192.0.2.0/28"))]);
        let out = hear(engine, 105, &[(105, A), (105, A)]);
        assert!(short(&out)[0].starts_with("+192.0.2.7 @105"), "{out:?}");
    }
}

#[test]
fn what_is_allowed_anew_ends_then_and_can_be_taken_back() {
    let mut engine = Engine::new(policy_with_sets(1, &[]));
    let _ = allow(&mut engine, 1, A, 100);
    let _ = allow(&mut engine, 2, A, 10);
    assert_eq!(engine.next_deadline(), Some(at(12)));
    assert_eq!(ignored(&hear(&mut engine, 3, &[(3, A)])), [A]);
    let mut out = Vec::new();
    let subject = prefix(A);
    engine.handle(at(4), Input::Disallow { subject }, &mut out);
    assert_eq!(out, [Decision::Disallow(subject)]);
    assert_eq!(
        short(&hear(&mut engine, 5, &[(5, A)])),
        ["+192.0.2.7 @5 #1"]
    );
}

#[test]
fn no_more_are_allowed_than_there_may_be() {
    let mut engine = Engine::new(policy_with_sets(1, &[]));
    for number in 0..MOST_ALLOWED + 1 {
        let subject = format!("10.0.{}.{}", number / 256, number % 256);
        let out = allow(&mut engine, 1, &subject, 100);
        assert_eq!(out.len(), usize::from(number < MOST_ALLOWED));
    }
    assert_eq!(
        allow(&mut engine, 2, "10.0.0.0", 50).len(),
        1,
        "not a new one"
    );
}

#[test]
fn whoever_is_guarded_is_not_banned_by_a_jail_which_is_told_once() {
    let mut engine = Engine::new(policy_with_sets(2, &[]));
    assert_eq!(fill(&mut engine, 1, SetName::Guarded, set(&[A])), [""; 0]);
    let lines = [(2, A), (3, A), (4, A), (5, A)];
    let out = hear(&mut engine, 5, &lines);
    let counted = |decision: &&Decision| matches!(decision, Decision::Count(_));
    assert_eq!(out.iter().filter(counted).count(), 4);
    let told: Vec<_> = out.iter().filter(|decision| !counted(decision)).collect();
    assert!(
        matches!(told[..], [Decision::Notice(Notice::Spared { because, .. })] if **because == *"member 192.0.2.7"),
        "{told:?}"
    );
    let explained = engine.explain(at(5), &prefix(A).into());
    let spares = |verdict: &Verdict| matches!(&verdict.place, Place::Ignored { because } if **because == *"member 192.0.2.7");
    assert!(explained.iter().any(spares), "{explained:?}");
    // A network around it neither, by whatever hosts.
    let hosts = ["192.0.2.1", "192.0.2.2", "192.0.2.3", "192.0.2.4"];
    let lines: Vec<_> = (6..).zip(hosts).collect();
    assert_eq!(short(&hear(&mut engine, 10, &lines)), [""; 0]);
    // By hand it can be, and then it stays.
    let ban = Input::Ban {
        jail: "test".parse().expect("a name"),
        subject: prefix(A).into(),
        bantime: None,
        reason: None,
    };
    let mut out = Vec::new();
    engine.handle(at(11), ban, &mut out);
    assert_eq!(short(&out), ["+192.0.2.7 @11 #1"]);
    let both = set(&[A, "192.0.2.8"]);
    assert_eq!(fill(&mut engine, 12, SetName::Guarded, both), [""; 0]);
    // Who is guarded no longer is banned, and told of when guarded again.
    assert_eq!(fill(&mut engine, 13, SetName::Guarded, set(&[])), [""; 0]);
    let input = Input::Unban {
        jail: None,
        subject: None,
        forget: false,
        reason: None,
    };
    engine.handle(at(14), input, &mut out);
    let out = hear(&mut engine, 16, &[(15, A), (16, A)]);
    assert_eq!(short(&out), ["+192.0.2.7 @16 #2"]);
}

/// Something that can happen to a jail.
#[derive(Clone, Debug)]
enum Step {
    Fail(u8),
    Fill(bool, Vec<(u8, u8)>),
    Guard(Vec<u8>),
    Ban(u8, u8),
    Unban(u8),
    Allow(u8, u8, u8),
    Disallow(u8, u8),
    Reload(Option<u8>),
    Restart,
    Pass(u16),
}

fn step() -> impl Strategy<Value = Step> {
    let last = 0_u8..16;
    let width = 28_u8..=32;
    prop_oneof![
        8 => last.clone().prop_map(Step::Fail),
        3 => (any::<bool>(), prop::collection::vec((last.clone(), width.clone()), 0..3))
            .prop_map(|(own, members)| Step::Fill(own, members)),
        2 => prop::collection::vec(last.clone(), 0..3).prop_map(Step::Guard),
        1 => (last.clone(), width.clone()).prop_map(|(last, width)| Step::Ban(last, width)),
        1 => (last.clone(), width.clone(), 1_u8..100)
            .prop_map(|(last, width, span)| Step::Allow(last, width, span)),
        1 => (last.clone(), width).prop_map(|(last, width)| Step::Disallow(last, width)),
        1 => last.clone().prop_map(Step::Unban),
        1 => prop::option::of(last).prop_map(Step::Reload),
        1 => Just(Step::Restart),
        1 => (0_u16..900).prop_map(Step::Pass),
    ]
}

fn address(last: u8) -> String {
    format!("192.0.2.{last}")
}

fn network((last, width): (u8, u8)) -> Prefix {
    prefix(&format!("{}/{width}", address(last)))
}

proptest! {
    /// An ignored address is never inside any banned prefix, whatever the order of events.
    #[test]
    fn an_ignored_address_is_never_banned(steps in prop::collection::vec(step(), 1..80)) {
        let jail: JailName = "test".parse().expect("a name");
        let mut engine = Engine::new(policy_with_accounts(2, &[]));
        let (mut now, mut stated): (i64, Option<String>) = (0, None);
        let mut held = [Vec::<Prefix>::new(), Vec::new()];
        let mut allowed: Vec<(Prefix, i64)> = Vec::new();
        let mut guarded: Vec<String> = Vec::new();
        let mut decisions = Vec::new();
        for step in steps {
            now += 1;
            let mut out = Vec::new();
            let ignored = |stated: &Option<String>| stated.iter().cloned().collect::<Vec<_>>();
            let policy = |stated: &Option<String>| {
                let ignored = ignored(stated);
                policy_with_accounts(2, &ignored.iter().map(String::as_str).collect::<Vec<_>>())
            };
            let filled = |own: bool, members: &[Prefix]| {
                let members: Vec<_> = members.iter().map(|member| member.plain()).collect();
                let members: Vec<_> = members.iter().map(String::as_str).collect();
                let set_name = if own { SetName::Own } else { host() };
                Input::Ignore { set: set_name, addresses: set(&members) }
            };
            match step {
                Step::Fail(last) => out.extend(hear(&mut engine, now, &[(now, &address(last))])),
                Step::Fill(own, members) => {
                    let members: Vec<_> = members.into_iter().map(network).collect();
                    engine.handle(at(now), filled(own, &members), &mut out);
                    held[usize::from(own)] = members;
                }
                Step::Guard(members) => {
                    guarded = members.into_iter().map(address).collect();
                    let members: Vec<_> = guarded.iter().map(String::as_str).collect();
                    let (set, addresses) = (SetName::Guarded, set(&members));
                    engine.handle(at(now), Input::Ignore { set, addresses }, &mut out);
                }
                Step::Ban(last, width) => {
                    let subject = network((last, width));
                    let input = Input::Ban { jail: jail.clone(), subject: subject.into(), bantime: None, reason: None };
                    engine.handle(at(now), input, &mut out);
                }
                Step::Unban(last) => {
                    let subject = Some(prefix(&address(last)).into());
                    let input = Input::Unban { jail: None, subject, forget: false, reason: None };
                    engine.handle(at(now), input, &mut out);
                }
                Step::Allow(last, width, span) => {
                    let subject = network((last, width));
                    out.extend(allow(&mut engine, now, &subject.plain(), u32::from(span)));
                    allowed.retain(|(known, _)| *known != subject);
                    allowed.push((subject, now + i64::from(span)));
                }
                Step::Disallow(last, width) => {
                    let subject = network((last, width));
                    engine.handle(at(now), Input::Disallow { subject }, &mut out);
                    allowed.retain(|(known, _)| *known != subject);
                }
                Step::Reload(last) => {
                    stated = last.map(address);
                    engine.handle(at(now), Input::Policy(Box::new(policy(&stated))), &mut out);
                }
                Step::Restart => {
                    let mut remembered = remembered(&decisions);
                    remembered.next_failure = Some(engine.next_failure);
                    remembered.next_ban = Some(engine.next_ban);
                    engine = Engine::new(policy(&stated));
                    guarded.clear();
                    // What the sets hold may be known before or after what was remembered.
                    let early = now % 2 == 0;
                    let fill = |engine: &mut Engine, out: &mut Vec<Decision>| {
                        for (own, members) in held.iter().enumerate() {
                            engine.handle(at(now), filled(own == 1, members), out);
                        }
                    };
                    if early {
                        fill(&mut engine, &mut out);
                    }
                    engine.handle(at(now), Input::Restore(remembered), &mut out);
                    if !early {
                        fill(&mut engine, &mut out);
                    }
                }
                Step::Pass(seconds) => {
                    now += i64::from(seconds);
                    engine.handle(at(now), Input::Tick, &mut out);
                }
            }
            for decision in &out {
                if let Decision::Ban(ban) = decision && ban.origin != Origin::Manual {
                    let near = guarded.iter().find(|member| ban.subject.overlaps(&prefix(member).into()));
                    prop_assert_eq!(near, None, "{} is banned", ban.subject);
                }
            }
            decisions.extend(out);
            let stated = stated.iter().map(|text| prefix(text));
            let held = held.iter().flatten().copied();
            let allowed = allowed.iter().filter(|(_, until)| *until > now);
            let allowed = allowed.map(|(subject, _)| *subject);
            let all: Vec<Prefix> = stated.chain(held).chain(allowed).collect();
            for (_, banned, _) in engine.ledger().iter() {
                for member in &all {
                    prop_assert!(!banned.overlaps(&(*member).into()), "{banned} holds an address of {member}");
                }
            }
        }
    }
}
