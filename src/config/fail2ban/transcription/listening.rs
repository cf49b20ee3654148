//! Where does a jail of Fail2ban's listen?
//!
//! In: its backend, its logs, its matches of the journal. Out: `sources`, `logpath` and `journalmatch`, and sources of their own
//! for what is read otherwise than the rest.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::env;

use super::super::brackets;
use super::super::jail::Started;
use super::super::options::{Written, strip};
use super::super::stream::there;
use super::jail::Jail;
use super::values::{table, text, texts};
use crate::config::document::Table;
use crate::config::problem::{Place, Problems};
use crate::source::file::FileGlob;

/// Whatever is in a journal.
const EVERYTHING: &str = "_TRANSPORT=syslog + _TRANSPORT=journal + _TRANSPORT=stdout + _TRANSPORT=kernel + _TRANSPORT=audit + _TRANSPORT=driver";

/// How a log may be watched, all of which is one to us but for the journal.
const BACKENDS: [&str; 5] = ["auto", "polling", "pyinotify", "systemd", "gamin"];

/// So many conditions a match may come to: values of one field are alternatives, and each is combined with each.
const MOST_ALTERNATIVES: usize = 256;

/// Writes it; false if the jail would hear nothing, which is reported.
pub fn write(
    jail: &Jail<'_>,
    section: &mut Table,
    sources: &mut Table,
    problems: &mut Problems,
) -> bool {
    let backend = jail.option("backend");
    let backend_text = backend.map_or("auto", |backend| backend.text.as_str());
    let place = backend.map_or(jail.place, |backend| &backend.place);
    let one_of = || format!("write one of {}", BACKENDS.join(", "));
    let named = match brackets::part(backend_text) {
        Ok(named) => named,
        Err(error) => {
            problems.error(place, format!("`backend`: {error}"), one_of());
            return false;
        }
    };
    let word = strip(named.name).to_lowercase();
    if !BACKENDS.contains(&word.as_str()) {
        problems.error(place, format!("`backend`: there is no `{word}`"), one_of());
        return false;
    }
    let options = jail.started.filter_options();
    let matches = options
        .get("journalmatch")
        .filter(|matches| !strip(&matches.text).is_empty());
    let paths = jail.option("logpath");
    let is_auto = word == "auto";
    if reads_journal(jail.started) {
        if let Some(paths) = paths.filter(|_| is_auto) {
            let missing: Vec<_> = logs(paths).collect();
            let message = format!(
                "jail `{}` reads the journal, since there is no {}",
                jail.name,
                missing.join(" and no ")
            );
            let remedy = "write backend = systemd if that is meant, or make the log and reload";
            problems.warning(&paths.place, message, remedy);
        }
        journal(place, named.parameters, section, sources, problems);
        let wanted = matches.map(|matches| (alternatives(matches, problems), &matches.place));
        let (wanted, place) = wanted.unwrap_or_else(|| (vec![EVERYTHING.to_owned()], place));
        section.set(
            "journalmatch",
            texts(wanted.iter().map(String::as_str), place),
        );
        return true;
    }
    let Some(paths) = paths.filter(|paths| !strip(&paths.text).is_empty()) else {
        let message = format!("jail `{}` names no log", jail.name);
        problems.error(
            jail.place,
            message,
            "write logpath = PATH, or backend = systemd",
        );
        return false;
    };
    if paths
        .text
        .split('\n')
        .any(|line| strip(line).ends_with(" tail"))
    {
        let message = "`logpath`: `tail` is passed over: of a log that was never read, what is younger than findtime counts";
        problems.warning(
            &paths.place,
            message,
            "nothing need be done; the word can go",
        );
    }
    let mut good = Vec::new();
    for path in logs(paths) {
        let path = whole(path, &paths.place, problems);
        match path.parse::<FileGlob>() {
            Ok(_) => good.push(path),
            Err(error) => problems.error(
                &paths.place,
                format!("`logpath`: {error}"),
                "write absolute paths, each in a line of its own",
            ),
        }
    }
    match jail.option("logencoding").and_then(special) {
        None => {
            section.set("sources", texts(["files"], place));
            section.set(
                "logpath",
                texts(good.iter().map(|path| &**path), &paths.place),
            );
        }
        Some((encoding, place)) => {
            let name = format!("files-{}", jail.name);
            let mut source = Table::default();
            source.set("type", text("file", place));
            source.set("path", texts(good.iter().map(|path| &**path), &paths.place));
            source.set("encoding", text(encoding, place));
            sources.set(&name, table(source, place));
            section.set("sources", texts([name.as_str()], place));
        }
    }
    !good.is_empty()
}

/// Which jails need a log file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Needing {
    /// Those that read nothing else.
    OnlyFiles,
    /// Also those that read the journal where there is none, if the administrator has named the log and no match of the
    /// journal.
    AlsoIfSwitched,
}

/// Whether a jail reads the journal.
pub(in crate::config::fail2ban) fn reads_journal(started: &Started) -> bool {
    let has_logs = || {
        let paths = started.options.get("logpath");
        paths.is_some_and(|paths| logs(paths).any(|path| !there(path).is_empty()))
    };
    match backend(started).as_deref() {
        Some("systemd") => true,
        Some("auto") => may_switch(started) && !has_logs(),
        _ => false,
    }
}

/// The word of a jail's backend, without options.
fn backend(started: &Started) -> Option<String> {
    let text = started.options.text("backend").unwrap_or("auto");
    let named = brackets::part(text).ok()?;
    Some(strip(named.name).to_lowercase())
}

/// Whether a jail that may choose reads the journal where there is no log file.
fn may_switch(started: &Started) -> bool {
    let options = started.filter_options();
    let has_match = options
        .get("journalmatch")
        .is_some_and(|matches| !strip(&matches.text).is_empty());
    let may_switch = started.options.get("systemd_if_nologs");
    has_match && may_switch.is_none_or(Written::is_true)
}

/// Whether a jail needs a log file and there is none, so that Fail2ban would start nothing at all.
pub(super) fn lacks_logs(started: &Started, needing: Needing) -> bool {
    let option = |key: &str| started.options.get(key);
    let Some(paths) = option("logpath") else {
        return false;
    };
    let is_switched = || {
        may_switch(started)
            && (needing == Needing::OnlyFiles
                || option("journalmatch").is_some()
                || is_stock(&paths.place))
    };
    let needs_none = match backend(started).as_deref() {
        Some("systemd") => true,
        Some("auto") => is_switched(),
        _ => false,
    };
    let is_skipped = option("skip_if_nologs").is_some_and(Written::is_true);
    !needs_none && !is_skipped && logs(paths).all(|path| there(path).is_empty())
}

/// Whether something stands in a file that a package brings, which tells where a log is on many machines. The name decides:
/// what packages write there changes with each release, and administrators have files of other names for what is theirs.
fn is_stock(place: &Place) -> bool {
    let name = place.text().path.file_name();
    let name = name.and_then(|name| name.to_str()).unwrap_or_default();
    name == "jail.conf" || name.starts_with("paths-")
}

/// The paths of a list of logs, without the word that says where to begin.
pub(in crate::config::fail2ban) fn logs(paths: &Written) -> impl Iterator<Item = &str> {
    let lines = paths
        .text
        .split('\n')
        .map(strip)
        .filter(|line| !line.is_empty());
    lines.map(|line| match line.rsplit_once(' ') {
        Some((path, "head" | "tail")) => strip(path),
        _ => line,
    })
}

/// A path from the root on. Fail2ban looks for others from wherever it runs, which is the root for its unit.
fn whole<'p>(path: &'p str, place: &Place, problems: &mut Problems) -> Cow<'p, str> {
    if path.starts_with('/') {
        return Cow::Borrowed(path);
    }
    // What cannot be told is refused like any other path that is none.
    let Some(folder) = env::current_dir()
        .ok()
        .and_then(|at| at.into_os_string().into_string().ok())
    else {
        return Cow::Borrowed(path);
    };
    let whole = format!("{}/{path}", folder.trim_end_matches('/'));
    let message = format!(
        "`logpath`: `{path}` is `{whole}` for whoever starts here, and another file elsewhere"
    );
    problems.warning(place, message, "write the whole path");
    Cow::Owned(whole)
}

/// An encoding that is not the usual one. Python's names differ from others' in little.
fn special(written: &Written) -> Option<(&str, &Place)> {
    let word = strip(&written.text);
    let plain = word.to_lowercase().replace('_', "-");
    let is_usual = matches!(
        plain.as_str(),
        "" | "auto" | "utf-8" | "utf8" | "ascii" | "us-ascii"
    );
    let word = match plain.as_str() {
        "latin-1" => "latin1",
        _ => word,
    };
    (!is_usual).then_some((word, &written.place))
}

/// Which journal, by what stands in the brackets of the backend.
fn journal(
    place: &Place,
    said: Vec<(&str, &str)>,
    section: &mut Table,
    sources: &mut Table,
    problems: &mut Problems,
) {
    let said: BTreeMap<_, _> = said.into_iter().collect();
    let mut source = Table::default();
    for (key, value) in &said {
        match *key {
            "journalpath" => source.set("directory", text(value, place)),
            "namespace" => source.set("namespace", text(value, place)),
            // All that there is, is read anyway.
            "rotated" | "journalflags" => {}
            other => {
                let message = format!("`backend`: f2bd does not know `{other}` of a journal");
                problems.warning(
                    place,
                    message,
                    "write journalpath=DIRECTORY or namespace=NAME",
                );
            }
        }
    }
    let mut name = "journal".to_owned();
    if !source.entries().is_empty() {
        let which = said.get("namespace").or(said.get("journalpath"));
        let plain = |c: char| if c.is_ascii_alphanumeric() { c } else { '-' };
        let which: String = which
            .into_iter()
            .flat_map(|which| which.chars())
            .map(plain)
            .take(50)
            .collect();
        name = format!("journal-{which}");
        source.set("type", text("journal", place));
        sources.set(&name, table(source, place));
    }
    section.set("sources", texts([name.as_str()], place));
}

/// The matches of all lines, any of which will do. Within one, several values of a field are alternatives.
pub(in crate::config::fail2ban) fn alternatives(
    written: &Written,
    problems: &mut Problems,
) -> Vec<String> {
    let mut wanted = Vec::new();
    for line in written
        .text
        .split('\n')
        .filter(|line| !strip(line).is_empty())
    {
        let words = shlex::split(line).unwrap_or_default();
        for group in words
            .split(|word| word == "+")
            .filter(|group| !group.is_empty())
        {
            if group.iter().any(|term| term.contains(char::is_whitespace)) {
                let message = "`journalmatch`: f2bd has no values with blanks";
                problems.warning(&written.place, message, "match another field");
                continue;
            }
            let mut fields: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
            for term in group {
                let field = term
                    .split_once('=')
                    .map_or(term.as_str(), |(field, _)| field);
                fields.entry(field).or_default().push(term);
            }
            let mut combined = vec![String::new()];
            for terms in fields.values() {
                let next = combined.iter().flat_map(|before| {
                    let terms = terms.iter();
                    terms.map(move |term| format!("{before} {term}").trim_start().to_owned())
                });
                combined = next.take(MOST_ALTERNATIVES).collect();
            }
            wanted.append(&mut combined);
        }
    }
    wanted
}
