//! What does a line of a log say, whatever its form?
//!
//! In: the bytes of a line. Out: a [`Record`], or that there is none: the line is a part of a longer one, or not of
//! the form that the log has. How each form is read is told in the room of that form.

use jiff::tz::TimeZone;

use super::cri;
use super::date::{Dates, TimeFormat};
use super::json::{self, JsonFields};
use super::object::Object;
use super::outputs::{Output, Outputs, Unfinished};
use super::text::{TextReader, without_end};
use super::{LONGEST_MESSAGE, Record};
use crate::engine::time::Timestamp;

/// The longest line that is looked at: a part of a container's line as Docker writes it, 16 KiB of which each byte can
/// take six, and what stands around it. The rest is skipped, so that a line without end costs no memory.
pub const LONGEST_LINE: usize = 129 * 1024;

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

/// The line is not of the form that the log has, or nobody knows what it says.
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
    /// Lines of which too much is missing, since somebody asked.
    lost: u64,
    /// Of the last line.
    object: Object,
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
            lost: 0,
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
    /// The line is not of the log's form, or an object whose message is told twice. Plain text always is of it.
    pub fn read<'l>(&'l mut self, line: &'l [u8]) -> Result<Option<Record<'l>>, Malformed> {
        let line = without_end(line);
        let is_object = match &self.format {
            Format::Cri(_) => return self.read_cri(line),
            Format::Text => false,
            Format::Any => line.starts_with(b"{") && self.object.read(line),
            Format::Json(_) if line.trim_ascii().is_empty() => return Ok(None),
            Format::Json(_) if self.object.read(line) => true,
            Format::Json(_) => {
                self.outputs.tear();
                return Err(Malformed);
            }
        };
        if !is_object {
            match line.starts_with(b"{") {
                true => self.outputs.tear(),
                false => self.forget_parts(),
            }
            return Ok(Some(self.text.read(line)));
        }
        let Some(chunk) = json::chunk(&self.object) else {
            self.forget_parts();
            let time = self.text.time_in(self.fields.time_of(&self.object));
            return self.fields.record(&self.object, time, line).map(Some);
        };
        let time = self.engine.find(chunk.time, 0, self.now);
        let time = time.map_or_else(|| self.text.time_in(None), |date| date.time);
        let output = self.outputs.add(&chunk)?;
        let (text, object, fields) = (&mut self.text, &mut self.object, &self.fields);
        inner(output, time, text, object, fields, &mut self.lost)
    }

    /// This line was not written by Docker, and so none of the log is.
    fn forget_parts(&mut self) {
        if self.unfinished() != Unfinished::NONE {
            self.outputs.resume(Unfinished::NONE);
        }
    }

    fn read_cri<'l>(&'l mut self, line: &'l [u8]) -> Result<Option<Record<'l>>, Malformed> {
        if line.is_empty() {
            return Ok(None);
        }
        let date = self.engine.find(line, 0, self.now);
        let chunk = date.and_then(|date| Some((cri::chunk(line, &date)?, date.time)));
        let Some((chunk, time)) = chunk else {
            self.outputs.tear();
            return Err(Malformed);
        };
        let output = self.outputs.add(&chunk)?;
        let (text, object, fields) = (&mut self.text, &mut self.object, &self.fields);
        inner(output, time, text, object, fields, &mut self.lost)
    }

    /// The record whose line begins with `line` and was cut behind it, at [`LONGEST_LINE`]; `None` if its message may
    /// be cut too, but is no longer than one may be: it would pass for a whole one, and who chose what stands behind
    /// the cut would choose where it ends.
    ///
    /// # Errors
    /// As for a whole line, as far as that can be said.
    pub fn read_cut<'l>(&'l mut self, line: &'l [u8]) -> Result<Option<Record<'l>>, Malformed> {
        match &self.format {
            // Whose line it is a part of stands behind the cut.
            Format::Any if line.starts_with(b"{") => self.outputs.resume(Unfinished::BOTH),
            Format::Any | Format::Text => {
                let record = over_limit(self.text.read(line));
                self.lost += u64::from(record.is_none());
                return Ok(record);
            }
            Format::Json(_) => self.outputs.resume(Unfinished::BOTH),
            Format::Cri(_) => {
                let date = self.engine.find(line, 0, self.now);
                let Some(chunk) = date.and_then(|date| cri::chunk(line, &date)) else {
                    self.outputs.tear();
                    return Err(Malformed);
                };
                if self.outputs.add_cut(&chunk)? == Output::Unfinished {
                    // It is counted at its end.
                    return Ok(None);
                }
            }
        }
        self.lost += 1;
        Ok(None)
    }

    /// The record that the last line of a file is, which has no end. Text is whole without one, and so is an object, of
    /// which no beginning is one itself. What an engine wrote was to have an end, and is half of it.
    ///
    /// # Errors
    /// As for a whole line, as far as that can be said.
    pub fn read_last<'l>(&'l mut self, line: &'l [u8]) -> Result<Option<Record<'l>>, Malformed> {
        let is_whole = match &self.format {
            Format::Any if !line.starts_with(b"{") => true,
            Format::Text => true,
            Format::Any | Format::Json(_) => {
                self.object.read(line) && json::chunk(&self.object).is_none()
            }
            Format::Cri(_) => false,
        };
        match is_whole {
            true => self.read(line),
            false => self.read_cut(line),
        }
    }

    /// Whether lines can be passed over that no pattern can take: nothing but their time is to be learnt of them, and how
    /// it is told is known.
    pub fn is_settled(&self) -> bool {
        matches!(self.format, Format::Any | Format::Text)
            && self.unfinished() == Unfinished::NONE
            && self.text.is_settled()
    }

    /// Passes over these lines, each with its end; `next` follows them.
    pub fn pass(&mut self, passed: &[u8], next: &[u8]) {
        if !passed.is_empty() {
            self.text.pass(passed, next);
        }
    }

    /// Whether a form of dates was told that none of the first lines has.
    pub fn finds_no_date(&self) -> bool {
        self.text.finds_no_date()
    }

    /// Of how many lines too much was missing, since this was asked before. A record with a message over the limit is
    /// not among them.
    pub fn take_lost(&mut self) -> u64 {
        std::mem::take(&mut self.lost)
    }

    /// Goes on behind a place where these lines of a container were not over.
    pub fn resume(&mut self, unfinished: Unfinished) {
        if self.format != Format::Text {
            self.outputs.resume(unfinished);
        }
    }

    /// Which lines of a container are not over.
    pub fn unfinished(&self) -> Unfinished {
        self.outputs.unfinished()
    }
}

/// The record, if its message is longer than one may be, so that everybody knows that it was cut.
fn over_limit(record: Record<'_>) -> Option<Record<'_>> {
    (record.message.len() > LONGEST_MESSAGE).then_some(record)
}

/// The record of a line that a container wrote at `time`, if it is over and not `lost`, which is counted.
///
/// # Errors
/// It is an object whose message is told twice.
fn inner<'l>(
    output: Output<'l>,
    time: Timestamp,
    text: &mut TextReader,
    object: &'l mut Object,
    fields: &JsonFields,
    lost: &mut u64,
) -> Result<Option<Record<'l>>, Malformed> {
    let line = match output {
        Output::Unfinished => return Ok(None),
        Output::Lost => {
            *lost += 1;
            return Ok(None);
        }
        Output::Cut(line) => {
            let record = over_limit(text.read_at(time, line));
            *lost += u64::from(record.is_none());
            return Ok(record);
        }
        Output::Whole(line) => line,
    };
    match line.starts_with(b"{") && object.read(line) {
        true => fields.record(object, time, line).map(Some),
        false => Ok(Some(text.read_at(time, line))),
    }
}
