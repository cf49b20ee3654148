//! What do the words of `fail2ban-regex` mean?
//!
//! In: LOG, REGEX, IGNOREREGEX and the options. Out: the log and the filter; each is told to people when it is known.

use std::path::PathBuf;

use super::args::RegexArgs;
use super::{note, told};
use crate::cli::fail2ban::{NotDone, print};
use crate::cli::logs::Log;
use crate::config::Problems;
use crate::config::fail2ban::trial::{Chosen, Tried};
use crate::config::fail2ban::{brackets, date};
use crate::control::fail2ban::value::Value;

/// How many lines of a text are shown.
const SHOWN_LINES: usize = 5;

/// How much of a text is shown, in letters.
const SHOWN: usize = 53;

/// A log that is a journal, with parameters behind it.
const JOURNAL: &str = "systemd-journal";

/// What the log is.
pub enum Source {
    /// A journal: that of the machine, or that of a directory.
    Journal(Option<PathBuf>),
    /// A file, or standard input.
    File(Log),
    /// The word itself.
    Text(String),
}

impl Source {
    /// What a word means.
    pub fn of(word: &str) -> Result<Self, NotDone> {
        if word == "-" {
            return Ok(Source::File(Log::StandardInput));
        }
        if let Some(rest) = word.strip_prefix(JOURNAL)
            && (rest.is_empty() || rest.starts_with('['))
        {
            let named = match brackets::part(word) {
                Ok(named) => named,
                Err(error) => return print(&format!("ERROR: {error}")).and(Err(NotDone)),
            };
            let mut folder = None;
            for (key, value) in named.parameters {
                match key {
                    "journalpath" => folder = Some(PathBuf::from(value)),
                    _ => note(&format!(
                        "{JOURNAL} knows no `{key}` here; journalpath=DIR is known"
                    )),
                }
            }
            return Ok(Source::Journal(folder));
        }
        let path = PathBuf::from(word);
        Ok(match path.is_file() {
            true => Source::File(Log::File(path)),
            false => Source::Text(word.to_owned()),
        })
    }

    /// Says what is read.
    pub fn begin(self, args: &RegexArgs, tried: &Tried) -> Result<Log, NotDone> {
        let speaks = args.out().is_none();
        let encoding = args
            .encoding
            .map_or("UTF-8".to_owned(), |encoding| encoding.to_string());
        let (log, mut lines) = match self {
            Source::Journal(folder) => {
                let mut lines = vec![
                    "Use         systemd journal".to_owned(),
                    format!("Use         encoding : {encoding}"),
                ];
                if let Some(matches) = tried.option("journalmatch") {
                    let matches: Vec<_> = matches.split_whitespace().collect();
                    lines.push(format!("Use    journal match : {}", matches.join(" ")));
                }
                (Log::Journal(folder), lines)
            }
            Source::File(log) => {
                let lines = vec![
                    format!("Use         log file : {}", args.operands[0]),
                    format!("Use         encoding : {encoding}"),
                ];
                (log, lines)
            }
            Source::Text(text) => {
                let is_window = tried
                    .option("maxlines")
                    .is_some_and(|lines| lines.trim() != "1");
                let mut lines = Vec::new();
                if is_window || text.contains('\n') {
                    let all: Vec<_> = text.split('\n').collect();
                    lines.push(format!("Use      multi line : {} line(s)", all.len()));
                    let shown = all.iter().take(SHOWN_LINES).zip(1..);
                    lines.extend(
                        shown.map(|(line, number)| format!("| {number:>2}: {}", short(line))),
                    );
                    if all.len() > SHOWN_LINES {
                        lines.push("| ...".to_owned());
                    }
                    lines.push("`-".to_owned());
                } else {
                    lines.push(format!("Use      single line : {}", short(&text)));
                }
                (Log::Text(text), lines)
            }
        };
        lines.push(String::new());
        if speaks {
            print(&lines.join("\n"))?;
        }
        Ok(log)
    }
}

fn short(text: &str) -> String {
    match text.chars().count() > SHOWN {
        true => text.chars().take(SHOWN - 3).chain("...".chars()).collect(),
        false => text.to_owned(),
    }
}

/// The filter that the words mean, with what the options say of it.
pub fn tried(
    args: &RegexArgs,
    source: &Source,
    expression: &str,
    ignored: Option<&String>,
) -> Result<Tried, NotDone> {
    let speaks = args.out().is_none();
    let mut lines = Vec::new();
    if args.maxlines > 0 {
        lines.push(format!("Use         maxlines : {}", args.maxlines));
    }
    if let Some(pattern) = &args.datepattern {
        lines.push(dates(pattern));
    }
    let chosen = Chosen::find(expression, &args.config);
    let chosen = match chosen {
        Ok(chosen) => chosen,
        Err(error) => {
            print(&format!(
                "ERROR: failed to load filter {expression}: {error}"
            ))?;
            return Err(NotDone);
        }
    };
    let mut tried = match &chosen {
        None => {
            lines.push(format!("Use   failregex line : {}", short(expression)));
            Tried::expression(expression)
        }
        Some(chosen) => {
            let folder = chosen.folder.display();
            let name = &chosen.name;
            lines.push(format!(
                "Use   failregex filter file : {name}, basedir: {folder}"
            ));
            if !chosen.parameters.is_empty() {
                let entries = chosen.parameters.iter();
                let entries = entries.map(|(key, value)| (key.clone(), Value::from(&**value)));
                let options = Value::Map(entries.collect());
                lines.push(format!("Use   filter options : {options}"));
            }
            let mut problems = Problems::default();
            let is_journal = matches!(source, Source::Journal(_));
            let filter = Tried::filter(chosen, is_journal, &mut problems);
            told(filter, problems)?
        }
    };
    match (args.maxlines, tried.option("maxlines")) {
        (0, Some(own)) => lines.push(format!("Use         maxlines : {}", own.trim())),
        (0, None) => {}
        (most, _) => tried.say("maxlines", &most.to_string()),
    }
    match (&args.datepattern, tried.option("datepattern")) {
        (Some(pattern), _) => tried.say("datepattern", pattern),
        (None, Some(own)) => lines.push(dates(own)),
        (None, None) => {}
    }
    if let Some(matches) = &args.journalmatch {
        tried.say("journalmatch", matches);
    }
    if let Some(ignored) = ignored {
        lines.push(format!("Use ignoreregex line : {}", short(ignored)));
        tried.ignore(ignored);
    }
    if speaks && !lines.is_empty() {
        print(&lines.join("\n"))?;
    }
    Ok(tried)
}

fn dates(pattern: &str) -> String {
    let (_, title) = date::title(pattern);
    format!("Use      datepattern : {pattern} : {title}")
}
