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
