//! Which entries of the journal does a jail want when somebody changes that?
//!
//! Alternatives, each of which is several terms; as in the files, a `+` stands between two of them.

use super::{Laid, OverlayError};
use crate::control::fail2ban::value::Value;

impl Laid<'_> {
    /// The matches: of each alternative its terms.
    fn matches(&self) -> Vec<Vec<String>> {
        let lines = self.lines("journalmatch");
        let lines = lines.iter().map(|line| shlex::split(line));
        lines
            .flat_map(|words| groups(&words.unwrap_or_default()))
            .collect()
    }

    fn say_matches(&mut self, matches: &[Vec<String>]) -> Result<(), OverlayError> {
        let key = "journalmatch";
        let lines = matches.iter().map(|terms| {
            let words = terms.iter().map(String::as_str);
            // What cannot be quoted has a zero in it, which no journal has.
            shlex::try_join(words).map_err(|_| OverlayError::Lines(key))
        });
        let lines: Vec<_> = lines.collect::<Result<_, _>>()?;
        self.say(key, &lines)
    }

    pub(super) fn add_match(&mut self, terms: &[String]) -> Result<bool, OverlayError> {
        self.needs_journal()?;
        let mut matches = self.matches();
        let before = matches.len();
        for terms in groups(terms) {
            if !matches.contains(&terms) {
                matches.push(terms);
            }
        }
        self.say_matches(&matches)?;
        Ok(matches.len() > before)
    }

    pub(super) fn remove_match(&mut self, terms: &[String]) -> Result<bool, OverlayError> {
        self.needs_journal()?;
        let mut matches = self.matches();
        for terms in groups(terms) {
            let at = matches.iter().position(|known| *known == terms);
            let unknown = || OverlayError::NoMatch(Value::texts(terms.clone()).to_string());
            matches.remove(at.ok_or_else(unknown)?);
        }
        self.say_matches(&matches)?;
        Ok(true)
    }
}

/// The alternatives between which there is a `+`.
fn groups(words: &[String]) -> Vec<Vec<String>> {
    let groups = words.split(|word| word == "+");
    groups
        .filter(|group| !group.is_empty())
        .map(<[_]>::to_vec)
        .collect()
}
