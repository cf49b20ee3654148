//! How is a filter of Fail2ban's written as a filter file?

use std::fmt::Write as _;

use jiff::Timestamp;
use jiff::tz::TimeZone;

use crate::config::toml_text::literal;
use crate::engine::filter::FilterSpec;

/// The date of a filter that looks for none.
const NO_DATE: &str = "{NONE}";

/// The file.
///
/// # Errors
/// Why it cannot be written.
pub fn file(spec: &FilterSpec) -> Result<String, String> {
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
            line(&mut text, "date", &literal(dating.templates.text()));
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

/// A zone by its name, or by how far it is off.
fn zone(zone: &TimeZone) -> String {
    match zone.iana_name() {
        Some(name) => name.to_owned(),
        None => zone.to_offset(Timestamp::UNIX_EPOCH).to_string(),
    }
}
