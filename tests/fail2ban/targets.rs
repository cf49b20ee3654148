//! Facts about where Fail2ban's log goes and how much it tells: every target of `logtarget` takes the lines that Fail2ban's own
//! daemon sends there, and what is in force is told in its words.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::os::unix::net::UnixDatagram;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};

use regex::Regex;

use crate::fail2ban::pair::Pair;
use crate::support::journald::Journald;
use crate::support::netns::Netns;
use crate::support::wait::until;

/// What both answer in the same bytes. `HOME` is where the logs are.
const ALIKE: &[&str] = &[
    "get syslogsocket",
    "set syslogsocket HOME/sys.sock",
    "get syslogsocket",
    "set logtarget SYSLOG",
    "get logtarget",
    "get syslogsocket",
    "flushlogs",
    "set logtarget SYSLOG[facility=local0]",
    "set logtarget SYSLOG[facility=moon]",
    "get logtarget",
    "set logtarget syslog[padding=on]",
    "get logtarget",
    "set logtarget HOME/both.log",
    "get logtarget",
    "flushlogs",
    "set logtarget HOME/nowhere/x.log",
    "set logtarget HOME",
    "get logtarget",
    "set logtarget STDOUT",
    "get logtarget",
    "flushlogs",
    "set logtarget SYSOUT[datetime=on]",
    "get logtarget",
    "flushlogs",
    "set logtarget STDERR",
    "get logtarget",
    "flushlogs",
    "set syslogsocket HOME/none.sock",
    "set logtarget SYSLOG",
    "get logtarget",
    "set logtarget",
    "set syslogsocket",
    "set loglevel notice",
    "get loglevel",
    "set loglevel 25",
    "get loglevel",
    "set loglevel HEAVYDEBUG",
    "get loglevel",
    "set loglevel loud",
    "set loglevel",
    "set loglevel CRITICAL",
    "get loglevel",
];

/// Why a target cannot be, Fail2ban keeps to itself; brackets it calls by other words.
fn without_reasons(said: &str) -> String {
    let reason = Regex::new(r"(?m)^(Failed to change log target).*$").unwrap();
    reason.replace_all(said, "$1").into_owned()
}

#[test]
fn targets_and_levels_are_answered_as_by_fail2ban() {
    let Some(pair) = Pair::of_trees() else {
        return;
    };
    let _heard = listen(&pair.path("sys.sock"));
    let home = pair.path("").display().to_string();
    let home = home.trim_end_matches('/');
    let commands = ALIKE.iter().map(|words| words.replace("HOME", home));
    let commands: Vec<_> = commands.collect();
    let commands = commands.iter().map(|words| words.split(' ').collect());
    let commands: Vec<Vec<&str>> = commands.collect();
    let commands: Vec<&[&str]> = commands.iter().map(Vec::as_slice).collect();
    pair.compare_as(&commands, without_reasons);
    // Fail2ban makes a file of that name wherever it runs; here somebody is told.
    let said = pair.ours(&["set", "logtarget", "NONE"]);
    assert!(
        said.code == Some(255) && said.out.contains("SYSTEMD-JOURNAL, STDOUT"),
        "{said:?}"
    );
}

/// Listens as the system's log does, and tells what came. Whoever speaks waits where nobody takes it.
fn listen(path: &Path) -> Receiver<String> {
    let log = UnixDatagram::bind(path).unwrap();
    let (told, heard) = channel();
    std::thread::spawn(move || {
        let mut bytes = [0; 2_000];
        while let Ok(length) = log.recv(&mut bytes) {
            let text = String::from_utf8_lossy(&bytes[..length]).into_owned();
            if told.send(text).is_err() {
                return;
            }
        }
    });
    heard
}

/// The messages about failures and bans that have come, of f2bd and of Fail2ban, without numbers of processes.
fn sort_out(heard: &Receiver<String>, own: u32, messages: &mut [Vec<String>; 2]) {
    let number = Regex::new(r"\[(\d+)\]:").unwrap();
    for text in heard.try_iter() {
        let from: u32 = number.captures(&text).unwrap()[1].parse().unwrap();
        if text.contains(" Found ") || text.contains(" Ban ") {
            let text = number.replace(&text, "[]:").into_owned();
            messages[usize::from(from != own)].push(text);
        }
    }
    messages.iter_mut().for_each(|messages| messages.sort());
}

#[test]
fn the_log_of_the_system_hears_the_same_of_both() {
    let Some(mut pair) = Pair::of_trees() else {
        return;
    };
    let path = pair.path("sys.sock");
    let heard = listen(&path);
    let own = pair.own().id();
    let socket = path.display().to_string();
    for (guest, commands, count) in [
        // Three failures and a ban, of two jails.
        ("192.0.2.7", &["set logtarget SYSLOG"][..], 8),
        (
            "192.0.2.8",
            &[
                "set logtarget STDERR",
                "set logtarget SYSLOG[facility=authpriv,padding=on,datetime=off]",
            ],
            8,
        ),
        // The bans alone.
        ("192.0.2.9", &["set loglevel NOTICE"], 2),
    ] {
        for command in [&["set syslogsocket SOCKET"], commands].concat() {
            let command = command.replace("SOCKET", &socket);
            let words: Vec<_> = command.split(' ').collect();
            for said in [pair.ours(&words), pair.theirs(&words)] {
                assert_eq!(said.code, Some(0), "{said:?}");
            }
        }
        pair.refuse(&[guest; 3]);
        let mut messages = [Vec::new(), Vec::new()];
        until("both have told all of it", || {
            sort_out(&heard, own, &mut messages);
            messages.iter().all(|one| one.len() >= count).then_some(())
        });
        assert_eq!(messages[0], messages[1]);
        assert_eq!(messages[0].len(), count);
    }
}

/// The lines about failures and bans without what differs from one daemon to the other.
fn told(file: &Path) -> Vec<String> {
    let text = fs::read_to_string(file).unwrap_or_default();
    let number = Regex::new(r"^(?:\d{4}-\d\d-\d\d \d\d:\d\d:\d\d,\d{3} )?(.*)\[\d+\]:").unwrap();
    let lines = text
        .lines()
        .filter(|line| line.contains(" Found ") || line.contains(" Ban "));
    let mut lines: Vec<_> = lines
        .map(|line| number.replace(line, "$1:").into_owned())
        .collect();
    lines.sort();
    lines
}

/// What a journal says under these terms.
fn entries(journal: &Path, terms: &str) -> Vec<serde_json::Value> {
    let mut journalctl = Command::new("journalctl");
    journalctl.arg("--directory").arg(journal);
    let output = journalctl
        .args(["--output=json", terms])
        .output()
        .expect("journalctl, of systemd");
    let lines = output.stdout.split(|byte| *byte == b'\n');
    let lines = lines.filter(|line| !line.is_empty());
    lines
        .map(|line| serde_json::from_slice(line).expect("an entry"))
        .collect()
}

/// Servers that run where somebody looks; they end when dropped.
struct Servers([Child; 2]);

impl Drop for Servers {
    fn drop(&mut self) {
        for server in &mut self.0 {
            let _ = server.kill();
            let _ = server.wait();
        }
    }
}

#[test]
fn a_command_line_goes_before_the_configuration() {
    let (Some(mut pair), Some(netns)) = (Pair::of_trees(), Netns::new()) else {
        return;
    };
    let at = |name: &str| pair.path(name).display().to_string();
    assert_eq!(pair.theirs(&["stop"]).code, Some(0));
    let mut theirs = pair.package().program("usr/bin/fail2ban-server");
    theirs.args([
        "-f",
        "-c",
        &at("etc"),
        "-s",
        &at("f.sock"),
        "-p",
        &at("f.pid"),
    ]);
    let journald = Journald::start();
    let sockets = journald
        .as_ref()
        .map_or_else(|| pair.path("none"), Journald::sockets);
    let script = format!(
        "set -e; mount -t tmpfs none /run; mkdir -p /run/systemd; ln -s {1} /run/systemd/journal; mount -t tmpfs none /var/lib/f2bd; exec {0}/fail2ban-server -f -c {0}/own -s {0}/o.sock --logtarget STDOUT --loglevel NOTICE start",
        at(""),
        sockets.display()
    );
    let mut ours = netns.command("unshare");
    ours.args(["--mount", "sh", "-c", &script]);
    theirs.args(["--logtarget", "STDOUT", "--loglevel", "NOTICE", "start"]);
    let outputs = [pair.path("ours.out"), pair.path("theirs.out")];
    let started = [ours, theirs]
        .into_iter()
        .zip(&outputs)
        .map(|(mut command, output)| {
            command.stdin(Stdio::null()).stderr(Stdio::null());
            command
                .stdout(File::create(output).unwrap())
                .spawn()
                .unwrap()
        });
    let started: Vec<_> = started.collect();
    let _servers = Servers(started.try_into().unwrap());
    for socket in ["o.sock", "f.sock"] {
        until("a server answers", || {
            let said = pair.program(
                "usr/bin/fail2ban-client",
                &["-c", &at("etc"), "-s", &at(socket), "ping"],
            );
            (said.code == Some(0)).then_some(())
        });
    }
    pair.refuse(&["192.0.2.7"; 3]);
    let lines = until("both have told of the bans", || {
        let (ours, theirs) = (told(&outputs[0]), told(&outputs[1]));
        (ours == theirs && ours.len() == 2).then_some(ours)
    });
    assert!(
        lines[0].contains("NOTICE  [lasting] Ban 192.0.2.7"),
        "{lines:?}"
    );
    if let Some(journald) = journald {
        let socket = pair.path("o.sock").display().to_string();
        let etc = pair.path("etc").display().to_string();
        let words = [
            "-c",
            &etc,
            "-s",
            &socket,
            "set",
            "logtarget",
            "SYSTEMD-JOURNAL",
        ];
        let said = pair.program("usr/bin/fail2ban-client", &words);
        assert_eq!(said.code, Some(0), "{said:?}");
        pair.refuse(&["192.0.2.8"; 3]);
        let entries = until("the journal has been told of the bans", || {
            let all = entries(&journald.directory(), "SYSLOG_IDENTIFIER=fail2ban");
            let bans = all
                .into_iter()
                .filter(|entry| entry["LOGGER"] == "fail2ban.actions");
            let bans: Vec<_> = bans.collect();
            (bans.len() == 2).then_some(bans)
        });
        let messages: BTreeSet<_> = entries.iter().map(|one| one["MESSAGE"].as_str()).collect();
        let expected = ["[lasting] Ban 192.0.2.8", "[sshd] Ban 192.0.2.8"];
        assert_eq!(messages, expected.map(Some).into());
        assert!(
            entries.iter().all(|entry| entry["PRIORITY"] == "5"),
            "{entries:?}"
        );
    }
    // What nobody can mean starts nothing.
    for (option, value, why) in [
        ("--logtarget", "log/here", "write an absolute path"),
        ("--loglevel", "loud", "Invalid log level 'LOUD'"),
    ] {
        let said = pair.ours(&[option, value, "-c", "/nowhere", "start"]);
        assert!(said.code == Some(255) && said.err.contains(why), "{said:?}");
    }
}
