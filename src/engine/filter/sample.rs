//! Does a filter do what its samples say?
//!
//! In: samples and the compiled filters. Out: the first difference. Samples are read from files elsewhere.

use jiff::tz::TimeZone;

use super::session::{self, Sessions};
use super::{FilterSet, Found};
use crate::engine::policy::FilterId;
use crate::engine::record::text::TextReader;
use crate::engine::time::Timestamp;

/// Lines that prove a pattern, or prove that none takes them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sample {
    /// Lines of a log file, of one session if there are several.
    pub lines: Vec<String>,
    /// The mode that the sample is for; the filter's default if none.
    pub mode: Option<String>,
    /// What must come of them.
    pub expect: Expect,
}

/// What must come of a sample.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Expect {
    /// No failure.
    Silent,
    /// As many failures as `count`, the last of them with these captures where they are stated.
    Failure {
        /// The address.
        ip: Option<String>,
        /// The host as it was written.
        host: Option<String>,
        /// The account.
        user: Option<String>,
        /// How many failures count.
        count: u32,
    },
}

impl Sample {
    /// The patterns that the sample proves.
    ///
    /// # Errors
    /// What was found instead.
    pub fn check(
        &self,
        filters: &FilterSet,
        filter: FilterId,
        now: Timestamp,
    ) -> Result<Vec<u16>, String> {
        let mut reader = TextReader::new(TimeZone::UTC, &[], now);
        let mut sessions = Sessions::default();
        let (mut hit, mut counted) = (Vec::new(), 0);
        let mut last: Option<Found<'_>> = None;
        for line in &self.lines {
            let record = reader.read(line.as_bytes());
            let Some(found) = filters.find(filter, &record) else {
                continue;
            };
            hit.push(found.pattern);
            let session = session::key(record.host, &found);
            if sessions.counts(
                filters.spec(filter),
                session.as_deref(),
                &found,
                record.time,
            ) {
                counted += 1;
                last = Some(found);
            }
        }
        let told = |what: &str, wanted: &str, got: &str| {
            Err(format!(
                "{:?}: {what} should be {wanted}, is {got}",
                self.lines
            ))
        };
        match (&self.expect, last) {
            (Expect::Silent, None) => Ok(hit),
            (Expect::Silent, Some(found)) => told("the sample", "silent", &found.host),
            (Expect::Failure { count, .. }, None) => {
                told("the number of failures", &count.to_string(), "0")
            }
            (
                Expect::Failure {
                    ip,
                    host,
                    user,
                    count,
                },
                Some(found),
            ) => {
                if *count != counted {
                    return told(
                        "the number of failures",
                        &count.to_string(),
                        &counted.to_string(),
                    );
                }
                let address = found.ip.map(|ip| ip.to_string()).unwrap_or_default();
                let account = found.user.unwrap_or_default();
                for (what, wanted, got) in [
                    ("ip", ip, address.as_str()),
                    ("host", host, &*found.host),
                    ("user", user, &*account),
                ] {
                    if let Some(wanted) = wanted
                        && wanted != got
                    {
                        return told(what, wanted, got);
                    }
                }
                Ok(hit)
            }
        }
    }
}
