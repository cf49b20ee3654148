//! `f2bd match --learn`: what could a filter for such lines say?
//!
//! In: a log, and which of its lines tells of a failure. Out: a filter file to begin with. What the pattern is, is
//! guessed in `guess`.

mod guess;

use std::io::Write;

use serde_json::json;

use guess::Proposal;

use super::args::MatchArgs;
use super::failure::{Exit, Failure};
use super::logs::{Log, Piece, Reading};
use super::output::{self, Clock, harmless};
use super::progress::Progress;
use super::writing::Writing;
use crate::config::toml_text::quoted;
use crate::engine::record::journal::JournalMatch;
use crate::engine::record::{Batch, Record};

/// A message that a pasted line ends with is at least so long: shorter ones end many lines.
const SHORTEST_END: usize = 12;

/// Prints a filter that takes a line of a log.
///
/// # Errors
/// There is no such line, nobody is to blame for it, or the log cannot be read.
pub fn run(args: &MatchArgs, writing: &Writing, clock: &Clock) -> Result<(), Failure> {
    let [word, line] = args.operands.as_slice() else {
        let message = "name a log, and a line of it: its number, or text that stands in it";
        return Err(Failure::new(Exit::Usage, message));
    };
    let batch = record(word, line, writing, clock)?;
    let Some(record) = batch.iter().next() else {
        let message = format!("there is no such line in {word}: {}", harmless(line));
        return Err(Failure::new(Exit::NotSo, message));
    };
    let proposal = guess::propose(&record)
        .map_err(|error| Failure::new(Exit::NotSo, format!("nothing can be proposed: {error}")))?;
    let mut out = output::bare();
    if args.json {
        let Proposal { pattern, ip, user } = &proposal;
        let fields = pattern.fields.iter();
        let fields: serde_json::Map<_, _> = fields
            .map(|(path, text)| (path.as_str().to_owned(), json!(text)))
            .collect();
        let pattern = Some(&pattern.text).filter(|text| !text.is_empty());
        writeln!(
            out,
            "{}",
            json!({"pattern": pattern, "fields": fields, "ip": ip, "user": user})
        )?;
    } else {
        write!(out, "{}", filter(word, &record, &proposal))?;
    }
    out.flush()?;
    Ok(())
}

/// The record of a line, if there is one; alone in the batch.
fn record(word: &str, line: &str, writing: &Writing, clock: &Clock) -> Result<Batch, Failure> {
    let wanted: Option<u64> = line.parse().ok();
    let mut batch = Batch::default();
    let take = |piece: Piece<'_>| {
        if let Piece::Record(number, record) = piece {
            // What was copied may be the whole line, of which the message is the end.
            let holds = |text: &[u8]| {
                let is_whole = text.len() >= SHORTEST_END && line.as_bytes().ends_with(text);
                is_whole || memchr::memmem::find(text, line.as_bytes()).is_some()
            };
            let is_it = match wanted {
                Some(wanted) => number == wanted,
                None => holds(record.message) || holds(record.object()),
            };
            if is_it && batch.is_empty() {
                batch.push(*record);
            }
        }
        Ok(())
    };
    // Nothing is known of the entries of a journal that are wanted.
    let routes = [JournalMatch::default()];
    let reading = Reading {
        writing,
        now: clock.now,
        since: None,
        routes: &routes,
        sieve: None,
    };
    let log = Log::of(word);
    let mut progress = Progress::of([log.clone()], true);
    log.read(reading, &mut progress, take)?;
    progress.end();
    Ok(batch)
}

/// The text of a filter file.
fn filter(log: &str, record: &Record<'_>, proposal: &Proposal) -> String {
    let Proposal { pattern, ip, user } = proposal;
    let mut text = "title = \"\"\n\n[records]\n".to_owned();
    if !record.program.is_empty() {
        text.push_str(&format!("program = [{}]\n", quoted(record.program)));
    } else if let (Log::File(_), Ok(path)) = (Log::of(log), std::path::absolute(log)) {
        text.push_str(&format!("file = [{}]\n", quoted(&path.to_string_lossy())));
    }
    text.push_str("\n[[failure]]\n");
    if !pattern.text.is_empty() {
        text.push_str(&format!("pattern = '{}'\n", pattern.text));
    }
    if !pattern.fields.is_empty() {
        let fields = pattern.fields.iter();
        let fields = fields.map(|(path, text)| format!("{} = '{text}'", quoted(path.as_str())));
        let fields: Vec<_> = fields.collect();
        text.push_str(&format!("fields = {{ {} }}\n", fields.join(", ")));
    }
    text.push_str(&format!(
        "\n[[sample]]\nline = {}\nip = \"{ip}\"\n",
        quoted(&line(record))
    ));
    if let Some(user) = user {
        text.push_str(&format!("user = {}\n", quoted(user)));
    }
    text.push_str(
        "\n# Look at each part of the pattern: is it the same next time, and who chose it? Write <user>, <path>, <agent> or\n\
         # <text> where a client did. Then add lines that must stay silent, such as a login that succeeds:\n\
         # [[sample]]\n# line = ''\n# ip = false\n",
    );
    text
}

/// The record as a line of a log.
fn line(record: &Record<'_>) -> String {
    let said = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    if !record.object().is_empty() {
        return said(record.object());
    }
    let message = said(record.message);
    let host = if record.host.is_empty() {
        "localhost"
    } else {
        record.host
    };
    let pid = record.pid.map(|pid| format!("[{pid}]")).unwrap_or_default();
    match record.program {
        // In brackets, since words behind a bare date could be read as host and program.
        "" => format!("[{}] {message}", record.time),
        program => format!("{} {host} {program}{pid}: {message}", record.time),
    }
}
