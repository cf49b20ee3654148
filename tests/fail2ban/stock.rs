//! Facts about filters that are as Fail2ban ships them: they are known, and what nobody here has written is told once, to
//! those who ask.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::fs;
use std::os::unix::fs::symlink;
use std::process::{Command, Stdio};

use f2bd::config::Problems;
use f2bd::config::fail2ban::import::covered::digest;
use f2bd::config::fail2ban::jail::State;
use f2bd::config::fail2ban::{Tree, VERSION};

use super::package::Package;
use crate::support::world::F2BD;

/// What is known.
const KNOWN: &str = include_str!("../../src/config/fail2ban/stock.sha256");

/// A jail for each filter in each of its modes, for logs and for a journal.
fn jails(package: &Package) -> String {
    let mut jails = String::new();
    let entries = fs::read_dir(package.path("etc/fail2ban/filter.d")).unwrap();
    let paths = entries.map(|entry| entry.unwrap().path());
    for path in paths.filter(|path| path.extension().is_some_and(|ending| ending == "conf")) {
        let name = path.file_stem().unwrap().to_str().unwrap();
        let text = fs::read_to_string(&path).unwrap();
        let keys = text.lines().filter_map(|line| line.split_once('='));
        let modes = keys.filter_map(|(key, _)| key.trim_end().strip_prefix("mdre-"));
        let modes: BTreeSet<_> = modes.collect();
        let brackets = modes.iter().map(|mode| format!("[mode={mode}]"));
        for (number, brackets) in [String::new()].into_iter().chain(brackets).enumerate() {
            for backend in ["polling", "systemd"] {
                writeln!(
                    jails,
                    "[x-{name}-{number}-{backend}]\nenabled = true\nbackend = {backend}\nfilter = {name}{brackets}\naction =\n"
                )
                .unwrap();
            }
        }
    }
    jails
}

#[test]
fn filters_that_are_as_they_were_shipped_are_known() {
    let Some(package) = Package::find() else {
        return;
    };
    let home = tempfile::tempdir().unwrap();
    symlink(
        package.path("etc/fail2ban/filter.d"),
        home.path().join("filter.d"),
    )
    .unwrap();
    fs::write(home.path().join("jail.conf"), jails(&package)).unwrap();
    let tree = Tree::read(home.path(), VERSION, &mut Problems::default()).unwrap();
    let mut missing = BTreeSet::new();
    let mut count = 0;
    for jail in &tree.jails {
        let State::On(started) = &jail.state else {
            continue;
        };
        let options = started.filter_options();
        let patterns = options.text("failregex").unwrap_or_default();
        if patterns.trim().is_empty() {
            continue;
        }
        count += 1;
        let name = &started.filter.as_ref().unwrap().name;
        let line = format!("{}  {name}", digest(&options));
        if !KNOWN.lines().any(|known| known == line) {
            missing.insert(line);
        }
    }
    assert!(count > 150, "{count} filters");
    let missing: Vec<_> = missing.into_iter().collect();
    assert!(
        missing.is_empty(),
        "add to src/config/fail2ban/stock.sha256:\n{}",
        missing.join("\n")
    );
}

/// What a program prints of a stock tree in which the administrator has written these lines.
fn told(package: &Package, local: &str, program: &str, words: &[&str]) -> String {
    let home = tempfile::tempdir().unwrap();
    let tree = home.path().join("fail2ban");
    package.copy_to(&tree, home.path());
    fs::write(tree.join("jail.local"), local).unwrap();
    let called = home.path().join(program);
    symlink(F2BD, &called).unwrap();
    let output = Command::new(&called)
        .args(words)
        .arg(&tree)
        .arg(if program == "f2bd" { "check" } else { "-t" })
        .stdin(Stdio::null())
        .output()
        .unwrap();
    String::from_utf8(output.stdout).unwrap() + &String::from_utf8(output.stderr).unwrap()
}

#[test]
fn what_can_be_forged_in_stock_filters_is_told_once_and_to_those_who_ask() {
    let Some(package) = Package::find() else {
        return;
    };
    let on = "[sshd]\nenabled = true\nbackend = systemd\n[dropbear]\nenabled = true\nbackend = systemd\n";
    let checked = told(&package, on, "f2bd", &["--config"]);
    assert_eq!(
        checked.matches("Fail2ban's own might ban").count(),
        1,
        "{checked}"
    );
    assert!(!checked.contains("might take an address"), "{checked}");
    let tested = told(&package, on, "fail2ban-client", &["-c"]);
    assert!(!tested.contains("might"), "{tested}");
    // What somebody has added is his own.
    let own = format!("{on}failregex = ^.*refused .*<HOST>.*\n");
    for (program, option) in [("f2bd", "--config"), ("fail2ban-client", "-c")] {
        let told = told(&package, &own, program, &[option]);
        assert!(told.contains("might take an address"), "{program}: {told}");
    }
}
