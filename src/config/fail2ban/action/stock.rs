//! Which of Fail2ban's own actions does one of ours replace, with which parameters?
//!
//! The answers are data: `stock.toml` says what corresponds, and [`Known`] which files are Fail2ban's. An action is replaced only if all its files are such, all that was said otherwise has a counterpart, and nothing else
//! was said; what is in doubt is left to its own commands. Pure: nothing is read here but what others have read.

use std::cell::RefCell;
use std::collections::BTreeMap;

use serde::Deserialize;

use super::commands::{self, IPV4, IPV6};
use super::known::Known;
use crate::action::secret::Opened;
use crate::config::document::{Kind, Table, Value};
use crate::config::fail2ban::jail::TreeAction;
use crate::config::fail2ban::merged::condition;
use crate::config::fail2ban::options::Options;
use crate::config::fail2ban::transcription::values::{text, texts};
use crate::config::problem::Place;
use crate::engine::name::JailName;
use rule::{Closes, Rule};

mod rule;

/// What corresponds to what.
const STOCK: &str = include_str!("stock.toml");

/// The section whose values are meant to be said otherwise.
const INIT: &str = "Init";

/// Parameters that say what an action is called.
const NAMES: [&str; 2] = ["name", "actname"];

/// One of ours that does what one of Fail2ban's does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Native {
    /// Which.
    pub action: String,
    /// Its parameters.
    pub parameters: BTreeMap<String, Said>,
    /// What is its own, in words that commands would use of it; nothing if it shares.
    pub place: Option<String>,
    /// The parameter by which several work in that place beside one another; nothing if they cannot.
    pub apart: Option<String>,
    /// What is otherwise than with Fail2ban's, in words.
    pub differs: Option<String>,
}

/// What a parameter of ours is set to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Said {
    /// One value.
    One(String),
    /// Several.
    Many(Vec<String>),
    /// What is for nobody else to read.
    Secret(Opened),
}

/// One of ours for one jail.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fit {
    /// Which.
    pub native: Native,
    /// What it calls the jail.
    pub label: JailName,
    /// What it closes; `None` if that makes no difference to it.
    pub ports: Option<Ports>,
}

/// What an action closes for whoever is banned.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Ports {
    /// Ports as the administrator wrote them: names, numbers, and ranges such as `8000:8100`.
    pub ports: Vec<String>,
    /// `tcp`, `udp` or `sctp`.
    pub protocols: Vec<String>,
}

impl Native {
    /// What `[action.NAME]` says of it.
    pub fn section(&self, place: &Place) -> Value {
        let mut table = Table::default();
        table.set("use", text(&self.action, place));
        for (name, value) in &self.parameters {
            let value = match value {
                Said::One(value) => text(value, place),
                Said::Many(values) => texts(values.iter().map(String::as_str), place),
                Said::Secret(secret) => Value {
                    place: place.clone(),
                    kind: Kind::Secret(secret.clone()),
                },
            };
            table.set(name, value);
        }
        Value {
            place: place.clone(),
            kind: Kind::Table(table),
        }
    }
}

/// All that is known of Fail2ban's own actions.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Stock {
    native: Vec<Counterpart>,
    /// Rules that several have.
    like: BTreeMap<String, BTreeMap<String, Rule>>,
    /// What is nearest to an action in Python, by its file; of others `""`.
    python: BTreeMap<String, String>,
    #[serde(skip)]
    known: Known,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Counterpart {
    /// Fail2ban's names.
    files: Vec<String>,
    /// What each of them closes if it has no `type` that says it, as in versions before 1.0.
    #[serde(default)]
    closes: BTreeMap<String, Closes>,
    /// What its parameters are if nothing is said: of one in Python, which has no file that says it.
    #[serde(default)]
    usual: BTreeMap<String, String>,
    /// Ours.
    action: String,
    /// What is its own, or `<key>` for what a parameter of Fail2ban's says.
    place: Option<String>,
    /// The parameter of ours by which several can share that.
    apart: Option<String>,
    /// Parameters that it always has.
    gives: BTreeMap<String, String>,
    /// What is otherwise than with Fail2ban's, in words that go on a sentence.
    differs: Option<String>,
    /// The name of rules that it has in common with others.
    like: Option<String>,
    /// What Fail2ban's parameters come to, besides these.
    #[serde(default)]
    parameters: BTreeMap<String, Rule>,
}

impl Stock {
    /// What this program knows.
    pub fn known() -> Stock {
        let mut stock: Stock = toml::from_str(STOCK).unwrap_or_else(|error| {
            // It is a part of the program, and a test reads it.
            log::error!("what corresponds to actions of Fail2ban is not known: {error}");
            Stock {
                native: Vec::new(),
                like: BTreeMap::new(),
                python: BTreeMap::new(),
                known: Known::default(),
            }
        });
        for native in &mut stock.native {
            let like = native.like.as_ref();
            let rules = like.and_then(|name| stock.like.get(name));
            native
                .parameters
                .extend(rules.cloned().into_iter().flatten());
        }
        stock
    }

    /// What is nearest to an action that is written in Python; `None` if it is not.
    pub fn instead_of_python(&self, file: &str) -> Option<&str> {
        let name = file.rsplit('/').next().unwrap_or(file);
        let nearest = self.python.get(name).or_else(|| self.python.get(""));
        is_python(file).then(|| nearest.map_or("webhook", String::as_str))
    }

    /// What of ours does the same as an action of this jail; `None` if nothing surely does.
    pub fn native(&self, jail: &str, action: &TreeAction) -> Option<Fit> {
        let counterpart = self.native.iter().find(|native| {
            let mut files = native.files.iter();
            files.any(|file| *file == action.file)
        })?;
        // One in Python has no name but its own.
        let name = action.parameters.text("name");
        let name = name.or_else(|| is_python(&action.file).then_some(jail))?;
        let label = name.parse().ok()?;
        if !self.is_known(action, counterpart) {
            return None;
        }
        let all = match is_python(&action.file) {
            true => &action.parameters,
            false => &action.combined,
        };
        let ipv4 = commands::filled_in(all.clone(), IPV4).ok()?;
        let ipv6 = commands::filled_in(all.clone(), IPV6).ok()?;
        let said = |of: &Options, key: &str| {
            let definition = action.files.section("Definition");
            let defined = || definition.and_then(|options| options.text(key));
            let usual = || counterpart.usual.get(key).map(String::as_str);
            let said = of.text(key).or_else(defined).or_else(usual);
            said.map(str::to_owned)
        };
        let mut closes = counterpart.closes.get(&action.file).copied();
        let mut parameters = rule::plainly(&counterpart.gives);
        let fill = |of: &Options, text: &str| {
            let around = text.split_once('<');
            let around = around.and_then(|(begin, rest)| Some((begin, rest.split_once('>')?)));
            match around {
                Some((begin, (key, end))) => {
                    format!("{begin}{}{end}", said(of, key).unwrap_or_default())
                }
                None => text.to_owned(),
            }
        };
        let has = |key: &String| match is_python(&action.file) {
            true => counterpart.usual.contains_key(key) || action.parameters.has(key),
            false => has(action, key),
        };
        let rules = counterpart.parameters.iter();
        for (key, rule) in rules.filter(|(key, rule)| has(key) && !rule.says_nothing()) {
            let (four, six) = (said(&ipv4, key)?, said(&ipv6, key)?);
            let filled = [&ipv4, &ipv6].map(|of| move |text: &str| fill(of, text));
            let comes = rule.comes_to(&four, &six, &filled)?;
            parameters.extend(comes.parameters);
            closes = comes.closes.or(closes);
        }
        let ports = match closes {
            Some(closes) => Some(ports(closes, &ipv4)?),
            None => None,
        };
        let place = counterpart.place.as_ref();
        let place = place.map(|place| fill(&ipv4, place));
        Some(Fit {
            native: Native {
                action: counterpart.action.clone(),
                parameters,
                place,
                apart: counterpart.apart.clone(),
                differs: counterpart.differs.clone(),
            },
            label,
            ports,
        })
    }

    /// Whether nothing was said of an action but what Fail2ban says itself, and parameters that have a counterpart.
    fn is_known(&self, action: &TreeAction, counterpart: &Counterpart) -> bool {
        let looked_at = RefCell::new(BTreeMap::new());
        let is_stock = |place: &Place| {
            let path = place.path();
            if let Some(known) = looked_at.borrow().get(path) {
                return *known;
            }
            let name = path.file_name().and_then(|name| name.to_str());
            let is_known = name.is_some_and(|name| self.known.has(name, place.content()));
            looked_at.borrow_mut().insert(path.to_owned(), is_known);
            is_known
        };
        let counts = |key: &str| {
            let key = condition(key).map_or(key, |(plain, _)| plain);
            counterpart.parameters.contains_key(key) || NAMES.contains(&key)
        };
        let mut sections = action.files.sections();
        let is_as_shipped = sections.all(|(name, _)| {
            let options = action.files.section(name);
            let mut options = options.into_iter().flat_map(Options::iter);
            options.all(|(key, value)| (name == INIT && counts(key)) || is_stock(&value.place))
        });
        let mut said = action.options.iter().chain(action.parameters.iter());
        is_as_shipped && said.all(|(key, value)| counts(key) || is_stock(&value.place))
    }
}

/// Whether an action is a program in Python.
fn is_python(file: &str) -> bool {
    file.ends_with(".py")
}

/// Whether the files of an action have a parameter, or say its tag: one that they do neither makes no difference to it.
fn has(action: &TreeAction, key: &str) -> bool {
    let tag = format!("<{key}>");
    let mut sections = ["Definition", INIT].into_iter();
    sections.any(|name| {
        let section = action.files.section(name);
        section.is_some_and(|options| {
            let mut said = options.iter();
            options.has(key) || said.any(|(_, value)| value.text.contains(&tag))
        })
    })
}

/// What is closed; `None` if that is nothing that a jail of ours can say.
fn ports(closes: Closes, said: &Options) -> Option<Ports> {
    let list = |key: &str| -> Vec<String> {
        let said = said.text(key).unwrap_or_default().split(',');
        said.map(|word| word.trim().to_owned()).collect()
    };
    let protocols = list("protocol");
    let is_known = |protocol: &String| matches!(protocol.as_str(), "tcp" | "udp" | "sctp");
    let ports = match closes {
        Closes::Ports => list("port"),
        Closes::All => vec!["0:65535".to_owned()],
    };
    let is_port = |port: &String| {
        let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | ':' | '+');
        !port.is_empty() && port.chars().all(plain)
    };
    (protocols.iter().all(is_known) && ports.iter().all(is_port))
        .then_some(Ports { ports, protocols })
}

#[cfg(test)]
mod tests;
