//! What does a filter over whole lines find?
//!
//! Other programs' filters hold their patterns against the line as it was written, without its date. In: a line, and what
//! is remembered of earlier ones. Out: [`Found`]. Nothing is proved of what an attacker can write for such patterns: that
//! is for whoever wrote them, and for `check` to tell.

mod connection;
mod cut;
pub(in crate::engine) mod dialect;
pub mod expression;
mod forgeable;
pub mod memory;
pub mod trial;
mod window;
mod words;

use std::borrow::Cow;
use std::net::IpAddr;
use std::num::NonZeroU16;

use jiff::tz::TimeZone;

use self::connection::{Lines, Told};
use self::expression::{LimitReached, LineExpression};
pub use self::memory::LineMemory;
use self::memory::Whose;
use self::trial::{Became, Taken, Trial};
pub use self::words::Words;
use super::literal::{Texts, options};
use super::{Capture, FilterSpec, Found, PatternError, Session, View};
use crate::engine::policy::FilterId;
use crate::engine::prefix::Prefix;
use crate::engine::record::date::template::DateTemplates;
use crate::engine::time::Timestamp;

/// What a filter over whole lines says beside its patterns.
#[derive(Clone, Debug)]
pub struct LineRules {
    /// What a line must match first. What its group `content` takes is what the patterns look at, if it has one.
    pub prefix: Option<String>,
    /// How dates are found, which are cut out of the line; `None` if none is looked for.
    pub dates: Option<Dating>,
    /// How many lines are looked at together.
    pub window: NonZeroU16,
}

/// How dates are found.
#[derive(Clone, Debug)]
pub struct Dating {
    /// What they look like.
    pub templates: DateTemplates,
    /// Their zone where they do not tell it.
    pub zone: TimeZone,
}

/// What is known of a failure beside what every filter knows.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Said {
    /// What the groups of the patterns took, in all lines of the connection.
    pub words: Words,
    /// Everybody whom the connection has named.
    pub users: Vec<Box<str>>,
    /// When it happened by the line's own date; `None` if none was found there.
    pub time: Option<Timestamp>,
    /// The network that failed, if the line names one instead of a host.
    pub network: Option<Prefix>,
    /// How many lines tell of it.
    pub lines: u32,
    /// These lines as they were written, if [`LineMemory::with_texts`] keeps them.
    pub texts: Vec<Box<str>>,
}

/// A filter over whole lines, compiled.
#[derive(Clone, Debug)]
pub(super) struct LineFilter {
    prefix: Option<LineExpression>,
    /// With their numbers.
    failures: Vec<(u16, LineExpression)>,
    ignores: Vec<LineExpression>,
    dates: Option<Dating>,
    window: NonZeroU16,
}

/// Groups that say who failed, the first one that is there counts.
pub(super) const ADDRESSES: [&str; 2] = ["ip4", "ip6"];
/// The name of a host.
const NAME: &str = "dns";
/// Whatever else is banned.
const ID: &str = "fid";
/// The width of a network.
const WIDTH: &str = "cidr";
/// Who failed.
const USER: &str = "user";
/// What ties lines together.
const CONNECTION: &str = "mlfid";
/// What the patterns look at.
const CONTENT: &str = "content";

impl LineFilter {
    /// Compiles a filter.
    ///
    /// # Errors
    /// Every pattern that cannot be compiled.
    pub(super) fn compile(spec: &FilterSpec, rules: &LineRules) -> Result<Self, Vec<PatternError>> {
        let is_multi = rules.window.get() > 1;
        let mut problems = Vec::new();
        let mut compile = |source: &str, number, ignore| {
            let compiled = LineExpression::new(source, is_multi);
            let error = |reason| PatternError {
                filter: spec.name.to_string(),
                number,
                ignore,
                reason,
            };
            compiled.map_err(|reason| problems.push(error(reason))).ok()
        };
        let prefix = rules.prefix.as_deref();
        let prefix = prefix.and_then(|prefix| compile(prefix, 0, false));
        let failures = spec.failures.iter().filter_map(|pattern| {
            Some((
                pattern.number,
                compile(&pattern.text, pattern.number, false)?,
            ))
        });
        let failures = failures.collect();
        let ignores = spec.ignores.iter();
        let ignores = ignores.filter_map(|pattern| compile(&pattern.text, pattern.number, true));
        let ignores = ignores.collect();
        if !problems.is_empty() {
            return Err(problems);
        }
        Ok(LineFilter {
            prefix,
            failures,
            ignores,
            dates: rules.dates.clone(),
            window: rules.window,
        })
    }

    /// Of each failure pattern, in their order: of each of these, every line holds one text that it takes. Nothing if it has
    /// to see every line.
    pub(super) fn options(&self) -> Vec<Vec<Texts>> {
        let of_prefix = || {
            let prefix = self.prefix.as_ref();
            prefix.map_or_else(Vec::new, |prefix| options(&prefix.relaxed()))
        };
        let of = |expression: &LineExpression| {
            if self.window.get() > 1 {
                return Vec::new();
            }
            let options = match options(&expression.relaxed()) {
                own if own.is_empty() => of_prefix(),
                own => own,
            };
            match &self.dates {
                None => options,
                Some(dates) => cut::around_dates(options, dates.templates.may_cut_words()),
            }
        };
        let failures = self.failures.iter();
        failures.map(|(_, expression)| of(expression)).collect()
    }

    /// What is found in a line by those patterns, by their places in ascending order, that may take it. Whoever has a
    /// `trial` learns what becomes of the line on the way.
    pub(super) fn find<'v>(
        &self,
        (id, spec): (FilterId, &FilterSpec),
        view: &'v View<'_>,
        places: &[usize],
        memory: &mut LineMemory,
        mut trial: Option<&mut Trial>,
    ) -> Option<Found<'v>> {
        let record = view.record();
        let (line, time) = self.without_date(view, trial.as_deref_mut());
        let asks_all = trial.as_ref().is_some_and(|trial| trial.asks_all);
        let whose = Whose {
            filter: spec,
            host: record.host,
        };
        let earlier = match self.window.get() {
            1 => None,
            window => Some(memory.window(&whose, window, (&line, view.whole()), time)),
        };
        let time = time.or(earlier.as_ref().and_then(|window| window.time));
        let when = time.unwrap_or(record.time);
        let text = earlier.as_ref().map_or(&line[..], |window| window.text());
        // Where there are few of them, they are asked first, and then of the whole line.
        if self.ignores.len() + 2 < self.failures.len() && self.ignores(text, trial.as_deref_mut())
        {
            return None;
        }
        let mut words = Words::default();
        let mut content = text;
        if let Some(prefix) = &self.prefix {
            let taken = match prefix.captures(text) {
                Ok(taken) => taken?,
                Err(LimitReached) => {
                    memory.exceeded(id, 0);
                    return None;
                }
            };
            if let Some(range) = taken.get(CONTENT).filter(|range| !range.is_empty()) {
                content = &text[range];
            }
            words.take(prefix, &taken, text);
            if let Some(trial) = trial.as_deref_mut() {
                trial.prefix = Some(words.clone());
            }
            words.remove(CONTENT);
        }
        let mut first = None;
        for place in places {
            let Some((number, expression)) = self.failures.get(*place) else {
                continue;
            };
            let taken = match expression.captures(content) {
                Ok(Some(taken)) => taken,
                Ok(None) => continue,
                Err(LimitReached) => {
                    memory.exceeded(id, *number);
                    continue;
                }
            };
            if self.ignores(content, trial.as_deref_mut()) {
                match asks_all {
                    true => continue,
                    false => return None,
                }
            }
            let mut words = match asks_all {
                true => words.clone(),
                false => std::mem::take(&mut words),
            };
            words.take(expression, &taken, content);
            let lines = match &earlier {
                None => Lines::one(memory.text(view.whole())),
                Some(window) => memory.consume(&whose, window.taken_by(&taken)),
            };
            let own = trial.as_ref().map(|_| lines.texts.clone());
            let (said, became) = memory.join(&whose, Told { words, lines }, when);
            let said = Said { time, ..said };
            if let Some((trial, lines)) = trial.as_deref_mut().zip(own) {
                trial.taken.push(Taken {
                    pattern: *number,
                    became,
                    said: said.clone(),
                    lines,
                });
            }
            let found = || found(*number, view, said);
            let found = (became == Became::Failure).then(found).flatten();
            // What was taken of a window is no longer there for the others.
            if !asks_all || earlier.is_some() {
                return found;
            }
            first = first.or(found);
        }
        first
    }

    /// Whether a text is to be ignored.
    fn ignores(&self, text: &[u8], trial: Option<&mut Trial>) -> bool {
        let takes = |ignore: &LineExpression| matches!(ignore.captures(text), Ok(Some(_)));
        let mut ignores = self.ignores.iter().enumerate();
        let Some(trial) = trial else {
            return ignores.any(|(_, ignore)| takes(ignore));
        };
        let before = trial.ignored.len();
        let places = ignores.filter(|(_, ignore)| takes(ignore));
        let most = if trial.asks_all { usize::MAX } else { 1 };
        trial
            .ignored
            .extend(places.map(|(place, _)| place).take(most));
        trial.ignored.len() > before
    }

    /// How many patterns say what is a failure.
    pub(super) fn failures(&self) -> usize {
        self.failures.len()
    }

    /// The failures, by their numbers, that might take an address which a client wrote into a line; 0 is what a line must
    /// match first.
    pub(super) fn forgeable(&self) -> impl Iterator<Item = u16> {
        let prefix = self.prefix.iter().map(|prefix| (0, prefix));
        let failures = self
            .failures
            .iter()
            .map(|(number, failure)| (*number, failure));
        let all = prefix.chain(failures);
        all.filter(|(_, expression)| forgeable::is_forgeable(&expression.relaxed()))
            .map(|(number, _)| number)
    }

    /// Whether any of its patterns takes a line.
    pub(super) fn takes(&self, view: &View<'_>) -> bool {
        let (line, _) = self.without_date(view, None);
        let mut failures = self.failures.iter().map(|(_, failure)| failure);
        let takes = |expression: &LineExpression, text: &[u8]| {
            matches!(expression.captures(text), Ok(Some(_)))
        };
        let content = match self.prefix.as_ref().map(|prefix| prefix.captures(&line)) {
            None => &line[..],
            Some(Ok(Some(taken))) => taken.get(CONTENT).map_or(&line[..], |range| &line[range]),
            Some(_) => return false,
        };
        let mut ignores = self.ignores.iter();
        failures.any(|failure| takes(failure, content))
            || ignores.any(|ignore| takes(ignore, content))
    }

    /// The line without its date, and that.
    fn without_date<'v>(
        &self,
        view: &'v View<'_>,
        trial: Option<&mut Trial>,
    ) -> (Cow<'v, [u8]>, Option<Timestamp>) {
        let line = view.whole();
        // Where no line was read, the time is told otherwise.
        let dates = self
            .dates
            .as_ref()
            .filter(|_| !view.record().line.is_empty());
        let now = view.record().time;
        let found = dates.and_then(|dates| dates.templates.find(line, &dates.zone, now));
        let Some(date) = found else {
            return (Cow::Borrowed(line), None);
        };
        if let Some(trial) = trial {
            trial.date = date.template;
        }
        let (before, after) = (&line[..date.cut.start], &line[date.cut.end..]);
        let rest = match before {
            b"" => Cow::Borrowed(after),
            _ => Cow::Owned([before, after].concat()),
        };
        (rest, date.time)
    }
}

/// What a connection says, as what is found; `None` if it says of nobody that he failed.
fn found<'v>(pattern: u16, view: &'v View<'_>, mut said: Said) -> Option<Found<'v>> {
    let words = &said.words;
    let address = ADDRESSES.iter().find_map(|name| words.get(name));
    let id = words.get(ID);
    let host = address.or(words.get(NAME)).or(id)?;
    let mut ip: Option<IpAddr> = address.or(id).and_then(|text| text.parse().ok());
    let width = words.get(WIDTH).and_then(|width| width.parse().ok());
    let network: Option<Prefix> = match (ip, width) {
        (Some(ip), Some(width)) => Some(Prefix::network(ip, width)),
        _ => id.and_then(|id| id.parse().ok()),
    };
    ip = ip.or(network.map(|network| network.address()));
    let owned = |text: &str| Cow::Owned(text.to_owned());
    let found = Found {
        pattern,
        host: owned(host),
        ip,
        user: words.get(USER).map(owned),
        target: id.map(owned),
        forwarded: None,
        session: words.get(CONNECTION).map(|id| Session::Captured(owned(id))),
        unless_counted: false,
        line: view.line(),
        said: None,
    };
    said.network = network.filter(|network| !network.is_host());
    Some(Found {
        said: Some(Box::new(said)),
        ..found
    })
}

/// The group of what a pattern can take beside an address.
pub(super) fn group(capture: Capture) -> &'static str {
    match capture {
        Capture::User => USER,
        Capture::Target => ID,
        Capture::Session => CONNECTION,
    }
}

/// Whether a regular expression has a group of that name.
pub(super) fn names_group(text: &str, name: &str) -> bool {
    ["(?P<", "(?<"]
        .iter()
        .any(|open| text.contains(&format!("{open}{name}>")))
}

#[cfg(test)]
mod tests;
