//! What does a line of a log file say, and who wrote it?
//!
//! In: the bytes of a line. Out: a [`Record`]; a line of unknown shape is all message. Only the first header
//! of a line is believed. No file is read here and no clock: the moment that years are guessed from
//! is given.

use jiff::tz::TimeZone;

use super::{Record, date};
use crate::engine::time::Timestamp;

/// How the lines of a log are written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LineForm {
    /// The zone of stamps that do not say theirs.
    pub zone: TimeZone,
}

impl LineForm {
    /// Lines of which nothing else is known.
    pub fn in_zone(zone: TimeZone) -> Self {
        LineForm { zone }
    }
}

/// Reads the lines of one log.
#[derive(Clone, Debug)]
pub struct LineReader {
    zone: TimeZone,
    now: Timestamp,
    last: Timestamp,
}

impl LineReader {
    /// A reader of lines of this form, not written later than about `now`.
    pub fn new(form: &LineForm, now: Timestamp) -> Self {
        LineReader {
            zone: form.zone.clone(),
            now,
            last: now,
        }
    }

    /// From here on lines were not written later than about `now`.
    pub fn set_now(&mut self, now: Timestamp) {
        self.now = now;
    }

    /// The record that `line` is; one without a time has that of the line before.
    pub fn read<'l>(&mut self, line: &'l [u8]) -> Record<'l> {
        let line = line.strip_suffix(b"\n").unwrap_or(line);
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        let record = self.header(line).unwrap_or(Record::bare(self.last, line));
        self.last = record.time;
        record
    }

    fn header<'l>(&self, line: &'l [u8]) -> Option<Record<'l>> {
        let body = after_priority(line);
        if body.len() < line.len() && body.starts_with(b"1 ") {
            return rfc5424(line);
        }
        let (time, used) = date::bsd(body, self.now, &self.zone)
            .or_else(|| date::iso(body, &self.zone))
            .or_else(|| date::short_full(body, &self.zone))?;
        let (host, rest) = word(body.get(used..)?.strip_prefix(b" ")?)?;
        let (program, pid, message) = tag(rest).unwrap_or(("", None, rest));
        Some(Record {
            host,
            program,
            pid,
            ..Record::bare(time, message)
        })
    }
}

/// The line behind `<38>`, or all of it.
fn after_priority(line: &[u8]) -> &[u8] {
    let Some(rest) = line.strip_prefix(b"<") else {
        return line;
    };
    match rest.iter().take(4).position(|byte| *byte == b'>') {
        Some(end) if end > 0 && rest[..end].iter().all(u8::is_ascii_digit) => &rest[end + 1..],
        _ => line,
    }
}

/// The text up to the first blank, and what follows it.
fn word(text: &[u8]) -> Option<(&str, &[u8])> {
    let end = text.iter().position(|byte| *byte == b' ')?;
    let word = std::str::from_utf8(&text[..end]).ok()?;
    (end > 0).then_some((word, &text[end + 1..]))
}

/// `sshd[42]: message`, `kernel: message`.
fn tag(text: &[u8]) -> Option<(&str, Option<u32>, &[u8])> {
    let (word, message) = match word(text) {
        Some(split) => split,
        None => (std::str::from_utf8(text).ok()?, &text[text.len()..]),
    };
    let name = word.strip_suffix(':')?;
    match name
        .strip_suffix(']')
        .and_then(|name| name.rsplit_once('['))
    {
        Some((name, pid)) => Some((name, pid.parse().ok(), message)),
        None => Some((name, None, message)),
    }
}

/// The standard's own shape, by the crate that knows its structured data.
fn rfc5424(line: &[u8]) -> Option<Record<'_>> {
    // Only the message may be of another encoding; the header ends before the first such byte.
    let text = match std::str::from_utf8(line) {
        Ok(text) => text,
        Err(error) => std::str::from_utf8(&line[..error.valid_up_to()]).ok()?,
    };
    let parsed =
        syslog_loose::parse_message_with_year_exact(text, |_| 1970, syslog_loose::Variant::RFC5424)
            .ok()?;
    let start = (parsed.msg.as_ptr() as usize).checked_sub(line.as_ptr() as usize)?;
    let pid = match parsed.procid {
        Some(syslog_loose::ProcId::PID(pid)) => u32::try_from(pid).ok(),
        _ => None,
    };
    Some(Record {
        host: parsed.hostname.unwrap_or_default(),
        program: parsed.appname.unwrap_or_default(),
        pid,
        ..Record::bare(
            Timestamp::from_micros(parsed.timestamp?.timestamp_micros()),
            line.get(start..)?,
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn reader() -> LineReader {
        let form = LineForm::in_zone(TimeZone::UTC);
        LineReader::new(&form, "2026-02-13T00:00:00Z".parse().expect("a moment"))
    }

    #[test]
    fn all_shapes_say_the_same() {
        for line in [
            "Feb 12 14:10:21 box sshd[42]: Failed x",
            "<38>Feb 12 14:10:21 box sshd[42]: Failed x\r\n",
            "2026-02-12T15:10:21.000000+01:00 box sshd[42]: Failed x",
            "2026-02-12T14:10:21+0000 box sshd[42]: Failed x\n",
            "Thu 2026-02-12 14:10:21 UTC box sshd[42]: Failed x",
            "<38>1 2026-02-12T14:10:21Z box sshd 42 - - Failed x",
        ] {
            let record = reader().read(line.as_bytes());
            assert_eq!(record.time.to_string(), "2026-02-12T14:10:21Z", "{line}");
            assert_eq!(
                (record.host, record.program, record.pid),
                ("box", "sshd", Some(42)),
                "{line}"
            );
            assert_eq!(record.message, b"Failed x", "{line}");
        }
    }

    #[test]
    fn a_message_cannot_name_a_program() {
        let line = b"Feb 12 14:10:21 box app: Feb 12 14:10:21 box sshd[1]: Failed";
        assert_eq!(reader().read(line).program, "app");
        let line = b"Feb 12 14:10:21 box said sshd[1]: Failed";
        assert_eq!(reader().read(line).program, "");
    }

    proptest! {
        #[test]
        fn no_line_breaks_the_reader(
            head in "(<[0-9]{0,4}>)?(1 )?(Feb 2[0-9] |2026-0[0-9]-3[01][T ])?([0-9:]{8})?",
            tail in proptest::collection::vec(any::<u8>(), 0..60),
        ) {
            let line = [head.as_bytes(), &tail].concat();
            let record = reader().read(&line);
            prop_assert!(record.message.len() <= line.len());
        }
    }
}
