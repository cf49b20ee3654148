//! Logs that bytes choose, read line by line, and read with those lines passed over that no pattern can take.

use f2bd::engine::filter::passing::News;
use f2bd::engine::filter::sieve::Sieve;
use f2bd::engine::filter::{FilterSet, View};
use f2bd::engine::policy::FilterId;
use f2bd::engine::record::json::JsonFields;
use f2bd::engine::record::line::{Format, LineForm, LineReader};
use f2bd::engine::time::Timestamp;
use f2bd::source::file::lines::{LineEnd, Splitter};
use jiff::ToSpan;
use jiff::civil::DateTime;
use jiff::tz::TimeZone;

use super::choices::Choices;
use super::generated::{filter, pattern};

/// What the filters look for; each needs some text.
const PATTERNS: [&str; 4] = [
    "^Failed password for <user> from <ip> port <port>(?: ssh2)?$",
    "^<ip> - - <text> denied$",
    "^(?:denied|refused): <ip>$",
    "<text> client denied <ip>$",
];

/// What some of them look for besides, in objects alone.
const FIELD: (&str, &str) = ("client", "^<ip>$");

/// How dates are written, with what stands around them; `<>` is the message.
const DATED: [&str; 23] = [
    "%b %e %H:%M:%S box sshd[42]: <>",
    "%b %e %H:%M:%S box sshd[42]: <>",
    "%b %e %H:%M:%S box app: <>",
    "%b %e %H:%M:%S <>",
    "<38>%b %e %H:%M:%S box sshd[42]: <>",
    "<38>1 %Y-%m-%dT%H:%M:%SZ box sshd 42 - - <>",
    "<38>1 - box sshd 42 - - <>",
    "%Y-%m-%dT%H:%M:%S.123456+01:00 box sshd[7]: <>",
    "%Y-%m-%dT%H:%M:%SZ <>",
    "%Y-%m-%d %H:%M:%S <>",
    "%a %Y-%m-%d %H:%M:%S UTC box sshd[42]: <>",
    "%Y/%m/%d %H:%M:%S [error] 7#7: <>",
    "[%Y-%m-%d %H:%M:%S] <>",
    "[%a %b %d %H:%M:%S.000001 %Y] [error] <>",
    "%d.%m.%Y %H:%M:%S <>",
    "%s.25 <>",
    "%H:%M:%S <>",
    "time=\"%Y-%m-%dT%H:%M:%SZ\" msg=<>",
    "type=LOGIN msg=audit(%s.25:7): <>",
    "%Y-%m-%dT%H:%M:%S.000000001Z stdout F <>",
    // Those that are none.
    "192.0.2.9 - - [%d/%b/%Y:%H:%M:99 +0000] \"<>\" 200 denied",
    "192.0.2.9 - - [%d/%b/%Y:%H:60:%S +0000] \"<>\" 200 denied",
    "192.0.2.9 - - [%d/%b/%Y:%H:%M:5x +0000] \"<>\" 200 denied",
];

/// Dates that are read as those of other lines are: in their order of day and month, or since each line has one.
const REGULAR: [&str; 5] = [
    "%d/%m/%Y %H:%M:%S <>",
    "%m/%d/%Y %H:%M:%S <>",
    "192.0.2.9 - - [%d/%b/%Y:%H:%M:%S +0000] \"<>\" 200 denied",
    "192.0.2.9 - - [%d/%b/%Y:%H:%M:%S +0000] \"GET /\" <>",
    "x [%d/%b/%Y:%H:%M:%S +0000] <>",
];

/// Lines without a date.
const DATELESS: [&str; 10] = [
    "<>",
    "<>",
    "",
    " <>",
    "\tat <>",
    "    from <>",
    "{<>",
    "{\"message\":\"<>\",\"program\":\"sshd\"}",
    "<38><>",
    "\"<>\" [x] [12/Feb/2026:99:00:00 +0000] \"",
];

/// Objects with a date.
const OBJECTS: [&str; 3] = [
    "{\"time\":\"%Y-%m-%dT%H:%M:%SZ\",\"program\":\"sshd\",\"message\":\"<>\"}",
    "{\"log\":\"<>\\n\",\"stream\":\"stdout\",\"time\":\"%Y-%m-%dT%H:%M:%SZ\"}",
    "{\"log\":\"<>\",\"stream\":\"stdout\",\"time\":\"%Y-%m-%dT%H:%M:%SZ\"}",
];

/// What lines say.
const MESSAGES: [&str; 16] = [
    "{\"client\":\"192.0.2.7\"}",
    "{ \t\"client\": \"2001:db8::7\" }",
    "Accepted password for root from 192.0.2.7 port 22 ssh2",
    "session opened",
    "x",
    "",
    "2026-01-01T00:00:00Z Failed",
    "Feb  1 00:00:00 box sshd[1]: x",
    "[01/Feb/2026:00:00:00 +0000] \"GET / HTTP/1.1\"",
    "12:00:00 x",
    "Failed password for root from 192.0.2.7 port 22 ssh2",
    "Failed password for x from 2001:db8::7 port 22",
    "denied: 192.0.2.7",
    "192.0.2.7 - - x denied",
    "a client denied 192.0.2.7",
    "FAILED PASSWORD FOR root from 192.0.2.7 port 22 ssh2",
];

/// What becomes of a line here and there.
const MARKS: [(&[u8], &[u8]); 10] = [
    (b"", b"\r"),
    (b"\xef\xbb\xbf", b""),
    (b"\0\0", b""),
    (b"\0", b"\0"),
    (b"\xff", b""),
    (b"", b"\xff\xc3"),
    (b" ", b""),
    (b"", b" denied: 192.0.2.7"),
    (b"[", b""),
    (b"\r", b"\r\r"),
];

/// A line that counts, and all that is known of it.
#[derive(Debug, PartialEq)]
pub struct Counted {
    number: usize,
    time: Timestamp,
    host: String,
    program: String,
    pid: Option<u32>,
    message: String,
    found: String,
}

/// Those that look at logs: at texts alone, and at objects too.
pub struct Readers {
    of_texts: Reading,
    of_objects: Reading,
}

/// What looks at logs.
struct Reading {
    filters: FilterSet,
    sieve: Sieve,
}

impl Readers {
    pub fn new() -> Self {
        Readers {
            of_texts: Reading::new(false),
            of_objects: Reading::new(true),
        }
    }

    /// Makes a log of `bytes` and reads it both ways; how many lines count.
    ///
    /// # Panics
    /// What is read is not the same.
    pub fn check(&self, bytes: &[u8]) -> usize {
        let mut choices = Choices::new(bytes);
        let reading = match choices.once_in(3) {
            true => &self.of_objects,
            false => &self.of_texts,
        };
        reading.check(&mut choices)
    }
}

impl Reading {
    fn new(objects: bool) -> Self {
        let patterns = PATTERNS.iter().zip(1..);
        let patterns = patterns.map(|(text, number)| pattern(number, (*text).to_owned()));
        let mut patterns: Vec<_> = patterns.collect();
        if objects {
            let (path, text) = FIELD;
            let mut by_field = pattern(9, String::new());
            by_field.fields = vec![(path.parse().expect("a path"), text.to_owned())];
            patterns.push(by_field);
        }
        let filters = FilterSet::compile(vec![filter(0, patterns)]);
        let filters = filters.expect("sound patterns");
        let sieve = filters.sieve(&[FilterId(0)]);
        Reading {
            sieve: sieve.expect("each pattern over messages needs some text"),
            filters,
        }
    }

    fn check(&self, choices: &mut Choices<'_>) -> usize {
        let form = form(choices);
        let now = choices.of(&[
            "2026-02-12T20:00:00Z",
            "2026-02-12T10:00:30Z",
            "2026-01-01T00:00:09Z",
        ]);
        let now = now.parse().expect("a moment");
        let piece = [usize::MAX, 4096, 300, 61][choices.below(4)];
        let log = log(choices);
        let slow = self.read(&log, &form, now, usize::MAX, false);
        let fast = self.read(&log, &form, now, piece, true);
        if let Some(at) = (0..slow.len().max(fast.len())).find(|at| slow.get(*at) != fast.get(*at))
        {
            let (slow, fast) = (slow.get(at), fast.get(at));
            let log = shown(&log);
            panic!(
                "read is\n{fast:?}, not\n{slow:?} in pieces of {piece} of\n{log}\nwith {form:?}"
            );
        }
        slow.len()
    }

    fn read(
        &self,
        log: &[u8],
        form: &LineForm,
        now: Timestamp,
        piece: usize,
        passes: bool,
    ) -> Vec<Counted> {
        let mut reader = LineReader::new(form, now);
        let mut splitter = Splitter::new(LineEnd::Byte);
        let (mut number, mut counted) = (0, Vec::new());
        for piece in log.chunks(piece.min(log.len().max(1))) {
            let mut news = News::of(piece);
            loop {
                if passes && splitter.is_between_lines() && reader.is_settled() {
                    let passed = news.pass(&self.sieve);
                    reader.pass(passed.bytes, news.line());
                    number += passed.lines as usize;
                }
                let Some(line) = splitter.next(&mut news.bytes) else {
                    break;
                };
                number += 1;
                let record = match line.cut {
                    true => reader.read_cut(line.text),
                    false => reader.read(line.text),
                };
                let Ok(Some(record)) = record else {
                    continue;
                };
                let view = View::from(record);
                if let Some(found) = self.filters.find(FilterId(0), &view) {
                    counted.push(Counted {
                        number,
                        time: record.time,
                        host: record.host.to_owned(),
                        program: record.program.to_owned(),
                        pid: record.pid,
                        message: shown(record.message),
                        found: format!("{} {} {:?}", found.pattern, found.host, found.user),
                    });
                }
            }
        }
        counted
    }
}

/// A text for people, who need not see everything that is long.
fn shown(text: &[u8]) -> String {
    let text = text.escape_ascii().to_string().replace("\\n", "\n");
    let many = "x".repeat(64);
    text.replace(&many, "").replace(&"\\x00".repeat(64), "")
}

/// Mostly nothing is known of the lines.
fn form(choices: &mut Choices<'_>) -> LineForm {
    let zone = TimeZone::posix("CET-1CEST,M3.5.0,M10.5.0/3").expect("a zone");
    let times: &[&str] = match choices.below(12) {
        0 => &["%b %d %H:%M:%S"],
        1 => &["%d/%b/%Y:%H:%M:%S %z"],
        _ => &[],
    };
    LineForm {
        times: times
            .iter()
            .map(|text| text.parse().expect("a form"))
            .collect(),
        format: match choices.below(8) {
            0 => Format::Text,
            1 => Format::Json(JsonFields::default()),
            2 => Format::Cri(JsonFields::default()),
            _ => Format::Any,
        },
        ..LineForm::in_zone(zone)
    }
}

/// A log of mostly one kind of lines.
fn log(choices: &mut Choices<'_>) -> Vec<u8> {
    let usual = match choices.once_in(5) {
        true => choices.of(&REGULAR),
        false => choices.of(&DATED),
    };
    let mut time: DateTime = choices
        .of(&[
            "2026-02-12T10:00:00",
            "2026-02-03T09:59:59",
            "2025-12-31T23:59:50",
        ])
        .parse()
        .expect("a time");
    let mut log = Vec::new();
    while !choices.is_over() {
        let line = match choices.below(16) {
            0..=9 => usual,
            10 => choices.of(&DATED),
            11 => choices.of(&OBJECTS),
            _ => choices.of(&DATELESS),
        };
        let step = choices.of(&[0, 0, 1, 1, 2, 59, 3600, 86_400, -1, -7200, -864_000]);
        time = time.saturating_add(step.seconds());
        let message = choices.of(&MESSAGES);
        let is_dated = line.contains('%');
        let line = match is_dated {
            true => time
                .to_zoned(TimeZone::UTC)
                .expect("a time")
                .strftime(line)
                .to_string(),
            false => line.to_owned(),
        };
        let mut line = line.replace("<>", message).into_bytes();
        match choices.below(96) {
            0 => line.extend_from_slice(&b"x".repeat(9 * 1024)),
            1 => line.extend_from_slice(&b"x".repeat(140 * 1024)),
            2 => line.splice(0..0, b"x".repeat(9 * 1024)).for_each(drop),
            3 => line.splice(0..0, b"\0".repeat(9 * 1024)).for_each(drop),
            place @ 4..14 => {
                let (before, behind) = MARKS[place - 4];
                line.splice(0..0, before.iter().copied()).for_each(drop);
                line.extend_from_slice(behind);
            }
            _ => {}
        }
        log.extend_from_slice(&line);
        log.push(b'\n');
    }
    // The last line has no end once in a while, and is not read.
    log.truncate(log.len() - usize::from(log.len() % 7 == 1));
    log
}
