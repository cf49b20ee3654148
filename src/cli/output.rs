//! How is something shown to people?
//!
//! Tables, times and spans. Colours only on a terminal; text of attackers never raw.

use std::io::{self, BufWriter, Write};
use std::time::Duration;

use anstyle::{AnsiColor, Style};
use jiff::tz::TimeZone;

use super::args::Common;
use super::failure::{Exit, Failure};
use crate::engine::record::kept::{kept, turns};
use crate::engine::subject::Subject;
use crate::engine::time::{Span, Timestamp, parse_zone};

/// How many letters of a name stand in a table; an IPv6 network has no more.
const WIDEST_NAME: usize = 43;

/// Headings.
pub const HEADING: Style = Style::new().bold();
/// What is bad for the machine, or for whom it concerns.
pub const BAD: Style = AnsiColor::Red.on_default();
/// What is well.
pub const GOOD: Style = AnsiColor::Green.on_default();

/// Standard output.
pub type Out = BufWriter<Box<dyn Write>>;

/// How much is written at once; a log can have millions of lines to print.
const ROOM: usize = 64 * 1024;

/// Opens standard output, for text that loses its colours where nobody would see them.
pub fn stdout() -> Out {
    let stdout = anstream::AutoStream::auto(io::stdout().lock());
    BufWriter::with_capacity(ROOM, Box::new(stdout))
}

/// Opens standard output for what has no colours: to look for them where nobody would see them takes longer than to write
/// a line.
pub fn bare() -> Out {
    BufWriter::with_capacity(ROOM, Box::new(io::stdout().lock()))
}

/// Shows moments in the reader's time zone.
#[derive(Clone, Debug)]
pub struct Clock {
    /// The time zone, also of logs that name none.
    pub zone: TimeZone,
    /// Whether somebody has asked for that zone.
    pub is_told: bool,
    /// The present.
    pub now: Timestamp,
}

impl Clock {
    /// The clock that the options ask for.
    ///
    /// # Errors
    /// There is no such time zone.
    pub fn of(common: &Common) -> Result<Self, Failure> {
        let zone = match common.timezone.as_deref() {
            None => TimeZone::system(),
            Some(name) => parse_zone(name).map_err(|error| {
                let message = format!("{error}: write one such as Europe/Berlin, UTC or +02:00");
                Failure::new(Exit::Usage, message)
            })?,
        };
        let now = common.now.unwrap_or_else(|| jiff::Timestamp::now().into());
        Ok(Clock {
            zone,
            is_told: common.timezone.is_some(),
            now,
        })
    }

    /// `2026-02-12 14:10:21`, in the clock's time zone.
    pub fn show(&self, moment: Timestamp) -> String {
        match jiff::Timestamp::from_microsecond(moment.as_micros()) {
            Ok(known) => known
                .to_zoned(self.zone.clone())
                .strftime("%Y-%m-%d %H:%M:%S")
                .to_string(),
            Err(_) => moment.to_string(),
        }
    }

    /// The same, or `forever`.
    pub fn show_end(&self, moment: Option<Timestamp>) -> String {
        moment.map_or_else(|| "forever".to_owned(), |moment| self.show(moment))
    }

    /// How long until `moment`: `8m 12s`.
    pub fn left(&self, moment: Timestamp) -> String {
        whole(moment.since(self.now))
    }
}

/// A span of time in whole seconds.
pub fn whole(span: Duration) -> String {
    Span(Duration::from_secs(span.as_secs())).to_string()
}

/// `1 ban`, `2 bans`.
pub fn counted(number: usize, what: &str) -> String {
    let plural = if number == 1 { "" } else { "s" };
    format!("{number} {what}{plural}")
}

/// So many bytes: `19.2 MB`.
pub fn size(bytes: u64) -> String {
    let mut size = bytes as f64;
    for unit in ["B", "kB", "MB", "GB"] {
        if size < 999.5 {
            let digits = usize::from(unit != "B" && size < 99.95);
            return format!("{size:.digits$} {unit}");
        }
        size /= 1000.0;
    }
    format!("{size:.1} TB")
}

/// `text` with its control characters made visible, also those that only turn the direction of writing.
pub fn harmless(text: &str) -> String {
    let text = kept(text);
    if !text.contains(turns) {
        return text.into_owned();
    }
    let mut plain = String::with_capacity(text.len());
    for character in text.chars() {
        if turns(character) {
            plain.extend(character.escape_unicode());
        } else {
            plain.push(character);
        }
    }
    plain
}

/// A subject, with its control characters made visible as well.
pub fn shown(subject: &Subject) -> String {
    match subject {
        Subject::Network(network) => network.plain(),
        Subject::Name(name) => harmless(name.as_str()),
    }
}

/// The same in a table, which one long name must not make as wide.
pub fn brief(subject: &Subject) -> String {
    let whole = shown(subject);
    match whole.char_indices().nth(WIDEST_NAME) {
        Some((end, _)) => format!("{}…", &whole[..end]),
        None => whole,
    }
}

/// Whom somebody has typed; an address as it is written.
pub fn typed(text: &str) -> String {
    match text.parse::<Subject>() {
        Ok(network) => network.plain(),
        Err(_) => harmless(text),
    }
}

/// Rows below headings; numbers stand at the right of their column.
#[derive(Debug)]
pub struct Table {
    rows: Vec<Vec<String>>,
}

impl Table {
    /// A table with these headings.
    pub fn new(headings: &[&str]) -> Self {
        Table {
            rows: vec![headings.iter().map(|&heading| heading.to_owned()).collect()],
        }
    }

    /// Adds a row.
    pub fn row(&mut self, cells: impl IntoIterator<Item = String>) {
        self.rows.push(cells.into_iter().collect());
    }

    /// Prints it; nothing without rows.
    ///
    /// # Errors
    /// The output is gone.
    pub fn print(&self, out: &mut impl Write) -> io::Result<()> {
        let [headings, rows @ ..] = self.rows.as_slice() else {
            return Ok(());
        };
        if rows.is_empty() {
            return Ok(());
        }
        let width = |column: usize| {
            let cells = self.rows.iter().filter_map(|row| row.get(column));
            cells.map(|cell| cell.chars().count()).max().unwrap_or(0)
        };
        let widths: Vec<usize> = (0..headings.len()).map(width).collect();
        let is_number = |column: usize| {
            let mut cells = rows.iter().filter_map(|row| row.get(column));
            cells.all(|cell| !cell.is_empty() && cell.chars().all(|c| c.is_ascii_digit()))
        };
        let right: Vec<bool> = (0..headings.len()).map(is_number).collect();
        for (at, row) in self.rows.iter().enumerate() {
            let mut line = String::new();
            for ((cell, width), right) in row.iter().zip(&widths).zip(&right) {
                let cell = if *right {
                    format!("{cell:>width$}")
                } else {
                    format!("{cell:<width$}")
                };
                line.push_str(&cell);
                line.push_str("  ");
            }
            let line = line.trim_end();
            if at == 0 {
                writeln!(out, "{HEADING}{line}{HEADING:#}")?;
            } else {
                writeln!(out, "{line}")?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_short() {
        for (bytes, text) in [
            (0, "0 B"),
            (999, "999 B"),
            (1000, "1.0 kB"),
            (191_625_467, "192 MB"),
            (19_162_546, "19.2 MB"),
            (999_999, "1.0 MB"),
            (5_000_000_000_000, "5.0 TB"),
        ] {
            assert_eq!(size(bytes), text, "{bytes}");
        }
    }
}
