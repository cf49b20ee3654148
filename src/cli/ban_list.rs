//! `f2bd bans --format`: who is banned, as others want to read it?
//!
//! How a list is written is the business of the action that serves it.

use std::io::Write;
use std::path::Path;

use super::failure::Failure;
use super::output::{self, Clock};
use super::query::all_bans;
use crate::action::serve::formats::{self, Format, Wishes};
use crate::action::serve::listing::{Listed, Position, listed_once};
use crate::engine::name::JailName;

/// Prints the list of all who are kept out, or of those whom one jail keeps out.
///
/// # Errors
/// The daemon cannot be asked, or knows no such jail.
pub fn print(
    socket: &Path,
    jail: Option<JailName>,
    format: Format,
    clock: &Clock,
) -> Result<(), Failure> {
    let rows = all_bans(socket, jail)?.into_iter().filter(|row| {
        let response = row.response.as_ref();
        response.is_none_or(|response| !response.lets_through)
    });
    let bans = rows.filter_map(|row| {
        Some(Listed {
            subject: row.subject.network()?,
            jail: row.jail,
            until: row.until,
            number: Position(0),
        })
    });
    let mut out = output::stdout();
    for line in formats::write(format, listed_once(bans), clock.now, Wishes::default()) {
        out.write_all(line.as_bytes())?;
    }
    out.flush()?;
    Ok(())
}
