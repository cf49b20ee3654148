//! How far has the reading of logs come?
//!
//! In: which logs there are and how much of them has been read. Out: one line on a terminal that is drawn again and
//! again and gone at the end; nothing anywhere else.

use std::fs::File;
use std::io::{self, IsTerminal, Seek, Write};
use std::time::{Duration, Instant};

use super::logs::Log;
use super::output::{harmless, size};
use crate::engine::time::Span;

/// What is done sooner needs no line.
const PATIENCE: Duration = Duration::from_millis(500);

/// The shortest time between two lines; figures that change faster cannot be read.
const PACE: Duration = Duration::from_millis(200);

/// The width of a terminal that does not tell it.
const USUAL_WIDTH: usize = 80;

/// The line, if there is a terminal to draw it on.
#[derive(Debug)]
pub struct Progress(Option<Meter>);

#[derive(Debug)]
struct Meter {
    began: Instant,
    /// When the line was drawn last.
    drawn: Option<Instant>,
    /// How many bytes all files have, packed or not; unknown if a log is no file.
    total: Option<u64>,
    /// Of the logs that are done.
    before: u64,
    log: String,
    /// The log's file. Its place is how much has been read of it.
    file: Option<File>,
    /// How many bytes the log has had so far, unpacked.
    read: u64,
}

impl Progress {
    /// The line for these logs. Where results are printed to the same terminal meanwhile, there is none.
    pub fn of(logs: impl IntoIterator<Item = Log>, prints_meanwhile: bool) -> Self {
        let is_seen =
            io::stderr().is_terminal() && !(prints_meanwhile && io::stdout().is_terminal());
        Progress(is_seen.then(|| Meter {
            began: Instant::now(),
            drawn: None,
            total: logs.into_iter().map(|log| log.size()).sum(),
            before: 0,
            log: String::new(),
            file: None,
            read: 0,
        }))
    }

    /// No line.
    pub fn none() -> Self {
        Progress(None)
    }

    /// From here on it is this log that is read, perhaps from a file.
    pub fn begin(&mut self, log: &Log, file: Option<File>) {
        if let Some(meter) = &mut self.0 {
            meter.before = meter.done();
            meter.log = harmless(&log.to_string());
            meter.file = file;
            meter.read = 0;
        }
    }

    /// So many bytes more of the log have been dealt with.
    pub fn advance(&mut self, bytes: usize) {
        let Some(meter) = &mut self.0 else { return };
        meter.read += bytes as u64;
        let is_due = match meter.drawn {
            None => meter.began.elapsed() >= PATIENCE,
            Some(drawn) => drawn.elapsed() >= PACE,
        };
        if is_due {
            meter.drawn = Some(Instant::now());
            let width = rustix::termios::tcgetwinsize(io::stderr());
            let width = width.map_or(0, |size| usize::from(size.ws_col));
            let width = if width == 0 { USUAL_WIDTH } else { width };
            // In the last column some terminals begin a new line.
            let line: String = meter.line().chars().take(width - 1).collect();
            write(&format!("\r{line}\x1b[K"));
        }
    }

    /// The line goes away.
    pub fn end(&mut self) {
        if self.0.take().is_some_and(|meter| meter.drawn.is_some()) {
            write("\r\x1b[K");
        }
    }
}

/// Also if reading has failed, so that the reason stands on a line of its own.
impl Drop for Progress {
    fn drop(&mut self) {
        self.end();
    }
}

impl Meter {
    /// How many bytes have been read of all logs, packed or not.
    fn done(&mut self) -> u64 {
        let place = self
            .file
            .as_mut()
            .and_then(|file| file.stream_position().ok());
        self.before + place.unwrap_or(self.read)
    }

    fn line(&mut self) -> String {
        let (done, log) = (self.done(), &self.log);
        let seconds = self.began.elapsed().as_secs_f64();
        let rate = done as f64 / seconds.max(f64::EPSILON);
        let rates = format!("{}/s", size(rate as u64));
        // A log that grows can have more than it had.
        match self.total.filter(|total| *total >= done && done > 0) {
            None => format!("{log}: {}, {rates}", size(done)),
            Some(total) => {
                let percent = 100.0 * done as f64 / total as f64;
                let left = Span(Duration::from_secs(((total - done) as f64 / rate) as u64));
                let (done, total) = (size(done), size(total));
                format!("{log}: {percent:.0} %, {done} of {total}, {rates}, {left} left")
            }
        }
    }
}

/// Nobody can be told that this cannot be told.
fn write(text: &str) {
    let _ = io::stderr().write_all(text.as_bytes());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_line_tells_what_is_left() {
        let mut meter = Meter {
            began: Instant::now() - Duration::from_secs(10),
            drawn: None,
            total: Some(4_000_000),
            before: 500_000,
            log: "auth.log".to_owned(),
            file: None,
            read: 500_000,
        };
        let line = meter.line();
        assert!(
            line.starts_with("auth.log: 25 %, 1.0 MB of 4.0 MB, ") && line.ends_with("s left"),
            "{line}"
        );
        meter.total = None;
        assert!(meter.line().starts_with("auth.log: 1.0 MB, "));
    }
}
