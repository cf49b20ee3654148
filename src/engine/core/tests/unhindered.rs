//! Facts about bans that do not work.

use super::*;
use crate::engine::decision::Notice;
use crate::engine::jail::response::{Effect, Unhindered};
use crate::engine::name::{ActionName, JailName};

const B: &str = "192.0.2.8";

fn names(actions: &[&str]) -> Vec<ActionName> {
    let parse = |name: &&str| name.parse().expect("a name");
    actions.iter().map(parse).collect()
}

fn jail() -> JailName {
    "test".parse().expect("a name")
}

/// One failure makes a ban, by these `actions`, of which `slow` lets through; where that does not help, `all` does.
fn banning(actions: &[&str]) -> Policy {
    let mut policy = policy(1, 600, ten_minutes(), &[]);
    let mut responses = Responses::new(names(actions), Vec::new()).with_unhindered(Unhindered {
        actions: names(&["all"]),
        ..Unhindered::default()
    });
    responses.note(|action| match action.as_str() {
        "slow" => Effect::LetsThrough,
        "mail" => Effect::Tells,
        _ => Effect::KeepsOut,
    });
    policy.jails[0].responses = responses;
    policy
}

/// An engine whose bans are put into effect, which has banned somebody at the first second and has heard the first
/// leftover a second later.
fn engine(actions: &[&str], banned: &[&str]) -> Engine {
    let mut engine = Engine::new(banning(actions));
    engine.expect_effect();
    ban(&mut engine, banned);
    engine
}

fn ban(engine: &mut Engine, banned: &[&str]) {
    for second in [1, 2] {
        let lines: Vec<_> = banned.iter().map(|whom| (second, *whom)).collect();
        hear(engine, second, &lines);
    }
}

fn failures(whom: &str, seconds: std::ops::Range<i64>) -> Vec<(i64, &str)> {
    seconds.map(|second| (second, whom)).collect()
}

/// Whose bans are told not to work, and when.
fn told(decisions: &[Decision]) -> Vec<String> {
    let one = |decision: &Decision| match decision {
        Decision::Notice(Notice::Unhindered {
            ban, time, wider, ..
        }) => {
            assert_eq!(*wider, names(&["all"]));
            let second = time.as_micros() / 1_000_000;
            Some(format!("{} @{second}", ban.subject.plain()))
        }
        _ => None,
    };
    decisions.iter().filter_map(one).collect()
}

fn widened(engine: &Engine, whom: &str) -> bool {
    let subject = whom.parse().expect("an address");
    let standing = engine.ledger().find(&jail(), &subject);
    let standing = standing.expect("it is banned");
    let is_done = |action: &str| {
        let action = action.parse().expect("a name");
        engine
            .policy()
            .puts_into_effect(&action, &jail(), &standing)
    };
    assert!(is_done("nftables"), "as ever");
    is_done("all")
}

fn count(engine: &Engine, now: i64) -> usize {
    engine.jails(at(now))[0].unhindered
}

#[test]
fn who_fails_on_though_banned_is_told_once() {
    let tells = |actions: &[&str], lines: &[(i64, &str)]| {
        told(&hear(&mut engine(actions, &[A]), 100, lines))
    };
    let enough = failures(A, 63..83);
    assert_eq!(tells(&["nftables"], &enough), ["192.0.2.7 @72"]);
    assert!(tells(&["nftables"], &enough[..9]).is_empty(), "so few");
    assert!(tells(&[], &enough).is_empty(), "no action");
    assert!(tells(&["slow"], &enough).is_empty(), "let through");
    let soon = failures(A, 2..62);
    assert!(tells(&["nftables"], &soon).is_empty(), "leftovers");
    let mut idle = Engine::new(banning(&["nftables"]));
    ban(&mut idle, &[A]);
    assert!(told(&hear(&mut idle, 100, &enough)).is_empty(), "a dry run");
}

#[test]
fn only_whoever_fails_on_is_banned_more_widely() {
    let mut engine = engine(&["nftables"], &[A, B]);
    hear(&mut engine, 100, &failures(B, 63..72));
    hear(&mut engine, 100, &failures(A, 63..73));
    assert!(widened(&engine, A));
    assert!(!widened(&engine, B));
    assert_eq!(count(&engine, 100), 1);
    assert_eq!(told(&hear(&mut engine, 100, &[(80, B)])), ["192.0.2.8 @80"]);
    assert_eq!(count(&engine, 100), 2);
}

#[test]
fn nobody_is_counted_who_fails_no_more() {
    let mut policy = banning(&["nftables"]);
    policy.jails[0].bantime = BanTime::Forever;
    let mut engine = Engine::new(policy);
    engine.expect_effect();
    ban(&mut engine, &[A]);
    hear(&mut engine, 100, &failures(A, 63..83));
    assert_eq!(count(&engine, 82 + 600), 1, "within findtime");
    assert_eq!(count(&engine, 82 + 601), 0);
    assert!(widened(&engine, A), "for as long as it is banned");
    let again = hear(&mut engine, 800, &failures(A, 790..800));
    assert!(told(&again).is_empty());
    assert_eq!(count(&engine, 800), 1);
}

#[test]
fn it_ends_with_the_ban() {
    let mut engine = engine(&["nftables"], &[A]);
    hear(&mut engine, 100, &failures(A, 63..73));
    let unban = Input::Unban {
        jail: None,
        subject: Some(A.parse().expect("an address")),
        forget: false,
        reason: None,
    };
    engine.handle(at(100), unban, &mut Vec::new());
    assert_eq!(count(&engine, 100), 0);
    hear(&mut engine, 101, &[(101, A)]);
    assert!(!widened(&engine, A));
    assert_eq!(count(&engine, 101), 0);
}

#[test]
fn a_networks_ban_is_told_for_its_hosts() {
    let mut engine = engine(&["nftables"], &[]);
    let ban = Input::Ban {
        jail: jail(),
        subject: "192.0.2.0/24".parse().expect("a network"),
        bantime: None,
        reason: None,
    };
    engine.handle(at(1), ban, &mut Vec::new());
    hear(&mut engine, 2, &[(2, B)]);
    let mut lines = failures(A, 63..68);
    lines.extend(failures(B, 68..73));
    assert_eq!(told(&hear(&mut engine, 100, &lines)), ["192.0.2.0/24 @72"]);
}

#[test]
fn a_restart_changes_nothing() {
    let mut first = engine(&["nftables"], &[A, B]);
    hear(&mut first, 100, &failures(A, 63..73));
    let old = first
        .ledger()
        .find(&jail(), &B.parse().expect("an address"));
    let before = old.expect("it is banned").start.before(SECOND);
    let told_at = |whom: &str, time| (jail(), whom.parse().expect("an address"), time);
    let mut engine = Engine::new(banning(&["nftables"]));
    engine.expect_effect();
    let remembered = Remembered {
        bans: first.ledger().bans(),
        // What was told of an earlier ban says nothing of this one.
        unhindered: [told_at(A, at(72)), told_at(B, before)].into(),
        ..Remembered::default()
    };
    let mut out = Vec::new();
    engine.handle(at(101), Input::Restore(remembered), &mut out);
    assert!(widened(&engine, A));
    assert!(!widened(&engine, B));
    assert_eq!(count(&engine, 101), 1);
    out.extend(hear(&mut engine, 120, &failures(A, 101..120)));
    assert!(told(&out).is_empty());
}

#[test]
fn what_was_logged_before_the_ban_could_work_tells_nothing() {
    let mut policy = banning(&["nftables"]);
    policy.jails[0].bantime = BanTime::Forever;
    let mut engine = Engine::new(policy);
    engine.expect_effect();
    // An hour of an attack that was going on while nobody listened.
    let late: Vec<_> = (0..360).map(|number| (number * 10, A)).collect();
    assert!(told(&hear(&mut engine, 3_600, &late)).is_empty());
    let soon = failures(A, 3_601..3_660);
    assert!(told(&hear(&mut engine, 3_660, &soon)).is_empty());
    let then = failures(A, 3_661..3_671);
    assert_eq!(told(&hear(&mut engine, 3_671, &then)), ["192.0.2.7 @3670"]);
}
