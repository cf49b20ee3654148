//! What are jails, filters, sources and actions called?
//!
//! Names come from configuration and reach tables, sets of the firewall and file names, so they are
//! short and plain by construction.

use std::borrow::Borrow;
use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

/// The longest name: with a suffix it still fits the firewall's own names and a table column.
const LONGEST_NAME: usize = 64;

/// The text cannot be a name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "`{0}` cannot be a name: use 1 to 64 letters, digits, `-`, `_` or `.`, beginning with a letter or digit"
)]
pub struct NameError(String);

macro_rules! names {
    ($($(#[$doc:meta])* $name:ident;)*) => {$(
        $(#[$doc])*
        #[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(Arc<str>);

        impl $name {
            /// The name's text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl FromStr for $name {
            type Err = NameError;

            fn from_str(text: &str) -> Result<Self, Self::Err> {
                check(text).map(|()| $name(Arc::from(text)))
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.pad(&self.0)
            }
        }

        impl Borrow<str> for $name {
            fn borrow(&self) -> &str {
                &self.0
            }
        }
    )*};
}

names! {
    /// A jail's name: `sshd` of `[jail.sshd]`.
    JailName;
    /// A filter's name: `sshd` of `filters/sshd.toml`.
    FilterName;
    /// A source's name: `journal` of `[source.journal]`.
    SourceName;
    /// An action's name: `nftables` of `actions/nftables.toml`.
    ActionName;
}

/// By how many slips of the pen `word` may have been written for `meant`; `None` if it surely was not.
pub fn slips(word: &str, meant: &str) -> Option<usize> {
    // A third of the letters may be wrong; beyond that the guess would only confuse.
    let most = (word.chars().count() / 3).max(1);
    Some(strsim::osa_distance(word, meant)).filter(|slips| *slips <= most)
}

fn check(text: &str) -> Result<(), NameError> {
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    let begins_well = text.starts_with(|c: char| c.is_ascii_alphanumeric());
    if begins_well && text.len() <= LONGEST_NAME && text.chars().all(plain) {
        Ok(())
    } else {
        Err(NameError(text.to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_plain() {
        for good in ["sshd", "nginx-http-auth", "3proxy", "a.b_c"] {
            assert!(good.parse::<JailName>().is_ok(), "{good}");
        }
        for bad in ["", "-x", "a b", "a/b", "a\"b", &"x".repeat(65)] {
            assert!(bad.parse::<JailName>().is_err(), "{bad}");
        }
    }
}
