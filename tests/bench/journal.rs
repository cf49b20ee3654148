//! How fast is a journal looked through, against loops that ask its library for the same and do nothing with it?

use std::ffi::CString;
use std::hint::black_box;
use std::os::unix::net::UnixDatagram;
use std::path::Path;
use std::process::{Command, Stdio};

use f2bd::config;
use systemd::journal::{Journal, OpenDirectoryOptions};

use super::logs::{Machine, Writer};
use super::matching::ROUNDS;
use super::meter::{Cost, cost};
use super::print;
use super::support::wait::until;
use super::support::world::{F2BD, World};

/// The word that makes this program one that logs much, as an sshd.
pub const SENDER: &str = "send-to-journal";

/// The word that makes this program the loop.
pub const READER: &str = "read-journal";

/// How many entries the journal has: enough that what it costs to begin says nothing.
const ENTRIES: usize = 500_000;

/// The last of them.
const LAST: &str = "sshd[1]: the last entry";

/// What the loop asks the library for.
const ASKS: [(&str, &str); 2] = [
    ("asked", "bare loop, of what the filter asks for"),
    ("all", "bare loop, of all entries"),
];

/// How much of the faster loop's rate `f2bd match` has, over a journal in which the filter asks for all entries: with
/// nothing to pass over there is nothing to win. One loop lets the library find them, the other takes all there are,
/// which the library delivers faster.
pub fn rate(world: &World) -> Option<f64> {
    let program = std::env::current_exe().unwrap().display().to_string();
    let sent = Command::new(&program)
        .args([SENDER, &world.journald.dev_log().display().to_string()])
        .status();
    assert!(sent.unwrap().success());
    let directory = world.journald.directory().display().to_string();
    until("journald has written all", || {
        let mut last = Command::new("journalctl");
        last.args([
            "--directory",
            &directory,
            "--quiet",
            "--lines=1",
            "--output=cat",
        ]);
        let output = last.stderr(Stdio::null()).output().ok()?;
        output.stdout.starts_with(b"the last entry").then_some(())
    });
    let words = |words: &[&str]| {
        words
            .iter()
            .map(|word| (*word).to_owned())
            .collect::<Vec<_>>()
    };
    let loops = ASKS.map(|(ask, _)| words(&[&program, READER, &directory, ask]));
    let matches = words(&[F2BD, "match", "sshd", &format!("journal:{directory}")]);
    let found = Command::new(F2BD)
        .args(&matches[1..])
        .arg("--json")
        .output();
    let found = found.unwrap().stdout.split(|byte| *byte == b'\n').count() - 1;
    assert_eq!(found, messages().1, "all failures are found in the journal");
    let (mut bare, mut own) = ([Vec::new(), Vec::new()], Vec::new());
    for _ in 0..ROUNDS {
        for (command, costs) in loops.iter().zip(&mut bare) {
            costs.push(cost(command, None, world.path()));
        }
        own.push(cost(&matches, None, world.path()));
    }
    let rate = |costs: &Vec<Cost>| ENTRIES as f64 / median(costs);
    println!();
    print("journal: entries", ENTRIES);
    for ((_, name), costs) in ASKS.iter().zip(&bare) {
        print(
            &format!("    {name}, entries/CPU s"),
            format!("{:.0}", rate(costs)),
        );
    }
    let own = rate(&own);
    print("    f2bd match sshd, entries/CPU s", format!("{own:.0}"));
    let fastest = bare.iter().map(rate).fold(0.0, f64::max);
    Some(own / fastest)
}

fn median(costs: &[Cost]) -> f64 {
    let mut cpu: Vec<_> = costs.iter().map(|cost| cost.cpu).collect();
    cpu.sort();
    cpu[cpu.len() / 2].as_secs_f64()
}

/// Logs through /dev/log, as an sshd that is attacked.
pub fn be_sender(words: &[String]) {
    let [socket] = words else {
        panic!("a socket must be named");
    };
    // By this name the journal knows it; the filter asks for no other.
    std::fs::write("/proc/self/comm", "sshd").unwrap();
    let sender = UnixDatagram::unbound().unwrap();
    sender.connect(socket).unwrap();
    let (messages, _) = messages();
    for message in messages.lines().chain([LAST]) {
        let datagram = format!("<38>Nov 21 12:00:00 {message}");
        sender.send(datagram.as_bytes()).unwrap();
    }
}

/// What is logged, and how many failures are among it.
fn messages() -> (String, usize) {
    let mut machine = Machine::new();
    let (mut text, mut lines, mut failures) = (String::new(), 0, 0);
    while lines < ENTRIES {
        let before = text.len();
        match lines % 20 {
            0 => {
                failures += 1;
                machine.attacked("", &mut text);
            }
            _ => machine.calm("", &mut text),
        }
        lines += text[before..].lines().count();
    }
    (text.replace(" host ", ""), failures)
}

/// Takes from the library, of all entries or those that `f2bd match sshd` asks for, what that takes: the time and all
/// fields.
pub fn be_reader(words: &[String]) {
    let [directory, ask] = words else {
        panic!("a directory must be named, and which entries");
    };
    let mut journal = open(Path::new(directory));
    if ask == ASKS[0].0 {
        let wanted = config::filter("sshd", None, None).unwrap().records.journal;
        for alternative in wanted.unwrap().alternatives {
            for term in alternative {
                journal
                    .match_add(&term.field, term.value.as_bytes())
                    .unwrap();
            }
            journal.match_or().unwrap();
        }
    }
    journal.seek_head().unwrap();
    let (mut entries, mut bytes) = (0, 0);
    while journal.next().unwrap() > 0 {
        entries += 1;
        black_box(journal.timestamp_usec().unwrap());
        journal.restart_data();
        while let Some(field) = journal.enumerate_data().unwrap() {
            bytes += black_box(field.data()).len();
        }
    }
    assert!(entries >= ENTRIES, "{entries} entries, {bytes} bytes");
}

fn open(directory: &Path) -> Journal {
    let directory = CString::new(directory.as_os_str().as_encoded_bytes()).unwrap();
    OpenDirectoryOptions::default()
        .open_directory(directory)
        .unwrap()
}
