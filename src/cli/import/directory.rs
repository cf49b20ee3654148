//! `f2bd import DIR`: what would this machine's Fail2ban be as an f2bd?
//!
//! In: its directory. Out: a directory for f2bd, and a word about each jail. Nothing that is there is overwritten unless that is
//! asked for.

use std::fs::{self, File, Permissions};
use std::io::{self, Write};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{self, Path};

use serde::Serialize;

use crate::cli::failure::{Exit, Failure};
use crate::cli::output::{self, BAD, GOOD, HEADING, harmless};
use crate::config::fail2ban::import::{Carried, Converted, convert};
use crate::config::{Problem, Problems, Severity};

/// Where the files would usually go, as far as they say so themselves.
const USUAL: &str = "/etc/f2bd";

/// The rights of a file that only its owner may read, and of all others, which the umask narrows.
const SECRET: u32 = 0o600;
const OPEN: u32 = 0o666;

#[derive(Debug, Serialize)]
struct Report<'a> {
    files: Vec<String>,
    jails: Vec<JailRow<'a>>,
    needs: &'a [String],
    problems: Vec<String>,
}

#[derive(Debug, Serialize)]
struct JailRow<'a> {
    jail: &'a str,
    carried: &'static str,
    differences: &'a [String],
    converted: Option<&'a str>,
}

/// Converts `folder` into `output`; without one it only tells what would come of it.
///
/// # Errors
/// It cannot be read or written, or a jail was not carried over, which has been printed.
pub fn run(folder: &Path, output: Option<&Path>, force: bool, json: bool) -> Result<(), Failure> {
    let whole = |path: &Path| {
        path::absolute(path)
            .map_err(|error| Failure::new(Exit::of_reading(&error), error.to_string()))
    };
    let place = whole(output.unwrap_or(Path::new(USUAL)))?;
    let mut problems = Problems::default();
    let Some(converted) = convert(&whole(folder)?, &place, &mut problems) else {
        return Err(Failure::of_problems(&problems.into_sorted()));
    };
    let fatal = |problem: &&Problem| problem.severity == Severity::Error;
    let fatal: Vec<_> = converted.problems.iter().filter(fatal).cloned().collect();
    if !fatal.is_empty() {
        return Err(Failure::of_problems(&fatal));
    }
    if let Some(output) = output {
        write(&converted, output, force)?;
    }
    let mut out = output::stdout();
    match json {
        true => {
            let text = serde_json::to_string(&report(&converted)).map_err(io::Error::from)?;
            writeln!(out, "{text}")?;
        }
        false => print(&mut out, &converted, output)?,
    }
    out.flush()?;
    match converted.jails.iter().all(|jail| jail.is_there) {
        true => Ok(()),
        false => Err(Failure::silent(Exit::NotSo)),
    }
}

/// Writes the files, all of them or, if one is there already, none.
fn write(converted: &Converted, output: &Path, force: bool) -> Result<(), Failure> {
    let paths = converted.files.keys().map(|path| output.join(path));
    let there: Vec<_> = paths.filter(|path| path.exists()).collect();
    if let (false, [first, ..]) = (force, &there[..]) {
        let message = format!(
            "{} is there already; --force writes over it, and over whatever else has the name of a new file",
            first.display()
        );
        return Err(Failure::new(Exit::NotSo, message));
    }
    for (path, file) in &converted.files {
        let path = output.join(path);
        let failed = |error: io::Error| {
            let message = format!("cannot write {}: {error}", path.display());
            Failure::new(Exit::of_writing(&error), message)
        };
        if let Some(folder) = path.parent() {
            fs::create_dir_all(folder).map_err(failed)?;
        }
        let mode = if file.is_secret { SECRET } else { OPEN };
        let mut new = File::options()
            .write(true)
            .create(true)
            .truncate(true)
            .create_new(!force)
            .mode(mode)
            .open(&path)
            .map_err(failed)?;
        if file.is_secret {
            // One that was there already may be open to others.
            new.set_permissions(Permissions::from_mode(mode))
                .map_err(failed)?;
        }
        new.write_all(file.text.as_bytes()).map_err(failed)?;
    }
    Ok(())
}

fn carried(jail: &Carried) -> &'static str {
    match (jail.is_there, jail.differences.is_empty()) {
        (true, true) => "exactly",
        (true, false) => "with_differences",
        (false, _) => "not",
    }
}

fn report(converted: &Converted) -> Report<'_> {
    let files = converted.files.keys();
    let jails = converted.jails.iter().map(|jail| JailRow {
        jail: &jail.jail,
        carried: carried(jail),
        differences: &jail.differences,
        converted: jail.converted.as_deref(),
    });
    Report {
        files: files.map(|path| path.display().to_string()).collect(),
        jails: jails.collect(),
        needs: &converted.needs,
        problems: converted.problems.iter().map(ToString::to_string).collect(),
    }
}

fn print(out: &mut impl Write, converted: &Converted, output: Option<&Path>) -> io::Result<()> {
    for problem in &converted.problems {
        writeln!(out, "{}", harmless(&problem.to_string()))?;
    }
    for jail in &converted.jails {
        let (style, words) = match carried(jail) {
            "exactly" => (GOOD, "carried over exactly"),
            "with_differences" => (HEADING, "carried over, with a difference:"),
            _ => (BAD, "not carried over:"),
        };
        writeln!(out, "{style}{}{style:#} {words}", harmless(&jail.jail))?;
        for difference in &jail.differences {
            writeln!(out, "    {}", harmless(difference))?;
        }
        if let Some(why) = &jail.converted {
            writeln!(out, "    its filter is converted: {}", harmless(why))?;
        }
    }
    for need in &converted.needs {
        writeln!(out, "{}", harmless(need))?;
    }
    let count = converted.files.len();
    match output.map(Path::display) {
        Some(output) => writeln!(
            out,
            "{count} files are in {output}; see what they come to with `f2bd check --config {output}`."
        ),
        None => writeln!(
            out,
            "Nothing is written; `--output {USUAL}` would write {count} files there."
        ),
    }
}
