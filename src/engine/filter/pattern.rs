//! Is a pattern sound, and what does it take out of a message?
//!
//! In: the text of a pattern, Rust `regex` syntax with placeholders. Out: a compiled [`Pattern`], or the
//! reason why it is refused; [`proof`](super::proof) says why text of an attacker cannot move the address. No
//! record is routed and no failure counted here.

use std::borrow::Cow;
use std::net::IpAddr;

use regex::bytes::{Regex, RegexBuilder};
use regex_syntax::hir::{Hir, Look};

use super::proof::{Proof, prove, refuse_line_anchors};
use super::{Found, PatternSpec};
use crate::engine::record::LONGEST_MESSAGE;

/// A pattern that cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("pattern {number} of filter {filter}: {reason}")]
pub struct PatternError {
    /// The filter's name.
    pub filter: String,
    /// The pattern's number in its file, from 1; ignore patterns are counted on their own.
    pub number: u16,
    /// Whether it stands under `[[ignore]]`.
    pub ignore: bool,
    /// What is wrong and how to mend it.
    pub reason: String,
}

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

/// A sound, compiled failure pattern.
#[derive(Clone, Debug)]
pub(super) struct Pattern {
    regex: Regex,
    number: u16,
    unless_counted: bool,
    /// Only the end of the message proves the address.
    needs_end: bool,
}

/// What a message is to a pattern.
#[derive(Debug)]
pub(super) enum Reading<'r> {
    /// A failure.
    Failure(Found<'r>),
    /// Not what the pattern is for: another one may take it.
    Other,
    /// There is an address, but it may be a part of something longer: nobody can be blamed.
    Doubtful,
}

impl Pattern {
    /// Compiles a failure pattern.
    pub(super) fn failure(spec: &PatternSpec) -> Result<Self, String> {
        let source = expand(&spec.text)?;
        let proof = prove(&parse(&source)?)?;
        let regex = RegexBuilder::new(&source)
            .unicode(false)
            .dot_matches_new_line(true)
            .size_limit(LARGEST_PROGRAM)
            .build()
            .map_err(|error| error.to_string())?;
        Ok(Pattern {
            regex,
            number: spec.number,
            unless_counted: spec.unless_counted,
            needs_end: proof == Proof::End,
        })
    }

    /// The regular expression behind the placeholders.
    pub(super) fn source(&self) -> &str {
        self.regex.as_str()
    }

    /// What the pattern finds in `message`.
    pub(super) fn find<'r>(&self, message: &'r [u8]) -> Reading<'r> {
        if self.needs_end && message.len() >= LONGEST_MESSAGE {
            return Reading::Other;
        }
        let Some(captures) = self.regex.captures(message) else {
            return Reading::Other;
        };
        let strict = captures.name("ip");
        let Some(host) = strict.or_else(|| captures.name("host")) else {
            return Reading::Other;
        };
        let Ok(text) = std::str::from_utf8(host.as_bytes()) else {
            return Reading::Other;
        };
        let ip = address(text);
        if ip.is_none() && (strict.is_some() || !looks_like_name(text)) {
            return Reading::Other;
        }
        if continues(message, host.start(), host.end(), ip) {
            return Reading::Doubtful;
        }
        let lossy = |name: &str| {
            captures
                .name(name)
                .map(|part| String::from_utf8_lossy(part.as_bytes()))
        };
        Reading::Failure(Found {
            pattern: self.number,
            host: Cow::Borrowed(text),
            ip,
            user: lossy("user"),
            session: lossy("session"),
            unless_counted: self.unless_counted,
        })
    }
}

/// The regular expression of an ignore pattern. It must begin with `^`: one that floats could be written
/// into a user name by an attacker who wants to stay unseen.
pub(super) fn ignore(text: &str) -> Result<String, String> {
    let source = expand(text)?;
    let hir = parse(&source)?;
    refuse_line_anchors(&hir)?;
    if !hir.properties().look_set_prefix().contains(Look::Start) {
        return Err(
            "an ignore pattern must begin with `^`, or an attacker could write it into his text"
                .to_owned(),
        );
    }
    Ok(source)
}

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

fn parse(source: &str) -> Result<Hir, String> {
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

/// The address that the whole of `text` is, without its zone.
fn address(text: &str) -> Option<IpAddr> {
    let bare = text.split_once('%').map_or(text, |(bare, _)| bare);
    bare.parse().map(|ip: IpAddr| ip.to_canonical()).ok()
}

/// `1.2.3.4.5` and `::g` are broken addresses, no names.
fn looks_like_name(text: &str) -> bool {
    !text.contains([':', '%'])
        && text.bytes().any(|byte| byte.is_ascii_alphabetic())
        && text.starts_with(|first: char| first.is_ascii_alphanumeric())
}

/// Whether a neighbouring byte makes the capture a part of something longer.
fn continues(message: &[u8], start: usize, end: usize, ip: Option<IpAddr>) -> bool {
    let before = message[..start].last().copied().unwrap_or(b' ');
    let behind = message.get(end).copied().unwrap_or(b' ');
    let next = message.get(end + 1).copied().unwrap_or(b' ');
    let joins =
        |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-' | b'%');
    let colon_joins = !ip.is_some_and(|ip| ip.is_ipv4());
    let colon_before = message[..start].strip_suffix(b":").is_some_and(|earlier| {
        let word = earlier
            .rsplit(|byte| !byte.is_ascii_alphanumeric())
            .next()
            .unwrap_or_default();
        let group = !word.is_empty() && word.iter().all(u8::is_ascii_hexdigit);
        group || earlier.ends_with(b":")
    });
    joins(before)
        || colon_before
        || behind.is_ascii_alphanumeric()
        || (behind == b'.' && next.is_ascii_alphanumeric())
        || (colon_joins && behind == b':' && (next == b':' || next.is_ascii_hexdigit()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::collection::vec;
    use proptest::prelude::*;
    use proptest::sample::{Index, select};

    fn compile(text: &str) -> Result<Pattern, String> {
        Pattern::failure(&PatternSpec {
            number: 1,
            text: text.to_owned(),
            unless_counted: false,
        })
    }

    fn ip_of(pattern: &Pattern, message: &str) -> Option<IpAddr> {
        match pattern.find(message.as_bytes()) {
            Reading::Failure(found) => found.ip,
            Reading::Other | Reading::Doubtful => None,
        }
    }

    #[test]
    fn forgeable_patterns_are_refused() {
        for (text, why) in [
            ("from <ip>", "begin the pattern with `^`"),
            ("^.* from <ip> .*$", "both sides"),
            ("^<user> from <ip> port <word>$", "both sides"),
            (r#"^"[^"]*" <ip> <text>$"#, "both sides"),
            (r"^\S+=<ip>/\S+$", "both sides"),
            ("^<user> <ip>", "finish the pattern with `$`"),
            ("(?m)^from <ip>$", "(?m)"),
            ("^(?:a <ip>|b <host>)$", "only one"),
            ("^(?:a <ip>)?$", "alternation"),
            ("^(?:a <ip>|b)$", "alternation"),
            ("^(?:<ip> )+$", "alternation"),
            ("^a$", "needs <ip>"),
            ("^from <ip>(?::<port>)?$", "read as a part"),
            ("^from <ip>:<text>$", "read as a part"),
            ("^from <ip>:<port>:?[0-9]* x$", "read as a part"),
            ("^from <ip>(?:[0-9a-f]+)? x$", "read as a part"),
            ("^from <ip>(?: x)?(?:::1)?$", "read as a part"),
            (r"^from <ip>\.<text>$", "read as a part"),
            ("^from <host>(?:-<text>)?$", "read as a part"),
            ("^from <host>:<word>$", "read as a part"),
            ("^from-<ip>$", "end with a piece"),
            ("^from (?:[0-9]+:)?<ip>$", "end with a piece"),
            ("^from (?:id[0-9]*)?<ip>$", "end with a piece"),
            ("^from :(?:x:)?:?<ip>$", "end with a piece"),
            ("^from :(?:x)?: <ip> <text>$", "both sides"),
            ("^from (?::|x)(?:y|:) <ip> <text>$", "both sides"),
            ("^<usr> <ip>$", "<user>"),
            ("^(?P<x>a) <ip>$", "named groups"),
        ] {
            let error = compile(text).map(|_| ()).expect_err(text);
            assert!(error.contains(why), "{text}: {error}");
        }
    }

    #[test]
    fn an_address_is_whole_or_nothing() {
        let pattern = compile("^from <ip>(?:: x| x)?").expect("sound");
        for (message, ip) in [
            ("from 192.0.2.7", Some("192.0.2.7")),
            ("from 192.0.2.7: x", Some("192.0.2.7")),
            ("from ::ffff:192.0.2.7 x", Some("192.0.2.7")),
            ("from fe80::1%eth0 x", Some("fe80::1")),
            ("from 192.0.2.7.5", None),
            ("from 192.0.2.777", None),
            ("from 192.0.2.7a", None),
            ("from 1:2:3:4:5:6:7:8:9", None),
        ] {
            assert_eq!(
                ip_of(&pattern, message),
                ip.map(|ip| ip.parse().expect("an address")),
                "{message}"
            );
        }
    }

    #[test]
    fn neighbours_of_an_address_are_told_from_it() {
        for (text, message, ip) in [
            ("^from <ip>:<port>$", "from 192.0.2.7:22", Some("192.0.2.7")),
            ("^from <ip>:<port>$", "from 2001:db8::7:22", None),
            ("^from <ip>: <text>$", "from ::7: a", Some("::7")),
            ("^from <ip>:? <text>$", "from ::7: a", Some("::7")),
            ("^from <ip>:? <text>$", "from fe80:: a", Some("fe80::")),
            (r"^from <ip>\.$", "from ::7.", Some("::7")),
            (
                r"^from \[(?:IPv6:)?<ip>\]$",
                "from [IPv6:2001:db8::7]",
                Some("2001:db8::7"),
            ),
            (
                r"^from \[(?:IPv6:)?<ip>\]$",
                "from [2001:db8::7]",
                Some("2001:db8::7"),
            ),
            (
                "^for <user> from <ip>$",
                "for x:2001:db8::7 from ::7",
                Some("::7"),
            ),
        ] {
            let pattern = compile(text).expect(text);
            let ip = ip.map(|ip| ip.parse().expect("an address"));
            assert_eq!(ip_of(&pattern, message), ip, "{text}: {message}");
        }
    }

    #[test]
    fn a_cut_message_proves_nothing_by_its_end() {
        let (head, tail) = ("for ", " from 192.0.2.7");
        let free = LONGEST_MESSAGE - head.len() - tail.len();
        for (text, length, found) in [
            ("^for <user> from <ip>$", free - 1, true),
            ("^for <user> from <ip>$", free, false),
            ("^for x* from <ip>$", free, true),
        ] {
            let message = format!("{head}{}{tail}", "x".repeat(length));
            let pattern = compile(text).expect("sound");
            assert_eq!(
                ip_of(&pattern, &message).is_some(),
                found,
                "{text} {length}"
            );
        }
    }

    #[test]
    fn the_end_is_the_end_of_the_message() {
        let pattern = compile("^for <user> from <ip>$").expect("sound");
        let message = "for x from 198.51.100.1\n from 192.0.2.7";
        assert_eq!(ip_of(&pattern, message), "192.0.2.7".parse().ok());
        assert_eq!(ip_of(&pattern, "for x from 192.0.2.7\n"), None);
    }

    /// What may follow an address, and texts that it takes.
    const BEHIND: [(&str, &[&str]); 13] = [
        (" ", &[" "]),
        (":", &[":"]),
        (":?", &["", ":"]),
        ("(?::<port>)?", &["", ":22"]),
        ("<port>", &["22"]),
        ("[0-9a-f]*", &["", "dead", "7"]),
        (r"\.", &["."]),
        (r"\.?", &["", "."]),
        ("(?: |:)", &[" ", ":"]),
        ("(?:::)?", &["", "::"]),
        ("x", &["x"]),
        ("<word>", &["9", ":beef:1", "::9", ".9.9.9", "x", "-"]),
        (
            "<text>",
            &[
                "",
                ":beef: x",
                ": beef",
                ".9.9.9 x",
                " from 203.0.113.9",
                "%9",
            ],
        ),
    ];

    proptest! {
        #[test]
        fn no_text_breaks_the_compiler(text in "[ -~<>()?*+^$\\\\|]{0,40}") {
            let _ = compile(&text);
            let _ = ignore(&text);
        }

        /// Whatever may follow an address in a sound pattern, no text there makes it another one.
        #[test]
        fn a_sound_pattern_reads_the_whole_address_and_no_more(
            address in select(&["192.0.2.7", "2001:db8::7", "fe80::", "::", "1:2:3:4:5:6:7:8"][..]),
            parts in vec((select(&BEHIND[..]), any::<Index>()), 0..4),
        ) {
            let pattern: String = parts.iter().map(|((part, _), _)| *part).collect();
            let text: String = parts.iter().map(|((_, texts), at)| *at.get::<&str>(texts)).collect();
            if let Ok(pattern) = compile(&format!("^from <ip>{pattern}$")) {
                let found = ip_of(&pattern, &format!("from {address}{text}"));
                prop_assert!(found.is_none() || found == address.parse().ok(), "{:?}", found);
            }
        }

        #[test]
        fn a_user_cannot_move_the_address(user in "(?s)(.{0,8}( from 8\\.8\\.8\\.8| port 1|\n)){0,4}") {
            let pattern = compile("^for <user> from <ip> port <port>$").expect("sound");
            let message = format!("for {user} from 192.0.2.7 port 5");
            prop_assert_eq!(ip_of(&pattern, &message), "192.0.2.7".parse().ok());
        }
    }
}
