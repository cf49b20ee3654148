//! Facts about `f2bd replay --set`, shown by the real program: whom other settings would have banned, over files, a
//! journal and the daemon's own database, and who of them would have been locked out.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use serde_json::{Value, json};

use crate::support::dice::Dice;
use crate::support::journald::Journald;
use crate::support::wait::until;
use crate::support::world::{F2BD, World};
use f2bd::config::{self, Surroundings};
use f2bd::engine::record::Batch;
use f2bd::engine::record::line::{LineForm, LineReader};
use f2bd::engine::{Engine, Input};
use f2bd::store::Store;

/// A configuration and a log.
struct Case {
    home: tempfile::TempDir,
}

impl Case {
    fn new(jail: &str, log: &str) -> Case {
        let home = tempfile::tempdir().unwrap();
        let database = home.path().join("f2bd.db");
        let text = format!("[daemon]\ndatabase = {database:?}\n[jail.sshd]\n{jail}\n");
        fs::write(home.path().join("f2bd.conf"), text).unwrap();
        fs::write(home.path().join("auth.log"), log).unwrap();
        Case { home }
    }

    fn log(&self) -> PathBuf {
        self.home.path().join("auth.log")
    }

    fn replay(&self, arguments: &[&str]) -> Output {
        replay(&self.home.path().join("f2bd.conf"), arguments)
    }

    /// Over the log.
    fn over_log(&self, arguments: &[&str]) -> Output {
        self.replay(&[arguments, &[self.log().to_str().unwrap()]].concat())
    }
}

fn replay(config: &Path, arguments: &[&str]) -> Output {
    Command::new(F2BD)
        .args([
            "replay",
            "--timezone",
            "UTC",
            "--now",
            "2026-03-01T00:00:00Z",
        ])
        .arg("--config")
        .arg(config)
        .args(arguments)
        .output()
        .unwrap()
}

fn text(output: &Output) -> String {
    assert_eq!(String::from_utf8_lossy(&output.stderr), "");
    String::from_utf8(output.stdout.clone()).unwrap()
}

fn objects(output: &Output) -> Vec<Value> {
    let text = text(output);
    text.lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect()
}

/// A line of an auth log of 12 February, so many seconds after ten.
fn line(second: u32, message: &str) -> String {
    let (hour, minute, second) = (10 + second / 3600, second / 60 % 60, second % 60);
    format!("Feb 12 {hour:02}:{minute:02}:{second:02} box sshd[{second}]: {message}\n")
}

fn failed(second: u32, address: &str) -> String {
    line(
        second,
        &format!("Failed password for jo from {address} port 22 ssh2"),
    )
}

fn accepted(second: u32, address: &str) -> String {
    line(
        second,
        &format!("Accepted publickey for jo from {address} port 22 ssh2: RSA SHA256:abc"),
    )
}

/// Jo mistypes three times and gets in, and comes again after two hours; one attacker tries six times, another six
/// times in an hour.
fn story() -> String {
    let mut lines = Vec::new();
    for at in 0..3 {
        lines.push((at, failed(at, "192.0.2.7")));
    }
    lines.push((20, accepted(20, "192.0.2.7")));
    lines.push((7300, accepted(7300, "192.0.2.7")));
    for at in 0..6 {
        lines.push((100 + at, failed(100 + at, "198.51.100.1")));
        lines.push((600 * at, failed(600 * at, "2001:db8::1")));
    }
    lines.sort();
    lines.into_iter().map(|(_, line)| line).collect()
}

#[test]
fn it_tells_whom_a_stricter_jail_would_have_banned_and_who_of_them_logged_in() {
    let case = Case::new("", &story());
    let output = case.over_log(&["--set", "maxretry=3"]);
    assert_eq!(
        text(&output),
        "Banned in addition: 1\n\
         IP         JAIL  FIRST BAN            FAILURES  BANS  LOGGED IN LATER\n\
         192.0.2.7  sshd  2026-02-12 10:00:02         3     1  as `jo` at 2026-02-12 10:00:20, while banned\n\
         \n\
         Banned earlier: 1\n\
         IP            JAIL  FIRST BAN            PRESENTLY            BANS\n\
         198.51.100.1  sshd  2026-02-12 10:01:42  2026-02-12 10:01:44  1 instead of 1\n\
         \n\
         SETTINGS    BANS  ADDRESSES  FAILURES  KEPT OUT\n\
         present        1          1        14         1\n\
         maxretry=3     2          2        12         3\n\
         1 of these addresses logged in later, 1 while banned: locked out.\n"
    );
    assert_eq!(output.status.code(), Some(0));
}

#[test]
fn programs_read_the_same() {
    let case = Case::new("", &story());
    let changes = ["--set", "maxretry=3", "--set", "sshd.findtime=1h", "--json"];
    let rows = objects(&case.over_log(&changes));
    let (sum, rows) = rows.split_last().unwrap();
    assert_eq!(
        rows,
        [
            json!({
                "difference": "additional", "jail": "sshd", "subject": "192.0.2.7/32", "present": null,
                "changed": { "bans": 1, "first": "2026-02-12T10:00:02Z", "failures": 3, "until": "2026-02-12T10:10:02Z" },
                "login": { "time": "2026-02-12T10:00:20Z", "user": "jo", "while_banned": true },
            }),
            json!({
                "difference": "additional", "jail": "sshd", "subject": "2001:db8::/64", "present": null,
                "changed": { "bans": 2, "first": "2026-02-12T10:20:00Z", "failures": 3, "until": "2026-02-12T11:00:00Z" },
                "login": null,
            }),
            json!({
                "difference": "earlier", "jail": "sshd", "subject": "198.51.100.1/32",
                "present": { "bans": 1, "first": "2026-02-12T10:01:44Z", "failures": 5, "until": "2026-02-12T10:11:44Z" },
                "changed": { "bans": 1, "first": "2026-02-12T10:01:42Z", "failures": 3, "until": "2026-02-12T10:11:42Z" },
                "login": null,
            }),
        ]
    );
    assert_eq!(
        *sum,
        json!({
            "set": ["maxretry=3", "sshd.findtime=1h"], "since": null, "logins_known": true,
            "present": { "bans": 1, "subjects": 1, "failures": 14, "kept_out": 1, "not_compared": 0 },
            "changed": { "bans": 4, "subjects": 3, "failures": 12, "kept_out": 3, "not_compared": 0 },
        })
    );
}

#[test]
fn a_longer_ban_tells_only_of_those_whom_it_locks_out() {
    let log = (0..5).map(|at| failed(at, "192.0.2.7") + &failed(at, "198.51.100.1"));
    let log = log.collect::<String>() + &accepted(1800, "192.0.2.7") + &accepted(1801, "192.0.2.9");
    let case = Case::new("", &log);
    assert_eq!(
        text(&case.over_log(&["--set", "bantime=1h"])),
        "Banned for longer: 2, of whom logged in later\n\
         IP         JAIL  FIRST BAN            FAILURES  BANS  LOGGED IN LATER\n\
         192.0.2.7  sshd  2026-02-12 10:00:04         5     1  as `jo` at 2026-02-12 10:30:00, while banned\n\
         \n\
         SETTINGS    BANS  ADDRESSES  FAILURES  KEPT OUT\n\
         present        2          2        10         0\n\
         bantime=1h     2          2        10         0\n\
         1 of these addresses logged in later, 1 while banned: locked out.\n"
    );
}

#[test]
fn a_login_counts_where_it_stands_in_the_log() {
    let three = |address: &str| (0..3).map(|_| failed(5, address)).collect::<String>();
    // The first of them is in before he fails, the second when his ban is over.
    let log = accepted(5, "192.0.2.1")
        + &three("192.0.2.1")
        + &three("192.0.2.3")
        + &accepted(605, "192.0.2.3");
    let case = Case::new("", &log);
    let rows = objects(&case.over_log(&["--set", "maxretry=3", "--json"]));
    let logins: Vec<_> = rows
        .iter()
        .map(|row| (&row["subject"], &row["login"]["while_banned"]))
        .collect();
    assert_eq!(
        logins[..2],
        [
            (&json!("192.0.2.3/32"), &json!(false)),
            (&json!("192.0.2.1/32"), &Value::Null)
        ]
    );
}

#[test]
fn what_changes_nothing_differs_in_nothing() {
    let case = Case::new("maxretry = 3\nfindtime = 3600", &story());
    let same = [
        "--set",
        "maxretry=3",
        "--set",
        "findtime=1h",
        "--set",
        "bantime=10 minutes",
    ];
    let output = case.over_log(&same);
    assert!(
        text(&output).ends_with("\nNo ban would have been another.\n"),
        "{output:?}"
    );
    let rows = objects(&case.over_log(&[&same[..], &["--json"]].concat()));
    assert_eq!(rows.len(), 1, "the sum alone: {rows:?}");
    assert_eq!(rows[0]["present"], rows[0]["changed"]);
    assert_eq!(output.status.code(), Some(0));

    let none = case.over_log(&["--set", "maxretry=4", "--since", "2026-02-12T12:00:00Z"]);
    assert!(
        text(&none).ends_with("\nNobody would have been banned.\n"),
        "{none:?}"
    );
    assert_eq!(none.status.code(), Some(1));
}

#[test]
fn since_leaves_out_what_is_older() {
    let case = Case::new("maxretry = 6", &story());
    let bans = |since: &str| {
        let rows = objects(&case.over_log(&["--json", "--since", since]));
        let bans = rows.iter().filter(|row| row["decision"] == "ban");
        bans.map(|row| row["subject"].as_str().unwrap().to_owned())
            .collect::<Vec<_>>()
    };
    for (since, expected) in [
        ("30d", &["198.51.100.1/32"][..]),
        ("2026-02-12T11:01:40+01:00", &["198.51.100.1/32"]),
        ("2026-02-12T10:01:41Z", &[]),
    ] {
        assert_eq!(bans(since), expected, "{since}");
    }
}

#[test]
fn a_longer_ban_that_spares_another_tells_how_long_it_is() {
    let log: String = (0..5)
        .chain(700..705)
        .map(|at| failed(at, "192.0.2.7"))
        .collect();
    let case = Case::new("", &log);
    for (change, bans) in [
        ("bantime=1w", "1 for 1w instead of 2 for 10m"),
        ("bantime=forever", "1 forever instead of 2 for 10m"),
    ] {
        let text = text(&case.over_log(&["--set", change]));
        assert!(text.starts_with("Banned less often: 1\n"), "{text}");
        assert!(text.lines().nth(2).unwrap().ends_with(bans), "{text}");
    }
}

#[test]
fn a_name_that_nobody_knows_is_told() {
    let case = Case::new("", &story());
    let output = case.over_log(&["--set", "ignoreip=no.invalid"]);
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(
        said.starts_with("f2bd: --set ignoreip=no.invalid: "),
        "{said}"
    );
    assert_eq!((output.status.code(), said.lines().count()), (Some(0), 1));
}

#[test]
fn a_log_that_ends_before_since_is_told() {
    let case = Case::new("", &story());
    for arguments in [
        &["--since", "1h"][..],
        &["--set", "maxretry=3", "--since", "2026-02-13T00:00:00Z"],
    ] {
        let output = case.over_log(arguments);
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!(
            (output.status.code(), &*said),
            (Some(1), "f2bd: no record is as new as --since asks for\n")
        );
    }
}

#[test]
fn mistakes_are_told_with_what_to_write() {
    let case = Case::new("", &story());
    let elsewhere = case.home.path().join("history");
    fs::write(&elsewhere, story()).unwrap();
    let log = case.log();
    let (log, elsewhere) = (log.to_str().unwrap(), elsewhere.to_str().unwrap());
    for (arguments, code, said) in [
        (
            &["--set", "maxrety=3", log][..],
            64,
            "unknown key `maxrety`; did you mean `maxretry`?",
        ),
        (
            &["--set", "sshd.zebra=3", log],
            64,
            "unknown key `zebra`; known are maxretry, findtime, bantime, class, escalation, network, distinct, distributed, siege, ignoreip",
        ),
        (
            &["--set", "maxretry=3", "--set", "maxretry=4", log],
            64,
            "--set maxretry=4: this key is set twice",
        ),
        (
            &["--set", "filter=x", log],
            64,
            "`filter` cannot be tried out",
        ),
        (
            &["--set", "maxretry", log],
            64,
            "write KEY=VALUE or JAIL.KEY=VALUE",
        ),
        (
            &["--set", "maxretry=0", log],
            64,
            "--set maxretry=0: `maxretry` cannot be 0; write a number from 1 to 1000",
        ),
        (
            &["--set", "findtime=1x", log],
            64,
            "--set findtime=1x: `findtime` cannot be `1x`; write a time",
        ),
        (
            &["--set", "sshx.maxretry=3", log],
            64,
            "unknown jail `sshx` among the enabled ones; did you mean `sshd`?",
        ),
        (
            &["--set", "ignoreip=192.0.2.300", log],
            64,
            "`ignoreip`: `192.0.2.300` is neither",
        ),
        (
            &["--since", "yesterday", log],
            64,
            "write a time ago such as 30d",
        ),
        (&["history", log], 64, "`history` stands alone"),
        (&["history"], 66, "cannot read the history in"),
        (&["--jail", "no", log], 1, "no jail no is enabled"),
    ] {
        let output = case.replay(arguments);
        let told = String::from_utf8_lossy(&output.stderr);
        assert!(told.contains(said), "{arguments:?}: {told}");
        assert_eq!(output.status.code(), Some(code), "{arguments:?}");
        assert!(output.stdout.is_empty(), "{arguments:?}");
    }
    let file = case.replay(&["--json", elsewhere]);
    assert_eq!(objects(&file).len(), 2, "a file is named by its path");

    fs::write(
        case.home.path().join("f2bd.conf"),
        "[jail.sshd]\nfindtime = 0\n[jail.two]\nfilter = \"sshd\"\n",
    )
    .unwrap();
    let output = case.over_log(&["--set", "maxretry=0"]);
    assert_eq!(
        output.status.code(),
        Some(78),
        "the configuration itself: {output:?}"
    );
    fs::write(
        case.home.path().join("f2bd.conf"),
        "[jail.sshd]\n[jail.two]\nfilter = \"sshd\"\n",
    )
    .unwrap();
    let output = case.over_log(&["--jail", "two", "--set", "sshd.maxretry=3"]);
    let told = String::from_utf8_lossy(&output.stderr);
    assert!(
        told.contains("--set is for jail sshd, which --jail two leaves out"),
        "{told}"
    );
    assert_eq!(output.status.code(), Some(64));
}

#[test]
fn a_database_that_cannot_be_read_is_told() {
    let case = Case::new("", "");
    let path = case.home.path().join("f2bd.db");
    fs::write(&path, "no database at all, whatever its name").unwrap();
    let told = |code: i32, said: &str| {
        let output = case.replay(&["history"]);
        let told = String::from_utf8_lossy(&output.stderr);
        assert!(
            told.contains("cannot read the history in") && told.contains(said),
            "{told}"
        );
        assert_eq!(output.status.code(), Some(code), "{told}");
    };
    told(74, "the database is damaged");
    fs::remove_file(&path).unwrap();
    drop(Store::open(&path).unwrap());
    let database = rusqlite::Connection::open(&path).unwrap();
    database.pragma_update(None, "user_version", 99).unwrap();
    told(78, "the database has schema 99");
}

// Against what two plain runs say.

/// What became of a subject: how often it was banned, the first time, by how many failures, and until when.
type Treatment = (u64, String, u64, Value);

fn treatments(output: &Output) -> BTreeMap<(String, String), Treatment> {
    let mut treatments: BTreeMap<_, Treatment> = BTreeMap::new();
    for row in objects(output)
        .into_iter()
        .filter(|row| row["decision"] == "ban")
    {
        let word = |key: &str| row[key].as_str().unwrap().to_owned();
        let first = || {
            (
                0,
                word("time"),
                row["failures"].as_u64().unwrap(),
                Value::Null,
            )
        };
        let known = treatments
            .entry((word("jail"), word("subject")))
            .or_insert_with(first);
        known.0 += 1;
        known.3 = row["until"].clone();
    }
    treatments
}

fn told(treatment: Option<&Treatment>) -> Value {
    treatment.map_or(Value::Null, |(bans, first, failures, until)| {
        json!({ "bans": bans, "first": first, "failures": failures, "until": until })
    })
}

fn difference(present: Option<&Treatment>, changed: Option<&Treatment>) -> Option<&'static str> {
    let (present, changed) = match (present, changed) {
        (None, None) => return None,
        (None, Some(_)) => return Some("additional"),
        (Some(_), None) => return Some("no-longer"),
        (Some(present), Some(changed)) => (present, changed),
    };
    // Moments of one zone in one form are in order as texts.
    let until = |treatment: &Treatment| {
        treatment
            .3
            .as_str()
            .map_or("forever".to_owned(), str::to_owned)
    };
    Some(if changed.1 != present.1 {
        if changed.1 < present.1 {
            "earlier"
        } else {
            "later"
        }
    } else if changed.0 != present.0 {
        if changed.0 > present.0 {
            "more"
        } else {
            "fewer"
        }
    } else if until(changed) != until(present) {
        if until(changed) > until(present) {
            "longer"
        } else {
            "shorter"
        }
    } else {
        return None;
    })
}

/// Four hours of forty hosts that fail and get in.
fn traffic(dice: &mut Dice) -> String {
    let (mut log, mut second) = (String::new(), 0);
    for _ in 0..1500 {
        second += u32::try_from(dice.below(20)).unwrap();
        let address = format!("198.51.100.{}", dice.below(40));
        log += &match dice.below(8) {
            0 => accepted(second, &address),
            _ => failed(second, &address),
        };
    }
    log
}

#[test]
fn it_says_what_two_runs_with_two_configurations_say() {
    let other = "\n[jail.other]\nfilter = \"sshd\"\n";
    for seed in 0..6 {
        let mut dice = Dice::new(seed);
        let log = traffic(&mut dice);
        let keys = |dice: &mut Dice| {
            let ban = [
                "\"forever\"".to_owned(),
                format!("\"{}m\"", 1 + dice.below(90)),
            ];
            [
                ("maxretry", (1 + dice.below(5)).to_string()),
                ("findtime", format!("\"{}m\"", 1 + dice.below(30))),
                ("bantime", ban[usize::from(dice.below(4) > 0)].clone()),
                ("ignoreip", format!("[\"198.51.100.{}\"]", dice.below(40))),
            ]
        };
        let written = |keys: &[(&str, String)]| {
            keys.iter()
                .map(|(key, value)| format!("{key} = {value}\n"))
                .collect::<String>()
        };
        let (present, mut changed) = (keys(&mut dice), keys(&mut dice).to_vec());
        // Not all of it is changed each time.
        for (at, key) in present.iter().enumerate() {
            if dice.below(2) == 0 {
                changed[at] = key.clone();
            }
        }
        let present = Case::new(&(written(&present) + other), &log);
        let by_hand = Case::new(&(written(&changed) + other), &log);
        let (before, after) = (
            treatments(&present.over_log(&["--json"])),
            treatments(&by_hand.over_log(&["--json"])),
        );
        let words: Vec<String> = changed
            .iter()
            .map(|(key, value)| format!("sshd.{key}={value}"))
            .collect();
        let set = words
            .iter()
            .flat_map(|word| ["--set", word])
            .chain(["--json"]);
        let rows = objects(&present.over_log(&set.collect::<Vec<_>>()));
        let (sum, rows) = rows.split_last().unwrap();

        let subjects = before.keys().chain(after.keys()).collect::<BTreeSet<_>>();
        let expected: BTreeMap<_, _> = subjects
            .into_iter()
            .filter_map(|subject| {
                let (present, changed) = (before.get(subject), after.get(subject));
                let difference = difference(present, changed)?;
                Some((
                    subject.clone(),
                    json!([difference, told(present), told(changed)]),
                ))
            })
            .collect();
        let found: BTreeMap<_, _> = rows
            .iter()
            .map(|row| {
                let word = |key: &str| row[key].as_str().unwrap().to_owned();
                let said = json!([row["difference"], row["present"], row["changed"]]);
                ((word("jail"), word("subject")), said)
            })
            .collect();
        assert_eq!(found, expected, "seed {seed}: {words:?}");
        assert!(!found.is_empty() || seed != 0, "seed {seed} shows nothing");
        assert!(
            found.keys().all(|(jail, _)| jail == "sshd"),
            "the other jail is as it was"
        );
        for (side, all) in [("present", before), ("changed", after)] {
            let bans: u64 = all.values().map(|(bans, ..)| bans).sum();
            assert_eq!(
                (sum[side]["bans"].as_u64(), sum[side]["subjects"].as_u64()),
                (Some(bans), Some(all.len() as u64))
            );
        }
    }
}

// Where records come from.

/// Differences and logins, without moments, which no test of a living journal can know.
fn gist(output: &Output) -> Vec<Value> {
    let row = |row: &Value| {
        json!([
            row["difference"],
            row["subject"],
            row["changed"]["failures"],
            row["login"]["user"],
            row["login"]["while_banned"]
        ])
    };
    let rows = objects(output);
    rows[..rows.len() - 1].iter().map(row).collect()
}

/// Lets an engine hear a log and stores what it decides.
fn remember(case: &Case) {
    let loaded = config::load(
        Some(&case.home.path().join("f2bd.conf")),
        Surroundings::Ignore,
    );
    let mut engine = Engine::new(loaded.settings.unwrap().policy);
    let now = "2026-03-01T00:00:00Z".parse().unwrap();
    let mut reader = LineReader::new(&LineForm::in_zone(jiff::tz::TimeZone::UTC), now);
    let mut decisions = Vec::new();
    for line in fs::read(case.log()).unwrap().split(|byte| *byte == b'\n') {
        if let Ok(Some(record)) = reader.read(line) {
            let mut batch = Batch::default();
            batch.push(record);
            let records = Input::Records {
                source: None,
                batch: &batch,
                more: true,
            };
            engine.handle(record.time, records, &mut decisions);
        }
    }
    let mut store = Store::open(&case.home.path().join("f2bd.db")).unwrap();
    store.commit(now, &decisions, []).unwrap();
}

#[test]
fn the_history_tells_what_the_log_told() {
    // Some never log in.
    let lets_in = |line: &&str| line.contains("Accepted") && line.contains("198.51.100.1");
    let traffic = traffic(&mut Dice::new(7));
    let lines = traffic.lines();
    let log: Vec<_> = lines
        .filter(|line| !line.contains("Accepted") || lets_in(line))
        .collect();
    let log = log.join("\n") + "\n";
    let case = Case::new("maxretry = 4", &log);
    remember(&case);
    let from_log = objects(&case.over_log(&["--json"]));
    let bans = |rows: &[Value]| {
        let bans = rows.iter().filter(|row| row["decision"] == "ban");
        bans.cloned().collect::<Vec<_>>()
    };
    let from_history = objects(&case.replay(&["--json", "history"]));
    assert!(bans(&from_log).len() > 50);
    assert_eq!(bans(&from_history), bans(&from_log));

    for changes in [
        ["--set", "maxretry=2"],
        ["--set", "findtime=1h"],
        ["--set", "bantime=1m"],
    ] {
        // The history knows a login only by what it took back under the settings of then.
        let without_logins = |output: &Output| {
            let mut rows = objects(output);
            rows.retain(|row| {
                let subject = row["subject"].as_str().unwrap_or_default();
                let address = subject.trim_end_matches("/32");
                !address.is_empty() && !log.contains(&format!(" from {address} port 22 ssh2: "))
            });
            rows.sort_by_key(Value::to_string);
            rows
        };
        let json = [&changes[..], &["--json"]].concat();
        let from_log = without_logins(&case.over_log(&json));
        assert!(from_log.len() > 10, "{changes:?}");
        let from_history = without_logins(&case.replay(&[&json[..], &["history"]].concat()));
        assert_eq!(from_history, from_log, "{changes:?}");
    }
}

#[test]
fn a_journal_tells_it_too() {
    let Some(journald) = Journald::start() else {
        return;
    };
    let journal = format!("journal:{}", journald.directory().display());
    let case = Case::new("journalmatch = [\"SYSLOG_IDENTIFIER=sshd\"]", "");
    for _ in 0..3 {
        journald.log("sshd", "Failed password for jo from 192.0.2.7 port 22 ssh2");
        journald.log("cron", "Failed password for jo from 192.0.2.8 port 22 ssh2");
    }
    journald.log(
        "sshd",
        "Accepted password for jo from 192.0.2.7 port 22 ssh2",
    );
    let expected = [json!(["additional", "192.0.2.7/32", 3, "jo", true])];
    until("the journal has it all", || {
        let output = case.replay(&["--json", "--set", "maxretry=3", &journal]);
        (gist(&output) == expected).then_some(())
    });
    let output = Command::new(F2BD)
        .args([
            "replay",
            "--json",
            "--set",
            "maxretry=3",
            "--since",
            "1h",
            "--config",
        ])
        .arg(case.home.path().join("f2bd.conf"))
        .arg(&journal)
        .output()
        .unwrap();
    assert_eq!(gist(&output), expected);
}

#[test]
fn the_daemon_s_own_history_tells_it_while_the_daemon_runs() {
    let Some(world) = World::new("") else {
        return;
    };
    let daemon = world.start();
    world.attack("198.51.100.1", 3);
    world.attack("198.51.100.2", 6);
    let count = |number: &str| {
        until("the daemon stores failures", || {
            (world.sql("SELECT count(*) FROM failures") == number).then_some(())
        });
    };
    count("9");
    let stricter = ["--json", "--set", "maxretry=3", "history"];
    let expected = [
        json!(["additional", "198.51.100.1/32", 3, null, null]),
        json!(["earlier", "198.51.100.2/32", 3, null, null]),
    ];
    let output = replay(&world.config(), &stricter);
    assert_eq!(gist(&output), expected);
    assert_eq!(objects(&output)[2]["logins_known"], json!(false));
    let told = text(&replay(
        &world.config(),
        &["--set", "maxretry=3", "history"],
    ));
    assert!(told.contains("The history holds failures alone"), "{told}");

    let plain = objects(&replay(&world.config(), &["--json", "history"]));
    let subjects: Vec<_> = plain
        .iter()
        .map(|row| (&row["decision"], &row["subject"]))
        .collect();
    assert_eq!(
        subjects,
        [(&json!("ban"), &json!("198.51.100.2/32"))],
        "as the daemon has decided"
    );

    // The daemon is not disturbed, and what it writes from then on is seen.
    world.attack("198.51.100.1", 2);
    until("the daemon bans", || {
        world.kernel_bans("198.51.100.1").then_some(())
    });
    count("11");
    assert_eq!(
        gist(&replay(&world.config(), &stricter))[0],
        json!(["earlier", "198.51.100.1/32", 3, null, null])
    );

    daemon.kill();
    assert_eq!(
        gist(&replay(&world.config(), &stricter)).len(),
        2,
        "and after it has died"
    );
    let since = ["--json", "--since", "2027-01-01T00:00:00Z", "history"];
    assert_eq!(
        replay(&world.config(), &since).status.code(),
        Some(1),
        "nothing is so new"
    );
}
