//! What do several files of Fail2ban say together?
//!
//! Each further file is laid over what the ones before it have said, key by key. What a key said before is kept as a
//! "known" value, for `%(known/key)s`.

use std::collections::HashMap;

use super::ini::IniFile;
use super::options::{Options, Written};
use crate::config::problem::Place;

/// Under this name the earlier values of a section are kept.
const KNOWN: &str = "KNOWN/";

/// The sections of all files.
#[derive(Debug, Default)]
pub struct Merged {
    defaults: Options,
    sections: Vec<MergedSection>,
    at: HashMap<String, usize>,
}

#[derive(Debug)]
struct MergedSection {
    name: String,
    place: Place,
    options: Options,
}

impl Merged {
    /// Lays a file over what is there.
    pub fn lay(&mut self, file: &IniFile) {
        self.defaults.lay(&file.defaults);
        for section in &file.sections {
            let (name, condition) = condition(&section.name).unwrap_or((&section.name, ""));
            let mut upper = Options::default();
            for (key, value) in section.options.iter() {
                upper.set(format!("{key}{condition}"), value.clone());
            }
            if let Some(lower) = self.section(name) {
                let mut known = Options::default();
                for (key, value) in lower.iter().filter(|(key, _)| upper.has(key)) {
                    known.set(key, value.clone());
                }
                let known_as = format!("{KNOWN}{name}");
                self.section_mut(&known_as, &section.place).lay(&known);
            }
            self.section_mut(name, &section.place).lay(&upper);
        }
    }

    /// `[DEFAULT]`
    pub fn defaults(&self) -> &Options {
        &self.defaults
    }

    /// `[DEFAULT]`, to say more.
    pub fn defaults_mut(&mut self) -> &mut Options {
        &mut self.defaults
    }

    /// What a section says itself.
    pub fn section(&self, name: &str) -> Option<&Options> {
        self.at.get(name).map(|at| &self.sections[*at].options)
    }

    /// Where a section begins first.
    pub fn place(&self, name: &str) -> Option<&Place> {
        self.at.get(name).map(|at| &self.sections[*at].place)
    }

    /// What a section said before the last file that said otherwise.
    pub fn known(&self, name: &str) -> Option<&Options> {
        self.section(&format!("{KNOWN}{name}"))
    }

    /// A section, to say more; it is there from now on.
    pub fn section_mut(&mut self, name: &str, place: &Place) -> &mut Options {
        let end = self.sections.len();
        let at = *self.at.entry(name.to_owned()).or_insert(end);
        if at == end {
            self.sections.push(MergedSection {
                name: name.to_owned(),
                place: place.clone(),
                options: Options::default(),
            });
        }
        &mut self.sections[at].options
    }

    /// The sections in the order in which they were first said, and where.
    pub fn sections(&self) -> impl Iterator<Item = (&str, &Place)> {
        let sections = self.sections.iter();
        let sections = sections.filter(|section| !section.name.starts_with(KNOWN));
        sections.map(|section| (section.name.as_str(), &section.place))
    }

    /// The raw value that holds in a section.
    pub fn raw(&self, section: &str, key: &str) -> Option<&Written> {
        let own = self.section(section).and_then(|options| options.get(key));
        own.or_else(|| self.defaults.get(key))
    }
}

/// Parts a name such as `blocktype?family=inet6` before its condition.
pub fn condition(name: &str) -> Option<(&str, &str)> {
    let at = name.find('?')?;
    let (plain, condition) = name.split_at(at);
    let is_word = |c: char| c.is_alphanumeric() || c == '_';
    (!plain.is_empty() && plain.chars().all(is_word) && condition.len() > 1)
        .then_some((plain, condition))
}

/// Facts about merging.
#[cfg(test)]
pub mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::config::fail2ban::ini;
    use crate::config::problem::Text;

    /// What files say together, without those that have mistakes.
    pub fn merged(files: &[&str]) -> Merged {
        let mut merged = Merged::default();
        for content in files {
            let text = Arc::new(Text {
                path: "x".into(),
                content: (*content).to_owned(),
            });
            if let Ok(file) = ini::parse(&text) {
                merged.lay(&file);
            }
        }
        merged
    }

    #[test]
    fn a_later_file_wins_key_by_key_and_the_earlier_value_is_known() {
        let merged = merged(&[
            "[DEFAULT]\nd=1\n[a]\nx=1\ny=1",
            "[b]\n[DEFAULT]\nd=2\n[a]\nx=2",
        ]);
        let raw = |section, key| merged.raw(section, key).map(|value| value.text.as_str());
        assert_eq!(raw("a", "x"), Some("2"));
        assert_eq!(raw("a", "y"), Some("1"));
        assert_eq!(raw("b", "d"), Some("2"));
        let known = merged.known("a").expect("known values");
        assert_eq!(known.text("x"), Some("1"));
        assert!(!known.has("y"));
        let names: Vec<_> = merged.sections().map(|(name, _)| name).collect();
        assert_eq!(names, ["a", "b"]);
    }

    #[test]
    fn a_section_may_have_a_condition() {
        let merged = merged(&["[Init]\nx=1\n[Init?family=inet6]\nx=6\ny=7"]);
        let init = merged.section("Init").expect("the section");
        assert_eq!(init.text("x"), Some("1"));
        assert_eq!(init.text("x?family=inet6"), Some("6"));
        assert_eq!(condition("a b?c"), None);
        assert_eq!(condition("a?"), None);
    }
}
