//! Whom can a jail ban?
//!
//! Mostly an address or a network, and with other settings whoever a name stands for: a user, a mailbox, a session.

use std::fmt;
use std::hash::{Hash, Hasher};
use std::str::FromStr;
use std::sync::Arc;

use super::prefix::{Prefix, PrefixError};
use super::record::kept::kept;

/// How many bytes of a name count: no mailbox has a longer one, nor has a user. Attackers choose them, and a jail
/// watches as many as it does addresses.
pub const LONGEST_NAME: usize = 256;

/// Whom a failure is counted against, and who is banned. In order, all that lies in a network stands together, and
/// names come behind all networks.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Subject {
    /// An address or a network.
    Network(Prefix),
    /// Whoever has a name.
    Name(Name),
}

impl Subject {
    /// The address or network; `None` of a name, whatever it looks like.
    pub fn network(&self) -> Option<Prefix> {
        match self {
            Subject::Network(network) => Some(*network),
            Subject::Name(_) => None,
        }
    }

    /// The name; `None` of an address or network.
    pub fn name(&self) -> Option<&Name> {
        match self {
            Subject::Network(_) => None,
            Subject::Name(name) => Some(name),
        }
    }

    /// Whether the two share an address, or are the same name.
    pub fn overlaps(&self, other: &Subject) -> bool {
        match (self, other) {
            (Subject::Network(one), Subject::Network(other)) => one.overlaps(other),
            _ => self == other,
        }
    }

    /// Whether every address of `other` belongs to the subject, or both are the same name.
    pub fn holds(&self, other: &Subject) -> bool {
        match (self, other) {
            (Subject::Network(one), Subject::Network(other)) => one.holds(*other),
            _ => self == other,
        }
    }

    /// The subject as people write it: a bare address, a network in CIDR notation, or a name.
    pub fn plain(&self) -> String {
        match self {
            Subject::Network(network) => network.plain(),
            Subject::Name(name) => name.to_string(),
        }
    }
}

impl From<Prefix> for Subject {
    fn from(network: Prefix) -> Self {
        Subject::Network(network)
    }
}

impl From<Name> for Subject {
    fn from(name: Name) -> Self {
        Subject::Name(name)
    }
}

/// From what people write for an address or network. A name has to be meant: see [`Name::of`].
impl FromStr for Subject {
    type Err = PrefixError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        text.parse().map(Subject::Network)
    }
}

/// Of a network what [`Prefix`] does: every failure looks for its subject in several tables.
impl Hash for Subject {
    fn hash<H: Hasher>(&self, state: &mut H) {
        match self {
            Subject::Network(network) => network.hash(state),
            Subject::Name(name) => name.hash(state),
        }
    }
}

/// Networks always in CIDR notation.
impl fmt::Display for Subject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Subject::Network(network) => network.fmt(f),
            Subject::Name(name) => name.fmt(f),
        }
    }
}

/// What a user, a mailbox or a session is called: text of the attacker's choice, of a bounded length and without
/// control characters.
///
/// Two that differ in the case of ASCII letters alone are the same name: most services see no difference, and to one
/// that does it is a mistake, or an attempt to stay unseen. So are those that differ in spaces around them, which are
/// not kept. The case is, since whoever acts on a name may need it.
#[derive(Clone, Debug)]
pub struct Name(Arc<str>);

impl Name {
    /// The name that a text is; `None` if it is no more than spaces. Of a very long one the beginning counts.
    pub fn of(text: &str) -> Option<Name> {
        let text = kept(text);
        let text = text.trim_matches(' ');
        let mut end = text.len().min(LONGEST_NAME);
        while !text.is_char_boundary(end) {
            end -= 1;
        }
        let text = text[..end].trim_end_matches(' ');
        (!text.is_empty()).then(|| Name(text.into()))
    }

    /// Its text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// What it is known by.
    pub fn folded(&self) -> impl Iterator<Item = u8> {
        self.0.bytes().map(|byte| byte.to_ascii_lowercase())
    }
}

impl PartialEq for Name {
    fn eq(&self, other: &Name) -> bool {
        self.0.eq_ignore_ascii_case(&other.0)
    }
}

impl Eq for Name {}

impl PartialOrd for Name {
    fn partial_cmp(&self, other: &Name) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Name {
    fn cmp(&self, other: &Name) -> std::cmp::Ordering {
        self.folded().cmp(other.folded())
    }
}

impl Hash for Name {
    fn hash<H: Hasher>(&self, state: &mut H) {
        for byte in self.folded() {
            state.write_u8(byte);
        }
        // Not a byte of any text.
        state.write_u8(0xff);
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use std::hash::BuildHasher;
    use std::net::Ipv4Addr;

    use proptest::prelude::*;

    use super::*;

    fn name(text: &str) -> Name {
        Name::of(text).expect("a name")
    }

    fn hashed(subject: &impl Hash) -> u64 {
        foldhash::fast::FixedState::with_seed(1).hash_one(subject)
    }

    #[test]
    fn a_name_is_never_a_network() {
        let address = Prefix::host(Ipv4Addr::new(192, 0, 2, 7).into());
        for text in ["192.0.2.7", "192.0.2.7/32"] {
            let named = Subject::from(name(text));
            assert_eq!(named.network(), None);
            assert_eq!(named.plain(), text);
            assert_ne!(named, Subject::from(address));
            assert!(!named.overlaps(&address.into()));
            assert!(named > Subject::from(address));
        }
    }

    #[test]
    fn case_and_spaces_make_no_other_name() {
        let bob = name("Bob ");
        assert_eq!(bob.as_str(), "Bob");
        for other in ["bob", " BOB", "boB  "] {
            assert_eq!(bob, name(other));
            assert_eq!(hashed(&bob), hashed(&name(other)));
        }
        assert_ne!(bob, name("bo b"));
        assert_eq!(Name::of("  "), None);
        assert_eq!(Name::of(""), None);
    }

    #[test]
    fn a_subject_takes_no_more_room_than_a_network_would() {
        assert!(size_of::<Subject>() <= size_of::<Prefix>().next_multiple_of(8));
        let network = Prefix::host(Ipv4Addr::new(192, 0, 2, 7).into());
        assert_eq!(hashed(&network), hashed(&Subject::from(network)));
    }

    proptest! {
        #[test]
        fn a_name_is_short_and_plain(text in "(?s).{0,400}", other in "(?s)[a-cA-C ]{0,4}") {
            let Some(name) = Name::of(&text) else {
                return Ok(());
            };
            prop_assert!(name.as_str().len() <= LONGEST_NAME);
            prop_assert!(!name.as_str().contains(char::is_control));
            let again = Name::of(name.as_str()).expect("still a name");
            prop_assert_eq!(again.as_str(), name.as_str());
            if let Some(other) = Name::of(&other) {
                prop_assert_eq!(name == other, name.cmp(&other).is_eq());
            }
        }
    }
}
