//! What does a bouncer hear?
//!
//! The answers of the bouncer protocol, version 1, as the local API of CrowdSec gives them. Pure: in go bans and the time,
//! out come lines of JSON.

use serde::Serialize;

use super::formats::{self, Lines, seconds_left};
use super::listing::{Listed, Listing, News};
use super::query::{BAN, DecisionQuery, HOST, NETWORK, ORIGIN, Whom};
use crate::engine::time::Timestamp;

/// How long a ban without end lasts for bouncers, who know no such thing: ten years of 365 days, in seconds.
const FOREVER: u64 = 87_600 * 3_600;

#[derive(Serialize)]
struct Decision {
    id: u64,
    origin: &'static str,
    r#type: &'static str,
    scope: &'static str,
    value: String,
    duration: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    until: Option<String>,
    scenario: String,
}

impl Decision {
    fn new(ban: &Listed, seconds: u64) -> Decision {
        Decision {
            id: ban.number.0,
            origin: ORIGIN,
            r#type: BAN,
            scope: if ban.subject.is_host() { HOST } else { NETWORK },
            value: ban.subject.plain(),
            duration: duration(seconds),
            until: ban.until.map(|until| until.to_string()),
            scenario: ban.jail.to_string(),
        }
    }

    fn banned(ban: &Listed, now: Timestamp) -> Decision {
        let left = ban.until.map_or(FOREVER, |until| seconds_left(until, now));
        Decision::new(ban, left.min(FOREVER))
    }
}

/// `3h59m12s`: whole hours, minutes and seconds, each of them always there. Some clients take anything else for no end.
fn duration(seconds: u64) -> String {
    let (hours, minutes) = (seconds / 3_600, seconds / 60 % 60);
    format!("{hours}h{minutes}m{}s", seconds % 60)
}

/// The bans that a query asks for.
pub fn wanted(listing: &Listing, query: &DecisionQuery) -> Vec<Listed> {
    let mut bans = match query.whom {
        Whom::All => listing.all(None),
        Whom::Holding(subject) => listing.holding(subject),
        Whom::Within(network) => listing.within(network),
        Whom::Nobody => Vec::new(),
    };
    bans.retain(|ban| query.takes(ban.subject, &ban.jail));
    bans
}

/// Answers who is banned: a list, or `null` if it would be empty, which some clients tell apart.
pub fn list(bans: Vec<Listed>, now: Timestamp) -> Lines {
    if bans.is_empty() {
        return Box::new(std::iter::once("null".to_owned()));
    }
    formats::json_list(bans.into_iter().map(move |ban| Decision::banned(&ban, now)))
}

/// Answers what is new. Nobody is in both lists.
pub fn stream(mut news: News, query: &DecisionQuery, now: Timestamp) -> Lines {
    news.banned
        .retain(|ban| query.takes(ban.subject, &ban.jail));
    // Whatever jail's ban it was last, another's may have been told.
    news.lifted.retain(|ban| query.concerns(ban.subject));
    let lifted = news.lifted.into_iter().map(|ban| Decision::new(&ban, 0));
    let lifted: Lines = match lifted.len() {
        0 => Box::new(std::iter::once("null".to_owned())),
        _ => formats::json_list(lifted),
    };
    let text = |text: &str| std::iter::once(text.to_owned());
    let lines = text("{\"new\":")
        .chain(list(news.banned, now))
        .chain(text(",\"deleted\":"))
        .chain(lifted)
        .chain(text("}\n"));
    Box::new(lines)
}

#[cfg(test)]
mod tests {
    use super::super::listing::Position;
    use super::*;

    const NOW: Timestamp = Timestamp::from_micros(0);

    fn ban(subject: &str, until: Option<i64>) -> Listed {
        Listed {
            subject: subject.parse().expect("a subject"),
            jail: "sshd".parse().expect("a name"),
            until: until.map(Timestamp::from_micros),
            number: Position(7),
        }
    }

    fn json(lines: Lines) -> serde_json::Value {
        serde_json::from_str(&lines.collect::<String>()).expect("JSON")
    }

    #[test]
    fn decisions_are_those_that_bouncers_know() {
        assert_eq!(
            list(Vec::new(), NOW).collect::<String>(),
            "null",
            "four letters"
        );
        let bans = vec![
            ban("192.0.2.7", Some(14_352_000_000 - 1)),
            ban("2001:db8::/64", None),
        ];
        assert_eq!(
            json(list(bans, NOW)),
            serde_json::json!([
                {"id": 7, "origin": "f2bd", "type": "ban", "scope": "Ip", "value": "192.0.2.7",
                 "duration": "3h59m12s", "until": "1970-01-01T03:59:11.999999Z", "scenario": "sshd"},
                {"id": 7, "origin": "f2bd", "type": "ban", "scope": "Range", "value": "2001:db8::/64",
                 "duration": "87600h0m0s", "scenario": "sshd"},
            ])
        );
        assert_eq!(duration(59), "0h0m59s");
    }

    #[test]
    fn a_stream_has_two_lists() {
        let query = DecisionQuery::parse("scopes=ip").expect("a query");
        let empty: String = stream(News::default(), &query, NOW).collect();
        assert_eq!(empty, "{\"new\":null,\"deleted\":null}\n");
        let news = News {
            banned: vec![ban("192.0.2.0/24", None), ban("192.0.2.7", None)],
            lifted: vec![ban("192.0.2.8", None), ban("192.0.3.0/24", None)],
            position: Position(9),
        };
        let told = json(stream(news, &query, NOW));
        let value = |key: &str| told[key][0]["value"].clone();
        assert_eq!(
            (value("new"), value("deleted")),
            ("192.0.2.7".into(), "192.0.2.8".into())
        );
        assert_eq!(
            told["new"].as_array().map(Vec::len),
            Some(1),
            "networks are not wanted"
        );
        assert_eq!(told["deleted"].as_array().map(Vec::len), Some(1));
    }
}
