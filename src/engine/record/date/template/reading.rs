//! Which moment do the groups of a template tell?
//!
//! In: what each group holds. Out: a moment; the calendar fills in what they leave out.

use jiff::ToSpan;
use jiff::civil::{Date, Weekday};

use super::codes::Field;
use crate::engine::record::date::abbreviation::{
    Abbreviation, is_universal, rare_offset, usual_offset,
};
use crate::engine::record::date::calendar::{Calendar, Day, Minute, Stamp, Zone};
use crate::engine::record::date::format::{
    fraction, long_number, month, name, offset, tai64, weekday,
};
use crate::engine::time::Timestamp;

/// Years told by two digits are of this century.
const CENTURY: i16 = 2000;

/// What the groups tell of a moment.
#[derive(Default)]
struct Told {
    any: bool,
    year: Option<i16>,
    month: Option<i8>,
    day: Option<i8>,
    day_of_year: Option<i16>,
    /// 0 is Sunday.
    weekday: Option<i8>,
    week: Option<Week>,
    hour: i8,
    hour_of_twelve: Option<i8>,
    afternoon: bool,
    minute: i8,
    second: i8,
    micros: i32,
    zone: Zone,
    names_zone: bool,
}

/// A week of a year, counted from the first day of this kind.
#[derive(Clone, Copy)]
struct Week {
    number: i16,
    first: Weekday,
}

/// The moment that `groups` tell, in the calendar's zone if they name none, seen from `now`; and whether they name one.
pub fn moment<'t>(
    groups: impl Iterator<Item = (Field, &'t [u8])>,
    calendar: &mut Calendar,
    now: Timestamp,
) -> Option<(Timestamp, bool)> {
    let mut told = Told::default();
    for (field, text) in groups {
        match field {
            Field::Epoch => return Some((epoch(text)?, false)),
            Field::Tai64 => return Some((Timestamp::from_micros(tai64(text)?.0), true)),
            _ => told.take(field, text)?,
        }
    }
    let stamp = told.stamp(calendar, now)?;
    let moment = calendar.moment(&stamp, now)?;
    Some((moment, told.names_zone))
}

impl Told {
    fn take(&mut self, field: Field, text: &[u8]) -> Option<()> {
        self.any = true;
        match field {
            Field::Year => self.year = Some(number(text)?),
            Field::YearOfCentury => self.year = Some(CENTURY.checked_add(number(text)?)?),
            Field::Month => self.month = Some(number(text)?),
            Field::MonthName => self.month = Some(name(text, month)?.0),
            Field::Day => self.day = Some(number(text)?),
            Field::DayOfYear => self.day_of_year = Some(number(text)?),
            Field::Hour => self.hour = number(text)?,
            Field::HourOfTwelve => self.hour_of_twelve = Some(number(text)?),
            Field::Half => self.afternoon = matches!(text, [b'p' | b'P', ..]),
            Field::Minute => self.minute = number(text)?,
            // A leap second is the last one of its minute.
            Field::Second => {
                self.second = number::<i8>(text).filter(|second| *second <= 61)?.min(59)
            }
            Field::Fraction => self.micros = fraction(text)?.0,
            Field::Zone => {
                self.zone = zone(text)?;
                self.names_zone = true;
            }
            // Sunday is the seventh.
            Field::DayName => self.weekday = Some(name(text, weekday)?.0 % 7),
            Field::DayOfWeek => self.weekday = Some(number(text)?),
            Field::WeekFromSunday => self.week = Week::of(text, Weekday::Sunday),
            Field::WeekFromMonday => self.week = Week::of(text, Weekday::Monday),
            Field::Epoch | Field::Tai64 => {}
        }
        Some(())
    }

    /// `None` if this is no moment, or none of a known day.
    fn stamp(&self, calendar: &Calendar, now: Timestamp) -> Option<Stamp> {
        let (year, day) = match (self.month, self.day, self.day_of_year, self.week) {
            (Some(month), Some(day), ..) => (self.year, Some(Day::OfMonth { month, day })),
            (None, None, Some(day), _) => (self.year, Some(Day::OfYear(day))),
            (None, None, None, Some(week)) => {
                let this_year = || Some(calendar.today(now.as_micros())?.year());
                let date = week.day(self.year.or_else(this_year)?, self.weekday?)?;
                let (month, day) = (date.month(), date.day());
                (Some(date.year()), Some(Day::OfMonth { month, day }))
            }
            // A year without a day tells none.
            (None, None, None, None) if self.year.is_none() => (None, None),
            _ => return None,
        };
        let hour = match self.hour_of_twelve {
            Some(12) if !self.afternoon => 0,
            Some(hour @ ..=11) if self.afternoon => hour + 12,
            Some(hour) => hour,
            None => self.hour,
        };
        self.any.then_some(Stamp {
            epoch: None,
            minute: Minute {
                year,
                day,
                hour,
                afternoon: None,
                minute: self.minute,
                zone: self.zone,
            },
            second: self.second,
            micros: self.micros,
        })
    }
}

impl Week {
    fn of(text: &[u8], first: Weekday) -> Option<Self> {
        Some(Week {
            number: number(text)?,
            first,
        })
    }

    /// The day of this week of `year` that is a `weekday`, 0 being Sunday. Weeks 0 and 53 may reach into another year.
    fn day(self, year: i16, weekday: i8) -> Option<Date> {
        let new_year = Date::new(year, 1, 1).ok()?;
        let into_week = |day: Weekday| i16::from(day.since(self.first));
        // The days before the first full week are of week 0.
        let before = (7 - into_week(new_year.weekday())) % 7;
        let weekday = Weekday::from_sunday_zero_offset(weekday).ok()?;
        // A year that begins with its first week has no week 0.
        let number = if before == 0 {
            self.number.max(1)
        } else {
            self.number
        };
        let days = before + (number - 1) * 7 + into_week(weekday);
        new_year.checked_add(i32::from(days).days()).ok()
    }
}

fn number<N: TryFrom<i64>>(text: &[u8]) -> Option<N> {
    // A blank may stand for the first digit.
    let text = text.trim_ascii_start();
    let (number, rest) = long_number(text)?;
    (rest.is_empty() && !text.is_empty()).then(|| N::try_from(number).ok())?
}

/// Seconds of 10 or 11 digits, milliseconds of three more, microseconds of six more; each with a fraction.
fn epoch(text: &[u8]) -> Option<Timestamp> {
    let (number, rest) = long_number(text)?;
    let unit = match text.len() - rest.len() {
        ..=12 => 1_000_000,
        13..=15 => 1_000,
        _ => 1,
    };
    let part = rest.strip_prefix(b".").and_then(fraction);
    let part = part.map_or(0, |(millionths, _)| {
        i64::from(millionths) * unit / 1_000_000
    });
    Some(Timestamp::from_micros(
        number.checked_mul(unit)?.checked_add(part)?,
    ))
}

/// `Z`, `+01`, `+0100`, `CEST`, `UTC+01:00`, in any case.
fn zone(text: &[u8]) -> Option<Zone> {
    let letters = text.iter().take_while(|byte| byte.is_ascii_alphabetic());
    let (name, rest) = text.split_at(letters.count());
    let name = name.to_ascii_uppercase();
    if rest.is_empty() {
        return Some(Zone::Called(Abbreviation::leading(&name, false)?.0));
    }
    let name = std::str::from_utf8(&name).ok()?;
    let base = match name {
        "" => 0,
        name if is_universal(name) => 0,
        name => usual_offset(name).or_else(|| rare_offset(name))?.seconds(),
    };
    Some(Zone::Offset(base + offset(rest, true)?.0))
}
