//! Which date stands in a line, by templates that were told?
//!
//! In: the bytes of a line, and a moment and a zone to fill in what a date leaves out. Out: where the date stands and which
//! moment it tells. What the language of templates is, [`language`] says.
//!
//! All templates are looked for at once, in one pass over the line. The date that begins first is taken; of several that begin
//! at the same place the one whose template comes first. Nothing is remembered from line to line.
//!
//! The whole line is searched, in time that grows with its length only: who could push a date out of reach would thereby
//! hide his line from patterns that expect the date to be cut out.

mod codes;
mod language;
mod reading;
mod usual;

use std::fmt;
use std::ops::Range;
use std::sync::{Arc, LazyLock};

use jiff::tz::TimeZone;
use regex_automata::meta;
use regex_automata::util::primitives::PatternID;
use regex_automata::util::syntax;

use crate::engine::time::Timestamp;
use codes::Field;
use language::{Translate, expressions};

/// The most memory, in bytes, that the program of one set of templates may take. All the usual ones, wrapped by
/// five different templates, take a third of it.
const LARGEST_PROGRAM: usize = 8 << 20;

/// The most memory, in bytes, that a search may take to become fast; beyond that it is slower.
const LARGEST_CACHE: usize = 1 << 20;

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
    /// What stands around its codes is no expression, or none that can be matched in linear time.
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
}

/// Some ways to write dates, looked for in this order.
#[derive(Clone, Debug)]
pub struct DateTemplates {
    compiled: Arc<Compiled>,
}

/// What the groups of an expression tell, and their numbers.
type Fields = Box<[(Field, usize)]>;

struct Compiled {
    regex: meta::Regex,
    /// By expression.
    fields: Box<[Fields]>,
    may_cut_words: bool,
    is_none: bool,
    /// What it was made of.
    all: Box<[String]>,
}

impl fmt::Debug for Compiled {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // What it was made of is long, and tells nothing.
        f.debug_struct("Compiled")
            .field("expressions", &self.fields.len())
            .finish_non_exhaustive()
    }
}

/// The value by which no date is looked for.
const NONE: &str = "{NONE}";

static USUAL: LazyLock<DateTemplates> = LazyLock::new(|| known(&usual::all()));
static AT_HEAD: LazyLock<DateTemplates> = LazyLock::new(|| known(&usual::at_head()));

fn known(texts: &[String]) -> DateTemplates {
    compile(texts.iter().map(String::as_str), &verbatim).expect("the table holds templates only")
}

fn verbatim(expression: &str) -> Result<String, String> {
    Ok(expression.to_owned())
}

impl DateTemplates {
    /// The templates of `text`, one a line; the usual ones if there is none.
    pub fn parse(text: &str) -> Result<Self, DateTemplateError> {
        Self::translated(text, &verbatim)
    }

    /// The same, where the expressions around the codes are of another dialect, which `translate` turns into that of `regex`.
    pub fn translated(text: &str, translate: Translate) -> Result<Self, DateTemplateError> {
        let lines = text.lines().map(str::trim);
        let lines: Vec<&str> = lines.filter(|line| !line.is_empty()).collect();
        match *lines {
            [] => Ok(Self::usual()),
            [line] if line.eq_ignore_ascii_case(ALL) => Ok(Self::usual()),
            [line] if line.eq_ignore_ascii_case(ALL_AT_HEAD) => Ok(AT_HEAD.clone()),
            _ => compile(lines.into_iter(), translate),
        }
    }

    /// Those that are looked for if none is told.
    pub fn usual() -> Self {
        USUAL.clone()
    }

    /// Whether no date is looked for, and every line is as good as one with a date.
    pub fn is_none(&self) -> bool {
        self.compiled.is_none
    }

    /// Whether what is cut out may stand next to a letter or a digit of the line, as far as is known.
    pub fn may_cut_words(&self) -> bool {
        self.compiled.may_cut_words
    }

    /// Whether the two find the same dates.
    pub fn is_same(&self, other: &DateTemplates) -> bool {
        self.compiled.all == other.compiled.all
    }

    /// The date of `line`, in `zone` where it does not tell its own, seen from `now`.
    pub fn find(&self, line: &[u8], zone: &TimeZone, now: Timestamp) -> Option<TemplateDate> {
        if self.is_none() {
            return Some(TemplateDate {
                time: None,
                cut: 0..0,
            });
        }
        let compiled = &*self.compiled;
        let mut groups = compiled.regex.create_captures();
        compiled.regex.captures(line, &mut groups);
        let fields = compiled.fields.get(groups.pattern()?.as_usize())?;
        let cut = groups.get_group(1)?.range();
        let told = fields.iter().filter_map(|(field, group)| {
            let text = line.get(groups.get_group(*group)?.range())?;
            Some((*field, text))
        });
        let time = match cut.is_empty() {
            true => None,
            false => reading::moment(told, zone, now),
        };
        Some(TemplateDate { time, cut })
    }
}

/// The value that stands for all usual templates.
const ALL: &str = "{DEFAULT}";
/// The value that stands for those of them that begin their line.
const ALL_AT_HEAD: &str = "{^LN-BEG}";

fn compile<'l>(
    lines: impl Iterator<Item = &'l str>,
    translate: Translate,
) -> Result<DateTemplates, DateTemplateError> {
    let mut origins = Vec::new();
    let mut all = Vec::new();
    for line in lines {
        let usual = match line.to_ascii_uppercase().as_str() {
            ALL => usual::all(),
            ALL_AT_HEAD => usual::at_head(),
            _ => Vec::new(),
        };
        if usual.is_empty() {
            all.extend(expressions(line, translate)?);
        }
        for text in usual {
            all.extend(expressions(&text, &verbatim)?);
        }
        origins.resize(all.len(), line);
    }
    let may_cut_words = origins.iter().any(|line| {
        let is_group = |(at, _): (usize, &str)| !line[at..].starts_with("(?");
        language::is_unbound(line) || line.match_indices('(').any(is_group)
    });
    let regex = meta::Builder::new()
        .configure(
            meta::Config::new()
                .utf8_empty(false)
                .nfa_size_limit(Some(LARGEST_PROGRAM))
                .hybrid_cache_capacity(LARGEST_CACHE),
        )
        .syntax(syntax::Config::new().unicode(false).utf8(false))
        .build_many(&all)
        .map_err(|error| match error.pattern() {
            Some(pattern) => DateTemplateError::Expression {
                pattern: origins[pattern.as_usize()].to_owned(),
                reason: match error.syntax_error() {
                    Some(error) => error.to_string(),
                    None => error.to_string(),
                },
            },
            None => DateTemplateError::TooLarge(error.to_string()),
        })?;
    let groups = regex.group_info();
    let fields = (0..all.len()).map(|number| {
        let names = PatternID::new(number).map(|id| groups.pattern_names(id));
        let names = names.into_iter().flatten().enumerate();
        names
            .filter_map(|(group, name)| Some((Field::named(name?)?, group)))
            .collect()
    });
    Ok(DateTemplates {
        compiled: Arc::new(Compiled {
            fields: fields.collect(),
            regex,
            may_cut_words,
            all: all.into(),
            is_none: matches!(*origins, [line] if line.eq_ignore_ascii_case(NONE)),
        }),
    })
}

#[cfg(test)]
mod tests;
