//! How does the daemon speak to the operator?
//!
//! One line a message on standard error, with the priority prefix that the journal understands when the
//! journal is listening, and with a time when a person is.

use std::io::Write;

use log::{Level, LevelFilter, Log, Metadata, Record};

use super::clock;

struct Logger {
    for_journal: bool,
}

/// Starts logging; a second call changes nothing.
pub fn start(level: LevelFilter) {
    // Set by systemd when it has connected standard error to the journal.
    let for_journal = std::env::var_os("JOURNAL_STREAM").is_some();
    if log::set_boxed_logger(Box::new(Logger { for_journal })).is_ok() {
        log::set_max_level(level);
    }
}

impl Log for Logger {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        // What libraries have to say is for their developers.
        metadata.target().starts_with("f2bd")
    }

    fn log(&self, record: &Record<'_>) {
        if !self.enabled(record.metadata()) {
            return;
        }
        let (priority, word) = match record.level() {
            Level::Error => (3, "error"),
            Level::Warn => (4, "warning"),
            Level::Info => (6, "info"),
            Level::Debug | Level::Trace => (7, "debug"),
        };
        let text = one_line(&record.args().to_string());
        let line = if self.for_journal {
            format!("<{priority}>{text}\n")
        } else {
            format!("{} {word}: {text}\n", clock::now())
        };
        // Nobody is left to be told that standard error is gone.
        let _ = std::io::stderr().write_all(line.as_bytes());
    }

    fn flush(&self) {}
}

/// A message is one line, whatever text an attacker put into it.
fn one_line(text: &str) -> String {
    text.chars()
        .flat_map(|c| {
            if c.is_control() {
                c.escape_default().collect()
            } else {
                vec![c]
            }
        })
        .collect()
}

#[cfg(test)]
mod tests {
    #[test]
    fn a_message_cannot_become_two() {
        assert_eq!(super::one_line("a\nb\x1b[31m"), "a\\nb\\u{1b}[31m");
    }
}
