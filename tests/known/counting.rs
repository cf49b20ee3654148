//! What does a filter count of the lines of a log? What it should count is not known here.

use f2bd::engine::filter::session::Sessions;
use f2bd::engine::filter::{FilterSet, View};
use f2bd::engine::policy::FilterId;
use f2bd::engine::record::Record;
use f2bd::engine::record::line::{LineForm, LineReader};
use f2bd::engine::time::Timestamp;
use jiff::tz::TimeZone;

use super::annotated::Line;
use crate::filters;

/// What a filter counts of a line: the host as it was written, and its address.
#[derive(Clone, Debug)]
pub struct Counted {
    pub hosts: [String; 2],
    /// For whom a proxy says that it speaks.
    pub forwarded: String,
}

impl Counted {
    /// Whether it is this host; of some nothing is said.
    pub fn is(&self, host: &str) -> bool {
        host.is_empty() || self.hosts.iter().any(|one| one == host)
    }
}

/// What a filter makes of the lines, in their order.
pub fn count(filter: &str, mode: &str, lines: &[Line]) -> Vec<Option<Counted>> {
    let (spec, _) = filters::filter(filter, mode);
    let filters = FilterSet::compile(vec![spec]).unwrap();
    let zone = TimeZone::get("Europe/Berlin").unwrap();
    let now: Timestamp = "2005-08-14T10:00:00Z".parse().unwrap();
    let mut reader = LineReader::new(&LineForm::in_zone(zone), now);
    let mut sessions = Sessions::default();
    let counted = lines.iter().map(|line| {
        // An entry of a journal is made of the same, but of no line.
        let text = match line.is_journal {
            true => format!("Aug 14 10:00:00 {}", line.text),
            false => line.text.clone(),
        };
        let record = reader.read(text.as_bytes()).ok().flatten()?;
        let record = match line.is_journal {
            true => Record {
                line: b"",
                ..record
            },
            false => record,
        };
        let view = View::from(record);
        let found = filters.find(FilterId(0), &view)?;
        let spec = filters.spec(FilterId(0));
        let counts = sessions.counts(spec, record.host, &found, record.time);
        counts.then(|| Counted {
            hosts: [
                found.host.to_string(),
                found.ip.map(|ip| ip.to_string()).unwrap_or_default(),
            ],
            forwarded: found.forwarded.unwrap_or_default().into_owned(),
        })
    });
    counted.collect()
}
