//! How is a stamp written?
//!
//! In: a format in the words of `strftime`, and text. Out: a [`TimeFormat`], and the [`Stamp`] that stands at the
//! head of a text, with the number of bytes it takes. What moment that is, and where in a line a
//! stamp may stand, is none of its business.

use std::fmt;
use std::str::FromStr;

use super::calendar::{Abbreviation, Day, Minute, Stamp, Zone};
use crate::engine::time::Timestamp;

/// The years that a log can be of: any other number is none.
const YEARS: std::ops::RangeInclusive<u32> = 1970..=2199;

/// The second label of TAI64 is counted from here.
const TAI64_EPOCH: u64 = 1 << 62;

/// A way to write moments, such as `%d/%b/%Y:%H:%M:%S %z`.
///
/// | code | reads |
/// |---|---|
/// | `%Y` `%y` | the year; its last two digits, of 2000 to 2099 |
/// | `%m` `%b` `%B` | the month as a number; as an English name, in full or its first three letters |
/// | `%d` `%e` `%j` | the day of the month; of the year |
/// | `%a` `%A` | the day of the week, which is not looked at |
/// | `%H` `%k` `%I` `%l` `%p` | the hour; of a clock with twelve; `AM` or `PM` |
/// | `%M` `%S` | minute, second |
/// | `%f` `%.f` | the digits of a fraction; the same with its point or comma, if there is one |
/// | `%z` `%?z` | `+0100`, `+01:00`, `Z`; the same and `+01`, if there is one |
/// | `%Z` `%Q` | `CET`, `UTC`, `+03`; `Europe/Berlin`, which is taken for the zone of the log |
/// | `%s` | seconds since the epoch (10 digits), or milliseconds (13), microseconds (16), nanoseconds (19) |
/// | `%F` `%T` `%R` `%D` | `%Y-%m-%d`, `%H:%M:%S`, `%H:%M`, `%m/%d/%y` |
/// | `%%` | `%` |
///
/// A number may have one digit less than usual, unless a 0 stands before its letter, as in `%0d`. Letters and signs
/// stand for themselves, a blank for blanks and tabs. `^` at the beginning means that the date begins its line.
/// The words `EPOCH` and `TAI64N` are formats too.
#[derive(Clone, Debug)]
pub struct TimeFormat {
    text: String,
    items: Box<[Item]>,
    at_head: bool,
}

/// The text is no format of time.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TimeFormatError {
    /// It is empty.
    #[error("a time format cannot be empty: write one such as \"%Y-%m-%d %H:%M:%S\"")]
    Empty,
    /// It ends within a code.
    #[error("`{0}` ends within a code: write %% for a percent sign")]
    Unfinished(String),
    /// It has a code that is none.
    #[error("`{code}` in `{format}` is no code that can be read")]
    UnknownCode {
        /// The format.
        format: String,
        /// The code.
        code: String,
    },
    /// It says a thing twice.
    #[error("`{format}` has {what} twice")]
    Twice {
        /// The format.
        format: String,
        /// The thing.
        what: Part,
    },
    /// It lacks a thing that it cannot do without.
    #[error("`{format}` has {what} missing")]
    Missing {
        /// The format.
        format: String,
        /// The thing.
        what: Part,
    },
    /// It has a thing that does not go with another.
    #[error("`{format}` has {what} beside {beside}, of which it can have only one")]
    Both {
        /// The format.
        format: String,
        /// The thing.
        what: Part,
        /// The other one.
        beside: Part,
    },
}

/// What a part of a format tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// `%Y`, `%y`
    Year,
    /// `%m`, `%b`
    Month,
    /// `%d`
    Day,
    /// `%j`
    DayOfYear,
    /// `%H`
    Hour,
    /// `%I`
    HourOfTwelve,
    /// `%p`
    Half,
    /// `%M`
    Minute,
    /// `%S`
    Second,
    /// `%f`
    Fraction,
    /// `%z`, `%Z`
    Zone,
    /// `%s`
    Epoch,
}

impl fmt::Display for Part {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Part::Year => "the year (%Y)",
            Part::Month => "the month (%m or %b)",
            Part::Day => "the day (%d)",
            Part::DayOfYear => "the day of the year (%j)",
            Part::Hour => "the hour (%H)",
            Part::HourOfTwelve => "the hour of twelve (%I)",
            Part::Half => "the half of the day (%p)",
            Part::Minute => "the minute (%M)",
            Part::Second => "the second (%S)",
            Part::Fraction => "the fraction (%f)",
            Part::Zone => "the zone (%z or %Z)",
            Part::Epoch => "the seconds since the epoch (%s)",
        })
    }
}

/// One step of reading.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Item {
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
enum Number {
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
struct Read {
    year: Option<i16>,
    month: Option<i8>,
    day: Option<i8>,
    day_of_year: Option<i16>,
    /// Micros since the epoch, and how many of them its last digit counts.
    epoch: Option<(i64, i64)>,
    stamp: Stamp,
}

impl TimeFormat {
    /// A format of the table of known forms: `%Z` reads only abbreviations that are known.
    pub(super) fn known(text: &str) -> Result<Self, TimeFormatError> {
        TimeFormat::parse(text, true)
    }

    fn parse(text: &str, must_be_known: bool) -> Result<Self, TimeFormatError> {
        let (at_head, codes) = match text.strip_prefix('^') {
            Some(codes) => (true, codes),
            None => (false, text),
        };
        let items = match codes {
            "" => return Err(TimeFormatError::Empty),
            "EPOCH" => vec![Item::Epoch, Item::Fraction { point: true }],
            "TAI64N" => vec![Item::Tai64],
            _ => items(text, codes, must_be_known)?,
        };
        check(text, &items)?;
        Ok(TimeFormat {
            text: text.to_owned(),
            items: joined(&items).into(),
            at_head,
        })
    }

    /// Whether the date must begin its line.
    pub(super) fn at_head(&self) -> bool {
        self.at_head
    }

    /// The bytes that such a date can begin with.
    pub(super) fn first_bytes(&self) -> impl Fn(u8) -> bool + use<> {
        let first = self.items.first().copied();
        move |byte: u8| match first {
            Some(Item::Byte(first)) => byte == first,
            Some(Item::Blanks) => is_blank(byte),
            Some(Item::Number(..) | Item::Clock(_) | Item::Date(_) | Item::Epoch) => {
                byte.is_ascii_digit()
            }
            Some(Item::MonthName | Item::DayName | Item::Half) => byte.is_ascii_alphabetic(),
            Some(Item::ZoneName { must_be_known }) => {
                byte.is_ascii_alphabetic() || !must_be_known && matches!(byte, b'+' | b'-')
            }
            Some(Item::Offset { .. }) => matches!(byte, b'+' | b'-' | b'Z'),
            Some(Item::Tai64) => byte == b'@',
            Some(Item::Fraction { .. } | Item::ZoneId) | None => true,
        }
    }

    /// Whether such a date begins a header of syslog, with host and program: `Feb 12 14:10:21`, the forms of
    /// RFC 3339 with a `T`, and `Thu 2026-02-12 14:10:21 CET`.
    pub(super) fn heads_syslog(&self) -> bool {
        let skip = match &*self.items {
            [
                Item::ZoneName { .. } | Item::Offset { optional: false },
                Item::Blanks,
                ..,
            ] => 2,
            _ => 0,
        };
        match self.items.get(skip..).unwrap_or_default() {
            [Item::MonthName, Item::Blanks, .., last] => {
                !matches!(last, Item::Number(Number::Year, ..) | Item::Half)
            }
            [Item::Date(b'-'), Item::Byte(b'T'), ..] => true,
            [Item::DayName, Item::Blanks, Item::Date(b'-'), ..] => true,
            _ => false,
        }
    }

    /// Whether it has hours and minutes with a colon between them.
    pub(super) fn has_clock(&self) -> bool {
        let clock = |item: &Item| matches!(item, Item::Clock(_));
        self.items.iter().any(clock)
    }

    /// The stamp that `text` begins with, and how many bytes it takes.
    pub(super) fn read(&self, text: &[u8]) -> Option<(Stamp, usize)> {
        let mut read = Read::default();
        let mut rest = text;
        for item in &self.items {
            rest = item.read(rest, &mut read)?;
        }
        let used = text.len() - rest.len();
        let word = |byte: Option<&u8>| byte.copied().is_some_and(is_word);
        if word(text[..used].last()) && word(rest.first()) {
            return None;
        }
        if let (Some(Item::Number(Number::Year, ..)), [b':' | b'.' | b'-', next @ ..]) =
            (self.items.last(), rest)
            && word(next.first())
        {
            // A host behind the date, such as 2001:db8::1.
            return None;
        }
        Some((read.into_stamp()?, used))
    }
}

impl FromStr for TimeFormat {
    type Err = TimeFormatError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        TimeFormat::parse(text, false)
    }
}

impl fmt::Display for TimeFormat {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

/// Formats are equal if they are written alike.
impl PartialEq for TimeFormat {
    fn eq(&self, other: &Self) -> bool {
        self.text == other.text
    }
}

impl Eq for TimeFormat {}

fn items(format: &str, codes: &str, must_be_known: bool) -> Result<Vec<Item>, TimeFormatError> {
    let unfinished = || TimeFormatError::Unfinished(format.to_owned());
    let mut items = Vec::new();
    let mut rest = codes;
    while let Some(next) = rest.chars().next() {
        if next != '%' {
            let length = next.len_utf8();
            if next.is_ascii_whitespace() {
                if items.last() != Some(&Item::Blanks) {
                    items.push(Item::Blanks);
                }
            } else {
                items.extend(
                    rest.as_bytes()[..length]
                        .iter()
                        .map(|byte| Item::Byte(*byte)),
                );
            }
            rest = &rest[length..];
            continue;
        }
        // `%Ex` is how Fail2ban's configuration asks for numbers of full length.
        let flag = ["%0", "%Ex", "%?", "%."]
            .into_iter()
            .find(|flag| rest.starts_with(*flag))
            .unwrap_or("%");
        let letter = rest[flag.len()..].chars().next().ok_or_else(unfinished)?;
        let (code, behind) = rest.split_at(flag.len() + letter.len_utf8());
        rest = behind;
        let unknown = || TimeFormatError::UnknownCode {
            format: format.to_owned(),
            code: code.to_owned(),
        };
        let exact = matches!(flag, "%0" | "%Ex");
        let number = |what: Number, most: usize| {
            let least = if exact { most } else { 1 };
            Item::Number(what, least, most)
        };
        let long = |longer: &str| self::items(format, longer, must_be_known);
        match (flag, letter) {
            ("%.", 'f') => items.push(Item::Fraction { point: true }),
            ("%?", 'z') => items.push(Item::Offset { optional: true }),
            ("%." | "%?", _) => return Err(unknown()),
            (_, 'Y') => items.push(Item::Number(Number::Year, 4, 4)),
            (_, 'y') => items.push(Item::Number(Number::YearOfCentury, 2, 2)),
            (_, 'm') => items.push(number(Number::Month, 2)),
            (_, 'd' | 'e') => items.push(number(Number::Day, 2)),
            (_, 'j') => items.push(number(Number::DayOfYear, 3)),
            (_, 'H' | 'k') => items.push(number(Number::Hour, 2)),
            (_, 'I' | 'l') => items.push(number(Number::HourOfTwelve, 2)),
            (_, 'M') => items.push(Item::Number(Number::Minute, 2, 2)),
            (_, 'S') => items.push(Item::Number(Number::Second, 2, 2)),
            (_, 'z') => items.push(Item::Offset { optional: false }),
            (_, 'Z') => items.push(Item::ZoneName { must_be_known }),
            ("%", 'b' | 'B' | 'h') => items.push(Item::MonthName),
            ("%", 'a' | 'A') => items.push(Item::DayName),
            ("%", 'p') => items.push(Item::Half),
            ("%", 'f') => items.push(Item::Fraction { point: false }),
            ("%", 'Q') => items.push(Item::ZoneId),
            ("%", 's') => items.push(Item::Epoch),
            ("%", 'F') => items.extend(long("%Y-%m-%d")?),
            ("%", 'T') => items.extend(long("%H:%M:%S")?),
            ("%", 'R') => items.extend(long("%H:%M")?),
            ("%", 'D') => items.extend(long("%m/%d/%y")?),
            ("%", '%') => items.push(Item::Byte(b'%')),
            _ => return Err(unknown()),
        }
    }
    Ok(items)
}

/// The same with fewer steps.
fn joined(items: &[Item]) -> Vec<Item> {
    let mut joined = Vec::new();
    let mut rest = items;
    while let [first, behind @ ..] = rest {
        rest = behind;
        joined.push(match rest {
            [
                Item::Byte(b':'),
                Item::Number(Number::Minute, ..),
                Item::Byte(b':'),
                Item::Number(Number::Second, ..),
                behind @ ..,
            ] if matches!(first, Item::Number(Number::Hour, ..)) => {
                rest = behind;
                Item::Clock(first.least())
            }
            [
                Item::Byte(byte),
                Item::Number(Number::Month, 2, _),
                Item::Byte(again),
                Item::Number(Number::Day, 2, _),
                behind @ ..,
            ] if byte == again && matches!(first, Item::Number(Number::Year, ..)) => {
                rest = behind;
                Item::Date(*byte)
            }
            _ => *first,
        });
    }
    joined
}

/// Whether a moment can be made of what `items` tell.
fn check(format: &str, items: &[Item]) -> Result<(), TimeFormatError> {
    let format = || format.to_owned();
    let mut parts: Vec<Part> = Vec::new();
    for what in items.iter().filter_map(|item| item.part()) {
        if parts.contains(&what) {
            return Err(TimeFormatError::Twice {
                format: format(),
                what,
            });
        }
        parts.push(what);
    }
    let has = |part: Part| parts.contains(&part);
    let missing = |what: Part| TimeFormatError::Missing {
        format: format(),
        what,
    };
    let not_both = |what: Part, beside: Part| {
        if has(what) && has(beside) {
            return Err(TimeFormatError::Both {
                format: format(),
                what,
                beside,
            });
        }
        Ok(())
    };
    if has(Part::Epoch) {
        let others = parts.iter().copied();
        let mut others = others.filter(|part| !matches!(part, Part::Epoch | Part::Fraction));
        return match others.next() {
            Some(what) => not_both(what, Part::Epoch),
            None => Ok(()),
        };
    }
    for (what, beside) in [
        (Part::DayOfYear, Part::Day),
        (Part::DayOfYear, Part::Month),
        (Part::HourOfTwelve, Part::Hour),
        (Part::Half, Part::Hour),
    ] {
        not_both(what, beside)?;
    }
    let hour = has(Part::Hour) || has(Part::HourOfTwelve);
    let day = has(Part::Day) || has(Part::DayOfYear);
    for (what, present) in [
        (Part::Hour, hour),
        (Part::Half, has(Part::Half) || has(Part::Hour)),
        (Part::Minute, has(Part::Minute)),
        (Part::Second, has(Part::Second) || !has(Part::Fraction)),
        (Part::Month, has(Part::Month) || !has(Part::Day)),
        (Part::Day, day || !(has(Part::Month) || has(Part::Year))),
    ] {
        if !present {
            return Err(missing(what));
        }
    }
    Ok(())
}

impl Item {
    /// What it tells; `None` for what is read and not looked at.
    fn part(self) -> Option<Part> {
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
    fn least(self) -> usize {
        match self {
            Item::Number(_, least, _) | Item::Clock(least) => least,
            _ => 0,
        }
    }

    /// What follows it in `text`.
    fn read<'t>(self, text: &'t [u8], read: &mut Read) -> Option<&'t [u8]> {
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
                let [b'@', rest @ ..] = text else {
                    return None;
                };
                let (label, rest) = (rest.get(..24)?, &rest[24..]);
                let (seconds, nanos) = label.split_at(16);
                let (seconds, nanos) = (hexadecimal(seconds)?, hexadecimal(nanos)?);
                // How many leap seconds a label counts differs between writers (0, 10, all), so none is taken off.
                let seconds = i64::try_from(seconds.checked_sub(TAI64_EPOCH)?).ok()?;
                let micros = i64::try_from(nanos)
                    .ok()
                    .filter(|nanos| *nanos < 1_000_000_000)?
                    / 1_000;
                read.epoch = Some((seconds.checked_mul(1_000_000)?.checked_add(micros)?, 0));
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

    fn into_stamp(self) -> Option<Stamp> {
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

/// A number and its name behind the first three letters.
struct Name(i8, &'static [u8]);

/// The month whose name begins so, and the rest of its name.
fn month(letters: [u8; 3]) -> Option<Name> {
    Some(match &letters {
        b"jan" => Name(1, b"uary"),
        b"feb" => Name(2, b"ruary"),
        b"mar" => Name(3, b"ch"),
        b"apr" => Name(4, b"il"),
        b"may" => Name(5, b""),
        b"jun" => Name(6, b"e"),
        b"jul" => Name(7, b"y"),
        b"aug" => Name(8, b"ust"),
        b"sep" => Name(9, b"tember"),
        b"oct" => Name(10, b"ober"),
        b"nov" => Name(11, b"ember"),
        b"dec" => Name(12, b"ember"),
        _ => return None,
    })
}

/// The day of the week whose name begins so, and the rest of its name.
fn weekday(letters: [u8; 3]) -> Option<Name> {
    Some(match &letters {
        b"mon" => Name(1, b"day"),
        b"tue" => Name(2, b"sday"),
        b"wed" => Name(3, b"nesday"),
        b"thu" => Name(4, b"rsday"),
        b"fri" => Name(5, b"day"),
        b"sat" => Name(6, b"urday"),
        b"sun" => Name(7, b"day"),
        _ => return None,
    })
}

/// The name that stands at the head of `text`, in full or with its first three letters.
fn name(text: &[u8], known: fn([u8; 3]) -> Option<Name>) -> Option<(i8, &[u8])> {
    let [a, b, c, rest @ ..] = text else {
        return None;
    };
    let Name(number, tail) = known([a | 0x20, b | 0x20, c | 0x20])?;
    if !rest.first().is_some_and(u8::is_ascii_alphabetic) {
        return Some((number, rest));
    }
    let (word, behind) = rest.split_at_checked(tail.len())?;
    // A name that goes on is another word.
    let other = behind.first().is_some_and(u8::is_ascii_alphabetic);
    (!other && word.eq_ignore_ascii_case(tail)).then_some((number, behind))
}

/// A number of two digits.
fn pair(ten: u8, one: u8) -> Option<u32> {
    let (ten, one) = (ten.wrapping_sub(b'0'), one.wrapping_sub(b'0'));
    (ten <= 9 && one <= 9).then(|| u32::from(ten * 10 + one))
}

/// A number of `least` to `most` digits.
fn digits(text: &[u8], least: usize, most: usize) -> Option<(u32, &[u8])> {
    let mut number = 0;
    let mut length = 0;
    while length < most
        && let Some(byte @ b'0'..=b'9') = text.get(length)
    {
        number = number * 10 + u32::from(byte - b'0');
        length += 1;
    }
    (length >= least).then(|| (number, &text[length..]))
}

/// A number of as many digits as follow each other.
fn long_number(text: &[u8]) -> Option<(i64, &[u8])> {
    let end = text.iter().take(20).position(|byte| !byte.is_ascii_digit());
    let (digits, rest) = text.split_at(end.unwrap_or(text.len().min(20)));
    let number = digits.iter().try_fold(0_i64, |number, byte| {
        number.checked_mul(10)?.checked_add(i64::from(byte - b'0'))
    });
    Some((number?, rest))
}

/// Microseconds of the digits of a fraction, at least one; those behind the sixth are not looked at.
fn fraction(text: &[u8]) -> Option<(i32, &[u8])> {
    let (mut micros, mut unit, mut length) = (0, 100_000, 0);
    while let Some(byte @ b'0'..=b'9') = text.get(length) {
        micros += i32::from(byte - b'0') * unit;
        unit /= 10;
        length += 1;
    }
    (length > 0).then(|| (micros, &text[length..]))
}

/// Seconds of `Z`, `+0100`, `+01:00`, and if `short` is allowed of `+01`.
fn offset(text: &[u8], short: bool) -> Option<(i32, &[u8])> {
    let (sign, rest) = match text {
        [b'Z', rest @ ..] => return Some((0, rest)),
        [b'+', rest @ ..] => (1, rest),
        [b'-', rest @ ..] => (-1, rest),
        _ => return None,
    };
    let (hours, rest) = digits(rest, 2, 2)?;
    let minutes = digits(rest.strip_prefix(b":").unwrap_or(rest), 2, 2);
    let (minutes, rest) = match minutes {
        Some(minutes) => minutes,
        None if short => (0, rest),
        None => return None,
    };
    // As far from Greenwich as a clock has ever been, and a bit.
    let seconds = i32::try_from(hours * 3600 + minutes * 60).ok()?;
    (hours < 24 && minutes < 60).then_some((sign * seconds, rest))
}

fn hexadecimal(text: &[u8]) -> Option<u64> {
    text.iter().try_fold(0_u64, |number, byte| {
        let digit = char::from(*byte).to_digit(16)?;
        Some(number << 4 | u64::from(digit))
    })
}

fn skip_blanks(text: &[u8]) -> &[u8] {
    let blanks = text.iter().take_while(|byte| is_blank(**byte)).count();
    &text[blanks..]
}

fn is_blank(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t')
}

/// Whether a byte is of a word or number, so that no date begins or ends beside it.
pub(super) fn is_word(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_'
}
