//! Facts about the socket on which f2bd speaks as Fail2ban's server does: Fail2ban's own client sees no difference, programs
//! that speak it themselves get what they read, and nobody gets more.

use std::fs;
use std::io::{Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixStream;

use crate::fail2ban::pair::Pair;
use crate::support::wait::{DEADLINE, until};

const SOCKET: &str = "fail2ban_socket = \"HOME/fail2ban.sock\"";

const END: &[u8] = b"<F2B_END_COMMAND>";

/// A command as a Go program sends it: protocol 2, without memory.
fn pickled(words: &[&str]) -> Vec<u8> {
    let mut bytes = b"\x80\x02](".to_vec();
    for word in words {
        bytes.push(b'X');
        bytes.extend(u32::try_from(word.len()).unwrap().to_le_bytes());
        bytes.extend(word.as_bytes());
    }
    bytes.extend(b"e.");
    bytes
}

/// Sends bytes and reads up to the end of an answer, or of the connection.
fn exchange(stream: &mut UnixStream, bytes: &[u8]) -> Vec<u8> {
    stream.set_read_timeout(Some(DEADLINE)).unwrap();
    stream.write_all(bytes).unwrap();
    stream.write_all(END).unwrap();
    let (mut answer, mut chunk) = (Vec::new(), [0; 4096]);
    while !answer.ends_with(END) {
        match stream.read(&mut chunk).unwrap() {
            0 => return answer,
            length => answer.extend(&chunk[..length]),
        }
    }
    answer.truncate(answer.len() - END.len());
    answer
}

#[test]
fn the_client_of_fail2ban_sees_no_difference() {
    let Some(mut pair) = Pair::start(SOCKET) else {
        return;
    };
    let mode = fs::metadata(pair.path("fail2ban.sock"))
        .unwrap()
        .permissions();
    assert_eq!(mode.mode() & 0o777, 0o700);
    pair.refuse(&["192.0.2.7"; 3]);
    pair.agree(&["get", "sshd", "banip"], "192.0.2.7");
    pair.agree(&["get", "lasting", "banip"], "192.0.2.7");
    for words in [
        &["ping"][..],
        &["status"],
        &["status", "sshd"],
        &["banned"],
        &["get", "sshd", "banip", "--with-time"],
        &["get", "sshd", "bantime"],
        &["get", "sshd", "findtime"],
        &["get", "sshd", "maxretry"],
        &["get", "sshd", "ignoreip"],
        &["status", "nope"],
        &["get"],
        &["nonsense"],
        &["set", "sshd", "unbanip", "--report-absent", "192.0.2.99"],
        &["set", "sshd", "banip", "192.0.2.30"],
        &["set", "sshd", "unbanip", "192.0.2.7"],
        &["unban", "192.0.2.30"],
    ] {
        assert_eq!(pair.across(words), pair.theirs(words), "{words:?}");
    }
    assert_eq!(pair.across(&["version"]).out, "1.1.1\n");
    // It sends all of its own configuration, of which none is taken.
    assert_eq!(pair.across(&["reload"]).out, "OK\n");
    // Ours is understood there too.
    let socket = pair.path("fail2ban.sock").display().to_string();
    assert_eq!(
        pair.ours(&["-s", &socket, "ping"]).out,
        "Server replied: pong\n"
    );
    assert_eq!(pair.across(&["stop"]).out, "Shutdown successful\n");
    until("f2bd ends", || pair.own().try_wait().unwrap());
    assert!(!pair.path("fail2ban.sock").exists());
}

#[test]
fn programs_that_speak_it_themselves_get_what_they_read() {
    let Some(pair) = Pair::start(SOCKET) else {
        return;
    };
    let connect = || UnixStream::connect(pair.path("fail2ban.sock")).unwrap();
    // As exporters ask: one connection, one command after the other.
    let mut stream = connect();
    let status = exchange(&mut stream, &pickled(&["status", "sshd"]));
    let text = String::from_utf8_lossy(&status);
    for word in [
        "Currently failed",
        "Total failed",
        "File list",
        "Currently banned",
    ] {
        assert!(text.contains(word), "{text:?}");
    }
    // `(0, 'pong')`
    let pong = b"\x80\x02K\x00X\x04\x00\x00\x00pong\x86.";
    assert_eq!(exchange(&mut stream, &pickled(&["ping"])), pong);
    // What would be called in Python is refused, and the next command is heard.
    for hostile in [
        &b"cposix\nsystem\n(S'touch /tmp/f2bd-was-called'\ntR."[..],
        b"\x80\x04\x95",
        b"",
        b"....",
        b"\xff\xff\xff",
    ] {
        let answer = exchange(&mut stream, hostile);
        assert!(
            String::from_utf8_lossy(&answer).contains("ERROR: "),
            "{hostile:?}"
        );
    }
    assert_eq!(exchange(&mut stream, &pickled(&["ping"])), pong);
    assert!(exchange(&mut stream, b"<F2B_CLOSE_COMMAND>").is_empty());
    // Whoever never ends his command is not heard for ever.
    let mut endless = connect();
    let chunk = vec![b'x'; 64 * 1024];
    let ended = (0..64).any(|_| endless.write_all(&chunk).is_err());
    assert!(ended, "four megabytes without an end were taken");
    assert_eq!(exchange(&mut connect(), &pickled(&["ping"])), pong);
}
