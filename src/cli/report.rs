//! `f2bd report`: tell the daemon of a failure that no log has to tell.

use std::io;
use std::os::unix::net::UnixDatagram;
use std::path::PathBuf;

use super::failure::{Exit, Failure};
use crate::engine::record::report::Report;

/// Sends a report. Nobody answers; who may report is decided where it comes in.
///
/// # Errors
/// Nobody takes it, or there is no socket where it could be taken.
pub fn run(report: &Report<'_>, socket: Option<PathBuf>) -> Result<(), Failure> {
    let socket = socket.ok_or_else(|| {
        let message = "no source takes reports: write a section such as [source.report] with type = \"report\" into f2bd.conf, or name the socket with --to";
        Failure::new(Exit::BadConfiguration, message)
    })?;
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
        let remedy = match error.kind() {
            io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused => {
                "; does f2bd run, and does a jail listen to its source of reports?"
            }
            io::ErrorKind::WouldBlock => "; f2bd is busy, and nobody waits for it",
            _ => "",
        };
        let path = socket.display();
        Failure::new(
            exit,
            format!("no report can be sent to {path}: {error}{remedy}"),
        )
    })
}
