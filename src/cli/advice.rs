//! What `f2bd check` adds of its own: would the jails do what they are for?
//!
//! In: a sound configuration, and the ends of the logs that it names. Out: warnings, of what Fail2ban and f2bd do without a word.
//! Nothing is changed, and what cannot be read is passed over: the daemon tells of that.

use std::collections::BTreeSet;
use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};

use super::output::{Clock, counted, harmless};
use super::writing::Writing;
use crate::config::{JailSettings, Patterns, Problem, Settings, Severity};
use crate::engine::filter::likely::Likely;
use crate::engine::filter::{Capture, LineMemory, View};
use crate::engine::name::FilterName;
use crate::engine::policy::FilterId;
use crate::engine::record::line::LineReader;
use crate::source::SourceSpec;
use crate::source::file::{Encoding, FilesSpec};

/// So much of the end of each log is read, in bytes: days of most logs, and no more than a moment of those that are flooded.
const END_OF_LOG: u64 = 4 * 1024 * 1024;

/// So many logs are read: a directory may have one for each of thousands of sites.
const MOST_LOGS: usize = 64;

/// A log that jails read, and which of the policy's jails.
struct Followed<'s> {
    path: PathBuf,
    spec: &'s FilesSpec,
    jails: Vec<usize>,
}

/// What one log has said.
#[derive(Default)]
struct Heard {
    /// Filters that took a line.
    took: BTreeSet<FilterId>,
    /// How many lines look like failures that no filter took.
    missed: usize,
    /// The last of them.
    example: String,
}

/// Warnings of jails that would not do what they are for. `config` is what was checked.
pub fn warnings(
    config: &Path,
    settings: &Settings,
    jails: &[(JailSettings, Patterns)],
    clock: &Clock,
) -> Vec<Problem> {
    let mut warnings = Vec::new();
    for (jail, _) in jails.iter().filter(|(jail, _)| jail.enabled) {
        warnings.extend(of_users(config, jail, settings));
    }
    // Without the words nothing looks like a failure.
    let Ok(likely) = Likely::new() else {
        return warnings;
    };
    for log in followed(settings) {
        let heard = match heard(&log, settings, &likely, clock) {
            Ok(heard) if heard.missed > 0 => heard,
            Ok(_) | Err(_) => continue,
        };
        for jail in &log.jails {
            let jail = &settings.policy.jails[*jail];
            if !heard.took.contains(&jail.filter) {
                warnings.push(of_silence(&log.path, jail.name.as_str(), &heard));
            }
        }
    }
    warnings
}

/// What is told of all filters at once that another program ships, instead of each of their patterns: nobody has written them
/// here, and nobody would change them.
pub fn of_stock_filters(
    config: &Path,
    settings: &Settings,
    stock: &[FilterName],
) -> Option<Problem> {
    let filters = &settings.policy.filters;
    let ids = (0..filters.len()).filter_map(|at| u16::try_from(at).ok().map(FilterId));
    let forgeable = ids.filter(|id| !filters.forgeable(*id).is_empty());
    let named: BTreeSet<_> = forgeable
        .map(|id| filters.spec(id).name.as_str())
        .filter(|name| stock.iter().any(|stock| stock.as_str() == *name))
        .collect();
    (!named.is_empty()).then(|| Problem {
        file: config.to_owned(),
        line: None,
        column: None,
        severity: Severity::Warning,
        message: format!(
            "some patterns of Fail2ban's own might ban whom a client names in his text: {}",
            named.into_iter().collect::<Vec<_>>().join(", ")
        ),
        remedy: "nothing need be done; f2bd's own filters, which `f2bd import` takes where it can, are proven against it"
            .to_owned(),
    })
}

/// Somebody who mistypes his password once is no attacker.
fn of_users(config: &Path, jail: &JailSettings, settings: &Settings) -> Option<Problem> {
    let mut policies = settings.policy.jails.iter();
    let policy = policies.find(|policy| policy.name == jail.name)?;
    let spec = settings.policy.filters.spec(policy.filter);
    let is_of_logins = spec.captures(Capture::User) && !spec.records.bans;
    (is_of_logins && jail.maxretry.0.get() == 1).then(|| Problem {
        file: config.to_owned(),
        line: None,
        column: None,
        severity: Severity::Warning,
        message: format!(
            "jail `{}` bans at the first failure: users who mistype a password once are kept out",
            jail.name
        ),
        remedy: "write a larger maxretry, such as 3; `f2bd replay` tells whom that would spare"
            .to_owned(),
    })
}

fn of_silence(log: &Path, jail: &str, heard: &Heard) -> Problem {
    let look = if heard.missed == 1 { "looks" } else { "look" };
    Problem {
        file: log.to_owned(),
        line: None,
        column: None,
        severity: Severity::Warning,
        message: format!(
            "none of the patterns of jail `{jail}` takes a line of its end, and {} that no jail takes {look} like a failure, such as: {}",
            counted(heard.missed, "line"),
            harmless(&heard.example)
        ),
        remedy: format!(
            "see `f2bd match --missed FILTER {}`, and whether jail `{jail}` reads the right log",
            log.display()
        ),
    }
}

/// The logs that there are now, each with the jails that read it.
fn followed(settings: &Settings) -> Vec<Followed<'_>> {
    let mut logs: Vec<Followed<'_>> = Vec::new();
    for spec in settings.sources.iter().filter_map(|source| match source {
        // What is written in other letters would not be understood here.
        SourceSpec::Files(spec) if spec.encoding == Encoding::default() => Some(spec),
        _ => None,
    }) {
        for (at, jail) in settings.policy.jails.iter().enumerate() {
            let route = jail.route.map(|route| usize::from(route.0));
            let globs = route.and_then(|route| spec.wanted.get(route));
            let mut files = BTreeSet::new();
            for glob in globs.into_iter().flatten() {
                glob.expand(&mut files, &mut Vec::new());
            }
            for path in files {
                let known = logs.iter().position(|log| log.path == path);
                match known {
                    Some(known) => logs[known].jails.push(at),
                    None if logs.len() < MOST_LOGS => logs.push(Followed {
                        path,
                        spec,
                        jails: vec![at],
                    }),
                    None => {}
                }
            }
        }
    }
    logs
}

/// Reads the end of a log.
fn heard(
    log: &Followed<'_>,
    settings: &Settings,
    likely: &Likely,
    clock: &Clock,
) -> io::Result<Heard> {
    let text = end_of(&log.path)?;
    let mut reader = LineReader::new(&Writing::said(log.spec, clock).form, clock.now);
    let mut memory = LineMemory::default();
    let mut heard = Heard::default();
    let own: BTreeSet<_> = log
        .jails
        .iter()
        .map(|jail| settings.policy.jails[*jail].filter)
        .collect();
    for line in text.split(|byte| *byte == b'\n') {
        let Ok(Some(record)) = reader.read(line) else {
            continue;
        };
        let view = View::from(record);
        let findings = settings.policy.filters.findings(&view, &mut memory);
        heard
            .took
            .extend(findings.iter().map(|finding| finding.filter));
        let is_taken = findings.iter().any(|finding| own.contains(&finding.filter));
        if !is_taken && (likely.is(record.message) || likely.is(record.object())) {
            heard.missed += 1;
            heard.example = String::from_utf8_lossy(record.message).into_owned();
        }
    }
    Ok(heard)
}

/// The last whole lines of a file.
fn end_of(path: &Path) -> io::Result<Vec<u8>> {
    // A pipe would keep us waiting for whoever writes to it.
    if !path.metadata()?.is_file() {
        return Err(io::ErrorKind::InvalidInput.into());
    }
    let mut file = File::open(path)?;
    let length = file.metadata()?.len();
    let begin = length.saturating_sub(END_OF_LOG);
    file.seek(SeekFrom::Start(begin))?;
    let mut text = Vec::new();
    file.take(END_OF_LOG).read_to_end(&mut text)?;
    if begin > 0 {
        let whole = text.iter().position(|byte| *byte == b'\n');
        text.drain(..whole.map_or(text.len(), |end| end + 1));
    }
    Ok(text)
}
