//! Every line once: real log files, a real logrotate, and a daemon that is killed all the time.
//!
//! A program writes 2,000 numbered attacks a second, logrotate or the program itself turns its log over in every style
//! there is, and the daemon dies at random moments. In the end the database must hold each attack once.

use std::fs::{self, File, OpenOptions};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use crate::support::dice::Dice;
use crate::support::skipped;
use crate::support::wait::{DEADLINE, until};
use crate::support::world::World;

/// Between two lines of the writer.
const PACE: Duration = Duration::from_micros(500);

/// How often the daemon is killed.
const KILLS: usize = 30;

/// How logs are turned over.
struct Style {
    /// For logrotate.conf; `None` if the program turns its log over itself.
    words: Option<&'static str>,
    /// How long the writer goes on with the file it has after it was told of the new one; `None` if it is never
    /// told.
    reopens_after: Option<Duration>,
    /// How often in a row.
    times: usize,
}

#[test]
fn renamed_and_created() {
    survive(Style {
        words: Some("create\nrotate 100"),
        reopens_after: Some(Duration::from_millis(60)),
        times: 1,
    });
}

#[test]
fn renamed_several_times_within_a_second() {
    survive(Style {
        words: Some("create\nrotate 100"),
        reopens_after: Some(Duration::ZERO),
        times: 3,
    });
}

#[test]
fn renamed_and_compressed() {
    survive(Style {
        words: Some("create\nrotate 100\ncompress"),
        reopens_after: Some(Duration::ZERO),
        times: 1,
    });
}

#[test]
fn renamed_and_compressed_later() {
    survive(Style {
        words: Some(
            "create\nrotate 100\ncompress\ndelaycompress\ncompresscmd /usr/bin/xz\ncompressext .xz\ncompressoptions -0",
        ),
        reopens_after: Some(Duration::from_millis(60)),
        times: 1,
    });
}

#[test]
fn renamed_and_compressed_by_zstd() {
    survive(Style {
        words: Some(
            "create\nrotate 100\ncompress\ncompresscmd /usr/bin/zstd\ncompressext .zst\ncompressoptions -1 --quiet",
        ),
        reopens_after: Some(Duration::from_millis(60)),
        times: 1,
    });
}

#[test]
fn renamed_to_a_date() {
    survive(Style {
        words: Some("create\nrotate 100\ndateext\ndateformat -%Y%m%d-%s"),
        reopens_after: Some(Duration::from_millis(60)),
        times: 1,
    });
}

#[test]
fn copied_and_truncated() {
    survive(Style {
        words: Some("copytruncate\nrotate 100"),
        reopens_after: None,
        times: 1,
    });
}

/// As libraries for logging do, when a log has become too large: without logrotate, and the writer waits for it.
#[test]
fn renamed_by_the_program_itself() {
    survive(Style {
        words: None,
        reopens_after: None,
        times: 3,
    });
}

/// Lets the daemon live through one style.
fn survive(style: Style) {
    for program in ["logrotate", "zstd", "xz"] {
        if Command::new(program).arg("--version").output().is_err() {
            return skipped(&format!("{program} is missing")).unwrap_or_default();
        }
    }
    let Some(world) = World::new("enabled = false") else {
        return;
    };
    let logs = tempfile::tempdir().unwrap();
    let log = logs.path().join("app.log");
    fs::create_dir(world.path().join("filters")).unwrap();
    fs::write(
        world.path().join("filters/app.toml"),
        "[records]\nprogram = [\"app\"]\n\n[[failure]]\npattern = '^denied \\d+ from <ip>$'\n",
    )
    .unwrap();
    world.configure(
        "enabled = false",
        &format!("[jail.app]\nmaxretry = 1000\nactions = []\nlogpath = {log:?}\n"),
    );
    let mut dice = Dice::new(7);
    let mut daemon = world.start();
    let writer = Writer::start(&log, style.reopens_after);
    let rotator = style
        .words
        .map(|words| Logrotate::new(&log, words, style.reopens_after.is_some()));
    // A log that comes and goes between two looks was never there.
    until("the log is read", || (counts(&world)[0] > 0).then_some(()));
    for round in 0..KILLS {
        if round % 3 == 0 {
            for _ in 0..style.times {
                match &rotator {
                    Some(rotator) => writer.is_turned_over_by(rotator),
                    None => writer.turns_over(&log),
                }
            }
        }
        // The attack goes on meanwhile; this is no wait for a fact.
        std::thread::sleep(Duration::from_millis(dice.below(80)));
        daemon.kill();
        daemon = world.start_unready();
    }
    let written = writer.stop();
    let start = Instant::now();
    while counts(&world) != [written, written] && start.elapsed() < DEADLINE {
        std::thread::sleep(Duration::from_millis(20));
    }
    assert_eq!(
        counts(&world),
        [written, written],
        "of {written} lines, how many are counted, and how many different ones; missing: {:?}; the daemon said:\n{}",
        missing(&world, written),
        daemon.log()
    );
    daemon.stop();
}

/// How many lines were counted, and how many different ones.
fn counts(world: &World) -> [u32; 2] {
    let counts = world.sql("SELECT count(*), count(DISTINCT line) FROM failures");
    let (all, different) = counts.split_once('|').unwrap();
    [all.parse().unwrap(), different.parse().unwrap()]
}

/// Numbers of lines that were not counted, from and to.
fn missing(world: &World, written: u32) -> Vec<(u32, u32)> {
    let known =
        world.sql("SELECT DISTINCT CAST(substr(line, 8, 7) AS INTEGER) FROM failures ORDER BY 1");
    let mut gaps = Vec::new();
    let mut next = 0;
    for number in known
        .lines()
        .map(|line| line.parse().unwrap())
        .chain([written])
    {
        if number > next {
            gaps.push((next, number - 1));
        }
        next = number + 1;
    }
    gaps
}

/// A program that logs.
struct Writer {
    file: Arc<Mutex<File>>,
    written: Arc<AtomicU32>,
    over: Arc<AtomicBool>,
    thread: JoinHandle<()>,
    /// Whether its log is copied and truncated under it.
    holds_on: bool,
}

impl Writer {
    fn start(log: &Path, reopens_after: Option<Duration>) -> Self {
        let file = Arc::new(Mutex::new(open(log)));
        let written = Arc::new(AtomicU32::new(0));
        let over = Arc::new(AtomicBool::new(false));
        let thread = std::thread::spawn({
            let (log, file) = (log.to_owned(), file.clone());
            let (written, over) = (written.clone(), over.clone());
            move || {
                let mut due = Instant::now();
                let mut told: Option<Instant> = None;
                while !over.load(Ordering::Relaxed) {
                    let number = written.load(Ordering::Relaxed);
                    let [_, b, c, d] = number.to_be_bytes();
                    let now = jiff::Zoned::now().strftime("%b %e %H:%M:%S");
                    let line =
                        format!("{now} host app[1]: denied {number:07} from 10.{b}.{c}.{d}\n");
                    file.lock().unwrap().write_all(line.as_bytes()).unwrap();
                    written.fetch_add(1, Ordering::Relaxed);
                    if let Some(pause) = reopens_after.filter(|_| word_for(&log).exists())
                        && told.get_or_insert_with(Instant::now).elapsed() >= pause
                    {
                        *file.lock().unwrap() = open(&log);
                        fs::remove_file(word_for(&log)).unwrap();
                        told = None;
                    }
                    due += PACE;
                    std::thread::sleep(due.saturating_duration_since(Instant::now()));
                }
            }
        });
        Writer {
            file,
            written,
            over,
            thread,
            holds_on: reopens_after.is_none(),
        }
    }

    /// Lets logrotate do it.
    fn is_turned_over_by(&self, rotator: &Logrotate) {
        // What is written between the copy and the truncation is lost to everybody.
        let _still = self.holds_on.then(|| self.file.lock().unwrap());
        rotator.run();
    }

    /// Gives each file the next higher number, and begins a new one.
    fn turns_over(&self, log: &Path) {
        let mut file = self.file.lock().unwrap();
        let numbered = |number: usize| PathBuf::from(format!("{}.{number}", log.display()));
        let count = (1..)
            .take_while(|number| numbered(*number).exists())
            .count();
        for number in (1..=count).rev() {
            fs::rename(numbered(number), numbered(number + 1)).unwrap();
        }
        fs::rename(log, numbered(1)).unwrap();
        *file = open(log);
    }

    fn stop(self) -> u32 {
        self.over.store(true, Ordering::Relaxed);
        self.thread.join().unwrap();
        self.written.load(Ordering::Relaxed)
    }
}

fn open(log: &Path) -> File {
    OpenOptions::new()
        .append(true)
        .create(true)
        .open(log)
        .unwrap()
}

/// By this file the writer is told that its log was renamed, as others are by a signal.
fn word_for(log: &Path) -> PathBuf {
    log.with_file_name("renamed")
}

/// The real one.
struct Logrotate {
    config: PathBuf,
    state: PathBuf,
}

impl Logrotate {
    /// Which turns a log over as its words say, and tells the writer of it where that `reopens`.
    fn new(log: &Path, words: &str, reopens: bool) -> Self {
        let (config, word) = (log.with_file_name("logrotate.conf"), word_for(log));
        let (log, word) = (log.display(), word.display());
        let script = if reopens {
            format!("postrotate\ntouch {word}; while [ -e {word} ]; do sleep 0.01; done\nendscript")
        } else {
            String::new()
        };
        fs::write(&config, format!("{log} {{\n{words}\n{script}\n}}\n")).unwrap();
        Logrotate {
            state: config.with_extension("state"),
            config,
        }
    }

    fn run(&self) {
        until("logrotate turns the log over", || {
            let output = Command::new("logrotate")
                .arg("--force")
                .arg("--state")
                .args([&self.state, &self.config])
                .output()
                .unwrap();
            let told = String::from_utf8_lossy(&output.stderr).into_owned();
            // Twice within a second there is one name for two.
            let again = told.contains("already exists");
            assert!(output.status.success() || again, "{told}");
            (!again).then_some(())
        });
    }
}
