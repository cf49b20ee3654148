//! Whoever Fail2ban keeps out is kept out by f2bd: bans by a real fail2ban-server, taken over into a real firewall.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};

use crate::support::samples;
use crate::support::wait::until;
use crate::support::world::World;
use crate::support::{now, skipped};

/// The code of the package.
const CODE: &str = "usr/lib/python3/dist-packages";

/// Jails of Fail2ban that have nothing to do but what they are told.
const JAILS: &str = "[DEFAULT]
backend = polling
filter = plain
action = nothing
usedns = no
maxretry = 3
findtime = 1h
bantime = 1h
ignoreself = false
[sshd]
enabled = true
logpath = LOG
bantime.increment = true
[keep]
enabled = true
logpath = LOG
maxretry = 1000
bantime = -1
[other]
enabled = true
logpath = LOG
maxretry = 1000
";

/// A Fail2ban that runs, and ends with its test.
struct Fail2ban {
    home: tempfile::TempDir,
    root: PathBuf,
    server: Child,
}

impl Fail2ban {
    fn start() -> Option<Fail2ban> {
        let root = samples::root(CODE)?;
        let home = tempfile::tempdir().unwrap();
        let at = |name: &str| home.path().join(name);
        for folder in ["filter.d", "action.d"] {
            fs::create_dir(at(folder)).unwrap();
        }
        let daemon = format!(
            "[Definition]\nloglevel = INFO\nlogtarget = {}\nsyslogsocket = auto\nsocket = {}\npidfile = {}\n\
             dbfile = {}\ndbpurgeage = 30d\ndbmaxmatches = 10\n",
            at("told").display(),
            at("socket").display(),
            at("pid").display(),
            at("fail2ban.sqlite3").display()
        );
        fs::write(at("fail2ban.conf"), daemon).unwrap();
        let log = at("log").display().to_string();
        fs::write(at("jail.conf"), JAILS.replace("LOG", &log)).unwrap();
        fs::write(at("log"), "").unwrap();
        fs::write(
            at("filter.d/plain.conf"),
            "[Definition]\nfailregex = ^ failed as <F-USER>\\S+</F-USER> from <ADDR>$\ndatepattern = ^EPOCH\n",
        )
        .unwrap();
        fs::write(
            at("action.d/nothing.conf"),
            "[Definition]\nactionban = true\nactionunban = true\n",
        )
        .unwrap();
        let server = program(&root, "fail2ban-server", home.path())
            .args(["-f", "start"])
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn();
        let Ok(server) = server else {
            return skipped("python3 is missing");
        };
        let running = Fail2ban { home, root, server };
        until("Fail2ban answers", || {
            let pong = running.client(&["ping"]);
            String::from_utf8_lossy(&pong.stdout)
                .contains("pong")
                .then_some(())
        });
        Some(running)
    }

    fn client(&self, words: &[&str]) -> Output {
        let mut client = program(&self.root, "fail2ban-client", self.home.path());
        client.args(words).output().unwrap()
    }

    fn database(&self) -> PathBuf {
        self.home.path().join("fail2ban.sqlite3")
    }

    fn sql(&self, query: &str) -> String {
        sql(&self.database(), query)
    }

    /// Has it ban somebody, and waits until its database knows.
    fn ban(&self, jail: &str, subject: &str) {
        let done = self.client(&["set", jail, "banip", subject]);
        assert!(done.status.success(), "{done:?}");
        self.has(jail, subject);
    }

    fn has(&self, jail: &str, subject: &str) {
        let query = format!("SELECT count(*) FROM bips WHERE jail = '{jail}' AND ip = '{subject}'");
        until(&format!("Fail2ban has written {subject}"), || {
            (self.sql(&query) == "1").then_some(())
        });
    }

    /// So many failures in its log.
    fn attack(&self, address: &str, count: usize) {
        let seconds = now().as_micros() / 1_000_000;
        let line = format!("{seconds} failed as root from {address}\n");
        let log = self.home.path().join("log");
        let mut text = fs::read_to_string(&log).unwrap();
        text.push_str(&line.repeat(count));
        fs::write(&log, text).unwrap();
    }
}

impl Drop for Fail2ban {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.server.kill();
        let _ = self.server.wait();
    }
}

fn program(root: &Path, name: &str, config: &Path) -> Command {
    let mut command = Command::new("python3");
    command
        .env("PYTHONPATH", root.join(CODE))
        .arg(root.join("usr/bin").join(name))
        .arg("-c")
        .arg(config);
    command
}

fn sql(database: &Path, query: &str) -> String {
    let output = Command::new("sqlite3")
        .args(["-cmd", ".timeout 5000"])
        .arg(database)
        .arg(query)
        .output()
        .unwrap();
    assert!(output.status.success(), "{query}: {output:?}");
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

const SSHD: &str = "maxretry = 3\nfindtime = \"1h\"\nbantime = \"10m\"\nignoreself = false\nprefix = { ipv6 = 128 }\n\
                    escalation = { factor = 2 }\nignoreip = [\"203.0.113.0/24\"]";

const KEEP: &str = "[jail.keep]\nfilter = \"sshd\"\nsources = [\"journal\"]\nignoreself = false\n";

/// Runs `f2bd import --state` in a world.
fn import(world: &World, database: &Path) -> (Option<i32>, serde_json::Value) {
    let (database, config) = (database.display(), world.config());
    let output = world.f2bd(&[
        "--config",
        &config.display().to_string(),
        "import",
        "--json",
        "--state",
        &database.to_string(),
    ]);
    let told = serde_json::from_slice(&output.stdout);
    (
        output.status.code(),
        told.unwrap_or_else(|_| panic!("{output:?}")),
    )
}

fn kept_out(world: &World, address: &str) {
    until(&format!("{address} is in the kernel's set"), || {
        world.kernel_bans(address).then_some(())
    });
}

/// Whom jails keep out, since when, how long and for the how manieth time, in order, as our database says.
const OURS: &str =
    "SELECT jail, subject, start / 1000000, ifnull((until - start) / 1000000, -1), offence
                    FROM bans WHERE ended IS NULL ORDER BY jail, subject";

/// The same as Fail2ban's does.
const THEIRS: &str = "SELECT jail, ip, timeofban, bantime, bancount FROM bips
                      WHERE jail <> 'other' AND ip NOT LIKE '203%' ORDER BY jail, ip";

/// Waits for the last ban: Fail2ban rounds moments, also up, and what would be of the future begins now where it is taken over.
fn all_have_begun(fail2ban: &Fail2ban) {
    until("that ban has begun", || {
        let began: i64 = fail2ban
            .sql("SELECT max(timeofban) FROM bips")
            .trim()
            .parse()
            .unwrap();
        (jiff::Timestamp::now().as_second() >= began).then_some(())
    });
}

#[test]
fn nobody_is_freed_by_the_change() {
    let Some(fail2ban) = Fail2ban::start() else {
        return;
    };
    let Some(world) = World::with(SSHD, KEEP) else {
        return;
    };
    fail2ban.attack("198.51.100.9", 3);
    fail2ban.has("sshd", "198.51.100.9");
    for subject in ["198.51.100.7", "2001:db8::7", "203.0.113.5"] {
        fail2ban.ban("sshd", subject);
    }
    for subject in ["198.51.100.7", "192.0.2.0/24"] {
        fail2ban.ban("keep", subject);
    }
    fail2ban.ban("other", "198.51.100.8");
    all_have_begun(&fail2ban);
    let theirs = fail2ban.sql(THEIRS);
    assert_eq!(theirs.lines().count(), 5, "{theirs}");

    // While neither has ended: f2bd's daemon does not run yet.
    let (code, told) = import(&world, &fail2ban.database());
    assert_eq!(code, Some(1), "not all were taken: {told}");
    assert_eq!(told["taken_by"], "database");
    assert_eq!(told["jails"]["sshd"]["in_force"], 3);
    assert_eq!(told["jails"]["keep"]["in_force"], 2);
    let left_out = serde_json::json!([
        {"jail": "other", "subject": "198.51.100.8", "why": "no_jail"},
        {"jail": "sshd", "subject": "203.0.113.5", "why": "ignored"},
    ]);
    assert_eq!(told["left_out"], left_out);
    assert_eq!(world.sql(OURS), theirs);

    let daemon = world.start();
    for address in [
        "198.51.100.9",
        "198.51.100.7",
        "2001:db8::7",
        "192.0.2.0/24",
    ] {
        kept_out(&world, address);
    }
    assert!(!world.kernel_bans("203.0.113.5") && !world.kernel_bans("198.51.100.8"));
    assert_eq!(
        world.sql("SELECT user, line FROM ban_lines WHERE ip = '198.51.100.9' LIMIT 1"),
        "root|".to_owned() + fail2ban_line(&fail2ban).trim()
    );
    let explained = world.f2bd(&["explain", "198.51.100.9"]);
    let explained = String::from_utf8(explained.stdout).unwrap();
    assert!(
        explained.contains("failed as root from 198.51.100.9"),
        "{explained}"
    );

    // Fail2ban goes on meanwhile, and the rest is taken over by the daemon.
    fail2ban.ban("sshd", "198.51.100.10");
    all_have_begun(&fail2ban);
    let (code, told) = import(&world, &fail2ban.database());
    assert_eq!(code, Some(1));
    assert_eq!(told["taken_by"], "daemon");
    assert_eq!(
        told["jails"]["sshd"],
        serde_json::json!({"in_force": 1, "past": 0, "known": 3, "left_out": 1})
    );
    assert_eq!(told["jails"]["keep"]["known"], 2);
    kept_out(&world, "198.51.100.10");
    assert_eq!(world.sql(OURS), fail2ban.sql(THEIRS));

    // What somebody lifts here stays lifted.
    assert!(world.f2bd(&["unban", "198.51.100.10"]).status.success());
    let (_, told) = import(&world, &fail2ban.database());
    assert_eq!(told["jails"]["sshd"]["known"], 4);
    // The daemon knows its settings: nobody has to name them, nor be able to read them.
    let database = fail2ban.database().display().to_string();
    let by_socket = world.f2bd(&["import", "--json", "--state", &database]);
    let told: serde_json::Value = serde_json::from_slice(&by_socket.stdout).unwrap();
    assert_eq!(told["taken_by"], "daemon", "{by_socket:?}");
    assert_eq!(told["jails"]["sshd"]["known"], 4);
    until("it is free", || {
        (!world.kernel_bans("198.51.100.10")).then_some(())
    });
    daemon.stop();

    // Fail2ban's database is as it was, and free.
    fail2ban.ban("sshd", "198.51.100.11");
}

/// The line of its log.
fn fail2ban_line(fail2ban: &Fail2ban) -> String {
    let log = fs::read_to_string(fail2ban.home.path().join("log")).unwrap();
    log.lines().next().unwrap().to_owned()
}

/// A database of a schema, with these rows of (jail, ip, time, bantime, bancount).
fn database(folder: &Path, schema: u32, rows: &[(&str, &str, i64, i64, u32)]) -> PathBuf {
    let path = folder.join(format!("schema{schema}.sqlite3"));
    let mut script = format!(
        "CREATE TABLE fail2banDb(version INTEGER); INSERT INTO fail2banDb VALUES ({schema});"
    );
    let with_times = schema > 2;
    let times = if with_times {
        "bantime INTEGER, bancount INTEGER,"
    } else {
        ""
    };
    script +=
        &format!("CREATE TABLE bans(jail TEXT, ip TEXT, timeofban INTEGER, {times} data JSON);");
    if schema > 3 {
        script += "CREATE TABLE bips(ip TEXT, jail TEXT, timeofban INTEGER, bantime INTEGER, bancount INTEGER, data JSON,
                   PRIMARY KEY (ip, jail));";
    }
    for (jail, ip, time, bantime, count) in rows {
        let times = if with_times {
            format!("{bantime}, {count},")
        } else {
            String::new()
        };
        script += &format!("INSERT INTO bans VALUES ('{jail}', '{ip}', {time}, {times} '{{}}');");
        if schema > 3 {
            script += &format!(
                "INSERT OR REPLACE INTO bips VALUES ('{ip}', '{jail}', {time}, {bantime}, {count}, '{{}}');"
            );
        }
    }
    sql(&path, &script);
    path
}

#[test]
fn databases_of_all_ages_are_read_and_old_offences_count() {
    let Some(world) = World::with(SSHD, KEEP) else {
        return;
    };
    let seconds = now().as_micros() / 1_000_000;
    let rows = [
        ("sshd", "198.51.100.1", seconds - 9_000, 600, 1),
        ("sshd", "198.51.100.1", seconds - 5_000, 1_200, 2),
        ("sshd", "198.51.100.2", seconds - 60, 600, 1),
        ("keep", "198.51.100.3", seconds - 90_000, -1, 4),
        ("sshd", "no address", seconds - 60, 600, 1),
    ];
    for schema in 1..=4 {
        let path = database(world.path(), schema, &rows);
        let (code, told) = import(&world, &path);
        assert_eq!(code, Some(1), "{told}");
        assert_eq!(told["schema"], schema);
        assert_eq!(told["left_out"][0]["subject"], "no address");
        assert_eq!(told["left_out"][0]["why"], "no_subject");
        let of = |address: &str| {
            world.sql(&format!(
                "SELECT start / 1000000, until / 1000000, offence, ifnull(release, '') FROM bans
                 WHERE subject = '{address}' ORDER BY id"
            ))
        };
        let (start, second) = (seconds - 9_000, seconds - 5_000);
        let expected = match schema {
            // How long a ban was to last was not kept; the last one may be in force, for as long as ours would last.
            1 | 2 => format!(
                "{start}|{start}|1|expired\n{second}|{}|2|expired",
                second + 600
            ),
            _ => format!(
                "{start}|{}|1|expired\n{second}|{}|2|expired",
                start + 600,
                second + 1_200
            ),
        };
        assert_eq!(of("198.51.100.1"), expected, "schema {schema}");
        let until = seconds - 60 + 600;
        assert_eq!(of("198.51.100.2"), format!("{}|{until}|1|", seconds - 60));
        if schema > 2 {
            assert_eq!(of("198.51.100.3"), format!("{}||4|", seconds - 90_000));
            let daemon = world.start();
            // His third offence is four times as long as a first one.
            world.attack("198.51.100.1", 3);
            kept_out(&world, "198.51.100.1");
            assert_eq!(
                world.sql("SELECT offence, (until - start) / 1000000 FROM bans WHERE subject = '198.51.100.1' AND ended IS NULL"),
                "3|2400"
            );
            daemon.stop();
        }
        fs::remove_dir_all(world.database().parent().unwrap()).unwrap();
    }
}

#[test]
fn what_is_no_database_of_fail2ban_is_refused() {
    let Some(world) = World::with(SSHD, KEEP) else {
        return;
    };
    let refused = |path: &Path| {
        let path = path.display().to_string();
        let config = world.config().display().to_string();
        let output = world.f2bd(&["--config", &config, "import", "--state", &path]);
        let said = String::from_utf8(output.stderr).unwrap();
        (output.status.code().unwrap(), said)
    };
    let (code, said) = refused(&world.path().join("nothing"));
    assert_eq!(code, 66, "{said}");
    assert_eq!(refused(world.path()).0, 74, "a directory");
    fs::write(
        world.path().join("text"),
        "no database, but long enough to be read as one".repeat(50),
    )
    .unwrap();
    let (code, said) = refused(&world.path().join("text"));
    assert_eq!(code, 66);
    assert!(said.contains("it is no database at all"), "{said}");
    let other = world.path().join("other");
    sql(&other, "CREATE TABLE bans (ip)");
    let (code, said) = refused(&other);
    assert_eq!(code, 66);
    assert!(said.contains("no table `fail2banDb`"), "{said}");
    let newer = database(world.path(), 9, &[]);
    let (code, said) = refused(&newer);
    assert_eq!(code, 66);
    assert!(said.contains("has schema 9"), "{said}");
    let damaged = database(world.path(), 3, &[]);
    sql(
        &damaged,
        "WITH RECURSIVE n(i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n WHERE i < 1999)
         INSERT INTO bans SELECT 'sshd', '198.51.100.1', i, 600, 1, '{}' FROM n",
    );
    let mut bytes = fs::read(&damaged).unwrap();
    let end = bytes.len();
    bytes[8_192..end].fill(0xa5);
    fs::write(&damaged, bytes).unwrap();
    let (code, said) = refused(&damaged);
    assert_eq!(code, 74, "{said}");
    assert!(
        said.contains("is damaged") && said.contains(".recover"),
        "{said}"
    );
}

#[test]
fn twenty_thousand_bans_are_taken_over() {
    let Some(world) = World::with(SSHD, KEEP) else {
        return;
    };
    let path = database(world.path(), 4, &[]);
    sql(
        &path,
        "WITH RECURSIVE n(i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n WHERE i < 19999)
         INSERT INTO bips SELECT '10.' || (i >> 16) || '.' || ((i >> 8) & 255) || '.' || (i & 255), 'sshd',
             unixepoch() - 60, 86400, 1, '{\"matches\": [\"a line\", \"and one more\"], \"failures\": 2}' FROM n",
    );
    let daemon = world.start();
    let (code, told) = import(&world, &path);
    assert_eq!((code, &told["taken_by"]), (Some(0), &"daemon".into()));
    assert_eq!(told["jails"]["sshd"]["in_force"], 20_000);
    kept_out(&world, "10.0.0.0");
    kept_out(&world, "10.0.78.31");
    assert_eq!(world.sql("SELECT count(*) FROM active_bans"), "20000");
    let (code, told) = import(&world, &path);
    assert_eq!(
        (code, &told["jails"]["sshd"]["known"]),
        (Some(0), &20_000.into())
    );
    daemon.stop();
}
