//! What the engine decides is the same whether or not a restart lies between: by the real database.

use std::net::IpAddr;
use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

use proptest::prelude::*;

use crate::support::mmdb::{database, operator};
use f2bd::engine::Engine;
use f2bd::engine::atlas::{Asn, Atlas, Tables};
use f2bd::engine::decision::{Decision, Release};
use f2bd::engine::filter::{Capture, FilterSet, FilterSpec, Outcome, PatternSpec, RecordsSpec};
use f2bd::engine::host::HostName;
use f2bd::engine::input::Input;
use f2bd::engine::jail::accounts::{AccountRule, Directory};
use f2bd::engine::jail::class::ClassRule;
use f2bd::engine::jail::escalation::{Escalation, Growth, Jitter, Scope};
use f2bd::engine::jail::network::{NetworkRule, NetworkWidth};
use f2bd::engine::jail::response::{Response, Responses};
use f2bd::engine::jail::siege::SiegeRule;
use f2bd::engine::policy::{Counting, FilterId, IgnoreList, JailPolicy, MaxRetry, Policy, UseDns};
use f2bd::engine::prefix::SubjectWidth;
use f2bd::engine::record::kept::kept;
use f2bd::engine::record::{Batch, Record};
use f2bd::engine::time::{BanTime, FindTime, Timestamp};
use f2bd::store::Store;

const SECOND: Duration = Duration::from_secs(1);

const JAILS: [&str; 6] = ["one", "two", "three", "four", "five", "six"];

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

/// Jails over one filter, which differ in all that there is.
fn policy(scope: Scope, memory: u32, graded: bool) -> Policy {
    let spec = FilterSpec {
        name: "test".parse().unwrap(),
        mode: "normal".into(),
        title: "Test".to_owned(),
        records: RecordsSpec::default(),
        session_by_pid: false,
        failures: vec![PatternSpec {
            number: 1,
            text: "^no <user> at <target> in <session> from <host>$".to_owned(),
            fields: Vec::new(),
            unless_counted: false,
        }],
        outcome: Outcome::Failure,
        successes: Vec::new(),
        ignores: Vec::new(),
        others: Vec::new(),
        lines: None,
    };
    let successes = FilterSpec {
        failures: vec![PatternSpec {
            number: 1,
            text: "^yes <user> from <host>$".to_owned(),
            fields: Vec::new(),
            unless_counted: false,
        }],
        outcome: Outcome::Success,
        ..spec.clone()
    };
    let escalation = Escalation {
        growth: Growth::Factor(2.0),
        max: None,
        jitter: Jitter::Share(0.0),
        memory: Some(memory * SECOND),
        scope,
    };
    // Each network has the operator of its number.
    let networks = ["192.0.0.0/24", "192.0.1.0/24", "192.0.2.0/24"];
    let networks: Vec<_> = (0..)
        .zip(networks)
        .map(|(asn, network)| (network, operator(asn, "x")))
        .collect();
    let networks = database(&networks);
    let classes = |classes: &[(u32, u32)]| {
        let classes = classes.iter().map(|(asn, maxretry)| ClassRule {
            countries: Vec::new(),
            asns: vec![Asn(*asn)],
            maxretry: MaxRetry(number(*maxretry)),
        });
        classes.collect::<Vec<_>>()
    };
    let from = |offence, network, lets_through| Response {
        from: number(offence),
        actions: Vec::new(),
        network,
        lets_through,
    };
    let network = SubjectWidth { ipv4: 24, ipv6: 48 };
    let responses = match graded {
        true => vec![from(1, None, true), from(3, Some(network), false)],
        false => Vec::new(),
    };
    let one = JailPolicy {
        name: "one".parse().unwrap(),
        filter: FilterId(0),
        logins: Some(FilterId(1)),
        is_idle: false,
        sources: vec!["journal".parse().unwrap()],
        named_only: Vec::new(),
        route: None,
        counting: Counting::Failures,
        maxretry: MaxRetry(number(2)),
        classes: classes(&[(1, 1), (2, 4)]),
        findtime: FindTime(200 * SECOND),
        bantime: BanTime::For(60 * SECOND),
        escalation: Some(escalation),
        networks: vec![rule(24, 3, 6, 600), rule(22, 5, 9, 900)],
        accounts: None,
        siege: Some(SiegeRule {
            rate: "3/m".parse().unwrap(),
            maxretry: MaxRetry(number(1)),
            calm: 120 * SECOND,
        }),
        usedns: UseDns::Yes,
        named_by: None,
        ignore: IgnoreList::default(),
        trusted: IgnoreList::default(),
        width: SubjectWidth::DEFAULT,
        responses: Responses::new(Vec::new(), responses),
    };
    let two = JailPolicy {
        name: "two".parse().unwrap(),
        maxretry: MaxRetry(number(4)),
        classes: classes(&[(1, 6), (2, 2)]),
        findtime: FindTime(600 * SECOND),
        bantime: BanTime::For(100 * SECOND),
        networks: vec![rule(24, 2, 5, 300)],
        accounts: Some(AccountRule {
            by: Capture::User,
            hosts: number(3),
            findtime: FindTime(500 * SECOND),
            grace: 40 * SECOND,
        }),
        siege: Some(SiegeRule {
            rate: "6/m".parse().unwrap(),
            maxretry: MaxRetry(number(2)),
            calm: 300 * SECOND,
        }),
        ..one.clone()
    };
    let three = JailPolicy {
        name: "three".parse().unwrap(),
        counting: Counting::Users,
        maxretry: MaxRetry(number(3)),
        networks: Vec::new(),
        accounts: Some(AccountRule {
            by: Capture::User,
            hosts: number(4),
            findtime: FindTime(900 * SECOND),
            grace: Duration::ZERO,
        }),
        siege: None,
        ..one.clone()
    };
    // What was attacked, and whose session it was, do not count as failures of a user do.
    let by = |name: &str, by, hosts| JailPolicy {
        name: name.parse().unwrap(),
        maxretry: MaxRetry(number(5)),
        networks: Vec::new(),
        accounts: Some(AccountRule {
            by,
            hosts: number(hosts),
            findtime: FindTime(400 * SECOND),
            grace: Duration::ZERO,
        }),
        siege: None,
        ..one.clone()
    };
    let four = by("four", Capture::Target, 3);
    let five = by("five", Capture::Session, 2);
    // Users are banned as hosts are.
    let six = JailPolicy {
        name: "six".parse().unwrap(),
        named_by: Some(Capture::User),
        maxretry: MaxRetry(number(4)),
        networks: Vec::new(),
        accounts: None,
        ..one.clone()
    };
    Policy {
        filters: FilterSet::compile(vec![spec, successes]).unwrap(),
        jails: vec![one, two, three, four, five, six],
        left_out: Default::default(),
        atlas: Arc::new(Atlas {
            countries: None,
            operators: Some(Tables::new(networks).unwrap()),
        }),
    }
}

fn hear(engine: &mut Engine, now: i64, line: &str) -> Vec<Decision> {
    let mut batch = Batch::default();
    batch.push(Record::bare(at(now), line.as_bytes()));
    let mut out = Vec::new();
    let records = Input::Records {
        source: None,
        batch: &batch,
        more: true,
    };
    engine.handle(at(now), records, &mut out);
    out
}

/// Bans and their ends, then notices. Each jail decides in an order; what several do at one time they do at once, and
/// when a notice is given depends on when somebody listens.
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
        // What is too long ago to count may be taken back or not.
        Decision::Count(_)
        | Decision::Await(_)
        | Decision::Ignore(_)
        | Decision::Answered(_)
        | Decision::Forgive(_)
        | Decision::Remark(_)
        | Decision::Clear(_)
        | Decision::Allow(_)
        | Decision::Disallow(_)
        | Decision::Sighted(_) => None,
        Decision::Resume(resumed) => {
            let subject = resumed.ban.subject.plain();
            let time = resumed.time.as_micros() / 1_000_000;
            Some(format!("{} *{subject} @{time}", resumed.ban.jail))
        }
    };
    let mut told: Vec<String> = decisions.iter().filter_map(one).collect();
    let jail = |told: &String| JAILS.map(|jail| told.contains(jail));
    told.sort_by_key(|told| (told.contains(" { "), jail(told)));
    told
}

/// What happens.
enum Event {
    /// Something is logged.
    Line(String),
    /// The administrator frees an address.
    Unban(String),
    /// The address of a host that was logged by name is known.
    Answer(HostName, IpAddr),
}

fn live(engine: &mut Engine, events: &[(i64, Event)]) -> Vec<Decision> {
    let mut out = Vec::new();
    for (time, event) in events {
        match event {
            Event::Line(line) => out.extend(hear(engine, *time, line)),
            Event::Unban(address) => {
                let unban = Input::Unban {
                    jail: None,
                    subject: Some(address.parse().unwrap()),
                    forget: false,
                    reason: None,
                };
                engine.handle(at(*time), unban, &mut out);
            }
            Event::Answer(host, address) => {
                let named = Input::Named {
                    host: host.clone(),
                    addresses: vec![*address],
                };
                engine.handle(at(*time), named, &mut out);
            }
        }
    }
    out
}

/// What is decided without a restart, and what with one behind the first `cut` events; if it is `idle` up to the next.
fn both(
    policy: impl Fn() -> Policy,
    events: &[(i64, Event)],
    cut: usize,
    idle: bool,
) -> (Vec<String>, Vec<String>) {
    let whole = live(&mut Engine::new(policy()), events);
    let (before, after) = events.split_at(cut);
    let last = before.last().map_or(0, |(time, ..)| *time);
    let next = after.first().filter(|_| idle);
    let middle = next.map_or(last, |(time, ..)| last.max(time - 1));
    let home = tempfile::tempdir().unwrap();
    let mut store = Store::open(&home.path().join("f2bd.db")).unwrap();
    let mut out = live(&mut Engine::new(policy()), before);
    store.commit(at(middle), &out, []).unwrap();
    let remembered = store.remembered(at(middle), 900 * SECOND).unwrap();
    let mut engine = Engine::new(policy());
    engine.handle(at(middle), Input::Restore(remembered), &mut out);
    out.extend(live(&mut engine, after));
    // What ends while nobody runs does so without a word.
    let is_told = |decision: &Decision| match decision {
        Decision::Unban(unban) => !idle || unban.release != Release::Expired,
        _ => true,
    };
    let [out, whole] = [out, whole].map(|mut all| {
        all.retain(is_told);
        short(&all)
    });
    (out, whole)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(100))]

    #[test]
    fn a_restart_changes_no_decision(
        // Storms too, between which it calms.
        attack in proptest::collection::vec(
            (prop_oneof![0_i64..60, Just(0), 0_i64..200], 0_u8..3, prop_oneof![0_u8..4, 0_u8..40], 0_u8..6, 0_u8..20),
            1..100,
        ),
        memory in prop::sample::select(vec![60_u32, 400, 9_000]),
        is_of_all in any::<bool>(),
        graded in any::<bool>(),
        idle in any::<bool>(),
        cut in any::<prop::sample::Index>(),
    ) {
        let mut time = 0;
        let events: Vec<_> = attack.iter().flat_map(|(step, network, host, user, what)| {
            time += step;
            let address = format!("192.0.{network}.{host}");
            let event = match what {
                // In a second of its own: of the same one, the database does not tell what came before a ban.
                0 => {
                    time += 2;
                    return vec![(time - 1, Event::Unban(address))];
                }
                1..3 => Event::Line(format!("yes jo{user} from {address}")),
                // By name, and perhaps a restart lies between that and the answer.
                3..6 => {
                    let host = format!("h{host}.n{network}.example.org");
                    let line = match what {
                        3 => format!("yes jo{user} from {host}"),
                        _ => format!("no jo{user} at /{} in {} from {host}", user % 5, user % 7),
                    };
                    let answer = Event::Answer(host.parse().unwrap(), address.parse().unwrap());
                    return vec![(time, Event::Line(line)), (time, answer)];
                }
                _ => {
                    let (target, session) = (what % 5, what % 7);
                    Event::Line(format!("no jo{user} at /{target} in {session} from {address}"))
                }
            };
            vec![(time, event)]
        }).collect();
        let scope = if is_of_all { Scope::All } else { Scope::Jail };
        let (cut, whole) = both(|| policy(scope, memory, graded), &events, cut.index(events.len()), idle);
        prop_assert_eq!(cut, whole);
    }

    /// The database keeps names in a form of its own, and the account is the same.
    #[test]
    fn a_name_that_was_kept_is_the_same_account(name in "[ A-Za-z\\\\x\n\t\u{85}\u{1f600}é]{0,8}", times in 1_usize..200) {
        let name = name.repeat(times);
        let directory = Directory::default();
        prop_assert_eq!(directory.account(&name), directory.account(&kept(&name)));
    }
}
