//! f2bd: reads a machine's logs, recognises the hosts that attack it, bans them for a while.
//!
//! The guided tour. A record walks through the rooms in this order:
//!
//! 1. [`source`] turns the bytes of the world (the journal) into batches of records.
//! 2. [`engine`] hears one [`engine::Input`] after the other and answers with [`engine::Decision`]s:
//!    `filter` recognises failures, `jail` counts them, `ledger` knows who is banned. It is pure:
//!    no clock, no file, no thread. `f2bd replay` and `f2bd match` run this very room.
//! 3. [`store`] remembers decisions and the source's cursor in one SQLite transaction.
//! 4. [`action`] makes the firewall equal to the ledger; what came of it goes back to the engine
//!    as an input.
//!
//! [`ignore`] knows who must not be banned at any moment, and tells the engine.
//!
//! Around that line: [`config`] reads the settings, [`control`] is the socket on which the daemon is
//! asked and told, [`daemon`] starts the threads and keeps the order *decide, remember, act*, and
//! [`cli`] is the command line. Imports point down only: `engine`, then `source | store | action |
//! control | ignore`, then `config`, then `daemon | cli`.
//!
//! The library exists for the binary, its tests, benchmarks and fuzzers and promises no stable
//! Rust interface; the contracts are the command line, the configuration, the exit codes, the
//! database and the manuals.

pub mod action;
pub mod cli;
pub mod config;
pub mod control;
pub mod daemon;
pub mod engine;
pub mod ignore;
pub mod source;
pub mod store;
