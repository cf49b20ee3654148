//! How many records did each jail hear?
//!
//! In: records. Out: sums by jail. Records are counted by where they come from, and who listens there is found when
//! somebody asks: there may be many jails.

use super::super::name::SourceName;
use super::super::policy::JailPolicy;
use super::super::record::Record;
use super::super::record::journal::RouteId;

/// The most origins that are told apart: journals with many jails have some for each set of matches that entries
/// satisfy together. When there are more, the caller takes the sums and begins anew.
const MOST_ORIGINS: usize = 512;

/// Where a record comes from, as far as jails choose by that.
#[derive(Debug)]
struct Origin {
    source: Option<SourceName>,
    routes: Box<[RouteId]>,
    is_nameless: bool,
    records: u64,
}

/// The records that were heard.
#[derive(Debug, Default)]
pub(super) struct Heard {
    origins: Vec<Origin>,
    /// The origin of the last record: the next one mostly is of the same.
    last: usize,
}

impl Heard {
    /// Counts a record, and what was passed over before it, as far as that is known lines that name their program; answers
    /// whether there is no room for its origin.
    pub(super) fn count(&mut self, source: Option<&SourceName>, record: &Record<'_>) -> bool {
        let passed = u64::from(record.passed);
        let is_nameless = record.program.is_empty();
        let routes = record.routes;
        match passed > 0 && is_nameless {
            true => {
                self.origins.len() + 2 > MOST_ORIGINS
                    || self.add(source, routes, false, passed)
                    || self.add(source, routes, true, 1)
            }
            false => self.add(source, routes, is_nameless, 1 + passed),
        }
    }

    fn add(
        &mut self,
        source: Option<&SourceName>,
        routes: &[RouteId],
        is_nameless: bool,
        records: u64,
    ) -> bool {
        let is_it = |origin: &Origin| {
            origin.is_nameless == is_nameless
                && *origin.routes == *routes
                && origin.source.as_ref() == source
        };
        if !self.origins.get(self.last).is_some_and(is_it) {
            let known = self.origins.iter().position(is_it);
            self.last = known.unwrap_or(self.origins.len());
        }
        if self.last == self.origins.len() {
            if self.last == MOST_ORIGINS {
                return true;
            }
            self.origins.push(Origin {
                source: source.cloned(),
                routes: routes.into(),
                is_nameless,
                records: 0,
            });
        }
        self.origins[self.last].records += records;
        false
    }

    /// How many of them a jail heard.
    pub(super) fn by(&self, jail: &JailPolicy) -> u64 {
        let wanted = self.origins.iter().filter(|origin| {
            wants(
                jail,
                origin.source.as_ref(),
                &origin.routes,
                origin.is_nameless,
            )
        });
        wanted.map(|origin| origin.records).sum()
    }
}

/// Whether a jail listens to where a record comes from. A record of a journal says itself which matches it satisfies;
/// text of other sources is sorted by program, inside the filter set.
pub(super) fn wants(
    jail: &JailPolicy,
    source: Option<&SourceName>,
    routes: &[RouteId],
    is_nameless: bool,
) -> bool {
    source.is_none_or(|source| {
        jail.sources.contains(source) && !(is_nameless && jail.named_only.contains(source))
    }) && (routes.is_empty() || jail.route.is_some_and(|route| routes.contains(&route)))
}
