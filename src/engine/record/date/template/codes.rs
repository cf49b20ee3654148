//! Which text does a code of a date template stand for?
//!
//! In: `%d/%b/%ExY`. Out: an expression, with one group for each code that tells something; the groups have the names
//! of [`Field`]. Where such a text may stand in a line is not known here.

use super::DateTemplateError;

/// What a group of a template tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Field {
    Year,
    YearOfCentury,
    Month,
    MonthName,
    Day,
    DayOfYear,
    Hour,
    HourOfTwelve,
    Half,
    Minute,
    Second,
    Fraction,
    Zone,
    /// Of the week, by its name.
    DayName,
    /// Of the week, 0 is Sunday.
    DayOfWeek,
    /// Of the year; the first one begins with its first Sunday, what is before is week 0.
    WeekFromSunday,
    /// Likewise with Monday.
    WeekFromMonday,
    Epoch,
    Tai64,
}

/// The name of the group that holds a number since the epoch: nobody's own group is called so.
pub const EPOCH: &str = "f2bd_epoch";
/// Likewise of a label of TAI64N.
pub const TAI64: &str = "f2bd_tai64";

impl Field {
    /// What the group `name` tells; people may name groups of their own so.
    pub fn named(name: &str) -> Option<Field> {
        Some(match name {
            "Y" => Field::Year,
            "y" => Field::YearOfCentury,
            "m" => Field::Month,
            "b" | "B" => Field::MonthName,
            "d" => Field::Day,
            "j" => Field::DayOfYear,
            "H" => Field::Hour,
            "I" => Field::HourOfTwelve,
            "p" => Field::Half,
            "M" => Field::Minute,
            "S" => Field::Second,
            "f" => Field::Fraction,
            "z" | "Z" => Field::Zone,
            "a" | "A" => Field::DayName,
            "w" => Field::DayOfWeek,
            "U" => Field::WeekFromSunday,
            "W" => Field::WeekFromMonday,
            EPOCH => Field::Epoch,
            TAI64 => Field::Tai64,
            _ => return None,
        })
    }
}

/// The expression that `text` is with its codes.
pub fn expanded(text: &str) -> Result<String, DateTemplateError> {
    let mut expression = String::new();
    let mut rest = text;
    while let Some(at) = rest.find('%') {
        expression.push_str(&rest[..at]);
        rest = &rest[at + 1..];
        let long = rest
            .strip_prefix("Ex")
            .and_then(|rest| rest.chars().next())
            .map_or(1, |letter| 2 + letter.len_utf8());
        let code = match rest.get(..long) {
            Some(code) => code,
            None => rest,
        };
        let unknown = || DateTemplateError::UnknownCode {
            pattern: text.to_owned(),
            code: format!("%{code}"),
        };
        expression.push_str(&meaning(code).ok_or_else(unknown)?);
        rest = &rest[code.len()..];
    }
    expression.push_str(rest);
    Ok(expression)
}

/// Whether a code of `text` tells something by letters, which are then read in any case, like all of the text.
pub fn has_names(text: &str) -> bool {
    let mut rest = text;
    while let Some(at) = rest.find('%') {
        rest = &rest[at + 1..];
        match rest.chars().next() {
            Some('a' | 'A' | 'b' | 'B' | 'p' | 'c') => return true,
            Some(letter) => rest = &rest[letter.len_utf8()..],
            None => {}
        }
    }
    false
}

fn meaning(code: &str) -> Option<String> {
    // Which of several alternatives comes first decides what is read, and must stay. None begins or ends with a blank,
    // which would be trimmed.
    let (name, expression) = match code {
        "%" => return Some("%".to_owned()),
        "c" => return expanded("%a %b %d %H:%M:%S %Y").ok(),
        "x" => return expanded("%m/%d/%y").ok(),
        "X" => return expanded("%H:%M:%S").ok(),
        "Y" => ("Y", "[0-9]{4}"),
        // Numbers of any other century are no years of logs.
        "ExY" => ("Y", "20[0-9]{2}"),
        "y" | "Exy" => ("y", "[0-9]{2}"),
        "m" => ("m", "0?[1-9]|1[0-2]"),
        "Exm" => ("m", "0[1-9]|1[0-2]"),
        "b" => ("b", "jan|feb|mar|apr|may|jun|jul|aug|sep|oct|nov|dec"),
        "B" => (
            "B",
            "january|february|march|april|may|june|july|august|september|october|november|december",
        ),
        "d" => ("d", "[12][0-9]|[0 ]?[1-9]|3[01]"),
        "Exd" => ("d", "[12][0-9]|0[1-9]|3[01]"),
        "j" => (
            "j",
            "36[0-6]|3[0-5][0-9]|[12][0-9]{2}|0[1-9][0-9]|00[1-9]|[1-9][0-9]|0[1-9]|[1-9]",
        ),
        "H" => ("H", "[01]?[0-9]|2[0-3]"),
        "ExH" => ("H", "[01][0-9]|2[0-3]"),
        "k" => return Some("[ ]?(?P<H>[0-2]?[0-9])".to_owned()),
        "Exk" => return Some("[ ]?(?P<H>[01]?[0-9]|2[0-3])".to_owned()),
        "I" => ("I", "1[0-2]|0[1-9]|[1-9]"),
        "l" => return Some("[ ]?(?P<I>1?[0-9])".to_owned()),
        "Exl" => return Some("[ ]?(?P<I>1[0-2]|[0-9])".to_owned()),
        "p" => ("p", "am|pm"),
        "M" => ("M", "[0-5]?[0-9]"),
        "ExM" => ("M", "[0-5][0-9]"),
        "S" => ("S", "[0-5]?[0-9]|6[01]"),
        "ExS" => ("S", "[0-5][0-9]|6[01]"),
        "f" => ("f", "[0-9]{1,6}"),
        "z" => ("z", "Z|UTC|GMT|[+-][01][0-9](?::?[0-9]{2})?"),
        "Z" => ("Z", "Z|[A-Z]{3,5}"),
        "Exz" => (
            "z",
            "(?:[A-Z](?:[A-Z]{2,4})?)?[+-][01][0-9](?::?[0-9]{2})?|[A-Z](?:[A-Z]{2,4})?",
        ),
        "ExZ" => ("Z", "[A-Z](?:[A-Z]{2,4})?"),
        "a" => ("a", "mon|tue|wed|thu|fri|sat|sun"),
        "A" => (
            "A",
            "monday|tuesday|wednesday|thursday|friday|saturday|sunday",
        ),
        "w" => ("w", "[0-6]"),
        "U" | "W" => (code, "5[0-3]|[0-4][0-9]|[0-9]"),
        // The year, week and day of ISO 8601 are not looked at.
        "G" => ("G", "[0-9]{4}"),
        "V" => ("V", "5[0-3]|0[1-9]|[1-4][0-9]|[0-9]"),
        "u" => ("u", "[1-7]"),
        _ => return None,
    };
    Some(format!("(?P<{name}>{expression})"))
}
