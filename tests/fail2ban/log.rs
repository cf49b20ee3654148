//! Facts about the log in Fail2ban's form: line by line it says what Fail2ban's says.

use std::fs;

use regex::Regex;

use crate::fail2ban::pair::Pair;
use crate::support::wait::until;

/// The lines about failures and bans, without the moment at which they were written and the number of the process, in the
/// order of the alphabet: Fail2ban's jails write whenever they come to it.
fn told(text: &str) -> Vec<String> {
    let line = Regex::new(
        r"(?m)^\d{4}-\d\d-\d\d \d\d:\d\d:\d\d,\d{3} (fail2ban\.(?:filter|actions) +)\[\d+\]: ((?:INFO|NOTICE) .*(?:Found|Ignore|Ban) .*|NOTICE .*Unban .*)$",
    );
    let line = line.unwrap();
    let mut lines: Vec<_> = line
        .captures_iter(text)
        .map(|found| format!("{}{}", &found[1], &found[2]))
        .collect();
    lines.sort();
    lines
}

#[test]
fn lines_are_those_of_fail2ban() {
    let Some(mut pair) = Pair::start("fail2ban_log = \"HOME/fail2ban.log\"") else {
        return;
    };
    pair.refuse(&["192.0.2.7"; 3]);
    pair.refuse(&["2001:db8::7"; 3]);
    pair.refuse(&["192.0.2.8"; 2]);
    pair.refuse(&["203.0.113.9"; 2]);
    pair.agree(&["get", "sshd", "banip"], "192.0.2.7 2001:db8::7");
    pair.agree(&["get", "lasting", "banip"], "192.0.2.7 2001:db8::7");
    for words in [
        &["set", "sshd", "unbanip", "192.0.2.7"],
        &["set", "sshd", "banip", "192.0.2.30"],
    ] {
        assert_eq!(pair.ours(words), pair.theirs(words));
    }
    let read = |name: &str| fs::read_to_string(pair.path(name)).unwrap_or_default();
    until("both have told all of it", || {
        let (ours, theirs) = (told(&read("fail2ban.log")), told(&read("theirs.log")));
        (ours == theirs && ours.len() == 16 + 4 + 6).then_some(())
    });
    // What counts bans there counts them here.
    let log = pair.path("fail2ban.log").display().to_string();
    let recidive = pair.package().path("etc/fail2ban/filter.d/recidive.conf");
    let recidive = recidive.display().to_string();
    let counted = pair
        .program("usr/bin/fail2ban-regex", &[&log, &recidive])
        .out;
    assert!(counted.contains("5 matched"), "{counted}");
    // Rotation takes the file away, and what happens then is in the next one.
    fs::rename(pair.path("fail2ban.log"), pair.path("fail2ban.log.1")).unwrap();
    assert_eq!(pair.ours(&["flushlogs"]).out, "logs: rolled over\n");
    pair.refuse(&["192.0.2.8"]);
    until("the next file tells of a ban", || {
        let text = fs::read_to_string(pair.path("fail2ban.log")).unwrap_or_default();
        text.contains("[sshd] Ban 192.0.2.8").then_some(())
    });
    pair.ours(&["stop"]);
    until("f2bd ends", || pair.own().try_wait().unwrap());
    let text = fs::read_to_string(pair.path("fail2ban.log")).unwrap();
    assert!(text.ends_with("INFO    Exiting Fail2ban\n"), "{text}");
    assert!(text.contains("fail2ban.jail           ["), "{text}");
}

#[test]
fn a_log_that_cannot_be_written_is_told_of_once_and_bans_go_on() {
    let Some(mut pair) = Pair::start("fail2ban_log = \"HOME/nowhere/fail2ban.log\"") else {
        return;
    };
    pair.refuse(&["192.0.2.7"; 3]);
    pair.agree(&["get", "sshd", "banip"], "192.0.2.7");
    let told = fs::read_to_string(pair.path("daemon.log")).unwrap();
    let complaints = told.matches("nowhere/fail2ban.log: ").count();
    assert_eq!(complaints, 1, "{told}");
}
