//! What does `[source.NAME]` say, and what do the jails want of it?

use std::net::IpAddr;
use std::path::PathBuf;
use std::sync::Arc;

use ipnet::IpNet;
use jiff::tz::TimeZone;

use super::daemon::named;
use super::document::{Entry, Kind, Table, Value};
use super::format;
use super::jail::JailSettings;
use super::keys::{self, Key};
use super::problem::Problems;
use super::section::{Section, unknown};
use crate::engine::name::SourceName;
use crate::engine::policy::Policy;
use crate::engine::record::date::TimeFormat;
use crate::engine::record::journal::JournalMatch;
use crate::engine::record::line::LineForm;
use crate::source::SourceSpec;
use crate::source::file::{FileGlob, FilesSpec};
use crate::source::journal::JournalSpec;
use crate::source::report::{ReportSpec, Reporter};
use crate::source::syslog::{Listen, SyslogSpec, TlsSpec};

/// This machine's journal, which is read unless switched off.
const JOURNAL: &str = "journal";

/// The log files that jails name, which are read unless switched off.
const FILES: &str = "files";

/// Where applications report, if nothing else is said.
pub const REPORT_SOCKET: &str = "/run/f2bd/report.sock";

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
    /// Log files.
    Files {
        /// What will be read.
        spec: FilesSpec,
        /// Which ones; those that the jails name if it is `None`.
        paths: Option<Vec<FileGlob>>,
    },
    /// Sockets for syslog messages.
    Syslog(SyslogSpec),
    /// A socket for what applications report by themselves.
    Report(ReportSpec),
}

impl Source {
    /// The source's name.
    pub fn name(&self) -> &SourceName {
        match self {
            Source::Journal { spec, .. } => &spec.name,
            Source::Files { spec, .. } => &spec.name,
            Source::Syslog(spec) => &spec.name,
            Source::Report(spec) => &spec.name,
        }
    }

    /// What is to be read for `jails`, the enabled ones, each by the number of its route and its place in `policy`; `None`
    /// if nobody listens.
    pub fn wanted_by(self, jails: &[&JailSettings], policy: &Policy) -> Option<SourceSpec> {
        let name = self.name().clone();
        let listens = |jail: &JailSettings| jail.sources.contains(&name);
        if !jails.iter().any(|jail| listens(jail)) {
            return None;
        }
        let jails = jails.iter().map(|jail| listens(jail).then_some(*jail));
        Some(match self {
            Source::Journal { spec, only } => {
                let wants = |jail: &JailSettings| match &only {
                    Some(only) => jail.journalmatch.and(only),
                    None => jail.journalmatch.clone(),
                };
                SourceSpec::Journal(JournalSpec {
                    routes: jails
                        .map(|jail| jail.map(wants).unwrap_or_default())
                        .collect(),
                    ..spec
                })
            }
            Source::Files { spec, paths } => {
                let wants = |jail: &JailSettings| match &paths {
                    Some(paths) => paths.clone(),
                    None => jail.logpath.clone(),
                };
                SourceSpec::Files(FilesSpec {
                    wanted: jails
                        .map(|jail| jail.map(wants).unwrap_or_default())
                        .collect(),
                    sieve: policy.sieve(&name).map(Arc::new),
                    ..spec
                })
            }
            Source::Syslog(spec) => SourceSpec::Syslog(spec),
            Source::Report(spec) => {
                let counted = jails.flatten().flat_map(|jail| jail.services.clone());
                SourceSpec::Report(ReportSpec {
                    counted: counted.collect(),
                    ..spec
                })
            }
        })
    }
}

/// All sources.
#[derive(Debug, Default)]
pub struct Sources {
    /// Those that are read if a jail listens.
    pub on: Vec<Source>,
    /// Those that are switched off.
    pub off: Vec<SourceName>,
}

/// Reads all sections `[source.NAME]`.
pub fn read_all(table: Option<&Table>, problems: &mut Problems) -> Sources {
    let entries = table.map(Table::entries).unwrap_or_default();
    let written = |name: &str| entries.iter().any(|entry| entry.key == name);
    let mut sources = Sources::default();
    if let (false, Ok(name)) = (written(JOURNAL), JOURNAL.parse()) {
        sources.on.push(this_journal(name));
    }
    for entry in entries {
        match read(entry, problems) {
            Some((source, true)) => sources.on.push(source),
            Some((source, false)) => sources.off.push(source.name().clone()),
            None => {}
        }
    }
    if let (false, Ok(name)) = (written(FILES), FILES.parse()) {
        sources.on.push(Source::Files {
            spec: files(name),
            paths: None,
        });
    }
    sources
}

/// A source, and whether it is switched on.
fn read(entry: &Entry, problems: &mut Problems) -> Option<(Source, bool)> {
    let (name, table) =
        named::<SourceName>("source", &entry.key, &entry.place, &entry.value, problems)?;
    let any = Section::new(Some(table), keys::SOURCE);
    let usual = match name.as_str() {
        JOURNAL => Some("journal"),
        FILES => Some("file"),
        _ => None,
    };
    let Some(kind) = any.text("type", problems).or(usual) else {
        if any.value("type").is_none() {
            let message = format!("[source.{name}] has no `type`");
            any.complain("type", &entry.place, message, problems);
        }
        return None;
    };
    let section = |keys: &'static [Key], problems: &mut Problems| {
        let section = any.with(keys);
        section.check_keys(&format!("[source.{name}]"), problems);
        section
    };
    let source = match kind {
        "journal" => journal(
            name.clone(),
            &section(keys::JOURNAL_SOURCE, problems),
            problems,
        ),
        "file" => log_files(
            name.clone(),
            &section(keys::FILE_SOURCE, problems),
            entry,
            problems,
        ),
        "syslog" => syslog(
            name.clone(),
            &section(keys::SYSLOG_SOURCE, problems),
            entry,
            problems,
        ),
        "report" => {
            let section = section(keys::REPORT_SOURCE, problems);
            report(name.clone(), &section, problems)
        }
        _ => {
            let known = ["journal", "file", "syslog", "report"].into_iter();
            let place = any.value("type").map_or(&entry.place, |value| &value.place);
            unknown("type of source", kind, "", known, place, problems);
            return None;
        }
    };
    let enabled = any.flag("enabled", problems).unwrap_or(true);
    source.map(|source| (source, enabled))
}

fn this_journal(name: SourceName) -> Source {
    let spec = JournalSpec {
        name,
        directory: None,
        namespace: None,
        routes: Vec::new(),
    };
    Source::Journal { spec, only: None }
}

fn journal(name: SourceName, section: &Section<'_>, problems: &mut Problems) -> Option<Source> {
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
    Some(Source::Journal {
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
    })
}

fn files(name: SourceName) -> FilesSpec {
    FilesSpec {
        sieve: None,
        name,
        wanted: Vec::new(),
        form: LineForm::in_zone(TimeZone::system()),
        encoding: Default::default(),
    }
}

fn log_files(
    name: SourceName,
    section: &Section<'_>,
    entry: &Entry,
    problems: &mut Problems,
) -> Option<Source> {
    let written = section.value("path");
    let of_jails = name.as_str() == FILES;
    if let (Some(value), true) = (written, of_jails) {
        problems.error(
            &value.place,
            "source `files` reads what the jails name in `logpath`",
            "choose another name for a source with a `path` of its own",
        );
    }
    if written.is_none() && !of_jails {
        let message = format!("[source.{name}] has no `path`");
        section.complain("path", &entry.place, message, problems);
    }
    let paths = section
        .parsed_list::<FileGlob>("path", problems)
        .unwrap_or_default();
    let paths = paths.into_iter().map(|(path, _)| path).collect();
    let times = section.parsed_list::<TimeFormat>("time", problems);
    Some(Source::Files {
        spec: FilesSpec {
            form: LineForm {
                times: times
                    .unwrap_or_default()
                    .into_iter()
                    .map(|(time, _)| time)
                    .collect(),
                format: format::of_source(section, problems),
                ..form(section, problems)
            },
            encoding: section.parsed("encoding", problems).unwrap_or_default(),
            ..files(name)
        },
        paths: (!of_jails).then_some(paths),
    })
}

fn syslog(
    name: SourceName,
    section: &Section<'_>,
    entry: &Entry,
    problems: &mut Problems,
) -> Option<Source> {
    let before = problems.count();
    let listen = section
        .parsed_list::<Listen>("listen", problems)
        .unwrap_or_default();
    if listen.is_empty() && problems.count() == before {
        let place = section
            .value("listen")
            .map_or(&entry.place, |value| &value.place);
        let message = format!("[source.{name}] listens nowhere");
        section.complain("listen", place, message, problems);
    }
    let tls = tls(section, problems);
    for (address, place) in &listen {
        if matches!(address, Listen::Tls(_)) && tls.is_none() {
            problems.error(
                place,
                format!("`{address}` needs a certificate"),
                "write the paths of PEM files into `certificate` and `key`",
            );
        }
    }
    Some(Source::Syslog(SyslogSpec {
        name,
        listen: listen.into_iter().map(|(address, _)| address).collect(),
        allow: allowed(section, problems),
        tls,
        form: form(section, problems),
    }))
}

fn report(name: SourceName, section: &Section<'_>, problems: &mut Problems) -> Option<Source> {
    let socket = section.text("socket", problems).unwrap_or(REPORT_SOCKET);
    let items = match section.value("allow") {
        None => &[],
        Some(Value {
            kind: Kind::List(items),
            ..
        }) => items.as_slice(),
        Some(one) => std::slice::from_ref(one),
    };
    let mut allow = Vec::new();
    for item in items {
        let Kind::Table(table) = &item.kind else {
            section.refuse("allow", item, problems);
            continue;
        };
        let inner = Section::new(Some(table), keys::REPORTER);
        inner.check_keys("`allow`", problems);
        let services: Option<Vec<Box<str>>> = inner.texts("service", problems).map(|list| {
            list.into_iter()
                .map(|(service, _)| service.into())
                .collect()
        });
        if let (Some([]), Some(value)) = (services.as_deref(), inner.value("service")) {
            let message = "`service` is empty: nothing may be reported".to_owned();
            inner.complain("service", &value.place, message, problems);
        }
        allow.push(Reporter {
            uids: inner
                .numbers("uid", 0, i64::from(u32::MAX), problems)
                .into_iter()
                .filter_map(|uid| u32::try_from(uid).ok())
                .collect(),
            services,
        });
    }
    Some(Source::Report(ReportSpec {
        name,
        socket: socket.into(),
        allow,
        counted: Vec::new(),
    }))
}

fn tls(section: &Section<'_>, problems: &mut Problems) -> Option<TlsSpec> {
    let mut path = |key: &str| section.text(key, problems).map(PathBuf::from);
    Some(TlsSpec {
        certificate: path("certificate")?,
        key: path("key")?,
        client_ca: path("client_ca"),
    })
}

/// Who may send; an empty list means this machine only.
fn allowed(section: &Section<'_>, problems: &mut Problems) -> Vec<IpNet> {
    let list = section.texts("allow", problems).unwrap_or_default();
    let mut networks = Vec::new();
    for (word, place) in list {
        match word
            .parse()
            .or_else(|_| word.parse::<IpAddr>().map(IpNet::from))
        {
            Ok(network) => networks.push(network),
            Err(_) => {
                let message = format!("`allow`: `{word}` is neither an address nor a network");
                section.complain("allow", place, message, problems);
            }
        }
    }
    networks
}

/// How the lines are written.
fn form(section: &Section<'_>, problems: &mut Problems) -> LineForm {
    LineForm::in_zone(section.zone(problems))
}
