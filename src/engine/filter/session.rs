//! Has this session counted a failure already?
//!
//! In: what was found, from which machine and when. Out: whether it counts. The closing line of a
//! connection whose failed attempts were logged before is not one more attempt. If these were of another address, it is
//! another connection: a busy machine gives the number of a process again within minutes. No failure is kept here.

use std::borrow::Cow;
use std::net::IpAddr;
use std::time::Duration;

use super::hashed::{ByHash, Names};
use super::{FilterSpec, Found};
use crate::engine::time::Timestamp;

/// The most sessions that are remembered, some megabytes at worst. An attacker who opens more at once
/// makes closing lines count, which only helps to ban him.
const MOST_SESSIONS: usize = 16_384;

/// A session that was silent for so long is over; its process number may mean another one by now. OpenSSH
/// gives a client two minutes to log in.
const IDLE: Duration = Duration::from_secs(600);

/// What ties a record to others of its session. How it is written is what it is known by.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Session<'r> {
    /// The number of the process that logged it.
    Process(u32),
    /// What a pattern captured.
    Captured(Cow<'r, str>),
}

/// The most digits that the number of a process has.
const MOST_DIGITS: usize = 10;

impl Session<'_> {
    /// How it is written. Numbers are put into `digits`, so that a failure costs no memory.
    fn text<'t>(&'t self, digits: &'t mut [u8; MOST_DIGITS]) -> &'t str {
        let mut rest = match self {
            Session::Captured(text) => return text,
            Session::Process(pid) => *pid,
        };
        let mut start = MOST_DIGITS;
        loop {
            start -= 1;
            digits[start] = b'0' + (rest % 10) as u8;
            rest /= 10;
            if rest == 0 {
                return std::str::from_utf8(&digits[start..]).unwrap_or_default();
            }
        }
    }
}

/// The sessions that counted something, those that were not used lately first to be forgotten.
#[derive(Debug, Default)]
pub struct Sessions {
    names: Names,
    /// When each was used last. At half the bound they become the earlier ones, and those are forgotten.
    recent: Times,
    earlier: Times,
}

/// Odd, so that different numbers of processes stay different when they are multiplied, and spread over all bits: 2^64
/// divided by the golden ratio.
const SPREAD: u64 = 0x9e37_79b9_7f4a_7c15;

type Times = ByHash<u64, Counted>;

/// What a session counted last.
#[derive(Clone, Copy, Debug)]
struct Counted {
    time: Timestamp,
    /// Whose it was, if that is known.
    address: Option<IpAddr>,
}

impl Counted {
    /// Whether both may be of one session.
    fn goes_with(self, later: Counted) -> bool {
        let is_other = self
            .address
            .is_some_and(|own| later.address.is_some_and(|other| own != other));
        !is_other && later.time.since(self.time) <= IDLE
    }
}

impl Sessions {
    /// Whether the failure, of a record of `host`, counts; it is noted if it does.
    pub fn counts(
        &mut self,
        filter: &FilterSpec,
        host: &str,
        found: &Found<'_>,
        time: Timestamp,
    ) -> bool {
        let Some(session) = &found.session else {
            return true;
        };
        let hash = match session {
            Session::Process(pid) => self.process(filter, *pid, host),
            Session::Captured(text) => self.written(filter, &parts(text, host).concat()),
        };
        let counted = Counted {
            time,
            address: found.ip,
        };
        let before = self.note(hash, counted, found.unless_counted);
        before.is_none_or(|before| !before.goes_with(counted))
    }

    /// Marks the session as used and counted, one that counted before a restart; `key` is what [`key`] made of it.
    pub fn restore(&mut self, filter: &FilterSpec, key: &str, time: Timestamp) {
        let hash = self.written(filter, key);
        let counted = Counted {
            time,
            address: None,
        };
        self.note(hash, counted, false);
    }

    /// The hash of what a session is known by: of a process if it is written as one.
    fn written(&mut self, filter: &FilterSpec, key: &str) -> u64 {
        let (number, host) = key.split_once('@').unwrap_or((key, ""));
        let is_usual = number == "0" || !number.starts_with(['+', '0']);
        match number.parse() {
            Ok(pid) if is_usual => self.process(filter, pid, host),
            _ => {
                let there = self.names.whereabouts(None, filter, "");
                self.names.hash(there, key).half()
            }
        }
    }

    /// The hash of a process, which is the same as if its number was captured.
    fn process(&mut self, filter: &FilterSpec, pid: u32, host: &str) -> u64 {
        let there = self.names.whereabouts(None, filter, host);
        // A table chooses places by the lowest and highest bits; the lowest of a product are those of the number. Who could
        // choose the numbers of processes could choose places too, which costs little where there are so few.
        there
            .half()
            .wrapping_add(u64::from(pid).wrapping_mul(SPREAD).rotate_left(32))
    }

    /// Notes that a session was used; answers what it counted before, if somebody `asks`.
    fn note(&mut self, session: u64, counted: Counted, asks: bool) -> Option<Counted> {
        let recent = self.recent.insert(session, counted);
        let before = match asks {
            true => recent.or_else(|| self.earlier.get(&session).copied()),
            false => None,
        };
        if self.recent.len() >= MOST_SESSIONS / 2 {
            std::mem::swap(&mut self.earlier, &mut self.recent);
            self.recent.clear();
        }
        before
    }
}

/// What a session is known by: processes of different machines may have the same number.
pub fn key(host: &str, found: &Found<'_>) -> Option<Box<str>> {
    let mut digits = Default::default();
    let session = found.session.as_ref()?.text(&mut digits);
    Some(parts(session, host).concat().into())
}

/// One after the other they are the key.
fn parts<'s>(session: &'s str, host: &'s str) -> [&'s str; 3] {
    match host {
        "" => [session, "", ""],
        host => [session, "@", host],
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Outcome, RecordsSpec};
    use super::*;

    fn found(session: &str, unless_counted: bool) -> Found<'_> {
        Found {
            pattern: 1,
            host: "192.0.2.7".into(),
            ip: None,
            user: None,
            target: None,
            forwarded: None,
            session: Some(Session::Captured(session.into())),
            unless_counted,
            said: None,
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
            outcome: Outcome::Failure,
            successes: Vec::new(),
            ignores: Vec::new(),
            others: Vec::new(),
            lines: None,
        }
    }

    #[test]
    fn a_closing_line_counts_only_alone() {
        let mut sessions = Sessions::default();
        let mut counts = |host: &str, session: &str, unless_counted, seconds: i64| {
            let found = found(session, unless_counted);
            let time = Timestamp::from_micros(seconds * 1_000_000);
            sessions.counts(&filter(), host, &found, time)
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
        assert!(!sessions.counts(&filter(), "a", &late, Timestamp::default()));
        assert_eq!(key("a", &late).as_deref(), Some("8@a"));
    }

    #[test]
    fn a_process_that_fails_from_elsewhere_is_another_one() {
        let mut sessions = Sessions::default();
        let mut counts = |address: &str, unless_counted| {
            let found = Found {
                ip: Some(address.parse().expect("an address")),
                ..found("1", unless_counted)
            };
            sessions.counts(&filter(), "a", &found, Timestamp::default())
        };
        assert!(counts("192.0.2.7", false));
        assert!(!counts("192.0.2.7", true));
        assert!(counts("192.0.2.8", true));
        assert!(!counts("192.0.2.8", true));
        sessions.restore(&filter(), "1@a", Timestamp::default());
        let mut counts = |address: &str| {
            let found = Found {
                ip: Some(address.parse().expect("an address")),
                ..found("1", true)
            };
            sessions.counts(&filter(), "a", &found, Timestamp::default())
        };
        assert!(!counts("192.0.2.9"), "of the last run nobody knows whose");
    }

    #[test]
    fn a_process_is_known_by_its_number() {
        for pid in [0, 7, 10, 4_194_304, u32::MAX] {
            let found = Found {
                session: Some(Session::Process(pid)),
                ..found("", false)
            };
            assert_eq!(key("", &found), Some(pid.to_string().into()));
            assert_eq!(key("a", &found), Some(format!("{pid}@a").into()));
        }
    }

    #[test]
    fn a_number_that_was_captured_or_stored_is_a_process() {
        let time = Timestamp::default();
        for (stored, captured, pid, host) in [
            ("8", "8", 8, ""),
            ("8@a", "8", 8, "a"),
            ("0@a@b", "0", 0, "a@b"),
        ] {
            let process = Found {
                session: Some(Session::Process(pid)),
                ..found("", true)
            };
            let mut sessions = Sessions::default();
            sessions.restore(&filter(), stored, time);
            assert!(!sessions.counts(&filter(), host, &process, time));
            assert!(!sessions.counts(&filter(), host, &found(captured, true), time));
            for other in ["08", "+8", "9", ""] {
                assert!(sessions.counts(&filter(), host, &found(other, true), time));
            }
            assert!(sessions.counts(&filter(), "elsewhere", &process, time));
        }
    }

    #[test]
    fn filters_and_modes_have_sessions_of_their_own() {
        let mut sessions = Sessions::default();
        let time = Timestamp::default();
        let process = Found {
            session: Some(Session::Process(8)),
            ..found("", true)
        };
        let mut other = filter();
        other.name = "other".parse().expect("a name");
        let mut stricter = filter();
        stricter.mode = "extra".into();
        for filter in [filter(), other, stricter] {
            assert!(sessions.counts(&filter, "a", &process, time));
            assert!(!sessions.counts(&filter, "a", &process, time));
        }
    }

    #[test]
    fn sessions_are_bounded() {
        let mut sessions = Sessions::default();
        let mut counts = |session: usize| {
            let session = session.to_string();
            sessions.counts(&filter(), "", &found(&session, true), Timestamp::default())
        };
        assert!(counts(usize::MAX));
        for number in 0..9 * MOST_SESSIONS {
            assert!(counts(number));
            assert!(!counts(usize::MAX), "used lately");
        }
        assert!(counts(0), "the oldest is forgotten");
        assert!(sessions.recent.len() + sessions.earlier.len() <= MOST_SESSIONS);
    }
}
