//! Facts about what is taken over from Fail2ban: it is asked what it makes of the same, where it is there.
//!
//! Debian's package fail2ban is read where it was unpacked and none of it is in this tree; its programs run from there.

mod actions;
mod bad;
mod changes;
mod clients;
mod dates;
mod expressions;
mod fuzz;
mod log;
mod monitors;
mod overriding;
mod package;
mod pair;
mod regex;
mod run;
mod samples;
mod shown;
mod slips;
mod socket;
mod starting;
mod stock;
mod targets;
mod transcription;
mod tree;
mod views;
