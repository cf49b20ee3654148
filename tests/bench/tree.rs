//! How fast are Fail2ban's own filters followed, beside Fail2ban? The same filter of the same directory, and the same log.
//!
//! Fail2ban is a package that is unpacked for the tests and run from there, since what it installs starts a daemon.

use std::fs;

use super::logs;
use super::matching::ROUNDS;
use super::meter::{Cost, cost};
use super::print;
use super::support::samples;
use super::support::world::{F2BD, World};

/// How long the log is.
const LINES: u64 = 1_000_000;

/// As much of it as Fail2ban sees: what a line costs it does not fall with their number.
const PART: u64 = 60_000;

/// How many of a hundred lines are failures.
const SHARE: u64 = 5;

/// Stock filters with their options.
const FILTERS: [&str; 2] = ["sshd", "sshd[mode=aggressive]"];

/// f2bd must be so many times as fast.
const WANTED: f64 = 50.0;

/// Both take turns, round by round; of the rounds the median counts.
pub fn tree(world: &World) {
    let Some(root) = samples::root("etc/fail2ban/jail.conf") else {
        return;
    };
    let home = world.path();
    let log = logs::auth(&home.join("all.log"), LINES, SHARE);
    let part = logs::head(&log, PART, &home.join("part.log"));
    let path = |name: &str| root.join(name).display().to_string();
    let packages = path("usr/lib/python3/dist-packages");
    for filter in FILTERS {
        let configuration = path("etc/fail2ban");
        let (whole, beginning) = (log.path.display(), part.path.display());
        let own = format!("{F2BD} match --config {configuration} {filter} {whole}");
        let theirs = format!(
            "env PYTHONPATH={packages} python3 -B {} -c {configuration} {beginning} {filter}",
            path("usr/bin/fail2ban-regex")
        );
        let words = |command: &str| command.split(' ').map(str::to_owned).collect::<Vec<_>>();
        let (own, theirs) = (words(&own), words(&theirs));
        let turns: Vec<_> = (0..ROUNDS)
            .map(|_| (cost(&own, None, home), cost(&theirs, None, home)))
            .collect();
        let own = rate(LINES, turns.iter().map(|(own, _)| own));
        let theirs = rate(PART, turns.iter().map(|(_, theirs)| theirs));
        println!();
        print(
            &format!("{filter} of Fail2ban: lines in a CPU second"),
            own as u64,
        );
        print("    by fail2ban-regex itself", theirs as u64);
        println!(
            "    {:<60} {:>12.1}",
            format!("times as fast (at least {WANTED} wanted)"),
            own / theirs
        );
    }
    for log in [log, part] {
        fs::remove_file(log.path).unwrap();
    }
}

/// How many of so many lines one gets through in a second of CPU time.
fn rate<'a>(lines: u64, costs: impl Iterator<Item = &'a Cost>) -> f64 {
    let mut spans: Vec<_> = costs.map(|cost| cost.cpu).collect();
    spans.sort();
    lines as f64 / spans[spans.len() / 2].as_secs_f64()
}
