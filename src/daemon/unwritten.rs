//! What was decided and is not in the database yet, and until when may it wait?
//!
//! Failures that can be read again wait a moment for others: a transaction costs more than what is in it. They and
//! the cursors behind them go into one, so that a restart reads again just what it does not know. Nothing is written
//! here.

use std::collections::BTreeSet;
use std::time::Duration;

use crate::engine::Decision;
use crate::engine::cursor::Stream;
use crate::engine::time::Timestamp;

/// How long a failure may wait for others. Who asks f2bd sees it before, and who asks the database hardly notices.
/// What a transaction costs beside them, its pages above all, is shared by those that came meanwhile.
const FAILURES_WAIT: Duration = Duration::from_millis(500);

/// The most decisions that wait. A ban has to be remembered before it is carried out, and they before it: these take some
/// milliseconds.
const MOST_WAITING: usize = 256;

/// Records without consequence move a source's cursor only so often: reading them again costs nothing.
const CURSORS_WAIT: Duration = Duration::from_secs(5);

/// Decisions and moved cursors that belong into the next transaction.
#[derive(Debug, Default)]
pub struct Unwritten {
    /// What was decided, in its order.
    pub decisions: Vec<Decision>,
    /// Streams whose cursor has moved since it was written.
    pub moved: BTreeSet<Stream>,
    due: Option<Timestamp>,
}

impl Unwritten {
    /// Takes note that at `now` the decisions from the place `first` on were made, of records of `stream` if those
    /// can be read again. Answers whether they can wait.
    pub fn note(&mut self, now: Timestamp, first: usize, stream: Option<&Stream>) -> bool {
        if let Some(stream) = stream.filter(|stream| !self.moved.contains(stream)) {
            self.moved.insert(stream.clone());
        }
        let new = self.decisions.get(first..).unwrap_or_default();
        let wait = if new.is_empty() {
            CURSORS_WAIT
        } else {
            FAILURES_WAIT
        };
        if !self.decisions.is_empty() || !self.moved.is_empty() {
            let due = now.after(wait);
            self.due = Some(self.due.map_or(due, |earlier| earlier.min(due)));
        }
        let only_failures = new.iter().all(|decision| {
            matches!(
                decision,
                Decision::Count(_)
                    | Decision::Ignore(_)
                    | Decision::Await(_)
                    | Decision::Answered(_)
            )
        });
        new.is_empty() || stream.is_some() && only_failures && self.decisions.len() < MOST_WAITING
    }

    /// Takes note that something else waits, as long as a cursor may.
    pub fn hold(&mut self, now: Timestamp) {
        let due = now.after(CURSORS_WAIT);
        self.due = Some(self.due.map_or(due, |earlier| earlier.min(due)));
    }

    /// When the next transaction is due, if anything waits.
    pub fn due(&self) -> Option<Timestamp> {
        self.due
    }

    /// The clock was set: waiting ends now.
    pub fn hurry(&mut self, now: Timestamp) {
        self.due = self.due.map(|_| now);
    }

    /// All of it is written; the room is kept.
    pub fn clear(&mut self) {
        self.decisions.clear();
        self.moved.clear();
        self.due = None;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::decision::{Failure, FailureId, Notice};

    fn at(milliseconds: i64) -> Timestamp {
        Timestamp::from_micros(milliseconds * 1000)
    }

    fn failure() -> Decision {
        Decision::Count(Failure {
            id: FailureId(1),
            time: at(0),
            jail: "sshd".parse().expect("a name"),
            subject: "192.0.2.7/32".parse().expect("a prefix"),
            address: "192.0.2.7".parse().ok(),
            user: None,
            target: None,
            session: None,
            pattern: 1,
            counted: true,
            line: "text".into(),
        })
    }

    fn stream() -> Stream {
        Stream {
            source: "files".parse().expect("a name"),
            part: "/var/log/auth.log".into(),
        }
    }

    #[test]
    fn a_failure_that_can_be_read_again_waits_for_others() {
        let mut unwritten = Unwritten::default();
        assert!(unwritten.note(at(0), 0, Some(&stream())));
        assert_eq!(unwritten.due(), Some(at(5000)), "a cursor has time");
        unwritten.decisions.push(failure());
        assert!(unwritten.note(at(10), 0, Some(&stream())));
        unwritten.decisions.push(failure());
        assert!(unwritten.note(at(50), 1, Some(&stream())));
        assert_eq!(
            unwritten.due(),
            Some(at(510)),
            "the first one says how long"
        );
        unwritten.clear();
        assert!(unwritten.note(at(60), 0, None));
        assert_eq!(unwritten.due(), None);
    }

    #[test]
    fn nothing_else_waits() {
        let told = Decision::Notice(Notice::Evicted {
            jail: "sshd".parse().expect("a name"),
            subjects: 1,
        });
        for (decision, stream) in [(told, Some(stream())), (failure(), None)] {
            let mut unwritten = Unwritten::default();
            unwritten.decisions.push(decision);
            assert!(!unwritten.note(at(0), 0, stream.as_ref()));
        }
        let mut many = Unwritten {
            decisions: vec![failure(); MOST_WAITING],
            ..Unwritten::default()
        };
        assert!(!many.note(at(0), MOST_WAITING - 1, Some(&stream())));
    }
}
