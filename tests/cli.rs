//! What the commands say and how they end where no daemon runs.

use std::fs;
use std::io::{BufRead, BufReader, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::time::Duration;

use f2bd::engine::filter::session::Sessions;
use f2bd::engine::filter::{FilterSet, View};
use f2bd::engine::policy::FilterId;
use f2bd::engine::record::text::TextReader;
use f2bd::engine::time::Timestamp;
use jiff::tz::TimeZone;
use proptest::prelude::*;
use serde_json::Value;

use crate::support::journald::Journald;
use crate::support::skipped;
use crate::support::wait::until;
use crate::support::world::{F2BD, copy_program};

/// Three failures, one of them forged, between lines that are none.
const LOG: &[u8] = b"Feb 12 14:10:20 www sshd[101]: Server listening on 0.0.0.0 port 22.
Feb 12 14:10:21 www sshd[102]: Failed password for root from 192.0.2.7 port 4001 ssh2
Feb 12 14:10:22 www sshd[103]: Failed password for invalid user x from 198.51.100.1 from 2001:db8::7 port 4001 ssh2
no date, no program
Feb 12 14:10:23 www sshd[104]: Failed password for ann from 192.0.2.7 port 4002 ssh2
";

/// Runs f2bd as if it were the first of March 2026, with this on its standard input.
fn f2bd(arguments: &[&str], input: &[u8]) -> Output {
    let mut child = Command::new(F2BD)
        .args(["--now", "2026-03-01T00:00:00Z", "--timezone", "UTC"])
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stdin = child.stdin.take().unwrap();
    let input = input.to_vec();
    let feed = std::thread::spawn(move || {
        // A command that does not read its input is free to.
        let _ = stdin.write_all(&input);
    });
    let output = child.wait_with_output().unwrap();
    feed.join().unwrap();
    output
}

fn code(output: &Output) -> i32 {
    output.status.code().unwrap()
}

fn out(output: &Output) -> &str {
    std::str::from_utf8(&output.stdout).unwrap()
}

fn err(output: &Output) -> &str {
    std::str::from_utf8(&output.stderr).unwrap()
}

/// A directory with a configuration of one jail.
fn home(jail: &str) -> tempfile::TempDir {
    let home = tempfile::tempdir().unwrap();
    let text = format!("[jail.sshd]\nignoreself = false\n{jail}\n");
    fs::write(home.path().join("f2bd.conf"), text).unwrap();
    home
}

fn path(path: &Path) -> &str {
    path.to_str().unwrap()
}

// f2bd(8): "64 usage".
#[test]
fn a_command_line_that_makes_no_sense_is_64() {
    for (arguments, reason) in [
        (&[][..], "Usage: f2bd"),
        (&["bogus"], "unrecognized subcommand 'bogus'"),
        (&["match", "sshd"], "name a filter and then a log"),
        (&["match", "--all"], "required arguments"),
        (
            &["match", "--all", "--mode", "ddos", "-"],
            "cannot be used with",
        ),
        (&["replay"], "required arguments"),
        (&["allow", "192.0.2.300"], "neither an address nor"),
        (&["explain"], "<IP>"),
        (&["ban", "sshd"], "<IP>"),
        (&["ban", "s s", "192.0.2.1"], "cannot be a name"),
        (
            &["ban", "sshd", "192.0.2.1", "--for", "soon"],
            "is not a time span",
        ),
        (&["unban"], "<IP>"),
        (&["unban", "192.0.2.1", "--all"], "cannot be used with"),
        (&["history", "--limit", "0"], "1..=5000"),
        (&["status", "--now", "noon"], "is not a moment"),
        (
            &["status", "--timezone", "Mars/Olympus"],
            "there is no time zone `Mars/Olympus`",
        ),
        (&["completions", "tcsh"], "possible values"),
    ] {
        let output = Command::new(F2BD).args(arguments).output().unwrap();
        assert_eq!(code(&output), 64, "{arguments:?}");
        assert_eq!(out(&output), "", "{arguments:?}");
        assert!(
            err(&output).contains(reason),
            "{arguments:?}: {}",
            err(&output)
        );
    }
}

// f2bd(8): "69 daemon not reachable".
#[test]
fn without_a_daemon_it_is_69() {
    let home = home("");
    let socket = home.path().join("control.sock");
    for arguments in [
        &["status"][..],
        &["status", "sshd", "--json"],
        &["bans"],
        &["history"],
        &["explain", "192.0.2.1"],
        &["ban", "sshd", "192.0.2.1"],
        &["unban", "--all"],
        &["reload"],
        &["reload", "--confirm", "1m"],
        &["confirm"],
        &["flush"],
        &["follow"],
    ] {
        let output = f2bd(&[&["--socket", path(&socket)], arguments].concat(), b"");
        assert_eq!(code(&output), 69, "{arguments:?}");
        assert_eq!(out(&output), "");
        assert_eq!(
            err(&output),
            format!(
                "f2bd: no daemon serves {}: No such file or directory (os error 2); start it with \
                 `systemctl start f2bd`, or name its socket with --socket\n",
                socket.display()
            )
        );
    }
}

#[test]
fn the_socket_is_the_configured_one() {
    let home = home("[daemon]\nsocket = \"/nowhere/at/all.sock\"");
    let output = f2bd(&["--config", path(home.path()), "bans"], b"");
    assert_eq!(code(&output), 69);
    assert!(
        err(&output).contains("no daemon serves /nowhere/at/all.sock: "),
        "{}",
        err(&output)
    );
}

// f2bd(8): "66 no such input".
#[test]
fn a_log_that_is_not_there_is_66() {
    let home = home("");
    let directory = path(home.path());
    let missing = home.path().join("missing.log");
    let missing = path(&missing);
    for (log, reason) in [
        (missing, format!("cannot read {missing}: No such file")),
        (
            directory,
            format!("{directory} is a directory; for a journal's write journal:{directory}"),
        ),
        (
            &format!("journal:{directory}"),
            format!("no journal files in {directory}"),
        ),
    ] {
        for command in [
            &["match", "sshd", log][..],
            &["match", "--all", log],
            &["replay", "--config", directory, log],
        ] {
            let output = f2bd(command, b"");
            assert_eq!((code(&output), out(&output)), (66, ""), "{command:?}");
            assert!(
                err(&output).starts_with(&format!("f2bd: {reason}")),
                "{}",
                err(&output)
            );
        }
    }
}

#[test]
fn what_was_found_before_a_missing_log_is_printed() {
    let home = home("");
    let log = home.path().join("first.log");
    fs::write(&log, LOG).unwrap();
    let output = f2bd(
        &["match", "--counted", "sshd", path(&log), "/missing.log"],
        b"",
    );
    assert_eq!(code(&output), 66);
    assert_eq!(out(&output).lines().count(), 4, "{}", out(&output));
    assert!(
        out(&output).ends_with("\n5 lines: 3 counted, 2 missed\n"),
        "{}",
        out(&output)
    );
    assert!(
        err(&output).starts_with("f2bd: cannot read /missing.log: "),
        "{}",
        err(&output)
    );
}

// f2bd(8): "77 not permitted".
#[test]
fn a_log_that_may_not_be_read_is_77() {
    if !rustix::process::geteuid().is_root() {
        skipped::<()>("becoming somebody else needs root");
        return;
    }
    let home = home("");
    fs::set_permissions(home.path(), PermissionsExt::from_mode(0o755)).unwrap();
    // The build directory may be closed to others.
    let program = home.path().join("f2bd");
    copy_program(&program);
    let log = home.path().join("secret.log");
    fs::write(&log, LOG).unwrap();
    fs::set_permissions(&log, PermissionsExt::from_mode(0o600)).unwrap();
    let output = Command::new("setpriv")
        .args(["--reuid", "65534", "--regid", "65534", "--clear-groups"])
        .arg(&program)
        .args(["match", "sshd", path(&log)])
        .output()
        .unwrap();
    assert_eq!(code(&output), 77, "{}", err(&output));
    assert!(
        err(&output).contains("Permission denied"),
        "{}",
        err(&output)
    );
}

/// A line in which there is nothing to find.
const NOTHING: &[u8] = b"Feb 12 14:10:21 box cron[7]: nothing\n";

// f2bd(8): "1 not so (not banned, nothing matched)".
#[test]
fn where_nothing_matches_it_is_1() {
    let home = home("");
    let config = path(home.path());
    for (arguments, input, said) in [
        (
            &["match", "sshd", "-"][..],
            &b""[..],
            "0 lines: 0 counted, 0 missed\n",
        ),
        (
            &["match", "sshd", "-"],
            NOTHING,
            "1 line: 0 counted, 1 missed\n",
        ),
        (&["match", "sshd", "-", "--json"], NOTHING, ""),
        (
            &["replay", "--config", config, "-"],
            LOG,
            "JAIL  FAILURES  ADDRESSES  BANS  IN FORCE\n\
             sshd         3          2     0         0\n\
             0 bans in force at the end\n",
        ),
        (&["replay", "--config", config, "-", "--json"], LOG, ""),
    ] {
        let output = f2bd(arguments, input);
        assert_eq!(code(&output), 1, "{arguments:?}");
        assert_eq!(out(&output), said, "{arguments:?}");
        assert_eq!(err(&output), "", "{arguments:?}");
    }
    for arguments in [
        &["match", "sshd", "-"][..],
        &["replay", "--config", config, "-"],
    ] {
        let output = f2bd(arguments, b"__REALTIME_TIMESTAMP=1\n");
        assert_eq!(code(&output), 1, "{arguments:?}");
        assert!(
            err(&output).contains("journalctl -o short-iso"),
            "{arguments:?}"
        );
    }
    let output = f2bd(&["replay", "--config", config, "--jail", "no", "-"], LOG);
    assert_eq!(
        (code(&output), err(&output)),
        (1, "f2bd: no jail no is enabled\n")
    );
}

#[test]
fn lines_that_no_pattern_can_take_are_counted_whatever_follows_them() {
    // Passed over, and nothing that is looked at stands behind them.
    let mut log = NOTHING.repeat(5000);
    log.extend(b"{\"message\":\"a\",\"msg\":\"b\",\"message\":\"c\"}\n");
    let home = home("");
    let file = home.path().join("quiet.log");
    fs::write(&file, &log).unwrap();
    let output = f2bd(&["match", "sshd", path(&file), path(&file)], b"");
    assert_eq!(
        out(&output),
        format!(
            "Lines  Log\n 5000  {0}\n 5000  {0}\n\n10000 lines: 0 counted, 10000 missed\n",
            file.display()
        )
    );
}

#[test]
fn what_was_passed_over_is_not_said_to_be_without_a_program() {
    let banner = b"2026-02-12T10:00:00Z beginning\n";
    let log = [banner, &NOTHING.repeat(500)[..], banner].concat();
    let output = f2bd(&["match", "sshd", "-"], &log);
    assert_eq!((code(&output), err(&output)), (1, ""));
    // The lines of this one have none, however many there are.
    let log = b"1770905421.123456 www sshd[1]: nothing\n".repeat(5000);
    let output = f2bd(&["match", "sshd", "-"], &log);
    assert_eq!(code(&output), 1);
    assert!(err(&output).contains("journalctl -o short-iso"));
}

// f2bd(8): "66 no such input".
#[test]
fn a_filter_file_that_is_not_there_is_66() {
    let home = home("");
    for (file, reason) in [
        ("./missing.toml", "No such file or directory (os error 2)"),
        (path(home.path()), "is a directory"),
    ] {
        let output = f2bd(&["match", file, "-"], LOG);
        assert_eq!(
            (code(&output), err(&output)),
            (
                66,
                &*format!("f2bd: cannot read the filter {file}: {reason}\n")
            )
        );
    }
}

/// The first line that a command prints while its standard input is open and has had `input`.
fn first_line(arguments: &[&str], input: &[u8]) -> String {
    let mut child = Command::new(F2BD)
        .args(["--now", "2026-03-01T00:00:00Z", "--timezone", "UTC"])
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stdin = child.stdin.take().unwrap();
    stdin.write_all(input).unwrap();
    let mut stdout = BufReader::new(child.stdout.take().unwrap());
    let (told, line) = std::sync::mpsc::channel();
    let read = std::thread::spawn(move || {
        let mut line = String::new();
        stdout.read_line(&mut line).unwrap();
        let _ = told.send(line);
    });
    let line = line.recv_timeout(Duration::from_secs(20));
    drop(stdin);
    read.join().unwrap();
    child.wait().unwrap();
    line.expect("a line before the end of the input")
}

#[test]
fn lines_of_a_log_that_is_written_are_printed_at_once() {
    let home = home("maxretry = 2");
    let config = path(home.path());
    for (arguments, expected) in [
        (
            &["match", "--counted", "sshd", "-"][..],
            "2: pattern 1 2026-02-12 14:10:21 192.0.2.7 user `root`\n",
        ),
        (
            &["match", "--missed=all", "sshd", "-"],
            "1: sshd Server listening on 0.0.0.0 port 22.\n",
        ),
        (
            &["replay", "--config", config, "-"],
            "2026-02-12 14:10:23  ban    sshd  192.0.2.7  2 failures for 10m, offence 1\n",
        ),
    ] {
        assert_eq!(first_line(arguments, LOG), expected, "{arguments:?}");
    }
}

#[test]
fn standard_input_may_be_packed() {
    let home = home("");
    for program in ["gzip", "xz", "zstd"] {
        let log = home.path().join(format!("{program}.log"));
        fs::write(&log, LOG).unwrap();
        let Some(packed) = pack(program, &log) else {
            continue;
        };
        let bytes = fs::read(&packed).unwrap();
        // Through a pipe, and from the file itself.
        let piped = f2bd(&["match", "sshd", "--counted", "-"], &bytes);
        let file = Command::new(F2BD)
            .args(["match", "sshd", "--counted", "-"])
            .stdin(fs::File::open(&packed).unwrap())
            .output()
            .unwrap();
        for output in [piped, file] {
            assert_eq!((code(&output), err(&output)), (0, ""), "{program}");
            assert!(out(&output).ends_with("\n5 lines: 3 counted, 2 missed\n"));
        }
        // What stands before its place has been read by somebody else.
        let mut half = fs::File::open(&log).unwrap();
        half.seek(SeekFrom::Start(68)).unwrap();
        let output = Command::new(F2BD)
            .args(["match", "sshd", "-"])
            .stdin(half)
            .output()
            .unwrap();
        assert!(out(&output).ends_with("\n4 lines: 3 counted, 1 missed\n"));
    }
    // Text that begins as if it were packed.
    for front in [&b"\xfd7z"[..], b"\x28\xb5", b"\x1f"] {
        let output = f2bd(&["match", "sshd", "-"], front);
        assert_eq!(out(&output), "1 line: 0 counted, 1 missed\n");
    }
}

#[test]
fn logs_are_read_in_the_order_of_time() {
    let home = home("maxretry = 2\nfindtime = \"1h\"\nbantime = \"1m\"");
    let config = path(home.path());
    let failure = |minute: u32, pid: u32| {
        format!(
            "Feb 12 14:{minute}:00 www sshd[{pid}]: Failed password for x from 192.0.2.7 port 1 ssh2\n"
        )
    };
    let newest = home.path().join("auth.log");
    let oldest = home.path().join("auth.log.1");
    let empty = home.path().join("auth.log.0");
    fs::write(&newest, format!("{}{}", failure(30, 3), failure(31, 4))).unwrap();
    fs::write(
        &oldest,
        format!("begun\n{}{}", failure(10, 1), failure(29, 2)),
    )
    .unwrap();
    fs::write(&empty, "").unwrap();
    let logs = [&newest, &empty, &oldest].map(|log| path(log));
    let said = format!(
        "f2bd: the logs are read in the order of time, from {} to {}\n",
        logs[2], logs[1]
    );
    let ordered = f2bd(
        &[
            "replay", "--json", "--config", config, logs[2], logs[0], logs[1],
        ],
        b"",
    );
    assert_eq!((code(&ordered), err(&ordered)), (0, ""));
    assert_eq!(rows(&ordered).len(), 4, "{}", out(&ordered));
    let globbed = f2bd(
        &[&["replay", "--json", "--config", config], &logs[..]].concat(),
        b"",
    );
    assert_eq!((out(&globbed), err(&globbed)), (out(&ordered), &*said));
    let matched = f2bd(&[&["match", "--json", "sshd"], &logs[..]].concat(), b"");
    assert_eq!((code(&matched), err(&matched)), (0, &*said));
    let read: Vec<_> = rows(&matched)
        .iter()
        .map(|row| row["log"].clone())
        .collect();
    assert_eq!(read, [logs[2], logs[2], logs[0], logs[0]]);
    // One that tells no time has no place among the others.
    fs::write(&empty, "no date\n").unwrap();
    let matched = f2bd(&[&["match", "--json", "sshd"], &logs[..]].concat(), b"");
    assert_eq!((code(&matched), err(&matched)), (0, ""));
    let read: Vec<_> = rows(&matched)
        .iter()
        .map(|row| row["log"].clone())
        .collect();
    assert_eq!(read, [logs[0], logs[0], logs[2], logs[2]]);
}

#[test]
fn a_log_that_cannot_be_read_does_not_hide_the_others() {
    let home = home("");
    let log = home.path().join("whole.log");
    fs::write(&log, LOG).unwrap();
    let directory = path(home.path());
    let output = f2bd(
        &["match", "sshd", "/missing.log", directory, path(&log)],
        b"",
    );
    assert_eq!(code(&output), 66);
    assert!(
        out(&output).ends_with("\n5 lines: 3 counted, 2 missed\n"),
        "{}",
        out(&output)
    );
    let said: Vec<_> = err(&output).lines().collect();
    assert!(
        said[0].starts_with("f2bd: cannot read /missing.log: "),
        "{said:?}"
    );
    assert!(
        said[1].starts_with(&format!("f2bd: {directory} is a directory")),
        "{said:?}"
    );
    assert_eq!(said.len(), 2);
}

#[test]
fn a_log_in_the_place_of_the_filter_is_told_shortly() {
    let home = home("");
    let log = home.path().join("auth.log");
    fs::write(&log, LOG.repeat(2000)).unwrap();
    let output = f2bd(&["match", path(&log), path(&log)], b"");
    assert_eq!((code(&output), out(&output)), (78, ""));
    let said: Vec<_> = err(&output).lines().collect();
    assert_eq!(said.len(), 22, "{said:?}");
    assert!(
        said[20].contains("places that are not TOML: 9980 more"),
        "{said:?}"
    );
    assert!(
        said[21].ends_with("if this is a log, name a filter before it, such as sshd"),
        "{said:?}"
    );
}

// f2bd(8): "78 bad configuration".
#[test]
fn a_filter_that_is_wrong_is_78() {
    let home = home("");
    let filter = home.path().join("own.toml");
    fs::write(&filter, "[[failure]]\npattern = '^<user> <ip> (.*$'\n").unwrap();
    for (arguments, reason) in [
        (
            &["match", "shd", "-"][..],
            "there is no filter of that name; did you mean `sshd`?",
        ),
        (
            &["match", "sshd", "--mode", "normale", "-"],
            "unknown mode `normale` of filter `sshd`; did you mean `normal`?",
        ),
        (
            &["match", path(&filter), "-"],
            "own.toml:2:11: error: this is no regular expression: unclosed group",
        ),
        (
            &["replay", "--config", "/missing", "-"],
            "/missing: error: cannot be read: No such file",
        ),
        (
            &["run", "--config", "/missing"],
            "error: /missing: cannot be read: No such file",
        ),
    ] {
        let output = f2bd(arguments, LOG);
        assert_eq!(code(&output), 78, "{arguments:?}");
        assert_eq!(out(&output), "", "{arguments:?}");
        assert!(
            err(&output).contains(reason),
            "{arguments:?}: {}",
            err(&output)
        );
    }
}

#[test]
fn match_prints_what_counts() {
    let output = f2bd(&["match", "sshd", "--counted", "-"], LOG);
    assert_eq!(code(&output), 0);
    assert_eq!(
        out(&output),
        "2: pattern 1 2026-02-12 14:10:21 192.0.2.7 user `root`
3: pattern 1 2026-02-12 14:10:22 2001:db8::7 user `x from 198.51.100.1`
5: pattern 1 2026-02-12 14:10:23 192.0.2.7 user `ann`
5 lines: 3 counted, 2 missed
"
    );
    let output = f2bd(&["match", "--all", "--counted", "-"], LOG);
    assert_eq!(code(&output), 0);
    assert!(
        out(&output).contains("2: sshd pattern 1 2026-02-12 14:10:21 192.0.2.7 user `root`\n"),
        "{}",
        out(&output)
    );
}

#[test]
fn match_learns_a_filter_that_takes_the_line() {
    let home = tempfile::tempdir().unwrap();
    let log = home.path().join("app.log");
    let lines = "Feb 12 14:10:20 box app[42]: ready\n\
                 Feb 12 14:10:21 box app[42]: wrong key for jo's door from 192.0.2.7 port 9\n\
                 Feb 12 14:10:22 box app[42]: wrong key for al's door from 2001:db8::7 port 10\n";
    std::fs::write(&log, lines).unwrap();
    for line in ["2", "wrong key"] {
        let output = f2bd(&["match", "--learn", path(&log), line], "".as_bytes());
        assert_eq!(output.status.code(), Some(0), "{output:?}");
        let filter = home.path().join("learned.toml");
        std::fs::write(&filter, &output.stdout).unwrap();
        let text = out(&output);
        let text = text.lines().find(|line| line.starts_with("pattern"));
        assert_eq!(
            text,
            Some(r"pattern = '^wrong key for <user> door from <ip> port [0-9]+$'")
        );
        // What it says of itself holds, and it takes the other line too.
        let output = f2bd(
            &["match", "--counted", path(&filter), path(&log)],
            "".as_bytes(),
        );
        assert!(
            out(&output).ends_with("3 lines: 2 counted, 1 missed\n"),
            "{output:?}"
        );
    }
    let output = f2bd(&["match", "--learn", path(&log), "1"], "".as_bytes());
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    let output = f2bd(&["match", "--learn", path(&log)], "".as_bytes());
    assert_eq!(output.status.code(), Some(64), "{output:?}");
}

#[test]
fn match_prints_what_is_missed() {
    let output = f2bd(&["match", "sshd", "--missed=all", "-"], LOG);
    assert_eq!(code(&output), 0);
    assert_eq!(
        out(&output),
        "1: sshd Server listening on 0.0.0.0 port 22.
4: no date, no program
5 lines: 3 counted, 2 missed
"
    );
    let output = f2bd(&["match", "sshd", "--missed=all", "--json", "-"], LOG);
    let lines: Vec<Value> = rows(&output);
    assert_eq!(
        lines,
        [
            serde_json::json!({"line": 1, "program": "sshd", "message": "Server listening on 0.0.0.0 port 22."}),
            serde_json::json!({"line": 4, "program": "", "message": "no date, no program"}),
        ]
    );
}

// f2bd(8): "those that have an address and one of these words".
#[test]
fn what_is_missed_may_look_like_a_failure() {
    let log = [
        LOG,
        b"Feb 12 14:10:24 www sshd[105]: Odd login FAILURE of jo, client 192.0.2.9:4711.
Feb 12 14:10:25 www sshd[106]: Accepted publickey for jo from 192.0.2.9 port 1 ssh2
Feb 12 14:10:26 www cron[107]: (root) FAILED to open crontab
",
    ]
    .concat();
    let output = f2bd(&["match", "sshd", "--missed", "-"], &log);
    assert_eq!(
        (code(&output), out(&output)),
        (
            0,
            "6: sshd Odd login FAILURE of jo, client 192.0.2.9:4711.\n8 lines: 3 counted, 5 missed\n"
        )
    );
    let output = f2bd(&["match", "sshd", "--missed", "--json", "-"], &log);
    let found: Vec<_> = rows(&output)
        .iter()
        .map(|row| row["line"].clone())
        .collect();
    assert_eq!(found, [6]);
}

#[test]
fn match_sums_up() {
    let home = home("");
    let log = home.path().join("first.log");
    // The closing line is a failure already counted.
    let first = [
        LOG,
        b"Feb 12 14:10:25 www sshd[104]: Connection closed by invalid user ann 192.0.2.7 port 4002 [preauth]\n",
    ]
    .concat();
    fs::write(&log, &first).unwrap();
    let output = f2bd(&["match", "sshd", path(&log), "-"], LOG);
    assert_eq!((code(&output), err(&output)), (0, ""));
    let mut parts = out(&output).split("\n\n");
    assert_eq!(
        parts.next().unwrap(),
        format!("Lines  Log\n    6  {}\n    5  -", log.display())
    );
    let patterns: Vec<_> = parts.next().unwrap().lines().collect();
    let [headings, first, closing, rest] = patterns[..] else {
        panic!("{patterns:?}");
    };
    assert_eq!(headings, "Failures  Lines  Filter  Pattern");
    assert!(
        first.starts_with("       6      6  sshd          1  ^"),
        "{first}"
    );
    assert!(closing.starts_with("       0      1  sshd  "), "{closing}");
    assert!(
        rest.ends_with(" patterns more took no line (--explain shows all)"),
        "{rest}"
    );
    assert_eq!(
        parts.next().unwrap(),
        "\
Failures  Host         First                Last
       4  192.0.2.7    2026-02-12 14:10:21  2026-02-12 14:10:23
       2  2001:db8::7  2026-02-12 14:10:22  2026-02-12 14:10:22"
    );
    assert_eq!(parts.next(), Some("11 lines: 6 counted, 4 missed\n"));
    assert_eq!(parts.next(), None);

    let output = f2bd(&["match", "sshd", "--explain", "-"], LOG);
    let known = shipped().spec(FilterId(0)).failures.len();
    let shown = out(&output)
        .lines()
        .filter(|line| line.contains("  sshd  "));
    assert_eq!(shown.count(), known, "{}", out(&output));
}

#[test]
fn the_summary_is_for_programs_too() {
    let output = f2bd(&["match", "sshd", "--summary", "--json", "-"], LOG);
    assert_eq!((code(&output), err(&output)), (0, ""));
    let [object] = &rows(&output)[..] else {
        panic!("{}", out(&output));
    };
    assert_eq!(object["lines"], 5);
    assert_eq!(object["counted"], 3);
    assert_eq!(object["missed"], 2);
    assert_eq!(object["forgotten"], 0);
    assert_eq!(
        object["logs"],
        serde_json::json!([{ "log": "-", "lines": 5 }])
    );
    let patterns = object["patterns"].as_array().unwrap();
    assert_eq!(patterns.len(), shipped().spec(FilterId(0)).failures.len());
    for (pattern, failures) in patterns.iter().zip([3, 0]) {
        assert_eq!(pattern["filter"], "sshd");
        assert_eq!(pattern["failures"], failures, "{pattern}");
        assert_eq!(pattern["lines"], failures, "{pattern}");
        assert!(pattern["text"].as_str().unwrap().starts_with('^'));
    }
    assert_eq!(
        object["hosts"],
        serde_json::json!([
            {"ip": "192.0.2.7", "host": "192.0.2.7", "failures": 2, "first": "2026-02-12T14:10:21Z", "last": "2026-02-12T14:10:23Z"},
            {"ip": "2001:db8::7", "host": "2001:db8::7", "failures": 1, "first": "2026-02-12T14:10:22Z", "last": "2026-02-12T14:10:22Z"},
        ])
    );
    let output = f2bd(&["match", "sshd", "--summary", "--json", "-"], NOTHING);
    assert_eq!((code(&output), rows(&output).len()), (1, 1));
}

#[test]
fn a_summary_is_short_however_many_hosts_there_are() {
    let line = |host: u32| {
        let [_, b, c, d] = host.to_be_bytes();
        format!(
            "Feb 12 14:10:21 www sshd[{host}]: Failed password for root from 10.{b}.{c}.{d} port 1 ssh2\n"
        )
    };
    let log: String = (0..300).chain(0..10).map(line).collect();
    let output = f2bd(&["match", "sshd", "-"], log.as_bytes());
    assert!(out(&output).lines().count() < 30, "{}", out(&output));
    assert!(
        out(&output).contains("\n280 hosts more with 280 failures\n"),
        "{}",
        out(&output)
    );
    assert!(
        out(&output).contains("\n       2  10.0.0.9 "),
        "{}",
        out(&output)
    );
}

/// Packs a file beside it; `None` if there is no such program.
fn pack(program: &str, log: &Path) -> Option<String> {
    let packed = Command::new(program).arg("-kq").arg(log).status();
    match packed {
        Ok(status) => assert!(status.success(), "{program}"),
        Err(error) => return skipped(&format!("{program}: {error}")),
    }
    let ending = match program {
        "gzip" => "gz",
        "zstd" => "zst",
        other => other,
    };
    Some(format!("{}.{ending}", log.display()))
}

#[test]
fn several_logs_are_read_in_order_packed_or_not() {
    let home = home("");
    let mut logs = Vec::new();
    for (at, program) in ["gzip", "xz", "zstd"].into_iter().enumerate() {
        let log = home.path().join(format!("{at}.log"));
        // More than what is read at once.
        let noise = NOTHING.repeat(20_000 * (at + 1));
        fs::write(&log, [&noise, LOG, NOTHING].concat()).unwrap();
        logs.push((path(&log).to_owned(), 20_000 * (at as u64 + 1)));
        if let Some(packed) = pack(program, &log) {
            logs.push((packed, 20_000 * (at as u64 + 1)));
        }
    }
    let names: Vec<_> = logs.iter().map(|(name, _)| name.as_str()).collect();
    let output = f2bd(&[&["match", "--json", "sshd"], &names[..]].concat(), b"");
    assert_eq!((code(&output), err(&output)), (0, ""));
    let found: Vec<_> = rows(&output)
        .iter()
        .map(|row| {
            let log = row["log"].as_str().unwrap().to_owned();
            (log, row["line"].as_u64().unwrap())
        })
        .collect();
    let expected: Vec<_> = logs
        .iter()
        .flat_map(|(name, before)| [2, 3, 5].map(|line| (name.clone(), before + line)))
        .collect();
    assert_eq!(found, expected);
    let output = f2bd(&[&["match", "--counted", "sshd"], &names[..]].concat(), b"");
    let places: Vec<_> = expected
        .iter()
        .map(|(name, line)| format!("{name}:{line}: pattern 1 "))
        .collect();
    let printed: Vec<_> = out(&output).lines().collect();
    assert_eq!(printed.len(), places.len() + 1);
    for (line, place) in printed.iter().zip(&places) {
        assert!(line.starts_with(place), "{line}");
    }
}

// f2bd(8): "74 input or output failed".
#[test]
fn a_packed_log_that_is_torn_is_74() {
    let home = home("");
    for program in ["gzip", "xz", "zstd"] {
        let log = home.path().join(format!("{program}.log"));
        fs::write(&log, LOG).unwrap();
        let Some(packed) = pack(program, &log) else {
            continue;
        };
        let whole = fs::read(&packed).unwrap();
        fs::write(&packed, &whole[..whole.len() / 2]).unwrap();
        let output = f2bd(&["match", "--json", "sshd", path(&log), &packed], b"");
        assert_eq!(
            (code(&output), err(&output)),
            (
                74,
                &*format!(
                    "f2bd: cannot read {packed}: it is packed, and cut off, damaged or followed by something else\n"
                )
            )
        );
        assert!(rows(&output).len() >= 3);
    }
}

/// The most memory that `match` has had at the end of a log, in kilobytes.
fn peak(log: &str) -> u64 {
    let mut child = Command::new(F2BD)
        .args(["match", "--json", "sshd", log])
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut line = String::new();
    let mut stdout = BufReader::new(child.stdout.take().unwrap());
    // It has more to say than a pipe holds, and so is still there.
    stdout.read_line(&mut line).unwrap();
    let status = fs::read_to_string(format!("/proc/{}/status", child.id())).unwrap();
    drop(stdout);
    child.wait().unwrap();
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let peak = peak.unwrap().trim().strip_suffix(" kB").unwrap();
    peak.parse().unwrap()
}

#[test]
fn a_log_takes_the_same_memory_however_long_it_is() {
    let home = home("");
    let line = format!("Feb 12 14:10:21 box cron[7]: {}\n", "x".repeat(4000));
    let mut peaks = Vec::new();
    for megabytes in [10, 100] {
        let log = home.path().join(format!("{megabytes}.log"));
        let noise = line.repeat(megabytes * 1_000_000 / line.len());
        fs::write(&log, [noise.as_bytes(), &LOG.repeat(2000)].concat()).unwrap();
        let mut both = vec![peak(path(&log))];
        both.extend(pack("gzip", &log).map(|packed| peak(&packed)));
        peaks.push(both);
    }
    // Of the ninety megabytes more nothing may stay; how much of a block is there at the peak differs from run to run.
    for (short, long) in peaks[0].iter().zip(&peaks[1]) {
        assert!(*long < short + 5000, "{peaks:?}");
    }
}

#[test]
fn match_explains_with_line_and_pattern() {
    let output = f2bd(&["match", "sshd", "--counted", "--explain", "-"], LOG);
    let lines: Vec<_> = out(&output).lines().collect();
    assert_eq!(lines.len(), 10, "{lines:?}");
    assert_eq!(
        lines[1],
        "    Failed password for root from 192.0.2.7 port 4001 ssh2"
    );
    assert!(
        lines[2].starts_with("    ^") && lines[2].contains("Failed "),
        "{lines:?}"
    );
}

fn rows(output: &Output) -> Vec<Value> {
    let lines = out(output).lines();
    lines
        .map(|line| serde_json::from_str(line).unwrap())
        .collect()
}

// design: `match --json` prints one object a line for each line that completes a failure.
#[test]
fn match_speaks_json() {
    let output = f2bd(&["match", "sshd", "--json", "-"], LOG);
    assert_eq!(code(&output), 0);
    assert_eq!(
        out(&output).lines().next(),
        Some(
            r#"{"line":2,"filter":"sshd","pattern":1,"time":"2026-02-12T14:10:21Z","ip":"192.0.2.7","host":"192.0.2.7","user":"root","target":null,"forwarded":null}"#
        )
    );
    assert_eq!(rows(&output).len(), 3);
}

#[test]
fn a_name_that_is_no_address_has_no_ip() {
    let home = home("");
    let filter = home.path().join("own.toml");
    fs::write(
        &filter,
        "[records]\nprogram = [\"app\"]\n[[failure]]\npattern = '^denied <host>$'\n",
    )
    .unwrap();
    let output = f2bd(
        &["match", path(&filter), "--json", "-"],
        b"Feb 12 14:10:20 www app: denied evil.example.org\n",
    );
    assert_eq!(
        out(&output),
        "{\"line\":1,\"filter\":\"own\",\"pattern\":1,\"time\":\"2026-02-12T14:10:20Z\",\"ip\":null,\
         \"host\":\"evil.example.org\",\"user\":null,\"target\":null,\"forwarded\":null}\n"
    );
}

#[test]
fn a_journal_is_a_log_too() {
    let Some(journald) = Journald::start() else {
        return;
    };
    let home = home("");
    let filter = home.path().join("own.toml");
    fs::write(
        &filter,
        "[records]\nprogram = [\"app\"]\n[[failure]]\npattern = '^denied <ip>$'\n",
    )
    .unwrap();
    for message in ["denied 192.0.2.7", "granted 192.0.2.8", "denied 192.0.2.9"] {
        journald.log("app", message);
    }
    journald.log("other", "denied 192.0.2.10");
    let journal = format!("journal:{}", journald.directory().display());
    let found = until("all entries are there", || {
        let output = f2bd(&["match", path(&filter), "--json", &journal], b"");
        assert_eq!(err(&output), "");
        let found = rows(&output);
        (found.len() == 2).then_some(found)
    });
    let found: Vec<_> = found
        .iter()
        .map(|row| (row["line"].as_u64().unwrap(), row["ip"].clone()))
        .collect();
    // Entries that the filter does not ask for are not even read.
    assert_eq!(
        found,
        [(1, Value::from("192.0.2.7")), (3, Value::from("192.0.2.9"))]
    );
}

#[test]
fn replay_prints_bans_and_unbans() {
    let home = home("maxretry = 2\nbantime = \"10m\"");
    let config = path(home.path());
    let output = f2bd(&["replay", "--config", config, "-"], LOG);
    assert_eq!(code(&output), 0);
    assert_eq!(
        out(&output),
        "2026-02-12 14:10:23  ban    sshd  192.0.2.7  2 failures for 10m, offence 1\n\
         \n\
         JAIL  FAILURES  ADDRESSES  BANS  IN FORCE\n\
         sshd         3          2     1         1\n\
         1 ban in force at the end\n"
    );
    let output = f2bd(&["replay", "--config", config, "--json", "-"], LOG);
    assert_eq!(
        out(&output),
        "{\"time\":\"2026-02-12T14:10:23Z\",\"jail\":\"sshd\",\"decision\":\"ban\",\"subject\":\"192.0.2.7/32\",\
         \"failures\":2,\"bantime\":600,\"offence\":1,\"until\":\"2026-02-12T14:20:23Z\",\
         \"origin\":\"failures\",\"release\":null}\n"
    );
}

#[test]
fn replay_tells_why_bans_begin_and_end() {
    let home = home("maxretry = 1\nbantime = \"10m\"\nnetwork = { hosts = 2, maxretry = 2 }");
    let config = path(home.path());
    let lines: String = [
        "10:00:00 192.0.2.7",
        "10:01:00 192.0.2.8",
        "10:20:00 198.51.100.7",
    ]
    .iter()
    .filter_map(|line| line.split_once(' '))
    .map(|(time, ip)| {
        format!("Feb 12 {time} box sshd[1]: Failed password for jo from {ip} port 22 ssh2\n")
    })
    .collect();
    let output = f2bd(&["replay", "--config", config, "-"], lines.as_bytes());
    let told = out(&output);
    assert_eq!(
        told.split("\n\n")
            .next()
            .unwrap()
            .split('\n')
            .collect::<Vec<_>>(),
        [
            "2026-02-12 10:00:00  ban    sshd  192.0.2.7  1 failure for 10m, offence 1",
            "2026-02-12 10:01:00  ban    sshd  192.0.2.0/24  2 failures of its hosts for 10m, offence 1",
            "2026-02-12 10:01:00  unban  sshd  192.0.2.7  merged",
            "2026-02-12 10:11:00  unban  sshd  192.0.2.0/24",
            "2026-02-12 10:20:00  ban    sshd  198.51.100.7  1 failure for 10m, offence 1",
        ]
    );
    let output = f2bd(
        &["replay", "--config", config, "--json", "-"],
        lines.as_bytes(),
    );
    let why = out(&output).lines().map(|line| {
        let line: Value = serde_json::from_str(line).unwrap();
        let text = |key: &str| line[key].as_str().map(str::to_owned);
        (text("origin").unwrap(), text("release"))
    });
    let why: Vec<_> = why.collect();
    let why: Vec<_> = why
        .iter()
        .map(|(origin, release)| (origin.as_str(), release.as_deref()))
        .collect();
    assert_eq!(
        why,
        [
            ("failures", None),
            ("network", None),
            ("failures", Some("merged")),
            ("network", Some("expired")),
            ("failures", None),
        ]
    );
}

#[test]
fn a_reader_that_has_seen_enough_is_no_failure() {
    let home = home("");
    let log = home.path().join("long.log");
    // Far more than a pipe holds.
    fs::write(&log, LOG.repeat(20_000)).unwrap();
    for arguments in [
        &["match", "sshd", "--counted"][..],
        &["match", "sshd", "--json"],
        &["match", "sshd", "--missed=all"],
    ] {
        let mut child = Command::new(F2BD)
            .args(arguments)
            .arg(&log)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut line = String::new();
        let mut stdout = BufReader::new(child.stdout.take().unwrap());
        stdout.read_line(&mut line).unwrap();
        assert!(
            line.contains("192.0.2.7") || line.contains("Server"),
            "{line}"
        );
        drop(stdout);
        let mut stderr = String::new();
        child
            .stderr
            .take()
            .unwrap()
            .read_to_string(&mut stderr)
            .unwrap();
        assert_eq!(
            (child.wait().unwrap().code(), stderr.as_str()),
            (Some(0), "")
        );
    }
}

#[test]
fn who_has_seen_enough_need_not_wait_for_the_end_of_the_input() {
    let mut child = Command::new(F2BD)
        .args(["match", "sshd", "--json", "-"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    drop(child.stdout.take());
    let mut stdin = child.stdin.take().unwrap();
    // It stays open; when it is read no more, nobody reads.
    while stdin.write_all(&LOG.repeat(100)).is_ok() {}
    let output = child.wait_with_output().unwrap();
    assert_eq!((code(&output), err(&output)), (0, ""));
}

/// What a terminal gets to see of a command.
fn on_a_terminal(command: &str) -> Option<Vec<u8>> {
    let output = Command::new("script")
        .args(["--quiet", "--return", "--command", command, "/dev/null"])
        .stdin(Stdio::null())
        .output();
    match output {
        Ok(output) => Some(output.stdout),
        Err(error) => skipped(&format!("script(1) makes terminals: {error}")),
    }
}

// f2bd(8): "standard error shows on a terminal how far it has come, unless results are printed there meanwhile".
#[test]
fn a_terminal_sees_how_far_it_is() {
    let home = home("");
    let log = home.path().join("pipe.log");
    rustix::fs::mknodat(
        rustix::fs::CWD,
        &log,
        rustix::fs::FileType::Fifo,
        0o600.into(),
        0,
    )
    .unwrap();
    for (options, is_shown) in [("", true), ("--json", false), ("--json >/dev/null", true)] {
        let command = format!("{F2BD} match sshd {} {options}", log.display());
        let child = Command::new("script")
            .args(["--quiet", "--return", "--command", &command, "/dev/null"])
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn();
        let mut child = match child {
            Ok(child) => child,
            Err(error) => {
                skipped::<()>(&format!("script(1) makes terminals: {error}"));
                return;
            }
        };
        let mut terminal = child.stdout.take().unwrap();
        let (sender, seen) = std::sync::mpsc::channel();
        let reader = std::thread::spawn(move || {
            let mut text = Vec::new();
            let mut piece = [0; 4096];
            while let Ok(length @ 1..) = terminal.read(&mut piece) {
                text.extend(&piece[..length]);
                // Once it has been seen, nobody listens any more.
                let _ = sender.send(());
            }
            String::from_utf8(text).unwrap()
        });
        let mut pipe = fs::OpenOptions::new().write(true).open(&log).unwrap();
        if is_shown {
            // Lines come until something of it is seen.
            until("a line is drawn", || {
                pipe.write_all(NOTHING).unwrap();
                seen.try_recv().ok()
            });
        }
        pipe.write_all(LOG).unwrap();
        drop(pipe);
        assert!(child.wait().unwrap().success());
        let text = reader.join().unwrap();
        let drawn: Vec<_> = text
            .split('\r')
            .filter(|part| part.ends_with("/s\x1b[K"))
            .collect();
        assert_eq!(!drawn.is_empty(), is_shown, "{options}: {text:?}");
        for line in drawn {
            assert!(
                line.starts_with(&format!("{}: ", log.display())),
                "{line:?}"
            );
        }
        // It is gone at the end.
        let rest = text.rsplit("\x1b[K").next().unwrap();
        assert!(!rest.contains("/s"), "{rest:?}");
        if options.is_empty() {
            assert!(rest.contains(": 3 counted, "), "{text:?}");
        }
    }
}

#[test]
fn a_hostile_line_does_nothing_to_the_terminal() {
    let home = home("");
    let log = home.path().join("hostile.log");
    let mut text =
        b"Feb 12 14:10:21 www sshd[1]: Failed password for invalid user \x1b]0;owned\x07\x1b[2J\xc2\x9b31m\x08\0\xe2\x80\xae from 192.0.2.7 port 1 ssh2\n"
            .to_vec();
    text.extend(
        b"Feb 12 14:10:22 \x1b[5mwww \x1b[31msshd\x07[1]: \x1b[31mred\x1b]52;c;eA==\x07\r\n",
    );
    fs::write(&log, text).unwrap();
    for options in ["--counted", "--counted --explain", "--missed=all"] {
        let command = format!("{F2BD} match sshd {options} {}", log.display());
        let Some(shown) = on_a_terminal(&command) else {
            return;
        };
        let shown = String::from_utf8(shown).unwrap();
        // Our own colours are attributes and their end.
        let rest = shown
            .replace("\x1b[1m", "")
            .replace("\x1b[0m", "")
            .replace("\r\n", "\n");
        let hostile: Vec<_> = rest
            .chars()
            .filter(|c| (c.is_control() && *c != '\n') || *c == '\u{202e}')
            .collect();
        assert!(hostile.is_empty(), "{options}: {rest:?}");
        assert!(rest.contains("\\x1b"), "{options}: {rest:?}");
    }
}

#[test]
fn long_lines_and_nul_bytes_hide_nothing() {
    let mut log = b"Feb 12 14:10:20 www sshd[1]: ".to_vec();
    log.extend(vec![b'x'; 5_000_000]);
    log.extend(b" Failed password for root from 192.0.2.1 port 1 ssh2\n");
    log.extend(b"Feb 12 14:10:21 www sshd[1]: Failed password for \0 from 192.0.2.2 port 1 ssh2\n");
    log.extend(b"\0\0\0\n\n\r\n");
    log.extend(b"Feb 12 14:10:22 www sshd[1]: Failed password for root from 192.0.2.3 port 1 ssh2");
    let output = f2bd(&["match", "sshd", "--json", "-"], &log);
    let found: Vec<_> = rows(&output)
        .iter()
        .map(|row| (row["line"].as_u64().unwrap(), row["ip"].clone()))
        .collect();
    assert_eq!(
        found,
        [(2, Value::from("192.0.2.2")), (6, Value::from("192.0.2.3"))]
    );
}

#[test]
fn completions_know_every_command() {
    for shell in ["bash", "zsh", "fish"] {
        let output = f2bd(&["completions", shell], b"");
        assert_eq!(code(&output), 0);
        for command in ["match", "replay", "explain", "unban", "follow"] {
            assert!(out(&output).contains(command), "{shell}: {command}");
        }
    }
}

/// Every mode of the shipped filter, compiled as `f2bd match` does.
fn shipped() -> FilterSet {
    let specs = ["normal", "aggressive"]
        .map(|mode| f2bd::config::filter("sshd", Some(mode), Some(Path::new("/missing"))).unwrap());
    FilterSet::compile(specs.to_vec()).unwrap()
}

/// What `f2bd match` does with a log.
fn read(filters: &FilterSet, log: &[u8]) {
    let now = Timestamp::from_micros(1_772_323_200_000_000);
    let mut reader = TextReader::new(TimeZone::UTC, &[], now);
    let mut sessions = Sessions::default();
    for line in log.split_inclusive(|byte| *byte == b'\n') {
        let record = reader.read(line);
        let view = View::from(record);
        for filter in [FilterId(0), FilterId(1)] {
            if let Some(found) = filters.find(filter, &view) {
                assert!(!found.host.is_empty());
                let spec = filters.spec(filter);
                sessions.counts(spec, record.host, &found, record.time);
            }
        }
    }
}

#[test]
fn no_log_is_too_odd() {
    let filters = shipped();
    let words = prop::sample::select(vec![
        &b"Feb 12 14:10:20 www sshd[1]: "[..],
        b"2026-02-12T14:10:20.123456+01:00 www sshd[1]: ",
        b"<38>1 2026-02-12T14:10:20Z www sshd 1 - - ",
        b"Feb 30 25:61:61 ",
        b"sshd[99999999999999999999]: ",
        b"Failed password for ",
        b"invalid user ",
        b" from 192.0.2.7 port 1 ssh2",
        b" from ",
        b"192.0.2.7",
        b"2001:db8::7%eth0",
        b" port 99999 ssh2",
        b" [preauth]",
        b"message repeated 3 times: [ ",
        b"\n",
        b"\r",
        b"\0",
        b"\xff\xfe",
        b"\xe2\x80\xae",
        b" ",
    ]);
    let piece = prop_oneof![
        4 => words.prop_map(<[u8]>::to_vec),
        1 => prop::collection::vec(any::<u8>(), 0..20),
    ];
    proptest!(|(pieces in prop::collection::vec(piece, 0..40))| {
        read(&filters, &pieces.concat());
    });
    proptest!(|(log in prop::collection::vec(any::<u8>(), 0..2000))| {
        read(&filters, &log);
    });
}
