//! Has this session counted a failure already?
//!
//! In: what was found, from which machine and when. Out: whether it counts. The closing line of a
//! connection whose failed attempts were logged before is not one more attempt. No failure is kept here.

use std::collections::{HashMap, VecDeque};
use std::hash::{BuildHasher, RandomState};
use std::time::Duration;

use super::{FilterSpec, Found};
use crate::engine::time::Timestamp;

/// The most sessions that are remembered, some megabytes at worst. An attacker who opens more at once
/// makes closing lines count, which only helps to ban him.
const MOST_SESSIONS: usize = 16_384;

/// A session that was silent for so long is over; its process number may mean another one by now. OpenSSH
/// gives a client two minutes to log in.
const IDLE: Duration = Duration::from_secs(600);

/// The sessions that counted something, the least recently used first to be forgotten.
#[derive(Debug, Default)]
pub struct Sessions {
    /// By the hash of filter, mode and session, whose key nobody outside knows: to make two alike is a matter of luck.
    /// Filters are known by name and mode, since their numbers are others after a reload.
    known: HashMap<u64, Use>,
    hasher: RandomState,
    /// Each use of a session, in order; only the last one of each matters.
    order: VecDeque<(u64, u64)>,
    uses: u64,
}

/// When a session was used last.
#[derive(Clone, Copy, Debug)]
struct Use {
    time: Timestamp,
    number: u64,
}

impl Sessions {
    /// Whether the failure counts; it is noted if it does. `session` is what [`key`] made of it.
    pub fn counts(
        &mut self,
        filter: &FilterSpec,
        session: Option<&str>,
        found: &Found<'_>,
        time: Timestamp,
    ) -> bool {
        let Some(session) = session else {
            return true;
        };
        let counted = self.restore(filter, session, time);
        !(found.unless_counted && counted)
    }

    /// Marks the session as used and counted, for instance one that counted before a restart; tells whether it
    /// was so before.
    pub fn restore(&mut self, filter: &FilterSpec, session: &str, time: Timestamp) -> bool {
        let key = self.hasher.hash_one((&filter.name, &filter.mode, session));
        self.uses += 1;
        let number = self.uses;
        let before = self.known.insert(key, Use { time, number });
        self.order.push_back((key, number));
        self.bound();
        before.is_some_and(|before| time.since(before.time) <= IDLE)
    }

    fn bound(&mut self) {
        let is_last = |known: &HashMap<u64, Use>, (key, number): (u64, u64)| {
            known.get(&key).is_some_and(|last| last.number == number)
        };
        while self.known.len() > MOST_SESSIONS
            && let Some(oldest) = self.order.pop_front()
        {
            if is_last(&self.known, oldest) {
                self.known.remove(&oldest.0);
            }
        }
        if self.order.len() > 2 * MOST_SESSIONS {
            self.order.retain(|used| is_last(&self.known, *used));
        }
    }
}

/// What a session is known by: processes of different machines may have the same number.
pub fn key(host: &str, found: &Found<'_>) -> Option<Box<str>> {
    let session = found.session.as_deref()?;
    Some(if host.is_empty() {
        session.into()
    } else {
        format!("{session}@{host}").into()
    })
}

#[cfg(test)]
mod tests {
    use super::super::RecordsSpec;
    use super::*;

    fn found(session: &str, unless_counted: bool) -> Found<'_> {
        Found {
            pattern: 1,
            host: "192.0.2.7".into(),
            ip: None,
            user: None,
            session: Some(session.into()),
            unless_counted,
            line: b"",
        }
    }

    fn filter() -> FilterSpec {
        FilterSpec {
            name: "sshd".parse().expect("a name"),
            mode: "normal".into(),
            title: String::new(),
            records: RecordsSpec::default(),
            session_by_pid: true,
            failures: Vec::new(),
            ignores: Vec::new(),
        }
    }

    #[test]
    fn a_closing_line_counts_only_alone() {
        let mut sessions = Sessions::default();
        let mut counts = |host: &str, session: &str, unless_counted, seconds: i64| {
            let found = found(session, unless_counted);
            let time = Timestamp::from_micros(seconds * 1_000_000);
            sessions.counts(&filter(), key(host, &found).as_deref(), &found, time)
        };
        assert!(counts("a", "1", false, 0));
        assert!(counts("a", "1", false, 1));
        assert!(!counts("a", "1", true, 2));
        assert!(counts("b", "1", true, 2), "another machine's process");
        assert!(
            counts("a", "1", true, 2 + 601),
            "a new process of that number"
        );
        sessions.restore(&filter(), "8@a", Timestamp::default());
        let late = found("8", true);
        assert!(!sessions.counts(
            &filter(),
            key("a", &late).as_deref(),
            &late,
            Timestamp::default()
        ));
    }

    #[test]
    fn sessions_are_bounded() {
        let mut sessions = Sessions::default();
        for number in 0..=MOST_SESSIONS {
            sessions.restore(&filter(), &number.to_string(), Timestamp::default());
        }
        assert_eq!(sessions.known.len(), MOST_SESSIONS);
        assert!(
            !sessions.restore(&filter(), "0", Timestamp::default()),
            "the oldest is forgotten"
        );
        for time in 0..9 * MOST_SESSIONS as i64 {
            sessions.restore(&filter(), "busy", Timestamp::from_micros(time));
        }
        assert!(sessions.order.len() <= 2 * MOST_SESSIONS);
        assert_eq!(sessions.known.len(), MOST_SESSIONS);
    }
}
