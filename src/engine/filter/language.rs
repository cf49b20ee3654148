//! What does the text of a pattern stand for?
//!
//! In: Rust `regex` syntax with placeholders. Out: the regular expression, its structure, or why it is none. Whether
//! it is sound is found in [`proof`](super::proof).

use regex::bytes::{Regex, RegexBuilder};
use regex_syntax::hir::Hir;

/// The most memory that one compiled program may take: ten times what the largest shipped pattern needs.
pub(super) const LARGEST_PROGRAM: usize = 4 << 20;

/// The placeholders and what they stand for. An address is only roughly described; the capture is parsed.
const PLACEHOLDERS: [(&str, &str); 7] = [
    (
        "ip",
        // A colon alone never ends one, so that it is left to `<ip>: text`.
        r"(?P<ip>(?:[0-9]{1,3}(?:\.[0-9]{1,3}){3}|[0-9A-Fa-f]{0,4}:(?:[0-9A-Fa-f:.]*(?:[0-9A-Fa-f]|::)|:))(?:%[0-9A-Za-z_.-]+)?)",
    ),
    ("host", r"(?P<host>[0-9A-Za-z:._%-]+)"),
    ("user", r"(?P<user>(?s:.*))"),
    ("word", r"(?:[^\s]+)"),
    ("port", r"(?:[0-9]{1,5})"),
    ("text", r"(?s:.*)"),
    ("session", r"(?P<session>[^\s]+)"),
];

/// The regular expression that `text` stands for.
pub(super) fn expand(text: &str) -> Result<String, String> {
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
            Some((_, regex)) => source.push_str(regex),
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

/// The regular expression, ready for use.
pub(super) fn compile(source: &str) -> Result<Regex, String> {
    RegexBuilder::new(source)
        .unicode(false)
        .dot_matches_new_line(true)
        .size_limit(LARGEST_PROGRAM)
        .build()
        .map_err(|error| error.to_string())
}
