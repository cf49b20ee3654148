//! What does a filter or an action say, for the jail that names it?
//!
//! Files of both kinds define their options in `[Definition]` and give their parameters usual values in `[Init]`. A parameter
//! in the jail's brackets goes before these, and an option of the jail before one of the definition.

use std::cell::RefCell;
use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use super::interpolation::InterpolationError;
use super::merged::{Merged, condition};
use super::options::{Options, Written};
use super::tags::{TagError, Tags};

/// The section with the options.
const DEFINITION: &str = "Definition";

/// The section with the parameters' usual values.
const INIT: &str = "Init";

/// Under this name a parameter's usual value is known even if the brackets say otherwise.
const KNOWN: &str = "known/";

/// A filter or an action on the way.
#[derive(Debug)]
pub struct Definition {
    files: Arc<Merged>,
    /// The parameters.
    init: Options,
    /// Those that the brackets say.
    bracketed: HashSet<String>,
    /// What goes before the definition, by small keys.
    given: Options,
    options: Options,
}

impl Definition {
    /// The definition of some files, with the parameters of brackets.
    pub fn new(files: Arc<Merged>, parameters: Options) -> Self {
        Definition {
            files,
            bracketed: parameters.iter().map(|(key, _)| key.to_owned()).collect(),
            init: parameters,
            given: Options::default(),
            options: Options::default(),
        }
    }

    /// Whether `[Definition]` itself says a key.
    pub fn defines(&self, key: &str) -> bool {
        let section = self.files.section(DEFINITION);
        section.is_some_and(|options| options.has(key))
    }

    /// The parameters.
    pub fn parameters(&self) -> &Options {
        &self.init
    }

    /// The parameters, to say more.
    pub fn parameters_mut(&mut self) -> &mut Options {
        &mut self.init
    }

    /// Reads the options of these names, unless the jail says them, or all there are.
    ///
    /// # Errors
    /// A value cannot be put together.
    pub fn read(
        &mut self,
        names: &[&str],
        jail: &Options,
        all: bool,
    ) -> Result<(), InterpolationError> {
        let mut given = jail.clone();
        given.lay(&self.init);
        self.options = Options::default();
        self.given = Options::default();
        for (key, value) in given.iter() {
            self.given.set(key.to_lowercase(), value.clone());
        }
        let files = Arc::clone(&self.files);
        for name in names.iter().filter(|name| !given.has(name)) {
            if let Some(value) = files.get(DEFINITION, name, &self.given)? {
                self.options.set(*name, value);
            }
        }
        let nothing = Options::default();
        let own = |section| files.section(section).into_iter().flat_map(Options::iter);
        for (key, _) in own(INIT) {
            let Some(value) = files.get(INIT, key, &nothing)? else {
                continue;
            };
            // What the brackets say of a parameter, they say for both families.
            let is_said = condition(key).is_some_and(|(plain, _)| self.bracketed.contains(plain));
            if !key.starts_with(KNOWN) {
                self.init.set(format!("{KNOWN}{key}"), value.clone());
            }
            if !self.init.has(key) && !is_said {
                self.init.set(key, value);
            }
        }
        if all {
            for (key, _) in own(DEFINITION) {
                if self.options.has(key) {
                    continue;
                }
                if let Some(value) = files.get(DEFINITION, key, &nothing)? {
                    self.options.set(key, value);
                }
            }
        }
        Ok(())
    }

    /// The options and the parameters, with all tags put in but those in `left`. Tags that have a value for one family alone
    /// stay, too: whoever knows the family puts them in.
    ///
    /// # Errors
    /// The tags cannot be put in.
    pub fn combined(&self, left: &[&str]) -> Result<Options, TagError> {
        let mut options = self.options.clone();
        options.lay(&self.init);
        let conditional = options.iter().filter_map(|(key, _)| condition(key));
        let left = conditional
            .map(|(plain, _)| plain)
            .chain(left.iter().copied());
        let asked = RefCell::new(HashMap::new());
        let elsewhere = |tag: &str| {
            if let Some(known) = asked.borrow().get(tag) {
                return Ok(Option::clone(known));
            }
            let value = self.elsewhere(tag)?.map(|value| value.text);
            asked.borrow_mut().insert(tag.to_owned(), value.clone());
            Ok(value)
        };
        let tags = Tags {
            left: left.collect(),
            condition: "",
            elsewhere: &elsewhere,
        };
        tags.put_in(&options)
    }

    /// The value of a tag that is neither an option nor a parameter: `section/key`, or any key of the definition.
    fn elsewhere(&self, tag: &str) -> Result<Option<Written>, InterpolationError> {
        let nothing = Options::default();
        let is_section = |c: char| c.is_alphanumeric() || matches!(c, '_' | '-');
        let named = tag.split_once('/').filter(|(section, key)| {
            let has_names = !section.is_empty() && !key.is_empty();
            has_names && section.chars().all(is_section) && !key.contains(char::is_whitespace)
        });
        if let Some((section, key)) = named {
            let sections = match section.to_lowercase().as_str() {
                "known" => vec!["KNOWN/Definition", DEFINITION],
                "default" => vec![super::ini::DEFAULT],
                _ => vec![section],
            };
            for section in sections {
                if let Some(value) = self.files.get(section, key, &nothing)? {
                    return Ok(Some(value));
                }
            }
        }
        self.files.get(DEFINITION, tag, &self.given)
    }
}
