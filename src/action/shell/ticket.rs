//! What is known of a ban where a command speaks of it?
//!
//! In: the name of a tag. Out: what stands for it. Nothing is filled in here; names of hosts are looked up only where a
//! command asks for them.

use std::collections::BTreeMap;
use std::net::IpAddr;

use super::ledger::Known;
use super::script::{Value, Values};
use super::spec::Side;
use crate::action::event::Event;
use crate::action::machine;
use crate::action::secret::Opened;
use crate::engine::name::JailName;
use crate::engine::prefix;
use crate::engine::subject::Subject;
use crate::engine::time::{BanTime, Timestamp};

/// Tags that need lines of earlier bans.
pub const OF_HISTORY: [&str; 4] = ["ipmatches", "ipjailmatches", "ipfailures", "ipjailfailures"];

/// Captures that are known of a ban, by the names of their tags in small letters.
const CAPTURES: [&str; 4] = ["user", "id", "ip4", "ip6"];

/// Tags that say how many have failed and are not banned, of which nobody tells an action.
const OF_FAILED: [&str; 2] = ["jail.found", "jail.found_total"];

/// Whether a tag never says what Fail2ban would have it say: it is empty, or 0.
pub fn is_never_known(tag: &str) -> bool {
    match tag.strip_prefix("F-") {
        Some(capture) => !CAPTURES.contains(&capture.to_lowercase().as_str()),
        None => OF_FAILED.contains(&tag),
    }
}

/// What can be told of a ban, or of none if an action begins or ends.
pub struct Ticket<'t> {
    /// For which addresses it is run.
    pub side: Side,
    /// The time.
    pub now: Timestamp,
    /// The jail.
    pub jail: Option<&'t JailName>,
    /// Who is banned.
    pub subject: Option<&'t Subject>,
    /// What else is known of it.
    pub known: Option<&'t Known>,
    /// How many are banned in each jail.
    pub banned: &'t BTreeMap<JailName, usize>,
    /// How many have been.
    pub banned_total: &'t BTreeMap<JailName, u64>,
    /// What the command is told in confidence, by its tags.
    pub secrets: &'t BTreeMap<&'t str, Opened>,
}

impl Ticket<'_> {
    fn event(&self) -> Option<&Event> {
        self.known?.event.as_deref()
    }

    fn address(&self) -> Option<IpAddr> {
        Some(self.subject?.network()?.address())
    }

    fn who(&self) -> Value {
        match self.subject {
            Some(Subject::Name(name)) => Value::Word(name.to_string()),
            Some(subject) => Value::Own(subject.plain()),
            None => Value::Own(String::new()),
        }
    }

    /// What a group of the pattern has taken.
    fn capture(&self, name: &str) -> Value {
        let address = |is_meant: fn(&IpAddr) -> bool| {
            let address = self.address().filter(is_meant);
            Value::Own(
                address
                    .map(|address| address.to_string())
                    .unwrap_or_default(),
            )
        };
        match name {
            "id" => self.who(),
            "ip4" => address(IpAddr::is_ipv4),
            "ip6" => address(IpAddr::is_ipv6),
            _ => {
                let captured = self.event().and_then(|event| event.captures.get(name));
                Value::Word(captured.cloned().unwrap_or_default())
            }
        }
    }

    /// Lines of the ban's subject, of all jails or of this one.
    fn history(&self, of_all: bool) -> Vec<&str> {
        let history = self.event().map(|event| event.history.as_slice());
        let history = history.unwrap_or_default().iter();
        let own = history.filter(|(jail, _)| of_all || Some(jail) == self.jail);
        own.map(|(_, line)| line.as_str()).collect()
    }

    fn bantime(&self) -> i64 {
        match self.event().and_then(|event| event.bantime) {
            Some(BanTime::For(length)) => i64::try_from(length.as_secs()).unwrap_or(i64::MAX),
            Some(BanTime::Forever) => -1,
            None => 0,
        }
    }

    fn count<T: Copy + Into<u64>>(&self, of: impl Fn(&JailName) -> Option<T>) -> Value {
        let counts = match self.jail {
            Some(jail) => of(jail).map_or(0, Into::into),
            None => 0,
        };
        Value::Own(counts.to_string())
    }
}

impl Values for Ticket<'_> {
    fn value(&self, tag: &str) -> Option<Value> {
        if let Some(secret) = self.secrets.get(tag) {
            return Some(Value::Command(secret.reveal().to_owned()));
        }
        let own = |text: String| Some(Value::Own(text));
        let number = |number: usize| Some(Value::Own(number.to_string()));
        let lines = |lines: Vec<&str>| Some(Value::Lines(lines.join("\n")));
        if let Some(capture) = tag.strip_prefix("F-") {
            return Some(self.capture(&capture.to_lowercase()));
        }
        let event = self.event();
        match tag {
            "ip" | "fid" => Some(self.who()),
            "family" => {
                let side = self.subject.map_or(self.side, Side::of);
                own(side.family().to_owned())
            }
            "ip-rev" => own(self.address().map(prefix::reversed).unwrap_or_default()),
            "ip-host" => {
                let host = self.address().and_then(host_of);
                Some(Value::Word(host.unwrap_or_default()))
            }
            "failures" => number(event.map_or(0, |event| event.failures)),
            "time" => {
                let time = event.map_or(self.now, |event| event.time);
                own(time.as_micros().div_euclid(1_000_000).to_string())
            }
            "bantime" => own(self.bantime().to_string()),
            "bancount" => number(event.map_or(0, |event| event.offence as usize)),
            "restored" => number(usize::from(event.is_some_and(|event| event.restored))),
            "matches" => {
                let own = event
                    .map(|event| event.lines.as_slice())
                    .unwrap_or_default();
                lines(own.iter().map(String::as_str).collect())
            }
            "ipmatches" => lines(self.history(true)),
            "ipjailmatches" => lines(self.history(false)),
            "ipfailures" => number(self.history(true).len()),
            "ipjailfailures" => number(self.history(false).len()),
            "jail.banned" => Some(self.count(|jail| Some(*self.banned.get(jail)? as u64))),
            "jail.banned_total" => Some(self.count(|jail| self.banned_total.get(jail).copied())),
            _ if OF_FAILED.contains(&tag) => own("0".to_owned()),
            "fq-hostname" => own(machine::full_name()),
            "sh-hostname" => own(machine::name()),
            "br" => Some(Value::Blank("\n")),
            "sp" => Some(Value::Blank(" ")),
            _ => None,
        }
    }
}

/// The name that whoever answers for an address gives it; text of the attacker's choice.
fn host_of(address: IpAddr) -> Option<String> {
    let said = machine::say(&["getent", "hosts", &address.to_string()])?;
    said.split_whitespace().nth(1).map(str::to_owned)
}
