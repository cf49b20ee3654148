//! What does a data file of actions say?
//!
//! In: the text of `actions/NAME.toml` and the parameters of `[action.NAME]`. Out: an [`ActionSpec`], or what
//! is wrong. Where files are looked for is the configuration's business.

mod error;
mod keys;
mod place;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use serde::Deserialize;

pub use error::FileError;

use super::nftables;
use super::nftables::ruleset::Ruleset;
use super::parameter::{Given, ParameterError, Parameters, Sort, Values};
use super::routine::{KeptFile, List, Routine, Widths};
use super::sample::Sample;
use super::serve::ServeSpec;
use super::shell::form::ShellForm;
use super::shell::spec::place_of;
use super::step::{Lines, Step, StepForm};
use super::telling::Teller;
use super::template::Template;
use super::usual::{Kind, of_keepers, of_shells, of_tellers, own_place};
use super::vocabulary::{About, Axis, Place, Seconds, Vocabulary, VocabularyError, Words};
use super::{ActionKind, ActionSpec, Effect, Source};
use crate::engine::name::ActionName;

/// The action that jails have if they name none.
pub const NFTABLES: &str = include_str!("../../actions/nftables.toml");
/// The one that serves the ban list.
pub const SERVE: &str = include_str!("../../actions/serve.toml");
/// The one that slows down.
pub const NFTABLES_SLOW: &str = include_str!("../../actions/nftables-slow.toml");

/// A data file, complete and checked.
#[derive(Clone, Debug)]
pub struct ActionFile {
    /// What the action is, in a line.
    pub title: String,
    /// What it needs of the machine or of the other side.
    pub needs: Option<String>,
    /// What can be set, by name.
    pub parameters: Parameters,
    /// What the file expects of itself.
    pub samples: Vec<Sample>,
    effect: Effect,
    place: Option<Template>,
    body: Body,
    text: Arc<str>,
}

#[derive(Clone, Debug)]
enum Body {
    Nftables(Ruleset),
    Serve,
    Routine(Box<Routine>),
    Teller(Box<Teller>),
    Shell(Box<ShellForm>),
}

fn said_in(part: &'static str) -> impl Fn(VocabularyError) -> FileError {
    move |error| FileError::Text { part, error }
}

fn misshapen(key: &'static str, words: &'static str) -> FileError {
    FileError::Shape { key, words }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Form {
    kind: Kind,
    title: String,
    #[serde(default)]
    needs: Option<String>,
    #[serde(default)]
    lets_through: bool,
    #[serde(default)]
    shared: bool,
    #[serde(default)]
    names: bool,
    #[serde(default)]
    reports: bool,
    #[serde(default)]
    expires: bool,
    #[serde(default)]
    disjoint: bool,
    #[serde(default)]
    outranked: bool,
    #[serde(default)]
    place: Option<String>,
    #[serde(default)]
    seconds: Option<Seconds>,
    #[serde(default)]
    parameters: Parameters,
    #[serde(default)]
    family: Option<FamilyForm>,
    #[serde(default)]
    network: Option<FamilyForm>,
    #[serde(default)]
    widths: Option<Widths>,
    #[serde(default)]
    destination: Option<DestinationForm>,
    #[serde(default)]
    start: Vec<StepForm>,
    #[serde(default)]
    stop: Vec<StepForm>,
    #[serde(default)]
    ban: Vec<StepForm>,
    #[serde(default)]
    unban: Vec<StepForm>,
    #[serde(default)]
    reconcile: Vec<StepForm>,
    #[serde(default)]
    check: Vec<StepForm>,
    #[serde(default)]
    list: Option<StepForm>,
    #[serde(default)]
    having: Option<String>,
    #[serde(default)]
    tell: Vec<StepForm>,
    #[serde(default)]
    path: Option<String>,
    #[serde(default)]
    content: Option<String>,
    #[serde(default)]
    after: Vec<StepForm>,
    #[serde(default)]
    ruleset: Option<Ruleset>,
    #[serde(default)]
    shell: Option<ShellForm>,
    #[serde(default)]
    sample: Vec<Sample>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct FamilyForm {
    ipv4: Words,
    ipv6: Words,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct DestinationForm {
    ports: String,
    #[serde(default)]
    range: Option<String>,
    all: String,
}

impl ActionFile {
    /// Reads a data file.
    ///
    /// # Errors
    /// The first thing that is wrong in it.
    pub fn parse(text: &str) -> Result<ActionFile, FileError> {
        let mut form: Form = toml::from_str(text)?;
        let is_teller = !form.tell.is_empty();
        if form.kind == Kind::Mail && !is_teller {
            return Err(misshapen("tell", "an action of kind mail needs `tell`"));
        }
        keys::check(text, keys::Sort::new(form.kind, is_teller))?;
        let usual = match form.kind {
            Kind::Nftables | Kind::Serve => Vec::new(),
            Kind::Shell => of_shells(),
            kind if is_teller => of_tellers(kind),
            kind => of_keepers(kind, form.destination.is_some()),
        };
        let own_place = own_place(&form.title, &form.parameters, &usual);
        for (name, parameter) in usual {
            form.parameters.add(name, parameter);
        }
        form.parameters.check()?;
        let effect = match (is_teller || form.kind == Kind::Serve, form.lets_through) {
            // What those do who fetch a list is not known here.
            (true, _) => Effect::Tells,
            (false, true) => Effect::LetsThrough,
            (false, false) => Effect::KeepsOut,
        };
        let (title, needs) = (form.title.clone(), form.needs.clone());
        let samples = std::mem::take(&mut form.sample);
        let parameters = form.parameters.clone();
        let place = match (form.kind, &form.path, &form.place) {
            _ if is_teller => None,
            (Kind::Shell, ..) => None,
            (Kind::Nftables, ..) => Some(form.table()),
            (Kind::Serve, ..) => Some("socket <listen>".to_owned()),
            (_, Some(path), _) => Some(format!("file {path}")),
            (_, None, Some(place)) => Some(place.clone()),
            (_, None, None) => Some(own_place),
        };
        let file = ActionFile {
            title,
            needs,
            samples,
            effect,
            place: place.as_deref().map(Template::new),
            body: form.body(is_teller)?,
            parameters,
            text: text.into(),
        };
        // What has no default is set by whoever uses it.
        if file
            .parameters
            .iter()
            .all(|(_, parameter)| parameter.default.is_some())
        {
            file.kind(&BTreeMap::new())?;
        }
        Ok(file)
    }

    /// Where a sample begins in the file, by its number from 0, in bytes.
    pub fn place_of_sample(&self, number: usize) -> Option<usize> {
        place::of_sample(&self.text, number)
    }

    /// The action, with these parameters set and the others at their defaults.
    ///
    /// # Errors
    /// A parameter that there is not, or a value that is not allowed.
    pub fn spec(
        &self,
        name: ActionName,
        given: &BTreeMap<String, Given>,
    ) -> Result<ActionSpec, ParameterError> {
        let (kind, values) = self.kind(given)?;
        let place = match &self.body {
            Body::Shell(_) => Some(place_of(&name)),
            _ => self.place.as_ref().map(|place| values.fill(place)),
        };
        Ok(ActionSpec {
            name,
            kind,
            effect: self.effect,
            place,
            source: Some(Source {
                file: Arc::clone(&self.text),
                given: self.parameters.others(given),
            }),
        })
    }

    /// What it does, with these parameters set.
    ///
    /// # Errors
    /// A parameter that there is not, or a value that is not allowed.
    pub fn kind(
        &self,
        given: &BTreeMap<String, Given>,
    ) -> Result<(ActionKind, Values), ParameterError> {
        let values = self.parameters.values(given)?;
        let kind = match &self.body {
            Body::Nftables(ruleset) => {
                ActionKind::Nftables(Box::new(nftables::parameters::spec(&values, ruleset)?))
            }
            Body::Serve => ActionKind::Serve(ServeSpec::new(&values)?),
            Body::Shell(form) => ActionKind::Shell(Box::new(form.spec(&values)?)),
            Body::Routine(routine) => {
                let mut routine = routine.clone();
                routine.take_values(values.clone())?;
                ActionKind::Routine(routine)
            }
            Body::Teller(teller) => {
                let mut teller = teller.clone();
                teller.take_values(values.clone())?;
                ActionKind::Teller(teller)
            }
        };
        Ok((kind, values))
    }
}

impl Form {
    /// The table of an action of kind nftables: tables of different families have nothing in common.
    fn table(&self) -> String {
        let family = self.ruleset.as_ref().map(|ruleset| ruleset.family);
        format!("table {} <table>", family.unwrap_or_default())
    }

    fn body(&self, is_teller: bool) -> Result<Body, FileError> {
        match self.kind {
            Kind::Nftables => {
                let ruleset = self.ruleset.as_ref().ok_or(misshapen(
                    "ruleset",
                    "an action of kind nftables needs a `ruleset`",
                ))?;
                let names = self.parameters.iter().map(|(name, _)| name);
                ruleset.check(&names.collect::<BTreeSet<_>>())?;
                Ok(Body::Nftables(ruleset.clone()))
            }
            Kind::Serve => Ok(Body::Serve),
            Kind::Shell => {
                let form = self.shell.as_ref().ok_or(misshapen(
                    "shell",
                    "an action of kind shell needs `[shell]`",
                ))?;
                self.check_parameters_of_shell()?;
                Ok(Body::Shell(Box::new(form.clone())))
            }
            _ if is_teller => Ok(Body::Teller(Box::new(self.teller()?))),
            _ => Ok(Body::Routine(Box::new(self.routine()?))),
        }
    }

    fn check_parameters_of_shell(&self) -> Result<(), FileError> {
        let usual = of_shells();
        let mut own = self
            .parameters
            .iter()
            .filter(|(name, _)| usual.iter().all(|(usual, _)| usual != name));
        if own.any(|(_, parameter)| parameter.sort != Sort::Secret) {
            return Err(misshapen(
                "parameters",
                "the parameters of an action of kind shell are secrets, or `timeout`: what else it needs stands in its commands",
            ));
        }
        Ok(())
    }

    fn vocabulary(&self, about: About) -> Result<Vocabulary, FileError> {
        let seconds = self.seconds.clone().unwrap_or_default();
        let mut vocabulary =
            Vocabulary::new(about, &self.parameters, seconds).map_err(said_in("parameters"))?;
        if let Some(family) = &self.family {
            let defined = vocabulary.define_words(&family.ipv4, &family.ipv6);
            defined.map_err(said_in("family"))?;
        }
        if let Some(network) = &self.network {
            let defined = vocabulary.define_words_of_networks(&network.ipv4, &network.ipv6);
            defined.map_err(said_in("network"))?;
        }
        if let Some(destination) = &self.destination {
            if about != About::Jails {
                return Err(misshapen(
                    "destination",
                    "where all bans are `shared`, there is no `destination`",
                ));
            }
            let range = destination.range.as_ref().unwrap_or(&destination.ports);
            let defined =
                vocabulary.define_destination(&destination.ports, range, &destination.all);
            defined.map_err(said_in("destination"))?;
        }
        Ok(vocabulary)
    }

    fn routine(&self) -> Result<Routine, FileError> {
        let about = match self.shared {
            true => About::Everybody,
            false => About::Jails,
        };
        let vocabulary = self.vocabulary(about)?;
        let steps = |part, forms: &[StepForm]| steps(part, forms, &vocabulary);
        let (ban, unban) = (steps("ban", &self.ban)?, steps("unban", &self.unban)?);
        let of_address = |step: &Step| {
            let words = ["address", "first", "width"];
            words.iter().any(|word| step.says(word)) || step.names(&Axis::Family)
        };
        if self.names && ban.iter().chain(&unban).any(of_address) {
            return Err(misshapen(
                "names",
                "with `names`, `ban` and `unban` say `<subject>`: a name has no address and no family",
            ));
        }
        let reconcile = steps("reconcile", &self.reconcile)?;
        let file = match (self.kind, &self.path, &self.content) {
            (Kind::File, Some(path), Some(content)) => {
                let path = Template::new(path);
                let checked = vocabulary.check(&path, Place::Name);
                checked.map_err(said_in("path"))?;
                Some(KeptFile {
                    path,
                    content: Lines::new(content, Place::File, &vocabulary)
                        .map_err(said_in("content"))?,
                    after: steps("after", &self.after)?,
                })
            }
            (Kind::File, ..) => {
                return Err(misshapen(
                    "path",
                    "an action of kind file needs `path` and `content`",
                ));
            }
            _ => None,
        };
        let lifts_by_itself = self.expires && !reconcile.is_empty();
        if ban.is_empty() != unban.is_empty() && !lifts_by_itself {
            return Err(misshapen("ban", "`ban` and `unban` go together"));
        }
        if ban.is_empty() && reconcile.is_empty() && file.is_none() {
            return Err(misshapen(
                "ban",
                "an action needs `ban` and `unban`, or `reconcile`, or `tell`",
            ));
        }
        let list = match &self.list {
            None => None,
            Some(form) => {
                let mut step = step("list", 0, form, &vocabulary)?;
                let having = self.having.as_deref().map(Template::new);
                if let Some(having) = &having {
                    let axes = vocabulary.check(having, Place::Argument);
                    let axes = axes.map_err(said_in("having"))?;
                    if axes.iter().any(|axis| *axis != Axis::Jail) {
                        return Err(misshapen(
                            "having",
                            "`having` may name parameters and the jail, and no list",
                        ));
                    }
                    step.repeat_for(axes);
                }
                if about == About::Jails && !step.is_split_by(&Axis::Jail) {
                    return Err(misshapen(
                        "list",
                        "`list` or `having` must name the jail, or the bans be `shared`",
                    ));
                }
                Some(List { step, having })
            }
        };
        Ok(Routine {
            about,
            start: steps("start", &self.start)?,
            stop: steps("stop", &self.stop)?,
            ban,
            unban,
            reconcile,
            check: steps("check", &self.check)?,
            list,
            file,
            expires: self.expires,
            disjoint: self.disjoint,
            outranked: self.outranked,
            names: self.names,
            widths: self.widths.clone(),
            vocabulary,
            values: Values::default(),
            timeout: Duration::ZERO,
            check_every: None,
            pause: Duration::ZERO,
            removes_at_end: false,
        })
    }

    fn teller(&self) -> Result<Teller, FileError> {
        let vocabulary = self.vocabulary(About::Events)?;
        Ok(Teller {
            steps: steps("tell", &self.tell, &vocabulary)?,
            vocabulary,
            reports: self.reports,
            values: Values::default(),
            on: BTreeSet::new(),
            every: Duration::ZERO,
            gather: 1,
            restored: false,
            timeout: Duration::ZERO,
        })
    }
}

fn steps(
    part: &'static str,
    forms: &[StepForm],
    vocabulary: &Vocabulary,
) -> Result<Vec<Step>, FileError> {
    let numbered = forms.iter().enumerate();
    numbered
        .map(|(number, form)| step(part, number, form, vocabulary))
        .collect()
}

fn step(
    part: &'static str,
    number: usize,
    form: &StepForm,
    vocabulary: &Vocabulary,
) -> Result<Step, FileError> {
    form.check(vocabulary).map_err(|error| FileError::Step {
        part,
        number,
        error,
    })
}
