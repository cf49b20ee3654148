//! Which pattern could take such a record?
//!
//! In: one record that tells of a failure. Out: a proposal for a filter file, proven like any pattern. It is a guess for
//! people: only they know what a client chose in it. Nothing is counted by it.

use std::net::IpAddr;
use std::ops::Range;
use std::sync::LazyLock;

use regex::Regex;

use crate::engine::filter::{FilterSet, FilterSpec, Outcome, PatternSpec, RecordsSpec, View};
use crate::engine::policy::FilterId;
use crate::engine::record::Record;
use crate::engine::record::json::FieldPath;
use crate::engine::record::kept::is_odd;
use crate::engine::record::object::Object;

/// What can be written into a filter file.
#[derive(Clone, Debug)]
pub struct Proposal {
    /// The pattern.
    pub pattern: PatternSpec,
    /// The address that it finds in the record.
    pub ip: IpAddr,
    /// The account, if it finds one.
    pub user: Option<String>,
}

/// Why nothing is proposed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LearnError {
    /// Nobody could be blamed for it.
    #[error("there is no address in it, so nobody could be blamed for it")]
    NoAddress,
    /// The message is no text.
    #[error("its message is no text")]
    NoText,
    /// Whatever was tried could be forged.
    #[error("no pattern that was tried is sound: {0}")]
    Unsound(String),
}

/// What stands before the address of somebody who failed, if there are several addresses.
static BEFORE_HOST: LazyLock<Option<Regex>> = LazyLock::new(|| {
    Regex::new(r#"(?i-u)(?:\bfrom:?|\b(?:rip|rhost|r?host|client|ip|src|addr|address|remote|remote_addr|peer|by)[ =:]*) ?["'\[(<]?$"#).ok()
});

/// What stands before an account.
static BEFORE_USER: LazyLock<Option<Regex>> = LazyLock::new(|| {
    Regex::new(r#"(?i-u)(?:^|[ ,;(\[{"'=:])(?:user(?: ?name)?|account|login|acct|for(?: invalid user| user)?)(?:=|: ?| )(["'<\[(]?)"#).ok()
});

/// Words that are no account.
const NO_USERS: [&str; 16] = [
    "at", "attempt", "by", "error", "failed", "failure", "for", "from", "in", "is", "name", "not",
    "of", "on", "to", "with",
];

/// Names of fields that have the address of a client, the best first.
const HOST_FIELDS: [&str; 8] = [
    "remote_ip",
    "client_ip",
    "clientip",
    "remoteaddr",
    "remote_addr",
    "remote",
    "ip",
    "client",
];

/// A pattern for such records.
///
/// # Errors
/// There is none.
pub fn propose(record: &Record<'_>) -> Result<Proposal, LearnError> {
    let text = match record.object() {
        b"" => record.message,
        object => object,
    };
    let mut object = Object::default();
    let is_object = text.starts_with(b"{") && object.read(text);
    let by_message = || {
        let message = std::str::from_utf8(record.message).map_err(|_| LearnError::NoText)?;
        of_message(message)
    };
    let candidates = match is_object {
        // The message of an object may name the address too.
        true => of_object(&object, text).or_else(|_| by_message())?,
        false => by_message()?,
    };
    let mut reasons = Vec::new();
    for pattern in candidates {
        match try_out(pattern, record) {
            Ok(proposal) => return Ok(proposal),
            Err(reason) => reasons.push(reason),
        }
    }
    Err(LearnError::Unsound(reasons.pop().unwrap_or_default()))
}

/// The pattern as a proposal, if it is sound and finds somebody.
fn try_out(pattern: PatternSpec, record: &Record<'_>) -> Result<Proposal, String> {
    let spec = FilterSpec {
        name: "learned".parse().map_err(|error| format!("{error}"))?,
        mode: "normal".into(),
        title: String::new(),
        records: RecordsSpec::default(),
        session_by_pid: false,
        failures: vec![pattern.clone()],
        outcome: Outcome::Failure,
        successes: Vec::new(),
        ignores: Vec::new(),
        others: Vec::new(),
        lines: None,
    };
    let filters = FilterSet::compile(vec![spec]).map_err(|errors| {
        let mut reasons = errors.into_iter().map(|error| error.reason);
        reasons.next().unwrap_or_default()
    })?;
    let view = View::from(*record);
    let found = filters.find(FilterId(0), &view);
    let found = found.ok_or("it does not take the line")?;
    let ip = found.ip.ok_or("it finds no address")?;
    Ok(Proposal {
        ip,
        user: found.user.map(|user| user.into_owned()),
        pattern,
    })
}

/// An address in a text, with what belongs to it.
struct Address {
    range: Range<usize>,
    /// Up to where a port goes that follows it.
    port: Option<usize>,
}

/// Patterns over the message, those first that say the most.
fn of_message(message: &str) -> Result<Vec<PatternSpec>, LearnError> {
    let addresses = addresses(message);
    let is_told = |address: &&Address| {
        let before = &message[..address.range.start];
        BEFORE_HOST
            .as_ref()
            .is_some_and(|words| words.is_match(before))
    };
    let chosen = addresses.iter().find(is_told).or(addresses.first());
    let chosen = chosen.ok_or(LearnError::NoAddress)?;
    let user = user(message, &addresses);
    let mut texts = Vec::new();
    for with_user in [true, false] {
        for whole in [true, false] {
            texts.push(written(
                message,
                chosen,
                &addresses,
                user.clone(),
                with_user,
                whole,
            ));
        }
    }
    texts.dedup();
    Ok(texts
        .into_iter()
        .map(|text| pattern(text, Vec::new()))
        .collect())
}

fn pattern(text: String, fields: Vec<(FieldPath, String)>) -> PatternSpec {
    PatternSpec {
        number: 1,
        text,
        fields,
        unless_counted: false,
    }
}

/// The pattern of a message: exact text, but for what is another one next time.
fn written(
    message: &str,
    chosen: &Address,
    addresses: &[Address],
    user: Option<Range<usize>>,
    with_user: bool,
    whole: bool,
) -> String {
    let mut text = "^".to_owned();
    let mut at = 0;
    while at < message.len() {
        if let Some(address) = addresses.iter().find(|one| one.range.start == at) {
            let is_chosen = address.range == chosen.range;
            text.push_str(if is_chosen { "<ip>" } else { "[0-9A-Fa-f.:]+" });
            at = address.port.unwrap_or(address.range.end);
            if address.port.is_some() {
                text.push_str(if is_chosen { ":<port>" } else { "" });
            }
            // What follows may be anything; but with something between them, or it could be a part of the address.
            if is_chosen && !whole {
                let next = message[at..].chars().next();
                if let Some(next) = next.filter(|next| !next.is_ascii_alphanumeric()) {
                    exact(next, &mut text);
                    text.push_str("<text>");
                }
                break;
            }
        } else if let Some(user) = user.as_ref().filter(|user| user.start == at) {
            let end = message[user.end..].chars().next();
            match end {
                _ if with_user => text.push_str("<user>"),
                Some(end) if !end.is_ascii_alphanumeric() => {
                    text.push_str("[^");
                    exact(end, &mut text);
                    text.push_str("]*");
                }
                _ => text.push_str("[^ ]*"),
            }
            at = user.end;
            // A quote that ends it begins no other text.
            if let Some(quote) = end.filter(|end| *end == '"') {
                exact(quote, &mut text);
                at += quote.len_utf8();
            }
        } else {
            // Quotes around an account or an address are no quotes of another text.
            let starts = addresses.iter().map(|address| address.range.start);
            let starts = starts.chain(user.as_ref().map(|user| user.start));
            let end = starts.filter(|start| *start > at).min();
            let end = end.unwrap_or(message.len());
            at += next(&message[at..end], &message[..at], &mut text);
        }
    }
    if whole || !text.ends_with("<text>") {
        text.push('$');
    }
    text
}

/// Writes what the rest of a message begins with; how long that is.
fn next(rest: &str, before: &str, text: &mut String) -> usize {
    let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
    let in_word = before
        .chars()
        .next_back()
        .is_some_and(|sign| sign.is_ascii_alphanumeric());
    // What a web server answers tells failures from others.
    let is_status = digits == 3 && before.ends_with("\" ") && rest.starts_with(['4', '5']);
    if digits > 0 && !in_word && !is_status {
        text.push_str("[0-9]+");
        return digits;
    }
    let letters = rest.bytes().take_while(u8::is_ascii_alphabetic).count();
    let is_month = letters == 3 && rest[3..].starts_with('/') && before.ends_with('/');
    if is_month
        && before
            .trim_end_matches('/')
            .ends_with(|sign: char| sign.is_ascii_digit())
    {
        text.push_str("[A-Za-z]+");
        return letters;
    }
    let quoted = rest.strip_prefix('"').and_then(|inner| inner.find('"'));
    if let Some(length) = quoted {
        text.push_str("\"<agent>\"");
        return length + 2;
    }
    let Some(sign) = rest.chars().next() else {
        return rest.len();
    };
    exact(sign, text);
    sign.len_utf8()
}

/// Writes a sign that stands for itself.
fn exact(sign: char, text: &mut String) {
    match sign {
        '<' => text.push_str("\\x3C"),
        // It would end the text in the file.
        '\'' => text.push_str("\\x27"),
        // They would do things to a terminal, and one that ends a line cannot stand in the file.
        _ if is_odd(sign) => {
            for byte in sign.encode_utf8(&mut [0; 4]).bytes() {
                text.push_str(&format!("\\x{byte:02X}"));
            }
        }
        _ => text.push_str(&regex::escape(sign.encode_utf8(&mut [0; 4]))),
    }
}

/// All addresses in a text.
fn addresses(text: &str) -> Vec<Address> {
    let is_part =
        |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b':' | b'%' | b'_' | b'-');
    let mut found = Vec::new();
    let mut at = 0;
    for word in text.split(|sign: char| !sign.is_ascii() || !is_part(sign as u8)) {
        let start = at;
        // Every sign that parts words is skipped whole.
        at += word.len();
        at += text[at..].chars().next().map_or(0, char::len_utf8);
        let bare = word.trim_end_matches(['.', ':', '-', '_']);
        let host = bare.split('%').next().unwrap_or_default();
        let end = start + bare.len();
        if is_address(host) {
            found.push(Address {
                range: start..end,
                port: None,
            });
        } else if let Some((host, port)) = bare.rsplit_once(':')
            && is_address(host)
            && port.parse::<u16>().is_ok()
        {
            found.push(Address {
                range: start..start + host.len(),
                port: Some(end),
            });
        }
    }
    found
}

fn is_address(word: &str) -> bool {
    // `::` alone says nothing.
    word.len() > 2 && word.parse::<IpAddr>().is_ok()
}

/// Where an account stands.
fn user(message: &str, addresses: &[Address]) -> Option<Range<usize>> {
    let words = BEFORE_USER.as_ref()?;
    for captures in words.captures_iter(message) {
        let start = captures.get(0)?.end();
        let open = captures.get(1).map_or("", |quote| quote.as_str());
        let rest = &message[start..];
        let length = match open {
            "\"" | "'" => rest.find(open),
            "<" => rest.find('>'),
            "[" => rest.find(']'),
            "(" => rest.find(')'),
            _ => Some(rest.find([' ', ',', ';', ')', '"']).unwrap_or(rest.len())),
        };
        let Some(length) = length else { continue };
        let name = &rest[..length];
        let is_address = addresses.iter().any(|one| one.range.start == start);
        let is_word = open.is_empty() && NO_USERS.contains(&name.to_ascii_lowercase().as_str());
        if !name.is_empty() && !is_address && !is_word {
            return Some(start..start + length);
        }
    }
    None
}

/// Patterns over the fields of an object.
fn of_object(object: &Object, text: &[u8]) -> Result<Vec<PatternSpec>, LearnError> {
    let paths = paths(text);
    let value = |path: &str| {
        object
            .get(path)
            .and_then(|value| std::str::from_utf8(value).ok())
    };
    let rank = |path: &&String| {
        let last = path
            .rsplit('.')
            .next()
            .unwrap_or_default()
            .to_ascii_lowercase();
        let known = HOST_FIELDS.iter().position(|name| *name == last);
        known.unwrap_or(HOST_FIELDS.len())
    };
    let hosts = paths
        .iter()
        .filter(|path| value(path).is_some_and(is_address));
    let host = hosts.min_by_key(rank).ok_or(LearnError::NoAddress)?;
    let mut fields = vec![(host.clone(), "^<ip>$".to_owned())];
    for path in &paths {
        let last = path
            .rsplit('.')
            .next()
            .unwrap_or_default()
            .to_ascii_lowercase();
        let Some(value) = value(path) else { continue };
        match last.as_str() {
            "msg" | "message" | "event" | "type" | "error" | "action" | "status" => {
                let mut exactly = "^".to_owned();
                value.chars().for_each(|sign| exact(sign, &mut exactly));
                exactly.push('$');
                fields.push((path.clone(), exactly));
            }
            "user" | "username" | "user_name" | "login" => {
                fields.push((path.clone(), "^<user>$".to_owned()));
            }
            _ => {}
        }
    }
    // There is one <user> at the most.
    let mut users = 0;
    fields.retain(|(_, text)| {
        users += usize::from(text == "^<user>$");
        text != "^<user>$" || users == 1
    });
    let fields = fields
        .into_iter()
        .filter_map(|(path, text)| Some((path.parse().ok()?, text)));
    Ok(vec![pattern(String::new(), fields.collect())])
}

/// The names of all fields that have a simple value, with dots into inner objects.
fn paths(text: &[u8]) -> Vec<String> {
    fn walk(value: &serde_json::Value, path: &str, paths: &mut Vec<String>) {
        match value {
            serde_json::Value::Object(object) => {
                for (name, value) in object {
                    let path = match path {
                        "" => name.clone(),
                        path => format!("{path}.{name}"),
                    };
                    walk(value, &path, paths);
                }
            }
            serde_json::Value::Array(_) | serde_json::Value::Null => {}
            _ => paths.push(path.to_owned()),
        }
    }
    let mut paths = Vec::new();
    if let Ok(value) = serde_json::from_slice(text) {
        walk(&value, "", &mut paths);
    }
    paths
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::engine::time::Timestamp;

    fn proposed(message: &str) -> Result<Proposal, LearnError> {
        propose(&Record::bare(Timestamp::default(), message.as_bytes()))
    }

    #[test]
    fn what_is_another_one_next_time_is_no_exact_text() {
        for (message, pattern, ip, user) in [
            (
                "wrong key for jo from 192.0.2.7 port 9",
                r"^wrong key for <user> from <ip> port [0-9]+$",
                "192.0.2.7",
                Some("jo"),
            ),
            (
                r#"WARN login failed user="a b" client=192.0.2.7:5555 agent="curl 8""#,
                r#"^WARN login failed user="<user>" client=<ip>:<port> agent="<agent>"$"#,
                "192.0.2.7",
                Some("a b"),
            ),
            (
                r#"level=warn msg="login failed" user=jo remote="192.0.2.7:444""#,
                r#"^level=warn msg="<agent>" user=<user> remote="<ip>:<port>"$"#,
                "192.0.2.7",
                Some("jo"),
            ),
            (
                "[2001:db8::7] bad password of user 'x' on 198.51.100.2 (attempt 3)",
                r"^\[<ip>\] bad password of user \x27<user>\x27 on [0-9A-Fa-f.:]+ \(attempt [0-9]+\)$",
                "2001:db8::7",
                Some("x"),
            ),
            (
                "198.51.100.2: refused, rhost=::ffff:192.0.2.7.",
                r"^[0-9A-Fa-f.:]+: refused, rhost=<ip>\.$",
                "192.0.2.7",
                None,
            ),
            (
                r#"{"msg":"no","username":"jo","from":{"remote_ip":"192.0.2.7"},"ip":"198.51.100.2"}"#,
                r"from.remote_ip = ^<ip>$, msg = ^no$, username = ^<user>$",
                "192.0.2.7",
                Some("jo"),
            ),
        ] {
            let proposal = proposed(message).unwrap_or_else(|error| panic!("{message}: {error}"));
            assert_eq!(proposal.pattern.to_string(), pattern, "{message}");
            assert_eq!(proposal.ip.to_string(), ip, "{message}");
            assert_eq!(proposal.user.as_deref(), user, "{message}");
        }
    }

    #[test]
    fn who_cannot_be_blamed_is_not() {
        for message in [
            "",
            "login failed",
            "at 14:10:21 in std::io",
            "{\"msg\":\"no\"}",
        ] {
            let nobody = proposed(message).map(|proposal| proposal.pattern.to_string());
            assert_eq!(nobody, Err(LearnError::NoAddress), "{message}");
        }
    }

    proptest! {
        #[test]
        fn a_proposal_takes_its_line(text in "[a-z0-9 .:=<>'\"()\\[\\]{}é]{0,30}", behind in "[a-z ,;.'\"]{0,9}") {
            let message = format!("{text} from 192.0.2.7{behind}");
            if let Ok(proposal) = proposed(&message) {
                prop_assert!(!proposal.pattern.to_string().is_empty());
            }
        }

        #[test]
        fn no_record_is_too_odd(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = propose(&Record::bare(Timestamp::default(), &bytes));
        }
    }
}
