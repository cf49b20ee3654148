//! What is shown is read back.
#![no_main]

use f2bd::engine::prefix::Prefix;

libfuzzer_sys::fuzz_target!(|text: &str| {
    if let Ok(prefix) = text.parse::<Prefix>() {
        assert_eq!(prefix.to_string().parse(), Ok(prefix));
    }
});
