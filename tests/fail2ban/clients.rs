//! Facts about f2bd called by the names of Fail2ban's tools: what they print is what Fail2ban's own print.

use std::fs;
use std::process::Command;

use regex::Regex;

use crate::fail2ban::pair::{Pair, Said};
use crate::support::wait::until;
use crate::support::world::F2BD;

const SOCKET: &str = "fail2ban_socket = \"HOME/fail2ban.sock\"";

/// What both answer in the same bytes, whatever was banned.
const ALIKE: &[&[&str]] = &[
    &["status"],
    &["status", "sshd"],
    &["status", "sshd", "short"],
    &["status", "sshd", "basic"],
    &["status", "lasting"],
    &["status", "nope"],
    &["banned"],
    &["banned", "192.0.2.7"],
    &["banned", "192.0.2.7", "192.0.2.99"],
    &["get", "sshd", "banned"],
    &["get", "sshd", "banned", "192.0.2.7"],
    &["get", "sshd", "banned", "192.0.2.7", "192.0.2.99"],
    &["get", "sshd", "banip"],
    &["get", "sshd", "banip", ","],
    &["get", "lasting", "banip", "--with-time"],
    &["get", "sshd", "banip", "--with-time"],
    &["get", "nope", "banip"],
    &["get", "sshd", "logpath"],
    &["get", "sshd", "ignoreip"],
    &["get", "sshd", "ignoreself"],
    &["get", "sshd", "ignorecommand"],
    &["get", "sshd", "ignoreregex"],
    &["get", "sshd", "datepattern"],
    &["get", "sshd", "maxlines"],
    &["get", "sshd", "prefregex"],
    &["get", "sshd", "logtimezone"],
    &["get", "sshd", "ignorecache"],
    &["get", "sshd", "actionproperties", "nope"],
    &["get", "sshd", "actionproperties"],
    &["get", "sshd", "action", "nope"],
    &["get", "sshd", "findtime"],
    &["get", "sshd", "bantime"],
    &["get", "lasting", "bantime"],
    &["get", "sshd", "maxretry"],
    &["get", "sshd", "maxmatches"],
    &["get", "sshd", "usedns"],
    &["get", "loglevel"],
    &["get", "syslogsocket"],
    &["get", "dbpurgeage"],
    &["get", "sshd", "nonsense"],
    &["set", "nope", "banip", "192.0.2.1"],
    &["set", "sshd", "unbanip", "192.0.2.99"],
    &["set", "sshd", "unbanip", "--report-absent", "192.0.2.99"],
    &["unban", "192.0.2.99"],
    &["get"],
    &["get", "sshd"],
    &["set"],
    &["set", "sshd"],
    &["nonsense"],
    &["ping"],
    &["echo", "one", "two"],
    &["echo", "'one", "two'", r"three\ four"],
    &["echo", "'one", "two"],
];

/// The same with exit codes; each takes Python a while.
const WITH_CODES: &[&[&str]] = &[
    &["get", "sshd", "banip", ", "],
    &["status", "nope"],
    &["get"],
    &["nonsense"],
    &["set", "sshd", "unbanip", "--report-absent", "192.0.2.99"],
    &["--str2sec", "1d12h30m"],
    &["--str2sec", "1y6mo"],
    &["--str2sec", "soon"],
    &["-t", "ping"],
];

fn out(said: &Said) -> &str {
    assert_eq!(said.code, Some(0), "{said:?}");
    &said.out
}

/// Times made equal.
fn timeless(text: &str) -> String {
    let times = Regex::new(r"[0-9]{4}-[0-9]{2}-[0-9]{2} [0-9]{2}:[0-9]{2}:[0-9]{2}").unwrap();
    times.replace_all(text, "TIME").into_owned()
}

#[test]
fn answers_are_those_of_fail2ban() {
    let Some(mut pair) = Pair::start("") else {
        return;
    };
    // Nobody is banned yet. A banned guest that fails on is watched by Fail2ban and not by f2bd; none does here.
    pair.compare(ALIKE);
    pair.refuse(&["192.0.2.7"; 3]);
    pair.refuse(&["2001:db8::7"; 3]);
    pair.refuse(&["192.0.2.8"; 2]);
    pair.refuse(&["203.0.113.7"; 9]);
    pair.agree(&["get", "sshd", "banip"], "192.0.2.7 2001:db8::7");
    pair.agree(&["get", "lasting", "banip"], "192.0.2.7 2001:db8::7");
    pair.compare(ALIKE);
    for words in WITH_CODES {
        assert_eq!(pair.ours(words), pair.theirs(words), "{words:?}");
    }
    // Of a tree both list the same.
    let tree = pair.path("etc").display().to_string();
    let logging = [
        "--logtarget=STDOUT",
        "--loglevel",
        "debug",
        "--syslogsocket=/x",
    ];
    for (option, logging) in [("-d", &[][..]), ("--dp", &logging)] {
        let words = [logging, &[option]].concat();
        let ours = [&["-c", &tree], &*words].concat();
        let (ours, theirs) = (pair.ours(&ours), pair.theirs(&words));
        assert_eq!(ours.out, theirs.out, "{option}");
    }
    // By hand.
    let by_hand = [
        &[
            "set",
            "sshd",
            "banip",
            "192.0.2.30",
            "192.0.2.31",
            "192.0.2.7",
        ][..],
        &["set", "lasting", "banip", "192.0.2.40"],
        &["set", "lasting", "banip", "192.0.2.40"],
        &["set", "sshd", "unbanip", "192.0.2.7"],
    ];
    pair.compare(&by_hand);
    pair.agree(&["get", "sshd", "banip"], "192.0.2.31");
    let words = ["get", "sshd", "banip", "--with-time"];
    let times = [pair.ours(&words), pair.theirs(&words)].map(|said| timeless(out(&said)));
    assert_eq!(times[0], times[1]);
    assert!(
        times[0].contains("192.0.2.30 \tTIME + 3600 = TIME\n"),
        "{times:?}"
    );
    // Where they are nobody is asked: both lack what they would need.
    let words = ["status", "sshd", "cymru"];
    let (ours, theirs) = (pair.ours(&words), pair.theirs(&words));
    assert_eq!(ours.out, theirs.out);
    assert!(ours.out.contains("Banned ASN list:\terror"), "{ours:?}");
    assert!(ours.err.contains("`operator` and `country`"), "{ours:?}");
    // Bans that outlast a restart are among all bans; Fail2ban lists them in another order then.
    pair.compare(&[&["banned"]]);
    pair.restart_both();
    pair.agree(&["get", "sshd", "banip"], "192.0.2.31");
    for (jail, count) in [("sshd", 3), ("lasting", 3)] {
        let words = ["status", jail, "short"];
        let total = format!("Total banned:\t{count}\n");
        for said in [pair.ours(&words), pair.theirs(&words)] {
            assert!(out(&said).contains(&total), "{said:?}");
        }
    }
    let later = [
        &["status"][..],
        &["get", "sshd", "banned", "192.0.2.7"],
        &["unban", "192.0.2.30", "192.0.2.99"],
        // It also forgets who has failed, which Fail2ban does not.
        &["unban", "--all"],
        &["banned"],
    ];
    pair.compare(&later);
}

#[test]
fn newer_commands_and_those_of_f2bd_alone() {
    let Some(mut pair) = Pair::start("fail2ban_log = \"HOME/fail2ban.log\"") else {
        return;
    };
    let both = |words: &[&str]| pair.ours(words);
    // As the reference shows them, of a version that is newer than the package.
    assert_eq!(out(&both(&["version"])), "1.1.1\n");
    assert_eq!(out(&both(&["-V"])), "1.1.1\n");
    assert!(out(&both(&["--version"])).starts_with("Fail2Ban v1.1.1\n"));
    assert_eq!(
        out(&both(&["-t"])),
        "OK: configuration test is successful\n"
    );
    let log = pair.path("auth.log").display().to_string();
    assert_eq!(
        out(&both(&["status", "--all", "short"])),
        format!(
            "Status
|- Number of jail:\t2
|- Jail list:\tlasting, sshd
`- Status for the jails:
   |- Jail: lasting
   |  |- Filter
   |  |  |- Currently failed:\t0
   |  |  |- Total failed:\t0
   |  |  `- File list:\t{log}
   |  `- Actions
   |     |- Currently banned:\t0
   |     `- Total banned:\t0
   `- Jail: sshd
      |- Filter
      |  |- Currently failed:\t0
      |  |- Total failed:\t0
      |  `- File list:\t{log}
      `- Actions
         |- Currently banned:\t0
         `- Total banned:\t0
"
        )
    );
    // Every jail has files, so each backend is theirs for files.
    assert_eq!(
        out(&both(&["stats"])),
        "          ║           ║ Filter    ║ Actions
 Jail     ║ Backend   ╟───────────╫───────────
          ║           ║ cur │ tot ║ cur │ tot
══════════╬═══════════╬═══════════╬═══════════
 lasting  ║ pyinotify ║   0 │   0 ║   0 │   0
 sshd     ║ pyinotify ║   0 │   0 ║   0 │   0
══════════╩═══════════╩═══════════╩═══════════
"
        .replace("Actions\n", "Actions  \n")
    );
    assert_eq!(
        out(&both(&["get", "sshd", "failregex"])),
        "The following regular expression are defined:\n`- [0]: ^refused <ip>$\n"
    );
    let file = pair.path("fail2ban.log").display().to_string();
    assert_eq!(
        out(&both(&["get", "logtarget"])),
        format!("Current logging target is:\n`- {file}\n")
    );
    assert_eq!(out(&both(&["flushlogs"])), "logs: rolled over\n");
    assert_eq!(
        out(&both(&["set", "loglevel", "DEBUG"])),
        "Current logging level is 'DEBUG'\n"
    );
    assert_eq!(
        out(&both(&["get", "loglevel"])),
        "Current logging level is 'DEBUG'\n"
    );
    for number in ["4", "30", "60", "20"] {
        let expected = format!("Current logging level is '{number}'\n");
        assert_eq!(out(&both(&["set", "loglevel", number])), expected);
        assert_eq!(out(&both(&["get", "loglevel"])), expected);
    }
    for words in [&["get", "dbmaxmatches"][..], &["set", "dbmaxmatches", "5"]] {
        let said = both(words);
        let why = "has no `dbmaxmatches`: a ban keeps the lines";
        assert!(said.code == Some(255) && said.out.contains(why), "{said:?}");
    }
    assert_eq!(
        out(&both(&["set", "loglevel", "DEBUG"])),
        "Current logging level is 'DEBUG'\n"
    );
    assert_eq!(out(&both(&["reload"])), "OK\n");
    assert_eq!(
        out(&both(&["get", "loglevel"])),
        "Current logging level is 'INFO'\n"
    );
    assert_eq!(out(&both(&["stop", "--all"])), "Jail stopped\n");
    assert_eq!(
        out(&both(&["status"])),
        "Status\n|- Number of jail:\t0\n`- Jail list:\t\n"
    );
    assert_eq!(out(&both(&["reload"])), "OK\n");
    assert!(out(&both(&["status"])).contains("lasting, sshd"));
    assert_eq!(both(&["reload", "nope"]).code, Some(255));
    assert_eq!(out(&both(&["reload", "--if-exists", "nope"])), "OK\n");
    // What f2bd has not says so, and where to look instead.
    for (what, word) in [
        (
            &["action", "nftables", "actionban"][..],
            "`f2bd actions nftables`",
        ),
        (&["bantime.increment"], "`escalation` of the jail sshd"),
        (&["actionmethods", "nope"], "'Invalid Action name: nope'"),
    ] {
        let said = both(&[&["get", "sshd"], what].concat());
        assert!(
            said.code == Some(255) && said.out.contains(word),
            "{said:?}"
        );
    }
    // What cannot be set says where it can.
    let said = both(&["set", "sshd", "addfailregex", "x"]);
    assert_eq!(said.code, Some(255));
    assert!(
        said.out
            .contains("write the new value into the configuration, then reload"),
        "{said:?}"
    );
    // What is never banned is not banned by hand either, and the others are.
    let said = both(&["set", "sshd", "banip", "203.0.113.7", "192.0.2.50"]);
    assert_eq!((said.code, &*said.out), (Some(0), "1\n"));
    assert!(said.err.contains("203.0.113.7 is never banned"), "{said:?}");
    assert_eq!(
        both(&["set", "sshd", "banip", "203.0.113.7"]).code,
        Some(255)
    );
    assert_eq!(out(&both(&["stop"])), "Shutdown successful\n");
    until("f2bd ends", || pair.own().try_wait().unwrap());
    let said = pair.ours(&["ping"]);
    assert_eq!((said.code, &*said.out), (Some(255), ""));
    let socket = pair.path("control.sock").display().to_string();
    assert!(
        said.err.ends_with(&format!(
            "Failed to access socket path: {socket}. Is fail2ban running?"
        )),
        "{said:?}"
    );
}

/// Settings that are changed while both run, and what comes of it.
const CHANGES: &[&[&str]] = &[
    // Of several single addresses Fail2ban has no order.
    &["set", "sshd", "delignoreip", "198.51.100.200"],
    &["set", "sshd", "addignoreip", "192.0.2.41"],
    &["get", "sshd", "ignoreip"],
    &["set", "sshd", "addignoreip", "192.0.2.41"],
    &[
        "set",
        "sshd",
        "addignoreip",
        "10.1.2.3/8",
        "2001:DB8::/32",
        "home.example.org",
    ],
    &["set", "sshd", "addignoreip", "10.0.0.0/255.0.0.0"],
    &["set", "sshd", "addignoreip"],
    &["set", "sshd", "delignoreip", "10.9.9.9/8"],
    &["set", "sshd", "delignoreip", "home.example.org"],
    &["set", "sshd", "delignoreip", "192.0.2.99"],
    &["set", "sshd", "delignoreip"],
    &["get", "sshd", "ignoreip"],
    &["get", "lasting", "ignoreip"],
    &["set", "sshd", "bantime", "1h+30m"],
    &["get", "sshd", "bantime"],
    &["set", "sshd", "bantime", "-1"],
    &["get", "sshd", "bantime"],
    &["set", "sshd", "bantime", "foo"],
    &["set", "sshd", "bantime", "1.5"],
    &["set", "sshd", "bantime"],
    &["set", "sshd", "bantime", "2h"],
    &["get", "lasting", "bantime"],
    &["set", "sshd", "findtime", "15m"],
    &["get", "sshd", "findtime"],
    &["set", "sshd", "findtime", "soon"],
    &["set", "sshd", "maxretry", "7"],
    &["get", "sshd", "maxretry"],
    &["set", "sshd", "maxretry", "many"],
    &["set", "sshd", "ignoreself", "yes"],
    &["get", "sshd", "ignoreself"],
    &["set", "sshd", "ignoreself", "no"],
    &["get", "sshd", "ignoreself"],
    &["set", "nope", "maxretry", "3"],
    &["set", "dbpurgeage", "60d"],
    &["get", "dbpurgeage"],
    &["set", "logtarget", "STDERR"],
    &["get", "logtarget"],
];

#[test]
fn settings_that_are_changed_hold_at_once() {
    let Some(mut pair) = Pair::start(SOCKET) else {
        return;
    };
    pair.compare(CHANGES);
    // Whoever is spared now is not banned, and whoever is spared no longer is, in that jail alone.
    pair.compare(&[&["set", "sshd", "maxretry", "5"]]);
    pair.refuse(&["192.0.2.41"; 9]);
    pair.refuse(&["198.51.100.200"; 5]);
    pair.refuse(&["192.0.2.7"; 3]);
    pair.agree(&["get", "sshd", "banip"], "198.51.100.200\n");
    pair.agree(&["get", "lasting", "banip"], "192.0.2.41 192.0.2.7\n");
    // With a lower maxretry the next failure is one too many, and the ban is as long as was said last.
    pair.compare(&[&["set", "sshd", "maxretry", "2"]]);
    pair.refuse(&["192.0.2.7"]);
    pair.agree(&["get", "sshd", "banip"], "192.0.2.7");
    let said = pair.ours(&["get", "sshd", "banip", "--with-time"]).out;
    assert!(said.contains(" + 7200 = "), "{said}");
    // By the socket for Fail2ban's own client, too.
    for words in [
        &["set", "sshd", "addignoreip", "192.0.2.2"][..],
        &["set", "sshd", "maxretry", "4"],
        &["set", "sshd", "findtime", "foo"],
        &["get", "sshd", "findtime"],
    ] {
        let (across, theirs) = (pair.across(words), pair.theirs(words));
        assert_eq!(
            (across.code, across.err),
            (theirs.code, theirs.err),
            "{words:?}"
        );
    }
    assert!(
        pair.across(&["get", "sshd", "ignoreip"])
            .out
            .contains("192.0.2.2")
    );
    // It is told, as long as it holds.
    let told = || fs::read_to_string(pair.path("daemon.log")).unwrap();
    assert!(
        told().contains("[sshd] somebody has set maxretry 4;"),
        "{}",
        told()
    );
    let status = || {
        let mut command = Command::new(F2BD);
        command
            .arg("status")
            .arg("--socket")
            .arg(pair.path("control.sock"));
        String::from_utf8(command.output().unwrap().stdout).unwrap()
    };
    let said = status();
    assert!(said.contains("4 failures within 15m: ban for 2h"), "{said}");
    assert!(
        said.contains(
            "somebody has set bantime of sshd, fail2ban_log, findtime of sshd, ignoreip of sshd"
        ),
        "{said}"
    );
    // What cannot be is refused, and changes nothing.
    for (words, why) in [
        (["maxretry", "0"], "from 1 to 1000"),
        (["maxretry", "-1"], "from 1 to 1000"),
        (["findtime", "0"], "cannot be nothing"),
        (["addignoreip", "foo/bar"], "foo/bar"),
    ] {
        let said = pair.ours(&[&["set", "sshd"], &words[..]].concat());
        assert!(said.code == Some(255) && said.out.contains(why), "{said:?}");
    }
    // A reload takes what the files say, and lets go of nobody.
    assert_eq!(out(&pair.ours(&["reload"])), "OK\n");
    assert_eq!(out(&pair.ours(&["get", "sshd", "maxretry"])), "3\n");
    assert_eq!(out(&pair.ours(&["get", "sshd", "bantime"])), "3600\n");
    assert_eq!(
        out(&pair.ours(&["get", "dbpurgeage"])),
        "Current database purge age is:\n`- 86400seconds\n"
    );
    let spared = "These IP addresses/networks are ignored:\n|- 203.0.113.0/24\n`- 198.51.100.200\n";
    assert_eq!(out(&pair.ours(&["get", "sshd", "ignoreip"])), spared);
    // One whom the files spare is let go, as with any reload.
    assert_eq!(out(&pair.ours(&["get", "sshd", "banip"])), "192.0.2.7\n");
    assert!(!status().contains("somebody has set"));
}

#[test]
fn a_jail_that_is_ended_lets_go_and_is_back_with_the_files() {
    let Some(mut pair) = Pair::start(SOCKET) else {
        return;
    };
    pair.refuse(&["192.0.2.7"; 3]);
    pair.agree(&["get", "lasting", "banip"], "192.0.2.7\n");
    pair.compare(&[
        &["start", "lasting"],
        &["stop", "lasting"],
        &["stop", "lasting"],
        &["start", "lasting"],
        &["status", "lasting"],
        &["status"],
        &["stop", "nope"],
        &["start", "nope"],
    ]);
    assert_eq!(out(&pair.ours(&["banned", "192.0.2.7"])), "[['sshd']]\n");
    let told = fs::read_to_string(pair.path("daemon.log")).unwrap();
    assert!(told.contains("[lasting] somebody has ended it;"), "{told}");
    assert_eq!(out(&pair.ours(&["reload"])), "OK\n");
    assert_eq!(out(&pair.ours(&["get", "lasting", "banip"])), "\n");
    pair.refuse(&["192.0.2.8"; 3]);
    until("the jail bans again", || {
        let said = pair.ours(&["get", "lasting", "banip"]);
        (said.out == "192.0.2.8\n").then_some(())
    });
}
