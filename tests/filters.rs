//! Facts about `filters`, shown from outside: every shipped filter does what its samples say.

use std::net::IpAddr;

use f2bd::engine::filter::sample::{Expect, Sample};
use f2bd::engine::filter::{FilterSet, FilterSpec, PatternSpec, RecordsSpec};
use f2bd::engine::policy::FilterId;
use f2bd::engine::record::Record;
use f2bd::engine::time::Timestamp;
use toml::{Table, Value};

const FILTER: FilterId = FilterId(0);

fn now() -> Timestamp {
    "2026-02-13T00:00:00Z".parse().unwrap()
}

fn files() -> Vec<(String, Table)> {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/filters");
    let mut files: Vec<_> = std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|ending| ending == "toml"))
        .map(|path| {
            let name = path.file_stem().unwrap().to_str().unwrap().to_owned();
            (
                name,
                std::fs::read_to_string(path).unwrap().parse().unwrap(),
            )
        })
        .collect();
    files.sort_by(|a, b| a.0.cmp(&b.0));
    assert!(!files.is_empty());
    files
}

fn tables<'t>(table: &'t Table, key: &str) -> Vec<&'t Table> {
    let list = table.get(key).and_then(Value::as_array);
    list.into_iter()
        .flatten()
        .map(|value| value.as_table().unwrap())
        .collect()
}

fn texts(table: &Table, key: &str) -> Vec<String> {
    let list = table.get(key).and_then(Value::as_array);
    list.into_iter()
        .flatten()
        .map(|value| value.as_str().unwrap().to_owned())
        .collect()
}

fn compiled(name: &str, table: &Table, mode: &str) -> FilterSet {
    let patterns = |key: &str| {
        let numbered = tables(table, key).into_iter().zip(1..);
        numbered
            .filter(|(entry, _)| {
                let modes = texts(entry, "mode");
                modes.is_empty() || modes.iter().any(|known| known == mode)
            })
            .map(|(entry, number)| PatternSpec {
                number,
                text: entry["pattern"].as_str().unwrap().to_owned(),
                unless_counted: entry
                    .get("unless_counted")
                    .is_some_and(|value| value.as_bool().unwrap()),
            })
            .collect::<Vec<_>>()
    };
    let records = table["records"].as_table().unwrap();
    for wanted in texts(records, "journal") {
        wanted
            .parse::<f2bd::engine::record::journal::JournalMatch>()
            .unwrap();
    }
    let programs = texts(records, "program")
        .into_iter()
        .map(String::into_boxed_str);
    FilterSet::compile(vec![FilterSpec {
        name: name.parse().unwrap(),
        title: table["title"].as_str().unwrap().to_owned(),
        records: RecordsSpec {
            programs: programs.collect(),
            ..RecordsSpec::default()
        },
        session_by_pid: table
            .get("session")
            .is_some_and(|by| by.as_str() == Some("pid")),
        failures: patterns("failure"),
        ignores: patterns("ignore"),
    }])
    .unwrap()
}

fn samples(table: &Table) -> Vec<Sample> {
    let text = |entry: &Table, key: &str| entry.get(key).and_then(Value::as_str).map(str::to_owned);
    tables(table, "sample")
        .into_iter()
        .map(|entry| Sample {
            lines: text(entry, "line").map_or_else(|| texts(entry, "lines"), |line| vec![line]),
            mode: text(entry, "mode"),
            expect: match entry.get("ip") {
                Some(Value::Boolean(false)) => Expect::Silent,
                _ => Expect::Failure {
                    ip: text(entry, "ip"),
                    host: text(entry, "host"),
                    user: text(entry, "user"),
                    count: entry
                        .get("failures")
                        .map_or(1, |count| count.as_integer().unwrap() as u32),
                },
            },
        })
        .collect()
}

#[test]
fn every_pattern_is_proven_and_every_sample_holds() {
    for (name, table) in files() {
        let mut proven = Vec::new();
        for sample in samples(&table) {
            let filter = compiled(&name, &table, sample.mode.as_deref().unwrap_or("normal"));
            proven.extend(sample.check(&filter, FILTER, now()).unwrap());
        }
        for (_, number) in tables(&table, "failure").into_iter().zip(1_u16..) {
            assert!(
                proven.contains(&number),
                "{name}: pattern {number} has no sample"
            );
        }
    }
}

/// Whatever stands in an account's place, the address stays.
#[test]
fn no_account_moves_an_address() {
    for (name, table) in files() {
        let samples = samples(&table);
        let message = |line: &str| {
            line.split_once("]: ")
                .map_or(line, |split| split.1)
                .to_owned()
        };
        let mut forgeries: Vec<String> = samples
            .iter()
            .flat_map(|sample| &sample.lines)
            .map(|line| message(line).replace("192.0.2.7", "203.0.113.66"))
            .collect();
        for base in [
            "203.0.113.66",
            "from 203.0.113.66 port 1 ssh2",
            "\nfrom 203.0.113.66",
            "2001:db8::66 port 1 [preauth]",
        ] {
            forgeries.extend([
                base.to_owned(),
                format!(" {base} "),
                format!("{base}{}", "x".repeat(4000)),
            ]);
        }
        let filter = compiled(&name, &table, "aggressive");
        let forged: [IpAddr; 2] = [
            "203.0.113.66".parse().unwrap(),
            "2001:db8::66".parse().unwrap(),
        ];
        let mut tried = 0;
        for sample in &samples {
            let Expect::Failure {
                user: Some(user), ..
            } = &sample.expect
            else {
                continue;
            };
            for line in sample.lines.iter().filter(|_| !user.is_empty()) {
                for forgery in &forgeries {
                    let text = message(line).replacen(user.as_str(), forgery, 1);
                    let record = Record {
                        program: "sshd",
                        ..Record::bare(now(), text.as_bytes())
                    };
                    let ip = filter.find(FILTER, &record).and_then(|found| found.ip);
                    assert!(!ip.is_some_and(|ip| forged.contains(&ip)), "{text}");
                    tried += 1;
                }
            }
        }
        assert!(tried > 0, "{name} has no sample with a user");
    }
}
