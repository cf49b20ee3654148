//! What does the text of a date template say?
//!
//! In: one template, such as `{^LN-BEG}%ExY-%m-%d` or `^\[({DATE})\]`. Out: the expressions that it stands for, in the
//! order in which they are tried, with the part to be cut out as a group.
//!
//! | text | means |
//! |---|---|
//! | `%Y`, `%ExH` … | a number or name, see [`expanded`] |
//! | `{^LN-BEG}` first | begins its line, with up to two signs before it |
//! | `{UNB}` first | may begin and end within words, as does `**` at one of its ends alone |
//! | `{DATE}` | any of the usual templates |
//! | `{EPOCH}`, `{LEPOCH}` | seconds since the epoch; or else milliseconds, or microseconds |
//! | a group `cut`, or else the first without a name | what is cut out, instead of all that was found |
//! | `(?P<sep>[-/])%m\k<sep>` | the same sign twice |
//!
//! The rest is an expression.

use super::codes::{EPOCH, TAI64, expanded, has_names};
use super::placed::{Place, Placed};
use super::usual;
use super::{DateTemplateError, NONE};

/// Seconds since the epoch.
const SECONDS: &str = r"[0-9]{10,11}\b(?:\.[0-9]{3,6})?";
/// These, or milliseconds, or microseconds.
const LONG: &str = r"[0-9]{10,11}(?:[0-9]{3}(?:\.[0-9]{1,6}|[0-9]{3})?)?";
/// A label of TAI64N.
const LABEL: &str = "@[0-9a-f]{24}";

/// The expressions that `pattern` stands for.
pub fn expressions(pattern: &str) -> Result<Vec<Placed>, DateTemplateError> {
    if pattern.eq_ignore_ascii_case(NONE) {
        return Ok(vec![Placed::new(
            "^()",
            Place::Anywhere,
            Place::Anywhere,
            false,
        )]);
    }
    if let Some(alone) = alone(pattern) {
        return Ok(vec![alone]);
    }
    if let Some((before, after)) = around(pattern, "{DATE}") {
        if around(after, "{DATE}").is_some() {
            return Err(DateTemplateError::Expression {
                pattern: pattern.to_owned(),
                reason: "{DATE} stands in it twice".to_owned(),
            });
        }
        return with_any_date(before, after);
    }
    for (name, digits) in [("{EPOCH}", SECONDS), ("{LEPOCH}", LONG)] {
        if let Some((before, after)) = around(pattern, name) {
            let (marker, before) = before.split_at(marker(before).len());
            let all = format!("{marker}({before}(?P<{EPOCH}>{digits}){after})");
            return Ok(vec![expression(&all, false)]);
        }
    }
    same_again(pattern)
        .iter()
        .map(|text| Ok(expression(&expanded(text)?, has_names(text))))
        .collect()
}

/// A template that is nothing but a number.
fn alone(pattern: &str) -> Option<Placed> {
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
fn epoch(digits: &str, at_head: bool) -> Placed {
    let number = format!("((?P<{EPOCH}>{digits}))");
    match at_head {
        true => Placed::new(&number, Place::Head, Place::Edge, false),
        false => {
            let text = format!(r"(?:^\[?|\baudit\(){number}");
            Placed::new(&text, Place::Anywhere, Place::Edge, false)
        }
    }
}

fn tai64(at_head: bool) -> Placed {
    let start = if at_head {
        Place::Head
    } else {
        Place::Anywhere
    };
    let text = format!("((?P<{TAI64}>{LABEL}))");
    Placed::new(&text, start, Place::Edge, false)
}

/// Any of the usual templates, with what stands before and behind it.
fn with_any_date(before: &str, after: &str) -> Result<Vec<Placed>, DateTemplateError> {
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
        Ok(expression(&format!("{before}{date}{after}"), ignores_case))
    };
    usual::texts().iter().map(with).collect()
}

/// `text`, in which nothing is left but an expression and its mark.
fn expression(text: &str, ignores_case: bool) -> Placed {
    let marker = marker(text);
    let text = text[marker.len()..].trim_end();
    // Blanks before a date with names belong to it, those before any other do not.
    let text = match ignores_case {
        true => text,
        false => text.trim_start(),
    };
    let (start, end) = match marker {
        UNBOUND => (Place::Anywhere, Place::Anywhere),
        LINE_BEGIN => (Place::Head, Place::Edge),
        _ => (Place::Edge, Place::Edge),
    };
    Placed::new(text, start, end, ignores_case)
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

/// `(?P<sep>[-/])%m\k<sep>` with each of the signs in turn, so that nothing refers back: a text that says no such
/// thing, alone.
fn same_again(text: &str) -> Vec<String> {
    separator(text).unwrap_or_else(|| vec![text.to_owned()])
}

fn separator(text: &str) -> Option<Vec<String>> {
    let (_, name) = text.split_once(r"\k<")?;
    let (name, _) = name.split_once('>')?;
    let (before, signs) = text.split_once(&format!("(?P<{name}>["))?;
    let (signs, after) = signs.split_once("])")?;
    let mut each = Vec::new();
    let mut rest = signs.chars();
    while let Some(sign) = rest.next() {
        let sign = match sign {
            '\\' => rest.next().filter(char::is_ascii_punctuation)?,
            // A range of signs, or something else than signs.
            '-' if !each.is_empty() && !rest.as_str().is_empty() => return None,
            '^' | '[' | '&' | '~' => return None,
            sign => sign,
        };
        let sign = match sign.is_ascii_punctuation() {
            true => format!("\\{sign}"),
            false => sign.to_string(),
        };
        let after = after.replace(&format!(r"\k<{name}>"), &sign);
        each.push(format!("{before}(?P<{name}>{sign}){after}"));
    }
    (!each.is_empty()).then_some(each)
}
