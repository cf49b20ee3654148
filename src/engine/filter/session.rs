//! Has this session counted a failure already?
//!
//! In: what was found, from which machine and when. Out: whether it counts. The closing line of a
//! connection whose failed attempts were logged before is not one more attempt. No failure is kept here.

use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

use super::Found;
use crate::engine::policy::FilterId;
use crate::engine::time::Timestamp;

/// The most sessions that are remembered, some megabytes at worst. An attacker who opens more at once
/// makes closing lines count, which only helps to ban him.
const MOST_SESSIONS: usize = 16_384;

/// A session that was silent for so long is over; its process number may mean another one by now. OpenSSH
/// gives a client two minutes to log in.
const IDLE: Duration = Duration::from_secs(600);

type Key = (FilterId, Box<str>);

/// The sessions that counted something, the least recently used first to be forgotten.
#[derive(Debug, Default)]
pub struct Sessions {
    known: HashMap<Key, (Timestamp, u64)>,
    order: BTreeMap<u64, Key>,
    uses: u64,
}

impl Sessions {
    /// Whether the failure counts; it is noted if it does.
    pub fn counts(
        &mut self,
        filter: FilterId,
        host: &str,
        found: &Found<'_>,
        time: Timestamp,
    ) -> bool {
        let Some(session) = found.session.as_deref() else {
            return true;
        };
        let counted = self.note((filter, key(host, session)), time);
        !(found.unless_counted && counted)
    }

    /// Notes a session that counted before a restart; it may be stored as `session@host` with no `host`.
    pub fn restore(&mut self, filter: FilterId, host: &str, session: &str, time: Timestamp) {
        self.note((filter, key(host, session)), time);
    }

    /// Marks the session as used and counted; tells whether it was so before.
    fn note(&mut self, key: Key, time: Timestamp) -> bool {
        self.uses += 1;
        let before = self.known.insert(key.clone(), (time, self.uses));
        if let Some((_, used)) = before {
            self.order.remove(&used);
        }
        self.order.insert(self.uses, key);
        if self.known.len() > MOST_SESSIONS
            && let Some((_, oldest)) = self.order.pop_first()
        {
            self.known.remove(&oldest);
        }
        before.is_some_and(|(last, _)| time.since(last) <= IDLE)
    }
}

/// Processes of different machines may have the same number.
fn key(host: &str, session: &str) -> Box<str> {
    if host.is_empty() {
        session.into()
    } else {
        format!("{session}@{host}").into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(session: &str, unless_counted: bool) -> Found<'_> {
        Found {
            pattern: 1,
            host: "192.0.2.7".into(),
            ip: None,
            user: None,
            session: Some(session.into()),
            unless_counted,
        }
    }

    #[test]
    fn a_closing_line_counts_only_alone() {
        let mut sessions = Sessions::default();
        let at = |seconds: i64| Timestamp::from_micros(seconds * 1_000_000);
        let filter = FilterId(0);
        assert!(sessions.counts(filter, "a", &found("1", false), at(0)));
        assert!(sessions.counts(filter, "a", &found("1", false), at(1)));
        assert!(!sessions.counts(filter, "a", &found("1", true), at(2)));
        assert!(sessions.counts(filter, "b", &found("1", true), at(2)));
        assert!(sessions.counts(filter, "a", &found("1", true), at(2 + 601)));
        sessions.restore(filter, "a", "9", at(700));
        assert!(!sessions.counts(filter, "a", &found("9", true), at(701)));
        sessions.restore(filter, "", "8@a", at(700));
        assert!(!sessions.counts(filter, "a", &found("8", true), at(701)));
        assert!(sessions.counts(filter, "b", &found("8", true), at(701)));
    }

    #[test]
    fn sessions_are_bounded() {
        let mut sessions = Sessions::default();
        for number in 0..=MOST_SESSIONS {
            sessions.restore(FilterId(0), "a", &number.to_string(), Timestamp::default());
        }
        assert_eq!(sessions.known.len(), MOST_SESSIONS);
        assert_eq!(sessions.order.len(), MOST_SESSIONS);
        assert!(sessions.counts(FilterId(0), "a", &found("0", true), Timestamp::default()));
    }
}
