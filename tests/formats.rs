//! Facts about logs that are no plain text, shown from outside: what real services write is read, filters test the
//! fields of it, and nobody who chooses a text in it chooses more.

mod attackers;
mod commands;
mod services;

use std::net::IpAddr;

use f2bd::config;
use f2bd::engine::filter::{FilterSet, View};
use f2bd::engine::policy::FilterId;
use f2bd::engine::record::line::{Format, LineForm, LineReader};
use f2bd::engine::record::{Batch, Record};
use f2bd::engine::time::Timestamp;
use jiff::tz::TimeZone;

const NOW: &str = "2026-02-12T20:00:00Z";

fn moment(text: &str) -> Timestamp {
    text.parse().unwrap()
}

fn reader(format: Format) -> LineReader {
    let mut form = LineForm::in_zone(TimeZone::UTC);
    form.format = format;
    LineReader::new(&form, moment(NOW))
}

/// A filter file, compiled.
fn filter(text: &str) -> FilterSet {
    let home = tempfile::tempdir().unwrap();
    let path = home.path().join("own.toml");
    std::fs::write(&path, text).unwrap();
    let spec = config::filter(path.to_str().unwrap(), None, None);
    FilterSet::compile(vec![spec.unwrap()]).unwrap()
}

/// Who is found in a record that came the way of every record, and with what account.
fn found(filters: &FilterSet, record: Record<'_>) -> Option<(IpAddr, Option<String>)> {
    let mut batch = Batch::default();
    batch.push(record);
    let view = View::from(batch.iter().next().unwrap());
    let found = filters.find(FilterId(0), &view)?;
    let user = found.user.map(|user| user.into_owned());
    Some((found.ip?, user))
}

/// Who is found in lines of a log of which nothing is known, in the order of the lines.
fn found_in(filters: &FilterSet, lines: &[&str]) -> Vec<String> {
    let mut reader = reader(Format::Any);
    let mut all = Vec::new();
    for line in lines {
        if let Ok(Some(record)) = reader.read(line.as_bytes()) {
            all.extend(found(filters, record).map(|(ip, _)| ip.to_string()));
        }
    }
    all
}
