//! How is each part of a stamp read?
//!
//! In: one [`Item`] of a format after the other, and the text that is left. Out: the [`Stamp`] that they tell together.

use super::bytes::{
    digits, fraction, is_blank, is_word, long_number, month, name, offset, pair, skip_blanks,
    tai64, weekday,
};
use super::text::Part;
use crate::engine::record::date::abbreviation::Abbreviation;
use crate::engine::record::date::calendar::{Day, Minute, Stamp, Zone};
use crate::engine::time::Timestamp;

/// The years that a log can be of: any other number is none.
const YEARS: std::ops::RangeInclusive<u32> = 1970..=2199;

/// One step of reading.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Item {
    Byte(u8),
    Blanks,
    /// A number of so many digits.
    Number(Number, usize, usize),
    /// `%H:%M:%S`, with at least so many digits for the hour: three numbers in one step, since most dates have them.
    Clock(usize),
    /// `%Y-%0m-%0d`, with this byte between the numbers; likewise.
    Date(u8),
    MonthName,
    DayName,
    Half,
    Fraction {
        point: bool,
    },
    Offset {
        optional: bool,
    },
    ZoneName {
        must_be_known: bool,
    },
    ZoneId,
    Epoch,
    Tai64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Number {
    Year,
    YearOfCentury,
    Month,
    Day,
    DayOfYear,
    Hour,
    HourOfTwelve,
    Minute,
    Second,
}

/// What has been read so far.
#[derive(Default)]
pub struct Read {
    year: Option<i16>,
    month: Option<i8>,
    day: Option<i8>,
    day_of_year: Option<i16>,
    /// Micros since the epoch, and how many of them its last digit counts.
    epoch: Option<(i64, i64)>,
    stamp: Stamp,
}

impl Item {
    /// What it tells; `None` for what is read and not looked at.
    pub fn part(self) -> Option<Part> {
        Some(match self {
            Item::Number(Number::Year | Number::YearOfCentury, ..) => Part::Year,
            Item::Number(Number::Month, ..) | Item::MonthName => Part::Month,
            Item::Number(Number::Day, ..) => Part::Day,
            Item::Number(Number::DayOfYear, ..) => Part::DayOfYear,
            Item::Number(Number::Hour, ..) => Part::Hour,
            Item::Number(Number::HourOfTwelve, ..) => Part::HourOfTwelve,
            Item::Number(Number::Minute, ..) => Part::Minute,
            Item::Number(Number::Second, ..) => Part::Second,
            Item::Half => Part::Half,
            Item::Fraction { .. } => Part::Fraction,
            Item::Offset { .. } | Item::ZoneName { .. } | Item::ZoneId => Part::Zone,
            Item::Epoch | Item::Tai64 => Part::Epoch,
            Item::Byte(_) | Item::Blanks | Item::DayName | Item::Clock(_) | Item::Date(_) => {
                return None;
            }
        })
    }

    /// How many digits it has at least.
    pub fn least(self) -> usize {
        match self {
            Item::Number(_, least, _) | Item::Clock(least) => least,
            _ => 0,
        }
    }

    /// What follows it in `text`.
    pub fn read<'t>(self, text: &'t [u8], read: &mut Read) -> Option<&'t [u8]> {
        let minute = &mut read.stamp.minute;
        match self {
            Item::Byte(byte) => match text {
                [first, rest @ ..] if *first == byte => Some(rest),
                _ => None,
            },
            Item::Blanks => {
                let [first, rest @ ..] = text else {
                    return None;
                };
                is_blank(*first).then(|| skip_blanks(rest))
            }
            Item::Number(what, least, most) => {
                let (number, rest) = digits(text, least, most)?;
                read.take(what, number)?;
                Some(rest)
            }
            Item::Clock(least) => {
                let (hour, rest) = match text {
                    [a, b, rest @ ..] if b.is_ascii_digit() => (pair(*a, *b)?, rest),
                    [a, rest @ ..] if least == 1 => (pair(b'0', *a)?, rest),
                    _ => return None,
                };
                let [b':', m1, m2, b':', s1, s2, rest @ ..] = rest else {
                    return None;
                };
                read.take(Number::Hour, hour)?;
                read.take(Number::Minute, pair(*m1, *m2)?)?;
                read.take(Number::Second, pair(*s1, *s2)?)?;
                Some(rest)
            }
            Item::Date(byte) => {
                let [y1, y2, y3, y4, b1, m1, m2, b2, d1, d2, rest @ ..] = text else {
                    return None;
                };
                if *b1 != byte || *b2 != byte {
                    return None;
                }
                read.take(Number::Year, pair(*y1, *y2)? * 100 + pair(*y3, *y4)?)?;
                read.take(Number::Month, pair(*m1, *m2)?)?;
                read.take(Number::Day, pair(*d1, *d2)?)?;
                Some(rest)
            }
            Item::MonthName => {
                let (month, rest) = name(text, month)?;
                read.month = Some(month);
                Some(rest)
            }
            Item::DayName => name(text, weekday).map(|(_, rest)| rest),
            Item::Half => {
                let [half, b'M' | b'm', rest @ ..] = text else {
                    return None;
                };
                minute.afternoon = Some(match half {
                    b'A' | b'a' => false,
                    b'P' | b'p' => true,
                    _ => return None,
                });
                Some(rest)
            }
            Item::Fraction { point } => {
                let digits = match text {
                    [b'.' | b',', digits @ ..] if point => digits,
                    _ if point => return Some(text),
                    _ => text,
                };
                match fraction(digits) {
                    Some((micros, rest)) => {
                        read.stamp.micros = micros;
                        Some(rest)
                    }
                    None => point.then_some(text),
                }
            }
            Item::Offset { optional } => match offset(text, optional) {
                Some((seconds, rest)) => {
                    minute.zone = Zone::Offset(seconds);
                    Some(rest)
                }
                None => optional.then_some(text),
            },
            Item::ZoneName { must_be_known } => {
                if !must_be_known && let Some((seconds, rest)) = offset(text, true) {
                    minute.zone = Zone::Offset(seconds);
                    return Some(rest);
                }
                let (name, rest) = Abbreviation::leading(text, must_be_known)?;
                minute.zone = Zone::Called(name);
                Some(rest)
            }
            Item::ZoneId => {
                let end = text
                    .iter()
                    .position(|byte| !is_word(*byte) && !matches!(byte, b'/' | b'+' | b'-'));
                let (name, rest) = text.split_at(end.unwrap_or(text.len()));
                let named = name.first()?.is_ascii_alphabetic() && name.contains(&b'/');
                named.then_some(rest)
            }
            Item::Epoch => {
                let (number, rest) = long_number(text)?;
                let unit = match text.len() - rest.len() {
                    10 | 11 => 1_000_000,
                    13 => 1_000,
                    16 => 1,
                    19 => {
                        read.epoch = Some((number / 1_000, 0));
                        return Some(rest);
                    }
                    _ => return None,
                };
                read.epoch = Some((number.checked_mul(unit)?, unit));
                Some(rest)
            }
            Item::Tai64 => {
                let (micros, rest) = tai64(text)?;
                read.epoch = Some((micros, 0));
                Some(rest)
            }
        }
    }
}

impl Read {
    fn take(&mut self, what: Number, number: u32) -> Option<()> {
        let minute = &mut self.stamp.minute;
        let upto = |most: u32| (number <= most).then_some(number as i8);
        match what {
            Number::Year => {
                self.year = Some(YEARS.contains(&number).then_some(number as i16)?);
            }
            Number::YearOfCentury => self.year = Some(2000 + i16::from(upto(99)?)),
            Number::Month => self.month = Some(upto(12)?),
            Number::Day => self.day = Some(upto(31)?),
            Number::DayOfYear => self.day_of_year = Some((number <= 366).then_some(number as i16)?),
            Number::Hour => minute.hour = upto(23)?,
            Number::HourOfTwelve => minute.hour = upto(12)?,
            Number::Minute => minute.minute = upto(59)?,
            // A leap second is the last one of its minute.
            Number::Second => self.stamp.second = upto(60)?.min(59),
        }
        Some(())
    }

    pub fn into_stamp(self) -> Option<Stamp> {
        let mut stamp = self.stamp;
        if let Some((micros, unit)) = self.epoch {
            let fraction = i64::from(stamp.micros) * unit / 1_000_000;
            return Some(Stamp {
                epoch: Some(Timestamp::from_micros(micros.checked_add(fraction)?)),
                ..Stamp::default()
            });
        }
        let day = match (self.month, self.day, self.day_of_year) {
            (Some(month), Some(day), _) => Some(Day::OfMonth { month, day }),
            (_, _, Some(number)) => Some(Day::OfYear(number)),
            _ => None,
        };
        stamp.minute = Minute {
            year: self.year,
            day,
            ..stamp.minute
        };
        Some(stamp)
    }
}
