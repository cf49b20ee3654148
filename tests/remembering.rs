//! What the engine decides is the same whether or not a restart lies between: by the real database.

use std::num::NonZeroU32;
use std::time::Duration;

use proptest::prelude::*;

use f2bd::engine::Engine;
use f2bd::engine::decision::Decision;
use f2bd::engine::filter::{FilterSet, FilterSpec, PatternSpec, RecordsSpec};
use f2bd::engine::input::Input;
use f2bd::engine::jail::escalation::{Escalation, Growth, Jitter, Scope};
use f2bd::engine::jail::network::{NetworkRule, NetworkWidth};
use f2bd::engine::policy::{FilterId, IgnoreList, JailPolicy, MaxRetry, Policy};
use f2bd::engine::prefix::SubjectWidth;
use f2bd::engine::record::{Batch, Record};
use f2bd::engine::time::{BanTime, FindTime, Timestamp};
use f2bd::store::Store;

const SECOND: Duration = Duration::from_secs(1);

fn at(seconds: i64) -> Timestamp {
    Timestamp::from_micros(seconds * 1_000_000)
}

fn number(number: u32) -> NonZeroU32 {
    NonZeroU32::new(number).unwrap()
}

fn rule(ipv4: u8, hosts: u32, maxretry: u32, findtime: u32) -> NetworkRule {
    NetworkRule {
        width: NetworkWidth::Ipv4(ipv4),
        hosts: number(hosts),
        maxretry: MaxRetry(number(maxretry)),
        findtime: FindTime(findtime * SECOND),
    }
}

/// Two jails over one filter, which differ in all that there is.
fn policy(scope: Scope, memory: u32) -> Policy {
    let spec = FilterSpec {
        name: "test".parse().unwrap(),
        mode: "normal".into(),
        title: "Test".to_owned(),
        records: RecordsSpec::default(),
        session_by_pid: false,
        failures: vec![PatternSpec {
            number: 1,
            text: "^no <user> from <ip>$".to_owned(),
            fields: Vec::new(),
            unless_counted: false,
        }],
        successes: Vec::new(),
        ignores: Vec::new(),
    };
    let escalation = Escalation {
        growth: Growth::Factor(2.0),
        max: None,
        jitter: Jitter::Share(0.0),
        memory: Some(memory * SECOND),
        scope,
    };
    let one = JailPolicy {
        name: "one".parse().unwrap(),
        filter: FilterId(0),
        sources: vec!["journal".parse().unwrap()],
        named_only: Vec::new(),
        route: None,
        maxretry: MaxRetry(number(2)),
        findtime: FindTime(200 * SECOND),
        bantime: BanTime::For(60 * SECOND),
        escalation: Some(escalation),
        networks: vec![rule(24, 3, 6, 600), rule(22, 5, 9, 900)],
        ignore: IgnoreList::new(Vec::new()),
        width: SubjectWidth::DEFAULT,
        actions: Vec::new(),
    };
    let two = JailPolicy {
        name: "two".parse().unwrap(),
        maxretry: MaxRetry(number(4)),
        findtime: FindTime(600 * SECOND),
        bantime: BanTime::For(100 * SECOND),
        networks: vec![rule(24, 2, 5, 300)],
        ..one.clone()
    };
    Policy {
        filters: FilterSet::compile(vec![spec]).unwrap(),
        jails: vec![one, two],
    }
}

fn hear(engine: &mut Engine, now: i64, lines: &[(i64, String)]) -> Vec<Decision> {
    let mut batch = Batch::default();
    for (time, ip) in lines {
        batch.push(Record::bare(
            at(*time),
            format!("no root from {ip}").as_bytes(),
        ));
    }
    let mut out = Vec::new();
    let records = Input::Records {
        source: None,
        batch: &batch,
        more: true,
    };
    engine.handle(at(now), records, &mut out);
    out
}

fn short(decisions: &[Decision]) -> Vec<String> {
    let one = |decision: &Decision| match decision {
        Decision::Ban(ban) => {
            let subject = ban.subject.plain();
            let end = ban.until().map(|until| until.as_micros() / 1_000_000);
            let start = ban.start.as_micros() / 1_000_000;
            Some(format!(
                "{} +{subject} @{start} until {end:?} #{}",
                ban.jail, ban.offence
            ))
        }
        Decision::Unban(unban) => {
            let subject = unban.subject.plain();
            let time = unban.time.as_micros() / 1_000_000;
            Some(format!(
                "{} -{subject} @{time} {:?}",
                unban.jail, unban.release
            ))
        }
        Decision::Notice(notice) => Some(format!("{notice:?}")),
        Decision::Resume(resumed) => {
            let subject = resumed.ban.subject.plain();
            let time = resumed.time.as_micros() / 1_000_000;
            Some(format!("{} *{subject} @{time}", resumed.ban.jail))
        }
        Decision::Count(_) | Decision::Forgive(_) => None,
    };
    decisions.iter().filter_map(one).collect()
}

/// What happens: when, whether the administrator frees the address instead of its failing, and which one.
type Event = (i64, bool, String);

fn live(engine: &mut Engine, events: &[Event]) -> Vec<Decision> {
    let mut out = Vec::new();
    for (time, is_freed, ip) in events {
        if *is_freed {
            let unban = Input::Unban {
                jail: None,
                subject: Some(ip.parse().unwrap()),
                forget: false,
            };
            engine.handle(at(*time), unban, &mut out);
        } else {
            out.extend(hear(engine, *time, &[(*time, ip.clone())]));
        }
    }
    out
}

/// What is decided without a restart, and what with one behind the first `cut` events.
fn both(policy: impl Fn() -> Policy, events: &[Event], cut: usize) -> (Vec<String>, Vec<String>) {
    let whole = live(&mut Engine::new(policy()), events);
    let (before, after) = events.split_at(cut);
    let middle = before.last().map_or(0, |(time, ..)| *time);
    let home = tempfile::tempdir().unwrap();
    let mut store = Store::open(&home.path().join("f2bd.db")).unwrap();
    let mut out = live(&mut Engine::new(policy()), before);
    store.commit(at(middle), &out, []).unwrap();
    let remembered = store.remembered(at(middle), 900 * SECOND).unwrap();
    let mut engine = Engine::new(policy());
    engine.handle(at(middle), Input::Restore(remembered), &mut out);
    out.extend(live(&mut engine, after));
    (short(&out), short(&whole))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(100))]

    #[test]
    fn a_restart_changes_no_decision(
        attack in proptest::collection::vec((0_i64..60, 0_u8..3, 0_u8..4, 0_u8..20), 1..100),
        memory in prop::sample::select(vec![60_u32, 400, 9_000]),
        is_of_all in any::<bool>(),
        cut in any::<prop::sample::Index>(),
    ) {
        let mut time = 0;
        let events: Vec<_> = attack.iter().map(|(step, network, host, what)| {
            time += step;
            (time, *what == 0, format!("192.0.{network}.{host}"))
        }).collect();
        let scope = if is_of_all { Scope::All } else { Scope::Jail };
        let (cut, whole) = both(|| policy(scope, memory), &events, cut.index(events.len()));
        prop_assert_eq!(cut, whole);
    }
}
