//! What has the administrator written, and what does it come to?
//!
//! In: f2bd.conf, its drop-ins, filter and action files. Out: typed [`Settings`], or every mistake at once with
//! file, line, column and remedy. Nothing is started here and nobody is banned; host names in `ignoreip`
//! are the only thing that is asked of the network, and not by a reload, which need not wait for them.
//!
//! [`files`] finds and reads, [`document`] keeps the places, [`keys`] lists what can be written,
//! [`section`] reads typed values; `daemon`, `jail`, `filter`, `action` and `ignore` know what they mean;
//! `surroundings` looks at what is around; `discovery` is for jails that nobody has written yet; `change` is what
//! somebody wonders about, and `amend` what somebody changes while the daemon runs.

mod accounts;
mod action;
pub mod amend;
mod atlas;
mod base;
mod change;
mod class;
mod closing;
mod daemon;
mod discovery;
mod document;
mod escalation;
pub mod fail2ban;
pub mod files;
pub mod filter;
mod format;
mod ignore;
mod jail;
pub mod keys;
mod listening;
mod network;
mod problem;
mod proxies;
mod resolved;
mod response;
mod rows;
mod section;
mod shipped;
mod siege;
mod source;
mod subject;
mod surroundings;
pub mod toml_text;

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;

pub use action::{ListedAction, names as action_names, read_file as read_action};
pub use change::Change;
pub use daemon::DaemonSettings;
pub use discovery::{COPIES_OF_THE_JOURNAL, Ground, ground};
pub use jail::JailSettings;
pub use problem::{Place, Problem, Problems, Severity, Text, nearest};
pub use resolved::{Patterns, problem as problem_as_json, resolved};
pub use surroundings::Surroundings;

use crate::action::{ActionJail, ActionSpec, Effect};
use crate::control::protocol::JailSettingsRow;
use crate::engine::atlas::Atlas;
use crate::engine::filter::{FilterSet, FilterSpec};
use crate::engine::name::{FilterName, JailName};
use crate::engine::policy::{FilterId, JailPolicy, LeftOut, Policy};
use crate::engine::record::journal::RouteId;
use crate::ignore::Lists;
use crate::source::SourceSpec;
use base::{Base, part};
use document::{Kind, Table};
use fail2ban::Tree;
use files::{Data, SearchPath};
use filter::FilterFile;
use section::{Section, unknown};
use source::Source;

/// A whole configuration, complete and checked.
#[derive(Debug)]
pub struct Settings {
    /// The daemon itself.
    pub daemon: DaemonSettings,
    /// What is read, each source with what the enabled jails want of it.
    pub sources: Vec<SourceSpec>,
    /// What the engine obeys.
    pub policy: Policy,
    /// What is known of the sets that its ignore lists name.
    pub lists: Lists,
    /// The actions of the enabled jails, each with the jails it serves.
    pub actions: Vec<(ActionSpec, Vec<ActionJail>)>,
    /// What is told of the enabled jails to whoever asks.
    pub rows: Vec<JailSettingsRow>,
    /// The directory of Fail2ban's that all of this was read from, if it was one.
    pub tree: Option<Arc<Tree>>,
}

/// What came of reading a configuration.
#[derive(Debug)]
pub struct Loaded {
    /// The settings; `None` if there is a mistake.
    pub settings: Option<Settings>,
    /// All jails that could be read, enabled or not.
    pub jails: Vec<(JailSettings, Patterns)>,
    /// Everything that is wrong.
    pub problems: Vec<Problem>,
    /// The filters that another program ships and that nobody has changed.
    pub stock_filters: Vec<FilterName>,
}

/// Reads the configuration that `path` names: a file, a directory with an f2bd.conf, or the usual one.
pub fn load(path: Option<&Path>, surroundings: Surroundings) -> Loaded {
    // Something that works must not wait.
    let asks = surroundings != Surroundings::Require;
    load_and(&Origin::Path(path), surroundings, asks, &[], |_, _| ()).0
}

/// Reads what is left of the configuration when a directory of Fail2ban's has been read, as a reload would.
pub fn load_tree(tree: &Arc<Tree>) -> Loaded {
    let origin = Origin::Tree(tree);
    load_and(&origin, Surroundings::Require, false, &[], |_, _| ()).0
}

/// Reads the configuration for old logs, as it is and with some settings changed: the second policy has the same
/// jails as the first. It is `None` without changes, and where there is a mistake.
pub fn load_changed(path: Option<&Path>, changes: &[Change]) -> (Loaded, Option<Policy>) {
    load_and(
        &Origin::Path(path),
        Surroundings::Ignore,
        true,
        changes,
        |_, _| (),
    )
}

/// As [`load`], and lets every filter that is used prove itself by its samples.
pub fn load_and_prove(path: Option<&Path>) -> Loaded {
    let origin = Origin::Path(path);
    let (loaded, _) = load_and(
        &origin,
        Surroundings::Require,
        true,
        &[],
        |file, problems| {
            file.prove(problems);
        },
    );
    loaded
}

/// Where a configuration comes from.
enum Origin<'o> {
    /// It is read: a file, a directory, or the usual file.
    Path(Option<&'o Path>),
    /// A directory of Fail2ban's that was read, whatever it says now.
    Tree(&'o Arc<Tree>),
}

fn load_and(
    origin: &Origin<'_>,
    surroundings: Surroundings,
    asks: bool,
    changes: &[Change],
    look_at: impl Fn(&FilterFile, &mut Problems),
) -> (Loaded, Option<Policy>) {
    let mut problems = Problems::default();
    let main = match origin {
        Origin::Path(path) => files::main_file(*path),
        Origin::Tree(tree) => tree.folder.clone(),
    };
    let Some(Read {
        text,
        table,
        filters,
        actions: given_actions,
        meant,
        weakened,
        tree,
    }) = read(origin, &main, &mut problems)
    else {
        let loaded = Loaded {
            settings: None,
            jails: Vec::new(),
            problems: problems.into_sorted(),
            stock_filters: Vec::new(),
        };
        return (loaded, None);
    };
    let base = Base::read(&main, &table, &mut problems);
    let written_jails = part(&table, "jail");
    let changed = change::apply(changes, written_jails);
    let mut reader = base.jails(&table);
    let is_tree = main.is_dir();
    reader.filters = filters;
    let before = problems.count();
    let mut jails = reader.read_all(written_jails, &mut problems);
    let written_actions = part(&table, "action");
    let actions = action::read_all(
        written_actions,
        given_actions,
        &reader.actions,
        &base.search,
        surroundings,
        &mut problems,
    );
    if is_tree {
        // Fail2ban starts the others, too.
        problems.leave_out(before);
    }
    // Others of their actions may keep out whom these would have.
    let keeps_out = |jail: &JailName| {
        let mut used = reader.actions.iter().filter(|used| used.jail == *jail);
        let keepers = || actions.iter().filter(|spec| spec.lifts_bans());
        used.any(|used| keepers().any(|keeper| keeper.name == used.action))
    };
    let powerless: BTreeSet<_> = weakened
        .into_iter()
        .filter(|jail| !keeps_out(jail))
        .collect();
    for jail in &mut jails {
        jail.responses.note(|name| {
            let mut specs = actions.iter();
            let spec = specs.find(|spec| spec.name == *name);
            spec.map_or(Effect::KeepsOut, |spec| spec.effect)
        });
    }
    if !jails.iter().any(|jail| jail.enabled) && !problems.is_fatal() {
        let (message, remedy) = match (problems.leaves_out(), is_tree) {
            (true, _) => (
                "no jail starts: nothing is protected",
                "mend what is not used",
            ),
            (false, true) => (
                "no jail is enabled: nothing is protected",
                "write enabled = true into the section of a jail in jail.local, such as [sshd]",
            ),
            (false, false) => (
                "no jail is enabled: nothing is protected",
                "write a section such as [jail.sshd]",
            ),
        };
        problems.warning(&Place::whole(&text), message, remedy);
    }
    change::check_jails(changes, &jails, &mut problems);
    let mut changed = match changes {
        [] => None,
        _ => Some(reader.read_all(changed.as_ref(), &mut problems)),
    };
    let filters = reader.filters;
    // Asked for all at once: each could keep the start waiting.
    let lists = reader.ignored.look(asks, &mut problems);
    ignore::fill(&mut jails, &lists);
    ignore::fill(changed.as_deref_mut().unwrap_or_default(), &lists);
    let Base {
        daemon,
        atlas,
        sources,
        ..
    } = base;
    let written = (part(&table, "source"), written_jails);
    surroundings::look(&sources.on, &jails, written, surroundings, &mut problems);
    for file in filters.values().flatten() {
        look_at(file, &mut problems);
    }
    let stock = filters.values().flatten();
    let stock = stock.filter(|file| file.is_foreign_stock());
    let stock_filters = stock.map(|file| file.name().clone()).collect();
    let mut policy = policy(&jails, &filters, &atlas, &mut problems);
    if let Some(policy) = &mut policy {
        let works = |name: &JailName| {
            let is_there = policy.jails.iter().any(|jail| jail.name == *name);
            is_there && !powerless.contains(name)
        };
        let known = meant.into_iter().filter(|name| !works(name)).collect();
        let tree = tree.as_ref();
        let off = tree.map(|tree| tree.said_off.iter().cloned().collect());
        let has_others = tree.is_some_and(|tree| tree.lacks_parts);
        policy.left_out = LeftOut::of(known, off.unwrap_or_default(), has_others);
    }
    let changed = changed.and_then(|jails| self::policy(&jails, &filters, &atlas, &mut problems));
    let enabled: Vec<_> = jails.iter().filter(|jail| jail.enabled).collect();
    let mut settings = policy
        .filter(|_| !problems.is_fatal())
        .map(|policy| Settings {
            daemon,
            sources: sources
                .on
                .into_iter()
                .filter_map(|source| source.wanted_by(&enabled, &policy))
                .collect(),
            policy,
            lists,
            actions: actions
                .into_iter()
                .map(|action| with_jails(action, &enabled))
                .collect(),
            rows: Vec::new(),
            tree: None,
        });
    let jails: Vec<_> = jails
        .into_iter()
        .map(|jail| {
            let patterns = patterns(&filters, &jail);
            (jail, patterns)
        })
        .collect();
    if let Some(settings) = &mut settings {
        settings.rows = rows::rows(&jails, &settings.sources, tree.as_deref());
        settings.tree = tree;
    }
    let changed = changed.filter(|_| settings.is_some());
    let loaded = Loaded {
        settings,
        jails,
        problems: problems.into_sorted(),
        stock_filters,
    };
    (loaded, changed)
}

/// What is written, before anybody knows what it means.
struct Read {
    text: Arc<Text>,
    table: Table,
    /// Filters that are not among the files of filters.
    filters: BTreeMap<FilterName, Option<FilterFile>>,
    /// Actions that no section describes, each with where it is named.
    actions: Vec<(ActionSpec, Place)>,
    /// Jails that are meant to run, as far as a mistake can leave out one of them alone.
    meant: BTreeSet<JailName>,
    /// Those of them that lack an action that they name.
    weakened: BTreeSet<JailName>,
    /// The directory of Fail2ban's, if it is one.
    tree: Option<Arc<Tree>>,
}

/// Reads f2bd.conf with its drop-ins, or a directory of Fail2ban's.
fn read(origin: &Origin<'_>, main: &Path, problems: &mut Problems) -> Option<Read> {
    let tree = match origin {
        Origin::Tree(tree) => Some(Arc::clone(tree)),
        Origin::Path(_) if main.is_dir() => {
            let tree = Tree::read(main, fail2ban::VERSION, problems)?;
            Some(Arc::new(tree))
        }
        Origin::Path(_) => None,
    };
    if let Some(tree) = tree {
        let fail2ban::transcription::Transcription {
            text,
            table,
            filters,
            actions,
            meant,
            weakened,
            ..
        } = fail2ban::transcription::transcribe(&tree, problems);
        return Some(Read {
            text,
            table,
            filters,
            actions,
            meant,
            weakened,
            tree: Some(tree),
        });
    }
    let (text, table) = files::read(main, problems)?;
    Some(Read {
        text,
        table,
        filters: BTreeMap::new(),
        actions: Vec::new(),
        meant: BTreeSet::new(),
        weakened: BTreeSet::new(),
        tree: None,
    })
}

/// The control socket, for commands that need nothing else of the configuration.
///
/// # Errors
/// As for [`socket_as_told`].
pub fn socket(path: Option<&Path>) -> Result<PathBuf, Vec<Problem>> {
    socket_as_told(path).map(|(socket, _)| socket)
}

/// The same, with the mistakes for which it may be another one than was meant. Most users cannot read the usual
/// configuration, and then the usual socket is meant. Mistakes are no reason not to ask a daemon that runs, or to end it,
/// as long as it is sure which one.
///
/// # Errors
/// A configuration that was named cannot be read, or what is left of it names no socket.
pub fn socket_as_told(path: Option<&Path>) -> Result<(PathBuf, Vec<Problem>), Vec<Problem>> {
    let mut problems = Problems::default();
    let main = files::main_file(path);
    if main.is_dir() {
        // Fail2ban's own sockets are other ones.
        let usual = DaemonSettings::read(&Section::new(None, keys::DAEMON), &mut problems);
        return Ok((usual.socket, Vec::new()));
    }
    let read = files::read(&main, &mut problems);
    let mut found = std::mem::take(&mut problems).into_sorted();
    found.retain(|problem| problem.severity == Severity::Error && problem.file == main);
    let table = read.as_ref().and_then(|(_, table)| part(table, "daemon"));
    let is_named = table.is_some_and(|table| table.get("socket").is_some());
    if path.is_some() && !found.is_empty() && !is_named {
        return Err(found);
    }
    if read.is_none() {
        found.clear();
    }
    let settings = DaemonSettings::read(&Section::new(table, keys::DAEMON), &mut problems);
    Ok((settings.socket, found))
}

/// The socket of the first source of reports; `None` if the configuration has none. If it cannot be read, as by most
/// users, the usual socket is meant.
pub fn report_socket(path: Option<&Path>) -> Option<PathBuf> {
    let mut problems = Problems::default();
    let main = files::main_file(path);
    if main.is_dir() {
        return None;
    }
    let Some((_, table)) = files::read(&main, &mut problems) else {
        return Some(PathBuf::from(source::REPORT_SOCKET));
    };
    let sources = source::read_all(part(&table, "source"), &mut problems);
    let sources = sources.on.into_iter();
    let mut sockets = sources.filter_map(|source| match source {
        Source::Report(spec) => Some(spec.socket),
        _ => None,
    });
    sockets.next()
}

/// Reads one filter for `f2bd match`: by name, or by the path of its file; of a directory of Fail2ban's with what a jail would
/// write into brackets behind it.
///
/// # Errors
/// What is wrong with it.
pub fn filter(
    name: &str,
    mode: Option<&str>,
    config: Option<&Path>,
) -> Result<FilterSpec, Vec<Problem>> {
    let mut problems = Problems::default();
    let main = files::main_file(config);
    if let Some(found) = fail2ban::single::Whereabouts::find(name, mode, &main) {
        let file = found.read(&mut problems);
        let spec = file.and_then(|file| {
            let spec = file.spec(filter::NORMAL);
            file.check(&spec, &mut problems).then_some(spec)
        });
        return spec.ok_or_else(|| problems.into_sorted());
    }
    let spec = read_filter(name, config, &mut problems).and_then(|file| {
        let mode = mode.unwrap_or(filter::NORMAL);
        let place = Place::whole(file.text());
        if !file.check_mode(mode, &place, &mut problems) {
            return None;
        }
        let spec = file.spec(mode);
        // Compiled here for the sake of its mistakes, which only the file can place.
        file.check(&spec, &mut problems).then_some(spec)
    });
    spec.ok_or_else(|| problems.into_sorted())
}

/// Reads all filters there are, in the mode that is usual. Their patterns are not looked at: whoever compiles all of them
/// finds a mistake, and asks [`filter`] for its place.
///
/// # Errors
/// What else is wrong with them.
pub fn filters(config: Option<&Path>) -> Result<Vec<FilterSpec>, Vec<Problem>> {
    let mut problems = Problems::default();
    let files = filter_files(config, &mut problems).into_iter();
    let specs = files.map(|file| file.spec(filter::NORMAL)).collect();
    match problems.into_sorted() {
        problems if problems.is_empty() => Ok(specs),
        problems => Err(problems),
    }
}

/// Reads all filter files there are; what is wrong with some of them is noted in `problems`.
pub fn filter_files(config: Option<&Path>, problems: &mut Problems) -> Vec<FilterFile> {
    every_filter(&SearchPath::beside(&files::main_file(config)), problems)
}

fn every_filter(search: &SearchPath, problems: &mut Problems) -> Vec<FilterFile> {
    let mut filters = Vec::new();
    for name in search.names(Data::Filter) {
        if let Some(text) = search.find(Data::Filter, &name, problems) {
            filters.extend(filter_of(&name, &text, problems));
        }
    }
    filters
}

/// The filter that a file of this name describes.
fn filter_of(name: &str, text: &Arc<Text>, problems: &mut Problems) -> Option<FilterFile> {
    match name.parse::<FilterName>() {
        Ok(name) => FilterFile::parse(name, text, problems),
        Err(error) => {
            problems.error(&Place::whole(text), error.to_string(), "rename the file");
            None
        }
    }
}

/// Reads one filter file, by name or by path; `None` if it has a mistake, which is noted in `problems`.
pub fn read_filter(
    name: &str,
    config: Option<&Path>,
    problems: &mut Problems,
) -> Option<FilterFile> {
    let path = Path::new(name);
    let (name, text) = if name.contains('/') || name.ends_with(".toml") {
        let stem = path
            .file_stem()
            .and_then(|stem| stem.to_str())
            .unwrap_or_default();
        (stem, document::read(path, problems))
    } else {
        let search = SearchPath::beside(&files::main_file(config));
        let text = search.find(Data::Filter, name, problems);
        if text.is_none() {
            let known = search.names(Data::Filter);
            let near = nearest(name, known.iter().map(String::as_str));
            let remedy = near.map_or_else(
                || {
                    format!(
                        "known are {}",
                        known.iter().cloned().collect::<Vec<_>>().join(", ")
                    )
                },
                |near| format!("did you mean `{near}`?"),
            );
            problems.unreadable(path, "there is no filter of that name".to_owned(), &remedy);
        }
        (name, text)
    };
    filter_of(name, &text?, problems)
}

/// The names of all filters there are.
pub fn filter_names(config: Option<&Path>) -> Vec<String> {
    let search = SearchPath::beside(&files::main_file(config));
    search.names(Data::Filter).into_iter().collect()
}

fn check_sections(table: &Table, problems: &mut Problems) {
    for entry in table.entries() {
        if !keys::SECTIONS.contains(&entry.key.as_str()) {
            let known = keys::SECTIONS.iter().copied();
            unknown("section", &entry.key, "", known, &entry.place, problems);
        } else if !matches!(entry.value.kind, Kind::Table(_)) {
            let message = format!("`{}` cannot be {}", entry.key, entry.value.kind_name());
            problems.error(
                &entry.place,
                message,
                format!("write a section [{}]", entry.key),
            );
        }
    }
}

/// The policy of the enabled jails; `None` if a filter cannot be compiled, which is reported.
fn policy(
    jails: &[JailSettings],
    filters: &BTreeMap<FilterName, Option<FilterFile>>,
    atlas: &Arc<Atlas>,
    problems: &mut Problems,
) -> Option<Policy> {
    let mut compiled: Vec<(&FilterName, &str, &[Box<str>])> = Vec::new();
    let mut specs = Vec::new();
    let mut policies = Vec::new();
    for (route, jail) in jails.iter().filter(|jail| jail.enabled).enumerate() {
        let wanted = (&jail.filter, jail.mode.as_str(), jail.services.as_slice());
        let known = compiled.iter().position(|known| *known == wanted);
        let at = match known {
            Some(at) => at,
            None => {
                let file = filters.get(&jail.filter)?.as_ref()?;
                let mut spec = file.spec(&jail.mode);
                spec.records.services = jail.services.clone();
                specs.push(spec);
                compiled.push(wanted);
                compiled.len() - 1
            }
        };
        policies.push(JailPolicy {
            name: jail.name.clone(),
            filter: FilterId(u16::try_from(at).ok()?),
            logins: None,
            is_idle: false,
            sources: jail.sources.clone(),
            named_only: jail.named_only.clone(),
            route: Some(RouteId(u16::try_from(route).ok()?)),
            counting: jail.counting,
            maxretry: jail.maxretry,
            classes: jail.classes.clone(),
            findtime: jail.findtime,
            bantime: jail.bantime,
            escalation: jail.escalation.clone(),
            networks: jail.networks.clone(),
            accounts: jail.accounts,
            siege: jail.siege,
            usedns: jail.usedns,
            named_by: jail.named_by,
            ignore: jail.ignore.clone(),
            trusted: jail.trusted.clone(),
            width: jail.width,
            responses: jail.responses.clone(),
        });
    }
    add_logins(&mut specs, &mut policies)?;
    match FilterSet::compile(specs) {
        Ok(filters) => Some(Policy {
            filters,
            jails: policies,
            left_out: LeftOut::default(),
            atlas: Arc::clone(atlas),
        }),
        Err(_) => {
            // Each by itself, for only its file can say where a mistake is.
            for (name, mode, _) in compiled {
                let file = filters.get(name)?.as_ref()?;
                file.check(&file.spec(mode), problems);
            }
            None
        }
    }
}

/// Adds the filters of logins behind those of the jails, and tells these.
fn add_logins(specs: &mut Vec<FilterSpec>, jails: &mut [JailPolicy]) -> Option<()> {
    let mut logins = BTreeMap::new();
    for at in 0..specs.len() {
        if let Some(successes) = specs[at].of_successes() {
            logins.insert(u16::try_from(at).ok()?, u16::try_from(specs.len()).ok()?);
            specs.push(successes);
        }
    }
    for jail in jails {
        jail.logins = logins.get(&jail.filter.0).copied().map(FilterId);
    }
    Some(())
}

fn patterns(filters: &BTreeMap<FilterName, Option<FilterFile>>, jail: &JailSettings) -> Patterns {
    let Some(Some(file)) = filters.get(&jail.filter) else {
        return Patterns::default();
    };
    let spec = file.spec(&jail.mode);
    let texts = |patterns: Vec<crate::engine::filter::PatternSpec>| {
        patterns.into_iter().map(|pattern| pattern.to_string())
    };
    Patterns {
        failures: texts(spec.failures).collect(),
        ignores: texts(spec.ignores).collect(),
        lines: spec.lines,
    }
}

fn with_jails(action: ActionSpec, jails: &[&JailSettings]) -> (ActionSpec, Vec<ActionJail>) {
    let served = jails
        .iter()
        .filter(|jail| jail.responses.actions().contains(&&action.name));
    let jails = served
        .map(|jail| {
            let own = jail.owns.get(&action.name).cloned().unwrap_or_default();
            ActionJail {
                jail: jail.name.clone(),
                label: own.label.unwrap_or_else(|| jail.name.clone()),
                ports: own.ports.unwrap_or_else(|| jail.ports.clone()),
                protocols: own.protocols.unwrap_or_else(|| jail.protocols.clone()),
                width: jail.width,
            }
        })
        .collect();
    (action, jails)
}
