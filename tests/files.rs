//! Facts about `source::file`, shown from outside, on real files and with the real logrotate.

use std::collections::BTreeMap;
use std::fs::{self, File, OpenOptions, Permissions};
use std::io::{Read, Write};
use std::ops::ControlFlow;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use f2bd::engine::cursor::{Cursor, Stream};
use f2bd::engine::filter::sieve::Sieve;
use f2bd::engine::filter::{FilterSet, FilterSpec, Outcome, PatternSpec, RecordsSpec};
use f2bd::engine::policy::FilterId;
use f2bd::engine::record::LONGEST_MESSAGE;
use f2bd::engine::record::journal::RouteId;
use f2bd::engine::record::line::{Format, LONGEST_LINE, LineForm};
use f2bd::engine::time::Timestamp;
use f2bd::source::file::{FilesSpec, open, run};
use f2bd::source::{Delivery, Start, Trouble};
use jiff::tz::TimeZone;
use rustix::process::{Gid, Uid};
use tempfile::TempDir;
use tokio::sync::watch;

use crate::support::skipped;
use crate::support::wait::{DEADLINE, until};

const EVER: Timestamp = Timestamp::from_micros(0);

/// A follower on a thread of its own, as the daemon runs it. It is blocked while nobody takes what it delivers, and
/// what was not taken when it ends was never delivered.
struct Reading {
    stop: watch::Sender<bool>,
    deliveries: Receiver<Delivery>,
    thread: JoinHandle<()>,
}

impl Reading {
    fn start(spec: &FilesSpec, start: Start) -> Self {
        Self::start_as(spec, start, || ())
    }

    fn start_as(
        spec: &FilesSpec,
        start: Start,
        become_somebody: impl FnOnce() + Send + 'static,
    ) -> Self {
        let (stop, stopped) = watch::channel(false);
        let (sender, deliveries) = mpsc::sync_channel(0);
        let spec = spec.clone();
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

    fn silent_for(&self, span: Duration) {
        match self.deliveries.recv_timeout(span) {
            Err(RecvTimeoutError::Timeout) => {}
            other => panic!("expected silence, not {other:?}"),
        }
    }

    fn end(self) {
        self.stop.send(true).ok();
        drop(self.deliveries);
        self.thread.join().unwrap();
    }
}

/// What the engine would know: the messages it was given, and the cursors that were stored with them.
#[derive(Default)]
struct Heard {
    messages: Vec<String>,
    routes: Vec<Vec<u16>>,
    times: Vec<Timestamp>,
    cursors: BTreeMap<Stream, Cursor>,
    troubles: Vec<Trouble>,
    cut: u64,
}

impl Heard {
    fn start(&self) -> Start {
        Start {
            cursors: self.cursors.clone().into_iter().collect(),
            since: EVER,
        }
    }

    fn hear(&mut self, delivery: Delivery) {
        match delivery {
            Delivery::Records {
                stream,
                batch,
                cursor,
                losses,
                more: _,
            } => {
                for record in batch.iter() {
                    self.messages
                        .push(String::from_utf8_lossy(record.message).into_owned());
                    self.routes
                        .push(record.routes.iter().map(|RouteId(route)| *route).collect());
                    self.times.push(record.time);
                }
                self.cut += losses.cut;
                self.cursors.insert(stream, cursor.expect("a file has one"));
            }
            Delivery::Trouble(trouble) => self.troubles.push(trouble),
        }
    }

    /// Listens until there are `count` messages, and not one more.
    fn messages(&mut self, reading: &Reading, count: usize) {
        while self.messages.len() < count {
            self.hear(reading.next());
        }
        assert_eq!(self.messages.len(), count, "{:?}", self.messages);
    }

    /// Listens for a moment, in which there must be no further message.
    fn nothing_more(&mut self, reading: &Reading, span: Duration) {
        let count = self.messages.len();
        while let Ok(delivery) = reading.deliveries.recv_timeout(span) {
            self.hear(delivery);
        }
        assert_eq!(self.messages[count..], [""; 0]);
    }

    /// Listens until there is trouble that `wanted` knows.
    fn trouble(&mut self, reading: &Reading, wanted: impl Fn(&Trouble) -> bool) -> Trouble {
        loop {
            if let Some(index) = self.troubles.iter().position(&wanted) {
                return self.troubles.remove(index);
            }
            self.hear(reading.next());
        }
    }

    fn unreadable(&mut self, reading: &Reading) -> String {
        let trouble = self.trouble(reading, |trouble| {
            matches!(trouble, Trouble::Unreadable { .. })
        });
        match trouble {
            Trouble::Unreadable { reason, .. } => reason,
            other => panic!("not {other:?}"),
        }
    }

    fn recovered(&mut self, reading: &Reading) {
        self.trouble(reading, |trouble| {
            matches!(trouble, Trouble::Recovered { .. })
        });
    }
}

fn spec(globs: &[&Path]) -> FilesSpec {
    let glob = |path: &&Path| vec![path.to_str().unwrap().parse().unwrap()];
    FilesSpec {
        name: "files".parse().unwrap(),
        wanted: globs.iter().map(glob).collect(),
        form: LineForm::in_zone(TimeZone::UTC),
        encoding: Default::default(),
        sieve: None,
    }
}

/// A log that is empty at first, in a directory of its own.
struct Log {
    directory: TempDir,
    path: PathBuf,
}

impl Log {
    fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("app.log");
        append(&path, "");
        Log { directory, path }
    }

    fn beside(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    fn append(&self, text: impl AsRef<[u8]>) {
        append(&self.path, text);
    }

    fn rename(&self, from: &str, to: &str) {
        fs::rename(self.beside(from), self.beside(to)).unwrap();
    }

    fn spec(&self) -> FilesSpec {
        spec(&[&self.path])
    }

    /// Begins to follow it before there is anything to read.
    fn follow(&self) -> (Reading, Heard) {
        follow(&self.spec())
    }
}

fn follow(spec: &FilesSpec) -> (Reading, Heard) {
    let mut heard = Heard::default();
    let reading = Reading::start(spec, heard.start());
    heard.hear(reading.next());
    (reading, heard)
}

fn append(path: &Path, text: impl AsRef<[u8]>) {
    let mut file = OpenOptions::new()
        .create(true)
        .append(true)
        .open(path)
        .unwrap();
    file.write_all(text.as_ref()).unwrap();
}

fn numbers(range: std::ops::Range<usize>) -> Vec<String> {
    range.map(|number| format!("line {number}")).collect()
}

fn lines(range: std::ops::Range<usize>) -> String {
    numbers(range).into_iter().map(|line| line + "\n").collect()
}

fn pack(program: &str, path: &Path) {
    let done = Command::new(program).arg("-q").arg(path).status().unwrap();
    assert!(done.success());
    if program == "zstd" {
        fs::remove_file(path).unwrap();
    }
}

/// Whether `program` is there; a loud word if not.
fn is_there(program: &str) -> bool {
    let there = Command::new(program).arg("--version").output().is_ok();
    there || skipped::<()>(&format!("no {program}")).is_some()
}

// ---- Rotation by the real logrotate, with a follower that is killed again and again ----

/// How a log is rotated while somebody writes to it.
struct Style {
    /// logrotate's words.
    words: &'static str,
    /// Whether logrotate copies and cuts, and so itself loses what is written meanwhile.
    copies: bool,
    /// Whether logrotate waits until the writer has the new file.
    waits: bool,
    /// How long after each rotation the next one may come, in milliseconds.
    pause: u64,
}

const ROTATIONS: usize = 5;

fn rotation(style: &Style) {
    if !["logrotate", "xz", "zstd"].into_iter().all(is_there) {
        return;
    }
    let log = Log::new();
    let reopen = log.beside("reopen");
    let script = match style.waits {
        true => format!(
            "postrotate\ntouch {0}\nwhile [ -e {0} ]; do sleep 0.002; done\nendscript\n",
            reopen.display()
        ),
        false => String::new(),
    };
    let configuration = log.beside("logrotate.conf");
    let words = style.words;
    let text = format!(
        "{} {{\nrotate 30\n{words}\n{script}}}\n",
        log.path.display()
    );
    fs::write(&configuration, text).unwrap();
    fs::set_permissions(&configuration, Permissions::from_mode(0o644)).unwrap();
    let (gate, enough) = (Mutex::new(()), AtomicBool::new(false));
    let spec = log.spec();
    let (reading, mut heard) = log.follow();
    reading.end();
    let mut seed = u64::from(std::process::id());
    let mut random = |below: u64| {
        seed = seed
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (seed >> 33) % below
    };
    std::thread::scope(|scope| {
        let writer = scope.spawn(|| {
            let open = || {
                OpenOptions::new()
                    .create(true)
                    .append(true)
                    .open(&log.path)
                    .unwrap()
            };
            let (mut file, mut count) = (open(), 0);
            let (mut inode, mut moved) = (file.metadata().unwrap().ino(), None);
            while !enough.load(Ordering::Relaxed) {
                let open_gate = gate.lock().unwrap();
                for _ in 0..4 {
                    // In two halves now and then, as buffers of programs do it.
                    let line = format!("line {count}\n");
                    let (begin, end) = line.split_at(count % line.len());
                    file.write_all(begin.as_bytes()).unwrap();
                    file.write_all(end.as_bytes()).unwrap();
                    count += 1;
                }
                drop(open_gate);
                if reopen.exists() {
                    file = open();
                    inode = file.metadata().unwrap().ino();
                    fs::remove_file(&reopen).unwrap();
                } else if !style.copies && !style.waits {
                    // Nobody tells it; it writes to the renamed file for a while.
                    let there = fs::metadata(&log.path)
                        .map(|data| data.ino())
                        .unwrap_or(inode);
                    let since = moved.get_or_insert_with(Instant::now);
                    if there == inode {
                        moved = None;
                    } else if since.elapsed() > Duration::from_millis(30) {
                        (file, inode, moved) = (open(), there, None);
                    }
                }
                std::thread::sleep(Duration::from_millis(1));
            }
            count
        });
        let rotator = scope.spawn(|| {
            for _ in 0..ROTATIONS {
                std::thread::sleep(Duration::from_millis(style.pause));
                let closed_gate = style.copies.then(|| gate.lock().unwrap());
                let done = Command::new("logrotate")
                    .args(["--force", "--state"])
                    .arg(log.beside("state"))
                    .arg(&configuration)
                    .output()
                    .unwrap();
                drop(closed_gate);
                assert!(done.status.success(), "{done:?}");
            }
        });
        let mut stops = 0;
        while !rotator.is_finished() || stops < 30 {
            let reading = Reading::start(&spec, heard.start());
            let until = Instant::now() + Duration::from_millis(random(30));
            while let Ok(delivery) = reading
                .deliveries
                .recv_timeout(until - Instant::now().min(until))
            {
                heard.hear(delivery);
                if random(12) == 0 {
                    break;
                }
            }
            reading.end();
            stops += 1;
        }
        rotator.join().unwrap();
        enough.store(true, Ordering::Relaxed);
        let count = writer.join().unwrap();
        let reading = Reading::start(&spec, heard.start());
        while heard.messages.len() < count {
            let Ok(delivery) = reading.deliveries.recv_timeout(Duration::from_secs(5)) else {
                break;
            };
            heard.hear(delivery);
        }
        reading.end();
        let mut seen: Vec<usize> = heard
            .messages
            .iter()
            .map(|line| {
                let number = line
                    .strip_prefix("line ")
                    .and_then(|number| number.parse().ok());
                number.unwrap_or_else(|| panic!("`{line}` was never written"))
            })
            .collect();
        seen.sort_unstable();
        let missing: Vec<_> = (0..count)
            .filter(|number| seen.binary_search(number).is_err())
            .collect();
        let doubled: Vec<_> = seen
            .windows(2)
            .filter(|pair| pair[0] == pair[1])
            .map(|pair| pair[0])
            .collect();
        assert!(
            missing.is_empty(),
            "missing of {count} after {stops} stops: {missing:?}"
        );
        assert!(
            doubled.is_empty(),
            "doubled of {count} after {stops} stops: {doubled:?}"
        );
    });
}

macro_rules! rotations {
    ($($name:ident: $words:literal, copies $copies:literal, waits $waits:literal, pause $pause:literal;)*) => {$(
        #[test]
        fn $name() {
            rotation(&Style { words: $words, copies: $copies, waits: $waits, pause: $pause });
        }
    )*};
}

rotations! {
    renamed_and_created: "create", copies false, waits false, pause 60;
    renamed_and_created_late: "nocreate", copies false, waits true, pause 60;
    copied_and_truncated: "copytruncate", copies true, waits false, pause 60;
    copied_truncated_and_packed: "copytruncate\ncompress", copies true, waits false, pause 60;
    packed_by_gzip: "create\ncompress", copies false, waits true, pause 60;
    packed_by_gzip_later: "create\ncompress\ndelaycompress", copies false, waits false, pause 60;
    packed_by_xz: "create\ncompress\ncompresscmd /usr/bin/xz\ncompressext .xz", copies false, waits true, pause 60;
    packed_by_zstd: "create\ncompress\ncompresscmd /usr/bin/zstd\ncompressoptions -q\ncompressext .zst",
        copies false, waits true, pause 60;
    named_by_date: "create\ndateext\ndateformat -%Y%m%d-%s", copies false, waits false, pause 1010;
    named_by_date_before_the_ending: "create\ndateext\ndateformat -%Y%m%d-%s\nextension .log\ncompress\ndelaycompress",
        copies false, waits false, pause 1010;
}

// ---- Rotation by hand ----

#[test]
fn several_rotations_at_once_are_read_in_their_order() {
    let log = Log::new();
    let (reading, mut heard) = log.follow();
    log.append(lines(0..3));
    heard.messages(&reading, 3);
    let mut late = OpenOptions::new().append(true).open(&log.path).unwrap();
    for generation in 1..=5 {
        for number in (1..generation).rev() {
            log.rename(
                &format!("app.log.{number}"),
                &format!("app.log.{}", number + 1),
            );
        }
        log.rename("app.log", "app.log.1");
        log.append(lines(generation * 10..generation * 10 + 2));
    }
    late.write_all(b"late\n").unwrap();
    heard.messages(&reading, 14);
    let expected: Vec<_> = (1..=5)
        .flat_map(|generation| numbers(generation * 10..generation * 10 + 2))
        .collect();
    let mut seen = heard.messages.split_off(3);
    let late_one = seen.iter().position(|line| line == "late").unwrap();
    seen.remove(late_one);
    assert_eq!(seen, expected);
    late.write_all(b"later still\n").unwrap();
    heard.messages.clear();
    heard.messages(&reading, 1);
    assert_eq!(heard.messages, ["later still"]);
    reading.end();
}

#[test]
fn a_log_that_is_empty_at_the_start_is_read_once() {
    let log = Log::new();
    let (reading, mut heard) = log.follow();
    log.append(lines(0..3));
    heard.messages(&reading, 3);
    log.rename("app.log", "app.log.1");
    log.append("");
    heard.hear(reading.next());
    log.append(lines(3..6));
    heard.messages(&reading, 6);
    reading.end();
    let reading = Reading::start(&log.spec(), heard.start());
    log.append(lines(6..7));
    heard.messages(&reading, 7);
    assert_eq!(heard.messages, numbers(0..7));
    reading.end();
}

#[test]
fn a_log_is_cut_or_replaced_by_somebody() {
    let log = Log::new();
    let (reading, mut heard) = log.follow();
    log.append(lines(0..100));
    heard.messages(&reading, 100);
    // Shorter than before.
    fs::write(&log.path, lines(100..101)).unwrap();
    heard.messages(&reading, 101);
    // At once as long as before, and longer.
    fs::write(&log.path, lines(101..400)).unwrap();
    heard.messages(&reading, 400);
    fs::write(log.beside("new"), lines(400..402)).unwrap();
    log.rename("new", "app.log");
    heard.messages(&reading, 402);
    fs::remove_file(&log.path).unwrap();
    log.append(lines(402..403));
    heard.messages(&reading, 403);
    // An edited copy: what was read is not read again.
    fs::copy(&log.path, log.beside("copy")).unwrap();
    log.rename("copy", "app.log");
    log.append(lines(403..404));
    heard.messages(&reading, 404);
    assert_eq!(heard.messages, numbers(0..404));
    reading.end();
}

#[test]
fn what_was_written_while_nobody_read_is_read_from_the_rotated_files() {
    for program in ["gzip", "xz", "zstd"] {
        if !is_there(program) {
            return;
        }
        let ending = match program {
            "gzip" => "gz",
            "zstd" => "zst",
            other => other,
        };
        let log = Log::new();
        let (reading, mut heard) = log.follow();
        // Until nobody looks any more for older files than this one.
        heard.nothing_more(&reading, Duration::from_millis(200));
        log.append(lines(0..1000));
        heard.messages(&reading, 1000);
        reading.end();
        log.append(lines(1000..2000));
        log.rename("app.log", "app.log.2");
        pack(program, &log.beside("app.log.2"));
        append(&log.beside("app.log.1"), lines(2000..2500));
        pack(program, &log.beside("app.log.1"));
        log.append(lines(2500..2600));
        // Much older than what was read, and so no part of it.
        append(&log.beside("app.log.9"), "old\n");
        let old = File::open(log.beside("app.log.9")).unwrap();
        old.set_modified(std::time::UNIX_EPOCH + Duration::from_secs(1_000_000))
            .unwrap();
        assert!(log.beside(&format!("app.log.2.{ending}")).exists());
        let reading = Reading::start(&log.spec(), heard.start());
        heard.messages(&reading, 2600);
        assert_eq!(heard.messages, numbers(0..2600), "{program}");
        // From whatever is current now it goes on.
        log.append(lines(2600..2601));
        heard.messages(&reading, 2601);
        reading.end();
        let reading = Reading::start(&log.spec(), heard.start());
        log.append(lines(2601..2602));
        heard.messages(&reading, 2602);
        assert_eq!(heard.messages, numbers(0..2602), "{program}");
        reading.end();
    }
}

#[test]
fn rotated_files_that_begin_alike_are_all_read() {
    let log = Log::new();
    let (reading, mut heard) = log.follow();
    let same = |count: usize| "the same line\n".repeat(count);
    log.append(same(300));
    heard.messages(&reading, 300);
    reading.end();
    // Each is shorter than the one before.
    for (number, count) in [(4, 250), (3, 200), (2, 150)] {
        log.rename("app.log", &format!("app.log.{number}"));
        log.append(same(count));
    }
    let reading = Reading::start(&log.spec(), heard.start());
    heard.messages(&reading, 900);
    reading.silent_for(Duration::from_millis(100));
    reading.end();
}

#[test]
fn many_rotated_files_are_read_after_a_long_time() {
    let log = Log::new();
    let (reading, mut heard) = log.follow();
    log.append(lines(0..10));
    heard.messages(&reading, 10);
    reading.end();
    // More than is kept open, and more than is read in one turn.
    let (files, each) = (14, 40_000);
    for file in 0..files {
        let number = files - file;
        log.rename("app.log", &format!("app.log.{number}"));
        log.append(lines(10 + file * each..10 + (file + 1) * each));
    }
    let reading = Reading::start(&log.spec(), heard.start());
    heard.messages(&reading, 10 + files * each);
    assert!(heard.messages == numbers(0..10 + files * each));
    reading.end();
}

#[test]
fn a_file_that_is_gone_for_good_is_told_as_a_gap() {
    let log = Log::new();
    let (reading, mut heard) = log.follow();
    log.append("2026-02-12T14:10:21Z host app: first\n");
    heard.messages(&reading, 1);
    reading.end();
    // Not removed before the other is there, lest that gets its inode.
    fs::write(log.beside("new"), "2026-02-12T14:20:00Z host app: second\n").unwrap();
    log.rename("new", "app.log");
    let reading = Reading::start(&log.spec(), heard.start());
    heard.messages(&reading, 2);
    let gap = Trouble::Gap {
        source: "files".parse().unwrap(),
        from: "2026-02-12T14:10:21Z".parse().unwrap(),
        to: Some("2026-02-12T14:20:00Z".parse().unwrap()),
    };
    heard.trouble(&reading, |trouble| *trouble == gap);
    assert_eq!(heard.messages, ["first", "second"]);
    reading.end();
}

#[test]
fn a_file_that_is_still_being_packed_is_waited_for() {
    if !is_there("gzip") {
        return;
    }
    let log = Log::new();
    let (reading, mut heard) = log.follow();
    log.append(lines(0..10));
    heard.messages(&reading, 10);
    reading.end();
    // Enough for some of it to be readable before it is whole.
    log.append(lines(10..200_000));
    log.rename("app.log", "app.log.1");
    pack("gzip", &log.beside("app.log.1"));
    let whole = fs::read(log.beside("app.log.1.gz")).unwrap();
    let (begin, end) = whole.split_at(whole.len() / 2);
    fs::write(log.beside("app.log.1.gz"), begin).unwrap();
    log.append(lines(200_000..200_001));
    let reading = Reading::start(&log.spec(), heard.start());
    while heard.messages.last().map(String::as_str) != Some("line 200000") {
        heard.hear(reading.next());
    }
    append(&log.beside("app.log.1.gz"), end);
    heard.messages(&reading, 200_001);
    heard.messages.sort_unstable();
    let mut expected = numbers(0..200_001);
    expected.sort_unstable();
    assert!(heard.messages == expected);
    reading.end();
}

#[test]
fn a_reused_inode_is_another_file() {
    let log = Log::new();
    let (reading, mut heard) = log.follow();
    log.append(lines(0..10));
    heard.messages(&reading, 10);
    reading.end();
    // The same inode for certain, with other content and longer.
    fs::write(&log.path, lines(50..150)).unwrap();
    let reading = Reading::start(&log.spec(), heard.start());
    heard.messages(&reading, 110);
    assert_eq!(heard.messages[10..], numbers(50..150));
    reading.end();
}

#[test]
fn the_inode_of_an_empty_log_may_be_another_file_by_now() {
    let log = Log::new();
    log.append("");
    let (reading, mut heard) = log.follow();
    while heard.cursors.is_empty() {
        heard.hear(reading.next());
    }
    reading.end();
    // The same inode for certain, under a name that no rotated file has.
    fs::write(&log.path, "no log at all\n").unwrap();
    log.rename("app.log", "state");
    log.append(lines(0..10));
    let reading = Reading::start(&log.spec(), heard.start());
    heard.messages(&reading, 10);
    heard.nothing_more(&reading, Duration::from_millis(100));
    assert_eq!(heard.messages, numbers(0..10));
    reading.end();
}

/// How many files of a directory this process has open.
fn held_in(directory: &Path) -> usize {
    let links = fs::read_dir("/proc/self/fd").unwrap().flatten();
    let inside = |link: &fs::DirEntry| {
        fs::read_link(link.path()).is_ok_and(|path| path.starts_with(directory))
    };
    links.filter(inside).count()
}

#[test]
fn many_logs_do_not_use_up_the_descriptors() {
    let directory = tempfile::tempdir().unwrap();
    let logs: Vec<_> = (0..40)
        .map(|number| directory.path().join(format!("app{number}x.log")))
        .collect();
    for log in &logs {
        append(log, "");
    }
    let mut heard = Heard::default();
    let reading = Reading::start(&spec(&[&directory.path().join("*.log")]), heard.start());
    while heard.cursors.len() < logs.len() {
        heard.hear(reading.next());
    }
    for generation in 0..6 {
        for log in &logs {
            append(log, lines(generation..generation + 1));
        }
        heard.messages(&reading, (generation + 1) * logs.len());
        for log in &logs {
            fs::rename(log, format!("{}.{}", log.display(), 100 - generation)).unwrap();
        }
    }
    for log in &logs {
        append(log, lines(6..7));
    }
    heard.messages(&reading, 7 * logs.len());
    until("few descriptors are left", || {
        while let Ok(delivery) = reading.deliveries.try_recv() {
            heard.hear(delivery);
        }
        (held_in(directory.path()) <= logs.len() + 128).then_some(())
    });
    assert_eq!(heard.messages.len(), 7 * logs.len());
    reading.end();
}

#[test]
fn what_many_logs_missed_is_read_with_few_descriptors() {
    let directory = tempfile::tempdir().unwrap();
    let logs: Vec<_> = (0..6)
        .map(|number| directory.path().join(format!("app{number}x.log")))
        .collect();
    for log in &logs {
        append(log, "");
    }
    let spec = spec(&[&directory.path().join("*.log")]);
    let mut heard = Heard::default();
    let reading = Reading::start(&spec, heard.start());
    while heard.cursors.len() < logs.len() {
        heard.hear(reading.next());
    }
    reading.end();
    // Long lines, since so much is read of each log before the others have their turn.
    let (files, line) = (60, "x".repeat(80_000) + "\n");
    for number in 0..files {
        for log in &logs {
            fs::rename(log, format!("{}.{}", log.display(), files - number)).unwrap();
            append(log, format!("{number}\n{line}"));
        }
    }
    let reading = Reading::start(&spec, heard.start());
    let (mut most, mut count) = (0, heard.messages.len());
    let wanted = count + 2 * files * logs.len();
    while count < wanted {
        let before = heard.messages.len();
        heard.hear(reading.next());
        count += heard.messages.len() - before;
        heard.messages.clear();
        most = most.max(held_in(directory.path()));
    }
    assert_eq!(count, wanted);
    // Without a bound it would be all 366.
    assert!(most <= 6 + 192 + 64, "{most}");
    reading.end();
}

#[test]
fn old_files_are_not_held_without_bound() {
    let log = Log::new();
    let (reading, mut heard) = log.follow();
    for generation in 0..40 {
        log.append(lines(generation..generation + 1));
        heard.messages(&reading, generation + 1);
        log.rename("app.log", &format!("app.log.{}", 100 - generation));
    }
    until("few descriptors are left", || {
        (held_in(log.directory.path()) <= 10).then_some(())
    });
    assert_eq!(heard.messages, numbers(0..40));
    assert!(
        heard
            .cursors
            .values()
            .all(|cursor| cursor.token.len() < 2000)
    );
    reading.end();
}

#[test]
fn cursors_of_files_that_are_gone_take_nobodys_place() {
    let directory = tempfile::tempdir().unwrap();
    let cursor = |number: usize| {
        let path = directory.path().join(format!("gone{number}x.log"));
        let stream = Stream {
            source: "files".parse().unwrap(),
            part: path.to_str().unwrap().into(),
        };
        let token = format!("1;0;1.{:x}.0.0.0", usize::MAX - number);
        (stream, Cursor { token, time: EVER })
    };
    let start = Start {
        cursors: (0..400).map(cursor).collect(),
        since: EVER,
    };
    append(&directory.path().join("there.log"), "");
    let reading = Reading::start(&spec(&[&directory.path().join("*.log")]), start);
    let mut heard = Heard::default();
    heard.hear(reading.next());
    append(&directory.path().join("there.log"), lines(0..1));
    append(&directory.path().join("later.log"), lines(1..2));
    heard.messages(&reading, 2);
    assert!(heard.troubles.is_empty(), "{:?}", heard.troubles);
    assert_eq!(heard.cursors.len(), 2);
    reading.end();
}

// ---- Where it begins ----

fn dated(range: std::ops::Range<i64>) -> String {
    let line = |second| {
        let time = Timestamp::from_micros(1_770_000_000_000_000 + second * 1_000_000);
        format!("{time} host app: at {second}\n\tmore about it\n")
    };
    range.map(line).collect()
}

#[test]
fn an_old_log_is_read_from_the_first_record_that_matters() {
    let log = Log::new();
    log.append(dated(0..20_000));
    for first in [-5, 0, 1, 9_999, 19_999, 20_000] {
        let since = Timestamp::from_micros(1_770_000_000_000_000 + first * 1_000_000);
        let mut heard = Heard::default();
        let reading = Reading::start(
            &log.spec(),
            Start {
                cursors: Vec::new(),
                since,
            },
        );
        let first = first.max(0);
        let count = 2 * (20_000 - first as usize);
        heard.hear(reading.next());
        heard.messages(&reading, count);
        assert_eq!(
            heard.messages.first().cloned(),
            (count > 0).then(|| format!("at {first}"))
        );
        reading.end();
    }
}

#[test]
fn an_old_log_is_read_from_its_rotated_files_too() {
    if !is_there("gzip") {
        return;
    }
    let log = Log::new();
    for (name, text) in [
        // One that shows no date says nothing.
        ("app.log.4", lines(0..1000)),
        ("app.log.3", dated(0..1_000)),
        ("app.log.2", dated(1_000..3_000)),
        ("app.log.1", dated(3_000..5_000)),
        ("app.log", dated(5_000..6_000)),
        ("app.log.bak", dated(5_000..6_000)),
    ] {
        append(&log.beside(name), text);
    }
    for number in 2..=4 {
        pack("gzip", &log.beside(&format!("app.log.{number}")));
    }
    for first in [0, 999, 1_000, 2_001, 3_000, 4_444, 5_000, 5_500, 6_000] {
        let since = Timestamp::from_micros(1_770_000_000_000_000 + first * 1_000_000);
        let start = Start {
            cursors: Vec::new(),
            since,
        };
        let reading = Reading::start(&log.spec(), start);
        let mut heard = Heard::default();
        heard.messages(&reading, 2 * (6_000 - first as usize));
        heard.nothing_more(&reading, Duration::from_millis(100));
        let told = heard.messages.iter().step_by(2);
        assert!(
            told.eq((first..6_000)
                .map(|second| format!("at {second}"))
                .collect::<Vec<_>>()
                .iter()),
            "{first}"
        );
        reading.end();
        let reading = Reading::start(&log.spec(), heard.start());
        heard.nothing_more(&reading, Duration::from_millis(20));
        reading.end();
    }
}

#[test]
fn an_old_log_without_dates_is_read_from_its_end() {
    // The second one is longer than what is looked through for a date.
    for many in [50_000, 1_000_000] {
        let log = Log::new();
        log.append(lines(0..many));
        log.append("half a ");
        // The place is known before there is anything to read.
        let (reading, mut heard) = log.follow();
        assert_eq!(heard.messages.len(), 0);
        reading.end();
        log.append("line\n");
        let reading = Reading::start(&log.spec(), heard.start());
        heard.messages(&reading, 1);
        assert_eq!(heard.messages, ["half a line"]);
        reading.end();
    }
}

#[test]
fn a_cursor_that_is_not_understood_leaves_the_times() {
    let log = Log::new();
    log.append(dated(0..100));
    let stream = Stream {
        source: "files".parse().unwrap(),
        part: log.path.to_str().unwrap().into(),
    };
    for token in [
        "",
        "7;1;2",
        "1;0;0.0.ffff.0.0",
        "s=1;i=2",
        "1;;;;",
        "1;0;1.2.3.4.5.6.7",
    ] {
        let cursor = Cursor {
            token: token.to_owned(),
            time: EVER,
        };
        let since = Timestamp::from_micros(1_770_000_090_000_000);
        let cursors = vec![(stream.clone(), cursor)];
        let reading = Reading::start(&log.spec(), Start { cursors, since });
        let mut heard = Heard::default();
        heard.messages(&reading, 20);
        assert_eq!(heard.messages[0], "at 90", "{token}");
        reading.end();
    }
}

#[test]
fn files_that_appear_later_are_read_from_their_start() {
    let directory = tempfile::tempdir().unwrap();
    let glob = directory.path().join("*/app*.log");
    let other = directory.path().join("*/app-b.log");
    let mut heard = Heard::default();
    let reading = Reading::start(&spec(&[&glob, &other]), heard.start());
    reading.silent_for(Duration::from_millis(20));
    fs::create_dir(directory.path().join("one")).unwrap();
    append(&directory.path().join("one/app-a.log"), lines(0..2));
    heard.messages(&reading, 2);
    append(&directory.path().join("one/app-b.log"), lines(2..3));
    append(&directory.path().join("one/other"), "not wanted\n");
    append(
        &directory.path().join("one/app-old.log.1.gz"),
        "not wanted\n",
    );
    heard.messages(&reading, 3);
    assert_eq!(heard.messages, numbers(0..3));
    assert_eq!(heard.routes, [vec![0], vec![0], vec![0, 1]]);
    let parts: Vec<_> = heard
        .cursors
        .keys()
        .map(|stream| stream.part.rsplit('/').next().unwrap())
        .collect();
    assert_eq!(parts, ["app-a.log", "app-b.log"]);
    reading.end();
}

#[test]
fn a_link_is_followed_to_where_the_file_is_turned_over() {
    let log = Log::new();
    let pods = ["pod-a", "pod-b"].map(|name| log.beside(name));
    for pod in &pods {
        fs::create_dir(pod).unwrap();
    }
    let link = log.beside("web_default_nginx.log");
    let real = pods[0].join("0.log");
    append(&real, "");
    symlink(&real, &link).unwrap();
    let spec = spec(&[&link]);
    let (reading, mut heard) = follow(&spec);
    append(&real, lines(0..5));
    heard.messages(&reading, 5);
    // As the kubelet does it.
    fs::rename(&real, pods[0].join("0.log.20261121-101010")).unwrap();
    append(&real, lines(5..10));
    heard.messages(&reading, 10);
    reading.end();
    append(&real, lines(10..15));
    for (name, next) in [("0.log.20261121-111111", 15), ("0.log.20261121-121212", 20)] {
        fs::rename(&real, pods[0].join(name)).unwrap();
        append(&real, lines(next..next + 5));
    }
    let reading = Reading::start(&spec, heard.start());
    heard.messages(&reading, 25);
    // The link leads somewhere else, but somebody writes on.
    let next = pods[1].join("1.log");
    append(&next, lines(25..30));
    symlink(&next, log.beside("new")).unwrap();
    log.rename("new", "web_default_nginx.log");
    heard.messages(&reading, 30);
    append(&real, lines(30..31));
    heard.messages(&reading, 31);
    append(&next, lines(31..32));
    heard.messages(&reading, 32);
    reading.end();
    fs::rename(&next, pods[1].join("1.log.20261121-131313")).unwrap();
    append(&next, lines(32..33));
    let reading = Reading::start(&spec, heard.start());
    heard.messages(&reading, 33);
    assert_eq!(heard.messages, numbers(0..33));
    reading.end();
}

#[test]
fn a_glob_that_catches_rotated_files_reads_nothing_twice() {
    let log = Log::new();
    let spec = spec(&[&log.beside("*")]);
    let (mut reading, mut heard) = follow(&spec);
    log.append(lines(0..5));
    heard.messages(&reading, 5);
    for generation in 1..6 {
        log.rename("app.log", &format!("app.log.{generation}"));
        log.append(lines(generation * 5..generation * 5 + 5));
        heard.messages(&reading, generation * 5 + 5);
        // Under a name that no rotation gives, and by a second name.
        log.rename(
            &format!("app.log.{generation}"),
            &format!("kept-{generation}"),
        );
        if generation == 3 {
            symlink(&log.path, log.beside("link")).unwrap();
            reading.end();
            reading = Reading::start(&spec, heard.start());
        }
    }
    log.append(lines(30..31));
    heard.messages(&reading, 31);
    reading.silent_for(Duration::from_millis(100));
    assert_eq!(heard.messages, numbers(0..31));
    reading.end();
}

#[test]
fn a_link_that_leads_nowhere_for_a_moment_is_no_log_of_its_own() {
    let log = Log::new();
    let (reading, mut heard) = follow(&spec(&[&log.beside("*")]));
    log.append(lines(0..1));
    heard.messages(&reading, 1);
    symlink("app.log", log.beside("link")).unwrap();
    log.rename("app.log", "app.log.1");
    // When this one is read, the directory has been looked through.
    append(&log.beside("other"), lines(1..2));
    heard.messages(&reading, 2);
    log.append(lines(2..3));
    heard.messages(&reading, 3);
    append(&log.beside("another"), lines(3..4));
    heard.messages(&reading, 4);
    heard.nothing_more(&reading, Duration::from_millis(100));
    assert_eq!(heard.messages, numbers(0..4));
    reading.end();
}

#[test]
fn more_names_of_a_file_than_are_remembered_are_told_and_read_once() {
    let log = Log::new();
    let (reading, mut heard) = log.follow();
    log.append(lines(0..1));
    heard.messages(&reading, 1);
    reading.end();
    for number in 0..1_030 {
        fs::hard_link(&log.path, log.beside(&format!("name-{number:04}"))).unwrap();
    }
    let reading = Reading::start(&spec(&[&log.path, &log.beside("*")]), heard.start());
    let reason = heard.unreadable(&reading);
    assert!(reason.contains("1024 files or more"), "{reason}");
    assert!(reason.contains("name-1024"), "{reason}");
    // What comes now may be one more, which nobody could remember.
    append(&log.beside("other"), lines(5..6));
    log.append(lines(1..2));
    heard.messages(&reading, 2);
    heard.nothing_more(&reading, Duration::from_millis(100));
    assert_eq!(heard.troubles, []);
    reading.end();
}

/// Somebody may keep others from opening a file for a while, as file servers do. Whether it is another log's file is then
/// not known, as it is not when there are no descriptors; and it must not be read again as a log of its own.
#[test]
fn a_second_name_that_cannot_be_opened_at_first_is_read_once() {
    let log = Log::new();
    let (reading, mut heard) = log.follow();
    log.append(lines(0..1));
    heard.messages(&reading, 1);
    reading.end();
    let second = log.beside("second");
    fs::hard_link(&log.path, &second).unwrap();
    let script = "import fcntl, signal, sys
signal.signal(signal.SIGIO, signal.SIG_IGN)
log = open(sys.argv[1], 'r+')
fcntl.fcntl(log, fcntl.F_SETLEASE, fcntl.F_WRLCK)
print('held', flush=True)
sys.stdin.read()";
    let mut holder = Command::new("/usr/bin/python3")
        .args(["-c", script])
        .arg(&second)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut held = [0; 5];
    holder.stdout.take().unwrap().read_exact(&mut held).unwrap();
    let reading = Reading::start(&spec(&[&log.path, &log.beside("*")]), heard.start());
    let told = heard.unreadable(&reading) + &heard.unreadable(&reading);
    assert!(told.contains(second.to_str().unwrap()), "{told}");
    drop(holder.stdin.take());
    assert!(holder.wait().unwrap().success());
    heard.recovered(&reading);
    log.append(lines(1..2));
    heard.messages(&reading, 2);
    heard.nothing_more(&reading, Duration::from_millis(100));
    assert_eq!(heard.messages, numbers(0..2));
    reading.end();
}

#[test]
fn a_log_that_was_taken_for_a_rotated_one_is_read_on() {
    let log = Log::new();
    let spec = spec(&[&log.beside("*.log")]);
    let (reading, mut heard) = follow(&spec);
    log.append(lines(0..1));
    heard.messages(&reading, 1);
    reading.end();
    let worker = log.beside("app-1.log");
    append(&worker, "line 1\nha");
    let reading = Reading::start(&spec, heard.start());
    heard.messages(&reading, 2);
    // As many as are not kept open for those who still write to them.
    for number in 0..9 {
        log.rename("app.log", &format!("app.log.{}", 100 - number));
        log.append(lines(number + 2..number + 3));
        heard.messages(&reading, 3 + number + usize::from(number == 8));
    }
    heard.messages.retain(|line| line != "ha");
    assert_eq!(heard.messages, numbers(0..11));
    // Until nobody looks for files any more that were just renamed.
    heard.nothing_more(&reading, Duration::from_millis(200));
    // What is left of a line that was taken as it was is none.
    append(&worker, "lf a line\nline 11\n");
    heard.messages(&reading, 12);
    assert_eq!(heard.messages, numbers(0..12));
    assert_eq!(heard.cut, 1);
    reading.end();
}

#[test]
fn a_log_that_is_written_over_in_its_place_is_another_one() {
    let log = Log::new();
    let (reading, mut heard) = log.follow();
    log.append(lines(10..20));
    heard.messages(&reading, 10);
    reading.silent_for(Duration::from_millis(20));
    let mut over = OpenOptions::new().write(true).open(&log.path).unwrap();
    over.write_all(lines(20..30).as_bytes()).unwrap();
    heard.messages(&reading, 20);
    assert_eq!(heard.messages, numbers(10..30));
    reading.end();
}

#[test]
fn a_log_that_is_named_is_followed_whatever_its_name() {
    let log = Log::new();
    let worker = log.beside("app-1.log");
    append(&worker, "");
    // Once taken for a rotated file.
    let (reading, mut heard) = follow(&spec(&[&log.beside("*.log")]));
    reading.end();
    append(&worker, lines(0..1));
    let reading = Reading::start(&spec(&[&log.beside("*.log")]), heard.start());
    heard.messages(&reading, 1);
    reading.end();
    let both = spec(&[&log.beside("*.log"), &worker]);
    let reading = Reading::start(&both, heard.start());
    let is_there = |heard: &Heard| {
        heard
            .cursors
            .keys()
            .any(|stream| stream.part.ends_with("-1.log"))
    };
    while !is_there(&heard) {
        heard.hear(reading.next());
    }
    append(&worker, lines(1..2));
    heard.messages(&reading, 2);
    assert_eq!(heard.messages, numbers(0..2));
    reading.end();
}

// ---- What lines can be ----

#[test]
fn half_a_line_waits_for_its_end_and_a_restart() {
    let log = Log::new();
    let (reading, mut heard) = log.follow();
    log.append("one\nha");
    heard.messages(&reading, 1);
    log.append("lf a");
    reading.silent_for(Duration::from_millis(30));
    reading.end();
    let reading = Reading::start(&log.spec(), heard.start());
    log.append(" line\ntwo\n");
    heard.messages(&reading, 3);
    assert_eq!(heard.messages, ["one", "half a line", "two"]);
    reading.end();
}

#[test]
fn half_a_record_waits_for_its_end_and_a_restart() {
    let log = Log::new();
    let mut spec = log.spec();
    spec.form.format = Format::Cri(Default::default());
    let part = |tag: char, text: &str| format!("2026-02-12T14:10:21.5Z stdout {tag} {text}\n");
    log.append(part('F', "one") + &part('P', "half a "));
    let mut heard = Heard::default();
    let reading = Reading::start(&spec, heard.start());
    heard.messages(&reading, 1);
    reading.end();
    log.append(part('F', "line"));
    let reading = Reading::start(&spec, heard.start());
    heard.messages(&reading, 2);
    assert_eq!(heard.messages, ["one", "half a line"]);
    reading.end();
}

/// A log of a container, whose lines come in parts between each other.
fn in_parts() -> (Vec<String>, Vec<&'static str>) {
    let parts = [
        ("stdout", 'F', "one"),
        ("stdout", 'P', "Feb 12 14:10:21 box sshd[1]: "),
        ("stderr", 'P', "three"),
        ("stdout", 'P', "denied "),
        ("stderr", 'F', " Feb 12 14:10:21 box sshd[2]: lie"),
        ("stderr", 'P', "four "),
        ("stdout", 'P', "Feb 12 14:10:21 box sshd[3]: lie"),
        ("stderr", 'P', "goes "),
        ("stderr", 'P', "on"),
        ("stdout", 'F', " and more"),
        ("stdout", 'F', "five"),
        ("stderr", 'F', " and ends"),
        ("stderr", 'F', "six"),
    ];
    let part = |(at, (output, tag, text)): (usize, &(&str, char, &str))| {
        format!("2026-02-12T14:10:{at:02}Z {output} {tag} {text}\n")
    };
    let lines = vec![
        "one",
        "three Feb 12 14:10:21 box sshd[2]: lie",
        "denied Feb 12 14:10:21 box sshd[3]: lie and more",
        "five",
        "four goes on and ends",
        "six",
    ];
    (parts.iter().enumerate().map(part).collect(), lines)
}

fn of_container(log: &Log) -> FilesSpec {
    let mut spec = log.spec();
    spec.form.format = Format::Cri(Default::default());
    spec
}

#[test]
fn lines_in_parts_are_read_once_wherever_the_reader_is_killed() {
    let (parts, lines) = in_parts();
    for killed in 0..=parts.len() {
        for again in [0, 1, 4] {
            let log = Log::new();
            let spec = of_container(&log);
            let (mut reading, mut heard) = follow(&spec);
            let stops = [killed, (killed + again).min(parts.len())];
            let mut from = 0;
            for stop in stops {
                // Whatever has been handed on by then, and what has not.
                log.append(parts[from..stop].concat());
                let whole = 0..lines.len();
                let over = whole.filter(|line| stop >= ENDS[*line]).count();
                heard.messages(&reading, over);
                reading.end();
                reading = Reading::start(&spec, heard.start());
                from = stop;
            }
            log.append(parts[from..].concat());
            heard.messages(&reading, lines.len());
            heard.nothing_more(&reading, Duration::from_millis(5));
            assert_eq!(heard.messages, lines, "killed behind {stops:?}");
            assert_eq!(heard.cut, 0);
            reading.end();
        }
    }
}

/// Behind how many parts each line of [`in_parts`] is over.
const ENDS: [usize; 6] = [1, 5, 10, 11, 12, 13];

#[test]
fn lines_in_parts_go_on_in_the_next_file() {
    let (parts, lines) = in_parts();
    for turned in 0..=parts.len() {
        for killed in [false, true] {
            let log = Log::new();
            let spec = of_container(&log);
            let (reading, mut heard) = follow(&spec);
            log.append(parts[..turned].concat());
            let over = ENDS.iter().filter(|end| turned >= **end).count();
            heard.messages(&reading, over);
            let turn_over = || {
                log.rename("app.log", "app.log.1");
                log.append(parts[turned..].concat());
            };
            let reading = if killed {
                reading.end();
                turn_over();
                Reading::start(&spec, heard.start())
            } else {
                turn_over();
                reading
            };
            heard.messages(&reading, lines.len());
            heard.nothing_more(&reading, Duration::from_millis(5));
            assert_eq!(heard.messages, lines, "turned over behind {turned}");
            assert_eq!(heard.cut, 0);
            reading.end();
        }
    }
}

#[test]
fn no_tail_of_a_line_in_parts_passes_for_a_line() {
    let (parts, lines) = in_parts();
    for gone in 0..=parts.len() {
        let log = Log::new();
        let spec = of_container(&log);
        log.append("2026-02-12T14:10:00Z stdout F zero\n");
        let mut heard = Heard::default();
        let reading = Reading::start(&spec, heard.start());
        heard.messages(&reading, 1);
        log.append(parts[..gone].concat());
        let over = (0..lines.len()).filter(|line| ENDS[*line] <= gone);
        heard.messages(&reading, 1 + over.count());
        reading.end();
        // The file is gone for good, and with it the beginnings of lines. Which ones, nobody knows.
        fs::write(log.beside("new"), parts[gone..].concat()).unwrap();
        log.rename("new", "app.log");
        let reading = Reading::start(&spec, heard.start());
        let tail = |output: &'static [usize]| output.iter().find(|line| ENDS[**line] > gone);
        let tails = [tail(&STDOUT), tail(&STDERR)];
        let whole = |line: &usize| !tails.contains(&Some(line));
        let expected: Vec<_> = (0..lines.len())
            .filter(whole)
            .map(|line| lines[line])
            .collect();
        heard.messages(&reading, 1 + expected.len());
        let cut = tails.iter().flatten().count() as u64;
        while heard.cut < cut {
            heard.hear(reading.next());
        }
        heard.nothing_more(&reading, Duration::from_millis(5));
        assert_eq!(heard.messages[1..], expected, "gone behind {gone}");
        assert_eq!(heard.cut, cut);
        reading.end();
    }
}

/// The lines of [`in_parts`] by their outputs.
const STDOUT: [usize; 3] = [0, 2, 3];
const STDERR: [usize; 3] = [1, 4, 5];

#[test]
fn an_old_log_of_a_container_begins_with_a_whole_line() {
    let log = Log::new();
    let time = |second: usize| {
        Timestamp::from_micros(1_770_000_000_000_000 + second as i64 * 1_000_000).to_string()
    };
    let line = |number: usize| {
        let (first, second) = (time(2 * number), time(2 * number + 1));
        format!("{first} stdout P begin\n{second} stdout F  of {number}\n")
    };
    let many = 5_000;
    log.append((0..many).map(line).collect::<String>());
    for first in [0, 1, 2, 3, 5_001, 5_002, 9_998, 9_999] {
        let start = Start {
            cursors: Vec::new(),
            since: Timestamp::from_micros(1_770_000_000_000_000 + first * 1_000_000),
        };
        let reading = Reading::start(&of_container(&log), start);
        let mut heard = Heard::default();
        let first = first as usize / 2;
        heard.messages(&reading, many - first);
        assert_eq!(heard.messages[0], format!("begin of {first}"));
        assert_eq!(heard.cut, 0);
        reading.end();
    }
}

/// Also if the line before the first one that matters is where the search for it ended.
#[test]
fn an_old_log_of_a_container_loses_no_line_wherever_it_begins() {
    let log = Log::new();
    let time = |second: i64| Timestamp::from_micros(1_770_000_000_000_000 + second * 1_000_000);
    let line = |number: i64| {
        let time = time(number);
        format!("{time} stdout F line {number:05} with some more text in it\n")
    };
    let many = 1_000;
    log.append((0..many).map(line).collect::<String>());
    // In the middle, where a search begins.
    for first in many / 2 - 1..many / 2 + 4 {
        let start = Start {
            cursors: Vec::new(),
            since: time(first),
        };
        let reading = Reading::start(&of_container(&log), start);
        let mut heard = Heard::default();
        let last = format!("line {:05} with some more text in it", many - 1);
        while heard.messages.last() != Some(&last) {
            heard.hear(reading.next());
        }
        assert_eq!(heard.messages.len() as i64, many - first, "from {first}");
        assert_eq!(heard.cut, 0, "from {first}");
        reading.end();
    }
}

#[test]
fn a_long_line_of_json_is_understood_as_a_whole_or_not_at_all() {
    let log = Log::new();
    let mut spec = log.spec();
    spec.form.format = Format::Json(Default::default());
    let (reading, mut heard) = follow(&spec);
    let docker = |text: &str| {
        format!(r#"{{"log":"{text}\n","stream":"stdout","time":"2026-02-12T14:10:21Z"}}"#) + "\n"
    };
    // As much as Docker puts into one line, each byte of which takes six.
    log.append(docker(&("\\u0001".repeat(16 * 1024 - 5) + "<end>")));
    log.append(docker(&"x".repeat(LONGEST_LINE)));
    // Each output may be on its way then.
    log.append(docker("a tail") + &docker("next"));
    let plain = |text: &str| format!("{{\"msg\":\"{text}\"}}\n");
    log.append(plain(&"x".repeat(2 * LONGEST_LINE)) + &plain("after it"));
    heard.messages(&reading, 3);
    assert_eq!(heard.messages[0].len(), 16 * 1024);
    assert_eq!(heard.messages[1..], ["next", "after it"]);
    // None of it is of Docker, so that no line of it goes on.
    let cursor = heard.cursors.values().next().unwrap();
    assert!(!cursor.token.contains('-'), "{}", cursor.token);
    reading.end();
    // Two and the tail were lost.
    assert_eq!(heard.cut, 3);
}

#[test]
fn the_last_line_of_an_old_file_needs_no_end() {
    if !is_there("gzip") {
        return;
    }
    let log = Log::new();
    let (reading, mut heard) = log.follow();
    log.append("one\n");
    heard.messages(&reading, 1);
    reading.end();
    log.append("two\nthr");
    log.append("ee");
    log.rename("app.log", "app.log.1");
    pack("gzip", &log.beside("app.log.1"));
    log.append("four\nfive");
    let reading = Reading::start(&log.spec(), heard.start());
    heard.messages(&reading, 4);
    // As many as are not kept open for those who still write to them.
    for number in 0..9 {
        log.rename("app.log", &format!("app.log.{}", 100 - number));
        log.append(lines(number..number + 1));
        heard.messages(&reading, 5 + number + usize::from(number == 8));
    }
    heard.messages.sort_unstable();
    let mut expected = numbers(0..9);
    expected.extend(["one", "two", "three", "four", "five"].map(str::to_owned));
    expected.sort_unstable();
    assert_eq!(heard.messages, expected);
    reading.end();
}

#[test]
fn half_an_object_at_the_end_of_an_old_file_is_no_record() {
    if !is_there("gzip") {
        return;
    }
    for format in [Format::Any, Format::Json(Default::default())] {
        let log = Log::new();
        let mut spec = log.spec();
        spec.form.format = format;
        let (reading, mut heard) = follow(&spec);
        reading.end();
        log.append("{\"msg\":\"one\"}\n{\"msg\":\"192.0.2.7\",\"mo");
        log.rename("app.log", "app.log.1");
        pack("gzip", &log.beside("app.log.1"));
        log.append("{\"msg\":\"two\"}\n");
        let reading = Reading::start(&spec, heard.start());
        heard.messages(&reading, 2);
        reading.end();
        assert_eq!(heard.messages, ["one", "two"]);
        assert_eq!(heard.cut, 1);
    }
}

#[test]
fn hostile_bytes_leave_the_rest_whole() {
    let log = Log::new();
    let (reading, mut heard) = log.follow();
    let long = "x".repeat(1_000_000);
    log.append(format!("a\0b\r\n{long}\nnext\n"));
    log.append(b"\xff\xfe\xc3\x28 bytes\n");
    log.append("a\rb\n");
    log.append([&[0; 70_000][..], b"behind a hole\n"].concat());
    heard.messages(&reading, 6);
    assert_eq!(heard.messages[0], "a\0b");
    assert_eq!(heard.messages[1], "x".repeat(LONGEST_MESSAGE));
    assert_eq!(heard.messages[2], "next");
    assert!(heard.messages[3].ends_with("( bytes"));
    assert_eq!(heard.messages[4..], ["a\rb", "behind a hole"]);
    assert_eq!(heard.cut, 1);
    reading.end();
}

#[test]
fn what_is_left_of_a_cut_line_does_not_pass_for_a_line() {
    let log = Log::new();
    let spec = FilesSpec {
        encoding: "utf-16le".parse().unwrap(),
        ..log.spec()
    };
    let little =
        |text: &str| -> Vec<u8> { text.encode_utf16().flat_map(u16::to_le_bytes).collect() };
    let (reading, mut heard) = follow(&spec);
    // What stands before the message leaves less of it than a message may have.
    let host = "x".repeat(LONGEST_LINE / 2 - 1000);
    let long = "y".repeat(2000);
    log.append(little(&format!(
        "2026-02-12T14:10:21Z {host} app: {long}\nnext\n"
    )));
    heard.messages(&reading, 1);
    assert_eq!((&heard.messages[0][..], heard.cut), ("next", 1));
    reading.end();
}

#[test]
fn other_encodings_are_decoded() {
    let wide = |text: &str, unit: fn(u16) -> [u8; 2]| {
        text.encode_utf16().flat_map(unit).collect::<Vec<u8>>()
    };
    let little = |text: &str| wide(text, u16::to_le_bytes);
    let big = |text: &str| wide(text, u16::to_be_bytes);
    let chinese = |text: &str| encoding_rs::GB18030.encode(text).0.into_owned();
    let plain = |text: &str| text.as_bytes().to_vec();
    type Encode<'a> = &'a dyn Fn(&str) -> Vec<u8>;
    let cases: [(&str, &[u8], Encode<'_>); 5] = [
        ("utf-8", b"\xff\xfe", &little),
        ("utf-8", b"\xfe\xff", &big),
        ("utf-16le", b"", &little),
        ("utf-8", b"\xef\xbb\xbf", &plain),
        ("gb18030", b"", &chinese),
    ];
    for (encoding, mark, encode) in cases {
        let log = Log::new();
        let spec = FilesSpec {
            encoding: encoding.parse().unwrap(),
            ..log.spec()
        };
        let (reading, mut heard) = follow(&spec);
        let first = [mark, &encode("2026-02-12T14:10:21Z host app: grüße Ċ\r\n")].concat();
        // In pieces, one of which ends within a letter.
        for piece in [&first[..1], &first[1..31], &first[31..]] {
            log.append(piece);
        }
        log.append(encode("second 上\n"));
        heard.messages(&reading, 2);
        assert_eq!(heard.messages, ["grüße Ċ", "second 上"], "{encoding}");
        assert_eq!(heard.times[0].to_string(), "2026-02-12T14:10:21Z");
        reading.end();
        // Behind a cursor the mark counts too.
        log.append(encode("third 上\n"));
        let reading = Reading::start(&spec, heard.start());
        heard.messages(&reading, 3);
        assert_eq!(heard.messages[2], "third 上", "{encoding}");
        reading.end();
    }
}

#[test]
fn a_packed_log_is_opened_by_its_first_bytes() {
    let log = Log::new();
    for program in ["gzip", "xz", "zstd"] {
        if !is_there(program) {
            return;
        }
        log.append(lines(0..1000));
        pack(program, &log.path);
        let packed = fs::read_dir(log.directory.path())
            .unwrap()
            .flatten()
            .next()
            .unwrap()
            .path();
        // Packed files are often put together; and names may lie.
        let twice = fs::read(&packed).unwrap().repeat(2);
        fs::remove_file(&packed).unwrap();
        fs::write(log.beside("any"), twice).unwrap();
        let mut text = String::new();
        open(File::open(log.beside("any")).unwrap())
            .unwrap()
            .read_to_string(&mut text)
            .unwrap();
        assert_eq!(text, lines(0..1000).repeat(2), "{program}");
        fs::remove_file(log.beside("any")).unwrap();
    }
    log.append(lines(0..3));
    let mut text = String::new();
    open(File::open(&log.path).unwrap())
        .unwrap()
        .read_to_string(&mut text)
        .unwrap();
    assert_eq!(text, lines(0..3));
}

// ---- What can be wrong ----

#[test]
fn what_is_no_file_is_told_once_and_the_others_go_on() {
    let log = Log::new();
    let made = Command::new("mkfifo")
        .arg(log.beside("pipe"))
        .status()
        .unwrap();
    assert!(made.success());
    fs::remove_file(&log.path).unwrap();
    fs::create_dir(log.beside("directory")).unwrap();
    symlink(log.beside("loop"), log.beside("loop")).unwrap();
    symlink("/dev/null", log.beside("device")).unwrap();
    let bad = ["pipe", "directory", "loop", "device"].map(|name| log.beside(name));
    let mut globs: Vec<&Path> = bad.iter().map(PathBuf::as_path).collect();
    globs.push(&log.path);
    let mut heard = Heard::default();
    let reading = Reading::start(&spec(&globs), heard.start());
    let mut reasons: Vec<_> = (0..4).map(|_| heard.unreadable(&reading)).collect();
    reasons.sort();
    for path in &bad {
        let told = reasons
            .iter()
            .filter(|reason| reason.contains(path.to_str().unwrap()));
        assert_eq!(told.count(), 1, "{reasons:?}");
    }
    log.append(lines(0..1));
    heard.messages(&reading, 1);
    reading.silent_for(Duration::from_millis(1_200));
    // One after the other becomes a file.
    for path in &bad {
        fs::remove_file(path)
            .or_else(|_| fs::remove_dir(path))
            .unwrap();
        append(path, "now a file\n");
    }
    heard.recovered(&reading);
    while heard.messages.len() < 5 {
        heard.hear(reading.next());
    }
    assert!(heard.troubles.is_empty());
    reading.end();
}

fn become_user(number: u32) {
    rustix::thread::set_thread_groups(&[]).unwrap();
    let gid = Gid::from_raw(number);
    rustix::thread::set_thread_res_gid(gid, gid, gid).unwrap();
    let uid = Uid::from_raw(number);
    rustix::thread::set_thread_res_uid(uid, uid, uid).unwrap();
}

/// Whether this is root; a loud word if not.
fn is_root() -> bool {
    rustix::process::geteuid().is_root() || skipped::<()>("not root").is_some()
}

#[test]
fn permission_can_be_withdrawn_and_given_back() {
    if !is_root() {
        return;
    }
    let log = Log::new();
    let permit =
        |path: &Path, mode| fs::set_permissions(path, Permissions::from_mode(mode)).unwrap();
    permit(log.directory.path(), 0o755);
    let other = log.beside("other.log");
    let spec = spec(&[&log.path, &other]);
    append(&other, "");
    let mut heard = Heard::default();
    let reading = Reading::start_as(&spec, heard.start(), || become_user(65_534));
    heard.hear(reading.next());
    heard.hear(reading.next());
    log.append(lines(0..1));
    heard.messages(&reading, 1);
    // What is open can be read on.
    permit(&log.path, 0o600);
    log.append(lines(1..2));
    heard.messages(&reading, 2);
    log.rename("app.log", "app.log.1");
    log.append(lines(2..3));
    permit(&log.path, 0o600);
    fs::rename(&log.path, log.beside("hidden")).unwrap();
    fs::rename(log.beside("hidden"), &log.path).unwrap();
    append(&other, lines(10..11));
    let _ = heard.unreadable(&reading);
    while heard.messages.len() < 3 {
        heard.hear(reading.next());
    }
    append(&log.beside("app.log.1"), lines(11..12));
    while heard.messages.len() < 4 {
        heard.hear(reading.next());
    }
    permit(&log.path, 0o644);
    heard.recovered(&reading);
    while heard.messages.len() < 5 {
        heard.hear(reading.next());
    }
    heard.messages.sort();
    assert_eq!(
        heard.messages,
        [numbers(0..2), numbers(10..12), numbers(2..3)].concat()
    );
    // The whole directory.
    permit(log.directory.path(), 0o700);
    let reason = heard.unreadable(&reading);
    assert!(
        reason.contains("no permission") && reason.contains("group"),
        "{reason}"
    );
    permit(log.directory.path(), 0o755);
    heard.recovered(&reading);
    reading.end();
}

#[test]
fn a_directory_can_vanish_and_return() {
    let log = Log::new();
    let directory = log.beside("logs");
    let path = directory.join("app.log");
    let mut heard = Heard::default();
    let reading = Reading::start(&spec(&[&path, &directory.join("*.txt")]), heard.start());
    let reason = heard.unreadable(&reading);
    assert!(reason.contains(directory.to_str().unwrap()), "{reason}");
    fs::create_dir(&directory).unwrap();
    heard.recovered(&reading);
    append(&path, lines(0..1));
    heard.messages(&reading, 1);
    fs::remove_dir_all(&directory).unwrap();
    heard.unreadable(&reading);
    fs::create_dir(&directory).unwrap();
    append(&path, lines(1..2));
    heard.recovered(&reading);
    append(&path, lines(2..3));
    while heard.messages.len() < 3 {
        heard.hear(reading.next());
    }
    assert_eq!(heard.messages, numbers(0..3));
    reading.end();
}

#[test]
fn without_hints_files_are_looked_at() {
    if !is_root() {
        return;
    }
    let log = Log::new();
    fs::set_permissions(log.directory.path(), Permissions::from_mode(0o755)).unwrap();
    let (reading, mut heard) = log.follow();
    reading.end();
    // One instance too many for this user, and none is left.
    let (sender, full) = mpsc::channel();
    let reading = Reading::start_as(&log.spec(), heard.start(), move || {
        become_user(65_533);
        let mut instances = Vec::new();
        while let Ok(instance) = inotify::Inotify::init() {
            instances.push(instance);
        }
        sender.send(instances).unwrap();
    });
    let instances = full.recv_timeout(DEADLINE).unwrap();
    log.append(lines(0..1));
    heard.messages(&reading, 1);
    log.rename("app.log", "app.log.1");
    append(&log.beside("app.log.1"), lines(1..2));
    log.append(lines(2..3));
    heard.messages(&reading, 3);
    assert_eq!(heard.messages, numbers(0..3));
    drop(instances);
    reading.end();
}

// ---- How it ends and what it costs ----

/// A sieve that lets only lines through that hold this text.
fn sieve(text: &str) -> Arc<Sieve> {
    let pattern = PatternSpec {
        number: 1,
        text: format!("^{text} <ip>$"),
        fields: Vec::new(),
        unless_counted: false,
    };
    let filters = FilterSet::compile(vec![FilterSpec {
        name: "test".parse().unwrap(),
        mode: "normal".into(),
        title: "Test".to_owned(),
        records: RecordsSpec::default(),
        session_by_pid: false,
        failures: vec![pattern],
        outcome: Outcome::Failure,
        successes: Vec::new(),
        ignores: Vec::new(),
        others: Vec::new(),
        lines: None,
    }]);
    Arc::new(filters.unwrap().sieve(&[FilterId(0)]).unwrap())
}

#[test]
fn lines_that_mean_nothing_are_told_of_now_and_then() {
    const QUIET: usize = 200;
    let log = Log::new();
    let line = |text: &str| format!("2026-02-12T14:10:21Z box app[1]: {text} 192.0.2.7\n");
    let spec = FilesSpec {
        sieve: Some(sieve("login failed")),
        ..log.spec()
    };
    let (reading, mut heard) = follow(&spec);
    // Until a date has been seen, each line is read.
    log.append(line("login failed"));
    heard.messages(&reading, 1);
    let path = log.path.clone();
    let writer = std::thread::spawn(move || {
        for _ in 0..QUIET {
            append(&path, line("all is well with"));
            std::thread::sleep(Duration::from_millis(5));
        }
        append(&path, line("login failed"));
    });
    let (mut deliveries, mut lines) = (0, 0);
    while heard
        .messages
        .iter()
        .filter(|text| text.contains("failed"))
        .count()
        < 2
    {
        let delivery = reading.next();
        deliveries += 1;
        if let Delivery::Records { batch, .. } = &delivery {
            lines += batch.heard();
        }
        heard.hear(delivery);
    }
    assert_eq!(lines, QUIET as u64 + 1);
    assert!(deliveries < QUIET / 4, "{deliveries} deliveries");
    writer.join().unwrap();
    reading.end();
}

#[test]
fn a_sample_of_the_lines_that_mean_nothing_is_read() {
    const LINES: usize = 4_000;
    let log = Log::new();
    let line =
        |number: usize| format!("2026-02-12T14:10:21Z box app[1]: all is well {number:05}\n");
    let spec = FilesSpec {
        sieve: Some(sieve("login failed")),
        ..log.spec()
    };
    let (reading, mut heard) = follow(&spec);
    log.append("2026-02-12T14:10:21Z box app[1]: login failed 192.0.2.7\n");
    heard.messages(&reading, 1);
    log.append((0..LINES).map(line).collect::<String>());
    let mut lines = 0;
    while lines < LINES as u64 {
        let delivery = reading.next();
        if let Delivery::Records { batch, .. } = &delivery {
            lines += batch.heard();
        }
        heard.hear(delivery);
    }
    assert_eq!(lines, LINES as u64, "each is counted once");
    // 64 KiB, the first line that is read until a date is known, and the last one of what is read at once.
    let sample = 64 * 1024 / line(0).len();
    let read = heard.messages.len() - 1;
    assert!((sample..sample + 40).contains(&read), "{read} of {sample}");
    let first: Vec<_> = (0..sample)
        .map(|number| format!("all is well {number:05}"))
        .collect();
    assert_eq!(heard.messages[1..=sample], first);
    reading.end();
}

#[test]
fn it_ends_at_once_when_it_is_told_or_nobody_could_tell() {
    let log = Log::new();
    let (reading, mut heard) = log.follow();
    log.append(lines(0..1));
    heard.messages(&reading, 1);
    let told = Instant::now();
    reading.stop.send(true).unwrap();
    // It may be just handing on where it is.
    while reading.deliveries.recv_timeout(DEADLINE).is_ok() {}
    reading.thread.join().unwrap();
    assert!(told.elapsed() < Duration::from_millis(500));
    let reading = Reading::start(&log.spec(), heard.start());
    drop(reading.stop);
    while reading.deliveries.recv_timeout(DEADLINE).is_ok() {}
    reading.thread.join().unwrap();
}
