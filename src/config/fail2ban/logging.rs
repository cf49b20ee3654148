//! Where is it told what happens, in Fail2ban's words, and how much of it?
//!
//! In: what `logtarget`, `syslogsocket` and `loglevel` say, in fail2ban.conf, on a command line or while the daemon runs.
//! Out: the same in types. Nothing is opened here.

use std::fmt;
use std::path::{Path, PathBuf};

use super::brackets::{self, BracketError};
use crate::control::fail2ban::line::Form;
use crate::control::fail2ban::threshold::Threshold;

/// Where Fail2ban finds the system's log by itself.
const USUAL_SYSLOG: &str = "/dev/log";

/// What the socket is called that is not named.
pub const AUTO: &str = "auto";

/// The facilities of syslog by their words, with their numbers.
const FACILITIES: &[(&str, u8)] = &[
    ("KERN", 0),
    ("USER", 1),
    ("MAIL", 2),
    ("DAEMON", 3),
    ("AUTH", 4),
    ("SYSLOG", 5),
    ("LPR", 6),
    ("NEWS", 7),
    ("UUCP", 8),
    ("CRON", 9),
    ("AUTHPRIV", 10),
    ("FTP", 11),
    ("NTP", 12),
    ("SECURITY", 13),
    ("CONSOLE", 14),
    ("SOLCRON", 15),
    ("LOCAL0", 16),
    ("LOCAL1", 17),
    ("LOCAL2", 18),
    ("LOCAL3", 19),
    ("LOCAL4", 20),
    ("LOCAL5", 21),
    ("LOCAL6", 22),
    ("LOCAL7", 23),
];

/// The usual one.
const DAEMON: u8 = 3;

/// All of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Logging {
    /// Where it is told; nowhere if nothing is said.
    pub target: Option<LogTarget>,
    /// The socket of the system's log, if that is the target.
    pub socket: SyslogSocket,
    /// From which level on.
    pub threshold: Threshold,
}

/// What is said on a command line, and goes before the configuration.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Said {
    /// `--logtarget`
    pub target: Option<LogTarget>,
    /// `--syslogsocket`
    pub socket: Option<SyslogSocket>,
    /// `--loglevel`
    pub threshold: Option<Threshold>,
}

/// Where lines go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogTarget {
    /// Where that is.
    pub place: LogPlace,
    /// What lines look like there.
    pub form: Form,
    /// What was asked for beside that and cannot be had.
    pub unmet: Vec<Unmet>,
    name: String,
}

/// A place for lines.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LogPlace {
    /// A file.
    File(PathBuf),
    /// The system's log, under a facility.
    Syslog(u8),
    /// systemd's journal.
    Journal,
    /// Standard output.
    Output,
    /// Standard error.
    Errors,
}

/// The socket of the system's log.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum SyslogSocket {
    /// The usual one.
    #[default]
    Auto,
    /// That one.
    At(PathBuf),
}

/// What cannot be had of a target that is otherwise well.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Unmet {
    /// Another form, in words of Python's.
    Format,
    /// A facility that syslog does not have.
    Facility(String),
}

impl Unmet {
    /// What to write instead.
    pub fn remedy(&self) -> &'static str {
        match self {
            Unmet::Format => "leave `format` out",
            Unmet::Facility(_) => "write one such as DAEMON, AUTHPRIV or LOCAL0",
        }
    }
}

impl fmt::Display for Unmet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Unmet::Format => f.write_str("`format`: f2bd writes lines in the usual format only"),
            Unmet::Facility(word) => {
                write!(f, "syslog has no facility `{word}`: DAEMON is taken")
            }
        }
    }
}

/// Why nothing can be told there.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LogTargetError {
    /// It is no name with options.
    #[error(transparent)]
    Brackets(#[from] BracketError),
    /// It is neither a word nor a path.
    #[error(
        "`{0}` is no target: write an absolute path, SYSLOG, SYSTEMD-JOURNAL, STDOUT, SYSOUT or STDERR"
    )]
    Place(String),
}

impl Logging {
    /// Where the system's log listens.
    pub fn syslog(&self) -> &Path {
        match &self.socket {
            SyslogSocket::Auto => Path::new(USUAL_SYSLOG),
            SyslogSocket::At(path) => path,
        }
    }

    /// Whether lines go to the system's log.
    pub fn speaks_to_syslog(&self) -> bool {
        let target = self.target.as_ref();
        target.is_some_and(|target| matches!(target.place, LogPlace::Syslog(_)))
    }

    /// What Fail2ban calls the socket: once it was looked for, what was found.
    pub fn syslog_word(&self) -> String {
        match &self.socket {
            SyslogSocket::Auto if !self.speaks_to_syslog() => AUTO.to_owned(),
            _ => self.syslog().display().to_string(),
        }
    }

    /// What was said on a command line goes before it.
    pub fn overrule(&mut self, said: &Said) {
        if let Some(target) = &said.target {
            self.target = Some(target.clone());
        }
        if let Some(socket) = &said.socket {
            self.socket = socket.clone();
        }
        if let Some(threshold) = &said.threshold {
            self.threshold = threshold.clone();
        }
    }
}

impl SyslogSocket {
    /// By its word, or its path.
    pub fn named(word: &str) -> Self {
        match word {
            AUTO => SyslogSocket::Auto,
            path => SyslogSocket::At(PathBuf::from(path)),
        }
    }
}

impl LogTarget {
    /// Understands `SYSLOG[facility=LOCAL0]` and the like. Words are not told apart by the size of their letters.
    ///
    /// # Errors
    /// It is nothing to which lines could go.
    pub fn parse(text: &str) -> Result<Self, LogTargetError> {
        let named = brackets::part(text)?;
        let said = |key: &str| {
            let mut said = named.parameters.iter();
            said.find(|(known, _)| *known == key)
                .map(|(_, value)| *value)
        };
        let is_on = |key: &str| {
            let word = said(key).map(str::to_lowercase);
            word.map(|word| matches!(word.as_str(), "1" | "on" | "true" | "yes"))
        };
        let word = named.name.to_uppercase();
        let mut unmet = Vec::new();
        let place = match word.as_str() {
            "SYSLOG" => {
                let known = said("facility").map(|word| facility(word).ok_or(word));
                let known = known.unwrap_or(Ok(DAEMON));
                LogPlace::Syslog(known.unwrap_or_else(|word| {
                    unmet.push(Unmet::Facility(word.to_owned()));
                    DAEMON
                }))
            }
            "SYSTEMD-JOURNAL" => LogPlace::Journal,
            "STDOUT" | "SYSOUT" => LogPlace::Output,
            "STDERR" => LogPlace::Errors,
            _ if named.name.starts_with('/') => LogPlace::File(PathBuf::from(named.name)),
            _ => return Err(LogTargetError::Place(named.name.to_owned())),
        };
        if said("format").is_some_and(|format| !format.is_empty()) {
            unmet.push(Unmet::Format);
        }
        let is_syslog = matches!(place, LogPlace::Syslog(_));
        // Whoever takes these lines knows the time.
        let stamps_itself = is_syslog || word == "SYSOUT";
        Ok(LogTarget {
            form: Form {
                is_stamped: is_on("datetime").unwrap_or(!stamps_itself),
                is_padded: is_on("padding").unwrap_or(!is_syslog),
            },
            unmet,
            place,
            name: named.name.to_owned(),
        })
    }

    /// What it is called, without options.
    pub fn name(&self) -> &str {
        &self.name
    }
}

fn facility(word: &str) -> Option<u8> {
    let upper = word.to_uppercase();
    let known = FACILITIES.iter().find(|(name, _)| *name == upper);
    known.map(|(_, number)| *number)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn targets_are_words_or_absolute_paths() {
        let form = |is_stamped, is_padded| Form {
            is_stamped,
            is_padded,
        };
        for (text, place, expected) in [
            ("SYSLOG", LogPlace::Syslog(3), form(false, false)),
            (
                "syslog[facility=local0, padding=on]",
                LogPlace::Syslog(16),
                form(false, true),
            ),
            ("Stdout", LogPlace::Output, form(true, true)),
            ("SYSOUT", LogPlace::Output, form(false, true)),
            ("STDERR[datetime=off]", LogPlace::Errors, form(false, true)),
            ("SYSTEMD-JOURNAL", LogPlace::Journal, form(true, true)),
            (
                "/var/log/x.log[padding=off]",
                LogPlace::File("/var/log/x.log".into()),
                form(true, false),
            ),
        ] {
            let target = LogTarget::parse(text).expect("a target");
            assert_eq!((target.place, target.form), (place, expected), "{text}");
        }
        for text in ["", "NONE", "log/x", "SYSLOG[x", "SYSLOG[x]"] {
            assert!(LogTarget::parse(text).is_err(), "{text}");
        }
        let odd = LogTarget::parse("SYSLOG[facility=moon, format=%(x)s]").expect("a target");
        let unmet = vec![Unmet::Facility("moon".to_owned()), Unmet::Format];
        assert_eq!((odd.place, odd.unmet), (LogPlace::Syslog(DAEMON), unmet));
    }

    proptest! {
        #[test]
        fn no_words_are_too_odd(text in "(?i)(syslog|stdout|/x)?[\\[\\]=,a-z\"' ]{0,20}") {
            if let Ok(target) = LogTarget::parse(&text) {
                prop_assert!(text.starts_with(target.name()));
            }
        }
    }
}
