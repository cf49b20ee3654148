//! A running daemon, asked and told through its socket: by people, by programs, by those who mean no good.

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{IpAddr, Ipv4Addr};
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::PathBuf;
use std::process::{Child, Command, Output, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

use f2bd::control::client::Client;
use f2bd::control::protocol::{
    BanRow, Explanation, FollowLine, HistoryRow, PAGE, PlaceRow, Reply, Request, Status, Why,
};
use f2bd::engine::Decision;
use f2bd::engine::decision::{Ban, BanId, Origin, Release};
use f2bd::engine::prefix::Prefix;
use f2bd::engine::subject::Subject;
use f2bd::engine::time::BanTime;
use f2bd::store::Store;
use proptest::prelude::*;
use regex::Regex;
use serde::de::DeserializeOwned;

use crate::support::wait::{DEADLINE, until};
use crate::support::world::{F2BD, World, copy_program};

/// Three failures are a ban; documentation networks may be attacked from, one of them is spared.
const JAIL: &str = "maxretry = 3\nfindtime = \"1h\"\nbantime = \"1h\"\nignoreself = false\nignoreip = [\"203.0.113.0/24\"]";

/// A second jail on the same records, with more patience.
const PATIENT: &str = "[jail.patient]\nfilter = \"sshd\"\njournalmatch = [\"SYSLOG_IDENTIFIER=sshd\"]\nmaxretry = 10\nbantime = \"forever\"\nignoreself = false\n";

/// Somebody who is neither root nor the daemon.
const STRANGER: &str = "65534";

/// A group that nobody is in.
const GROUP: u32 = 42_424;

fn out(output: &Output) -> &str {
    std::str::from_utf8(&output.stdout).unwrap()
}

fn err(output: &Output) -> &str {
    std::str::from_utf8(&output.stderr).unwrap()
}

/// Runs a command that succeeds, and tells what it prints with times made equal.
fn text(world: &World, arguments: &[&str]) -> String {
    let output = world.f2bd(&[&["--timezone", "UTC"], arguments].concat());
    assert_eq!(output.status.code(), Some(0), "{arguments:?}: {output:?}");
    timeless(out(&output))
}

fn timeless(text: &str) -> String {
    let moments = Regex::new(r"[0-9]{4}-[0-9]{2}-[0-9]{2} [0-9]{2}:[0-9]{2}:[0-9]{2}").unwrap();
    let spans = Regex::new(r"59m( [0-9]+s)?").unwrap();
    let text = moments.replace_all(text, "TIME");
    spans.replace_all(&text, "59m").into_owned()
}

/// A command that does not succeed: its exit code and what it says.
fn refused(world: &World, arguments: &[&str]) -> (i32, String) {
    let output = world.f2bd(arguments);
    assert_eq!(out(&output), "", "{arguments:?}");
    (output.status.code().unwrap(), err(&output).to_owned())
}

/// The rows that a command prints as JSON, in the types that programs are promised.
fn rows<T: DeserializeOwned>(world: &World, arguments: &[&str]) -> Vec<T> {
    let values = world.json(arguments).into_iter();
    values
        .map(|value| serde_json::from_value(value).unwrap())
        .collect()
}

/// Waits until as many bans are in force, all of them in the kernel.
fn banned(world: &World, count: usize) -> Vec<BanRow> {
    until(&format!("{count} bans are in effect"), || {
        let bans: Vec<BanRow> = rows(world, &["bans"]);
        (bans.len() == count && bans.iter().all(|ban| ban.in_effect)).then_some(bans)
    })
}

fn whom(text: &str) -> Subject {
    text.parse().unwrap()
}

/// A connection to the daemon without our client's manners.
fn connect(world: &World) -> UnixStream {
    let stream = UnixStream::connect(world.socket()).unwrap();
    stream.set_read_timeout(Some(DEADLINE)).unwrap();
    stream
}

fn read_line(stream: &UnixStream) -> String {
    let mut line = String::new();
    BufReader::new(stream).read_line(&mut line).unwrap();
    line
}

#[test]
fn programs_get_typed_rows() {
    let Some(world) = World::with(JAIL, PATIENT) else {
        return;
    };
    let daemon = world.start();
    world.attack("198.51.100.7", 3);
    world.attack("2001:db8:7::1", 10);
    let bans = banned(&world, 3);
    let of: Vec<_> = bans
        .iter()
        .map(|ban| {
            (
                ban.jail.as_str(),
                ban.subject.clone(),
                ban.bantime,
                ban.origin,
            )
        })
        .collect();
    let hour = BanTime::For(Duration::from_secs(3_600));
    assert_eq!(
        of,
        [
            ("sshd", whom("198.51.100.7"), hour, Origin::Failures),
            ("sshd", whom("2001:db8:7::/64"), hour, Origin::Failures),
            (
                "patient",
                whom("2001:db8:7::/64"),
                BanTime::Forever,
                Origin::Failures
            ),
        ]
    );
    assert!(bans.iter().all(|ban| ban.offence == 1));
    assert_eq!(
        bans[0].until.map(|until| until.since(bans[0].start)),
        Some(Duration::from_secs(3_600))
    );
    assert_eq!(bans[2].until, None);
    let of_jail: Vec<BanRow> = rows(&world, &["bans", "--jail", "patient"]);
    assert_eq!(of_jail, bans[2..]);

    let [status] = &rows::<Status>(&world, &["status"])[..] else {
        panic!("one status");
    };
    assert_eq!(status.version, env!("CARGO_PKG_VERSION"));
    assert!(!status.dry_run && status.database.up_to_date);
    assert_eq!(status.database.path, world.database().display().to_string());
    assert!(status.actions.iter().all(|action| action.works));
    let [sshd, patient] = &status.jails[..] else {
        panic!("{status:?}");
    };
    assert_eq!(
        (sshd.jail.as_str(), patient.jail.as_str()),
        ("sshd", "patient")
    );
    assert_eq!((sshd.banned, sshd.bans, sshd.watched), (2, 2, 0));
    assert_eq!(
        (patient.banned, patient.watched, patient.failing),
        (1, 1, 3)
    );
    assert_eq!(status.sources[0].trouble, None);
    let [status] = &rows::<Status>(&world, &["status", "patient"])[..] else {
        panic!("one status");
    };
    assert_eq!(status.jails.len(), 1);

    text(&world, &["unban", "198.51.100.7"]);
    let history: Vec<HistoryRow> = rows(&world, &["history"]);
    let of: Vec<_> = history
        .iter()
        .map(|row| (row.ban, row.subject.clone(), row.failures, row.release))
        .collect();
    assert_eq!(
        of,
        [
            (3, whom("2001:db8:7::/64"), 10, None),
            (2, whom("2001:db8:7::/64"), 3, None),
            (1, whom("198.51.100.7"), 3, Some(Release::Manual)),
        ]
    );
    let of_one: Vec<HistoryRow> = rows(&world, &["history", "198.51.100.7"]);
    assert_eq!(of_one, history[2..]);
    let newest: Vec<HistoryRow> = rows(&world, &["history", "--limit", "1"]);
    assert_eq!(newest, history[..1]);
    let of_jail: Vec<HistoryRow> = rows(&world, &["history", "--jail", "sshd"]);
    assert_eq!(of_jail, history[1..]);
    daemon.stop();
}

#[test]
fn explain_tells_programs_why() {
    let Some(world) = World::with(JAIL, PATIENT) else {
        return;
    };
    let daemon = world.start();
    world.attack("2001:db8:7::1", 3);
    banned(&world, 1);
    let [explanation] = &rows::<Explanation>(&world, &["explain", "2001:db8:7::99"])[..] else {
        panic!("one explanation");
    };
    assert_eq!(explanation.subject, whom("2001:db8:7::99"));
    let [sshd, patient] = &explanation.verdicts[..] else {
        panic!("{explanation:?}");
    };
    assert!(
        matches!(&sshd.place, PlaceRow::Banned { ban } if ban.subject == whom("2001:db8:7::/64") && ban.in_effect)
    );
    let lines: Vec<_> = sshd.failures.iter().map(|row| row.line.as_str()).collect();
    assert_eq!(
        lines,
        [40_000, 40_001, 40_002]
            .map(|port| format!("Failed password for root from 2001:db8:7::1 port {port} ssh2"))
    );
    assert!(sshd.failures.iter().all(|row| {
        row.jail.as_str() == "sshd" && row.user.as_deref() == Some("root") && row.counted
    }));
    assert_eq!(sshd.patterns.len(), 1);
    assert!(
        sshd.patterns[0]
            .text
            .contains("Failed (?:password|unknown) for")
    );
    assert!(
        matches!(&patient.place, PlaceRow::Watched { subject, failing: 3, .. } if *subject == whom("2001:db8:7::/64"))
    );
    assert_eq!(patient.failures.len(), 3);
    let [explanation] = &rows::<Explanation>(&world, &["explain", "203.0.113.77"])[..] else {
        panic!("one explanation");
    };
    assert_eq!(
        explanation.verdicts[0].place,
        PlaceRow::Ignored {
            because: "ignoreip 203.0.113.0/24".to_owned()
        }
    );
    assert_eq!(explanation.verdicts[1].place, PlaceRow::Clear);
    daemon.stop();
}

#[test]
fn explain_tells_people_why() {
    let Some(world) = World::with(JAIL, PATIENT) else {
        return;
    };
    let daemon = world.start();
    world.attack("198.51.100.7", 2);
    world.journald.log(
        "sshd",
        "Failed password for invalid user \x1b[2J\x07x from 198.51.100.7 port 40002 ssh2",
    );
    banned(&world, 1);
    let pattern = rows::<Explanation>(&world, &["explain", "198.51.100.7"])[0].verdicts[0].patterns
        [0]
    .text
    .clone();
    let lines = "  TIME  Failed password for root from 198.51.100.7 port 40000 ssh2
  TIME  Failed password for root from 198.51.100.7 port 40001 ssh2
  TIME  Failed password for invalid user \\x1b[2J\\x07x from 198.51.100.7 port 40002 ssh2
";
    assert_eq!(
        text(&world, &["explain", "198.51.100.7"]),
        format!(
            "198.51.100.7 is banned by jail sshd since TIME until TIME (59m left): 3 failures within 1h make a ban, \
             and there were these 3. It is the first ban of 198.51.100.7. The firewall has confirmed it.
  Pattern 1 of filter sshd: {pattern}
{lines}
198.51.100.7 is watched by jail patient: 3 failures so far; 10 failures within 10m make a ban, so 7 more would. \
The oldest is forgotten at TIME.
  Pattern 1 of filter sshd: {pattern}
{lines}
Bans so far, the newest first
IP            JAIL  SINCE                UNTIL                ENDED  OFFENCE  FAILURES  BY
198.51.100.7  sshd  TIME  TIME               1         3  failures
"
        )
    );
    let output = world.f2bd(&["explain", "203.0.113.77"]);
    assert_eq!(
        out(&output),
        "203.0.113.77 is never banned by jail sshd: ignoreip 203.0.113.0/24.

203.0.113.77 is not banned by jail patient: nothing counts against it; 10 failures within 10m make a ban.
"
    );
    assert_eq!(output.status.code(), Some(0));
    let output = world.f2bd(&["explain", "192.0.2.1"]);
    assert!(
        out(&output).starts_with(
            "192.0.2.1 is not banned by jail sshd: nothing counts against it; 3 failures within 1h make a ban.\n"
        ),
        "{}",
        out(&output)
    );
    assert_eq!(output.status.code(), Some(1), "nothing is known of it");

    text(
        &world,
        &["ban", "patient", "192.0.2.0/24", "--for", "forever"],
    );
    banned(&world, 2);
    assert!(text(&world, &["explain", "192.0.2.1"]).contains(
        "192.0.2.1 as part of 192.0.2.0/24 is banned by jail patient since TIME forever: somebody asked for it. \
         It is the first ban of 192.0.2.0/24. The firewall has confirmed it.\n"
    ));
    // What is true of a part is not said of the whole.
    let explanation = text(&world, &["explain", "198.51.100.0/24"]);
    assert!(
        explanation.starts_with("198.51.100.7 in 198.51.100.0/24 is banned by jail sshd since "),
        "{explanation}"
    );
    assert!(
        explanation.contains("\n198.51.100.7 in 198.51.100.0/24 is watched by jail patient: "),
        "{explanation}"
    );
    daemon.stop();
}

#[test]
fn people_get_tables() {
    let Some(world) = World::with(JAIL, PATIENT) else {
        return;
    };
    let daemon = world.start();
    assert_eq!(text(&world, &["bans"]), "Nobody is banned.\n");
    assert_eq!(
        refused(&world, &["history"]),
        (1, "f2bd: no ban is known\n".to_owned())
    );
    assert_eq!(
        refused(&world, &["history", "192.0.2.1"]),
        (1, "f2bd: no ban of 192.0.2.1 is known\n".to_owned())
    );
    world.attack("198.51.100.7", 3);
    banned(&world, 1);
    assert_eq!(
        text(&world, &["bans"]),
        "IP            JAIL  SINCE                UNTIL                LEFT     OFFENCE  BY        IN EFFECT
198.51.100.7  sshd  TIME  TIME  59m        1  failures  yes
"
    );
    let status = text(&world, &["status"]);
    assert!(status.starts_with(&format!("f2bd {}, running for ", env!("CARGO_PKG_VERSION"))));
    assert!(
        status.ends_with(
            "JAIL     FILTER  BANNED  WATCHED  FAILING  BANS  FAILURES  RULE
sshd     sshd         1        0        0     1         3  3 failures within 1h: ban for 1h
patient  sshd         0        1        3     0         3  10 failures within 10m: ban forever
"
        ),
        "{status}"
    );
    assert!(status.contains("\nSource journal: read; "), "{status}");
    assert!(status.contains("\nAction nftables: works\n"), "{status}");
    let status = text(&world, &["status", "sshd"]);
    assert!(
        status.contains("198.51.100.7  sshd") && !status.contains("patient"),
        "{status}"
    );
    for command in [
        &["status", "none"][..],
        &["bans", "--jail", "none"],
        &["ban", "none", "192.0.2.1"],
        &["unban", "--all", "--jail", "none"],
    ] {
        assert_eq!(
            refused(&world, command),
            (
                1,
                "f2bd: no jail none is enabled; known are sshd, patient\n".to_owned()
            )
        );
    }
    daemon.stop();
}

#[test]
fn bans_are_made_and_lifted_by_hand() {
    let Some(world) = World::with(JAIL, PATIENT) else {
        return;
    };
    let daemon = world.start();
    assert_eq!(
        text(&world, &["ban", "sshd", "192.0.2.1", "--for", "2h"]),
        "192.0.2.1 is banned by jail sshd\n"
    );
    text(&world, &["ban", "patient", "192.0.2.0/24"]);
    text(&world, &["ban", "patient", "2001:db8::/32"]);
    let bans = banned(&world, 3);
    assert_eq!(bans[0].bantime, BanTime::For(Duration::from_secs(7_200)));
    assert_eq!(bans[1].bantime, BanTime::Forever, "as the jail does");
    assert!(bans.iter().all(|ban| ban.origin == Origin::Manual));
    assert!(world.kernel_bans("192.0.2.1") && world.kernel_bans("192.0.2.0/24"));

    // Networks that hold an own address are never banned.
    for subject in ["203.0.113.1", "203.0.113.0/25", "0.0.0.0/0"] {
        let (code, said) = refused(&world, &["ban", "sshd", subject]);
        assert_eq!(code, 1);
        assert_eq!(
            said,
            format!("f2bd: {subject} is never banned: ignoreip 203.0.113.0/24\n")
        );
    }
    let (code, said) = refused(&world, &["ban", "sshd", "192.0.2.9", "--for", "0s"]);
    assert_eq!(code, 64);
    assert!(said.contains("a ban lasts some time"), "{said}");

    assert_eq!(
        refused(&world, &["unban", "198.51.100.1"]),
        (1, "f2bd: 198.51.100.1 is not banned\n".to_owned())
    );
    assert_eq!(
        refused(&world, &["unban", "2001:db8::1", "--jail", "sshd"]),
        (
            1,
            "f2bd: 2001:db8::1 is not banned in jail sshd\n".to_owned()
        )
    );
    assert_eq!(
        text(&world, &["unban", "192.0.2.1", "--jail", "sshd"]),
        "1 ban lifted\njail sshd bans again at 3 failures within 1h\n"
    );
    assert_eq!(text(&world, &["unban", "--all"]), "2 bans lifted\n");
    assert_eq!(text(&world, &["unban", "--all"]), "0 bans lifted\n");
    until("the kernel lets all in again", || {
        let gone = ["192.0.2.1", "192.0.2.0/24", "2001:db8::/32"];
        gone.iter()
            .all(|subject| !world.kernel_bans(subject))
            .then_some(())
    });
    daemon.stop();
}

#[test]
fn flush_writes_and_repairs() {
    let Some(world) = World::new(JAIL) else {
        return;
    };
    let daemon = world.start();
    text(&world, &["ban", "sshd", "192.0.2.1"]);
    banned(&world, 1);
    assert_eq!(
        text(&world, &["flush"]),
        "what waited is written, the firewall is being put in order\n"
    );
    assert_eq!(world.sql("SELECT ip FROM active_bans"), "192.0.2.1");
    assert!(world.kernel_bans("192.0.2.1"));
    daemon.stop();
}

#[test]
fn a_reload_takes_all_or_nothing() {
    let Some(world) = World::new(JAIL) else {
        return;
    };
    let daemon = world.start();
    world.attack("198.51.100.7", 3);
    banned(&world, 1);
    world.configure(
        "maxretri = 3\nbantime = \"soon\"",
        "[jail.other]\nfilter = \"nothing\"",
    );
    let (code, said) = refused(&world, &["reload"]);
    assert_eq!(code, 78);
    let config = world.config().display().to_string();
    assert!(
        said.starts_with("f2bd: the configuration has mistakes; the old one stays in force\n"),
        "{said}"
    );
    let mistakes: Vec<_> = said.lines().skip(1).collect();
    assert_eq!(mistakes.len(), 3, "{said}");
    assert!(
        mistakes.iter().all(|line| line.starts_with(&config)),
        "{said}"
    );
    assert_eq!(rows::<Status>(&world, &["status"])[0].jails.len(), 1);
    assert!(world.kernel_bans("198.51.100.7"));

    world.configure(JAIL, PATIENT);
    assert_eq!(
        text(&world, &["reload"]),
        "the new configuration is in force\n"
    );
    assert_eq!(rows::<Status>(&world, &["status"])[0].jails.len(), 2);
    banned(&world, 1);

    // What was decided by an old rule is not said to follow from the new one.
    world.configure(&JAIL.replace("maxretry = 3", "maxretry = 5"), "");
    text(&world, &["reload"]);
    let explanation = text(&world, &["explain", "198.51.100.7"]);
    assert!(
        explanation.contains(
            ": 5 failures within 1h make a ban today, and these were enough when it began. "
        ),
        "{explanation}"
    );
    daemon.stop();
}

/// `f2bd follow`, and what it prints.
struct Follower {
    child: Child,
    lines: Receiver<String>,
}

impl Follower {
    fn start(world: &World, options: &[&str]) -> Self {
        let mut child = Command::new(F2BD)
            .arg("--socket")
            .arg(world.socket())
            .args(["--timezone", "UTC", "follow"])
            .args(options)
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let stdout = BufReader::new(child.stdout.take().unwrap());
        let (sender, lines) = channel();
        std::thread::spawn(move || {
            for line in stdout.lines().map_while(Result::ok) {
                if sender.send(line).is_err() {
                    break;
                }
            }
        });
        let follower = Follower { child, lines };
        // It hears nothing before it is connected; bans of its own tell when it is.
        until("the follower follows", || {
            text(world, &["ban", "sshd", "192.0.2.200"]);
            text(world, &["unban", "192.0.2.200"]);
            follower.lines.recv_timeout(Duration::from_millis(100)).ok()
        });
        text(world, &["ban", "sshd", "192.0.2.201"]);
        while !follower.next().contains("192.0.2.201") {}
        follower
    }

    fn next(&self) -> String {
        self.lines.recv_timeout(DEADLINE).unwrap()
    }
}

impl Drop for Follower {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn followers_hear_what_happens() {
    let Some(world) = World::new(JAIL) else {
        return;
    };
    let daemon = world.start();
    let program = Follower::start(&world, &["--json"]);
    text(&world, &["unban", "--all"]);
    let mut person = Follower::start(&world, &[]);
    loop {
        let line: FollowLine = serde_json::from_str(&program.next()).unwrap();
        if matches!(&line, FollowLine::Ban { subject, .. } if *subject == whom("192.0.2.201")) {
            break;
        }
    }
    world.attack("198.51.100.7", 3);
    banned(&world, 2);
    text(&world, &["unban", "198.51.100.7"]);
    let heard: Vec<FollowLine> = (0..5)
        .map(|_| serde_json::from_str(&program.next()).unwrap())
        .collect();
    for (line, port) in heard.iter().zip([40_000, 40_001, 40_002]) {
        let FollowLine::Failure { subject, failure } = line else {
            panic!("{heard:?}");
        };
        assert_eq!(*subject, whom("198.51.100.7"));
        assert_eq!(failure.jail.as_str(), "sshd");
        assert_eq!(
            failure.line,
            format!("Failed password for root from 198.51.100.7 port {port} ssh2")
        );
    }
    assert!(
        matches!(&heard[3], FollowLine::Ban { subject, failures: 3, offence: 1, .. } if *subject == whom("198.51.100.7")),
        "{heard:?}"
    );
    assert!(
        matches!(&heard[4], FollowLine::Unban { subject, release: Release::Manual, .. } if *subject == whom("198.51.100.7")),
        "{heard:?}"
    );
    let heard: Vec<String> = (0..5).map(|_| timeless(&person.next())).collect();
    assert_eq!(
        heard,
        [
            "TIME  failure  sshd  198.51.100.7  Failed password for root from 198.51.100.7 port 40000 ssh2",
            "TIME  failure  sshd  198.51.100.7  Failed password for root from 198.51.100.7 port 40001 ssh2",
            "TIME  failure  sshd  198.51.100.7  Failed password for root from 198.51.100.7 port 40002 ssh2",
            "TIME  ban      sshd  198.51.100.7  3 failures, for 1h, offence 1",
            "TIME  unban    sshd  198.51.100.7  manual",
        ]
    );
    daemon.stop();
    // The end of the daemon is told, not waited for.
    let status = until("the follower ends", || person.child.try_wait().unwrap());
    assert_eq!(status.code(), Some(69));
}

#[test]
fn a_follower_that_lags_is_told_what_it_missed() {
    const LINES: u64 = 2_000;
    let Some(world) = World::new(JAIL) else {
        return;
    };
    let daemon = world.start();
    let mut stream = connect(&world);
    stream
        .write_all(b"{\"version\":1,\"request\":\"follow\"}\n")
        .unwrap();
    let mut lines = BufReader::new(stream);
    let mut line = String::new();
    lines.read_line(&mut line).unwrap();
    assert_eq!(line, "{\"reply\":\"following\"}\n");
    // More than the socket and the daemon hold for somebody who does not read.
    world.attack("198.51.100.7", usize::try_from(LINES).unwrap());
    until("all are counted", || {
        (rows::<Status>(&world, &["status"])[0].jails[0].failures == LINES).then_some(())
    });
    let (mut heard, mut missed) = (0, 0);
    // One line more than there were failures: the ban.
    while heard + missed < LINES + 1 {
        line.clear();
        assert_ne!(lines.read_line(&mut line).unwrap(), 0, "{heard} {missed}");
        match serde_json::from_str(&line).unwrap() {
            FollowLine::Missed { lines } => missed += lines,
            _ => heard += 1,
        }
    }
    assert!(missed > 0 && heard > 0, "{heard} heard, {missed} missed");
    daemon.stop();
}

#[test]
fn nonsense_is_refused_and_nobody_is_harmed() {
    let Some(world) = World::new(JAIL) else {
        return;
    };
    let daemon = world.start();
    text(&world, &["ban", "sshd", "192.0.2.1"]);
    let reply = |request: &[u8]| -> Reply {
        let mut stream = connect(&world);
        // It may answer before it has heard all.
        let _ = stream.write_all(request);
        let _ = stream.shutdown(std::net::Shutdown::Write);
        serde_json::from_str(&read_line(&stream)).unwrap()
    };
    let endless = vec![b'{'; 1_000_000];
    for request in [
        &b""[..],
        b"\n",
        b"status\n",
        b"{}\n",
        b"[]\n",
        b"\xff\xfe\0\n",
        b"{\"version\":1,\"request\":\"status\"}",
        b"{\"version\":1,\"request\":\"dance\"}\n",
        b"{\"version\":2,\"request\":\"status\"}\n",
        b"{\"version\":1,\"request\":\"unban\"}\n",
        b"{\"version\":1,\"request\":\"unban\",\"subject\":\"everybody\"}\n",
        b"{\"version\":1,\"request\":\"ban\",\"jail\":\"a b\",\"subject\":\"192.0.2.2\"}\n",
        b"{\"version\":1,\"request\":\"history\",\"limit\":-1}\n",
        &endless,
    ] {
        let reply = reply(request);
        assert!(
            matches!(&reply, Reply::Refused(refusal) if matches!(refusal.why, Why::Malformed | Why::Usage)),
            "{:?}: {reply:?}",
            String::from_utf8_lossy(&request[..request.len().min(100)])
        );
    }
    proptest!(ProptestConfig::with_cases(100), |(request in prop::collection::vec(any::<u8>(), 0..6_000))| {
        prop_assert!(matches!(reply(&request), Reply::Refused(_)));
    });
    assert_eq!(banned(&world, 1)[0].subject, whom("192.0.2.1"));
    daemon.stop();
}

/// As many bans as asked for, in a database that no daemon has open.
fn prepare(world: &World, count: u32) {
    fs::create_dir_all(world.database().parent().unwrap()).unwrap();
    let now = crate::support::now();
    let mut store = Store::open(&world.database()).unwrap();
    let bans: Vec<Decision> = (0..count)
        .map(|host| {
            Decision::Ban(Ban {
                id: BanId(u64::from(host) + 1),
                jail: "sshd".parse().unwrap(),
                subject: Prefix::host(IpAddr::V4(Ipv4Addr::from(0x0B00_0000 + host))).into(),
                start: now,
                bantime: BanTime::For(Duration::from_secs(86_400)),
                offence: 1,
                origin: Origin::Failures,
                evidence: Vec::new(),
            })
        })
        .collect();
    store.commit(now, &bans, None).unwrap();
}

#[test]
fn many_bans_come_in_pages() {
    let Some(world) = World::new(JAIL) else {
        return;
    };
    // Two pages and a bit.
    let count = 2 * PAGE + 1;
    prepare(&world, u32::try_from(count).unwrap());
    let daemon = world.start();
    let page = |after| match Client::ask(&world.socket(), Request::Bans { jail: None, after }) {
        Ok(Reply::Bans { rows, more }) => (rows.len(), more),
        other => panic!("{other:?}"),
    };
    let page_end = u64::try_from(PAGE).unwrap();
    assert_eq!(page(0), (PAGE, true));
    assert_eq!(page(page_end), (PAGE, true));
    assert_eq!(page(2 * page_end), (1, false));
    assert_eq!(page(2 * page_end + 1), (0, false));
    let bans: Vec<BanRow> = rows(&world, &["bans"]);
    let numbers: Vec<_> = bans.iter().map(|ban| ban.ban).collect();
    let all: Vec<_> = (1..=2 * page_end + 1).collect();
    assert_eq!(numbers, all, "each once, in order");
    let table = text(&world, &["bans", "--jail", "sshd"]);
    assert_eq!(table.lines().count(), count + 1);

    // `f2bd bans | head -1`
    for options in [&[][..], &["--json"]] {
        let mut child = Command::new(F2BD)
            .arg("--socket")
            .arg(world.socket())
            .arg("bans")
            .args(options)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut first = String::new();
        let mut stdout = BufReader::new(child.stdout.take().unwrap());
        stdout.read_line(&mut first).unwrap();
        drop(stdout);
        let mut said = String::new();
        let mut stderr = child.stderr.take().unwrap();
        stderr.read_to_string(&mut said).unwrap();
        assert_eq!(child.wait().unwrap().code(), Some(0));
        assert!(!first.is_empty() && said.is_empty(), "{first}{said}");
    }
    daemon.stop();
}

#[test]
fn clients_that_say_or_read_nothing_are_in_nobodys_way() {
    let Some(world) = World::new(JAIL) else {
        return;
    };
    // Their list is longer than a socket holds.
    prepare(&world, 2_000);
    let daemon = world.start();
    let silent: Vec<_> = (0..100).map(|_| connect(&world)).collect();
    let unread: Vec<_> = (0..100)
        .map(|_| {
            let mut stream = connect(&world);
            stream
                .write_all(b"{\"version\":1,\"request\":\"bans\"}\n")
                .unwrap();
            stream
        })
        .collect();
    // The daemon bears with each of them for ten seconds: one after the other they would take half an hour.
    let started = Instant::now();
    text(&world, &["ban", "sshd", "192.0.2.1"]);
    assert_eq!(banned(&world, 2_001).len(), 2_001);
    assert!(
        started.elapsed() < Duration::from_secs(100),
        "{:?}",
        started.elapsed()
    );
    drop((silent, unread));
    daemon.stop();
}

/// The program at a place where everybody can run it, beside a socket that a group may use.
fn open_to_a_group(world: &World) -> PathBuf {
    fs::set_permissions(world.path(), PermissionsExt::from_mode(0o755)).unwrap();
    let program = world.path().join("f2bd");
    copy_program(&program);
    chown(world.socket(), None, Some(GROUP)).unwrap();
    program
}

/// A command as somebody who is in one group only.
fn stranger(world: &World, program: &PathBuf, group: u32, arguments: &[&str]) -> Command {
    let mut command = Command::new("setpriv");
    command
        .args(["--reuid", STRANGER, "--regid", &group.to_string()])
        .arg("--clear-groups")
        .arg(program)
        .arg("--socket")
        .arg(world.socket())
        .args(arguments);
    command
}

// f2bd(8): the group may ask, root may act, others may nothing.
#[test]
fn who_may_ask_and_who_may_act() {
    let Some(world) = World::new(JAIL) else {
        return;
    };
    let daemon = world.start();
    text(&world, &["ban", "sshd", "192.0.2.1"]);
    assert_eq!(fs::metadata(world.socket()).unwrap().mode() & 0o7777, 0o660);
    let program = open_to_a_group(&world);
    let asking = [
        &["status"][..],
        &["bans"],
        &["history"],
        &["explain", "192.0.2.1"],
    ];
    let acting = [
        &["ban", "sshd", "192.0.2.2"][..],
        &["unban", "192.0.2.1"],
        &["unban", "--all"],
        &["reload"],
        &["confirm"],
        &["flush"],
    ];
    for arguments in asking {
        let output = stranger(&world, &program, GROUP, arguments)
            .output()
            .unwrap();
        assert_eq!(output.status.code(), Some(0), "{arguments:?}: {output:?}");
    }
    for arguments in acting {
        let output = stranger(&world, &program, GROUP, arguments)
            .output()
            .unwrap();
        assert_eq!(output.status.code(), Some(77), "{arguments:?}");
        assert_eq!(
            err(&output),
            "f2bd: only root and the user that runs the daemon may do this\n"
        );
    }
    for arguments in asking.iter().chain(&acting) {
        let output = stranger(&world, &program, 65_534, arguments)
            .output()
            .unwrap();
        assert_eq!(output.status.code(), Some(77), "{arguments:?}");
        assert_eq!(
            err(&output),
            format!(
                "f2bd: no permission to ask the daemon at {}: become root or a member of its group\n",
                world.socket().display()
            )
        );
    }
    assert_eq!(banned(&world, 1)[0].subject, whom("192.0.2.1"));
    daemon.stop();
}

#[test]
fn followers_keep_nobody_out() {
    let Some(world) = World::new(JAIL) else {
        return;
    };
    let daemon = world.start();
    let program = open_to_a_group(&world);
    let mut followers = Vec::new();
    // Far more than there are places, until one is refused.
    let refused = until("one is refused", || {
        let mut child = stranger(&world, &program, GROUP, &["follow"])
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let refused = child.try_wait().unwrap().is_some();
        followers.push(child);
        let ended = followers
            .iter_mut()
            .position(|child| child.try_wait().unwrap().is_some());
        assert!(followers.len() < 500, "nobody is refused");
        (refused || ended.is_some()).then(|| followers.remove(ended.unwrap_or(followers.len() - 1)))
    });
    let output = refused.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(74));
    assert_eq!(
        err(&output),
        "f2bd: 32 clients are being served; try again later\n"
    );
    assert!(followers.len() >= 32, "{}", followers.len());
    text(&world, &["ban", "sshd", "192.0.2.1"]);
    let output = stranger(&world, &program, GROUP, &["status"])
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    for mut follower in followers {
        let _ = follower.kill();
        let _ = follower.wait();
    }
    daemon.stop();
}

#[test]
fn the_socket_of_a_dead_daemon_is_replaced() {
    let Some(world) = World::new(JAIL) else {
        return;
    };
    let daemon = world.start();
    let before = rows::<Status>(&world, &["status"])[0].since;
    daemon.kill();
    assert!(world.socket().exists());
    assert_eq!(refused(&world, &["status"]).0, 69);
    let daemon = world.start();
    assert!(rows::<Status>(&world, &["status"])[0].since > before);
    daemon.stop();
    let (code, said) = refused(&world, &["status"]);
    assert_eq!(code, 69, "{said}");
}

#[test]
fn a_strange_daemon_is_told() {
    for (answer, code, said) in [
        ("", 69, "the daemon has gone away: "),
        (
            "{\"reply\":",
            70,
            "the daemon's answer cannot be understood",
        ),
        ("hello\n", 70, "the daemon's answer cannot be understood"),
        (
            "{\"reply\":\"done\",\"changed\":1}\n",
            70,
            "the daemon answers another question than was asked",
        ),
        (
            "{\"reply\":\"refused\",\"why\":\"malformed\",\"message\":\"the daemon speaks version 2 of the protocol, not 1\"}\n",
            70,
            "the daemon speaks version 2 of the protocol, not 1",
        ),
        (
            "{\"reply\":\"refused\",\"why\":\"unable\",\"message\":\"the database cannot be read\"}\n",
            74,
            "the database cannot be read",
        ),
    ] {
        let home = tempfile::tempdir().unwrap();
        let socket = home.path().join("control.sock");
        let listener = UnixListener::bind(&socket).unwrap();
        let daemon = std::thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            read_line(&stream);
            stream.write_all(answer.as_bytes()).unwrap();
        });
        let output = Command::new(F2BD)
            .arg("--socket")
            .arg(&socket)
            .arg("bans")
            .output()
            .unwrap();
        daemon.join().unwrap();
        assert_eq!(output.status.code(), Some(code), "{answer}");
        assert_eq!(out(&output), "");
        assert!(err(&output).contains(said), "{answer}: {}", err(&output));
    }
}

#[test]
fn a_daemon_is_asked_though_its_configuration_was_broken_since() {
    let Some(world) = World::new(JAIL) else {
        return;
    };
    let daemon = world.start();
    let config = world.config();
    let ask = |text: &str| {
        fs::write(&config, text).unwrap();
        let mut command = Command::new(F2BD);
        command.arg("--config").arg(&config).arg("status");
        command.output().unwrap()
    };
    let whole = fs::read_to_string(&config).unwrap();
    let output = ask(&whole);
    assert_eq!((output.status.code(), err(&output)), (Some(0), ""));
    let output = ask(&format!("{whole}\nodd = ["));
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    assert!(out(&output).contains("sshd"), "{output:?}");
    for told in ["this is not TOML", "asking at", "--socket"] {
        assert!(err(&output).contains(told), "{told}: {output:?}");
    }
    // Which daemon is meant is not known: one that runs might be another one.
    let output = ask("odd = [");
    assert_eq!(output.status.code(), Some(78), "{output:?}");
    daemon.stop();
}
