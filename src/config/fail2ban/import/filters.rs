//! How is a filter of Fail2ban's written as a filter file?

use std::fmt::Write as _;

use jiff::Timestamp;
use jiff::tz::TimeZone;

use super::super::expression::of_date;
use super::text::literal;
use crate::engine::filter::FilterSpec;
use crate::engine::record::date::template::DateTemplates;

/// The date of a filter that looks for none.
const NO_DATE: &str = "{NONE}";

/// The file, where `date` is what Fail2ban's says of dates.
///
/// # Errors
/// Why it cannot be written.
pub fn file(spec: &FilterSpec, date: Option<&str>) -> Result<String, String> {
    let rules = spec
        .lines
        .as_ref()
        .ok_or_else(|| format!("the filter `{}` is not over lines", spec.name))?;
    let mut text = format!("title = {}\n\n[lines]\n", literal(&spec.title));
    if let Some(prefix) = &rules.prefix {
        line(&mut text, "prefix", &literal(prefix));
    }
    match &rules.dates {
        None => line(&mut text, "date", &literal(NO_DATE)),
        Some(dating) => {
            if let Some(date) = date {
                let date = own_date(date, &dating.templates).ok_or_else(|| {
                    format!(
                        "the dates of the filter `{}` cannot be written in f2bd's words",
                        spec.name
                    )
                })?;
                line(&mut text, "date", &literal(&date));
            }
            if dating.zone != TimeZone::system() {
                line(&mut text, "timezone", &literal(&zone(&dating.zone)));
            }
        }
    }
    if rules.window.get() > 1 {
        line(&mut text, "together", &rules.window.to_string());
    }
    let kinds = [("failure", &spec.failures), ("ignore", &spec.ignores)];
    for (kind, patterns) in kinds {
        for pattern in patterns {
            // Writing to a String cannot fail.
            let _ = write!(text, "\n[[{kind}]]\npattern = {}\n", literal(&pattern.text));
        }
    }
    Ok(text)
}

fn line(text: &mut String, key: &str, value: &str) {
    // Writing to a String cannot fail.
    let _ = writeln!(text, "{key} = {value}");
}

/// Names of dates, each with letters that stand for it where only expressions are understood.
const NAMED: [(&str, &str); 4] = [
    ("{DATE}", "zqDATEqz"),
    ("{EPOCH}", "zqEPOCHqz"),
    ("{LEPOCH}", "zqLEPOCHqz"),
    ("{^LN-BEG}", "zqBEGINqz"),
];

/// What to write so that the same dates are found: what Fail2ban's filter says, or that in our dialect.
fn own_date(said: &str, templates: &DateTemplates) -> Option<String> {
    let lines: Option<Vec<String>> = said.lines().map(|line| translated(line.trim())).collect();
    let candidates = [Some(said.to_owned()), lines.map(|lines| lines.join("\n"))];
    let mut candidates = candidates.into_iter().flatten();
    candidates.find(|text| DateTemplates::parse(text).is_ok_and(|parsed| parsed.is_same(templates)))
}

fn translated(line: &str) -> Option<String> {
    let hidden = NAMED.iter().fold(line.to_owned(), |line, (name, letters)| {
        line.replace(name, letters)
    });
    let translated = of_date(&hidden).ok()?;
    let shown = NAMED.iter().fold(translated, |line, (name, letters)| {
        line.replace(letters, name)
    });
    Some(shown)
}

/// A zone by its name, or by how far it is off.
fn zone(zone: &TimeZone) -> String {
    match zone.iana_name() {
        Some(name) => name.to_owned(),
        None => zone.to_offset(Timestamp::UNIX_EPOCH).to_string(),
    }
}
