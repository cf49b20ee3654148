//! The program itself.

use std::fs;
use std::path::Path;
use std::process::{Command, Output};

use serde_json::Value;

use crate::support::wait::until;
use crate::support::world::{F2BD, World};

const FILTER: &str = "[[failure]]\nfields = { ip = '^<ip>$', \"status\" = '^401$' }\n[[failure]]\npattern = '^denied <ip>$'\n";

fn f2bd(arguments: &[&str]) -> Output {
    let mut command = Command::new(F2BD);
    command
        .args(["--now", "2026-03-01T00:00:00Z"])
        .args(arguments)
        .output()
        .unwrap()
}

/// A directory with a filter `own`, and these files.
fn home(files: &[(&str, &[u8])]) -> tempfile::TempDir {
    let home = tempfile::tempdir().unwrap();
    fs::create_dir(home.path().join("filters")).unwrap();
    fs::write(home.path().join("filters/own.toml"), FILTER).unwrap();
    for (name, text) in files {
        fs::write(home.path().join(name), text).unwrap();
    }
    home
}

fn path(home: &Path, name: &str) -> String {
    home.join(name).to_str().unwrap().to_owned()
}

/// Time and address of what `match` finds in a log.
fn matched(home: &Path, arguments: &[&str], log: &str) -> Vec<(String, String)> {
    let (filter, log) = (path(home, "filters/own.toml"), path(home, log));
    let output = f2bd(
        &[
            &["match", "--json", "--timezone", "UTC"],
            arguments,
            &[&filter, &log],
        ]
        .concat(),
    );
    assert_eq!(String::from_utf8_lossy(&output.stderr), "");
    let lines = String::from_utf8(output.stdout).unwrap();
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let rows = lines
        .lines()
        .map(|line| serde_json::from_str::<Value>(line).unwrap());
    rows.map(|row| (text(&row["time"]), text(&row["ip"])))
        .collect()
}

fn pairs(expected: &[(&str, &str)]) -> Vec<(String, String)> {
    let pair = |(time, ip): &(&str, &str)| ((*time).to_owned(), (*ip).to_owned());
    expected.iter().map(pair).collect()
}

#[test]
fn match_reads_logs_as_they_are_written() {
    let utf16: Vec<u8> =
        "\u{feff}2026-02-12 14:10:21 denied 192.0.2.1\r\n2026-02-12 14:10:22 denied 192.0.2.2\r\n"
            .encode_utf16()
            .flat_map(u16::to_le_bytes)
            .collect();
    let home = home(&[
        ("any.log", b"{\"ts\":1770905421,\"ip\":\"192.0.2.1\",\"status\":401}\n2026-02-12 14:10:22 denied 192.0.2.2\n"),
        ("cri.log", b"2026-02-12T14:10:21Z stdout P {\"ip\":\"192.0.2.1\",\n2026-02-12T14:10:22Z stdout F \"status\":401}\n"),
        ("torn.log", b"2026-02-12T14:10:21Z stdout F denied 192.0.2.1\n2026-02-12T14:10:22Z stdout F denied 192.0.2.2"),
        ("utf16.log", &utf16),
        ("bare.log", &utf16[2..]),
        ("own.log", b"12.02.26=14.10.21 denied 192.0.2.1\n12.02.26=14.10.22 denied 192.0.2.2\n"),
    ]);
    let home = home.path();
    let both = pairs(&[
        ("2026-02-12T14:10:21Z", "192.0.2.1"),
        ("2026-02-12T14:10:22Z", "192.0.2.2"),
    ]);
    assert_eq!(matched(home, &[], "any.log"), both);
    assert_eq!(matched(home, &["--format", "json"], "any.log"), both[..1]);
    assert_eq!(
        matched(home, &["--format", "text"], "any.log"),
        // It is the message now, which has fields too, but no time.
        pairs(&[
            ("2026-03-01T00:00:00Z", "192.0.2.1"),
            ("2026-02-12T14:10:22Z", "192.0.2.2")
        ])
    );
    assert_eq!(
        matched(home, &["--format", "cri"], "cri.log"),
        pairs(&[("2026-02-12T14:10:22Z", "192.0.2.1")])
    );
    // The address may go on behind the end.
    assert_eq!(matched(home, &["--format", "cri"], "torn.log"), both[..1]);
    assert_eq!(matched(home, &[], "utf16.log"), both);
    assert_eq!(matched(home, &[], "bare.log"), []);
    assert_eq!(matched(home, &["--encoding", "utf-16le"], "bare.log"), both);
    assert_eq!(
        matched(home, &["--time-format", "%d.%m.%y=%H.%M.%S"], "own.log"),
        both
    );
    assert_eq!(matched(home, &[], "own.log"), []);
}

#[test]
fn match_refuses_what_makes_no_sense() {
    for (arguments, reason) in [
        (
            &["--format", "xml"][..],
            "[possible values: text, json, cri]",
        ),
        (&["--encoding", "klingon"], "is no encoding that is known"),
        (&["--time-format", "%d/%b"], "has the hour (%H) missing"),
        (
            &["--format", "json", "sshd", "journal"],
            "`journal` is a journal",
        ),
        (
            &["--encoding", "latin1", "sshd", "journal:/x"],
            "`journal:/x` is a journal",
        ),
    ] {
        let output = f2bd(&[&["match"], arguments, &["sshd", "-"]].concat());
        let told = String::from_utf8_lossy(&output.stderr);
        assert!(told.contains(reason), "{arguments:?}: {told}");
        assert_eq!(output.status.code(), Some(64), "{arguments:?}: {told}");
    }
}

/// A log is replayed as the source says that follows it, also when it was rotated since.
#[test]
fn replay_reads_logs_as_their_sources_do() {
    let line = |at: &str, address: &str| {
        format!(
            "{{\"at\":\"{at}\",\"event\":{{\"text\":\"denied {address}\"}},\"message\":\"x\"}}\n"
        )
    };
    let lines =
        line("12.02.2026 15:10:21", "192.0.2.1") + &line("12.02.2026 15:10:22", "192.0.2.1");
    let home = home(&[
        ("shop.json", lines.as_bytes()),
        ("shop.json.2", lines.as_bytes()),
        ("other.json", lines.as_bytes()),
    ]);
    let config = format!(
        "[source.shop]\ntype = \"file\"\npath = {:?}\nformat = \"json\"\ntimezone = \"+01:00\"\ntime = \"%d.%m.%Y %H:%M:%S\"\n\
         fields = {{ message = \"event.text\", time = \"at\" }}\n\
         [jail.own]\nsources = [\"shop\"]\nmaxretry = 2\nignoreself = false\n",
        path(home.path(), "shop.*n")
    );
    fs::write(home.path().join("f2bd.conf"), config).unwrap();
    let replay = |name: &str, more: &[&str]| {
        let (config, log) = (path(home.path(), "f2bd.conf"), path(home.path(), name));
        let output = f2bd(&[&["replay", "--json", "--config", &config], more, &[&log]].concat());
        String::from_utf8(output.stdout).unwrap()
    };
    for name in ["shop.json", "shop.json.2"] {
        assert!(replay(name, &[]).starts_with(r#"{"time":"2026-02-12T14:10:22Z","jail":"own","decision":"ban","subject":"192.0.2.1/32""#), "{name}: {}", replay(name, &[]));
        assert!(
            replay(name, &["--timezone", "UTC"]).starts_with(r#"{"time":"2026-02-12T15:10:22Z","#)
        );
    }
    assert_eq!(replay("other.json", &[]), "");
}

/// From the written line to the database: a container's log and one of a web server, the one told, the other not.
#[test]
fn the_daemon_counts_what_fields_tell() {
    let Some(world) = World::new("enabled = false") else {
        return;
    };
    let (web, pod) = (path(world.path(), "web.log"), path(world.path(), "pod.log"));
    let odd = path(world.path(), "odd.log");
    fs::create_dir(world.path().join("filters")).unwrap();
    fs::write(world.path().join("filters/own.toml"), FILTER).unwrap();
    fs::write(&web, "").unwrap();
    fs::write(&pod, "").unwrap();
    world.configure(
        "enabled = false",
        &format!(
            "[source.pod]\ntype = \"file\"\npath = {pod:?}\nformat = \"cri\"\n\
             [jail.web]\nfilter = \"own\"\nlogpath = {web:?}\nmaxretry = 2\nignoreself = false\n\
             [jail.pod]\nfilter = \"own\"\nsources = [\"pod\", \"odd\"]\nmaxretry = 2\nignoreself = false\n\
             [source.odd]\ntype = \"file\"\npath = {odd:?}\ntime = \"%d/%b/%Y:%H:%M:%S\"\n"
        ),
    );
    let daemon = world.start_with(&["--dry-run"], &[]);
    let now = jiff::Timestamp::now();
    fs::write(&odd, format!("{now} x\n").repeat(16)).unwrap();
    let object =
        |ip: &str| format!("{{\"time\":\"{now}\",\"msg\":\"x\",\"ip\":\"{ip}\",\"status\":401}}");
    fs::write(&web, format!("{0}\n{0}\n", object("198.18.0.1"))).unwrap();
    let second = object("198.18.0.2");
    let (head, tail) = second.split_at(9);
    fs::write(
        &pod,
        format!("{now} stdout F {second}\nno line of a container\n{now} stdout P {head}\n{now} stdout F {tail}\n"),
    )
    .unwrap();
    until("both are banned", || {
        let banned = world.sql("SELECT jail, ip FROM ban_history ORDER BY jail");
        (banned.trim() == "pod|198.18.0.2\nweb|198.18.0.1").then_some(())
    });
    // The line is told that accuses, not a message that says nothing.
    let lines = world.sql("SELECT DISTINCT line FROM failures WHERE jail = 'web'");
    assert_eq!(lines.trim(), object("198.18.0.1"));
    daemon.says("`no line of a container` is not of the form that the log has");
    daemon.says("its first lines have no date as `time` says");
    let status = world.json(&["status"]).remove(0);
    let sources = status["sources"].as_array().unwrap();
    let pod = sources.iter().find(|row| row["source"] == "pod").unwrap();
    assert_eq!(pod["malformed"], 1);
}

#[test]
fn letters_of_two_bytes_without_a_mark_are_told() {
    let Some(world) = World::new("enabled = false") else {
        return;
    };
    let logs = [
        ("little.log", u16::to_le_bytes as fn(u16) -> [u8; 2]),
        ("big.log", u16::to_be_bytes),
    ];
    let paths = logs.map(|(name, _)| path(world.path(), name));
    let [little, big] = &paths;
    world.configure(
        &format!("maxretry = 2\nignoreself = false\nlogpath = [{little:?}, {big:?}]"),
        "",
    );
    let daemon = world.start_with(&["--dry-run"], &[]);
    let now = jiff::Timestamp::now();
    let text =
        format!("{now} box sshd[7]: Failed password for root from 198.18.0.1 port 22 ssh2\n");
    for ((_, bytes), path) in logs.iter().zip(&paths) {
        let letters: Vec<u8> = text.repeat(3).encode_utf16().flat_map(bytes).collect();
        fs::write(path, letters).unwrap();
    }
    for (path, encoding) in [(little, "utf-16le"), (big, "utf-16be")] {
        daemon.says(&format!("{path}: its letters are those of {encoding}"));
    }
}
