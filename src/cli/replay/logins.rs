//! Who was let in?
//!
//! In: the filters of the jails, then records. Out: logins, by the filters' `[[success]]` patterns. The jails hear of
//! none of them. What applications report themselves is in no log.

use std::net::IpAddr;

use crate::cli::failure::{Exit, Failure};
use crate::engine::filter::{FilterSet, FilterSpec, View};
use crate::engine::policy::{FilterId, Policy};
use crate::engine::record::Record;
use crate::engine::time::Timestamp;

/// Somebody was let in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Login {
    /// When.
    pub time: Timestamp,
    /// From where.
    pub address: IpAddr,
    /// As whom, if that was logged.
    pub user: Option<Box<str>>,
}

/// What tells of logins.
pub struct Logins {
    filters: FilterSet,
}

impl Logins {
    /// What the filters of `policy` know of logins.
    ///
    /// # Errors
    /// A pattern that cannot be used; there is none in a configuration that was read.
    pub fn of(policy: &Policy) -> Result<Self, Failure> {
        let mut filters: Vec<FilterId> = policy.jails.iter().map(|jail| jail.filter).collect();
        filters.sort_unstable();
        filters.dedup();
        let specs = filters.iter().map(|filter| policy.filters.spec(*filter));
        let successes: Vec<FilterSpec> = specs.filter_map(FilterSpec::of_successes).collect();
        Ok(Logins {
            filters: FilterSet::compile(successes).map_err(|errors| {
                let lines: Vec<_> = errors.iter().map(ToString::to_string).collect();
                Failure::new(Exit::BadConfiguration, lines.join("\n"))
            })?,
        })
    }

    /// The login that a record tells of.
    pub fn find(&self, record: Record<'_>) -> Option<Login> {
        let time = record.time;
        let view = View::from(record);
        let (_, found) = self.filters.hits(&view).into_iter().next()?;
        Some(Login {
            time,
            address: found.ip?.to_canonical(),
            user: found.user.as_deref().map(Box::from),
        })
    }
}
