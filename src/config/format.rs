//! How are the lines of a log written, and which field holds what?
//!
//! In: `format` and `fields` of a source, and `fields` of a pattern. Out: what the engine knows by these.

use super::document::{Kind, Table, Value};
use super::keys;
use super::problem::Problems;
use super::section::{Section, unknown};
use crate::engine::record::json::{FieldPath, JsonFields};
use crate::engine::record::line::Format;

/// What a line of a source is.
pub fn of_source(section: &Section<'_>, problems: &mut Problems) -> Format {
    let word = section.text("format", problems);
    let fields = json_fields(section, problems);
    let written = section.value("fields");
    match (word, written) {
        (Some("json"), _) => Format::Json(fields),
        (Some("cri"), _) => Format::Cri(fields),
        (Some("text"), None) => Format::Text,
        (None, None) => Format::Any,
        (None | Some("text"), Some(value)) => {
            let message = match word {
                None => "`fields` has no `format`",
                Some(_) => "lines of text have no `fields`",
            };
            problems.error(&value.place, message, "write format = \"json\" or \"cri\"");
            Format::Any
        }
        (Some(other), _) => {
            let known = ["text", "json", "cri"].into_iter();
            if let Some(value) = section.value("format") {
                unknown("format", other, "", known, &value.place, problems);
            }
            Format::Any
        }
    }
}

fn json_fields(section: &Section<'_>, problems: &mut Problems) -> JsonFields {
    let inner = section.inner("fields", keys::FIELDS, problems);
    let mut of = |key: &str, usual: Vec<FieldPath>| {
        let Some(paths) = inner.parsed_list::<FieldPath>(key, problems) else {
            return usual;
        };
        paths.into_iter().map(|(path, _)| path).collect()
    };
    let usual = JsonFields::default();
    JsonFields {
        message: of("message", usual.message),
        time: of("time", usual.time),
        host: of("host", usual.host),
        program: of("program", usual.program),
        pid: of("pid", usual.pid),
    }
}

/// What a pattern says of fields.
pub fn of_pattern(section: &Section<'_>, problems: &mut Problems) -> Vec<(FieldPath, String)> {
    let mut fields = Vec::new();
    match section.value("fields") {
        None => {}
        Some(Value {
            kind: Kind::Table(table),
            place,
        }) => {
            if table.entries().is_empty() {
                section.complain("fields", place, "`fields` is empty".to_owned(), problems);
            }
            collect("", table, section, problems, &mut fields);
        }
        Some(other) => section.refuse("fields", other, problems),
    }
    fields
}

/// `request.uri` without quotes is to TOML a table `request` with a key `uri`; it means the same here.
fn collect(
    before: &str,
    table: &Table,
    section: &Section<'_>,
    problems: &mut Problems,
    fields: &mut Vec<(FieldPath, String)>,
) {
    for entry in table.entries() {
        let path = format!("{before}{}", entry.key);
        match &entry.value.kind {
            Kind::Text(text) => match path.parse() {
                Ok(path) if fields.iter().any(|(known, _)| *known == path) => {
                    let message = format!("field `{}` is written twice", path.as_str());
                    section.complain("fields", &entry.place, message, problems);
                }
                Ok(path) => fields.push((path, text.clone())),
                Err(error) => {
                    section.complain("fields", &entry.place, error.to_string(), problems);
                }
            },
            Kind::Table(inner) => collect(&format!("{path}."), inner, section, problems, fields),
            _ => {
                let message = format!("field `{path}` cannot be {}", entry.value.kind_name());
                section.complain("fields", &entry.value.place, message, problems);
            }
        }
    }
}
