//! Who must not be banned, as the world says at this moment?
//!
//! In: words of `ignoreip`, and the names of the sets that they come to. Out: what each set holds, now and whenever
//! it is something else: the addresses of hosts, those that files list, and this machine's own. Nothing is decided here.
//!
//! [`command`] asks programs, [`guard`] knows who would be locked out; [`word`] says what can be written, [`names`] asks for hosts, [`file`] reads lists, [`own`] knows this machine;
//! [`watch`] keeps an eye on it all while the daemon runs.

pub mod command;
mod file;
pub mod guard;
mod names;
mod own;
pub mod watch;
pub mod word;

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::sync::mpsc;
use std::time::{Duration, Instant};

use self::command::Commands;
use self::file::ListFile;
use self::names::Names;
use crate::engine::policy::{AddressSet, IgnoreRule, SetName};
use crate::engine::prefix::Prefix;

/// What is known of the sets that somebody wants to know of.
#[derive(Debug, Default)]
pub struct Lists {
    wanted: BTreeSet<SetName>,
    names: Names,
    files: BTreeMap<Box<str>, ListFile>,
    own: AddressSet,
    guarded: AddressSet,
    commands: Commands,
    /// Whether a set may hold something else than when this was taken back.
    changed: bool,
}

/// Something is wrong with a set.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Trouble {
    /// Which one.
    pub set: SetName,
    /// What, in words.
    pub message: String,
}

impl Lists {
    /// Looks at everything once, waiting for host names no longer than `patience`; without it they are not asked for.
    pub fn look(wanted: BTreeSet<SetName>, patience: Option<Duration>) -> (Lists, Vec<Trouble>) {
        let mut lists = Lists::default();
        let mut troubles = lists.want(wanted, Instant::now());
        let paths = lists.files.keys().cloned().collect();
        troubles.extend(lists.hear_files(file::read_all(paths)));
        lists.look_at_own();
        if let Some(patience) = patience {
            let deadline = Instant::now() + patience;
            let (answer, answers) = mpsc::channel();
            for name in lists.names.due(Instant::now()) {
                let (answer, asked) = (answer.clone(), name.clone());
                let asking = names::ask(name.clone(), move |addresses| {
                    // Nobody waits any more for an answer that comes too late.
                    let _ = answer.send((asked, addresses));
                });
                if let Err(error) = asking {
                    troubles.extend(lists.hear(&name, Err(error), Instant::now()));
                }
            }
            drop(answer);
            while let Ok((name, addresses)) =
                answers.recv_timeout(deadline.saturating_duration_since(Instant::now()))
            {
                troubles.extend(lists.hear(&name, addresses, Instant::now()));
            }
            let late = lists.names.give_up(Instant::now());
            troubles.extend(late.into_iter().map(|name| lists.unknown(&name)));
        }
        (lists, troubles)
    }

    /// What a set holds.
    pub fn addresses(&self, set: &SetName) -> AddressSet {
        match set {
            SetName::Own => self.own.clone(),
            SetName::Guarded => self.guarded.clone(),
            SetName::Host(name) => AddressSet::new(self.host(name, &format!("ignoreip {name}"))),
            SetName::Command(words) => {
                let because = format!("ignorecommand {} says so", words.join(" "));
                let rule = |address| IgnoreRule {
                    prefix: Prefix::host(address),
                    because: because.clone().into(),
                };
                AddressSet::new(self.commands.spared(set).map(rule).collect())
            }
            SetName::File(path) => match self.files.get(path) {
                Some(file) => {
                    let hosts = file.hosts().flat_map(|(name, line)| {
                        self.host(name, &format!("ignoreip {path}, line {line}: {name}"))
                    });
                    AddressSet::new(file.rules().cloned().chain(hosts).collect())
                }
                None => AddressSet::default(),
            },
        }
    }

    fn host(&self, name: &str, because: &str) -> Vec<IgnoreRule> {
        let rule = |address| IgnoreRule {
            prefix: Prefix::host(address),
            because: because.into(),
        };
        self.names.addresses(name).map(rule).collect()
    }

    /// Wants to know of these sets from now on, and of no others. Names are asked for anew.
    fn want(&mut self, wanted: BTreeSet<SetName>, now: Instant) -> Vec<Trouble> {
        self.wanted = wanted;
        self.changed = true;
        self.commands.keep(&self.wanted);
        let paths = self.wanted.iter().filter_map(|set| match set {
            SetName::File(path) => Some(path.clone()),
            _ => None,
        });
        let mut old = std::mem::take(&mut self.files);
        self.files = paths
            .map(|path| {
                let file = old.remove(&path).unwrap_or_default();
                (path, file)
            })
            .collect();
        self.names.hurry(now);
        self.want_names(now)
    }

    /// Wants to know of the names that the settings and the files have now.
    fn want_names(&mut self, now: Instant) -> Vec<Trouble> {
        let stated = self.wanted.iter().filter_map(|set| match set {
            SetName::Host(name) => Some((name.clone(), set.clone())),
            _ => None,
        });
        let listed = self.files.iter().flat_map(|(path, file)| {
            let set = SetName::File(path.clone());
            file.hosts()
                .map(move |(name, _)| (name.clone(), set.clone()))
        });
        let surplus = self.names.want(stated.chain(listed), now);
        let message = format!(
            "more than {} host names in `ignoreip` and `trusted`: write addresses or networks",
            names::MOST_HOST_NAMES
        );
        surplus
            .map(|set| Trouble { set, message })
            .into_iter()
            .collect()
    }

    /// Takes note of what files say; what is wrong with those that have changed.
    fn hear_files(&mut self, texts: Vec<(Box<str>, io::Result<Vec<u8>>)>) -> Vec<Trouble> {
        let mut troubles = Vec::new();
        for (path, text) in texts {
            let Some(file) = self.files.get_mut(&path) else {
                continue;
            };
            let heard = file.hear(&path, text);
            self.changed |= heard.is_new;
            for message in heard.mistakes {
                let set = SetName::File(path.clone());
                troubles.push(Trouble { set, message });
            }
        }
        troubles.extend(self.want_names(Instant::now()));
        troubles
    }

    fn look_at_own(&mut self) {
        if self.wanted.contains(&SetName::Own) {
            self.own = own::addresses();
            self.changed = true;
        }
    }

    /// Takes note of an answer; what is wrong, if it was well before.
    fn hear(&mut self, name: &str, answer: names::Answer, now: Instant) -> Option<Trouble> {
        self.changed |= answer.is_ok();
        let is_lost = self.names.hear(name, answer, now);
        is_lost.then(|| self.unknown(name))
    }

    /// Takes note of what a program has answered; what is wrong, if it was well before.
    fn hear_command(
        &mut self,
        question: command::Question,
        answer: io::Result<bool>,
        now: Instant,
    ) -> Option<Trouble> {
        self.changed |= matches!(answer, Ok(true));
        let set = question.0.clone();
        let SetName::Command(words) = &set else {
            return None;
        };
        let error = self.commands.hear(question, answer, now)?;
        let message = format!("ignorecommand {} spares nobody: {error}", words.join(" "));
        Some(Trouble { set, message })
    }

    /// The trouble with a name that cannot be found.
    fn unknown(&self, name: &str) -> Trouble {
        let rest = match self.names.addresses(name).next() {
            Some(_) => "; those that it had stay",
            None => "",
        };
        Trouble {
            set: self.names.user(name),
            message: format!(
                "the host name `{name}` in `ignoreip` or `trusted` has no address at the moment{rest}"
            ),
        }
    }
}
