//! Who is under watch in a jail, and does the newest failure make a ban?
//!
//! In: failures, one by one. Out: the evidence when a window is full. The number of subjects is bounded;
//! what a single one costs is bounded by maxretry.

pub mod escalation;
pub mod network;
pub mod window;

use std::collections::hash_map::Entry;
use std::time::Duration;

use foldhash::HashMap;

use super::decision::FailureId;
use super::policy::MaxRetry;
use super::prefix::Prefix;
use super::time::{FindTime, Timestamp};
pub use window::{Counted, Window};

/// How many subjects one jail watches at once, if that is not too many failures. A botnet of a hundred thousand hosts fits;
/// at about 240 bytes each, the jail stays near 30 MB in the worst case.
pub const MOST_SUBJECTS: usize = 131_072;

/// How many failures the windows of one jail may be made for: with a large maxretry there are fewer of them. At 24 bytes
/// each, 40 with those of networks, they take some 60 MB at the most.
pub const MOST_FAILURES: usize = 1_000_000;

/// Which part of the subjects is forgotten at once when the bound is reached, so that the search for the
/// least suspicious ones is paid for by many new ones.
const EVICTED_PART: usize = 8;

/// How many subjects a jail of this maxretry watches at once.
pub fn most_subjects(maxretry: MaxRetry) -> usize {
    fitting(MOST_SUBJECTS, maxretry)
}

fn fitting(most: usize, maxretry: MaxRetry) -> usize {
    most.min(MOST_FAILURES / maxretry.0.get() as usize).max(1)
}

/// The windows of one jail.
#[derive(Debug)]
pub struct Windows<M = ()> {
    subjects: HashMap<Prefix, Window<M>>,
    /// How many there may be.
    most: usize,
}

impl Default for Windows {
    fn default() -> Self {
        Windows::bounded(MOST_SUBJECTS)
    }
}

impl<M: Copy> Windows<M> {
    /// Windows of so many subjects at the most.
    pub fn bounded(most: usize) -> Self {
        Windows {
            subjects: HashMap::default(),
            most,
        }
    }

    /// Counts a failure; answers with the evidence if it is the one that makes maxretry within findtime that are
    /// `enough`.
    pub fn count(
        &mut self,
        subject: Prefix,
        failure: Counted<M>,
        maxretry: MaxRetry,
        findtime: FindTime,
        enough: impl Fn(&[Counted<M>]) -> bool,
    ) -> Option<Vec<FailureId>> {
        match self.subjects.entry(subject) {
            Entry::Vacant(place) => {
                let mut window = Window::default();
                let evidence = window.count(failure, maxretry, findtime, enough);
                if evidence.is_none() {
                    place.insert(window);
                }
                evidence
            }
            Entry::Occupied(mut place) => {
                let window = place.get_mut();
                let evidence = window.count(failure, maxretry, findtime, enough);
                if evidence.is_some() {
                    place.remove();
                }
                evidence
            }
        }
    }

    /// Puts back a failure of an earlier run, which decided nothing then and decides nothing now.
    pub fn restore(&mut self, subject: Prefix, failure: Counted<M>, maxretry: MaxRetry) {
        let window = self.subjects.entry(subject).or_default();
        window.restore(failure, maxretry);
    }

    /// Makes room for a further subject at `now`, if each may fill a window of so many failures; answers how many were
    /// forgotten that may still have counted.
    pub fn make_room(&mut self, now: Timestamp, findtime: FindTime, maxretry: MaxRetry) -> usize {
        let most = fitting(self.most, maxretry);
        if self.subjects.len() >= most {
            self.forget_stale(now, findtime);
        }
        match self.subjects.len() >= most {
            true => self.evict(),
            false => 0,
        }
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
    fn evict(&mut self) -> usize {
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

    /// Forgets the subjects inside a network.
    pub fn forget_inside(&mut self, network: Prefix) {
        self.forget_all(|subject| network.holds(subject));
    }

    /// Forgets all subjects of which this is so.
    pub fn forget_all(&mut self, gone: impl Fn(Prefix) -> bool) {
        self.subjects.retain(|subject, _| !gone(*subject));
    }

    /// The window of exactly this subject.
    pub fn get(&self, subject: Prefix) -> Option<&Window<M>> {
        self.subjects.get(&subject)
    }

    /// The same, to change it.
    pub fn get_mut(&mut self, subject: Prefix) -> Option<&mut Window<M>> {
        self.subjects.get_mut(&subject)
    }

    /// The windows of subjects that share an address with `subject`.
    pub fn overlapping(&self, subject: Prefix) -> impl Iterator<Item = (Prefix, &Window<M>)> {
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
                let recent = window
                    .failures()
                    .filter(|(time, ..)| *time >= start)
                    .count();
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

    fn count(windows: &mut Windows, number: u32, micros: i64, id: u64) -> Option<Vec<FailureId>> {
        let failure = (Timestamp::from_micros(micros), FailureId(id), ());
        windows.count(subject(number), failure, FIVE, TEN_MINUTES, |_| true)
    }

    #[test]
    fn eviction_spares_who_is_close_to_a_ban() {
        let mut windows = Windows::default();
        for id in 0..4 {
            assert_eq!(count(&mut windows, 1, 0, id), None);
        }
        for number in 2..MOST_SUBJECTS as u32 + 1 {
            assert_eq!(count(&mut windows, number, i64::from(number), 9), None);
        }
        let now = Timestamp::from_micros(0);
        let evicted = windows.make_room(now, TEN_MINUTES, FIVE);
        assert_eq!(evicted, MOST_SUBJECTS / EVICTED_PART);
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

    #[test]
    fn large_windows_are_fewer() {
        let large = MaxRetry(NonZeroU32::new(1_000).expect("not zero"));
        assert_eq!(most_subjects(FIVE), MOST_SUBJECTS);
        assert_eq!(most_subjects(large), MOST_FAILURES / 1_000);
        let mut windows = Windows::default();
        for number in 0..MOST_FAILURES as u32 / 1_000 {
            assert_eq!(count(&mut windows, number, i64::from(number), 9), None);
        }
        let now = Timestamp::from_micros(0);
        assert!(windows.make_room(now, TEN_MINUTES, large) > 0);
        assert_eq!(windows.make_room(now, TEN_MINUTES, FIVE), 0);
    }
}
