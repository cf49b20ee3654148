//! Facts about actions whose target refuses, hangs or forgets: nothing is lost, and nothing is tried for ever.

use std::io::{BufRead as _, BufReader, Write as _};
use std::net::TcpListener;

use f2bd::action::event::{Event, Occasion};
use f2bd::action::ports::{Protocol, Services};

use super::*;

fn is_reconciled(outcome: &Outcome) -> bool {
    matches!(outcome, Outcome::Reconciled { .. })
}

/// Waits for the end of a trouble.
fn recovers(target: &Target) {
    while !is_reconciled(&target.outcome()) {}
}

fn touch(target: &Target, name: &str) {
    fs::write(target.path(name), "").unwrap();
}

fn remove(target: &Target, name: &str) {
    fs::remove_file(target.path(name)).unwrap();
}

fn jail_of(name: &str, port: &str) -> ActionJail {
    ActionJail {
        ports: Ports::parse(&[port], &Services::well_known()).unwrap(),
        protocols: vec![Protocol::Tcp],
        ..jail(name)
    }
}

#[test]
fn a_jail_of_other_ports_comes_anew() {
    let (add, del) = (call("add <address>+<to>"), call("del <address>+<to>"));
    let to = "[destination]\nports = \"<port>\"\nall = \"all\"\n";
    let file = format!("{HEAD}\n{to}[[ban]]\n{add}\n[[unban]]\n{del}\n");
    let target = Target::new(&file, &[]);
    touch(&target, "strict");
    let bans = vec![ban("web", "192.0.2.1", 600), ban("sshd", "192.0.2.2", 600)];
    let sshd = jail_of("sshd", "22");
    target.reconcile_jails(vec![jail_of("web", "80,443"), sshd.clone()], bans.clone());
    assert_eq!(
        target.held(),
        ["192.0.2.1+443", "192.0.2.1+80", "192.0.2.2+22"]
    );
    target.calls();
    target.reconcile_jails(vec![jail_of("web", "8080"), sshd], bans);
    assert_eq!(target.held(), ["192.0.2.1+8080", "192.0.2.2+22"]);
    let calls = target.calls();
    assert!(
        !calls.iter().any(|call| call.contains("192.0.2.2")),
        "{calls:?}"
    );
    let outcome = target.change(Vec::new(), &[("web", "192.0.2.1")]);
    assert!(matches!(outcome, Outcome::Applied { .. }));
    assert_eq!(target.held(), ["192.0.2.2+22"]);
}

#[test]
fn where_ports_are_not_told_others_change_nothing() {
    let target = Target::new(&one_by_one("", ""), &[]);
    let bans = vec![ban("web", "192.0.2.1", 600)];
    target.reconcile_jails(vec![jail_of("web", "80")], bans.clone());
    target.calls();
    target.reconcile_jails(vec![jail_of("web", "8080")], bans);
    assert_eq!(target.calls(), [""; 0]);
}

#[test]
fn what_somebody_else_has_lifted_is_not_lifted_for_ever() {
    let target = Target::new(&one_by_one("", ""), &[]);
    touch(&target, "strict");
    target.reconcile(&["sshd"], vec![ban("sshd", "192.0.2.1", 600)]);
    remove(&target, "held/192.0.2.1");
    target.change(Vec::new(), &[("sshd", "192.0.2.1")]);
    recovers(&target);
    target.calls();
    target.reconcile(&["sshd"], vec![ban("sshd", "192.0.2.2", 600)]);
    assert_eq!(target.calls(), ["add 192.0.2.2"]);
}

#[test]
fn what_came_late_and_is_lifted_meanwhile_is_lifted() {
    let target = Target::new(&one_by_one("", ""), &[("timeout", "1s")]);
    target.reconcile(&["sshd"], Vec::new());
    fs::write(target.path("hangs"), "192.0.2.1\n").unwrap();
    touch(&target, "broken");
    target.change(vec![ban("sshd", "192.0.2.1", 600)], &[]);
    let unbans = vec![("sshd".parse().unwrap(), "192.0.2.1".parse().unwrap())];
    let bans = Vec::new();
    target.orders.send(Order::Change { bans, unbans }).unwrap();
    until("it is tried to lift it", || target.was_called_with("del"));
    remove(&target, "broken");
    recovers(&target);
    assert_eq!(target.held(), [""; 0]);
}

#[test]
fn who_hangs_keeps_nobody_from_his_turn_for_ever() {
    let target = Target::new(&one_by_one("", ""), &[("timeout", "1s")]);
    target.reconcile(&["sshd"], Vec::new());
    fs::write(target.path("hangs"), "192.0.2.1\n").unwrap();
    let bans = ["192.0.2.1", "192.0.2.2"].map(|subject| ban("sshd", subject, 600));
    target.change(bans.to_vec(), &[]);
    until("the other is there", || {
        target
            .held()
            .contains(&"192.0.2.2".to_owned())
            .then_some(())
    });
}

#[test]
fn a_target_that_refuses_everything_is_not_asked_for_everybody() {
    let target = Target::new(&one_by_one("", ""), &[]);
    target.reconcile(&["sshd"], Vec::new());
    let subjects: Vec<_> = (0..100).map(|number| format!("192.0.2.{number}")).collect();
    let refused = subjects[..60].join("\n");
    fs::write(target.path("refused"), refused).unwrap();
    let bans = subjects.iter().map(|subject| ban("sshd", subject, 600));
    target.change(bans.collect(), &[]);
    let calls = target.calls().len();
    assert!(calls < 90, "{calls}");
    until("all others are there", || {
        (target.held().len() == 40).then_some(())
    });
}

#[test]
fn a_name_that_no_list_shows_is_lifted() {
    let file = format!(
        "names = true\nshared = true\n{HEAD}\n[[ban]]\n{}\ninput = \"lock <subject>\"\n[[unban]]\n{}\ninput = \"free <subject>\"\n[list]\n{}\n",
        call("input x"),
        call("input x"),
        call("list")
    );
    let target = Target::new(&file, &[("check_every", "0s")]);
    let bans = vec![ban_of("login", Name::of("root").unwrap().into(), 600)];
    target.reconcile(&["login"], bans.clone());
    target.reconcile(&["login"], bans);
    assert_eq!(target.calls(), ["list", "input x", "lock root", "list"]);
    let name = Name::of("root").unwrap().into();
    let (bans, unbans) = (Vec::new(), vec![("login".parse().unwrap(), name)]);
    target.orders.send(Order::Change { bans, unbans }).unwrap();
    target.outcome();
    assert_eq!(target.calls(), ["input x", "free root"]);
}

#[test]
fn a_jail_that_leaves_while_its_target_fails_is_remembered() {
    for tail in ["", &format!("[[stop]]\n{}\n", call("del <jail>"))] {
        let target = Target::new(&one_by_one("", tail), &[]);
        let bans = vec![ban("sshd", "192.0.2.1", 600), ban("web", "192.0.2.2", 600)];
        target.reconcile(&["sshd", "web"], bans.clone());
        touch(&target, "held/web");
        touch(&target, "broken");
        let outcome = target.reconcile(&["sshd"], bans[..1].to_vec());
        assert!(matches!(outcome, Outcome::Broken { .. }));
        remove(&target, "broken");
        recovers(&target);
        let stays = if tail.is_empty() { "web" } else { "192.0.2.2" };
        assert_eq!(target.held(), ["192.0.2.1", stays]);
    }
}

#[test]
fn a_longer_ban_is_not_forgotten_by_trying_twice() {
    let add = call("add <address> <seconds>");
    let file = one_by_one(
        "expires = true\nshared = true",
        &format!("[list]\n{}\n", call("list")),
    );
    let file = file.replace(&call("add <address>"), &add);
    let target = Target::new(&file, &[("check_every", "0s")]);
    target.reconcile(&["sshd"], vec![ban("sshd", "192.0.2.1", 600)]);
    fs::write(target.path("refused"), "192.0.2.1\n").unwrap();
    let outcome = target.change(vec![ban("sshd", "192.0.2.1", 36_000)], &[]);
    assert!(matches!(outcome, Outcome::Broken { .. }));
    remove(&target, "refused");
    recovers(&target);
    let seconds = fs::read_to_string(target.path("held/192.0.2.1")).unwrap();
    assert!(
        seconds.trim().parse::<u32>().unwrap() > 30_000,
        "{seconds:?}"
    );
}

#[test]
fn what_has_ended_by_itself_is_not_lifted() {
    let target = Target::new(&one_by_one("expires = true", ""), &[]);
    touch(&target, "strict");
    target.reconcile(&["sshd"], Vec::new());
    target.change(vec![ban("sshd", "192.0.2.1", 600)], &[]);
    target.change(Vec::new(), &[("sshd", "192.0.2.7")]);
    assert_eq!(target.calls(), ["add 192.0.2.1"], "nobody else was there");
    remove(&target, "held/192.0.2.1");
    target.off.store(601, Ordering::SeqCst);
    assert!(is_reconciled(&target.reconcile(&["sshd"], Vec::new())));
    assert_eq!(target.calls(), [""; 0]);
}

#[test]
fn a_clock_that_is_set_has_everything_told_anew() {
    let target = Target::new(&one_by_one("expires = true", ""), &[]);
    let bans = vec![ban("sshd", "192.0.2.1", 600)];
    target.reconcile(&["sshd"], bans.clone());
    target.reconcile(&["sshd"], bans.clone());
    assert_eq!(target.calls(), ["add 192.0.2.1"]);
    target.off.store(-3600, Ordering::SeqCst);
    target.reconcile(&["sshd"], bans);
    assert_eq!(target.calls(), ["add 192.0.2.1"]);
}

#[test]
fn what_lasts_longer_than_can_be_told_is_told_in_time() {
    let file = one_by_one(
        "expires = true\nseconds = { forever = \"0\", longest = 2 }",
        "",
    );
    let target = Target::new(&file, &[("check_every", "0s")]);
    target.reconcile(&["sshd"], vec![ban("sshd", "192.0.2.1", 600)]);
    target.calls();
    until("it is told anew", || {
        target.was_called_with("add 192.0.2.1")
    });
}

#[test]
fn who_wants_to_be_left_alone_is() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let file = r#"
kind = "http"
title = "a list"
place = "<url>"
[parameters.home]
type = "path"
about = "Nothing."
[parameters.url]
type = "url"
about = "Where it is."
[[ban]]
method = "POST"
url = "<url>/<address>"
[[unban]]
method = "DELETE"
url = "<url>/<address>"
"#;
    let mut target = Target::new(file, &[("url", &url)]);
    let (asked, asks) = mpsc::channel();
    // It lives as long as the test.
    thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let mut line = String::new();
            BufReader::new(&stream).read_line(&mut line).unwrap();
            let answer = "HTTP/1.1 429 Busy\r\nRetry-After: 600\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";
            stream.write_all(answer.as_bytes()).unwrap();
            // The test may be over.
            let _ = asked.send(line);
        }
    });
    target.reconcile(&["sshd"], Vec::new());
    let outcome = target.change(vec![ban("sshd", "192.0.2.1", 600)], &[]);
    assert!(matches!(outcome, Outcome::Broken { .. }));
    for subject in ["192.0.2.2", "192.0.2.3"] {
        let bans = vec![ban("sshd", subject, 600)];
        let unbans = Vec::new();
        target.orders.send(Order::Change { bans, unbans }).unwrap();
    }
    target.stop(Ending::AsConfigured);
    assert_eq!(
        asks.try_iter().collect::<Vec<_>>(),
        ["POST /192.0.2.1 HTTP/1.1\r\n"]
    );
}

#[test]
fn an_end_does_not_wait_for_long_work() {
    let mut target = Target::new(&one_by_one("", ""), &[]);
    target.reconcile(&["sshd"], Vec::new());
    touch(&target, "slow");
    let bans = (0..200).map(|number| ban("sshd", &format!("192.0.2.{number}"), 600));
    let bans = bans.collect();
    let unbans = Vec::new();
    target.orders.send(Order::Change { bans, unbans }).unwrap();
    until("it has begun", || target.was_called_with("add"));
    target.stop(Ending::AsConfigured);
    let done = target.held().len();
    assert!((1..200).contains(&done), "{done}");
}

fn event(address: &str) -> Event {
    Event {
        occasion: Occasion::Ban,
        time: now(),
        jail: Some("sshd".parse().unwrap()),
        subject: Some(address.parse().unwrap()),
        bantime: None,
        until: None,
        offence: 1,
        failures: 5,
        sentence: format!("ban {address}"),
        lines: Vec::new(),
        users: std::collections::BTreeSet::default(),
        whereabouts: None,
        captures: Default::default(),
        history: Vec::new(),
        restored: false,
    }
}

/// What a file of an action that tells begins with.
fn teller() -> String {
    HEAD.replace("place = \"<home>\"\n", "")
}

#[test]
fn an_end_does_not_wait_for_all_that_is_to_be_told() {
    let file = format!("{}[[tell]]\n{}\n", teller(), call("tell <address>"));
    let mut target = Target::new(&file, &[("timeout", "1s")]);
    touch(&target, "slow");
    let events = (0..100).map(|number| event(&format!("192.0.2.{number}")));
    target.orders.send(Order::Tell(events.collect())).unwrap();
    until("it has begun", || target.was_called_with("tell"));
    target.stop(Ending::AsConfigured);
    let told = target.calls().len();
    assert!(told < 100, "{told}");
}

#[test]
fn each_hears_all_although_one_was_broken() {
    let file = format!(
        "{}[[tell]]\n{}\ninput = \"<address>\"\n[[tell]]\n{}\ninput = \"<address>\"\n",
        teller(),
        call("input"),
        call("second"),
    );
    let target = Target::new(&file, &[]);
    touch(&target, "broken");
    let tell = |address: &str| {
        target
            .orders
            .send(Order::Tell(vec![event(address)]))
            .unwrap()
    };
    tell("192.0.2.1");
    let told = target.reports.recv_timeout(DEADLINE).unwrap();
    assert!(matches!(told, Report::Trouble(_)), "the second is broken");
    tell("192.0.2.2");
    tell("192.0.2.3");
    fs::write(target.path("second"), "").unwrap();
    remove(&target, "broken");
    let second = until("the second has heard", || {
        let second = fs::read_to_string(target.path("second")).unwrap();
        second.contains("192.0.2.3").then_some(second)
    });
    let heard: std::collections::BTreeSet<&str> = second.lines().collect();
    assert_eq!(heard.len(), 3, "{heard:?}");
    let mut calls = target.calls();
    calls.retain(|call| call.starts_with("192"));
    assert_eq!(calls, ["192.0.2.1", "192.0.2.2", "192.0.2.3"]);
}

#[test]
fn a_list_of_nobody_is_refused() {
    let file = format!(
        "{}\n[parameters.hooks]\nlist = true\nabout = \"Where.\"\n",
        one_by_one("", "")
    );
    let given = |hooks: &[&str]| {
        let hooks = hooks.iter().map(|hook| (*hook).to_owned()).collect();
        let home = Given::One("/".to_owned());
        [
            ("home".to_owned(), home),
            ("hooks".to_owned(), Given::Many(hooks)),
        ]
        .into()
    };
    let spec = |text: &str, hooks| {
        let file = ActionFile::parse(text).unwrap();
        file.spec("target".parse().unwrap(), &given(hooks))
    };
    assert!(spec(&file, &["INPUT"]).is_ok());
    assert!(spec(&file, &[]).is_err());
    assert!(spec(&format!("{file}default = []\n"), &[]).is_ok());
}
