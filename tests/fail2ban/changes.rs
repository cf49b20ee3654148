//! Facts about changes of a directory of Fail2ban's while both daemons run from one: what is answered, what it comes to, who
//! stays banned, and what a reload makes of it.

use std::fs::{self, File};
use std::io::Write;

use crate::fail2ban::pair::{Pair, Said};
use crate::support::wait::until;

/// What both answer in the same bytes. `HOME` is where the logs are.
const ALIKE: &[&str] = &[
    "set sshd addlogpath HOME/more.log",
    "set sshd addlogpath HOME/more.log head",
    "set sshd addlogpath HOME/more.log middle",
    "set sshd addlogpath HOME/more.log head head",
    "set sshd addlogpath HOME/none.log",
    "set sshd addlogpath HOME",
    "set sshd addlogpath",
    "get sshd logpath",
    "get lasting logpath",
    "set sshd dellogpath HOME/none.log",
    "set sshd dellogpath HOME/auth.log",
    "set sshd dellogpath",
    "get sshd logpath",
    "set sshd addlogpath HOME/auth.log",
    "set sshd addfailregex ^.*.denied.<HOST>$",
    "set sshd addfailregex",
    "set sshd delfailregex 9",
    "set sshd delfailregex x",
    "set sshd delfailregex",
    "set sshd delfailregex -1",
    "get sshd failregex",
    "set sshd addfailregex ^<F-NOFAIL>((?i)x</F-NOFAIL>).<F-ID>y</F-ID>.<F-USER>.*</F-USER></F-X>$",
    "set sshd addfailregex ^<ADDR>.<F-PORT/>.<F-ALT_USER_1>z</F-ALT_USER_1>$",
    "set sshd delfailregex 3",
    "set sshd delfailregex 2",
    r"set sshd addfailregex '^(a)a{,3}\-(?:c) <HOST>\Z'",
    "set sshd delfailregex -1",
    r"set sshd addignoreregex '^(a)a{,3}\-(?:c)\Z'",
    "set sshd delignoreregex -1",
    "set sshd addignoreregex ^.*.refused.192.0.2.9",
    "set sshd addignoreregex refused.192.0.2.10$",
    "get sshd ignoreregex",
    "set sshd delignoreregex 0",
    "set sshd delignoreregex -2",
    "set sshd delignoreregex 0",
    "set sshd delignoreregex 0",
    "get sshd ignoreregex",
    "set sshd usedns warn",
    "get sshd usedns",
    "set sshd usedns YES",
    "set sshd usedns",
    "get lasting usedns",
    "set sshd maxlines 5",
    "get sshd maxlines",
    "set sshd maxlines 0",
    "set sshd maxlines x",
    "set sshd maxlines 1",
    "set sshd datepattern %Y-%m-%dT%H:%M:%S",
    "get sshd datepattern",
    "set sshd datepattern EPOCH",
    "set sshd datepattern LEPOCH",
    "set sshd datepattern {^LN-BEG}EPOCH",
    "set sshd datepattern TAI64N",
    "set sshd datepattern {^LN-BEG}",
    "set sshd logencoding latin-1",
    "get sshd logencoding",
    "set sshd logencoding auto",
    "get sshd logencoding",
    "set sshd ignorecommand /bin/false",
    "get sshd ignorecommand",
    r"set sshd prefregex '^.(?:b)ox\-{,2}.<F-CONTENT>.+</F-CONTENT>\Z'",
    "get sshd prefregex",
    "set sshd prefregex ^.box.<F-CONTENT>.+</F-CONTENT>$",
    "get sshd prefregex",
    "set sshd logtimezone UTC+0200",
    "get sshd logtimezone",
    "get sshd bantime.increment",
    "get sshd bantime.factor",
    "get sshd bantime.formula",
    "get sshd bantime.maxtime",
    "get sshd bantime.overalljails",
    "set sshd bantime.increment true",
    "set sshd bantime.factor 2",
    "set sshd bantime.maxtime 1d",
    "set sshd bantime.rndtime 5m",
    "set sshd bantime.increment",
    "get sshd bantime.increment",
    "get sshd bantime.factor",
    "get sshd bantime.maxtime",
    "get sshd bantime.rndtime",
    "get sshd bantime.multipliers",
    "get lasting bantime.increment",
    "set sshd bantime.increment false",
    "get sshd journalmatch",
    "get sshd maxmatches",
    "get sshd actions",
    "get sshd actionproperties dummy",
    "get sshd actionproperties sshd-dummy",
    "get sshd action dummy nope",
    "get sshd action nope actionban",
    "get sshd action dummy",
    "set sshd idle perhaps",
    "set sshd idle",
    "set sshd idle on",
    "set sshd idle off",
    "set nope idle on",
    "set nope addfailregex x<HOST>",
    "set nope addlogpath HOME/more.log",
    "set nope usedns no",
    "get nope bantime.increment",
];

/// Patterns are told as they were written, but for what an address looks like, where each of both has its own expression.
fn without_addresses(pair: &Pair) -> impl Fn(&str) -> String {
    let words = ["get", "sshd", "failregex"];
    let hosts = [pair.ours(&words).out, pair.theirs(&words).out].map(|said| {
        let begin = said.split_once("refused ").unwrap().1;
        begin.split_once("$\n").unwrap().0.to_owned()
    });
    // Without names they are what is between the brackets.
    let addresses = hosts.clone().map(|host| {
        let end = host.find(r"\]?").unwrap() + 3;
        host["(?:".len()..end].to_owned()
    });
    move |said| {
        let all = hosts.iter().chain(&addresses);
        all.fold(said.to_owned(), |said, host| said.replace(host, "<HOST>"))
    }
}

#[test]
fn changes_are_answered_as_by_fail2ban() {
    let Some(pair) = Pair::of_trees() else {
        return;
    };
    fs::write(pair.path("more.log"), "").unwrap();
    let home = pair.path("").display().to_string();
    let home = home.trim_end_matches('/');
    let commands = ALIKE.iter().map(|words| words.replace("HOME", home));
    let commands: Vec<_> = commands.collect();
    let commands = commands.iter().map(|words| words.split(' ').collect());
    let commands: Vec<Vec<&str>> = commands.collect();
    let commands: Vec<&[&str]> = commands.iter().map(Vec::as_slice).collect();
    pair.compare_as(&commands, without_addresses(&pair));
    // What an action is made of may be a secret.
    let said = pair.ours(&["get", "sshd", "action", "dummy", "actionban"]);
    let why = "`fail2ban-client -d` lists `actionban` of `dummy`";
    assert!(said.code == Some(255) && said.out.contains(why), "{said:?}");
    // The same by Fail2ban's own client, with exit codes.
    for words in [
        &["set", "sshd", "addignoreregex", "from 192.0.2.9$"][..],
        &["set", "sshd", "addlogpath", "/nowhere"],
        &["set", "sshd", "maxlines", "-1"],
        &["set", "sshd", "bantime.factor", "3"],
        &["get", "sshd", "ignoreregex"],
    ] {
        let (ours, theirs) = (pair.ours(words), pair.theirs(words));
        assert_eq!(
            (ours.code, ours.out),
            (theirs.code, theirs.out),
            "{words:?}"
        );
        let words: Vec<_> = ["get", "sshd"]
            .iter()
            .chain(&words[2..3])
            .copied()
            .collect();
        assert_eq!(pair.across(&words).out, pair.ours(&words).out, "{words:?}");
    }
}

/// Logs three failures and waits for the ban, of both unless ours alone is asked.
fn banned(pair: &Pair, file: &str, what: &str, guest: &str) {
    pair.tell(file, &format!("{what} {guest}"), 3);
    until(&format!("{guest} is banned"), || {
        is_banned(pair, guest).then_some(())
    });
}

fn is_banned(pair: &Pair, guest: &str) -> bool {
    let said = pair.ours(&["get", "sshd", "banned", guest]);
    assert_eq!(said.code, Some(0), "{said:?}");
    said.out == "1\n"
}

fn set(pair: &Pair, words: &[&str]) {
    let said = pair.ours(&[&["set", "sshd"], words].concat());
    assert_eq!(said.code, Some(0), "{said:?}");
}

fn refused(pair: &Pair, words: &[&str], why: &str) {
    let said: Said = pair.ours(&[&["set", "sshd"], words].concat());
    assert!(said.code == Some(255) && said.out.contains(why), "{said:?}");
}

#[test]
fn what_is_changed_decides_until_the_next_reload() {
    let Some(pair) = Pair::of_trees() else {
        return;
    };
    fs::write(pair.path("more.log"), "").unwrap();
    let more = pair.path("more.log").display().to_string();
    let auth = "auth.log";
    banned(&pair, auth, "refused", "192.0.2.1");
    // What was set before stays when something else is set.
    set(&pair, &["bantime", "2h"]);
    set(&pair, &["addignoreip", "192.0.2.200"]);

    // A pattern comes, and what it would have found before.
    pair.tell(auth, "denied 192.0.2.2", 3);
    banned(&pair, auth, "refused", "192.0.2.3");
    assert!(!is_banned(&pair, "192.0.2.2"));
    set(&pair, &["addfailregex", r"^ \S+ guest: denied <HOST>$"]);
    banned(&pair, auth, "denied", "192.0.2.4");
    set(&pair, &["addignoreregex", r"denied 192\.0\.2\.5$"]);
    pair.tell(auth, "denied 192.0.2.5", 3);
    banned(&pair, auth, "denied", "192.0.2.6");
    assert!(!is_banned(&pair, "192.0.2.5"));
    // And goes.
    set(&pair, &["delfailregex", "1"]);
    pair.tell(auth, "denied 192.0.2.7", 3);
    banned(&pair, auth, "refused", "192.0.2.8");
    assert!(!is_banned(&pair, "192.0.2.7"));

    // So do logs.
    set(&pair, &["addlogpath", &more]);
    banned(&pair, "more.log", "refused", "192.0.2.11");
    // Another jail hears the same lines at the same time; where it bans, this one has passed over them.
    let said = pair.ours(&["set", "lasting", "addlogpath", &more]);
    assert_eq!(said.code, Some(0), "{said:?}");
    set(&pair, &["dellogpath", &more]);
    pair.tell("more.log", "refused 192.0.2.12", 3);
    until("the other jail bans", || {
        let said = pair.ours(&["get", "lasting", "banned", "192.0.2.12"]);
        (said.out == "1\n").then_some(())
    });
    assert!(!is_banned(&pair, "192.0.2.12"));
    assert_eq!(pair.ours(&["stop", "lasting"]).out, "Jail stopped\n");
    banned(&pair, auth, "refused", "192.0.2.13");

    // Somebody else is asked whom he spares.
    let spares = pair.path("spares").display().to_string();
    fs::write(&spares, "#!/bin/sh\ntest \"$1\" = 192.0.2.14\n").unwrap();
    let mut mode = fs::metadata(&spares).unwrap().permissions();
    std::os::unix::fs::PermissionsExt::set_mode(&mut mode, 0o755);
    fs::set_permissions(&spares, mode).unwrap();
    set(&pair, &["ignorecommand", &format!("{spares} <ip>")]);
    pair.tell(auth, "refused 192.0.2.14", 3);
    pair.tell(auth, "refused 192.0.2.200", 3);
    banned(&pair, auth, "refused", "192.0.2.15");
    assert!(!is_banned(&pair, "192.0.2.200"));

    // A log that is written otherwise.
    set(&pair, &["addlogpath", &more]);
    set(&pair, &["datepattern", "{^LN-BEG}EPOCH"]);
    let now = jiff::Timestamp::now().as_second();
    let line = format!("{now} host guest: refused 192.0.2.16\n");
    let mut log = File::options().append(true).open(&more).unwrap();
    log.write_all(line.repeat(3).as_bytes()).unwrap();
    until("a date of another kind is read", || {
        is_banned(&pair, "192.0.2.16").then_some(())
    });

    // Nobody was let go by any of that, and what was said of bans and jails held all the time.
    for last in ["1", "3", "4", "6", "8", "11", "13", "15", "16"] {
        assert!(is_banned(&pair, &format!("192.0.2.{last}")), "{last}");
    }
    let said = pair.ours(&["get", "sshd", "banip", "--with-time"]).out;
    for (guest, seconds) in [("192.0.2.1 ", 3600), ("192.0.2.16 ", 7200)] {
        let line = said.lines().find(|line| line.starts_with(guest)).unwrap();
        assert!(line.contains(&format!(" + {seconds} = ")), "{said}");
    }
    assert!(pair.ours(&["status"]).out.contains("Jail list:\tsshd\n"));
    let told = fs::read_to_string(pair.path("daemon.log")).unwrap();
    assert!(!told.contains("ban 192.0.2.14 "), "not even for a moment");
    let log = fs::read_to_string(pair.path("own.log")).unwrap();
    let spared = log.matches("[sshd] Ignore 192.0.2.14 by command\n").count();
    assert_eq!(spared, 3, "{log}");
    let told_of = format!("[sshd] somebody has set addlogpath {more};");
    assert!(told.contains(&told_of), "{told}");

    // The files say otherwise.
    assert_eq!(pair.ours(&["reload"]).out, "OK\n");
    let patterns = pair.ours(&["get", "sshd", "failregex"]).out;
    assert_eq!(patterns.lines().count(), 2, "{patterns}");
    assert!(!pair.ours(&["get", "sshd", "logpath"]).out.contains(&more));
    banned(&pair, auth, "refused", "192.0.2.20");
    assert!(is_banned(&pair, "192.0.2.1"));
}

#[test]
fn what_cannot_be_meant_is_refused_and_changes_nothing() {
    let Some(pair) = Pair::of_trees() else {
        return;
    };
    let auth = pair.path("auth.log").display().to_string();
    let all = [
        "failregex",
        "logpath",
        "usedns",
        "datepattern",
        "maxlines",
        "bantime.factor",
    ];
    let settings = || all.map(|what| pair.ours(&["get", "sshd", what]).out);
    let before = settings();
    for (words, why) in [
        (&["addfailregex", "(x <HOST>"][..], "has no `)`"),
        (&["addfailregex", "^nobody$"], "does not say who has failed"),
        (&["addfailregex", "a <HOST>\nb <HOST>"], "a line feed parts"),
        (&["addfailregex", ""], "an empty pattern is none"),
        (&["addignoreregex", "  "], "an empty pattern is none"),
        (&["delfailregex", "0"], "add another one first"),
        (&["dellogpath", &auth], "add another one first"),
        (&["addlogpath", &auth, "tail"], "leave `tail` out"),
        (&["addlogpath", "/var/log/*.log"], "write the absolute path"),
        (&["addlogpath", "auth.log"], "write the absolute path"),
        (&["usedns", "perhaps"], "write yes, warn or no"),
        (&["datepattern", "("], "datepattern"),
        (&["maxlines", "1000000"], "maxlines"),
        (&["logencoding", "klingon"], "`klingon` is no encoding"),
        (&["logtimezone", "Mars"], "there is no zone `Mars`"),
        (
            &["addjournalmatch", "_UID=0"],
            "reads files and not the journal",
        ),
        (&["bantime.formula", "1 / 0"], "bantime.formula"),
        (&["bantime.maxtime", "soon"], "bantime.maxtime"),
        (&["bantime.rndtime", "soon"], "bantime.rndtime"),
        (&["bantime.factor", "much"], "bantime.factor"),
        (&["bantime.multipliers", "1 x"], "bantime.multipliers"),
        (&["maxmatches", "5"], "has no `maxmatches`"),
        (&["ignorecache", "x"], "has no `ignorecache`"),
    ] {
        refused(&pair, words, why);
    }
    assert_eq!(settings(), before);
    // What somebody writes into the files meanwhile does not come in force by that.
    let jail = pair.path("own/jail.conf");
    let text = fs::read_to_string(&jail).unwrap();
    fs::write(
        &jail,
        text.replace("[lasting]\nenabled = true", "[lasting]\nenabled = false"),
    )
    .unwrap();
    set(&pair, &["usedns", "warn"]);
    assert!(pair.ours(&["status"]).out.contains("lasting, sshd"));
    assert_eq!(pair.ours(&["reload"]).out, "OK\n");
    assert!(!pair.ours(&["status"]).out.contains("lasting"));
}

#[test]
fn an_idle_jail_passes_over_what_it_hears_and_keeps_its_bans() {
    let Some(pair) = Pair::of_trees() else {
        return;
    };
    let auth = "auth.log";
    banned(&pair, auth, "refused", "192.0.2.1");
    set(&pair, &["idle", "on"]);
    assert_eq!(pair.ours(&["get", "sshd", "idle"]).out, "True\n");
    pair.tell(auth, "refused 192.0.2.2", 3);
    // Another jail hears the same lines; where it bans, this one has passed over them.
    until("the other jail bans", || {
        let said = pair.ours(&["get", "lasting", "banned", "192.0.2.2"]);
        (said.out == "1\n").then_some(())
    });
    // It stays so where something else is set.
    set(&pair, &["addignoreregex", "refused 192.0.2.9$"]);
    assert_eq!(pair.ours(&["get", "sshd", "idle"]).out, "True\n");
    assert!(is_banned(&pair, "192.0.2.1") && !is_banned(&pair, "192.0.2.2"));
    set(&pair, &["idle", "off"]);
    banned(&pair, auth, "refused", "192.0.2.3");
    assert!(!is_banned(&pair, "192.0.2.2"));
    set(&pair, &["idle", "on"]);
    assert_eq!(pair.ours(&["reload"]).out, "OK\n");
    banned(&pair, auth, "refused", "192.0.2.4");
}

#[test]
fn no_change_ends_the_work_of_a_jail() {
    let Some(pair) = Pair::of_trees() else {
        return;
    };
    let prefix = r"^ \S+ guest: from <HOST> <F-CONTENT>.+</F-CONTENT>$";
    set(&pair, &["prefregex", prefix]);
    set(&pair, &["addfailregex", "^nobody$"]);
    // The mistake is then one of the pattern, which was none when it came.
    refused(&pair, &["prefregex", ""], "addfailregex ^nobody$");
    pair.tell("auth.log", "from 192.0.2.1 nobody", 3);
    until("the pattern still bans", || {
        is_banned(&pair, "192.0.2.1").then_some(())
    });
}

#[test]
fn bans_grow_and_lines_are_cut_from_then_on() {
    let Some(pair) = Pair::of_trees() else {
        return;
    };
    let auth = "auth.log";
    // What its files say of that lasts for ever.
    let set_lasting = |words: &[&str]| {
        let said = pair.ours(&[&["set", "lasting"], words].concat());
        assert_eq!(said.code, Some(0), "{said:?}");
    };
    let bans_of_lasting = || pair.ours(&["get", "lasting", "banip", "--with-time"]).out;
    set(&pair, &["bantime", "1"]);
    set_lasting(&["bantime", "1"]);
    pair.tell(auth, "refused 192.0.2.1", 3);
    // The ban itself may be over before anybody has looked.
    until("somebody was banned, and that ban is over", || {
        let said = pair.ours(&["status", "sshd"]).out;
        let was_banned = said.contains("Total banned:\t1\n");
        let is_over = !is_banned(&pair, "192.0.2.1") && bans_of_lasting() == "\n";
        (was_banned && is_over).then_some(())
    });
    set_lasting(&["bantime.increment", "true"]);
    set_lasting(&["bantime", "1h"]);
    set(&pair, &["bantime.increment", "true"]);
    set(&pair, &["bantime", "1h"]);
    // What is of the second in which the ban ended does not count.
    until("he is banned again", || {
        pair.tell(auth, "refused 192.0.2.1", 3);
        is_banned(&pair, "192.0.2.1").then_some(())
    });
    let said = pair.ours(&["get", "sshd", "banip", "--with-time"]).out;
    assert!(said.contains(" + 7200 = "), "{said}");
    until("the other jail bans him for longer, too", || {
        bans_of_lasting().contains(" + 7200 = ").then_some(())
    });

    let prefix = r"^ \S+ <F-CONTENT>.+</F-CONTENT>$";
    set(&pair, &["addfailregex", "^guest: held <HOST>$"]);
    pair.tell(auth, "held 192.0.2.2", 3);
    banned(&pair, auth, "refused", "192.0.2.3");
    assert!(!is_banned(&pair, "192.0.2.2"));
    set(&pair, &["prefregex", prefix]);
    banned(&pair, auth, "held", "192.0.2.4");
    set(&pair, &["prefregex", ""]);
    banned(&pair, auth, "refused", "192.0.2.5");
    assert!(is_banned(&pair, "192.0.2.1") && is_banned(&pair, "192.0.2.4"));
}
