//! What several tests need: private worlds, real programs, waiting for facts with a deadline.

pub mod journald;
pub mod netns;
pub mod wait;
pub mod world;
