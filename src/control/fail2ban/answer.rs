//! What would Fail2ban answer?
//!
//! In: a command, and a way to ask the daemon. Out: the value that Fail2ban's server would send. What f2bd orders or names
//! otherwise is put into Fail2ban's order and words here; how it is printed is the client's affair. `status` is how jails are
//! doing, `bans` who is banned, `actions` what is said of actions, `settings` what is configured.

mod actions;
mod bans;
mod settings;
mod status;

use std::collections::BTreeSet;
use std::net::IpAddr;

use jiff::tz::TimeZone;

use self::status::summary;
use super::SPOKEN_VERSION;
use super::command::{Absent, Command, Jail, JailSetting, Reload, Setting};
use super::fault::Fault;
use super::value::Value;
use crate::control::protocol::{
    DaemonChange, JailChange, JailRow, JailSettingsRow, Refusal, Reply, Request, SettingsRow,
    Status, TreeChange, Why,
};
use crate::engine::name::JailName;
use crate::engine::time::BanTime;

/// Where Fail2ban has nothing to roll over.
const STREAMS: [&str; 4] = ["STDERR", "STDOUT", "SYSLOG", "SYSTEMD-JOURNAL"];

/// Why there is no answer.
#[derive(Debug)]
pub enum Failed<E> {
    /// Fail2ban would not answer either.
    Fault(Fault),
    /// The daemon cannot be asked.
    Daemon(E),
}

impl<E> From<Fault> for Failed<E> {
    fn from(fault: Fault) -> Self {
        Failed::Fault(fault)
    }
}

impl<E> From<Refusal> for Failed<E> {
    fn from(refusal: Refusal) -> Self {
        Failed::Fault(refusal.into())
    }
}

/// Whoever answers commands.
pub struct Answers<'a, E> {
    /// Asks the daemon.
    pub ask: &'a mut dyn FnMut(Request) -> Result<Reply, E>,
    /// The zone in which times are told.
    pub zone: &'a TimeZone,
    /// Where the connection comes from by which somebody orders; nothing if that is not known.
    pub from: Option<IpAddr>,
    /// Hears what is not done though the rest is.
    pub complain: &'a mut dyn FnMut(String),
}

impl<E> Answers<'_, E> {
    /// Does what a command wants.
    ///
    /// # Errors
    /// Fail2ban would have raised an exception, or the daemon cannot be asked.
    pub fn answer(&mut self, command: Command) -> Result<Value, Failed<E>> {
        Ok(match command {
            // Whoever pings wants to know whether somebody is there.
            Command::Ping => {
                self.status(None)?;
                "pong".into()
            }
            Command::ServerStatus => {
                self.status(None)?;
                "Server ready".into()
            }
            Command::Version => {
                self.status(None)?;
                SPOKEN_VERSION.into()
            }
            Command::Echo(words) => Value::texts(words),
            Command::Status => summary(&self.status(None)?),
            Command::StatusOfAll(flavor) => self.status_of_all(flavor)?,
            Command::StatusOf(jail, flavor) => {
                let row = self.jail(&jail)?;
                let settings = self.jail_settings(&jail)?;
                self.status_of(&row, &settings, flavor)?
            }
            Command::Statistics => self.statistics()?,
            Command::Banned(subjects) => self.banned(&subjects)?,
            Command::BannedIn(jail, subjects) => self.banned_in(&jail, &subjects)?,
            Command::BanList(jail, times) => self.ban_list(&jail, times)?,
            Command::Get(setting) => self.setting(setting)?,
            Command::GetOf(jail, setting) => self.setting_of(&jail, setting)?,
            Command::PropertiesOf(jail, action) => self.properties_of(&jail, &action)?,
            Command::MethodsOf(jail, action) => {
                self.action_of(&jail, &action)?;
                // There is no object of Python behind it.
                Value::List(Vec::new())
            }
            Command::PropertyOf {
                jail,
                action,
                property,
            } => self.property_of(&jail, &action, &property)?,
            Command::Ban(jail, subjects) => self.ban(&jail, subjects)?,
            Command::UnbanIn(jail, subjects, absent) => {
                let name = self.known(&jail)?;
                self.unban(Some(&name), subjects, absent)?
            }
            Command::Unban(subjects) => self.unban(None, subjects, Absent::Passed)?,
            Command::UnbanAll => Value::count(self.lift(None, None)?),
            Command::Set(change) => {
                let setting = match &change {
                    DaemonChange::KeepBans(_) => Setting::PurgeAge,
                    DaemonChange::Fail2banLog(_) => Setting::LogTarget,
                    DaemonChange::LogLevel(_) => Setting::LogLevel,
                    DaemonChange::SyslogSocket(_) => Setting::SyslogSocket,
                };
                self.done(Request::SetDaemon { change })?;
                self.setting(setting)?
            }
            Command::SetOf(jail, change) => self.change(&jail, change)?,
            Command::Rewrite(jail, change) => self.rewrite(&jail, change)?,
            Command::Reload(reload) => self.reload(reload)?,
            Command::FlushLogs => match self.settings(None)?.fail2ban_log {
                // Whoever writes it looks whether it is still there, before each line.
                Some(target) if !STREAMS.contains(&target.as_str()) => "rolled over".into(),
                _ => "flushed".into(),
            },
            Command::Stop => {
                self.done(Request::Stop)?;
                Value::Nothing
            }
            Command::StopJail(jail) => {
                self.end(&jail)?;
                Value::Nothing
            }
            Command::StopAllJails => {
                let jails = self.status(None)?.jails.into_iter().map(|row| row.jail);
                self.end_all(jails)?;
                // Those whose jails are left out by a mistake.
                let waiting = self.bans(None)?.into_iter().map(|ban| ban.jail);
                self.end_all(waiting.collect::<BTreeSet<_>>())?;
                Value::Nothing
            }
            // Whatever jail there is was started with the daemon.
            Command::Start(jail) => {
                self.known(&jail)?;
                Value::Nothing
            }
        })
    }

    fn asked(&mut self, request: Request) -> Result<Reply, Failed<E>> {
        match (self.ask)(request).map_err(Failed::Daemon)? {
            Reply::Refused(refusal) => Err(refusal.into()),
            reply => Ok(reply),
        }
    }

    fn status(&mut self, jail: Option<JailName>) -> Result<Status, Failed<E>> {
        match self.asked(Request::Status { jail })? {
            Reply::Status(status) => Ok(*status),
            _ => Err(strange()),
        }
    }

    fn settings(&mut self, jail: Option<JailName>) -> Result<SettingsRow, Failed<E>> {
        match self.asked(Request::Settings { jail })? {
            Reply::Settings(settings) => Ok(*settings),
            _ => Err(strange()),
        }
    }

    /// Has something done; how many bans began or ended by it.
    fn done(&mut self, request: Request) -> Result<usize, Failed<E>> {
        match self.asked(request)? {
            Reply::Done { changed, .. } => Ok(changed),
            _ => Err(strange()),
        }
    }

    /// The name of a jail that there is.
    fn known(&mut self, jail: &Jail) -> Result<JailName, Failed<E>> {
        Ok(self.jail(jail)?.jail)
    }

    /// Ends a jail, also one that does not run and has bans that wait for it.
    fn end(&mut self, jail: &Jail) -> Result<(), Failed<E>> {
        let unknown = || Fault::UnknownJail(jail.0.clone());
        let name = jail.0.parse().map_err(|_| unknown())?;
        match (self.ask)(Request::EndJail { jail: name }).map_err(Failed::Daemon)? {
            Reply::Done { .. } => Ok(()),
            Reply::Refused(refusal) if refusal.why == Why::NotSo => Err(unknown().into()),
            Reply::Refused(refusal) => Err(refusal.into()),
            _ => Err(strange()),
        }
    }

    /// The same for several, some of which somebody else may have ended just now.
    fn end_all(&mut self, jails: impl IntoIterator<Item = JailName>) -> Result<(), Failed<E>> {
        for jail in jails {
            match self.end(&Jail(jail.to_string())) {
                Err(Failed::Fault(Fault::UnknownJail(_))) => {}
                ended => ended?,
            }
        }
        Ok(())
    }

    /// How a jail is doing.
    fn jail(&mut self, jail: &Jail) -> Result<JailRow, Failed<E>> {
        let unknown = || Fault::UnknownJail(jail.0.clone());
        let name: JailName = jail.0.parse().map_err(|_| unknown())?;
        match (self.ask)(Request::Status { jail: Some(name) }).map_err(Failed::Daemon)? {
            Reply::Status(status) => {
                let row = status.jails.into_iter().next();
                Ok(row.ok_or_else(unknown)?)
            }
            Reply::Refused(refusal) if refusal.why == Why::NotSo => Err(unknown().into()),
            Reply::Refused(refusal) => Err(refusal.into()),
            _ => Err(strange()),
        }
    }

    /// What is configured of a jail.
    fn jail_settings(&mut self, jail: &Jail) -> Result<JailSettingsRow, Failed<E>> {
        let name = self.known(jail)?;
        let settings = self.settings(Some(name))?;
        let row = settings.jails.into_iter().next();
        row.ok_or_else(|| Fault::UnknownJail(jail.0.clone()).into())
    }

    /// Has a jail do otherwise, and tells what it does then.
    fn change(&mut self, jail: &Jail, change: JailChange) -> Result<Value, Failed<E>> {
        let setting = match &change {
            JailChange::Maxretry(_) => JailSetting::MaxRetry,
            JailChange::Findtime(_) => JailSetting::FindTime,
            JailChange::Bantime(_) => JailSetting::BanTime,
            JailChange::Ignoreself(_) => JailSetting::IgnoreSelf,
            JailChange::Addignoreip(_) | JailChange::Delignoreip(_) => JailSetting::IgnoreIp,
            JailChange::Idle(_) => JailSetting::Idle,
        };
        let name = self.known(jail)?;
        self.done(Request::Set { jail: name, change })?;
        self.setting_of(jail, setting)
    }

    /// The same as if a directory said so.
    fn rewrite(&mut self, jail: &Jail, change: TreeChange) -> Result<Value, Failed<E>> {
        let setting = match &change {
            TreeChange::Addlogpath(_) | TreeChange::Dellogpath(_) => JailSetting::LogPath,
            TreeChange::Addfailregex(_) | TreeChange::Delfailregex(_) => JailSetting::FailRegex,
            TreeChange::Addignoreregex(_) | TreeChange::Delignoreregex(_) => {
                JailSetting::IgnoreRegex
            }
            TreeChange::Addjournalmatch(_) | TreeChange::Deljournalmatch(_) => {
                JailSetting::JournalMatch
            }
            TreeChange::Option { option, .. } => JailSetting::of(*option),
        };
        let name = self.known(jail)?;
        self.done(Request::Rewrite { jail: name, change })?;
        self.setting_of(jail, setting)
    }

    fn reload(&mut self, reload: Reload) -> Result<Value, Failed<E>> {
        match self.asked(Request::Reload { confirm: None })? {
            Reply::InForce { .. } => {}
            _ => return Err(strange()),
        }
        let jail = match reload.jail.map(|jail| self.known(&jail)).transpose() {
            Err(Failed::Fault(Fault::UnknownJail(_))) if reload.if_exists => return Ok("OK".into()),
            jail => jail?,
        };
        if reload.unban {
            self.lift(jail.as_ref(), None)?;
        }
        Ok("OK".into())
    }
}

fn strange<E>() -> Failed<E> {
    Failed::Fault(Fault::Refused(
        "the daemon's answer does not fit the question; is it of another version?".to_owned(),
    ))
}

fn seconds(bantime: BanTime) -> i64 {
    match bantime {
        BanTime::For(span) => i64::try_from(span.as_secs()).unwrap_or(i64::MAX),
        BanTime::Forever => -1,
    }
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;

    use super::*;
    use crate::control::protocol::Refusal;

    fn status(jails: &[&str]) -> Status {
        let rows = jails.iter().map(|jail| {
            serde_json::json!({
                "jail": jail, "filter": "x", "maxretry": 1, "distinct": false, "findtime": 1.0, "bantime": 1,
                "siege": null, "actions": [], "watched": 0, "most_watched": 0, "failing": 0, "banned": 0,
                "failures": 0, "bans": 0, "records": 0,
            })
        });
        serde_json::from_value(serde_json::json!({
            "version": "0", "since": "2026-11-23T08:00:00Z", "dry_run": false, "sources": [], "actions": [],
            "configuration": {"confirm_by": null, "restored": null},
            "database": {"path": "", "up_to_date": true},
            "jails": rows.collect::<Vec<_>>(),
        }))
        .expect("a status")
    }

    #[test]
    fn all_jails_end_though_one_has_just_ended() {
        let mut ended = Vec::new();
        let mut ask = |request| {
            Ok::<_, Infallible>(match request {
                Request::Status { .. } => Reply::Status(Box::new(status(&["a", "b", "c"]))),
                Request::EndJail { jail } if jail.as_str() == "b" => Reply::Refused(Refusal {
                    why: Why::NotSo,
                    message: String::new(),
                    details: Vec::new(),
                }),
                Request::EndJail { jail } => {
                    ended.push(jail.to_string());
                    Reply::Done {
                        changed: 0,
                        resumed: 0,
                    }
                }
                _ => Reply::Bans {
                    rows: Vec::new(),
                    more: false,
                },
            })
        };
        let mut answers = Answers {
            ask: &mut ask,
            zone: &TimeZone::UTC,
            from: None,
            complain: &mut |_| {},
        };
        let answer = answers.answer(Command::StopAllJails);
        assert_eq!(answer.expect("an answer"), Value::Nothing);
        assert_eq!(ended, ["a", "c"]);
    }
}
