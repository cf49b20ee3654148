//! How is a stamp written?
//!
//! In: a format in the words of `strftime`, and text. Out: a [`TimeFormat`], and the [`Stamp`] that stands at the
//! head of a text, with the number of bytes it takes. What moment that is, and where in a line a
//! stamp may stand, is none of its business.

mod bytes;
mod item;
mod text;

use std::fmt;
use std::str::FromStr;

use super::calendar::Stamp;
use bytes::is_blank;
pub use bytes::is_word;
pub(super) use bytes::{fraction, long_number, month, name, offset, pair, tai64, weekday};
use item::{Item, Number, Read};
pub use text::{Part, TimeFormatError};
use text::{check, items, joined};

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

    /// Whether it begins with the numbers of a day and a month, in any order.
    pub(super) fn begins_with_day_and_month(&self) -> bool {
        use item::Number::{Day, Month};
        matches!(
            &*self.items,
            [Item::Number(Day, ..), _, Item::Number(Month, ..), ..]
                | [Item::Number(Month, ..), _, Item::Number(Day, ..), ..]
        )
    }

    /// Whether it has an hour, a minute and a second with colons between them, and none behind them.
    pub(super) fn has_clock(&self) -> bool {
        let mut behind = self.items.iter().rev();
        let clock = |item: &Item| matches!(item, Item::Clock(_) | Item::Byte(b':'));
        behind
            .find(|item| clock(item))
            .is_some_and(|item| *item != Item::Byte(b':'))
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
