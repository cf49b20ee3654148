//! What takes all that an expression takes and more, in linear time, and is what it took the same?
//!
//! The loose expression has all ways of the other to take a text, in the same order, and some that break rules. So the first
//! that it finds, if it keeps the rules, is the first that the other would find; if it does not, nothing is known. An
//! expression with conditions comes to several, which are looked for together, and only the one that is found is asked for
//! its groups. In: an expression in the language of [`dialect`](super::dialect), then texts.

use std::ops::Range;
use std::sync::{Arc, OnceLock};

use regex_automata::util::primitives::NonMaxUsize;
use regex_automata::{Anchored, Input, meta};
use regex_syntax::hir::Hir;
use smallvec::SmallVec;

use super::linear::{self, LARGEST_PROGRAM};
use super::rule::Rule;
use super::tree::{self, Row};
use super::ways::ways;
use super::write::written;

/// The most memory that a search may take to become fast; beyond that it is slower.
const LARGEST_CACHE: usize = 1 << 20;

/// A loose expression.
#[derive(Clone, Debug)]
pub(super) struct Loose {
    /// Those before come first.
    ways: Box<[Way]>,
    /// Looks for all of them; compiled when it is first asked for.
    search: OnceLock<Option<meta::Regex>>,
}

/// One way to take a text.
#[derive(Clone, Debug)]
struct Way {
    source: Box<str>,
    regex: OnceLock<Option<meta::Regex>>,
    /// All that there is to be kept; nothing if that cannot be told.
    rules: Option<Box<[Rule]>>,
    /// Of each name, the numbers of its groups, of which one at the most takes part.
    groups: Box<[SmallVec<[usize; 1]>]>,
}

/// What was found.
pub(super) struct Found<'l> {
    way: &'l Way,
    slots: SmallVec<[Option<NonMaxUsize>; 32]>,
}

impl Loose {
    /// The loose expression of `source`, of whose groups these are the names.
    ///
    /// # Errors
    /// What is wrong with it, in one line.
    pub(super) fn new(source: &str, multi_line: bool, names: &[Arc<str>]) -> Result<Self, String> {
        let tree = tree::parse(source)?;
        let compiled = |ways: Vec<Vec<Row<'_>>>| {
            let ways = ways.iter().map(|way| Way::new(way, multi_line, names));
            ways.collect::<Result<Vec<_>, String>>()
        };
        let mut ways = compiled(ways(&tree))?;
        if ways.len() > 1 && !linear::are_surely_small(ways.iter().map(|(_, hir)| hir)) {
            ways = compiled(vec![tree])?;
        }
        if let [(way, hir)] = &mut ways[..]
            && !linear::are_surely_small([&*hir])
        {
            way.regex = OnceLock::from(Some(compile(&[&way.source])?));
        }
        let ways = ways.into_iter().map(|(way, _)| way);
        Ok(Loose {
            ways: ways.collect(),
            search: OnceLock::new(),
        })
    }

    /// Whether what is found and keeps the rules is what the expression itself finds.
    pub(super) fn is_told(&self) -> bool {
        self.ways.iter().all(|way| way.rules.is_some())
    }

    /// Whether it takes something of a text.
    pub(super) fn takes(&self, text: &[u8]) -> bool {
        self.search().is_some_and(|search| search.is_match(text))
    }

    /// What it takes first.
    pub(super) fn found(&self, text: &[u8]) -> Option<Found<'_>> {
        let (way, input) = match &self.ways[..] {
            [way] => (way, Input::new(text)),
            ways => {
                let first = self.search()?.find(text)?;
                let way = ways.get(first.pattern().as_usize())?;
                let input = Input::new(text).span(first.range());
                (way, input.anchored(Anchored::Yes))
            }
        };
        let regex = way.regex.get_or_init(|| compile(&[&way.source]).ok());
        let regex = regex.as_ref()?;
        let mut slots = SmallVec::from_elem(None, regex.group_info().slot_len());
        regex.search_slots(&input, &mut slots)?;
        Some(Found { way, slots })
    }

    fn search(&self) -> Option<&meta::Regex> {
        let sources = || self.ways.iter().map(|way| &*way.source).collect::<Vec<_>>();
        let search = self.search.get_or_init(|| compile(&sources()).ok());
        search.as_ref()
    }
}

impl Way {
    fn new(
        branches: &[Row<'_>],
        multi_line: bool,
        names: &[Arc<str>],
    ) -> Result<(Self, Hir), String> {
        let written = written(branches, multi_line);
        let hir = linear::parse(&written.text)?;
        let numbers = |name: &Arc<str>| {
            let groups = written.groups.iter();
            let of_name = groups.filter(|(other, _)| **other == **name);
            of_name.map(|(_, number)| *number).collect()
        };
        let way = Way {
            groups: names.iter().map(numbers).collect(),
            rules: written.rules.map(Vec::into_boxed_slice),
            source: written.text.into(),
            regex: OnceLock::new(),
        };
        Ok((way, hir))
    }
}

fn compile(sources: &[&str]) -> Result<meta::Regex, String> {
    let builder = linear::builder(LARGEST_PROGRAM, LARGEST_CACHE);
    builder
        .build_many(sources)
        .map_err(|error| error.to_string())
}

impl Found<'_> {
    /// Whether it keeps all that there is to be kept.
    pub(super) fn keeps_rules(&self, text: &[u8]) -> bool {
        let holds = |rule: &Rule| match self.group(rule.mark) {
            Some(place) => rule.holds(text, place),
            None => true,
        };
        let rules = self.way.rules.as_deref();
        rules.is_some_and(|rules| rules.iter().all(holds))
    }

    /// All that was taken.
    pub(super) fn whole(&self) -> Range<usize> {
        self.group(0).unwrap_or_default()
    }

    /// What the groups took, in the order of their names.
    pub(super) fn groups(&self) -> impl Iterator<Item = Option<Range<usize>>> {
        let groups = self.way.groups.iter();
        groups.map(|numbers| numbers.iter().find_map(|number| self.group(*number)))
    }

    fn group(&self, number: usize) -> Option<Range<usize>> {
        let slot = |slot: usize| Some(self.slots.get(slot).copied()??.get());
        Some(slot(2 * number)?..slot(2 * number + 1)?)
    }
}
