//! How is something found again that is known by a hash?
//!
//! Names of which foreign text is a part are as long as somebody likes; a hash of them is not, and costs no memory. Nobody
//! outside knows its key, so nobody can make two alike at will. What is kept by hashes is known elsewhere.

use std::collections::HashMap;
use std::hash::{BuildHasher, BuildHasherDefault, Hasher, RandomState};

use siphasher::sip128::SipHasher13;
use smallvec::SmallVec;

use super::FilterSpec;
use crate::engine::name::{FilterName, SourceName};

/// What is known by hashes.
pub(super) type ByHash<K, T> = HashMap<K, T, BuildHasherDefault<Hashed>>;

/// The hash of what is a hash.
#[derive(Debug, Default)]
pub(super) struct Hashed(u64);

impl Hasher for Hashed {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.0 = self.0 << 8 | u64::from(*byte);
        }
    }

    fn write_u64(&mut self, hash: u64) {
        self.0 = hash;
    }

    fn write_u128(&mut self, hash: u128) {
        // Each half is as good as the other one.
        self.0 = hash as u64;
    }
}

/// The hash of a name: so many bits are no other name's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct NameHash(u128);

impl NameHash {
    #[cfg(test)]
    pub(super) fn of(number: u128) -> Self {
        NameHash(number)
    }

    /// Half of it: enough where it harms nobody if two names are taken for one.
    pub(super) fn half(self) -> u64 {
        self.0 as u64
    }
}

/// Makes hashes of names.
#[derive(Debug)]
pub(super) struct Names {
    hasher: SipHasher13,
    /// Where the last name was, since the next one is mostly there too.
    last: Option<Whereabouts>,
}

/// What names have in common of one log and one machine that one filter hears. Filters are known by name and mode, since
/// their numbers are others after a reload.
#[derive(Debug)]
struct Whereabouts {
    source: Option<SourceName>,
    filter: FilterName,
    mode: Box<str>,
    host: Box<str>,
    hash: NameHash,
}

/// Names are seldom longer, and then need no memory of their own.
const USUAL_NAME: usize = 96;

impl Default for Names {
    fn default() -> Self {
        let random = RandomState::new();
        Names {
            hasher: SipHasher13::new_with_keys(random.hash_one(0), random.hash_one(1)),
            last: None,
        }
    }
}

impl Names {
    /// The hash of what names have in common of `host`, and of a source if it tells.
    pub(super) fn whereabouts(
        &mut self,
        source: Option<&SourceName>,
        filter: &FilterSpec,
        host: &str,
    ) -> NameHash {
        let is_there = |last: &&Whereabouts| {
            *last.host == *host
                && last.filter == filter.name
                && last.mode == filter.mode
                && last.source.as_ref() == source
        };
        if let Some(last) = self.last.as_ref().filter(is_there) {
            return last.hash;
        }
        let from = source.map_or("", SourceName::as_str);
        let parts = [
            from,
            "\0",
            filter.name.as_str(),
            "\0",
            &filter.mode,
            "\0",
            host,
        ];
        let hash = NameHash(self.hasher.hash(parts.concat().as_bytes()).as_u128());
        self.last = Some(Whereabouts {
            source: source.cloned(),
            filter: filter.name.clone(),
            mode: filter.mode.clone(),
            host: host.into(),
            hash,
        });
        hash
    }

    /// The hash of a name that is there.
    pub(super) fn hash(&self, whereabouts: NameHash, name: &str) -> NameHash {
        // Together, since the hash takes a long text in little more time than an empty one.
        let mut text = SmallVec::<[u8; USUAL_NAME]>::new();
        text.extend_from_slice(&whereabouts.0.to_le_bytes());
        text.extend_from_slice(name.as_bytes());
        NameHash(self.hasher.hash(&text).as_u128())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::filter::{Outcome, RecordsSpec};

    fn filter(name: &str, mode: &str) -> FilterSpec {
        FilterSpec {
            name: name.parse().expect("a name"),
            mode: mode.into(),
            title: String::new(),
            records: RecordsSpec::default(),
            outcome: Outcome::Failure,
            session_by_pid: false,
            failures: Vec::new(),
            successes: Vec::new(),
            ignores: Vec::new(),
            others: Vec::new(),
            lines: None,
        }
    }

    #[test]
    fn nobody_has_the_name_of_another() {
        let source = |name: &str| name.parse::<SourceName>().expect("a name");
        let (one, two) = (source("one"), source("two"));
        let filters = [filter("a", "b"), filter("a", "c"), filter("b", "b")];
        let mut names = Names::default();
        let mut all = Vec::new();
        for source in [None, Some(&one), Some(&two)] {
            for filter in &filters {
                for (host, name) in [
                    ("", "ab"),
                    ("a", "b"),
                    ("ab", ""),
                    ("a\0b", ""),
                    ("a", "\0b"),
                ] {
                    let mut hash = || {
                        let there = names.whereabouts(source, filter, host);
                        names.hash(there, name)
                    };
                    let hash = [hash(), hash()];
                    assert_eq!(hash[0], hash[1]);
                    all.push(hash[0]);
                }
            }
        }
        let count = all.len();
        let different: std::collections::HashSet<_> = all.into_iter().collect();
        assert_eq!(different.len(), count);
    }
}
