//! What does the text of a pattern stand for?
//!
//! In: Rust `regex` syntax with placeholders. Out: the regular expression, its structure, or why it is none. Whether
//! it is sound is found in [`proof`](super::proof).

use std::sync::OnceLock;

use regex::bytes::{Regex, RegexBuilder};
use regex_syntax::hir::{Class, Hir, HirKind};

/// The most memory that one compiled program may take: ten times what the largest shipped pattern needs.
pub(super) const LARGEST_PROGRAM: usize = 4 << 20;

/// The placeholders and what they stand for. An address is only roughly described; the capture is parsed.
const PLACEHOLDERS: [(&str, &str); 11] = [
    (
        "ip",
        // A colon alone never ends one, so that it is left to `<ip>: text`.
        r"(?P<ip>(?:[0-9]{1,3}(?:\.[0-9]{1,3}){3}|[0-9A-Fa-f]{0,4}:(?:[0-9A-Fa-f:.]*(?:[0-9A-Fa-f]|::)|:))(?:%[0-9A-Za-z_.-]+)?)",
    ),
    ("host", r"(?P<host>[0-9A-Za-z:._%-]+)"),
    ("user", r"(?P<user>(?s:.*))"),
    ("target", r"(?P<target>(?s:.*))"),
    ("forwarded", r"(?P<forwarded>(?s:.*))"),
    ("word", r"(?:[^\s]+)"),
    ("port", r"(?:[0-9]{1,5})"),
    ("text", r"(?s:.*)"),
    // What stands between quotes, in which those of the text are written otherwise.
    ("path", r#"(?s:[^"\\]|\\.)*"#),
    ("agent", r#"(?s:[^"\\]|\\.)*"#),
    ("session", r"(?P<session>[^\s]+)"),
];

/// The structure of a placeholder, as it is where no flag changes it.
pub(super) fn placeholder(name: &str) -> Option<Hir> {
    let (_, regex) = PLACEHOLDERS.iter().find(|(known, _)| *known == name)?;
    parse(regex).ok()
}

/// The regular expression that `text` stands for.
pub(super) fn expand(text: &str) -> Result<String, String> {
    expand_with(text, |_, regex, source| source.push_str(regex))
}

/// What a placeholder takes that stands for text of a client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Free {
    /// <user>, <target>
    Name,
    /// <path>, <agent>
    Quoted,
    /// <text>, <forwarded>
    Text,
    /// <word>
    Word,
    /// No placeholder, but a class that has room for it.
    Class,
}

/// The same, and which of its groups take text of a client.
pub(super) fn expand_marked(text: &str) -> Result<(String, Vec<(String, Free)>), String> {
    let mut marks = Vec::new();
    let source = expand_with(text, |name, regex, source| {
        let free = match name {
            "user" | "target" => Free::Name,
            "path" | "agent" => Free::Quoted,
            "text" | "forwarded" => Free::Text,
            "word" => Free::Word,
            _ => {
                source.push_str(regex);
                return;
            }
        };
        let group = match regex.starts_with("(?P<") {
            true => name.to_owned(),
            false => format!("free{}", marks.len()),
        };
        match regex.starts_with("(?P<") {
            true => source.push_str(regex),
            false => source.extend(["(?P<", &group, ">", regex, ")"]),
        }
        marks.push((group, free));
    })?;
    Ok((source, marks))
}

fn expand_with(
    text: &str,
    mut place: impl FnMut(&str, &str, &mut String),
) -> Result<String, String> {
    let mut source = String::with_capacity(text.len() + 64);
    let mut rest = text;
    while let Some(at) = rest.find(['\\', '<']) {
        source.push_str(&rest[..at]);
        rest = &rest[at..];
        if rest.starts_with('\\') {
            let length = rest.chars().take(2).map(char::len_utf8).sum();
            source.push_str(&rest[..length]);
            rest = &rest[length..];
            continue;
        }
        if source.ends_with("(?") || source.ends_with("(?P") {
            let wrong = !rest.starts_with("<=") && !rest.starts_with("<!");
            if wrong {
                return Err("named groups are not part of the language: use a placeholder such as <ip>, or `(?:…)`".to_owned());
            }
        }
        let name = rest[1..]
            .split_once('>')
            .map(|(name, _)| name)
            .filter(|name| !name.is_empty() && name.chars().all(|c| c.is_ascii_alphabetic()));
        let Some(name) = name else {
            source.push('<');
            rest = &rest[1..];
            continue;
        };
        match PLACEHOLDERS.iter().find(|(known, _)| *known == name) {
            Some((_, regex)) => place(name, regex, &mut source),
            None => return Err(unknown(name)),
        }
        rest = &rest[name.len() + 2..];
    }
    source.push_str(rest);
    Ok(source)
}

fn unknown(name: &str) -> String {
    let nearest = PLACEHOLDERS
        .iter()
        .map(|(known, _)| *known)
        .max_by(|a, b| {
            strsim::jaro(a, &name.to_ascii_lowercase())
                .total_cmp(&strsim::jaro(b, &name.to_ascii_lowercase()))
        })
        .unwrap_or("ip");
    format!(
        "<{name}> is no placeholder: did you mean <{nearest}>? A literal `<` is written `\\x3C`"
    )
}

/// Its structure.
pub(super) fn parse(source: &str) -> Result<Hir, String> {
    regex_syntax::ParserBuilder::new()
        .unicode(false)
        .utf8(false)
        .dot_matches_new_line(true)
        .build()
        .parse(source)
        .map_err(|error| format!("this is no regular expression: {}", what(&error)))
}

/// What is wrong, in one line: the error itself would show the pattern with its placeholders expanded, which is
/// not what was written.
fn what(error: &regex_syntax::Error) -> String {
    match error {
        regex_syntax::Error::Parse(error) => error.kind().to_string(),
        regex_syntax::Error::Translate(error) => error.kind().to_string(),
        other => other.to_string(),
    }
}

/// A regular expression that is compiled when it is first asked for: most patterns of most filters never are, and one takes
/// as long as to look through a thousand lines.
#[derive(Clone, Debug)]
pub(super) struct Expression {
    source: Box<str>,
    regex: OnceLock<Option<Regex>>,
}

impl Expression {
    /// The expression `source`, whose structure is `hir`.
    ///
    /// # Errors
    /// It is too large.
    pub(super) fn new(source: String, hir: &Hir) -> Result<Self, String> {
        let regex = match size(hir) > SURELY_SMALL {
            true => OnceLock::from(Some(compile(&source)?)),
            false => OnceLock::new(),
        };
        let source = source.into();
        Ok(Expression { source, regex })
    }

    /// As it is written.
    pub(super) fn source(&self) -> &str {
        &self.source
    }

    /// Ready for use; `None`, against all that is known of sizes, if it cannot be compiled.
    pub(super) fn regex(&self) -> Option<&Regex> {
        let compile = || compile(&self.source).ok();
        self.regex.get_or_init(compile).as_ref()
    }
}

/// A program with no more steps than this is not too large: none of them takes 128 bytes.
const SURELY_SMALL: usize = LARGEST_PROGRAM / 128;

/// How many steps a program has at the most.
fn size(hir: &Hir) -> usize {
    let sum = |subs: &[Hir]| subs.iter().map(size).fold(1, usize::saturating_add);
    match hir.kind() {
        HirKind::Empty | HirKind::Look(_) => 1,
        HirKind::Literal(text) => text.0.len(),
        // A class of bytes has 128 ranges at the most, with bytes between.
        HirKind::Class(Class::Bytes(class)) => class.ranges().len().max(1),
        HirKind::Class(Class::Unicode(_)) => usize::MAX,
        HirKind::Repetition(repeated) => {
            let times = repeated
                .max
                .unwrap_or(0)
                .max(repeated.min)
                .saturating_add(1);
            size(&repeated.sub)
                .saturating_mul(times as usize)
                .saturating_add(2)
        }
        HirKind::Capture(group) => size(&group.sub).saturating_add(2),
        HirKind::Concat(subs) | HirKind::Alternation(subs) => sum(subs),
    }
}

fn compile(source: &str) -> Result<Regex, String> {
    RegexBuilder::new(source)
        .unicode(false)
        .dot_matches_new_line(true)
        .size_limit(LARGEST_PROGRAM)
        .build()
        .map_err(|error| error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_surely_small_can_be_compiled() {
        for (text, count) in [
            ("a", 32_000),
            ("[a-cx0-9_]", 7_900),
            ("(?:ab|cd|[ef]|)", 3_000),
            ("(x?)", 5_000),
            ("(?:a|b+)*", 3_000),
            (r"\b[^a]", 7_000),
        ] {
            let source = format!("(?:{text}){{{count}}}");
            let hir = parse(&source).expect("a regular expression");
            let size = size(&hir);
            assert!(
                (SURELY_SMALL / 2..=SURELY_SMALL).contains(&size),
                "{source} {size}"
            );
            assert_eq!(compile(&source).err(), None, "{source}");
        }
    }
}
