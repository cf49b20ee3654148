//! Facts about programs that ask Fail2ban how it is doing, as their packages bring them: they see no difference.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use regex::Regex;

use crate::fail2ban::pair::Pair;
use crate::support::skipped;

/// Where the monitors were unpacked.
fn monitors() -> Option<PathBuf> {
    let target = std::env::var_os("CARGO_TARGET_DIR").map(PathBuf::from);
    let target = target.unwrap_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("target"));
    let found = Some(target.join("monitors")).filter(|root| root.join("complete").exists());
    found.or_else(|| skipped("there are no monitors; contrib/test.sh fetches them"))
}

fn out(output: &Output) -> String {
    assert!(output.status.success(), "{output:?}");
    String::from_utf8(output.stdout.clone()).unwrap()
}

#[test]
fn munin_draws_who_is_banned() {
    let (Some(root), Some(mut pair)) = (monitors(), Pair::start("")) else {
        return;
    };
    pair.refuse(&["192.0.2.7"; 3]);
    pair.agree(&["get", "sshd", "banip"], "192.0.2.7");
    pair.agree(&["get", "lasting", "banip"], "192.0.2.7");
    assert_eq!(pair.ours(&["set", "sshd", "banip", "192.0.2.8"]).out, "1\n");
    let munin = |word: &str| {
        let mut command = Command::new("bash");
        command
            .arg(root.join("usr/share/munin/plugins/fail2ban"))
            .arg(word)
            .env("MUNIN_LIBDIR", root.join("usr/share/munin"))
            .env("client", pair.path("fail2ban-client"))
            .env("config_dir", pair.path("f2bd.conf"));
        out(&command.output().unwrap())
    };
    assert_eq!(munin("autoconf"), "yes\n");
    assert_eq!(munin(""), "lasting.value 1\nsshd.value 2\n");
    let config = munin("config");
    assert!(config.contains("lasting.label lasting\n"), "{config}");
}

#[test]
fn nagios_counts_who_is_banned() {
    let Some(mut pair) = Pair::start("") else {
        return;
    };
    pair.refuse(&["192.0.2.7"; 3]);
    pair.agree(&["get", "sshd", "banip"], "192.0.2.7");
    pair.agree(&["get", "lasting", "banip"], "192.0.2.7");
    // It knows no option for the configuration.
    let client = pair.path("client");
    let (own, conf) = (pair.path("fail2ban-client"), pair.path("f2bd.conf"));
    let script = format!(
        "#!/bin/sh\nexec {} -c {} \"$@\"\n",
        own.display(),
        conf.display()
    );
    fs::write(&client, script).unwrap();
    fs::set_permissions(&client, PermissionsExt::from_mode(0o755)).unwrap();
    let plugin = "usr/share/doc/fail2ban/examples/nagios/check_fail2ban";
    let check = |most: &str| {
        let mut command = Command::new("perl");
        command
            .arg(pair.package().path(plugin))
            .arg("-P")
            .arg(&client);
        command
            .args(["-p", "-w", "1", "-c", most])
            .output()
            .unwrap()
    };
    let said = check("3");
    let text = String::from_utf8_lossy(&said.stdout).into_owned();
    assert_eq!(said.status.code(), Some(1), "{said:?}");
    let expected = "WARNING - 2 detected jails with 2 current banned IP(s) | lasting.currentBannedIP=1 sshd.currentBannedIP=1";
    assert!(text.contains(expected), "{text}");
    pair.ours(&["stop"]);
    assert_eq!(check("3").status.code(), Some(2));
}

#[test]
fn an_exporter_finds_its_numbers() {
    let Some(mut pair) = Pair::start("") else {
        return;
    };
    pair.refuse(&["192.0.2.7"; 3]);
    pair.refuse(&["192.0.2.8"; 2]);
    pair.agree(&["get", "sshd", "banip"], "192.0.2.7");
    pair.agree(&["status", "sshd"], "Total failed:\t5");
    // As wrappers of exporters, telegraf and webmin read it.
    let jails = Regex::new(r"(?m)Jail list:\t(.*)$").unwrap();
    let status = pair.ours(&["status"]).out;
    let jails: Vec<_> = jails.captures(&status).unwrap()[1]
        .split(", ")
        .map(str::to_owned)
        .collect();
    assert_eq!(jails, ["lasting", "sshd"]);
    let number =
        Regex::new(r"(?m)^(?:\|  |   )[|`]- (Currently|Total) (failed|banned):\t(\d+)$").unwrap();
    let status = pair.ours(&["status", "sshd"]).out;
    let numbers: Vec<_> = number
        .captures_iter(&status)
        .map(|found| format!("{} {} {}", &found[1], &found[2], &found[3]))
        .collect();
    assert_eq!(
        numbers,
        [
            "Currently failed 1",
            "Total failed 5",
            "Currently banned 1",
            "Total banned 1"
        ]
    );
    let time = Regex::new(r"(?m)^(\S+)\s+(\d{4}\S+ \S+) \+ (-?\d+) = (\d{4}\S+ \S+)$").unwrap();
    let list = pair.ours(&["get", "sshd", "banip", "--with-time"]).out;
    let found = time.captures(&list).unwrap();
    assert_eq!((&found[1], &found[3]), ("192.0.2.7", "3600"), "{list}");
}
