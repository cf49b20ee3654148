//! With what are jails read?
//!
//! In: the sections of f2bd.conf. Out: what concerns all jails, whoever wrote them. What jails say is read in `jail`.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use super::daemon::DaemonSettings;
use super::document::{Kind, Table};
use super::files::SearchPath;
use super::ignore::Ignored;
use super::jail::JailReader;
use super::problem::Problems;
use super::section::Section;
use super::source::Sources;
use super::{atlas, check_sections, class, keys, source};
use crate::action::ports::Services;
use crate::engine::atlas::Atlas;

/// What concerns all jails.
#[derive(Debug)]
pub struct Base {
    /// The daemon itself.
    pub daemon: DaemonSettings,
    /// What is known of addresses.
    pub atlas: Arc<Atlas>,
    /// The sources there are.
    pub sources: Sources,
    /// Where filter and action files are.
    pub search: SearchPath,
    named: class::Named,
}

impl Base {
    /// Reads it from the sections of `table`, which is what `main` and its drop-ins say.
    pub fn read(main: &Path, table: &Table, problems: &mut Problems) -> Self {
        check_sections(table, problems);
        let section = Section::new(part(table, "daemon"), keys::DAEMON);
        let daemon = DaemonSettings::read(&section, problems);
        Base {
            atlas: atlas::read(&section, &daemon, problems),
            named: class::Named {
                country: daemon.country.is_some(),
                operator: daemon.operator.is_some(),
            },
            daemon,
            sources: source::read_all(part(table, "source"), problems),
            search: SearchPath::beside(main),
        }
    }

    /// A reader of the jails in `table`.
    pub fn jails<'c>(&'c self, table: &'c Table) -> JailReader<'c> {
        JailReader {
            search: &self.search,
            sources: &self.sources,
            defaults: part(table, "defaults"),
            filters: BTreeMap::new(),
            databases: self.named,
            ignored: Ignored::new(&self.atlas, self.named),
            services: Services::of_this_system(),
            actions: Vec::new(),
        }
    }
}

/// The section, or the sections, of this name.
pub fn part<'t>(table: &'t Table, name: &str) -> Option<&'t Table> {
    match table.get(name).map(|value| &value.kind) {
        Some(Kind::Table(table)) => Some(table),
        _ => None,
    }
}
