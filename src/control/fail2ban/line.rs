//! What does a line of Fail2ban's log look like?
//!
//! `2026-11-21 01:33:04,854 fail2ban.filter         [22329]: INFO    [sshd] Found 192.0.2.9 - 2026-11-21 01:33:04`, in
//! local time. Its `recidive`, logwatch and SIEMs read such lines; and the client tells its troubles in them.

use std::fmt;

use jiff::tz::TimeZone;

use crate::engine::time::Timestamp;

/// How much a line matters, in Fail2ban's words.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Level {
    /// Something does not work.
    Error,
    /// The administrator should know.
    Warning,
    /// A ban begins or ends.
    Notice,
    /// The rest.
    Info,
}

impl Level {
    /// The number that Python has for it: what matters more has a higher one.
    pub fn number(self) -> u32 {
        match self {
            Level::Error => 40,
            Level::Warning => 30,
            Level::Notice => 25,
            Level::Info => 20,
        }
    }

    /// Its severity in syslog.
    pub fn severity(self) -> u8 {
        match self {
            Level::Error => 3,
            Level::Warning => 4,
            Level::Notice => 5,
            Level::Info => 6,
        }
    }

    fn word(self) -> &'static str {
        match self {
            Level::Error => "ERROR",
            Level::Warning => "WARNING",
            Level::Notice => "NOTICE",
            Level::Info => "INFO",
        }
    }
}

/// A moment as Fail2ban writes it: `2026-11-21 01:33:04`. What never comes is the end of the year 9999.
pub fn moment(time: Option<Timestamp>, zone: &TimeZone) -> String {
    let far = || "9999-12-31 23:59:59".to_owned();
    // Beyond the year 9999 there is no calendar, neither theirs nor ours.
    let time = time.and_then(|time| jiff::Timestamp::from_microsecond(time.as_micros()).ok());
    time.map_or_else(far, |time| {
        let time = time.to_zoned(zone.clone());
        time.strftime("%Y-%m-%d %H:%M:%S").to_string()
    })
}

/// What a line looks like: not everybody who takes one needs all of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Form {
    /// Whether it begins with the time.
    pub is_stamped: bool,
    /// Whether its parts stand below those of the line before.
    pub is_padded: bool,
}

impl Default for Form {
    fn default() -> Self {
        Form {
            is_stamped: true,
            is_padded: true,
        }
    }
}

/// A text whose control characters are shown as escapes, so that it stays one line.
pub struct OneLine<'t>(pub &'t str);

impl fmt::Display for OneLine<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for c in self.0.chars() {
            match c.is_control() {
                true => write!(f, "{}", c.escape_default())?,
                false => write!(f, "{c}")?,
            }
        }
        Ok(())
    }
}

/// A line without its end.
#[derive(Clone, Copy, Debug)]
pub struct Line<'l> {
    /// When it was written.
    pub time: Timestamp,
    /// The local zone.
    pub zone: &'l TimeZone,
    /// Which part of Fail2ban would have written it: `fail2ban.actions`.
    pub logger: &'l str,
    /// The number of the process.
    pub process: u32,
    /// How much it matters.
    pub level: Level,
    /// What it looks like.
    pub form: Form,
    /// What it says. Control characters of it are shown as escapes, so that it stays one line.
    pub text: &'l str,
}

impl fmt::Display for Line<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.form.is_stamped {
            let millis = self.time.as_micros().rem_euclid(1_000_000) / 1_000;
            write!(f, "{},{millis:03} ", moment(Some(self.time), self.zone))?;
        }
        let (logger, level) = match self.form.is_padded {
            true => (24, 7),
            false => (0, 0),
        };
        write!(
            f,
            "{:<logger$}[{}]: {:<level$} {}",
            self.logger,
            self.process,
            self.level.word(),
            OneLine(self.text),
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_what_recidive_reads() {
        let zone = TimeZone::fixed(jiff::tz::offset(1));
        let line = Line {
            time: "2026-11-21T00:33:04.854Z".parse().expect("a time"),
            zone: &zone,
            logger: "fail2ban.filter",
            process: 22_329,
            level: Level::Info,
            form: Form::default(),
            text: "[sshd] Found 192.0.2.9 - 2026-11-21 01:33:04\n",
        };
        assert_eq!(
            line.to_string(),
            "2026-11-21 01:33:04,854 fail2ban.filter         [22329]: INFO    [sshd] Found 192.0.2.9 - 2026-11-21 01:33:04\\n"
        );
        let short = Line {
            form: Form {
                is_stamped: false,
                is_padded: false,
            },
            ..line
        };
        assert_eq!(
            short.to_string(),
            "fail2ban.filter[22329]: INFO [sshd] Found 192.0.2.9 - 2026-11-21 01:33:04\\n"
        );
        assert_eq!(moment(None, &zone), "9999-12-31 23:59:59");
    }
}
