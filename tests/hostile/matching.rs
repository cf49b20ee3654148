//! Text that is made to take time or memory.
//!
//! Time is measured as a ratio within one run, since a text of one length is looked at as often as it takes to look at
//! as many bytes of short ones. Memory is the peak of the whole program, against that of a run over next to nothing.

use std::fs;
use std::io::{BufWriter, Write};
use std::net::Ipv4Addr;
use std::process::{Command, Stdio};

use f2bd::engine::filter::{
    FilterSet, FilterSpec, LineMemory, Outcome, PatternSpec, RecordsSpec, View,
};
use f2bd::engine::jail::MOST_SUBJECTS;
use f2bd::engine::record::{LONGEST_MESSAGE, Record};
use f2bd::engine::time::Timestamp;
use rustix::time::{ClockId, clock_gettime};
use serde_json::Value;

use crate::filters::{self, ALL};
use crate::support::world::F2BD;

/// So many short texts have as many bytes as a long one.
const PARTS: usize = 32;

/// How much longer a byte of a long text may take than one of a short text. Squares would take it to [`PARTS`].
const MOST_TIMES: f64 = 8.0;

/// Patterns that take an engine that tries all readings of a text beyond all bounds.
const EXPLOSIVE: [&str; 7] = [
    "^(?:x+x+)+ <ip>$",
    "^(?:x|xx|[a-z])* <ip>$",
    "^<text> for <text> from <text> by <text> in <text> of <ip>$",
    "^for /* from <ip>(?: <text>x<text>)*$",
    "^(?:[^ ]* ?){40}from <ip>$",
    "^<user> from <ip> port <port>$",
    "<word> from <word> <ip>$",
];

/// What hostile texts repeat.
const REPEATED: [&str; 12] = [
    "x",
    " ",
    "Failed password for ",
    " from 192.0.2.7",
    " from 192.0.2.7 port 22 ssh2",
    "for x from ",
    "from 2001:db8::7 ",
    "::",
    "1.2.3.4.",
    "message repeated 1 times: [ ",
    "Connection closed by invalid user ",
    "\u{e9}",
];

/// All that is shipped, in the strictest mode, and what explodes elsewhere.
fn all_filters() -> FilterSet {
    let mut specs: Vec<FilterSpec> = filters::names()
        .iter()
        .map(|name| filters::filter(name, ALL).0)
        .collect();
    let failures = EXPLOSIVE.iter().zip(1..).map(|(text, number)| PatternSpec {
        number,
        text: (*text).to_owned(),
        fields: Vec::new(),
        unless_counted: false,
    });
    specs.push(FilterSpec {
        name: "explosive".parse().unwrap(),
        mode: "normal".into(),
        title: String::new(),
        records: RecordsSpec::default(),
        session_by_pid: false,
        failures: failures.collect(),
        ignores: Vec::new(),
        others: Vec::new(),
        lines: None,
        outcome: Outcome::Failure,
        successes: Vec::new(),
    });
    FilterSet::compile(specs).unwrap()
}

/// The beginnings and ends of all failures, one behind the other: each pattern nearly takes it.
fn nearly_everything() -> String {
    let texts = filters::names().into_iter().flat_map(|name| {
        let samples = filters::filter(&name, ALL).1;
        samples.into_iter().flat_map(|sample| sample.lines)
    });
    let message = |line: String| line.split_once("]: ").map(|(_, text)| text.to_owned());
    texts.filter_map(message).collect()
}

/// The processor time that looking at `text` so many times takes: the least of some tries, for others run beside.
fn cost(filters: &FilterSet, text: &str, times: usize) -> f64 {
    let record = Record {
        program: "sshd",
        ..Record::bare(Timestamp::default(), text.as_bytes())
    };
    let seconds = || {
        let now = clock_gettime(ClockId::ThreadCPUTime);
        now.tv_sec as f64 + now.tv_nsec as f64 / 1e9
    };
    let tries = (0..4).map(|_| {
        let begun = seconds();
        for _ in 0..times {
            filters.findings(&View::from(record), &mut LineMemory::default());
        }
        seconds() - begun
    });
    tries.fold(f64::INFINITY, f64::min)
}

#[test]
fn no_text_takes_more_than_linear_time() {
    let filters = all_filters();
    let long = LONGEST_MESSAGE - 1;
    let texts = REPEATED.into_iter().map(str::to_owned);
    for text in texts.chain([nearly_everything()]) {
        for head in ["", "Failed password for ", "for "] {
            let text = format!("{head}{}", text.repeat(long / text.len() + 1));
            let cut = |length| &text[..text.floor_char_boundary(length)];
            let shorts = cost(&filters, cut(long / PARTS), PARTS);
            let times = cost(&filters, cut(long), 1) / shorts;
            let shown = cut(60);
            assert!(
                times < MOST_TIMES,
                "a byte of `{shown}…` takes {times:.1} times as long if there are many"
            );
        }
    }
}

/// A line, and a line by line account of what is counted.
fn matched(arguments: &[&str], log: &[u8]) -> Vec<Value> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("log");
    fs::write(&path, log).unwrap();
    let mut command = Command::new(F2BD);
    command.args(["match", "--json"]).args(arguments).arg(path);
    let output = command.output().unwrap();
    let lines = String::from_utf8(output.stdout).unwrap();
    lines
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect()
}

#[test]
fn a_line_of_a_megabyte_costs_nobody_else() {
    const HEAD: &str = "Feb 12 14:10:21 box sshd[42]: Failed password for ";
    let tail = " from 192.0.2.7 port 22 ssh2";
    let padding = "x".repeat(1 << 20);
    let log = [
        format!("{HEAD}root{tail}\n"),
        format!("{HEAD}{padding}{tail}\n"),
        format!("{HEAD}root{tail}{padding}\n"),
        format!(
            "{padding}\n{HEAD}{}{tail}\n",
            " from 203.0.113.9".repeat(1 << 16)
        ),
        format!("{HEAD}root{tail}"),
    ];
    let counted = matched(&["sshd"], log.concat().as_bytes());
    let numbers: Vec<_> = counted.iter().map(|line| line["line"].as_u64()).collect();
    assert_eq!(numbers, [Some(1), Some(6)]);
}

/// What a run of f2bd took.
struct Run {
    /// Kilobytes.
    peak: u64,
    output: String,
}

/// Runs f2bd over a log that comes as `lines` over standard input.
fn run(arguments: &[&str], lines: impl Iterator<Item = String>) -> Run {
    let mut child = Command::new(F2BD)
        .args(arguments)
        .arg("-")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::inherit())
        .spawn()
        .unwrap();
    let status = format!("/proc/{}/status", child.id());
    let stdout = child.stdout.take().unwrap();
    let output = std::thread::spawn(move || std::io::read_to_string(stdout).unwrap());
    let mut log = BufWriter::new(child.stdin.take().unwrap());
    for line in lines {
        writeln!(log, "{line}").unwrap();
    }
    drop(log);
    // Its memory is gone with it, so it is asked until then.
    let mut peak = 0;
    while child.try_wait().unwrap().is_none() {
        let status = fs::read_to_string(&status).unwrap_or_default();
        let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
        let kilobytes = line.and_then(|line| line.split_whitespace().next()?.parse().ok());
        peak = peak.max(kilobytes.unwrap_or(0));
        std::thread::sleep(std::time::Duration::from_millis(1));
    }
    assert!(peak > 0, "it ended before it was asked");
    Run {
        peak,
        output: output.join().unwrap(),
    }
}

/// How many accounts, sessions or addresses there are: more than are remembered, and a million where `F2BD_MANY` says so.
fn many(usual: usize) -> usize {
    let told = std::env::var("F2BD_MANY").ok();
    told.map_or(usual, |many| many.parse().unwrap())
}

/// Fails if a run over much takes more than so many kilobytes on top of what one over next to nothing takes.
fn must_fit(little: &Run, much: &Run, room: u64) {
    let more = much.peak.saturating_sub(little.peak);
    assert!(
        more <= room,
        "{} KB and {more} KB more, not {room}",
        little.peak
    );
}

/// In kilobytes: 16,384 sessions, and what the runs take up and down by themselves.
const SESSIONS_ROOM: u64 = 6 * 1024;

/// Each with an account of its own, and each leaves its session open.
#[test]
fn sessions_without_end_take_bounded_memory() {
    let closing = |session: usize| {
        format!(
            "Feb 12 14:10:21 box sshd[{session}]: Connection closed by authenticating user root 192.0.2.7 port 9 [preauth]"
        )
    };
    let open = |count: usize| {
        let attempts = (1..=count).map(|session| {
            format!("Feb 12 14:10:21 box sshd[{session}]: Failed password for user{session} from 192.0.2.7 port 22 ssh2")
        });
        let arguments = ["match", "--json", "--mode", ALL, "sshd"];
        run(&arguments, attempts.chain([closing(count), closing(1)]))
    };
    let (few, count) = (100, many(40_000));
    let (little, much) = (open(few), open(count));
    // Who has counted already counts no more at the end, unless so many came since that he is forgotten.
    assert_eq!(little.output.lines().count(), few);
    assert_eq!(much.output.lines().count(), count + 1);
    must_fit(&little, &much, SESSIONS_ROOM);
}

/// In kilobytes: as many windows as there may be in one jail, in a table that was half as large before.
const WINDOWS_ROOM: u64 = MOST_SUBJECTS as u64 * 320 / 1024;

#[test]
fn addresses_without_end_take_bounded_memory() {
    let folder = tempfile::tempdir().unwrap();
    let config = folder.path().join("f2bd.conf");
    fs::write(&config, "[jail.sshd]\nmaxretry = 2\nfindtime = \"10m\"\n").unwrap();
    let come = |count: usize| {
        let line = |number: usize| {
            let second = 20 + usize::from(number > 0);
            let address = Ipv4Addr::from(0x0a00_0000 + u32::try_from(number).unwrap());
            format!(
                "Feb 12 14:10:{second} box sshd[1]: Failed password for root from {address} port 22 ssh2"
            )
        };
        let attempts = (0..count).chain([count - 1, 0]).map(line);
        run(
            &["replay", "--json", "--config", config.to_str().unwrap()],
            attempts,
        )
    };
    let (little, much) = (come(100), come(many(MOST_SUBJECTS * 9 / 8)));
    // The last one and the first one came twice; the first one is forgotten where there are too many.
    assert_eq!(little.output.lines().count(), 2);
    assert_eq!(much.output.lines().count(), 1);
    must_fit(&little, &much, WINDOWS_ROOM);
}
