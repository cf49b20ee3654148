//! Facts about records that give a name instead of an address.

use std::collections::HashMap;
use std::net::IpAddr;

use super::*;
use crate::engine::core::waiting::MOST_AWAITED;
use crate::engine::decision::{AwaitedId, Notice};
use crate::engine::host::HostName;

const MAIL: &str = "mail.example.org";

/// The same policy as usual, of a filter that takes names and knows of logins.
pub(super) fn by_names(maxretry: u32, ignore: &[&str], usedns: UseDns) -> Policy {
    let mut policy = policy(maxretry, 600, ten_minutes(), ignore);
    let pattern = |number, text: &str| PatternSpec {
        number,
        text: text.to_owned(),
        fields: Vec::new(),
        unless_counted: number == 2,
    };
    let spec = FilterSpec {
        session_by_pid: true,
        failures: vec![
            pattern(1, "^no <user> from <host>$"),
            pattern(2, "^closed <host>$"),
        ],
        successes: vec![pattern(1, "^yes <user> from <host>$")],
        ..policy.filters.spec(FilterId(0)).clone()
    };
    let successes = spec.of_successes().expect("it knows some");
    policy.filters = FilterSet::compile(vec![spec, successes]).expect("a filter set");
    policy.jails[0].logins = Some(FilterId(1));
    policy.jails[0].usedns = usedns;
    policy
}

fn name(text: &str) -> HostName {
    text.parse().expect("a name")
}

fn named(engine: &mut Engine, now: i64, host: &str, addresses: &[&str]) -> Vec<Decision> {
    let mut out = Vec::new();
    let parsed = addresses
        .iter()
        .map(|text| text.parse().expect("an address"));
    let input = Input::Named {
        host: name(host),
        addresses: parsed.collect(),
    };
    engine.handle(at(now), input, &mut out);
    out
}

pub(super) fn hear_lines(engine: &mut Engine, now: i64, lines: &[(i64, &str)]) -> Vec<Decision> {
    let mut batch = Batch::default();
    for (time, line) in lines {
        let mut record = Record::bare(at(*time), line.as_bytes());
        record.pid = Some(7);
        batch.push(record);
    }
    let (mut out, source) = (Vec::new(), "journal".parse().expect("a name"));
    let input = Input::Records {
        source: Some(&source),
        batch: &batch,
        more: true,
    };
    engine.handle(at(now), input, &mut out);
    out
}

/// The numbers of what waits, and, with a minus, of what waits no longer.
pub(super) fn waits(decisions: &[Decision]) -> Vec<i64> {
    let number = |id: AwaitedId| i64::try_from(id.0).expect("a small one");
    let one = |decision: &Decision| match decision {
        Decision::Await(awaited) => Some(number(awaited.id)),
        Decision::Answered(id) => Some(-number(*id)),
        _ => None,
    };
    decisions.iter().filter_map(one).collect()
}

/// Whose addresses are awaited.
fn hosts(engine: &Engine) -> Vec<&HostName> {
    engine.awaited_hosts().collect()
}

/// Who is counted, and whether it counts.
pub(super) fn counts(decisions: &[Decision]) -> Vec<(String, i64)> {
    let one = |decision: &Decision| match decision {
        Decision::Count(failure) => {
            let time = failure.time.as_micros() / 1_000_000;
            Some((failure.subject.plain(), time))
        }
        _ => None,
    };
    decisions.iter().filter_map(one).collect()
}

#[test]
fn a_name_counts_at_the_time_of_its_records_when_its_addresses_are_known() {
    let mut engine = Engine::new(by_names(3, &[], UseDns::Yes));
    let out = hear(
        &mut engine,
        5,
        &[
            (1, MAIL),
            (2, "Mail.Example.Org."),
            (3, "other.example.org"),
        ],
    );
    assert_eq!((waits(&out), counts(&out)), (vec![1, 2, 3], vec![]));
    let out = hear(&mut engine, 6, &[(6, MAIL)]);
    assert_eq!(waits(&out), [4]);
    assert_eq!(hosts(&engine), [&name(MAIL), &name("other.example.org")]);
    let out = named(&mut engine, 60, MAIL, &[A]);
    assert_eq!(waits(&out), [-1, -2, -4]);
    assert_eq!(counts(&out), [1, 2, 6].map(|time| (A.to_owned(), time)));
    assert_eq!(short(&out), ["+192.0.2.7 @6 #1"]);
    let lines = out.iter().filter_map(|decision| match decision {
        Decision::Count(failure) => Some((failure.user.as_deref(), &*failure.line)),
        _ => None,
    });
    assert!(lines.clone().all(|(user, _)| user == Some("root")));
    assert_eq!(
        lines.map(|(_, line)| line).next_back(),
        Some("no root from mail.example.org")
    );
    assert_eq!(named(&mut engine, 61, MAIL, &[A]), [], "answered once");
    let out = named(&mut engine, 62, "other.example.org", &[]);
    assert_eq!((waits(&out), counts(&out)), (vec![-3], vec![]));
    assert_eq!(engine.awaited().count(), 0);
}

#[test]
fn a_ban_that_is_over_when_the_answer_comes_is_history_only() {
    let mut engine = Engine::new(by_names(1, &[], UseDns::Warn));
    hear(&mut engine, 0, &[(0, MAIL)]);
    let out = named(&mut engine, 601, MAIL, &[A]);
    assert_eq!(short(&out), ["+192.0.2.7 @0 #1", "-192.0.2.7 @600 Expired"]);
}

#[test]
fn a_name_from_the_future_counts_as_of_now() {
    let mut engine = Engine::new(by_names(1, &[], UseDns::Yes));
    let out = hear(&mut engine, 10, &[(100, MAIL)]);
    assert!(matches!(&out[0], Decision::Notice(Notice::Future { .. })));
    assert_eq!(waits(&out), [1]);
    let out = named(&mut engine, 200, MAIL, &[A]);
    assert_eq!(short(&out), ["+192.0.2.7 @10 #1"]);
}

/// Whoever is behind a trusted proxy is meant, whatever addresses that has.
#[test]
fn a_proxy_that_is_known_by_name_speaks_for_others() {
    let mut policy = by_names(1, &[], UseDns::Yes);
    let mut spec = policy.filters.spec(FilterId(0)).clone();
    spec.failures = vec![PatternSpec {
        number: 1,
        text: "^for <forwarded> from <host>$".to_owned(),
        fields: Vec::new(),
        unless_counted: false,
    }];
    policy.filters = FilterSet::compile(vec![spec]).expect("a filter set");
    policy.jails[0].logins = None;
    let proxy = IgnoreRule {
        prefix: "198.51.100.0/24".parse().expect("a prefix"),
        because: "a proxy".into(),
    };
    policy.jails[0].trusted = IgnoreList::new(vec![proxy]);
    let mut engine = Engine::new(policy);
    let line = "for 203.0.113.9, 192.0.2.7 from proxy.example.org";
    hear_lines(&mut engine, 1, &[(1, line)]);
    let addresses = ["198.51.100.1", "198.51.100.2"];
    let out = named(&mut engine, 2, "proxy.example.org", &addresses);
    assert_eq!(short(&out), ["+192.0.2.7 @1 #1"]);
    assert_eq!(counts(&out).len(), 1, "one record is one failure");
}

#[test]
fn nobody_waits_where_names_are_not_wanted_or_are_none() {
    let mut engine = Engine::new(by_names(1, &[], UseDns::No));
    assert_eq!(hear(&mut engine, 1, &[(1, MAIL)]), []);
    let mut engine = Engine::new(by_names(1, &[], UseDns::Yes));
    for host in ["localhost", "127.1", "a..b.org"] {
        assert_eq!(hear(&mut engine, 1, &[(1, host)]), [], "{host}");
    }
    let mut policy = by_names(1, &[], UseDns::Yes);
    policy.jails[0].counting = Counting::Users;
    let mut engine = Engine::new(policy);
    let out = hear_lines(&mut engine, 1, &[(1, "closed mail.example.org")]);
    assert_eq!(out, [], "it names no user");
}

#[test]
fn each_address_of_a_name_counts_but_those_that_are_ignored() {
    let mut engine = Engine::new(by_names(1, &["192.0.2.8"], UseDns::Yes));
    hear(&mut engine, 1, &[(1, MAIL)]);
    // Two addresses of one subject are one.
    let addresses = [A, "192.0.2.8", "2001:db8::1", "2001:db8::2"];
    let out = named(&mut engine, 2, MAIL, &addresses);
    assert_eq!(counts(&out).len(), 2);
    assert_eq!(short(&out), ["+192.0.2.7 @1 #1", "+2001:db8::/64 @1 #1"]);
}

#[test]
fn whoever_is_let_in_by_name_has_mistyped_by_name() {
    let mut engine = Engine::new(by_names(3, &[], UseDns::Yes));
    let lines = [
        (1, "no root from mail.example.org"),
        (2, "no root from mail.example.org"),
        (3, "yes root from mail.example.org"),
        (4, "no root from mail.example.org"),
        (5, "no root from mail.example.org"),
    ];
    hear_lines(&mut engine, 6, &lines);
    let out = named(&mut engine, 7, MAIL, &[A]);
    assert_eq!((counts(&out).len(), waits(&out).len()), (4, 5));
    assert!(matches!(
        out.iter().find(|decision| matches!(decision, Decision::Clear(_))),
        Some(Decision::Clear(cleared)) if cleared.failures == 2 && cleared.time == at(3)
    ));
    assert_eq!(short(&out), [] as [&str; 0]);
}

#[test]
fn the_closing_line_of_a_session_that_waits_is_no_further_failure() {
    let lines = [
        (1, "no root from mail.example.org"),
        (2, "closed mail.example.org"),
    ];
    let mut engine = Engine::new(by_names(9, &[], UseDns::Yes));
    let out = hear_lines(&mut engine, 2, &lines);
    assert_eq!(waits(&out), [1]);
    // Also after a restart, whether or not there was an answer.
    let mut restarted = Engine::new(by_names(9, &[], UseDns::Yes));
    restarted.handle(at(3), Input::Restore(remembered(&out)), &mut Vec::new());
    assert_eq!(hear_lines(&mut restarted, 4, &lines[1..]), []);
    let out = named(&mut restarted, 5, MAIL, &[A]);
    assert_eq!(counts(&out), [(A.to_owned(), 1)]);
    assert_eq!(hear_lines(&mut restarted, 6, &lines[1..]), []);
}

#[test]
fn what_waited_when_a_run_ended_is_judged_by_the_next() {
    let mut engine = Engine::new(by_names(3, &[], UseDns::Yes));
    let mut all = hear(&mut engine, 3, &[(1, MAIL), (2, A), (3, MAIL)]);
    all.extend(hear(&mut engine, 4, &[(4, "other.example.org")]));
    all.extend(named(&mut engine, 5, "other.example.org", &["192.0.2.9"]));
    let mut past = remembered(&all);
    assert_eq!(past.awaited.len(), 2);
    past.next_awaited = Some(AwaitedId(4));
    past.next_failure = Some(FailureId(3));
    let mut restarted = Engine::new(by_names(3, &[], UseDns::Yes));
    restarted.handle(at(10), Input::Restore(past), &mut Vec::new());
    assert_eq!(hosts(&restarted), [&name(MAIL)]);
    assert_eq!(
        waits(&hear(&mut restarted, 11, &[(11, "new.example.org")])),
        [4]
    );
    let out = named(&mut restarted, 12, MAIL, &[A]);
    assert_eq!(waits(&out), [-1, -2]);
    assert_eq!(short(&out), ["+192.0.2.7 @3 #1"]);
}

#[test]
fn a_reload_lets_nothing_wait_that_it_does_not_want() {
    let mut engine = Engine::new(by_names(1, &[], UseDns::Yes));
    hear(&mut engine, 1, &[(1, MAIL)]);
    let mut reload = |policy: Policy| {
        let mut out = Vec::new();
        engine.handle(at(2), Input::Policy(Box::new(policy)), &mut out);
        (out, engine.awaited().count())
    };
    assert_eq!(reload(by_names(1, &[], UseDns::Warn)), (vec![], 1));
    let gone = vec![Decision::Answered(AwaitedId(1))];
    assert_eq!(reload(by_names(1, &[], UseDns::No)), (gone.clone(), 0));
    // Likewise a start with other settings.
    let mut engine = Engine::new(by_names(1, &[], UseDns::Yes));
    let out = hear(&mut engine, 1, &[(1, MAIL)]);
    for policy in [by_names(1, &[], UseDns::No), {
        let mut other = by_names(1, &[], UseDns::Yes);
        other.jails[0].name = "other".parse().expect("a name");
        other
    }] {
        let (mut started, mut told) = (Engine::new(policy), Vec::new());
        started.handle(at(3), Input::Restore(remembered(&out)), &mut told);
        assert_eq!((told, started.awaited().count()), (gone.clone(), 0));
    }
}

#[test]
fn attackers_cannot_let_any_number_wait() {
    let mut engine = Engine::new(by_names(1, &[], UseDns::Yes));
    let hosts: Vec<_> = (0..MOST_AWAITED + 2)
        .map(|number| format!("h{number}.example.org"))
        .collect();
    let lines: Vec<_> = hosts.iter().map(|host| (1, host.as_str())).collect();
    let full = Decision::Notice(Notice::NamesFull {
        jail: "test".parse().expect("a name"),
    });
    let told = |out: &[Decision]| out.iter().filter(|decision| **decision == full).count();
    let out = hear(&mut engine, 1, &lines);
    assert_eq!((waits(&out).len(), told(&out)), (MOST_AWAITED, 1));
    named(&mut engine, 2, &hosts[0], &[]);
    let out = hear(&mut engine, 3, &lines[..3]);
    assert_eq!((waits(&out).len(), told(&out)), (1, 0), "told once");
    for host in &hosts {
        named(&mut engine, 4, host, &[]);
    }
    let out = hear(&mut engine, 5, &lines);
    assert_eq!(
        (waits(&out).len(), told(&out)),
        (MOST_AWAITED, 1),
        "told anew"
    );
}

/// What happens next.
#[derive(Clone, Debug)]
enum Step {
    /// A failure, this much later, of a host that is logged by name, or by address.
    Fail(i64, usize, bool),
    /// Somebody knows the addresses of this host.
    Answer(usize),
    /// The daemon is killed and started again.
    Restart,
}

const HOSTS: usize = 4;

fn addresses(host: usize) -> Vec<IpAddr> {
    // Some hosts have several, and one has none.
    (0..host)
        .map(|number| IpAddr::from([192, 0, host as u8, number as u8]))
        .collect()
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        6 => (0_i64..300, 0..HOSTS, any::<bool>()).prop_map(|(later, host, by_name)| Step::Fail(later, host, by_name)),
        2 => (0..HOSTS).prop_map(Step::Answer),
        1 => Just(Step::Restart),
    ];
    prop::collection::vec(step, 0..60)
}

proptest! {
    /// However late answers come, in whatever order, and whatever ends in between: the bans are those that there would
    /// have been, had the records given addresses.
    #[test]
    fn a_late_answer_makes_no_difference(steps in steps(), maxretry in 1_u32..5) {
        let mut policy = by_names(maxretry, &["192.0.3.1"], UseDns::Yes);
        // So that no ban is over: whoever is banned does nothing that would count.
        policy.jails[0].bantime = BanTime::Forever;
        let bans = |decisions: &[Decision]| {
            let one = |decision: &Decision| match decision {
                Decision::Ban(ban) => Some(((ban.subject.clone(), ban.start), ban.evidence.len())),
                _ => None,
            };
            decisions.iter().filter_map(one).collect::<HashMap<_, _>>()
        };
        let (mut told, mut known) = (Engine::new(policy.clone()), Engine::new(policy.clone()));
        let (mut by_name, mut by_address) = (Vec::new(), Vec::new());
        let mut now = 0;
        let answers = (0..HOSTS).map(Step::Answer);
        for step in steps.into_iter().chain(answers) {
            match step {
                Step::Fail(later, host, is_named) => {
                    now += later;
                    // Those that are logged by address have others.
                    let plain = format!("198.51.100.{host}");
                    let logged = if is_named { format!("h{host}.example.org") } else { plain.clone() };
                    by_name.extend(hear(&mut told, now, &[(now, &logged)]));
                    let meant = if is_named {
                        addresses(host).iter().map(ToString::to_string).collect()
                    } else {
                        vec![plain]
                    };
                    for address in meant {
                        by_address.extend(hear(&mut known, now, &[(now, &address)]));
                    }
                }
                Step::Answer(host) => {
                    let input = Input::Named { host: name(&format!("h{host}.example.org")), addresses: addresses(host) };
                    told.handle(at(now), input, &mut by_name);
                }
                Step::Restart => {
                    let mut past = remembered(&by_name);
                    past.next_failure = Some(told.next_failure);
                    past.next_ban = Some(told.next_ban);
                    past.next_awaited = Some(told.next_awaited);
                    told = Engine::new(policy.clone());
                    told.handle(at(now), Input::Restore(past), &mut by_name);
                }
            }
        }
        prop_assert_eq!(bans(&by_name), bans(&by_address));
        let waits = waits(&by_name);
        prop_assert_eq!(waits.iter().sum::<i64>(), 0, "each is answered once: {:?}", waits);
        prop_assert_eq!((told.awaited().count(), told.awaited_hosts().count()), (0, 0));
    }
}

#[test]
fn of_a_long_list_of_proxies_the_end_is_kept() {
    use crate::engine::core::deferring::end_of;
    use crate::engine::record::kept::LONGEST_TEXT;

    assert_eq!(end_of("192.0.2.1, 192.0.2.2"), "192.0.2.1, 192.0.2.2");
    let long = format!("{}, 192.0.2.2", "192.0.2.1,".repeat(200));
    let end = end_of(&long);
    assert!(end.len() <= LONGEST_TEXT && end.len() > LONGEST_TEXT - 20);
    assert!(end.starts_with("192.0.2.1,") && end.ends_with(", 192.0.2.2"));
    assert_eq!(end_of(&"ü".repeat(LONGEST_TEXT)), "");
    // As they are kept, control characters would push out what stands behind them.
    let forged = format!("198.51.100.1,{},", "\u{1}".repeat(LONGEST_TEXT / 4));
    assert_eq!(end_of(&format!("{forged} 192.0.2.2")), " 192.0.2.2");
    assert_eq!(end_of("192.0.2.1, 192.0.2.2\u{85}"), "");
}
