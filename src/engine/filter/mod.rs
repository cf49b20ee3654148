//! Which records of a service are failures, and whose?
//!
//! A [`FilterSpec`] is what a filter file says; [`FilterSet`] is what it was compiled to. In: records. Out:
//! [`Found`]. What becomes of a failure is decided in `jail`, not here.

mod everyday;
pub mod forgery;
pub mod forwarded;
mod hashed;
mod language;
pub mod likely;
pub mod line;
mod literal;
pub mod passing;
pub mod pattern;
mod proof;
mod quick;
pub mod quoting;
pub mod sample;
pub mod session;
pub mod set;
pub mod sieve;
mod steps;
mod view;
pub mod wording;

use std::borrow::Cow;
use std::fmt;
use std::net::IpAddr;

use super::name::FilterName;
use super::record::Record;
use super::record::journal::JournalMatch;
use super::record::json::FieldPath;
pub use super::record::report::Outcome;
pub use line::{LineMemory, LinePattern, LineRules, Said};
pub use pattern::PatternError;
pub use session::Session;
pub use set::{FilterSet, Finding};
pub use view::View;

/// What a filter file says, for one chosen mode.
#[derive(Clone, Debug)]
pub struct FilterSpec {
    /// The file's name without its ending.
    pub name: FilterName,
    /// The mode it was reduced to; what counts in one mode may not in another.
    pub mode: Box<str>,
    /// One line for people: `OpenSSH server`.
    pub title: String,
    /// What the filter looks at.
    pub records: RecordsSpec,
    /// What has become of what it finds.
    pub outcome: Outcome,
    /// Whether lines of one process belong together (`session = "pid"`).
    pub session_by_pid: bool,
    /// The failures, in the order of the file, already reduced to the chosen mode.
    pub failures: Vec<PatternSpec>,
    /// Records that tell of somebody who was let in, reduced to the chosen mode as well.
    pub successes: Vec<PatternSpec>,
    /// Records that are no failure though a pattern takes them.
    pub ignores: Vec<PatternSpec>,
    /// All patterns of other modes. Nothing counts by them, but what they take is no news to the filter.
    pub others: Vec<PatternSpec>,
    /// What it says of whole lines, if that is what its patterns look at, and not messages; failures and ignores are
    /// of lines then, and there is nothing else.
    pub lines: Option<LineRules>,
}

impl FilterSpec {
    /// The filter that takes what this one knows for successes, for whoever asks about them; `None` if it knows none.
    pub fn of_successes(&self) -> Option<FilterSpec> {
        (!self.successes.is_empty() || self.records.reports).then(|| FilterSpec {
            failures: self.successes.clone(),
            outcome: Outcome::Success,
            successes: Vec::new(),
            ignores: Vec::new(),
            others: Vec::new(),
            ..self.clone()
        })
    }

    /// Whether what it finds can have a name instead of an address.
    pub fn names_hosts(&self) -> bool {
        if self.lines.is_some() {
            return self.has_group("dns");
        }
        let mut patterns = self.failures.iter().chain(&self.successes);
        patterns.any(|pattern| pattern.to_string().contains("<host>"))
    }

    /// Whether what it finds can hold something of this kind.
    pub fn captures(&self, capture: Capture) -> bool {
        if self.lines.is_some() {
            return self.has_group(line::group(capture));
        }
        let is_reported = self.records.reports && capture == Capture::User;
        is_reported || self.failures_have(capture.word())
    }

    /// Whether what it finds can say from where somebody has failed.
    pub fn names_addresses(&self) -> bool {
        let is_told = self.records.reports || self.records.bans;
        is_told
            || line::ADDRESSES.iter().any(|name| self.has_group(name))
            || self.names_hosts()
            || self.failures_have("ip")
            || self.failures_have("host")
    }

    /// Whether what it finds can say for whom a proxy speaks.
    pub fn names_forwarded(&self) -> bool {
        self.failures_have("forwarded")
    }

    /// Whether a pattern over lines has such a group.
    fn has_group(&self, name: &str) -> bool {
        let Some(rules) = &self.lines else {
            return false;
        };
        let failures = self.failures.iter().map(|pattern| &pattern.text);
        let mut texts = failures.chain(&rules.prefix);
        texts.any(|text| line::names_group(text, name))
    }

    fn failures_have(&self, name: &str) -> bool {
        let placeholder = format!("<{name}>");
        let mut failures = self.failures.iter();
        failures.any(|pattern| {
            let fields = pattern.fields.iter().map(|(_, text)| text);
            let mut texts = std::iter::once(&pattern.text).chain(fields);
            texts.any(|text| text.contains(&placeholder))
        })
    }
}

impl Found<'_> {
    /// The record at the time that its own line tells, if it does.
    pub fn dated<'c, 'r>(&self, record: &'c Record<'r>) -> Cow<'c, Record<'r>> {
        match self.said.as_ref().and_then(|said| said.time) {
            Some(time) => Cow::Owned(Record { time, ..*record }),
            None => Cow::Borrowed(record),
        }
    }

    /// The text that was captured, if it was. The number of a process is no such text.
    pub fn captured(&self, capture: Capture) -> Option<&str> {
        match capture {
            Capture::User => self.user.as_deref(),
            Capture::Target => self.target.as_deref(),
            Capture::Session => match self.session.as_ref()? {
                Session::Captured(text) => Some(text),
                Session::Process(_) => None,
            },
        }
    }
}

/// What a pattern can take out of a record beside an address, by the name of its placeholder.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Capture {
    /// An account.
    User,
    /// What was attacked.
    Target,
    /// What ties records together.
    Session,
}

impl Capture {
    /// All of them.
    pub const ALL: [Self; 3] = [Capture::User, Capture::Target, Capture::Session];

    /// By which word it is known.
    pub fn word(self) -> &'static str {
        match self {
            Capture::User => "user",
            Capture::Target => "target",
            Capture::Session => "session",
        }
    }
}

/// What a filter looks at; anything else is never tested.
#[derive(Clone, Debug, Default)]
pub struct RecordsSpec {
    /// Names of programs; none means any. A record that names none is looked at all the same; which
    /// jails hear of such a record is up to them.
    pub programs: Vec<Box<str>>,
    /// Entries of the journal; none stated means those of the programs.
    pub journal: Option<JournalMatch>,
    /// Log files in which such records usually are: absolute paths, or globs of them.
    pub files: Vec<Box<str>>,
    /// Whether it looks at what applications report by themselves, and at nothing else. Then it has no patterns.
    pub reports: bool,
    /// Whether it looks at bans by other jails, and at nothing else. Then it has no patterns.
    pub bans: bool,
    /// The services whose reports count.
    pub services: Vec<Box<str>>,
}

impl RecordsSpec {
    /// The entries of a journal that the filter looks at: those that it states, or else those of its programs; `None` if
    /// it says nothing of either.
    pub fn entries(&self) -> Option<JournalMatch> {
        let programs = self.programs.iter();
        let of_programs = programs.map(|program| JournalMatch::program(program));
        let stated = self.journal.clone();
        stated.or_else(|| of_programs.reduce(JournalMatch::or))
    }
}

/// One pattern of a filter file.
#[derive(Clone, Debug)]
pub struct PatternSpec {
    /// Its number in the file, from 1, over all modes, so that it does not depend on the chosen one.
    pub number: u16,
    /// Regular expression over the message, with placeholders, as written; empty if it looks at fields alone.
    pub text: String,
    /// Regular expressions over fields of an object. All of them have to match, and the message too.
    pub fields: Vec<(FieldPath, String)>,
    /// Counts only if its session has counted nothing yet (`unless_counted = true`): the closing line of
    /// a connection whose failed attempts were logged before is not one more attempt.
    pub unless_counted: bool,
}

impl fmt::Display for PatternSpec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)?;
        for (at, (path, text)) in self.fields.iter().enumerate() {
            let before = if at == 0 && self.text.is_empty() {
                ""
            } else {
                ", "
            };
            write!(f, "{before}{} = {text}", path.as_str())?;
        }
        Ok(())
    }
}

/// A record that a filter recognises as a failure.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Found<'r> {
    /// [`PatternSpec::number`] of the pattern that took it; 0 for a report.
    pub pattern: u16,
    /// The captured host as it stands in the record: an address or a name; empty if the pattern knows of none.
    pub host: Cow<'r, str>,
    /// The address, canonical, unless `host` is a name.
    pub ip: Option<IpAddr>,
    /// The captured account; text of the attacker's choice.
    pub user: Option<Cow<'r, str>>,
    /// What was attacked: a URL, a mailbox, a share; text of the attacker's choice.
    pub target: Option<Cow<'r, str>>,
    /// For whom a proxy says that it speaks; text of the attacker's choice but for its end.
    pub forwarded: Option<Cow<'r, str>>,
    /// What ties the record to others of its session.
    pub session: Option<Session<'r>>,
    /// [`PatternSpec::unless_counted`] of the pattern.
    pub unless_counted: bool,
    /// What else a filter over whole lines knows; rare, so that other failures need no room for it.
    pub said: Option<Box<Said>>,
    /// What people should see of the record: its message, or the object whose fields told, or all of it where a filter looks at
    /// whole lines.
    pub line: &'r [u8],
}
