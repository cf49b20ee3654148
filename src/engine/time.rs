//! How are moments and spans of time named, read and shown?
//!
//! Comes in: text and integers. Goes out: [`Timestamp`], [`FindTime`], [`BanTime`]. No clock is read
//! here or anywhere in the engine.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use jiff::tz::{Offset, TimeZone};

/// A second, in microseconds.
const SECOND: i64 = 1_000_000;

/// A moment: microseconds since 1970-01-01T00:00:00Z.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Timestamp(i64);

impl Timestamp {
    /// The moment `micros` microseconds after the epoch.
    pub const fn from_micros(micros: i64) -> Self {
        Timestamp(micros)
    }

    /// Microseconds since the epoch.
    pub const fn as_micros(self) -> i64 {
        self.0
    }

    /// The moment `span` later, at most the last one that can be told.
    #[must_use]
    pub fn after(self, span: Duration) -> Self {
        Timestamp(self.0.saturating_add(micros(span)))
    }

    /// The moment `span` earlier, at least the first one that can be told.
    #[must_use]
    pub fn before(self, span: Duration) -> Self {
        Timestamp(self.0.saturating_sub(micros(span)))
    }

    /// How long after `earlier` this moment is; zero if it is not after it.
    pub fn since(self, earlier: Timestamp) -> Duration {
        Duration::from_micros(u64::try_from(self.0.saturating_sub(earlier.0)).unwrap_or(0))
    }

    /// The last moment that a date may mean which says this: most logs have whole seconds.
    #[must_use]
    pub fn at_latest(self) -> Self {
        match self.0.rem_euclid(SECOND) {
            0 => Timestamp(self.0.saturating_add(SECOND - 1)),
            _ => self,
        }
    }
}

fn micros(span: Duration) -> i64 {
    i64::try_from(span.as_micros()).unwrap_or(i64::MAX)
}

/// RFC 3339 in UTC, with a fraction only where there is one.
impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match jiff::Timestamp::from_microsecond(self.0) {
            Ok(moment) => write!(f, "{moment}"),
            Err(_) => write!(f, "@{}us", self.0),
        }
    }
}

impl From<jiff::Timestamp> for Timestamp {
    fn from(moment: jiff::Timestamp) -> Self {
        Timestamp(moment.as_microsecond())
    }
}

/// The text is no RFC 3339 moment.
#[derive(Debug, thiserror::Error)]
#[error("`{0}` is not a moment like 2026-02-12T14:10:21Z")]
pub struct TimestampError(String);

impl FromStr for Timestamp {
    type Err = TimestampError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        text.parse::<jiff::Timestamp>()
            .map(Timestamp::from)
            .map_err(|_| TimestampError(text.to_owned()))
    }
}

/// How far apart the failures that make a ban may lie.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct FindTime(pub Duration);

/// How long a ban lasts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum BanTime {
    /// For this long from its start.
    For(Duration),
    /// Until somebody lifts it.
    Forever,
}

impl BanTime {
    /// When a ban that starts at `start` ends; `None` for one without end.
    pub fn end(self, start: Timestamp) -> Option<Timestamp> {
        match self {
            BanTime::For(span) => Some(start.after(span)),
            BanTime::Forever => None,
        }
    }
}

/// The text is no span of time.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "`{0}` is not a time span: write a number with s, m, h, d or w, such as \"10m\" or \"1h 30m\""
)]
pub struct SpanError(String);

/// Reads `600`, `10m`, `1h30m`, `2 weeks`, `1d 12h`: whole or decimal numbers, each with an optional unit.
///
/// # Errors
/// The text has no number, an unknown unit, or a span beyond ten thousand years.
pub fn parse_span(text: &str) -> Result<Duration, SpanError> {
    let wrong = || SpanError(text.to_owned());
    let mut rest = text.trim();
    if rest.is_empty() {
        return Err(wrong());
    }
    let mut seconds = 0.0_f64;
    while !rest.is_empty() {
        let digits = rest
            .find(|c: char| !c.is_ascii_digit() && c != '.')
            .unwrap_or(rest.len());
        let number: f64 = rest[..digits].parse().map_err(|_| wrong())?;
        rest = rest[digits..].trim_start();
        let letters = rest
            .find(|c: char| !c.is_ascii_alphabetic())
            .unwrap_or(rest.len());
        seconds += number * unit_seconds(&rest[..letters]).ok_or_else(wrong)?;
        rest = rest[letters..].trim_start();
    }
    if !seconds.is_finite() || seconds > LONGEST_SPAN.as_secs_f64() {
        return Err(wrong());
    }
    Ok(Duration::from_micros((seconds * 1e6).round() as u64))
}

/// Ten thousand years: longer than any ban needs, and far inside what a [`Timestamp`] can add.
pub const LONGEST_SPAN: Duration = Duration::from_secs(10_000 * 31_557_600);

/// The units that Fail2ban knows too; a month and a year are its mean ones.
fn unit_seconds(unit: &str) -> Option<f64> {
    Some(match unit {
        "" | "s" | "sec" | "secs" | "second" | "seconds" | "ss" => 1.0,
        "m" | "min" | "mins" | "minute" | "minutes" | "mm" => 60.0,
        "h" | "hr" | "hour" | "hours" | "hh" => 3_600.0,
        "d" | "day" | "days" | "dd" => 86_400.0,
        "w" | "week" | "weeks" | "ww" => 604_800.0,
        "mo" | "mon" | "month" | "months" => 2_629_800.0,
        "y" | "year" | "years" | "yy" => 31_557_600.0,
        _ => return None,
    })
}

impl FromStr for FindTime {
    type Err = SpanError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        parse_span(text).map(FindTime)
    }
}

impl FromStr for BanTime {
    type Err = SpanError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text.trim() {
            "forever" | "-1" => Ok(BanTime::Forever),
            other => parse_span(other).map(BanTime::For),
        }
    }
}

/// A span as people write it: `1h 30m`, `45s`, `0.3s`.
pub struct Span(pub Duration);

impl fmt::Display for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let whole = self.0.as_secs();
        if whole == 0 {
            return write!(f, "{}s", self.0.as_millis() as f64 / 1e3);
        }
        let mut rest = whole;
        let mut first = true;
        for (unit, length) in [
            ("w", 604_800),
            ("d", 86_400),
            ("h", 3_600),
            ("m", 60),
            ("s", 1),
        ] {
            let count = rest / length;
            rest %= length;
            if count > 0 {
                write!(f, "{}{count}{unit}", if first { "" } else { " " })?;
                first = false;
            }
        }
        Ok(())
    }
}

impl BanTime {
    /// How long a ban lasts, in words that follow `ban`: `for 1h`, `forever`.
    pub fn lasting(self) -> String {
        match self {
            BanTime::For(span) => format!("for {}", Span(span)),
            BanTime::Forever => "forever".to_owned(),
        }
    }
}

impl fmt::Display for BanTime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            BanTime::For(span) => Span(*span).fmt(f),
            BanTime::Forever => f.write_str("forever"),
        }
    }
}

/// The text names no time zone.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("there is no time zone `{0}`")]
pub struct ZoneError(String);

/// The time zone of a name such as `Europe/Berlin`, of `UTC` or of an offset such as `+02:00`.
///
/// # Errors
/// There is none.
pub fn parse_zone(text: &str) -> Result<TimeZone, ZoneError> {
    if text == "UTC" {
        return Ok(TimeZone::UTC);
    }
    let offset = |digits: &str, sign: i32| {
        let (hours, minutes) = digits.split_once(':')?;
        let part = |text: &str| match text.as_bytes() {
            [b'0'..=b'9', b'0'..=b'9'] => text.parse::<i32>().ok(),
            _ => None,
        };
        let minutes = part(minutes).filter(|minutes| *minutes < 60)?;
        Offset::from_seconds(sign * (part(hours)? * 3600 + minutes * 60)).ok()
    };
    let fixed = match (text.strip_prefix('+'), text.strip_prefix('-')) {
        (Some(digits), _) => offset(digits, 1),
        (_, Some(digits)) => offset(digits, -1),
        _ => return TimeZone::get(text).map_err(|_| ZoneError(text.to_owned())),
    };
    fixed
        .map(TimeZone::fixed)
        .ok_or_else(|| ZoneError(text.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_are_read_in_all_spellings() {
        for (text, seconds) in [
            ("600", 600.0),
            ("10m", 600.0),
            ("1h30m", 5_400.0),
            ("1h 30m", 5_400.0),
            ("2 weeks", 1_209_600.0),
            ("0.5h", 1_800.0),
            ("1d12h", 129_600.0),
        ] {
            assert_eq!(
                parse_span(text).map(|span| span.as_secs_f64()),
                Ok(seconds),
                "{text}"
            );
        }
        for text in ["", "m", "10x", "-5m", "1h-", "1e400y", "99999y 99999y"] {
            assert!(parse_span(text).is_err(), "{text}");
        }
    }

    #[test]
    fn moments_are_shown_as_rfc3339() {
        let moment = Timestamp::from_micros(1_770_905_421_000_000);
        assert_eq!(moment.to_string(), "2026-02-12T14:10:21Z");
        assert_eq!(
            "2026-02-12T14:10:21Z".parse::<Timestamp>().ok(),
            Some(moment)
        );
    }

    #[test]
    fn bantime_knows_forever() {
        assert_eq!("forever".parse(), Ok(BanTime::Forever));
        assert_eq!("-1".parse(), Ok(BanTime::Forever));
        assert_eq!(
            "1w".parse::<BanTime>().map(|time| time.to_string()),
            Ok("1w".to_owned())
        );
    }

    #[test]
    fn zones_have_names_or_offsets() {
        for (text, offset) in [("UTC", 0), ("+02:00", 7200), ("-05:30", -19_800)] {
            let zone = parse_zone(text).expect("a zone");
            let there = zone.to_offset(jiff::Timestamp::UNIX_EPOCH);
            assert_eq!(there.seconds(), offset, "{text}");
        }
        for bad in [
            "",
            "Nowhere/Atall",
            "+2:00",
            "+0200",
            "+02:60",
            "+99:00",
            "-",
            "+é:00",
        ] {
            assert!(parse_zone(bad).is_err(), "{bad}");
        }
    }
}
