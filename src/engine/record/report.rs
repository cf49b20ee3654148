//! What does an application report by itself?
//!
//! In: one JSON object. Out: whom it reports and what became of him. Such a report is no text in which a
//! stranger could write an address; who sent it is checked where it comes in.

use std::borrow::Cow;
use std::net::IpAddr;

use serde::{Deserialize, Serialize};

/// One report.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Report<'a> {
    /// The service that reports, a name of its own choice.
    #[serde(borrow)]
    pub service: Cow<'a, str>,
    /// Who tried something.
    pub ip: IpAddr,
    /// As whom.
    #[serde(borrow, default, skip_serializing_if = "Option::is_none")]
    pub user: Option<Cow<'a, str>>,
    /// What became of it.
    #[serde(default)]
    pub outcome: Outcome,
    /// Anything that people should know.
    #[serde(borrow, default, skip_serializing_if = "Option::is_none")]
    pub detail: Option<Cow<'a, str>>,
}

/// What became of what somebody tried.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Outcome {
    /// It counts against him.
    #[default]
    Failure,
    /// It counts for nobody and against nobody.
    Success,
}

/// The bytes are no report.
#[derive(Debug, thiserror::Error)]
#[error("not a report: {0}")]
pub struct ReportError(#[from] serde_json::Error);

impl<'a> Report<'a> {
    /// Reads one.
    ///
    /// # Errors
    /// It is none.
    pub fn parse(bytes: &'a [u8]) -> Result<Self, ReportError> {
        Ok(serde_json::from_slice(bytes)?)
    }
}

/// What a record says that is a report.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reported<'a> {
    /// Who tried something.
    pub address: IpAddr,
    /// As whom.
    pub user: Option<&'a str>,
    /// What became of it.
    pub outcome: Outcome,
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_report_names_at_least_service_and_address() {
        let report = Report::parse(br#"{"service":"shop","ip":"2001:db8::7"}"#).expect("a report");
        assert_eq!(
            (report.service.as_ref(), report.outcome, report.user),
            ("shop", Outcome::Failure, None)
        );
        for bad in [
            "",
            "{}",
            r#"{"service":"shop"}"#,
            r#"{"service":"shop","ip":"example.org"}"#,
            r#"{"service":"shop","ip":"192.0.2.7","outcome":"maybe"}"#,
            r#"{"service":"shop","ip":"192.0.2.7","adress":"x"}"#,
            r#"{"service":"shop","ip":"192.0.2.7"} {}"#,
        ] {
            assert!(Report::parse(bad.as_bytes()).is_err(), "{bad}");
        }
    }

    proptest! {
        #[test]
        fn no_bytes_break_it(bytes in proptest::collection::vec(any::<u8>(), 0..80)) {
            let _ = Report::parse(&bytes);
        }

        #[test]
        fn what_is_written_is_read(service in ".{1,20}", user in prop::option::of(".{0,20}"), ip in any::<IpAddr>()) {
            let report = Report {
                service: service.into(),
                ip,
                user: user.map(Cow::from),
                outcome: Outcome::Success,
                detail: None,
            };
            let written = serde_json::to_vec(&report).expect("JSON");
            prop_assert_eq!(Report::parse(&written).expect("a report"), report);
        }
    }
}
