//! Which placeholders does a data file have, and where may each of them stand?
//!
//! In: its parameters and the words that it defines. Out: for each text the things it is repeated for, or what is wrong
//! with it. What a placeholder stands for in the end is the business of the scene.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use super::parameter::{Parameters, Sort as ParameterSort};
use super::scene::Family;
use super::template::{Template, is_name};
use crate::engine::time::Timestamp;

/// Placeholders of f2bd's own that are numbers.
const NUMBERS: [&str; 5] = ["count", "failures", "offence", "seconds", "width"];

/// For what something is repeated, the outer one first.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Axis {
    /// Each jail.
    Jail,
    /// Each family of addresses.
    Family,
    /// Each range of ports with each protocol, or all ports at once.
    Destination,
    /// Each ban.
    Member,
    /// Each thing that is told.
    Event,
    /// Each line of a log behind a thing that is told.
    Line,
    /// Each account that was tried behind a thing that is told.
    User,
    /// Each item of the parameter of this name.
    Item(String),
}

/// What a value is made of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sort {
    /// Names, numbers, addresses and times, and what the administrator has written.
    Plain,
    /// What an attacker may have written, on one line.
    Foreign,
    /// The same on several lines.
    Lines,
    /// What only the addressee may see.
    Secret,
}

/// Where a text goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// What stands for ports in an argument or a line.
    Destination,
    /// An argument of a program: everybody on the machine can read it, and a program may take it for an option.
    Argument,
    /// A line that a program reads.
    Input,
    /// The address of a request.
    Url,
    /// The value of a header of a request.
    Header,
    /// The body of a request or of a letter.
    Body,
    /// A line of a file.
    File,
    /// The name of a file, and what is asked before anything happens: the same for everything.
    Name,
}

impl Place {
    fn takes(self, sort: Sort) -> bool {
        match sort {
            Sort::Plain => true,
            Sort::Foreign => matches!(self, Place::Input | Place::Body),
            // A program that reads lines would take each for one of its own.
            Sort::Lines => self == Place::Body,
            Sort::Secret => matches!(
                self,
                Place::Input | Place::Url | Place::Header | Place::Body
            ),
        }
    }

    fn words(self) -> &'static str {
        match self {
            Place::Destination | Place::Argument => "an argument of a program",
            Place::Input => "what a program reads",
            Place::Url => "the address of a request",
            Place::Header => "a header of a request",
            Place::Body => "a body",
            Place::File => "a file",
            Place::Name => "the name of a file",
        }
    }
}

/// What an action is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum About {
    /// Bans of jails, each in its own place.
    Jails,
    /// Bans, whatever the jail.
    Everybody,
    /// What happens.
    Events,
}

/// A text that cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum VocabularyError {
    /// A placeholder that nothing stands for.
    #[error("nothing stands for `<{placeholder}>` in `{text}`; known here: {}", known.join(", "))]
    Unknown {
        /// The placeholder.
        placeholder: String,
        /// Where it stands.
        text: String,
        /// Those that could be meant.
        known: Vec<String>,
    },
    /// It may not stand there.
    #[error("`<{placeholder}>` may not stand in {place}: {because}", place = place.words())]
    Misplaced {
        /// The placeholder.
        placeholder: String,
        /// Where it stands.
        text: String,
        /// What that is.
        place: Place,
        /// Why not.
        because: &'static str,
    },
    /// A word that the file defines is a parameter as well, or one of f2bd's own, or defined for one family only.
    #[error(
        "the word `{0}` must be defined for both families, and must not be a parameter or a word of f2bd's"
    )]
    Word(String),
}

/// How the length of a ban is said in seconds.
#[derive(Clone, Debug, PartialEq, Eq, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Seconds {
    /// What stands for a ban without end.
    pub forever: String,
    /// The longest that the target takes; what lasts longer is put into effect anew in time.
    #[serde(default)]
    pub longest: Option<u64>,
}

impl Default for Seconds {
    fn default() -> Self {
        Seconds {
            forever: "0".to_owned(),
            longest: None,
        }
    }
}

/// Words of ports, which a jail of all ports has not.
const OF_PORTS: [&str; 4] = ["protocol", "port", "port_first", "port_last"];

/// The placeholders of a data file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Vocabulary {
    names: BTreeMap<String, (Sort, BTreeSet<Axis>)>,
    /// Those that are numbers, whatever they are set to.
    numbers: BTreeSet<String>,
    families: BTreeMap<Family, BTreeMap<String, Template>>,
    /// Those words that are others for networks than for single hosts.
    of_networks: BTreeMap<Family, BTreeMap<String, Template>>,
    /// The words that `<to>` is for a port.
    pub to_ports: Vec<Template>,
    /// The words that it is for a range of several ports.
    pub to_range: Vec<Template>,
    /// The words that it is for all.
    pub to_all: Vec<Template>,
    seconds: Seconds,
}

/// Words of each family, as they are written.
pub type Words = BTreeMap<String, String>;

impl Vocabulary {
    /// The placeholders of an action that is `about` this, with these parameters.
    ///
    /// # Errors
    /// A parameter is called like a word of f2bd's.
    pub fn new(
        about: About,
        parameters: &Parameters,
        seconds: Seconds,
    ) -> Result<Vocabulary, VocabularyError> {
        let mut names = BTreeMap::new();
        let mut add = |all: &[&str], sort: Sort, axes: &[Axis]| {
            for name in all {
                let axes: BTreeSet<Axis> = axes.iter().cloned().collect();
                names.insert((*name).to_owned(), (sort, axes));
            }
        };
        add(&["host", "now"], Sort::Plain, &[]);
        match about {
            About::Events => {
                add(&["count", "message"], Sort::Plain, &[]);
                add(&["summary"], Sort::Foreign, &[]);
                add(&["sentences"], Sort::Lines, &[]);
                let plain = [
                    "event", "time", "jail", "address", "first", "until", "bantime", "offence",
                    "failures", "date", "clock",
                ];
                add(&plain, Sort::Plain, &[Axis::Event]);
                let foreign = ["subject", "sentence", "users", "whereabouts"];
                add(&foreign, Sort::Foreign, &[Axis::Event]);
                add(&["line"], Sort::Foreign, &[Axis::Event, Axis::Line]);
                add(&["user"], Sort::Foreign, &[Axis::Event, Axis::User]);
                let lines = ["lines", "whois", "history", "history_of_jail"];
                add(&lines, Sort::Lines, &[Axis::Event]);
            }
            About::Jails | About::Everybody => {
                add(&["family"], Sort::Plain, &[Axis::Family]);
                add(
                    &["address", "first", "width", "until", "seconds"],
                    Sort::Plain,
                    &[Axis::Member],
                );
                add(&["subject"], Sort::Foreign, &[Axis::Member]);
            }
        }
        if about == About::Jails {
            add(
                &["jail", "short", "port_list", "protocol_list"],
                Sort::Plain,
                &[Axis::Jail],
            );
            let axes = [Axis::Jail, Axis::Destination];
            add(&["to"], Sort::Plain, &axes);
            add(&OF_PORTS, Sort::Plain, &axes);
        }
        for (name, parameter) in parameters.iter() {
            let sort = match parameter.sort {
                ParameterSort::Secret => Sort::Secret,
                _ => Sort::Plain,
            };
            let axes = parameter.list.then(|| Axis::Item(name.to_owned()));
            let known = names.insert(name.to_owned(), (sort, axes.into_iter().collect()));
            // A letter says what its parameters are; whom a program bans is never one.
            if known.is_some() && about != About::Events {
                return Err(VocabularyError::Word(name.to_owned()));
            }
        }
        let numbers = parameters
            .iter()
            .filter(|(_, parameter)| parameter.sort == ParameterSort::Number)
            .map(|(name, _)| name);
        Ok(Vocabulary {
            names,
            numbers: numbers.chain(NUMBERS).map(str::to_owned).collect(),
            families: BTreeMap::new(),
            of_networks: BTreeMap::new(),
            to_ports: Vec::new(),
            to_range: Vec::new(),
            to_all: Vec::new(),
            seconds,
        })
    }

    /// Takes in the words that differ between families.
    ///
    /// # Errors
    /// A word is known already, or its text cannot be used.
    pub fn define_words(&mut self, ipv4: &Words, ipv6: &Words) -> Result<(), VocabularyError> {
        for name in ipv4.keys().chain(ipv6.keys()) {
            let in_both = ipv4.contains_key(name) && ipv6.contains_key(name);
            if !in_both || !is_name(name) || self.names.contains_key(name) {
                return Err(VocabularyError::Word(name.clone()));
            }
        }
        let mut known = BTreeMap::new();
        for (family, words) in [(Family::Ipv4, ipv4), (Family::Ipv6, ipv6)] {
            for (name, text) in words {
                let template = Template::new(text);
                let mut axes = self.check(&template, Place::Argument)?;
                axes.insert(Axis::Family);
                let (_, all) = known
                    .entry(name.clone())
                    .or_insert_with(|| (Sort::Plain, BTreeSet::new()));
                all.extend(axes);
                let words = self.families.entry(family).or_default();
                words.insert(name.clone(), template);
            }
        }
        self.names.extend(known);
        Ok(())
    }

    /// Takes in what words of families are for networks instead; such a word is one of whom it concerns.
    ///
    /// # Errors
    /// A word is none of a family, or its text cannot be used.
    pub fn define_words_of_networks(
        &mut self,
        ipv4: &Words,
        ipv6: &Words,
    ) -> Result<(), VocabularyError> {
        for (family, words) in [(Family::Ipv4, ipv4), (Family::Ipv6, ipv6)] {
            for (name, text) in words {
                let template = Template::new(text);
                let axes = self.check(&template, Place::Argument)?;
                let is_of_family = self.word(family, false, name).is_some();
                let known = self.names.get_mut(name).filter(|_| is_of_family);
                let (_, all) = known.ok_or_else(|| VocabularyError::Word(name.clone()))?;
                all.extend(axes);
                all.insert(Axis::Member);
                let words = self.of_networks.entry(family).or_default();
                words.insert(name.clone(), template);
            }
        }
        Ok(())
    }

    /// Takes in what stands for a destination.
    ///
    /// # Errors
    /// A text cannot be used.
    pub fn define_destination(
        &mut self,
        ports: &str,
        range: &str,
        all: &str,
    ) -> Result<(), VocabularyError> {
        let mut axes = BTreeSet::new();
        let mut checked = |text: &str, place| {
            let words: Vec<_> = text.split_whitespace().map(Template::new).collect();
            for word in &words {
                axes.extend(self.check(word, place)?);
            }
            Ok::<_, VocabularyError>(words)
        };
        let ports = checked(ports, Place::Destination)?;
        let range = checked(range, Place::Destination)?;
        let all = checked(all, Place::Argument)?;
        if let Some((_, known)) = self.names.get_mut("to") {
            known.extend(axes);
        }
        self.to_ports = ports;
        self.to_range = range;
        self.to_all = all;
        Ok(())
    }

    /// Checks a text, and answers for what it is repeated.
    ///
    /// # Errors
    /// A placeholder that nothing stands for, or that may not stand there.
    pub fn check(
        &self,
        template: &Template,
        place: Place,
    ) -> Result<BTreeSet<Axis>, VocabularyError> {
        let mut all = BTreeSet::new();
        for name in template.names() {
            let Some((sort, axes)) = self.names.get(name) else {
                return Err(VocabularyError::Unknown {
                    placeholder: name.to_owned(),
                    text: template.fill(|_| None),
                    known: self.names.keys().map(|name| format!("<{name}>")).collect(),
                });
            };
            let is_of_ports = OF_PORTS.contains(&name) && axes.contains(&Axis::Destination);
            let because = match (place, sort) {
                _ if is_of_ports && place != Place::Destination => {
                    "a jail of all ports has none; it goes into `ports` and `range` of [destination]"
                }
                (Place::Name, Sort::Plain) if !axes.is_empty() => {
                    "that is not the same for everything"
                }
                (place, sort) if place.takes(*sort) => {
                    all.extend(axes.iter().cloned());
                    continue;
                }
                (_, Sort::Secret) => "others could read it there",
                (Place::Input, Sort::Lines) => {
                    "each of its lines would be one of the program's; `<line>` and `<sentence>` are single"
                }
                _ => "it may hold text of an attacker, which goes into input and bodies only",
            };
            return Err(VocabularyError::Misplaced {
                placeholder: name.to_owned(),
                text: template.fill(|_| None),
                place,
                because,
            });
        }
        Ok(all)
    }

    /// Whether what stands there is a number.
    pub fn is_number(&self, name: &str) -> bool {
        self.numbers.contains(name)
    }

    /// A word of a family.
    pub fn word(&self, family: Family, is_network: bool, name: &str) -> Option<&Template> {
        let of_networks = self.of_networks.get(&family).filter(|_| is_network);
        let own = of_networks.and_then(|words| words.get(name));
        own.or_else(|| self.families.get(&family)?.get(name))
    }

    /// The longest time that the target takes.
    pub fn longest(&self) -> Option<Duration> {
        self.seconds.longest.map(Duration::from_secs)
    }

    /// What is left of a ban, in whole seconds, rounded up so that nobody is let go early.
    pub fn seconds(&self, until: Option<Timestamp>, now: Timestamp) -> String {
        let Some(until) = until else {
            return self.seconds.forever.clone();
        };
        let left = until.since(now).as_micros().div_ceil(1_000_000).max(1);
        let longest = self.seconds.longest.map_or(u128::MAX, u128::from);
        left.min(longest).to_string()
    }
}
