//! `f2bd import`: what does this machine's Fail2ban have that f2bd should go on with?
//!
//! `directory` is what it was told, `state` whom it keeps out.

mod directory;
mod state;

use super::args::{Common, ImportArgs};
use super::failure::Failure;
use super::output::Clock;

/// Takes over what is asked for.
///
/// # Errors
/// It cannot be read or put anywhere, or not all of it was taken over.
pub fn run(args: &ImportArgs, common: &Common, clock: &Clock) -> Result<(), Failure> {
    match (&args.state, &args.directory, &args.output) {
        (Some(path), ..) => state::run(path, args.json, common, clock),
        (None, Some(folder), output) => {
            directory::run(folder, output.as_deref(), args.force, args.json)
        }
        // The command line does not let this come.
        (None, None, _) => Ok(()),
    }
}
