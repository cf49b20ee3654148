//! What does an administrator of Fail2ban have?
//!
//! Nothing below this room knows of Fail2ban. `state` is whom it keeps out.

pub mod state;
