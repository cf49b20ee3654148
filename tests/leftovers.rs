//! What becomes of what an action has put into effect when the configuration asks for another one? It is taken away, also
//! if the daemon did not run when that was changed: the whole daemon, real programs, in networks of their own.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use rustix::process::Signal;

use crate::support::guard::{has, shell};
use crate::support::wait::until;
use crate::support::world::World;

/// What is there of f2bd in sets and rules that are not nftables' own.
const LEFT: &str = "{ ipset save; iptables-save; ip6tables-save; } 2>/dev/null | grep f2bd";

/// A world where sshd's jail has these actions.
fn world(actions: &str) -> Option<World> {
    if !has(&["ipset", "iptables", "ip6tables"]) {
        return None;
    }
    let world = World::new("")?;
    configure(&world, actions, "");
    Some(world)
}

fn configure(world: &World, actions: &str, rest: &str) {
    let jail = format!("bantime = \"forever\"\nactions = {actions}");
    world.configure(&jail, rest);
}

fn command(world: &World, words: &[&str]) {
    let done = world.f2bd(words);
    assert!(done.status.success(), "{words:?}: {done:?}");
}

fn left(world: &World) -> String {
    let output = shell(&world.netns, LEFT);
    String::from_utf8(output.stdout).unwrap()
}

/// Waits until what is left has all of these words and none of those.
fn shows(world: &World, these: &[&str], those: &[&str]) {
    until(
        &format!("{these:?} are there and {those:?} are not"),
        || {
            let left = left(world);
            let all = these.iter().all(|word| left.contains(word));
            (all && !those.iter().any(|word| left.contains(word))).then_some(())
        },
    );
}

const HOST: &str = "198.51.100.7";

#[test]
fn an_action_that_was_taken_out_between_two_runs_leaves_nothing() {
    let Some(world) = world("[\"iptables\"]") else {
        return;
    };
    let daemon = world.start();
    command(&world, &["ban", "sshd", HOST]);
    shows(&world, &["-A INPUT -j f2bd", HOST], &[]);
    // Nobody has the time to say what is there.
    daemon.signal(Signal::KILL);
    daemon.kill();

    configure(&world, "[\"ipset\"]", "[action.ipset]\nchain = \"other\"");
    let daemon = world.start();
    until("what was there is gone", || {
        left(&world).is_empty().then_some(())
    });
    daemon.stop();

    // Also if nobody keeps anything any more.
    configure(&world, "[\"iptables\"]", "");
    let daemon = world.start();
    shows(&world, &[HOST], &[]);
    daemon.stop();
    configure(&world, "[]", "");
    let daemon = world.start();
    until("what was there is gone", || {
        left(&world).is_empty().then_some(())
    });
    assert_eq!(daemon.said("error:"), 0, "{}", daemon.log());
    daemon.stop();
}

#[test]
fn an_action_in_the_place_of_another_takes_its_things_away() {
    let Some(world) = world("[\"ipset\"]") else {
        return;
    };
    let daemon = world.start();
    command(&world, &["ban", "sshd", HOST]);
    shows(&world, &["create f2bd-sshd-4 ", HOST], &[]);
    configure(&world, "[\"iptables\"]", "");
    command(&world, &["reload"]);
    shows(&world, &["-A f2bd-sshd -s 198.51.100.7/32"], &["create "]);
    daemon.stop();

    // Other hooks, and another jail, between two runs.
    let hooks = |hooks: &str| format!("[action.iptables]\nhooks = {hooks}");
    let other = "[jail.other]\nfilter = \"sshd\"\n";
    configure(
        &world,
        "[\"iptables\"]",
        &format!(
            "{}\n{other}actions = [\"iptables\"]",
            hooks("[\"INPUT\", \"FORWARD\"]")
        ),
    );
    let daemon = world.start();
    shows(
        &world,
        &["-A INPUT -j f2bd", "-A FORWARD -j f2bd", ":f2bd-other "],
        &[],
    );
    daemon.stop();
    configure(&world, "[\"iptables\"]", &hooks("[\"FORWARD\"]"));
    let daemon = world.start();
    shows(
        &world,
        &["-A FORWARD -j f2bd", "-A f2bd-sshd -s 198.51.100.7/32"],
        &["-A INPUT -j f2bd", "f2bd-other"],
    );
    assert_eq!(daemon.said("error:"), 0, "{}", daemon.log());
    daemon.stop();

    // A jail alone.
    configure(
        &world,
        "[\"iptables\"]",
        &format!(
            "{}\n{other}actions = [\"iptables\"]",
            hooks("[\"FORWARD\"]")
        ),
    );
    let daemon = world.start();
    shows(&world, &[":f2bd-other "], &[]);
    daemon.stop();
    configure(&world, "[\"iptables\"]", &hooks("[\"FORWARD\"]"));
    let daemon = world.start();
    shows(&world, &[":f2bd-sshd "], &["f2bd-other"]);
    daemon.stop();
}

/// A target that is a folder: a file for each rule. It refuses what it has not, and what it has already.
const TARGET: &str = r#"#!/bin/sh
case $1 in
list) ls rules ;;
add) [ ! -e "rules/$2,$3" ] && touch "rules/$2,$3" ;;
del) rm "rules/$2,$3" ;;
esac
"#;

const ACTION: &str = r#"
kind = "exec"
title = "a folder of rules"
place = "<home>"
having = "<jail>-"
[parameters.home]
type = "path"
about = "Where the target is."
[destination]
ports = "<port>"
all = "all"
[[ban]]
run = ["env", "-C", "<home>", "./target", "add", "<address>", "<jail>-<to>"]
[[unban]]
run = ["env", "-C", "<home>", "./target", "del", "<address>", "<jail>-<to>"]
[list]
run = ["env", "-C", "<home>", "./target", "list"]
"#;

#[test]
fn rules_of_a_jail_that_is_gone_are_lifted_at_the_next_start() {
    let Some(world) = World::new("") else {
        return;
    };
    let home = world.path();
    fs::create_dir_all(home.join("actions")).unwrap();
    fs::create_dir_all(home.join("rules")).unwrap();
    fs::write(home.join("target"), TARGET).unwrap();
    fs::set_permissions(home.join("target"), fs::Permissions::from_mode(0o755)).unwrap();
    fs::write(home.join("actions/rules.toml"), ACTION).unwrap();
    let own = format!("[action.rules]\nhome = {home:?}\n");
    let other = "[jail.other]\nfilter = \"sshd\"\nbantime = \"forever\"\nport = [\"80\"]\nactions = [\"rules\"]";
    let rules = |wanted: &[&str]| {
        until(&format!("the rules are {wanted:?}"), || {
            let rules = fs::read_dir(home.join("rules")).unwrap();
            let mut rules: Vec<_> = rules
                .map(|rule| rule.unwrap().file_name().into_string().unwrap())
                .collect();
            rules.sort();
            (rules == wanted).then_some(())
        });
    };
    configure(
        &world,
        "[\"rules\"]\nport = [\"22\"]",
        &format!("{own}{other}"),
    );
    let daemon = world.start();
    command(&world, &["ban", "sshd", HOST]);
    command(&world, &["ban", "other", HOST]);
    rules(&["198.51.100.7,other-80", "198.51.100.7,sshd-22"]);
    daemon.signal(Signal::KILL);
    daemon.kill();

    configure(&world, "[\"rules\"]\nport = [\"2222\"]", &own);
    let daemon = world.start();
    rules(&["198.51.100.7,sshd-2222"]);
    daemon.stop();
}

#[test]
fn an_action_that_still_protects_is_shown() {
    let Some(world) = world("[\"iptables\"]") else {
        return;
    };
    let daemon = world.start();
    command(&world, &["ban", "sshd", HOST]);
    shows(&world, &[HOST], &[]);
    configure(
        &world,
        "[\"ipset\"]",
        "[action.ipset]\nchain = \"other\"\nipset = \"/no/such/ipset\"",
    );
    command(&world, &["reload"]);
    until("it is shown", || {
        let status = String::from_utf8(world.f2bd(&["status"]).stdout).unwrap();
        let line = status
            .lines()
            .find(|line| line.contains("Action iptables"))?;
        line.contains("not wanted any more").then_some(())
    });
    shows(&world, &[HOST], &[]);
    let why = String::from_utf8(world.f2bd(&["explain", HOST]).stdout).unwrap();
    assert!(
        why.contains("The action ipset does not work: cannot run /no/such/ipset"),
        "{why}"
    );
    configure(&world, "[\"ipset\"]", "[action.ipset]\nchain = \"other\"");
    command(&world, &["reload"]);
    shows(&world, &[], &["f2bd"]);
    until("it is shown no longer", || {
        let status = String::from_utf8(world.f2bd(&["status"]).stdout).unwrap();
        (!status.contains("Action iptables")).then_some(())
    });
    daemon.stop();
}
