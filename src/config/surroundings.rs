//! Does the configuration fit this machine, and itself?
//!
//! In: sources and jails as they were read, and the sections, for the places. Out: what is no mistake of writing but
//! will not work, or not as it was meant. Warnings are for what is certain enough to be worth a line each time.

use std::collections::BTreeSet;
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;

use super::document::{Entry, Kind, Table, Value};
use super::jail::JailSettings;
use super::listening::is_copy_of_journal;
use super::problem::{Place, Problems, Severity};
use super::source::Source;
use crate::engine::record::journal::JournalMatch;
use crate::engine::time::Timestamp;
use crate::source::file::FileGlob;
use crate::source::syslog::{Listen, SyslogSpec, TlsFile};

/// How much what is around the configuration matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Surroundings {
    /// They are not looked at: for what is done with old logs, perhaps on another machine.
    Ignore,
    /// What cannot work now is a warning. At a start it may come, and all else must protect meanwhile.
    Report,
    /// What cannot work now is a mistake: something that works would be given up for it, or somebody asks.
    Require,
}

/// Looks at it all.
pub fn look(
    sources: &[Source],
    jails: &[JailSettings],
    section: (Option<&Table>, Option<&Table>),
    surroundings: Surroundings,
    problems: &mut Problems,
) {
    let (written_sources, written_jails) = section;
    let known: Vec<_> = sources
        .iter()
        .filter_map(|source| {
            Some((
                source,
                Written::find(written_sources, source.name().as_str())?,
            ))
        })
        .collect();
    sockets(&known, problems);
    let severity = match surroundings {
        Surroundings::Ignore => return,
        Surroundings::Report => Severity::Warning,
        Surroundings::Require => Severity::Error,
    };
    let enabled = || jails.iter().filter(|jail| jail.enabled);
    for (source, written) in &known {
        let name = source.name();
        if enabled().next().is_some() && !enabled().any(|jail| jail.sources.contains(name)) {
            problems.warning(
                written.section(),
                format!("no jail listens to source `{name}`: it is not read"),
                format!("add \"{name}\" to the `sources` of a jail, or write enabled = false"),
            );
        }
        match source {
            Source::Syslog(spec) => tls(spec, written, severity, problems),
            Source::Files {
                paths: Some(paths), ..
            } => written.missing("path", paths, problems),
            _ => {}
        }
    }
    for jail in enabled() {
        if let Some(written) = Written::find(written_jails, jail.name.as_str()) {
            written.missing("logpath", &jail.logpath, problems);
            let usual =
                written.value("logpath").is_none() && jail.journalmatch == JournalMatch::default();
            if usual && !jail.logpath.is_empty() && !jail.logpath.iter().any(is_there) {
                problems.warning(
                    written.section(),
                    format!(
                        "none of the files that filter `{}` reads is there now",
                        jail.filter
                    ),
                    "write `logpath` if the records are elsewhere",
                );
            }
            twice(jail, sources, &written, problems);
        }
    }
}

/// A section as it is written.
struct Written<'t> {
    entry: &'t Entry,
}

impl<'t> Written<'t> {
    fn find(table: Option<&'t Table>, name: &str) -> Option<Self> {
        let mut entries = table?.entries().iter();
        let entry = entries.find(|entry| entry.key == name)?;
        Some(Written { entry })
    }

    fn section(&self) -> &'t Place {
        &self.entry.place
    }

    fn value(&self, key: &str) -> Option<&'t Value> {
        match &self.entry.value.kind {
            Kind::Table(table) => table.get(key),
            _ => None,
        }
    }

    /// Where a key has its value, or where the section begins.
    fn place(&self, key: &str) -> &'t Place {
        self.value(key).map_or(self.section(), |value| &value.place)
    }

    /// The place of an item of a list.
    fn item(&self, key: &str, text: &str) -> &'t Place {
        let is_it = |item: &&Value| matches!(&item.kind, Kind::Text(word) if word == text);
        match self.value(key) {
            Some(Value {
                kind: Kind::List(items),
                ..
            }) => items
                .iter()
                .find(is_it)
                .map_or(self.place(key), |item| &item.place),
            _ => self.place(key),
        }
    }

    /// Tells of files that were asked for here and of which there is none.
    fn missing(&self, key: &str, globs: &[FileGlob], problems: &mut Problems) {
        if self.value(key).is_none() {
            return;
        }
        for glob in globs {
            if !is_there(glob) {
                problems.warning(
                    self.item(key, &glob.to_string()),
                    format!("there is no file `{glob}` now"),
                    "it is read as soon as there is one; if there never will be, write another path",
                );
            }
        }
    }
}

/// Whether there is such a file, or may be one where we cannot look.
fn is_there(glob: &FileGlob) -> bool {
    let (mut files, mut failed) = (BTreeSet::new(), Vec::new());
    glob.expand(&mut files, &mut failed);
    let may_be = |file: &PathBuf| !matches!(file.try_exists(), Ok(false));
    !failed.is_empty() || files.iter().any(may_be)
}

/// Something to listen on, in whatever source.
#[derive(Clone, PartialEq, Eq)]
enum Ear {
    Datagrams(SocketAddr),
    Connections(SocketAddr),
    Path(PathBuf),
}

impl Ear {
    fn of(listen: &Listen) -> Ear {
        match listen {
            Listen::Udp(at) => Ear::Datagrams(*at),
            Listen::Tcp(at) | Listen::Tls(at) => Ear::Connections(*at),
            Listen::Unix(path) => Ear::Path(path.clone()),
        }
    }

    /// Whether both cannot be had.
    fn excludes(&self, other: &Ear) -> bool {
        let clash = |one: &SocketAddr, other: &SocketAddr| {
            // [::] is for IPv4 too.
            let covers = |all: IpAddr, one: IpAddr| {
                all == one || all.is_unspecified() && (all.is_ipv6() || one.is_ipv4())
            };
            let (a, b) = (one.ip(), other.ip());
            one.port() == other.port() && (covers(a, b) || covers(b, a))
        };
        match (self, other) {
            (Ear::Datagrams(a), Ear::Datagrams(b)) | (Ear::Connections(a), Ear::Connections(b)) => {
                clash(a, b)
            }
            (Ear::Path(a), Ear::Path(b)) => a == b,
            _ => false,
        }
    }
}

/// Nobody can listen twice at one place.
fn sockets(sources: &[(&Source, Written<'_>)], problems: &mut Problems) {
    let mut taken: Vec<(Ear, String)> = Vec::new();
    for (source, written) in sources {
        let ears: Vec<(Ear, String, &Place)> = match source {
            Source::Syslog(spec) => spec
                .listen
                .iter()
                .map(|listen| {
                    let text = listen.to_string();
                    let place = written.item("listen", &text);
                    (Ear::of(listen), text, place)
                })
                .collect(),
            Source::Report(spec) => {
                let text = spec.socket.display().to_string();
                vec![(
                    Ear::Path(spec.socket.clone()),
                    text,
                    written.place("socket"),
                )]
            }
            _ => continue,
        };
        for (ear, text, place) in ears {
            let name = source.name();
            if let Some((_, first)) = taken.iter().find(|(other, _)| ear.excludes(other)) {
                problems.error(
                    place,
                    format!("`{text}` cannot be had twice: {first} listens there"),
                    "remove it, or choose another address",
                );
            }
            taken.push((ear, format!("source `{name}` with `{text}`")));
        }
    }
}

fn tls(spec: &SyslogSpec, written: &Written<'_>, severity: Severity, problems: &mut Problems) {
    let is_used = spec.listen.iter().any(|at| matches!(at, Listen::Tls(_)));
    let Some(tls) = spec.tls.as_ref().filter(|_| is_used) else {
        return;
    };
    let now: Timestamp = jiff::Timestamp::now().into();
    for error in tls.look(now) {
        let place = written.place(match error.file() {
            TlsFile::Certificate => "certificate",
            TlsFile::Key => "key",
            TlsFile::ClientCa => "client_ca",
        });
        let is_fatal = error.is_fatal() && severity == Severity::Error;
        let (message, remedy) = (error.to_string(), error.remedy());
        if is_fatal {
            problems.error(place, message, remedy);
        } else {
            problems.warning(place, message, remedy);
        }
    }
}

/// Tells of messages of this machine that come to a jail by two ways, so that each counts twice.
fn twice(jail: &JailSettings, sources: &[Source], written: &Written<'_>, problems: &mut Problems) {
    let heard = || {
        sources
            .iter()
            .filter(|source| jail.sources.contains(source.name()))
    };
    let is_own_journal = |source: &&Source| matches!(source, Source::Journal { spec, .. } if spec.directory.is_none() && spec.namespace.is_none());
    let Some(journal) = heard().find(is_own_journal) else {
        return;
    };
    let copy = heard().find_map(|source| {
        let way = match source {
            Source::Syslog(spec) if spec.listen.iter().all(is_local) => {
                format!("what this machine sends to source `{}`", source.name())
            }
            Source::Files { paths, .. } => {
                let wanted = paths.as_ref().unwrap_or(&jail.logpath);
                let copy = wanted.iter().find(|glob| is_copy_of_journal(glob))?;
                format!("what is in {copy}")
            }
            _ => return None,
        };
        Some((source.name(), way))
    });
    if let Some((name, way)) = copy {
        problems.warning(
            written.place("sources"),
            format!(
                "jail `{}` listens to `{}` and to `{name}`: {way} is usually in the journal too, and counts twice",
                jail.name,
                journal.name()
            ),
            format!("write sources = [\"{name}\"], or sources = [\"{}\"]", journal.name()),
        );
    }
}

/// Whether only this machine can send there.
fn is_local(listen: &Listen) -> bool {
    match listen {
        Listen::Unix(_) => true,
        Listen::Udp(at) | Listen::Tcp(at) | Listen::Tls(at) => at.ip().is_loopback(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_that_overlap_exclude_each_other() {
        let ear = |text: &str| Ear::of(&text.parse().expect("an address"));
        for (one, other, excludes) in [
            ("udp://127.0.0.1:514", "udp://127.0.0.1:514", true),
            ("udp://127.0.0.1:514", "tcp://127.0.0.1:514", false),
            ("tls://127.0.0.1:514", "tcp://127.0.0.1:514", true),
            ("udp://127.0.0.1:514", "udp://127.0.0.1:515", false),
            ("udp://127.0.0.1:514", "udp://127.0.0.2:514", false),
            ("udp://0.0.0.0:514", "udp://127.0.0.2:514", true),
            ("udp://[::]:514", "udp://127.0.0.2:514", true),
            ("udp://[::]:514", "udp://0.0.0.0:514", true),
            ("udp://[::1]:514", "udp://0.0.0.0:514", false),
            ("unix:///run/a", "unix:///run/a", true),
            ("unix:///run/a", "unix:///run/b", false),
        ] {
            assert_eq!(ear(one).excludes(&ear(other)), excludes, "{one} {other}");
            assert_eq!(ear(other).excludes(&ear(one)), excludes, "{other} {one}");
        }
    }
}
