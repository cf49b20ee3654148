//! Do those whom hosts are reported to hear the same as from Fail2ban?

use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpListener;
use std::process::Command;
use std::thread::{self, JoinHandle};

use f2bd::action::event::Event;
use f2bd::action::{Ending, Order};
use f2bd::config::fail2ban::action::commands::{IPV4, filled};

use super::super::package::Package;
use super::ban;
use super::stock::{one_jail, read, spec_of};
use crate::support::guard::{Guard, has};

/// The line that makes the ban.
const LINE: &str = "Failed password for root & 'x' from 192.0.2.7";

/// A request: where it goes, its headers, and the fields of its form.
#[derive(Debug)]
struct Request {
    path: String,
    headers: BTreeMap<String, String>,
    fields: BTreeMap<String, String>,
}

/// What stands for a text in a form.
fn decoded(text: &str) -> String {
    let text = text.replace('+', " ");
    let mut parts = text.split('%');
    let mut bytes = parts.next().unwrap().as_bytes().to_vec();
    for part in parts {
        let (code, rest) = part.split_at(2);
        bytes.push(u8::from_str_radix(code, 16).unwrap());
        bytes.extend(rest.as_bytes());
    }
    String::from_utf8(bytes).unwrap()
}

/// Takes one request, and answers it.
fn take(listener: TcpListener) -> JoinHandle<Request> {
    thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let mut reader = BufReader::new(stream.try_clone().unwrap());
        let mut line = String::new();
        let mut next = |reader: &mut BufReader<_>| {
            line.clear();
            reader.read_line(&mut line).unwrap();
            line.trim_end().to_owned()
        };
        let first = next(&mut reader);
        let path = first.split(' ').nth(1).unwrap().to_owned();
        let mut headers = BTreeMap::new();
        loop {
            let line = next(&mut reader);
            let Some((name, value)) = line.split_once(": ") else {
                break;
            };
            headers.insert(name.to_lowercase(), value.to_owned());
        }
        let mut body = vec![0; headers["content-length"].parse().unwrap()];
        reader.read_exact(&mut body).unwrap();
        let answer = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\n{}";
        stream.write_all(answer.as_bytes()).unwrap();
        let body = String::from_utf8(body).unwrap();
        let fields = body.split('&').map(|field| {
            let (name, value) = field.split_once('=').unwrap();
            (decoded(name), decoded(value))
        });
        Request {
            path,
            headers,
            fields: fields.collect(),
        }
    })
}

/// What both tell of one ban: Fail2ban, and then we.
fn reports(action: &str, server: &str) -> Option<[Request; 2]> {
    let package = Package::find().filter(|_| has(&["curl"]))?;
    let home = tempfile::tempdir().unwrap();
    let (asked, carried, problems) = read(
        &package,
        home.path(),
        &one_jail(home.path(), "sshd", action),
    );
    let (_, native, _) = carried
        .natives
        .first()
        .unwrap_or_else(|| panic!("{problems:?}"));
    let open = || {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        (url, take(listener))
    };

    let (url, theirs) = open();
    let script = filled(&asked[0], IPV4).unwrap();
    let script = script.text("actionban").unwrap();
    let script = [("<ip>", "192.0.2.7"), ("<matches>", LINE), ("<br>", "\n")]
        .iter()
        .fold(script.replace(server, &url), |script, (tag, value)| {
            script.replace(tag, value)
        });
    assert!(script.contains(&url), "{script}");
    let mut shell = Command::new("sh");
    let output = shell
        .args(["-c", &script])
        .env("no_proxy", "*")
        .output()
        .unwrap();
    assert!(output.status.success(), "{script}: {output:?}");
    let theirs = theirs.join().unwrap();

    let (url, ours) = open();
    let guard = Guard::here(spec_of(native, &[("server", &url)]));
    let event = ban("192.0.2.7").event.unwrap();
    let event = Event {
        lines: vec![LINE.to_owned()],
        ..(*event).clone()
    };
    guard.orders.send(Order::Tell(vec![event])).unwrap();
    let ours = ours.join().unwrap();
    guard.stop(Ending::AsConfigured);
    assert_eq!(ours.path, theirs.path);
    Some([theirs, ours])
}

#[test]
fn abuseipdb_hears_the_same() {
    let action = "abuseipdb[abuseipdb_apikey=Sesame, abuseipdb_category=\"18,22\"]";
    let Some([theirs, ours]) = reports(action, "https://api.abuseipdb.com") else {
        return;
    };
    assert_eq!(ours.headers["key"], "Sesame");
    assert_eq!(ours.headers["key"], theirs.headers["key"]);
    for field in ["ip", "categories"] {
        assert_eq!(ours.fields[field], theirs.fields[field]);
    }
    assert_eq!(ours.fields["comment"], LINE);
    assert!(theirs.fields["comment"].starts_with(LINE), "{theirs:?}");
}

#[test]
fn blocklist_de_hears_the_same() {
    let action = "blocklist_de[email=me@example.org, service=sshd, apikey=Sesame, agent=x]";
    let Some([theirs, ours]) = reports(action, "https://www.blocklist.de") else {
        return;
    };
    for field in ["server", "apikey", "service", "ip", "format"] {
        assert_eq!(ours.fields[field], theirs.fields[field]);
    }
    assert_eq!(ours.fields["apikey"], "Sesame");
    assert_eq!(ours.fields["logs"].trim_end(), LINE);
    assert!(theirs.fields["logs"].starts_with(LINE), "{theirs:?}");
}
