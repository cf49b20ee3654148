//! What does the text of a format say?
//!
//! In: `%d/%b/%Y:%H:%M:%S %z`. Out: the [`Item`]s that it stands for, or why no moment can be read by it.

use std::fmt;

use super::item::{Item, Number};

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

/// The items that `codes` stand for, a part of `format`.
pub fn items(format: &str, codes: &str, must_be_known: bool) -> Result<Vec<Item>, TimeFormatError> {
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
pub fn joined(items: &[Item]) -> Vec<Item> {
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
pub fn check(format: &str, items: &[Item]) -> Result<(), TimeFormatError> {
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
