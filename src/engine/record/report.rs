//! What does an application report by itself?
//!
//! In: one JSON object. Out: whom it reports and what became of him. Such a report is no text in which a
//! stranger could write an address; who sent it is checked where it comes in.

use std::borrow::Cow;
use std::net::IpAddr;

use serde::{Deserialize, Serialize};
use serde_json::Value;

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

/// The bytes are no report; in no words of the sender's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a report: {0}")]
pub struct ReportError(Fault);

/// What is wrong with them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
enum Fault {
    #[error("it is no JSON object")]
    NoObject,
    #[error("`{0}` is missing")]
    Missing(&'static str),
    #[error("`{0}` is no text")]
    NoText(&'static str),
    #[error("`ip` is no address")]
    NoAddress,
    #[error("`outcome` is neither `failure` nor `success`")]
    Outcome,
    #[error(
        "it has a field that no report has; `service`, `ip`, `user`, `outcome` and `detail` are known"
    )]
    UnknownField,
    #[error("a field stands in it twice")]
    Twice,
}

impl<'a> Report<'a> {
    /// Reads one.
    ///
    /// # Errors
    /// It is none.
    pub fn parse(bytes: &'a [u8]) -> Result<Self, ReportError> {
        serde_json::from_slice(bytes).map_err(|_| ReportError(Fault::of(bytes)))
    }
}

impl Fault {
    /// What is wrong with bytes that are no report, in our words instead of those of a parser.
    fn of(bytes: &[u8]) -> Fault {
        let Ok(fields) = serde_json::from_slice::<serde_json::Map<String, Value>>(bytes) else {
            return Fault::NoObject;
        };
        let required = ["service", "ip"];
        if let Some(name) = required
            .into_iter()
            .find(|name| !fields.contains_key(*name))
        {
            return Fault::Missing(name);
        }
        // What may be left out may be null instead.
        let is_text = |name: &str| match fields.get(name) {
            None | Some(Value::String(_)) => true,
            Some(Value::Null) => matches!(name, "user" | "detail"),
            Some(_) => false,
        };
        let texts = ["service", "user", "detail"];
        if let Some(name) = texts.into_iter().find(|name| !is_text(name)) {
            return Fault::NoText(name);
        }
        let text = |name: &str| fields.get(name).and_then(Value::as_str);
        let is_known =
            |name: &String| texts.contains(&name.as_str()) || name == "ip" || name == "outcome";
        if text("ip").is_none_or(|ip| ip.parse::<IpAddr>().is_err()) {
            Fault::NoAddress
        } else if fields.contains_key("outcome")
            && !matches!(text("outcome"), Some("failure" | "success"))
        {
            Fault::Outcome
        } else if !fields.keys().all(is_known) {
            Fault::UnknownField
        } else {
            Fault::Twice
        }
    }
}

/// What a record says that is a report.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reported<'a> {
    /// Who tried something.
    pub address: IpAddr,
    /// As whom.
    pub user: Option<Cow<'a, str>>,
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
        for (bad, fault) in [
            ("", Fault::NoObject),
            ("{}", Fault::Missing("service")),
            (r#"{"service":"shop"}"#, Fault::Missing("ip")),
            (
                r#"{"service":7,"ip":"192.0.2.7"}"#,
                Fault::NoText("service"),
            ),
            (
                r#"{"service":"shop","ip":"192.0.2.7","user":7}"#,
                Fault::NoText("user"),
            ),
            (r#"{"service":"shop","ip":"example.org"}"#, Fault::NoAddress),
            (r#"{"service":"shop","ip":3232235521}"#, Fault::NoAddress),
            (
                r#"{"service":"shop","ip":"192.0.2.7","outcome":"maybe"}"#,
                Fault::Outcome,
            ),
            (
                r#"{"service":"shop","ip":"192.0.2.7","outcome":null}"#,
                Fault::Outcome,
            ),
            (
                r#"{"service":"shop","ip":"192.0.2.7","adress":"x"}"#,
                Fault::UnknownField,
            ),
            (
                r#"{"service":"shop","ip":"192.0.2.7","ip":"192.0.2.8"}"#,
                Fault::Twice,
            ),
            (r#"{"service":"shop","ip":"192.0.2.7"} {}"#, Fault::NoObject),
        ] {
            let ReportError(found) = Report::parse(bad.as_bytes()).expect_err(bad);
            assert_eq!(found, fault, "{bad}");
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
