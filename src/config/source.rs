//! What does `[source.NAME]` say, and what do the jails want of it?

use std::path::PathBuf;

use super::daemon::named;
use super::document::Table;
use super::jail::JailSettings;
use super::keys;
use super::problem::Problems;
use super::resolved::Patterns;
use super::section::Section;
use crate::engine::name::SourceName;
use crate::engine::record::journal::JournalMatch;
use crate::source::SourceSpec;
use crate::source::journal::JournalSpec;

/// The journal, which is read unless switched off.
const JOURNAL: &str = "journal";

/// A source as it is configured; what is wanted of it is known when the jails are.
#[derive(Clone, Debug)]
pub enum Source {
    /// A systemd journal.
    Journal {
        /// What will be read.
        spec: JournalSpec,
        /// Nothing else of it is read, whatever the jails want.
        only: Option<JournalMatch>,
    },
}

impl Source {
    /// The source's name.
    pub fn name(&self) -> &SourceName {
        match self {
            Source::Journal { spec, .. } => &spec.name,
        }
    }

    /// What is to be read for the enabled ones of `jails`, by the number of each one's route; jails that do not
    /// listen to it want nothing.
    pub fn wanted_by(self, jails: &[(JailSettings, Patterns)]) -> SourceSpec {
        let name = self.name().clone();
        let enabled = jails
            .iter()
            .map(|(jail, _)| jail)
            .filter(|jail| jail.enabled);
        match self {
            Source::Journal { spec, only } => {
                let routes = enabled
                    .map(|jail| match &only {
                        _ if !jail.sources.contains(&name) => JournalMatch::default(),
                        Some(only) => jail.journalmatch.and(only),
                        None => jail.journalmatch.clone(),
                    })
                    .collect();
                SourceSpec::Journal(JournalSpec { routes, ..spec })
            }
        }
    }
}

/// Reads all sections `[source.NAME]`.
pub fn read_all(table: Option<&Table>, problems: &mut Problems) -> Vec<Source> {
    let mut sources = Vec::new();
    let entries = table.map(Table::entries).unwrap_or_default();
    for entry in entries {
        let Some((name, table)) =
            named::<SourceName>("source", &entry.key, &entry.place, &entry.value, problems)
        else {
            continue;
        };
        let section = Section::new(Some(table), keys::SOURCE);
        let kind = section.text("type", problems);
        if let (Some(other), Some(value)) =
            (kind.filter(|kind| *kind != JOURNAL), section.value("type"))
        {
            problems.error(
                &value.place,
                format!("this version cannot read sources of type `{other}`"),
                "write type = \"journal\" or remove the section",
            );
            continue;
        }
        section.check_keys(&format!("[source.{name}]"), problems);
        if kind.is_none() && section.value("type").is_none() && name.as_str() != JOURNAL {
            problems.error(
                &entry.place,
                format!("[source.{name}] has no `type`"),
                "write type = \"journal\"",
            );
        }
        let namespace = section.text("namespace", problems);
        let directory = section.text("directory", problems);
        if let (Some(value), Some(_)) = (section.value("namespace"), directory) {
            problems.error(
                &value.place,
                "a journal has either `directory` or `namespace`",
                "remove one of them",
            );
        }
        let matches = section
            .parsed_list::<JournalMatch>("matches", problems)
            .unwrap_or_default();
        if !section.flag("enabled", problems).unwrap_or(true) {
            continue;
        }
        sources.push(Source::Journal {
            spec: JournalSpec {
                name,
                directory: directory.map(PathBuf::from),
                namespace: namespace.map(str::to_owned),
                routes: Vec::new(),
            },
            only: matches
                .into_iter()
                .map(|(wanted, _)| wanted)
                .reduce(JournalMatch::or),
        });
    }
    let mentioned = entries.iter().any(|entry| entry.key == JOURNAL);
    if let (false, Ok(name)) = (mentioned, JOURNAL.parse()) {
        let spec = JournalSpec {
            name,
            directory: None,
            namespace: None,
            routes: Vec::new(),
        };
        sources.insert(0, Source::Journal { spec, only: None });
    }
    sources
}
