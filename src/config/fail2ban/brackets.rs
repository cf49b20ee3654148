//! What does `name[key=value, …]` say?
//!
//! Filters, actions and backends are named so in jails. Here a list of them is parted, and each into its name and its
//! parameters, as Fail2ban does both: it parts first, and is then stricter about what it has parted.

use std::sync::LazyLock;

use regex::bytes::Regex;

use super::options::{is_space, strip};

/// A name and the parameters in the brackets behind it, in their order; of two alike the later one holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Named<'t> {
    /// The name.
    pub name: &'t str,
    /// Keys and values.
    pub parameters: Vec<(&'t str, &'t str)>,
}

/// Brackets that cannot be understood.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BracketError {
    /// They are not closed, or something follows them.
    #[error("`{0}` is neither a name nor name[key=value]")]
    Shape(String),
    /// What follows a value is no comma.
    #[error("`{rest}` cannot follow the value of `{key}`")]
    Behind {
        /// The key.
        key: String,
        /// What follows.
        rest: String,
    },
    /// There is no key and no value.
    #[error("`{0}` is not key=value")]
    NoKey(String),
}

/// So many characters of a mistake are shown.
const SHOWN: usize = 25;

/// Parts a name from its parameters.
///
/// # Errors
/// What Fail2ban could not understand either.
pub fn part(text: &str) -> Result<Named<'_>, BracketError> {
    let shown = |text: &str| text.chars().take(SHOWN).collect::<String>();
    let wrong = || BracketError::Shape(shown(text));
    let (name, inner) = match text.split_once('[') {
        None => (text, ""),
        Some((name, rest)) => {
            let inner = rest.trim_end_matches(is_space).strip_suffix(']');
            (name, inner.ok_or_else(wrong)?)
        }
    };
    if name.is_empty() {
        return Err(wrong());
    }
    let mut parameters: Vec<(&str, &str)> = Vec::new();
    let mut rest = inner;
    while !strip(rest.strip_prefix(',').unwrap_or(rest)).is_empty() {
        let (key, after) = key(rest).ok_or_else(|| BracketError::NoKey(shown(strip(rest))))?;
        let (value, after) = value(after);
        rest = separator(after).ok_or_else(|| BracketError::Behind {
            key: key.to_owned(),
            rest: shown(after),
        })?;
        let value = strip(value);
        match parameters.iter_mut().find(|(known, _)| *known == key) {
            Some((_, old)) => *old = value,
            None => parameters.push((key, value)),
        }
    }
    Ok(Named { name, parameters })
}

/// A key before its `=`, and what follows that. It may have a condition such as `?family=inet6`.
fn key(text: &str) -> Option<(&str, &str)> {
    let text = text.trim_start_matches(is_space);
    let is_plain = |c: char| c.is_alphanumeric() || matches!(c, '_' | '-' | '.');
    let plain = |text: &str| {
        Some(text.len() - text.trim_start_matches(is_plain).len()).filter(|length| *length > 0)
    };
    let mut end = plain(text)?;
    if let Some(condition) = text[end..].strip_prefix('?') {
        let name = plain(condition)?;
        let value = condition[name..].strip_prefix('=')?;
        end += name + plain(value)? + 2;
    }
    let (key, after) = text.split_at(end);
    Some((key, after.strip_prefix('=')?))
}

/// A value, in quotes if these are closed, and what follows it.
fn value(text: &str) -> (&str, &str) {
    for quote in ['"', '\''] {
        let quoted = text.strip_prefix(quote);
        if let Some(parted) = quoted.and_then(|text| text.split_once(quote)) {
            return parted;
        }
    }
    text.split_at(text.find([',', ']']).unwrap_or(text.len()))
}

/// What follows a comma, or the end of one pair of brackets and the beginning of the next.
fn separator(text: &str) -> Option<&str> {
    if matches!(text, "" | "\n") {
        return Some("");
    }
    let next = || {
        text.strip_prefix(']')?
            .trim_start_matches(is_space)
            .strip_prefix('[')
    };
    text.strip_prefix(',').or_else(next)
}

/// The entries of a list. They are parted at white space, but not at such in brackets that are well-formed.
pub fn list(text: &str) -> Vec<&str> {
    // Bytes beyond ASCII are letters here, never white space.
    static ENTRY: LazyLock<Option<Regex>> = LazyLock::new(|| {
        let key = r"[\w.\x80-\xff-]+(?:\?\w+=[\w.-]+)?";
        let value = r#"(?:"[^"]*"|'[^']*'|[^,\]]*)"#;
        let parameter = format!(r"{key}={value}\s*(?:,|\]\s*\[)?\s*");
        let brackets = format!(r"\[\s*(?:{parameter})*\]");
        let entry = format!(r"(?s-u)(?P<entry>[^\[\s]+(?:\s*{brackets})?\s*|\S+)(?:\s|\z)");
        Regex::new(&entry).ok()
    });
    let Some(entry) = ENTRY.as_ref() else {
        return Vec::new();
    };
    let (mut entries, mut at) = (Vec::new(), 0);
    while let Some(found) = entry
        .captures_at(text.as_bytes(), at)
        .and_then(|found| found.name("entry"))
    {
        at = found.end();
        entries.extend(text.get(found.range()).map(strip));
    }
    entries.retain(|entry| !entry.is_empty());
    entries
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn named(text: &str) -> Result<String, BracketError> {
        let Named { name, parameters } = part(text)?;
        let parameters = parameters.iter();
        let parameters: Vec<_> = parameters
            .map(|(key, value)| format!("{key}:{value}"))
            .collect();
        Ok(format!("{name}|{}", parameters.join("|")))
    }

    #[test]
    fn names_have_parameters() {
        for (text, parted) in [
            ("sshd", "sshd|"),
            ("sshd[]", "sshd|"),
            ("sshd[mode=a]", "sshd|mode:a"),
            ("a[x=1, y=\"2,]\" , z='3 \"']", ""),
            ("a[x=1, y=\"2,]\",z='3 \"']", "a|x:1|y:2,]|z:3 \""),
            ("a[x=1][y=2]\n [x=3]", "a|x:3|y:2"),
            ("a[x=]", "a|x:"),
            ("a[x=1,]", "a|x:1"),
            ("a[x= 1 2 ]", "a|x:1 2"),
            ("a[x?y=1]", ""),
            ("a[x?family=inet6=\"1 2\"]", "a|x?family=inet6:1 2"),
            ("a[x=\"1]", "a|x:\"1"),
            ("a[x=1", ""),
            ("[x=1]", ""),
            ("a[x=1]b", ""),
            ("a[x=\"1\" ]", ""),
            ("a[x=\"1\"\n]", "a|x:1"),
            ("a[x=1] [y=2]", "a|x:1|y:2"),
            ("a [x=1]", "a |x:1"),
        ] {
            match parted {
                "" => assert!(named(text).is_err(), "{text}"),
                _ => assert_eq!(named(text).as_deref(), Ok(parted), "{text}"),
            }
        }
    }

    #[test]
    fn lists_are_parted_outside_brackets() {
        assert_eq!(list("a b\n c"), ["a", "b", "c"]);
        assert_eq!(
            list("a[x=1, y=\"2 3\",\n z=4][w=5] b [x='6 7']\n\n c"),
            ["a[x=1, y=\"2 3\",\n z=4][w=5]", "b [x='6 7']", "c"]
        );
        assert_eq!(list("a[x=1 b]"), ["a[x=1 b]"]);
        assert_eq!(list("a[=1 b] c"), ["a[=1", "b]", "c"]);
        assert!(list(" \n").is_empty());
    }

    proptest! {
        #[test]
        fn nothing_is_too_odd(words in proptest::collection::vec("([a-zé.]|=|\\[|\\]|\"|'|,| |\\n)", 0..40)) {
            let text = words.concat();
            part(&text).ok();
            let parted: Vec<_> = list(&text).concat().chars().filter(|c| !is_space(*c)).collect();
            let whole: Vec<_> = text.chars().filter(|c| !is_space(*c)).collect();
            assert_eq!(parted, whole);
        }
    }
}
