//! Is a tree of Fail2ban taken over as it is?
//!
//! Each part against Fail2ban's own, which is read from target/samples and run with Python where it is there.

mod actions;
