//! Who was let in?
//!
//! In: the filters of the jails, then records. Out: logins, by the filters' `[[success]]` patterns. What the jails make
//! of them is their own matter. What applications report themselves is in no log.

use std::net::IpAddr;

use crate::cli::failure::{Exit, Failure};
use crate::engine::filter::{FilterSet, Finding, LineMemory, View};
use crate::engine::policy::Policy;
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
    /// What the filters of `policy` know of logins.
    ///
    /// # Errors
    /// A pattern that cannot be used; there is none in a configuration that was read.
    pub fn of(policy: &Policy) -> Result<Self, Failure> {
        let mut logins: Vec<_> = policy.jails.iter().filter_map(|jail| jail.logins).collect();
        logins.sort_unstable();
        logins.dedup();
        let specs = logins
            .iter()
            .map(|logins| policy.filters.spec(*logins).clone());
        let successes = FilterSet::compile(specs.collect()).map_err(|errors| {
            let lines: Vec<_> = errors.iter().map(ToString::to_string).collect();
            Failure::new(Exit::BadConfiguration, lines.join("\n"))
        })?;
        Ok(Logins { successes })
    }

    /// The login that a record tells of.
    pub fn find(&self, record: Record<'_>) -> Option<Login> {
        let time = record.time;
        let view = View::from(record);
        let Finding { found, .. } = self
            .successes
            .findings(&view, &mut LineMemory::default())
            .into_iter()
            .next()?;
        Some(Login {
            time,
            address: found.ip?,
            user: found.user.as_deref().map(Box::from),
        })
    }
}
