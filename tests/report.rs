//! What applications report by themselves: who may, what counts, and the ways that contrib/report shows.

use std::fs;
use std::os::unix::net::UnixDatagram;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use crate::support::skipped;
use crate::support::wait::until;
use crate::support::world::{F2BD, World};

/// A user who may report of the shop, and one who may not.
const WEB: u32 = 33;
const NOBODY: u32 = 65_534;

fn world() -> Option<World> {
    let world = World::new("enabled = false")?;
    world.open_to_everybody();
    let socket = socket(&world);
    world.configure(
        "enabled = false",
        &format!(
            "[source.report]\ntype = \"report\"\nsocket = {socket:?}\nallow = [{{ uid = {WEB}, service = [\"shop\"] }}]\n\n\
             [jail.shop]\nfilter = \"report\"\nmaxretry = 3\nignoreself = false\n\n\
             [jail.both]\nfilter = {{ use = \"report\", service = [\"shop\", \"till\"] }}\nmaxretry = 1000\nignoreself = false\n"
        ),
    );
    Some(world)
}

fn socket(world: &World) -> PathBuf {
    world.path().join("report.sock")
}

fn send(world: &World, text: &str) {
    let sender = UnixDatagram::unbound().unwrap();
    sender.send_to(text.as_bytes(), socket(world)).unwrap();
}

/// Runs a program as a user.
fn as_user(uid: u32, program: &Path, arguments: &[&str]) -> Output {
    Command::new("setpriv")
        .args([
            &format!("--reuid={uid}"),
            &format!("--regid={uid}"),
            "--clear-groups",
            "--",
        ])
        .arg(program)
        .args(arguments)
        .output()
        .unwrap()
}

fn count(world: &World, jail: &str) -> String {
    world.sql(&format!(
        "SELECT count(*) FROM failures WHERE jail = '{jail}'"
    ))
}

fn losses(world: &World, kind: &str) -> u64 {
    let status = world.json(&["status"]).remove(0);
    status["sources"][0][kind].as_u64().unwrap()
}

#[test]
fn reports_of_failures_become_a_ban() {
    let Some(world) = world() else { return };
    let daemon = world.start();
    send(
        &world,
        r#"{"service":"shop","ip":"192.0.2.7","outcome":"success"}"#,
    );
    send(&world, r#"{"service":"other","ip":"192.0.2.7"}"#);
    for _ in 0..2 {
        send(
            &world,
            r#"{"service":"shop","ip":"192.0.2.7","user":"root"}"#,
        );
    }
    send(
        &world,
        r#"{"service":"shop","ip":"::ffff:192.0.2.7","detail":"wrong\u001b[31m code"}"#,
    );
    until("the ban", || world.kernel_bans("192.0.2.7").then_some(()));
    assert_eq!(
        world.sql("SELECT ip, jail, failures FROM active_bans"),
        "192.0.2.7|shop|3"
    );
    assert_eq!(count(&world, "both"), "3");
    let told = world.f2bd(&["explain", "192.0.2.7"]).stdout;
    let told = String::from_utf8(told).unwrap();
    let own = std::process::id();
    let line = format!("failure reported by uid 0, process {own}: 192.0.2.7, user root");
    assert!(told.contains(&line), "{told}");
    assert!(!told.contains('\u{1b}'), "{told:?}");
    daemon.stop();
}

#[test]
fn only_those_who_may_report() {
    let Some(world) = world() else { return };
    let daemon = world.start();
    let (binary, to) = (world.public_binary(), socket(&world));
    let report = |uid, service| {
        let words = ["report", "--to", to.to_str().unwrap(), service, "192.0.2.7"];
        let output = as_user(uid, &binary, &words);
        assert!(output.status.success(), "{output:?}");
    };
    report(NOBODY, "shop");
    report(WEB, "till");
    report(NOBODY, "till");
    until("three are refused", || {
        (losses(&world, "refused") == 3).then_some(())
    });
    assert_eq!(count(&world, "both"), "0");
    report(WEB, "shop");
    report(0, "till");
    until("two are counted", || {
        (count(&world, "both") == "2").then_some(())
    });
    for (uid, service) in [(NOBODY, "shop"), (WEB, "till"), (NOBODY, "till")] {
        daemon.says(&format!("uid {uid} may not report of \"{service}\""));
    }
    // Each is said once.
    report(WEB, "till");
    until("one more is refused", || {
        (losses(&world, "refused") == 4).then_some(())
    });
    assert_eq!(daemon.said("may not report"), 3, "{}", daemon.log());
    daemon.stop();
}

#[test]
fn what_is_no_report_is_counted_and_each_cause_said_once() {
    let Some(world) = world() else { return };
    let daemon = world.start();
    let long = format!(
        r#"{{"service":"shop","ip":"192.0.2.7","detail":"{}"}}"#,
        "x".repeat(60_000)
    );
    let wrong = [
        "",
        "{",
        "null",
        r#"["shop"]"#,
        r#"{"service":"shop"}"#,
        r#"{"ip":"192.0.2.7"}"#,
        r#"{"service":"shop","ip":"example.org"}"#,
        r#"{"service":"shop","ip":"192.0.2.7","outcome":"maybe"}"#,
        r#"{"service":"shop","ip":"192.0.2.7","user":7}"#,
        r#"{"service":"shop","ip":"192.0.2.7","adress":"x"}"#,
        r#"{"service":"shop","service":"shop","ip":"192.0.2.7"}"#,
        &long,
    ];
    for text in wrong.iter().chain(&wrong) {
        send(&world, text);
    }
    send(&world, r#"{"service":"shop","ip":"192.0.2.7"}"#);
    until("one is counted", || {
        (count(&world, "shop") == "1").then_some(())
    });
    until("the others are not", || {
        (losses(&world, "malformed") == 2 * wrong.len() as u64).then_some(())
    });
    let causes = [
        "it is no JSON object",
        "`service` is missing",
        "`ip` is missing",
        "`ip` is no address",
        "`outcome` is neither `failure` nor `success`",
        "`user` is no text",
        "it has a field that no report has",
        "a field stands in it twice",
        "it is longer than 8192 bytes",
    ];
    for cause in causes {
        daemon.says(&format!("what uid 0 sent is not a report: {cause}"));
    }
    assert_eq!(
        daemon.said("not a report"),
        causes.len(),
        "{}",
        daemon.log()
    );
    assert!(!daemon.log().contains("column"), "{}", daemon.log());
    daemon.stop();
    assert!(!socket(&world).exists(), "it goes with the daemon");
}

#[test]
fn nobody_listens() {
    let home = tempfile::tempdir().unwrap();
    let to = home.path().join("report.sock");
    let output = Command::new(F2BD)
        .args(["report", "--to", to.to_str().unwrap(), "shop", "192.0.2.7"])
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(69), "{output:?}");
}

/// The configuration can be read, and nobody takes reports.
#[test]
fn nobody_is_configured_to_listen() {
    let home = tempfile::tempdir().unwrap();
    let report = |config: &str| {
        fs::write(home.path().join("f2bd.conf"), config).unwrap();
        let output = Command::new(F2BD)
            .arg("--config")
            .arg(home.path())
            .args(["report", "shop", "192.0.2.7"])
            .output()
            .unwrap();
        (
            output.status.code(),
            String::from_utf8(output.stderr).unwrap(),
        )
    };
    let socket = home.path().join("report.sock");
    let source = format!("[source.report]\ntype = \"report\"\nsocket = {socket:?}\n");
    for config in ["", &format!("{source}enabled = false\n")] {
        let (code, told) = report(config);
        assert_eq!(code, Some(78));
        assert!(told.contains("[source.report]"), "{told}");
    }
    let (code, told) = report(&source);
    assert_eq!(code, Some(69));
    assert!(told.contains("does f2bd run"), "{told}");
}

/// Reports of a service that is in no jail.
#[test]
fn a_service_that_nobody_counts_is_told_once() {
    let Some(world) = world() else { return };
    let daemon = world.start();
    for service in ["depot", "shop", "depot"] {
        send(
            &world,
            &format!(r#"{{"service":"{service}","ip":"192.0.2.7"}}"#),
        );
    }
    send(
        &world,
        r#"{"service":"other","ip":"192.0.2.7","outcome":"success"}"#,
    );
    until("one is counted", || {
        (count(&world, "shop") == "1").then_some(())
    });
    daemon.says("no jail counts reports of the service \"depot\"");
    assert_eq!(daemon.said("no jail counts"), 1, "{}", daemon.log());
    for number in 0..30 {
        send(
            &world,
            &format!(r#"{{"service":"s{number}","ip":"192.0.2.7"}}"#),
        );
    }
    send(&world, r#"{"service":"till","ip":"192.0.2.7"}"#);
    until("one more is counted", || {
        (count(&world, "both") == "2").then_some(())
    });
    assert_eq!(daemon.said("no jail counts"), 16, "{}", daemon.log());
    daemon.stop();
}

/// A login waits for whoever reports it.
#[test]
fn a_busy_daemon_is_not_waited_for() {
    let home = tempfile::tempdir().unwrap();
    let to = home.path().join("report.sock");
    let _deaf = UnixDatagram::bind(&to).unwrap();
    let sender = UnixDatagram::unbound().unwrap();
    sender.set_nonblocking(true).unwrap();
    while sender.send_to(b"x", &to).is_ok() {}
    let mut report = Command::new(F2BD)
        .args(["report", "--to", to.to_str().unwrap(), "shop", "192.0.2.7"])
        .spawn()
        .unwrap();
    let ended = until("it ends", || report.try_wait().unwrap());
    assert_eq!(ended.code(), Some(74));
}

/// Two who log in, of whom one is refused, by the PAM of this machine and a stack of its own.
const LOG_IN: &str = r#"
import ctypes, sys
pam = ctypes.CDLL("libpam.so.0")
nobody_to_ask = (ctypes.c_void_p * 2)()
home, path = sys.argv[1:]
for service, address in [("welcome", "192.0.2.6"), ("till", "192.0.2.5")]:
    handle = ctypes.c_void_p()
    begun = pam.pam_start_confdir(service.encode(), b"e", nobody_to_ask, home.encode(), ctypes.byref(handle))
    assert begun == 0, begun
    PAM_RHOST = 4
    assert pam.pam_set_item(handle, PAM_RHOST, address.encode()) == 0
    assert pam.pam_putenv(handle, b"PATH=" + path.encode()) == 0
    answer = pam.pam_authenticate(handle, 0)
    assert (answer == 0) == (service == "welcome"), (service, answer)
    pam.pam_end(handle, answer)
"#;

/// What contrib/report/pam says of itself: behind the line that fails, and skipped by who succeeds.
fn report_over_pam(home: &Path, example: &Path, path: &str) {
    let stacks = home.join("pam.d");
    fs::create_dir(&stacks).unwrap();
    for (service, decides, ends) in [
        ("till", "pam_deny.so", "pam_deny.so"),
        ("welcome", "pam_permit.so", "pam_permit.so"),
    ] {
        let stack = format!(
            "auth [success=1 default=ignore] {decides}\nauth optional pam_exec.so quiet {}\nauth required {ends}\n",
            example.display()
        );
        fs::write(stacks.join(service), stack).unwrap();
    }
    let output = Command::new("python3")
        .args(["-c", LOG_IN])
        .args([&stacks, Path::new(path)])
        .output()
        .unwrap();
    assert!(output.status.success(), "{output:?}");
}

/// The examples of contrib/report, where their language is there.
#[test]
fn every_example_reports() {
    let Some(world) = world() else { return };
    let daemon = world.start();
    let examples = Path::new(env!("CARGO_MANIFEST_DIR")).join("contrib/report");
    let (bin, to) = (world.path().join("bin"), socket(&world));
    fs::create_dir(&bin).unwrap();
    // The examples call what is installed, with its usual configuration.
    let wrapper = format!(
        "#!/bin/sh\nexec {F2BD} --config {} \"$@\"\n",
        world.config().display()
    );
    fs::write(bin.join("f2bd"), wrapper).unwrap();
    fs::set_permissions(
        bin.join("f2bd"),
        std::os::unix::fs::PermissionsExt::from_mode(0o755),
    )
    .unwrap();
    let path = format!("{}:{}", bin.display(), std::env::var("PATH").unwrap());
    let run = |command: &mut Command| {
        let output = command.env("PATH", &path).output().unwrap();
        assert!(output.status.success(), "{output:?}");
    };
    run(Command::new(examples.join("report.sh")).args(["shop", "192.0.2.1", "a b"]));
    run(Command::new(examples.join("pam"))
        .env("PAM_SERVICE", "till")
        .env("PAM_RHOST", "192.0.2.2")
        .env("PAM_USER", "--success"));
    // The name of a host is nobody's address; nobody but the log hears of it.
    let logger = format!("#!/bin/sh\necho \"$*\" >> {}/logged\n", bin.display());
    fs::write(bin.join("logger"), logger).unwrap();
    fs::set_permissions(
        bin.join("logger"),
        std::os::unix::fs::PermissionsExt::from_mode(0o755),
    )
    .unwrap();
    let output = Command::new(examples.join("pam"))
        .env("PATH", &path)
        .env("PAM_SERVICE", "till")
        .env("PAM_RHOST", "a.example")
        .output()
        .unwrap();
    assert!(output.status.success(), "{output:?}");
    assert_eq!(
        (output.stdout.len(), output.stderr.len()),
        (0, 0),
        "{output:?}"
    );
    let logged = fs::read_to_string(bin.join("logged")).unwrap();
    assert_eq!(logged.lines().count(), 1, "{logged}");
    assert!(
        logged.contains("f2bd-report") && logged.contains("a.example"),
        "{logged}"
    );
    report_over_pam(world.path(), &examples.join("pam"), &path);
    let python = format!(
        "from ipaddress import ip_address; from report import report
assert report('shop', ip_address('192.0.2.3'), user='c', to='{}')",
        to.display()
    );
    run(Command::new("python3")
        .current_dir(&examples)
        .args(["-B", "-c", &python]));
    let mut expected = "192.0.2.1|a b\n192.0.2.2|--success\n192.0.2.3|c".to_owned();
    let php = format!(
        "require '{}'; exit(f2bd_report('shop', '192.0.2.4', 'd', '{}') ? 0 : 1);",
        examples.join("report.php").display(),
        to.display()
    );
    match Command::new("php").args(["-r", &php]).output() {
        Ok(output) => {
            assert!(output.status.success(), "{output:?}");
            expected.push_str("\n192.0.2.4|d");
        }
        Err(_) => skipped("php is missing").unwrap_or_default(),
    }
    expected.push_str("\n192.0.2.5|e");
    let reported = "SELECT address, user FROM failures WHERE jail = 'both' ORDER BY address";
    until("all have reported", || {
        (world.sql(reported) == expected).then_some(())
    });
    daemon.stop();
}
