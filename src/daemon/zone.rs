//! Are the dates of a log in another time zone than we take them for?
//!
//! Comes in: when records came that were written just now, and what time they say. Goes out: by how much they are
//! wrong, if that is what a wrong zone looks like: always about the same number of half hours.

use std::time::Duration;

use crate::engine::time::Timestamp;

/// Zones differ by half hours, but for a few.
const STEP: i64 = 30 * 60 * 1_000_000;

/// How far a time may be from a number of half hours: clocks are not that wrong, and records not that long on their way.
const TOLERANCE: i64 = 60 * 1_000_000;

/// The most half hours between two zones: from -12:00 to +14:00.
const MOST_STEPS: i64 = 52;

/// So many times, and over so long, before it counts: a single old record proves nothing.
const TIMES: u32 = 5;
const SPAN: Duration = Duration::from_secs(60);

/// What one log has told so far.
#[derive(Clone, Copy, Debug, Default)]
pub struct Suspicion {
    /// By how many half hours it was wrong, since when and how often in a row.
    seen: Option<(i64, Timestamp, u32)>,
}

impl Suspicion {
    /// A record of `time` came at `now`, and was not waited for. Tells by how many half hours the log is behind,
    /// or ahead if that is less than nothing, as soon as it is certain.
    pub fn hear(&mut self, now: Timestamp, time: Timestamp) -> Option<i64> {
        let Some(steps) = steps(now, time) else {
            self.seen = None;
            return None;
        };
        let seen = match self.seen {
            Some((same, since, times)) if same == steps => (steps, since, times.saturating_add(1)),
            _ => (steps, now, 1),
        };
        self.seen = Some(seen);
        let (_, since, times) = seen;
        (times >= TIMES && now.since(since) >= SPAN).then_some(steps)
    }
}

/// How many half hours, about, and not none.
fn steps(now: Timestamp, time: Timestamp) -> Option<i64> {
    let behind = now.as_micros().saturating_sub(time.as_micros());
    let steps = (behind + STEP / 2).div_euclid(STEP);
    let is_near = (behind - steps * STEP).abs() <= TOLERANCE;
    (is_near && steps != 0 && steps.abs() <= MOST_STEPS).then_some(steps)
}

/// `2 h old when they come`.
pub fn told(steps: i64) -> String {
    let hours = steps.unsigned_abs() / 2;
    let half = if steps % 2 == 0 { "" } else { " 30 min" };
    let span = match hours {
        0 => "30 min".to_owned(),
        _ => format!("{hours} h{half}"),
    };
    match steps > 0 {
        true => format!("{span} old when they come"),
        false => format!("{span} ahead of the clock when they come"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: i64 = 1_000_000;

    /// What comes of records that are so many seconds old, ten seconds apart.
    fn suspected(ages: &[i64]) -> Option<i64> {
        let mut suspicion = Suspicion::default();
        let mut last = None;
        for (number, age) in (0..).zip(ages) {
            let now = 1_800_000_000 * SECOND + number * 10 * SECOND;
            let time = Timestamp::from_micros(now - age * SECOND);
            last = suspicion.hear(Timestamp::from_micros(now), time).or(last);
        }
        last
    }

    #[test]
    fn a_constant_number_of_half_hours_is_a_zone() {
        assert_eq!(suspected(&[7200; 7]), Some(4));
        assert_eq!(
            suspected(&[7201, 7200, 7210, 7199, 7200, 7230, 7200]),
            Some(4)
        );
        assert_eq!(suspected(&[-3600; 7]), Some(-2));
        assert_eq!(suspected(&[19_800; 7]), Some(11));
        assert_eq!(suspected(&[-1800; 7]), Some(-1));
    }

    #[test]
    fn anything_else_is_none() {
        for ages in [
            &[0; 20][..],
            &[1; 20],
            // Not for a minute.
            &[7200; 6],
            // Slow, or old, or of another clock.
            &[900; 20],
            &[300; 20],
            &[7200, 7200, 7200, 0, 7200, 7200, 7200, 7200],
            &[7200, 3600, 7200, 3600, 7200, 3600, 7200, 3600],
            &[7200, 7190, 7180, 7100, 7090, 7080, 7070],
            &[90 * 86_400; 20],
            &[27 * 3600; 20],
        ] {
            assert_eq!(suspected(ages), None, "{ages:?}");
        }
    }

    #[test]
    fn it_is_told_in_hours() {
        assert_eq!(told(4), "2 h old when they come");
        assert_eq!(told(11), "5 h 30 min old when they come");
        assert_eq!(told(-1), "30 min ahead of the clock when they come");
    }
}
