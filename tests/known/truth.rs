//! Is what the list of differences says of a line so? It is tried: in the mode, by the filter, with the line that comes next.

use std::net::IpAddr;

use f2bd::engine::filter::forwarded;

use super::annotated::{Line, Log};
use super::counting::count;
use super::differences::Difference;

/// What a difference says of a line that is not so.
pub fn untrue(
    difference: &Difference,
    log: &Log,
    line: &Line,
    host: &str,
    got: Option<&String>,
) -> Option<String> {
    let Difference {
        service,
        why,
        mode,
        filter,
        by,
        next,
        blames,
        trusted,
        ..
    } = difference;
    if got != blames.as_ref().or(trusted.as_ref()) {
        return Some(format!("{got:?} counts, not {blames:?}"));
    }
    let mut places = log.lines.iter().map(|one| &one.place);
    let Some(at) = places.position(|place| *place == line.place) else {
        return Some("the log has no such line".to_owned());
    };
    let counted = |filter: &str, mode: &str, at: usize| {
        let mut counted = count(filter, mode, &log.lines).into_iter();
        counted.nth(at).flatten()
    };
    let counts = |filter: &str, mode: &str| {
        let counted = counted(filter, mode, at);
        counted.is_some_and(|counted| counted.is(host))
    };
    let told = mode.as_ref().map(|mode| format!("counted in mode {mode}"));
    if why.contains("counted in mode") && !told.is_some_and(|told| why.contains(&told)) {
        return Some("the mode in which it counts is not named".to_owned());
    }
    if let Some(mode) = mode
        && !counts(service, mode)
    {
        return Some(format!("it does not count in mode {mode}"));
    }
    if let Some(filter) = filter
        && !counts(filter, "normal")
    {
        return Some(format!("the filter {filter} does not count it"));
    }
    if let Some(trusted) = trusted {
        let counted = counted(service, &log.mode, at);
        let list = counted.map(|counted| counted.forwarded).unwrap_or_default();
        let client = forwarded::client(&list, |address| address.to_string() == *trusted);
        if client.is_none_or(|client| client.to_string() != host) {
            return Some(format!("{trusted} speaks for {client:?}"));
        }
    }
    if let Some(by) = by {
        let next = log.lines.get(at + 1);
        let is_it = next.is_some_and(|next| next.text.contains(by));
        let next = counted(service, &log.mode, at + 1).filter(|_| is_it);
        if !next.is_some_and(|next| next.is(host)) {
            return Some(format!("no next line with {by:?} counts for {host}"));
        }
    }
    if let Some(next) = next {
        // A name is told in place of an address.
        let address = match host.parse::<IpAddr>() {
            Ok(_) => host,
            Err(_) => "192.0.2.7",
        };
        let next = line.with_message(&next.replace("{host}", address));
        let counted = count(service, &log.mode, &[line.clone(), next]);
        if !matches!(&counted[..], [None, Some(counted)] if counted.is(address)) {
            return Some(format!("with its next line it counts as {counted:?}"));
        }
    }
    None
}
