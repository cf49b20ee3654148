//! Whole configurations through the real `f2bd check`.
//!
//! `tests/config/bad/CASE/` holds a configuration and `expected.txt`, what must be said about it; `good/CASE/`
//! holds one with `expected.json`, what it must come to. `F2BD_BLESS=1` writes both anew.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use serde_json::Value;

use crate::support::skipped;
use crate::support::world::{F2BD, copy_program};

/// All cases of a kind, by name.
fn cases(kind: &str) -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/config")
        .join(kind);
    let entries = folder.read_dir().unwrap();
    let mut cases: Vec<_> = entries.map(|entry| entry.unwrap().path()).collect();
    cases.sort();
    assert!(!cases.is_empty(), "no cases in {}", folder.display());
    cases
}

fn check(config: &Path, arguments: &[&str]) -> Output {
    let mut command = Command::new(F2BD);
    command
        .arg("check")
        .args(arguments)
        .arg("--config")
        .arg(config);
    command.output().unwrap()
}

/// What was printed, with paths as seen from the case.
fn said(output: &Output, case: &Path) -> String {
    assert!(
        output.stderr.is_empty(),
        "{}: {}",
        case.display(),
        String::from_utf8_lossy(&output.stderr)
    );
    let text = String::from_utf8(output.stdout.clone()).unwrap();
    text.replace(&format!("{}/", case.display()), "")
}

/// Compares with what is expected, or writes it anew; tells whether it is the same.
fn as_expected(file: &Path, text: &str) -> bool {
    if std::env::var_os("F2BD_BLESS").is_some() {
        fs::write(file, text).unwrap();
    }
    let expected = fs::read_to_string(file).unwrap_or_default();
    if expected != text {
        eprintln!(
            "{} expects:\n{expected}\nbut there is:\n{text}",
            file.display()
        );
    }
    expected == text
}

// f2bd.conf(5): "All mistakes are reported at once, each with file, line, column and remedy."
#[test]
fn every_mistake_is_told_with_its_place_and_remedy() {
    let mut is_good = true;
    for case in cases("bad") {
        let output = check(&case, &[]);
        is_good &= as_expected(&case.join("expected.txt"), &said(&output, &case));
        assert_eq!(output.status.code(), Some(78), "{}", case.display());
    }
    assert!(is_good, "see above");
}

#[test]
fn mistakes_are_told_to_programs_too() {
    for case in cases("bad") {
        let output = check(&case, &["--json"]);
        assert_eq!(output.status.code(), Some(78), "{}", case.display());
        let answer: Value = serde_json::from_slice(&output.stdout).unwrap();
        let problems = answer["problems"].as_array().unwrap();
        let lines = fs::read_to_string(case.join("expected.txt")).unwrap();
        for problem in problems {
            let text = |key: &str| problem[key].as_str().unwrap_or_default();
            let file = text("file").replace(&format!("{}/", case.display()), "");
            let place = match (problem["line"].as_u64(), problem["column"].as_u64()) {
                (Some(line), Some(column)) => format!("{file}:{line}:{column}:"),
                _ => format!("{file}:"),
            };
            let line = format!(
                "{place} {}: {}; {}",
                text("severity"),
                text("message"),
                text("remedy")
            );
            assert!(lines.contains(&line), "{}: {line}", case.display());
        }
        assert_eq!(problems.len(), lines.lines().count(), "{}", case.display());
    }
}

#[test]
fn good_configurations_come_to_what_they_say() {
    let mut is_good = true;
    for case in cases("good") {
        let output = check(&case, &["--json"]);
        let answer: Value = serde_json::from_str(&said(&output, &case)).unwrap();
        let text = serde_json::to_string_pretty(&answer).unwrap() + "\n";
        is_good &= as_expected(&case.join("expected.json"), &text);
        assert_eq!(output.status.code(), Some(0), "{}", case.display());
        let output = check(&case, &[]);
        assert_eq!(output.status.code(), Some(0), "{}", case.display());
        assert!(
            said(&output, &case).contains("The configuration is sound: "),
            "{}",
            case.display()
        );
    }
    assert!(is_good, "see above");
}

/// "tells each sample of your own filters again with other text there"
#[test]
fn a_client_who_can_forge_a_sample_is_warned_of() {
    let home = tempfile::tempdir().unwrap();
    fs::create_dir(home.path().join("filters")).unwrap();
    fs::write(home.path().join("f2bd.conf"), "[jail.door]\n").unwrap();
    let filter = |quoting: &str, pattern: &str, line: &str, ip: &str, chosen: &str| {
        format!(
            "title = 'Door'\nquoting = '{quoting}'\n[records]\nprogram = ['door']\n\
             [[failure]]\npattern = '{pattern}'\n\
             [[sample]]\nline = 'Feb 12 14:10:21 box door[1]: {line}'\nip = {ip}\nchosen = {chosen}\n"
        )
    };
    let quoted = "^wrong key for \"<agent>\" from <ip> ";
    let says = "wrong key for \"jo\" from 192.0.2.7 x";
    let true_ip = "'192.0.2.7'";
    for (text, told) in [
        (filter("quotes", quoted, says, true_ip, "[]"), ""),
        (
            filter("none", quoted, says, true_ip, "[]"),
            "with other text of a client instead of `jo` the sample",
        ),
        (
            filter(
                "none",
                "^login of <word> failed from <ip> port <port>",
                "login of jo failed from 192.0.2.7 port 22",
                true_ip,
                "[]",
            ),
            "instead of `jo` the sample blames 203.0.113.66, whom a client can choose",
        ),
        (
            filter(
                "none",
                "^login by [a-z-]+ failed from <ip> port <port>",
                "login by thread-a failed from 192.0.2.7 port 22",
                true_ip,
                "[]\nown = ['thread-a']",
            ),
            "",
        ),
        (
            filter(
                "none",
                "^wrong key for [a-z]+ from <ip>$",
                "wrong key for jo from 192.0.2.7",
                true_ip,
                "['jo']",
            ),
            "counts no longer",
        ),
        (
            filter(
                "word",
                "^<ip> [a-z ]*denied",
                "192.0.2.7 took key",
                "false",
                "['key']",
            ),
            "though nobody has failed",
        ),
        (
            filter(
                "none",
                "^<ip> <text> denied",
                "192.0.2.7 x denied",
                true_ip,
                "[]",
            ),
            "behind `.*`, <user>, <text>",
        ),
    ] {
        fs::write(home.path().join("filters/door.toml"), &text).unwrap();
        let output = check(home.path(), &["--json"]);
        let answer: Value = serde_json::from_slice(&output.stdout).unwrap();
        let problems = answer["problems"].as_array().unwrap();
        let about: Vec<_> = problems
            .iter()
            .filter(|problem| {
                problem["file"]
                    .as_str()
                    .is_some_and(|file| file.ends_with("door.toml"))
            })
            .collect();
        assert_eq!(about.is_empty(), told.is_empty(), "{text}: {about:?}");
        assert!(
            about.iter().all(|problem| problem["severity"] == "warning"),
            "{about:?}"
        );
        let message = |problem: &&&Value| {
            problem["message"]
                .as_str()
                .is_some_and(|said| said.contains(told))
        };
        assert!(
            told.is_empty() || about.iter().any(|problem| message(&problem)),
            "{text}: {about:?}"
        );
    }
}

#[test]
fn the_shipped_filter_is_found_in_all_its_modes() {
    let home = tempfile::tempdir().unwrap();
    let mut patterns = Vec::new();
    for mode in ["normal", "ddos", "extra", "aggressive"] {
        let text = format!("[jail.sshd]\nfilter = {{ mode = \"{mode}\" }}\n");
        fs::write(home.path().join("f2bd.conf"), text).unwrap();
        let output = check(home.path(), &["--json"]);
        assert_eq!(output.status.code(), Some(0), "{mode}");
        let answer: Value = serde_json::from_slice(&output.stdout).unwrap();
        let jail = &answer["jails"]["sshd"];
        assert_eq!(jail["mode"], mode);
        patterns.push(jail["failregex"].as_array().unwrap().len());
    }
    let [normal, ddos, extra, aggressive] = patterns.as_slice() else {
        panic!("{patterns:?}");
    };
    assert!(normal < ddos && normal < extra && ddos.max(extra) < aggressive);
}

/// What contrib says of f2bd.conf can be copied as it is.
#[test]
fn what_contrib_shows_is_sound() {
    let contrib = Path::new(env!("CARGO_MANIFEST_DIR")).join("contrib");
    let home = tempfile::tempdir().unwrap();
    let tls = home.path().display().to_string();
    let key = rcgen::KeyPair::generate().unwrap();
    let params = rcgen::CertificateParams::new(vec!["f2bd.example".to_owned()]).unwrap();
    let certificate = params.self_signed(&key).unwrap().pem();
    for (name, text) in [
        ("tls.crt", &certificate),
        ("ca.crt", &certificate),
        ("tls.key", &key.serialize_pem()),
    ] {
        fs::write(home.path().join(name), text).unwrap();
    }
    let mut shown = Vec::new();
    for name in [
        "rsyslog/f2bd.conf",
        "rsyslog/f2bd-remote.conf",
        "syslog-ng/f2bd.conf",
        "syslog-ng/f2bd-remote.conf",
    ] {
        let text = fs::read_to_string(contrib.join(name)).unwrap();
        let lines = text.lines().filter_map(|line| line.strip_prefix("#   "));
        let lines: Vec<_> = lines.collect();
        shown.push((name, lines.join("\n") + "\n[jail.sshd]\n"));
    }
    let readme = fs::read_to_string(contrib.join("report/README.md")).unwrap();
    let block = readme.split("```toml").nth(1).unwrap();
    let block = block.split("```").next().unwrap().to_owned();
    shown.push(("report/README.md", block));
    // Of those blocks of the README that are whole configurations, the second one has sources.
    let readme = fs::read_to_string(contrib.join("../README.md")).unwrap();
    let block = readme.split("```toml").nth(2).unwrap();
    let log = home.path().join("auth.log");
    fs::write(&log, "").unwrap();
    let block = block.split("```").next().unwrap();
    shown.push((
        "README.md",
        block.replace("/var/log/auth.log", log.to_str().unwrap()),
    ));
    for (name, text) in shown {
        assert!(text.contains("[source."), "{name} shows a source: {text}");
        let config = text.replace("/etc/f2bd", &tls);
        fs::write(home.path().join("f2bd.conf"), config).unwrap();
        let output = check(home.path(), &[]);
        let told = said(&output, home.path());
        assert_eq!(output.status.code(), Some(0), "{name}: {told}");
        assert!(!told.contains("warning"), "{name}: {told}");
    }
}

/// Which of these files there are is another question, on each machine.
#[test]
fn a_file_that_repeats_the_journal_is_told() {
    let home = tempfile::tempdir().unwrap();
    let warns = |source: &str, jail: &str| {
        let text = format!("{source}\n[jail.sshd]\n{jail}\n");
        fs::write(home.path().join("f2bd.conf"), text).unwrap();
        let output = check(home.path(), &[]);
        assert_eq!(output.status.code(), Some(0), "{output:?}");
        said(&output, home.path()).contains("counts twice")
    };
    let (path, both) = (
        "path = \"/var/log/auth.log\"",
        "sources = [\"journal\", \"files\"]",
    );
    assert!(warns("", &format!("{both}\nlogpath = \"/var/log/secure\"")));
    assert!(warns(&format!("[source.own]\ntype = \"file\"\n{path}"), ""));
    assert!(!warns(
        "",
        &format!("{both}\nlogpath = \"/var/log/app.log\"")
    ));
    assert!(!warns(
        "",
        "sources = \"files\"\nlogpath = \"/var/log/secure\""
    ));
    let guests = "[source.journal]\nnamespace = \"guests\"";
    assert!(!warns(
        guests,
        &format!("{both}\nlogpath = \"/var/log/secure\"")
    ));
}

/// Certificates are looked at before they are needed.
#[test]
fn files_of_tls_are_looked_at() {
    use rcgen::{CertificateParams, KeyPair, date_time_ymd};
    let home = tempfile::tempdir().unwrap();
    let at = |name: &str| home.path().join(name);
    let issue = |name: &str, from: i32, to: i32| {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new(vec!["f2bd.example".to_owned()]).unwrap();
        params.not_before = date_time_ymd(from, 1, 1);
        params.not_after = date_time_ymd(to, 1, 1);
        let certificate = params.self_signed(&key).unwrap();
        fs::write(at(&format!("{name}.crt")), certificate.pem()).unwrap();
        fs::write(at(&format!("{name}.key")), key.serialize_pem()).unwrap();
    };
    issue("good", 2020, 2099);
    issue("old", 2010, 2020);
    issue("early", 2099, 2109);
    fs::write(at("empty"), "").unwrap();
    let told = |certificate: &str, key: &str, client_ca: &str| {
        let path = |name: &str| at(name).display().to_string();
        let text = format!(
            "[source.net]\ntype = \"syslog\"\nlisten = \"tls://127.0.0.1:6514\"\ncertificate = {:?}\nkey = {:?}\n\
             client_ca = {:?}\n\n[jail.sshd]\nsources = \"net\"\n",
            path(certificate),
            path(key),
            path(client_ca)
        );
        fs::write(at("f2bd.conf"), text).unwrap();
        let output = check(home.path(), &[]);
        (output.status.code(), said(&output, home.path()))
    };
    let (code, text) = told("good.crt", "good.key", "good.crt");
    assert_eq!(code, Some(0), "{text}");
    assert_eq!(text.lines().count(), 1, "{text}");
    for (certificate, key, client_ca, place, words) in [
        (
            "old.crt",
            "old.key",
            "good.crt",
            "4:15",
            "warning: the certificate in old.crt has expired",
        ),
        (
            "good.crt",
            "good.key",
            "old.crt",
            "6:13",
            "warning: the certificate in old.crt has expired",
        ),
        (
            "early.crt",
            "early.key",
            "good.crt",
            "4:15",
            "early.crt does not hold yet",
        ),
    ] {
        let (code, text) = told(certificate, key, client_ca);
        assert_eq!(code, Some(0), "{text}");
        assert!(text.contains(words) && text.contains(place), "{text}");
    }
    for (certificate, key, client_ca, place, words) in [
        (
            "good.crt",
            "old.key",
            "good.crt",
            "5:7",
            "old.key does not belong to the certificate good.crt",
        ),
        (
            "good.key",
            "good.key",
            "good.crt",
            "4:15",
            "there is no certificate in it",
        ),
        (
            "good.crt",
            "good.crt",
            "good.crt",
            "5:7",
            "there is no private key in it",
        ),
        ("good.crt", "good.key", "empty", "6:13", "cannot use empty"),
        (
            "none.crt",
            "good.key",
            "good.crt",
            "4:15",
            "cannot read none.crt: No such file",
        ),
    ] {
        let (code, text) = told(certificate, key, client_ca);
        assert_eq!(code, Some(78), "{text}");
        assert!(
            text.contains(words) && text.contains(place),
            "{words}: {text}"
        );
    }
}

#[test]
fn own_addresses_are_spared_unless_switched_off() {
    let home = tempfile::tempdir().unwrap();
    for (line, spared) in [("", true), ("ignoreself = false", false)] {
        let text =
            format!("[jail.sshd]\n{line}\nignoreip = [\"192.0.2.1\", \"::ffff:10.1.2.3/104\"]\n");
        fs::write(home.path().join("f2bd.conf"), text).unwrap();
        let output = check(home.path(), &["--json"]);
        let answer: Value = serde_json::from_slice(&output.stdout).unwrap();
        let ignored = answer["jails"]["sshd"]["ignoreip"].as_array().unwrap();
        let has = |text: &str| ignored.iter().any(|known| known == text);
        assert!(has("192.0.2.1") && has("10.0.0.0/8"), "{ignored:?}");
        assert_eq!(has("127.0.0.0/8"), spared, "{ignored:?}");
        assert_eq!(has("::1"), spared, "{ignored:?}");
    }
}

/// A directory that only its owner can enter is a mistake with a remedy, for whoever is not its owner.
#[test]
fn a_file_without_permission_is_told() {
    if !rustix::process::geteuid().is_root() {
        skipped::<()>("becoming somebody else needs root");
        return;
    }
    let home = tempfile::tempdir().unwrap();
    let config = home.path().join("f2bd.conf");
    fs::write(&config, "[jail.sshd]\n").unwrap();
    fs::set_permissions(&config, PermissionsExt::from_mode(0o600)).unwrap();
    fs::set_permissions(home.path(), PermissionsExt::from_mode(0o755)).unwrap();
    let program = home.path().join("f2bd");
    // The build directory may be closed to others.
    copy_program(&program);
    let output = Command::new("setpriv")
        .args(["--reuid", "65534", "--regid", "65534", "--clear-groups"])
        .arg(&program)
        .args(["check", "--config"])
        .arg(home.path())
        .output()
        .unwrap();
    assert_eq!(
        said(&output, home.path()),
        "f2bd.conf: error: cannot be read: Permission denied (os error 13); \
         make it readable for the user that runs f2bd\n"
    );
    assert_eq!(output.status.code(), Some(78));
}

/// A jail that reads `LOG`.
const READER: &str = "[jail.sshd]
sources = [\"files\"]
logpath = [\"LOG\"]
";

#[test]
fn a_log_whose_failures_nobody_takes_is_told() {
    let home = tempfile::tempdir().unwrap();
    let log = home.path().join("auth.log");
    let conf = READER.replace("LOG", &log.display().to_string());
    fs::write(home.path().join("f2bd.conf"), conf).unwrap();
    let told = |lines: &str| {
        fs::write(&log, lines).unwrap();
        let output = check(home.path(), &[]);
        assert_eq!(output.status.code(), Some(0));
        let text = String::from_utf8(output.stdout).unwrap();
        text.contains("none of the patterns of jail `sshd` takes a line")
    };
    let other = "Feb 12 14:10:21 box app[1]: login failed for jo from 192.0.2.7\n";
    let own =
        "Feb 12 14:10:21 box sshd[42]: Failed password for root from 192.0.2.7 port 22 ssh2\n";
    let quiet = "Feb 12 14:10:21 box cron[1]: session opened for root\n";
    assert!(told(other));
    assert!(!told(&[other, own].concat()));
    assert!(!told(quiet));
    assert!(!told(""));
    // What is long past does not count.
    assert!(told(&[own, &other.repeat(70_000)].concat()));
}

#[test]
fn a_ban_at_the_first_mistyped_password_is_told() {
    let home = tempfile::tempdir().unwrap();
    let told = |text: &str| {
        fs::write(home.path().join("f2bd.conf"), text).unwrap();
        let output = check(home.path(), &[]);
        let text = String::from_utf8(output.stdout).unwrap();
        text.contains("bans at the first failure")
    };
    assert!(told("[jail.sshd]\nmaxretry = 1\n"));
    assert!(!told("[jail.sshd]\nmaxretry = 2\n"));
    assert!(!told("[jail.apache-badbots]\nmaxretry = 1\n"));
}
