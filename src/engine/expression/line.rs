//! What does a regular expression take of a line?
//!
//! In: an expression in the language of [`dialect`](super::dialect). Out: where its groups stand in a line. What can be
//! done in linear time is; only the rest goes back and tries again, and only so often. What a group means is not known
//! here.

use std::ops::Range;
use std::panic::{RefUnwindSafe, UnwindSafe};
use std::sync::{Arc, OnceLock};

use fancy_regex::{BytesMode, RegexBuilder};
use regex::bytes::CaptureLocations;
use regex_automata::util::pool::Pool;
use regex_syntax::hir::{Hir, HirKind};
use smallvec::SmallVec;
use thiserror::Error;

use super::dialect::{self, Borders};
use super::linear::{self, Expression, LARGEST_PROGRAM};

/// The most steps back that one expression may take on one line. No line that is written by a service needs a tenth of
/// it. An attacker's costs some milliseconds, with Fail2ban's own expressions 15 at most; with one that looks to the end of
/// the line from each place of it, as `(?=.*x)` without `^` does, one of 64 KiB takes some seconds.
pub const MOST_STEPS: usize = 100_000;

/// The most instructions of one program that goes back, some megabytes.
const MOST_INSTRUCTIONS: usize = 100_000;

/// The expression could not tell in [`MOST_STEPS`] steps whether it takes a line.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
#[error("the expression took more than {MOST_STEPS} steps back on one line")]
pub struct LimitReached;

/// A compiled expression.
#[derive(Clone, Debug)]
pub struct LineExpression {
    source: Box<str>,
    multi_line: bool,
    groups: Box<[Group]>,
    engine: Engine,
}

/// A group that has a name.
#[derive(Clone, Debug)]
struct Group {
    name: Arc<str>,
    number: usize,
}

#[derive(Clone, Debug)]
enum Engine {
    Linear(Linear),
    /// What is right for ASCII alone, since it asks for borders of words, and what is for all other lines.
    LinearInAscii(Linear, Backtracking),
    Backtracking(Backtracking),
}

/// What takes linear time.
#[derive(Clone, Debug)]
struct Linear {
    expression: Expression,
    rooms: OnceLock<Arc<Rooms>>,
}

/// Room for places of groups, which is used again and again.
type Rooms = Pool<CaptureLocations, MakeRoom>;
type MakeRoom = Box<dyn Fn() -> CaptureLocations + Send + Sync + UnwindSafe + RefUnwindSafe>;

/// What goes back and tries again.
#[derive(Clone, Debug)]
struct Backtracking {
    /// Takes all that the other takes, and more, in linear time.
    relaxed: Expression,
    regex: fancy_regex::Regex,
}

impl LineExpression {
    /// Compiles `source`. With `multi_line`, `^` and `$` stand at every line of the text, not only at its ends.
    ///
    /// # Errors
    /// What is wrong with it, in one line.
    pub fn new(source: &str, multi_line: bool) -> Result<Self, String> {
        if let Some(what) = dialect::foreign(source) {
            return Err(format!(
                "this is no part of the language of patterns over lines: {what}"
            ));
        }
        let (engine, groups) = match dialect::needs_backtracking(source) {
            true => {
                let engine = Backtracking::new(source, multi_line)?;
                let groups = engine.groups();
                (Engine::Backtracking(engine), groups)
            }
            false => {
                let ascii = with_flags(&dialect::spelt_out(source, Borders::Ascii), multi_line);
                let hir = linear::parse(&ascii)?;
                let mut groups = Vec::new();
                collect_groups(&hir, &mut groups);
                let linear = Linear {
                    expression: Expression::new(ascii, &hir)?,
                    rooms: OnceLock::new(),
                };
                let engine = match dialect::asks_for_borders(source) {
                    true => Engine::LinearInAscii(linear, Backtracking::new(source, multi_line)?),
                    false => Engine::Linear(linear),
                };
                (engine, groups)
            }
        };
        Ok(LineExpression {
            source: source.into(),
            multi_line,
            groups: groups.into(),
            engine,
        })
    }

    /// As it is written.
    pub fn source(&self) -> &str {
        &self.source
    }

    /// Whether it takes linear time, whatever the line; if it asks for borders of words, whatever the line of ASCII.
    pub fn is_linear(&self) -> bool {
        !matches!(self.engine, Engine::Backtracking(_))
    }

    /// The names of its groups, in their order.
    pub fn names(&self) -> impl ExactSizeIterator<Item = &Arc<str>> {
        self.groups.iter().map(|group| &group.name)
    }

    /// The structure of an expression that takes all that this one takes, and more: it neither looks around nor refers to
    /// what a group has taken.
    pub fn relaxed(&self) -> Hir {
        let relaxed = with_flags(&dialect::relaxed(&self.source), self.multi_line);
        // It was sound when this was made; and what takes everything is right in any case.
        linear::parse(&relaxed).unwrap_or_else(|_| Hir::empty())
    }

    /// Where it first takes something of `text`; `None` if it takes nothing, which costs no memory.
    ///
    /// # Errors
    /// It cannot tell in so few steps.
    pub fn captures(&self, text: &[u8]) -> Result<Option<Captures<'_>>, LimitReached> {
        match &self.engine {
            Engine::Linear(linear) => Ok(self.linear_captures(linear, text)),
            Engine::LinearInAscii(linear, _) if text.is_ascii() => {
                Ok(self.linear_captures(linear, text))
            }
            Engine::LinearInAscii(_, other) | Engine::Backtracking(other) => {
                self.backtracking_captures(other, text)
            }
        }
    }

    /// Whether it takes something of `text`.
    ///
    /// # Errors
    /// It cannot tell in so few steps.
    pub fn takes(&self, text: &[u8]) -> Result<bool, LimitReached> {
        let is_there = |expression: &Expression| {
            let regex = expression.regex();
            regex.is_some_and(|regex| regex.is_match(text))
        };
        match &self.engine {
            Engine::Linear(linear) => Ok(is_there(&linear.expression)),
            Engine::LinearInAscii(linear, _) if text.is_ascii() => Ok(is_there(&linear.expression)),
            Engine::LinearInAscii(_, other) | Engine::Backtracking(other) => {
                // All that can fail at this point is a limit.
                let takes = || other.regex.is_match(text).map_err(|_| LimitReached);
                Ok(is_there(&other.relaxed) && takes()?)
            }
        }
    }

    fn linear_captures(&self, linear: &Linear, text: &[u8]) -> Option<Captures<'_>> {
        let regex = linear.expression.regex()?;
        let rooms = linear.rooms.get_or_init(|| {
            let regex = regex.clone();
            let make: MakeRoom = Box::new(move || regex.capture_locations());
            Arc::new(Pool::new(make))
        });
        let mut places = rooms.get();
        regex.captures_read(&mut places, text)?;
        let range = |number| places.get(number).map(|(start, end)| start..end);
        Some(self.found(range))
    }

    fn backtracking_captures(
        &self,
        engine: &Backtracking,
        text: &[u8],
    ) -> Result<Option<Captures<'_>>, LimitReached> {
        let relaxed = engine.relaxed.regex();
        if !relaxed.is_some_and(|relaxed| relaxed.is_match(text)) {
            return Ok(None);
        }
        // All that can fail at this point is a limit.
        let captures = engine.regex.captures(text).map_err(|_| LimitReached)?;
        Ok(captures.map(|captures| {
            let range = |number| captures.get(number).map(|group| group.range());
            self.found(range)
        }))
    }

    fn found(&self, range: impl Fn(usize) -> Option<Range<usize>>) -> Captures<'_> {
        Captures {
            expression: self,
            whole: range(0).unwrap_or_default(),
            ranges: self
                .groups
                .iter()
                .map(|group| range(group.number))
                .collect(),
        }
    }
}

/// What was found in a line: places in it.
#[derive(Clone, Debug)]
pub struct Captures<'e> {
    expression: &'e LineExpression,
    whole: Range<usize>,
    ranges: SmallVec<[Option<Range<usize>>; 8]>,
}

impl Captures<'_> {
    /// All that the expression took.
    pub fn whole(&self) -> Range<usize> {
        self.whole.clone()
    }

    /// What the group of this name took, if it is there and took part.
    pub fn get(&self, name: &str) -> Option<Range<usize>> {
        let at = self.expression.names().position(|known| **known == *name)?;
        self.at(at)
    }

    /// What the group took that stands at this place among [`LineExpression::names`].
    pub fn at(&self, place: usize) -> Option<Range<usize>> {
        self.ranges.get(place)?.clone()
    }

    /// All groups that took part, by name, in their order.
    pub fn iter(&self) -> impl Iterator<Item = (&str, Range<usize>)> {
        let named = self.expression.names().zip(&self.ranges);
        named.filter_map(|(name, range)| Some((&**name, range.clone()?)))
    }
}

impl Backtracking {
    fn new(source: &str, multi_line: bool) -> Result<Self, String> {
        let relaxed = with_flags(&dialect::relaxed(source), multi_line);
        let hir = linear::parse(&relaxed)?;
        let relaxed = Expression::new(relaxed, &hir)?;
        let spelt = dialect::spelt_out(source, Borders::Looked);
        let regex = RegexBuilder::new(&spelt)
            .bytes_mode(BytesMode::Ascii)
            .unicode_mode(false)
            .multi_line(multi_line)
            .backtrack_limit(MOST_STEPS)
            .delegate_size_limit(LARGEST_PROGRAM)
            .max_prog_size(MOST_INSTRUCTIONS)
            .build()
            .map_err(|error| format!("this is no regular expression: {error}"))?;
        Ok(Backtracking { relaxed, regex })
    }

    fn groups(&self) -> Vec<Group> {
        let names = self.regex.capture_names().enumerate();
        let named = names.filter_map(|(number, name)| {
            let name = Arc::from(name?);
            Some(Group { name, number })
        });
        named.collect()
    }
}

/// The expression as the engines of this house want it, who take any byte for `.` unless they are told otherwise.
fn with_flags(source: &str, multi_line: bool) -> String {
    let flags = if multi_line { "(?m-s)" } else { "(?-s)" };
    format!("{flags}{source}")
}

fn collect_groups(hir: &Hir, groups: &mut Vec<Group>) {
    match hir.kind() {
        HirKind::Capture(capture) => {
            if let Some(name) = &capture.name {
                let number = capture.index as usize;
                let name = Arc::from(&**name);
                groups.push(Group { name, number });
            }
            collect_groups(&capture.sub, groups);
        }
        HirKind::Repetition(repeated) => collect_groups(&repeated.sub, groups),
        HirKind::Concat(parts) | HirKind::Alternation(parts) => {
            parts.iter().for_each(|part| collect_groups(part, groups));
        }
        HirKind::Empty | HirKind::Literal(_) | HirKind::Class(_) | HirKind::Look(_) => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn expression(source: &str) -> LineExpression {
        LineExpression::new(source, false).expect(source)
    }

    /// What the groups took, or `None`.
    fn taken<'t>(expression: &LineExpression, text: &'t [u8]) -> Option<Vec<(String, &'t [u8])>> {
        let captures = expression.captures(text).expect("few steps");
        let takes = expression.takes(text).expect("few steps");
        assert_eq!(takes, captures.is_some());
        let captures = captures?;
        let named = captures.iter();
        Some(
            named
                .map(|(name, range)| (name.to_owned(), &text[range]))
                .collect(),
        )
    }

    #[test]
    fn groups_are_found_by_either_engine() {
        for (source, linear) in [
            (r"^from (?P<ip4>\S+)(?: as (?P<user>\w+))?$", true),
            (r"^from (?!::)(?P<ip4>\S+)(?: as (?P<user>\w+))?$", false),
        ] {
            let expression = expression(source);
            assert_eq!(expression.is_linear(), linear, "{source}");
            let names: Vec<_> = expression.names().map(|name| &**name).collect();
            assert_eq!(names, ["ip4", "user"]);
            let text = b"from 192.0.2.1 as root";
            let captures = expression
                .captures(text)
                .expect("few steps")
                .expect("a hit");
            assert_eq!(captures.whole(), 0..22);
            assert_eq!(captures.get("ip4"), Some(5..14));
            assert_eq!(captures.at(1), Some(18..22));
            assert_eq!(captures.get("nobody"), None);
            let text = b"from 192.0.2.1";
            assert_eq!(
                taken(&expression, text),
                Some(vec![("ip4".to_owned(), &b"192.0.2.1"[..])])
            );
            assert_eq!(taken(&expression, b"to 192.0.2.1"), None);
        }
    }

    #[test]
    fn looking_around_and_back_decides() {
        for (source, text, takes) in [
            ("^a(?!b)", "ac", true),
            ("^a(?!b)", "ab", false),
            (r"(?P<q>.)x\k<q>", "axa", true),
            (r"(?P<q>.)x\k<q>", "axb", false),
            ("^(?P<q>x)?y(?(<q>)(?:a|b))$", "y", true),
            ("^(?P<q>x)?y(?(<q>)(?:a|b))$", "xyb", true),
            ("^(?P<q>x)?y(?(<q>)(?:a|b))$", "yb", false),
            ("^(?P<q>x)?y(?(<q>)(?:a|b))$", "xy", false),
        ] {
            let found = taken(&expression(source), text.as_bytes());
            assert_eq!(found.is_some(), takes, "{source} {text}");
        }
    }

    #[test]
    fn bytes_beyond_ascii_are_letters() {
        for (source, text, takes) in [
            (r"^\w+$", &b"gr\xC3\xBC\xFFn"[..], true),
            (r"^[\w.]+$", b"gr\xC3\xBCn.", true),
            (r"\W", b"\xC3\xBC", false),
            (r"[\W]", b"\xC3\xBC", false),
            (r"[^\W]", b"\xC3\xBC", true),
            (r"\bn", b"gr\xC3\xBCn", false),
            (r"\bn", b"gr\xC3\xBC n", true),
            (r"\Bn", b"gr\xC3\xBCn", true),
            (r"(?=n)\bn", b"gr\xC3\xBCn", false),
            (r"\d|\s", b"\xC3\x85\xA0", false),
            (r"^\s[\s]$", b"\x1C\x1F", true),
            (r"\S", b"\x1C\t", false),
            (r"^.$", b"\xFF", true),
            (r"^.$", b"\n", false),
            ("é", b"caf\xC3\xA9", true),
        ] {
            let takes_it = taken(&expression(source), text).is_some();
            assert_eq!(takes_it, takes, "{source} {}", text.escape_ascii());
        }
    }

    #[test]
    fn lines_of_a_text() {
        for source in ["^b$", "^(?!c)b$"] {
            let one = LineExpression::new(source, false).expect(source);
            let many = LineExpression::new(source, true).expect(source);
            assert_eq!(taken(&one, b"a\nb\nc"), None);
            assert_eq!(taken(&many, b"a\nb\nc"), Some(vec![]));
        }
    }

    #[test]
    fn an_explosion_is_told() {
        let expression = expression(r"^(?:(?P<a>\w)|(?P<b>\w))*\k<b>\k<b>!$");
        assert!(!expression.is_linear());
        let text = format!("{}!", "ab".repeat(40));
        let error = expression.captures(text.as_bytes()).err();
        assert_eq!(error, Some(LimitReached));
        assert_eq!(
            expression.captures(b"abab").map(|found| found.is_some()),
            Ok(false)
        );
    }

    #[test]
    fn what_is_no_expression_is_told() {
        for source in [
            "(",
            "a{2",
            r"(?=a",
            r"\<a",
            r"\p{L}(?=a)",
            "(?x) a",
            r"(?P<a>a)(?P<a>b)",
            r"\k<a>",
            r"(?<=a+)b",
            r"\b{start}a",
            r"(?:\w{1000}){1000}",
            r"(?:\w{1000}){1000}(?=a)",
        ] {
            let error = LineExpression::new(source, false).expect_err(source);
            assert!(!error.contains('\n'), "{error}");
        }
    }

    #[test]
    fn the_relaxed_expression_takes_more() {
        for (source, relaxed) in [
            (r"a(?=b)c", "a(?:)c"),
            (r"a(?<!(?:b|\))c)d", "a(?:)d"),
            (r"(?P<q>['`])\k<q>\1", "(?P<q>['`])(?s:.*)(?s:.*)"),
            (
                r"(?P<q>x)?(?(<q>)a|b)(?(1)c)(?(1)(?:d|e))",
                "(?P<q>x)?(?:a|b)(?:c|)(?:(?:d|e)|)",
            ),
            (r"(?>a+)\b[(?=]\(?=", r"(?:a+)(?:)[(?=]\(?="),
            (r"(?i)(?=(?s)a)b", "(?i)(?:)b"),
        ] {
            assert_eq!(dialect::relaxed(source), relaxed, "{source}");
        }
    }
}
