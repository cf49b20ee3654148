//! `f2bd check`: is the configuration sound?

use std::io::Write;
use std::path::Path;

use super::failure::{Exit, Failure};
use super::output::{self, BAD, GOOD, counted};
use crate::config::{self, Severity};

/// Reads everything, proves the filters, and prints every problem.
///
/// # Errors
/// There is a mistake, which has been printed.
pub fn run(config: Option<&Path>, json: bool) -> Result<(), Failure> {
    let loaded = config::load_and_prove(config);
    let mut out = output::stdout();
    if json {
        writeln!(out, "{}", config::resolved(&loaded))?;
    } else {
        for problem in &loaded.problems {
            let style = match problem.severity {
                Severity::Error => BAD,
                Severity::Warning => output::HEADING,
            };
            writeln!(out, "{style}{problem}{style:#}")?;
        }
        if loaded.settings.is_some() {
            let enabled = loaded.jails.iter().filter(|(jail, _)| jail.enabled).count();
            writeln!(
                out,
                "{GOOD}The configuration is sound{GOOD:#}: {}.",
                counted(enabled, "jail")
            )?;
        }
    }
    out.flush()?;
    match loaded.settings {
        Some(_) => Ok(()),
        None => Err(Failure::silent(Exit::BadConfiguration)),
    }
}
