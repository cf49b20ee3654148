//! What does a data file expect of itself?
//!
//! In: a jail, bans or events, as a sample of the file gives them. Out: whether exactly that is done which the sample says.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use serde::Deserialize;

use super::event::{Event, Occasion};
use super::file::ActionFile;
use super::job::{Job, Write};
use super::nftables::ruleset;
use super::parameter::{Given, ParameterError};
use super::ports::{PortError, Ports, Protocol, Services};
use super::routine::{Bans, Part, Routine};
use super::step::Step;
use super::telling::Teller;
use super::vocabulary::About;
use super::{ActionJail, ActionKind};
use crate::engine::name::JailName;
use crate::engine::prefix::SubjectWidth;
use crate::engine::subject::{Name, Subject};
use crate::engine::time::{BanTime, Timestamp};

/// The time in samples: noon of the first day of 2026.
const NOON: Timestamp = Timestamp::from_micros(1_767_268_800_000_000);

/// What the machine of samples is called.
const HOST: &str = "server";

/// Which other jail has seen the addresses of a sample.
const OTHER_JAIL: &str = "elsewhere";

/// What the message of a sample is called.
const MESSAGE: &str = "019b79e3-5a00-8000-8000-000000000001";

/// A jail and what happens in it, and what must come of that.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Sample {
    jail: String,
    #[serde(default)]
    port: Vec<String>,
    #[serde(default)]
    protocol: Vec<String>,
    #[serde(default)]
    prefix: SamplePrefix,
    #[serde(default)]
    parameters: BTreeMap<String, Given>,
    #[serde(default)]
    part: Option<Part>,
    #[serde(default)]
    subjects: Vec<String>,
    #[serde(default)]
    names: Vec<String>,
    #[serde(default)]
    seconds: Option<u32>,
    #[serde(default)]
    lines: Vec<String>,
    #[serde(default)]
    users: Vec<String>,
    #[serde(default)]
    whois: Vec<String>,
    #[serde(default)]
    ruleset: Option<String>,
    #[serde(default)]
    does: Option<String>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
struct SamplePrefix {
    ipv4: Option<u8>,
    ipv6: Option<u8>,
}

/// A sample that does not come out as it should.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SampleError {
    /// Its jail, width, protocol or subjects are none.
    #[error("the sample's `{0}` is wrong")]
    Wrong(&'static str),
    /// Its ports are none.
    #[error("the sample's `port` is wrong: {0}")]
    Ports(#[from] PortError),
    /// Its parameters are none.
    #[error("the sample's `parameters` are wrong: {0}")]
    Parameter(#[from] ParameterError),
    /// It does not say what it expects, or what of.
    #[error("the sample needs `{0}`")]
    Missing(&'static str),
    /// Something else comes out.
    #[error("the sample comes out as:\n{0}")]
    Differs(String),
}

impl Sample {
    /// Whether the file makes of the sample what it expects.
    ///
    /// # Errors
    /// It does not, or the sample itself is wrong.
    pub fn check(&self, file: &ActionFile) -> Result<(), SampleError> {
        let jail = self.jail()?;
        let (kind, _) = file.kind(&self.parameters)?;
        let (expected, comes) = match &kind {
            ActionKind::Nftables(spec) => {
                let ruleset = ruleset::prepare(spec, [&jail])
                    + &ruleset::install(spec, [&jail], &spec.devices, &[], &[]);
                (
                    self.ruleset
                        .as_ref()
                        .ok_or(SampleError::Missing("ruleset"))?,
                    ruleset,
                )
            }
            ActionKind::Routine(routine) => {
                let expected = self.does.as_ref().ok_or(SampleError::Missing("does"))?;
                (expected, self.keep(routine, &jail)?)
            }
            ActionKind::Serve(_) | ActionKind::Shell(_) => return Err(SampleError::Wrong("kind")),
            ActionKind::Teller(teller) => {
                let expected = self.does.as_ref().ok_or(SampleError::Missing("does"))?;
                (expected, self.tell(teller, &jail)?)
            }
        };
        let lines = |text: &str| -> Vec<String> {
            let lines = text.lines().map(|line| line.trim().to_owned());
            lines.filter(|line| !line.is_empty()).collect()
        };
        match lines(expected) == lines(&comes) {
            true => Ok(()),
            false => Err(SampleError::Differs(comes)),
        }
    }

    fn keep(&self, routine: &Routine, jail: &ActionJail) -> Result<String, SampleError> {
        let part = self.part.ok_or(SampleError::Missing("part"))?;
        let subjects = self.subjects()?;
        let until = self.until();
        let members = subjects.iter().map(|subject| (subject, until)).collect();
        let of = (routine.about == About::Jails).then_some(&jail.jail);
        let mut scene = routine.scene([jail].into_iter(), Bans::from([(of, members)]), HOST, NOON);
        scene.only_banned = matches!(part, Part::Ban | Part::Unban);
        if let (Part::File, Some(file), Some(path)) = (part, &routine.file, routine.path()) {
            let content = file.text(&scene);
            return Ok(Job::Write(Write { path, content }).to_string());
        }
        Ok(shown(routine.steps(part), &scene))
    }

    fn tell(&self, teller: &Teller, jail: &ActionJail) -> Result<String, SampleError> {
        let bantime = match self.seconds {
            Some(seconds) => BanTime::For(std::time::Duration::from_secs(seconds.into())),
            None => BanTime::Forever,
        };
        let event = |subject: Subject| Event {
            occasion: Occasion::Ban,
            time: NOON,
            jail: Some(jail.jail.clone()),
            sentence: format!(
                "[{}] ban {} {}",
                jail.jail,
                subject.plain(),
                bantime.lasting()
            ),
            subject: Some(subject),
            bantime: Some(bantime),
            until: self.until(),
            offence: 1,
            failures: 5,
            lines: self.lines.clone(),
            users: self.users.iter().cloned().collect(),
            captures: BTreeMap::new(),
            history: self.history(&jail.jail),
            restored: false,
            whereabouts: None,
        };
        let mut events: Vec<Event> = self.subjects()?.into_iter().map(event).collect();
        events.retain(|event| teller.tells_of(event));
        let mut scene = teller.scene(MESSAGE, events.iter().collect(), 0, HOST, &|| NOON);
        let addresses = events.iter().filter_map(|event| event.subject.as_ref());
        let addresses = addresses.filter_map(|subject| Some(subject.network()?.address()));
        let said = self.whois.join("\n");
        scene.whois = addresses.map(|address| (address, said.clone())).collect();
        Ok(shown(&teller.steps, &scene))
    }

    /// The lines of the sample, and before them one of another jail.
    fn history(&self, jail: &JailName) -> Vec<(JailName, String)> {
        let other = OTHER_JAIL.parse().ok();
        let other = other.map(|other| (other, "earlier".to_owned()));
        let own = self.lines.iter().map(|line| (jail.clone(), line.clone()));
        other.into_iter().chain(own).collect()
    }

    fn until(&self) -> Option<Timestamp> {
        let seconds = self.seconds.map(u64::from);
        seconds.map(|seconds| NOON.after(std::time::Duration::from_secs(seconds)))
    }

    fn subjects(&self) -> Result<Vec<Subject>, SampleError> {
        let addresses = self
            .subjects
            .iter()
            .map(|text| text.parse().map_err(|_| SampleError::Wrong("subjects")));
        let names = self.names.iter().map(|text| {
            let name = Name::of(text).ok_or(SampleError::Wrong("names"))?;
            Ok(Subject::from(name))
        });
        addresses.chain(names).collect()
    }

    fn jail(&self) -> Result<ActionJail, SampleError> {
        let default = SubjectWidth::DEFAULT;
        let ipv4 = self.prefix.ipv4.unwrap_or(default.ipv4);
        let ipv6 = self.prefix.ipv6.unwrap_or(default.ipv6);
        if !(1..=32).contains(&ipv4) || !(1..=128).contains(&ipv6) {
            return Err(SampleError::Wrong("prefix"));
        }
        let protocol = |word: &String| {
            word.parse::<Protocol>()
                .map_err(|_| SampleError::Wrong("protocol"))
        };
        let jail = self.jail.parse::<JailName>();
        let jail = jail.map_err(|_| SampleError::Wrong("jail"))?;
        Ok(ActionJail {
            label: jail.clone(),
            jail,
            ports: match self.port.is_empty() {
                true => Ports::All,
                false => Ports::parse(&self.port, &Services::well_known())?,
            },
            protocols: self
                .protocol
                .iter()
                .map(protocol)
                .collect::<Result<_, _>>()?,
            width: SubjectWidth { ipv4, ipv6 },
        })
    }
}

fn shown<'s>(steps: &'s [Step], scene: &'s super::scene::Scene<'s>) -> String {
    let mut text = String::new();
    for task in steps.iter().flat_map(|step| step.tasks(scene)) {
        // Writing into a text does not fail.
        let _ = write!(text, "{}", task.job);
    }
    text
}
