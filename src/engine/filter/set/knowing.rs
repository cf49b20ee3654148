//! Is a record news to a filter?
//!
//! In: records that no filter counts. Out: whether the filter knows their wording all the same: from an ignore, a success,
//! a pattern of another mode, or one that found a doubtful address. Nothing counts by that.

use super::{Filter, FilterSet};
use crate::engine::filter::View;
use crate::engine::filter::pattern::{Ignore, Reading};
use crate::engine::policy::FilterId;

impl FilterSet {
    /// Whether anything in the filter's file takes a record, in whatever mode. All of it is tried, so ask seldom.
    pub fn knows(&self, filter: FilterId, view: &View<'_>) -> bool {
        let of = &self.filters[usize::from(filter.0)];
        let own = self
            .patterns
            .iter()
            .filter(|shared| shared.uses.iter().any(|one| one.filter == filter));
        let takes = |reading| !matches!(reading, Reading::Other);
        let mut readings = own.map(|shared| shared.pattern.find(view));
        if let Some(lines) = &of.lines {
            return lines.takes(view);
        }
        of.is_ignored(view)
            || readings.any(takes)
            || of.others().iter().any(|other| other.takes(view))
    }
}

impl Filter {
    fn others(&self) -> &[Ignore] {
        self.others.get_or_init(|| {
            let specs = self.spec.successes.iter().chain(&self.spec.others);
            // One that cannot be compiled is refused where it counts.
            specs.filter_map(|spec| Ignore::new(spec).ok()).collect()
        })
    }
}
