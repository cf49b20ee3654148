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
use regex_automata::util::pool::{Pool, PoolGuard};
use regex_syntax::hir::{Hir, HirKind};
use smallvec::SmallVec;
use thiserror::Error;

use super::dialect::{self, Borders};
use super::linear::{self, Expression, LARGEST_PROGRAM};
use super::loose::Loose;
use super::write;

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
    /// Of its groups, in their order.
    names: Box<[Arc<str>]>,
    engine: Engine,
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
    /// Of each name, the number of its group.
    groups: Box<[usize]>,
    rooms: OnceLock<Arc<Rooms>>,
}

/// Room for places of groups, which is used again and again.
type Rooms = Pool<CaptureLocations, MakeRoom>;
type MakeRoom = Box<dyn Fn() -> CaptureLocations + Send + Sync + UnwindSafe + RefUnwindSafe>;

/// What goes back and tries again.
#[derive(Clone, Debug)]
struct Backtracking {
    loose: Loose,
    /// Of each name, the number of its group.
    groups: Box<[usize]>,
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
        let (engine, names) = match dialect::needs_backtracking(source) {
            true => {
                let (engine, names) = Backtracking::new(source, multi_line)?;
                (Engine::Backtracking(engine), names)
            }
            false => {
                let (linear, names) = Linear::new(source, multi_line)?;
                let engine = match dialect::asks_for_borders(source) {
                    true => Engine::LinearInAscii(linear, Backtracking::new(source, multi_line)?.0),
                    false => Engine::Linear(linear),
                };
                (engine, names)
            }
        };
        Ok(LineExpression {
            source: source.into(),
            multi_line,
            names: names.into(),
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
        self.names.iter()
    }

    /// The structure of an expression that takes all that this one takes, and more: it neither looks around nor refers to
    /// what a group has taken.
    pub fn relaxed(&self) -> Hir {
        let relaxed = write::relaxed(&self.source).map(|text| with_flags(&text, self.multi_line));
        let relaxed = relaxed.map(|relaxed| linear::parse(&relaxed));
        // It was sound when this was made; and what takes everything is right in any case.
        relaxed.ok().and_then(Result::ok).unwrap_or_else(Hir::empty)
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
        match &self.engine {
            Engine::Linear(linear) => Ok(linear.takes(text)),
            Engine::LinearInAscii(linear, _) if text.is_ascii() => Ok(linear.takes(text)),
            Engine::LinearInAscii(_, other) | Engine::Backtracking(other) => {
                match other.loose.is_told() {
                    true => Ok(self.backtracking_captures(other, text)?.is_some()),
                    false if !other.loose.takes(text) => Ok(false),
                    // All that can fail at this point is a limit.
                    false => other.regex.is_match(text).map_err(|_| LimitReached),
                }
            }
        }
    }

    fn linear_captures(&self, linear: &Linear, text: &[u8]) -> Option<Captures<'_>> {
        let places = linear.places(text)?;
        let range = |number: &usize| places.get(*number).map(|(start, end)| start..end);
        Some(Captures {
            expression: self,
            whole: range(&0).unwrap_or_default(),
            ranges: linear.groups.iter().map(range).collect(),
        })
    }

    fn backtracking_captures(
        &self,
        engine: &Backtracking,
        text: &[u8],
    ) -> Result<Option<Captures<'_>>, LimitReached> {
        if engine.loose.is_told() {
            let Some(found) = engine.loose.found(text) else {
                return Ok(None);
            };
            if found.keeps_rules(text) {
                return Ok(Some(Captures {
                    expression: self,
                    whole: found.whole(),
                    ranges: found.groups().collect(),
                }));
            }
        } else if !engine.loose.takes(text) {
            return Ok(None);
        }
        self.go_back(engine, text)
    }

    fn go_back(
        &self,
        engine: &Backtracking,
        text: &[u8],
    ) -> Result<Option<Captures<'_>>, LimitReached> {
        // All that can fail at this point is a limit.
        let captures = engine.regex.captures(text).map_err(|_| LimitReached)?;
        Ok(captures.map(|captures| {
            let range = |number: &usize| captures.get(*number).map(|group| group.range());
            Captures {
                expression: self,
                whole: range(&0).unwrap_or_default(),
                ranges: engine.groups.iter().map(range).collect(),
            }
        }))
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

impl Linear {
    /// What takes `source`, and the names of its groups.
    fn new(source: &str, multi_line: bool) -> Result<(Self, Vec<Arc<str>>), String> {
        let ascii = with_flags(&dialect::spelt_out(source, Borders::Ascii), multi_line);
        let hir = linear::parse(&ascii)?;
        let (mut names, mut groups) = (Vec::new(), Vec::new());
        collect_groups(&hir, &mut |name, number| {
            names.push(name);
            groups.push(number);
        });
        let expression = Expression::new(ascii, &hir)?;
        let linear = Linear {
            expression,
            groups: groups.into(),
            rooms: OnceLock::new(),
        };
        Ok((linear, names))
    }

    fn takes(&self, text: &[u8]) -> bool {
        let regex = self.expression.regex();
        regex.is_some_and(|regex| regex.is_match(text))
    }

    /// Where its groups stand in a text, if it takes it.
    fn places(&self, text: &[u8]) -> Option<PoolGuard<'_, CaptureLocations, MakeRoom>> {
        let regex = self.expression.regex()?;
        let rooms = self.rooms.get_or_init(|| {
            let regex = regex.clone();
            let make: MakeRoom = Box::new(move || regex.capture_locations());
            Arc::new(Pool::new(make))
        });
        let mut places = rooms.get();
        regex.captures_read(&mut places, text)?;
        Some(places)
    }
}

impl Backtracking {
    /// What takes `source`, and the names of its groups.
    fn new(source: &str, multi_line: bool) -> Result<(Self, Vec<Arc<str>>), String> {
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
        let named = regex.capture_names().enumerate();
        let named = named.filter_map(|(number, name)| Some((Arc::from(name?), number)));
        let (names, groups): (Vec<Arc<str>>, Vec<usize>) = named.unzip();
        let engine = Backtracking {
            loose: Loose::new(source, multi_line, &names)?,
            groups: groups.into(),
            regex,
        };
        Ok((engine, names))
    }
}

/// The expression as the engines of this house want it, who take any byte for `.` unless they are told otherwise.
pub(super) fn with_flags(source: &str, multi_line: bool) -> String {
    let flags = if multi_line { "(?m-s)" } else { "(?-s)" };
    format!("{flags}{source}")
}

fn collect_groups(hir: &Hir, found: &mut impl FnMut(Arc<str>, usize)) {
    match hir.kind() {
        HirKind::Capture(capture) => {
            if let Some(name) = &capture.name {
                found(Arc::from(&**name), capture.index as usize);
            }
            collect_groups(&capture.sub, found);
        }
        HirKind::Repetition(repeated) => collect_groups(&repeated.sub, found),
        HirKind::Concat(parts) | HirKind::Alternation(parts) => {
            parts.iter().for_each(|part| collect_groups(part, found));
        }
        HirKind::Empty | HirKind::Literal(_) | HirKind::Class(_) | HirKind::Look(_) => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

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
            // What a group takes is not known before its end.
            (r"^(?:(?P<q>\k<q>|a)b){2}$", "abab", true),
            ("^(?P<q>(?(<q>)b|a))$", "a", true),
            ("^(?:(?P<q>(?(<q>)b|a))c){2}$", "acbc", true),
            // Flags end with their group.
            ("^(a(?i)b)c(?!d)", "aBC", false),
            ("^(a(?i)b)c(?!d)", "aBc", true),
            // What looks ahead is not looked at again.
            ("^(?=x|(?P<q>x))\\k<q>x", "xx", false),
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
            ("(?>é)(?<=é)", b"caf\xC3\xA9", true),
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
            "(a)?(?(a)b|c)",
            "(a)?(?(<1>)b|c)",
            "(?P<a>a)?(?(<a>))b",
            "(?P<a>a)?(?(<a>)|)b",
            r"(?:\w{1000}){1000}",
            r"(?:\w{1000}){1000}(?=a)",
        ] {
            let error = LineExpression::new(source, false).expect_err(source);
            assert!(!error.contains('\n'), "{error}");
        }
    }

    /// Those of which the loose expression tells all, unless they go back over a text that breaks a rule.
    const TOLD: &[&str] = &[
        r"^f (?P<a>in )?(?P<b>(?P<c>\S+)|(?(<a>)(?:(?! fr ).)*?|[^:]+)) fr (?P<d>\d+)(?: x)?(?(<c>):|(?:(?! fr ).)*$)",
        "(?P<a>a+)(?!b)(?P<b>.*)",
        "(?P<a>a|ab)(?=c|$)(?P<b>.*?)(?<!b)$",
        "(?P<a>a)?(?P<b>b|(?P<c>c))(?(<a>)(?(<c>)d|e)|f?)(?P<d>.*)",
        "(?P<a>(?P<b>a)|b(?P<c>c)?)??(?P<d>[ab]*?)(?(<b>)b|(?(<c>)a))(?P<e>.?)",
        "(?P<a>a*)x(?:(?P<b>b)|c)(?(<b>)(?i:C(?!D))|[^d]d)",
        r"(?=a)\b(?P<a>[a-c ]+)\b(?P<b>.)",
        "(?:(?!ab)[a-c])+(?P<a>.*)",
        "(?P<a>[ab]+)(?P<b>a)?(?(<b>)b?|a?)",
        "(?P<a>a+)(?(<a>)b|c)|(?(<a>)c|d)(?P<b>e?)",
        "b?(?P<a>[ab]|)(?P<b>c)?(?!d)(?(<a>)|b)",
    ];
    /// Those that it only takes less often than it might.
    const UNTOLD: &[&str] = &[
        "(?P<a>[ab]+(?P<b>a)?)(?(<b>)b?|a?)",
        "(?:(?P<a>a)|(?P<b>b))*(?(<a>)c|d)",
        "(?P<a>[ab]+(?:(?P<b>a)|c))(?(<b>)c|d)",
        "(?:(?!b)[abc]{2})*(?P<a>.*)",
        "(?P<a>a|b)\\k<a>(?P<b>.*)",
        "(?>a+|b)(?P<a>.*)",
        "(?:a(?!b)){1,3}(?P<a>.*)",
        "(?i)(?P<a>A)?(?(<a>)b|c)",
        "(?=(?P<a>a))(?P<b>.*)",
        "(?P<a>a*.?)*(?!b)",
    ];

    #[test]
    fn what_the_loose_expression_tells() {
        for (told, sources) in [(true, TOLD), (false, UNTOLD)] {
            for source in sources {
                let Engine::Backtracking(engine) = expression(source).engine else {
                    panic!("{source} is linear");
                };
                assert_eq!(engine.loose.is_told(), told, "{source}");
            }
        }
    }

    /// An expression of any parts; of those that are refused there are few.
    fn any_expression() -> impl Strategy<Value = String> {
        use prop::{collection::vec, sample::select};
        let times = ["", "", "", "?", "??", "*", "+?", "{1,2}"];
        let opens = [
            "(?P<#>", "(?P<#>", "(?:", "(", "(?=", "(?!", "(?>", "(?i:", "(?m:",
        ];
        let ones = [
            "a", "b", "c", " ", "é", ".", "[ab]", "[^a]", r"\w", r"\s", r"\n", "A",
        ];
        let places = [
            "^",
            "$",
            r"\b",
            r"\B",
            r"\z",
            "(?<=a)",
            "(?<!b|ab)",
            r"\k<@0>",
        ];
        let one = (select(ones.to_vec()), select(times.to_vec()));
        let one = one.prop_map(|(one, times)| format!("{one}{times}"));
        let leaf = prop_oneof![4 => one, 1 => select(places.to_vec()).prop_map(str::to_owned)];
        let nested = leaf.prop_recursive(4, 24, 3, move |inner| {
            let row = vec(inner, 0..4).prop_map(|parts| parts.concat()).boxed();
            let branches = vec(row.clone(), 1..4).prop_map(|rows| rows.join("|"));
            let group = (select(opens.to_vec()), branches, select(times.to_vec()));
            prop_oneof![
                2 => row.clone(),
                6 => group.prop_map(|(open, inner, times)| format!("{open}{inner}){times}")),
                1 => row.clone().prop_map(|guard| format!("(?:(?!{guard})[^c])*?")),
                4 => (0..3, row.clone(), row)
                    .prop_map(|(group, yes, no)| format!("(?(<@{group}>){yes}|{no})")),
            ]
        });
        nested.prop_map(|text| {
            // Each group has a name of its own, of which each condition asks for one.
            let mut parts = text.split('#');
            let mut named = parts.next().unwrap_or_default().to_owned();
            let mut count = 0;
            for part in parts {
                named.push_str(&format!("g{count}{part}"));
                count += 1;
            }
            for group in 0..3 {
                named = named.replace(&format!("@{group}"), &format!("g{}", group % count.max(1)));
            }
            named
        })
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(1000))]

        /// Whether or not the loose expression tells it, the same is taken.
        #[test]
        fn either_engine_takes_the_same(
            source in prop_oneof![
                prop::sample::select([TOLD, UNTOLD].concat()).prop_map(str::to_owned),
                any_expression(),
            ],
            multi_line in any::<bool>(),
            texts in proptest::collection::vec(
                "[ab]{0,6}|[a-e]{0,4}|[a-cA \\né]{0,6}|(f (in )?)?[a-fx: ]{0,6}( fr [0-9]{0,2})?[a-fCD:x ]{0,5}( fr |é)?",
                4,
            ),
        ) {
            let Ok(expression) = LineExpression::new(&source, multi_line) else {
                return Ok(());
            };
            let Engine::Backtracking(engine) = &expression.engine else {
                return Ok(());
            };
            let relaxed = with_flags(&write::relaxed(&source).expect("it is sound"), multi_line);
            let hir = linear::parse(&relaxed).expect("it is sound");
            let relaxed = Expression::new(relaxed, &hir).expect("it is small");
            let places = |captures: Option<Captures<'_>>| {
                captures.map(|captures| (captures.whole, captures.ranges))
            };
            for text in &texts {
                let Ok(slow) = expression.go_back(engine, text.as_bytes()) else {
                    continue;
                };
                let slow = places(slow);
                let quick = places(expression.captures(text.as_bytes()).expect("few steps"));
                prop_assert_eq!(expression.takes(text.as_bytes()), Ok(slow.is_some()));
                let takes_more = relaxed.regex().is_some_and(|relaxed| relaxed.is_match(text.as_bytes()));
                prop_assert!(slow.is_none() || takes_more, "{} {}", source, text);
                prop_assert_eq!(quick, slow, "{} {}", source, text);
            }
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
            assert_eq!(write::relaxed(source).as_deref(), Ok(relaxed), "{source}");
        }
    }
}
