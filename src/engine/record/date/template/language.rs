//! What does the text of a date template say?
//!
//! In: one template, such as `{^LN-BEG}%ExY-%m-%d` or `^\[({DATE})\]`. Out: the expressions that it stands for, in the
//! order in which they are tried, with the part to be cut out as their first group.
//!
//! | text | means |
//! |---|---|
//! | `%Y`, `%ExH` … | a number or name, see [`expanded`] |
//! | `{^LN-BEG}` first | begins its line, with up to two signs before it |
//! | `{UNB}` first | may begin and end within words, as does `**` at one of its ends alone |
//! | `{DATE}` | any of the usual templates |
//! | `{EPOCH}`, `{LEPOCH}` | seconds since the epoch; or else milliseconds, or microseconds |
//! | a group | what is cut out, instead of all that was found |
//!
//! The rest is an expression.

use super::codes::{EPOCH, TAI64, expanded, has_names};
use super::usual;
use super::{DateTemplateError, NONE};

/// Seconds since the epoch.
const SECONDS: &str = r"[0-9]{10,11}\b(?:\.[0-9]{3,6})?";
/// These, or milliseconds, or microseconds.
const LONG: &str = r"[0-9]{10,11}(?:[0-9]{3}(?:\.[0-9]{1,6}|[0-9]{3})?)?";
/// A label of TAI64N.
const LABEL: &str = "@[0-9a-f]{24}";

/// Not within a word: one of the two neighbours is of none, or there is only one.
const EDGE: &str = r"(?:\b{start-half}|\b{end-half})";

/// A date that begins its line has up to so many signs before it.
const AT_HEAD: &str = r"^[\W&&[\x00-\x7F]]{0,2}";

/// Where a template may stand in its line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Start {
    Anywhere,
    AtEdge,
    AtHead,
}

/// Turns an expression of somebody else's dialect into ours.
pub type Translate<'t> = &'t dyn Fn(&str) -> Result<String, String>;

/// The expressions that `pattern` stands for.
pub fn expressions(pattern: &str, translate: Translate) -> Result<Vec<String>, DateTemplateError> {
    if pattern.eq_ignore_ascii_case(NONE) {
        return Ok(vec!["^()".to_owned()]);
    }
    if let Some(alone) = alone(pattern) {
        return Ok(vec![alone]);
    }
    let told = Told { pattern, translate };
    if let Some((before, after)) = around(pattern, "{DATE}") {
        return told.with_any_date(before, after);
    }
    for (name, digits) in [("{EPOCH}", SECONDS), ("{LEPOCH}", LONG)] {
        if let Some((before, after)) = around(pattern, name) {
            let (marker, before) = before.split_at(marker(before).len());
            let all = format!("{marker}({before}(?P<{EPOCH}>{digits}){after})");
            return Ok(vec![told.expression(&all, false)?]);
        }
    }
    same_again(pattern)
        .iter()
        .map(|text| told.expression(&expanded(text)?, has_names(text)))
        .collect()
}

/// A template that is nothing but a number.
fn alone(pattern: &str) -> Option<String> {
    let name = pattern.to_ascii_uppercase();
    let (at_head, word) = match name.strip_prefix(LINE_BEGIN).or(name.strip_prefix('^')) {
        Some(word) => (true, word),
        None => (false, name.as_str()),
    };
    Some(match word {
        "EPOCH" => epoch(SECONDS, at_head),
        "LEPOCH" => epoch(LONG, at_head),
        "TAI64N" => tai64(at_head),
        _ => return None,
    })
}

/// A number alone: at the head, in square brackets there, or as auditd writes it.
fn epoch(digits: &str, at_head: bool) -> String {
    let before = match at_head {
        true => AT_HEAD,
        false => r"(?:^\[?|\baudit\()",
    };
    format!("{before}((?P<{EPOCH}>{digits})){EDGE}")
}

fn tai64(at_head: bool) -> String {
    let before = if at_head { AT_HEAD } else { "" };
    format!("{before}((?P<{TAI64}>{LABEL})){EDGE}")
}

/// A template that somebody wrote, and his dialect.
struct Told<'t> {
    pattern: &'t str,
    translate: Translate<'t>,
}

impl Told<'_> {
    fn wrong(&self, reason: String) -> DateTemplateError {
        DateTemplateError::Expression {
            pattern: self.pattern.to_owned(),
            reason,
        }
    }

    /// Any of the usual templates, with what stands before and behind it.
    fn with_any_date(&self, before: &str, after: &str) -> Result<Vec<String>, DateTemplateError> {
        if around(after, "{DATE}").is_some() {
            return Err(self.wrong("{DATE} stands in it twice".to_owned()));
        }
        let ignores_case = has_names(before) || has_names(after);
        let (before, after) = (expanded(before)?, expanded(after)?);
        let with = |text: &String| {
            if let Some(alone) = alone(&format!("{before}{text}{after}")) {
                return Ok(alone);
            }
            let date = match text.as_str() {
                "EPOCH" => format!("(?P<{EPOCH}>{SECONDS})"),
                "TAI64N" => format!("(?P<{TAI64}>{LABEL})"),
                text => expanded(text.strip_prefix(LINE_BEGIN).unwrap_or(text))?,
            };
            let ignores_case = ignores_case || has_names(text);
            self.expression(&format!("{before}{date}{after}"), ignores_case)
        };
        usual::texts().iter().map(with).collect()
    }

    /// `text`, in which nothing is left but an expression, and where it may stand.
    fn expression(&self, text: &str, ignores_case: bool) -> Result<String, DateTemplateError> {
        let marker = marker(text);
        let (start, end) = match marker {
            UNBOUND => (Start::Anywhere, Start::Anywhere),
            LINE_BEGIN => (Start::AtHead, Start::AtEdge),
            _ => (Start::AtEdge, Start::AtEdge),
        };
        let text = text[marker.len()..].trim_end();
        // Blanks before a date with names belong to it, those before any other do not.
        let (mut flags, text) = without_flags(match ignores_case {
            true => text,
            false => text.trim_start(),
        });
        if ignores_case && !flags.contains('i') {
            flags.push('i');
        }
        let start = match tells_start(&text) {
            true => Start::Anywhere,
            false => start,
        };
        let end = match tells_end(&text) {
            true => Start::Anywhere,
            false => end,
        };
        let text = without_stars(&text);
        let text = match has_group(&text) {
            true => text,
            false => grouped(&text),
        };
        let text = (self.translate)(&text).map_err(|reason| self.wrong(reason))?;
        let flags = match flags.is_empty() {
            true => flags,
            false => format!("(?{flags})"),
        };
        let edge = |place: Start| match place {
            Start::Anywhere => "",
            Start::AtEdge => EDGE,
            Start::AtHead => AT_HEAD,
        };
        Ok(format!("{flags}{}{text}{}", edge(start), edge(end)))
    }
}

/// Marks a template that begins its line.
const LINE_BEGIN: &str = "{^LN-BEG}";
/// Marks a template that may stand within a word.
const UNBOUND: &str = "{UNB}";

/// The mark that `text` begins with; empty if there is none.
fn marker(text: &str) -> &'static str {
    let mut marks = [LINE_BEGIN, UNBOUND].into_iter();
    let mark = marks.find(|mark| text.starts_with(*mark));
    mark.unwrap_or_default()
}

/// What stands before and behind the first `name` in `text`, in any case, unless a backslash stands before it.
fn around<'t>(text: &'t str, name: &str) -> Option<(&'t str, &'t str)> {
    text.match_indices('{').find_map(|(at, _)| {
        let here = text.get(at..at + name.len())?;
        let found = here.eq_ignore_ascii_case(name) && !text[..at].ends_with('\\');
        found.then(|| (&text[..at], &text[at + name.len()..]))
    })
}

/// The flags `(?i)` of `text`, wherever they stand, and the rest of it.
fn without_flags(text: &str) -> (String, String) {
    let (mut flags, mut rest) = (String::new(), String::new());
    let mut left = text;
    while let Some(at) = left.find("(?") {
        let inside = &left[at + 2..];
        let letters = inside.bytes().take_while(u8::is_ascii_lowercase).count();
        let is_flag = letters > 0 && inside[letters..].starts_with(')');
        if is_flag && !left[..at].ends_with('\\') {
            let ours = inside[..letters]
                .chars()
                .filter(|flag| "imsx".contains(*flag));
            flags.extend(ours);
            rest.push_str(&left[..at]);
            left = &inside[letters + 1..];
        } else {
            rest.push_str(&left[..at + 2]);
            left = inside;
        }
    }
    rest.push_str(left);
    (flags, rest)
}

/// Whether `text` says itself where it may begin.
fn tells_start(text: &str) -> bool {
    let inner = text.trim_start_matches('(');
    let starts = ["^", "?:^", "**"];
    starts.into_iter().any(|start| inner.starts_with(start))
}

/// Whether `text` says itself where it may end.
fn tells_end(text: &str) -> bool {
    let inner = text.strip_suffix(')').unwrap_or(text);
    let inner = match inner.ends_with('$') {
        true => inner,
        false => text,
    };
    let stars = text.trim_end_matches(')');
    ["$", r"\b", r"\s"].into_iter().any(|end| {
        inner
            .strip_suffix(end)
            .is_some_and(|rest| !rest.ends_with('\\'))
    }) || stars
        .strip_suffix("**")
        .is_some_and(|rest| !rest.ends_with('\\'))
}

/// `text` without `**` at its ends.
fn without_stars(text: &str) -> String {
    let opening = text.len() - text.trim_start_matches('(').len();
    let (open, text) = text.split_at(opening);
    let text = text.strip_prefix("**").unwrap_or(text);
    let inner = text.trim_end_matches(')');
    let close = &text[inner.len()..];
    let inner = match inner.strip_suffix("**") {
        Some(without) if !without.ends_with('\\') => without,
        _ => inner,
    };
    format!("{open}{inner}{close}")
}

/// Whether `text` has a group without a name.
fn has_group(text: &str) -> bool {
    let mut escaped = false;
    let mut bytes = text.bytes().peekable();
    while let Some(byte) = bytes.next() {
        if escaped {
            escaped = false;
        } else if byte == b'\\' {
            escaped = true;
        } else if byte == b'(' && bytes.peek() != Some(&b'?') {
            return true;
        }
    }
    false
}

/// All of `text` in a group, without its anchors.
fn grouped(text: &str) -> String {
    let (start, text) = match text.strip_prefix('^') {
        Some(text) => ("^", text),
        None => ("", text),
    };
    let (text, end) = match text.strip_suffix('$') {
        Some(text) if !text.ends_with('\\') => (text, "$"),
        _ => (text, ""),
    };
    format!("{start}({text}){end}")
}

/// `(?P<sep>[-/])%m(?P=sep)` with each of the signs in turn, so that nothing refers back: a text that says no such
/// thing, alone.
fn same_again(text: &str) -> Vec<String> {
    separator(text).unwrap_or_else(|| vec![text.to_owned()])
}

fn separator(text: &str) -> Option<Vec<String>> {
    let (_, name) = text.split_once("(?P=")?;
    let (name, _) = name.split_once(')')?;
    let back = format!("(?P={name})");
    let (before, signs) = text.split_once(&format!("(?P<{name}>["))?;
    let (signs, after) = signs.split_once("])")?;
    let plain = |sign: char| !r"\^[".contains(sign) && sign.is_ascii();
    let is_range = signs.len() > 2 && signs[1..signs.len() - 1].contains('-');
    if signs.is_empty() || is_range || !signs.chars().all(plain) {
        return None;
    }
    let each = signs.chars().map(|sign| {
        let sign = match sign.is_ascii_punctuation() {
            true => format!("\\{sign}"),
            false => sign.to_string(),
        };
        format!("{before}(?P<{name}>{sign}){}", after.replace(&back, &sign))
    });
    Some(each.collect())
}
