//! The fence: the engine compiles without the house, and its own tests pass here too.

#![expect(
    dead_code,
    unused_imports,
    reason = "the engine is compiled alone, nobody calls it"
)]

#[path = "../src/engine/mod.rs"]
mod engine;
