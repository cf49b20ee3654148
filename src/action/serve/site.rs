//! What is each request answered?
//!
//! In: the head of a request, which anybody may have written. Out: an answer. Nothing waits here, and nothing of what a
//! client wrote is ever repeated or logged.

use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use hyper::header::{
    ALLOW, AUTHORIZATION, CACHE_CONTROL, CONTENT_TYPE, ETAG, HeaderName, HeaderValue,
    IF_NONE_MATCH, USER_AGENT,
};
use hyper::http::request::Parts;
use hyper::{HeaderMap, Method, Response, StatusCode};

use super::decisions;
use super::formats::{self, Format};
use super::http::Answer;
use super::keys::{Bouncer, Bouncers, KeyNumber, Keys};
use super::listing::Listing;
use super::query::{DecisionQuery, ListQuery, QueryError};
use crate::engine::name::ActionName;
use crate::engine::time::Timestamp;

/// Where the bouncer protocol wants its key.
const API_KEY: HeaderName = HeaderName::from_static("x-api-key");

/// The lists.
const LISTS: [(&str, Format); 5] = [
    ("/bans.txt", Format::Text),
    ("/bans.json", Format::Json),
    ("/bans.nft", Format::Nft),
    ("/bans.ipset", Format::Ipset),
    ("/bans.haproxy", Format::Haproxy),
];

/// What may be done to what is only read.
const READ: &str = "GET, HEAD";

/// What is served, and to whom.
#[derive(Debug)]
pub struct Site {
    name: ActionName,
    open_lists: bool,
    /// When this began: tells its lists from those before a restart.
    begun: Timestamp,
    listing: Mutex<Listing>,
    keys: Mutex<Keys>,
    bouncers: Mutex<Bouncers>,
}

impl Site {
    /// Nothing yet.
    pub fn new(name: ActionName, open_lists: bool) -> Site {
        Site {
            name,
            open_lists,
            begun: now(),
            listing: Mutex::default(),
            keys: Mutex::default(),
            bouncers: Mutex::default(),
        }
    }

    /// Whose it is.
    pub fn name(&self) -> &ActionName {
        &self.name
    }

    /// The list. Whoever has it must not wait for anything.
    pub fn listing(&self) -> MutexGuard<'_, Listing> {
        held(&self.listing)
    }

    /// From now on these keys are good.
    pub fn renew(&self, keys: Keys) {
        let mut before = held(&self.keys);
        if *before != keys {
            *before = keys;
            held(&self.bouncers).forget_all();
        }
    }

    /// The list as it is at this moment.
    fn listing_at(&self, now: Timestamp) -> MutexGuard<'_, Listing> {
        let mut listing = self.listing();
        listing.expire(now);
        listing
    }

    fn key(&self, headers: &HeaderMap) -> Option<KeyNumber> {
        let token = |value: &HeaderValue| {
            value
                .as_bytes()
                .strip_prefix(b"Bearer ")
                .map(<[u8]>::to_vec)
        };
        let given = headers.get(API_KEY).map(|value| value.as_bytes().to_vec());
        let given = given.or_else(|| headers.get(AUTHORIZATION).and_then(token))?;
        held(&self.keys).find(&given)
    }
}

/// A mutex that nobody leaves in disorder: what is done under it cannot fail halfway.
fn held<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The present moment, to which the time that is left of bans is told.
fn now() -> Timestamp {
    jiff::Timestamp::now().into()
}

/// A request.
pub struct Asked {
    /// Who asks.
    pub peer: IpAddr,
    /// What for.
    pub head: Parts,
}

impl Asked {
    fn query(&self) -> &str {
        self.head.uri.query().unwrap_or_default()
    }
}

/// Answers a request.
pub fn answer(site: &Arc<Site>, asked: &Asked) -> Response<Answer> {
    let path = asked.head.uri.path();
    let list = LISTS.iter().find(|(list, _)| *list == path);
    let needs_key = path.starts_with("/v1/") || list.is_some() && !site.open_lists;
    let key = site.key(&asked.head.headers);
    if needs_key && key.is_none() {
        return message(StatusCode::FORBIDDEN, "access forbidden");
    }
    let is_metrics = path == "/v1/usage-metrics";
    let is_known = matches!(path, "/health" | "/v1/decisions" | "/v1/decisions/stream");
    if !is_known && !is_metrics && list.is_none() {
        return message(StatusCode::NOT_FOUND, "not found");
    }
    let allowed = if is_metrics { "POST" } else { READ };
    if !allowed
        .split(", ")
        .any(|method| method == asked.head.method)
    {
        let mut refusal = message(StatusCode::METHOD_NOT_ALLOWED, "method not allowed");
        set(&mut refusal, ALLOW, allowed);
        return refusal;
    }
    let answer = match (path, list, key) {
        (_, Some((_, format)), _) => ban_list(site, *format, asked),
        ("/v1/decisions", ..) => bans(site, asked),
        ("/v1/decisions/stream", _, Some(key)) => stream(site, key, asked),
        ("/v1/usage-metrics", ..) => Ok(json(StatusCode::CREATED, Answer::whole(String::new()))),
        _ => Ok(json(
            StatusCode::OK,
            Answer::whole("{\"status\":\"up\"}\n".to_owned()),
        )),
    };
    answer.unwrap_or_else(|error| message(StatusCode::BAD_REQUEST, &error.to_string()))
}

/// Answers a request whose body is none.
pub fn too_large() -> Response<Answer> {
    message(StatusCode::PAYLOAD_TOO_LARGE, "too large, or too slow")
}

fn ban_list(site: &Site, format: Format, asked: &Asked) -> Result<Response<Answer>, QueryError> {
    let query = ListQuery::parse(asked.query())?;
    let now = now();
    let listing = site.listing_at(now);
    let last = listing.last();
    // A list that tells how much is left of each ban is another one a second later, but as good.
    let strength = if format.counts_down() || query.wishes.comment {
        "W/"
    } else {
        ""
    };
    let tag = format!("{strength}\"{}-{:x}\"", begun(site), last.0);
    let has_it = asked
        .head
        .headers
        .get_all(IF_NONE_MATCH)
        .iter()
        .any(|tags| matches(tags, &tag));
    let mut answer = if has_it {
        drop(listing);
        Response::new(Answer::whole(String::new()))
    } else {
        let mut bans = listing.all(query.jail.as_ref());
        drop(listing);
        bans.retain(|ban| query.takes(ban.subject));
        Response::new(Answer::lines(formats::write(
            format,
            bans,
            now,
            query.wishes,
        )))
    };
    if has_it {
        *answer.status_mut() = StatusCode::NOT_MODIFIED;
    }
    set(&mut answer, CONTENT_TYPE, format.content_type());
    set(&mut answer, ETAG, &tag);
    set(&mut answer, CACHE_CONTROL, "no-cache");
    Ok(answer)
}

/// What tells this run from others.
fn begun(site: &Site) -> String {
    format!("{:x}", site.begun.as_micros())
}

/// Whether a list of tags names this one. Strong or weak makes no difference to whoever has a copy.
fn matches(tags: &HeaderValue, tag: &str) -> bool {
    let plain = |tag: &str| tag.trim().trim_start_matches("W/").to_owned();
    let tags = tags.to_str().unwrap_or_default();
    tags.split(',')
        .map(plain)
        .any(|given| given == "*" || given == plain(tag))
}

fn bans(site: &Site, asked: &Asked) -> Result<Response<Answer>, QueryError> {
    let query = DecisionQuery::parse(asked.query())?;
    let now = now();
    let bans = decisions::wanted(&site.listing_at(now), &query);
    Ok(json(
        StatusCode::OK,
        Answer::lines(decisions::list(bans, now)),
    ))
}

fn stream(site: &Arc<Site>, key: KeyNumber, asked: &Asked) -> Result<Response<Answer>, QueryError> {
    let query = DecisionQuery::parse(asked.query())?;
    if asked.head.method == Method::HEAD {
        return Ok(json(StatusCode::OK, Answer::whole(String::new())));
    }
    let name = asked
        .head
        .headers
        .get(USER_AGENT)
        .map_or(&b""[..], HeaderValue::as_bytes);
    let bouncer = Bouncer::new(key, asked.peer, name);
    let now = now();
    let known = {
        let mut bouncers = held(&site.bouncers);
        if query.startup {
            bouncers.forget(&bouncer);
        }
        bouncers.position(&bouncer)
    };
    let news = {
        let listing = site.listing_at(now);
        let known = known.and_then(|known| listing.since(known));
        let mut news = known.unwrap_or_else(|| listing.anew());
        // Who knows nothing has nothing to forget.
        if query.startup {
            news.lifted.clear();
        }
        news
    };
    let position = news.position;
    let told = {
        let site = site.clone();
        move || held(&site.bouncers).told(bouncer, position)
    };
    let lines = decisions::stream(news, &query, now);
    Ok(json(StatusCode::OK, Answer::lines(lines).then(told)))
}

fn json(status: StatusCode, body: Answer) -> Response<Answer> {
    let mut answer = Response::new(body);
    *answer.status_mut() = status;
    set(&mut answer, CONTENT_TYPE, "application/json");
    set(&mut answer, CACHE_CONTROL, "no-store");
    answer
}

fn message(status: StatusCode, words: &str) -> Response<Answer> {
    let text = serde_json::json!({ "message": words }).to_string();
    json(status, Answer::whole(text))
}

/// Sets a header to words of our own, which are plain.
fn set(answer: &mut Response<Answer>, name: HeaderName, value: &str) {
    if let Ok(value) = HeaderValue::from_str(value) {
        answer.headers_mut().insert(name, value);
    }
}
