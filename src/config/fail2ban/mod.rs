//! What does an administrator of Fail2ban have written, and what does it come to?
//!
//! In: a directory such as /etc/fail2ban. Out: a `Tree` of its jails as Fail2ban would start them, each value with the place
//! it was written at. Nothing is started here, and nothing below this room knows that such a directory was read.
//!
//! `expression` translates the regular expressions of its filters, `date` what they say of dates.

pub mod date;
pub mod expression;
