//! Facts about what is done, and to whom, by how often somebody has offended.

use super::*;
use crate::engine::jail::response::Response;

fn from(offence: u32, network: Option<SubjectWidth>, lets_through: bool) -> Response {
    Response {
        from: NonZeroU32::new(offence).expect("counted from 1"),
        actions: Vec::new(),
        network,
        lets_through,
    }
}

/// Two failures within ten minutes make a ban, which is answered so.
fn answering(responses: Vec<Response>) -> Policy {
    let mut policy = policy(2, 600, ten_minutes(), &[]);
    policy.jails[0].responses = Responses::new(Vec::new(), responses);
    policy
}

fn wide(ipv4: u8) -> Option<SubjectWidth> {
    Some(SubjectWidth { ipv4, ipv6: 48 })
}

/// A jail that slows down, then keeps out, and bans the network from the third offence on.
fn graded() -> Policy {
    let mut policy = policy(2, 600, ten_minutes(), &["198.51.100.1"]);
    let network = SubjectWidth { ipv4: 24, ipv6: 48 };
    policy.jails[0].responses = Responses::new(
        Vec::new(),
        vec![
            from(1, None, true),
            from(2, None, false),
            from(3, Some(network), false),
        ],
    );
    policy
}

#[test]
fn who_gets_through_goes_on_to_the_next_offence() {
    let mut engine = Engine::new(graded());
    let out = hear(&mut engine, 5, &[(0, A), (1, A), (1, A), (2, A), (3, A)]);
    assert_eq!(
        short(&out),
        [
            "+192.0.2.7 @1 #1",
            "-192.0.2.7 @3 Replaced",
            "+192.0.2.7 @3 #2"
        ]
    );
    let out = hear(&mut engine, 5, &[(4, A), (4, A), (5, A)]);
    assert_eq!(short(&out), [""; 0], "whoever is kept out does not");
}

#[test]
fn the_network_is_banned_in_the_end_unless_it_holds_somebody_spared() {
    let mut engine = Engine::new(graded());
    let four = [(0, A), (1, A), (2, A), (3, A)];
    hear(&mut engine, 5, &four);
    let out = hear(&mut engine, 700, &[(700, A), (700, A)]);
    assert_eq!(
        short(&out),
        [
            "-192.0.2.7 @603 Expired",
            "+192.0.2.7 @700 #3",
            "+192.0.2.0/24 @700 #3",
            "-192.0.2.7 @700 Merged"
        ],
        "with the number of its offender's offence"
    );
    let spared = "198.51.100.9";
    let four = four.map(|(time, _)| (time + 2_000, spared));
    hear(&mut engine, 2_010, &four);
    let out = hear(&mut engine, 2_700, &[(2_700, spared), (2_700, spared)]);
    assert_eq!(
        short(&out).last().map(String::as_str),
        Some("+198.51.100.9 @2700 #3")
    );
}

#[test]
fn a_network_takes_in_no_ban_that_is_more_severe() {
    let mut policy = graded();
    let number = |number| NonZeroU32::new(number).expect("not zero");
    policy.jails[0].networks = vec![NetworkRule {
        width: NetworkWidth::Ipv4(24),
        hosts: number(2),
        maxretry: MaxRetry(number(8)),
        findtime: FindTime(600 * SECOND),
    }];
    let mut engine = Engine::new(policy);
    let four = [(0, A), (1, A), (2, A), (3, A)];
    hear(&mut engine, 5, &four);
    let other = "192.0.2.8";
    let out = hear(&mut engine, 10, &[(5, other), (6, other)]);
    assert_eq!(short(&out), ["+192.0.2.8 @6 #1"]);
    let out = hear(&mut engine, 20, &[(7, "192.0.2.9"), (8, "192.0.2.10")]);
    assert_eq!(
        short(&out),
        ["+192.0.2.0/24 @8 #1", "-192.0.2.8 @8 Merged"],
        "the one that is kept out stays so"
    );
    let banned = engine.ledger().len();
    assert_eq!(banned, 2);
}

#[test]
fn what_the_administrator_bans_is_kept_out() {
    let mut engine = Engine::new(graded());
    let ban = Input::Ban {
        jail: "test".parse().expect("a name"),
        subject: A.parse().expect("an address"),
        bantime: None,
        reason: None,
    };
    engine.handle(at(0), ban, &mut Vec::new());
    let out = hear(&mut engine, 5, &[(1, A), (2, A), (3, A)]);
    assert_eq!(short(&out), [""; 0]);
}

#[test]
fn what_the_administrator_bans_stays_so_where_all_get_through() {
    let mut engine = Engine::new(answering(vec![from(1, None, true)]));
    let ban = Input::Ban {
        jail: "test".parse().expect("a name"),
        subject: A.parse().expect("an address"),
        bantime: Some(BanTime::Forever),
        reason: None,
    };
    engine.handle(at(0), ban, &mut Vec::new());
    let out = hear(&mut engine, 5, &[(1, A), (2, A), (3, A)]);
    assert_eq!(short(&out), [""; 0]);
}

#[test]
fn a_network_is_banned_once_though_two_rules_want_it() {
    let mut policy = answering(vec![from(2, wide(24), false)]);
    let number = |number| NonZeroU32::new(number).expect("not zero");
    policy.jails[0].networks = vec![NetworkRule {
        width: NetworkWidth::Ipv4(24),
        hosts: number(2),
        maxretry: MaxRetry(number(3)),
        findtime: FindTime(600 * SECOND),
    }];
    let mut engine = Engine::new(policy);
    hear(&mut engine, 5, &[(0, A), (1, A)]);
    let out = hear(&mut engine, 710, &[(700, "192.0.2.8"), (701, A), (702, A)]);
    assert_eq!(
        short(&out),
        [
            "-192.0.2.7 @601 Expired",
            "+192.0.2.7 @702 #2",
            "+192.0.2.0/24 @702 #2",
            "-192.0.2.7 @702 Merged"
        ]
    );
}

#[test]
fn a_wider_network_is_reached_in_the_end_as_explain_says() {
    let ladder = vec![from(2, wide(24), false), from(4, wide(16), false)];
    let mut engine = Engine::new(answering(ladder));
    for (number, whom) in [
        (1, "192.0.2.7"),
        (2, "192.0.2.0/24"),
        (3, "192.0.2.0/24"),
        (4, "192.0.0.0/16"),
    ] {
        let time = 1_000 * i64::from(number);
        engine.handle(at(time - 1), Input::Tick, &mut Vec::new());
        let subject = A.parse().expect("an address");
        let verdict = engine.explain(at(time - 1), &subject).swap_remove(0);
        let next = verdict.next.map(|next| next.offence);
        let instead = verdict.instead.map_or(A.to_owned(), Prefix::plain);
        assert_eq!((next, &*instead), (Some(number), whom));
        let out = hear(&mut engine, time + 1, &[(time, A), (time + 1, A)]);
        let expected = format!("+{whom} @{} #{number}", time + 1);
        assert!(short(&out).contains(&expected), "{out:?}");
    }
}

#[test]
fn a_neighbour_who_begins_changes_nothing() {
    let ladder = vec![from(1, wide(24), true), from(2, None, false)];
    let mut engine = Engine::new(answering(ladder));
    let other = "192.0.2.8";
    hear(&mut engine, 5, &[(0, A), (1, A)]);
    let out = hear(&mut engine, 50, &[(20, other), (30, other)]);
    let told = short(&out);
    assert!(
        told.contains(&"+192.0.2.0/24 @30 #1".to_owned()),
        "{told:?}"
    );
    let network = "192.0.2.0/24".parse().expect("a network");
    let jail = "test".parse().expect("a name");
    let standing = engine.ledger().find(&jail, &network).expect("it is banned");
    assert!(engine.policy().jails[0].response_to(&standing).lets_through);
    // Who goes on is shut out alone.
    let out = hear(&mut engine, 60, &[(51, A), (52, A)]);
    assert_eq!(
        short(&out).last().map(String::as_str),
        Some("+192.0.2.7 @52 #2")
    );
}
