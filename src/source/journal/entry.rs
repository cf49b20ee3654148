//! What does one journal entry say?
//!
//! Comes in: the fields of an entry as `NAME=value` bytes, in any order, some of them written by whoever
//! logs. Goes out: a record, and which routes the entry satisfies. No journal is opened here.

use std::collections::BTreeMap;

use crate::engine::record::journal::{JournalMatch, RouteId, Term};
use crate::engine::record::{LONGEST_MESSAGE, Record};
use crate::engine::time::Timestamp;

/// The longest field that is looked at, name included: a whole message fits, and the journal need not
/// unpack more of a larger one.
pub const LONGEST_FIELD: usize = LONGEST_MESSAGE + "MESSAGE=".len();

/// The longest host, program or unit name that is kept; what is allowed for a unit (255) and a host (253)
/// fits.
const LONGEST_NAME: usize = 256;

/// For how many combinations of terms it is remembered which routes they satisfy. A journal has a few; whoever
/// makes up more of them makes them be worked out again.
const MOST_COMBINATIONS: usize = 1024;

/// The fields of the entry that is being read. One value serves all entries, so that its buffers do too.
#[derive(Debug, Default)]
pub struct Entry {
    routes: Vec<JournalMatch>,
    terms: Terms,
    /// Which of the terms the entry holds.
    held: Vec<usize>,
    /// Which routes are satisfied by what entries have held. To ask each route costs more than to read the entry
    /// if there are many.
    satisfied: BTreeMap<Vec<usize>, Vec<RouteId>>,
    host: Name,
    identifier: Name,
    comm: Name,
    unit: Name,
    message: Message,
    pid: Option<u32>,
    /// What a program that sent syslog said its number was.
    said_pid: Option<u32>,
}

impl Entry {
    /// A reader of entries for jails that want these routes.
    pub fn new(routes: &[JournalMatch]) -> Self {
        Entry {
            routes: routes.to_vec(),
            terms: Terms::of(routes),
            ..Entry::default()
        }
    }

    /// How many terms the routes have, each counted once.
    pub fn terms(&self) -> usize {
        self.terms.texts.len()
    }

    /// Forgets the fields of the last entry.
    pub fn clear(&mut self) {
        self.held.clear();
        for name in [
            &mut self.host,
            &mut self.identifier,
            &mut self.comm,
            &mut self.unit,
        ] {
            name.present = false;
        }
        self.message.present = false;
        self.pid = None;
        self.said_pid = None;
    }

    /// Hears one field. Of a field that comes several times the first value is kept, and any of its
    /// values can satisfy a match, as the journal itself does it.
    pub fn field(&mut self, data: &[u8]) {
        let data = &data[..data.len().min(LONGEST_FIELD)];
        self.held.extend(self.terms.place(data));
        if let Some(value) = data.strip_prefix(b"MESSAGE=") {
            self.message.keep(value);
        } else if let Some(value) = data.strip_prefix(b"SYSLOG_IDENTIFIER=") {
            self.identifier.keep(value);
        } else if let Some(value) = data.strip_prefix(b"_COMM=") {
            self.comm.keep(value);
        } else if let Some(value) = data.strip_prefix(b"_HOSTNAME=") {
            self.host.keep(value);
        } else if let Some(value) = data.strip_prefix(b"_SYSTEMD_UNIT=") {
            self.unit.keep(value);
        } else if let Some(value) = data.strip_prefix(b"_PID=") {
            self.pid = self.pid.or_else(|| number(value));
        } else if let Some(value) = data.strip_prefix(b"SYSLOG_PID=") {
            self.said_pid = self.said_pid.or_else(|| number(value));
        }
    }

    /// Hands the entry on as a record if any route wants it. The program is the name under which it logs, the
    /// process number the one that the journal saw, if it saw one. A message of several lines
    /// stays one message: whoever sends it cannot make two records of it.
    pub fn wanted(&mut self, time: Timestamp, hand_on: impl FnOnce(Record<'_>)) -> bool {
        // Every alternative of a route has terms.
        if self.held.is_empty() {
            return false;
        }
        self.held.sort_unstable();
        self.held.dedup();
        let routes = match self.satisfied.get(&self.held) {
            Some(routes) => routes,
            None => {
                let routes = self.satisfied();
                if self.satisfied.len() >= MOST_COMBINATIONS {
                    self.satisfied.clear();
                }
                self.satisfied.entry(self.held.clone()).or_insert(routes)
            }
        };
        if routes.is_empty() {
            return false;
        }
        let program = self.identifier.text();
        let program = if program.is_empty() {
            self.comm.text()
        } else {
            program
        };
        let message = self.message.bytes();
        hand_on(Record {
            time,
            host: self.host.text(),
            program,
            pid: self.pid.or(self.said_pid),
            unit: self.unit.text(),
            message: if message.len() < LONGEST_MESSAGE {
                message.trim_ascii_end()
            } else {
                // What is this long may have been cut, and has to be known by its length: its end proves nothing.
                message
            },
            line: b"",
            is_object: false,
            routes,
            reported: None,
            passed: 0,
        });
        true
    }

    /// The routes that are satisfied by the terms that the entry holds.
    fn satisfied(&self) -> Vec<RouteId> {
        let holds = |term: &Term| {
            let at = self.terms.place(&written(term));
            at.is_some_and(|at| self.held.contains(&at))
        };
        let routes = self.routes.iter().zip(0_u16..);
        routes
            .filter(|(route, _)| route.accepts(holds))
            .map(|(_, at)| RouteId(at))
            .collect()
    }
}

/// A term as the journal writes its fields.
fn written(term: &Term) -> Vec<u8> {
    [term.field.as_bytes(), b"=", term.value.as_bytes()].concat()
}

/// Every term of every route, once.
///
/// Most fields of an entry are no term, and most of those are as long as none; so they are told apart by their
/// length first.
#[derive(Debug, Default)]
struct Terms {
    /// As the journal writes them; the shorter ones first, those of one length in the order of their bytes.
    texts: Vec<Vec<u8>>,
    /// For each length up to one more than that of the longest, how many are shorter.
    shorter: Vec<usize>,
}

impl Terms {
    fn of(routes: &[JournalMatch]) -> Self {
        let terms = routes.iter().flat_map(|route| &route.alternatives);
        let mut texts: Vec<_> = terms.flatten().map(written).collect();
        texts.sort_unstable_by(|a, b| (a.len(), a).cmp(&(b.len(), b)));
        texts.dedup();
        let longest = texts.last().map_or(0, Vec::len);
        let shorter = |length| texts.partition_point(|text| text.len() < length);
        let shorter = (0..=longest + 1).map(shorter).collect();
        Terms { texts, shorter }
    }

    /// Which of them a field is.
    fn place(&self, data: &[u8]) -> Option<usize> {
        let from = *self.shorter.get(data.len())?;
        let to = *self.shorter.get(data.len() + 1)?;
        let as_long = &self.texts[from..to];
        let at = as_long.binary_search_by(|text| text.as_slice().cmp(data));
        at.ok().map(|at| from + at)
    }
}

/// The first value of a field with a name in it, if any came. It stands here beyond its entry: mostly that of
/// the next one is the same, and need not be looked through again.
#[derive(Debug, Default)]
struct Name {
    text: String,
    present: bool,
}

impl Name {
    fn keep(&mut self, value: &[u8]) {
        if self.present {
            return;
        }
        self.present = true;
        let value = &value[..value.len().min(LONGEST_NAME)];
        if value != self.text.as_bytes() {
            self.text.clear();
            self.text.push_str(&String::from_utf8_lossy(value));
        }
    }

    fn text(&self) -> &str {
        if self.present { &self.text } else { "" }
    }
}

/// The first message, if any came.
#[derive(Debug, Default)]
struct Message {
    bytes: Vec<u8>,
    present: bool,
}

impl Message {
    fn keep(&mut self, value: &[u8]) {
        if !self.present {
            self.present = true;
            self.bytes.clear();
            self.bytes
                .extend_from_slice(&value[..value.len().min(LONGEST_MESSAGE)]);
        }
    }

    fn bytes(&self) -> &[u8] {
        if self.present { &self.bytes } else { b"" }
    }
}

fn number(value: &[u8]) -> Option<u32> {
    std::str::from_utf8(value.trim_ascii()).ok()?.parse().ok()
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
            line: b"",
            is_object: false,
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

    #[test]
    fn made_up_combinations_are_forgotten() {
        let terms: Vec<_> = (0..12).map(|at| format!("A={at}")).collect();
        let routes: Vec<JournalMatch> = terms
            .iter()
            .map(|term| term.parse().expect("a match"))
            .collect();
        let mut entry = Entry::new(&routes);
        for combination in 1..1 << terms.len() {
            entry.clear();
            let held = |at: &usize| combination >> at & 1 == 1;
            let held: Vec<_> = (0..terms.len()).filter(held).collect();
            for at in &held {
                entry.field(terms[*at].as_bytes());
            }
            let mut found = Vec::new();
            entry.wanted(Timestamp::from_micros(7), |record| {
                found = record
                    .routes
                    .iter()
                    .map(|route| usize::from(route.0))
                    .collect();
            });
            assert_eq!(found, held);
            assert!(entry.satisfied.len() <= MOST_COMBINATIONS);
        }
    }

    proptest! {
        // One reader for all entries, as in life: what it remembers is true of the next one too.
        #[test]
        fn routes_are_satisfied_as_their_matches_say(
            routes in prop::collection::vec("[AB]=[0-3]( [AB]=[0-3]){0,2}( \\+ C=[0-9]{2})?", 1..6),
            entries in prop::collection::vec(prop::collection::vec("[ABC]=[0-9]{1,2}", 0..9), 1..20),
        ) {
            let routes: Vec<JournalMatch> =
                routes.iter().map(|route| route.parse().expect("a match")).collect();
            let mut entry = Entry::new(&routes);
            for fields in &entries {
                entry.clear();
                for field in fields {
                    entry.field(field.as_bytes());
                }
                let holds = |term: &Term| fields.contains(&format!("{}={}", term.field, term.value));
                let expected: Vec<_> = (0..routes.len())
                    .filter(|at| routes[*at].accepts(holds))
                    .map(|at| RouteId(at as u16))
                    .collect();
                let mut batch = Batch::default();
                entry.wanted(Timestamp::from_micros(7), |record| batch.push(record));
                let found = batch.iter().next().map(|record| record.routes.to_vec());
                prop_assert_eq!(found.unwrap_or_default(), expected);
            }
        }

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
