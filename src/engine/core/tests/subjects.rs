//! Facts about jails that ban users, mailboxes and sessions.

use super::*;
use crate::engine::explain::Place;
use crate::engine::filter::{Capture, Outcome};
use crate::engine::subject::{Name, Subject};

/// A jail that bans users who fail twice, and knows who was let in.
fn of_users() -> Policy {
    let mut policy = policy(2, 600, ten_minutes(), &["203.0.113.0/24"]);
    let failures = policy.filters.spec(FilterId(0)).clone();
    let pattern = |text: &str, number: u16| PatternSpec {
        text: text.to_owned(),
        number,
        ..failures.failures[0].clone()
    };
    let logins = FilterSpec {
        failures: vec![pattern("^yes <user> from <ip>$", 1)],
        outcome: Outcome::Success,
        ..failures.clone()
    };
    let failures = FilterSpec {
        failures: vec![
            pattern("^no <user> from <host>$", 1),
            pattern("^session <session> of <target> from <ip>$", 2),
        ],
        ..failures.clone()
    };
    policy.filters = FilterSet::compile(vec![failures, logins]).expect("a filter set");
    policy.jails[0].logins = Some(FilterId(1));
    policy.jails[0].named_by = Some(Capture::User);
    policy
}

fn name(text: &str) -> Subject {
    Name::of(text).expect("a name").into()
}

fn say(engine: &mut Engine, now: i64, lines: &[(i64, &str)]) -> Vec<Decision> {
    let mut batch = Batch::default();
    for (time, line) in lines {
        batch.push(Record::bare(at(*time), line.as_bytes()));
    }
    let input = Input::Records {
        source: None,
        batch: &batch,
        more: false,
    };
    let mut out = Vec::new();
    engine.handle(at(now), input, &mut out);
    out
}

fn bans(decisions: &[Decision]) -> Vec<(String, u32)> {
    let bans = decisions.iter().filter_map(|decision| match decision {
        Decision::Ban(ban) => {
            assert_eq!(ban.subject.network(), None);
            Some((ban.subject.plain(), ban.offence))
        }
        _ => None,
    });
    bans.collect()
}

fn by_hand(subject: Subject) -> Input<'static> {
    Input::Ban {
        jail: "test".parse().expect("a name"),
        subject,
        bantime: None,
        reason: None,
    }
}

#[test]
fn a_user_is_banned_wherever_he_fails_from() {
    let mut engine = Engine::new(of_users());
    let out = say(
        &mut engine,
        4,
        &[
            (1, "no Jo from 192.0.2.1"),
            (2, "no root from 192.0.2.1"),
            (3, "session 7 of shop from 192.0.2.1"),
            (4, "no jo  from home.example.org"),
        ],
    );
    // As he was written first, and a record without user counts for nobody.
    assert_eq!(bans(&out), [("Jo".to_owned(), 1)]);
    let counted = out.iter().filter(|one| matches!(one, Decision::Count(_)));
    assert_eq!(counted.count(), 3);
    let out = say(&mut engine, 5, &[(5, "no JO from 2001:db8::1")]);
    assert!(
        matches!(&out[..], [Decision::Count(failure)] if !failure.counted
            && failure.subject.plain() == "Jo" && failure.user.as_deref() == Some("JO"))
    );
    let verdicts = engine.explain(at(5), &name("jo"));
    assert!(matches!(&verdicts[0].place, Place::Banned { .. }));
    let address = "192.0.2.1".parse().expect("an address");
    assert!(engine.explain(at(5), &address).is_empty());
}

#[test]
fn an_ignored_address_is_no_failure_of_a_user_either() {
    let mut engine = Engine::new(of_users());
    let lines = [(1, "no jo from 203.0.113.1"), (2, "no jo from 203.0.113.2")];
    assert_eq!(
        ignored(&say(&mut engine, 2, &lines)),
        ["203.0.113.1", "203.0.113.2"]
    );
}

#[test]
fn a_login_takes_back_what_its_user_has_failed() {
    let mut engine = Engine::new(of_users());
    let lines = [
        (1, "no jo from 192.0.2.1"),
        (2, "yes JO from 192.0.2.2"),
        (3, "no jo from 192.0.2.3"),
    ];
    assert!(bans(&say(&mut engine, 3, &lines)).is_empty());
    let out = say(&mut engine, 4, &[(4, "no jo from 192.0.2.3")]);
    assert_eq!(bans(&out).len(), 1);
}

#[test]
fn sessions_and_targets_are_banned_as_well() {
    for (capture, who) in [(Capture::Session, "aB7"), (Capture::Target, "shop")] {
        let mut policy = of_users();
        policy.jails[0].named_by = Some(capture);
        let mut engine = Engine::new(policy);
        let lines = [
            (1, "session aB7 of shop from 192.0.2.1"),
            (2, "no jo from 192.0.2.1"),
            (3, "session aB7 of shop from 192.0.2.2"),
        ];
        let out = say(&mut engine, 3, &lines);
        assert_eq!(bans(&out), [(who.to_owned(), 1)]);
    }
}

#[test]
fn names_are_banned_lifted_and_forgiven_by_hand() {
    let mut engine = Engine::new(of_users());
    let mut out = say(&mut engine, 1, &[(1, "no Jo from 192.0.2.1")]);
    engine.handle(at(2), by_hand(name("jo")), &mut out);
    assert_eq!(bans(&out), [("Jo".to_owned(), 1)]);
    let address: Subject = "192.0.2.1".parse().expect("an address");
    out.clear();
    engine.handle(at(3), by_hand(address.clone()), &mut out);
    let unban = |subject| Input::Unban {
        jail: None,
        subject: Some(subject),
        forget: true,
        reason: None,
    };
    engine.handle(at(3), unban(address), &mut out);
    engine.handle(at(3), unban(name("192.0.2.1")), &mut out);
    assert!(out.is_empty(), "{out:?}");
    engine.handle(at(4), unban(name("JO")), &mut out);
    assert!(
        matches!(&out[..], [Decision::Unban(unban), Decision::Forgive(forgiven)]
            if unban.subject.plain() == "Jo" && forgiven.subject.plain() == "Jo"),
        "{out:?}"
    );
    assert!(engine.ledger().is_empty());
}

#[test]
fn a_user_who_looks_like_an_address_is_none() {
    let mut policy = of_users();
    policy.jails.push(JailPolicy {
        name: "hosts".parse().expect("a name"),
        named_by: None,
        maxretry: MaxRetry(NonZeroU32::new(9).expect("not zero")),
        ..policy.jails[0].clone()
    });
    let mut engine = Engine::new(policy);
    let lines = [
        (1, "no 198.51.100.7 from 192.0.2.1"),
        (2, "no 198.51.100.7 from 192.0.2.2"),
    ];
    let out = say(&mut engine, 2, &lines);
    assert_eq!(bans(&out), [("198.51.100.7".to_owned(), 1)]);
    let host: Subject = "198.51.100.7".parse().expect("an address");
    let verdicts = engine.explain(at(2), &host);
    assert!(matches!(&verdicts[..], [verdict] if verdict.place == Place::Clear));
}

#[test]
fn who_bans_something_else_now_frees_whom_it_has_banned() {
    let mut engine = Engine::new(of_users());
    let lines = [
        (1, "no jo from 192.0.2.1"),
        (2, "no jo from 192.0.2.1"),
        (3, "no al from 192.0.2.1"),
    ];
    let mut all = say(&mut engine, 3, &lines);
    let mut changed = of_users();
    changed.jails[0].named_by = None;
    // After a restart as after a reload.
    let mut other = Engine::new(changed.clone());
    let remembered = remembered(&all);
    for (engine, input) in [
        (&mut engine, Input::Policy(Box::new(changed))),
        (&mut other, Input::Restore(remembered)),
    ] {
        all.clear();
        engine.handle(at(4), input, &mut all);
        assert!(
            matches!(&all[..], [Decision::Unban(unban)] if unban.release == Release::JailGone),
            "{all:?}"
        );
        assert!(engine.jails[0].windows.is_empty());
    }
}

#[test]
fn a_jail_of_bans_hears_only_of_its_like() {
    let mut policy = of_users();
    let bans_spec = FilterSpec {
        name: "bans".parse().expect("a name"),
        records: RecordsSpec {
            bans: true,
            ..RecordsSpec::default()
        },
        failures: Vec::new(),
        ..policy.filters.spec(FilterId(0)).clone()
    };
    let specs = [FilterId(0), FilterId(1)].map(|id| policy.filters.spec(id).clone());
    let specs = specs.into_iter().chain([bans_spec]).collect();
    policy.filters = FilterSet::compile(specs).expect("a filter set");
    for (name, named_by) in [("hosts", None), ("users", Some(Capture::User))] {
        policy.jails.push(JailPolicy {
            name: name.parse().expect("a name"),
            filter: FilterId(2),
            logins: None,
            named_by,
            maxretry: MaxRetry(NonZeroU32::MIN),
            ..policy.jails[0].clone()
        });
    }
    let mut engine = Engine::new(policy);
    let lines = [(1, "no jo from 192.0.2.1"), (2, "no jo from 192.0.2.1")];
    let out = say(&mut engine, 2, &lines);
    let jails = out.iter().filter_map(|decision| match decision {
        Decision::Ban(ban) => Some((ban.jail.as_str(), ban.subject.plain())),
        _ => None,
    });
    let jails: Vec<_> = jails.collect();
    assert_eq!(
        jails,
        [("test", "jo".to_owned()), ("users", "jo".to_owned())]
    );
}
