//! From which level on does Fail2ban's log tell of things?
//!
//! In: a word or a number, as `loglevel` has them. Out: a threshold, and what it is to our own log.

use std::fmt;
use std::str::FromStr;

use log::LevelFilter;
use serde::{Deserialize, Serialize};

use super::line::Level;

/// The level names that Python and Fail2ban know, with their numbers.
const NAMES: &[(&str, u32)] = &[
    ("CRITICAL", 50),
    ("FATAL", 50),
    ("ERROR", 40),
    ("WARNING", 30),
    ("WARN", 30),
    ("NOTICE", 25),
    ("INFO", 20),
    ("MSG", 18),
    ("DEBUG", 10),
    ("TRACEDEBUG", 7),
    ("HEAVYDEBUG", 5),
    ("NOTSET", 0),
];

/// What matters less than this is not told.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Threshold {
    word: String,
    number: u32,
}

/// It is neither a level nor a number.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("Invalid log level '{0}'")]
pub struct NoLevel(String);

impl Threshold {
    /// Whether a line of this level is told.
    pub fn lets_through(&self, level: Level) -> bool {
        level.number() >= self.number
    }

    /// What our own log tells then: it has bans, which are notices there, at info.
    pub fn own(&self) -> LevelFilter {
        match self.number {
            40.. => LevelFilter::Error,
            30.. => LevelFilter::Warn,
            11.. => LevelFilter::Info,
            _ => LevelFilter::Debug,
        }
    }
}

/// What Fail2ban's log tells if our own tells this.
impl From<LevelFilter> for Threshold {
    fn from(own: LevelFilter) -> Self {
        let (word, number) = match own {
            LevelFilter::Off | LevelFilter::Error => ("ERROR", 40),
            LevelFilter::Warn => ("WARNING", 30),
            LevelFilter::Info => ("INFO", 20),
            LevelFilter::Debug | LevelFilter::Trace => ("DEBUG", 10),
        };
        let word = word.to_owned();
        Threshold { word, number }
    }
}

impl TryFrom<String> for Threshold {
    type Error = NoLevel;

    fn try_from(text: String) -> Result<Self, NoLevel> {
        text.parse()
    }
}

impl From<Threshold> for String {
    fn from(threshold: Threshold) -> Self {
        threshold.word
    }
}

impl FromStr for Threshold {
    type Err = NoLevel;

    fn from_str(text: &str) -> Result<Self, NoLevel> {
        let word = text.to_uppercase();
        let is_number = !word.is_empty() && word.bytes().all(|byte| byte.is_ascii_digit());
        let known = NAMES.iter().find(|(name, _)| *name == word);
        let number = match known {
            Some((_, number)) => *number,
            // One that is too large for this matters no less than the largest.
            None if is_number => word.parse().unwrap_or(u32::MAX),
            None => return Err(NoLevel(word)),
        };
        Ok(Threshold { word, number })
    }
}

/// As it was written, in capital letters.
impl fmt::Display for Threshold {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.word)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_and_numbers_say_what_is_told() {
        for (text, notice, info, own) in [
            ("critical", false, false, LevelFilter::Error),
            ("WARNING", false, false, LevelFilter::Warn),
            ("Notice", true, false, LevelFilter::Info),
            ("INFO", true, true, LevelFilter::Info),
            ("21", true, false, LevelFilter::Info),
            ("26", false, false, LevelFilter::Info),
            ("HEAVYDEBUG", true, true, LevelFilter::Debug),
            ("99999999999", false, false, LevelFilter::Error),
        ] {
            let threshold: Threshold = text.parse().expect("a level");
            assert_eq!(threshold.lets_through(Level::Notice), notice, "{text}");
            assert_eq!(threshold.lets_through(Level::Info), info, "{text}");
            assert_eq!(threshold.own(), own, "{text}");
            assert_eq!(threshold.to_string(), text.to_uppercase());
        }
        for text in ["", "loud", "-1", "1.5"] {
            assert!(text.parse::<Threshold>().is_err(), "{text}");
        }
    }
}
