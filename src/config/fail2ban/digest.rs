//! By what is a text known again that we may not keep?

use std::fmt::Write as _;

use ring::digest::{SHA256, digest};

/// The SHA-256 of a text, in small hexadecimal digits.
pub fn sha256(text: &str) -> String {
    let bytes = digest(&SHA256, text.as_bytes());
    bytes.as_ref().iter().fold(String::new(), |mut hash, byte| {
        // A text takes all that is written to it.
        let _ = write!(hash, "{byte:02x}");
        hash
    })
}
