//! What does a line of plain text say, and who wrote it?
//!
//! In: the bytes of a line. Out: a [`Record`]; a line of unknown shape is all message. Only the first header
//! of a line is believed. No file is read here and no clock: the moment that years are guessed from
//! is given.

use jiff::tz::TimeZone;
use memchr::memchr_iter;

use super::Record;
use super::date::{Dates, TimeFormat};
use super::wire::WireReader;
use crate::engine::time::Timestamp;

/// Reads the lines of one log.
#[derive(Clone, Debug)]
pub struct TextReader {
    dates: Dates,
    rfc5424: WireReader,
    now: Timestamp,
    /// The time of the last line with a date that can be trusted; `None` as long as there is none.
    last: Option<Timestamp>,
    /// Lines that had no date though its form was told, until one has.
    dateless: Option<u32>,
    /// Whether the last line was one of RFC 5424.
    is_standard: bool,
}

/// So many lines without a date and none with one are not by chance: some programs begin with a banner.
const ENOUGH_DATELESS: u32 = 16;

impl TextReader {
    /// A reader of lines that were not written later than about `now`, with dates in `zone` where they do not tell
    /// theirs, of one of the forms in `times` or, if there is none, of any that is known.
    pub fn new(zone: TimeZone, times: &[TimeFormat], now: Timestamp) -> Self {
        TextReader {
            rfc5424: WireReader::new(&zone),
            dates: Dates::new(zone, times),
            now,
            last: None,
            dateless: (!times.is_empty()).then_some(0),
            is_standard: false,
        }
    }

    /// From here on lines were not written later than about `now`.
    pub fn set_now(&mut self, now: Timestamp) {
        self.now = now;
    }

    /// The record that `line` is; one without a date has the time of the line before, and the present where no line
    /// has a date.
    ///
    /// If the line begins with a date, the message is what follows it, and if host and program follow as in a system
    /// log, what follows them. Otherwise it is the whole line.
    pub fn read<'l>(&mut self, line: &'l [u8]) -> Record<'l> {
        let line = without_end(line);
        match self.record(line) {
            Some(record) => {
                self.dateless = None;
                record
            }
            None => {
                self.dateless = self.dateless.map(|lines| lines.saturating_add(1));
                whole(self.time(), line)
            }
        }
    }

    /// Whether the form of dates was told, and no line has had one yet though there were enough.
    pub(super) fn finds_no_date(&self) -> bool {
        self.dateless.is_some_and(|lines| lines >= ENOUGH_DATELESS)
    }

    /// Whether it is known how the time of further lines is told. Lines of RFC 5424 say nothing of the others: any may be the
    /// first one from which the dates of a log are learnt.
    pub(super) fn is_settled(&self) -> bool {
        self.dates.is_settled()
    }

    /// Goes on behind lines that nobody has to read, each with its end: `next` is as late as the last one of them if it does
    /// not tell by itself.
    pub(super) fn pass(&mut self, passed: &[u8], next: &[u8]) {
        if !self.is_standard && !self.dates.have_trusted() {
            return self.pass_guessed(passed);
        }
        let next = without_end(without_zeros(next));
        let head = next.len() - after_priority(next).len();
        if !self.is_standard && self.dates.leads(next, head, self.now) {
            return;
        }
        // What that one tells may depend on all of them: in which form they tell theirs, and which of day and month comes first.
        for line in passed.split_inclusive(|byte| *byte == b'\n') {
            self.record(without_end(without_zeros(line)));
        }
    }

    /// Dates that are only guessed tell nothing of other lines, but are believed only where all lines have one.
    fn pass_guessed(&mut self, passed: &[u8]) {
        let mut start = 0;
        for end in memchr_iter(b'\n', passed) {
            let line = &passed[start..end];
            start = end + 1;
            if !(self.dates.is_settled() && self.dates.repeats_guess(line)) {
                self.record(without_end(without_zeros(line)));
            }
        }
    }

    /// The record that `line` is, which was written at `time` whatever it says itself.
    pub(super) fn read_at<'l>(&mut self, time: Timestamp, line: &'l [u8]) -> Record<'l> {
        let record = self.read(line);
        self.last = Some(time);
        Record { time, ..record }
    }

    /// The moment that `text` tells, or that of the line before.
    pub(super) fn time_in(&mut self, text: Option<&[u8]>) -> Timestamp {
        let date = text.and_then(|text| self.dates.find(text, 0, self.now));
        if let Some(date) = date.filter(|date| date.at_head) {
            self.last = Some(date.time);
        }
        self.time()
    }

    fn time(&self) -> Timestamp {
        self.last.unwrap_or(self.now)
    }

    /// The record of a line with a date.
    #[inline]
    fn record<'l>(&mut self, line: &'l [u8]) -> Option<Record<'l>> {
        let body = after_priority(line);
        let head = line.len() - body.len();
        if head > 0
            && body.starts_with(b"1 ")
            && let Some(record) = self.rfc5424.standard(body, self.time())
        {
            self.last = Some(record.time);
            self.is_standard = true;
            return Some(Record { line, ..record });
        }
        self.is_standard = false;
        let date = self.dates.find(line, head, self.now)?;
        if date.trusted {
            self.last = Some(date.time);
        } else if let Some(last) = self.last
            && !(last..=self.now).contains(&date.time)
        {
            return None;
        }
        if !date.at_head {
            return Some(whole(date.time, line));
        }
        let rest = line.get(date.end..)?;
        let signed = date.start > head;
        let heads_syslog = date.heads_syslog && !signed;
        let Some((host, tag, message)) = heads_syslog.then(|| header(rest)).flatten() else {
            return Some(Record {
                line,
                ..Record::bare(date.time, after_date(rest, signed))
            });
        };
        Some(Record {
            host,
            program: tag.program,
            pid: tag.pid,
            line,
            ..Record::bare(date.time, after_id(message))
        })
    }
}

/// The record of a line that is all message.
fn whole(time: Timestamp, line: &[u8]) -> Record<'_> {
    Record {
        line,
        ..Record::bare(time, line)
    }
}

/// The line without the zeros before it: a program that writes on at its old place in a file that was cut to nothing leaves a
/// hole, which reads as zeros, and the next line follows it.
pub fn without_zeros(line: &[u8]) -> &[u8] {
    let zeros = line.iter().take_while(|byte| **byte == 0).count();
    &line[zeros..]
}

/// The line without its end, and without the mark that some programs put before the first one.
pub(super) fn without_end(line: &[u8]) -> &[u8] {
    let line = line.strip_suffix(b"\n").unwrap_or(line);
    let line = line.strip_suffix(b"\r").unwrap_or(line);
    line.strip_prefix(b"\xef\xbb\xbf").unwrap_or(line)
}

/// The text behind a date without what sets it apart: the bracket that closes, a colon, a blank.
fn after_date(text: &[u8], bracketed: bool) -> &[u8] {
    let text = match text {
        [b']' | b')' | b'>' | b'"', rest @ ..] if bracketed => rest,
        _ => text,
    };
    let text = text.strip_prefix(b":").unwrap_or(text);
    match text {
        [b' ' | b'\t', rest @ ..] => rest,
        _ => text,
    }
}

/// The message behind the number that Solaris gives it, `[ID 800047 auth.info] `, or all of it.
fn after_id(message: &[u8]) -> &[u8] {
    let Some(rest) = message.strip_prefix(b"[ID ") else {
        return message;
    };
    let digits = rest.iter().take_while(|byte| byte.is_ascii_digit()).count();
    let is_level = |byte: &u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || *byte == b'.';
    let level = rest
        .iter()
        .skip(digits + 1)
        .take_while(|byte| is_level(byte))
        .count();
    let end = digits + 1 + level;
    // A facility and a level: `auth.info`.
    let has_level = rest
        .get(digits + 1..end)
        .is_some_and(|level| level.contains(&b'.'));
    let is_id = digits > 0 && rest.get(digits) == Some(&b' ') && has_level;
    match rest.get(end..) {
        Some([b']', b' ', text @ ..]) if is_id => text,
        _ => message,
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

/// Host, program and message in the text behind the date of a syslog line, if ` host program[pid]: ` stands there; the host
/// may be missing before a program with its pid, and leave its blanks.
fn header(text: &[u8]) -> Option<(&str, Tag<'_>, &[u8])> {
    let text = text.strip_prefix(b" ")?;
    let (only, rest) = word(text.trim_ascii_start());
    let alone = || Tag::of(std::str::from_utf8(only).ok()?).filter(|tag| tag.pid.is_some());
    if let Some(tag) = only.ends_with(b":").then(alone).flatten() {
        return Some(("", tag, rest));
    }
    let (first, rest) = word(text);
    let (second, message) = word(rest);
    if is_level(second) {
        let (third, message) = word(message);
        let text = |word| std::str::from_utf8(word).ok();
        return Some((host(text(first)?)?, Tag::of(text(third)?)?, message));
    }
    // That both are text is proved at once: it takes little longer than for one.
    let start = first.len() + 1;
    let both = std::str::from_utf8(text.get(..start + second.len())?).ok()?;
    let (first, second) = (&both[..first.len()], &both[start..]);
    Some((host(first)?, Tag::of(second)?, message))
}

/// Whether a word is a facility and a level, which the syslog of BusyBox writes between host and program: `auth.info`.
fn is_level(word: &[u8]) -> bool {
    const LEVELS: [&[u8]; 8] = [
        b"emerg", b"alert", b"crit", b"err", b"warn", b"notice", b"info", b"debug",
    ];
    // What names the program ends with a colon.
    if !word.last().is_some_and(u8::is_ascii_lowercase) {
        return false;
    }
    let dot = word.iter().position(|byte| *byte == b'.');
    dot.is_some_and(|dot| {
        let (facility, level) = (&word[..dot], &word[dot + 1..]);
        let is_name = |byte: &u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
        !facility.is_empty() && facility.iter().all(is_name) && LEVELS.contains(&level)
    })
}

/// The text up to the first blank, and what follows it.
fn word(text: &[u8]) -> (&[u8], &[u8]) {
    // Byte by byte: names are too short for anything faster.
    match text.iter().position(|byte| *byte == b' ') {
        Some(end) => (&text[..end], &text[end + 1..]),
        None => (text, &[]),
    }
}

/// The word as the name or the address of a host, as relays write them too: `relay/192.0.2.1`.
fn host(word: &str) -> Option<&str> {
    let sign = |byte: u8| {
        let is_sign = matches!(
            byte,
            b'[' | b']' | b'(' | b')' | b'{' | b'}' | b'=' | b',' | b';' | b'"' | b'\''
        );
        is_sign || byte.is_ascii_control()
    };
    let wrong = word.is_empty() || word.ends_with(':') || word.bytes().any(sign);
    (!wrong).then_some(word)
}

/// Who logged a message.
struct Tag<'l> {
    program: &'l str,
    pid: Option<u32>,
}

impl<'l> Tag<'l> {
    /// The word as one: `sshd[42]:`, `kernel:`.
    fn of(word: &'l str) -> Option<Self> {
        let [name @ .., b':'] = word.as_bytes() else {
            return None;
        };
        let open = match name {
            [] => return None,
            [inner @ .., b']'] => inner.iter().rposition(|byte| *byte == b'['),
            _ => None,
        };
        let (program, pid) = match open {
            None => (name.len(), None),
            Some(open) => (open, number(&name[open + 1..name.len() - 1])),
        };
        Some(Tag {
            program: &word[..program],
            pid,
        })
    }
}

/// The number that a text is.
fn number(text: &[u8]) -> Option<u32> {
    let append = |number: u32, digit: &u8| {
        let digit = digit.checked_sub(b'0').filter(|digit| *digit < 10)?;
        number.checked_mul(10)?.checked_add(u32::from(digit))
    };
    let number = text.iter().try_fold(0, append);
    number.filter(|_| !text.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_form_that_no_line_has_is_noticed() {
        let now = Timestamp::from_micros(1_790_000_000_000_000);
        let times = ["%d/%b/%Y:%H:%M:%S".parse().expect("a form")];
        let after = |first: &[u8], times| {
            let mut reader = TextReader::new(TimeZone::UTC, times, now);
            reader.read(first);
            for _ in 0..ENOUGH_DATELESS {
                reader.read(b"2026-09-21T12:00:00 host sshd[1]: x");
            }
            reader.finds_no_date()
        };
        assert!(after(b"a banner", &times));
        assert!(!after(b"21/Sep/2026:12:00:00 x", &times));
        assert!(!after(b"a banner", &[]));
    }

    fn reader() -> TextReader {
        let now = "2026-02-13T00:00:00Z".parse().expect("a moment");
        TextReader::new(TimeZone::UTC, &[], now)
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
            "Feb 12 14:10:21 box auth.info sshd[42]: Failed x",
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
    fn a_number_of_a_message_is_no_part_of_it() {
        for (said, message) in [
            ("[ID 800047 auth.info] Failed x", "Failed x"),
            ("[ID 7 local0.notice] ", ""),
            ("[ID 7 auth.info]Failed x", "[ID 7 auth.info]Failed x"),
            ("[ID x auth.info] Failed x", "[ID x auth.info] Failed x"),
            ("[ID 7 x] Failed x", "[ID 7 x] Failed x"),
            ("[ID 7", "[ID 7"),
        ] {
            let line = format!("Feb 12 14:10:21 box sshd[42]: {said}");
            assert_eq!(reader().read(line.as_bytes()).message, message.as_bytes());
        }
    }

    #[test]
    fn a_host_may_be_missing() {
        for line in [
            "Feb 12 14:10:21 sshd[42]: Failed x",
            "Feb 12 14:10:21   sshd[42]: Failed x",
        ] {
            let mut reader = reader();
            let record = reader.read(line.as_bytes());
            let names = (record.host, record.program, record.pid, record.message);
            assert_eq!(names, ("", "sshd", Some(42), &b"Failed x"[..]), "{line}");
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

    #[test]
    fn a_guess_is_only_repeated_where_it_means_the_same() {
        let mut reader = reader();
        let mut time = |date: &str, now: &str| {
            reader.set_now(now.parse().expect("a moment"));
            let line = format!("192.0.2.7 - - {date} x");
            reader.read(line.as_bytes()).time.to_string()
        };
        let now = "2026-02-13T00:00:00Z";
        for _ in 0..2 {
            let date = "[Feb 12 14:10:21] \"GET\"";
            assert_eq!(time(date, now), "2026-02-12T14:10:21Z");
            assert_eq!(time(date, "2027-02-13T00:00:00Z"), "2027-02-12T14:10:21Z");
            let date = "[Feb 12 14:10:22] \"GET\"";
            assert_eq!(time(date, now), "2026-02-12T14:10:22Z");
            // The first one between the same signs counts, whichever was there before.
            let dates = "[Feb 12 14:10:23] \"[Feb 12 14:10:22] \"GET\"";
            assert_eq!(time(dates, now), "2026-02-12T14:10:23Z");
            let dates = "[Feb 12 14:10:22] \"[Feb 12 14:10:23] \"GET\"";
            assert_eq!(time(dates, now), "2026-02-12T14:10:22Z");
        }
    }

    #[test]
    fn a_line_that_is_passed_over_has_a_date_only_if_it_is_one() {
        let line = |time: &str| format!("192.0.2.7 - - [12/Feb/2026:{time} +0000] \"GET\"\n");
        for (passed, is_dated) in [
            ("14:59:59", true),
            ("14:00:00", true),
            ("13:00:00", true),
            ("14:60:00", false),
            ("14:10:99", false),
            ("14:1x:00", false),
            ("14-10-21", false),
            ("24:10:21", false),
        ] {
            let (mut fast, mut slow) = (reader(), reader());
            for reader in [&mut fast, &mut slow] {
                for second in 10..40 {
                    reader.read(line(&format!("14:10:{second}")).as_bytes());
                }
                assert!(reader.is_settled());
            }
            // One without a date is forgiven.
            let (passed, next) = (line(passed).repeat(2), line("14:20:30"));
            fast.pass(passed.as_bytes(), next.as_bytes());
            for line in passed.lines() {
                slow.read(line.as_bytes());
            }
            let mut time = |reader: &mut TextReader| reader.read(next.trim_end().as_bytes()).time;
            let time = [&mut fast, &mut slow].map(&mut time);
            assert_eq!(time[0], time[1], "{passed}");
            // Where several lines have no date, none of those within are believed any more.
            let is_believed = time[0].to_string() == "2026-02-12T14:20:30Z";
            assert_eq!(is_believed, is_dated, "{passed}");
        }
    }

    #[test]
    fn a_log_without_dates_is_of_the_present() {
        let start = Timestamp::from_micros(1_770_000_000_000_000);
        let mut reader = TextReader::new(TimeZone::UTC, &[], start);
        assert_eq!(reader.read(b"denied 192.0.2.7").time, start);
        let later = Timestamp::from_micros(1_770_000_060_000_000);
        reader.set_now(later);
        assert_eq!(reader.read(b"denied 192.0.2.7").time, later);
    }
}
