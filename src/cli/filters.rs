//! `f2bd filters`: which filters are there, and what does each of them need?
//!
//! In: the filter files. Out: a table of all, or all that an administrator has to know of some. No log is read here.

use std::io::Write;
use std::path::Path;

use serde_json::{Value, json};

use super::failure::{Exit, Failure};
use super::output::{self, HEADING, Table, harmless};
use super::unfiltered;
use crate::config::filter::{FilterFile, NORMAL};
use crate::config::{self, Problems};

/// Prints all filters, or these.
///
/// # Errors
/// There is no filter of such a name, or one cannot be used.
pub fn run(names: &[String], json: bool, config: Option<&Path>) -> Result<(), Failure> {
    let mut problems = Problems::default();
    let files: Vec<FilterFile> = match names {
        [] => config::filter_files(config, &mut problems),
        names => {
            let read = |name: &String| config::read_filter(name, config, &mut problems);
            names.iter().filter_map(read).collect()
        }
    };
    let mut out = output::stdout();
    if json {
        for file in &files {
            writeln!(out, "{}", object(file))?;
        }
    } else if names.is_empty() {
        let mut table = Table::new(&["FILTER", "WHAT IT COUNTS"]);
        for file in &files {
            table.row([file.name().to_string(), harmless(file.title())]);
        }
        table.print(&mut out)?;
    } else {
        for file in &files {
            describe(&mut out, file)?;
        }
    }
    out.flush()?;
    match problems.into_sorted().as_slice() {
        [] => Ok(()),
        // A name that nothing has is no mistake of the configuration.
        _ if files.is_empty() && !names.is_empty() => Err(unknown(names, config)),
        problems => Err(Failure::of_problems(problems)),
    }
}

fn unknown(names: &[String], config: Option<&Path>) -> Failure {
    let known = config::filter_names(config);
    let lines = names.iter().map(|name| {
        if let Some(reason) = unfiltered::reason(name) {
            return format!("there is no filter `{name}`: {reason}");
        }
        let near = config::nearest(name, known.iter().map(String::as_str));
        let near = near.map_or_else(
            || "`f2bd filters` lists all".to_owned(),
            |near| format!("did you mean `{near}`?"),
        );
        format!(
            "there is no filter `{}` that can be used: {near}",
            harmless(name)
        )
    });
    Failure::new(Exit::NoInput, lines.collect::<Vec<_>>().join("\n"))
}

/// What is printed of one filter, as what it is called and what it is.
fn facts(file: &FilterFile) -> [(&'static str, String); 9] {
    let records = file.spec(NORMAL).records;
    let list = |words: &[Box<str>]| words.join(", ");
    let protocols = file.protocols().iter().map(ToString::to_string);
    let protocols: Vec<_> = protocols.collect();
    let journal = records.journal.map(|wanted| wanted.to_string());
    [
        ("written for", file.versions().to_owned()),
        ("needs", file.needs().to_owned()),
        ("modes", file.modes().join(", ")),
        ("ports", file.port_words().join(", ")),
        ("protocols", protocols.join(", ")),
        ("programs", list(&records.programs)),
        ("journal", journal.unwrap_or_default()),
        ("files", list(&records.files)),
        ("file", file.text().path.display().to_string()),
    ]
}

fn describe(out: &mut impl Write, file: &FilterFile) -> std::io::Result<()> {
    writeln!(
        out,
        "{HEADING}{}{HEADING:#}: {}",
        file.name(),
        harmless(file.title())
    )?;
    for (what, said) in facts(file) {
        if !said.is_empty() {
            writeln!(out, "  {what:<11}  {}", harmless(&said))?;
        }
    }
    Ok(())
}

fn object(file: &FilterFile) -> Value {
    let records = file.spec(NORMAL).records;
    let protocols = file.protocols().iter().map(ToString::to_string);
    json!({
        "filter": file.name().to_string(),
        "title": file.title(),
        "versions": file.versions(),
        "needs": file.needs(),
        "modes": file.modes(),
        "ports": file.port_words(),
        "protocols": protocols.collect::<Vec<_>>(),
        "programs": records.programs,
        "journal": records.journal.map(|wanted| wanted.to_string()),
        "files": records.files,
        "path": file.text().path.to_string_lossy(),
    })
}
