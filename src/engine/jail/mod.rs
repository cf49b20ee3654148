//! Who is under watch in a jail, and does the newest failure make a ban?
//!
//! In: failures, one by one. Out: the evidence when a window is full. The number of subjects is bounded;
//! what a single one costs is bounded by maxretry.

pub mod escalation;
pub mod window;

use std::collections::hash_map::Entry;
use std::time::Duration;

use foldhash::HashMap;

use super::decision::FailureId;
use super::policy::MaxRetry;
use super::prefix::Prefix;
use super::time::{FindTime, Timestamp};
pub use window::Window;

/// How many subjects one jail watches at once. A botnet of a hundred thousand hosts fits; at about 240 bytes
/// each, the jail stays near 30 MB in the worst case.
pub const MOST_SUBJECTS: usize = 131_072;

/// Which part of the subjects is forgotten at once when the bound is reached, so that the search for the
/// least suspicious ones is paid for by many new ones.
const EVICTED_PART: usize = 8;

/// The windows of one jail.
#[derive(Debug, Default)]
pub struct Windows {
    subjects: HashMap<Prefix, Window>,
}

impl Windows {
    /// Counts a failure; answers with the evidence if it is the one that makes maxretry within findtime.
    pub fn count(
        &mut self,
        subject: Prefix,
        time: Timestamp,
        id: FailureId,
        maxretry: MaxRetry,
        findtime: FindTime,
    ) -> Option<Vec<FailureId>> {
        match self.subjects.entry(subject) {
            Entry::Vacant(place) => {
                let mut window = Window::default();
                let evidence = window.count(time, id, maxretry, findtime);
                if evidence.is_none() {
                    place.insert(window);
                }
                evidence
            }
            Entry::Occupied(mut place) => {
                let evidence = place.get_mut().count(time, id, maxretry, findtime);
                if evidence.is_some() {
                    place.remove();
                }
                evidence
            }
        }
    }

    /// Puts back a failure of an earlier run, which decided nothing then and decides nothing now.
    pub fn restore(&mut self, subject: Prefix, time: Timestamp, id: FailureId, maxretry: MaxRetry) {
        self.subjects
            .entry(subject)
            .or_default()
            .restore(time, id, maxretry);
    }

    /// Whether a further subject would pass the bound.
    pub fn is_full(&self) -> bool {
        self.subjects.len() >= MOST_SUBJECTS
    }

    /// Forgets subjects whose last failure is further back than findtime.
    pub fn forget_stale(&mut self, now: Timestamp, findtime: FindTime) {
        self.subjects
            .retain(|_, window| window.newest().after(findtime.0) >= now);
        if self.subjects.capacity() > 4 * self.subjects.len().max(64) {
            self.subjects.shrink_to_fit();
        }
    }

    /// Forgets the least suspicious part: the fewest failures first, among them the longest quiet. A flood
    /// of single failures therefore never pushes out a subject that is close to its ban.
    pub fn evict(&mut self) -> usize {
        let mut ranks: Vec<_> = self
            .subjects
            .iter()
            .map(|(subject, window)| (window.len(), window.newest(), *subject))
            .collect();
        let part = (ranks.len() / EVICTED_PART).max(1).min(ranks.len());
        if part == 0 {
            return 0;
        }
        ranks.select_nth_unstable(part - 1);
        for (_, _, subject) in &ranks[..part] {
            self.subjects.remove(subject);
        }
        part
    }

    /// Forgets one subject.
    pub fn forget(&mut self, subject: Prefix) {
        self.subjects.remove(&subject);
    }

    /// The windows of subjects that share an address with `subject`.
    pub fn overlapping(&self, subject: Prefix) -> impl Iterator<Item = (Prefix, &Window)> {
        self.subjects
            .iter()
            .filter(move |(other, _)| other.overlaps(subject))
            .map(|(other, window)| (*other, window))
    }

    /// How many subjects have failed within `findtime` before `now`, and how many failures that are.
    pub fn sums(&self, now: Timestamp, findtime: Duration) -> (usize, usize) {
        let start = now.before(findtime);
        self.subjects
            .values()
            .fold((0, 0), |(subjects, failures), window| {
                let recent = window.failures().filter(|(time, _)| *time >= start).count();
                (subjects + usize::from(recent > 0), failures + recent)
            })
    }

    /// Whether nobody is under watch.
    pub fn is_empty(&self) -> bool {
        self.subjects.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use std::num::NonZeroU32;

    use super::*;

    const FIVE: MaxRetry = MaxRetry(NonZeroU32::new(5).expect("not zero"));
    const TEN_MINUTES: FindTime = FindTime(Duration::from_secs(600));

    fn subject(number: u32) -> Prefix {
        Prefix::host(std::net::Ipv4Addr::from(number).into())
    }

    #[test]
    fn eviction_spares_who_is_close_to_a_ban() {
        let mut windows = Windows::default();
        for id in 0..4 {
            let none = windows.count(
                subject(1),
                Timestamp::from_micros(0),
                FailureId(id),
                FIVE,
                TEN_MINUTES,
            );
            assert_eq!(none, None);
        }
        for number in 2..MOST_SUBJECTS as u32 + 1 {
            let time = Timestamp::from_micros(i64::from(number));
            let _ = windows.count(subject(number), time, FailureId(9), FIVE, TEN_MINUTES);
        }
        assert!(windows.is_full());
        assert_eq!(windows.evict(), MOST_SUBJECTS / EVICTED_PART);
        assert_eq!(
            windows.overlapping(subject(1)).count(),
            1,
            "four failures are remembered"
        );
        assert_eq!(
            windows.overlapping(subject(2)).count(),
            0,
            "the longest quiet single one is gone"
        );
        let last = subject(MOST_SUBJECTS as u32);
        assert_eq!(
            windows.overlapping(last).count(),
            1,
            "the newest single one is remembered"
        );
    }
}
