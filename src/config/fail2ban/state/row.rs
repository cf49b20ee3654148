//! What does one row of Fail2ban's bans tell?
//!
//! In: a row of any bytes. Out: the ban, without what makes no sense.

use std::time::Duration;

use rusqlite::Row;
use rusqlite::types::ValueRef;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Deserializer};
use serde_json::Value;

use super::StateBan;
use crate::engine::record::kept::kept;
use crate::engine::subject::LONGEST_NAME;
use crate::engine::time::{BanTime, LONGEST_SPAN, Timestamp};

/// Log lines of one ban, the newest ones; Fail2ban keeps no more unless it is told to.
const MOST_LINES: usize = 10;

/// The longest text beside a ban that is looked at: ten long lines. Without it the ban is taken all the same.
const LONGEST_DATA: usize = 1 << 20;

/// What Fail2ban writes for a time of which its older versions kept nothing.
const UNKNOWN_TIME: i64 = -2;

/// What a row tells; nothing if that makes no sense.
pub(super) fn ban(row: &Row<'_>) -> rusqlite::Result<Option<StateBan>> {
    let (Some(jail), Some(subject)) = (short(row.get_ref(0)?), short(row.get_ref(1)?)) else {
        return Ok(None);
    };
    let seconds = |column| -> rusqlite::Result<_> {
        Ok(match row.get_ref(column)? {
            ValueRef::Integer(seconds) => Some(seconds),
            // Some versions wrote what Python's clock says.
            ValueRef::Real(seconds) if seconds.is_finite() => Some(seconds as i64),
            _ => None,
        })
    };
    let (Some(start), Some(bantime)) = (seconds(2)?, seconds(3)?) else {
        return Ok(None);
    };
    let Some(start) = start.checked_mul(1_000_000).filter(|start| *start > 0) else {
        return Ok(None);
    };
    let bantime = match bantime {
        UNKNOWN_TIME => None,
        ..0 => Some(BanTime::Forever),
        seconds => {
            let span = Duration::from_secs(seconds.unsigned_abs()).min(LONGEST_SPAN);
            Some(BanTime::For(span))
        }
    };
    let count = seconds(4)?;
    let data = match row.get_ref(5)? {
        ValueRef::Text(data) | ValueRef::Blob(data) if data.len() <= LONGEST_DATA => {
            // What a newer Fail2ban writes beside a ban must not cost the ban.
            serde_json::from_str(&String::from_utf8_lossy(data)).unwrap_or_default()
        }
        _ => Data::default(),
    };
    Ok(Some(StateBan {
        jail,
        subject,
        start: Timestamp::from_micros(start),
        bantime,
        count: count
            .and_then(|count| u32::try_from(count).ok())
            .unwrap_or(1)
            .max(1),
        failures: data.failures.unwrap_or_default(),
        user: data.user.filter(|user| !user.is_empty()),
        lines: data.matches.0,
    }))
}

/// A text as long as a name may be.
fn short(value: ValueRef<'_>) -> Option<String> {
    let (ValueRef::Text(text) | ValueRef::Blob(text)) = value else {
        return None;
    };
    let text = std::str::from_utf8(text).ok()?;
    (!text.is_empty() && text.len() <= LONGEST_NAME).then(|| text.to_owned())
}

/// What Fail2ban writes beside a ban, as far as it is of use. A member of another shape is as good as none.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Data {
    matches: Lines,
    #[serde(deserialize_with = "lenient")]
    failures: Option<u32>,
    #[serde(deserialize_with = "lenient")]
    user: Option<String>,
}

fn lenient<'d, T, D>(deserializer: D) -> Result<Option<T>, D::Error>
where
    T: DeserializeOwned,
    D: Deserializer<'d>,
{
    let value = Value::deserialize(deserializer)?;
    Ok(serde_json::from_value(value).ok())
}

/// The newest lines, each as it is kept.
#[derive(Debug, Default, PartialEq, Eq)]
struct Lines(Vec<String>);

impl<'d> Deserialize<'d> for Lines {
    fn deserialize<D: Deserializer<'d>>(deserializer: D) -> Result<Self, D::Error> {
        let Value::Array(lines) = Value::deserialize(deserializer)? else {
            return Ok(Lines::default());
        };
        let first = lines.len().saturating_sub(MOST_LINES);
        let texts = lines.into_iter().skip(first).filter_map(|line| match line {
            Value::String(line) => Some(line),
            // The text before the date, the date, and what is behind it.
            Value::Array(parts) => {
                let parts: Vec<_> = parts.iter().filter_map(Value::as_str).collect();
                Some(parts.concat())
            }
            _ => None,
        });
        Ok(Lines(
            texts
                .map(|line| kept(line.trim_end()).into_owned())
                .collect(),
        ))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn data(text: &str) -> Data {
        serde_json::from_str(text).unwrap_or_default()
    }

    #[test]
    fn lines_are_texts_or_parts_of_them() {
        let read = data(
            r#"{"matches": ["one", ["two ", "at noon", ": failed\n"], 3], "failures": 2, "user": "root"}"#,
        );
        assert_eq!(read.matches.0, ["one", "two at noon: failed"]);
        assert_eq!(
            (read.failures, read.user.as_deref()),
            (Some(2), Some("root"))
        );
    }

    #[test]
    fn what_has_another_shape_is_left_out() {
        let read = data(r#"{"matches": null, "failures": -1, "user": ["a"], "ip": {}}"#);
        assert_eq!(read.matches, Lines::default());
        assert_eq!((read.failures, read.user), (None, None));
    }

    proptest! {
        #[test]
        fn no_data_is_too_strange(text in "(?s).{0,300}") {
            let read = data(&text);
            prop_assert!(read.matches.0.len() <= MOST_LINES);
        }
    }
}
