//! Is one program run as it should be, and ended when it should have ended?

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::time::Duration;

use f2bd::action::exec::{Ended, Environment, Errand, ExecError, MOST_OUTPUT, run};
use tempfile::TempDir;

use crate::support::wait::{DEADLINE, until};

/// So long that a program that is waited for until then fails the test.
const PATIENT: Duration = DEADLINE;

/// So short that nobody minds, for programs that never end.
const SHORT: Duration = Duration::from_millis(200);

fn sh(script: &str, input: &[u8], deadline: Duration, accepts: &[i32]) -> Result<Ended, ExecError> {
    let argv = ["sh".to_owned(), "-c".to_owned(), script.to_owned()];
    run(&Errand {
        argv: &argv,
        input,
        deadline,
        accepts,
        environment: Environment::Bare,
    })
}

fn says(script: &str) -> String {
    let ended = sh(script, b"", PATIENT, &[0]).unwrap();
    String::from_utf8(ended.output).unwrap()
}

#[test]
fn it_reads_its_input_and_its_output_comes_back() {
    let ended = sh("tr a-z A-Z; exit 3", b"one\ntwo", PATIENT, &[0, 3]).unwrap();
    assert_eq!(ended.output, b"ONE\nTWO");
    assert_eq!((ended.code, ended.cut), (3, false));
}

#[test]
fn arguments_are_no_script() {
    let text = "$(id); `id` 'a' \"b\" | > *\n";
    let argv = ["printf", "%s", text].map(str::to_owned);
    let errand = Errand {
        argv: &argv,
        input: b"",
        deadline: PATIENT,
        accepts: &[0],
        environment: Environment::Bare,
    };
    assert_eq!(run(&errand).unwrap().output, text.as_bytes());
}

#[test]
fn the_environment_says_next_to_nothing() {
    let names = says("env | cut -d= -f1 | sort | tr '\\n' ' '");
    // The shell adds these itself.
    let names = names
        .split_whitespace()
        .filter(|name| !["PWD", "SHLVL", "_", "OLDPWD"].contains(name));
    let names: Vec<&str> = names.collect();
    assert!(
        names == ["HOME", "LC_ALL", "PATH"] || names == ["LC_ALL", "PATH"],
        "{names:?}"
    );
    let path = says("printf %s \"$PATH\"");
    assert!(path.split(':').any(|place| place == "/usr/sbin"), "{path}");
}

#[test]
fn what_it_complains_of_is_told_on_one_line() {
    let error = sh(
        "echo no >&2; printf '\\033[31msuch\\n\\n thing' >&2; exit 4",
        b"",
        PATIENT,
        &[0, 3],
    )
    .unwrap_err();
    assert_eq!(
        error.to_string(),
        "sh failed (exit status: 4): no [31msuch thing"
    );
    let error = sh("echo said elsewhere; exit 1", b"", PATIENT, &[0]).unwrap_err();
    assert_eq!(
        error.to_string(),
        "sh failed (exit status: 1): said elsewhere"
    );
    let error = sh("exit 1", b"", PATIENT, &[0]).unwrap_err();
    assert_eq!(error.to_string(), "sh failed (exit status: 1)");
    let error = sh(
        "head -c 1000000 /dev/zero | tr '\\0' x >&2; exit 1",
        b"",
        PATIENT,
        &[0],
    )
    .unwrap_err();
    let ExecError::Refused { complaint, .. } = error else {
        panic!("{error}");
    };
    assert_eq!(complaint.len(), 600);
}

#[test]
fn a_signal_is_no_success() {
    let error = sh("kill -TERM $$", b"", PATIENT, &[0, 15, 143]).unwrap_err();
    assert!(matches!(error, ExecError::Refused { .. }), "{error}");
    assert!(error.to_string().contains("SIGTERM"), "{error}");
}

#[test]
fn what_cannot_be_run_is_told_with_a_remedy() {
    let try_it = |program: &str| {
        let argv = [program.to_owned()];
        run(&Errand {
            argv: &argv,
            input: b"",
            deadline: PATIENT,
            accepts: &[0],
            environment: Environment::Bare,
        })
        .unwrap_err()
        .to_string()
    };
    let said = try_it("no-such-program");
    assert_eq!(
        said,
        "cannot run no-such-program: it is not in PATH; install it, or give its whole path"
    );
    let said = try_it("/no/such/program");
    assert_eq!(
        said,
        "cannot run /no/such/program: there is no such program; install it, or correct the path"
    );

    let directory = TempDir::new().unwrap();
    let script = directory.path().join("script");
    fs::write(&script, "#!/no/such/interpreter\n").unwrap();
    fs::set_permissions(&script, fs::Permissions::from_mode(0o755)).unwrap();
    let said = try_it(script.to_str().unwrap());
    assert!(
        said.ends_with(": the interpreter that it names is not there"),
        "{said}"
    );

    let none = Errand {
        argv: &[],
        input: b"",
        deadline: PATIENT,
        accepts: &[0],
        environment: Environment::Bare,
    };
    assert!(matches!(run(&none), Err(ExecError::Start { .. })));
}

#[test]
fn it_need_not_read_what_it_is_given() {
    let much = vec![b'x'; 1024 * 1024];
    let ended = sh("exec <&-; echo done", &much, PATIENT, &[0]).unwrap();
    assert_eq!(ended.output, b"done\n");
}

#[test]
fn of_what_it_writes_so_much_is_kept_and_the_rest_does_not_stop_it() {
    let more = MOST_OUTPUT + 1;
    let ended = sh(
        &format!("head -c {more} /dev/zero; echo over >&2"),
        b"",
        PATIENT,
        &[0],
    )
    .unwrap();
    assert_eq!(ended.output.len(), MOST_OUTPUT);
    assert!(ended.cut);
    let ended = sh(
        &format!("head -c {MOST_OUTPUT} /dev/zero"),
        b"",
        PATIENT,
        &[0],
    )
    .unwrap();
    assert!(!ended.cut);
}

#[test]
fn the_last_words_are_heard() {
    // As much as a pipe holds at once, so that it is there when the end is.
    for _ in 0..50 {
        let ended = sh("head -c 65536 /dev/zero", b"", PATIENT, &[0]).unwrap();
        assert_eq!(ended.output.len(), 65536);
    }
}

#[test]
fn whoever_is_late_is_ended_with_what_they_started() {
    let directory = TempDir::new().unwrap();
    let pids = directory.path().join("pids");
    let pids = pids.to_str().unwrap();
    let script = format!(
        "sleep 1000 & echo $! >{pids}; sh -c 'sleep 1000 & echo $!; wait' >>{pids} & echo $$ >>{pids}; wait"
    );
    // Long enough for them to write their numbers; if the machine is slower than that, they are asked again.
    until("all of them have started", || {
        let error = sh(&script, b"", SHORT, &[0]).unwrap_err();
        assert!(matches!(error, ExecError::Late { .. }), "{error}");
        let numbers = fs::read_to_string(pids).ok()?;
        (numbers.lines().count() == 3).then_some(())
    });
    for number in fs::read_to_string(pids).unwrap().lines() {
        until("it has ended", || is_gone(number).then_some(()));
    }
}

/// Whether a process has ended, if perhaps nobody has asked how.
fn is_gone(number: &str) -> bool {
    let status = fs::read_to_string(Path::new("/proc").join(number).join("stat"));
    status.map_or(true, |status| status.contains(") Z "))
}

#[test]
fn endless_writers_are_late_too() {
    for script in ["yes", "yes >&2", "yes & exec sleep 1000"] {
        let error = sh(script, b"", SHORT, &[0]).unwrap_err();
        assert!(matches!(error, ExecError::Late { .. }), "{script}: {error}");
    }
}

#[test]
fn a_grandchild_that_holds_the_pipe_is_not_waited_for() {
    let ended = sh("sleep 1000 & echo $!", b"", PATIENT, &[0]).unwrap();
    let number = String::from_utf8(ended.output).unwrap();
    let number = number.trim();
    assert!(!is_gone(number), "it was not ours to end");
    let pid = rustix::process::Pid::from_raw(number.parse().unwrap()).unwrap();
    rustix::process::kill_process(pid, rustix::process::Signal::KILL).unwrap();
}

#[test]
fn a_grandchild_that_writes_for_ever_is_not_listened_to() {
    let ended = sh("yes & echo x", b"", PATIENT, &[0]).unwrap();
    assert!(ended.output.windows(2).any(|two| two == b"x\n"));
    // Nobody reads any more, so it ends.
}
