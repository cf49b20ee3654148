//! Which settings can be asked for, and which can be set?
//!
//! In: the words of Fail2ban's commands. Out: settings by name. What they are is not known here.

use crate::control::protocol::{GrowthOption, TreeOption};

/// A setting of the server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Setting {
    /// `loglevel`
    LogLevel,
    /// `logtarget`
    LogTarget,
    /// `syslogsocket`
    SyslogSocket,
    /// `dbfile`
    Database,
    /// `dbpurgeage`
    PurgeAge,
}

/// A setting of a jail.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum JailSetting {
    /// `logpath`
    LogPath,
    /// `logencoding`
    LogEncoding,
    /// `journalmatch`
    JournalMatch,
    /// `idle`, which Fail2ban itself does not tell.
    Idle,
    /// `ignoreself`
    IgnoreSelf,
    /// `ignoreip`
    IgnoreIp,
    /// `ignorecommand`
    IgnoreCommand,
    /// `failregex`
    FailRegex,
    /// `ignoreregex`
    IgnoreRegex,
    /// `prefregex`
    PrefRegex,
    /// `datepattern`
    DatePattern,
    /// `logtimezone`
    LogTimeZone,
    /// `maxlines`
    MaxLines,
    /// `ignorecache`
    IgnoreCache,
    /// `usedns`
    UseDns,
    /// `findtime`
    FindTime,
    /// `bantime`
    BanTime,
    /// `maxretry`
    MaxRetry,
    /// `maxmatches`
    MaxMatches,
    /// `actions`
    Actions,
    /// `bantime.increment` and the others of its kind.
    Growth(GrowthOption),
}

/// The settings of the server that can be asked for.
pub fn settings() -> impl Iterator<Item = &'static str> {
    SETTINGS.iter().map(|(name, _)| *name)
}

/// The settings of the server that can be made others.
pub const SETTABLE: [&str; 4] = ["loglevel", "logtarget", "syslogsocket", "dbpurgeage"];

/// The settings of the server by their words.
pub(super) const SETTINGS: &[(&str, Setting)] = &[
    ("loglevel", Setting::LogLevel),
    ("logtarget", Setting::LogTarget),
    ("syslogsocket", Setting::SyslogSocket),
    ("dbfile", Setting::Database),
    ("dbpurgeage", Setting::PurgeAge),
];

/// And those of a jail.
pub(super) const JAIL_SETTINGS: &[(&str, JailSetting)] = &[
    ("logpath", JailSetting::LogPath),
    ("logencoding", JailSetting::LogEncoding),
    ("journalmatch", JailSetting::JournalMatch),
    ("idle", JailSetting::Idle),
    ("ignoreself", JailSetting::IgnoreSelf),
    ("ignoreip", JailSetting::IgnoreIp),
    ("ignorecommand", JailSetting::IgnoreCommand),
    ("failregex", JailSetting::FailRegex),
    ("ignoreregex", JailSetting::IgnoreRegex),
    ("prefregex", JailSetting::PrefRegex),
    ("datepattern", JailSetting::DatePattern),
    ("logtimezone", JailSetting::LogTimeZone),
    ("maxlines", JailSetting::MaxLines),
    ("ignorecache", JailSetting::IgnoreCache),
    ("usedns", JailSetting::UseDns),
    ("findtime", JailSetting::FindTime),
    ("bantime", JailSetting::BanTime),
    ("maxretry", JailSetting::MaxRetry),
    ("maxmatches", JailSetting::MaxMatches),
    ("actions", JailSetting::Actions),
];

/// What can be set while Fail2ban runs, and not while f2bd does: the key to be edited instead.
pub(super) const FIXED: &[(&str, &str)] = &[
    ("addaction", "action"),
    ("delaction", "action"),
    ("action", "action"),
];

impl JailSetting {
    /// What is told of an option.
    pub fn of(option: TreeOption) -> Self {
        match option {
            TreeOption::UseDns => JailSetting::UseDns,
            TreeOption::PrefRegex => JailSetting::PrefRegex,
            TreeOption::MaxLines => JailSetting::MaxLines,
            TreeOption::DatePattern => JailSetting::DatePattern,
            TreeOption::LogTimeZone => JailSetting::LogTimeZone,
            TreeOption::LogEncoding => JailSetting::LogEncoding,
            TreeOption::IgnoreCommand => JailSetting::IgnoreCommand,
            TreeOption::Growth(option) => JailSetting::Growth(option),
        }
    }
}

/// What a word of a list means.
pub(super) fn known<T: Copy>(list: &[(&str, T)], word: &str) -> Option<T> {
    let mut list = list.iter();
    list.find(|(name, _)| *name == word)
        .map(|(_, known)| *known)
}
