//! What do the words of a Fail2ban command mean?
//!
//! In: words. Out: a [`Command`], or the fault that Fail2ban finds in them. Whether a jail of that name exists is not
//! known here.

mod settings;

use std::collections::VecDeque;

use self::settings::{FIXED, JAIL_SETTINGS, SETTINGS, known};
pub use self::settings::{JailSetting, SETTABLE, Setting, settings};
use super::fault::Fault;
use super::threshold::NoLevel;
use super::value::Value;
use crate::control::protocol::{DaemonChange, JailChange, TreeChange, TreeOption};

/// What somebody wants.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Command {
    /// `ping`
    Ping,
    /// `version`
    Version,
    /// `server-status`, which Fail2ban's own client sends when it has started a server.
    ServerStatus,
    /// `echo WORD…`
    Echo(Vec<String>),
    /// `status`
    Status,
    /// `status --all`
    StatusOfAll(Flavor),
    /// `status JAIL`
    StatusOf(Jail, Flavor),
    /// `stats`
    Statistics,
    /// `banned [IP…]`
    Banned(Vec<String>),
    /// `unban --all`
    UnbanAll,
    /// `unban IP…`
    Unban(Vec<String>),
    /// `get X`
    Get(Setting),
    /// `get JAIL X`
    GetOf(Jail, JailSetting),
    /// `get JAIL actionproperties ACTION`
    PropertiesOf(Jail, String),
    /// `get JAIL actionmethods ACTION`
    MethodsOf(Jail, String),
    /// `get JAIL action ACTION PROPERTY`
    PropertyOf {
        /// Of this jail
        jail: Jail,
        /// this action
        action: String,
        /// has this one.
        property: String,
    },
    /// `get JAIL banned [IP…]`
    BannedIn(Jail, Vec<String>),
    /// `get JAIL banip [SEPARATOR]`
    BanList(Jail, Times),
    /// `set JAIL banip IP…`
    Ban(Jail, Vec<String>),
    /// `set JAIL unbanip IP…`
    UnbanIn(Jail, Vec<String>, Absent),
    /// `set X VALUE`
    Set(DaemonChange),
    /// `set JAIL X VALUE`
    SetOf(Jail, JailChange),
    /// The same for what is as if a directory of Fail2ban's said it.
    Rewrite(Jail, TreeChange),
    /// `reload`
    Reload(Reload),
    /// `flushlogs`
    FlushLogs,
    /// `start JAIL`
    Start(Jail),
    /// `stop`
    Stop,
    /// `stop JAIL`
    StopJail(Jail),
    /// `stop --all`
    StopAllJails,
}

/// The name of a jail, as somebody has typed it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Jail(pub String);

/// What a status should tell.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Flavor {
    /// All that is known.
    #[default]
    Basic,
    /// Not who is banned.
    Short,
    /// Also where they are who are banned.
    Whereabouts,
    /// Numbers alone.
    Statistics,
}

/// Whether a list tells times.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Times {
    /// Addresses alone.
    Without,
    /// Start, length and end of each ban.
    With,
}

/// What becomes of addresses that are not banned, where bans are to be lifted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Absent {
    /// Nothing.
    Passed,
    /// They are a fault.
    Reported,
}

/// What should be read anew.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Reload {
    /// The jail that is meant; everything is read anew all the same.
    pub jail: Option<Jail>,
    /// Whether its bans, or all, are lifted.
    pub unban: bool,
    /// Whether it need not exist.
    pub if_exists: bool,
}

/// With what a command can begin, for people who type one.
pub const NAMES: [&str; 13] = [
    "ping",
    "version",
    "echo",
    "status",
    "stats",
    "banned",
    "unban",
    "get",
    "set",
    "reload",
    "flushlogs",
    "stop",
    "server-status",
];

/// The words that are left.
struct Words(VecDeque<String>);

impl Words {
    /// The next one, which must be there.
    fn next(&mut self) -> Result<String, Fault> {
        self.0.pop_front().ok_or(Fault::Incomplete)
    }

    /// The next one if it is this.
    fn take(&mut self, word: &str) -> bool {
        let is_next = self.0.front().is_some_and(|next| next == word);
        if is_next {
            self.0.pop_front();
        }
        is_next
    }

    fn rest(self) -> Vec<String> {
        self.0.into()
    }

    /// All that are left, of which there must be one.
    fn some(self) -> Result<Vec<String>, Fault> {
        match self.0.is_empty() {
            true => Err(Fault::Incomplete),
            false => Ok(self.rest()),
        }
    }
}

/// Understands a command.
///
/// # Errors
/// There is no such command, or it is one that f2bd does not follow.
pub fn understand(words: impl IntoIterator<Item = String>) -> Result<Command, Fault> {
    let mut words = Words(words.into_iter().collect());
    let name = words.next()?;
    Ok(match name.as_str() {
        "ping" => Command::Ping,
        "version" => Command::Version,
        "server-status" => Command::ServerStatus,
        "echo" => Command::Echo(words.rest()),
        "status" => return status(words),
        "stat" | "stats" | "statistic" | "statistics" => Command::Statistics,
        "banned" => Command::Banned(words.rest()),
        "unban" if words.take("--all") && words.0.is_empty() => Command::UnbanAll,
        "unban" => Command::Unban(words.some()?),
        "get" => return get(words),
        "set" | "multi-set" => return set(words),
        "reload" => return reload(words),
        "restart" if !words.0.is_empty() => return reload(words),
        "flushlogs" => Command::FlushLogs,
        "stop" if words.0.is_empty() => Command::Stop,
        "stop" if words.take("--all") => Command::StopAllJails,
        "start" => Command::Start(Jail(words.next()?)),
        "stop" => Command::StopJail(Jail(words.next()?)),
        "add" => return Err(fixed("enabled", Some(&words.next()?), "`enabled = true`")),
        _ => return Err(Fault::Refused("Invalid command".to_owned())),
    })
}

/// That something is the configuration's to say.
fn fixed(key: &str, jail: Option<&str>, write: &str) -> Fault {
    let place = match jail {
        Some(jail) => format!(" of the jail {jail}"),
        None => String::new(),
    };
    Fault::Refused(format!(
        "f2bd does not change `{key}`{place} while it runs: write {write} into the configuration, then reload"
    ))
}

/// That lines are not kept by number.
fn keeps_all(key: &str) -> String {
    format!("f2bd has no `{key}`: a ban keeps the lines of the failures that made it")
}

fn status(mut words: Words) -> Result<Command, Fault> {
    let Ok(jail) = words.next() else {
        return Ok(Command::Status);
    };
    let flavor = match words.next().as_deref() {
        Ok("short") => Flavor::Short,
        Ok("stats") => Flavor::Statistics,
        Ok("cymru") => Flavor::Whereabouts,
        // Fail2ban takes what it does not know for this as well.
        _ => Flavor::Basic,
    };
    if !words.0.is_empty() {
        return Err(Fault::Refused("Invalid command (no status)".to_owned()));
    }
    Ok(match jail.as_str() {
        "--all" => Command::StatusOfAll(flavor),
        _ => Command::StatusOf(Jail(jail), flavor),
    })
}

fn get(mut words: Words) -> Result<Command, Fault> {
    let first = words.next()?;
    if let Some(setting) = known(SETTINGS, &first) {
        return Ok(Command::Get(setting));
    }
    let unknown =
        || Fault::Refused("Invalid command (no get action or not yet implemented)".to_owned());
    match first.as_str() {
        "thread" => return Err(unknown()),
        "dbmaxmatches" => return Err(Fault::Refused(keeps_all(&first))),
        _ => {}
    }
    let (jail, what) = (Jail(first), words.next()?);
    Ok(match what.as_str() {
        "banned" => Command::BannedIn(jail, words.rest()),
        "banip" => {
            let times = match words.take("--with-time") {
                true => Times::With,
                false => Times::Without,
            };
            Command::BanList(jail, times)
        }
        "actionproperties" => Command::PropertiesOf(jail, words.next()?),
        "actionmethods" => Command::MethodsOf(jail, words.next()?),
        "action" => {
            let (action, property) = (words.next()?, words.next()?);
            Command::PropertyOf {
                jail,
                action,
                property,
            }
        }
        what => {
            let setting =
                known(JAIL_SETTINGS, what).or_else(|| what.parse().ok().map(JailSetting::of));
            Command::GetOf(jail, setting.ok_or_else(unknown)?)
        }
    })
}

fn set(mut words: Words) -> Result<Command, Fault> {
    let first = words.next()?;
    match first.as_str() {
        "loglevel" => {
            let level = words.next()?.parse();
            let level = level.map_err(|error: NoLevel| Fault::BadWord(error.to_string()))?;
            return Ok(Command::Set(DaemonChange::LogLevel(level)));
        }
        "logtarget" => return Ok(Command::Set(DaemonChange::Fail2banLog(words.next()?))),
        "syslogsocket" => return Ok(Command::Set(DaemonChange::SyslogSocket(words.next()?))),
        "dbfile" => return Err(fixed("dbfile", None, "`database` under [daemon]")),
        "dbpurgeage" => return Ok(Command::Set(DaemonChange::KeepBans(words.next()?))),
        "dbmaxmatches" => return Err(Fault::Refused(keeps_all(&first))),
        "allowipv6" | "thread" => {
            return Err(Fault::Refused(format!("f2bd has no `{first}`")));
        }
        _ => {}
    }
    let (jail, what) = (Jail(first), words.next()?);
    Ok(match what.as_str() {
        "banip" => Command::Ban(jail, words.some()?),
        "unbanip" => {
            let absent = match words.take("--report-absent") {
                true => Absent::Reported,
                false => Absent::Passed,
            };
            Command::UnbanIn(jail, words.some()?, absent)
        }
        "maxretry" => Command::SetOf(jail, JailChange::Maxretry(whole_number(&words.next()?)?)),
        "findtime" => Command::SetOf(jail, JailChange::Findtime(words.next()?)),
        "bantime" => Command::SetOf(jail, JailChange::Bantime(words.next()?)),
        "ignoreself" => Command::SetOf(jail, JailChange::Ignoreself(is_true(&words.next()?))),
        "idle" => {
            let is_idle = match words.next()?.as_str() {
                "on" => true,
                "off" => false,
                _ => {
                    let text = "Invalid idle option, must be 'on' or 'off'";
                    return Err(Fault::Refused(text.to_owned()));
                }
            };
            Command::SetOf(jail, JailChange::Idle(is_idle))
        }
        "addignoreip" => Command::SetOf(jail, JailChange::Addignoreip(words.rest())),
        "delignoreip" => Command::SetOf(jail, JailChange::Delignoreip(words.next()?)),
        what => return change(jail, what, words),
    })
}

/// What is to be as if a directory of Fail2ban's said it.
fn change(jail: Jail, what: &str, mut words: Words) -> Result<Command, Fault> {
    let change = match what {
        "addlogpath" => return add_log(jail, words),
        "dellogpath" => TreeChange::Dellogpath(words.next()?),
        "addfailregex" => TreeChange::Addfailregex(words.next()?),
        "delfailregex" => TreeChange::Delfailregex(whole_number(&words.next()?)?),
        "addignoreregex" => TreeChange::Addignoreregex(words.next()?),
        "delignoreregex" => TreeChange::Delignoreregex(whole_number(&words.next()?)?),
        "addjournalmatch" => TreeChange::Addjournalmatch(words.rest()),
        "deljournalmatch" => TreeChange::Deljournalmatch(words.rest()),
        what => match what.parse::<TreeOption>() {
            Ok(option) => {
                let value = words.next()?;
                if option == TreeOption::MaxLines && whole_number(&value)? <= 0 {
                    let text = "maxlines must be integer greater than zero";
                    return Err(Fault::BadWord(text.to_owned()));
                }
                TreeChange::Option { option, value }
            }
            Err(_) => return Err(unchanged(&jail, what)),
        },
    };
    Ok(Command::Rewrite(jail, change))
}

/// A log, and from where on it is read.
fn add_log(jail: Jail, mut words: Words) -> Result<Command, Fault> {
    let path = words.next()?;
    let option = words.next().ok().map(|word| word.to_ascii_lowercase());
    if !words.0.is_empty() {
        let text = "Only one file can be added at a time";
        return Err(Fault::BadWord(text.to_owned()));
    }
    match option.as_deref() {
        None | Some("head") => Ok(Command::Rewrite(jail, TreeChange::Addlogpath(path))),
        Some("tail") => Err(Fault::Refused(
            "f2bd counts what a log that it has never read tells of the last findtime: leave `tail` out if that may be".to_owned(),
        )),
        Some(_) => {
            let text = "File option must be 'head' or 'tail'";
            Err(Fault::BadWord(text.to_owned()))
        }
    }
}

/// Why something cannot be changed, and what there is instead.
fn unchanged(jail: &Jail, what: &str) -> Fault {
    let text = match what {
        "attempt" => {
            "f2bd counts what its sources tell: `f2bd report` tells it of a failure".to_owned()
        }
        "maxmatches" => keeps_all("maxmatches"),
        "ignorecache" => {
            "f2bd has no `ignorecache`: what `ignorecommand` answers of an address holds for five minutes"
                .to_owned()
        }
        what => {
            let key = known(FIXED, what);
            return match key {
                Some(key) => fixed(key, Some(&jail.0), "the new value"),
                None => Fault::Refused(format!(
                    "Invalid command '{what}' (no set action or not yet implemented)"
                )),
            };
        }
    };
    Fault::Refused(text)
}

/// A number as Python reads it.
fn whole_number(word: &str) -> Result<i64, Fault> {
    word.trim().parse().map_err(|_| {
        let word = Value::from(word);
        Fault::BadWord(format!("invalid literal for int() with base 10: {word}"))
    })
}

/// What Fail2ban takes for true; anything else is false to it.
fn is_true(word: &str) -> bool {
    let word = word.to_ascii_lowercase();
    matches!(word.as_str(), "1" | "on" | "true" | "yes")
}

fn reload(mut words: Words) -> Result<Command, Fault> {
    let mut reload = Reload::default();
    loop {
        if words.take("--unban") {
            reload.unban = true;
        } else if words.take("--if-exists") {
            reload.if_exists = true;
        } else if !words.take("--restart") {
            break;
        }
    }
    reload.jail = words.next().ok().filter(|jail| jail != "--all").map(Jail);
    if !words.0.is_empty() {
        let rest = words.rest().join(" ");
        return Err(Fault::Refused(format!(
            "Unexpected argument(s) for reload: {rest}"
        )));
    }
    Ok(Command::Reload(reload))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn heard(text: &str) -> Result<Command, Fault> {
        understand(text.split_whitespace().map(str::to_owned))
    }

    fn jail() -> Jail {
        Jail("sshd".to_owned())
    }

    #[test]
    fn words_are_understood() {
        let ip = || vec!["192.0.2.7".to_owned()];
        for (text, command) in [
            ("ping 0.1", Command::Ping),
            ("status", Command::Status),
            ("status --all short", Command::StatusOfAll(Flavor::Short)),
            ("status sshd", Command::StatusOf(jail(), Flavor::Basic)),
            (
                "status sshd other",
                Command::StatusOf(jail(), Flavor::Basic),
            ),
            ("get dbfile", Command::Get(Setting::Database)),
            (
                "get sshd maxretry",
                Command::GetOf(jail(), JailSetting::MaxRetry),
            ),
            ("get sshd banip ,", Command::BanList(jail(), Times::Without)),
            (
                "get sshd banip --with-time",
                Command::BanList(jail(), Times::With),
            ),
            ("set sshd banip 192.0.2.7", Command::Ban(jail(), ip())),
            (
                "set sshd unbanip --report-absent 192.0.2.7",
                Command::UnbanIn(jail(), ip(), Absent::Reported),
            ),
            (
                "set sshd maxretry 3",
                Command::SetOf(jail(), JailChange::Maxretry(3)),
            ),
            (
                "set sshd addignoreip 192.0.2.7",
                Command::SetOf(jail(), JailChange::Addignoreip(ip())),
            ),
            (
                "set dbpurgeage 60d",
                Command::Set(DaemonChange::KeepBans("60d".to_owned())),
            ),
            (
                "set logtarget stdout",
                Command::Set(DaemonChange::Fail2banLog("stdout".to_owned())),
            ),
            (
                "set sshd addfailregex x",
                Command::Rewrite(jail(), TreeChange::Addfailregex("x".to_owned())),
            ),
            (
                "set sshd delignoreregex -1",
                Command::Rewrite(jail(), TreeChange::Delignoreregex(-1)),
            ),
            (
                "set sshd addlogpath /x HEAD",
                Command::Rewrite(jail(), TreeChange::Addlogpath("/x".to_owned())),
            ),
            ("unban --all", Command::UnbanAll),
            ("unban 192.0.2.7", Command::Unban(ip())),
            (
                "set loglevel notice",
                Command::Set(DaemonChange::LogLevel("NOTICE".parse().expect("a level"))),
            ),
            (
                "reload --restart --unban sshd",
                Command::Reload(Reload {
                    jail: Some(jail()),
                    unban: true,
                    if_exists: false,
                }),
            ),
            ("reload --all", Command::Reload(Reload::default())),
        ] {
            assert_eq!(heard(text), Ok(command), "{text}");
        }
    }

    #[test]
    fn faults_are_those_of_fail2ban() {
        for text in [
            "",
            "get",
            "get sshd",
            "set",
            "set sshd",
            "set sshd banip",
            "unban",
        ] {
            assert_eq!(heard(text), Err(Fault::Incomplete), "{text}");
        }
        for text in ["nonsense", "get sshd nonsense", "set sshd nonsense 1"] {
            let said = heard(text).expect_err(text).to_string();
            assert!(said.starts_with("Invalid command"), "{text}: {said}");
        }
        let said = heard("set sshd addaction x")
            .expect_err("a fault")
            .to_string();
        assert!(said.contains("`action` of the jail sshd"), "{said}");
    }

    #[test]
    fn commands_are_known_by_their_names() {
        for name in NAMES {
            let said = understand([name.to_owned(), "x".to_owned(), "y".to_owned()]);
            let invalid = Fault::Refused("Invalid command".to_owned());
            assert_ne!(said, Err(invalid), "{name}");
        }
        for name in settings() {
            assert!(understand(["get".to_owned(), name.to_owned()]).is_ok());
        }
    }

    proptest! {
        #[test]
        fn no_words_are_too_odd(words in prop::collection::vec("(get|set|status|unban|reload|maxretry|addignoreip|logtarget|[a-z0-9/-]{0,9})", 0..6)) {
            let _ = understand(words);
        }
    }
}
