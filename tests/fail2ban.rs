//! Facts about what is taken over from Fail2ban: it is asked what it makes of the same, where it is there.

mod actions;
mod dates;
mod expressions;
