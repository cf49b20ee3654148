//! How is something found again that is known by a hash?
//!
//! Names of which foreign text is a part are as long as somebody likes; a hash of them is not, and costs no memory. Nobody
//! outside knows its key, so nobody can make two alike at will. What is hashed is known elsewhere.

use std::collections::HashMap;
use std::hash::{BuildHasher, BuildHasherDefault, Hasher, RandomState};

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

/// A key for hashes, another one each time.
pub(super) fn random_key() -> (u64, u64) {
    let random = RandomState::new();
    (random.hash_one(0), random.hash_one(1))
}
