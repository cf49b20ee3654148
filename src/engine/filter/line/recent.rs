//! What was remembered of late?
//!
//! In: whose something is, and what becomes of it. Out: the same when it is asked for, unless more has come since than there
//! is room for: then what was asked for least recently is forgotten.

use std::collections::hash_map::Entry;

use siphasher::sip128::SipHasher13;
use smallvec::SmallVec;

use crate::engine::filter::hashed::{ByHash, random_key};
use crate::engine::name::{FilterName, SourceName};

/// Whose something is. Nobody can write into one log, or for one machine, what belongs to another.
#[derive(Clone, Copy, Debug)]
pub(super) struct Key<'k> {
    /// Where the lines come from; nothing if that is not known.
    pub(super) source: Option<&'k SourceName>,
    /// The machine that wrote them.
    pub(super) host: &'k str,
    /// Who reads them: by name and mode, since numbers are others after a reload.
    pub(super) filter: &'k FilterName,
    pub(super) mode: &'k str,
    /// What ties them together; empty if the log does.
    pub(super) connection: &'k str,
}

/// The hash of a key. So many bits are no other key's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct KeyHash(u128);

/// Something of which it is known how many bytes of it somebody else has written.
pub(super) trait Measured {
    /// These.
    fn bytes(&self) -> usize;
}

/// Keys are seldom longer, and then need no memory of their own.
const USUAL_KEY: usize = 128;

/// What is remembered, by whose it is, up to so many bytes.
#[derive(Debug)]
pub(super) struct Recent<T> {
    /// Of the hashes that keys are known by.
    hasher: SipHasher13,
    all: ByHash<KeyHash, Kept<T>>,
    /// How often the newer ones have become the older ones.
    turn: u64,
    /// The bytes of the newer ones. At half of what there is room for these become the older ones, and those are forgotten.
    bytes: usize,
    most: usize,
    least: usize,
}

/// Something that is remembered.
#[derive(Debug)]
struct Kept<T> {
    /// Nothing for as long as somebody is about to change it.
    value: Option<T>,
    bytes: usize,
    /// At which turn it was asked for last: it is one of the newer ones if that is the present one.
    turn: u64,
}

impl<T: Measured> Recent<T> {
    /// Room for `most` bytes, of which each thing takes `least` at the least.
    pub(super) fn new(most: usize, least: usize) -> Self {
        let (one, other) = random_key();
        Recent {
            hasher: SipHasher13::new_with_keys(one, other),
            all: ByHash::default(),
            turn: 0,
            bytes: 0,
            most,
            least,
        }
    }

    /// Whether something is remembered.
    pub(super) fn knows(&self, key: KeyHash) -> bool {
        self.all.contains_key(&key)
    }

    /// Lets somebody change what is remembered, which is nothing at first; what is left there is remembered.
    pub(super) fn change<R>(
        &mut self,
        key: KeyHash,
        change: impl FnOnce(&mut Option<T>) -> R,
    ) -> R {
        let mut entry = match self.all.entry(key) {
            Entry::Occupied(entry) => entry,
            Entry::Vacant(entry) => entry.insert_entry(Kept {
                value: None,
                bytes: 0,
                turn: self.turn,
            }),
        };
        let kept = entry.get_mut();
        if kept.turn == self.turn {
            self.bytes -= kept.bytes;
        }
        let result = change(&mut kept.value);
        let Some(value) = &kept.value else {
            entry.remove();
            return result;
        };
        kept.bytes = value.bytes().max(self.least);
        let is_full = self.bytes + kept.bytes > self.most / 2;
        if is_full {
            self.turn += 1;
            self.bytes = 0;
        }
        self.bytes += kept.bytes;
        kept.turn = self.turn;
        if is_full {
            self.all.retain(|_, kept| kept.turn + 1 >= self.turn);
        }
        result
    }

    /// What a key is known by.
    pub(super) fn hash(&self, key: &Key<'_>) -> KeyHash {
        let source = key.source.map_or("", SourceName::as_str);
        let length = key.host.len().to_le_bytes();
        let filter = key.filter.as_str();
        // Together, since the hash takes a long text in little more time than an empty one.
        let mut text = SmallVec::<[u8; USUAL_KEY]>::new();
        for part in [source, "\0", filter, "\0", key.mode, "\0"] {
            text.extend_from_slice(part.as_bytes());
        }
        for part in [&length, key.host.as_bytes(), key.connection.as_bytes()] {
            text.extend_from_slice(part);
        }
        KeyHash(self.hasher.hash(&text).as_u128())
    }

    /// How many there are.
    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.all.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    impl Measured for (usize, usize) {
        fn bytes(&self) -> usize {
            self.1
        }
    }

    #[test]
    fn what_is_asked_for_is_kept_and_the_rest_has_an_end() {
        let filter = "sshd".parse().expect("a name");
        let mut recent = Recent::new(100, 5);
        let mut swap = |number: usize, value| {
            let connection = number.to_string();
            let key = Key {
                source: None,
                host: "box",
                filter: &filter,
                mode: "normal",
                connection: &connection,
            };
            let key = recent.hash(&key);
            let before = recent.change(key, |kept| std::mem::replace(kept, value));
            (before, recent.len())
        };
        swap(0, Some((0, 1)));
        for number in 1..1_000 {
            swap(number, Some((number, 1)));
            let (before, count) = swap(0, Some((0, 1)));
            assert_eq!(before, Some((0, 1)), "{number}");
            assert!(count <= 20, "{number}");
        }
        assert_eq!(swap(1, None).0, None);
        assert_eq!(swap(999, None).0, Some((999, 1)));
        assert_eq!(swap(999, None).0, None);
        for number in 0..10 {
            let (_, count) = swap(number, Some((number, 40)));
            assert!(number == 0 || count <= 2, "large ones are fewer");
        }
    }

    #[test]
    fn nobody_has_the_key_of_another() {
        let filter = "sshd".parse().expect("a name");
        let sources = [
            "one".parse().expect("a name"),
            "two".parse().expect("a name"),
        ];
        let mut recent = Recent::new(1_000_000, 1);
        let mut count = 0;
        for source in [None, Some(&sources[0]), Some(&sources[1])] {
            for (host, connection) in [
                ("", "ab"),
                ("a", "b"),
                ("ab", ""),
                ("a\0b", ""),
                ("a", "\0b"),
            ] {
                for mode in ["normal", "extra"] {
                    let key = Key {
                        source,
                        host,
                        filter: &filter,
                        mode,
                        connection,
                    };
                    let key = recent.hash(&key);
                    recent.change(key, |kept| *kept = Some((0, 1)));
                    count += 1;
                }
            }
        }
        assert_eq!(recent.len(), count);
    }
}
