//! Facts about actions that take steps, with programs that are really run: scripts that keep a list, and note who called.

mod trouble;

use std::fs;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::mpsc::{self, Receiver, Sender};
use std::thread::{self, JoinHandle};

use f2bd::action::file::ActionFile;
use f2bd::action::parameter::Given;
use f2bd::action::ports::Ports;
use f2bd::action::{ActionJail, Ending, InForce, Order, Report, worker};
use f2bd::engine::decision::BanId;
use f2bd::engine::input::Outcome;
use f2bd::engine::prefix::SubjectWidth;
use f2bd::engine::subject::{Name, Subject};
use f2bd::engine::time::Timestamp;
use tempfile::TempDir;

use crate::support::now;
use crate::support::wait::{DEADLINE, until};

/// A target: it keeps a file for each address, refuses those it is told to, and notes each call. If it is `strict`, it does
/// not lift what is not there; if it hangs, it does what it should first.
const TARGET: &str = r#"#!/bin/sh
echo "$*" >>calls
case $1 in
    add)
        grep -qsxF "$2" refused && exit 1
        echo "$3" >"held/$(echo "$2" | tr / _)"
        grep -qsxF "$2" hangs && exec sleep 60
        if [ -e slow ]; then sleep 0.1; fi ;;
    del)
        if [ -e broken ]; then exit 1; fi
        if [ -e strict ] && [ ! -e "held/$(echo "$2" | tr / _)" ]; then exit 1; fi
        rm -f "held/$(echo "$2" | tr / _)" ;;
    tell) if [ -e slow ]; then sleep 0.1; fi ;;
    second) cat >>second; ! [ -e broken ] ;;
    list) ls held | tr _ / ;;
    input) cat >>calls ;;
esac
"#;

const HEAD: &str = r#"
kind = "exec"
title = "a list of addresses"
place = "<home>"
[parameters.home]
type = "path"
about = "Where the target is."
"#;

/// One call of the target, in its folder.
fn call(words: &str) -> String {
    let words: Vec<_> = words.split(' ').map(|word| format!("{word:?}")).collect();
    format!(
        r#"run = ["env", "-C", "<home>", "./target", {}]"#,
        words.join(", ")
    )
}

/// An action that adds and removes one by one.
fn one_by_one(head: &str, tail: &str) -> String {
    let (add, del) = (call("add <address>"), call("del <address>"));
    format!("{head}{HEAD}\n[[ban]]\n{add}\n[[unban]]\n{del}\n{tail}")
}

struct Target {
    home: TempDir,
    orders: Sender<Order>,
    reports: Receiver<Report>,
    thread: Option<JoinHandle<()>>,
    /// How many seconds its clock is off.
    off: Arc<AtomicI64>,
}

impl Target {
    fn new(file: &str, given: &[(&str, &str)]) -> Target {
        let home = tempfile::tempdir().unwrap();
        fs::create_dir(home.path().join("held")).unwrap();
        fs::write(home.path().join("target"), TARGET).unwrap();
        let mode = std::os::unix::fs::PermissionsExt::from_mode(0o755);
        fs::set_permissions(home.path().join("target"), mode).unwrap();
        let mut target = Target {
            home,
            orders: mpsc::channel().0,
            reports: mpsc::channel().1,
            thread: None,
            off: Arc::default(),
        };
        target.start(file, given);
        target
    }

    /// A daemon begins.
    fn start(&mut self, file: &str, given: &[(&str, &str)]) {
        let one = |text: &str| Given::One(text.to_owned());
        let home = self.home.path().to_str().unwrap();
        let given = given.iter().copied().chain([("home", home)]);
        let given = given.map(|(name, value)| (name.to_owned(), one(value)));
        let file = ActionFile::parse(file).unwrap();
        let spec = file
            .spec("target".parse().unwrap(), &given.collect())
            .unwrap();
        let (orders, received) = mpsc::channel();
        let (report, reports) = mpsc::channel();
        let off = Arc::clone(&self.off);
        let clock = move || {
            let off = off.load(Ordering::SeqCst);
            Timestamp::from_micros(now().as_micros() + off * 1_000_000)
        };
        let thread = thread::spawn(move || {
            worker::run(&spec, received, clock, move |told| {
                // A test may fail before the worker ends.
                let _ = report.send(told);
            });
        });
        (self.orders, self.reports, self.thread) = (orders, reports, Some(thread));
    }

    /// And is killed.
    fn die(&mut self) {
        self.orders = mpsc::channel().0;
        self.thread.take().unwrap().join().unwrap();
    }

    fn stop(&mut self, ending: Ending) {
        self.orders.send(Order::Stop(ending)).unwrap();
        self.thread.take().unwrap().join().unwrap();
    }

    fn outcome(&self) -> Outcome {
        loop {
            if let Report::Outcome(outcome) = self.reports.recv_timeout(DEADLINE).unwrap() {
                return outcome;
            }
        }
    }

    fn is_broken(&self) -> bool {
        matches!(self.outcome(), Outcome::Broken { .. })
    }

    fn reconcile(&self, jails: &[&str], bans: Vec<InForce>) -> Outcome {
        self.reconcile_jails(jails.iter().map(|name| jail(name)).collect(), bans)
    }

    fn reconcile_jails(&self, jails: Vec<ActionJail>, bans: Vec<InForce>) -> Outcome {
        self.orders
            .send(Order::Reconcile {
                jails,
                bans,
                complete: true,
            })
            .unwrap();
        self.outcome()
    }

    fn change(&self, bans: Vec<InForce>, unbans: &[(&str, &str)]) -> Outcome {
        let unbans = unbans
            .iter()
            .map(|(jail, subject)| (jail.parse().unwrap(), subject.parse().unwrap()));
        let unbans = unbans.collect();
        self.orders.send(Order::Change { bans, unbans }).unwrap();
        self.outcome()
    }

    fn path(&self, name: &str) -> PathBuf {
        self.home.path().join(name)
    }

    /// What it holds, in order.
    fn held(&self) -> Vec<String> {
        let entries = self.path("held").read_dir().unwrap();
        let mut held: Vec<_> = entries
            .map(|entry| {
                entry
                    .unwrap()
                    .file_name()
                    .into_string()
                    .unwrap()
                    .replace('_', "/")
            })
            .collect();
        held.sort();
        held
    }

    fn was_called_with(&self, word: &str) -> Option<()> {
        let calls = fs::read_to_string(self.path("calls")).ok()?;
        calls.contains(word).then_some(())
    }

    /// What it was called for since it was asked last.
    fn calls(&self) -> Vec<String> {
        let calls = fs::read_to_string(self.path("calls")).unwrap_or_default();
        fs::write(self.path("calls"), "").unwrap();
        calls.lines().map(str::to_owned).collect()
    }
}

fn jail(name: &str) -> ActionJail {
    ActionJail {
        jail: name.parse().unwrap(),
        label: name.parse().unwrap(),
        ports: Ports::All,
        protocols: Vec::new(),
        width: SubjectWidth::DEFAULT,
    }
}

fn ban(jail: &str, subject: &str, seconds: u64) -> InForce {
    ban_of(jail, subject.parse().unwrap(), seconds)
}

fn ban_of(jail: &str, subject: Subject, seconds: u64) -> InForce {
    InForce {
        ban: BanId(seconds),
        jail: jail.parse().unwrap(),
        subject,
        until: Some(now().after(std::time::Duration::from_secs(seconds))),
        event: None,
    }
}

#[test]
fn each_ban_is_put_and_lifted_once() {
    let mut target = Target::new(&one_by_one("", ""), &[]);
    target.reconcile(&["sshd"], vec![ban("sshd", "192.0.2.1", 600)]);
    assert_eq!(target.calls(), ["add 192.0.2.1"]);
    target.change(vec![ban("sshd", "2001:db8::/64", 600)], &[]);
    assert_eq!(target.calls(), ["add 2001:db8::/64"]);
    target.change(vec![ban("sshd", "2001:db8::/64", 900)], &[]);
    assert_eq!(
        target.calls(),
        [""; 0],
        "a longer ban is the same to whom is not told how long"
    );
    target.reconcile(
        &["sshd"],
        vec![ban("sshd", "192.0.2.1", 600), ban("sshd", "192.0.2.2", 600)],
    );
    let mut calls = target.calls();
    calls.sort();
    assert_eq!(
        calls,
        ["add 192.0.2.2", "del 2001:db8::/64"],
        "only the difference"
    );
    target.change(Vec::new(), &[("sshd", "192.0.2.1")]);
    assert_eq!(target.calls(), ["del 192.0.2.1"]);
    target.stop(Ending::AsConfigured);
    assert_eq!(
        target.held(),
        ["192.0.2.2"],
        "what is there outlasts the daemon"
    );
}

#[test]
fn what_ends_by_itself_is_told_of_another_end() {
    let mut target = Target::new(&one_by_one("expires = true", ""), &[("on_stop", "remove")]);
    target.reconcile(&["sshd"], vec![ban("sshd", "192.0.2.1", 600)]);
    target.change(vec![ban("sshd", "192.0.2.1", 900)], &[]);
    assert_eq!(target.calls(), ["add 192.0.2.1", "add 192.0.2.1"]);
    target.stop(Ending::AsConfigured);
    assert_eq!(target.held(), [""; 0]);
}

#[test]
fn what_several_jails_ban_stays_until_the_last_one_lets_go() {
    let target = Target::new(&one_by_one("shared = true", ""), &[]);
    target.reconcile(&["sshd", "web"], Vec::new());
    target.change(vec![ban("sshd", "192.0.2.1", 600)], &[]);
    target.change(vec![ban("web", "192.0.2.1", 600)], &[]);
    assert_eq!(target.calls(), ["add 192.0.2.1"]);
    target.change(Vec::new(), &[("sshd", "192.0.2.1")]);
    assert_eq!(target.calls(), [""; 0]);
    target.change(Vec::new(), &[("web", "192.0.2.1")]);
    assert_eq!(target.calls(), ["del 192.0.2.1"]);
}

#[test]
fn what_the_target_shows_is_what_is_there() {
    let listed = format!("[list]\n{}", call("list"));
    let file = one_by_one("shared = true", &listed);
    let mut target = Target::new(&file, &[("check_every", "1s")]);
    target.reconcile(
        &["sshd"],
        vec![ban("sshd", "192.0.2.1", 600), ban("sshd", "192.0.2.2", 600)],
    );
    target.die();
    fs::write(target.path("held/192.0.2.9"), "").unwrap();
    fs::remove_file(target.path("held/192.0.2.2")).unwrap();
    target.calls();
    target.start(&file, &[("check_every", "1s")]);
    target.reconcile(
        &["sshd"],
        vec![ban("sshd", "192.0.2.1", 600), ban("sshd", "192.0.2.2", 600)],
    );
    assert_eq!(target.held(), ["192.0.2.1", "192.0.2.2"]);
    let calls = target.calls();
    assert!(
        !calls.contains(&"add 192.0.2.1".to_owned()),
        "it was there: {calls:?}"
    );
    fs::remove_file(target.path("held/192.0.2.1")).unwrap();
    fs::write(target.path("held/2001:db8::1"), "").unwrap();
    until("the foreign change is undone", || {
        (target.held() == ["192.0.2.1", "192.0.2.2"]).then_some(())
    });
}

#[test]
fn one_that_is_refused_keeps_no_other_from_its_turn() {
    let target = Target::new(&one_by_one("", ""), &[]);
    fs::write(target.path("refused"), "192.0.2.2\n").unwrap();
    target.reconcile(&["sshd"], Vec::new());
    let bans = ["192.0.2.1", "192.0.2.2", "192.0.2.3"].map(|subject| ban("sshd", subject, 600));
    assert!(matches!(
        target.change(bans.to_vec(), &[]),
        Outcome::Broken { .. }
    ));
    assert_eq!(target.held(), ["192.0.2.1", "192.0.2.3"]);
    let calls = target.calls();
    assert_eq!(
        calls.iter().filter(|call| *call == "add 192.0.2.1").count(),
        1,
        "{calls:?}"
    );
    fs::remove_file(target.path("refused")).unwrap();
    assert!(
        matches!(target.outcome(), Outcome::Reconciled { .. }),
        "it is tried again"
    );
    assert_eq!(target.held(), ["192.0.2.1", "192.0.2.2", "192.0.2.3"]);
}

#[test]
fn what_comes_while_a_step_is_slow_goes_in_one_batch() {
    let input = format!(
        "{HEAD}\n[[ban]]\n{}\ninput = \"<jail> <address>\"\n[[unban]]\n{}\ninput = \"<address>\"\n",
        call("input"),
        call("input"),
    );
    let target = Target::new(&input, &[]);
    let slow = TARGET.replace(
        "cat >>calls",
        "while [ -e wait ]; do sleep 0.01; done; cat >>calls",
    );
    fs::write(target.path("target"), slow).unwrap();
    fs::write(target.path("wait"), "").unwrap();
    target.reconcile(&["sshd"], Vec::new());
    let order = |subject: &str| {
        let bans = vec![ban("sshd", subject, 600)];
        target
            .orders
            .send(Order::Change {
                bans,
                unbans: Vec::new(),
            })
            .unwrap();
    };
    order("192.0.2.1");
    until("the step has begun", || target.was_called_with("input"));
    for last in 2..10 {
        order(&format!("192.0.2.{last}"));
    }
    fs::remove_file(target.path("wait")).unwrap();
    until("all are told", || target.was_called_with("192.0.2.9"));
    let calls = target.calls();
    assert_eq!(
        calls.iter().filter(|call| *call == "input").count(),
        2,
        "{calls:?}"
    );
    assert_eq!(calls[..3], ["input", "sshd 192.0.2.1", "input"]);
    assert_eq!(calls.len(), 11, "{calls:?}");
}

#[test]
fn jails_that_leave_take_their_bans_along() {
    let (add, del) = (call("add <address>"), call("del <address>"));
    let stop = call("left <jail>");
    let file = format!("{HEAD}\n[[ban]]\n{add}\n[[unban]]\n{del}\n");
    let target = Target::new(&file, &[]);
    target.reconcile(
        &["sshd", "web"],
        vec![ban("sshd", "192.0.2.1", 600), ban("web", "192.0.2.2", 600)],
    );
    target.reconcile(&["sshd"], vec![ban("sshd", "192.0.2.1", 600)]);
    assert_eq!(target.held(), ["192.0.2.1"]);
    let target = Target::new(&format!("{file}[[stop]]\n{stop}\n"), &[]);
    target.reconcile(&["sshd", "web"], vec![ban("web", "192.0.2.2", 600)]);
    target.calls();
    target.reconcile(&["sshd"], Vec::new());
    assert_eq!(
        target.calls(),
        ["left web"],
        "stop takes away what a jail has"
    );
}

#[test]
fn names_reach_a_program_by_its_input_only() {
    let with = |word: &str, input: &str| {
        format!(
            "names = true\n{HEAD}\n[[ban]]\n{}\ninput = \"{input}\"\n[[unban]]\n{}\ninput = \"-\"\n",
            call(&format!("input {word}")),
            call("input"),
        )
    };
    let refused = ActionFile::parse(&with("<subject>", ""))
        .unwrap_err()
        .to_string();
    assert!(
        refused.contains("may not stand in an argument of a program"),
        "{refused}"
    );
    let target = Target::new(&with("x", "lock <subject>"), &[]);
    target.reconcile(&["login"], Vec::new());
    let name = Name::of("root\n-x $(reboot) <jail>").unwrap();
    target.change(vec![ban_of("login", name.into(), 600)], &[]);
    assert_eq!(
        target.calls(),
        [
            "input x",
            "lock root%5Cx0a-x%20%24%28reboot%29%20%3Cjail%3E"
        ]
    );
}

#[test]
fn a_program_that_is_missing_is_told_and_tried_again() {
    let file = one_by_one("", "[[start]]\nrun = [\"f2bd-no-such-program\"]\n");
    let target = Target::new(&file, &[]);
    target
        .orders
        .send(Order::Reconcile {
            jails: vec![jail("sshd")],
            bans: Vec::new(),
            complete: true,
        })
        .unwrap();
    let Report::Trouble(reason) = target.reports.recv_timeout(DEADLINE).unwrap() else {
        panic!("it is told");
    };
    assert!(reason.contains("f2bd-no-such-program"), "{reason}");
    assert!(target.is_broken());
}
