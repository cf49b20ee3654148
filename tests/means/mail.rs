//! Does a letter arrive as what it is, whatever text is in it, at a real mail server?

use std::fs;
use std::io::{BufRead, BufReader, Read};
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::thread;
use std::time::Duration;

use f2bd::action::mail::{
    Address, LONGEST_TEXT, Letter, Login, MailError, Part, Security, Server, Transport, post,
};
use f2bd::action::secret::Secret;
use proptest::prelude::*;
use serde_json::{Value, json};
use tempfile::TempDir;

use super::certificate::Certified;
use crate::support::skipped;
use crate::support::wait::DEADLINE;

/// Debian's Python, for which its packages are.
const PYTHON: &str = "/usr/bin/python3";

/// So short that nobody minds, for servers that never answer.
const SHORT: Duration = Duration::from_millis(500);

/// aiosmtpd, in a process of its own.
struct Smtp {
    child: Child,
    told: Receiver<Value>,
    port: u16,
}

impl Smtp {
    fn new(settings: &Value) -> Option<Smtp> {
        let has_it = Command::new(PYTHON)
            .args(["-c", "import aiosmtpd"])
            .stderr(Stdio::null())
            .status();
        if !has_it.is_ok_and(|status| status.success()) {
            return skipped("python3-aiosmtpd is missing");
        }
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/means/smtp_server.py");
        let mut child = Command::new(PYTHON)
            // What it thinks of its own settings is not asked.
            .args(["-W", "ignore"])
            .arg(script)
            .arg(settings.to_string())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        // A pipe holds less than a letter does, and the server answers when it has told of it.
        let (tell, told) = channel::<Value>();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        thread::spawn(move || {
            for line in lines.map_while(Result::ok) {
                if tell.send(serde_json::from_str(&line).unwrap()).is_err() {
                    return;
                }
            }
        });
        let port = told.recv_timeout(DEADLINE).unwrap().as_u64().unwrap();
        let port = port.try_into().unwrap();
        Some(Smtp { child, told, port })
    }

    /// The next that it tells.
    fn told(&self) -> Value {
        self.told.recv_timeout(DEADLINE).unwrap()
    }

    fn transport(
        &self,
        security: Security,
        login: Option<Login>,
        authority: Option<PathBuf>,
    ) -> Transport {
        Transport::Smtp(Server {
            host: "127.0.0.1".into(),
            port: self.port,
            security,
            login,
            authority,
        })
    }
}

impl Drop for Smtp {
    fn drop(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
}

fn address(text: &str) -> Address {
    text.parse().unwrap()
}

fn letter(to: &str) -> Letter {
    Letter {
        from: address("f2bd@example.org"),
        to: vec![address(to)],
        subject: "[f2bd] sshd: banned 192.0.2.1".into(),
        body: "One line.\nAnother.\n".into(),
        headers: Vec::new(),
        parts: Vec::new(),
    }
}

fn login(directory: &TempDir, password: &str) -> Login {
    let path = directory.path().join("password");
    fs::write(&path, password).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
    let password = Secret::File(path).open().unwrap();
    Login {
        user: "me".into(),
        password,
    }
}

fn header<'a>(told: &'a Value, wanted: &str) -> Vec<&'a str> {
    let headers = told["headers"].as_array().unwrap().iter();
    let values = headers.filter(|header| header[0] == wanted);
    values.map(|header| header[1].as_str().unwrap()).collect()
}

#[test]
fn a_letter_arrives() {
    let Some(smtp) = Smtp::new(&json!({})) else {
        return;
    };
    let mut letter = letter("root@example.org");
    letter.to.push(address("admin@example.net"));
    letter.headers.push(("X-XARF", "YES".into()));
    letter.parts.push(Part {
        content_type: "application/json".into(),
        name: "report.json".into(),
        text: "{\"a\": 1}".into(),
    });
    post(
        &smtp.transport(Security::None, None, None),
        &letter,
        DEADLINE,
    )
    .unwrap();
    let told = smtp.told();
    assert_eq!(told["from"], "f2bd@example.org");
    assert_eq!(told["to"], json!(["root@example.org", "admin@example.net"]));
    assert_eq!(header(&told, "To"), ["root@example.org, admin@example.net"]);
    assert_eq!(header(&told, "Subject"), ["[f2bd] sshd: banned 192.0.2.1"]);
    assert_eq!(header(&told, "Auto-Submitted"), ["auto-generated"]);
    assert_eq!(header(&told, "X-XARF"), ["YES"]);
    assert_eq!(header(&told, "Date").len(), 1);
    assert!(header(&told, "Message-ID")[0].ends_with("@example.org>"));
    assert_eq!(
        told["texts"][0],
        json!(["text/plain", null, "One line.\nAnother.\n"])
    );
    assert_eq!(told["texts"][1][1], "report.json");
}

#[test]
fn text_of_attackers_arrives_as_text() {
    let Some(smtp) = Smtp::new(&json!({})) else {
        return;
    };
    let transport = smtp.transport(Security::None, None, None);
    let long = "x".repeat(5000);
    let texts = [
        "a\r\nBcc: evil@example.com\r\n\r\nbody",
        "a\n.\nMAIL FROM:<evil@example.com>\r\n.\r\nQUIT\r\n",
        "..\n.\n",
        "=?utf-8?q?evil?= =?utf-8?b?ZXZpbA==?=",
        "bä 蛇 \u{1f40d}",
        "From evil\nTo: evil\n",
        "--=\n--boundary--\nContent-Type: text/html\n\n<script>",
        " leading and trailing \t ",
        "a=3D=0A=\n",
        &long,
    ];
    for text in texts {
        let mut letter = letter("root@example.org");
        letter.subject = text.into();
        letter.body = text.into();
        letter.headers.push(("X-Test", text.into()));
        post(&transport, &letter, DEADLINE).unwrap();
        let told = smtp.told();
        let line = text.split_whitespace().collect::<Vec<_>>().join(" ");
        let subject = header(&told, "Subject");
        assert_eq!(subject.len(), 1);
        assert!(
            !subject[0].is_empty() && line.starts_with(subject[0]),
            "{subject:?} of {line:?}"
        );
        assert_eq!(header(&told, "X-Test"), subject);
        assert_eq!(header(&told, "Bcc").len(), 0);
        assert_eq!(told["to"], json!(["root@example.org"]));
        let texts = told["texts"].as_array().unwrap();
        assert_eq!(texts.len(), 1, "{told}");
        let arrived = texts[0][2].as_str().unwrap();
        assert_eq!(
            arrived.trim_end_matches('\n'),
            text.replace("\r\n", "\n").trim_end_matches('\n')
        );
        let raw = told["raw"].as_str().unwrap();
        assert!(
            raw.split("\r\n")
                .all(|line| line.len() < 999 && !line.contains(['\r', '\n', '\0']))
        );
    }
}

#[test]
fn what_is_no_text_does_not_arrive() {
    let Some(smtp) = Smtp::new(&json!({})) else {
        return;
    };
    let mut letter = letter("root@example.org");
    letter.subject = "a\0b\u{1b}[31mc\u{202e}d\u{85}e".into();
    letter.body = "a\0b\u{1b}[31mc\u{202e}d\rE\u{7f}\n\tf".into();
    post(
        &smtp.transport(Security::None, None, None),
        &letter,
        DEADLINE,
    )
    .unwrap();
    let told = smtp.told();
    assert_eq!(header(&told, "Subject"), ["a b [31mc d e"]);
    let body = told["texts"][0][2].as_str().unwrap();
    assert_eq!(
        body.trim_end(),
        "a\u{fffd}b\u{fffd}[31mc\u{fffd}d\u{fffd}E\u{fffd}\n\tf"
    );

    letter.body = "y".repeat(2 * LONGEST_TEXT);
    post(
        &smtp.transport(Security::None, None, None),
        &letter,
        DEADLINE,
    )
    .unwrap();
    let told = smtp.told();
    let body = told["texts"][0][2].as_str().unwrap();
    assert!(body.trim_end().ends_with("y\n[…]"), "{}", body.len());
}

#[test]
fn any_text_is_one_subject_and_one_body() {
    let Some(smtp) = Smtp::new(&json!({})) else {
        return;
    };
    let transport = smtp.transport(Security::None, None, None);
    let text = "(\\PC|[\\r\\n\\t.=?:<> -]|Bcc: |=\\?utf-8\\?q\\?){0,120}";
    proptest!(ProptestConfig::with_cases(48), |(subject in text, body in text)| {
        let mut letter = letter("root@example.org");
        letter.subject = subject;
        letter.body = body;
        post(&transport, &letter, DEADLINE).unwrap();
        let told = smtp.told();
        prop_assert_eq!(told["headers"].as_array().unwrap().len(), 9, "{}", told);
        prop_assert_eq!(told["texts"].as_array().unwrap().len(), 1);
        let seen = header(&told, "Subject")[0];
        let folded = |text: &str| text.split_whitespace().collect::<Vec<_>>().join(" ");
        prop_assert!(folded(&letter.subject).replace(|c: char| !c.is_alphanumeric(), "").starts_with(
            &folded(seen).replace(|c: char| !c.is_alphanumeric(), "")), "{:?} of {:?}", seen, letter.subject);
    });
}

#[test]
fn only_a_server_that_an_authority_answers_for_hears_the_password() {
    let certified = Certified::new();
    let stranger = Certified::new();
    let directory = TempDir::new().unwrap();
    let right = login(&directory, "hunter2");
    let wrong = login(&directory, "hunter3");
    for (security, from_the_beginning) in [(Security::StartTls, false), (Security::Tls, true)] {
        let settings = json!({
            "certificate": certified.server(),
            "key": certified.key(),
            "from_the_beginning": from_the_beginning,
            "login": true,
        });
        let Some(smtp) = Smtp::new(&settings) else {
            return;
        };
        let send = |login: Option<&Login>, authority: PathBuf| {
            let transport = smtp.transport(security, login.cloned(), Some(authority));
            let sent = post(&transport, &letter("root@example.org"), DEADLINE);
            sent.map(|()| smtp.told())
        };
        let told = send(Some(&right), certified.authority()).unwrap();
        assert_eq!((&told["tls"], &told["login"]), (&json!(true), &json!(true)));

        let error = send(Some(&wrong), certified.authority()).unwrap_err();
        assert!(
            matches!(error, MailError::Refused { code: 535, .. }),
            "{error}"
        );
        assert!(error.is_lasting());
        assert!(
            !format!("{error} {error:?} {wrong:?}").contains("hunter"),
            "{error:?}"
        );

        let error = send(None, certified.authority()).unwrap_err();
        assert!(
            matches!(error, MailError::Refused { code: 530, .. }),
            "{error}"
        );

        let error = send(Some(&right), stranger.authority()).unwrap_err();
        assert!(matches!(error, MailError::Unreachable { .. }), "{error}");
    }
}

#[test]
fn a_server_without_tls_hears_nothing_where_there_must_be_tls() {
    let Some(smtp) = Smtp::new(&json!({})) else {
        return;
    };
    let authority = Certified::new().authority();
    let certified = Certified::new();
    let transport = smtp.transport(Security::StartTls, None, Some(certified.authority()));
    let error = post(&transport, &letter("root@example.org"), DEADLINE).unwrap_err();
    assert!(
        matches!(&error, MailError::Unreachable { why, .. } if why.contains("STARTTLS")),
        "{error}"
    );
    // The directory is gone, and the file with it.
    let transport = smtp.transport(Security::Tls, None, Some(authority));
    let error = post(&transport, &letter("root@example.org"), DEADLINE).unwrap_err();
    assert!(matches!(error, MailError::Authority(_)), "{error}");

    let directory = TempDir::new().unwrap();
    let transport = Transport::Smtp(Server {
        host: "mail.example.org".into(),
        port: 25,
        security: Security::None,
        login: Some(login(&directory, "hunter2")),
        authority: None,
    });
    let error = post(&transport, &letter("root@example.org"), DEADLINE).unwrap_err();
    assert!(matches!(error, MailError::InClear { .. }), "{error}");
}

#[test]
fn a_refusal_says_whether_it_lasts() {
    let Some(smtp) = Smtp::new(&json!({})) else {
        return;
    };
    let transport = smtp.transport(Security::None, None, None);
    let error = post(&transport, &letter("nobody@example.org"), DEADLINE).unwrap_err();
    assert!(error.is_lasting());
    let place = format!("127.0.0.1:{}", smtp.port);
    assert_eq!(
        error.to_string(),
        format!(
            "the mail server {place} refuses: 550 5.1.1 nobody of that name: nobody@example.org"
        )
    );
    let error = post(&transport, &letter("later@example.org"), DEADLINE).unwrap_err();
    assert!(
        matches!(error, MailError::Refused { code: 450, .. }) && !error.is_lasting(),
        "{error}"
    );
    let error = post(&transport, &letter("never@example.org"), SHORT).unwrap_err();
    assert!(
        matches!(error, MailError::Late { .. }) && !error.is_lasting(),
        "{error}"
    );
}

#[test]
fn a_server_that_says_nothing_is_late_and_one_that_talks_is_not_understood() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let transport = |port| {
        Transport::Smtp(Server {
            host: "127.0.0.1".into(),
            port,
            security: Security::None,
            login: None,
            authority: None,
        })
    };
    // The kernel takes the connection; nobody speaks.
    let error = post(&transport(port), &letter("root@example.org"), SHORT).unwrap_err();
    assert!(matches!(error, MailError::Late { .. }), "{error}");
    drop(listener);
    let error = post(&transport(port), &letter("root@example.org"), DEADLINE).unwrap_err();
    assert!(matches!(error, MailError::Unreachable { .. }), "{error}");

    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    thread::spawn(move || {
        use std::io::Write;
        let (mut stream, _) = listener.accept().unwrap();
        // As long as somebody listens.
        while stream.write_all(&[b'x'; 4096]).is_ok() {}
    });
    let error = post(&transport(port), &letter("root@example.org"), DEADLINE).unwrap_err();
    assert!(matches!(error, MailError::Unreachable { .. }), "{error}");
}

/// A script that stands for sendmail, since a real one would deliver: it keeps what it is given and ends as it is told.
fn sendmail(directory: &TempDir, code: i32) -> Transport {
    let program = directory.path().join("sendmail");
    let place = directory.path().display();
    let script = format!(
        "#!/bin/sh\nprintf '%s\\n' \"$@\" >{place}/arguments\ncat >{place}/letter\necho told >&2\nexit {code}\n"
    );
    fs::write(&program, script).unwrap();
    fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).unwrap();
    Transport::Sendmail { program }
}

#[test]
fn the_machines_own_mail_system_takes_a_letter() {
    let directory = TempDir::new().unwrap();
    let mut letter = letter("-oQ/tmp@example.org");
    letter.body = "a\n.\nb\n".into();
    post(&sendmail(&directory, 0), &letter, DEADLINE).unwrap();
    let read = |name: &str| {
        let mut text = String::new();
        fs::File::open(directory.path().join(name))
            .unwrap()
            .read_to_string(&mut text)
            .unwrap();
        text
    };
    assert_eq!(
        read("arguments"),
        "-i\n-f\nf2bd@example.org\n--\n-oQ/tmp@example.org\n"
    );
    let text = read("letter");
    assert!(!text.contains('\r'));
    assert!(
        text.contains("\nSubject: [f2bd] sshd: banned 192.0.2.1\n"),
        "{text}"
    );
    assert!(text.contains("\n\na\n.\nb\n"), "{text}");

    let error = post(&sendmail(&directory, 67), &letter, DEADLINE).unwrap_err();
    assert!(error.is_lasting(), "{error}");
    assert!(
        error.to_string().ends_with("(exit status: 67): told"),
        "{error}"
    );
    assert!(
        !post(&sendmail(&directory, 75), &letter, DEADLINE)
            .unwrap_err()
            .is_lasting()
    );
    let missing = Transport::Sendmail {
        program: "/no/such/sendmail".into(),
    };
    assert!(matches!(
        post(&missing, &letter, DEADLINE),
        Err(MailError::Program(_))
    ));
}
