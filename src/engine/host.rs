//! Which texts of a log can be the name of a host?

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

/// The longest name that the domain name system knows, and the longest part of one.
const LONGEST_NAME: usize = 253;
const LONGEST_PART: usize = 63;

/// The full name of a host, in lower case and without a dot at its end, so that one host has one name.
///
/// A name of one part is none: which host it is depends on who asks. Nor is what looks like an address, also one that
/// is written in a way that only the system's resolver understands, such as `127.1`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct HostName(Arc<str>);

/// The text cannot be the full name of a host.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("this cannot be the full name of a host")]
pub struct HostNameError;

impl HostName {
    /// The name's text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for HostName {
    type Err = HostNameError;

    fn from_str(text: &str) -> Result<Self, HostNameError> {
        let name = text.strip_suffix('.').unwrap_or(text);
        let is_plain = |part: &str| {
            let letters = |c: char| c.is_ascii_alphanumeric() || c == '-';
            (1..=LONGEST_PART).contains(&part.len())
                && part.chars().all(letters)
                && !part.starts_with('-')
                && !part.ends_with('-')
        };
        let ending = name.rsplit_once('.').map(|(_, ending)| ending);
        let is_full =
            ending.is_some_and(|last| last.starts_with(|c: char| c.is_ascii_alphabetic()));
        if is_full && name.len() <= LONGEST_NAME && name.split('.').all(is_plain) {
            Ok(HostName(name.to_ascii_lowercase().into()))
        } else {
            Err(HostNameError)
        }
    }
}

impl fmt::Display for HostName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use std::net::IpAddr;

    use proptest::prelude::*;

    use super::*;

    #[test]
    fn one_host_has_one_name() {
        let name: HostName = "Mail.Example.ORG.".parse().expect("a name");
        assert_eq!(name.as_str(), "mail.example.org");
        assert!("7.2.0.192.in-addr.arpa".parse::<HostName>().is_ok());
        assert!("a-1.xn--p1ai".parse::<HostName>().is_ok());
    }

    #[test]
    fn what_could_be_something_else_is_no_name() {
        let long = format!("{}.example.org", "a".repeat(64));
        let longer = format!("{}org", "a.".repeat(126));
        for text in [
            "",
            ".",
            "..",
            "org",
            "localhost",
            "a..org",
            ".example.org",
            "example.org..",
            "-a.org",
            "a-.org",
            "a_b.org",
            "a b.org",
            "127.1",
            "0x7f.0x1",
            "1.0x7f",
            "192.0.2.7",
            "::1",
            "fe80::1%eth0",
            "exämple.org",
            "a.org\0",
            &long,
            &longer,
        ] {
            assert!(text.parse::<HostName>().is_err(), "{text}");
        }
    }

    proptest! {
        #[test]
        fn a_name_is_plain_and_stays_what_it_is(text in "(?s).{0,40}|[-a-zA-Z0-9.]{0,300}") {
            if let Ok(name) = text.parse::<HostName>() {
                let plain = |c: char| matches!(c, 'a'..='z' | '0'..='9' | '-' | '.');
                prop_assert!(name.as_str().chars().all(plain));
                prop_assert!(name.as_str().len() <= LONGEST_NAME);
                prop_assert!(name.as_str().parse::<IpAddr>().is_err());
                prop_assert_eq!(name.as_str().parse::<HostName>(), Ok(name.clone()));
            }
        }
    }
}
