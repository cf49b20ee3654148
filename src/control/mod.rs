//! How does a running daemon hear people and programs?
//!
//! Over a unix socket: one request a connection, one line of JSON each way, or a stream of lines for those who
//! follow. [`protocol`] says what the lines are, [`server`] answers, [`client`] asks. Nothing is decided here:
//! a question goes to the driver and its answer comes back.
//! [`fail2ban`] answers those who know another daemon's words.

pub mod client;
pub mod fail2ban;
pub mod health;
pub mod protocol;
pub mod server;
pub mod settings;
pub mod text;

use tokio::sync::oneshot;

use protocol::{Reply, Request};

/// A request with the way back to whoever asked.
#[derive(Debug)]
pub struct Question {
    /// What is asked or told.
    pub request: Request,
    /// Where the answer goes.
    pub reply: oneshot::Sender<Reply>,
}
