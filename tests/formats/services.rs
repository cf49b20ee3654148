//! What services and their loggers write.

use std::process::Command;

use f2bd::engine::record::LONGEST_MESSAGE;
use f2bd::engine::record::line::Format;

use super::{filter, found_in, reader};
use crate::support::journald::Journald;
use crate::support::wait::until;

const CADDY: &str = r#"{"level":"info","ts":1770905421.1234567,"logger":"http.log.access.log0","msg":"handled request","request":{"remote_ip":"192.0.2.7","remote_port":"50022","client_ip":"192.0.2.7","proto":"HTTP/2.0","method":"POST","host":"sshd","uri":"/login","headers":{"User-Agent":["curl/8.5.0"],"Accept":["*/*"]}},"bytes_read":23,"user_id":"","duration":0.002109,"size":0,"status":401,"resp_headers":{"Server":["Caddy"]}}"#;

const TRAEFIK: &str = r#"{"ClientAddr":"192.0.2.7:50022","ClientHost":"192.0.2.7","ClientPort":"50022","ClientUsername":"jo","DownstreamStatus":401,"Duration":103214,"RequestHost":"example.org","RequestMethod":"GET","RequestPath":"/admin","RequestProtocol":"HTTP/2.0","StartLocal":"2026-02-12T15:10:21.000001+01:00","StartUTC":"2026-02-12T14:10:21.000001Z","entryPointName":"websecure","level":"info","msg":"","time":"2026-02-12T14:10:22Z"}"#;

const AUTHELIA: &str = r#"{"error":"user not found","level":"error","method":"POST","msg":"Unsuccessful 1FA authentication attempt by user 'jo'","path":"/api/firstfactor","remote_ip":"192.0.2.7","time":"2026-02-12T14:10:21Z"}"#;

const NGINX: &str = r#"{"time_iso8601":"2026-02-12T15:10:21+01:00","remote_addr":"192.0.2.7","remote_user":"jo","request":"GET /admin HTTP/1.1","status":401,"upstream_time":-,"host":"example.org","agent":"a \x22b\x22"}"#;

/// In front of Vaultwarden, which writes text, stands Docker.
const VAULTWARDEN: &str = r#"{"log":"[2026-02-12 14:10:20.500][vaultwarden::api::identity][ERROR] Username or password is incorrect. Try again. IP: 192.0.2.7. Username: jo@example.org.\n","stream":"stderr","time":"2026-02-12T14:10:21.123456789Z"}"#;

/// A line as Docker writes it, in parts of so many bytes.
fn docker(line: &str, part: usize) -> Vec<String> {
    let whole = format!("{line}\n");
    let parts = whole.as_bytes().chunks(part);
    parts
        .map(|part| {
            let text = std::str::from_utf8(part).unwrap();
            serde_json::json!({ "log": text, "stream": "stdout", "time": "2026-02-12T14:10:21.5Z" })
                .to_string()
        })
        .collect()
}

/// The same of an engine of Kubernetes.
fn cri(line: &str, part: usize) -> Vec<String> {
    let count = line.len().div_ceil(part);
    let parts = line.as_bytes().chunks(part).zip(1..);
    parts
        .map(|(part, number)| {
            let tag = if number < count { 'P' } else { 'F' };
            let text = std::str::from_utf8(part).unwrap();
            format!("2026-02-12T14:10:21.5Z stdout {tag} {text}")
        })
        .collect()
}

/// What the last of some lines of one log is read as.
fn read(format: Format, lines: &[&str]) -> [String; 6] {
    let mut reader = reader(format);
    let (last, parts) = lines.split_last().unwrap();
    for line in parts {
        assert_eq!(reader.read(line.as_bytes()), Ok(None), "{line}");
    }
    let record = reader.read(last.as_bytes()).unwrap().expect("a record");
    let pid = record.pid.map(|pid| pid.to_string());
    [
        record.time.to_string(),
        record.host.to_owned(),
        record.program.to_owned(),
        pid.unwrap_or_default(),
        String::from_utf8_lossy(record.message).into_owned(),
        String::from_utf8_lossy(record.object()).into_owned(),
    ]
}

#[test]
fn logs_are_read_without_being_told_how_they_are_written() {
    let gelf = r#"{"version":"1.1","host":"box","short_message":"x","timestamp":1770905421.5,"level":5,"_pid":7}"#;
    let pino = r#"{"level":30,"time":1770905421123,"pid":42,"hostname":"box","msg":"x"}"#;
    let bunyan = r#"{"name":"app","hostname":"box","pid":42,"level":30,"msg":"x","time":"2026-02-12T14:10:21.123Z","v":0}"#;
    let mongodb = r#"{"t":{"$date":"2026-02-12T14:10:21.123+00:00"},"s":"I","c":"ACCESS","id":20249,"ctx":"conn1","msg":"Authentication failed","attr":{"remote":"192.0.2.7:5000"}}"#;
    let rsyslog = r#"{"msg":" x","hostname":"box","syslogtag":"sshd[42]:","programname":"sshd","procid":"42","timereported":"2026-02-12T15:10:21+01:00"}"#;
    let elastic = r#"{"@timestamp":"2026-02-12T14:10:21.123Z","log.level":"info","message":"x","host":{"name":"box","ip":["192.0.2.1"]},"process":{"pid":42}}"#;
    let own = r#"{"log":"sshd[1]: x","stream":"stdout","time":"2026-02-12T14:10:21Z","user":"x"}"#;
    for (line, expected) in [
        (
            CADDY,
            [
                "2026-02-12T14:10:21.123456Z",
                "",
                "",
                "",
                "handled request",
                CADDY,
            ],
        ),
        (
            TRAEFIK,
            ["2026-02-12T14:10:22Z", "", "", "", TRAEFIK, TRAEFIK],
        ),
        (
            AUTHELIA,
            [
                "2026-02-12T14:10:21Z",
                "",
                "",
                "",
                "Unsuccessful 1FA authentication attempt by user 'jo'",
                AUTHELIA,
            ],
        ),
        (NGINX, ["2026-02-12T14:10:21Z", "", "", "", NGINX, NGINX]),
        (
            VAULTWARDEN,
            [
                "2026-02-12T14:10:21.123456Z",
                "",
                "",
                "",
                "[vaultwarden::api::identity][ERROR] Username or password is incorrect. Try again. IP: 192.0.2.7. Username: jo@example.org.",
                "",
            ],
        ),
        (gelf, ["2026-02-12T14:10:21.5Z", "", "", "", "x", gelf]),
        (
            pino,
            ["2026-02-12T14:10:21.123Z", "box", "", "42", "x", pino],
        ),
        (
            bunyan,
            ["2026-02-12T14:10:21.123Z", "box", "", "42", "x", bunyan],
        ),
        (
            mongodb,
            [
                "2026-02-12T14:10:21.123Z",
                "",
                "",
                "",
                "Authentication failed",
                mongodb,
            ],
        ),
        (
            rsyslog,
            ["2026-02-12T14:10:21Z", "box", "sshd", "42", " x", rsyslog],
        ),
        (
            elastic,
            ["2026-02-12T14:10:21.123Z", "box", "", "42", "x", elastic],
        ),
        // What has all fields of Docker and others too is not Docker's.
        (own, ["2026-02-12T14:10:21Z", "", "", "", "sshd[1]: x", own]),
        // What only begins like an object is text, and so is all else.
        (
            r#"{"msg":"x"} y"#,
            ["2026-02-12T20:00:00Z", "", "", "", r#"{"msg":"x"} y"#, ""],
        ),
        ("{x", ["2026-02-12T20:00:00Z", "", "", "", "{x", ""]),
        (
            "Feb 12 14:10:21 box app[7]: {}",
            ["2026-02-12T14:10:21Z", "box", "app", "7", "{}", ""],
        ),
    ] {
        assert_eq!(read(Format::Any, &[line]), expected, "{line}");
    }
    let as_text = read(Format::Text, &[AUTHELIA]);
    assert_eq!(as_text[4..], [AUTHELIA, ""]);
}

#[test]
fn objects_of_containers_are_put_together() {
    for part in [7, 100, 16 * 1024] {
        let (docker, cri) = (docker(CADDY, part), cri(CADDY, part));
        for (format, lines) in [
            (Format::Any, &docker),
            (Format::Json(Default::default()), &docker),
            (Format::Cri(Default::default()), &cri),
        ] {
            let lines: Vec<&str> = lines.iter().map(String::as_str).collect();
            let [time, .., message, object] = read(format, &lines);
            // The engine's word counts.
            assert_eq!(
                (&*time, &*message, &*object),
                ("2026-02-12T14:10:21.5Z", "handled request", CADDY)
            );
        }
    }
}

const CADDY_FILTER: &str = r#"
[[failure]]
pattern = '^handled request$'
fields = { "request.remote_ip" = '^<ip>$', status = '^401$', "request.uri" = '^/login' }
[[ignore]]
fields = { request.method = '^HEAD$', request.proto = '^HTTP/2' }
"#;

#[test]
fn filters_test_fields() {
    let caddy = filter(CADDY_FILTER);
    let traefik = filter(
        "[[failure]]\nfields = { ClientAddr = '^<ip>:<port>$', DownstreamStatus = '^401$', ClientUsername = '^<user>$' }\n",
    );
    let nginx = filter(
        "[[failure]]\nfields = { remote_addr = '^<ip>$', status = '^40[13]$', agent = '^a .x22b' }\n",
    );
    let authelia = filter(
        "[[failure]]\npattern = '^Unsuccessful 1FA authentication attempt by user .<user>.$'\nfields = { remote_ip = '^<ip>$' }\n",
    );
    let vaultwarden = filter(
        r"[[failure]]
pattern = '^\[vaultwarden::api::identity\]\[ERROR\] Username or password is incorrect\. Try again\. IP: <ip>\. Username: <user>\.$'
",
    );
    let address = ["192.0.2.7"];
    let wrapped = docker(CADDY, 16 * 1024);
    let syslog = format!("Feb 12 14:10:21 box caddy[7]: {CADDY}");
    for (filters, line) in [
        (&caddy, CADDY),
        (&caddy, &wrapped[0]),
        // Only a part of what would be ignored.
        (
            &caddy,
            &CADDY.replace("POST", "HEAD").replace("HTTP/2", "HTTP/1"),
        ),
        // The message of syslog or of a journal is the object.
        (
            &traefik,
            &format!("Feb 12 14:10:21 box traefik[7]: {TRAEFIK}"),
        ),
        (&traefik, TRAEFIK),
        (&nginx, NGINX),
        (&authelia, AUTHELIA),
        (&vaultwarden, VAULTWARDEN),
    ] {
        assert_eq!(found_in(filters, &[line]), address, "{line}");
    }
    for line in [
        &CADDY.replace(":401", ":200"),
        &CADDY.replace(":401", ":4010"),
        &CADDY.replace(":401", ":null"),
        &CADDY.replace("\"status\":401,", ""),
        &CADDY.replace("/login", "/"),
        &CADDY.replace("handled", "unhandled"),
        &CADDY.replace("\"POST\"", "\"HEAD\""),
        &CADDY.replace("192.0.2.7", "192.0.2.7.9"),
        &CADDY.replace("\"remote_ip\"", "\"remote\""),
        // The object has no such message, and its message no such object.
        &syslog,
        &CADDY[1..].to_owned(),
    ] {
        assert_eq!(found_in(&caddy, &[line]), [""; 0], "{line}");
    }
    let user = |filters, line: &str| {
        let mut reader = reader(Format::Any);
        let record = reader.read(line.as_bytes()).unwrap().unwrap();
        super::found(filters, record).unwrap().1
    };
    assert_eq!(user(&traefik, TRAEFIK).as_deref(), Some("jo"));
    assert_eq!(user(&authelia, AUTHELIA).as_deref(), Some("jo"));
    assert_eq!(
        user(&vaultwarden, VAULTWARDEN).as_deref(),
        Some("jo@example.org")
    );
}

/// Fields and messages in one filter: the first pattern of the file that finds somebody decides.
#[test]
fn patterns_over_fields_and_messages_keep_their_order() {
    let filters = filter(
        "[[failure]]\npattern = '^denied <ip>$'\n[[failure]]\nfields = { ip = '^<ip>$' }\n[[failure]]\npattern = '^refused <ip>$'\n",
    );
    let lines = [
        "denied 192.0.2.1",
        r#"{"msg":"denied 192.0.2.2","ip":"192.0.2.3"}"#,
        r#"{"msg":"refused 192.0.2.4","ip":"192.0.2.5"}"#,
        r#"{"msg":"refused 192.0.2.6","ip":"?"}"#,
        "refused 192.0.2.7",
    ];
    let expected = [
        "192.0.2.1",
        "192.0.2.2",
        "192.0.2.5",
        "192.0.2.6",
        "192.0.2.7",
    ];
    assert_eq!(found_in(&filters, &lines), expected);
}

/// What `journalctl -o json` writes, text of other encodings included, is what the journal holds.
#[test]
fn an_export_of_the_journal_is_a_log() {
    let Some(journald) = Journald::start() else {
        return;
    };
    journald.send(&[
        ("SYSLOG_IDENTIFIER", b"sshd"),
        (
            "MESSAGE",
            b"Failed password for j\xff from 192.0.2.7 port 22 ssh2\x01",
        ),
    ]);
    let line = until("the entry is there", || {
        let output = Command::new("journalctl")
            .arg("--directory")
            .arg(journald.directory())
            .args(["--output=json", "--identifier=sshd", "--all"])
            .output()
            .unwrap();
        output.stdout.ends_with(b"\n").then_some(output.stdout)
    });
    let mut reader = reader(Format::Any);
    let record = reader.read(&line).unwrap().unwrap();
    let message = b"Failed password for j\xff from 192.0.2.7 port 22 ssh2\x01";
    assert_eq!((record.program, record.message), ("sshd", &message[..]));
    assert_eq!(record.pid, Some(std::process::id()));
    assert!(!record.host.is_empty());
    let age = super::moment(&jiff::Timestamp::now().to_string()).since(record.time);
    assert!(age.as_secs() < 60, "{age:?}");
}

/// What is left of an object is no object and no text, though it may look like one; but all of it is.
#[test]
fn a_line_without_its_end_is_whole_if_it_is_text_or_an_object() {
    for (line, half) in [("denied 192.0.2.7", true), (AUTHELIA, true), ("{x", false)] {
        let mut reader = reader(Format::Any);
        assert!(reader.read(line.as_bytes()).unwrap().is_some(), "{line}");
        let record = reader.read_last(line.as_bytes()).unwrap();
        assert_eq!(record.is_some(), half, "{line}");
        assert!(
            reader.read_cut(line.as_bytes()).unwrap().is_none(),
            "{line}"
        );
    }
    for format in [Format::Any, Format::Json(Default::default())] {
        let mut reader = reader(format);
        for end in 1..AUTHELIA.len() {
            let record = reader.read_last(&AUTHELIA.as_bytes()[..end]).unwrap();
            assert!(record.is_none(), "{}", &AUTHELIA[..end]);
        }
        assert!(reader.read_last(AUTHELIA.as_bytes()).unwrap().is_some());
        // An engine ends its lines; nobody knows what became of this one.
        let record = reader.read_last(VAULTWARDEN.as_bytes()).unwrap();
        assert!(record.is_none());
    }
    let long = format!("{}{AUTHELIA}", " ".repeat(2 * LONGEST_MESSAGE));
    let mut reader = reader(Format::Any);
    assert!(reader.read_cut(long.as_bytes()).unwrap().is_some());
    assert!(
        reader
            .read_cut(long.trim_start().as_bytes())
            .unwrap()
            .is_none()
    );
}

/// Where the machine went down in the middle of a line, nobody knows which lines it ended.
#[test]
fn nothing_is_glued_to_what_stood_before_a_torn_line() {
    let docker = |text: &str| {
        serde_json::json!({ "log": text, "stream": "stdout", "time": "2026-02-12T14:10:21Z" })
            .to_string()
    };
    let docker = [
        docker("half of "),
        r#"{"log":"it\n","stre"#.to_owned(),
        docker("Failed password for x from 192.0.2.7\n"),
        docker("whole\n"),
    ];
    let cri = [
        "2026-02-12T14:10:21Z stdout P half of ",
        "2026-02-12T14:10:2",
        "2026-02-12T14:10:22Z stdout F Failed password for x from 192.0.2.7",
        "2026-02-12T14:10:23Z stdout F whole",
    ]
    .map(str::to_owned);
    for (format, lines) in [
        (Format::Any, &docker),
        (Format::Json(Default::default()), &docker),
        (Format::Cri(Default::default()), &cri),
    ] {
        let mut reader = reader(format.clone());
        let mut heard = Vec::new();
        for line in lines {
            if let Ok(Some(record)) = reader.read(line.as_bytes()) {
                heard.push(String::from_utf8_lossy(record.message).into_owned());
            }
        }
        // A line that looks like nothing else may be text.
        heard.retain(|message| !message.starts_with('{'));
        assert_eq!(heard, ["whole"], "{format:?}");
        assert_eq!(reader.take_lost(), 1, "{format:?}");
    }
}
