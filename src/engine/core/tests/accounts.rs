//! Facts about logins, and about attacks of many hosts on one account.

use super::*;
use crate::engine::decision::Notice;
use crate::engine::filter::{Capture, Outcome};
use crate::engine::jail::accounts::AccountRule;

/// A jail that knows who was let in, and bans three hosts that fail for one account within an hour.
fn guarded(grace: u32) -> Policy {
    let mut policy = policy(5, 600, ten_minutes(), &["203.0.113.0/24"]);
    let failures = policy.filters.spec(FilterId(0)).clone();
    let mut success = failures.failures[0].clone();
    success.text = "^yes <user> from <ip>$".to_owned();
    let logins = FilterSpec {
        failures: vec![success],
        outcome: Outcome::Success,
        ..failures.clone()
    };
    policy.filters = FilterSet::compile(vec![failures, logins]).expect("a filter set");
    policy.jails[0].logins = Some(FilterId(1));
    policy.jails[0].accounts = Some(AccountRule {
        by: Capture::User,
        hosts: NonZeroU32::new(3).expect("not zero"),
        findtime: FindTime(3_600 * SECOND),
        grace: grace * SECOND,
    });
    policy
}

fn counting_users() -> Policy {
    let mut policy = guarded(0);
    policy.jails[0].counting = Counting::Users;
    policy.jails[0].accounts = None;
    policy
}

/// Hears lines such as `no root from 192.0.2.7`, behind which there is nothing more.
fn say(engine: &mut Engine, now: i64, lines: &[(i64, &str)]) -> Vec<Decision> {
    tell(engine, None, now, lines, false)
}

/// The same from a source, behind which there may be more.
fn tell(
    engine: &mut Engine,
    source: Option<&SourceName>,
    now: i64,
    lines: &[(i64, &str)],
    more: bool,
) -> Vec<Decision> {
    let mut batch = Batch::default();
    for (time, line) in lines {
        batch.push(Record::bare(at(*time), line.as_bytes()));
    }
    let mut out = Vec::new();
    let input = Input::Records {
        source,
        batch: &batch,
        more,
    };
    engine.handle(at(now), input, &mut out);
    out
}

#[test]
fn hosts_that_fail_for_one_account_are_banned_together() {
    let mut engine = Engine::new(guarded(0));
    let out = say(
        &mut engine,
        3_000,
        &[
            (1, "no jo from 192.0.2.1"),
            (2, "no jo from 192.0.2.1"),
            (3, "no root from 192.0.2.4"),
            (1_000, "no jo from 192.0.2.2"),
            (3_000, "no JO from 192.0.2.3"),
        ],
    );
    assert_eq!(
        short(&out),
        [
            "+192.0.2.1 @3000 #1",
            "+192.0.2.2 @3000 #1",
            "+192.0.2.3 @3000 #1"
        ]
    );
    let bans = out.iter().filter_map(|decision| match decision {
        Decision::Ban(ban) => Some((ban.origin.to_string(), ban.evidence.len())),
        _ => None,
    });
    let expected = ("distributed".to_owned(), 1);
    assert!(
        bans.clone().all(|ban| ban == expected),
        "{:?}",
        bans.collect::<Vec<_>>()
    );
    let out = say(&mut engine, 3_001, &[(3_001, "no jo from 192.0.2.5")]);
    assert_eq!(short(&out), ["+192.0.2.5 @3001 #1"], "it is still attacked");
    let out = say(&mut engine, 7_000, &[(7_000, "no jo from 192.0.2.6")]);
    assert!(
        !short(&out).iter().any(|told| told.starts_with('+')),
        "it no longer is: {:?}",
        short(&out)
    );
}

#[test]
fn hosts_that_attack_one_target_are_banned_together() {
    for (by, attack, others) in [
        (
            Capture::Target,
            [
                "no jo of /LOGIN in 1 from 192.0.2.1",
                "no al of /login in 2 from 192.0.2.2",
            ],
            [
                "no jo of /x in 1 from 192.0.2.8",
                "no al in 2 from 192.0.2.9",
            ],
        ),
        (
            Capture::Session,
            [
                "no jo of /a in 7 from 192.0.2.1",
                "no al of /b in 7 from 192.0.2.2",
            ],
            [
                "no jo of /a in 8 from 192.0.2.8",
                "no al of /a from 192.0.2.9",
            ],
        ),
    ] {
        let mut policy = aimed(by);
        let mut engine = Engine::new(policy.clone());
        let mut lines: Vec<_> = others
            .iter()
            .chain(&attack[..1])
            .map(|line| (1, *line))
            .collect();
        assert_eq!(short(&say(&mut engine, 1, &lines)), [""; 0]);
        // A login takes back what was failed for a user, and this is not.
        lines = vec![(2, "yes jo from 192.0.2.1"), (3, attack[1])];
        let told = short(&say(&mut engine, 3, &lines));
        assert_eq!(told, ["+192.0.2.1 @3 #1", "+192.0.2.2 @3 #1"], "{by:?}");

        // Whoever looks for something else begins anew.
        let mut engine = Engine::new(policy.clone());
        say(&mut engine, 1, &[(1, attack[0])]);
        let rule = policy.jails[0].accounts.as_mut().expect("a rule");
        rule.by = Capture::User;
        let mut out = Vec::new();
        engine.handle(at(2), Input::Policy(Box::new(policy)), &mut out);
        out.extend(say(&mut engine, 3, &[(3, attack[1])]));
        assert_eq!(short(&out), [""; 0]);
    }
}

/// A jail that bans two hosts of the same aim.
fn aimed(by: Capture) -> Policy {
    let mut policy = guarded(0);
    let texts = [
        "^no <user> of <target> in <session> from <ip>$",
        "^no <user> in <session> from <ip>$",
        "^no <user> of <target> from <ip>$",
    ];
    let mut failures = policy.filters.spec(FilterId(0)).clone();
    let pattern = failures.failures[0].clone();
    let pattern = |text: &str| PatternSpec {
        text: text.to_owned(),
        ..pattern.clone()
    };
    failures.failures = texts.map(pattern).into();
    let logins = policy.filters.spec(FilterId(1)).clone();
    policy.filters = FilterSet::compile(vec![failures, logins]).expect("a filter set");
    policy.jails[0].accounts = Some(AccountRule {
        by,
        hosts: NonZeroU32::new(2).expect("not zero"),
        findtime: FindTime(3_600 * SECOND),
        grace: Duration::ZERO,
    });
    policy
}

#[test]
fn who_has_paid_is_not_banned_again_for_the_same() {
    let mut engine = Engine::new(guarded(0));
    let attack = ["192.0.2.1", "192.0.2.2", "192.0.2.3"];
    let lines = attack.map(|host| format!("no jo from {host}"));
    let lines: Vec<_> = lines.iter().map(|line| (1, line.as_str())).collect();
    say(&mut engine, 1, &lines);
    let out = say(&mut engine, 700, &[(700, "no jo from 192.0.2.4")]);
    let banned: Vec<_> = short(&out)
        .into_iter()
        .filter(|told| told.starts_with('+'))
        .collect();
    assert_eq!(banned, ["+192.0.2.4 @700 #1"]);
}

#[test]
fn who_is_let_in_within_the_time_of_grace_is_not_banned() {
    let mut engine = Engine::new(guarded(120));
    let out = say(
        &mut engine,
        50,
        &[
            (1, "no jo from 192.0.2.1"),
            (2, "no jo from 192.0.2.2"),
            (40, "no jo from 192.0.2.3"),
            (50, "yes jo from 192.0.2.3"),
        ],
    );
    let told = short(&out);
    assert!(told.len() == 1 && told[0].starts_with("Login"), "{told:?}");
    let mut out = Vec::new();
    engine.handle(at(121), Input::Tick, &mut out);
    assert_eq!(short(&out), ["+192.0.2.1 @121 #1"]);
    engine.handle(at(130), Input::Tick, &mut out);
    assert_eq!(short(&out), ["+192.0.2.1 @121 #1", "+192.0.2.2 @122 #1"]);
    let rest = say(&mut engine, 9_000, &[]);
    assert!(!short(&rest).iter().any(|told| told.starts_with('+')));
}

#[test]
fn a_login_counts_however_many_others_have_come_meanwhile() {
    let mut engine = Engine::new(guarded(120));
    let mut lines = vec![
        (1, "no jo from 192.0.2.1".to_owned()),
        (2, "no jo from 192.0.2.2".to_owned()),
        (3, "no jo from 192.0.2.50".to_owned()),
    ];
    lines.extend((4..9).map(|host| (host, format!("no jo from 192.0.2.{host}"))));
    lines.push((31, "yes jo from 192.0.2.50".to_owned()));
    let lines: Vec<_> = lines
        .iter()
        .map(|(time, line)| (*time, line.as_str()))
        .collect();
    say(&mut engine, 31, &lines);
    let mut out = Vec::new();
    engine.handle(at(1_000), Input::Tick, &mut out);
    let banned = short(&out).into_iter().filter(|told| told.starts_with('+'));
    let banned: Vec<_> = banned.collect();
    assert_eq!(banned.len(), 7, "{banned:?}");
    assert!(
        !banned.iter().any(|told| told.contains(".50")),
        "{banned:?}"
    );
}

#[test]
fn nobody_is_banned_for_want_of_a_login_that_is_not_read_yet() {
    let source: SourceName = "journal".parse().expect("a name");
    let hear = |engine: &mut Engine, now: i64, lines: &[(i64, &str)], more: bool| {
        tell(engine, Some(&source), now, lines, more)
    };
    let attack = [
        (1, "no jo from 192.0.2.1"),
        (2, "no jo from 192.0.2.2"),
        (3, "no jo from 192.0.2.3"),
    ];
    let out = hear(&mut Engine::new(guarded(60)), 3, &attack, false);
    // Long after, the daemon is started again, and has not read yet what was logged meanwhile.
    let mut engine = Engine::new(guarded(60));
    let mut told = Vec::new();
    engine.handle(at(9_000), Input::Restore(remembered(&out)), &mut told);
    engine.handle(at(9_001), Input::Tick, &mut told);
    assert_eq!(short(&told), [""; 0]);
    let told = hear(&mut engine, 9_002, &[(20, "yes jo from 192.0.2.3")], true);
    assert!(short(&told)[0].starts_with("Login"), "{:?}", short(&told));
    let told = hear(&mut engine, 9_003, &[], false);
    assert_eq!(
        short(&told)[..2],
        ["+192.0.2.1 @61 #1", "+192.0.2.2 @62 #1"]
    );
}

#[test]
fn a_time_of_grace_waits_for_what_a_source_has_not_told_yet() {
    let source: SourceName = "journal".parse().expect("a name");
    let mut engine = Engine::new(guarded(60));
    let say = |engine: &mut Engine, now: i64, lines: &[(i64, &str)], more: bool| {
        short(&tell(engine, Some(&source), now, lines, more))
    };
    let attack = [
        (1, "no jo from 192.0.2.1"),
        (2, "no jo from 192.0.2.2"),
        (3, "no jo from 192.0.2.3"),
    ];
    assert_eq!(say(&mut engine, 500, &attack, true), [""; 0], "read late");
    let told = say(&mut engine, 500, &[(10, "yes jo from 192.0.2.2")], true);
    assert!(told.len() == 1 && told[0].starts_with("Login"), "{told:?}");
    assert_eq!(
        say(&mut engine, 500, &[], false),
        ["+192.0.2.1 @61 #1", "+192.0.2.3 @63 #1"]
    );
}

#[test]
fn a_login_takes_back_what_was_failed_for_the_same_account() {
    let mut engine = Engine::new(guarded(0));
    let mistypes = |time: i64| (time, "no jo from 192.0.2.1");
    let login = (4, "yes jo from 192.0.2.1");
    let again = [
        mistypes(1),
        mistypes(2),
        mistypes(3),
        login,
        mistypes(5),
        mistypes(6),
        mistypes(7),
        mistypes(8),
    ];
    assert_eq!(short(&say(&mut engine, 8, &again)), [""; 0]);
    let out = say(&mut engine, 9, &[mistypes(9)]);
    assert_eq!(short(&out), ["+192.0.2.1 @9 #1"]);

    let mut engine = Engine::new(guarded(0));
    let others = [
        (1, "no root from 192.0.2.1"),
        (2, "no root from 192.0.2.1"),
        (3, "no root from 192.0.2.1"),
        (4, "no root from 192.0.2.1"),
        (5, "yes mallory from 192.0.2.1"),
        (6, "no root from 192.0.2.1"),
    ];
    let out = short(&say(&mut engine, 6, &others));
    assert!(out[0].starts_with("Login"), "{out:?}");
    assert_eq!(
        out[1], "+192.0.2.1 @6 #1",
        "an account of one's own opens no other"
    );
}

#[test]
fn a_login_after_many_failures_is_told() {
    let mut engine = Engine::new(guarded(600));
    let mut lines: Vec<_> = (1..5).map(|time| (time, "no jo from 192.0.2.1")).collect();
    lines.push((5, "yes jo from 192.0.2.1"));
    let out = say(&mut engine, 5, &lines);
    let told = out.iter().find_map(|decision| match decision {
        Decision::Notice(Notice::Login {
            address,
            user,
            failures,
            others,
            ..
        }) => Some((*address, user.clone(), *failures, *others)),
        _ => None,
    });
    assert_eq!(
        told,
        Some(("192.0.2.1".parse().ok(), Some("jo".into()), 4, 0))
    );
    let lines = [
        (11, "no jo from 192.0.2.2"),
        (12, "no jo from 192.0.2.3"),
        (13, "no jo from 192.0.2.4"),
        (14, "yes jo from 192.0.2.4"),
    ];
    let out = say(&mut engine, 14, &lines);
    let told = out.iter().find_map(|decision| match decision {
        Decision::Notice(Notice::Login {
            failures, others, ..
        }) => Some((*failures, *others)),
        _ => None,
    });
    assert_eq!(told, Some((1, 2)), "the one guess that was right");
    // One who has guessed nothing wrong, while others go on.
    let out = say(&mut engine, 15, &[(15, "yes jo from 192.0.2.9")]);
    let told = |out: &[Decision]| {
        let mut out = out.iter();
        out.any(|decision| {
            matches!(
                decision,
                Decision::Notice(Notice::Login {
                    failures: 0,
                    others: 2,
                    ..
                })
            )
        })
    };
    assert!(told(&out), "{out:?}");
    let out = say(&mut engine, 4_000, &[(4_000, "yes jo from 192.0.2.9")]);
    assert!(!told(&out), "they have stopped: {out:?}");
}

#[test]
fn different_accounts_are_counted_once_each() {
    let mut engine = Engine::new(counting_users());
    let lines = ["a", "b", "b", "b", "b", "b", "c", "d"];
    let lines = lines.map(|user| format!("no {user} from 192.0.2.1"));
    let lines: Vec<_> = (1..)
        .zip(&lines)
        .map(|(time, line)| (time, line.as_str()))
        .collect();
    assert_eq!(short(&say(&mut engine, 8, &lines)), [""; 0]);
    let out = say(
        &mut engine,
        9,
        &[(9, "yes a from 192.0.2.1"), (10, "no e from 192.0.2.1")],
    );
    assert_eq!(
        short(&out)
            .iter()
            .filter(|told| told.starts_with('+'))
            .count(),
        0,
        "one of them was let in"
    );
    let out = say(&mut engine, 11, &[(11, "no f from 192.0.2.1")]);
    assert_eq!(short(&out), ["+192.0.2.1 @11 #1"]);
}

#[test]
fn who_is_never_banned_counts_for_no_attack() {
    let mut engine = Engine::new(guarded(0));
    let lines = [
        (1, "no jo from 203.0.113.1"),
        (2, "no jo from 203.0.113.2"),
        (3, "no jo from 192.0.2.3"),
        (4, "no jo from 192.0.2.4"),
    ];
    assert_eq!(short(&say(&mut engine, 4, &lines)), [""; 0]);
}

proptest! {
    /// Against the definition, without grace: when a host fails for an account, all are banned that failed for it since
    /// their last ban, if so many did within findtime.
    #[test]
    fn it_agrees_with_the_definition(
        steps in prop::collection::vec((0_i64..1_500, 1_u8..7, 0_u8..2), 0..60),
    ) {
        let mut policy = guarded(0);
        policy.jails[0].maxretry = MaxRetry(NonZeroU32::new(1_000).expect("not zero"));
        policy.jails[0].bantime = BanTime::For(1_000 * SECOND);
        let mut engine = Engine::new(policy);
        let (mut time, mut heard, mut banned) = (0, Vec::new(), HashMap::default());
        let (mut expected, mut got) = (Vec::new(), Vec::new());
        for (step, host, account) in steps {
            time += step;
            let line = format!("no jo{account} from 192.0.2.{host}");
            let out = say(&mut engine, time, &[(time, &line)]);
            got.extend(short(&out).into_iter().filter(|told| told.starts_with('+')));
            if banned.get(&host).is_some_and(|start| time < start + 1_000) {
                continue;
            }
            heard.retain(|(_, other, of)| (*other, *of) != (host, account));
            heard.push((time, host, account));
            let recent = heard.iter().filter(|(at, _, of)| *of == account && at + 3_600 >= time);
            // The three newest make the attack; those who failed before them were banned with earlier ones.
            let recent: Vec<_> = recent.rev().take(3).copied().collect();
            if recent.len() == 3 {
                let is_open = |(at, host, _): &&(i64, u8, u8)| banned.get(host).is_none_or(|start| start < at);
                let mut hosts: Vec<u8> = recent.iter().filter(is_open).map(|(_, host, _)| *host).collect();
                hosts.sort_unstable();
                for host in hosts {
                    expected.push(format!("+192.0.2.{host} @{time}"));
                    banned.insert(host, time);
                }
            }
        }
        let got: Vec<_> = got.iter().map(|told| told.split(" #").next().unwrap_or_default()).collect();
        prop_assert_eq!(got, expected);
    }
}
