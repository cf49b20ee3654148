//! What does the text of a pattern stand for?
//!
//! In: Rust `regex` syntax with placeholders. Out: the regular expression, its structure, or why it is none. Whether
//! it is sound is found in [`proof`](super::proof).

use regex_syntax::hir::Hir;

use crate::engine::expression::parse;

/// The placeholders and what they stand for. An address is only roughly described; the capture is parsed.
const PLACEHOLDERS: [(&str, &str); 12] = [
    (
        "ip",
        // A colon alone never ends one, so that it is left to `<ip>: text`.
        r"(?P<ip>(?:[0-9]{1,3}(?:\.[0-9]{1,3}){3}|[0-9A-Fa-f]{0,4}:(?:[0-9A-Fa-f:.]*(?:[0-9A-Fa-f]|::)|:))(?:%[0-9A-Za-z_.-]+)?)",
    ),
    ("host", r"(?P<host>[0-9A-Za-z:._%-]+)"),
    ("user", r"(?P<user>(?s:.*))"),
    ("login", r"(?P<user>[^\s]+)"),
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
    /// <word>, <login>
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
            "word" | "login" => Free::Word,
            _ => {
                source.push_str(regex);
                return;
            }
        };
        let named = regex
            .strip_prefix("(?P<")
            .and_then(|rest| rest.split_once('>'));
        let group = match named {
            Some((group, _)) => group.to_owned(),
            None => format!("free{}", marks.len()),
        };
        match named {
            Some(_) => source.push_str(regex),
            None => source.extend(["(?P<", &group, ">", regex, ")"]),
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
