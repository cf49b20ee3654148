//! Facts about directories of Fail2ban: what f2bd makes of them, held against what Fail2ban itself does.
//!
//! Debian's package fail2ban is read where it was unpacked and none of it is in this tree; its programs run from there.

mod fuzz;
mod package;
mod tree;
