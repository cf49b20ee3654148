//! The whole daemon, with an attack and a list of it.

use std::fs;
use std::process::Command;

use serde_json::Value;

use super::{HERE, KEY, write_private};
use crate::support::wait::until;
use crate::support::world::{F2BD, World};

fn get(world: &World, path: &str) -> String {
    let mut command = world.netns.command("curl");
    command.args(["--silent", "--header", &format!("X-Api-Key: {KEY}")]);
    let output = command.arg(format!("{HERE}{path}")).output().unwrap();
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn who_is_banned_is_listed_over_restarts_and_reloads() {
    let jail = "actions = [\"nftables\", \"serve\"]\nmaxretry = 3";
    let Some(world) = World::new(jail) else {
        return;
    };
    let key = world.path().join("key");
    write_private(&key, KEY);
    let action = format!("[action.serve]\nkeys = [\"file:{}\"]\n", key.display());
    world.configure(jail, &action);
    let daemon = world.start();
    world.attack("192.0.2.7", 3);
    let listed =
        |what: &str, words: &str| until(what, || (get(&world, "/bans.txt") == words).then_some(()));
    listed("the attacker is listed", "192.0.2.7\n");
    for (format, path) in [
        ("text", "/bans.txt"),
        ("json", "/bans.json"),
        ("haproxy", "/bans.haproxy"),
    ] {
        let output = world.f2bd(&["bans", "--format", format]);
        assert_eq!(String::from_utf8_lossy(&output.stdout), get(&world, path));
    }
    let output = world.f2bd(&["bans", "--jail", "sshd", "--format", "nft"]);
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(text.contains("\n192.0.2.7 timeout "), "{text}");
    daemon.kill();
    let daemon = world.start();
    listed("he is still after a crash", "192.0.2.7\n");
    let stream = get(&world, "/v1/decisions/stream");
    assert!(stream.contains("\"value\":\"192.0.2.7\""), "{stream}");
    // Another key, and another socket beside the old one.
    write_private(&key, "another");
    let listen = "listen = [\"127.0.0.1:8082\", \"[::1]:8082\"]\n";
    world.configure(jail, &(action + listen));
    assert!(world.f2bd(&["reload"]).status.success());
    until("the new key is asked for", || {
        get(&world, "/v1/decisions")
            .contains("forbidden")
            .then_some(())
    });
    let mut over_ipv6 = world.netns.command("curl");
    let output = over_ipv6
        .args(["--silent", "http://[::1]:8082/bans.txt"])
        .output()
        .unwrap();
    assert_eq!(String::from_utf8_lossy(&output.stdout), "192.0.2.7\n");
    assert!(world.f2bd(&["unban", "192.0.2.7"]).status.success());
    listed("he is free", "");
    daemon.stop();
    assert!(get(&world, "/health").is_empty(), "nobody listens any more");
}

/// Who is banned and who is free, as a bouncer hears it that has been running all the while.
fn news(world: &World) -> [Vec<String>; 2] {
    let told = get(world, "/v1/decisions/stream?startup=false");
    let told: Value = serde_json::from_str(&told).unwrap_or_else(|error| panic!("{error}: {told}"));
    ["new", "deleted"].map(|list| {
        let decisions = told[list].as_array().cloned().unwrap_or_default();
        let values = decisions
            .iter()
            .map(|decision| decision["value"].as_str().unwrap().to_owned());
        values.collect()
    })
}

/// The action with the key of the tests, for this world.
pub fn keys(world: &World) -> String {
    let key = world.path().join("key");
    write_private(&key, KEY);
    format!("[action.serve]\nkeys = [\"file:{}\"]\n", key.display())
}

#[test]
fn who_was_lifted_before_a_restart_is_told_after_it() {
    let manual = "actions = [\"nftables\", \"serve\"]\n\n\
        [jail.other]\nfilter = \"sshd\"\nactions = [\"serve\"]";
    let Some(world) = World::new(manual) else {
        return;
    };
    let action = keys(&world);
    world.configure(manual, &action);
    let daemon = world.start();
    let bans: Vec<String> = (1..=5).map(|host| format!("192.0.2.{host}")).collect();
    for host in &bans[..4] {
        assert!(
            world
                .f2bd(&["ban", "sshd", host, "--for", "1h"])
                .status
                .success()
        );
    }
    let forever = ["ban", "other", &bans[4], "--for", "forever"];
    assert!(world.f2bd(&forever).status.success());
    let nobody: Vec<String> = Vec::new();
    assert_eq!(news(&world), [bans.clone(), nobody.clone()]);
    // What it has not asked for before the daemon is killed.
    assert!(world.f2bd(&["unban", &bans[0]]).status.success());
    daemon.kill();
    let daemon = world.start();
    assert_eq!(news(&world), [bans[1..].to_vec(), bans[..1].to_vec()]);
    assert_eq!(news(&world), [nobody.clone(), nobody.clone()]);
    // Another socket: what was told belongs to the one before.
    assert!(world.f2bd(&["unban", &bans[1]]).status.success());
    let sockets = "listen = [\"127.0.0.1:8082\", \"[::1]:8082\"]\n";
    world.configure(manual, &format!("{action}{sockets}"));
    assert!(world.f2bd(&["reload"]).status.success());
    let freed = until("the new listener tells all anew", || {
        let [banned, freed] = news(&world);
        (banned == bans[2..]).then_some(freed)
    });
    assert_eq!(freed, bans[..2]);
    // Whom a start lifts, and whose jail has another action by then.
    daemon.stop();
    let changed = format!(
        "actions = [\"nftables\", \"serve\"]\nignoreip = [{:?}]\n\n\
         [jail.other]\nfilter = \"sshd\"\nactions = [\"nftables-prerouting\"]",
        bans[2]
    );
    world.configure(&changed, &format!("{action}{sockets}"));
    let daemon = world.start();
    let [banned, mut freed] = news(&world);
    freed.sort();
    assert_eq!(banned, bans[3..4]);
    assert_eq!(freed, [&bans[..3], &bans[4..]].concat());
    let begun = get(&world, "/v1/decisions/stream?startup=true");
    assert!(begun.contains("\"deleted\":null"), "{begun}");
    daemon.stop();
}

fn problems(action: &str) -> String {
    let home = tempfile::tempdir().unwrap();
    let config = home.path().join("f2bd.conf");
    let text = format!(
        "[jail.sshd]\nactions = [\"serve\", \"other\"]\n\n[action.other]\nuse = \"serve\"\n{action}"
    );
    fs::write(&config, text).unwrap();
    let output = Command::new(F2BD)
        .args(["check", "--config"])
        .arg(&config)
        .output()
        .unwrap();
    String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned()
}

#[test]
fn check_tells_what_would_be_wrong() {
    let told = problems("listen = [\"127.0.0.1:8082\"]\n");
    assert!(
        told.contains("the actions `serve` and `other` use the same socket"),
        "{told}"
    );
    let told = problems("listen = [\"0.0.0.0:8083\"]\n");
    assert!(
        told.contains("everybody who reaches 0.0.0.0:8083 can read the bans of `other`"),
        "{told}"
    );
    let told = problems(
        "listen = [\"0.0.0.0:8083\"]\nopen_lists = false\nkeys = [\"file:/etc/f2bd/key\"]\n",
    );
    assert!(!told.contains("everybody who reaches"), "{told}");
    let told = problems("listen = [\"127.0.0.1:8083\"]\nopen_lists = false\n");
    assert!(told.contains("nobody could ask for anything"), "{told}");
    let told = problems("listen = [\"127.0.0.1:8083\"]\nkeys = [\"hunter2\"]\n");
    assert!(told.contains("say where each key is kept"), "{told}");
    assert!(
        !told.replace("keys = [\"hunter2\"]", "").contains("hunter2"),
        "{told}"
    );
}
