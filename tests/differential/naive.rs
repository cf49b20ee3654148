//! The slow way: every pattern of a filter by itself, one after the other, in the order of the file.
//!
//! It is written from what patterns promise, with the plain `regex` crate and nothing to make it fast. What the engine
//! says of a record must be what is said here.

use std::borrow::Cow;
use std::net::IpAddr;
use std::ops::Range;

use f2bd::engine::filter::{FilterSet, FilterSpec, Found, PatternSpec, RecordsSpec, Session};
use f2bd::engine::record::object::Object;
use f2bd::engine::record::{LONGEST_MESSAGE, Record};
use regex::bytes::{Captures, Regex, RegexBuilder};
use regex_syntax::hir::{Hir, Look};

/// What the placeholders stand for.
const PLACEHOLDERS: [(&str, &str); 12] = [
    (
        "<ip>",
        r"(?P<ip>(?:[0-9]{1,3}(?:\.[0-9]{1,3}){3}|[0-9A-Fa-f]{0,4}:(?:[0-9A-Fa-f:.]*(?:[0-9A-Fa-f]|::)|:))(?:%[0-9A-Za-z_.-]+)?)",
    ),
    ("<host>", "(?P<host>[0-9A-Za-z:._%-]+)"),
    ("<user>", "(?P<user>(?s:.*))"),
    ("<login>", r"(?P<user>[^\s]+)"),
    ("<target>", "(?P<target>(?s:.*))"),
    ("<forwarded>", "(?P<forwarded>(?s:.*))"),
    ("<word>", r"(?:[^\s]+)"),
    ("<port>", "(?:[0-9]{1,5})"),
    ("<text>", "(?s:.*)"),
    ("<path>", r#"(?s:[^"\\]|\\.)*"#),
    ("<agent>", r#"(?s:[^"\\]|\\.)*"#),
    ("<session>", r"(?P<session>[^\s]+)"),
];

/// A filter that takes its time.
pub struct Naive {
    spec: FilterSpec,
    failures: Vec<Vec<Part>>,
    ignores: Vec<Vec<Part>>,
}

/// A regular expression over the message, or over the field of this name.
struct Part {
    field: Option<String>,
    regex: Regex,
    /// It does not take a text that may have been cut.
    needs_end: bool,
}

/// What one pattern makes of a record.
enum Outcome<'r> {
    Failure(Found<'r>),
    /// The next one may try.
    Next,
    /// No other one may.
    Over,
}

impl Naive {
    /// The same filter; [`FilterSet::compile`] must take it.
    pub fn new(spec: FilterSpec) -> Self {
        let failures = spec.failures.iter().map(|pattern| {
            // Whoever stands in a pattern without an address is held as what an ignore pattern asks for.
            let needs_end = match names_an_address(pattern) {
                true => address_is_held_by_the_end,
                false => looks_at_the_end,
            };
            parts(pattern, needs_end)
        });
        let ignores = spec.ignores.iter();
        let ignores = ignores.map(|pattern| parts(pattern, looks_at_the_end));
        Naive {
            failures: failures.collect(),
            ignores: ignores.collect(),
            spec,
        }
    }

    /// The failure that a record is, if it is no report.
    pub fn find<'r>(&self, record: &Record<'r>) -> Option<Found<'r>> {
        let programs = &self.spec.records.programs;
        let is_named = programs.iter().any(|name| **name == *record.program);
        if !(programs.is_empty() || record.program.is_empty() || is_named) {
            return None;
        }
        let object = object(record);
        let mut found = self.first_failure(record, object.as_ref())?;
        let mut ignores = self.ignores.iter();
        if ignores.any(|parts| all_captures(parts, record, object.as_ref()).is_some()) {
            return None;
        }
        if self.spec.session_by_pid && found.session.is_none() {
            found.session = record.pid.map(Session::Process);
        }
        Some(found)
    }

    fn first_failure<'r>(&self, record: &Record<'r>, object: Option<&Object>) -> Option<Found<'r>> {
        for (pattern, parts) in self.spec.failures.iter().zip(&self.failures) {
            match attempt(pattern, parts, record, object) {
                Outcome::Failure(found) => return Some(found),
                Outcome::Next => {}
                Outcome::Over => return None,
            }
        }
        None
    }
}

fn parts(pattern: &PatternSpec, needs_end: fn(&str) -> bool) -> Vec<Part> {
    let over_message = !pattern.text.is_empty() || pattern.fields.is_empty();
    let message = over_message.then_some((None, &pattern.text));
    let fields = pattern.fields.iter();
    let fields = fields.map(|(path, text)| (Some(path.as_str().to_owned()), text));
    message
        .into_iter()
        .chain(fields)
        .map(|(field, text)| Part {
            field,
            regex: RegexBuilder::new(&expanded(text))
                .unicode(false)
                .dot_matches_new_line(true)
                .build()
                .expect("a regular expression"),
            needs_end: needs_end(text) || port_may_end(text),
        })
        .collect()
}

/// The regular expression that a pattern without escaped signs before `<` stands for.
pub fn expanded(text: &str) -> String {
    PLACEHOLDERS
        .iter()
        .fold(text.to_owned(), |text, (name, regex)| {
            text.replace(name, regex)
        })
}

/// Its structure.
pub fn parsed(text: &str) -> Hir {
    regex_syntax::ParserBuilder::new()
        .unicode(false)
        .utf8(false)
        .dot_matches_new_line(true)
        .build()
        .parse(&expanded(text))
        .expect("a regular expression")
}

fn names_an_address(pattern: &PatternSpec) -> bool {
    let fields = pattern.fields.iter().map(|(_, text)| text);
    let mut texts = fields.chain([&pattern.text]);
    texts.any(|text| text.contains("<ip>") || text.contains("<host>"))
}

/// Whether `$` is what holds the address, or what a proxy says: without it the pattern would not be taken.
fn address_is_held_by_the_end(text: &str) -> bool {
    if text.contains("<forwarded>") {
        return true;
    }
    let has_address = text.contains("<ip>") || text.contains("<host>");
    let open = text.strip_suffix('$').map(|text| format!("{text} "));
    has_address && open.is_some_and(|open| !is_sound(&open))
}

fn is_sound(text: &str) -> bool {
    FilterSet::compile(vec![FilterSpec {
        name: "probe".parse().expect("a name"),
        mode: "".into(),
        title: String::new(),
        records: RecordsSpec::default(),
        session_by_pid: false,
        failures: vec![PatternSpec {
            number: 1,
            text: text.to_owned(),
            fields: Vec::new(),
            unless_counted: false,
        }],
        ignores: Vec::new(),
        others: Vec::new(),
        lines: None,
        outcome: f2bd::engine::filter::Outcome::Failure,
        successes: Vec::new(),
    }])
    .is_ok()
}

fn looks_at_the_end(text: &str) -> bool {
    let hir = parsed(text);
    let mut looks = hir.properties().look_set().iter();
    looks.any(|look| look != Look::Start)
}

/// The object that a record was made of or that its whole message is.
fn object(record: &Record<'_>) -> Option<Object> {
    let text = match record.object() {
        b"" if record.message.len() >= LONGEST_MESSAGE => return None,
        b"" => record.message,
        object => object,
    };
    let mut object = Object::default();
    (text.starts_with(b"{") && object.read(text)).then_some(object)
}

/// What is looked at of a text.
fn bounded(text: &[u8]) -> &[u8] {
    &text[..text.len().min(LONGEST_MESSAGE)]
}

/// Each part's text and what it captured there; `None` if one of them does not match.
fn all_captures<'t>(
    parts: &[Part],
    record: &Record<'t>,
    object: Option<&'t Object>,
) -> Option<Vec<(&'t [u8], Captures<'t>)>> {
    let each = parts.iter().map(|part| {
        let text = match &part.field {
            None => record.message,
            Some(path) => object?.get(path)?,
        };
        let text = bounded(text);
        let is_whole = text.len() < LONGEST_MESSAGE;
        let captures = part.regex.captures(text)?;
        (is_whole || !part.needs_end).then_some((text, captures))
    });
    each.collect()
}

/// One pattern before one record.
fn attempt<'r>(
    pattern: &PatternSpec,
    parts: &[Part],
    record: &Record<'r>,
    object: Option<&Object>,
) -> Outcome<'r> {
    let Some(matched) = all_captures(parts, record, object) else {
        return Outcome::Next;
    };
    let capture = |name| {
        let mut parts = matched.iter();
        parts.find_map(|(text, captures)| Some((*text, captures.name(name)?.range())))
    };
    let (strict, named) = (capture("ip"), capture("host"));
    let is_strict = strict.is_some();
    // Some patterns tell of accounts and the like, whoever tried them.
    let (host, ip) = match strict.or(named) {
        Some((text, range)) => {
            let Ok(host) = String::from_utf8(text[range.clone()].to_vec()) else {
                return Outcome::Next;
            };
            // A zone is no part of the address.
            let address = host.split('%').next().unwrap_or_default();
            let ip = address.parse().ok().map(|ip: IpAddr| ip.to_canonical());
            if ip.is_none() && (is_strict || !is_name(&host)) {
                return Outcome::Next;
            }
            if is_doubtful(text, range, ip, has_port(pattern)) {
                return Outcome::Over;
            }
            (host, ip)
        }
        None => (String::new(), None),
    };
    let lossy = |name| {
        let (text, range): (&[u8], Range<usize>) = capture(name)?;
        Some(Cow::Owned(
            String::from_utf8_lossy(&text[range]).into_owned(),
        ))
    };
    let by_fields = !pattern.fields.is_empty() && !record.object().is_empty();
    Outcome::Failure(Found {
        pattern: pattern.number,
        ip,
        user: lossy("user"),
        target: lossy("target"),
        forwarded: lossy("forwarded"),
        session: lossy("session").map(Session::Captured),
        host: Cow::Owned(host),
        unless_counted: pattern.unless_counted,
        said: None,
        line: bounded(if by_fields {
            record.object()
        } else {
            record.message
        }),
    })
}

/// Whether a port always follows the address, so that the last colon parts them.
fn has_port(pattern: &PatternSpec) -> bool {
    let fields = pattern.fields.iter().map(|(_, text)| text);
    let mut texts = fields.chain([&pattern.text]);
    texts.any(|text| {
        let behind = text.split_once("<ip>:<port>").map(|(_, behind)| behind);
        behind.is_some_and(|behind| {
            !behind.is_empty()
                && !behind.starts_with(['?', '*'])
                && (!may_be_missing(behind) || behind.ends_with('$'))
        })
    })
}

/// Whether a port ends the message, or might.
fn port_may_end(text: &str) -> bool {
    let behind = text.split_once("<ip>:<port>").map(|(_, behind)| behind);
    behind.is_some_and(|behind| behind.ends_with('$') && (behind == "$" || may_be_missing(behind)))
}

/// Whether the first piece of a pattern, a group perhaps, may be missing.
fn may_be_missing(pattern: &str) -> bool {
    let (mut depth, mut in_class, mut is_escaped) = (0, false, false);
    for (at, sign) in pattern.char_indices() {
        match sign {
            _ if is_escaped => is_escaped = false,
            '\\' => {
                is_escaped = true;
                continue;
            }
            ']' => in_class = false,
            _ if in_class => {}
            '[' => in_class = true,
            '(' => depth += 1,
            ')' => depth -= 1,
            _ => {}
        }
        if depth == 0 && !in_class {
            return pattern[at + sign.len_utf8()..].starts_with(['?', '*']);
        }
    }
    false
}

/// A name has a letter, begins with a letter or a digit, and no sign of an address.
fn is_name(host: &str) -> bool {
    let begins = host
        .chars()
        .next()
        .is_some_and(|sign| sign.is_ascii_alphanumeric());
    let letters = host.chars().any(|sign| sign.is_ascii_alphabetic());
    begins && letters && !host.contains(':') && !host.contains('%')
}

/// Whether the address may be a part of something longer than what was taken.
fn is_doubtful(text: &[u8], range: Range<usize>, ip: Option<IpAddr>, has_port: bool) -> bool {
    // What lies outside the text is as good as a blank, unless the text was cut there.
    let at = |place: Option<usize>| {
        place
            .and_then(|place| text.get(place))
            .copied()
            .unwrap_or(b' ')
    };
    let was_cut = text.len() == LONGEST_MESSAGE && range.end > text.len() - 2;
    let mut before = text[..range.start].iter().rev();
    let goes_before = match before.next() {
        // A colon ends an address that is cut off here, if digits of one or another colon stand before it.
        Some(b':') => {
            let word: Vec<u8> = before
                .clone()
                .copied()
                .take_while(u8::is_ascii_alphanumeric)
                .collect();
            let group = !word.is_empty() && word.iter().all(u8::is_ascii_hexdigit);
            group || before.next() == Some(&b':')
        }
        Some(b'.' | b'_' | b'-' | b'%') => true,
        Some(sign) => sign.is_ascii_alphanumeric(),
        None => false,
    };
    let (next, after) = (at(Some(range.end)), at(range.end.checked_add(1)));
    let goes_on = match next {
        b'.' => after.is_ascii_alphanumeric(),
        b':' => {
            !has_port
                && !matches!(ip, Some(IpAddr::V4(_)))
                && (after == b':' || after.is_ascii_hexdigit())
        }
        _ => next.is_ascii_alphanumeric(),
    };
    was_cut || goes_before || goes_on
}
