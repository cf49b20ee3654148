//! What stands in the log that is written as Fail2ban would write it?
//!
//! In: decisions, and the jails there are. Out: lines that logwatch, a SIEM or somebody's `recidive` reads. [`writer`] has
//! them written, `outlet` knows where they go.

mod outlet;
mod writer;

use std::time::Duration;

use jiff::tz::TimeZone;

use self::writer::{Entry, Writer};
use super::notice::notice_text;
use crate::config::fail2ban::logging::Logging;
use crate::control::fail2ban::SPOKEN_VERSION;
use crate::control::fail2ban::line::{Level, moment};
use crate::engine::decision::{Ban, Failure, Ignored, Notice, Release};
use crate::engine::name::JailName;
use crate::engine::policy::{Policy, SetName};
use crate::engine::subject::Subject;
use crate::engine::time::{BanTime, Timestamp};
use crate::engine::{Decision, Engine};

/// Who would have said it.
const SERVER: &str = "fail2ban.server";
const JAIL: &str = "fail2ban.jail";
const FILTER: &str = "fail2ban.filter";
const ACTIONS: &str = "fail2ban.actions";
const OBSERVER: &str = "fail2ban.observer";

/// How long the end of the daemon waits for the last lines: a log of the system that has ended before takes none, and service
/// managers lose patience.
const LONGEST_END: Duration = Duration::from_secs(5);

/// The log; nothing is written while it has no target.
pub struct Fail2banLog {
    writer: Option<Writer>,
    /// As it was put in force last.
    logging: Option<Logging>,
    zone: TimeZone,
    /// The jails that are said to run.
    jails: Vec<JailName>,
}

impl Default for Fail2banLog {
    fn default() -> Self {
        Fail2banLog {
            writer: None,
            logging: None,
            zone: TimeZone::system(),
            jails: Vec::new(),
        }
    }
}

impl Fail2banLog {
    /// Goes on where it is to be told now, perhaps nowhere, and tells which jails have come and gone.
    pub fn go_on(&mut self, now: Timestamp, logging: &Logging, policy: &Policy) {
        let place = |logging: &Logging| {
            let socket = logging
                .speaks_to_syslog()
                .then(|| logging.syslog().to_owned());
            (logging.target.clone(), socket)
        };
        let is_same = self.logging.as_ref().map(place) == Some(place(logging));
        self.logging = Some(logging.clone());
        if !is_same {
            self.tell_end(now);
            // What was told until now is written there without anybody waiting for it.
            let target = logging.target.as_ref();
            self.writer = target.and_then(|target| Writer::start(target, logging));
            let text = format!("Starting Fail2ban v{SPOKEN_VERSION}");
            self.say(now, SERVER, Level::Info, || text);
        }
        let jails: Vec<_> = policy.jails.iter().map(|jail| jail.name.clone()).collect();
        let before = std::mem::replace(&mut self.jails, jails.clone());
        for gone in before.iter().filter(|jail| !jails.contains(jail)) {
            self.say(now, JAIL, Level::Info, || format!("Jail '{gone}' stopped"));
        }
        for new in jails.iter().filter(|jail| !before.contains(jail)) {
            self.say(now, JAIL, Level::Info, || format!("Jail '{new}' started"));
        }
    }

    /// Tells that bans of an earlier run are in force.
    pub fn tell_restored(&mut self, now: Timestamp, engine: &Engine) {
        if self.writer.is_none() {
            return;
        }
        let mut bans = engine.ledger().bans();
        bans.sort_by_key(|ban| ban.id);
        for ban in bans {
            self.tell_restore(now, &ban);
        }
    }

    /// Tells of decisions that came at `now`.
    pub fn tell(&mut self, now: Timestamp, decisions: &[Decision], policy: &Policy) {
        if self.writer.is_none() {
            return;
        }
        for decision in decisions {
            match decision {
                Decision::Count(failure) => self.tell_failure(now, failure),
                Decision::Ignore(Ignored { jail, address, by }) => {
                    let by = match by {
                        None | Some(SetName::File(_) | SetName::Guarded) => "ip",
                        Some(SetName::Host(_)) => "dns",
                        Some(SetName::Own) => "ignoreself rule",
                        Some(SetName::Command(_)) => "command",
                    };
                    let text = || format!("[{jail}] Ignore {address} by {by}");
                    self.say(now, FILTER, Level::Info, text);
                }
                Decision::Ban(ban) => self.tell_ban(now, ban, policy),
                // A newer ban that took its place has been told, and the subject stays out.
                Decision::Unban(unban) => match unban.release {
                    Release::Replaced | Release::Merged => {}
                    Release::Expired | Release::Manual | Release::Ignored | Release::JailGone => {
                        let (jail, subject) = (&unban.jail, unban.subject.plain());
                        let text = || format!("[{jail}] Unban {subject}");
                        self.say(now, ACTIONS, Level::Notice, text);
                    }
                },
                Decision::Resume(resumed) => self.tell_restore(now, &resumed.ban),
                Decision::Notice(Notice::Spared { jail, subject, .. }) => {
                    let text = || format!("[{jail}] Ignore {} by ip", subject.plain());
                    self.say(now, FILTER, Level::Info, text);
                }
                Decision::Notice(notice) => {
                    self.say(now, JAIL, Level::Warning, || notice_text(notice));
                }
                Decision::Await(_)
                | Decision::Answered(_)
                | Decision::Sighted(_)
                | Decision::Remark(_)
                | Decision::Forgive(_)
                | Decision::Allow(_)
                | Decision::Disallow(_)
                | Decision::Clear(_) => {}
            }
        }
    }

    /// Tells that something does not work.
    pub fn tell_error(&mut self, now: Timestamp, sentence: &str) {
        self.say(now, ACTIONS, Level::Error, || sentence.to_owned());
    }

    /// Tells that something is wrong with the configuration.
    pub fn tell_mistake(&mut self, now: Timestamp, sentence: &str) {
        self.say(now, SERVER, Level::Error, || sentence.to_owned());
    }

    /// Tells the end, and waits for a while until that is written.
    pub fn end(&mut self, now: Timestamp) {
        self.tell_end(now);
        if let Some(writer) = self.writer.take() {
            writer.end(LONGEST_END);
        }
    }

    fn tell_end(&mut self, now: Timestamp) {
        for jail in std::mem::take(&mut self.jails) {
            self.say(now, JAIL, Level::Info, || format!("Jail '{jail}' stopped"));
        }
        self.say(now, SERVER, Level::Info, || "Exiting Fail2ban".to_owned());
    }

    fn tell_failure(&mut self, now: Timestamp, failure: &Failure) {
        let (jail, subject) = (&failure.jail, &failure.subject);
        // Of a host in a network that counts as one, the host.
        let who = match (subject, failure.address) {
            (Subject::Network(_), Some(address)) => address.to_string(),
            _ => subject.plain(),
        };
        let time = moment(Some(failure.time), &self.zone);
        let text = || format!("[{jail}] Found {who} - {time}");
        self.say(now, FILTER, Level::Info, text);
    }

    fn tell_ban(&mut self, now: Timestamp, ban: &Ban, policy: &Policy) {
        let (jail, subject) = (&ban.jail, ban.subject.plain());
        let text = || format!("[{jail}] Ban {subject}");
        self.say(now, ACTIONS, Level::Notice, text);
        let mut jails = policy.jails.iter();
        let grows = jails.any(|policy| policy.name == *jail && policy.escalation.is_some());
        let ends = ban.bantime != BanTime::Forever;
        if grows && ends && ban.offence > 1 {
            let (offence, length) = (ban.offence, length(ban.bantime));
            let end = moment(ban.until(), &self.zone);
            let text =
                || format!("[{jail}] Increase Ban {subject} ({offence} # {length} -> {end})");
            self.say(now, OBSERVER, Level::Notice, text);
        }
    }

    fn tell_restore(&mut self, now: Timestamp, ban: &Ban) {
        let (jail, subject) = (&ban.jail, ban.subject.plain());
        let text = || format!("[{jail}] Restore Ban {subject}");
        self.say(now, ACTIONS, Level::Notice, text);
    }

    /// Has a line written, unless less than that is to be told.
    fn say(
        &mut self,
        time: Timestamp,
        logger: &'static str,
        level: Level,
        text: impl FnOnce() -> String,
    ) {
        let logging = self.logging.as_ref();
        let is_told = logging.is_some_and(|logging| logging.threshold.lets_through(level));
        if let Some(writer) = &mut self.writer
            && is_told
        {
            let text = text();
            writer.write(Entry {
                time,
                logger,
                level,
                text,
            });
        }
    }
}

/// As Python shows a span: `1:00:00`, `2 days, 0:10:00`; of a ban for ever, what Fail2ban shows.
fn length(bantime: BanTime) -> String {
    let BanTime::For(span) = bantime else {
        return "permanent".to_owned();
    };
    let seconds = span.as_secs();
    let (days, rest) = (seconds / 86_400, seconds % 86_400);
    let clock = format!("{}:{:02}:{:02}", rest / 3_600, rest / 60 % 60, rest % 60);
    match days {
        0 => clock,
        1 => format!("1 day, {clock}"),
        more => format!("{more} days, {clock}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::fail2ban::logging::{LogTarget, SyslogSocket};
    use crate::engine::filter::FilterSet;

    #[test]
    fn a_disk_that_hangs_holds_up_no_reload() {
        let home = tempfile::tempdir().expect("a directory");
        let pipe = home.path().join("log");
        let mode = rustix::fs::Mode::RUSR | rustix::fs::Mode::WUSR;
        rustix::fs::mkfifoat(rustix::fs::CWD, &pipe, mode).expect("a pipe");
        let policy = Policy {
            jails: Vec::new(),
            left_out: Default::default(),
            filters: FilterSet::default(),
            atlas: Default::default(),
        };
        let to = |target| Logging {
            target,
            socket: Default::default(),
            threshold: log::LevelFilter::Info.into(),
        };
        let target = LogTarget::parse(pipe.to_str().expect("a path")).expect("a target");
        let mut log = Fail2banLog::default();
        log.go_on(Timestamp::default(), &to(Some(target.clone())), &policy);
        // Nobody reads, so that the writer cannot go on. It has nothing to do with that socket.
        let moved = Logging {
            socket: SyslogSocket::named("/nowhere"),
            ..to(Some(target))
        };
        log.go_on(Timestamp::default(), &moved, &policy);
        log.go_on(Timestamp::default(), &to(None), &policy);
        let text = std::fs::read_to_string(&pipe).expect("what was told");
        let said: Vec<_> = text
            .lines()
            .filter_map(|line| line.split("INFO").nth(1))
            .collect();
        assert_eq!(said.len(), 2, "{text}");
        assert!(said[0].contains("Starting Fail2ban"), "{text}");
        assert!(said[1].contains("Exiting Fail2ban"), "{text}");
    }

    #[test]
    fn spans_look_as_python_shows_them() {
        for (seconds, text) in [
            (600, "0:10:00"),
            (3_600, "1:00:00"),
            (86_400, "1 day, 0:00:00"),
            (200_005, "2 days, 7:33:25"),
        ] {
            assert_eq!(length(BanTime::For(Duration::from_secs(seconds))), text);
        }
        assert_eq!(length(BanTime::Forever), "permanent");
    }
}
