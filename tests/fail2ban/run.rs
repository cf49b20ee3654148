//! Facts about the daemon with a directory of Fail2ban's: it reads the logs, bans and answers as Fail2ban would.

use std::fs::{self, File};
use std::io::Write as _;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use jiff::Zoned;
use serde_json::Value;

use super::package::Package;
use crate::support::netns::Netns;
use crate::support::wait::until;
use crate::support::world::F2BD;

/// A stock filter with a stock action, and a filter with an action of the administrator's own.
const JAILS: &str = "[DEFAULT]
banaction = nftables-multiport
ignoreself = false
backend = polling
maxretry = 3
[sshd]
enabled = true
mode = aggressive
logpath = HOME/auth.log
[own]
enabled = true
filter = own
logpath = HOME/own.log
maxretry = 2
action = own[name=own, file=HOME/banned]
";

const FILTER: &str = "[Definition]
failregex = ^ denied <F-USER>\\S+</F-USER> at <ADDR>$
";

const ACTION: &str = "[Definition]
actionban = echo \"<name> <ip> <F-USER>\" >> <file>
actionunban = echo \"<name> lets <ip> go\" >> <file>
";

/// The daemon with the directory `fail2ban` of a home, killed when dropped.
pub struct Daemon<'h> {
    home: &'h Path,
    child: Child,
}

impl Drop for Daemon<'_> {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl<'h> Daemon<'h> {
    /// Starts it where these folders lie over those of the system, and waits until it answers.
    pub fn start(netns: &Netns, home: &'h Path, over: &[(&str, &Path)]) -> Daemon<'h> {
        let client = home.join("fail2ban-client");
        if !client.exists() {
            symlink(F2BD, client).unwrap();
        }
        let local = format!(
            "[Definition]\nlogtarget = {0}/fail2ban.log\nsocket = {0}/fail2ban.sock\n",
            home.display()
        );
        fs::write(home.join("fail2ban/fail2ban.local"), local).unwrap();
        // Debian's own jail reads a log that is not ours.
        fs::write(home.join("fail2ban/jail.d/defaults-debian.conf"), "").unwrap();
        // Its database and its socket are in the system's places, which are others there.
        let mut script = String::from(
            "set -e; mount -t tmpfs none /run; mkdir -p /var/lib/f2bd; mount -t tmpfs none /var/lib/f2bd\n",
        );
        for (path, copy) in over {
            script += &format!("mount --bind {} {path}\n", copy.display());
        }
        script += &format!("exec {F2BD} run --config {}/fail2ban", home.display());
        let told = File::create(home.join("daemon.log")).unwrap();
        let mut unshare = netns.command("unshare");
        let child = unshare
            .args(["--mount", "sh", "-c", &script])
            .stdin(Stdio::null())
            .stderr(told)
            .spawn()
            .unwrap();
        let mut daemon = Daemon { home, child };
        until("the daemon answers", || {
            daemon.must_run();
            (daemon.client(&["ping"]) == "Server replied: pong\n").then_some(())
        });
        daemon
    }

    /// Fails if it has ended, with what it said.
    pub fn must_run(&mut self) {
        let ended = self.child.try_wait().unwrap();
        let said = fs::read_to_string(self.home.join("daemon.log"));
        assert_eq!(ended, None, "{}", said.unwrap());
    }

    /// What Fail2ban's client prints.
    pub fn client(&self, words: &[&str]) -> String {
        let mut client = Command::new(self.home.join("fail2ban-client"));
        client.arg("-s").arg(self.home.join("fail2ban.sock"));
        String::from_utf8(client.args(words).output().unwrap().stdout).unwrap()
    }
}

/// What `f2bd match --json` finds in `log`: its lines, and the users.
fn matched(filter: &str, config: &Path, log: &Path) -> Vec<(u64, String)> {
    let output = Command::new(F2BD)
        .args(["match", "--json", filter])
        .arg(log)
        .arg("--config")
        .arg(config)
        .output()
        .unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    let found = text.lines().map(|line| {
        let found: Value = serde_json::from_str(line).unwrap();
        let user = found["user"].as_str().unwrap_or_default().to_owned();
        (found["line"].as_u64().unwrap(), user)
    });
    found.collect()
}

#[test]
fn a_log_is_matched_by_a_filter_of_fail2ban() {
    let Some(package) = Package::find() else {
        return;
    };
    let home = tempfile::tempdir().unwrap();
    let tree = home.path().join("fail2ban");
    package.copy_to(&tree, home.path());
    let log = home.path().join("auth.log");
    let lines = "Nov 21 01:33:04 box sshd[7]: Failed password for root from 192.0.2.7 port 22 ssh2
Nov 21 01:33:05 box sshd[8]: Did not receive identification string from 192.0.2.8
";
    fs::write(&log, lines).unwrap();
    let root = || (1, "root".to_owned());
    assert_eq!(matched("sshd", &tree, &log), [root()]);
    let both = [root(), (2, String::new())];
    assert_eq!(matched("sshd[mode=aggressive]", &tree, &log), both);
    let file = tree.join("filter.d/sshd.conf").display().to_string();
    let elsewhere = home.path().join("nothing.conf");
    assert_eq!(matched(&file, &elsewhere, &log), [root()]);
    assert_eq!(matched("nothing", &tree, &log), []);
}

#[test]
fn a_directory_of_fail2ban_runs() {
    let (Some(package), Some(netns)) = (Package::find(), Netns::new()) else {
        return;
    };
    let home = tempfile::tempdir().unwrap();
    let at = |name: &str| home.path().join(name);
    let here = |text: &str| text.replace("HOME", &home.path().display().to_string());
    package.copy_to(&at("fail2ban"), home.path());
    for (name, text) in [
        ("fail2ban/jail.local", JAILS),
        ("fail2ban/filter.d/own.conf", FILTER),
        ("fail2ban/action.d/own.conf", ACTION),
    ] {
        fs::write(at(name), here(text)).unwrap();
    }
    let mut auth = File::create(at("auth.log")).unwrap();
    let mut own = File::create(at("own.log")).unwrap();
    let mut daemon = Daemon::start(&netns, home.path(), &[]);
    let jails = "Status\n|- Number of jail:\t2\n`- Jail list:\town, sshd\n";
    assert_eq!(daemon.client(&["status"]), jails);

    let now = Zoned::now();
    for number in 0..3 {
        writeln!(
            auth,
            "{} box sshd[{}]: Failed password for root from 192.0.2.7 port 4711 ssh2",
            now.strftime("%b %e %H:%M:%S"),
            100 + number
        )
        .unwrap();
    }
    for user in ["jo", "$(touch${IFS}HOME/taken)"] {
        let user = here(user);
        writeln!(
            own,
            "{} denied {user} at 192.0.2.8",
            now.strftime("%Y-%m-%d %H:%M:%S")
        )
        .unwrap();
    }
    until("the stock action bans", || {
        daemon.must_run();
        let set = netns.nft(&["list", "set", "inet", "f2b-table", "addr-set-sshd"]);
        set.ok()?.contains("192.0.2.7").then_some(())
    });
    let banned = until("the own action bans", || {
        daemon.must_run();
        fs::read_to_string(at("banned"))
            .ok()
            .filter(|text| text.ends_with('\n'))
    });
    assert!(banned.starts_with("own 192.0.2.8 "), "{banned}");
    assert!(!at("taken").exists(), "text of a log was run");
    assert!(
        daemon
            .client(&["status", "sshd"])
            .ends_with("Banned IP list:\t192.0.2.7\n")
    );
    let log = until("both bans are in the log", || {
        let log = fs::read_to_string(at("fail2ban.log")).ok()?;
        (log.contains("[sshd] Ban 192.0.2.7") && log.contains("[own] Ban 192.0.2.8")).then_some(log)
    });
    assert!(log.contains("[sshd] Found 192.0.2.7"), "{log}");

    assert_eq!(
        daemon.client(&["set", "sshd", "unbanip", "192.0.2.7"]),
        "1\n"
    );
    until("nobody is banned by sshd", || {
        let set = netns.nft(&["list", "set", "inet", "f2b-table", "addr-set-sshd"]);
        set.is_ok_and(|set| !set.contains("192.0.2.7"))
            .then_some(())
    });
}

/// An action that tells with what it was run, and lifts bans only where something is there.
const TELLING: &str = "[Definition]
actionban = echo \"<ip> <failures> <restored>\" >> HOME/banned
actionunban = echo wait for it >&2; test -e HOME/well
";

#[test]
fn a_ban_that_is_put_back_has_its_failures_and_a_command_that_fails_is_shown() {
    let (Some(package), Some(netns)) = (Package::find(), Netns::new()) else {
        return;
    };
    let home = tempfile::tempdir().unwrap();
    let at = |name: &str| home.path().join(name);
    let here = |text: &str| text.replace("HOME", &home.path().display().to_string());
    package.copy_to(&at("fail2ban"), home.path());
    let jail = "[own]\nenabled = true\nbackend = polling\nignoreself = false\nlogpath = HOME/own.log\n\
                maxretry = 2\naction = own\n";
    for (name, text) in [
        ("fail2ban/jail.local", jail),
        ("fail2ban/filter.d/own.conf", FILTER),
        ("fail2ban/action.d/own.conf", TELLING),
    ] {
        fs::write(at(name), here(text)).unwrap();
    }
    fs::create_dir(at("database")).unwrap();
    let database = at("database");
    let kept = [("/var/lib/f2bd", database.as_path())];
    let said = |lines: &str| {
        until(lines, || {
            let banned = fs::read_to_string(at("banned")).unwrap_or_default();
            (banned == lines).then_some(())
        });
    };
    let daemon = Daemon::start(&netns, home.path(), &kept);
    assert_eq!(daemon.client(&["set", "own", "bantime", "2h"]), "7200\n");
    let now = Zoned::now().strftime("%Y-%m-%d %H:%M:%S").to_string();
    let lines = format!("{now} denied jo at 192.0.2.8\n").repeat(2);
    fs::write(at("own.log"), lines).unwrap();
    said("192.0.2.8 2 0\n");
    // Killed, as that does.
    drop(daemon);
    let daemon = Daemon::start(&netns, home.path(), &kept);
    said("192.0.2.8 2 0\n192.0.2.8 2 1\n");
    // What was decided by a setting stays decided; the setting is that of the files again.
    let lasts = daemon.client(&["get", "own", "banip", "--with-time"]);
    assert!(lasts.contains(" + 7200 = "), "{lasts}");
    assert_eq!(daemon.client(&["get", "own", "bantime"]), "600\n");

    let action = || {
        let mut status = Command::new(F2BD);
        status.args(["status", "--socket"]).arg(at("fail2ban.sock"));
        let said = String::from_utf8(status.output().unwrap().stdout).unwrap();
        let mut lines = said.lines().filter(|line| line.starts_with("Action "));
        lines.next().unwrap_or_default().to_owned()
    };
    until("it works", || action().ends_with(": works").then_some(()));
    assert_eq!(
        daemon.client(&["set", "own", "unbanip", "192.0.2.8"]),
        "1\n"
    );
    let told = until("the failure is shown", || {
        let told = action();
        told.contains("failed").then_some(told)
    });
    assert!(
        told.contains("works, but its last command failed: unban of 192.0.2.8: ")
            && told.contains("wait for it"),
        "{told}"
    );
    // Until another one succeeds.
    fs::write(at("well"), "").unwrap();
    assert_eq!(daemon.client(&["set", "own", "banip", "192.0.2.9"]), "1\n");
    until("it works", || action().ends_with(": works").then_some(()));
}
