//! What would jails be that nobody has written yet?
//!
//! In: the configuration, if there is one, and every filter there is. Out: a policy with a jail for each filter that
//! reads logs, by what `[defaults]` say, and a [`Ground`]: what has to be known to propose some of them. No log is read
//! here.

use std::path::{Path, PathBuf};

use super::base::{Base, part};
use super::files;
use super::filter::{FilterFile, NORMAL};
use super::jail::JailSettings;
pub use super::listening::COPIES_OF_THE_JOURNAL;
use super::problem::{Problem, Problems};
use super::source::{Source, Sources};
use super::{add_logins, every_filter, ignore};
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
    let (table, filters) = match is_missing {
        true => Default::default(),
        false => {
            let read = super::read(&super::Origin::Path(path), &main, problems)?;
            (read.table, read.filters)
        }
    };
    let base = Base::read(&main, &table, problems);
    let mut reader = base.jails(&table);
    reader.filters = filters;
    let mut jails = reader.read_all(part(&table, "jail"), problems);
    let mut filters = every_filter(&base.search, problems);
    filters.retain(is_of_use);
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
    let Ok(compiled) = FilterSet::compile(specs) else {
        // Each by itself, for only its file can say where a mistake is.
        for (file, spec) in filters.iter().zip(&known) {
            file.check(spec, problems);
        }
        return None;
    };
    let Base { atlas, sources, .. } = base;
    let (journal, files) = places(sources);
    let entries = known.iter().map(|spec| spec.records.entries());
    let policy = Policy {
        filters: compiled,
        jails: usual,
        atlas,
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

/// Whether it reads logs and finds addresses there.
fn is_of_use(file: &FilterFile) -> bool {
    let spec = file.spec(NORMAL);
    let reads = !spec.records.reports && !spec.records.bans;
    reads && !spec.failures.is_empty() && spec.names_addresses()
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
