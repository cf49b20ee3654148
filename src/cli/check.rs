//! `f2bd check`: is the configuration sound?

use std::io::Write;
use std::path::Path;

use super::failure::{Exit, Failure};
use super::output::{self, BAD, Clock, GOOD, counted};
use super::{advice, deaf};
use crate::config::{self, Severity};

/// Reads everything, proves the filters, and prints every problem; also which filters may have gone deaf, by the database, and
/// what else is not as it is meant.
///
/// # Errors
/// There is a mistake, which has been printed.
pub fn run(config: Option<&Path>, json: bool, clock: &Clock) -> Result<(), Failure> {
    let mut loaded = config::load_and_prove(config);
    if let Some(settings) = &loaded.settings {
        let main = config::files::main_file(config);
        let deaf = deaf::warnings(settings, clock.now);
        let advice = advice::warnings(&main, settings, &loaded.jails, clock);
        let stock = advice::of_stock_filters(&main, settings, &loaded.stock_filters);
        let database = &settings.daemon.database;
        let bans = config::fail2ban::state::waiting_for(database, settings.tree.as_deref());
        loaded.problems.extend(bans);
        loaded.problems.extend(deaf);
        loaded.problems.extend(advice);
        loaded.problems.extend(stock);
    }
    // They are no reason not to start, but whoever asks wants to know.
    let is_left_out = |problem: &config::Problem| problem.severity == Severity::LeftOut;
    let is_sound = loaded.settings.is_some() && !loaded.problems.iter().any(is_left_out);
    let mut out = output::stdout();
    if json {
        writeln!(out, "{}", config::resolved(&loaded))?;
    } else {
        for problem in &loaded.problems {
            let style = match problem.severity {
                Severity::Error | Severity::LeftOut => BAD,
                Severity::Warning => output::HEADING,
            };
            writeln!(out, "{style}{problem}{style:#}")?;
        }
        if is_sound {
            let enabled = loaded.jails.iter().filter(|(jail, _)| jail.enabled).count();
            writeln!(
                out,
                "{GOOD}The configuration is sound{GOOD:#}: {}.",
                counted(enabled, "jail")
            )?;
        }
    }
    out.flush()?;
    match is_sound {
        true => Ok(()),
        false => Err(Failure::silent(Exit::BadConfiguration)),
    }
}
