//! `f2bd report`: tell the daemon of a failure that no log has to tell.

use std::io;
use std::os::unix::net::UnixDatagram;
use std::path::PathBuf;

use super::failure::{Exit, Failure};
use crate::engine::record::report::Report;

/// Sends a report. Nobody answers; who may report is decided where it comes in.
///
/// # Errors
/// Nobody takes it.
pub fn run(report: &Report<'_>, socket: PathBuf) -> Result<(), Failure> {
    let bytes = serde_json::to_vec(report)
        .map_err(|error| Failure::new(Exit::Software, error.to_string()))?;
    let sent = UnixDatagram::unbound().and_then(|sender| {
        // Whoever logs in waits for this, and a daemon that is busy must not keep him.
        sender.set_nonblocking(true)?;
        sender.send_to(&bytes, &socket)
    });
    sent.map(drop).map_err(|error| {
        let exit = match error.kind() {
            io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused => Exit::Unreachable,
            io::ErrorKind::PermissionDenied => Exit::NotPermitted,
            _ => Exit::Io,
        };
        let path = socket.display();
        Failure::new(exit, format!("no report can be sent to {path}: {error}; is there a source of type \"report\", and does f2bd run?"))
    })
}
