//! What the administrator hears of those who are refused, not believed or not understood.

use std::fs;
use std::io::{Read, Write};
use std::net::Shutdown;
use std::os::unix::fs::PermissionsExt;

use super::local::say_as;
use super::tls::Authority;
use super::*;
use crate::support::world::{Daemon, World};

/// How many lines are said of one kind.
const TOLD: usize = 16;

/// A world whose daemon listens as these lines say.
fn listening(lines: &str) -> Option<(World, Daemon)> {
    let world = World::new("enabled = false")?;
    world.open_to_everybody();
    let lines = lines.replace("HOME", world.path().to_str().unwrap());
    let rest = format!("[source.net]\ntype = \"syslog\"\n{lines}\n");
    world.configure("sources = [\"net\"]", &rest);
    let daemon = world.start();
    Some((world, daemon))
}

fn at(port: u16) -> SocketAddr {
    SocketAddr::from(([127, 0, 0, 1], port))
}

/// Reloads, after which everything is said anew.
fn reload(world: &World) {
    let output = world.f2bd(&["reload"]);
    assert!(output.status.success(), "{output:?}");
}

#[test]
fn each_sender_that_may_not_send_is_said_once() {
    let Some((world, daemon)) =
        listening("listen = [\"udp://127.0.0.1:5514\"]\nallow = [\"127.0.0.1\"]")
    else {
        return;
    };
    let send = |from: &str| {
        world.netns.inside(|| {
            let socket = UdpSocket::bind((from, 0)).unwrap();
            send_to_listener(&socket, at(5514), b"<13>x");
        });
    };
    for _ in 0..2 {
        for from in ["127.0.0.2", "127.0.0.3"] {
            send(from);
        }
    }
    daemon.says("source net: 127.0.0.2 may not send");
    daemon.says("source net: 127.0.0.3 may not send");
    for number in 0..2 * TOLD {
        send(&format!("127.0.1.{number}"));
    }
    until("all are counted", || {
        (refused_in(&world) == 4 + 2 * TOLD as u64).then_some(())
    });
    assert_eq!(daemon.said("may not send"), TOLD, "{}", daemon.log());
    reload(&world);
    send("127.0.0.2");
    until("it is said anew", || {
        (daemon.said("127.0.0.2 may not send") == 2).then_some(())
    });
    let status = String::from_utf8(world.f2bd(&["status"]).stdout).unwrap();
    assert!(
        status.contains("refusals of messages or connections"),
        "{status}"
    );
    daemon.stop();
}

fn refused_in(world: &World) -> u64 {
    let status = world.json(&["status"]).remove(0);
    let sources = status["sources"].as_array().unwrap();
    let net = sources.iter().find(|source| source["source"] == "net");
    net.unwrap()["refused"].as_u64().unwrap()
}

#[test]
fn each_cause_of_a_failed_handshake_is_said_once() {
    let (authority, other) = (Authority::new(), Authority::new());
    authority.open_to_everybody();
    let file = |name| authority.path(name);
    let lines = format!(
        "listen = [\"tls://127.0.0.1:6514\"]\ncertificate = {:?}\nkey = {:?}\nclient_ca = {:?}",
        file("server.crt"),
        file("server.key"),
        file("ca.crt")
    );
    let Some((world, daemon)) = listening(&lines) else {
        return;
    };
    let failed = |cause: &str| format!("source net: TLS handshake with 127.0.0.1 failed: {cause}");
    let shake = |by: &Authority, client: Option<&Authority>| {
        world.netns.inside(|| {
            let mut stream = by.connect(at(6514), client);
            let _ = stream.write_all(b"9 <13>forged");
            assert!(!matches!(stream.read(&mut [0]), Ok(1..)));
        });
    };
    let say = |bytes: &[u8]| {
        world.netns.inside(|| {
            let mut stream = connect(at(6514));
            stream.write_all(bytes).unwrap();
            stream.shutdown(Shutdown::Write).unwrap();
            let _ = stream.read(&mut [0; 64]);
        });
    };
    for _ in 0..2 {
        shake(&authority, None);
        shake(&authority, Some(&other));
        shake(&other, None);
        say(b"<13>no TLS at all\n");
        say(&[22, 3, 1, 2, 0]);
    }
    let causes = [
        "it showed no certificate",
        "it showed a certificate that client_ca has not signed",
        "it does not accept our certificate",
        "it does not speak TLS",
        "it did not finish",
    ];
    for cause in causes {
        daemon.says(&failed(cause));
    }
    until("all are counted", || {
        (refused_in(&world) == 10).then_some(())
    });
    assert_eq!(daemon.said(&failed("")), causes.len(), "{}", daemon.log());
    daemon.stop();
}

#[test]
fn each_user_that_is_not_believed_is_said_once() {
    let Some((world, daemon)) = listening("listen = [\"unix://HOME/syslog.sock\"]") else {
        return;
    };
    let path = world.path().join("syslog.sock");
    until("it listens", || {
        fs::set_permissions(&path, fs::Permissions::from_mode(0o666)).ok()
    });
    for program in ["sshd", "app"] {
        say_as(33, &path, &format!("<38>Feb 12 14:10:21 {program}: Failed"));
    }
    say_as(34, &path, "<38>Feb 12 14:10:21 s\u{1b}d[1]: Failed");
    say_as(0, &path, "<38>Feb 12 14:10:21 sshd: Failed");
    daemon.says("source net: uid 33 says it is `sshd`; it is not believed, its records are of `by-uid-33:sshd`; see `listen` in f2bd.conf(5)");
    daemon.says("source net: uid 34 says it is ");
    for uid in 100..100 + 2 * TOLD as u32 {
        say_as(uid, &path, "<38>Feb 12 14:10:21 sshd: Failed");
    }
    until("all are read", || {
        let status = world.json(&["status"]).remove(0);
        let sources = status["sources"].as_array().unwrap().clone();
        let net = sources.iter().find(|source| source["source"] == "net");
        (net.unwrap()["records"] == 4 + 2 * TOLD).then_some(())
    });
    assert_eq!(daemon.said("is not believed"), TOLD, "{}", daemon.log());
    assert!(!daemon.log().contains('\u{1b}'));
    daemon.stop();
}

#[test]
fn a_broken_connection_is_said_once_with_its_beginning() {
    let Some((world, daemon)) =
        listening("listen = [\"tcp://127.0.0.1:5514\"]\nallow = [\"127.0.0.0/8\"]")
    else {
        return;
    };
    let say = |from: &str, bytes: &[u8]| {
        world.netns.inside(|| {
            let mut stream = connections::connect_from(from, at(5514));
            stream.write_all(bytes).unwrap();
            stream.shutdown(Shutdown::Write).unwrap();
            let _ = stream.read(&mut [0]);
        });
    };
    say("127.0.0.1", b"99999999 <13>x\x1b");
    say("127.0.0.1", b"99999999 <13>y");
    say("127.0.0.2", b"4 <1>ax<13>y");
    daemon.says("source net: what 127.0.0.1 sends is malformed: its connection ended within a message; it began with `99999999 <13>x\\x1b`");
    daemon.says("source net: what 127.0.0.2 sends is malformed: no length stands before a message; it began with `4 <1>ax<13>y`");
    assert_eq!(daemon.said("is malformed"), 2, "{}", daemon.log());
    daemon.stop();
}
