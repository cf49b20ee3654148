//! To what does a jail listen, and what does it want there?
//!
//! In: what the jail says, what its filter says, and the sources there are. Out: the sources it listens to, the
//! entries it wants of journals and the files it wants to have read. What a jail says goes before its filter.

use std::path::Path;

use super::problem::{Place, Problems};
use super::section::{Section, unknown};
use super::source::{Source, Sources};
use crate::engine::filter::RecordsSpec;
use crate::engine::name::{FilterName, SourceName};
use crate::engine::record::journal::JournalMatch;
use crate::source::file::FileGlob;

/// Where log daemons usually write what the journal has as well.
pub const COPIES_OF_THE_JOURNAL: &[&str] = &[
    "/var/log/auth.log",
    "/var/log/daemon.log",
    "/var/log/haproxy.log",
    "/var/log/kern.log",
    "/var/log/mail",
    "/var/log/mail.err",
    "/var/log/mail.log",
    "/var/log/mail.warn",
    "/var/log/maillog",
    "/var/log/messages",
    "/var/log/secure",
    "/var/log/syslog",
    "/var/log/user.log",
];

/// Whether a log usually holds what the journal has too.
pub fn is_copy_of_journal(path: &FileGlob) -> bool {
    let mut copies = COPIES_OF_THE_JOURNAL.iter();
    copies.any(|copy| path.literal() == Some(Path::new(copy)))
}

/// What a jail says of it.
pub struct Wishes {
    sources: Option<Vec<SourceName>>,
    /// Whether it is the jail itself that names them.
    are_own: bool,
    journalmatch: Option<JournalMatch>,
    logpath: Option<Vec<FileGlob>>,
    /// Where it says so, or where the jail begins.
    place: Place,
    /// Whether a part could not be read, which has been reported.
    broken: bool,
}

/// What comes of it.
#[derive(Debug)]
pub struct Listening {
    /// The sources.
    pub sources: Vec<SourceName>,
    /// Of these, the sources of which only records count that name their program, since its filter names programs and
    /// the jail has not chosen them for that: whoever logs there without a name could be any program.
    pub named_only: Vec<SourceName>,
    /// The entries of journals; nothing if it listens to none.
    pub journalmatch: JournalMatch,
    /// The files; nothing if it asks for none.
    pub logpath: Vec<FileGlob>,
}

impl Wishes {
    /// Reads them from the section of a jail, or from `[defaults]`; `place` is where it begins.
    pub fn read(
        section: &Section<'_>,
        place: &Place,
        known: &Sources,
        problems: &mut Problems,
    ) -> Self {
        let before = problems.count();
        let journalmatch = section.parsed_list::<JournalMatch>("journalmatch", problems);
        let logpath = section.parsed_list::<FileGlob>("logpath", problems);
        let place = section.value("sources").map_or(place, |value| &value.place);
        let sources = sources(section, known, problems);
        Wishes {
            sources,
            are_own: section.says("sources"),
            journalmatch: journalmatch.and_then(|list| {
                list.into_iter()
                    .map(|(item, _)| item)
                    .reduce(JournalMatch::or)
            }),
            logpath: logpath.map(|list| list.into_iter().map(|(item, _)| item).collect()),
            place: place.clone(),
            broken: problems.count() > before,
        }
    }

    /// What comes of them with a filter that looks at `records`; `None` if something is missing, which is reported.
    pub fn over(
        self,
        filter: &FilterName,
        records: RecordsSpec,
        known: &Sources,
        problems: &mut Problems,
    ) -> Option<Listening> {
        if self.broken {
            return None;
        }
        if records.bans {
            return self.for_bans(filter, problems);
        }
        let (asks_journal, asks_files) = (self.journalmatch.is_some(), self.logpath.is_some());
        let programs = records.programs.iter();
        let journalmatch = self.journalmatch.or_else(|| records.entries());
        // A service that logs to the journal may be told to write a log of its own instead. What log daemons copy from the
        // journal would count twice.
        let from_journal = self.sources.is_none()
            && !asks_files
            && journalmatch.is_some()
            && known.on.iter().any(is_journal);
        let usual_paths = records.files.iter().filter_map(|path| path.parse().ok());
        let is_read = |path: &FileGlob| !from_journal || !asks_journal && !is_copy_of_journal(path);
        let logpath = self
            .logpath
            .unwrap_or_else(|| usual_paths.filter(is_read).collect());

        let usual = |source: &Source| match source {
            Source::Report(_) => records.reports,
            _ if records.reports => false,
            Source::Journal { .. } => asks_journal || !asks_files && journalmatch.is_some(),
            Source::Files { paths: None, .. } => asks_files || from_journal && !logpath.is_empty(),
            // Where everything comes in, only a filter that names programs finds what is for it.
            Source::Files { .. } | Source::Syslog(_) => {
                !asks_journal && !asks_files && programs.len() > 0
            }
        };
        let names = |wanted: &dyn Fn(&Source) -> bool| -> Vec<SourceName> {
            let of = known.on.iter().filter(|source| wanted(source));
            of.map(|source| source.name().clone()).collect()
        };
        let sources = self.sources.unwrap_or_else(|| match names(&usual) {
            // Where there is no journal, the files in which such records usually are.
            none if none.is_empty() && !logpath.is_empty() => names(&is_files),
            chosen => chosen,
        });
        let listens = |kind: fn(&Source) -> bool| {
            let mut of_kind = known.on.iter().filter(|source| kind(source));
            of_kind.any(|source| sources.contains(source.name()))
        };
        let (to_journal, to_files) = (listens(is_journal), listens(is_files));
        let says_nothing = journalmatch.is_none() && logpath.is_empty();

        let (message, remedy) = if records.reports && !listens(is_report) {
            (
                "there is no source of reports".to_owned(),
                "write a section such as [source.report] with type = \"report\"",
            )
        } else if asks_files && !to_files {
            (
                "`logpath` names files, but the jail does not listen to the source `files`"
                    .to_owned(),
                "add \"files\" to `sources`, switch that source on, or remove `logpath`",
            )
        } else if to_journal && journalmatch.is_none() {
            (
                format!("filter `{filter}` does not say which entries of a journal it wants"),
                "write `journalmatch` into the jail",
            )
        } else if to_files && logpath.is_empty() {
            (
                format!("filter `{filter}` does not say in which files its records are"),
                "write `logpath` into the jail",
            )
        } else if sources.is_empty() && says_nothing {
            (
                format!("filter `{filter}` does not say where its records are"),
                "write `logpath` or `journalmatch` into the jail",
            )
        } else {
            // The files that the jail or its filter names hold what is for it. Elsewhere everything comes in, but for a
            // log that the jail itself has chosen.
            let needs_name = |source: &&Source| match source {
                Source::Files { paths, .. } => paths.is_some() && !self.are_own,
                Source::Journal { .. } | Source::Syslog(_) | Source::Report(_) => true,
            };
            let named_only = known
                .on
                .iter()
                .filter(|source| programs.len() > 0 && sources.contains(source.name()))
                .filter(needs_name)
                .map(|source| source.name().clone());
            return Some(Listening {
                named_only: named_only.collect(),
                sources,
                journalmatch: journalmatch.filter(|_| to_journal).unwrap_or_default(),
                logpath: if to_files { logpath } else { Vec::new() },
            });
        };
        problems.error(&self.place, message, remedy);
        None
    }
}

impl Wishes {
    /// What comes of them with a filter that counts bans: they come from no source.
    fn for_bans(self, filter: &FilterName, problems: &mut Problems) -> Option<Listening> {
        if self.are_own || self.journalmatch.is_some() || self.logpath.is_some() {
            let message = format!("filter `{filter}` counts bans by other jails, and reads no log");
            let remedy = "remove `sources`, `logpath` and `journalmatch`";
            problems.error(&self.place, message, remedy);
            return None;
        }
        Some(Listening {
            sources: Vec::new(),
            named_only: Vec::new(),
            journalmatch: JournalMatch::default(),
            logpath: Vec::new(),
        })
    }
}

/// The sources that a section names, if it names any.
pub fn sources(
    section: &Section<'_>,
    known: &Sources,
    problems: &mut Problems,
) -> Option<Vec<SourceName>> {
    let list = section.texts("sources", problems)?;
    let names = || known.on.iter().map(Source::name);
    let mut chosen = Vec::new();
    for (word, place) in list {
        match names().find(|source| source.as_str() == word) {
            Some(source) if !chosen.contains(source) => chosen.push(source.clone()),
            Some(_) => {}
            None if known.off.iter().any(|source| source.as_str() == word) => problems.error(
                place,
                format!("source `{word}` is switched off"),
                format!("remove enabled = false from [source.{word}], or \"{word}\" here"),
            ),
            None => {
                let known = names().map(SourceName::as_str);
                unknown("source", word, "", known, place, problems);
            }
        }
    }
    Some(chosen)
}

fn is_report(source: &Source) -> bool {
    matches!(source, Source::Report(_))
}

fn is_journal(source: &Source) -> bool {
    matches!(source, Source::Journal { .. })
}

/// Whether it reads the files that jails name.
fn is_files(source: &Source) -> bool {
    matches!(source, Source::Files { paths: None, .. })
}
