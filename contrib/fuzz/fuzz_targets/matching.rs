//! Filters take of every text what each of their patterns takes by itself, and of every log the same lines whether or
//! not those are passed over that no pattern can take.
#![no_main]

use std::sync::LazyLock;

#[path = "../../../tests/differential/choices.rs"]
mod choices;
#[expect(dead_code, reason = "only the test counts")]
#[path = "../../../tests/differential/generated.rs"]
mod generated;
#[path = "../../../tests/differential/naive.rs"]
mod naive;
#[path = "../../../tests/differential/patterns.rs"]
mod patterns;
#[path = "../../../tests/differential/streams.rs"]
mod streams;
#[path = "../../../tests/differential/texts.rs"]
mod texts;

static READERS: LazyLock<streams::Readers> = LazyLock::new(streams::Readers::new);

libfuzzer_sys::fuzz_target!(|input: (bool, &[u8])| {
    match input {
        (true, bytes) => {
            generated::check(bytes);
        }
        (false, bytes) => {
            READERS.check(bytes);
        }
    }
});
