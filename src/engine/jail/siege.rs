//! Is a jail under siege?
//!
//! In: the times of the failures that count in it. Out: whether so many come that stricter settings hold, and when that
//! began and ended. All of it goes by the records' own times; the present only tells when an end can be announced.

use std::collections::BTreeMap;
use std::fmt;
use std::num::NonZeroU32;
use std::str::FromStr;
use std::time::Duration;

use super::super::policy::MaxRetry;
use super::super::time::Timestamp;

/// Into so many slots the time of a rate is cut: what is counted lies within it, and is a tenth of it short at most.
const SLOTS: i64 = 10;

/// Slots that are remembered at most: a minute at a rate by the second. So far apart may the sources of a jail be that are
/// counted together. At some 20 bytes each, a jail takes 12 kB however many fail.
const MOST_SLOTS: usize = 600;

/// The largest number of a rate.
pub const MOST_FAILURES: u32 = 1_000_000;

/// How many failures come within a time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rate {
    /// So many
    pub failures: NonZeroU32,
    /// within this.
    pub per: Unit,
}

/// The time of a rate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unit {
    /// `s`
    Second,
    /// `m`
    Minute,
    /// `h`
    Hour,
}

impl Unit {
    /// How long it is.
    pub fn span(self) -> Duration {
        Duration::from_secs(match self {
            Unit::Second => 1,
            Unit::Minute => 60,
            Unit::Hour => 3600,
        })
    }
}

/// As the administrator writes it: `50/s`.
impl fmt::Display for Rate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let unit = match self.per {
            Unit::Second => 's',
            Unit::Minute => 'm',
            Unit::Hour => 'h',
        };
        write!(f, "{}/{unit}", self.failures)
    }
}

/// The text is no rate.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is no number from 1 to {MOST_FAILURES} with /s, /m or /h")]
pub struct RateError(String);

impl FromStr for Rate {
    type Err = RateError;

    fn from_str(text: &str) -> Result<Self, RateError> {
        let wrong = || RateError(text.to_owned());
        let (failures, unit) = text.split_once('/').ok_or_else(wrong)?;
        let failures: NonZeroU32 = failures.trim().parse().map_err(|_| wrong())?;
        let per = match unit.trim() {
            "s" => Unit::Second,
            "m" => Unit::Minute,
            "h" => Unit::Hour,
            _ => return Err(wrong()),
        };
        match failures.get() <= MOST_FAILURES {
            true => Ok(Rate { failures, per }),
            false => Err(wrong()),
        }
    }
}

/// When a jail is under siege, and what holds then.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SiegeRule {
    /// When failures come faster than this,
    pub rate: Rate,
    /// so many make a ban,
    pub maxretry: MaxRetry,
    /// until they have come at less than half the rate for so long.
    pub calm: Duration,
}

impl SiegeRule {
    /// How far back failures matter.
    pub fn memory(&self) -> Duration {
        self.calm.saturating_add(self.rate.per.span())
    }
}

/// A siege that is over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Over {
    /// When it began.
    pub since: Timestamp,
    /// When it had calmed.
    pub end: Timestamp,
}

/// How fast failures come to one jail.
#[derive(Debug, Default)]
pub struct Siege {
    /// How many failures each slot of time had that had any.
    slots: BTreeMap<i64, u32>,
    /// When the last siege began, as long as no failure has come after its end.
    begun: Option<Timestamp>,
    /// When failures last came at half the rate or more.
    pressed: Option<Timestamp>,
    /// Whether it was announced, and its end was not.
    told: bool,
}

impl Siege {
    /// Ends a siege that had calmed before a failure at `time`; answers with it if its end has to be announced.
    pub fn end_before(&mut self, rule: &SiegeRule, time: Timestamp) -> Option<Over> {
        let over = self.over_at(rule, time)?;
        self.begun = None;
        std::mem::take(&mut self.told).then_some(over)
    }

    /// Counts a failure; answers whether a siege holds at its time that has to be announced.
    pub fn count(&mut self, rule: &SiegeRule, time: Timestamp) -> bool {
        let failures = self.add(rule, time);
        if failures > u64::from(rule.rate.failures.get()) {
            self.begun.get_or_insert(time);
        }
        self.since(rule, time).is_some() && !std::mem::replace(&mut self.told, true)
    }

    /// Puts back a failure of an earlier run. What that run knew of a siege, [`Siege::resume`] says.
    pub fn restore(&mut self, rule: &SiegeRule, time: Timestamp) {
        self.add(rule, time);
    }

    /// Puts back a siege that an earlier run has announced.
    pub fn resume(&mut self, since: Timestamp) {
        self.begun = Some(self.begun.map_or(since, |begun| begun.min(since)));
        self.told = true;
    }

    /// When the siege began that holds at `time`, if one does.
    pub fn since(&self, rule: &SiegeRule, time: Timestamp) -> Option<Timestamp> {
        self.begun
            .filter(|begun| *begun <= time && time <= self.end(rule, *begun))
    }

    /// Whether it was announced and its end was not: when it will have calmed if nobody fails any more.
    pub fn calms(&self, rule: &SiegeRule) -> Option<Timestamp> {
        let begun = self.begun.filter(|_| self.told)?;
        Some(self.end(rule, begun))
    }

    /// The siege whose end has to be announced, if everything up to `time` was heard. It decides nothing: a failure that
    /// comes late still finds it.
    pub fn announce_end(&mut self, rule: &SiegeRule, time: Timestamp) -> Option<Over> {
        let over = self.over_at(rule, time)?;
        std::mem::take(&mut self.told).then_some(over)
    }

    /// The siege that was announced and is now given up at `time`, since there is no rule for it any more.
    pub fn give_up(&self, time: Timestamp) -> Option<Over> {
        let since = self.begun.filter(|_| self.told)?;
        Some(Over { since, end: time })
    }

    fn over_at(&self, rule: &SiegeRule, time: Timestamp) -> Option<Over> {
        let since = self.begun?;
        let end = self.end(rule, since);
        (end < time).then_some(Over { since, end })
    }

    fn end(&self, rule: &SiegeRule, begun: Timestamp) -> Timestamp {
        let pressed = self.pressed.map_or(begun, |pressed| pressed.max(begun));
        pressed.after(rule.calm)
    }

    /// Adds a failure; answers how many there are within the time of the rate around it, in the worst case.
    fn add(&mut self, rule: &SiegeRule, time: Timestamp) -> u64 {
        let length = i64::try_from(rule.rate.per.span().as_micros()).unwrap_or(i64::MAX) / SLOTS;
        let slot = time.as_micros().div_euclid(length);
        let count = self.slots.entry(slot).or_default();
        *count = count.saturating_add(1);
        while self.slots.len() > MOST_SLOTS {
            // As with windows, the end that is farther away is forgotten: a clock that was wrong must not hide the rest.
            let ends = self
                .slots
                .first_key_value()
                .zip(self.slots.last_key_value());
            let Some(((first, _), (last, _))) = ends else {
                break;
            };
            match slot.abs_diff(*first) < slot.abs_diff(*last) {
                true => self.slots.pop_last(),
                false => self.slots.pop_first(),
            };
        }
        // A late failure also counts with those behind it.
        let ends = self.slots.range(slot..slot.saturating_add(SLOTS));
        let sums = ends.map(|(end, _)| {
            let within = self.slots.range(end.saturating_sub(SLOTS - 1)..=*end);
            within.map(|(_, count)| u64::from(*count)).sum::<u64>()
        });
        let failures = sums.max().unwrap_or_default();
        if 2 * failures >= u64::from(rule.rate.failures.get()) {
            self.pressed = self.pressed.max(Some(time));
        }
        failures
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn rule(rate: &str, calm: u64) -> SiegeRule {
        SiegeRule {
            rate: rate.parse().expect("a rate"),
            maxretry: MaxRetry(NonZeroU32::MIN),
            calm: Duration::from_secs(calm),
        }
    }

    /// `+` and `-` with the milliseconds when a siege began and ended, by failures at these milliseconds.
    fn turns(rule: &SiegeRule, times: &[i64]) -> Vec<String> {
        let mut siege = Siege::default();
        let mut turns = Vec::new();
        for millis in times {
            let time = Timestamp::from_micros(millis * 1000);
            if let Some(over) = siege.end_before(rule, time) {
                turns.push(format!("-{}", over.end.as_micros() / 1000));
            }
            if siege.count(rule, time) {
                turns.push(format!("+{millis}"));
            }
        }
        turns
    }

    #[test]
    fn a_siege_begins_with_the_failure_that_is_one_too_many() {
        let rule = rule("4/s", 60);
        assert_eq!(turns(&rule, &[0, 100, 200, 300]), [""; 0]);
        assert_eq!(turns(&rule, &[0, 100, 200, 300, 400]), ["+400"]);
        assert_eq!(turns(&rule, &[0, 100, 200, 300, 999]), ["+999"]);
        assert_eq!(turns(&rule, &[0, 100, 200, 300, 1000]), [""; 0]);
        assert_eq!(turns(&rule, &[0, 100, 300, 400, 200]), ["+200"], "late");
    }

    #[test]
    fn it_ends_when_it_has_been_calm_for_long_enough() {
        let rule = rule("4/s", 60);
        let mut times = vec![0, 0, 0, 0, 0];
        // Two within a second are half the rate, one is less.
        times.extend([30_000, 30_500, 60_000, 80_000, 90_500, 90_501]);
        assert_eq!(turns(&rule, &times), ["+0", "-90500"]);
        // What is less than the rate does not begin another one.
        times.extend([100_000, 100_000, 100_000, 100_000]);
        assert_eq!(turns(&rule, &times).len(), 2);
        times.push(100_000);
        assert_eq!(turns(&rule, &times)[2..], ["+100000"]);
    }

    #[test]
    fn an_end_that_was_announced_is_announced_once() {
        let rule = rule("1/s", 10);
        let mut siege = Siege::default();
        let at = |seconds: i64| Timestamp::from_micros(seconds * 1_000_000);
        assert!(!siege.count(&rule, at(0)));
        assert!(siege.count(&rule, at(0)));
        assert_eq!(siege.calms(&rule), Some(at(10)));
        assert_eq!(siege.announce_end(&rule, at(10)), None);
        let over = Over {
            since: at(0),
            end: at(10),
        };
        assert_eq!(siege.announce_end(&rule, at(11)), Some(over));
        assert_eq!(siege.announce_end(&rule, at(12)), None);
        assert_eq!(siege.calms(&rule), None);
        assert_eq!(siege.since(&rule, at(9)), Some(at(0)), "for who comes late");
        assert_eq!(siege.end_before(&rule, at(12)), None);
        assert_eq!(siege.since(&rule, at(9)), None);
    }

    #[test]
    fn a_clock_that_was_wrong_hides_no_siege() {
        let rule = rule("4/s", 60);
        let mut times: Vec<i64> = (0..2 * MOST_SLOTS as i64)
            .map(|at| 1_000_000_000 + at * 1000)
            .collect();
        times.extend([1, 2, 3, 4, 5]);
        assert_eq!(turns(&rule, &times), ["+5"]);
    }

    #[test]
    fn rates_are_read_as_they_are_shown() {
        for text in ["50/s", "3000/m", "1/h", "1000000/s"] {
            assert_eq!(
                text.parse::<Rate>().map(|rate| rate.to_string()),
                Ok(text.to_owned())
            );
        }
        for text in [
            "",
            "50",
            "50/d",
            "0/s",
            "-1/s",
            "1.5/s",
            "1000001/s",
            "/s",
            "5/s/s",
        ] {
            assert!(text.parse::<Rate>().is_err(), "{text}");
        }
    }

    proptest! {
        #[test]
        fn no_rate_is_too_odd(text in "(?s)[0-9]{0,12}/?.{0,4}") {
            if let Ok(rate) = text.parse::<Rate>() {
                prop_assert_eq!(rate.to_string().parse(), Ok(rate));
            }
        }

        /// Against the definition, for failures in order.
        #[test]
        fn it_agrees_with_the_definition(
            steps in prop::collection::vec(prop_oneof![0_i64..300, 0_i64..20_000], 0..200),
            failures in 1_u32..8,
        ) {
            let rule = rule(&format!("{failures}/s"), 5);
            let times: Vec<i64> = steps.iter().scan(0, |time, step| { *time += step; Some(*time) }).collect();
            let mut expected = Vec::new();
            let mut pressed: Option<i64> = None;
            for (at, time) in times.iter().enumerate() {
                if let Some(end) = pressed.map(|pressed| pressed + 5000).filter(|end| end < time) {
                    expected.push(format!("-{end}"));
                    pressed = None;
                }
                let first = (time / 100 - 9) * 100;
                let within = times[..=at].iter().filter(|other| **other >= first).count();
                if pressed.is_none() && within > failures as usize {
                    expected.push(format!("+{time}"));
                    pressed = Some(*time);
                }
                if pressed.is_some() && 2 * within >= failures as usize {
                    pressed = Some(*time);
                }
            }
            prop_assert_eq!(turns(&rule, &times), expected);
        }

        #[test]
        fn it_takes_no_more_room_the_more_fail(
            times in prop::collection::vec(any::<i64>(), 0..2000),
        ) {
            let rule = rule("3/s", 60);
            let mut siege = Siege::default();
            for time in times {
                let time = Timestamp::from_micros(time);
                siege.end_before(&rule, time);
                siege.count(&rule, time);
                prop_assert!(siege.slots.len() <= MOST_SLOTS);
            }
        }
    }
}
