//! What can be set in `[action.NAME]`, and what is it set to?
//!
//! In: the declarations of a data file and what the configuration says. Out: [`Values`], each of the type that was
//! declared, or what is wrong. What the values are for is the business of the kinds.

use std::collections::BTreeMap;
use std::fmt;
use std::net::SocketAddr;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::secret::{Opened, Secret};
use super::template::{Template, is_name};
use crate::engine::time::parse_span;

/// Something that can be set in `[action.NAME]`.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Parameter {
    /// What its value may be.
    #[serde(default, rename = "type")]
    pub sort: Sort,
    /// What each word stands for that may be chosen; of a choice only.
    #[serde(default)]
    pub choices: BTreeMap<String, String>,
    /// Whether it takes a list of such values.
    #[serde(default)]
    pub list: bool,
    /// Its value if nothing is set; without one it has to be set.
    #[serde(default)]
    pub default: Option<Given>,
    /// What it means, in a sentence.
    pub about: String,
}

/// What a value may be.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Sort {
    /// Letters, digits, blanks and `_.,:/+@=-`, and no `-` at the beginning: it stays one word of a program, one of a rule.
    #[default]
    Word,
    /// Any text of one line; for bodies and such, never for an argument of a program.
    Text,
    /// A number from 0 on.
    Number,
    /// `true` or `false`.
    Flag,
    /// A time, such as `10m`.
    Time,
    /// One of `choices`.
    Choice,
    /// The path of a file.
    Path,
    /// A program: a path, or a name to be looked for in PATH.
    Program,
    /// `http://…` or `https://…`.
    Url,
    /// An address and a port.
    Socket,
    /// The mailbox of somebody.
    Mailbox,
    /// Where a secret is kept.
    Secret,
}

/// As it is written in a data file.
impl fmt::Display for Sort {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Sort::Word => "word",
            Sort::Text => "text",
            Sort::Number => "number",
            Sort::Flag => "flag",
            Sort::Time => "time",
            Sort::Choice => "choice",
            Sort::Path => "path",
            Sort::Program => "program",
            Sort::Url => "url",
            Sort::Socket => "socket",
            Sort::Mailbox => "mailbox",
            Sort::Secret => "secret",
        })
    }
}

/// What is written for a parameter.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Given {
    /// One value.
    One(String),
    /// Several.
    Many(Vec<String>),
    /// One that is for nobody else to read, and never written down.
    #[serde(skip)]
    Secret(Opened),
}

/// As it is written in a configuration.
impl fmt::Display for Given {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Given::One(text) => write!(f, "\"{text}\""),
            Given::Many(texts) => {
                let texts: Vec<_> = texts.iter().map(|text| format!("\"{text}\"")).collect();
                write!(f, "[{}]", texts.join(", "))
            }
            Given::Secret(_) => f.write_str("\"***\""),
        }
    }
}

/// A value, checked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Value {
    /// What stands for it in a template.
    Text(String),
    /// Several of these; whatever names them is repeated.
    List(Vec<String>),
    /// What only its reader knows.
    Secret(Secret),
}

/// A parameter that cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ParameterError {
    /// The action has no such parameter.
    #[error("the action has no parameter `{name}`; it has {}", known.join(", "))]
    Unknown {
        /// What was set.
        name: String,
        /// What can be set.
        known: Vec<String>,
    },
    /// An action of this kind needs the data file to have it.
    #[error("an action of kind {kind} needs the parameter `{name}`")]
    Missing {
        /// The kind.
        kind: &'static str,
        /// The parameter.
        name: &'static str,
    },
    /// It has no default and is not set.
    #[error("the action does not work without `{name}`: {}", about.trim_end_matches('.'))]
    Unset {
        /// The parameter.
        name: String,
        /// What it means.
        about: String,
    },
    /// The value is not allowed.
    #[error("`{value}` cannot be the value of `{name}`: use {wanted}")]
    Value {
        /// The parameter.
        name: String,
        /// Its value, or what is told of it.
        value: String,
        /// What would be allowed.
        wanted: String,
    },
}

/// Why a declaration is none.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DeclarationError {
    /// A name that cannot be written as a placeholder.
    #[error("`{0}` cannot name a parameter: use lower-case letters, digits and `_`")]
    Name(String),
    /// There are choices where nothing is chosen, or none where something is.
    #[error("the parameter `{0}` has `choices` without type = \"choice\", or the other way round")]
    Choices(String),
    /// Secrets come one by one.
    #[error("the parameter `{0}` is a list of secrets: declare one parameter for each")]
    Secrets(String),
    /// A default that is not allowed.
    #[error(transparent)]
    Default(#[from] ParameterError),
}

/// The parameters that a data file declares.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(transparent)]
pub struct Parameters(BTreeMap<String, Parameter>);

/// The values of all parameters that have one.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Values(BTreeMap<String, Value>);

impl Parameters {
    /// Those of the values that are not what holds without them, and that may be written down.
    pub fn others(&self, given: &BTreeMap<String, Given>) -> BTreeMap<String, Given> {
        let mut others = given.clone();
        others.retain(|name, value| {
            let parameter = self.0.get(name);
            let is_usual =
                parameter.is_some_and(|parameter| parameter.default.as_ref() == Some(value));
            !is_usual && !matches!(value, Given::Secret(_))
        });
        others
    }

    /// Checks the declarations.
    ///
    /// # Errors
    /// The first that is wrong.
    pub fn check(&self) -> Result<(), DeclarationError> {
        for (name, parameter) in &self.0 {
            if !is_name(name) {
                return Err(DeclarationError::Name(name.clone()));
            }
            if parameter.choices.is_empty() == (parameter.sort == Sort::Choice) {
                return Err(DeclarationError::Choices(name.clone()));
            }
            if parameter.list && parameter.sort == Sort::Secret {
                return Err(DeclarationError::Secrets(name.clone()));
            }
            if let Some(default) = &parameter.default {
                parameter.value(name, default)?;
            }
        }
        Ok(())
    }

    /// What the parameters come to, with those set that are `given`.
    ///
    /// # Errors
    /// The first that is wrong.
    pub fn values(&self, given: &BTreeMap<String, Given>) -> Result<Values, ParameterError> {
        if let Some(name) = given.keys().find(|name| !self.0.contains_key(*name)) {
            return Err(ParameterError::Unknown {
                name: name.clone(),
                known: self.0.keys().cloned().collect(),
            });
        }
        let mut values = BTreeMap::new();
        for (name, parameter) in &self.0 {
            let Some(set) = given.get(name).or(parameter.default.as_ref()) else {
                return Err(ParameterError::Unset {
                    name: name.clone(),
                    about: parameter.about.clone(),
                });
            };
            values.insert(name.clone(), parameter.value(name, set)?);
        }
        Ok(Values(values))
    }

    /// Declares one more, if the file has not done so.
    pub fn add(&mut self, name: &str, parameter: Parameter) {
        self.0.entry(name.to_owned()).or_insert(parameter);
    }

    /// The parameters with their names.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &Parameter)> {
        self.0
            .iter()
            .map(|(name, parameter)| (name.as_str(), parameter))
    }

    /// One of them.
    pub fn get(&self, name: &str) -> Option<&Parameter> {
        self.0.get(name)
    }
}

impl Parameter {
    fn value(&self, name: &str, given: &Given) -> Result<Value, ParameterError> {
        // Whatever the type: what is empty if nothing is said may be left empty.
        let empty = Given::One(String::new());
        if !self.list && *given == empty && self.default.as_ref() == Some(&empty) {
            return Ok(Value::Text(String::new()));
        }
        match (given, self.list) {
            (Given::One(text), false) if self.sort == Sort::Secret => match text.parse() {
                Ok(secret) => Ok(Value::Secret(secret)),
                Err(_) => Err(ParameterError::Value {
                    name: name.to_owned(),
                    // It may be the secret itself.
                    value: "***".to_owned(),
                    wanted: self.wanted(),
                }),
            },
            (Given::Secret(secret), false) if self.sort == Sort::Secret => {
                Ok(Value::Secret(Secret::Said(secret.clone())))
            }
            (Given::Secret(_), _) => Err(ParameterError::Value {
                name: name.to_owned(),
                value: "***".to_owned(),
                wanted: self.wanted(),
            }),
            (Given::One(text), false) => Ok(Value::Text(self.text(name, text)?)),
            (Given::One(text), true) => Ok(Value::List(vec![self.text(name, text)?])),
            // Whatever names it would be done for nobody, unless the file says that this is meant.
            (Given::Many(texts), true)
                if texts.is_empty() && self.default.as_ref() != Some(given) =>
            {
                Err(ParameterError::Value {
                    name: name.to_owned(),
                    value: "[]".to_owned(),
                    wanted: self.wanted(),
                })
            }
            (Given::Many(texts), true) => {
                let texts = texts.iter().map(|text| self.text(name, text));
                Ok(Value::List(texts.collect::<Result<_, _>>()?))
            }
            (Given::Many(_), false) => Err(ParameterError::Value {
                name: name.to_owned(),
                value: "[…]".to_owned(),
                wanted: self.wanted(),
            }),
        }
    }

    /// What stands for one value in a template.
    fn text(&self, name: &str, text: &str) -> Result<String, ParameterError> {
        let fits = match self.sort {
            Sort::Word => is_word(text),
            Sort::Text => !text.contains(char::is_control),
            Sort::Number => is_number(text),
            Sort::Flag => matches!(text, "true" | "false"),
            Sort::Time => parse_span(text).is_ok(),
            Sort::Choice => {
                if let Some(meaning) = self.choices.get(text) {
                    return Ok(meaning.clone());
                }
                false
            }
            Sort::Path => text.starts_with('/') && !text.contains(char::is_control),
            Sort::Program => {
                !text.is_empty() && !text.starts_with('-') && !text.contains(char::is_control)
            }
            Sort::Url => is_url(text),
            Sort::Socket => text.parse::<SocketAddr>().is_ok(),
            Sort::Mailbox => is_mailbox(text),
            Sort::Secret => false,
        };
        if fits {
            return Ok(text.to_owned());
        }
        Err(ParameterError::Value {
            name: name.to_owned(),
            value: text.to_owned(),
            wanted: self.wanted(),
        })
    }

    /// What may be written, in words.
    pub fn wanted(&self) -> String {
        let one = match self.sort {
            Sort::Word => "letters, digits, blanks and `_.,:/+@=-`, the first no `-`",
            Sort::Text => "a text of one line",
            Sort::Number => "a number from 0 on",
            Sort::Flag => "true or false",
            Sort::Time => "a time such as \"10m\"",
            Sort::Choice => {
                let words: Vec<_> = self
                    .choices
                    .keys()
                    .map(|word| format!("\"{word}\""))
                    .collect();
                return words.join(" or ");
            }
            Sort::Path => "a path that begins with `/`",
            Sort::Program => "the name or the path of a program",
            Sort::Url => "an address that begins with http:// or https://",
            Sort::Socket => "an address and a port such as \"127.0.0.1:8082\"",
            Sort::Mailbox => "the address of a mailbox",
            Sort::Secret => "\"file:/PATH\" or \"credential:NAME\", which say where it is kept",
        };
        match self.list {
            true => format!("a list: {one}"),
            false => one.to_owned(),
        }
    }
}

impl Values {
    /// One of them.
    pub fn get(&self, name: &str) -> Option<&Value> {
        self.0.get(name)
    }

    /// One of them, with its name.
    pub fn entry(&self, name: &str) -> Option<(&str, &Value)> {
        let (name, value) = self.0.get_key_value(name)?;
        Some((name, value))
    }

    /// A text of parameters alone, filled in; secrets stay where they are.
    pub fn fill(&self, template: &Template) -> String {
        template.fill(|name| match self.get(name)? {
            Value::Text(text) => Some(text.clone()),
            Value::List(texts) => Some(texts.join(" ")),
            Value::Secret(_) => None,
        })
    }

    /// All of them, with their names.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &Value)> {
        self.0.iter().map(|(name, value)| (name.as_str(), value))
    }

    /// The text of one that the kind needs.
    ///
    /// # Errors
    /// The data file does not declare it, or as something else.
    pub fn text(&self, kind: &'static str, name: &'static str) -> Result<&str, ParameterError> {
        match self.0.get(name) {
            Some(Value::Text(text)) => Ok(text),
            _ => Err(ParameterError::Missing { kind, name }),
        }
    }

    /// A time that the kind needs.
    ///
    /// # Errors
    /// The data file does not declare it, or as something else.
    pub fn time(&self, kind: &'static str, name: &'static str) -> Result<Duration, ParameterError> {
        let text = self.text(kind, name)?;
        parse_span(text).map_err(|_| ParameterError::Missing { kind, name })
    }
}

fn is_word(text: &str) -> bool {
    let fits = |c: char| c.is_ascii_alphanumeric() || " _.,:/+@=-".contains(c);
    !text.starts_with('-') && text.chars().all(fits)
}

fn is_number(text: &str) -> bool {
    text.bytes().all(|byte| byte.is_ascii_digit()) && text.parse::<u32>().is_ok()
}

fn is_url(text: &str) -> bool {
    let rest = ["http://", "https://"]
        .iter()
        .find_map(|begin| text.strip_prefix(begin));
    let fits = |c: char| c.is_ascii_graphic() && !"\"<>\\^`{}|".contains(c);
    rest.is_some_and(|rest| !rest.is_empty() && rest.chars().all(fits))
}

/// `name@domain`, or `name@<host>` for one of this machine.
fn is_mailbox(whole: &str) -> bool {
    let text = whole
        .strip_suffix("@<host>")
        .map(|name| format!("{name}@host"));
    let text = text.as_deref().unwrap_or(whole);
    let fits = |c: char| c.is_ascii_graphic() && !"()<>[]\\,;:\"".contains(c);
    text.split_once('@').is_some_and(|(name, place)| {
        !name.is_empty() && !name.starts_with('-') && !place.is_empty() && text.chars().all(fits)
    })
}
