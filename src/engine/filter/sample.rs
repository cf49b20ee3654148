//! Does a filter do what its samples say?
//!
//! In: samples and the compiled filters. Out: the first difference. Samples are read from files elsewhere.

use std::borrow::Cow;

use jiff::tz::TimeZone;

use super::quoting::Quoting;
use super::session::Sessions;
use super::{Capture, FilterSet, View};
use crate::engine::policy::FilterId;
use crate::engine::record::line::{LineForm, LineReader};
use crate::engine::time::Timestamp;

/// Lines that prove a pattern, or prove that none takes them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sample {
    /// Lines of a log file, of one session if there are several.
    pub lines: Vec<String>,
    /// The mode that the sample is for; the filter's default if none.
    pub mode: Option<String>,
    /// Whether the filter's successes are meant, see
    /// [`FilterSpec::of_successes`](super::FilterSpec::of_successes): they are to find what is said of a failure.
    pub success: bool,
    /// The texts in them that a client chose, beside what placeholders take.
    pub chosen: Vec<String>,
    /// The texts in them that no client has a say in, though the pattern takes others there too.
    pub own: Vec<String>,
    /// How the service writes these.
    pub quoting: Quoting,
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
        /// What was attacked.
        target: Option<String>,
        /// What a proxy said.
        forwarded: Option<String>,
        /// What ties it to others.
        session: Option<String>,
        /// When it was.
        time: Option<Timestamp>,
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
        let mut reader = LineReader::new(&LineForm::in_zone(TimeZone::UTC), now);
        let mut sessions = Sessions::default();
        let (mut hit, mut counted) = (Vec::new(), 0);
        let mut last = None;
        for line in &self.lines {
            // A part of a container's line is no record yet.
            let Ok(Some(record)) = reader.read(line.as_bytes()) else {
                continue;
            };
            let view = View::from(record);
            let Some(found) = filters.find(filter, &view) else {
                continue;
            };
            hit.push(found.pattern);
            if sessions.counts(filters.spec(filter), record.host, &found, record.time) {
                counted += 1;
                let address = found.ip.map(|ip| ip.to_string()).unwrap_or_default();
                let owned = |text: Option<Cow<'_, str>>| text.unwrap_or_default().into_owned();
                let session = found
                    .captured(Capture::Session)
                    .unwrap_or_default()
                    .to_owned();
                last = Some([
                    address,
                    found.host.into_owned(),
                    owned(found.user),
                    owned(found.target),
                    owned(found.forwarded),
                    session,
                    record.time.to_string(),
                ]);
            }
        }
        let told = |what: &str, wanted: &str, got: &str| {
            Err(format!(
                "{:?}: {what} should be {wanted}, is {got}",
                self.lines
            ))
        };
        let number = match self.success {
            true => "the number of successes",
            false => "the number of failures",
        };
        match (&self.expect, last) {
            (Expect::Silent, None) => Ok(hit),
            (Expect::Silent, Some([_, host, ..])) => told("the sample", "silent", &host),
            (Expect::Failure { count, .. }, None) => told(number, &count.to_string(), "0"),
            (
                Expect::Failure {
                    ip,
                    host,
                    user,
                    target,
                    forwarded,
                    session,
                    time,
                    count,
                },
                Some(found),
            ) => {
                if *count != counted {
                    return told(number, &count.to_string(), &counted.to_string());
                }
                let time = &time.map(|time| time.to_string());
                let wanted = [
                    ("ip", ip),
                    ("host", host),
                    ("user", user),
                    ("target", target),
                    ("forwarded", forwarded),
                    ("session", session),
                    ("time", time),
                ];
                for ((what, wanted), got) in wanted.into_iter().zip(found) {
                    if let Some(wanted) = wanted
                        && *wanted != got
                    {
                        return told(what, wanted, &got);
                    }
                }
                Ok(hit)
            }
        }
    }
}
