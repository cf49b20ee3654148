//! What do the steps of an action do about bans, and what do its parameters make of them?
//!
//! Pure: steps and values, from which scenes are made. Who takes them, and in which order, is the business of
//! [`keeping`](super::keeping).

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use super::ActionJail;
use super::parameter::{ParameterError, Value, Values};
use super::scene::{Context, Scene, Stage};
use super::step::{Lines, Step};
use super::template::Template;
use super::vocabulary::{About, Vocabulary};
use crate::engine::name::JailName;
use crate::engine::prefix::Prefix;
use crate::engine::subject::Subject;
use crate::engine::time::Timestamp;

/// An action that keeps bans in effect by steps, with its parameters filled in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Routine {
    /// Whether it makes a difference between jails.
    pub about: About,
    /// Its placeholders.
    pub vocabulary: Vocabulary,
    /// Its parameters.
    pub values: Values,
    /// Makes what is needed around bans.
    pub start: Vec<Step>,
    /// Takes everything away.
    pub stop: Vec<Step>,
    /// Puts bans into effect; without it every change is a reconciliation.
    pub ban: Vec<Step>,
    /// Lifts bans.
    pub unban: Vec<Step>,
    /// Makes all bans equal at once.
    pub reconcile: Vec<Step>,
    /// Succeeds as long as nobody else has changed anything.
    pub check: Vec<Step>,
    /// Shows what is in effect.
    pub list: Option<List>,
    /// A file that is kept.
    pub file: Option<KeptFile>,
    /// Whether the target ends bans by itself.
    pub expires: bool,
    /// Whether it takes no network that shares addresses with another one.
    pub disjoint: bool,
    /// Whether a rule of somebody else that stands above its own may let in whoever is banned.
    pub outranked: bool,
    /// Whether it takes names too.
    pub names: bool,
    /// Which networks it takes; all of them if nothing is said.
    pub widths: Option<Widths>,
    /// How long each step may take.
    pub timeout: Duration,
    /// How often the target is looked at.
    pub check_every: Option<Duration>,
    /// Changes that come sooner are made together.
    pub pause: Duration,
    /// Whether everything is taken away when the daemon ends.
    pub removes_at_end: bool,
}

/// The widths of networks that a target takes; a single host is as wide as its address.
#[derive(Clone, Debug, PartialEq, Eq, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Widths {
    ipv4: BTreeSet<u8>,
    ipv6: BTreeSet<u8>,
}

impl Widths {
    /// Whether this is one of them.
    pub fn have(&self, network: Prefix) -> bool {
        let widths = match network.address().is_ipv6() {
            false => &self.ipv4,
            true => &self.ipv6,
        };
        widths.contains(&network.width())
    }
}

/// A file whose content is made of the bans.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeptFile {
    /// Its path, all of it parameters.
    pub path: Template,
    /// What it holds.
    pub content: Lines,
    /// What is to be done after a change.
    pub after: Vec<Step>,
}

impl KeptFile {
    /// What it holds with these bans.
    pub fn text<'s>(&'s self, scene: &'s Scene<'s>) -> String {
        self.content.fill(scene, &Context::default())
    }
}

/// A step that shows what is in effect, an address a line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct List {
    /// The step.
    pub step: Step,
    /// Only lines with this concern us, or the jail that it names.
    pub having: Option<Template>,
}

/// Steps of a data file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Part {
    /// Makes what is needed around bans.
    Start,
    /// Takes everything away.
    Stop,
    /// Puts bans into effect.
    Ban,
    /// Lifts bans.
    Unban,
    /// Makes all bans equal at once.
    Reconcile,
    /// Looks whether all is as it was.
    Check,
    /// Shows what is in effect.
    List,
    /// Writes the file.
    File,
    /// Follows a change of the file.
    After,
    /// Tells of events.
    Tell,
}

/// The kind, for parameters that are missing.
const KIND: &str = "exec, http or file";

/// Chains of iptables that see packets for others.
const FORWARDING: [&str; 3] = ["FORWARD", "DOCKER-USER", "PREROUTING"];

/// Jails and their bans, in order.
pub type Bans<'b> = BTreeMap<Option<&'b JailName>, Vec<(&'b Subject, Option<Timestamp>)>>;

impl Routine {
    /// Takes the values of the parameters that every such action has.
    ///
    /// # Errors
    /// One is missing.
    pub fn take_values(&mut self, values: Values) -> Result<(), ParameterError> {
        self.timeout = values.time(KIND, "timeout")?;
        let every = values.time(KIND, "check_every")?;
        self.check_every = (!every.is_zero()).then_some(every);
        self.pause = values.time(KIND, "pause")?;
        self.removes_at_end = values.text(KIND, "on_stop")? == "remove";
        self.values = values;
        Ok(())
    }

    /// The steps of a part.
    pub fn steps(&self, part: Part) -> &[Step] {
        match part {
            Part::Start => &self.start,
            Part::Stop => &self.stop,
            Part::Ban => &self.ban,
            Part::Unban => &self.unban,
            Part::Reconcile => &self.reconcile,
            Part::Check => &self.check,
            Part::List => self
                .list
                .as_ref()
                .map_or(&[], |list| std::slice::from_ref(&list.step)),
            Part::After => self.file.as_ref().map_or(&[], |file| file.after.as_slice()),
            Part::File | Part::Tell => &[],
        }
    }

    /// Whether whoever it concerns reaches no port at all.
    pub fn closes_all(&self) -> bool {
        let says_all =
            matches!(self.values.get("ports"), Some(Value::Text(ports)) if ports == "all");
        says_all || self.about == About::Everybody
    }

    /// Whether it hooks in where packets pass that are for others.
    pub fn sees_forwarded(&self) -> bool {
        let Some(Value::List(hooks)) = self.values.get("hooks") else {
            return false;
        };
        hooks.iter().any(|hook| FORWARDING.contains(&hook.as_str()))
    }

    /// The path of the file that it keeps.
    pub fn path(&self) -> Option<String> {
        self.file.as_ref().map(|file| self.values.fill(&file.path))
    }

    /// Every program that it may run, with its parameters filled in.
    pub fn programs(&self) -> Vec<String> {
        let parts = [
            Part::Start,
            Part::Stop,
            Part::Ban,
            Part::Unban,
            Part::Reconcile,
            Part::Check,
            Part::List,
            Part::After,
        ];
        let steps = parts.into_iter().flat_map(|part| self.steps(part));
        let mut programs: Vec<_> = steps
            .flat_map(Step::programs)
            .map(|program| self.values.fill(program))
            // Of words that differ between families nobody knows here.
            .filter(|program| !program.contains('<') && !program.is_empty())
            .collect();
        programs.sort();
        programs.dedup();
        programs
    }

    /// The scene of these bans.
    pub fn scene<'s>(
        &'s self,
        jails: impl Iterator<Item = &'s ActionJail>,
        mut bans: Bans<'s>,
        host: &'s str,
        now: Timestamp,
    ) -> Scene<'s> {
        let stages = match self.about {
            About::Jails => jails
                .map(|jail| Stage {
                    jail: Some(jail),
                    members: bans.remove(&Some(&jail.jail)).unwrap_or_default(),
                })
                .collect(),
            About::Everybody | About::Events => vec![Stage {
                jail: None,
                members: bans.remove(&None).unwrap_or_default(),
            }],
        };
        Scene {
            vocabulary: &self.vocabulary,
            values: &self.values,
            secrets: BTreeMap::new(),
            host,
            now,
            jails: stages,
            only_banned: false,
            events: Vec::new(),
            untold: 0,
            whois: BTreeMap::new(),
            message: "",
        }
    }
}
