//! What was remembered of late?
//!
//! In: something to remember, and whose it is. Out: the same when it is asked for, unless more has come since than there is
//! room for: then what was asked for least recently is forgotten.

use std::collections::HashMap;

use crate::engine::name::{FilterName, SourceName};

/// Whose something is. Nobody can write into one log, or for one machine, what belongs to another.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Key {
    /// Where the lines come from; nothing if that is not known.
    pub(super) source: Option<SourceName>,
    /// The machine that wrote them.
    pub(super) host: Box<str>,
    /// Who reads them: by name and mode, since numbers are others after a reload.
    pub(super) filter: FilterName,
    pub(super) mode: Box<str>,
    /// What ties them together; empty if the log does.
    pub(super) connection: Box<str>,
}

impl Key {
    /// How many bytes of it somebody else has written.
    pub(super) fn bytes(&self) -> usize {
        self.host.len() + self.connection.len()
    }
}

/// What is remembered, by whose it is, up to so many bytes.
#[derive(Debug)]
pub(super) struct Recent<T> {
    /// With their bytes.
    newer: HashMap<Key, (T, usize)>,
    older: HashMap<Key, (T, usize)>,
    /// The bytes of the newer ones. At half of what there is room for these become the older ones, and those are forgotten.
    bytes: usize,
    most: usize,
    least: usize,
}

impl<T> Recent<T> {
    /// Room for `most` bytes, of which each thing takes `least` at the least.
    pub(super) fn new(most: usize, least: usize) -> Self {
        Recent {
            newer: HashMap::new(),
            older: HashMap::new(),
            bytes: 0,
            most,
            least,
        }
    }

    /// Takes something out.
    pub(super) fn take(&mut self, key: &Key) -> Option<T> {
        if let Some((known, bytes)) = self.newer.remove(key) {
            self.bytes -= bytes;
            return Some(known);
        }
        let (known, _) = self.older.remove(key)?;
        Some(known)
    }

    /// Puts in something of so many bytes that is not there.
    pub(super) fn put(&mut self, key: Key, value: T, bytes: usize) {
        let bytes = bytes.max(self.least);
        if self.bytes + bytes > self.most / 2 {
            self.older = std::mem::take(&mut self.newer);
            self.bytes = 0;
        }
        self.bytes += bytes;
        self.newer.insert(key, (value, bytes));
    }

    /// How many there are.
    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.newer.len() + self.older.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_asked_for_is_kept_and_the_rest_has_an_end() {
        let key = |number: usize| Key {
            source: None,
            host: "box".into(),
            filter: "sshd".parse().expect("a name"),
            mode: "normal".into(),
            connection: number.to_string().into(),
        };
        let mut recent = Recent::new(100, 5);
        recent.put(key(0), 0, 1);
        for number in 1..1_000 {
            recent.put(key(number), number, 1);
            assert_eq!(recent.take(&key(0)), Some(0), "{number}");
            recent.put(key(0), 0, 1);
            assert!(recent.len() <= 20, "{number}");
        }
        assert_eq!(recent.take(&key(1)), None);
        assert_eq!(recent.take(&key(999)), Some(999));
        assert_eq!(recent.take(&key(999)), None);
        for number in 0..10 {
            recent.put(key(number), number, 40);
            assert!(number == 0 || recent.len() <= 2, "large ones are fewer");
        }
    }
}
