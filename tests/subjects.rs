//! Jails that ban users, mailboxes and sessions: the whole daemon with its database.

use serde_json::Value;

use crate::support::wait::until;
use crate::support::world::World;

const OF_USERS: &str = "maxretry = 3\nfindtime = \"1h\"\nbantime = \"1h\"\nignoreself = false\n\
    subject = \"user\"\nactions = []";

/// Waits until the database tells so.
fn until_it_tells(world: &World, query: &str, expected: &str) {
    until(&format!("{query} tells {expected:?}"), || {
        (world.database().exists() && world.sql(query) == expected).then_some(())
    });
}

fn told(world: &World, arguments: &[&str]) -> (Option<i32>, String) {
    let output = world.f2bd(arguments);
    let text = [output.stdout, output.stderr].concat();
    (output.status.code(), String::from_utf8(text).unwrap())
}

#[test]
fn a_user_is_banned_wherever_he_fails_from_also_after_a_kill() {
    let Some(world) = World::new(OF_USERS) else {
        return;
    };
    let daemon = world.start();
    world.mistype("198.51.100.1", "Bob");
    world.mistype("198.51.100.2", "bob");
    // One who would be taken for an address if anybody could be.
    for address in ["198.51.100.3", "198.51.100.4", "198.51.100.5"] {
        world.mistype(address, "192.0.2.7");
    }
    let history =
        "SELECT ip, failures, offence, coalesce(release, '-') FROM ban_history ORDER BY ban";
    until_it_tells(&world, history, "192.0.2.7|3|1|-");
    daemon.kill();
    let daemon = world.start();
    world.mistype("2001:db8::1", "BOB");
    until_it_tells(&world, history, "192.0.2.7|3|1|-\nBob|3|1|-");
    assert_eq!(
        world.sql("SELECT DISTINCT typeof(first), length(first) FROM bans"),
        "blob|0"
    );
    assert_eq!(
        world.sql("SELECT user, address FROM ban_lines WHERE ip = 'Bob' AND user = 'BOB'"),
        "BOB|2001:db8::1"
    );
    let bans = world.json(&["bans"]);
    let shown = |row: &Value| (row["subject"].clone(), row["named"].clone());
    let shown: Vec<_> = bans.iter().map(shown).collect();
    assert_eq!(
        shown,
        [
            ("192.0.2.7".into(), true.into()),
            ("Bob".into(), true.into())
        ]
    );
    let (code, text) = told(&world, &["explain", "bob"]);
    assert_eq!(code, Some(0), "{text}");
    assert!(text.contains("bob is banned by jail sshd"), "{text}");
    // Text that is an address means that, unless the jail says otherwise.
    let (code, text) = told(&world, &["unban", "192.0.2.7"]);
    assert_eq!((code, &*text), (Some(1), "f2bd: 192.0.2.7 is not banned\n"));
    let (code, text) = told(&world, &["unban", "192.0.2.7", "--jail", "sshd"]);
    assert_eq!(code, Some(0), "{text}");
    let (code, text) = told(&world, &["unban", "boB"]);
    assert_eq!(code, Some(0), "{text}");
    until_it_tells(&world, history, "192.0.2.7|3|1|manual\nBob|3|1|manual");
    let (code, text) = told(&world, &["ban", "sshd", "mallory"]);
    assert_eq!(
        (code, &*text),
        (Some(0), "mallory is banned by jail sshd\n")
    );
    assert_eq!(world.json(&["history", "MALLORY"]).len(), 1);
    assert_eq!(told(&world, &["allow", "mallory"]).0, Some(64));
    assert_eq!(told(&world, &["ban", "sshd", " "]).0, Some(64));
    let long = "x".repeat(200);
    assert_eq!(told(&world, &["ban", "sshd", &long]).0, Some(0));
    let (_, text) = told(&world, &["bans"]);
    assert!(text.contains("xxx…") && !text.contains(&long), "{text}");
    assert_eq!(told(&world, &["unban", &long]).0, Some(0));
    daemon.kill();
    let daemon = world.start();
    assert_eq!(world.json(&["bans"])[0]["subject"], "mallory");
    daemon.stop();
}

#[test]
fn a_log_need_not_say_from_where() {
    let Some(world) = World::new(OF_USERS) else {
        return;
    };
    let filter = "title = \"A queue\"\n[records]\nprogram = [\"sshd\"]\n\
        [[failure]]\npattern = '^too many messages of <user>$'\n\
        [[sample]]\nline = 'too many messages of jo'\nuser = \"jo\"\n";
    std::fs::create_dir(world.path().join("filters")).unwrap();
    std::fs::write(world.path().join("filters/queue.toml"), filter).unwrap();
    let settings = OF_USERS.replace("maxretry", "filter = \"queue\"\nmaxretry");
    world.configure(&settings, "");
    let daemon = world.start();
    let name = "jo'; rm -rf /";
    let log = || world.log("sshd", &format!("too many messages of {name}"));
    log();
    log();
    until("both are written", || {
        (world.database().exists() && world.sql("SELECT count(*) FROM failures") == "2")
            .then_some(())
    });
    daemon.kill();
    let daemon = world.start();
    log();
    let bans = "SELECT ip, failures FROM active_bans";
    until_it_tells(&world, bans, "jo'; rm -rf /|3");
    assert_eq!(world.sql("SELECT DISTINCT address FROM ban_lines"), "");
    let (code, text) = told(&world, &["explain", name]);
    assert_eq!(code, Some(0), "{text}");
    assert!(text.contains("too many messages of jo"), "{text}");
    daemon.stop();
    // A jail of addresses could do nothing with it.
    world.configure(&settings.replace("subject = \"user\"\n", ""), "");
    let (code, text) = told(
        &world,
        &["check", "--config", world.config().to_str().unwrap()],
    );
    assert_eq!(code, Some(78), "{text}");
    assert!(
        text.contains("no pattern of the filter `queue` has <ip> or <host>"),
        "{text}"
    );
}

#[test]
fn what_is_no_address_is_refused_by_jails_of_addresses() {
    let Some(world) = World::new("actions = []") else {
        return;
    };
    let daemon = world.start();
    for arguments in [
        &["ban", "sshd", "bob"][..],
        &["unban", "bob"],
        &["explain", "bob"],
    ] {
        let (code, text) = told(&world, arguments);
        assert_eq!(code, Some(64), "{text}");
        assert!(
            text.contains("`bob` is neither an address nor a network"),
            "{text}"
        );
    }
    daemon.stop();
}

/// The program of a test: it notes how often it was called and with how many arguments, and what it read.
const LOCKER: &str = "#!/bin/sh\necho \"called with $#\" >>$1\ncat >>$1\n";

#[test]
fn a_banned_user_reaches_a_program_as_text() {
    let jail = OF_USERS.replace("actions = []", "actions = [\"lock\"]");
    let Some(world) = World::new(&jail) else {
        return;
    };
    let (calls, program) = (world.path().join("calls"), world.path().join("locker"));
    std::fs::write(&program, LOCKER).unwrap();
    let mode = std::os::unix::fs::PermissionsExt::from_mode(0o755);
    std::fs::set_permissions(&program, mode).unwrap();
    let run = format!("run = [{program:?}, {calls:?}]");
    let action = format!(
        "kind = \"exec\"\ntitle = \"locks accounts\"\nnames = true\n\
         [[ban]]\n{run}\ninput = \"lock <subject>\"\n[[unban]]\n{run}\ninput = \"unlock <subject>\"\n"
    );
    std::fs::create_dir(world.path().join("actions")).unwrap();
    std::fs::write(world.path().join("actions/lock.toml"), action).unwrap();
    let _daemon = world.start();
    let user = "$(reboot);`x`|'\"<jail> -f";
    for address in ["198.51.100.1", "198.51.100.2", "198.51.100.3"] {
        world.mistype(address, user);
    }
    let until_it_read = |expected: &str| {
        until(&format!("the program reads {expected:?}"), || {
            let calls = std::fs::read_to_string(&calls).unwrap_or_default();
            (calls == expected).then_some(())
        });
    };
    // Whatever a program takes for the end of a word is none.
    let word = "%24%28reboot%29%3B%60x%60%7C%27%22%3Cjail%3E%20-f";
    let banned = format!("called with 1\nlock {word}\n");
    until_it_read(&banned);
    assert_eq!(told(&world, &["unban", user]).0, Some(0));
    until_it_read(&format!("{banned}called with 1\nunlock {word}\n"));
}
