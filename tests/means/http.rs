//! Is one request sent as it should be, whatever the server does?

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpListener;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, channel};
use std::thread;
use std::time::Duration;

use f2bd::action::http::{Client, HttpError, MOST_BODY, Method, Request, Settings};
use tokio_rustls::rustls::{ServerConfig, ServerConnection, StreamOwned};

use super::certificate::Certified;
use crate::support::wait::DEADLINE;

/// So short that nobody minds, for servers that never answer.
const SHORT: Duration = Duration::from_millis(300);

trait Stream: Read + Write {}
impl<T: Read + Write> Stream for T {}

/// A request as it arrived.
struct Received {
    head: String,
    body: Vec<u8>,
}

/// A server that answers each request on a connection of its own.
struct Server {
    port: u16,
    received: Receiver<Received>,
}

impl Server {
    fn new(
        tls: Option<Arc<ServerConfig>>,
        answer: impl Fn(&str, &mut dyn Stream) + Send + 'static,
    ) -> Server {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let (tell, received) = channel();
        // It ends with the test.
        thread::spawn(move || {
            for connection in listener.incoming().map_while(Result::ok) {
                let mut stream: Box<dyn Stream> = match &tls {
                    None => Box::new(connection),
                    Some(tls) => Box::new(StreamOwned::new(
                        ServerConnection::new(tls.clone()).unwrap(),
                        connection,
                    )),
                };
                // A client that believes nobody hangs up.
                if let Some(request) = receive(&mut *stream) {
                    answer(&request.head, &mut *stream);
                    if tell.send(request).is_err() {
                        return;
                    }
                }
            }
        });
        Server { port, received }
    }

    /// One that says the same to everybody.
    fn saying(answer: &str) -> Server {
        let answer = answer.to_owned();
        Server::new(None, move |_, stream| {
            stream.write_all(answer.as_bytes()).unwrap();
        })
    }

    fn url(&self, path: &str) -> String {
        format!("http://127.0.0.1:{}{path}", self.port)
    }
}

fn receive(stream: &mut dyn Stream) -> Option<Received> {
    let mut reader = BufReader::with_capacity(1, stream);
    let mut head = String::new();
    while !head.ends_with("\r\n\r\n") {
        if reader.read_line(&mut head).ok()? == 0 {
            return None;
        }
    }
    let length = head.lines().find_map(|line| {
        let (name, value) = line.split_once(':')?;
        name.eq_ignore_ascii_case("content-length")
            .then(|| value.trim().parse().ok())?
    });
    let mut body = vec![0; length.unwrap_or(0)];
    reader.read_exact(&mut body).ok()?;
    Some(Received { head, body })
}

fn client(deadline: Duration) -> Client {
    Client::new(&Settings {
        deadline,
        proxy: None,
        authority: None,
    })
    .unwrap()
}

fn get(url: String) -> Request {
    Request {
        method: Method::Get,
        url,
        headers: Vec::new(),
        body: Vec::new(),
    }
}

fn refused(answer: &str) -> HttpError {
    let server = Server::saying(answer);
    client(DEADLINE)
        .send(&get(server.url("/")), &[])
        .unwrap_err()
}

#[test]
fn every_method_sends_headers_and_body() {
    let server =
        Server::saying("HTTP/1.1 200 OK\r\nContent-Length: 4\r\nConnection: close\r\n\r\ndone");
    let client = client(DEADLINE);
    let methods = [
        Method::Get,
        Method::Post,
        Method::Put,
        Method::Patch,
        Method::Delete,
    ];
    for method in methods {
        for body in ["", "{\"a\": 1}"] {
            let request = Request {
                method,
                url: server.url("/path?a=b%20c"),
                headers: vec![
                    ("Authorization".into(), "Bearer token".into()),
                    ("Content-Type".into(), "application/json".into()),
                ],
                body: body.into(),
            };
            let answer = client.send(&request, &[]).unwrap();
            assert_eq!(
                (answer.status, &answer.body[..], answer.cut),
                (200, &b"done"[..], false)
            );
            let received = server.received.recv().unwrap();
            let head = received.head.to_ascii_lowercase();
            let first = format!(
                "{} /path?a=b%20c http/1.1\r\n",
                method.to_string().to_ascii_lowercase()
            );
            assert!(head.starts_with(&first), "{head}");
            assert!(
                head.contains("\r\nauthorization: bearer token\r\n"),
                "{head}"
            );
            assert!(head.contains("\r\nuser-agent: f2bd/"), "{head}");
            assert_eq!(head.matches("\r\ncontent-type:").count(), 1, "{head}");
            assert_eq!(received.body, body.as_bytes(), "{method}");
        }
    }
}

#[test]
fn a_status_that_is_expected_is_an_answer() {
    let server =
        Server::saying("HTTP/1.1 409 Conflict\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
    let client = client(DEADLINE);
    assert_eq!(
        client
            .send(&get(server.url("/")), &[404, 409])
            .unwrap()
            .status,
        409
    );
    let error = client.send(&get(server.url("/")), &[404]).unwrap_err();
    assert!(
        matches!(error, HttpError::Refused { status: 409, .. }),
        "{error}"
    );
}

#[test]
fn what_a_server_complains_of_is_told_on_one_line_without_our_secrets() {
    let said =
        "{\"error\":\r\n\t\"no\x1b[31m token s3cr3t-token at /hooks/h00k-s3cr3t?key=k3y-s3cr3t\"}";
    let length = said.len();
    let server = Server::saying(&format!(
        "HTTP/1.1 403 No\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n{said}"
    ));
    let mut request = get(server.url("/hooks/h00k-s3cr3t?key=k3y-s3cr3t"));
    request
        .headers
        .push(("Authorization".into(), "Bearer s3cr3t-token".into()));
    let error = client(DEADLINE).send(&request, &[]).unwrap_err();
    let told = format!("{error} {error:?} {request:?}");
    assert!(!told.contains("s3cr3t"), "{told}");
    assert!(
        error.to_string().starts_with(&format!(
            "127.0.0.1:{} refuses with status 403: {{\"error\": \"no [31m token …",
            server.port
        )),
        "{told}"
    );
}

/// A key that is being replaced must cost no message.
#[test]
fn who_is_not_believed_may_be_in_a_while() {
    for (status, is_lasting, is_of_who_asks) in [
        (400, true, false),
        (401, false, true),
        (403, false, false),
        (404, true, false),
        (407, false, true),
    ] {
        let server = Server::saying(&format!(
            "HTTP/1.1 {status} No\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
        ));
        let error = client(DEADLINE)
            .send(&get(server.url("/")), &[])
            .unwrap_err();
        assert_eq!(error.is_lasting(), is_lasting, "{error}");
        assert_eq!(error.is_of_who_asks(), is_of_who_asks, "{error}");
    }
}

#[test]
fn no_error_repeats_an_address() {
    let free = TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap()
        .port();
    for url in [
        format!("http://127.0.0.1:{free}/s3cr3t"),
        "http://no-such-host.invalid/s3cr3t?s3cr3t".into(),
        "s3cr3t://s3cr3t/".into(),
        "http://s3cr3t s3cr3t/".into(),
    ] {
        let error = client(DEADLINE).send(&get(url.clone()), &[]).unwrap_err();
        assert!(
            !format!("{error} {error:?}").contains("s3cr3t"),
            "{error:?}"
        );
        let is_sent = matches!(error, HttpError::Unreachable { .. });
        assert_ne!(is_sent, error.is_lasting(), "{url}: {error:?}");
    }
}

#[test]
fn a_header_cannot_bring_another() {
    let server =
        Server::saying("HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
    for (name, value) in [
        ("X-A", "b\r\nX-Evil: 1"),
        ("X-A", "b\n"),
        ("X-A", "\0"),
        ("X-A: b\r\nX-Evil", "1"),
        ("", "1"),
        ("X A", "1"),
    ] {
        let mut request = get(server.url("/"));
        request.headers.push((name.into(), value.into()));
        let error = client(DEADLINE).send(&request, &[]).unwrap_err();
        assert!(matches!(error, HttpError::Header { .. }), "{error}");
        assert!(!error.to_string().contains(['\r', '\n']), "{error}");
    }
    assert!(server.received.try_recv().is_err(), "something was sent");
}

#[test]
fn nobody_else_is_told_our_tokens() {
    let other = Server::saying("HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
    let location = other.url("/s3cr3t");
    let error = refused(&format!(
        "HTTP/1.1 307 There\r\nLocation: {location}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
    ));
    assert!(
        matches!(error, HttpError::Refused { status: 307, .. }),
        "{error}"
    );
    assert!(error.to_string().contains("at http://127.0.0.1"), "{error}");
    assert!(!error.to_string().contains("s3cr3t"), "{error}");
    assert!(other.received.try_recv().is_err(), "it was followed");
}

#[test]
fn a_busy_server_says_when_to_come_back() {
    let busy = |status: &str, header: &str| {
        let error = refused(&format!(
            "HTTP/1.1 {status}\r\n{header}Content-Length: 0\r\nConnection: close\r\n\r\n"
        ));
        assert!(!error.is_lasting(), "{error}");
        match error {
            HttpError::Busy { retry_after, .. } => Some(retry_after.as_secs()),
            HttpError::Refused { .. } => None,
            other => panic!("{other}"),
        }
    };
    assert_eq!(busy("429 Slow down", "Retry-After: 17\r\n"), Some(17));
    assert_eq!(busy("429 Slow down", "Retry-After: soon\r\n"), Some(60));
    assert_eq!(busy("429 Slow down", ""), Some(60));
    assert_eq!(
        busy("503 Away", "Retry-After: Thu, 01 Jan 2099 00:00:00 GMT\r\n"),
        Some(3600)
    );
    assert_eq!(
        busy("503 Away", "Retry-After: Thu, 01 Jan 1970 00:00:00 GMT\r\n"),
        Some(1)
    );
    assert_eq!(busy("503 Away", ""), None);
    assert_eq!(busy("500 Broken", "Retry-After: 17\r\n"), None);
}

#[test]
fn a_server_that_never_answers_is_late() {
    // It waits until the client goes.
    let hang = |stream: &mut dyn Stream| {
        let mut rest = Vec::new();
        // How the client goes is all the same.
        let _ = stream.read_to_end(&mut rest);
    };
    let silent = Server::new(None, move |_, stream| hang(stream));
    let half = Server::new(None, move |_, stream| {
        stream
            .write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf")
            .unwrap();
        hang(stream);
    });
    for server in [silent, half] {
        let error = client(SHORT).send(&get(server.url("/")), &[]).unwrap_err();
        assert!(matches!(error, HttpError::Late { .. }), "{error}");
        assert!(!error.is_lasting());
    }
}

/// Writes as long as somebody listens.
fn pour(stream: &mut dyn Stream, head: &str) {
    let mut next = stream.write_all(head.as_bytes());
    let chunk = [b'x'; 64 * 1024];
    while next.is_ok() {
        next = stream.write_all(&chunk);
    }
}

#[test]
fn an_endless_answer_is_cut() {
    let server = Server::new(None, |_, stream| {
        pour(stream, "HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n")
    });
    let answer = client(DEADLINE).send(&get(server.url("/")), &[]).unwrap();
    assert_eq!((answer.body.len(), answer.cut), (MOST_BODY, true));

    let server = Server::new(None, |_, stream| {
        pour(stream, "HTTP/1.1 500 No\r\nConnection: close\r\n\r\n")
    });
    let error = client(DEADLINE)
        .send(&get(server.url("/")), &[])
        .unwrap_err();
    let HttpError::Refused { said, .. } = error else {
        panic!("{error}");
    };
    assert_eq!(said, "x".repeat(300));

    let server = Server::new(None, |_, stream| pour(stream, "HTTP/1.1 200 OK\r\nX: "));
    let error = client(DEADLINE)
        .send(&get(server.url("/")), &[])
        .unwrap_err();
    assert!(matches!(error, HttpError::Unreachable { .. }), "{error}");
}

#[test]
fn whoever_does_not_speak_http_is_not_reached() {
    for answer in [
        "",
        "SSH-2.0-OpenSSH_9.2\r\n",
        "HTTP/1.1\r\n\r\n",
        "\0\0\0\0",
    ] {
        let error = refused(answer);
        assert!(
            matches!(error, HttpError::Unreachable { .. }),
            "{answer:?}: {error}"
        );
    }
}

#[test]
fn only_a_server_that_an_authority_answers_for_is_told_anything() {
    let certified = Certified::new();
    let stranger = Certified::new();
    let server = Server::new(Some(certified.config()), |_, stream| {
        stream
            .write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok")
            .unwrap();
        stream.flush().unwrap();
    });
    let ask = |authority: Option<std::path::PathBuf>| {
        let client = Client::new(&Settings {
            deadline: DEADLINE,
            proxy: None,
            authority,
        });
        client
            .unwrap()
            .send(&get(format!("https://localhost:{}/", server.port)), &[])
    };
    assert_eq!(ask(Some(certified.authority())).unwrap().body, b"ok");
    assert!(server.received.recv().unwrap().head.starts_with("GET / "));
    for authority in [Some(stranger.authority()), None] {
        let error = ask(authority).unwrap_err();
        assert!(
            matches!(
                error,
                HttpError::Unreachable { .. } | HttpError::Authority(_)
            ),
            "{error}"
        );
    }
    assert!(server.received.try_recv().is_err(), "something was told");
}

#[test]
fn a_file_that_holds_no_authorities_is_refused_at_once() {
    for file in ["/etc/passwd", "/no/such/file", "/dev/null"] {
        let settings = Settings {
            deadline: DEADLINE,
            proxy: None,
            authority: Some(file.into()),
        };
        assert!(
            matches!(Client::new(&settings), Err(HttpError::Authority(_))),
            "{file}"
        );
    }
}

#[test]
fn a_proxy_is_asked_instead() {
    // It is the place itself, too, once it is asked to connect.
    let proxy = Server::new(None, |head, stream| {
        if head.starts_with("CONNECT example.org:80 ")
            && head.contains("Proxy-Authorization: Basic bWU6aHVudGVyMg==")
        {
            stream.write_all(b"HTTP/1.1 200 OK\r\n\r\n").unwrap();
            let inner = receive(stream).unwrap();
            assert!(
                inner.head.starts_with("GET /x HTTP/1.1\r\n"),
                "{}",
                inner.head
            );
            stream
                .write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok")
                .unwrap();
        } else {
            stream
                .write_all(b"HTTP/1.1 407 No\r\nContent-Length: 0\r\n\r\n")
                .unwrap();
        }
    });
    let through = |user: &str| {
        let client = Client::new(&Settings {
            deadline: DEADLINE,
            proxy: Some(
                format!("http://{user}@127.0.0.1:{}", proxy.port)
                    .parse()
                    .unwrap(),
            ),
            authority: None,
        });
        client
            .unwrap()
            .send(&get("http://example.org/x".into()), &[])
    };
    assert_eq!(through("me:hunter2").unwrap().body, b"ok");
    let error = through("me:hunter3").unwrap_err();
    assert!(
        matches!(&error, HttpError::Unreachable { why, .. } if why.contains("407")),
        "{error}"
    );
    assert!(!format!("{error:?}").contains("hunter"), "{error:?}");
}
