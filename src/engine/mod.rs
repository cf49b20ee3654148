//! What should be done about what was heard?
//!
//! One door in ([`Engine::handle`], an [`Input`]), one door out (a list of [`Decision`]s). Nothing in
//! this room reads a clock, touches a file, starts a thread or names another room of the house; time
//! is an argument. A test compiles the room alone so that the border cannot rot.

pub mod atlas;
pub mod cursor;
pub mod decision;
pub mod explain;
pub mod expression;
pub mod filter;
pub mod host;
pub mod ignore;
pub mod input;
pub mod jail;
pub mod ledger;
pub mod name;
pub mod policy;
pub mod prefix;
pub mod record;
pub mod replay;
pub mod sighting;
pub mod subject;
pub mod time;

mod core;

pub use self::core::Engine;
pub use self::core::MOST_ALLOWED;
pub use self::decision::Decision;
pub use self::input::Input;
