//! Which of several expressions takes something of a line first?
//!
//! In: expressions, and where they may stand. Out: what the first one took, and where its groups are. All that take linear
//! time are looked for in one pass; the few others one after the other.

use std::ops::Range;

use regex_automata::util::captures::Captures;
use regex_automata::util::syntax;
use regex_automata::{Anchored, Input, PatternID, meta};
use smallvec::SmallVec;

use super::DateTemplateError;
use super::codes::Field;
use super::placed::{CUT, Placed};
use crate::engine::expression::{
    Borders, LimitReached, LineExpression, foreign, needs_backtracking, spelt_out,
};

/// The most memory, in bytes, that the program of one set of templates may take: ten times that of all usual ones.
const LARGEST_PROGRAM: usize = 8 << 20;

/// The most memory, in bytes, that a search may take to become fast; beyond that it is slower.
const LARGEST_CACHE: usize = 1 << 20;

/// What was found in a line.
pub struct Hit {
    /// By the how manyth expression.
    pub number: usize,
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
        let config = meta::Config::new()
            .utf8_empty(false)
            .nfa_size_limit(Some(LARGEST_PROGRAM))
            .hybrid_cache_capacity(LARGEST_CACHE);
        let regex = meta::Builder::new()
            .configure(config)
            .syntax(syntax::Config::new().unicode(false).utf8(false))
            .build_many(&texts)
            .map_err(|error| match error.pattern() {
                Some(pattern) => {
                    let (origin, _) = all[linear[pattern.as_usize()]];
                    wrong(origin, &reason(&error))
                }
                None => DateTemplateError::TooLarge(error.to_string()),
            })?;
        let info = regex.group_info();
        let pattern = |(id, number): (PatternID, usize)| {
            let names = info.pattern_names(id).enumerate();
            Pattern {
                number,
                cut: info.to_index(id, CUT).unwrap_or_default(),
                groups: names
                    .filter_map(|(group, name)| Some((Field::named(name?)?, group)))
                    .collect(),
            }
        };
        let ids = (0..linear.len()).filter_map(|id| PatternID::new(id).ok());
        let patterns = ids.zip(linear).map(pattern).collect();
        Ok(Search {
            patterns,
            linear: regex,
            looking: looking.into(),
        })
    }

    /// What is found first in `line`.
    ///
    /// # Errors
    /// Nothing is found, and an expression gave up.
    pub fn first(&self, line: &[u8]) -> Result<Option<Hit>, LimitReached> {
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
            let rank = Rank::new(captures.whole().start, *number);
            if best.as_ref().is_some_and(|(first, _)| *first < rank) {
                continue;
            }
            let groups = captures.iter();
            let groups = groups.filter_map(|(name, place)| Some((Field::named(name)?, place)));
            let cut = captures.get(CUT).unwrap_or_default();
            let groups = groups.collect();
            let number = *number;
            best = Some((
                rank,
                Hit {
                    number,
                    cut,
                    groups,
                },
            ));
        }
        match (best, gave_up) {
            (Some((_, hit)), _) => Ok(Some(hit)),
            (None, Some(limit)) => Err(limit),
            (None, None) => Ok(None),
        }
    }

    fn first_linear(&self, line: &[u8]) -> Option<(Rank, Hit)> {
        let mut captures = self.linear.create_captures();
        self.linear.captures(line, &mut captures);
        let (rank, hit) = self.hit(&captures)?;
        if captures.get_match()?.start() == 0 && rank.number > 0 {
            let rest = Input::new(line).range(line.len().min(1)..);
            self.linear
                .captures(rest.anchored(Anchored::Yes), &mut captures);
            if let Some((earlier, hit)) = self.hit(&captures)
                && earlier < rank
            {
                return Some((earlier, hit));
            }
        }
        Some((rank, hit))
    }

    fn hit(&self, captures: &Captures) -> Option<(Rank, Hit)> {
        let found = captures.get_match()?;
        let pattern = self.patterns.get(found.pattern().as_usize())?;
        let group = |(field, group): &(Field, usize)| {
            let place = captures.get_group(*group)?;
            Some((*field, place.range()))
        };
        let hit = Hit {
            number: pattern.number,
            // An alternative that leaves out the group cuts nothing.
            cut: captures
                .get_group(pattern.cut)
                .map_or(0..0, |cut| cut.range()),
            groups: pattern.groups.iter().filter_map(group).collect(),
        };
        Some((Rank::new(found.start(), pattern.number), hit))
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
