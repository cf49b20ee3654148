//! Old logs through the real binary: `tests/replay/CASE/` holds a configuration, a log and the decisions that
//! must come out. `F2BD_BLESS=1` writes the decisions anew.

use std::fs;
use std::path::Path;
use std::process::Command;

use crate::support::world::F2BD;

fn case(name: &str) {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/replay")
        .join(name);
    let output = Command::new(F2BD)
        .args([
            "replay",
            "--json",
            "--now",
            "2026-03-01T00:00:00Z",
            "--timezone",
            "UTC",
            "--config",
        ])
        .arg(directory.join("f2bd.conf"))
        .arg(directory.join("records.log"))
        .output()
        .unwrap();
    assert!(
        output.stderr.is_empty(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    let decisions = String::from_utf8(output.stdout).unwrap();
    assert_eq!(
        output.status.code(),
        Some(i32::from(decisions.is_empty())),
        "1 means: no decision"
    );
    let expected = directory.join("decisions.json");
    if std::env::var_os("F2BD_BLESS").is_some() {
        fs::write(&expected, &decisions).unwrap();
    }
    assert_eq!(decisions, fs::read_to_string(expected).unwrap());
}

#[test]
fn the_window_slides_and_bans_end() {
    case("window");
}

#[test]
fn late_records_take_their_place() {
    case("late");
}

#[test]
fn an_ipv6_network_is_one_subject() {
    case("ipv6");
}

#[test]
fn ignored_addresses_are_spared() {
    case("ignored");
}

#[test]
fn forged_lines_ban_nobody_else() {
    case("forged");
}

// f2bd(8): "Names in logs are not looked up, whatever usedns says; how many failures are left out for that stands at the
// end."
#[test]
fn names_are_left_out_and_how_many_is_told() {
    let home = tempfile::tempdir().unwrap();
    let filter = "title = \"A gate\"\n[records]\nprogram = [\"gate\"]\n\
                  [[failure]]\npattern = '^no <user> from <host>$'\n";
    fs::create_dir(home.path().join("filters")).unwrap();
    fs::write(home.path().join("filters/gate.toml"), filter).unwrap();
    let line = |second: u32, host: &str| {
        format!("2026-02-12T14:10:{second:02}Z host gate[7]: no root from {host}\n")
    };
    let log = [
        line(1, "localhost.localdomain"),
        line(2, "192.0.2.7"),
        line(3, "mail.example.org"),
        line(4, "192.0.2.7"),
    ];
    let path = home.path().join("gate.log");
    fs::write(&path, log.concat()).unwrap();
    let replay = |usedns: &str, arguments: &[&str]| {
        let text =
            format!("[jail.gate]\nmaxretry = 2\nsources = [\"journal\"]\nusedns = {usedns:?}\n");
        fs::write(home.path().join("f2bd.conf"), text).unwrap();
        let mut command = Command::new(F2BD);
        command.arg("replay").args(arguments).arg("--config");
        let output = command.arg(home.path()).arg(&path).output().unwrap();
        assert_eq!(output.status.code(), Some(0), "{output:?}");
        String::from_utf8(output.stdout).unwrap()
    };
    let told =
        "Left out: 2 failures of hosts that are known by name alone; a replay looks up no names.";
    for arguments in [&[][..], &["--set", "maxretry=1"]] {
        assert_eq!(replay("yes", arguments).matches(told).count(), 1);
        assert!(!replay("no", arguments).contains("Left out"));
    }
    assert_eq!(replay("warn", &["--json"]).lines().count(), 1, "a ban");
}
