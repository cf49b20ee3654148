//! Which entries of a journal does a filter want?
//!
//! A [`JournalMatch`] is a list of alternatives, each a list of `FIELD=value` terms: every field named must
//! hold, with any of the values given for it, as `journalctl` reads the same words.
//! The journal source gives each distinct match a [`RouteId`], asks the journal for the union, and notes on
//! every record which of them it satisfies; the engine hands a record only to the filters of its
//! routes. The values are the journal's own fields, which a logging program cannot forge where
//! their name begins with an underscore.

use std::fmt;
use std::str::FromStr;

/// The number of one journal match among those of all jails.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RouteId(pub u16);

/// `FIELD=value`.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Term {
    /// Upper-case letters, digits and underscores.
    pub field: Box<str>,
    /// Compared byte by byte.
    pub value: Box<str>,
}

/// Alternatives, each a list of terms; those of one field are alternatives too, as to `journalctl`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct JournalMatch {
    /// Never empty, and no alternative is empty, unless the match is [`JournalMatch::default`], which wants nothing.
    pub alternatives: Vec<Vec<Term>>,
}

/// The text is no journal match.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "`{0}` is not a journal match: write FIELD=value terms, such as _SYSTEMD_UNIT=ssh.service; `+` separates alternatives"
)]
pub struct JournalMatchError(String);

impl JournalMatch {
    /// Entries that satisfy `self` or `other`.
    #[must_use]
    pub fn or(mut self, other: JournalMatch) -> Self {
        for alternative in other.alternatives {
            if !self.alternatives.contains(&alternative) {
                self.alternatives.push(alternative);
            }
        }
        self
    }

    /// Entries that satisfy `self` and `other`.
    #[must_use]
    pub fn and(&self, other: &JournalMatch) -> Self {
        let mut alternatives: Vec<Vec<Term>> = Vec::new();
        for own in self
            .alternatives
            .iter()
            .flat_map(|terms| single_valued(terms))
        {
            for others in other
                .alternatives
                .iter()
                .flat_map(|terms| single_valued(terms))
            {
                let contradicts = |term: &Term| {
                    let same_field = own.iter().find(|own| own.field == term.field);
                    same_field.is_some_and(|own| own.value != term.value)
                };
                if others.iter().any(contradicts) {
                    continue;
                }
                let mut both = own.clone();
                both.extend(others.into_iter().filter(|term| !own.contains(term)));
                if !alternatives.contains(&both) {
                    alternatives.push(both);
                }
            }
        }
        JournalMatch { alternatives }
    }

    /// Entries of a program, by the name under which it logs.
    pub fn program(name: &str) -> Self {
        let term = Term {
            field: "SYSLOG_IDENTIFIER".into(),
            value: name.into(),
        };
        JournalMatch {
            alternatives: vec![vec![term]],
        }
    }

    /// Whether an entry satisfies the match; `has` tells whether the entry holds a field with that value.
    pub fn accepts(&self, has: impl Fn(&Term) -> bool) -> bool {
        let holds = |terms: &Vec<Term>, field: &str| {
            let mut values = terms.iter().filter(|term| &*term.field == field);
            values.any(&has)
        };
        self.alternatives
            .iter()
            .any(|terms| terms.iter().all(|term| holds(terms, &term.field)))
    }
}

/// The same terms as alternatives in which each field stands once: several values of one field are alternatives.
fn single_valued(terms: &[Term]) -> Vec<Vec<Term>> {
    let mut alternatives: Vec<Vec<Term>> = vec![Vec::new()];
    let mut done: Vec<&str> = Vec::new();
    for term in terms {
        if done.contains(&&*term.field) {
            continue;
        }
        done.push(&term.field);
        let values = || terms.iter().filter(|other| other.field == term.field);
        let with = |before: &Vec<Term>| {
            values()
                .map(|value| [before.as_slice(), std::slice::from_ref(value)].concat())
                .collect::<Vec<_>>()
        };
        alternatives = alternatives.iter().flat_map(with).collect();
    }
    alternatives
}

impl FromStr for JournalMatch {
    type Err = JournalMatchError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let wrong = || JournalMatchError(text.to_owned());
        let mut alternatives = vec![Vec::new()];
        for word in text.split_ascii_whitespace() {
            if word == "+" {
                alternatives.push(Vec::new());
                continue;
            }
            let (field, value) = word.split_once('=').ok_or_else(wrong)?;
            let plain = |c: char| c.is_ascii_uppercase() || c.is_ascii_digit() || c == '_';
            if field.is_empty() || !field.chars().all(plain) {
                return Err(wrong());
            }
            if let Some(terms) = alternatives.last_mut() {
                terms.push(Term {
                    field: field.into(),
                    value: value.into(),
                });
            }
        }
        if alternatives.iter().any(Vec::is_empty) {
            return Err(wrong());
        }
        Ok(JournalMatch { alternatives })
    }
}

impl fmt::Display for JournalMatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, terms) in self.alternatives.iter().enumerate() {
            if at > 0 {
                f.write_str(" + ")?;
            }
            for (at, term) in terms.iter().enumerate() {
                let space = if at > 0 { " " } else { "" };
                write!(f, "{space}{}={}", term.field, term.value)?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn matches_are_alternatives_of_terms() {
        let wanted: JournalMatch = "_SYSTEMD_UNIT=ssh.service _UID=0 + _COMM=sshd"
            .parse()
            .expect("a match");
        assert_eq!(wanted.alternatives.len(), 2);
        assert_eq!(
            wanted.to_string(),
            "_SYSTEMD_UNIT=ssh.service _UID=0 + _COMM=sshd"
        );
        let entry = |held: &'static [(&str, &str)]| {
            move |term: &Term| held.contains(&(&*term.field, &*term.value))
        };
        assert!(wanted.accepts(entry(&[("_COMM", "sshd")])));
        assert!(!wanted.accepts(entry(&[("_SYSTEMD_UNIT", "ssh.service")])));
        let both = |a: &str, b: &str| {
            let [a, b] = [a, b].map(|text| text.parse::<JournalMatch>().expect("a match"));
            a.and(&b).to_string()
        };
        assert_eq!(both("A=1 + B=1", "C=1"), "A=1 C=1 + B=1 C=1");
        assert_eq!(both("A=1 A=2", "A=2 B=1"), "A=2 B=1");
        assert_eq!(both("A=1", "A=2"), "");
        assert!(!wanted.accepts(entry(&[])));
        assert!(!JournalMatch::default().accepts(entry(&[("_COMM", "sshd")])));
        for bad in ["", "+", "A=b +", "a=b", "novalue"] {
            assert!(bad.parse::<JournalMatch>().is_err(), "{bad}");
        }
    }
    #[test]
    fn values_of_one_field_are_alternatives() {
        let wanted: JournalMatch = "A=1 B=3 A=2".parse().expect("a match");
        let accepted = |held: &[(&str, &str)]| {
            wanted.accepts(|term| held.contains(&(&*term.field, &*term.value)))
        };
        assert!(accepted(&[("A", "1"), ("B", "3")]));
        assert!(accepted(&[("A", "2"), ("B", "3")]));
        assert!(accepted(&[("A", "1"), ("A", "2"), ("B", "3")]));
        assert!(!accepted(&[("A", "1"), ("A", "2")]));
        assert!(!accepted(&[("A", "3"), ("B", "3")]));
        assert!(!accepted(&[("B", "3")]));
    }
}
