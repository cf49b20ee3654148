//! Facts about a stock action that is given an override, and loses it again: whoever puts bans into effect by then has the
//! rules for its own.

use std::fs;

use super::package::Package;
use super::run::Daemon;
use crate::support::netns::Netns;
use crate::support::wait::until;

const JAILS: &str = "[DEFAULT]
banaction = nftables-multiport
ignoreself = false
backend = polling
bantime = 1h
[sshd]
enabled = true
logpath = HOME/auth.log
[web]
enabled = true
logpath = HOME/auth.log
filter = nginx-http-auth
port = http
";

/// What makes of the stock action one that is run by a shell, with the same rules.
const OVERRIDE: &str = "[Definition]\nactionprolong = true\n";

#[test]
fn an_override_takes_the_place_of_the_action_and_gives_it_back() {
    let (Some(package), Some(netns)) = (Package::find(), Netns::new()) else {
        return;
    };
    let home = tempfile::tempdir().unwrap();
    let at = |name: &str| home.path().join(name);
    package.copy_to(&at("fail2ban"), home.path());
    let jails = JAILS.replace("HOME", &home.path().display().to_string());
    fs::write(at("fail2ban/jail.local"), jails).unwrap();
    fs::write(at("auth.log"), "").unwrap();
    fs::create_dir(at("database")).unwrap();
    let database = at("database");
    let kept = [("/var/lib/f2bd", database.as_path())];
    let local = at("fail2ban/action.d/nftables.local");
    let rules = || netns.nft(&["list", "table", "inet", "f2b-table"]);
    // One rule that names the set, one set with the address.
    let is_kept_out = |address: &str, jail: &str| {
        let rules = rules().unwrap_or_default();
        let set = format!("set addr-set-{jail} ");
        let rule = format!("@addr-set-{jail} ");
        let sets = rules.split(&set).nth(1).unwrap_or_default();
        let members = sets.split('}').next().unwrap_or_default();
        // The elements stand in braces of their own.
        let members = format!("{members}{}", sets.split('}').nth(1).unwrap_or_default());
        members.contains(address) && rules.matches(&rule).count() == 1
    };
    let both = |one: &str, other: &str, who: &str| {
        until(who, || {
            (is_kept_out(one, "sshd") && is_kept_out(other, "web")).then_some(())
        });
    };
    let is_free = |address: &str| !rules().unwrap_or_default().contains(address);
    let reload = |daemon: &Daemon<'_>| {
        let tree = at("fail2ban").display().to_string();
        assert_eq!(daemon.client(&["-c", &tree, "reload"]), "OK\n");
    };
    let daemon = Daemon::start(&netns, home.path(), &kept);
    for (jail, address) in [("sshd", "192.0.2.7"), ("web", "192.0.2.8")] {
        assert_eq!(daemon.client(&["set", jail, "banip", address]), "1\n");
    }
    both("192.0.2.7", "192.0.2.8", "f2bd's own action keeps out");

    fs::write(&local, OVERRIDE).unwrap();
    reload(&daemon);
    // The stock commands know no timeouts.
    until("the commands keep out", || {
        let rules = rules().ok()?;
        (!rules.contains("timeout")).then_some(())
    });
    both("192.0.2.7", "192.0.2.8", "the commands keep out");
    let (in_and_out, jail) = ("192.0.2.9", "sshd");
    assert_eq!(daemon.client(&["set", jail, "banip", in_and_out]), "1\n");
    until("it is kept out", || {
        is_kept_out(in_and_out, jail).then_some(())
    });
    assert_eq!(daemon.client(&["set", jail, "unbanip", in_and_out]), "1\n");
    until("it is let in", || is_free(in_and_out).then_some(()));

    fs::remove_file(&local).unwrap();
    reload(&daemon);
    until("f2bd's own action keeps out", || {
        rules().ok()?.contains("timeout").then_some(())
    });
    both("192.0.2.7", "192.0.2.8", "f2bd's own action keeps out");

    // Killed: what it has left is taken over.
    drop(daemon);
    fs::write(&local, OVERRIDE).unwrap();
    let mut daemon = Daemon::start(&netns, home.path(), &kept);
    until("the commands keep out after a crash", || {
        (!rules().ok()?.contains("timeout")).then_some(())
    });
    both("192.0.2.7", "192.0.2.8", "the commands keep out");
    daemon.must_run();
    assert_eq!(daemon.client(&["unban", "--all"]), "2\n");
    until("all are let in", || {
        (is_free("192.0.2.7") && is_free("192.0.2.8")).then_some(())
    });
}

/// The action's end waits for somebody to say so.
#[test]
fn who_waits_for_an_action_that_hangs_tells() {
    let (Some(package), Some(netns)) = (Package::find(), Netns::new()) else {
        return;
    };
    let home = tempfile::tempdir().unwrap();
    let at = |name: &str| home.path().join(name);
    package.copy_to(&at("fail2ban"), home.path());
    let here = home.path().display().to_string();
    let jails = JAILS.replace("HOME", &here);
    let own = jails.replace("banaction = nftables-multiport", "action = own");
    fs::write(at("fail2ban/jail.local"), own).unwrap();
    fs::write(at("auth.log"), "").unwrap();
    let write = |ban: &str| {
        let text = format!(
            "[Definition]\nactionban = echo {ban} <ip> >> {here}/banned\nactionunban = true\nactionstop = while [ ! -e {here}/go ]; do sleep 0.1; done\n"
        );
        fs::write(at("fail2ban/action.d/own.conf"), text).unwrap();
    };
    write("one");
    let daemon = Daemon::start(&netns, home.path(), &[]);
    let banned = |line: &str| {
        until(line, || {
            let banned = fs::read_to_string(at("banned")).unwrap_or_default();
            banned.lines().any(|banned| banned == line).then_some(())
        });
    };
    assert_eq!(daemon.client(&["set", "sshd", "banip", "192.0.2.7"]), "1\n");
    banned("one 192.0.2.7");
    write("two");
    assert_eq!(daemon.client(&["reload"]), "OK\n");
    until("it is told that one waits", || {
        let told = fs::read_to_string(at("daemon.log")).unwrap();
        let is_told = told.contains("sshd-own: waits for an action before it to end");
        is_told.then_some(())
    });
    fs::write(at("go"), "").unwrap();
    assert_eq!(daemon.client(&["set", "sshd", "banip", "192.0.2.8"]), "1\n");
    banned("two 192.0.2.8");
}
