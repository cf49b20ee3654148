//! Facts about those who are banned again and again.

use super::*;
use crate::engine::jail::escalation::{Escalation, Growth, Jitter, Scope};

/// A jail whose bans double, with an hour of memory.
fn doubling(scope: Scope) -> Policy {
    let mut policy = policy(1, 600, ten_minutes(), &[]);
    policy.jails[0].escalation = Some(Escalation {
        growth: Growth::Factor(2.0),
        max: Some(2_000 * SECOND),
        jitter: Jitter::Share(0.0),
        memory: Some(3_600 * SECOND),
        scope,
    });
    policy
}

/// How long each ban is, in seconds, and which offence.
fn lengths(decisions: &[Decision]) -> Vec<(u64, u32)> {
    let one = |decision: &Decision| match decision {
        Decision::Ban(ban) => match ban.bantime {
            BanTime::For(span) => Some((span.as_secs(), ban.offence)),
            BanTime::Forever => None,
        },
        _ => None,
    };
    decisions.iter().filter_map(one).collect()
}

#[test]
fn bans_grow_longer_until_the_offender_was_quiet() {
    let mut engine = Engine::new(doubling(Scope::Jail));
    // The fifth begins an hour after the fourth was over, the last one an hour and a second after the sixth.
    let out = hear(
        &mut engine,
        100_000,
        &[
            (0, A),
            (600, A),
            (1_800, A),
            (3_800, A),
            (9_400, A),
            (13_601, A),
        ],
    );
    let grown = [
        (600, 1),
        (1_200, 2),
        (2_000, 3),
        (2_000, 4),
        (2_000, 5),
        (2_000, 6),
    ];
    assert_eq!(lengths(&out), grown);
    let out = hear(&mut engine, 100_000, &[(13_601 + 2_000 + 3_601, A)]);
    assert_eq!(lengths(&out), [(600, 1)]);
}

#[test]
fn a_ban_that_is_lifted_early_is_over_then() {
    let mut engine = Engine::new(doubling(Scope::Jail));
    hear(&mut engine, 0, &[(0, A)]);
    let unban = Input::Unban {
        jail: None,
        subject: None,
        forget: false,
        reason: None,
    };
    engine.handle(at(10), unban, &mut Vec::new());
    let out = hear(&mut engine, 3_700, &[(3_611, A)]);
    assert_eq!(lengths(&out), [(600, 1)]);
}

#[test]
fn offences_of_other_jails_count_where_that_is_asked_for() {
    for (scope, expected) in [
        (Scope::All, [(600, 1), (1_200, 2)]),
        (Scope::Jail, [(600, 1), (600, 1)]),
    ] {
        let mut policy = doubling(scope);
        let other = JailPolicy {
            name: "other".parse().expect("a name"),
            ..policy.jails[0].clone()
        };
        policy.jails.push(other);
        let mut engine = Engine::new(policy);
        let out = hear(&mut engine, 10, &[(1, A)]);
        assert_eq!(lengths(&out), expected, "{scope:?}");
    }
}

#[test]
fn reloads_change_no_offence() {
    let nothing = || Policy {
        jails: Vec::new(),
        ..doubling(Scope::Jail)
    };
    for settings in [
        vec![doubling(Scope::All)],
        vec![doubling(Scope::All), doubling(Scope::Jail)],
        vec![nothing(), doubling(Scope::Jail)],
    ] {
        let mut engine = Engine::new(doubling(Scope::Jail));
        hear(&mut engine, 0, &[(0, A)]);
        for policy in settings {
            let reload = Input::Policy(Box::new(policy));
            engine.handle(at(700), reload, &mut Vec::new());
        }
        let out = hear(&mut engine, 1_000, &[(1_000, A)]);
        assert_eq!(lengths(&out), [(1_200, 2)]);
    }
}

#[test]
fn explain_tells_the_next_ban() {
    let mut engine = Engine::new(doubling(Scope::Jail));
    hear(&mut engine, 0, &[(0, A)]);
    let next = |now, ip: &str| {
        let verdicts = engine.explain(at(now), &ip.parse().expect("a prefix"));
        verdicts[0].next.map(|next| (next.offence, next.bantime))
    };
    assert_eq!(next(0, A), Some((2, BanTime::For(1_200 * SECOND))));
    assert_eq!(next(4_201, A), Some((1, ten_minutes())));
    assert_eq!(next(0, "198.51.100.1"), Some((1, ten_minutes())));
    assert_eq!(next(0, "198.51.100.0/24"), None);
}

/// What a database tells that could not be read at the start.
fn late() -> Input<'static> {
    let offence = |number| Offence {
        number,
        start: at(0),
        end: Some(at(600)),
    };
    let offences = [(A, 5), ("192.0.2.8", 3)].map(|(ip, number)| {
        let (jail, subject) = ("test".parse(), ip.parse());
        let jail = jail.expect("a name");
        (jail, subject.expect("a prefix"), offence(number))
    });
    Input::Restore(Remembered {
        offences: offences.to_vec(),
        ..Remembered::default()
    })
}

/// An engine that began without its database.
fn ignorant() -> Engine {
    let mut engine = Engine::new(doubling(Scope::Jail));
    let nothing = Remembered {
        more: true,
        ..Remembered::default()
    };
    engine.handle(at(1_000), Input::Restore(nothing), &mut Vec::new());
    engine
}

#[test]
fn what_is_read_late_overrules_no_newer_ban() {
    let mut engine = ignorant();
    let out = hear(&mut engine, 1_000, &[(1_000, A)]);
    assert_eq!(lengths(&out), [(600, 1)]);
    engine.handle(at(1_100), late(), &mut Vec::new());
    let out = hear(&mut engine, 1_600, &[(1_600, A), (1_600, "192.0.2.8")]);
    assert_eq!(lengths(&out), [(1_200, 2), (2_000, 4)]);
}

#[test]
fn what_is_read_late_does_not_undo_that_it_was_forgotten() {
    let forget = |subject: Option<&str>| Input::Unban {
        jail: None,
        subject: subject.map(|subject| subject.parse().expect("a prefix")),
        forget: true,
        reason: None,
    };
    for (subject, expected) in [
        (Some("192.0.2.8"), [(2_000, 6), (600, 1)]),
        (None, [(600, 1), (600, 1)]),
    ] {
        let mut engine = ignorant();
        engine.handle(at(1_000), forget(subject), &mut Vec::new());
        let mut out = Vec::new();
        engine.handle(at(1_100), late(), &mut out);
        let forgiven = out
            .iter()
            .filter(|told| matches!(told, Decision::Forgive(_)));
        let newcomers = expected.iter().filter(|(_, offence)| *offence == 1);
        assert_eq!(forgiven.count(), newcomers.count(), "the database is told");
        let out = hear(&mut engine, 1_600, &[(1_600, A), (1_600, "192.0.2.8")]);
        assert_eq!(lengths(&out), expected);
        assert_eq!(engine.forgotten, None, "nothing more is to come");
    }
}

#[test]
fn a_ban_by_hand_in_the_place_of_another_is_no_further_offence() {
    let mut engine = Engine::new(doubling(Scope::Jail));
    let by_hand = |bantime| Input::Ban {
        jail: "test".parse().expect("a name"),
        subject: A.parse().expect("a prefix"),
        bantime,
        reason: None,
    };
    let mut out = hear(&mut engine, 0, &[(0, A)]);
    engine.handle(at(1), by_hand(None), &mut out);
    engine.handle(at(2), by_hand(Some(ten_minutes())), &mut out);
    out.extend(hear(&mut engine, 700, &[(700, A)]));
    engine.handle(at(701), by_hand(None), &mut out);
    let expected = [(600, 1), (600, 1), (600, 1), (1_200, 2), (1_200, 2)];
    assert_eq!(lengths(&out), expected);
}

proptest! {
    /// Cut into two runs by a restart at any point, what was decided is the same.
    #[test]
    fn offences_survive_a_restart(
        steps in proptest::collection::vec((0_i64..3_000, 0_u32..3), 1..40),
        cut in any::<prop::sample::Index>(),
    ) {
        let mut time = 0;
        let lines: Vec<_> = steps.iter().map(|(step, host)| {
            time += step;
            (time, format!("192.0.2.{host}"))
        }).collect();
        let lines: Vec<_> = lines.iter().map(|(time, ip)| (*time, ip.as_str())).collect();
        let whole = hear(&mut Engine::new(doubling(Scope::Jail)), time, &lines);
        let cut = cut.index(lines.len());
        let (before, after) = lines.split_at(cut);
        let now = before.last().map_or(0, |(time, _)| *time);
        let mut engine = Engine::new(doubling(Scope::Jail));
        let mut out = hear(&mut engine, now, before);
        let mut remembered = remembered(&out);
        remembered.next_failure = Some(engine.next_failure);
        remembered.next_ban = Some(engine.next_ban);
        let mut engine = Engine::new(doubling(Scope::Jail));
        engine.handle(at(now), Input::Restore(remembered), &mut out);
        out.extend(hear(&mut engine, time, after));
        prop_assert_eq!(short(&out), short(&whole));
        prop_assert_eq!(lengths(&out), lengths(&whole));
    }
}
