//! What was remembered of late?
//!
//! In: by which hash something is known, and what becomes of it. Out: the same when it is asked for, unless more has come since
//! than there is room for: then what was changed least recently is forgotten.

use std::collections::hash_map::Entry;

use crate::engine::filter::hashed::{ByHash, NameHash};

/// Something of which it is known how many bytes of it somebody else has written.
pub(super) trait Measured {
    /// These.
    fn bytes(&self) -> usize;
}

/// What is remembered, up to so many bytes.
#[derive(Debug)]
pub(super) struct Recent<T> {
    all: ByHash<NameHash, Kept<T>>,
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
    /// At which turn it was changed last: it is one of the newer ones if that is the present one.
    turn: u64,
}

impl<T: Measured> Recent<T> {
    /// Room for `most` bytes, of which each thing takes `least` at the least.
    pub(super) fn new(most: usize, least: usize) -> Self {
        Recent {
            all: ByHash::default(),
            turn: 0,
            bytes: 0,
            most,
            least,
        }
    }

    /// Whether something is remembered.
    pub(super) fn knows(&self, name: NameHash) -> bool {
        self.all.contains_key(&name)
    }

    /// Lets somebody change what is remembered, which is nothing at first; what is left there is remembered.
    pub(super) fn change<R>(
        &mut self,
        name: NameHash,
        change: impl FnOnce(&mut Option<T>) -> R,
    ) -> R {
        let mut entry = match self.all.entry(name) {
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
    fn what_is_changed_is_kept_and_the_rest_has_an_end() {
        let mut recent = Recent::new(100, 5);
        let mut swap = |number: usize, value| {
            let before = recent.change(NameHash::of(number as u128), |kept| {
                std::mem::replace(kept, value)
            });
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
}
