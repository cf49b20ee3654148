//! What does `[daemon]` say?

use std::path::{Path, PathBuf};
use std::time::Duration;

use log::LevelFilter;

use super::document::{Kind, Table, Value};
use super::fail2ban::logging::{LogTarget, Logging, SyslogSocket};
use super::problem::{Place, Problems};
use super::section::{Section, unknown};
use crate::control::fail2ban::threshold::NoLevel;
use crate::store::Retention;

const DAY: Duration = Duration::from_secs(86_400);

/// What `1y` means.
const YEAR: Duration = Duration::from_secs(31_557_600);

/// Settings of the daemon itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DaemonSettings {
    /// The database.
    pub database: PathBuf,
    /// The control socket.
    pub socket: PathBuf,
    /// Which country an address is of.
    pub country: Option<PathBuf>,
    /// Who runs the network of an address.
    pub operator: Option<PathBuf>,
    /// What the daemon tells of.
    pub log_level: LevelFilter,
    /// How long history is kept.
    pub retention: Retention,
    /// Whether nobody is banned who would be locked out.
    pub guard: bool,
    /// Where those are answered who speak as Fail2ban's clients do.
    pub fail2ban_socket: Option<PathBuf>,
    /// Where what happens is told in Fail2ban's words.
    pub logging: Logging,
    /// Where the number of the process is written while it runs.
    pub pid_file: Option<PathBuf>,
}

impl DaemonSettings {
    /// Reads `[daemon]`.
    pub fn read(section: &Section<'_>, problems: &mut Problems) -> Self {
        section.check_keys("[daemon]", problems);
        let mut span = |key: &str, usual| section.span(key, problems).unwrap_or(usual);
        let retention = Retention {
            history: span("keep_bans", YEAR),
            failures: span("keep_failures", 30 * DAY),
            max_failures: 1_000_000,
        };
        let log_level = log_level(section, problems);
        let most = section.number("max_failures", 1_000, 100_000_000, problems);
        DaemonSettings {
            database: path(section, "database", "/var/lib/f2bd/f2bd.db", problems),
            socket: path(section, "socket", "/run/f2bd/control.sock", problems),
            country: optional_path(section, "country", problems),
            operator: optional_path(section, "operator", problems),
            log_level,
            retention: Retention {
                max_failures: most.map_or(retention.max_failures, i64::unsigned_abs),
                ..retention
            },
            guard: section.flag("guard", problems).unwrap_or(true),
            fail2ban_socket: optional_path(section, "fail2ban_socket", problems),
            logging: logging(section, log_level, problems),
            pid_file: optional_path(section, "pid_file", problems),
        }
    }
}

fn path(section: &Section<'_>, key: &str, usual: &str, problems: &mut Problems) -> PathBuf {
    match (section.text(key, problems), section.value(key)) {
        (Some(""), Some(value)) => {
            problems.error(&value.place, format!("`{key}` is empty"), "write a path");
            PathBuf::from(usual)
        }
        (text, _) => PathBuf::from(text.unwrap_or(usual)),
    }
}

fn optional_path(section: &Section<'_>, key: &str, problems: &mut Problems) -> Option<PathBuf> {
    section.value(key)?;
    let path = path(section, key, "", problems);
    (path != Path::new("")).then_some(path)
}

fn log_level(section: &Section<'_>, problems: &mut Problems) -> LevelFilter {
    let Some(word) = section.text("log_level", problems) else {
        return LevelFilter::Info;
    };
    match word {
        "error" => LevelFilter::Error,
        "warning" => LevelFilter::Warn,
        "info" => LevelFilter::Info,
        "debug" => LevelFilter::Debug,
        _ => {
            if let Some(value) = section.value("log_level") {
                let known = ["error", "warning", "info", "debug"].into_iter();
                unknown("log level", word, "", known, &value.place, problems);
            }
            LevelFilter::Info
        }
    }
}

/// Fail2ban's log tells what our own does, if nothing else is said.
fn logging(section: &Section<'_>, own: LevelFilter, problems: &mut Problems) -> Logging {
    let target = section.text("fail2ban_log", problems);
    let target = target.map(LogTarget::parse).transpose();
    if let (Some(value), Ok(Some(target))) = (section.value("fail2ban_log"), &target) {
        for unmet in &target.unmet {
            let message = format!("the log in Fail2ban's form: {unmet}");
            problems.warning(&value.place, message, unmet.remedy());
        }
    }
    let socket = section.text("fail2ban_syslog_socket", problems);
    let threshold = section.text("fail2ban_log_level", problems);
    let threshold = threshold.map(str::parse).transpose();
    let mut wrong = |key: &str, message: String, remedy: &str| {
        if let Some(value) = section.value(key) {
            problems.error(&value.place, format!("`{key}`: {message}"), remedy);
        }
    };
    Logging {
        target: target.unwrap_or_else(|error| {
            let remedy = "write a path such as \"/var/log/fail2ban.log\"";
            wrong("fail2ban_log", error.to_string(), remedy);
            None
        }),
        socket: socket.map(SyslogSocket::named).unwrap_or_default(),
        threshold: threshold
            .unwrap_or_else(|error: NoLevel| {
                let remedy = "write \"ERROR\", \"WARNING\", \"NOTICE\", \"INFO\" or \"DEBUG\"";
                wrong("fail2ban_log_level", error.to_string(), remedy);
                None
            })
            .unwrap_or_else(|| own.into()),
    }
}

/// A section with a name: `[source.NAME]`.
pub fn named<'t, N>(
    what: &str,
    key: &str,
    place: &Place,
    value: &'t Value,
    problems: &mut Problems,
) -> Option<(N, &'t Table)>
where
    N: std::str::FromStr<Err: std::fmt::Display>,
{
    let Kind::Table(table) = &value.kind else {
        let remedy = format!("write a section such as [{what}.{key}]");
        problems.error(place, format!("`{key}` in [{what}] is no section"), remedy);
        return None;
    };
    match key.parse() {
        Ok(name) => Some((name, table)),
        Err(error) => {
            problems.error(
                place,
                format!("{error}"),
                format!("choose another name for the {what}"),
            );
            None
        }
    }
}
