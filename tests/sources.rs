//! What the daemon tells of each of its sources, and how what comes from several of them counts together.

use std::fs::{self, File};
use std::io::Write;
use std::net::UdpSocket;
use std::os::unix::net::UnixDatagram;
use std::path::{Path, PathBuf};

use rustix::process::Signal;
use serde_json::Value;

use crate::support::wait::until;
use crate::support::world::World;
use crate::syslog::send_to_listener;

/// Where the worlds here hear syslog messages.
const NET: &str = "127.0.0.1:5514";

/// A moment so many minutes ago, as a log tells it.
fn minutes_ago(minutes: i64) -> String {
    let then = jiff::Timestamp::now() - jiff::SignedDuration::from_mins(minutes);
    then.strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
}

fn append(log: &Path, line: &str) {
    let mut file = File::options().create(true).append(true).open(log).unwrap();
    file.write_all(format!("{line}\n").as_bytes()).unwrap();
}

/// What `status` tells of a source.
fn status(world: &World, name: &str) -> Value {
    let status = world.json(&["status"]).remove(0);
    let sources = status["sources"].as_array().unwrap().clone();
    let source = sources.into_iter().find(|source| source["source"] == name);
    source.unwrap()
}

/// The lines in which `status` tells people of a source.
fn told(world: &World, name: &str) -> String {
    let text = String::from_utf8(world.f2bd(&["--timezone", "UTC", "status"]).stdout).unwrap();
    let begin = format!("Source {name}: ");
    let mut lines = text.lines().skip_while(|line| !line.starts_with(&begin));
    let first = lines.next().unwrap_or_else(|| panic!("{text}"));
    let rest = lines.take_while(|line| line.starts_with(' '));
    [first]
        .into_iter()
        .chain(rest)
        .collect::<Vec<_>>()
        .join("\n")
}

/// A socket for datagrams to the world's listener, which has been sent one.
fn to_the_listener(world: &World) -> UdpSocket {
    let socket = world.netns.datagrams("127.0.0.1:0".parse().unwrap());
    world.netns.inside(|| {
        send_to_listener(&socket, NET.parse().unwrap(), b"<13>hello");
    });
    socket
}

/// A world that hears all kinds of sources.
fn all_kinds() -> Option<(World, PathBuf)> {
    let world = World::new("enabled = false")?;
    let home = world.path().to_owned();
    let log = home.join("logs/app.log");
    fs::create_dir(home.join("logs")).unwrap();
    world.configure(
        "ignoreself = false\nsources = [\"journal\", \"app\", \"net\"]",
        &format!(
            "[source.app]\ntype = \"file\"\npath = [{log:?}]\n\n\
             [source.net]\ntype = \"syslog\"\nlisten = [\"udp://{NET}\"]\nallow = [\"127.0.0.1\"]\n\n\
             [source.report]\ntype = \"report\"\nsocket = {:?}\n\n\
             [jail.shop]\nfilter = \"report\"\nmaxretry = 1000\n",
            home.join("report.sock")
        ),
    );
    Some((world, log))
}

#[test]
fn status_tells_of_every_kind_of_source() {
    let Some((world, log)) = all_kinds() else {
        return;
    };
    let daemon = world.start();
    // Nobody has said anything yet.
    let app = status(&world, "app");
    assert_eq!((&app["records"], &app["bytes"]), (&0.into(), &0.into()));
    assert_eq!(
        (&app["last_record"], &app["trouble"]),
        (&Value::Null, &Value::Null)
    );
    assert_eq!(told(&world, "app"), "Source app: read; 0 records, 0 B");

    let text = "Failed password for root from 192.0.2.7 port 22 ssh2";
    world.log("sshd", text);
    let (two, one) = (minutes_ago(2), minutes_ago(1));
    append(&log, &format!("{one} box sshd[1]: {text}"));
    append(&log, &format!("{two} box sshd[2]: {text}"));
    append(&log, "x".repeat(100_000).as_str());
    let net = to_the_listener(&world);
    net.send(format!("<38>{two} box sshd[3]: {text}").as_bytes())
        .unwrap();
    let stranger = world.netns.datagrams("127.0.0.9:0".parse().unwrap());
    stranger.send_to(b"<13>x", NET).unwrap();
    let reporter = UnixDatagram::unbound().unwrap();
    for report in [r#"{"service":"shop","ip":"192.0.2.7"}"#, "not one"] {
        reporter
            .send_to(report.as_bytes(), world.path().join("report.sock"))
            .unwrap();
    }

    let when = |name: &str, enough: &dyn Fn(&Value) -> bool| {
        until(&format!("{name} is told of"), || {
            let source = status(&world, name);
            enough(&source).then_some(source)
        })
    };
    let count = |source: &Value, what: &str| source[what].as_u64().unwrap();
    let journal = when("journal", &|source| source["records"] == 1);
    let app = when("app", &|source| source["cut"] == 1);
    let net = when("net", &|source| {
        source["refused"] == 1 && source["last_record"] != Value::Null
    });
    let report = when("report", &|source| {
        source["records"] == 1 && source["malformed"] == 1
    });
    assert_eq!(count(&app, "records"), 3);
    for source in [&journal, &app, &net, &report] {
        let name = &source["source"];
        assert!(
            count(source, "bytes") >= count(source, "records"),
            "{source}"
        );
        assert!(source["last_record"].is_string(), "{name}");
        assert_eq!(source["trouble"], Value::Null, "{name}");
        assert_eq!(source["dropped"], 0, "{name}");
        assert_eq!(source["gaps"], 0, "{name}");
    }
    // Of each source the newest record counts, and how long after it that was read.
    assert_eq!(app["last_record"], one);
    let late = app["lag"].as_f64().unwrap();
    assert!((60.0..3600.0).contains(&late), "{late}");
    // However long the machine takes, what was said now is later than what was said a minute ago.
    let lag = report["lag"].as_f64().unwrap();
    assert!(lag < late, "{lag}");

    let app = told(&world, "app");
    assert!(app.starts_with("Source app: read; 3 records, 6"), "{app}");
    assert!(app.contains(" kB, the newest of 20"), "{app}");
    assert!(app.contains(", read "), "{app}");
    assert!(app.contains("1 record too long and cut"), "{app}");
    let net = told(&world, "net");
    assert!(
        net.contains("1 refusal of messages or connections"),
        "{net}"
    );
    let report = told(&world, "report");
    assert!(
        report.starts_with("Source report: read; 1 record, "),
        "{report}"
    );
    assert!(report.contains("1 record not of the form"), "{report}");
    let journal = told(&world, "journal");
    assert!(
        journal.starts_with("Source journal: read; 1 record, "),
        "{journal}"
    );

    // In trouble it is still told what was read before.
    fs::rename(world.path().join("logs"), world.path().join("away")).unwrap();
    when("app", &|source| {
        let trouble = source["trouble"].as_str();
        trouble.is_some_and(|trouble| trouble.contains("there is no directory"))
    });
    let app = told(&world, "app");
    assert!(app.contains("there is no directory"), "{app}");
    assert!(app.contains("\n    3 records, 6"), "{app}");
    fs::rename(world.path().join("away"), world.path().join("logs")).unwrap();
    when("app", &|source| source["trouble"] == Value::Null);
    daemon.stop();
}

/// How many the queue surely cannot hold.
const FLOOD: u64 = 100_000;

/// In kilobytes: two batches, one that is dealt with and one that is filled meanwhile, and what a run takes up and down by
/// itself. The messages of both floods are 50 MB.
const FLOOD_ROOM: u64 = 8 * 1024;

/// The most memory that a process has had, in kilobytes.
fn peak(pid: u32) -> u64 {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let kilobytes = line.unwrap().split_whitespace().next().unwrap();
    kilobytes.parse().unwrap()
}

#[test]
fn status_tells_to_the_last_one_what_was_lost_in_a_flood() {
    let Some((world, _)) = all_kinds() else {
        return;
    };
    let daemon = world.start();
    let net = to_the_listener(&world);
    let heard = |source: &Value| {
        let count = |what: &str| source[what].as_u64().unwrap();
        count("records") + count("dropped")
    };
    until("it has heard something", || {
        (heard(&status(&world, "net")) == 1).then_some(())
    });
    let before = peak(daemon.pid());
    let message = format!("<13>{}", "a flood ".repeat(32));
    let flood = || {
        for _ in 0..FLOOD {
            net.send(message.as_bytes()).unwrap();
        }
    };
    // Nobody reads, and then somebody does.
    daemon.signal(Signal::STOP);
    flood();
    daemon.signal(Signal::CONT);
    flood();
    // No message follows with which the kernel could tell what it dropped at last.
    let source = until("all is accounted for", || {
        let source = status(&world, "net");
        (heard(&source) == 1 + 2 * FLOOD).then_some(source)
    });
    let dropped = source["dropped"].as_u64().unwrap();
    assert!(dropped > 0, "the queue held {FLOOD} messages");
    let more = peak(daemon.pid()) - before;
    assert!(more <= FLOOD_ROOM, "{before} KB and {more} KB more");
    let told = told(&world, "net");
    let lost = format!("    {dropped} records lost, since more came than could be read");
    assert!(told.contains(&lost), "{told}");
    daemon.stop();
}

#[test]
fn status_tells_that_records_were_gone() {
    let Some((world, log)) = all_kinds() else {
        return;
    };
    append(&log, &format!("{} box sshd[1]: hello", minutes_ago(1)));
    let daemon = world.start();
    until("it is read", || {
        (status(&world, "app")["records"] == 1).then_some(())
    });
    daemon.stop();
    // Not removed before the other is there, lest that gets its inode.
    let new = log.with_file_name("new");
    append(&new, &format!("{} box sshd[1]: again", minutes_ago(0)));
    fs::rename(&new, &log).unwrap();
    let daemon = world.start();
    until("the gap is told", || {
        (status(&world, "app")["gaps"] == 1).then_some(())
    });
    let told = told(&world, "app");
    assert!(
        told.contains("    1 time some records were gone before they could be read"),
        "{told}"
    );
    daemon.stop();
}

/// f2bd.conf(5), TIME: whatever source a record comes from, and however late, it counts at its own time.
#[test]
fn records_of_several_sources_count_together_by_their_own_times() {
    let Some(world) = World::new("enabled = false") else {
        return;
    };
    let logs = ["a.log", "b.log"].map(|name| world.path().join(name));
    world.configure(
        "maxretry = 3\nfindtime = \"60m\"\nbantime = \"3h\"\nignoreself = false\n\
         sources = [\"journal\", \"a\", \"b\", \"net\"]",
        &format!(
            "[source.a]\ntype = \"file\"\npath = [{:?}]\n\n\
             [source.b]\ntype = \"file\"\npath = [{:?}]\n\n\
             [source.net]\ntype = \"syslog\"\nlisten = [\"udp://{NET}\"]\n",
            logs[0], logs[1]
        ),
    );
    let daemon = world.start();
    let net = to_the_listener(&world);
    let count = |address: &str| {
        let query = format!("SELECT count(*) FROM failures WHERE address = '{address}'");
        world.sql(&query).parse::<usize>().unwrap()
    };
    // Each of another process, since what one process says of one client counts once; and one after the other.
    let mut process = 0;
    let mut fail = |way: usize, minutes: i64, address: &str| {
        let before = count(address);
        process += 1;
        let line = format!(
            "{} box sshd[{process}]: Failed password for root from {address} port 22 ssh2",
            minutes_ago(minutes)
        );
        match way {
            0 | 1 => append(&logs[way], &line),
            _ => {
                net.send(format!("<38>{line}").as_bytes()).unwrap();
            }
        }
        until(&format!("{line} is counted"), || {
            (count(address) == before + 1).then_some(())
        });
    };
    let banned = |address: &str| {
        until(&format!("{address} is kept out"), || {
            world.kernel_bans(address).then_some(())
        });
    };
    // The newest first, and each over another way.
    fail(2, 0, "198.51.100.1");
    fail(0, 50, "198.51.100.1");
    fail(1, 25, "198.51.100.1");
    banned("198.51.100.1");
    // Three within more than findtime, until a late one lies within.
    fail(1, 80, "198.51.100.2");
    fail(2, 0, "198.51.100.2");
    fail(0, 55, "198.51.100.2");
    let bans = "SELECT count(*) FROM ban_history WHERE ip = '198.51.100.2'";
    assert_eq!(world.sql(bans), "0");
    fail(1, 50, "198.51.100.2");
    banned("198.51.100.2");
    // Their ban would be over.
    for (way, minutes) in [(0, 300), (2, 295), (1, 290)] {
        fail(way, minutes, "198.51.100.3");
    }
    until("it is in the history", || {
        let past = world.sql("SELECT count(*) FROM ban_history WHERE ip = '198.51.100.3'");
        (past == "1").then_some(())
    });
    assert!(!world.kernel_bans("198.51.100.3"));
    daemon.stop();
}

/// One f2bd for many machines: of which one a message is stays known, and so do processes of one number.
#[test]
fn messages_of_many_machines_are_kept_apart() {
    let Some((world, _)) = all_kinds() else {
        return;
    };
    let daemon = world.start();
    let net = to_the_listener(&world);
    let text = "Failed password for root from 192.0.2.7 port 22 ssh2";
    let now = minutes_ago(0);
    for message in [
        format!("<38>{now} web sshd[7]: {text}"),
        format!("<38>1 {now} mx.example sshd 7 - - {text}"),
        // Some do not say who they are.
        format!("<38>sshd[7]: {text}"),
    ] {
        net.send(message.as_bytes()).unwrap();
    }
    let sessions = "SELECT session FROM failures ORDER BY session";
    until("each has a session of its own", || {
        (world.sql(sessions) == "7@127.0.0.1\n7@mx.example\n7@web").then_some(())
    });
    daemon.stop();
}
