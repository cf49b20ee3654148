//! How does a file begin, as far as it is known?
//!
//! In: its first bytes, at most [`LONGEST_HEAD`]. Out: those, and the fingerprint that a cursor tells of them.

use super::token::{Fingerprint, LONGEST_HEAD};

/// The beginning of a file.
#[derive(Debug, Default)]
pub struct Front {
    bytes: Vec<u8>,
    /// Of all of it, which changes no more once nothing is missing: each cursor tells it.
    whole: Option<Fingerprint>,
}

impl Front {
    /// What it is.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Whether nothing is missing that could ever be told of it.
    pub fn is_whole(&self) -> bool {
        self.whole.is_some()
    }

    /// Takes note that the file begins with this.
    pub fn set(&mut self, bytes: &[u8]) {
        self.bytes.clear();
        self.bytes.extend_from_slice(bytes);
        let is_whole = bytes.len() >= LONGEST_HEAD;
        self.whole = is_whole.then(|| Fingerprint::of(bytes));
    }

    /// The fingerprint of what is known of its first `length` bytes; `None` if that is nothing.
    pub fn head(&self, length: u64) -> Option<Fingerprint> {
        let length = usize::try_from(length).unwrap_or(usize::MAX);
        if length >= LONGEST_HEAD && self.is_whole() {
            return self.whole;
        }
        let head = &self.bytes[..length.min(self.bytes.len())];
        (!head.is_empty()).then(|| Fingerprint::of(head))
    }
}

impl From<Vec<u8>> for Front {
    fn from(bytes: Vec<u8>) -> Self {
        let is_whole = bytes.len() >= LONGEST_HEAD;
        Front {
            whole: is_whole.then(|| Fingerprint::of(&bytes)),
            bytes,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn what_is_told_is_what_was_read(bytes in prop_oneof![
            proptest::collection::vec(any::<u8>(), 0..20),
            proptest::collection::vec(any::<u8>(), LONGEST_HEAD - 1..=LONGEST_HEAD),
        ], read in 0..2000_u64) {
            let told = Front::from(bytes.clone()).head(read);
            let known = usize::try_from(read).expect("small").min(bytes.len());
            prop_assert_eq!(told, (known > 0).then(|| Fingerprint::of(&bytes[..known])));
            let mut later = Front::from(vec![0; LONGEST_HEAD]);
            later.set(&bytes);
            prop_assert_eq!(later.head(read), told);
        }
    }
}
