//! What does a filter over whole lines find?
//!
//! Other programs' filters hold their patterns against the line as it was written, without its date. In: a line, and what
//! is remembered of earlier ones. Out: [`Found`]. Nothing is proved of what an attacker can write for such patterns: that
//! is for whoever wrote them, and for `check` to tell.

mod connection;
mod cut;
mod forgeable;
pub mod memory;
mod prefix;
mod recent;
pub mod trial;
mod window;
mod words;

use std::borrow::Cow;
use std::fmt;
use std::net::IpAddr;
use std::num::NonZeroU16;
use std::ops::Range;

use jiff::tz::TimeZone;
use smallvec::SmallVec;

use self::connection::{Lines, Told};
pub use self::memory::LineMemory;
use self::memory::Whose;
use self::prefix::LinePrefix;
use self::trial::{Became, Taken, Trial};
use self::window::TakenLines;
pub use self::words::Words;
use super::literal::{Texts, options};
use super::{Capture, FilterSpec, Found, PatternError, PatternSpec, Session, View};
use crate::engine::expression::{LimitReached, LineExpression};
use crate::engine::policy::FilterId;
use crate::engine::prefix::Prefix;
use crate::engine::record::date::template::{DateTemplates, LastDate, TemplateDate};
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

/// A pattern of a filter over whole lines.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum LinePattern {
    /// What its dates look like.
    Date,
    /// What a line must match first.
    Prefix,
    /// The failure of this number.
    Failure(u16),
    /// The ignore of this number.
    Ignore(u16),
}

impl fmt::Display for LinePattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            LinePattern::Date => f.write_str("the pattern of its dates"),
            LinePattern::Prefix => f.write_str("what every line must match first"),
            LinePattern::Failure(number) => write!(f, "pattern {number}"),
            LinePattern::Ignore(number) => write!(f, "ignore {number}"),
        }
    }
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
    prefix: Option<LinePrefix>,
    failures: Vec<Failure>,
    /// With their numbers.
    ignores: Vec<(u16, LineExpression)>,
    dates: Option<Dating>,
    window: NonZeroU16,
}

/// A failure pattern.
#[derive(Clone, Debug)]
struct Failure {
    /// Its number.
    number: u16,
    expression: LineExpression,
    /// Whether what it takes says nothing unless something is known of its connection.
    is_farewell: bool,
}

/// What a failure pattern took.
struct Hit {
    /// Its number.
    number: u16,
    words: Words,
    taken: TakenLines,
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
        let error = |reason, number, ignore| PatternError {
            filter: spec.name.to_string(),
            number,
            ignore,
            reason,
        };
        let prefix = rules.prefix.as_deref();
        let prefix = prefix.map(|prefix| LinePrefix::new(prefix, is_multi));
        let prefix = prefix.transpose().unwrap_or_else(|reason| {
            problems.push(error(reason, 0, false));
            None
        });
        let mut compile = |source: &str, number, ignore| {
            let compiled = LineExpression::new(source, is_multi);
            let compiled = compiled.map_err(|reason| error(reason, number, ignore));
            compiled.map_err(|error| problems.push(error)).ok()
        };
        let mut all = |patterns: &[PatternSpec], ignore| -> Vec<(u16, LineExpression)> {
            let compiled = patterns.iter().filter_map(|pattern| {
                let number = pattern.number;
                Some((number, compile(&pattern.text, number, ignore)?))
            });
            compiled.collect()
        };
        let failures = all(&spec.failures, false).into_iter();
        let failures = failures.map(|(number, expression)| Failure {
            number,
            is_farewell: connection::is_farewell(&expression),
            expression,
        });
        let failures = failures.collect();
        let ignores = all(&spec.ignores, true);
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
            prefix.map_or_else(Vec::new, |prefix| options(&prefix.expression().relaxed()))
        };
        let of = |expression: &LineExpression| {
            if self.window.get() > 1 {
                return Vec::new();
            }
            let options = match options(&expression.relaxed()) {
                own if own.is_empty() => of_prefix(),
                own => own,
            };
            match self
                .dates
                .as_ref()
                .and_then(|dates| dates.templates.joint())
            {
                None => options,
                Some(joint) => cut::around_dates(options, joint),
            }
        };
        let failures = self.failures.iter();
        failures.map(|failure| of(&failure.expression)).collect()
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
        let whose = Whose {
            filter: spec,
            id,
            host: record.host,
        };
        let date = self.date(view, &mut memory.date);
        let date = date.unwrap_or_else(|LimitReached| {
            memory.exceeded(&whose, LinePattern::Date);
            None
        });
        if let Some(trial) = trial.as_deref_mut() {
            trial.date = date.as_ref().and_then(|date| date.template);
        }
        let line = without(view.whole(), date.as_ref());
        let time = date.and_then(|date| date.time);
        let (hits, mut forgotten, time) = match self.window.get() {
            1 => {
                let hits = self.hits(&whose, &line, places, memory, trial.as_deref_mut());
                (hits, None, time)
            }
            most => {
                let written = memory.text(view.whole());
                let mut window = memory.take_window(&whose);
                window.add(&line, time, most, written);
                let hits = self.hits(&whose, window.text(), places, memory, trial.as_deref_mut());
                let forgotten = hits.first().map(|hit| window.forget(&hit.taken));
                let time = window.time;
                memory.keep_window(&whose, window);
                (hits, forgotten, time)
            }
        };
        let mut first = None;
        for Hit { number, words, .. } in hits {
            let lines = forgotten.take();
            let lines = lines.unwrap_or_else(|| Lines::one(memory.text(view.whole())));
            let own = trial.as_ref().map(|_| lines.texts.clone());
            let told = Told { words, lines };
            let at = time.unwrap_or(record.time);
            let is_wanted = |became| became == Became::Failure || trial.is_some();
            let (said, became) = memory.join(&whose, told, at, is_wanted);
            let Some(said) = said.map(|said| Said { time, ..said }) else {
                continue;
            };
            if let Some((trial, lines)) = trial.as_deref_mut().zip(own) {
                trial.taken.push(Taken {
                    pattern: number,
                    became,
                    said: said.clone(),
                    lines,
                });
            }
            if became == Became::Failure {
                first = first.or_else(|| found(number, view, said));
            }
        }
        first
    }

    /// What the first of those patterns takes that takes a text; all that all of them take if somebody tries that.
    fn hits(
        &self,
        whose: &Whose<'_>,
        text: &[u8],
        places: &[usize],
        memory: &mut LineMemory,
        mut trial: Option<&mut Trial>,
    ) -> SmallVec<[Hit; 1]> {
        let mut hits = SmallVec::new();
        let asks_all = trial.as_ref().is_some_and(|trial| trial.asks_all);
        // Where there are few of them, they are asked first, and then of the whole line.
        let few_ignores = self.ignores.len() + 2 < self.failures.len();
        if few_ignores && self.is_ignored(whose, text, memory, trial.as_deref_mut()) {
            return hits;
        }
        let content = self.content(text, trial.as_deref_mut());
        let content =
            content.inspect_err(|LimitReached| memory.exceeded(whose, LinePattern::Prefix));
        let Ok(Some((range, mut words))) = content else {
            return hits;
        };
        let (start, content) = (range.start, &text[range]);
        let is_single = trial.is_none() && self.window.get() == 1;
        let mut known = None;
        for place in places {
            let Some(failure) = self.failures.get(*place) else {
                continue;
            };
            let Failure {
                number, expression, ..
            } = failure;
            let mut is_known = || {
                let find = || {
                    words
                        .get(CONNECTION)
                        .is_some_and(|id| memory.knows(whose, id))
                };
                *known.get_or_insert_with(find)
            };
            // Most lines of this kind tell of users who have done nothing. What would ignore one makes no difference.
            if failure.is_farewell && is_single && !is_known() {
                match expression.takes(content) {
                    Ok(true) => return hits,
                    Ok(false) => {}
                    Err(LimitReached) => memory.exceeded(whose, LinePattern::Failure(*number)),
                }
                continue;
            }
            let taken = match expression.captures(content) {
                Ok(Some(taken)) => taken,
                Ok(None) => continue,
                Err(LimitReached) => {
                    memory.exceeded(whose, LinePattern::Failure(*number));
                    continue;
                }
            };
            if self.is_ignored(whose, content, memory, trial.as_deref_mut()) {
                match asks_all {
                    true => continue,
                    false => return hits,
                }
            }
            let mut words = match asks_all {
                true => words.clone(),
                false => std::mem::take(&mut words),
            };
            words.take(expression, &taken, content);
            hits.push(Hit {
                number: *number,
                words,
                taken: TakenLines::of(&taken, start),
            });
            // What one pattern took of several lines is no longer there for the others.
            if !asks_all || self.window.get() > 1 {
                return hits;
            }
        }
        hits
    }

    /// Whether a text is no failure all the same. Who could make an ignore give up must not be ignored by that.
    fn is_ignored(
        &self,
        whose: &Whose<'_>,
        text: &[u8],
        memory: &mut LineMemory,
        trial: Option<&mut Trial>,
    ) -> bool {
        let mut ignores = self.ignores.iter().enumerate();
        let mut takes = |(_, (number, ignore)): &(usize, &(u16, LineExpression))| {
            let takes = ignore.takes(text);
            let takes = takes.inspect_err(|LimitReached| {
                memory.exceeded(whose, LinePattern::Ignore(*number));
            });
            takes == Ok(true)
        };
        let Some(trial) = trial else {
            return ignores.any(|ignore| takes(&ignore));
        };
        let before = trial.ignored.len();
        let most = if trial.asks_all { usize::MAX } else { 1 };
        let places = ignores.filter(takes).map(|(place, _)| place);
        trial.ignored.extend(places.take(most));
        trial.ignored.len() > before
    }

    /// How many patterns say what is a failure.
    pub(super) fn failures(&self) -> usize {
        self.failures.len()
    }

    /// Which part of a text the patterns look at, and what was taken before; `None` if it does not match what it must match
    /// first.
    fn content(
        &self,
        text: &[u8],
        trial: Option<&mut Trial>,
    ) -> Result<Option<(Range<usize>, Words)>, LimitReached> {
        match &self.prefix {
            Some(prefix) => prefix.content(text, trial),
            None => Ok(Some((0..text.len(), Words::default()))),
        }
    }

    /// The patterns that might take an address which a client wrote into a line.
    pub(super) fn forgeable(&self) -> impl Iterator<Item = LinePattern> {
        let prefix = self.prefix.iter();
        let prefix = prefix.map(|prefix| (LinePattern::Prefix, prefix.expression()));
        let failures = self.failures.iter();
        let failures = failures.map(|failure| {
            let pattern = LinePattern::Failure(failure.number);
            (pattern, &failure.expression)
        });
        let all = prefix.chain(failures);
        all.filter(|(_, expression)| forgeable::is_forgeable(&expression.relaxed()))
            .map(|(pattern, _)| pattern)
    }

    /// Whether any of its patterns takes a line.
    pub(super) fn takes(&self, view: &View<'_>) -> bool {
        let date = self.date(view, &mut LastDate::default());
        let line = without(view.whole(), date.ok().flatten().as_ref());
        let Ok(Some((content, _))) = self.content(&line, None) else {
            return false;
        };
        let content = &line[content];
        let failures = self.failures.iter().map(|failure| &failure.expression);
        let ignores = self.ignores.iter().map(|(_, expression)| expression);
        let mut patterns = failures.chain(ignores);
        patterns.any(|expression| expression.takes(content) == Ok(true))
    }

    /// The date of a line, if it has one.
    ///
    /// # Errors
    /// None was found, and its pattern cannot tell in so few steps.
    fn date(
        &self,
        view: &View<'_>,
        last: &mut LastDate,
    ) -> Result<Option<TemplateDate>, LimitReached> {
        let record = view.record();
        // Where no line was read, the time is told otherwise.
        let dates = self.dates.as_ref().filter(|_| !record.line.is_empty());
        let find = |dates: &Dating| {
            let Dating { templates, zone } = dates;
            templates.find(view.whole(), zone, record.time, last)
        };
        dates.map_or(Ok(None), find)
    }
}

/// A line without its date.
fn without<'l>(line: &'l [u8], date: Option<&TemplateDate>) -> Cow<'l, [u8]> {
    let Some(TemplateDate { cut, .. }) = date else {
        return Cow::Borrowed(line);
    };
    let (before, after) = (&line[..cut.start], &line[cut.end..]);
    match before {
        b"" => Cow::Borrowed(after),
        _ => Cow::Owned([before, after].concat()),
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
        ip: ip.map(|ip| ip.to_canonical()),
        user: words.get(USER).map(owned),
        target: id.map(owned),
        forwarded: None,
        session: words.get(CONNECTION).map(|id| Session::Captured(owned(id))),
        unless_counted: false,
        line: view.whole(),
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
