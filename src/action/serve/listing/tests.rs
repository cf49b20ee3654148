//! Facts about the listing, with the projection behind it.

use std::net::Ipv4Addr;

use proptest::prelude::*;

use super::super::super::ports::Ports;
use super::super::super::{ActionJail, InForce};
use super::*;
use crate::engine::decision::BanId;
use crate::engine::prefix::SubjectWidth;

/// A listing with the projection behind it.
#[derive(Default)]
struct Scene {
    projection: Projection,
    listing: Listing,
}

const JAILS: [&str; 3] = ["nginx", "recidive", "sshd"];

fn name(jail: &str) -> JailName {
    jail.parse().expect("a name")
}

fn at(second: i64) -> Timestamp {
    Timestamp::from_micros(second * 1_000_000)
}

fn ban(jail: &str, subject: &str, until: Option<i64>) -> InForce {
    InForce {
        ban: BanId(1),
        jail: name(jail),
        subject: subject.parse().expect("a subject"),
        until: until.map(at),
        event: None,
    }
}

impl Scene {
    fn new() -> Scene {
        let mut scene = Scene::default();
        scene.reconcile(Vec::new(), 0);
        scene
    }

    fn reconcile(&mut self, bans: Vec<InForce>, second: i64) {
        let jails = JAILS.map(|jail| ActionJail {
            jail: name(jail),
            label: name(jail),
            ports: Ports::All,
            protocols: Vec::new(),
            width: SubjectWidth::DEFAULT,
        });
        self.projection
            .replace(jails.to_vec(), bans, true, at(second));
        self.listing.replace(&self.projection, at(second));
    }

    fn change(&mut self, bans: &[InForce], unbans: &[(&str, &str)], second: i64) {
        let unbans: Vec<(JailName, Subject)> = unbans
            .iter()
            .map(|(jail, subject)| (name(jail), subject.parse().expect("a subject")))
            .collect();
        let mut touched = Touched::new();
        let banned = bans.iter().map(|ban| (&ban.jail, &ban.subject));
        for (jail, subject) in banned.chain(unbans.iter().map(|(jail, subject)| (jail, subject))) {
            touched
                .entry(jail.clone())
                .or_default()
                .insert(subject.clone());
        }
        self.projection.change(bans, &unbans, at(second));
        self.listing.change(&self.projection, &touched, at(second));
    }

    /// Who is new and who is free since then.
    fn since(&self, known: Position) -> (Vec<String>, Vec<String>) {
        let news = self.listing.since(known).expect("it is remembered");
        let shown = |list: &[Listed]| list.iter().map(|ban| ban.subject.plain()).collect();
        (shown(&news.banned), shown(&news.lifted))
    }
}

fn shown(list: Vec<Listed>) -> Vec<String> {
    let shown = |ban: &Listed| {
        let until = ban.until.map_or(-1, |until| until.as_micros() / 1_000_000);
        format!("{} {} {until}", ban.subject.plain(), ban.jail)
    };
    list.iter().map(shown).collect()
}

#[test]
fn the_longest_ban_of_a_subject_counts() {
    let mut scene = Scene::new();
    let host = "192.0.2.7";
    scene.change(&[ban("sshd", host, Some(100))], &[], 0);
    let first = scene.listing.last();
    scene.change(&[ban("nginx", host, Some(50))], &[], 0);
    assert_eq!(shown(scene.listing.all(None)), ["192.0.2.7 sshd 100"]);
    assert_eq!(scene.since(first), (vec![], vec![]), "bouncers know it");
    assert!(
        scene.listing.last() > first,
        "a list of nginx is another one"
    );
    assert_eq!(
        shown(scene.listing.all(Some(&name("nginx")))),
        ["192.0.2.7 nginx 50"]
    );
    scene.change(&[], &[("sshd", host)], 10);
    assert_eq!(shown(scene.listing.all(None)), ["192.0.2.7 nginx 50"]);
    assert_eq!(
        scene.since(first),
        (vec![host.to_owned()], vec![]),
        "a shorter ban is news"
    );
    scene.change(&[], &[("nginx", host)], 20);
    assert_eq!(scene.since(first), (vec![], vec![host.to_owned()]));
}

#[test]
fn what_runs_out_is_gone_and_told_to_nobody() {
    let mut scene = Scene::new();
    scene.change(
        &[
            ban("sshd", "192.0.2.7", Some(100)),
            ban("sshd", "192.0.2.8", None),
        ],
        &[],
        0,
    );
    let before = scene.listing.last();
    scene.listing.expire(at(99));
    assert_eq!(scene.listing.last(), before);
    scene.listing.expire(at(100));
    assert!(scene.listing.last() > before, "the list has changed");
    assert_eq!(shown(scene.listing.all(None)), ["192.0.2.8 sshd -1"]);
    assert_eq!(scene.since(before), (vec![], vec![]));
    scene.change(&[], &[("sshd", "192.0.2.8")], 101);
    scene.listing.expire(at(1_000_000));
    assert_eq!(scene.since(before), (vec![], vec!["192.0.2.8".to_owned()]));
}

#[test]
fn a_reconciliation_tells_what_has_changed_only() {
    let mut scene = Scene::new();
    let bans = || {
        vec![
            ban("sshd", "192.0.2.7", Some(100)),
            ban("sshd", "2001:db8::/64", Some(90)),
        ]
    };
    scene.reconcile(bans(), 0);
    let before = scene.listing.last();
    scene.reconcile(bans(), 1);
    assert_eq!(scene.listing.last(), before);
    scene.reconcile(bans()[1..].to_vec(), 2);
    assert_eq!(scene.since(before), (vec![], vec!["192.0.2.7".to_owned()]));
}

#[test]
fn bans_are_found_by_what_they_hold() {
    let mut scene = Scene::new();
    let subjects = [
        "192.0.2.0/24",
        "192.0.2.7",
        "192.0.3.1",
        "2001:db8::/64",
        "2001:db8::1",
    ];
    let bans: Vec<_> = subjects
        .iter()
        .map(|subject| ban("sshd", subject, Some(9)))
        .collect();
    scene.change(&bans, &[], 0);
    let net = |text: &str| text.parse::<Prefix>().expect("a network");
    let found =
        |list: Vec<Listed>| -> Vec<String> { list.iter().map(|ban| ban.subject.plain()).collect() };
    assert_eq!(
        found(scene.listing.holding(net("192.0.2.7"))),
        ["192.0.2.0/24", "192.0.2.7"]
    );
    assert_eq!(
        found(scene.listing.holding(net("2001:db8::2"))),
        ["2001:db8::/64"]
    );
    assert_eq!(
        found(scene.listing.within(net("192.0.2.0/23"))),
        subjects[..3]
    );
    assert_eq!(
        found(scene.listing.within(net("192.0.2.0/25"))),
        ["192.0.2.7"]
    );
    assert_eq!(found(scene.listing.within(net("::/0"))), subjects[3..]);
}

#[test]
fn what_is_remembered_of_the_lifted_is_bounded() {
    let mut scene = Scene::new();
    let known = scene.listing.last();
    for number in 0..=u32::try_from(MOST_LIFTED).expect("it fits") {
        let host = Ipv4Addr::from_bits(number).to_string();
        scene.change(&[ban("sshd", &host, None)], &[], 0);
        scene.change(&[], &[("sshd", &host)], 0);
    }
    assert_eq!(scene.listing.lifted.len(), MOST_LIFTED);
    assert_eq!(scene.listing.since(known), None, "too long ago");
    let last = scene.listing.last();
    assert!(scene.listing.since(last).is_some());
}

/// Something that happens.
#[derive(Clone, Debug)]
enum Step {
    Ban(usize, u8, Option<i64>),
    Unban(usize, u8),
    Reconcile,
    Wait(i64),
    Ask,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => (0..JAILS.len(), 0..6_u8, proptest::option::weighted(0.9, 1..20_i64))
            .prop_map(|(jail, host, span)| Step::Ban(jail, host, span)),
        3 => (0..JAILS.len(), 0..6_u8).prop_map(|(jail, host)| Step::Unban(jail, host)),
        1 => Just(Step::Reconcile),
        2 => (1..12_i64).prop_map(Step::Wait),
        2 => Just(Step::Ask),
    ]
}

proptest! {
    #[test]
    fn whoever_hears_the_news_knows_the_list(steps in proptest::collection::vec(step(), 1..60)) {
        let mut scene = Scene::new();
        let mut truth: HashMap<(usize, u8), Option<i64>> = HashMap::new();
        let (mut client, mut known) = (HashMap::new(), scene.listing.last());
        let mut now = 0;
        for step in steps.into_iter().chain([Step::Ask]) {
            let subject = |host: u8| format!("192.0.2.{host}");
            match step {
                Step::Ban(jail, host, span) => {
                    let until = span.map(|span| now + span);
                    truth.insert((jail, host), until);
                    scene.change(&[ban(JAILS[jail], &subject(host), until)], &[], now);
                }
                Step::Unban(jail, host) => {
                    truth.remove(&(jail, host));
                    scene.change(&[], &[(JAILS[jail], &subject(host))], now);
                }
                Step::Reconcile => {
                    let all = truth.iter().map(|((jail, host), until)| ban(JAILS[*jail], &subject(*host), *until));
                    scene.reconcile(all.collect(), now);
                }
                Step::Wait(seconds) => now += seconds,
                Step::Ask => {
                    scene.listing.expire(at(now));
                    let news = scene.listing.since(known).expect("few changes");
                    known = news.position;
                    for ban in &news.lifted {
                        prop_assert!(news.banned.iter().all(|banned| banned.subject != ban.subject));
                        client.remove(&ban.subject);
                    }
                    client.extend(news.banned.into_iter().map(|ban| (ban.subject, ban.until)));
                    client.retain(|_, until| until.is_none_or(|until| until > at(now)));
                    let mut longest: HashMap<Prefix, Option<Timestamp>> = HashMap::new();
                    truth.retain(|_, until| until.is_none_or(|until| until > now));
                    for ((_, host), until) in &truth {
                        let own = longest.entry(subject(*host).parse().expect("a host")).or_insert(Some(at(0)));
                        *own = later(*own, until.map(at));
                    }
                    prop_assert_eq!(&client, &longest);
                    let listed = scene.listing.all(None).into_iter();
                    let listed: HashMap<_, _> = listed.map(|ban| (ban.subject, ban.until)).collect();
                    prop_assert_eq!(listed, longest);
                    let ends = scene.listing.ends.len();
                    prop_assert!(ends <= JAILS.len() * 6 + 6, "{} ends", ends);
                }
            }
        }
    }
}
