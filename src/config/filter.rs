//! What does a filter file say?
//!
//! In: the text of `filters/NAME.toml`. Out: a [`FilterFile`], from which the spec of each mode is made. Patterns
//! are compiled, and proven, by the engine; `proving` runs the samples.

mod lines;
mod looking;
mod proving;

use std::sync::Arc;

pub use lines::{LineFile, MOST_LINES};

use super::document::{self, Kind, Table, Value};
use super::format;
use super::keys;
use super::problem::{Place, Problems, Text};
use super::section::{Section, unknown};
use crate::action::ports::{Ports, Protocol, Services};
use crate::engine::filter::quoting::Quoting;
use crate::engine::filter::sample::{Expect, Sample};
use crate::engine::filter::{
    FilterSet, FilterSpec, LineRules, Outcome, PatternError, PatternSpec, RecordsSpec,
};
use crate::engine::name::FilterName;
use crate::engine::record::journal::JournalMatch;
use crate::source::file::FileGlob;

/// The mode if none is chosen.
pub const NORMAL: &str = "normal";

/// A filter file, complete and checked but for its patterns.
#[derive(Clone, Debug)]
pub struct FilterFile {
    name: FilterName,
    text: Arc<Text>,
    title: String,
    versions: String,
    needs: String,
    ports: Vec<(String, Place)>,
    protocols: Vec<Protocol>,
    records: RecordsSpec,
    session_by_pid: bool,
    failures: Vec<Pattern>,
    successes: Vec<Pattern>,
    ignores: Vec<Pattern>,
    samples: Vec<(Sample, Place)>,
    /// What it says of whole lines, if that is what its patterns look at.
    lines: Option<LineRules>,
    /// Whether another program ships it so, and the administrator has changed nothing of it.
    is_foreign_stock: bool,
}

#[derive(Clone, Debug)]
struct Pattern {
    /// Empty: all of them.
    modes: Vec<String>,
    spec: PatternSpec,
    place: Place,
}

impl FilterFile {
    /// Whether another program ships it so, and the administrator has changed nothing of it.
    pub fn is_foreign_stock(&self) -> bool {
        self.is_foreign_stock
    }

    /// Reads a filter file; `None` if it has a mistake, which is reported.
    pub fn parse(name: FilterName, text: &Arc<Text>, problems: &mut Problems) -> Option<Self> {
        let before = problems.count();
        let table = document::parse(text, problems);
        let top = Section::new(Some(&table), keys::FILTER);
        top.check_keys("a filter file", problems);
        let session_by_pid = match top.text("session", problems) {
            Some("pid") => true,
            Some(other) => {
                let place = top
                    .value("session")
                    .map_or_else(|| Place::whole(text), |value| value.place.clone());
                problems.error(
                    &place,
                    format!("`session` cannot be `{other}`"),
                    "write \"pid\"",
                );
                false
            }
            None => false,
        };
        let file = FilterFile {
            name,
            text: Arc::clone(text),
            title: top.text("title", problems).unwrap_or_default().to_owned(),
            versions: top
                .text("versions", problems)
                .unwrap_or_default()
                .to_owned(),
            needs: top.text("needs", problems).unwrap_or_default().to_owned(),
            ports: top
                .words("port", problems)
                .unwrap_or_default()
                .into_iter()
                .map(|(word, place)| (word, place.clone()))
                .collect(),
            protocols: top
                .parsed_list::<Protocol>("protocol", problems)
                .unwrap_or_default()
                .into_iter()
                .map(|(protocol, _)| protocol)
                .collect(),
            records: records(&top, problems),
            session_by_pid,
            failures: patterns(&top, "failure", keys::FAILURE, problems),
            successes: patterns(&top, "success", keys::SUCCESS, problems),
            ignores: patterns(&top, "ignore", keys::IGNORE, problems),
            samples: samples(&top, quoting(&top, problems), problems),
            lines: lines::read(&top, problems),
            is_foreign_stock: false,
        };
        let RecordsSpec { reports, bans, .. } = file.records;
        for (takes, what, key) in [(reports, "report", "report"), (bans, "ban", "bans")] {
            if let (true, Some(pattern)) = (takes, file.patterns().next()) {
                problems.error(
                    &pattern.place,
                    format!("a {what} is no text: no pattern is held against it"),
                    format!("remove the pattern, or `{key}` in [records]"),
                );
            }
        }
        if reports && bans {
            problems.error(
                &Place::whole(text),
                "a filter takes reports or bans, not both",
                "write two filters",
            );
        }
        for (sample, place) in &file.samples {
            if let Some(mode) = &sample.mode {
                file.check_mode(mode, place, problems);
            }
        }
        if problems.count() == before {
            return Some(file);
        }
        // Its patterns may have mistakes of their own; what belongs to no pattern may come of those found above.
        for mode in file.modes() {
            let spec = file.spec(mode);
            file.check_successes(&spec, problems);
            let errors = FilterSet::compile(vec![spec]).err();
            let errors = errors.unwrap_or_default().into_iter();
            for error in errors.filter(|error| error.number > 0) {
                file.report(&error, problems);
            }
        }
        None
    }

    /// Reports a mode that the filter does not have.
    pub fn check_mode(&self, mode: &str, place: &Place, problems: &mut Problems) -> bool {
        let known = self.modes();
        let is_known = known.contains(&mode);
        if !is_known {
            let context = format!("of filter `{}`", self.name);
            unknown(
                "mode",
                mode,
                &context,
                known.iter().copied(),
                place,
                problems,
            );
        }
        is_known
    }

    /// Its name.
    pub fn name(&self) -> &FilterName {
        &self.name
    }

    /// One line for people.
    pub fn title(&self) -> &str {
        &self.title
    }

    /// For which versions and settings of the service it was written; empty if it does not say.
    pub fn versions(&self) -> &str {
        &self.versions
    }

    /// What has to be switched on in the service; empty if nothing has.
    pub fn needs(&self) -> &str {
        &self.needs
    }

    /// The ports that the service usually has, as they are written.
    pub fn port_words(&self) -> Vec<&str> {
        self.ports.iter().map(|(word, _)| word.as_str()).collect()
    }

    /// The ports that the service usually has; `None` if the filter names none. What is wrong with them is reported.
    pub fn ports(&self, services: &Services, problems: &mut Problems) -> Option<Ports> {
        let words: Vec<_> = self.ports.iter().map(|(word, _)| word).collect();
        for (word, place) in &self.ports {
            if let Err(error) = Ports::parse(&[word], services) {
                let remedy =
                    "write numbers, ranges such as \"9000:9100\", or the names of services";
                problems.error(place, format!("`port`: {error}"), remedy);
            }
        }
        Ports::parse(&words, services).ok()
    }

    /// The protocols of these ports; empty if it names none.
    pub fn protocols(&self) -> &[Protocol] {
        &self.protocols
    }

    /// The text it was read from.
    pub fn text(&self) -> &Arc<Text> {
        &self.text
    }

    /// The modes that can be chosen.
    pub fn modes(&self) -> Vec<&str> {
        let mut modes = vec![NORMAL];
        for pattern in self.patterns() {
            for mode in &pattern.modes {
                if !modes.contains(&mode.as_str()) {
                    modes.push(mode);
                }
            }
        }
        modes
    }

    fn patterns(&self) -> impl Iterator<Item = &Pattern> {
        let counted = self.failures.iter().chain(&self.successes);
        counted.chain(&self.ignores)
    }

    /// Whether it takes what applications report by themselves, which a jail has to name.
    pub fn takes_reports(&self) -> bool {
        self.records.reports
    }

    /// The filter in one of its modes.
    pub fn spec(&self, mode: &str) -> FilterSpec {
        let is_of = |pattern: &&Pattern| {
            pattern.modes.is_empty() || pattern.modes.iter().any(|known| known == mode)
        };
        let chosen = |patterns: &[Pattern]| {
            let wanted = patterns.iter().filter(is_of);
            wanted.map(|pattern| pattern.spec.clone()).collect()
        };
        let all = [&self.failures, &self.successes, &self.ignores];
        let others = all.into_iter().flatten().filter(|pattern| !is_of(pattern));
        FilterSpec {
            name: self.name.clone(),
            mode: mode.into(),
            title: self.title.clone(),
            records: self.records.clone(),
            session_by_pid: self.session_by_pid,
            failures: chosen(&self.failures),
            outcome: Outcome::Failure,
            successes: chosen(&self.successes),
            ignores: chosen(&self.ignores),
            others: others.map(|pattern| pattern.spec.clone()).collect(),
            lines: self.lines.clone(),
        }
    }

    /// Reports what the engine has against a pattern, at the pattern's place.
    fn report(&self, error: &PatternError, problems: &mut Problems) {
        let patterns = if error.ignore {
            &self.ignores
        } else {
            &self.failures
        };
        self.report_of(patterns, error, problems);
    }

    /// Whether the engine takes the patterns of `spec`, a mode of this file; what it has against them is reported.
    pub fn check(&self, spec: &FilterSpec, problems: &mut Problems) -> bool {
        let before = problems.count();
        self.check_successes(spec, problems);
        let errors = FilterSet::compile(vec![spec.clone()]).err();
        for error in errors.unwrap_or_default() {
            self.report(&error, problems);
        }
        problems.count() == before
    }

    /// Reports what the engine has against the successes of `spec`, a mode of this file. Nothing is decided by them,
    /// but a filter with a mistake is refused at once, not when somebody asks about logins.
    fn check_successes(&self, spec: &FilterSpec, problems: &mut Problems) {
        let compiled = spec
            .of_successes()
            .map(|spec| FilterSet::compile(vec![spec]));
        for error in compiled.and_then(Result::err).unwrap_or_default() {
            self.report_of(&self.successes, &error, problems);
        }
    }

    fn report_of(&self, patterns: &[Pattern], error: &PatternError, problems: &mut Problems) {
        let pattern = patterns
            .iter()
            .find(|pattern| pattern.spec.number == error.number);
        let place =
            pattern.map_or_else(|| Place::whole(&self.text), |pattern| pattern.place.clone());
        problems.error(
            &place,
            error.reason.clone(),
            "see f2bd-filter(5) about patterns",
        );
    }

    /// The samples.
    pub fn samples(&self) -> impl Iterator<Item = &Sample> {
        self.samples.iter().map(|(sample, _)| sample)
    }
}

/// How the text of clients is written; each sample may say otherwise.
fn quoting(section: &Section<'_>, problems: &mut Problems) -> Option<Quoting> {
    section.parsed("quoting", problems)
}

fn records(top: &Section<'_>, problems: &mut Problems) -> RecordsSpec {
    let Some(value) = top.value("records") else {
        return RecordsSpec::default();
    };
    let Kind::Table(table) = &value.kind else {
        problems.error(&value.place, "`records` is no section", "write [records]");
        return RecordsSpec::default();
    };
    let section = Section::new(Some(table), keys::RECORDS);
    section.check_keys("[records]", problems);
    let boxed = |texts: Option<Vec<(&str, &Place)>>| {
        texts
            .into_iter()
            .flatten()
            .map(|(text, _)| Box::from(text))
            .collect()
    };
    let journal = section.parsed_list::<JournalMatch>("journal", problems);
    RecordsSpec {
        programs: boxed(section.texts("program", problems)),
        journal: journal.and_then(|list| {
            list.into_iter()
                .map(|(wanted, _)| wanted)
                .reduce(JournalMatch::or)
        }),
        files: section
            .parsed_list::<FileGlob>("file", problems)
            .unwrap_or_default()
            .into_iter()
            .map(|(path, _)| path.to_string().into())
            .collect(),
        reports: section.flag("report", problems).unwrap_or(false),
        bans: section.flag("bans", problems).unwrap_or(false),
        // A jail says which.
        services: Vec::new(),
    }
}

/// The sections `[[name]]`.
fn sections<'t>(
    top: &Section<'t>,
    name: &str,
    problems: &mut Problems,
) -> Vec<(&'t Table, &'t Value)> {
    let Some(value) = top.value(name) else {
        return Vec::new();
    };
    let items = match &value.kind {
        Kind::List(items) => items.as_slice(),
        _ => std::slice::from_ref(value),
    };
    let mut tables = Vec::new();
    for item in items {
        match &item.kind {
            // `[name]` with single brackets is one table and no list.
            Kind::Table(table) if matches!(value.kind, Kind::List(_)) => tables.push((table, item)),
            _ => problems.error(
                &item.place,
                format!("`{name}` is no list of sections"),
                format!("write [[{name}]]"),
            ),
        }
    }
    tables
}

fn patterns(
    top: &Section<'_>,
    name: &str,
    known: &'static [keys::Key],
    problems: &mut Problems,
) -> Vec<Pattern> {
    let mut patterns = Vec::new();
    for ((table, item), number) in sections(top, name, problems).into_iter().zip(1..) {
        let section = Section::new(Some(table), known);
        section.check_keys(&format!("[[{name}]]"), problems);
        let modes = section.texts("mode", problems).unwrap_or_default();
        let text = section.text("pattern", problems);
        let fields = format::of_pattern(&section, problems);
        let said = |key: &str| section.value(key);
        if said("pattern").is_none() && said("fields").is_none() {
            problems.error(
                &item.place,
                format!("[[{name}]] has neither `pattern` nor `fields`"),
                "write one of them or remove the section",
            );
        }
        if text.is_none() && fields.is_empty() {
            continue;
        }
        let counts = known.iter().any(|key| key.name == "unless_counted");
        patterns.push(Pattern {
            modes: modes.into_iter().map(|(mode, _)| mode.to_owned()).collect(),
            spec: PatternSpec {
                number,
                text: text.unwrap_or_default().to_owned(),
                fields,
                unless_counted: counts && section.flag("unless_counted", problems).unwrap_or(false),
            },
            place: said("pattern")
                .or_else(|| said("fields"))
                .map_or_else(|| item.place.clone(), |value| value.place.clone()),
        });
    }
    patterns
}

fn samples(
    top: &Section<'_>,
    usual: Option<Quoting>,
    problems: &mut Problems,
) -> Vec<(Sample, Place)> {
    let mut samples = Vec::new();
    for (table, item) in sections(top, "sample", problems) {
        let section = Section::new(Some(table), keys::SAMPLE);
        section.check_keys("[[sample]]", problems);
        let one = section
            .text("line", problems)
            .map(|line| vec![line.to_owned()]);
        let many = section.texts("lines", problems);
        let many = many.map(|lines| lines.into_iter().map(|(line, _)| line.to_owned()).collect());
        let lines: Vec<String> = match (one, many) {
            (Some(lines), None) | (None, Some(lines)) => lines,
            _ => {
                problems.error(
                    &item.place,
                    "a sample has either `line` or `lines`",
                    "write one of them",
                );
                continue;
            }
        };
        let owned = |text: Option<&str>| text.map(str::to_owned);
        let silent = matches!(
            section.value("ip"),
            Some(Value {
                kind: Kind::Flag(false),
                ..
            })
        );
        let expect = if silent {
            Expect::Silent
        } else {
            let count = section.number("failures", 1, 1_000, problems).unwrap_or(1);
            Expect::Failure {
                ip: owned(section.text("ip", problems)),
                host: owned(section.text("host", problems)),
                user: owned(section.text("user", problems)),
                target: owned(section.text("target", problems)),
                forwarded: owned(section.text("forwarded", problems)),
                session: owned(section.text("session", problems)),
                time: section.parsed("time", problems),
                count: u32::try_from(count).unwrap_or(1),
            }
        };
        let mode = owned(section.text("mode", problems));
        let mut parts = |key| {
            let mut parts = Vec::new();
            for (text, place) in section.texts(key, problems).unwrap_or_default() {
                if lines
                    .iter()
                    .any(|line| !text.is_empty() && line.contains(text))
                {
                    parts.push(text.to_owned());
                } else {
                    let remedy = "copy it from the line as it stands there";
                    problems.error(
                        place,
                        format!("`{text}` does not stand in the sample"),
                        remedy,
                    );
                }
            }
            parts
        };
        let (chosen, own) = (parts("chosen"), parts("own"));
        samples.push((
            Sample {
                lines,
                chosen,
                own,
                quoting: quoting(&section, problems).or(usual).unwrap_or_default(),
                mode,
                success: section.flag("success", problems).unwrap_or(false),
                expect,
            },
            item.place.clone(),
        ));
    }
    samples
}
