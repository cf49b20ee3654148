//! A directory of Fail2ban's and what it is converted to decide alike.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use super::covering::annotated;
use crate::known::Differences;
use crate::support::samples;
use crate::support::world::F2BD;

/// The tree of the package.
const TREE: &str = "etc/fail2ban";

/// Its annotated logs.
pub const LOGS: &str = "usr/lib/python3/dist-packages/fail2ban/tests/files/logs";

/// A server that many have.
const SMALL: &str = "[DEFAULT]
ignoreip = 127.0.0.1/8 ::1, 198.51.100.0/24
# an hour is enough
bantime  = 1h
findtime = 15m
maxretry = 4
bantime.increment  = true
bantime.factor     = 2
bantime.maxtime    = 5w
bantime.overalljails = yes
banaction = nftables-multiport
banaction_allports = nftables-allports
usedns = no
[sshd]
enabled = true
mode    = aggressive
port    = ssh,2222
backend = systemd
# they never give up
maxretry = 3
[nginx-http-auth]
enabled = true
[nginx-limit-req]
enabled  = true
filter   = nginx-limit-req[ngx_limit_req_zones=\"login|api\"]
findtime = 2m
maxretry = 10
bantime.increment = false
[recidive]
enabled  = true
bantime  = 1w
findtime = 1d
maxretry = 3
";

/// One that handles mail.
const MAIL: &str = "[DEFAULT]
bantime   = 2d12h
banaction = nftables-multiport
mail_ports = smtp,465,submission,imap,imaps,pop3,pop3s
[postfix]
enabled = yes
mode    = more
port    = %(mail_ports)s
maxretry = 1
[postfix-sasl]
enabled  = yes
filter   = postfix[mode=auth]
port     = %(mail_ports)s
maxretry = 2
failregex = %(known/failregex)s
            ^improper command pipelining after \\S+ from [^[]*\\[<HOST>\\]
[dovecot]
enabled = yes
filter  = dovecot[mode=aggressive]
port    = %(mail_ports)s
findtime = 1h+30m
maxretry = 1
";

/// One with filters of its own.
const OWN: &str = "[DEFAULT]
bantime = 4h
banaction = nftables-multiport
bantime.increment = true
bantime.multipliers = 1 2 4 8 24 168
[myapp-login]
enabled  = true
backend  = polling
filter   = myapp[path=\"/login|/wp-login\\.php\", known-proxy=\"10.0.0.1\"]
port     = http,https
maxretry = 2
[sshd]
enabled = true
backend = systemd
bantime = -1
maxretry = 1
";

const MYAPP: &str = r#"[Init]
path = /login
known-proxy =
[Definition]
failregex = ^<ADDR> - (?:-|<F-USER>[^"\s]+</F-USER>) \[\] "POST (?:<path>)[^"]*" 40[13]\b
ignoreregex = ^(?:<known-proxy>)\s
datepattern = \[({DATE}\s*)\]
"#;

const MYLOG: &str = r#"192.0.2.7 - ann [12/Feb/2026:14:10:21 +0000] "POST /login HTTP/1.1" 401 12
192.0.2.7 - bob [12/Feb/2026:14:10:22 +0000] "POST /wp-login.php HTTP/1.1" 403 12
10.0.0.1 - bob [12/Feb/2026:14:10:22 +0000] "POST /login HTTP/1.1" 401 12
10.0.0.1 - bob [12/Feb/2026:14:10:23 +0000] "POST /login HTTP/1.1" 401 12
192.0.2.8 - - [12/Feb/2026:14:10:24 +0000] "GET /login HTTP/1.1" 401 12
"#;

fn f2bd(arguments: &[&str]) -> Output {
    let mut command = Command::new(F2BD);
    command.args(["--now", "2026-03-01T00:00:00Z", "--timezone", "UTC"]);
    command.args(arguments).output().unwrap()
}

fn shown(path: &Path) -> String {
    path.display().to_string()
}

/// The tree of the package with a jail.local, whose logs are there.
fn tree(home: &Path, jail_local: &str) -> Option<PathBuf> {
    let root = samples::root(TREE)?;
    let tree = home.join("fail2ban");
    let copied = Command::new("cp")
        .arg("-r")
        .arg(root.join(TREE))
        .arg(&tree)
        .status();
    assert!(copied.unwrap().success());
    // What the package enables by itself is of another machine.
    fs::remove_dir_all(tree.join("jail.d")).unwrap();
    let log = home.join("log");
    fs::write(&log, "").unwrap();
    // What counts bans reads the log of the daemon itself.
    let has_log =
        |line: &str| line.starts_with('[') && !["[DEFAULT]", "[recidive]"].contains(&line);
    let own: String = jail_local
        .lines()
        .map(|line| match has_log(line) {
            true => format!("{line}\nlogpath = {}\n", log.display()),
            false => format!("{line}\n"),
        })
        .collect();
    fs::write(tree.join("jail.local"), own).unwrap();
    fs::write(tree.join("filter.d/myapp.local"), MYAPP).unwrap();
    Some(tree)
}

/// Converts a tree; the new directory, and the report.
fn import(tree: &Path, options: &[&str]) -> (PathBuf, Option<i32>, serde_json::Value) {
    let out = tree.with_file_name("f2bd");
    let (from, to) = (shown(tree), shown(&out));
    let arguments = [&["import", &from, "-o", &to, "--json"], options].concat();
    let output = f2bd(&arguments);
    let report = serde_json::from_slice(&output.stdout);
    let report = report.unwrap_or_else(|_| panic!("{output:?}"));
    (out, output.status.code(), report)
}

fn decisions(config: &Path, logs: &[&Path]) -> String {
    let config = shown(config);
    let logs: Vec<_> = logs.iter().map(|log| shown(log)).collect();
    let mut words = vec!["--config", &config, "replay", "--json"];
    words.extend(logs.iter().map(String::as_str));
    let output = f2bd(&words);
    // 1 is nobody.
    assert!(matches!(output.status.code(), Some(0 | 1)), "{output:?}");
    assert!(output.stderr.is_empty(), "{output:?}");
    String::from_utf8(output.stdout).unwrap()
}

/// The bans of each jail, by jail and subject, and all its decisions.
fn by_jail(decisions: &str) -> BTreeMap<String, (BTreeSet<String>, Vec<String>)> {
    let mut jails: BTreeMap<String, (BTreeSet<String>, Vec<String>)> = BTreeMap::new();
    for line in decisions.lines() {
        let decision: serde_json::Value = serde_json::from_str(line).unwrap();
        let text = |key: &str| decision[key].as_str().unwrap_or_default().to_owned();
        let jail = jails.entry(text("jail")).or_default();
        if text("decision") == "ban" {
            jail.0.insert(text("subject"));
        }
        jail.1.push(line.to_owned());
    }
    jails
}

/// Whether a report tells that its filter leaves lines, and the logs have such lines with this subject.
fn is_left(subject: &str, report: &serde_json::Value, logs: &[&Path]) -> bool {
    let (address, _) = subject.split_once('/').unwrap();
    let own = Differences::parse(include_str!("differences.toml"));
    let differences = Differences::read().and(own);
    let told = report.to_string();
    logs.iter().any(|log| {
        let bytes = fs::read(log).unwrap();
        let text = String::from_utf8_lossy(&bytes);
        let mut lines = text.lines().filter(|line| line.contains(address));
        lines.any(|line| differences.whys(line).any(|why| told.contains(why)))
    })
}

/// Holds what both decide against each other: jails that were carried over exactly decide the same, and one with a filter of
/// ours, of which the report tells, bans at least the same.
fn compare(report: &serde_json::Value, by_tree: &str, by_ours: &str, logs: &[&Path]) {
    let (theirs, ours) = (by_jail(by_tree), by_jail(by_ours));
    let jails = report["jails"].as_array().unwrap();
    let has_ours = |jail: &serde_json::Value| {
        let differences = jail["differences"].as_array().unwrap();
        differences
            .iter()
            .any(|difference| difference.as_str().unwrap().contains("takes the place of"))
    };
    let any_has_ours = jails.iter().any(has_ours);
    for jail in jails {
        let name = jail["jail"].as_str().unwrap();
        let nothing = Default::default();
        let (own_bans, own) = ours.get(name).unwrap_or(&nothing);
        let (their_bans, their) = theirs.get(name).unwrap_or(&nothing);
        // It counts the bans of the others.
        if has_ours(jail) || name == "recidive" && any_has_ours {
            let told = match name {
                "recidive" => &report["jails"],
                _ => jail,
            };
            let lost = their_bans.difference(own_bans);
            let lost: Vec<_> = lost
                .filter(|subject| !is_left(subject, told, logs))
                .collect();
            assert!(lost.is_empty(), "{name} does not ban {lost:?}");
        } else {
            // What is of one moment has no order among several logs.
            let sorted = |all: &[String]| all.iter().cloned().collect::<BTreeSet<_>>();
            let (own, their) = (sorted(own), sorted(their));
            let lost: Vec<_> = their.difference(&own).collect();
            let more: Vec<_> = own.difference(&their).collect();
            assert!(
                own == their,
                "{name}: without {lost:#?}, but with {more:#?}"
            );
        }
    }
}

/// Converts the tree with this jail.local, and replays logs of the package by both; how many decisions there were.
fn decide_alike(jail_local: &str, logs: &[&str]) -> Option<usize> {
    let home = tempfile::tempdir().unwrap();
    let tree = tree(home.path(), jail_local)?;
    let (out, code, report) = import(&tree, &[]);
    assert_eq!(code, Some(0), "{report}");
    let own = home.path().join("own.log");
    fs::write(&own, MYLOG).unwrap();
    let root = samples::root(LOGS)?;
    let logs = logs.iter().map(|log| root.join(LOGS).join(log));
    let mut made = 0;
    for log in logs.chain([own]) {
        let by_tree = decisions(&tree, &[&log]);
        compare(&report, &by_tree, &decisions(&out, &[&log]), &[&log]);
        made += by_tree.lines().count();
    }
    let check = f2bd(&["--config", &shown(&out), "check"]);
    assert_eq!(check.status.code(), Some(0), "{check:?}");
    Some(made)
}

#[test]
fn usual_servers_are_carried_over() {
    for (jail_local, logs) in [
        (SMALL, &["sshd", "nginx-http-auth", "nginx-limit-req"][..]),
        (MAIL, &["postfix", "dovecot"][..]),
        (OWN, &["sshd"][..]),
    ] {
        let Some(made) = decide_alike(jail_local, logs) else {
            return;
        };
        assert!(made > 0, "nobody was banned by {jail_local}");
    }
}

#[test]
fn what_is_otherwise_whatever_is_said_is_told() {
    let home = tempfile::tempdir().unwrap();
    let jails =
        "[recidive]\nenabled = true\n[sshd]\nenabled = true\nignorecommand = /bin/false <ip>\n";
    let Some(tree) = tree(home.path(), jails) else {
        return;
    };
    let (_, _, report) = import(&tree, &[]);
    let told = |jail: &str| {
        let jails = report["jails"].as_array().unwrap().iter();
        let jail = jails.filter(|row| row["jail"] == jail);
        let rows = jail.map(|row| row["differences"].to_string());
        rows.collect::<String>()
    };
    assert!(told("recidive").contains("none by hand"), "{report}");
    assert!(
        told("sshd").contains("`ignorecommand` has 10 seconds"),
        "{report}"
    );
}

#[test]
fn what_the_unit_needs_is_told() {
    let home = tempfile::tempdir().unwrap();
    let Some(tree) = tree(home.path(), SMALL) else {
        return;
    };
    let (out, _, report) = import(&tree, &[]);
    let main = fs::read_to_string(out.join("f2bd.conf")).unwrap();
    let needs = report["needs"].as_array().unwrap();
    assert_eq!(needs.len(), 3, "{report}");
    let remedies = [
        ("fail2ban_socket", "`RuntimeDirectory=fail2ban`"),
        ("fail2ban_log", "`ReadWritePaths=/var/log`"),
        ("pid_file", "`RuntimeDirectory=fail2ban`"),
    ];
    for (need, (key, remedy)) in needs.iter().zip(remedies) {
        let need = need.as_str().unwrap();
        assert!(need.contains(remedy), "{report}");
        assert!(main.contains(&format!("\n# {need}.\n{key} = ")), "{main}");
    }
    // A path of two lines is one comment, and no setting.
    fs::write(
        tree.join("fail2ban.local"),
        "[Definition]\nsocket = /run/x\n  injected = 1/y\n",
    )
    .unwrap();
    let (out, _, _) = import(&tree, &["--force"]);
    let main = fs::read_to_string(out.join("f2bd.conf")).unwrap();
    assert!(
        !main.contains("\ninjected") && !main.contains("\n  injected"),
        "{main}"
    );
}

#[test]
fn nothing_is_overwritten_and_comments_are_kept() {
    let home = tempfile::tempdir().unwrap();
    let Some(tree) = tree(home.path(), SMALL) else {
        return;
    };
    let (out, _, report) = import(&tree, &[]);
    let main = fs::read_to_string(out.join("f2bd.conf")).unwrap();
    assert!(
        main.contains("# they never give up\nmaxretry = 3\n"),
        "{main}"
    );
    assert_eq!(main.matches("# an hour is enough\n").count(), 1, "{main}");
    let sshd = &report["jails"][0];
    assert_eq!(
        (&sshd["jail"], &sshd["carried"]),
        (&"sshd".into(), &"exactly".into()),
        "{report}"
    );
    // Where none of ours takes a filter's place, it is told why.
    let why = |jail: usize| report["jails"][jail]["converted"].as_str().unwrap_or("");
    assert_eq!(
        why(0),
        "f2bd's own `sshd` is not known to count all that it counts"
    );
    assert_eq!(why(1), "", "{report}");
    assert!(main.contains("filter = \"nginx-http-auth\"\n"), "{main}");
    assert!(main.contains("filter = \"fail2ban-sshd\"\n"), "{main}");
    // What is the same in all jails stands above them, in words that people use.
    let (defaults, jails) = main.split_once("[jail.sshd]").unwrap();
    assert!(defaults.contains("findtime = \"15m\"\n"), "{main}");
    assert!(!jails.contains("findtime = \"15m\""), "{main}");
    fs::write(out.join("f2bd.conf"), "mine").unwrap();
    let told = f2bd(&["import", &shown(&tree)]);
    let words = String::from_utf8(told.stdout).unwrap();
    assert_eq!(told.status.code(), Some(0), "{words}");
    assert!(words.contains("Nothing is written"), "{words}");
    let again = f2bd(&["import", &shown(&tree), "-o", &shown(&out)]);
    assert_eq!(again.status.code(), Some(1));
    let said = String::from_utf8(again.stderr).unwrap();
    assert!(said.contains("is there already"), "{said}");
    assert_eq!(fs::read_to_string(out.join("f2bd.conf")).unwrap(), "mine");
    let (_, code, _) = import(&tree, &["--force"]);
    assert_eq!(code, Some(0));
    assert_eq!(fs::read_to_string(out.join("f2bd.conf")).unwrap(), main);
}

#[test]
fn every_stock_jail_is_carried_over() {
    let home = tempfile::tempdir().unwrap();
    let Some(tree) = tree(home.path(), "[DEFAULT]\nenabled = true\nmaxretry = 1\n") else {
        return;
    };
    let (out, code, report) = import(&tree, &[]);
    assert_eq!(code, Some(0), "{report}");
    let jails = report["jails"].as_array().unwrap();
    assert!(jails.len() > 80, "{}", jails.len());
    let folder = samples::root(LOGS).unwrap().join(LOGS);
    let dated = home.path().join("logs");
    fs::create_dir(&dated).unwrap();
    let mut logs = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_file() {
            let text = fs::read(&path).unwrap();
            let lines = annotated(&String::from_utf8_lossy(&text));
            let log = dated.join(path.file_name().unwrap());
            fs::write(&log, lines.join("\n") + "\n").unwrap();
            logs.push(log);
        }
    }
    logs.sort();
    let logs: Vec<&Path> = logs.iter().map(PathBuf::as_path).collect();
    let by_tree = decisions(&tree, &logs);
    assert!(by_tree.lines().count() > 500, "{}", by_tree.lines().count());
    compare(&report, &by_tree, &decisions(&out, &logs), &logs);
}

/// One that runs commands of its own, with secrets in them.
const COMMANDS: &str = "[DEFAULT]
bantime = 4h
[sshd]
enabled  = true
backend  = systemd
action   = %(action_)s
           tell[token=\"it's-a-S3cret\", level=3]
";

const TELL: &str = "[Definition]
actionstart = echo 'on <level>' >> HOME/told
actionban = X='<token>'; echo \"<ip> $X\" >> HOME/told
            echo <name> >> HOME/told
actionunban = echo unban <ip> >> HOME/told
[Init]
level = 1
token =
";

#[test]
fn commands_are_files_and_their_secrets_are_kept_apart() {
    let home = tempfile::tempdir().unwrap();
    let Some(tree) = tree(home.path(), COMMANDS) else {
        return;
    };
    let tell = TELL.replace("HOME", &shown(home.path()));
    fs::write(tree.join("action.d/tell.conf"), tell).unwrap();
    let (out, code, report) = import(&tree, &[]);
    assert_eq!(code, Some(0), "{report}");
    let check = f2bd(&["--config", &shown(&out), "check"]);
    assert_eq!(check.status.code(), Some(0), "{check:?}");
    let kept = out.join("secrets/sshd-tell.secret_token");
    assert_eq!(fs::read_to_string(&kept).unwrap(), "it's-a-S3cret\n");
    let rights = fs::metadata(&kept).unwrap().permissions().mode();
    assert_eq!(rights & 0o777, 0o600);
    let main = fs::read_to_string(out.join("f2bd.conf")).unwrap();
    let said = format!("secret_token = \"file:{}\"", kept.display());
    assert!(main.contains(&said), "{main}");
    let action = fs::read_to_string(out.join("actions/sshd-tell.toml")).unwrap();
    for text in [&main, &action, &report.to_string()] {
        assert!(!text.contains("S3cret"), "{text}");
    }
    assert!(action.contains("X='<secret_token>'"), "{action}");
}
