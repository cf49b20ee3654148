//! Facts about directories with mistakes: each is told with its file and its line, and the good jails are there wherever
//! Fail2ban would start them.

use std::fs;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::Path;
use std::process::Command;

use f2bd::action::ports::{Ports, Services};
use f2bd::config::{self, Loaded, Severity, Surroundings};
use serde_json::json;

use super::package::Package;
use crate::support::world::F2BD;

const GOOD_FILTER: &str = "[Definition]\nfailregex = ^refused <HOST>$\n";

/// A jail that is as it should be.
const GOOD: &str = "[good]\nenabled = true\nfilter = good\nlogpath = /var/log/good.log\naction =\n";

fn load(files: &[(&str, &[u8])]) -> (tempfile::TempDir, Loaded) {
    let home = tempfile::tempdir().unwrap();
    let write = |name: &str, content: &[u8]| {
        let path = home.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, content).unwrap();
    };
    write("jail.conf", GOOD.as_bytes());
    write("filter.d/good.conf", GOOD_FILTER.as_bytes());
    for (name, content) in files {
        write(name, content);
    }
    let loaded = config::load(Some(home.path()), Surroundings::Ignore);
    (home, loaded)
}

/// What is told as `FILE:LINE`, but for warnings.
fn told(home: &Path, loaded: &Loaded) -> Vec<String> {
    let problems = loaded.problems.iter();
    let bad = problems.filter(|problem| problem.severity > Severity::Warning);
    let told = bad.map(|problem| {
        let file = problem.file.strip_prefix(home).unwrap_or(&problem.file);
        format!("{}:{}", file.display(), problem.line.unwrap_or(0))
    });
    told.collect()
}

/// A jail with these lines, whose filter is `bad`.
fn jail(lines: &str) -> String {
    format!("[bad]\nenabled = true\nfilter = bad\nlogpath = /var/log/bad.log\naction =\n{lines}")
}

/// A filter with these lines of a definition.
fn filter(lines: &str) -> String {
    format!("[Definition]\n{lines}\n")
}

#[test]
fn a_bad_jail_is_left_out_and_the_good_one_is_there() {
    let good = filter("failregex = ^bad <HOST>$");
    let kinds: &[(&str, String, String, &str)] = &[
        (
            "a filter that is missing",
            jail("filter = nothing").replacen("filter = bad\n", "", 1),
            good.clone(),
            "jail.local:5",
        ),
        (
            "brackets that stay open",
            jail("").replace("= bad\n", "= bad[x=1\n"),
            good.clone(),
            "jail.local:3",
        ),
        (
            "a value without a comma behind it",
            jail("").replace("= bad\n", "= bad[x=\"1\" y=2]\n"),
            good.clone(),
            "jail.local:3",
        ),
        (
            "an action that is missing",
            jail("").replace("action =", "action = nothing"),
            good.clone(),
            "jail.local:5",
        ),
        (
            "an action with open brackets",
            jail("").replace("action =", "action = nothing[x"),
            good.clone(),
            "jail.local:5",
        ),
        (
            "a reference to nothing",
            jail("maxretry = %(nothing)s"),
            good.clone(),
            "jail.local:6",
        ),
        (
            "a reference to itself",
            jail("findtime = %(findtime)s"),
            good.clone(),
            "jail.local:6",
        ),
        (
            "references in a circle",
            jail("findtime = %(x)s\nx = %(y)s\ny = %(x)s"),
            good.clone(),
            "jail.local:8",
        ),
        (
            "a percent sign",
            jail("bantime = 50%"),
            good.clone(),
            "jail.local:6",
        ),
        (
            "a reference that stays open",
            jail("bantime = %(x"),
            good.clone(),
            "jail.local:6",
        ),
        (
            "a known value that nobody knew",
            jail("bantime = %(known/nothing)s"),
            good.clone(),
            "jail.local:6",
        ),
        (
            "a filter's reference to nothing",
            jail(""),
            filter("failregex = ^%(nothing)s <HOST>"),
            "filter.d/bad.conf:2",
        ),
        (
            "a tag that refers to itself",
            jail(""),
            filter("failregex = ^<a> <HOST>\na = <a>"),
            "filter.d/bad.conf:2",
        ),
        (
            "tags in a circle",
            jail(""),
            filter("failregex = ^<a> <HOST>\na = <b>\nb = <a>"),
            "filter.d/bad.conf:2",
        ),
        (
            "a key twice in a filter",
            jail(""),
            filter("failregex = ^a <HOST>\nfailregex = ^b <HOST>"),
            "filter.d/bad.conf:3",
        ),
        (
            "a line without a key in a filter",
            jail(""),
            filter("failregex = ^a <HOST>\n^b <HOST>"),
            "filter.d/bad.conf:3",
        ),
        (
            "no section in a filter",
            jail(""),
            "failregex = ^a <HOST>\n".to_owned(),
            "filter.d/bad.conf:1",
        ),
        (
            "a filter without a pattern",
            jail(""),
            filter("ignoreregex = ^x"),
            "jail.local:1",
        ),
        (
            "a pattern that names nobody",
            jail(""),
            filter("failregex = ^nobody"),
            "filter.d/bad.conf:2",
        ),
        (
            "a parenthesis that stays open",
            jail(""),
            filter("failregex = ^(a <HOST>"),
            "filter.d/bad.conf:2",
        ),
        (
            "a repetition of nothing",
            jail(""),
            filter("failregex = ^*+? <HOST>"),
            "filter.d/bad.conf:2",
        ),
        (
            "a range that is none",
            jail(""),
            filter("failregex = ^[z-a] <HOST>"),
            "filter.d/bad.conf:2",
        ),
        (
            "a group twice",
            jail(""),
            filter("failregex = ^(?P<x>a)(?P<x>b) <HOST>"),
            "filter.d/bad.conf:2",
        ),
        (
            "a date pattern with no such code",
            jail(""),
            filter("failregex = ^a <HOST>\ndatepattern = %%Q"),
            "filter.d/bad.conf:3",
        ),
        (
            "no log at all",
            jail("").replace("/var/log/bad.log", ""),
            good.clone(),
            "jail.local:1",
        ),
        (
            "a backend that is none",
            jail("backend = systemdd"),
            good.clone(),
            "jail.local:6",
        ),
        (
            "a backend with open brackets",
            jail("backend = systemd[namespace=x"),
            good.clone(),
            "jail.local:6",
        ),
        (
            "a bantime that is none",
            jail("bantime = soon"),
            good.clone(),
            "jail.local:6",
        ),
        (
            "a bantime that is a program",
            jail("bantime = __import__('os')"),
            good.clone(),
            "jail.local:6",
        ),
        (
            "a findtime that divides by nothing",
            jail("findtime = 1/0"),
            good.clone(),
            "jail.local:6",
        ),
        (
            "a name that is none",
            jail("").replace("[bad]", "[bad jail]"),
            good,
            "jail.local:1",
        ),
    ];
    for (kind, local, filter, place) in kinds {
        let files: [(&str, &[u8]); 2] = [
            ("jail.local", local.as_bytes()),
            ("filter.d/bad.conf", filter.as_bytes()),
        ];
        let (home, loaded) = load(&files);
        let told = told(home.path(), &loaded);
        assert!(
            told.iter().any(|told| told == place),
            "{kind}: {told:?} {:#?}",
            loaded.problems
        );
        let policy = &loaded
            .settings
            .as_ref()
            .unwrap_or_else(|| panic!("{kind}: {:#?}", loaded.problems))
            .policy;
        assert!(
            policy.jails.iter().any(|jail| jail.name.as_str() == "good"),
            "{kind}"
        );
    }
}

#[test]
fn what_concerns_all_jails_is_told_where_it_is() {
    let kinds: &[(&str, &str, &[u8], &str)] = &[
        (
            "a key twice",
            "jail.local",
            b"[good]\nport = 1\nPort = 2\n",
            "jail.local:3",
        ),
        (
            "a section twice",
            "jail.local",
            b"[good]\n[other]\n[good]\n",
            "jail.local:3",
        ),
        (
            "no section",
            "jail.local",
            b"# jails\nenabled = true\n",
            "jail.local:2",
        ),
        (
            "no key",
            "jail.d/x.conf",
            b"[good]\n= 3\nwhat\n",
            "jail.d/x.conf:2",
        ),
        (
            "an include that refers to nothing",
            "jail.local",
            b"[INCLUDES]\nbefore = %(x)s\n",
            "jail.local:2",
        ),
        (
            "too many includes",
            "jail.local",
            b"[INCLUDES]\nbefore = jail.conf\n",
            "jail.local:2",
        ),
        (
            "a daemon that refers to nothing",
            "fail2ban.local",
            b"[Definition]\nloglevel = %(x)s\n",
            "fail2ban.local:2",
        ),
        (
            "a daemon's key twice",
            "fail2ban.conf",
            b"[Definition]\nloglevel = 1\nloglevel = 2\n",
            "fail2ban.conf:3",
        ),
    ];
    for (kind, name, content, place) in kinds {
        let (home, loaded) = load(&[(name, content)]);
        let told = told(home.path(), &loaded);
        assert!(told.iter().any(|told| told == place), "{kind}: {told:?}");
        assert!(loaded.settings.is_none(), "{kind}");
    }
}

#[test]
fn traps_are_told_and_the_jail_is_there() {
    let kinds = [
        (
            "a comment behind a time",
            "bantime = 10m # ten",
            "`bantime`",
        ),
        (
            "a comment behind addresses",
            "ignoreip = 192.0.2.1 # home",
            "`ignoreip`",
        ),
        (
            "an address that is none",
            "ignoreip = 192.0.2.300",
            "`ignoreip`",
        ),
        (
            "a word for names that is none",
            "usedns = maybe",
            "`usedns`",
        ),
        (
            "a zone that is none",
            "logtimezone = Nowhere/Land",
            "`logtimezone`",
        ),
        (
            "an include that is missing",
            "[INCLUDES]\nafter = nothing.conf",
            "`nothing.conf`",
        ),
        (
            "a log that is to be read from its end",
            "logpath = /var/log/good.log tail",
            "`tail`",
        ),
        (
            "a log that is missing where a journal is there",
            "logpath = /no/such.log\njournalmatch = _COMM=good",
            "there is no /no/such.log",
        ),
        ("a key that nobody knows", "maxrety = 3", "`maxrety`"),
        (
            "a comment behind a word for true",
            "bantime.increment = true # yes",
            "`bantime.increment`",
        ),
        (
            "a ban that lasts no time",
            "bantime = 0",
            "`bantime` cannot be nothing: 10m is taken",
        ),
    ];
    for (kind, lines, word) in kinds {
        let (_home, loaded) = load(&[("jail.local", format!("[good]\n{lines}\n").as_bytes())]);
        let told = loaded
            .problems
            .iter()
            .find(|problem| problem.message.contains(word));
        let told = told.unwrap_or_else(|| panic!("{kind}: {:?}", loaded.problems));
        assert_eq!(told.severity, Severity::Warning, "{kind}");
        let line = if lines.starts_with('[') { 3 } else { 2 };
        assert_eq!(told.line, Some(line), "{kind}");
        assert!(loaded.settings.is_some(), "{kind}");
    }
}

#[test]
fn a_jail_that_is_off_by_a_slip_is_told() {
    let (_home, loaded) = load(&[("jail.local", b"[good]\nenabled = true # yes\n")]);
    let told: Vec<_> = loaded.problems.iter().map(ToString::to_string).collect();
    assert!(
        told[0].contains("jail.local:2:1: warning: `enabled` is `true # yes`"),
        "{told:?}"
    );
    assert!(told[0].contains("jail `good` is off"), "{told:?}");
    // Who writes a word for false means it.
    for word in ["false", "No", "0", "off", ""] {
        let (_home, loaded) = load(&[(
            "jail.local",
            format!("[good]\nenabled = {word}\n").as_bytes(),
        )]);
        let told: Vec<_> = loaded.problems.iter().map(ToString::to_string).collect();
        assert!(
            told.len() == 1 && told[0].contains("no jail is enabled"),
            "{told:?}"
        );
    }
    // Of one that does not start it is not said that it is off.
    let local = "[good]\nenabled = true\nmaxretry = %(nope)s\n";
    let (_home, loaded) = load(&[("jail.local", local.as_bytes())]);
    let told: Vec<_> = loaded.problems.iter().map(ToString::to_string).collect();
    assert!(
        told.iter().any(
            |told| told.contains("no jail starts: nothing is protected; mend what is not used")
        ),
        "{told:?}"
    );
}

#[test]
fn a_time_that_is_none_says_what_is_taken() {
    for key in ["bantime", "findtime"] {
        let (_home, loaded) = load(&[("jail.local", format!("[good]\n{key} = soon\n").as_bytes())]);
        let problems = loaded.problems.iter();
        let told: Vec<_> = problems.map(|problem| problem.message.as_str()).collect();
        let expected =
            format!("`{key}` is no time: name 'soon' is not defined; 10m is taken instead");
        assert!(told.contains(&expected.as_str()), "{told:?}");
        let jail = config::resolved(&loaded)["jails"]["good"].clone();
        assert_eq!(jail[key], 600, "{jail}");
    }
}

/// An `F-ID` is whatever its author says, and a firewall knows addresses alone.
#[test]
fn who_is_no_address_counts_where_something_can_ban_him_and_is_told_of_where_not() {
    let by_id = filter("failregex = ^ denied <F-ID>\\S+</F-ID>$");
    let by_both = filter("failregex = ^ denied <F-ID>\\S+</F-ID>$\n    ^ refused <ADDR>$");
    let shell = "[Definition]\nactionban = echo <fid>\n";
    let Some(package) = Package::find() else {
        return;
    };
    let nftables = fs::read(package.path("etc/fail2ban/action.d/nftables.conf")).unwrap();
    let load_with = |filter: &str, action: &str| {
        let jail = jail("maxretry = 1").replace("action =", &format!("action = {action}"));
        let (home, loaded) = load(&[
            ("jail.local", jail.as_bytes()),
            ("filter.d/bad.conf", filter.as_bytes()),
            ("action.d/own.conf", shell.as_bytes()),
            ("action.d/nftables.conf", &nftables),
        ]);
        let problems = loaded.problems.iter();
        let told = problems.filter(|problem| problem.message.contains("F-ID"));
        let told: Vec<_> = told.map(|problem| problem.message.clone()).collect();
        let left_out = loaded.problems.iter();
        assert_eq!(
            left_out
                .filter(|problem| problem.severity > Severity::Warning)
                .count(),
            0,
            "{:?}",
            loaded.problems
        );
        let log = home.path().join("log");
        let now = jiff::Zoned::now().strftime("%Y-%m-%d %H:%M:%S");
        fs::write(&log, format!("{now} denied bob\n{now} denied 192.0.2.77\n")).unwrap();
        let replayed = Command::new(F2BD)
            .args(["replay", "--json", "--jail", "bad", "--config"])
            .args([home.path(), &log])
            .output()
            .unwrap();
        let lines = String::from_utf8(replayed.stdout).unwrap();
        let bans = lines.lines().filter(|line| line.contains("\"ban\""));
        let subject = |line: &str| {
            let row: serde_json::Value = serde_json::from_str(line).unwrap();
            row["subject"].as_str().unwrap().to_owned()
        };
        (told, bans.map(subject).collect::<Vec<_>>())
    };
    let (told, banned) = load_with(&by_id, "own");
    assert_eq!(told, [""; 0]);
    assert_eq!(banned, ["bob", "192.0.2.77"]);
    let (told, banned) = load_with(&by_id, "nftables[name=bad]\n    own");
    assert_eq!(told.len(), 1, "{told:?}");
    assert!(told[0].contains("the action `nftables"), "{told:?}");
    assert_eq!(banned, ["192.0.2.77/32"]);
    let (told, banned) = load_with(&by_both, "own");
    assert_eq!(told.len(), 1, "{told:?}");
    assert_eq!(banned, ["192.0.2.77/32"]);
}

#[test]
fn a_pattern_that_looks_on_from_every_place_of_a_line_is_told() {
    let told = |pattern: &str| {
        let (home, _) = load(&[
            ("jail.local", jail("").as_bytes()),
            (
                "filter.d/bad.conf",
                filter(&format!("failregex = {pattern}")).as_bytes(),
            ),
        ]);
        let loaded = config::load_and_prove(Some(home.path()));
        assert!(loaded.settings.is_some(), "{:?}", loaded.problems);
        let problems = loaded.problems.iter();
        let mut told = problems.filter(|problem| problem.message.contains("from every place"));
        told.next().map(|problem| {
            let file = problem.file.strip_prefix(home.path()).unwrap();
            (file.display().to_string(), problem.line)
        })
    };
    let there = Some(("filter.d/bad.conf".to_owned(), Some(2)));
    assert_eq!(told("(?=.*x).* from <ADDR>$"), there);
    assert_eq!(told("^ (?=.*x).* from <ADDR>$"), None);
    assert_eq!(told("(?!root)\\S+ from <ADDR>$"), None);
}

#[test]
fn a_mode_that_the_filter_does_not_have_is_told() {
    let filter = filter("mdre-normal =\nfailregex = ^refused <HOST>$\n    <mdre-<mode>>");
    let warnings = |mode: &str| {
        let (_home, loaded) = load(&[
            ("filter.d/bad.conf", filter.as_bytes()),
            (
                "jail.local",
                jail("")
                    .replace("= bad\n", &format!("= bad[mode={mode}]\n"))
                    .as_bytes(),
            ),
        ]);
        let problems = loaded.problems.into_iter();
        problems.map(|problem| problem.message).collect::<Vec<_>>()
    };
    assert_eq!(warnings("normal"), [""; 0]);
    let told = warnings("agressive");
    assert!(
        told.iter().any(|told| told.contains("no mode `agressive`")),
        "{told:?}"
    );
}

/// Fail2ban's tests of a configuration, by which others decide whether it may be taken.
#[test]
fn a_jail_that_is_left_out_fails_the_test_of_the_configuration() {
    let client = |local: &str| {
        let (home, _) = load(&[("jail.local", local.as_bytes())]);
        let client = home.path().join("fail2ban-client");
        symlink(F2BD, &client).unwrap();
        let tree = home.path().to_str().unwrap();
        Command::new(&client)
            .args(["-c", tree, "-t"])
            .output()
            .unwrap()
    };
    let logs = tempfile::tempdir().unwrap();
    let log = logs.path().join("good.log");
    fs::write(&log, "").unwrap();
    let reads = |more: &str| format!("[good]\nlogpath = {} tail\n{more}", log.display());
    let sound = client(&reads(""));
    let words = String::from_utf8_lossy(&sound.stderr);
    assert!(sound.status.success(), "{sound:?}");
    assert!(
        words.contains("WARNING") && !words.contains("ERROR"),
        "{words}"
    );
    // Fail2ban starts nothing where a log is missing, unless the jail can do without.
    let lacking = "[good]\nlogpath = /nonexistent/*.log\n";
    let missing = client(lacking);
    assert_eq!(missing.status.code(), Some(255), "{missing:?}");
    let words = String::from_utf8_lossy(&missing.stderr);
    let said = "ERROR   Failed during configuration: Have not found any log file for good jail\n";
    assert!(words.contains(said), "{words}");
    assert!(
        words.contains("ERROR   ERROR: test configuration failed"),
        "{words}"
    );
    for without in [
        "backend = systemd",
        "skip_if_nologs = true",
        "journalmatch = _COMM=good",
    ] {
        let said = client(&format!("{lacking}{without}\n"));
        assert!(said.status.success(), "{without}: {said:?}");
    }
    for with in [
        "skip_if_nologs = false",
        "backend = polling\njournalmatch = _COMM=good",
    ] {
        let said = client(&format!("{lacking}{with}\n"));
        assert_eq!(said.status.code(), Some(255), "{with}: {said:?}");
    }
    let bad = client(&(reads("") + &jail("filter = nothing")));
    assert_eq!(bad.status.code(), Some(255), "{bad:?}");
    let words = String::from_utf8_lossy(&bad.stderr);
    assert!(
        words.contains("ERROR: test configuration failed"),
        "{words}"
    );
}

#[test]
fn a_directory_that_is_named_by_a_relative_path_knows_its_place() {
    let local = "[good]\nignorecommand = %(fail2ban_confpath)s/spare <ip>\nlogpath = good.log\n";
    let (home, _) = load(&[("jail.local", local.as_bytes())]);
    let name = home.path().file_name().unwrap();
    let around = home.path().parent().unwrap();
    let checked = Command::new(F2BD)
        .args(["check", "--json", "--config"])
        .arg(name)
        .current_dir(around)
        .output()
        .unwrap();
    assert!(checked.status.success(), "{checked:?}");
    // So does a log, as with Fail2ban.
    let checked: serde_json::Value = serde_json::from_slice(&checked.stdout).unwrap();
    let log = around.join("good.log").display().to_string();
    assert_eq!(checked["jails"]["good"]["logpath"], json!([log]));
    let problems = checked["problems"].as_array().unwrap();
    let told = problems.iter().find(|one| one["line"] == 3).unwrap();
    assert_eq!(told["severity"], "warning");
    assert!(told["message"].as_str().unwrap().contains(&log), "{told}");
}

/// What Fail2ban counts of other machines' bans it reads in their logs.
#[test]
fn a_log_of_others_bans_is_read() {
    let jail = |log: &str| {
        let local =
            format!("[recidive]\nenabled = true\nfilter = recidive\nlogpath = {log}\naction =\n");
        let filter: &[u8] = b"[Definition]\nfailregex = ^ Ban <HOST>$\n";
        let (_home, loaded) = load(&[
            ("jail.local", local.as_bytes()),
            ("filter.d/recidive.conf", filter),
        ]);
        config::resolved(&loaded)["jails"]["recidive"].clone()
    };
    let others = jail("/srv/logs/other-host.log");
    assert_eq!(others["logpath"], json!(["/srv/logs/other-host.log"]));
    assert_eq!(others["failregex"].as_array().unwrap().len(), 1);
    let own = jail("/var/log/fail2ban.log");
    assert_eq!(own["logpath"], json!([]));
}

/// A stock tree in which the administrator has written these lines; what is told, without warnings of missing logs.
fn stock_with(local: &str) -> Option<(tempfile::TempDir, Loaded)> {
    let package = Package::find()?;
    let home = tempfile::tempdir().unwrap();
    package.copy_to(&home.path().join("fail2ban"), home.path());
    let tree = home.path().join("fail2ban");
    fs::write(tree.join("jail.local"), local).unwrap();
    let loaded = config::load(Some(&tree), Surroundings::Ignore);
    Some((home, loaded))
}

/// Asserts that these words are told of that line of jail.local.
fn assert_told(local: &str, line: u32, words: &[&str]) -> Option<Loaded> {
    let (_home, loaded) = stock_with(local)?;
    let here = |problem: &&config::Problem| {
        problem.file.ends_with("jail.local") && problem.line == Some(line)
    };
    let mut told = loaded.problems.iter().filter(here);
    let whole = |problem: &config::Problem| format!("{}; {}", problem.message, problem.remedy);
    assert!(
        told.any(|problem| words.iter().all(|word| whole(problem).contains(word))),
        "{local}: {:#?}",
        loaded.problems
    );
    Some(loaded)
}

/// An action without ports closes all of them: a slip of the pen must not do that.
#[test]
fn a_port_that_is_none_closes_nothing() {
    for action in ["iptables-multiport", "nftables-multiport", "iptables"] {
        let local = |port: &str| {
            format!(
                "[DEFAULT]\nbanaction = {action}\n[sshd]\nenabled = true\nport = {port}\nbackend = systemd\n"
            )
        };
        let words = ["`sshd`", "`shh`", "is not run"];
        let Some(loaded) = assert_told(&local("shh"), 5, &words) else {
            return;
        };
        let ours = loaded.problems.iter();
        assert!(
            ours.filter(|problem| problem.severity == Severity::LeftOut)
                .any(|problem| problem.message.contains("has no action left")),
            "{:#?}",
            loaded.problems
        );
        let jail = config::resolved(&loaded)["jails"]["sshd"].clone();
        assert_eq!(jail["actions"], json!([]), "{jail}");
        // What is right of a list holds.
        let words = ["`port`", "`shh`", "closes the others"];
        let Some(loaded) = assert_told(&local("2222,shh"), 5, &words) else {
            return;
        };
        let problems = loaded.problems.iter();
        let mut bad = problems.filter(|problem| problem.severity > Severity::Warning);
        assert_eq!(bad.next(), None);
        let settings = loaded.settings.as_ref().unwrap();
        let closed = settings.actions.iter().flat_map(|(_, jails)| jails);
        let closed: Vec<_> = closed.map(|jail| jail.ports.clone()).collect();
        let only = Ports::parse(&["2222"], &Services::well_known()).unwrap();
        assert_eq!(closed, [only]);
    }
}

#[test]
fn a_jail_whose_actions_are_all_left_out_says_that_its_bans_have_no_effect() {
    let local = "[sshd]\nenabled = true\nbackend = systemd\naction = badips.py[category=\"ssh\"]\n";
    let words = ["`sshd` has no action left", "no effect"];
    let Some(loaded) = assert_told(local, 4, &words) else {
        return;
    };
    let problems = loaded.problems.iter();
    let left_out = problems.filter(|problem| problem.severity == Severity::LeftOut);
    assert_eq!(left_out.count(), 2, "{:#?}", loaded.problems);
    // Who wants none has none.
    let none = format!("[good]\n{}", "action =\n");
    let (home, loaded) = load(&[("jail.local", none.as_bytes())]);
    assert_eq!(told(home.path(), &loaded), [""; 0]);
}

/// What Fail2ban stumbles over, or says nothing of, in words that lead to the line to be mended.
#[test]
fn slips_of_the_pen_are_told_with_what_to_do() {
    let on = "enabled = true\nbackend = systemd\n";
    let cases: &[(String, u32, &[&str])] = &[
        (
            format!("\u{feff}[sshd]\n{on}"),
            1,
            &["byte order mark", "1s/^\\xef\\xbb\\xbf//"],
        ),
        (
            format!("[DEFAULT]\nbantime = 5\n[sshd\n{on}"),
            3,
            &["no `]`", "behind its name"],
        ),
        (
            format!("[sshd]\n{on}logpath = /var/log/a\n/var/log/b\n"),
            5,
            &["`logpath` above", "write blanks before it"],
        ),
        (
            format!("[sshd]\n{on}failregex = ^a <HOST>\n^b=<HOST>$\n"),
            5,
            &["`^b` in [sshd] is no option", "write blanks before it"],
        ),
        (
            format!("[default]\nmaxretry = 7\n[sshd]\n{on}"),
            1,
            &["holds for no other section", "write [DEFAULT]"],
        ),
        (
            format!("[sshd]\n{on}[own]\nenable = true\n"),
            5,
            &["the jail is off", "`enabled`"],
        ),
        (
            format!("[DEFAULT]\nenabeld = true\n[sshd]\n{on}"),
            2,
            &["it starts no jail", "`enabled`"],
        ),
        (
            format!("[sshd]\n{on}[dropbaer]\nenabled = true\n"),
            4,
            &["no filter is named so", "did you mean [dropbear]?"],
        ),
        (
            format!("[DEFUALT]\nenabled = true\n[sshd]\n{on}"),
            1,
            &["no filter is named so", "did you mean [DEFAULT]?"],
        ),
        (
            format!("[sshd]\n{on}maxretry = 5 # five\n"),
            4,
            &["would not start", "3 is taken instead", "write a number"],
        ),
        (
            format!("[sshd]\n{on}port = shh\n"),
            4,
            &["there is no port `shh`:", "; write numbers"],
        ),
    ];
    for (local, line, words) in cases {
        if assert_told(local, *line, words).is_none() {
            return;
        }
    }
    let Some((_home, loaded)) = stock_with("[sshd]\nenabled = false\n") else {
        return;
    };
    let mut told = loaded.problems.iter();
    let none = told.find(|problem| problem.message.starts_with("no jail is enabled"));
    assert!(none.unwrap().remedy.contains("jail.local, such as [sshd]"));
}

#[test]
fn a_secret_that_all_can_read_is_told_once() {
    let Some(package) = Package::find() else {
        return;
    };
    let home = tempfile::tempdir().unwrap();
    let tree = home.path().join("fail2ban");
    package.copy_to(&tree, home.path());
    let jail = |name: &str| {
        let action = "action = cloudflare-token[cftoken=\"abcdefgh\", cfzone=\"x\"]";
        format!("[{name}]\nenabled = true\nbackend = systemd\n{action}\n")
    };
    let local = tree.join("jail.local");
    fs::write(&local, jail("sshd") + &jail("dropbear")).unwrap();
    for (mode, expected) in [(0o644, 1), (0o640, 0)] {
        fs::set_permissions(&local, fs::Permissions::from_mode(mode)).unwrap();
        let loaded = config::load(Some(&tree), Surroundings::Ignore);
        let told = loaded.problems.iter().filter(|problem| {
            problem.file == local && problem.remedy == format!("chmod o-r {}", local.display())
        });
        assert_eq!(told.count(), expected, "{mode:o}: {:#?}", loaded.problems);
    }
}

#[test]
fn what_stems_from_another_value_is_told_where_that_is_written() {
    let cases: &[(&str, u32, &[&str])] = &[
        (
            "[DEFAULT]\nbanaction = iptables-multiprt\n[sshd]\nenabled = true\nbackend = systemd\n",
            2,
            &["`iptables-multiprt`"],
        ),
        (
            "[sshd]\nbackend = systemd\n[foo]\nenabled = true\n",
            3,
            &["filter `foo`"],
        ),
        (
            "[sshd]\nenabled = true\nbackend = systemd\nmode = agressive\n",
            4,
            &["no mode `agressive`", "did you mean `aggressive`?"],
        ),
    ];
    for (local, line, words) in cases {
        assert_told(local, *line, words);
    }
}

/// As with Fail2ban, which bans all the same.
#[test]
fn a_file_that_is_no_text_is_left_out_and_the_good_jails_are_there() {
    let (home, loaded) = load(&[
        ("jail.local", b"# B\xfcro\n[good]\nmaxretry = 7\n"),
        ("jail.d/x.conf", b"[good]\nfindtime = 77\n"),
    ]);
    assert_eq!(told(home.path(), &loaded), ["jail.local:0", "jail.local:1"]);
    let jail = config::resolved(&loaded)["jails"]["good"].clone();
    assert_eq!(jail["findtime"], 77, "{jail}");
    assert_ne!(jail["maxretry"], 7, "{jail}");
}
