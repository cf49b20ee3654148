//! Facts about sieges.

use super::*;
use crate::engine::jail::siege::SiegeRule;

/// Five failures make a ban, and under siege so many.
fn besieged(rate: &str, maxretry: u32) -> Engine {
    let mut policy = policy(5, 600, ten_minutes(), &[]);
    policy.jails[0].siege = Some(rule(rate, maxretry));
    Engine::new(policy)
}

fn rule(rate: &str, maxretry: u32) -> SiegeRule {
    SiegeRule {
        rate: rate.parse().expect("a rate"),
        maxretry: MaxRetry(NonZeroU32::new(maxretry).expect("not zero")),
        calm: 60 * SECOND,
    }
}

fn begins(seconds: i64) -> String {
    let time = at(seconds).as_micros();
    format!(
        "Siege {{ jail: JailName(\"test\"), time: Timestamp({time}), rate: Rate {{ failures: 3, per: Second }}, \
         maxretry: MaxRetry(1) }}"
    )
}

fn ends(since: i64, seconds: i64) -> String {
    let (since, time) = (at(since).as_micros(), at(seconds).as_micros());
    format!(
        "SiegeOver {{ jail: JailName(\"test\"), since: Timestamp({since}), time: Timestamp({time}), \
         maxretry: MaxRetry(5) }}"
    )
}

const HOSTS: [&str; 6] = [
    "192.0.2.1",
    "192.0.2.2",
    "192.0.2.3",
    "192.0.2.4",
    "192.0.2.5",
    "192.0.2.6",
];

/// Each host fails once in this second.
fn storm(seconds: i64) -> Vec<(i64, &'static str)> {
    HOSTS.iter().map(|host| (seconds, *host)).collect()
}

#[test]
fn the_failure_that_begins_a_siege_is_the_first_to_feel_it() {
    let mut engine = besieged("3/s", 1);
    let out = hear(&mut engine, 7, &storm(7));
    let expected = [
        begins(7),
        "+192.0.2.4 @7 #1".to_owned(),
        "+192.0.2.5 @7 #1".to_owned(),
        "+192.0.2.6 @7 #1".to_owned(),
    ];
    assert_eq!(short(&out), expected);
    let jail: JailName = "test".parse().expect("a name");
    let siege = engine.siege(&jail, at(8)).expect("a siege");
    assert_eq!((siege.since, siege.maxretry.0.get()), (at(7), 1));
    // Who failed before is banned when he fails again.
    let out = hear(&mut engine, 9, &[(9, HOSTS[0])]);
    assert_eq!(short(&out), ["+192.0.2.1 @9 #1"]);
}

#[test]
fn who_has_failed_often_enough_before_is_banned_with_the_next_failure() {
    let mut engine = besieged("3/s", 2);
    let mut lines = vec![(1, A), (2, A), (3, A)];
    lines.extend(storm(100));
    lines.push((101, A));
    let out = hear(&mut engine, 101, &lines);
    let bans = short(&out).split_off(1);
    assert_eq!(bans, ["+192.0.2.7 @101 #1"]);
    let evidence = out.iter().find_map(|decision| match decision {
        Decision::Ban(ban) => Some(ban.evidence.len()),
        _ => None,
    });
    assert_eq!(evidence, Some(2), "the latest that are enough");
}

#[test]
fn a_siege_is_never_milder_than_peace() {
    let mut engine = besieged("1/s", 100);
    let out = hear(&mut engine, 7, &[(7, A); 5]);
    assert_eq!(short(&out)[1..], ["+192.0.2.7 @7 #1"]);
}

#[test]
fn the_end_is_announced_when_all_sources_were_heard_that_far() {
    let mut engine = besieged("3/s", 1);
    let heard = |engine: &mut Engine, now: i64, lines: &[(i64, &str)], more| {
        let mut out = Vec::new();
        let source: SourceName = "journal".parse().expect("a name");
        let records = Input::Records {
            source: Some(&source),
            batch: &batch(lines),
            more,
        };
        engine.handle(at(now), records, &mut out);
        short(&out)
    };
    assert_eq!(heard(&mut engine, 500, &storm(7), true)[0], begins(7));
    // The present is far ahead, but what the source has may still belong to the siege.
    assert_eq!(engine.next_calm, None);
    assert_eq!(
        heard(&mut engine, 500, &[(60, "192.0.2.9")], true),
        ["+192.0.2.9 @60 #1"]
    );
    assert_eq!(heard(&mut engine, 500, &[], false), [ends(7, 67)]);
    assert_eq!(
        heard(&mut engine, 501, &[(501, "192.0.2.8")], false),
        [""; 0]
    );
}

#[test]
fn a_tick_is_due_when_it_has_calmed() {
    let mut engine = besieged("3/s", 1);
    let source: SourceName = "journal".parse().expect("a name");
    let mut out = Vec::new();
    let records = Input::Records {
        source: Some(&source),
        batch: &batch(&storm(7)),
        more: false,
    };
    engine.handle(at(7), records, &mut out);
    let due = at(67).after(Duration::from_micros(1));
    assert_eq!(engine.next_calm, Some(due));
    assert!(engine.next_deadline() <= Some(due));
    out.clear();
    engine.handle(due, Input::Tick, &mut out);
    assert_eq!(short(&out), [ends(7, 67)]);
    let jail: JailName = "test".parse().expect("a name");
    assert_eq!(engine.siege(&jail, due), None);
}

#[test]
fn another_rule_ends_a_siege_and_the_same_one_keeps_it() {
    let mut engine = besieged("3/s", 1);
    hear(&mut engine, 7, &storm(7));
    let obey = |engine: &mut Engine, now: i64, rule: Option<SiegeRule>| {
        let mut policy = policy(5, 600, ten_minutes(), &[]);
        policy.jails[0].siege = rule;
        let mut out = Vec::new();
        engine.handle(at(now), Input::Policy(Box::new(policy)), &mut out);
        short(&out)
    };
    assert_eq!(obey(&mut engine, 8, Some(rule("3/s", 1))), [""; 0]);
    assert_eq!(short(&hear(&mut engine, 9, &[(9, HOSTS[0])])).len(), 1);
    assert_eq!(obey(&mut engine, 10, None), [ends(7, 10)]);
    assert_eq!(short(&hear(&mut engine, 11, &[(11, A)])), [""; 0]);
}

proptest! {
    /// However records are cut into batches.
    #[test]
    fn batches_change_nothing(
        attack in proptest::collection::vec((0_i64..20, 0_usize..6), 1..100),
        cut in any::<prop::sample::Index>(),
    ) {
        let mut time = 0;
        let lines: Vec<_> = attack.iter().map(|(step, host)| {
            time += (step - 15).max(0) * 20;
            (time, HOSTS[*host])
        }).collect();
        let whole = short(&hear(&mut besieged("3/s", 1), time, &lines));
        let mut engine = besieged("3/s", 1);
        let (before, after) = lines.split_at(cut.index(lines.len()));
        let middle = before.last().map_or(0, |(time, _)| *time);
        let mut out = hear(&mut engine, middle, before);
        out.extend(hear(&mut engine, time, after));
        prop_assert_eq!(short(&out), whole);
    }
}
