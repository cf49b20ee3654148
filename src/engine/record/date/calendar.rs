//! Which moment does a stamp mean?
//!
//! In: a [`Stamp`], the parts of a moment that a line tells. Out: the moment, with what the stamp leaves out
//! filled in from a given clock and zone. No clock is read here, and no file: a zone's rules are given.
//!
//! - Without a year it is the newest such moment that is at most a day after the clock.
//! - Without a day too it is the newest one that is at most a minute after the clock.
//! - Without a zone it is in the given one. An hour that a clock change repeats is taken for its first turn, unless the
//!   clock is in the second one; an hour that it skips as if the change had not come yet.
//! - An abbreviation means what the given zone calls so; if the zone never does, what is usual.

use jiff::ToSpan;
use jiff::civil::{Date, DateTime};
use jiff::tz::{Offset, TimeZone};

use super::abbreviation::{Abbreviation, is_universal, rare_offset, usual_offset};
use crate::engine::time::Timestamp;

/// 29 February may be eight years back, across a century that has no leap year.
const YEARS_BACK: i16 = 8;

const SECOND: i64 = 1_000_000;
const HOUR: i64 = 3600 * SECOND;

/// A clock that runs ahead, or a zone that was guessed wrongly, may put a line this far into the future.
pub(super) const DAY: i64 = 24 * HOUR;

/// A line without a day is of this machine, so its clock differs by the batch it came in and little more.
const MINUTE: i64 = 60 * SECOND;

/// A stamp in an hour that a clock change repeats is of its second turn if that was no longer ago. By the first turn what
/// is logged now would be an hour old, and every ban over before it begins; an old log is read alike whenever it is.
const SECOND_TURN: i64 = 30 * MINUTE;

/// How many clock changes around a moment are searched for an abbreviation: last summer's and last winter's.
const CHANGES: usize = 3;

/// The parts of a moment that a line tells.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Stamp {
    /// The moment to the second or better, if the line counts from the epoch; all else is then empty.
    pub epoch: Option<Timestamp>,
    pub minute: Minute,
    pub second: i8,
    pub micros: i32,
}

/// A stamp without its seconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Minute {
    pub year: Option<i16>,
    pub day: Option<Day>,
    pub hour: i8,
    /// Of a clock with twelve hours: whether it is after noon.
    pub afternoon: Option<bool>,
    pub minute: i8,
    pub zone: Zone,
}

/// A day of a year.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Day {
    OfMonth { month: i8, day: i8 },
    OfYear(i16),
}

/// What a stamp says of its zone.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Zone {
    /// Nothing.
    #[default]
    Silent,
    /// Seconds east of Greenwich.
    Offset(i32),
    /// Its abbreviation.
    Called(Abbreviation),
}

/// Turns stamps into moments.
#[derive(Clone, Debug)]
pub(super) struct Calendar {
    zone: TimeZone,
    /// The last minute and when it began: most lines are of the same one as the line before.
    last: Option<(Minute, i64)>,
}

impl Calendar {
    pub fn new(zone: TimeZone) -> Self {
        Calendar { zone, last: None }
    }

    /// The zone of stamps that name none.
    pub fn zone(&self) -> &TimeZone {
        &self.zone
    }

    /// The moment that `stamp` means; `None` if there is none, as on 30 February.
    pub fn moment(&mut self, stamp: &Stamp, now: Timestamp) -> Option<Timestamp> {
        if stamp.epoch.is_some() {
            return stamp.epoch;
        }
        let rest = i64::from(stamp.second) * SECOND + i64::from(stamp.micros);
        if let Some((minute, start)) = self.last
            && minute == stamp.minute
            && is_still_newest(&minute, start, now)
        {
            return Some(Timestamp::from_micros(start + rest));
        }
        let moment = self.resolve(&stamp.minute, stamp.second, now)?;
        let at = |second| self.resolve(&stamp.minute, second, now);
        // A minute in which the zone's clock changes is not kept, nor one that it repeats.
        if let (Some(first), Some(last)) = (at(0), at(59))
            && last - first == 59 * SECOND
            && !self.is_repeated(first)
        {
            self.last = Some((stamp.minute, first));
        }
        Some(Timestamp::from_micros(moment + i64::from(stamp.micros)))
    }

    /// Whether the other seconds of the minute that was told last tell moments as far from `time`, which is one of them.
    pub fn is_even(&self, time: Timestamp) -> bool {
        let since = |(_, start): (Minute, i64)| time.as_micros() - start;
        self.last
            .is_some_and(|last| (0..60 * SECOND).contains(&since(last)))
    }

    fn resolve(&self, minute: &Minute, second: i8, now: Timestamp) -> Option<i64> {
        let hour = match (minute.afternoon, minute.hour) {
            (None, hour) => hour,
            (Some(afternoon), hour @ 1..=12) => hour % 12 + if afternoon { 12 } else { 0 },
            (Some(_), _) => return None,
        };
        let now = now.as_micros();
        let on = |date: Date| {
            let time = DateTime::new(
                date.year(),
                date.month(),
                date.day(),
                hour,
                minute.minute,
                second,
                0,
            );
            self.locate(time.ok()?, minute.zone, now)
        };
        let newest_to = |newest: i64| move |moment: &i64| *moment <= newest;
        match (minute.year, minute.day) {
            (Some(year), Some(day)) => on(day.of(year)?),
            (None, Some(day)) => {
                let this = self.today(now)?.year();
                (this - YEARS_BACK..=this + 1)
                    .rev()
                    .filter_map(|year| on(day.of(year)?))
                    .find(newest_to(now.saturating_add(DAY)))
            }
            (_, None) => {
                let today = self.today(now)?;
                // In a zone far to the west the newest may be of the day before yesterday.
                [1, 0, -1, -2]
                    .into_iter()
                    .filter_map(|days| on(today.checked_add(days.days()).ok()?))
                    .find(newest_to(now.saturating_add(MINUTE)))
            }
        }
    }

    pub fn today(&self, now: i64) -> Option<Date> {
        let now = jiff::Timestamp::from_microsecond(now).ok()?;
        Some(self.zone.to_datetime(now).date())
    }

    /// Whether the zone's clock shows this time twice.
    fn is_repeated(&self, moment: i64) -> bool {
        jiff::Timestamp::from_microsecond(moment).is_ok_and(|moment| {
            let shown = self.zone.to_datetime(moment);
            self.zone.to_ambiguous_timestamp(shown).is_ambiguous()
        })
    }

    fn locate(&self, time: DateTime, zone: Zone, now: i64) -> Option<i64> {
        let offset = match zone {
            Zone::Silent => None,
            Zone::Offset(seconds) => Some(Offset::from_seconds(seconds).ok()?),
            Zone::Called(name) => match self.offset_called(name.text(), time) {
                None if name.must_be_known() => return None,
                None => rare_offset(name.text()),
                known => known,
            },
        };
        let moment = match offset {
            Some(offset) => offset.to_timestamp(time),
            None => self.zone.to_ambiguous_timestamp(time).compatible(),
        };
        let first = moment.ok()?.as_microsecond();
        if offset.is_some() {
            return Some(first);
        }
        let second = self.zone.to_ambiguous_timestamp(time).later();
        let second = second.ok()?.as_microsecond();
        let is_now = (-MINUTE..SECOND_TURN).contains(&now.saturating_sub(second));
        Some(if is_now { second } else { first })
    }

    /// What `name` means about `time`.
    fn offset_called(&self, name: &str, time: DateTime) -> Option<Offset> {
        if is_universal(name) {
            return Some(Offset::UTC);
        }
        let near = self.zone.to_ambiguous_timestamp(time).compatible().ok()?;
        let here = self.zone.to_offset_info(near);
        if here.abbreviation() == name {
            return Some(here.offset());
        }
        let later = self.zone.following(near).take(CHANGES);
        let earlier = self.zone.preceding(near).take(CHANGES);
        later
            .chain(earlier)
            .find(|change| change.abbreviation() == name)
            .map(|change| change.offset())
            .or_else(|| usual_offset(name))
    }
}

impl Day {
    fn of(self, year: i16) -> Option<Date> {
        match self {
            Day::OfMonth { month, day } => Date::new(year, month, day).ok(),
            Day::OfYear(number) => {
                let days = i32::from(number).checked_sub(1)?;
                let date = Date::new(year, 1, 1).ok()?.checked_add(days.days()).ok()?;
                (days >= 0 && date.year() == year).then_some(date)
            }
        }
    }
}

/// Whether no newer year or day can have come into reach since `start` was found for `minute`.
fn is_still_newest(minute: &Minute, start: i64, now: Timestamp) -> bool {
    // The next candidate is a year or a day later, less an hour by which clocks may have been changed.
    let (reach, next) = match (minute.year, minute.day) {
        (Some(_), Some(_)) => return true,
        (None, Some(_)) => (DAY, 364 * DAY),
        (_, None) => (MINUTE, DAY - 2 * HOUR),
    };
    let newest = now.as_micros().saturating_add(reach);
    start.saturating_add(MINUTE) <= newest && start.saturating_add(next) > newest
}
