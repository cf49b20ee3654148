//! How does what is known of a ban come into a command without becoming a command?
//!
//! A command has `<tags>`. What stands for one is put in its place only if it is made of letters, digits and a few signs that
//! mean nothing to a shell, and begins with no `-`; anything else is handed over in a variable of the environment, and only
//! its name is put there. What was put in is not looked at again. Pure: nothing is run here.

use std::fmt;

use serde::Deserialize;

/// How much of a value is handed over, in bytes: the kernel takes no variable of more than 128 KiB.
const LONGEST_VALUE: usize = 96 * 1024;

/// How names of variables begin: as Fail2ban's do, for commands that name them.
const VARIABLE: &str = "f2bV_";

/// What stands for a tag.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Value {
    /// What we have made.
    Own(String),
    /// One word or some, of an attacker's choice. A `-` that begins a word becomes a `_`: unquoted, as some commands have it,
    /// it would be an option of the program.
    Word(String),
    /// Lines of a log.
    Lines(String),
    /// White space, which is there for itself.
    Blank(&'static str),
    /// A part of the command that the administrator keeps elsewhere.
    Command(String),
}

/// Knows what tags stand for.
pub trait Values {
    /// What stands for a tag; nothing if it is none.
    fn value(&self, tag: &str) -> Option<Value>;
}

/// A command for a shell, with tags. It is not shown: parameters that are in it may be secret.
#[derive(Clone, PartialEq, Eq, Deserialize)]
#[serde(transparent)]
pub struct Script(String);

impl Script {
    /// This command.
    pub fn new(text: impl Into<String>) -> Script {
        Script(text.into())
    }

    /// The command as it is written, which may not be shown.
    pub fn text(&self) -> &str {
        &self.0
    }

    /// The same with a tag wherever it says `secret`.
    #[must_use]
    pub fn with_tag(&self, tag: &str, secret: &str) -> Script {
        let pieces = pieces(&self.0).map(|piece| match piece {
            Piece::Text(text) => text.replace(secret, &format!("<{tag}>")),
            Piece::Tag(tag) => format!("<{tag}>"),
        });
        Script(pieces.collect())
    }

    /// Whether there is nothing in it to run.
    pub fn says_nothing(&self) -> bool {
        let mut lines = self.0.lines().map(str::trim);
        lines.all(|line| line.is_empty() || line.starts_with('#'))
    }

    /// Its tags, in their order.
    pub fn tags(&self) -> impl Iterator<Item = &str> {
        pieces(&self.0).filter_map(|piece| match piece {
            Piece::Tag(tag) => Some(tag),
            Piece::Text(_) => None,
        })
    }

    /// The command with what stands for its tags; one for which nothing does stays.
    pub fn fill(&self, values: &impl Values) -> Filled {
        let mut filled = Filled::default();
        for piece in pieces(&self.0) {
            match piece {
                Piece::Text(text) => filled.text.push_str(text),
                Piece::Tag(tag) => match values.value(tag) {
                    Some(value) => filled.put(tag, value),
                    None => {
                        filled.text.push('<');
                        filled.text.push_str(tag);
                        filled.text.push('>');
                    }
                },
            }
        }
        filled
    }
}

impl fmt::Debug for Script {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Script(…)")
    }
}

/// A command that can be run.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Filled {
    /// Its text.
    pub text: String,
    /// The variables that it names, with their values.
    pub variables: Vec<(String, String)>,
}

impl Filled {
    fn put(&mut self, tag: &str, value: Value) {
        let value = match value {
            Value::Blank(blank) => return self.text.push_str(blank),
            Value::Command(part) => return self.text.push_str(&part),
            Value::Own(text) | Value::Lines(text) => text,
            Value::Word(text) => without_options(&text),
        };
        if is_plain(&value) {
            return self.text.push_str(&value);
        }
        let name = variable(tag);
        self.text.push_str("${");
        self.text.push_str(&name);
        self.text.push('}');
        if !self.variables.iter().any(|(known, _)| *known == name) {
            // The kernel takes none with a NUL.
            let value = value.replace('\0', "");
            let ends = value.char_indices().map(|(at, c)| at + c.len_utf8());
            let end = ends.take_while(|end| *end <= LONGEST_VALUE).last();
            let value = value[..end.unwrap_or_default()].to_owned();
            self.variables.push((name, value));
        }
    }
}

/// Whether a shell reads it as what it is, and no program as an option.
fn is_plain(value: &str) -> bool {
    let plain = |c: char| c.is_ascii_alphanumeric() || "_-.,:/@%+".contains(c);
    value.chars().all(plain) && !value.starts_with('-')
}

/// The name of the variable that holds what stands for a tag.
fn variable(tag: &str) -> String {
    let tag = match tag.strip_prefix("F-") {
        Some(capture) => format!("F_{}", capture.to_lowercase()),
        None => tag.to_owned(),
    };
    let is_letter = |c: char| c.is_ascii_alphanumeric() || c == '_';
    let name = tag.replace(|c: char| !is_letter(c), "_");
    format!("{VARIABLE}{name}")
}

/// The text with `_` for each `-` that begins a word.
fn without_options(text: &str) -> String {
    let mut begins = true;
    text.chars()
        .map(|c| {
            let sign = if begins && c == '-' { '_' } else { c };
            begins = c.is_whitespace() || c.is_control();
            sign
        })
        .collect()
}

enum Piece<'t> {
    Text(&'t str),
    Tag(&'t str),
}

/// A text, cut at its tags: what stands between `<` and `>`, without blanks.
fn pieces(text: &str) -> impl Iterator<Item = Piece<'_>> {
    let mut rest = text;
    std::iter::from_fn(move || {
        if rest.is_empty() {
            return None;
        }
        let tag = rest.strip_prefix('<').and_then(|rest| rest.split_once('>'));
        let is_tag =
            |tag: &str| !tag.is_empty() && !tag.contains(|c: char| c == '<' || c.is_whitespace());
        if let Some((tag, after)) = tag.filter(|(tag, _)| is_tag(tag)) {
            rest = after;
            return Some(Piece::Tag(tag));
        }
        let next = rest.char_indices().skip(1).find(|(_, c)| *c == '<');
        let (piece, after) = rest.split_at(next.map_or(rest.len(), |(at, _)| at));
        rest = after;
        Some(Piece::Text(piece))
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    struct Of(Value);

    impl Values for Of {
        fn value(&self, tag: &str) -> Option<Value> {
            (tag == "x" || tag == "F-X.Y").then(|| self.0.clone())
        }
    }

    fn filled(script: &str, value: Value) -> (String, Vec<String>) {
        let filled = Script::new(script).fill(&Of(value));
        let values = filled.variables.into_iter().map(|(_, value)| value);
        (filled.text, values.collect())
    }

    #[test]
    fn plain_words_are_put_in_and_others_handed_over() {
        let own = |text: &str| Value::Own(text.to_owned());
        let is = |text: &str, values: &[&str]| {
            let values = values.iter().map(|value| (*value).to_owned());
            (text.to_owned(), values.collect::<Vec<_>>())
        };
        assert_eq!(
            filled("a <x>-<x> <y> <", own("192.0.2.7")),
            is("a 192.0.2.7-192.0.2.7 <y> <", &[])
        );
        assert_eq!(
            filled("a <x> <x>b", own("$(id)")).0,
            "a ${f2bV_x} ${f2bV_x}b"
        );
        assert_eq!(filled("a <x>", own("-f")), is("a ${f2bV_x}", &["-f"]));
        assert_eq!(
            filled("<F-X.Y>", Value::Word("-a -b c-d".to_owned())),
            is("${f2bV_F_x_y}", &["_a _b c-d"])
        );
        assert_eq!(filled("<x>", own("<x>")), is("${f2bV_x}", &["<x>"]));
        assert_eq!(filled("a<x>b", Value::Blank("\n")), is("a\nb", &[]));
        assert_eq!(filled("a < x> <<x>>", own("1")), is("a < x> <1>", &[]));
        assert_eq!(filled("<x>", own("a\0b c")).1, ["ab c"]);
    }

    #[test]
    fn comments_say_nothing() {
        for (text, says_nothing) in [("", true), (" \n # x\n", true), ("# x\ny", false)] {
            assert_eq!(Script::new(text).says_nothing(), says_nothing, "{text}");
        }
    }

    #[test]
    fn commands_are_not_shown() {
        assert_eq!(format!("{:?}", Script::new("curl -u secret")), "Script(…)");
    }

    proptest! {
        #[test]
        fn no_value_is_read_by_the_shell(text in "[ -~\\n]{0,40}|(?s).{0,40}") {
            for value in [Value::Own(text.clone()), Value::Word(text.clone()), Value::Lines(text.clone())] {
                let (filled, values) = filled("<x>", value);
                if values.is_empty() {
                    let is_safe = |c: char| c.is_ascii_alphanumeric() || "_-.,:/@%+".contains(c);
                    prop_assert!(filled.chars().all(is_safe) && !filled.starts_with('-'));
                } else {
                    prop_assert_eq!(filled, "${f2bV_x}");
                }
            }
        }

        #[test]
        fn no_script_is_too_odd(text in "(?s)(<|>|x|F-| |.){0,40}") {
            let script = Script::new(text.clone());
            let back = script.fill(&Nothing);
            prop_assert_eq!(back.text, text);
        }
    }

    struct Nothing;

    impl Values for Nothing {
        fn value(&self, _tag: &str) -> Option<Value> {
            None
        }
    }
}
