//! How is a filter of Fail2ban's written as a filter file?

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::fmt::Write as _;
use std::path::PathBuf;

use jiff::Timestamp;
use jiff::tz::TimeZone;

use super::NewFile;
use crate::config::document::{Kind, Table};
use crate::config::fail2ban::transcription::{Transcription, values};
use crate::config::filter::NORMAL;
use crate::config::shipped;
use crate::config::toml_text::literal;
use crate::engine::filter::FilterSpec;
use crate::engine::name::{FilterName, NameError};

/// The date of a filter that looks for none.
const NO_DATE: &str = "{NONE}";

/// How names begin that would be those of filters of ours otherwise.
const THEIRS: &str = "fail2ban-";

/// The files so far.
#[derive(Default)]
pub struct FilterFiles(BTreeMap<FilterName, String>);

impl FilterFiles {
    /// Adds the filter that the section of a jail names, which is known by another name from now on if one of ours has its own;
    /// whether there is a file of it.
    ///
    /// # Errors
    /// Why it cannot be written.
    pub fn add(&mut self, all: &Transcription, section: &mut Table) -> Result<bool, String> {
        let written = section.get("filter").cloned();
        let Some(Kind::Text(named)) = written.as_ref().map(|value| &value.kind) else {
            return Ok(false);
        };
        let name: FilterName = named
            .parse()
            .map_err(|error: NameError| error.to_string())?;
        // The filter of bans is ours, and has no file here.
        let Some(Some(file)) = all.filters.get(&name) else {
            return Ok(false);
        };
        let is_ours = shipped::FILTERS.iter().any(|(ours, _)| *ours == named);
        let (named, name) = match is_ours {
            false => (named.clone(), name),
            true => {
                let named = format!("{THEIRS}{named}");
                let name = named
                    .parse()
                    .map_err(|error: NameError| error.to_string())?;
                (named, name)
            }
        };
        if let Some(written) = &written {
            section.replace("filter", values::text(&named, &written.place));
        }
        if let Entry::Vacant(free) = self.0.entry(name) {
            free.insert(self::file(&file.spec(NORMAL))?);
        }
        Ok(true)
    }

    /// The files, by their paths.
    pub fn into_files(self) -> BTreeMap<PathBuf, NewFile> {
        let files = self.0.into_iter().map(|(name, text)| {
            let path = PathBuf::from(format!("filters/{name}.toml"));
            (path, NewFile::open(text))
        });
        files.collect()
    }
}

/// The file.
///
/// # Errors
/// Why it cannot be written.
fn file(spec: &FilterSpec) -> Result<String, String> {
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
