//! What would Fail2ban answer?
//!
//! In: a command, and a way to ask the daemon. Out: the value that Fail2ban's server would send. What f2bd orders or names
//! otherwise is put into Fail2ban's order and words here; how it is printed is the client's affair.

use std::net::IpAddr;
use std::time::Duration;

use jiff::tz::TimeZone;
use log::LevelFilter;

use super::command::{Absent, Command, Flavor, Jail, JailSetting, Reload, Setting, Times};
use super::fault::Fault;
use super::line::moment;
use super::value::Value;
use super::{SPOKEN_VERSION, files};
use crate::control::protocol::{
    BanRow, JailRow, JailSettingsRow, Refusal, Reply, Request, SettingsRow, Status, Why,
};
use crate::engine::name::JailName;
use crate::engine::subject::{Name, Subject};
use crate::engine::time::{BanTime, Timestamp};

/// What is answered where no file is written: the daemon tells the service manager's journal or the terminal.
const STANDARD_ERROR: &str = "STDERR";

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
            Command::Ban(jail, subjects) => self.ban(&jail, subjects)?,
            Command::UnbanIn(jail, subjects, absent) => {
                let name = self.known(&jail)?;
                self.unban(Some(&name), subjects, absent)?
            }
            Command::Unban(subjects) => self.unban(None, subjects, Absent::Passed)?,
            Command::UnbanAll => Value::count(self.lift(None, None)?),
            Command::SetLogLevel(level) => {
                self.done(Request::LogLevel { level })?;
                level_word(level).into()
            }
            Command::Reload(reload) => self.reload(reload)?,
            Command::FlushLogs => match self.settings(None)?.fail2ban_log {
                // Whoever writes it looks whether it is still there, before each line.
                Some(_) => "rolled over".into(),
                None => "flushed".into(),
            },
            Command::Stop => {
                self.done(Request::Stop)?;
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

    /// The bans of one jail or of all, in the order in which they were made.
    fn bans(&mut self, jail: Option<JailName>) -> Result<Vec<BanRow>, Failed<E>> {
        let (mut all, mut after) = (Vec::new(), 0);
        loop {
            let jail = jail.clone();
            let Reply::Bans { rows, more } = self.asked(Request::Bans { jail, after })? else {
                return Err(strange());
            };
            after = rows.last().map_or(after, |row| row.ban);
            all.extend(rows);
            if !more {
                return Ok(all);
            }
        }
    }

    /// The bans of a jail, those that end first come first.
    fn bans_by_end(&mut self, jail: &JailName) -> Result<Vec<BanRow>, Failed<E>> {
        let mut bans = self.bans(Some(jail.clone()))?;
        // For ever is later than any time; those of the same second stay in their order.
        bans.sort_by_key(|ban| ban.until.map_or(i64::MAX, whole_seconds));
        Ok(bans)
    }

    fn status_of(
        &mut self,
        row: &JailRow,
        settings: &JailSettingsRow,
        flavor: Flavor,
    ) -> Result<Value, Failed<E>> {
        if flavor == Flavor::Statistics {
            return Ok(counted(row, settings));
        }
        let mut filter = vec![
            Value::titled("Currently failed", Value::count(row.watched)),
            Value::titled("Total failed", Value::count(row.failures)),
        ];
        filter.push(match reads_journal(settings) {
            true => Value::titled("Journal matches", Value::texts([&*settings.journalmatch])),
            false => Value::titled("File list", Value::texts(files::there(&settings.logpath))),
        });
        let mut actions = vec![
            Value::titled("Currently banned", Value::count(row.banned)),
            Value::titled("Total banned", Value::count(row.bans)),
        ];
        if flavor == Flavor::Basic {
            let bans = self.bans_by_end(&row.jail)?;
            let list = Value::texts(bans.iter().map(who));
            actions[0] = Value::titled("Currently banned", Value::count(bans.len()));
            actions.push(Value::titled("Banned IP list", list));
        }
        Ok(Value::List(vec![
            Value::titled("Filter", Value::List(filter)),
            Value::titled("Actions", Value::List(actions)),
        ]))
    }

    fn status_of_all(&mut self, flavor: Flavor) -> Result<Value, Failed<E>> {
        let status = self.status(None)?;
        let mut entries = Vec::new();
        for (row, settings) in self.rows(&status)? {
            let value = self.status_of(row, &settings, flavor)?;
            entries.push((row.jail.to_string(), value));
        }
        entries.sort_by(|(one, _), (other, _)| one.cmp(other));
        let Value::List(mut all) = summary(&status) else {
            return Err(strange());
        };
        all.push(Value::Map(entries));
        Ok(Value::List(all))
    }

    fn statistics(&mut self) -> Result<Value, Failed<E>> {
        let status = self.status(None)?;
        let rows = self.rows(&status)?;
        let rows = rows.iter();
        let entries = rows.map(|(row, settings)| (row.jail.to_string(), counted(row, settings)));
        let mut entries: Vec<_> = entries.collect();
        entries.sort_by(|(one, _), (other, _)| one.cmp(other));
        Ok(Value::Map(entries))
    }

    /// All jails with what is configured of them.
    fn rows<'s>(
        &mut self,
        status: &'s Status,
    ) -> Result<Vec<(&'s JailRow, JailSettingsRow)>, Failed<E>> {
        let settings = self.settings(None)?.jails;
        let jails = status.jails.iter();
        // A reload may have come in between.
        let both = jails.filter_map(|row| {
            let mut all = settings.iter();
            let own = all.find(|settings| settings.jail == row.jail)?;
            Some((row, own.clone()))
        });
        Ok(both.collect())
    }

    fn banned(&mut self, subjects: &[String]) -> Result<Value, Failed<E>> {
        let jails: Vec<_> = self
            .status(None)?
            .jails
            .into_iter()
            .map(|row| row.jail)
            .collect();
        let bans = self.bans(None)?;
        let of = |jail: &JailName| {
            bans.iter()
                .filter(|ban| ban.jail == *jail)
                .collect::<Vec<_>>()
        };
        if subjects.is_empty() {
            let all = jails.iter().map(|jail| {
                let list = Value::texts(of(jail).into_iter().map(who));
                Value::Map(vec![(jail.to_string(), list)])
            });
            return Ok(Value::List(all.collect()));
        }
        let each = subjects.iter().map(|subject| {
            let jails = jails.iter().filter(|jail| holds(&of(jail), subject));
            Value::texts(jails.map(ToString::to_string))
        });
        Ok(Value::List(each.collect()))
    }

    fn banned_in(&mut self, jail: &Jail, subjects: &[String]) -> Result<Value, Failed<E>> {
        let name = self.known(jail)?;
        let bans = self.bans(Some(name))?;
        let bans: Vec<_> = bans.iter().collect();
        let is_banned = |subject: &String| Value::Whole(i64::from(holds(&bans, subject)));
        Ok(match subjects {
            [] => Value::texts(bans.into_iter().map(who)),
            [subject] => is_banned(subject),
            more => Value::List(more.iter().map(is_banned).collect()),
        })
    }

    fn ban_list(&mut self, jail: &Jail, times: Times) -> Result<Value, Failed<E>> {
        let name = self.known(jail)?;
        let bans = self.bans_by_end(&name)?;
        let with_times = |ban: &BanRow| {
            let start = moment(Some(ban.start), self.zone);
            // Of whole seconds, so that start and length come to the end.
            let end = match ban.bantime {
                BanTime::For(span) => Some(ban.start.after(Duration::from_secs(span.as_secs()))),
                BanTime::Forever => None,
            };
            let end = moment(end, self.zone);
            format!("{} \t{start} + {} = {end}", who(ban), seconds(ban.bantime))
        };
        Ok(match times {
            Times::Without => Value::texts(bans.iter().map(who)),
            Times::With => Value::texts(bans.iter().map(with_times)),
        })
    }

    fn setting(&mut self, setting: Setting) -> Result<Value, Failed<E>> {
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

    fn setting_of(&mut self, jail: &Jail, setting: JailSetting) -> Result<Value, Failed<E>> {
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
            JailSetting::IgnoreIp => Value::texts(settings.ignoreip),
            JailSetting::IgnoreCommand => settings.ignorecommand.into(),
            JailSetting::FailRegex => Value::texts(settings.failregex),
            JailSetting::IgnoreRegex => Value::texts(settings.ignoreregex),
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

    /// Bans subjects that are not banned yet. If nobody can be banned that is a fault; else it is told of whoever was not.
    fn ban(&mut self, jail: &Jail, subjects: Vec<String>) -> Result<Value, Failed<E>> {
        let name = self.known(jail)?;
        let bans = self.bans(Some(name.clone()))?;
        let is_banned = |subject: &str| {
            let subject = parsed(subject, bans.first());
            bans.iter()
                .any(|ban| Some(&ban.subject) == subject.as_ref())
        };
        let (mut new, mut refused) = (0, Vec::new());
        for subject in subjects.iter().filter(|subject| !is_banned(subject)) {
            let request = Request::Ban {
                jail: name.clone(),
                subject: subject.clone(),
                bantime: None,
                force: false,
                from: self.from,
                reason: None,
            };
            match self.done(request) {
                Ok(changed) => new += changed,
                Err(Failed::Fault(fault)) => refused.push(fault),
                Err(failed) => return Err(failed),
            }
        }
        match refused.pop() {
            Some(fault) if new == 0 && refused.is_empty() => return Err(fault.into()),
            last => refused.extend(last),
        }
        for fault in refused {
            (self.complain)(fault.to_string());
        }
        Ok(Value::count(new))
    }

    /// Lifts bans, and has them forgotten, as Fail2ban does: the next ban of a subject is its first again.
    fn unban(
        &mut self,
        jail: Option<&JailName>,
        subjects: Vec<String>,
        absent: Absent,
    ) -> Result<Value, Failed<E>> {
        let (mut lifted, mut missed) = (0, Vec::new());
        for subject in subjects {
            match self.lift(jail, Some(subject.clone()))? {
                0 => missed.push(subject),
                more => lifted += more,
            }
        }
        if absent == Absent::Reported && !missed.is_empty() {
            let text = format!("not banned: {}", Value::texts(missed));
            return Err(Fault::BadWord(text).into());
        }
        Ok(Value::count(lifted))
    }

    /// How many bans were lifted.
    fn lift(
        &mut self,
        jail: Option<&JailName>,
        subject: Option<String>,
    ) -> Result<usize, Failed<E>> {
        let request = Request::Unban {
            subject,
            jail: jail.cloned(),
            forget: true,
            reason: None,
        };
        match (self.ask)(request).map_err(Failed::Daemon)? {
            Reply::Done { changed, .. } => Ok(changed),
            Reply::Refused(refusal) if matches!(refusal.why, Why::NotSo | Why::Usage) => Ok(0),
            Reply::Refused(refusal) => Err(refusal.into()),
            _ => Err(strange()),
        }
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

/// The jails by name.
fn summary(status: &Status) -> Value {
    let mut jails: Vec<_> = status.jails.iter().map(|row| row.jail.as_str()).collect();
    jails.sort_unstable();
    Value::List(vec![
        Value::titled("Number of jail", Value::count(jails.len())),
        Value::titled("Jail list", jails.join(", ").into()),
    ])
}

/// Backend, failures, bans.
fn counted(row: &JailRow, settings: &JailSettingsRow) -> Value {
    let pair =
        |current: usize, total: u64| Value::Tuple(vec![Value::count(current), Value::count(total)]);
    // Their word for whoever is told of changes of files.
    let backend = match reads_journal(settings) {
        true => "systemd",
        false => "pyinotify",
    };
    Value::List(vec![
        backend.into(),
        pair(row.watched, row.failures),
        pair(row.banned, row.bans),
    ])
}

/// Whether a jail is shown with what it wants of a journal. Fail2ban's listen to either that or files.
fn reads_journal(settings: &JailSettingsRow) -> bool {
    settings.logpath.is_empty() && !settings.journalmatch.is_empty()
}

fn who(ban: &BanRow) -> String {
    ban.subject.plain()
}

/// Whom a text means to a jail, of which one ban tells whether it bans names.
fn parsed(text: &str, ban: Option<&BanRow>) -> Option<Subject> {
    match ban.map(|ban| &ban.subject) {
        Some(Subject::Name(_)) => Name::of(text).map(Subject::Name),
        _ => text.parse().ok(),
    }
}

/// Whether one of the bans keeps somebody out.
fn holds(bans: &[&BanRow], text: &str) -> bool {
    let subject = parsed(text, bans.first().copied());
    subject.is_some_and(|subject| bans.iter().any(|ban| ban.subject.holds(&subject)))
}

fn whole_seconds(time: Timestamp) -> i64 {
    time.as_micros().div_euclid(1_000_000)
}

fn seconds(bantime: BanTime) -> i64 {
    match bantime {
        BanTime::For(span) => i64::try_from(span.as_secs()).unwrap_or(i64::MAX),
        BanTime::Forever => -1,
    }
}

fn level_word(level: LevelFilter) -> &'static str {
    match level {
        LevelFilter::Off | LevelFilter::Error => "ERROR",
        LevelFilter::Warn => "WARNING",
        LevelFilter::Info => "INFO",
        LevelFilter::Debug | LevelFilter::Trace => "DEBUG",
    }
}
