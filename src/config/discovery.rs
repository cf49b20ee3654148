//! What would jails be that nobody has written yet?
//!
//! In: the configuration, if there is one, and every filter there is. Out: a policy with a jail for each filter that
//! reads logs, by what `[defaults]` say, and a [`Ground`]: what has to be known to propose some of them. No log is read
//! here.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::daemon::DaemonSettings;
use super::document::Kind;
use super::files::{self, Data, SearchPath};
use super::filter::{FilterFile, NORMAL};
use super::ignore::Ignored;
use super::jail::{JailReader, JailSettings};
use super::keys;
pub use super::listening::COPIES_OF_THE_JOURNAL;
use super::problem::{Place, Problem, Problems};
use super::section::Section;
use super::source::{self, Source, Sources};
use super::{add_logins, atlas, check_sections, class, ignore};
use crate::action::ports::Services;
use crate::engine::filter::{FilterSet, FilterSpec};
use crate::engine::policy::{FilterId, Policy};
use crate::engine::record::journal::JournalMatch;
use crate::source::file::FilesSpec;

/// What proposals stand on.
#[derive(Debug)]
pub struct Ground {
    /// The filters that read logs and find addresses there, in the order of their names.
    pub filters: Vec<FilterFile>,
    /// What they say.
    pub specs: Vec<FilterSpec>,
    /// Which entries of a journal each wants; nothing if it does not say that.
    pub entries: Vec<JournalMatch>,
    /// The jails that there are, enabled or not.
    pub jails: Vec<JailSettings>,
    /// Whether this machine's journal is read, and in which directory if that is not the usual one.
    pub journal: Option<Option<PathBuf>>,
    /// The sources of files, each with the globs of its own; what jails name is read as the one without any says.
    pub files: Vec<FilesSpec>,
}

/// Looks at the configuration that `path` names, or at the usual one; that one need not exist. The policy has a jail
/// for each filter, at its place and of its name; `FilterId` and `RouteId` are that place too. They listen to no
/// source.
///
/// # Errors
/// What is wrong with the configuration, or with a filter.
pub fn ground(path: Option<&Path>) -> Result<(Ground, Policy), Vec<Problem>> {
    let mut problems = Problems::default();
    let ground = read(path, &mut problems);
    match ground.filter(|_| !problems.is_fatal()) {
        Some(ground) => Ok(ground),
        None => Err(problems.into_sorted()),
    }
}

fn read(path: Option<&Path>, problems: &mut Problems) -> Option<(Ground, Policy)> {
    let main = files::main_file(path);
    let is_missing = path.is_none() && matches!(main.try_exists(), Ok(false));
    let table = match is_missing {
        true => Default::default(),
        false => files::read(&main, problems)?.1,
    };
    check_sections(&table, problems);
    let part = |name: &str| match table.get(name).map(|value| &value.kind) {
        Some(Kind::Table(table)) => Some(table),
        _ => None,
    };
    let section = Section::new(part("daemon"), keys::DAEMON);
    let daemon = DaemonSettings::read(&section, problems);
    let atlas = atlas::read(&section, &daemon, problems);
    let named = class::Named {
        country: daemon.country.is_some(),
        operator: daemon.operator.is_some(),
    };
    let sources = source::read_all(part("source"), problems);
    let search = SearchPath::beside(&main);
    let mut reader = JailReader {
        search: &search,
        sources: &sources,
        defaults: part("defaults"),
        filters: BTreeMap::new(),
        databases: named,
        ignored: Ignored::new(&atlas, named),
        services: Services::of_this_system(),
        actions: Vec::new(),
    };
    let mut jails = reader.read_all(part("jail"), problems);
    let filters = filters(&search, problems);
    let (mut specs, mut usual) = (Vec::new(), Vec::new());
    for (file, at) in filters.iter().zip(0..) {
        let spec = file.spec(NORMAL);
        usual.push(reader.usual(spec.name.as_str().parse().ok()?, FilterId(at), problems)?);
        specs.push(spec);
    }
    let known = specs.clone();
    let lists = reader.ignored.look(true, problems);
    ignore::fill(&mut jails, &lists);
    for jail in &mut usual {
        let sets: Vec<_> = jail.sets().map(|(set, _)| set.clone()).collect();
        for set in sets {
            jail.fill(&set, &lists.addresses(&set));
        }
    }
    add_logins(&mut specs, &mut usual)?;
    let compiled = FilterSet::compile(specs).map_err(|errors| {
        for error in &errors {
            let file = filters
                .iter()
                .find(|file| file.spec(NORMAL).name.as_str() == error.filter);
            file.iter().for_each(|file| file.report(error, problems));
        }
    });
    let (journal, files) = places(sources);
    let entries = known.iter().map(|spec| spec.records.entries());
    let policy = Policy {
        filters: compiled.ok()?,
        jails: usual,
        atlas: Arc::clone(&atlas),
    };
    let ground = Ground {
        entries: entries.map(Option::unwrap_or_default).collect(),
        specs: known,
        filters,
        jails,
        journal,
        files,
    };
    Some((ground, policy))
}

/// The filters that can be of use.
fn filters(search: &SearchPath, problems: &mut Problems) -> Vec<FilterFile> {
    let mut filters = Vec::new();
    for name in search.names(Data::Filter) {
        let Some(text) = search.find(Data::Filter, &name, problems) else {
            continue;
        };
        match name.parse() {
            Ok(name) => filters.extend(FilterFile::parse(name, &text, problems)),
            Err(error) => {
                let error: crate::engine::name::NameError = error;
                problems.error(&Place::whole(&text), error.to_string(), "rename the file");
            }
        }
    }
    filters.retain(|file| {
        let spec = file.spec(NORMAL);
        let reads = !spec.records.reports && !spec.records.bans;
        reads && !spec.failures.is_empty() && spec.names_addresses()
    });
    filters
}

/// The journal and the files that the sources read.
fn places(sources: Sources) -> (Option<Option<PathBuf>>, Vec<FilesSpec>) {
    let (mut journal, mut files) = (None, Vec::new());
    for source in sources.on {
        match source {
            Source::Journal { spec, .. } if spec.namespace.is_none() => {
                journal.get_or_insert(spec.directory);
            }
            Source::Files { spec, paths } => files.push(FilesSpec {
                wanted: paths.into_iter().collect(),
                ..spec
            }),
            Source::Journal { .. } | Source::Syslog(_) | Source::Report(_) => {}
        }
    }
    (journal, files)
}
