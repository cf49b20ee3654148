//! Which fields of an object of JSON hold what?
//!
//! In: an [`Object`], and the names of fields. Out: the parts of a record, or a line of a container. No clock is read
//! here.

use std::str::FromStr;

use super::Record;
use super::line::Malformed;
use super::object::{Object, Told};
use crate::engine::time::Timestamp;

/// Which fields of an object hold what; of several, the first one that is there and not empty. One that is told twice
/// has no value, and none behind it counts: who can double a name could choose among them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JsonFields {
    /// The message; if there is none, it is the whole line. One that is told twice is not replaced by that: the line is
    /// no record.
    pub message: Vec<FieldPath>,
    /// When it was logged.
    pub time: Vec<FieldPath>,
    /// The machine that logged it.
    pub host: Vec<FieldPath>,
    /// The program that logged it.
    pub program: Vec<FieldPath>,
    /// Its process.
    pub pid: Vec<FieldPath>,
}

/// Names that well-known loggers give their fields: those of Go, Java, Node and Python, Docker, GELF, the journal,
/// nginx, Traefik, rsyslog, MongoDB and the Elastic Common Schema. No `host`, under which web servers note what a
/// client asked for, and no `logger`, `name` or `app`, which are parts of programs as often.
impl Default for JsonFields {
    fn default() -> Self {
        let paths = |names: &[&str]| names.iter().map(|name| FieldPath((*name).into())).collect();
        JsonFields {
            message: paths(&["message", "msg", "log", "short_message", "MESSAGE"]),
            time: paths(&[
                "time",
                "ts",
                "timestamp",
                "@timestamp",
                "__REALTIME_TIMESTAMP",
                "time_iso8601",
                "time_local",
                "msec",
                "StartUTC",
                "timereported",
                "t.$date",
            ]),
            host: paths(&["hostname", "_HOSTNAME", "host.hostname", "host.name"]),
            program: paths(&[
                "program",
                "programname",
                "appname",
                "SYSLOG_IDENTIFIER",
                "_COMM",
            ]),
            pid: paths(&["pid", "_PID", "SYSLOG_PID", "procid", "process.pid"]),
        }
    }
}

/// The journal's own name for the unit; nobody else writes it.
const UNIT: &str = "_SYSTEMD_UNIT";

/// Where a field is: its name, or the names on the way to it with dots between them, as in `request.remote_ip`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FieldPath(Box<str>);

/// The text is no path to a field.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` names no field")]
pub struct FieldPathError(String);

impl FromStr for FieldPath {
    type Err = FieldPathError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if text.split('.').any(str::is_empty) {
            return Err(FieldPathError(text.to_owned()));
        }
        Ok(FieldPath(text.into()))
    }
}

impl FieldPath {
    /// The names with dots between them.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// A line of a container in the hands of its engine, or a part of one.
pub(super) struct Chunk<'v> {
    pub time: &'v [u8],
    pub output: &'v [u8],
    pub text: &'v [u8],
    /// Whether its line has more parts to come.
    pub goes_on: bool,
}

/// All fields that Docker writes. An object with others is somebody's own, whatever has been written into it.
const DOCKERS: [&[u8]; 4] = [b"log", b"stream", b"time", b"attrs"];

/// What Docker wrote, if it is of Docker: a line without its end goes on.
pub(super) fn chunk(object: &Object) -> Option<Chunk<'_>> {
    let line = object.get("log")?;
    let text = Chunk {
        time: object.get("time")?,
        output: object.get("stream")?,
        text: line.strip_suffix(b"\n").unwrap_or(line),
        goes_on: !line.ends_with(b"\n"),
    };
    let is_dockers = object.has_only(&DOCKERS) && matches!(text.output, b"stdout" | b"stderr");
    is_dockers.then_some(text)
}

impl JsonFields {
    /// The text that tells the time.
    pub(super) fn time_of<'o>(&self, object: &'o Object) -> Option<&'o [u8]> {
        first(&self.time, object).unwrap_or_default()
    }

    /// The record of `object`, which is all of `line`.
    ///
    /// # Errors
    /// Its message is told twice.
    pub(super) fn record<'l>(
        &self,
        object: &'l Object,
        time: Timestamp,
        line: &'l [u8],
    ) -> Result<Record<'l>, Malformed> {
        let message = first(&self.message, object).map_err(|Ambiguous| Malformed)?;
        // A name in no known letters is none.
        let text = |text: Option<&'l [u8]>| std::str::from_utf8(text.unwrap_or_default());
        let name = |paths| text(first(paths, object).unwrap_or_default()).unwrap_or_default();
        Ok(Record {
            host: name(&self.host),
            program: name(&self.program),
            pid: name(&self.pid).parse().ok(),
            unit: text(object.get(UNIT)).unwrap_or_default(),
            line,
            is_object: true,
            ..Record::bare(time, message.unwrap_or(line))
        })
    }
}

/// The path that counts is told twice.
struct Ambiguous;

/// The value that is there first and not empty.
fn first<'o>(paths: &[FieldPath], object: &'o Object) -> Result<Option<&'o [u8]>, Ambiguous> {
    for path in paths {
        match object.told(&path.0) {
            Told::Never | Told::Once(b"") => {}
            Told::Once(value) => return Ok(Some(value)),
            Told::Twice => return Err(Ambiguous),
        }
    }
    Ok(None)
}
