//! What does a step of a data file come to?
//!
//! In: a step as it is written, checked once against the vocabulary, and a scene. Out: [`Task`]s. Pure: nothing is run or
//! sent here.

mod json;
mod lookup;

use std::collections::{BTreeMap, BTreeSet};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use serde::Deserialize;

use self::json::Json;
use self::lookup::{LookupForm, Question};
use super::event::Event;
use super::found::PLACEHOLDER;
use super::http::Method;
use super::job::{Job, Part, Post, Run, Send};
use super::manner::Manner;
use super::scene::{Context, Scene};
use super::template::Template;
use super::vocabulary::{Axis, Place, Vocabulary, VocabularyError};
use crate::engine::name::JailName;
use crate::engine::subject::Subject;

/// What a program may answer that did what it should, if nothing else is said.
const SUCCESS: i32 = 0;

/// A step as it is written.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct StepForm {
    run: Option<Vec<String>>,
    unless: Vec<String>,
    input: Option<String>,
    exits: Vec<i32>,
    refusals: Vec<String>,
    method: Option<Method>,
    url: Option<String>,
    headers: BTreeMap<String, String>,
    json: Option<toml::Value>,
    form: BTreeMap<String, String>,
    text: Option<String>,
    login: Option<String>,
    answers: Vec<u16>,
    lookup: Option<LookupForm>,
    to: Option<String>,
    from: Option<String>,
    subject: Option<String>,
    body: Option<String>,
    part: Vec<PartForm>,
    longest: Option<usize>,
    without: String,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct PartForm {
    content_type: String,
    name: String,
    #[serde(default)]
    json: Option<toml::Value>,
    #[serde(default)]
    text: Option<String>,
}

/// A step that cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum StepError {
    /// It is to do nothing, or several things.
    #[error(
        "a step has either `run`, or `method` and `url`, or `to`, `from`, `subject` and `body`"
    )]
    Kind,
    /// It has something of another kind of step.
    #[error("`{0}` does not belong into a step of this kind")]
    Foreign(&'static str),
    /// Its program is not named by itself.
    #[error("the program of `run` or `unless` must be a name, a path or one parameter")]
    Program,
    /// A header that cannot be one.
    #[error("`{}` cannot be the name of a header", .0.escape_debug())]
    Header(String),
    /// What is attached has no text, or two.
    #[error("a `part` has either `json` or `text`")]
    Part,
    /// It has more than one body.
    #[error("a request has one of `json`, `form` and `text`")]
    Bodies,
    /// What it asks before makes no sense.
    #[error(
        "a request with `lookup` says `<found>` in its `url`, and `find` and `matching` name places that begin with `/`"
    )]
    Lookup,
    /// A text in it.
    #[error(transparent)]
    Text(#[from] VocabularyError),
    /// A value of TOML that JSON does not have.
    #[error("a date cannot stand in `json`: write a text")]
    Json,
}

/// A step, checked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Step {
    /// What it is repeated for.
    axes: BTreeSet<Axis>,
    manner: Manner,
    what: What,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum What {
    Run {
        argv: Vec<Template>,
        unless: Vec<Template>,
        input: Lines,
        exits: Vec<i32>,
        refusals: Vec<String>,
    },
    Send {
        method: Method,
        url: Template,
        headers: Vec<(String, Template)>,
        login: Option<Template>,
        body: Body,
        answers: Vec<u16>,
        lookup: Option<Box<Question>>,
    },
    Post {
        to: Template,
        from: Template,
        subject: Template,
        body: Lines,
        parts: Vec<(String, String, Body)>,
    },
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Body {
    None,
    Json(Json),
    Form(Vec<(String, Template)>),
    Text(Lines),
}

/// Lines, each of them repeated for what it names; those that tell of events together.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct Lines(Vec<(Template, BTreeSet<Axis>)>);

/// Something to do, and what it is for if it is for something single.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Task {
    /// What is to be done.
    pub job: Job,
    /// For which jail.
    pub jail: Option<JailName>,
    /// For whom.
    pub subject: Option<Subject>,
}

impl StepForm {
    /// Checks a step.
    ///
    /// # Errors
    /// The first thing that is wrong with it.
    pub fn check(&self, vocabulary: &Vocabulary) -> Result<Step, StepError> {
        match (&self.run, &self.url, &self.to) {
            (Some(argv), None, None) => self.check_run(argv, vocabulary),
            (None, Some(url), None) => self.check_send(url, vocabulary),
            (None, None, Some(to)) => self.check_post(to, vocabulary),
            _ => Err(StepError::Kind),
        }
    }

    fn check_run(&self, argv: &[String], vocabulary: &Vocabulary) -> Result<Step, StepError> {
        self.refuse_of_requests()?;
        self.refuse_of_letters()?;
        let mut axes = BTreeSet::new();
        let mut words = |argv: &[String]| {
            let mut words = Vec::new();
            for word in argv {
                let template = Template::new(word);
                axes.extend(vocabulary.check(&template, Place::Argument)?);
                words.push(template);
            }
            Ok::<_, VocabularyError>(words)
        };
        let (argv, unless) = (words(argv)?, words(&self.unless)?);
        for program in [argv.first(), unless.first()].into_iter().flatten() {
            if program.names().next().is_some() && program.only_name().is_none() {
                return Err(StepError::Program);
            }
        }
        if argv.is_empty() {
            return Err(StepError::Program);
        }
        let input = self.input.as_deref().unwrap_or_default();
        Ok(Step {
            axes,
            manner: self.manner(),
            what: What::Run {
                argv,
                unless,
                input: Lines::new(input, Place::Input, vocabulary)?,
                exits: match self.exits.is_empty() {
                    true => vec![SUCCESS],
                    false => self.exits.clone(),
                },
                refusals: self.refusals.clone(),
            },
        })
    }

    fn check_send(&self, url: &str, vocabulary: &Vocabulary) -> Result<Step, StepError> {
        self.refuse_of_programs()?;
        self.refuse_of_letters()?;
        let (mut lookup, mut axes) = (None, BTreeSet::new());
        if let Some(form) = &self.lookup {
            let (question, named) = form.check(url, vocabulary)?;
            axes = named;
            lookup = Some(Box::new(question));
        }
        let known = match lookup {
            Some(_) => url.replace(PLACEHOLDER, ""),
            None => url.to_owned(),
        };
        axes.extend(vocabulary.check(&Template::new(&known), Place::Url)?);
        let url = Template::new(url);
        let mut headers = Vec::new();
        for (name, value) in &self.headers {
            if !name
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
            {
                return Err(StepError::Header(name.clone()));
            }
            let value = Template::new(value);
            axes.extend(vocabulary.check(&value, Place::Header)?);
            headers.push((name.clone(), value));
        }
        let login = self.login.as_deref().map(Template::new);
        if let Some(login) = &login {
            axes.extend(vocabulary.check(login, Place::Header)?);
        }
        let body = match (&self.json, self.form.is_empty(), &self.text) {
            (None, true, None) => Body::None,
            (Some(value), true, None) => {
                let (json, named) = Json::new(value, vocabulary)?;
                axes.extend(named);
                Body::Json(json)
            }
            (None, false, None) => {
                let mut fields = Vec::new();
                for (name, value) in &self.form {
                    let value = Template::new(value);
                    axes.extend(vocabulary.check(&value, Place::Body)?);
                    fields.push((name.clone(), value));
                }
                Body::Form(fields)
            }
            (None, true, Some(text)) => Body::Text(Lines::new(text, Place::Body, vocabulary)?),
            _ => return Err(StepError::Bodies),
        };
        Ok(Step {
            axes,
            manner: self.manner(),
            what: What::Send {
                method: self.method.unwrap_or(Method::Post),
                url,
                headers,
                login,
                body,
                answers: self.answers.clone(),
                lookup,
            },
        })
    }

    fn check_post(&self, to: &str, vocabulary: &Vocabulary) -> Result<Step, StepError> {
        self.refuse_of_programs()?;
        self.refuse_of_requests()?;
        let (Some(from), Some(subject), Some(body)) = (&self.from, &self.subject, &self.body)
        else {
            return Err(StepError::Kind);
        };
        let mut axes = BTreeSet::new();
        // A list of mailboxes makes one letter to all of them.
        let mut check = |text: &str, place| {
            let template = Template::new(text);
            let named = vocabulary.check(&template, place)?.into_iter();
            axes.extend(
                named.filter(|axis| place != Place::Header || !matches!(axis, Axis::Item(_))),
            );
            Ok::<_, VocabularyError>(template)
        };
        let to = check(to, Place::Header)?;
        let from = check(from, Place::Header)?;
        let subject = check(subject, Place::Body)?;
        let mut parts = Vec::new();
        for part in &self.part {
            let body = match (&part.json, &part.text) {
                (Some(value), None) => {
                    let (json, named) = Json::new(value, vocabulary)?;
                    axes.extend(named);
                    Body::Json(json)
                }
                (None, Some(text)) => Body::Text(Lines::new(text, Place::Body, vocabulary)?),
                _ => return Err(StepError::Part),
            };
            parts.push((part.content_type.clone(), part.name.clone(), body));
        }
        Ok(Step {
            axes,
            manner: self.manner(),
            what: What::Post {
                to,
                from,
                subject,
                body: Lines::new(body, Place::Body, vocabulary)?,
                parts,
            },
        })
    }

    fn manner(&self) -> Manner {
        Manner {
            longest: self.longest,
            without: self.without.clone(),
        }
    }

    fn refuse_of_programs(&self) -> Result<(), StepError> {
        refuse("unless", !self.unless.is_empty())?;
        refuse("input", self.input.is_some())?;
        refuse("exits", !self.exits.is_empty())?;
        refuse("refusals", !self.refusals.is_empty())
    }

    fn refuse_of_requests(&self) -> Result<(), StepError> {
        refuse("method", self.method.is_some())?;
        refuse("headers", !self.headers.is_empty())?;
        refuse("json", self.json.is_some())?;
        refuse("form", !self.form.is_empty())?;
        refuse("text", self.text.is_some())?;
        refuse("login", self.login.is_some())?;
        refuse("lookup", self.lookup.is_some())?;
        refuse("answers", !self.answers.is_empty())
    }

    fn refuse_of_letters(&self) -> Result<(), StepError> {
        refuse("from", self.from.is_some())?;
        refuse("subject", self.subject.is_some())?;
        refuse("body", self.body.is_some())?;
        refuse("part", !self.part.is_empty())
    }
}

fn refuse(key: &'static str, is_there: bool) -> Result<(), StepError> {
    match is_there {
        true => Err(StepError::Foreign(key)),
        false => Ok(()),
    }
}

impl Lines {
    /// Checks a text.
    ///
    /// # Errors
    /// A placeholder that cannot be used.
    pub fn new(
        text: &str,
        place: Place,
        vocabulary: &Vocabulary,
    ) -> Result<Lines, VocabularyError> {
        let lines = text.lines().map(|line| {
            let template = Template::new(line);
            let axes = vocabulary.check(&template, place)?;
            Ok((template, axes))
        });
        lines.collect::<Result<_, _>>().map(Lines)
    }

    /// The text in a context.
    pub fn fill<'s>(&'s self, scene: &'s Scene<'s>, within: &Context<'s>) -> String {
        let mut text = String::new();
        let is_of_event = |(_, axes): &(Template, BTreeSet<Axis>)| axes.contains(&Axis::Event);
        // Lines that tell of events and follow each other are repeated together, so that each event has its own.
        for block in self
            .0
            .chunk_by(|one, next| is_of_event(one) && is_of_event(next))
        {
            let own = match block {
                [_, _, ..] => BTreeSet::from([Axis::Event]),
                _ => BTreeSet::new(),
            };
            for within in scene.contexts(&own, within) {
                for (line, axes) in block {
                    for context in scene.contexts(axes, &within) {
                        text.push_str(&line.fill(|name| {
                            let value = scene.value(name, &context)?;
                            Some(match (name, context.member) {
                                ("subject", Some((Subject::Name(_), _))) => spelt(&value),
                                _ => value,
                            })
                        }));
                        text.push('\n');
                    }
                }
            }
        }
        text
    }

    /// Whether a line says anything by this placeholder.
    fn says(&self, name: &str) -> bool {
        let mut placeholders = self.0.iter().flat_map(|(line, _)| line.names());
        placeholders.any(|own| own == name)
    }

    /// Whether a line is repeated for this.
    fn names(&self, axis: &Axis) -> bool {
        self.0.iter().any(|(_, axes)| axes.contains(axis))
    }
}

impl Body {
    /// What it is, if nothing else is said.
    fn kind(&self) -> Option<&'static str> {
        match self {
            Body::None => None,
            Body::Json(_) => Some("application/json"),
            Body::Form(_) => Some("application/x-www-form-urlencoded"),
            Body::Text(_) => Some("text/plain; charset=utf-8"),
        }
    }

    fn fill<'s>(&'s self, scene: &'s Scene<'s>, context: &Context<'s>) -> String {
        match self {
            Body::None => String::new(),
            Body::Json(json) => json.fill(scene, context).to_string(),
            Body::Form(fields) => {
                let fields = fields.iter().map(|(name, value)| {
                    let value = scene.fill(value, context);
                    format!("{}={}", percent(name), percent(&value))
                });
                fields.collect::<Vec<_>>().join("&")
            }
            Body::Text(lines) => lines.fill(scene, context),
        }
    }

    fn names(&self, axis: &Axis) -> bool {
        match self {
            Body::Json(json) => json.names(axis),
            Body::Text(lines) => lines.names(axis),
            Body::None | Body::Form(_) => false,
        }
    }

    fn says(&self, name: &str) -> bool {
        match self {
            Body::None => false,
            Body::Json(json) => json.says(name),
            Body::Form(fields) => {
                let mut placeholders = fields.iter().flat_map(|(_, value)| value.names());
                placeholders.any(|own| own == name)
            }
            Body::Text(lines) => lines.says(name),
        }
    }
}

impl Step {
    /// Whether it or a part of it is repeated for this.
    pub fn names(&self, axis: &Axis) -> bool {
        self.axes.contains(axis)
            || match &self.what {
                What::Run { input, .. } => input.names(axis),
                What::Send { body, .. } => body.names(axis),
                What::Post { body, parts, .. } => {
                    body.names(axis) || parts.iter().any(|(_, _, body)| body.names(axis))
                }
            }
    }

    /// Whether it says anything by this placeholder.
    pub fn says(&self, name: &str) -> bool {
        let is_it = |template: &Template| template.names().any(|own| own == name);
        let in_lines = |lines: &Lines| lines.says(name);
        match &self.what {
            What::Run { argv, input, .. } => argv.iter().any(is_it) || in_lines(input),
            What::Send {
                url,
                headers,
                body,
                lookup,
                ..
            } => {
                is_it(url)
                    || headers.iter().any(|(_, value)| is_it(value))
                    || body.says(name)
                    || lookup.as_ref().is_some_and(|lookup| lookup.says(name))
            }
            What::Post {
                subject,
                body,
                parts,
                ..
            } => {
                let mut parts = parts.iter();
                is_it(subject) || in_lines(body) || parts.any(|(_, _, body)| body.says(name))
            }
        }
    }

    /// Whether it asks first if there is anything to do.
    pub fn asks(&self) -> bool {
        matches!(&self.what, What::Run { unless, .. } if !unless.is_empty())
    }

    /// Has it repeated for these too.
    pub fn repeat_for(&mut self, axes: BTreeSet<Axis>) {
        self.axes.extend(axes);
    }

    /// Whether there is more than one of it if there is more than one of this.
    pub fn is_split_by(&self, axis: &Axis) -> bool {
        self.axes.contains(axis)
    }

    /// Whether it is a program that is run.
    pub fn runs(&self) -> bool {
        matches!(self.what, What::Run { .. })
    }

    /// The programs that it runs.
    pub fn programs(&self) -> impl Iterator<Item = &Template> {
        let (argv, unless) = match &self.what {
            What::Run { argv, unless, .. } => (argv.first(), unless.first()),
            What::Send { .. } | What::Post { .. } => (None, None),
        };
        argv.into_iter().chain(unless)
    }

    /// Whether it does something to an address: a whole argument of a program is one, or a part of where a request goes.
    fn is_done_to_an_address(&self) -> bool {
        let is_one = |name: &str| name == "address" || name == "first";
        match &self.what {
            What::Run { argv, .. } => {
                let mut words = argv.iter().filter_map(Template::only_name);
                words.any(is_one)
            }
            What::Send { url, lookup, .. } => {
                let asks = |name| lookup.as_ref().is_some_and(|lookup| lookup.says(name));
                url.names().any(is_one) || asks("address") || asks("first")
            }
            What::Post { .. } => false,
        }
    }

    /// What it comes to. Nothing is done to the address of an event that has none: what is left of a command without it
    /// could mean everybody.
    pub fn tasks<'s>(&'s self, scene: &'s Scene<'s>) -> Vec<Task> {
        let contexts = scene.contexts(&self.axes, &Context::with(&self.manner));
        let needs_address = self.is_done_to_an_address();
        contexts
            .into_iter()
            .filter(|context| !needs_address || context.event.is_none_or(Event::has_address))
            .filter_map(|context| {
                let jail = context.stage.and_then(|stage| stage.jail);
                Some(Task {
                    job: self.job(scene, &context)?,
                    jail: jail.map(|jail| jail.jail.clone()),
                    subject: context.member.map(|(subject, _)| subject.clone()),
                })
            })
            .collect()
    }

    /// What it comes to in a context; nothing if it has bans to tell of and there are none.
    fn job<'s>(&'s self, scene: &'s Scene<'s>, context: &Context<'s>) -> Option<Job> {
        let words = |templates: &[Template]| -> Vec<String> {
            let words = templates.iter().flat_map(|word| match word.only_name() {
                Some("to") => scene.destination_words(context),
                _ => vec![scene.fill(word, context)],
            });
            // What stands for nothing is no argument.
            words.filter(|word| !word.is_empty()).collect()
        };
        Some(match &self.what {
            What::Run {
                argv,
                unless,
                input,
                exits,
                refusals,
            } => {
                let argv = words(argv);
                // Which program is a parameter, and that is set to none.
                if argv.is_empty() {
                    return None;
                }
                let text = input.fill(scene, context);
                if scene.only_banned && text.is_empty() && input.names(&Axis::Member) {
                    return None;
                }
                Job::Run(Run {
                    argv,
                    unless: words(unless),
                    input: text,
                    accepts: exits.clone(),
                    refusals: refusals.clone(),
                })
            }
            What::Send {
                method,
                url,
                headers,
                login,
                body,
                answers,
                lookup,
            } => {
                // What names something that is not set is not sent: who has no token needs no header for it.
                let is_set = |template: &Template| {
                    let mut values = template.names().map(|name| scene.value(name, context));
                    !values.any(|value| value.as_deref() == Some(""))
                };
                let mut headers: Vec<_> = headers
                    .iter()
                    .filter(|(_, value)| is_set(value))
                    .map(|(name, value)| (name.clone(), scene.fill(value, context)))
                    .collect();
                if let Some(login) = login.as_ref().filter(|login| is_set(login)) {
                    let login = BASE64.encode(scene.fill(login, context));
                    headers.push(("Authorization".to_owned(), format!("Basic {login}")));
                }
                let (kind, body) = (body.kind(), body.fill(scene, context));
                let is_said = headers
                    .iter()
                    .any(|(name, _)| name.eq_ignore_ascii_case("content-type"));
                if let Some(kind) = kind.filter(|_| !is_said) {
                    headers.push(("Content-Type".to_owned(), kind.to_owned()));
                }
                Job::Send(Send {
                    lookup: lookup.as_ref().map(|lookup| lookup.fill(scene, context)),
                    method: *method,
                    url: address(url, scene, context),
                    headers,
                    body,
                    accepts: answers.clone(),
                })
            }
            What::Post {
                to,
                from,
                subject,
                body,
                parts,
            } => {
                let items: BTreeSet<Axis> =
                    to.names().map(|name| Axis::Item(name.to_owned())).collect();
                let addressees = scene.contexts(&items, context).into_iter();
                Job::Post(Post {
                    to: addressees.map(|context| scene.fill(to, &context)).collect(),
                    from: scene.fill(from, context),
                    subject: scene.fill(subject, context),
                    body: body.fill(scene, context),
                    parts: parts
                        .iter()
                        .map(|(content_type, name, body)| Part {
                            content_type: content_type.clone(),
                            name: name.clone(),
                            text: body.fill(scene, context),
                        })
                        .collect(),
                })
            }
        })
    }
}

/// A name as one word of a line, whatever signs a program knows that end a word or a command: all but letters, digits
/// and `-._@+` is spelt by numbers, as in addresses, and so is a `-` at the beginning, which would make it an option.
fn spelt(name: &str) -> String {
    let plain = |at, byte: u8| {
        byte.is_ascii_alphanumeric() || b"._@+".contains(&byte) || at > 0 && byte == b'-'
    };
    let mut word = String::with_capacity(name.len());
    for (at, byte) in name.bytes().enumerate() {
        match plain(at, byte) {
            true => word.push(char::from(byte)),
            false => word.push_str(&format!("%{byte:02X}")),
        }
    }
    word
}

/// Where a request goes.
fn address<'s>(url: &'s Template, scene: &'s Scene<'s>, context: &Context<'s>) -> String {
    url.fill(|name| {
        let value = scene.value(name, context)?;
        // What the administrator has written is a part of the address already.
        Some(match scene.values.get(name) {
            Some(_) => value,
            None => percent(&value),
        })
    })
}

/// As a part of an address or of a form: all but letters, digits and `-._~` is spelt by numbers.
fn percent(text: &str) -> String {
    let mut spelt = String::with_capacity(text.len());
    for byte in text.bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => {
                spelt.push(char::from(byte))
            }
            _ => spelt.push_str(&format!("%{byte:02X}")),
        }
    }
    spelt
}
