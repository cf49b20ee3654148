//! A directory of Fail2ban's and what it is converted to decide alike.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use crate::support::samples;
use crate::support::world::F2BD;

/// The tree of the package.
const TREE: &str = "etc/fail2ban";

/// Its annotated logs.
const LOGS: &str = "usr/lib/python3/dist-packages/fail2ban/tests/files/logs";

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
    let own: String = jail_local
        .lines()
        .map(|line| match line.starts_with('[') && line != "[DEFAULT]" {
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

fn decisions(config: &Path, log: &Path) -> String {
    let (config, log) = (shown(config), shown(log));
    let output = f2bd(&["--config", &config, "replay", "--json", &log]);
    // 1 is nobody.
    assert!(matches!(output.status.code(), Some(0 | 1)), "{output:?}");
    assert!(output.stderr.is_empty(), "{output:?}");
    String::from_utf8(output.stdout).unwrap()
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
        let by_tree = decisions(&tree, &log);
        assert_eq!(by_tree, decisions(&out, &log), "{}", log.display());
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
    fs::write(out.join("f2bd.conf"), "mine").unwrap();
    let again = f2bd(&["import", &shown(&tree), "-o", &shown(&out)]);
    assert_eq!(again.status.code(), Some(1));
    let said = String::from_utf8(again.stderr).unwrap();
    assert!(said.contains("is there already"), "{said}");
    assert_eq!(fs::read_to_string(out.join("f2bd.conf")).unwrap(), "mine");
    let (_, code, _) = import(&tree, &["--force"]);
    assert_eq!(code, Some(0));
    assert_eq!(fs::read_to_string(out.join("f2bd.conf")).unwrap(), main);
}
