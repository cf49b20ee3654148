//! Who is banned, and who is to be banned or let go?
//!
//! In: subjects as somebody has typed them. Out: lists of them in Fail2ban's order, or how many bans began or ended.

use std::time::Duration;

use super::{Answers, Failed, seconds, strange};
use crate::control::fail2ban::command::{Absent, Jail, Times};
use crate::control::fail2ban::fault::Fault;
use crate::control::fail2ban::line::moment;
use crate::control::fail2ban::value::Value;
use crate::control::protocol::{BanRow, Reply, Request, Why};
use crate::engine::name::JailName;
use crate::engine::subject::{Name, Subject};
use crate::engine::time::{BanTime, Timestamp};

impl<E> Answers<'_, E> {
    /// The bans of one jail or of all, in the order in which they were made.
    pub(super) fn bans(&mut self, jail: Option<JailName>) -> Result<Vec<BanRow>, Failed<E>> {
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
    pub(super) fn bans_by_end(&mut self, jail: &JailName) -> Result<Vec<BanRow>, Failed<E>> {
        let mut bans = self.bans(Some(jail.clone()))?;
        // For ever is later than any time; those of the same second stay in their order.
        bans.sort_by_key(|ban| ban.until.map_or(i64::MAX, whole_seconds));
        Ok(bans)
    }

    pub(super) fn banned(&mut self, subjects: &[String]) -> Result<Value, Failed<E>> {
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

    pub(super) fn banned_in(
        &mut self,
        jail: &Jail,
        subjects: &[String],
    ) -> Result<Value, Failed<E>> {
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

    pub(super) fn ban_list(&mut self, jail: &Jail, times: Times) -> Result<Value, Failed<E>> {
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

    /// Bans subjects that are not banned yet. If nobody can be banned that is a fault; else it is told of whoever was not.
    pub(super) fn ban(&mut self, jail: &Jail, subjects: Vec<String>) -> Result<Value, Failed<E>> {
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
    pub(super) fn unban(
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
    pub(super) fn lift(
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
}

pub(super) fn who(ban: &BanRow) -> String {
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
