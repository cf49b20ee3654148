//! What is configured, as Fail2ban tells it?
//!
//! In: rows of the daemon. Out: the values that Fail2ban's own settings would have.

use std::time::Duration;

use super::status::reads_journal;
use super::{Answers, Failed, seconds};
use crate::control::fail2ban::command::{Jail, JailSetting, Setting};
use crate::control::fail2ban::fault::Fault;
use crate::control::fail2ban::files;
use crate::control::fail2ban::value::Value;
use crate::control::protocol::{GrowthOption, JailSettingsRow, TreeOption};
use crate::engine::prefix::Prefix;

/// What is answered where nothing is told in Fail2ban's form: the daemon tells the service manager's journal or the terminal.
const STANDARD_ERROR: &str = "STDERR";

/// What Fail2ban calls dates that are written in any way that is known.
const ANY_DATE: &str = "Default Detectors";

/// The encoding that Python takes if it may choose.
const USUAL_ENCODING: &str = "UTF-8";

impl<E> Answers<'_, E> {
    pub(super) fn setting(&mut self, setting: Setting) -> Result<Value, Failed<E>> {
        Ok(match setting {
            Setting::LogLevel => self.settings(None)?.fail2ban_log_level.into(),
            Setting::LogTarget => {
                let target = self.settings(None)?.fail2ban_log;
                target.unwrap_or_else(|| STANDARD_ERROR.to_owned()).into()
            }
            Setting::SyslogSocket => self.settings(None)?.fail2ban_syslog_socket.into(),
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
            JailSetting::LogEncoding => match said(&settings, TreeOption::LogEncoding) {
                Some(word) if !word.eq_ignore_ascii_case("auto") => word.into(),
                _ if settings.said.is_some() => USUAL_ENCODING.into(),
                _ => settings.logencoding.into(),
            },
            JailSetting::JournalMatch => {
                let alternatives = settings.journalmatch.split(" + ");
                let alternatives = alternatives.filter(|terms| !terms.is_empty());
                let terms = |terms: &str| Value::texts(terms.split(' '));
                Value::List(alternatives.map(terms).collect())
            }
            JailSetting::Idle => Value::Flag(settings.idle),
            JailSetting::IgnoreSelf => Value::Flag(settings.ignoreself),
            JailSetting::IgnoreIp => Value::texts(in_their_order(&settings.ignoreip)),
            JailSetting::IgnoreCommand => match said(&settings, TreeOption::IgnoreCommand) {
                Some(command) => command.into(),
                None => settings.ignorecommand.into(),
            },
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
                let said = said(&settings, TreeOption::LogTimeZone).map(str::to_owned);
                let zone = || settings.lines.and_then(|lines| lines.logtimezone);
                let zone = said.filter(|zone| !zone.is_empty()).or_else(zone);
                zone.map_or(Value::Nothing, Value::from)
            }
            JailSetting::MaxLines => Value::count(settings.lines.map_or(1, |lines| lines.maxlines)),
            // Answers hold for a while, of which nothing can be said.
            JailSetting::IgnoreCache => Value::Nothing,
            JailSetting::UseDns => match said(&settings, TreeOption::UseDns) {
                Some(word) => word.into(),
                None => settings.usedns.to_string().into(),
            },
            JailSetting::Growth(option) => growth(&settings, option)?,
            JailSetting::FindTime => {
                let span = Duration::try_from_secs_f64(row.findtime).unwrap_or_default();
                Value::count(span.as_secs())
            }
            JailSetting::BanTime => Value::Whole(seconds(row.bantime)),
            // The lines that a ban keeps are those of the failures that made it.
            JailSetting::MaxRetry | JailSetting::MaxMatches => Value::count(row.maxretry),
            JailSetting::Actions if settings.said.is_some() => {
                let said = settings.said_actions.into_iter();
                Value::texts(said.map(|said| said.action))
            }
            JailSetting::Actions => Value::texts(row.actions),
        })
    }
}

/// What a directory of Fail2ban's says of an option.
fn said(settings: &JailSettingsRow, option: TreeOption) -> Option<&str> {
    let said = settings.said.as_ref()?;
    said.get(option.name()).map(String::as_str)
}

/// How bans grow, as Python's values: what a configuration of f2bd's says of it has no such words.
fn growth(settings: &JailSettingsRow, option: GrowthOption) -> Result<Value, Fault> {
    if settings.said.is_none() {
        return Err(Fault::Refused(format!(
            "f2bd tells how bans grow by `f2bd check --json`, under `escalation` of the jail {}",
            settings.jail
        )));
    }
    let Some(word) = said(settings, TreeOption::Growth(option)) else {
        return Ok(Value::Nothing);
    };
    let number = || word.parse().ok().map(Value::Whole);
    Ok(match option {
        GrowthOption::Increment | GrowthOption::OverAllJails => Value::Flag(word == "True"),
        GrowthOption::MaxTime | GrowthOption::RandomTime => number().unwrap_or_else(|| word.into()),
        GrowthOption::Factor | GrowthOption::Formula | GrowthOption::Multipliers => word.into(),
    })
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
