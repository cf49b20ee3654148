//! What if a setting were another?
//!
//! In: the words of `f2bd replay --set`. Out: the sections of the jails as they would be. They are then read, and
//! found wrong, as if somebody had written so.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use super::document::{self, Kind, Table, Value};
use super::jail::JailSettings;
use super::keys::{self, WHAT_IF};
use super::problem::{Place, Problem, Problems, Text, nearest};
use super::section::unknown;
use crate::engine::name::JailName;

/// `KEY=VALUE` for all jails, `JAIL.KEY=VALUE` for one.
#[derive(Clone, Debug)]
pub struct Change {
    text: Arc<Text>,
    /// All of them if none is named.
    jail: Option<JailName>,
    key: &'static str,
    value: Value,
}

/// The word is no change.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ChangeError {
    /// It does not say what is to be changed to what.
    #[error("write KEY=VALUE or JAIL.KEY=VALUE, such as maxretry=3")]
    Shape,
    /// No jail can be called so.
    #[error(transparent)]
    Jail(#[from] crate::engine::name::NameError),
    /// Jails have such a key, but what it changes cannot be told from old logs alone.
    #[error("`{0}` cannot be tried out: write it into a copy of the configuration; known are {known}", known = WHAT_IF.join(", "))]
    Fixed(&'static str),
    /// There is no such key.
    #[error("unknown key `{0}`; {remedy}", remedy = remedy(.0))]
    Key(String),
}

fn remedy(word: &str) -> String {
    match nearest(word, WHAT_IF.iter().copied()) {
        Some(near) => format!("did you mean `{near}`?"),
        None => format!("known are {}", WHAT_IF.join(", ")),
    }
}

impl Change {
    /// Whether it changes the same key of the same jails.
    pub fn is_of_same_key(&self, other: &Change) -> bool {
        (&self.jail, self.key) == (&other.jail, other.key)
    }
}

impl FromStr for Change {
    type Err = ChangeError;

    fn from_str(word: &str) -> Result<Self, ChangeError> {
        let (key, value) = word.split_once('=').ok_or(ChangeError::Shape)?;
        // The name of a jail may have dots, a key has none.
        let (jail, key) = match key.trim().rsplit_once('.') {
            Some((jail, key)) => (Some(jail.trim().parse()?), key.trim()),
            None => (None, key.trim()),
        };
        let Some(key) = WHAT_IF.iter().find(|known| **known == key) else {
            let mut others = keys::JAIL.iter().chain(keys::JAIL_ONLY);
            return Err(match others.find(|other| other.name == key) {
                Some(other) => ChangeError::Fixed(other.name),
                None => ChangeError::Key(key.to_owned()),
            });
        };
        Ok(Change {
            text: Arc::new(Text {
                path: format!("--set {word}").into(),
                content: word.to_owned(),
            }),
            jail,
            key,
            value: value_of(word, value.trim()),
        })
    }
}

/// The value as a configuration has it; what is none there is a text whose quotes the shell has taken or that had none.
fn value_of(word: &str, value: &str) -> Value {
    let text = Arc::new(Text {
        path: format!("--set {word}").into(),
        content: format!("value = {value}"),
    });
    let mut problems = Problems::default();
    let table = document::parse(&text, &mut problems);
    let kind = match table.entries() {
        [one] if problems.count() == 0 => one.value.kind.clone(),
        _ => Kind::Text(value.to_owned()),
    };
    Value {
        place: Place::whole(&text),
        kind,
    }
}

impl Change {
    /// The jail that is changed; all of them if there is none.
    pub fn jail(&self) -> Option<&JailName> {
        self.jail.as_ref()
    }

    /// Whether it is this change that is wrong.
    pub fn is_blamed_by(&self, problem: &Problem) -> bool {
        problem.file == self.text.path
    }
}

/// As it was written.
impl fmt::Display for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text.content)
    }
}

/// The sections of all jails with the changes; the last one of a key holds.
pub fn apply(changes: &[Change], jails: Option<&Table>) -> Option<Table> {
    let mut jails = jails?.clone();
    for change in changes {
        for (name, jail) in jails.tables_mut() {
            if change
                .jail
                .as_ref()
                .is_none_or(|only| only.as_str() == name)
            {
                jail.set(change.key, change.value.clone());
            }
        }
    }
    Some(jails)
}

/// Reports changes of jails that decide nothing.
pub fn check_jails(changes: &[Change], jails: &[JailSettings], problems: &mut Problems) {
    let enabled = jails.iter().filter(|jail| jail.enabled);
    let known = enabled.map(|jail| jail.name.as_str());
    for change in changes {
        let Some(jail) = &change.jail else { continue };
        if !known.clone().any(|known| known == jail.as_str()) {
            let place = Place::whole(&change.text);
            unknown(
                "jail",
                jail.as_str(),
                "among the enabled ones",
                known.clone(),
                &place,
                problems,
            );
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn kind(word: &str) -> Kind {
        word.parse::<Change>().expect(word).value.kind
    }

    #[test]
    fn a_value_needs_no_quotes() {
        assert!(matches!(kind("maxretry=3"), Kind::Integer(3)));
        for word in ["findtime=1h", "findtime = \"1h\"", "a.b.findtime='1h'"] {
            assert!(
                matches!(kind(word), Kind::Text(text) if text == "1h"),
                "{word}"
            );
        }
        assert!(matches!(kind("ignoreip=10.0.0.0/8"), Kind::Text(_)));
        assert!(matches!(kind("ignoreip=[\"::1\"]"), Kind::List(list) if list.len() == 1));
        let change: Change = "a.b.findtime=1h".parse().expect("a change");
        assert_eq!(change.jail().map(JailName::as_str), Some("a.b"));
    }

    #[test]
    fn a_word_that_is_none_is_told_why() {
        for (word, why) in [
            ("maxretry", "write KEY=VALUE"),
            ("maxrety=3", "did you mean `maxretry`?"),
            ("sshd.zebra=3", "known are maxretry, findtime"),
            ("filter=sshd", "`filter` cannot be tried out"),
            ("a b.maxretry=3", "cannot be a name"),
        ] {
            let error = word.parse::<Change>().expect_err(word).to_string();
            assert!(error.contains(why), "{word}: {error}");
        }
    }

    proptest! {
        #[test]
        fn no_word_is_too_odd(word in "(?s)(maxretry=|findtime=|ignoreip=)?.{0,60}") {
            let _ = word.parse::<Change>();
        }
    }
}
