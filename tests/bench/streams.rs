//! How fast are log files and syslog messages read, from the writer to the kernel?

use std::fs::{File, OpenOptions};
use std::io::Write;
use std::net::UdpSocket;
use std::path::Path;
use std::process::Stdio;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use super::support::wait::until;
use super::support::world::{Daemon, World};
use super::{JAIL, Monitor, cpu, milliseconds, print};

/// One line in so many is a failure.
const FAILURE_EVERY: u32 = 20;

/// Addresses that fail.
const HOSTS: u32 = 5_000;

/// So long a flow lasts before it is taken for one.
const FLOW: Duration = Duration::from_secs(4);

/// Where the sockets of the syslog section are.
const PORT: u16 = 5514;

/// The word that makes this program a sender of datagrams.
pub const SENDER: &str = "send-datagrams";

/// A line of a mixed log, as rsyslog writes it.
fn line(number: u32, now: &str) -> String {
    if number.is_multiple_of(FAILURE_EVERY) {
        let host = number / FAILURE_EVERY % HOSTS;
        let (c, d) = (host / 250, host % 250 + 1);
        return format!(
            "{now} host sshd[{number}]: Failed password for root from 198.18.{c}.{d} port 40022 ssh2\n"
        );
    }
    match number % 4 {
        0 => format!("{now} host CRON[{number}]: (root) CMD (command -v debian-sa1 > /dev/null)\n"),
        1 => format!(
            "{now} host sshd[{number}]: Accepted publickey for deploy from 192.0.2.9 port 50022 ssh2: ED25519 SHA256:abcdefgh\n"
        ),
        2 => format!(
            "{now} host postfix/smtpd[{number}]: connect from mail.example.org[192.0.2.55]\n"
        ),
        _ => format!(
            "{now} host systemd[1]: Started session-{number}.scope - Session {number} of User deploy.\n"
        ),
    }
}

/// Which lines of a mixed log come, one after the other: all of them.
fn mixed(turn: u32) -> u32 {
    turn
}

/// Which lines of a mixed log come: those that are no failures.
fn peaceful(turn: u32) -> u32 {
    let between = FAILURE_EVERY - 1;
    turn / between * FAILURE_EVERY + turn % between + 1
}

fn present() -> String {
    jiff::Zoned::now().strftime("%b %e %H:%M:%S").to_string()
}

fn records(world: &World, source: &str) -> u64 {
    let status = world.json(&["status"]).remove(0);
    let sources = status["sources"].as_array().cloned().unwrap_or_default();
    let of = sources.iter().find(|row| row["source"] == source);
    of.and_then(|row| row["records"].as_u64()).unwrap_or(0)
}

fn field(world: &World, source: &str, name: &str) -> u64 {
    let status = world.json(&["status"]).remove(0);
    let sources = status["sources"].as_array().cloned().unwrap_or_default();
    let of = sources.iter().find(|row| row["source"] == source);
    of.and_then(|row| row[name].as_u64()).unwrap_or(0)
}

/// A log file: how many lines a second, at what cost, and how soon a line becomes a ban.
pub fn files(world: &World) {
    let log = world.path().join("auth.log");
    let mut file = append(&log);
    world.configure(&format!("{JAIL}\nlogpath = [{log:?}]"), "");
    let daemon = world.start();

    let now = present();
    let second: String = (0..500_000).map(|number| line(number, &now)).collect();
    let start = Instant::now();
    let mut most_behind = 0;
    for turn in 1..=10_u32 {
        for piece in second.as_bytes().chunks(second.len() / 100) {
            file.write_all(piece).unwrap();
            let due = start + Duration::from_millis(1000) * (turn - 1);
            std::thread::sleep(
                (due + Duration::from_millis(5)).saturating_duration_since(Instant::now()),
            );
        }
        std::thread::sleep(
            (start + Duration::from_secs(1) * turn).saturating_duration_since(Instant::now()),
        );
        most_behind = most_behind.max(u64::from(turn) * 500_000 - records(world, "files"));
    }
    let written = start.elapsed();
    until("all lines are read", || {
        (records(world, "files") == 5_000_000).then_some(())
    });
    let caught_up = start.elapsed() - written;
    let rate = 5_000_000.0 / written.as_secs_f64();
    print(
        "file, 5,000,000 lines, 5 % failures: lines written a second",
        format!("{rate:.0}"),
    );
    print("    most lines behind at the end of a second", most_behind);
    print(
        "    last line written to all lines dealt with",
        milliseconds(caught_up),
    );

    let span = Duration::from_secs(10);
    let figures = [
        ("5 % failures", mixed as fn(u32) -> u32),
        ("no failures", peaceful),
    ];
    for ((figure, which), all) in figures.into_iter().zip([5_100_000, 5_200_000]) {
        let before = cpu(&daemon);
        steady(&mut file, 10_000, span, which);
        until("all lines are read", || {
            (records(world, "files") == all).then_some(())
        });
        let figure = format!("    at 10,000 lines a second, {figure}: share of a core");
        share(&figure, &daemon, before, span);
    }

    let mut flow = append(&log);
    let is_over = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !is_over.load(Ordering::Relaxed) {
                steady(&mut flow, 10_000, Duration::from_secs(1), mixed);
            }
        });
        std::thread::sleep(FLOW);
        latency(
            world,
            "    in 10,000 lines a second, 200 tries: line to nftables element",
            101,
            |text| put(&mut file, text),
        );
        is_over.store(true, Ordering::Relaxed);
    });
    // For a while after a flow its pace holds; calm comes later.
    std::thread::sleep(Duration::from_secs(5));
    latency(
        world,
        "    calm, 200 tries: line written to nftables element",
        100,
        |text| put(&mut file, text),
    );
    let mut numbers = 0_u32..;
    latency(
        world,
        "    in bursts of 200 lines, 200 tries: line to nftables element",
        102,
        |text| {
            let now = present();
            for number in numbers.by_ref().take(100).map(peaceful) {
                put(&mut file, &line(number, &now));
            }
            let begun = put(&mut file, text);
            for number in numbers.by_ref().take(100).map(peaceful) {
                put(&mut file, &line(number, &now));
            }
            begun
        },
    );
    daemon.stop();
}

/// A syslog socket: the same, and whether the kernel had to drop anything.
pub fn syslog(world: &World) {
    world.configure(
        &format!("{JAIL}\nsources = [\"journal\", \"net\"]"),
        &format!("[source.net]\ntype = \"syslog\"\nlisten = [\"udp://127.0.0.1:{PORT}\"]"),
    );
    let daemon = world.start();
    let before = cpu(&daemon);
    let start = Instant::now();
    send(world, 1_000_000, 100_000);
    let sent = start.elapsed();
    until("all messages are dealt with", || {
        (records(world, "net") + field(world, "net", "dropped") >= 1_000_000).then_some(())
    });
    let rate = 1_000_000.0 / sent.as_secs_f64();
    print(
        "UDP, 1,000,000 messages, 5 % failures: sent a second",
        format!("{rate:.0}"),
    );
    print("    lost", 1_000_000 - records(world, "net"));
    share("    share of a core", &daemon, before, sent);
    let before = records(world, "net");
    send(world, 2_000_000, 10_000_000);
    let all = || records(world, "net") - before + field(world, "net", "dropped");
    until("all messages are dealt with or counted", || {
        (all() >= 2_000_000).then_some(())
    });
    print(
        "UDP, 2,000,000 messages as fast as they can be sent: dropped",
        field(world, "net", "dropped"),
    );
    print(
        "    neither read nor counted as dropped",
        2_000_000_i64 - all() as i64,
    );
    let socket = world.netns.datagrams("127.0.0.1:0".parse().unwrap());
    socket.connect(("127.0.0.1", PORT)).unwrap();
    std::thread::sleep(Duration::from_secs(5));
    latency(
        world,
        "    calm, 200 tries: datagram to nftables element",
        100,
        |text| {
            let begun = Instant::now();
            for line in text.lines() {
                socket.send(format!("<38>{line}").as_bytes()).unwrap();
            }
            begun
        },
    );
    daemon.stop();
}

/// Sends datagrams at a rate; what the program does when its first word is [`SENDER`].
pub fn be_sender(words: &[String]) {
    let numbers: Vec<u32> = words.iter().map(|word| word.parse().unwrap()).collect();
    let [count, rate] = numbers[..] else {
        panic!("a count and a rate must be named");
    };
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    socket.connect(("127.0.0.1", PORT)).unwrap();
    let now = present();
    let lines: Vec<String> = (0..100_000)
        .map(|number| format!("<38>{}", line(number, &now).trim_end()))
        .collect();
    let start = Instant::now();
    for (number, line) in (0..count).zip(lines.iter().cycle()) {
        let due = start + Duration::from_secs(1) * (number / 100) * 100 / rate.max(100);
        if number % 100 == 0 {
            std::thread::sleep(due.saturating_duration_since(Instant::now()));
        }
        // A datagram that finds no place is lost, and counted by whoever was to have it.
        let _ = socket.send(line.as_bytes());
    }
}

fn send(world: &World, count: u32, rate: u32) {
    let program = std::env::current_exe().unwrap();
    let mut sender = world
        .netns
        .command(program.to_str().unwrap())
        .args([SENDER, &count.to_string(), &rate.to_string()])
        .stdin(Stdio::null())
        .spawn()
        .unwrap();
    assert!(sender.wait().unwrap().success());
}

/// Writes a text at once, and says when it began.
fn put(file: &mut File, text: &str) -> Instant {
    let begun = Instant::now();
    file.write_all(text.as_bytes()).unwrap();
    begun
}

fn append(log: &Path) -> File {
    OpenOptions::new()
        .append(true)
        .create(true)
        .open(log)
        .unwrap()
}

fn steady(file: &mut File, rate: u32, span: Duration, which: fn(u32) -> u32) {
    let start = Instant::now();
    let mut turn = 0_u32;
    while start.elapsed() < span {
        let now = present();
        let due =
            u32::try_from(start.elapsed().as_micros() * u128::from(rate) / 1_000_000).unwrap();
        for turn in turn..due {
            file.write_all(line(which(turn), &now).as_bytes()).unwrap();
        }
        turn = turn.max(due);
        std::thread::sleep(Duration::from_micros(200));
    }
    let now = present();
    let total = rate * u32::try_from(span.as_secs()).unwrap();
    for turn in turn..total {
        file.write_all(line(which(turn), &now).as_bytes()).unwrap();
    }
}

fn share(figure: &str, daemon: &Daemon, before: Duration, span: Duration) {
    let used = (cpu(daemon) - before).as_secs_f64();
    print(
        figure,
        format!("{:.1} %", used / span.as_secs_f64() * 100.0),
    );
}

/// From the third failure of somebody new, of a network of his own, to the kernel's word.
///
/// `write` says when it has begun to write what it is given.
fn latency(world: &World, figure: &str, network: u8, mut write: impl FnMut(&str) -> Instant) {
    let monitor = Monitor::start(world);
    let mut spans = Vec::new();
    for attempt in 0..200_u32 {
        let address = format!("198.51.{network}.{}", attempt + 1);
        let text = |port: u32| {
            let now = present();
            format!(
                "{now} host sshd[7]: Failed password for root from {address} port {port} ssh2\n"
            )
        };
        write(&format!("{}{}", text(1), text(2)));
        // The pace of an attack, so that nothing is warm by chance.
        std::thread::sleep(Duration::from_millis(u64::from(20 + attempt * 7 % 80)));
        let start = write(&text(3));
        spans.push(monitor.sees(&address).saturating_duration_since(start));
    }
    spans.sort();
    print(&format!("{figure}: median"), milliseconds(spans[100]));
    print(
        &format!("{figure}: 99th percentile"),
        milliseconds(spans[198]),
    );
}
