//! Does a line that no pattern takes look like a failure?
//!
//! In: a message, or the object that a record was made of. Out: whether somebody should have a look at it. This is a
//! guess for people, those who write filters and those whose filter has gone deaf, and nothing is ever counted by it.

use std::net::{Ipv4Addr, Ipv6Addr};

use regex::bytes::Regex;

/// How words begin with which services refuse somebody; access logs do it by status. Mail servers name a client
/// `unknown[192.0.2.7]` if it has no name, which is no failure.
const WORDS: &str = r#"(?i-u)\b(?:abuse|attack|bad|ban|block|cannot|den(?:y|ied)|disallow|error|exceed|expired|fail|forbid|illegal|incorrect|invalid|locked|malformed|mismatch|no such|not (?:allow|authenticat|authori[sz]|found|known|permit|valid)|probe|refus|reject|too many|unable|unauthenticat|unauthori[sz]|unknown(?:[^\[]|$)|violat|wrong)|" 4(?:01|03|29) "#;

/// What a line looks like that tells of a failure.
#[derive(Debug)]
pub struct Likely(Regex);

impl Likely {
    /// The look.
    ///
    /// # Errors
    /// The words are no regular expression.
    pub fn new() -> Result<Self, regex::Error> {
        Regex::new(WORDS).map(Likely)
    }

    /// Whether this looks like a failure: it has one of the words, and an address.
    pub fn is(&self, text: &[u8]) -> bool {
        self.0.is_match(text) && has_address(text)
    }
}

/// Whether an address stands somewhere between what can be no part of one.
fn has_address(text: &[u8]) -> bool {
    let is_part = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b':' | b'_');
    text.split(|byte| !is_part(byte)).any(|word| {
        let word = std::str::from_utf8(word).unwrap_or_default();
        // A sentence may end behind it, and a colon introduce what follows.
        let word = word.trim_end_matches('.');
        is_address(word) || word.strip_suffix(':').is_some_and(is_address)
    })
}

/// An address, perhaps with a port.
fn is_address(word: &str) -> bool {
    let (host, _) = word.split_once(':').unwrap_or((word, ""));
    let is_v4 = host
        .bytes()
        .next()
        .is_some_and(|first| first.is_ascii_digit())
        && host.parse::<Ipv4Addr>().is_ok();
    // `::` alone says nothing.
    is_v4 || word.len() > 2 && word.contains(':') && word.parse::<Ipv6Addr>().is_ok()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn likely(text: &str) -> bool {
        Likely::new()
            .expect("a regular expression")
            .is(text.as_bytes())
    }

    #[test]
    fn words_and_addresses_make_a_failure() {
        for text in [
            "Login FAILED for jo from 192.0.2.7",
            "authentication failure; rhost=192.0.2.7",
            "refused connect from 192.0.2.7:4711",
            "[2001:db8::7]:993: bad password.",
            "Access denied: 2001:db8::.",
            "192.0.2.7 is not allowed here.",
            "no such user, client ::ffff:192.0.2.7",
            r#"192.0.2.7 - - [12/Feb/2026:14:10:21 +0000] "GET / HTTP/1.1" 401 12"#,
            r#"{"remote_ip":"192.0.2.7","error":"wrong key"}"#,
        ] {
            assert!(likely(text), "{text}");
        }
        for text in [
            "",
            "Accepted publickey for jo from 192.0.2.7",
            "Login failed for jo",
            "failed at 14:10:21 in std::io, version 1.2.3",
            "failed: 1.2.3.4.5, 999.0.2.7, 1.2.3.4x, x::7 and :: alone",
            "debarred 192.0.2.7",
            "connect from unknown[192.0.2.7]",
            r#"192.0.2.7 - - "GET / HTTP/1.1" 200 401"#,
        ] {
            assert!(!likely(text), "{text}");
        }
    }

    proptest! {
        #[test]
        fn no_text_is_too_odd(text in proptest::collection::vec(any::<u8>(), 0..200)) {
            Likely::new().expect("a regular expression").is(&text);
        }

        #[test]
        fn an_address_is_seen_wherever_it_stands(
            v4 in any::<[u8; 4]>(), v6 in any::<[u16; 8]>(), before in "[ =(<\\[,;'\"]", behind in "([ )>\\],;'\".]|: |:22 )",
        ) {
            let v6 = Ipv6Addr::from(v6);
            prop_assume!(!v6.is_unspecified());
            for address in [Ipv4Addr::from(v4).to_string(), format!("[{v6}]"), v6.to_string()] {
                // A port behind an address without brackets would be a part of it.
                let behind = if address.starts_with('[') || address.contains('.') { behind.as_str() } else { " " };
                let text = format!("error{before}{address}{behind}");
                prop_assert!(likely(&text), "{}", text);
            }
        }
    }
}
