//! Why was a request not answered as it should be, and when may it be sent again?
//!
//! What is told of it names only the host and the port, and holds nothing that was sent.

use std::io::Read;
use std::time::{Duration, SystemTime};

use ureq::http::header::{HeaderMap, LOCATION, RETRY_AFTER};
use ureq::http::{HeaderValue, StatusCode, Uri};
use ureq::{Body, Timeout};

use super::{ProxySyntax, Request};
use crate::action::authorities::AuthorityError;
use crate::action::said::{one_line, without};

/// How much of an answer is read for what is wrong.
const MOST_REASON: u64 = 8 * 1024;

/// How much of what is wrong is told.
pub(super) const LONGEST_REASON: usize = 300;

/// How long a service may ask to be left alone: some say a day when a minute is meant, and bans go on.
const LONGEST_WAIT: Duration = Duration::from_secs(60 * 60);

/// How long it is left alone at least, so that nobody who says nothing is asked all the time.
const SHORTEST_WAIT: Duration = Duration::from_secs(1);

/// How long a service is left alone that is asked too much and does not say how long: most count by the minute.
const USUAL_WAIT: Duration = Duration::from_secs(60);

/// Why a request was not answered as it should be.
#[derive(Debug, thiserror::Error)]
pub enum HttpError {
    /// It names no place.
    #[error("the address of the service is no URL of the form https://host/path")]
    Address,
    /// A header that would not be one.
    #[error(
        "the header `{name}` cannot be sent: its name or its value has characters that headers cannot have"
    )]
    Header {
        /// Its name.
        name: String,
    },
    /// The environment names something else than a proxy.
    #[error("the environment's {variable} cannot be used: {error}")]
    Proxy {
        /// The variable.
        variable: &'static str,
        /// What is wrong.
        error: ProxySyntax,
    },
    /// Nobody can be believed.
    #[error(transparent)]
    Authority(#[from] AuthorityError),
    /// No answer, or none that can be understood.
    #[error("cannot reach {place}: {why}")]
    Unreachable {
        /// The host and the port.
        place: String,
        /// Why not.
        why: String,
    },
    /// It says no.
    #[error("{place} refuses with status {status}{}{said}", if said.is_empty() { "" } else { ": " })]
    Refused {
        /// The host and the port.
        place: String,
        /// The status code.
        status: u16,
        /// What it says, on one line.
        said: String,
    },
    /// It wants to be asked later.
    #[error("{place} is asked too much (status {status}): again in {} seconds", retry_after.as_secs())]
    Busy {
        /// The host and the port.
        place: String,
        /// The status code.
        status: u16,
        /// How long it is to be left alone.
        retry_after: Duration,
    },
    /// The answer was not there in time.
    #[error("{place} did not answer within {seconds} seconds")]
    Late {
        /// The host and the port.
        place: String,
        /// How long it had.
        seconds: u64,
    },
}

impl HttpError {
    /// Whether the other side does not believe who asks, whatever the request is.
    pub fn is_of_who_asks(&self) -> bool {
        matches!(
            self,
            HttpError::Refused {
                status: 401 | 407,
                ..
            }
        )
    }

    /// Whether the same request will hardly be answered better when it is sent again.
    pub fn is_lasting(&self) -> bool {
        match self {
            HttpError::Address
            | HttpError::Header { .. }
            | HttpError::Proxy { .. }
            | HttpError::Authority(_) => true,
            // 401, 403 and 407: a key that is being replaced is right in a while; 408: too slow; 425: too early. Of a
            // redirect, the next is the same.
            HttpError::Refused { status, .. } => {
                (300..500).contains(status) && !matches!(status, 401 | 403 | 407 | 408 | 425)
            }
            HttpError::Unreachable { .. } | HttpError::Busy { .. } | HttpError::Late { .. } => {
                false
            }
        }
    }
}

/// What errors of a request may tell.
pub(super) struct Told<'a> {
    pub(super) place: String,
    pub(super) seconds: u64,
    pub(super) request: &'a Request,
}

impl Told<'_> {
    /// No answer has come.
    pub(super) fn failure(&self, error: ureq::Error) -> HttpError {
        let place = self.place.clone();
        let why = match &error {
            ureq::Error::Timeout(Timeout::Resolve) => {
                "its name could not be looked up in time".into()
            }
            ureq::Error::Timeout(_) => {
                let seconds = self.seconds;
                return HttpError::Late { place, seconds };
            }
            ureq::Error::BadUri(_) => return HttpError::Address,
            ureq::Error::HostNotFound => "nobody knows this name".into(),
            ureq::Error::Io(error) => error.to_string(),
            other => other.to_string(),
        };
        let why = self.without_secrets(why.as_bytes());
        HttpError::Unreachable { place, why }
    }

    /// An answer has come that is not accepted.
    pub(super) fn refusal(
        &self,
        status: StatusCode,
        headers: HeaderMap,
        body: &mut Body,
    ) -> HttpError {
        let place = self.place.clone();
        let wait = headers
            .get(RETRY_AFTER)
            .and_then(|value| retry_after(value, SystemTime::now()));
        let wait = match status {
            StatusCode::TOO_MANY_REQUESTS => Some(wait.unwrap_or(USUAL_WAIT)),
            StatusCode::SERVICE_UNAVAILABLE => wait,
            _ => None,
        };
        let status = status.as_u16();
        if let Some(retry_after) = wait {
            return HttpError::Busy {
                place,
                status,
                retry_after,
            };
        }
        let said = match headers.get(LOCATION) {
            Some(location) if (300..400).contains(&status) => elsewhere(location),
            _ => {
                let mut said = Vec::new();
                // The status is told with what has come of the reason, if the rest does not come.
                let _ = body.as_reader().take(MOST_REASON).read_to_end(&mut said);
                self.without_secrets(&said)
            }
        };
        HttpError::Refused {
            place,
            status,
            said,
        }
    }

    /// The beginning of what was said, without what may be secret.
    fn without_secrets(&self, said: &[u8]) -> String {
        let values = self.request.headers.iter().map(|(_, value)| value.as_str());
        let words = values.clone().flat_map(str::split_whitespace);
        // Of the address, all that comes after the host, and its parts.
        let url = self.request.url.as_str();
        let (_, path) = url.split_once("://").unwrap_or(("", url));
        let parts = path.split(['/', '?', '&', '=', '#', ':', '@']).skip(1);
        let whole = path.split_once('/').map(|(_, rest)| rest);
        let secrets = values.chain(words).chain(parts).chain(whole).chain([url]);
        let text = String::from_utf8_lossy(said);
        one_line(without(&text, secrets).as_bytes(), LONGEST_REASON)
    }
}

/// Where else an answer sends us: only the host, since the rest may repeat what we have sent.
fn elsewhere(location: &HeaderValue) -> String {
    let uri = location
        .to_str()
        .ok()
        .and_then(|text| text.parse::<Uri>().ok());
    let host = uri
        .as_ref()
        .and_then(|uri| Some((uri.scheme_str()?, uri.host()?)));
    match host {
        Some((scheme, host)) => {
            format!("it sends us to another place, at {scheme}://{host}; use that address")
        }
        None => "it sends us to another of its own places; use that address".into(),
    }
}

/// How long a server wants to be left alone, said in seconds or with the date of the end.
fn retry_after(value: &HeaderValue, now: SystemTime) -> Option<Duration> {
    let text = value.to_str().ok()?.trim();
    let wait = if !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit()) {
        // What is no number in spite of that is a very long time.
        text.parse().map_or(LONGEST_WAIT, Duration::from_secs)
    } else {
        let until = httpdate::parse_http_date(text).ok()?;
        // It may have passed.
        until.duration_since(now).unwrap_or_default()
    };
    Some(wait.clamp(SHORTEST_WAIT, LONGEST_WAIT))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_server_says_in_two_ways_when_to_come_back() {
        let now = httpdate::parse_http_date("Sun, 22 Nov 2026 08:00:00 GMT").expect("a date");
        let wait = |text: &str| {
            let value = HeaderValue::from_str(text).expect("a value");
            retry_after(&value, now).map(|wait| wait.as_secs())
        };
        assert_eq!(wait("120"), Some(120));
        assert_eq!(wait("0"), Some(1));
        assert_eq!(wait("999999999999999999999999"), Some(3600));
        assert_eq!(wait("Sun, 22 Nov 2026 08:01:30 GMT"), Some(90));
        assert_eq!(wait("Sun, 22 Nov 2020 08:01:30 GMT"), Some(1));
        assert_eq!(wait("Sun, 22 Nov 2076 08:01:30 GMT"), Some(3600));
        assert_eq!(wait("soon"), None);
        assert_eq!(wait(""), None);
        assert_eq!(wait("-5"), None);
    }

    #[test]
    fn what_lasts_is_no_matter_of_time() {
        let refused = |status| HttpError::Refused {
            place: "a:1".into(),
            status,
            said: String::new(),
        };
        for status in [301, 400, 404, 410, 422] {
            assert!(refused(status).is_lasting(), "{status}");
        }
        for status in [401, 403, 407, 408, 425, 500, 502, 503, 504] {
            assert!(!refused(status).is_lasting(), "{status}");
        }
    }

    proptest! {
        #[test]
        fn no_wait_is_endless(bytes in proptest::collection::vec(any::<u8>(), 0..40)) {
            if let Ok(value) = HeaderValue::from_bytes(&bytes) {
                let wait = retry_after(&value, SystemTime::now());
                prop_assert!(wait.is_none_or(|wait| wait <= LONGEST_WAIT));
            }
        }
    }
}
