//! The plain lists, read by the programs they are for.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr};
use std::process::Stdio;

use super::{Board, ban, run, some_bans};
use crate::support::skipped;
use crate::support::wait::until;

const TEXT: &str = "192.0.2.7\n198.51.100.0/24\n198.51.100.9\n2001:db8::1\n2001:db8:0:7::/64\n";

#[test]
fn the_list_is_plain_text_and_json() {
    let Some(board) = Board::new() else { return };
    assert_eq!(board.get("/bans.txt").body, "");
    assert_eq!(board.get("/bans.json").json(), serde_json::json!([]));
    board.ban(&some_bans());
    let list = board.get("/bans.txt");
    assert_eq!((list.status, list.body.as_str()), (200, TEXT));
    assert_eq!(
        list.header("content-type"),
        Some("text/plain; charset=utf-8")
    );
    assert_eq!(
        board.get("/bans.txt?ipv6").body,
        "2001:db8::1\n2001:db8:0:7::/64\n"
    );
    assert_eq!(
        board.get("/bans.txt?jail=nginx").body,
        "192.0.2.7\n198.51.100.0/24\n"
    );
    assert_eq!(
        board.get("/bans.txt?ipv4&aggregate").body,
        "192.0.2.7\n198.51.100.0/24\n"
    );
    let commented = board.get("/bans.txt?comment").body;
    let (comment, rest) = commented.split_once('\n').unwrap();
    assert!(comment.starts_with("# f2bd: 5 banned at 2"), "{comment}");
    assert_eq!(rest, TEXT);
    let json = board.get("/bans.json").json();
    assert_eq!(json[0]["subject"], "192.0.2.7/32");
    assert_eq!(json[0]["jail"], "sshd", "its ban is the longer one");
    assert_eq!(json[2]["until"], serde_json::Value::Null);
    let head = board.curl("/bans.txt", &["--head"]);
    assert_eq!((head.status, head.body.as_str()), (200, ""));
    assert_eq!(head.header("etag"), list.header("etag"));
    for (path, status) in [("/bans.xml", 404), ("/", 404), ("/bans.txt?jail=%2f", 400)] {
        assert_eq!(board.get(path).status, status, "{path}");
    }
    let refused = board.curl("/bans.txt", &["--request", "DELETE"]);
    assert_eq!(
        (refused.status, refused.header("allow")),
        (405, Some("GET, HEAD"))
    );
    assert_eq!(
        board.get("/health").json(),
        serde_json::json!({"status": "up"})
    );
    board.stop();
}

#[test]
fn whoever_has_the_list_is_not_sent_it_again() {
    let Some(board) = Board::new() else { return };
    board.ban(&some_bans());
    for path in [
        "/bans.txt",
        "/bans.json",
        "/bans.nft",
        "/bans.ipset",
        "/bans.haproxy",
    ] {
        let fetch = |tag: &str| board.curl(path, &["--header", &format!("If-None-Match: {tag}")]);
        let tag = board.get(path).header("etag").unwrap().to_owned();
        let same = fetch(&tag);
        assert_eq!((same.status, same.body.as_str()), (304, ""), "{path}");
        assert_eq!(same.header("etag"), Some(tag.as_str()));
        assert_eq!(fetch(&format!("\"x\", {tag}")).status, 304);
        assert_eq!(fetch("\"x\"").status, 200);
        board.ban(&[ban("sshd", "203.0.113.1", Some(2))]);
        let other = fetch(&tag);
        assert_eq!(other.status, 200, "somebody is banned");
        let tag = other.header("etag").unwrap().to_owned();
        let gone = until("the ban ends by itself", || {
            Some(fetch(&tag)).filter(|answer| answer.status == 200)
        });
        assert!(!gone.body.contains("203.0.113.1"), "{}", gone.body);
    }
    board.stop();
}

#[test]
fn plain_lists_can_want_a_key() {
    let Some(board) = Board::with(&[("open_lists", "false")]) else {
        return;
    };
    assert_eq!(board.get("/bans.txt").status, 403);
    assert_eq!(board.bouncer("/bans.txt").status, 200);
    let bearer = format!("Authorization: Bearer {}", super::KEY);
    assert_eq!(board.curl("/bans.txt", &["--header", &bearer]).status, 200);
    assert_eq!(board.get("/health").status, 200);
    board.stop();
}

#[test]
fn nft_takes_the_list() {
    let Some(board) = Board::new() else { return };
    let load = || {
        let file = board.file("/bans.nft");
        run(&board, "nft", &["-f", file.to_str().unwrap()])
            .unwrap_or_else(|error| panic!("{error}"));
    };
    let holds = |set: &str, address: &str| {
        let element = format!("{{ {address} }}");
        run(
            &board,
            "nft",
            &["get", "element", "inet", "f2bd_list", set, &element],
        )
    };
    load();
    board.ban(&some_bans());
    load();
    for (set, address) in [
        ("ipv4", "192.0.2.7"),
        ("ipv4", "198.51.100.77"),
        ("ipv6", "2001:db8:0:7::7"),
        ("ipv6", "2001:db8::1"),
    ] {
        holds(set, address).unwrap_or_else(|error| panic!("{address}: {error}"));
    }
    let listed = run(&board, "nft", &["list", "ruleset"]).unwrap();
    for words in [
        "192.0.2.7 timeout 1h ",
        "198.51.100.10-198.51.100.255 timeout 57d",
        "198.51.100.9,",
        "2001:db8:0:7::/64 timeout 1h ",
        "2001:db8::1,",
    ] {
        assert!(listed.contains(words), "{words}: {listed}");
    }
    assert!(holds("ipv4", "192.0.2.8").is_err());
    board.unban("sshd", "192.0.2.7");
    board.unban("nginx", "192.0.2.7");
    load();
    assert!(
        holds("ipv4", "192.0.2.7").is_err(),
        "what is no longer listed goes"
    );
    board.stop();
}

#[test]
fn ipset_takes_the_list() {
    let Some(board) = Board::new() else { return };
    if std::process::Command::new("ipset")
        .arg("version")
        .output()
        .is_err()
    {
        skipped::<()>("ipset is missing");
        return;
    }
    let load = || {
        let file = board.file("/bans.ipset");
        run(
            &board,
            "ipset",
            &["restore", "-file", file.to_str().unwrap()],
        )
        .unwrap_or_else(|error| panic!("{error}"));
    };
    let holds = |set: &str, address: &str| run(&board, "ipset", &["test", set, address]).is_ok();
    load();
    board.ban(&some_bans());
    load();
    for (set, address, held) in [
        ("f2bd4", "192.0.2.7", true),
        ("f2bd4", "198.51.100.77", true),
        ("f2bd4", "192.0.2.8", false),
        ("f2bd6", "2001:db8:0:7::7", true),
        ("f2bd6", "2001:db8::2", false),
    ] {
        assert_eq!(holds(set, address), held, "{address}");
    }
    let listed = run(&board, "ipset", &["list"]).unwrap();
    assert!(listed.contains("198.51.100.9 timeout 0"), "{listed}");
    assert!(listed.contains("198.51.100.0/24 timeout 21474"), "{listed}");
    assert!(!listed.contains("-next"), "{listed}");
    board.unban("sshd", "2001:db8:0:7::/64");
    load();
    assert!(!holds("f2bd6", "2001:db8:0:7::7"));
    board.stop();
}

#[test]
fn haproxy_refuses_whom_the_list_names() {
    let Some(board) = Board::new() else { return };
    let Ok(places) = std::process::Command::new("haproxy").arg("-v").output() else {
        skipped::<()>("haproxy is missing");
        return;
    };
    assert!(places.status.success());
    board.ban(&[
        ban("nginx", "127.0.0.9", Some(600)),
        ban("nginx", "127.0.9.0/24", None),
    ]);
    let map = board.file("/bans.haproxy");
    let config = board.home.path().join("haproxy.cfg");
    let text = format!(
        "defaults\n mode http\n timeout connect 5s\n timeout client 5s\n timeout server 5s\n\
         frontend web\n bind 127.0.0.1:80\n http-request deny if {{ src,map_ip({}) -m found }}\n \
         http-request return status 200\n",
        map.display()
    );
    std::fs::write(&config, text).unwrap();
    let mut haproxy = board.netns.command("haproxy");
    haproxy
        .args(["-db", "-f", config.to_str().unwrap()])
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    let mut haproxy = haproxy.spawn().unwrap();
    let status = |from: &str| {
        let from: Ipv4Addr = from.parse().unwrap();
        let to: SocketAddr = "127.0.0.1:80".parse().unwrap();
        let mut stream = until("haproxy listens", || {
            board.netns.connect(&from.to_string(), to).ok()
        });
        stream.write_all(b"GET / HTTP/1.0\r\n\r\n").unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        answer.split(' ').nth(1).unwrap().to_owned()
    };
    assert_eq!(status("127.0.0.1"), "200");
    assert_eq!(status("127.0.0.9"), "403");
    assert_eq!(status("127.0.9.77"), "403");
    haproxy.kill().unwrap();
    haproxy.wait().unwrap();
    board.stop();
}
