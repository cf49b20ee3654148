//! Which of several expressions takes something of a line first?
//!
//! In: expressions, and where they may stand. Out: which one took something first, and where, and what that says. All that
//! take linear time are looked for in one pass, and only the one that is found is asked for its groups; the few others come
//! one after the other.

use std::ops::Range;
use std::sync::OnceLock;

use regex_automata::util::primitives::NonMaxUsize;
use regex_automata::{Anchored, Input, Match, PatternID, meta};
use smallvec::SmallVec;

use super::DateTemplateError;
use super::codes::Field;
use super::placed::{CUT, Placed};
use crate::engine::expression::{
    Borders, LimitReached, LineExpression, builder, foreign, needs_backtracking, spelt_out,
};

/// The most memory, in bytes, that the program of one set of templates may take: ten times that of all usual ones.
const LARGEST_PROGRAM: usize = 8 << 20;

/// The most memory, in bytes, that a search may take to become fast; beyond that it is slower.
const LARGEST_CACHE: usize = 1 << 20;

/// The first place of a line at which something was found.
pub struct Place<'s> {
    /// By the how manyth expression.
    pub number: usize,
    /// All that it took.
    pub span: Range<usize>,
    how: How<'s>,
}

enum How<'s> {
    /// By an expression that was not asked for its groups yet.
    Linear(&'s Pattern),
    /// By one that was.
    Looking(Box<Hit>),
}

/// What was found says so.
#[derive(Clone, Debug)]
pub struct Hit {
    /// What is to be cut out.
    pub cut: Range<usize>,
    /// What tells the moment.
    pub groups: SmallVec<[(Field, Range<usize>); 8]>,
}

/// Where something was found, and by the how manyth expression: of two hits the lesser one is the first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Rank {
    start: usize,
    number: usize,
}

impl Rank {
    /// A date at the head may have a sign before it that another template counts to it: so what begins there and what begins
    /// behind the sign begin at the same place.
    fn new(start: usize, number: usize) -> Self {
        let start = if start == 1 { 0 } else { start };
        Rank { start, number }
    }
}

/// Compiled expressions.
#[derive(Debug)]
pub struct Search {
    linear: meta::Regex,
    /// By the number of the pattern.
    patterns: Box<[Pattern]>,
    looking: Box<[(usize, LineExpression)]>,
}

/// One of the expressions that take linear time.
#[derive(Debug)]
struct Pattern {
    /// Its number among all.
    number: usize,
    text: Box<str>,
    /// Compiled alone when it is first found: most never are.
    alone: OnceLock<Option<Alone>>,
}

/// An expression that tells where its groups are.
#[derive(Debug)]
struct Alone {
    regex: meta::Regex,
    /// The group that is cut out.
    cut: usize,
    groups: Box<[(Field, usize)]>,
}

impl Search {
    /// Compiles `all`, each with the text that it was made of.
    pub fn new(all: &[(&str, Placed)]) -> Result<Self, DateTemplateError> {
        let (mut linear, mut texts, mut looking) = (Vec::new(), Vec::new(), Vec::new());
        for (number, (origin, placed)) in all.iter().enumerate() {
            let wrong = |reason: &str| wrong(origin, reason);
            if let Some(what) = foreign(placed.body()) {
                return Err(wrong(what));
            }
            if needs_backtracking(placed.body()) {
                let expression = LineExpression::new(&placed.looking(), false);
                looking.push((number, expression.map_err(|reason| wrong(&reason))?));
            } else {
                let body = spelt_out(placed.body(), Borders::Ascii);
                texts.push(placed.linear(&body));
                linear.push(number);
            }
        }
        let regex = builder(LARGEST_PROGRAM, LARGEST_CACHE)
            .build_many(&texts)
            .map_err(|error| match error.pattern() {
                Some(pattern) => {
                    let (origin, _) = all[linear[pattern.as_usize()]];
                    wrong(origin, &reason(&error))
                }
                None => DateTemplateError::TooLarge(error.to_string()),
            })?;
        let patterns = linear.into_iter().zip(texts);
        let patterns = patterns.map(|(number, text)| Pattern {
            number,
            text: text.into(),
            alone: OnceLock::new(),
        });
        Ok(Search {
            patterns: patterns.collect(),
            linear: regex,
            looking: looking.into(),
        })
    }

    /// Where something is found first in `line`.
    ///
    /// # Errors
    /// Nothing is found, and an expression gave up.
    pub fn first(&self, line: &[u8]) -> Result<Option<Place<'_>>, LimitReached> {
        let mut best = self.first_linear(line);
        let mut gave_up = None;
        for (number, expression) in &self.looking {
            let captures = match expression.captures(line) {
                Ok(Some(captures)) => captures,
                Ok(None) => continue,
                Err(limit) => {
                    gave_up = Some(limit);
                    continue;
                }
            };
            let span = captures.whole();
            let rank = Rank::new(span.start, *number);
            if best.as_ref().is_some_and(|(first, _)| *first < rank) {
                continue;
            }
            let groups = captures.iter();
            let groups = groups.filter_map(|(name, place)| Some((Field::named(name)?, place)));
            let hit = Hit {
                cut: captures.get(CUT).unwrap_or_default(),
                groups: groups.collect(),
            };
            let (number, how) = (*number, How::Looking(Box::new(hit)));
            best = Some((rank, Place { number, span, how }));
        }
        match (best, gave_up) {
            (Some((_, place)), _) => Ok(Some(place)),
            (None, Some(limit)) => Err(limit),
            (None, None) => Ok(None),
        }
    }

    fn first_linear(&self, line: &[u8]) -> Option<(Rank, Place<'_>)> {
        let first = self.linear.find(line)?;
        let mut best = (self.rank(&first)?, first);
        if first.start() == 0 && best.0.number > 0 {
            let rest = Input::new(line).range(line.len().min(1)..);
            let second = self.linear.find(rest.anchored(Anchored::Yes));
            if let Some(second) = second
                && let Some(rank) = self.rank(&second)
                && rank < best.0
            {
                best = (rank, second);
            }
        }
        let (rank, found) = best;
        let place = Place {
            number: rank.number,
            span: found.range(),
            how: How::Linear(self.patterns.get(found.pattern().as_usize())?),
        };
        Some((rank, place))
    }

    fn rank(&self, found: &Match) -> Option<Rank> {
        let pattern = self.patterns.get(found.pattern().as_usize())?;
        Some(Rank::new(found.start(), pattern.number))
    }
}

impl Hit {
    /// Whether nothing of it stands before `start`.
    pub fn begins_at(&self, start: usize) -> bool {
        let mut groups = self.groups.iter();
        self.cut.start >= start && groups.all(|(_, place)| place.start >= start)
    }

    /// The same elsewhere.
    pub fn moved(&self, to: impl Fn(usize) -> usize) -> Self {
        let moved = |place: &Range<usize>| to(place.start)..to(place.end);
        Hit {
            cut: moved(&self.cut),
            groups: (self.groups.iter())
                .map(|(field, place)| (*field, moved(place)))
                .collect(),
        }
    }
}

impl Place<'_> {
    /// Whether what it says is told by the text of its span and by the bytes next to that.
    pub fn is_told_by_its_text(&self) -> bool {
        matches!(self.how, How::Linear(_))
    }

    /// What it says; `None`, against all that is known of expressions, if what found it does not take it alone.
    pub fn hit(self, line: &[u8]) -> Option<Hit> {
        match self.how {
            How::Linear(pattern) => pattern.hit(line, self.span),
            How::Looking(hit) => Some(*hit),
        }
    }
}

impl Pattern {
    /// Where its groups are in what it took of `line`.
    fn hit(&self, line: &[u8], span: Range<usize>) -> Option<Hit> {
        // What could be compiled among others can be compiled alone.
        let alone = self.alone.get_or_init(|| {
            Some(Alone::new(
                builder(LARGEST_PROGRAM, LARGEST_CACHE)
                    .build(&self.text)
                    .ok()?,
            ))
        });
        let Alone { regex, cut, groups } = alone.as_ref()?;
        let mut slots: SmallVec<[Option<NonMaxUsize>; 32]> = SmallVec::new();
        slots.resize(regex.group_info().slot_len(), None);
        // The whole line is there, since what stands around a date matters.
        let input = Input::new(line).span(span).anchored(Anchored::Yes);
        regex.search_slots(&input, &mut slots)?;
        let group = |group: usize| {
            let place = |slot: usize| Some(slots.get(slot).copied()??.get());
            Some(place(2 * group)?..place(2 * group + 1)?)
        };
        let fields = groups.iter();
        Some(Hit {
            // An alternative that leaves out the group cuts nothing.
            cut: group(*cut).unwrap_or_default(),
            groups: fields
                .filter_map(|(field, number)| Some((*field, group(*number)?)))
                .collect(),
        })
    }
}

impl Alone {
    fn new(regex: meta::Regex) -> Self {
        let info = regex.group_info();
        let names = info.pattern_names(PatternID::ZERO).enumerate();
        let groups = names.filter_map(|(group, name)| Some((Field::named(name?)?, group)));
        Alone {
            cut: info.to_index(PatternID::ZERO, CUT).unwrap_or_default(),
            groups: groups.collect(),
            regex,
        }
    }
}

fn wrong(origin: &str, reason: &str) -> DateTemplateError {
    DateTemplateError::Expression {
        pattern: origin.to_owned(),
        reason: reason.to_owned(),
    }
}

/// What is wrong with an expression, in one line.
fn reason(error: &meta::BuildError) -> String {
    match error.syntax_error() {
        Some(regex_syntax::Error::Parse(error)) => error.kind().to_string(),
        Some(regex_syntax::Error::Translate(error)) => error.kind().to_string(),
        _ => error.to_string(),
    }
}
