//! Facts about `man`, shown from outside: the manuals say what the program has, all of it and nothing else.
//!
//! They keep to a form that this file can read. Commands are `.Cm`, options `.Fl`, keys of the configuration and
//! of data files `.Ic`, columns of the database `.Cm`, fields of `--json` `.Va`. What a heading lists, it lists
//! in `.It`; a default stands in the line after `Default:`.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use clap::{CommandFactory, Parser};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use crate::support::skipped;
use f2bd::action::file::{ActionFile, NFTABLES, SERVE};
use f2bd::cli::args::CommandLine;
use f2bd::cli::hosts::{MOST_ADDRESSES, MOST_NAMES};
use f2bd::config::keys::{self, Key};
use f2bd::config::{self, Loaded, Problem, Settings, Severity};
use f2bd::control::health::HealthRow;
use f2bd::control::protocol::{BanRow, Explanation, FollowLine, HistoryRow, PAGE, Status};
use f2bd::engine::jail::accounts::{MOST_ACCOUNTS, MOST_SUSPECTS};
use f2bd::engine::jail::network::MOST_NETWORKS;
use f2bd::engine::jail::{MOST_FAILURES, MOST_SUBJECTS};
use f2bd::engine::ledger::MOST_BANS;
use f2bd::engine::record::LONGEST_MESSAGE;
use f2bd::engine::record::kept::LONGEST_TEXT;
use f2bd::store::Store;

const MANUALS: [&str; 5] = [
    "f2bd.8",
    "f2bd.conf.5",
    "f2bd-filter.5",
    "f2bd-action.5",
    "f2bd-store.5",
];

fn manual(name: &str) -> String {
    fs::read_to_string(root().join("man").join(name)).unwrap()
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn f2bd(arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_f2bd"));
    command.args(arguments).output().unwrap()
}

/// A line of mdoc that begins with a macro, as words.
fn words(line: &str) -> impl Iterator<Item = &str> {
    line.strip_prefix('.')
        .unwrap_or_default()
        .split_whitespace()
}

fn is_macro(word: &str) -> bool {
    matches!(word.as_bytes(), [b'A'..=b'Z', b'a'..=b'z'])
}

fn is_punctuation(word: &str) -> bool {
    matches!(word, "," | "." | ":" | ";" | "(" | ")" | "|")
}

/// What stands behind a macro, anywhere in the text.
fn marked<'t>(text: &'t str, mark: &str) -> Vec<&'t str> {
    let mut found = Vec::new();
    for line in text.lines() {
        let mut inside = false;
        for word in words(line) {
            if is_macro(word) {
                inside = word == mark;
            } else if inside && !is_punctuation(word) {
                found.push(word);
            }
        }
    }
    found
}

fn set<'t>(words: impl IntoIterator<Item = &'t str>) -> BTreeSet<String> {
    words.into_iter().map(str::to_owned).collect()
}

/// The texts below headings of a kind, `.Sh` or `.Ss`. A section ends one of its subsections, too.
fn below<'t>(text: &'t str, kind: &str) -> Vec<(&'t str, String)> {
    let mut parts: Vec<(&str, String)> = Vec::new();
    let mut inside = false;
    for line in text.lines() {
        if let Some(heading) = line.strip_prefix(kind) {
            parts.push((heading.trim(), String::new()));
            inside = true;
        } else if line.starts_with(".Sh ") {
            inside = false;
        } else if let (true, Some((_, part))) = (inside, parts.last_mut()) {
            part.push_str(line);
            part.push('\n');
        }
    }
    parts
}

fn section(text: &str, heading: &str) -> String {
    let sections = below(text, ".Sh ");
    let found = sections.into_iter().find(|(name, _)| *name == heading);
    found.unwrap_or_else(|| panic!("no section {heading}")).1
}

/// The items of lists whose tag begins with a macro: the words of the tag's line, and what follows it.
fn items(text: &str, mark: &str) -> Vec<(String, String)> {
    let start = format!(".It {mark} ");
    let mut items: Vec<(String, String)> = Vec::new();
    for line in text.lines() {
        if line.starts_with(&start) {
            items.push((line.to_owned(), format!("{line}\n")));
        } else if let Some((_, item)) = items.last_mut() {
            item.push_str(line);
            item.push('\n');
        }
    }
    items
}

/// What the manual says of a command.
fn item<'i>(items: &'i [(String, String)], command: &str) -> &'i str {
    let is_it = |tag: &str| words(tag).nth(2) == Some(command);
    let found = items.iter().find(|(tag, _)| is_it(tag));
    &found.unwrap_or_else(|| panic!("no command {command}")).1
}

// Commands and options.

type Options = BTreeMap<String, bool>;

/// The options that a text writes, and whether an argument follows.
fn written_options(text: &str) -> Options {
    let mut options = Options::new();
    for line in text.lines() {
        let words: Vec<_> = words(line).collect();
        for (at, word) in words.iter().enumerate() {
            let Some(name) = word.strip_prefix('-') else {
                continue;
            };
            if words[..at].iter().rev().find(|word| is_macro(word)) == Some(&"Fl") {
                // `--name argument`, or `--name[=argument]`.
                let joins = |word: &&str| ["Ns", "Op", "="].contains(word);
                let behind = words[at + 1..].iter().find(|word| !joins(word));
                let takes_value = behind == Some(&"Ar");
                *options.entry(name.to_owned()).or_default() |= takes_value;
            }
        }
    }
    options
}

fn known_options<'c>(arguments: impl Iterator<Item = &'c clap::Arg>) -> Options {
    let named = arguments.filter_map(|argument| {
        let takes_value = argument.get_action().takes_values();
        Some((argument.get_long()?.to_owned(), takes_value))
    });
    named.collect()
}

fn command_line() -> clap::Command {
    let mut command = CommandLine::command();
    command.build();
    command
}

#[test]
fn every_command_and_option_is_in_the_manual_and_no_other() {
    let manual = manual("f2bd.8");
    let program = command_line();
    let common = known_options(program.get_arguments());
    assert!(common.contains_key("config") && common.contains_key("version"));
    let description = written_options(&section(&manual, "DESCRIPTION"));
    let long = description.into_iter().filter(|(name, _)| name.len() > 1);
    assert_eq!(long.collect::<Options>(), common, "options of all commands");

    let told: BTreeMap<String, Options> = items(&section(&manual, "COMMANDS"), "Cm")
        .into_iter()
        .map(|(tag, item)| {
            let name = words(&tag).nth(2).unwrap().to_owned();
            let mut options = written_options(&item);
            options.retain(|name, _| !common.contains_key(name));
            (name, options)
        })
        .collect();
    let there: BTreeMap<String, Options> = program
        .get_subcommands()
        .map(|command| {
            let mut options = known_options(command.get_arguments());
            options.retain(|name, _| !common.contains_key(name));
            (command.get_name().to_owned(), options)
        })
        .collect();
    assert!(there.len() > 10 && there["history"]["limit"]);
    assert_eq!(told, there);

    let commands = set(there.keys().map(String::as_str));
    let mentioned = set(marked(&manual, "Cm"));
    assert!(mentioned.is_subset(&commands), "{mentioned:?}");
    let options: BTreeSet<_> = there
        .values()
        .chain([&common])
        .flat_map(Options::keys)
        .collect();
    for name in written_options(&manual).keys() {
        assert!(options.contains(name), "--{name}");
    }
}

#[test]
fn every_argument_of_a_command_is_in_the_manual() {
    let manual = manual("f2bd.8");
    let items = items(&section(&manual, "COMMANDS"), "Cm");
    for command in command_line().get_subcommands() {
        let tag = item(&items, command.get_name()).lines().next().unwrap();
        for argument in command.get_positionals() {
            let names: Vec<_> = argument.get_value_names().unwrap_or_default().to_vec();
            for name in names.iter().flat_map(|name| name.split_whitespace()) {
                let name = name.to_lowercase();
                assert!(marked(tag, "Ar").contains(&&*name), "{name} in {tag}");
            }
        }
        for default in command.get_opts().flat_map(clap::Arg::get_default_values) {
            let default = default.to_str().unwrap();
            let mut words = item(&items, command.get_name()).split_whitespace();
            assert!(words.any(|word| word == default), "{default} in {tag}");
        }
    }
}

#[test]
fn every_exit_code_is_in_the_manual_and_in_the_help() {
    let source = include_str!("../src/cli/failure.rs");
    let (_, codes) = source.split_once("pub enum Exit {").unwrap();
    let (codes, _) = codes.split_once('}').unwrap();
    let codes = codes.lines().filter_map(|line| line.split_once(" = "));
    let mut there: BTreeSet<u8> = codes
        .map(|(_, code)| code.trim_end_matches(',').parse().unwrap())
        .collect();
    assert!(there.len() > 5);
    // Success needs no code of ours.
    there.insert(0);

    let status = section(&manual("f2bd.8"), "EXIT STATUS");
    let told: BTreeSet<u8> = status
        .lines()
        .filter_map(|line| line.strip_prefix(".It ")?.parse().ok())
        .collect();
    assert_eq!(told, there);

    let help = command_line().get_after_help().unwrap().to_string();
    let (codes, _) = help.split_once('\n').unwrap();
    let codes = codes.strip_prefix("Exit codes: ").unwrap().split("; ");
    let helped: BTreeSet<u8> = codes
        .map(|code| code.split(' ').next().unwrap().parse().unwrap())
        .collect();
    assert_eq!(helped, there);
}

// Fields of `--json`.

/// What f2bd(8) calls the fields of a failure.
const FAILURE_FIELDS: [&str; 7] = [
    "time", "address", "user", "target", "pattern", "line", "counted",
];

/// Every key of every object in a value, without the names of jails.
fn fields(value: &Value, found: &mut BTreeSet<String>) {
    match value {
        Value::Array(items) => items.iter().for_each(|item| fields(item, found)),
        Value::Object(object) => {
            for (key, value) in object {
                if key != "sshd" {
                    found.insert(key.clone());
                }
                fields(value, found);
            }
        }
        _ => {}
    }
}

/// What a row of the protocol looks like after it was read as one: reading fails if a field is missing, and
/// leaves out what is none.
fn row<T: DeserializeOwned + Serialize>(value: Value) -> Value {
    serde_json::to_value(serde_json::from_value::<T>(value).unwrap()).unwrap()
}

fn printed(arguments: &[&str]) -> Value {
    let output = f2bd(arguments);
    let lines = String::from_utf8(output.stdout).unwrap();
    let rows: Vec<Value> = lines
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    assert!(!rows.is_empty(), "{arguments:?}: {:?}", output.stderr);
    Value::from(rows)
}

#[test]
fn every_field_of_json_is_in_the_manual_and_no_other() {
    let home = tempfile::tempdir().unwrap();
    let log = home.path().join("auth.log");
    let line =
        "Feb 12 14:10:21 box sshd[42]: Failed password for root from 192.0.2.7 port 22 ssh2\n";
    fs::write(
        &log,
        line.repeat(5)
            + &line.repeat(3).replace("192.0.2.7", "192.0.2.8")
            + "Feb 12 15:10:21 box sshd[43]: Accepted password for jo from 192.0.2.8 port 22 ssh2\n",
    )
    .unwrap();
    let config = home.path().join("f2bd.conf");
    fs::write(&config, "[jail.sshd]\nnonsense = 1\n").unwrap();
    let [grown, listed] = [
        "factor = 2 }\nclass = { asn = [1], maxretry = 1 }\nsiege = {}\nunhindered = { grace = \"2m\" }\ndistributed = {}\nnetwork = { }\n\
         [daemon]\noperator = \"/nonexistent\"\n#",
        "multipliers = [1, 2], later_jitter = \"10m\"",
    ]
    .map(|growth| {
        let path = home.path().join(format!("{}.conf", growth.len()));
        fs::write(&path, format!("[jail.sshd]\nescalation = {{ {growth} }}\n")).unwrap();
        path
    });
    let (grown, listed) = (grown.to_str().unwrap(), listed.to_str().unwrap());
    let (log, broken) = (log.to_str().unwrap(), config.to_str().unwrap());
    let good = root().join("contrib/f2bd.conf");
    let good = good.to_str().unwrap();
    let bare = home.path().join("bare.conf");
    fs::write(&bare, "").unwrap();
    let bare = bare.to_str().unwrap();

    let ban = json!({
        "ban": 1, "jail": "sshd", "subject": "192.0.2.7/32", "start": "2026-02-12T14:10:21Z",
        "until": null, "bantime": -1, "offence": 1, "origin": "manual", "in_effect": true, "unhindered": false,
        "response": { "actions": [], "lets_through": false }, "country": "DE", "operator": { "asn": 64500, "name": "x" },
    });
    let history = json!({
        "ban": 1, "jail": "sshd", "subject": "192.0.2.7/32", "start": "2026-02-12T14:10:21Z",
        "until": null, "ended": null, "release": null, "offence": 1, "failures": 5, "origin": "failures",
        "reason": null, "release_reason": null, "country": "DE", "operator": { "asn": 64500, "name": "x" },
    });
    let failure = json!({
        "jail": "sshd", "time": "2026-02-12T14:10:21Z", "address": "192.0.2.7", "user": null, "target": null, "pattern": 1,
        "line": "x", "counted": true,
    });
    let with = |value: &Value, more: Value| {
        let mut value = value.clone();
        let more = more.as_object().unwrap().clone();
        value.as_object_mut().unwrap().extend(more);
        value
    };
    let verdict = json!({
        "jail": "sshd", "filter": "sshd", "maxretry": 5, "distinct": false, "by": "user", "findtime": 600.0, "failures": [failure],
        "patterns": [{ "number": 1, "text": "x" }], "next": {
            "offence": 2, "bantime": 600, "network": null, "response": { "actions": [], "lets_through": false },
        },
        "siege": { "since": "2026-02-12T14:10:21Z", "maxretry": 1 }, "class": "DE",
        "unhindered": "x",
    });
    let explanation = row::<Explanation>(json!({
        "subject": "192.0.2.7/32", "now": "2026-02-12T14:10:21Z", "trouble": null,
        "country": "DE", "operator": { "asn": 64500, "name": "x" },
        "verdicts": [
            with(&verdict, json!({ "place": "banned", "ban": ban })),
            with(&verdict, json!({
                "place": "watched", "subject": "192.0.2.7/32", "failing": 1,
                "oldest_leaves": "2026-02-12T14:10:21Z",
            })),
            with(&verdict, json!({
                "place": "gathering", "subject": "192.0.2.0/24", "hosts": 1, "wanted_hosts": 4, "failing": 1,
                "wanted_failing": 20, "within": 600.0,
            })),
            with(&verdict, json!({
                "place": "attacking", "subject": "192.0.2.7/32", "hosts": 2, "wanted_hosts": 8, "within": 600.0,
                "due": "2026-02-12T14:10:21Z",
            })),
            with(&verdict, json!({ "place": "ignored", "because": "x" })),
            with(&verdict, json!({ "place": "clear" })),
        ],
        "history": [history], "failures": [failure],
    }));
    let status = row::<Status>(json!({
        "version": "1", "since": "2026-02-12T14:10:21Z", "dry_run": false,
        "configuration": { "confirm_by": null, "restored": null, "set": [] },
        "jails": [{
            "jail": "sshd", "filter": "sshd", "maxretry": 5, "distinct": false, "findtime": 600.0, "bantime": 600, "actions": [],
            "siege": { "since": "2026-02-12T14:10:21Z", "maxretry": 1 },
            "watched": 0, "most_watched": 1, "failing": 0, "banned": 0, "unhindered": 0, "failures": 0, "bans": 0, "records": 0,
        }],
        "sources": [{ "source": "journal", "records": 0, "bytes": 0, "last_record": null, "lag": 0.0, "cut": 0, "dropped": 0, "refused": 0, "malformed": 0, "gaps": 0, "trouble": null,
            "files": [{ "file": "x", "records": 0, "bytes": 0, "last_record": "2026-02-12T14:10:21Z" }], "more_files": 0 }],
        "actions": [{ "action": "nftables", "works": true, "failed": null, "is_replaced": false }],
        "database": { "path": "x", "up_to_date": true, "has_losses": false },
    }));
    let deaf = row::<HealthRow>(json!({
        "filter": "sshd", "jails": ["sshd"], "deaf": false,
        "patterns": [{ "number": 1, "text": "x", "records": 0, "last": null, "since": null }],
        "lines": [{ "line": "x", "count": 1, "first": "2026-02-12T14:10:21Z", "last": "2026-02-12T14:10:21Z" }],
    }));
    let at = json!({ "time": "2026-02-12T14:10:21Z", "jail": "sshd", "subject": "192.0.2.7/32" });
    let follow = [
        with(
            &with(&at, failure.clone()),
            json!({ "decision": "failure" }),
        ),
        with(
            &at,
            json!({ "decision": "ban", "failures": 5, "bantime": 600, "offence": 1, "until": null }),
        ),
        with(&at, json!({ "decision": "unban", "release": "expired" })),
        json!({ "decision": "notice", "message": "x" }),
        json!({ "decision": "missed", "lines": 1 }),
    ];

    let there = BTreeMap::from([
        (
            "check",
            vec![
                printed(&["check", "--json", "--config", good]),
                printed(&["check", "--json", "--config", broken]),
                printed(&["check", "--json", "--config", grown]),
                printed(&["check", "--json", "--config", listed]),
            ],
        ),
        (
            "match",
            vec![
                printed(&[
                    "match",
                    "--json",
                    "--explain",
                    "--config",
                    good,
                    "sshd",
                    log,
                ]),
                printed(&[
                    "match",
                    "--json",
                    "--missed=all",
                    "--config",
                    good,
                    "sshd",
                    log,
                    log,
                ]),
                printed(&["match", "--json", "--learn", log, "1"]),
                printed(&[
                    "match",
                    "--json",
                    "--summary",
                    "--config",
                    good,
                    "sshd",
                    log,
                ]),
            ],
        ),
        (
            "replay",
            vec![
                printed(&["replay", "--json", "--config", good, log]),
                printed(&[
                    "replay",
                    "--json",
                    "--set",
                    "maxretry=3",
                    "--config",
                    good,
                    log,
                ]),
            ],
        ),
        (
            "discover",
            vec![printed(&["discover", "--json", "--config", bare, log])],
        ),
        ("status", vec![status, deaf]),
        ("bans", vec![row::<BanRow>(ban)]),
        ("history", vec![row::<HistoryRow>(history)]),
        ("explain", vec![explanation]),
        ("follow", follow.map(row::<FollowLine>).to_vec()),
    ]);
    let manual = manual("f2bd.8");
    let items = items(&section(&manual, "COMMANDS"), "Cm");
    let told = |command: &str| set(marked(item(&items, command), "Va"));
    for (command, rows) in there {
        let mut there = BTreeSet::new();
        rows.iter().for_each(|row| fields(row, &mut there));
        let mut told_here = told(command);
        // Said once: `explain` shows rows of the other two, `follow` failures as `explain` does.
        match command {
            "explain" => told_here.extend(["bans", "history"].into_iter().flat_map(&told)),
            "follow" => told_here.extend(set(FAILURE_FIELDS)),
            _ => {}
        }
        assert_eq!(told_here, there, "{command}");
    }
}

// Keys of the configuration and of data files.

/// The keys of a table, each with its default.
type Keys = BTreeMap<String, Option<String>>;

/// The keys that a manual lists, by heading.
fn written_keys(manual: &str) -> BTreeMap<String, Keys> {
    let mut tables = BTreeMap::new();
    for (heading, text) in below(manual, ".Ss ")
        .into_iter()
        .chain(below(manual, ".Sh "))
    {
        // A subsection lists its keys itself.
        let (text, _) = text.split_once(".Ss ").unwrap_or((&text, ""));
        let keys: Keys = items(text, "Ic")
            .iter()
            .flat_map(|(tag, item)| {
                let default = item.split_once("\nDefault:\n.Ql ").map(|(_, rest)| {
                    let line = rest.lines().next().unwrap();
                    let default = line.strip_suffix(" .").unwrap_or(line);
                    default.replace("\\(dq", "\"")
                });
                let names = marked(tag, "Ic").into_iter().map(str::to_owned);
                names
                    .map(move |name| (name, default.clone()))
                    .collect::<Vec<_>>()
            })
            .collect();
        if !keys.is_empty() {
            tables.insert(heading.to_owned(), keys);
        }
    }
    tables
}

fn known_keys<'k>(tables: &[(&str, &'k [Key])]) -> BTreeMap<String, Keys> {
    let default = |key: &'k Key| Some(key.default.to_owned()).filter(|text| !text.is_empty());
    tables
        .iter()
        .map(|(heading, keys)| {
            let keys = keys.iter().map(|key| (key.name.to_owned(), default(key)));
            ((*heading).to_owned(), keys.collect())
        })
        .collect()
}

const CONFIGURATION: &[(&str, &[Key])] = &[
    ("[daemon]", keys::DAEMON),
    ("[source.NAME]", keys::SOURCE),
    ("[source.NAME] of type journal", keys::JOURNAL_SOURCE),
    ("[source.NAME] of type file", keys::FILE_SOURCE),
    ("[source.NAME] of type syslog", keys::SYSLOG_SOURCE),
    ("[source.NAME] of type report", keys::REPORT_SOURCE),
    ("allow = { ... }", keys::REPORTER),
    ("fields = { ... }", keys::FIELDS),
    ("[defaults] and [jail.NAME]", keys::JAIL),
    ("[jail.NAME] only", keys::JAIL_ONLY),
    ("filter = { ... }", keys::FILTER_CHOICE),
    ("escalation = { ... }", keys::ESCALATION),
    ("network = { ... }", keys::NETWORK),
    ("distributed = { ... }", keys::DISTRIBUTED),
    ("class = { ... }", keys::CLASS),
    ("siege = { ... }", keys::SIEGE),
    ("response = { ... }", keys::RESPONSE),
    ("unhindered = { ... }", keys::UNHINDERED),
    ("prefix = { ... }", keys::PREFIX),
    ("[action.NAME]", keys::ACTION),
];

const FILTER_FILE: &[(&str, &[Key])] = &[
    ("Top of the file", keys::FILTER),
    ("[records]", keys::RECORDS),
    ("WHOLE LINES", keys::LINES),
    ("[[failure]]", keys::FAILURE),
    ("[[success]]", keys::SUCCESS),
    ("[[ignore]]", keys::IGNORE),
    ("[[sample]]", keys::SAMPLE),
];

#[test]
fn every_key_and_default_of_the_configuration_is_in_the_manual_and_no_other() {
    let manual = manual("f2bd.conf.5");
    assert_eq!(written_keys(&manual), known_keys(CONFIGURATION));
    for section in keys::SECTIONS {
        let headings = below(&manual, ".Ss ");
        let names = |heading: &str| heading.contains(&format!("[{section}"));
        assert!(
            headings.iter().any(|(heading, _)| names(heading)),
            "{section}"
        );
    }
}

#[test]
fn every_key_and_default_of_a_filter_is_in_the_manual_and_no_other() {
    assert_eq!(
        written_keys(&manual("f2bd-filter.5")),
        known_keys(FILTER_FILE)
    );
}

/// The parameters of an action file, with their defaults as they are written.
fn defaults(file: &ActionFile) -> impl Iterator<Item = (String, Option<String>)> {
    file.parameters.iter().map(|(name, parameter)| {
        let default = parameter.default.as_ref().map(ToString::to_string);
        (name.to_owned(), default)
    })
}

/// The keys that a table of an action file can have: who writes another one is told them.
fn keys_of_action_files(table: &str) -> Keys {
    let error = ActionFile::parse(&format!("{table}\nno_such_key = 1\n")).unwrap_err();
    let error = error.to_string();
    let (_, known) = error.split_once("expected one of ").unwrap();
    let known = known.split('`').skip(1).step_by(2);
    known.map(|key| (key.to_owned(), None)).collect()
}

/// The parameters that no action file has to declare.
fn usual_parameters() -> [(String, Keys); 4] {
    let parameters = |kind: &str, steps: &str| -> Keys {
        let text = format!("kind = {kind:?}\ntitle = \"an example\"\n{steps}");
        defaults(&ActionFile::parse(&text).unwrap()).collect()
    };
    let run = "run = [\"true\"]\n";
    let post = "to = \"a@e.org\"\nfrom = \"b@e.org\"\nsubject = \"c\"\nbody = \"d\"\n";
    let keep =
        format!("[destination]\nports = \"<port>\"\nall = \"\"\n[[ban]]\n{run}[[unban]]\n{run}");
    let tell = parameters("exec", &format!("[[tell]]\n{run}"));
    let further = |all: Keys| all.into_iter().filter(|(name, _)| !tell.contains_key(name));
    let send = parameters("http", "[[tell]]\nurl = \"https://e.org\"\n");
    let (send, post) = (
        further(send).collect(),
        further(parameters("mail", &format!("[[tell]]\n{post}"))).collect(),
    );
    [
        ("all that keep bans", parameters("exec", &keep)),
        ("kind http", send),
        ("kind mail", post),
        ("all that tell", tell),
    ]
    .map(|(of, keys)| (format!("Parameters of {of}"), keys))
}

/// The actions of one's own that the manual shows.
pub fn own_actions() -> Vec<String> {
    let examples = section(&manual("f2bd-action.5"), "EXAMPLES");
    let (_, rest) = examples.split_once("An own action").unwrap();
    literals(rest)
}

/// Everything that can be set in and by action files.
fn action_file_keys() -> BTreeMap<String, Keys> {
    let file = ActionFile::parse(NFTABLES).unwrap();
    let parameters: Keys = defaults(&file).collect();
    let mut tables = BTreeMap::from([("PARAMETERS OF NFTABLES".to_owned(), parameters)]);
    // Of the others, what differs is told.
    let mut others = Vec::new();
    for entry in fs::read_dir("actions").unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_stem().unwrap().to_str().unwrap().to_owned();
        let text = fs::read_to_string(&path).unwrap();
        if name == "nftables" || !name.starts_with("nftables") {
            continue;
        }
        let known = &tables["PARAMETERS OF NFTABLES"];
        let other = ActionFile::parse(&text).unwrap();
        let further = defaults(&other).filter(|(name, default)| known.get(name) != Some(default));
        tables.insert(name, further.collect());
        others.push(toml::from_str(&text).unwrap());
    }
    let serve = ActionFile::parse(SERVE).unwrap();
    tables.insert("PARAMETERS OF SERVE".to_owned(), defaults(&serve).collect());
    let text: toml::Value = toml::from_str(NFTABLES).unwrap();
    others.push(text);
    let rulesets = others.iter().map(|file: &toml::Value| &file["ruleset"]);
    let rulesets = rulesets.flat_map(|ruleset| ruleset.as_table().unwrap().keys());
    let keys = rulesets.map(|key| (key.clone(), None)).collect();
    tables.insert("[ruleset]".to_owned(), keys);
    for (heading, table) in [
        ("Top of the file", ""),
        ("Steps", "[[start]]"),
        ("[shell]", "[shell]"),
        ("[parameters.NAME]", "[parameters.one]"),
        ("[[sample]]", "[[sample]]"),
    ] {
        tables.insert(heading.to_owned(), keys_of_action_files(table));
    }
    tables.extend(usual_parameters());
    tables
}

#[test]
fn every_parameter_and_key_of_an_action_is_in_the_manual_and_no_other() {
    assert_eq!(written_keys(&manual("f2bd-action.5")), action_file_keys());
}

// A key that is mentioned in passing exists somewhere.
#[test]
fn no_manual_speaks_of_a_key_that_is_not_there() {
    let mut known: BTreeSet<String> = BTreeSet::new();
    for tables in [
        known_keys(CONFIGURATION),
        known_keys(FILTER_FILE),
        action_file_keys(),
    ] {
        known.extend(tables.into_values().flat_map(Keys::into_keys));
    }
    for name in MANUALS {
        for key in marked(&manual(name), "Ic") {
            assert!(key.starts_with('[') || known.contains(key), "{name}: {key}");
        }
    }
}

fn resolved(text: &str) -> (Value, Settings) {
    let home = tempfile::tempdir().unwrap();
    let path = home.path().join("f2bd.conf");
    fs::write(&path, text).unwrap();
    let loaded: Loaded = config::load_and_prove(Some(&path));
    assert_eq!(loaded.problems, [], "{text}");
    (config::resolved(&loaded), loaded.settings.unwrap())
}

/// Two configurations come to the same.
fn assert_same(one: &str, other: &str) {
    let ((one_jails, one), (other_jails, other)) = (resolved(one), resolved(other));
    assert_eq!(one_jails, other_jails);
    assert_eq!(one.daemon, other.daemon);
    assert_eq!(one.sources, other.sources);
    assert_eq!(one.actions, other.actions);
    // Not the whole policy: the compiled filters are long, and the same if all else is.
    let jails = |settings: &Settings| format!("{:?}", settings.policy.jails);
    assert_eq!(jails(&one), jails(&other));
}

#[test]
fn the_defaults_are_what_holds_without_them() {
    let mut text = String::new();
    for (heading, keys) in [
        ("[daemon]", [keys::DAEMON].as_slice()),
        ("[source.journal]", &[keys::SOURCE, keys::JOURNAL_SOURCE]),
        ("[defaults]", &[keys::JAIL]),
        ("[jail.sshd]", &[keys::JAIL, keys::JAIL_ONLY]),
    ] {
        text.push_str(&format!("{heading}\n"));
        for key in keys
            .iter()
            .copied()
            .flatten()
            .filter(|key| !key.default.is_empty())
        {
            text.push_str(&format!("{} = {}\n", key.name, key.default));
        }
    }
    let file = ActionFile::parse(NFTABLES).unwrap();
    text.push_str("[action.nftables]\n");
    for (name, default) in defaults(&file) {
        text.push_str(&format!("{name} = {}\n", default.unwrap()));
    }
    assert_same(&text, "[jail.sshd]\n");
}

#[test]
fn the_defaults_of_tables_are_what_holds_without_them() {
    for (table, keys) in [
        ("escalation", keys::ESCALATION),
        ("network", keys::NETWORK),
        ("distributed", keys::DISTRIBUTED),
        ("siege", keys::SIEGE),
        ("unhindered", keys::UNHINDERED),
        ("prefix", keys::PREFIX),
    ] {
        let told = keys.iter().filter(|key| !key.default.is_empty());
        let words: Vec<_> = told
            .map(|key| format!("{} = {}", key.name, key.default))
            .collect();
        let full = format!("[jail.sshd]\n{table} = {{ {} }}\n", words.join(", "));
        assert_same(&full, &format!("[jail.sshd]\n{table} = {{}}\n"));
    }
}

#[test]
fn the_first_configuration_is_sound_and_shows_the_defaults() {
    let path = root().join("contrib/f2bd.conf");
    let output = f2bd(&["check", "--config", path.to_str().unwrap()]);
    assert!(output.status.success(), "{output:?}");
    let told = String::from_utf8(output.stdout).unwrap();
    assert_eq!(told, "The configuration is sound: 1 jail.\n");

    let text = fs::read_to_string(path).unwrap();
    let shown = |line: &str| match line.strip_prefix('#') {
        Some(setting) if setting.starts_with(|c: char| c.is_ascii_lowercase()) => {
            setting.to_owned()
        }
        _ => line.to_owned(),
    };
    let with_all: Vec<_> = text.lines().map(shown).collect();
    assert!(with_all.join("\n").contains("\nmaxretry = "));
    assert_same(&text, &with_all.join("\n"));
}

// Examples.

/// The literal texts of a manual.
fn literals(text: &str) -> Vec<String> {
    let blocks = text.split(".Bd -literal").skip(1).map(|block| {
        let (_, block) = block.split_once('\n').unwrap();
        block.split_once(".Ed").unwrap().0.replace("\\&", "")
    });
    blocks.collect()
}

/// The example of f2bd.conf(5) behind these words.
pub fn configuration(words: &str) -> String {
    let examples = section(&manual("f2bd.conf.5"), "EXAMPLES");
    let (_, rest) = examples.split_once(words).unwrap();
    literals(rest).swap_remove(0)
}

/// The filter of f2bd-filter(5) that a configuration of f2bd.conf(5) uses.
pub fn filter_behind_proxies() -> String {
    let examples = section(&manual("f2bd-filter.5"), "EXAMPLES");
    let (_, rest) = examples.split_once(".Pa proxied.toml").unwrap();
    literals(rest).swap_remove(0).replace("\\e", "\\")
}

#[test]
fn every_example_of_a_configuration_is_sound() {
    let home = tempfile::tempdir().unwrap();
    let path = home.path().join("f2bd.conf");
    let is_sound = |text: &str| {
        fs::write(&path, text).unwrap();
        let problems = config::load_and_prove(Some(&path)).problems;
        let is_mistake = |problem: &Problem| problem.severity == Severity::Error;
        assert!(!problems.iter().any(is_mistake), "{text}: {problems:?}");
    };
    fs::create_dir(home.path().join("filters")).unwrap();
    fs::write(
        home.path().join("filters/proxied.toml"),
        filter_behind_proxies(),
    )
    .unwrap();
    let configurations = literals(&manual("f2bd.conf.5"));
    let actions = manual("f2bd-action.5");
    let sections = literals(&section(&actions, "DESCRIPTION"));
    assert!(configurations.len() >= 2 && sections.len() >= 2);
    configurations
        .iter()
        .chain(&sections)
        .for_each(|text| is_sound(text));

    let filters = literals(&section(&manual("f2bd-filter.5"), "EXAMPLES"));
    assert_eq!(filters.len(), 4);
    for text in &filters {
        let text = text.replace("\\e", "\\");
        fs::write(home.path().join("filters/mydoor.toml"), text).unwrap();
        is_sound("[jail.mydoor]\n");
    }

    let variants = literals(&section(&actions, "EXAMPLES"));
    let (head, rest) = NFTABLES.split_once("chain = ").unwrap();
    let (shipped, _) = rest.split_once("[[sample]]").unwrap();
    assert_eq!(
        shipped.matches(" = ").count(),
        1,
        "only a rule behind the chain"
    );
    ActionFile::parse(&format!("{head}{}", variants[0])).unwrap();
}

#[test]
fn every_example_of_a_command_can_be_written() {
    let mut seen = 0;
    for name in MANUALS {
        let manual = manual(name);
        let lines = manual.lines().filter_map(|line| line.strip_prefix(".Dl "));
        for command in lines.flat_map(|line| line[2..].split(" && ")) {
            let (command, _) = command.split_once(" | ").unwrap_or((command, ""));
            if command.starts_with("f2bd ") {
                let words = command.split_whitespace();
                CommandLine::try_parse_from(words).unwrap_or_else(|error| panic!("{error}"));
                seen += 1;
            }
        }
    }
    assert!(seen > 5);
}

#[test]
fn the_bounds_are_those_of_the_program() {
    let grouped = |number: usize| {
        let digits = number.to_string();
        let groups: Vec<_> = digits.as_bytes().rchunks(3).rev().collect();
        String::from_utf8(groups.join(&b',')).unwrap()
    };
    let most_retries = keys::MOST_RETRIES;
    for (name, words) in [
        (
            "f2bd.8",
            format!("watches at most {} subjects", grouped(MOST_SUBJECTS)),
        ),
        ("f2bd.8", format!("{} networks", grouped(MOST_NETWORKS))),
        ("f2bd.8", format!("{} accounts", grouped(MOST_ACCOUNTS))),
        (
            "f2bd.8",
            format!("at most {} a jail", grouped(MOST_SUSPECTS)),
        ),
        ("f2bd.8", format!("more than {};", grouped(MOST_FAILURES))),
        (
            "f2bd.8",
            format!("At most {} bans are in force", grouped(MOST_BANS)),
        ),
        (
            "f2bd.8",
            format!("beyond the first {}", grouped(MOST_SUBJECTS)),
        ),
        ("f2bd.8", format!("first {LONGEST_MESSAGE} bytes")),
        ("f2bd.8", format!("up to {PAGE}")),
        (
            "f2bd.8",
            format!(
                "tells {} addresses apart, and {} names",
                grouped(MOST_ADDRESSES),
                grouped(MOST_NAMES)
            ),
        ),
        (
            "f2bd.8",
            format!("At most {} hosts of a filter", grouped(MOST_ADDRESSES)),
        ),
        ("f2bd-filter.5", format!("{LONGEST_MESSAGE} bytes")),
        ("f2bd-store.5", format!("at most {LONGEST_TEXT} bytes")),
        (
            "f2bd.conf.5",
            format!("make a ban; from 1 to {most_retries}."),
        ),
    ] {
        let manual = manual(name);
        let text = manual.split_whitespace().collect::<Vec<_>>().join(" ");
        assert!(text.contains(&words), "{words} in {name}");
    }
}

// The database.

#[test]
fn every_table_and_column_is_in_the_manual_and_no_other() {
    let manual = manual("f2bd-store.5");
    let mut told: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for heading in ["VIEWS", "TABLES"] {
        for (name, text) in below(&section(&manual, heading), ".Ss ") {
            let mut columns = set(marked(&text, "Cm"));
            if let Some((_, rest)) = text.split_once("the columns of\n.Sx ") {
                let other = rest.split_whitespace().next().unwrap();
                columns.extend(told[other].clone());
            }
            told.insert(name.to_owned(), columns);
        }
    }
    let home = tempfile::tempdir().unwrap();
    let path = home.path().join("f2bd.db");
    drop(Store::open(&path).unwrap());
    let database = rusqlite::Connection::open(&path).unwrap();
    let mut statement = database
        .prepare(
            "SELECT m.name, c.name FROM sqlite_master m, pragma_table_info(m.name) c
             WHERE m.type IN ('table', 'view') AND m.name NOT LIKE 'sqlite_%'",
        )
        .unwrap();
    let mut rows = statement.query([]).unwrap();
    let mut there: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    while let Some(row) = rows.next().unwrap() {
        let columns = there.entry(row.get(0).unwrap()).or_default();
        columns.insert(row.get(1).unwrap());
    }
    assert!(there.len() >= 10);
    assert_eq!(told, there);
}

// Form.

/// Runs a program; nothing if it is not there, which has been told.
fn outcome(program: &str, arguments: &[PathBuf], options: &[&str]) -> Option<Output> {
    match Command::new(program).args(options).args(arguments).output() {
        Err(error) if error.kind() == ErrorKind::NotFound => {
            skipped(&format!("{program} is not installed"))
        }
        output => Some(output.unwrap()),
    }
}

#[test]
fn mandoc_has_nothing_against_the_manuals() {
    let mut there = BTreeSet::new();
    for entry in fs::read_dir(root().join("man")).unwrap() {
        there.insert(entry.unwrap().file_name().into_string().unwrap());
    }
    assert_eq!(there, set(MANUALS));
    let paths = MANUALS.map(|name| root().join("man").join(name));
    let Some(output) = outcome("mandoc", &paths, &["-Tlint", "-W", "warning"]) else {
        return;
    };
    let complaints = [output.stdout, output.stderr].concat();
    assert_eq!(String::from_utf8_lossy(&complaints), "");
    assert!(output.status.success());
}

#[test]
fn every_manual_has_examples() {
    for name in MANUALS {
        assert!(
            !section(&manual(name), "EXAMPLES").trim().is_empty(),
            "{name}"
        );
    }
}

#[test]
fn every_shell_accepts_its_completions() {
    let home = tempfile::tempdir().unwrap();
    let line = command_line();
    let own: Vec<_> = line
        .get_subcommands()
        .map(|command| command.get_name())
        .collect();
    let client = ["start", "unban", "flushlogs", "loglevel", "str2sec"];
    for (name, words) in [
        ("f2bd", &own[..]),
        ("fail2ban-client", &client),
        ("fail2ban-server", &client),
        ("fail2ban-regex", &["print-all-matched", "datepattern"]),
    ] {
        for shell in ["bash", "zsh", "fish"] {
            let output = f2bd(&["completions", shell, name]);
            assert!(output.status.success(), "{output:?}");
            let script = String::from_utf8(output.stdout).unwrap();
            for word in [&[name], words].concat() {
                assert!(script.contains(word), "{shell} {name}: {word}");
            }
            let path = home.path().join(format!("{shell}-{name}"));
            fs::write(&path, script).unwrap();
            let Some(output) = outcome(shell, &[path], &["-n"]) else {
                continue;
            };
            let complaints = [output.stdout, output.stderr].concat();
            assert_eq!(String::from_utf8_lossy(&complaints), "", "{shell} {name}");
            assert!(output.status.success(), "{shell} {name}");
        }
    }
}
