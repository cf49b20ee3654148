//! How many seconds is a time of Fail2ban's?
//!
//! `10m`, `1d12h30m`, `1y 6mo`, `1h+30m`, `-1`: a sum, or whatever arithmetic in whole numbers and fractions, of numbers with
//! units. It is computed here; nothing of it is ever run, as Fail2ban does.

use std::fmt;
use std::time::Duration;

mod arithmetic;

/// The longest time that is read: nobody writes more than a line.
const LONGEST_TEXT: usize = 1_000;

/// A month and a year have leap years in them, and therefore a fraction.
const MONTH: &str = "2629800.0";
const YEAR: &str = "31557600.0";

/// The units with their spellings, which can be small or large.
const UNITS: [(&str, &[&str]); 7] = [
    ("86400", &["day", "days", "da", "d", "dd"]),
    ("604800", &["week", "weeks", "we", "wee", "w", "ww"]),
    (MONTH, &["month", "months", "mo", "mon"]),
    (YEAR, &["year", "years", "ye", "yea", "y", "yy"]),
    ("1", &["second", "seconds", "se", "sec", "s", "ss"]),
    ("60", &["minute", "minutes", "mi", "min", "m", "mm"]),
    ("3600", &["hour", "hours", "ho", "hou", "h", "hh"]),
];

/// A number of seconds.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Seconds {
    /// A whole number.
    Whole(i64),
    /// A number with a fraction, if only one of nothing: months and years come to such.
    Fraction(f64),
}

/// The text is no time.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TimeError {
    /// A word in it is no unit.
    #[error("name '{0}' is not defined")]
    Name(String),
    /// It cannot be computed.
    #[error("invalid syntax")]
    Syntax,
    /// Something is divided by nothing.
    #[error("division by zero")]
    Division,
    /// It comes to more than can be counted.
    #[error("too large a number")]
    TooLarge,
}

impl Seconds {
    /// How long that is; `None` if it is less than nothing, as what never ends is written.
    pub fn duration(self) -> Option<Duration> {
        match self {
            Seconds::Whole(seconds) => u64::try_from(seconds).ok().map(Duration::from_secs),
            Seconds::Fraction(seconds) => Duration::try_from_secs_f64(seconds).ok(),
        }
    }
}

/// As Python would print the number.
impl fmt::Display for Seconds {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Seconds::Whole(seconds) => write!(f, "{seconds}"),
            // From there on Python writes exponents, always with a sign and two digits.
            Seconds::Fraction(seconds)
                if seconds != 0.0 && !(1e-4..1e16).contains(&seconds.abs()) =>
            {
                let text = format!("{seconds:e}");
                let (digits, exponent) = text.split_once('e').unwrap_or((&text, "0"));
                let (sign, exponent) = match exponent.strip_prefix('-') {
                    Some(exponent) => ('-', exponent),
                    None => ('+', exponent),
                };
                write!(f, "{digits}e{sign}{exponent:0>2}")
            }
            Seconds::Fraction(seconds) => write!(f, "{seconds:?}"),
        }
    }
}

/// The seconds of a time.
///
/// # Errors
/// It is none.
pub fn seconds(text: &str) -> Result<Seconds, TimeError> {
    if text.len() > LONGEST_TEXT {
        return Err(TimeError::TooLarge);
    }
    arithmetic::compute(&summed(&with_numbers(&parted(text))))
}

/// `1d12h` becomes `1d 12h`.
fn parted(text: &str) -> String {
    let mut parted = String::new();
    let mut before = ' ';
    for c in text.chars() {
        if before.is_ascii_alphabetic() && c.is_ascii_digit() {
            parted.push(' ');
        }
        parted.push(c);
        before = c;
    }
    parted
}

/// `1d 12h` becomes `1*86400 12*3600`.
fn with_numbers(text: &str) -> String {
    let is_word = |c: char| c.is_alphanumeric() || c == '_';
    let mut numbers = String::new();
    let mut before = None;
    let mut rest = text;
    while let Some(c) = rest.chars().next() {
        let can_begin = before.is_some_and(|c: char| c.is_ascii_digit() || c.is_whitespace());
        let word = &rest[..rest.find(|c| !is_word(c)).unwrap_or(rest.len())];
        let unit = UNITS.iter().find(|(_, names)| {
            let mut names = names.iter();
            can_begin && names.any(|name| name.eq_ignore_ascii_case(word))
        });
        if let Some((seconds, _)) = unit {
            numbers.push('*');
            numbers.push_str(seconds);
            rest = &rest[word.len()..];
            before = Some('0');
        } else {
            numbers.push(c);
            rest = &rest[c.len_utf8()..];
            before = Some(c);
        }
    }
    numbers
}

/// `1*86400 12*3600` becomes `1*86400+12*3600`. A digit can only stand in one such gap.
fn summed(text: &str) -> String {
    let mut summed = String::new();
    let mut rest = text;
    while let Some(at) = rest.find(|c: char| c.is_ascii_digit()) {
        let (head, tail) = rest.split_at(at + 1);
        summed.push_str(head);
        let behind = tail.trim_start();
        let has_gap = behind.len() < tail.len() && behind.starts_with(|c: char| c.is_ascii_digit());
        rest = tail;
        if has_gap {
            summed.push('+');
            summed.push_str(&behind[..1]);
            rest = &behind[1..];
        }
    }
    summed + rest
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn printed(text: &str) -> String {
        seconds(text).map_or_else(|error| error.to_string(), |seconds| seconds.to_string())
    }

    #[test]
    fn times_are_what_fail2ban_prints() {
        for (text, seconds) in [
            ("600", "600"),
            ("10m", "600"),
            ("1mo", "2629800.0"),
            ("1y 6mo", "47336400.0"),
            ("1year-6mo", "15778800.0"),
            ("1d12h", "129600"),
            ("1D 12 Hours\n30MIN", "131400"),
            ("1h+30m", "5400"),
            ("1hour+30min", "5400"),
            ("1w", "604800"),
            ("-1", "-1"),
            ("1.5h", "5400.0"),
            ("2*(1h - 30m)//7", "514"),
            ("7 % 4 - 2**3**2", "-509"),
            ("-7//2", "-4"),
            ("-7 % 3", "2"),
            ("1/3", "0.3333333333333333"),
            ("1e-7", "1e-07"),
            ("1e7", "invalid syntax"),
            ("1.5e+22s", "1.5e+22"),
            ("1_000", "1000"),
            ("10m # ten minutes", "600"),
            ("foo", "name 'foo' is not defined"),
            ("1h foo", "invalid syntax"),
            ("1h + foo + 1/0", "name 'foo' is not defined"),
            ("1/0", "division by zero"),
            ("", "invalid syntax"),
            ("m", "name 'm' is not defined"),
            ("05m", "invalid syntax"),
            ("1 2 3", "invalid syntax"),
            ("11 22 33", "66"),
            ("1d\n+1h", "invalid syntax"),
            ("__import__('os')", "invalid syntax"),
            ("9**9**9", "too large a number"),
            ("1e+999", "too large a number"),
        ] {
            assert_eq!(printed(text), seconds, "{text}");
        }
    }

    #[test]
    fn what_never_ends_is_no_duration() {
        let duration = |text: &str| seconds(text).ok().and_then(Seconds::duration);
        assert_eq!(duration("-1"), None);
        assert_eq!(duration("1.5h"), Some(Duration::from_secs(5_400)));
        assert_eq!(duration("0"), Some(Duration::ZERO));
    }

    proptest! {
        #[test]
        fn no_time_is_too_odd(text in "(?s).{0,50}") {
            seconds(&text).ok();
        }

        #[test]
        fn no_sum_is_too_odd(words in proptest::collection::vec("([0-9]{1,20}|[dwmyhs]|mo|\\*\\*?|//?|%|-|\\+|\\(|\\)|\\.|e|_| |\\n)", 0..30)) {
            seconds(&words.concat()).ok();
        }
    }
}
