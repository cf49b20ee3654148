//! Which filters over whole lines may take a record, and by which patterns?
//!
//! In: the texts of their patterns that stand in a line. Out: what the filters find, each of them asked once.

use smallvec::SmallVec;

use super::{Filter, Finding, Findings};
use crate::engine::filter::View;
use crate::engine::filter::line::{LineFilter, LineMemory};
use crate::engine::filter::literal::Texts;
use crate::engine::policy::FilterId;

/// The patterns of all filters over whole lines.
#[derive(Clone, Debug, Default)]
pub(super) struct Lines {
    uses: Vec<LineUse>,
    /// Those that need no text.
    always: Vec<(FilterId, usize)>,
}

/// A failure pattern over lines.
#[derive(Clone, Debug)]
struct LineUse {
    filter: FilterId,
    /// The first one that takes a line decides.
    place: usize,
    options: Vec<Texts>,
    needs: Texts,
}

/// Patterns that are to be tried.
pub(super) type Tries = SmallVec<[(FilterId, usize); 8]>;

impl Lines {
    /// Adds the patterns of a filter.
    pub(super) fn add(&mut self, filter: FilterId, compiled: &LineFilter) {
        for (place, options) in compiled.options().into_iter().enumerate() {
            if options.is_empty() {
                self.always.push((filter, place));
            }
            self.uses.push(LineUse {
                filter,
                place,
                options,
                needs: Texts::new(),
            });
        }
    }

    /// Whether there is none.
    pub(super) fn is_empty(&self) -> bool {
        self.uses.is_empty()
    }

    /// What could be looked for, pattern by pattern.
    pub(super) fn options(&self) -> impl Iterator<Item = &Vec<Texts>> {
        self.uses.iter().map(|one| &one.options)
    }

    /// Chooses what is looked for.
    pub(super) fn choose(&mut self, best: impl Fn(&[Texts]) -> Texts) {
        for one in &mut self.uses {
            one.needs = best(&one.options);
        }
    }

    /// What is looked for, with the places of the patterns here, for those filters.
    pub(super) fn texts(&self, of: impl Fn(FilterId) -> bool) -> Vec<(Vec<u8>, usize)> {
        let uses = self.uses.iter().enumerate();
        let uses = uses.filter(|(_, one)| of(one.filter));
        let texts = uses.flat_map(|(at, one)| one.needs.iter().map(move |text| (text.clone(), at)));
        texts.collect()
    }

    /// The places of a filter's patterns that are tried on every line.
    pub(super) fn always(&self, filter: FilterId) -> impl Iterator<Item = usize> {
        let always = self.always.iter();
        always
            .filter(move |(of, _)| *of == filter)
            .map(|(_, place)| *place)
    }

    /// Those of these patterns that are here, and those that are always tried; all if it is not known which.
    pub(super) fn tries(&self, candidates: Option<impl Iterator<Item = usize>>) -> Tries {
        let of = |one: &LineUse| (one.filter, one.place);
        let mut tries: Tries = match candidates {
            Some(candidates) => candidates.map(|at| of(&self.uses[at])).collect(),
            None => self.uses.iter().map(of).collect(),
        };
        tries.extend(self.always.iter().copied());
        tries.sort_unstable();
        tries.dedup();
        tries
    }

    /// Lets each filter look at the record by these patterns.
    pub(super) fn judge<'v>(
        filters: &[Filter],
        tries: &Tries,
        view: &'v View<'_>,
        memory: &mut LineMemory,
        found: &mut Findings<'v>,
    ) {
        for tries in tries.chunk_by(|(one, _), (other, _)| one == other) {
            let id = tries[0].0;
            let filter = &filters[usize::from(id.0)];
            let Some(lines) = filter.lines.as_ref().filter(|_| filter.asks(view.record())) else {
                continue;
            };
            let places: SmallVec<[usize; 8]> = tries.iter().map(|(_, place)| *place).collect();
            let one = lines.find((id, &filter.spec), view, &places, memory, None);
            found.extend(one.map(|found| Finding {
                filter: id,
                place: 0,
                found,
            }));
        }
    }
}
