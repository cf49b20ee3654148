//! Bans of another program.

use super::*;
use crate::engine::decision::About;
use crate::engine::input::Adoption;

const WHOM: &str = "192.0.2.7/32";

/// A ban since `start` that lasts so long, of so many.
fn adoption(start: i64, seconds: Option<u64>, offence: u32) -> Adoption {
    Adoption {
        jail: "test".parse().expect("a name"),
        subject: WHOM.parse().expect("a subject"),
        start: at(start),
        bantime: Some(seconds.map_or(BanTime::Forever, |seconds| {
            BanTime::For(Duration::from_secs(seconds))
        })),
        offence,
        user: None,
        lines: vec!["a line".into()],
        reason: "of another program".into(),
    }
}

fn adopt(engine: &mut Engine, now: i64, adoption: Adoption) -> Vec<Decision> {
    let mut out = Vec::new();
    engine.handle(at(now), Input::Adopt(adoption), &mut out);
    out
}

fn engine(ignore: &[&str]) -> Engine {
    Engine::new(policy(1, 600, ten_minutes(), ignore))
}

fn standing(engine: &Engine) -> Option<Standing> {
    let subject = WHOM.parse().expect("a subject");
    let jail = "test".parse().expect("a name");
    engine.ledger().find(&jail, &subject)
}

#[test]
fn it_keeps_start_end_number_and_lines() {
    let mut engine = engine(&[]);
    let out = adopt(&mut engine, 1_000, adoption(900, Some(600), 3));
    let [
        Decision::Count(failure),
        Decision::Ban(ban),
        Decision::Remark(remark),
    ] = &out[..]
    else {
        panic!("{out:?}");
    };
    assert_eq!(ban.evidence, [failure.id]);
    assert_eq!(
        (ban.start, ban.until(), ban.offence),
        (at(900), Some(at(1_500)), 3)
    );
    assert_eq!((remark.ban, remark.about), (ban.id, About::Ban));
    assert_eq!(adopt(&mut engine, 1_001, adoption(900, Some(600), 3)), []);
    // It ends like any other, and the next one is the fourth.
    let mut out = Vec::new();
    engine.handle(at(1_500), Input::Tick, &mut out);
    assert!(matches!(&out[..], [Decision::Unban(_)]), "{out:?}");
    let out = hear(&mut engine, 1_600, &[(1_600, "192.0.2.7")]);
    let offence = out.iter().find_map(|decision| match decision {
        Decision::Ban(ban) => Some(ban.offence),
        _ => None,
    });
    assert_eq!(offence, Some(4));
}

#[test]
fn the_longer_ban_stays() {
    let mut engine = engine(&[]);
    hear(&mut engine, 1_000, &[(1_000, "192.0.2.7")]);
    assert_eq!(adopt(&mut engine, 1_001, adoption(900, Some(600), 1)), []);
    let out = adopt(&mut engine, 1_001, adoption(900, None, 1));
    let [
        Decision::Unban(ended),
        Decision::Count(_),
        Decision::Ban(ban),
        Decision::Remark(_),
    ] = &out[..]
    else {
        panic!("{out:?}");
    };
    assert_eq!(ended.release, Release::Replaced);
    assert_eq!((ban.until(), ban.offence), (None, 1));
    assert_eq!(adopt(&mut engine, 1_002, adoption(900, None, 1)), []);
    assert_eq!(engine.ledger().len(), 1);
}

#[test]
fn one_that_is_over_is_an_offence() {
    let mut engine = engine(&[]);
    let out = adopt(&mut engine, 1_000, adoption(100, Some(60), 2));
    let [
        Decision::Ban(ban),
        Decision::Remark(_),
        Decision::Unban(unban),
    ] = &out[..]
    else {
        panic!("{out:?}");
    };
    assert_eq!((unban.ban, unban.time), (ban.id, at(160)));
    assert_eq!(unban.release, Release::Expired);
    assert_eq!(standing(&engine), None);
    // Nor is an older one news then.
    assert_eq!(adopt(&mut engine, 1_000, adoption(100, Some(60), 2)), []);
    assert_eq!(adopt(&mut engine, 1_000, adoption(50, Some(60), 1)), []);
    hear(&mut engine, 1_000, &[(1_000, "192.0.2.7")]);
    assert_eq!(standing(&engine).map(|ban| ban.offence), Some(3));
}

#[test]
fn a_clock_that_ran_ahead_makes_no_ban_longer() {
    let mut engine = engine(&[]);
    adopt(&mut engine, 1_000, adoption(5_000, Some(600), 1));
    let ban = standing(&engine).expect("a ban");
    assert_eq!((ban.start, ban.until()), (at(1_000), Some(at(5_600))));
    assert_eq!(adopt(&mut engine, 2_000, adoption(5_000, Some(600), 1)), []);
}

#[test]
fn nobody_is_banned_who_never_is() {
    let mut engine = engine(&["192.0.2.0/24"]);
    let out = adopt(&mut engine, 1_000, adoption(900, None, 1));
    assert!(
        matches!(&out[..], [Decision::Notice(Notice::Spared { .. })]),
        "{out:?}"
    );
    assert_eq!(standing(&engine), None);
}
