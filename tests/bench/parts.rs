//! How fast are the parts of looking through a log, and what do they allocate? Each over the same lines of a log, of
//! which one in twenty is a failure, or over failures alone.
//!
//! Run it with `cargo bench --bench parts`. Figures of whole programs are in `contrib/bench.sh matching`; these say where
//! their time goes.

#![expect(clippy::unwrap_used, reason = "a benchmark may panic")]
#![allow(
    dead_code,
    reason = "the whole runs use more of the logs than the parts"
)]

#[path = "../support/dice.rs"]
mod dice;
mod jails;
mod logs;

use std::fs;
use std::sync::LazyLock;

use divan::counter::{BytesCount, ItemsCount};
use divan::{AllocProfiler, Bencher, black_box};
use f2bd::config::{self, Surroundings};
use f2bd::engine::filter::passing::News;
use f2bd::engine::filter::{
    FilterSet, FilterSpec, LineMemory, Outcome, PatternSpec, RecordsSpec, View,
};
use f2bd::engine::policy::{FilterId, Policy};
use f2bd::engine::record::date::Dates;
use f2bd::engine::record::date::template::{DateTemplates, LastDate};
use f2bd::engine::record::line::{LineForm, LineReader};
use f2bd::engine::record::{Batch, Record};
use f2bd::engine::time::Timestamp;
use f2bd::engine::{Engine, Input};
use f2bd::source::file::lines::{LineEnd, Splitter};
use jiff::tz::TimeZone;

#[global_allocator]
static ALLOCATOR: AllocProfiler = AllocProfiler::system();

fn main() {
    divan::main();
}

/// Lines of a log of a system.
static AUTH: LazyLock<Vec<u8>> = LazyLock::new(|| text(logs::auth));

/// Lines of an access log.
static ACCESS: LazyLock<Vec<u8>> = LazyLock::new(|| text(logs::access));

/// How many lines they have: enough not to stay in the processor's first caches.
const LINES: u64 = 20_000;

/// Failures in a hundred lines.
const SHARE: u64 = 5;

fn now() -> Timestamp {
    jiff::Timestamp::now().into()
}

fn text(log: fn(&std::path::Path, u64, u64) -> logs::Log) -> Vec<u8> {
    let home = tempfile::tempdir().unwrap();
    fs::read(log(&home.path().join("log"), LINES, SHARE).path).unwrap()
}

fn lines(text: &[u8]) -> Vec<&[u8]> {
    text.split_inclusive(|byte| *byte == b'\n').collect()
}

/// The records of a log in one batch.
fn records(text: &[u8]) -> Batch {
    let mut reader = LineReader::new(&LineForm::in_zone(TimeZone::UTC), now());
    let mut batch = Batch::default();
    for line in lines(text) {
        batch.push(reader.read(line).unwrap().unwrap());
    }
    batch
}

/// So many filters: sshd's, and those of others.
fn filters(count: usize) -> FilterSet {
    let others = (1..count).map(|number| FilterSpec {
        lines: None,
        name: jails::name(number).parse().unwrap(),
        mode: "normal".into(),
        title: String::new(),
        records: RecordsSpec::default(),
        session_by_pid: false,
        failures: (1..).zip(jails::patterns(number)).map(pattern).collect(),
        ignores: Vec::new(),
        others: Vec::new(),
        outcome: Outcome::Failure,
        successes: Vec::new(),
    });
    let sshd = config::filter("sshd", None, None).unwrap();
    FilterSet::compile([sshd].into_iter().chain(others).collect()).unwrap()
}

fn pattern((number, text): (u16, String)) -> PatternSpec {
    PatternSpec {
        number,
        text,
        fields: Vec::new(),
        unless_counted: false,
    }
}

fn policy() -> Policy {
    let home = tempfile::tempdir().unwrap();
    let path = home.path().join("f2bd.conf");
    fs::write(&path, "[jail.sshd]\n").unwrap();
    let loaded = config::load(Some(&path), Surroundings::Ignore);
    loaded.settings.unwrap().policy
}

/// Where lines end.
#[divan::bench(args = [LineEnd::Byte])]
fn line_ends(bencher: Bencher, end: LineEnd) {
    let text = &*AUTH;
    bencher
        .counter(ItemsCount::new(LINES))
        .counter(BytesCount::new(text.len()))
        .bench(|| {
            let (mut splitter, mut rest) = (Splitter::new(end), text.as_slice());
            let mut count = 0;
            while splitter.next(black_box(&mut rest)).is_some() {
                count += 1;
            }
            count
        });
}

/// Lines that no filter can take, whole buffers of them.
#[divan::bench(args = [1, 1 + jails::OTHERS])]
fn quiet_lines(bencher: Bencher, count: usize) {
    let filters = filters(count);
    let all: Vec<_> = (0..).take(count).map(FilterId).collect();
    let sieve = filters.sieve(&all).unwrap();
    let text = &*AUTH;
    bencher
        .counter(ItemsCount::new(LINES))
        .counter(BytesCount::new(text.len()))
        .bench(|| {
            let (mut news, mut passed) = (News::of(text), 0);
            loop {
                passed += news.pass(&sieve).lines;
                // A line at which it stops is somebody else's.
                match news.line() {
                    b"" => return passed,
                    line => news.bytes = &news.bytes[line.len()..],
                }
            }
        });
}

/// What each line says: date, host, program, message.
#[divan::bench(args = ["auth", "access"])]
fn headers(bencher: Bencher, log: &str) {
    let lines = lines(if log == "auth" { &AUTH } else { &ACCESS });
    let form = LineForm::in_zone(TimeZone::UTC);
    bencher
        .counter(ItemsCount::new(lines.len()))
        .with_inputs(|| LineReader::new(&form, now()))
        .bench_refs(|reader| {
            for line in &lines {
                let _ = black_box(reader.read(line));
            }
        });
}

/// Dates alone, which are all in the same form.
#[divan::bench(args = ["auth", "access"])]
fn dates(bencher: Bencher, log: &str) {
    let lines = lines(if log == "auth" { &AUTH } else { &ACCESS });
    let now = now();
    bencher
        .counter(ItemsCount::new(lines.len()))
        .with_inputs(|| Dates::new(TimeZone::UTC, &[]))
        .bench_refs(|dates| {
            for line in &lines {
                black_box(dates.find(line, 0, now));
            }
        });
}

/// Dates by templates, where hardly a line has the date of the line before: the usual ones, and those of a filter for
/// access logs. Then where every line has it, as in a flood.
#[divan::bench(args = ["auth", "access", "access bracketed", "one second"])]
fn templates(bencher: Bencher, log: &str) {
    let lines = match log {
        "auth" => lines(&AUTH),
        "one second" => vec![lines(&AUTH)[0]; LINES as usize],
        _ => lines(&ACCESS),
    };
    let now = now();
    let pattern = match log {
        "access bracketed" => r"^[^\[]*\[({DATE})",
        _ => "",
    };
    let templates = DateTemplates::parse(pattern).unwrap();
    bencher.counter(ItemsCount::new(lines.len())).bench(|| {
        let last = &mut LastDate::default();
        for line in &lines {
            drop(black_box(templates.find(line, &TimeZone::UTC, now, last)));
        }
    });
}

/// Messages of all kinds against one filter, and against a hundred.
#[divan::bench(args = [1, 1 + jails::OTHERS])]
fn messages(bencher: Bencher, count: usize) {
    let (filters, batch) = (filters(count), records(&AUTH));
    bencher.counter(ItemsCount::new(batch.len())).bench(|| {
        for record in batch.iter() {
            black_box(filters.findings(&View::from(record), &mut LineMemory::default()));
        }
    });
}

/// Failures alone: whose, and of which account.
#[divan::bench]
fn hits(bencher: Bencher) {
    let filters = filters(1);
    let failures = failures(&filters);
    bencher.counter(ItemsCount::new(failures.len())).bench(|| {
        for record in failures.iter() {
            black_box(filters.findings(&View::from(record), &mut LineMemory::default()));
        }
    });
}

/// Failures alone, in an engine that counts them and bans.
#[divan::bench]
fn windows(bencher: Bencher) {
    let failures = failures(&filters(1));
    let last = failures.iter().last().unwrap().time;
    bencher
        .counter(ItemsCount::new(failures.len()))
        .with_inputs(|| Engine::new(policy()))
        .bench_refs(|engine| {
            let mut decisions = Vec::new();
            let input = Input::Records {
                source: None,
                batch: &failures,
                more: true,
            };
            engine.handle(last, input, &mut decisions);
            decisions
        });
}

/// Those of the records that sshd's filter takes.
fn failures(filters: &FilterSet) -> Batch {
    let mut failures = Batch::default();
    for record in records(&AUTH).iter() {
        let taken = !filters
            .findings(&View::from(Record { ..record }), &mut LineMemory::default())
            .is_empty();
        if taken {
            failures.push(record);
        }
    }
    assert!(failures.len() as u64 >= LINES * SHARE / 100);
    failures
}
