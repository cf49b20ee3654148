//! No text breaks the parser of cursors in log files, and what is shown is read back.
#![no_main]

use f2bd::source::file::token::Token;

libfuzzer_sys::fuzz_target!(|text: &str| {
    if let Ok(token) = text.parse::<Token>() {
        assert_eq!(token.to_string().parse(), Ok(token));
    }
});
