//! How do filters become one set?
//!
//! In: the specs of all filters. Out: their patterns, each different one once, the texts to look for instead of trying
//! them, and every reason why a filter cannot be used.

use std::collections::hash_map::Entry;
use std::sync::OnceLock;
use std::thread;

use foldhash::{HashMap, HashMapExt};
use regex::bytes::{RegexSet, RegexSetBuilder};

use super::crowd::Crowds;
use super::loose::Loose;
use super::{Filter, FilterSet, Shared, Use};
use crate::engine::expression::LARGEST_PROGRAM;
use crate::engine::filter::line::LineFilter;
use crate::engine::filter::literal::{self, Texts};
use crate::engine::filter::pattern::{Ignore, Pattern};
use crate::engine::filter::{FilterSpec, PatternError, PatternSpec};
use crate::engine::policy::FilterId;

/// The most memory that the patterns of one filter that are tried together may take.
const LARGEST_SET: usize = 4 * LARGEST_PROGRAM;

/// So many patterns are compiled in the time in which a thread begins and ends.
const WORTH_A_THREAD: usize = 32;

/// In a set of those over messages it stands for a pattern that looks at fields alone: it takes nothing.
const NOTHING: &str = "[a&&b]";

impl FilterSet {
    /// Compiles the filters; [`FilterId`] is the place in `specs`.
    ///
    /// # Errors
    /// Every pattern that cannot be compiled or would let free text move an address, and every filter
    /// that has none.
    pub fn compile(specs: Vec<FilterSpec>) -> Result<Self, Vec<PatternError>> {
        let mut set = FilterSet::default();
        let mut problems = Vec::new();
        let known = set.compile_patterns(&specs);
        for (spec, id) in specs.into_iter().zip(0..) {
            match set.compile_filter(spec, FilterId(id), &known) {
                Ok(filter) => set.filters.push(filter),
                Err(errors) => problems.extend(errors),
            }
        }
        if !problems.is_empty() {
            return Err(problems);
        }
        set.choose_texts();
        set.crowds = Crowds::of(&set.patterns);
        set.sieve = set.sieve_of(|_| true);
        let all = set.filters.iter().zip((0..).map(FilterId));
        let loose = all.filter(|(filter, _)| filter.loose.is_some());
        set.with_loose = loose.map(|(_, id)| id).collect();
        Ok(set)
    }

    /// Compiles the patterns of these filters, each different one once; tells where each is now.
    fn compile_patterns(&mut self, specs: &[FilterSpec]) -> Known {
        let mut different = Vec::new();
        let mut numbers = HashMap::new();
        // Those over whole lines are not shared.
        let of_messages = specs.iter().filter(|spec| spec.lines.is_none());
        for spec in of_messages.flat_map(|spec| &spec.failures) {
            if let Entry::Vacant(free) = numbers.entry(key(spec)) {
                free.insert(different.len());
                different.push(spec);
            }
        }
        let mut places = Vec::with_capacity(different.len());
        for compiled in side_by_side(&different) {
            places.push(compiled.map(|pattern| {
                self.patterns.push(Shared {
                    pattern,
                    needs: Texts::new(),
                    uses: Vec::new(),
                });
                self.patterns.len() - 1
            }));
        }
        let place = |(key, number): (Key, usize)| (key, places[number].clone());
        numbers.into_iter().map(place).collect()
    }

    fn compile_filter(
        &mut self,
        spec: FilterSpec,
        filter: FilterId,
        known: &Known,
    ) -> Result<Filter, Vec<PatternError>> {
        let error = |number, ignore, reason| PatternError {
            filter: spec.name.to_string(),
            number,
            ignore,
            reason,
        };
        let mut problems = Vec::new();
        if spec.failures.is_empty() && !spec.records.reports && !spec.records.bans {
            let reason = "there is no [[failure]] pattern for this mode".to_owned();
            problems.push(error(0, false, reason));
        }
        if let Some(rules) = &spec.lines {
            let lines = match LineFilter::compile(&spec, rules) {
                Ok(lines) if problems.is_empty() => lines,
                Ok(_) => return Err(problems),
                Err(errors) => return Err(errors),
            };
            self.lines.add(filter, &lines);
            return Ok(Filter {
                spec,
                loose: None,
                lines: Some(lines),
                ignored_messages: RegexSet::empty(),
                ignores: Vec::new(),
                others: OnceLock::from(Vec::new()),
            });
        }
        let mut own = Vec::new();
        for (place, failure) in spec.failures.iter().enumerate() {
            let at = match &known[&key(failure)] {
                Ok(at) => *at,
                Err(reason) => {
                    problems.push(error(failure.number, false, reason.clone()));
                    continue;
                }
            };
            own.push(at);
            self.patterns[at].uses.push(Use {
                filter,
                place,
                number: failure.number,
                unless_counted: failure.unless_counted,
            });
        }
        let mut ignores = Vec::new();
        for ignore in &spec.ignores {
            match Ignore::new(ignore) {
                Ok(ignore) => ignores.push(ignore),
                Err(reason) => problems.push(error(ignore.number, true, reason)),
            }
        }
        own.retain(|at| self.patterns[*at].pattern.options().is_empty());
        let loose = Loose::of(own, &self.patterns);
        let loose = loose.map_err(|reason| problems.push(error(0, false, reason)));
        let ignored = regex_set(ignores.iter().map(Ignore::over_message));
        let ignored = ignored.map_err(|reason| problems.push(error(0, true, reason)));
        match (loose, ignored) {
            (Ok(loose), Ok(ignored_messages)) if problems.is_empty() => Ok(Filter {
                spec,
                loose,
                lines: None,
                ignored_messages,
                ignores,
                others: OnceLock::new(),
            }),
            _ => Err(problems),
        }
    }

    /// Chooses what is looked for instead of trying patterns: what few of them have.
    fn choose_texts(&mut self) {
        let mut shared: HashMap<Vec<u8>, usize> = HashMap::new();
        let options = self
            .patterns
            .iter()
            .flat_map(|shared| shared.pattern.options());
        let of_lines = self.lines.options().flatten();
        for text in options.chain(of_lines).flatten() {
            *shared.entry(text.clone()).or_default() += 1;
        }
        let shared_by = |text: &[u8]| shared.get(text).copied().unwrap_or(0);
        for Shared { pattern, needs, .. } in &mut self.patterns {
            *needs = literal::best(pattern.options().to_vec(), shared_by).unwrap_or_default();
        }
        let best = |options: &[Texts]| literal::best(options.to_vec(), shared_by);
        self.lines
            .choose(|options| best(options).unwrap_or_default());
    }
}

/// What makes a pattern another one: its text, and what it asks of fields.
type Key = (String, String);

/// Where each pattern is among all, or why it cannot be used.
type Known = HashMap<Key, Result<usize, String>>;

fn key(spec: &PatternSpec) -> Key {
    (spec.text.clone(), format!("{:?}", spec.fields))
}

/// Compiles patterns on all cores: who starts f2bd with all filters there are waits half as long on two.
fn side_by_side(specs: &[&PatternSpec]) -> Vec<Result<Pattern, String>> {
    let cores = thread::available_parallelism().map_or(1, usize::from);
    let threads = cores.min(specs.len() / WORTH_A_THREAD).max(1);
    // Long ones stand together, so each thread takes one in turn.
    let share = |first: usize| {
        let own = specs.iter().skip(first).step_by(threads);
        own.map(|spec| Pattern::failure(spec)).collect::<Vec<_>>()
    };
    let mut shares = thread::scope(|scope| {
        let spawned = (1..threads).map(|first| {
            let thread = thread::Builder::new().spawn_scoped(scope, move || share(first));
            (first, thread)
        });
        let spawned: Vec<_> = spawned.collect();
        let mut shares = vec![share(0).into_iter()];
        for (first, thread) in spawned {
            // Whoever may not have another thread waits longer.
            let done = thread.ok().and_then(|thread| thread.join().ok());
            shares.push(done.unwrap_or_else(|| share(first)).into_iter());
        }
        shares
    });
    let in_turn = (0..specs.len()).filter_map(|at| shares[at % threads].next());
    in_turn.collect()
}

/// The regular expressions over messages of several patterns, in one.
pub(super) fn regex_set<'s>(
    sources: impl Iterator<Item = Option<&'s str>>,
) -> Result<RegexSet, String> {
    RegexSetBuilder::new(sources.map(|source| source.unwrap_or(NOTHING)))
        .unicode(false)
        .dot_matches_new_line(true)
        .size_limit(LARGEST_SET)
        .build()
        .map_err(|error| error.to_string())
}
