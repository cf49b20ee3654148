//! What does a run of a whole program cost? Its CPU time and its peak memory, as the kernel has counted them.

use std::fs::File;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use nix::sys::resource::{UsageWho, getrusage};

/// The word that makes this program a meter.
pub const METER: &str = "meter";

/// What a run has cost.
#[derive(Clone, Copy, Debug)]
pub struct Cost {
    /// CPU time, of all its threads and in the kernel too.
    pub cpu: Duration,
    /// The most memory that was resident, mapped files among it.
    pub peak: u64,
}

/// Runs a program once, from `input` to nowhere.
pub fn cost(command: &[String], input: Option<&Path>, home: &Path) -> Cost {
    let report = home.join("cost");
    let status = metered(command, input, &report)
        .stdout(Stdio::null())
        .status();
    assert!(status.unwrap().success(), "{command:?} cannot be run");
    let told = std::fs::read_to_string(&report).unwrap();
    let mut numbers = told.split_whitespace().map(|word| word.parse().unwrap());
    let mut next = || numbers.next().unwrap();
    Cost {
        cpu: Duration::from_micros(next()),
        peak: next() * 1024,
    }
}

/// The kernel counts the children of a process together and keeps of their memory only the peak of all; so each run
/// has a parent of its own, which has no other child.
fn metered(command: &[String], input: Option<&Path>, report: &Path) -> Command {
    let mut meter = Command::new(std::env::current_exe().unwrap());
    meter.arg(METER).arg(report).args(command);
    meter.stdin(match input {
        Some(path) => File::open(path).unwrap().into(),
        None => Stdio::null(),
    });
    meter.stderr(Stdio::null());
    meter
}

/// Runs the program that is named behind the file for the report; what this program does when its first word is
/// [`METER`].
pub fn be_meter(words: &[String]) {
    let [report, program, arguments @ ..] = words else {
        panic!("a report and a program must be named");
    };
    // That nothing was found is no failure of the run; what a program found is looked at elsewhere.
    Command::new(program).args(arguments).status().unwrap();
    let usage = getrusage(UsageWho::RUSAGE_CHILDREN).unwrap();
    let micros = |time: nix::sys::time::TimeVal| time.tv_sec() * 1_000_000 + time.tv_usec();
    let cpu = micros(usage.user_time()) + micros(usage.system_time());
    std::fs::write(report, format!("{cpu} {}", usage.max_rss())).unwrap();
}
