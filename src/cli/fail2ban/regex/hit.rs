//! Who has failed, as `fail2ban-regex` tells it?
//!
//! In: what a pattern made of a line. Out: an id for each who is meant, and what is known of him, as values of Python.

use std::borrow::Cow;
use std::collections::HashMap;
use std::net::{IpAddr, ToSocketAddrs};

use crate::control::fail2ban::value::Value;
use crate::engine::filter::Said;
use crate::engine::filter::line::Words;
use crate::engine::prefix::Prefix;
use crate::engine::time::Timestamp;

/// The addresses of so many names are remembered; a log may name any number.
const MOST_NAMES: usize = 10_000;

/// What ties lines together; only who has such an id has a list of users.
pub const CONNECTION: &str = "mlfid";

/// Where all users stand among the groups.
const USERS: &str = "users";

/// Groups of lines that are only skipped are numbered, and Fail2ban writes no dash before the number.
const SKIPPED: [&str; 2] = ["skiplines_", "skiplines"];

/// One who has failed.
#[derive(Debug)]
pub struct Hit<'s> {
    /// Who is banned: an address, a network, or whatever the filter bans.
    pub id: String,
    /// His address, if that is another one.
    pub ip: Option<String>,
    /// When, if the line tells it.
    pub time: Option<Moment>,
    /// What is known of him.
    pub said: &'s Said,
}

/// A moment, and how Python has it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Moment {
    /// The moment.
    pub time: Timestamp,
    /// How it was told.
    pub told: MomentTold,
}

/// How a moment was told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MomentTold {
    /// As a date with its zone: a whole number.
    WithZone,
    /// As a date without one: a number of whole seconds with a point all the same.
    Local,
    /// As a number.
    Number,
}

impl Moment {
    /// The present.
    pub fn now() -> Self {
        Moment {
            time: jiff::Timestamp::now().into(),
            told: MomentTold::Number,
        }
    }

    /// The number of seconds since 1970.
    pub fn value(self) -> Value {
        let micros = self.time.as_micros();
        let seconds = micros.div_euclid(1_000_000);
        match self.told {
            MomentTold::WithZone => Value::Whole(seconds),
            // Until the year 287396 a number with a point holds every microsecond.
            #[expect(clippy::cast_precision_loss, reason = "as Python has it")]
            MomentTold::Local => Value::Real(seconds as f64),
            #[expect(clippy::cast_precision_loss, reason = "as Python has it")]
            MomentTold::Number => Value::Real(micros as f64 / 1e6),
        }
    }
}

impl Hit<'_> {
    /// What is known of him, by name.
    pub fn get(&self, name: &str) -> Option<String> {
        match name {
            "ip" => Some(self.ip.clone().unwrap_or_else(|| self.id.clone())),
            USERS => self.users(),
            "matches" => Some(Value::texts(self.said.texts.iter().map(|text| &**text)).to_string()),
            name => self.said.words.get(name).map(str::to_owned),
        }
    }

    /// Everybody whom the connection has named, as a set of Python.
    fn users(&self) -> Option<String> {
        self.said.words.get(CONNECTION)?;
        let users: Vec<_> = self.said.users.iter().collect();
        let users = users.iter().map(|user| Value::from(&***user).to_string());
        let users: Vec<_> = users.collect();
        (!users.is_empty()).then(|| format!("{{{}}}", users.join(", ")))
    }

    /// All that is known of him, as a table of Python.
    pub fn table(&self) -> String {
        let mut entries = Vec::new();
        let mut add = |name: &str, value: String| {
            entries.push(format!("{}: {value}", Value::from(name)));
        };
        for (name, text) in self.said.words.groups() {
            match (name, self.users()) {
                (USERS, Some(users)) => add(name, users),
                (USERS, None) => {}
                _ => add(
                    &theirs(name),
                    text.map_or(Value::Nothing, Value::from).to_string(),
                ),
            }
        }
        if let Some(ip) = &self.ip {
            add("ip", Value::from(&**ip).to_string());
        }
        format!("{{{}}}", entries.join(", "))
    }
}

/// The name of a group in Fail2ban's words.
fn theirs(name: &str) -> Cow<'_, str> {
    let [ours, theirs] = SKIPPED;
    match name.strip_prefix(ours) {
        Some(number) => format!("{theirs}{number}").into(),
        None => name.into(),
    }
}

/// Who is meant by names of hosts.
#[derive(Debug)]
pub struct Names {
    /// Names are taken as they are.
    pub are_raw: bool,
    known: HashMap<Box<str>, Vec<String>>,
}

impl Names {
    /// Names, which are asked about unless they are to be taken as they are.
    pub fn new(are_raw: bool) -> Self {
        Names {
            are_raw,
            known: HashMap::new(),
        }
    }

    /// The ids of all who are meant, with the address if that is another one; nothing if a line tells of nobody, `[]` if
    /// nobody knows the name that it tells.
    pub fn ids(&mut self, words: &Words) -> Option<Vec<(String, Option<String>)>> {
        let id = words.get("fid");
        let address = words.get("ip4").or(words.get("ip6"));
        if let Some(address) = address {
            let ip = canonical(address, words.get("cidr"));
            return Some(match id.filter(|id| *id != address) {
                None => vec![(ip, None)],
                Some(id) => vec![(canonical(id, None), Some(ip))],
            });
        }
        let Some(name) = words.get("dns") else {
            return Some(vec![(canonical(id?, None), None)]);
        };
        if self.are_raw {
            return Some(match id.filter(|id| *id != name) {
                None => vec![(name.to_owned(), None)],
                Some(id) => vec![(id.to_owned(), Some(name.to_owned()))],
            });
        }
        let addresses = self.addresses(name).iter();
        Some(addresses.map(|ip| (ip.clone(), None)).collect())
    }

    /// The addresses of a name, as far as somebody knows them.
    fn addresses(&mut self, name: &str) -> &[String] {
        if self.known.len() >= MOST_NAMES {
            self.known.clear();
        }
        self.known.entry(name.into()).or_insert_with(|| {
            let mut all: Vec<String> = Vec::new();
            // A name that nobody knows has no addresses, and a log has many of them.
            for found in (name, 0).to_socket_addrs().into_iter().flatten() {
                let ip = found.ip().to_canonical().to_string();
                if !all.contains(&ip) {
                    all.push(ip);
                }
            }
            all
        })
    }
}

/// An address or a network in its usual form; anything else as it is.
fn canonical(text: &str, width: Option<&str>) -> String {
    let width = width.and_then(|width| width.parse().ok());
    match (text.parse::<IpAddr>(), width) {
        (Ok(ip), Some(width)) => {
            let network = Prefix::network(ip.to_canonical(), width);
            match network.is_host() {
                true => network.address().to_string(),
                false => network.to_string(),
            }
        }
        (Ok(ip), None) => ip.to_canonical().to_string(),
        (Err(_), _) => match text.parse::<Prefix>() {
            Ok(network) if !network.is_host() => network.to_string(),
            _ => text.to_owned(),
        },
    }
}
