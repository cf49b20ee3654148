//! Facts about the engine's door, one after the other.

use std::collections::BTreeSet;
use std::num::NonZeroU32;

use proptest::prelude::*;

use super::*;
use crate::engine::decision::{Ban, Notice, Origin, Release};
use crate::engine::explain::{Place, Verdict};
use crate::engine::filter::{FilterSet, FilterSpec, PatternSpec, RecordsSpec};
use crate::engine::input::{Fate, Remembered};
use crate::engine::jail::escalation::Offence;
use crate::engine::jail::network::{NetworkRule, NetworkWidth};
use crate::engine::jail::response::Responses;
use crate::engine::name::JailName;
use crate::engine::policy::{
    Counting, FilterId, IgnoreList, IgnoreRule, JailPolicy, LeftOut, MaxRetry, UseDns,
};
use crate::engine::prefix::SubjectWidth;
use crate::engine::record::{Batch, Record};
use crate::engine::time::{BanTime, FindTime};

mod accounts;
mod adopted;
mod deaf;
mod ignored;
mod names;
mod networks;
mod offenders;
mod proxies;
mod recidive;
mod responses;
mod sieges;
mod subjects;
mod unhindered;
mod words;

const SECOND: Duration = Duration::from_secs(1);

fn at(seconds: i64) -> Timestamp {
    Timestamp::from_micros(seconds * 1_000_000)
}

fn policy(maxretry: u32, findtime: u64, bantime: BanTime, ignore: &[&str]) -> Policy {
    let pattern = PatternSpec {
        number: 1,
        text: "^no <user> from <ip>$".to_owned(),
        fields: Vec::new(),
        unless_counted: false,
    };
    let spec = FilterSpec {
        name: "test".parse().expect("a name"),
        mode: "normal".into(),
        title: "Test".to_owned(),
        records: RecordsSpec::default(),
        session_by_pid: false,
        failures: vec![pattern],
        outcome: Outcome::Failure,
        successes: Vec::new(),
        ignores: Vec::new(),
        others: Vec::new(),
        lines: None,
    };
    let rule = |text: &&str| IgnoreRule {
        prefix: text.parse().expect("a prefix"),
        because: "a rule".into(),
    };
    let jail = JailPolicy {
        name: "test".parse().expect("a name"),
        filter: FilterId(0),
        logins: None,
        is_idle: false,
        sources: vec!["journal".parse().expect("a name")],
        named_only: Vec::new(),
        route: None,
        counting: Counting::Failures,
        maxretry: MaxRetry(NonZeroU32::new(maxretry).expect("not zero")),
        findtime: FindTime(findtime as u32 * SECOND),
        bantime,
        escalation: None,
        networks: Vec::new(),
        accounts: None,
        siege: None,
        usedns: UseDns::No,
        classes: Vec::new(),
        trusted: IgnoreList::default(),
        ignore: IgnoreList::new(ignore.iter().map(rule).collect()),
        named_by: None,
        width: SubjectWidth::DEFAULT,
        responses: Responses::new(Vec::new(), Vec::new()),
    };
    Policy {
        filters: FilterSet::compile(vec![spec]).expect("a filter set"),
        jails: vec![jail],
        left_out: Default::default(),
        atlas: Default::default(),
    }
}

fn ten_minutes() -> BanTime {
    BanTime::For(600 * SECOND)
}

fn batch(lines: &[(i64, &str)]) -> Batch {
    let mut batch = Batch::default();
    for (time, ip) in lines {
        batch.push(Record::bare(
            at(*time),
            format!("no root from {ip}").as_bytes(),
        ));
    }
    batch
}

/// Hears these at the end of the second, until which they may have been logged.
fn hear(engine: &mut Engine, now: i64, lines: &[(i64, &str)]) -> Vec<Decision> {
    let mut out = Vec::new();
    engine.handle(
        at(now).at_latest(),
        Input::Records {
            source: None,
            batch: &batch(lines),
            more: true,
        },
        &mut out,
    );
    out
}

/// Bans and unbans, shortly: `+192.0.2.7 @4 #1`, `-192.0.2.7 @604 Expired` and `*192.0.2.7 @9`.
fn short(decisions: &[Decision]) -> Vec<String> {
    let seconds = |time: Timestamp| time.as_micros() / 1_000_000;
    let one = |decision: &Decision| match decision {
        Decision::Ban(ban) => Some(format!(
            "+{} @{} #{}",
            ban.subject.plain(),
            seconds(ban.start),
            ban.offence
        )),
        Decision::Unban(unban) => Some(format!(
            "-{} @{} {:?}",
            unban.subject.plain(),
            seconds(unban.time),
            unban.release
        )),
        Decision::Resume(resumed) => Some(format!(
            "*{} @{}",
            resumed.ban.subject.plain(),
            seconds(resumed.time)
        )),
        Decision::Notice(notice) => Some(format!("{notice:?}")),
        Decision::Count(_)
        | Decision::Ignore(_)
        | Decision::Await(_)
        | Decision::Answered(_)
        | Decision::Forgive(_)
        | Decision::Remark(_)
        | Decision::Clear(_)
        | Decision::Allow(_)
        | Decision::Disallow(_)
        | Decision::Sighted(_) => None,
    };
    decisions.iter().filter_map(one).collect()
}

/// Whose failures do not count, if nothing else was decided.
fn ignored(decisions: &[Decision]) -> Vec<String> {
    let one = |decision: &Decision| match decision {
        Decision::Ignore(ignored) => ignored.address.to_string(),
        other => panic!("{other:?}"),
    };
    decisions.iter().map(one).collect()
}

const A: &str = "192.0.2.7";

#[test]
fn a_ban_begins_with_the_deciding_record_and_ends_by_time() {
    let mut engine = Engine::new(policy(3, 600, ten_minutes(), &[]));
    let out = hear(&mut engine, 5, &[(1, A), (2, A), (3, A), (4, A)]);
    assert_eq!(short(&out), ["+192.0.2.7 @3 #1"]);
    let counted: Vec<bool> = out
        .iter()
        .filter_map(|d| {
            if let Decision::Count(f) = d {
                Some(f.counted)
            } else {
                None
            }
        })
        .collect();
    assert_eq!(
        counted,
        [true, true, true, false],
        "a failure of a banned subject does not count"
    );
    assert_eq!(engine.next_deadline(), Some(at(603)));
    let mut out = Vec::new();
    engine.handle(at(603), Input::Tick, &mut out);
    assert_eq!(short(&out), ["-192.0.2.7 @603 Expired"]);
    assert_eq!(
        engine.next_deadline(),
        None,
        "nothing is left that time alone would change"
    );
    assert_eq!(
        short(&hear(&mut engine, 700, &[(700, A), (701, A), (702, A)])),
        ["+192.0.2.7 @700 #2"]
    );
}

#[test]
fn a_failure_of_the_second_in_which_a_ban_ended_counts() {
    let mut engine = Engine::new(policy(1, 600, ten_minutes(), &[]));
    assert_eq!(
        short(&hear(&mut engine, 5, &[(3, A)])),
        ["+192.0.2.7 @3 #1"]
    );
    let unban = Input::Unban {
        jail: None,
        subject: Some(A.parse().expect("a subject")),
        forget: false,
        reason: None,
    };
    engine.handle(at(8).after(SECOND / 2), unban, &mut Vec::new());
    let mut hear = |now| {
        let mut out = Vec::new();
        let records = Input::Records {
            source: None,
            batch: &batch(&[(8, A)]),
            more: false,
        };
        engine.handle(now, records, &mut out);
        short(&out)
    };
    // It was logged before, since it is there already.
    assert_eq!(hear(at(8).after(SECOND / 4)), Vec::<String>::new());
    assert_eq!(hear(at(8).after(SECOND * 3 / 4)), ["+192.0.2.7 @8 #2"]);
}

#[test]
fn a_failure_of_the_second_in_which_a_ban_ended_counts_after_a_restart_as_well() {
    let engine = || Engine::new(policy(2, 600, ten_minutes(), &[]));
    let mut before = engine();
    let mut all = hear(&mut before, 3, &[(3, A), (3, A)]);
    let unban = Input::Unban {
        jail: None,
        subject: Some(A.parse().expect("a subject")),
        forget: false,
        reason: None,
    };
    let ended = at(8).after(SECOND / 2);
    before.handle(ended, unban, &mut Vec::new());
    all.retain(|decision| matches!(decision, Decision::Ban(_)));
    all.extend(hear(&mut before, 9, &[(8, A)]));
    let mut remembered = remembered(&all);
    remembered.bans.clear();
    remembered.offences[0].2.end = Some(ended);
    let mut after = engine();
    after.handle(at(10), Input::Restore(remembered), &mut Vec::new());
    for mut engine in [before, after] {
        let out = hear(&mut engine, 11, &[(11, A)]);
        assert_eq!(short(&out), ["+192.0.2.7 @11 #2"]);
    }
}

#[test]
fn catching_up_comes_to_the_same_bans_as_being_there() {
    let lines = [(0, A), (1, A), (2, A), (700, A), (701, A), (702, A)];
    let mut late = Engine::new(policy(3, 600, ten_minutes(), &[]));
    let out = hear(&mut late, 800, &lines);
    assert_eq!(
        short(&out),
        [
            "+192.0.2.7 @2 #1",
            "-192.0.2.7 @602 Expired",
            "+192.0.2.7 @702 #2"
        ]
    );
    assert_eq!(late.ledger().iter().count(), 1);
}

#[test]
fn old_records_come_to_the_same_bans_however_they_are_cut() {
    let other = "192.0.2.8";
    let mut lines: Vec<(i64, &str)> = Vec::new();
    for time in (0..2_400).step_by(100) {
        lines.extend([(time, A), (time + 30, other), (time + 60, A)]);
    }
    let whole = |policy: Policy| short(&hear(&mut Engine::new(policy), 9_000, &lines));
    let cut = |policy: Policy, most: usize| {
        let mut engine = Engine::new(policy);
        let parts = lines.chunks(most);
        let told: Vec<_> = parts
            .flat_map(|part| hear(&mut engine, 9_000, part))
            .collect();
        short(&told)
    };
    let network = || {
        let mut policy = policy(3, 600, ten_minutes(), &[]);
        policy.jails[0].networks = vec![NetworkRule {
            width: NetworkWidth::Ipv4(24),
            hosts: NonZeroU32::new(2).expect("not zero"),
            maxretry: MaxRetry(NonZeroU32::new(4).expect("not zero")),
            findtime: FindTime(600 * SECOND),
        }];
        policy
    };
    let bans = |mut told: Vec<String>| {
        told.retain(|line| line.starts_with('+'));
        told
    };
    for most in [1, 2, 5, 7] {
        let plain = || policy(3, 600, ten_minutes(), &[]);
        assert_eq!(bans(cut(plain(), most)), bans(whole(plain())), "{most}");
        assert_eq!(bans(cut(network(), most)), bans(whole(network())), "{most}");
    }
}

#[test]
fn a_ban_that_is_over_when_it_is_decided_is_history_only() {
    let mut engine = Engine::new(policy(1, 600, ten_minutes(), &[]));
    let out = hear(&mut engine, 601, &[(0, A)]);
    assert_eq!(short(&out), ["+192.0.2.7 @0 #1", "-192.0.2.7 @600 Expired"]);
    assert_eq!(engine.ledger().iter().count(), 0);
}

#[test]
fn the_future_counts_as_now_and_is_told_once() {
    let mut engine = Engine::new(policy(2, 600, ten_minutes(), &[]));
    let out = hear(&mut engine, 100, &[(5_000, A), (6_000, A)]);
    assert_eq!(
        out.iter()
            .filter(|d| matches!(d, Decision::Notice(_)))
            .count(),
        1
    );
    assert!(short(&out).contains(&"+192.0.2.7 @100 #1".to_owned()));
}

#[test]
fn ignored_addresses_and_networks_around_them_are_spared() {
    let mut engine = Engine::new(policy(
        1,
        600,
        ten_minutes(),
        &["192.0.2.0/24", "2001:db8::1"],
    ));
    let spared = [A, "2001:db8::1"];
    let out = hear(&mut engine, 1, &spared.map(|who| (1, who)));
    assert_eq!(ignored(&out), spared);
    let out = hear(
        &mut engine,
        2,
        &[(2, "2001:db8::2"), (2, "2001:db8:0:1::2")],
    );
    assert_eq!(
        short(&out),
        ["+2001:db8::2 @2 #1", "+2001:db8:0:1::/64 @2 #1"]
    );
}

#[test]
fn bans_by_hand_replace_and_are_lifted() {
    let mut engine = Engine::new(policy(3, 600, ten_minutes(), &["198.51.100.0/24"]));
    let jail: JailName = "test".parse().expect("a name");
    let mut act = |now, input| {
        let mut out = Vec::new();
        engine.handle(at(now), input, &mut out);
        short(&out)
    };
    let ban = |subject: &str, bantime| Input::Ban {
        jail: jail.clone(),
        subject: subject.parse().expect("a prefix"),
        bantime,
        reason: None,
    };
    assert_eq!(act(1, ban("192.0.2.0/24", None)), ["+192.0.2.0/24 @1 #1"]);
    assert_eq!(
        act(2, ban("192.0.2.0/24", Some(BanTime::Forever))),
        ["-192.0.2.0/24 @2 Replaced", "+192.0.2.0/24 @2 #1"]
    );
    assert!(act(3, ban("198.51.0.0/16", None))[0].contains("Spared"));
    let unban = Input::Unban {
        jail: None,
        subject: Some(A.parse().expect("a prefix")),
        forget: false,
        reason: None,
    };
    assert_eq!(
        act(4, unban),
        ["-192.0.2.0/24 @4 Manual"],
        "who lies in a banned network is freed with it"
    );
}

#[test]
fn a_banned_network_covers_its_hosts() {
    let mut engine = Engine::new(policy(1, 600, ten_minutes(), &[]));
    let jail: JailName = "test".parse().expect("a name");
    let mut out = Vec::new();
    let subject = "192.0.2.0/24".parse().expect("a prefix");
    engine.handle(
        at(1),
        Input::Ban {
            jail,
            subject,
            bantime: None,
            reason: None,
        },
        &mut out,
    );
    assert_eq!(short(&hear(&mut engine, 2, &[(2, A)])), [""; 0]);
}

#[test]
fn a_reload_keeps_windows_and_bans_and_respects_the_new_settings() {
    let mut engine = Engine::new(policy(3, 600, ten_minutes(), &[]));
    hear(
        &mut engine,
        1,
        &[
            (1, A),
            (1, A),
            (1, "192.0.2.8"),
            (1, "192.0.2.8"),
            (1, "192.0.2.8"),
        ],
    );
    let mut out = Vec::new();
    engine.handle(
        at(2),
        Input::Policy(Box::new(policy(3, 600, ten_minutes(), &[]))),
        &mut out,
    );
    assert_eq!(out, []);
    assert_eq!(
        short(&hear(&mut engine, 3, &[(3, A)])),
        ["+192.0.2.7 @3 #1"]
    );
    engine.handle(
        at(4),
        Input::Policy(Box::new(policy(3, 600, ten_minutes(), &[A]))),
        &mut out,
    );
    assert_eq!(short(&out), ["-192.0.2.7 @4 Ignored"]);
    out.clear();
    let mut nobody = policy(3, 600, ten_minutes(), &[]);
    nobody.jails.clear();
    engine.handle(at(5), Input::Policy(Box::new(nobody)), &mut out);
    assert_eq!(short(&out), ["-192.0.2.8 @5 JailGone"]);
}

#[test]
fn bans_of_earlier_count_once_for_a_jail_in_which_they_are_in_force() {
    let with = |ignore: &[&str]| policy(1, 600, ten_minutes(), ignore);
    let other = "192.0.2.8";
    let out = hear(&mut Engine::new(with(&[])), 1, &[(1, A), (1, other)]);
    let restored = |engine: &mut Engine| {
        engine.handle(at(2), Input::Restore(remembered(&out)), &mut Vec::new());
        let jails = engine.jails(at(2));
        jails.first().map(|jail| (jail.bans, jail.inherited))
    };
    assert_eq!(restored(&mut Engine::new(with(&[]))), Some((0, 2)));
    assert_eq!(restored(&mut Engine::new(with(&[other]))), Some((0, 1)));

    let shorter = policy(1, 600, BanTime::For(60 * SECOND), &[]);
    let mut anew = Engine::new(shorter);
    hear(&mut anew, 2, &[(2, A)]);
    assert_eq!(restored(&mut anew), Some((1, 1)));

    // A mistake leaves it out, and is mended.
    let mut left_out = with(&[]);
    let names = left_out.jails.drain(..).map(|jail| jail.name).collect();
    left_out.left_out = LeftOut::of(names, BTreeSet::new(), false);
    let mut mended = Engine::new(left_out);
    assert_eq!(restored(&mut mended), None);
    for _ in 0..2 {
        let input = Input::Policy(Box::new(with(&[])));
        mended.handle(at(3), input, &mut Vec::new());
        assert_eq!(mended.jails(at(3))[0].inherited, 2);
    }
}

#[test]
fn what_was_remembered_goes_on() {
    let mut before = Engine::new(policy(3, 600, ten_minutes(), &[]));
    let out = hear(
        &mut before,
        3,
        &[
            (1, A),
            (1, A),
            (2, "192.0.2.8"),
            (2, "192.0.2.8"),
            (2, "192.0.2.8"),
        ],
    );
    let mut remembered = Remembered {
        next_failure: Some(FailureId(6)),
        next_ban: Some(BanId(2)),
        offences: vec![(
            "test".parse().expect("a name"),
            "192.0.2.8".parse().expect("a prefix"),
            Offence {
                number: 1,
                start: at(1),
                end: Some(at(2)),
            },
        )],
        ..Remembered::default()
    };
    for decision in out {
        match decision {
            Decision::Ban(ban) => remembered.bans.push(ban),
            Decision::Count(failure) if failure.subject.plain() == A => {
                remembered.failures.push((failure, Fate::Open))
            }
            _ => {}
        }
    }
    let mut after = Engine::new(policy(3, 600, ten_minutes(), &[]));
    let mut out = Vec::new();
    after.handle(at(4), Input::Restore(remembered), &mut out);
    assert_eq!(out, []);
    assert_eq!(
        short(&hear(&mut after, 5, &[(5, A), (5, "192.0.2.8")])),
        ["+192.0.2.7 @5 #1"]
    );
    let out = hear(
        &mut after,
        700,
        &[(700, "192.0.2.8"), (700, "192.0.2.8"), (700, "192.0.2.8")],
    );
    assert!(
        short(&out).contains(&"+192.0.2.8 @700 #2".to_owned()),
        "{out:?}"
    );
}

proptest! {
    /// However records are cut into batches and however late those are heard: the same bans and unbans.
    #[test]
    fn batches_and_delay_do_not_matter(
        steps in prop::collection::vec((0_i64..120, 0_u8..4, any::<bool>()), 1..150),
        maxretry in 1_u32..5,
    ) {
        let mut time = 0;
        let mut lines = Vec::new();
        for (step, host, cut) in steps {
            time += step;
            lines.push((time, format!("192.0.2.{host}"), cut));
        }
        let mut whole = Engine::new(policy(maxretry, 300, ten_minutes(), &[]));
        let mut live = Vec::new();
        for (time, ip, _) in &lines {
            live.extend(hear(&mut whole, *time, &[(*time, ip)]));
        }
        // Heard late, but within the span in which records still have consequences.
        let mut batched = Engine::new(policy(maxretry, 300, ten_minutes(), &[]));
        let mut late = Vec::new();
        let mut waiting: Vec<(i64, &str)> = Vec::new();
        for (time, ip, cut) in &lines {
            if waiting.first().is_some_and(|(first, _)| time - first > 500) {
                let now = waiting.last().expect("not empty").0;
                late.extend(hear(&mut batched, now, &std::mem::take(&mut waiting)));
            }
            waiting.push((*time, ip));
            if *cut {
                late.extend(hear(&mut batched, *time, &std::mem::take(&mut waiting)));
            }
        }
        late.extend(hear(&mut batched, time, &waiting));
        whole.handle(at(time + 10_000), Input::Tick, &mut live);
        batched.handle(at(time + 10_000), Input::Tick, &mut late);
        let sorted = |decisions: &[Decision]| { let mut s = short(decisions); s.sort(); s };
        prop_assert_eq!(sorted(&live), sorted(&late));
    }
}

/// Windows that no record can reach any more are forgotten, but not while a source may still be behind.
#[test]
fn what_cannot_count_any_more_is_forgotten_when_all_sources_are_heard() {
    let sources = ["quiet", "busy"].map(|name| name.parse::<SourceName>().expect("a name"));
    let mut policy = policy(3, 600, ten_minutes(), &[]);
    policy.jails[0].sources = sources.to_vec();
    let mut engine = Engine::new(policy);
    let hear = |engine: &mut Engine, now: i64, source: &SourceName, ip: &str, more: bool| {
        let lines: &[(i64, &str)] = if ip.is_empty() { &[] } else { &[(now, ip)] };
        let input = Input::Records {
            source: Some(source),
            batch: &batch(lines),
            more,
        };
        engine.handle(at(now), input, &mut Vec::new());
    };
    let watched = |engine: &mut Engine, now: i64| {
        engine.handle(at(now), Input::Tick, &mut Vec::new());
        let all: Subject = "0.0.0.0/0".parse().expect("a network");
        engine.jails[0].windows.overlapping(&all).count()
    };
    let [quiet, busy] = &sources;
    hear(&mut engine, 0, busy, "192.0.2.7", false);
    assert_eq!(
        watched(&mut engine, 10_000),
        1,
        "the other one may be behind"
    );
    hear(&mut engine, 10_000, quiet, "192.0.2.8", true);
    hear(&mut engine, 10_000, busy, "192.0.2.9", false);
    assert_eq!(
        watched(&mut engine, 20_000),
        2,
        "it is, by its newest record"
    );
    hear(&mut engine, 20_000, quiet, "", false);
    assert_eq!(watched(&mut engine, 20_100), 0, "it is not");
}

#[test]
fn a_record_that_comes_a_little_late_finds_what_it_counts_with() {
    let source: SourceName = "busy".parse().expect("a name");
    let mut policy = policy(3, 600, ten_minutes(), &[]);
    policy.jails[0].sources = vec![source.clone()];
    let mut engine = Engine::new(policy);
    let mut out = Vec::new();
    let mut hear = |engine: &mut Engine, now: i64, line: (i64, &str)| {
        let input = Input::Records {
            source: Some(&source),
            batch: &batch(&[line]),
            more: true,
        };
        engine.handle(at(now), input, &mut out);
    };
    hear(&mut engine, 0, (0, "192.0.2.7"));
    hear(&mut engine, 1, (1, "192.0.2.7"));
    // Of another file of the source; a minute later windows are looked through.
    hear(&mut engine, 1_000, (1_000, "192.0.2.8"));
    hear(&mut engine, 1_100, (1_100, "192.0.2.8"));
    hear(&mut engine, 1_100, (590, "192.0.2.7"));
    assert!(
        short(&out)
            .iter()
            .any(|told| told.starts_with("+192.0.2.7")),
        "{:?}",
        short(&out)
    );
}

#[test]
fn two_jails_of_one_filter_hear_the_same() {
    let mut policy = policy(1, 600, ten_minutes(), &[]);
    let mut spec = policy.filters.spec(FilterId(0)).clone();
    spec.session_by_pid = true;
    spec.failures[0].unless_counted = true;
    policy.filters = FilterSet::compile(vec![spec]).expect("a filter set");
    let mut second = policy.jails[0].clone();
    second.name = "second".parse().expect("a name");
    policy.jails.push(second);
    let mut engine = Engine::new(policy);
    let mut batch = Batch::default();
    for time in [1, 2] {
        batch.push(Record {
            pid: Some(7),
            ..Record::bare(at(time), b"no root from 192.0.2.7")
        });
    }
    let mut out = Vec::new();
    let input = Input::Records {
        source: None,
        batch: &batch,
        more: false,
    };
    engine.handle(at(2), input, &mut out);
    assert_eq!(short(&out), ["+192.0.2.7 @1 #1", "+192.0.2.7 @1 #1"]);
    let failures = out
        .iter()
        .filter(|decision| matches!(decision, Decision::Count(_)));
    assert_eq!(
        failures.count(),
        2,
        "the session counts once, in each of its jails"
    );
}

/// What the store makes of decisions, none of which lies further back than findtime.
fn remembered(decisions: &[Decision]) -> Remembered {
    let mut remembered = Remembered::default();
    for decision in decisions {
        match decision {
            Decision::Ban(ban) => {
                let offence = Offence {
                    number: ban.offence,
                    start: ban.start,
                    end: ban.until(),
                };
                remembered
                    .offences
                    .push((ban.jail.clone(), ban.subject.clone(), offence));
                if let Some(network) = ban.subject.network()
                    && matches!(ban.origin, Origin::Network | Origin::Manual)
                {
                    let network = (ban.jail.clone(), network, ban.start);
                    remembered.networks.push(network);
                }
                remembered.bans.push(ban.clone());
                let is_older = |(other, _): &(Ban, Timestamp)| other.subject != ban.subject;
                remembered.merged.retain(is_older);
                for (failure, fate) in &mut remembered.failures {
                    let is_used = ban.evidence.contains(&failure.id);
                    if is_used || failure.subject == ban.subject {
                        *fate = Fate::Used;
                    }
                }
            }
            Decision::Unban(unban) => {
                let place = remembered.bans.iter().position(|ban| ban.id == unban.ban);
                let ban = place.map(|place| remembered.bans.remove(place));
                if unban.release == Release::Merged {
                    let ban = ban.expect("it stood");
                    remembered.merged.push((ban, unban.time));
                }
            }
            Decision::Resume(resumed) => {
                let id = resumed.ban.id;
                remembered.merged.retain(|(ban, _)| ban.id != id);
                remembered.bans.push(resumed.ban.clone());
            }
            Decision::Count(failure) if failure.counted => {
                remembered.failures.push((failure.clone(), Fate::Open));
            }
            Decision::Allow(allowance) => {
                remembered
                    .allowances
                    .retain(|known| known.subject != allowance.subject);
                remembered.allowances.push(allowance.clone());
            }
            Decision::Disallow(subject) => {
                remembered
                    .allowances
                    .retain(|known| known.subject != *subject);
            }
            Decision::Clear(_) => panic!("nobody logs in here: {decision:?}"),
            Decision::Await(awaited) => remembered.awaited.push(awaited.clone()),
            Decision::Answered(id) => remembered.awaited.retain(|awaited| awaited.id != *id),
            Decision::Count(_)
            | Decision::Ignore(_)
            | Decision::Forgive(_)
            | Decision::Remark(_)
            | Decision::Notice(_)
            | Decision::Sighted(_) => {}
        }
    }
    remembered
}
