//! Who is under watch in a jail, and does the newest failure make a ban?
//!
//! In: failures, one by one. Out: the evidence when a window is full. The number of subjects is bounded;
//! what a single one costs is bounded by maxretry.

pub mod accounts;
pub mod class;
pub mod escalation;
pub mod network;
pub mod response;
pub mod siege;
pub mod window;

use std::hash::Hash;
use std::time::Duration;

use foldhash::HashMap;

use super::policy::MaxRetry;
use super::prefix::Prefix;
use super::subject::Subject;
use super::time::{FindTime, Timestamp};
pub use window::{Counted, Threshold, Window, ids};

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
pub struct Windows<K, M> {
    subjects: HashMap<K, Window<M>>,
    /// How many there may be.
    most: usize,
}

impl<K: Clone + Ord + Hash, M: Copy + Eq> Windows<K, M> {
    /// Windows of so many subjects at the most.
    pub fn bounded(most: usize) -> Self {
        Windows {
            subjects: HashMap::default(),
            most,
        }
    }

    /// Counts a failure; answers with those that tell so if it is the one that makes too many that are `enough`. The
    /// window stays.
    pub fn count(
        &mut self,
        subject: K,
        failure: Counted<M>,
        threshold: Threshold,
        enough: impl Fn(&[Counted<M>]) -> bool,
    ) -> Option<Vec<Counted<M>>> {
        let window = self.subjects.entry(subject).or_default();
        window.count(failure, threshold, enough)
    }

    /// Puts back a failure of an earlier run, which decided nothing then and decides nothing now.
    pub fn restore(&mut self, subject: K, failure: Counted<M>, threshold: Threshold) {
        let window = self.subjects.entry(subject).or_default();
        window.restore(failure, threshold);
    }

    /// Makes room for a further subject at `now`, if each may fill a window up to the threshold; answers how many were
    /// forgotten that may still have counted.
    pub fn make_room(&mut self, now: Timestamp, threshold: Threshold) -> usize {
        let most = fitting(self.most, threshold.maxretry);
        if self.subjects.len() >= most {
            self.forget_stale(now, threshold.findtime);
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
            .map(|(subject, window)| (window.len(), window.last(), subject))
            .collect();
        let part = (ranks.len() / EVICTED_PART).max(1).min(ranks.len());
        if part == 0 {
            return 0;
        }
        ranks.select_nth_unstable(part - 1);
        let least = ranks[..part].iter();
        let least: Vec<K> = least.map(|(_, _, subject)| K::clone(subject)).collect();
        for subject in least {
            self.subjects.remove(&subject);
        }
        part
    }

    /// Forgets one subject.
    pub fn forget(&mut self, subject: &K) {
        self.subjects.remove(subject);
    }

    /// Forgets failures of one subject.
    pub fn retain_of(&mut self, subject: &K, stays: impl Fn(Counted<M>) -> bool) {
        if let Some(window) = self.subjects.get_mut(subject) {
            window.retain(stays);
            if window.is_empty() {
                self.subjects.remove(subject);
            }
        }
    }

    /// Forgets failures of all subjects.
    pub fn retain_all(&mut self, stays: impl Fn(Counted<M>) -> bool) {
        self.subjects.retain(|_, window| {
            window.retain(&stays);
            !window.is_empty()
        });
    }

    /// The window of exactly this subject.
    pub fn get(&self, subject: &K) -> Option<&Window<M>> {
        self.subjects.get(subject)
    }

    /// This subject, as it was written when it failed first.
    pub fn key(&self, subject: &K) -> Option<&K> {
        let known = self.subjects.get_key_value(subject);
        known.map(|(subject, _)| subject)
    }

    /// All windows.
    pub fn iter(&self) -> impl Iterator<Item = (&K, &Window<M>)> {
        self.subjects.iter()
    }

    /// Forgets all subjects of which this is so.
    pub fn forget_all(&mut self, gone: impl Fn(&K) -> bool) {
        self.subjects.retain(|subject, _| !gone(subject));
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

impl<M: Copy + Eq> Windows<Subject, M> {
    /// Forgets the subjects inside a network.
    pub fn forget_inside(&mut self, network: Prefix) {
        self.forget_all(|subject| subject.network().is_some_and(|own| network.holds(own)));
    }

    /// The windows of subjects that share an address with `subject` or are of that name.
    pub fn overlapping(&self, subject: &Subject) -> impl Iterator<Item = (&Subject, &Window<M>)> {
        self.iter()
            .filter(move |(other, _)| other.overlaps(subject))
    }
}

#[cfg(test)]
mod tests {
    use std::num::NonZeroU32;

    use super::super::decision::FailureId;
    use super::*;

    const FIVE: MaxRetry = MaxRetry(NonZeroU32::new(5).expect("not zero"));
    const TEN_MINUTES: FindTime = FindTime(Duration::from_secs(600));

    fn subject(number: u32) -> Subject {
        Prefix::host(std::net::Ipv4Addr::from(number).into()).into()
    }

    fn at_most(maxretry: MaxRetry) -> Threshold {
        Threshold {
            maxretry,
            findtime: TEN_MINUTES,
            is_distinct: false,
        }
    }

    fn count(windows: &mut Windows<Subject, ()>, number: u32, micros: i64, id: u64) {
        let failure = (Timestamp::from_micros(micros), FailureId(id), ());
        let evidence = windows.count(subject(number), failure, at_most(FIVE), |_| true);
        assert_eq!(evidence, None);
    }

    #[test]
    fn eviction_spares_who_is_close_to_a_ban() {
        let mut windows = Windows::bounded(MOST_SUBJECTS);
        for id in 0..4 {
            count(&mut windows, 1, 0, id);
        }
        for number in 2..MOST_SUBJECTS as u32 + 1 {
            count(&mut windows, number, i64::from(number), 9);
        }
        let now = Timestamp::from_micros(0);
        let evicted = windows.make_room(now, at_most(FIVE));
        assert_eq!(evicted, MOST_SUBJECTS / EVICTED_PART);
        assert_eq!(
            windows.overlapping(&subject(1)).count(),
            1,
            "four failures are remembered"
        );
        assert_eq!(
            windows.overlapping(&subject(2)).count(),
            0,
            "the longest quiet single one is gone"
        );
        let last = subject(MOST_SUBJECTS as u32);
        assert_eq!(
            windows.overlapping(&last).count(),
            1,
            "the newest single one is remembered"
        );
    }

    #[test]
    fn large_windows_are_fewer() {
        let large = MaxRetry(NonZeroU32::new(1_000).expect("not zero"));
        assert_eq!(most_subjects(FIVE), MOST_SUBJECTS);
        assert_eq!(most_subjects(large), MOST_FAILURES / 1_000);
        let mut windows = Windows::bounded(MOST_SUBJECTS);
        for number in 0..MOST_FAILURES as u32 / 1_000 {
            count(&mut windows, number, i64::from(number), 9);
        }
        let now = Timestamp::from_micros(0);
        assert!(windows.make_room(now, at_most(large)) > 0);
        assert_eq!(windows.make_room(now, at_most(FIVE)), 0);
    }
}
