//! What does a body of JSON say?
//!
//! It is written as a value of TOML, and each text in it is filled in by itself: whatever a value holds, it stays inside
//! of its quotes. An element of a list is repeated for what it names.

use std::collections::BTreeSet;

use super::super::scene::{Context, Scene};
use super::super::template::Template;
use super::super::vocabulary::{Axis, Place, Vocabulary};
use super::StepError;

/// A value with placeholders.
#[derive(Clone, Debug, PartialEq)]
pub enum Json {
    /// A text.
    Text(Template),
    /// A number, by the placeholder that stands for it.
    Number(Template),
    /// A number, `true` or `false`.
    Plain(serde_json::Value),
    /// A list; each element is repeated for what it names.
    List(Vec<(Json, BTreeSet<Axis>)>),
    /// An object, in the order of its keys.
    Table(Vec<(String, Json)>),
}

// Numbers of TOML are what their file says; two of the same text are the same.
impl Eq for Json {}

impl Json {
    /// Checks a value, and answers for what the whole is repeated.
    ///
    /// # Errors
    /// A text that cannot be used, or a date.
    pub fn new(
        value: &toml::Value,
        vocabulary: &Vocabulary,
    ) -> Result<(Json, BTreeSet<Axis>), StepError> {
        let mut axes = BTreeSet::new();
        let json = match value {
            toml::Value::String(text) => {
                let template = Template::new(text);
                axes = vocabulary.check(&template, Place::Body)?;
                match template.only_name() {
                    Some(name) if vocabulary.is_number(name) => Json::Number(template),
                    _ => Json::Text(template),
                }
            }
            toml::Value::Integer(number) => Json::Plain((*number).into()),
            toml::Value::Float(number) => Json::Plain((*number).into()),
            toml::Value::Boolean(flag) => Json::Plain((*flag).into()),
            toml::Value::Datetime(_) => return Err(StepError::Json),
            toml::Value::Array(items) => {
                let items = items.iter().map(|item| Json::new(item, vocabulary));
                Json::List(items.collect::<Result<_, _>>()?)
            }
            toml::Value::Table(table) => {
                let mut entries = Vec::new();
                for (key, value) in table {
                    let (json, named) = Json::new(value, vocabulary)?;
                    axes.extend(named);
                    entries.push((key.clone(), json));
                }
                Json::Table(entries)
            }
        };
        Ok((json, axes))
    }

    /// The value in a context.
    pub fn fill<'s>(&'s self, scene: &'s Scene<'s>, context: &Context<'s>) -> serde_json::Value {
        match self {
            Json::Text(template) => scene.fill(template, context).into(),
            Json::Number(template) => {
                let text = scene.fill(template, context);
                // What stands for a ban without end may be a word.
                text.parse::<u64>().map_or_else(|_| text.into(), Into::into)
            }
            Json::Plain(value) => value.clone(),
            Json::List(items) => {
                let items = items.iter().flat_map(|(item, axes)| {
                    let contexts = scene.contexts(axes, context).into_iter();
                    contexts.map(move |context| item.fill(scene, &context))
                });
                items.collect()
            }
            Json::Table(entries) => {
                let entries = entries
                    .iter()
                    .map(|(key, value)| (key.clone(), value.fill(scene, context)));
                serde_json::Value::Object(entries.collect())
            }
        }
    }

    /// Whether a part of it is repeated for this.
    pub fn names(&self, axis: &Axis) -> bool {
        match self {
            Json::Text(_) | Json::Number(_) | Json::Plain(_) => false,
            Json::List(items) => items
                .iter()
                .any(|(item, axes)| axes.contains(axis) || item.names(axis)),
            Json::Table(entries) => entries.iter().any(|(_, value)| value.names(axis)),
        }
    }

    /// Whether it says anything by this placeholder.
    pub fn says(&self, name: &str) -> bool {
        match self {
            Json::Text(template) | Json::Number(template) => {
                template.names().any(|own| own == name)
            }
            Json::Plain(_) => false,
            Json::List(items) => items.iter().any(|(item, _)| item.says(name)),
            Json::Table(entries) => entries.iter().any(|(_, value)| value.says(name)),
        }
    }
}
