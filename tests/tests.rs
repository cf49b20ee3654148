#![expect(clippy::unwrap_used, reason = "local")]
mod filters;
