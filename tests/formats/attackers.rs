//! What those can do who choose a text in a log.

use std::io::{self, Write};
use std::sync::LazyLock;

use f2bd::config::Surroundings;
use f2bd::engine::Engine;
use f2bd::engine::filter::FilterSet;
use f2bd::engine::input::Input;
use f2bd::engine::record::line::{Format, Malformed};
use f2bd::engine::record::object::MOST_FIELDS;
use f2bd::engine::record::{Batch, LONGEST_MESSAGE, Record};
use proptest::prelude::*;
use proptest::sample::select;
use serde::Serialize;
use serde_json::ser::{CharEscape, Formatter, Serializer};
use serde_json::{Value, json};

use super::{filter, found, found_in, moment, reader};

const VICTIM: &str = "203.0.113.66";

/// Takes a message with text of the client, its address from a field, the programs' names where there are any.
static FILTER: LazyLock<FilterSet> = LazyLock::new(|| {
    filter(
        r#"
[records]
program = ["sshd"]
[[failure]]
pattern = '^denied <user>$'
fields = { "request.remote_ip" = '^<ip>$', status = '^401$' }
[[failure]]
pattern = '^Failed password for <user> from <ip> port <port> ssh2$'
"#,
    )
});

/// The same by fields alone.
static BY_FIELDS: LazyLock<FilterSet> = LazyLock::new(|| {
    filter("[[failure]]\nfields = { request.remote_ip = '^<ip>$', status = '^401$' }\n")
});

/// An entry of a web server whose client has chosen a text; with a status that is a failure or not.
fn entry(text: &str, status: u16) -> Value {
    json!({
        "ts": 1_770_905_421.5,
        "level": "info",
        "msg": format!("denied {text}"),
        "request": {
            "remote_ip": "192.0.2.7",
            "host": text,
            "uri": text,
            "headers": { "User-Agent": [text], "X-Forwarded-For": [text] },
        },
        "user": text,
        "status": status,
    })
}

/// Text that would be more than a text.
fn hostile() -> impl Strategy<Value = String> {
    let phrases = select(
        &[
            "\"",
            "\\",
            "\\\"",
            "\",\"",
            "\":\"",
            "{",
            "}",
            "}}",
            "[",
            "]",
            ",",
            "\n",
            "\r\n",
            "\0",
            "\\u0022",
            "\\x22",
            "\",\"request\":{\"remote_ip\":\"203.0.113.66\"},\"x\":\"",
            "\",\"status\":401,\"program\":\"sshd\",\"time\":\"2020-01-01T00:00:00Z\",\"x\":\"",
            "{\"request\":{\"remote_ip\":\"203.0.113.66\"},\"status\":401}",
            "\",\"log\":\"Failed password for x from 203.0.113.66 port 22 ssh2\\n\",\"stream\":\"stdout\",\"time\":\"2026-02-12T14:10:21Z\",\"x\":\"",
            "\",\"message\":\"Failed password for x from 203.0.113.66 port 22 ssh2\",\"x\":\"",
            "{\"log\":\"Failed password for x from 203.0.113.66 port 22 ssh2\\n\",\"stream\":\"stdout\",\"time\":\"2026-02-12T14:10:21Z\"}",
            "Feb 12 14:10:21 box sshd[1]: Failed password for x from 203.0.113.66 port 22 ssh2",
            "Failed password for x from 203.0.113.66 port 22 ssh2",
            "203.0.113.66",
            "\u{feff}",
            "\u{202e}",
            "\u{1f600}",
            " ",
        ][..],
    );
    let part = prop_oneof![8 => phrases.prop_map(str::to_owned), 1 => "(?s).{0,6}"];
    proptest::collection::vec(part, 0..6).prop_map(|parts| parts.concat())
}

/// Escapes as little as it may.
struct Bare;

impl Formatter for Bare {
    fn write_char_escape<W: Write + ?Sized>(
        &mut self,
        out: &mut W,
        escape: CharEscape,
    ) -> io::Result<()> {
        match escape {
            CharEscape::Quote => out.write_all(b"\\\""),
            CharEscape::ReverseSolidus => out.write_all(b"\\\\"),
            CharEscape::Solidus => out.write_all(b"/"),
            CharEscape::Backspace => out.write_all(b"\x08"),
            CharEscape::FormFeed => out.write_all(b"\x0c"),
            CharEscape::LineFeed => out.write_all(b"\n"),
            CharEscape::CarriageReturn => out.write_all(b"\r"),
            CharEscape::Tab => out.write_all(b"\t"),
            CharEscape::AsciiControl(byte) => out.write_all(&[byte]),
        }
    }
}

fn barely_escaped(value: &Value) -> String {
    let mut line = Vec::new();
    value
        .serialize(&mut Serializer::with_formatter(&mut line, Bare))
        .unwrap();
    String::from_utf8(line).unwrap()
}

proptest! {
    #![proptest_config(ProptestConfig {
        failure_persistence: None,
        ..ProptestConfig::with_cases(2000)
    })]

    /// Whatever a client writes into every text that is his, and however the line comes, the address, the time and
    /// the names are those that the logger wrote.
    #[test]
    fn no_text_is_more_than_a_text(text in hostile(), status in select(&[200, 401][..]), raw in any::<bool>()) {
        let value = entry(&text, status);
        let line = if raw { barely_escaped(&value) } else { value.to_string() };
        let docker = json!({ "log": format!("{line}\n"), "stream": "stdout", "time": "2026-02-12T14:10:21.5Z" });
        let cri = format!("2026-02-12T14:10:21.5Z stdout F {line}");
        for (format, line) in [
            (Format::Any, line.clone()),
            (Format::Json(Default::default()), line),
            (Format::Any, docker.to_string()),
            (Format::Cri(Default::default()), cri),
        ] {
            let mut reader = reader(format);
            let record = reader.read(line.as_bytes()).unwrap().unwrap();
            prop_assert_eq!(record.time, moment("2026-02-12T14:10:21.5Z"));
            prop_assert_eq!((record.program, record.host, record.pid, record.unit), ("", "", None, ""));
            let message = format!("denied {text}");
            prop_assert_eq!(record.message, message.as_bytes());
            let found = found(&FILTER, record);
            if status == 401 && message.len() < LONGEST_MESSAGE {
                prop_assert_eq!(found, Some(("192.0.2.7".parse().unwrap(), Some(text.clone()))));
            } else {
                prop_assert_eq!(found, None);
            }
        }
    }

    /// Where a logger escapes nothing, a client can write fields of his own, before the true ones or behind them. He
    /// can hide, but he accuses nobody.
    #[test]
    fn no_field_is_told_twice(before in hostile(), behind in hostile(), status in select(&[200, 401][..])) {
        let line = format!(
            r#"{{"ts":1770905421.5,"uri":"{before}","request":{{"remote_ip":"192.0.2.7"}},"status":{status},"msg":"denied x","agent":"{behind}"}}"#
        );
        let who = found_in(&BY_FIELDS, &[&line]);
        prop_assert!(who.is_empty() || who == ["192.0.2.7"], "{} in {}", who[0], line);
    }
}

#[test]
fn fields_that_are_told_twice_accuse_nobody() {
    let (own, forged) = (
        r#""request":{"remote_ip":"192.0.2.7"}"#,
        r#""request":{"remote_ip":"203.0.113.66"}"#,
    );
    let line = |first: &str, second: &str| {
        format!(r#"{{"msg":"denied x","status":401,{first},"x":1,{second}}}"#)
    };
    assert_eq!(found_in(&FILTER, &[&line(own, r#""y":1"#)]), ["192.0.2.7"]);
    for (first, second) in [
        (own, forged),
        (forged, own),
        (own, r#""request.remote_ip":"203.0.113.66""#),
        (r#""request.remote_ip":"203.0.113.66""#, own),
        (own, r#""\u0072equest":{"remote_ip":"203.0.113.66"}"#),
    ] {
        let line = line(first, second);
        assert_eq!(found_in(&FILTER, &[&line]), [""; 0], "{line}");
    }
    // Neither is a name or a time that was told twice believed.
    let line = r#"{"msg":"x","program":"sshd","time":"2026-02-12T14:10:21Z","hostname":"a","program":"app","time":"2020-01-01T00:00:00Z","hostname":"b"}"#;
    let mut reader = reader(Format::Any);
    let record = reader.read(line.as_bytes()).unwrap().unwrap();
    assert_eq!((record.program, record.host), ("", ""));
    assert_eq!(record.time, moment(super::NOW));
}

/// Who doubles a name does not make room for another one that he has written too.
#[test]
fn what_is_told_twice_makes_no_room_for_another_field() {
    let line = r#"{"time":"2026-02-12T14:10:21Z","message":"denied x","message":"","msg":"Failed password for x from 203.0.113.66"}"#;
    let in_docker =
        json!({ "log": format!("{line}\n"), "stream": "stdout", "time": "2026-02-12T14:10:21Z" });
    let in_cri = format!("2026-02-12T14:10:21Z stdout F {line}");
    for (format, line) in [
        (Format::Any, line),
        (Format::Json(Default::default()), line),
        (Format::Json(Default::default()), &in_docker.to_string()),
        (Format::Cri(Default::default()), &in_cri),
    ] {
        let mut reader = reader(format);
        assert_eq!(reader.read(line.as_bytes()), Err(Malformed), "{line}");
        assert_eq!(reader.take_lost(), 0);
    }
    let line = r#"{"time":"2026-02-12T14:10:21Z","time":"","ts":1735689600,"hostname":"a","hostname":"","_HOSTNAME":"c","program":"a","program":"","appname":"c","pid":1,"pid":"","_PID":3,"msg":"x"}"#;
    let mut reader = reader(Format::Any);
    let record = reader.read(line.as_bytes()).unwrap().unwrap();
    assert_eq!(record.time, moment(super::NOW));
    assert_eq!((record.host, record.program, record.pid), ("", "", None));
}

/// Who sends more headers than a server takes hides at best: the line does not become a text of his.
#[test]
fn an_object_of_too_many_fields_is_no_text() {
    let line = |count: usize| {
        let headers: Value = (0..count)
            .map(|number| (format!("H{number}"), json!([VICTIM])))
            .collect();
        json!({ "ts": 1770905421.5, "msg": "handled request", "request": { "headers": headers } })
            .to_string()
    };
    let mut reader = reader(Format::Any);
    let record = line(1_000);
    let record = reader.read(record.as_bytes()).unwrap().unwrap();
    assert_eq!(record.message, b"handled request");
    assert!(reader.read(line(MOST_FIELDS).as_bytes()).is_err());
}

/// A program that names itself is not looked at for another; one that does not is.
#[test]
fn programs_are_kept_apart_where_they_name_themselves() {
    let failure = "Failed password for root from 192.0.2.7 port 22 ssh2";
    for (line, is_found) in [
        (format!(r#"{{"msg":"{failure}"}}"#), true),
        (format!(r#"{{"program":"sshd","msg":"{failure}"}}"#), true),
        (format!(r#"{{"program":"app","msg":"{failure}"}}"#), false),
        (format!("2026-02-12 14:10:21 {failure}"), true),
        (format!("Feb 12 14:10:21 box sshd[7]: {failure}"), true),
        (format!("Feb 12 14:10:21 box app[7]: {failure}"), false),
        // With a host before it, it is not what the filter looks for.
        (format!("Feb 12 14:10:21 box {failure}"), false),
    ] {
        assert_eq!(!found_in(&FILTER, &[&line]).is_empty(), is_found, "{line}");
    }
}

/// A client cannot choose how a text ends that is longer than what is looked at.
#[test]
fn the_end_of_a_long_field_proves_nothing() {
    let filters = filter("[[failure]]\nfields = { what = '^<user> from <ip>$' }\n");
    let line = |length: usize| {
        let lie = format!(" from {VICTIM}");
        let free = "x".repeat(length - lie.len());
        json!({ "msg": "x", "what": format!("{free}{lie} from 192.0.2.7") }).to_string()
    };
    let own = " from 192.0.2.7".len();
    assert_eq!(
        found_in(&filters, &[&line(LONGEST_MESSAGE - own - 1)]),
        ["192.0.2.7"]
    );
    for length in [LONGEST_MESSAGE - own, LONGEST_MESSAGE, LONGEST_MESSAGE + 1] {
        assert_eq!(found_in(&filters, &[&line(length)]), [""; 0], "{length}");
    }
}

/// An object that stands in a message which may have been cut is none: what is cut away was not the client's.
#[test]
fn a_message_that_may_be_cut_holds_no_object() {
    let filters = filter("[[failure]]\nfields = { ip = '^<ip>$' }\n");
    let line = |length: usize| {
        let object = json!({ "ip": VICTIM }).to_string();
        let blanks = " ".repeat(length - object.len());
        format!("Feb 12 14:10:21 box app: {object}{blanks}")
    };
    assert_eq!(found_in(&filters, &[&line(LONGEST_MESSAGE - 1)]), [VICTIM]);
    assert_eq!(found_in(&filters, &[&line(LONGEST_MESSAGE)]), [""; 0]);
    let rest = line(LONGEST_MESSAGE) + " and what follows";
    assert_eq!(found_in(&filters, &[&rest]), [""; 0]);
}

/// A log to which a jail listens only since everything comes in there may be that of any program, whose clients write
/// what they like.
#[test]
fn who_does_not_name_himself_is_heard_only_where_the_jail_chose_him() {
    let home = tempfile::tempdir().unwrap();
    let path = home.path().join("f2bd.conf");
    let sources = "[source.app]\ntype = \"file\"\npath = \"/var/log/app.log\"\n\
         [source.syslog]\ntype = \"syslog\"\nlisten = \"udp://127.0.0.1:5514\"\n";
    for (defaults, jail, from, is_counted) in [
        ("", "", "app", [true, false]),
        ("", "", "syslog", [true, false]),
        ("", "", "journal", [true, false]),
        ("sources = [\"app\"]", "", "app", [true, false]),
        ("", "sources = [\"app\", \"syslog\"]", "app", [true, true]),
        (
            "",
            "sources = [\"app\", \"syslog\"]",
            "syslog",
            [true, false],
        ),
        ("", "logpath = \"/var/log/auth.log\"", "files", [true, true]),
    ] {
        let text = format!("[defaults]\n{defaults}\n{sources}[jail.sshd]\n{jail}\n");
        std::fs::write(&path, &text).unwrap();
        let loaded = f2bd::config::load(Some(&path), Surroundings::Ignore);
        let settings = loaded.settings.unwrap();
        let mut engine = Engine::new(settings.policy);
        for (program, expected) in ["sshd", ""].into_iter().zip(is_counted) {
            let mut batch = Batch::default();
            let message = b"Failed password for root from 203.0.113.66 port 22 ssh2";
            batch.push(Record {
                program,
                ..Record::bare(moment(super::NOW), message)
            });
            let source = from.parse().unwrap();
            let input = Input::Records {
                source: Some(&source),
                batch: &batch,
                more: false,
            };
            let mut decisions = Vec::new();
            engine.handle(moment(super::NOW), input, &mut decisions);
            assert_eq!(
                !decisions.is_empty(),
                expected,
                "{program} of {from} with {text}"
            );
        }
    }
}
