//! Who was let in?
//!
//! In: the filters of the jails, then records. Out: logins, by the filters' `[[success]]` patterns. The jails hear of
//! none of them. What applications report themselves is in no log.

use std::net::IpAddr;

use crate::cli::failure::{Exit, Failure};
use crate::engine::filter::sieve::Sieve;
use crate::engine::filter::{FilterSet, FilterSpec, Finding, View};
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
    successes: FilterSet,
}

impl Logins {
    /// What the filters of `policy` know of logins, and the sieve for logs in which both these and the failures are
    /// looked for.
    ///
    /// # Errors
    /// A pattern that cannot be used; there is none in a configuration that was read.
    pub fn of(policy: &Policy) -> Result<(Self, Option<Sieve>), Failure> {
        let filters = filters_of(policy);
        let specs = || filters.iter().map(|filter| policy.filters.spec(*filter));
        let successes: Vec<FilterSpec> = specs().filter_map(FilterSpec::of_successes).collect();
        let all = compiled(specs().cloned().chain(successes.iter().cloned()).collect())?;
        let ids = (0..all.len()).filter_map(|at| u16::try_from(at).ok());
        let sieve = all.sieve(&ids.map(FilterId).collect::<Vec<_>>());
        let successes = compiled(successes)?;
        Ok((Logins { successes }, sieve))
    }

    /// The login that a record tells of.
    pub fn find(&self, record: Record<'_>) -> Option<Login> {
        let time = record.time;
        let view = View::from(record);
        let Finding { found, .. } = self.successes.findings(&view).into_iter().next()?;
        Some(Login {
            time,
            address: found.ip?.to_canonical(),
            user: found.user.as_deref().map(Box::from),
        })
    }
}

/// The filters that jails have, each once.
pub fn filters_of(policy: &Policy) -> Vec<FilterId> {
    let mut filters: Vec<_> = policy.jails.iter().map(|jail| jail.filter).collect();
    filters.sort_unstable();
    filters.dedup();
    filters
}

fn compiled(specs: Vec<FilterSpec>) -> Result<FilterSet, Failure> {
    FilterSet::compile(specs).map_err(|errors| {
        let lines: Vec<_> = errors.iter().map(ToString::to_string).collect();
        Failure::new(Exit::BadConfiguration, lines.join("\n"))
    })
}
