//! What does a line of a log say, whatever its form?
//!
//! In: the bytes of a line. Out: a [`Record`], or that there is none: the line is a part of a longer one, or not of
//! the form that the log has. How each form is read is told in the room of that form.

use jiff::tz::TimeZone;

use super::cri;
use super::date::{Dates, TimeFormat};
use super::json::{self, Chunk, JsonFields};
use super::object::Object;
use super::text::{TextReader, without_end};
use super::{LONGEST_MESSAGE, Record};
use crate::engine::time::Timestamp;

/// How the lines of a log are written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LineForm {
    /// The zone of dates that do not say theirs.
    pub zone: TimeZone,
    /// How dates are written; if it is empty, in any way that is known.
    pub times: Vec<TimeFormat>,
    /// What a line is.
    pub format: Format,
}

/// What a line is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Format {
    /// What it looks like: an object of JSON with the usual names of fields, if it begins as one and is one, or else
    /// plain text.
    #[default]
    Any,
    /// Plain text.
    Text,
    /// An object of JSON. If it is one of Docker's, it holds a line, which is text or again such an object.
    Json(JsonFields),
    /// A line of the Container Runtime Interface, which holds a line of text or an object of JSON.
    Cri(JsonFields),
}

impl LineForm {
    /// Lines of which nothing else is known.
    pub fn in_zone(zone: TimeZone) -> Self {
        LineForm {
            zone,
            times: Vec::new(),
            format: Format::Any,
        }
    }
}

/// The line is not of the form that the log has.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the line is not of the form that the log has")]
pub struct Malformed;

/// Reads the lines of one log.
#[derive(Clone, Debug)]
pub struct LineReader {
    format: Format,
    fields: JsonFields,
    text: TextReader,
    /// Of the times that container engines write.
    engine: Dates,
    now: Timestamp,
    outputs: Outputs,
    /// Of the last line.
    object: Object,
}

/// The lines that a container writes to its two outputs, which come in parts.
#[derive(Clone, Debug, Default)]
struct Outputs {
    stdout: Output,
    stderr: Output,
}

#[derive(Clone, Debug, Default)]
struct Output {
    line: Vec<u8>,
    /// Whether the line has more parts to come.
    goes_on: bool,
}

impl LineReader {
    /// A reader of lines of this form, not written later than about `now`.
    pub fn new(form: &LineForm, now: Timestamp) -> Self {
        LineReader {
            fields: match &form.format {
                Format::Any | Format::Text => JsonFields::default(),
                Format::Json(fields) | Format::Cri(fields) => fields.clone(),
            },
            format: form.format.clone(),
            text: TextReader::new(form.zone.clone(), &form.times, now),
            engine: Dates::new(TimeZone::UTC, &[]),
            now,
            outputs: Outputs::default(),
            object: Object::default(),
        }
    }

    /// From here on lines were not written later than about `now`.
    pub fn set_now(&mut self, now: Timestamp) {
        self.now = now;
        self.text.set_now(now);
    }

    /// The record that `line` is; one without a time has that of the line before. `None` if it is empty, or only a
    /// part of a line whose last part is still to come.
    ///
    /// # Errors
    /// The line is not of the log's form. Plain text always is.
    pub fn read<'l>(&'l mut self, line: &'l [u8]) -> Result<Option<Record<'l>>, Malformed> {
        let line = without_end(line);
        let is_object = match &self.format {
            Format::Cri(_) => return self.read_cri(line),
            Format::Text => false,
            Format::Any => line.starts_with(b"{") && self.object.read(line),
            Format::Json(_) if line.trim_ascii().is_empty() => return Ok(None),
            Format::Json(_) if self.object.read(line) => true,
            Format::Json(_) => return Err(Malformed),
        };
        if !is_object {
            return Ok(Some(self.text.read(line)));
        }
        let Some(chunk) = json::chunk(&self.object) else {
            let time = self.text.time_in(self.fields.time_of(&self.object));
            return Ok(Some(self.fields.record(&self.object, time, line)));
        };
        let time = self.engine.find(chunk.time, 0, self.now);
        let time = time.map_or_else(|| self.text.time_in(None), |date| date.time);
        let output = self.outputs.of(chunk.output).ok_or(Malformed)?;
        let whole = output.take(&chunk);
        let (text, object, fields) = (&mut self.text, &mut self.object, &self.fields);
        Ok(whole.map(|whole| inner(whole, time, text, object, fields)))
    }

    fn read_cri<'l>(&'l mut self, line: &'l [u8]) -> Result<Option<Record<'l>>, Malformed> {
        if line.is_empty() {
            return Ok(None);
        }
        let date = self.engine.find(line, 0, self.now).ok_or(Malformed)?;
        let chunk = cri::chunk(line, &date).ok_or(Malformed)?;
        let output = self.outputs.of(chunk.output).ok_or(Malformed)?;
        let whole = output.take(&chunk);
        let (text, object, fields) = (&mut self.text, &mut self.object, &self.fields);
        Ok(whole.map(|whole| inner(whole, date.time, text, object, fields)))
    }
}

/// The record of a line that a container wrote at `time`.
fn inner<'l>(
    line: &'l [u8],
    time: Timestamp,
    text: &mut TextReader,
    object: &'l mut Object,
    fields: &JsonFields,
) -> Record<'l> {
    if line.starts_with(b"{") && object.read(line) {
        return fields.record(object, time, line);
    }
    text.read_at(time, line)
}

impl Outputs {
    fn of(&mut self, name: &[u8]) -> Option<&mut Output> {
        match name {
            b"stdout" => Some(&mut self.stdout),
            b"stderr" => Some(&mut self.stderr),
            _ => None,
        }
    }
}

impl Output {
    /// The line, if `part` is its last one. What is over [`LONGEST_MESSAGE`] is left out: it must not pass for a line
    /// of its own, since an attacker can choose how it begins.
    fn take(&mut self, part: &Chunk<'_>) -> Option<&[u8]> {
        if !self.goes_on {
            self.line.clear();
        }
        let room = LONGEST_MESSAGE - self.line.len().min(LONGEST_MESSAGE);
        let text = part.text.get(..room).unwrap_or(part.text);
        self.line.extend_from_slice(text);
        self.goes_on = part.goes_on;
        (!part.goes_on).then_some(&self.line)
    }
}
