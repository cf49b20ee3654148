//! One log entry, whatever it came from.
//!
//! Sources fill a [`Batch`], the engine reads [`Record`]s out of it. A batch keeps all text in one
//! buffer, so that a record costs no allocation of its own. No reading of the world here: bytes come
//! in as slices.

mod cri;
pub mod date;
pub mod journal;
pub mod json;
pub mod kept;
pub mod line;
pub mod object;
pub mod outputs;
pub mod report;
pub mod text;
pub mod wire;

use std::borrow::Cow;

use crate::engine::time::Timestamp;
use journal::RouteId;
use report::Reported;

/// The longest message that is looked at, in bytes. Lines are short; a longer one is cut here, and the sources count it.
/// Whoever makes one too long hides his failure where the address stands behind what he wrote. Services bound that: a
/// name at some kilobytes, the headers of a request at 8 to 48 KiB, a datagram of syslog at 64 KiB. So this bounds
/// memory, and the time a pattern can take on one record, and hides nothing.
pub const LONGEST_MESSAGE: usize = 64 * 1024;

/// What a record says, as text; bytes that are none become U+FFFD.
pub fn lossy(bytes: &[u8]) -> Cow<'_, str> {
    // Much faster than to look for the first byte that is none, and nearly all of them are text.
    match std::str::from_utf8(bytes) {
        Ok(text) => Cow::Borrowed(text),
        Err(_) => String::from_utf8_lossy(bytes),
    }
}

/// One normalized log entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Record<'a> {
    /// When it was logged, by the record's own account.
    pub time: Timestamp,
    /// The machine that logged it; empty if unknown.
    pub host: &'a str,
    /// The program's name (syslog identifier); empty if unknown.
    pub program: &'a str,
    /// The process that logged it.
    pub pid: Option<u32>,
    /// The systemd unit; empty if unknown.
    pub unit: &'a str,
    /// The text behind the prefix, without line end. Bytes of unknown encoding, often hostile.
    pub message: &'a [u8],
    /// The line that the record was made of, without its end; empty if it was made of none.
    pub line: &'a [u8],
    /// Whether that is an object of JSON, of whose fields the record was made.
    pub is_object: bool,
    /// The journal matches that the entry satisfies, for entries of a journal; empty for all others.
    pub routes: &'a [RouteId],
    /// What an application reports by itself, instead of a message that has to be understood. Its service is the
    /// record's program. It is rare, and records are handed on often: they are small enough for that without it.
    pub reported: Option<&'a Reported<'a>>,
    /// How many lines stood right before it that were passed over, since no pattern can take them. They count as heard.
    pub passed: u32,
}

impl<'a> Record<'a> {
    /// A record that is only a message.
    pub fn bare(time: Timestamp, message: &'a [u8]) -> Self {
        Record {
            time,
            host: "",
            program: "",
            pid: None,
            unit: "",
            message,
            line: b"",
            is_object: false,
            routes: &[],
            reported: None,
            passed: 0,
        }
    }

    /// The object of JSON that the record was made of, as it was written; empty if it was made of none.
    pub fn object(&self) -> &'a [u8] {
        match self.is_object {
            true => self.line,
            false => b"",
        }
    }
}

// Up to this size a copy is some moves of registers; a larger one calls a function.
const _: () = assert!(size_of::<Record<'_>>() <= 128);

/// Where the parts of one record stand in the buffers of its batch.
#[derive(Clone, Debug)]
struct Head {
    time: Timestamp,
    pid: Option<u32>,
    /// Ends of host, program and unit in `names`, each part starting where the last one ended.
    name_ends: [usize; 3],
    /// Where line and message end in `bytes`.
    ends: [usize; 2],
    /// Where the message begins there: mostly it is the end of the line, and has no bytes of its own.
    message_start: usize,
    is_object: bool,
    routes_end: usize,
    passed: u32,
}

/// The report that a record is.
#[derive(Clone, Debug)]
struct ReportPart {
    /// Which record of the batch.
    record: usize,
    reported: Reported<'static>,
}

/// Records in the order in which their source delivered them.
#[derive(Clone, Debug, Default)]
pub struct Batch {
    /// What is known to be text, apart from the rest, so that it need not be proved again.
    names: String,
    bytes: Vec<u8>,
    routes: Vec<RouteId>,
    heads: Vec<Head>,
    /// Rare, so that other records need no room for them.
    reports: Vec<ReportPart>,
    /// How many bytes the lines had that were passed over.
    passed: u64,
    /// What the batch before had.
    before: Sizes,
}

/// About how much a batch holds, in few bytes: it is handed on with each.
#[derive(Clone, Copy, Debug, Default)]
struct Sizes {
    names: u16,
    bytes: u16,
    routes: u16,
    records: u16,
}

/// Room for so many records at most is made at once if the batch before had about as many, and so for their text: to make
/// it bit by bit costs as much as to fill it.
const MOST_RECORDS_BEFORE: u16 = 256;

/// See [`MOST_RECORDS_BEFORE`].
const MOST_BYTES_BEFORE: u16 = 32 * 1024;

impl Batch {
    /// Takes all records out. What comes next is expected to be as much, but no room is taken until there is something.
    pub fn take(&mut self) -> Batch {
        // Some more is no surprise.
        let about =
            |held: usize, most: u16| u16::try_from(held + held / 4).unwrap_or(most).min(most);
        let before = Sizes {
            names: about(self.names.len(), MOST_BYTES_BEFORE),
            bytes: about(self.bytes.len(), MOST_BYTES_BEFORE),
            routes: about(self.routes.len(), MOST_RECORDS_BEFORE),
            records: about(self.heads.len(), MOST_RECORDS_BEFORE),
        };
        let next = Batch {
            before,
            ..Batch::default()
        };
        std::mem::replace(self, next)
    }

    /// Appends a copy of `record`; its message is cut at [`LONGEST_MESSAGE`].
    pub fn push(&mut self, record: Record<'_>) {
        if self.heads.capacity() == 0 {
            self.names.reserve(self.before.names.into());
            self.bytes.reserve(self.before.bytes.into());
            self.routes.reserve(self.before.routes.into());
            self.heads.reserve(self.before.records.into());
        }
        let message = &record.message[..record.message.len().min(LONGEST_MESSAGE)];
        // Not by `map` of arrays, which costs more than all the rest.
        let mut name = |name: &str| {
            self.names.push_str(name);
            self.names.len()
        };
        let name_ends = [name(record.host), name(record.program), name(record.unit)];
        let lead = record.line.len().checked_sub(record.message.len());
        let of_line = lead.filter(|lead| std::ptr::eq(&record.line[*lead..], record.message));
        let mut part = |part: &[u8]| {
            self.bytes.extend_from_slice(part);
            self.bytes.len()
        };
        let (message_start, ends) = match of_line {
            Some(lead) => {
                let start = part(b"") + lead;
                let end = part(&record.line[..lead + message.len()]);
                (start, [end, end])
            }
            None => {
                let end = part(record.line);
                (end, [end, part(message)])
            }
        };
        self.routes.extend_from_slice(record.routes);
        if let Some(reported) = record.reported {
            self.reports.push(ReportPart {
                record: self.heads.len(),
                reported: Reported {
                    user: reported.user.as_deref().map(|user| user.to_owned().into()),
                    ..*reported
                },
            });
        }
        self.heads.push(Head {
            time: record.time,
            pid: record.pid,
            name_ends,
            ends,
            message_start,
            is_object: record.is_object,
            routes_end: self.routes.len(),
            passed: record.passed,
        });
    }

    /// The records, in order.
    pub fn iter(&self) -> impl Iterator<Item = Record<'_>> {
        let mut names_start = 0;
        let mut start = 0;
        let mut routes_start = 0;
        let mut reports = self.reports.iter().peekable();
        self.heads.iter().enumerate().map(move |(at, head)| {
            let mut name = |place: usize| {
                let start = std::mem::replace(&mut names_start, head.name_ends[place]);
                &self.names[start..names_start]
            };
            let [host, program, unit] = [name(0), name(1), name(2)];
            let [line_end, end] = head.ends;
            let line = &self.bytes[start..line_end];
            let message = &self.bytes[head.message_start..end];
            start = end;
            let routes = &self.routes[routes_start..head.routes_end];
            routes_start = head.routes_end;
            let report = reports.next_if(|report| report.record == at);
            Record {
                time: head.time,
                host,
                program,
                pid: head.pid,
                unit,
                message,
                line,
                is_object: head.is_object,
                routes,
                reported: report.map(|report| &report.reported),
                passed: head.passed,
            }
        })
    }

    /// How many records there are.
    pub fn len(&self) -> usize {
        self.heads.len()
    }

    /// How many there are together with those that were passed over.
    pub fn heard(&self) -> u64 {
        let passed = self.heads.iter().map(|head| u64::from(head.passed));
        self.heads.len() as u64 + passed.sum::<u64>()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.heads.is_empty()
    }

    /// The time of the newest record; `None` if there is none.
    pub fn newest(&self) -> Option<Timestamp> {
        self.heads.iter().map(|head| head.time).max()
    }

    /// Notes lines of so many bytes that were passed over before the next record.
    pub fn note_passed(&mut self, bytes: usize) {
        self.passed += bytes as u64;
    }

    /// How many bytes the records have together with the lines that were passed over.
    pub fn heard_bytes(&self) -> u64 {
        self.bytes() as u64 + self.passed
    }

    /// How many bytes the records take.
    pub fn bytes(&self) -> usize {
        self.names.len() + self.bytes.len()
    }

    /// Forgets the records and keeps the buffers.
    pub fn clear(&mut self) {
        self.names.clear();
        self.bytes.clear();
        self.routes.clear();
        self.heads.clear();
        self.reports.clear();
        self.passed = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::report::Outcome;
    use super::*;

    #[test]
    fn a_batch_gives_back_what_was_pushed() {
        let mut batch = Batch::default();
        let routes = [RouteId(3)];
        let first = Record {
            time: Timestamp::from_micros(1),
            host: "h",
            program: "sshd",
            pid: Some(7),
            unit: "ssh.service",
            message: b"\xff text",
            line: b"{}",
            is_object: true,
            routes: &routes,
            reported: None,
            passed: 7,
        };
        let second = Record::bare(Timestamp::from_micros(2), b"");
        let reported = Reported {
            address: "192.0.2.7".parse().expect("an address"),
            user: Some("root".into()),
            outcome: Outcome::Failure,
        };
        let third = Record {
            reported: Some(&reported),
            ..second
        };
        let line = b"Feb 12 14:10:21 box sshd[7]: text";
        let fourth = Record {
            line,
            message: &line[29..],
            ..second
        };
        let all = [first, second, third, fourth, second, third];
        for record in all {
            batch.push(record);
        }
        assert_eq!(batch.iter().collect::<Vec<_>>(), all);
        assert_eq!((batch.len(), batch.heard()), (6, 13));
        let text = first.message.len() + first.line.len() + line.len();
        let names = "hsshdssh.service".len();
        assert_eq!(
            batch.bytes(),
            text + names,
            "a message that ends its line is kept once"
        );
        batch.note_passed(700);
        assert_eq!(batch.heard_bytes(), batch.bytes() as u64 + 700);
        assert_eq!(batch.newest(), Some(second.time));
        batch.clear();
        assert!(batch.is_empty());
    }
}
