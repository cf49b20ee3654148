//! The sliding window of one subject: exact, by the records' own times.

use super::super::decision::FailureId;
use super::super::policy::MaxRetry;
use super::super::time::{FindTime, Timestamp};

/// A failure, and what else it is remembered for.
pub type Counted<M> = (Timestamp, FailureId, M);

/// The numbers of failures.
pub fn ids<M>(failures: &[Counted<M>]) -> Vec<FailureId> {
    failures.iter().map(|(_, id, _)| *id).collect()
}

/// How many failures are too many.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Threshold {
    /// So many
    pub maxretry: MaxRetry,
    /// within this time.
    pub findtime: FindTime,
    /// Whether those that are remembered for the same count as one, the newest of them.
    pub is_distinct: bool,
}

/// The newest failures of one subject, oldest first; between two decisions at most maxretry - 1 of them.
#[derive(Clone, Debug)]
pub struct Window<M> {
    failures: Vec<Counted<M>>,
}

impl<M> Default for Window<M> {
    fn default() -> Self {
        Window {
            failures: Vec::new(),
        }
    }
}

impl<M: Copy + Eq> Window<M> {
    /// Counts a failure; answers with those that tell so if it makes maxretry failures within findtime that are `enough`.
    ///
    /// A late record takes its place in time. When the window holds maxretry failures that are further apart, the
    /// end that is farther from the new one is forgotten: in a stream in order that is the oldest, which no
    /// later failure can need, and a record from a clock that was wrong cannot hide what comes after it.
    pub fn count(
        &mut self,
        failure: Counted<M>,
        threshold: Threshold,
        enough: impl Fn(&[Counted<M>]) -> bool,
    ) -> Option<Vec<Counted<M>>> {
        let time = failure.0;
        let place = self.insert(failure, threshold)?;
        let full = threshold.maxretry.0.get() as usize;
        let first = place.saturating_sub(full - 1);
        let mut around = self.failures[first..].windows(full).take(place - first + 1);
        let evidence = around.find(|around| {
            around[full - 1].0.since(around[0].0) <= threshold.findtime.0 && enough(around)
        });
        let evidence = evidence.map(<[_]>::to_vec);
        // If one that counts already may count again, all that tell so are needed still.
        let most = if threshold.is_distinct {
            full
        } else {
            full - 1
        };
        // More than one too many only after maxretry was lowered by a reload.
        while self.failures.len() > most {
            let before = time.since(self.failures[0].0);
            let farther_end = if self.newest().since(time) > before {
                self.failures.len() - 1
            } else {
                0
            };
            self.failures.remove(farther_end);
        }
        evidence
    }

    /// Puts back a failure of an earlier run.
    pub fn restore(&mut self, failure: Counted<M>, threshold: Threshold) {
        self.insert(failure, threshold);
        let full = threshold.maxretry.0.get() as usize;
        while self.failures.len() >= full && !self.failures.is_empty() {
            self.failures.remove(0);
        }
    }

    /// Puts a failure where its time belongs, and tells where that is; `None` if a newer one counts instead.
    fn insert(&mut self, failure: Counted<M>, threshold: Threshold) -> Option<usize> {
        let order = |failure: &Counted<M>| (failure.0, failure.1);
        if threshold.is_distinct {
            let mut alike = self.failures.iter();
            if let Some(at) = alike.position(|(.., other)| *other == failure.2) {
                if order(&self.failures[at]) > order(&failure) {
                    return None;
                }
                self.failures.remove(at);
            }
        }
        let place = self
            .failures
            .partition_point(|other| order(other) <= order(&failure));
        self.failures.insert(place, failure);
        Some(place)
    }

    /// Forgets failures.
    pub fn retain(&mut self, stays: impl Fn(Counted<M>) -> bool) {
        self.failures.retain(|failure| stays(*failure));
    }

    /// The time of the newest failure.
    pub fn newest(&self) -> Timestamp {
        self.failures
            .last()
            .map_or(Timestamp::default(), |(time, _, _)| *time)
    }

    /// Time and number of the newest failure.
    pub fn last(&self) -> Option<(Timestamp, FailureId)> {
        self.failures.last().map(|(time, id, _)| (*time, *id))
    }

    /// The failures, oldest first.
    pub fn failures(&self) -> impl Iterator<Item = Counted<M>> {
        self.failures.iter().copied()
    }

    /// How many failures the window holds.
    pub fn len(&self) -> usize {
        self.failures.len()
    }

    /// Whether the window holds nothing.
    pub fn is_empty(&self) -> bool {
        self.failures.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use std::num::NonZeroU32;
    use std::time::Duration;

    use proptest::prelude::*;

    use super::*;

    fn at_most(count: u32, findtime: u64) -> Threshold {
        Threshold {
            maxretry: MaxRetry(NonZeroU32::new(count).expect("not zero")),
            findtime: FindTime(Duration::from_micros(findtime)),
            is_distinct: false,
        }
    }

    fn feed(window: &mut Window<()>, times: &[i64], count: u32, findtime: u64) -> Vec<usize> {
        let bans = times.iter().enumerate().filter_map(|(at, time)| {
            let id = FailureId(at as u64);
            let failure = (Timestamp::from_micros(*time), id, ());
            let evidence = window.count(failure, at_most(count, findtime), |_| true)?;
            *window = Window::default();
            assert_eq!(evidence.len(), count as usize);
            Some(at)
        });
        bans.collect()
    }

    #[test]
    fn the_failure_that_makes_maxretry_within_findtime_bans() {
        assert_eq!(
            feed(&mut Window::default(), &[0, 50, 100], 3, 100),
            [2],
            "the border belongs to the window"
        );
        assert_eq!(feed(&mut Window::default(), &[0, 50, 101], 3, 100), [0; 0]);
        assert_eq!(
            feed(&mut Window::default(), &[0, 50, 101, 150], 3, 100),
            [3],
            "the window slides"
        );
        assert_eq!(feed(&mut Window::default(), &[7, 7], 1, 0), [0, 1]);
    }

    #[test]
    fn a_late_record_takes_its_place_in_time() {
        assert_eq!(feed(&mut Window::default(), &[0, 100, 50], 3, 100), [2]);
        assert_eq!(
            feed(&mut Window::default(), &[200, 300, 50], 3, 100),
            [0; 0]
        );
    }

    #[test]
    fn a_record_from_a_clock_that_was_wrong_hides_nothing() {
        let times = [9_000, 1, 2, 3];
        assert_eq!(feed(&mut Window::default(), &times, 3, 100), [3]);
    }

    #[test]
    fn a_restored_window_decides_with_the_next_failure() {
        let mut window = Window::default();
        for time in [1, 2, 3, 4, 5, 6] {
            let failure = (Timestamp::from_micros(time), FailureId(time as u64), ());
            window.restore(failure, at_most(3, 100));
        }
        assert_eq!(window.len(), 2, "never more than maxretry - 1");
        assert_eq!(feed(&mut window, &[7], 3, 100), [0]);
    }

    #[test]
    fn of_those_for_the_same_only_the_newest_counts() {
        let mut window = Window::default();
        let threshold = Threshold {
            is_distinct: true,
            ..at_most(3, 100)
        };
        let mut count = |time: i64, member: char| {
            let failure = (Timestamp::from_micros(time), FailureId(time as u64), member);
            let evidence = window.count(failure, threshold, |_| true);
            evidence.map(|evidence| evidence.iter().map(|(_, id, _)| id.0).collect::<Vec<_>>())
        };
        for (time, member) in [(0, 'a'), (10, 'b'), (20, 'b'), (30, 'a'), (40, 'b')] {
            assert_eq!(count(time, member), None, "{time}");
        }
        assert_eq!(count(120, 'c'), Some(vec![30, 40, 120]));
        assert_eq!(count(35, 'b'), None, "a late one");
        assert_eq!(count(151, 'a'), None, "b is too old");
        assert_eq!(count(152, 'b'), Some(vec![120, 151, 152]));
        assert_eq!(count(153, 'c'), Some(vec![151, 152, 153]));
    }

    proptest! {
        /// Against the definition: in a stream in order, a failure bans exactly when maxretry failures since the
        /// last ban lie within findtime.
        #[test]
        fn it_agrees_with_the_definition(
            steps in prop::collection::vec(0_i64..60, 0..200),
            count in 1_u32..6,
            findtime in 0_u64..200,
        ) {
            let times: Vec<i64> = steps.iter().scan(0, |time, step| { *time += step; Some(*time) }).collect();
            let mut expected = Vec::new();
            let mut since = 0;
            for at in 0..times.len() {
                let first = (at + 1).checked_sub(count as usize);
                if first.is_some_and(|first| first >= since && times[at] - times[first] <= findtime as i64) {
                    expected.push(at);
                    since = at + 1;
                }
            }
            prop_assert_eq!(feed(&mut Window::default(), &times, count, findtime), expected);
        }
    }
}
