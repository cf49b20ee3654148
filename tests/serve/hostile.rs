//! Requests that nobody should send.

use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use super::{Board, KEY, ban, some_bans};
use crate::support::wait::{DEADLINE, uninterrupted};

fn connect(board: &Board) -> TcpStream {
    let here: SocketAddr = "127.0.0.1:8082".parse().unwrap();
    let stream = board.netns.connect("127.0.0.1", here).unwrap();
    stream.set_read_timeout(Some(DEADLINE)).unwrap();
    stream
}

/// The status that raw bytes are answered with; none if the connection ends without an answer.
fn status(board: &Board, request: &[u8]) -> Option<u16> {
    let mut stream = connect(board);
    // Whoever has refused the beginning takes no more.
    let _ = stream.write_all(request);
    let mut begin = [0; 12];
    let read = uninterrupted(|| stream.read(&mut begin));
    match read {
        Ok(12) => std::str::from_utf8(&begin[9..]).ok()?.parse().ok(),
        Ok(_) => None,
        Err(error) if error.kind() == ErrorKind::ConnectionReset => None,
        Err(error) => panic!("no answer and no end: {error}"),
    }
}

#[test]
fn what_is_too_large_is_refused() {
    let Some(board) = Board::new() else { return };
    board.ban(&some_bans());
    let large = "x".repeat(100_000);
    let many = "X: y\r\n".repeat(1_000);
    for request in [
        format!("GET /bans.txt?{large} HTTP/1.1\r\nHost: x\r\n\r\n"),
        format!("GET /bans.txt HTTP/1.1\r\nHost: x\r\nUser-Agent: {large}\r\n\r\n"),
        format!("GET /bans.txt HTTP/1.1\r\nHost: x\r\n{many}\r\n"),
        "GET /bans.txt HTTP/1.1\r\nHost: x\r\nX-Api-Key: a\0b\r\n\r\n".to_owned(),
        "\u{0}\u{1}\u{2}\r\n\r\n".to_owned(),
        "GET http://[/ HTTP/1.1\r\n\r\n".to_owned(),
    ] {
        let status = status(&board, request.as_bytes());
        assert!(
            status.is_none_or(|status| (400..500).contains(&status)),
            "{status:?}"
        );
    }
    let post = format!("POST /v1/usage-metrics HTTP/1.1\r\nHost: x\r\nX-Api-Key: {KEY}\r\n");
    let body = "y".repeat(2_000_000);
    let request = format!("{post}Content-Length: {}\r\n\r\n{body}", body.len());
    assert_eq!(status(&board, request.as_bytes()), Some(413));
    let request = format!("{post}Content-Length: 18446744073709551615\r\n\r\n");
    assert_ne!(status_of_unfinished(&board, &request), Some(201));
    assert_eq!(board.get("/bans.txt").status, 200);
    board.stop();
}

/// The same for a request that does not go on; none if there is no answer yet.
fn status_of_unfinished(board: &Board, request: &str) -> Option<u16> {
    let mut stream = connect(board);
    stream.write_all(request.as_bytes()).unwrap();
    stream
        .set_read_timeout(Some(Duration::from_millis(100)))
        .unwrap();
    let mut begin = [0; 12];
    stream.read_exact(&mut begin).ok()?;
    std::str::from_utf8(&begin[9..]).ok()?.parse().ok()
}

#[test]
fn who_is_slow_delays_nobody() {
    let Some(board) = Board::new() else { return };
    let hosts: Vec<_> = (0..50_000_u32)
        .map(|number| {
            ban(
                "sshd",
                &std::net::Ipv4Addr::from_bits(number + (1 << 24)).to_string(),
                Some(3600),
            )
        })
        .collect();
    board.ban(&hosts);
    let mut slow = Vec::new();
    // More than the kernel takes for them, and who does not even ask.
    let whole = "GET /bans.json HTTP/1.1\r\nHost: x\r\n\r\n".repeat(9);
    for request in [whole.as_str(); 4]
        .into_iter()
        .chain(["GET /bans.json HT"; 60])
    {
        let mut stream = connect(&board);
        stream.write_all(request.as_bytes()).unwrap();
        slow.push(stream);
    }
    board.ban(&[ban("sshd", "203.0.113.1", Some(600))]);
    assert!(board.get("/bans.txt").body.contains("203.0.113.1\n"));
    board.unban("sshd", "203.0.113.1");
    assert!(!board.get("/bans.txt").body.contains("203.0.113.1\n"));
    board.stop();
    drop(slow);
}
