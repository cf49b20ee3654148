//! Facts about `f2bd discover`, shown by the real program over files and a journal that a machine of its own has: what
//! is counted, what is proposed and why, and that the proposal is a configuration.

use std::fs;
use std::io::Write as _;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::time::{Duration, SystemTime};

use serde_json::{Value, json};

use crate::support::journald::Journald;
use crate::support::skipped;
use crate::support::wait::until;
use crate::support::world::{F2BD, copy_program};

/// When it is, for those that read old logs.
const NOW: &str = "2026-02-13T00:00:00Z";

/// A configuration, and logs beside it.
struct Case {
    home: tempfile::TempDir,
}

impl Case {
    fn new(config: &str) -> Case {
        let home = tempfile::tempdir().unwrap();
        fs::write(home.path().join("f2bd.conf"), config).unwrap();
        fs::create_dir(home.path().join("filters")).unwrap();
        fs::create_dir(home.path().join("log")).unwrap();
        Case { home }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.home.path().join(name)
    }

    fn write(&self, name: &str, text: &str) -> String {
        fs::write(self.path(name), text).unwrap();
        self.path(name).to_str().unwrap().to_owned()
    }

    fn arguments(&self, arguments: &[&str]) -> Vec<String> {
        let home = self.home.path().to_str().unwrap();
        let common = ["--timezone", "UTC", "--now", NOW, "--config", home];
        let all = [&["discover"], &common[..], arguments].concat();
        all.into_iter().map(str::to_owned).collect()
    }

    fn discover(&self, arguments: &[&str]) -> Output {
        let mut command = Command::new(F2BD);
        command.args(self.arguments(arguments)).output().unwrap()
    }

    /// On a machine whose /var/log is our directory `log`.
    fn on_machine(&self, arguments: &[&str]) -> Option<Output> {
        let script = "mount --bind \"$1\" /var/log || exit 99; shift; exec \"$@\"";
        let output = Command::new("unshare")
            .args(["--mount", "sh", "-c", script, "sh"])
            .arg(self.path("log"))
            .arg(F2BD)
            .args(self.arguments(arguments))
            .output()
            .unwrap();
        match output.status.code() {
            Some(99) => skipped("no mount namespace"),
            _ => Some(output),
        }
    }

    /// The proposal is a configuration that `check` has nothing against, alone and behind what there is.
    fn assert_sound(&self, proposal: &str) {
        let present = fs::read_to_string(self.path("f2bd.conf")).unwrap();
        for text in [proposal.to_owned(), format!("{present}\n{proposal}")] {
            fs::write(self.path("f2bd.conf"), &text).unwrap();
            let output = Command::new(F2BD)
                .args(["check", "--config", self.home.path().to_str().unwrap()])
                .output()
                .unwrap();
            let told = String::from_utf8_lossy(&output.stdout);
            assert!(output.status.success(), "{told}\n{text}");
            assert!(!told.contains("error"), "{told}");
        }
        fs::write(self.path("f2bd.conf"), present).unwrap();
    }
}

fn object(output: &Output) -> Value {
    let text = String::from_utf8_lossy(&output.stdout);
    serde_json::from_str(&text).unwrap_or_else(|error| {
        panic!("{error}: {text}{}", String::from_utf8_lossy(&output.stderr))
    })
}

fn out(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).unwrap()
}

fn err(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).unwrap()
}

fn row<'o>(object: &'o Value, filter: &str) -> &'o Value {
    let rows = object["filters"].as_array().unwrap();
    let found = rows.iter().find(|row| row["filter"] == filter);
    found.unwrap_or_else(|| panic!("no {filter} in {object}"))
}

fn has_row(object: &Value, filter: &str) -> bool {
    let rows = object["filters"].as_array().unwrap();
    rows.iter().any(|row| row["filter"] == filter)
}

/// A line of an auth log of 12 February, so many seconds after midnight.
fn line(second: u32, message: &str) -> String {
    let (hour, minute, second) = (second / 3600, second / 60 % 60, second % 60);
    format!("Feb 12 {hour:02}:{minute:02}:{second:02} box sshd[{second}]: {message}\n")
}

fn failed(second: u32, address: &str) -> String {
    let message = format!("Failed password for jo from {address} port 22 ssh2");
    line(second, &message)
}

fn accepted(second: u32, address: &str) -> String {
    let message = format!("Accepted password for jo from {address} port 22 ssh2");
    line(second, &message)
}

/// Six failures at once, four over hours, and three of somebody who then logs in.
fn attacks() -> String {
    let mut lines = Vec::new();
    lines.extend((0..6).map(|at| (at, failed(at, "203.0.113.9"))));
    lines.extend((0..4).map(|at| (5000 * at, failed(5000 * at, "198.51.100.1"))));
    lines.extend((0..2).map(|at| (100 + at, failed(100 + at, "192.0.2.50"))));
    lines.push((110, accepted(110, "192.0.2.50")));
    lines.sort();
    lines.into_iter().map(|(_, line)| line).collect()
}

fn requests(path: &str, status: u16, count: u32, address: &str) -> String {
    let line = |at: u32| {
        let (minute, second) = (at / 60, at % 60);
        format!(
            "{address} - - [12/Feb/2026:10:{minute:02}:{second:02} +0000] \"GET {path} HTTP/1.1\" {status} 9\n"
        )
    };
    (0..count).map(line).collect()
}

// f2bd(8): "what each filter would have counted, and whom a jail would have banned".
#[test]
fn logs_are_counted_as_match_and_replay_count_them_and_jails_are_proposed() {
    let case = Case::new("");
    let auth = case.write("auth.log", &attacks());
    let web = case.write(
        "access.log",
        &(requests("/", 200, 900, "192.0.2.1")
            + &requests("/wp-login.php", 404, 20, "203.0.113.7")),
    );
    let output = case.discover(&["--json", &auth, &web]);
    assert_eq!(
        (output.status.code(), err(&output)),
        (Some(0), String::new())
    );
    let found = object(&output);
    assert_eq!(found["records"], 12 + 1 + 920);
    let sshd = row(&found, "sshd");
    assert_eq!(
        json!([
            sshd["seen"],
            sshd["failures"],
            sshd["hosts"],
            sshd["bans"],
            sshd["banned"],
            sshd["logins"]
        ]),
        json!([13, 12, 3, 1, 1, 1])
    );
    assert_eq!(sshd["examples"], json!(["203.0.113.9"]));
    assert_eq!(sshd["first"], "2026-02-12T00:00:00Z");
    assert_eq!(sshd["last"], "2026-02-12T04:10:00Z");
    assert_eq!(sshd["proposed"]["logpath"], json!([auth]));
    let botsearch = row(&found, "nginx-botsearch");
    assert_eq!(
        json!([botsearch["failures"], botsearch["banned"]]),
        json!([20, 1])
    );

    let proposal = found["proposal"].as_str().unwrap();
    assert!(
        proposal.contains("\n[jail.nginx-botsearch]\n"),
        "{proposal}"
    );
    case.assert_sound(proposal);
    let config = case.write("f2bd.conf", proposal);
    let replayed = Command::new(F2BD)
        .args([
            "replay",
            "--json",
            "--timezone",
            "UTC",
            "--now",
            NOW,
            "--config",
            &config,
        ])
        .args([&auth, &web])
        .output()
        .unwrap();
    let bans = out(&replayed);
    let banned = |address: &str| bans.contains(&format!("\"subject\":\"{address}/32\""));
    assert!(
        banned("203.0.113.9") && banned("198.51.100.1") && banned("203.0.113.7"),
        "{bans}"
    );
    assert!(!banned("192.0.2.50"), "{bans}");
}

// f2bd(8): "the strictest that bans nobody who logged in".
#[test]
fn stricter_thresholds_are_proposed_if_they_harm_nobody() {
    let case = Case::new("");
    let auth = case.write("auth.log", &attacks());
    let found = object(&case.discover(&["--json", &auth]));
    let proposed = &row(&found, "sshd")["proposed"];
    assert_eq!(
        json!([
            proposed["maxretry"],
            proposed["findtime"],
            proposed["banned"]
        ]),
        json!([3, 86_400, 2])
    );
    let proposal = found["proposal"].as_str().unwrap();
    assert!(
        proposal.contains("this would have banned 2 hosts instead of 1, and nobody who logged in."),
        "{proposal}"
    );
    assert!(
        proposal.ends_with("maxretry = 3\nfindtime = \"1d\"\n"),
        "{proposal}"
    );

    // Whoever failed over hours comes in a day later.
    let auth = case.write("auth.log", &(attacks() + &accepted(80_000, "198.51.100.1")));
    let found = object(&case.discover(&["--json", &auth]));
    let proposed = &row(&found, "sshd")["proposed"];
    assert_eq!(
        json!([proposed["maxretry"], proposed["findtime"]]),
        json!([5, 600])
    );
    assert_eq!(proposed["reason"], Value::Null);

    // Whoever failed six times does.
    let auth = case.write("auth.log", &(attacks() + &accepted(80_000, "203.0.113.9")));
    let found = object(&case.discover(&["--json", &auth]));
    let proposed = &row(&found, "sshd")["proposed"];
    assert_eq!(
        json!([proposed["maxretry"], proposed["findtime"]]),
        json!([10, 600])
    );
    let reason = proposed["reason"].as_str().unwrap();
    assert!(
        reason.starts_with("Milder than usual") && reason.contains("203.0.113.9"),
        "{reason}"
    );
}

// f2bd(8): "by what [defaults] say".
#[test]
fn the_present_defaults_and_jails_count() {
    let case =
        Case::new("[defaults]\nmaxretry = 2\nfindtime = \"1h\"\nignoreip = [\"203.0.113.0/24\"]\n");
    let auth = case.write("auth.log", &attacks());
    let found = object(&case.discover(&["--json", &auth]));
    let sshd = row(&found, "sshd");
    assert_eq!(
        json!([sshd["failures"], sshd["banned"]]),
        json!([6, 1]),
        "{sshd}"
    );

    let case = Case::new("[jail.door]\nfilter = \"sshd\"\n");
    let auth = case.write("auth.log", &attacks());
    let output = case.discover(&[&auth]);
    assert_eq!(output.status.code(), Some(0));
    let told = out(&output);
    assert!(
        told.contains("  door  ") && told.ends_with("\nThere is no jail to propose.\n"),
        "{told}"
    );

    let case =
        Case::new("[jail.sshd]\nenabled = false\n[jail.other]\nfilter = \"nginx-botsearch\"\n");
    let auth = case.write("auth.log", &attacks());
    let told = out(&case.discover(&[&auth]));
    assert!(
        told.contains("remove enabled = false from [jail.sshd]"),
        "{told}"
    );

    let case = Case::new("[jail.sshd]\nfilter = \"nginx-botsearch\"\n");
    let auth = case.write("auth.log", &attacks());
    let found = object(&case.discover(&["--json", &auth]));
    let proposal = found["proposal"].as_str().unwrap();
    assert!(
        proposal.contains("[jail.sshd-2]\nfilter = \"sshd\"\n"),
        "{proposal}"
    );
    fs::write(
        case.path("f2bd.conf"),
        format!("[jail.sshd]\nfilter = \"nginx-botsearch\"\n{proposal}"),
    )
    .unwrap();
    let checked = Command::new(F2BD)
        .args(["check", "--config"])
        .arg(case.path("f2bd.conf"))
        .output();
    assert!(checked.unwrap().status.success(), "{proposal}");
}

const WIDE: &str = r#"title = "Any door"
[records]
[[failure]]
pattern = '^Failed password for (?:invalid user )?<user> from <ip>(?: port <port>)?(?: ssh2)?$'
"#;

// f2bd(8): "nearly all that it takes is counted by another, more specific one".
#[test]
fn what_a_more_specific_filter_counts_too_is_not_proposed_twice() {
    let case = Case::new("");
    case.write("filters/anydoor.toml", WIDE);
    let auth = case.write("auth.log", &attacks());
    let output = case.discover(&[&auth]);
    let told = out(&output);
    assert!(
        told.contains("anydoor is not proposed: nearly all that it takes is counted by sshd too"),
        "{told}"
    );
    assert!(
        !told.contains("[jail.anydoor]") && told.contains("[jail.sshd]"),
        "{told}"
    );

    // It has something of its own to tell.
    let others = attacks()
        .replace("sshd[", "mydoor[")
        .replace("203.0.113.", "198.51.100.");
    let auth = case.write("auth.log", &(attacks() + &others));
    let found = object(&case.discover(&["--json", &auth]));
    assert_eq!(row(&found, "anydoor")["counted_by"], json!([]));
    let proposal = found["proposal"].as_str().unwrap();
    assert!(
        proposal.contains("# Shares 12 lines with sshd"),
        "{proposal}"
    );
    case.assert_sound(proposal);
}

// f2bd(8): "needs a setting of the jail".
#[test]
fn a_filter_that_needs_a_setting_of_its_jail_is_told_and_not_proposed() {
    let case = Case::new("");
    let needs = |needs: &str| {
        WIDE.replace(
            "[records]",
            &format!("needs = {needs:?}\n[records]\nprogram = [\"mydoor\"]"),
        )
    };
    case.write(
        "filters/mydoor.toml",
        &needs("An ignorecommand in the jail."),
    );
    let log = case.write("door.log", &attacks().replace("sshd[", "mydoor["));
    let output = case.discover(&[&log]);
    let told = out(&output);
    assert!(
        told.contains(
            "mydoor is not proposed, since its jail needs more: An ignorecommand in the jail."
        ),
        "{told}"
    );
    assert!(!told.contains("[jail.mydoor]"), "{told}");

    case.write("filters/mydoor.toml", &needs("LogLevel info"));
    let told = out(&case.discover(&[&log]));
    assert!(
        told.contains("\nmydoor needs: LogLevel info\n") && told.contains("\n[jail.mydoor]\n"),
        "{told}"
    );
}

// f2bd(8): "This machine's journal, and the files that filters name".
#[test]
fn this_machine_is_looked_through() {
    let case = Case::new("");
    let day = 86_400;
    case.write("log/auth.log", &attacks());
    case.write("log/syslog", &attacks());
    fs::create_dir(case.path("log/nginx")).unwrap();
    case.write("log/nginx/access.log", &requests("/", 200, 50, "192.0.2.1"));
    case.write("log/nginx/error.log", "");
    let old = requests("/wp-login.php", 404, 20, "203.0.113.7");
    let mut packed = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    packed.write_all(old.as_bytes()).unwrap();
    fs::write(
        case.path("log/nginx/access.log.2.gz"),
        packed.finish().unwrap(),
    )
    .unwrap();
    case.write("log/nginx/access.log.3", &old);
    let epoch = |text: &str| {
        let moment: jiff::Timestamp = text.parse().unwrap();
        SystemTime::UNIX_EPOCH + Duration::from_secs(moment.as_second() as u64)
    };
    let written = |name: &str, days: u64| {
        let time = epoch(NOW) - Duration::from_secs(days * day);
        let file = fs::File::options()
            .append(true)
            .open(case.path(name))
            .unwrap();
        file.set_modified(time).unwrap();
    };
    written("log/nginx/access.log.2.gz", 1);
    written("log/nginx/access.log.3", 9);
    // The file is another name of the log.
    std::os::unix::fs::symlink("access.log", case.path("log/nginx/my-access.log")).unwrap();

    let Some(output) = case.on_machine(&["--json"]) else {
        return;
    };
    let found = object(&output);
    assert_eq!(found["since"], "2026-02-06T00:00:00Z");
    let logs: Vec<_> = found["logs"]
        .as_array()
        .unwrap()
        .iter()
        .filter_map(Value::as_str)
        .collect();
    assert_eq!(
        logs.iter().filter(|log| log.contains("nginx")).count(),
        2,
        "{logs:?}"
    );
    assert!(!logs.contains(&"/var/log/nginx/access.log.3"), "{logs:?}");
    let botsearch = row(&found, "nginx-botsearch");
    assert_eq!(
        json!([botsearch["seen"], botsearch["failures"]]),
        json!([70, 20])
    );
    assert_eq!(botsearch["proposed"]["logpath"], json!([]));
    // The copies of the same records count once, and the jail has to be told where they are.
    let sshd = row(&found, "sshd");
    assert_eq!(sshd["failures"], 12, "{sshd}");
    case.assert_sound(found["proposal"].as_str().unwrap());

    let found = object(&case.on_machine(&["--json", "--since", "1h"]).unwrap());
    assert!(!has_row(&found, "sshd") && found["records"] == 0, "{found}");
}

// f2bd(8): "a service that runs without a jail".
#[test]
fn a_service_that_runs_unharmed_gets_a_jail_as_well() {
    let case = Case::new("");
    let auth = case.write("auth.log", &line(1, "Server listening on 0.0.0.0 port 22."));
    let output = case.discover(&[&auth]);
    assert_eq!(output.status.code(), Some(0));
    let told = out(&output);
    assert!(
        told.contains("Seen, without a jail, and no failure yet"),
        "{told}"
    );
    assert!(
        told.contains("OpenSSH server: it runs here; no failure was counted.\n[jail.sshd]"),
        "{told}"
    );
}

#[test]
fn a_journal_is_read_and_what_log_daemons_copy_from_it_counts_once() {
    let Some(journald) = Journald::start() else {
        return;
    };
    for attempt in 0..6 {
        let message = format!("Failed password for root from 203.0.113.9 port {attempt} ssh2");
        journald.send(&[
            ("SYSLOG_IDENTIFIER", b"sshd"),
            ("MESSAGE", message.as_bytes()),
        ]);
    }
    let directory = journald.directory();
    let case = Case::new(&format!(
        "[defaults]\nignoreself = false\n[source.journal]\ntype = \"journal\"\ndirectory = {directory:?}\n"
    ));
    // An sshd of our own: the real one's entries are root's alone.
    case.write(
        "filters/mysshd.toml",
        &WIDE.replace(
            "[records]\n",
            "[records]\nprogram = [\"sshd\"]\nfile = [\"/var/log/auth.log\"]\n",
        ),
    );
    let now = jiff::Timestamp::now();
    let stamp = |seconds: i64| (now - jiff::SignedDuration::from_secs(seconds)).to_string();
    let copied = |seconds: i64, address: &str| {
        format!(
            "{} box sshd[1]: Failed password for jo from {address} port 22 ssh2\n",
            stamp(seconds)
        )
    };
    // The same once more an hour from now, and what was before the journal began.
    let copies: String = (0..6).map(|_| copied(-3600, "203.0.113.9")).collect();
    let before: String = (0..7).map(|_| copied(3600, "203.0.113.8")).collect();
    case.write("log/auth.log", &(before + &copies));
    let discover = || {
        let script = "mount --bind \"$1\" /var/log || exit 99; shift; exec \"$@\"";
        Command::new("unshare")
            .args(["--mount", "sh", "-c", script, "sh"])
            .arg(case.path("log"))
            .args([F2BD, "discover", "--json", "--timezone", "UTC", "--config"])
            .arg(case.home.path())
            .output()
            .unwrap()
    };
    let found = until("the journal holds what was sent", || {
        let output = discover();
        if output.status.code() == Some(99) {
            return Some(None);
        }
        let found = object(&output);
        let is_whole =
            has_row(&found, "mysshd") && row(&found, "mysshd")["lines"].as_u64() >= Some(13);
        is_whole.then_some(Some(found))
    });
    let Some(found) = found else {
        return skipped("no mount namespace").unwrap_or_default();
    };
    let mine = row(&found, "mysshd");
    assert_eq!(
        json!([mine["failures"], mine["hosts"], mine["bans"]]),
        json!([13, 2, 2]),
        "{mine}"
    );
    assert_eq!(
        mine["proposed"]["logpath"],
        json!([]),
        "the journal has them"
    );
}

// f2bd(8): exit status.
#[test]
fn whatever_is_missing_is_told() {
    let case = Case::new("");
    let nothing = case.write("app.log", "nothing to see\n");
    let output = case.discover(&[&nothing]);
    assert_eq!(output.status.code(), Some(1));
    assert!(
        err(&output).contains("no filter counts any of these records"),
        "{}",
        err(&output)
    );
    assert_eq!(out(&output), "");

    let auth = case.write("auth.log", &attacks());
    let missing = case.path("missing.log");
    let output = case.discover(&[missing.to_str().unwrap(), &auth]);
    assert_eq!(output.status.code(), Some(66));
    assert!(err(&output).contains("missing.log"), "{}", err(&output));
    assert!(
        out(&output).contains("[jail.sshd]"),
        "the other one is read all the same"
    );

    let output = case.discover(&["--since", "2026-02-13T00:00:00Z", &auth]);
    assert_eq!(output.status.code(), Some(1));
    assert!(
        err(&output).contains("no record is as new as --since asks for"),
        "{}",
        err(&output)
    );

    let case = Case::new("[defaults]\nmaxretri = 3\n");
    assert_eq!(case.discover(&["-"]).status.code(), Some(78));
}

#[test]
fn a_log_that_may_not_be_read_is_told_and_the_others_are_read() {
    let case = Case::new("");
    let auth = case.write("auth.log", &attacks());
    let closed = case.write("closed.log", &attacks());
    let all = |path: &Path, mode: u32| {
        fs::set_permissions(path, PermissionsExt::from_mode(mode)).unwrap()
    };
    all(case.home.path(), 0o755);
    all(Path::new(&closed), 0o000);
    let binary = case.path("f2bd");
    copy_program(&binary);
    let output = Command::new("setpriv")
        .args(["--reuid=65534", "--regid=65534", "--clear-groups", "--"])
        .arg(&binary)
        .args(case.arguments(&[&auth, &closed]))
        .output()
        .unwrap();
    if err(&output).contains("setpriv:") {
        return skipped("only root can become nobody").unwrap_or_default();
    }
    assert_eq!(output.status.code(), Some(77), "{}", err(&output));
    assert!(
        err(&output).contains("cannot read") && err(&output).contains("closed.log"),
        "{}",
        err(&output)
    );
    assert!(out(&output).contains("[jail.sshd]"));
}
