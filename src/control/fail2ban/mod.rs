//! How are those answered who know Fail2ban's words?
//!
//! In: the words of a command, as `fail2ban-client` takes them, from our own command line or from Fail2ban's socket. Out:
//! what Fail2ban would answer, as a value of Python. [`command`] understands the words, [`answer`] finds the answer
//! by asking the daemon over the control protocol's requests, [`value`] is what is answered, [`pickle`] is how values
//! travel, [`socket`] is Fail2ban's socket, [`line`] is the form of a line in Fail2ban's log, and [`threshold`] which of
//! them are written.

pub mod answer;
pub mod command;
pub mod fault;
pub mod files;
pub mod line;
pub mod pickle;
pub mod socket;
pub mod threshold;
pub mod value;

/// The version of Fail2ban whose commands and formats are spoken. Programs ask for it to know what they may ask for.
pub const SPOKEN_VERSION: &str = "1.1.1";
