//! Facts about jails that count bans of others.

use super::*;

/// Two jails of one filter, and one that bans for a day whoever they ban three times within an hour.
fn three_jails() -> Policy {
    let mut policy = policy(1, 600, BanTime::For(60 * SECOND), &[]);
    let other = JailPolicy {
        name: "other".parse().expect("a name"),
        ..policy.jails[0].clone()
    };
    let long = JailPolicy {
        name: "recidive".parse().expect("a name"),
        filter: FilterId(1),
        sources: Vec::new(),
        maxretry: MaxRetry(NonZeroU32::new(3).expect("not zero")),
        findtime: FindTime(3_600 * SECOND),
        bantime: BanTime::For(86_400 * SECOND),
        ..policy.jails[0].clone()
    };
    policy.jails.extend([other, long]);
    let text = policy.filters.spec(FilterId(0)).clone();
    let bans = FilterSpec {
        name: "recidive".parse().expect("a name"),
        records: RecordsSpec {
            bans: true,
            ..RecordsSpec::default()
        },
        failures: Vec::new(),
        ..text.clone()
    };
    policy.filters = FilterSet::compile(vec![text, bans]).expect("a filter set");
    policy
}

fn told(decisions: &[Decision]) -> Vec<String> {
    let one = |decision: &Decision| match decision {
        Decision::Ban(ban) => Some(format!(
            "{} {} {}",
            ban.jail,
            ban.subject.plain(),
            ban.evidence.len()
        )),
        _ => None,
    };
    decisions.iter().filter_map(one).collect()
}

#[test]
fn who_is_banned_again_and_again_is_banned_for_long() {
    let mut engine = Engine::new(three_jails());
    let out = hear(&mut engine, 1, &[(1, A)]);
    assert_eq!(told(&out), ["test 192.0.2.7 1", "other 192.0.2.7 1"]);
    let lines = out.iter().filter_map(|decision| match decision {
        Decision::Count(failure) if failure.jail.as_str() == "recidive" => Some(&*failure.line),
        _ => None,
    });
    assert_eq!(
        lines.collect::<Vec<_>>(),
        [
            "test bans 192.0.2.7 for 1m, offence 1",
            "other bans 192.0.2.7 for 1m, offence 1"
        ]
    );
    let out = hear(&mut engine, 100, &[(100, A)]);
    assert_eq!(
        told(&out),
        [
            "test 192.0.2.7 1",
            "recidive 192.0.2.7 3",
            "other 192.0.2.7 1"
        ]
    );
}

#[test]
fn an_idle_jail_counts_neither_lines_nor_bans() {
    let mut policy = three_jails();
    policy.jails[1].is_idle = true;
    policy.jails[2].is_idle = true;
    let mut engine = Engine::new(policy);
    for time in [1, 100, 200, 300] {
        let out = hear(&mut engine, time, &[(time, A)]);
        assert_eq!(told(&out), ["test 192.0.2.7 1"], "{time}");
    }
}

#[test]
fn bans_by_hand_are_no_offence() {
    let mut engine = Engine::new(three_jails());
    for time in 0..5 {
        let ban = Input::Ban {
            jail: "test".parse().expect("a name"),
            subject: A.parse().expect("a prefix"),
            bantime: None,
            reason: None,
        };
        engine.handle(at(time), ban, &mut Vec::new());
    }
    assert_eq!(engine.ledger().len(), 1);
}

#[test]
fn bans_of_an_earlier_run_count() {
    let mut engine = Engine::new(three_jails());
    let mut out = hear(&mut engine, 1, &[(1, A)]);
    let mut remembered = remembered(&out);
    remembered.next_failure = Some(engine.next_failure);
    remembered.next_ban = Some(engine.next_ban);
    let mut engine = Engine::new(three_jails());
    engine.handle(at(50), Input::Restore(remembered), &mut out);
    let out = hear(&mut engine, 100, &[(100, A)]);
    assert!(
        told(&out).contains(&"recidive 192.0.2.7 3".to_owned()),
        "{out:?}"
    );
}

#[test]
fn an_ignored_address_is_no_offender() {
    let mut policy = three_jails();
    policy.jails[2].ignore = IgnoreList::new(vec![IgnoreRule {
        prefix: A.parse().expect("a prefix"),
        because: "a rule".into(),
    }]);
    let mut engine = Engine::new(policy);
    let out = hear(&mut engine, 1_000, &[(1, A), (100, A), (200, A)]);
    assert_eq!(told(&out).len(), 6, "three by each of the two");
}
