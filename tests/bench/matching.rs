//! How fast is a log looked through, by f2bd and by others? Whole programs over the same logs, by CPU time.
//!
//! All competitors take turns, round by round, so that what else the machine does meets all of them; of the rounds
//! the median counts.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use super::logs::{self, Log};
use super::meter::{Cost, cost};
use super::rivals::{BOTSEARCH, Rival, SSHD, Service};
use super::support::world::{F2BD, World};
use super::{jails, journal, print};

/// How long the logs are.
const LINES: u64 = 2_000_000;

/// As much of a log as a slow rival sees. What a line costs it grows with the log, if it changes at all.
const PART: u64 = 100_000;

/// How often each competitor runs.
pub const ROUNDS: usize = 5;

/// Whoever looks through a log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Who {
    /// `f2bd match`
    Match,
    /// `f2bd match` with all filters there are, those that are shipped and those of the hundred jails.
    MatchAll,
    /// `f2bd replay` with one jail.
    Replay,
    /// `f2bd replay` with a hundred of them.
    ReplayHundred,
    Rival(Rival),
}

/// One of those who look through a log, and what it has cost each time.
struct Runner {
    who: Who,
    command: Vec<String>,
    input: Option<PathBuf>,
    lines: u64,
    counted: u64,
    costs: Vec<Cost>,
}

/// What has been measured over one log.
struct Field {
    /// The log, in few words.
    name: String,
    figures: Vec<Figure>,
}

/// What somebody has shown.
struct Figure {
    who: Who,
    /// Lines in a second of CPU time.
    rate: f64,
    /// Megabytes.
    peak: f64,
}

impl Field {
    fn of(&self, who: Who) -> Option<&Figure> {
        self.figures.iter().find(|figure| figure.who == who)
    }

    /// How many times as fast one is as another.
    fn times(&self, fast: Who, slow: Who) -> Option<f64> {
        Some(self.of(fast)?.rate / self.of(slow)?.rate)
    }
}

/// The logs, everybody's turns, and the table.
pub fn matching(world: &World) {
    for rival in Rival::ALL {
        if rival.program().is_none() {
            eprintln!(
                "MISSING, hence not measured: {}; to have it measured: {}",
                rival.name(),
                rival.remedy()
            );
        }
    }
    let mut fields = Vec::new();
    for (service, share) in [(SSHD, 5), (SSHD, 50), (BOTSEARCH, 5), (BOTSEARCH, 50)] {
        fields.push(field(world.path(), &service, share));
    }
    let journal = journal::rate(world);
    table(&fields, journal);
}

/// Everybody over one log.
fn field(home: &Path, service: &Service, share: u64) -> Field {
    let path = home.join("all.log");
    let log = match service.is_web {
        true => logs::access(&path, LINES, share),
        false => logs::auth(&path, LINES, share),
    };
    let part = logs::head(&log, PART, &home.join("part.log"));
    let name = format!("{} {share} %", service.log);
    println!();
    print(&format!("{name}: lines"), log.lines);
    print("    of them failures", log.failures);
    let mut runners = runners(home, service, &log, &part);
    for runner in &mut runners {
        runner.counted = count(runner);
    }
    for _ in 0..ROUNDS {
        for runner in &mut runners {
            runner
                .costs
                .push(cost(&runner.command, runner.input.as_deref(), home));
        }
    }
    fs::remove_file(&log.path).unwrap();
    fs::remove_file(&part.path).unwrap();
    let figures: Vec<_> = runners.iter().map(figure).collect();
    println!(
        "    {:<44} {:>14} {:>10} {:>12} {:>14}",
        "who", "lines/CPU s", "ns/line", "peak MB", "counted"
    );
    for (runner, figure) in runners.iter().zip(&figures) {
        let scaled = match runner.lines == log.lines {
            true => String::new(),
            false => format!(" (first {} lines)", runner.lines),
        };
        println!(
            "    {:<44} {:>14.0} {:>10.0} {:>12.1} {:>14}",
            format!("{}{scaled}", runner.who.name()),
            figure.rate,
            1e9 / figure.rate,
            figure.peak,
            runner.counted
        );
    }
    Field { name, figures }
}

impl Who {
    fn name(self) -> &'static str {
        match self {
            Who::Match => "f2bd match",
            Who::MatchAll => "f2bd match --all",
            Who::Replay => "f2bd replay, 1 jail",
            Who::ReplayHundred => "f2bd replay, 100 jails",
            Who::Rival(rival) => rival.name(),
        }
    }
}

fn runners(home: &Path, service: &Service, log: &Log, part: &Log) -> Vec<Runner> {
    let one = configuration(&home.join("one"), service, &log.path, 0);
    let hundred = configuration(&home.join("hundred"), service, &log.path, jails::OTHERS);
    let path = log.path.display().to_string();
    let own = |who, words: &[&str]| Runner {
        who,
        command: [&[F2BD], words, &[path.as_str()]]
            .concat()
            .iter()
            .map(|word| (*word).to_owned())
            .collect(),
        input: None,
        lines: log.lines,
        counted: 0,
        costs: Vec::new(),
    };
    let mut runners = vec![
        own(Who::Match, &["match", "--config", &one, service.filter]),
        own(Who::MatchAll, &["match", "--config", &hundred, "--all"]),
        own(Who::Replay, &["replay", "--config", &one]),
        own(Who::ReplayHundred, &["replay", "--config", &hundred]),
    ];
    for rival in Rival::ALL {
        if let Some(program) = rival.program() {
            let log = if rival.is_slow() { part } else { log };
            runners.push(Runner {
                who: Who::Rival(rival),
                command: rival.command(&program, service, &log.path, home),
                input: rival.reads_input().then(|| log.path.clone()),
                lines: log.lines,
                counted: 0,
                costs: Vec::new(),
            });
        }
    }
    runners
}

/// A configuration with a jail for the service and others on the same log, each with a filter of its own.
fn configuration(home: &Path, service: &Service, log: &Path, others: usize) -> String {
    let _ = fs::remove_dir_all(home);
    fs::create_dir_all(home.join("filters")).unwrap();
    let mut text = format!("[jail.{}]\nlogpath = [{log:?}]\n", service.filter);
    for number in 0..others {
        let name = jails::name(number);
        text += &format!("\n[jail.{name}]\nlogpath = [{log:?}]\n");
        let failures =
            jails::patterns(number).map(|text| format!("[[failure]]\npattern = '{text}'\n"));
        let filter = format!("title = \"{name}\"\n\n{}", failures.join("\n"));
        fs::write(home.join(format!("filters/{name}.toml")), filter).unwrap();
    }
    let path = home.join("f2bd.conf");
    fs::write(&path, text).unwrap();
    path.display().to_string()
}

/// What somebody counts, by what it prints; a first run, which nobody measures.
fn count(runner: &Runner) -> u64 {
    let mut command = Command::new(&runner.command[0]);
    command.args(&runner.command[1..]).stderr(Stdio::null());
    if let Some(input) = &runner.input {
        command.stdin(fs::File::open(input).unwrap());
    }
    // One object for each failure, ban and unban, and no sums.
    if !matches!(runner.who, Who::Rival(_)) {
        command.arg("--json");
    }
    let output = command.output().unwrap().stdout;
    let text = String::from_utf8_lossy(&output);
    match runner.who {
        Who::Match | Who::MatchAll => text.lines().count() as u64,
        Who::Replay | Who::ReplayHundred => text.matches(r#""decision":"ban""#).count() as u64,
        Who::Rival(rival) => rival.counted(&text),
    }
}

fn figure(runner: &Runner) -> Figure {
    let mut cpu: Vec<_> = runner.costs.iter().map(|cost| cost.cpu).collect();
    cpu.sort();
    let peak = runner.costs.iter().map(|cost| cost.peak).max().unwrap_or(0);
    Figure {
        who: runner.who,
        rate: runner.lines as f64 / cpu[cpu.len() / 2].as_secs_f64(),
        peak: peak as f64 / f64::from(1 << 20),
    }
}

/// What is asked of f2bd.
struct Demand {
    against: &'static str,
    /// The rival's lines in a second of CPU time when the demand was made.
    today: &'static str,
    /// How far f2bd must be, at 5 % and at 50 %.
    must: [Bound; 2],
    measure: fn(&Field) -> Option<f64>,
}

#[derive(Clone, Copy)]
enum Bound {
    AtLeast(f64),
    AtMost(f64),
}

impl Bound {
    fn holds(self, value: f64) -> bool {
        match self {
            Bound::AtLeast(least) => value >= least,
            Bound::AtMost(most) => value <= most,
        }
    }

    fn shown(self) -> String {
        match self {
            Bound::AtLeast(least) => format!(">= {least}"),
            Bound::AtMost(most) => format!("<= {most}"),
        }
    }
}

const DEMANDS: [Demand; 8] = [
    Demand {
        against: "fail2ban-regex: times as fast",
        today: "31,000 / 22,000",
        must: [Bound::AtLeast(150.0), Bound::AtLeast(100.0)],
        measure: |field| field.times(Who::Match, Who::Rival(Rival::Fail2banRegex)),
    },
    Demand {
        against: "sshguard's parser: times as fast",
        today: "0.5 M / 0.36 M",
        must: [Bound::AtLeast(10.0), Bound::AtLeast(6.0)],
        measure: |field| field.times(Who::Match, Who::Rival(Rival::Sshguard)),
    },
    Demand {
        against: "fail2ban-rs dry-run: times as fast",
        today: "1.9 M / 0.68 M",
        must: [Bound::AtLeast(3.0); 2],
        measure: |field| field.times(Who::Match, Who::Rival(Rival::Fail2banRs)),
    },
    Demand {
        against: "ripgrep -c, the faster: times as fast",
        today: "16 M / 5.4 M",
        must: [Bound::AtLeast(0.5); 2],
        measure: |field| {
            let kinds = [Rival::Ripgrep, Rival::RipgrepSides];
            let times = kinds.map(|kind| field.times(Who::Match, Who::Rival(kind)));
            times.into_iter().flatten().reduce(f64::min)
        },
    },
    Demand {
        against: "replay with 100 jails: time of one jail",
        today: "",
        must: [Bound::AtMost(1.3); 2],
        measure: |field| field.times(Who::Replay, Who::ReplayHundred),
    },
    Demand {
        against: "match with all filters there are: time of one",
        today: "",
        must: [Bound::AtMost(1.3); 2],
        measure: |field| field.times(Who::Match, Who::MatchAll),
    },
    Demand {
        against: "replay: time of match",
        today: "",
        must: [Bound::AtMost(1.2); 2],
        measure: |field| field.times(Who::Match, Who::Replay),
    },
    Demand {
        against: "peak memory, MB, of the largest run",
        today: "",
        must: [Bound::AtMost(20.0); 2],
        measure: |field| {
            let own = field
                .figures
                .iter()
                .filter(|figure| !matches!(figure.who, Who::Rival(_)));
            own.map(|figure| figure.peak).reduce(f64::max)
        },
    },
];

/// What is asked, and what was measured.
fn table(fields: &[Field], journal: Option<f64>) {
    println!();
    let mut head = format!(
        "{:<42} {:>16} {:>18}",
        "f2bd against", "today 5 / 50 %", "must be 5 / 50 %"
    );
    for field in fields {
        head += &format!(" {:>10}", field.name);
    }
    println!("{head}  met?");
    for demand in &DEMANDS {
        let [few, many] = demand.must;
        let must = format!("{} / {}", few.shown(), many.shown());
        let mut line = format!("{:<42} {:>16} {must:>18}", demand.against, demand.today);
        let (mut all, mut missed) = (true, false);
        for (field, bound) in fields.iter().zip(demand.must.iter().cycle()) {
            let value = (demand.measure)(field);
            line += &match value {
                Some(value) => format!(" {value:>10.2}"),
                None => format!(" {:>10}", "-"),
            };
            missed |= value.is_some_and(|value| !bound.holds(value));
            all &= value.is_some();
        }
        println!("{line}  {}", verdict(all, missed));
    }
    let bound = Bound::AtLeast(0.8);
    let value = journal.map_or_else(|| "-".to_owned(), |value| format!("{value:.2}"));
    println!(
        "{:<42} {:>16} {:>18} {value:>10}  {}",
        "bare loop over the journal: share of its rate",
        "",
        bound.shown(),
        verdict(
            journal.is_some(),
            journal.is_some_and(|value| !bound.holds(value))
        )
    );
}

fn verdict(all: bool, missed: bool) -> &'static str {
    match (all, missed) {
        (_, true) => "NO",
        (false, false) => "not measured",
        (true, false) => "yes",
    }
}
