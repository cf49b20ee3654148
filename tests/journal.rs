//! Facts about `journal`, shown from outside, on a real journald.

use std::fs::{self, Permissions};
use std::io::Write;
use std::ops::ControlFlow;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant, SystemTime};

use f2bd::engine::cursor::Cursor;
use f2bd::engine::record::journal::RouteId;
use f2bd::engine::record::{Batch, LONGEST_MESSAGE};
use f2bd::engine::time::Timestamp;
use f2bd::source::journal::{JournalError, JournalSpec, Start, read_all, run};
use f2bd::source::{Delivery, Trouble};
use rustix::process::{Gid, Uid};
use rustix::time::{ClockId, clock_gettime};
use tokio::sync::watch;

use crate::support::journald::Journald;
use crate::support::wait::{DEADLINE, until};

const EVER: Start = Start::Since(Timestamp::from_micros(0));

/// A reader on a thread of its own, as the daemon runs it. Like the daemon it takes one delivery at a
/// time: the reader is blocked while nobody asks.
struct Reading {
    stop: watch::Sender<bool>,
    deliveries: Receiver<Delivery>,
    /// Answers how much of the processor it used.
    thread: JoinHandle<Duration>,
}

impl Reading {
    fn start(spec: JournalSpec, start: Start) -> Self {
        Self::start_as(spec, start, || ())
    }

    fn start_as(spec: JournalSpec, start: Start, become_somebody: fn()) -> Self {
        let (stop, stopped) = watch::channel(false);
        let (sender, deliveries) = mpsc::sync_channel(0);
        let thread = std::thread::spawn(move || {
            become_somebody();
            let deliver = |delivery| match delivery {
                // The word that there is no more at the moment.
                Delivery::Records { cursor: None, .. } => ControlFlow::Continue(()),
                delivery => match sender.send(delivery) {
                    Ok(()) => ControlFlow::Continue(()),
                    Err(_) => ControlFlow::Break(()),
                },
            };
            run(&spec, start, deliver, stopped).unwrap();
            let used = clock_gettime(ClockId::ThreadCPUTime);
            Duration::new(used.tv_sec as u64, used.tv_nsec as u32)
        });
        Reading {
            stop,
            deliveries,
            thread,
        }
    }

    fn next(&self) -> Delivery {
        self.deliveries.recv_timeout(DEADLINE).expect("a delivery")
    }

    fn trouble(&self) -> Trouble {
        match self.next() {
            Delivery::Trouble(trouble) => trouble,
            other => panic!("expected trouble, not {other:?}"),
        }
    }

    fn records(&self) -> (Vec<Heard>, Cursor) {
        match self.next() {
            Delivery::Records { batch, cursor, .. } => {
                (heard(&batch), cursor.expect("a journal has one"))
            }
            Delivery::Trouble(trouble) => panic!("expected records, not {trouble:?}"),
        }
    }

    /// Messages until there are `count` of them, and the place behind them.
    fn messages(&self, count: usize) -> (Vec<String>, Cursor) {
        let mut messages = Vec::new();
        loop {
            let (records, cursor) = self.records();
            messages.extend(records.into_iter().map(|record| record.message()));
            if messages.len() >= count {
                assert_eq!(messages.len(), count, "too many: {messages:?}");
                return (messages, cursor);
            }
        }
    }

    /// Adds the messages of one delivery to `seen`; answers the place behind them.
    fn take(&self, seen: &mut Vec<String>) -> Start {
        let (records, cursor) = self.records();
        seen.extend(records.iter().map(Heard::message));
        Start::Cursor(cursor)
    }

    fn silent_for(&self, span: Duration) {
        match self.deliveries.recv_timeout(span) {
            Err(RecvTimeoutError::Timeout) => {}
            other => panic!("expected silence, not {other:?}"),
        }
    }

    /// Ends the reader; answers how much of the processor it used.
    fn end(self) -> Duration {
        self.stop.send(true).ok();
        drop(self.deliveries);
        self.thread.join().unwrap()
    }
}

/// Is raised when it goes out of scope, so that whoever waits for it ends with a failed test too.
struct Raised<'a>(&'a AtomicBool);

impl Drop for Raised<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// An owned record.
#[derive(Debug, PartialEq)]
struct Heard {
    time: Timestamp,
    host: String,
    program: String,
    pid: Option<u32>,
    message: Vec<u8>,
    routes: Vec<u16>,
}

impl Heard {
    fn message(&self) -> String {
        String::from_utf8_lossy(&self.message).into_owned()
    }
}

fn heard(batch: &Batch) -> Vec<Heard> {
    let own = |record: f2bd::engine::record::Record<'_>| Heard {
        time: record.time,
        host: record.host.to_owned(),
        program: record.program.to_owned(),
        pid: record.pid,
        message: record.message.to_vec(),
        routes: record.routes.iter().map(|RouteId(route)| *route).collect(),
    };
    batch.iter().map(own).collect()
}

fn spec(directory: &Path, routes: &[&str]) -> JournalSpec {
    JournalSpec {
        name: "journal".parse().unwrap(),
        directory: Some(directory.to_owned()),
        namespace: None,
        routes: routes.iter().map(|route| route.parse().unwrap()).collect(),
    }
}

fn sshd(journald: &Journald) -> JournalSpec {
    spec(&journald.directory(), &["SYSLOG_IDENTIFIER=sshd"])
}

fn now() -> Timestamp {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    Timestamp::from_micros(since.unwrap().as_micros() as i64)
}

fn numbers(range: std::ops::Range<usize>) -> Vec<String> {
    range.map(|number| number.to_string()).collect()
}

/// Waits until the journal shows this many messages of sshd to somebody who reads it anew.
fn written(spec: &JournalSpec, count: usize) {
    until("the journal holds what was sent", || {
        let mut seen = 0;
        let _ = read_all(spec, None, |batch| seen += batch.len());
        (seen >= count).then_some(())
    });
}

#[test]
fn fields_not_text_make_the_record() {
    let Some(journald) = Journald::start() else {
        return;
    };
    let before = now();
    journald.send(&[
        ("SYSLOG_IDENTIFIER", b"sshd"),
        ("SYSLOG_PID", b"1"),
        ("_PID", b"1"),
        ("_HOSTNAME", b"forged"),
        (
            "MESSAGE",
            b"one sshd[1]: two\nNov 1 10:00:00 host sshd[1]: three\n",
        ),
    ]);
    journald.send(&[
        ("SYSLOG_IDENTIFIER", b"sshd"),
        ("MESSAGE", b"\xff\x00\n\xfe"),
    ]);
    journald.send(&[("SYSLOG_IDENTIFIER", b"sshd"), ("PRIORITY", b"3")]);
    let reading = Reading::start(sshd(&journald), EVER);
    let mut records = Vec::new();
    while records.len() < 3 {
        records.extend(reading.records().0);
    }
    let first = &records[0];
    assert_eq!(
        first.message(),
        "one sshd[1]: two\nNov 1 10:00:00 host sshd[1]: three"
    );
    assert_eq!(
        (first.program.as_str(), first.pid),
        ("sshd", Some(std::process::id()))
    );
    let host = fs::read_to_string("/proc/sys/kernel/hostname").unwrap();
    assert_eq!(first.host, host.trim());
    assert!(before <= first.time && first.time <= now());
    assert_eq!(records[1].message, b"\xff\x00\n\xfe");
    assert_eq!(records[2].message, b"");
    reading.end();
}

#[test]
fn a_forged_name_does_not_make_a_trusted_route() {
    let Some(journald) = Journald::start() else {
        return;
    };
    let comm = fs::read_to_string("/proc/self/comm").unwrap();
    let trusted = format!("SYSLOG_IDENTIFIER=sshd _UID=0 _COMM={}", comm.trim_end());
    let routes = ["_UID=1", &trusted, "SYSLOG_IDENTIFIER=sshd", "_UID=65534"];
    let reading = Reading::start(spec(&journald.directory(), &routes), EVER);
    let next = || {
        let (records, _) = reading.records();
        assert_eq!(records.len(), 1);
        (records[0].message(), records[0].routes.clone())
    };
    journald.log("sshd", "true");
    assert_eq!(next(), ("true".to_owned(), vec![1, 2]));
    let logger = Command::new("setpriv")
        .args(["--reuid=65534", "--regid=65534", "--clear-groups", "logger"])
        .arg("--socket")
        .arg(journald.dev_log())
        .args(["--tag", "sshd", "forged"])
        .status()
        .unwrap();
    assert!(logger.success());
    assert_eq!(next(), ("forged".to_owned(), vec![2, 3]));
    journald.log("other", "nobody asks for this");
    journald.log("sshd", "last");
    assert_eq!(next(), ("last".to_owned(), vec![1, 2]));
    reading.end();
}

#[test]
fn routes_are_decided_as_the_journal_decides_them() {
    let Some(journald) = Journald::start() else {
        return;
    };
    let route = "SYSLOG_IDENTIFIER=a PRIORITY=3 SYSLOG_IDENTIFIER=b";
    let narrow = spec(&journald.directory(), &[route]);
    let wide = spec(
        &journald.directory(),
        &["PRIORITY=3 + PRIORITY=4", route, "SYSLOG_IDENTIFIER=last"],
    );
    let reading = Reading::start(narrow.clone(), EVER);
    for (program, priority) in [("a", "3"), ("b", "4"), ("c", "3"), ("a", "4"), ("b", "3")] {
        journald.send(&[
            ("SYSLOG_IDENTIFIER", program.as_bytes()),
            ("PRIORITY", priority.as_bytes()),
            ("MESSAGE", format!("{program}{priority}").as_bytes()),
        ]);
    }
    journald.log("last", "last");
    written(&spec(&journald.directory(), &["SYSLOG_IDENTIFIER=last"]), 1);
    assert_eq!(reading.messages(2).0, ["a3", "b3"]);
    reading.end();
    // What the journal's own match delivers, what we ask for alone, and among other routes.
    let mut shown = Command::new("journalctl");
    shown.arg("--directory").arg(journald.directory());
    shown.args(["--quiet", "--output=cat"]);
    let shown = shown.args(route.split(' ')).output().unwrap();
    assert_eq!(String::from_utf8(shown.stdout).unwrap(), "a3\nb3\n");
    let mut routed = Vec::new();
    read_all(&wide, None, |batch| {
        let ours = |record: &Heard| record.routes.contains(&1);
        let ours = heard(batch).into_iter().filter(ours);
        routed.extend(ours.map(|record| record.message()));
    })
    .unwrap();
    assert_eq!(routed, ["a3", "b3"]);
}

#[test]
fn every_record_comes_once_however_often_the_reader_stops() {
    let Some(journald) = Journald::start() else {
        return;
    };
    let count = 6_000;
    for number in 0..count {
        journald.log("sshd", &number.to_string());
    }
    let (mut stops, mut seen, mut start) = (0, Vec::new(), EVER);
    while seen.len() < count {
        let reading = Reading::start(sshd(&journald), start.clone());
        for _ in 0..=(stops * 7 + 3) % 4 {
            if seen.len() < count {
                let (records, cursor) = reading.records();
                seen.extend(records.iter().map(Heard::message));
                start = Start::Cursor(cursor);
            }
        }
        reading.end();
        stops += 1;
    }
    assert_eq!(seen, numbers(0..count));
    assert!(stops >= 4);
}

#[test]
fn every_record_comes_once_while_it_is_written_and_the_reader_stops_twenty_times() {
    let Some(journald) = Journald::start() else {
        return;
    };
    let enough = AtomicBool::new(false);
    let (mut seen, mut start) = (Vec::new(), EVER);
    std::thread::scope(|scope| {
        let writer = scope.spawn(|| {
            let mut count = 0;
            while !enough.load(Ordering::Relaxed) {
                for _ in 0..20 {
                    journald.log("sshd", &count.to_string());
                    count += 1;
                }
                std::thread::sleep(Duration::from_millis(3));
            }
            count
        });
        let ending = Raised(&enough);
        for stop in 0..20 {
            let reading = Reading::start(sshd(&journald), start.clone());
            for _ in 0..=stop * 5 % 4 {
                start = reading.take(&mut seen);
            }
            reading.end();
        }
        drop(ending);
        let count = writer.join().unwrap();
        let reading = Reading::start(sshd(&journald), start);
        // The last stop may have been behind everything.
        while seen.len() < count {
            reading.take(&mut seen);
        }
        reading.silent_for(Duration::from_millis(50));
        reading.end();
        assert_eq!(seen, numbers(0..count));
    });
}

#[test]
fn a_reload_that_changes_the_routes_keeps_the_place() {
    let Some(journald) = Journald::start() else {
        return;
    };
    journald.log("sshd", "1");
    let reading = Reading::start(sshd(&journald), EVER);
    let (_, cursor) = reading.messages(1);
    reading.end();
    journald.log("nginx", "2");
    journald.log("sshd", "3");
    let wider = spec(
        &journald.directory(),
        &["SYSLOG_IDENTIFIER=nginx", "SYSLOG_IDENTIFIER=sshd"],
    );
    let reading = Reading::start(wider, Start::Cursor(cursor));
    let (messages, cursor) = reading.messages(2);
    assert_eq!(messages, ["2", "3"]);
    reading.end();
    let other = spec(&journald.directory(), &["SYSLOG_IDENTIFIER=nginx"]);
    let reading = Reading::start(other, Start::Cursor(cursor));
    journald.log("nginx", "4");
    assert_eq!(reading.messages(1).0, ["4"]);
    reading.end();
}

#[test]
fn rotation_in_the_middle_of_a_burst_loses_nothing() {
    let Some(journald) = Journald::start() else {
        return;
    };
    let count = 20_000;
    let reading = Reading::start(sshd(&journald), EVER);
    std::thread::scope(|scope| {
        let burst = scope.spawn(|| {
            for number in 0..count {
                journald.log("sshd", &number.to_string());
                if number % 4_000 == 2_000 {
                    journald.rotate();
                }
            }
        });
        let (messages, _) = reading.messages(count);
        assert_eq!(messages, numbers(0..count));
        burst.join().unwrap();
    });
    reading.end();
}

#[test]
fn records_of_many_programs_come_in_order_while_files_change_and_readers_stop() {
    let Some(journald) = Journald::start() else {
        return;
    };
    let programs: Vec<String> = (0..16).map(|number| format!("program{number}")).collect();
    let routes: Vec<String> = programs
        .iter()
        .map(|program| format!("SYSLOG_IDENTIFIER={program}"))
        .collect();
    let routes: Vec<&str> = routes.iter().map(String::as_str).collect();
    let spec = spec(&journald.directory(), &routes);
    let count = 10_000;
    let (mut seen, mut start) = (Vec::new(), EVER);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            for number in 0..count {
                journald.log(&programs[number * 7 % 16], &number.to_string());
                journald.log("other", "nobody asks for this");
                if number % 2_000 == 500 {
                    journald.rotate();
                }
            }
        });
        while seen.len() < count {
            let reading = Reading::start(spec.clone(), start.clone());
            for _ in 0..20 {
                if seen.len() < count {
                    start = reading.take(&mut seen);
                }
            }
            reading.end();
        }
    });
    assert_eq!(seen, numbers(0..count));
}

#[test]
fn records_come_once_whether_few_or_many_are_wanted() {
    let Some(journald) = Journald::start() else {
        return;
    };
    // How many entries to each that is wanted: from flood to calm and back, each long enough to be noticed.
    let mut count = 0;
    for (wanted, entries) in [(700, 1), (1_300, 8), (600, 1), (300, 20), (1_000, 2)] {
        for _ in 0..wanted {
            for _ in 1..entries {
                journald.log("other", "nobody asks for this");
            }
            journald.log("sshd", &count.to_string());
            count += 1;
        }
        journald.rotate();
    }
    let spec = sshd(&journald);
    written(&spec, count);
    let mut all = Vec::new();
    read_all(&spec, None, |batch| {
        all.extend(heard(batch).iter().map(Heard::message));
    })
    .unwrap();
    assert_eq!(all, numbers(0..count));
    let (mut seen, mut start) = (Vec::new(), EVER);
    while seen.len() < count {
        let reading = Reading::start(spec.clone(), start);
        start = reading.take(&mut seen);
        if seen.len() < count {
            start = reading.take(&mut seen);
        }
        reading.end();
    }
    assert_eq!(seen, numbers(0..count));
}

#[test]
fn entries_of_the_same_moment_come_once() {
    let Some(journald) = Journald::start() else {
        return;
    };
    // What a program writes at once to its standard output becomes entries with one time.
    let mut stream = UnixStream::connect(journald.stdout()).unwrap();
    let header = "sshd\n\n6\n0\n0\n0\n0\n";
    let lines = |from: usize| numbers(from..from + 100).join("\n") + "\n";
    stream.write_all(header.as_bytes()).unwrap();
    stream.write_all(lines(0).as_bytes()).unwrap();
    let spec = sshd(&journald);
    written(&spec, 100);
    let mut all = Vec::new();
    read_all(&spec, None, |batch| all.extend(heard(batch))).unwrap();
    assert!(all.windows(2).any(|pair| pair[0].time == pair[1].time));
    let reading = Reading::start(spec.clone(), EVER);
    let (messages, cursor) = reading.messages(100);
    assert_eq!(messages, numbers(0..100));
    reading.end();
    let reading = Reading::start(spec, Start::Cursor(cursor));
    reading.silent_for(Duration::from_millis(100));
    stream.write_all(lines(100).as_bytes()).unwrap();
    assert_eq!(reading.messages(100).0, numbers(100..200));
    reading.end();
}

#[test]
fn what_vacuum_takes_while_it_is_read_is_never_half_a_record() {
    let Some(journald) = Journald::start() else {
        return;
    };
    let count = 3_000;
    let spec = sshd(&journald);
    journald.log("sshd", "first");
    let reading = Reading::start(spec.clone(), EVER);
    let mut start = Start::Cursor(reading.messages(1).1);
    reading.end();
    for round in 0..6 {
        for number in 0..count {
            journald.log("sshd", &number.to_string());
        }
        journald.log("last", "last");
        let last = JournalSpec {
            routes: vec!["SYSLOG_IDENTIFIER=last".parse().unwrap()],
            ..spec.clone()
        };
        written(&last, 1);
        journald.rotate();
        let reading = Reading::start(spec.clone(), start.clone());
        let (mut seen, mut gaps) = (Vec::new(), 0);
        std::thread::scope(|scope| {
            scope.spawn(|| {
                std::thread::sleep(Duration::from_millis(round));
                journald.vacuum();
                journald.log("sshd", "survivor");
            });
            while seen.last().is_none_or(|last| last != "survivor") {
                match reading.next() {
                    Delivery::Records { batch, cursor, .. } => {
                        seen.extend(heard(&batch).iter().map(Heard::message));
                        start = Start::Cursor(cursor.expect("a journal has one"));
                    }
                    Delivery::Trouble(Trouble::Gap { .. }) => gaps += 1,
                    Delivery::Trouble(other) => panic!("expected a gap, not {other:?}"),
                }
            }
        });
        reading.end();
        seen.pop();
        assert_eq!(seen, numbers(0..seen.len()));
        let read = seen.len();
        assert!(gaps == 1 || gaps == 0 && read == count, "{gaps} {read}");
    }
}

#[test]
fn what_vacuum_takes_from_a_slow_reader_is_told_as_a_gap() {
    let Some(journald) = Journald::start() else {
        return;
    };
    let count = 3_000;
    let spec = sshd(&journald);
    for number in 0..count {
        journald.log("sshd", &number.to_string());
    }
    written(&spec, count);
    let reading = Reading::start(spec.clone(), EVER);
    let (records, mut cursor) = reading.records();
    let mut read = records.len();
    journald.rotate();
    journald.vacuum();
    journald.log("sshd", "survivor");
    written(&spec, 1);
    let gap = loop {
        match reading.next() {
            // A batch that it had in hand when the files went.
            Delivery::Records {
                batch,
                cursor: behind,
                ..
            } => {
                read += batch.len();
                cursor = behind.expect("a journal has one");
            }
            Delivery::Trouble(trouble) => break trouble,
        }
    };
    let Trouble::Gap { from, to, .. } = gap else {
        panic!("expected a gap, not {gap:?}");
    };
    assert!(read < count);
    assert_eq!(from, cursor.time);
    // `None` if the reader looked before journald had begun its new file.
    assert!(to.is_none_or(|to| to > from));
    assert_eq!(reading.messages(1).0, ["survivor"]);
    reading.silent_for(Duration::from_millis(100));
    reading.end();
}

#[test]
fn vacuum_takes_nothing_from_a_reader_that_has_read_everything() {
    let Some(journald) = Journald::start() else {
        return;
    };
    let spec = sshd(&journald);
    journald.log("sshd", "1");
    let reading = Reading::start(spec.clone(), EVER);
    let (_, first) = reading.messages(1);
    journald.log("other", "nobody asks for this");
    journald.rotate();
    // Only the cursor moves, perhaps several times, to what is still there.
    let (records, mut cursor) = reading.records();
    assert_eq!(records, []);
    assert!(cursor.time > first.time);
    journald.log("other", "nor for this");
    journald.vacuum();
    let everything = JournalSpec {
        routes: vec!["SYSLOG_IDENTIFIER=other".parse().unwrap()],
        ..spec.clone()
    };
    let survivor = until("the survivor is written", || {
        let mut time = None;
        let _ = read_all(&everything, None, |batch| time = heard(batch).pop());
        time.map(|record| record.time)
    });
    while cursor.time < survivor {
        let (records, moved) = reading.records();
        assert_eq!(records, []);
        cursor = moved;
    }
    reading.end();
    let reading = Reading::start(spec, Start::Cursor(cursor));
    journald.log("sshd", "2");
    assert_eq!(reading.messages(1).0, ["2"]);
    reading.end();
}

#[test]
fn a_cursor_that_vacuum_took_is_a_gap_and_no_replay() {
    let Some(journald) = Journald::start() else {
        return;
    };
    let spec = sshd(&journald);
    for number in 0..10 {
        journald.log("sshd", &number.to_string());
    }
    let reading = Reading::start(spec.clone(), EVER);
    let (_, cursor) = reading.messages(10);
    reading.end();
    journald.log("sshd", "lost");
    written(&spec, 11);
    journald.rotate();
    journald.vacuum();
    journald.log("sshd", "a");
    journald.log("sshd", "b");
    written(&spec, 2);
    let reading = Reading::start(spec.clone(), Start::Cursor(cursor.clone()));
    let Trouble::Gap { from, to, .. } = reading.trouble() else {
        panic!("expected a gap");
    };
    assert_eq!(from, cursor.time);
    assert!(to.is_some_and(|to| to > from));
    let (messages, cursor) = reading.messages(2);
    assert_eq!(messages, ["a", "b"]);
    reading.end();
    // Told once: the next start knows where it is.
    let reading = Reading::start(spec, Start::Cursor(cursor));
    journald.log("sshd", "c");
    assert_eq!(reading.messages(1).0, ["c"]);
    reading.end();
}

#[test]
fn an_unintelligible_cursor_resumes_by_its_time() {
    let Some(journald) = Journald::start() else {
        return;
    };
    let spec = sshd(&journald);
    for number in 0..5 {
        journald.log("sshd", &number.to_string());
    }
    let reading = Reading::start(spec.clone(), EVER);
    let mut records = Vec::new();
    while records.len() < 5 {
        records.extend(reading.records().0);
    }
    reading.end();
    for token in [
        "",
        "garbage",
        "s=00000000000000000000000000000000;i=1",
        "i=1;s=x",
    ] {
        // The record of that moment is there, so nothing is missing and nothing comes twice.
        let cursor = Cursor {
            token: token.to_owned(),
            time: records[2].time,
        };
        let reading = Reading::start(spec.clone(), Start::Cursor(cursor.clone()));
        assert_eq!(reading.messages(2).0, ["3", "4"], "{token}");
        reading.end();
        let between = Cursor {
            time: records[2].time.after(Duration::from_micros(1)),
            ..cursor
        };
        let reading = Reading::start(spec.clone(), Start::Cursor(between));
        assert!(matches!(reading.trouble(), Trouble::Gap { .. }), "{token}");
        assert_eq!(reading.messages(2).0, ["3", "4"], "{token}");
        reading.end();
    }
}

#[test]
fn a_cursor_of_another_name_is_behind_its_record_after_rotation_too() {
    let Some(journald) = Journald::start() else {
        return;
    };
    let spec = sshd(&journald);
    journald.log("sshd", "1");
    let reading = Reading::start(spec.clone(), EVER);
    let (_, mut cursor) = reading.messages(1);
    reading.end();
    cursor.token = cursor.token.replacen("s=", "s=0", 1);
    cursor.token.remove(34);
    let reading = Reading::start(spec, Start::Cursor(cursor));
    reading.silent_for(Duration::from_millis(100));
    journald.rotate();
    reading.silent_for(Duration::from_millis(400));
    journald.log("sshd", "2");
    assert_eq!(reading.messages(1).0, ["2"]);
    reading.end();
}

#[test]
fn a_start_in_the_future_hears_what_comes_now() {
    let Some(journald) = Journald::start() else {
        return;
    };
    let spec = sshd(&journald);
    journald.log("sshd", "old");
    written(&spec, 1);
    // As after a clock that was set back by a day.
    let time = now().after(Duration::from_secs(86_400));
    let token = "garbage".to_owned();
    let lost = Start::Cursor(Cursor { token, time });
    let reading = Reading::start(spec.clone(), Start::Since(time));
    let other = Reading::start(spec, lost);
    assert!(matches!(other.trouble(), Trouble::Gap { to: None, .. }));
    other.silent_for(Duration::from_millis(100));
    journald.log("sshd", "new");
    assert_eq!(reading.messages(1).0, ["new"]);
    assert_eq!(other.messages(1).0, ["new"]);
    reading.end();
    other.end();
}

#[test]
fn a_restart_of_journald_is_survived() {
    let Some(mut journald) = Journald::start() else {
        return;
    };
    let reading = Reading::start(sshd(&journald), EVER);
    for round in 0..3 {
        journald.log("sshd", &format!("before {round}"));
        assert_eq!(reading.messages(1).0, [format!("before {round}")]);
        journald.restart();
        journald.log("sshd", &format!("after {round}"));
        assert_eq!(reading.messages(1).0, [format!("after {round}")]);
    }
    reading.end();
}

#[test]
fn a_journal_that_is_missing_is_told_once_and_read_when_it_comes() {
    let Some(journald) = Journald::start() else {
        return;
    };
    journald.log("sshd", "1");
    let home = tempfile::tempdir().unwrap();
    let late = home.path().join("late");
    let reading = Reading::start(spec(&late, &["SYSLOG_IDENTIFIER=sshd"]), EVER);
    let Trouble::Unreadable { reason, .. } = reading.trouble() else {
        panic!("expected it to be unreadable");
    };
    assert!(
        reason.contains("late") || reason.contains("No such file"),
        "{reason}"
    );
    reading.silent_for(Duration::from_millis(600));
    fs::create_dir(&late).unwrap();
    reading.silent_for(Duration::from_millis(600));
    std::os::unix::fs::symlink(journald.directory(), home.path().join("link")).unwrap();
    fs::remove_dir(&late).unwrap();
    fs::rename(home.path().join("link"), &late).unwrap();
    assert!(matches!(reading.trouble(), Trouble::Recovered { .. }));
    assert_eq!(reading.messages(1).0, ["1"]);
    journald.log("sshd", "2");
    assert_eq!(reading.messages(1).0, ["2"]);
    reading.end();
}

#[test]
fn a_directory_that_appears_later_is_told_once_and_read() {
    let Some(journald) = Journald::start() else {
        return;
    };
    let home = tempfile::tempdir().unwrap();
    let late = home.path().join("late/deeper");
    let reading = Reading::start(spec(&late, &["SYSLOG_IDENTIFIER=sshd"]), EVER);
    let Trouble::Unreadable { reason, .. } = reading.trouble() else {
        panic!("expected it to be unreadable");
    };
    assert!(reason.contains("late/deeper"), "{reason}");
    journald.log("sshd", "1");
    written(&sshd(&journald), 1);
    fs::create_dir_all(&late).unwrap();
    // An empty directory is no journal yet, and that is not told again.
    reading.silent_for(Duration::from_millis(600));
    let machine = fs::read_dir(journald.directory()).unwrap().next().unwrap();
    let machine = machine.unwrap().path();
    let mut copy = Command::new("cp");
    copy.arg("--recursive").arg(&machine).arg(&late);
    assert!(copy.status().unwrap().success());
    assert!(matches!(reading.trouble(), Trouble::Recovered { .. }));
    assert_eq!(reading.messages(1).0, ["1"]);
    reading.end();
}

#[test]
fn a_journal_that_goes_away_and_comes_back_is_read_on_where_it_was() {
    let Some(journald) = Journald::start() else {
        return;
    };
    let spec = sshd(&journald);
    journald.log("sshd", "1");
    written(&spec, 1);
    let home = tempfile::tempdir().unwrap();
    let directory = home.path().join("journal");
    let copy = || {
        let mut copy = Command::new("cp");
        copy.arg("--recursive")
            .arg(journald.directory())
            .arg(&directory);
        assert!(copy.status().unwrap().success());
    };
    copy();
    let mut elsewhere = spec.clone();
    elsewhere.directory = Some(directory.clone());
    let reading = Reading::start(elsewhere, EVER);
    assert_eq!(reading.messages(1).0, ["1"]);
    fs::remove_dir_all(&directory).unwrap();
    assert!(matches!(reading.trouble(), Trouble::Unreadable { .. }));
    journald.log("sshd", "2");
    written(&spec, 2);
    copy();
    assert!(matches!(reading.trouble(), Trouble::Recovered { .. }));
    assert_eq!(reading.messages(1).0, ["2"]);
    reading.end();
}

fn group(name: &str) -> Gid {
    let groups = fs::read_to_string("/etc/group").unwrap();
    let line = groups
        .lines()
        .find(|line| line.starts_with(&format!("{name}:")));
    let number = line
        .and_then(|line| line.split(':').nth(2))
        .expect("the group");
    Gid::from_raw(number.parse().unwrap())
}

/// Makes this thread, and no other, a process of nobody.
fn become_nobody(groups: &[Gid]) {
    let nobody = 65_534;
    rustix::thread::set_thread_groups(groups).unwrap();
    let gid = Gid::from_raw(nobody);
    rustix::thread::set_thread_res_gid(gid, gid, gid).unwrap();
    let uid = Uid::from_raw(nobody);
    rustix::thread::set_thread_res_uid(uid, uid, uid).unwrap();
}

#[test]
fn a_member_of_the_group_reads_and_nobody_else_is_told_what_is_missing() {
    let Some(journald) = Journald::start() else {
        return;
    };
    journald.log("sshd", "1");
    let spec = sshd(&journald);
    let member = Reading::start_as(spec.clone(), EVER, || {
        become_nobody(&[group("systemd-journal")])
    });
    assert_eq!(member.messages(1).0, ["1"]);
    let stranger = Reading::start_as(spec.clone(), EVER, || become_nobody(&[]));
    let Trouble::Unreadable { reason, .. } = stranger.trouble() else {
        panic!("expected it to be unreadable");
    };
    assert!(reason.contains("group systemd-journal"), "{reason}");
    stranger.silent_for(Duration::from_millis(600));
    member.end();
    // It is tried again without being asked.
    let permit = |mode| fs::set_permissions(journald.directory(), Permissions::from_mode(mode));
    permit(0o2700).unwrap();
    let member = Reading::start_as(spec.clone(), EVER, || {
        become_nobody(&[group("systemd-journal")]);
    });
    assert!(matches!(member.trouble(), Trouble::Unreadable { .. }));
    permit(0o2750).unwrap();
    assert!(matches!(member.trouble(), Trouble::Recovered { .. }));
    assert_eq!(member.messages(1).0, ["1"]);
    member.end();
    stranger.end();
    let reading = std::thread::spawn(move || {
        become_nobody(&[]);
        read_all(&spec, None, |_| ())
    });
    assert!(matches!(
        reading.join().unwrap(),
        Err(JournalError::Denied { .. })
    ));
}

#[test]
fn a_namespace_is_read() {
    let namespace = format!("f2bd-test-{}", std::process::id());
    let Some(journald) = Journald::start_in_namespace(&namespace) else {
        return;
    };
    let spec = JournalSpec {
        directory: None,
        namespace: Some(namespace),
        ..sshd(&journald)
    };
    journald.log("sshd", "1");
    let reading = Reading::start(spec, EVER);
    assert_eq!(reading.messages(1).0, ["1"]);
    journald.log("sshd", "2");
    assert_eq!(reading.messages(1).0, ["2"]);
    reading.end();
}

#[test]
fn a_huge_message_is_cut_and_the_next_one_comes() {
    let Some(journald) = Journald::start() else {
        return;
    };
    let huge: Vec<u8> = (0..1_000_000_u32)
        .map(|at| b'a' + (at * 7 % 26) as u8)
        .collect();
    journald.send(&[("SYSLOG_IDENTIFIER", b"sshd"), ("MESSAGE", &huge)]);
    journald.log("sshd", "small");
    let reading = Reading::start(sshd(&journald), EVER);
    let mut records = Vec::new();
    while records.len() < 2 {
        records.extend(reading.records().0);
    }
    // The large one comes as a file and may be overtaken.
    records.sort_by_key(|record| record.message.len());
    assert_eq!(records[0].message(), "small");
    assert_eq!(records[1].message, huge[..LONGEST_MESSAGE]);
    reading.end();
}

#[test]
fn reading_to_the_end_ends() {
    let Some(journald) = Journald::start() else {
        return;
    };
    let spec = sshd(&journald);
    for number in 0..1_500 {
        journald.log("sshd", &number.to_string());
    }
    written(&spec, 1_500);
    let mut records = Vec::new();
    read_all(&spec, None, |batch| records.extend(heard(batch))).unwrap();
    let messages: Vec<_> = records.iter().map(Heard::message).collect();
    assert_eq!(messages, numbers(0..1_500));
    let mut late = Vec::new();
    read_all(&spec, Some(records[1_000].time), |batch| {
        late.extend(heard(batch))
    })
    .unwrap();
    assert_eq!(late, records[1_000..]);
    let nobody = JournalSpec {
        routes: Vec::new(),
        ..spec.clone()
    };
    read_all(&nobody, None, |_| panic!("nobody asked")).unwrap();
    let nowhere = tempfile::tempdir().unwrap();
    let empty = JournalSpec {
        directory: Some(nowhere.path().to_owned()),
        ..spec
    };
    let read = read_all(&empty, None, |_| ());
    assert!(
        matches!(read, Err(JournalError::Missing { .. })),
        "{read:?}"
    );
}

#[test]
fn who_wants_nothing_hears_nothing() {
    let Some(journald) = Journald::start() else {
        return;
    };
    journald.log("sshd", "1");
    let reading = Reading::start(spec(&journald.directory(), &[]), EVER);
    reading.silent_for(Duration::from_millis(100));
    reading.end();
}

#[test]
fn a_reader_that_waits_ends_at_once() {
    let Some(journald) = Journald::start() else {
        return;
    };
    let end = |_| {
        let reading = Reading::start(sshd(&journald), Start::Since(now()));
        reading.silent_for(Duration::from_millis(100));
        let began = Instant::now();
        reading.end();
        began.elapsed()
    };
    // The fastest, since a busy kernel takes seconds to close the watches (measured: 8.8).
    let fastest = (0..3).map(end).min().unwrap();
    assert!(fastest < Duration::from_millis(500), "{fastest:?}");
}

/// How long an entry takes from its sender to us. The figures are for people; what is held is only that
/// records that flow do not wait for journald's own wake-up, a quarter of a second.
#[test]
fn records_that_flow_are_not_waited_for() {
    let Some(journald) = Journald::start() else {
        return;
    };
    let reading = Reading::start(sshd(&journald), EVER);
    journald.log("sshd", "0");
    reading.messages(1);
    let began = Instant::now();
    let mut taken: Vec<Duration> = (1..=60_u64)
        .map(|number| {
            std::thread::sleep(Duration::from_millis(20 + number * 97 % 180));
            let sent = Instant::now();
            journald.log("sshd", &number.to_string());
            reading.messages(1);
            sent.elapsed()
        })
        .collect();
    let used = reading.end();
    taken.sort();
    let (median, late) = (taken[30], taken[58]);
    eprintln!(
        "journal entry to delivery: median {median:?}, 99 % {late:?}, all {:?}; {used:?} of a core in {:?}",
        taken[59],
        began.elapsed()
    );
    assert!(median < Duration::from_millis(100), "{median:?}");
}

#[test]
fn a_reader_that_waits_costs_nothing() {
    let Some(journald) = Journald::start() else {
        return;
    };
    let opened = Reading::start(sshd(&journald), Start::Since(now()));
    opened.silent_for(Duration::from_millis(20));
    let for_opening = opened.end();
    let reading = Reading::start(sshd(&journald), Start::Since(now()));
    reading.silent_for(Duration::from_secs(2));
    let for_all = reading.end();
    let for_waiting = for_all.saturating_sub(for_opening);
    assert!(
        for_waiting < Duration::from_millis(10),
        "{for_opening:?} {for_all:?}"
    );
}
