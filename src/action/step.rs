//! What does a step of a data file come to?
//!
//! In: a step as it is written, checked once against the vocabulary, and a scene. Out: [`Task`]s. Pure: nothing is run or
//! sent here.

mod json;

use std::collections::{BTreeMap, BTreeSet};

use serde::Deserialize;

use self::json::Json;
use super::event::Event;
use super::http::Method;
use super::job::{Job, Part, Post, Run, Send, Write};
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
    method: Option<Method>,
    url: Option<String>,
    headers: BTreeMap<String, String>,
    json: Option<toml::Value>,
    form: BTreeMap<String, String>,
    text: Option<String>,
    answers: Vec<u16>,
    to: Option<String>,
    from: Option<String>,
    subject: Option<String>,
    body: Option<String>,
    part: Vec<PartForm>,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct PartForm {
    content_type: String,
    name: String,
    text: String,
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
    #[error("`{0}` cannot be the name of a header")]
    Header(String),
    /// It has more than one body.
    #[error("a request has one of `json`, `form` and `text`")]
    Bodies,
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
    what: What,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum What {
    Run {
        argv: Vec<Template>,
        unless: Vec<Template>,
        input: Lines,
        exits: Vec<i32>,
    },
    Send {
        method: Method,
        url: Template,
        headers: Vec<(String, Template)>,
        body: Body,
        answers: Vec<u16>,
    },
    Post {
        to: Template,
        from: Template,
        subject: Template,
        body: Lines,
        parts: Vec<(String, String, Lines)>,
    },
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Body {
    None,
    Json(Json),
    Form(Vec<(String, Template)>),
    Text(Lines),
}

/// Lines, each of them repeated for what it names.
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
            what: What::Run {
                argv,
                unless,
                input: Lines::new(input, Place::Input, vocabulary)?,
                exits: match self.exits.is_empty() {
                    true => vec![SUCCESS],
                    false => self.exits.clone(),
                },
            },
        })
    }

    fn check_send(&self, url: &str, vocabulary: &Vocabulary) -> Result<Step, StepError> {
        self.refuse_of_programs()?;
        self.refuse_of_letters()?;
        let url = Template::new(url);
        let mut axes = vocabulary.check(&url, Place::Url)?;
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
            what: What::Send {
                method: self.method.unwrap_or(Method::Post),
                url,
                headers,
                body,
                answers: self.answers.clone(),
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
            let text = Lines::new(&part.text, Place::Body, vocabulary)?;
            parts.push((part.content_type.clone(), part.name.clone(), text));
        }
        Ok(Step {
            axes,
            what: What::Post {
                to,
                from,
                subject,
                body: Lines::new(body, Place::Body, vocabulary)?,
                parts,
            },
        })
    }

    fn refuse_of_programs(&self) -> Result<(), StepError> {
        refuse("unless", !self.unless.is_empty())?;
        refuse("input", self.input.is_some())?;
        refuse("exits", !self.exits.is_empty())
    }

    fn refuse_of_requests(&self) -> Result<(), StepError> {
        refuse("method", self.method.is_some())?;
        refuse("headers", !self.headers.is_empty())?;
        refuse("json", self.json.is_some())?;
        refuse("form", !self.form.is_empty())?;
        refuse("text", self.text.is_some())?;
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
        for (line, axes) in &self.0 {
            for context in scene.contexts(axes, within) {
                text.push_str(&scene.fill(line, &context));
                text.push('\n');
            }
        }
        text
    }

    /// Whether a line is repeated for this.
    fn names(&self, axis: &Axis) -> bool {
        self.0.iter().any(|(_, axes)| axes.contains(axis))
    }
}

impl Step {
    /// Whether it or a part of it is repeated for this.
    pub fn names(&self, axis: &Axis) -> bool {
        self.axes.contains(axis)
            || match &self.what {
                What::Run { input, .. } => input.names(axis),
                What::Send { body, .. } => match body {
                    Body::Json(json) => json.names(axis),
                    Body::Text(lines) => lines.names(axis),
                    Body::None | Body::Form(_) => false,
                },
                What::Post { body, parts, .. } => {
                    body.names(axis) || parts.iter().any(|(_, _, text)| text.names(axis))
                }
            }
    }

    /// Whether it says anything by this placeholder.
    pub fn says(&self, name: &str) -> bool {
        let is_it = |template: &Template| template.names().any(|own| own == name);
        let in_lines = |lines: &Lines| lines.0.iter().any(|(line, _)| is_it(line));
        match &self.what {
            What::Run { argv, input, .. } => argv.iter().any(is_it) || in_lines(input),
            What::Send {
                url, headers, body, ..
            } => {
                is_it(url)
                    || headers.iter().any(|(_, value)| is_it(value))
                    || match body {
                        Body::None => false,
                        Body::Json(json) => json.says(name),
                        Body::Form(fields) => fields.iter().any(|(_, value)| is_it(value)),
                        Body::Text(lines) => in_lines(lines),
                    }
            }
            What::Post {
                subject,
                body,
                parts,
                ..
            } => {
                is_it(subject) || in_lines(body) || parts.iter().any(|(_, _, text)| in_lines(text))
            }
        }
    }

    /// Whether it asks first if there is anything to do.
    pub fn asks(&self) -> bool {
        matches!(&self.what, What::Run { unless, .. } if !unless.is_empty())
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

    /// Whether it does something to an address: it runs a program with one, or asks for the page of one.
    fn is_done_to_an_address(&self) -> bool {
        let is_one = |template: &Template| {
            let mut names = template.names();
            names.any(|name| name == "address" || name == "first")
        };
        match &self.what {
            What::Run { argv, .. } => argv.iter().any(is_one),
            What::Send { url, .. } => is_one(url),
            What::Post { .. } => false,
        }
    }

    /// What it comes to. Nothing is done to the address of an event that has none: what is left of a command without it
    /// could mean everybody.
    pub fn tasks<'s>(&'s self, scene: &'s Scene<'s>) -> Vec<Task> {
        let contexts = scene.contexts(&self.axes, &Context::default());
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
            let words = templates.iter().map(|word| scene.fill(word, context));
            // A parameter that is set to nothing is no argument.
            words.filter(|word| !word.is_empty()).collect()
        };
        Some(match &self.what {
            What::Run {
                argv,
                unless,
                input,
                exits,
            } => {
                let text = input.fill(scene, context);
                if scene.only_banned && text.is_empty() && input.names(&Axis::Member) {
                    return None;
                }
                Job::Run(Run {
                    argv: words(argv),
                    unless: words(unless),
                    input: text,
                    accepts: exits.clone(),
                })
            }
            What::Send {
                method,
                url,
                headers,
                body,
                answers,
            } => {
                let mut headers: Vec<_> = headers
                    .iter()
                    .map(|(name, value)| (name.clone(), scene.fill(value, context)))
                    .collect();
                let (kind, body) = match body {
                    Body::None => (None, String::new()),
                    Body::Json(json) => (
                        Some("application/json"),
                        json.fill(scene, context).to_string(),
                    ),
                    Body::Form(fields) => {
                        let fields = fields.iter().map(|(name, value)| {
                            let value = scene.fill(value, context);
                            format!("{}={}", percent(name), percent(&value))
                        });
                        let fields: Vec<_> = fields.collect();
                        (Some("application/x-www-form-urlencoded"), fields.join("&"))
                    }
                    Body::Text(lines) => (
                        Some("text/plain; charset=utf-8"),
                        lines.fill(scene, context),
                    ),
                };
                let is_said = headers
                    .iter()
                    .any(|(name, _)| name.eq_ignore_ascii_case("content-type"));
                if let Some(kind) = kind.filter(|_| !is_said) {
                    headers.push(("Content-Type".to_owned(), kind.to_owned()));
                }
                let url = url.fill(|name| {
                    let value = scene.value(name, context)?;
                    // What the administrator has written is a part of the address already.
                    Some(match scene.values.get(name) {
                        Some(_) => value,
                        None => percent(&value),
                    })
                });
                Job::Send(Send {
                    method: *method,
                    url,
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
                        .map(|(content_type, name, text)| Part {
                            content_type: content_type.clone(),
                            name: name.clone(),
                            text: text.fill(scene, context),
                        })
                        .collect(),
                })
            }
        })
    }
}

/// What a file is to hold.
pub fn write<'s>(path: &str, content: &'s Lines, scene: &'s Scene<'s>) -> Job {
    Job::Write(Write {
        path: path.to_owned(),
        content: content.fill(scene, &Context::default()),
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
