//! How is one HTTP request sent?
//!
//! It is sent once, to the place it names and to no other, and what comes back is told. When to try again is the
//! caller's to decide; [`HttpError`] says what speaks for it. Nothing here knows what the request is for.
//!
//! Addresses and headers hold tokens: no error repeats them, only the host and the port, and what the server says is
//! told without them.

use std::fmt;
use std::io::Read;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use tokio_rustls::rustls::crypto::ring;
use ureq::config::Config;
use ureq::http::{HeaderName, HeaderValue, Uri};
use ureq::tls::{Certificate, RootCerts, TlsConfig, TlsProvider};
use ureq::{Agent, RequestBuilder};

use super::authorities::{AuthorityError, authorities};
use super::said::one_line;

mod failure;
mod proxy;

pub use failure::HttpError;
pub use proxy::{Proxy, ProxySyntax};

use failure::{LONGEST_REASON, Told};

/// How much of an answer is kept, in bytes: lists of bans come in pages that are much smaller.
pub const MOST_BODY: usize = 4 * 1024 * 1024;

/// How large an answer's head may be.
const MOST_HEADERS: usize = 64 * 1024;

/// What is to be done.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum Method {
    /// Tell.
    Get,
    /// Do.
    Post,
    /// Replace.
    Put,
    /// Change.
    Patch,
    /// Remove.
    Delete,
}

impl fmt::Display for Method {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Method::Get => "GET",
            Method::Post => "POST",
            Method::Put => "PUT",
            Method::Patch => "PATCH",
            Method::Delete => "DELETE",
        })
    }
}

/// A request.
#[derive(Clone, PartialEq, Eq)]
pub struct Request {
    /// What is to be done.
    pub method: Method,
    /// With what, whole.
    pub url: String,
    /// Names and values.
    pub headers: Vec<(String, String)>,
    /// What is sent along; nothing if there is nothing.
    pub body: Vec<u8>,
}

/// Shows no secret, and nearly everything may be one.
impl fmt::Debug for Request {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Request({} …)", self.method)
    }
}

/// How requests are sent.
#[derive(Clone, Debug)]
pub struct Settings {
    /// How long one may take, from its start until the answer is there.
    pub deadline: Duration,
    /// Through whom; if nobody is named, through whom the environment names, if anybody.
    pub proxy: Option<Proxy>,
    /// A file of the only authorities that are believed, instead of the machine's own.
    pub authority: Option<PathBuf>,
}

/// What came back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// The status code.
    pub status: u16,
    /// The first [`MOST_BODY`] bytes of it.
    pub body: Vec<u8>,
    /// Whether there is more.
    pub cut: bool,
}

/// Sends requests, and keeps connections for a moment in case that there are more.
pub struct Client {
    plain: Agent,
    secure: Agent,
    deadline: Duration,
    nobody_is_believed: bool,
}

impl Client {
    /// One for these settings.
    ///
    /// # Errors
    /// The file of authorities or the environment's proxy cannot be used.
    pub fn new(settings: &Settings) -> Result<Client, HttpError> {
        let believed = match authorities(settings.authority.as_deref()) {
            // There may be no need for them.
            Err(AuthorityError::NoneKnown) => Vec::new(),
            other => other?,
        };
        let nobody_is_believed = believed.is_empty();
        let roots = believed
            .iter()
            .map(|authority| Certificate::from_der(authority).to_owned());
        let tls = TlsConfig::builder()
            .provider(TlsProvider::Rustls)
            .unversioned_rustls_crypto_provider(Arc::new(ring::default_provider()))
            .root_certs(RootCerts::from(roots))
            .build();
        let agent = |scheme| -> Result<Agent, HttpError> {
            let proxy = match &settings.proxy {
                Some(proxy) => Some(proxy.clone()),
                None => proxy::of_environment(scheme)?,
            };
            Ok(Config::builder()
                .timeout_global(Some(settings.deadline))
                .tls_config(tls.clone())
                .proxy(proxy.map(Proxy::into_inner))
                .http_status_as_error(false)
                // Another place would be told our tokens.
                .max_redirects(0)
                .max_response_header_size(MOST_HEADERS)
                .user_agent(concat!("f2bd/", env!("CARGO_PKG_VERSION")))
                .build()
                .new_agent())
        };
        Ok(Client {
            plain: agent("http")?,
            secure: agent("https")?,
            deadline: settings.deadline,
            nobody_is_believed,
        })
    }

    /// Sends a request and waits for the answer. Statuses from 200 to 299 are accepted, and those in `accepts`.
    ///
    /// # Errors
    /// There was no such answer; whether it was received, nobody knows if it is late or the connection broke.
    pub fn send(&self, request: &Request, accepts: &[u16]) -> Result<Answer, HttpError> {
        self.send_within(request, accepts, self.deadline)
    }

    /// The same, within another time.
    ///
    /// # Errors
    /// Those of `send`.
    pub fn send_within(
        &self,
        request: &Request,
        accepts: &[u16],
        deadline: Duration,
    ) -> Result<Answer, HttpError> {
        let (uri, is_secure) = address(&request.url)?;
        if is_secure && self.nobody_is_believed {
            return Err(AuthorityError::NoneKnown.into());
        }
        let headers = headers(&request.headers)?;
        let told = Told {
            place: place(&uri, is_secure),
            seconds: self.deadline.as_secs(),
            request,
        };
        let agent = if is_secure { &self.secure } else { &self.plain };
        let body = &request.body[..];
        let with_body = |builder: RequestBuilder<_>| dressed(builder, headers.clone()).send(body);
        let without_body = |builder: RequestBuilder<_>| {
            let builder = dressed(builder, headers.clone());
            if body.is_empty() {
                builder.call()
            } else {
                builder.force_send_body().send(body)
            }
        };
        let response = match request.method {
            Method::Get => without_body(within(agent.get(uri), deadline)),
            Method::Delete => without_body(within(agent.delete(uri), deadline)),
            Method::Post => with_body(within(agent.post(uri), deadline)),
            Method::Put => with_body(within(agent.put(uri), deadline)),
            Method::Patch => with_body(within(agent.patch(uri), deadline)),
        };
        let mut response = response.map_err(|error| told.failure(error))?;
        let status = response.status();
        if !status.is_success() && !accepts.contains(&status.as_u16()) {
            return Err(told.refusal(status, response.headers().clone(), response.body_mut()));
        }
        let mut body = Vec::new();
        let limit = MOST_BODY as u64 + 1;
        let reader = response.body_mut().as_reader();
        let read = reader.take(limit).read_to_end(&mut body);
        read.map_err(|error| told.failure(error.into()))?;
        let cut = body.len() > MOST_BODY;
        body.truncate(MOST_BODY);
        Ok(Answer {
            status: status.as_u16(),
            body,
            cut,
        })
    }
}

/// Where a request goes, and whether with TLS.
fn address(url: &str) -> Result<(Uri, bool), HttpError> {
    let uri: Uri = url.parse().map_err(|_| HttpError::Address)?;
    let is_secure = match uri.scheme_str() {
        Some("http") => false,
        Some("https") => true,
        _ => return Err(HttpError::Address),
    };
    if uri.host().is_none_or(str::is_empty) || !has_right_port(&uri) {
        return Err(HttpError::Address);
    }
    Ok((uri, is_secure))
}

/// Whether there is no port, or one that there is; another would be left out without a word.
fn has_right_port(uri: &Uri) -> bool {
    let Some(authority) = uri.authority() else {
        return false;
    };
    let (_, server) = authority
        .as_str()
        .rsplit_once('@')
        .unwrap_or(("", authority.as_str()));
    server == authority.host() || authority.port_u16().is_some_and(|port| port != 0)
}

/// The host and the port of a request.
fn place(uri: &Uri, is_secure: bool) -> String {
    let usual = if is_secure { 443 } else { 80 };
    let port = uri.port_u16().unwrap_or(usual);
    format!("{}:{port}", uri.host().unwrap_or_default())
}

/// Headers that are headers, whatever is in them.
fn headers(named: &[(String, String)]) -> Result<Vec<(HeaderName, HeaderValue)>, HttpError> {
    let header = |(name, value): &(String, String)| {
        let wrong = || HttpError::Header {
            name: one_line(name.as_bytes(), LONGEST_REASON),
        };
        let parsed_name: HeaderName = name.parse().map_err(|_| wrong())?;
        let mut value = HeaderValue::from_bytes(value.as_bytes()).map_err(|_| wrong())?;
        value.set_sensitive(true);
        Ok((parsed_name, value))
    };
    named.iter().map(header).collect()
}

fn within<B>(builder: RequestBuilder<B>, deadline: Duration) -> RequestBuilder<B> {
    builder.config().timeout_global(Some(deadline)).build()
}

fn dressed<B>(
    builder: RequestBuilder<B>,
    headers: Vec<(HeaderName, HeaderValue)>,
) -> RequestBuilder<B> {
    headers.into_iter().fold(builder, |builder, (name, value)| {
        builder.header(name, value)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn an_address_is_a_whole_one_of_the_web() {
        for url in [
            "",
            "example.org/x",
            "ftp://example.org/",
            "file:///etc/passwd",
            "http://",
            "http:///x",
            "http://a b/",
            "http://a:99999/",
            "http://a:x/",
            "http://a:0/",
            "http://a/\r\nX: y",
        ] {
            assert!(address(url).is_err(), "{url:?}");
        }
        let (uri, is_secure) = address("https://user:secret@[::1]/x?token=1").expect("an address");
        assert_eq!(place(&uri, is_secure), "[::1]:443");
    }

    proptest! {
        #[test]
        fn no_header_makes_another(name in "\\PC{0,9}|[a-z\\r\\n:]{0,9}", value in any::<String>()) {
            if let Ok(headers) = headers(&[(name, value)]) {
                for (name, value) in headers {
                    prop_assert!(!name.as_str().contains(['\r', '\n', ':', ' ', '\0']));
                    prop_assert!(!value.as_bytes().iter().any(|byte| b"\r\n\0".contains(byte)));
                }
            }
        }

    }
}
