//! The one integration binary; its modules mirror the house.

#![expect(
    clippy::unwrap_used,
    clippy::print_stderr,
    reason = "a test may panic and tell why it was skipped"
)]

mod actions;
mod atlas;
mod cli;
mod config;
mod control;
mod daemon;
mod dates;
mod deaf;
mod differential;
mod discover;
mod effect;
mod examples;
mod fail2ban;
mod files;
mod filters;
mod firewalls;
mod formats;
mod frontends;
mod hostile;
mod ignored;
mod import;
mod injection;
mod journal;
mod known;
mod leftovers;
mod losses;
mod man;
mod means;
mod names;
mod nftables;
mod notices;
mod policy;
mod remembering;
mod replay;
mod report;
mod rotation;
mod serve;
mod simulation;
mod sources;
mod steps;
mod store;
mod subjects;
mod support;
mod syslog;
mod trouble;
mod webservers;
mod whatif;
