//! Which regular expressions take time that grows with the text alone?
//!
//! In: an expression of `regex`, over bytes. Out: its structure, and the same ready for use. Nothing here looks around or
//! goes back; what does is in [`line`](super::line).

use std::sync::OnceLock;

use regex::bytes::{Regex, RegexBuilder};
use regex_automata::meta;
use regex_automata::util::syntax;
use regex_syntax::hir::{Class, Hir, HirKind};

/// The most memory that one compiled program may take: ten times what the largest shipped pattern needs.
pub(in crate::engine) const LARGEST_PROGRAM: usize = 4 << 20;

/// The structure of a regular expression.
///
/// # Errors
/// What is wrong with it, in one line.
pub(in crate::engine) fn parse(source: &str) -> Result<Hir, String> {
    regex_syntax::ParserBuilder::new()
        .unicode(false)
        .utf8(false)
        .dot_matches_new_line(true)
        .build()
        .parse(source)
        .map_err(|error| format!("this is no regular expression: {}", what(&error)))
}

/// What is wrong, in one line: the error itself would show the pattern with its placeholders expanded, which is
/// not what was written.
fn what(error: &regex_syntax::Error) -> String {
    match error {
        regex_syntax::Error::Parse(error) => error.kind().to_string(),
        regex_syntax::Error::Translate(error) => error.kind().to_string(),
        other => other.to_string(),
    }
}

/// A regular expression that is compiled when it is first asked for: most patterns of most filters never are, and one takes
/// as long as to look through a thousand lines.
#[derive(Clone, Debug)]
pub(in crate::engine) struct Expression {
    source: Box<str>,
    regex: OnceLock<Option<Regex>>,
}

impl Expression {
    /// The expression `source`, whose structure is `hir`.
    ///
    /// # Errors
    /// It is too large.
    pub(in crate::engine) fn new(source: String, hir: &Hir) -> Result<Self, String> {
        let regex = match are_surely_small([hir]) {
            true => OnceLock::new(),
            false => OnceLock::from(Some(compile(&source)?)),
        };
        let source = source.into();
        Ok(Expression { source, regex })
    }

    /// As it is written.
    pub(in crate::engine) fn source(&self) -> &str {
        &self.source
    }

    /// Ready for use; `None`, against all that is known of sizes, if it cannot be compiled.
    pub(in crate::engine) fn regex(&self) -> Option<&Regex> {
        let compile = || compile(&self.source).ok();
        self.regex.get_or_init(compile).as_ref()
    }
}

/// A program with no more steps than this is not too large: none of them takes 128 bytes.
const SURELY_SMALL: usize = LARGEST_PROGRAM / 128;

/// Whether a program of all these is not too large; that of a large one may still not be.
pub(super) fn are_surely_small<'h>(all: impl IntoIterator<Item = &'h Hir>) -> bool {
    let sizes = all.into_iter().map(size);
    sizes.fold(0, usize::saturating_add) <= SURELY_SMALL
}

/// What compiles expressions that are looked for together, into so large a program, which may take so much memory, in bytes,
/// to become fast.
pub(in crate::engine) fn builder(program: usize, cache: usize) -> meta::Builder {
    let config = meta::Config::new()
        .utf8_empty(false)
        .nfa_size_limit(Some(program))
        .hybrid_cache_capacity(cache);
    let mut builder = meta::Builder::new();
    builder
        .configure(config)
        .syntax(syntax::Config::new().unicode(false).utf8(false));
    builder
}

/// How many steps a program has at the most.
fn size(hir: &Hir) -> usize {
    let sum = |subs: &[Hir]| subs.iter().map(size).fold(1, usize::saturating_add);
    match hir.kind() {
        HirKind::Empty | HirKind::Look(_) => 1,
        HirKind::Literal(text) => text.0.len(),
        // A class of bytes has 128 ranges at the most, with bytes between.
        HirKind::Class(Class::Bytes(class)) => class.ranges().len().max(1),
        HirKind::Class(Class::Unicode(_)) => usize::MAX,
        HirKind::Repetition(repeated) => {
            let times = repeated
                .max
                .unwrap_or(0)
                .max(repeated.min)
                .saturating_add(1);
            size(&repeated.sub)
                .saturating_mul(times as usize)
                .saturating_add(2)
        }
        HirKind::Capture(group) => size(&group.sub).saturating_add(2),
        HirKind::Concat(subs) | HirKind::Alternation(subs) => sum(subs),
    }
}

fn compile(source: &str) -> Result<Regex, String> {
    RegexBuilder::new(source)
        .unicode(false)
        .dot_matches_new_line(true)
        .size_limit(LARGEST_PROGRAM)
        .build()
        .map_err(|error| error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_surely_small_can_be_compiled() {
        for (text, count) in [
            ("a", 32_000),
            ("[a-cx0-9_]", 7_900),
            ("(?:ab|cd|[ef]|)", 3_000),
            ("(x?)", 5_000),
            ("(?:a|b+)*", 3_000),
            (r"\b[^a]", 7_000),
        ] {
            let source = format!("(?:{text}){{{count}}}");
            let hir = parse(&source).expect("a regular expression");
            let size = size(&hir);
            assert!(
                (SURELY_SMALL / 2..=SURELY_SMALL).contains(&size),
                "{source} {size}"
            );
            assert_eq!(compile(&source).err(), None, "{source}");
        }
    }
}
