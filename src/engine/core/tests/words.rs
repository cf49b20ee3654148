//! Facts about records that wait until a program has said whether it spares their address.

use std::collections::BTreeSet;
use std::net::IpAddr;

use super::names::{by_names, counts, hear_lines, waits};
use super::*;
use crate::engine::core::vouching::{MOST_OF_ONE, PATIENCE};
use crate::engine::core::waiting::MOST_AWAITED;
use crate::engine::decision::{AwaitedId, Ignored, Unknown};
use crate::engine::filter::Capture;
use crate::engine::policy::SetName;

const NO: bool = false;
const YES: bool = true;

fn program(name: &str) -> SetName {
    SetName::Command([name.into()].into())
}

/// The same policy as usual, of a jail that has this program asked.
fn asking(maxretry: u32, of: &str) -> Policy {
    let mut policy = by_names(maxretry, &[], UseDns::Yes);
    let sets = BTreeSet::from([program(of)]);
    policy.jails[0].ignore = IgnoreList::new(Vec::new()).with(sets);
    policy
}

fn engine(policy: Policy) -> Engine {
    let mut engine = Engine::new(policy);
    engine.expect_words();
    engine
}

fn says(engine: &mut Engine, now: i64, of: &str, address: &str, is_spared: bool) -> Vec<Decision> {
    let mut out = Vec::new();
    let input = Input::Word {
        program: program(of),
        address: address.parse().expect("an address"),
        is_spared,
    };
    engine.handle(at(now), input, &mut out);
    out
}

fn asked(engine: &Engine) -> Vec<IpAddr> {
    engine
        .awaited_words()
        .map(|(_, address)| *address)
        .collect()
}

fn reload(engine: &mut Engine, now: i64, policy: Policy) -> Vec<Decision> {
    let mut out = Vec::new();
    engine.handle(at(now), Input::Policy(Box::new(policy)), &mut out);
    out
}

#[test]
fn whoever_is_not_spared_is_banned_at_the_time_of_the_records() {
    let mut engine = engine(asking(2, "p"));
    let out = hear(&mut engine, 5, &[(1, A), (2, "192.0.2.8"), (3, A)]);
    assert_eq!((waits(&out), counts(&out)), (vec![1, 2, 3], vec![]));
    let addresses: [IpAddr; 2] = [[192, 0, 2, 7].into(), [192, 0, 2, 8].into()];
    assert_eq!(asked(&engine), addresses);
    assert_eq!(says(&mut engine, 6, "another", A, NO), []);
    let out = says(&mut engine, 6, "p", A, NO);
    assert_eq!(waits(&out), [-1, -3]);
    assert_eq!(short(&out), ["+192.0.2.7 @3 #1"]);
    assert_eq!(counts(&out), [1, 3].map(|time| (A.to_owned(), time)));
    let last = out.iter().rev().find_map(|decision| match decision {
        Decision::Count(failure) => Some((failure.user.as_deref(), &*failure.line)),
        _ => None,
    });
    assert_eq!(last, Some((Some("root"), "no root from 192.0.2.7")));
    assert_eq!(says(&mut engine, 7, "p", A, NO), [], "answered once");
}

#[test]
fn whoever_is_spared_has_not_failed() {
    let mut engine = engine(asking(1, "p"));
    assert_eq!(waits(&hear(&mut engine, 1, &[(1, A), (1, A)])), [1, 2]);
    let ignored = || {
        Decision::Ignore(Ignored {
            jail: "test".parse().expect("a name"),
            address: A.parse().expect("an address"),
            by: Some(program("p")),
        })
    };
    let gone = [1, 2].map(|id| [ignored(), Decision::Answered(AwaitedId(id))]);
    assert_eq!(says(&mut engine, 2, "p", A, YES), gone.concat());
    // Nobody is asked where nobody asks, as in a replay.
    let out = hear(&mut Engine::new(asking(1, "p")), 1, &[(1, A)]);
    assert_eq!(short(&out), ["+192.0.2.7 @1 #1"]);
}

#[test]
fn no_program_is_waited_for_very_long() {
    let mut engine = engine(asking(1, "p"));
    hear(&mut engine, 10, &[(1, A)]);
    hear(&mut engine, 12, &[(12, "192.0.2.8")]);
    let late = at(10).at_latest().after(PATIENCE);
    assert_eq!(engine.next_deadline(), Some(late));
    let tick = |engine: &mut Engine, now: Timestamp| {
        let mut out = Vec::new();
        engine.handle(now, Input::Tick, &mut out);
        short(&out)
    };
    assert_eq!(tick(&mut engine, late.before(SECOND)), [] as [&str; 0]);
    assert_eq!(tick(&mut engine, late), ["+192.0.2.7 @1 #1"]);
    assert_eq!(asked(&engine).len(), 1);
    // A clock that was set back.
    assert_eq!(tick(&mut engine, at(11)), ["+192.0.2.8 @11 #1"]);
}

#[test]
fn whoever_is_let_in_while_a_program_is_asked_has_mistyped() {
    let mut engine = engine(asking(3, "p"));
    let lines = [
        (1, "no root from 192.0.2.7"),
        (2, "no root from 192.0.2.7"),
        (3, "yes root from 192.0.2.7"),
        (4, "no root from 192.0.2.7"),
        (5, "yes root from 192.0.2.9"),
    ];
    let out = hear_lines(&mut engine, 6, &lines);
    assert_eq!(waits(&out), [1, 2, 3, 4], "a login alone waits for nobody");
    let out = says(&mut engine, 7, "p", A, NO);
    assert_eq!((counts(&out).len(), short(&out).len()), (3, 0));
    assert!(matches!(
        out.iter().find(|decision| matches!(decision, Decision::Clear(_))),
        Some(Decision::Clear(cleared)) if cleared.failures == 2 && cleared.time == at(3)
    ));
}

#[test]
fn the_addresses_of_a_name_are_asked_about_too() {
    let mut engine = engine(asking(1, "p"));
    let lines = [(1, "no root from mail.example.org")];
    assert_eq!(waits(&hear_lines(&mut engine, 1, &lines)), [1]);
    let mut out = Vec::new();
    let host = "mail.example.org".parse().expect("a name");
    let addresses = vec![A.parse().expect("an address")];
    engine.handle(at(2), Input::Named { host, addresses }, &mut out);
    assert_eq!(waits(&out), [2, -1]);
    let out = says(&mut engine, 3, "p", A, NO);
    assert_eq!(short(&out), ["+192.0.2.7 @1 #1"]);
}

#[test]
fn what_waited_for_a_program_is_judged_by_the_next_run_or_settings() {
    let mut told = engine(asking(1, "p"));
    let heard = hear(&mut told, 1, &[(1, A)]);
    assert_eq!(reload(&mut told, 2, asking(1, "p")), []);
    assert_eq!(reload(&mut told, 2, asking(1, "q")), [], "another is asked");
    assert_eq!(says(&mut told, 3, "p", A, NO), []);
    let out = reload(&mut told, 4, by_names(1, &[], UseDns::Yes));
    assert_eq!(
        (waits(&out), short(&out)),
        (vec![-1], vec!["+192.0.2.7 @1 #1".to_owned()])
    );
    let mut gone = asking(1, "p");
    gone.jails[0].name = "other".parse().expect("a name");
    let mut other = engine(asking(1, "p"));
    hear(&mut other, 1, &[(1, A)]);
    let answered = vec![Decision::Answered(AwaitedId(1))];
    assert_eq!(reload(&mut other, 2, gone.clone()), answered);

    let restart = |policy| {
        let (mut engine, mut out) = (engine(policy), Vec::new());
        engine.handle(at(20), Input::Restore(remembered(&heard)), &mut out);
        (engine, out)
    };
    let (mut asks, out) = restart(asking(1, "p"));
    assert_eq!((out, asked(&asks).len()), (vec![], 1));
    assert_eq!(asks.next_deadline(), Some(at(20).after(PATIENCE)));
    assert_eq!(
        short(&says(&mut asks, 21, "p", A, NO)),
        ["+192.0.2.7 @1 #1"]
    );
    let (_, out) = restart(by_names(1, &[], UseDns::Yes));
    assert_eq!(short(&out), ["+192.0.2.7 @1 #1"]);
    assert_eq!(restart(gone).1, answered);
}

#[test]
fn who_has_no_room_to_wait_is_judged_at_once() {
    let mut engine = engine(asking(1, "p"));
    let hosts: Vec<_> = (0..MOST_AWAITED as u32 + 2)
        .map(|number| std::net::Ipv4Addr::from(0xc600_0000 + number).to_string())
        .collect();
    let lines: Vec<_> = hosts.iter().map(|host| (1, host.as_str())).collect();
    let out = hear(&mut engine, 1, &lines);
    assert_eq!((waits(&out).len(), short(&out).len()), (MOST_AWAITED, 2));
}

#[test]
fn what_is_waited_for_can_be_written_down() {
    for text in [
        "mail.example.org",
        A,
        "192.0.2.7/24",
        "2001:db8::1",
        "2001:db8::1/64",
    ] {
        let unknown: Unknown = text.parse().expect("something to wait for");
        assert_eq!(unknown.to_string(), text);
    }
    for text in ["", "localhost", "192.0.2.7/33", "192.0.2.7/", "a/24"] {
        assert!(text.parse::<Unknown>().is_err(), "{text}");
    }
}

#[test]
fn who_is_forgiven_waits_for_nothing() {
    let forget = |engine: &mut Engine, jail: Option<&str>, whom: Option<&str>| {
        let input = Input::Unban {
            jail: jail.map(|name| name.parse().expect("a name")),
            subject: whom.map(|text| text.parse().expect("a subject")),
            forget: true,
            reason: None,
        };
        let mut out = Vec::new();
        engine.handle(at(2), input, &mut out);
        (waits(&out), asked(engine).len())
    };
    let waiting = || {
        let mut engine = engine(asking(2, "p"));
        hear(&mut engine, 1, &[(1, A), (1, "192.0.2.8"), (1, A)]);
        engine
    };
    assert_eq!(
        forget(&mut waiting(), Some("test"), Some(A)),
        (vec![-1, -3], 1)
    );
    assert_eq!(forget(&mut waiting(), None, Some("192.0.2.0/24")).1, 0);
    assert_eq!(forget(&mut waiting(), None, None).1, 0);
    assert_eq!(forget(&mut waiting(), None, Some("192.0.2.9")), (vec![], 2));
    let waiting = waiting();
    let (jail, meant) = (
        "test".parse().expect("a name"),
        A.parse().expect("a subject"),
    );
    assert!(waiting.is_offender(&jail, &meant));
    let other = "192.0.2.9".parse().expect("a subject");
    assert!(!waiting.is_offender(&jail, &other));
}

#[test]
fn a_session_that_waits_keeps_its_name() {
    let mut policy = asking(1, "p");
    let spec = FilterSpec {
        failures: vec![PatternSpec {
            number: 1,
            text: "^session <session> from <ip>$".to_owned(),
            fields: Vec::new(),
            unless_counted: false,
        }],
        successes: Vec::new(),
        session_by_pid: false,
        ..policy.filters.spec(FilterId(0)).clone()
    };
    policy.filters = FilterSet::compile(vec![spec]).expect("a filter set");
    policy.jails[0].logins = None;
    policy.jails[0].named_by = Some(Capture::Session);
    let mut engine = engine(policy);
    let mut batch = Batch::default();
    let mut record = Record::bare(at(1), b"session 7f from 192.0.2.7");
    record.host = "gate";
    batch.push(record);
    let (source, mut out) = ("journal".parse().expect("a name"), Vec::new());
    let input = Input::Records {
        source: Some(&source),
        batch: &batch,
        more: false,
    };
    engine.handle(at(1), input, &mut out);
    assert_eq!(waits(&out), [1]);
    assert_eq!(short(&says(&mut engine, 2, "p", A, NO)), ["+7f @1 #1"]);
}

#[test]
fn nobody_takes_the_room_of_others_to_wait() {
    let mut engine = engine(asking(1, "p"));
    let out = hear(&mut engine, 1, &[(1, A); MOST_OF_ONE + 1]);
    assert_eq!(short(&out), ["+192.0.2.7 @1 #1"]);
    assert_eq!(counts(&out).len(), MOST_OF_ONE);
    assert_eq!(
        waits(&out).iter().filter(|id| **id > 0).count(),
        MOST_OF_ONE + 1
    );
    assert_eq!(asked(&engine).len(), 1, "the next one begins anew");
}

#[test]
fn what_waits_for_a_jail_that_is_left_out_is_kept_for_it() {
    let mut told = engine(asking(1, "p"));
    let heard = hear(&mut told, 1, &[(1, A)]);
    let mut other = asking(1, "p");
    other.jails[0].name = "other".parse().expect("a name");
    other.left_out = LeftOut::of(
        BTreeSet::from(["test".parse().expect("a name")]),
        BTreeSet::new(),
        false,
    );
    let (mut engine, mut out) = (engine(other), Vec::new());
    engine.handle(at(2), Input::Restore(remembered(&heard)), &mut out);
    assert_eq!((out, asked(&engine).len()), (vec![], 0));
}
