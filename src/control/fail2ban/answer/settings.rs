//! What is configured, as Fail2ban tells it?
//!
//! In: rows of the daemon. Out: the values that Fail2ban's own settings would have.

use std::time::Duration;

use log::LevelFilter;

use super::status::reads_journal;
use super::{Answers, Failed, seconds};
use crate::control::fail2ban::command::{Jail, JailSetting, Setting};
use crate::control::fail2ban::files;
use crate::control::fail2ban::value::Value;
use crate::engine::prefix::Prefix;

/// What is answered where no file is written: the daemon tells the service manager's journal or the terminal.
const STANDARD_ERROR: &str = "STDERR";

/// What Fail2ban calls dates that are written in any way that is known.
const ANY_DATE: &str = "Default Detectors";

impl<E> Answers<'_, E> {
    pub(super) fn setting(&mut self, setting: Setting) -> Result<Value, Failed<E>> {
        Ok(match setting {
            Setting::LogLevel => level_word(self.settings(None)?.log_level).into(),
            Setting::LogTarget => {
                let file = self.settings(None)?.fail2ban_log;
                file.unwrap_or_else(|| STANDARD_ERROR.to_owned()).into()
            }
            Setting::SyslogSocket => "auto".into(),
            Setting::Database => self.status(None)?.database.path.into(),
            Setting::PurgeAge => Value::count(self.settings(None)?.keep_bans),
        })
    }

    pub(super) fn setting_of(
        &mut self,
        jail: &Jail,
        setting: JailSetting,
    ) -> Result<Value, Failed<E>> {
        let row = self.jail(jail)?;
        let settings = self.jail_settings(jail)?;
        Ok(match setting {
            JailSetting::LogPath => Value::texts(files::there(&settings.logpath)),
            JailSetting::LogEncoding => settings.logencoding.into(),
            JailSetting::JournalMatch => {
                let alternatives = settings.journalmatch.split(" + ");
                let alternatives = alternatives.filter(|terms| !terms.is_empty());
                let terms = |terms: &str| Value::texts(terms.split(' '));
                Value::List(alternatives.map(terms).collect())
            }
            JailSetting::IgnoreSelf => Value::Flag(settings.ignoreself),
            JailSetting::IgnoreIp => Value::texts(in_their_order(&settings.ignoreip)),
            JailSetting::IgnoreCommand => settings.ignorecommand.into(),
            JailSetting::FailRegex => Value::texts(settings.failregex),
            JailSetting::IgnoreRegex => Value::texts(settings.ignoreregex),
            JailSetting::PrefRegex => {
                let lines = settings.lines.map(|lines| lines.prefregex);
                lines.unwrap_or_default().into()
            }
            // A journal tells the time itself.
            JailSetting::DatePattern if reads_journal(&settings) => Value::Nothing,
            JailSetting::DatePattern => {
                let lines = settings.lines.map(|lines| (lines.datepattern, lines.dates));
                let (pattern, title) = lines.unwrap_or((None, ANY_DATE.to_owned()));
                let pattern = pattern.map_or(Value::Nothing, Value::from);
                Value::Tuple(vec![pattern, title.into()])
            }
            JailSetting::LogTimeZone => {
                let zone = settings.lines.and_then(|lines| lines.logtimezone);
                zone.map_or(Value::Nothing, Value::from)
            }
            JailSetting::MaxLines => Value::count(settings.lines.map_or(1, |lines| lines.maxlines)),
            // Every answer is asked for.
            JailSetting::IgnoreCache => Value::Nothing,
            JailSetting::UseDns => settings.usedns.to_string().into(),
            JailSetting::FindTime => {
                let span = Duration::try_from_secs_f64(row.findtime).unwrap_or_default();
                Value::count(span.as_secs())
            }
            JailSetting::BanTime => Value::Whole(seconds(row.bantime)),
            JailSetting::MaxRetry => Value::count(row.maxretry),
            JailSetting::Actions => Value::texts(row.actions),
        })
    }
}

/// Who is spared, as Fail2ban tells it: networks and names first, then single addresses.
fn in_their_order(words: &[String]) -> impl Iterator<Item = String> {
    let plain = |word: &String| match word.parse::<Prefix>() {
        Ok(prefix) => (prefix.is_host(), prefix.plain()),
        Err(_) => (false, word.clone()),
    };
    let (single, wide): (Vec<_>, Vec<_>) =
        words.iter().map(plain).partition(|(is_host, _)| *is_host);
    wide.into_iter().chain(single).map(|(_, word)| word)
}

pub(super) fn level_word(level: LevelFilter) -> &'static str {
    match level {
        LevelFilter::Off | LevelFilter::Error => "ERROR",
        LevelFilter::Warn => "WARNING",
        LevelFilter::Info => "INFO",
        LevelFilter::Debug | LevelFilter::Trace => "DEBUG",
    }
}
