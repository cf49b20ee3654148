//! Which date stands in a line, by templates that were told?
//!
//! In: the bytes of a line, and a moment and a zone to fill in what a date leaves out. Out: where the date stands and which
//! moment it tells. What the language of templates is, [`language`] says.
//!
//! All templates are looked for at once, in one pass over the line. The date that begins first is taken; of several that begin
//! at the same place the one whose template comes first. Where a line has the date of the line before, it is not read again.
//!
//! The whole line is searched, in time that grows with its length only: who could push a date out of reach would thereby
//! hide his line from patterns that expect the date to be cut out. Templates that look around may go back and try again, but
//! only so often; one that gives up has found nothing, and if nothing else is found that is told.

mod codes;
pub mod joint;
mod language;
mod last;
mod placed;
mod reading;
mod search;
mod usual;

use std::fmt;
use std::ops::Range;
use std::sync::{Arc, LazyLock};

use jiff::tz::TimeZone;

use crate::engine::expression::LimitReached;
use crate::engine::time::Timestamp;
use joint::Joint;
use language::expressions;
pub use last::LastDate;
use last::Seen;
pub use placed::CUT;
use search::{Hit, Search};

/// No such text is a date template.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DateTemplateError {
    /// It has a code that is none.
    #[error("`{code}` in the date pattern `{pattern}` is no code: write %% for a percent sign")]
    UnknownCode {
        /// The template.
        pattern: String,
        /// The code.
        code: String,
    },
    /// What stands around its codes is no expression.
    #[error("the date pattern `{pattern}` cannot be read: {reason}")]
    Expression {
        /// The template.
        pattern: String,
        /// What is wrong with it.
        reason: String,
    },
    /// All of them together are too large.
    #[error("the date patterns are too large together: {0}")]
    TooLarge(String),
}

/// What a template found in a line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TemplateDate {
    /// The moment. `None` if the template tells none: where `cut` is empty it was not meant to, and the line is as
    /// good as one with a date; otherwise what stands there is no moment, such as 30 February.
    pub time: Option<Timestamp>,
    /// What is to be cut out of the line.
    pub cut: Range<usize>,
    /// By which template; `None` if none was looked for.
    pub template: Option<TemplateUse>,
}

/// Which template found a date, and how.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TemplateUse {
    /// Its number, the place of its name among [`DateTemplates::names`].
    pub number: usize,
    /// Whether the date tells its own zone.
    pub tells_zone: bool,
}

/// Some ways to write dates, looked for in this order.
#[derive(Clone, Debug)]
pub struct DateTemplates {
    compiled: Arc<Compiled>,
}

struct Compiled {
    search: Search,
    /// How many there are.
    expressions: usize,
    joint: Option<Joint>,
    is_none: bool,
    /// Each template as somebody can write it; several have one name where one line stands for several.
    names: Vec<Box<str>>,
    /// Which of them are usual ones.
    usual: Box<[bool]>,
    /// As they are written, one a line.
    text: Box<str>,
}

impl fmt::Debug for Compiled {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // What it was made of is long, and tells nothing.
        f.debug_struct("Compiled")
            .field("expressions", &self.expressions)
            .finish_non_exhaustive()
    }
}

/// The value by which no date is looked for.
const NONE: &str = "{NONE}";

static USUAL: LazyLock<DateTemplates> = LazyLock::new(|| known(ALL));
static AT_HEAD: LazyLock<DateTemplates> = LazyLock::new(|| known(ALL_AT_HEAD));

fn known(name: &str) -> DateTemplates {
    compile(&[name]).expect("the table holds templates only")
}

impl DateTemplates {
    /// The templates of `text`, one a line; the usual ones if there is none.
    pub fn parse(text: &str) -> Result<Self, DateTemplateError> {
        let lines = text.lines().map(str::trim);
        let lines: Vec<&str> = lines.filter(|line| !line.is_empty()).collect();
        match *lines {
            [] => Ok(Self::usual()),
            [line] if line.eq_ignore_ascii_case(ALL) => Ok(Self::usual()),
            [line] if line.eq_ignore_ascii_case(ALL_AT_HEAD) => Ok(AT_HEAD.clone()),
            _ => compile(&lines),
        }
    }

    /// Those that are looked for if none is told.
    pub fn usual() -> Self {
        USUAL.clone()
    }

    /// As they are written, one a line: what [`DateTemplates::parse`] makes them of.
    pub fn text(&self) -> &str {
        &self.compiled.text
    }

    /// The templates one by one, in the order in which they are looked for.
    pub fn names(&self) -> &[Box<str>] {
        &self.compiled.names
    }

    /// Whether no date is looked for, and every line is as good as one with a date.
    pub fn is_none(&self) -> bool {
        self.compiled.is_none
    }

    /// What of a line may meet where a date was cut out; `None` if nothing does, since they stand at its ends.
    pub fn joint(&self) -> Option<Joint> {
        self.compiled.joint
    }

    /// The date of `line`, in `zone` where it does not tell its own, seen from `now`. What was read is left in `last`.
    ///
    /// # Errors
    /// None was found, and a template that looks around could not tell in so few steps.
    pub fn find(
        &self,
        line: &[u8],
        zone: &TimeZone,
        now: Timestamp,
        last: &mut LastDate,
    ) -> Result<Option<TemplateDate>, LimitReached> {
        if self.is_none() {
            return Ok(Some(TemplateDate {
                time: None,
                cut: 0..0,
                template: None,
            }));
        }
        let Some(place) = self.compiled.search.first(line)? else {
            return Ok(None);
        };
        let (number, start) = (place.number, place.span.start);
        let seen = Seen::at(&place, line, self, now);
        let read = |hit: &Hit, calendar: &mut _| {
            let groups = hit.groups.iter();
            let groups =
                groups.filter_map(|(field, place)| Some((*field, line.get(place.clone())?)));
            let moment = match hit.cut.is_empty() {
                true => None,
                false => reading::moment(groups, calendar, now),
            };
            TemplateDate {
                time: moment.map(|(time, _)| time),
                cut: hit.cut.clone(),
                template: Some(TemplateUse {
                    number,
                    tells_zone: moment.is_some_and(|(_, tells_zone)| tells_zone),
                }),
            }
        };
        let last = last.in_zone(zone);
        Ok(last.told(seen, start, || place.hit(line), read))
    }

    /// Whether the numbers of a template stand in the same places of all texts that it takes and that differ in digits alone:
    /// in the usual ones something else stands between two numbers, or each has its width.
    fn is_regular(&self, number: usize) -> bool {
        self.compiled.usual.get(number) == Some(&true)
    }
}

impl TemplateDate {
    /// The same elsewhere in a line.
    fn moved(&self, to: impl Fn(usize) -> usize) -> Self {
        TemplateDate {
            cut: to(self.cut.start)..to(self.cut.end),
            ..*self
        }
    }
}

/// Whether they find the same.
impl PartialEq for DateTemplates {
    fn eq(&self, others: &Self) -> bool {
        Arc::ptr_eq(&self.compiled, &others.compiled) || self.text() == others.text()
    }
}

/// The value that stands for all usual templates.
const ALL: &str = "{DEFAULT}";
/// The value that stands for those of them that begin their line.
const ALL_AT_HEAD: &str = "{^LN-BEG}";

fn compile(lines: &[&str]) -> Result<DateTemplates, DateTemplateError> {
    let (mut all, mut names, mut are_usual) = (Vec::new(), Vec::new(), Vec::new());
    for &line in lines {
        let usual = match line.to_ascii_uppercase().as_str() {
            ALL => usual::all(),
            ALL_AT_HEAD => usual::at_head(),
            _ => Vec::new(),
        };
        let is_usual = !usual.is_empty();
        let mut placed = Vec::new();
        if !is_usual {
            placed = expressions(line)?;
            names.extend(placed.iter().map(|_| Box::from(line)));
        }
        for text in usual {
            let own = expressions(&text)?;
            names.extend(own.iter().map(|_| Box::from(&*text)));
            placed.extend(own);
        }
        are_usual.resize(names.len(), is_usual);
        all.extend(placed.into_iter().map(|placed| (line, placed)));
    }
    let joints = all.iter().filter_map(|(_, placed)| Joint::of(placed));
    let joint = joints.reduce(Joint::or);
    Ok(DateTemplates {
        compiled: Arc::new(Compiled {
            search: Search::new(&all)?,
            expressions: all.len(),
            joint,
            is_none: matches!(*all, [(line, _)] if line.eq_ignore_ascii_case(NONE)),
            names,
            usual: are_usual.into(),
            text: lines.join("\n").into(),
        }),
    })
}

#[cfg(test)]
mod tests;
