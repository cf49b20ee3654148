//! What does one journal entry say?
//!
//! Comes in: the fields of an entry as `NAME=value` bytes, in any order, some of them written by whoever
//! logs. Goes out: a record, and which routes the entry satisfies. No journal is opened here.

use std::borrow::Cow;

use crate::engine::record::journal::{JournalMatch, RouteId, Term};
use crate::engine::record::{LONGEST_MESSAGE, Record};
use crate::engine::time::Timestamp;

/// The longest field that is looked at, name included: a whole message fits, and the journal need not
/// unpack more of a larger one.
pub const LONGEST_FIELD: usize = LONGEST_MESSAGE + "MESSAGE=".len();

/// The longest host, program or unit name that is kept; what is allowed for a unit (255) and a host (253)
/// fits.
const LONGEST_NAME: usize = 256;

/// The fields of the entry that is being read. One value serves all entries, so that its buffers do too.
#[derive(Debug, Default)]
pub struct Entry {
    routes: Vec<JournalMatch>,
    /// Every term of every route, once, sorted.
    terms: Vec<Term>,
    /// Which of the terms the entry holds.
    held: Vec<bool>,
    /// The routes that the entry satisfies.
    satisfied: Vec<RouteId>,
    host: Part,
    identifier: Part,
    comm: Part,
    unit: Part,
    message: Part,
    pid: Option<u32>,
    /// What a program that sent syslog said its number was.
    said_pid: Option<u32>,
}

impl Entry {
    /// A reader of entries for jails that want these routes.
    pub fn new(routes: &[JournalMatch]) -> Self {
        let mut terms: Vec<Term> = routes
            .iter()
            .flat_map(|route| &route.alternatives)
            .flatten()
            .cloned()
            .collect();
        terms.sort_unstable();
        terms.dedup();
        Entry {
            routes: routes.to_vec(),
            held: vec![false; terms.len()],
            terms,
            ..Entry::default()
        }
    }

    /// Forgets the fields of the last entry.
    pub fn clear(&mut self) {
        self.held.fill(false);
        self.satisfied.clear();
        for part in [
            &mut self.host,
            &mut self.identifier,
            &mut self.comm,
            &mut self.unit,
            &mut self.message,
        ] {
            part.clear();
        }
        self.pid = None;
        self.said_pid = None;
    }

    /// Hears one field. Of a field that comes several times the first value is kept, and any of its
    /// values can satisfy a match, as the journal itself does it.
    pub fn field(&mut self, data: &[u8]) {
        let data = &data[..data.len().min(LONGEST_FIELD)];
        let Some(equals) = data.iter().position(|byte| *byte == b'=') else {
            return;
        };
        let (name, value) = (&data[..equals], &data[equals + 1..]);
        let order = |term: &Term| {
            let term = (term.field.as_bytes(), term.value.as_bytes());
            term.cmp(&(name, value))
        };
        if let Ok(at) = self.terms.binary_search_by(order) {
            self.held[at] = true;
        }
        match name {
            b"MESSAGE" => self.message.keep(value, LONGEST_MESSAGE),
            b"SYSLOG_IDENTIFIER" => self.identifier.keep(value, LONGEST_NAME),
            b"_COMM" => self.comm.keep(value, LONGEST_NAME),
            b"_HOSTNAME" => self.host.keep(value, LONGEST_NAME),
            b"_SYSTEMD_UNIT" => self.unit.keep(value, LONGEST_NAME),
            b"_PID" => self.pid = self.pid.or_else(|| number(value)),
            b"SYSLOG_PID" => self.said_pid = self.said_pid.or_else(|| number(value)),
            _ => {}
        }
    }

    /// Hands the entry on as a record if any route wants it. The program is the name under which it logs, the
    /// process number the one that the journal saw, if it saw one. A message of several lines
    /// stays one message: whoever sends it cannot make two records of it.
    pub fn wanted(&mut self, time: Timestamp, hand_on: impl FnOnce(Record<'_>)) -> bool {
        for (route, at) in self.routes.iter().zip(0_u16..) {
            let holds = |term: &Term| {
                let at = self.terms.binary_search(term);
                at.is_ok_and(|at| self.held[at])
            };
            if route.accepts(holds) {
                self.satisfied.push(RouteId(at));
            }
        }
        if self.satisfied.is_empty() {
            return false;
        }
        let program = self.identifier.text();
        let program = if program.is_empty() {
            self.comm.text()
        } else {
            program
        };
        hand_on(Record {
            time,
            host: &self.host.text(),
            program: &program,
            pid: self.pid.or(self.said_pid),
            unit: &self.unit.text(),
            message: if self.message.bytes.len() < LONGEST_MESSAGE {
                self.message.bytes.trim_ascii_end()
            } else {
                // What is this long may have been cut, and has to be known by its length: its end proves nothing.
                &self.message.bytes
            },
            object: b"",
            routes: &self.satisfied,
            reported: None,
            passed: 0,
        });
        true
    }
}

/// The first value of a field, if any came.
#[derive(Debug, Default)]
struct Part {
    bytes: Vec<u8>,
    present: bool,
}

impl Part {
    fn keep(&mut self, value: &[u8], longest: usize) {
        if !self.present {
            self.present = true;
            self.bytes
                .extend_from_slice(&value[..value.len().min(longest)]);
        }
    }

    fn clear(&mut self) {
        self.bytes.clear();
        self.present = false;
    }

    fn text(&self) -> Cow<'_, str> {
        String::from_utf8_lossy(&self.bytes)
    }
}

fn number(value: &[u8]) -> Option<u32> {
    std::str::from_utf8(value).ok()?.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::record::Batch;
    use proptest::prelude::*;

    fn read(routes: &[&str], fields: &[&[u8]]) -> Batch {
        let routes: Vec<JournalMatch> = routes
            .iter()
            .map(|route| route.parse().expect("a match"))
            .collect();
        let mut entry = Entry::new(&routes);
        let mut batch = Batch::default();
        // Twice, since one value serves all entries.
        for _ in 0..2 {
            entry.clear();
            batch.clear();
            for field in fields {
                entry.field(field);
            }
            entry.wanted(Timestamp::from_micros(7), |record| batch.push(record));
        }
        batch
    }

    #[test]
    fn a_cut_message_stays_known_by_its_length() {
        let mut field = b"MESSAGE=".to_vec();
        field.resize(LONGEST_FIELD - 1, b'x');
        field.extend_from_slice(b" and what was cut");
        let batch = read(&["_COMM=nginx"], &[b"_COMM=nginx", &field]);
        let record = batch.iter().next().expect("a record");
        assert_eq!(record.message.len(), LONGEST_MESSAGE);
        assert!(
            record.message.ends_with(b"x "),
            "the blank where it was cut is kept"
        );
    }

    #[test]
    fn fields_become_a_record() {
        let batch = read(
            &["_COMM=nginx", "_SYSTEMD_UNIT=ssh.service _UID=0 + _UID=7"],
            &[
                b"_HOSTNAME=host\xff",
                b"_COMM=sshd-session",
                b"SYSLOG_IDENTIFIER=sshd",
                b"SYSLOG_IDENTIFIER=other",
                b"SYSLOG_PID=1",
                b"_PID=4711",
                b"_UID=0",
                b"_SYSTEMD_UNIT=ssh.service",
                b"MESSAGE=a=b\nsecond\xff\n",
                b"NOTHING",
                b"",
            ],
        );
        let record = batch.iter().next().expect("a record");
        let expected = Record {
            time: Timestamp::from_micros(7),
            host: "host\u{fffd}",
            program: "sshd",
            pid: Some(4711),
            unit: "ssh.service",
            message: b"a=b\nsecond\xff",
            object: b"",
            routes: &[RouteId(1)],
            reported: None,
            passed: 0,
        };
        assert_eq!(record, expected);
    }

    #[test]
    fn what_the_journal_did_not_see_is_taken_from_the_sender() {
        let batch = read(&["_UID=0"], &[b"_UID=0", b"_COMM=cron", b"SYSLOG_PID=12"]);
        let record = batch.iter().next().expect("a record");
        assert_eq!((record.program, record.pid), ("cron", Some(12)));
        assert_eq!(record.message, b"");
    }

    #[test]
    fn an_entry_that_no_route_wants_is_no_record() {
        assert!(read(&["_UID=0 _COMM=sshd"], &[b"_UID=0", b"_COMM=sh"]).is_empty());
        assert!(read(&[], &[b"MESSAGE=x"]).is_empty());
    }

    proptest! {
        #[test]
        fn any_bytes_make_at_most_one_bounded_record(
            fields in prop::collection::vec(
                prop_oneof![
                    prop::collection::vec(any::<u8>(), 0..64),
                    ("MESSAGE|_PID|SYSLOG_PID|_COMM|SYSLOG_IDENTIFIER|_HOSTNAME|_UID|_SYSTEMD_UNIT",
                     prop::collection::vec(any::<u8>(), 0..9000))
                        .prop_map(|(name, value)| [name.as_bytes(), b"=", &value].concat()),
                ],
                0..8,
            ),
        ) {
            let mut all: Vec<&[u8]> = fields.iter().map(Vec::as_slice).collect();
            all.push(b"_UID=0");
            let batch = read(&["_UID=0"], &all);
            prop_assert_eq!(batch.len(), 1);
            let record = batch.iter().next().expect("a record");
            prop_assert!(record.message.len() <= LONGEST_MESSAGE);
            let first = fields.iter().find_map(|field| field.strip_prefix(b"MESSAGE="));
            let first = first.unwrap_or_default();
            prop_assert!(first.starts_with(record.message));
        }
    }
}
