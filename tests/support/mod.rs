//! What several tests need: private worlds, real programs, waiting for facts with a deadline.

pub mod dice;
pub mod guard;
pub mod journald;
pub mod ledger;
pub mod mmdb;
pub mod nameserver;
pub mod netns;
pub mod samples;
pub mod wait;
pub mod world;

/// Tells loudly that a test cannot be made here; in CI that is a failure.
pub fn skipped<T>(why: &str) -> Option<T> {
    assert!(
        std::env::var_os("CI").is_none(),
        "cannot be skipped in CI: {why}"
    );
    eprintln!("SKIPPED: {why}");
    None
}

/// The present moment, as the daemon would stamp it.
pub fn now() -> f2bd::engine::time::Timestamp {
    jiff::Timestamp::now().into()
}
