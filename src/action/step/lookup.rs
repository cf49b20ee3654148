//! What is asked before a request whose address the answer completes?
//!
//! In: the question as it is written beside the request. Out: a [`Lookup`]. Pure: nothing is asked here.

use std::collections::{BTreeMap, BTreeSet};

use serde::Deserialize;

use super::super::found::{Finding, PLACEHOLDER};
use super::super::job::Lookup;
use super::super::scene::{Context, Scene};
use super::super::template::Template;
use super::super::vocabulary::{Axis, Place, Vocabulary, VocabularyError};
use super::StepError;

/// A question as it is written.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LookupForm {
    url: String,
    find: String,
    #[serde(default)]
    matching: BTreeMap<String, String>,
}

/// A question, checked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Question {
    url: Template,
    find: String,
    matching: Vec<(String, Template)>,
}

impl LookupForm {
    /// Checks a question of a request that goes to `url`, and answers for what it is repeated.
    ///
    /// # Errors
    /// A text that cannot be used, a place in the answer that is none, or a request that makes no use of the answer.
    pub fn check(
        &self,
        url: &str,
        vocabulary: &Vocabulary,
    ) -> Result<(Question, BTreeSet<Axis>), StepError> {
        let own = Template::new(PLACEHOLDER);
        if vocabulary.check(&own, Place::Url).is_ok() {
            let name = own.only_name().unwrap_or_default().to_owned();
            return Err(VocabularyError::Word(name).into());
        }
        let places = self.matching.keys().chain([&self.find]);
        if !url.contains(PLACEHOLDER) || places.into_iter().any(|place| !place.starts_with('/')) {
            return Err(StepError::Lookup);
        }
        let asked = Template::new(&self.url);
        let mut axes = vocabulary.check(&asked, Place::Url)?;
        let mut matching = Vec::new();
        for (place, text) in &self.matching {
            let text = Template::new(text);
            axes.extend(vocabulary.check(&text, Place::Argument)?);
            matching.push((place.clone(), text));
        }
        let question = Question {
            url: asked,
            find: self.find.clone(),
            matching,
        };
        Ok((question, axes))
    }
}

impl Question {
    /// The question in a context.
    pub fn fill<'s>(&'s self, scene: &'s Scene<'s>, context: &Context<'s>) -> Lookup {
        let matching = self.matching.iter();
        Lookup {
            url: super::address(&self.url, scene, context),
            finding: Finding {
                find: self.find.clone(),
                matching: matching
                    .map(|(place, text)| (place.clone(), scene.fill(text, context)))
                    .collect(),
            },
        }
    }

    /// Whether it says anything by this placeholder.
    pub fn says(&self, name: &str) -> bool {
        let texts = self.matching.iter().map(|(_, text)| text);
        let mut all = texts.chain([&self.url]).flat_map(Template::names);
        all.any(|own| own == name)
    }
}
