//! Facts about proxies that are trusted, and about those for whom they speak.

use super::*;
use crate::engine::decision::Notice;
use crate::engine::policy::SetName;

/// Bans for one failure, also of whoever a proxy of 10.0.0.0/8 speaks for.
fn behind_proxies() -> Policy {
    let mut policy = policy(1, 600, ten_minutes(), &["203.0.113.0/24"]);
    let pattern = |number, text: &str| PatternSpec {
        number,
        text: text.to_owned(),
        fields: Vec::new(),
        unless_counted: false,
    };
    let spec = |outcome, word: &str| FilterSpec {
        failures: vec![
            pattern(1, &format!("^{word} <ip> for \"<forwarded>\"$")),
            pattern(2, &format!("^{word} <ip>$")),
        ],
        outcome,
        ..policy.filters.spec(FilterId(0)).clone()
    };
    let filters = vec![spec(Outcome::Failure, "no"), spec(Outcome::Success, "yes")];
    policy.filters = FilterSet::compile(filters).expect("a filter set");
    let jail = &mut policy.jails[0];
    jail.logins = Some(FilterId(1));
    jail.trusted = IgnoreList::new(vec![IgnoreRule {
        prefix: "10.0.0.0/8".parse().expect("a prefix"),
        because: "trusted 10.0.0.0/8".into(),
    }]);
    policy
}

fn say(engine: &mut Engine, now: i64, line: &str) -> Vec<Decision> {
    let mut batch = Batch::default();
    batch.push(Record::bare(at(now), line.as_bytes()));
    let mut out = Vec::new();
    let input = Input::Records {
        source: None,
        batch: &batch,
        more: false,
    };
    engine.handle(at(now), input, &mut out);
    out
}

#[test]
fn whoever_a_trusted_proxy_speaks_for_is_counted() {
    for (line, expected) in [
        ("no 10.0.0.1 for \"192.0.2.7\"", Some("192.0.2.7")),
        (
            "no ::ffff:10.0.0.1 for \"198.51.100.1, 192.0.2.7, 10.9.9.9\"",
            Some("192.0.2.7"),
        ),
        // Nobody else is asked for whom he speaks.
        ("no 192.0.2.8 for \"198.51.100.1\"", Some("192.0.2.8")),
        ("no 10.0.0.1 for \"198.51.100.1, unknown\"", None),
        ("no 10.0.0.1 for \"10.0.0.2\"", None),
        ("no 10.0.0.1 for \"-\"", None),
        ("no 10.0.0.1", None),
        // Who is ignored is so behind a proxy as well.
        ("no 10.0.0.1 for \"203.0.113.9\"", None),
    ] {
        let out = say(&mut Engine::new(behind_proxies()), 1, line);
        let counted = out.iter().find_map(|decision| match decision {
            Decision::Count(failure) => Some(failure.address.expect("an address").to_string()),
            _ => None,
        });
        assert_eq!(counted.as_deref(), expected, "{line}");
        let bans = out.iter().filter(|one| matches!(one, Decision::Ban(_)));
        assert_eq!(bans.count(), usize::from(expected.is_some()), "{line}");
    }
}

#[test]
fn a_login_through_a_proxy_is_his_for_whom_it_speaks() {
    let mut policy = behind_proxies();
    policy.jails[0].maxretry = MaxRetry(NonZeroU32::new(2).expect("not zero"));
    let mut engine = Engine::new(policy);
    for (second, line) in [
        (1, "no 10.0.0.1 for \"192.0.2.7\""),
        (2, "no 10.0.0.1 for \"192.0.2.8\""),
        (3, "yes 10.0.0.2 for \"198.51.100.1, 192.0.2.7\""),
        (4, "no 10.0.0.1 for \"192.0.2.7\""),
    ] {
        assert!(short(&say(&mut engine, second, line)).is_empty(), "{line}");
    }
    let out = say(&mut engine, 5, "no 10.0.0.1 for \"192.0.2.8\"");
    assert_eq!(short(&out), ["+192.0.2.8 @5 #1"]);
}

#[test]
fn a_trusted_proxy_is_never_banned() {
    let mut policy = behind_proxies();
    policy.jails[0].width.ipv4 = 4;
    let mut engine = Engine::new(policy);
    // Its network would hold proxies.
    let out = say(&mut engine, 1, "no 11.0.0.1");
    assert_eq!(short(&out), ["+11.0.0.1 @1 #1"]);
    for subject in ["10.0.0.1/32", "0.0.0.0/4"] {
        let mut out = Vec::new();
        let ban = Input::Ban {
            jail: "test".parse().expect("a name"),
            subject: subject.parse().expect("a prefix"),
            bantime: None,
            reason: None,
        };
        engine.handle(at(2), ban, &mut out);
        let because = out.iter().find_map(|decision| match decision {
            Decision::Notice(Notice::Spared { because, .. }) => Some(because.to_string()),
            _ => None,
        });
        assert_eq!(because.as_deref(), Some("trusted 10.0.0.0/8"), "{subject}");
        let verdicts = engine.explain(at(2), &subject.parse().expect("a prefix"));
        let is_ignored = |verdict: &Verdict| {
            verdict.place
                == Place::Ignored {
                    because: "trusted 10.0.0.0/8".into(),
                }
        };
        let is_wide = subject == "0.0.0.0/4";
        assert_eq!(verdicts.iter().any(is_ignored), !is_wide, "{verdicts:?}");
    }
}

#[test]
fn a_set_of_proxies_is_known_by_their_key() {
    let name = SetName::Host("proxy.example.org".into());
    let mut policy = behind_proxies();
    let list = IgnoreList::new(Vec::new()).with([name.clone()].into());
    policy.jails[0].trusted = list.named_by("trusted");
    assert!(policy.sets(false).contains(&name));
    let mut engine = Engine::new(policy);
    let out = say(&mut engine, 1, "no 198.51.100.9 for \"192.0.2.7\"");
    assert_eq!(short(&out), ["+198.51.100.9 @1 #1"], "nobody is known yet");
    let members = AddressSet::new(vec![IgnoreRule {
        prefix: "198.51.100.9/32".parse().expect("a prefix"),
        because: "ignoreip proxy.example.org".into(),
    }]);
    let mut out = Vec::new();
    let told = Input::Ignore {
        set: name,
        addresses: members,
    };
    engine.handle(at(2), told, &mut out);
    assert!(
        matches!(&out[..], [Decision::Unban(unban)] if unban.release == Release::Ignored),
        "{out:?}"
    );
    let place = &engine.explain(at(2), &"198.51.100.9/32".parse().expect("a prefix"))[0].place;
    let because = "trusted proxy.example.org".into();
    assert_eq!(*place, Place::Ignored { because });
    let out = say(&mut engine, 3, "no 198.51.100.9 for \"192.0.2.7\"");
    assert_eq!(short(&out), ["+192.0.2.7 @3 #1"]);
}
